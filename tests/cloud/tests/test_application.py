"""The template's watch over the application: patterns against lines of its log, and when its alarms ring.

Lines: the application's facts, section 8, and the samples of `shared/incident/tests/events`. Syntax of patterns:
"Filter pattern syntax" and "Supported regular expressions (regex) syntax" in CloudWatch Logs' guide. Expressions:
"Using math expressions with CloudWatch metrics" in CloudWatch's guide.
"""

from __future__ import annotations

import base64
import gzip
import json
import re

import pytest
from cfnlint.decode import cfn_yaml
from conftest import HERE

ROOT = HERE.parent.parent
TEMPLATE = cfn_yaml.load(str(ROOT / "template.yaml"))
RESOURCES = TEMPLATE["Resources"]
ERRORS = RESOURCES["ApplicationErrors"]["Properties"]["FilterPattern"]
QUEUES = RESOURCES["ApplicationQueueFailures"]["Properties"]["FilterPattern"]

# Letters, digits, the symbols and the operators that a regular expression may have; a backslash makes a class or
# escapes. No parentheses, no quotation marks, nothing beyond ASCII.
REGEX = re.compile(r"(?:\\[dDsSwW]|\\[\\^$?\[\]{}|*+.]|[A-Za-z0-9:_#=@/;,\-^$?\[\]{}|*+.])+")
PHRASES = re.compile(r'\?"[^"\\%]+"(?: \?"[^"\\%]+")*')


def finds(pattern: str, line: str) -> bool:
    """Whether a pattern finds a line: a regular expression between percent signs, or phrases of which one suffices."""
    assert len(pattern) <= 1024
    if pattern.startswith("%"):
        assert pattern.endswith("%") and REGEX.fullmatch(pattern[1:-1]), pattern
        return re.search(pattern[1:-1], line) is not None
    assert PHRASES.fullmatch(pattern), pattern
    return any(phrase in line for phrase in re.findall(r'"([^"]+)"', pattern))


def line(level: str | int, message: str, /, **fields) -> str:
    """A line as pino writes it: the message comes last but for the request's id, which occurs twice."""
    request = '"correlation_id":"0f8fad5b-d9cb-469f-a165-70867728950e"'
    begin = json.dumps({"level": level, "time": "2026-11-29T12:40:24.006Z", "service": "moveongs-api"})
    end = json.dumps({**fields, "message": message}, separators=(",", ":"))
    return f"{begin.replace(' ', '')[:-1]},{request},{end[1:-1]},{request}}}"


def err(kind: str, message: str, **more) -> dict:
    return {"type": kind, "message": message, "stack": f"{kind}: {message}\n    at f (/app/dist/a.js:1:2)", **more}


# Lines that the function has to see, in the application's words and in the guide's.
FAULTS = [
    line("error", "unhandled error", err=err("DatabaseError", "password", code="28P01")),
    line("error", "unhandled error", err=err("Error", "connect ECONNREFUSED 10.0.0.1:5432", code="ECONNREFUSED")),
    line("error", "unhandled error", err=err("TypeError", "x is not a function")),
    line("error", "database pool error", error={"code": "57P01", "severity": "FATAL"}),
    line("error", "failed to anonymize beneficiaries", err=err("DatabaseError", "relation")),
    line("error", "failed to purge expired attachments", err=err("NoSuchKey", "key")),
    line("error", "failed to start server", err=err("Error", "listen EADDRINUSE")),
    line("error", "antivirus scan request failed", err=err("TypeError", "fetch failed")),
    line("error", "Notification job failed permanently", err=err("Error", "550")),
    line("error", "Email notification dispatch failed", err=err("Error", "550")),
    line("error", "WhatsApp notification dispatch failed", err=err("Error", "21211")),
    line("fatal", "out of memory"),
    line(50, "pino without labels"),
    line(60, "the same"),
    line("warn", "application error", err=err("AppError", "Failed to load user", statusCode=500)),
    line("warn", "application error", err=err("ServiceUnavailableError", "later", statusCode=503)),
    # The guide's words.
    line("error", "Unhandled error", err=err("TypeError", "x")),
    line("info", "Unhandled error"),
    line("warn", "AppError", err=err("AppError", "Failed", statusCode=502)),
    "Unhandled error: x",
    "AppError: Failed to load user",
    "[AppError: Failed to load user]",
    # A start that fails.
    "ZodError: [",
    "  {",
    '    "path": ["JWT_SECRET"],',
    "]",
    "    at Object.<anonymous> (/app/dist/start.js:3:1) {",
    "  code: 'MODULE_NOT_FOUND',",
    "}",
    "Error: Cannot find module '/app/dist/server.js'",
    "(node:1) UnhandledPromiseRejectionWarning: x",
]

