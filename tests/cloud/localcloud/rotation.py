"""Secrets Manager's rotation, which ministack leaves out: RotateSecret, CancelRotateSecret, schedules, CloudFormation.

A rotation stages an empty AWSPENDING version under the request's token, answers, and then calls the function's steps
in order. An error of any step fails the attempt. The whole rotation is retried with the same token until it succeeds, a
caller creates another version (abandoned), removes AWSPENDING (failed) or cancels it. Service events, and those of the
calls that change a secret, go to the default event bus in CloudTrail's form (`trail.py`).

Routes:

- `GET /_local/rotations?secret=NAME_OR_ARN` the secret's latest rotation: `secret`, `token`, `state` (idle, running,
  waiting, succeeded, failed, abandoned, cancelled, tested, test-failed), `attempts`, `step`, `error` (null, or `step`,
  `type`, `message`), `steps` (`attempt`, `step`, `outcome`: running, succeeded or failed)
- `POST /_local/rotations/retry {"secret"}` retries a waiting rotation now
- `POST /_local/rotations/settings {"retry": "auto"|"manual", "tick_seconds": N}`, either or both; manual: only the
  route above retries; N: real seconds between two checks of the schedules (5)
  - `GET /_local/rotations/tokens` -> `{"tokens": [...]}` every RotationToken so far, for a test that searches for leaks
  - `GET /_local/clock` the schedules' time: `now` (epoch seconds), `offset_seconds`
  - `POST /_local/clock {"advance_seconds": N}` advances it and starts due rotations: `fired` has the secrets' ARNs.
  The shown dates of secrets age by N, because functions keep the real time. In a cloud with its own clock
  (`clock.py`), functions have that clock, in whole seconds, and no date ages; EventBridge's schedules follow it too.
  With `"fire": false` the next check of the schedules starts the due rotations.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import json
import logging
import time
import uuid
from typing import Any

import ministack.app
from ministack.core import iam_actions, iam_evaluator, lambda_runtime
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.core.router import extract_access_key_id
from ministack.services import lambda_svc, secretsmanager
from ministack.services.cloudformation import provisioners

from localcloud import clock as own_clock
from localcloud import trail, versions, workflows
from localcloud.cloud import AdminError, Cloud
from localcloud.schedules import next_window
from localcloud.versions import CURRENT, LOCK, PENDING, Data, Refused, Secret

logger = logging.getLogger("rotation")

PRINCIPAL = "secretsmanager.amazonaws.com"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")

# Seconds from a failed attempt to the next, before --time-scale; the last one repeats without end. AWS documents that
# it retries "multiple times" within the windows, but neither a count nor a back-off: these values are assumed.
RETRY_SECONDS = (60, 120, 300, 600, 1800, 3600)

CANNOT_INVOKE = (
    "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to "
    f"the principal {PRINCIPAL}."
)
INCOMPLETE = "A previous rotation isn't complete. That rotation will be reattempted."


@dataclasses.dataclass
class Rotation:
    """One rotation of one secret, through all its attempts."""

    arn: str
    account: str
    region: str
    token: str
    # RotateImmediately=false: testSecret alone, once, on a temporary version.
    test: bool
    state: str = "running"
    attempts: int = 0
    step: str | None = None
    error: dict[str, str] | None = None
    steps: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    # Proves to PutSecretValue that a call comes from the running attempt; random per attempt.
    rotation_token: str = dataclasses.field(default="", repr=False)
    retry_now: bool = False
    wake: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    @property
    def active(self) -> bool:
        return self.state in ("running", "waiting")

    def shown(self) -> dict[str, Any]:
        keys = ("token", "state", "attempts", "step", "error", "steps")
        return {"secret": self.arn, **{key: getattr(self, key) for key in keys}}


class Rotations:
    """The engine: the latest rotation of every secret, the clock of the schedules, and the tasks that run them."""

    def __init__(self, cloud: Cloud):
        self.cloud = cloud
        self.latest: dict[str, Rotation] = {}
        self.manual = False
        # Real seconds; schedules are in hours, and tests move the clock by its route.
        self.tick_seconds = 5.0
        self.tick_changed = asyncio.Event()
        self.rotation_tokens: list[str] = []
        self.loop: asyncio.AbstractEventLoop
        self.tasks: set[asyncio.Task] = set()

    def now(self) -> float:
        return versions.CLOCK.now()

    # Requests

    def rotate(self, data: Data) -> Data:
        """RotateSecret."""
        secret = versions.find(data, change=True)
        token = versions.request_token(data)
        function = data.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
        if not function:
            raise Refused("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")
        # Only a secret with a function can have rules; AWS does not document whether it must have them.
        rules = data.get("RotationRules") or secret.get("RotationRules")
        answer = {"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token}
        # The token of an existing version marks a repeated request. The only documented fact is that it makes no second
        # version.
        if token in secret["Versions"]:
            return answer
        if in_progress(secret):
            raise Refused("InvalidRequestException", INCOMPLETE)
        if rules:
            try:
                next_window(rules, self.now())
            except (TypeError, ValueError) as error:
                raise Refused("InvalidParameterException", str(error)) from error
        if not may_invoke(function, secret["ARN"]):
            raise Refused("AccessDeniedException", CANNOT_INVOKE)
        secret.update(RotationEnabled=True, RotationLambdaARN=function, RotationRules=rules)
        self.schedule(secret)
        self.start(secret, token, test=not data.get("RotateImmediately", True))
        return answer

    def cancel(self, data: Data) -> Data:
        """CancelRotateSecret, which does not move AWSPENDING."""
        secret = versions.find(data, change=True)
        if not secret.get("RotationLambdaARN"):
            raise Refused(
                "InvalidRequestException",
                "You tried to enable rotation on a secret that doesn't already have a Lambda function ARN configured "
                "and you didn't include such an ARN as a parameter in this call.",
            )
        secret["RotationEnabled"] = False
        answer = {"ARN": secret["ARN"], "Name": secret["Name"]}
        rotation = self.latest.get(secret["ARN"])
        if rotation and rotation.active:
            answer["VersionId"] = rotation.token
            self.end(rotation, "cancelled")
        versions.changed(secret)
        return answer

    def check_put(self, secret: Secret, data: Data) -> None:
        """PutSecretValue with a RotationToken must come from the running rotation."""
        given, rotation = data.get("RotationToken"), self.latest.get(secret["ARN"])
        if given is not None and not (rotation and rotation.active and rotation.rotation_token == given):
            # The error is not documented.
            raise Refused("InvalidRequestException", "The RotationToken doesn't match a rotation in progress.")

    def observe(self, secret: Secret, created: str | None) -> None:
        """Observes every change of a secret, because a change may end its rotation."""
        # "Manually updating the secret value by calling PutSecretValue or UpdateSecret is considered a valid rotation"
        # where the schedule counts days.
        by_days = "AutomaticallyAfterDays" in (secret.get("RotationRules") or {})
        if by_days and created and created == versions.holder(secret, CURRENT):
            self.schedule(secret)
        rotation = self.latest.get(secret["ARN"])
        if not rotation or not rotation.active:
            return
        if created and created != rotation.token:
            self.end(rotation, "abandoned")
            versions.detach(secret, PENDING, rotation.token)
            self.emit(rotation, "RotationAbandoned")
        elif versions.holder(secret, PENDING) != rotation.token:
            attempting = rotation.state == "running"
            self.end(rotation, "failed")
            # While a rotation waits for its retry, the event of the last failure is already sent.
            if attempting:
                self.emit(rotation, "TestRotationFailed" if rotation.test else "RotationFailed")

    # Schedules

    def schedule(self, secret: Secret) -> None:
        """Sets the next rotation after one at the current time."""
        if rules := secret.get("RotationRules"):
            window = next_window(rules, self.now())
            secret.update(NextRotationDate=window.end, _RotationDue=window.start)

    def fire(self) -> list[str]:
        """Starts the due rotations; a secret that missed several is rotated once."""
        with LOCK:
            due = [
                (key, secret)
                for key, secret in secretsmanager._secrets.all_items()
                if secret.get("RotationEnabled")
                and secret.get("_RotationDue", self.now() + 1) <= self.now()
                and not secretsmanager._is_replica(secret)
            ]
            fired = []
            for (account, region, _), secret in due:
                with request_scope(account, region):
                    # NextRotationDate itself stays in the past until a rotation succeeds, as documented.
                    secret["_RotationDue"] = next_window(secret["RotationRules"], self.now()).start
                    if not secret.get("DeletedDate") and not in_progress(secret):
                        self.start(secret, str(uuid.uuid4()), test=False)
                        fired.append(secret["ARN"])
            return fired

    async def tick(self) -> None:
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.tick_changed.wait(), self.tick_seconds)
            self.tick_changed.clear()
            self.fire()

    # The run of a rotation

    def start(self, secret: Secret, token: str, *, test: bool) -> None:
        """Stages the version and starts a task for the rest; called on any thread."""
        current = secret["Versions"].get(versions.holder(secret, CURRENT))
        # A real rotation starts with a version without a value, a test with a copy of the current one.
        secret["Versions"][token] = versions.new_version(current if test else None)
        rotation = Rotation(secret["ARN"], get_account_id(), get_region(), token, test)
        self.latest[secret["ARN"]] = rotation
        versions.attach(secret, PENDING, token)
        versions.changed(secret)
        # An empty context: the rotation must not inherit the request's caller or depth of Lambda calls.
        self.loop.call_soon_threadsafe(self.spawn, rotation, context=contextvars.Context())

    def spawn(self, rotation: Rotation) -> None:
        task = asyncio.get_running_loop().create_task(self.run(rotation))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run(self, rotation: Rotation) -> None:
        with request_scope(rotation.account, rotation.region):
            waits = iter(RETRY_SECONDS)
            wait = RETRY_SECONDS[0]
            while rotation.active:
                await self.attempt(rotation)
                if rotation.state == "waiting":
                    wait = next(waits, wait)
                    await self.until_retry(rotation, wait * self.cloud.time_scale)

    async def attempt(self, rotation: Rotation) -> None:
        prefix = "TestRotation" if rotation.test else "Rotation"
        with LOCK:
            if not rotation.active:
                return
            rotation.state, rotation.error = "running", None
            rotation.attempts += 1
            rotation.rotation_token = str(uuid.uuid4())
            self.rotation_tokens.append(rotation.rotation_token)
            # AWS does not document whether CloudTrail shows one start per rotation or per attempt.
            self.emit(rotation, f"{prefix}Started")
        for step in ("testSecret",) if rotation.test else STEPS:
            record = {"attempt": rotation.attempts, "step": step, "outcome": "running"}
            rotation.step = step
            rotation.steps.append(record)
            error = await self.call(rotation, step)
            with LOCK:
                secret = self.secret(rotation)
                if error is None and step == "finishSecret" and versions.holder(secret, CURRENT) != rotation.token:
                    error = ("NotCurrent", f"finishSecret returned, but {CURRENT} is not on the version.")
                record["outcome"] = "failed" if error else "succeeded"
                if error:
                    rotation.error = {"step": step, "type": error[0], "message": error[1]}
                if not rotation.active:
                    return
                if secret is GONE:
                    self.end(rotation, "failed")
                    return
                if error:
                    self.emit(rotation, f"{prefix}Failed")
                    if rotation.test:
                        self.end(rotation, "test-failed")
                    else:
                        rotation.state = "waiting"
                    return
        with LOCK:
            self.emit(rotation, f"{prefix}Succeeded")
            self.end(rotation, "tested" if rotation.test else "succeeded")
            if not rotation.test:
                versions.detach(secret, PENDING, rotation.token)
                secret["LastRotatedDate"] = time.time()
                self.schedule(secret)
                versions.changed(secret)

    async def call(self, rotation: Rotation, step: str) -> tuple[str, str] | None:
        """Calls one step; returns None, or the error's type and message."""
        secret = self.secret(rotation)
        if secret is GONE:
            return "ResourceNotFoundException", "The secret was deleted."
        function = secret["RotationLambdaARN"]
        if not may_invoke(function, rotation.arn):
            return "AccessDeniedException", CANNOT_INVOKE
        name, qualifier = lambda_svc._resolve_name_and_qualifier(function)
        event = {
            "Step": step,
            "SecretId": rotation.arn,
            "ClientRequestToken": rotation.token,
            "RotationToken": rotation.rotation_token,
        }
        try:
            status, headers, body = await lambda_svc._invoke(name, event, {}, path_qualifier=qualifier)
        except Exception as error:
            logger.exception("%s of %s could not be called", step, rotation.arn)
            return type(error).__name__, str(error)
        if status == 200 and "X-Amz-Function-Error" not in headers:
            return None
        answer = json.loads(body or b"null")
        if not isinstance(answer, dict):
            return str(status), str(answer)
        kind = answer.get("errorType") or answer.get("__type") or str(status)
        return kind, str(answer.get("errorMessage") or answer.get("message") or answer.get("Message") or "")

    async def until_retry(self, rotation: Rotation, seconds: float) -> None:
        """Returns after the wait, on a request to retry, or at the end of the rotation."""
        end = self.loop.time() + seconds
        while rotation.state == "waiting" and not rotation.retry_now:
            rotation.wake.clear()
            left = None if self.manual else end - self.loop.time()
            try:
                await asyncio.wait_for(rotation.wake.wait(), left)
            except asyncio.TimeoutError:
                break
        rotation.retry_now = False

    def end(self, rotation: Rotation, state: str) -> None:
        """Ends the rotation: no further step follows. Called on any thread, with the lock held."""
        rotation.state = state
        secret = self.secret(rotation)
        if rotation.test and secret is not GONE:
            secret["Versions"].pop(rotation.token, None)
        self.loop.call_soon_threadsafe(rotation.wake.set)

    def secret(self, rotation: Rotation) -> Secret:
        with request_scope(rotation.account, rotation.region):
            _, secret = secretsmanager._resolve(rotation.arn)
        return secret if secret and not secret.get("DeletedDate") else GONE

    def emit(self, rotation: Rotation, name: str) -> None:
        """A service event, in the form that CloudTrail sends to EventBridge."""
        with request_scope(rotation.account, rotation.region):
            trail.service_event(name, rotation.arn)


