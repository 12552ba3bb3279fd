"""An event or a schedule starts an execution, and an execution calls a function, with the roles AWS requires."""

from __future__ import annotations

import json
import uuid

import pytest
from conftest import bootstrap, stack_is, wait_for

ACCOUNT = "000000000000"
ARN = f"us-east-1:{ACCOUNT}"

# Answers with its event; fails with the event's error name for as many attempts as the event's `failures`.
BOOTSTRAP = r"""
import http.client, json, os

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    request, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.loads(answer.read())
    path, body = "response", {"seen": event}
    if event.get("attempt", 0) < event.get("failures", 0):
        path, body = "error", {"errorType": event["error"], "errorMessage": "told to fail"}
    api.request("POST", f"/2018-06-01/runtime/invocation/{request}/{path}", json.dumps(body))
    api.getresponse().read()
"""

TASK = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Arguments": {
        "FunctionName": "${Function}",
        "Payload": {
            "attempt": "{% $states.context.State.RetryCount %}",
            "failures": "{% $states.input.failures ? $states.input.failures : 0 %}",
            "error": "Throttled",
            "execution": "{% $states.context.Execution.Name %}",
        },
    },
    "Assign": {"seen": "{% $states.result.Payload.seen %}"},
    "Output": {"wait": "{% $states.result.Payload.seen.attempt %}"},
    "Retry": [{"ErrorEquals": ["Throttled"], "IntervalSeconds": 30, "BackoffRate": 2, "MaxAttempts": 2}],
    "Catch": [
        {
            "ErrorEquals": ["States.ALL"],
            "Output": {"caught": "{% $states.errorOutput.Error %}", "cause": "{% $states.errorOutput.Cause %}"},
            "Next": "Caught",
        }
    ],
    "Next": "Rest",
}
MACHINE = {
    "QueryLanguage": "JSONata",
    "StartAt": "Call",
    "TimeoutSeconds": 6000,
    "States": {
        "Call": TASK,
        "Rest": {"Type": "Wait", "Seconds": "{% 60 * $states.input.wait %}", "Next": "Choose"},
        "Choose": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $seen.attempt > 1 %}", "Next": "Late"}],
            "Default": "End",
        },
        "Late": {"Type": "Pass", "Output": {"late": "{% $seen.attempt %}"}, "End": True},
        "Caught": {"Type": "Pass", "End": True},
        "End": {"Type": "Pass", "Output": {"input": "{% $states.context.Execution.Input %}"}, "End": True},
    },
}


def document(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Bench:
    def __init__(self, cloud):
        self.cloud = cloud
        self.states = cloud.client("stepfunctions")
        self.function = self.make_function()

    def make_function(self) -> str:
        name = f"workflow-{uuid.uuid4().hex[:8]}"
        made = self.cloud.client("lambda").create_function(
            FunctionName=name,
            Role=self.make_role("lambda"),
            Code={"ZipFile": bootstrap(BOOTSTRAP)},
            Runtime="provided.al2023",
            Handler="bootstrap",
            Timeout=30,
        )
        return made["FunctionArn"]

    def make_role(self, service: str, action: str | None = None, resource: str = "*") -> str:
        iam, name = self.cloud.client("iam"), f"workflow-{uuid.uuid4().hex[:8]}"
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": f"{service}.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
        if action:
            rights = document({"Effect": "Allow", "Action": action, "Resource": resource})
            iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=rights)
        return role["Role"]["Arn"]

    def make_machine(self, role: str | None = None, **changes) -> str:
        text = json.dumps(MACHINE | changes).replace("${Function}", self.function)
        role = role or self.make_role("states", "lambda:InvokeFunction", self.function)
        name = f"workflow-{uuid.uuid4().hex[:8]}"
        return self.states.create_state_machine(name=name, definition=text, roleArn=role)["stateMachineArn"]

    def run(self, machine: str, **given) -> dict:
        started = self.states.start_execution(stateMachineArn=machine, input=json.dumps(given))
        return self.ended(started["executionArn"])

    def ended(self, execution: str) -> dict:
        def over():
            found = self.states.describe_execution(executionArn=execution)
            return found if found["status"] != "RUNNING" else None

        return wait_for(over, "the execution to end")

    def executions(self, machine: str) -> list[str]:
        found = self.states.list_executions(stateMachineArn=machine)["executions"]
        return [execution["executionArn"] for execution in found]

    def started(self, machine: str) -> dict:
        return self.ended(wait_for(lambda: self.executions(machine), "an execution")[0])

    def make_rule(self, machine: str, role: str, **target) -> str:
        """Creates a rule for a new source and returns the source."""
        events, source = self.cloud.client("events"), f"test.{uuid.uuid4().hex[:8]}"
        events.put_rule(Name=source, EventPattern=json.dumps({"source": [source]}))
        events.put_targets(Rule=source, Targets=[{"Id": "machine", "Arn": machine, "RoleArn": role, **target}])
        return source

    def send(self, source: str, **detail) -> None:
        entry = {"Source": source, "DetailType": "Test", "Detail": json.dumps(detail)}
        assert self.cloud.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


