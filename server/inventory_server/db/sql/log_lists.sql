-- The log in pages. By time the moment of a batch comes whole, WITH TIES: its index ends with the time.

-- name: log_of_product
SELECT product_id, location, version, action, quantity, available_after, allocated_after,
    hand_allocated_after, reservation_id, order_id, reason, reference, request_id, actor, created_at
FROM stock_transaction
WHERE store_id = %(store_id)s AND product_id = %(product_id)s
    AND (location, version) > (%(after_location)s, %(after_version)s::bigint)
    AND (location, version) < (%(before_location)s, %(before_version)s::bigint)
ORDER BY location, version
LIMIT %(limit)s;

-- name: log_of_product_newest
SELECT product_id, location, version, action, quantity, available_after, allocated_after,
    hand_allocated_after, reservation_id, order_id, reason, reference, request_id, actor, created_at
FROM stock_transaction
WHERE store_id = %(store_id)s AND product_id = %(product_id)s
    AND (location, version) > (%(after_location)s, %(after_version)s::bigint)
    AND (location, version) < (%(before_location)s, %(before_version)s::bigint)
ORDER BY location DESC, version DESC
LIMIT %(limit)s;

-- name: log_by_time
SELECT product_id, location, version, action, quantity, available_after, allocated_after,
    hand_allocated_after, reservation_id, order_id, reason, reference, request_id, actor, created_at
FROM stock_transaction
WHERE store_id = %(store_id)s AND created_at > '-infinity'
    AND created_at >= %(first)s::timestamptz AND created_at <= %(last)s::timestamptz
ORDER BY created_at
FETCH FIRST (%(limit)s::bigint) ROWS WITH TIES;

-- name: log_by_time_newest
SELECT product_id, location, version, action, quantity, available_after, allocated_after,
    hand_allocated_after, reservation_id, order_id, reason, reference, request_id, actor, created_at
FROM stock_transaction
WHERE store_id = %(store_id)s AND created_at > '-infinity'
    AND created_at >= %(first)s::timestamptz AND created_at <= %(last)s::timestamptz
ORDER BY created_at DESC
FETCH FIRST (%(limit)s::bigint) ROWS WITH TIES;

-- name: log_of_order
SELECT product_id, location, version, action, quantity, available_after, allocated_after,
    hand_allocated_after, reservation_id, order_id, reason, reference, request_id, actor, created_at
FROM stock_transaction
WHERE store_id = %(store_id)s AND order_id = %(order_id)s
    AND created_at >= %(first)s::timestamptz AND created_at <= %(last)s::timestamptz
ORDER BY created_at
FETCH FIRST (%(limit)s::bigint) ROWS WITH TIES;

-- name: log_of_order_newest
SELECT product_id, location, version, action, quantity, available_after, allocated_after,
    hand_allocated_after, reservation_id, order_id, reason, reference, request_id, actor, created_at
FROM stock_transaction
WHERE store_id = %(store_id)s AND order_id = %(order_id)s
    AND created_at >= %(first)s::timestamptz AND created_at <= %(last)s::timestamptz
ORDER BY created_at DESC
FETCH FIRST (%(limit)s::bigint) ROWS WITH TIES;

-- name: log_of_actor
SELECT product_id, location, version, action, quantity, available_after, allocated_after,
    hand_allocated_after, reservation_id, order_id, reason, reference, request_id, actor, created_at
FROM stock_transaction
WHERE store_id = %(store_id)s AND actor = %(actor)s AND actor <> ''
    AND created_at >= %(first)s::timestamptz AND created_at <= %(last)s::timestamptz
ORDER BY created_at
FETCH FIRST (%(limit)s::bigint) ROWS WITH TIES;

-- name: log_of_actor_newest
SELECT product_id, location, version, action, quantity, available_after, allocated_after,
    hand_allocated_after, reservation_id, order_id, reason, reference, request_id, actor, created_at
FROM stock_transaction
WHERE store_id = %(store_id)s AND actor = %(actor)s AND actor <> ''
    AND created_at >= %(first)s::timestamptz AND created_at <= %(last)s::timestamptz
ORDER BY created_at DESC
FETCH FIRST (%(limit)s::bigint) ROWS WITH TIES;
