"""One bound, one message: the command line, the local API and the workers refuse the same numbers in the same words."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import click
import pytest

from tests.fakes.world import World
from viz_node.api.binding import call_of
from viz_node.cli.main import run, viz_node
from viz_node.cli.within import Decimal, Whole
from viz_node.domain import limits
from viz_node.domain.limits import Limit
from viz_node.domain.pretraining import parse_pretrain_recipe
from viz_node.domain.rounds import Coordinate
from viz_node.domain.training import Generate, Train
from viz_node.domain.usage import UseRequest
from viz_node.errors import UsageError
from viz_node.models.worker import Making
from viz_node.workers.serve import read_order

ACCOUNT = "0x" + "1" * 40
LIMITS = {name: value for name, value in vars(limits).items() if isinstance(value, Limit)}
GENERATE = ["generate", "elsin", "x"]
DRAWN = {"adapter": "elsin", "prompt": "x"}
PRICE = {"adapter": "elsin", "price": "5.00"}
PUBLISH = ["publish", "elsin", "--price", "5.00"]
POOL = {"name": "poems", "fee": "1.00", "challenger": f"{ACCOUNT}@12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu"}
CREATE = ["pool", "create", "poems", "--fee", "1.00", "--challenger", POOL["challenger"]]
FEDERATION = {"name": "ours", "content": [], "members": 2, "rounds": 3}
CREATE_FEDERATION = ["federation", "create", "ours", "--content", "x"]
WRITE = {"order": "generate", "base": {"name": "b", "path": "p", "digest": "d"}, "prompt": "x"}
ROUNDS = {"order": "coordinate", "run_id": "r", "terms_digest": "0" * 64, "rounds": 3, "state_dir": "s", "members": 2,
          "min_members": 2}  # fmt: skip


@dataclass(frozen=True)
class Doors:
    """How a number gets in at each door; an order of a worker names the number at the end of the path `at`."""

    limit: Limit
    line: list[str]
    operation: str
    body: Mapping[str, Any]
    key: str
    order: Mapping[str, Any] = field(default_factory=dict)
    at: tuple[str, ...] = ()


def _sampling(limit: Limit, name: str) -> Doors:
    return Doors(limit, [*GENERATE, f"--{name.replace('_', '-')}"], "generate", DRAWN, name, WRITE, ("sampling", name))


DOORS = {
    "CHANNEL_DAYS": Doors(
        limits.CHANNEL_DAYS,
        ["channel", "open", "elsin", "--deposit", "2.00", "--days"],
        "channel_open",
        {"adapter": "elsin", "deposit": "2.00"},
        "days",
    ),
    "POOL_DAYS": Doors(limits.POOL_DAYS, [*CREATE, "--days"], "pool_create", POOL, "days"),
    "GRACE_HOURS": Doors(limits.GRACE_HOURS, [*CREATE, "--grace-hours"], "pool_create", POOL, "grace_hours"),
    "PERIODS": Doors(
        limits.PERIODS,
        ["pool", "subscribe", "1", "--max-price", "9", "--periods"],
        "pool_subscribe",
        {"pool": 1, "max_price": "9"},
        "periods",
    ),
    "LICENSE_DAYS": Doors(
        limits.LICENSE_DAYS,
        [*PUBLISH, "--license", "subscription", "--days"],
        "publish",
        PRICE | {"license": "subscription"},
        "duration_days",
    ),
    "TARGET": Doors(
        limits.TARGET, [*PUBLISH, "--ceiling", "9", "--target"], "publish", PRICE | {"ceiling": "9"}, "target"
    ),
    "TARGET, later": Doors(
        limits.TARGET,
        ["pricing", "set", "elsin", "--price", "5.00", "--ceiling", "9", "--target"],
        "pricing_set",
        PRICE | {"ceiling": "9"},
        "target",
    ),
    "MEMBERS": Doors(
        limits.MEMBERS,
        [*CREATE_FEDERATION, "--members"],
        "federation_create",
        FEDERATION,
        "members",
        ROUNDS,
        ("members",),
    ),
    "ROUNDS": Doors(
        limits.ROUNDS, [*CREATE_FEDERATION, "--rounds"], "federation_create", FEDERATION, "rounds", ROUNDS, ("rounds",)
    ),
    "NEW_TOKENS": Doors(
        limits.NEW_TOKENS,
        [*GENERATE, "--max-new-tokens"],
        "generate",
        DRAWN,
        "max_new_tokens",
        WRITE,
        ("max_new_tokens",),
    ),
    "USE_TOKENS": Doors(
        limits.USE_TOKENS, [*GENERATE, "--metered", "--max-new-tokens"], "generate_metered", DRAWN, "max_new_tokens"
    ),
    "CORES": Doors(
        limits.CORES,
        ["train", "new", "--content", "all", "--cores"],
        "train",
        {"name": "new", "content": ["all"]},
        "cores",
        {"order": "train", "base": WRITE["base"], "texts": [], "out_dir": "o", "checkpoint_dir": "c"},
        ("cores",),
    ),
    "MEMORY": Doors(limits.MEMORY, ["recipe", "suggest", "--memory"], "recipe_suggest", {}, "memory_gb"),
    "TEMPERATURE": _sampling(limits.TEMPERATURE, "temperature"),
    "TOP_P": _sampling(limits.TOP_P, "top_p"),
    "MIN_P": _sampling(limits.MIN_P, "min_p"),
    "SEED": _sampling(limits.SEED, "seed"),
    "SEED, of a base": Doors(
        limits.SEED,
        ["base", "build", "--seed"],
        "base_build",
        {},
        "seed",
        {"order": "build_base", "out_dir": "o"},
        ("seed",),
    ),
}
ALL = pytest.mark.parametrize("doors", DOORS.values(), ids=DOORS)


def _beyond(limit: Limit) -> list[float]:
    if limit.is_whole:
        return [int(limit.least) - 1, int(limit.most) + 1]
    return [limit.least if limit.is_open else limit.least - 0.1, limit.most + 0.1]


def _order(doors: Doors, number: float) -> BytesIO:
    order = json.loads(json.dumps(doors.order))
    place = order
    for name in doors.at[:-1]:
        place = place.setdefault(name, {})
    place[doors.at[-1]] = number
    return BytesIO(json.dumps(order).encode())


@ALL
def test_command_line__beyond_the_limit__is_refused_in_its_words(
    doors: Doors, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in _beyond(doors.limit):
        if doors.limit is limits.USE_TOKENS and number < 1:
            continue  # `generate` has refused it by then, as a text of any kind
        assert run(["--home", str(tmp_path), *doors.line[:-1], f"{doors.line[-1]}={number}"]) == 2
        assert capsys.readouterr().err.splitlines()[0] == f"error: {doors.limit.message}"


@ALL
async def test_local_api__beyond_the_limit__is_refused_in_its_words(doors: Doors, tmp_path: Path) -> None:
    world = World(tmp_path)
    seller = world.node("seller")
    await seller.sell("elsin")
    call = call_of(seller.services.operations[doors.operation])
    for number in _beyond(doors.limit):
        with pytest.raises(UsageError) as refused:
            await call.start({**doors.body, doors.key: number})
        assert (refused.value.message, refused.value.hint) == (doors.limit.message, doors.limit.hint)


@pytest.mark.parametrize("doors", [one for one in DOORS.values() if one.at], ids=[n for n, o in DOORS.items() if o.at])
def test_worker__beyond_the_limit__is_refused_in_its_words(doors: Doors) -> None:
    kinds = Making | Train | Generate | Coordinate
    for number in (doors.limit.most, max(doors.limit.least, 2) if doors.limit.is_whole else doors.limit.most):
        read_order(_order(doors, number), kinds)
    for number in _beyond(doors.limit):
        with pytest.raises(UsageError) as refused:
            read_order(_order(doors, number), kinds)
        assert refused.value.message == doors.limit.message


@pytest.mark.parametrize("steps", [0, 10_000_001])
def test_steps_of_a_base__beyond_the_limit__are_refused_in_its_words(
    steps: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = tmp_path / "sources.toml"
    sources.touch()
    assert run(["--home", str(tmp_path), "base", "train", str(sources), f"--steps={steps}"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == f"error: {limits.PRETRAIN_STEPS.message}"
    with pytest.raises(UsageError, match=limits.PRETRAIN_STEPS.message):
        parse_pretrain_recipe({"steps": steps})


def test_request_of_a_use__too_long__is_refused_in_its_words() -> None:
    UseRequest("0" * 64, 1, 1, "x", 512)
    with pytest.raises(UsageError, match=limits.USE_TOKENS.message):
        UseRequest("0" * 64, 1, 1, "x", 513)


def _bounded(command: click.Command, context: click.Context) -> list[click.ParamType]:
    if isinstance(command, click.Group):
        found = [command.get_command(context, name) for name in command.list_commands(context)]
        return [kind for one in found if one is not None for kind in _bounded(one, context)]
    return [item.type for item in command.params]


def test_limits__each__has_a_door_here_and_an_option() -> None:
    kinds = _bounded(viz_node, click.Context(viz_node))
    bound = {kind.limit for kind in kinds if isinstance(kind, Whole | Decimal)}
    assert bound | {limits.USE_TOKENS} == set(LIMITS.values())
    assert {doors.limit for doors in DOORS.values()} == set(LIMITS.values()) - {limits.PRETRAIN_STEPS}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "1", None])
def test_check__no_number_of_the_range__is_refused(value: Any) -> None:
    for limit in LIMITS.values():
        with pytest.raises(UsageError):
            limit.check(value)
        limit.check(limit.most)
