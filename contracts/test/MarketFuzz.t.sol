// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ISplits} from "../src/interfaces/ISplits.sol";
import {MarketFixture} from "./MarketFixture.sol";
import {Tables} from "./Tables.sol";

/// @notice Properties over random tables, prices and times.
contract MarketFuzzTest is MarketFixture {
    function testFuzz_createSplit__any_size__every_account_can_claim(uint16 size, uint256 salt, uint64 price) public {
        price = uint64(_clamp(price, 10_000, type(uint64).max));
        (accounts, shares) = Tables.make(_clamp(size, 1, 40), 0x5000000000, salt);
        uint64 offer = _offer(price, 0);
        token.mint(BUYER, price);
        vm.prank(BUYER);
        token.approve(address(market), price);
        vm.prank(BUYER);
        market.buy(_item(offer), HOLDER, price, ORDER);

        uint256 total = 0;
        for (uint256 i = 0; i < accounts.length; ++i) {
            uint256 due = _claim(1, i);
            vm.assertEq(due, uint256(price) * shares[i] / 10_000, "share");
            total += due;
        }
        vm.assertLe(total, price, "never more than was paid in");
        vm.assertLe(price - total, accounts.length - 1, "less than one unit per account stays");
    }

    function testFuzz_claim__any_number_of_claims__same_total(uint64[8] memory prices, uint8 pattern) public {
        uint256 paidIn = 0;
        for (uint256 i = 0; i < prices.length; ++i) {
            uint64 price = uint64(_clamp(prices[i], 1, 1e12));
            uint64 offer = i == 0 ? _offer(price, 0) : _further(price);
            vm.prank(BUYER);
            market.buy(_item(offer), HOLDER, price, ORDER);
            paidIn += price;
            if ((pattern >> i) & 1 == 1) _tryClaim(0);
        }
        _tryClaim(0);
        vm.assertEq(token.balanceOf(accounts[0]), paidIn * shares[0] / 10_000, "total");
    }

    function testFuzz_claim__any_other_share__refused(uint256 share, uint8 index) public {
        _publish(0);
        _buy(1, HOLDER);
        uint256 i = _clamp(index, 0, accounts.length - 1);
        vm.assume(share != shares[i]);
        bytes32[] memory path = Tables.proof(accounts, shares, i);
        vm.expectRevert(ISplits.InvalidProof.selector);
        market.claim(1, accounts[i], share, path);
    }

    function testFuzz_claim__inner_node_as_leaf__refused(address account, uint256 share, uint8 skip) public {
        _publish(0);
        _buy(1, HOLDER);
        bytes32[] memory path = Tables.proof(accounts, shares, 0);
        vm.assume(account != accounts[0]);
        bytes32[] memory shorter = new bytes32[](path.length - _clamp(skip, 0, path.length));
        for (uint256 i = 0; i < shorter.length; ++i) {
            shorter[i] = path[path.length - shorter.length + i];
        }
        vm.expectRevert(ISplits.InvalidProof.selector);
        market.claim(1, account, share, shorter);
    }

    function testFuzz_buy__timed__expiry_rule(uint32 duration, uint32[4] memory pauses) public {
        duration = uint32(_clamp(duration, 1, type(uint32).max));
        uint64 offer = _offer(3, duration);
        uint256 expected = 0;
        uint256 time = NOW;
        for (uint256 i = 0; i < pauses.length; ++i) {
            time += pauses[i];
            vm.warp(time);
            expected = (expected > time ? expected : time) + duration;
            vm.prank(BUYER);
            market.buy(_item(offer), HOLDER, 3, ORDER);
            vm.assertEq(market.licenses(offer, HOLDER), expected, "expiry");
        }
    }

    function testFuzz_createSplit__wrong_sum__refused(uint8 size, uint16 share, uint8 index) public {
        (accounts, shares) = Tables.make(_clamp(size, 1, 30), 0x5000000000, share);
        uint256 i = _clamp(index, 0, accounts.length - 1);
        vm.assume(share != shares[i] && share != 0);
        uint256 sum = 10_000 - uint256(shares[i]) + share;
        shares[i] = share;
        vm.expectRevert(abi.encodeWithSelector(ISplits.ShareSum.selector, sum));
        market.createSplit(accounts, shares);
    }

    function _offer(uint64 price, uint32 duration) private returns (uint64 offer) {
        vm.prank(OWNER);
        (,, offer) = market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, _terms(0, price, duration));
    }

    function _further(uint64 price) private returns (uint64) {
        vm.prank(OWNER);
        return market.createOffer(1, _terms(1, price, 0));
    }

    function _tryClaim(uint256 index) private {
        (uint128 acc,,) = market.splits(1);
        if (uint256(acc) * shares[index] / 10_000 > market.claimed(1, accounts[index])) _claim(1, index);
    }
}
