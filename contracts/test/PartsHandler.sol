// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IChannels} from "../src/interfaces/IChannels.sol";
import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {IMarket} from "../src/interfaces/IMarket.sol";
import {Secp256k1} from "../src/libraries/Secp256k1.sol";
import {Base} from "./Base.sol";
import {IToken} from "./IToken.sol";
import {Cheats} from "./PartsFixture.sol";

/// @notice The books that the handlers of channels, escrow and pools keep next to the market's.
abstract contract PartsBooks is Base {
    Cheats internal constant cheats = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));

    IMarket public immutable market;
    IToken public immutable token;
    uint256 public paidIn;
    uint256 public paidOut;
    uint256 public expectedHead;
    mapping(uint32 split => uint256) public expectedAcc;
    mapping(bytes32 action => uint256) public succeeded;

    constructor(IMarket market_, IToken token_) {
        market = market_;
        token = token_;
        expectedHead = market_.head();
        token_.mint(address(this), type(uint128).max);
        token_.approve(address(market_), type(uint256).max);
    }

    function _item(uint64 offer) internal view returns (uint256) {
        return _itemIn(address(market), offer);
    }

    function wait(uint32 seconds_) external {
        vm.warp(block.timestamp + seconds_ % 2 days);
        ++succeeded["wait"];
    }

    function _expect(uint8 kind, uint256 key, address who, uint256 a, uint256 b, uint256 c, bytes32 d) internal {
        uint256 n = (expectedHead & 0xffffffffff) + 1;
        bytes32 digest = keccak256(abi.encode(expectedHead, kind, key, who, n, a, b, c, d));
        expectedHead = ((uint256(digest) >> 41) << 41) | n;
    }
}

/// @notice Random but legal use of channels.
abstract contract ChannelsHandler is PartsBooks {
    uint256 private constant SESSION_KEY = 0x5E55;
    uint32 private constant LIFETIME = 40 days;

    uint64 public channelCount;
    uint64[] private _open;

    function openChannel(uint128 deposit) public {
        deposit = uint128(_clamp(deposit, 30, 1e12));
        uint64 channel = market.openChannel(_item(1), cheats.addr(SESSION_KEY), deposit, LIFETIME, 30);
        vm.assertEq(channel, ++channelCount, "number");
        _open.push(channel);
        paidIn += deposit;
        uint256 packed = 1 | (30 << 64) | (uint256(1) << 128) | ((block.timestamp + LIFETIME) << 160);
        _expect(20, channel, address(this), deposit, packed, uint160(cheats.addr(SESSION_KEY)), 0);
        ++succeeded["openChannel"];
    }

    function topUp(uint256 pick, uint128 amount) external {
        uint64 channel = _anyChannel(pick);
        amount = uint128(_clamp(amount, 1, 1e12));
        (,,, uint128 deposit,,,,) = market.channels(channel);
        market.topUp(channel, cheats.addr(SESSION_KEY), amount);
        paidIn += amount;
        _expect(21, channel, address(this), amount, deposit + amount, 0, 0);
        ++succeeded["topUp"];
    }

    function redeem(uint256 pick, uint64 more, bytes32 root) external {
        uint64 channel = _anyChannel(pick);
        (,,, uint128 deposit,, uint64 uses,,) = market.channels(channel);
        if (deposit / 30 == uses) {
            openChannel(uint128(more));
            (channel, deposit, uses) = (channelCount, 30, 0);
        }
        uint64 total = uint64(_clamp(more, uses + 1, deposit / 30));
        _redeem(channel, total, root);
        uint256 amount = uint256(total - uses) * 30;
        expectedAcc[1] += amount;
        _expect(22, channel, cheats.addr(SESSION_KEY), amount, 1, total, root);
        ++succeeded["redeem"];
    }

    function askClose(uint256 pick) external {
        uint64 channel = _anyChannel(pick);
        (, uint40 closeAt,,,,,,) = market.channels(channel);
        if (closeAt <= block.timestamp + 1 days) {
            openChannel(30);
            channel = channelCount;
        }
        market.askClose(channel);
        _expect(23, channel, address(this), block.timestamp + 1 days, 0, 0, 0);
        ++succeeded["askClose"];
    }

    function closeChannel(uint256 pick) external {
        uint64 channel = _anyChannel(pick);
        (, uint40 closeAt,, uint128 deposit,, uint64 uses,,) = market.channels(channel);
        if (closeAt > block.timestamp) vm.warp(closeAt);
        market.closeChannel(channel);
        uint256 rest = deposit - uint256(uses) * 30;
        paidOut += rest;
        _expect(24, channel, address(this), rest, uint256(uses) * 30, 0, 0);
        for (uint256 i = 0; i < _open.length; ++i) {
            if (_open[i] == channel) _open[i] = _open[_open.length - 1];
        }
        _open.pop();
        ++succeeded["closeChannel"];
    }

    /// @notice What is locked in open channels, read from the market.
    function lockedInChannels() external view returns (uint256 sum) {
        for (uint64 channel = 1; channel <= channelCount; ++channel) {
            (,,, uint128 deposit,, uint64 uses,,) = market.channels(channel);
            sum += deposit - uint256(uses) * 30;
        }
    }

    function _redeem(uint64 channel, uint64 uses, bytes32 root) private {
        (uint8 v, bytes32 r, bytes32 s) = cheats.sign(SESSION_KEY, market.voucherDigest(channel, uses, root));
        bytes32 vs = bytes32(uint256(s) | (uint256(v - 27) << 255));
        market.redeem(IChannels.Voucher(channel, uses, root, r, vs));
    }

    function _anyChannel(uint256 pick) private returns (uint64) {
        if (_open.length == 0) openChannel(1e6);
        return _open[pick % _open.length];
    }
}

