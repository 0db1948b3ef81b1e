"""The calls of InventoryService about imports and exports. The .proto says what each does."""

from __future__ import annotations

from collections.abc import AsyncIterator

from inventory_client.v1 import stock_import_pb2 as pb
from inventory_server.domain.stock_import import Batch
from inventory_server.rpc import import_answers, pages
from inventory_server.rpc.edge import Call
from inventory_server.rpc.import_rows import read_batch
from inventory_server.rpc.ports import Exporter, ImportReader, Imports
from inventory_server.rpc.rules import InvalidFields, Violation

# Above every upload's id: the newest import comes first.
_NEWEST = "~"


class ImportCalls:
    """A part of InventoryServicer."""

    _imports: Imports
    _import_reader: ImportReader
    _exporter: Exporter

    async def import_stock(
        self, requests: AsyncIterator[pb.ImportStockRequest], call: Call
    ) -> pb.ImportStockResponse:
        async with self._imports.begun(requests) as begun:
            return await self._upload(begun or pb.ImportStockRequest(), requests, call)

    async def _upload(
        self, first: pb.ImportStockRequest, following: AsyncIterator[pb.ImportStockRequest], call: Call
    ) -> pb.ImportStockResponse:
        if not first.HasField("header"):
            raise InvalidFields([Violation("header", "is required in the first message")])
        header = first.header
        job = await self._imports.upload(
            call.store_id,
            import_id=header.import_id,
            announced_count=header.row_count if header.HasField("row_count") else None,
            reason=header.reason,
            reference=header.reference,
            actor=call.actor,
            batches=_batches(first, following),
        )
        return pb.ImportStockResponse(stock_import=import_answers.stock_import(job))

    async def get_import(self, request: pb.GetImportRequest, call: Call) -> pb.GetImportResponse:
        job = await self._import_reader.stock_import(
            call.store_id, request.import_id, deadline_s=call.deadline_s
        )
        return pb.GetImportResponse(stock_import=import_answers.stock_import(job))

    async def list_imports(self, request: pb.ListImportsRequest, call: Call) -> pb.ListImportsResponse:
        scope = ("ListImports", call.store_id)
        (before,) = pages.position(scope, request.page_token, (_NEWEST,))
        size = pages.size(request.page_size)
        jobs = await self._import_reader.list_imports(
            call.store_id, before_upload_id=before, limit=size + 1, deadline_s=call.deadline_s
        )
        page, next_token = pages.cut(jobs, size, scope, lambda job: (job.upload_id,))
        return pb.ListImportsResponse(
            stock_imports=map(import_answers.stock_import, page), next_page_token=next_token
        )

    async def list_import_errors(
        self, request: pb.ListImportErrorsRequest, call: Call
    ) -> pb.ListImportErrorsResponse:
        scope = ("ListImportErrors", call.store_id, request.import_id)
        (after,) = pages.position(scope, request.page_token, (0,))
        size = pages.size(request.page_size)
        errors = await self._import_reader.list_import_errors(
            call.store_id, request.import_id, after_number=after, limit=size + 1, deadline_s=call.deadline_s
        )
        page, next_token = pages.cut(errors, size, scope, lambda error: (error.number,))
        return pb.ListImportErrorsResponse(
            errors=map(import_answers.import_error, page), next_page_token=next_token
        )

    async def export_stock(
        self, request: pb.ExportStockRequest, call: Call
    ) -> AsyncIterator[pb.ExportStockResponse]:
        async with self._exporter.export(call.store_id, deadline_s=call.deadline_s) as spool:
            response = pb.ExportStockResponse(row_count=spool.row_count)
            response.snapshot_time.FromDatetime(spool.snapshot_time)
            if not spool.row_count:
                yield response
            async for page in spool.pages():
                del response.rows[:]
                response.rows.extend(map(import_answers.export_row, page))
                yield response


async def _batches(
    first: pb.ImportStockRequest, following: AsyncIterator[pb.ImportStockRequest]
) -> AsyncIterator[Batch]:
    """Yield every message's rows. Raises: InvalidFields for a second header and for what follows the last."""
    yield read_batch(first, 1)
    number, is_last = 1 + len(first.rows), first.is_last
    async for request in following:
        if request.HasField("header"):
            raise InvalidFields([Violation("header", "stands in the first message alone")])
        if is_last:
            raise InvalidFields([Violation("is_last", "was true of the message before this one")])
        yield read_batch(request, number)
        number, is_last = number + len(request.rows), request.is_last
