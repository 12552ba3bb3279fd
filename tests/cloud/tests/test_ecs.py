"""ECS's rollouts as a caller observes them, and the permissions to read and start them."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import wait_for

SCOPE = "us-east-1:000000000000"


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def value() -> str:
    return f"{uuid.uuid4()}"


class Service:
    """A service in its own cluster, with the application's secret."""

    def __init__(self, cloud, desired: int = 2, breaker: dict | None = None, source: str = "{arn}"):
        self.cloud = cloud
        self.ecs, self.secrets = cloud.client("ecs"), cloud.client("secretsmanager")
        self.cluster, self.name = f"cluster-{uuid.uuid4().hex[:8]}", "api"
        self.at = {"cluster": self.cluster, "service": self.name}
        self.values = [value()]
        self.secret = self.secrets.create_secret(Name=f"{self.cluster}-jwt", SecretString=self.values[0])["ARN"]
        self.ecs.create_cluster(clusterName=self.cluster)
        self.definition = self.define(source.format(arn=self.secret, name=f"{self.cluster}-jwt"))
        configuration = {"deploymentConfiguration": {"deploymentCircuitBreaker": breaker}} if breaker else {}
        self.ecs.create_service(
            cluster=self.cluster,
            serviceName=self.name,
            taskDefinition=self.definition,
            desiredCount=desired,
            launchType="FARGATE",
            **configuration,
        )

    def define(self, source: str) -> str:
        container = {
            "name": "api",
            "image": "moveongs/api",
            "environment": [{"name": "PORT", "value": "3333"}],
            "secrets": [{"name": "JWT_SECRET", "valueFrom": source}],
        }
        made = self.ecs.register_task_definition(family=self.cluster, containerDefinitions=[container])
        return made["taskDefinition"]["taskDefinitionArn"]

    def shown(self) -> dict:
        (service,) = self.ecs.describe_services(cluster=self.cluster, services=[self.name])["services"]
        return service

    def primary(self) -> dict:
        return next(each for each in self.shown()["deployments"] if each["status"] == "PRIMARY")

    def force(self, **changes) -> str:
        made = self.ecs.update_service(**self.at, forceNewDeployment=True, **changes)["service"]
        return made["deployments"][0]["id"]

    def order(self, **fields) -> dict:
        return self.cloud.admin("POST", "ecs/rollouts", {**self.at, **fields})

    def change_secret(self, new: str | None = None) -> None:
        self.values.append(new or value())
        self.secrets.put_secret_value(SecretId=self.secret, SecretString=self.values[-1])

    def until(self, state: str) -> dict:
        return wait_for(lambda: (found := self.primary())["rolloutState"] == state and found, f"a {state} rollout")

    def tasks(self) -> list[dict]:
        found = self.cloud.admin("GET", "ecs/tasks")["services"]
        (mine,) = [each for each in found if (each["cluster"], each["service"]) == (self.cluster, self.name)]
        return mine["tasks"]

    def held(self) -> list[str]:
        """The digests of the JWT secrets of the running tasks, oldest first."""
        return [task["secrets"]["JWT_SECRET"] for task in self.tasks()]


def test_a_service_starts_its_tasks_and_a_forced_deployment_replaces_them(cloud):
    service = Service(cloud)
    first = service.until("COMPLETED")
    assert re.fullmatch(r"ecs-svc/\d{19}", first["id"])
    assert first["rolloutStateReason"] == f"ECS deployment {first['id']} completed."
    before = service.tasks()
    assert service.held() == [digest(service.values[0])] * 2
    assert {task["deployment"] for task in before} == {first["id"]}

    service.change_secret()
    service.order(hold_after=1)
    second = service.force()
    held = wait_for(
        lambda: digest(service.values[1]) in (found := service.held()) and len(found) == 2 and found, "a new task"
    )
    assert held == [digest(each) for each in service.values], "one former task stays for the one that is to come"
    shown = service.shown()
    assert (shown["runningCount"], shown["pendingCount"]) == (2, 0)
    new, old = shown["deployments"]
    assert (new["id"], new["status"], new["rolloutState"]) == (second, "PRIMARY", "IN_PROGRESS")
    assert new["rolloutStateReason"] == f"ECS deployment {second} in progress."
    assert (new["desiredCount"], new["runningCount"], new["failedTasks"]) == (2, 1, 0)
    assert (old["id"], old["status"], old["desiredCount"], old["runningCount"]) == (first["id"], "ACTIVE", 1, 1)
    assert new["createdAt"] >= old["createdAt"] and new["taskDefinition"] == service.definition

    service.order(hold_after=None)
    assert service.until("COMPLETED")["id"] == second
    assert [each["id"] for each in service.shown()["deployments"]] == [second]
    assert service.held() == [digest(service.values[1])] * 2
    assert not {task["task"] for task in before} & {task["task"] for task in service.tasks()}