@pytest.fixture(scope="module")
def bench(cloud):
    return Bench(cloud)


def output(execution: dict):
    assert execution["status"] == "SUCCEEDED", execution
    return json.loads(execution["output"])


def test_an_execution_calls_a_function_and_passes_on_what_it_answered(bench):
    assert output(bench.run(bench.make_machine(), a=1)) == {"input": {"a": 1}}


def test_an_error_is_retried_by_its_name_and_then_caught(bench):
    machine = bench.make_machine()
    assert output(bench.run(machine, failures=2)) == {"late": 2}
    found = output(bench.run(machine, failures=3))
    assert found["caught"] == "Throttled"
    assert json.loads(found["cause"])["errorMessage"] == "told to fail"


@pytest.mark.parametrize("action", [None, "lambda:GetFunction"])
def test_an_execution_needs_its_roles_leave_to_call_the_function(bench, action):
    found = output(bench.run(bench.make_machine(bench.make_role("states", action))))
    assert found["caught"] == "Lambda.AWSLambdaException"
    assert "is not authorized to perform: lambda:InvokeFunction" in found["cause"]


def test_leave_for_another_function_or_to_another_service_is_none(bench):
    other = bench.make_role("states", "lambda:InvokeFunction", f"arn:aws:lambda:{ARN}:function:other")
    assert output(bench.run(bench.make_machine(other)))["caught"] == "Lambda.AWSLambdaException"
    untrusted = bench.make_role("lambda", "lambda:InvokeFunction", bench.function)
    assert "does not trust" in output(bench.run(bench.make_machine(untrusted)))["cause"]


def test_an_execution_is_over_at_its_machines_time_limit(bench):
    states = {"Call": {"Type": "Wait", "Seconds": 30_000, "Next": "Caught"}, "Caught": MACHINE["States"]["Caught"]}
    found = bench.run(bench.make_machine(TimeoutSeconds=10, States=states))
    assert (found["status"], found["error"]) == ("TIMED_OUT", "States.Timeout")
    assert "output" not in found


def test_a_function_that_is_throttled_has_its_own_error(bench, cloud):
    functions = cloud.client("lambda")
    functions.put_function_concurrency(FunctionName=bench.function, ReservedConcurrentExecutions=0)
    try:
        found = output(bench.run(bench.make_machine()))
    finally:
        functions.delete_function_concurrency(FunctionName=bench.function)
    assert found["caught"] == "Lambda.TooManyRequestsException"


@pytest.mark.parametrize("integration", ["aws-sdk:sqs:listQueues", "sqs:sendMessage.waitForTaskToken"])
def test_what_the_cloud_does_not_judge_fails(bench, integration):
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{integration}", "Arguments": {}, "End": True}
    assert bench.run(bench.make_machine(States={"Call": task}))["error"] == "States.Runtime"


def test_succeed_has_an_output_and_parallel_none_that_would_be_passed_over(bench):
    succeed = {"Type": "Succeed", "Output": {"got": "{% $states.input.a %}"}}
    assert output(bench.run(bench.make_machine(States={"Call": succeed}), a=1)) == {"got": 1}
    branch = {"StartAt": "Only", "States": {"Only": succeed}}
    parallel = {"Type": "Parallel", "Branches": [branch], "End": True}
    assert output(bench.run(bench.make_machine(States={"Call": parallel}), a=1)) == [{"got": 1}]
    found = bench.run(bench.make_machine(States={"Call": {**parallel, "Output": {}}}), a=1)
    assert (found["error"], found["cause"]) == (
        "States.Runtime",
        "Output of a Parallel state is not served by the local cloud",
    )


def test_a_rule_starts_an_execution_with_the_event(bench):
    machine = bench.make_machine()
    source = bench.make_rule(machine, bench.make_role("events", "states:StartExecution", machine))
    bench.send(source, name="a")
    event = output(bench.started(machine))["input"]
    assert (event["source"], event["detail-type"], event["detail"]) == (source, "Test", {"name": "a"})


@pytest.mark.parametrize(
    "target",
    [
        {"Input": json.dumps({"only": "a"})},
        {"InputTransformer": {"InputPathsMap": {"name": "$.detail.name"}, "InputTemplate": '{"only": <name>}'}},
    ],
)
def test_a_rule_starts_an_execution_with_its_own_input(bench, target):
    machine = bench.make_machine()
    source = bench.make_rule(machine, bench.make_role("events", "states:StartExecution", machine), **target)
    bench.send(source, name="a")
    assert output(bench.started(machine))["input"] == {"only": "a"}


