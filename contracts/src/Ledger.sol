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

    /// @dev A pause that ended without an entry leaves its mark.
    function _isMarkedPaused() internal view returns (bool) {
        return head & PAUSED != 0;
    }

    /// @dev Appends one entry and returns its sequence. The data of the event are the last five of the nine words that are
    /// hashed, so they are laid out once: every sale pays for this function.
    function _record(uint8 kind, uint256 key, address who, uint256 a, uint256 b, uint256 c, bytes32 d)
        internal
        returns (uint256 n)
    {
        uint256 previous = head;
        n = (previous & SEQUENCE_MASK) + 1;
        bytes32 topic = Entry.selector;
        uint256 account = uint160(who); // without the foreign bits that an address may carry inside assembly
        uint256 digest;
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, previous)
            mstore(add(words, 0x20), kind)
            mstore(add(words, 0x40), key)
            mstore(add(words, 0x60), account)
            mstore(add(words, 0x80), n)
            mstore(add(words, 0xa0), a)
            mstore(add(words, 0xc0), b)
            mstore(add(words, 0xe0), c)
            mstore(add(words, 0x100), d)
            digest := keccak256(words, 0x120)
            log4(add(words, 0x80), 0xa0, topic, kind, key, account)
        }
        head = ((digest >> STATE_BITS) << STATE_BITS) | (previous & PAUSED) | n;
    }

    function _setPaused(bool value) internal {
        head = value ? head | PAUSED : head & ~PAUSED;
    }
}
