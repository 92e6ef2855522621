// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Direct sales of licenses
/// @notice Three ways for a person to pay in one transaction: an allowance, a permit, or a signed payment that anyone relays.
interface ISales {
    /// @notice An ERC-2612 permit of the caller for the market.
    struct Permit {
        uint256 value;
        uint256 deadline;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice An ERC-3009 ReceiveWithAuthorization of `payer` to the market.
    struct Authorization {
        address payer;
        uint256 validAfter;
        uint256 validBefore;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice This offer is metered: open a channel.
    error OfferMetered(uint64 offer);
    /// @notice The first license of this offer is ordered through the escrow.
    error OfferEscrowed(uint64 offer);

    /// @notice Pays for a license of `holder`; the caller must have approved the price to the market.
    /// @dev A timed license that is still running is extended from its expiry.
    /// @param item The offer, by number and fingerprint (IOffers.itemOf).
    /// @param maxPrice The most the buyer accepts to pay.
    /// @param orderRef Free reference of the buyer, recorded in the ledger.
    function buy(uint256 item, address holder, uint256 maxPrice, bytes32 orderRef) external;

    /// @notice `buy` with an allowance by signature.
    /// @dev Anyone can use up the permit a moment before. The allowance is there then, so a refused permit is no error.
    function buyWithPermit(uint256 item, address holder, uint256 maxPrice, bytes32 orderRef, Permit calldata permit)
        external;

    /// @notice Buys with a payment that `authorization.payer` signed; anyone may relay it. What is above the price goes back.
    /// @dev The authorized value is `maxPrice`. What is bought is bound into the signature by its nonce, which is
    /// keccak256(abi.encode(item, holder, maxPrice, orderRef)): a relayer can only do what the payer signed.
    function buyWithAuthorization(
        uint256 item,
        address holder,
        uint256 maxPrice,
        bytes32 orderRef,
        Authorization calldata authorization
    ) external;
}
