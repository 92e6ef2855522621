// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IEscrow} from "./interfaces/IEscrow.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {Secp256k1} from "./libraries/Secp256k1.sol";
import {Licenses} from "./Licenses.sol";
import {Windows} from "./Windows.sol";

/// @title Escrow
/// @notice See IEscrow.
abstract contract Escrow is Licenses, Windows, IEscrow {
    uint8 private constant OPERATOR_SET = 30;
    uint8 private constant ORDERED = 31;
    uint8 private constant DELIVERED = 32;
    uint8 private constant DISPUTED = 33;
    uint8 private constant SETTLED = 34;
    uint8 private constant REFUNDED = 35;

    uint64 private _lastOrder;

    /// @inheritdoc IEscrow
    mapping(uint64 adapter => address) public override operators;
    /// @inheritdoc IEscrow
    mapping(uint64 number => bytes32) public override orders;
    /// @dev What the orders of an offer with a moving price have reserved of its credit.
    mapping(uint64 offer => uint88) private _reserved;

    /// @inheritdoc IEscrow
    function setOperator(uint64 adapter, address operator) external override onlyOwnerOf(adapter) {
        operators[adapter] = operator;
        _record(OPERATOR_SET, adapter, msg.sender, uint256(uint160(operator)), 0, 0, 0);
    }

    /// @inheritdoc IEscrow
    function order(
        uint256 item,
        address holder,
        uint256 maxPrice,
        Secp256k1.Point calldata point,
        bytes32 orderRef
    ) external override nonReentrant returns (uint64 number) {
        require(Secp256k1.isUsable(point), UnusablePoint());
        require(holder != address(0), ZeroHolder());
        // forge-lint: disable-next-line(unsafe-typecast)
        uint64 offer = uint64(item); // its low bits
        require(licenses[offer][holder] == 0, AlreadyLicensed(offer, holder));
        (uint256 price, Offer memory sold) = _reserve(item, maxPrice);
        require(sold.flags & ESCROWED != 0, OfferNotEscrowed(offer));
        uint40 deadline = uint40(block.timestamp) + deliveryWindow;
        number =
            _place(Order(offer, sold.split, deadline, msg.sender, holder, price, keyHashOf[offer], orderRef, point));
        _pull(msg.sender, price);
    }

    /// @inheritdoc IEscrow
    function deliver(uint64 number, Order calldata terms, Secp256k1.Point calldata point, bytes32 wrapped)
        external
        override
        nonReentrant
    {
        bytes32 ordered = _requireOrdered(number, terms);
        _requireSeller(adapterOfOffer(terms.offer));
        require(block.timestamp <= terms.deadline, TooLate(terms.deadline));
        // A point that cannot be multiplied on chain would take the buyer's dispute away.
        require(Secp256k1.isUsable(point), UnusablePoint());

        (uint256 expiry, uint256 earlier) = _grant(terms.offer, offers[terms.offer].duration, terms.holder);
        require(earlier == 0, AlreadyLicensed(terms.offer, terms.holder));
        Delivery memory delivery = Delivery(point, wrapped, uint40(block.timestamp) + disputeWindow);
        bytes32 state = keccak256(abi.encode(ordered, delivery));
        orders[number] = state;
        _record(DELIVERED, number, terms.holder, terms.offer, expiry, delivery.deadline, state);
        emit KeyDelivered(number, delivery);
    }

    /// @inheritdoc IEscrow
    function dispute(
        uint64 number,
        Order calldata terms,
        Delivery calldata delivery,
        uint256 secret,
        Secp256k1.Point calldata shared
    ) external override nonReentrant {
        _requireDelivered(number, terms, delivery);
        require(block.timestamp <= delivery.deadline, TooLate(delivery.deadline));
        require(
            Secp256k1.isMultiple(secret, Secp256k1.generator(), terms.point)
                && Secp256k1.isMultiple(secret, delivery.point, shared),
            InvalidEvidence()
        );
        bytes32 key = delivery.wrapped ^ keccak256(abi.encode(shared));
        require(keccak256(abi.encode(key)) != terms.keyHash, KeyIsRight());

        delete orders[number];
        uint256 expiry = _takeBack(terms.offer, terms.holder, delivery.deadline - disputeWindow);
        uint256 packed = uint256(uint160(terms.holder)) | (expiry << 160);
        _release(terms, false);
        _record(DISPUTED, number, terms.payer, terms.price, _offerAndTime(terms.offer), packed, bytes32(secret));
        _pay(terms.payer, terms.price);
    }

    /// @inheritdoc IEscrow
    function settle(uint64 number, Order calldata terms, Delivery calldata delivery) external override nonReentrant {
        _settle(number, terms, delivery);
    }

    /// @inheritdoc IEscrow
    function settleMany(uint64[] calldata numbers, Order[] calldata terms, Delivery[] calldata deliveries)
        external
        override
        nonReentrant
    {
        for (uint256 i = 0; i < numbers.length; ++i) {
            _settle(numbers[i], terms[i], deliveries[i]);
        }
    }

    /// @inheritdoc IEscrow
    function refund(uint64 number, Order calldata terms) external override nonReentrant {
        _requireOrdered(number, terms);
        require(block.timestamp > terms.deadline, TooEarly(terms.deadline));
        delete orders[number];
        _release(terms, false);
        _record(REFUNDED, number, terms.payer, terms.price, _offerAndTime(terms.offer), 0, 0);
        _pay(terms.payer, terms.price);
    }

    /// @dev Takes the price of an order out of an open offer, and counts nobody yet.
    function _reserve(uint256 item, uint256 maxPrice) private returns (uint256 price, Offer storage terms) {
        terms = _openOffer(item);
        price = terms.floor;
        if (terms.maxRise != 0) {
            uint256 premium = _takePrice(terms, false) - price;
            // forge-lint: disable-next-line(unsafe-typecast)
            uint64 offer = uint64(item);
            _reserved[offer] = Pricing.reserve(_reserved[offer], premium, block.timestamp);
            price += premium;
        }
        require(price <= maxPrice, PriceAboveMax(price, maxPrice));
    }

    /// @dev Ends what an order has reserved. A payment that is final counts its licensee; a refund puts back what is left.
    function _release(Order calldata terms, bool isFinal) private {
        Offer storage sold = offers[terms.offer];
        uint256 rise = sold.maxRise;
        if (rise == 0) return;
        (uint256 floor, uint256 target) = (sold.floor, sold.target);
        (uint256 left, uint88 reserved) = Pricing.release(
            _reserved[terms.offer], terms.price - floor, terms.deadline - deliveryWindow, block.timestamp
        );
        _reserved[terms.offer] = reserved;
        uint256 limit = Pricing.maxCredit(floor, rise, target) - (reserved >> 32);
        _writeState(
            sold,
            isFinal
                ? Pricing.count(sold.state, floor, limit, target, platformFee, block.timestamp)
                : Pricing.giveBack(sold.state, left, block.timestamp)
        );
    }

    function _offerAndTime(uint64 offer) private view returns (uint256) {
        return uint256(offer) | (block.timestamp << 64);
    }

    function _place(Order memory terms) private returns (uint64 number) {
        number = ++_lastOrder;
        bytes32 state = keccak256(abi.encode(terms));
        orders[number] = state;
        _record(ORDERED, number, terms.payer, terms.price, terms.offer, uint256(uint160(terms.holder)), state);
        emit OrderPlaced(number, terms);
    }

    function _settle(uint64 number, Order calldata terms, Delivery calldata delivery) private {
        _requireDelivered(number, terms, delivery);
        require(block.timestamp > delivery.deadline, TooEarly(delivery.deadline));
        delete orders[number];
        _release(terms, true);
        _credit(terms.split, terms.price);
        uint256 packed = uint256(terms.split) | (block.timestamp << 32);
        _record(SETTLED, number, terms.payer, terms.price, packed, terms.offer, 0);
    }

    function _requireOrdered(uint64 number, Order calldata terms) private view returns (bytes32 ordered) {
        ordered = keccak256(abi.encode(terms));
        require(orders[number] == ordered, OrderMismatch(number));
    }

    function _requireDelivered(uint64 number, Order calldata terms, Delivery calldata delivery) private view {
        bytes32 state = keccak256(abi.encode(keccak256(abi.encode(terms)), delivery));
        require(orders[number] == state, OrderMismatch(number));
    }

    function _requireSeller(uint64 adapter) private view {
        if (msg.sender == operators[adapter]) return;
        require(msg.sender == adapters[adapter].owner, NotSeller(adapter));
    }
}
