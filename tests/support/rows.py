"""One valid row of each table, for tests that look at the schema alone."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

TIME = "2026-01-01T00:00:00Z"

ROWS: dict[str, dict[str, Any]] = {
    "store": {"store_id": "s"},
    "location": {"store_id": "s", "slug": "default"},
    "stock": {"store_id": "s", "product_id": "a", "created_at": TIME},
    "stock_level": {
        "store_id": "s", "product_id": "a", "location": "default", "available": 5, "allocated": 3,
        "hand_allocated": 1, "version": 1, "updated_at": TIME,
    },
    "stock_transaction": {
        "store_id": "s", "product_id": "a", "location": "default", "version": 1, "action": "CREATE",
        "quantity": 8, "available_after": 8, "allocated_after": 1, "hand_allocated_after": 1,
        "created_at": TIME,
    },
    "reservation": {
        "store_id": "s", "reservation_id": "r", "order_id": "o", "owned_by_order": True, "state": "HELD",
        "content_hash": b"", "created_at": TIME, "updated_at": TIME,
    },
    "reservation_line": {
        "store_id": "s", "reservation_id": "r", "line_number": 1, "product_id": "a", "location": "default",
        "reserved": 6, "open": 3, "released": 2, "fulfilled": 1,
    },
    "item_return": {
        "store_id": "s", "return_id": "t", "reservation_id": "r", "restocked": True, "location": "default",
        "reason": "", "reference": "", "actor": "", "content_hash": b"", "created_at": TIME,
    },
    "item_return_line": {"store_id": "s", "return_id": "t", "line_number": 1, "quantity": 1},
    "cart": {
        "store_id": "s", "cart_id": "c", "currency": "EUR", "content_hash": b"", "created_at": TIME,
        "updated_at": TIME, "expires_at": TIME,
    },
    "cart_item": {
        "store_id": "s", "cart_id": "c", "product_id": "a", "position": 1, "quantity": 1,
        "unit_price_minor": 0,
    },
    "sales_order": {
        "store_id": "s", "order_id": "o", "cart_id": "c", "currency": "EUR", "total_minor": 0,
        "content_hash": b"", "created_at": TIME,
    },
    "order_line": {
        "store_id": "s", "order_id": "o", "line_number": 1, "product_id": "a", "quantity": 1,
        "unit_price_minor": 0, "created_at": TIME,
    },
    "payment": {
        "store_id": "s", "payment_id": "p", "order_id": "o", "amount_minor": 0, "currency": "EUR",
        "payment_method": "card", "content_hash": b"", "created_at": TIME,
    },
    "payment_operation": {
        "store_id": "s", "operation_id": "op", "payment_id": "p", "order_id": "o", "kind": "PURCHASE",
        "amount_minor": 1, "state": "PROCESSING", "lease_until": TIME, "gateway_reference": "",
        "failure_reason": "", "created_at": TIME, "updated_at": TIME,
    },
    "shipment": {
        "store_id": "s", "shipment_id": "h", "order_id": "o", "content_hash": b"", "created_at": TIME,
    },
    "order_return": {
        "store_id": "s", "return_id": "t", "order_id": "o", "restocked": True, "location": "default",
        "reason": "", "reference": "", "actor": "", "content_hash": b"", "created_at": TIME,
    },
    "order_return_line": {"store_id": "s", "return_id": "t", "line_number": 1, "quantity": 1},
    "shipment_line": {"store_id": "s", "shipment_id": "h", "line_number": 1, "quantity": 1},
    "request_log": {
        "store_id": "s", "method": "m", "request_id": "q", "content_hash": b"", "response": b"",
    },
    "import_upload": {"store_id": "s", "upload_id": "u"},
    "import_row": {
        "store_id": "s", "upload_id": "u", "product_id": "a", "row_number": 1, "line": 1, "levels": "[1]",
    },
    "import_job": {
        "store_id": "s", "import_id": "i", "upload_id": "u", "state": "RUNNING", "row_count": 2,
        "applied_count": 1, "failed_count": 1, "applied_through": "a", "reason": "", "reference": "",
        "actor": "", "failure": "", "content_hash": b"", "created_at": TIME,
    },
    "import_error": {
        "store_id": "s", "upload_id": "u", "row_number": 1, "line": 1, "product_id": "a", "field": "levels",
        "reason": "INVALID_FIELD", "message": "",
    },
}  # fmt: skip


def insert(connection: psycopg.Connection, table: str, row: dict[str, Any]) -> None:
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        ),
        list(row.values()),
    )
