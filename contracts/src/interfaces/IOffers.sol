// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Adapters, offers and licenses
/// @notice An offer never changes: another price is another offer. Its owner can end it at once, and a steward can pause
/// sales; neither touches a license that somebody holds, nor money.
interface IOffers {
    /// @dev One slot: a sale reads it once. `day`, `sold` and `credit` are the state of the moving price (libraries/Pricing.sol).
    struct Offer {
        uint64 floor;
        uint32 split;
        uint32 duration;
        uint8 flags;
        uint16 maxRise;
        uint16 target;
        uint16 day;
        uint16 sold;
        uint56 credit;
    }

    /// @notice What an owner offers.
    /// @param split Who shares the money.
    /// @param price Units of the token, at least 1; the lowest price if it moves.
    /// @param duration Seconds that one payment buys; 0 = for ever. A metered offer has none.
    /// @param metered The price is that of one use, paid through a channel.
    /// @param escrowed The first license is bought through the escrow, which delivers the key.
    /// @param maxRise How far the price may rise, in basis points of `price`; 0 = it never moves.
    /// @param target New licensees per day above which the price rises, at most 32767; 0 if it never moves.
    struct OfferTerms {
        uint32 split;
        uint64 price;
        uint32 duration;
        bool metered;
        bool escrowed;
        uint16 maxRise;
        uint16 target;
    }

    /// @notice An ERC-2612 permit of the caller for the market.
    struct Permit {
        uint256 value;
        uint256 deadline;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice An ERC-3009 ReceiveWithAuthorization of `payer` to the market.
    struct Authorization {
        address payer;
        uint256 validAfter;
        uint256 validBefore;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice The caller has registered this manifest before, as `adapter`.
    error AlreadyRegistered(uint64 adapter);
    /// @notice A manifest digest of zero names nothing.
    error ZeroManifest();
    /// @notice The caller does not own this adapter, or it does not exist.
    error NotAdapterOwner(uint64 adapter);
    /// @notice Its owner has retired the adapter: nothing more of it is offered.
    error AdapterRetired(uint64 adapter);
    /// @notice A price is at least one unit.
    error ZeroPrice();
    /// @notice Metered offers have no duration and are not escrowed.
    error InvalidMeteredOffer();
    /// @notice A moving price has a target from 1 to 32767 and is not metered, a fixed one has none, and the credit of the
    /// rule fits its 56 bits.
    error InvalidPriceRule();
    /// @notice No offer has this number.
    error UnknownOffer(uint64 offer);
    /// @notice This offer is of another adapter.
    error OfferOfOtherAdapter(uint64 offer);
    /// @notice The owner has withdrawn the offer, or the steward has suspended it.
    error OfferClosed(uint64 offer);
    /// @notice The steward has paused sales.
    error SalesPaused();
    /// @notice This offer is metered: open a channel.
    error OfferMetered(uint64 offer);
    /// @notice This offer is not metered: buy a license.
    error OfferNotMetered(uint64 offer);
    /// @notice The first license of this offer is ordered through the escrow.
    error OfferEscrowed(uint64 offer);
    /// @notice A license needs a holder.
    error ZeroHolder();
    /// @notice The offer costs more than the buyer accepts.
    error PriceAboveMax(uint256 price, uint256 maxPrice);
    /// @notice The holder has this license for ever; a second payment would buy nothing.
    error AlreadyLicensed(uint64 offer, address holder);

    /// @notice Records that the caller publishes the adapter described by `manifest`.
    /// @dev The pair (caller, manifest) is unique; another account may register the same manifest, and readers compare the
    /// owner with the account that signed the manifest.
    /// @param manifest Digest of the adapter's manifest, not zero.
    /// @param baseModel Digest of the base model.
    /// @param terms Digest of the license terms.
    /// @return adapter Number of the adapter, from 1.
    function register(bytes32 manifest, bytes32 baseModel, bytes32 terms) external returns (uint64 adapter);

    /// @notice Offers a license of the caller's adapter.
    /// @return offer Number of the offer, from 1.
    function createOffer(uint64 adapter, OfferTerms calldata terms) external returns (uint64 offer);

    /// @notice `register`, `createSplit` and `createOffer` in one transaction. `terms.split` is ignored.
    function publish(
        bytes32 manifest,
        bytes32 baseModel,
        bytes32 termsDigest,
        address[] calldata accounts,
        uint16[] calldata shares,
        OfferTerms calldata terms
    ) external returns (uint64 adapter, uint32 split, uint64 offer);

    /// @notice Ends offers of the caller's adapter. What licensees hold stays; running orders and channels end as agreed.
    function withdraw(uint64 adapter, uint64[] calldata numbers) external;

    /// @notice Refuses all further offers of the caller's adapter, for ever. Offers that stand are ended by `withdraw`.
    function retire(uint64 adapter) external;

    /// @notice Pays for a license of `holder`; the caller must have approved the price to the market.
    /// @dev A timed license that is still running is extended from its expiry.
    /// @param maxPrice The most the buyer accepts to pay.
    /// @param orderRef Free reference of the buyer, recorded in the ledger.
    function buy(uint64 offer, address holder, uint256 maxPrice, bytes32 orderRef) external;

    /// @notice `buy` with an allowance by signature.
    /// @dev Anyone can use up the permit a moment before. The allowance is there then, so a refused permit is no error.
    function buyWithPermit(uint64 offer, address holder, uint256 maxPrice, bytes32 orderRef, Permit calldata permit)
        external;

    /// @notice Buys with a payment that `authorization.payer` signed; anyone may relay it. What is above the price goes back.
    /// @dev The authorized value is `maxPrice`. What is bought is bound into the signature by its nonce, which is
    /// keccak256(abi.encode(offer, holder, maxPrice, orderRef)): a relayer can only do what the payer signed.
    function buyWithAuthorization(
        uint64 offer,
        address holder,
        uint256 maxPrice,
        bytes32 orderRef,
        Authorization calldata authorization
    ) external;

    /// @notice Price of the next license, or of one use if the offer is metered. Reverts with UnknownOffer.
    function quote(uint64 offer) external view returns (uint256 price);

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
    /// @return day Day of the latest change of the price's state, in days since 1970.
    /// @return sold New licensees of that day, counted up to twice the target.
    /// @return credit What the price may still ask above the floor, in all.
    function offers(uint64 offer)
        external
        view
        returns (
            uint64 floor,
            uint32 split,
            uint32 duration,
            uint8 flags,
            uint16 maxRise,
            uint16 target,
            uint16 day,
            uint16 sold,
            uint56 credit
        );

    /// @notice The adapter of an offer; 0 = no such offer.
    function adapterOfOffer(uint64 offer) external view returns (uint64 adapter);

    /// @notice When a license ends (seconds since 1970); 0 = never bought, the maximum = perpetual.
    function licenses(uint64 offer, address holder) external view returns (uint256 expiry);
}
