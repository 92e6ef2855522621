// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice Account of two owners who must both sign, as a Safe checks them: 65 bytes each, in the order of the owners.
contract TwoOwnerWallet {
    bytes4 private constant YES = 0x1626ba7e;
    address private immutable FIRST;
    address private immutable SECOND;

    constructor(address first, address second) {
        FIRST = first;
        SECOND = second;
    }

    function isValidSignature(bytes32 digest, bytes calldata signatures) external view returns (bytes4) {
        require(signatures.length == 130, "GS020");
        require(_signer(digest, signatures[:65]) == FIRST && _signer(digest, signatures[65:]) == SECOND, "GS026");
        return YES;
    }

    function _signer(bytes32 digest, bytes calldata signature) private pure returns (address) {
        return ecrecover(digest, uint8(signature[64]), bytes32(signature[:32]), bytes32(signature[32:64]));
    }
}

/// @notice Answers with what it was made with, or burns all gas when that is empty.
contract OddWallet {
    bytes private _answer;

    constructor(bytes memory answer) {
        _answer = answer;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        while (_answer.length == 0) {}
        return _answer;
    }
}
