// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Subscriptions to a whole catalogue, paid out per period
/// @notice A subscriber pays a fee per period for all adapters of a pool. After a period its operator divides the fees by
/// the pool's published rule and posts a Merkle root over what each split earned in the periods that it covers, with the
/// digest of the data behind it. While the veto window runs nothing can be claimed, and the pool's challenger, who
/// recomputes the root from the data, can strike it out. After it anyone adopts the root, and each split is credited what
/// it proves.
/// @dev What operator and challenger together can do at worst is to divide adopted fees wrongly:
/// - the splits of a pool never get more from a root than the fees of its periods;
/// - an adopted root is final: no later root takes or gives any of its fees;
/// - the fees of running and coming periods cannot be allocated at all;
/// - nothing leaves but to splits, each of which holds the platform's share, or back to the subscribers.
///
/// No fee is stuck, whoever is away. A period is in one state at any time: waiting, in the posted root, adopted, or
/// refundable.
/// - A period can be allocated until 180 days after its end. From then on it can only be refunded: anyone may send each
///   subscriber's fee of that period back to whoever paid it.
/// - A posted root that nobody vetoed or adopted within 30 days after its veto window has lapsed: it counts no more, and
///   its periods wait again or are refundable.
/// - Splits are credited from an adopted root for 180 days. What none of them proved by then goes back, in equal parts, to
///   those who paid the fees of its periods. Nothing is credited any more, so that the two never compete.
interface IPools {
    /// @notice What a split has to be credited.
    /// @param through Last period of the adopted root.
    /// @param units What the root gives the split.
    struct PoolClaim {
        uint64 pool;
        uint256 through;
        uint32 split;
        uint256 units;
        bytes32[] proof;
    }

    /// @notice The data behind a posted root, so that anyone can recompute it.
    /// @param dataDigest Digest of the data at `uri`: uses per subscriber, and the totals per split.
    event PoolData(uint64 indexed pool, bytes32 indexed root, bytes32 dataDigest, string uri);

    /// @notice No pool has this number.
    error UnknownPool(uint64 pool);
    /// @notice A pool needs a fee, a period from 1 to 366 days, and a challenger who is not its operator.
    error InvalidPool();
    /// @notice A subscription covers at least one period, and none that is past or further ahead than 24 periods.
    error InvalidPeriods();
    /// @notice All wanted periods are paid for the holder.
    error AlreadySubscribed();
    /// @notice The pool of this number has other terms than the subscriber agreed to.
    error OtherTerms();
    /// @notice A subscription needs a holder.
    error ZeroSubscriber();
    /// @notice Only the pool's operator may post.
    error NotOperator(uint64 pool);
    /// @notice Only the pool's challenger may veto.
    error NotChallenger(uint64 pool);
    /// @notice A posted root awaits its veto window, or to be adopted.
    error RootPending(uint256 adoptableAt);
    /// @notice A root of zero proves nothing.
    error ZeroRoot();
    /// @notice No posted root awaits anything.
    error NoRootPending();
    /// @notice A root covers at least one period, at most 64, and only such as are over.
    error InvalidRange(uint256 first, uint256 through);
    /// @notice The veto window is over.
    error VetoTooLate(uint256 adoptableAt);
    /// @notice No adopted root ends with this period, or its time for claims is over.
    error NotClaimable();
    /// @notice The units are not in the adopted root.
    error InvalidPoolProof();
    /// @notice All of it was credited or paid before.
    error NothingAllocated();
    /// @notice The root gives out more than was paid in for its periods.
    error AllocationExceeded(uint256 due, uint256 left);
    /// @notice The period was allocated or still can be, or its splits can still be credited.
    error NotRefundable();
    /// @notice The holder has not paid for this period, or has it back.
    error NotSubscribed();

