// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MirrorBooks} from "./MirrorBooks.sol";

/// @notice Withdrawals, notices, suspensions and pauses. While sales are stopped, each action tries to buy and must fail.
abstract contract StewardHandler is MirrorBooks {
    function withdraw(uint64 offer) external {
        offer = uint64(_clamp(offer, 1, offerCount));
        (uint64 adapter, address owner) = _ownerOf(offer);
        // Most offers stay open, or nothing would be sold any more.
        if (_closed[offer] || offer % 4 != 0) return;
        uint64[] memory numbers = new uint64[](1);
        numbers[0] = offer;
        vm.prank(owner);
        market.withdraw(adapter, numbers);
        _closed[offer] = true;
        _expect(10, offer, owner, adapter, 0, 0, 0);
        _assertNotSold(offer, "buy withdrawn");
        ++succeeded["withdraw"];
    }

    function suspend(uint64 offer, address complainant, bytes32 digest) external {
        offer = uint64(_clamp(offer, 1, offerCount));
        (uint64 adapter,) = _ownerOf(offer);
        digest = digest == 0 ? bytes32(uint256(1)) : digest;
        vm.prank(complainant);
        uint256 number = market.notice(adapter, digest);
        _expect(14, adapter, complainant, 0, 0, 0, digest);
        vm.prank(STEWARD);
        market.suspend(offer, number);
        _expect(11, offer, STEWARD, number, 0, 0, 0);
        _assertNotSold(offer, "buy suspended");
        vm.prank(STEWARD);
        market.reopen(offer, number);
        _expect(12, offer, STEWARD, number, 0, 0, 0);
        ++succeeded["suspend"];
    }

    function pause(uint64 offer, bytes32 terms) external {
        offer = uint64(_clamp(offer, 1, offerCount));
        uint256 earliest = market.pausedUntil() + 30 days;
        if (block.timestamp < earliest) vm.warp(earliest);
        vm.prank(STEWARD);
        market.pause();
        _expect(16, 0, STEWARD, block.timestamp + 30 days, 0, 0, 0);
        _assertNotSold(offer, "buy while paused");
        bytes32 manifest = keccak256(abi.encode("manifest", entries));
        market.register(manifest, 0, terms);
        _expect(1, ++adapterCount, address(this), uint256(manifest), 0, 0, terms);
        vm.prank(STEWARD);
        market.unpause();
        _expect(17, 0, STEWARD, 0, 0, 0, 0);
        ++succeeded["pause"];
    }

    function _assertNotSold(uint64 offer, bytes32 attack) private {
        address holder = address(uint160(uint256(keccak256(abi.encode(attack, entries)))));
        try market.buy(_item(offer), holder, type(uint256).max, 0) {
            revert("sold what is not on sale");
        } catch {
            ++refused[attack];
        }
    }
}
