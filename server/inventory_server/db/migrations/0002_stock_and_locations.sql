-- What the first version kept for later: locations as rows, the store's settings, thresholds, tombstones, actors.

CREATE TABLE location (
    store_id text COLLATE "C" NOT NULL,
    slug text COLLATE "C" NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    -- The lowest first, then by slug.
    priority integer NOT NULL DEFAULT 0,
    name text NOT NULL DEFAULT '',
    external_ref text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    address_lines text[] NOT NULL DEFAULT '{}',
    latitude double precision,
    longitude double precision,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT location_pkey PRIMARY KEY (store_id, slug),
    CONSTRAINT location_slug_format CHECK (slug ~ '^[A-Za-z0-9_-]{1,128}$'),
    CONSTRAINT location_priority_range CHECK (priority BETWEEN -1000000 AND 1000000),
    CONSTRAINT location_address_lines_limit CHECK (cardinality(address_lines) <= 8),
    CONSTRAINT location_geolocation_range CHECK (
        (latitude IS NULL) = (longitude IS NULL)
        AND latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180
    )
);
INSERT INTO location (store_id, slug) SELECT store_id, 'default' FROM store;

ALTER TABLE store
    ADD COLUMN defer_inventory_check boolean NOT NULL DEFAULT false,
    ADD COLUMN sell_unmanaged_products boolean NOT NULL DEFAULT false,
    ADD COLUMN default_hold_s bigint NOT NULL DEFAULT 900,
    ADD COLUMN cart_expiry_s bigint NOT NULL DEFAULT 604800,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT store_default_hold_range CHECK (default_hold_s BETWEEN 1 AND 7776000),
    ADD CONSTRAINT store_cart_expiry_range CHECK (cart_expiry_s BETWEEN 1 AND 7776000);

-- deleted_at: a tombstone, which keeps the versions of its levels.
ALTER TABLE stock
    ADD COLUMN low_stock_threshold bigint,
    ADD COLUMN deleted_at timestamptz,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT stock_low_stock_threshold_range CHECK (low_stock_threshold BETWEEN 0 AND 8796093022207);
UPDATE stock SET updated_at = created_at;

-- What is kept at a location: for its deletion, and for lists of it. A level's key never changes, so updates stay HOT.
CREATE INDEX stock_level_by_location ON stock_level (store_id, location, product_id);

-- The way to what may be low, however many products have no threshold.
CREATE INDEX stock_with_threshold ON stock (store_id, product_id) WHERE low_stock_threshold IS NOT NULL;

ALTER TABLE stock_transaction
    ADD COLUMN actor text NOT NULL DEFAULT '',
    ADD CONSTRAINT stock_transaction_delete_empties
        CHECK (action <> 'DELETE' OR (available_after = 0 AND allocated_after = 0));

-- The ways into the log beside its key (docs/decisions/0014-the-log-is-listed-by-short-indexes.md).
-- All are partial, so that only a statement that says their condition can be planned by them: one that goes by the
-- key would else take the shortest index while the table is empty. The first one's condition always holds.
CREATE INDEX stock_transaction_by_time ON stock_transaction (store_id, created_at)
    WHERE created_at > '-infinity';
CREATE INDEX stock_transaction_of_order ON stock_transaction (store_id, order_id, created_at)
    WHERE order_id IS NOT NULL;
CREATE INDEX stock_transaction_of_actor ON stock_transaction (store_id, actor, created_at) WHERE actor <> '';

GRANT SELECT, INSERT, UPDATE, DELETE ON location TO inventory_service;
GRANT UPDATE ON stock TO inventory_service;
GRANT UPDATE (defer_inventory_check, sell_unmanaged_products, default_hold_s, cart_expiry_s, updated_at)
    ON store TO inventory_service;
