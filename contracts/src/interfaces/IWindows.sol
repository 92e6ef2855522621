// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title How long the parties of a promise have to keep or dispute it
/// @notice Fixed when the market is deployed, each from 10 minutes to 30 days. A window has to be longer than the longest
/// outage of the party that it protects.
interface IWindows {
    /// @param close What a seller has left to redeem vouchers after a payer asked to close a channel.
    /// @param delivery What a seller has to deliver the key of an order.
    /// @param dispute What a buyer has to dispute a delivered key.
    /// @param veto What a challenger has to veto the posted root of a pool.
    struct Delays {
        uint32 close;
        uint32 delivery;
        uint32 dispute;
        uint32 veto;
    }

    /// @notice A window must last from 10 minutes to 30 days.
    error WindowOutOfBounds(uint32 window);

    /// @notice Seconds between asking to close a channel and closing it.
    function closeWindow() external view returns (uint32);

    /// @notice Seconds to deliver the key of an order.
    function deliveryWindow() external view returns (uint32);

    /// @notice Seconds to dispute a delivered key.
    function disputeWindow() external view returns (uint32);

    /// @notice Seconds to veto the posted root of a pool.
    function vetoWindow() external view returns (uint32);
}
