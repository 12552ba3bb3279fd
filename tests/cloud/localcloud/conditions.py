"""What policies are judged by where ministack differs from what AWS documents.

`s3:if-none-match` and `s3:if-match` tell whether a put is conditional ("Enforce conditional writes on Amazon S3
buckets"). `aws:PrincipalArn` of a role's session is the ARN of the role, not of the session ("AWS global condition
context keys"). A list of all DB instances is judged on the resource `db:*` of account and region, as AWS's refusals
name it, and not on `*`.
"""

from __future__ import annotations

import re
from typing import Any

from ministack.core import iam_actions, iam_evaluator

from localcloud.cloud import Cloud

_SESSION = re.compile(r"arn:aws:sts::(\d{12}):assumed-role/([^/]+)/.*")


def install(cloud: Cloud) -> None:
    """Adds the keys to the context that policies are judged in."""
    s3_context = iam_actions.s3_service_context
    resolve = iam_evaluator._resolve_condition_key

    def with_conditional_puts(
        iam_action: str, query_params: dict | None, path: str = "", headers: dict | None = None
    ) -> dict:
        context = s3_context(iam_action, query_params, path, headers)
        if iam_action == "s3:PutObject":
            for name in ("if-none-match", "if-match"):
                if value := (headers or {}).get(name):
                    context[f"s3:{name}"] = value
        return context

    def with_role_arn(key: str, context: Any) -> Any:
        value = resolve(key, context)
        session = _SESSION.fullmatch(value) if key.lower() == "aws:principalarn" and value else None
        return f"arn:aws:iam::{session[1]}:role/{session[2]}" if session else value

    resource_arn = iam_actions.extract_resource_arn

    def with_all_instances(
        service: str, method: str, path: str, headers: dict, body: bytes, query: dict, region: str, account: str
    ) -> str:
        found = resource_arn(service, method, path, headers, body, query, region, account)
        lists = service == "rds" and found == "*" and iam_actions._query_param(query, "Action") == "DescribeDBInstances"
        return f"arn:aws:rds:{region}:{account}:db:*" if lists else found

    iam_actions.extract_resource_arn = with_all_instances
    iam_actions.s3_service_context = with_conditional_puts
    iam_evaluator._resolve_condition_key = with_role_arn
