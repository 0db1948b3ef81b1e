"""What the composition root does to its own process."""

from __future__ import annotations

import gc

from inventory_server.app import OBJECTS_YOUNG_MAX, settle_memory


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
