"""The TCP front of a database: an instance's public endpoint, which forwards to its server or breaks on request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from typing import Any

# PostgreSQL's first message: its length, then a protocol version or one of these requests.
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104


class Loop:
    """An event loop in a thread of its own, so that databases answer while the launcher's loop waits for a function."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True, name="localcloud-rds").start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs `work` there and returns its result, from any other thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)


class Front:
    """One public endpoint on 127.0.0.1.

    Modes: `pass`; `refuse` (nothing listens, and what was connected is cut); `blackhole` (accepts and says nothing;
    what was connected stalls; all of it goes on when the mode ends); `downgrade` (answers as a server without TLS, and
    counts who goes on without it; nothing is passed on).
    """

    def __init__(self, loop: Loop):
        # Bound but never listening: keeps the port for this endpoint while nothing listens on it.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port: int = self._reserved.getsockname()[1]
        self.mode = "pass"
        self.connections = 0
        self.plaintext_startups = 0
        self._loop = loop
        self._server_port: int | None = None
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def connect(self, server_port: int) -> None:
        """Listens for the server at `server_port`."""
        self._server_port = server_port
        self._loop.run(self._apply())

    def disconnect(self) -> None:
        """Stops listening and cuts every connection: the server is about to go."""
        self._server_port = None
        self._loop.run(self._apply())

    def close(self) -> None:
        """Disconnects for good and gives the port up."""
        self.disconnect()
        self._reserved.close()

    def set_mode(self, mode: str) -> None:
        self.mode = mode
        self.plaintext_startups = 0
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
        try:
            if self.mode == "downgrade":
                await self._downgrade(reader, writer)
            else:
                await self._forward(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        pumps = [
            asyncio.create_task(self._pump(reader, server_writer)),
            asyncio.create_task(self._pump(server_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            server_writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
            # An end of the connection does not come through a black hole either.
            await self._flowing.wait()

    async def _downgrade(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(8)
            request = int.from_bytes(head[4:], "big")
            if request not in (SSL_REQUEST, GSS_REQUEST):
                break
            writer.write(b"N")
            await writer.drain()
        if request >> 16 == 3:
            self.plaintext_startups += 1
