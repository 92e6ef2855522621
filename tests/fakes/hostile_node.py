"""A node whose every text is an attack on the terminal: what it answers to each operation, as its API would."""

import json
from typing import Any

from viz_node.cli.client import _answer_from

MARK = "[red]x[red]"
VERDICT = "verdict: every sale, split and claim holds"
EVIL = (
    f"\x1b[2J\x1b[H\x1b]8;;http://evil\x07{MARK}\x1b]8;;\x07\x9b31m\u202egpj\u2066\u200b\r\n{VERDICT}\n\u2028{VERDICT}"
    f"\u2029\x85\ttab\x00\x7f\ud800\U000e0041"
)
DIGEST = "ab" * 32
WORDY = (
    "when the old sailor came home in the year two, he paid 5.00 tokens for the third song of the harbour "
    f'{DIGEST}, and then said: viz-node license "the third song" --max-price 6.00, or else nothing would come of it'
)
PLAN = [{"what": EVIL, "amount": EVIL, "gas": "0.1", "consequence": EVIL,
         "paid_to": [{"account": EVIL, "share": EVIL, "amount": EVIL, "who": EVIL}]}]  # fmt: skip
PROGRESS = {"phase": EVIL, "step": 1, "steps": EVIL, "loss": EVIL, "tokens_per_second": 1e999, "eta_seconds": 1e999}
RESULT = {"text": EVIL, "paid": EVIL, "uses_left": EVIL, "channel": EVIL, "name": EVIL, "tx_hashes": [EVIL],
          "evaluation": {"perplexity_before": EVIL, "perplexity_after": EVIL, EVIL: EVIL}, EVIL: EVIL}  # fmt: skip
JOB = {
    "job_id": EVIL,
    "kind": EVIL,
    "name": EVIL,
    "state": "done",
    "progress": PROGRESS,
    "error": EVIL,
    "result": RESULT,
}
FAILED = JOB | {"state": "failed", "result": None, "error": f"NotFoundError: {EVIL}"}
FACTS = {"name": EVIL, "works": [EVIL], "nested": {EVIL: EVIL, "digest": DIGEST}, EVIL: [{EVIL: EVIL}]}
WORK = dict.fromkeys(("work_id", "title", "author", "rights", "media_type", "language", "characters"), EVIL)
PRICED = {"price": EVIL, "floor": EVIL, "ceiling": "1.00", "moves": EVIL, "delivery": EVIL, "time": EVIL, EVIL: EVIL}
OFFER = PRICED | {"offer": EVIL, "derived": EVIL, "matches": False, "is_open": EVIL, "adapter_id": EVIL, "name": EVIL}
ROYALTIES = {
    "rows": [{"split_id": EVIL, "share": EVIL, "accrued": EVIL, "claimed": EVIL, "due": EVIL}],
    "sales": [{"adapter": EVIL, "holder": EVIL, "price": EVIL, "block": EVIL, "tx_hash": EVIL}],
    "account": EVIL, "due": EVIL, "in_derived": EVIL, "in_escrow": EVIL, "in_pools": EVIL,
}  # fmt: skip
SHOWN = OFFER | {"permissions": {EVIL: EVIL}, "split": {EVIL: EVIL}, "manifest": FACTS} | dict.fromkeys(
    ("base_model", "license", "expires", "account", "peer_id", "evaluation"), EVIL
)  # fmt: skip
LISTED = [
    OFFER
    | WORK
    | FACTS
    | {"progress": PROGRESS, "connected": EVIL, "sender": EVIL, "pool": EVIL, "option": EVIL, "kind": EVIL}
]

SOURCE = dict.fromkeys(("title", "authors", "license", "reasons", "use", "place"), EVIL)
_EFFECT = {"tokens": 5, "base": 7.5, "adapter": 6.5}
REPORT = {
    "adapter": EVIL, "base": EVIL, "created": 1, "training": {}, "own": _EFFECT, "general": _EFFECT,
    "works": [{"work_id": EVIL, "title": EVIL, "characters": 9, "held_out": _EFFECT}] * 2,
    "samples": [{"prompt": EVIL, "base": EVIL, "adapter": EVIL}], "curve": [],
}  # fmt: skip
_ROW = dict.fromkeys(("name", "verdict", "state", "license", "base", "digest", "reason", "accepted"), EVIL)
BASE_ROW = _ROW | {"parameters": 7, "memory_bytes": 7, "tokens_per_second": EVIL, EVIL: EVIL}
SHOWN_BASE = {"row": BASE_ROW, "installed": {"path": EVIL, "provenance": FACTS}, "commit_source": EVIL,
              "access": EVIL, "statements": [{"about": EVIL, "text": EVIL, "source": EVIL}], "publisher": EVIL,
              "unusable": EVIL}  # fmt: skip
