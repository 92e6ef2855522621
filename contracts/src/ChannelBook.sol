// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Registry} from "./Registry.sol";

/// @title ChannelBook
/// @notice The state of Channels.
/// @dev Redeeming must be cheap, so its code is in the market and not in the annex. The annex reserves these slots.
abstract contract ChannelBook is Registry {
    /// @dev Redeeming a voucher reads the first two slots and writes the second.
    struct Channel {
        address sessionKey;
        uint40 closeAt;
        uint32 split;
        uint128 deposit;
        uint64 price;
        uint64 uses;
        address payer;
        uint64 offer;
    }

    uint64 internal _lastChannel;
    mapping(uint64 channel => Channel) internal _channels;
}
