-- The log in the order of the transactions that wrote it. Only what was settled before the snapshot is read
-- (xid < pg_snapshot_xmin): a transaction with a lower id that commits later would be missed for ever.

-- name: feed_origin
SELECT system_identifier, (SELECT oid::bigint FROM pg_database WHERE datname = current_database())
FROM pg_control_system();

-- name: feed_position
SELECT EXISTS (
    SELECT FROM stock_transaction
    WHERE store_id = %(store_id)s AND product_id = %(product_id)s AND location = %(location)s
        AND version = %(version)s AND xid = %(xid)s::text::xid8
        AND xid < pg_snapshot_xmin(pg_current_snapshot())
);

-- name: feed_end
SELECT t.xid::text::bigint, t.product_id, t.location, t.version
FROM (
    SELECT * FROM stock_transaction
    WHERE store_id = %(store_id)s AND xid = (
        SELECT l.xid FROM stock_transaction l
        WHERE l.store_id = %(store_id)s AND l.xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY l.xid DESC
        LIMIT 1
    )
    OFFSET 0
) AS t
ORDER BY t.product_id DESC, t.location DESC, t.version DESC
LIMIT 1;

-- name: feed_page
SELECT t.product_id, t.location, t.version, t.action, t.quantity, t.available_after, t.allocated_after,
    t.hand_allocated_after, t.reservation_id, t.order_id, t.reason, t.reference, t.request_id, t.actor,
    t.created_at, t.xid::text::bigint
FROM stock_transaction t
WHERE t.store_id = %(store_id)s AND t.xid > %(after_xid)s::text::xid8
    AND t.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY t.xid
LIMIT %(limit)s;

-- name: feed_transaction
SELECT t.product_id, t.location, t.version, t.action, t.quantity, t.available_after, t.allocated_after,
    t.hand_allocated_after, t.reservation_id, t.order_id, t.reason, t.reference, t.request_id, t.actor,
    t.created_at, t.xid::text::bigint
FROM (
    SELECT * FROM stock_transaction
    -- A range with an order, so that no plan takes the primary key and walks the store.
    WHERE store_id = %(store_id)s AND xid BETWEEN %(xid)s::text::xid8 AND %(xid)s::text::xid8
    ORDER BY xid OFFSET 0
) AS t
WHERE (t.product_id, t.location, t.version)
    > (%(after_product_id)s, %(after_location)s, %(after_version)s::bigint)
ORDER BY t.product_id, t.location, t.version
LIMIT %(limit)s;

-- name: feed_stalled
SELECT date_part('epoch', clock_timestamp() - t.created_at)
FROM stock_transaction t
WHERE t.store_id = %(store_id)s AND t.xid >= pg_snapshot_xmin(pg_current_snapshot())
ORDER BY t.xid
LIMIT 1;
