// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Catalogue} from "./Catalogue.sol";
import {IOffers} from "./interfaces/IOffers.sol";
import {Pricing} from "./libraries/Pricing.sol";

/// @title Licenses
/// @notice Who holds what, and the steps of a sale that its ways of payment share. See IOffers.
abstract contract Licenses is Catalogue {
    uint256 private constant PERPETUAL = type(uint256).max;

    /// @inheritdoc IOffers
    mapping(uint64 offer => mapping(address holder => uint256 expiry)) public override licenses;

    /// @dev For payments that can still be refunded: takes the price of one license of an open offer, and counts nobody yet.
    function _reserve(uint64 offer, uint256 maxPrice) internal returns (uint256 price, Offer storage terms) {
        terms = _openOffer(offer);
        price = terms.maxRise == 0 ? terms.floor : _takePrice(terms, false);
        require(price <= maxPrice, PriceAboveMax(price, maxPrice));
    }

    /// @dev Takes a moving price and counts a licensee whose payment is final.
    function _takePrice(Offer storage terms, bool isNewLicensee) internal returns (uint256 price) {
        Offer memory state = terms;
        Pricing.roll(state, block.timestamp);
        price = Pricing.take(state);
        if (isNewLicensee) Pricing.count(state, platformFee);
        (terms.day, terms.sold, terms.credit) = (state.day, state.sold, state.credit);
    }

    /// @dev Counts a first-time licensee whose payment of `_reserve` is final now.
    function _countLicensee(uint64 offer) internal {
        Offer storage terms = offers[offer];
        if (terms.maxRise == 0) return;
        Offer memory state = terms;
        Pricing.roll(state, block.timestamp);
        Pricing.count(state, platformFee);
        (terms.day, terms.sold, terms.credit) = (state.day, state.sold, state.credit);
    }

    /// @dev Gives or extends a license. `earlier` is the expiry before, 0 = the holder never had one.
    function _grant(uint64 offer, uint256 duration, address holder) internal returns (uint256 expiry, uint256 earlier) {
        require(holder != address(0), ZeroHolder());
        mapping(address => uint256) storage holders = licenses[offer];
        earlier = holders[holder];
        if (duration == 0) {
            require(earlier == 0, AlreadyLicensed(offer, holder));
            expiry = PERPETUAL;
        } else {
            expiry = (earlier > block.timestamp ? earlier : block.timestamp) + duration;
        }
        holders[holder] = expiry;
    }

    /// @dev Takes a license back to the expiry that `_grant` found.
    function _revoke(uint64 offer, address holder, uint256 earlier) internal {
        licenses[offer][holder] = earlier;
    }
}
