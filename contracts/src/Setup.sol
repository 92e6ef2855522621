// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IWindows} from "./interfaces/IWindows.sol";

/// @notice What is fixed when a market is deployed.
/// @param token The only token of the market.
/// @param platform Who receives the platform's fee; zero if there is none.
/// @param platformFee The least share that every split gives to the platform, in basis points.
/// @param steward Who may stop sales; zero = nobody, for ever.
/// @param delays How long the parties of a promise have to keep or dispute it.
struct Setup {
    IERC20 token;
    address platform;
    uint16 platformFee;
    address steward;
    IWindows.Delays delays;
}
