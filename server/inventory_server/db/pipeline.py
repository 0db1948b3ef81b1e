"""Round trips over libpq itself: prepared statements in a pipeline, whose results the event loop reads.

psycopg's cursors take three times as long for the same (docs/decisions/0026-the-engine-speaks-libpq.md).
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import abc, adapt
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult

from inventory_server.db.queries import Statement

Row = tuple[Any, ...]
# A statement with the literals of its parameters.
Step = tuple[Statement, Sequence[bytes | None]]


class Pipeline:
    """One connection's trips, one at a time.

    Its socket is the loop's from now on, and the connection is in pipeline mode for good: whoever handed it
    over only closes it, after `close()`.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._libpq = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._fd = self._libpq.socket
        self._unread = select.poll()
        self._unread.register(self._fd, select.POLLIN)
        # What turns a statement's rows into Python's values; of statements that return none, None.
        self._loaders: dict[str, abc.Transformer | None] = {}
        self._results: list[PGresult] = []
        # What was sent ahead of the next trip, and the names of the statements that are prepared by that.
        self._ahead: list[Step] = []
        self._new: set[str] = set()
        self._synced: asyncio.Future[None] | None = None
        self._syncs_due = 0
        self._is_writing = False
        self.is_open = True
        self._libpq.enter_pipeline_mode()
        self._loop.add_reader(self._fd, self._read)

    @property
    def is_ahead(self) -> bool:
        """Whether statements were sent ahead whose trip is yet to come: until then nothing ends them."""
        return bool(self._ahead)

    def send_ahead(self, steps: Sequence[Step]) -> None:
        """Send statements of the next trip, which is one Sync with them; they begin to run at once.

        The trip that follows raises what they raise, and leaves out their rows. It has no `before`.

        Raises: psycopg.Error of the connection, which is closed then.
        """
        self._need_idle()
        self._ahead += steps
        try:
            self._send(steps)
            self._flush()
        except BaseException:
            self.close()
            raise

    async def trip(
        self, steps: Sequence[Step], *, before: Step | None = None, after: Step | None = None
    ) -> list[list[Row]]:
        """Run statements, in one round trip.

        Args:
            before: a statement in a Sync of its own: when it has ended, in whatever way, the others begin.
            after: the same when they have ended. Where it alone fails the connection is closed.
        Returns: the rows of `steps`, by step.
        Raises: psycopg.Error, of the first that failed (those after it were not run), or of the connection,
            which is closed then. Cancelled, it is closed too: what it would say next belongs to no one.
        """
        self._need_idle()
        self._synced = self._loop.create_future()
        try:
            for part in filter(None, ([before] if before else [], steps, [after] if after else [])):
                self._send(part)
                self._libpq.pipeline_sync()
                self._syncs_due += 1
            self._flush()
            await self._synced
        except BaseException:
            self.close()
            raise
        finally:
            self._synced = None
            results, self._results = self._results, []
            ahead, self._ahead = self._ahead, []
            new, self._new = self._new, set()
        left = deque(results)
        parts = [[before] if before else [], [*ahead, *steps], [after] if after else []]
        _, found, last = [self._outcome(part, new, left) for part in parts]
        if isinstance(found, psycopg.Error):
            raise found
        if isinstance(last, psycopg.Error):
            self.close()
        return found[len(ahead) :]

    def close(self) -> None:
        """Let go of the socket; the connection is of no more use. A trip that waits fails."""
        if self.is_open:
            self.is_open = False
            self._loop.remove_reader(self._fd)
            if self._is_writing:
                self._loop.remove_writer(self._fd)
            self._break(psycopg.OperationalError("the connection was closed"))

    def _need_idle(self) -> None:
        if self._synced is not None or not self.is_open:
            raise psycopg.InterfaceError("the connection is busy or closed")

    def _send(self, steps: Sequence[Step]) -> None:
        """Send statements, and prepare those that are new here."""
        for statement, values in steps:
            name = statement.name.encode()
            if statement.name not in self._loaders and statement.name not in self._new:
                self._libpq.send_prepare(name, statement.numbered)
                self._new.add(statement.name)
            self._libpq.send_query_prepared(name, values, result_format=Format.BINARY)

    def _flush(self) -> None:
        """Write what the socket takes, the rest as soon as it takes more."""
        is_writing = bool(self._libpq.flush())
        if is_writing and not self._is_writing:
            self._loop.add_writer(self._fd, self._write)
        elif self._is_writing and not is_writing:
            self._loop.remove_writer(self._fd)
        self._is_writing = is_writing

    def _write(self) -> None:
        try:
            self._flush()
        except psycopg.Error as error:
            self._fail(error)

    def _read(self) -> None:
        """Take what has come. Also when nothing was asked: the backend may say that it ends.

        All of it, and the end behind it: of a connection that was reset uvloop tells once and never again,
        though that once there were last words to be read first (test_reset_behind_its_last_words).
        """
        try:
            is_more = True
            while is_more:
                self._libpq.consume_input()
                self._take()
                if self._libpq.status == ConnStatus.BAD:
                    raise psycopg.OperationalError("the connection is lost")
                is_more = bool(self._unread.poll(0))
        except psycopg.Error as error:
            self._fail(error)

    def _take(self) -> None:
        """Take the results that are whole. Each statement's end is a None; two on end: nothing is left."""
        was_end = False
        while not self._libpq.is_busy():
            result = self._libpq.get_result()
            if result is None:
                if was_end:
                    return
            elif result.status == ExecStatus.PIPELINE_SYNC:
                self._syncs_due -= 1
                if self._synced is not None and not self._synced.done() and not self._syncs_due:
                    self._synced.set_result(None)
            else:
                self._results.append(result)
            was_end = result is None

    def _fail(self, error: psycopg.Error) -> None:
        """End the trip that waits. What the backend said last tells more than that it is gone."""
        last_words = [result for result in self._results if result.status == ExecStatus.FATAL_ERROR]
        self._break(_error(last_words[0]) if last_words else error)
        self.close()

    def _break(self, error: psycopg.Error) -> None:
        """Let the trip that waits fail, if one does."""
        if self._synced is not None and not self._synced.done():
            self._synced.set_exception(error)
            # What could not even be sent never asks how it ended, which is no defect to be logged.
            self._synced.exception()

    def _outcome(
        self, steps: Sequence[Step], new: set[str], results: deque[PGresult]
    ) -> list[list[Row]] | psycopg.Error:
        """Take the results of one Sync's statements; return the rows of each, or the first error."""
        found: list[list[Row]] = []
        failure: psycopg.Error | None = None
        for statement, _ in steps:
            if statement.name in new:
                new.discard(statement.name)
                failure = failure or _failure(results.popleft())
                if failure is None:
                    self._loaders[statement.name] = None
            result = results.popleft()
            failure = failure or _failure(result)
            if failure is None:
                found.append(self._load(statement.name, result))
        return failure or found

    def _load(self, name: str, result: PGresult) -> list[Row]:
        if result.status != ExecStatus.TUPLES_OK:
            return []
        loader = self._loaders[name]
        if loader is None:
            loader = self._loaders[name] = adapt.Transformer(self._connection)
            loader.set_pgresult(result)
        else:
            loader.set_pgresult(result, set_loaders=False)
        rows = loader.load_rows(0, result.ntuples, tuple)
        loader.set_pgresult(None, set_loaders=False)
        return rows


def _failure(result: PGresult) -> psycopg.Error | None:
    if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return None
    return _error(result)


def _error(result: PGresult) -> psycopg.Error:
    return psycopg.errors.error_from_result(result)
