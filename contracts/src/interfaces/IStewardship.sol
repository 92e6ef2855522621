// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Notices, and what a steward can do about them
/// @notice The steward can stop sales, of one offer or of all. He cannot move money, touch a license, or hold back a claim,
/// a refund or a settlement. A market may have none.
interface IStewardship {
    /// @notice Only the steward may do this.
    error NotSteward();
    /// @notice Only the account that the steward named may do this.
    error NotNamed();
    /// @notice A steward who leaves must leave sales open: nobody could open them after him.
    error ResignationWhilePaused();
    /// @notice The market, or this offer, is in that state already.
    error NothingChanges();
    /// @notice No adapter has this number.
    error UnknownAdapter(uint64 adapter);
    /// @notice A digest of zero names nothing.
    error ZeroDigest();
    /// @notice No notice with this number concerns that adapter.
    error UnknownNotice(uint256 notice);

    /// @notice The last pause ended less than 30 days ago: no other one before `from`.
    error PausedTooRecently(uint256 from);

    /// @notice Stops all sales, until `unpause` and for 30 days at most. Sales run at least 30 days between two pauses.
    function pause() external;

    /// @notice Opens sales again. After the 30 days sales run without it, and anyone may call it, to save buyers some gas.
    function unpause() external;

    /// @notice Stops sales of one offer because of a notice about its adapter.
    function suspend(uint64 offer, uint256 noticeNumber) external;

    /// @notice Opens a suspended offer again, naming the notice that is settled.
    function reopen(uint64 offer, uint256 noticeNumber) external;

    /// @notice Names the account that may take over with `acceptStewardship`. Zero takes the name back.
    function nameSteward(address next) external;

    /// @notice Takes over.
    function acceptStewardship() external;

    /// @notice Leaves the market without a steward, for ever.
    function resignStewardship() external;

    /// @notice Puts a complaint about an adapter on record. Anyone may; it has no effect by itself.
    /// @param digest Hash of the complaint's text.
    /// @return number Number of the notice: the sequence of its entry.
    function notice(uint64 adapter, bytes32 digest) external returns (uint256 number);

    /// @notice Puts the owner's answer to a notice on record.
    function counterNotice(uint256 noticeNumber, bytes32 digest) external;
}
