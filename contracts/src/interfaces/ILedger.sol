// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title The market's hash-chained ledger
/// @notice Every change of money or rights is one `Entry`, chained into `head`: whoever replays all entries and arrives at
/// the value of `head` knows that none was left out, added, altered or reordered.
/// @dev Meaning of the fields by kind. `x | y << n` packs two numbers into one word.
/// | kind | key | who | a | b | c | d |
/// | --- | --- | --- | --- | --- | --- | --- |
/// | 1 registered | adapter | owner | manifest | baseModel | 0 | terms |
/// | 2 split created | split | creator | number of recipients | 0 | 0 | root (table: event SplitTable) |
/// | 3 offer created | offer | owner | adapter | price | split \| duration << 32 \| flags << 64 \| maxRise << 72 \| target << 88 | key hash |
/// | 4 sold | offer | holder | price | split \| time << 32 | expiry | orderRef |
/// | 5 claimed | split | account | due | cumulative | share | 0 |
/// | 6 passed on | split | parent split | due | cumulative | share | 0 |
/// | 10 withdrawn | offer | owner | adapter | 0 | 0 | 0 |
/// | 11 suspended | offer | steward | notice | 0 | 0 | 0 |
/// | 12 reopened | offer | steward | notice | 0 | 0 | 0 |
/// | 13 retired | adapter | owner | 0 | 0 | 0 | 0 |
/// | 14 notice | adapter | sender | 0 | 0 | 0 | digest |
/// | 15 counter-notice | adapter | owner | notice | 0 | 0 | digest |
/// | 16 paused | 0 | steward | until when at the latest | 0 | 0 | 0 |
/// | 17 unpaused | 0 | sender | 0 | 0 | 0 | 0 |
/// | 18 steward named | 0 | the named account | 0 | 0 | 0 | 0 |
/// | 19 steward changed | 0 | the new steward, zero after a resignation | 0 | 0 | 0 | 0 |
/// | 20 channel opened | channel | payer | deposit | offer \| price << 64 \| split << 128 \| closing time << 160 | session key | 0 |
/// | 21 topped up | channel | sender | amount | deposit after it | 0 | 0 |
/// | 22 redeemed | channel | session key | amount | split | uses in all | usage root |
/// | 23 close asked | channel | payer | closing time | 0 | 0 | 0 |
/// | 24 channel closed | channel | payer | refund | redeemed in all | 0 | 0 |
/// | 30 operator set | adapter | owner | operator | 0 | 0 | 0 |
/// | 31 ordered | order | payer | price | offer | holder | state (fields: event OrderPlaced) |
/// | 32 delivered | order | holder | offer | expiry | dispute deadline | state (fields: event KeyDelivered) |
/// | 33 disputed | order | payer | refund | offer \| time << 64 | holder \| expiry after it << 160 | secret of the order |
/// | 34 settled | order | payer | price | split \| time << 32 | offer | 0 |
/// | 35 refunded | order | payer | refund | offer \| time << 64 | 0 | 0 |
/// | 40 pool created | pool | operator | fee | period \| start << 32 | challenger | rules |
/// | 41 subscribed | pool | holder | paid | first period \| paid periods << 64 (bit i: first + i) | payer | orderRef |
/// | 42 root posted | pool | operator | amount | first period \| last << 64 \| adoptable at << 128 | data digest | root (data: event PoolData) |
/// | 43 root vetoed | pool | challenger | amount | 0 | 0 | root |
/// | 44 root adopted | pool | sender | amount | claimable until | last period | root |
/// | 45 credited from a pool | pool | sender | amount | split | last period of the root | root |
/// | 46 period refunded | pool | payer | fee | period | holder | 0 |
/// | 47 rest refunded | pool | payer | part | period | holder | root |
/// `flags` are those of IOffers at creation. `notice` is the sequence of the entry of kind 14. `time` is the block's.
interface ILedger {
    /// @notice One line of the ledger.
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

    /// @notice Head of the ledger: 215 bits of hash, 1 bit that says whether sales were paused, 40 bits of sequence.
    /// @dev With digest = keccak256(abi.encode(head, kind, key, who, n, a, b, c, d)):
    /// head' = (digest >> 41 << 41) | paused << 40 | n, where `paused` is the state after the entry: 1 from
    /// an entry of kind 16 to the next of kind 17. It starts at 1 << 41.
    function head() external view returns (uint256);

    /// @notice Whether the steward has paused sales. Claims, refunds and settlements are never paused.
    function paused() external view returns (bool);
}
