// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

/// @notice TestToken as tests see it. Who imports the contract itself is compiled as slowly as what is deployed.
interface IToken is IERC20, IERC20Permit {
    function mint(address account, uint256 amount) external;
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
}

/// @notice BlockingToken of Tokens.sol.
interface IBlockingToken is IToken {
    error Blocked();

    function setBlocked(address account) external;
}

/// @notice CallingToken of Tokens.sol.
interface ICallingToken is IToken {
    function arm(address target, bytes calldata call) external;
    function answer() external view returns (bytes memory);
    function succeeded() external view returns (bool);
}
