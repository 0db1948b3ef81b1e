"""The invariants, checked on plain rows by rules of their own: nothing here imports what decides.

A defect in domain/ that the same code would excuse is found by code that does not share it
(docs/decisions/0020-verification-by-other-rules.md).
"""
