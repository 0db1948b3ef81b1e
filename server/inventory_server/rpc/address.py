"""Where plaintext may be spoken: on this machine alone."""

from __future__ import annotations

import ipaddress

from inventory_server.operator_error import OperatorError


class AddressRefused(OperatorError):
    """An address that cannot be listened on, or that plaintext must not go to."""


def need_loopback(host: str, what: str) -> None:
    """Refuse any host but this machine's loopback: without TLS and authentication the rest is a storefront.

    Args:
        host: an IP address, with or without brackets, or `localhost`.
        what: names the setting in the error.
    Raises: AddressRefused.
    """
    if host == "localhost":
        return
    try:
        is_loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise AddressRefused(
            f"{what} {host!r} is not on the loopback (127.0.0.1, ::1, localhost), and plaintext stays there"
        )
