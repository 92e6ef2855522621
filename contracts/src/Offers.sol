// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC3009} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {IOffers} from "./interfaces/IOffers.sol";
import {Licenses} from "./Licenses.sol";
import {Pricing} from "./libraries/Pricing.sol";

/// @title Offers
/// @notice Direct sales. See IOffers.
abstract contract Offers is Licenses {
    uint8 private constant SOLD = 4;

    /// @inheritdoc IOffers
    function buy(uint64 offer, address holder, uint256 maxPrice, bytes32 orderRef) external override nonReentrant {
        _pull(msg.sender, _sell(offer, holder, maxPrice, orderRef));
    }

    /// @inheritdoc IOffers
    function buyWithPermit(uint64 offer, address holder, uint256 maxPrice, bytes32 orderRef, Permit calldata permit)
        external
        override
        nonReentrant
    {
        uint256 price = _sell(offer, holder, maxPrice, orderRef);
        try IERC20Permit(address(token))
            .permit(msg.sender, address(this), permit.value, permit.deadline, permit.v, permit.r, permit.s) {}
            catch {}
        _pull(msg.sender, price);
    }

    /// @inheritdoc IOffers
    function buyWithAuthorization(
        uint64 offer,
        address holder,
        uint256 maxPrice,
        bytes32 orderRef,
        Authorization calldata authorization
    ) external override nonReentrant {
        uint256 price = _sell(offer, holder, maxPrice, orderRef);
        bytes32 nonce = keccak256(abi.encode(offer, holder, maxPrice, orderRef));
        uint256 before = token.balanceOf(address(this));
        _receive(authorization, maxPrice, nonce);
        _checkReceived(before, maxPrice);
        if (price < maxPrice) _pay(authorization.payer, maxPrice - price);
    }

    /// @dev One license after the payment of an open offer: the first one of a holder counts for a moving price.
    function _sell(uint64 offer, address holder, uint256 maxPrice, bytes32 orderRef) private returns (uint256 price) {
        Offer memory terms = _openOffer(offer);
        require(terms.flags & METERED == 0, OfferMetered(offer));
        (uint256 expiry, uint256 earlier) = _grant(offer, terms.duration, holder);
        require(terms.flags & ESCROWED == 0 || earlier != 0, OfferEscrowed(offer));
        price = terms.floor;
        if (terms.maxRise != 0) {
            Pricing.roll(terms, block.timestamp);
            price = Pricing.take(terms);
            if (earlier == 0) Pricing.count(terms, platformFee);
            offers[offer] = terms;
        }
        require(price <= maxPrice, PriceAboveMax(price, maxPrice));
        _credit(terms.split, price);
        _record(SOLD, offer, holder, price, uint256(terms.split) | (block.timestamp << 32), expiry, orderRef);
    }

    function _receive(Authorization calldata signed, uint256 value, bytes32 nonce) private {
        IERC3009(address(token))
            .receiveWithAuthorization(
                signed.payer,
                address(this),
                value,
                signed.validAfter,
                signed.validBefore,
                nonce,
                signed.v,
                signed.r,
                signed.s
            );
    }
}
