"""A state that waits for its task token, as Step Functions documents it ("Wait for a callback with task token")."""

from __future__ import annotations

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import bootstrap, wait_for
from test_workflows import Bench, document

# Appends the token of its event to a file, then fails if the event says so.
BOOTSTRAP = r"""
import http.client, json, os

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    request, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.loads(answer.read())
    with open(os.environ["TOKENS"], "a") as tokens:
        tokens.write(event["token"] + "\n")
    path, body = "response", {}
    if event["attempt"] < event["failures"]:
        path, body = "error", {"errorType": "Refused", "errorMessage": "told to fail"}
    api.request("POST", f"/2018-06-01/runtime/invocation/{request}/{path}", json.dumps(body))
    api.getresponse().read()
"""

ASK = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
    "Arguments": {
        "FunctionName": "${Function}",
        "Payload": {
            "token": "{% $states.context.Task.Token %}",
            "attempt": "{% $states.context.State.RetryCount %}",
            "failures": "{% $states.input.failures ? $states.input.failures : 0 %}",
        },
    },
    "Output": "{% $states.result %}",
    "Catch": [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.errorOutput %}", "Next": "Caught"}],
    "End": True,
}


class Asking(Bench):
    """State machines whose only state waits for its token."""

    def __init__(self, cloud, folder):
        self.tokens = folder / "tokens"
        self.tokens.touch()
        super().__init__(cloud)

    def make_function(self) -> str:
        name = f"asked-{uuid.uuid4().hex[:8]}"
        made = self.cloud.client("lambda").create_function(
            FunctionName=name,
            Role=self.make_role("lambda"),
            Code={"ZipFile": bootstrap(BOOTSTRAP)},
            Runtime="provided.al2023",
            Handler="bootstrap",
            Timeout=30,
            Environment={"Variables": {"TOKENS": str(self.tokens)}},
        )
        return made["FunctionArn"]

    def ask(self, given=None, **changes) -> str:
        """Starts an execution of a new machine."""
        states = {"Ask": ASK | changes, "Caught": {"Type": "Pass", "End": True}}
        machine = self.make_machine(StartAt="Ask", States=states)
        started = self.states.start_execution(stateMachineArn=machine, input=json.dumps(given or {}))
        return started["executionArn"]

    def all_tokens(self) -> list[str]:
        return self.tokens.read_text().split()

    def next_token(self, execution: str, after: int) -> str:
        """The token of a task that waits, the next one after `after` tokens."""
        wait_for(lambda: len(self.all_tokens()) > after, "a token")
        there = {"execution": execution, "state": "Ask"}
        wait_for(lambda: there in self.cloud.admin("GET", "states/tokens")["waiting"], "a task that waits")
        return self.all_tokens()[after]

    def output(self, execution: str):
        found = self.ended(execution)
        assert found["status"] == "SUCCEEDED", found
        return json.loads(found["output"])


@pytest.fixture(scope="module")
def bench(cloud, tmp_path_factory):
    return Asking(cloud, tmp_path_factory.mktemp("asking"))


