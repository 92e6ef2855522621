// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice What both tokens below share: balances and allowances, and mint for everybody.
abstract contract Coins {
    uint8 public constant decimals = 6;
    uint256 public totalSupply;
    mapping(address account => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    function mint(address account, uint256 amount) external {
        totalSupply += amount;
        balanceOf[account] += amount;
        emit Transfer(address(0), account, amount);
    }

    function _move(address from, address to, uint256 amount) internal virtual {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        emit Transfer(from, to, amount);
    }

    function _approve(address owner, address spender, uint256 amount) internal {
        allowance[owner][spender] = amount;
        emit Approval(owner, spender, amount);
    }

    function _spend(address owner, uint256 amount) internal {
        uint256 allowed = allowance[owner][msg.sender];
        if (allowed != type(uint256).max) allowance[owner][msg.sender] = allowed - amount;
    }
}

/// @notice Behaves as Tether's token: returns nothing, approves only from zero or to zero, and can take a fee.
contract UsdtLike is Coins {
    string public constant name = "Like Tether";
    string public constant symbol = "USDTL";
    uint256 public basisPointsRate;

    /// @dev The switch that the real token's owner has.
    function setParams(uint256 rate) external {
        basisPointsRate = rate;
    }

    function approve(address spender, uint256 amount) external {
        require(amount == 0 || allowance[msg.sender][spender] == 0);
        _approve(msg.sender, spender, amount);
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        _spend(from, amount);
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) internal override {
        uint256 fee = amount * basisPointsRate / 10_000;
        super._move(from, to, amount - fee);
        if (fee != 0) super._move(from, address(this), fee);
    }
}

/// @notice Behaves as Circle's token: permits (ERC-2612), signed payments (ERC-3009), a block list, version "2" and no ERC-5267.
contract UsdcLike is Coins {
    string public constant name = "Like USD Coin";
    string public constant symbol = "USDCL";
    string public constant version = "2";
    bytes32 public constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    bytes32 public constant RECEIVE_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public immutable DOMAIN_SEPARATOR;
    mapping(address owner => uint256) public nonces;
    mapping(address account => bool) public isBlacklisted;
    mapping(address authorizer => mapping(bytes32 nonce => bool)) public authorizationState;

    constructor() {
        bytes32 kind = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        DOMAIN_SEPARATOR = keccak256(
            abi.encode(kind, keccak256(bytes(name)), keccak256(bytes(version)), block.chainid, address(this))
        );
    }

    /// @dev The real token leaves this to its blacklister.
    function blacklist(address account) external {
        isBlacklisted[account] = true;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        _approve(msg.sender, spender, amount);
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _spend(from, amount);
        _move(from, to, amount);
        return true;
    }

    function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
    {
        require(block.timestamp <= deadline, "FiatTokenV2: permit is expired");
        bytes memory data = abi.encode(PERMIT_TYPEHASH, owner, spender, value, nonces[owner]++, deadline);
        _check(owner, data, v, r, s);
        _approve(owner, spender, value);
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        require(to == msg.sender, "FiatTokenV2: caller must be the payee");
        require(block.timestamp > validAfter && block.timestamp < validBefore, "FiatTokenV2: not valid now");
        require(!authorizationState[from][nonce], "FiatTokenV2: authorization is used");
        authorizationState[from][nonce] = true;
        _check(
            from,
            abi.encode(RECEIVE_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce),
            v,
            r,
            s
        );
        _move(from, to, value);
    }

    function _check(address signer, bytes memory data, uint8 v, bytes32 r, bytes32 s) private view {
        bytes32 digest = keccak256(abi.encodePacked("\x19\x01", DOMAIN_SEPARATOR, keccak256(data)));
        address recovered = ecrecover(digest, v, r, s);
        require(recovered != address(0) && recovered == signer, "FiatTokenV2: invalid signature");
    }

    function _move(address from, address to, uint256 amount) internal override {
        require(!isBlacklisted[from] && !isBlacklisted[to], "Blacklistable: account is blacklisted");
        super._move(from, to, amount);
    }
}

/// @notice Counts in 18 decimals, and its symbol would clear the screen of a terminal.
contract DaiLike {
    string public constant symbol = "\x1b[2JDAIL";
    uint8 public constant decimals = 18;
}
