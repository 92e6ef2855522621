// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IBooks} from "../src/interfaces/IBooks.sol";
import {IOffers} from "../src/interfaces/IOffers.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISales} from "../src/interfaces/ISales.sol";
import {ISplits} from "../src/interfaces/ISplits.sol";
import {IWindows} from "../src/interfaces/IWindows.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Setup} from "../src/Setup.sol";
import {Vm} from "./Base.sol";
import {IBlockingToken, ICallingToken, IToken} from "./IToken.sol";
import {MarketFixture} from "./MarketFixture.sol";
import {Tables} from "./Tables.sol";

/// @notice Every entry point works, and every refusal names its cause.
contract MarketTest is MarketFixture {
    uint256 private constant SPLITS_SLOT = 4;

    function test_constructor__token__ledger_starts_empty() public view {
        vm.assertEq(address(market.token()), address(token), "token");
        vm.assertEq(market.head(), GENESIS, "head");
        vm.assertEq(uint256(vm.load(address(market), 0)), GENESIS, "head is at slot 0");
    }

    function test_constructor__address_without_code__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IBooks.TokenWithoutCode.selector, BUYER));
        this.deploy(Setup(IERC20(BUYER), address(0), 0, address(0), _delays()));
    }

    function test_constructor__windows__shown() public view {
        vm.assertEq(market.closeWindow(), 1 days, "close");
        vm.assertEq(market.deliveryWindow(), 1 hours, "delivery");
        vm.assertEq(market.disputeWindow(), 2 hours, "dispute");
        vm.assertEq(market.vetoWindow(), 3 days, "veto");
    }

    function test_constructor__window_too_short_or_too_long__reverts() public {
        uint32[2] memory wrong = [uint32(10 minutes - 1), 30 days + 1];
        for (uint256 i = 0; i < 8; ++i) {
            uint32[4] memory windows = [uint32(10 minutes), 30 days, 10 minutes, 30 days];
            windows[i % 4] = wrong[i / 4];
            Setup memory setup = Setup(token, address(0), 0, address(0), _windows(windows));
            vm.expectRevert(abi.encodeWithSelector(IWindows.WindowOutOfBounds.selector, wrong[i / 4]));
            this.deploy(setup);
            windows[i % 4] = i % 4 == 0 ? 30 days : 10 minutes;
            setup.delays = _windows(windows);
            this.deploy(setup);
        }
    }

    function test_register__new_manifest__adapter_recorded() public {
        vm.recordLogs();
        vm.prank(OWNER);
        uint64 adapter = market.register(MANIFEST, BASE_MODEL, TERMS);

        vm.assertEq(adapter, 1, "first number");
        vm.assertEq(market.adapterOf(OWNER, MANIFEST), 1, "adapterOf");
        (address owner, uint40 registeredAt, bool retired, bytes32 manifest, bytes32 baseModel, bytes32 terms) =
            market.adapters(1);
        vm.assertTrue(!retired, "retired");
        vm.assertEq(owner, OWNER, "owner");
        vm.assertEq(registeredAt, NOW, "time");
        vm.assertEq(manifest, MANIFEST, "manifest");
        vm.assertEq(baseModel, BASE_MODEL, "base model");
        vm.assertEq(terms, TERMS, "terms");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        _assertEntry(logs[0], 1, 1, OWNER, abi.encode(1, MANIFEST, BASE_MODEL, 0, TERMS));
    }

    function test_register__same_owner_and_manifest__reverts() public {
        vm.prank(OWNER);
        market.register(MANIFEST, BASE_MODEL, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IOffers.AlreadyRegistered.selector, uint64(1)));
        vm.prank(OWNER);
        market.register(MANIFEST, bytes32(0), bytes32(0));
    }

    function test_register__same_manifest_other_owner__own_number() public {
        vm.prank(OWNER);
        market.register(MANIFEST, BASE_MODEL, TERMS);
        vm.prank(BUYER);
        vm.assertEq(market.register(MANIFEST, BASE_MODEL, TERMS), 2, "number");
    }

    function test_register__zero_manifest__reverts() public {
        vm.expectRevert(IOffers.ZeroManifest.selector);
        market.register(0, BASE_MODEL, TERMS);
    }

    function test_createSplit__valid_table__root_and_table_recorded() public {
        vm.recordLogs();
        vm.prank(OWNER);
        uint32 split = market.createSplit(accounts, shares);

        bytes32 expected = Tables.root(accounts, shares);
        (uint128 acc, uint128 paid, bytes32 root) = market.splits(split);
        vm.assertEq(split, 1, "first number");
        vm.assertEq(acc, 0, "acc");
        vm.assertEq(paid, 0, "paid");
        vm.assertEq(root, expected, "root");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        _assertEntry(logs[0], 2, 1, OWNER, abi.encode(1, 5, 0, 0, expected));
        vm.assertEq(logs[1].topics[0], keccak256("SplitTable(uint32,address[],uint16[])"), "table event");
        vm.assertEq(keccak256(logs[1].data), keccak256(abi.encode(accounts, shares)), "table");
    }

    function test_createSplit__one_recipient__root_is_the_leaf() public {
        (address[] memory one, uint16[] memory all) = Tables.make(1, 0x9000000000, 1);
        uint32 split = market.createSplit(one, all);
        (,, bytes32 root) = market.splits(split);
        vm.assertEq(root, Tables.leaf(one[0], 10_000), "root");
    }

    function test_createSplit__no_recipient__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(ISplits.RecipientCount.selector, 0));
        market.createSplit(new address[](0), new uint16[](0));
    }

    function test_createSplit__too_many_recipients__reverts() public {
        (address[] memory many, uint16[] memory parts) = Tables.make(1001, 0x9000000000, 1);
        vm.expectRevert(abi.encodeWithSelector(ISplits.RecipientCount.selector, 1001));
        market.createSplit(many, parts);
    }

    function test_createSplit__most_recipients__accepted() public {
        (address[] memory many, uint16[] memory parts) = Tables.make(1000, 0x9000000000, 1);
        vm.assertEq(market.createSplit(many, parts), 1, "split");
    }

    function test_claim__only_recipient__gets_all() public {
        (accounts, shares) = Tables.make(1, 0x9000000000, 1);
        (, uint32 split, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        vm.assertEq(_claim(split, 0), PRICE, "due");
        vm.assertEq(token.balanceOf(address(market)), 0, "nothing stays");
    }

    function test_createSplit__other_number_of_shares__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(ISplits.LengthMismatch.selector, 5, 4));
        market.createSplit(accounts, new uint16[](4));
        shares.push(1);
        vm.expectRevert(abi.encodeWithSelector(ISplits.LengthMismatch.selector, 5, 6));
        market.createSplit(accounts, shares);
    }

    function test_createSplit__same_account_twice__reverts() public {
        accounts[3] = accounts[2];
        vm.expectRevert(abi.encodeWithSelector(ISplits.AccountsNotAscending.selector, 3));
        market.createSplit(accounts, shares);
    }

    function test_createSplit__descending_accounts__reverts() public {
        (accounts[0], accounts[1]) = (accounts[1], accounts[0]);
        vm.expectRevert(abi.encodeWithSelector(ISplits.AccountsNotAscending.selector, 1));
        market.createSplit(accounts, shares);
    }

    function test_createSplit__zero_account__reverts() public {
        accounts[0] = address(0);
        vm.expectRevert(abi.encodeWithSelector(ISplits.AccountsNotAscending.selector, 0));
        market.createSplit(accounts, shares);
    }

    function test_createSplit__market_itself__reverts() public {
        (address[] memory one, uint16[] memory all) = Tables.make(1, uint160(address(market)), 1);
        vm.expectRevert(ISplits.MarketAsRecipient.selector);
        market.createSplit(one, all);
    }

    function test_createSplit__zero_share__reverts() public {
        shares[4] += shares[2];
        shares[2] = 0;
        vm.expectRevert(abi.encodeWithSelector(ISplits.ZeroShare.selector, 2));
        market.createSplit(accounts, shares);
    }

    function test_createSplit__sum_above_and_below__reverts() public {
        shares[0] += 1;
        vm.expectRevert(abi.encodeWithSelector(ISplits.ShareSum.selector, 10_001));
        market.createSplit(accounts, shares);
        shares[0] -= 1;
        shares[1] -= 1;
        vm.expectRevert(abi.encodeWithSelector(ISplits.ShareSum.selector, 9_999));
        market.createSplit(accounts, shares);
    }

    function test_createOffer__owner__offer_recorded() public {
        (uint64 adapter, uint32 split,) = _publish(0);
        vm.recordLogs();
        vm.prank(OWNER);
        uint64 offer = market.createOffer(adapter, _terms(split, 77, 3600));

        vm.assertEq(offer, 2, "number");
        vm.assertEq(market.quote(offer), 77, "quote");
        (uint64 price, uint32 ofSplit, uint32 duration,,,,) = market.offers(offer);
        vm.assertEq(price, 77, "price");
        vm.assertEq(market.adapterOfOffer(offer), adapter, "adapter");
        vm.assertEq(ofSplit, split, "split");
        vm.assertEq(duration, 3600, "duration");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        _assertEntry(logs[0], 3, 2, OWNER, abi.encode(4, 1, 77, uint256(1) | (uint256(3600) << 32), 0));
    }

    function test_createOffer__not_the_owner__reverts() public {
        (uint64 adapter, uint32 split,) = _publish(0);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotAdapterOwner.selector, adapter));
        vm.prank(BUYER);
        market.createOffer(adapter, _terms(split, 1, 0));
    }

    function test_createOffer__unknown_adapter__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotAdapterOwner.selector, uint64(9)));
        market.createOffer(9, _terms(1, 1, 0));
    }

    function test_createOffer__unknown_split__reverts() public {
        (uint64 adapter,,) = _publish(0);
        vm.expectRevert(abi.encodeWithSelector(IBooks.UnknownSplit.selector, uint32(9)));
        vm.prank(OWNER);
        market.createOffer(adapter, _terms(9, 1, 0));
    }

    function test_createOffer__free__reverts() public {
        (uint64 adapter, uint32 split,) = _publish(0);
        vm.expectRevert(IOffers.ZeroPrice.selector);
        vm.prank(OWNER);
        market.createOffer(adapter, _terms(split, 0, 0));
    }

    function test_publish__new_adapter__three_entries() public {
        vm.recordLogs();
        (uint64 adapter, uint32 split, uint64 offer) = _publish(60);
        vm.assertEq(adapter, 1, "adapter");
        vm.assertEq(split, 1, "split");
        vm.assertEq(offer, 1, "offer");
        (uint64 price, uint32 ofSplit, uint32 duration,,,,) = market.offers(1);
        vm.assertEq(price, PRICE, "price");
        vm.assertEq(market.adapterOfOffer(1), 1, "adapter of the offer");
        vm.assertEq(ofSplit, 1, "split of the offer");
        vm.assertEq(duration, 60, "duration");
        (uint256 head, uint256 count) = _replay(GENESIS, vm.getRecordedLogs());
        vm.assertEq(count, 3, "entries");
        vm.assertEq(head, market.head(), "head");
    }

    function test_publish__price_zero__reverts() public {
        vm.expectRevert(IOffers.ZeroPrice.selector);
        market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, _terms(0, 0, 0));
    }

    function test_publish__same_manifest_again__reverts() public {
        _publish(0);
        vm.expectRevert(abi.encodeWithSelector(IOffers.AlreadyRegistered.selector, uint64(1)));
        _publish(0);
    }

    function test_buy__perpetual__license_and_payment() public {
        (, uint32 split, uint64 offer) = _publish(0);
        vm.recordLogs();
        _buy(offer, HOLDER);

        vm.assertEq(market.licenses(offer, HOLDER), type(uint256).max, "expiry");
        vm.assertEq(market.licenses(offer, BUYER), 0, "the payer is not the holder");
        vm.assertEq(token.balanceOf(address(market)), PRICE, "received");
        vm.assertEq(token.balanceOf(BUYER), FUNDS - PRICE, "paid");
        (uint128 acc, uint128 paid,) = market.splits(split);
        vm.assertEq(acc, PRICE, "acc");
        vm.assertEq(paid, 0, "paid out");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        _assertEntry(
            logs[0], 4, offer, HOLDER, abi.encode(4, PRICE, uint256(split) | (NOW << 32), type(uint256).max, ORDER)
        );
    }

    function test_buy__timed_twice__extends_from_expiry() public {
        (,, uint64 offer) = _publish(100);
        _buy(offer, HOLDER);
        vm.assertEq(market.licenses(offer, HOLDER), NOW + 100, "first");
        vm.warp(NOW + 40);
        _buy(offer, HOLDER);
        vm.assertEq(market.licenses(offer, HOLDER), NOW + 200, "while running");
        vm.warp(NOW + 500);
        _buy(offer, HOLDER);
        vm.assertEq(market.licenses(offer, HOLDER), NOW + 600, "after the end");
    }

    function test_buy__perpetual_again__reverts() public {
        (,, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.AlreadyLicensed.selector, offer, HOLDER));
        _buy(offer, HOLDER);
    }

    function test_buy__unknown_offer__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownOffer.selector, uint64(3)));
        _buy(3, HOLDER);
    }

    function test_buy__dearer_than_accepted__reverts() public {
        (,, uint64 offer) = _publish(0);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.PriceAboveMax.selector, PRICE, PRICE - 1));
        vm.prank(BUYER);
        market.buy(_item(offer), HOLDER, PRICE - 1, ORDER);
    }

    function test_buy__cheaper_than_accepted__pays_the_price_only() public {
        (,, uint64 offer) = _publish(0);
        vm.prank(BUYER);
        market.buy(_item(offer), HOLDER, PRICE + 1, ORDER);
        vm.assertEq(token.balanceOf(BUYER), FUNDS - PRICE, "paid");
    }

    function test_buy__no_holder__reverts() public {
        (,, uint64 offer) = _publish(0);
        vm.expectRevert(IRegistry.ZeroHolder.selector);
        _buy(offer, address(0));
    }

    function test_buy__no_allowance__nothing_changes() public {
        (,, uint64 offer) = _publish(0);
        uint256 head = market.head();
        bytes4 expected = bytes4(keccak256("ERC20InsufficientAllowance(address,uint256,uint256)"));
        vm.expectRevert(abi.encodeWithSelector(expected, address(market), 0, PRICE));
        vm.prank(HOLDER);
        market.buy(_item(offer), HOLDER, PRICE, ORDER);
        vm.assertEq(market.licenses(offer, HOLDER), 0, "license");
        vm.assertEq(market.head(), head, "ledger");
    }

    function test_buy__token_takes_a_fee__reverts() public {
        _deploy(IToken(_tokenOf("FeeToken")));
        (,, uint64 offer) = _publish(0);
        vm.expectRevert(abi.encodeWithSelector(IBooks.AmountMismatch.selector, PRICE, PRICE - 1));
        _buy(offer, HOLDER);
    }

    function test_buy__token_gives_more__reverts() public {
        _deploy(IToken(_tokenOf("BonusToken")));
        (,, uint64 offer) = _publish(0);
        vm.expectRevert(abi.encodeWithSelector(IBooks.AmountMismatch.selector, PRICE, PRICE + 1));
        _buy(offer, HOLDER);
    }

    function test_buy__token_answers_false__reverts() public {
        _deploy(IToken(_tokenOf("RefusingToken")));
        (,, uint64 offer) = _publish(0);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(token)));
        _buy(offer, HOLDER);
    }

    function test_buy__token_calls_back__refused() public {
        ICallingToken calling = ICallingToken(_tokenOf("CallingToken"));
        _deploy(calling);
        (,, uint64 offer) = _publish(60);
        calling.arm(address(market), abi.encodeCall(ISales.buy, (_item(offer), HOLDER, PRICE, ORDER)));
        _buy(offer, HOLDER);
        _assertRefused(calling);
    }

    function test_claim__token_calls_back__refused() public {
        ICallingToken calling = ICallingToken(_tokenOf("CallingToken"));
        _deploy(calling);
        (, uint32 split, uint64 offer) = _publish(60);
        _buy(offer, HOLDER);
        bytes32[] memory path = Tables.proof(accounts, shares, 1);
        calling.arm(address(market), abi.encodeCall(ISplits.claim, (split, accounts[1], shares[1], path)));
        _claim(split, 0);
        _assertRefused(calling);
    }

    function test_claim__by_anyone__pays_the_account() public {
        (, uint32 split, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        vm.recordLogs();
        vm.prank(HOLDER);
        uint256 due = _claim(split, 2);

        uint256 expected = uint256(PRICE) * shares[2] / 10_000;
        vm.assertEq(due, expected, "due");
        vm.assertEq(token.balanceOf(accounts[2]), expected, "received");
        vm.assertEq(token.balanceOf(HOLDER), 0, "the caller gets nothing");
        vm.assertEq(market.claimed(split, accounts[2]), expected, "claimed");
        (, uint128 paid,) = market.splits(split);
        vm.assertEq(paid, expected, "paid");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        _assertEntry(logs[0], 5, split, accounts[2], abi.encode(5, expected, expected, shares[2], 0));
    }

    function test_claim__second_sale__pays_the_difference() public {
        (, uint32 split, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        uint256 first = _claim(split, 1);
        _buy(offer, BUYER);
        uint256 second = _claim(split, 1);
        vm.assertEq(first + second, uint256(PRICE) * 2 * shares[1] / 10_000, "cumulative");
    }

    function test_claim__twice__reverts() public {
        (, uint32 split, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        _claim(split, 0);
        vm.expectRevert(ISplits.NothingDue.selector);
        this.claimExternally(split, 0);
    }

    function test_claim__before_any_sale__reverts() public {
        (, uint32 split,) = _publish(0);
        vm.expectRevert(ISplits.NothingDue.selector);
        this.claimExternally(split, 0);
    }

    function test_claim__unknown_split__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IBooks.UnknownSplit.selector, uint32(4)));
        market.claim(4, HOLDER, 1, new bytes32[](0));
    }

    function test_claim__higher_share__reverts() public {
        (, uint32 split, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        bytes32[] memory path = Tables.proof(accounts, shares, 0);
        vm.expectRevert(ISplits.InvalidProof.selector);
        market.claim(split, accounts[0], uint256(shares[0]) + 1, path);
    }

    function test_claim__account_outside_the_table__reverts() public {
        (, uint32 split, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        bytes32[] memory path = Tables.proof(accounts, shares, 0);
        vm.expectRevert(ISplits.InvalidProof.selector);
        market.claim(split, HOLDER, shares[0], path);
    }

    function test_claim__books_say_paid_out__cap_holds() public {
        (, uint32 split, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        // No sequence of calls leads here: the storage is altered to show that the cap does not rest on the share sum.
        bytes32 slot = keccak256(abi.encode(split, SPLITS_SLOT));
        vm.store(address(market), slot, bytes32(uint256(PRICE) | (uint256(PRICE - 1) << 128)));
        (uint128 acc, uint128 paid,) = market.splits(split);
        vm.assertEq(acc, PRICE, "the slot is that of acc");
        vm.assertEq(paid, PRICE - 1, "the slot is that of paid");
        uint256 due = uint256(PRICE) * shares[0] / 10_000;
        vm.expectRevert(abi.encodeWithSelector(ISplits.CapExceeded.selector, due, 1));
        this.claimExternally(split, 0);
    }

    function test_claim__one_account_is_blocked__others_are_paid() public {
        IBlockingToken blocking = IBlockingToken(_tokenOf("BlockingToken"));
        _deploy(blocking);
        (, uint32 split, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        blocking.setBlocked(accounts[0]);
        vm.expectRevert(IBlockingToken.Blocked.selector);
        this.claimExternally(split, 0);
        vm.assertGt(_claim(split, 1), 0, "another account");
        blocking.setBlocked(address(0));
        vm.assertGt(_claim(split, 0), 0, "the same account later");
    }

    function test_quote__unknown_offer__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownOffer.selector, uint64(1)));
        market.quote(1);
    }

    function test_head__whole_life__replays() public {
        vm.recordLogs();
        (uint64 adapter, uint32 split, uint64 offer) = _publish(50);
        _buy(offer, HOLDER);
        vm.prank(OWNER);
        market.createOffer(adapter, _terms(split, 9, 0));
        _claim(split, 4);
        market.register(MANIFEST, BASE_MODEL, TERMS);
        market.createSplit(accounts, shares);
        (uint256 head, uint256 count) = _replay(GENESIS, vm.getRecordedLogs());
        vm.assertEq(count, 8, "entries");
        vm.assertEq(head, market.head(), "head");
    }

    function _windows(uint32[4] memory windows) private pure returns (IWindows.Delays memory) {
        return IWindows.Delays(windows[0], windows[1], windows[2], windows[3]);
    }

    /// @dev expectRevert looks at the next call, which must be the claim and not the building of its proof.
    function claimExternally(uint32 split, uint256 index) external returns (uint256) {
        return _claim(split, index);
    }

    function _assertRefused(ICallingToken calling) private view {
        vm.assertTrue(!calling.succeeded(), "the inner call succeeded");
        bytes4 reason = bytes4(calling.answer());
        bytes4 expected = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
        vm.assertEq(bytes32(reason), bytes32(expected), "reason of the refusal");
    }
}
