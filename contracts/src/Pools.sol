// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IPools} from "./interfaces/IPools.sol";
import {Registry} from "./Registry.sol";
import {Windows} from "./Windows.sol";

/// @title Pools
/// @notice See IPools.
abstract contract Pools is Registry, Windows, IPools {
    struct Pool {
        address operator;
        uint64 fee;
        uint32 period;
        address challenger;
        uint40 start;
        uint40 next;
        uint128 allocated;
        uint128 credited;
        bytes32 root;
    }

    struct PendingRoot {
        bytes32 root;
        uint128 amount;
        uint40 first;
        uint40 through;
        uint40 adoptableAt;
    }

    uint8 private constant POOL_CREATED = 40;
    uint8 private constant SUBSCRIBED = 41;
    uint8 private constant ROOT_POSTED = 42;
    uint8 private constant ROOT_VETOED = 43;
    uint8 private constant ROOT_ADOPTED = 44;
    uint8 private constant POOL_CLAIMED = 45;
    uint8 private constant PERIOD_REFUNDED = 46;

    uint256 private constant MAX_AHEAD = 24;
    /// @dev Bounds the loops of postRoot and adoptRoot.
    uint256 private constant MAX_RANGE = 64;
    uint256 private constant SILENCE = 180 days;

    uint64 private _lastPool;

    /// @inheritdoc IPools
    mapping(uint64 pool => Pool) public override pools;
    /// @inheritdoc IPools
    mapping(uint64 pool => PendingRoot) public override pendingRoots;
    /// @inheritdoc IPools
    mapping(uint64 pool => mapping(uint256 period => uint256)) public override income;
    /// @inheritdoc IPools
    mapping(uint64 pool => mapping(uint256 period => mapping(address holder => address payer)))
        public
        override subscriptions;
    /// @inheritdoc IPools
    mapping(uint64 pool => mapping(uint32 split => uint256 cumulative)) public override poolCredits;

    /// @inheritdoc IPools
    function createPool(address challenger, uint64 fee, uint32 period, bytes32 rules)
        external
        override
        returns (uint64 pool)
    {
        bool watched = challenger != address(0) && challenger != msg.sender;
        require(watched && fee != 0 && period >= 1 days && period <= 366 days, InvalidPool());
        pool = ++_lastPool;
        Pool storage terms = pools[pool];
        (terms.operator, terms.fee, terms.period) = (msg.sender, fee, period);
        (terms.challenger, terms.start) = (challenger, uint40(block.timestamp));
        uint256 packed = uint256(period) | (block.timestamp << 32);
        _record(POOL_CREATED, pool, msg.sender, fee, packed, uint256(uint160(challenger)), rules);
    }

    /// @inheritdoc IPools
    function subscribe(uint64 pool, address holder, uint256 first, uint256 count, bytes32 orderRef)
        external
        override
        nonReentrant
    {
        require(!paused(), SalesPaused());
        require(holder != address(0), ZeroSubscriber());
        Pool storage terms = _pool(pool);
        uint256 fee = terms.fee;
        uint256 current = (block.timestamp - terms.start) / terms.period;
        bool near = first >= current && first < current + MAX_AHEAD;
        require(near && count != 0 && count <= current + MAX_AHEAD - first, InvalidPeriods(first, count));
        for (uint256 period = first; period < first + count; ++period) {
            require(subscriptions[pool][period][holder] == address(0), AlreadySubscribed(pool, period));
            subscriptions[pool][period][holder] = msg.sender;
            income[pool][period] += fee;
        }
        uint256 packed = first | (count << 64);
        _record(SUBSCRIBED, pool, holder, fee * count, packed, uint256(uint160(msg.sender)), orderRef);
        _pull(msg.sender, fee * count);
    }

    /// @inheritdoc IPools
    function postRoot(uint64 pool, uint256 through, bytes32 root, bytes32 dataDigest, string calldata uri)
        external
        override
        nonReentrant
    {
        require(msg.sender == _pool(pool).operator, NotOperator(pool));
        uint256 pendingUntil = pendingRoots[pool].adoptableAt;
        require(pendingUntil == 0, RootPending(pool, pendingUntil));
        PendingRoot memory posted = _covering(pool, through);
        require(root != 0, ZeroRoot());
        posted.root = root;
        pendingRoots[pool] = posted;
        _recordPosted(pool, posted, dataDigest);
        emit PoolData(pool, root, dataDigest, uri);
    }

    /// @inheritdoc IPools
    function veto(uint64 pool) external override nonReentrant {
        require(msg.sender == _pool(pool).challenger, NotChallenger(pool));
        PendingRoot memory pending = _pending(pool);
        require(block.timestamp < pending.adoptableAt, VetoTooLate(pending.adoptableAt));
        delete pendingRoots[pool];
        _record(ROOT_VETOED, pool, msg.sender, pending.amount, 0, 0, pending.root);
    }

    /// @inheritdoc IPools
    function adoptRoot(uint64 pool) external override nonReentrant {
        Pool storage terms = _pool(pool);
        PendingRoot memory pending = _pending(pool);
        require(block.timestamp >= pending.adoptableAt, RootPending(pool, pending.adoptableAt));
        delete pendingRoots[pool];
        // What waits in a period is refundable one day: an allocated fee must not wait any more.
        for (uint256 period = pending.first; period <= pending.through; ++period) {
            delete income[pool][period];
        }
        terms.root = pending.root;
        terms.allocated += pending.amount;
        terms.next = pending.through + 1;
        _record(ROOT_ADOPTED, pool, msg.sender, pending.amount, terms.allocated, pending.through, pending.root);
    }

    /// @inheritdoc IPools
    function claimPool(uint64 pool, uint32 split, uint256 cumulative, bytes32[] calldata proof)
        external
        override
        nonReentrant
        returns (uint256 due)
    {
        Pool storage terms = _pool(pool);
        _requireSplit(split);
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(uint256(split), cumulative))));
        require(MerkleProof.verifyCalldata(proof, terms.root, leaf), InvalidPoolProof());
        uint256 earlier = poolCredits[pool][split];
        require(cumulative > earlier, NothingAllocated(pool, split));
        due = cumulative - earlier;
        uint256 left = terms.allocated - terms.credited;
        require(due <= left, AllocationExceeded(due, left));
        poolCredits[pool][split] = cumulative;
        // forge-lint: disable-next-line(unsafe-typecast)
        terms.credited += uint128(due); // at most allocated, which is a uint128
        _credit(split, due);
        _record(POOL_CLAIMED, pool, msg.sender, due, split, cumulative, terms.root);
    }

    /// @inheritdoc IPools
    function refundPeriod(uint64 pool, uint256 period, address holder) external override nonReentrant {
        Pool storage terms = _pool(pool);
        require(_isRefundable(pool, terms, period), NotRefundable(pool, period));
        address payer = subscriptions[pool][period][holder];
        require(payer != address(0), NotSubscribed(pool, period, holder));
        uint256 fee = terms.fee;
        delete subscriptions[pool][period][holder];
        income[pool][period] -= fee;
        _record(PERIOD_REFUNDED, pool, payer, fee, period, uint256(uint160(holder)), 0);
        _pay(payer, fee);
    }

    function _pool(uint64 pool) private view returns (Pool storage terms) {
        terms = pools[pool];
        require(terms.operator != address(0), UnknownPool(pool));
    }

    function _pending(uint64 pool) private view returns (PendingRoot memory pending) {
        pending = pendingRoots[pool];
        require(pending.adoptableAt != 0, NoRootPending(pool));
    }

    /// @dev A root, yet to be filled in, over all periods to `through` that can be allocated now.
    function _covering(uint64 pool, uint256 through) private view returns (PendingRoot memory posted) {
        Pool storage terms = pools[pool];
        uint256 first = _firstAllocable(terms);
        bool bounded = through >= first && through < first + MAX_RANGE;
        require(bounded && _endOf(terms, through) <= block.timestamp, InvalidRange(first, through));
        for (uint256 period = first; period <= through; ++period) {
            posted.amount += uint128(income[pool][period]);
        }
        // forge-lint: disable-next-line(unsafe-typecast)
        (posted.first, posted.through) = (uint40(first), uint40(through)); // both before now
        posted.adoptableAt = uint40(block.timestamp) + vetoWindow;
    }

    function _recordPosted(uint64 pool, PendingRoot memory posted, bytes32 dataDigest) private {
        uint256 packed = posted.first | (uint256(posted.through) << 64) | (uint256(posted.adoptableAt) << 128);
        _record(ROOT_POSTED, pool, msg.sender, posted.amount, packed, uint256(dataDigest), posted.root);
    }

    /// @dev The first period that was not adopted and whose time to be allocated is not over.
    function _firstAllocable(Pool storage terms) private view returns (uint256) {
        uint256 silent = terms.start + SILENCE;
        uint256 first = block.timestamp < silent ? 0 : (block.timestamp - silent) / terms.period;
        return first > terms.next ? first : terms.next;
    }

    /// @dev The period's time is over, and neither an adopted nor a posted root covers it.
    function _isRefundable(uint64 pool, Pool storage terms, uint256 period) private view returns (bool) {
        PendingRoot storage pending = pendingRoots[pool];
        bool posted = pending.adoptableAt != 0 && period >= pending.first && period <= pending.through;
        return !posted && income[pool][period] != 0 && _endOf(terms, period) + SILENCE <= block.timestamp;
    }

    function _endOf(Pool storage terms, uint256 period) private view returns (uint256) {
        return terms.start + (period + 1) * terms.period;
    }
}