def refusal(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


def test_a_token_ends_its_task_once(bench):
    before = len(bench.all_tokens())
    execution = bench.ask()
    token = bench.next_token(execution, before)
    assert bench.states.describe_execution(executionArn=execution)["status"] == "RUNNING"
    assert refusal(bench.states.send_task_success, taskToken=token, output="not JSON") == "InvalidOutput"
    assert refusal(bench.states.send_task_success, taskToken="no token", output="{}") == "InvalidToken"
    bench.states.send_task_success(taskToken=token, output='{"by": "Ana"}')
    assert bench.output(execution) == {"by": "Ana"}
    for call in (bench.states.send_task_success, bench.states.send_task_failure, bench.states.send_task_heartbeat):
        more = {"output": "{}"} if call == bench.states.send_task_success else {}
        assert refusal(call, taskToken=token, **more) == "TaskTimedOut"

    execution = bench.ask()
    token = bench.next_token(execution, before + 1)
    bench.states.send_task_failure(taskToken=token, error="Rejected", cause="not this copy")
    assert bench.output(execution) == {"Error": "Rejected", "Cause": "not this copy"}


def test_a_function_that_fails_fails_the_task_and_each_attempt_has_its_own_token(bench):
    before = len(bench.all_tokens())
    assert bench.output(bench.ask({"failures": 1}))["Error"] == "Refused"
    retry = [{"ErrorEquals": ["Refused"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    execution = bench.ask({"failures": 1}, Retry=retry)
    last = bench.next_token(execution, before + 2)
    first = bench.all_tokens()[before + 1]
    assert first != last
    assert refusal(bench.states.send_task_success, taskToken=first, output="{}") == "TaskTimedOut"
    bench.states.send_task_success(taskToken=last, output='"done"')
    assert bench.output(execution) == "done"


def test_a_task_ends_at_its_time_limits(bench):
    before = len(bench.all_tokens())
    assert bench.output(bench.ask(TimeoutSeconds=20))["Error"] == "States.Timeout"
    expression = "{% $states.input.seconds %}"
    assert bench.output(bench.ask({"seconds": 20}, TimeoutSeconds=expression))["Error"] == "States.Timeout"
    execution = bench.ask(HeartbeatSeconds=300, TimeoutSeconds=30_000)
    token = bench.next_token(execution, before + 2)
    bench.states.send_task_heartbeat(taskToken=token)
    assert bench.output(execution)["Error"] == "States.HeartbeatTimeout"
    assert refusal(bench.states.send_task_heartbeat, taskToken=token) == "TaskTimedOut"
    assert bench.output(bench.ask(HeartbeatSeconds=30, TimeoutSeconds=30))["Error"] == "States.Runtime"
    execution = bench.ask()
    bench.next_token(execution, before + 3)
    assert bench.cloud.admin("POST", "states/expire", {"execution": execution}) == {"expired": ["Ask"]}
    assert bench.output(execution)["Error"] == "States.Timeout"


def test_a_stopped_execution_ends_its_token(bench):
    before = len(bench.all_tokens())
    execution = bench.ask()
    token = bench.next_token(execution, before)
    bench.states.stop_execution(executionArn=execution)
    assert refusal(bench.states.send_task_success, taskToken=token, output="{}") == "TaskTimedOut"
    assert bench.ended(execution)["status"] == "ABORTED"
    with pytest.raises(AssertionError, match="waits"):
        bench.cloud.admin("POST", "states/expire", {"execution": execution})


def test_the_function_and_the_token_need_leave(bench, cloud):
    before = len(bench.all_tokens())
    execution = bench.ask()
    token = bench.next_token(execution, before)
    machine = bench.states.describe_execution(executionArn=execution)["stateMachineArn"]
    iam = cloud.client("iam")

    def user(resource):
        name = f"answers-{uuid.uuid4().hex[:8]}"
        iam.create_user(UserName=name)
        statement = {"Effect": "Allow", "Action": "states:SendTaskSuccess", "Resource": resource}
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=document(statement))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return cloud.client(
            "stepfunctions",
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        )

    other = user(f"{machine}-other")
    assert refusal(other.send_task_success, taskToken=token, output="{}") == "AccessDeniedException"
    user(machine).send_task_success(taskToken=token, output="1")
    assert bench.output(execution) == 1

    role = bench.make_role("states", "lambda:InvokeFunction", f"{bench.function}-other")
    machine = bench.make_machine(role, StartAt="Ask", States={"Ask": ASK, "Caught": {"Type": "Pass", "End": True}})
    started = bench.states.start_execution(stateMachineArn=machine, input="{}")
    assert bench.output(started["executionArn"])["Error"] == "Lambda.AWSLambdaException"
