// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IChannels} from "../src/interfaces/IChannels.sol";
import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {IOffers} from "../src/interfaces/IOffers.sol";
import {IPools} from "../src/interfaces/IPools.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {IStewardship} from "../src/interfaces/IStewardship.sol";
import {PartsFixture} from "./PartsFixture.sol";

/// @notice What belongs to one account or one hash is refused to all others: to those above it and to those below it.
contract RolesTest is PartsFixture {
    address private constant NAMED = address(0x4E47);
    address private constant OPERATOR = address(0x09E7A708);
    address private constant CHALLENGER = address(0xFFC4A1000000);

    function test_owner__neighbors__refused() public {
        (uint64 adapter, uint32 split, uint64 offer) = _publish(60);
        uint256 number = market.notice(adapter, TERMS);
        uint64[] memory numbers = new uint64[](1);
        numbers[0] = offer;
        bytes memory answer = abi.encodeWithSelector(IRegistry.NotAdapterOwner.selector, adapter);
        _assertOnly(OWNER, abi.encodeCall(IOffers.createOffer, (adapter, _terms(split, 1, 0))), answer);
        _assertOnly(OWNER, abi.encodeCall(IEscrow.setOperator, (adapter, OPERATOR)), answer);
        _assertOnly(OWNER, abi.encodeCall(IStewardship.counterNotice, (number, TERMS)), answer);
        _assertOnly(OWNER, abi.encodeCall(IOffers.withdraw, (adapter, numbers)), answer);
        _assertOnly(OWNER, abi.encodeCall(IOffers.retire, (adapter)), answer);
    }

    function test_steward__neighbors__refused() public {
        (uint64 adapter,, uint64 offer) = _publish(60);
        uint256 number = market.notice(adapter, TERMS);
        bytes memory answer = abi.encodeWithSelector(IStewardship.NotSteward.selector);
        _assertOnly(STEWARD, abi.encodeCall(IStewardship.pause, ()), answer);
        _assertOnly(STEWARD, abi.encodeCall(IStewardship.unpause, ()), answer);
        _assertOnly(STEWARD, abi.encodeCall(IStewardship.suspend, (offer, number)), answer);
        _assertOnly(STEWARD, abi.encodeCall(IStewardship.reopen, (offer, number)), answer);
        _assertOnly(STEWARD, abi.encodeCall(IStewardship.nameSteward, (NAMED)), answer);
        bytes memory notNamed = abi.encodeWithSelector(IStewardship.NotNamed.selector);
        _assertOnly(NAMED, abi.encodeCall(IStewardship.acceptStewardship, ()), notNamed);
        _assertOnly(NAMED, abi.encodeCall(IStewardship.resignStewardship, ()), answer);
    }

    function test_withdraw__offers_of_older_and_newer_adapters__refused() public {
        (uint64 first, uint32 split,) = _publish(60);
        uint64 second = market.register(MANIFEST, BASE_MODEL, TERMS);
        uint64[] memory numbers = new uint64[](1);
        numbers[0] = market.createOffer(second, _terms(split, 1, 0));
        vm.expectRevert(abi.encodeWithSelector(IOffers.OfferOfOtherAdapter.selector, numbers[0]));
        vm.prank(OWNER);
        market.withdraw(first, numbers);
        numbers[0] = 1;
        vm.expectRevert(abi.encodeWithSelector(IOffers.OfferOfOtherAdapter.selector, 1));
        market.withdraw(second, numbers);
    }

    function test_channel__neighbors_of_payer_and_of_signer__refused() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        _assertOnly(
            BUYER,
            abi.encodeCall(IChannels.askClose, (channel)),
            abi.encodeWithSelector(IChannels.NotPayer.selector, channel)
        );
        uint256 above = 0;
        for (uint256 key = 1; key <= 8; ++key) {
            address signer = cheats.addr(key);
            if (signer > cheats.addr(SESSION_KEY)) ++above;
            IChannels.Voucher memory voucher = _voucherBy(key, channel, 1);
            vm.expectRevert(abi.encodeWithSelector(IChannels.NotSessionKey.selector, channel, signer));
            _all().redeem(voucher);
        }
        vm.assertTrue(above > 0 && above < 8, "signers on both sides");
    }

    function test_seller__neighbors_of_owner_and_operator__refused() public {
        (uint64 adapter, uint32 split, uint64 offer) = _publishEscrowed(0, _case(0).key);
        Case memory one = _case(0);
        IEscrow.Order memory terms = _orderTerms(offer, split, one);
        uint64 number = _placeOrder(offer, one);
        vm.prank(OWNER);
        _all().setOperator(adapter, OPERATOR);
        bytes memory deliver = abi.encodeCall(IEscrow.deliver, (number, terms, one.seller, one.wrapped));
        bytes memory answer = abi.encodeWithSelector(IEscrow.NotSeller.selector, adapter);
        _assertRefused(address(uint160(OPERATOR) - 1), deliver, answer);
        _assertRefused(address(uint160(OPERATOR) + 1), deliver, answer);
        _assertOnly(OWNER, deliver, answer);
    }

    /// @dev Changed orders hash to both sides of the right one.
    function test_order__changed__refused_whatever_it_hashes_to() public {
        (, uint32 split, uint64 offer) = _publishEscrowed(0, _case(0).key);
        Case memory one = _case(0);
        IEscrow.Order memory terms = _orderTerms(offer, split, one);
        uint64 number = _placeOrder(offer, one);
        _assertChangedRefused(number, terms);
        IEscrow.Delivery memory delivery = _deliver(number, terms, one, one.wrapped);
        vm.warp(delivery.deadline + 1);
        for (uint256 i = 1; i <= 32; ++i) {
            delivery.wrapped = bytes32(uint256(one.wrapped) + i);
            _assertRefused(OWNER, abi.encodeCall(IEscrow.settle, (number, terms, delivery)), _mismatch(number));
        }
        _assertChangedRefused(number, terms);
    }

    function test_pool__neighbors_of_operator_and_challenger__refused() public {
        vm.prank(OPERATOR);
        uint64 pool = _all().createPool(CHALLENGER, 1_000, 1 days, TERMS);
        vm.warp(NOW + 1 days);
        bytes memory notOperator = abi.encodeWithSelector(IPools.NotOperator.selector, pool);
        _assertOnly(OPERATOR, abi.encodeCall(IPools.postRoot, (pool, 0, TERMS, TERMS, "")), notOperator);
        bytes memory notChallenger = abi.encodeWithSelector(IPools.NotChallenger.selector, pool);
        _assertOnly(CHALLENGER, abi.encodeCall(IPools.veto, (pool)), notChallenger);
    }

    function _assertChangedRefused(uint64 number, IEscrow.Order memory terms) private {
        uint256 price = terms.price;
        uint256 above = 0;
        bytes32 right = keccak256(abi.encode(terms));
        for (uint256 i = 1; i <= 32; ++i) {
            terms.price = price + i;
            if (keccak256(abi.encode(terms)) > right) ++above;
            _assertRefused(OWNER, abi.encodeCall(IEscrow.refund, (number, terms)), _mismatch(number));
        }
        terms.price = price;
        vm.assertTrue(above > 0 && above < 32, "hashes on both sides");
    }

    /// @dev The accounts next to the rightful one are refused, and then it succeeds.
    function _assertOnly(address rightful, bytes memory call, bytes memory answer) private {
        _assertRefused(address(uint160(rightful) - 1), call, answer);
        _assertRefused(address(uint160(rightful) + 1), call, answer);
        vm.prank(rightful);
        (bool ok,) = address(market).call(call);
        vm.assertTrue(ok, "the rightful account was refused");
    }

    function _assertRefused(address sender, bytes memory call, bytes memory answer) private {
        vm.prank(sender);
        (bool ok, bytes memory got) = address(market).call(call);
        vm.assertTrue(!ok, "another account was let in");
        vm.assertEq(keccak256(got), keccak256(answer), "cause");
    }

    function _mismatch(uint64 number) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IEscrow.OrderMismatch.selector, number);
    }
}
