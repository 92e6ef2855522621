// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Annex} from "./Annex.sol";
import {Books} from "./Books.sol";
import {Catalogue} from "./Catalogue.sol";
import {Channels} from "./Channels.sol";
import {Offers} from "./Offers.sol";
import {Setup} from "./Setup.sol";
import {Windows} from "./Windows.sol";

/// @title Market
/// @notice All parts of a market at one address, with one treasury and one ledger. See IMarket.
contract Market is Catalogue, Channels, Offers {
    /// @notice Code of escrow, pools, permits and stewardship, created with the market and never replaced.
    address public immutable annex;

    constructor(Setup memory setup) Books(setup.token, setup.platform, setup.platformFee) Windows(setup.delays) {
        steward = setup.steward;
        annex = address(new Annex(setup));
    }

    /// @dev Calls that are not answered here run the code of the annex on the storage of the market.
    fallback(bytes calldata input) external returns (bytes memory) {
        return Address.functionDelegateCall(annex, input);
    }
}
