-- What a batch saves: one statement for all rows of a kind, arrays through unnest. It stands in the list of what is
-- selected, where all go on side by side, row by row; in FROM each would be put away as a table of its own first.
-- These are run in one of two forms, which db/queries.py makes of them: for one row, without an array, and for many,
-- where what is the same in all of them is read once.
-- Rows that change are put by ON CONFLICT, which goes by the primary key whatever the planner thinks; a row that
-- another writer made since our snapshot raises 40001 there. New stock and reservations are inserted: to look first
-- takes a third more. There such a row raises 23505, which is run again all the same (db/sqlstate.py).
-- now() is the batch's time: that of its transaction.

-- name: insert_stocks
INSERT INTO stock
    (store_id, product_id, created_at, updated_at, low_stock_threshold, deleted_at)
SELECT %(store_id)s,
    unnest(%(product_id)s::text[]), unnest(%(created_at)s::timestamptz[]), unnest(%(updated_at)s::timestamptz[]), unnest(%(low_stock_threshold)s::bigint[]), unnest(%(deleted_at)s::timestamptz[]);

-- name: put_stocks
INSERT INTO stock
    (store_id, product_id, created_at, updated_at, low_stock_threshold, deleted_at)
SELECT %(store_id)s,
    unnest(%(product_id)s::text[]), unnest(%(created_at)s::timestamptz[]), unnest(%(updated_at)s::timestamptz[]), unnest(%(low_stock_threshold)s::bigint[]), unnest(%(deleted_at)s::timestamptz[])
ON CONFLICT ON CONSTRAINT stock_pkey DO UPDATE
SET created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at, low_stock_threshold = EXCLUDED.low_stock_threshold, deleted_at = EXCLUDED.deleted_at;

-- name: insert_levels
INSERT INTO stock_level
    (store_id, product_id, location, available, allocated, hand_allocated, version, updated_at)
SELECT %(store_id)s,
    unnest(%(product_id)s::text[]), unnest(%(location)s::text[]), unnest(%(available)s::bigint[]), unnest(%(allocated)s::bigint[]), unnest(%(hand_allocated)s::bigint[]), unnest(%(version)s::bigint[]), now();

-- name: put_levels
INSERT INTO stock_level
    (store_id, product_id, location, available, allocated, hand_allocated, version, updated_at)
SELECT %(store_id)s,
    unnest(%(product_id)s::text[]), unnest(%(location)s::text[]), unnest(%(available)s::bigint[]), unnest(%(allocated)s::bigint[]), unnest(%(hand_allocated)s::bigint[]), unnest(%(version)s::bigint[]), now()
ON CONFLICT ON CONSTRAINT stock_level_pkey DO UPDATE
SET available = EXCLUDED.available, allocated = EXCLUDED.allocated, hand_allocated = EXCLUDED.hand_allocated, version = EXCLUDED.version, updated_at = EXCLUDED.updated_at;

-- name: insert_log
INSERT INTO stock_transaction
    (store_id, product_id, location, version, action, quantity, available_after, allocated_after, hand_allocated_after, reservation_id, order_id, reason, reference, request_id, actor, created_at)
SELECT %(store_id)s,
    unnest(%(product_id)s::text[]), unnest(%(location)s::text[]), unnest(%(version)s::bigint[]), unnest(%(action)s::text[]), unnest(%(quantity)s::bigint[]), unnest(%(available_after)s::bigint[]), unnest(%(allocated_after)s::bigint[]), unnest(%(hand_allocated_after)s::bigint[]), unnest(%(reservation_id)s::text[]), unnest(%(order_id)s::text[]), unnest(%(reason)s::text[]), unnest(%(reference)s::text[]), unnest(%(request_id)s::text[]), unnest(%(actor)s::text[]), now();

-- name: insert_reservations
INSERT INTO reservation
    (store_id, reservation_id, order_id, owned_by_order, content_hash, created_at, state, expire_time, updated_at, expiry_suspended)
SELECT %(store_id)s,
    unnest(%(reservation_id)s::text[]), unnest(%(order_id)s::text[]), unnest(%(owned_by_order)s::boolean[]), unnest(%(content_hash)s::bytea[]), unnest(%(created_at)s::timestamptz[]), unnest(%(state)s::text[]), unnest(%(expire_time)s::timestamptz[]), unnest(%(updated_at)s::timestamptz[]), unnest(%(expiry_suspended)s::boolean[]);

-- name: put_reservations
INSERT INTO reservation
    (store_id, reservation_id, order_id, owned_by_order, content_hash, created_at, state, expire_time, updated_at, expiry_suspended)
