// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Books} from "./Books.sol";
import {IPermits} from "./interfaces/IPermits.sol";
import {ISales} from "./interfaces/ISales.sol";

/// @title Permits
/// @notice See IPermits.
abstract contract Permits is Books, IPermits {
    /// @inheritdoc IPermits
    /// @dev A delegate call to itself keeps the caller, and can do nothing that the caller could not do without it.
    function withPermit(ISales.Permit calldata permit, bytes calldata call)
        external
        override
        returns (bytes memory answer)
    {
        try IERC20Permit(address(token))
            .permit(msg.sender, address(this), permit.value, permit.deadline, permit.v, permit.r, permit.s) {}
            catch {}
        return Address.functionDelegateCall(address(this), call);
    }
}