# Lines that it has not to see.
QUIET = [
    line("info", "incoming request", req={"method": "GET", "url": "/beneficiaries"}),
    line("info", "request completed", res={"statusCode": 200}, responseTime=12.3),
    line("info", "request completed", res={"statusCode": 404}, responseTime=1.2),
    # The fault has a line of its own, and the load balancer's alarm counts the answer.
    line("info", "request completed", res={"statusCode": 500}, responseTime=50.1),
    line("warn", "application error", err=err("AppError", "Invalid body", statusCode=400)),
    line("warn", "application error", err=err("UnauthorizedError", "Unauthorized", statusCode=401)),
    line("warn", "application error", err=err("ForbiddenError", "Insufficient permissions", statusCode=403)),
    line("warn", "application error", err=err("NotFoundError", "Attachment not found", statusCode=404)),
    line("info", "shutting down application"),
    line(30, "listening"),
    line(40, "slow query"),
    "[dotenv@17.2.2] injecting env (0) from .env -- tip: sample",
    "",
]

# Clients' mistakes at level error, which a pattern cannot tell from faults. The function ignores them.
LEFT_TO_THE_FUNCTION = [
    line(
        "error",
        "unhandled error",
        err=err("FastifyError", "JSON", code="FST_ERR_CTP_INVALID_JSON_BODY", statusCode=400),
    ),
    line("error", "unhandled error", err=err("FastifyError", "size", code="FST_REQ_FILE_TOO_LARGE", statusCode=413)),
    line("error", "unhandled error", err=err("Error", "Rate limit exceeded, retry in 1 minute", statusCode=429)),
]


def test_the_subscription_delivers_faults_and_no_everyday_lines():
    for one in FAULTS + LEFT_TO_THE_FUNCTION:
        assert finds(ERRORS, one), one
    for one in QUIET:
        assert not finds(ERRORS, one), one


@pytest.mark.parametrize(
    ("sample", "left_out"),
    [
        ("application-error-500", []),
        ("client-mistakes", ["Invalid body", "Beneficiary not found"]),
        ("pool-error", []),
        ("start-failure", ["[dotenv@17.2.2]", ""]),
        ("storm", []),
        ("unhandled-error", []),
    ],
)
def test_the_subscription_delivers_the_samples_of_the_function(sample, left_out):
    event = json.loads((ROOT / f"shared/incident/tests/events/logs-{sample}.json").read_text())
    batch = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    lines = [one["message"] for one in batch["logEvents"]]
    missed = [one for one in lines if not finds(ERRORS, one)]
    expected = [one for one in lines if any(part in one if part else not one for part in left_out)]
    assert missed == expected
    assert len(missed) < len(lines)


def test_the_filter_counts_failed_notifications_and_nothing_else():
    counted = [one for one in FAULTS if "otification" in one]
    assert len(counted) == 3
    # The alert list's word, which the application does not write yet.
    counted.append(line("error", "job failed", event="job_failed"))
    for one in counted:
        assert finds(QUEUES, one), one
    for one in [*FAULTS, *QUIET, *LEFT_TO_THE_FUNCTION]:
        assert finds(QUEUES, one) == (one in counted), one


@pytest.mark.parametrize(
    "pattern", ['%"level":"error"%', "%(error|fatal)%", "%não%", '{ $.level = "error" }', '?"error" -"warn"', "error"]
)
def test_a_pattern_of_another_form_would_be_found(pattern):
    with pytest.raises(AssertionError):
        finds(pattern, "")


class Missing(float):
    """No data point, which arithmetic and comparisons treat as 0. A division by 0 has none either."""


