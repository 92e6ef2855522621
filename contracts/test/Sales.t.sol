// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {IBooks} from "../src/interfaces/IBooks.sol";
import {IOffers} from "../src/interfaces/IOffers.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISales} from "../src/interfaces/ISales.sol";
import {Vm} from "./Base.sol";
import {IToken} from "./IToken.sol";
import {MarketFixture} from "./MarketFixture.sol";
import {Cheats} from "./PartsFixture.sol";

/// @notice The other ways to pay: a permit, and a signed payment that anyone relays; and what `buy` refuses to sell.
contract SalesTest is MarketFixture {
    Cheats private constant cheats = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 private constant PAYER_KEY = 0xA11;
    uint256 private constant MAX_PRICE = 3 * uint256(PRICE) + 100;
    bytes32 private constant PERMIT =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    bytes32 private constant RECEIVE = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );

    address private _payer;
    uint32 private _split;
    uint64 private _offer;

    function setUp() public override {
        super.setUp();
        _payer = cheats.addr(PAYER_KEY);
        token.mint(_payer, FUNDS);
        (, _split, _offer) = _publish(60);
    }

    function test_buyWithPermit__no_allowance_before__sold() public {
        ISales.Permit memory permit = _permit(PRICE);
        vm.recordLogs();
        vm.prank(_payer);
        market.buyWithPermit(_item(_offer), HOLDER, PRICE, ORDER, permit);
        _assertSold(vm.getRecordedLogs(), PRICE);
        vm.assertEq(token.allowance(_payer, address(market)), 0, "nothing of the allowance is left");
    }

    function test_buyWithPermit__used_up_by_somebody_else__sold() public {
        ISales.Permit memory permit = _permit(PRICE);
        token.permit(_payer, address(market), permit.value, permit.deadline, permit.v, permit.r, permit.s);
        vm.prank(_payer);
        market.buyWithPermit(_item(_offer), HOLDER, PRICE, ORDER, permit);
        vm.assertEq(market.licenses(_offer, HOLDER), NOW + 60, "expiry");
    }

    function test_buyWithPermit__permit_of_another__reverts() public {
        ISales.Permit memory permit = _permit(PRICE);
        bytes4 expected = bytes4(keccak256("ERC20InsufficientAllowance(address,uint256,uint256)"));
        vm.expectRevert(abi.encodeWithSelector(expected, address(market), 0, PRICE));
        vm.prank(HOLDER);
        market.buyWithPermit(_item(_offer), HOLDER, PRICE, ORDER, permit);
    }

    function test_buyWithAuthorization__relayed__sold_and_the_rest_returned() public {
        ISales.Authorization memory signed = _authorization(HOLDER, ORDER);
        vm.recordLogs();
        vm.prank(OWNER);
        market.buyWithAuthorization(_item(_offer), HOLDER, MAX_PRICE, ORDER, signed);
        _assertSold(vm.getRecordedLogs(), PRICE);
        vm.assertEq(token.balanceOf(OWNER), 0, "the relayer gets nothing");
    }

    function test_buyWithAuthorization__market_that_holds_money__counts_only_what_came() public {
        _buy(_offer, BUYER);
        market.buyWithAuthorization(_item(_offer), HOLDER, MAX_PRICE, ORDER, _authorization(HOLDER, ORDER));
        vm.assertEq(token.balanceOf(address(market)), 2 * PRICE, "received");
        _buy(_offer, BUYER);
        vm.assertEq(token.balanceOf(address(market)), 3 * PRICE, "received again");
    }

    function test_buyWithAuthorization__token_takes_a_fee__reverts() public {
        IToken taking = IToken(_tokenOf("FeeToken"));
        _deploy(taking);
        taking.mint(_payer, FUNDS);
        (, _split, _offer) = _publish(60);
        ISales.Authorization memory signed = _authorization(HOLDER, ORDER);
        vm.expectRevert(abi.encodeWithSelector(IBooks.AmountMismatch.selector, MAX_PRICE, MAX_PRICE - 1));
        market.buyWithAuthorization(_item(_offer), HOLDER, MAX_PRICE, ORDER, signed);
    }

    function test_buyWithAuthorization__exact_price__nothing_returned() public {
        vm.prank(OWNER);
        _offer = market.createOffer(1, _terms(_split, uint64(MAX_PRICE), 60));
        vm.recordLogs();
        market.buyWithAuthorization(_item(_offer), HOLDER, MAX_PRICE, ORDER, _authorization(HOLDER, ORDER));
        vm.assertEq(vm.getRecordedLogs().length, 3, "sale, authorization and one transfer");
        vm.assertEq(token.balanceOf(address(market)), MAX_PRICE, "received");
    }

    function test_buyWithAuthorization__front_run_for_another_purchase__reverts() public {
        ISales.Authorization memory signed = _authorization(HOLDER, ORDER);
        vm.prank(OWNER);
        uint64 other = market.createOffer(1, _terms(_split, PRICE, 0));
        _assertForged(_offer, OWNER, MAX_PRICE, ORDER, signed);
        _assertForged(other, HOLDER, MAX_PRICE, ORDER, signed);
        _assertForged(_offer, HOLDER, MAX_PRICE - 1, ORDER, signed);
        _assertForged(_offer, HOLDER, MAX_PRICE, TERMS, signed);
        market.buyWithAuthorization(_item(_offer), HOLDER, MAX_PRICE, ORDER, signed);
    }

    function test_buyWithAuthorization__taken_to_the_token_directly__reverts() public {
        ISales.Authorization memory s = _authorization(HOLDER, ORDER);
        bytes32 nonce = keccak256(abi.encode(_item(_offer), HOLDER, MAX_PRICE, ORDER));
        vm.expectRevert(abi.encodeWithSignature("ERC20InvalidReceiver(address)", address(market)));
        token.receiveWithAuthorization(
            _payer, address(market), MAX_PRICE, s.validAfter, s.validBefore, nonce, s.v, s.r, s.s
        );
    }

    function test_buyWithAuthorization__twice__reverts() public {
        ISales.Authorization memory signed = _authorization(HOLDER, ORDER);
        market.buyWithAuthorization(_item(_offer), HOLDER, MAX_PRICE, ORDER, signed);
        bytes32 nonce = keccak256(abi.encode(_item(_offer), HOLDER, MAX_PRICE, ORDER));
        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, _payer, nonce));
        market.buyWithAuthorization(_item(_offer), HOLDER, MAX_PRICE, ORDER, signed);
    }

    function test_buyWithAuthorization__too_late__nothing_changes() public {
        ISales.Authorization memory signed = _authorization(HOLDER, ORDER);
        vm.warp(signed.validBefore);
        uint256 head = market.head();
        vm.expectRevert(
            abi.encodeWithSelector(
                ERC3009.ERC3009InvalidAuthorizationTime.selector, signed.validAfter, signed.validBefore
            )
        );
        market.buyWithAuthorization(_item(_offer), HOLDER, MAX_PRICE, ORDER, signed);
        vm.assertEq(market.head(), head, "ledger");
    }

    function test_buyWithAuthorization__dearer_than_signed__reverts() public {
        vm.prank(OWNER);
        uint64 dear = market.createOffer(1, _terms(_split, uint64(MAX_PRICE) + 1, 0));
        ISales.Authorization memory signed = _authorization(HOLDER, ORDER);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.PriceAboveMax.selector, MAX_PRICE + 1, MAX_PRICE));
        market.buyWithAuthorization(_item(dear), HOLDER, MAX_PRICE, ORDER, signed);
    }

    function test_buy__metered__reverts() public {
        IOffers.OfferTerms memory terms = _terms(_split, PRICE, 0);
        terms.metered = true;
        vm.prank(OWNER);
        uint64 offer = market.createOffer(1, terms);
        vm.assertEq(market.quote(offer), PRICE, "price of a use");
        vm.expectRevert(abi.encodeWithSelector(ISales.OfferMetered.selector, offer));
        _buy(offer, HOLDER);
    }

    /// @dev IOffers.itemOf, written out once more.
    function test_itemOf__every_field__as_specified() public {
        IOffers.OfferTerms memory terms = _terms(_split, PRICE, 60);
        terms.keyHash = ORDER;
        vm.prank(OWNER);
        uint64 offer = market.createOffer(1, terms);
        (,, bytes32 root) = market.splits(_split);
        bytes memory fields = abi.encode(OWNER, MANIFEST, root, ORDER, PRICE, uint256(60), uint256(2), 0, 0);
        uint256 item = (uint256(keccak256(fields)) >> 64 << 64) | offer;
        vm.assertEq(market.itemOf(offer), item, "item");
        vm.assertEq(_item(offer), item, "as the tests read it");
        vm.assertTrue(market.itemOf(offer) >> 64 != market.itemOf(_offer) >> 64, "of another offer");
        vm.assertEq(market.keyHashOf(_offer), 0, "a direct offer has no key hash");
    }

    /// @dev The attack: after a reorganisation the number belongs to another seller's copy of the same manifest.
    function test_attack_buy__number_of_another_seller__reverts_on_every_way_to_pay() public {
        uint256 meant = _item(_offer);
        _deploy(token);
        vm.prank(HOLDER);
        market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, _terms(0, PRICE, 60));
        bytes memory other = abi.encodeWithSelector(IRegistry.OtherOffer.selector, _offer);
        vm.expectRevert(other);
        vm.prank(BUYER);
        market.buy(meant, HOLDER, PRICE, ORDER);
        ISales.Permit memory permit;
        vm.expectRevert(other);
        vm.prank(BUYER);
        market.buyWithPermit(meant, HOLDER, PRICE, ORDER, permit);
        ISales.Authorization memory signed;
        vm.expectRevert(other);
        market.buyWithAuthorization(meant, HOLDER, PRICE, ORDER, signed);
        vm.expectRevert(other);
        vm.prank(BUYER);
        market.openChannel(meant, BUYER, 1_000, 30 days, PRICE);
        vm.assertEq(token.balanceOf(BUYER), 2 * FUNDS, "nothing was paid");
    }

    function test_buy__item_one_off__reverts() public {
        uint256 item = _item(_offer);
        for (uint256 i = 0; i < 2; ++i) {
            uint256 wrong = i == 0 ? item - (1 << 64) : item + (1 << 64);
            vm.expectRevert(abi.encodeWithSelector(IRegistry.OtherOffer.selector, _offer));
            vm.prank(BUYER);
            market.buy(wrong, HOLDER, PRICE, ORDER);
        }
    }

    function test_buy__escrowed__reverts() public {
        IOffers.OfferTerms memory terms = _terms(_split, PRICE, 60);
        terms.keyHash = ORDER;
        vm.recordLogs();
        vm.prank(OWNER);
        uint64 offer = market.createOffer(1, terms);
        uint256 packed = uint256(_split) | (60 << 32) | (2 << 64);
        _assertEntry(vm.getRecordedLogs()[0], 3, offer, OWNER, abi.encode(4, 1, PRICE, packed, ORDER));
        vm.expectRevert(abi.encodeWithSelector(ISales.OfferEscrowed.selector, offer));
        _buy(offer, HOLDER);
    }

    function test_createOffer__metered_with_duration_or_escrow__reverts() public {
        IOffers.OfferTerms memory terms = _terms(_split, PRICE, 60);
        terms.metered = true;
        vm.expectRevert(IOffers.InvalidMeteredOffer.selector);
        vm.prank(OWNER);
        market.createOffer(1, terms);
        (terms.duration, terms.keyHash) = (0, ORDER);
        vm.expectRevert(IOffers.InvalidMeteredOffer.selector);
        vm.prank(OWNER);
        market.createOffer(1, terms);
    }

    function _assertSold(Vm.Log[] memory logs, uint256 price) private view {
        bytes memory data = abi.encode(4, price, uint256(_split) | (NOW << 32), NOW + 60, ORDER);
        _assertEntry(logs[0], 4, _offer, HOLDER, data);
        vm.assertEq(market.licenses(_offer, HOLDER), NOW + 60, "expiry");
        vm.assertEq(token.balanceOf(_payer), FUNDS - price, "paid");
        vm.assertEq(token.balanceOf(address(market)), price, "received");
    }

    function _assertForged(
        uint64 offer,
        address holder,
        uint256 maxPrice,
        bytes32 orderRef,
        ISales.Authorization memory signed
    ) private {
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        market.buyWithAuthorization(_item(offer), holder, maxPrice, orderRef, signed);
    }

    function _permit(uint256 value) private view returns (ISales.Permit memory permit) {
        permit.value = value;
        permit.deadline = NOW + 1;
        bytes32 message = keccak256(abi.encode(PERMIT, _payer, address(market), value, 0, permit.deadline));
        (permit.v, permit.r, permit.s) = cheats.sign(PAYER_KEY, _digest(message));
    }

    function _authorization(address holder, bytes32 orderRef)
        private
        view
        returns (ISales.Authorization memory signed)
    {
        (signed.payer, signed.validAfter, signed.validBefore) = (_payer, NOW - 1, NOW + 100);
        bytes32 nonce = keccak256(abi.encode(_item(_offer), holder, MAX_PRICE, orderRef));
        bytes32 message = keccak256(abi.encode(RECEIVE, _payer, address(market), MAX_PRICE, NOW - 1, NOW + 100, nonce));
        (signed.v, signed.r, signed.s) = cheats.sign(PAYER_KEY, _digest(message));
    }

    function _digest(bytes32 message) private view returns (bytes32) {
        return keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), message));
    }
}
