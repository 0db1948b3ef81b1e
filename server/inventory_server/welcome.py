"""What a server says on standard output when it serves: one line for programs, then a hint for people."""

from __future__ import annotations

import sys
from pathlib import Path

_HINT = """
A first call to try, in another terminal:

  {python} - <<'END'
  import inventory_client
  from inventory_client import v1

  with inventory_client.connect("{address}") as client:
      tea = "tea-" + inventory_client.new_id()
      client.inventory.CreateStock(v1.CreateStockRequest(product_id=tea, quantity=10))
      line = v1.LineRequest(product_id=tea, quantity=2)
      print(client.inventory.ReserveStock(v1.ReserveStockRequest(reservation_id=tea, lines=[line])))
      print(client.inventory.GetStock(v1.GetStockRequest(product_id=tea)))
  END

Ctrl-C stops the server.
"""


def announce(address: str, *, is_open: bool) -> None:
    """Print `ready ADDRESS`, for whoever waits for the line, and a first call to try.

    Args:
        address: what clients connect to: HOST:PORT with the port that was bound.
        is_open: whether a call needs no more than the address.
    """
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    hint = _HINT.format(python=python, address=address) if is_open else ""
    sys.stdout.write(f"ready {address}\n{hint}\n")
    sys.stdout.flush()
