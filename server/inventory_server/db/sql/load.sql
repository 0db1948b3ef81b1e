-- What a batch, or a read, loads. The locking clause stands apart: reads leave it out.
-- Joins are LATERAL with OFFSET 0, which the planner cannot turn round: on a table that was small when the plan
-- was made it would otherwise walk all rows of the store, and for SSI lock them.
-- A range of one key with an order leaves no other index to plan by than that key's.
-- A statement with `touched` also reaches the products of the reservations, orders and carts named.

-- name: store
SELECT now(), defer_inventory_check, sell_unmanaged_products, default_hold_s, cart_expiry_s, updated_at
FROM store
WHERE store_id = %(store_id)s;

-- name: locations
SELECT slug, enabled, priority, name, external_ref, description, address_lines, latitude, longitude,
    created_at, updated_at
FROM location
WHERE store_id = %(store_id)s;

-- name: locations_ranked
SELECT slug, enabled, priority
FROM location
WHERE store_id = %(store_id)s;

-- name: answers
SELECT r.method, r.request_id, r.content_hash, r.response
FROM unnest(%(methods)s::text[], %(request_ids)s::text[]) AS wanted (method, request_id)
JOIN LATERAL (
    SELECT * FROM request_log
    WHERE store_id = %(store_id)s AND method = wanted.method AND request_id = wanted.request_id OFFSET 0
) AS r ON true;

-- name: stocks
SELECT product_id, created_at, updated_at, low_stock_threshold, deleted_at
FROM stock
WHERE store_id = %(store_id)s AND product_id = ANY(%(products)s::text[]);

-- name: levels
SELECT product_id, location, available, allocated, hand_allocated, version, updated_at
FROM stock_level
WHERE store_id = %(store_id)s AND product_id = ANY(%(products)s::text[])
ORDER BY product_id, location
-- lock: FOR UPDATE;

-- name: stocks_touched
SELECT product_id, created_at, updated_at, low_stock_threshold, deleted_at
FROM stock
WHERE store_id = %(store_id)s AND product_id = ANY(ARRAY(
    SELECT unnest(%(products)s::text[])
    UNION
    SELECT product_id FROM reservation_line
    WHERE store_id = %(store_id)s AND reservation_id = ANY(%(reservations)s::text[])
    UNION
    SELECT l.product_id
    FROM unnest(%(orders)s::text[]) AS wanted (order_id)
    JOIN LATERAL (
        SELECT product_id FROM order_line
        WHERE store_id = %(store_id)s AND order_id BETWEEN wanted.order_id AND wanted.order_id
        ORDER BY order_id, line_number OFFSET 0
    ) AS l ON true
    UNION
    SELECT product_id FROM cart_item
    WHERE store_id = %(store_id)s AND cart_id = ANY(%(carts_checked)s::text[])
));

-- name: levels_touched
SELECT product_id, location, available, allocated, hand_allocated, version, updated_at
FROM stock_level
WHERE store_id = %(store_id)s AND product_id = ANY(ARRAY(
    SELECT unnest(%(products)s::text[])
    UNION
    SELECT product_id FROM reservation_line
    WHERE store_id = %(store_id)s AND reservation_id = ANY(%(reservations)s::text[])
    UNION
    SELECT l.product_id
    FROM unnest(%(orders)s::text[]) AS wanted (order_id)
    JOIN LATERAL (
        SELECT product_id FROM order_line
        WHERE store_id = %(store_id)s AND order_id BETWEEN wanted.order_id AND wanted.order_id
        ORDER BY order_id, line_number OFFSET 0
    ) AS l ON true
    UNION
    SELECT product_id FROM cart_item
    WHERE store_id = %(store_id)s AND cart_id = ANY(%(carts_checked)s::text[])
))
ORDER BY product_id, location
-- lock: FOR UPDATE;

-- name: reservations
SELECT r.reservation_id, r.order_id, r.owned_by_order, r.state, r.expire_time, r.content_hash,
    r.created_at, r.updated_at, r.expiry_suspended,
    l.line_number, l.product_id, l.location, l.reserved, l.open, l.released, l.fulfilled, l.returned,
    l.named_location
FROM reservation r
JOIN LATERAL (
    SELECT * FROM reservation_line
    WHERE store_id = %(store_id)s AND reservation_id = r.reservation_id OFFSET 0
) AS l ON true
WHERE r.store_id = %(store_id)s AND r.reservation_id = ANY(%(reservations)s::text[])
ORDER BY r.reservation_id, l.line_number
-- lock: FOR UPDATE OF r;

-- name: reservations_of_orders
SELECT r.reservation_id, r.order_id, r.owned_by_order, r.state, r.expire_time, r.content_hash,
    r.created_at, r.updated_at, r.expiry_suspended,
    l.line_number, l.product_id, l.location, l.reserved, l.open, l.released, l.fulfilled, l.returned,
    l.named_location
