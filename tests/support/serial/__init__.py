"""Histories of calls, who makes them, and the judge of whether some order explains them."""
