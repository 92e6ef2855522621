"""Types of options that are checked before a command does anything."""

import click

from viz_node.errors import UsageError

BLOCK_TAGS = ("finalized", "safe", "latest")


class _Checked(click.ParamType[str]):
    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The value as it is. Raises: BadParameter."""
        try:
            return self.checked(str(value))
        except UsageError as error:
            self.fail(f"{error.message}; {error.hint}", param, ctx)

    def checked(self, text: str) -> str:
        """The text. Raises: UsageError."""
        raise NotImplementedError


class RpcUrl(_Checked):
    """The address of a chain's endpoint; what follows its scheme may be secret."""

    name = "url"

    def checked(self, text: str) -> str:
        """The address. Raises: UsageError."""
        if not text.lower().startswith(("http://", "https://")):
            raise UsageError("it is not the address of a chain's endpoint", "that begins with http:// or https://")
        return text


class BlockName(_Checked):
    """A block up to which the chain is read."""

    name = "block"

    def checked(self, text: str) -> str:
        """The block. Raises: UsageError."""
        is_number = text.isascii() and text.isdecimal() and len(text) < 19
        if not is_number and text not in BLOCK_TAGS:
            raise UsageError(f"{text!r:.60} is not a block", f"name {', '.join(BLOCK_TAGS)} or a number")
        return text


class AccountName(_Checked):
    """An account."""

    name = "account"

    def checked(self, text: str) -> str:
        """The account in lower case. Raises: UsageError."""
        from viz_node.domain.ids import parse_account

        return parse_account(text)
