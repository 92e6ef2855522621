"""The figures of the experiments, as PNG and SVG with the same bytes on every run; the only module that draws."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from viz_node.economics.demand import BOOM, BUST, TERMS, Shocks
from viz_node.economics.fraud import Fraud
from viz_node.economics.market import Comparison
from viz_node.economics.pump import FEES, Pump
from viz_node.economics.tables import Band

matplotlib.use("Agg")
# Verdana is named for readers of the SVG; that it is missing here is no news.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
from matplotlib import pyplot as plt  # noqa: E402  the backend has to be chosen first

# Okabe and Ito's palette: its colours stay apart for every common kind of colour blindness.
BLUE, ORANGE, GREEN, RED, SKY, PINK, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#777777"
RULE_COLORS = (RED, BLUE, GREEN)
STYLE = {
    "font.family": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "viz-node",
}
Draw = Callable[[Any], None]


def save_figure(figure: Any, folder: Path, name: str) -> list[Path]:
    """Write `name`.png and `name`.svg without a date, and close the figure."""
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    figure.savefig(paths[0], dpi=160, metadata={"Software": None})
    figure.savefig(paths[1], metadata={"Date": None})
    plt.close(figure)
    return paths


def draw_fraud(fraud: Fraud) -> Any:
    """Profit by attack and rule, and profit per bot by the share of idle payers."""
    figure, (left, right) = _panels(2, (11, 4.4), (1.25, 1))
    attacks = list(fraud.profit)
    labels = [f"{bots} × {uses:,}".replace(",", " ") for bots, uses in attacks]
    _grouped(
        left, labels, {name: [fraud.profit[attack][name] for attack in attacks] for name in fraud.profit[attacks[0]]}
    )
    left.set_yscale("symlog", linthresh=10, linscale=0.8)
    left.set(title="Only pro-rata pays bots", xlabel="bots × uses of each", ylabel="profit of the bots' owner [fees]")
    left.set_yticks([-100, -10, 0, 10, 100, 1000], ["−100", "−10", "0", "10", "100", "1 000"])
    shares = list(fraud.profit_per_bot_if_idle)
    styles = {"user-centric, idle fees shared out": (ORANGE, "o-"), "user-centric, idle fees held back": (BLUE, "s-")}
    styles["ScaledUserProp with fallback"] = (GREEN, "^-")
    for name, (color, marker) in styles.items():
        means = [fraud.profit_per_bot_if_idle[share][name].mean for share in shares]
        right.plot([100 * share for share in shares], means, marker, color=color, label=name, markersize=5)
    right.axhline(0, color="black", linewidth=0.8)
    right.set(
        title="Idle payers' fees must not be shared out",
        xlabel="payers who used nothing [%]",
        ylabel="profit per bot [fees]",
    )
    right.legend(loc="upper left")
    return figure


def draw_pump(pump: Pump) -> Any:
    """The best pump's profit by rule and fee, with buyers who never react and with buyers who do."""
    figure, (left, right) = _panels(2, (11, 4.2), (1, 1))
    rules = [name for name in pump.unreactive if name != "fixed"]
    colors = (SKY, BLUE, "#003B5C")
    steady = {f"fee {fee:.0%}": [_point(pump.unreactive[name][fee][0]) for name in rules] for fee in FEES}
    _grouped(left, rules, steady, colors)
    left.set_yscale("symlog", linthresh=100)
    left.set_yticks([0, 100, 1_000, 10_000, 100_000], ["0", "100", "1 000", "10 000", "100 000"])
    left.set_ylim(0, 1e6)
    left.set(title="Buyers who never react", ylabel="profit of the best pump [floor price = 100]")
    for place, name in enumerate(rules):
        if max(pump.unreactive[name][fee][0] for fee in FEES) == 0:
            left.annotate("no pump pays", (place, 0), (0, 6), textcoords="offset points", ha="center", color=GREEN)
    _grouped(right, rules, {f"fee {fee:.0%}": [pump.reactive[name][fee] for name in rules] for fee in FEES}, colors)
    right.set(title="Buyers who walk away above their valuation", ylabel="profit of the best pump, 95 % of seeds")
    right.get_legend().remove()
    return figure


