// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title Money for development chains and test networks
/// @notice Anyone can mint any amount: it is worth nothing, and must never be the token of a market that handles value.
contract TestToken is ERC20, ERC20Permit, ERC3009 {
    constructor() ERC20("viz test dollar", "tVIZ") ERC20Permit("viz test dollar") {}

    /// @notice Creates `amount` units for `account`.
    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    /// @notice Six decimals, as the dollar tokens that stand in production have.
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
