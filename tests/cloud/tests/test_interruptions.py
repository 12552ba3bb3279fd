"""An execution is stopped at a state, and a state's call is refused, as a test orders."""

from __future__ import annotations

import pytest
from conftest import wait_for
from test_workflows import MACHINE, TASK, Bench

# A task whose function is called again if Lambda refuses the call.
PATIENT = TASK | {"Retry": [{"ErrorEquals": ["Lambda.ServiceException"], "IntervalSeconds": 10, "MaxAttempts": 2}]}


@pytest.fixture(scope="module")
def bench(cloud):
    return Bench(cloud)


@pytest.fixture(autouse=True)
def calm(cloud):
    yield
    cloud.admin("DELETE", "states/interruptions")


def order(cloud, machine, state, effect, **more):
    return cloud.admin("POST", "states/interruptions", {"machine": machine, "state": state, "effect": effect, **more})


def hits(cloud):
    return [one["hits"] for one in cloud.admin("GET", "states/interruptions")["interruptions"]]


def entered(bench, execution):
    events = bench.states.get_execution_history(executionArn=execution)["events"]
    return [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]


@pytest.mark.parametrize("state", ["Call", "Rest", "Choose", "End"])
def test_an_execution_is_stopped_when_it_enters_a_state(bench, cloud, state):
    machine = bench.make_machine()
    order(cloud, machine, state, "stop")
    ended = bench.run(machine)
    assert (ended["status"], hits(cloud)) == ("ABORTED", [1])
    assert entered(bench, ended["executionArn"])[-1] == state
    # The next execution is not.
    assert bench.run(machine)["status"] == "SUCCEEDED"


def test_an_execution_is_stopped_while_its_function_runs(bench, cloud):
    machine = bench.make_machine()
    order(cloud, machine, "Call", "stop-called", nth=2)
    assert bench.run(machine)["status"] == "SUCCEEDED"
    ended = bench.run(machine)
    assert (ended["status"], hits(cloud)) == ("ABORTED", [1])

    def succeeded():
        events = bench.states.get_execution_history(executionArn=ended["executionArn"])["events"]
        return [event["type"] for event in events if event["type"] == "TaskSucceeded"]

    # The function ran to its end; nothing follows.
    assert wait_for(succeeded, "the function's end") == ["TaskSucceeded"]
    assert entered(bench, ended["executionArn"]) == ["Call"]


@pytest.mark.parametrize(("count", "status"), [(2, "SUCCEEDED"), (3, "FAILED")])
def test_lambda_refuses_as_many_calls_as_ordered(bench, cloud, count, status):
    task = {name: value for name, value in PATIENT.items() if name != "Catch"}
    machine = bench.make_machine(States=MACHINE["States"] | {"Call": task})
    order(cloud, machine, "Call", "refuse", count=count)
    ended = bench.run(machine)
    assert (ended["status"], hits(cloud)) == (status, [count])
    if status == "FAILED":
        assert ended["error"] == "Lambda.ServiceException"


def test_a_fault_is_armed_for_the_stay_in_a_task(bench, cloud):
    first, second = (
        {name: value for name, value in TASK.items() if name != "Next"} | {"Next": later} for later in ("Rest", "End")
    )
    states = MACHINE["States"] | {"Call": first, "Rest": MACHINE["States"]["Rest"] | {"Next": "Again"}, "Again": second}
    machine = bench.make_machine(States=states)
    rule = {"service": "s3", "action": "PutObject", "effect": "drop"}
    order(cloud, machine, "Call", "fault", rule=rule | {"nth": 2})
    order(cloud, machine, "Again", "fault", rule=rule | {"nth": 3}, past="Call", times=1)
    order(cloud, machine, "Again", "fault", rule=rule | {"nth": 4}, past="Call", times=2)
    order(cloud, machine, "Again", "stop-called")
    assert bench.run(machine)["status"] == "ABORTED"
    # The first one's task is over, and the last one's time did not come.
    assert [found["nth"] for found in cloud.admin("GET", "faults")["rules"]] == [10**9, 3]
    assert hits(cloud) == [0, 0, 0, 1]
    cloud.admin("DELETE", "faults")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"state": "Call", "effect": "stop"}, "machine: must be"),
        ({"machine": "m", "state": "Call", "effect": "pause"}, "effect: must be"),
        ({"machine": "m", "state": "Call", "effect": "stop", "nth": 0}, "nth: must be"),
        ({"machine": "m", "state": "Call", "effect": "stop", "hits": 1}, "hits: unknown"),
        ({"machine": "m", "state": "Call", "effect": "fault"}, "rule: belongs"),
        ({"machine": "m", "state": "Call", "effect": "fault", "rule": {"service": "s3"}}, "action: missing"),
    ],
)
def test_an_invalid_order_is_refused(cloud, fields, said):
    with pytest.raises(AssertionError, match=said):
        cloud.admin("POST", "states/interruptions", fields)
