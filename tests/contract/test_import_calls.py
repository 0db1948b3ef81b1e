"""ImportStock, GetImport, ListImports and ListImportErrors, on the wire."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import inventory_client
from inventory_client import v1
from support.imports import errors, exported, get_import, imported, messages, row, upload, wait_for_import
from support.polling import until
from support.shop import Shop, word


def counts(job: v1.StockImport) -> tuple[int, int, int]:
    return job.row_count, job.applied_count, job.failed_count


# --- what it does --------------------------------------------------------------------------------


def test_an_import_sets_totals_and_makes_products(shop: Shop) -> None:
    """The answer is the job, PENDING; a while later every total is what the rows say, and logged so."""
    shop.stock("old", 3)
    job = upload(shop, [row("old", 9), row("new", 4)], row_count=2, reason="count", reference="#7")
    assert (word(job), job.reason, job.reference) == ("PENDING", "count", "#7")
    assert counts(job) == (2, 0, 0)
    assert job.HasField("create_time") and not job.HasField("start_time") and not job.HasField("end_time")
    job = wait_for_import(shop)
    assert (word(job), counts(job)) == ("SUCCEEDED", (2, 2, 0))
    assert job.create_time.ToNanoseconds() <= job.start_time.ToNanoseconds()
    assert job.start_time.ToNanoseconds() <= job.end_time.ToNanoseconds()
    assert shop.numbers("old") == (9, 9, 0) and shop.numbers("new") == (4, 4, 0)
    assert shop.actions("old") == [("SET", 9)]
    (made,) = shop.log("new")
    assert (word(made, "action"), made.reason, made.reference) == ("CREATE", "count", "#7")


def test_an_import_of_many_chunks(shop: Shop) -> None:
    """Rows of several messages and chunks, in no order: each is applied once."""
    rows = [row(f"p-{number * 7 % 1_501:04}", number) for number in range(1_501)]
    job = imported(shop, *rows, row_count=1_501)
    assert counts(job) == (1_501, 1_501, 0)
    token, seen = "", {}
    while True:
        page = shop.inventory.ListStock(v1.ListStockRequest(page_size=1000, page_token=token))
        seen.update({stock.product_id: stock.total for stock in page.stocks})
        token = page.next_page_token
        if not token:
            break
    assert seen == {f"p-{number * 7 % 1_501:04}": number for number in range(1_501)}
    assert len(shop.log("p-0700")) == 1


def test_an_import_without_rows(shop: Shop) -> None:
    """Nothing to do is done, with and without an announcement."""
    assert counts(imported(shop, row_count=0)) == (0, 0, 0)
    assert word(imported(shop, import_id="j")) == "SUCCEEDED"


def test_rows_may_come_with_the_header(shop: Shop) -> None:
    """The first message may hold rows as well."""
    header = v1.ImportHeader(import_id="i")
    request = v1.ImportStockRequest(header=header, rows=[row("a", 3)], is_last=True)
    shop.inventory.ImportStock(iter([request]))
    wait_for_import(shop)
    assert shop.numbers("a") == (3, 3, 0)


def test_several_imports_run_one_after_the_other(shop: Shop) -> None:
    """Those of a store wait for each other; the last one uploaded has the last word."""
    for number in range(3):
        upload(shop, [row("a", number), row(f"only-{number}", 1)], f"i-{number}")
    ended = [wait_for_import(shop, f"i-{number}") for number in range(3)]
    assert [word(job) for job in ended] == ["SUCCEEDED"] * 3
    moments = [moment.ToNanoseconds() for job in ended for moment in (job.start_time, job.end_time)]
    assert moments == sorted(moments)
    assert shop.actions("a") == [("SET", 1), ("SET", 2)]


def test_a_deleted_product_is_made_again(shop: Shop) -> None:
    """By CREATE, on top of its tombstone: the versions go on; meanwhile no export shows it."""
    shop.stock("a", 3)
    shop.inventory.DeleteStock(v1.DeleteStockRequest(product_id="a"))
    assert exported(shop) == []
    imported(shop, row("a", 7, low_stock_threshold=2))
    assert shop.actions("a") == [("DELETE", 3), ("CREATE", 7)]
    assert [entry.version for entry in shop.log("a")] == [1, 2, 3]
    assert exported(shop) == [row("a", 7, low_stock_threshold=2)]


def test_a_threshold_is_set_or_left(shop: Shop) -> None:
    """A row that has one sets it; one that has none leaves it."""
    imported(shop, row("a", 1, low_stock_threshold=0), row("b", 1))
    imported(shop, row("a", 2), row("b", 2, low_stock_threshold=2**43 - 1), import_id="j")
    assert exported(shop) == [
        row("a", 2, low_stock_threshold=0),
        row("b", 2, low_stock_threshold=2**43 - 1),
    ]


def test_who_imports_stands_in_the_log(shop: Shop) -> None:
    """The actor of the upload is that of every entry."""
    shop.inventory.ImportStock(messages([row("a", 1)]), metadata=(("x-inventory-actor", "mo"),))
    wait_for_import(shop)
    (entry,) = shop.log("a")
    assert entry.actor == "mo"


# --- rows that are not applied -------------------------------------------------------------------


def test_bad_rows_are_listed_and_the_rest_is_applied(shop: Shop) -> None:
    """By line, with the field and why: what is wrong in itself, with the store, and twice in the file."""
    shop.stock("held", 5)
    shop.reserve("r", ("held", 3))
    rows = [
        row("good", 1),
        row("bad id", 1, line=20),
        row("a", -1),
        row("b", 2**43),
        v1.StockRow(product_id="c"),
        v1.StockRow(product_id="d", levels=[v1.LevelTotal(location="default")]),
        row("e", ("nowhere", 1)),
        row("f", ("no slug", 1)),
        row("g", ("default", 1), ("default", 2)),
        row("held", 2, line=50),
        row("good", 2),
        row("h", 1, line=-1),
        row("at the limit", 1),
        row("most", 2**43 - 1),
    ]
    job = imported(shop, *rows, row_count=len(rows))
    assert word(job) == "SUCCEEDED"
    assert counts(job) == (14, 2, 12)
    assert errors(shop) == [
        (20, "product_id", "INVALID_FIELD"),
        (3, "levels[0].total", "INVALID_FIELD"),
        (4, "levels[0].total", "INVALID_FIELD"),
        (5, "levels", "INVALID_FIELD"),
        (6, "levels[0].total", "INVALID_FIELD"),
        (7, "levels[0].location", "LOCATION_NOT_FOUND"),
        (8, "levels[0].location", "INVALID_FIELD"),
        (9, "levels[1].location", "INVALID_FIELD"),
        (50, "levels[0].total", "TOTAL_BELOW_ALLOCATED"),
        (11, "product_id", "INVALID_FIELD"),
        (12, "line", "INVALID_FIELD"),
        (13, "product_id", "INVALID_FIELD"),
    ]
    assert shop.numbers("good") == (1, 1, 0) and shop.numbers("most") == (2**43 - 1, 2**43 - 1, 0)
    assert shop.numbers("held") == (5, 2, 3)
    page = shop.inventory.ListImportErrors(v1.ListImportErrorsRequest(import_id="i")).errors
    assert [error.product_id for error in page[:3]] == ["", "a", "b"]
    assert "2 would be below the 3 units" in page[8].message


@pytest.mark.fault(28)
def test_a_product_twice_in_one_import(shop: Shop) -> None:
    """The first row of a product holds, whichever messages they came in; each later one is an error."""
    rows = [row("a", 1), row("a", 2), *[row(f"p-{n}", 1) for n in range(3)], row("a", 3)]
    upload(shop, rows, "i")
    wait_for_import(shop)
    assert errors(shop) == [(2, "product_id", "INVALID_FIELD"), (6, "product_id", "INVALID_FIELD")]
    shop.inventory.ImportStock(messages(rows, "j", size=1))
    wait_for_import(shop, "j")
    assert errors(shop, "j") == errors(shop)
    assert shop.numbers("a") == (1, 1, 0)


def test_the_pages_of_errors(shop: Shop) -> None:
    """In the order of the upload, each once; a token is good for its own import alone."""
    imported(shop, *[row(f"p-{number}", ("nowhere", 1)) for number in range(5)])
    imported(shop, row("a", 1), import_id="other")
    request = v1.ListImportErrorsRequest(import_id="i", page_size=2)
    lines = []
    while True:
        page = shop.inventory.ListImportErrors(request)
        lines.append([error.line for error in page.errors])
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert lines == [[1, 2], [3, 4], [5]]
    assert not shop.inventory.ListImportErrors(v1.ListImportErrorsRequest(import_id="other")).errors
    request.import_id = "other"
    with shop.refused("INVALID_FIELD") as refusal:
        shop.inventory.ListImportErrors(request)
    assert refusal.fields == ["page_token"]


# --- the list ------------------------------------------------------------------------------------


def test_the_pages_of_imports(shop: Shop) -> None:
    """The newest first; one that is made between two pages comes on neither, and none twice."""
    assert not shop.inventory.ListImports(v1.ListImportsRequest()).stock_imports
    for number in range(3):
        imported(shop, import_id=f"i-{number}")
    first = shop.inventory.ListImports(v1.ListImportsRequest(page_size=2))
    assert [job.import_id for job in first.stock_imports] == ["i-2", "i-1"]
    imported(shop, import_id="i-3")
    last = shop.inventory.ListImports(v1.ListImportsRequest(page_size=2, page_token=first.next_page_token))
    assert [job.import_id for job in last.stock_imports] == ["i-0"]
    assert not last.next_page_token


# --- the same import again -----------------------------------------------------------------------


def test_the_same_import_again_answers_how_far_it_is(shop: Shop) -> None:
    """However the rows are cut into messages; nothing is applied a second time."""
    rows = [row(f"p-{number}", number) for number in range(5)]
    imported(shop, *rows, reason="count")
    shop.change("p-1", "SET", 77)
    again = shop.inventory.ImportStock(messages(rows, size=2, reason="count", row_count=5)).stock_import
    assert (word(again), counts(again)) == ("SUCCEEDED", (5, 5, 0))
    assert shop.actions("p-1") == [("SET", 77)]


def test_the_same_bad_rows_again(shop: Shop) -> None:
    """What could not be applied is content like the rest; another bad row is another import."""
    imported(shop, row("a", 1), row("b", -1))
    assert counts(upload(shop, [row("a", 1), row("b", -1)])) == (2, 1, 1)
    with shop.refused("ID_REUSED"):
        upload(shop, [row("a", 1), row("b", -2)])


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        ([row("a", 2)], {}),
        ([row("b", 1)], {}),
        ([row("a", 1), row("b", 1)], {}),
        ([], {}),
        ([row("a", 1, line=2)], {}),
        ([row("a", 1)], {"reason": "another"}),
        ([row("a", 1)], {"reference": "another"}),
    ],
)
def test_other_content_under_a_used_id(shop: Shop, rows: list[v1.StockRow], header: dict[str, Any]) -> None:
    """Another row, another order, another word: ID_REUSED, and nothing is written."""
    imported(shop, row("a", 1))
    until(lambda: shop.observer.written(shop.store)["import_upload"] is None, "the upload is cleared away")
    with shop.refused("ID_REUSED") as refusal:
        upload(shop, rows, **header)
    assert refusal.metadata == {"field": "import_id", "id": "i"}


def test_an_import_belongs_to_its_store(shop: Shop) -> None:
    """Another store does not see it."""
    imported(shop, row("a", 1))
    elsewhere = (("x-inventory-store", "default"),)
    with pytest.raises(inventory_client.ImportNotFound):
        shop.inventory.GetImport(v1.GetImportRequest(import_id="i"), metadata=elsewhere)


def test_a_store_that_there_is_not(shop: Shop) -> None:
    """It is said before any row is staged."""
    elsewhere = (("x-inventory-store", "nowhere"),)
    with shop.refused("STORE_NOT_FOUND"):
        shop.inventory.ImportStock(messages([row("a", 1)]), metadata=elsewhere)
    with shop.refused("STORE_NOT_FOUND"):
        list(shop.inventory.ExportStock(v1.ExportStockRequest(), metadata=elsewhere))


# --- uploads that are not whole ------------------------------------------------------------------


def nothing_is_left(shop: Shop, before: dict[str, str | None]) -> None:
    until(lambda: shop.observer.written(shop.store) == before, "what was staged is dropped")


@pytest.mark.parametrize("announced", [1, 3])
def test_an_upload_of_another_length(shop: Shop, announced: int) -> None:
    """Fewer rows than announced, or more: nothing of it is applied or left; the id is still free."""
    before = shop.observer.written(shop.store)
    with pytest.raises(inventory_client.ImportIncomplete) as refused:
        upload(shop, [row("a", 1), row("b", 1)], row_count=announced)
    assert refused.value.metadata == {"import_id": "i"}
    nothing_is_left(shop, before)
    with shop.refused("IMPORT_NOT_FOUND"):
        get_import(shop)
    assert counts(imported(shop, row("a", 1), row_count=1)) == (1, 1, 0)


def test_an_upload_that_is_not_closed(shop: Shop) -> None:
    """Without an announcement the last message has to say that it is: a stream's end alone says nothing."""
    before = shop.observer.written(shop.store)
    stream = [message for message in messages([row("a", 1)]) if not message.is_last]
    with pytest.raises(inventory_client.ImportIncomplete):
        shop.inventory.ImportStock(iter(stream))
    nothing_is_left(shop, before)


