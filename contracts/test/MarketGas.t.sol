// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MarketFixture} from "./MarketFixture.sol";
import {Tables} from "./Tables.sol";

/// @notice Budgets of whole transactions, base cost included (foundry.toml: isolate). Exact figures: snapshots/Market.json.
contract MarketGasTest is MarketFixture {
    uint256 private constant SALE_BUDGET = 88_000;
    uint256 private constant RENEWAL_BUDGET = 71_000;
    uint256 private constant CLAIM_BUDGET = 70_000;
    /// @dev EIP-7825.
    uint256 private constant TRANSACTION_CAP = 1 << 24;

    function test_gas__sale__same_for_any_number_of_recipients() public {
        uint256 few = _sale(1, "sale, 1 recipient");
        uint256 many = _sale(1000, "sale, 1000 recipients");
        vm.assertLe(few, SALE_BUDGET, "1 recipient");
        vm.assertLe(many, SALE_BUDGET, "1000 recipients");
        vm.assertEq(few / 100, many / 100, "recipients must not change the price of a sale");
    }

    function test_gas__sale_with_exact_approval__within_budget() public {
        (,, uint64 offer) = _publish(0);
        _buy(offer, BUYER);
        vm.prank(BUYER);
        token.approve(address(market), PRICE);
        _buy(offer, HOLDER);
        vm.assertLe(vm.snapshotGasLastCall("Market", "sale, exact approval"), SALE_BUDGET, "exact approval");
    }

    function test_gas__sale_with_unlimited_approval__within_budget() public {
        (,, uint64 offer) = _publish(0);
        _buy(offer, BUYER);
        vm.prank(BUYER);
        token.approve(address(market), type(uint256).max);
        _buy(offer, HOLDER);
        vm.assertLe(vm.snapshotGasLastCall("Market", "sale, unlimited approval"), SALE_BUDGET, "unlimited approval");
    }

    function test_gas__first_sale__snapshot() public {
        (,, uint64 offer) = _publish(0);
        _buy(offer, HOLDER);
        vm.snapshotGasLastCall("Market", "sale, first of a new market");
    }

    function test_gas__renewal__within_budget() public {
        (,, uint64 offer) = _publish(60);
        _buy(offer, HOLDER);
        _buy(offer, HOLDER);
        vm.assertLe(vm.snapshotGasLastCall("Market", "renewal"), RENEWAL_BUDGET, "renewal");
    }

    function test_gas__claim__within_budget() public {
        _assertClaim(5, "claim, 5 recipients, steady");
    }

    function test_gas__claim_of_a_large_split__within_budget() public {
        _assertClaim(1000, "claim, 1000 recipients, steady");
    }

    function test_gas__publish__snapshot() public {
        _publish(0);
        vm.snapshotGasLastCall("Market", "publish, 5 recipients");
    }

    function test_gas__largest_split__fits_a_transaction() public {
        (accounts, shares) = Tables.make(1000, uint160(0x1111) << 140, 1);
        market.createSplit(accounts, shares);
        vm.assertLe(vm.snapshotGasLastCall("Market", "createSplit, 1000 recipients"), TRANSACTION_CAP, "EIP-7825");
    }

    function _sale(uint256 recipients, string memory name) private returns (uint256) {
        _deploy(token);
        (accounts, shares) = Tables.make(recipients, uint160(0x1111) << 140, 1);
        (,, uint64 offer) = _publish(0);
        _buy(offer, BUYER);
        _buy(offer, HOLDER);
        return vm.snapshotGasLastCall("Market", name);
    }

    function _assertClaim(uint256 recipients, string memory name) private {
        (accounts, shares) = Tables.make(recipients, uint160(0x1111) << 140, 1);
        (, uint32 split, uint64 offer) = _publish(60);
        bytes32[] memory path = Tables.proof(accounts, shares, 0);
        address account = accounts[0];
        uint256 share = shares[0];
        for (uint256 i = 0; i < 2; ++i) {
            _buy(offer, HOLDER);
            market.claim(split, account, share, path);
        }
        vm.assertLe(vm.snapshotGasLastCall("Market", name), CLAIM_BUDGET, name);
    }
}
