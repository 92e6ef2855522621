// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IChannels} from "../src/interfaces/IChannels.sol";
import {IPools} from "../src/interfaces/IPools.sol";
import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {PartsFixture} from "./PartsFixture.sol";
import {PoolTrees} from "./PoolTrees.sol";

/// @notice Budgets of whole transactions of channels, escrow and pools. Exact figures: snapshots/Parts.json.
contract PartsGasTest is PartsFixture {
    uint256 private constant REDEEM_BUDGET = 50_000;
    uint256 private constant BATCHED_REDEEM_BUDGET = 24_000;
    uint256 private constant DISPUTE_BUDGET = 72_000;
    uint256 private constant BATCH = 50;
    /// @dev EIP-7825.
    uint256 private constant TRANSACTION_CAP = 1 << 24;

    function test_gas__redeem__within_budget() public {
        (, uint64 offer) = _publishMetered();
        uint64 channel = _open(offer);
        vm.snapshotGasLastCall("Parts", "open channel, first of a new market");
        _open(offer);
        vm.snapshotGasLastCall("Parts", "open channel");
        _all().redeem(_voucher(channel, 5));
        vm.snapshotGasLastCall("Parts", "redeem, first of a channel");
        _all().redeem(_voucher(channel, 60));
        vm.assertLe(vm.snapshotGasLastCall("Parts", "redeem, steady"), REDEEM_BUDGET, "redeem");
        vm.warp(NOW + LIFETIME);
        _all().closeChannel(channel);
        vm.snapshotGasLastCall("Parts", "close channel");
    }

    function test_gas__batch_of_fifty__within_budget_each() public {
        (, uint64 offer) = _publishMetered();
        IChannels.Voucher[] memory vouchers = new IChannels.Voucher[](BATCH);
        for (uint256 i = 0; i < BATCH; ++i) {
            uint64 channel = _open(offer);
            _all().redeem(_voucher(channel, 5));
            vouchers[i] = _voucher(channel, 60);
        }
        _all().redeemMany(vouchers);
        uint256 each = vm.snapshotGasLastCall("Parts", "redeem, batch of 50") / BATCH;
        vm.assertLe(each, BATCHED_REDEEM_BUDGET, "redeem in a batch");
    }

    function test_gas__escrow__within_budget() public {
        (, uint32 split, uint64 offer) = _publishEscrowed(0, _case(3).key);
        Case memory one = _case(3);
        _placeOrder(offer, one);
        IEscrow.Order memory terms = _orderTerms(offer, split, one);
        uint64 number = _placeOrder(offer, one);
        vm.snapshotGasLastCall("Parts", "order");
        IEscrow.Delivery memory delivery = _deliver(number, terms, one, keccak256("wrong"));
        vm.snapshotGasLastCall("Parts", "deliver");
        vm.prank(BUYER);
        _all().dispute(number, terms, delivery, one.buyerSecret, one.shared);
        vm.assertLe(vm.snapshotGasLastCall("Parts", "dispute"), DISPUTE_BUDGET, "dispute");
    }

    function test_gas__settled_orders__snapshot() public {
        (, uint32 split, uint64 offer) = _publishEscrowed(0, _case(3).key);
        uint64[] memory numbers = new uint64[](20);
        IEscrow.Order[] memory terms = new IEscrow.Order[](20);
        IEscrow.Delivery[] memory deliveries = new IEscrow.Delivery[](20);
        Case memory one = _case(3);
        for (uint256 i = 0; i < 20; ++i) {
            address holder = address(uint160(0xD000 + i));
            terms[i] = _orderTerms(offer, split, one);
            terms[i].holder = holder;
            vm.prank(BUYER);
            numbers[i] = _all().order(_item(offer), holder, PRICE, one.buyer, ORDER);
            deliveries[i] = _deliver(numbers[i], terms[i], one, one.wrapped);
        }
        vm.warp(NOW + 1 days);
        _all().settle(numbers[0], terms[0], deliveries[0]);
        vm.snapshotGasLastCall("Parts", "settle, first of a split");
        _all().settle(numbers[1], terms[1], deliveries[1]);
        vm.snapshotGasLastCall("Parts", "settle, steady");
        assembly ("memory-safe") {
            // The first two are settled: the rest of each array is what follows.
            mstore(add(numbers, 0x40), 18)
            numbers := add(numbers, 0x40)
            mstore(add(terms, 0x40), 18)
            terms := add(terms, 0x40)
            mstore(add(deliveries, 0x40), 18)
            deliveries := add(deliveries, 0x40)
        }
        _all().settleMany(numbers, terms, deliveries);
        vm.snapshotGasLastCall("Parts", "settle, batch of 18");
    }

    function test_gas__pool__snapshot() public {
        vm.prank(OWNER);
        uint64 pool = _all().createPool(STRANGER, 1_000, 30 days, TERMS);
        (,,,,,,, bytes32 terms) = _all().pools(pool);
        for (uint160 i = 1; i <= 2; ++i) {
            vm.prank(BUYER);
            _all().subscribe(pool, terms, address(i), 0, 1, ORDER);
        }
        vm.snapshotGasLastCall("Parts", "subscribe, one period");
        uint256[] memory splits = new uint256[](100);
        uint256[] memory totals = new uint256[](100);
        for (uint256 i = 0; i < 100; ++i) {
            splits[i] = market.createSplit(accounts, shares);
            totals[i] = 20;
        }
        vm.warp(NOW + 30 days);
        vm.prank(OWNER);
        _all().postRoot(pool, 0, PoolTrees.root(splits, totals), TERMS, "ipfs://data");
        vm.snapshotGasLastCall("Parts", "post root");
        vm.warp(NOW + 33 days);
        _all().adoptRoot(pool);
        vm.snapshotGasLastCall("Parts", "adopt root");
        IPools.PoolClaim[] memory claims = new IPools.PoolClaim[](1);
        claims[0] = IPools.PoolClaim(pool, 0, uint32(splits[5]), 20, PoolTrees.proof(splits, totals, 5));
        _all().claimPool(claims);
        vm.snapshotGasLastCall("Parts", "claim from a pool of 100 splits, first");
        claims = new IPools.PoolClaim[](50);
        for (uint256 i = 0; i < 50; ++i) {
            bytes32[] memory proof = PoolTrees.proof(splits, totals, 50 + i);
            claims[i] = IPools.PoolClaim(pool, 0, uint32(splits[50 + i]), 20, proof);
        }
        _all().claimPool(claims);
        uint256 gas = vm.snapshotGasLastCall("Parts", "claim from a pool of 100 splits, batch of 50");
        vm.assertLe(gas, TRANSACTION_CAP, "batch");
        vm.warp(NOW + 33 days + 180 days);
        _all().refundRest(pool, 0, 0, address(1));
        vm.snapshotGasLastCall("Parts", "refund the rest of a period");
    }

    function test_gas__longest_loops_of_a_pool__fit_a_transaction() public {
        vm.prank(OWNER);
        uint64 pool = _all().createPool(STRANGER, 1_000, 1 days, TERMS);
        (,,,,,,, bytes32 terms) = _all().pools(pool);
        for (uint256 i = 0; i < 64; i += 16) {
            vm.warp(NOW + i * 1 days);
            vm.prank(BUYER);
            _all().subscribe(pool, terms, HOLDER, i, 0xffff, ORDER);
        }
        vm.assertLe(vm.snapshotGasLastCall("Parts", "subscribe, 16 periods"), TRANSACTION_CAP, "subscribe");
        vm.warp(NOW + 64 days);
        vm.prank(OWNER);
        _all().postRoot(pool, 63, TERMS, TERMS, "ipfs://data");
        vm.assertLe(vm.snapshotGasLastCall("Parts", "post root, 64 periods"), TRANSACTION_CAP, "post");
        vm.warp(NOW + 67 days);
        _all().adoptRoot(pool);
        vm.assertLe(vm.snapshotGasLastCall("Parts", "adopt root, 64 periods"), TRANSACTION_CAP, "adopt");
    }
}
