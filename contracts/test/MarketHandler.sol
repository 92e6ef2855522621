// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IMarket} from "../src/interfaces/IMarket.sol";
import {IOffers} from "../src/interfaces/IOffers.sol";
import {ISplits} from "../src/interfaces/ISplits.sol";
import {IToken} from "./IToken.sol";
import {MirrorBooks} from "./MirrorBooks.sol";
import {StewardHandler} from "./StewardHandler.sol";
import {Tables} from "./Tables.sol";

/// @notice Random but legal traffic, with its own books kept next to the market's.
/// @dev Every action makes a call that must succeed; the suite runs with fail_on_revert. Attacks that must fail are made
/// with try and counted too.
contract MarketHandler is StewardHandler {
    constructor(IMarket market_, IToken token_) MirrorBooks(market_, token_) {}

    function register(uint256 actor, bytes32 terms) external {
        bytes32 manifest = keccak256(abi.encode("manifest", entries));
        vm.prank(_owner(actor));
        uint64 adapter = market.register(manifest, keccak256("base"), terms);
        vm.assertEq(adapter, ++adapterCount, "adapter number");
        _expect(1, adapter, _owner(actor), uint256(manifest), uint256(keccak256("base")), 0, terms);
        ++succeeded["register"];
    }

    /// @dev Half of the splits pay an older one.
    function createSplit(uint8 size, uint8 place, uint256 salt, uint32 parent) external {
        parent = parent % 2 == 0 || splitCount == 0 ? 0 : uint32(_clamp(parent, 1, splitCount));
        (address[] memory accounts, uint16[] memory shares) = _newTable(size, place, salt, parent);
        uint32 split = market.createSplit(accounts, shares);
        vm.assertEq(split, splitCount, "split number");
        _expect(2, split, address(this), accounts.length, 0, 0, Tables.root(accounts, shares));
        ++succeeded["createSplit"];
    }

    function createOffer(uint64 adapter, uint32 split, uint64 price, uint32 duration, uint16 target) external {
        adapter = uint64(_clamp(adapter, 1, adapterCount));
        IOffers.OfferTerms memory terms = _terms(price, duration % 2 days, target);
        terms.split = uint32(_clamp(split, 1, splitCount));
        (address owner,,,,,) = market.adapters(adapter);
        vm.prank(owner);
        uint64 offer = market.createOffer(adapter, terms);
        vm.assertEq(offer, ++offerCount, "offer number");
        _expectOffer(offer, owner, adapter, terms.split, terms);
        ++succeeded["createOffer"];
    }

    function publish(uint8 size, uint8 place, uint256 salt, uint64 price) external {
        (address[] memory accounts, uint16[] memory shares) = _newTable(size, place, salt, 0);
        bytes32 manifest = keccak256(abi.encode("manifest", entries));
        IOffers.OfferTerms memory terms = _terms(price, 1 hours, uint16(salt % 2));
        vm.prank(_owner(salt));
        (uint64 adapter,, uint64 offer) = market.publish(manifest, 0, 0, accounts, shares, terms);
        ++adapterCount;
        ++offerCount;
        _expect(1, adapter, _owner(salt), uint256(manifest), 0, 0, 0);
        _expect(2, splitCount, _owner(salt), accounts.length, 0, 0, Tables.root(accounts, shares));
        _expectOffer(offer, _owner(salt), adapter, splitCount, terms);
        ++succeeded["publish"];
    }

    function buy(uint64 offer, uint256 buyer, bytes32 orderRef) external {
        offer = uint64(_clamp(offer, 1, offerCount));
        if (_closed[offer]) return;
        (, uint32 split, uint32 duration,,,,) = market.offers(offer);
        uint256 before = expectedExpiry[offer][_holder(buyer)];
        address holder = _holder(buyer);
        if (duration == 0 && before != 0) {
            // Sold for ever already: the attack is to be charged twice.
            try market.buy(_item(offer), holder, type(uint256).max, orderRef) {
                revert("sold a perpetual license twice");
            } catch {
                ++refused["buy again"];
            }
        }
        if (before != 0 && (duration == 0 || buyer % 2 == 0)) {
            holder = address(uint160(uint256(keccak256(abi.encode(offer, entries)))));
            before = 0;
        }
        uint256 price = _takePrice(offer, before == 0);
        vm.assertEq(market.quote(offer), price, "quote");
        market.buy(_item(offer), holder, price, orderRef);
        uint256 start = before > block.timestamp ? before : block.timestamp;
        uint256 expiry = duration == 0 ? type(uint256).max : start + duration;
        expectedExpiry[offer][holder] = expiry;
        vm.assertEq(market.licenses(offer, holder), expiry, "expiry");
        _models[split].acc += price;
        paidIn += price;
        _expect(4, offer, holder, price, uint256(split) | (block.timestamp << 32), expiry, orderRef);
        ++succeeded["buy"];
    }

    function claim(uint32 split, uint256 index) external {
        split = uint32(_clamp(split, 1, splitCount));
        (address[] memory accounts, uint16[] memory shares) = table(split);
        index = _clamp(index, 0, accounts.length - 1);
        bytes32[] memory path = Tables.proof(accounts, shares, index);
        try market.claim(split, accounts[index], uint256(shares[index]) + 1, path) {
            revert("paid a share that is not in the table");
        } catch {
            ++refused["claim more"];
        }
        if (_claimOne(split, index)) ++succeeded["claim"];
        try market.claim(split, accounts[index], shares[index], path) {
            revert("paid twice");
        } catch {
            ++refused["claim again"];
        }
    }

    /// @notice All accounts of a split in one batch, the first of them twice.
    function claimMany(uint32 split) external {
        split = uint32(_clamp(split, 1, splitCount));
        (address[] memory accounts, uint16[] memory shares) = table(split);
        ISplits.Claim[] memory claims = new ISplits.Claim[](accounts.length + 1);
        uint256 total = 0;
        for (uint256 i = 0; i < accounts.length; ++i) {
            claims[i] = ISplits.Claim(split, accounts[i], shares[i], Tables.proof(accounts, shares, i));
            uint256 cumulative = _models[split].acc * shares[i] / 10_000;
            uint256 due = cumulative - market.claimed(split, accounts[i]);
            if (due != 0) _bookClaim(split, i, due, cumulative);
            total += due;
        }
        claims[accounts.length] = claims[0];
        if (total == 0) return;
        vm.assertEq(market.claimMany(claims), total, "total");
        ++succeeded["claimMany"];
    }

    function donate(uint64 amount) external {
        token.transfer(address(market), amount);
        donated += amount;
        ++succeeded["donate"];
    }

    function wait(uint32 seconds_) external {
        vm.warp(block.timestamp + seconds_ % 1 days);
        ++succeeded["wait"];
    }

    /// @notice Pays everybody everything that is due, so that what stays in the market is the rounding and the donations.
    /// @dev From the newest split to the oldest, because money is passed on to older ones only.
    function claimEverything() external {
        for (uint32 split = splitCount; split > 0; --split) {
            (address[] memory accounts,) = table(split);
            for (uint256 i = 0; i < accounts.length; ++i) {
                _claimOne(split, i);
            }
        }
    }

    function _claimOne(uint32 split, uint256 index) private returns (bool) {
        (address[] memory accounts, uint16[] memory shares) = table(split);
        uint256 cumulative = _models[split].acc * shares[index] / 10_000;
        uint256 due = cumulative - market.claimed(split, accounts[index]);
        if (due == 0) return false;
        uint256 before = token.balanceOf(accounts[index]);
        bool passesOn = uint160(accounts[index]) <= type(uint32).max;
        bytes32[] memory path = Tables.proof(accounts, shares, index);
        vm.assertEq(market.claim(split, accounts[index], shares[index], path), due, "due");
        vm.assertEq(token.balanceOf(accounts[index]) - before, passesOn ? 0 : due, "received");
        _bookClaim(split, index, due, cumulative);
        return true;
    }

    /// @dev A target makes the price move. High floors and low targets, so that one basis point of fee is felt.
    function _terms(uint64 price, uint32 duration, uint16 target)
        private
        pure
        returns (IOffers.OfferTerms memory terms)
    {
        terms.price = uint64(_clamp(price, 1, 1e12));
        terms.duration = duration;
        terms.target = target % 3;
        if (terms.target != 0) terms.maxRise = 5;
    }
}
