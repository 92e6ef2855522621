// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Books} from "./Books.sol";
import {ILedger} from "./interfaces/ILedger.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";

/// @title Registry
/// @notice See IRegistry.
/// @dev With Ledger and Books, all state that the market and its annex share. The market adds ChannelBook behind and nothing
/// else, and the annex adds ChannelBook too and then its own: this is what keeps their slots apart.
abstract contract Registry is Books, IRegistry {
    struct Adapter {
        address owner;
        uint40 registeredAt;
        bool retired;
        bytes32 manifest;
        bytes32 baseModel;
        bytes32 terms;
    }

    uint8 internal constant METERED = 1;
    uint8 internal constant ESCROWED = 2;
    uint8 internal constant WITHDRAWN = 4;
    uint8 internal constant SUSPENDED = 8;

    uint64 internal _lastAdapter;
    uint64 internal _lastOffer;

    /// @inheritdoc IRegistry
    mapping(uint64 adapter => Adapter) public override adapters;
    /// @inheritdoc IRegistry
    mapping(address owner => mapping(bytes32 manifest => uint64 adapter)) public override adapterOf;
    /// @inheritdoc IRegistry
    mapping(uint64 offer => Offer) public override offers;
    /// @inheritdoc IRegistry
    mapping(uint64 offer => bytes32) public override keyHashOf;
    /// @dev The adapter of an offer, and above it the 24 bytes of the fingerprint of what the offer is: see IOffers.itemOf.
    mapping(uint64 offer => uint256) internal _origins;
    /// @inheritdoc IRegistry
    mapping(uint64 offer => mapping(address holder => uint256 expiry)) public override licenses;
    /// @inheritdoc IRegistry
    address public override steward;
    /// @inheritdoc IRegistry
    uint40 public override pausedUntil;
    /// @inheritdoc IRegistry
    address public override namedSteward;
    /// @inheritdoc IRegistry
    mapping(uint256 number => uint64 adapter) public override notices;

    modifier onlyOwnerOf(uint64 adapter) {
        require(adapters[adapter].owner == msg.sender, NotAdapterOwner(adapter));
        _;
    }

    /// @inheritdoc ILedger
    function paused() public view override returns (bool) {
        return _isMarkedPaused() && block.timestamp < pausedUntil;
    }

    /// @inheritdoc IRegistry
    function adapterOfOffer(uint64 offer) public view override returns (uint64) {
        return uint64(_origins[offer]);
    }

    /// @dev An offer that sells now, and is what the buyer means.
    function _openOffer(uint256 item) internal view returns (Offer storage terms) {
        terms = offers[uint64(item)];
        _requireOpen(item, terms.floor, terms.flags);
    }

    /// @dev Takes what its caller has read of the offer, so that a sale reads the slot once.
    function _requireOpen(uint256 item, uint64 floor, uint8 flags) internal view {
        // forge-lint: disable-next-line(unsafe-typecast)
        uint64 offer = uint64(item); // its low bits
        require(floor != 0, UnknownOffer(offer));
        require(_origins[offer] >> 64 == item >> 64, OtherOffer(offer));
        require(flags & (WITHDRAWN | SUSPENDED) == 0, OfferClosed(offer));
        require(!paused(), SalesPaused());
    }
}
