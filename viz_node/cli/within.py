"""Numbers on the command line that the domain bounds: refused with the domain's own words."""

import click

from viz_node.domain.limits import Limit


class Whole(click.IntRange):
    """A whole number that the limit allows. Raises: UsageError."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(int(limit.least), int(limit.most))
        self.limit = limit

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number. Raises: BadParameter (it is none), UsageError (it is not allowed)."""
        number = int(click.INT(value, param, ctx))
        self.limit.check(number)
        return number


class Decimal(click.FloatRange):
    """A number that the limit allows. Raises: UsageError."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit.least, limit.most, min_open=limit.is_open)
        self.limit = limit

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Raises: BadParameter (it is none), UsageError (it is not allowed)."""
        number = float(click.FLOAT(value, param, ctx))
        self.limit.check(number)
        return number
