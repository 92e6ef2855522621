// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IBooks} from "../src/interfaces/IBooks.sol";
import {IChannels} from "../src/interfaces/IChannels.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Secp256k1} from "../src/libraries/Secp256k1.sol";
import {ICallingToken, IToken} from "./IToken.sol";
import {PartsFixture} from "./PartsFixture.sol";

/// @notice Metered use: every step works, every refusal names its cause, and a signed promise cannot be taken back.
contract ChannelsTest is PartsFixture {
    function test_openChannel__metered_offer__deposit_locked_and_recorded() public {
        (uint32 split, uint64 offer) = _publishMetered();
        vm.recordLogs();
        uint64 channel = _open(offer);

        vm.assertEq(channel, 1, "first number");
        vm.assertEq(token.balanceOf(address(market)), DEPOSIT, "deposit");
        _assertChannel(channel, split, offer);
        uint256 packed =
            uint256(offer) | (uint256(USE_PRICE) << 64) | (uint256(split) << 128) | ((NOW + LIFETIME) << 160);
        bytes memory data =
            abi.encode(_sequence(), DEPOSIT, packed, uint256(uint160(cheats.addr(SESSION_KEY))), bytes32(0));
        _assertEntry(_lastEntry(), 20, channel, BUYER, data);
    }

    function test_openChannel__bad_arguments__reverts() public {
        (, uint64 offer) = _publishMetered();
        _assertOpenFails(offer + 1, STRANGER, DEPOSIT, LIFETIME, USE_PRICE, _number(IRegistry.UnknownOffer.selector, 2));
        _assertOpenFails(
            offer,
            STRANGER,
            DEPOSIT,
            LIFETIME,
            USE_PRICE - 1,
            abi.encodeWithSelector(IRegistry.PriceAboveMax.selector, USE_PRICE, USE_PRICE - 1)
        );
        bytes4 lifetime = IChannels.LifetimeOutOfBounds.selector;
        _assertOpenFails(offer, STRANGER, DEPOSIT, 1 days - 1, USE_PRICE, _number(lifetime, 1 days - 1));
        _assertOpenFails(offer, STRANGER, DEPOSIT, 366 days + 1, USE_PRICE, _number(lifetime, 366 days + 1));
        bytes memory small = _number(IChannels.DepositTooSmall.selector, USE_PRICE - 1);
        _assertOpenFails(offer, STRANGER, USE_PRICE - 1, LIFETIME, USE_PRICE, small);
        bytes memory zero = abi.encodeWithSelector(IChannels.ZeroSessionKey.selector);
        _assertOpenFails(offer, address(0), DEPOSIT, LIFETIME, USE_PRICE, zero);
        bytes memory code = abi.encodeWithSelector(IChannels.SessionKeyIsContract.selector, address(this));
        _assertOpenFails(offer, address(this), DEPOSIT, LIFETIME, USE_PRICE, code);
    }

    function test_openChannel__smallest_and_longest__accepted() public {
        (, uint64 offer) = _publishMetered();
        vm.prank(BUYER);
        _all().openChannel(_item(offer), STRANGER, USE_PRICE, 1 days, USE_PRICE);
        vm.prank(BUYER);
        _all().openChannel(_item(offer), STRANGER, USE_PRICE, 366 days, type(uint256).max);
        vm.assertEq(token.balanceOf(address(market)), 2 * USE_PRICE, "deposits");
    }

    function test_openChannel__direct_offer__reverts() public {
        (,, uint64 offer) = _publish(0);
        bytes memory answer = _number(IRegistry.OfferNotMetered.selector, offer);
        _assertOpenFails(offer, STRANGER, DEPOSIT, LIFETIME, PRICE, answer);
    }

    function test_openChannel__escrowed_offer__reverts() public {
        (,, uint64 offer) = _publishEscrowed(0, _case(0).key);
        bytes memory answer = _number(IRegistry.OfferNotMetered.selector, offer);
        _assertOpenFails(offer, STRANGER, DEPOSIT, LIFETIME, PRICE, answer);
    }

    function test_openChannel__paused_or_withdrawn__reverts_while_the_rest_goes_on() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        vm.prank(STEWARD);
        _all().pause();
        _assertOpenFails(
            offer, STRANGER, DEPOSIT, LIFETIME, USE_PRICE, abi.encodeWithSelector(IRegistry.SalesPaused.selector)
        );
        _all().redeem(_voucher(channel, 1));
        vm.prank(BUYER);
        _all().askClose(channel);
        vm.warp(NOW + 1 days);
        _all().closeChannel(channel);
        vm.prank(STEWARD);
        _all().unpause();
        uint64[] memory ended = new uint64[](1);
        ended[0] = offer;
        vm.prank(OWNER);
        _all().withdraw(1, ended);
        _assertOpenFails(offer, STRANGER, DEPOSIT, LIFETIME, USE_PRICE, _number(IRegistry.OfferClosed.selector, offer));
    }

    function test_openChannel__token_that_takes_a_fee__reverts() public {
        _deploy(IToken(_tokenOf("FeeToken")));
        (, uint64 offer) = _publishMetered();
        bytes memory answer = abi.encodeWithSelector(IBooks.AmountMismatch.selector, DEPOSIT, DEPOSIT - 1);
        _assertOpenFails(offer, STRANGER, DEPOSIT, LIFETIME, USE_PRICE, answer);
    }

    function test_topUp__open_channel__deposit_grows() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        vm.recordLogs();
        vm.prank(BUYER);
        _all().topUp(channel, cheats.addr(SESSION_KEY), 70);
        (,,, uint128 deposit,,,,) = _all().channels(channel);
        vm.assertEq(deposit, DEPOSIT + 70, "deposit");
        vm.assertEq(token.balanceOf(address(market)), DEPOSIT + 70, "balance");
        bytes memory data = abi.encode(_sequence(), 70, DEPOSIT + 70, 0, bytes32(0));
        _assertEntry(_lastEntry(), 21, channel, BUYER, data);
    }

    /// @dev The attack: after a reorganisation the number is another payer's channel.
    function test_attack_topUp__channel_of_another_session_key__reverts() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        address[3] memory others = [STRANGER, address(1), address(type(uint160).max)];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IChannels.NotSessionKey.selector, channel, others[i]));
            vm.prank(BUYER);
            _all().topUp(channel, others[i], 70);
        }
    }

    function test_topUp__nothing_or_unknown_channel__reverts() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        vm.expectRevert(_number(IChannels.DepositTooSmall.selector, 0));
        _all().topUp(channel, cheats.addr(SESSION_KEY), 0);
        vm.expectRevert(_number(IChannels.UnknownChannel.selector, channel + 1));
        _all().topUp(channel + 1, cheats.addr(SESSION_KEY), 1);
    }

    function test_redeem__two_vouchers__each_credits_what_it_adds() public {
        (uint32 split, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        _all().redeem(_voucher(channel, 3));
        vm.assertEq(_acc(split), 3 * USE_PRICE, "first");
        vm.recordLogs();
        vm.prank(STRANGER);
        _all().redeem(_voucher(channel, 10));
        vm.assertEq(_acc(split), 10 * USE_PRICE, "second");
        bytes memory data = abi.encode(_sequence(), 7 * USE_PRICE, split, 10, USAGE);
        _assertEntry(_lastEntry(), 22, channel, cheats.addr(SESSION_KEY), data);
        vm.assertGt(_claim(split, 0), 0, "recipients can claim");
    }

    function test_redeem__whole_deposit__accepted_and_one_more_use_refused() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        uint64 uses = uint64(DEPOSIT / USE_PRICE);
        bytes4 exceeded = IChannels.DepositExceeded.selector;
        uint256 cumulative = uint256(DEPOSIT) + USE_PRICE;
        _assertRedeemFails(_voucher(channel, uses + 1), abi.encodeWithSelector(exceeded, channel, cumulative, DEPOSIT));
        _all().redeem(_voucher(channel, uses));
    }

    /// @dev Whatever part of the vouchers reaches the chain, and in whatever order: the newest decides, nothing is paid twice.
    function testFuzz_redeem__vouchers_in_any_order__the_newest_decides(uint64[8] memory uses) public {
        (uint32 split, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        uint256 newest = 0;
        for (uint256 i = 0; i < uses.length; ++i) {
            uint64 total = uint64(_clamp(uses[i], 1, DEPOSIT / USE_PRICE));
            IChannels.Voucher memory voucher = _voucher(channel, total);
            (bool ok,) = address(market).call(abi.encodeCall(IChannels.redeem, (voucher)));
            vm.assertTrue(ok == (total > newest), "taken exactly if newer");
            if (ok) newest = total;
            vm.assertEq(_acc(split), newest * USE_PRICE, "credited");
        }
        vm.warp(NOW + LIFETIME);
        _all().closeChannel(channel);
        vm.assertEq(token.balanceOf(BUYER), FUNDS - newest * USE_PRICE, "the rest came back");
    }

    function test_redeem__same_or_older_voucher__reverts() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        _all().redeem(_voucher(channel, 5));
        bytes memory spent = abi.encodeWithSelector(IChannels.VoucherSpent.selector, channel, 5);
        _assertRedeemFails(_voucher(channel, 5), spent);
        _assertRedeemFails(_voucher(channel, 4), spent);
    }

    function test_redeem__forged_or_changed_voucher__reverts() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        uint64 second = _open(offer);
        IChannels.Voucher memory voucher = _voucherBy(SESSION_KEY + 1, channel, 5);
        address forger = cheats.addr(SESSION_KEY + 1);
        _assertRedeemFails(voucher, abi.encodeWithSelector(IChannels.NotSessionKey.selector, channel, forger));
        voucher = _voucher(channel, 5);
        voucher.uses = 6;
        _assertForged(voucher);
        voucher.uses = 5;
        voucher.usageRoot = keccak256("other");
        _assertForged(voucher);
        voucher.usageRoot = USAGE;
        voucher.channel = second;
        _assertForged(voucher);
        voucher.channel = second + 1;
        _assertRedeemFails(voucher, _number(IChannels.UnknownChannel.selector, second + 1));
    }

    function test_redeem__voucher_of_another_chain_or_market__reverts() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        bytes32 elsewhere = _digest(block.chainid, STRANGER, channel, 5 * USE_PRICE, 5, USAGE);
        _assertForged(_signed(SESSION_KEY, channel, 5, elsewhere));
        IChannels.Voucher memory voucher = _voucher(channel, 5);
        cheats.chainId(1);
        _assertForged(voucher);
        cheats.chainId(31_337);
        _all().redeem(voucher);
    }

    function test_redeem__no_signature_or_its_twin__reverts() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        IChannels.Voucher memory voucher = _voucher(channel, 5);
        uint256 twin = HALF_ORDER + 1;
        voucher.vs = bytes32(twin);
        _assertRedeemFails(voucher, _number(ECDSA.ECDSAInvalidSignatureS.selector, twin));
        (voucher.r, voucher.vs) = (0, 0);
        _assertRedeemFails(voucher, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignature.selector));
    }

    /// @dev EIP-7702: the signer's account gets code after it has signed, and that code disowns every signature.
    function test_redeem__signer_delegates_his_account_afterwards__still_paid() public {
        (uint32 split, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        IChannels.Voucher memory voucher = _voucher(channel, 5);
        cheats.etch(cheats.addr(SESSION_KEY), abi.encodePacked(hex"ef0100", address(new Disowner())));
        cheats.etch(BUYER, abi.encodePacked(hex"ef0100", address(new Disowner())));
        _all().redeem(voucher);
        vm.assertEq(_acc(split), 5 * USE_PRICE, "paid");
    }

    function test_redeemMany__several_channels__all_credited() public {
        (uint32 split, uint64 offer) = _publishMetered();
        IChannels.Voucher[] memory vouchers = new IChannels.Voucher[](3);
        for (uint64 i = 0; i < 3; ++i) {
            vouchers[i] = _voucher(_open(offer), i + 1);
        }
        _all().redeemMany(vouchers);
        vm.assertEq(_acc(split), 6 * USE_PRICE, "credited");
    }

    function test_redeemMany__same_voucher_twice__reverts() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        IChannels.Voucher[] memory vouchers = new IChannels.Voucher[](2);
        (vouchers[0], vouchers[1]) = (_voucher(channel, 2), _voucher(channel, 2));
        vm.expectRevert(abi.encodeWithSelector(IChannels.VoucherSpent.selector, channel, 2));
        _all().redeemMany(vouchers);
    }

    function test_askClose__payer__window_starts_and_redeeming_goes_on() public {
        (uint32 split, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        vm.recordLogs();
        vm.prank(BUYER);
        _all().askClose(channel);
        _assertEntry(_lastEntry(), 23, channel, BUYER, abi.encode(_sequence(), NOW + 1 days, 0, 0, bytes32(0)));
        vm.warp(NOW + 1 days - 1);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotClosable.selector, channel, NOW + 1 days));
        _all().closeChannel(channel);
        _all().redeem(_voucher(channel, 4));
        vm.assertEq(_acc(split), 4 * USE_PRICE, "redeemed in the window");
    }

    function test_askClose__stranger_or_twice__reverts() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        vm.expectRevert(_number(IChannels.NotPayer.selector, channel));
        vm.prank(STRANGER);
        _all().askClose(channel);
        vm.prank(BUYER);
        _all().askClose(channel);
        for (uint256 later = 0; later <= 1 hours; later += 1 hours) {
            vm.warp(NOW + later);
            vm.expectRevert(abi.encodeWithSelector(IChannels.ClosingAlready.selector, channel, NOW + 1 days));
            vm.prank(BUYER);
            _all().askClose(channel);
        }
    }

    function test_askClose__would_end_when_the_channel_ends_anyway__reverts() public {
        (, uint64 offer) = _publishMetered();
        vm.prank(BUYER);
        uint64 channel = _all().openChannel(_item(offer), STRANGER, DEPOSIT, 1 days, USE_PRICE);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ClosingAlready.selector, channel, NOW + 1 days));
        vm.prank(BUYER);
        _all().askClose(channel);
    }

    function test_closeChannel__after_the_window__rest_goes_to_the_payer() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        vm.prank(BUYER);
        _all().askClose(channel);
        _all().redeem(_voucher(channel, 4));
        vm.warp(NOW + 1 days);
        vm.recordLogs();
        vm.prank(STRANGER);
        _all().closeChannel(channel);
        uint256 rest = DEPOSIT - 4 * USE_PRICE;
        vm.assertEq(token.balanceOf(BUYER), FUNDS - 4 * USE_PRICE, "refund");
        bytes memory data = abi.encode(_sequence(), rest, 4 * USE_PRICE, 0, bytes32(0));
        _assertEntry(_lastEntry(), 24, channel, BUYER, data);
        _assertRedeemFails(_voucher(channel, 5), _number(IChannels.UnknownChannel.selector, channel));
        vm.expectRevert(_number(IChannels.UnknownChannel.selector, channel));
        _all().closeChannel(channel);
    }

    function test_closeChannel__end_of_life__no_asking_needed() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        vm.warp(NOW + LIFETIME - 1);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotClosable.selector, channel, NOW + LIFETIME));
        _all().closeChannel(channel);
        vm.warp(NOW + LIFETIME + 1);
        _all().redeem(_voucher(channel, 1));
        _all().closeChannel(channel);
        vm.assertEq(token.balanceOf(BUYER), FUNDS - USE_PRICE, "refund");
    }

    function test_closeChannel__deposit_used_up__nothing_to_pay() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        _all().redeem(_voucher(channel, uint64(DEPOSIT / USE_PRICE)));
        vm.warp(NOW + LIFETIME);
        vm.recordLogs();
        _all().closeChannel(channel);
        vm.assertEq(vm.getRecordedLogs().length, 1, "no transfer");
        vm.assertEq(token.balanceOf(BUYER), FUNDS - DEPOSIT, "nothing comes back");
    }

    function test_closeChannel__token_that_calls_back__cannot_close_again() public {
        ICallingToken calling = ICallingToken(_tokenOf("CallingToken"));
        _deploy(calling);
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        vm.warp(NOW + LIFETIME);
        calling.arm(address(market), abi.encodeCall(IChannels.closeChannel, (channel)));
        _all().closeChannel(channel);
        vm.assertTrue(!calling.succeeded(), "entered again");
        bytes4 guard = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
        vm.assertEq(keccak256(calling.answer()), keccak256(abi.encodeWithSelector(guard)), "refused by the guard");
        vm.assertEq(token.balanceOf(BUYER), FUNDS, "refunded once");
    }

    function test_voucherDigest__shared_vectors__are_those_of_the_specification() public {
        string memory json = cheats.readFile("test/vectors/vouchers.json");
        uint256 count = cheats.parseJsonUint(json, ".count");
        vm.assertGt(count, 2, "vectors");
        for (uint256 i = 0; i < count; ++i) {
            _assertVector(json, string.concat(".cases[", cheats.toString(i), "]."));
        }
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        bytes32 expected = _digest(block.chainid, address(market), channel, 9 * USE_PRICE, 9, USAGE);
        vm.assertEq(_all().voucherDigest(channel, 9, USAGE), expected, "the market's digest");
    }

    function _assertVector(string memory json, string memory path) private pure {
        bytes32 digest = _digest(
            cheats.parseJsonUint(json, ".chainId"),
            cheats.parseJsonAddress(json, ".market"),
            cheats.parseJsonUint(json, string.concat(path, "channel")),
            cheats.parseJsonUint(json, string.concat(path, "cumulative")),
            cheats.parseJsonUint(json, string.concat(path, "uses")),
            cheats.parseJsonBytes32(json, string.concat(path, "usageRoot"))
        );
        vm.assertEq(digest, cheats.parseJsonBytes32(json, string.concat(path, "digest")), path);
        bytes32 r = cheats.parseJsonBytes32(json, string.concat(path, "r"));
        bytes32 vs = cheats.parseJsonBytes32(json, string.concat(path, "vs"));
        address signer = cheats.parseJsonAddress(json, string.concat(path, "sessionAccount"));
        vm.assertEq(ECDSA.recover(digest, r, vs), signer, path);
    }

    function _assertChannel(uint64 channel, uint32 split, uint64 offer) private view {
        bytes memory answer =
            abi.encode(cheats.addr(SESSION_KEY), NOW + LIFETIME, split, DEPOSIT, USE_PRICE, uint64(0), BUYER, offer);
        (bool ok, bytes memory got) = address(market).staticcall(abi.encodeCall(IChannels.channels, (channel)));
        vm.assertTrue(ok && keccak256(got) == keccak256(answer), "channel");
    }

    function _assertOpenFails(
        uint64 offer,
        address session,
        uint128 deposit,
        uint32 lifetime,
        uint256 maxPrice,
        bytes memory answer
    ) private {
        vm.expectRevert(answer);
        vm.prank(BUYER);
        _all().openChannel(_item(offer), session, deposit, lifetime, maxPrice);
    }

    function _assertRedeemFails(IChannels.Voucher memory voucher, bytes memory answer) private {
        vm.expectRevert(answer);
        _all().redeem(voucher);
    }

    /// @dev A changed voucher recovers to some other account, or to none.
    function _assertForged(IChannels.Voucher memory voucher) private {
        (bool ok, bytes memory answer) = address(market).call(abi.encodeCall(IChannels.redeem, (voucher)));
        bytes4 cause = bytes4(answer);
        bool refused = cause == IChannels.NotSessionKey.selector || cause == ECDSA.ECDSAInvalidSignature.selector;
        vm.assertTrue(!ok && refused, "taken, or refused for another cause");
    }

    function _acc(uint32 split) private view returns (uint128 acc) {
        (acc,,) = market.splits(split);
    }

    function _number(bytes4 cause, uint256 value) private pure returns (bytes memory) {
        return abi.encodeWithSelector(cause, value);
    }
}

/// @notice A wallet that disowns every signature of its account.
contract Disowner {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        return 0xffffffff;
    }
}
