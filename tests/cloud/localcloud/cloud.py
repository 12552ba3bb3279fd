"""State shared by the parts of the local cloud: settings, folder, admin routes, the order of start and stop."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Awaitable, Callable
from typing import Any

# The handler of an admin route: (query or body as a dict) -> JSON-able answer.
AdminHandler = Callable[[dict[str, Any]], Awaitable[Any]]


class AdminError(Exception):
    """An invalid admin request; answered as 400 with this text."""


@dataclasses.dataclass
class Cloud:
    """One running local cloud."""

    state: pathlib.Path
    port: int
    # The folder of the PostgreSQL programs: <postgres>/<major>/bin/postgres.
    postgres: pathlib.Path
    # Real seconds per second of AWS's documented times; with 0.01 a snapshot of 100 s takes 1 s.
    time_scale: float
    admin: dict[tuple[str, str], AdminHandler] = dataclasses.field(default_factory=dict)
    on_start: list[Callable[[], Awaitable[None]]] = dataclasses.field(default_factory=list)
    on_stop: list[Callable[[], Awaitable[None]]] = dataclasses.field(default_factory=list)
    # The contents of `cloud.json` besides process id and endpoint; each part adds its own.
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    # The log and the fault switches (faults.Switches), set by faults.install.
    switches: Any = None
    # The services' rollouts (ecs.Rollouts), set by ecs.install.
    rollouts: Any = None
    # The data plane of RDS (rds.Plane), set by rds.install.
    rds: Any = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def route(self, method: str, path: str) -> Callable[[AdminHandler], AdminHandler]:
        """Registers an admin handler at `METHOD /_local/<path>`."""

        def register(handler: AdminHandler) -> AdminHandler:
            self.admin[method, path] = handler
            return handler

        return register

    def publish(self) -> None:
        """Writes `cloud.json` atomically."""
        facts = {"pid": os.getpid(), "endpoint": self.endpoint, **self.facts}
        new = self.state / "cloud.json.new"
        new.write_text(json.dumps(facts, indent=2) + "\n")
        new.rename(self.state / "cloud.json")
