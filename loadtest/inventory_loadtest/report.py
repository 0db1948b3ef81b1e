"""The report of a race: one page that holds everything it shows, for light, dark and small screens."""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inventory_client import v1
from inventory_loadtest import charts
from inventory_loadtest.checker import LAWS
from inventory_loadtest.evidence import Violation
from inventory_loadtest.history import Event, Step
from inventory_loadtest.page import render_page
from inventory_loadtest.plan import demand
from inventory_loadtest.result import Fate, RaceResult, percentile

_TEMPLATE = Path(__file__).with_name("report.html")
_CARTS_DRAWN_MAX = 5_000
_PRODUCTS_SHOWN = 12
_VIOLATIONS_SHOWN = 20
_SHOWN_MS_LEAST = 0.01
_STEPS = (Step.CREATE_CART, Step.ADD_ITEMS, Step.CHECKOUT, Step.PAY, Step.POLL)
_FATE_TEXTS = {
    Fate.PAID: "paid",
    Fate.SOLD_OUT: "sold out: left disappointed",
    Fate.DECLINED: "declined by the gateway, units given back",
    Fate.PARTLY_PAID: "paid in part, units held",
    Fate.IN_DOUBT: "in doubt, units held",
    Fate.ERROR: "ended by an error",
}


def write_report(result: RaceResult, path: Path, title: str) -> None:
    """Write the page.

    Args:
        result: of the race.
        path: the file; its folder must be there.
        title: a few words, for the window and the heading.
    Raises: OSError if it can't be written.
    """
    path.write_text(render(result, title), encoding="utf-8")


def render(result: RaceResult, title: str) -> str:
    """Make the page's text; see `write_report`."""
    figures = result.figures()
    stock_text, stock_chart = _stock(result)
    latency_text, latency = _latency(result.history)
    return render_page(
        _TEMPLATE,
        title=html.escape(title),
        heading=html.escape(title),
        verdict="Everything holds" if result.ok else f"{figures['violations']:,} violations",
        verdict_class="holds" if result.ok else "broken",
        lead=_lead(figures),
        figures=_cards(figures, gun=result.plan.gun),
        **_carts(result),
        stock_text=stock_text,
        stock_chart=stock_chart,
        products=_products(result) if len(result.plan.stock) > 1 else "",
        latency_text=latency_text,
        latency=latency,
        proof_text=_proof_text(figures),
        laws=laws(result.violations),
        footer=(
            f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. The load generator used "
            f"{figures['generator_cpu_share']:.0%} of a core; {figures['calls_repeated']:,} of "
            f"{figures['calls']:,} calls were sent again."
        ),
    )


def _lead(figures: dict[str, Any]) -> str:
    oversold = figures["units_oversold"]
    return (
        f"{figures['carts']:,} carts wanted {figures['units_wanted']:,} units; there were "
        f"{figures['units_stocked']:,}. {figures['orders_paid']:,} orders were paid, "
        f"{figures['orders_sold_out']:,} were too late. "
        + (f"{oversold:,} units were sold twice." if oversold else "Not one unit was sold twice.")
    )


def _cards(figures: dict[str, Any], *, gun: bool) -> str:
    cards = [
        (figures["orders_paid"], "orders paid", ""),
        (figures["orders_sold_out"], "left disappointed", ""),
        (figures["units_oversold"], "units oversold", "bad" if figures["units_oversold"] else "good"),
        (
            figures["acknowledged_missing"],
            "acknowledged, but missing",
            "bad" if figures["acknowledged_missing"] else "good",
        ),
        (figures["units_allocated"], f"of {figures['units_stocked']:,} units allocated", ""),
        # Without the gun the rate is that of the carts' arrival, and says nothing of the server.
        (figures["payments_per_s"], "payments captured a second", "")
        if gun
        else (figures["duration_s"], "seconds from the first call to the last", ""),
        (figures["p50_ms"], "ms: PayOrder, p50", ""),
        (figures["p99_ms"], "ms: PayOrder, p99", ""),
    ]
    return "".join(
        f'<div class="{css}"><b>{charts.number(value)}</b><span>{text}</span></div>'
        for value, text, css in cards
        if value is not None
    )


