"""Filter patterns of CloudWatch Logs, and what subscription filters and metric filters do with the events they match.

Patterns ("Filter pattern syntax for metric filters, subscription filters, filter log events, and Live Tail"): terms
with `?` and `-`, quoted phrases, regular expressions between `%`, and JSON with `&&`, `||`, parentheses, `=`, `!=`,
`<`, `<=`, `>`, `>=`, `IS NULL`, `IS TRUE`, `IS FALSE` and `NOT EXISTS`, a `*` in values, and `$.a.b`, `$.a[0]` and
`$.["a"]`. Terms are case-sensitive. Patterns of columns (`[a, b]`) are refused. Assumed: a comparison with a field that
is missing, or that has another type, does not match, `!=` neither.

Subscriptions of a Lambda function ("Subscription filters with AWS Lambda", PutSubscriptionFilter): at most two for a
log group; the function's policy has to let `logs.amazonaws.com` invoke it for the group; one asynchronous call for
the matching events of a stream, after a CONTROL_MESSAGE at the creation of the filter, whose form is that of public
samples. As in ministack, a function is not invoked for its own log group. The text of the refusals is assumed.

Metric filters (PutMetricFilter) store a data point for each matching event at the event's time: a number or the field
that `metricValue` names. If none of the events that arrive together matches, `defaultValue` is stored.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import itertools
import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region
from ministack.services import cloudwatch_logs as logs
from ministack.services import lambda_svc

from localcloud import alarmactions, alarms
from localcloud.cloud import Cloud

SUBSCRIPTIONS = 2
PATTERN = 1024
EXPRESSIONS = 2

Match = Callable[[str], bool]
Test = Callable[[Any], bool]

MISSING = object()
_counter = itertools.count(1)
_counting = threading.Lock()


class InvalidPattern(ValueError):
    """A pattern that CloudWatch Logs refuses."""


# Patterns


def compiled(pattern: str | None) -> Match:
    """Whether a message matches the pattern."""
    pattern = (pattern or "").strip()
    if len(pattern) > PATTERN:
        raise InvalidPattern("longer than 1024 characters")
    if len(re.findall(r"%[^%]+%", pattern)) > EXPRESSIONS:
        raise InvalidPattern("more than two regular expressions")
    if not pattern or pattern in ('""', '" "'):
        return lambda message: True
    if pattern.startswith("["):
        raise InvalidPattern("the local cloud does not match columns")
    if pattern.startswith("{"):
        if not pattern.endswith("}"):
            raise InvalidPattern("no closing brace")
        test = Json(pattern[1:-1]).parsed()

        def is_match(message: str) -> bool:
            with contextlib.suppress(ValueError):
                value = json.loads(message)
                return isinstance(value, dict | list) and test(value)
            return False

        return is_match
    return terms(pattern)


def terms(pattern: str) -> Match:
    found = re.findall(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]+)%|([^\s"%]+))', pattern)
    if not found:
        raise InvalidPattern("no term")
    wanted, either, excluded = [], [], []
    for sign, quoted, expression, word in found:
        text = re.escape(re.sub(r"\\(.)", r"\1", quoted) or word)
        {"?": either, "-": excluded}.get(sign, wanted).append(re.compile(expression or text))
    # Terms with a question mark count only if there are no others.
    either = [] if wanted or excluded else either

    def is_match(message: str) -> bool:
        if any(one.search(message) for one in excluded) or not all(one.search(message) for one in wanted):
            return False
        return not either or any(one.search(message) for one in either)

    return is_match


class Json:
    """The parser of a pattern for JSON, between its braces."""

    TOKENS = re.compile(
        r"""\s*(?:(?P<open>\()|(?P<close>\))|(?P<and>&&)|(?P<or>\|\|)
        |(?P<is>IS\s+(?P<constant>NULL|TRUE|FALSE)\b)|(?P<absent>NOT\s+EXISTS\b)
        |(?P<compare>!=|<=|>=|=|<|>)
        |(?P<selector>\$(?:\.?\[(?:\d+|\*|"[^"]*"|'[^']*')\]|\.[\w*@-]+)+)
        |"(?P<quoted>(?:[^"\\]|\\.)*)"|%(?P<expression>[^%]+)%|(?P<word>[^\s()&|=<>!"]+))""",
        re.VERBOSE,
    )

    def __init__(self, text: str):
        self._tokens: list[re.Match[str]] = []
        place = 0
        while text[place:].strip():
            token = self.TOKENS.match(text, place)
            if token is None:
                raise InvalidPattern(f"unexpected text at {place}")
            self._tokens.append(token)
            place = token.end()

    def parsed(self) -> Test:
        test = self._either()
        if self._tokens:
            raise InvalidPattern("unexpected text after the expression")
        return test

    def _take(self, *kinds: str) -> re.Match[str] | None:
        if self._tokens and any(self._tokens[0][kind] is not None for kind in kinds):
            return self._tokens.pop(0)
        return None

    def _either(self) -> Test:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return lambda value: any(part(value) for part in parts)

    def _all(self) -> Test:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return lambda value: all(part(value) for part in parts)

    def _one(self) -> Test:
        if self._take("open"):
            inner = self._either()
            if not self._take("close"):
                raise InvalidPattern("no closing parenthesis")
            return inner
        selector = self._take("selector")
        if selector is None:
            raise InvalidPattern("a selector is expected")
        select = selected(selector["selector"])
        if self._take("absent"):
            return lambda value: not select(value)
        if constant := self._take("is"):
            wanted = {"NULL": None, "TRUE": True, "FALSE": False}[constant["constant"]]
            return lambda value: any(each is wanted for each in select(value))
        compare, given = self._take("compare"), self._take("quoted", "expression", "word")
        if compare is None or given is None:
            raise InvalidPattern("a comparison is expected")
        test = comparison(compare["compare"], given)
        return lambda value: any(test(each) for each in select(value))


def selected(selector: str) -> Callable[[Any], list[Any]]:
    """The values of a selector in a document; none if it is missing there."""
    steps = [
        index or name.strip("\"'")
        for index, name in re.findall(r"""\[(\d+|\*)\]|(?:\.?\[|\.)("[^"]*"|'[^']*'|[\w*@-]+)\]?""", selector)
    ]

    def select(value: Any) -> list[Any]:
        found = [value]
        for step in steps:
            after: list[Any] = []
            for each in found:
                if isinstance(each, dict) and step == "*":
                    after += each.values()
                elif isinstance(each, dict) and step in each:
                    after.append(each[step])
                elif isinstance(each, list) and step == "*":
                    after += each
                elif isinstance(each, list) and step.isdigit() and int(step) < len(each):
                    after.append(each[int(step)])
            found = after
        return found

    return select


