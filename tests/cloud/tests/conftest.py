"""One local cloud for each test process, with its own state folder and port."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile

import boto3
import pytest
from botocore.config import Config

HERE = pathlib.Path(__file__).resolve().parent.parent
pytest_plugins = ("databases",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves the longest modules to the front, so that no process runs one of them alone at the end."""
    items.sort(key=lambda item: not item.path.name.startswith("test_rds"))


def bootstrap(program: str) -> bytes:
    """The deployment package of a custom runtime written in Python."""
    # The first line of a script cannot name an interpreter whose path has a space, so a shell starts it.
    start = f"#!/bin/sh\n'''exec' '{sys.executable}' \"$0\"\n'''\n"
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = 0o755 << 16
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr(entry, start + program)
    return package.getvalue()


def stack_is(cloudformation, name: str, status: str) -> None:
    """Waits until a stack has this status."""

    def reached():
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        assert stack["StackStatus"] == status or stack["StackStatus"].endswith("_IN_PROGRESS"), stack
        return stack["StackStatus"] == status

    wait_for(reached, f"{name} to be {status}")


class Local:
    """A client of a running local cloud."""

    def __init__(self, facts: dict, state: pathlib.Path):
        self.facts = facts
        self.state = state

    def client(self, service: str, region: str = "us-east-1", **credentials):
        """A boto3 client of the account's root, or with the given credentials; it never retries."""
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", **credentials}
        return boto3.client(
            service,
            endpoint_url=self.facts["endpoint"],
            region_name=region,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
            **keys,
        )

    def admin(self, method: str, path: str, body: dict | None = None):
        """Calls `METHOD /_local/<path>` and returns its JSON; an HTTP error raises an AssertionError."""
        request = urllib.request.Request(
            f"{self.facts['endpoint']}/_local/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error


def http(method, url, body=None, **headers):
    """Status, headers and body of the response, also of an error."""
    if isinstance(body, dict):
        headers.setdefault("content-type", "application/json")
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, names, method=method), timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def wait_for(condition, what: str, seconds: float = 120):
    """Polls until `condition()` is truthy and returns its value; fails with `what` after the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        # Shorter polls slow the cloud down: client and server need about as long for a call as this waits.
        time.sleep(0.05)
    raise AssertionError(f"gave up after {seconds} s waiting for {what}")


@contextlib.contextmanager
def launcher(state: pathlib.Path, *options: str, **variables: str):
    """A launcher process of a local cloud with this state folder; killed if it still runs at the end."""
    postgres = os.environ.get("LOCALCLOUD_POSTGRES")
    if not postgres:
        pytest.fail("LOCALCLOUD_POSTGRES is not set: run these tests through `cargo xtask test`")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "localcloud", "--state", state, "--port", str(port), "--postgres", postgres]
    with (state / "cloud.log").open("ab") as log:
        process = subprocess.Popen(
            [*map(str, command), *options],
            cwd=HERE,
            env={**os.environ, **variables},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ready(process: subprocess.Popen, state: pathlib.Path) -> Local:
    """Waits until the launcher's cloud answers."""

    def answering():
        assert process.poll() is None, (state / "cloud.log").read_text()
        if not (state / "cloud.json").exists():
            return None
        facts = json.loads((state / "cloud.json").read_text())
        with socket.socket() as probe:
            port = int(facts["endpoint"].rpartition(":")[2])
            return Local(facts, state) if probe.connect_ex(("127.0.0.1", port)) == 0 else None

    return wait_for(answering, "the local cloud to start")


def ended(process: subprocess.Popen, state: pathlib.Path, how: signal.Signals = signal.SIGTERM) -> None:
    """Ends the launcher with a signal and checks that it succeeds."""
    process.send_signal(how)
    # The launcher removes the data of all databases, gigabytes after a whole run.
    assert process.wait(180) == 0, (state / "cloud.log").read_text()


def running(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], stdout=subprocess.PIPE, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    state = tmp_path_factory.mktemp("cloud")
    with launcher(state, CANARY="of the starter") as process:
        yield ready(process, state)
        ended(process, state)


@contextlib.contextmanager
def with_own_clock(state: pathlib.Path, start: int):
    """A running local cloud whose clock starts at `start` and is moved with `POST /_local/clock`."""
    library, file = state / "clock.so", state / "clock"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, HERE / "clock.c", "-ldl"], check=True)
    file.write_bytes(struct.pack("=q", start - int(time.time())))
    with launcher(state, LD_PRELOAD=str(library), CLOCK_FILE=str(file)) as process:
        yield ready(process, state)
        ended(process, state)