def _carts(result: RaceResult) -> dict[str, str]:
    """The section of the carts: a bar of the shares, a legend, and a square for every cart."""
    counts = Counter(result.fates.values())
    ended = _ended_s(result.history)
    began_s = min((e.started_s for e in result.history if e.step is not Step.CREATE_STOCK), default=0.0)
    in_order = sorted(result.fates, key=lambda cart_id: ended.get(cart_id, math.inf))
    squares = [
        f'<i class="{_css(result.fates[cart_id])}" title="{html.escape(cart_id)}: {result.fates[cart_id]}'
        f' after {ended.get(cart_id, began_s) - began_s:.2f} s"></i>'
        for cart_id in in_order[:_CARTS_DRAWN_MAX]
    ]
    text = "A square for every cart, in the order in which they got their last answer."
    if len(in_order) > _CARTS_DRAWN_MAX:
        text += f" The first {_CARTS_DRAWN_MAX:,} of {len(in_order):,}."
    if counts[Fate.SOLD_OUT]:
        at = ", ".join(f"{count:,} at {step}" for step, count in result.figures()["sold_out_at"].items())
        text += f" Sold out: {at}."
    shown = [fate for fate in Fate if counts[fate]]
    return {
        "carts_text": text,
        "carts": "".join(squares),
        "cart_size": "18px" if len(squares) <= 200 else "11px" if len(squares) <= 1500 else "6px",
        "share": "".join(f'<i class="{_css(f)}" style="flex:{counts[f]}"></i>' for f in shown),
        "legend": "".join(
            f'<li><i class="{_css(fate)}"></i><b>{counts[fate]:,}</b> {_FATE_TEXTS[fate]}</li>'
            for fate in shown
        ),
    }


def _stock(result: RaceResult) -> tuple[str, str]:
    """What is to be said of the stock over time, and its chart: from the log, on the database's clock."""
    moves: list[tuple[float, int, int]] = []
    for entries in result.state.log.values():
        available, allocated = 0, 0
        for entry in entries:
            if entry.action != v1.StockAction.STOCK_ACTION_CREATE:
                at_s = entry.create_time.seconds + entry.create_time.nanos / 1e9
                moves.append((at_s, entry.available_after - available, entry.allocated_after - allocated))
            available, allocated = entry.available_after, entry.allocated_after
    if not moves:
        return "Nothing was allocated.", ""
    moves.sort()
    began_s, ended_s = moves[0][0], moves[-1][0]
    margin_s = max(0.02, (ended_s - began_s) * 0.05)
    free, held = sum(result.plan.stock.values()), 0
    points: list[tuple[float, tuple[int, int]]] = [(-margin_s, (held, free))]
    for at_s, freed, taken in moves:
        free, held = free + freed, held + taken
        if points[-1][0] == at_s - began_s:
            points.pop()
        points.append((at_s - began_s, (held, free)))
    points.append((ended_s - began_s + margin_s, (held, free)))
    moments = len({at_s for at_s, _, _ in moves})
    text = (
        f"{len(moves):,} entries of the log, written in {moments:,} transactions within "
        f"{(ended_s - began_s) * 1000:,.0f} ms by the database's clock. "
        f"{held:,} units are allocated at the end, {free:,} are free."
    )
    chart = charts.stacked_steps(
        points,
        ("allocated", "available"),
        x_label="seconds since the first allocation",
        y_label="units",
    )
    legend = (
        '<ul class="legend"><li><i class="paid"></i>allocated</li><li><i class="free"></i>available</li></ul>'
    )
    return text, legend + chart