    /// @notice Opens a pool of which the caller is the operator. Its terms never change. Period 0 begins now.
    /// @param challenger Who can veto a posted root.
    /// @param fee Units per period and subscriber.
    /// @param period Length of a period in seconds.
    /// @param rules Digest of the document with the rule of division.
    /// @return pool Number of the pool, from 1.
    function createPool(address challenger, uint64 fee, uint32 period, bytes32 rules) external returns (uint64 pool);

    /// @notice Pays the wanted periods for `holder`, except those that are paid already; the caller must have approved their
    /// fees to the market.
    /// @dev Anybody may give anybody a period; that must not stop those who pay for a row of them.
    /// @param terms What the pool's `terms` must be: after a reorganisation its number may be another pool's.
    /// @param wanted Bit i stands for period `first` + i; more fees than it has bits are never taken.
    function subscribe(uint64 pool, bytes32 terms, address holder, uint256 first, uint256 wanted, bytes32 orderRef)
        external;

    /// @notice Posts the root over (split, units) that allocates all periods from the last adopted one to `through`.
    /// @dev Leaf: keccak256(keccak256(abi.encode(uint256(split), units))), the tree as in ISplits.createSplit.
    /// Periods that became refundable meanwhile are passed over. A root that lapsed makes room.
    function postRoot(uint64 pool, uint256 through, bytes32 root, bytes32 dataDigest, string calldata uri) external;

    /// @notice Strikes out the posted root. Its periods can be posted again while their time runs.
    function veto(uint64 pool) external;

    /// @notice Makes the posted root one that splits prove against, after the veto window and before it lapses. Anyone may
    /// call.
    function adoptRoot(uint64 pool) external;

    /// @notice Credits each split, once, what an adopted root gives it; claims that were credited before are passed over.
    /// Anyone may call.
    /// @return due Units credited.
    function claimPool(PoolClaim[] calldata claims) external returns (uint256 due);

    /// @notice Returns the fee of a period that was not allocated in time to whoever paid it. Anyone may call.
    function refundPeriod(uint64 pool, uint256 period, address holder) external;

    /// @notice Returns a fee's part of what no split claimed in time from an adopted root to whoever paid it. Anyone may
    /// call.
    /// @param through Last period of the adopted root.
    function refundRest(uint64 pool, uint256 through, uint256 period, address holder) external;

    /// @notice A pool; zero operator = none with this number.
    /// @return operator Who posts roots.
    /// @return fee Units per period and subscriber.
    /// @return period Seconds.
    /// @return challenger Who can veto.
    /// @return start When period 0 began.
    /// @return next The period after the last one that an adopted root covers.
    /// @return posted The period after the last one that the posted root covers, lapsed or not; zero = none is posted.
    /// @return terms keccak256(abi.encode(operator, challenger, fee, period, rules)).
    function pools(uint64 pool)
        external
        view
        returns (
            address operator,
            uint64 fee,
            uint32 period,
            address challenger,
            uint40 start,
            uint24 next,
            uint24 posted,
            bytes32 terms
        );

    /// @notice A root that was posted, by the last of its periods; zero root = none.
    /// @return root What splits prove against.
    /// @return left Fees of its periods, without what was credited or refunded.
    /// @return first First of its periods.
    /// @return time Posted: when the veto window ends. Adopted: when claims end, and refunds of the rest begin.
    /// @return fees Adopted: how many fees of its periods have got no part of the rest back. Zero: not adopted, or nothing
    /// to give.
    function roots(uint64 pool, uint256 through)
        external
        view
        returns (bytes32 root, uint128 left, uint40 first, uint40 time, uint48 fees);

    /// @notice Fees that wait in a period; nothing once a root that covers it is adopted.
    function income(uint64 pool, uint256 period) external view returns (uint256);

    /// @notice Who paid the holder's fee of a period; zero = not subscribed.
    function subscriptions(uint64 pool, uint256 period, address holder) external view returns (address payer);

    /// @notice Units credited to a split from the adopted root that ends with a period.
    function poolCredits(uint64 pool, uint256 through, uint32 split) external view returns (uint256 units);
}
