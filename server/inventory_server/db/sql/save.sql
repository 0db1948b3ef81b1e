-- What a batch saves: one statement for all rows of a kind, arrays through unnest.

-- name: insert_stocks
INSERT INTO stock
    (store_id, product_id, created_at)
SELECT %(store_id)s, r.*
FROM unnest(
    %(product_id)s::text[], %(created_at)s::timestamptz[]
) AS r;

-- name: insert_levels
INSERT INTO stock_level
    (store_id, product_id, location, available, allocated, hand_allocated, version, updated_at)
SELECT %(store_id)s, r.*
FROM unnest(
    %(product_id)s::text[], %(location)s::text[], %(available)s::bigint[], %(allocated)s::bigint[], %(hand_allocated)s::bigint[], %(version)s::bigint[], %(updated_at)s::timestamptz[]
) AS r;

-- name: update_levels
UPDATE stock_level t
SET available = r.available, allocated = r.allocated, hand_allocated = r.hand_allocated, version = r.version, updated_at = r.updated_at
FROM unnest(
    %(product_id)s::text[], %(location)s::text[], %(available)s::bigint[], %(allocated)s::bigint[], %(hand_allocated)s::bigint[], %(version)s::bigint[], %(updated_at)s::timestamptz[]
) AS r (product_id, location, available, allocated, hand_allocated, version, updated_at)
WHERE t.store_id = %(store_id)s AND t.product_id = r.product_id AND t.location = r.location;

-- name: insert_log
INSERT INTO stock_transaction
    (store_id, product_id, location, version, action, quantity, available_after, allocated_after, hand_allocated_after, reservation_id, order_id, reason, reference, request_id, created_at)
SELECT %(store_id)s, r.*
FROM unnest(
    %(product_id)s::text[], %(location)s::text[], %(version)s::bigint[], %(action)s::text[], %(quantity)s::bigint[], %(available_after)s::bigint[], %(allocated_after)s::bigint[], %(hand_allocated_after)s::bigint[], %(reservation_id)s::text[], %(order_id)s::text[], %(reason)s::text[], %(reference)s::text[], %(request_id)s::text[], %(created_at)s::timestamptz[]
) AS r;

-- name: insert_reservations
INSERT INTO reservation
    (store_id, reservation_id, order_id, owned_by_order, state, expire_time, content_hash, created_at, updated_at)
SELECT %(store_id)s, r.*
FROM unnest(
    %(reservation_id)s::text[], %(order_id)s::text[], %(owned_by_order)s::boolean[], %(state)s::text[], %(expire_time)s::timestamptz[], %(content_hash)s::bytea[], %(created_at)s::timestamptz[], %(updated_at)s::timestamptz[]
) AS r;

-- name: update_reservations
UPDATE reservation t
SET state = r.state, expire_time = r.expire_time, updated_at = r.updated_at
FROM unnest(
    %(reservation_id)s::text[], %(state)s::text[], %(expire_time)s::timestamptz[], %(updated_at)s::timestamptz[]
) AS r (reservation_id, state, expire_time, updated_at)
WHERE t.store_id = %(store_id)s AND t.reservation_id = r.reservation_id;

-- name: insert_reservation_lines
INSERT INTO reservation_line
    (store_id, reservation_id, line_number, product_id, location, named_location, reserved, open, released, fulfilled)
SELECT %(store_id)s, r.*
FROM unnest(
    %(reservation_id)s::text[], %(line_number)s::integer[], %(product_id)s::text[], %(location)s::text[], %(named_location)s::text[], %(reserved)s::bigint[], %(open)s::bigint[], %(released)s::bigint[], %(fulfilled)s::bigint[]
) AS r;

-- name: update_reservation_lines
UPDATE reservation_line t
SET location = r.location, open = r.open, released = r.released, fulfilled = r.fulfilled
FROM unnest(
    %(reservation_id)s::text[], %(line_number)s::integer[], %(location)s::text[], %(open)s::bigint[], %(released)s::bigint[], %(fulfilled)s::bigint[]
) AS r (reservation_id, line_number, location, open, released, fulfilled)
WHERE t.store_id = %(store_id)s AND t.reservation_id = r.reservation_id AND t.line_number = r.line_number;

-- name: insert_carts
INSERT INTO cart
    (store_id, cart_id, currency, order_id, content_hash, created_at, updated_at)
SELECT %(store_id)s, r.*
FROM unnest(
    %(cart_id)s::text[], %(currency)s::text[], %(order_id)s::text[], %(content_hash)s::bytea[], %(created_at)s::timestamptz[], %(updated_at)s::timestamptz[]
) AS r;

-- name: update_carts
UPDATE cart t
SET order_id = r.order_id, updated_at = r.updated_at
FROM unnest(
    %(cart_id)s::text[], %(order_id)s::text[], %(updated_at)s::timestamptz[]
) AS r (cart_id, order_id, updated_at)
WHERE t.store_id = %(store_id)s AND t.cart_id = r.cart_id;