def comparison(sign: str, given: re.Match[str]) -> Test:
    if given["expression"] is not None:
        if sign not in ("=", "!="):
            raise InvalidPattern("a regular expression can only be equal")
        search = re.compile(given["expression"]).search
        return lambda value: isinstance(value, str) and (search(value) is not None) == (sign == "=")
    text = given["word"] if given["quoted"] is None else re.sub(r"\\(.)", r"\1", given["quoted"])
    number = None
    if given["word"] is not None:
        with contextlib.suppress(ValueError):
            number = float(text)
    if sign in ("=", "!="):
        if number is not None:
            wanted = number
            return lambda value: is_number(value) and (value == wanted) == (sign == "=")
        shape = re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)
        return lambda value: (
            (isinstance(value, str) or is_number(value)) and bool(shape.fullmatch(str(value))) == (sign == "=")
        )
    if number is None:
        raise InvalidPattern(f"{sign} compares numbers")
    wanted = number
    order = {
        "<": lambda value: value < wanted,
        "<=": lambda value: value <= wanted,
        ">": lambda value: value > wanted,
        ">=": lambda value: value >= wanted,
    }[sign]
    return lambda value: is_number(value) and order(value)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# Filters


def refused(code: str, text: str) -> tuple:
    return error_response_json(code, text, 400)


