// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {PartsBooks} from "./PartsHandler.sol";
import {PoolTrees} from "./PoolTrees.sol";

/// @notice Random but legal use of one pool whose root divides among two splits.
abstract contract PoolsHandler is PartsBooks {
    uint256 internal constant FEE = 1_000;
    uint256 private constant PERIOD = 1 days;
    uint256 private constant SILENCE = 180 days;
    address private constant OPERATOR = address(0x09E7A708);
    address private constant CHALLENGER = address(0xC4A1);

    uint256 public lastPeriod;
    uint256 private immutable _start = block.timestamp;
    uint256 private _subscribers;
    uint256 private _next;
    uint256 private _allocated;
    uint256 private _posted;
    uint256 private _first;
    uint256 private _through;
    uint256 private _adoptableAt;
    bytes32 private _root;
    uint256[2] private _totals;
    uint256[2] private _proposed;
    uint256[2] private _credited;
    mapping(uint256 period => uint256) private _income;
    mapping(uint256 period => address[]) private _holders;

    function subscribe(uint256 ahead, uint256 count) public {
        uint256 first = _current() + ahead % 3;
        count = _clamp(count, 1, 3);
        address holder = address(uint160(0xF0000 + _subscribers++));
        market.subscribe(1, holder, first, count, 0);
        for (uint256 period = first; period < first + count; ++period) {
            _income[period] += FEE;
            _holders[period].push(holder);
        }
        if (first + count > lastPeriod) lastPeriod = first + count;
        paidIn += FEE * count;
        _expect(41, 1, holder, FEE * count, first | (count << 64), uint160(address(this)), 0);
        ++succeeded["subscribe"];
    }

    function postRoot(uint256 portion) public {
        if (_adoptableAt != 0) adoptRoot();
        if (_firstAllocable() >= _current()) vm.warp(_start + (_firstAllocable() + 1) * PERIOD);
        _first = _firstAllocable();
        _through = _current() - 1 < _first + 63 ? _current() - 1 : _first + 63;
        _posted = 0;
        for (uint256 period = _first; period <= _through; ++period) {
            _posted += _income[period];
        }
        uint256 one = _posted * (portion % 101) / 100;
        _proposed = [_totals[0] + one, _totals[1] + _posted - one];
        _root = PoolTrees.root(_splits(), _pair(_proposed));
        _adoptableAt = block.timestamp + 3 days;
        vm.prank(OPERATOR);
        market.postRoot(1, _through, _root, keccak256("data"), "ipfs://data");
        uint256 packed = _first | (_through << 64) | (_adoptableAt << 128);
        _expect(42, 1, OPERATOR, _posted, packed, uint256(keccak256("data")), _root);
        ++succeeded["postRoot"];
    }

    function veto(uint256 portion) external {
        if (_adoptableAt != 0 && block.timestamp >= _adoptableAt) adoptRoot();
        if (_adoptableAt == 0) postRoot(portion);
        vm.prank(CHALLENGER);
        market.veto(1);
        _adoptableAt = 0;
        _expect(43, 1, CHALLENGER, _posted, 0, 0, _root);
        ++succeeded["veto"];
    }

    function adoptRoot() public {
        if (_adoptableAt == 0) postRoot(37);
        if (block.timestamp < _adoptableAt) vm.warp(_adoptableAt);
        market.adoptRoot(1);
        for (uint256 period = _first; period <= _through; ++period) {
            delete _income[period];
        }
        (_adoptableAt, _next, _totals) = (0, _through + 1, _proposed);
        _allocated += _posted;
        _expect(44, 1, address(this), _posted, _allocated, _through, _root);
        ++succeeded["adoptRoot"];
    }

    function claimPool(uint256 index) external {
        index %= 2;
        if (_adoptableAt != 0) adoptRoot();
        if (_totals[index] == _credited[index]) {
            subscribe(0, 1);
            vm.warp(block.timestamp + PERIOD);
        }
        while (_totals[index] == _credited[index]) {
            postRoot(50);
            adoptRoot();
        }
        bytes32[] memory proof = PoolTrees.proof(_splits(), _pair(_totals), index);
        uint256 due = market.claimPool(1, uint32(index + 1), _totals[index], proof);
        vm.assertEq(due, _totals[index] - _credited[index], "due");
        _credited[index] += due;
        expectedAcc[uint32(index + 1)] += due;
        (,,,,,,,, bytes32 root) = market.pools(1);
        _expect(45, 1, address(this), due, index + 1, _totals[index], root);
        ++succeeded["claimPool"];
    }

    function refundPeriod() external {
        if (_adoptableAt != 0) adoptRoot();
        uint256 period = _firstAllocable();
        while (period < lastPeriod && _holders[period].length == 0) ++period;
        if (period >= lastPeriod) {
            period = _current();
            subscribe(0, 1);
        }
        uint256 end = _start + (period + 1) * PERIOD + SILENCE;
        if (block.timestamp < end) vm.warp(end);
        address holder = _holders[period][_holders[period].length - 1];
        _holders[period].pop();
        market.refundPeriod(1, period, holder);
        _income[period] -= FEE;
        paidOut += FEE;
        _expect(46, 1, address(this), FEE, period, uint160(holder), 0);
        ++succeeded["refundPeriod"];
    }

    /// @notice What waits in the pool for splits and subscribers, read from the market.
    function lockedInPool() external view returns (uint256 sum) {
        for (uint256 period = 0; period < lastPeriod; ++period) {
            sum += market.income(1, period);
        }
        (,,,,,, uint128 allocated, uint128 credited,) = market.pools(1);
        return sum + allocated - credited;
    }

    function _current() private view returns (uint256) {
        return (block.timestamp - _start) / PERIOD;
    }

    function _firstAllocable() private view returns (uint256) {
        uint256 silent = _start + SILENCE;
        uint256 first = block.timestamp < silent ? 0 : (block.timestamp - silent) / PERIOD;
        return first > _next ? first : _next;
    }

    function _splits() private pure returns (uint256[] memory splits) {
        splits = new uint256[](2);
        (splits[0], splits[1]) = (1, 2);
    }

    function _pair(uint256[2] memory two) private pure returns (uint256[] memory pair) {
        pair = new uint256[](2);
        (pair[0], pair[1]) = (two[0], two[1]);
    }
}
