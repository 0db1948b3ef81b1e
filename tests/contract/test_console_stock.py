"""`inventory import` and `inventory export` as a user runs them, against the real server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import inventory_client
from inventory_console.stock_file import to_json
from inventory_server.db.stores import create_store
from inventory_server.launch import INVENTORY_COMMAND, LaunchedProcess
from inventory_server.uuid7 import uuid7
from support.imports import exported, imported, row
from support.shop import Shop

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(server: LaunchedProcess, shop: Shop, tmp_path: Path) -> Run:
    """Run a subcommand at the test's store, in a folder of the test's own."""

    def run(*arguments: str, stdin: str = "", store: str | None = None) -> subprocess.CompletedProcess[str]:
        options = ["--address", server.address, "--store", store or shop.store]
        return subprocess.run(
            [*INVENTORY_COMMAND, *arguments, *options],
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_a_table_is_imported(shop: Shop, run: Run, tmp_path: Path) -> None:
    """One line on standard output, nothing else, exit status 0; the stock is what the file says."""
    (tmp_path / "stock.csv").write_text("SKU,Location,On hand\na,default,5\nb,,7\nc,,\n")
    ended = run("import", "stock.csv", "--import-id", "i", "--reason", "count", "--reference", "#7")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "imported 2 products, 1 line left out (import i)\n"
    assert shop.numbers("a") == (5, 5, 0) and shop.numbers("b") == (7, 7, 0)
    assert (shop.log("a")[0].reason, shop.log("a")[0].reference) == ("count", "#7")
    again = run("import", "stock.csv", "--import-id", "i", "--reason", "count", "--reference", "#7")
    assert again.stdout == ended.stdout
    assert len(shop.log("a")) == 1


def test_rows_that_are_not_applied(shop: Shop, run: Run) -> None:
    """A line each on standard error, with the file's line; exit status 1; the rest is applied."""
    shop.stock("held", 5)
    shop.reserve("r", ("held", 3))
    lines = [to_json("a", [("default", 1)], 2), "", to_json("held", [("default", 2)], None)]
    ended = run("import", "-", "--import-id", "i", stdin="\n".join(lines))
    assert ended.returncode == 1
    assert ended.stderr == "standard input:3: held: a total of 2 would be below the 3 units allocated\n"
    assert ended.stdout == "imported 1 product, 1 not (import i)\n"
    ended = run("import", "-", "--import-id", "i", "--json", stdin="\n".join(lines))
    assert (ended.returncode, ended.stderr) == (1, "")
    assert json.loads(ended.stdout) == {
        "import_id": "i",
        "state": "SUCCEEDED",
        "row_count": 2,
        "applied_count": 1,
        "failed_count": 1,
        "skipped_line_count": 0,
        "bad_line_count": 0,
        "failure": "",
        "errors": [
            {
                "line": 3,
                "product_id": "held",
                "field": "levels[0].total",
                "reason": "TOTAL_BELOW_ALLOCATED",
                "message": "a total of 2 would be below the 3 units allocated",
            }
        ],
        "bad_lines": [],
    }


def test_bad_lines_that_are_skipped(shop: Shop, run: Run) -> None:
    """The others are applied; each bad one is a line on standard error, and the exit status is 1."""
    table = "Handle,Variant SKU,Variant Inventory Qty\nmug,'MUG,5\nlamp,LAMP,-3\nbag,BAG,7\n"
    before = shop.observer.written(shop.store)
    ended = run("import", "-", stdin=table)
    told = "quantity must be a whole number, 0 to 2^43-1, not -3"
    assert (ended.returncode, ended.stdout, ended.stderr.splitlines()) == (
        2,
        "",
        [
            f"inventory: standard input:3: {told}",
            "inventory: standard input: nothing was sent; --skip-bad-lines imports the other lines",
        ],
    )
    assert shop.observer.written(shop.store) == before
    ended = run("import", "-", "--import-id", "i", "--skip-bad-lines", stdin=table)
    assert (ended.returncode, ended.stderr) == (1, f"standard input:3: {told}\n")
    assert ended.stdout == "imported 2 products, 1 bad line skipped (import i)\n"
    assert shop.numbers("MUG") == (5, 5, 0) and shop.numbers("BAG") == (7, 7, 0)
    ended = run("import", "-", "--import-id", "i", "--skip-bad-lines", "--json", stdin=table)
    assert (ended.returncode, ended.stderr) == (1, "")
    outcome = json.loads(ended.stdout)
    assert (outcome["bad_line_count"], outcome["bad_lines"]) == (1, [{"line": 3, "message": told}])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("import", "bad.csv"),
            ["inventory: bad.csv:2: quantity must be a whole number, 0 to 2^43-1, not 'x'"],
        ),
        (("import", "missing.csv"), ["inventory: missing.csv: No such file or directory"]),
        (("import", "."), ["inventory: .: Is a directory"]),
        (("import", "bad.csv", "--columns", "x=y"), None),
        (("import", "bad.csv", "--locations", "x"), None),
        (("export", "--json"), ["inventory: --json goes with a FILE: standard output is the export's"]),
        (("import",), None),
    ],
)
def test_what_is_wrong_before_anything_starts(
    shop: Shop, run: Run, tmp_path: Path, arguments: tuple[str, ...], told: list[str] | None
) -> None:
    """One line each, exit status 2, and nothing was sent."""
    (tmp_path / "bad.csv").write_text("sku,qty\na,x\n")
    before = shop.observer.written(shop.store)
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    lines = ended.stderr.splitlines()
    assert lines == told if told else len(lines) == 1
    assert shop.observer.written(shop.store) == before


