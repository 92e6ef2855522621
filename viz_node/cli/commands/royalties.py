"""`viz-node royalties`: what is owed to this account."""

import click

from viz_node.cli.terminal import Terminal, detach_option, json_option, pass_terminal


@click.group("royalties", invoke_without_command=True)
@json_option
@click.pass_context
def royalties_command(ctx: click.Context) -> None:
    """What is owed to this account; `royalties claim` takes it."""
    if ctx.invoked_subcommand is not None:
        return
    terminal = ctx.ensure_object(Terminal)
    output = terminal.output
    answer = terminal.client.call("royalties")
    if output.is_json:
        output.document(answer)
        return
    output.rows(answer["rows"], ("split_id", "share", "accrued", "claimed", "due"), "no split names this account yet")
    if answer.get("sales"):
        output.line("")
        output.rows(answer["sales"], ("adapter", "holder", "price", "block", "tx_hash"))
    output.line(f"due to {answer['account']}: {answer['due']}")


@royalties_command.command("claim")
@detach_option
@json_option
@pass_terminal
def claim(terminal: Terminal, detach: bool) -> None:
    """Take everything that is due, to this node's account."""
    job = terminal.run_job(terminal.client.call("royalties_claim"), detach)
    if job is not None:
        terminal.output.body(job if terminal.output.is_json else job.get("result") or {})
        terminal.output.line("claimed")
