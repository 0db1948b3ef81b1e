-- Locations, beside the statement that loads them (load.sql).

-- name: levels_kept
SELECT l.product_id, l.location, l.available, l.allocated, l.hand_allocated, l.version, l.updated_at
FROM unnest(%(locations)s::text[]) AS wanted (slug)
JOIN LATERAL (
    SELECT * FROM stock_level
    WHERE store_id = %(store_id)s AND location = wanted.slug AND available + allocated > 0
    LIMIT %(limit)s
) AS l ON true;

-- name: stock_at_location_page
SELECT product_id, available
FROM stock_level
WHERE store_id = %(store_id)s AND location = %(location)s AND product_id > %(after)s
    AND product_id >= %(first)s AND product_id < %(until)s
ORDER BY product_id
LIMIT %(limit)s;

-- name: put_location
INSERT INTO location
    (store_id, slug, enabled, priority, name, external_ref, description, address_lines, latitude, longitude, created_at, updated_at)
VALUES (
    %(store_id)s, %(slug)s, %(enabled)s::boolean, %(priority)s::integer, %(name)s, %(external_ref)s,
    %(description)s, %(address_lines)s::text[], %(latitude)s::double precision, %(longitude)s::double precision,
    %(created_at)s::timestamptz, %(updated_at)s::timestamptz
)
ON CONFLICT ON CONSTRAINT location_pkey DO UPDATE
SET enabled = EXCLUDED.enabled, priority = EXCLUDED.priority, name = EXCLUDED.name, external_ref = EXCLUDED.external_ref, description = EXCLUDED.description, address_lines = EXCLUDED.address_lines, latitude = EXCLUDED.latitude, longitude = EXCLUDED.longitude, created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at;

-- name: delete_locations
DELETE FROM location
WHERE store_id = %(store_id)s AND slug = ANY(%(slug)s::text[]);
