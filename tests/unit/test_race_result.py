"""What a race came to: fates, figures, the page, and the files between its processes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from inventory_loadtest import report
from inventory_loadtest.charts import log_ticks, ticks
from inventory_loadtest.checker import LAWS
from inventory_loadtest.display import print_findings, result_table
from inventory_loadtest.history import Event, HistoryWriter, Outcome, Step, read_history
from inventory_loadtest.plan import CartPlan, Line, RacePlan
from inventory_loadtest.progress import Progress
from inventory_loadtest.report import render
from inventory_loadtest.result import Fate, RaceResult, fates_of, percentile
from inventory_loadtest.sample_orders import SAMPLE_FILE, sample_orders
from support.sound_race import World, sound_world


def result_of(world: World) -> RaceResult:
    stock = {p: units for e in world.history for p, units in e.units.items() if e.step is Step.CREATE_STOCK}
    filled = [event for event in world.history if event.step is Step.ADD_ITEMS]
    carts = tuple(
        CartPlan(event.cart_id, tuple(Line(p, q, 100) for p, q in event.units.items())) for event in filled
    )
    return RaceResult(RacePlan("r", stock, carts), world.history, world.state, generator_cpu_share=0.5)


def test_every_cart_has_one_fate() -> None:
    """Paid, paid in part, declined, in doubt, sold out; a cancelled one was paid."""
    assert result_of(sound_world()).fates == {
        "paid": Fate.PAID,
        "split": Fate.PARTLY_PAID,
        "declined": Fate.DECLINED,
        "flying": Fate.IN_DOUBT,
        "late": Fate.SOLD_OUT,
        "cancelled": Fate.PAID,
    }


def test_a_cart_that_nothing_is_known_of_is_an_error() -> None:
    """No event, or a refusal for another reason than stock: an error."""
    plan = RacePlan("r", {}, (CartPlan("a", (Line("x", 1, 1),)), CartPlan("b", (Line("x", 1, 1),))))
    refused = Event(Step.CREATE_CART, Outcome.REFUSED, 0, 1, reason="ID_REUSED", cart_id="a")
    assert fates_of(plan, [refused], sound_world().state) == {"a": Fate.ERROR, "b": Fate.ERROR}


def test_the_figures() -> None:
    """The figures count carts, units and time as their names say."""
    figures = result_of(sound_world()).figures()
    expected = {
        "carts": 6,
        "products": 2,
        "orders_paid": 2,
        "orders_partly_paid": 1,
        "orders_sold_out": 1,
        "orders_declined": 1,
        "orders_in_doubt": 1,
        "errors": 0,
        "sold_out_at": {"PayOrder": 1},
        "units_wanted": 9,
        "units_stocked": 9,
        "units_allocated": 5,
        "units_oversold": 0,
        "acknowledged_missing": 0,
        "violations": 0,
        "p50_ms": 500.0,
        "p99_ms": 500.0,
        "calls_repeated": 0,
        "calls_unknown": 0,
    }
    assert {name: figures[name] for name in expected} == expected
    assert figures["payments_per_s"] == round(3 / figures["paying_s"], 1)


def test_the_figures_count_what_is_wrong() -> None:
    """An oversell and a lost acknowledgement show in the figures by number."""
    world = sound_world()
    more = world.check_out("more", {"tea": 4})
    world.pay(more, "CAPTURED")
    del world.state.carts["late"]
    figures = result_of(world).figures()
    assert figures["units_oversold"] == 2
    assert figures["acknowledged_missing"] == 2  # the cart, and the items in it
    assert figures["violations"] > 2


def test_a_race_in_which_nobody_paid() -> None:
    """No payment: no latency, no rate, and no division by nothing."""
    world = World()
    world.stock("tea", 0)
    figures = result_of(world).figures()
    assert (figures["p50_ms"], figures["payments_per_s"], figures["duration_s"]) == (None, 0.0, 0.0)
    assert "Nothing was allocated" in render(result_of(world), "nobody")


@pytest.mark.parametrize(
    ("values", "p50", "p99"), [([], None, None), ([7], 7, 7), (list(range(101)), 50, 99)]
)
def test_percentiles(values: list[float], p50: float | None, p99: float | None) -> None:
    """Half are at or below p50, 99 of 100 at or below p99."""
    assert (percentile(values, 50), percentile(values, 99)) == (p50, p99)


def test_a_history_survives_its_file(tmp_path: Path) -> None:
    """Events are read back as they were written, in their order."""
    events = sound_world().history
    writer = HistoryWriter(tmp_path / "history.jsonl")
    writer.write(events)
    writer.close()
    assert list(read_history(tmp_path / "history.jsonl")) == events


def test_progress_survives_its_line() -> None:
    """Counts are read back; doubt begins with a payment in flight and ends with a definite answer."""
    progress = Progress()
    flying = Event(Step.PAY, Outcome.OK, 0, 1, state="PROCESSING")
    progress.count(flying)
    assert Progress.from_json(progress.to_json()) == progress
    assert (progress.paying, progress.in_doubt) == (1, 1)
    progress.count(replace(flying, step=Step.POLL))
    assert progress.in_doubt == 1
    progress.count(replace(flying, step=Step.POLL, state="CAPTURED"))
    assert (progress.paid, progress.in_doubt) == (1, 0)


class Page(HTMLParser):
    """Counts a page's tags, and finds what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.classes: Counter[str] = Counter()
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.classes.update((values.get("class") or "").split())
        self.fetched += [v for name, v in attrs if name in ("src", "href", "data") and v]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_holds_everything_it_shows() -> None:
    """One page: well nested, fetching nothing, a square for each cart, a line for each law."""
    text = render(result_of(sound_world()), "six carts")
    page = Page(text)
    assert page.open == []
    assert page.fetched == []
    assert not re.search(r"url\(|@import|https?:", text)
    squares = re.findall(r'<i class="([a-z-]+)" title=', text)
    assert Counter(squares) == {"paid": 2, "partly-paid": 1, "declined": 1, "in-doubt": 1, "sold-out": 1}
    assert page.classes["holds"] == len(LAWS) + 1
    assert "Everything holds" in text


