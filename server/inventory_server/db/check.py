"""What a database must be for the service to serve from it, and what it had better be."""

from __future__ import annotations

import psycopg

from inventory_server.db.connection import SERVICE_ROLE
from inventory_server.db.migrate import latest_version
from inventory_server.db.sqlstate import translate
from inventory_server.operator_error import OperatorError

VERSION_MIN = 150000
PRED_LOCKS_MIN = 4096

_OWN_LOGIN = "give the service a login of its own (docs/settings.md)"
# What the login can do that the service, who acts as SERVICE_ROLE, never needs. A superuser can do all of it.
_MIGHTS = """
SELECT word FROM pg_roles AS login, pg_class AS log, LATERAL (VALUES
    (rolsuper, 'is a superuser'),
    (NOT rolsuper AND rolbypassrls, 'sees every store (BYPASSRLS)'),
    (NOT rolsuper AND rolcreaterole, 'makes roles (CREATEROLE)'),
    (NOT rolsuper AND rolreplication, 'reads the write-ahead log (REPLICATION)'),
    (NOT rolsuper AND pg_has_role(login.oid, relowner, 'MEMBER'), 'owns the tables'),
    (NOT rolsuper AND has_schema_privilege(login.oid, relnamespace, 'CREATE'), 'can make tables'),
    (NOT rolsuper AND NOT pg_has_role(login.oid, relowner, 'MEMBER')
        AND has_table_privilege(login.oid, log.oid, 'UPDATE, DELETE, TRUNCATE'), 'can change the log'),
    (NOT rolsuper AND EXISTS (
        SELECT FROM pg_roles WHERE rolname IN ('pg_read_all_data', 'pg_write_all_data',
            'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')
        AND pg_has_role(login.oid, oid, 'MEMBER')
    ), 'belongs to a role of PostgreSQL that passes over rights')
) AS mights (has, word)
WHERE has AND login.rolname = session_user AND log.oid = 'stock_transaction'::regclass
"""

_MIGRATE = "run: inventory migrate --database-url URL"


class DatabaseUnfit(OperatorError):
    """The database answers, but cannot be served from until somebody mends it."""


async def check(database_url: str, *, refuses_mighty: bool = False) -> list[str]:
    """Look at a database before it is served from.

    Args:
        refuses_mighty: a login that can do more than the service needs is to be mended, too.
    Returns: what had better be otherwise, a line each with its mend.
    Raises: DatabaseUnfit for what must be mended; the translated database error where it does not answer.
    """
    try:
        connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True, connect_timeout=5)
        async with connection:
            if connection.info.server_version < VERSION_MIN:
                raise DatabaseUnfit("PostgreSQL 15 or newer is needed")
            await _need_primary(connection)
            await _need_schema(connection)
            warnings = await _warnings(connection)
            if mights := await _mights(connection):
                mighty = f"the login {connection.info.user} {', '.join(mights)}; {_OWN_LOGIN}"
                if refuses_mighty:
                    raise DatabaseUnfit(mighty)
                warnings.append(mighty)
            return warnings
    except psycopg.errors.UndefinedTable as error:
        raise DatabaseUnfit(f"the database has no schema; {_MIGRATE}") from error
    except psycopg.Error as error:
        raise translate(error) from error


async def _need_primary(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    row = await (await connection.execute("SELECT pg_is_in_recovery()")).fetchone()
    if row and row[0]:
        raise DatabaseUnfit("the database is a standby and takes no writes; name its primary, or promote it")


async def _need_schema(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    cursor = await connection.execute("SELECT max(migration_id) FROM _yoyo_migration")
    row = await cursor.fetchone()
    version, needed = str(row[0]) if row and row[0] else "", latest_version()
    if version < needed:
        raise DatabaseUnfit(f"the schema is at {version or 'nothing'}, {needed} is needed; {_MIGRATE}")
    # Since 16 a member may still lack the right to act as the role.
    right = "SET" if connection.info.server_version >= 160000 else "MEMBER"
    cursor = await connection.execute("SELECT pg_has_role(%s, %s)", (SERVICE_ROLE, right))
    row = await cursor.fetchone()
    if not row or not row[0]:
        user = connection.info.user
        raise DatabaseUnfit(f"the login may not act as the service; run: GRANT {SERVICE_ROLE} TO {user}")


async def _warnings(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> list[str]:
    async def setting(name: str) -> str:
        row = await (await connection.execute("SELECT current_setting(%s)", (name,))).fetchone()
        return str(row[0]) if row else ""

    warnings = []
    if int(await setting("max_pred_locks_per_transaction")) < PRED_LOCKS_MIN:
        warnings.append(
            f"max_pred_locks_per_transaction is below {PRED_LOCKS_MIN}, so batches of different products may"
            f" abort each other; set it to {PRED_LOCKS_MIN} and restart PostgreSQL"
        )
    if await setting("fsync") != "on":
        warnings.append("fsync is off, so a crash may lose what was acknowledged; set fsync = on")
    if await setting("synchronous_commit") == "off":
        warnings.append("synchronous_commit is off, so a crash may lose what was acknowledged; set it to on")
    return warnings


async def _mights(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> list[str]:
    return [str(might) for (might,) in await (await connection.execute(_MIGHTS)).fetchall()]
