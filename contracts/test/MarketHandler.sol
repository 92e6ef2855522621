// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IOffers} from "../src/interfaces/IOffers.sol";
import {IMarket} from "../src/interfaces/IMarket.sol";
import {TestToken} from "../src/TestToken.sol";
import {Base} from "./Base.sol";
import {Tables} from "./Tables.sol";

/// @notice Random but legal traffic, with its own books kept next to the market's.
/// @dev Every action makes a call that must succeed; the suite runs with fail_on_revert. Attacks that must fail are made
/// with try and counted too.
contract MarketHandler is Base {
    struct Model {
        uint256 size;
        uint160 first;
        uint256 salt;
        uint256 acc;
        uint256 paid;
    }

    IMarket public immutable market;
    TestToken public immutable token;

    uint256 public expectedHead = 1 << 41;
    uint256 public entries;
    uint256 public paidIn;
    uint256 public paidOut;
    uint256 public donated;
    uint64 public adapterCount;
    uint32 public splitCount;
    uint64 public offerCount;
    mapping(bytes32 action => uint256) public succeeded;
    mapping(bytes32 attack => uint256) public refused;

    mapping(uint32 split => Model) private _models;
    mapping(uint64 offer => mapping(address holder => uint256)) public expectedExpiry;

    constructor(IMarket market_, TestToken token_) {
        market = market_;
        token = token_;
        token_.mint(address(this), type(uint128).max);
        token_.approve(address(market_), type(uint256).max);
    }

    function register(uint256 actor, bytes32 terms) external {
        bytes32 manifest = keccak256(abi.encode("manifest", entries));
        vm.prank(_owner(actor));
        uint64 adapter = market.register(manifest, keccak256("base"), terms);
        vm.assertEq(adapter, ++adapterCount, "adapter number");
        _expect(1, adapter, _owner(actor), uint256(manifest), uint256(keccak256("base")), 0, terms);
        ++succeeded["register"];
    }

    function createSplit(uint8 size, uint8 place, uint256 salt) external {
        (address[] memory accounts, uint16[] memory shares) = _newTable(size, place, salt);
        uint32 split = market.createSplit(accounts, shares);
        vm.assertEq(split, splitCount, "split number");
        _expect(2, split, address(this), accounts.length, 0, 0, Tables.root(accounts, shares));
        ++succeeded["createSplit"];
    }

    function createOffer(uint64 adapter, uint32 split, uint64 price, uint32 duration) external {
        adapter = uint64(_clamp(adapter, 1, adapterCount));
        split = uint32(_clamp(split, 1, splitCount));
        price = uint64(_clamp(price, 1, 1e12));
        duration %= 2 days;
        (address owner,,,,,) = market.adapters(adapter);
        vm.prank(owner);
        uint64 offer = market.createOffer(adapter, _terms(split, price, duration));
        vm.assertEq(offer, ++offerCount, "offer number");
        _expect(3, offer, owner, adapter, price, uint256(split) | (uint256(duration) << 32), 0);
        ++succeeded["createOffer"];
    }

    function publish(uint8 size, uint8 place, uint256 salt, uint64 price) external {
        (address[] memory accounts, uint16[] memory shares) = _newTable(size, place, salt);
        bytes32 manifest = keccak256(abi.encode("manifest", entries));
        price = uint64(_clamp(price, 1, 1e12));
        vm.prank(_owner(salt));
        (uint64 adapter,, uint64 offer) = market.publish(manifest, 0, 0, accounts, shares, _terms(0, price, 1 hours));
        ++adapterCount;
        ++offerCount;
        _expect(1, adapter, _owner(salt), uint256(manifest), 0, 0, 0);
        _expect(2, splitCount, _owner(salt), accounts.length, 0, 0, Tables.root(accounts, shares));
        _expect(3, offer, _owner(salt), adapter, price, uint256(splitCount) | (uint256(1 hours) << 32), 0);
        ++succeeded["publish"];
    }

    function buy(uint64 offer, uint256 buyer, bytes32 orderRef) external {
        offer = uint64(_clamp(offer, 1, offerCount));
        (uint64 price, uint32 split, uint32 duration,,,,) = market.offers(offer);
        uint256 before = expectedExpiry[offer][_holder(buyer)];
        address holder = _holder(buyer);
        if (duration == 0 && before != 0) {
            // Sold for ever already: the attack is to be charged twice.
            try market.buy(offer, holder, price, orderRef) {
                revert("sold a perpetual license twice");
            } catch {
                ++refused["buy again"];
            }
            holder = address(uint160(uint256(keccak256(abi.encode(offer, entries)))));
            before = 0;
        }
        market.buy(offer, holder, price, orderRef);
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
        uint256 cumulative = _models[split].acc * shares[index] / 10_000;
        uint256 due = cumulative - market.claimed(split, accounts[index]);
        bytes32[] memory path = Tables.proof(accounts, shares, index);
        try market.claim(split, accounts[index], uint256(shares[index]) + 1, path) {
            revert("paid a share that is not in the table");
        } catch {
            ++refused["claim more"];
        }
        if (due != 0) {
            uint256 before = token.balanceOf(accounts[index]);
            vm.assertEq(market.claim(split, accounts[index], shares[index], path), due, "due");
            vm.assertEq(token.balanceOf(accounts[index]) - before, due, "received");
            _models[split].paid += due;
            paidOut += due;
            _expect(5, split, accounts[index], due, cumulative, shares[index], 0);
            ++succeeded["claim"];
        }
        try market.claim(split, accounts[index], shares[index], path) {
            revert("paid twice");
        } catch {
            ++refused["claim again"];
        }
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
    function claimEverything() external {
        for (uint32 split = 1; split <= splitCount; ++split) {
            (address[] memory accounts, uint16[] memory shares) = table(split);
            for (uint256 i = 0; i < accounts.length; ++i) {
                uint256 cumulative = _models[split].acc * shares[i] / 10_000;
                if (cumulative == market.claimed(split, accounts[i])) continue;
                uint256 due = market.claim(split, accounts[i], shares[i], Tables.proof(accounts, shares, i));
                _models[split].paid += due;
                paidOut += due;
                _expect(5, split, accounts[i], due, cumulative, shares[i], 0);
            }
        }
    }

    function table(uint32 split) public view returns (address[] memory accounts, uint16[] memory shares) {
        Model storage model = _models[split];
        return Tables.make(model.size, model.first, model.salt);
    }

    function booked(uint32 split) external view returns (uint256 acc, uint256 paid) {
        return (_models[split].acc, _models[split].paid);
    }

    function _newTable(uint8 size, uint8 place, uint256 salt)
        private
        returns (address[] memory accounts, uint16[] memory shares)
    {
        // Few places: the same accounts turn up in several splits.
        Model memory model = Model(_clamp(size, 1, 12), 0x7000000000 + uint160(place % 4), salt, 0, 0);
        _models[++splitCount] = model;
        return Tables.make(model.size, model.first, model.salt);
    }

    function _expect(uint8 kind, uint256 key, address who, uint256 a, uint256 b, uint256 c, bytes32 d) private {
        ++entries;
        bytes32 digest = keccak256(abi.encode(expectedHead, kind, key, who, entries, a, b, c, d));
        expectedHead = ((uint256(digest) >> 41) << 41) | entries;
    }

    function _terms(uint32 split, uint64 price, uint32 duration)
        private
        pure
        returns (IOffers.OfferTerms memory terms)
    {
        terms.split = split;
        terms.price = price;
        terms.duration = duration;
    }

    function _owner(uint256 actor) private pure returns (address) {
        return address(uint160(0xA000 + actor % 3));
    }

    function _holder(uint256 buyer) private pure returns (address) {
        return address(uint160(0xB000 + buyer % 3));
    }
}