# Stands for a secret that was deleted while it rotated.
GONE: Secret = {"Versions": {}}


def in_progress(secret: Secret) -> bool:
    """The documented sign of an incomplete rotation: AWSPENDING on another version than AWSCURRENT."""
    return versions.holder(secret, PENDING) not in (None, versions.holder(secret, CURRENT))


def may_invoke(function: str, secret_arn: str) -> bool:
    """Whether the function exists and its policy lets the service invoke it for this secret and account."""
    func, _, _ = lambda_svc._get_func_record_for_ref(function)
    if func is None:
        return False
    context = iam_evaluator.EvalContext(
        principal_arn=PRINCIPAL,
        principal_type="AWSService",
        principal_account=get_account_id(),
        action="lambda:InvokeFunction",
        resource_arn=function,
        region=get_region(),
        service_context={"aws:sourceaccount": get_account_id(), "aws:sourcearn": secret_arn},
    )
    return iam_evaluator.evaluate_resource_policy(func["policy"], context, service=PRINCIPAL).decision == "Allow"


def install(cloud: Cloud) -> None:
    """Replaces ministack's handlers and registers the routes and the CloudFormation types."""
    versions.install()
    engine = Rotations(cloud)
    versions.observers.append(engine.observe)
    versions.put_checks.append(engine.check_put)
    cancel = versions.handler(engine.cancel)
    secretsmanager._rotate_secret = versions.handler(engine.rotate)
    patch_requests(cancel)
    register_types(cancel)
    register_routes(cloud, engine)

    async def start() -> None:
        engine.loop = asyncio.get_running_loop()
        ticker = engine.loop.create_task(engine.tick())
        engine.tasks.add(ticker)

    async def stop() -> None:
        tasks = list(engine.tasks)
        for task in tasks:
            task.cancel()
        # A call in progress ignores cancellation until its function ends, and ministack leaves all functions running.
        await asyncio.to_thread(lambda_runtime.reset)
        await asyncio.gather(*tasks, return_exceptions=True)

    cloud.on_start.append(start)
    cloud.on_stop.append(stop)


