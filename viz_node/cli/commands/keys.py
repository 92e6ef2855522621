"""`viz-node keys`: show, back up and restore the node's keys; another passphrase; the account as a wallet file."""

from pathlib import Path

import click

from viz_node.cli import printer
from viz_node.cli.terminal import Command, Terminal, json_option, pass_terminal
from viz_node.errors import UsageError

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("keys")
def keys_command() -> None:
    """Show, back up or restore the node's keys. While the node runs, only `backup` and `show` work."""


def passphrase_option(command: Command) -> Command:
    """Add `--passphrase-file`; without it a person is asked."""
    return click.option(
        "--passphrase-file", type=_FILE, metavar="FILE", help="Read the passphrase from the first line of FILE."
    )(command)


def force_option(command: Command) -> Command:
    """Add `--force`."""
    return click.option("--force", is_flag=True, help="Move existing keys to keys.old-N.")(command)


def asked(source: Path | None, question: str, twice: bool) -> str:
    """A passphrase from the file, or from the person at the terminal. Raises: UsageError."""
    from viz_node.daemon.config import read_passphrase

    if source is not None:
        return read_passphrase(source, "name a readable --passphrase-file")
    if not printer.can_ask():
        raise UsageError("nobody can be asked for a passphrase here", "add --passphrase-file FILE")
    return printer.ask_secret(question, twice)


@keys_command.command("show")
@json_option
@pass_terminal
def show(terminal: Terminal) -> None:
    """Show the keystore's account and peer id, but no secrets."""
    from viz_node.daemon import key_care

    account, peer_id = key_care.names(terminal.home)
    terminal.output.body({"account": account, "peer_id": peer_id})


@keys_command.command("backup")
@click.argument("file", type=_FILE)
@passphrase_option
@json_option
@pass_terminal
def backup(terminal: Terminal, file: Path, passphrase_file: Path | None) -> None:
    """Write the four keys to FILE under a passphrase of at least 12 characters."""
    from viz_node.daemon import key_care

    keys = key_care.back_up(terminal.home, file, asked(passphrase_file, "Passphrase of the backup", twice=True))
    terminal.output.body({"file": str(file), "account": keys.account, "peer_id": keys.peer_id})
    terminal.output.line("it holds the keys only; works, adapters and licenses are in the home")


@keys_command.command("restore")
@click.argument("file", type=_FILE)
@passphrase_option
@force_option
@json_option
@pass_terminal
def restore(terminal: Terminal, file: Path, passphrase_file: Path | None, force: bool) -> None:
    """Restore the keys of the backup FILE into this home, which must have none yet."""
    from viz_node.daemon import key_care

    opening = asked(passphrase_file, "Passphrase of the backup", twice=False)
    keys, aside = key_care.restore(terminal.home, file, opening, force)
    terminal.output.body({"account": keys.account, "peer_id": keys.peer_id, "old_keys": aside and str(aside)})


@keys_command.command("change-passphrase")
@passphrase_option
@json_option
@pass_terminal
def change_passphrase(terminal: Terminal, passphrase_file: Path | None) -> None:
    """Lock the keystore with your own passphrase, which the node then reads from VIZ_NODE_PASSPHRASE_FILE."""
    from viz_node.daemon import key_care

    key_care.change_passphrase(terminal.home, asked(passphrase_file, "New passphrase", twice=True))
    terminal.output.body({"changed": True})
    terminal.output.line("next: name a file that holds it in VIZ_NODE_PASSPHRASE_FILE")


@keys_command.command("export-account")
@click.argument("file", type=_FILE)
@passphrase_option
@json_option
@pass_terminal
def export_account(terminal: Terminal, file: Path, passphrase_file: Path | None) -> None:
    """Write the account's key to FILE as a Web3 keystore (version 3), for wallets."""
    from viz_node.daemon import key_care

    locking = asked(passphrase_file, "Passphrase of the wallet file", twice=True)
    account = key_care.export_account(terminal.home, file, locking)
    terminal.output.body({"file": str(file), "account": account})


@keys_command.command("import-account")
@click.argument("file", type=_FILE)
@passphrase_option
@force_option
@json_option
@pass_terminal
def import_account(terminal: Terminal, file: Path, passphrase_file: Path | None, force: bool) -> None:
    """Use the account of the Web3 keystore FILE in this home; keep the other keys."""
    from viz_node.daemon import key_care

    opening = asked(passphrase_file, "Passphrase of the wallet file", twice=False)
    account, aside = key_care.import_account(terminal.home, file, opening, force)
    terminal.output.body({"account": account, "old_keys": aside and str(aside)})
