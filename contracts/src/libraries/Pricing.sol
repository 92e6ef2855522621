// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IOffers} from "../interfaces/IOffers.sol";

/// @title The moving price
/// @notice Price = floor + premium, in whole units of the token. More new licensees than `target` on a day raise the
/// premium, time lowers it, and no seller can gain by buying from himself.
/// @dev The rule. An offer keeps `credit`, the money that its price is still allowed to ask above the floor:
/// - premium = credit / target, and every sale takes its premium out of the credit;
/// - each first-time licensee above `target` on one day, up to twice the target, adds `step` = floor * platformFee / 10000,
///   which is no more than the fee that this sale pays to the platform;
/// - the credit never exceeds target * floor * maxRise / 10000, and halves with each day that ends, busy or not.
///
/// Why it does not pay to pump. Follow the market twice, without and with k purchases by the seller, honest buyers doing the
/// same in both. Each line above maps a larger credit to a larger one and never widens a difference. A sale moves exactly
/// what it asks more from the difference of credits into the difference of payments. And n sales on a day add
/// min(max(n - target, 0), target) steps, so k more sales make at most k more steps. Hence all that honest buyers pay more is
/// at most k steps, and each of the k purchases has paid at least one step to the platform, for good. Buyers who react to
/// the price only make it worse for the seller. This needs a platform that does not hand its fee back to the seller, and a
/// count that moves only when a payment can no longer be refunded.
///
/// This is the controller of EIP-1559 with the step bounded by what a purchase loses (at most 1/10) in the place of 1/8:
/// a larger step is what makes the naive rule profitable to pump (test/PricingAttack.t.sol).
library Pricing {
    uint256 internal constant EPOCH = 1 days;
    uint256 private constant BASIS_POINTS = 10_000;

    /// @notice Brings the state to the day of `time`.
    function roll(IOffers.Offer memory offer, uint256 time) internal pure {
        uint256 day = time / EPOCH;
        if (day == offer.day) return;
        // A shift by more bits than there are leaves zero.
        offer.credit = uint56(uint256(offer.credit) >> (day - offer.day));
        offer.sold = 0;
        // forge-lint: disable-next-line(unsafe-typecast)
        offer.day = uint16(day); // until the year 2149
    }

    /// @notice Price of the next license; the state must be of today.
    function price(IOffers.Offer memory offer) internal pure returns (uint256) {
        return uint256(offer.floor) + offer.credit / offer.target;
    }

    /// @notice Takes the premium of one sale out of the credit and returns the price.
    function take(IOffers.Offer memory offer) internal pure returns (uint256) {
        uint56 premium = offer.credit / offer.target;
        offer.credit -= premium;
        return uint256(offer.floor) + premium;
    }

    /// @notice Counts a first-time licensee whose payment is final.
    function count(IOffers.Offer memory offer, uint256 fee) internal pure {
        if (offer.sold >= 2 * uint256(offer.target)) return;
        ++offer.sold;
        if (offer.sold <= offer.target) return;
        uint256 credit = uint256(offer.credit) + offer.floor * fee / BASIS_POINTS;
        uint256 limit = maxCredit(offer);
        // forge-lint: disable-next-line(unsafe-typecast)
        offer.credit = uint56(credit < limit ? credit : limit); // createOffer refuses a larger limit
    }

    /// @notice The credit at which the price stands at its ceiling.
    function maxCredit(IOffers.Offer memory offer) internal pure returns (uint256) {
        return uint256(offer.floor) * offer.maxRise / BASIS_POINTS * offer.target;
    }
}
