// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IBooks} from "../src/interfaces/IBooks.sol";
import {IChannels} from "../src/interfaces/IChannels.sol";
import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {IOffers} from "../src/interfaces/IOffers.sol";
import {IPools} from "../src/interfaces/IPools.sol";
import {Vm} from "./Base.sol";
import {PartsFixture} from "./PartsFixture.sol";
import {PoolTrees} from "./PoolTrees.sol";
import {Tables} from "./Tables.sol";

/// @notice Numbers, amounts, times and accounts near the ends of their ranges: nothing is cut off on its way.
contract RangesTest is PartsFixture {
    /// @dev Later than 2^32 seconds, and before a price's day is full.
    uint256 private constant LATE = 5_000_000_000;
    uint64 private constant FIRST = type(uint64).max - 4;
    uint32 private constant FIRST_SPLIT = type(uint32).max - 4;
    uint64 private constant DEAR = type(uint64).max;
    uint256 private constant SEQUENCE_BEFORE = (1 << 40) - 50;
    address private constant WIDE = address(type(uint160).max - 1);
    address private constant SELLER = address(type(uint160).max - 2);
    address private constant CHALLENGER = address(type(uint160).max - 3);

    /// @dev The counters are put where years of use would take them.
    function setUp() public override {
        super.setUp();
        vm.warp(LATE);
        _store(0, ((uint256(keccak256("past")) >> 41) << 41) | SEQUENCE_BEFORE);
        _store(3, FIRST_SPLIT - 1);
        _store(6, (FIRST - 1) | (uint256(FIRST - 1) << 64));
        _store(16, FIRST - 1);
        _store(18, FIRST - 1);
        _store(22, FIRST - 1);
        token.mint(WIDE, type(uint128).max);
        vm.prank(WIDE);
        token.approve(address(market), type(uint256).max);
        (accounts, shares) = Tables.make(5, type(uint160).max - 1_000, 1);
    }

    function test_register__again__names_the_first() public {
        (uint64 adapter,,) = _publishDear(_terms(0, DEAR, 60));
        vm.assertEq(adapter, FIRST, "adapter");
        vm.assertEq(market.adapterOf(SELLER, MANIFEST), FIRST, "adapterOf");
        vm.expectRevert(abi.encodeWithSelector(IOffers.AlreadyRegistered.selector, FIRST));
        vm.prank(SELLER);
        market.register(MANIFEST, 0, 0);
        vm.assertEq(market.register(MANIFEST, 0, 0), FIRST + 1, "another");
    }

    function test_buy__dear_and_long__recorded_whole() public {
        (uint64 adapter, uint32 split, uint64 offer) = _publishDear(_terms(0, DEAR, type(uint32).max));
        vm.assertEq(split, FIRST_SPLIT, "split");
        vm.assertEq(offer, FIRST, "offer");
        vm.assertEq(market.adapterOfOffer(offer), adapter, "adapter of the offer");
        vm.recordLogs();
        vm.prank(WIDE);
        market.buy(_item(offer), WIDE, DEAR, ORDER);
        uint256 expiry = LATE + type(uint32).max;
        bytes memory data = abi.encode(SEQUENCE_BEFORE + 4, DEAR, uint256(split) | (LATE << 32), expiry, ORDER);
        _assertEntry(_lastEntry(), 4, offer, WIDE, data);
        vm.assertEq(market.licenses(offer, WIDE), expiry, "expiry");
        vm.assertEq(_acc(split), DEAR, "acc");
    }

    function test_createOffer__every_field_full__recorded_whole() public {
        IOffers.OfferTerms memory terms = _terms(0, type(uint40).max, type(uint32).max);
        (terms.maxRise, terms.target, terms.keyHash) = (500, 32_767, ORDER);
        vm.recordLogs();
        (uint64 adapter, uint32 split, uint64 offer) = _publishDear(terms);
        uint256 packed = split | (uint256(type(uint32).max) << 32) | (2 << 64) | (500 << 72) | (32_767 << 88);
        bytes memory data = abi.encode(_sequence(), adapter, type(uint40).max, packed, ORDER);
        _assertEntry(_lastEntry(), 3, offer, SELLER, data);
        (uint64 floor,, uint32 duration, uint8 flags, uint16 maxRise, uint16 target,) = market.offers(offer);
        vm.assertTrue(floor == type(uint40).max && duration == type(uint32).max && flags == 2, "offer");
        vm.assertTrue(maxRise == 500 && target == 32_767, "rule");
    }

    function test_withdraw_and_notices__high_numbers__reach_the_offer() public {
        (uint64 adapter,, uint64 offer) = _publishDear(_terms(0, DEAR, 60));
        vm.prank(WIDE);
        uint256 number = market.notice(adapter, TERMS);
        vm.assertEq(number, SEQUENCE_BEFORE + 4, "notice");
        vm.assertEq(market.notices(number), adapter, "adapter of the notice");
        vm.prank(SELLER);
        market.counterNotice(number, TERMS);
        vm.prank(STEWARD);
        market.suspend(offer, number);
        uint64[] memory ended = new uint64[](1);
        ended[0] = offer;
        vm.prank(SELLER);
        market.withdraw(adapter, ended);
        (,,, uint8 flags,,,) = market.offers(offer);
        vm.assertEq(flags, 12, "withdrawn and suspended");
    }

    function test_claim__split_with_a_high_number__passed_on_to_it() public {
        uint32 parent = market.createSplit(accounts, shares);
        address[] memory table = new address[](2);
        (table[0], table[1]) = (address(uint160(parent)), WIDE);
        uint16[] memory parts = new uint16[](2);
        (parts[0], parts[1]) = (9_000, 1_000);
        (accounts, shares) = (table, parts);
        (, uint32 child, uint64 offer) = _publishDear(_terms(0, DEAR, 60));
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(WIDE);
            market.buy(_item(offer), WIDE, DEAR, ORDER);
        }
        uint256 due = market.claim(child, table[0], parts[0], Tables.proof(table, parts, 0));
        vm.assertEq(due, uint256(DEAR) * 2 * 9 / 10, "due");
        vm.assertEq(_acc(parent), due, "acc of the parent");
        (, uint128 paid,) = market.splits(child);
        vm.assertEq(paid, due, "paid of the child");
    }

    function test_createSplit__unknown_split_with_a_known_ones_low_bits__reverts() public {
        _store(3, 0);
        market.createSplit(accounts, shares);
        accounts[0] = address(uint160(0x10001));
        vm.expectRevert(abi.encodeWithSelector(IBooks.UnknownSplit.selector, uint32(0x10001)));
        market.createSplit(accounts, shares);
        accounts[0] = address((uint160(1) << 100) | 1);
        market.createSplit(accounts, shares);
    }

    function test_channel__large_deposit_and_many_uses__paid_whole() public {
        IOffers.OfferTerms memory terms = _terms(0, DEAR, 0);
        terms.metered = true;
        (, uint32 split, uint64 offer) = _publishDear(terms);
        uint128 deposit = uint128(DEAR) << 40;
        address session = cheats.addr(SESSION_KEY);
        vm.recordLogs();
        vm.prank(WIDE);
        uint64 channel = _all().openChannel(_item(offer), session, deposit, LIFETIME, DEAR);
        vm.assertEq(channel, FIRST, "number");
        uint256 packed = offer | (uint256(DEAR) << 64) | (uint256(split) << 128) | ((LATE + LIFETIME) << 160);
        bytes memory data = abi.encode(_sequence(), deposit, packed, uint160(session), bytes32(0));
        _assertEntry(_lastEntry(), 20, channel, WIDE, data);
        _topUpAndRedeem(channel, deposit, split);
        (bool ok, bytes memory got) = address(market).staticcall(abi.encodeCall(IChannels.channels, (channel)));
        data = abi.encode(session, LATE + LIFETIME, split, deposit + DEAR, DEAR, uint64(1 << 40) + 1, WIDE, offer);
        vm.assertTrue(ok && keccak256(got) == keccak256(data), "channel");
        vm.warp(LATE + LIFETIME);
        _all().closeChannel(channel);
        vm.assertEq(token.balanceOf(WIDE), type(uint128).max - deposit - DEAR, "all used up");
    }

    function test_order__high_number_and_wide_accounts__recorded_whole() public {
        (IEscrow.Order memory terms, Case memory one) = _placeDear(0);
        uint64 number = FIRST;
        bytes32 state = keccak256(abi.encode(terms));
        vm.assertEq(_all().orders(number), state, "state");
        bytes memory data = abi.encode(_sequence(), DEAR, terms.offer, uint160(WIDE), state);
        _assertEntry(_lastEntry(), 31, number, WIDE, data);
        vm.recordLogs();
        vm.prank(SELLER);
        _all().setOperator(FIRST, CHALLENGER);
        _assertEntry(_lastEntry(), 30, FIRST, SELLER, abi.encode(_sequence(), uint160(CHALLENGER), 0, 0, bytes32(0)));
        vm.prank(CHALLENGER);
        _all().deliver(number, terms, one.seller, ~one.wrapped);
        vm.assertEq(market.licenses(terms.offer, WIDE), type(uint256).max, "licensed");
        IEscrow.Delivery memory delivery = IEscrow.Delivery(one.seller, ~one.wrapped, uint40(LATE) + 2 hours);
        vm.recordLogs();
        _all().dispute(number, terms, delivery, one.buyerSecret, one.shared);
        data = abi.encode(
            _sequence(), DEAR, terms.offer | (block.timestamp << 64), uint160(WIDE), bytes32(one.buyerSecret)
        );
        _assertEntry(_lastEntry(), 33, number, WIDE, data);
        vm.assertEq(token.balanceOf(WIDE), type(uint128).max, "refund");
    }

    function test_pool__fees_beyond_64_bits__allocated_whole() public {
        vm.recordLogs();
        vm.prank(SELLER);
        uint64 pool = _all().createPool(CHALLENGER, DEAR, 1 days, TERMS);
        vm.assertEq(pool, FIRST, "number");
        bytes memory data = abi.encode(_sequence(), DEAR, uint256(1 days) | (LATE << 32), uint160(CHALLENGER), TERMS);
        _assertEntry(_lastEntry(), 40, pool, SELLER, data);
        for (uint160 i = 0; i < 3; ++i) {
            vm.recordLogs();
            _subscribeDear(pool, address(uint160(WIDE) - i), i == 0 ? 0 : 1, i == 0 ? 2 : 1);
            data = abi.encode(
                _sequence(), i == 0 ? 2 * uint256(DEAR) : DEAR, i == 0 ? 3 << 64 : 1 | (1 << 64), uint160(WIDE), ORDER
            );
            _assertEntry(_lastEntry(), 41, pool, address(uint160(WIDE) - i), data);
        }
        vm.warp(LATE + 2 days);
        _claimAllOf(pool, 4 * uint256(DEAR));
    }

    function test_refundPeriod__wide_accounts__recorded_whole() public {
        vm.prank(SELLER);
        uint64 pool = _all().createPool(CHALLENGER, DEAR, 366 days, TERMS);
        _subscribeDear(pool, SELLER, 0, 1);
        vm.warp(LATE + 366 days + 180 days);
        vm.recordLogs();
        _all().refundPeriod(pool, 0, SELLER);
        _assertEntry(_lastEntry(), 46, pool, WIDE, abi.encode(_sequence(), DEAR, 0, uint160(SELLER), bytes32(0)));
        vm.assertEq(token.balanceOf(WIDE), type(uint128).max, "refund");
    }

    function test_refundRest__wide_accounts_and_fees__recorded_whole() public {
        vm.prank(SELLER);
        uint64 pool = _all().createPool(CHALLENGER, DEAR, 366 days, TERMS);
        _subscribeDear(pool, SELLER, 0, 1);
        vm.warp(LATE + 366 days);
        vm.prank(SELLER);
        _all().postRoot(pool, 0, ~bytes32(0), ~bytes32(0), "");
        vm.warp(LATE + 369 days);
        _all().adoptRoot(pool);
        vm.warp(LATE + 369 days + 180 days);
        vm.recordLogs();
        _all().refundRest(pool, 0, 0, SELLER);
        _assertEntry(_lastEntry(), 47, pool, WIDE, abi.encode(_sequence(), DEAR, 0, uint160(SELLER), ~bytes32(0)));
        vm.assertEq(token.balanceOf(WIDE), type(uint128).max, "refund");
    }

    function _subscribeDear(uint64 pool, address holder, uint256 first, uint256 count) private {
        (,,,,,,, bytes32 terms) = _all().pools(pool);
        vm.prank(WIDE);
        _all().subscribe(pool, terms, holder, first, (1 << count) - 1, ORDER);
    }

    function _topUpAndRedeem(uint64 channel, uint128 deposit, uint32 split) private {
        vm.recordLogs();
        vm.prank(WIDE);
        _all().topUp(channel, cheats.addr(SESSION_KEY), DEAR);
        bytes memory data = abi.encode(_sequence(), DEAR, uint256(deposit) + DEAR, 0, bytes32(0));
        _assertEntry(_lastEntry(), 21, channel, WIDE, data);
        uint64 uses = uint64(1 << 40) + 1;
        bytes32 digest = _digest(block.chainid, address(market), channel, uint256(uses) * DEAR, uses, USAGE);
        vm.assertEq(_all().voucherDigest(channel, uses, USAGE), digest, "digest");
        vm.recordLogs();
        _all().redeem(_signed(SESSION_KEY, channel, uses, digest));
        data = abi.encode(_sequence(), uint256(uses) * DEAR, split, uses, USAGE);
        _assertEntry(_lastEntry(), 22, channel, cheats.addr(SESSION_KEY), data);
        vm.assertEq(_acc(split), uint256(uses) * DEAR, "acc");
        uint256 due = market.claim(split, accounts[0], shares[0], Tables.proof(accounts, shares, 0));
        (, uint128 paid,) = market.splits(split);
        vm.assertEq(paid, due, "paid");
        vm.assertEq(due, uint256(uses) * DEAR * shares[0] / 10_000, "due");
    }

    function _placeDear(uint256 index) private returns (IEscrow.Order memory terms, Case memory one) {
        IOffers.OfferTerms memory offerTerms = _terms(0, DEAR, 0);
        one = _case(index);
        bytes32 keyHash = keccak256(abi.encode(one.key));
        offerTerms.keyHash = keyHash;
        (, uint32 split, uint64 offer) = _publishDear(offerTerms);
        terms = IEscrow.Order(offer, split, uint40(LATE) + 1 hours, WIDE, WIDE, DEAR, keyHash, ORDER, one.buyer);
        vm.recordLogs();
        vm.prank(WIDE);
        vm.assertEq(_all().order(_item(offer), WIDE, DEAR, one.buyer, ORDER), FIRST, "number");
    }

    /// @dev Gives everything to one split, in two steps.
    function _claimAllOf(uint64 pool, uint256 total) private {
        uint256[] memory splits = new uint256[](1);
        uint256[] memory totals = new uint256[](1);
        (splits[0], totals[0]) = (market.createSplit(accounts, shares), total);
        bytes32 root = PoolTrees.root(splits, totals);
        vm.recordLogs();
        vm.prank(SELLER);
        _all().postRoot(pool, 1, root, ~bytes32(0), "");
        Vm.Log memory posted = _lastEntry();
        uint256 adoptableAt = LATE + 2 days + 3 days;
        bytes memory data = abi.encode(_sequence(), total, (1 << 64) | (adoptableAt << 128), ~bytes32(0), root);
        _assertEntry(posted, 42, pool, SELLER, data);
        vm.warp(adoptableAt);
        _all().adoptRoot(pool);
        (, uint128 left,,, uint48 fees) = _all().roots(pool, 1);
        vm.assertTrue(left == total && fees == 4, "allocated");
        IPools.PoolClaim[] memory claims = new IPools.PoolClaim[](1);
        claims[0] = IPools.PoolClaim(pool, 1, uint32(splits[0]), total, new bytes32[](0));
        vm.assertEq(_all().claimPool(claims), total, "due");
        vm.assertEq(_acc(uint32(splits[0])), total, "acc");
        (, left,,,) = _all().roots(pool, 1);
        vm.assertEq(left, 0, "credited");
    }

    function _publishDear(IOffers.OfferTerms memory terms) private returns (uint64, uint32, uint64) {
        vm.prank(SELLER);
        return market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, terms);
    }

    function _acc(uint32 split) private view returns (uint128 acc) {
        (acc,,) = market.splits(split);
    }

    function _store(uint256 slot, uint256 value) private {
        vm.store(address(market), bytes32(slot), bytes32(value));
    }
}
