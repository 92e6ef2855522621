// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice Merkle trees for tests, written apart from the contract's own, by recursion, so that one checks the other.
library Trees {
    /// @notice Root over the leaves, by recursion over halves of the smallest full tree that holds them.
    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        uint256 width = 1;
        while (width < leaves.length) width *= 2;
        return _subtree(leaves, 0, width);
    }

    /// @notice Proof of the leaf at `index`.
    function proof(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32[] memory path) {
        bytes32[] memory steps = new bytes32[](16);
        uint256 used = 0;
        for (uint256 size = 1; size < leaves.length; size *= 2) {
            uint256 sibling = ((index / size) ^ 1) * size;
            if (sibling < leaves.length) steps[used++] = _subtree(leaves, sibling, size);
        }
        path = new bytes32[](used);
        for (uint256 i = 0; i < used; ++i) {
            path[i] = steps[i];
        }
    }

    /// @dev A right half that lies beyond the leaves does not exist, and the left half takes the place of the pair.
    function _subtree(bytes32[] memory leaves, uint256 start, uint256 size) private pure returns (bytes32) {
        if (size == 1) return leaves[start];
        bytes32 left = _subtree(leaves, start, size / 2);
        if (start + size / 2 >= leaves.length) return left;
        bytes32 right = _subtree(leaves, start + size / 2, size / 2);
        return left < right ? keccak256(abi.encode(left, right)) : keccak256(abi.encode(right, left));
    }
}
