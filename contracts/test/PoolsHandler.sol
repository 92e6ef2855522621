// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IPools} from "../src/interfaces/IPools.sol";
import {PartsBooks} from "./PartsHandler.sol";
import {PoolTrees} from "./PoolTrees.sol";

/// @notice Random but legal use of one pool whose roots divide among two splits, and leave something to nobody.
abstract contract PoolsHandler is PartsBooks {
    struct Root {
        bytes32 root;
        uint256 first;
        uint256 through;
        uint256 amount;
        uint256 time;
        uint256 left;
        uint256 fees;
        uint256[2] units;
        bool[2] credited;
    }

    uint256 internal constant FEE = 1_000;
    uint256 private constant PERIOD = 1 days;
    uint256 private constant SILENCE = 180 days;
    uint256 private constant LAPSE = 30 days;
    uint256 private constant CREDIT_TIME = 180 days;
    address private constant OPERATOR = address(0x09E7A708);
    address private constant CHALLENGER = address(0xC4A1);

    uint256 private immutable _start = block.timestamp;
    uint256 private _subscribers;
    uint256 private _next;
    Root private _pending;
    Root[] private _adopted;
    uint256[] private _periods;
    mapping(uint256 period => uint256) private _income;
    mapping(uint256 period => address[]) private _holders;
    mapping(uint256 period => mapping(address holder => bool)) private _has;

    function subscribe(uint256 ahead, uint256 count) public {
        _subscribe(_newHolder(), _current() + ahead % 3, _clamp(count, 1, 3));
        ++succeeded["subscribe"];
    }

    /// @notice Pays a row of periods of which one was given.
    function subscribeAroundGift(uint256 gift) external {
        address holder = _newHolder();
        uint256 first = _current();
        _subscribe(holder, first + gift % 3, 1);
        _subscribe(holder, first, 3);
        ++succeeded["subscribe around a gift"];
    }

    function postRoot(uint256 portion) public {
        _conclude();
        if (_firstAllocable() >= _current()) vm.warp(_start + (_firstAllocable() + 1) * PERIOD);
        Root memory posted;
        posted.first = _firstAllocable();
        posted.through = _current() - 1 < posted.first + 63 ? _current() - 1 : posted.first + 63;
        for (uint256 period = posted.first; period <= posted.through; ++period) {
            posted.amount += _income[period];
        }
        posted.units[0] = posted.amount * (portion % 101) / 100;
        posted.units[1] = (posted.amount - posted.units[0]) * (portion % 7) / 7;
        posted.root = PoolTrees.root(_splits(), _pair(posted.units));
        posted.time = block.timestamp + 3 days;
        vm.prank(OPERATOR);
        market.postRoot(1, posted.through, posted.root, keccak256("data"), "ipfs://data");
        uint256 packed = posted.first | (posted.through << 64) | (posted.time << 128);
        _expect(42, 1, OPERATOR, posted.amount, packed, uint256(keccak256("data")), posted.root);
        _pending = posted;
        ++succeeded["postRoot"];
    }

    function veto(uint256 portion) external {
        if (_pending.time != 0 && block.timestamp >= _pending.time) _conclude();
        if (_pending.time == 0) postRoot(portion);
        vm.prank(CHALLENGER);
        market.veto(1);
        _expect(43, 1, CHALLENGER, _pending.amount, 0, 0, _pending.root);
        delete _pending;
        ++succeeded["veto"];
    }

    function adoptRoot() public {
        if (_hasLapsed()) _conclude();
        if (_pending.time == 0) postRoot(37);
        if (block.timestamp < _pending.time) vm.warp(_pending.time);
        market.adoptRoot(1);
        Root memory root = _pending;
        delete _pending;
        for (uint256 period = root.first; period <= root.through; ++period) {
            delete _income[period];
            root.fees += _holders[period].length;
        }
        (root.left, root.time, _next) = (root.amount, block.timestamp + CREDIT_TIME, root.through + 1);
        _adopted.push(root);
        _expect(44, 1, address(this), root.amount, root.time, root.through, root.root);
        ++succeeded["adoptRoot"];
    }

    /// @notice Nobody adopts a posted root.
    function lapse(uint256 portion) external {
        if (_pending.time == 0) postRoot(portion);
        if (block.timestamp < _pending.time + LAPSE) vm.warp(_pending.time + LAPSE);
        _conclude();
        ++succeeded["lapse"];
    }

    /// @notice The same claim twice, in one call.
    function claimPool(uint256 index, bool old) external {
        index %= 2;
        (uint256 position, bool found) = _claimable(index, old);
        while (!found) {
            _conclude();
            subscribe(0, 1);
            vm.warp(block.timestamp + PERIOD);
            postRoot(50);
            adoptRoot();
            (position, found) = _claimable(index, old);
        }
        Root storage root = _adopted[position];
        IPools.PoolClaim[] memory claims = new IPools.PoolClaim[](2);
        bytes32[] memory proof = PoolTrees.proof(_splits(), _pair(root.units), index);
        claims[0] = IPools.PoolClaim(1, root.through, uint32(index + 1), root.units[index], proof);
        claims[1] = claims[0];
        uint256 due = market.claimPool(claims);
        vm.assertEq(due, root.units[index], "due");
        root.credited[index] = true;
        root.left -= due;
        expectedAcc[uint32(index + 1)] += due;
        _expect(45, 1, address(this), due, index + 1, root.through, root.root);
        ++succeeded["claimPool"];
    }

    function refundPeriod() external {
        _conclude();
        uint256 period = _firstAllocable();
        uint256 last = _current() + 3;
        while (period < last && _holders[period].length == 0) ++period;
        if (period >= last) {
            period = _current();
            subscribe(0, 1);
        }
        uint256 end = _start + (period + 1) * PERIOD + SILENCE;
        if (block.timestamp < end) vm.warp(end);
        address holder = _leave(period);
        market.refundPeriod(1, period, holder);
        _income[period] -= FEE;
        paidOut += FEE;
        _expect(46, 1, address(this), FEE, period, uint160(holder), 0);
        ++succeeded["refundPeriod"];
    }

    function refundRest() external {
        while (_adopted.length == 0 || _adopted[_adopted.length - 1].left == 0) {
            _conclude();
            subscribe(0, 1);
            vm.warp(block.timestamp + PERIOD);
            postRoot(8);
            adoptRoot();
        }
        Root storage root = _adopted[_adopted.length - 1];
        if (block.timestamp < root.time) vm.warp(root.time);
        uint256 period = root.first;
        while (_holders[period].length == 0) ++period;
        address holder = _leave(period);
        uint256 before = token.balanceOf(address(this));
        market.refundRest(1, root.through, period, holder);
        uint256 part = token.balanceOf(address(this)) - before;
        vm.assertTrue(part == root.left / root.fees || part == root.left / root.fees + 1, "an equal part");
        root.left -= part;
        --root.fees;
        paidOut += part;
        _expect(47, 1, address(this), part, period, uint160(holder), root.root);
        ++succeeded["refundRest"];
    }

    /// @notice What waits in the pool for splits and subscribers, read from the market.
    function lockedInPool() external view returns (uint256 sum) {
        for (uint256 i = 0; i < _periods.length; ++i) {
            sum += market.income(1, _periods[i]);
        }
        for (uint256 i = 0; i < _adopted.length; ++i) {
            (, uint128 left,,,) = market.roots(1, _adopted[i].through);
            vm.assertEq(left, _adopted[i].left, "left");
            sum += left;
        }
    }

    /// @dev Adopts what is posted, unless it has lapsed.
    function _conclude() private {
        if (_hasLapsed()) delete _pending;
        if (_pending.time != 0) adoptRoot();
    }

    function _subscribe(address holder, uint256 first, uint256 count) private {
        (,,,,,,, bytes32 terms) = market.pools(1);
        market.subscribe(1, terms, holder, first, (1 << count) - 1, 0);
        uint256 entered = 0;
        uint256 paid = 0;
        for (uint256 i = 0; i < count; ++i) {
            if (_has[first + i][holder]) continue;
            entered |= 1 << i;
            paid += FEE;
            _enter(first + i, holder);
        }
        paidIn += paid;
        _expect(41, 1, holder, paid, first | (entered << 64), uint160(address(this)), 0);
    }

    function _newHolder() private returns (address) {
        return address(uint160(0xF0000 + _subscribers++));
    }

    function _enter(uint256 period, address holder) private {
        if (_holders[period].length == 0) _periods.push(period);
        _has[period][holder] = true;
        _holders[period].push(holder);
        _income[period] += FEE;
    }

    function _leave(uint256 period) private returns (address holder) {
        holder = _holders[period][_holders[period].length - 1];
        _holders[period].pop();
    }

    function _hasLapsed() private view returns (bool) {
        return _pending.time != 0 && block.timestamp >= _pending.time + LAPSE;
    }

    /// @dev The oldest or the newest adopted root that a split can still claim from.
    function _claimable(uint256 index, bool old) private view returns (uint256 position, bool found) {
        for (uint256 i = 0; i < _adopted.length && !(found && old); ++i) {
            Root storage root = _adopted[i];
            if (block.timestamp >= root.time || root.credited[index] || root.units[index] == 0) continue;
            (position, found) = (i, true);
        }
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
