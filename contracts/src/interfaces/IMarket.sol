// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IBooks} from "./IBooks.sol";
import {IChannels} from "./IChannels.sol";
import {IEscrow} from "./IEscrow.sol";
import {ILedger} from "./ILedger.sol";
import {IOffers} from "./IOffers.sol";
import {IPermits} from "./IPermits.sol";
import {IPools} from "./IPools.sol";
import {IRegistry} from "./IRegistry.sol";
import {ISales} from "./ISales.sol";
import {ISplits} from "./ISplits.sol";
import {IStewardship} from "./IStewardship.sol";
import {IWindows} from "./IWindows.sol";

/// @title Market for licenses of adapters, paid in one token, with royalties split on chain
/// @notice Nobody administrates a market: no owner, no upgrade, and a fee that is fixed at deployment. A steward, if there is
/// one, can stop sales and nothing else. One treasury and one ledger stand behind all its parts.
interface IMarket is
    ILedger,
    IBooks,
    IRegistry,
    ISplits,
    IOffers,
    ISales,
    IStewardship,
    IWindows,
    IChannels,
    IEscrow,
    IPools,
    IPermits
{
    /// @notice Code of escrow, pools, permits and stewardship, created with the market and never replaced.
    function annex() external view returns (address);
}
