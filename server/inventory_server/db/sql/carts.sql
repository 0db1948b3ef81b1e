-- Carts that go away.

-- name: expired_carts_of_store
SELECT cart_id
FROM cart
WHERE store_id = %(store_id)s AND order_id IS NULL
    AND expires_at <= now() - make_interval(secs => %(kept_s)s)
ORDER BY expires_at
LIMIT %(limit)s;

-- name: delete_items_of_carts
DELETE FROM cart_item
WHERE store_id = %(store_id)s AND cart_id = ANY(%(cart_id)s::text[]);

-- name: delete_carts
DELETE FROM cart
WHERE store_id = %(store_id)s AND cart_id = ANY(%(cart_id)s::text[]);
