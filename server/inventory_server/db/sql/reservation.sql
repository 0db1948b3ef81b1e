-- What reservations alone need: their returns and their lists. The rest stands in load.sql and save.sql.

-- name: item_returns
SELECT r.return_id, r.reservation_id, r.restocked, r.location, r.reason, r.reference, r.actor,
    r.content_hash, r.created_at, l.line_number, l.quantity
FROM item_return r
JOIN LATERAL (
    SELECT * FROM item_return_line WHERE store_id = %(store_id)s AND return_id = r.return_id OFFSET 0
) AS l ON true
WHERE r.store_id = %(store_id)s AND r.return_id = ANY(%(item_returns)s::text[])
ORDER BY r.return_id, l.line_number;

-- name: insert_item_returns
INSERT INTO item_return
    (store_id, return_id, reservation_id, restocked, location, reason, reference, actor, content_hash, created_at)
SELECT %(store_id)s, r.*
FROM unnest(
    %(return_id)s::text[], %(reservation_id)s::text[], %(restocked)s::boolean[], %(location)s::text[], %(reason)s::text[], %(reference)s::text[], %(actor)s::text[], %(content_hash)s::bytea[], %(created_at)s::timestamptz[]
) AS r;

-- name: insert_item_return_lines
INSERT INTO item_return_line
    (store_id, return_id, line_number, quantity)
SELECT %(store_id)s, r.*
FROM unnest(
    %(return_id)s::text[], %(line_number)s::integer[], %(quantity)s::bigint[]
) AS r;

-- name: reservation_page
SELECT expire_time, reservation_id
FROM reservation
WHERE store_id = %(store_id)s AND reservation_id > %(after_id)s
ORDER BY reservation_id
LIMIT %(limit)s;

-- name: reservation_live_page
SELECT expire_time, reservation_id
FROM reservation
WHERE store_id = %(store_id)s AND state = %(state)s AND state IN ('HELD', 'COMMITTED')
    AND reservation_id > %(after_id)s
ORDER BY reservation_id
LIMIT %(limit)s;

-- name: reservation_of_order_page
SELECT expire_time, reservation_id
FROM reservation
WHERE store_id = %(store_id)s AND order_id = %(order_id)s AND reservation_id > %(after_id)s
ORDER BY reservation_id
LIMIT %(limit)s;

-- name: reservation_due_page
SELECT expire_time, reservation_id
FROM reservation
WHERE store_id = %(store_id)s AND state = 'HELD' AND NOT expiry_suspended
    AND expire_time <= %(until)s::timestamptz
    AND (expire_time, reservation_id) > (%(after_time)s::timestamptz, %(after_id)s)
ORDER BY expire_time, reservation_id
LIMIT %(limit)s;
