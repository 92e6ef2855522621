"""`viz-node jobs`: orders that survive a crash."""

import click

from viz_node.cli.follow import describe_progress
from viz_node.cli.terminal import Terminal, detach_option, json_option, pass_terminal


@click.group("jobs")
def jobs_command() -> None:
    """Manage durable jobs: list, show, cancel, resume."""


@jobs_command.command("list")
@json_option
@pass_terminal
def list_jobs(terminal: Terminal) -> None:
    """List every job with its state."""
    rows = terminal.client.call_list("jobs_list")
    if not terminal.output.is_json:
        rows = [row | {"progress": describe_progress(row.get("progress") or {})} for row in rows]
    terminal.output.rows(rows, ("job_id", "kind", "name", "state", "progress", "error"), "no jobs yet")


@jobs_command.command("show")
@click.argument("job")
@click.option("--follow", is_flag=True, help="Watch the job until it ends.")
@json_option
@pass_terminal
def show(terminal: Terminal, job: str, follow: bool) -> None:
    """Show the progress of JOB, and its result or error."""
    if follow:
        terminal.output.body(terminal.run_job({"job_id": job}, False) or {})
    else:
        terminal.output.body(terminal.client.call("jobs_show", job=job))


@jobs_command.command("cancel")
@click.argument("job")
@json_option
@pass_terminal
def cancel(terminal: Terminal, job: str) -> None:
    """Stop JOB and keep its checkpoint."""
    answer = terminal.client.call("jobs_cancel", job=job)
    if terminal.output.is_json:
        terminal.output.document(answer)
    told = "cancelled"
    if answer.get("stopping"):
        told += ", and what it was doing ends in the next minute: nothing more comes of it"
    terminal.output.line(f"{told}; to go on with it: viz-node jobs resume {answer.get('job_id', job)}")


@jobs_command.command("resume")
@click.argument("job")
@detach_option
@json_option
@pass_terminal
def resume(terminal: Terminal, job: str, detach: bool) -> None:
    """Continue a failed or cancelled JOB where it stopped."""
    answer = terminal.client.call("jobs_resume", job=job)
    ended = terminal.run_job({"job_id": job, **answer}, detach)
    if ended is not None:
        terminal.output.body(ended)
