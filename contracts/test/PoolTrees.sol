// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Trees} from "./Trees.sol";

/// @notice The tree over a pool's totals, as the node builds it.
library PoolTrees {
    function leaf(uint256 split, uint256 cumulative) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(keccak256(abi.encode(split, cumulative))));
    }

    function root(uint256[] memory splits, uint256[] memory totals) internal pure returns (bytes32) {
        return Trees.root(_leaves(splits, totals));
    }

    function proof(uint256[] memory splits, uint256[] memory totals, uint256 index)
        internal
        pure
        returns (bytes32[] memory)
    {
        return Trees.proof(_leaves(splits, totals), index);
    }

    function _leaves(uint256[] memory splits, uint256[] memory totals) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](splits.length);
        for (uint256 i = 0; i < splits.length; ++i) {
            leaves[i] = leaf(splits[i], totals[i]);
        }
    }
}
