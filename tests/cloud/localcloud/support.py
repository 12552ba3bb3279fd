"""AWS Support, which ministack lacks: the calls that open a case and find it again.

Calls: CreateCase, DescribeCases, DescribeServices, DescribeSeverityLevels, in the form of botocore's model; another
member, or a missing required one, is refused. As documented: a plan without the API answers
SubscriptionRequiredException, a trial (`dryRun`) DryRunOperationException after its validation, a body has 1 to 8,000
characters; only `us-east-1` has the endpoint. CreateCase has no token: the same request twice is two cases. Assumed:
the code of a refused request (ValidationException), also for a service or severity that the plan does not have, and
the order of cases, the newest first. A case has no communications here.

Routes below /_local:

- `POST support/plan {"subscribed": BOOL, "levels": [CODE, ...]}` replaces the plan: by default it has the API and the
  severities up to `urgent`.
- `GET support/cases` -> `{"cases": [{caseId, displayId, subject, body, status, serviceCode, categoryCode, severityCode,
  language, submittedBy, timeCreated}]}`, oldest first; `submittedBy` is the access key of the request.
  - `DELETE support/cases` deletes them, with the plan.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import uuid
from datetime import datetime, timezone
from typing import Any

import botocore.loaders
import ministack.app
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from ministack.core import iam_actions, router
from ministack.core.responses import error_response_json, get_region, json_response
from ministack.core.router import extract_access_key_id

from localcloud.cloud import AdminError, Cloud

TARGET = "AWSSupport_20130415"
LEVELS = {
    "low": "General guidance",
    "normal": "System impaired",
    "high": "Production system impaired",
    "urgent": "Production system down",
    "critical": "Business-critical system down",
}
PLAN = ("low", "normal", "high", "urgent")
SERVICES = {
    "amazon-relational-database-service-postgresql": "Relational Database Service (PostgreSQL)",
    "amazon-elastic-container-service": "Elastic Container Service",
    "amazon-simple-storage-service": "Simple Storage Service (S3)",
    "aws-lambda": "Lambda",
}
CATEGORIES = {"connectivity": "Connectivity", "general-guidance": "General Guidance", "other": "Other"}

cases: list[dict[str, Any]] = []
plan: dict[str, Any] = {"subscribed": True, "levels": list(PLAN)}
numbers = itertools.count(12345678910)


@functools.cache
def model() -> ServiceModel:
    return ServiceModel(botocore.loaders.Loader().load_service_model("support", "service-2"), "support")


def invalid(message: str) -> tuple:
    return error_response_json("ValidationException", message, 400)


def wrong(action: str, data: dict[str, Any]) -> tuple | None:
    """The refusal of a request that is not of the model's form."""
    shape = model().operation_model(action).input_shape
    if unknown := sorted(data.keys() - shape.members.keys()):
        return invalid(f"{', '.join(unknown)}: no such member of {action}")
    if report := ParamValidator().validate(data, shape).generate_report():
        return invalid(report)
    for name, least, most in (("communicationBody", 1, 8000),):
        if name in data and not least <= len(data[name]) <= most:
            return invalid(f"{name}: must have {least} to {most} characters")
    return None


def create(data: dict[str, Any], key: str) -> tuple:
    severity, service, category = data.get("severityCode"), data.get("serviceCode"), data.get("categoryCode")
    if severity is not None and severity not in plan["levels"]:
        return invalid(f"severityCode: the plan does not have {severity}")
    if service is not None and (service not in SERVICES or category not in CATEGORIES):
        return invalid(f"serviceCode, categoryCode: no such category {category} of {service}")
    if data.get("issueType", "technical") not in ("technical", "customer-service"):
        return invalid("issueType: must be technical or customer-service")
    number = next(numbers)
    case = {
        "caseId": f"case-{number}-muen-2026-{uuid.uuid4().hex[:16]}",
        "displayId": str(number),
        "subject": data["subject"],
        "body": data["communicationBody"],
        "status": "opened",
        "serviceCode": service or "",
        "categoryCode": category or "",
        "severityCode": severity or "low",
        "language": data.get("language", "en"),
        "submittedBy": key,
        "timeCreated": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
    }
    cases.append(case)
    return json_response({"caseId": case["caseId"]})


