// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IOffers} from "../src/interfaces/IOffers.sol";
import {Setup} from "../src/Setup.sol";
import {Setup} from "../src/Setup.sol";
import {IToken} from "./IToken.sol";
import {MarketFixture} from "./MarketFixture.sol";

/// @notice A market whose platform takes a fee, and an offer whose price moves.
abstract contract PlatformFixture is MarketFixture {
    /// @dev Above all accounts of Tables.make, so that it comes last in every table.
    address internal constant PLATFORM = address(0x9a7F000000000000000000000000000000000000);
    uint16 internal constant FEE = 200;
    uint16 internal constant MAX_RISE = 5_000;
    uint16 internal constant TARGET = 5;

    function setUp() public virtual override {
        super.setUp();
        _takeFee(accounts, shares, FEE);
    }

    function _setup(IToken token_) internal view virtual override returns (Setup memory setup) {
        setup = super._setup(token_);
        setup.platform = PLATFORM;
        setup.platformFee = FEE;
    }

    function _moving(uint64 floor, uint32 duration) internal pure returns (IOffers.OfferTerms memory terms) {
        terms = _terms(0, floor, duration);
        terms.maxRise = MAX_RISE;
        terms.target = TARGET;
    }

    function _publishMoving(uint64 floor, uint32 duration) internal returns (uint64 offer) {
        vm.prank(OWNER);
        (,, offer) = market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, _moving(floor, duration));
    }

    function _buyAt(uint64 offer, address holder) internal returns (uint256 price) {
        price = market.quote(offer);
        vm.prank(BUYER);
        market.buy(_item(offer), holder, price, ORDER);
    }

    /// @dev Takes the fee from the largest share and gives it to the platform.
    function _takeFee(address[] storage accounts_, uint16[] storage shares_, uint16 fee) private {
        uint256 largest = 0;
        for (uint256 i = 1; i < shares_.length; ++i) {
            if (shares_[i] > shares_[largest]) largest = i;
        }
        shares_[largest] -= fee;
        accounts_.push(PLATFORM);
        shares_.push(fee);
    }
}
