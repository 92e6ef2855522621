"""What `viz-node start` shows: one screen when the node is ready, then how its first start goes."""

from contextlib import ExitStack
from typing import Any, Self

from viz_node.cli.follow import ENDED, JobProgress, progress_for
from viz_node.cli.output import Output
from viz_node.cli.words import tokens


class StartScreen:
    """A live bar on a terminal, quiet lines otherwise; leave the context to end the bar."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._home = ""
        self._bars = ExitStack()
        self._bar: tuple[str, JobProgress] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.close()

    def ready(self, facts: dict[str, Any]) -> None:
        """Who the node is, where to look, and what to do next."""
        self._home = str(facts["home"])
        line = self._output.line
        line(f"The node is running on {self._home}")
        self._output.told(_identity(facts))
        self._output.heading("Next, in another terminal:")
        line("  viz-node content add FOLDER --rights owned --author YOU")
        line("  viz-node train NAME --content all")
        line("Stop with Ctrl-C.")

    def progress(self, job: dict[str, Any]) -> None:
        """Move the job's bar, or begin it, or end it."""
        if self._bar is None or self._bar[0] != job["job_id"]:
            self._bars.close()
            self._bar = (str(job["job_id"]), self._bars.enter_context(progress_for(self._output)))
        self._bar[1].update(job)
        if job["state"] in ENDED:
            self._bars.close()

    def sample(self, facts: dict[str, Any]) -> None:
        """The sample is for sale: how good it is, and how to try it."""
        name, evaluation = facts["name"], facts["evaluation"]
        line = self._output.line
        self._output.heading(
            f"A sample adapter is trained and published: {name}, {tokens(facts['price'])} of test money"
        )
        line(
            f"  perplexity on held-out text: {evaluation.get('perplexity_before')} before, "
            f"{evaluation.get('perplexity_after')} after"
        )
        line("Try it in another terminal:")
        line("  viz-node search")
        line(f'  viz-node generate {name} "In the year two, the old sailor"')
        line("  viz-node status          # names the dashboard")

    def trouble(self, message: str) -> None:
        """Why there is no sample, and where to look; the node runs on."""
        self._bars.close()
        self._output.news(f"the first start did not finish: {message}")
        self._output.news("next: viz-node jobs list   (the next start tries again)")


def _identity(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The node's names and places; the link has a line to itself, to be copied."""
    told = [(name, str(facts[name])) for name in ("peer", "account", "addresses", "dashboard")]
    told.append(("", "this link works once" + (f" ({facts['moved']})" if facts.get("moved") else "")))
    return told + ([("chain", f"{facts['chain']}, test money only")] if facts["dev"] else [])
