// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Immutable tables of royalty shares
/// @dev A payment adds its amount to the split's accumulator; each recipient later claims
/// `floor(acc * share / 10000) - claimed`. A payment therefore costs the same for one recipient and for a thousand.
interface ISplits {
    /// @notice One claim of a batch.
    struct Claim {
        uint32 split;
        address account;
        uint256 share;
        bytes32[] proof;
    }

    /// @notice The table behind a split's root, so that anyone can rebuild the proofs from the log alone.
    event SplitTable(uint32 indexed split, address[] accounts, uint16[] shares);

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
    /// @notice The platform's share of the table is below its fee.
    error PlatformShare(uint256 share, uint256 fee);
    /// @notice The account and share are not in the split's table.
    error InvalidProof();
    /// @notice Everything accrued to this account was paid already.
    error NothingDue();
    /// @notice Paying `due` would take more out of the split than was paid in.
    error CapExceeded(uint256 due, uint256 left);

    /// @notice Creates an immutable table of royalty shares.
    /// @dev The Merkle root is computed here and not taken from the caller, so that the sum of shares holds on chain.
    /// Leaf: keccak256(keccak256(abi.encode(account, uint256(share)))). Nodes: keccak256 of the sorted pair. A node without
    /// a neighbor moves up unchanged. Proofs verify with OpenZeppelin's MerkleProof.
    /// An account below 2^32 is the number of a split that exists already: this is how an adapter pays the adapters that
    /// it derives from. Tables cannot change and name older splits only, so there are no loops, to any depth. The
    /// platform's fee is due in every table, so it is taken again of what one split passes on to another.
    /// @param accounts Strictly ascending, not zero, 1 to 1000; the platform is among them if it takes a fee.
    /// @param shares Basis points, each at least 1, adding to 10000.
    /// @return split Number of the split, from 1.
    function createSplit(address[] calldata accounts, uint16[] calldata shares) external returns (uint32 split);

    /// @notice Pays what is due to `account` from a split. Anyone may call; the money only goes to the account.
    /// @dev What is due to another split moves into that split's accumulator, without a transfer.
    /// @param share The account's share as in the table.
    /// @param proof Merkle proof of (account, share).
    /// @return due Units paid.
    function claim(uint32 split, address account, uint256 share, bytes32[] calldata proof)
        external
        returns (uint256 due);

    /// @notice Several claims in one transaction. A claim that somebody else made a moment before is passed over.
    /// @return due Units paid in all.
    function claimMany(Claim[] calldata claims) external returns (uint256 due);
}
