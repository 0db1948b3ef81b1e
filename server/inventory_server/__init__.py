"""The server: a gRPC service that decides who gets the last unit."""
