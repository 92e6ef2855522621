// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Adapters and their offers
/// @notice An offer never changes: another price is another offer. Its owner can end it at once, and a steward can pause
/// sales; neither touches a license that somebody holds, nor money.
interface IOffers {
    /// @notice What an owner offers.
    /// @param split Who shares the money.
    /// @param price Units of the token, at least 1; the lowest price if it moves.
    /// @param duration Seconds that one payment buys; 0 = for ever. A metered offer has none.
    /// @param metered The price is that of one use, paid through a channel.
    /// @param keyHash keccak256 of the key that the escrow delivers with a first license; 0 = sold directly.
    /// @param maxRise How far the price may rise, in basis points of `price`; 0 = it never moves.
    /// @param target New licensees per day above which the price rises, at most 32767; 0 if it never moves.
    struct OfferTerms {
        uint32 split;
        uint64 price;
        uint32 duration;
        bool metered;
        uint16 maxRise;
        uint16 target;
        bytes32 keyHash;
    }

    /// @notice The caller has registered this manifest before, as `adapter`.
    error AlreadyRegistered(uint64 adapter);
    /// @notice A manifest digest of zero names nothing.
    error ZeroManifest();
    /// @notice Its owner has retired the adapter: nothing more of it is offered.
    error AdapterRetired(uint64 adapter);
    /// @notice A price is at least one unit.
    error ZeroPrice();
    /// @notice Metered offers have no duration and are not escrowed.
    error InvalidMeteredOffer();
    /// @notice A moving price has a target from 1 to 32767 and is not metered, a fixed one has none, and the credit of the
    /// rule fits its 56 bits.
    error InvalidPriceRule();
    /// @notice This offer is of another adapter.
    error OfferOfOtherAdapter(uint64 offer);
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

    /// @notice What purchases of an offer name: its number, and above it the fingerprint of what it offers. This is
    /// the first 24 bytes of keccak256(abi.encode(owner, manifest, root of the split, keyHash, price, duration, flags, maxRise,
    /// target)), which a buyer computes from the signed manifest and the terms that he agreed to: what another account, or
    /// another chain of blocks, offers under the same number is not sold to him.
    function itemOf(uint64 offer) external view returns (uint256 item);

    /// @notice Price of the next license, or of one use if the offer is metered. Reverts with UnknownOffer.
    function quote(uint64 offer) external view returns (uint256 price);
}
