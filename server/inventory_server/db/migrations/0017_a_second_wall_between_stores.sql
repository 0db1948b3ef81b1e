-- What a statement forgets to say of its store, the database says for it
-- (docs/decisions/0044-a-second-wall-between-stores.md).
--
-- A transaction names its store: of any other it sees no row, and can write none. One that names none sees nothing,
-- and that is what a server of the version before does: stop it before this.
-- What is read: the planner sees two names for one store, and compares them once before it begins. What is written is
-- looked at row by row: in a sub-select the setting is looked up once for all.
-- Whoever owns the tables is not held to it: stores are made, dumps taken and things mended under that login.

-- Every batch begins here, and so has nothing in hand that is wanted below while it waits for us.
LOCK TABLE store IN ACCESS EXCLUSIVE MODE;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'store', 'location', 'stock', 'stock_level', 'stock_transaction', 'reservation', 'reservation_line',
        'item_return', 'item_return_line', 'cart', 'cart_item', 'sales_order', 'order_line', 'payment',
        'payment_operation', 'shipment', 'shipment_line', 'order_return', 'order_return_line', 'request_log',
        'import_upload', 'import_row', 'import_job', 'import_error'
    ]
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY of_the_store_named ON %I'
            ' USING (store_id = current_setting(''inventory.store_id'', true))'
            ' WITH CHECK (store_id = (SELECT current_setting(''inventory.store_id'', true)))',
            name
        );
    END LOOP;
END
$$;

-- The names of all stores, and nothing else of them: for the jobs that look after each. A view reads as its owner.
CREATE VIEW store_name AS SELECT store_id FROM store;
GRANT SELECT ON store_name TO inventory_service;
