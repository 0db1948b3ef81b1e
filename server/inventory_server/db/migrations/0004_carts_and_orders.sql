-- Carts that put their check off and that expire; items without stock; lists of carts and orders.

-- expires_at: put off by every change. A cart that was there is given the default of 7 days from its last one.
ALTER TABLE cart
    ADD COLUMN defer_inventory_check boolean NOT NULL DEFAULT false,
    ADD COLUMN expires_at timestamptz;
UPDATE cart SET expires_at = updated_at + interval '7 days';
ALTER TABLE cart ALTER COLUMN expires_at SET NOT NULL;
-- The sweeper's way to the carts that have expired.
CREATE INDEX cart_expired ON cart (store_id, expires_at) WHERE order_id IS NULL;
-- Carts by age, for lists.
CREATE INDEX cart_by_age ON cart (store_id, created_at, cart_id);

ALTER TABLE cart_item ADD COLUMN track_stock boolean NOT NULL DEFAULT true;

-- Orders by age, for lists.
CREATE INDEX sales_order_by_age ON sales_order (store_id, created_at, order_id);

-- unmanaged: the last allocation found no record of the product, so the line takes no stock.
-- created_at: the order's, so that the orders of a product are found by age.
ALTER TABLE order_line
    ADD COLUMN created_at timestamptz,
    ADD COLUMN track_stock boolean NOT NULL DEFAULT true,
    ADD COLUMN unmanaged boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT order_line_unmanaged_tracked CHECK (track_stock OR NOT unmanaged);
UPDATE order_line l SET created_at = o.created_at
FROM sales_order o WHERE o.store_id = l.store_id AND o.order_id = l.order_id;
ALTER TABLE order_line ALTER COLUMN created_at SET NOT NULL;
CREATE INDEX order_line_by_product ON order_line (store_id, product_id, created_at, order_id);

-- A return is named by its caller. location: where its units were put; NULL = where each line was served.
CREATE TABLE order_return (
    store_id text COLLATE "C" NOT NULL,
    return_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    restocked boolean NOT NULL,
    location text COLLATE "C",
    reason text NOT NULL,
    reference text NOT NULL,
    actor text NOT NULL,
    content_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT order_return_pkey PRIMARY KEY (store_id, return_id),
    -- What is not restocked is put nowhere.
    CONSTRAINT order_return_location_restocked CHECK (restocked OR location IS NULL)
);
-- Every row is in it. The condition keeps the planner from walking it for a return_id, while the table is empty.
CREATE INDEX order_return_by_order ON order_return (store_id, order_id) WHERE order_id IS NOT NULL;

CREATE TABLE order_return_line (
    store_id text COLLATE "C" NOT NULL,
    return_id text COLLATE "C" NOT NULL,
    line_number integer NOT NULL,
    quantity bigint NOT NULL,
    CONSTRAINT order_return_line_pkey PRIMARY KEY (store_id, return_id, line_number),
    CONSTRAINT order_return_line_quantity_floor CHECK (quantity >= 1)
);

GRANT SELECT, INSERT ON order_return, order_return_line TO inventory_service;
GRANT DELETE ON cart TO inventory_service;
GRANT UPDATE (unmanaged) ON order_line TO inventory_service;
