// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ILedger} from "./interfaces/ILedger.sol";

/// @title Ledger
/// @notice See ILedger.
abstract contract Ledger is ILedger {
    uint256 private constant SEQUENCE_MASK = (1 << 40) - 1;
    uint256 private constant PAUSED = 1 << 40;
    uint256 private constant STATE_BITS = 41;

    /// @inheritdoc ILedger
    /// @dev First state variable of the first base, so slot 0: auditors prove it with one storage proof. The pause shares
    /// the slot, so that a sale learns of it from a slot that it reads anyway.
    uint256 public override head = 1 << STATE_BITS;

    /// @inheritdoc ILedger
    function paused() public view override returns (bool) {
        return head & PAUSED != 0;
    }

    /// @dev Appends one entry and returns its sequence.
    function _record(uint8 kind, uint256 key, address who, uint256 a, uint256 b, uint256 c, bytes32 d)
        internal
        returns (uint256 n)
    {
        uint256 previous = head;
        n = (previous & SEQUENCE_MASK) + 1;
        bytes32 digest = keccak256(abi.encode(previous, kind, key, who, n, a, b, c, d));
        head = ((uint256(digest) >> STATE_BITS) << STATE_BITS) | (previous & PAUSED) | n;
        emit Entry(kind, key, who, n, a, b, c, d);
    }

    function _setPaused(bool value) internal {
        head = value ? head | PAUSED : head & ~PAUSED;
    }
}
