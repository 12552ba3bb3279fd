"""Restores of RDS: quotas of the account, instances whose restore does not end well, and damage to a snapshot's data.

DescribeAccountAttributes shows the account's quotas with their use. RestoreDBInstanceFromDBSnapshot keeps to those of
instances and storage; no other request does.

Admin routes:

- `GET /_local/rds/restores` -> `{"instances", "storage", "end", "hold", "keep"}`.
- `POST /_local/rds/restores {ORDER: VALUE}` changes orders: `instances` (40, as with AWS) and `storage` (100000 GiB)
are the quotas; restored instances end in the status `end` (``, which is `available`; e.g. `incompatible-network`),
without an endpoint, or with one if that is `stopped`; `hold` keeps them `creating`, and `keep` keeps instances
`deleting`, until `false`.
- `POST /_local/rds/damage {"snapshot": NAME, "sql": [STATEMENT], "flip": [{"relation": NAME, "block": N, "offset":
N}]}`, optionally with `region` and `database`, changes the data of a snapshot: a superuser runs each statement in its
own transaction, then the bits of one byte of each relation's file are inverted (byte 8000 of block 0 if not given).
Other snapshots and instances keep their data.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from typing import TYPE_CHECKING, Any

from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import rds as aws

from localcloud.cloud import AdminError
from localcloud.postgres import Server

if TYPE_CHECKING:
    from localcloud.rds import Database, Parameters, Plane, Record, Response

BLOCK = 8192


class Restores:
    """The orders for restores of one local cloud."""

    def __init__(self, plane: Plane):
        self.plane = plane
        self.orders: dict[str, Any] = {
            "instances": 40,
            "storage": 100_000,
            "end": "",
            "hold": False,
            "keep": False,
        }

    def install(self) -> None:
        aws._ACTION_MAP["DescribeAccountAttributes"] = self.describe_account
        self.plane.cloud.route("GET", "rds/restores")(self.get_orders)
        self.plane.cloud.route("POST", "rds/restores")(self.set_orders)
        self.plane.cloud.route("POST", "rds/damage")(self.damage)

    def describe_account(self, p: Parameters) -> Response:
        instances, snapshots = list(aws._instances.values()), list(aws._snapshots.values())
        manual = sum(one["SnapshotType"] == "manual" for one in snapshots)
        quotas = {
            "DBInstances": (len(instances), self.orders["instances"]),
            "AllocatedStorage": (stored(instances), self.orders["storage"]),
            "ManualSnapshots": (manual, self.plane.orders["quota"]),
        }
        rows = "".join(
            f"<AccountQuota><AccountQuotaName>{name}</AccountQuotaName><Used>{used}</Used><Max>{most}</Max></AccountQuota>"
            for name, (used, most) in quotas.items()
        )
        result = f"<DescribeAccountAttributesResult><AccountQuotas>{rows}</AccountQuotas>"
        return aws._xml(200, "DescribeAccountAttributesResponse", f"{result}</DescribeAccountAttributesResult>")

    def excess(self, snapshot: Record) -> tuple[str, str] | None:
        """The error's code and message if a quota leaves no room for an instance of the snapshot."""
        instances = list(aws._instances.values())
        if len(instances) >= self.orders["instances"]:
            return "InstanceQuotaExceeded", "Quota exceeded: the account may have no more DB instances."
        if stored(instances) + int(snapshot["AllocatedStorage"]) > self.orders["storage"]:
            return "StorageQuotaExceeded", "Quota exceeded: the account may allocate no more storage."
        return None

    def end(self, database: Database) -> str:
        """Holds a restored instance as ordered, and returns the status in which its restore ends."""
        while self.orders["hold"]:
            self.plane.wait(1)
        status = self.orders["end"] or "available"
        if status == "stopped":
            with database.lock:
                self.plane.check_alive(database.instance)
                database.front.disconnect()
                database.server.stop()
        return status

    def keep_deleting(self) -> None:
        while self.orders["keep"]:
            self.plane.wait(1)

    # --- admin routes ---

    async def get_orders(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return dict(self.orders)

    async def set_orders(self, arguments: dict[str, Any]) -> dict[str, Any]:
        for name, given in arguments.items():
            if type(given) is not type(self.orders.get(name)) or (type(given) is int and given < 0):
                raise AdminError(f"{name}: expected instances or storage, end with a status, or hold or keep")
        self.orders.update(arguments)
        return await self.get_orders({})

    async def damage(self, arguments: dict[str, Any]) -> dict[str, Any]:
        region, name = arguments.get("region", get_region()), arguments.get("snapshot")
        snapshot = aws._snapshots.get_scoped(get_account_id(), region, name)
        if snapshot is None or "_copy" not in snapshot or snapshot["Status"] != "available":
            raise AdminError(f"no data of an available snapshot {name!r} in {region}")
        database = arguments.get("database", snapshot["DBName"])
        await asyncio.to_thread(self.change, snapshot, database, arguments.get("sql", []), arguments.get("flip", []))
        return {"snapshot": name, "region": region}

    def change(self, snapshot: Record, database: str, statements: list[str], flips: list[dict[str, Any]]) -> None:
        """Changes a copy of the data with a server of its own: the snapshot's files may be linked to others."""
        plane, identifier = self.plane, new_uuid()
        major = plane.major_of(snapshot["EngineVersion"])
        folder = plane.home.path.resolve() / f"damage-{identifier}"
        server = Server(plane.home, major, folder, plane.logs / "rds-damage.log", ["localhost", "127.0.0.1"])
        try:
            server.take(snapshot["_copy"])
            server.start({})
            with server.admin(database) as db:
                for statement in statements:
                    db.execute(statement)
                files = [
                    db.execute("SELECT pg_relation_filepath(%s::regclass)", [one["relation"]]).fetchone()[0]
                    for one in flips
                ]
            server.stop()
            for file, one in zip(files, flips, strict=True):
                place = one.get("block", 0) * BLOCK + one.get("offset", 8000)
                with (server.data / file).open("r+b") as relation:
                    relation.seek(place)
                    (byte,) = relation.read(1)
                    relation.seek(place)
                    relation.write(bytes([byte ^ 0xFF]))
            changed = snapshot["_copy"].with_name(identifier)
            shutil.move(server.data, changed)
            before, snapshot["_copy"] = snapshot["_copy"], changed
            shutil.rmtree(before, ignore_errors=True)
        finally:
            server.stop(signal.SIGQUIT)
            shutil.rmtree(folder, ignore_errors=True)


def stored(instances: list[Record]) -> int:
    return sum(int(one["AllocatedStorage"]) for one in instances)
