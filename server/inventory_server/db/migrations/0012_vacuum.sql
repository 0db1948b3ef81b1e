-- How early each kind of table is vacuumed (docs/data.md, "Rows that change"). By default it is when a fifth of
-- a table is dead, which of a large one is much, and late.

-- Rows that change: a fillfactor keeps their new versions on the page, and this what is dead from growing.
ALTER TABLE stock_level SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE reservation SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE reservation_line SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE cart SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE cart_item SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE sales_order SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE payment_operation SET (autovacuum_vacuum_scale_factor = 0.05);

-- Rows that are deleted from the oldest on: whoever looks for the oldest walks over the dead first.
ALTER TABLE request_log SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
ALTER TABLE import_row SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- Rows that never change again: frozen when they are first looked at, and not written once more years later.
ALTER TABLE stock_transaction
    SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_freeze_min_age = 0);
