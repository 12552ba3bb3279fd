"""The TCP front of a database: an instance's public endpoint, which forwards to its server or breaks on request.

The front terminates TLS with the server's own certificate and key and speaks TLS to the server. So it can read the
traffic, and a client's SCRAM channel binding stays valid. It refuses TLS without PostgreSQL's preceding request
(`sslnegotiation=direct`).

Each call of a connection is a call of the service `postgres` in the log and the fault rules of `faults.py`. Calls go to
the server one at a time, even if the client pipelines. Only the call's `action` is stored:

- `login`: from the start-up message to the first ReadyForQuery, or to an error;
- a simple query: the command of its first statement, with the kind of object after ALTER, CREATE and DROP: `BEGIN`,
  `ALTER ROLE`, `SELECT`, `SET`, ...; `OTHER` for anything but PostgreSQL's commands;
- the extended protocol's messages up to a Sync: the same of the statement parsed or bound last; `PREPARE` and the same
  (`PREPARE SELECT`) if nothing is executed, `DEALLOCATE` if something is only closed, `SYNC` if there is nothing;
- `FUNCTION`: the protocol's function call.

The end of a connection and a cancel request are not calls. `outcome` is `ok`, `error:<SQLSTATE>` (also for a partly
failed call) or `error:no answer`. `caller` is `lambda:<name>` if the process at the other end is a function's, else
`client`, whose calls are counted, but logged only when a rule strikes them.

Effects: with `after` the server has answered completely, for example completed a COMMIT. `error` and `throttle` come
from the server and fail the open transaction; at a login they end the connection. With the other effects the server's
end closes first, so that an open transaction is rolled back and its locks are free when the client notices. The servers
notice the end of a killed process's other connections a little later.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import ssl
import threading
from collections.abc import Coroutine
from typing import Any

from localcloud import pgwire
from localcloud.faults import SQLSTATE, Call, Rule, Switches, callers_of, function_of, kill
from localcloud.pgwire import CANCEL_REQUEST, GSS_REQUEST, LONGEST_START, SSL_REQUEST, Stream

# Seconds for a server to end its side of a connection.
ENDING = 5


class Loop:
    """An event loop in its own thread, so that databases answer while the launcher's loop waits for a function."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True, name="localcloud-rds").start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs `work` in that thread and returns its result; called from any other thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)


class Front:
    """One public endpoint on 127.0.0.1.

    Modes: `pass`; `refuse` (nothing listens, and open connections are cut); `blackhole` (accepts and never answers;
    open connections stall; all of them continue when the mode ends); `downgrade` (answers like a server without TLS and
    forwards nothing). In every mode it counts all `connections` since its start, and those that sent their start-up
    message in plaintext (`plaintext_startups`).
    """

    def __init__(self, loop: Loop, switches: Switches):
        # Bound but never listening: reserves the port for this endpoint while nothing listens on it.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port: int = self._reserved.getsockname()[1]
        self.mode = "pass"
        self.connections = 0
        self.plaintext_startups = 0
        self._loop = loop
        self._switches = switches
        self._server_port: int | None = None
        self._as_server: ssl.SSLContext | None = None
        self._as_client = pgwire.client_context()
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def certify(self, certificate: str, key: str) -> None:
        """Presents this certificate, which must be the server's, to all new connections."""
        self._as_server = pgwire.server_context(certificate, key)

    def connect(self, server_port: int) -> None:
        """Listens for the server at `server_port`; `certify` comes first."""
        self._server_port = server_port
        self._loop.run(self._apply())

    def disconnect(self) -> None:
        """Stops listening and cuts every connection, because the server is about to stop."""
        self._server_port = None
        self._loop.run(self._apply())

    def close(self) -> None:
        """Disconnects permanently and releases the port."""
        self.disconnect()
        self._reserved.close()

    def set_mode(self, mode: str) -> None:
        self.mode = mode
        self._loop.run(self._apply())

    async def _apply(self) -> None:
        if self.mode == "blackhole":
            self._flowing.clear()
        else:
            self._flowing.set()
        listening = self._server_port is not None and self.mode != "refuse"
        if listening and self._listener is None:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_port=True)
        elif not listening:
            if self._listener is not None:
                self._listener.close()
                self._listener = None
            for task in self._tasks:
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        client = Stream(reader, writer)
        try:
            if self.mode == "downgrade":
                await self._downgrade(client)
            else:
                await self._forward(client)
            client.close()
        except (OSError, asyncio.CancelledError):
            client.cut()
        finally:
            self._tasks.discard(task)

    async def _forward(self, client: Stream) -> None:
        head, request = await self._opening(client)
        await self._flowing.wait()
        server = Stream(*await asyncio.open_connection("127.0.0.1", self._server_port))
        try:
            while request in (SSL_REQUEST, GSS_REQUEST):
                if request == SSL_REQUEST and not client.secured:
                    await client.write(b"S")
                    await asyncio.gather(client.secure(self._as_server, True), self._secure(server))
                else:
                    await client.write(b"N")
                head, request = await self._opening(client)
            length = int.from_bytes(head[:4], "big")
            # A TLS handshake without a preceding request looks the same.
            if not 8 <= length <= LONGEST_START:
                raise ConnectionResetError
            start = head + await client.exactly(length - 8)
            if request == CANCEL_REQUEST:
                await server.write(start)
                await server.ended()
            else:
                await Session(self._switches, self._flowing, client, server).run(start)
        finally:
            server.close()

    async def _secure(self, server: Stream) -> None:
        await server.write(pgwire.message(b"", SSL_REQUEST.to_bytes(4, "big")))
        if await server.exactly(1) != b"S":
            raise ConnectionResetError
        await server.secure(self._as_client, False)

    async def _downgrade(self, client: Stream) -> None:
        while (await self._opening(client))[1] in (SSL_REQUEST, GSS_REQUEST):
            await client.write(b"N")

    async def _opening(self, client: Stream) -> tuple[bytes, int]:
        """The head and the kind of the first message: the start-up message, or a request before it."""
        head = await client.exactly(8)
        request = int.from_bytes(head[4:], "big")
        if request >> 16 == 3 and not client.secured:
            self.plaintext_startups += 1
        return head, request


