"""What every command shares: the node's home, whether to print JSON, the connection to the node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from viz_node.cli.client import NodeClient
    from viz_node.cli.output import Output

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass
class Terminal:
    """One run of the command line; `failure_status`, when not empty, is the exit status of every deliberate error."""

    home: Path
    is_json: bool = False
    failure_status: list[int] = field(default_factory=list)
    is_home_given: bool = False

    @property
    def given_home(self) -> str | None:
        """The home, if it is not the usual one: advice names it."""
        return str(self.home) if self.is_home_given else None

    @cached_property
    def client(self) -> NodeClient:
        """The connection to the node of this home."""
        from viz_node.cli.client import NodeClient

        return NodeClient(self.home)

    @cached_property
    def output(self) -> Output:
        """Where this command prints."""
        from viz_node.cli.output import Output

        return Output(self.is_json, self.given_home)

    def run_job(self, answer: dict[str, Any], is_detached: bool, is_quiet: bool = False) -> dict[str, Any] | None:
        """Follow the job that `answer` started until it is done, and return it; None if the caller does not wait."""
        from viz_node.cli.follow import follow_job

        job_id = str(answer["job_id"])
        if is_detached:
            self.output.facts(answer, [("job", job_id)])
            self.output.line(f"next: viz-node jobs show {job_id}")
            return None
        return follow_job(self.client, self.output, job_id, is_quiet=is_quiet)


pass_terminal = click.make_pass_decorator(Terminal)


def _set_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Terminal).is_json = True


def json_option(command: Command) -> Command:
    """Add `--json`: data as one JSON document on stdout, an error as one on stderr."""
    return click.option("--json", is_flag=True, expose_value=False, callback=_set_json, help="Print JSON.")(command)


def detach_option(command: Command) -> Command:
    """Add `--detach`: return the job's id at once instead of following it."""
    return click.option("--detach", is_flag=True, help="Start the job and return; see `viz-node jobs`.")(command)


def content_option(command: Command) -> Command:
    """Add `--content`, repeatable and comma-separated."""
    return click.option(
        "--content",
        multiple=True,
        required=True,
        metavar="WORK[,WORK…]",
        help="Works by id, its first digits or title (without a comma); `all` for every work. May be repeated.",
    )(command)


def selected_works(terminal: Terminal, content: tuple[str, ...]) -> list[str]:
    """The works that `--content` names, in order, each once; the node knows what `all` is. Raises: UsageError."""
    from viz_node.errors import UsageError

    names = list(dict.fromkeys(part.strip() for item in content for part in item.split(",") if part.strip()))
    if "all" in names:
        return ["all"]
    if not names:
        raise UsageError("no work is selected", "add some: viz-node content add PATH… --rights owned --author NAME")
    return names
