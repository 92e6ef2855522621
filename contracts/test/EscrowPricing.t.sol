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
    uint256 private constant STEP = uint256(PRICE) * FEE / 10_000;
    uint256 private constant OFFERS_SLOT = 9;
    uint32 private _split;
    uint64 private _offer;

    function setUp() public override(PlatformFixture, MarketFixture) {
        PlatformFixture.setUp();
        IOffers.OfferTerms memory terms = _moving(PRICE, 0);
        (terms.keyHash, terms.target) = (keccak256(abi.encode(_case(0).key)), 1);
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

    function test_order__raised_price__premium_is_reserved_and_gone_when_settled() public {
        (uint64 number, IEscrow.Order memory terms) = _orderRaised();
        vm.assertEq(market.quote(_offer), PRICE, "the premium is taken");
        (uint128 acc,,) = market.splits(_split);
        vm.assertEq(acc, 2 * PRICE, "and not yet paid");
        IEscrow.Delivery memory delivery = _deliver(number, terms, _case(0), _case(0).wrapped);
        vm.warp(delivery.deadline + 1);
        _all().settle(number, terms, delivery);
        vm.assertEq(market.quote(_offer), PRICE, "gone");
    }

    /// @dev The attack: orders that end in refunds cost gas alone. They must leave the credit as it was.
    function test_attack_order__refunded__credit_is_as_if_it_had_not_been() public {
        (uint64 number, IEscrow.Order memory terms) = _orderRaised();
        uint64 second = _orderAs(address(0xD00A), PRICE);
        vm.warp(terms.deadline + 1);
        vm.assertEq(market.quote(_offer), PRICE, "reserved");
        _all().refund(number, terms);
        vm.assertEq(market.quote(_offer), PRICE + STEP, "back");
        terms.holder = address(0xD00A);
        terms.price = PRICE;
        _all().refund(second, terms);
        vm.assertEq(market.quote(_offer), PRICE + STEP, "the order without a premium changes nothing");
    }

    function test_attack_dispute__wrong_key__premium_back() public {
        (uint64 number, IEscrow.Order memory terms) = _orderRaised();
        Case memory one = _case(0);
        IEscrow.Delivery memory delivery = _deliver(number, terms, one, keccak256("wrong"));
        _all().dispute(number, terms, delivery, one.buyerSecret, one.shared);
        vm.assertEq(market.quote(_offer), PRICE + STEP, "back");
    }

    /// @dev Who waits gains nothing: what comes back has halved like the credit that stayed.
    function test_attack_refund__days_later__halved_by_the_day() public {
        (uint64 number, IEscrow.Order memory terms) = _orderRaised();
        vm.warp(block.timestamp / 1 days * 1 days + 3 days);
        _all().refund(number, terms);
        vm.assertEq(market.quote(_offer), PRICE + (STEP >> 3), "three halvings");
    }

    /// @dev The attack: credit that rests in orders makes room under the ceiling, and comes back on top of what filled it.
    function test_attack_refund__at_the_ceiling__no_credit_beyond_it() public {
        (uint64 number, IEscrow.Order memory terms) = _orderRaised();
        IEscrow.Order memory other = _orderTerms(_offer, _split, _case(0));
        other.holder = address(0xD00B);
        uint64 next = _orderAs(other.holder, PRICE);
        IEscrow.Delivery memory delivery = _deliver(next, other, _case(0), _case(0).wrapped);
        vm.warp(delivery.deadline + 1);
        uint256 most = uint256(PRICE) * MAX_RISE / 10_000;
        vm.store(address(market), _offerSlot(), _withOneSold(most - STEP));
        _all().settle(next, other, delivery);
        vm.assertEq(market.quote(_offer), PRICE + most - STEP, "no room for a step");
        _all().refund(number, terms);
        vm.assertEq(market.quote(_offer), PRICE + most, "at the ceiling");
    }

    /// @dev What an order has reserved makes room again when it ends.
    function test_settle__after_orders_that_ended__ceiling_is_reached() public {
        (uint64 number, IEscrow.Order memory terms) = _orderRaised();
        vm.warp(terms.deadline + 1);
        _all().refund(number, terms);
        IEscrow.Order memory other = _orderTerms(_offer, _split, _case(0));
        (other.holder, other.price) = (address(0xD00B), PRICE + STEP);
        uint64 next = _orderAs(other.holder, other.price);
        IEscrow.Delivery memory delivery = _deliver(next, other, _case(0), _case(0).wrapped);
        vm.warp(delivery.deadline + 1);
        uint256 most = uint256(PRICE) * MAX_RISE / 10_000;
        vm.store(address(market), _offerSlot(), _withOneSold(most - STEP));
        _all().settle(next, other, delivery);
        vm.assertEq(market.quote(_offer), PRICE + most, "at the ceiling");
    }

    /// @dev What comes back has halved since the day of the order, not since that of its deadline.
    function test_refund__ordered_just_before_midnight__halved_since_that_day() public {
        test_order__moving_price__counted_when_it_is_final_and_never_when_refunded();
        vm.warp(block.timestamp / 1 days * 1 days + 1 days - 1 minutes);
        (uint64 number, IEscrow.Order memory terms) = _orderAtQuote();
        vm.warp(block.timestamp / 1 days * 1 days + 2 days);
        _all().refund(number, terms);
        vm.assertEq(market.quote(_offer), PRICE + (STEP >> 2), "two halvings");
    }

    function test_refund__price_three_times_its_floor__whole_premium_is_reserved_and_back() public {
        IOffers.OfferTerms memory offered = _moving(PRICE, 0);
        (offered.keyHash, offered.maxRise, offered.target) = (keccak256(abi.encode(_case(0).key)), 30_000, 1);
        vm.prank(OWNER);
        (, _split, _offer) = market.publish(keccak256("another"), BASE_MODEL, TERMS, accounts, shares, offered);
        uint256 today = block.timestamp / 1 days;
        vm.store(address(market), _offerSlot(), _withOneSold(2 * PRICE) | bytes32(today << 168));
        (uint64 number, IEscrow.Order memory terms) = _orderAtQuote();
        vm.assertEq(terms.price, 3 * PRICE, "three times");
        vm.assertEq(market.quote(_offer), PRICE, "reserved");
        vm.warp(terms.deadline + 1);
        _all().refund(number, terms);
        vm.assertEq(market.quote(_offer), 3 * PRICE, "back");
    }

    function _orderRaised() private returns (uint64 number, IEscrow.Order memory terms) {
        test_order__moving_price__counted_when_it_is_final_and_never_when_refunded();
        (number, terms) = _orderAtQuote();
        vm.assertEq(terms.price, PRICE + STEP, "raised");
    }

    function _orderAtQuote() private returns (uint64 number, IEscrow.Order memory terms) {
        terms = _orderTerms(_offer, _split, _case(0));
        (terms.holder, terms.price) = (STRANGER, market.quote(_offer));
        number = _orderAs(STRANGER, terms.price);
    }

    function _orderAs(address holder, uint256 maxPrice) private returns (uint64) {
        vm.prank(BUYER);
        return _all().order(_item(_offer), holder, maxPrice, _case(0).buyer, ORDER);
    }

    function test_refund__payer_on_a_block_list__others_get_theirs() public {
        IBlockingToken blocking = IBlockingToken(_tokenOf("BlockingToken"));
        _deploy(blocking);
        IOffers.OfferTerms memory offered = _terms(0, PRICE, 0);
        offered.keyHash = keccak256(abi.encode(_case(0).key));
        vm.prank(OWNER);
        (, _split, _offer) = market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, offered);
        (uint64[3] memory numbers, IEscrow.Order[3] memory terms) = _orders();
        blocking.mint(STRANGER, PRICE);
        vm.prank(STRANGER);
        blocking.approve(address(market), PRICE);
        vm.prank(STRANGER);
        uint64 other = _all().order(_item(_offer), HOLDER, PRICE, _case(0).buyer, ORDER);
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
            numbers[i] = _all().order(_item(_offer), terms[i].holder, PRICE, _case(0).buyer, ORDER);
        }
    }

    function _offerSlot() private view returns (bytes32) {
        return keccak256(abi.encode(_offer, OFFERS_SLOT));
    }

    /// @dev The slot of the offer with this credit, and one licensee today.
    function _withOneSold(uint256 credit) private view returns (bytes32) {
        uint256 word = uint256(vm.load(address(market), _offerSlot()));
        return bytes32((word & ((1 << 184) - 1)) | (1 << 184) | (credit << 200));
    }

    function _sold() private view returns (uint256) {
        (,,,,,, uint88 state) = market.offers(_offer);
        return (state >> 16) & 0xffff;
    }

    function _setup(IToken token_) internal view override(PlatformFixture, MarketFixture) returns (Setup memory) {
        return PlatformFixture._setup(token_);
    }
}
