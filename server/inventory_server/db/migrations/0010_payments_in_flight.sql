-- What is in flight, by the age of its payment: the order of the list.

-- payment_created_at: the payment's, as order_line has its order's. The default is for a server of the version
-- before, which does not name the column: it is the payment's own time for what begins a payment, and for what
-- goes on with one until the operation is put again.
ALTER TABLE payment_operation ADD COLUMN payment_created_at timestamptz;
UPDATE payment_operation o SET payment_created_at = p.created_at
FROM payment p WHERE p.store_id = o.store_id AND p.payment_id = o.payment_id;
ALTER TABLE payment_operation
    ALTER COLUMN payment_created_at SET DEFAULT now(),
    ALTER COLUMN payment_created_at SET NOT NULL;
CREATE INDEX payment_operation_in_flight
    ON payment_operation (store_id, payment_created_at, payment_id) WHERE state = 'PROCESSING';
