"""What may go wrong, by number. A test claims its cases with `@pytest.mark.fault(1, 2)`.

`@pytest.mark.fault(8, full=True)`: it takes long, or needs what not every machine has, and is run by
`make faults` and with `--faults all` alone.
"""

from __future__ import annotations

CASES = {
    1: "SIGKILL of PostgreSQL in mid-load, and right before a COMMIT",
    2: "SIGKILL of one of its backends",
    3: "the connection is cut after COMMIT was sent",
    4: "the connection is cut before COMMIT was sent",
    5: "COMMIT's reply is never heard",
    6: "SIGKILL of the server at each step of a call, and in mid-import",
    7: "SIGTERM under load",
    8: "failover to a synchronous standby",
    9: "PostgreSQL is read-only, starting up, out of connections, or ended its sessions",
    10: "statement_timeout, lock_timeout, idle in transaction",
    11: "the disk is full",
    12: "40001 and 40P01, forced at read, write and COMMIT",
    13: "a migration under load, and a client of the first protos",
    14: "the gateway is down, slow, declines, replies twice, loses the reply or replies too late",
    15: "two split payments at once, the first fails",
    16: "an order is cancelled while its payment is in flight",
    17: "the same payment 50 times at once",
    18: "a hold runs out while it is paid for",
    19: "many carts for few units, lines in opposite orders",
    20: "restocks, transfers, cancellations, expiry, imports and shipments among the carts",
    21: "two servers on one database",
    22: "several servers decide at once: some order of all calls explains every answer",
    23: "quantities at and past their limits",
    24: "enums that are unknown or unspecified",
    25: "ids that are empty, too long, or hold what no id may",
    26: "messages that are cut off or malformed",
    27: "one past every limit of size, lines, pages and metadata",
    28: "duplicate and conflicting lines",
    29: "forged, stale and foreign tokens and etags",
    30: "SQL and log metacharacters",
    31: "any bytes to any method",
    32: "connections that say nothing, floods of frames, requests without end, a thousand idle callers",
    33: "ten times as many calls as can be answered",
    34: "clients that cancel, give 1 ms, or never read their stream",
    35: "a handler that raises",
    36: "no, a foreign and an expired certificate; plaintext to TLS",
    37: "no, a wrong, an expired and a revoked token; each role against every method",
    38: "another store's ids, tokens, etags and request ids, to every method",
    39: "reflection and health without a credential",
    40: "a server beyond the loopback without TLS or without authentication",
}
