"""The application's deletion at start: MoveONgs deletes what it thinks past retention as soon as a process starts.

At each start of a task of an ECS service, and not once a day as well, with the task's DATABASE_URL: all personal
columns of beneficiaries whose `updated_at` is older than DATA_RETENTION_ANONYMIZE_DAYS (180) become null, and up to 100
attachments older than DATA_RETENTION_DAYS (365) are deleted. The application also deletes their files; this stand-in
does not. Tables or columns that the database lacks are skipped.

It is off until a test turns it on, because the rows of other tests are older. Routes below /_local:

- `POST moveongs/retention {"on": true}` -> the same as `GET`.
- `GET moveongs/retention` -> `{"on", "runs": [{task, database, days, anonymize_days, deleted, anonymized}]}`, oldest
first; a run that failed has `error`.
- `DELETE moveongs/retention` clears the runs.
"""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from localcloud.cloud import AdminError, Cloud
from localcloud.standins.web import Servers

PERSONAL = ("birth_date", "cpf", "rg", "phone", "phone1", "phone2", "email", "address", "neighborhood", "city", "notes")
A_RUN = 100


class Retention:
    """Runs the deletion, and notes what it did."""

    def __init__(self, cloud: Cloud):
        self.cloud = cloud
        self.on = False
        self.runs: list[dict[str, Any]] = []

    def started(self, task: str, environment: dict[str, str]) -> None:
        """Called when a task of a service has started."""
        if self.on and "DATABASE_URL" in environment:
            threading.Thread(target=self.run, args=(task, environment), daemon=True).start()

    def run(self, task: str, environment: dict[str, str]) -> None:
        place = urlsplit(environment["DATABASE_URL"])
        run: dict[str, Any] = {"task": task, "database": f"{place.hostname}:{place.port}{place.path}"}
        try:
            run["days"] = int(environment.get("DATA_RETENTION_DAYS", 365))
            run["anonymize_days"] = int(environment.get("DATA_RETENTION_ANONYMIZE_DAYS", 180))
            with psycopg.connect(
                environment["DATABASE_URL"],
                sslmode="verify-full",
                sslrootcert=self.cloud.facts["rds_ca"],
                connect_timeout=10,
            ) as database:
                run["anonymized"] = anonymize(database, run["anonymize_days"])
                run["deleted"] = purge(database, run["days"])
        except (psycopg.Error, ValueError) as error:
            run["error"] = str(error)
        self.runs.append(run)

    async def show(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"on": self.on, "runs": list(self.runs)}

    async def turn(self, fields: dict[str, Any]) -> dict[str, Any]:
        if set(fields) != {"on"} or type(fields["on"]) is not bool:
            raise AdminError("the field is on, true or false")
        self.on = fields["on"]
        return await self.show({})

    async def forget(self, _: dict[str, Any]) -> dict[str, Any]:
        self.runs.clear()
        return await self.show({})


def columns(database: psycopg.Connection, table: str) -> set[str]:
    found = database.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped", [table]
    )
    return {row[0] for row in found}


def anonymize(database: psycopg.Connection, days: int) -> int:
    there = columns(database, "beneficiaries")
    personal = [sql.Identifier(name) for name in PERSONAL if name in there]
    if not personal or "updated_at" not in there:
        return 0
    nulls = sql.SQL(", ").join(sql.SQL("{} = NULL").format(name) for name in personal)
    held = sql.SQL(" OR ").join(sql.SQL("{} IS NOT NULL").format(name) for name in personal)
    changed = database.execute(
        sql.SQL("UPDATE beneficiaries SET {} WHERE updated_at < now() - make_interval(days => %s) AND ({})").format(
            nulls, held
        ),
        [days],
    )
    return changed.rowcount


def purge(database: psycopg.Connection, days: int) -> int:
    if "created_at" not in columns(database, "attachments"):
        return 0
    deleted = database.execute(
        "DELETE FROM attachments WHERE id IN (SELECT id FROM attachments "
        "WHERE created_at < now() - make_interval(days => %s) ORDER BY created_at LIMIT %s)",
        [days, A_RUN],
    )
    return deleted.rowcount


def install(cloud: Cloud, servers: Servers) -> None:
    """Registers the routes, and listens to the starts of tasks."""
    retention = Retention(cloud)
    cloud.rollouts.started.append(retention.started)
    cloud.route("GET", "moveongs/retention")(retention.show)
    cloud.route("POST", "moveongs/retention")(retention.turn)
    cloud.route("DELETE", "moveongs/retention")(retention.forget)
