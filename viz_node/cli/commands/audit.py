"""`viz-node audit`: the auditor's command; needs no node, no home and no keys."""

from pathlib import Path
from typing import Any, Protocol

import click

from viz_node.cli.audit_report import print_report
from viz_node.cli.options import AccountName, BlockName, RpcUrl
from viz_node.cli.terminal import Terminal, json_option, pass_terminal
from viz_node.errors import VizNodeError

FINDINGS_STATUS = 1
NOT_RUN_STATUS = 2
OWN_KEY = "auditor.key"


class AuditCommand(click.Command):
    """`viz-node audit [ADAPTER]`; `viz-node audit verify FILE` is a command of its own."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] == ["verify"]:
            return verify_command.make_context("audit verify", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command("audit", cls=AuditCommand)
@click.argument("adapter", required=False)
@click.option(
    "--rpc-url",
    "rpc_urls",
    required=True,
    multiple=True,
    type=RpcUrl(),
    metavar="URL",
    help="Any node of the chain; its answers are checked. Two or more must agree on the block.",
)
@click.option(
    "--deployment",
    "deployment_path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Chain id, contract addresses and code digest.",
)
@click.option(
    "--block", type=BlockName(), default="finalized", show_default=True, help="finalized, safe, latest or a number."
)
@click.option(
    "--pool-data",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="Published data of pools (folder or file) to derive their roots again: viz-node pool data POOL --out DIR.",
)
@click.option(
    "--receipts",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Receipts of a channel (`channel receipts`), to compare with its redeemed vouchers. May be repeated.",
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write all evidence to a file.")
@click.option(
    "--since",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Read only entries after the checkpoint in FILE, and trust its signer for earlier ones.",
)
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="If the audit holds, write a signed checkpoint for a later --since, replacing an older one in FILE.",
)
@click.option(
    "--signer",
    "signers",
    multiple=True,
    type=AccountName(),
    metavar="ACCOUNT",
    help="Trust a checkpoint that another auditor's ACCOUNT signed. May be repeated.",
)
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Key that signs reports and checkpoints.  [default: your own key, for checkpoints only]",
)
@json_option
@pass_terminal
def audit_command(
    terminal: Terminal, /, report: Path | None, checkpoint: Path | None, key: Path | None, **asked: Any
) -> None:
    """Re-derive every sale, split and claim from the chain's log, and compare with the contract's state.

    ADAPTER, an id as `viz-node search` prints it, narrows the rows to what concerns that adapter.
    `viz-node audit verify FILE` checks a report again, offline.

    Exit status: 0 if all holds, 1 with a table of what does not, 2 if the audit could not run.
    """
    terminal.failure_status.append(NOT_RUN_STATUS)
    from viz_node.daemon.audit import compare_receipts, read_receipts, run_examination, write_report
    from viz_node.daemon.checkpoints import check_targets, read_checkpoint, read_key, write_checkpoint

    receipts, since, signers = asked.pop("receipts"), asked.pop("since"), asked.pop("signers")
    _check_options(report, checkpoint, key, since)
    if signers and since is None:
        raise click.UsageError("--signer trusts the checkpoint of --since FILE, which is not given")
    own_key = key or Path(click.get_app_dir("viz-node")) / OWN_KEY
    check_targets(report, checkpoint)
    if key is not None and (report is not None or key.exists()):
        read_key(key)
    published = [read_receipts(path) for path in receipts]
    start = None if since is None else read_checkpoint(since, own_key, signers)
    found = run_examination(start=start, **asked)
    files: dict[str, Any] = {}
    if report is not None:
        files["file"] = {"path": str(report), **write_report(found.report, found.evidence, report, key)}
    result = compare_receipts(found.report, found.evidence, published)
    if checkpoint is not None and result.ok:
        files["checkpoint"] = write_checkpoint(found, checkpoint, own_key)
    _print(terminal, report_body(result) | files)


def _check_options(report: Path | None, checkpoint: Path | None, key: Path | None, since: Path | None) -> None:
    if key is not None and (report, checkpoint, since) == (None, None, None):
        raise click.UsageError("--key signs a --report FILE or a --checkpoint FILE")
    if report is not None and since is not None:
        raise click.UsageError("a --report holds all evidence from the first entry on: make it without --since")


@click.command("verify")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@pass_terminal
def verify_command(terminal: Terminal, file: Path) -> None:
    """Check a report of `audit --report` again, without a network."""
    terminal.failure_status.append(NOT_RUN_STATUS)
    from viz_node.daemon.audit import verify_report

    report, signer = verify_report(file)
    _print(terminal, report_body(report) | {"file": {"path": str(file), "signer": signer or "nobody"}})


def _print(terminal: Terminal, body: dict[str, Any]) -> None:
    if terminal.output.is_json:
        terminal.output.document(body)
    else:
        print_report(terminal.output, body, _names(terminal))
    if not body["ok"]:
        raise click.exceptions.Exit(FINDINGS_STATUS)


def _names(terminal: Terminal) -> dict[str, str]:
    """Names by id of the adapters that the node of this home has, if one runs: the chain knows no names."""
    try:
        # A node that hangs must not hold an audit up.
        rows = terminal.client.call_list("adapters_list") if terminal.client.is_ready() else []
    except VizNodeError:
        return {}
    return {str(row["adapter_id"]): str(row["name"]) for row in rows if row.get("adapter_id") and row.get("name")}


class Report(Protocol):
    """What the audit found; `ok` in its data is the verdict."""

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""


def report_body(report: Report) -> dict[str, Any]:
    """The report as JSON-ready values, with its verdict under `ok`."""
    body: dict[str, Any] = _plain(report.to_dict())
    return body


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
