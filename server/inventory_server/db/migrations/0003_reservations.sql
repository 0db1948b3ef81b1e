-- Reservations in parts: what came back of what was fulfilled.

ALTER TABLE reservation_line
    ADD COLUMN returned bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT reservation_line_returned_range CHECK (returned BETWEEN 0 AND fulfilled);

-- A return is named by its caller. location: where its units were put; NULL = where each line was served.
CREATE TABLE item_return (
    store_id text COLLATE "C" NOT NULL,
    return_id text COLLATE "C" NOT NULL,
    reservation_id text COLLATE "C" NOT NULL,
    restocked boolean NOT NULL,
    location text COLLATE "C",
    reason text NOT NULL,
    reference text NOT NULL,
    actor text NOT NULL,
    content_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT item_return_pkey PRIMARY KEY (store_id, return_id),
    -- What is not restocked is put nowhere.
    CONSTRAINT item_return_location_restocked CHECK (restocked OR location IS NULL)
);

CREATE TABLE item_return_line (
    store_id text COLLATE "C" NOT NULL,
    return_id text COLLATE "C" NOT NULL,
    line_number integer NOT NULL,
    quantity bigint NOT NULL,
    CONSTRAINT item_return_line_pkey PRIMARY KEY (store_id, return_id, line_number),
    CONSTRAINT item_return_line_quantity_floor CHECK (quantity >= 1)
);

GRANT SELECT, INSERT ON item_return, item_return_line TO inventory_service;

-- Lists of reservations: those that are live, by state, and those of an order.
CREATE INDEX reservation_live ON reservation (store_id, state, reservation_id)
    WHERE state IN ('HELD', 'COMMITTED');
CREATE INDEX reservation_by_order ON reservation (store_id, order_id, reservation_id)
    WHERE order_id IS NOT NULL;
