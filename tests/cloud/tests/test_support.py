"""AWS Support's calls for cases."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

REFUSED = "ValidationException"


@pytest.fixture
def support(cloud):
    cloud.admin("DELETE", "support/cases")
    yield cloud.client("support")
    cloud.admin("DELETE", "support/cases")


def code(call, **given) -> str:
    with pytest.raises(ClientError) as refused:
        call(**given)
    return refused.value.response["Error"]["Code"]


def test_a_case_is_opened_found_and_not_deduplicated(support):
    given = {"subject": "INC-1: down", "communicationBody": "x" * 8000, "severityCode": "urgent", "language": "pt"}
    first, second = (support.create_case(**given)["caseId"] for _ in range(2))
    assert first != second
    found = support.describe_cases(includeResolvedCases=True, includeCommunications=False)["cases"]
    assert [one["caseId"] for one in found] == [second, first]
    assert found[0]["subject"] == "INC-1: down" and found[0]["severityCode"] == "urgent"
    assert support.describe_cases(afterTime="2999-01-01T00:00:00Z")["cases"] == []
    assert support.describe_cases(caseIdList=[first])["cases"][0]["caseId"] == first
    assert code(support.describe_cases, caseIdList=["case-0"]) == "CaseIdNotFound"


def test_pages_of_cases_follow_each_other(support):
    for number in range(12):
        support.create_case(subject=str(number), communicationBody="x")
    page = support.describe_cases(maxResults=10)
    rest = support.describe_cases(maxResults=10, nextToken=page["nextToken"])
    subjects = [one["subject"] for one in page["cases"] + rest["cases"]]
    assert subjects == [str(number) for number in reversed(range(12))] and "nextToken" not in rest


def test_what_the_plan_and_the_model_do_not_have_is_refused(cloud, support):
    case = {"subject": "s", "communicationBody": "b"}
    assert code(support.create_case, **case, severityCode="critical") == REFUSED
    assert code(support.create_case, **case, serviceCode="nothing", categoryCode="other") == REFUSED
    assert code(support.create_case, subject="s", communicationBody="x" * 8001) == REFUSED
    assert code(support.create_case, **case, dryRun=True) == "DryRunOperationException"
    assert cloud.admin("GET", "support/cases") == {"cases": []}
    levels = [one["code"] for one in support.describe_severity_levels(language="en")["severityLevels"]]
    assert levels == ["low", "normal", "high", "urgent"]
    (service, *_) = support.describe_services(language="en")["services"]
    chosen = {"serviceCode": service["code"], "categoryCode": service["categories"][0]["code"]}
    support.create_case(**case, **chosen)
    cloud.admin("POST", "support/plan", {"subscribed": False})
    for call, given in ((support.create_case, case), (support.describe_severity_levels, {})):
        assert code(call, **given) == "SubscriptionRequiredException"


def test_there_is_one_endpoint_and_each_call_needs_its_permission(cloud, support):
    assert code(cloud.client("support", region="sa-east-1").describe_cases) == "UnknownEndpoint"
    iam = cloud.client("iam")
    iam.create_user(UserName="supported")
    allowed = {"Effect": "Allow", "Action": "support:DescribeCases", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="supported", PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName="supported")["AccessKey"]
    own = cloud.client("support", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    assert own.describe_cases()["cases"] == []
    assert code(own.create_case, subject="s", communicationBody="b") == "AccessDeniedException"
