// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {TestToken} from "../src/TestToken.sol";

/// @notice Keeps one unit of every transfer between accounts.
contract FeeToken is TestToken {
    function _update(address from, address to, uint256 value) internal override {
        if (from != address(0) && to != address(0)) {
            super._update(from, address(0xfee), 1);
            value -= 1;
        }
        super._update(from, to, value);
    }
}

/// @notice Gives the recipient of every transfer one unit more.
contract BonusToken is TestToken {
    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0)) super._update(address(0), to, 1);
    }
}

/// @notice Answers false instead of moving anything.
contract RefusingToken is TestToken {
    function transferFrom(address, address, uint256) public pure override returns (bool) {
        return false;
    }
}

/// @notice Refuses to pay one account, as a token with a block list does.
contract BlockingToken is TestToken {
    address public blocked;

    error Blocked();

    function setBlocked(address account) external {
        blocked = account;
    }

    function _update(address from, address to, uint256 value) internal override {
        require(to != blocked || to == address(0), Blocked());
        super._update(from, to, value);
    }
}

/// @notice Calls back into the market while it moves money, and keeps the answer.
contract CallingToken is TestToken {
    address public target;
    bytes public call;
    bytes public answer;
    bool public succeeded;

    function arm(address target_, bytes calldata call_) external {
        target = target_;
        call = call_;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (target != address(0)) (succeeded, answer) = target.call(call);
    }
}