FROM reservation r
JOIN LATERAL (
    SELECT * FROM reservation_line
    WHERE store_id = %(store_id)s AND reservation_id = r.reservation_id OFFSET 0
) AS l ON true
WHERE r.store_id = %(store_id)s AND r.reservation_id = ANY(ARRAY(
    SELECT o.reservation_id
    FROM unnest(%(orders)s::text[]) AS wanted (order_id)
    JOIN LATERAL (
        SELECT reservation_id FROM sales_order
        WHERE store_id = %(store_id)s AND order_id BETWEEN wanted.order_id AND wanted.order_id
        ORDER BY order_id OFFSET 0
    ) AS o ON true
))
ORDER BY r.reservation_id, l.line_number
-- lock: FOR UPDATE OF r;

-- name: due_reservations
SELECT r.reservation_id, (
    SELECT count(*) FROM reservation_line
    WHERE store_id = %(store_id)s AND reservation_id = r.reservation_id
)
FROM reservation r
WHERE r.store_id = %(store_id)s AND r.state = 'HELD' AND r.expire_time <= now()
    AND NOT r.expiry_suspended AND EXISTS (
    SELECT FROM reservation_line
    WHERE store_id = %(store_id)s AND reservation_id = r.reservation_id
        AND product_id = ANY(%(products)s::text[])
    OFFSET 0
)
ORDER BY r.expire_time
LIMIT %(limit)s;

-- name: carts
SELECT c.cart_id, c.currency, c.order_id, c.content_hash, c.created_at, c.updated_at, c.expires_at,
    c.defer_inventory_check, i.product_id, i.quantity, i.unit_price_minor, i.location, i.track_stock
FROM cart c
LEFT JOIN LATERAL (
    SELECT * FROM cart_item WHERE store_id = %(store_id)s AND cart_id = c.cart_id OFFSET 0
) AS i ON true
WHERE c.store_id = %(store_id)s AND c.cart_id = ANY(%(carts)s::text[])
ORDER BY c.cart_id, i.position
-- lock: FOR UPDATE OF c;

-- name: orders
SELECT o.order_id, o.cart_id, o.currency, o.total_minor, o.reservation_id, o.content_hash,
    o.created_at, o.cancelled_at,
    l.line_number, l.product_id, l.quantity, l.unit_price_minor, l.location, l.track_stock, l.unmanaged
FROM sales_order o
JOIN LATERAL (
    SELECT * FROM order_line WHERE store_id = %(store_id)s AND order_id = o.order_id OFFSET 0
) AS l ON true
WHERE o.store_id = %(store_id)s AND o.order_id = ANY(%(orders)s::text[])
ORDER BY o.order_id, l.line_number
-- lock: FOR UPDATE OF o;

-- What begins a payment stands first, whatever the clock said when others were begun.
-- name: payments
SELECT p.payment_id, p.order_id, p.amount_minor, p.currency, p.payment_method, p.content_hash, p.created_at,
    o.operation_id, o.kind, o.amount_minor, o.state, o.lease_until, o.gateway_reference, o.failure_reason,
    o.created_at, o.updated_at, o.lapsed, o.refund_id, o.content_hash, o.reverses_operation_id,
    o.resolved_at, o.resolved_by, o.resolve_reason, o.poll_until
FROM (
    SELECT unnest(%(payments)s::text[]) AS payment_id
    UNION
    SELECT payment_id FROM payment
    WHERE store_id = %(store_id)s AND order_id = ANY(%(orders)s::text[])
    UNION
    SELECT payment_id FROM payment_operation
    WHERE store_id = %(store_id)s AND refund_id = ANY(%(refunds)s::text[])
) AS wanted
JOIN LATERAL (
    SELECT * FROM payment
    WHERE store_id = %(store_id)s AND payment_id BETWEEN wanted.payment_id AND wanted.payment_id
    ORDER BY payment_id OFFSET 0
) AS p ON true
LEFT JOIN LATERAL (
    SELECT * FROM payment_operation WHERE store_id = %(store_id)s AND payment_id = p.payment_id OFFSET 0
) AS o ON true
ORDER BY p.created_at, p.payment_id, o.kind NOT IN ('PURCHASE', 'AUTHORIZE'), o.created_at, o.operation_id;

-- name: shipments
SELECT s.shipment_id, s.order_id, s.content_hash, s.created_at, l.line_number, l.quantity
FROM shipment s
JOIN LATERAL (
    SELECT * FROM shipment_line WHERE store_id = %(store_id)s AND shipment_id = s.shipment_id OFFSET 0
) AS l ON true
WHERE s.store_id = %(store_id)s AND s.shipment_id = ANY(ARRAY(
    SELECT unnest(%(shipments)s::text[])
    UNION
    SELECT shipment_id FROM shipment
    WHERE store_id = %(store_id)s AND order_id = ANY(%(orders)s::text[])
))
ORDER BY s.created_at, s.shipment_id, l.line_number;