SELECT %(store_id)s,
    unnest(%(reservation_id)s::text[]), unnest(%(order_id)s::text[]), unnest(%(owned_by_order)s::boolean[]), unnest(%(content_hash)s::bytea[]), unnest(%(created_at)s::timestamptz[]), unnest(%(state)s::text[]), unnest(%(expire_time)s::timestamptz[]), unnest(%(updated_at)s::timestamptz[]), unnest(%(expiry_suspended)s::boolean[])
ON CONFLICT ON CONSTRAINT reservation_pkey DO UPDATE
SET state = EXCLUDED.state, expire_time = EXCLUDED.expire_time, updated_at = EXCLUDED.updated_at, expiry_suspended = EXCLUDED.expiry_suspended;

-- name: insert_reservation_lines
INSERT INTO reservation_line
    (store_id, reservation_id, line_number, product_id, reserved, named_location, location, open, released, fulfilled, returned)
SELECT %(store_id)s,
    unnest(%(reservation_id)s::text[]), unnest(%(line_number)s::integer[]), unnest(%(product_id)s::text[]), unnest(%(reserved)s::bigint[]), unnest(%(named_location)s::text[]), unnest(%(location)s::text[]), unnest(%(open)s::bigint[]), unnest(%(released)s::bigint[]), unnest(%(fulfilled)s::bigint[]), unnest(%(returned)s::bigint[]);

-- name: put_reservation_lines
INSERT INTO reservation_line
    (store_id, reservation_id, line_number, product_id, reserved, named_location, location, open, released, fulfilled, returned)
SELECT %(store_id)s,
    unnest(%(reservation_id)s::text[]), unnest(%(line_number)s::integer[]), unnest(%(product_id)s::text[]), unnest(%(reserved)s::bigint[]), unnest(%(named_location)s::text[]), unnest(%(location)s::text[]), unnest(%(open)s::bigint[]), unnest(%(released)s::bigint[]), unnest(%(fulfilled)s::bigint[]), unnest(%(returned)s::bigint[])
ON CONFLICT ON CONSTRAINT reservation_line_pkey DO UPDATE
SET location = EXCLUDED.location, open = EXCLUDED.open, released = EXCLUDED.released, fulfilled = EXCLUDED.fulfilled, returned = EXCLUDED.returned;

-- name: put_carts
INSERT INTO cart
    (store_id, cart_id, currency, content_hash, created_at, defer_inventory_check, order_id, updated_at, expires_at)
SELECT %(store_id)s,
    unnest(%(cart_id)s::text[]), unnest(%(currency)s::text[]), unnest(%(content_hash)s::bytea[]), unnest(%(created_at)s::timestamptz[]), unnest(%(defer_inventory_check)s::boolean[]), unnest(%(order_id)s::text[]), unnest(%(updated_at)s::timestamptz[]), unnest(%(expires_at)s::timestamptz[])
ON CONFLICT ON CONSTRAINT cart_pkey DO UPDATE
SET order_id = EXCLUDED.order_id, updated_at = EXCLUDED.updated_at, expires_at = EXCLUDED.expires_at;

-- name: delete_cart_items
DELETE FROM cart_item
WHERE store_id = %(store_id)s AND cart_id = ANY(%(cart_id)s::text[])
    AND (cart_id, product_id) IN (SELECT * FROM unnest(%(cart_id)s::text[], %(product_id)s::text[]));

-- name: put_cart_items
INSERT INTO cart_item
    (store_id, cart_id, product_id, position, quantity, unit_price_minor, location, track_stock)
SELECT %(store_id)s,
    unnest(%(cart_id)s::text[]), unnest(%(product_id)s::text[]), unnest(%(position)s::integer[]), unnest(%(quantity)s::bigint[]), unnest(%(unit_price_minor)s::bigint[]), unnest(%(location)s::text[]), unnest(%(track_stock)s::boolean[])
ON CONFLICT ON CONSTRAINT cart_item_pkey DO UPDATE
SET position = EXCLUDED.position, quantity = EXCLUDED.quantity, unit_price_minor = EXCLUDED.unit_price_minor, location = EXCLUDED.location, track_stock = EXCLUDED.track_stock;

-- name: put_orders
INSERT INTO sales_order
    (store_id, order_id, cart_id, currency, total_minor, content_hash, created_at, reservation_id, cancelled_at)
SELECT %(store_id)s,
    unnest(%(order_id)s::text[]), unnest(%(cart_id)s::text[]), unnest(%(currency)s::text[]), unnest(%(total_minor)s::bigint[]), unnest(%(content_hash)s::bytea[]), unnest(%(created_at)s::timestamptz[]), unnest(%(reservation_id)s::text[]), unnest(%(cancelled_at)s::timestamptz[])
ON CONFLICT ON CONSTRAINT sales_order_pkey DO UPDATE
SET reservation_id = EXCLUDED.reservation_id, cancelled_at = EXCLUDED.cancelled_at;

-- name: put_order_lines
INSERT INTO order_line
    (store_id, order_id, line_number, product_id, quantity, unit_price_minor, location, created_at, track_stock, unmanaged)
