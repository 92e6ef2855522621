// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC3009} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {ISales} from "./interfaces/ISales.sol";
import {Licenses} from "./Licenses.sol";

/// @title Offers
/// @notice Direct sales. See ISales.
abstract contract Offers is Licenses, ISales {
    uint8 private constant SOLD = 4;

    /// @inheritdoc ISales
    function buy(uint256 item, address holder, uint256 maxPrice, bytes32 orderRef) external override nonReentrant {
        _pull(msg.sender, _sell(item, holder, maxPrice, orderRef));
    }

    /// @inheritdoc ISales
    function buyWithPermit(uint256 item, address holder, uint256 maxPrice, bytes32 orderRef, Permit calldata permit)
        external
        override
        nonReentrant
    {
        uint256 price = _sell(item, holder, maxPrice, orderRef);
        try IERC20Permit(address(token))
            .permit(msg.sender, address(this), permit.value, permit.deadline, permit.v, permit.r, permit.s) {}
            catch {}
        _pull(msg.sender, price);
    }

    /// @inheritdoc ISales
    function buyWithAuthorization(
        uint256 item,
        address holder,
        uint256 maxPrice,
        bytes32 orderRef,
        Authorization calldata authorization
    ) external override nonReentrant {
        uint256 price = _sell(item, holder, maxPrice, orderRef);
        bytes32 nonce = keccak256(abi.encode(item, holder, maxPrice, orderRef));
        uint256 before = token.balanceOf(address(this));
        _receive(authorization, maxPrice, nonce);
        _checkReceived(before, maxPrice);
        if (price < maxPrice) _pay(authorization.payer, maxPrice - price);
    }

    /// @dev One license after the payment of an open offer: the first one of a holder counts for a moving price.
    function _sell(uint256 item, address holder, uint256 maxPrice, bytes32 orderRef) private returns (uint256 price) {
        // forge-lint: disable-next-line(unsafe-typecast)
        uint64 offer = uint64(item); // its low bits
        // All reads of the offer come before the first write, so that the compiler loads its slot once.
        Offer storage terms = offers[offer];
        uint64 floor = terms.floor;
        uint8 flags = terms.flags;
        _requireOpen(item, floor, flags);
        uint256 earlier = licenses[offer][holder];
        require(flags & METERED == 0, OfferMetered(offer));
        require(flags & ESCROWED == 0 || earlier != 0, OfferEscrowed(offer));
        uint256 expiry = _extended(offer, holder, earlier, terms.duration);
        uint32 split = terms.split;
        price = terms.maxRise == 0 ? floor : _takePrice(terms, earlier == 0);
        require(price <= maxPrice, PriceAboveMax(price, maxPrice));
        licenses[offer][holder] = expiry;
        _credit(split, price);
        _record(SOLD, offer, holder, price, uint256(split) | (block.timestamp << 32), expiry, orderRef);
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
