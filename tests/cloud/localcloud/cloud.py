"""What the parts of the local cloud share: settings, state folder, admin routes and the order of start and stop."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Awaitable, Callable
from typing import Any

# method and path below /_local, and the handler: (query or body as a dict) -> JSON-able answer.
AdminHandler = Callable[[dict[str, Any]], Awaitable[Any]]


class AdminError(Exception):
    """An admin request that cannot be served; answered as 400 with this text."""


@dataclasses.dataclass
class Cloud:
    """One running local cloud."""

    state: pathlib.Path
    port: int
    # Folder with one PostgreSQL a major: <postgres>/<major>/bin/postgres.
    postgres: pathlib.Path
    # Real seconds that one second of AWS's documented waiting takes; 0.01 makes a 100 s snapshot take 1 s.
    time_scale: float
    admin: dict[tuple[str, str], AdminHandler] = dataclasses.field(default_factory=dict)
    on_start: list[Callable[[], Awaitable[None]]] = dataclasses.field(default_factory=list)
    on_stop: list[Callable[[], Awaitable[None]]] = dataclasses.field(default_factory=list)
    # What `cloud.json` in the state folder tells the other programs, besides the endpoint; each part adds its own.
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
        """Writes `cloud.json`, in one step, so that a reader never sees half of it."""
        facts = {"pid": os.getpid(), "endpoint": self.endpoint, **self.facts}
        new = self.state / "cloud.json.new"
        new.write_text(json.dumps(facts, indent=2) + "\n")
        new.rename(self.state / "cloud.json")