SELECT %(store_id)s,
    unnest(%(order_id)s::text[]), unnest(%(line_number)s::integer[]), unnest(%(product_id)s::text[]), unnest(%(quantity)s::bigint[]), unnest(%(unit_price_minor)s::bigint[]), unnest(%(location)s::text[]), unnest(%(created_at)s::timestamptz[]), unnest(%(track_stock)s::boolean[]), unnest(%(unmanaged)s::boolean[])
ON CONFLICT ON CONSTRAINT order_line_pkey DO UPDATE
SET unmanaged = EXCLUDED.unmanaged;

-- name: insert_payments
INSERT INTO payment
    (store_id, payment_id, order_id, amount_minor, currency, payment_method, content_hash, created_at)
SELECT %(store_id)s,
    unnest(%(payment_id)s::text[]), unnest(%(order_id)s::text[]), unnest(%(amount_minor)s::bigint[]), unnest(%(currency)s::text[]), unnest(%(payment_method)s::text[]), unnest(%(content_hash)s::bytea[]), unnest(%(created_at)s::timestamptz[]);

-- name: put_operations
INSERT INTO payment_operation
    (store_id, operation_id, payment_id, order_id, kind, amount_minor, created_at, payment_created_at, state, lease_until, gateway_reference, failure_reason, updated_at, refund_id, content_hash, reverses_operation_id, lapsed, resolved_at, resolved_by, resolve_reason, poll_until)
SELECT %(store_id)s,
    unnest(%(operation_id)s::text[]), unnest(%(payment_id)s::text[]), unnest(%(order_id)s::text[]), unnest(%(kind)s::text[]), unnest(%(amount_minor)s::bigint[]), unnest(%(created_at)s::timestamptz[]), unnest(%(payment_created_at)s::timestamptz[]), unnest(%(state)s::text[]), unnest(%(lease_until)s::timestamptz[]), unnest(%(gateway_reference)s::text[]), unnest(%(failure_reason)s::text[]), unnest(%(updated_at)s::timestamptz[]), unnest(%(refund_id)s::text[]), unnest(%(content_hash)s::bytea[]), unnest(%(reverses_operation_id)s::text[]), unnest(%(lapsed)s::boolean[]), unnest(%(resolved_at)s::timestamptz[]), unnest(%(resolved_by)s::text[]), unnest(%(resolve_reason)s::text[]), unnest(%(poll_until)s::timestamptz[])
ON CONFLICT ON CONSTRAINT payment_operation_pkey DO UPDATE
SET payment_created_at = EXCLUDED.payment_created_at, state = EXCLUDED.state, lease_until = EXCLUDED.lease_until, gateway_reference = EXCLUDED.gateway_reference, failure_reason = EXCLUDED.failure_reason, updated_at = EXCLUDED.updated_at, lapsed = EXCLUDED.lapsed, resolved_at = EXCLUDED.resolved_at, resolved_by = EXCLUDED.resolved_by, resolve_reason = EXCLUDED.resolve_reason, poll_until = EXCLUDED.poll_until;

-- name: insert_shipments
INSERT INTO shipment
    (store_id, shipment_id, order_id, content_hash, created_at)
SELECT %(store_id)s,
    unnest(%(shipment_id)s::text[]), unnest(%(order_id)s::text[]), unnest(%(content_hash)s::bytea[]), unnest(%(created_at)s::timestamptz[]);

-- name: insert_shipment_lines
INSERT INTO shipment_line
    (store_id, shipment_id, line_number, quantity)
SELECT %(store_id)s,
    unnest(%(shipment_id)s::text[]), unnest(%(line_number)s::integer[]), unnest(%(quantity)s::bigint[]);

-- name: insert_answers
INSERT INTO request_log
    (store_id, method, request_id, content_hash, response)
SELECT %(store_id)s,
    unnest(%(method)s::text[]), unnest(%(request_id)s::text[]), unnest(%(content_hash)s::bytea[]), unnest(%(response)s::bytea[]);

-- name: forget_answers
DELETE FROM request_log
WHERE store_id = %(store_id)s AND created_at < %(before)s::timestamptz AND created_at <= (
    -- the oldest, and those of the same batch as the last of them
    SELECT max(created_at) FROM (
        SELECT created_at FROM request_log
        WHERE store_id = %(store_id)s AND created_at < %(before)s::timestamptz
        ORDER BY created_at
        LIMIT %(limit)s
    ) AS oldest
);

-- name: update_settings
UPDATE store
SET defer_inventory_check = %(defer_inventory_check)s, sell_unmanaged_products = %(sell_unmanaged_products)s,
    default_hold_s = %(default_hold_s)s, cart_expiry_s = %(cart_expiry_s)s, updated_at = %(updated_at)s
WHERE store_id = %(store_id)s;
