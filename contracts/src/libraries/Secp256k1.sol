// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Points of secp256k1 and proofs of their multiples
/// @dev The EVM has no multiplication on this curve, but `ecrecover` holds one: for a point R with x-coordinate r it
/// returns the address of r^-1 (s R - z G). With z = 0 and s = k r that is the address of k R, for 3000 gas. An address
/// is 160 bits of a hash of the point: two points with one address take 2^80 work to find, and a given point cannot be
/// replaced.
library Secp256k1 {
    struct Point {
        uint256 x;
        uint256 y;
    }

    uint256 internal constant P = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F;
    uint256 internal constant N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    uint256 internal constant GX = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798;
    uint256 internal constant GY = 0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8;

    /// @notice Whether the point is on the curve and `isMultiple` can multiply it.
    /// @dev Points with N <= x < P cannot pass through ecrecover. They are one in 2^128, so refusing them refuses nobody
    /// honest; accepting one would let its sender make a multiplication impossible.
    function isUsable(Point calldata point) internal pure returns (bool) {
        uint256 x = point.x;
        uint256 y = point.y;
        return x < N && y < P && mulmod(y, y, P) == addmod(mulmod(mulmod(x, x, P), x, P), 7, P);
    }

    /// @notice Whether `result` is `scalar` times `base`, a usable point.
    function isMultiple(uint256 scalar, Point memory base, Point memory result) internal pure returns (bool) {
        if (scalar == 0 || scalar >= N) return false;
        // N is prime and neither factor is a multiple of it, so s is not zero and ecrecover does not refuse.
        bytes32 s = bytes32(mulmod(scalar, base.x, N));
        uint8 parity = 27 + uint8(base.y & 1);
        return ecrecover(0, parity, bytes32(base.x), s) == addressOf(result);
    }

    /// @notice The generator.
    function generator() internal pure returns (Point memory) {
        return Point(GX, GY);
    }

    /// @notice The account whose public key the point is.
    function addressOf(Point memory point) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode(point)))));
    }
}
