"""RDS's blue/green deployments, read-only: they cannot be created or switched over.

DescribeBlueGreenDeployments has the pages (MaxRecords from 20 to 100, Marker), the members and the statuses of
botocore's model of RDS. Filters are refused.

Admin route: `POST /_local/rds/blue-green {"deployments": [DEPLOYMENT, ...]}`, each as the AWS CLI shows it -> their
number.
"""

from __future__ import annotations

import re
from typing import Any
from xml.sax.saxutils import escape

import botocore.loaders
import botocore.model
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import rds as aws

from localcloud.backups import answered, page
from localcloud.cloud import AdminError, Cloud
from localcloud.rds import Parameters, Refused, Response, answering, value

MODEL = botocore.model.ServiceModel(botocore.loaders.create_loader().load_service_model("rds", "service-2"))
DEPLOYMENT = MODEL.shape_for("BlueGreenDeployment")
# The model lists them only in the member's documentation.
STATUSES = set(re.findall(r"<code>([A-Z_]+)</code>", DEPLOYMENT.members["Status"].documentation))


def install(cloud: Cloud) -> None:
    """Adds the action to ministack's."""
    deployments = AccountRegionScopedDict()

    def describe(p: Parameters) -> Response:
        if aws._parse_filters(p):
            raise Refused("InvalidParameterValue", "Filters are not here")
        wanted = value(p, "BlueGreenDeploymentIdentifier")
        if wanted and wanted not in deployments:
            raise Refused("BlueGreenDeploymentNotFoundFault", f"There is no deployment {wanted}")
        only = [("BlueGreenDeploymentIdentifier", {wanted})] if wanted else []
        chosen, marker = page(p, deployments, only)
        listed = "".join(f"<member>{xml(DEPLOYMENT, one)}</member>" for one in chosen)
        listed = f"<BlueGreenDeployments>{listed}</BlueGreenDeployments>"
        return answered("DescribeBlueGreenDeployments", listed + marker)

    async def choose(arguments: dict[str, Any]) -> dict[str, Any]:
        chosen = arguments.get("deployments")
        if not isinstance(chosen, list) or any(unknown(one) for one in chosen):
            raise AdminError("deployments: expected a list of BlueGreenDeployment of RDS's model")
        for name in list(deployments):
            del deployments[name]
        deployments.update({one["BlueGreenDeploymentIdentifier"]: one for one in chosen})
        return {"deployments": len(chosen)}

    aws._ACTION_MAP["DescribeBlueGreenDeployments"] = answering(describe)
    cloud.route("POST", "rds/blue-green")(choose)


def unknown(one: Any) -> bool:
    """Whether a value is not a deployment by the model."""
    is_known = isinstance(one, dict) and not set(one) - set(DEPLOYMENT.members)
    return not is_known or one.get("Status") not in STATUSES or not one.get("BlueGreenDeploymentIdentifier")


def xml(shape: Any, told: Any) -> str:
    """A value's XML in the protocol `query`."""
    if shape.type_name == "structure":
        return "".join(f"<{name}>{xml(shape.members[name], one)}</{name}>" for name, one in told.items())
    if shape.type_name == "list":
        name = shape.member.serialization.get("name", "member")
        return "".join(f"<{name}>{xml(shape.member, one)}</{name}>" for one in told)
    return escape(str(told).lower() if isinstance(told, bool) else str(told))