def draw_prices(shocks: Shocks) -> Any:
    """The price of one offer through a boom and a bust, and income against volatility."""
    figure, (left, right) = _panels(2, (11, 4.2), (1.5, 1))
    colors = {"fixed": GREY, "naive 1559": RED, "capped 1559": ORANGE, "credit": BLUE, "VRGDA": PINK}
    for name, color in colors.items():
        left.step(range(len(shocks.paths[name])), shocks.paths[name], where="post", color=color, label=name)
    for span, text in ((BOOM, "demand × 4"), (BUST, "demand ÷ 4")):
        left.axvspan(span.start, span.stop, color="#F0F0F0", zorder=0)
        left.text((span.start + span.stop) / 2, 0.97, text, ha="center", va="top", transform=left.get_xaxis_transform())
    left.set(
        title="One population of buyers", xlabel="epoch", ylabel=f"price as the epoch opens [floor = {TERMS.floor:.0f}]"
    )
    left.set_ylim(bottom=90, top=1.12 * max(max(path) for path in shocks.paths.values()))
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=5, columnspacing=1.2, handlelength=1.4)
    for name, color in {**colors, "fixed, best in hindsight": "black"}.items():
        income, volatility = shocks.figures[name]["income"], shocks.figures[name]["volatility, % per epoch"]
        errors = [[income.mean - income.low], [income.high - income.mean]]
        right.errorbar(volatility.mean, income.mean, yerr=errors, fmt="o", color=color, capsize=3)
        above = -15 if name == "fixed" else 3  # it would cover its neighbour's point
        right.annotate(name, (volatility.mean, income.mean), (7, above), textcoords="offset points", color=color)
    right.set(title="More movement, not more income", xlabel="volatility of the price [% per epoch]")
    right.set(ylabel="seller's net income [fixed at the floor = 100]", xlim=(-0.4, 8.2))
    return figure


def draw_market(comparison: Comparison) -> Any:
    """Where the users' money goes by selling rule, and how unequal creators' incomes are."""
    figure, (left, right) = _panels(2, (11, 4.2), (2.2, 1))
    rules = list(comparison.rules)[::-1]
    starts = np.zeros(len(rules))
    receivers = {"holders": BLUE, "developers": SKY, "platform": GREY, "copycats": ORANGE, "bots, net": RED}
    receivers["held back for idle users"] = "#CFCFCF"
    for receiver, color in receivers.items():
        widths = np.maximum([comparison.rules[rule][f"{receiver} %"].mean for rule in rules], 0)
        left.barh(rules, widths, left=starts, color=color, label=receiver, height=0.62)
        for place, (start, width) in enumerate(zip(starts, widths, strict=True)):
            if width >= 4:
                shade = "white" if color in (BLUE, RED, GREY) else "black"
                left.text(start + width / 2, place, f"{width:.0f}", ha="center", va="center", color=shade)
        starts = starts + widths
    left.set(title="Where the money of honest users goes", xlabel="percent of what they pay", xlim=(0, 101))
    left.grid(axis="y", visible=False)
    left.legend(loc="upper center", bbox_to_anchor=(0.42, -0.14), ncols=6, columnspacing=1, handlelength=1)
    _dots(right, [comparison.rules[rule]["surplus per user"] for rule in rules])
    right.set(title="What users gain", xlabel="surplus per user [a license costs 10]")
    right.set_yticks(range(len(rules)), [""] * len(rules))
    return figure


def write_figures(figures: Iterable[tuple[str, Draw, Any]], folder: Path) -> list[Path]:
    """Draw and save each (name, how, what), in the house's style; returns the files."""
    with plt.rc_context(STYLE):
        return [path for name, draw, data in figures for path in save_figure(draw(data), folder, name)]


def _panels(count: int, size: tuple[float, float], widths: tuple[float, ...]) -> Any:
    return plt.subplots(1, count, figsize=size, width_ratios=widths, layout="constrained")


def _grouped(
    axes: Any, labels: list[str], series: dict[str, list[Band]], colors: tuple[str, ...] = RULE_COLORS
) -> None:
    width = 0.8 / len(series)
    for place, (name, bands) in enumerate(series.items()):
        means = np.array([each.mean for each in bands])
        errors = [means - [each.low for each in bands], [each.high for each in bands] - means]
        places = np.arange(len(labels)) + (place - (len(series) - 1) / 2) * width
        axes.bar(places, means, width, color=colors[place], label=name)
        if np.any(errors):
            axes.errorbar(places, means, yerr=np.abs(errors), fmt="none", ecolor="black", elinewidth=1, capsize=2)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(axis="x", visible=False)
    axes.legend()


def _dots(axes: Any, bands: list[Band]) -> None:
    means = [each.mean for each in bands]
    errors = [[each.mean - each.low for each in bands], [each.high - each.mean for each in bands]]
    axes.errorbar(means, range(len(bands)), xerr=errors, fmt="o", color=BLUE, capsize=3)
    axes.set_ylim(-0.5, len(bands) - 0.5)
    axes.set_xlim(left=0)


def _point(value: float) -> Band:
    return Band(value, value, value)