def _products(result: RaceResult) -> str:
    """Rows of the most wanted products: wanted, stocked, sold."""
    wanted = demand(result.plan.carts)
    most = max(*wanted.values(), *result.plan.stock.values())
    prefix = f"{result.plan.name}."
    rows = []
    for product_id, units in wanted.most_common(_PRODUCTS_SHOWN):
        stocked = result.plan.stock[product_id]
        stock = result.state.stocks.get(product_id, v1.Stock())
        marks = [
            ("wanted", 0.0, units / most),
            ("sold", 0.0, stock.allocated / most),
            ("stocked", stocked / most, None),
        ]
        value = f"{stock.allocated:,} of {stocked:,}; {units:,} wanted"
        rows.append(charts.row(product_id.removeprefix(prefix), marks, value))
    gone = sum(stock.available == 0 for stock in result.state.stocks.values())
    return (
        f'<section><h2>The most wanted products</h2><p class="muted">{gone:,} of {len(result.plan.stock):,} '
        "products have nothing left. Light: units wanted; the line: units stocked; solid: units allocated at "
        f'the end.</p><div class="rows">{"".join(rows)}</div></section>'
    )


def _latency(history: Iterable[Event]) -> tuple[str, str]:
    """What is to be said of the latencies, and their rows on one logarithmic scale."""
    by_step: dict[Step, list[float]] = {}
    for event in history:
        by_step.setdefault(event.step, []).append((event.ended_s - event.started_s) * 1000)
    shown = {step: sorted(by_step[step]) for step in _STEPS if step in by_step}
    if not shown:
        return "Nothing was called.", ""
    scale = charts.LogScale(max(_SHOWN_MS_LEAST, ms[end]) for ms in shown.values() for end in (0, -1))
    rows = []
    for step, ms in shown.items():
        p50, p99 = percentile(ms, 50) or 0.0, percentile(ms, 99) or 0.0
        marks: list[tuple[str, float, float | None]] = [
            ("whole", scale.at(ms[0]), scale.at(ms[-1])),
            ("most", scale.at(percentile(ms, 5) or 0.0), scale.at(percentile(ms, 95) or 0.0)),
            ("mid", scale.at(p50), None),
            ("tail", scale.at(p99), None),
        ]
        value = f"{charts.number(p50)} / {charts.number(p99)} ms, {len(ms):,} calls"
        rows.append(charts.row(step, marks, value))
    rows.append(scale.drawn(" ms"))
    text = (
        "From a call's first attempt to its last answer, as the cart waited for it; PayOrder has the payment "
        "gateway's time in it. Band: 90 of 100 calls. Green: half of them were faster (p50); amber: 99 of "
        "100 (p99). Right: p50 / p99."
    )
    return text, f'<div class="rows">{"".join(rows)}</div>'


def _proof_text(figures: dict[str, Any]) -> str:
    books = (
        "and the payment gateway's own books"
        if figures["gateway_books_read"]
        else "(the payment gateway's own books could not be read)"
    )
    return (
        f"A checker that shares no code with the server compared what {figures['carts']:,} carts saw with "
        f"the final stock, its log, the orders, the payments {books}, in {figures['checked_s']:.1f} s."
    )


def laws(violations: Iterable[Violation]) -> str:
    """Every law with its mark, and below it where it does not hold. Returns: HTML, to stand in a `.laws`."""
    violations = list(violations)
    found = {name: [v for v in violations if v.law == name] for name in LAWS}
    items = []
    for name, law in LAWS.items():
        broken = found[name]
        details = "".join(
            f"<li>{html.escape(f'{v.subject}: {v.text}')}</li>" for v in broken[:_VIOLATIONS_SHOWN]
        )
        if len(broken) > _VIOLATIONS_SHOWN:
            details += f"<li>and {len(broken) - _VIOLATIONS_SHOWN:,} more</li>"
        items.append(
            f'<li class="{"fails" if broken else "holds"}"><span class="mark">{"✗" if broken else "✓"}</span>'
            f"<span>{html.escape(law.text)}</span><code>{name}</code>"
            + (f"<ul>{details}</ul>" if details else "")
            + "</li>"
        )
    return "".join(items)


def _ended_s(history: Iterable[Event]) -> dict[str, float]:
    return {event.cart_id: event.ended_s for event in history if event.cart_id}


def _css(fate: Fate) -> str:
    return fate.replace(" ", "-")
