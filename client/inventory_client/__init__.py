"""The client: stubs, connect(), exceptions by reason."""