-- name: delete_cart_items
DELETE FROM cart_item t
USING unnest(%(cart_id)s::text[], %(product_id)s::text[]) AS r (cart_id, product_id)
WHERE t.store_id = %(store_id)s AND t.cart_id = r.cart_id AND t.product_id = r.product_id;

-- name: upsert_cart_items
INSERT INTO cart_item
    (store_id, cart_id, product_id, position, quantity, unit_price_minor, location)
SELECT %(store_id)s, r.*
FROM unnest(
    %(cart_id)s::text[], %(product_id)s::text[], %(position)s::integer[], %(quantity)s::bigint[], %(unit_price_minor)s::bigint[], %(location)s::text[]
) AS r
ON CONFLICT ON CONSTRAINT cart_item_pkey DO UPDATE
SET position = EXCLUDED.position, quantity = EXCLUDED.quantity,
    unit_price_minor = EXCLUDED.unit_price_minor, location = EXCLUDED.location;

-- name: insert_orders
INSERT INTO sales_order
    (store_id, order_id, cart_id, currency, total_minor, reservation_id, content_hash, created_at, cancelled_at)
SELECT %(store_id)s, r.*
FROM unnest(
    %(order_id)s::text[], %(cart_id)s::text[], %(currency)s::text[], %(total_minor)s::bigint[], %(reservation_id)s::text[], %(content_hash)s::bytea[], %(created_at)s::timestamptz[], %(cancelled_at)s::timestamptz[]
) AS r;

-- name: update_orders
UPDATE sales_order t
SET reservation_id = r.reservation_id, cancelled_at = r.cancelled_at
FROM unnest(
    %(order_id)s::text[], %(reservation_id)s::text[], %(cancelled_at)s::timestamptz[]
) AS r (order_id, reservation_id, cancelled_at)
WHERE t.store_id = %(store_id)s AND t.order_id = r.order_id;

-- name: insert_order_lines
INSERT INTO order_line
    (store_id, order_id, line_number, product_id, quantity, unit_price_minor, location)
SELECT %(store_id)s, r.*
FROM unnest(
    %(order_id)s::text[], %(line_number)s::integer[], %(product_id)s::text[], %(quantity)s::bigint[], %(unit_price_minor)s::bigint[], %(location)s::text[]
) AS r;

-- name: insert_payments
INSERT INTO payment
    (store_id, payment_id, order_id, amount_minor, currency, payment_method, content_hash, created_at)
SELECT %(store_id)s, r.*
FROM unnest(
    %(payment_id)s::text[], %(order_id)s::text[], %(amount_minor)s::bigint[], %(currency)s::text[], %(payment_method)s::text[], %(content_hash)s::bytea[], %(created_at)s::timestamptz[]
) AS r;

-- name: insert_operations
INSERT INTO payment_operation
    (store_id, operation_id, payment_id, order_id, kind, amount_minor, state, lease_until, gateway_reference, failure_reason, created_at, updated_at)
SELECT %(store_id)s, r.*
FROM unnest(
    %(operation_id)s::text[], %(payment_id)s::text[], %(order_id)s::text[], %(kind)s::text[], %(amount_minor)s::bigint[], %(state)s::text[], %(lease_until)s::timestamptz[], %(gateway_reference)s::text[], %(failure_reason)s::text[], %(created_at)s::timestamptz[], %(updated_at)s::timestamptz[]
) AS r;

-- name: update_operations
UPDATE payment_operation t
SET state = r.state, lease_until = r.lease_until, gateway_reference = r.gateway_reference, failure_reason = r.failure_reason, updated_at = r.updated_at
FROM unnest(
    %(operation_id)s::text[], %(state)s::text[], %(lease_until)s::timestamptz[], %(gateway_reference)s::text[], %(failure_reason)s::text[], %(updated_at)s::timestamptz[]
) AS r (operation_id, state, lease_until, gateway_reference, failure_reason, updated_at)
WHERE t.store_id = %(store_id)s AND t.operation_id = r.operation_id;

-- name: insert_shipments
INSERT INTO shipment
    (store_id, shipment_id, order_id, content_hash, created_at)
SELECT %(store_id)s, r.*
FROM unnest(
    %(shipment_id)s::text[], %(order_id)s::text[], %(content_hash)s::bytea[], %(created_at)s::timestamptz[]
) AS r;

-- name: insert_shipment_lines
INSERT INTO shipment_line
    (store_id, shipment_id, line_number, quantity)
SELECT %(store_id)s, r.*
FROM unnest(
    %(shipment_id)s::text[], %(line_number)s::integer[], %(quantity)s::bigint[]
) AS r;

-- name: insert_answers
INSERT INTO request_log
    (store_id, method, request_id, content_hash, response)
SELECT %(store_id)s, r.*
FROM unnest(
    %(method)s::text[], %(request_id)s::text[], %(content_hash)s::bytea[], %(response)s::bytea[]
) AS r;
