"""Who makes a call, and whether it may: one look into memory, before anything of the request is read.

A call with the metadata `authorization` is the token's, whatever certificate its connection has shown; one
without is its connection's certificate's, known by any of its alternative names.
"""

from __future__ import annotations

from typing import Any

from inventory_server.access.audit import Audit
from inventory_server.access.credential import TOKEN_PREFIX, Kind, token_hash
from inventory_server.access.directory import Caller, Directory
from inventory_server.access.errors import PermissionDenied, RateLimited, Unauthenticated
from inventory_server.access.id_tokens import IdTokens
from inventory_server.access.role import Role
from inventory_server.engine.errors import DatabaseUnavailable
from inventory_server.rpc.status import reason_name

_SCHEME = "bearer "


class Guard:
    """The guard of one server.

    Args:
        directory: the credentials.
        audit: told of who was not let in.
        id_tokens: those of an identity provider; None: none of them counts.
    """

    def __init__(self, directory: Directory, audit: Audit, id_tokens: IdTokens | None = None) -> None:
        self._id_tokens = id_tokens
        self._directory = directory
        self.audit = audit

    def admit(self, method: str, needed: Role | None, authorization: str | None, context: Any) -> Caller:
        """Return who calls.

        Args:
            needed: the role that the method asks for; None: nobody may call it.
            authorization: the call's metadata of this name, None = none.
            context: of the call; its connection's certificate is looked at where there is no token.
        Raises: DatabaseUnavailable, Unauthenticated, PermissionDenied, RateLimited.
        Effects: the caller is counted in; `leave` lets him out.
        """
        if self._directory.is_stale:
            raise DatabaseUnavailable("the credentials could not be read")
        caller = None
        try:
            caller = self._who(authorization, context)
            if not caller.credential.role.may(needed):
                raise PermissionDenied(caller.credential.role)
            caller.enter()
        except (Unauthenticated, PermissionDenied, RateLimited) as error:
            credential = caller.credential if caller else None
            self.audit.refused(method, context.peer(), credential, reason_name(error))
            raise
        return caller

    def _who(self, authorization: str | None, context: Any) -> Caller:
        if authorization is not None:
            if authorization[: len(_SCHEME)].lower() != _SCHEME:
                raise Unauthenticated
            token = authorization[len(_SCHEME) :]
            if self._id_tokens is not None and not token.startswith(TOKEN_PREFIX):
                return self._directory.find(Kind.SUBJECT, self._id_tokens.subject(token))
            return self._directory.find(Kind.TOKEN, token_hash(token))
        found: Caller | None = None
        for name in context.peer_identities() or ():
            try:
                caller = self._directory.find(Kind.CERTIFICATE, name.decode("utf-8", "replace"))
            except Unauthenticated:
                continue
            if found is not None and caller is not found:
                raise Unauthenticated  # a certificate that is two callers is none
            found = caller
        if found is None:
            raise Unauthenticated
        return found