def test_a_rule_needs_its_roles_leave_to_start_an_execution(bench):
    machine = bench.make_machine()
    untrusted = bench.make_role("states", "states:StartExecution", machine)
    other = bench.make_role("events", "states:StartExecution", f"{machine}-other")
    refused = [bench.make_rule(machine, role) for role in (untrusted, other)]
    for source in refused:
        bench.send(source)
    # Events of one client are handled in order, so the refused execution would have started first.
    bench.send(bench.make_rule(machine, bench.make_role("events", "states:StartExecution", machine)), last=True)
    assert output(bench.started(machine))["input"]["detail"] == {"last": True}
    assert len(bench.executions(machine)) == 1


def test_a_schedule_needs_its_roles_leave_to_start_an_execution(bench, cloud):
    schedules = cloud.client("scheduler")
    machine = bench.make_machine()
    roles = {
        "a": bench.make_role("events", "states:StartExecution", machine),
        "b": bench.make_role("scheduler", "states:StartExecution", f"{machine}-other"),
        "c": bench.make_role("scheduler", "states:StartExecution", machine),
    }
    # All are due at once, and the scheduler checks them in order of creation.
    for name, role in roles.items():
        schedules.create_schedule(
            Name=f"{machine.rpartition(':')[2]}-{name}",
            ScheduleExpression="at(2026-01-01T00:00:00)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": machine, "RoleArn": role, "Input": json.dumps({"name": name})},
        )
    assert output(bench.started(machine))["input"] == {"name": "c"}
    assert len(bench.executions(machine)) == 1


@pytest.mark.parametrize("form", ["address", "bucket and key"])
def test_a_template_makes_a_machine_that_events_and_schedules_start(bench, cloud, form):
    bucket, prefix = f"workflow-{uuid.uuid4().hex[:8]}", f"workflow-{uuid.uuid4().hex[:8]}"
    storage, stacks = cloud.client("s3"), cloud.client("cloudformation")
    storage.create_bucket(Bucket=bucket)
    storage.put_object(Bucket=bucket, Key="machine", Body=json.dumps(MACHINE))
    uri = f"s3://{bucket}/machine" if form == "address" else {"Bucket": bucket, "Key": "machine"}
    machine = f"arn:aws:states:{ARN}:stateMachine:{prefix}"
    dimensions = [{"Name": "StateMachineArn", "Value": {"Ref": "Machine"}}]

    def alarm(metric: str) -> dict:
        properties = {
            "Namespace": "AWS/States",
            "MetricName": metric,
            "Dimensions": dimensions,
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
        }
        return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}

    template = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            "Dead": {"Type": "AWS::SQS::Queue"},
            "Machine": {
                "Type": "AWS::Serverless::StateMachine",
                "Properties": {
                    "Name": prefix,
                    "DefinitionUri": uri,
                    "DefinitionSubstitutions": {"Function": {"Fn::Join": [":", bench.function.split(":")]}},
                    "Role": bench.make_role("states", "lambda:InvokeFunction", bench.function),
                    "Events": {
                        "Label": {
                            "Type": "EventBridgeRule",
                            "Properties": {
                                "Pattern": {"source": [prefix]},
                                "InputPath": "$.detail",
                                "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Dead", "Arn"]}},
                                "RetryPolicy": {"MaximumRetryAttempts": 2},
                            },
                        },
                        "Daily": {
                            "Type": "ScheduleV2",
                            "Properties": {
                                "Name": prefix,
                                "ScheduleExpression": "at(2026-01-01T00:00:00)",
                                "ScheduleExpressionTimezone": "America/Sao_Paulo",
                                "Input": json.dumps({"scheduled": True}),
                                "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Dead", "Arn"]}},
                            },
                        },
                    },
                },
            },
            "Failed": alarm("ExecutionsFailed"),
            "Late": alarm("ExecutionsTimedOut"),
        },
        "Outputs": {"Machine": {"Value": {"Ref": "Machine"}}},
    }
    stacks.create_stack(
        StackName=prefix,
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    stack_is(stacks, prefix, "CREATE_COMPLETE")
    (stack,) = stacks.describe_stacks(StackName=prefix)["Stacks"]
    assert stack["Outputs"][0]["OutputValue"] == machine
    bench.send(prefix, name="a")
    both = wait_for(lambda: len(found := bench.executions(machine)) > 1 and found, "an execution for each")
    inputs = [output(bench.ended(execution))["input"] for execution in both]
    assert sorted(inputs, key=str) == [{"name": "a"}, {"scheduled": True}]
    schedule = cloud.client("scheduler").get_schedule(Name=prefix)
    assert schedule["ScheduleExpressionTimezone"] == "America/Sao_Paulo"
    stacks.delete_stack(StackName=prefix)
    stack_is(stacks, stack["StackId"], "DELETE_COMPLETE")