def patch_requests(cancel) -> None:
    """ministack's dispatcher lacks CancelRotateSecret, and lets RotateSecret name any function."""
    plain = secretsmanager.handle_request

    async def handle_request(method, path, headers, body, query_params):
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if action == "CancelRotateSecret":
            return cancel(json.loads(body))
        if action == "RotateSecret" and ministack.app.AUTH:
            data = json.loads(body)
            _, secret = secretsmanager._resolve(data.get("SecretId"))
            function = data.get("RotationLambdaARN") or (secret or {}).get("RotationLambdaARN")
            key = extract_access_key_id(headers, query_params) or ""
            if function and (denied := caller_denied(key, function)):
                return denied
        answer = await plain(method, path, headers, body, query_params)
        if action in trail.CALLS and answer[0] == 200:
            trail.api_call(action, json.loads(body), json.loads(answer[2]))
        return answer

    secretsmanager.handle_request = handle_request


def caller_denied(access_key: str, function: str) -> tuple | None:
    """RotateSecret's caller needs lambda:InvokeFunction on the rotation function too."""
    denied = iam_evaluator.enforce(access_key, "lambda:InvokeFunction", "lambda", get_region(), resource_arn=function)
    if denied is None:
        return None
    principal = getattr(denied, "principal_arn", "")
    return iam_actions.access_denied_response(
        "secretsmanager", "lambda:InvokeFunction", principal, str(uuid.uuid4()), explicit_deny=denied.decision == "Deny"
    )


