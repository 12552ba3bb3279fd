"""Twilio's auth tokens: at most two, each valid until it is removed; and the fault rules for the calls."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys

import pytest
from conftest import http

ACCOUNT, SECONDARY, PROMOTE = "account", "/v1/AuthTokens/Secondary", "/v1/AuthTokens/Promote"


@pytest.fixture(autouse=True)
def fresh(cloud):
    def reset():
        cloud.admin("DELETE", "faults")
        cloud.admin("DELETE", "twilio")

    reset()
    yield
    reset()


def twilio(cloud, method, path, token=None, sid=None):
    """Status and parsed body of a call, with the first primary token by default."""
    own = cloud.facts["twilio_account_sid"]
    given = f"{sid or own}:{cloud.facts['twilio_auth_token'] if token is None else token}"
    path = f"/2010-04-01/Accounts/{own}.json" if path == ACCOUNT else path
    basic = f"Basic {base64.b64encode(given.encode()).decode()}"
    status, headers, body = http(method, f"{cloud.facts['twilio_url']}{path}", authorization=basic)
    assert ("retry-after" in headers, "content-length" in headers) == (False, status != 204)
    return status, json.loads(body) if body else None


def error(status, code, message):
    return status, {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }


UNKNOWN = error(401, 20003, "Authenticate")


def missing(path):
    return error(404, 20404, f"The requested resource {path} was not found")


def test_a_token_is_rotated_without_a_gap(cloud):
    old, sid = cloud.facts["twilio_auth_token"], cloud.facts["twilio_account_sid"]
    status, account = twilio(cloud, "GET", ACCOUNT)
    assert (status, account["auth_token"], account["sid"], account["status"]) == (200, old, sid, "active")
    status, made = twilio(cloud, "POST", SECONDARY)
    assert (status, made["account_sid"]) == (201, sid)
    new = made["secondary_auth_token"]
    assert (len(new), made["url"]) == (32, "https://accounts.twilio.com/v1/AuthTokens/Secondary")
    assert twilio(cloud, "GET", ACCOUNT, new)[1]["auth_token"] == old
    assert twilio(cloud, "GET", ACCOUNT, old)[0] == 200
    status, promoted = twilio(cloud, "POST", PROMOTE, new)
    assert (status, promoted["auth_token"]) == (200, new)
    assert set(promoted) == {"account_sid", "auth_token", "date_created", "date_updated", "url"}
    assert twilio(cloud, "GET", ACCOUNT, old) == UNKNOWN
    assert twilio(cloud, "GET", ACCOUNT, new)[1]["auth_token"] == new
    told = cloud.admin("GET", "twilio")
    assert (told["primary"], told["secondary"], told["most"], told["made"]) == (new, None, 2, 1)
    assert [each["token"] for each in told["requests"]][-4:] == ["primary", "secondary", None, "primary"]
    assert not any(token in json.dumps(told["requests"]) for token in (old, new))


def test_what_there_is_not_cannot_be_promoted_or_deleted_and_one_that_is_is_not_made_again(cloud):
    assert twilio(cloud, "POST", PROMOTE) == missing("/AuthTokens/Promote")
    assert twilio(cloud, "DELETE", SECONDARY) == missing("/AuthTokens/Secondary")
    first = twilio(cloud, "POST", SECONDARY)[1]["secondary_auth_token"]
    assert twilio(cloud, "POST", SECONDARY) == error(409, 20409, "A secondary Auth Token already exists")
    assert twilio(cloud, "GET", ACCOUNT, first)[0] == 200
    cloud.admin("POST", "twilio/config", {"second_secondary": "replace"})
    second = twilio(cloud, "POST", SECONDARY)[1]["secondary_auth_token"]
    assert twilio(cloud, "GET", ACCOUNT, first) == UNKNOWN
    assert twilio(cloud, "DELETE", SECONDARY, second) == (204, None)
    assert twilio(cloud, "GET", ACCOUNT, second) == UNKNOWN
    assert cloud.admin("GET", "twilio")["made"] == 2


def test_wrong_callers_calls_and_accounts_are_refused(cloud):
    assert twilio(cloud, "GET", ACCOUNT, "0" * 32) == UNKNOWN
    assert twilio(cloud, "GET", ACCOUNT, sid=f"AC{'0' * 32}") == UNKNOWN
    status, headers, _ = http("GET", f"{cloud.facts['twilio_url']}{SECONDARY}")
    assert (status, headers["www-authenticate"]) == (401, 'Basic realm="Twilio API"')
    other = f"/2010-04-01/Accounts/AC{'0' * 32}.json"
    assert twilio(cloud, "GET", other) == missing(other)
    assert twilio(cloud, "GET", SECONDARY) == missing(SECONDARY)
    cloud.admin("POST", "twilio/config", {"status": "suspended"})
    assert twilio(cloud, "GET", ACCOUNT)[1]["status"] == "suspended"
    assert twilio(cloud, "POST", SECONDARY) == error(403, 20005, "Account not active")
    for wrong in ({"primary": None}, {"secondary": "x"}, {"status": "closed"}, {"other": 1}):
        with pytest.raises(AssertionError, match="400"):
            cloud.admin("POST", "twilio/config", wrong)
    cloud.admin("POST", "twilio/config", {"status": "active", "primary": "1" * 32, "secondary": "2" * 32})
    assert twilio(cloud, "GET", ACCOUNT, "2" * 32)[1]["auth_token"] == "1" * 32
    assert twilio(cloud, "GET", ACCOUNT) == UNKNOWN


def test_switches_hold_for_the_calls_before_and_after_their_effect(cloud):
    def arm(action, **rule):
        cloud.admin("POST", "faults", {"service": "twilio", "action": action, **rule})

    before = cloud.admin("GET", "calls")["last"]
    arm("POST AuthTokens/Secondary", effect="throttle")
    assert twilio(cloud, "POST", SECONDARY) == error(429, 20429, "Too Many Requests")
    assert cloud.admin("GET", "twilio")["made"] == 0
    arm("POST AuthTokens/Secondary", effect="error", status=500, code="20500", when="after")
    assert twilio(cloud, "POST", SECONDARY)[1]["code"] == 20500
    assert cloud.admin("GET", "twilio")["made"] == 1
    arm("POST AuthTokens/Promote", effect="drop", when="after")
    with pytest.raises(OSError):
        twilio(cloud, "POST", PROMOTE)
    assert twilio(cloud, "GET", ACCOUNT) == UNKNOWN
    assert twilio(cloud, "GET", "/v1/secret") == UNKNOWN
    called = [(each["action"], each["outcome"].partition(":")[0]) for each in calls(cloud, before)]
    secondary = ("POST AuthTokens/Secondary", "fault")
    ends = [("GET Accounts/{sid}", "error"), ("GET unknown", "error")]
    assert called == [secondary, secondary, ("POST AuthTokens/Promote", "fault"), *ends]


# A program that creates a secondary token.
MAKE = """
import sys, urllib.request
url, authorization = sys.argv[1:]
urllib.request.urlopen(urllib.request.Request(url, b"", {"authorization": authorization}))
"""


@pytest.mark.parametrize(("when", "left"), [("before", 0), ("after", 1)])
def test_a_caller_is_killed_before_or_after_its_token_is_made(cloud, when, left):
    rule = {"service": "twilio", "action": "POST AuthTokens/Secondary", "effect": "kill", "when": when}
    cloud.admin("POST", "faults", rule)
    given = f"{cloud.facts['twilio_account_sid']}:{cloud.facts['twilio_auth_token']}"
    basic = f"Basic {base64.b64encode(given.encode()).decode()}"
    ended = subprocess.run([sys.executable, "-c", MAKE, f"{cloud.facts['twilio_url']}{SECONDARY}", basic], timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert cloud.admin("GET", "twilio")["made"] == left


def calls(cloud, after):
    return [call for call in cloud.admin("GET", f"calls?after={after}")["calls"] if call["service"] == "twilio"]
