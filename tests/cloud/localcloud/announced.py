"""RDS facts shared by many databases: event subscriptions, engine support, parameters of groups.

DescribeEventSubscriptions and DescribeDBMajorEngineVersions have the members and pages of botocore's model of RDS, and
return values chosen by a test. A group's parameters include `rds.force_ssl`, which is on in PostgreSQL families from 15
("Requiring an SSL connection to a PostgreSQL DB instance") and of Aurora PostgreSQL from 17, and the only filter that
the model documents, `parameter-name`; a group `default.FAMILY` exists without being created.

Admin routes: `POST /_local/rds/event-subscriptions {"subscriptions": [...]}` and `POST /_local/rds/major-versions
{"versions": [...]}`, each entry as the AWS CLI shows it -> their number.
"""

from __future__ import annotations

import re
from typing import Any

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import rds as aws

from localcloud.backups import answered, page
from localcloud.bluegreen import MODEL, xml
from localcloud.cloud import AdminError, Cloud
from localcloud.rds import Parameters, Refused, Response, answering, value

SUBSCRIPTION = MODEL.shape_for("EventSubscription")
VERSION = MODEL.shape_for("DBMajorEngineVersion")
FORCED_FROM = {"postgres": 15, "aurora-postgresql": 17}


def install(cloud: Cloud) -> None:
    """Adds and replaces ministack's actions."""
    subscriptions, versions = AccountRegionScopedDict(), AccountRegionScopedDict()

    def describe_subscriptions(p: Parameters) -> Response:
        wanted = value(p, "SubscriptionName")
        if wanted and wanted not in subscriptions:
            raise Refused("SubscriptionNotFound", f"Subscription {wanted} not found.")
        only = [("CustSubscriptionId", {wanted})] if wanted else []
        chosen, marker = page(p, subscriptions, only)
        listed = "".join(f"<EventSubscription>{xml(SUBSCRIPTION, one)}</EventSubscription>" for one in chosen)
        listed = f"<EventSubscriptionsList>{listed}</EventSubscriptionsList>"
        return answered("DescribeEventSubscriptions", listed + marker)

    def describe_versions(p: Parameters) -> Response:
        given = (("Engine", value(p, "Engine")), ("MajorEngineVersion", value(p, "MajorEngineVersion")))
        chosen, marker = page(p, versions, [(member, {text}) for member, text in given if text])
        listed = "".join(f"<DBMajorEngineVersion>{xml(VERSION, one)}</DBMajorEngineVersion>" for one in chosen)
        listed = f"<DBMajorEngineVersions>{listed}</DBMajorEngineVersions>"
        return answered("DescribeDBMajorEngineVersions", listed + marker)

    def choosing(kept: Any, shape: Any, argument: str, name: Any) -> Any:
        async def choose(arguments: dict[str, Any]) -> dict[str, Any]:
            chosen = arguments.get(argument)
            if not isinstance(chosen, list) or any(
                not isinstance(one, dict) or set(one) - set(shape.members) or not name(one) for one in chosen
            ):
                raise AdminError(f"{argument}: expected a list of {shape.name} of RDS's model")
            for key in list(kept):
                del kept[key]
            kept.update({name(one): one for one in chosen})
            return {argument: len(chosen)}

        return choose

    aws._ACTION_MAP["DescribeEventSubscriptions"] = answering(describe_subscriptions)
    aws._ACTION_MAP["DescribeDBMajorEngineVersions"] = answering(describe_versions)
    for action, groups, parameter in (
        ("DescribeDBParameters", aws._param_groups, "DBParameterGroupName"),
        ("DescribeDBClusterParameters", aws._db_cluster_param_groups, "DBClusterParameterGroupName"),
    ):
        aws._ACTION_MAP[action] = answering(parameters_of(action, groups, parameter))
    by_name = choosing(subscriptions, SUBSCRIPTION, "subscriptions", lambda one: one.get("CustSubscriptionId"))
    cloud.route("POST", "rds/event-subscriptions")(by_name)
    by_version = choosing(
        versions, VERSION, "versions", lambda one: f"{one.get('Engine')} {one.get('MajorEngineVersion')}"
    )
    cloud.route("POST", "rds/major-versions")(by_version)


def parameters_of(action: str, groups: Any, parameter: str) -> Any:
    """Describes the parameters of a group."""

    def describe(p: Parameters) -> Response:
        name = value(p, parameter)
        group = groups.get(name)
        if group is None and name.startswith("default."):
            group = {"DBParameterGroupFamily": name.removeprefix("default."), "Parameters": {}}
        if group is None:
            raise Refused("DBParameterGroupNotFound", f"Parameter group {name} not found.")
        filters = aws._parse_filters(p)
        if unknown := set(filters) - {"parameter-name"}:
            raise Refused("InvalidParameterValue", f"Unrecognized filter name: {', '.join(sorted(unknown))}")
        told = aws._parameter_group_parameters_xml(group, value(p, "Source"))
        family = re.fullmatch(r"([a-z-]+?)(\d+)", group["DBParameterGroupFamily"])
        if family and family[1] in FORCED_FROM and "rds.force_ssl" not in group.get("Parameters", {}):
            forced = str(int(int(family[2]) >= FORCED_FROM[family[1]]))
            told += aws._parameter_xml("rds.force_ssl", forced, "system", "pending-reboot")
        wanted = filters.get("parameter-name")
        found = re.findall(r"<Parameter>.*?</Parameter>", told, re.S)
        named = [one for one in found if not wanted or re.search("<ParameterName>(.*?)</", one)[1] in wanted]
        return answered(action, f"<Parameters>{''.join(named)}</Parameters>")

    return describe
