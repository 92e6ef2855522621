// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Secp256k1} from "../src/libraries/Secp256k1.sol";
import {PartsFixture} from "./PartsFixture.sol";

/// @notice The library's arithmetic against forge's own curve and the vectors that the node's tests check too.
contract Secp256k1Test is PartsFixture {
    function isUsable(Secp256k1.Point calldata point) external pure returns (bool) {
        return Secp256k1.isUsable(point);
    }

    function test_vectors__every_case__opens_to_the_key() public view {
        for (uint256 i = 0; i < 5; ++i) {
            Case memory one = _case(i);
            vm.assertTrue(this.isUsable(one.buyer) && this.isUsable(one.seller), "usable");
            vm.assertTrue(Secp256k1.isMultiple(one.buyerSecret, Secp256k1.generator(), one.buyer), "B = bG");
            vm.assertTrue(Secp256k1.isMultiple(one.buyerSecret, one.seller, one.shared), "S = bR");
            vm.assertEq(one.wrapped ^ keccak256(abi.encode(one.shared)), one.key, "key");
        }
    }

    function testFuzz_isMultiple__any_scalar__agrees_with_the_account_of_the_key(uint256 scalar) public pure {
        scalar = _clamp(scalar, 1, Secp256k1.N - 1);
        bytes32 s = bytes32(mulmod(scalar, Secp256k1.GX, Secp256k1.N));
        address product = ecrecover(0, 27 + uint8(Secp256k1.GY & 1), bytes32(Secp256k1.GX), s);
        vm.assertEq(product, cheats.addr(scalar), "the multiple");
    }

    function testFuzz_isMultiple__other_scalar__refused(uint256 scalar) public view {
        Case memory one = _case(3);
        vm.assume(scalar != one.buyerSecret);
        vm.assertTrue(!Secp256k1.isMultiple(scalar, one.seller, one.shared), "another scalar");
    }

    function test_isMultiple__scalars_out_of_range__refused() public view {
        Case memory one = _case(3);
        Secp256k1.Point memory none;
        vm.assertTrue(!Secp256k1.isMultiple(0, one.seller, none), "zero");
        vm.assertTrue(!Secp256k1.isMultiple(Secp256k1.N, one.seller, one.shared), "the order");
        Case memory small = _case(1);
        uint256 beyond = small.buyerSecret + Secp256k1.N;
        vm.assertTrue(Secp256k1.isMultiple(small.buyerSecret, small.seller, small.shared), "the secret");
        vm.assertTrue(!Secp256k1.isMultiple(beyond, small.seller, small.shared), "the same secret beyond the order");
    }

    function testFuzz_isUsable__random_point__refused(uint256 x, uint256 y) public view {
        bool onCurve =
            mulmod(y, y, Secp256k1.P) == addmod(mulmod(mulmod(x, x, Secp256k1.P), x, Secp256k1.P), 7, Secp256k1.P);
        vm.assume(!onCurve);
        vm.assertTrue(!this.isUsable(Secp256k1.Point(x, y)), "not on the curve");
    }

    function test_isUsable__coordinates_beyond_the_field__refused() public view {
        Secp256k1.Point memory one = _case(0).buyer;
        vm.assertTrue(this.isUsable(one), "as it is");
        vm.assertTrue(this.isUsable(Secp256k1.Point(one.x, Secp256k1.P - one.y)), "its negative");
        vm.assertTrue(!this.isUsable(Secp256k1.Point(0, 0)), "zero");
        // Points of the curve with N <= x < P, found by search: ecrecover cannot multiply them.
        _assertRefusedOnCurve(Secp256k1.N, HIGH_Y);
        _assertRefusedOnCurve(Secp256k1.N + 2, HIGHER_Y);
        uint256 p = Secp256k1.P;
        vm.assertTrue(this.isUsable(Secp256k1.Point(LOW_X, 1)), "a point of the curve with y = 1");
        vm.assertTrue(!this.isUsable(Secp256k1.Point(LOW_X, 1 + p)), "y beyond the field");
    }

    function _assertRefusedOnCurve(uint256 x, uint256 y) private view {
        uint256 p = Secp256k1.P;
        vm.assertTrue(mulmod(y, y, p) == addmod(mulmod(mulmod(x, x, p), x, p), 7, p), "curve");
        vm.assertTrue(!this.isUsable(Secp256k1.Point(x, y)), "x beyond the order");
    }

    uint256 private constant LOW_X = 0x1FE1E5EF3FCEB5C135AB7741333CE5A6E80D68167653F6B2B24BCBCFAAAFF507;
    uint256 private constant HIGH_Y = 0x98F66641CB0AE1776B463EBDEE3D77FE2658F021DB48E2C8AC7AB4C92F83621E;
    uint256 private constant HIGHER_Y = 0x36B1AA62EB77C1973025CBCBEA9740EED8EACDAB8772268B395064453269D1D3;
}
