// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Subscriptions to a whole catalogue, paid out per period
/// @notice A subscriber pays a fee per period for all adapters of a pool. After a period its operator divides the fees by
/// the pool's published rule and posts a Merkle root over what each split earned in all periods so far, with the digest of
/// the data behind it. While the veto window runs nothing can be claimed, and the pool's challenger, who recomputes the
/// root from the data, can strike it out. After it anyone adopts the root, and each split is credited what it proves.
/// @dev What operator and challenger together can do at worst is to divide adopted fees wrongly:
/// - the splits of a pool never get more than the fees of the periods whose root was adopted;
/// - the fees of running and coming periods cannot be allocated at all;
/// - nothing leaves but to splits, each of which holds the platform's share, or back to the subscribers.
///
/// No fee is stuck for ever. A period can be allocated until 180 days after its end. From then on it can only be
/// refunded: anyone may send each subscriber's fee of that period back to whoever paid it. A period is in one state at any
/// time: waiting, in the posted root, adopted, or refundable. Fees of periods that nobody posted are part of the next root
/// while their time runs, so nothing is lost by posting late.
interface IPools {
    /// @notice The data behind a posted root, so that anyone can recompute it.
    /// @param dataDigest Digest of the data at `uri`: uses per subscriber, and the totals per split.
    event PoolData(uint64 indexed pool, bytes32 indexed root, bytes32 dataDigest, string uri);

    /// @notice No pool has this number.
    error UnknownPool(uint64 pool);
    /// @notice A pool needs a fee, a period from 1 to 366 days, and a challenger who is not its operator.
    error InvalidPool();
    /// @notice A subscription covers at least one period, and none that is past or further ahead than 24 periods.
    error InvalidPeriods(uint256 first, uint256 count);
    /// @notice The holder has paid for this period.
    error AlreadySubscribed(uint64 pool, uint256 period);
    /// @notice A subscription needs a holder.
    error ZeroSubscriber();
    /// @notice Only the pool's operator may post.
    error NotOperator(uint64 pool);
    /// @notice Only the pool's challenger may veto.
    error NotChallenger(uint64 pool);
    /// @notice A posted root awaits its veto window.
    error RootPending(uint64 pool, uint256 adoptableAt);
    /// @notice A root of zero proves nothing.
    error ZeroRoot();
    /// @notice No posted root awaits anything.
    error NoRootPending(uint64 pool);
    /// @notice A root covers at least one period, at most 64, and only such as are over.
    error InvalidRange(uint256 first, uint256 through);
    /// @notice The veto window is over.
    error VetoTooLate(uint256 adoptableAt);
    /// @notice The totals are not in the adopted root.
    error InvalidPoolProof();
    /// @notice The split was credited this much before.
    error NothingAllocated(uint64 pool, uint32 split);
    /// @notice The root gives out more than was paid in for its periods.
    error AllocationExceeded(uint256 due, uint256 left);
    /// @notice The period was allocated, or still can be.
    error NotRefundable(uint64 pool, uint256 period);
    /// @notice The holder has not paid for this period, or has it back.
    error NotSubscribed(uint64 pool, uint256 period, address holder);

    /// @notice Opens a pool of which the caller is the operator. Its terms never change. Period 0 begins now.
    /// @param challenger Who can veto a posted root.
    /// @param fee Units per period and subscriber.
    /// @param period Length of a period in seconds.
    /// @param rules Digest of the document with the rule of division.
    /// @return pool Number of the pool, from 1.
    function createPool(address challenger, uint64 fee, uint32 period, bytes32 rules) external returns (uint64 pool);

    /// @notice Pays `count` periods for `holder`, from number `first`; the caller must have approved the fees to the market.
    function subscribe(uint64 pool, address holder, uint256 first, uint256 count, bytes32 orderRef) external;

    /// @notice Posts the root over (split, cumulative units) that allocates all periods from the last adopted one to `through`.
    /// @dev Leaf: keccak256(keccak256(abi.encode(uint256(split), cumulative))), the tree as in ISplits.createSplit.
    /// Periods that became refundable meanwhile are passed over.
    function postRoot(uint64 pool, uint256 through, bytes32 root, bytes32 dataDigest, string calldata uri) external;

    /// @notice Strikes out the posted root. Its periods can be posted again while their time runs.
    function veto(uint64 pool) external;

    /// @notice Makes the posted root the one that splits prove against, after the veto window. Anyone may call.
    function adoptRoot(uint64 pool) external;

    /// @notice Credits a split what the adopted root gives it beyond what it was credited before. Anyone may call.
    /// @return due Units credited.
    function claimPool(uint64 pool, uint32 split, uint256 cumulative, bytes32[] calldata proof)
        external
        returns (uint256 due);

    /// @notice Returns the fee of a period that was not allocated in time to whoever paid it. Anyone may call.
    function refundPeriod(uint64 pool, uint256 period, address holder) external;

    /// @notice A pool; zero operator = none with this number.
    /// @return operator Who posts roots.
    /// @return fee Units per period and subscriber.
    /// @return period Seconds.
    /// @return challenger Who can veto.
    /// @return start When period 0 began.
    /// @return next The period after the last one that an adopted root covers.
    /// @return allocated Fees of the periods covered by adopted roots.
    /// @return credited Units credited to splits so far.
    /// @return root The adopted root.
    function pools(uint64 pool)
        external
        view
        returns (
            address operator,
            uint64 fee,
            uint32 period,
            address challenger,
            uint40 start,
            uint40 next,
            uint128 allocated,
            uint128 credited,
            bytes32 root
        );

    /// @notice The posted root of a pool that awaits its veto window; zero root = none.
    /// @return root What was posted.
    /// @return amount Fees of its periods.
    /// @return first First of its periods.
    /// @return through Last of its periods.
    /// @return adoptableAt End of the veto window.
    function pendingRoots(uint64 pool)
        external
        view
        returns (bytes32 root, uint128 amount, uint40 first, uint40 through, uint40 adoptableAt);

    /// @notice Fees that wait in a period; nothing once a root that covers it is adopted.
    function income(uint64 pool, uint256 period) external view returns (uint256);

    /// @notice Who paid the holder's fee of a period; zero = not subscribed.
    function subscriptions(uint64 pool, uint256 period, address holder) external view returns (address payer);

    /// @notice Units credited from a pool to a split so far.
    function poolCredits(uint64 pool, uint32 split) external view returns (uint256 cumulative);
}
