-- Imports: what a batch loads and saves of the job, what an upload stages, and what the importer and the pages ask.

-- name: imports
SELECT import_id, upload_id, state, row_count, applied_count, failed_count, applied_through, reason, reference,
    actor, failure, content_hash, created_at, started_at, ended_at
FROM import_job
WHERE store_id = %(store_id)s AND import_id = ANY(%(imports)s::text[])
ORDER BY import_id
-- lock: FOR UPDATE;

-- name: imports_running
SELECT import_id, upload_id, state, row_count, applied_count, failed_count, applied_through, reason, reference,
    actor, failure, content_hash, created_at, started_at, ended_at
FROM import_job
WHERE store_id = %(store_id)s AND state = 'RUNNING'
-- lock: FOR UPDATE;

-- name: put_imports
INSERT INTO import_job
    (store_id, import_id, upload_id, row_count, reason, reference, actor, content_hash, created_at, state, applied_count, failed_count, applied_through, failure, started_at, ended_at)
SELECT %(store_id)s, r.*
FROM unnest(
    %(import_id)s::text[], %(upload_id)s::text[], %(row_count)s::integer[], %(reason)s::text[], %(reference)s::text[], %(actor)s::text[], %(content_hash)s::bytea[], %(created_at)s::timestamptz[], %(state)s::text[], %(applied_count)s::integer[], %(failed_count)s::integer[], %(applied_through)s::text[], %(failure)s::text[], %(started_at)s::timestamptz[], %(ended_at)s::timestamptz[]
) AS r
ON CONFLICT ON CONSTRAINT import_job_pkey DO UPDATE
SET state = EXCLUDED.state, applied_count = EXCLUDED.applied_count, failed_count = EXCLUDED.failed_count, applied_through = EXCLUDED.applied_through, failure = EXCLUDED.failure, started_at = EXCLUDED.started_at, ended_at = EXCLUDED.ended_at;

-- name: insert_import_errors
INSERT INTO import_error
    (store_id, upload_id, row_number, line, product_id, field, reason, message)
SELECT %(store_id)s, r.*
FROM unnest(
    %(upload_id)s::text[], %(row_number)s::integer[], %(line)s::bigint[], %(product_id)s::text[], %(field)s::text[], %(reason)s::text[], %(message)s::text[]
) AS r;

-- name: begin_upload
INSERT INTO import_upload (store_id, upload_id) VALUES (%(store_id)s, %(upload_id)s);

-- name: stage_rows
-- A product's second row is left out; who is back, is staged.
INSERT INTO import_row
    (store_id, upload_id, product_id, row_number, line, levels, low_stock_threshold)
SELECT %(store_id)s, %(upload_id)s, r.*
FROM unnest(
    %(product_id)s::text[], %(row_number)s::integer[], %(line)s::bigint[], %(levels)s::json[], %(low_stock_threshold)s::bigint[]
) AS r
ON CONFLICT ON CONSTRAINT import_row_pkey DO NOTHING
RETURNING row_number;

-- name: staged_rows
-- Those that begin within so many levels. What is past them is counted and not read: a row may have 1,024.
SELECT row_number, line, product_id, levels::text, low_stock_threshold
FROM (
    SELECT *, sum(level_count) OVER (ORDER BY product_id ROWS UNBOUNDED PRECEDING) - level_count AS levels_before
    FROM import_row
    WHERE store_id = %(store_id)s AND upload_id = %(upload_id)s AND product_id > %(after)s
    ORDER BY product_id
    LIMIT %(limit)s
) AS r
WHERE levels_before <= %(levels_max)s
ORDER BY product_id;

-- name: drop_staged_rows
DELETE FROM import_row
WHERE store_id = %(store_id)s AND upload_id = %(upload_id)s AND product_id <= (
    SELECT max(product_id) FROM (
        SELECT product_id FROM import_row
        WHERE store_id = %(store_id)s AND upload_id = %(upload_id)s
        ORDER BY product_id
        LIMIT %(limit)s
    ) AS first
);

-- name: rows_are_staged
SELECT EXISTS (SELECT FROM import_row WHERE store_id = %(store_id)s AND upload_id = %(upload_id)s);

-- name: drop_errors_of_no_import
DELETE FROM import_error
WHERE store_id = %(store_id)s AND upload_id = %(upload_id)s AND NOT EXISTS (
    SELECT FROM import_job WHERE store_id = %(store_id)s AND upload_id = %(upload_id)s
);

-- name: drop_upload
DELETE FROM import_upload WHERE store_id = %(store_id)s AND upload_id = %(upload_id)s;

-- name: import_page
SELECT import_id, upload_id, state, row_count, applied_count, failed_count, applied_through, reason, reference,
    actor, failure, content_hash, created_at, started_at, ended_at
FROM import_job
WHERE store_id = %(store_id)s AND upload_id < %(before)s
ORDER BY upload_id DESC
LIMIT %(limit)s;

-- name: import_error_page
SELECT row_number, line, product_id, field, reason, message
FROM import_error
WHERE store_id = %(store_id)s AND upload_id = %(upload_id)s AND row_number > %(after)s
ORDER BY row_number
LIMIT %(limit)s;

-- name: import_unfinished
SELECT import_id
FROM import_job
WHERE store_id = %(store_id)s AND state IN ('PENDING', 'RUNNING')
ORDER BY state = 'RUNNING' DESC, created_at, import_id
LIMIT %(limit)s;

-- name: uploads_spent
-- What is left of uploads: of imports that have ended, and of no import though they began long ago; none lasts
-- longer than an hour (engine/imports.py).
SELECT u.upload_id
FROM import_upload u
LEFT JOIN LATERAL (
    SELECT state FROM import_job WHERE store_id = %(store_id)s AND upload_id = u.upload_id OFFSET 0
) AS j ON true
WHERE u.store_id = %(store_id)s AND (
    j.state IN ('SUCCEEDED', 'FAILED')
    OR j.state IS NULL AND u.created_at < now() - interval '2 hours'
)
ORDER BY u.upload_id
LIMIT %(limit)s;

-- name: export_page
-- A location that was deleted, which keeps nothing, is left out: an import would not know it. What is kept nowhere
-- else is kept at `default`, where it is 0. A product is whole unless it is the last of as many levels as were asked
-- for.
SELECT product_id, jsonb_agg(jsonb_build_array(location, total) ORDER BY location), min(low_stock_threshold)
FROM (
    SELECT s.product_id, s.low_stock_threshold, coalesce(l.location, 'default') AS location,
        coalesce(l.total, 0) AS total
    FROM (
        SELECT * FROM stock
        WHERE store_id = %(store_id)s AND product_id > %(after)s AND deleted_at IS NULL
        ORDER BY product_id
        LIMIT %(limit)s
    ) AS s
    LEFT JOIN LATERAL (
        SELECT location, available + allocated AS total FROM stock_level v
        WHERE store_id = %(store_id)s AND product_id BETWEEN s.product_id AND s.product_id
            AND (available + allocated > 0 OR EXISTS (
                SELECT FROM location WHERE store_id = %(store_id)s AND slug = v.location OFFSET 0
            ))
        ORDER BY product_id, location OFFSET 0
    ) AS l ON true
    ORDER BY s.product_id, l.location
    LIMIT %(levels_limit)s
) AS levels
GROUP BY product_id
ORDER BY product_id;
