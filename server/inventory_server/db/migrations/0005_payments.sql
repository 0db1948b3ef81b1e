-- A payment has several operations; what is known of each beyond the gateway's first word.
--
-- lapsed: the authorization had run out. refund_id, content_hash: the caller's id of a refund and what it was
-- used for. reverses_operation_id: what this one undoes by itself. resolved_*: an administrator's word.
-- poll_until: an operation ended by that word is asked about until then.
ALTER TABLE payment_operation
    ADD COLUMN lapsed boolean NOT NULL DEFAULT false,
    ADD COLUMN refund_id text COLLATE "C",
    ADD COLUMN content_hash bytea NOT NULL DEFAULT '',
    ADD COLUMN reverses_operation_id text COLLATE "C",
    ADD COLUMN resolved_at timestamptz,
    ADD COLUMN resolved_by text NOT NULL DEFAULT '',
    ADD COLUMN resolve_reason text NOT NULL DEFAULT '',
    ADD COLUMN poll_until timestamptz,
    DROP CONSTRAINT payment_operation_kind_known,
    ADD CONSTRAINT payment_operation_kind_known
        CHECK (kind IN ('PURCHASE', 'AUTHORIZE', 'CAPTURE', 'VOID', 'REFUND', 'CONFIRM')),
    -- A refund is named by the caller, or undoes what came too late; nothing else is either, but for a void.
    ADD CONSTRAINT payment_operation_refund_named CHECK (
        CASE WHEN kind = 'REFUND' THEN (refund_id IS NULL) <> (reverses_operation_id IS NULL)
        ELSE refund_id IS NULL AND (kind = 'VOID' OR reverses_operation_id IS NULL) END
    ),
    ADD CONSTRAINT payment_operation_lapsed_known CHECK (NOT lapsed OR kind IN ('CAPTURE', 'VOID')),
    ADD CONSTRAINT payment_operation_resolved_whole CHECK (
        CASE WHEN resolved_at IS NULL
        THEN resolved_by = '' AND resolve_reason = '' AND poll_until IS NULL
        ELSE state <> 'PROCESSING' END
    );
-- One operation of a payment is in flight; so a payment is begun once, too.
CREATE UNIQUE INDEX payment_operation_one_in_flight ON payment_operation (store_id, payment_id)
    WHERE state = 'PROCESSING';
-- One capture of an authorization, one void, one purchase: what took money takes it once.
CREATE UNIQUE INDEX payment_operation_one_accepted ON payment_operation (store_id, payment_id, kind)
    WHERE state = 'ACCEPTED' AND kind <> 'REFUND' AND reverses_operation_id IS NULL;
CREATE UNIQUE INDEX payment_operation_refund ON payment_operation (store_id, refund_id)
    WHERE refund_id IS NOT NULL;
-- The reconciler's way to what an administrator has ended.
CREATE INDEX payment_operation_polled ON payment_operation (store_id, lease_until)
    WHERE poll_until IS NOT NULL;
-- What is in flight or in doubt, by age.
CREATE INDEX payment_operation_by_age ON payment_operation (store_id, created_at) WHERE state = 'PROCESSING';
-- Payments by age, for lists.
CREATE INDEX payment_by_age ON payment (store_id, created_at, payment_id);

-- A payment of its order decides about a hold, not the clock: the time is kept for the payment's end.
ALTER TABLE reservation
    ADD COLUMN expiry_suspended boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT reservation_suspended_in_order CHECK (
        NOT expiry_suspended OR (owned_by_order AND state = 'HELD' AND expire_time IS NOT NULL)
    );
