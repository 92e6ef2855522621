// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IMarket} from "../src/interfaces/IMarket.sol";
import {IOffers} from "../src/interfaces/IOffers.sol";
import {Secp256k1} from "../src/libraries/Secp256k1.sol";
import {IToken} from "./IToken.sol";
import {PartsFixture} from "./PartsFixture.sol";
import {ChannelsHandler, EscrowHandler, PartsBooks} from "./PartsHandler.sol";
import {PoolsHandler} from "./PoolsHandler.sol";

contract PartsHandler is ChannelsHandler, EscrowHandler, PoolsHandler {
    constructor(
        IMarket market_,
        IToken token_,
        uint256 secret,
        bytes32 key,
        bytes32 wrapped,
        Secp256k1.Point[3] memory points
    ) PartsBooks(market_, token_) EscrowHandler(secret, key, wrapped, points) {}
}

/// @notice What holds after any sequence of legal uses of channels, escrow and pools on one market.
contract PartsInvariantsTest is PartsFixture {
    PartsHandler private _handler;

    function setUp() public override {
        super.setUp();
        _publishMetered();
        vm.prank(OWNER);
        uint32 split = market.createSplit(accounts, shares);
        IOffers.OfferTerms memory terms = _terms(split, PRICE, 1 days);
        Case memory one = _case(3);
        terms.keyHash = keccak256(abi.encode(one.key));
        vm.prank(OWNER);
        market.createOffer(1, terms);
        vm.prank(address(0x09E7A708));
        market.createPool(address(0xC4A1), 1_000, 1 days, TERMS);
        _handler =
            new PartsHandler(market, token, one.buyerSecret, one.key, one.wrapped, [one.buyer, one.seller, one.shared]);
        _target(address(_handler), _actions());
    }

    /// @dev Conservation: no unit appears or disappears.
    function invariant_balance_is_in_minus_out() public view {
        vm.assertEq(token.balanceOf(address(market)), _handler.paidIn() - _handler.paidOut(), "balance");
    }

    /// @dev Solvency, exactly: what the market holds is what it owes to splits, channels, orders and the pool.
    function invariant_every_unit_belongs_to_somebody() public view {
        uint256 owed = _acc(1) + _acc(2);
        owed += _handler.lockedInChannels() + _handler.waitingOrders() + _handler.lockedInPool();
        vm.assertEq(token.balanceOf(address(market)), owed, "owed");
    }

    /// @dev Ledger: one entry per change, and each split got what its entries say.
    function invariant_book_is_the_ledger() public view {
        vm.assertEq(market.head(), _handler.expectedHead(), "head");
        vm.assertEq(_acc(1), _handler.expectedAcc(1), "first split");
        vm.assertEq(_acc(2), _handler.expectedAcc(2), "second split");
    }

    /// @dev At the end of each run: every action succeeded, so that no invariant held for want of action.
    function afterInvariant() public view {
        bytes32[21] memory names = [
            bytes32("wait"),
            "openChannel",
            "topUp",
            "redeem",
            "askClose",
            "closeChannel",
            "order",
            "deliver",
            "deliver wrong",
            "dispute",
            "refuse a dispute",
            "settle",
            "refund",
            "subscribe",
            "subscribe around a gift",
            "postRoot",
            "veto",
            "adoptRoot",
            "lapse",
            "claimPool",
            "refundRest"
        ];
        for (uint256 i = 0; i < names.length; ++i) {
            vm.assertGt(_handler.succeeded(names[i]), 0, string(abi.encodePacked(names[i])));
        }
        vm.assertGt(_handler.succeeded("refundPeriod"), 0, "refundPeriod");
        vm.assertGt(_handler.succeeded("renew"), 0, "renew");
    }

    function _actions() private pure returns (bytes4[] memory actions) {
        actions = new bytes4[](21);
        actions[0] = PartsBooks.wait.selector;
        actions[1] = ChannelsHandler.openChannel.selector;
        actions[2] = ChannelsHandler.topUp.selector;
        actions[3] = ChannelsHandler.redeem.selector;
        actions[4] = ChannelsHandler.askClose.selector;
        actions[5] = ChannelsHandler.closeChannel.selector;
        actions[6] = EscrowHandler.order.selector;
        actions[7] = EscrowHandler.deliver.selector;
        actions[8] = EscrowHandler.dispute.selector;
        actions[9] = EscrowHandler.settle.selector;
        actions[10] = EscrowHandler.refund.selector;
        actions[11] = PoolsHandler.subscribe.selector;
        actions[12] = PoolsHandler.postRoot.selector;
        actions[13] = PoolsHandler.veto.selector;
        actions[14] = PoolsHandler.adoptRoot.selector;
        actions[15] = PoolsHandler.claimPool.selector;
        actions[16] = PoolsHandler.refundPeriod.selector;
        actions[17] = PoolsHandler.lapse.selector;
        actions[18] = PoolsHandler.refundRest.selector;
        actions[19] = PoolsHandler.subscribeAroundGift.selector;
        actions[20] = EscrowHandler.renew.selector;
    }

    function _acc(uint32 split) private view returns (uint128 acc) {
        (acc,,) = market.splits(split);
    }
}
