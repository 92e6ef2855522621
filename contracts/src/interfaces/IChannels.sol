// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Metered use, paid through one-way channels
/// @notice A payer locks a deposit and signs, off chain, a voucher after each use: how often he used the adapter in all and
/// what he owes for it in all. The newest voucher is worth the most and replaces all earlier ones, so redeeming it late,
/// twice or by a stranger changes nothing. The money goes to the offer's split and nowhere else.
/// @dev Vouchers are verified by ECDSA alone, against the session key named at the opening. A contract signature (ERC-1271)
/// is a promise that its signer can take back, and with EIP-7702 every payer can become a contract after he has signed.
interface IChannels {
    /// @notice The newest promise of a channel: EIP-712 typed data Voucher(uint64 channel,uint128 cumulative,uint64 uses,bytes32 usageRoot)
    /// in the domain ("viz-node", "2"), where `cumulative` is `uses` times the channel's price.
    /// @param usageRoot Merkle root over the receipts of all these uses.
    /// @param r Signature of the session key.
    /// @param vs Signature of the session key, with the parity in the top bit (EIP-2098).
    struct Voucher {
        uint64 channel;
        uint64 uses;
        bytes32 usageRoot;
        bytes32 r;
        bytes32 vs;
    }

    /// @notice No channel with this number is open.
    error UnknownChannel(uint64 channel);
    /// @notice A channel needs the account of a session key.
    error ZeroSessionKey();
    /// @notice A contract cannot sign vouchers: the deposit would only wait for its way back.
    error SessionKeyIsContract(address sessionKey);
    /// @notice A channel lasts at least the close window, and at most 366 days.
    error LifetimeOutOfBounds(uint32 lifetime);
    /// @notice The deposit does not pay for a single use, or nothing was added to it.
    error DepositTooSmall(uint256 deposit);
    /// @notice Uses up to this number were redeemed before.
    error VoucherSpent(uint64 channel, uint256 uses);
    /// @notice The voucher is worth more than the channel's deposit.
    error DepositExceeded(uint64 channel, uint256 cumulative, uint256 deposit);
    /// @notice The voucher is not signed by the channel's session key, or a top-up names another one.
    error NotSessionKey(uint64 channel, address signer);
    /// @notice Only the payer of the channel may do this.
    error NotPayer(uint64 channel);
    /// @notice The channel closes at that time already, or earlier than asking for it now would make it.
    error ClosingAlready(uint64 channel, uint256 closeAt);
    /// @notice The channel cannot be closed before this time.
    error NotClosable(uint64 channel, uint256 closeAt);

    /// @notice Opens a channel for a metered offer; the caller must have approved the deposit to the market.
    /// @param item The offer, by number and fingerprint (IOffers.itemOf).
    /// @param sessionKey Account whose key signs the vouchers.
    /// @param deposit The most that the channel can pay out.
    /// @param lifetime Seconds after which the rest can be taken back without asking.
    /// @param maxPrice The most the payer accepts to pay for one use.
    /// @return channel Number of the channel, from 1.
    function openChannel(uint256 item, address sessionKey, uint128 deposit, uint32 lifetime, uint256 maxPrice)
        external
        returns (uint64 channel);

    /// @notice Adds to the deposit of an open channel. Anyone may; a refund goes to the payer.
    /// @param sessionKey The channel's, so that no money goes into what another chain of blocks opened under the number.
    function topUp(uint64 channel, address sessionKey, uint128 amount) external;

    /// @notice Credits what a voucher adds to the split of the channel's offer. Anyone may call, until the channel is closed.
    function redeem(Voucher calldata voucher) external;

    /// @notice Redeems vouchers of several channels. One that is refused refuses all, and its error names the channel.
    function redeemMany(Voucher[] calldata vouchers) external;

    /// @notice Shortens the life of the caller's channel to the close window.
    function askClose(uint64 channel) external;

    /// @notice Ends a channel whose time is over and returns the rest of its deposit to the payer. Anyone may call.
    function closeChannel(uint64 channel) external;

    /// @notice What the session key signs for these uses. Reverts with UnknownChannel.
    function voucherDigest(uint64 channel, uint64 uses, bytes32 usageRoot) external view returns (bytes32);

    /// @notice A channel; zero session key = none open with this number.
    function channels(uint64 channel)
        external
        view
        returns (
            address sessionKey,
            uint40 closeAt,
            uint32 split,
            uint128 deposit,
            uint64 price,
            uint64 uses,
            address payer,
            uint64 offer
        );
}
