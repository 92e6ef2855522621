// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IStewardship} from "./interfaces/IStewardship.sol";
import {Registry} from "./Registry.sol";

/// @title Stewardship
/// @notice See IStewardship.
abstract contract Stewardship is Registry, IStewardship {
    uint8 private constant OFFER_SUSPENDED = 11;
    uint8 private constant OFFER_REOPENED = 12;
    uint8 private constant NOTICE = 14;
    uint8 private constant COUNTER_NOTICE = 15;
    uint8 private constant PAUSED_SALES = 16;
    uint8 private constant UNPAUSED_SALES = 17;
    uint8 private constant STEWARD_NAMED = 18;
    uint8 private constant STEWARD_CHANGED = 19;

    uint40 private constant LONGEST_PAUSE = 30 days;

    modifier onlySteward() {
        require(msg.sender == steward, NotSteward());
        _;
    }

    /// @inheritdoc IStewardship
    function pause() external override onlySteward {
        require(!paused(), NothingChanges());
        uint40 earliest = pausedUntil + LONGEST_PAUSE;
        require(block.timestamp >= earliest, PausedTooRecently(earliest));
        uint40 until = uint40(block.timestamp) + LONGEST_PAUSE;
        pausedUntil = until;
        _record(PAUSED_SALES, 0, msg.sender, until, 0, 0, 0);
        _setPaused(true);
    }

    /// @inheritdoc IStewardship
    function unpause() external override {
        require(_isMarkedPaused(), NothingChanges());
        if (block.timestamp < pausedUntil) {
            require(msg.sender == steward, NotSteward());
            pausedUntil = uint40(block.timestamp);
        }
        _record(UNPAUSED_SALES, 0, msg.sender, 0, 0, 0, 0);
        _setPaused(false);
    }

    /// @inheritdoc IStewardship
    function suspend(uint64 offer, uint256 noticeNumber) external override onlySteward {
        _setSuspended(offer, noticeNumber, true);
        _record(OFFER_SUSPENDED, offer, msg.sender, noticeNumber, 0, 0, 0);
    }

    /// @inheritdoc IStewardship
    function reopen(uint64 offer, uint256 noticeNumber) external override onlySteward {
        _setSuspended(offer, noticeNumber, false);
        _record(OFFER_REOPENED, offer, msg.sender, noticeNumber, 0, 0, 0);
    }

    /// @inheritdoc IStewardship
    function nameSteward(address next) external override onlySteward {
        namedSteward = next;
        _record(STEWARD_NAMED, 0, next, 0, 0, 0, 0);
    }

    /// @inheritdoc IStewardship
    function acceptStewardship() external override {
        require(msg.sender == namedSteward, NotNamed());
        _changeSteward(msg.sender);
    }

    /// @inheritdoc IStewardship
    function resignStewardship() external override onlySteward {
        require(!paused(), ResignationWhilePaused());
        _changeSteward(address(0));
    }

    /// @inheritdoc IStewardship
    function notice(uint64 adapter, bytes32 digest) external override returns (uint256 number) {
        require(adapters[adapter].owner != address(0), UnknownAdapter(adapter));
        require(digest != 0, ZeroDigest());
        number = _record(NOTICE, adapter, msg.sender, 0, 0, 0, digest);
        notices[number] = adapter;
    }

    /// @inheritdoc IStewardship
    function counterNotice(uint256 noticeNumber, bytes32 digest) external override {
        uint64 adapter = notices[noticeNumber];
        require(adapter != 0, UnknownNotice(noticeNumber));
        require(adapters[adapter].owner == msg.sender, NotAdapterOwner(adapter));
        require(digest != 0, ZeroDigest());
        _record(COUNTER_NOTICE, adapter, msg.sender, noticeNumber, 0, 0, digest);
    }

    function _changeSteward(address next) private {
        steward = next;
        namedSteward = address(0);
        _record(STEWARD_CHANGED, 0, next, 0, 0, 0, 0);
    }

    function _setSuspended(uint64 offer, uint256 noticeNumber, bool suspended) private {
        uint64 adapter = adapterOfOffer(offer);
        require(adapter != 0, UnknownOffer(offer));
        require(notices[noticeNumber] == adapter, UnknownNotice(noticeNumber));
        uint8 flags = offers[offer].flags;
        require((flags & SUSPENDED != 0) != suspended, NothingChanges());
        offers[offer].flags = flags ^ SUSPENDED;
    }
}
