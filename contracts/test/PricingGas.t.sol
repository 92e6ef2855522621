// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {PlatformFixture} from "./PlatformFixture.sol";

/// @notice Budgets of sales with a moving price. Exact figures: snapshots/Market.json.
contract PricingGasTest is PlatformFixture {
    uint256 private constant SALE_BUDGET = 88_000;
    uint256 private constant RENEWAL_BUDGET = 71_000;

    uint64 private _offer;

    function setUp() public override {
        super.setUp();
        _offer = _publishMoving(PRICE, 60);
        vm.prank(BUYER);
        token.approve(address(market), type(uint256).max);
        _buyAt(_offer, BUYER);
    }

    function test_gas__moving_price__below_target__within_budget() public {
        _buyAt(_offer, HOLDER);
        vm.assertLe(vm.snapshotGasLastCall("Market", "sale, moving price"), SALE_BUDGET, "sale");
    }

    function test_gas__moving_price__rising__within_budget() public {
        for (uint160 i = 0; i < 6; ++i) {
            _buyAt(_offer, address(0xD00D + i));
        }
        uint256 price = market.quote(_offer);
        vm.assertGt(price, PRICE, "the price has risen");
        vm.prank(BUYER);
        market.buy(_item(_offer), HOLDER, price, ORDER);
        vm.assertLe(vm.snapshotGasLastCall("Market", "sale, rising price"), SALE_BUDGET, "sale");
    }

    function test_gas__moving_price__next_day__within_budget() public {
        for (uint160 i = 0; i < 9; ++i) {
            _buyAt(_offer, address(0xD00D + i));
        }
        vm.warp(NOW + 1 days);
        uint256 price = market.quote(_offer);
        vm.assertGt(price, PRICE, "the price has not fallen to the floor");
        vm.prank(BUYER);
        market.buy(_item(_offer), HOLDER, price, ORDER);
        vm.assertLe(vm.snapshotGasLastCall("Market", "sale, moving price, next day"), SALE_BUDGET, "sale");
    }

    function test_gas__moving_price__renewal__within_budget() public {
        _buyAt(_offer, HOLDER);
        _buyAt(_offer, HOLDER);
        vm.assertLe(vm.snapshotGasLastCall("Market", "renewal, moving price"), RENEWAL_BUDGET, "renewal");
    }
}
