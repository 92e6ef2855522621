// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IBooks} from "../src/interfaces/IBooks.sol";
import {MarketFixture} from "./MarketFixture.sol";

/// @notice The market and its annex fit the limits of the chain, and share their constants.
contract DeploymentTest is MarketFixture {
    function test_code__market_and_annex__within_the_limits_of_the_chain() public {
        vm.assertLe(address(market).code.length, 24_576, "EIP-170: market");
        vm.assertLe(market.annex().code.length, 24_576, "EIP-170: annex");
        bytes memory code = bytes.concat(vm.getCode("Market.sol:Market"), abi.encode(_setup(token)));
        vm.assertLe(code.length, 49_152, "EIP-3860");
        address created;
        uint256 gas = gasleft();
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        vm.assertLe(gas - gasleft(), 1 << 24, "EIP-7825");
        vm.assertEq(created.code.length, address(market).code.length, "created");
    }

    function test_annex__constants__those_of_the_market() public view {
        IBooks annex = IBooks(market.annex());
        vm.assertEq(address(annex.token()), address(market.token()), "token");
        vm.assertEq(annex.platform(), market.platform(), "platform");
        vm.assertEq(annex.platformFee(), market.platformFee(), "fee");
    }

    function test_fallback__unknown_function__reverts() public {
        (bool succeeded,) = address(market).call(abi.encodeWithSignature("upgradeTo(address)", OWNER));
        vm.assertTrue(!succeeded, "the market answered");
    }

    function test_fallback__ether__refused() public {
        (bool succeeded,) = address(market).call{value: 1}("");
        vm.assertTrue(!succeeded, "the market took ether");
    }
}
