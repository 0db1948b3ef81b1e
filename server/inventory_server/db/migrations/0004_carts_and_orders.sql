-- Carts that put their check off and that expire; items without stock; lists of carts and orders.

-- expires_at: put off by every change. A cart that was there is given the default of 7 days from its last one.
ALTER TABLE cart
    ADD COLUMN defer_inventory_check boolean NOT NULL DEFAULT false,
    ADD COLUMN expires_at timestamptz;
UPDATE cart SET expires_at = updated_at + interval '7 days';
ALTER TABLE cart ALTER COLUMN expires_at SET NOT NULL;
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

GRANT UPDATE (unmanaged) ON order_line TO inventory_service;
