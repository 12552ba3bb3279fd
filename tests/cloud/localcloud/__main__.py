"""Starts the local cloud and runs it until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import os
import pathlib
import signal


def main() -> None:
    parser = argparse.ArgumentParser(prog="localcloud", description=__doc__)
    parser.add_argument("--state", type=pathlib.Path, required=True, help="folder for data, logs and cloud.json")
    parser.add_argument("--port", type=int, required=True, help="port of the AWS endpoint on 127.0.0.1")
    parser.add_argument("--postgres", type=pathlib.Path, required=True, help="folder with <major>/bin/postgres")
    parser.add_argument("--time-scale", type=float, default=0.01, help="real seconds for one second of AWS's waits")
    args = parser.parse_args()
    args.state.mkdir(parents=True, exist_ok=True)

    # ministack reads these when it is imported. The functions' SDK calls go to AWS_ENDPOINT_URL, never to the internet.
    os.environ.update(
        AUTH="true",
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{args.port}",
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(args.port),
        # Its MQTT listener is on a fixed port, which a second cloud on this machine could not have.
        IOT_MTLS_ENABLED="0",
        MINISTACK_HOST="127.0.0.1",
        SFN_WAIT_SCALE=str(args.time_scale),
        TMPDIR=str((args.state / "tmp").resolve()),
    )
    (args.state / "tmp").mkdir(exist_ok=True)

    from localcloud.cloud import Cloud
    from localcloud.server import serve

    cloud = Cloud(args.state.resolve(), args.port, args.postgres.resolve(), args.time_scale)
    asyncio.run(run(cloud, serve))


async def run(cloud, serve) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(cloud, stop)


if __name__ == "__main__":
    main()