class Struck(Exception):
    """A rule hit a call, and its effect ends the connection."""

    def __init__(self, call: Call, number: int, rule: Rule):
        super().__init__()
        self.call = call
        self.number = number
        self.rule = rule


@dataclasses.dataclass
class Pending:
    """The call that the server is processing."""

    call: Call
    # The rule whose effect replaces the answer.
    hit: tuple[int, Rule] | None
    # Outcome for the log: set by a rule's effect or the server's error.
    outcome: str = "ok"
    # Withheld from the client: the answer of a struck call; for a login, only the part after the proof of the password.
    withheld: bool = False


class Extended:
    """The action of the extended protocol's messages since the last Sync."""

    def __init__(self) -> None:
        self._prepared: dict[bytes, str] = {}
        self.clear()

    def clear(self) -> None:
        self._named = ""
        self._executed = False
        self._closed = False

    def see(self, kind: bytes, content: bytes) -> None:
        if kind == b"P":
            name, _, rest = content.partition(b"\0")
            self._named = self._prepared[name] = pgwire.keywords(rest.partition(b"\0")[0])
        elif kind == b"B":
            name = content.partition(b"\0")[2].partition(b"\0")[0]
            self._named = self._prepared.get(name, "OTHER")
        elif kind == b"E":
            self._executed = True
        elif kind == b"C":
            self._closed = True
            if content[:1] == b"S":
                self._prepared.pop(content[1:].rstrip(b"\0"), None)

    @property
    def action(self) -> str:
        if self._executed:
            return self._named or "EXECUTE"
        if self._named:
            return f"PREPARE {self._named}"
        return "DEALLOCATE" if self._closed else "SYNC"


