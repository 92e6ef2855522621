"""An audit cut in two at every block: to a checkpoint there, and on from it."""

from dataclasses import replace
from typing import Any

from viz_node.audit import Checkpoint, Evidence, Examination, checkpoint_of
from viz_node.audit.ancestry import read_headers
from viz_node.audit.checkpoint import encode_checkpoint, parse_checkpoint
from viz_node.audit.conclude import conclude, with_state
from viz_node.audit.report import make_report
from viz_node.chain.replay.divisions import NOTHING_PUBLISHED
from viz_node.domain.division import Recover
from viz_node.domain.ids import Account
from viz_node.identity.signatures import account_of, sign_as_account

KEY = b"\x17" * 32
ROWS = ("sales", "passed_on", "claims")


def checkpoint_at(found: Examination, block: int, recover: Recover) -> tuple[Checkpoint, dict[str, Any]]:
    """What an audit at an earlier block would have left, and its report, from the evidence of a later one."""
    early = part_of(found.evidence, -1, block)
    conclusion = conclude(early, recover)
    # Head and balance are proven at the later block; no entry is found fault with.
    assert {finding.sequence for finding in conclusion.findings} <= {0}
    block_there = read_headers(early.headers)[block]
    report = make_report(early, replace(conclusion, findings=(), block=block_there), None)
    statement, state = checkpoint_of(Examination(report, early, conclusion), Account(account_of(KEY)))
    raw = encode_checkpoint(statement, state, account_of(KEY), sign_as_account(KEY, statement.signed_text()))
    return parse_checkpoint(raw)[0], report.to_dict()


def part_of(evidence: Evidence, after: int, through: int) -> Evidence:
    """The evidence with the logs of some blocks only."""
    kept = [
        tuple(log for log in logs if after < log.block_number <= through)
        for logs in (evidence.logs, evidence.transfer_logs)
    ]
    return replace(evidence, logs=kept[0], transfer_logs=kept[1])


def assert_cut_anywhere(found: Examination, recover: Recover = NOTHING_PUBLISHED.recover) -> None:
    """Every figure of the whole audit is that of the part after a checkpoint, every row is in one of the parts."""
    whole = found.report.to_dict()
    for block in sorted({log.block_number for log in found.evidence.logs}):
        start, early = checkpoint_at(found, block, recover)
        rest = part_of(found.evidence, block, found.conclusion.block.number)
        conclusion = with_state(conclude(rest, recover, start), rest.state)
        late = make_report(rest, conclusion, None).to_dict()
        since, note = late.pop("since"), late["notes"][-1]
        assert (since["block_number"], since["trusted"]) == (block, (account_of(KEY),))
        assert f"block {block} is the word of" in note
        late["notes"] = late["notes"][:-1]
        for name in ROWS:
            assert early[name] + late.pop(name) == whole[name], (block, name)
        assert late == {name: value for name, value in whole.items() if name not in (*ROWS, "since")}, block
