"""Why a call was not decided. Each is worth sending again, unchanged."""

from __future__ import annotations


class NotDecided(Exception):
    """The call did not come to a verdict; the subclass says why."""


class Overloaded(NotDecided):
    """The queue is full, or the server is stopping. Nothing was changed."""


class TransactionConflict(NotDecided):
    """Other writers won again and again. Nothing was changed."""


class DatabaseUnavailable(NotDecided):
    """The database does not answer. Nothing was changed."""


class CommitOutcomeUnknown(NotDecided):
    """The connection died around COMMIT, and what became of it could not be found out in time."""


class DeadlinePassed(NotDecided):
    """The caller's time was over before the call was decided, or before its outcome was known."""