OBJECTS: dict[str, Any] = {
    "base_show": SHOWN_BASE,
    "base_accept": {"name": EVIL, "digest": EVIL, "verdict": EVIL, "accepted": EVIL},
    "plan_base_install": BASE_ROW | {"download_bytes": 7, "memory_here_bytes": 7, "access": EVIL},
    "content_add": {"added": [WORK], "refused": [{"path": EVIL, "error": EVIL}]},
    "plan_content_remove": WORK | {"adapters": [{"name": EVIL, "adapter_id": EVIL, "origin": EVIL}], "jobs": [EVIL]},
    "plan_adapters_remove": {"name": EVIL, "origin": EVIL, "loses": EVIL},
    "adapters_remove": {"name": EVIL},
    "content_remove": {"work_id": EVIL, "title": EVIL, "adapters": [EVIL], "jobs": [EVIL]},
    "content_text": {"text": EVIL, "next": None},
    "allowance": {"account": EVIL, "market": EVIL, "allowance": EVIL},
    "channel_show": FACTS | {"receipts": [EVIL], "kept": [EVIL]},
    "federation_create": {"federation_id": EVIL, "invite": EVIL},
    "jobs_show": JOB,
    "plan_base_train": FACTS | {"sources": [SOURCE], "steps": EVIL, "tokens": EVIL, "license": EVIL},
    "pool_show": FACTS | {"members": [FACTS], "roots": [FACTS]},
    "pricing_show": {"offers": [OFFER], "sales": [OFFER], "curve": [{"price": "1.00", "time": EVIL}],
                     "at": {"time": EVIL, "price": EVIL}},
    "adapters_report": {"report": REPORT, "curve": EVIL},
    "recipe_suggest": {"base": EVIL, "weights": EVIL, "is_gpu": EVIL, "memory_mb": EVIL, "estimated_mb": EVIL,
                       "recipe": {"rank": 8}},
    "royalties": ROYALTIES,
    "show": SHOWN,
}  # fmt: skip
PLAIN_OBJECTS = """
    base_use channel_receipts content_show export federation_join id jobs_cancel pool_data pool_join pool_leave
    pool_watch status
"""
JOBS = """
    allowance_revoke
    base_add base_build base_install base_train channel_close channel_open channel_top_up federation_run fetch generate
    generate_metered jobs_resume
    license notice_file pool_create pool_divide pool_subscribe pricing_set publish royalties_claim train withdraw
"""
LISTS = """
    adapters_list base_list channel_list config content_duplicates content_list
    federation_status jobs_list license_list notice_show peers
    pool_list search
"""
ANSWERS = (
    OBJECTS
    | dict.fromkeys(PLAIN_OBJECTS.split(), FACTS)
    | {name: {"job_id": EVIL} for name in JOBS.split()}
    | dict.fromkeys(LISTS.split(), LISTED)
    | {"base_catalogue": [BASE_ROW]}
    | {"doctor": [{"state": EVIL, "check": EVIL, "detail": EVIL, "fix": EVIL}]}
    | {"royalties_statement": [ROYALTIES["rows"][0] | {"entry": EVIL, "time": EVIL, "what": EVIL}]}
)


class HostileTransport:
    """Stands in for the HTTP exchange of NodeClient; the bytes are read as those of a real node."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.asked: list[str] = []

    def __call__(self, _method: str, path: str, params: dict[str, Any] | None, _timeout_seconds: float) -> Any:
        operation = path.rpartition("/")[2]
        self.asked.append(operation)
        if self.kind == "error":
            body = {"error": "RefusedError", "message": EVIL + "m" * 1_000_000, "hint": EVIL + "h" * 1_000_000}
            return _answer_from(500, json.dumps(body).encode())
        return _answer_from(200, json.dumps(self._answer(operation, params or {})).encode())

    def _answer(self, operation: str, params: dict[str, Any]) -> Any:
        if operation == "jobs_show" and self.kind == "failed job":
            return FAILED
        if operation == "federation_status" and "federation" in params:
            return FACTS
        if operation.startswith("plan_") and operation not in ANSWERS:
            return PLAN
        return {} if operation == "readyz" else ANSWERS[operation]


class WordyTransport(HostileTransport):
    """The same node, honest and long-winded: sentences with commands, names and ids in every place."""

    def _answer(self, operation: str, params: dict[str, Any]) -> Any:
        return _wordy(super()._answer(operation, params))

    def __call__(self, method: str, path: str, params: dict[str, Any] | None, timeout_seconds: float) -> Any:
        if self.kind == "error":
            body = {"error": "RefusedError", "message": WORDY, "hint": f"then: viz-node license {DIGEST}; {WORDY}"}
            return _answer_from(500, json.dumps(body).encode())
        return super().__call__(method, path, params, timeout_seconds)


def _wordy(value: Any) -> Any:
    if isinstance(value, dict):
        return {("told" if key == EVIL else key): _wordy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_wordy(item) for item in value]
    return WORDY if value == EVIL else value
