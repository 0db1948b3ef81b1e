"""Who may call, and what: certificates. Knows neither gRPC nor the database."""
