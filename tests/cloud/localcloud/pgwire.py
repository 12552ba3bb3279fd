"""The parts of PostgreSQL's protocol that a front needs: TLS on a stream, messages, and names of statements."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator

# A client's first message: its length, then a protocol version or one of these requests.
CANCEL_REQUEST = 80877102
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
# The server's own limit for that message.
LONGEST_START = 10_000

Message = tuple[bytes, bytes]


class Stream:
    """One end of a connection, in plaintext until `secure`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader = reader
        self._writer = writer
        # asyncio's TLS upgrade of a stream needs Python 3.11, and always sends a close alert, which a fault must not.
        self._tls: ssl.SSLObject | None = None
        self._received = ssl.MemoryBIO()
        self._to_send = ssl.MemoryBIO()
        self._unread = bytearray()

    @property
    def ports(self) -> dict[str, tuple[str, int]]:
        """This connection as an ASGI scope."""
        return {"client": self._writer.get_extra_info("peername"), "server": self._writer.get_extra_info("sockname")}

    @property
    def secured(self) -> bool:
        return self._tls is not None

    async def secure(self, context: ssl.SSLContext, server_side: bool) -> None:
        """Does the handshake; everything afterwards is encrypted."""
        tls = context.wrap_bio(self._received, self._to_send, server_side=server_side)
        try:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await self._send()
                    await self._receive()
        finally:
            # Also sends the alert of a failed handshake.
            await self._send()
        self._tls = tls

    async def _receive(self) -> None:
        data = await self._reader.read(65536)
        if not data:
            raise ConnectionResetError
        self._received.write(data)

    async def _send(self) -> None:
        self._writer.write(self._to_send.read())
        await self._writer.drain()

    async def read(self) -> bytes:
        """The next bytes; empty at the end of the connection."""
        if self._tls is None:
            return await self._reader.read(65536)
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                try:
                    await self._receive()
                except ConnectionResetError:
                    return b""

    async def write(self, data: bytes) -> None:
        if self._tls is None:
            self._writer.write(data)
            await self._writer.drain()
        elif data:
            self._tls.write(data)
            await self._send()

    async def exactly(self, count: int) -> bytes:
        while len(self._unread) < count:
            data = await self.read()
            if not data:
                raise ConnectionResetError
            self._unread += data
        data = bytes(self._unread[:count])
        del self._unread[:count]
        return data

    async def messages(self) -> AsyncIterator[list[Message]]:
        """The messages until the end of the connection, each with its kind, in groups as they arrived."""
        unread = self._unread
        while data := await self.read():
            unread += data
            found, at = [], 0
            while len(unread) - at >= 5:
                end = at + 1 + int.from_bytes(unread[at + 1 : at + 5], "big")
                if end < at + 5:
                    raise ConnectionResetError
                if len(unread) < end:
                    break
                found.append((bytes(unread[at : at + 1]), bytes(unread[at:end])))
                at = end
            del unread[:at]
            if found:
                yield found

    async def ended(self) -> None:
        """Returns at the end of the connection."""
        with contextlib.suppress(OSError):
            while await self.read():
                pass

    def close(self) -> None:
        """Ends the connection after sending all written data."""
        if self._tls is not None and not self._writer.is_closing():
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._writer.write(self._to_send.read())
        self._writer.close()

    def cut(self) -> None:
        """Aborts the connection without sending anything."""
        self._writer.transport.abort()


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """PostgreSQL's own settings: TLS 1.2 and 1.3, no session tickets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0
    context.load_cert_chain(certificate, key)
    return context


def client_context() -> ssl.SSLContext:
    """Settings for the connection from a front to its own server, whose certificate is not verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def message(kind: bytes, content: bytes) -> bytes:
    return kind + (len(content) + 4).to_bytes(4, "big") + content


def fatal(code: str, text: str) -> bytes:
    """An ErrorResponse that ends a connection."""
    fields = {"S": "FATAL", "V": "FATAL", "C": code, "M": text}
    return message(b"E", b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0")


def error_fields(response: bytes) -> dict[str, str]:
    """The severity (V) and the SQLSTATE (C) of an ErrorResponse; its texts can quote a client's input."""
    fields = (field.decode("latin-1") for field in response[5:].split(b"\0"))
    return {field[0]: field[1:] for field in fields if field[:1] in ("V", "C")}


def raising(code: str, text: str, end: bytes = b"") -> bytes:
    """Messages that make a server answer with this error and fail the transaction, like the client's own statement.

    A simple query; with `end`, messages of the extended protocol that end with this one.
    """
    quoted = text.replace("'", "''")
    body = f"BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = '{quoted}'; END"
    statement = f"DO $localcloud$ {body} $localcloud$".encode() + b"\0"
    if not end:
        return message(b"Q", statement)
    parse = message(b"P", b"\0" + statement + b"\0\0")
    bind = message(b"B", b"\0\0" + b"\0\0" * 3)
    return parse + bind + message(b"E", b"\0" + b"\0" * 4) + message(end, b"")


# Only these words of a statement are stored: any other can be a name, or a misplaced secret.
_COMMANDS = """
ABORT ALTER ANALYZE BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE DELETE DISCARD DO
DROP END EXECUTE EXPLAIN FETCH GRANT INSERT LISTEN LOCK MERGE MOVE NOTIFY PREPARE REASSIGN REFRESH REINDEX RELEASE RESET
REVOKE ROLLBACK SAVEPOINT SELECT SET SHOW START TABLE TRUNCATE UNLISTEN UPDATE VACUUM VALUES WITH
"""
_OBJECTS = """
DATABASE DEFAULT DOMAIN EXTENSION FUNCTION GROUP INDEX OWNED POLICY PROCEDURE ROLE SCHEMA SEQUENCE SYSTEM TABLE TRIGGER
TYPE USER VIEW
"""
COMMANDS = frozenset(_COMMANDS.split())
OBJECTS = frozenset(_OBJECTS.split())
OF_OBJECTS = frozenset({"ALTER", "CREATE", "DROP"})
_SPACE = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)"
_LEADING = re.compile(rf"(?:{_SPACE}|\()*([A-Za-z]+)\b(?:{_SPACE}+([A-Za-z]+)\b)?", re.DOTALL)


def keywords(statement: bytes) -> str:
    """The name of a statement, or of the first of several: `SELECT`, `ALTER ROLE`, ...; `OTHER` if unknown."""
    found = _LEADING.match(statement[:LONGEST_START].decode("latin-1"))
    first, second = (word.upper() if word else "" for word in found.groups()) if found else ("", "")
    if first not in COMMANDS:
        return "OTHER"
    return f"{first} {second}" if first in OF_OBJECTS and second in OBJECTS else first
