// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IChannels} from "../src/interfaces/IChannels.sol";
import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {IMarket} from "../src/interfaces/IMarket.sol";
import {IOffers} from "../src/interfaces/IOffers.sol";
import {Secp256k1} from "../src/libraries/Secp256k1.sol";
import {Vm} from "./Base.sol";
import {MarketFixture} from "./MarketFixture.sol";

/// @notice Further cheat codes of forge, at the same address as Vm.
interface Cheats {
    function addr(uint256 key) external pure returns (address);
    function chainId(uint256) external;
    function etch(address, bytes calldata) external;
    function parseJsonBytes32(string calldata, string calldata) external pure returns (bytes32);
    function parseJsonBytes32Array(string calldata, string calldata) external pure returns (bytes32[] memory);
    function parseJsonUint(string calldata, string calldata) external pure returns (uint256);
    function parseJsonUintArray(string calldata, string calldata) external pure returns (uint256[] memory);
    function parseJsonAddress(string calldata, string calldata) external pure returns (address);
    function readFile(string calldata) external view returns (string memory);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function toString(uint256) external pure returns (string memory);
}

/// @notice Offers of every kind, vouchers that are really signed, and keys that are really wrapped.
abstract contract PartsFixture is MarketFixture {
    Cheats internal constant cheats = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));

    address internal constant STRANGER = address(0x57A4);
    uint256 internal constant SESSION_KEY = 0x5E5510;
    uint64 internal constant USE_PRICE = 30;
    uint128 internal constant DEPOSIT = 3_000;
    uint32 internal constant LIFETIME = 30 days;
    bytes32 internal constant USAGE = keccak256("usage");
    bytes32 internal constant KEY = keccak256("the adapter's key");
    uint256 internal constant HALF_ORDER = Secp256k1.N / 2;

    struct Case {
        bytes32 key;
        uint256 buyerSecret;
        Secp256k1.Point buyer;
        Secp256k1.Point seller;
        Secp256k1.Point shared;
        bytes32 wrapped;
    }

    /// @dev All parts of the market under one interface.
    function _all() internal view returns (IMarket) {
        return IMarket(address(market));
    }

    function _publishMetered() internal returns (uint32 split, uint64 offer) {
        IOffers.OfferTerms memory terms = _terms(0, USE_PRICE, 0);
        terms.metered = true;
        vm.prank(OWNER);
        (, split, offer) = market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, terms);
    }

    function _publishEscrowed(uint32 duration, bytes32 key)
        internal
        returns (uint64 adapter, uint32 split, uint64 offer)
    {
        IOffers.OfferTerms memory terms = _terms(0, PRICE, duration);
        terms.keyHash = keccak256(abi.encode(key));
        vm.prank(OWNER);
        return market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, terms);
    }

    function _open(uint64 offer) internal returns (uint64) {
        address session = cheats.addr(SESSION_KEY);
        vm.prank(BUYER);
        return _all().openChannel(_item(offer), session, DEPOSIT, LIFETIME, USE_PRICE);
    }

    /// @dev Signed over the digest that this test computes from the specification, not over the market's.
    function _voucher(uint64 channel, uint64 uses) internal view returns (IChannels.Voucher memory) {
        return _voucherBy(SESSION_KEY, channel, uses);
    }

    function _voucherBy(uint256 key, uint64 channel, uint64 uses) internal view returns (IChannels.Voucher memory) {
        bytes32 digest = _digest(block.chainid, address(market), channel, uint256(uses) * USE_PRICE, uses, USAGE);
        return _signed(key, channel, uses, digest);
    }

    function _signed(uint256 key, uint64 channel, uint64 uses, bytes32 digest)
        internal
        pure
        returns (IChannels.Voucher memory)
    {
        (uint8 v, bytes32 r, bytes32 s) = cheats.sign(key, digest);
        return IChannels.Voucher(channel, uses, USAGE, r, bytes32(uint256(s) | (uint256(v - 27) << 255)));
    }

    /// @dev EIP-712, written out once more.
    function _digest(uint256 chain, address verifier, uint256 channel, uint256 cumulative, uint256 uses, bytes32 root)
        internal
        pure
        returns (bytes32)
    {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("viz-node"),
                keccak256("2"),
                chain,
                verifier
            )
        );
        bytes32 voucher = keccak256(
            abi.encode(
                keccak256("Voucher(uint64 channel,uint128 cumulative,uint64 uses,bytes32 usageRoot)"),
                channel,
                cumulative,
                uses,
                root
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, voucher));
    }

    /// @dev A case of the vectors that the node's tests check too.
    function _case(uint256 index) internal view returns (Case memory one) {
        string memory json = cheats.readFile("test/vectors/delivery.json");
        string memory path = string.concat(".cases[", cheats.toString(index), "].");
        one.key = cheats.parseJsonBytes32(json, string.concat(path, "key"));
        one.buyerSecret = uint256(cheats.parseJsonBytes32(json, string.concat(path, "buyerSecret")));
        one.wrapped = cheats.parseJsonBytes32(json, string.concat(path, "wrapped"));
        one.buyer = _point(json, string.concat(path, "buyer"));
        one.seller = _point(json, string.concat(path, "seller"));
        one.shared = _point(json, string.concat(path, "shared"));
    }

    function _point(string memory json, string memory path) private pure returns (Secp256k1.Point memory) {
        bytes32 x = cheats.parseJsonBytes32(json, string.concat(path, "X"));
        bytes32 y = cheats.parseJsonBytes32(json, string.concat(path, "Y"));
        return Secp256k1.Point(uint256(x), uint256(y));
    }

    /// @dev The order that `_placeOrder` leaves on the market.
    function _orderTerms(uint64 offer, uint32 split, Case memory one) internal view returns (IEscrow.Order memory) {
        uint40 deadline = uint40(block.timestamp) + _delays().delivery;
        bytes32 keyHash = keccak256(abi.encode(one.key));
        return IEscrow.Order(offer, split, deadline, BUYER, HOLDER, PRICE, keyHash, ORDER, one.buyer);
    }

    function _placeOrder(uint64 offer, Case memory one) internal returns (uint64) {
        vm.prank(BUYER);
        return _all().order(_item(offer), HOLDER, PRICE, one.buyer, ORDER);
    }

    /// @dev Delivers `wrapped` by the owner and returns the delivery as the market stores it.
    function _deliver(uint64 number, IEscrow.Order memory terms, Case memory one, bytes32 wrapped)
        internal
        returns (IEscrow.Delivery memory)
    {
        vm.prank(OWNER);
        _all().deliver(number, terms, one.seller, wrapped);
        return IEscrow.Delivery(one.seller, wrapped, uint40(block.timestamp) + _delays().dispute);
    }

    function _lastEntry() internal returns (Vm.Log memory entry) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == ENTRY && logs[i].emitter == address(market)) entry = logs[i];
        }
    }

    function _sequence() internal view returns (uint256) {
        return market.head() & SEQUENCE;
    }
}
