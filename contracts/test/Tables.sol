// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice Split tables and Merkle proofs for tests, written apart from the contract's own tree so that one checks the other.
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

    /// @notice Root of the table, by recursion over halves of the smallest full tree that holds it.
    function root(address[] memory accounts, uint16[] memory shares) internal pure returns (bytes32) {
        return _subtree(accounts, shares, 0, _width(accounts.length));
    }

    /// @notice Proof of the entry at `index`.
    function proof(address[] memory accounts, uint16[] memory shares, uint256 index)
        internal
        pure
        returns (bytes32[] memory path)
    {
        bytes32[] memory steps = new bytes32[](16);
        uint256 used = 0;
        for (uint256 size = 1; size < accounts.length; size *= 2) {
            uint256 sibling = ((index / size) ^ 1) * size;
            if (sibling < accounts.length) steps[used++] = _subtree(accounts, shares, sibling, size);
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

    /// @dev A right half that lies beyond the table does not exist, and the left half takes the place of the pair.
    function _subtree(address[] memory accounts, uint16[] memory shares, uint256 start, uint256 size)
        private
        pure
        returns (bytes32)
    {
        if (size == 1) return leaf(accounts[start], shares[start]);
        bytes32 left = _subtree(accounts, shares, start, size / 2);
        if (start + size / 2 >= accounts.length) return left;
        bytes32 right = _subtree(accounts, shares, start + size / 2, size / 2);
        return left < right ? keccak256(abi.encode(left, right)) : keccak256(abi.encode(right, left));
    }
}
