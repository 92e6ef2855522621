"""What people and programs see of the market: real answers of the services, on the fakes."""

import asyncio
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest

from tests.fakes.world import World
from viz_node.cli.commands.market import license_command, publish_command, search_command, show_command
from viz_node.cli.commands.pricing import plot, pricing_command
from viz_node.cli.commands.royalties import royalties_command, with_worth
from viz_node.cli.terminal import Terminal
from viz_node.domain.answer import as_json
from viz_node.domain.decide_purchase import AskedPurchase
from viz_node.domain.orders import PublishOrder
from viz_node.domain.permissions import Permissions
from viz_node.domain.plan import gas_only
from viz_node.domain.terms import AskedTerms
from viz_node.errors import RefusedError
from viz_node.services.market.list_licenses import LicenseList

Answers = dict[str, Any]
Show = Callable[..., str]
ORDERS = {"publish", "license", "pricing_set", "royalties_claim"}


class Answering:
    """The node, with answers that were made before."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.called: list[str] = []

    def call(self, operation: str, **_params: Any) -> Any:
        self.called.append(operation)
        return self._answers[operation]

    call_list = call


async def ask_everything(directory: Path) -> Answers:
    world = World(directory)
    holder, peer = world.node("holder"), world.node("peer", 20_000_000)
    holder.add_adapter("elsin")
    permissions = Permissions(derivatives=True, derivative_share=500, territories=("AT", "DE"))
    asked = AskedTerms("5.00", None, "subscription", 30, "5.50", 20, False, permissions)
    await holder.live(PublishOrder("elsin", holder.publications.check_order("elsin", asked)))
    await holder.sell("fair", is_escrowed=True)
    peer.hear()
    answers: Answers = {"plan_license": as_json(await peer.purchase_plans.license("elsin", AskedPurchase(6_000_000)))}
    await peer.live(*(("license", {"adapter": name, "max_price": 6_000_000}) for name in ("elsin", "fair")))
    answers |= as_json({"search": await peer.listings.search(""), "show": await peer.listings.show("elsin")})
    answers |= {"pricing_show": as_json(await peer.prices.show("elsin", at=1_900_000_000))}
    answers |= {"license_list": as_json(await LicenseList(world.market(), peer.listings, peer.keys.account).held())}
    claims = as_json(gas_only(await holder.royalty_plans.claim(), False))
    return answers | dict.fromkeys(("plan_claim", "plan_publish", "plan_pricing"), claims)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return asyncio.run(ask_everything(tmp_path_factory.mktemp("world")))


@pytest.fixture
def show(answers: Answers, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Show:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    def run(command: click.Command, *arguments: str) -> str:
        terminal = Terminal(tmp_path)
        terminal.__dict__["client"] = Answering(answers)
        command.main(args=list(arguments), obj=terminal, standalone_mode=False, help_option_names=["-h", "--help"])
        assert not set(terminal.client.called) & ORDERS  # type: ignore[attr-defined]
        return " ".join(capsys.readouterr().out.split()) if "--json" not in arguments else capsys.readouterr().out

    return run


def test_show__person__reads_price_terms_and_who_is_paid(show: Show, answers: Answers) -> None:
    shown = show(show_command, "elsin")
    for words in (
        "5.00 tokens, up to 10 % above 5.00 tokens while more than 20 new licensees come per day",
        "from 5.00 to 5.50 tokens",
        "30 days after each payment",
        "direct: the money is the seller's at once",
        "allowed, for 5 % of what they earn",
        "AT, DE",
        "The licensee may run and adapt",
        "Who is paid",
        "base_model.digest",
    ):
        assert words in shown, words
    assert json.loads(show(show_command, "elsin", "--json")) == answers["show"]


def test_search__person__reads_range_delivery_and_terms(show: Show, answers: Answers) -> None:
    shown = show(search_command)
    assert "5.00 to 5.50 tokens" in shown
    assert "commercial, derivatives for 5 %, no training, only in AT DE" in shown
    assert "escrow" in shown
    assert json.loads(show(search_command, "--json")) == answers["search"]


def test_search__chain_is_down__says_once_why_no_price_is_shown(
    answers: Answers, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"name": "elsin", "adapter_id": "ab" * 32, "base_model": "small", "price": None, "licensed": False}
    monkeypatch.setitem(answers, "search", [row | {"error": "the chain does not answer"}] * 2)
    assert show(search_command).count("without a price, because the chain does not answer") == 1


def test_license__plan__says_who_is_paid(show: Show) -> None:
    shown = show(license_command, "elsin", "--max-price", "6.00", "--dry-run")
    assert "4.85 tokens of it, 97 %, to 0x" in shown
    assert "the platform: 3 %, fixed permanently" in shown
    assert "the key comes from the seller's node, which answers now" in shown


def test_license_list__person_and_program__licenses_and_orders(show: Show, answers: Answers) -> None:
    shown = show(license_command, "list")
    assert " elsin " in shown and " fair " in shown
    assert "on order" in shown
    assert "holder" in show(license_command, "list", "--sold")
    assert json.loads(show(license_command, "list", "--json")) == answers["license_list"]


def test_pricing_show__person__reads_what_matches(show: Show) -> None:
    shown = show(pricing_command, "show", "elsin", "--at", "2030-03-17T17:46:40")
    assert "2 prices derived from the ledger; none of them differ" in shown
    assert "at 2030-03-17 17:46:40 UTC: 5.00 tokens" in shown


def test_pricing_show__price_that_differs__is_counted(
    show: Show, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    sale = answers["pricing_show"]["sales"][0] | {"derived": "4.99", "matches": False}
    monkeypatch.setitem(answers, "pricing_show", answers["pricing_show"] | {"sales": [sale]})
    assert "2 prices derived from the ledger; 1 of them differ" in show(pricing_command, "show", "elsin")


def test_plot__rising_and_falling__between_lowest_and_highest() -> None:
    points = [{"time": str(number), "price": price} for number, price in enumerate(["5.00", "5.25", "5.50", "5.00"])]
    assert plot(points) == ["▁▄█▁", "from ▁ 5.00 tokens to █ 5.50 tokens, 0 to 3"]
    assert plot(points[:1]) == ["5.00 tokens all the time, 0 to 0"]


def test_royalties_claim__dry_run__shows_what_each_split_brings(show: Show) -> None:
    shown = show(royalties_command, "claim", "--dry-run")
    assert "claim from elsin" in shown
    assert "+4.85" in shown
    assert "costs more" not in show(royalties_command, "claim", "--dry-run", "--coin-price", "1")


@pytest.mark.parametrize(("coin_price", "is_marked"), [("2000", False), ("2000.000001", True), ("0", False)])
def test_with_worth__claim_that_brings_two_tokens_for_a_thousandth_coin(coin_price: str, is_marked: bool) -> None:
    row = {"what": "claim from split 1", "amount": "+2.00", "gas": "0.001", "consequence": "your part"}
    assert with_worth(row, Decimal(coin_price))["consequence"].startswith("costs more gas") == is_marked
    other = row | {"amount": ""}
    assert with_worth(other, Decimal(coin_price)) == other


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (publish_command, ["elsin", "--price", "5.00"]),
        (pricing_command, ["set", "elsin", "--price", "7.00"]),
        (royalties_command, ["claim"]),
        (license_command, ["elsin", "--max-price", "6.00"]),
    ],
    ids=["publish", "pricing set", "royalties claim", "license"],
)
def test_command_that_spends__nobody_to_ask__orders_nothing(
    show: Show, command: click.Command, arguments: list[str]
) -> None:
    assert show(command, *arguments, "--dry-run")
    with pytest.raises(RefusedError, match="nobody can be asked"):
        show(command, *arguments)
