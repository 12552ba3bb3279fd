"""Starts the local cloud and runs it until SIGTERM, SIGINT or SIGHUP."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import pathlib
import signal

from localcloud import clock, warmcli


def main() -> None:
    parser = argparse.ArgumentParser(prog="localcloud", description=__doc__)
    parser.add_argument("--state", type=pathlib.Path, required=True, help="folder for data, logs and cloud.json")
    parser.add_argument("--port", type=int, required=True, help="port of the AWS endpoint on 127.0.0.1")
    parser.add_argument("--postgres", type=pathlib.Path, required=True, help="folder with <major>/bin/postgres")
    parser.add_argument("--time-scale", type=float, default=0.01, help="real seconds for one second of AWS's waits")
    args = parser.parse_args()
    args.state.mkdir(parents=True, exist_ok=True)
    # Held until this process ends, even by SIGKILL.
    lock = (args.state / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"a local cloud already runs in {args.state}") from None

    # Hides this machine's environment from ministack, from libpq, and from functions, which inherit it from ministack.
    for name in os.environ.keys() - {"HOME", "LANG", "PATH", "PYTHONPATH", *clock.VARIABLES}:
        del os.environ[name]
    state = args.state.resolve()
    # ministack reads these when it is imported. AWS_ENDPOINT_URL keeps the functions' SDK calls from the internet.
    os.environ.update(
        AUTH="true",
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{args.port}",
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(args.port),
        # Its MQTT listener has a fixed port, which would prevent a second cloud on this machine.
        IOT_MTLS_ENABLED="0",
        # "Lambda waits one minute before the first retry and two minutes before the second" (invocation-async.html).
        LAMBDA_ASYNC_RETRY_BASE_SECONDS=str(60 * args.time_scale),
        LAMBDA_ASYNC_RETRY_MAX_SECONDS=str(120 * args.time_scale),
        MINISTACK_HOST="127.0.0.1",
        S3_DATA_DIR=str(state / "ministack" / "s3"),
        SFN_WAIT_SCALE=str(args.time_scale),
        STATE_DIR=str(state / "ministack"),
        TMPDIR=str(state / "tmp"),
    )
    (state / "tmp").mkdir(exist_ok=True)
    warmcli.start(str(state), os.environ["AWS_ENDPOINT_URL"], args.time_scale)

    from localcloud.cloud import Cloud
    from localcloud.server import serve

    cloud = Cloud(state, args.port, args.postgres.resolve(), args.time_scale)
    asyncio.run(run(cloud, serve))


async def run(cloud, serve) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(cloud, stop)


if __name__ == "__main__":
    main()