@pytest.mark.parametrize(("drawn_max", "said"), [(6, False), (5, True)])
def test_as_many_carts_as_are_drawn(monkeypatch: pytest.MonkeyPatch, drawn_max: int, said: bool) -> None:
    """Six carts are six squares where there is room for them; else the page says how many it leaves out."""
    monkeypatch.setattr(report, "_CARTS_DRAWN_MAX", drawn_max)
    text = render(result_of(sound_world()), "six carts")
    assert len(re.findall(r'<i class="([a-z-]+)" title=', text)) == drawn_max
    assert ("The first 5 of 6." in text) == said


def test_the_page_tells_violations_and_escapes_ids() -> None:
    """What was found stands in the page, and an id is text there, whatever it looks like."""
    world = sound_world()
    world.stock("<script>", 1)
    world.state.stocks["<script>"].total = 7
    text = render(result_of(world), "broken & sad")
    assert "1 violations" in text
    assert "<script>" not in text
    assert "&lt;script&gt;: total 7 is not" in text
    assert "broken &amp; sad" in text
    assert Page(text).classes["fails"] == 1


def test_the_table_tells_the_same() -> None:
    """The table has the figures, and the findings name each violation."""
    world = sound_world()
    world.state.stocks["tea"].total += 1
    console = Console(record=True, width=200, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(result_table(result_of(world)))
    print_findings(result_of(world), console)
    console.file.close()
    text = console.export_text()
    assert re.search(r"6 +carts raced for 9 units; 9 were wanted", text)
    assert "stock-sums: tea: total 6 is not available" in text


def test_axes_have_round_numbers() -> None:
    """Ticks lie in the range and are round."""
    assert ticks(0, 100) == [0, 20, 40, 60, 80, 100]
    assert ticks(-0.02, 0.15) == [0.0, 0.05, 0.1, 0.15]
    assert ticks(3, 3) == [3]
    assert log_ticks(2, 400) == [3, 10, 30, 100, 300]


def test_the_sample_is_what_its_maker_makes() -> None:
    """The shipped file is the seeded script's: `python -m inventory_loadtest.sample_orders` writes it."""
    assert SAMPLE_FILE.read_text(encoding="utf-8") == sample_orders()
