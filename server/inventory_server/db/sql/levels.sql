-- The levels of wide stores, of whose products not all are loaded (engine/level_load.py). Each row says for which
-- quantity it was found, NULL = it was named, and whether it is the last that was looked for.
-- Locks are taken in the order of keys: the outer rows of the last join are sorted. A range of one key with an order
-- leaves no other index to plan by than that key's.

-- Named levels, those of lines that hold something, and for lines that may be served anywhere the first levels that have
-- as much: as many as the product's lines, since n lines leave at most n - 1 of the first n with less. A product with
-- few levels, or many lines of several quantities, comes whole, with a quantity of 0.
-- name: levels_chosen
WITH moved AS MATERIALIZED (
    SELECT product_id, location, named_location, reserved, reservation_id = ANY(%(confirmed)s::text[]) AS confirmed
    FROM reservation_line
    WHERE store_id = %(store_id)s AND reservation_id = ANY(ARRAY(
        SELECT unnest(%(reservations)s::text[])
        UNION
        SELECT o.reservation_id
        FROM unnest(%(orders)s::text[]) AS wanted (order_id)
        JOIN LATERAL (
            SELECT * FROM sales_order
            WHERE store_id = %(store_id)s AND order_id BETWEEN wanted.order_id AND wanted.order_id
            ORDER BY order_id OFFSET 0
        ) AS o ON true
    ))
),
asked AS MATERIALIZED (
    SELECT product_id, location, quantity, (sum(sum(lines)) OVER of_product)::bigint AS lines,
        row_number() OVER (PARTITION BY product_id ORDER BY quantity) = 1 AS is_first,
        count(quantity) OVER of_product * sum(sum(lines)) OVER of_product > %(many)s::bigint AS are_many
    FROM (
        SELECT product_id, location, quantity, lines
        FROM unnest(
            %(products)s::text[], %(locations)s::text[], %(quantities)s::bigint[], %(lines)s::bigint[]
        ) AS named (product_id, location, quantity, lines)
        UNION ALL
        SELECT product_id, location, NULL, 1 FROM moved
        UNION ALL
        SELECT product_id, named_location, CASE WHEN named_location IS NULL THEN reserved END, 1
        FROM moved WHERE confirmed
        UNION ALL
        SELECT l.product_id, l.location, CASE WHEN l.location IS NULL THEN l.quantity END, 1
        FROM unnest(%(orders)s::text[]) AS wanted (order_id)
        JOIN LATERAL (
            SELECT * FROM order_line
            WHERE store_id = %(store_id)s AND order_id BETWEEN wanted.order_id AND wanted.order_id AND track_stock
            ORDER BY order_id, line_number OFFSET 0
        ) AS l ON true
        UNION ALL
        SELECT product_id, location, CASE WHEN location IS NULL THEN quantity END, 1
        FROM cart_item
        WHERE store_id = %(store_id)s AND cart_id = ANY(%(carts_checked)s::text[]) AND track_stock
    ) AS each
    GROUP BY product_id, location, quantity
    WINDOW of_product AS (PARTITION BY product_id)
),
chosen AS (
    SELECT product_id, location, NULL::bigint AS quantity, false AS is_last FROM asked WHERE location IS NOT NULL
    UNION ALL
    SELECT asked.product_id, found.location, found.quantity, found.is_last
    FROM asked
    JOIN LATERAL (
        SELECT asked.are_many OR count(*) <= %(few)s AS is_whole
        FROM (
            SELECT FROM stock_level
            WHERE store_id = %(store_id)s AND product_id BETWEEN asked.product_id AND asked.product_id
            ORDER BY product_id, location
            LIMIT %(few)s + 1
        ) AS counted
    ) AS known ON true
    JOIN LATERAL (
        (
            SELECT location, 0 AS quantity, false AS is_last FROM stock_level
            WHERE known.is_whole AND asked.is_first AND store_id = %(store_id)s
                AND product_id BETWEEN asked.product_id AND asked.product_id
            ORDER BY product_id, location
        )
        UNION ALL
        SELECT * FROM (
            SELECT l.slug, asked.quantity, row_number() OVER (ORDER BY l.priority, l.slug) = asked.lines
            FROM (
                SELECT priority, slug FROM location
                WHERE NOT known.is_whole AND store_id = %(store_id)s AND enabled
                    -- Every priority is: but so no plan sorts them all.
                    AND priority >= -1000000
                ORDER BY priority, slug
                LIMIT %(tried)s
            ) AS l
            JOIN LATERAL (
                SELECT available FROM stock_level
                WHERE store_id = %(store_id)s AND product_id = asked.product_id AND location = l.slug OFFSET 0
            ) AS v ON v.available >= asked.quantity
            ORDER BY l.priority, l.slug
            LIMIT asked.lines
        ) AS first
    ) AS found ON true
    WHERE asked.location IS NULL
)
SELECT v.product_id, v.location, v.available, v.allocated, v.hand_allocated, v.version, v.updated_at,
    c.quantity, c.is_last
