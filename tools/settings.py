"""Write docs/settings.md from the server's Settings; a test says when it is stale.

python tools/settings.py            writes it
python tools/settings.py --print    prints it
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from inventory_server.config import Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"

_HEAD = """\
# Settings

<!-- Written by `make docs` from server/inventory_server/config.py. -->

Every setting is an environment variable: `INVENTORY_` and its name in capitals. The commonest are options of
`inventory serve` too (`--port`, see `inventory serve --help`), and an option wins. They are read once, at the
start; a bad one is refused in one line, exit status 2. The unit stands last in the name.

| setting | default | range | what |
|---|---|---|---|
"""

_DATA_DIR = """
## The embedded database

Without `database_url` the server runs a PostgreSQL 18 of its own, on a unix socket that only it can reach.
Its data is kept in `data_dir`:

- as root in `/var/lib/inventory-service`. PostgreSQL refuses to run as root, so it runs as the system user
  `inventory-service`, which is made at the first start; every folder above `data_dir` must be open to it.
- as a user in `$XDG_DATA_HOME/inventory-service`, or `~/.local/share/inventory-service`.

It stops with the server, however that ends, SIGKILL too. One server at a time can use a folder. A new major
version of PostgreSQL can't read the folder of an old one: dump and load it, or use a database of your own
for what you can't lose. `ephemeral` makes a throw-away one under the temporary folder.

## A database of your own

PostgreSQL 15 or newer. `inventory migrate` brings it to the current schema; `serve` does so only with
`migrate`. Keep the password out of the command line: use `INVENTORY_DATABASE_URL`.

Two logins belong to it, and the service gets the lesser one
([0045](decisions/0045-two-logins.md)). As an administrator of PostgreSQL, in a database of the service's own:

```sql
CREATE ROLE inventory_service NOLOGIN;            -- what the service may do; the migrations grant it
CREATE ROLE inventory_owner LOGIN PASSWORD '...'; -- migrates, makes stores and tokens
CREATE ROLE inventory_server LOGIN PASSWORD '...' IN ROLE inventory_service;
GRANT inventory_service TO inventory_owner WITH ADMIN OPTION;
CREATE DATABASE inventory OWNER inventory_owner;
REVOKE ALL ON DATABASE inventory FROM PUBLIC;
GRANT CONNECT ON DATABASE inventory TO inventory_service;
-- and of every other database that not everybody should come into:
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
```

- `inventory migrate`, `store` and `tokens` take the owner's URL: `--database-url`, or
  `INVENTORY_OWNER_DATABASE_URL` beside `INVENTORY_DATABASE_URL`. A server needs it with `migrate` only;
  without, keep it out of the server's environment.
- `inventory serve` takes the URL of `inventory_server`. Every connection acts as `inventory_service`, which
  can neither change the log nor the schema, and sees one store at a time. A login that could do more (a
  superuser, the tables' owner, one that passes over row-level security) is a warning `database_setting` in
  the server's log; with `refuse_mighty_login` the server does not serve under it.
- The migration 0017 brought row-level security: stop servers from before it first, they would see nothing.

The embedded database does all of this by itself: its superuser owns the schema, and the server logs in as
`inventory_server`. The owner's URL stands in the server's log, `owner_database`.
"""


def page() -> str:
    """Return the page's text."""
    rows = [
        f"| `{name}` | {_default(field)} | {_range(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return _HEAD + "\n".join(rows) + "\n" + _DATA_DIR


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "see right"
    value: Any = field.default
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, ()) else f"`{getattr(value, 'value', value)}`"


def _range(field: FieldInfo) -> str:
    bounds = (("ge", ">= "), ("gt", "> "), ("le", "<= "), ("lt", "< "))
    return ", ".join(
        f"{sign}{getattr(rule, name)}"
        for rule in field.metadata
        for name, sign in bounds
        if hasattr(rule, name)
    )


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page())
