-- The tables of the inventory service. docs/data.md says why they are so.
--
-- store_id is the first column of every key and a constant in every statement, so that stores can be spread
-- over machines later. No foreign keys: each would cost a row lock per line on the hot row, and everything
-- that writes is one function (docs/decisions/0004-no-foreign-keys.md).
-- Text keys are COLLATE "C": pages are ordered by bytes, whatever the database's locale is.

CREATE TABLE store (
    store_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT store_pkey PRIMARY KEY (store_id)
);
INSERT INTO store (store_id) VALUES ('default');

CREATE TABLE stock (
    store_id text COLLATE "C" NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT stock_pkey PRIMARY KEY (store_id, product_id)
);

-- fillfactor 50 and no index on a quantity: an update of a hot row stays on its page (HOT).
CREATE TABLE stock_level (
    store_id text COLLATE "C" NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    available bigint NOT NULL,
    allocated bigint NOT NULL,
    hand_allocated bigint NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT stock_level_pkey PRIMARY KEY (store_id, product_id, location),
    CONSTRAINT stock_level_available_floor CHECK (available >= 0),
    CONSTRAINT stock_level_allocated_floor CHECK (allocated >= 0),
    CONSTRAINT stock_level_hand_allocated_range CHECK (hand_allocated BETWEEN 0 AND allocated),
    CONSTRAINT stock_level_total_limit CHECK (available + allocated <= 8796093022207),
    CONSTRAINT stock_level_version_floor CHECK (version >= 1)
) WITH (fillfactor = 50);

-- The log. Its primary key is the second wall against a lost update: two writers of one version collide.
CREATE TABLE stock_transaction (
    store_id text COLLATE "C" NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    action text NOT NULL,
    quantity bigint NOT NULL,
    available_after bigint NOT NULL,
    allocated_after bigint NOT NULL,
    hand_allocated_after bigint NOT NULL,
    reservation_id text,
    order_id text,
    reason text NOT NULL DEFAULT '',
    reference text NOT NULL DEFAULT '',
    request_id text,
    created_at timestamptz NOT NULL,
    -- The writing transaction, for a feed in commit order.
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT stock_transaction_pkey PRIMARY KEY (store_id, product_id, location, version),
    CONSTRAINT stock_transaction_floors CHECK (
        version >= 1 AND quantity >= 0 AND available_after >= 0 AND allocated_after >= 0
        AND hand_allocated_after BETWEEN 0 AND allocated_after
    )
);

CREATE TABLE reservation (
    store_id text COLLATE "C" NOT NULL,
    reservation_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C",
    owned_by_order boolean NOT NULL,
    state text NOT NULL,
    expire_time timestamptz,
    content_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT reservation_pkey PRIMARY KEY (store_id, reservation_id),
    CONSTRAINT reservation_state_known
        CHECK (state IN ('HELD', 'COMMITTED', 'CLOSED', 'RELEASED', 'EXPIRED'))
) WITH (fillfactor = 80);
-- The sweeper's way to the holds that are due.
CREATE INDEX reservation_due ON reservation (store_id, expire_time)
    WHERE state = 'HELD' AND expire_time IS NOT NULL;
-- An order has at most one live reservation.
CREATE UNIQUE INDEX reservation_one_live_per_order ON reservation (store_id, order_id)
    WHERE owned_by_order AND state IN ('HELD', 'COMMITTED');

CREATE TABLE reservation_line (
    store_id text COLLATE "C" NOT NULL,
    reservation_id text COLLATE "C" NOT NULL,
    line_number integer NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    named_location text COLLATE "C",
    reserved bigint NOT NULL,
    open bigint NOT NULL,
    released bigint NOT NULL,
    fulfilled bigint NOT NULL,
    CONSTRAINT reservation_line_pkey PRIMARY KEY (store_id, reservation_id, line_number),
    CONSTRAINT reservation_line_floors
        CHECK (reserved >= 1 AND open >= 0 AND released >= 0 AND fulfilled >= 0),
    CONSTRAINT reservation_line_sum CHECK (reserved = open + released + fulfilled)
) WITH (fillfactor = 80);

CREATE TABLE cart (
    store_id text COLLATE "C" NOT NULL,
    cart_id text COLLATE "C" NOT NULL,
    currency text NOT NULL,
    order_id text,
    content_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT cart_pkey PRIMARY KEY (store_id, cart_id)
) WITH (fillfactor = 80);

CREATE TABLE cart_item (
    store_id text COLLATE "C" NOT NULL,
    cart_id text COLLATE "C" NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    position integer NOT NULL,
    quantity bigint NOT NULL,
    unit_price_minor bigint NOT NULL,
    location text COLLATE "C",
    CONSTRAINT cart_item_pkey PRIMARY KEY (store_id, cart_id, product_id),
    CONSTRAINT cart_item_quantity_range CHECK (quantity BETWEEN 1 AND 8796093022207),
    CONSTRAINT cart_item_price_range CHECK (unit_price_minor BETWEEN 0 AND 9007199254740991)
) WITH (fillfactor = 80);