/// @notice Random but legal use of the escrow, with right and wrong keys.
abstract contract EscrowHandler is PartsBooks {
    struct Model {
        uint64 number;
        IEscrow.Order terms;
        IEscrow.Delivery delivery;
        uint256 expiry;
        uint256 renewedAt;
    }

    uint64 internal constant OFFER = 2;
    uint256 private immutable _secret;
    bytes32 private immutable _key;
    bytes32 private immutable _wrapped;
    Secp256k1.Point private _buyer;
    Secp256k1.Point private _seller;
    Secp256k1.Point private _shared;

    uint64 public orderCount;
    uint256 public waitingOrders;
    Model[] private _ordered;
    Model[] private _right;
    Model[] private _wrong;

    constructor(uint256 secret, bytes32 key, bytes32 wrapped, Secp256k1.Point[3] memory points) {
        (_secret, _key, _wrapped) = (secret, key, wrapped);
        (_buyer, _seller, _shared) = (points[0], points[1], points[2]);
    }

    function order(bytes32 orderRef) public {
        address holder = address(uint160(0xD0000 + orderCount));
        uint256 price = market.quote(OFFER);
        uint64 number = market.order(_item(OFFER), holder, price, _buyer, orderRef);
        vm.assertEq(number, ++orderCount, "number");
        Model storage model = _ordered.push();
        model.number = number;
        model.terms = IEscrow.Order(
            OFFER,
            2,
            uint40(block.timestamp) + 1 hours,
            address(this),
            holder,
            price,
            keccak256(abi.encode(_key)),
            orderRef,
            _buyer
        );
        paidIn += price;
        waitingOrders += price;
        _expect(31, number, address(this), price, OFFER, uint160(holder), keccak256(abi.encode(model.terms)));
        ++succeeded["order"];
    }

    function deliver(bool right) public {
        if (_ordered.length == 0 || _last(_ordered).terms.deadline < block.timestamp) order(0);
        Model memory model = _last(_ordered);
        _ordered.pop();
        bytes32 wrapped = right ? _wrapped : bytes32(uint256(_wrapped) + 1);
        model.delivery = IEscrow.Delivery(_seller, wrapped, uint40(block.timestamp) + 2 hours);
        vm.prank(address(0xA11CE));
        market.deliver(model.number, model.terms, _seller, wrapped);
        model.expiry = block.timestamp + 1 days;
        (right ? _right : _wrong).push(model);
        bytes32 state = keccak256(abi.encode(keccak256(abi.encode(model.terms)), model.delivery));
        vm.assertEq(market.orders(model.number), state, "state");
        address holder = model.terms.holder;
        _expect(32, model.number, holder, OFFER, model.expiry, model.delivery.deadline, state);
        ++succeeded[right ? bytes32("deliver") : bytes32("deliver wrong")];
    }

    /// @dev Pays more for a license whose key is wrong, at a price that its order did not have.
    function renew() external {
        if (_wrong.length == 0) deliver(false);
        Model storage model = _last(_wrong);
        uint256 price = market.quote(OFFER);
        market.buy(_item(OFFER), model.terms.holder, price, 0);
        model.expiry = (model.expiry > block.timestamp ? model.expiry : block.timestamp) + 1 days;
        model.renewedAt = block.timestamp;
        (paidIn, expectedAcc[2]) = (paidIn + price, expectedAcc[2] + price);
        _expect(4, OFFER, model.terms.holder, price, 2 | (block.timestamp << 32), model.expiry, 0);
        ++succeeded["renew"];
    }

    function dispute() external {
        if (_wrong.length == 0 || _last(_wrong).delivery.deadline < block.timestamp) deliver(false);
        Model memory model = _last(_wrong);
        _wrong.pop();
        market.dispute(model.number, model.terms, model.delivery, _secret, _shared);
        uint256 expiry = market.licenses(OFFER, model.terms.holder);
        // What the order gave ends now; what was paid since lasts as long as it did when it was paid, at least.
        uint256 granted = model.delivery.deadline - 2 hours + 1 days;
        uint256 left = granted > block.timestamp ? granted - block.timestamp : 0;
        vm.assertEq(expiry, model.renewedAt == 0 ? 0 : model.expiry - left, "license of a disputed order");
        if (model.renewedAt != 0) vm.assertLe(model.renewedAt + 1 days, expiry, "a renewal is worth its time");
        _paidBack(model);
        uint256 holder = uint160(model.terms.holder) | (expiry << 160);
        uint256 offerAndTime = OFFER | (block.timestamp << 64);
        _expect(33, model.number, address(this), model.terms.price, offerAndTime, holder, bytes32(_secret));
        ++succeeded["dispute"];
    }

    function settle() external {
        if (_right.length == 0) deliver(true);
        Model memory model = _last(_right);
        _right.pop();
        try market.dispute(model.number, model.terms, model.delivery, _secret, _shared) {
            revert("disputed a right key");
        } catch {
            ++succeeded["refuse a dispute"];
        }
        if (block.timestamp <= model.delivery.deadline) vm.warp(model.delivery.deadline + 1);
        market.settle(model.number, model.terms, model.delivery);
        waitingOrders -= model.terms.price;
        expectedAcc[2] += model.terms.price;
        uint256 packed = 2 | (block.timestamp << 32);
        _expect(34, model.number, address(this), model.terms.price, packed, OFFER, 0);
        ++succeeded["settle"];
    }

    function refund() external {
        if (_ordered.length == 0) order(0);
        Model memory model = _last(_ordered);
        _ordered.pop();
        if (block.timestamp <= model.terms.deadline) vm.warp(model.terms.deadline + 1);
        market.refund(model.number, model.terms);
        _paidBack(model);
        _expect(35, model.number, address(this), model.terms.price, OFFER | (block.timestamp << 64), 0, 0);
        ++succeeded["refund"];
    }

    function _paidBack(Model memory model) private {
        paidOut += model.terms.price;
        waitingOrders -= model.terms.price;
    }

    function _last(Model[] storage models) private view returns (Model storage) {
        return models[models.length - 1];
    }
}
