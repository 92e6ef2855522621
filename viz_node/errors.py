"""Every error that viz-node raises on purpose: one tree, one screen.

VizNodeError
├── UsageError                 the caller's: wrong argument, configuration or amount
│   └── InvalidSplitError      shares that do not add up
├── NodeNotRunningError        no daemon answers on this home
├── VerificationError          somebody else's bytes are not what they claim to be
├── RefusedError               a rule of this node or of the offer says no
│   ├── PassphraseError        the keystore does not open
│   ├── PriceAboveLimitError   the offer costs more than `--max-price`
│   └── LicenseRequiredError   the account holds no valid license
├── UnreachableError           a peer or a chain did not answer; try again
│   ├── PeerUnreachableError
│   └── ChainUnavailableError
│       └── WrongChainError    the endpoint is of another chain
├── TransactionRevertedError   the chain said no; trying again does not help
├── InsufficientFundsError     not enough tokens or gas money
├── NotFoundError              no such work, adapter, job or federation
├── DeadlineError              it took too long; try again
├── LockedError                another process holds the home or the port
├── TrainingError              training, evaluation or generation failed
└── StorageError               the disk or the database failed: stop the node
    └── DiskFullError          there is no room left

`EXIT_STATUS` gives the process exit status of each class and `HTTP_STATUS` its status in the local API; a subclass
without an entry has its parent's. `describe_error` and `error_from` carry an error from one process to another.
"""

import errno
from collections.abc import Mapping
from typing import Any

_LONGEST_CHAIN = 10
_FULL = "No space left on device"
INSTALL_THE_REST = (
    "install the rest: pip install -c constraints.txt 'viz_node-VERSION-py3-none-any.whl[node,train,economics]'"
)
_MAKE_ROOM = "free some space (viz-node doctor says how much is left), then do it again; jobs: viz-node jobs resume JOB"


class VizNodeError(Exception):
    """Base of all; `hint` is the next command or step, without the cause."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(VizNodeError):
    """The caller gave something wrong; the same call fails again."""


class InvalidSplitError(UsageError):
    """The caller's shares do not divide the whole."""


class NodeNotRunningError(VizNodeError):
    """No daemon answers on this home; start one."""


class VerificationError(VizNodeError):
    """Bytes from a peer, a chain or a file are not what they claim; another source may help."""


class RefusedError(VizNodeError):
    """A rule forbids it (a file that is there is not overwritten, too); change the rule or the request."""


class PassphraseError(RefusedError):
    """The passphrase does not open the keystore."""


class PriceAboveLimitError(RefusedError):
    """The price on the chain is above what the buyer allows."""


class LicenseRequiredError(RefusedError):
    """The account holds no valid license for the adapter."""


class UnreachableError(VizNodeError):
    """The other side did not answer; a retry may help."""


class PeerUnreachableError(UnreachableError):
    """No address of the peer works now."""


class ChainUnavailableError(UnreachableError):
    """No RPC endpoint of the chain answers, or its answer makes no sense; a retry may help."""


class WrongChainError(ChainUnavailableError):
    """The endpoint belongs to another chain, or the market is not there; another endpoint may help."""


class TransactionRevertedError(VizNodeError):
    """The contract refused the transaction; the same one fails again."""


class InsufficientFundsError(VizNodeError):
    """The account has too little of the payment token or of the chain's own coin."""


class NotFoundError(VizNodeError):
    """Nothing has that name or id."""


class DeadlineError(VizNodeError):
    """It took longer than allowed; a retry may help."""


class LockedError(VizNodeError):
    """Another process holds the home or the port."""


class TrainingError(VizNodeError):
    """The training or inference process failed; its checkpoint is kept."""


class StorageError(VizNodeError):
    """The disk or the database failed; the node stops rather than guess."""


class DiskFullError(StorageError):
    """There is no room left on the disk; free some, then the same works."""


EXIT_STATUS: dict[type[VizNodeError], int] = {
    VizNodeError: 1,
    UsageError: 2,
    NodeNotRunningError: 3,
    VerificationError: 4,
    RefusedError: 4,
    UnreachableError: 5,
    TransactionRevertedError: 5,
    InsufficientFundsError: 6,
    NotFoundError: 7,
    DeadlineError: 8,
    LockedError: 9,
    TrainingError: 10,
    StorageError: 11,
}

HTTP_STATUS: dict[type[VizNodeError], int] = {
    VizNodeError: 500,
    UsageError: 422,
    NodeNotRunningError: 503,
    VerificationError: 502,
    RefusedError: 403,
    LicenseRequiredError: 402,
    UnreachableError: 503,
    TransactionRevertedError: 409,
    InsufficientFundsError: 402,
    NotFoundError: 404,
    DeadlineError: 504,
    LockedError: 423,
    TrainingError: 500,
    StorageError: 500,
    DiskFullError: 507,
}


def status_for(error: VizNodeError, table: dict[type[VizNodeError], int]) -> int:
    """The entry of the error's class, or of its nearest ancestor that has one."""
    return next(table[cls] for cls in type(error).__mro__ if cls in table)


def describe_error(error: VizNodeError) -> dict[str, str]:
    """The error as `{"error", "message", "hint"}`, for JSON."""
    return {"error": type(error).__name__, "message": error.message, "hint": error.hint}


def error_from(body: Mapping[str, Any], unknown: type[VizNodeError] = VizNodeError) -> VizNodeError:
    """The error that `describe_error` described; one of no class of the tree becomes `unknown`."""
    cls = class_named(str(body.get("error", ""))) or unknown
    return cls(str(body.get("message", "it gave no reason")), str(body.get("hint", "")))


def not_installed(error: BaseException) -> UsageError | None:
    """The error as what it is when a library is missing that only some parts of the program need; else None."""
    if not isinstance(error, ModuleNotFoundError) or not error.name or error.name.startswith("viz_node"):
        return None
    return UsageError(f"{error.name} is not installed: this installation is not the whole program", INSTALL_THE_REST)


def already_there(path: object, hint: str) -> RefusedError:
    """What every command says instead of overwriting a file or folder."""
    return RefusedError(f"{path} exists already", hint)


def disk_full(error: BaseException) -> DiskFullError | None:
    """The error as what it is when a full disk is behind it, wherever that was met; else None."""
    cause: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if cause is None:
            return None
        if isinstance(cause, DiskFullError):
            return cause
        is_full = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
        # Libraries and our own workers only say it in words; so may a peer, whose disk is not ours.
        is_said = not isinstance(cause, VizNodeError) or isinstance(cause, TrainingError)
        is_full = is_full or (is_said and _FULL in str(cause))
        if is_full or getattr(cause, "sqlite_errorname", "") == "SQLITE_FULL":
            return DiskFullError(f"the disk is full: {getattr(error, 'message', error)}", _MAKE_ROOM)
        cause = cause.__cause__ or cause.__context__
    return None


def class_named(name: str) -> type[VizNodeError] | None:
    """The class of the tree with this name."""
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, VizNodeError) else None
