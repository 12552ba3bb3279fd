"""The HTTP server of the local cloud and of the stand-ins."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import uvicorn


class _Server(uvicorn.Server):
    """Leaves the signals to the local cloud, which stops its servers."""

    def capture_signals(self):
        return contextlib.nullcontext()


def bound(port: int = 0) -> socket.socket:
    """A socket bound on 127.0.0.1; connections to it are refused until it listens."""
    # asyncio turns Nagle's algorithm off only for a socket that names its protocol.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made


def listener(port: int = 0) -> socket.socket:
    """A listening socket on 127.0.0.1; connections wait in the kernel until a server accepts them."""
    made = bound(port)
    made.listen(100)
    return made


async def serve(app, on: socket.socket, stop: asyncio.Event) -> None:
    """Serves an ASGI application until `stop` is set."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        log_level="error",
        access_log=False,
        # The applications send their services' own headers.
        date_header=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)

    async def end() -> None:
        await stop.wait()
        server.should_exit = True

    ending = asyncio.create_task(end())
    try:
        await server.serve(sockets=[on])
    finally:
        ending.cancel()


def drop(send) -> None:
    """Closes the connection without an answer, through uvicorn's internals because ASGI does not support it.

    `send` must be uvicorn's own.
    """
    request = send.__self__
    # Otherwise uvicorn answers 500 for an application that ends without an answer.
    request.disconnected = True
    request.transport.close()
