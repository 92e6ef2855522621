// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Books} from "./Books.sol";
import {ISplits} from "./interfaces/ISplits.sol";
import {ShareTable} from "./libraries/ShareTable.sol";

/// @title Splits
/// @notice See ISplits.
abstract contract Splits is Books, ISplits {
    uint8 private constant SPLIT_CREATED = 2;
    uint8 private constant CLAIMED = 5;
    uint8 private constant PASSED_ON = 6;

    uint256 private constant TOTAL_SHARES = 10_000;
    /// @dev A table of this size stays far below the 2^24 gas that one transaction may use (EIP-7825).
    uint256 private constant MAX_RECIPIENTS = 1_000;

    /// @inheritdoc ISplits
    function createSplit(address[] calldata accounts, uint16[] calldata shares)
        external
        override
        returns (uint32 split)
    {
        return _createSplit(accounts, shares);
    }

    /// @inheritdoc ISplits
    function claim(uint32 split, address account, uint256 share, bytes32[] calldata proof)
        external
        override
        nonReentrant
        returns (uint256 due)
    {
        due = _claim(split, account, share, proof);
        require(due != 0, NothingDue());
    }

    /// @inheritdoc ISplits
    function claimMany(Claim[] calldata claims) external override nonReentrant returns (uint256 due) {
        for (uint256 i = 0; i < claims.length; ++i) {
            Claim calldata one = claims[i];
            due += _claim(one.split, one.account, one.share, one.proof);
        }
        require(due != 0, NothingDue());
    }

    function _createSplit(address[] calldata accounts, uint16[] calldata shares) internal returns (uint32 split) {
        bytes32 root = ShareTable.root(_leaves(accounts, shares));
        split = ++_lastSplit;
        splits[split].root = root;
        _record(SPLIT_CREATED, split, msg.sender, accounts.length, 0, 0, root);
        emit SplitTable(split, accounts, shares);
    }

    /// @dev Pays the account of a valid proof what is due to it, which may be nothing.
    function _claim(uint32 split, address account, uint256 share, bytes32[] calldata proof)
        private
        returns (uint256 due)
    {
        Split storage table = splits[split];
        bytes32 root = table.root;
        require(root != 0, UnknownSplit(split));
        require(MerkleProof.verifyCalldata(proof, root, ShareTable.leaf(account, share)), InvalidProof());

        // The whole amount ever due is floored once, so claiming often neither gains nor loses a unit.
        uint256 acc = table.acc;
        uint256 paid = table.paid;
        uint256 cumulative = acc * share / TOTAL_SHARES;
        due = cumulative - claimed[split][account];
        if (due == 0) return 0;
        // Unreachable while the shares add to 10000; a split must never pay out of another one even if that were wrong.
        require(paid + due <= acc, CapExceeded(due, acc - paid));

        claimed[split][account] = cumulative;
        // forge-lint: disable-next-line(unsafe-typecast)
        table.paid = uint128(paid + due); // at most acc, which is a uint128
        _hand(split, account, due, cumulative, share);
    }

    /// @dev Transfers `due` to an account, or books it to a split.
    function _hand(uint32 split, address account, uint256 due, uint256 cumulative, uint256 share) private {
        if (_isSplit(account)) {
            // forge-lint: disable-next-line(unsafe-typecast)
            _credit(uint32(uint160(account)), due); // _isSplit
            _record(PASSED_ON, split, account, due, cumulative, share, 0);
        } else {
            _record(CLAIMED, split, account, due, cumulative, share, 0);
            _pay(account, due);
        }
    }

    /// @dev Checks the table of a split and returns its leaves.
    function _leaves(address[] calldata accounts, uint16[] calldata shares)
        private
        view
        returns (bytes32[] memory leaves)
    {
        uint256 count = accounts.length;
        require(count != 0 && count <= MAX_RECIPIENTS, RecipientCount(count));
        require(count == shares.length, LengthMismatch(count, shares.length));
        leaves = new bytes32[](count);
        address last = address(0);
        uint256 sum = 0;
        uint256 platformShare = 0;
        for (uint256 i = 0; i < count; ++i) {
            address account = accounts[i];
            uint256 share = shares[i];
            // Ascending order rules out the zero address and an account that is listed twice.
            require(account > last, AccountsNotAscending(i));
            _requireRecipient(account);
            require(share != 0, ZeroShare(i));
            if (account == platform) platformShare = share;
            leaves[i] = ShareTable.leaf(account, share);
            sum += share;
            last = account;
        }
        require(sum == TOTAL_SHARES, ShareSum(sum));
        require(platformShare >= platformFee, PlatformShare(platformShare, platformFee));
    }

    function _requireRecipient(address account) private view {
        require(account != address(this), MarketAsRecipient());
        if (_isSplit(account)) _requireSplit(uint32(uint160(account)));
    }
}
