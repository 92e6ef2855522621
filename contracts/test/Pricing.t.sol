// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IOffers} from "../src/interfaces/IOffers.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Pricing} from "../src/libraries/Pricing.sol";
import {Cheats} from "./PartsFixture.sol";
import {PlatformFixture} from "./PlatformFixture.sol";

/// @notice The moving price: its steps, its bounds, and that a seller who buys from himself does not gain.
contract PricingTest is PlatformFixture {
    Cheats private constant cheats = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint64 private constant FLOOR = 100_000_000;

    struct Steps {
        uint256 floor;
        uint256 target;
        uint256 fee;
        uint256 most;
        uint256[] time;
        uint256[] act;
        uint256[] which;
        uint256[2][] orders;
        uint256 placed;
        uint88 state;
        uint88 reserved;
    }

    function test_rule__vectors__every_step() public view {
        string memory json = cheats.readFile("test/vectors/pricing.json");
        uint256 count = cheats.parseJsonUint(json, ".count");
        vm.assertGt(count, 0, "cases");
        for (uint256 i = 0; i < count; ++i) {
            _followCase(json, string.concat(".cases[", cheats.toString(i), "]."));
        }
    }

    function test_rule__vectors_of_orders__every_step() public view {
        string memory json = cheats.readFile("test/vectors/pricing.json");
        uint256 count = cheats.parseJsonUint(json, ".orderCount");
        vm.assertGt(count, 0, "cases");
        for (uint256 i = 0; i < count; ++i) {
            _followOrders(json, string.concat(".orderCases[", cheats.toString(i), "]."));
        }
    }

    function test_createOffer__rule_out_of_bounds__reverts() public {
        _assertRefused(5_000, 0);
        _assertRefused(5_000, 32_768);
        _assertRefused(0, 5);
        _assertRefused(type(uint16).max, 32_767, type(uint64).max);
        IOffers.OfferTerms memory terms = _moving(FLOOR, 0);
        terms.metered = true;
        vm.expectRevert(IOffers.InvalidPriceRule.selector);
        market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, terms);
    }

    function test_createOffer__largest_credit_and_target__accepted() public {
        _assertRefused(10_000, 15, uint64(type(uint56).max) / 15 + 1);
        _assertRefused(1, 0);
        _assertRefused(0, 1);
        IOffers.OfferTerms memory terms = _moving(uint64(type(uint56).max) / 15, 60);
        (terms.maxRise, terms.target) = (10_000, 15);
        market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, terms);
        (terms.price, terms.target) = (1, 32_767);
        (,, uint64 offer) = market.publish(BASE_MODEL, BASE_MODEL, TERMS, accounts, shares, terms);
        vm.assertEq(offer, 2, "both");
    }

    function test_buy__licensees_up_to_the_target__price_stays() public {
        uint64 offer = _publishMoving(FLOOR, 60);
        for (uint160 i = 0; i < TARGET; ++i) {
            vm.assertEq(_buyAt(offer, address(0xD00D + i)), FLOOR, "price");
        }
        vm.assertEq(market.quote(offer), FLOOR, "quote");
    }

    function test_buy__licensees_above_the_target__price_rises_and_halves_by_the_day() public {
        uint64 offer = _publishMoving(FLOOR, 60);
        for (uint160 i = 0; i < TARGET + 1; ++i) {
            _buyAt(offer, address(0xD00D + i));
        }
        uint256 step = uint256(FLOOR) * FEE / 10_000;
        vm.assertEq(market.quote(offer), FLOOR + step / TARGET, "one step over the target's number of sales");
        vm.warp(NOW + 1 days);
        vm.assertEq(market.quote(offer), FLOOR + step / 2 / TARGET, "a day later");
        vm.warp(NOW + 100 days);
        vm.assertEq(market.quote(offer), FLOOR, "long after");
    }

    function test_buy__renewals__never_raise_the_price() public {
        uint64 offer = _publishMoving(FLOOR, 60);
        for (uint160 i = 0; i < 4 * TARGET; ++i) {
            vm.assertEq(_buyAt(offer, HOLDER), FLOOR, "price");
        }
    }

    function test_buy__price_rose_above_the_bid__reverts() public {
        uint64 offer = _publishMoving(FLOOR, 60);
        for (uint160 i = 0; i < TARGET + 1; ++i) {
            _buyAt(offer, address(0xD00D + i));
        }
        uint256 price = market.quote(offer);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.PriceAboveMax.selector, price, FLOOR));
        vm.prank(BUYER);
        market.buy(_item(offer), HOLDER, FLOOR, ORDER);
    }

    function test_buy__ceiling__not_passed() public {
        IOffers.OfferTerms memory terms = _moving(FLOOR, 60);
        terms.maxRise = 10;
        vm.prank(OWNER);
        (,, uint64 offer) = market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, terms);
        uint256 ceiling = FLOOR + FLOOR / 1_000;
        bool reached = false;
        for (uint160 i = 0; i < 2 * TARGET; ++i) {
            uint256 price = _buyAt(offer, address(0xD00D + i));
            vm.assertLe(price, ceiling, "price");
            if (price == ceiling) reached = true;
        }
        vm.assertTrue(reached, "the ceiling was never reached");
    }

    /// @dev Five honest buyers a day who do not react to the price; the seller adds five purchases of his own on five days.
    function test_attack__step_of_an_eighth__pays() public pure {
        uint256 price = FLOOR;
        uint256 lost = 0;
        for (uint256 day = 0; day < 5; ++day) {
            lost += 5 * price * FEE / 10_000;
            price += price / 8;
        }
        uint256 extra = 5 * (price - FLOOR) * (10_000 - FEE) / 10_000;
        vm.assertGt(extra, 5 * lost, "one day of higher prices earns many times what five days of pumping cost");
    }

    function test_attack__same_campaign_on_this_market__does_not_pay() public {
        (uint64 pumped, uint64 calm) = _twins();
        uint256 lost = 0;
        uint256 extra = 0;
        uint160 buyer = 0xD0000;
        for (uint256 day = 0; day < 10; ++day) {
            vm.warp(NOW + day * 1 days);
            for (uint256 i = 0; i < 5; ++i) {
                if (day < 5) lost += _buyAt(pumped, address(++buyer)) * FEE / 10_000;
                extra += _buyAt(pumped, address(++buyer));
                extra -= _buyAt(calm, address(buyer));
            }
        }
        vm.assertGt(extra, 0, "the price was never pumped: this shows nothing");
        vm.assertLe(extra, lost, "pumping paid");
    }

    function testFuzz_attack__any_sequence__costs_what_it_earns(uint256 pattern, uint256 pauses, uint64 floor) public {
        (uint64 pumped, uint64 calm) = _twins(uint64(_clamp(floor, 1, 1e9)));
        uint256 lost = 0;
        int256 extra = 0;
        uint256 time = NOW;
        for (uint160 i = 0; i < 60; ++i) {
            if ((pauses >> (2 * i)) & 7 == 7) vm.warp(time += 1 days);
            if ((pattern >> i) & 1 == 1) {
                lost += _buyAt(pumped, address(0xD0000 + i)) * FEE / 10_000;
            } else {
                extra += int256(_buyAt(pumped, address(0xD0000 + i)));
                extra -= int256(_buyAt(calm, address(0xD0000 + i)));
            }
        }
        vm.assertTrue(extra <= int256(lost), "pumping paid");
    }

    function _twins() private returns (uint64 pumped, uint64 calm) {
        return _twins(FLOOR);
    }

    /// @dev Two offers with the same terms.
    function _twins(uint64 floor) private returns (uint64 pumped, uint64 calm) {
        pumped = _publishMoving(floor, 60);
        IOffers.OfferTerms memory terms = _moving(floor, 60);
        terms.split = 1;
        vm.prank(OWNER);
        calm = market.createOffer(1, terms);
    }

    function _assertRefused(uint16 maxRise, uint16 target) private {
        _assertRefused(maxRise, target, FLOOR);
    }

    function _assertRefused(uint16 maxRise, uint16 target, uint64 floor) private {
        IOffers.OfferTerms memory terms = _terms(0, floor, 0);
        terms.maxRise = maxRise;
        terms.target = target;
        vm.expectRevert(IOffers.InvalidPriceRule.selector);
        market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, terms);
    }

    /// @dev Orders (0), settlements (1) and refunds (2) of one offer; `which` counts the orders from 0.
    function _followOrders(string memory json, string memory path) private pure {
        Steps memory steps;
        steps.floor = cheats.parseJsonUint(json, string.concat(path, "floor"));
        steps.target = cheats.parseJsonUint(json, string.concat(path, "target"));
        steps.fee = cheats.parseJsonUint(json, string.concat(path, "fee"));
        uint256 rise = cheats.parseJsonUint(json, string.concat(path, "maxRise"));
        steps.most = Pricing.maxCredit(steps.floor, rise, steps.target);
        steps.time = cheats.parseJsonUintArray(json, string.concat(path, "time"));
        steps.act = cheats.parseJsonUintArray(json, string.concat(path, "act"));
        steps.which = cheats.parseJsonUintArray(json, string.concat(path, "which"));
        uint256[] memory states = cheats.parseJsonUintArray(json, string.concat(path, "state"));
        uint256[] memory holds = cheats.parseJsonUintArray(json, string.concat(path, "reserved"));
        steps.orders = new uint256[2][](states.length);
        for (uint256 i = 0; i < states.length; ++i) {
            _step(steps, i);
            vm.assertEq(steps.state, states[i], "state");
            vm.assertEq(steps.reserved, holds[i], "reserved");
        }
    }

    function _step(Steps memory steps, uint256 i) private pure {
        uint256 time = steps.time[i];
        if (steps.act[i] == 0) {
            uint256 taken;
            (taken, steps.state) = Pricing.take(steps.state, steps.target, time);
            steps.reserved = Pricing.reserve(steps.reserved, taken, time);
            steps.orders[steps.placed++] = [taken, time];
            return;
        }
        uint256[2] memory order = steps.orders[steps.which[i]];
        uint256 left;
        (left, steps.reserved) = Pricing.release(steps.reserved, order[0], order[1], time);
        uint256 limit = steps.most - (steps.reserved >> 32);
        steps.state = steps.act[i] == 1
            ? Pricing.count(steps.state, steps.floor, limit, steps.target, steps.fee, time)
            : Pricing.giveBack(steps.state, left, time);
    }

    function _followCase(string memory json, string memory at) private pure {
        uint256[4] memory rule;
        rule[0] = cheats.parseJsonUint(json, string.concat(at, "floor"));
        rule[1] = cheats.parseJsonUint(json, string.concat(at, "maxRise"));
        rule[2] = cheats.parseJsonUint(json, string.concat(at, "target"));
        rule[3] = cheats.parseJsonUint(json, string.concat(at, "fee"));
        uint256[] memory time = cheats.parseJsonUintArray(json, string.concat(at, "time"));
        uint256[] memory isNew = cheats.parseJsonUintArray(json, string.concat(at, "isNew"));
        uint256[] memory price = cheats.parseJsonUintArray(json, string.concat(at, "price"));
        uint256[] memory states = cheats.parseJsonUintArray(json, string.concat(at, "state"));
        uint88 state = 0;
        for (uint256 i = 0; i < time.length; ++i) {
            vm.assertEq(rule[0] + Pricing.premium(state, rule[2], time[i]), price[i], "quote");
            (uint256 taken, uint88 next) = Pricing.take(state, rule[2], time[i]);
            if (isNew[i] == 1) {
                uint256 limit = Pricing.maxCredit(rule[0], rule[1], rule[2]);
                next = Pricing.count(next, rule[0], limit, rule[2], rule[3], time[i]);
                (taken, state) = Pricing.sell(state, rule[0], rule[1], rule[2], rule[3], time[i]);
                vm.assertEq(state, next, "both in one");
            }
            state = next;
            vm.assertEq(rule[0] + taken, price[i], "price");
            vm.assertEq(state, states[i], "state");
        }
    }
}