class Session:
    """One connection of a client to the server: forwards its messages call by call."""

    def __init__(self, switches: Switches, flowing: asyncio.Event, client: Stream, server: Stream):
        self._switches = switches
        self._flowing = flowing
        self._client = client
        self._server = server
        self._caller = function_of(client.ports)
        self._pending: Pending | None = None
        self._extended = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self, start: bytes) -> None:
        """Forwards the start-up message and everything after it, until either side ends the connection."""
        tasks = [asyncio.create_task(work) for work in (self._requests(start), self._answers())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            # Both tasks must stop before an effect, which reads and writes too.
            await asyncio.wait(tasks)
            results = [task.exception() for task in tasks if not task.cancelled()]
            for struck in results:
                if isinstance(struck, Struck):
                    await self._strike(struck)
                    return
            for error in results:
                if error is not None:
                    raise error
        finally:
            for task in tasks:
                task.cancel()
            if pending := self._pending:
                self._record(pending.call, "error:no answer" if pending.outcome == "ok" else pending.outcome)

    # --- from the client ---

    async def _requests(self, start: bytes) -> None:
        await self._call("login", start)
        extended = Extended()
        # The messages of an extended call that is not yet forwarded.
        ahead = bytearray()
        # It is being forwarded, because the client wants answers before its Sync.
        begun = False
        # Send again a Sync that the server ignored while it read the data of a COPY.
        copied = False
        async for messages in self._client.messages():
            for kind, message in messages:
                if kind == b"Q" and not begun:
                    await self._call(pgwire.keywords(message[5:]), message)
                elif kind == b"F":
                    await self._call("FUNCTION", message)
                elif kind in b"PBDECHS" and not (begun or copied or (kind == b"H" and not ahead)):
                    extended.see(kind, message[5:])
                    ahead += message
                    if kind in b"HS":
                        await self._call(extended.action, bytes(ahead), kind)
                        ahead.clear()
                        begun = kind == b"H"
                else:
                    await self._pass(self._server, message)
                    if kind in b"cf" and self._extended and not self._idle.is_set():
                        copied = True
                    elif kind in b"SQ":
                        begun = copied = False
                if kind == b"S":
                    extended.clear()
        await self._flowing.wait()

    async def _call(self, action: str, message: bytes, end: bytes = b"") -> None:
        """Begins a call after the previous answer: forwards its message, unless a rule strikes it.

        `end` is the message that starts a call of the extended protocol: a Sync or a Flush.
        """
        await self._idle.wait()
        await self._flowing.wait()
        call = Call("postgres", action, self._caller)
        hit = self._switches.strike(call)
        self._pending = Pending(call, hit)
        self._extended = bool(end)
        self._idle.clear()
        if hit and hit[1].when == "before":
            number, rule = hit
            if action == "login" or rule.effect not in ("error", "throttle"):
                self._pending = None
                raise Struck(call, number, rule)
            self._pending = Pending(call, None, f"fault:{number}:{rule.effect}")
            message = pgwire.raising(*_error_of(rule), end)
        elif hit:
            self._pending.withheld = action != "login"
        await self._server.write(message)

    # --- from the server ---

    async def _answers(self) -> None:
        async for messages in self._server.messages():
            out = bytearray()
            for kind, message in messages:
                if await self._answer(kind, message):
                    out += message
            await self._pass(self._client, bytes(out))
        if (pending := self._pending) and pending.hit:
            self._pending = None
            raise Struck(pending.call, *pending.hit)
        # A black hole hides the end of the connection, too.
        await self._flowing.wait()

    async def _answer(self, kind: bytes, message: bytes) -> bool:
        """Whether to forward the message to the client; logs the call that it ends."""
        pending = self._pending
        if pending is None:
            return True
        login = pending.call.action == "login"
        fatal = False
        if kind == b"E":
            fields = pgwire.error_fields(message)
            fatal = fields["V"] != "ERROR"
            if pending.outcome == "ok":
                pending.outcome = f"error:{fields['C']}"
        if kind != b"Z" and not fatal:
            # AuthenticationOk.
            if pending.hit and login and kind == b"R" and message[5:9] == b"\0" * 4:
                pending.withheld = True
            # The client of a COPY must be asked for its data.
            return not pending.withheld or kind == b"G"
        if pending.hit:
            number, rule = pending.hit
            if login or rule.effect not in ("error", "throttle"):
                self._pending = None
                raise Struck(pending.call, number, rule)
            self._pending = Pending(pending.call, None, f"fault:{number}:{rule.effect}")
            await self._server.write(pgwire.raising(*_error_of(rule)))
            return False
        self._record(pending.call, pending.outcome)
        self._pending = None
        self._idle.set()
        return True

    async def _pass(self, stream: Stream, data: bytes) -> None:
        await self._flowing.wait()
        await stream.write(data)

    # --- faults ---

    def _record(self, call: Call, outcome: str) -> None:
        if self._caller != "client" or outcome.startswith("fault:"):
            self._switches.record(call, outcome)

    async def _strike(self, struck: Struck) -> None:
        call, number, rule = struck.call, struck.number, struck.rule
        victims: list[int] = []
        if rule.effect == "kill":
            victims = await asyncio.to_thread(callers_of, self._client.ports)
            if not victims:
                self._record(call, f"fault:{number}:kill-failed")
                message = f"rule {number}: the calling process was not found, or it is the local cloud itself"
                await self._client.write(pgwire.fatal("XX000", message))
                return
        self._record(call, f"fault:{number}:{rule.effect}")
        if rule.effect in ("error", "throttle"):
            await self._client.write(pgwire.fatal(*_error_of(rule)))
            return
        if rule.effect == "timeout":
            await self._switches.hang(rule.seconds, self._client.ended())
        await self._end_server()
        for pid in victims:
            await kill(pid)
        self._client.cut()

    async def _end_server(self) -> None:
        """Returns when the server's process for this connection has ended."""
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await self._server.write(pgwire.message(b"X", b""))
            await asyncio.wait_for(self._server.ended(), ENDING)


def _error_of(rule: Rule) -> tuple[str, str]:
    """SQLSTATE and message of a rule's error."""
    if rule.effect == "throttle":
        return "53300", "sorry, too many clients already"
    # A rule for all services may hold another service's code.
    return rule.code if SQLSTATE.fullmatch(rule.code) else "XX000", rule.message
