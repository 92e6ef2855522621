// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";

/// @title Merkle trees over tables of shares
library ShareTable {
    /// @notice Merkle root of at least one leaf, computed level by level in place of the leaves.
    function root(bytes32[] memory nodes) internal pure returns (bytes32) {
        uint256 width = nodes.length;
        while (width > 1) {
            uint256 pairs = width / 2;
            for (uint256 i = 0; i < pairs; ++i) {
                nodes[i] = Hashes.commutativeKeccak256(nodes[2 * i], nodes[2 * i + 1]);
            }
            if (width % 2 == 1) {
                nodes[pairs] = nodes[width - 1];
                ++pairs;
            }
            width = pairs;
        }
        return nodes[0];
    }

    /// @notice Hashed twice, so that no inner node of a tree can pass for a leaf.
    function leaf(address account, uint256 share) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, share))));
    }
}
