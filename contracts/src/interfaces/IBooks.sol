// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title The one treasury of a market, and what it owes to whom
interface IBooks {
    /// @notice The constructor was given an address without code.
    error TokenWithoutCode(address token);
    /// @notice The constructor was given a fee above 1000 basis points, or a fee and no platform, or the reverse.
    error InvalidPlatformFee(address platform, uint16 fee);
    /// @notice The token moved another amount than asked; a token that takes a fee cannot be used.
    error AmountMismatch(uint256 expected, uint256 received);
    /// @notice No split has this number.
    error UnknownSplit(uint32 split);

    /// @notice The only token of this market.
    function token() external view returns (IERC20);

    /// @notice Who receives the platform's fee; zero if there is none.
    function platform() external view returns (address);

    /// @notice The least share that every split gives to the platform, in basis points, at most 1000.
    function platformFee() external view returns (uint16);

    /// @notice A split: units paid in, units paid out, root of its table; zero root = none with this number.
    function splits(uint32 split) external view returns (uint128 acc, uint128 paid, bytes32 root);

    /// @notice Units that were paid to `account` from a split so far.
    function claimed(uint32 split, address account) external view returns (uint256 cumulative);
}
