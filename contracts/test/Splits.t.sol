// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IBooks} from "../src/interfaces/IBooks.sol";
import {ISplits} from "../src/interfaces/ISplits.sol";
import {Setup} from "../src/Setup.sol";
import {Vm} from "./Base.sol";
import {PlatformFixture} from "./PlatformFixture.sol";
import {Tables} from "./Tables.sol";

/// @notice The platform's leaf, splits that pay splits, and claims in batches.
contract SplitsTest is PlatformFixture {
    address private constant CHILD_OWNER = address(0xC41D00000000);

    function test_constructor__fee__shown() public view {
        vm.assertEq(market.platform(), PLATFORM, "platform");
        vm.assertEq(market.platformFee(), FEE, "fee");
    }

    function test_constructor__fee_and_platform_that_do_not_fit__reverts() public {
        _assertRefusedPlatform(PLATFORM, 1_001);
        _assertRefusedPlatform(PLATFORM, 0);
        _assertRefusedPlatform(address(0), 1);
        _assertRefusedPlatform(address(0xffffffff), 1);
        Setup memory setup = _setup(token);
        setup.platformFee = 1_000;
        vm.assertEq(this.deploy(setup).platformFee(), 1_000, "the highest fee");
    }

    function test_createSplit__platform_below_its_fee__reverts() public {
        uint256 last = accounts.length - 1;
        shares[last] -= 1;
        shares[0] += 1;
        vm.expectRevert(abi.encodeWithSelector(ISplits.PlatformShare.selector, FEE - 1, FEE));
        market.createSplit(accounts, shares);
        accounts[last] = address(uint160(PLATFORM) + 1);
        shares[last] += 1;
        shares[0] -= 1;
        vm.expectRevert(abi.encodeWithSelector(ISplits.PlatformShare.selector, 0, FEE));
        market.createSplit(accounts, shares);
    }

    function test_createSplit__platform_above_its_fee__accepted() public {
        uint256 last = accounts.length - 1;
        shares[last] += 1;
        shares[0] -= 1;
        vm.assertEq(market.createSplit(accounts, shares), 1, "split");
    }

    function test_constructor__platform_just_above_the_splits__accepted() public {
        Setup memory setup = _setup(token);
        setup.platform = address(uint160(1) << 32);
        vm.assertEq(this.deploy(setup).platform(), setup.platform, "platform");
    }

    function test_createSplit__unknown_split_as_recipient__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IBooks.UnknownSplit.selector, uint32(1)));
        this.createChild(1);
    }

    function test_createSplit__itself_as_recipient__reverts() public {
        market.createSplit(accounts, shares);
        vm.expectRevert(abi.encodeWithSelector(IBooks.UnknownSplit.selector, uint32(2)));
        this.createChild(2);
    }

    function test_claim__split_as_recipient__passes_on_without_a_transfer() public {
        uint32 parent = market.createSplit(accounts, shares);
        (address[] memory table, uint16[] memory parts, uint32 child) = _child(parent);
        _sellFor(child);
        uint256 balance = token.balanceOf(address(market));
        vm.recordLogs();
        uint256 due = market.claim(child, table[0], parts[0], Tables.proof(table, parts, 0));

        vm.assertEq(due, uint256(PRICE) * parts[0] / 10_000, "due");
        vm.assertEq(token.balanceOf(address(market)), balance, "no money left the market");
        (uint128 acc,,) = market.splits(parent);
        vm.assertEq(acc, due, "acc of the parent");
        (, uint128 paid,) = market.splits(child);
        vm.assertEq(paid, due, "paid of the child");
        vm.assertEq(market.claimed(child, table[0]), due, "claimed");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 1, "no transfer");
        _assertEntry(logs[0], 6, child, address(uint160(parent)), abi.encode(6, due, due, parts[0], 0));
        vm.assertEq(_claim(parent, 1), due * shares[1] / 10_000, "a recipient of the parent");
    }

    function test_claim__three_generations__every_unit_is_accounted_for() public {
        uint32 first = market.createSplit(accounts, shares);
        (address[] memory table, uint16[] memory parts, uint32 second) = _child(first);
        (address[] memory last, uint16[] memory lastParts, uint32 third) = _child(second);
        _sellFor(third);
        for (uint256 i = 0; i < last.length; ++i) {
            market.claim(third, last[i], lastParts[i], Tables.proof(last, lastParts, i));
        }
        for (uint256 i = 0; i < table.length; ++i) {
            market.claim(second, table[i], parts[i], Tables.proof(table, parts, i));
        }
        for (uint256 i = 0; i < accounts.length; ++i) {
            _claim(first, i);
        }
        vm.assertLe(token.balanceOf(address(market)), 2 + 2 + accounts.length, "only rounding stays");
        vm.assertGt(token.balanceOf(accounts[0]), 0, "the grandparent's recipient is paid");
        vm.assertGt(token.balanceOf(PLATFORM), uint256(PRICE) * FEE / 10_000, "the fee is due in every table");
    }

    function test_claimMany__all_accounts__paid() public {
        (, uint32 split, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        ISplits.Claim[] memory claims = _claims(split);
        uint256 total = market.claimMany(claims);
        uint256 received = 0;
        for (uint256 i = 0; i < accounts.length; ++i) {
            vm.assertEq(token.balanceOf(accounts[i]), uint256(PRICE) * shares[i] / 10_000, "received");
            received += token.balanceOf(accounts[i]);
        }
        vm.assertEq(total, received, "total");
    }

    function test_claimMany__one_claim_twice__paid_once() public {
        (, uint32 split, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        ISplits.Claim[] memory claims = _claims(split);
        claims[1] = claims[0];
        market.claimMany(claims);
        vm.assertEq(token.balanceOf(accounts[0]), uint256(PRICE) * shares[0] / 10_000, "received");
        vm.assertEq(token.balanceOf(accounts[1]), 0, "not claimed");
    }

    function test_claimMany__one_claimed_before__others_paid() public {
        (, uint32 split, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        _claim(split, 2);
        uint256 entries = market.head() & SEQUENCE;
        market.claimMany(_claims(split));
        vm.assertGt(token.balanceOf(accounts[3]), 0, "received");
        vm.assertEq(market.head() & SEQUENCE, entries + accounts.length - 1, "an entry for each that was paid");
    }

    function test_claimMany__nothing_due__reverts() public {
        (, uint32 split,) = _publish(0);
        ISplits.Claim[] memory claims = _claims(split);
        vm.expectRevert(ISplits.NothingDue.selector);
        market.claimMany(claims);
        vm.expectRevert(ISplits.NothingDue.selector);
        market.claimMany(new ISplits.Claim[](0));
    }

    function test_claimMany__one_wrong_share__reverts() public {
        (, uint32 split, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        ISplits.Claim[] memory claims = _claims(split);
        claims[3].share += 1;
        vm.expectRevert(ISplits.InvalidProof.selector);
        market.claimMany(claims);
    }

    function createChild(uint32 parent) external returns (uint32 split) {
        (,, split) = _child(parent);
    }

    /// @dev A split of which the parent gets 30 %.
    function _child(uint32 parent) private returns (address[] memory table, uint16[] memory parts, uint32 split) {
        table = new address[](3);
        (table[0], table[1], table[2]) = (address(uint160(parent)), CHILD_OWNER, PLATFORM);
        parts = new uint16[](3);
        (parts[0], parts[1], parts[2]) = (3_000, 7_000 - FEE, FEE);
        split = market.createSplit(table, parts);
    }

    function _sellFor(uint32 split) private {
        vm.prank(OWNER);
        uint64 adapter = market.register(MANIFEST, BASE_MODEL, TERMS);
        vm.prank(OWNER);
        _buy(market.createOffer(adapter, _terms(split, PRICE, 0)), HOLDER);
    }

    function _claims(uint32 split) private view returns (ISplits.Claim[] memory claims) {
        claims = new ISplits.Claim[](accounts.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            claims[i] = ISplits.Claim(split, accounts[i], shares[i], Tables.proof(accounts, shares, i));
        }
    }

    function _assertRefusedPlatform(address platform, uint16 fee) private {
        Setup memory setup = _setup(token);
        (setup.platform, setup.platformFee) = (platform, fee);
        vm.expectRevert(abi.encodeWithSelector(IBooks.InvalidPlatformFee.selector, platform, fee));
        this.deploy(setup);
    }
}