def test_a_task_keeps_the_value_that_was_current_when_it_started(cloud):
    service = Service(cloud, desired=1)
    service.until("COMPLETED")
    service.change_secret()
    assert service.held() == [digest(service.values[0])]
    (task,) = service.tasks()
    service.ecs.stop_task(cluster=service.cluster, task=task["task"])
    wait_for(lambda: service.held() == [digest(service.values[1])], "the task that replaces it")
    assert service.primary()["rolloutState"] == "COMPLETED"


@pytest.mark.parametrize("source", ["{arn}", "{short}", "{name}", "{arn}:::", "{arn}::AWSPREVIOUS:", "{json}:jwt::"])
def test_every_form_of_a_secrets_name_is_resolved(cloud, source):
    secrets, name = cloud.client("secretsmanager"), f"forms-{uuid.uuid4().hex[:8]}"
    old, new = value(), value()
    arn = secrets.create_secret(Name=name, SecretString=old)["ARN"]
    secrets.put_secret_value(SecretId=arn, SecretString=new)
    other = secrets.create_secret(Name=f"{name}-json", SecretString=json.dumps({"jwt": new}))["ARN"]
    source = source.replace("{arn}", arn).replace("{short}", arn[:-7]).replace("{name}", name).replace("{json}", other)
    service = Service(cloud, desired=1, source=source)
    service.until("COMPLETED")
    assert service.held() == [digest(old if "AWSPREVIOUS" in source else new)]


def test_a_second_force_supersedes_the_first(cloud):
    service = Service(cloud)
    service.until("COMPLETED")
    service.order(hold_after=1)
    first = service.force()
    wait_for(lambda: service.primary()["runningCount"] == 1, "one task of the first")
    service.change_secret()
    second = service.force()
    service.order(hold_after=None)
    assert service.until("COMPLETED")["id"] == second != first
    assert service.held() == [digest(service.values[1])] * 2


@pytest.mark.parametrize("how", ["told", "short secret", "no such secret"])
def test_without_a_circuit_breaker_a_rollout_that_fails_goes_on_for_ever(cloud, how):
    service = Service(cloud)
    service.until("COMPLETED")
    before, changes = service.held(), {}
    if how == "told":
        assert service.order(fail_tasks=-1) == {**service.at, "fail_tasks": -1, "hold_after": None, "bake": True}
    elif how == "short secret":
        service.change_secret("short")
    else:
        changes["taskDefinition"] = service.define(f"arn:aws:secretsmanager:{SCOPE}:secret:none-abcdef")
    service.force(**changes)
    failing = wait_for(lambda: (found := service.primary())["failedTasks"] > 3 and found, "more than three failures")
    assert (failing["rolloutState"], failing["runningCount"]) == ("IN_PROGRESS", 0)
    assert service.held() == before, "the former tasks go on"

    if how == "told":
        service.order(fail_tasks=0)
    service.change_secret()
    service.force(taskDefinition=service.definition)
    service.until("COMPLETED")
    assert service.held() == [digest(service.values[-1])] * 2


