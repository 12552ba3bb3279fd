"""Addresses of functions.

Sources: "Creating and managing Lambda function URLs", "Control access to Lambda function URLs" and "Invoking Lambda
function URLs" of Lambda's guide.
"""

from __future__ import annotations

import base64
import json

import pytest
from conftest import http
from functions import Keeper

BOTH = {
    "address": {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
    "call": {"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True},
}


def public(cloud, folder, *answers, kinds=("address", "call")):
    """A function with an address that needs no authentication."""
    keeper, functions = Keeper(cloud, folder, *answers), cloud.client("lambda")
    functions.create_function_url_config(FunctionName=keeper.name, AuthType="NONE")
    for kind in kinds:
        functions.add_permission(FunctionName=keeper.name, StatementId=kind, Principal="*", **BOTH[kind])
    return keeper, cloud.admin("GET", f"functions/url?function={keeper.name}")


def test_a_request_becomes_an_event_of_version_2(cloud, tmp_path):
    said = json.dumps({"statusCode": 202, "headers": {"X-Kind": "alert"}, "body": "accepted"})
    keeper, address = public(cloud, tmp_path, said)
    status, headers, body = http(
        "POST",
        f"{address['url']}/alerts/one?a=1&a=2",
        '{"alerts": []}',
        content_type="application/json",
        authorization="Bearer secret",
        X_Other="Value",
    )
    assert (status, headers["X-Kind"], body) == (202, "alert", b"accepted")
    (event,) = keeper.events()
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == ("2.0", "/alerts/one", "a=1&a=2")
    assert event["queryStringParameters"] == {"a": "1,2"}
    assert (event["body"], event["isBase64Encoded"]) == ('{"alerts": []}', False)
    assert event["headers"].items() >= {"authorization": "Bearer secret", "x-other": "Value"}.items()
    assert event["headers"]["host"] == address["host"]
    request = event["requestContext"]
    assert request["http"].items() >= {"method": "POST", "path": "/alerts/one", "sourceIp": "127.0.0.1"}.items()
    assert (request["accountId"], request["domainName"], request["stage"]) == ("anonymous", address["host"], "$default")


def test_an_address_is_found_by_its_name_and_other_bodies_are_encoded(cloud, tmp_path):
    said = json.dumps({"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(b"\0\1").decode()})
    keeper, address = public(cloud, tmp_path, said)
    status, _, body = http(
        "POST", f"{cloud.facts['endpoint']}/", b"\xff", content_type="application/octet-stream", host=address["host"]
    )
    assert (status, body) == (200, b"\0\1")
    (event,) = keeper.events()
    assert (event["body"], event["isBase64Encoded"]) == (base64.b64encode(b"\xff").decode(), True)


@pytest.mark.parametrize("kinds", [(), ("address",), ("call",)])
def test_a_public_address_needs_both_permissions(cloud, tmp_path, kinds):
    keeper, address = public(cloud, tmp_path, kinds=kinds)
    status, headers, body = http("POST", address["url"], {})
    assert (status, headers["x-amzn-ErrorType"]) == (403, "AccessDeniedException")
    assert json.loads(body)["Message"].startswith("Forbidden")
    assert keeper.events() == []


def test_an_address_with_authentication_is_not_public(cloud, tmp_path):
    keeper, functions = Keeper(cloud, tmp_path), cloud.client("lambda")
    functions.create_function_url_config(FunctionName=keeper.name, AuthType="AWS_IAM")
    functions.add_permission(FunctionName=keeper.name, StatementId="call", Principal="*", **BOTH["call"])
    address = cloud.admin("GET", f"functions/url?function={keeper.name}")
    assert http("POST", address["url"], {})[0] == 403
    assert keeper.events() == []


def test_a_failure_is_told_without_its_error(cloud, tmp_path):
    _, address = public(cloud, tmp_path, "!")
    status, _, body = http("POST", address["url"], {})
    assert status == 502
    assert b"on purpose" not in body


def test_six_megabytes_are_the_limit(cloud, tmp_path):
    keeper, address = public(cloud, tmp_path, '{"statusCode": 200}')
    assert http("POST", address["url"], "x" * (6 * 1024 * 1024 + 1), content_type="text/plain")[0] == 413
    assert keeper.events() == []
    assert http("POST", address["url"], "x" * 1024 * 1024, content_type="text/plain")[0] == 200
    long = json.dumps({"statusCode": 200, "body": "x" * (6 * 1024 * 1024 + 1)})
    _, talkative = public(cloud, tmp_path, long)
    assert http("POST", talkative["url"], {})[0] == 502


def test_a_function_without_an_address_is_named(cloud):
    with pytest.raises(AssertionError, match="nobody has no address"):
        cloud.admin("GET", "functions/url?function=nobody")
