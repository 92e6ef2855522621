// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IOffers} from "../src/interfaces/IOffers.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {IStewardship} from "../src/interfaces/IStewardship.sol";
import {Vm} from "./Base.sol";
import {MarketFixture} from "./MarketFixture.sol";

/// @notice Withdrawal, notices and the steward: sales stop, and nothing else does.
contract StewardshipTest is MarketFixture {
    address private constant NEXT = address(0x4E47);
    bytes32 private constant DIGEST = keccak256("complaint");
    uint64 private _adapter;
    uint32 private _split;
    uint64 private _offer;

    function setUp() public override {
        super.setUp();
        (_adapter, _split, _offer) = _publish(60);
        _buy(_offer, BUYER);
    }

    function test_withdraw__owner__ends_sales_only() public {
        vm.recordLogs();
        vm.prank(OWNER);
        market.withdraw(_adapter, _one(_offer));
        _assertEntry(vm.getRecordedLogs()[0], 10, _offer, OWNER, abi.encode(5, _adapter, 0, 0, 0));
        _assertClosed();
        vm.assertEq(market.licenses(_offer, BUYER), NOW + 60, "the license stays");
        vm.assertGt(_claim(_split, 0), 0, "claims go on");
        vm.prank(OWNER);
        vm.assertEq(market.createOffer(_adapter, _terms(_split, 1, 0)), 2, "another offer");
    }

    function test_withdraw__not_the_owner__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotAdapterOwner.selector, _adapter));
        market.withdraw(_adapter, _one(_offer));
    }

    function test_withdraw__two_offers__both_closed() public {
        vm.prank(OWNER);
        uint64 second = market.createOffer(_adapter, _terms(_split, 1, 0));
        uint64[] memory numbers = new uint64[](2);
        (numbers[0], numbers[1]) = (_offer, second);
        vm.prank(OWNER);
        market.withdraw(_adapter, numbers);
        _assertClosed();
        _offer = second;
        _assertClosed();
    }

    function test_withdraw__twice__reverts() public {
        vm.prank(OWNER);
        market.withdraw(_adapter, _one(_offer));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.OfferClosed.selector, _offer));
        vm.prank(OWNER);
        market.withdraw(_adapter, _one(_offer));
    }

    function test_withdraw__offer_of_another__reverts() public {
        vm.prank(HOLDER);
        uint64 other = market.register(MANIFEST, BASE_MODEL, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IOffers.OfferOfOtherAdapter.selector, _offer));
        vm.prank(HOLDER);
        market.withdraw(other, _one(_offer));
    }

    function test_retire__owner__no_further_offer() public {
        vm.recordLogs();
        vm.prank(OWNER);
        market.retire(_adapter);
        _assertEntry(vm.getRecordedLogs()[0], 13, _adapter, OWNER, abi.encode(5, 0, 0, 0, 0));
        vm.expectRevert(abi.encodeWithSelector(IOffers.AdapterRetired.selector, _adapter));
        vm.prank(OWNER);
        market.createOffer(_adapter, _terms(_split, 1, 0));
        vm.expectRevert(abi.encodeWithSelector(IOffers.AdapterRetired.selector, _adapter));
        vm.prank(OWNER);
        market.retire(_adapter);
        _buy(_offer, HOLDER);
    }

    function test_retire__not_the_owner__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotAdapterOwner.selector, _adapter));
        market.retire(_adapter);
    }

    function test_pause__steward__stops_sales_and_shows_in_the_head() public {
        vm.recordLogs();
        vm.prank(STEWARD);
        market.pause();
        vm.assertTrue(market.paused(), "paused");
        vm.assertTrue(market.head() & PAUSED != 0, "bit of the head");
        vm.expectRevert(IRegistry.SalesPaused.selector);
        _buy(_offer, HOLDER);
        vm.assertGt(_claim(_split, 0), 0, "claims go on");
        vm.prank(OWNER);
        market.withdraw(_adapter, _one(_offer));
        vm.recordLogs();
        vm.prank(STEWARD);
        market.unpause();
        vm.assertTrue(!market.paused(), "unpaused");
        bytes memory data = abi.encode(market.head() & SEQUENCE, 0, 0, 0, 0);
        _assertEntry(vm.getRecordedLogs()[0], 17, 0, STEWARD, data);
    }

    function test_pause__and_unpause__ledger_replays() public {
        uint256 before = market.head();
        vm.recordLogs();
        vm.prank(STEWARD);
        market.pause();
        _claim(_split, 0);
        vm.prank(STEWARD);
        market.unpause();
        _buy(_offer, HOLDER);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        (uint256 head, uint256 count) = _replay(before, logs);
        vm.assertEq(count, 4, "entries");
        vm.assertEq(head, market.head(), "head");
        _assertEntry(logs[0], 16, 0, STEWARD, abi.encode(5, NOW + 30 days, 0, 0, 0));
    }

    function test_unpause__stranger_days_after_the_end__takes_the_mark_away() public {
        vm.prank(STEWARD);
        market.pause();
        vm.warp(NOW + 33 days);
        vm.prank(HOLDER);
        market.unpause();
        vm.assertTrue(market.head() & PAUSED == 0, "no mark");
        vm.assertEq(market.pausedUntil(), NOW + 30 days, "the end stays");
    }

    function test_pause__in_that_state_already__reverts() public {
        vm.expectRevert(IStewardship.NothingChanges.selector);
        vm.prank(STEWARD);
        market.unpause();
        vm.prank(STEWARD);
        market.pause();
        vm.expectRevert(IStewardship.NothingChanges.selector);
        vm.prank(STEWARD);
        market.pause();
    }

    /// @dev The attack: the key is lost, or in the wrong hands, while sales are paused.
    function test_attack_pause__steward_never_comes_back__sales_go_on_after_thirty_days() public {
        vm.prank(STEWARD);
        market.pause();
        vm.assertEq(market.pausedUntil(), NOW + 30 days, "end");
        vm.warp(NOW + 30 days - 1);
        vm.expectRevert(IRegistry.SalesPaused.selector);
        _buy(_offer, HOLDER);
        vm.expectRevert(IStewardship.NotSteward.selector);
        market.unpause();
        vm.warp(NOW + 30 days);
        vm.assertTrue(!market.paused(), "over");
        _buy(_offer, HOLDER);
        vm.assertTrue(market.head() & PAUSED != 0, "the mark stays in the head");
        market.unpause();
        vm.assertTrue(market.head() & PAUSED == 0, "until somebody ends the pause");
        vm.assertEq(market.pausedUntil(), NOW + 30 days, "which does not move its end");
        vm.expectRevert(IStewardship.NothingChanges.selector);
        market.unpause();
    }

    function test_attack_pause__again_and_again__sales_run_thirty_days_between() public {
        vm.prank(STEWARD);
        market.pause();
        vm.warp(NOW + 2 days);
        vm.prank(STEWARD);
        market.unpause();
        vm.assertEq(market.pausedUntil(), NOW + 2 days, "ended early");
        vm.warp(NOW + 32 days - 1);
        vm.expectRevert(abi.encodeWithSelector(IStewardship.PausedTooRecently.selector, NOW + 32 days));
        vm.prank(STEWARD);
        market.pause();
        vm.warp(NOW + 32 days);
        vm.prank(STEWARD);
        market.pause();
        // The pause ends on its own; the next one finds its mark in the head.
        vm.warp(NOW + 92 days);
        vm.recordLogs();
        uint256 before = market.head();
        vm.prank(STEWARD);
        market.pause();
        (uint256 head,) = _replay(before, vm.getRecordedLogs());
        vm.assertEq(head, market.head(), "the ledger replays");
        vm.assertTrue(market.paused(), "paused");
    }

    function test_resignStewardship__after_the_pause__sales_go_on_for_good() public {
        vm.prank(STEWARD);
        market.pause();
        vm.warp(NOW + 30 days);
        vm.prank(STEWARD);
        market.resignStewardship();
        _buy(_offer, HOLDER);
        vm.prank(HOLDER);
        market.unpause();
        vm.assertEq(market.head() & PAUSED, 0, "no mark");
    }

    function test_steward__anybody_else__reverts() public {
        uint256 number = market.notice(_adapter, DIGEST);
        vm.expectRevert(IStewardship.NotSteward.selector);
        market.pause();
        vm.expectRevert(IStewardship.NotSteward.selector);
        market.suspend(_offer, number);
        vm.expectRevert(IStewardship.NotSteward.selector);
        market.reopen(_offer, number);
        vm.expectRevert(IStewardship.NotSteward.selector);
        market.nameSteward(NEXT);
        vm.expectRevert(IStewardship.NotSteward.selector);
        market.resignStewardship();
    }

    function test_suspend__and_reopen__sales_stop_and_go_on() public {
        uint256 number = market.notice(_adapter, DIGEST);
        vm.recordLogs();
        vm.prank(STEWARD);
        market.suspend(_offer, number);
        _assertEntry(vm.getRecordedLogs()[0], 11, _offer, STEWARD, abi.encode(number + 1, number, 0, 0, 0));
        _assertClosed();
        vm.expectRevert(IStewardship.NothingChanges.selector);
        vm.prank(STEWARD);
        market.suspend(_offer, number);
        vm.recordLogs();
        vm.prank(STEWARD);
        market.reopen(_offer, number);
        _assertEntry(vm.getRecordedLogs()[0], 12, _offer, STEWARD, abi.encode(number + 2, number, 0, 0, 0));
        _buy(_offer, HOLDER);
    }

    function test_reopen__open_offer__reverts() public {
        uint256 number = market.notice(_adapter, DIGEST);
        vm.expectRevert(IStewardship.NothingChanges.selector);
        vm.prank(STEWARD);
        market.reopen(_offer, number);
    }

    function test_suspend__notice_about_another_adapter__reverts() public {
        uint64 older = _adapter;
        uint64 newer = market.register(MANIFEST, BASE_MODEL, TERMS);
        uint256 number = market.notice(newer, DIGEST);
        vm.expectRevert(abi.encodeWithSelector(IStewardship.UnknownNotice.selector, number));
        vm.prank(STEWARD);
        market.suspend(_offer, number);
        uint64 offer = market.createOffer(newer, _terms(_split, 1, 0));
        number = market.notice(older, DIGEST);
        vm.expectRevert(abi.encodeWithSelector(IStewardship.UnknownNotice.selector, number));
        vm.prank(STEWARD);
        market.suspend(offer, number);
    }

    function test_reopen__withdrawn_by_its_owner__stays_closed() public {
        uint256 number = market.notice(_adapter, DIGEST);
        vm.prank(STEWARD);
        market.suspend(_offer, number);
        vm.prank(OWNER);
        market.withdraw(_adapter, _one(_offer));
        vm.prank(STEWARD);
        market.reopen(_offer, number);
        _assertClosed();
    }

    function test_suspend__notice_or_offer_that_is_not_there__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IStewardship.UnknownNotice.selector, 1));
        vm.prank(STEWARD);
        market.suspend(_offer, 1);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownOffer.selector, uint64(9)));
        vm.prank(STEWARD);
        market.suspend(9, 0);
    }

    function test_notice__anybody__recorded() public {
        vm.recordLogs();
        vm.prank(HOLDER);
        uint256 number = market.notice(_adapter, DIGEST);
        vm.assertEq(number, 5, "number");
        vm.assertEq(market.notices(number), _adapter, "adapter");
        _assertEntry(vm.getRecordedLogs()[0], 14, _adapter, HOLDER, abi.encode(5, 0, 0, 0, DIGEST));
        vm.recordLogs();
        vm.prank(OWNER);
        market.counterNotice(number, TERMS);
        _assertEntry(vm.getRecordedLogs()[0], 15, _adapter, OWNER, abi.encode(6, number, 0, 0, TERMS));
    }

    function test_notice__of_nothing__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IStewardship.UnknownAdapter.selector, uint64(9)));
        market.notice(9, DIGEST);
        vm.expectRevert(IStewardship.ZeroDigest.selector);
        market.notice(_adapter, 0);
    }

    function test_counterNotice__not_the_owner_or_no_notice__reverts() public {
        uint256 number = market.notice(_adapter, DIGEST);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotAdapterOwner.selector, _adapter));
        market.counterNotice(number, DIGEST);
        vm.expectRevert(abi.encodeWithSelector(IStewardship.UnknownNotice.selector, 77));
        vm.prank(OWNER);
        market.counterNotice(77, DIGEST);
        vm.expectRevert(IStewardship.ZeroDigest.selector);
        vm.prank(OWNER);
        market.counterNotice(number, 0);
    }

    function test_nameSteward__accepted__changes_hands() public {
        vm.recordLogs();
        vm.prank(STEWARD);
        market.nameSteward(NEXT);
        vm.assertEq(market.steward(), STEWARD, "not yet");
        vm.assertEq(market.namedSteward(), NEXT, "named");
        vm.expectRevert(IStewardship.NotNamed.selector);
        market.acceptStewardship();
        vm.prank(NEXT);
        market.acceptStewardship();
        vm.assertEq(market.steward(), NEXT, "steward");
        vm.assertEq(market.namedSteward(), address(0), "nobody is named");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        _assertEntry(logs[0], 18, 0, NEXT, abi.encode(5, 0, 0, 0, 0));
        _assertEntry(logs[1], 19, 0, NEXT, abi.encode(6, 0, 0, 0, 0));
    }

    function test_resignStewardship__open__nobody_is_left() public {
        vm.prank(STEWARD);
        market.nameSteward(NEXT);
        vm.recordLogs();
        vm.prank(STEWARD);
        market.resignStewardship();
        _assertEntry(vm.getRecordedLogs()[0], 19, 0, address(0), abi.encode(6, 0, 0, 0, 0));
        vm.assertEq(market.steward(), address(0), "steward");
        vm.expectRevert(IStewardship.NotNamed.selector);
        vm.prank(NEXT);
        market.acceptStewardship();
    }

    function test_resignStewardship__paused__reverts() public {
        vm.prank(STEWARD);
        market.pause();
        vm.expectRevert(IStewardship.ResignationWhilePaused.selector);
        vm.prank(STEWARD);
        market.resignStewardship();
    }

    function _assertClosed() private {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.OfferClosed.selector, _offer));
        _buy(_offer, HOLDER);
    }

    function _one(uint64 offer) private pure returns (uint64[] memory numbers) {
        numbers = new uint64[](1);
        numbers[0] = offer;
    }
}
