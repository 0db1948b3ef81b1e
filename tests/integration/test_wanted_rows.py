"""A product that everybody wants: what its row costs its table, and how early tables are vacuumed."""

from __future__ import annotations

from inventory_server.domain.commands import CreateStock
from support.engine import Database, minus, running_engine, sabotaged

CHANGES = 500
# Whose rows change; those of the other tables are written once, or by hand, or are deleted.
CHANGING = [
    "cart", "cart_item", "payment_operation", "reservation", "reservation_line", "sales_order", "stock_level",
]  # fmt: skip
OLDEST_DELETED = ["import_row", "request_log"]


async def test_a_wanted_row_stays_on_its_page(empty_database_url: str) -> None:
    """Each change leaves a dead version of the row; the next ones clean the page, and no index grows."""
    url = sabotaged(empty_database_url)
    sizes = "SELECT pg_relation_size('stock_level') / 8192, pg_indexes_size('stock_level')"
    with Database(url) as database:
        async with running_engine(url, commands_max=1) as (engine, _):
            await engine.change("default", CreateStock("a", CHANGES), deadline_s=20)
            indexes_before = database.rows(sizes)[0][1]
            for _ in range(CHANGES):
                await engine.change("default", minus("a"), deadline_s=20)
        pages, indexes = database.rows(sizes)[0]
        # Were they kept, they would fill more than seven.
        assert pages <= 2
        assert indexes == indexes_before


def test_how_early_each_table_is_vacuumed(database_url: str) -> None:
    """A table whose rows change keeps room on its pages and is vacuumed when a twentieth of it is dead."""
    with Database(database_url) as database:
        found = {
            name: dict(option.split("=") for option in options)
            for name, options in database.rows(
                "SELECT relname, reloptions FROM pg_class WHERE relkind = 'r' AND reloptions IS NOT NULL"
                " AND relnamespace = current_schema()::regnamespace"
            )
        }
    share = "autovacuum_vacuum_scale_factor"
    assert sorted(name for name, each in found.items() if each.get(share) == "0.05") == CHANGING
    assert all(int(found[name]["fillfactor"]) <= 80 for name in CHANGING)
    # By rows, however long the table is.
    assert sorted(name for name, each in found.items() if each.get(share) == "0") == OLDEST_DELETED
