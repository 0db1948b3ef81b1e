-- Carts and orders by age. Each row says how many rows it stands for: a page is bounded by those.

-- name: cart_page
SELECT c.cart_id, c.created_at, 1 + (
    SELECT count(*) FROM cart_item WHERE store_id = %(store_id)s AND cart_id = c.cart_id
)
FROM cart c
WHERE c.store_id = %(store_id)s
    AND (c.created_at, c.cart_id) > (%(after_time)s::timestamptz, %(after_id)s)
    AND c.created_at <= %(until)s::timestamptz
ORDER BY c.created_at, c.cart_id
LIMIT %(limit)s;

-- name: order_page
SELECT o.order_id, o.created_at, 1 + (
    SELECT count(*) FROM order_line WHERE store_id = %(store_id)s AND order_id = o.order_id
) + (
    SELECT count(*) FROM payment p
    JOIN LATERAL (
        SELECT FROM payment_operation WHERE store_id = %(store_id)s AND payment_id = p.payment_id OFFSET 0
    ) AS l ON true
    WHERE p.store_id = %(store_id)s AND p.order_id = o.order_id
) + (
    SELECT count(*) FROM shipment s
    JOIN LATERAL (
        SELECT FROM shipment_line WHERE store_id = %(store_id)s AND shipment_id = s.shipment_id OFFSET 0
    ) AS l ON true
    WHERE s.store_id = %(store_id)s AND s.order_id = o.order_id
) + (
    -- A return's texts are as long as four lines.
    SELECT 4 * count(DISTINCT r.return_id) + count(*) FROM order_return r
    JOIN LATERAL (
        SELECT FROM order_return_line WHERE store_id = %(store_id)s AND return_id = r.return_id OFFSET 0
    ) AS l ON true
    WHERE r.store_id = %(store_id)s AND r.order_id = o.order_id
)
FROM sales_order o
WHERE o.store_id = %(store_id)s
    AND (o.created_at, o.order_id) > (%(after_time)s::timestamptz, %(after_id)s)
    AND o.created_at <= %(until)s::timestamptz
ORDER BY o.created_at, o.order_id
LIMIT %(limit)s;

-- name: orders_of_product_page
SELECT o.order_id, o.created_at, 1 + (
    SELECT count(*) FROM order_line WHERE store_id = %(store_id)s AND order_id = o.order_id
) + (
    SELECT count(*) FROM payment p
    JOIN LATERAL (
        SELECT FROM payment_operation WHERE store_id = %(store_id)s AND payment_id = p.payment_id OFFSET 0
    ) AS l ON true
    WHERE p.store_id = %(store_id)s AND p.order_id = o.order_id
) + (
    SELECT count(*) FROM shipment s
    JOIN LATERAL (
        SELECT FROM shipment_line WHERE store_id = %(store_id)s AND shipment_id = s.shipment_id OFFSET 0
    ) AS l ON true
    WHERE s.store_id = %(store_id)s AND s.order_id = o.order_id
) + (
    -- A return's texts are as long as four lines.
    SELECT 4 * count(DISTINCT r.return_id) + count(*) FROM order_return r
    JOIN LATERAL (
        SELECT FROM order_return_line WHERE store_id = %(store_id)s AND return_id = r.return_id OFFSET 0
    ) AS l ON true
    WHERE r.store_id = %(store_id)s AND r.order_id = o.order_id
)
FROM order_line o
WHERE o.store_id = %(store_id)s AND o.product_id = %(product_id)s
    AND (o.created_at, o.order_id) > (%(after_time)s::timestamptz, %(after_id)s)
    AND o.created_at <= %(until)s::timestamptz
ORDER BY o.created_at, o.order_id
LIMIT %(limit)s;
