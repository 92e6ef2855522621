// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IWindows} from "./interfaces/IWindows.sol";

/// @title Windows
/// @notice See IWindows.
abstract contract Windows is IWindows {
    uint32 private constant SHORTEST = 10 minutes;
    uint32 private constant LONGEST = 30 days;

    /// @inheritdoc IWindows
    uint32 public immutable override closeWindow;
    /// @inheritdoc IWindows
    uint32 public immutable override deliveryWindow;
    /// @inheritdoc IWindows
    uint32 public immutable override disputeWindow;
    /// @inheritdoc IWindows
    uint32 public immutable override vetoWindow;

    constructor(Delays memory delays) {
        closeWindow = _bounded(delays.close);
        deliveryWindow = _bounded(delays.delivery);
        disputeWindow = _bounded(delays.dispute);
        vetoWindow = _bounded(delays.veto);
    }

    function _bounded(uint32 window) private pure returns (uint32) {
        require(window >= SHORTEST && window <= LONGEST, WindowOutOfBounds(window));
        return window;
    }
}
