"""HTTP/2 by hand: a connection that writes whatever frames a test wants, which no library would.

Source: RFC 9113, sections 4.1 and 6; RFC 7541, section 6.2.2 (header fields that are not indexed).
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple, Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
ACK, END_STREAM, END_HEADERS = 1, 1, 4
CANCEL = 8
# What every connection may send of a frame without being told more.
FRAME_BYTES_MAX = 16_384
_HEAD = struct.Struct(">HBBBL")
# HPACK writes lengths up to this in one byte.
_SHORT_MAX = 126


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def fields(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Return header fields as HPACK writes those that are not indexed."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in pairs)


def _text(text: str) -> bytes:
    """A string with its length as an integer of a 7-bit prefix."""
    data = text.encode()
    if len(data) <= _SHORT_MAX:
        return bytes([len(data)]) + data
    left, length = len(data) - 127, bytearray([127])
    while left >= 128:
        length.append(left % 128 + 128)
        left //= 128
    return bytes(length) + bytes([left]) + data


def call_fields(path: str) -> bytes:
    """Return the header fields of a gRPC call."""
    return fields([
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
        ("content-type", "application/grpc"), ("te", "trailers"),
    ])  # fmt: skip


def grpc_message(data: bytes) -> bytes:
    """Return a message as gRPC frames it."""
    return b"\0" + struct.pack(">L", len(data)) + data


class Wire:
    """A TCP connection to a server, blocking. Close it, or use it as a context manager."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._next_stream = 1
        self._unread = b""
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def greet(self) -> None:
        """Say what begins a connection of HTTP/2, and agree with what the server says."""
        self.send(PREFACE + frame(SETTINGS) + frame(SETTINGS, ACK))

    def send(self, data: bytes, wait_s: float = 60.0) -> bool:
        """Write bytes. Returns: whether all were taken: not where the connection is closed or jammed."""
        self._socket.settimeout(wait_s)
        try:
            self._socket.sendall(data)
        except (ConnectionError, TimeoutError):
            return False
        return True

    def new_stream(self) -> int:
        """Return the number of a stream that is not used yet."""
        number, self._next_stream = self._next_stream, self._next_stream + 2
        return number

    def frames(self, wait_s: float = 0.0) -> list[Frame]:
        """Read what there is, or comes within the time; what was read of a frame that is cut off is kept."""
        self._read(wait_s)
        found = []
        while len(self._unread) >= _HEAD.size:
            high, low, kind, flags, stream = _HEAD.unpack_from(self._unread)
            end = _HEAD.size + (high << 8 | low)
            if len(self._unread) < end:
                break
            found.append(Frame(kind, flags, stream, self._unread[_HEAD.size : end]))
            self._unread = self._unread[end:]
        return found

    def is_closed(self, wait_s: float = 0.0) -> bool:
        """Read what there is, or comes within the time; return whether the server closed the connection."""
        self._read(wait_s)
        return self._is_closed

    def _read(self, wait_s: float) -> None:
        while not self._is_closed and select.select([self._socket], [], [], wait_s)[0]:
            wait_s = 0.0
            try:
                got = self._socket.recv(2**16)
            except ConnectionError:
                got = b""
            self._unread += got
            self._is_closed = not got
