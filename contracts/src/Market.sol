// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Books} from "./Books.sol";
import {Channels} from "./Channels.sol";
import {Escrow} from "./Escrow.sol";
import {IMarket} from "./interfaces/IMarket.sol";
import {Offers} from "./Offers.sol";
import {Pools} from "./Pools.sol";
import {Splits} from "./Splits.sol";
import {Stewardship} from "./Stewardship.sol";
import {Windows} from "./Windows.sol";

/// @title Market
/// @notice All parts of a market in one contract, with one treasury and one ledger. See IMarket.
contract Market is IMarket, Offers, Channels, Escrow, Pools, Stewardship {
    struct Setup {
        IERC20 token;
        address platform;
        uint16 platformFee;
        address steward;
        Delays delays;
    }

    constructor(Setup memory setup)
        Books(setup.token)
        Splits(setup.platform, setup.platformFee)
        Stewardship(setup.steward)
        Windows(setup.delays)
    {}
}
