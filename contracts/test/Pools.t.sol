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
        (address operator, uint64 fee, uint32 period, address challenger, uint40 start,,,,) = _all().pools(_pool);
        vm.assertTrue(operator == OPERATOR && challenger == CHALLENGER, "accounts");
        vm.assertTrue(fee == FEE && period == PERIOD && start == NOW, "terms");
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
        uint256 packed = uint256(3) << 64;
        bytes memory data = abi.encode(_sequence(), 3 * FEE, packed, uint256(uint160(BUYER)), ORDER);
        _assertEntry(_lastEntry(), 41, _pool, HOLDER, data);
    }

    function test_subscribe__bad_arguments__reverts() public {
        _create();
        _assertSubscribeFails(HOLDER, 0, 0, abi.encodeWithSelector(IPools.InvalidPeriods.selector, 0, 0));
        _assertSubscribeFails(HOLDER, 24, 1, abi.encodeWithSelector(IPools.InvalidPeriods.selector, 24, 1));
        _assertSubscribeFails(HOLDER, 25, 1, abi.encodeWithSelector(IPools.InvalidPeriods.selector, 25, 1));
        _assertSubscribeFails(HOLDER, 1, 24, abi.encodeWithSelector(IPools.InvalidPeriods.selector, 1, 24));
        uint256 huge = type(uint256).max;
        _assertSubscribeFails(HOLDER, 1, huge, abi.encodeWithSelector(IPools.InvalidPeriods.selector, 1, huge));
        _assertSubscribeFails(address(0), 0, 1, abi.encodeWithSelector(IPools.ZeroSubscriber.selector));
        _subscribe(HOLDER, 1, 23);
        bytes memory twice = abi.encodeWithSelector(IPools.AlreadySubscribed.selector, _pool, 1);
        _assertSubscribeFails(HOLDER, 0, 2, twice);
        vm.warp(NOW + PERIOD);
        _assertSubscribeFails(STRANGER, 0, 1, abi.encodeWithSelector(IPools.InvalidPeriods.selector, 0, 1));
        vm.prank(STEWARD);
        _all().pause();
        _assertSubscribeFails(STRANGER, 1, 1, abi.encodeWithSelector(IRegistry.SalesPaused.selector));
        _pool += 1;
        vm.prank(STEWARD);
        _all().unpause();
        _assertSubscribeFails(HOLDER, 0, 1, abi.encodeWithSelector(IPools.UnknownPool.selector, _pool));
    }

    function test_subscribe__later_periods__up_to_24_from_the_running_one() public {
        _create();
        vm.warp(NOW + 2 * PERIOD + 1);
        _subscribe(HOLDER, 2, 24);
        _subscribe(STRANGER, 25, 1);
        vm.assertEq(_all().subscriptions(_pool, 25, HOLDER), BUYER, "the last");
        _assertSubscribeFails(OWNER, 1, 1, abi.encodeWithSelector(IPools.InvalidPeriods.selector, 1, 1));
        _assertSubscribeFails(OWNER, 2, 25, abi.encodeWithSelector(IPools.InvalidPeriods.selector, 2, 25));
        _assertSubscribeFails(OWNER, 26, 1, abi.encodeWithSelector(IPools.InvalidPeriods.selector, 26, 1));
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
        (bytes32 root, uint128 amount, uint40 first, uint40 through, uint40 adoptableAt) = _all().pendingRoots(_pool);
        vm.assertEq(root, RULES, "root");
        vm.assertEq(amount, 3 * FEE, "amount");
        vm.assertTrue(first == 0 && through == 1 && adoptableAt == block.timestamp + 3 days, "range");
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
        bytes memory pending = abi.encodeWithSelector(IPools.RootPending.selector, _pool, block.timestamp + 3 days);
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
        (,, uint40 first, uint40 through,) = _all().pendingRoots(_pool);
        vm.assertTrue(first == expected && through == expected, "range");
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
        vm.expectRevert(abi.encodeWithSelector(IPools.NoRootPending.selector, _pool));
        _all().adoptRoot(_pool);
        _post(0, DATA);
    }

    function test_veto__late_or_nothing_posted__reverts() public {
        _create();
        vm.prank(CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(IPools.NoRootPending.selector, _pool));
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
        _assertEntry(_lastEntry(), 45, _pool, address(this), abi.encode(_sequence(), 1_000, second, 1_000, _root()));
        _assertClaimFails(1, 1_000, abi.encodeWithSelector(IPools.NothingAllocated.selector, _pool, second));
        vm.assertEq(_all().poolCredits(_pool, second), 1_000, "credited from the pool");
        vm.assertEq(_claimPool(0), 2_000, "the rest");
    }

    function test_adoptRoot__early__reverts_and_later_recorded() public {
        _create();
        _subscribe(HOLDER, 0, 2);
        vm.warp(NOW + PERIOD);
        _post(0, RULES);
        uint256 adoptableAt = NOW + PERIOD + 3 days;
        vm.warp(adoptableAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IPools.RootPending.selector, _pool, adoptableAt));
        _all().adoptRoot(_pool);
        vm.warp(adoptableAt);
        vm.recordLogs();
        _all().adoptRoot(_pool);
        _assertEntry(_lastEntry(), 44, _pool, address(this), abi.encode(_sequence(), FEE, FEE, 0, RULES));
        (,,,,, uint40 next, uint128 allocated, uint128 credited, bytes32 root) = _all().pools(_pool);
        vm.assertTrue(next == 1 && allocated == FEE && credited == 0 && root == RULES, "pool");
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
        (,,,,, uint40 next, uint128 allocated,,) = _all().pools(_pool);
        vm.assertTrue(next == 4 && allocated == 4 * FEE, "both roots");
    }

    function test_claimPool__root_of_a_later_period__only_what_is_new() public {
        _adoptTotals(2_000, 1_000);
        _claimPool(0);
        _totals[0] += 300;
        _adoptLater();
        vm.assertEq(_claimPool(0), 300, "new");
        vm.assertEq(_claimPool(1), 1_000, "a root that was never claimed against costs nothing");
        (,,,,,,, uint128 credited,) = _all().pools(_pool);
        vm.assertEq(credited, 2_000 + 300 + 1_000, "credited");
    }

    function test_claimPool__later_root_gives_less__reverts() public {
        _adoptTotals(2_000, 1_000);
        _claimPool(0);
        _totals[0] -= 1;
        _adoptLater();
        _assertClaimFails(0, 1_999, abi.encodeWithSelector(IPools.NothingAllocated.selector, _pool, _splits[0]));
    }

    function test_claimPool__root_above_the_income__cap_holds() public {
        _adoptTotals(2_000, 1_001);
        _claimPool(0);
        _assertClaimFails(1, 1_001, abi.encodeWithSelector(IPools.AllocationExceeded.selector, 1_001, 1_000));
    }

    function test_claimPool__not_in_the_root_or_unknown_split__reverts() public {
        _adoptTotals(2_000, 1_000);
        _assertClaimFails(0, 2_001, abi.encodeWithSelector(IPools.InvalidPoolProof.selector));
        _splits[0] = 77;
        _assertClaimFails(0, 2_000, abi.encodeWithSelector(IBooks.UnknownSplit.selector, 77));
    }

    function test_claimPool__pending_root__proves_nothing() public {
        _adoptTotals(2_000, 1_000);
        vm.warp(block.timestamp + PERIOD);
        _totals[0] = 2_500;
        _post(_current() - 1, _root());
        _assertClaimFails(0, 2_500, abi.encodeWithSelector(IPools.InvalidPoolProof.selector));
    }

    function test_refundPeriod__silent_operator__payer_gets_the_fee_back_once() public {
        _create();
        _subscribe(HOLDER, 0, 2);
        uint256 end = NOW + PERIOD + SILENCE;
        vm.warp(end - 1);
        bytes memory early = abi.encodeWithSelector(IPools.NotRefundable.selector, _pool, 0);
        _assertRefundFails(0, HOLDER, early);
        vm.warp(end);
        _assertRefundFails(0, STRANGER, abi.encodeWithSelector(IPools.NotSubscribed.selector, _pool, 0, STRANGER));
        _assertRefundFails(1, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector, _pool, 1));
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
        _assertRefundFails(0, HOLDER, abi.encodeWithSelector(IPools.NotSubscribed.selector, _pool, 0, HOLDER));
        _all().refundPeriod(_pool, 0, STRANGER);
        vm.assertEq(token.balanceOf(BUYER), FUNDS, "refund");
    }

    function test_refundPeriod__time_over__cannot_be_allocated_any_more_but_later_periods_can() public {
        _create();
        _subscribe(HOLDER, 0, 2);
        vm.warp(NOW + PERIOD + SILENCE);
        _post(1, RULES);
        (, uint128 amount, uint40 first,,) = _all().pendingRoots(_pool);
        vm.assertTrue(first == 1 && amount == FEE, "period 0 is left out");
        _all().refundPeriod(_pool, 0, HOLDER);
        vm.warp(block.timestamp + PERIOD);
        _assertRefundFails(1, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector, _pool, 1));
        _all().adoptRoot(_pool);
        _assertRefundFails(1, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector, _pool, 1));
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

    function test_refundPeriod__posted_root_never_adopted__frees_only_what_it_does_not_cover() public {
        _create();
        _subscribe(HOLDER, 0, 4);
        vm.warp(NOW + 3 * PERIOD);
        _post(2, RULES);
        vm.warp(NOW + 4 * PERIOD + SILENCE);
        for (uint256 period = 0; period < 3; ++period) {
            _assertRefundFails(period, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector, _pool, period));
        }
        _all().refundPeriod(_pool, 3, HOLDER);
        vm.assertEq(token.balanceOf(BUYER), FUNDS - 3 * FEE, "three are covered");
    }

    function test_refundPeriod__last_root_vetoed__fees_go_back() public {
        _create();
        _subscribe(HOLDER, 0, 1);
        vm.warp(NOW + PERIOD + SILENCE - 1);
        _post(0, RULES);
        vm.warp(block.timestamp + 1 days);
        _assertRefundFails(0, HOLDER, abi.encodeWithSelector(IPools.NotRefundable.selector, _pool, 0));
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
        bytes4 guard = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
        vm.assertTrue(!calling.succeeded(), "entered again");
        vm.assertEq(keccak256(calling.answer()), keccak256(abi.encodeWithSelector(guard)), "refused by the guard");
    }

    function test_trees__shared_vectors__same_roots_and_proofs() public view {
        string memory json = cheats.readFile("test/vectors/pools.json");
        uint256 count = cheats.parseJsonUint(json, ".count");
        vm.assertGt(count, 3, "vectors");
        for (uint256 i = 0; i < count; ++i) {
            string memory path = string.concat(".cases[", cheats.toString(i), "].");
            uint256[] memory splits = cheats.parseJsonUintArray(json, string.concat(path, "splits"));
            uint256[] memory totals = cheats.parseJsonUintArray(json, string.concat(path, "cumulative"));
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
        _all().subscribe(_pool, holder, first, count, ORDER);
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
    function _adoptLater() private {
        vm.warp(block.timestamp + PERIOD);
        _subscribe(HOLDER, _current(), 1);
        vm.warp(block.timestamp + PERIOD);
        _postAndAdopt(_current() - 1, _root());
    }

    function _postAndAdopt(uint256 through, bytes32 root) private {
        _post(through, root);
        vm.warp(block.timestamp + 3 days);
        _all().adoptRoot(_pool);
    }

    function _claimPool(uint256 index) private returns (uint256) {
        bytes32[] memory proof = PoolTrees.proof(_splits, _totals, index);
        return _all().claimPool(_pool, uint32(_splits[index]), _totals[index], proof);
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
        vm.expectRevert(answer);
        vm.prank(BUYER);
        _all().subscribe(_pool, holder, first, count, ORDER);
    }

    function _assertPostFails(address sender, uint256 through, bytes32 root, bytes memory answer) private {
        vm.expectRevert(answer);
        vm.prank(sender);
        _all().postRoot(_pool, through, root, DATA, URI);
    }

    function _assertClaimFails(uint256 index, uint256 total, bytes memory answer) private {
        bytes32[] memory proof = PoolTrees.proof(_splits, _totals, index);
        vm.expectRevert(answer);
        _all().claimPool(_pool, uint32(_splits[index]), total, proof);
    }

    function _assertRefundFails(uint256 period, address holder, bytes memory answer) private {
        vm.expectRevert(answer);
        _all().refundPeriod(_pool, period, holder);
    }
}
