"""What the server does by itself: it ends due holds and settles payments in doubt."""
