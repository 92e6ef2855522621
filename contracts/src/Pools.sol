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
        uint24 next;
        uint24 posted;
        bytes32 terms;
    }

    /// @dev Posted with no `fees`; adopted, `fees` counts those that may still get a part of what is left back.
    struct Root {
        bytes32 root;
        uint128 left;
        uint40 first;
        uint40 time;
        uint48 fees;
    }

    uint8 private constant POOL_CREATED = 40;
    uint8 private constant SUBSCRIBED = 41;
    uint8 private constant ROOT_POSTED = 42;
    uint8 private constant ROOT_VETOED = 43;
    uint8 private constant ROOT_ADOPTED = 44;
    uint8 private constant POOL_CLAIMED = 45;
    uint8 private constant PERIOD_REFUNDED = 46;
    uint8 private constant REST_REFUNDED = 47;

    uint256 private constant MAX_AHEAD = 24;
    /// @dev Bounds the loops of postRoot and adoptRoot.
    uint256 private constant MAX_RANGE = 64;
    uint256 private constant SILENCE = 180 days;
    /// @dev Anyone may adopt, for the gas of one call: who is not there in this time will not come.
    uint256 private constant LAPSE = 30 days;
    uint256 private constant CREDIT_TIME = 180 days;

    uint64 private _lastPool;

    /// @inheritdoc IPools
    mapping(uint64 pool => Pool) public override pools;
    /// @inheritdoc IPools
    mapping(uint64 pool => mapping(uint256 through => Root)) public override roots;
    /// @inheritdoc IPools
    mapping(uint64 pool => mapping(uint256 period => uint256)) public override income;
    /// @inheritdoc IPools
    mapping(uint64 pool => mapping(uint256 period => mapping(address holder => address payer)))
        public
        override subscriptions;
    /// @inheritdoc IPools
    mapping(uint64 pool => mapping(uint256 through => mapping(uint32 split => uint256 units)))
        public
        override poolCredits;

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
        terms.terms = keccak256(abi.encode(msg.sender, challenger, fee, period, rules));
        uint256 packed = uint256(period) | (block.timestamp << 32);
        _record(POOL_CREATED, pool, msg.sender, fee, packed, uint256(uint160(challenger)), rules);
    }

    /// @inheritdoc IPools
    function subscribe(uint64 pool, bytes32 terms, address holder, uint256 first, uint256 wanted, bytes32 orderRef)
        external
        override
        nonReentrant
    {
        require(!paused(), SalesPaused());
        require(holder != address(0), ZeroSubscriber());
        require(_pool(pool).terms == terms, OtherTerms());
        _requireNear(pools[pool], first, wanted);
        (uint256 price, uint256 entered) = _enter(pool, holder, first, wanted);
        require(price != 0, AlreadySubscribed());
        _record(SUBSCRIBED, pool, holder, price, first | (entered << 64), uint256(uint160(msg.sender)), orderRef);
        _pull(msg.sender, price);
    }

    /// @inheritdoc IPools
    function postRoot(uint64 pool, uint256 through, bytes32 root, bytes32 dataDigest, string calldata uri)
        external
        override
        nonReentrant
    {
        Pool storage terms = _pool(pool);
        require(msg.sender == terms.operator, NotOperator(pool));
        (bool pending,, Root storage earlier) = _posted(pool, terms);
        require(!pending, RootPending(earlier.time));
        require(root != 0, ZeroRoot());
        Root memory posted = _covering(pool, terms, through);
        posted.root = root;
        roots[pool][through] = posted;
        // forge-lint: disable-next-line(unsafe-typecast)
        terms.posted = uint24(through + 1); // a day at least each, and before now
        uint256 packed = posted.first | (through << 64) | (uint256(posted.time) << 128);
        _record(ROOT_POSTED, pool, msg.sender, posted.left, packed, uint256(dataDigest), root);
        emit PoolData(pool, root, dataDigest, uri);
    }

    /// @inheritdoc IPools
    function veto(uint64 pool) external override nonReentrant {
        Pool storage terms = _pool(pool);
        require(msg.sender == terms.challenger, NotChallenger(pool));
        (, Root storage posted) = _pending(pool, terms);
        require(block.timestamp < posted.time, VetoTooLate(posted.time));
        terms.posted = 0;
        _record(ROOT_VETOED, pool, msg.sender, posted.left, 0, 0, posted.root);
    }

    /// @inheritdoc IPools
    function adoptRoot(uint64 pool) external override nonReentrant {
        Pool storage terms = _pool(pool);
        (uint256 through, Root storage posted) = _pending(pool, terms);
        require(block.timestamp >= posted.time, RootPending(posted.time));
        // What waits in a period is refundable one day: an allocated fee must not wait any more.
        for (uint256 period = posted.first; period <= through; ++period) {
            delete income[pool][period];
        }
        uint256 until = block.timestamp + CREDIT_TIME;
        // forge-lint: disable-next-line(unsafe-typecast)
        (terms.next, terms.posted) = (uint24(through + 1), 0); // as when it was posted
        // forge-lint: disable-next-line(unsafe-typecast)
        (posted.time, posted.fees) = (uint40(until), uint48(posted.left / terms.fee)); // each was paid in a loop
        _record(ROOT_ADOPTED, pool, msg.sender, posted.left, until, through, posted.root);
    }

    /// @inheritdoc IPools
    function claimPool(PoolClaim[] calldata claims) external override nonReentrant returns (uint256 due) {
        for (uint256 i = 0; i < claims.length; ++i) {
            due += _claimPool(claims[i]);
        }
        require(due != 0, NothingAllocated());
    }

    /// @inheritdoc IPools
    function refundPeriod(uint64 pool, uint256 period, address holder) external override nonReentrant {
        Pool storage terms = _pool(pool);
        require(_isRefundable(pool, terms, period), NotRefundable());
        address payer = _leave(pool, period, holder);
        uint256 fee = terms.fee;
        income[pool][period] -= fee;
        _record(PERIOD_REFUNDED, pool, payer, fee, period, uint256(uint160(holder)), 0);
        _pay(payer, fee);
    }

    /// @inheritdoc IPools
    function refundRest(uint64 pool, uint256 through, uint256 period, address holder) external override nonReentrant {
        Root storage adopted = roots[pool][through];
        (uint256 left, uint256 fees) = (adopted.left, adopted.fees);
        bool over = fees != 0 && block.timestamp >= adopted.time;
        require(over && period >= adopted.first && period <= through, NotRefundable());
        address payer = _leave(pool, period, holder);
        // Rounded up, so that no unit stays: the parts differ by at most one, and the last ones find nothing left.
        uint256 part = (left + fees - 1) / fees;
        require(part != 0, NothingAllocated());
        // forge-lint: disable-next-line(unsafe-typecast)
        (adopted.left, adopted.fees) = (uint128(left - part), uint48(fees - 1)); // at most what they were
        _record(REST_REFUNDED, pool, payer, part, period, uint256(uint160(holder)), adopted.root);
        _pay(payer, part);
    }

    /// @dev Pays those of the wanted periods that the holder does not have, and says which.
    function _enter(uint64 pool, address holder, uint256 first, uint256 wanted)
        private
        returns (uint256 price, uint256 entered)
    {
        uint256 fee = pools[pool].fee;
        for (uint256 i = 0; wanted >> i != 0; ++i) {
            uint256 period = first + i;
            if ((wanted >> i) & 1 == 0 || subscriptions[pool][period][holder] != address(0)) continue;
            subscriptions[pool][period][holder] = msg.sender;
            income[pool][period] += fee;
            price += fee;
            entered |= 1 << i;
        }
    }

    /// @dev Takes the holder out of a period, for the payer to have money back.
    function _leave(uint64 pool, uint256 period, address holder) private returns (address payer) {
        payer = subscriptions[pool][period][holder];
        require(payer != address(0), NotSubscribed());
        delete subscriptions[pool][period][holder];
    }

    /// @dev Credits a split what is its own by a valid proof, unless it has it.
    function _claimPool(PoolClaim calldata one) private returns (uint256 units) {
        _requireSplit(one.split);
        Root storage adopted = roots[one.pool][one.through];
        require(adopted.fees != 0 && block.timestamp < adopted.time, NotClaimable());
        units = one.units;
        bytes32 root = adopted.root;
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(uint256(one.split), units))));
        require(MerkleProof.verifyCalldata(one.proof, root, leaf), InvalidPoolProof());
        mapping(uint32 split => uint256) storage credits = poolCredits[one.pool][one.through];
        if (units == 0 || credits[one.split] != 0) return 0;
        uint256 left = adopted.left;
        require(units <= left, AllocationExceeded(units, left));
        credits[one.split] = units;
        // forge-lint: disable-next-line(unsafe-typecast)
        adopted.left = uint128(left - units); // at most what it was
        _credit(one.split, units);
        _record(POOL_CLAIMED, one.pool, msg.sender, units, one.split, one.through, root);
    }

    function _requireNear(Pool storage terms, uint256 first, uint256 wanted) private view {
        uint256 current = (block.timestamp - terms.start) / terms.period;
        bool near = first >= current && first < current + MAX_AHEAD;
        require(near && wanted != 0 && wanted >> (current + MAX_AHEAD - first) == 0, InvalidPeriods());
    }

    function _pool(uint64 pool) private view returns (Pool storage terms) {
        terms = pools[pool];
        require(terms.operator != address(0), UnknownPool(pool));
    }

    /// @dev The root that was posted last, and whether it is neither vetoed, adopted nor lapsed.
    function _posted(uint64 pool, Pool storage terms)
        private
        view
        returns (bool pending, uint256 through, Root storage posted)
    {
        unchecked {
            through = uint256(terms.posted) - 1; // without one, a period that no root ends with
        }
        posted = roots[pool][through];
        pending = block.timestamp < posted.time + LAPSE;
    }

    function _pending(uint64 pool, Pool storage terms) private view returns (uint256 through, Root storage posted) {
        bool pending;
        (pending, through, posted) = _posted(pool, terms);
        require(pending, NoRootPending());
    }

    /// @dev A root, yet to be filled in, over all periods to `through` that can be allocated now.
    function _covering(uint64 pool, Pool storage terms, uint256 through) private view returns (Root memory posted) {
        uint256 first = _firstAllocable(terms);
        bool bounded = through >= first && through < first + MAX_RANGE;
        require(bounded && _endOf(terms, through) <= block.timestamp, InvalidRange(first, through));
        for (uint256 period = first; period <= through; ++period) {
            posted.left += uint128(income[pool][period]);
        }
        // forge-lint: disable-next-line(unsafe-typecast)
        posted.first = uint40(first); // before now
        posted.time = uint40(block.timestamp) + vetoWindow;
    }

    /// @dev The first period that was not adopted and whose time to be allocated is not over.
    function _firstAllocable(Pool storage terms) private view returns (uint256) {
        uint256 silent = terms.start + SILENCE;
        uint256 first = block.timestamp < silent ? 0 : (block.timestamp - silent) / terms.period;
        return first > terms.next ? first : terms.next;
    }

    /// @dev The period's time is over, and neither an adopted nor a posted root covers it.
    function _isRefundable(uint64 pool, Pool storage terms, uint256 period) private view returns (bool) {
        (bool pending, uint256 through, Root storage posted) = _posted(pool, terms);
        bool covered = pending && period >= posted.first && period <= through;
        return !covered && income[pool][period] != 0 && _endOf(terms, period) + SILENCE <= block.timestamp;
    }

    function _endOf(Pool storage terms, uint256 period) private view returns (uint256) {
        return terms.start + (period + 1) * terms.period;
    }
}
