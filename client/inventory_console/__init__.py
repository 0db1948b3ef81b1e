"""The administrators' command line: a gRPC client like any other, on inventory_client."""
