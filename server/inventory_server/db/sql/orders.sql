-- What came back of orders. The rest of the order flow stands in load.sql and save.sql.

-- name: order_returns
SELECT r.return_id, r.order_id, r.restocked, r.location, r.reason, r.reference, r.actor,
    r.content_hash, r.created_at, l.line_number, l.quantity
FROM unnest(ARRAY(
    SELECT unnest(%(order_returns)s::text[])
    UNION
    SELECT of_order.return_id FROM unnest(%(orders)s::text[]) AS o (order_id)
    JOIN LATERAL (
        SELECT return_id FROM order_return WHERE store_id = %(store_id)s AND order_id = o.order_id OFFSET 0
    ) AS of_order ON true
)) AS wanted (return_id)
JOIN LATERAL (
    SELECT * FROM order_return WHERE store_id = %(store_id)s AND return_id = wanted.return_id OFFSET 0
) AS r ON true
JOIN LATERAL (
    SELECT * FROM order_return_line WHERE store_id = %(store_id)s AND return_id = r.return_id OFFSET 0
) AS l ON true
ORDER BY r.created_at, r.return_id, l.line_number;

-- name: insert_order_returns
INSERT INTO order_return
    (store_id, return_id, order_id, restocked, location, reason, reference, actor, content_hash, created_at)
SELECT %(store_id)s, r.*
FROM unnest(
    %(return_id)s::text[], %(order_id)s::text[], %(restocked)s::boolean[], %(location)s::text[], %(reason)s::text[], %(reference)s::text[], %(actor)s::text[], %(content_hash)s::bytea[], %(created_at)s::timestamptz[]
) AS r;

-- name: insert_order_return_lines
INSERT INTO order_return_line
    (store_id, return_id, line_number, quantity)
SELECT %(store_id)s, r.*
FROM unnest(
    %(return_id)s::text[], %(line_number)s::integer[], %(quantity)s::bigint[]
) AS r;
