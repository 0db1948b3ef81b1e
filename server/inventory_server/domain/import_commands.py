"""What imports ask of the engine: the job made, chunk by chunk applied, and ended where a defect is met."""

from __future__ import annotations

from dataclasses import dataclass

from inventory_server.domain.commands import Command, Wanted
from inventory_server.domain.stock_import import ImportRow


@dataclass(frozen=True, slots=True)
class CreateImport(Command):
    """The upload has ended: make it a job, if it is whole.

    `upload_id` is the server's own, a new one for every try; `rows_hash` is over the rows as they were sent.
    `announced_count`: how many rows the caller said would come; None = not said. `is_closed`: whether the
    caller said of the last message that it is.
    """

    import_id: str
    upload_id: str
    row_count: int
    failed_count: int
    rows_hash: bytes
    announced_count: int | None = None
    is_closed: bool = False
    reason: str = ""
    reference: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether as many rows came as were announced; whether it was closed, where none were."""
        if self.announced_count is None:
            return self.is_closed
        return self.announced_count == self.row_count

    def content(self) -> tuple[object, ...]:
        return (self.row_count, self.rows_hash.hex(), self.reason, self.reference)

    def want(self, wanted: Wanted) -> None:
        wanted.imports.add(self.import_id)


@dataclass(frozen=True, slots=True)
class ImportChunk(Command):
    """The importer's: apply the rows that follow `after`, unless somebody has.

    `rows` are those staged, in the order of their products; with `is_last` none is left after them.
    """

    import_id: str
    after: str
    rows: tuple[ImportRow, ...]
    is_last: bool

    @property
    def line_count(self) -> int:
        return sum(len(row.levels) for row in self.rows)

    def content(self) -> tuple[object, ...]:
        return (self.import_id, self.after)

    def want(self, wanted: Wanted) -> None:
        wanted.imports.add(self.import_id)
        wanted.levels.update((row.product_id, slug) for row in self.rows for slug, _ in row.levels)


@dataclass(frozen=True, slots=True)
class FailImport(Command):
    """The importer's: end a job that a defect keeps from going on."""

    import_id: str
    failure: str

    def content(self) -> tuple[object, ...]:
        return (self.import_id, self.failure)

    def want(self, wanted: Wanted) -> None:
        wanted.imports.add(self.import_id)