def test_a_circuit_breaker_ends_a_rollout_after_three_failures(cloud):
    service = Service(cloud, breaker={"enable": True, "rollback": False})
    service.until("COMPLETED")
    before = service.held()
    service.order(fail_tasks=2)
    service.force()
    assert service.until("COMPLETED")["failedTasks"] == 2
    service.order(fail_tasks=-1)
    failed = service.force()
    found = service.until("FAILED")
    assert (found["id"], found["failedTasks"], found["desiredCount"]) == (failed, 3, 0)
    assert found["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    assert service.held() == before


def test_a_circuit_breaker_rolls_back_to_the_last_completed_task_definition(cloud):
    service = Service(cloud, breaker={"enable": True, "rollback": True})
    service.until("COMPLETED")
    broken = service.force(taskDefinition=service.define(f"arn:aws:secretsmanager:{SCOPE}:secret:none-abcdef"))
    wait_for(lambda: service.primary()["id"] != broken, "the rollback")
    states = {each["id"]: (each["status"], each["rolloutState"]) for each in service.shown()["deployments"]}
    back = service.until("COMPLETED")
    assert states.get(broken) in (("ACTIVE", "FAILED"), None)
    assert back["taskDefinition"] == service.definition == service.shown()["taskDefinition"]
    assert {task["deployment"] for task in service.tasks()} == {back["id"]}


def test_times_are_numbers_on_the_wire_and_lists_come_in_pages(cloud):
    service = Service(cloud, desired=0)
    service.until("COMPLETED")
    seen = []
    service.ecs.meta.events.register("after-call.ecs", lambda http_response, **_: seen.append(http_response.content))
    service.shown()
    (told,) = json.loads(seen[0])["services"]
    assert isinstance(told["deployments"][0]["createdAt"], int | float)
    assert abs(told["deployments"][0]["updatedAt"] - time.time()) < 600
    for number in range(11):
        service.ecs.create_service(
            cluster=service.cluster, serviceName=f"more-{number}", taskDefinition=service.definition, desiredCount=0
        )
    first = service.ecs.list_services(cluster=service.cluster)
    second = service.ecs.list_services(cluster=service.cluster, nextToken=first["nextToken"])
    assert (len(first["serviceArns"]), len(second["serviceArns"])) == (10, 2) and "nextToken" not in second
    with pytest.raises(ClientError, match="ClusterNotFoundException"):
        service.ecs.list_services(cluster="none")


def test_policies_are_judged_by_service_and_cluster(cloud):
    mine, other = Service(cloud, desired=0), Service(cloud, desired=0)
    iam, name = cloud.client("iam"), f"follower-{uuid.uuid4().hex[:8]}"
    services = f"arn:aws:ecs:{SCOPE}:service/{mine.cluster}/*"
    listing = {"ArnEquals": {"ecs:cluster": f"arn:aws:ecs:{SCOPE}:cluster/{mine.cluster}"}}
    statements = [
        {
            "Effect": "Allow",
            "Action": ["ecs:UpdateService", "ecs:DescribeServices", "ecs:ListServiceDeployments"],
            "Resource": services,
        },
        {
            "Effect": "Allow",
            "Action": "ecs:DescribeServiceDeployments",
            "Resource": services.replace(":service/", ":service-deployment/"),
        },
        {"Effect": "Allow", "Action": "ecs:ListServices", "Resource": "*", "Condition": listing},
        {"Effect": "Allow", "Action": "ecs:DescribeTaskDefinition", "Resource": "*"},
    ]
    document = {"Version": "2012-10-17", "Statement": statements}
    trust = {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=json.dumps(document))
    given = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    ecs = cloud.client(
        "ecs",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    arn = f"arn:aws:ecs:{SCOPE}:service/{mine.cluster}/api"
    for cluster in (mine.cluster, listing["ArnEquals"]["ecs:cluster"]):
        assert ecs.list_services(cluster=cluster)["serviceArns"] == [arn]
        assert ecs.describe_services(cluster=cluster, services=[arn])["services"]
    assert ecs.describe_services(cluster=mine.cluster, services=["api"])["services"]
    assert ecs.update_service(cluster=mine.cluster, service="api", forceNewDeployment=True)["service"]
    listed = ecs.list_service_deployments(cluster=mine.cluster, service="api")["serviceDeployments"]
    own = [listed[0]["serviceDeploymentArn"]]
    assert ecs.describe_service_deployments(serviceDeploymentArns=own)["serviceDeployments"]
    assert ecs.describe_task_definition(taskDefinition=other.definition)["taskDefinition"]
    assert ecs.describe_task_definition(taskDefinition=other.cluster)["taskDefinition"]

    theirs = f"arn:aws:ecs:{SCOPE}:service/{other.cluster}/api"
    others = other.ecs.list_service_deployments(**other.at)["serviceDeployments"][0]["serviceDeploymentArn"]
    refused = [
        lambda: ecs.list_service_deployments(cluster=other.cluster, service="api"),
        lambda: ecs.describe_service_deployments(serviceDeploymentArns=[*own, others]),
        lambda: ecs.list_services(cluster=other.cluster),
        lambda: ecs.list_services(),
        lambda: ecs.describe_services(cluster=other.cluster, services=["api"]),
        lambda: ecs.describe_services(cluster=mine.cluster, services=["api", theirs]),
        lambda: ecs.update_service(cluster=other.cluster, service="api", forceNewDeployment=True),
        lambda: ecs.update_service(cluster=mine.cluster, service=theirs, forceNewDeployment=True),
        lambda: ecs.list_tasks(cluster=mine.cluster),
        lambda: ecs.delete_service(cluster=mine.cluster, service="api"),
        lambda: ecs.register_task_definition(family="x", containerDefinitions=[{"name": "a", "image": "b"}]),
    ]
    for call in refused:
        with pytest.raises(ClientError) as error:
            call()
        assert error.value.response["Error"]["Code"] == "AccessDeniedException"


class Baking(Service):
    """A service whose deployments bake."""

    def __init__(self, cloud, **configuration):
        self.configuration = configuration
        super().__init__(cloud)

    def told(self) -> dict:
        listed = self.ecs.list_service_deployments(**self.at)["serviceDeployments"]
        arn = max(listed, key=lambda each: each["createdAt"])["serviceDeploymentArn"]
        (told,) = self.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
        return told


@pytest.mark.parametrize(
    "configuration",
    [
        {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1440},
        {"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 50.0, "stepBakeTimeInMinutes": 1440}},
        {"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 5.0, "canaryBakeTimeInMinutes": 1440}},
    ],
    ids=lambda configuration: configuration["strategy"],
)
def test_a_deployment_bakes_with_both_revisions_and_then_cleans_up(cloud, configuration):
    service = Baking(cloud)
    service.until("COMPLETED")
    service.ecs.update_service(**service.at, deploymentConfiguration=configuration)
    service.change_secret()
    second = service.force()
    told = wait_for(lambda: (it := service.told()).get("lifecycleStage") == "BAKE_TIME" and it, "the bake")
    assert told["status"] == "IN_PROGRESS"
    assert told["serviceDeploymentArn"].startswith(
        f"arn:aws:ecs:{SCOPE}:service-deployment/{service.cluster}/{service.name}/"
    )
    assert service.held() == [digest(service.values[0])] * 2 + [digest(service.values[1])] * 2
    assert len(service.shown()["deployments"]) == 2
    service.order(bake=False)
    assert service.until("COMPLETED")["id"] == second
    assert service.told()["status"] == "SUCCESSFUL"
    assert service.held() == [digest(service.values[1])] * 2
    former = service.ecs.list_service_deployments(**service.at)["serviceDeployments"]
    assert [each["status"] for each in former] == ["SUCCESSFUL", "SUCCESSFUL"]
    missing = service.ecs.describe_service_deployments(serviceDeploymentArns=[f"{told['serviceDeploymentArn']}x"])
    assert missing["failures"][0]["reason"] == "MISSING"


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_a_service_that_another_deploys_has_task_sets_and_takes_no_forced_deployment(cloud, controller):
    """tests/cases/06a-ecs-service-external-controller.json and 06b-ecs-update-service-code-deploy-refusal.json"""
    own = Service(cloud)
    at = {"cluster": own.cluster, "service": "batch"}
    given = {"taskDefinition": own.definition} if controller == "CODE_DEPLOY" else {}
    own.ecs.create_service(
        cluster=own.cluster, serviceName="batch", desiredCount=1, deploymentController={"type": controller}, **given
    )
    (shown,) = own.ecs.describe_services(cluster=own.cluster, services=["batch"])["services"]
    assert shown["deploymentController"] == {"type": controller} and shown["deployments"] == []
    with pytest.raises(ClientError) as refused:
        own.ecs.update_service(**at, forceNewDeployment=True)
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"
    if controller == "CODE_DEPLOY":
        assert [each["status"] for each in shown["taskSets"]] == ["PRIMARY"]
        return
    assert "taskDefinition" not in shown and shown["taskSets"] == []
    made = own.ecs.create_task_set(**at, taskDefinition=own.definition)["taskSet"]
    own.ecs.update_service_primary_task_set(**at, primaryTaskSet=made["id"])
    (shown,) = own.ecs.describe_services(cluster=own.cluster, services=["batch"])["services"]
    assert [(each["status"], each["taskDefinition"]) for each in shown["taskSets"]] == [("PRIMARY", own.definition)]
    own.ecs.delete_task_set(**at, taskSet=made["id"], force=True)
    (shown,) = own.ecs.describe_services(cluster=own.cluster, services=["batch"])["services"]
    assert shown["taskSets"] == []
