"""Every bound has a name, and every name a test: by the name itself, or one that is told here."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("server/inventory_server", "client/inventory_client", "client/inventory_console", "loadtest")

# What no test names: the test that proves it from outside, by its number.
PROVED = {
    "inventory_console.stock_file.QUANTITY_MAX": "unit/test_stock_files.py::test_a_bad_line_of_csv",
    "inventory_loadtest.orders.ID_CHARS_MAX":
        "unit/test_race_orders.py::test_a_bad_line_is_told_by_its_number",
    "inventory_loadtest.orders.QUANTITY_MAX":
        "unit/test_race_orders.py::test_a_bad_line_is_told_by_its_number",
    "inventory_server.config.PORT_MAX": "unit/test_config.py::test_bad_settings_are_named",
    "inventory_server.domain.limits.CART_EXPIRY_S_MAX":
        "contract/test_settings_calls.py::test_limits_of_a_duration",
    "inventory_server.domain.limits.ITEM_LINES_MAX":
        "contract/test_reserve_stream.py::test_the_limits_of_a_message",
    "inventory_server.domain.limits.LEVELS_SHOWN_MAX":
        "contract/test_stock_views.py::test_an_answer_holds_so_many_levels",
    "inventory_server.domain.stock_import.IMPORT_ROWS_MAX":
        "contract/test_import_calls.py::test_as_many_rows_as_an_import_takes",
    "inventory_server.engine.order_reads.LOOKED_AT_MAX":
        "contract/test_order_lists.py::test_a_page_fits_into_a_message",
    "inventory_server.engine.reservation_reads.LINES_MAX":
        "contract/test_reservation_lists.py::test_a_page_of_many_lines_is_short",
    "inventory_server.rpc.gateway_client.ANSWER_BYTES_MAX":
        "unit/test_gateway_client.py::test_what_is_no_answer_is_doubt",
    "inventory_server.rpc.status.SHORTAGES_BYTES_MAX":
        "unit/test_status.py::test_shortages_stay_within_four_kib",
}  # fmt: skip

# Lengths of pauses, which only time shows, and sizes of pools, which only slowness does.
UNSEEN = {
    "inventory_client.reading.BACKOFF_S_MAX",
    "inventory_client.reserving.BACKOFF_S_MAX",
    "inventory_loadtest.race_worker.GUN_WAIT_S_MAX",
    "inventory_loadtest.asking.BACKOFF_S_MAX",
    "inventory_loadtest.bench.suite._BESIDE_S_MAX",
    "inventory_server.bench_place.CONNECTIONS_MAX",
    "inventory_server.database_watch.BACKOFF_S_MAX",
    "inventory_server.engine.batcher.BACKOFF_S_MAX",
    "inventory_server.service.EXPORT_CONNECTIONS_MAX",
    "inventory_server.service.STAGING_CONNECTIONS_MAX",
    "inventory_server.service.VERIFY_CONNECTIONS_MAX",
    "inventory_server.workers.BACKOFF_S_MAX",
}


def constants() -> set[str]:
    """Return the dotted name of every module's constant that ends with _MAX."""
    found = set()
    for folder in CODE:
        for path in (ROOT / folder).rglob("*.py"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts[1:])
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                names = [target.id for target in targets if isinstance(target, ast.Name)]
                found |= {f"{module}.{name}" for name in names if name.endswith("_MAX")}
    return found


def named_in(path: Path) -> set[str]:
    """Return the dotted names that a test imports, or takes or replaces as an attribute of a module."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    modules: dict[str, str] = {}
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in nodes:
        owner: ast.expr | None = None
        name: object = None
        if isinstance(node, ast.Attribute):
            owner, name = node.value, node.attr
        elif isinstance(node, ast.Call) and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
            owner, name = node.args[0], node.args[1].value
        if isinstance(owner, ast.Name) and owner.id in modules:
            found.add(f"{modules[owner.id]}.{name}")
    return found


def test_every_bound_has_a_test() -> None:
    """Each constant that ends with _MAX is named by a test, or told above; nothing else is told there."""
    named = set().union(*(named_in(path) for path in (ROOT / "tests").rglob("test_*.py")))
    assert sorted((constants() - named) ^ (PROVED.keys() | UNSEEN)) == []


def test_the_tests_that_are_told_are_there() -> None:
    """A test that was renamed or deleted proves nothing any more."""
    for told in PROVED.values():
        path, name = told.split("::")
        assert f"def {name}(" in (ROOT / "tests" / path).read_text(encoding="utf-8"), told
