"""IAM's SimulatePrincipalPolicy of a role or a user, evaluated by the code with which ministack enforces policies.

As on AWS each action has one result; ResourceSpecificResults holds one decision per resource, and EvalDecision is
unreliable for several: it is `explicitDeny` if any is, else `allowed` if any is. Permissions boundaries count.
ContextEntries are the condition keys; a policy's key that the request omits is in MissingContextValues. Not modelled:
PolicyInputList, ResourcePolicy, CallerArn, organizations, pages (at most 1000 results), and MatchedStatements, which is
empty.
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam as aws

from localcloud.cloud import Cloud

Parameters = dict[str, Any]
DECISIONS = {"Allow": "allowed", "Deny": "explicitDeny"}


def install(cloud: Cloud) -> None:
    """Replaces ministack's call, which evaluates one resource only and does not support roles with a path."""
    aws._IAM_HANDLERS["SimulatePrincipalPolicy"] = simulate


def simulate(p: Parameters) -> tuple:
    arn, account = aws._p(p, "PolicySourceArn"), get_account_id()
    prefix, _, name = arn.rpartition("/")
    if prefix.startswith(f"arn:aws:iam::{account}:role"):
        record, gather, kind = aws._roles.get(name), iam_evaluator._gather_role_policies, "AssumedRole"
        store = aws._roles
    elif prefix.startswith(f"arn:aws:iam::{account}:user"):
        record, gather, kind = aws._users.get(name), iam_evaluator._gather_user_policies, "User"
        store = aws._users
    else:
        return aws._error(400, "InvalidInput", f"Invalid Entity Arn: {arn}", ns="iam")
    if record is None or record["Arn"] != arn:
        return aws._error(404, "NoSuchEntity", f"No entity with ARN {arn} exists.", ns="iam")
    actions, resources = members(p, "ActionNames"), members(p, "ResourceArns") or ["*"]
    if not actions:
        return aws._error(400, "ValidationError", "ActionNames must not be empty.", ns="iam")
    policies = gather(name, account)
    limits = iam_evaluator._permissions_boundary(store, name, account)
    keys, given = named_keys([policies, *limits]), context_of(p)
    results = ""
    for action in actions:
        decided = {}
        for resource in resources:
            context = iam_evaluator.EvalContext(
                principal_arn=arn,
                principal_type=kind,
                principal_account=account,
                action=action,
                resource_arn=resource,
                region=get_region(),
                service_context=given,
            )
            decision = iam_evaluator.evaluate(context, policies, *limits).decision
            decided[resource] = DECISIONS.get(decision, "implicitDeny")
        missing = sorted(key for key in keys if iam_evaluator._resolve_condition_key(key, context) is None)
        results += result_xml(action, decided, missing)
    body = f"<EvaluationResults>{results}</EvaluationResults><IsTruncated>false</IsTruncated>"
    wrapped = f"<SimulatePrincipalPolicyResult>{body}</SimulatePrincipalPolicyResult>"
    return aws._xml(200, "SimulatePrincipalPolicyResponse", wrapped, ns="iam")


def members(p: Parameters, name: str) -> list[str]:
    found = []
    while text := aws._p(p, f"{name}.member.{len(found) + 1}"):
        found.append(text)
    return found


def context_of(p: Parameters) -> dict[str, Any]:
    """The condition keys that a request gives, in lower case."""
    given: dict[str, Any] = {}
    number = 1
    while key := aws._p(p, f"ContextEntries.member.{number}.ContextKeyName"):
        values = members(p, f"ContextEntries.member.{number}.ContextKeyValues")
        several = aws._p(p, f"ContextEntries.member.{number}.ContextKeyType").endswith("List")
        given[key.lower()] = values if several else values[0] if values else ""
        number += 1
    return given


def named_keys(layers: list[Any]) -> set[str]:
    """The condition keys of all statements, in lower case."""
    statements = [one for layer in layers for policy in layer for one in policy]
    blocks = [block for one in statements for block in one.conditions.values() if isinstance(block, dict)]
    return {key.lower() for block in blocks for key in block}


def result_xml(action: str, decided: dict[str, str], missing: list[str]) -> str:
    listed = "".join(f"<member>{escape(key)}</member>" for key in missing)
    left = f"<MatchedStatements/><MissingContextValues>{listed}</MissingContextValues>"
    each = "".join(
        f"<member><EvalResourceName>{escape(resource)}</EvalResourceName>"
        f"<EvalResourceDecision>{decision}</EvalResourceDecision>{left}</member>"
        for resource, decision in decided.items()
    )
    whole = next(one for one in ("explicitDeny", "allowed", "implicitDeny") if one in decided.values())
    # For several resources, AWS shows a pattern here.
    about = next(iter(decided)) if len(decided) == 1 else f"arn:aws:{action.partition(':')[0]}:::${{Resource}}"
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>{escape(about)}</EvalResourceName>"
        f"<EvalDecision>{whole}</EvalDecision>{left}<ResourceSpecificResults>{each}</ResourceSpecificResults></member>"
    )
