-- What the verification reads, in chunks: levels and their logs by (product, location), reservations and orders
-- by their keys. Plain rows; the laws are in verify/.

-- name: verify_levels
SELECT l.product_id, l.location, l.available, l.allocated, l.hand_allocated, l.version,
    (SELECT s.deleted_at IS NULL FROM stock s WHERE s.store_id = %(store_id)s AND s.product_id = l.product_id)
FROM (
    SELECT * FROM unnest(%(first_products)s::text[], %(last_products)s::text[]) AS r (first_id, last_id)
    ORDER BY first_id COLLATE "C"
) AS r
JOIN LATERAL (
    SELECT * FROM stock_level
    WHERE store_id = %(store_id)s AND product_id BETWEEN r.first_id AND r.last_id
        AND (product_id, location) >= (%(product_id)s, %(location)s)
    ORDER BY product_id, location
    LIMIT %(limit)s
) AS l ON true
ORDER BY r.first_id COLLATE "C", l.product_id, l.location
LIMIT %(limit)s;

-- name: verify_logged_levels
SELECT l.product_id, l.location
FROM (
    SELECT * FROM unnest(%(first_products)s::text[], %(last_products)s::text[]) AS r (first_id, last_id)
    ORDER BY first_id COLLATE "C"
) AS r
JOIN LATERAL (
    WITH RECURSIVE logged AS (
        (
            SELECT t.product_id, t.location
            FROM stock_transaction t
            WHERE t.store_id = %(store_id)s AND t.product_id BETWEEN r.first_id AND r.last_id
                AND (t.product_id, t.location) >= (%(product_id)s, %(location)s)
            ORDER BY t.product_id, t.location
            LIMIT 1
        )
        UNION ALL
        SELECT n.product_id, n.location
        FROM logged
        JOIN LATERAL (
            SELECT t.product_id, t.location
            FROM stock_transaction t
            WHERE t.store_id = %(store_id)s AND t.product_id BETWEEN logged.product_id AND r.last_id
                AND (t.product_id, t.location) > (logged.product_id, logged.location)
            ORDER BY t.product_id, t.location
            LIMIT 1
        ) AS n ON true
    )
    SELECT product_id, location FROM logged LIMIT %(limit)s
) AS l ON true
ORDER BY r.first_id COLLATE "C", l.product_id, l.location
LIMIT %(limit)s;

-- name: verify_held
SELECT l.product_id, l.location, sum(l.open)::bigint
FROM reservation_line l
JOIN LATERAL (
    SELECT * FROM reservation
    WHERE store_id = %(store_id)s AND reservation_id = l.reservation_id OFFSET 0
) AS r ON r.state IN ('HELD', 'COMMITTED')
WHERE l.store_id = %(store_id)s AND l.product_id = ANY(%(products)s::text[]) AND l.open > 0
GROUP BY l.product_id, l.location;

-- name: verify_log
SELECT t.product_id, t.location, t.version, t.action, t.quantity, t.available_after, t.allocated_after,
    t.hand_allocated_after
FROM unnest(
    %(products)s::text[], %(locations)s::text[], %(first_versions)s::bigint[], %(last_versions)s::bigint[]
) AS wanted (product_id, location, first_version, last_version)
JOIN LATERAL (
    SELECT * FROM stock_transaction
    WHERE store_id = %(store_id)s AND product_id = wanted.product_id AND location = wanted.location
        AND version BETWEEN wanted.first_version AND wanted.last_version
    ORDER BY version OFFSET 0
) AS t ON true
ORDER BY t.product_id, t.location, t.version;

-- name: verify_reservations
SELECT r.reservation_id, r.state, r.owned_by_order, r.order_id, o.reservation_id,
    l.line_number, l.reserved, l.open, l.released, l.fulfilled, l.returned
FROM (
    SELECT * FROM reservation
    WHERE store_id = %(store_id)s AND reservation_id > %(after)s
    ORDER BY reservation_id
    LIMIT %(limit)s
) AS r
LEFT JOIN LATERAL (
    SELECT * FROM sales_order
    -- A range with an order, so that no plan takes another index and walks the store.
    WHERE store_id = %(store_id)s AND order_id BETWEEN r.order_id AND r.order_id
    ORDER BY order_id OFFSET 0
) AS o ON r.owned_by_order
LEFT JOIN LATERAL (
    SELECT * FROM reservation_line
    WHERE store_id = %(store_id)s AND reservation_id = r.reservation_id OFFSET 0
) AS l ON true
ORDER BY r.reservation_id, l.line_number;

-- name: verify_orders
SELECT order_id, total_minor, cancelled_at IS NOT NULL, reservation_id
FROM sales_order
WHERE store_id = %(store_id)s AND order_id > %(after)s
ORDER BY order_id
LIMIT %(limit)s;

-- name: verify_order_lines
SELECT order_id, product_id, quantity, unit_price_minor, track_stock AND NOT unmanaged
FROM order_line
WHERE store_id = %(store_id)s AND order_id = ANY(%(orders)s::text[]);

-- name: verify_order_holds
SELECT r.reservation_id, r.state, r.expire_time IS NOT NULL, l.product_id, l.open, l.fulfilled
FROM reservation r
JOIN LATERAL (
    SELECT * FROM reservation_line
    WHERE store_id = %(store_id)s AND reservation_id = r.reservation_id OFFSET 0
) AS l ON true
WHERE r.store_id = %(store_id)s AND r.reservation_id = ANY(%(reservations)s::text[])
ORDER BY r.reservation_id;

-- name: verify_payments
SELECT p.order_id, p.payment_id, p.amount_minor,
    o.kind, o.state, o.amount_minor, o.lapsed, o.reverses_operation_id IS NOT NULL
FROM payment p
LEFT JOIN LATERAL (
    SELECT * FROM payment_operation WHERE store_id = %(store_id)s AND payment_id = p.payment_id OFFSET 0
) AS o ON true
WHERE p.store_id = %(store_id)s AND p.order_id = ANY(%(orders)s::text[])
ORDER BY p.order_id, p.payment_id, o.created_at, o.operation_id;

-- name: verify_shipped
SELECT s.order_id, sum(l.quantity)::bigint
FROM shipment s
JOIN LATERAL (
    SELECT * FROM shipment_line WHERE store_id = %(store_id)s AND shipment_id = s.shipment_id OFFSET 0
) AS l ON true
JOIN LATERAL (
    SELECT * FROM order_line
    WHERE store_id = %(store_id)s AND order_id = s.order_id AND line_number = l.line_number OFFSET 0
) AS o ON o.track_stock AND NOT o.unmanaged
WHERE s.store_id = %(store_id)s AND s.order_id = ANY(%(orders)s::text[])
GROUP BY s.order_id;
