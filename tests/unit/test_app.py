"""What the composition root does to its own process."""

from __future__ import annotations

import gc
import resource

import pytest

from inventory_server.app import FILES_MAX, OBJECTS_YOUNG_MAX, allow_files, settle_memory


def test_what_is_made_at_the_start_is_walked_no_more() -> None:
    """A look for cycles begins later, and passes by whatever was there before the first call."""
    thresholds = gc.get_threshold()
    made_before = [[] for _ in range(100)]
    try:
        settle_memory()
        assert gc.get_freeze_count() >= len(made_before)
        assert gc.get_threshold() == (OBJECTS_YOUNG_MAX, *thresholds[1:])
        assert all(each is not made_before for each in gc.get_objects())
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


@pytest.mark.parametrize(
    ("had", "gets"),
    [
        ((1_024, 4_096), (4_096, 4_096)),
        ((1_024, 1_000_000), (FILES_MAX, 1_000_000)),
        ((1_024, resource.RLIM_INFINITY), (FILES_MAX, resource.RLIM_INFINITY)),
        ((1_000_000, 1_000_000), None),
        ((FILES_MAX, FILES_MAX), None),
    ],
)
def test_as_many_files_as_connections(
    monkeypatch: pytest.MonkeyPatch, had: tuple[int, int], gets: tuple[int, int] | None
) -> None:
    """A process that may have few files open asks for enough, as far as it may; nobody gets less."""
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: had)
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: asked.append(limits))
    allow_files()
    assert asked == ([] if gets is None else [gets])
