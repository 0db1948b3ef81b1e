"""The rim towards callers, and the only place in the server that names grpc: decode, validate, map errors."""
