"""Page tokens: opaque, good for their own list alone, and never a way around validation."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_server.rpc import pages
from inventory_server.rpc.rules import InvalidFields

SCOPE = ("ListStockTransactions", "default", "tea")
FIRST = ("", 0)

ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)


@given(location=ids, version=st.integers(0, 2**63 - 1))
def test_a_token_gives_its_position_back(location: str, version: int) -> None:
    """What a page ended with is where the next one begins; the token fits its field's 1,024 bytes."""
    token = pages.token(SCOPE, (location, version))
    assert pages.position(SCOPE, token, FIRST) == (location, version)
    assert len(token) <= 1_024


def test_no_token_is_the_first_page() -> None:
    """The empty token is the beginning."""
    assert pages.position(SCOPE, "", FIRST) == FIRST


@pytest.mark.parametrize(
    "scope",
    [
        ("ListStock", "default", "tea"),
        ("ListStockTransactions", "north", "tea"),
        ("ListStockTransactions", "default", "cake"),
        ("ListStockTransactions", "default"),
        ("ListStockTransactions", "defaulttea"),
    ],
)
def test_a_token_of_another_list_is_refused(scope: tuple[str, ...]) -> None:
    """Another method's, store's or filter's token answers INVALID_FIELD at page_token."""
    refused(pages.token(scope, ("default", 3)))


@pytest.mark.parametrize(
    "token", ["x", "=", "====", "a b", "\u00e9", "!" * 1_024, "A" * 1_024, "AAAA", "e30", "\n"]
)
def test_what_is_no_token_is_refused(token: str) -> None:
    """Any other text is refused."""
    refused(token)


@given(at=st.integers(0, 200), byte=st.characters(min_codepoint=0x21, max_codepoint=0x7E))
def test_a_damaged_token_is_refused(at: int, byte: str) -> None:
    """A token with one character changed is refused, or means what it meant."""
    token = pages.token(SCOPE, ("default", 3))
    damaged = token[: at % len(token)] + byte + token[at % len(token) + 1 :]
    try:
        assert pages.position(SCOPE, damaged, FIRST) == ("default", 3)
    except InvalidFields as error:
        assert [violation.field for violation in error.violations] == ["page_token"]


@pytest.mark.parametrize(
    "position",
    [
        [],
        ["default"],
        ["default", 3, 4],
        [3, "default"],
        ["default", "3"],
        ["default", -1],
        ["default", 2**63],
        ["default", True],
        ["default", 1.5],
        ["default", None],
        ["a\0b", 3],
        ["", 3],
        ["a" * 129, 3],
        {"a": 1, "b": 2},
        "ab",
        7,
        None,
    ],
)
def test_a_forged_position_is_refused(position: object) -> None:
    """Whoever forges the digest too gets no further than a position that could be: no NUL, no other type."""
    refused(forged(json.dumps(position).encode()))


@pytest.mark.parametrize("payload", [b"", b"[", b"\xff", b"[" * 700, b"NaN"])
def test_a_forged_payload_is_refused(payload: bytes) -> None:
    """A digest over what is no JSON is refused like any other."""
    refused(forged(payload))


def forged(payload: bytes) -> str:
    return base64.urlsafe_b64encode(pages._digest(SCOPE, payload) + payload).rstrip(b"=").decode()


def refused(token: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        pages.position(SCOPE, token, FIRST)
    assert [violation.field for violation in caught.value.violations] == ["page_token"]


@pytest.mark.parametrize(("asked", "given"), [(0, 100), (1, 1), (999, 999), (1_000, 1_000), (1_001, 1_000)])
def test_the_size_of_a_page(asked: int, given: int) -> None:
    """0 = 100; more than 1,000 is lowered to it."""
    assert pages.size(asked) == given


@pytest.mark.parametrize(("count", "shown", "has_more"), [(0, 0, False), (2, 2, False), (3, 2, True)])
def test_the_row_past_the_page_says_that_there_is_more(count: int, shown: int, has_more: bool) -> None:
    """Rows are read with one more than the page holds; only then there is a next page."""
    rows = [f"p-{number}" for number in range(count)]
    page, token = pages.cut(rows, 2, SCOPE, lambda row: (row, 1))
    assert page == rows[:shown]
    assert bool(token) is has_more
    if has_more:
        assert pages.position(SCOPE, token, FIRST) == ("p-1", 1)
