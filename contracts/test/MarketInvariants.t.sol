// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IWindows} from "../src/interfaces/IWindows.sol";
import {IMarket} from "../src/interfaces/IMarket.sol";
import {Setup} from "../src/Setup.sol";
import {Base} from "./Base.sol";
import {IToken} from "./IToken.sol";
import {MarketHandler} from "./MarketHandler.sol";
import {StewardHandler} from "./StewardHandler.sol";

/// @notice What holds after any sequence of legal calls.
contract MarketInvariantsTest is Base {
    address private constant PLATFORM = address(0x9a7F000000000000000000000000000000000000);
    address private constant STEWARD = address(0x57E4A4D);
    uint16 private constant FEE = 1;

    IMarket private _market;
    IToken private _token;
    MarketHandler private _handler;

    function setUp() public {
        vm.warp(1_800_000_000);
        _token = IToken(vm.deployCode("TestToken.sol:TestToken", ""));
        IWindows.Delays memory delays = IWindows.Delays(1 days, 1 hours, 2 hours, 3 days);
        Setup memory setup = Setup(_token, PLATFORM, FEE, STEWARD, delays);
        _market = IMarket(vm.deployCode("Market.sol:Market", abi.encode(setup)));
        _handler = new MarketHandler(_market, _token);
        _handler.publish(5, 0, 1, 1_000_003);
        _handler.buy(1, 0, 0);
        bytes4[] memory actions = new bytes4[](12);
        actions[0] = MarketHandler.register.selector;
        actions[1] = MarketHandler.createSplit.selector;
        actions[2] = MarketHandler.createOffer.selector;
        actions[3] = MarketHandler.publish.selector;
        actions[4] = MarketHandler.buy.selector;
        actions[5] = MarketHandler.claim.selector;
        actions[6] = MarketHandler.claimMany.selector;
        actions[7] = MarketHandler.donate.selector;
        actions[8] = MarketHandler.wait.selector;
        actions[9] = StewardHandler.withdraw.selector;
        actions[10] = StewardHandler.suspend.selector;
        actions[11] = StewardHandler.pause.selector;
        _target(address(_handler), actions);
    }

    /// @dev Conservation: no unit appears or disappears.
    function invariant_balance_is_in_minus_out() public view {
        uint256 expected = _handler.paidIn() + _handler.donated() - _handler.paidOut();
        vm.assertEq(_token.balanceOf(address(_market)), expected, "balance");
    }

    /// @dev Solvency: what the market owes to all splits together is there.
    function invariant_market_can_pay_every_split() public view {
        uint256 owed = 0;
        for (uint32 split = 1; split <= _handler.splitCount(); ++split) {
            (uint128 acc, uint128 paid,) = _market.splits(split);
            owed += acc - paid;
        }
        vm.assertLe(owed, _token.balanceOf(address(_market)), "solvency");
    }

    /// @dev Cap: a split pays at most what it took in, and its books agree with those of the handler and of its accounts.
    function invariant_split_never_pays_more_than_it_took() public view {
        for (uint32 split = 1; split <= _handler.splitCount(); ++split) {
            (uint128 acc, uint128 paid,) = _market.splits(split);
            (uint256 bookedAcc, uint256 bookedPaid) = _handler.booked(split);
            vm.assertLe(paid, acc, "cap");
            vm.assertEq(acc, bookedAcc, "acc");
            vm.assertEq(paid, bookedPaid, "paid");
            vm.assertEq(_sumOfClaims(split), paid, "paid is the sum of the claims");
        }
    }

    /// @dev Ledger: one entry per change, without gaps, in the order of the calls.
    function invariant_ledger_replays_to_head() public view {
        vm.assertEq(_market.head() & 0xffffffffff, _handler.entries(), "sequence");
        vm.assertEq(_market.head(), _handler.expectedHead(), "head");
    }

    /// @dev At the end of each run: every account can be paid out, and less than a unit per account stays in a split.
    function afterInvariant() public {
        _assertEachActionStillSucceeds();
        _handler.claimEverything();
        vm.assertGt(_handler.paidOut(), 0, "claim");
        for (uint32 split = 1; split <= _handler.splitCount(); ++split) {
            (uint128 acc, uint128 paid,) = _market.splits(split);
            (address[] memory accounts,) = _handler.table(split);
            vm.assertLe(acc - paid, accounts.length - 1, "rounding that stays");
        }
        invariant_balance_is_in_minus_out();
        invariant_split_never_pays_more_than_it_took();
        invariant_ledger_replays_to_head();
    }

    /// @dev A function that always reverts satisfies every invariant.
    function _assertEachActionStillSucceeds() private {
        _handler.register(1, 0);
        _handler.createSplit(6, 1, 1, 1);
        _handler.publish(3, 1, 1, 1e12 - 1);
        uint64 offer = _handler.offerCount();
        for (uint256 i = 0; i < 8; ++i) {
            _handler.buy(offer - 1, 2 * i, 0);
        }
        _handler.createOffer(1, 0, 5, 60, 1);
        _handler.claim(_handler.splitCount() - 1, 0);
        _handler.buy(offer - 1, 0, 0);
        _handler.claimMany(_handler.splitCount() - 1);
        _handler.suspend(0, address(this), 0);
        _handler.pause(0, 0);
        _handler.donate(7);
        _handler.wait(7);
        _passOn();
        _withdraw();
        bytes32[13] memory actions = [
            bytes32("register"),
            "createSplit",
            "publish",
            "buy",
            "premium",
            "createOffer",
            "claim",
            "claimMany",
            "pass on",
            "suspend",
            "pause",
            "donate",
            "wait"
        ];
        for (uint256 i = 0; i < actions.length; ++i) {
            vm.assertGt(_handler.succeeded(actions[i]), 0, string(abi.encodePacked(actions[i])));
        }
        vm.assertGt(_handler.succeeded("withdraw"), 0, "withdraw");
        vm.assertGt(_handler.refused("buy withdrawn"), 0, "buy withdrawn");
        vm.assertGt(_handler.refused("claim more"), 0, "claim more");
        vm.assertGt(_handler.refused("claim again"), 0, "claim again");
        vm.assertGt(_handler.refused("buy while paused"), 0, "buy while paused");
        vm.assertGt(_handler.refused("buy suspended"), 0, "buy suspended");
    }

    /// @dev A sale for a split that pays the first one.
    function _passOn() private {
        _handler.createSplit(6, 1, 1, 1);
        uint32 child = _handler.splitCount();
        _handler.createOffer(0, child - 1, 1e12 - 1, 60, 0);
        _handler.buy(_handler.offerCount() - 1, 0, 0);
        _handler.claim(child - 1, 0);
    }

    /// @dev The handler withdraws one offer in four.
    function _withdraw() private {
        do {
            _handler.createOffer(0, 0, 5, 60, 0);
        } while (_handler.offerCount() % 4 != 0);
        _handler.withdraw(_handler.offerCount() - 1);
    }

    function _sumOfClaims(uint32 split) private view returns (uint256 sum) {
        (address[] memory accounts,) = _handler.table(split);
        for (uint256 i = 0; i < accounts.length; ++i) {
            sum += _market.claimed(split, accounts[i]);
        }
    }
}
