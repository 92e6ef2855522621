// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IChannels} from "../src/interfaces/IChannels.sol";
import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {IPools} from "../src/interfaces/IPools.sol";
import {ISales} from "../src/interfaces/ISales.sol";
import {ISplits} from "../src/interfaces/ISplits.sol";
import {Secp256k1} from "../src/libraries/Secp256k1.sol";
import {ICallingToken} from "./IToken.sol";
import {PartsFixture} from "./PartsFixture.sol";

/// @notice While money is on its way, the market lets nobody in: every entry point that moves money is under one guard.
contract GuardTest is PartsFixture {
    function test_guard__every_payment__refused_while_another_is_on_its_way() public {
        ICallingToken calling = ICallingToken(_tokenOf("CallingToken"));
        _deploy(calling);
        (,, uint64 offer) = _publish(60);
        bytes32 guard = bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        bytes[] memory calls = _calls();
        for (uint256 i = 0; i < calls.length; ++i) {
            calling.arm(address(market), calls[i]);
            _buy(offer, HOLDER);
            vm.assertTrue(!calling.succeeded(), cheats.toString(i));
            vm.assertEq(bytes32(bytes4(calling.answer())), guard, cheats.toString(i));
        }
    }

    function _calls() private pure returns (bytes[] memory calls) {
        ISales.Permit memory permit;
        ISales.Authorization memory signed;
        IEscrow.Order memory terms;
        IEscrow.Delivery memory delivery;
        Secp256k1.Point memory point;
        bytes32[] memory proof;
        calls = new bytes[](21);
        calls[0] = abi.encodeCall(ISales.buy, (1, HOLDER, PRICE, ORDER));
        calls[1] = abi.encodeCall(ISales.buyWithPermit, (1, HOLDER, PRICE, ORDER, permit));
        calls[2] = abi.encodeCall(ISales.buyWithAuthorization, (1, HOLDER, PRICE, ORDER, signed));
        calls[3] = abi.encodeCall(ISplits.claim, (1, HOLDER, 1, proof));
        calls[4] = abi.encodeCall(ISplits.claimMany, (new ISplits.Claim[](0)));
        calls[5] = abi.encodeCall(IChannels.openChannel, (1, HOLDER, DEPOSIT, LIFETIME, USE_PRICE));
        calls[6] = abi.encodeCall(IChannels.topUp, (1, HOLDER, 1));
        calls[7] = abi.encodeCall(IChannels.closeChannel, (1));
        calls[8] = abi.encodeCall(IEscrow.order, (1, HOLDER, PRICE, point, ORDER));
        calls[9] = abi.encodeCall(IEscrow.deliver, (1, terms, point, KEY));
        calls[10] = abi.encodeCall(IEscrow.dispute, (1, terms, delivery, 1, point));
        calls[11] = abi.encodeCall(IEscrow.settle, (1, terms, delivery));
        calls[12] =
            abi.encodeCall(IEscrow.settleMany, (new uint64[](0), new IEscrow.Order[](0), new IEscrow.Delivery[](0)));
        calls[13] = abi.encodeCall(IEscrow.refund, (1, terms));
        calls[14] = abi.encodeCall(IPools.subscribe, (1, KEY, HOLDER, 0, 1, ORDER));
        calls[15] = abi.encodeCall(IPools.postRoot, (1, 0, KEY, KEY, ""));
        calls[16] = abi.encodeCall(IPools.veto, (1));
        calls[17] = abi.encodeCall(IPools.adoptRoot, (1));
        calls[18] = abi.encodeCall(IPools.claimPool, (new IPools.PoolClaim[](0)));
        calls[19] = abi.encodeCall(IPools.refundPeriod, (1, 0, HOLDER));
        calls[20] = abi.encodeCall(IPools.refundRest, (1, 0, 0, HOLDER));
    }
}
