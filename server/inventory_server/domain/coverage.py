"""Which levels a batch knows where it did not load all of its products, and which it turned out to need.

In a store with many locations a batch loads the levels that its commands name and, for lines that may be
served anywhere, the first that have as much, in the order of sourcing. What its decisions look at beyond that
is noted here, loaded, and everything decided again
(docs/decisions/0022-a-batch-loads-the-levels-it-can-touch.md).
"""

from __future__ import annotations

from collections.abc import Iterator

LevelKey = tuple[str, str]


class Coverage:
    """What is known: `is_whole` = all levels of every product named."""

    __slots__ = ("_known", "_named", "asked_again", "is_whole", "levels_lacking", "lines_lacking")

    def __init__(self) -> None:
        self.is_whole = True
        self._named: set[LevelKey] = set()
        # By product and quantity: all levels that have as much are known, up to a slug in the order of
        # sourcing; None = wherever they are.
        self._known: dict[str, dict[int, str | None]] = {}
        # Products that were lacking before: of those the most that one level has is known too.
        self.asked_again: set[str] = set()
        self.levels_lacking: set[LevelKey] = set()
        # By product: the least quantity of the lines that may be served elsewhere, and how many they are.
        self.lines_lacking: dict[str, tuple[int, int]] = {}

    def named(self, product_id: str, slug: str) -> None:
        """Note that a level was asked for: if it was not loaded there is none."""
        self.is_whole = False
        self._named.add((product_id, slug))

    def known(self, product_id: str, quantity: int, last: str | None) -> None:
        """Note that what has a quantity is loaded, up to a slug; 0 and None: the whole product."""
        self._known.setdefault(product_id, {})[quantity] = last

    def knows_all(self, product_id: str) -> bool:
        return self.is_whole or self._known.get(product_id, {}).get(0, "") is None

    @property
    def is_lacking(self) -> bool:
        """Whether a decision looked at what is not known, so that it has to be made again."""
        return bool(self.levels_lacking or self.lines_lacking)

    def reaches(self, product_id: str, quantity: int) -> Iterator[str | None]:
        """Yield up to where all levels are known that have a quantity; None = everywhere."""
        for known, last in self._known.get(product_id, {}).items():
            if known <= quantity:
                yield last

    def need_level(self, product_id: str, slug: str) -> None:
        """Note a level that was looked at and not found, unless it is known that there is none."""
        if not self.is_whole and (product_id, slug) not in self._named and not self.knows_all(product_id):
            self.levels_lacking.add((product_id, slug))

    def need_line(self, product_id: str, quantity: int) -> None:
        """Note a line that a level which was not loaded may serve."""
        least, count = self.lines_lacking.get(product_id, (quantity, 0))
        self.lines_lacking[product_id] = (min(least, quantity), count + 1)
