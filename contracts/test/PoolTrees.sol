// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice The tree over a pool's totals, by recursion, as the node builds it.
library PoolTrees {
    function leaf(uint256 split, uint256 cumulative) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(keccak256(abi.encode(split, cumulative))));
    }

    function root(uint256[] memory splits, uint256[] memory totals) internal pure returns (bytes32) {
        return _subtree(splits, totals, 0, _width(splits.length));
    }

    function proof(uint256[] memory splits, uint256[] memory totals, uint256 index)
        internal
        pure
        returns (bytes32[] memory path)
    {
        bytes32[] memory steps = new bytes32[](16);
        uint256 used = 0;
        for (uint256 size = 1; size < splits.length; size *= 2) {
            uint256 sibling = ((index / size) ^ 1) * size;
            if (sibling < splits.length) steps[used++] = _subtree(splits, totals, sibling, size);
        }
        path = new bytes32[](used);
        for (uint256 i = 0; i < used; ++i) {
            path[i] = steps[i];
        }
    }

    function _width(uint256 count) private pure returns (uint256 width) {
        width = 1;
        while (width < count) width *= 2;
    }

    function _subtree(uint256[] memory splits, uint256[] memory totals, uint256 start, uint256 size)
        private
        pure
        returns (bytes32)
    {
        if (size == 1) return leaf(splits[start], totals[start]);
        bytes32 left = _subtree(splits, totals, start, size / 2);
        if (start + size / 2 >= splits.length) return left;
        bytes32 right = _subtree(splits, totals, start + size / 2, size / 2);
        return left < right ? keccak256(abi.encode(left, right)) : keccak256(abi.encode(right, left));
    }
}
