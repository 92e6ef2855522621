// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IMarket} from "./interfaces/IMarket.sol";

/// @title Market
/// @notice See IMarket.
contract Market is IMarket, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    struct Adapter {
        address owner;
        uint40 registeredAt;
        bytes32 manifest;
        bytes32 baseModel;
        bytes32 terms;
    }

    /// @dev One slot: a sale reads it once and writes none of it.
    struct Offer {
        uint64 price;
        uint64 adapter;
        uint32 split;
        uint32 duration;
    }

    /// @dev `acc` and `paid` share a slot, so that the cap of a claim costs no further cold access.
    struct Split {
        uint128 acc;
        uint128 paid;
        bytes32 root;
    }

    uint8 private constant REGISTERED = 1;
    uint8 private constant SPLIT_CREATED = 2;
    uint8 private constant OFFER_CREATED = 3;
    uint8 private constant SOLD = 4;
    uint8 private constant CLAIMED = 5;

    uint256 private constant TOTAL_SHARES = 10_000;
    /// @dev A table of this size stays far below the 2^24 gas that one transaction may use (EIP-7825).
    uint256 private constant MAX_RECIPIENTS = 1_000;
    uint256 private constant PERPETUAL = type(uint256).max;
    uint256 private constant SEQUENCE_BITS = 40;
    uint256 private constant SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1;

    /// @inheritdoc IMarket
    /// @dev First state variable, so slot 0: auditors prove it with one storage proof.
    uint256 public override head = 1 << SEQUENCE_BITS;

    /// @inheritdoc IMarket
    IERC20 public immutable override token;

    uint64 private _lastAdapter;
    uint64 private _lastOffer;
    uint32 private _lastSplit;

    /// @inheritdoc IMarket
    mapping(uint64 adapter => Adapter) public override adapters;
    /// @inheritdoc IMarket
    mapping(address owner => mapping(bytes32 manifest => uint64 adapter)) public override adapterOf;
    /// @inheritdoc IMarket
    mapping(uint64 offer => Offer) public override offers;
    /// @inheritdoc IMarket
    mapping(uint32 split => Split) public override splits;
    /// @inheritdoc IMarket
    mapping(uint64 offer => mapping(address holder => uint256 expiry)) public override licenses;
    /// @inheritdoc IMarket
    mapping(uint32 split => mapping(address account => uint256 cumulative)) public override claimed;

    constructor(IERC20 token_) {
        require(address(token_).code.length != 0, TokenWithoutCode(address(token_)));
        token = token_;
    }

    /// @inheritdoc IMarket
    function register(bytes32 manifest, bytes32 baseModel, bytes32 terms) external override returns (uint64 adapter) {
        return _register(manifest, baseModel, terms);
    }

    /// @inheritdoc IMarket
    function createSplit(address[] calldata accounts, uint16[] calldata shares)
        external
        override
        returns (uint32 split)
    {
        return _createSplit(accounts, shares);
    }

    /// @inheritdoc IMarket
    function createOffer(uint64 adapter, uint32 split, uint64 price, uint32 duration)
        external
        override
        returns (uint64 offer)
    {
        require(adapters[adapter].owner == msg.sender, NotAdapterOwner(adapter));
        require(splits[split].root != 0, UnknownSplit(split));
        return _createOffer(adapter, split, price, duration);
    }

    /// @inheritdoc IMarket
    function publish(
        bytes32 manifest,
        bytes32 baseModel,
        bytes32 terms,
        address[] calldata accounts,
        uint16[] calldata shares,
        uint64 price,
        uint32 duration
    ) external override returns (uint64 adapter, uint32 split, uint64 offer) {
        adapter = _register(manifest, baseModel, terms);
        split = _createSplit(accounts, shares);
        offer = _createOffer(adapter, split, price, duration);
    }

    /// @inheritdoc IMarket
    function buy(uint64 offer, address holder, uint256 maxPrice, bytes32 orderRef) external override nonReentrant {
        Offer memory terms = offers[offer];
        uint256 price = terms.price;
        require(price != 0, UnknownOffer(offer));
        require(price <= maxPrice, PriceAboveMax(price, maxPrice));
        require(holder != address(0), ZeroHolder());

        mapping(address => uint256) storage holders = licenses[offer];
        uint256 expiry = _extended(holders[holder], terms.duration);
        require(expiry != 0, AlreadyLicensed(offer, holder));
        holders[holder] = expiry;
        // 2^64 sales at the highest price fit: the addition cannot overflow, and would revert if it did.
        splits[terms.split].acc += uint128(price);
        _record(SOLD, offer, holder, price, terms.split, expiry, orderRef);

        _pull(price);
    }

    /// @inheritdoc IMarket
    function claim(uint32 split, address account, uint256 share, bytes32[] calldata proof)
        external
        override
        nonReentrant
        returns (uint256 due)
    {
        Split storage table = splits[split];
        bytes32 root = table.root;
        require(root != 0, UnknownSplit(split));
        require(MerkleProof.verifyCalldata(proof, root, _leaf(account, share)), InvalidProof());

        // The whole amount ever due is floored once, so claiming often neither gains nor loses a unit.
        uint256 acc = table.acc;
        uint256 paid = table.paid;
        uint256 cumulative = acc * share / TOTAL_SHARES;
        due = cumulative - claimed[split][account];
        require(due != 0, NothingDue());
        // Unreachable while the shares add to 10000; a split must never pay out of another one even if that were wrong.
        require(paid + due <= acc, CapExceeded(due, acc - paid));

        claimed[split][account] = cumulative;
        // forge-lint: disable-next-line(unsafe-typecast)
        table.paid = uint128(paid + due); // at most acc, which is a uint128
        _record(CLAIMED, split, account, due, cumulative, share, 0);

        token.safeTransfer(account, due);
    }

    /// @inheritdoc IMarket
    function quote(uint64 offer) external view override returns (uint256 price) {
        price = offers[offer].price;
        require(price != 0, UnknownOffer(offer));
    }

    function _register(bytes32 manifest, bytes32 baseModel, bytes32 terms) private returns (uint64 adapter) {
        require(manifest != 0, ZeroManifest());
        uint64 earlier = adapterOf[msg.sender][manifest];
        require(earlier == 0, AlreadyRegistered(earlier));
        adapter = ++_lastAdapter;
        adapterOf[msg.sender][manifest] = adapter;
        adapters[adapter] = Adapter(msg.sender, uint40(block.timestamp), manifest, baseModel, terms);
        _record(REGISTERED, adapter, msg.sender, uint256(manifest), uint256(baseModel), 0, terms);
    }

    function _createSplit(address[] calldata accounts, uint16[] calldata shares) private returns (uint32 split) {
        bytes32[] memory nodes = _leaves(accounts, shares);
        bytes32 root = _root(nodes);
        split = ++_lastSplit;
        splits[split].root = root;
        _record(SPLIT_CREATED, split, msg.sender, accounts.length, 0, 0, root);
        emit SplitTable(split, accounts, shares);
    }

    /// @dev The callers have established that the adapter is the sender's and that the split exists.
    function _createOffer(uint64 adapter, uint32 split, uint64 price, uint32 duration) private returns (uint64 offer) {
        require(price != 0, ZeroPrice());
        offer = ++_lastOffer;
        offers[offer] = Offer(price, adapter, split, duration);
        _record(OFFER_CREATED, offer, msg.sender, adapter, price, uint256(split) | (uint256(duration) << 32), 0);
    }

    /// @dev The expiry after one more payment; 0 when there is nothing left to buy.
    function _extended(uint256 expiry, uint256 duration) private view returns (uint256) {
        if (duration == 0) return expiry == 0 ? PERPETUAL : 0;
        return (expiry > block.timestamp ? expiry : block.timestamp) + duration;
    }

    /// @dev Takes exactly `amount` from the sender. Comparing balances keeps the books solvent with a token that takes a fee.
    function _pull(uint256 amount) private {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        require(received == amount, AmountMismatch(amount, received));
    }

    /// @dev Appends one entry to the ledger.
    function _record(uint8 kind, uint256 key, address who, uint256 a, uint256 b, uint256 c, bytes32 d) private {
        uint256 previous = head;
        uint256 n = (previous & SEQUENCE_MASK) + 1;
        bytes32 digest = keccak256(abi.encode(previous, kind, key, who, n, a, b, c, d));
        head = ((uint256(digest) >> SEQUENCE_BITS) << SEQUENCE_BITS) | n;
        emit Entry(kind, key, who, n, a, b, c, d);
    }

    /// @dev Checks the table of a split and returns its leaves.
    function _leaves(address[] calldata accounts, uint16[] calldata shares)
        private
        view
        returns (bytes32[] memory leaves)
    {
        uint256 count = accounts.length;
        require(count != 0 && count <= MAX_RECIPIENTS, RecipientCount(count));
        require(count == shares.length, LengthMismatch(count, shares.length));
        leaves = new bytes32[](count);
        address last = address(0);
        uint256 sum = 0;
        for (uint256 i = 0; i < count; ++i) {
            address account = accounts[i];
            uint256 share = shares[i];
            // Ascending order rules out the zero address and an account that is listed twice.
            require(account > last, AccountsNotAscending(i));
            require(account != address(this), MarketAsRecipient());
            require(share != 0, ZeroShare(i));
            leaves[i] = _leaf(account, share);
            sum += share;
            last = account;
        }
        require(sum == TOTAL_SHARES, ShareSum(sum));
    }

    /// @dev Merkle root of at least one leaf, computed level by level in place of the leaves.
    function _root(bytes32[] memory nodes) private pure returns (bytes32) {
        uint256 width = nodes.length;
        while (width > 1) {
            uint256 pairs = width / 2;
            for (uint256 i = 0; i < pairs; ++i) {
                nodes[i] = Hashes.commutativeKeccak256(nodes[2 * i], nodes[2 * i + 1]);
            }
            if (width % 2 == 1) {
                nodes[pairs] = nodes[width - 1];
                ++pairs;
            }
            width = pairs;
        }
        return nodes[0];
    }

    /// @dev Hashed twice, so that no inner node of a tree can pass for a leaf.
    function _leaf(address account, uint256 share) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, share))));
    }
}
