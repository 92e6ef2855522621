// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IPools} from "../src/interfaces/IPools.sol";
import {IBooks} from "../src/interfaces/IBooks.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Vm} from "./Base.sol";
import {ICallingToken} from "./IToken.sol";
import {PartsFixture} from "./PartsFixture.sol";
import {PoolTrees} from "./PoolTrees.sol";

/// @notice Catalogue subscriptions: fees reach splits only through an unvetoed root, or go back.
contract PoolsTest is PartsFixture {
    address private constant OPERATOR = address(0x09E7A708);
    address private constant CHALLENGER = address(0xC4A1);
    uint64 private constant FEE = 1_000;
    uint32 private constant PERIOD = 30 days;
    uint256 private constant SILENCE = 180 days;
    uint256 private constant LAPSE = 30 days;
    uint256 private constant CREDIT_TIME = 180 days;
    bytes32 private constant RULES = keccak256("user-centric");
    bytes32 private constant DATA = keccak256("data");
    string private constant URI = "ipfs://data";

    uint64 private _pool;
    uint256[] private _splits;
    uint256[] private _totals;

    function test_createPool__valid_terms__recorded() public {
        vm.recordLogs();
        _create();
        vm.assertEq(_pool, 1, "first number");
        uint256 packed = PERIOD | (NOW << 32);
        bytes memory data = abi.encode(_sequence(), FEE, packed, uint256(uint160(CHALLENGER)), RULES);
        _assertEntry(_lastEntry(), 40, _pool, OPERATOR, data);
        (address operator, uint64 fee, uint32 period, address challenger, uint40 start,,, bytes32 terms) =
            _all().pools(_pool);
        vm.assertTrue(operator == OPERATOR && challenger == CHALLENGER, "accounts");
        vm.assertTrue(fee == FEE && period == PERIOD && start == NOW, "numbers");
        vm.assertEq(terms, _agreed(), "terms");
    }

    function test_createPool__impossible_terms__reverts() public {
        _assertCreateFails(address(0), FEE, PERIOD);
        _assertCreateFails(OPERATOR, FEE, PERIOD);
        _assertCreateFails(CHALLENGER, 0, PERIOD);
        _assertCreateFails(CHALLENGER, FEE, 1 days - 1);
        _assertCreateFails(CHALLENGER, FEE, 366 days + 1);
    }

    function test_subscribe__three_periods__paid_and_recorded() public {
        _create();
        vm.recordLogs();
        _subscribe(HOLDER, 0, 3);
        vm.assertEq(token.balanceOf(address(market)), 3 * FEE, "paid");
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_all().subscriptions(_pool, i, HOLDER), BUYER, "payer");
            vm.assertEq(_all().income(_pool, i), FEE, "income");
        }
        vm.assertEq(_all().subscriptions(_pool, 3, HOLDER), address(0), "not a fourth");
        uint256 packed = uint256(7) << 64;
        bytes memory data = abi.encode(_sequence(), 3 * FEE, packed, uint256(uint160(BUYER)), ORDER);
        _assertEntry(_lastEntry(), 41, _pool, HOLDER, data);
    }

    function test_subscribe__bad_arguments__reverts() public {
        _create();
        _assertSubscribeFails(HOLDER, 0, 0, abi.encodeWithSelector(IPools.InvalidPeriods.selector));
        _assertSubscribeFails(HOLDER, 24, 1, abi.encodeWithSelector(IPools.InvalidPeriods.selector));
        _assertSubscribeFails(HOLDER, 25, 1, abi.encodeWithSelector(IPools.InvalidPeriods.selector));
        _assertSubscribeFails(HOLDER, 1, 24, abi.encodeWithSelector(IPools.InvalidPeriods.selector));
        uint256 huge = type(uint256).max;
        _assertSubscribeFails(HOLDER, 1, huge, abi.encodeWithSelector(IPools.InvalidPeriods.selector));
        _assertSubscribeFails(address(0), 0, 1, abi.encodeWithSelector(IPools.ZeroSubscriber.selector));
        _subscribe(HOLDER, 1, 23);
        _assertSubscribeFails(HOLDER, 3, 2, abi.encodeWithSelector(IPools.AlreadySubscribed.selector));
        vm.warp(NOW + PERIOD);
        _assertSubscribeFails(STRANGER, 0, 1, abi.encodeWithSelector(IPools.InvalidPeriods.selector));
        vm.prank(STEWARD);
        _all().pause();
        _assertSubscribeFails(STRANGER, 1, 1, abi.encodeWithSelector(IRegistry.SalesPaused.selector));
        _pool += 1;
        vm.prank(STEWARD);
        _all().unpause();
        _assertSubscribeFails(HOLDER, 0, 1, abi.encodeWithSelector(IPools.UnknownPool.selector, _pool));
    }

    function test_subscribe__some_periods_were_given__only_the_others_are_paid() public {
        _create();
        _subscribe(HOLDER, 5, 1);
        _subscribe(HOLDER, 9, 2);
        token.mint(STRANGER, 12 * FEE);
        vm.prank(STRANGER);
        token.approve(address(market), 12 * FEE);
        vm.recordLogs();
        vm.prank(STRANGER);
        _all().subscribe(_pool, _agreed(), HOLDER, 2, 0xfff, ORDER);
        vm.assertEq(token.balanceOf(STRANGER), 3 * FEE, "nine are paid");
        uint256 packed = 2 | (uint256(0xfff - (1 << 3) - (1 << 7) - (1 << 8)) << 64);
        bytes memory data = abi.encode(_sequence(), 9 * FEE, packed, uint256(uint160(STRANGER)), ORDER);
        _assertEntry(_lastEntry(), 41, _pool, HOLDER, data);
        for (uint256 period = 2; period < 14; ++period) {
            vm.assertEq(_all().income(_pool, period), FEE, "each once");
            bool given = period == 5 || period == 9 || period == 10;
            vm.assertEq(_all().subscriptions(_pool, period, HOLDER), given ? BUYER : STRANGER, "payer");
        }
    }

    function test_subscribe__periods_with_gaps__takes_no_more_fees_than_wanted() public {
        _create();
        vm.prank(BUYER);
        _all().subscribe(_pool, _agreed(), HOLDER, 1, 5, ORDER);
        for (uint256 period = 0; period < 5; ++period) {
            bool wanted = period == 1 || period == 3;
            vm.assertEq(_all().income(_pool, period), wanted ? FEE : 0, "only what was wanted");
        }
        vm.assertEq(token.balanceOf(BUYER), FUNDS - 2 * FEE, "two fees");
    }

    function test_subscribe__another_pool_has_the_number__reverts() public {
        vm.prank(STRANGER);
        _pool = _all().createPool(CHALLENGER, FEE, PERIOD, RULES);
        _assertOtherTerms();
        vm.prank(OPERATOR);
        _pool = _all().createPool(STRANGER, FEE, PERIOD, RULES);
        _assertOtherTerms();
        vm.prank(OPERATOR);
        _pool = _all().createPool(CHALLENGER, FEE + 1, PERIOD, RULES);
        _assertOtherTerms();
        vm.prank(OPERATOR);
        _pool = _all().createPool(CHALLENGER, FEE, PERIOD + 1, RULES);
        _assertOtherTerms();
        vm.prank(OPERATOR);
        _pool = _all().createPool(CHALLENGER, FEE, PERIOD, DATA);
        _assertOtherTerms();
    }

    function test_subscribe__terms_of_nobody__reverts() public {
        _create();
        bytes32[2] memory others = [bytes32(0), bytes32(type(uint256).max)];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.expectRevert(IPools.OtherTerms.selector);
            vm.prank(BUYER);
            _all().subscribe(_pool, others[i], HOLDER, 0, 1, ORDER);
        }
    }

    function test_subscribe__later_periods__up_to_24_from_the_running_one() public {
        _create();
        vm.warp(NOW + 2 * PERIOD + 1);
        _subscribe(HOLDER, 2, 24);
        _subscribe(STRANGER, 25, 1);
        vm.assertEq(_all().subscriptions(_pool, 25, HOLDER), BUYER, "the last");
        _assertSubscribeFails(OWNER, 1, 1, abi.encodeWithSelector(IPools.InvalidPeriods.selector));
        _assertSubscribeFails(OWNER, 2, 25, abi.encodeWithSelector(IPools.InvalidPeriods.selector));
        _assertSubscribeFails(OWNER, 26, 1, abi.encodeWithSelector(IPools.InvalidPeriods.selector));
    }

    function test_subscribe__after_a_lifetime__running_period() public {
        _create();
        vm.warp(2 * NOW + 5 * PERIOD);
        _subscribe(HOLDER, _current(), 1);
        vm.assertEq(_all().income(_pool, _current()), FEE, "income");
    }

    function test_postRoot__ended_periods__pending_with_their_income() public {
        _create();
        _subscribe(HOLDER, 0, 3);
        _subscribe(STRANGER, 1, 1);
        vm.warp(NOW + 2 * PERIOD);
        vm.recordLogs();
        _post(1, RULES);
        (bytes32 root, uint128 amount, uint40 first, uint40 adoptableAt, uint48 fees) = _all().roots(_pool, 1);
        vm.assertEq(root, RULES, "root");
        vm.assertEq(amount, 3 * FEE, "amount");
        vm.assertTrue(first == 0 && fees == 0 && adoptableAt == block.timestamp + 3 days, "range");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 packed = (uint256(1) << 64) | (uint256(adoptableAt) << 128);
        _assertEntry(logs[0], 42, _pool, OPERATOR, abi.encode(_sequence(), 3 * FEE, packed, uint256(DATA), RULES));
        vm.assertEq(logs[1].topics[0], IPools.PoolData.selector, "event");
        vm.assertEq(keccak256(logs[1].data), keccak256(abi.encode(DATA, URI)), "data");
    }

    function test_postRoot__stranger_running_period_or_second_root__reverts() public {
        _create();
        vm.warp(NOW + PERIOD);
        _assertPostFails(STRANGER, 0, RULES, abi.encodeWithSelector(IPools.NotOperator.selector, _pool));
        _assertPostFails(OPERATOR, 1, RULES, abi.encodeWithSelector(IPools.InvalidRange.selector, 0, 1));
        _assertPostFails(OPERATOR, 0, 0, abi.encodeWithSelector(IPools.ZeroRoot.selector));
        _post(0, RULES);
        bytes memory pending = abi.encodeWithSelector(IPools.RootPending.selector, block.timestamp + 3 days);
        _assertPostFails(OPERATOR, 0, RULES, pending);
        vm.warp(NOW + PERIOD + 3 days);
        _all().adoptRoot(_pool);
        _assertPostFails(OPERATOR, 0, RULES, abi.encodeWithSelector(IPools.InvalidRange.selector, 1, 0));
        uint256 far = type(uint256).max;
        _assertPostFails(OPERATOR, far, RULES, abi.encodeWithSelector(IPools.InvalidRange.selector, 1, far));
    }

    function test_postRoot__more_than_64_periods__reverts() public {
        vm.prank(OPERATOR);
        _pool = _all().createPool(CHALLENGER, FEE, 1 days, RULES);
        vm.warp(NOW + 100 days);
        _assertPostFails(OPERATOR, 64, RULES, abi.encodeWithSelector(IPools.InvalidRange.selector, 0, 64));
        _post(63, RULES);
    }

    function test_postRoot__after_a_lifetime__starts_at_the_first_period_in_time() public {
        _create();
        uint256 late = 2 * (NOW + SILENCE) + 5 * PERIOD;
        vm.warp(late);
        uint256 expected = (late - NOW - SILENCE) / PERIOD;
        _post(expected, RULES);
        (bytes32 root,, uint40 first,,) = _all().roots(_pool, expected);
        vm.assertTrue(first == expected && root == RULES, "range");
    }

    function test_veto__challenger_in_time__root_gone_and_periods_wait() public {
        _create();
        _subscribe(HOLDER, 0, 1);
        vm.warp(NOW + PERIOD);
        _post(0, RULES);
        vm.expectRevert(abi.encodeWithSelector(IPools.NotChallenger.selector, _pool));
        _all().veto(_pool);
        vm.warp(NOW + PERIOD + 3 days - 1);
        vm.recordLogs();
        vm.prank(CHALLENGER);
        _all().veto(_pool);
        _assertEntry(_lastEntry(), 43, _pool, CHALLENGER, abi.encode(_sequence(), FEE, 0, 0, RULES));
        vm.assertEq(_all().income(_pool, 0), FEE, "waits");
        vm.expectRevert(abi.encodeWithSelector(IPools.NoRootPending.selector));
        _all().adoptRoot(_pool);
        _post(0, DATA);
    }

    function test_veto__late_or_nothing_posted__reverts() public {
        _create();
        vm.prank(CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(IPools.NoRootPending.selector));
        _all().veto(_pool);
        vm.warp(NOW + PERIOD);
        _post(0, RULES);
        uint256 adoptableAt = NOW + PERIOD + 3 days;
        for (uint256 late = 0; late < 2; ++late) {
            vm.warp(adoptableAt + late);
            vm.prank(CHALLENGER);
            vm.expectRevert(abi.encodeWithSelector(IPools.VetoTooLate.selector, adoptableAt));
            _all().veto(_pool);
        }
    }

    function test_adoptRoot__after_the_window__splits_can_claim_what_was_paid() public {
        _adoptTotals(2_000, 1_000);
        (, uint32 second) = (uint32(_splits[0]), uint32(_splits[1]));
        vm.recordLogs();
        uint256 due = _claimPool(1);
        vm.assertEq(due, 1_000, "due");
        (uint128 acc,,) = market.splits(second);
        vm.assertEq(acc, 1_000, "credited");
        _assertEntry(_lastEntry(), 45, _pool, address(this), abi.encode(_sequence(), 1_000, second, 0, _root()));
        _assertClaimFails(1, 1_000, abi.encodeWithSelector(IPools.NothingAllocated.selector));
        vm.assertEq(_all().poolCredits(_pool, 0, second), 1_000, "credited from the root");
        vm.assertEq(_left(0), 2_000, "left");
        vm.assertEq(_claimPool(0), 2_000, "the rest");
        vm.assertEq(_left(0), 0, "nothing left");
    }

    function test_adoptRoot__early__reverts_and_later_recorded() public {
        _create();
        _subscribe(HOLDER, 0, 2);
        vm.warp(NOW + PERIOD);
        _post(0, RULES);
        uint256 adoptableAt = NOW + PERIOD + 3 days;
        vm.warp(adoptableAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IPools.RootPending.selector, adoptableAt));
        _all().adoptRoot(_pool);
        vm.warp(adoptableAt);
        vm.recordLogs();
        _all().adoptRoot(_pool);
        uint256 expected = adoptableAt + 180 days;
        _assertEntry(_lastEntry(), 44, _pool, address(this), abi.encode(_sequence(), FEE, expected, 0, RULES));
        (bytes32 root, uint128 left, uint40 first, uint40 until, uint48 fees) = _all().roots(_pool, 0);
        vm.assertTrue(root == RULES && left == FEE && first == 0 && until == expected && fees == 1, "allocation");
        vm.assertEq(_next(), 1, "next");
        vm.assertEq(_all().income(_pool, 0), 0, "allocated");
        vm.assertEq(_all().income(_pool, 1), FEE, "still running");
    }

    function test_adoptRoot__several_periods__none_waits_any_more() public {
        _create();
        _subscribe(HOLDER, 0, 4);
        vm.warp(NOW + 3 * PERIOD);
        _post(2, RULES);
        vm.warp(NOW + 3 * PERIOD + 3 days);
        _all().adoptRoot(_pool);
        for (uint256 period = 0; period < 3; ++period) {
            vm.assertEq(_all().income(_pool, period), 0, "allocated");
        }
        vm.assertEq(_all().income(_pool, 3), FEE, "still waits");
        vm.warp(NOW + 4 * PERIOD);
        _post(3, RULES);
        vm.warp(NOW + 4 * PERIOD + 3 days);
        _all().adoptRoot(_pool);
        vm.assertTrue(_next() == 4 && _left(2) == 3 * FEE && _left(3) == FEE, "both roots");
    }

    function test_claimPool__later_root_gives_all_to_another__the_adopted_one_stands() public {
        _adoptTotals(2_000, 1_000);
        (uint256[] memory splits, uint256[] memory totals) = (_splits, _totals);
        _totals = [0, FEE];
        uint256 later = _adoptLater();
        IPools.PoolClaim[] memory claims = new IPools.PoolClaim[](1);
        claims[0] = _claimOf(1);
        claims[0].through = later;
        vm.assertEq(_all().claimPool(claims), FEE, "the later root");
        (_splits, _totals) = (splits, totals);
        vm.assertEq(_claimPool(0) + _claimPool(1), 3_000, "the first root, all of it");
    }

    function test_claimPool__many_at_once__those_that_were_credited_are_passed_over() public {
        _adoptTotals(2_000, 1_000);
        _claimPool(0);
        IPools.PoolClaim[] memory claims = new IPools.PoolClaim[](4);
        (claims[0], claims[1], claims[2]) = (_claimOf(0), _claimOf(1), _claimOf(1));
        _totals = [FEE, 0];
        uint256 later = _adoptLater();
        claims[3] = _claimOf(0);
        claims[3].through = later;
        vm.assertEq(_all().claimPool(claims), 1_000 + FEE, "due");
        vm.assertTrue(_left(0) == 0 && _left(later) == 0, "left");
        (uint128 acc,,) = market.splits(uint32(_splits[0]));
        vm.assertEq(acc, 2_000 + FEE, "both roots");
        vm.expectRevert(abi.encodeWithSelector(IPools.NothingAllocated.selector));
        _all().claimPool(claims);
        vm.expectRevert(abi.encodeWithSelector(IPools.NothingAllocated.selector));
        _all().claimPool(new IPools.PoolClaim[](0));
    }

    function test_claimPool__nothing_for_the_split__reverts() public {
        _adoptTotals(3_000, 0);
        _assertClaimFails(1, 0, abi.encodeWithSelector(IPools.NothingAllocated.selector));
        IPools.PoolClaim[] memory claims = new IPools.PoolClaim[](2);
        (claims[0], claims[1]) = (_claimOf(1), _claimOf(0));
        uint256 before = _sequence();
        _all().claimPool(claims);
        vm.assertEq(_sequence(), before + 1, "nothing is no entry");
    }

    function test_refundRest__fewer_units_than_fees__go_to_the_first_ones() public {
        _adoptTotals(2_999, 0);
        _claimPool(0);
        vm.warp(block.timestamp + CREDIT_TIME);
        _all().refundRest(_pool, 0, 0, STRANGER);
        vm.assertTrue(_left(0) == 0 && token.balanceOf(BUYER) == FUNDS - 2_999, "the one unit");
        _assertRestFails(0, 0, HOLDER, abi.encodeWithSelector(IPools.NothingAllocated.selector));
    }

    function test_claimPool__a_split_stands_twice_in_the_root__is_credited_once() public {
        _create();
        _subscribe(HOLDER, 0, 3);
        uint32 split = market.createSplit(accounts, shares);
        (_splits, _totals) = (new uint256[](2), new uint256[](2));
        (_splits[0], _splits[1], _totals[0], _totals[1]) = (split, split, 100, 200);
        vm.warp(NOW + 3 * PERIOD);
        _postAndAdopt(2, _root());
        IPools.PoolClaim memory other = _claimOf(1);
        other.through = 2;
        IPools.PoolClaim[] memory claims = new IPools.PoolClaim[](2);
        claims[0] = _claimOf(0);
        (claims[0].through, claims[1]) = (2, other);
        vm.assertEq(_all().claimPool(claims), 100, "once");
        vm.assertEq(_left(2), 3 * FEE - 100, "left");
    }

    function test_claimPool__root_above_the_income__cap_holds() public {
        _adoptTotals(2_000, 1_001);
        _claimPool(0);
        _assertClaimFails(1, 1_001, abi.encodeWithSelector(IPools.AllocationExceeded.selector, 1_001, 1_000));
        _totals = [FEE, 0];
        _adoptLater();
        _totals = [2_000, 1_001];
        _assertClaimFails(1, 1_001, abi.encodeWithSelector(IPools.AllocationExceeded.selector, 1_001, 1_000));
    }

    function test_claimPool__not_in_the_root_or_unknown_split__reverts() public {
        _adoptTotals(2_000, 1_000);
        _assertClaimFails(0, 2_001, abi.encodeWithSelector(IPools.InvalidPoolProof.selector));
        _splits[0] = 77;
        _assertClaimFails(0, 2_000, abi.encodeWithSelector(IBooks.UnknownSplit.selector, 77));
    }

    function test_claimPool__pending_root_or_no_root__proves_nothing() public {
        _adoptTotals(2_000, 1_000);
        vm.warp(block.timestamp + PERIOD);
        _post(_current() - 1, _root());
        IPools.PoolClaim[] memory claims = new IPools.PoolClaim[](1);
        for (uint256 through = 1; through <= _current(); ++through) {
            claims[0] = _claimOf(0);
            claims[0].through = through;
            vm.expectRevert(abi.encodeWithSelector(IPools.NotClaimable.selector));
            _all().claimPool(claims);
        }
    }

    function test_claimPool__until_180_days_after_the_adoption() public {
        _adoptTotals(2_000, 1_000);
        uint256 until = block.timestamp + CREDIT_TIME;
        vm.warp(until - 1);
        _claimPool(0);
        _assertRestFails(0, 0, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector));
        for (uint256 late = 0; late < 2; ++late) {
            vm.warp(until + late);
            _assertClaimFails(1, 1_000, abi.encodeWithSelector(IPools.NotClaimable.selector));
        }
    }

    function test_refundRest__root_that_nobody_can_prove__every_fee_goes_back() public {
        _create();
        _subscribe(HOLDER, 0, 2);
        _subscribe(STRANGER, 1, 1);
        vm.warp(NOW + 2 * PERIOD);
        _postAndAdopt(1, keccak256("withheld"));
        vm.warp(block.timestamp + CREDIT_TIME);
        vm.recordLogs();
        _all().refundRest(_pool, 1, 1, HOLDER);
        bytes memory data = abi.encode(_sequence(), FEE, 1, uint256(uint160(HOLDER)), keccak256("withheld"));
        _assertEntry(_lastEntry(), 47, _pool, BUYER, data);
        _assertRestFails(1, 1, HOLDER, abi.encodeWithSelector(IPools.NotSubscribed.selector));
        _all().refundRest(_pool, 1, 0, HOLDER);
        vm.prank(OPERATOR);
        _all().refundRest(_pool, 1, 1, STRANGER);
        vm.assertEq(token.balanceOf(BUYER), FUNDS, "all of it");
        _assertRestFails(1, 1, STRANGER, abi.encodeWithSelector(IPools.NotRefundable.selector));
    }

    function testFuzz_refundRest__what_was_not_credited__is_divided_exactly(uint256 credited, uint256 holders) public {
        holders = 1 + holders % 9;
        credited = credited % (holders * FEE + 1);
        _create();
        for (uint160 i = 1; i <= holders; ++i) {
            _subscribe(address(i), 0, 1);
        }
        _splits = [market.createSplit(accounts, shares), market.createSplit(accounts, shares)];
        _totals = [credited, holders * FEE - credited];
        vm.warp(NOW + PERIOD);
        _postAndAdopt(0, _root());
        if (credited != 0) _claimPool(0);
        vm.warp(block.timestamp + CREDIT_TIME);
        uint256 left = holders * FEE - credited;
        uint256 before = token.balanceOf(BUYER);
        for (uint160 i = uint160(holders); i >= 1; --i) {
            uint256 had = token.balanceOf(BUYER);
            if (_left(0) == 0) {
                _assertRestFails(0, 0, address(i), abi.encodeWithSelector(IPools.NothingAllocated.selector));
                continue;
            }
            _all().refundRest(_pool, 0, 0, address(i));
            uint256 part = token.balanceOf(BUYER) - had;
            vm.assertTrue(part == left / holders || part == left / holders + 1, "equal parts");
        }
        vm.assertEq(token.balanceOf(BUYER) - before, left, "to the last unit");
        vm.assertEq(_left(0), 0, "nothing stays");
    }

    function test_refundRest__other_periods_strangers_or_no_root__reverts() public {
        _create();
        _subscribe(HOLDER, 0, 5);
        vm.warp(NOW + PERIOD);
        _postAndAdopt(0, RULES);
        vm.warp(NOW + 3 * PERIOD);
        _postAndAdopt(2, RULES);
        vm.warp(block.timestamp + CREDIT_TIME);
        for (uint256 period = 0; period < 5; ++period) {
            if (period == 1 || period == 2) continue;
            _assertRestFails(2, period, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector));
        }
        _assertRestFails(1, 1, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector));
        _assertRestFails(2, 1, STRANGER, abi.encodeWithSelector(IPools.NotSubscribed.selector));
        _assertRefundFails(1, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector));
        _all().refundRest(_pool, 2, 1, HOLDER);
        _all().refundRest(_pool, 2, 2, HOLDER);
        _all().refundRest(_pool, 0, 0, HOLDER);
        vm.assertEq(token.balanceOf(BUYER), FUNDS - 2 * FEE, "the last two wait");
    }

    function test_lapse__root_that_nobody_adopts__frees_its_periods() public {
        _create();
        _subscribe(HOLDER, 0, 3);
        vm.warp(NOW + PERIOD + SILENCE - 1);
        _post(2, RULES);
        uint256 lapse = block.timestamp + 3 days + LAPSE;
        vm.warp(lapse - 1);
        _assertRefundFails(0, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector));
        _assertPostFails(OPERATOR, 2, DATA, abi.encodeWithSelector(IPools.RootPending.selector, lapse - LAPSE));
        vm.warp(lapse);
        vm.expectRevert(abi.encodeWithSelector(IPools.NoRootPending.selector));
        _all().adoptRoot(_pool);
        vm.prank(CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(IPools.NoRootPending.selector));
        _all().veto(_pool);
        _all().refundPeriod(_pool, 0, HOLDER);
        vm.assertEq(token.balanceOf(BUYER), FUNDS - 2 * FEE, "the last one can still be divided");
        _postAndAdopt(2, DATA);
        vm.assertTrue(_left(2) == FEE && _next() == 3, "what is refunded is not allocated");
        vm.assertEq(_all().income(_pool, 0), 0, "nothing twice");
        _all().refundPeriod(_pool, 1, HOLDER);
    }

    function test_lapse__adopted_at_the_last_moment__members_still_have_their_time() public {
        _create();
        _subscribe(HOLDER, 0, 1);
        vm.warp(NOW + PERIOD);
        _post(0, RULES);
        vm.warp(NOW + PERIOD + 3 days + LAPSE - 1);
        _all().adoptRoot(_pool);
        (,,, uint40 until,) = _all().roots(_pool, 0);
        vm.assertEq(until, block.timestamp + CREDIT_TIME, "from the adoption on");
    }

    function test_refundPeriod__silent_operator__payer_gets_the_fee_back_once() public {
        _create();
        _subscribe(HOLDER, 0, 2);
        uint256 end = NOW + PERIOD + SILENCE;
        vm.warp(end - 1);
        bytes memory early = abi.encodeWithSelector(IPools.NotRefundable.selector);
        _assertRefundFails(0, HOLDER, early);
        vm.warp(end);
        _assertRefundFails(0, STRANGER, abi.encodeWithSelector(IPools.NotSubscribed.selector));
        _assertRefundFails(1, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector));
        vm.recordLogs();
        vm.prank(STRANGER);
        _all().refundPeriod(_pool, 0, HOLDER);
        vm.assertEq(token.balanceOf(BUYER), FUNDS - FEE, "refund");
        bytes memory data = abi.encode(_sequence(), FEE, 0, uint256(uint160(HOLDER)), bytes32(0));
        _assertEntry(_lastEntry(), 46, _pool, BUYER, data);
        _assertRefundFails(0, HOLDER, early);
    }

    function test_refundPeriod__two_subscribers__each_fee_goes_back() public {
        _create();
        _subscribe(HOLDER, 0, 1);
        _subscribe(STRANGER, 0, 1);
        vm.warp(NOW + PERIOD + SILENCE);
        _all().refundPeriod(_pool, 0, HOLDER);
        vm.assertEq(_all().income(_pool, 0), FEE, "waits for the other");
        _assertRefundFails(0, HOLDER, abi.encodeWithSelector(IPools.NotSubscribed.selector));
        _all().refundPeriod(_pool, 0, STRANGER);
        vm.assertEq(token.balanceOf(BUYER), FUNDS, "refund");
    }

    function test_refundPeriod__time_over__cannot_be_allocated_any_more_but_later_periods_can() public {
        _create();
        _subscribe(HOLDER, 0, 2);
        vm.warp(NOW + PERIOD + SILENCE);
        _post(1, RULES);
        (, uint128 amount, uint40 first,,) = _all().roots(_pool, 1);
        vm.assertTrue(first == 1 && amount == FEE, "period 0 is left out");
        _all().refundPeriod(_pool, 0, HOLDER);
        vm.warp(block.timestamp + PERIOD);
        _assertRefundFails(1, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector));
        _all().adoptRoot(_pool);
        _assertRefundFails(1, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector));
        vm.assertEq(token.balanceOf(BUYER), FUNDS - FEE, "one fee back, one allocated");
    }

    function test_refundPeriod__left_out_of_an_adopted_root__goes_back() public {
        _create();
        _subscribe(HOLDER, 0, 2);
        vm.warp(NOW + PERIOD + SILENCE);
        _postAndAdopt(1, RULES);
        _all().refundPeriod(_pool, 0, HOLDER);
        vm.assertEq(token.balanceOf(BUYER), FUNDS - FEE, "one fee back, one allocated");
    }

    function test_refundPeriod__posted_root_not_adopted_yet__frees_only_what_it_does_not_cover() public {
        _create();
        _subscribe(HOLDER, 0, 9);
        vm.warp(NOW + PERIOD + SILENCE);
        _post(4, RULES);
        vm.warp(NOW + 2 * PERIOD + SILENCE);
        for (uint256 period = 1; period < 9; ++period) {
            _assertRefundFails(period, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector));
        }
        _all().refundPeriod(_pool, 0, HOLDER);
        vm.assertEq(token.balanceOf(BUYER), FUNDS - 8 * FEE, "the first was not covered");
    }

    /// @dev Periods of a day: several of them run out of time while one root waits.
    function test_refundPeriod__later_period_of_a_posted_root__waits_with_the_first() public {
        vm.prank(OPERATOR);
        _pool = _all().createPool(CHALLENGER, FEE, 1 days, RULES);
        bytes32 agreed = keccak256(abi.encode(OPERATOR, CHALLENGER, FEE, uint32(1 days), RULES));
        vm.prank(BUYER);
        _all().subscribe(_pool, agreed, HOLDER, 0, 7, ORDER);
        vm.warp(NOW + SILENCE);
        _post(2, RULES);
        vm.warp(NOW + SILENCE + 3 days);
        for (uint256 period = 0; period < 3; ++period) {
            _assertRefundFails(period, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector));
        }
    }

    function test_refundPeriod__last_root_vetoed__fees_go_back() public {
        _create();
        _subscribe(HOLDER, 0, 1);
        vm.warp(NOW + PERIOD + SILENCE - 1);
        _post(0, RULES);
        vm.warp(block.timestamp + 1 days);
        _assertRefundFails(0, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector));
        vm.prank(CHALLENGER);
        _all().veto(_pool);
        _assertPostFails(OPERATOR, 0, RULES, abi.encodeWithSelector(IPools.InvalidRange.selector, 1, 0));
        _all().refundPeriod(_pool, 0, HOLDER);
        vm.assertEq(token.balanceOf(BUYER), FUNDS, "refund");
    }

    function test_refundPeriod__token_that_calls_back__cannot_take_it_twice() public {
        ICallingToken calling = ICallingToken(_tokenOf("CallingToken"));
        _deploy(calling);
        _create();
        _subscribe(HOLDER, 0, 1);
        vm.warp(NOW + PERIOD + SILENCE);
        calling.arm(address(market), abi.encodeCall(IPools.refundPeriod, (_pool, 0, HOLDER)));
        _all().refundPeriod(_pool, 0, HOLDER);
        _assertGuarded(calling);
    }

    function test_refundRest__token_that_calls_back__cannot_take_it_twice() public {
        ICallingToken calling = ICallingToken(_tokenOf("CallingToken"));
        _deploy(calling);
        _create();
        _subscribe(HOLDER, 0, 1);
        _subscribe(STRANGER, 0, 1);
        vm.warp(NOW + PERIOD);
        _postAndAdopt(0, RULES);
        vm.warp(block.timestamp + CREDIT_TIME);
        calling.arm(address(market), abi.encodeCall(IPools.refundRest, (_pool, 0, 0, STRANGER)));
        _all().refundRest(_pool, 0, 0, HOLDER);
        _assertGuarded(calling);
        vm.assertEq(_left(0), FEE, "the other part");
    }

    function test_trees__shared_vectors__same_roots_and_proofs() public view {
        string memory json = cheats.readFile("test/vectors/pools.json");
        uint256 count = cheats.parseJsonUint(json, ".count");
        vm.assertGt(count, 3, "vectors");
        for (uint256 i = 0; i < count; ++i) {
            string memory path = string.concat(".cases[", cheats.toString(i), "].");
            uint256[] memory splits = cheats.parseJsonUintArray(json, string.concat(path, "splits"));
            uint256[] memory totals = cheats.parseJsonUintArray(json, string.concat(path, "units"));
            bytes32 root = cheats.parseJsonBytes32(json, string.concat(path, "root"));
            vm.assertEq(PoolTrees.root(splits, totals), root, path);
            bytes32[] memory expected = cheats.parseJsonBytes32Array(json, string.concat(path, "last"));
            bytes32[] memory proof = PoolTrees.proof(splits, totals, splits.length - 1);
            vm.assertEq(keccak256(abi.encode(proof)), keccak256(abi.encode(expected)), path);
        }
    }

    function _create() private {
        vm.prank(OPERATOR);
        _pool = _all().createPool(CHALLENGER, FEE, PERIOD, RULES);
    }

    function _subscribe(address holder, uint256 first, uint256 count) private {
        vm.prank(BUYER);
        _all().subscribe(_pool, _agreed(), holder, first, (1 << count) - 1, ORDER);
    }

    /// @dev The digest of what a subscriber agrees to, written out once more.
    function _agreed() private pure returns (bytes32) {
        return keccak256(abi.encode(OPERATOR, CHALLENGER, FEE, PERIOD, RULES));
    }

    function _post(uint256 through, bytes32 root) private {
        vm.prank(OPERATOR);
        _all().postRoot(_pool, through, root, DATA, URI);
    }

    /// @dev Three subscribers of period 0 and a root that gives these totals to two splits.
    function _adoptTotals(uint256 one, uint256 two) private {
        _create();
        _subscribe(HOLDER, 0, 1);
        _subscribe(STRANGER, 0, 1);
        _subscribe(OWNER, 0, 1);
        _splits = [market.createSplit(accounts, shares), market.createSplit(accounts, shares)];
        _totals = [one, two];
        vm.warp(NOW + PERIOD);
        _postAndAdopt(0, _root());
    }

    /// @dev A subscriber of a later period, and a root that covers it.
    function _adoptLater() private returns (uint256 through) {
        vm.warp(block.timestamp + PERIOD);
        through = _current();
        _subscribe(HOLDER, through, 1);
        vm.warp(block.timestamp + PERIOD);
        _postAndAdopt(through, _root());
    }

    function _postAndAdopt(uint256 through, bytes32 root) private {
        _post(through, root);
        vm.warp(block.timestamp + 3 days);
        _all().adoptRoot(_pool);
    }

    function _claimPool(uint256 index) private returns (uint256) {
        IPools.PoolClaim[] memory claims = new IPools.PoolClaim[](1);
        claims[0] = _claimOf(index);
        return _all().claimPool(claims);
    }

    /// @dev Against the root that ends with period 0.
    function _claimOf(uint256 index) private view returns (IPools.PoolClaim memory) {
        bytes32[] memory proof = PoolTrees.proof(_splits, _totals, index);
        return IPools.PoolClaim(_pool, 0, uint32(_splits[index]), _totals[index], proof);
    }

    function _left(uint256 through) private view returns (uint128 left) {
        (, left,,,) = _all().roots(_pool, through);
    }

    function _next() private view returns (uint24 next) {
        (,,,,, next,,) = _all().pools(_pool);
    }

    function _root() private view returns (bytes32) {
        return PoolTrees.root(_splits, _totals);
    }

    function _current() private view returns (uint256) {
        return (block.timestamp - NOW) / PERIOD;
    }

    function _assertCreateFails(address challenger, uint64 fee, uint32 period) private {
        vm.expectRevert(IPools.InvalidPool.selector);
        vm.prank(OPERATOR);
        _all().createPool(challenger, fee, period, RULES);
    }

    function _assertSubscribeFails(address holder, uint256 first, uint256 count, bytes memory answer) private {
        uint256 wanted = count > 255 ? count : (1 << count) - 1;
        vm.expectRevert(answer);
        vm.prank(BUYER);
        _all().subscribe(_pool, _agreed(), holder, first, wanted, ORDER);
    }

    function _assertOtherTerms() private {
        _assertSubscribeFails(HOLDER, 0, 1, abi.encodeWithSelector(IPools.OtherTerms.selector));
    }

    function _assertPostFails(address sender, uint256 through, bytes32 root, bytes memory answer) private {
        vm.expectRevert(answer);
        vm.prank(sender);
        _all().postRoot(_pool, through, root, DATA, URI);
    }

    function _assertClaimFails(uint256 index, uint256 total, bytes memory answer) private {
        IPools.PoolClaim[] memory claims = new IPools.PoolClaim[](1);
        claims[0] = _claimOf(index);
        claims[0].units = total;
        vm.expectRevert(answer);
        _all().claimPool(claims);
    }

    function _assertRestFails(uint256 through, uint256 period, address holder, bytes memory answer) private {
        vm.expectRevert(answer);
        _all().refundRest(_pool, through, period, holder);
    }

    function _assertGuarded(ICallingToken calling) private view {
        bytes4 guard = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
        vm.assertTrue(!calling.succeeded(), "entered again");
        vm.assertEq(keccak256(calling.answer()), keccak256(abi.encodeWithSelector(guard)), "refused by the guard");
    }

    function _assertRefundFails(uint256 period, address holder, bytes memory answer) private {
        vm.expectRevert(answer);
        _all().refundPeriod(_pool, period, holder);
    }
}
