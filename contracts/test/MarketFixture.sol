// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IOffers} from "../src/interfaces/IOffers.sol";
import {IWindows} from "../src/interfaces/IWindows.sol";
import {IMarket} from "../src/interfaces/IMarket.sol";
import {Setup} from "../src/Setup.sol";
import {Base, Vm} from "./Base.sol";
import {IToken} from "./IToken.sol";
import {Tables} from "./Tables.sol";

/// @notice A market with one publisher and one funded buyer, and a second reading of the ledger.
abstract contract MarketFixture is Base {
    address internal constant OWNER = address(0xA11CE);
    address internal constant BUYER = address(0xB0B);
    address internal constant STEWARD = address(0x57E4A4D);
    address internal constant HOLDER = address(0xCAFE);
    bytes32 internal constant MANIFEST = keccak256("manifest");
    bytes32 internal constant BASE_MODEL = keccak256("base model");
    bytes32 internal constant TERMS = keccak256("terms");
    bytes32 internal constant ORDER = keccak256("order");
    uint64 internal constant PRICE = 5_000_001;
    uint256 internal constant NOW = 1_800_000_000;
    uint256 internal constant FUNDS = 1e15;
    bytes32 internal constant ENTRY = keccak256("Entry(uint8,uint256,address,uint256,uint256,uint256,uint256,bytes32)");

    uint256 internal constant SEQUENCE = (1 << 40) - 1;
    uint256 internal constant PAUSED = 1 << 40;
    uint256 internal constant GENESIS = 1 << 41;

    IMarket internal market;
    IToken internal token;
    address[] internal accounts;
    uint16[] internal shares;

    function setUp() public virtual {
        vm.warp(NOW);
        token = IToken(vm.deployCode("TestToken.sol:TestToken", ""));
        _deploy(token);
        (accounts, shares) = Tables.make(5, 0x1000000000, 1);
    }

    function _deploy(IToken token_) internal {
        token = token_;
        market = _new(_setup(token_));
        token_.mint(BUYER, FUNDS);
        vm.prank(BUYER);
        token_.approve(address(market), FUNDS);
    }

    /// @dev One of the tokens of Tokens.sol.
    function _tokenOf(string memory name) internal returns (address) {
        return vm.deployCode(string.concat("Tokens.sol:", name), "");
    }

    /// @dev For deployments that must be refused: expectRevert looks at the next call.
    function deploy(Setup calldata setup) external returns (IMarket) {
        return _new(setup);
    }

    /// @dev From the built artifact: with `new`, every suite would hold the market, and the compiler would optimize it again
    /// for each.
    function _new(Setup memory setup) private returns (IMarket) {
        return IMarket(vm.deployCode("Market.sol:Market", abi.encode(setup)));
    }

    function _publish(uint32 duration) internal returns (uint64 adapter, uint32 split, uint64 offer) {
        vm.prank(OWNER);
        return market.publish(MANIFEST, BASE_MODEL, TERMS, accounts, shares, _terms(0, PRICE, duration));
    }

    /// @dev Suites that need a platform, or windows of their own, override this.
    function _setup(IToken token_) internal view virtual returns (Setup memory) {
        return Setup(token_, address(0), 0, STEWARD, _delays());
    }

    function _delays() internal pure returns (IWindows.Delays memory) {
        return IWindows.Delays({close: 1 days, delivery: 1 hours, dispute: 2 hours, veto: 3 days});
    }

    /// @dev A fixed price; without a duration for ever.
    function _terms(uint32 split, uint64 price, uint32 duration)
        internal
        pure
        returns (IOffers.OfferTerms memory terms)
    {
        terms.split = split;
        terms.price = price;
        terms.duration = duration;
    }

    function _buy(uint64 offer, address holder) internal {
        vm.prank(BUYER);
        market.buy(_item(offer), holder, PRICE, ORDER);
    }

    function _item(uint64 offer) internal view returns (uint256) {
        return _itemIn(address(market), offer);
    }

    function _claim(uint32 split, uint256 index) internal returns (uint256) {
        return market.claim(split, accounts[index], shares[index], Tables.proof(accounts, shares, index));
    }

    /// @dev Replays recorded logs onto `head` and returns the new head and the number of entries.
    function _replay(uint256 head, Vm.Log[] memory logs) internal view returns (uint256, uint256 count) {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(market) || logs[i].topics[0] != ENTRY) continue;
            bytes memory who = abi.encode(logs[i].topics[1], logs[i].topics[2], logs[i].topics[3]);
            bool wasPaused = head & PAUSED != 0;
            uint256 seq = abi.decode(logs[i].data, (uint256));
            vm.assertEq(seq, (head & SEQUENCE) + 1, "a gap in the ledger");
            bytes32 digest = keccak256(bytes.concat(bytes32(head), who, logs[i].data));
            head = ((uint256(digest) >> 41) << 41) | seq;
            if (_isPauseAfter(uint256(logs[i].topics[1]), wasPaused)) head |= PAUSED;
            ++count;
        }
        return (head, count);
    }

    function _isPauseAfter(uint256 kind, bool before) private pure returns (bool) {
        return kind == 16 || (before && kind != 17);
    }

    function _assertEntry(Vm.Log memory log, uint8 kind, uint256 key, address who, bytes memory data) internal pure {
        vm.assertEq(log.topics[0], ENTRY, "event");
        vm.assertEq(uint256(log.topics[1]), kind, "kind");
        vm.assertEq(uint256(log.topics[2]), key, "key");
        vm.assertEq(address(uint160(uint256(log.topics[3]))), who, "who");
        vm.assertEq(keccak256(log.data), keccak256(data), "data");
    }
}
