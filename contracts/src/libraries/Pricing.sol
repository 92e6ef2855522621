// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title The moving price
/// @notice Price = floor + premium, in whole units of the token. More new licensees than `target` on a day raise the
/// premium, time lowers it, and no seller can gain by buying from himself.
/// @dev The rule. An offer keeps `credit`, the money that its price is still allowed to ask above the floor:
/// - premium = credit / target, and every sale takes its premium out of the credit;
/// - each first-time licensee above `target` on one day, up to twice the target, adds `step` = floor * platformFee / 10000,
///   which is no more than the fee that this sale pays to the platform;
/// - an order in escrow reserves its premium: what the halvings have left of it goes back into the credit when the order is
///   refunded, and is gone when the payment is final;
/// - credit and reservations together never exceed target * floor * maxRise / 10000, and halve with each day that ends, busy
///   or not.
///
/// Why it does not pay to pump. Follow the market twice, without and with k purchases by the seller, honest buyers doing the
/// same in both. Count what is reserved as part of the credit. Each line above maps a larger credit to a larger one and never
/// widens a difference. A sale moves exactly what it asks more from the difference of credits into the difference of payments,
/// and an order that is refunded moves nothing. And n sales on a day add
/// min(max(n - target, 0), target) steps, so k more sales make at most k more steps. Hence all that honest buyers pay more is
/// at most k steps, and each of the k purchases has paid at least one step to the platform, for good. Buyers who react to
/// the price only make it worse for the seller. This needs a platform that does not hand its fee back to the seller, and a
/// count that moves only when a payment can no longer be refunded.
///
/// This is the controller of EIP-1559 with the step bounded by what a purchase loses (at most 1/10) in the place of 1/8:
/// a larger step is what makes the naive rule profitable to pump (test/PricingAttack.t.sol).
///
/// Nothing here can overflow: prices have 64 bits, basis points and targets 16, the credit 56, so nothing is checked.
/// The state of a price is one word of 88 bits: day | sold << 16 | credit << 32, days since 1970.
library Pricing {
    uint256 internal constant EPOCH = 1 days;
    uint256 private constant BASIS_POINTS = 10_000;

    /// @notice What the next sale asks above the floor.
    function premium(uint88 state, uint256 target, uint256 time) internal pure returns (uint256) {
        (,, uint256 credit) = _read(state, time);
        return credit / target;
    }

    /// @notice Takes the premium of one sale out of the credit.
    function take(uint88 state, uint256 target, uint256 time) internal pure returns (uint256 taken, uint88 next) {
        (uint256 day, uint256 sold, uint256 credit) = _read(state, time);
        unchecked {
            taken = credit / target;
            next = _pack(day, sold, credit - taken);
        }
    }

    /// @notice Adds the premium of an order to what is reserved: a word like the state's, in which nothing is sold.
    function reserve(uint88 reserved, uint256 taken, uint256 time) internal pure returns (uint88) {
        return giveBack(reserved, taken, time);
    }

    /// @notice Ends the reservation of a premium that was taken at `since`: what the halvings left of it, and of the others.
    function release(uint88 reserved, uint256 taken, uint256 since, uint256 time)
        internal
        pure
        returns (uint256 left, uint88 next)
    {
        (uint256 day,, uint256 all) = _read(reserved, time);
        unchecked {
            left = taken >> (day - since / EPOCH);
            next = _pack(day, 0, all - left);
        }
    }

    /// @notice Puts what is left of a released premium back into the credit.
    function giveBack(uint88 state, uint256 left, uint256 time) internal pure returns (uint88) {
        (uint256 day, uint256 sold, uint256 credit) = _read(state, time);
        unchecked {
            return _pack(day, sold, credit + left);
        }
    }

    /// @notice Counts a first-time licensee whose payment is final.
    /// @param limit The most that the credit may be: maxCredit, less what is reserved.
    /// @param fee Basis points of a payment that the platform keeps.
    function count(uint88 state, uint256 floor, uint256 limit, uint256 target, uint256 fee, uint256 time)
        internal
        pure
        returns (uint88)
    {
        (uint256 day, uint256 sold, uint256 credit) = _read(state, time);
        (sold, credit) = _counted(sold, credit, floor, limit, target, fee);
        return _pack(day, sold, credit);
    }

    /// @notice `take` and `count` in one.
    function sell(uint88 state, uint256 floor, uint256 maxRise, uint256 target, uint256 fee, uint256 time)
        internal
        pure
        returns (uint256 taken, uint88 next)
    {
        (uint256 day, uint256 sold, uint256 credit) = _read(state, time);
        unchecked {
            taken = credit / target;
            (sold, credit) = _counted(sold, credit - taken, floor, maxCredit(floor, maxRise, target), target, fee);
        }
        next = _pack(day, sold, credit);
    }

    /// @notice The credit at which the price stands at its ceiling.
    function maxCredit(uint256 floor, uint256 maxRise, uint256 target) internal pure returns (uint256) {
        unchecked {
            return floor * maxRise / BASIS_POINTS * target;
        }
    }

    function _counted(uint256 sold, uint256 credit, uint256 floor, uint256 limit, uint256 target, uint256 fee)
        private
        pure
        returns (uint256, uint256)
    {
        unchecked {
            if (sold == 2 * target) return (sold, credit);
            if (++sold <= target) return (sold, credit);
            credit += floor * fee / BASIS_POINTS;
            return (sold, credit < limit ? credit : limit);
        }
    }

    /// @dev The state on the day of `time`, which is no earlier than the one in the state.
    function _read(uint256 state, uint256 time) private pure returns (uint256 day, uint256 sold, uint256 credit) {
        unchecked {
            day = time / EPOCH;
            uint256 ended = day - (state & 0xffff);
            if (ended == 0) sold = (state >> 16) & 0xffff;
            credit = (state >> 32) >> ended;
        }
    }

    /// @dev The day fits until the year 2149, `sold` is at most twice a target of 15 bits, createOffer bounds the credit.
    function _pack(uint256 day, uint256 sold, uint256 credit) private pure returns (uint88) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint88(day | (sold << 16) | (credit << 32));
    }
}
