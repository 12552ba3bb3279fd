"""GetResources: filters, pages, and the tags of a stack's resources."""

from __future__ import annotations

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import stack_is

SCOPE = "us-east-1:000000000000"


def filters(project: str, environment: str = "dev") -> list[dict]:
    return [{"Key": "Project", "Values": [project]}, {"Key": "Environment", "Values": [environment]}]


def tags(project: str, environment: str = "dev") -> list[dict]:
    return [{"Key": "Project", "Value": project}, {"Key": "Environment", "Value": environment}]


@pytest.fixture
def project() -> str:
    return f"p{uuid.uuid4().hex[:8]}"


def arns(cloud, project: str, **more) -> list[str]:
    found = cloud.client("resourcegroupstaggingapi").get_resources(TagFilters=filters(project), **more)
    return [one["ResourceARN"] for one in found["ResourceTagMappingList"]]


def test_each_service_of_the_inventory_tells_its_tagged_resources(cloud, project):
    ecs, lower = cloud.client("ecs"), [{"key": tag["Key"], "value": tag["Value"]} for tag in tags(project)]
    ecs.create_cluster(clusterName=project, tags=lower)
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=project)
    assert arns(cloud, project) == [f"arn:aws:ecs:{SCOPE}:cluster/{project}"]
    s3.put_bucket_tagging(Bucket=project, Tagging={"TagSet": tags(project)})
    cloud.client("logs").create_log_group(
        logGroupName=f"/aws/{project}", tags={tag["Key"]: tag["Value"] for tag in tags(project)}
    )
    secret = cloud.client("secretsmanager").create_secret(Name=project, SecretString="x", Tags=tags(project))["ARN"]
    # Not matches: another environment, and only one of the tags.
    cloud.client("secretsmanager").create_secret(Name=f"{project}-a", SecretString="x", Tags=tags(project, "prod"))
    cloud.client("secretsmanager").create_secret(Name=f"{project}-b", SecretString="x", Tags=tags(project)[:1])
    assert arns(cloud, project) == [
        f"arn:aws:ecs:{SCOPE}:cluster/{project}",
        f"arn:aws:logs:{SCOPE}:log-group:/aws/{project}",
        f"arn:aws:s3:::{project}",
        secret,
    ]


def test_pages_follow_each_other_without_gap_or_repetition(cloud, project):
    sqs = cloud.client("sqs")
    for number in range(5):
        sqs.create_queue(QueueName=f"{project}-{number}", tags={tag["Key"]: tag["Value"] for tag in tags(project)})
    client, token, sizes, seen = cloud.client("resourcegroupstaggingapi"), "", [], []
    while True:
        page = client.get_resources(TagFilters=filters(project), ResourcesPerPage=2, PaginationToken=token)
        sizes.append(len(page["ResourceTagMappingList"]))
        seen += [one["ResourceARN"] for one in page["ResourceTagMappingList"]]
        token = page["PaginationToken"]
        if not token:
            break
    assert sizes == [2, 2, 1]
    assert seen == [f"arn:aws:sqs:{SCOPE}:{project}-{number}" for number in range(5)]


@pytest.mark.parametrize("wrong", [{"ResourcesPerPage": 0}, {"ResourcesPerPage": 101}, {"PaginationToken": "bm9uZQ=="}])
def test_a_wrong_page_is_refused(cloud, project, wrong):
    with pytest.raises(ClientError) as refused:
        arns(cloud, project, **wrong)
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"


def test_what_a_stack_made_carries_cloudformations_tags(cloud, project):
    properties = {"QueueName": project, "Tags": tags(project)}
    template = {"Resources": {"Store": {"Type": "AWS::SQS::Queue", "Properties": properties}}}
    cloudformation = cloud.client("cloudformation")
    cloudformation.create_stack(StackName=project, TemplateBody=json.dumps(template))
    stack_is(cloudformation, project, "CREATE_COMPLETE")
    found = cloud.client("resourcegroupstaggingapi").get_resources(TagFilters=filters(project))
    (queue,) = found["ResourceTagMappingList"]
    own = {tag["Key"]: tag["Value"] for tag in queue["Tags"]}
    assert own["aws:cloudformation:stack-name"] == project
    assert own["aws:cloudformation:logical-id"] == "Store"