def register_types(cancel) -> None:
    """AWS::SecretsManager::RotationSchedule and ::ResourcePolicy; a Ref of either is the secret's ARN.

    Also, a ::Secret without a value has no version; ministack's has an empty one.
    """

    def answered(kind: str, result: tuple) -> Data:
        answer = json.loads(result[2])
        if result[0] >= 400:
            raise ValueError(f"{kind}: {answer.get('message') or answer.get('Message')} ({answer.get('__type')})")
        return answer

    schedule = "AWS::SecretsManager::RotationSchedule"
    policy = "AWS::SecretsManager::ResourcePolicy"

    def rotate(props: Data) -> tuple[str, Data]:
        rules = dict(props.get("RotationRules") or {})
        if "AutomaticallyAfterDays" in rules:
            rules["AutomaticallyAfterDays"] = int(rules["AutomaticallyAfterDays"])
        request = {
            "SecretId": props.get("SecretId"),
            "RotationLambdaARN": props.get("RotationLambdaARN"),
            "RotationRules": rules,
            "RotateImmediately": provisioners._cfn_bool(props.get("RotateImmediatelyOnUpdate", True)),
        }
        arn = answered(schedule, secretsmanager._rotate_secret(request))["ARN"]
        return arn, {"Id": arn}

    def put_policy(props: Data) -> tuple[str, Data]:
        document = props.get("ResourcePolicy")
        text = document if isinstance(document, str) else json.dumps(document)
        request = {"SecretId": props.get("SecretId"), "ResourcePolicy": text}
        arn = answered(policy, secretsmanager._put_resource_policy(request))["ARN"]
        return arn, {"Id": arn}

    secret_type = provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]
    plain_create = secret_type["create"]

    def create_secret(logical_id: str, props: Data, stack: str) -> tuple:
        made = plain_create(logical_id, props, stack)
        if not (props.get("SecretString") or props.get("GenerateSecretString")):
            secretsmanager._secrets[made[0]]["Versions"].clear()
        return made

    secret_type["create"] = create_secret
    provisioners._RESOURCE_HANDLERS[schedule] = {
        "create": lambda logical_id, props, stack: rotate(props),
        "update": lambda physical_id, old, new, stack: rotate(new),
        # A missing or no longer rotated secret must not fail a stack's deletion.
        "delete": lambda physical_id, props: cancel({"SecretId": physical_id}),
    }
    provisioners._RESOURCE_HANDLERS[policy] = {
        "create": lambda logical_id, props, stack: put_policy(props),
        "update": lambda physical_id, old, new, stack: put_policy(new),
        "delete": lambda physical_id, props: secretsmanager._delete_resource_policy({"SecretId": physical_id}),
    }
    provisioners._REPLACING_PROPERTIES |= {schedule: ("SecretId",), policy: ("SecretId",)}


