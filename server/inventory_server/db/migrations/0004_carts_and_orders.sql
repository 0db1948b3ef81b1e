-- Carts that put their check off and that expire; items without stock; lists of carts and orders.

-- expires_at: put off by every change. A cart that was there is given the default of 7 days from its last one.
ALTER TABLE cart
    ADD COLUMN defer_inventory_check boolean NOT NULL DEFAULT false,
    ADD COLUMN expires_at timestamptz;
UPDATE cart SET expires_at = updated_at + interval '7 days';
ALTER TABLE cart ALTER COLUMN expires_at SET NOT NULL;

ALTER TABLE cart_item ADD COLUMN track_stock boolean NOT NULL DEFAULT true;

-- unmanaged: the last allocation found no record of the product, so the line takes no stock.
ALTER TABLE order_line
    ADD COLUMN track_stock boolean NOT NULL DEFAULT true,
    ADD COLUMN unmanaged boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT order_line_unmanaged_tracked CHECK (track_stock OR NOT unmanaged);

GRANT UPDATE (unmanaged) ON order_line TO inventory_service;
