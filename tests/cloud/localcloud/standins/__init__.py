"""Services outside AWS, each a module named after its service, as HTTP servers on free ports of 127.0.0.1.

Each module implements the service's API and its admin routes, adds the server's address to `cloud.json`, and logs every
call under its service name, which fault rules match. Add a new service to `SERVICES`.
"""

from __future__ import annotations

from localcloud.cloud import Cloud
from localcloud.standins import github, grafana, moveongs, pagerduty, retention, slack, twilio
from localcloud.standins.web import Servers

SERVICES = (slack, github, moveongs, retention, pagerduty, twilio, grafana)


def install(cloud: Cloud) -> None:
    """Registers the routes of all services, and starts and stops their servers with the cloud."""
    servers = Servers(cloud)
    for service in SERVICES:
        service.install(cloud, servers)
    cloud.on_stop.append(servers.end)
