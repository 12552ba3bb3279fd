"""GitHub Actions secrets: sealed values can be written and opened; times have no fractions."""

from __future__ import annotations

import base64
import json
import re

import nacl.public
import pytest
from test_github import files, fresh, refusal  # noqa: F401

REPOSITORY, PRODUCTION = "/actions/secrets", "/environments/production/secrets"


@pytest.fixture(autouse=True)
def no_secrets(cloud, fresh):  # noqa: F811
    def reset():
        usual = {"may_write_secrets": True, "lose_secret_writes": False, "stale_keys": 0}
        cloud.admin("POST", "github/config", {**usual, "environments": ["staging", "production"]})
        cloud.admin("DELETE", "github/secrets")

    reset()
    yield
    reset()


def sealed(cloud, value, scope=REPOSITORY):
    """The body of a write."""
    status, key = files(cloud, "GET", f"{scope}/public-key")
    assert status == 200
    box = nacl.public.SealedBox(nacl.public.PublicKey(base64.b64decode(key["key"])))
    return {"encrypted_value": base64.b64encode(box.encrypt(value.encode())).decode(), "key_id": key["key_id"]}


def write(cloud, name, value, scope=REPOSITORY):
    return files(cloud, "PUT", f"{scope}/{name}", sealed(cloud, value, scope))


def kept(cloud):
    return {(each["scope"], each["name"]): each["value"] for each in cloud.admin("GET", "github/secrets")["secrets"]}


def test_a_secret_is_written_and_read_without_its_value(cloud):
    before = cloud.admin("GET", "calls")["last"]
    assert files(cloud, "GET", f"{REPOSITORY}/TOKEN")[0] == 404
    assert write(cloud, "token", "välue-1") == (201, {})
    status, shown = files(cloud, "GET", f"{REPOSITORY}/TOKEN")
    assert (status, set(shown), shown["name"]) == (200, {"name", "created_at", "updated_at"}, "TOKEN")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown["updated_at"])
    cloud.admin("POST", "github/secrets", {"name": "TOKEN", "value": "x", "updated_at": "2026-01-02T03:04:05Z"})
    assert write(cloud, "TOKEN", "value-2") == (204, None)
    assert files(cloud, "GET", f"{REPOSITORY}/TOKEN")[1]["updated_at"] >= shown["created_at"]
    assert write(cloud, "TOKEN", "value-3", PRODUCTION)[0] == 201
    assert kept(cloud) == {("repository", "TOKEN"): "value-2", ("environment:production", "TOKEN"): "value-3"}
    called = cloud.admin("GET", f"calls?after={before}")["calls"]
    assert "value-" not in json.dumps(called)
    assert [each["action"] for each in called][-2:] == [
        "GET /environments/secrets/public-key",
        "PUT /environments/secrets/{name}",
    ]
    assert "PUT /actions/secrets/{name}" in [each["action"] for each in called]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("1A", {}, "Secret names can only contain"),
        ("A-B", {}, "Secret names can only contain"),
        ("github_token", {}, "Secret names must not start with GITHUB_"),
        ("A", {"key_id": "1"}, "Bad key_id"),
        ("A", {"key_id": None}, 'Invalid request.\n\n"key_id"'),
        ("A", {"encrypted_value": "eA=="}, "Improperly encrypted secret"),
        ("A", {"encrypted_value": "!"}, "Improperly encrypted secret"),
    ],
)
def test_what_github_refuses(cloud, name, change, message):
    status, said = refusal(files(cloud, "PUT", f"{REPOSITORY}/{name}", {**sealed(cloud, "x"), **change}))
    assert (status, said.startswith(message)) == (422, True)
    assert kept(cloud) == {}


def test_keys_are_of_a_scope_and_may_be_replaced(cloud):
    body = sealed(cloud, "x")
    assert files(cloud, "PUT", f"{PRODUCTION}/A", body)[0] == 422
    cloud.admin("POST", "github/secrets/keys", {})
    assert files(cloud, "PUT", f"{REPOSITORY}/A", body)[0] == 422
    cloud.admin("POST", "github/config", {"stale_keys": 1})
    assert write(cloud, "A", "x")[0] == 422
    assert write(cloud, "A", "x")[0] == 201


def test_environments_permissions_and_lost_writes(cloud):
    assert files(cloud, "GET", "/environments/other/secrets/public-key")[0] == 404
    cloud.admin("POST", "github/config", {"environments": ["a/b"]})
    assert write(cloud, "A", "x", "/environments/a/b/secrets")[0] == 201
    assert files(cloud, "GET", f"{PRODUCTION}/public-key")[0] == 404
    cloud.admin("POST", "github/config", {"lose_secret_writes": True})
    cloud.admin("POST", "github/secrets", {"name": "OLD", "value": "old", "updated_at": "2026-01-02T03:04:05Z"})
    assert write(cloud, "OLD", "new") == (204, None)
    assert files(cloud, "GET", f"{REPOSITORY}/OLD")[1]["updated_at"] == "2026-01-02T03:04:05Z"
    assert kept(cloud)["repository", "OLD"] == "old"
    cloud.admin("POST", "github/config", {"may_write_secrets": False})
    refused = (403, "Resource not accessible by personal access token")
    assert refusal(files(cloud, "PUT", f"{REPOSITORY}/OLD", {})) == refused
    assert files(cloud, "GET", f"{REPOSITORY}/OLD")[0] == 200
    assert files(cloud, "DELETE", f"{REPOSITORY}/OLD")[0] == 404


def test_switches_hold_for_writes(cloud):
    rule = {"service": "github", "action": "PUT /actions/secrets/{name}"}
    cloud.admin("POST", "faults", {**rule, "effect": "throttle"})
    cloud.admin("POST", "faults", {**rule, "effect": "error", "status": 502, "code": "x", "nth": 2, "when": "after"})
    assert write(cloud, "A", "x")[0] == 403
    assert kept(cloud) == {}
    assert write(cloud, "A", "x")[0] == 502
    assert kept(cloud) == {("repository", "A"): "x"}
