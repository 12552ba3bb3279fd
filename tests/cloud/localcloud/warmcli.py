"""A warm AWS CLI: a process that has loaded the CLI, and forks for each command.

The CLI takes more than half a second of CPU time to load, and tests and deployments run hundreds of commands. The
server listens on a Unix socket in the cloud's state folder. The client, `python -I warmcli.py FOLDER WORD...`, sends
its words, its environment and its standard streams, and ends with the command's exit code. `cli.py` confines the
command.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import sys
import time
import types

SOCKET = "aws.sock"
# The services of nearly all commands. A command for another one loads its model itself.
SERVICES = ("cloudformation", "ecs", "iam", "lambda", "logs", "rds", "s3", "secretsmanager", "sns", "stepfunctions")
LENGTH = struct.Struct(">I")


def start(folder: str, endpoint: str, time_scale: float = 1) -> None:
    """Forks the server, which ends when this process does. A process that has threads must not call this.

    The pauses of the CLI's waiters, such as `aws rds wait`, are multiplied by `time_scale`, as are AWS's times.
    The folder is the caller's alone: a socket in it is left from an earlier cloud.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, SOCKET))
    listener = at(folder, socket.socket.bind)
    listener.listen(64)
    parent = os.getpid()
    if os.fork() == 0:
        try:
            serve(listener, endpoint, parent, time_scale)
        finally:
            os._exit(1)
    listener.close()


def at(folder: str, attach) -> socket.socket:
    """A socket that is bound or connected in `folder`, whose whole path may be longer than a socket's address."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        connection = socket.socket(socket.AF_UNIX)
        attach(connection, SOCKET)
        return connection
    finally:
        os.chdir(before)


def serve(listener: socket.socket, endpoint: str, parent: int, time_scale: float) -> None:
    import botocore.waiter

    from localcloud import cli

    botocore.waiter.time = types.SimpleNamespace(sleep=lambda seconds: time.sleep(seconds * time_scale))

    driver = cli.create()
    for service in SERVICES:
        driver.session.get_service_model(service)
    # Each child answers its client itself.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener.settimeout(1)
    while os.getppid() == parent:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            listener.close()
            connection.settimeout(None)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            code = 255
            try:
                code = perform(connection, lambda words: cli.run(driver, endpoint, words))
            finally:
                connection.sendall(LENGTH.pack(code))
                os._exit(0)
        connection.close()


def perform(connection: socket.socket, run) -> int:
    """Runs one command in its client's folder, with the client's environment and streams."""
    head, streams, _, _ = socket.recv_fds(connection, LENGTH.size, 3)
    asked = json.loads(connection.makefile("rb").read(LENGTH.unpack(head)[0]))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    try:
        code = run(asked["words"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def main(folder: str, words: list[str]) -> int:
    connection = at(folder, socket.socket.connect)
    asked = {"words": words, "folder": os.getcwd(), "environment": dict(os.environ)}
    body = json.dumps(asked).encode()
    socket.send_fds(connection, [LENGTH.pack(len(body))], [0, 1, 2])
    connection.sendall(body)
    answer = connection.makefile("rb").read(LENGTH.size)
    if len(answer) < LENGTH.size:
        print("aws: the process of the command ended without an exit code", file=sys.stderr)
        return 255
    return LENGTH.unpack(answer)[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
