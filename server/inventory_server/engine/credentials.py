"""The credentials as they stand in the database: read by every server, and when each was last used."""

from __future__ import annotations

from collections.abc import Sequence

from inventory_server.access.credential import Credential, Kind
from inventory_server.access.role import Role
from inventory_server.db.connection import EngineConnections
from inventory_server.db.read_pool import ReadTransaction
from inventory_server.db.sqlstate import Conflict, ConnectionLost, Unavailable
from inventory_server.engine.errors import DatabaseUnavailable, TransactionConflict
from inventory_server.engine.load import Row
from inventory_server.engine.reads import Reader


class CredentialBook:
    """All raise DatabaseUnavailable and TransactionConflict."""

    def __init__(self, reader: Reader, connections: EngineConnections) -> None:
        self._reader = reader
        self._connections = connections

    async def live(self, *, deadline_s: float) -> list[Credential]:
        """Return those that were neither revoked nor have expired; raises DeadlinePassed too."""

        async def read(transaction: ReadTransaction) -> list[Row]:
            return (await transaction.fetch([("credentials_live", {})]))[0]

        return [_credential(row) for row in await self._reader.run(None, read, deadline_s=deadline_s)]

    async def note_used(self, credential_ids: Sequence[str]) -> None:
        """Note that these were used now. Nobody waits for it, and a lost note is no harm."""
        used = {"credential_id": sorted(credential_ids)}
        try:
            async with self._connections.borrow() as connection:
                await connection.begin("", [("note_credentials_used", used)])
                await connection.commit("", [])
        except Conflict as error:
            raise TransactionConflict(str(error)) from error
        except (ConnectionLost, Unavailable) as error:
            raise DatabaseUnavailable(str(error)) from error


def _credential(row: Row) -> Credential:
    credential_id, name, kind, identity, role, stores, expires_at, calls_per_s_max, calls_max = row
    return Credential(
        credential_id=credential_id,
        name=name,
        kind=Kind(kind),
        identity=identity,
        role=Role(role),
        stores=None if stores is None else frozenset(stores),
        expires_at=expires_at,
        calls_per_s_max=calls_per_s_max,
        calls_max=calls_max,
    )
