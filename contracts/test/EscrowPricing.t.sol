// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {IOffers} from "../src/interfaces/IOffers.sol";
import {Setup} from "../src/Setup.sol";
import {IBlockingToken, IToken} from "./IToken.sol";
import {MarketFixture} from "./MarketFixture.sol";
import {PartsFixture} from "./PartsFixture.sol";
import {PlatformFixture} from "./PlatformFixture.sol";

/// @notice A moving price in the escrow counts nobody before his payment is final, and one refused payment stops no other.
contract EscrowPricingTest is PartsFixture, PlatformFixture {
    uint32 private _split;
    uint64 private _offer;

    function setUp() public override(PlatformFixture, MarketFixture) {
        PlatformFixture.setUp();
        IOffers.OfferTerms memory terms = _moving(PRICE, 0);
        (terms.escrowed, terms.target) = (true, 1);
        vm.prank(OWNER);
        (, _split, _offer) = market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, terms);
    }

    function test_order__moving_price__counted_when_it_is_final_and_never_when_refunded() public {
        (uint64[3] memory numbers, IEscrow.Order[3] memory terms) = _orders();
        vm.assertEq(_sold(), 0, "orders count nobody");
        IEscrow.Delivery memory first = _deliver(numbers[0], terms[0], _case(0), _case(0).wrapped);
        IEscrow.Delivery memory second = _deliver(numbers[1], terms[1], _case(0), _case(0).wrapped);
        vm.assertEq(_sold(), 0, "deliveries count nobody");
        vm.warp(NOW + 2 hours + 1);
        _all().refund(numbers[2], terms[2]);
        vm.assertEq(_sold(), 0, "refunds count nobody");
        _all().settle(numbers[0], terms[0], first);
        vm.assertEq(_sold(), 1, "a final payment counts");
        vm.assertEq(market.quote(_offer), PRICE, "at the target");
        _all().settle(numbers[1], terms[1], second);
        vm.assertEq(market.quote(_offer), PRICE + uint256(PRICE) * FEE / 10_000, "one step above the target");
    }

    function test_order__raised_price__asks_it_once_whatever_becomes_of_the_order() public {
        test_order__moving_price__counted_when_it_is_final_and_never_when_refunded();
        uint256 raised = market.quote(_offer);
        vm.prank(BUYER);
        _all().order(_offer, STRANGER, raised, keccak256("key"), _case(0).buyer, ORDER);
        vm.assertEq(market.quote(_offer), PRICE, "the premium is taken");
        (uint128 acc,,) = market.splits(_split);
        vm.assertEq(acc, 2 * PRICE, "and not yet paid");
    }

    function test_refund__payer_on_a_block_list__others_get_theirs() public {
        IBlockingToken blocking = IBlockingToken(_tokenOf("BlockingToken"));
        _deploy(blocking);
        IOffers.OfferTerms memory offered = _terms(0, PRICE, 0);
        offered.escrowed = true;
        vm.prank(OWNER);
        (, _split, _offer) = market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, offered);
        (uint64[3] memory numbers, IEscrow.Order[3] memory terms) = _orders();
        blocking.mint(STRANGER, PRICE);
        vm.prank(STRANGER);
        blocking.approve(address(market), PRICE);
        vm.prank(STRANGER);
        uint64 other = _all().order(_offer, HOLDER, PRICE, keccak256(abi.encode(_case(0).key)), _case(0).buyer, ORDER);
        IEscrow.Order memory others = _orderTerms(_offer, _split, _case(0));
        others.payer = STRANGER;
        vm.warp(NOW + 1 days);
        blocking.setBlocked(BUYER);
        vm.expectRevert(IBlockingToken.Blocked.selector);
        _all().refund(numbers[0], terms[0]);
        _all().refund(other, others);
        vm.assertEq(blocking.balanceOf(STRANGER), PRICE, "not held up");
        blocking.setBlocked(address(0));
        _all().refund(numbers[0], terms[0]);
    }

    function _orders() private returns (uint64[3] memory numbers, IEscrow.Order[3] memory terms) {
        for (uint160 i = 0; i < 3; ++i) {
            terms[i] = _orderTerms(_offer, _split, _case(0));
            terms[i].holder = address(0xD000 + i);
            vm.prank(BUYER);
            numbers[i] = _all().order(_offer, terms[i].holder, PRICE, terms[i].keyHash, _case(0).buyer, ORDER);
        }
    }

    function _sold() private view returns (uint256) {
        (,,,,,, uint88 state) = market.offers(_offer);
        return (state >> 16) & 0xffff;
    }

    function _setup(IToken token_) internal view override(PlatformFixture, MarketFixture) returns (Setup memory) {
        return PlatformFixture._setup(token_);
    }
}
