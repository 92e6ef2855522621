// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ISplits} from "./interfaces/ISplits.sol";
import {Ledger} from "./Ledger.sol";

/// @title Books
/// @notice The one treasury of a market: its token, and the only ways for money to come in and to go out.
abstract contract Books is Ledger, ISplits, ReentrancyGuardTransient, EIP712 {
    using SafeERC20 for IERC20;

    /// @inheritdoc ISplits
    IERC20 public immutable override token;

    constructor(IERC20 token_) EIP712("viz-node", "1") {
        require(address(token_).code.length != 0, TokenWithoutCode(address(token_)));
        token = token_;
    }

    /// @dev Takes exactly `amount` from `from`, who approved it. Callers have changed all state before: the token is foreign.
    function _pull(address from, uint256 amount) internal {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(from, address(this), amount);
        _checkReceived(before, amount);
    }

    /// @dev Comparing balances keeps the books solvent with a token that takes a fee.
    function _checkReceived(uint256 before, uint256 amount) internal view {
        uint256 received = token.balanceOf(address(this)) - before;
        require(received == amount, AmountMismatch(amount, received));
    }

    function _pay(address to, uint256 amount) internal {
        token.safeTransfer(to, amount);
    }
}
