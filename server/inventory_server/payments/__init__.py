"""Payments: the port to the outside gateway, and the one task that sees a payment through."""
