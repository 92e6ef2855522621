// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title Market for licenses of adapters, paid in one token, with royalties split on chain
/// @notice Nobody administrates a market: no owner, no proxy, no pause, no fee. Offers and splits never change once created.
/// @dev Money path: `buy` adds the price to the split's accumulator; each recipient later claims
/// `floor(acc * share / 10000) - claimed`. A sale therefore costs the same for one recipient and for a thousand.
/// Every state change is one `Entry`, chained into `head`: whoever replays all entries and arrives at the value of
/// `head` knows that none was left out, added, altered or reordered.
interface IMarket {
    /// @notice One line of the ledger.
    /// @dev Meaning of the fields by kind:
    /// | kind | key | who | a | b | c | d |
    /// | 1 registered | adapter | owner | manifest | baseModel | 0 | terms |
    /// | 2 split created | split | creator | number of recipients | 0 | 0 | root |
    /// | 3 offer created | offer | owner | adapter | price | split \| duration << 32 | 0 |
    /// | 4 sold | offer | holder | price | split | expiry | orderRef |
    /// | 5 claimed | split | account | due | cumulative | share | 0 |
    /// @param seq Position in the ledger, from 1, without gaps.
    event Entry(
        uint8 indexed kind,
        uint256 indexed key,
        address indexed who,
        uint256 seq,
        uint256 a,
        uint256 b,
        uint256 c,
        bytes32 d
    );

    /// @notice The table behind a split's root, so that anyone can rebuild the proofs from the log alone.
    event SplitTable(uint32 indexed split, address[] accounts, uint16[] shares);

    /// @notice The constructor was given an address without code.
    error TokenWithoutCode(address token);
    /// @notice The caller has registered this manifest before, as `adapter`.
    error AlreadyRegistered(uint64 adapter);
    /// @notice A manifest digest of zero names nothing.
    error ZeroManifest();
    /// @notice A split takes 1 to 1000 recipients.
    error RecipientCount(uint256 count);
    /// @notice Accounts and shares differ in number.
    error LengthMismatch(uint256 accounts, uint256 shares);
    /// @notice The account at `index` is zero, or not above the one before it.
    error AccountsNotAscending(uint256 index);
    /// @notice The market itself cannot receive a share: it could never spend it.
    error MarketAsRecipient();
    /// @notice The share at `index` is zero.
    error ZeroShare(uint256 index);
    /// @notice The shares add to `sum` instead of 10000.
    error ShareSum(uint256 sum);
    /// @notice The caller does not own this adapter, or it does not exist.
    error NotAdapterOwner(uint64 adapter);
    /// @notice No split has this number.
    error UnknownSplit(uint32 split);
    /// @notice An offer costs at least one unit.
    error ZeroPrice();
    /// @notice No offer has this number.
    error UnknownOffer(uint64 offer);
    /// @notice A license needs a holder.
    error ZeroHolder();
    /// @notice The offer costs more than the buyer accepts.
    error PriceAboveMax(uint256 price, uint256 maxPrice);
    /// @notice The holder has this license for ever; a second payment would buy nothing.
    error AlreadyLicensed(uint64 offer, address holder);
    /// @notice The token moved another amount than asked; a token that takes a fee cannot be used.
    error AmountMismatch(uint256 expected, uint256 received);
    /// @notice The account and share are not in the split's table.
    error InvalidProof();
    /// @notice Everything accrued to this account was paid already.
    error NothingDue();
    /// @notice Paying `due` would take more out of the split than was paid in.
    error CapExceeded(uint256 due, uint256 left);

    /// @notice Records that the caller publishes the adapter described by `manifest`.
    /// @dev The pair (caller, manifest) is unique; another account may register the same manifest, and readers compare the
    /// owner with the account that signed the manifest.
    /// @param manifest Digest of the adapter's manifest, not zero.
    /// @param baseModel Digest of the base model.
    /// @param terms Digest of the license terms.
    /// @return adapter Number of the adapter, from 1.
    function register(bytes32 manifest, bytes32 baseModel, bytes32 terms) external returns (uint64 adapter);

    /// @notice Creates an immutable table of royalty shares.
    /// @dev The Merkle root is computed here and not taken from the caller, so that the sum of shares holds on chain.
    /// Leaf: keccak256(keccak256(abi.encode(account, uint256(share)))). Nodes: keccak256 of the sorted pair. A node without
    /// a neighbor moves up unchanged. Proofs verify with OpenZeppelin's MerkleProof.
    /// @param accounts Strictly ascending, not zero, 1 to 1000.
    /// @param shares Basis points, each at least 1, adding to 10000.
    /// @return split Number of the split, from 1.
    function createSplit(address[] calldata accounts, uint16[] calldata shares) external returns (uint32 split);

    /// @notice Offers a license of the caller's adapter. An offer never changes: another price is another offer.
    /// @param price Units of the token, at least 1.
    /// @param duration Seconds that one payment buys; 0 = for ever.
    /// @return offer Number of the offer, from 1.
    function createOffer(uint64 adapter, uint32 split, uint64 price, uint32 duration) external returns (uint64 offer);

    /// @notice `register`, `createSplit` and `createOffer` in one transaction.
    function publish(
        bytes32 manifest,
        bytes32 baseModel,
        bytes32 terms,
        address[] calldata accounts,
        uint16[] calldata shares,
        uint64 price,
        uint32 duration
    ) external returns (uint64 adapter, uint32 split, uint64 offer);

    /// @notice Pays for a license of `holder`; the caller must have approved the price to the market.
    /// @dev A timed license that is still running is extended from its expiry.
    /// @param maxPrice The most the buyer accepts to pay.
    /// @param orderRef Free reference of the buyer, recorded in the ledger.
    function buy(uint64 offer, address holder, uint256 maxPrice, bytes32 orderRef) external;

    /// @notice Pays what is due to `account` from a split. Anyone may call; the money only goes to the account.
    /// @param share The account's share as in the table.
    /// @param proof Merkle proof of (account, share).
    /// @return due Units paid.
    function claim(uint32 split, address account, uint256 share, bytes32[] calldata proof)
        external
        returns (uint256 due);

    /// @notice The only token of this market.
    function token() external view returns (IERC20);

    /// @notice Head of the ledger: 216 bits of hash, 40 bits of sequence.
    /// @dev head' = (keccak256(abi.encode(head, kind, key, who, n, a, b, c, d)) >> 40 << 40) | n, starting at 1 << 40.
    function head() external view returns (uint256);

    /// @notice Price of an offer. Reverts with UnknownOffer.
    function quote(uint64 offer) external view returns (uint256 price);

    /// @notice An adapter; zero owner = none with this number.
    function adapters(uint64 adapter)
        external
        view
        returns (address owner, uint40 registeredAt, bytes32 manifest, bytes32 baseModel, bytes32 terms);

    /// @notice Number of the adapter registered by `owner` for `manifest`; 0 = none.
    function adapterOf(address owner, bytes32 manifest) external view returns (uint64 adapter);

    /// @notice An offer; zero price = none with this number.
    function offers(uint64 offer) external view returns (uint64 price, uint64 adapter, uint32 split, uint32 duration);

    /// @notice A split: units paid in, units paid out, root of its table; zero root = none with this number.
    function splits(uint32 split) external view returns (uint128 acc, uint128 paid, bytes32 root);

    /// @notice When a license ends (seconds since 1970); 0 = never bought, the maximum = perpetual.
    function licenses(uint64 offer, address holder) external view returns (uint256 expiry);

    /// @notice Units that were paid to `account` from a split so far.
    function claimed(uint32 split, address account) external view returns (uint256 cumulative);
}