def value(logical: str, **points: float | None) -> float | None:
    """The value of an alarm's expression in one period; None for no data point."""
    parameters = {name: str(one["Default"]) for name, one in TEMPLATE["Parameters"].items() if "Default" in one}
    queries = RESOURCES[logical]["Properties"]["Metrics"]
    assert points.keys() == {one["Id"] for one in queries if "MetricStat" in one}
    if all(point is None for point in points.values()):
        return None
    known: dict = {
        "FILL": lambda point, instead: instead if isinstance(point, Missing) else point,
        "IF": lambda condition, then, otherwise=None: then if condition else otherwise,
        **{name: Missing() if point is None else point for name, point in points.items()},
    }
    # A query names those after it. The first one is the alarm's.
    for one in reversed([one for one in queries if "Expression" in one]):
        text = one["Expression"]
        if isinstance(text, dict):
            text = re.sub(r"\$\{(\w+)\}", lambda name: parameters[name[1]], text["Fn::Sub"])
        try:
            known[one["Id"]] = eval(text.replace(" AND ", " and "), {"__builtins__": {}}, known)
        except ZeroDivisionError:
            known[one["Id"]] = None
    (shown,) = (one["Id"] for one in queries if one["ReturnData"])
    return known[shown]


def breaches(logical: str, **points: float | None) -> bool | None:
    """Whether a period counts against the alarm's threshold; None if it has no data point."""
    given = RESOURCES[logical]["Properties"]
    assert given["ComparisonOperator"] == "GreaterThanThreshold"
    threshold = given["Threshold"]
    if isinstance(threshold, dict):
        threshold = TEMPLATE["Parameters"][threshold["Ref"]]["Default"]
    found = value(logical, **points)
    return None if found is None else found > float(threshold)


@pytest.mark.parametrize(
    ("answered", "unanswered", "requests", "expected"),
    [
        (None, None, None, None),
        (None, None, 1000, False),
        # Fewer than five failures, whatever their share.
        (4, None, 4, False),
        (5, None, 5, True),
        (None, 5, 5, True),
        # 2 % is not above 2 %.
        (5, None, 250, False),
        (5, None, 249, True),
        (2, 3, 246, True),
        (2, 3, 247, False),
        # No healthy task: the load balancer counts no request.
        (None, 5, 0, True),
        (None, 5, None, True),
    ],
)
def test_availability_rings_above_two_percent_of_at_least_five_failures(answered, unanswered, requests, expected):
    points = {"answered": answered, "unanswered": unanswered, "requests": requests}
    assert breaches("ApplicationAvailabilityBudgetBurn", **points) is expected


@pytest.mark.parametrize(
    ("slowest", "requests", "expected"),
    [
        (None, None, None),
        (None, 0, False),
        (9.0, 19, False),
        (9.0, 20, True),
        (0.4, 20, False),
        (0.401, 5000, True),
    ],
)
def test_latency_rings_above_the_slo_with_enough_requests(slowest, requests, expected):
    assert breaches("ApplicationLatency", slowest=slowest, requests=requests) is expected


@pytest.mark.parametrize(
    ("connections", "tasks", "expected"),
    [
        (None, None, None),
        (0, 2, None),
        (None, 2, None),
        (33, None, None),
        (33, 0, None),
        (32, 2, False),
        (33, 2, True),
        # More tasks have more pools.
        (33, 3, False),
    ],
)
def test_the_pools_ring_above_four_fifths_of_what_the_healthy_tasks_may_open(connections, tasks, expected):
    assert breaches("ApplicationDatabasePool", connections=connections, tasks=tasks) is expected


@pytest.mark.parametrize(
    ("logical", "seconds", "missing"),
    [
        ("ApplicationAvailabilityBudgetBurn", 600, "notBreaching"),
        ("ApplicationLatency", 900, "notBreaching"),
        ("ApplicationDatabasePool", 600, "missing"),
        ("ApplicationCriticalQueueFailures", 900, "notBreaching"),
    ],
)
def test_an_alarm_rings_after_as_long_as_its_alert_does(logical, seconds, missing):
    given = RESOURCES[logical]["Properties"]
    periods = {one["MetricStat"]["Period"] for one in given.get("Metrics", []) if "MetricStat" in one}
    (period,) = periods or {given["Period"]}
    assert given["EvaluationPeriods"] * period == seconds
    # Each period has to breach, because the alert's condition has to hold all the time.
    assert given["DatapointsToAlarm"] == given["EvaluationPeriods"]
    assert given["TreatMissingData"] == missing
