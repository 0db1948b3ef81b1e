-- Who may call. Of no store: one credential may have several, and each server knows all of them.

CREATE TABLE credential (
    credential_id text COLLATE "C" NOT NULL,
    -- The actor in the log. Several may share it, as two tokens do while one replaces the other.
    name text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    -- Of a token its SHA-256, of a certificate one of its alternative names.
    identity text COLLATE "C" NOT NULL,
    role text NOT NULL,
    -- NULL = every store.
    stores text[],
    -- NULL = the server's own limits.
    calls_per_s_max integer,
    calls_max integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    -- To the minute.
    used_at timestamptz,
    CONSTRAINT credential_pkey PRIMARY KEY (credential_id),
    CONSTRAINT credential_name_format CHECK (name ~ '^[!-~]{1,128}$'),
    CONSTRAINT credential_kind_known CHECK (kind IN ('TOKEN', 'CERTIFICATE')),
    -- A token itself can't be kept by mistake.
    CONSTRAINT credential_identity_format CHECK (
        CASE kind WHEN 'TOKEN' THEN identity ~ '^[0-9a-f]{64}$'
            ELSE identity ~ '^[!-~]+$' AND length(identity) <= 1024 END
    ),
    CONSTRAINT credential_role_known CHECK (role IN ('viewer', 'seller', 'stock_keeper', 'admin')),
    CONSTRAINT credential_stores_named CHECK (cardinality(stores) >= 1),
    CONSTRAINT credential_calls_floor CHECK (calls_per_s_max >= 1 AND calls_max >= 1)
);
-- What one caller is known by is no other's.
CREATE UNIQUE INDEX credential_identity ON credential (kind, identity) WHERE revoked_at IS NULL;

GRANT SELECT, UPDATE (used_at) ON credential TO inventory_service;