def described(data: dict[str, Any]) -> tuple:
    def is_meant(case: dict[str, Any]) -> bool:
        wanted = data.get("caseIdList")
        return (
            (wanted is None or case["caseId"] in wanted)
            and data.get("displayId") in (None, case["displayId"])
            and (data.get("includeResolvedCases") or case["status"] != "resolved")
            and case["timeCreated"][:19] >= data.get("afterTime", "")[:19]
            and (not data.get("beforeTime") or case["timeCreated"][:19] <= data["beforeTime"][:19])
        )

    wanted = data.get("caseIdList") or []
    if missing := [name for name in wanted if name not in (case["caseId"] for case in cases)]:
        return error_response_json("CaseIdNotFound", f"The requested caseId {missing[0]} could not be located.", 400)
    found = [case for case in reversed(cases) if is_meant(case)]
    try:
        begin = int(base64.b64decode(data["nextToken"]).decode()) if data.get("nextToken") else 0
    except ValueError:
        return invalid("nextToken: is not valid")
    size = data.get("maxResults", 100)
    if not 10 <= size <= 100:
        return invalid("maxResults: must be 10 to 100")
    page = found[begin : begin + size]
    answer = {"cases": [{name: told for name, told in case.items() if name != "body"} for case in page]}
    if len(found) > begin + size:
        answer["nextToken"] = base64.b64encode(str(begin + size).encode()).decode()
    return json_response(answer)


async def handle(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
    del method, path
    target, _, action = headers.get("x-amz-target", "").partition(".")
    if target != TARGET or action not in (
        "CreateCase",
        "DescribeCases",
        "DescribeServices",
        "DescribeSeverityLevels",
    ):
        return error_response_json("UnknownOperationException", f"{action} is not served by the local cloud", 400)
    if get_region() != "us-east-1":
        return error_response_json("UnknownEndpoint", f"AWS Support has no endpoint in {get_region()}", 400)
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        return error_response_json("SerializationException", "Invalid JSON", 400)
    if not plan["subscribed"]:
        message = "Amazon Web Services Premium Support Subscription is required to use this service."
        return error_response_json("SubscriptionRequiredException", message, 400)
    if refusal := wrong(action, data):
        return refusal
    if data.get("dryRun"):
        return error_response_json("DryRunOperationException", "The request is valid.", 400)
    if action == "CreateCase":
        return create(data, extract_access_key_id(headers, query))
    if action == "DescribeCases":
        return described(data)
    if action == "DescribeSeverityLevels":
        return json_response({"severityLevels": [{"code": code, "name": LEVELS[code]} for code in plan["levels"]]})
    categories = [{"code": code, "name": name} for code, name in CATEGORIES.items()]
    listed = [{"code": code, "name": name, "categories": categories} for code, name in SERVICES.items()]
    return json_response({"services": listed})


def install(cloud: Cloud) -> None:
    """Adds the service to ministack, and the routes."""
    router.SERVICE_PATTERNS["support"] = {
        "target_prefixes": [TARGET],
        "host_patterns": [r"support\."],
        "credential_scope": "support",
    }
    iam_actions.SERVICE_TO_IAM_NAMESPACE["support"] = "support"
    ministack.app.SERVICE_HANDLERS["support"] = handle
    plain_resource = iam_actions.extract_resource_arn

    def with_resource(
        service: str, method: str, path: str, headers: dict, body: bytes, query: dict, region: str, account: str
    ) -> str:
        # The Service Authorization Reference gives these actions no resource.
        if service == "support":
            return "*"
        return plain_resource(service, method, path, headers, body, query, region, account)

    iam_actions.extract_resource_arn = with_resource

    @cloud.route("POST", "support/plan")
    async def configure(arguments: dict[str, Any]) -> dict[str, Any]:
        for name in arguments.keys() - {"subscribed", "levels"}:
            raise AdminError(f"{name}: unknown field")
        if type(arguments.get("subscribed", True)) is not bool:
            raise AdminError("subscribed: must be true or false")
        levels = arguments.get("levels", list(PLAN))
        if not isinstance(levels, list) or not set(levels) <= LEVELS.keys():
            raise AdminError(f"levels: must be a list of {', '.join(LEVELS)}")
        plan.update(subscribed=arguments.get("subscribed", True), levels=levels)
        return plan

    @cloud.route("GET", "support/cases")
    async def told(_: dict[str, Any]) -> dict[str, Any]:
        return {"cases": cases}

    @cloud.route("DELETE", "support/cases")
    async def forget(_: dict[str, Any]) -> dict[str, Any]:
        removed = len(cases)
        cases.clear()
        plan.update(subscribed=True, levels=list(PLAN))
        return {"removed": removed}
