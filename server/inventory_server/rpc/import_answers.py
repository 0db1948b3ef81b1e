"""Imports, their errors and the rows of exports, as messages."""

from __future__ import annotations

from inventory_client.v1 import error_pb2
from inventory_client.v1 import stock_import_pb2 as pb
from inventory_server.domain.stock_import import ImportState, RowError, RowReason, StockImport
from inventory_server.rpc.ports import ExportRow

# A name without a partner is a KeyError here, when the server starts, and not in the middle of an answer.
_STATES = {s: pb.ImportState.Value(f"IMPORT_STATE_{s}") for s in ImportState}
_REASONS = {r: error_pb2.ErrorReason.Value(f"ERROR_REASON_{r}") for r in RowReason}


def stock_import(job: StockImport) -> pb.StockImport:
    message = pb.StockImport(
        import_id=job.import_id,
        state=_STATES[job.state],
        row_count=job.row_count,
        applied_count=job.applied_count,
        failed_count=job.failed_count,
        reason=job.reason,
        reference=job.reference,
        failure=job.failure,
    )
    message.create_time.FromDatetime(job.created_at)
    if job.started_at is not None:
        message.start_time.FromDatetime(job.started_at)
    if job.ended_at is not None:
        message.end_time.FromDatetime(job.ended_at)
    return message


def import_error(error: RowError) -> pb.ImportError:
    return pb.ImportError(
        line=error.line,
        product_id=error.product_id,
        field=error.field,
        reason=_REASONS[error.reason],
        message=error.message,
    )


def export_row(row: ExportRow) -> pb.StockRow:
    return pb.StockRow(
        product_id=row.product_id,
        levels=[pb.LevelTotal(location=location, total=total) for location, total in row.levels],
        low_stock_threshold=row.low_stock_threshold,
    )