CREATE TABLE sales_order (
    store_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    cart_id text COLLATE "C" NOT NULL,
    currency text NOT NULL,
    total_minor bigint NOT NULL,
    -- The last reservation made for it, live or ended: a pointer, not a state.
    reservation_id text COLLATE "C",
    content_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    cancelled_at timestamptz,
    CONSTRAINT sales_order_pkey PRIMARY KEY (store_id, order_id),
    CONSTRAINT sales_order_total_range CHECK (total_minor BETWEEN 0 AND 9007199254740991)
) WITH (fillfactor = 80);
-- A cart is checked out once.
CREATE UNIQUE INDEX sales_order_one_per_cart ON sales_order (store_id, cart_id);

CREATE TABLE order_line (
    store_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    line_number integer NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    quantity bigint NOT NULL,
    unit_price_minor bigint NOT NULL,
    location text COLLATE "C",
    CONSTRAINT order_line_pkey PRIMARY KEY (store_id, order_id, line_number),
    CONSTRAINT order_line_quantity_floor CHECK (quantity >= 1)
);

CREATE TABLE payment (
    store_id text COLLATE "C" NOT NULL,
    payment_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    payment_method text NOT NULL,
    content_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT payment_pkey PRIMARY KEY (store_id, payment_id),
    CONSTRAINT payment_amount_floor CHECK (amount_minor >= 0)
);
CREATE INDEX payment_by_order ON payment (store_id, order_id);

CREATE TABLE payment_operation (
    store_id text COLLATE "C" NOT NULL,
    operation_id text COLLATE "C" NOT NULL,
    payment_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    amount_minor bigint NOT NULL,
    state text NOT NULL,
    lease_until timestamptz NOT NULL,
    gateway_reference text NOT NULL,
    failure_reason text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT payment_operation_pkey PRIMARY KEY (store_id, operation_id),
    CONSTRAINT payment_operation_amount_floor CHECK (amount_minor >= 1),
    CONSTRAINT payment_operation_kind_known CHECK (kind IN ('PURCHASE')),
    CONSTRAINT payment_operation_state_known
        CHECK (state IN ('PROCESSING', 'ACCEPTED', 'DECLINED', 'FAILED', 'REQUIRES_ACTION'))
) WITH (fillfactor = 80);
CREATE INDEX payment_operation_by_payment ON payment_operation (store_id, payment_id);
-- The reconciler's way to the operations in doubt.
CREATE INDEX payment_operation_in_doubt ON payment_operation (store_id, lease_until)
    WHERE state = 'PROCESSING';

CREATE TABLE shipment (
    store_id text COLLATE "C" NOT NULL,
    shipment_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    content_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT shipment_pkey PRIMARY KEY (store_id, shipment_id)
);
CREATE INDEX shipment_by_order ON shipment (store_id, order_id);

CREATE TABLE shipment_line (
    store_id text COLLATE "C" NOT NULL,
    shipment_id text COLLATE "C" NOT NULL,
    line_number integer NOT NULL,
    quantity bigint NOT NULL,
    CONSTRAINT shipment_line_pkey PRIMARY KEY (store_id, shipment_id, line_number),
    CONSTRAINT shipment_line_quantity_floor CHECK (quantity >= 1)
);

-- What each request_id was answered with, written in the transaction that made the change.
CREATE TABLE request_log (
    store_id text COLLATE "C" NOT NULL,
    method text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    content_hash bytea NOT NULL,
    response bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT request_log_pkey PRIMARY KEY (store_id, method, request_id)
);
CREATE INDEX request_log_by_age ON request_log (store_id, created_at);

-- The role that the server runs as: it can neither change the log nor the schema.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'inventory_service') THEN
        CREATE ROLE inventory_service NOLOGIN;
    END IF;
    -- Since 16, who makes a role is a member that may not yet act as it.
    IF current_setting('server_version_num')::int >= 160000 THEN
        IF NOT pg_has_role(current_user, 'inventory_service', 'SET') THEN
            GRANT inventory_service TO current_user;
        END IF;
    ELSIF NOT pg_has_role(current_user, 'inventory_service', 'MEMBER') THEN
        GRANT inventory_service TO current_user;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO inventory_service', current_schema());
END
$$;
GRANT SELECT, INSERT ON stock, stock_transaction, order_line, payment, shipment, shipment_line
    TO inventory_service;
GRANT SELECT, INSERT, UPDATE ON stock_level, reservation, reservation_line, cart, cart_item,
    sales_order, payment_operation TO inventory_service;
GRANT SELECT, INSERT, DELETE ON request_log TO inventory_service;
GRANT DELETE ON cart_item TO inventory_service;
GRANT SELECT ON store TO inventory_service;
