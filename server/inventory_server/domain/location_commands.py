"""What callers ask for about locations, and transfers between them: see commands.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from inventory_server.domain.commands import Command, Wanted
from inventory_server.domain.location import Location


@dataclass(frozen=True, slots=True)
class CreateLocation(Command):
    """`location` as it is to be; its times are the transaction's."""

    has_request_id: ClassVar[bool] = True

    location: Location

    def content(self) -> tuple[object, ...]:
        return tuple(self.location)

    def want(self, wanted: Wanted) -> None:
        wanted.locations_described = True


@dataclass(frozen=True, slots=True)
class UpdateLocation(Command):
    """`changes` are (field of Location, value); an `etag` of None is not checked."""

    has_request_id: ClassVar[bool] = True

    slug: str
    changes: tuple[tuple[str, Any], ...]
    etag: str | None = None

    def content(self) -> tuple[object, ...]:
        return (self.slug, self.changes, self.etag)

    def want(self, wanted: Wanted) -> None:
        wanted.locations_described = True


@dataclass(frozen=True, slots=True)
class DeleteLocation(Command):
    has_request_id: ClassVar[bool] = True

    slug: str
    etag: str | None = None

    def content(self) -> tuple[object, ...]:
        return (self.slug, self.etag)

    def want(self, wanted: Wanted) -> None:
        wanted.locations_described = True
        wanted.locations_emptied.add(self.slug)


@dataclass(frozen=True, slots=True)
class TransferStock(Command):
    """From `source` to `target`, which differ; `expected_version` is that of the level at the source."""

    has_request_id: ClassVar[bool] = True

    product_id: str
    quantity: int
    source: str
    target: str
    reason: str = ""
    reference: str = ""
    expected_version: int | None = None

    def content(self) -> tuple[object, ...]:
        return (
            self.product_id,
            self.quantity,
            self.source,
            self.target,
            self.reason,
            self.reference,
            self.expected_version,
        )

    def want(self, wanted: Wanted) -> None:
        wanted.levels.update(((self.product_id, self.source), (self.product_id, self.target)))