def install(cloud: Cloud) -> None:
    """Puts patterns, subscriptions and metrics into ministack."""
    plain_subscribe, plain_metric = logs._put_subscription_filter, logs._put_metric_filter
    plain_search = logs._filter_log_events

    def is_valid(plain: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
        def checked(data: dict) -> tuple:
            try:
                compiled(data.get("filterPattern"))
            except (InvalidPattern, re.error) as error:
                return refused("InvalidParameterException", f"Invalid filter pattern: {error}")
            return plain(data)

        return checked

    def subscribe(data: dict) -> tuple:
        group, name, function = data.get("logGroupName"), data.get("filterName"), data.get("destinationArn") or ""
        kept = (logs._log_groups.get(group) or {}).get("subscriptionFilters", {})
        if name not in kept and len(kept) >= SUBSCRIPTIONS:
            return refused("LimitExceededException", "Resource limit exceeded.")
        if ":function:" not in function:
            return plain_subscribe(data)
        if group in logs._log_groups and not may_invoke(function, group):
            text = "Make sure you have given CloudWatch Logs permission to execute your function."
            return refused("InvalidParameterException", f"Could not execute the lambda function. {text}")
        answer = plain_subscribe(data)
        if answer[0] == 200 and function:
            now = int(time.time() * 1000)
            check = {
                "id": "",
                "timestamp": now,
                "message": "CWL CONTROL MESSAGE: Checking health of destination Lambda.",
            }
            invoke(function, "CONTROL_MESSAGE", "CloudwatchLogs", "", "", [], [check])
        return answer

    logs._put_subscription_filter = is_valid(subscribe)
    logs._put_metric_filter = is_valid(plain_metric)
    logs._filter_log_events = is_valid(plain_search)
    logs._compile_filter_pattern = compiled
    logs._fanout_to_subscription_filters = spread


def may_invoke(function: str, group: str) -> bool:
    record, _, _ = lambda_svc._get_func_record_for_ref(function)
    if not record:
        return False
    account = get_account_id()
    source = f"arn:aws:logs:{get_region()}:{account}:log-group:{group}:*"
    services = ("logs.amazonaws.com", f"logs.{get_region()}.amazonaws.com")
    return any(alarmactions.function_allows(record, function, service, source, account) for service in services)


def event_id(timestamp: int) -> str:
    """An id of 56 digits, which grows with the event's time."""
    with _counting:
        return f"3{timestamp:019d}{next(_counter):036d}"


def spread(group: str, stream: str, events: list[dict]) -> None:
    """Gives new events of a stream to the filters of their group."""
    kept = logs._log_groups.get(group)
    if not kept or not events:
        return
    now = int(time.time() * 1000)
    told = [{"timestamp": each.get("timestamp", now), "message": each.get("message", "")} for each in events]
    told = [{"id": event_id(each["timestamp"]), **each} for each in told]
    for (of, _), one in list(logs._metric_filters.items()):
        if of == group:
            count(one, told)
    for one in list((kept.get("subscriptionFilters") or {}).values()):
        function = one["destinationArn"]
        if ":function:" not in function or group == f"/aws/lambda/{function.split(':function:')[1].split(':')[0]}":
            continue
        is_match = compiled(one["filterPattern"])
        if found := [each for each in told if is_match(each["message"])]:
            invoke(function, "DATA_MESSAGE", get_account_id(), group, stream, [one["filterName"]], found)


def invoke(
    function: str, kind: str, owner: str, group: str, stream: str, filters: list[str], events: list[dict]
) -> None:
    record, config, _ = lambda_svc._get_func_record_for_ref(function)
    if not record or not config:
        return
    message = {
        "messageType": kind,
        "owner": owner,
        "logGroup": group,
        "logStream": stream,
        "subscriptionFilters": filters,
        "logEvents": events,
    }
    data = base64.b64encode(gzip.compress(json.dumps(message).encode())).decode()
    event = {"awslogs": {"data": data}}
    lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(record, config), event)


def count(one: dict, events: list[dict]) -> None:
    """Stores the data points of a metric filter."""
    is_match = compiled(one["filterPattern"])
    found = [each for each in events if is_match(each["message"])]
    for metric in one["metricTransformations"]:
        where = metric["metricNamespace"], metric["metricName"]
        for each in found:
            document: Any = None
            with contextlib.suppress(ValueError):
                document = json.loads(each["message"])

            def field(text: str, document: Any = document) -> Any:
                return next(iter(selected(text)(document)), None) if text.startswith("$") else text

            values = {name: field(text) for name, text in (metric.get("dimensions") or {}).items()}
            # Without one of its dimensions an event makes no metric.
            if None in values.values():
                continue
            with contextlib.suppress(TypeError, ValueError):
                value = float(field(str(metric["metricValue"])))
                dimensions = {name: str(text) for name, text in values.items()}
                alarms.keep(*where, dimensions, value, each["timestamp"] / 1000)
        if not found and metric.get("defaultValue") is not None:
            alarms.keep(*where, {}, float(metric["defaultValue"]), events[-1]["timestamp"] / 1000)
