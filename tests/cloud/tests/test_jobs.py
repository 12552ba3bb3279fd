"""Tasks that run once: their life, their effect on the database, and the permissions to start them."""

from __future__ import annotations

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import wait_for
from databases import PASSWORD, available, connect, create


@pytest.fixture(scope="module")
def instance(cloud):
    rds = cloud.client("rds")
    return available(rds, create(rds, "18.4"))


class Family:
    """A task definition with the database's URL."""

    def __init__(self, cloud, instance, **more):
        self.cloud, self.ecs = cloud, cloud.client("ecs")
        self.name = f"migrate-{uuid.uuid4().hex[:8]}"
        endpoint = instance["Endpoint"]
        self.place = f"{endpoint['Address']}:{endpoint['Port']}/app"
        url = f"postgres://master:{PASSWORD}@{self.place}"
        self.secret = cloud.client("secretsmanager").create_secret(Name=f"{self.name}-url", SecretString=url)["ARN"]
        self.arn = self.register(**more)

    def register(self, **more):
        container = {
            "name": "migrate",
            "image": "moveongs/api:1",
            "secrets": [{"name": "DATABASE_URL", "valueFrom": self.secret}],
        }
        made = self.ecs.register_task_definition(family=self.name, containerDefinitions=[container], **more)
        return made["taskDefinition"]["taskDefinitionArn"]

    def order(self, **fields):
        self.cloud.admin("POST", "ecs/jobs", {"family": self.name, **fields})

    def start(self, **more):
        (task,) = self.ecs.run_task(cluster="jobs", taskDefinition=self.name, **more)["tasks"]
        return task["taskArn"]

    def describe(self, task):
        (found,) = self.ecs.describe_tasks(cluster="jobs", tasks=[task])["tasks"]
        return found

    def ended(self, task):
        return wait_for(lambda: (found := self.describe(task))["lastStatus"] == "STOPPED" and found, "the task's end")

    def job(self, task):
        (job,) = [each for each in self.cloud.admin("GET", "ecs/jobs")["jobs"] if each["task"] == task]
        return job


