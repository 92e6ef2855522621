// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISales} from "../src/interfaces/ISales.sol";
import {Secp256k1} from "../src/libraries/Secp256k1.sol";
import {Vm} from "./Base.sol";
import {ICallingToken} from "./IToken.sol";
import {PartsFixture} from "./PartsFixture.sol";

/// @notice Fair delivery: the seller gets no money without the right key, the buyer no key without money.
contract EscrowTest is PartsFixture {
    bytes32 private constant WRONG = keccak256("a wrong wrapping");

    uint64 private _adapter;
    uint32 private _split;
    uint64 private _offer;

    function test_order__escrowed_offer__paid_and_recorded_but_not_licensed() public {
        (IEscrow.Order memory terms,) = _ready(0, 0);
        vm.recordLogs();
        uint64 number = _placeOrder(_offer, _case(0));

        bytes32 state = keccak256(abi.encode(terms));
        vm.assertEq(number, 1, "first number");
        vm.assertEq(_all().orders(number), state, "state");
        vm.assertEq(token.balanceOf(address(market)), PRICE, "paid");
        vm.assertEq(market.licenses(_offer, HOLDER), 0, "no license yet");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        bytes memory data = abi.encode(_sequence(), PRICE, _offer, uint256(uint160(HOLDER)), state);
        _assertEntry(logs[0], 31, number, BUYER, data);
        vm.assertEq(logs[1].topics[0], IEscrow.OrderPlaced.selector, "event");
        vm.assertEq(keccak256(logs[1].data), state, "the event tells what the ledger commits to");
    }

    function test_order__bad_arguments__reverts() public {
        _ready(0, 0);
        Secp256k1.Point memory off = _case(0).buyer;
        off.y += 1;
        _assertOrderFails(_offer, HOLDER, PRICE, off, abi.encodeWithSelector(IEscrow.UnusablePoint.selector));
        Secp256k1.Point memory good = _case(0).buyer;
        bytes memory holder = abi.encodeWithSelector(IRegistry.ZeroHolder.selector);
        _assertOrderFails(_offer, address(0), PRICE, good, holder);
        bytes memory above = abi.encodeWithSelector(IRegistry.PriceAboveMax.selector, PRICE, PRICE - 1);
        _assertOrderFails(_offer, HOLDER, PRICE - 1, good, above);
        bytes memory unknown = abi.encodeWithSelector(IRegistry.UnknownOffer.selector, _offer + 1);
        _assertOrderFails(_offer + 1, HOLDER, PRICE, good, unknown);
    }

    function test_order__cheaper_than_accepted__pays_the_price_only() public {
        _ready(0, 0);
        vm.prank(BUYER);
        _all().order(_item(_offer), HOLDER, PRICE + 1, _case(0).buyer, ORDER);
        vm.assertEq(token.balanceOf(BUYER), FUNDS - PRICE, "paid");
    }

    function test_order__direct_offer__reverts() public {
        (,, uint64 offer) = _publish(0);
        bytes memory answer = abi.encodeWithSelector(IEscrow.OfferNotEscrowed.selector, offer);
        _assertOrderFails(offer, HOLDER, PRICE, _case(0).buyer, answer);
    }

    function test_order__metered_offer__reverts() public {
        (, uint64 offer) = _publishMetered();
        bytes memory answer = abi.encodeWithSelector(IEscrow.OfferNotEscrowed.selector, offer);
        _assertOrderFails(offer, HOLDER, PRICE, _case(0).buyer, answer);
    }

    function test_order__paused__reverts_while_running_orders_end() public {
        (IEscrow.Order memory terms,) = _ready(0, 0);
        uint64 number = _placeOrder(_offer, _case(0));
        uint64 second = _placeOrder(_offer, _case(0));
        vm.prank(STEWARD);
        _all().pause();
        bytes memory answer = abi.encodeWithSelector(IRegistry.SalesPaused.selector);
        _assertOrderFails(_offer, HOLDER, PRICE, _case(0).buyer, answer);
        IEscrow.Delivery memory delivery = _deliver(number, terms, _case(0), WRONG);
        _all().dispute(number, terms, delivery, _case(0).buyerSecret, _case(0).shared);
        vm.warp(NOW + 1 hours + 1);
        _all().refund(second, terms);
        vm.assertEq(token.balanceOf(BUYER), FUNDS, "all refunded");
    }

    function test_order__licensed_holder__reverts() public {
        (IEscrow.Order memory terms,) = _ready(0, 1 days);
        _deliver(_placeOrder(_offer, _case(0)), terms, _case(0), WRONG);
        bytes memory answer = abi.encodeWithSelector(IRegistry.AlreadyLicensed.selector, _offer, HOLDER);
        _assertOrderFails(_offer, HOLDER, PRICE, _case(0).buyer, answer);
    }

    function test_buy__escrowed_offer__first_license_refused_and_renewal_direct() public {
        (IEscrow.Order memory terms,) = _ready(0, 1 days);
        vm.expectRevert(abi.encodeWithSelector(ISales.OfferEscrowed.selector, _offer));
        _buy(_offer, HOLDER);
        _deliver(_placeOrder(_offer, _case(0)), terms, _case(0), _case(0).wrapped);
        _buy(_offer, HOLDER);
        vm.assertEq(market.licenses(_offer, HOLDER), NOW + 2 days, "renewed");
    }

    function test_deliver__owner__license_granted_and_recorded() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(3, 1 days);
        uint64 number = _placeOrder(_offer, one);
        vm.recordLogs();
        IEscrow.Delivery memory delivery = _deliver(number, terms, one, one.wrapped);

        bytes32 state = keccak256(abi.encode(keccak256(abi.encode(terms)), delivery));
        vm.assertEq(_all().orders(number), state, "state");
        vm.assertEq(market.licenses(_offer, HOLDER), NOW + 1 days, "licensed");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        bytes memory data = abi.encode(_sequence(), _offer, NOW + 1 days, NOW + 2 hours, state);
        _assertEntry(logs[0], 32, number, HOLDER, data);
        vm.assertEq(logs[1].topics[0], IEscrow.KeyDelivered.selector, "event");
        vm.assertEq(keccak256(logs[1].data), keccak256(abi.encode(delivery)), "delivery");
    }

    function test_deliver__operator__allowed_until_removed() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(0, 0);
        uint64 number = _placeOrder(_offer, one);
        vm.recordLogs();
        vm.prank(OWNER);
        _all().setOperator(_adapter, STRANGER);
        bytes memory data = abi.encode(_sequence(), uint256(uint160(STRANGER)), 0, 0, bytes32(0));
        _assertEntry(_lastEntry(), 30, _adapter, OWNER, data);
        vm.assertEq(_all().operators(_adapter), STRANGER, "operator");
        vm.prank(STRANGER);
        _all().deliver(number, terms, one.seller, one.wrapped);
        vm.prank(OWNER);
        _all().setOperator(_adapter, address(0));
        number = _place(_offer, address(0xD0), one);
        terms.holder = address(0xD0);
        _assertDeliverFails(STRANGER, number, terms, one, abi.encodeWithSelector(IEscrow.NotSeller.selector, _adapter));
    }

    function test_setOperator__stranger__reverts() public {
        _ready(0, 0);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotAdapterOwner.selector, _adapter));
        _all().setOperator(_adapter, STRANGER);
    }

    function test_deliver__stranger_late_bad_point_or_other_order__reverts() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(0, 0);
        uint64 number = _placeOrder(_offer, one);
        _assertDeliverFails(STRANGER, number, terms, one, abi.encodeWithSelector(IEscrow.NotSeller.selector, _adapter));
        bytes memory mismatch = abi.encodeWithSelector(IEscrow.OrderMismatch.selector, number);
        terms.price += 1;
        _assertDeliverFails(OWNER, number, terms, one, mismatch);
        terms.price -= 1;
        _assertDeliverFails(
            OWNER, number + 1, terms, one, abi.encodeWithSelector(IEscrow.OrderMismatch.selector, number + 1)
        );
        Case memory off = _case(0);
        off.seller.x += 1;
        _assertDeliverFails(OWNER, number, terms, off, abi.encodeWithSelector(IEscrow.UnusablePoint.selector));
        vm.warp(terms.deadline + 1);
        _assertDeliverFails(OWNER, number, terms, one, abi.encodeWithSelector(IEscrow.TooLate.selector, terms.deadline));
        vm.warp(terms.deadline);
        _deliver(number, terms, one, one.wrapped);
        _assertDeliverFails(OWNER, number, terms, one, mismatch);
    }

    function test_deliver__second_order_of_a_licensed_holder__reverts() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(0, 1 days);
        uint64 first = _placeOrder(_offer, one);
        uint64 second = _placeOrder(_offer, one);
        _deliver(first, terms, one, one.wrapped);
        bytes memory answer = abi.encodeWithSelector(IRegistry.AlreadyLicensed.selector, _offer, HOLDER);
        _assertDeliverFails(OWNER, second, terms, one, answer);
        vm.warp(terms.deadline + 1);
        _all().refund(second, terms);
        vm.assertEq(token.balanceOf(BUYER), FUNDS - PRICE, "paid once");
    }

    function test_dispute__wrong_key__refund_and_no_license() public {
        for (uint256 i = 0; i < 5; ++i) {
            _deploy(token);
            (IEscrow.Order memory terms, Case memory one) = _ready(i, 0);
            uint64 number = _placeOrder(_offer, one);
            IEscrow.Delivery memory delivery = _deliver(number, terms, one, one.wrapped ^ bytes32(uint256(1)));
            uint256 before = token.balanceOf(BUYER);
            vm.warp(delivery.deadline);
            vm.recordLogs();
            vm.prank(STRANGER);
            _all().dispute(number, terms, delivery, one.buyerSecret, one.shared);

            vm.assertEq(token.balanceOf(BUYER), before + PRICE, "refund");
            vm.assertEq(market.licenses(_offer, HOLDER), 0, "revoked");
            vm.assertEq(_all().orders(number), 0, "over");
            uint256 holder = uint160(HOLDER);
            bytes memory data = abi.encode(_sequence(), PRICE, _offer | (block.timestamp << 64), holder, bytes32(one.buyerSecret));
            _assertEntry(_lastEntry(), 33, number, BUYER, data);
            _assertDisputeFails(number, terms, delivery, one, IEscrow.OrderMismatch.selector);
            vm.warp(NOW);
        }
    }

    function test_dispute__timed_license_that_nobody_extended__gone_and_for_sale_again() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(3, 1 days);
        uint64 number = _placeOrder(_offer, one);
        IEscrow.Delivery memory delivery = _deliver(number, terms, one, WRONG);
        vm.warp(NOW + 1 hours);
        _all().dispute(number, terms, delivery, one.buyerSecret, one.shared);
        vm.assertEq(market.licenses(_offer, HOLDER), 0, "gone");
        _placeOrder(_offer, one);
    }

    /// @dev The attack: a gift in escrow, and its dispute when the receiver has paid for more.
    function test_attack_dispute__of_a_gift__renewals_of_the_receiver_stay() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(3, 1 days);
        uint64 number = _placeOrder(_offer, one);
        IEscrow.Delivery memory delivery = _deliver(number, terms, one, WRONG);
        _buy(_offer, HOLDER);
        _buy(_offer, HOLDER);
        vm.assertEq(market.licenses(_offer, HOLDER), NOW + 3 days, "paid for");
        vm.warp(NOW + 90 minutes);
        vm.recordLogs();
        _all().dispute(number, terms, delivery, one.buyerSecret, one.shared);
        uint256 expiry = NOW + 90 minutes + 2 days;
        vm.assertEq(market.licenses(_offer, HOLDER), expiry, "two days from now");
        uint256 holder = uint256(uint160(HOLDER)) | (expiry << 160);
        uint256 offerAndTime = _offer | (block.timestamp << 64);
        bytes memory data = abi.encode(_sequence(), PRICE, offerAndTime, holder, bytes32(one.buyerSecret));
        _assertEntry(_lastEntry(), 33, number, BUYER, data);
    }

    function test_attack_dispute__of_a_gift_of_a_lifetime__only_that_is_taken() public {
        uint32 lifetime = 100 * 365 days;
        (IEscrow.Order memory terms, Case memory one) = _ready(3, lifetime);
        uint64 number = _placeOrder(_offer, one);
        IEscrow.Delivery memory delivery = _deliver(number, terms, one, WRONG);
        _buy(_offer, HOLDER);
        vm.warp(NOW + 90 minutes);
        _all().dispute(number, terms, delivery, one.buyerSecret, one.shared);
        vm.assertEq(market.licenses(_offer, HOLDER), NOW + 90 minutes + lifetime, "what was bought");
    }

    function test_attack_dispute__renewed_after_the_gift_ran_out__nothing_is_taken() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(3, 60);
        uint64 number = _placeOrder(_offer, one);
        IEscrow.Delivery memory delivery = _deliver(number, terms, one, WRONG);
        vm.warp(NOW + 30 minutes);
        _buy(_offer, HOLDER);
        vm.warp(NOW + 30 minutes + 10);
        _all().dispute(number, terms, delivery, one.buyerSecret, one.shared);
        vm.assertEq(market.licenses(_offer, HOLDER), NOW + 30 minutes + 60, "the renewal");
    }

    function test_attack_order__another_key__there_is_no_way_to_name_one() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(0, 0);
        vm.recordLogs();
        _placeOrder(_offer, one);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        IEscrow.Order memory placed = abi.decode(logs[1].data, (IEscrow.Order));
        vm.assertEq(placed.keyHash, keccak256(abi.encode(one.key)), "the offer's");
        vm.assertEq(placed.keyHash, market.keyHashOf(_offer), "told by the market");
        vm.assertEq(placed.keyHash, terms.keyHash, "as ordered");
    }

    function test_dispute__right_key__reverts() public {
        for (uint256 i = 0; i < 5; ++i) {
            _deploy(token);
            (IEscrow.Order memory terms, Case memory one) = _ready(i, 0);
            uint64 number = _placeOrder(_offer, one);
            IEscrow.Delivery memory delivery = _deliver(number, terms, one, one.wrapped);
            _assertDisputeFails(number, terms, delivery, one, IEscrow.KeyIsRight.selector);
        }
    }

    function test_dispute__evidence_that_does_not_fit__reverts() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(3, 0);
        uint64 number = _placeOrder(_offer, one);
        IEscrow.Delivery memory delivery = _deliver(number, terms, one, one.wrapped);
        Case memory other = _case(4);
        uint256 secret = one.buyerSecret;
        uint256[4] memory secrets = [0, secret + 1, Secp256k1.N - secret, Secp256k1.N];
        for (uint256 i = 0; i < 4; ++i) {
            one.buyerSecret = secrets[i];
            _assertDisputeFails(number, terms, delivery, one, IEscrow.InvalidEvidence.selector);
        }
        one.buyerSecret = secret;
        one.shared.y = Secp256k1.P - one.shared.y;
        _assertDisputeFails(number, terms, delivery, one, IEscrow.InvalidEvidence.selector);
        one.shared = other.shared;
        _assertDisputeFails(number, terms, delivery, one, IEscrow.InvalidEvidence.selector);
        // A true multiple of R, by a secret that is not the order's: it opens to garbage, and proves nothing.
        (one.buyerSecret, one.shared) = (1, one.seller);
        _assertDisputeFails(number, terms, delivery, one, IEscrow.InvalidEvidence.selector);
    }

    function test_dispute__late_or_changed_delivery__reverts() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(3, 0);
        uint64 number = _placeOrder(_offer, one);
        IEscrow.Delivery memory delivery = _deliver(number, terms, one, WRONG);
        delivery.deadline += 1;
        _assertDisputeFails(number, terms, delivery, one, IEscrow.OrderMismatch.selector);
        delivery.deadline -= 1;
        vm.warp(delivery.deadline + 1);
        _assertDisputeFails(number, terms, delivery, one, IEscrow.TooLate.selector);
    }

    function test_settle__after_the_window__split_credited_once() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(3, 0);
        uint64 number = _placeOrder(_offer, one);
        IEscrow.Delivery memory delivery = _deliver(number, terms, one, one.wrapped);
        for (uint256 early = 0; early < 2; ++early) {
            vm.warp(delivery.deadline - early);
            vm.expectRevert(abi.encodeWithSelector(IEscrow.TooEarly.selector, delivery.deadline));
            _all().settle(number, terms, delivery);
        }
        vm.warp(delivery.deadline + 1);
        vm.recordLogs();
        vm.prank(STRANGER);
        _all().settle(number, terms, delivery);
        (uint128 acc,,) = market.splits(_split);
        vm.assertEq(acc, PRICE, "credited");
        vm.assertGt(market.licenses(_offer, HOLDER), 0, "license stays");
        (,,,,,, uint88 state) = market.offers(_offer);
        vm.assertEq(state, 0, "a fixed price counts nothing");
        uint256 packed = uint256(_split) | (block.timestamp << 32);
        _assertEntry(_lastEntry(), 34, number, BUYER, abi.encode(_sequence(), PRICE, packed, _offer, bytes32(0)));
        vm.expectRevert(abi.encodeWithSelector(IEscrow.OrderMismatch.selector, number));
        _all().settle(number, terms, delivery);
    }

    function test_settleMany__same_order_twice__reverts() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(3, 0);
        uint64 number = _placeOrder(_offer, one);
        IEscrow.Delivery memory delivery = _deliver(number, terms, one, one.wrapped);
        vm.warp(delivery.deadline + 1);
        (uint64[] memory numbers, IEscrow.Order[] memory orders, IEscrow.Delivery[] memory deliveries) =
            _twice(number, terms, delivery);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.OrderMismatch.selector, number));
        _all().settleMany(numbers, orders, deliveries);
    }

    function test_settleMany__two_orders__both_credited() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(3, 0);
        uint64 first = _placeOrder(_offer, one);
        uint64 second = _place(_offer, address(0xD0), one);
        IEscrow.Delivery memory delivery = _deliver(first, terms, one, one.wrapped);
        (uint64[] memory numbers, IEscrow.Order[] memory orders, IEscrow.Delivery[] memory deliveries) =
            _twice(first, terms, delivery);
        orders[1] = _orderTerms(_offer, _split, one);
        (orders[1].holder, numbers[1]) = (address(0xD0), second);
        deliveries[1] = _deliver(second, orders[1], one, one.wrapped);
        vm.warp(delivery.deadline + 1);
        _all().settleMany(numbers, orders, deliveries);
        (uint128 acc,,) = market.splits(_split);
        vm.assertEq(acc, 2 * PRICE, "credited");
    }

    function test_refund__not_delivered__money_back_once() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(0, 0);
        uint64 number = _placeOrder(_offer, one);
        for (uint256 early = 0; early < 2; ++early) {
            vm.warp(terms.deadline - early);
            vm.expectRevert(abi.encodeWithSelector(IEscrow.TooEarly.selector, terms.deadline));
            _all().refund(number, terms);
        }
        vm.warp(terms.deadline + 1);
        vm.recordLogs();
        vm.prank(STRANGER);
        _all().refund(number, terms);
        vm.assertEq(token.balanceOf(BUYER), FUNDS, "refund");
        uint256 offerAndTime = _offer | (block.timestamp << 64);
        _assertEntry(_lastEntry(), 35, number, BUYER, abi.encode(_sequence(), PRICE, offerAndTime, 0, bytes32(0)));
        vm.expectRevert(abi.encodeWithSelector(IEscrow.OrderMismatch.selector, number));
        _all().refund(number, terms);
    }

    function test_refund__delivered_order__reverts() public {
        (IEscrow.Order memory terms, Case memory one) = _ready(0, 0);
        uint64 number = _placeOrder(_offer, one);
        _deliver(number, terms, one, one.wrapped);
        vm.warp(terms.deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.OrderMismatch.selector, number));
        _all().refund(number, terms);
    }

    function test_refund__token_that_calls_back__cannot_take_it_twice() public {
        ICallingToken calling = ICallingToken(_tokenOf("CallingToken"));
        _deploy(calling);
        (IEscrow.Order memory terms, Case memory one) = _ready(0, 0);
        uint64 number = _placeOrder(_offer, one);
        vm.warp(terms.deadline + 1);
        calling.arm(address(market), abi.encodeCall(IEscrow.refund, (number, terms)));
        _all().refund(number, terms);
        bytes4 guard = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
        vm.assertTrue(!calling.succeeded(), "entered again");
        vm.assertEq(keccak256(calling.answer()), keccak256(abi.encodeWithSelector(guard)), "refused by the guard");
        vm.assertEq(token.balanceOf(BUYER), FUNDS, "refunded once");
    }

    function _ready(uint256 index, uint32 duration) private returns (IEscrow.Order memory terms, Case memory one) {
        one = _case(index);
        (_adapter, _split, _offer) = _publishEscrowed(duration, one.key);
        terms = _orderTerms(_offer, _split, one);
    }

    function _place(uint64 offer, address holder, Case memory one) private returns (uint64) {
        vm.prank(BUYER);
        return _all().order(_item(offer), holder, PRICE, one.buyer, ORDER);
    }

    function _twice(uint64 number, IEscrow.Order memory terms, IEscrow.Delivery memory delivery)
        private
        pure
        returns (uint64[] memory numbers, IEscrow.Order[] memory orders, IEscrow.Delivery[] memory deliveries)
    {
        numbers = new uint64[](2);
        orders = new IEscrow.Order[](2);
        deliveries = new IEscrow.Delivery[](2);
        (numbers[0], orders[0], deliveries[0]) = (number, terms, delivery);
        (numbers[1], orders[1], deliveries[1]) = (number, terms, delivery);
    }

    function _assertOrderFails(
        uint64 offer,
        address holder,
        uint256 maxPrice,
        Secp256k1.Point memory point,
        bytes memory answer
    ) private {
        vm.expectRevert(answer);
        vm.prank(BUYER);
        _all().order(_item(offer), holder, maxPrice, point, ORDER);
    }

    function _assertDeliverFails(
        address sender,
        uint64 number,
        IEscrow.Order memory terms,
        Case memory one,
        bytes memory answer
    ) private {
        vm.expectRevert(answer);
        vm.prank(sender);
        _all().deliver(number, terms, one.seller, one.wrapped);
    }

    function _assertDisputeFails(
        uint64 number,
        IEscrow.Order memory terms,
        IEscrow.Delivery memory delivery,
        Case memory one,
        bytes4 cause
    ) private {
        (bool ok, bytes memory answer) = address(market)
            .call(abi.encodeCall(IEscrow.dispute, (number, terms, delivery, one.buyerSecret, one.shared)));
        vm.assertTrue(!ok && bytes4(answer) == cause, "disputed, or refused for another cause");
    }
}
