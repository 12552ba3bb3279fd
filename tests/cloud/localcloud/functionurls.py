"""Addresses of functions ("Creating and managing Lambda function URLs", "Control access to Lambda function URLs").

A request to an address with AuthType NONE needs two permissions for everybody in the function's policy:
`lambda:InvokeFunctionUrl` with `lambda:FunctionUrlAuthType` NONE, and `lambda:InvokeFunction` with
`lambda:InvokedViaFunctionUrl`; its Authorization header is the function's business. A request of more than 6 MB is
refused with 413. A function that fails, or answers more than 6 MB, is a 502 without its error. ministack does the rest.

Routes below /_local:

- `GET functions/url?function=NAME` -> `{"url", "host"}`: the local address, without a `/` at its end, and the name that
  the address has at AWS, which the local cloud serves for a request with this Host.
"""

from __future__ import annotations

import json
from typing import Any

import ministack.app
from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy
from ministack.services import lambda_svc

from localcloud.cloud import AdminError, Cloud

MOST = 6 * 1024 * 1024
HELP = "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"


def refused(status: int, name: str, text: str) -> tuple:
    return (
        status,
        {"Content-Type": "application/json", "x-amzn-ErrorType": name},
        json.dumps({"Message": text}).encode(),
    )


def is_public(policy: dict, function: str, region: str) -> bool:
    """Whether everybody may use the address of a function."""

    def allows(action: str, context: dict[str, str]) -> bool:
        asked = EvalContext(
            principal_arn="*",
            principal_type="Anonymous",
            principal_account="",
            action=action,
            resource_arn=function,
            region=region,
            service_context=context,
        )
        return evaluate_resource_policy(policy, asked).decision == "Allow"

    return allows("lambda:InvokeFunctionUrl", {"lambda:functionurlauthtype": "NONE"}) and allows(
        "lambda:InvokeFunction", {"lambda:invokedviafunctionurl": "true"}
    )


def install(cloud: Cloud) -> None:
    """Wraps ministack's addresses, and adds the route."""
    plain_request, plain_response = ministack.app._handle_lambda_url_request, lambda_svc._function_url_proxy_response
    plain_convert = lambda_svc.lambda_execute_result_to_api_proxy_response

    async def request(
        host: str, path: str, method: str, headers: dict, body: bytes, query: dict, source_ip: str | None = None
    ) -> tuple | None:
        parsed = ministack.app._parse_lambda_url(host, path)
        found = lambda_svc.resolve_function_url(parsed[0]) if parsed else None
        if found is None:
            return await plain_request(host, path, method, headers, body, query, source_ip=source_ip)
        account, region, name, qualifier, settings = found
        if len(body) > MOST:
            return refused(413, "RequestEntityTooLargeException", "Request Entity Too Large")
        if settings.get("AuthType") != "NONE":
            return await plain_request(host, path, method, headers, body, query, source_ip=source_ip)
        function = f"arn:aws:lambda:{region}:{account}:function:{name}" + (f":{qualifier}" if qualifier else "")
        record = lambda_svc._functions.get_scoped(account, region, name)
        if record is None or not is_public(record["policy"], function, region):
            text = f"Forbidden. For troubleshooting Function URL authorization issues, see: {HELP}"
            return refused(403, "AccessDeniedException", text)
        return await lambda_svc.handle_function_url_request(
            parsed[0], method, parsed[1], headers, body, query, resolved=found, source_ip=source_ip
        )

    def response(answer: dict | None, cors: dict) -> tuple:
        made = plain_response(answer, cors)
        return made if len(made[2]) <= MOST else plain_response(None, cors)

    def convert(result: dict) -> tuple:
        # An API's answer to a failure must not have the function's error, either.
        return (None, "failed") if result.get("error") and not result.get("throttle") else plain_convert(result)

    ministack.app._handle_lambda_url_request = request
    lambda_svc._function_url_proxy_response = response
    lambda_svc.lambda_execute_result_to_api_proxy_response = convert

    @cloud.route("GET", "functions/url")
    async def address(arguments: dict[str, Any]) -> dict[str, str]:
        name = arguments.get("function")
        for (_, region, key), settings in lambda_svc._function_urls.all_items():
            if key == name:
                own = lambda_svc._function_url_id(settings["FunctionUrl"])
                return {
                    "url": f"{cloud.endpoint}/_aws/lambda-url/{own}",
                    "host": f"{own}.lambda-url.{region}.on.aws",
                }
        raise AdminError(f"function: {name} has no address")
