"""The rules in miniature, written from the product's text alone: what any order of calls must come to.

It shares no line and no shape with the server: units held are never counted up and down here, they are what
the live reservations say; a payment is a stage and three amounts. A call is one step, or two where something
else is asked between them; between the steps of one call those of others may fall.

A verdict is a word: `OK`, `OK:` and what is answered, or the reason of a refusal.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from support.machine.looks import Looks
from support.machine.stock import Later, Refused


class Model(Looks):
    """One store."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[tuple[str, str], tuple[Any, ...]] = {}

    def clone(self) -> Model:
        copied: Model = pickle.loads(pickle.dumps(self))
        return copied

    def apply(self, step: str, args: tuple[Any, ...], request_id: str = "") -> str | Later:
        """Take one step. A refusal leaves everything as it was; what changed something is answered again."""
        key = (step, request_id)
        if request_id and key in self.answers:
            asked, answer = self.answers[key]
            return answer if asked == args else "ID_REUSED"
        before = self.clone()
        try:
            verdict: str | Later = getattr(self, step)(*args)
        except Refused as refused:
            vars(self).update(vars(before))
            if not self.due():
                return str(refused)
            # Nobody is refused while units of a hold that is due are to be had.
            self.end_due(self.due())
            return self.apply(step, args, request_id)
        if request_id and vars(self) != vars(before):
            self.answers[key] = (args, verdict)
        return verdict

    def time_passes(self, reservation_ids: Sequence[str], cart_ids: Sequence[str]) -> None:
        """The time of these holds and carts is over."""
        for reservation_id in reservation_ids:
            self.reservations[reservation_id]["clock"] = "due"
        for cart_id in cart_ids:
            self.carts[cart_id]["late"] = True


class Call(NamedTuple):
    """What a caller asks. `request_id`: for a call that may come again, "" = it is new."""

    step: str
    args: tuple[Any, ...]
    request_id: str = ""


def explanations(model: Model, calls: list[Call], verdicts: list[str]) -> Iterator[Model]:
    """Yield what the store may be after calls that ran side by side.

    One model for each serial order of their steps that gives exactly these verdicts; none where no order
    explains what the callers were told. In between, or before, any hold that is due may be ended.
    """
    yield from _orders(model, dict(enumerate(calls)), verdicts)


def _orders(model: Model, left: dict[int, Call], verdicts: list[str]) -> Iterator[Model]:
    if not left:
        model.end_due(model.due())
        yield model
    for index, call in left.items():
        for tried in _swept(model):
            verdict = tried.apply(*call)
            rest = {other: waiting for other, waiting in left.items() if other != index}
            if isinstance(verdict, Later):
                yield from _orders(tried, {**rest, index: Call(*verdict)}, verdicts)
            elif verdict == verdicts[index]:
                yield from _orders(tried, rest, verdicts)


def _swept(model: Model) -> Iterator[Model]:
    """Yield it as it is, and with any of the holds that are due ended."""
    due = model.due()
    for count in range(len(due) + 1):
        for ended in combinations(due, count):
            tried = model.clone()
            tried.end_due(ended)
            yield tried
