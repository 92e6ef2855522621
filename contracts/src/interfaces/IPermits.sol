// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ISales} from "./ISales.sol";

/// @title Any payment in one transaction
interface IPermits {
    /// @notice Grants the market an allowance of the caller by signature, then makes `call` to the market as the caller: an
    /// order, the opening of a channel, a subscription, or anything else that pays by allowance.
    /// @dev Anyone can use up the permit a moment before. The allowance is there then, so a refused permit is no error.
    /// @return answer What the call returned.
    function withPermit(ISales.Permit calldata permit, bytes calldata call) external returns (bytes memory answer);
}