def test_a_refusal_and_a_server_that_is_not_there(shop: Shop, run: Run, tmp_path: Path) -> None:
    """One line with the reason, exit status 1."""
    ended = run("export", store="nowhere")
    assert (ended.returncode, ended.stderr) == (
        1,
        "inventory: STORE_NOT_FOUND: store 'nowhere' does not exist\n",
    )
    (tmp_path / "stock.csv").write_text("sku,qty\na,1\n")
    imported(shop, row("a", 2))
    ended = run("import", "stock.csv", "--import-id", "i")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("inventory: ID_REUSED: ")


def test_a_store_is_exported(shop: Shop, run: Run, tmp_path: Path) -> None:
    """To a file, or to standard output: a line for each product, which an import takes."""
    imported(shop, row("b", 2, low_stock_threshold=1), row("a", 1))
    ended = run("export", "out.jsonl")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "exported 2 products to out.jsonl\n", "")
    text = (tmp_path / "out.jsonl").read_text()
    assert text == (
        '{"product_id":"a","levels":[{"location":"default","total":1}]}\n'
        '{"product_id":"b","levels":[{"location":"default","total":2}],"low_stock_threshold":1}\n'
    )
    assert run("export").stdout == text
    told = json.loads(run("export", "out.jsonl", "--json").stdout)
    assert (told["file"], told["row_count"]) == ("out.jsonl", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    assert run("import", "out.jsonl").returncode == 0


def test_an_export_that_breaks_off_leaves_the_file_as_it_was(run: Run, tmp_path: Path) -> None:
    """The file takes its name when it is whole, and not before."""
    (tmp_path / "out.jsonl").write_text("yesterday's\n")
    assert run("export", "out.jsonl", store="nowhere").returncode == 1
    assert (tmp_path / "out.jsonl").read_text() == "yesterday's\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    ended = run("export", "no-folder/out.jsonl")
    assert (ended.returncode, ended.stderr) == (
        1,
        "inventory: no-folder/out.jsonl: No such file or directory\n",
    )


# --- there and back ------------------------------------------------------------------------------

UNITS = st.sampled_from([0, 1, 7, 2**43 - 1])
ROWS = st.dictionaries(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12),
    st.tuples(
        st.dictionaries(st.sampled_from(["default", "north", "south"]), UNITS, min_size=1), st.none() | UNITS
    ),
    max_size=30,
)


@pytest.fixture
def stores(server: LaunchedProcess, database_url: str, shop: Shop) -> Iterator[Callable[[], Shop]]:
    """Make a store with three locations, each time another."""
    clients = []

    def make() -> Shop:
        name = f"test-{uuid7()}"
        create_store(database_url, name)
        with psycopg.connect(database_url) as connection:
            for slug in ("north", "south"):
                connection.execute("INSERT INTO location (store_id, slug) VALUES (%s, %s)", (name, slug))
        clients.append(inventory_client.connect(server.address, store=name, timeout_s=60))
        return Shop(clients[-1], name, shop.observer)

    yield make
    for client in clients:
        client.close()


@given(products=ROWS, sold=st.integers(0, 7))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_there_and_back(stores: Callable[[], Shop], products: dict[str, Any], sold: int) -> None:
    """What was exported, imported into a store where nothing was, gives the same export."""
    here, there = stores(), stores()
    rows = [
        row(product_id, *sorted(levels.items()), low_stock_threshold=threshold)
        for product_id, (levels, threshold) in products.items()
    ]
    imported(here, *rows)
    for found in rows[:3]:
        if sold and found.levels[0].total >= sold:  # allocated units are part of the total
            here.change(found.product_id, "ALLOCATE", sold, location=found.levels[0].location)
    exports = exported(here)
    assert exports == sorted(rows, key=lambda found: found.product_id)
    imported(there, *exports)
    assert exported(there) == exports
