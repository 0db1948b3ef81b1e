-- Who may call (engine/credentials.py). Of no store.

-- name: credentials_live
SELECT credential_id, name, kind, identity, role, stores, date_part('epoch', expires_at),
    calls_per_s_max, calls_max
FROM credential
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());

-- name: note_credentials_used
UPDATE credential SET used_at = now() WHERE credential_id = ANY (%(credential_id)s::text[]);
