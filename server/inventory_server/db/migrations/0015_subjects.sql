-- A credential may be known by the tokens of an identity provider, too: by their `sub`.

ALTER TABLE credential
    DROP CONSTRAINT credential_kind_known,
    ADD CONSTRAINT credential_kind_known CHECK (kind IN ('TOKEN', 'CERTIFICATE', 'SUBJECT'));