FROM (SELECT * FROM chosen ORDER BY product_id COLLATE "C", location COLLATE "C" OFFSET 0) AS c
JOIN LATERAL (
    SELECT * FROM stock_level
    WHERE store_id = %(store_id)s AND product_id = c.product_id AND location = c.location OFFSET 0
) AS v ON true
-- lock: FOR UPDATE OF v;

-- The same for what turned out to be lacking, out of all levels; and where there are not so many, of those that have less
-- the one that has most, which a refusal tells.
-- name: levels_left
SELECT v.product_id, v.location, v.available, v.allocated, v.hand_allocated, v.version, v.updated_at,
    c.quantity, c.is_last
FROM (
    SELECT asked.product_id, coalesce(asked.location, found.location) AS location, asked.quantity,
        coalesce(found.number = asked.lines, false) AS is_last
    FROM unnest(
        %(products)s::text[], %(locations)s::text[], %(quantities)s::bigint[], %(lines)s::bigint[]
    ) AS asked (product_id, location, quantity, lines)
    JOIN LATERAL (
        SELECT NULL AS location, NULL::bigint AS number WHERE asked.location IS NOT NULL
        UNION ALL
        SELECT * FROM (
            SELECT s.location, row_number() OVER (ORDER BY l.priority, l.slug)
            FROM (
                SELECT location FROM stock_level
                WHERE asked.location IS NULL AND store_id = %(store_id)s
                    AND product_id BETWEEN asked.product_id AND asked.product_id AND available >= asked.quantity
                ORDER BY product_id, location OFFSET 0
            ) AS s
            JOIN LATERAL (
                SELECT * FROM location WHERE store_id = %(store_id)s AND slug = s.location OFFSET 0
            ) AS l ON l.enabled
            ORDER BY l.priority, l.slug
            LIMIT asked.lines
        ) AS first
        UNION ALL
        SELECT * FROM (
            SELECT s.location, NULL::bigint
            FROM (
                SELECT * FROM (
                    SELECT location, available FROM stock_level
                    WHERE asked.location IS NULL AND store_id = %(store_id)s
                        AND product_id BETWEEN asked.product_id AND asked.product_id
                        AND available > 0 AND available < asked.quantity
                    ORDER BY product_id, location OFFSET 0
                ) AS less
                ORDER BY available DESC OFFSET 0
            ) AS s
            JOIN LATERAL (
                SELECT * FROM location WHERE store_id = %(store_id)s AND slug = s.location OFFSET 0
            ) AS l ON l.enabled
            LIMIT 1
        ) AS most
    ) AS found ON true
    ORDER BY asked.product_id COLLATE "C", coalesce(asked.location, found.location) COLLATE "C" OFFSET 0
) AS c
JOIN LATERAL (
    SELECT * FROM stock_level
    WHERE store_id = %(store_id)s AND product_id = c.product_id AND location = c.location OFFSET 0
) AS v ON true
-- lock: FOR UPDATE OF v;
