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

    /// @dev For payments that can still be refunded: takes the price of one license of an open offer, and counts nobody yet.
    function _reserve(uint64 offer, uint256 maxPrice) internal returns (uint256 price, Offer storage terms) {
        terms = _openOffer(offer);
        price = terms.maxRise == 0 ? terms.floor : _takePrice(terms, false);
        require(price <= maxPrice, PriceAboveMax(price, maxPrice));
    }

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

    /// @dev Counts a first-time licensee whose payment of `_reserve` is final now.
    function _countLicensee(uint64 offer) internal {
        Offer storage terms = offers[offer];
        if (terms.maxRise == 0) return;
        _writeState(
            terms, Pricing.count(terms.state, terms.floor, terms.maxRise, terms.target, platformFee, block.timestamp)
        );
    }

    /// @dev terms.state = state, with the rest of the slot from the read that a sale has made already.
    function _writeState(Offer storage terms, uint88 state) private {
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

    /// @dev Takes a license back to the expiry that `_grant` found.
    function _revoke(uint64 offer, address holder, uint256 earlier) internal {
        licenses[offer][holder] = earlier;
    }
}
