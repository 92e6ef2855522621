// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IChannels} from "../src/interfaces/IChannels.sol";
import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {IPermits} from "../src/interfaces/IPermits.sol";
import {IPools} from "../src/interfaces/IPools.sol";
import {ISales} from "../src/interfaces/ISales.sol";
import {PartsFixture} from "./PartsFixture.sol";

/// @notice Every payment by allowance can be made in one transaction by whoever holds only tokens.
contract PermitsTest is PartsFixture {
    uint256 private constant PAYER_KEY = 0xFA7E5;
    bytes32 private constant PERMIT_TYPE =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    address private _payer;

    function setUp() public override {
        super.setUp();
        _payer = cheats.addr(PAYER_KEY);
        token.mint(_payer, FUNDS);
    }

    function test_withPermit__order__paid_by_the_signer() public {
        (,, uint64 offer) = _publishEscrowed(0, _case(0).key);
        bytes memory call = abi.encodeCall(IEscrow.order, (_item(offer), HOLDER, PRICE, _case(0).buyer, ORDER));
        ISales.Permit memory permit = _permit(PRICE);
        vm.prank(_payer);
        bytes memory answer = _all().withPermit(permit, call);
        vm.assertEq(abi.decode(answer, (uint64)), 1, "number of the order");
        vm.assertEq(token.balanceOf(_payer), FUNDS - PRICE, "paid");
    }

    function test_withPermit__channel_and_subscription__paid_by_the_signer() public {
        (, uint64 offer) = _publishMetered();
        bytes memory call = abi.encodeCall(IChannels.openChannel, (_item(offer), _payer, DEPOSIT, LIFETIME, USE_PRICE));
        ISales.Permit memory permit = _permit(DEPOSIT);
        vm.prank(_payer);
        _all().withPermit(permit, call);
        (,,,,,, address payer,) = _all().channels(1);
        vm.assertEq(payer, _payer, "the caller is the payer");

        vm.prank(OWNER);
        uint64 pool = _all().createPool(STRANGER, 70, 30 days, TERMS);
        (,,,,,,, bytes32 terms) = _all().pools(pool);
        call = abi.encodeCall(IPools.subscribe, (pool, terms, HOLDER, 0, 1, ORDER));
        permit = _permit(70);
        vm.prank(_payer);
        _all().withPermit(permit, call);
        vm.assertEq(_all().subscriptions(pool, 0, HOLDER), _payer, "subscribed");
    }

    function test_withPermit__permit_used_up_by_a_stranger__still_goes_through() public {
        (,, uint64 offer) = _publish(0);
        ISales.Permit memory permit = _permit(PRICE);
        vm.prank(STRANGER);
        token.permit(_payer, address(market), PRICE, permit.deadline, permit.v, permit.r, permit.s);
        vm.prank(_payer);
        _all().withPermit(permit, abi.encodeCall(ISales.buy, (_item(offer), HOLDER, PRICE, ORDER)));
        vm.assertGt(market.licenses(offer, HOLDER), 0, "bought");
    }

    function test_withPermit__stranger_with_somebody_elses_permit__spends_nothing_of_it() public {
        (,, uint64 offer) = _publish(0);
        ISales.Permit memory permit = _permit(PRICE);
        bytes memory call = abi.encodeCall(ISales.buy, (_item(offer), STRANGER, PRICE, ORDER));
        vm.prank(STRANGER);
        (bool ok,) = address(market).call(abi.encodeCall(IPermits.withPermit, (permit, call)));
        vm.assertTrue(!ok && token.balanceOf(_payer) == FUNDS, "spent");
    }

    function test_withPermit__call_that_is_refused__reverts_with_its_cause() public {
        (, uint64 offer) = _publishMetered();
        ISales.Permit memory permit = _permit(DEPOSIT);
        bytes memory call = abi.encodeCall(IChannels.openChannel, (_item(offer), address(0), DEPOSIT, LIFETIME, USE_PRICE));
        vm.expectRevert(IChannels.ZeroSessionKey.selector);
        vm.prank(_payer);
        _all().withPermit(permit, call);
    }

    function _permit(uint256 value) private view returns (ISales.Permit memory) {
        uint256 deadline = block.timestamp + 1 hours;
        bytes32 fields =
            keccak256(abi.encode(PERMIT_TYPE, _payer, address(market), value, token.nonces(_payer), deadline));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), fields));
        (uint8 v, bytes32 r, bytes32 s) = cheats.sign(PAYER_KEY, digest);
        return ISales.Permit(value, deadline, v, r, s);
    }
}
