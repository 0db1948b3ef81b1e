"""Who may call, and what: certificates, credentials, roles, the audit log. Knows no gRPC, no database."""
