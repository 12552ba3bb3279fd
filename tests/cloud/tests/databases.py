"""Helpers and fixtures for tests that make RDS instances."""

from __future__ import annotations

import itertools
import json
import socket

import psycopg
import pytest
from botocore.exceptions import ClientError
from conftest import wait_for

PASSWORD = "a-Master_password.1"
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def rds(cloud):
    return cloud.client("rds")


def create(rds, version="18.4", retention=0, **more):
    """Requests an instance, which is `creating` when this returns."""
    name = f"db-{next(numbers)}"
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        EngineVersion=version,
        AllocatedStorage=20,
        MasterUsername="master",
        MasterUserPassword=PASSWORD,
        DBName="app",
        BackupRetentionPeriod=retention,
        **more,
    )
    return name


def describe(rds, name):
    return rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]


def all_instances(rds):
    return rds.describe_db_instances()["DBInstances"]


def statuses(rds, name, last="available"):
    """Polls until status `last` (None: until the instance is not found); returns all statuses without repetitions."""
    seen = []

    def reached():
        try:
            status = describe(rds, name)["DBInstanceStatus"]
        except rds.exceptions.DBInstanceNotFoundFault:
            status = None
        if not seen or seen[-1] != status:
            seen.append(status)
        assert status != "failed"
        return status == last

    wait_for(reached, f"{name} to be {last}")
    return seen


def available(rds, name):
    statuses(rds, name)
    return describe(rds, name)


def snapshot(rds, instance, name):
    rds.create_db_snapshot(DBInstanceIdentifier=instance, DBSnapshotIdentifier=name)
    wait_for(lambda: snapshot_of(rds, name)["Status"] == "available", f"{name} to be available")


def snapshot_of(rds, name):
    return rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]


def connect(cloud, instance, **more):
    endpoint = instance["Endpoint"]
    arguments = {
        "user": "master",
        "password": PASSWORD,
        "dbname": "app",
        "sslmode": "verify-full",
        "sslrootcert": cloud.facts["rds_ca"],
        "connect_timeout": 10,
        "autocommit": True,
        **more,
    }
    return psycopg.connect(host=endpoint["Address"], port=endpoint["Port"], **arguments)


def rows(cloud, instance):
    with connect(cloud, instance) as db:
        return [row[0] for row in db.execute("SELECT word FROM words ORDER BY word")]


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def refusal(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


def fault(cloud, name, mode):
    return cloud.admin("POST", "rds/fault", {"instance": name, "mode": mode})


def fault_state(cloud, name):
    return cloud.admin("GET", f"rds/fault?instance={name}")


@pytest.fixture(scope="module")
def shared(cloud, rds):
    """An instance for tests that undo their changes to it."""
    return available(rds, create(rds))


@pytest.fixture(scope="module")
def kept(rds, shared):
    """A snapshot of the shared instance."""
    name = f"{shared['DBInstanceIdentifier']}-kept"
    snapshot(rds, shared["DBInstanceIdentifier"], name)
    statuses(rds, shared["DBInstanceIdentifier"])
    return name


@pytest.fixture
def faulty(cloud, shared):
    """The name of the shared instance, without a fault before and after."""
    yield shared["DBInstanceIdentifier"]
    fault(cloud, shared["DBInstanceIdentifier"], "none")


@pytest.fixture(scope="module")
def queue(cloud):
    """Returns all events of RDS, which a rule on the default bus sends to a queue."""
    sqs, events = cloud.client("sqs"), cloud.client("events")
    url = sqs.create_queue(QueueName="rds-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = events.put_rule(Name="rds-events", EventPattern=json.dumps({"source": ["aws.rds"]}))["RuleArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events.put_targets(Rule="rds-events", Targets=[{"Id": "queue", "Arn": arn}])
    received = []

    def all_events():
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                received.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return received

    return all_events


def event_of(queue, number, source):
    """The detail of the event with this number and source; waits until EventBridge delivers it."""

    def found():
        wanted = (f"RDS-EVENT-{number}", source)
        details = [event["detail"] for event in queue()]
        return [detail for detail in details if (detail["EventID"], detail["SourceIdentifier"]) == wanted]

    [detail] = wait_for(found, f"event {number} of {source}")
    return detail


@pytest.fixture
def orders(cloud):
    """Sets orders for snapshots, and resets them after the test."""
    yield lambda **given: cloud.admin("POST", "rds/snapshots", given)
    cloud.admin("POST", "rds/snapshots", {"fail": 0, "hold": False, "quota": 100})