def refusal(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


def test_a_task_changes_the_database_and_exits(cloud, instance):
    family = Family(cloud, instance)
    family.order(sql=["CREATE TABLE migrated (id int)", "INSERT INTO migrated VALUES (1)"])
    overrides = {"containerOverrides": [{"name": "migrate", "command": ["migrate", "up"]}]}
    task = family.start(startedBy="restore/1", overrides=overrides)
    first = family.describe(task)
    assert (first["lastStatus"], first["group"]) == ("PROVISIONING", f"family:{family.name}")
    found = family.ended(task)
    assert (found["stopCode"], found["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert found["containers"][0]["exitCode"] == 0
    with connect(cloud, instance) as db:
        assert db.execute("SELECT count(*) FROM migrated").fetchone() == (1,)
    job = family.job(task)
    assert (job["database"], job["statements"], job["started_by"]) == (family.place, 2, "restore/1")
    assert job["command"] == ["migrate", "up"]
    stopped = family.ecs.list_tasks(cluster="jobs", startedBy="restore/1", desiredStatus="STOPPED")["taskArns"]
    assert stopped == [task]


def test_a_task_fails_as_ordered_or_by_its_statement(cloud, instance):
    family = Family(cloud, instance)
    family.order(exit=3)
    assert family.ended(family.start())["containers"][0]["exitCode"] == 3
    family.order(sql=["CREATE TABLE half (id int)", "SELECT nothing", "DROP TABLE half"])
    task = family.start()
    assert family.ended(task)["containers"][0]["exitCode"] == 1
    assert family.job(task)["statements"] == 1
    family.order(cannot_start=True)
    found = family.ended(family.start())
    assert found["stopCode"] == "TaskFailedToStart" and "exitCode" not in found["containers"][0]
    family.order(hold=True)
    task = family.start()
    wait_for(lambda: family.describe(task)["lastStatus"] == "RUNNING", "a running task")
    family.ecs.stop_task(cluster="jobs", task=task, reason="enough")
    found = family.ended(task)
    assert (found["stopCode"], found["stoppedReason"]) == ("UserInitiated", "enough")


def test_a_repeated_request_starts_nothing_new(cloud, instance):
    family = Family(cloud, instance)
    token = uuid.uuid4().hex
    task = family.start(clientToken=token)
    assert family.start(clientToken=token) == task
    other = {"cluster": "jobs", "taskDefinition": family.name, "clientToken": token, "startedBy": "another"}
    assert refusal(family.ecs.run_task, **other) == "ConflictException"
    assert family.start(clientToken=uuid.uuid4().hex) != task


def test_requests_that_ecs_refuses(cloud, instance):
    family = Family(cloud, instance, networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512")
    at = {"cluster": "jobs", "taskDefinition": family.name, "launchType": "FARGATE"}
    assert refusal(family.ecs.run_task, **at) == "InvalidParameterException"
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
    assert family.ecs.run_task(**at, networkConfiguration=network)["tasks"]
    assert refusal(family.ecs.run_task, cluster="jobs", taskDefinition="none") == "ClientException"
    family.ecs.deregister_task_definition(taskDefinition=family.arn)
    assert refusal(family.ecs.run_task, **{**at, "taskDefinition": family.arn}) == "ClientException"


def test_permissions_are_those_of_the_revision_the_roles_and_the_task(cloud, instance):
    iam, name = cloud.client("iam"), f"starts-{uuid.uuid4().hex[:8]}"
    trust = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": trust})
    roles = {
        role: iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        for role in ("jobs-execution", "jobs-task")
    }
    family = Family(cloud, instance, executionRoleArn=roles["jobs-execution"], taskRoleArn=roles["jobs-task"])
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    ecs = cloud.client("ecs", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    def allow(*statements):
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(document))

    run = {"Effect": "Allow", "Action": "ecs:RunTask", "Resource": family.arn}
    passes = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": list(roles.values())}
    passes["Condition"] = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    cluster = "arn:aws:ecs:us-east-1:000000000000:cluster/jobs"
    run["Condition"] = {"ArnEquals": {"ecs:cluster": cluster}}
    start = {"cluster": "jobs", "taskDefinition": family.arn}
    allow(run)
    assert refusal(ecs.run_task, **start) == "AccessDeniedException"
    allow(run, {**passes, "Resource": [roles["jobs-task"]]})
    assert refusal(ecs.run_task, **start) == "AccessDeniedException"
    allow({**run, "Resource": f"{family.arn}0"}, passes)
    assert refusal(ecs.run_task, **start) == "AccessDeniedException"
    allow({**run, "Resource": family.arn.rpartition(":")[0]}, passes)
    assert ecs.run_task(cluster="jobs", taskDefinition=family.name)["tasks"]
    tasks = "arn:aws:ecs:us-east-1:000000000000:task/jobs/*"
    allow(run, passes, {"Effect": "Allow", "Action": "ecs:DescribeTasks", "Resource": tasks})
    (task,) = ecs.run_task(**start)["tasks"]
    assert ecs.describe_tasks(cluster="jobs", tasks=[task["taskArn"]])["tasks"]
    assert refusal(ecs.stop_task, cluster="jobs", task=task["taskArn"]) == "AccessDeniedException"
    container = {"name": "api", "image": "moveongs/api:1"}
    definition = {"family": family.name, "containerDefinitions": [container], "taskRoleArn": roles["jobs-task"]}
    register = {"Effect": "Allow", "Action": "ecs:RegisterTaskDefinition", "Resource": f"{family.arn[:-1]}2"}
    allow(register)
    assert refusal(ecs.register_task_definition, **definition) == "AccessDeniedException"
    allow({**register, "Resource": family.arn}, passes)
    assert refusal(ecs.register_task_definition, **definition) == "AccessDeniedException"
    allow(register, passes)
    tags = [{"key": "ManagedBy", "value": "test"}]
    assert refusal(ecs.register_task_definition, **definition, tags=tags) == "AccessDeniedException"
    allow({**register, "Action": [register["Action"], "ecs:TagResource"]}, passes)
    assert ecs.register_task_definition(**definition, tags=tags)["taskDefinition"]["revision"] == 2
