"""The race: carts, a payment gateway simulator, history, checker and report."""
