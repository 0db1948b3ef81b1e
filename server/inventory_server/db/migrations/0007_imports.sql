-- Imports: rows are staged by upload, and applied chunk by chunk in the transactions that move the job's cursor.
--
-- An upload bears an id of the server's that sorts by time, so that whatever breaks off before its job is made
-- is nobody's, and a second try does not meet its remains.

CREATE TABLE import_upload (
    store_id text COLLATE "C" NOT NULL,
    upload_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT import_upload_pkey PRIMARY KEY (store_id, upload_id)
);

-- The key holds a product's second row off, and is the order in which the rows are applied.
CREATE TABLE import_row (
    store_id text COLLATE "C" NOT NULL,
    upload_id text COLLATE "C" NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    row_number integer NOT NULL,
    line bigint NOT NULL,
    -- [[location, total], ...]; nobody looks into it here.
    levels json NOT NULL,
    low_stock_threshold bigint,
    CONSTRAINT import_row_pkey PRIMARY KEY (store_id, upload_id, product_id),
    CONSTRAINT import_row_number_range CHECK (row_number BETWEEN 1 AND 1000000)
);

CREATE TABLE import_job (
    store_id text COLLATE "C" NOT NULL,
    import_id text COLLATE "C" NOT NULL,
    upload_id text COLLATE "C" NOT NULL,
    state text NOT NULL,
    row_count integer NOT NULL,
    applied_count integer NOT NULL,
    failed_count integer NOT NULL,
    -- The cursor: the product of the last row that was decided.
    applied_through text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    reference text NOT NULL,
    actor text NOT NULL,
    failure text NOT NULL,
    content_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT import_job_pkey PRIMARY KEY (store_id, import_id),
    CONSTRAINT import_job_state_known CHECK (state IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED')),
    CONSTRAINT import_job_row_limit CHECK (row_count BETWEEN 0 AND 1000000),
    CONSTRAINT import_job_counts CHECK (
        applied_count >= 0 AND failed_count >= 0 AND applied_count + failed_count <= row_count
    )
) WITH (fillfactor = 50);
-- The pages' order; and whose upload it was.
CREATE UNIQUE INDEX import_job_by_upload ON import_job (store_id, upload_id);
-- The importer's way to what is to do.
CREATE INDEX import_job_unfinished ON import_job (store_id, upload_id) WHERE state IN ('PENDING', 'RUNNING');
-- A store's imports run one at a time.
CREATE UNIQUE INDEX import_job_one_running ON import_job (store_id) WHERE state = 'RUNNING';

CREATE TABLE import_error (
    store_id text COLLATE "C" NOT NULL,
    upload_id text COLLATE "C" NOT NULL,
    row_number integer NOT NULL,
    line bigint NOT NULL,
    product_id text NOT NULL,
    field text NOT NULL,
    reason text NOT NULL,
    message text NOT NULL,
    CONSTRAINT import_error_pkey PRIMARY KEY (store_id, upload_id, row_number)
);

GRANT SELECT, INSERT, DELETE ON import_upload, import_row, import_error TO inventory_service;
GRANT SELECT, INSERT, UPDATE ON import_job TO inventory_service;
