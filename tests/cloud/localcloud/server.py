"""The HTTP server: admin routes first, then the fault switches, then ministack."""

from __future__ import annotations

import asyncio
import contextlib
import json
from socketserver import StreamRequestHandler
from urllib.parse import parse_qsl

import ministack.app

from localcloud import (
    accesskeys,
    alarmactions,
    alarms,
    announced,
    archives,
    backups,
    bluegreen,
    buckets,
    callbacks,
    cloudcontrol,
    clusters,
    conditions,
    ecs,
    faults,
    functionurls,
    http,
    interruptions,
    jobs,
    keys,
    logfilters,
    mail,
    mappings,
    notices,
    onetime,
    queues,
    rds,
    recovery,
    rotation,
    seeds,
    simulation,
    standins,
    support,
    tables,
    tagging,
    workflows,
    workspaces,
)
from localcloud.cloud import AdminError, Cloud


async def serve(cloud: Cloud, stop: asyncio.Event) -> None:
    """Runs every part until `stop` is set, then stops them in reverse order."""
    # ministack's Runtime API writes an answer's head and body separately. Nagle's algorithm would hold the body, a
    # function's next event, for 40 ms until the head is acknowledged.
    StreamRequestHandler.disable_nagle_algorithm = True
    inner = ministack.app.app
    audited = (backups, bluegreen, announced, clusters, buckets, tables, cloudcontrol, workspaces, simulation, seeds)
    for part in (
        rotation,
        rds,
        *audited,
        ecs,
        conditions,
        jobs,
        recovery,
        workflows,
        callbacks,
        interruptions,
        accesskeys,
        keys,
        archives,
        mail,
        tagging,
        queues,
        mappings,
        alarmactions,
        alarms,
        logfilters,
        notices,
        functionurls,
        onetime,
        support,
    ):
        part.install(cloud)
    app = faults.install(cloud, inner)
    standins.install(cloud)

    async def entry(scope, receive, send):
        if scope["type"] == "http" and scope["path"].startswith("/_local/"):
            await admin(cloud, scope, receive, send)
        else:
            # AWS's endpoints accept TLS only, so a policy condition on aws:SecureTransport must hold here too.
            await app({**scope, "scheme": "https"} if scope["type"] == "http" else scope, receive, send)

    # Stops every part in reverse order, even if another one fails to start or to stop.
    async with contextlib.AsyncExitStack() as ends:
        ends.callback((cloud.state / "cloud.json").unlink, missing_ok=True)
        for end in cloud.on_stop:
            ends.push_async_callback(end)
        for start in cloud.on_start:
            await start()
        cloud.publish()
        await http.serve(entry, http.listener(cloud.port), stop)


async def admin(cloud: Cloud, scope, receive, send) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    handler = cloud.admin.get((scope["method"], scope["path"].removeprefix("/_local/")))
    if handler is None:
        status, answer = 404, {"error": f"no admin route {scope['method']} {scope['path']}"}
    else:
        try:
            arguments = json.loads(body) if body else dict(parse_qsl(scope["query_string"].decode()))
            status, answer = 200, await handler(arguments)
        except (AdminError, ValueError) as error:
            status, answer = 400, {"error": str(error)}
    payload = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(payload)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": payload})
