// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Pricing} from "./libraries/Pricing.sol";
import {Registry} from "./Registry.sol";

/// @title Licenses
/// @notice Who holds what, and the steps of a sale that its ways of payment share. See IRegistry.
abstract contract Licenses is Registry {
    /// @dev Bits of IRegistry.Offer below its state.
    uint256 private constant STATE_OFFSET = 168;
    uint256 private constant PERPETUAL = type(uint256).max;

    /// @dev Takes a moving price; a new licensee counts, because the payment is final.
    function _takePrice(Offer storage terms, bool isNewLicensee) internal returns (uint256 price) {
        uint256 floor = terms.floor;
        uint256 target = terms.target;
        (uint256 premium, uint88 state) = isNewLicensee
            ? Pricing.sell(terms.state, floor, terms.maxRise, target, platformFee, block.timestamp)
            : Pricing.take(terms.state, target, block.timestamp);
        _writeState(terms, state);
        price = floor + premium;
    }

    /// @dev terms.state = state, with the rest of the slot from the read that a sale has made already.
    function _writeState(Offer storage terms, uint88 state) internal {
        assembly ("memory-safe") {
            sstore(terms.slot, or(and(sload(terms.slot), sub(shl(STATE_OFFSET, 1), 1)), shl(STATE_OFFSET, state)))
        }
    }

    /// @dev Gives or extends a license. `earlier` is the expiry before, 0 = the holder never had one.
    function _grant(uint64 offer, uint256 duration, address holder) internal returns (uint256 expiry, uint256 earlier) {
        earlier = licenses[offer][holder];
        expiry = _extended(offer, holder, earlier, duration);
        licenses[offer][holder] = expiry;
    }

    /// @dev The expiry after one more payment.
    function _extended(uint64 offer, address holder, uint256 earlier, uint256 duration)
        internal
        view
        returns (uint256)
    {
        require(holder != address(0), ZeroHolder());
        if (duration != 0) return (earlier > block.timestamp ? earlier : block.timestamp) + duration;
        require(earlier == 0, AlreadyLicensed(offer, holder));
        return PERPETUAL;
    }

    /// @dev Takes back what is left of a license whose delivery at `since` was the holder's first: all of it if nothing was
    /// paid since. Else what was paid since is worth its whole time from now on, since it was of no use without a key.
    function _takeBack(uint64 offer, address holder, uint256 since) internal returns (uint256 expiry) {
        uint256 duration = offers[offer].duration;
        uint256 granted = duration == 0 ? PERPETUAL : since + duration;
        expiry = licenses[offer][holder];
        if (expiry == granted) expiry = 0;
        else if (granted > block.timestamp) expiry -= granted - block.timestamp;
        licenses[offer][holder] = expiry;
    }
}
