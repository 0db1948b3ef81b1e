-- The feed and the verification: the two ways of reading that no key serves.

-- The log in the order of the transactions that wrote it (docs/decisions/0019-the-feed.md).
CREATE INDEX stock_transaction_feed ON stock_transaction (store_id, xid);
-- What is held of a product. Few rows: most lines have nothing open any more
-- (docs/decisions/0020-verification-by-other-rules.md).
CREATE INDEX reservation_line_open ON reservation_line (store_id, product_id) WHERE open > 0;
