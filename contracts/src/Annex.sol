// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Books} from "./Books.sol";
import {ChannelBook} from "./ChannelBook.sol";
import {Escrow} from "./Escrow.sol";
import {Permits} from "./Permits.sol";
import {Pools} from "./Pools.sol";
import {Setup} from "./Setup.sol";
import {Stewardship} from "./Stewardship.sol";
import {Windows} from "./Windows.sol";

/// @title The parts of a market for which its code has no room
/// @notice Code only: a market runs it on its own storage and under its own address (EIP-170 allows 24576 bytes to one
/// contract). The market creates its annex itself and cannot change it. Called directly, an annex is a market without
/// offers and splits, in which nothing can be bought or opened.
contract Annex is ChannelBook, Escrow, Pools, Permits, Stewardship {
    constructor(Setup memory setup) Books(setup.token, setup.platform, setup.platformFee) Windows(setup.delays) {}
}