def register_routes(cloud: Cloud, engine: Rotations) -> None:
    def latest(arguments: Data) -> tuple[Secret, Rotation | None]:
        with LOCK:
            _, secret = secretsmanager._resolve(arguments.get("secret"))
        if secret is None:
            raise AdminError(f"no secret {arguments.get('secret')!r}")
        return secret, engine.latest.get(secret["ARN"])

    @cloud.route("GET", "rotations")
    async def rotations(arguments: Data) -> Data:
        secret, rotation = latest(arguments)
        idle = {"token": None, "state": "idle", "attempts": 0, "step": None, "error": None, "steps": []}
        return rotation.shown() if rotation else {"secret": secret["ARN"], **idle}

    @cloud.route("POST", "rotations/retry")
    async def retry(arguments: Data) -> Data:
        _, rotation = latest(arguments)
        if not rotation or rotation.state != "waiting":
            raise AdminError(f"no retry is waiting for {arguments['secret']}")
        rotation.retry_now = True
        rotation.wake.set()
        return {}

    @cloud.route("POST", "rotations/settings")
    async def settings(arguments: Data) -> Data:
        if not arguments or set(arguments) - {"retry", "tick_seconds"}:
            raise AdminError("settings are retry and tick_seconds")
        if arguments.get("retry", "auto") not in ("auto", "manual"):
            raise AdminError("retry must be auto or manual")
        tick = arguments.get("tick_seconds", engine.tick_seconds)
        if not isinstance(tick, int | float) or tick <= 0:
            raise AdminError("tick_seconds must be a positive number")
        if tick != engine.tick_seconds:
            engine.tick_seconds = tick
            engine.tick_changed.set()
        if "retry" in arguments:
            engine.manual = arguments["retry"] == "manual"
        for rotation in engine.latest.values():
            rotation.wake.set()
        return {}

    @cloud.route("POST", "secrets/dates")
    async def dates(arguments: Data) -> Data:
        return versions.set_dates(arguments)

    @cloud.route("GET", "rotations/tokens")
    async def tokens(arguments: Data) -> Data:
        return {"tokens": list(engine.rotation_tokens)}

    cloud.facts["clock"] = own_clock.variables()

    def clock() -> Data:
        return {"now": engine.now(), "offset_seconds": versions.CLOCK.offset}

    @cloud.route("GET", "clock")
    async def show_clock(arguments: Data) -> Data:
        return clock()

    @cloud.route("POST", "clock")
    async def advance_clock(arguments: Data) -> Data:
        seconds = arguments.get("advance_seconds")
        if not isinstance(seconds, int | float) or seconds < 0:
            raise AdminError("advance_seconds must be a number, 0 or more")
        with LOCK:
            versions.CLOCK.advance(seconds)
            fired = engine.fire() if arguments.get("fire", True) else []
        if arguments.get("fire", True):
            await asyncio.to_thread(workflows.look_at_schedules)
        return {**clock(), "fired": fired}
