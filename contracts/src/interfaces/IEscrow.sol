// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Secp256k1} from "../libraries/Secp256k1.sol";

/// @title Fair delivery: the key for the money, or the money back
/// @notice A buyer pays into the market for a key K of which the offer names keccak256(K). He draws a secret b for this
/// order alone and posts B = bG. The seller draws r and posts R = rG and `wrapped` = K xor keccak256(S), S = rB. Only the
/// buyer can compute S = bR and open it.
/// - No delivery in time: anyone may send the money back.
/// - The delivered key does not hash to keccak256(K): the buyer shows b and S within the dispute window. The market checks
///   B = bG and S = bR, opens `wrapped` itself and sends the money back. Evidence against a right key is refused.
/// - Otherwise the money goes to the offer's split.
/// A license is granted with the delivery. A dispute takes back what is left of it, and nothing that was paid since.
/// @dev The evidence reveals b, and through it only the wrong key of this one order. A proof of equal logarithms would
/// reveal S just so, and cost three times as much. Nothing in the evidence needs to be bound to chain, market or order: B
/// is a part of the order, and whoever copies the evidence can only send the money where it belongs.
/// Only one word per order is stored: the hash of all its fields, and after delivery of these and the delivery's. The
/// events publish the fields, and the entries of the ledger hold the word, so that a changed field does not go unnoticed.
interface IEscrow {
    /// @param point B of the buyer.
    /// @param deadline Last second for the delivery.
    /// @param orderRef Free reference of the buyer.
    struct Order {
        uint64 offer;
        uint32 split;
        uint40 deadline;
        address payer;
        address holder;
        uint256 price;
        bytes32 keyHash;
        bytes32 orderRef;
        Secp256k1.Point point;
    }

    /// @param point R of the seller.
    /// @param deadline Last second for a dispute.
    struct Delivery {
        Secp256k1.Point point;
        bytes32 wrapped;
        uint40 deadline;
    }

    /// @notice What there is to know about a paid order.
    event OrderPlaced(uint64 indexed order, Order terms);
    /// @notice What the seller delivered.
    event KeyDelivered(uint64 indexed order, Delivery delivery);

    /// @notice This offer is sold directly.
    error OfferNotEscrowed(uint64 offer);
    /// @notice Not a point of secp256k1 that the market can calculate with.
    error UnusablePoint();
    /// @notice The order is over, or was never in the state that the given fields describe.
    error OrderMismatch(uint64 order);
    /// @notice Only the adapter's owner and its operator may deliver.
    error NotSeller(uint64 adapter);
    /// @notice The time for it was over at `deadline`.
    error TooLate(uint256 deadline);
    /// @notice The other side still has until `deadline`.
    error TooEarly(uint256 deadline);
    /// @notice The secret does not belong to the order's point, or the shared point to both.
    error InvalidEvidence();
    /// @notice The delivered key is the right one.
    error KeyIsRight();

    /// @notice Lets an account deliver keys of the caller's adapter; zero takes it back. It can touch no money.
    function setOperator(uint64 adapter, address operator) external;

    /// @notice Pays for a first license of an escrowed offer; the caller must have approved the price to the market.
    /// @dev The premium of a moving price is reserved: it is gone when the order is settled, and comes back with the money.
    /// @param item The offer, by number and fingerprint (IOffers.itemOf).
    /// @param point B = bG with a fresh b.
    /// @return number Number of the order, from 1.
    function order(
        uint256 item,
        address holder,
        uint256 maxPrice,
        Secp256k1.Point calldata point,
        bytes32 orderRef
    ) external returns (uint64 number);

    /// @notice Delivers the wrapped key and grants the license. Check `keyHash` before: whoever delivers a key that does not
    /// hash to it loses the price.
    /// @param point R = rG with a fresh r.
    function deliver(uint64 number, Order calldata terms, Secp256k1.Point calldata point, bytes32 wrapped) external;

    /// @notice Returns the money, because the delivered key is wrong, and takes the license back: all of it if nothing was
    /// paid since to extend it; else what is left of the delivered time, so that the time that was paid since starts now.
    /// @param secret b.
    /// @param shared S = bR.
    function dispute(
        uint64 number,
        Order calldata terms,
        Delivery calldata delivery,
        uint256 secret,
        Secp256k1.Point calldata shared
    ) external;

    /// @notice Credits the price of a delivered order, once its dispute window is over. Anyone may call.
    function settle(uint64 number, Order calldata terms, Delivery calldata delivery) external;

    /// @notice `settle` for several orders. One that is refused refuses all, and its error names the order.
    function settleMany(uint64[] calldata numbers, Order[] calldata terms, Delivery[] calldata deliveries) external;

    /// @notice Returns the money of an order that was not delivered in time. Anyone may call; it goes to the payer.
    function refund(uint64 number, Order calldata terms) external;

    /// @notice Who may deliver keys of an adapter beside its owner.
    function operators(uint64 adapter) external view returns (address);

    /// @notice The state of an order: keccak256(abi.encode(order)), after delivery
    /// keccak256(abi.encode(that, delivery)); zero when it is over.
    function orders(uint64 number) external view returns (bytes32);
}
