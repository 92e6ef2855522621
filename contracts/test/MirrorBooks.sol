// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IMarket} from "../src/interfaces/IMarket.sol";
import {IOffers} from "../src/interfaces/IOffers.sol";
import {Base} from "./Base.sol";
import {IToken} from "./IToken.sol";
import {Tables} from "./Tables.sol";

/// @notice Books kept next to the market's, from the calls alone: splits, licenses, prices and the ledger.
abstract contract MirrorBooks is Base {
    /// @dev The table of a split is made again from these; a parent takes the place of its first account.
    struct Model {
        uint256 size;
        uint160 first;
        uint256 salt;
        uint32 parent;
        uint256 acc;
        uint256 paid;
    }

    struct Price {
        uint256 floor;
        uint256 step;
        uint256 most;
        uint256 target;
        uint256 day;
        uint256 sold;
        uint256 credit;
    }

    address public constant PLATFORM = address(0x9a7F000000000000000000000000000000000000);
    address public constant STEWARD = address(0x57E4A4D);
    /// @dev One basis point, which is the least share of a table: every random table can pay it.
    uint16 public constant FEE = 1;

    IMarket public immutable market;
    IToken public immutable token;

    uint256 public expectedHead = 1 << 41;
    uint256 public entries;
    uint256 public paidIn;
    uint256 public paidOut;
    uint256 public donated;
    uint64 public adapterCount;
    uint32 public splitCount;
    uint64 public offerCount;
    mapping(bytes32 action => uint256) public succeeded;
    mapping(bytes32 attack => uint256) public refused;

    mapping(uint32 split => Model) internal _models;
    mapping(uint64 offer => Price) internal _prices;
    mapping(uint64 offer => bool) internal _closed;
    mapping(uint64 offer => mapping(address holder => uint256)) public expectedExpiry;

    function _item(uint64 offer) internal view returns (uint256) {
        return _itemIn(address(market), offer);
    }

    constructor(IMarket market_, IToken token_) {
        market = market_;
        token = token_;
        token_.mint(address(this), type(uint128).max);
        token_.approve(address(market_), type(uint256).max);
    }

    function table(uint32 split) public view returns (address[] memory accounts, uint16[] memory shares) {
        Model storage model = _models[split];
        (accounts, shares) = Tables.make(model.size, model.first, model.salt);
        accounts[accounts.length - 1] = PLATFORM;
        if (model.parent != 0) accounts[0] = address(uint160(model.parent));
    }

    function booked(uint32 split) external view returns (uint256 acc, uint256 paid) {
        return (_models[split].acc, _models[split].paid);
    }

    /// @dev Few places: the same accounts turn up in several splits.
    function _newTable(uint8 size, uint8 place, uint256 salt, uint32 parent)
        internal
        returns (address[] memory accounts, uint16[] memory shares)
    {
        uint256 least = parent == 0 ? 1 : 2;
        _models[++splitCount] = Model(_clamp(size, least, 12), 0x7000000000 + uint160(place % 4), salt, parent, 0, 0);
        return table(splitCount);
    }

    function _newPrice(uint64 offer, IOffers.OfferTerms memory terms) internal {
        uint256 rise = uint256(terms.price) * terms.maxRise / 10_000;
        uint256 step = uint256(terms.price) * FEE / 10_000;
        _prices[offer] = Price(terms.price, step, rise * terms.target, terms.target, 0, 0, 0);
    }

    /// @dev The price of a sale now; written apart from the contract's rule so that one checks the other.
    function _takePrice(uint64 offer, bool isNew) internal returns (uint256) {
        Price storage price = _prices[offer];
        if (price.target == 0) return price.floor;
        for (; price.day < block.timestamp / 1 days; ++price.day) {
            if (price.credit == 0) price.day = block.timestamp / 1 days - 1;
            price.credit /= 2;
            price.sold = 0;
        }
        uint256 premium = price.credit / price.target;
        price.credit -= premium;
        if (isNew && price.sold < 2 * price.target && ++price.sold > price.target) price.credit += price.step;
        if (price.credit > price.most) price.credit = price.most;
        if (premium != 0) ++succeeded["premium"];
        return price.floor + premium;
    }

    function _bookClaim(uint32 split, uint256 index, uint256 due, uint256 cumulative) internal {
        (address[] memory accounts, uint16[] memory shares) = table(split);
        _models[split].paid += due;
        uint32 parent = _models[split].parent;
        if (index == 0 && parent != 0) {
            _models[parent].acc += due;
            ++succeeded["pass on"];
            _expect(6, split, address(uint160(parent)), due, cumulative, shares[index], 0);
        } else {
            paidOut += due;
            _expect(5, split, accounts[index], due, cumulative, shares[index], 0);
        }
    }

    function _expect(uint8 kind, uint256 key, address who, uint256 a, uint256 b, uint256 c, bytes32 d) internal {
        ++entries;
        bytes32 digest = keccak256(abi.encode(expectedHead, kind, key, who, entries, a, b, c, d));
        uint256 paused = kind == 16 ? 1 << 40 : kind == 17 ? 0 : expectedHead & (1 << 40);
        expectedHead = ((uint256(digest) >> 41) << 41) | paused | entries;
    }

    function _expectOffer(uint64 offer, address owner, uint64 adapter, uint32 split, IOffers.OfferTerms memory terms)
        internal
    {
        uint256 rule = (uint256(terms.maxRise) << 72) | (uint256(terms.target) << 88);
        _expect(3, offer, owner, adapter, terms.price, uint256(split) | (uint256(terms.duration) << 32) | rule, 0);
        _newPrice(offer, terms);
    }

    function _ownerOf(uint64 offer) internal view returns (uint64 adapter, address owner) {
        adapter = market.adapterOfOffer(offer);
        (owner,,,,,) = market.adapters(adapter);
    }

    function _owner(uint256 actor) internal pure returns (address) {
        return address(uint160(0xA000 + actor % 3));
    }

    function _holder(uint256 buyer) internal pure returns (address) {
        return address(uint160(0xB000 + buyer % 3));
    }
}
