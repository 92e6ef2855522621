// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title What both halves of a market read: adapters, offers, licenses, and who may stop sales
interface IRegistry {
    /// @dev One slot: a sale reads it once. `state` is that of a moving price (libraries/Pricing.sol).
    struct Offer {
        uint64 floor;
        uint32 split;
        uint32 duration;
        uint8 flags;
        uint16 maxRise;
        uint16 target;
        uint88 state;
    }

    /// @notice The caller does not own this adapter, or it does not exist.
    error NotAdapterOwner(uint64 adapter);
    /// @notice No offer has this number.
    error UnknownOffer(uint64 offer);
    /// @notice What has this number is not what the buyer means (IOffers.itemOf).
    error OtherOffer(uint64 offer);
    /// @notice The owner has withdrawn the offer, or the steward has suspended it.
    error OfferClosed(uint64 offer);
    /// @notice The steward has paused sales.
    error SalesPaused();
    /// @notice This offer is not metered: buy a license.
    error OfferNotMetered(uint64 offer);
    /// @notice A license needs a holder.
    error ZeroHolder();
    /// @notice The offer costs more than the buyer accepts.
    error PriceAboveMax(uint256 price, uint256 maxPrice);
    /// @notice The holder has this license for ever; a second payment would buy nothing.
    error AlreadyLicensed(uint64 offer, address holder);

    /// @notice An adapter; zero owner = none with this number.
    function adapters(uint64 adapter)
        external
        view
        returns (address owner, uint40 registeredAt, bool retired, bytes32 manifest, bytes32 baseModel, bytes32 terms);

    /// @notice Number of the adapter registered by `owner` for `manifest`; 0 = none.
    function adapterOf(address owner, bytes32 manifest) external view returns (uint64 adapter);

    /// @notice An offer; zero floor = none with this number.
    /// @return floor The price, or the lowest one if it moves.
    /// @return split Who shares the money.
    /// @return duration Seconds that one payment buys; 0 = for ever.
    /// @return flags 1 metered, 2 escrowed, 4 withdrawn, 8 suspended.
    /// @return maxRise How far the price may rise, in basis points of the floor.
    /// @return target New licensees per day above which the price rises.
    /// @return state day | sold << 16 | credit << 32: the day of the latest change since 1970, the new licensees of that day
    /// up to twice the target, and what the price may still ask above the floor in all.
    function offers(uint64 offer)
        external
        view
        returns (uint64 floor, uint32 split, uint32 duration, uint8 flags, uint16 maxRise, uint16 target, uint88 state);

    /// @notice The adapter of an offer; 0 = no such offer.
    function adapterOfOffer(uint64 offer) external view returns (uint64 adapter);

    /// @notice keccak256 of the key that orders of an offer wait for; 0 = sold directly.
    function keyHashOf(uint64 offer) external view returns (bytes32 keyHash);

    /// @notice When a license ends (seconds since 1970); 0 = never bought, the maximum = perpetual.
    function licenses(uint64 offer, address holder) external view returns (uint256 expiry);

    /// @notice The steward; zero = none.
    function steward() external view returns (address);

    /// @notice When the latest pause of sales ends, or ended.
    function pausedUntil() external view returns (uint40);

    /// @notice Who may take over from the steward.
    function namedSteward() external view returns (address);

    /// @notice The adapter that a notice concerns; 0 = no such notice.
    function notices(uint256 number) external view returns (uint64 adapter);
}
