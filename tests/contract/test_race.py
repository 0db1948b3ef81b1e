"""Whole races against the real server: the carts' process, the reading, the proof, the command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from inventory_loadtest.history import Step, read_history
from inventory_loadtest.orders import read_orders
from inventory_loadtest.plan import NAME_CHARS_MAX, plan_of_orders, synthetic_plan
from inventory_loadtest.progress import Progress
from inventory_loadtest.race import RaceError, Watcher, run_race
from inventory_loadtest.sample_orders import SAMPLE_FILE
from inventory_server.cli import app
from inventory_server.launch import INVENTORY_COMMAND, LaunchedProcess, ephemeral_server

TIMEOUT_S = 300


def command(*args: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [*INVENTORY_COMMAND, *map(str, args)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@pytest.mark.fault(19)
def test_many_carts_and_few_units(server: LaunchedProcess, store: str, tmp_path: Path) -> None:
    """200 carts for 30 units, all at once: exactly 30 are paid, and every law holds."""
    told: list[Progress] = []
    read: list[tuple[int, int]] = []
    history = tmp_path / "history.jsonl"
    result = run_race(
        synthetic_plan("race", carts=200, stock=30),
        server.address,
        store=store,
        history=history,
        watcher=Watcher(told.append, lambda done, total: read.append((done, total))),
    )
    figures = result.figures()
    assert result.violations == []
    assert (figures["orders_paid"], figures["orders_sold_out"], figures["errors"]) == (30, 170, 0)
    assert (figures["units_allocated"], figures["units_oversold"]) == (30, 0)
    assert told[-1].done == 200
    assert read[-1][0] == read[-1][1] >= 601
    assert sum(event.step is Step.PAY for event in read_history(history)) == 200


def test_payments_start_together(server: LaunchedProcess, store: str) -> None:
    """With the gun nobody pays before the last cart has checked out."""
    result = run_race(synthetic_plan("race", carts=50, stock=5), server.address, store=store)
    last_checkout_s = max(event.ended_s for event in result.history if event.step is Step.CHECKOUT)
    first_payment_s = min(event.started_s for event in result.history if event.step is Step.PAY)
    assert last_checkout_s <= first_payment_s


def test_carts_that_arrive_one_by_one(server: LaunchedProcess, store: str) -> None:
    """At a rate and without the gun the late ones are turned away before they come to pay."""
    for name in ("race", "again", "more"):  # a server that is paused meanwhile meets all at once
        plan = synthetic_plan(
            name, carts=150, stock=20, products=5, lines=2, split_share=0.3, carts_per_s=100
        )
        result = run_race(plan, server.address, store=store)
        figures = result.figures()
        assert result.violations == []
        assert figures["duration_s"] > 1.4
        if "AddCartItems" in figures["sold_out_at"]:
            break
    assert figures["sold_out_at"]["AddCartItems"] > 0


@pytest.mark.fault(14, 19)
def test_the_sample_orders_and_a_difficult_gateway() -> None:
    """Real-looking orders, with declines, duplicates and split payments: the gateway's books agree."""
    orders = read_orders(SAMPLE_FILE).lines
    plan = plan_of_orders("orders", orders, stock_ratio=0.6, split_share=0.3)
    with ephemeral_server("--gateway-args", "--decline-rate 0.2 --duplicate-rate 0.3") as address:
        result = run_race(plan, address)
    figures = result.figures()
    assert result.violations == []
    assert figures["errors"] == 0
    assert figures["orders_declined"] > 0
    assert figures["orders_paid"] > 0
    assert figures["orders_sold_out"] > 0


def test_a_name_that_was_used_before(server: LaunchedProcess, store: str) -> None:
    """A race whose stock is there proves nothing: it is refused."""
    plan = synthetic_plan("race", carts=1, stock=1)
    run_race(plan, server.address, store=store)
    other = synthetic_plan("race", carts=1, stock=2)
    with pytest.raises(RaceError, match="the stock can't be made: ID_REUSED"):
        run_race(other, server.address, store=store)


def test_a_server_that_is_not_there() -> None:
    """Nobody at the address: one line that says so."""
    with pytest.raises(RaceError, match=r"^127\.0\.0\.1:1: UNAVAILABLE: "):
        run_race(synthetic_plan("race", carts=1, stock=1), "127.0.0.1:1")


def test_a_store_that_is_not_there(server: LaunchedProcess) -> None:
    """An unknown store is told before anything starts."""
    with pytest.raises(RaceError, match="STORE_NOT_FOUND"):
        run_race(synthetic_plan("race", carts=1, stock=1), server.address, store="nowhere")


def test_the_command_against_a_given_server(server: LaunchedProcess, store: str, tmp_path: Path) -> None:
    """Figures and page are written where they were asked for; exit status 0."""
    figures_file, page = tmp_path / "new" / "race.json", tmp_path / "race.html"
    done = command(
        *("race", "--target", server.address, "--store", store, "--carts", "40", "--stock", "10"),
        *("--json", figures_file, "--report", page),
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(figures_file.read_text())
    assert (figures["orders_paid"], figures["violations"]) == (10, 0)
    assert page.read_text().startswith("<!doctype html>")
    assert "units oversold" in done.stdout


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["--carts", "0"], 2, "carts must be 1 to"),
        (["--lines", "2"], 2, "lines must be 1 to 1"),
        (["--carts-per-s", "-1"], 2, "carts_per_s must be"),
        (["--stock-ratio", "0.5"], 2, "--stock-ratio"),
        (["--columns", "order=X"], 2, "--columns"),
        (["--orders", "{file}", "--carts", "5"], 2, "--carts"),
        (["--orders", "{file}", "--columns", "colour=x"], 2, "columns are written"),
        (["--orders", "{file}"], 1, "bad.csv:3: quantity must be 1 to 2^43-1, not 0"),
        (["--orders", "/nowhere.csv"], 2, "does not exist"),
        (["--name", "two words"], 2, "--name"),
        (["--name", "n" * (NAME_CHARS_MAX + 1)], 2, "--name"),
        (["--name", "n" * NAME_CHARS_MAX, "--carts", "0"], 2, "carts must be 1 to"),
        (["--store", "shop"], 2, "--store"),
        (["--target", "127.0.0.1:1", "--gateway-args", "--seed 1"], 2, "--gateway-args"),
    ],
)
def test_bad_input_is_told_before_anything_starts(
    args: list[str], status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong option or a bad line: what is wrong, on stderr, and the exit status."""
    bad = tmp_path / "bad.csv"
    bad.write_text("order,sku,qty\na,x,1\nb,x,0\n")
    with pytest.raises(SystemExit) as ended:
        app(["race", *(arg.format(file=bad) for arg in args)])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (status, "")
    assert said in err


def test_the_demo_proves_and_reports(tmp_path: Path) -> None:
    """The demo with a file of orders: two races, two pages, one closing paragraph, exit status 0."""
    orders = tmp_path / "orders.csv"
    orders.write_text("order,sku,qty\n" + "".join(f"o{n},tea,1\n" for n in range(20)))
    done = command("demo", "--orders", orders, "--report-dir", tmp_path / "reports")
    assert done.returncode == 0, done.stderr
    assert "Everything holds." in done.stdout.strip().splitlines()[-1]
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {
        *("race.html", "race.json", "orders.html", "orders.json")
    }
    race = json.loads((tmp_path / "reports" / "race.json").read_text())
    assert (race["orders_paid"], race["orders_sold_out"]) == (100, 400)
