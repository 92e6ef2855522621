// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IBooks} from "./interfaces/IBooks.sol";
import {Ledger} from "./Ledger.sol";

/// @title Books
/// @notice The only ways for money to come in, to be booked, and to go out. See IBooks.
abstract contract Books is Ledger, ReentrancyGuardTransient, EIP712, IBooks {
    using SafeERC20 for IERC20;

    /// @dev `acc` and `paid` share a slot, so that the cap of a claim costs no further cold access.
    struct Split {
        uint128 acc;
        uint128 paid;
        bytes32 root;
    }

    uint16 private constant MAX_PLATFORM_FEE = 1_000;

    /// @inheritdoc IBooks
    IERC20 public immutable override token;
    /// @inheritdoc IBooks
    address public immutable override platform;
    /// @inheritdoc IBooks
    uint16 public immutable override platformFee;

    uint32 internal _lastSplit;

    /// @inheritdoc IBooks
    mapping(uint32 split => Split) public override splits;
    /// @inheritdoc IBooks
    mapping(uint32 split => mapping(address account => uint256 cumulative)) public override claimed;

    constructor(IERC20 token_, address platform_, uint16 fee) EIP712("viz-node", "2") {
        require(address(token_).code.length != 0, TokenWithoutCode(address(token_)));
        require(fee <= MAX_PLATFORM_FEE, InvalidPlatformFee(platform_, fee));
        require((fee == 0) == (platform_ == address(0)), InvalidPlatformFee(platform_, fee));
        require(fee == 0 || !_isSplit(platform_), InvalidPlatformFee(platform_, fee));
        token = token_;
        platform = platform_;
        platformFee = fee;
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

    /// @dev Books `amount` to the recipients of a split. The entry of the caller names split and amount.
    function _credit(uint32 split, uint256 amount) internal {
        // 2^64 payments of the highest price fit; the addition would revert if they did not.
        // forge-lint: disable-next-line(unsafe-typecast)
        splits[split].acc += uint128(amount);
    }

    function _requireSplit(uint32 split) internal view {
        require(splits[split].root != 0, UnknownSplit(split));
    }

    /// @dev Nobody holds the key of so low an address: these numbers are free to name splits.
    function _isSplit(address account) internal pure returns (bool) {
        return uint160(account) <= type(uint32).max;
    }
}
