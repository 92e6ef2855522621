// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IOffers} from "./interfaces/IOffers.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {Registry} from "./Registry.sol";
import {Splits} from "./Splits.sol";

/// @title Catalogue
/// @notice Adapters and offers. See IOffers.
abstract contract Catalogue is Registry, Splits, IOffers {
    uint8 private constant REGISTERED = 1;
    uint8 private constant OFFER_CREATED = 3;
    uint8 private constant WITHDRAWN_BY_OWNER = 10;
    uint8 private constant RETIRED = 13;

    /// @dev Twice the target must fit the counter of a day.
    uint256 private constant MAX_TARGET = 32_767;

    /// @inheritdoc IOffers
    function register(bytes32 manifest, bytes32 baseModel, bytes32 terms) external override returns (uint64 adapter) {
        return _register(manifest, baseModel, terms);
    }

    /// @inheritdoc IOffers
    function createOffer(uint64 adapter, OfferTerms calldata terms)
        external
        override
        onlyOwnerOf(adapter)
        returns (uint64 offer)
    {
        require(!adapters[adapter].retired, AdapterRetired(adapter));
        _requireSplit(terms.split);
        return _createOffer(adapter, terms.split, terms);
    }

    /// @inheritdoc IOffers
    function publish(
        bytes32 manifest,
        bytes32 baseModel,
        bytes32 termsDigest,
        address[] calldata accounts,
        uint16[] calldata shares,
        OfferTerms calldata terms
    ) external override returns (uint64 adapter, uint32 split, uint64 offer) {
        adapter = _register(manifest, baseModel, termsDigest);
        split = _createSplit(accounts, shares);
        offer = _createOffer(adapter, split, terms);
    }

    /// @inheritdoc IOffers
    function withdraw(uint64 adapter, uint64[] calldata numbers) external override onlyOwnerOf(adapter) {
        for (uint256 i = 0; i < numbers.length; ++i) {
            uint64 offer = numbers[i];
            require(adapterOfOffer(offer) == adapter, OfferOfOtherAdapter(offer));
            uint8 flags = offers[offer].flags;
            require(flags & WITHDRAWN == 0, OfferClosed(offer));
            offers[offer].flags = flags | WITHDRAWN;
            _record(WITHDRAWN_BY_OWNER, offer, msg.sender, adapter, 0, 0, 0);
        }
    }

    /// @inheritdoc IOffers
    function retire(uint64 adapter) external override onlyOwnerOf(adapter) {
        require(!adapters[adapter].retired, AdapterRetired(adapter));
        adapters[adapter].retired = true;
        _record(RETIRED, adapter, msg.sender, 0, 0, 0, 0);
    }

    /// @inheritdoc IOffers
    function itemOf(uint64 offer) external view override returns (uint256) {
        return (_origins[offer] >> 64 << 64) | offer;
    }

    /// @inheritdoc IOffers
    function quote(uint64 offer) external view override returns (uint256) {
        Offer storage terms = offers[offer];
        require(terms.floor != 0, UnknownOffer(offer));
        if (terms.maxRise == 0) return terms.floor;
        return terms.floor + Pricing.premium(terms.state, terms.target, block.timestamp);
    }

    function _register(bytes32 manifest, bytes32 baseModel, bytes32 terms) private returns (uint64 adapter) {
        require(manifest != 0, ZeroManifest());
        uint64 earlier = adapterOf[msg.sender][manifest];
        require(earlier == 0, AlreadyRegistered(earlier));
        adapter = ++_lastAdapter;
        adapterOf[msg.sender][manifest] = adapter;
        adapters[adapter] = Adapter(msg.sender, uint40(block.timestamp), false, manifest, baseModel, terms);
        _record(REGISTERED, adapter, msg.sender, uint256(manifest), uint256(baseModel), 0, terms);
    }

    /// @dev The callers have established that the adapter is the sender's and that the split exists.
    function _createOffer(uint64 adapter, uint32 split, OfferTerms calldata terms) private returns (uint64 number) {
        Offer memory offer;
        offer.floor = terms.price;
        offer.split = split;
        offer.duration = terms.duration;
        offer.flags = (terms.metered ? METERED : 0) | (terms.keyHash != 0 ? ESCROWED : 0);
        offer.maxRise = terms.maxRise;
        offer.target = terms.target;
        _checkOffer(offer);
        number = ++_lastOffer;
        offers[number] = offer;
        if (terms.keyHash != 0) keyHashOf[number] = terms.keyHash;
        _origins[number] = (_fingerprint(adapter, splits[split].root, terms.keyHash, offer) << 64) | adapter;
        uint256 packed = uint256(split) | (uint256(offer.duration) << 32) | (uint256(offer.flags) << 64)
            | (uint256(offer.maxRise) << 72) | (uint256(offer.target) << 88);
        _record(OFFER_CREATED, number, msg.sender, adapter, offer.floor, packed, terms.keyHash);
    }

    function _fingerprint(uint64 adapter, bytes32 root, bytes32 keyHash, Offer memory offer)
        private
        view
        returns (uint256)
    {
        bytes memory fields = abi.encode(
            msg.sender,
            adapters[adapter].manifest,
            root,
            keyHash,
            offer.floor,
            offer.duration,
            offer.flags,
            offer.maxRise,
            offer.target
        );
        return uint256(keccak256(fields)) >> 64;
    }

    function _checkOffer(Offer memory offer) private pure {
        require(offer.floor != 0, ZeroPrice());
        bool metered = offer.flags & METERED != 0;
        require(!metered || (offer.duration == 0 && offer.flags & ESCROWED == 0), InvalidMeteredOffer());
        if (offer.maxRise == 0) {
            require(offer.target == 0, InvalidPriceRule());
        } else {
            require(!metered && offer.target != 0 && offer.target <= MAX_TARGET, InvalidPriceRule());
            require(Pricing.maxCredit(offer.floor, offer.maxRise, offer.target) <= type(uint56).max, InvalidPriceRule());
        }
    }
}
