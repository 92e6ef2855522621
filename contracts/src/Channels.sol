// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ChannelBook} from "./ChannelBook.sol";
import {IChannels} from "./interfaces/IChannels.sol";
import {Windows} from "./Windows.sol";

/// @title Channels
/// @notice See IChannels.
abstract contract Channels is ChannelBook, Windows, IChannels {
    uint8 private constant CHANNEL_OPENED = 20;
    uint8 private constant TOPPED_UP = 21;
    uint8 private constant REDEEMED = 22;
    uint8 private constant CLOSE_ASKED = 23;
    uint8 private constant CHANNEL_CLOSED = 24;

    uint32 private constant LONGEST_LIFETIME = 366 days;
    bytes32 private constant VOUCHER_TYPE =
        keccak256("Voucher(uint64 channel,uint128 cumulative,uint64 uses,bytes32 usageRoot)");

    /// @inheritdoc IChannels
    function openChannel(uint256 item, address sessionKey, uint128 deposit, uint32 lifetime, uint256 maxPrice)
        external
        override
        nonReentrant
        returns (uint64 channel)
    {
        Offer memory terms = _openOffer(item);
        // forge-lint: disable-next-line(unsafe-typecast)
        uint64 offer = uint64(item); // its low bits
        require(terms.flags & METERED != 0, OfferNotMetered(offer));
        require(terms.floor <= maxPrice, PriceAboveMax(terms.floor, maxPrice));
        require(sessionKey != address(0), ZeroSessionKey());
        require(sessionKey.code.length == 0, SessionKeyIsContract(sessionKey));
        require(lifetime >= closeWindow && lifetime <= LONGEST_LIFETIME, LifetimeOutOfBounds(lifetime));
        require(deposit >= terms.floor, DepositTooSmall(deposit));

        channel = ++_lastChannel;
        uint40 closeAt = uint40(block.timestamp) + lifetime;
        _channels[channel] = Channel(sessionKey, closeAt, terms.split, deposit, terms.floor, 0, msg.sender, offer);
        uint256 packed = uint256(offer) | (uint256(terms.floor) << 64) | (uint256(terms.split) << 128);
        _record(
            CHANNEL_OPENED,
            channel,
            msg.sender,
            deposit,
            packed | (uint256(closeAt) << 160),
            uint256(uint160(sessionKey)),
            0
        );
        _pull(msg.sender, deposit);
    }

    /// @inheritdoc IChannels
    function topUp(uint64 channel, address sessionKey, uint128 amount) external override nonReentrant {
        Channel storage terms = _channel(channel);
        require(terms.sessionKey == sessionKey, NotSessionKey(channel, sessionKey));
        require(amount != 0, DepositTooSmall(amount));
        uint128 deposit = terms.deposit + amount;
        terms.deposit = deposit;
        _record(TOPPED_UP, channel, msg.sender, amount, deposit, 0, 0);
        _pull(msg.sender, amount);
    }

    /// @inheritdoc IChannels
    /// @dev Without the guard of its neighbors, and so cheaper: it calls no other contract.
    function redeem(Voucher calldata voucher) external override {
        _redeem(voucher);
    }

    /// @inheritdoc IChannels
    function redeemMany(Voucher[] calldata vouchers) external override {
        for (uint256 i = 0; i < vouchers.length; ++i) {
            _redeem(vouchers[i]);
        }
    }

    /// @inheritdoc IChannels
    function askClose(uint64 channel) external override {
        Channel storage terms = _channel(channel);
        require(terms.payer == msg.sender, NotPayer(channel));
        uint40 closeAt = uint40(block.timestamp) + closeWindow;
        require(closeAt < terms.closeAt, ClosingAlready(channel, terms.closeAt));
        terms.closeAt = closeAt;
        _record(CLOSE_ASKED, channel, msg.sender, closeAt, 0, 0, 0);
    }

    /// @inheritdoc IChannels
    function closeChannel(uint64 channel) external override nonReentrant {
        Channel memory terms = _channel(channel);
        require(block.timestamp >= terms.closeAt, NotClosable(channel, terms.closeAt));
        uint256 redeemed = uint256(terms.uses) * terms.price;
        uint256 rest = terms.deposit - redeemed;
        delete _channels[channel];
        _record(CHANNEL_CLOSED, channel, terms.payer, rest, redeemed, 0, 0);
        if (rest != 0) _pay(terms.payer, rest);
    }

    /// @inheritdoc IChannels
    function channels(uint64 channel)
        external
        view
        override
        returns (
            address sessionKey,
            uint40 closeAt,
            uint32 split,
            uint128 deposit,
            uint64 price,
            uint64 uses,
            address payer,
            uint64 offer
        )
    {
        Channel storage terms = _channels[channel];
        (sessionKey, closeAt, split) = (terms.sessionKey, terms.closeAt, terms.split);
        (deposit, price, uses) = (terms.deposit, terms.price, terms.uses);
        (payer, offer) = (terms.payer, terms.offer);
    }

    /// @inheritdoc IChannels
    function voucherDigest(uint64 channel, uint64 uses, bytes32 usageRoot) external view override returns (bytes32) {
        return _digest(channel, uint256(uses) * _channel(channel).price, uses, usageRoot);
    }

    function _redeem(Voucher calldata voucher) private {
        Channel storage terms = _channel(voucher.channel);
        uint256 amount = _amountOf(voucher, terms);
        uint32 split = terms.split;
        terms.uses = voucher.uses;
        _credit(split, amount);
        _record(REDEEMED, voucher.channel, terms.sessionKey, amount, split, voucher.uses, voucher.usageRoot);
    }

    /// @dev What a valid voucher adds to all that was redeemed before.
    function _amountOf(Voucher calldata voucher, Channel storage terms) private view returns (uint256) {
        uint64 channel = voucher.channel;
        uint64 uses = voucher.uses;
        uint256 price = terms.price;
        uint256 earlier = terms.uses;
        require(uses > earlier, VoucherSpent(channel, earlier));
        uint256 cumulative = uses * price;
        require(cumulative <= terms.deposit, DepositExceeded(channel, cumulative, terms.deposit));
        bytes32 digest = _digest(channel, cumulative, uses, voucher.usageRoot);
        address signer = ECDSA.recover(digest, voucher.r, voucher.vs);
        require(signer == terms.sessionKey, NotSessionKey(channel, signer));
        return cumulative - earlier * price;
    }

    function _channel(uint64 channel) private view returns (Channel storage terms) {
        terms = _channels[channel];
        require(terms.sessionKey != address(0), UnknownChannel(channel));
    }

    function _digest(uint64 channel, uint256 cumulative, uint64 uses, bytes32 usageRoot)
        private
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(keccak256(abi.encode(VOUCHER_TYPE, channel, cumulative, uses, usageRoot)));
    }
}
