-- What only reads and jobs ask. Pages go on after a key, so they are stable under concurrent writes.

-- name: store_exists
SELECT EXISTS (SELECT FROM store WHERE store_id = %(store_id)s);

-- name: all_stores
SELECT store_id FROM store_name ORDER BY store_id;

-- name: stock_page
SELECT product_id
FROM stock
WHERE store_id = %(store_id)s AND product_id > %(after)s
    AND product_id >= %(first)s AND product_id < %(until)s
ORDER BY product_id
LIMIT %(limit)s;

-- name: stock_with_threshold_page
SELECT product_id
FROM stock
WHERE store_id = %(store_id)s AND low_stock_threshold IS NOT NULL AND product_id > %(after)s
    AND product_id >= %(first)s AND product_id < %(until)s
ORDER BY product_id
LIMIT %(limit)s;

-- name: level_sums
SELECT product_id, sum(available)::bigint, sum(allocated)::bigint, max(updated_at)
FROM stock_level
WHERE store_id = %(store_id)s AND product_id = ANY(%(products)s::text[])
GROUP BY product_id;

-- Those at deleted locations keep nothing and are left out. A product is whole unless it is the last of as many rows
-- as were asked for.
-- name: levels_shown
SELECT l.product_id, l.location, l.available, l.allocated, l.hand_allocated, l.version, l.updated_at
FROM (SELECT product_id FROM unnest(%(products)s::text[]) AS product_id ORDER BY product_id COLLATE "C") AS wanted
JOIN LATERAL (
    SELECT * FROM stock_level v
    WHERE store_id = %(store_id)s AND product_id BETWEEN wanted.product_id AND wanted.product_id
        AND (available + allocated > 0 OR EXISTS (
            SELECT FROM location WHERE store_id = %(store_id)s AND slug = v.location OFFSET 0
        ))
    ORDER BY product_id, location OFFSET 0
) AS l ON true
ORDER BY wanted.product_id COLLATE "C", l.location
LIMIT %(limit)s;

-- name: stock_transaction
SELECT product_id, location, version, action, quantity, available_after, allocated_after,
    hand_allocated_after, reservation_id, order_id, reason, reference, request_id, actor, created_at
FROM stock_transaction
WHERE store_id = %(store_id)s AND product_id = %(product_id)s AND location = %(location)s
    -- A range with an order: while the table is small, the index of the feed would look as good as the key.
    AND version BETWEEN %(version)s AND %(version)s
ORDER BY version;

-- name: expired_held
SELECT l.product_id, l.location, sum(l.open)::bigint
FROM reservation r
JOIN LATERAL (
    SELECT * FROM reservation_line
    WHERE store_id = %(store_id)s AND reservation_id = r.reservation_id
        AND product_id = ANY(%(products)s::text[])
    OFFSET 0
) AS l ON true
WHERE r.store_id = %(store_id)s AND r.state = 'HELD' AND r.expire_time <= now()
    AND NOT r.expiry_suspended
GROUP BY l.product_id, l.location;

-- name: due_of_store
SELECT reservation_id
FROM reservation
WHERE store_id = %(store_id)s AND state = 'HELD' AND expire_time <= now() AND NOT expiry_suspended
ORDER BY expire_time
LIMIT %(limit)s;

-- name: old_answer_of_store
SELECT request_id
FROM request_log
WHERE store_id = %(store_id)s AND created_at < now() - make_interval(hours => %(kept_h)s)
ORDER BY created_at
LIMIT %(limit)s;

-- name: operations_in_doubt
SELECT order_id, payment_id, operation_id
FROM payment_operation
WHERE store_id = %(store_id)s AND state = 'PROCESSING' AND lease_until <= now()
ORDER BY lease_until
LIMIT %(limit)s;

-- name: operations_resolved
SELECT order_id, payment_id, operation_id
FROM payment_operation
WHERE store_id = %(store_id)s AND poll_until IS NOT NULL AND lease_until <= now()
ORDER BY lease_until
LIMIT %(limit)s;

-- name: oldest_doubt
SELECT date_part('epoch', now() - created_at)
FROM payment_operation
WHERE store_id = %(store_id)s AND state = 'PROCESSING' AND created_at <= now()
ORDER BY created_at
LIMIT %(limit)s;

-- name: reversals_open
SELECT o.operation_id
FROM (
    SELECT operation_id, payment_id FROM payment_operation
    WHERE store_id = %(store_id)s AND poll_until IS NOT NULL AND lease_until < 'infinity'
    ORDER BY lease_until
    LIMIT %(limit)s
) AS o
JOIN LATERAL (
    SELECT FROM payment_operation
    WHERE store_id = %(store_id)s AND payment_id = o.payment_id AND reverses_operation_id = o.operation_id
    LIMIT 1
) AS r ON true;

-- name: payment_page
SELECT payment_id
FROM payment
WHERE store_id = %(store_id)s
    AND (created_at, payment_id) > (%(after_time)s::timestamptz, %(after_id)s)
    AND created_at <= %(until)s::timestamptz
ORDER BY created_at, payment_id
LIMIT %(limit)s;

-- name: payments_of_order_page
SELECT payment_id
FROM payment
WHERE store_id = %(store_id)s AND order_id = %(order_id)s
    AND (created_at, payment_id) > (%(after_time)s::timestamptz, %(after_id)s)
    AND created_at <= %(until)s::timestamptz
ORDER BY created_at, payment_id
LIMIT %(limit)s;

-- A payment has one operation in flight at most (payment_operation_one_in_flight), so it is found once.
-- name: payments_in_flight_page
SELECT payment_id
FROM payment_operation
WHERE store_id = %(store_id)s AND state = 'PROCESSING'
    AND (payment_created_at, payment_id) > (%(after_time)s::timestamptz, %(after_id)s)
    AND payment_created_at <= %(until)s::timestamptz
ORDER BY payment_created_at, payment_id
LIMIT %(limit)s;