def test_an_upload_that_breaks_off(shop: Shop) -> None:
    """The caller goes away in the middle: nothing is applied, nothing is left, and it can come again."""
    before = shop.observer.written(shop.store)
    gone = threading.Event()

    def half() -> Iterator[v1.ImportStockRequest]:
        for message in messages([row(f"p-{number}", 1) for number in range(1_500)]):
            if message.is_last:
                gone.wait(60)
            yield message

    call = shop.inventory.ImportStock.future(half())
    until(lambda: shop.observer.written(shop.store)["import_row"] is not None, "rows are staged")
    call.cancel()
    gone.set()
    nothing_is_left(shop, before)
    assert counts(imported(shop, row("p-1", 7))) == (1, 1, 0)


def test_an_upload_whose_stream_is_no_import(shop: Shop) -> None:
    """The header comes first and once; a message holds at most 1,000 rows; nothing of it is left."""
    header = v1.ImportStockRequest(header=v1.ImportHeader(import_id="i"))
    rows = v1.ImportStockRequest(rows=[row("a", 1)])
    last = v1.ImportStockRequest(is_last=True)
    many = v1.ImportStockRequest(rows=[row(f"p-{number}", 1) for number in range(1_001)])
    before = shop.observer.written(shop.store)
    for stream, field in (
        ([], "header"),
        ([rows], "header"),
        ([header, rows, header], "header"),
        ([header, rows, many], "rows"),
        ([header, rows, last, rows], "is_last"),
    ):
        with pytest.raises(inventory_client.InvalidField) as refused:
            shop.inventory.ImportStock(iter(stream))
        assert [name for name, _ in refused.value.field_violations] == [field]
        nothing_is_left(shop, before)
    with shop.refused("IMPORT_NOT_FOUND"):
        get_import(shop)


def test_as_many_rows_as_an_import_takes(shop: Shop) -> None:
    """1,000,000 may be announced, 1,000 may be in a message; one more of either is refused."""
    with shop.refused("INVALID_FIELD") as refusal:
        upload(shop, [], row_count=1_000_001)
    assert refusal.fields == ["header.row_count"]
    with pytest.raises(inventory_client.ImportIncomplete):
        upload(shop, [], row_count=1_000_000)
    assert counts(imported(shop, *[row(f"p-{number}", 1) for number in range(1_000)])) == (1_000, 1_000, 0)


def test_an_import_that_there_is_not(shop: Shop) -> None:
    """Neither its state nor its errors can be read."""
    for call in (
        lambda: get_import(shop, "ghost"),
        lambda: shop.inventory.ListImportErrors(v1.ListImportErrorsRequest(import_id="ghost")),
    ):
        with shop.refused("IMPORT_NOT_FOUND") as refusal:
            call()
        assert refusal.metadata == {"import_id": "ghost"}
