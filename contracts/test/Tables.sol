// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Trees} from "./Trees.sol";

/// @notice Split tables and their Merkle proofs for tests.
library Tables {
    uint256 internal constant TOTAL = 10_000;

    /// @notice A valid table of `count` accounts above `first`; every share is at least 1 and `salt` moves the rest around.
    function make(uint256 count, uint160 first, uint256 salt)
        internal
        pure
        returns (address[] memory accounts, uint16[] memory shares)
    {
        accounts = new address[](count);
        shares = new uint16[](count);
        uint256 left = TOTAL - count;
        for (uint256 i = 0; i < count; ++i) {
            accounts[i] = address(first + uint160(i * 7));
            uint256 extra = i + 1 == count ? left : uint256(keccak256(abi.encode(salt, i))) % (2 * TOTAL / count);
            if (extra > left) extra = left;
            left -= extra;
            shares[i] = uint16(1 + extra);
        }
    }

    function leaf(address account, uint256 share) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(keccak256(abi.encode(account, share))));
    }

    /// @notice Root of the table.
    function root(address[] memory accounts, uint16[] memory shares) internal pure returns (bytes32) {
        return Trees.root(_leaves(accounts, shares));
    }

    /// @notice Proof of the entry at `index`.
    function proof(address[] memory accounts, uint16[] memory shares, uint256 index)
        internal
        pure
        returns (bytes32[] memory)
    {
        return Trees.proof(_leaves(accounts, shares), index);
    }

    function _leaves(address[] memory accounts, uint16[] memory shares) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](accounts.length);
        for (uint256 i = 0; i < accounts.length; ++i) {
            leaves[i] = leaf(accounts[i], shares[i]);
        }
    }
}
