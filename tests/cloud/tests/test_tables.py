"""DynamoDB's transactions, their permissions, and the time to live.

Sources: TransactWriteItems, BatchGetItem and Query of DynamoDB's reference, "Using IAM with DynamoDB transactions",
"Using IAM policy conditions for fine-grained access control", "Using time to live (TTL)", "DynamoDB Streams and Time to
Live".
"""

from __future__ import annotations

import itertools
import json
import time

import pytest
from botocore.exceptions import ClientError
from conftest import wait_for
from functions import Keeper

numbers = itertools.count(1)


class Table:
    """A table with keys, an index and a time to live."""

    def __init__(self, cloud):
        self.cloud, self.name, self.client = cloud, f"table-{next(numbers)}", cloud.client("dynamodb")
        names = ("pk", "sk", "open")
        table = self.client.create_table(
            TableName=self.name,
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "open",
                    "KeySchema": [{"AttributeName": "open", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )["TableDescription"]
        self.arn, self.stream = table["TableArn"], table["LatestStreamArn"]
        self.client.update_time_to_live(
            TableName=self.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
        )

    def put(self, sk, condition=None, **attributes):
        item = {"pk": {"S": "P"}, "sk": {"S": sk}} | attributes
        made = {"TableName": self.name, "Item": item}
        return {"Put": made | ({"ConditionExpression": condition} if condition else {})}

    def check(self, sk, condition):
        key = {"pk": {"S": "P"}, "sk": {"S": sk}}
        return {"ConditionCheck": {"TableName": self.name, "Key": key, "ConditionExpression": condition}}

    def write(self, *items, client=None, **more):
        return (client or self.client).transact_write_items(TransactItems=list(items), **more)

    def names(self):
        return sorted(item["sk"]["S"] for item in self.client.scan(TableName=self.name)["Items"])


@pytest.fixture
def table(cloud):
    yield Table(cloud)
    cloud.admin("POST", "dynamodb/conflicts", {"count": 0})


def refusal(call):
    with pytest.raises(ClientError) as refused:
        call()
    return refused.value.response


def test_a_cancelled_transaction_writes_nothing_and_gives_each_reason_in_order(table):
    table.write(table.put("old"))
    answer = refusal(
        lambda: table.write(
            table.put("new"),
            table.put("old", "attribute_not_exists(pk)"),
            table.check("old", "attribute_exists(pk)"),
            table.check("none", "attribute_exists(pk)"),
        )
    )
    # Two operations are on one item.
    assert answer["Error"]["Code"] == "ValidationException"
    answer = refusal(
        lambda: table.write(
            table.put("new"), table.put("old", "attribute_not_exists(pk)"), table.check("none", "attribute_exists(pk)")
        )
    )
    assert answer["Error"]["Code"] == "TransactionCanceledException"
    codes = [reason["Code"] for reason in answer["CancellationReasons"]]
    assert codes == ["None", "ConditionalCheckFailed", "ConditionalCheckFailed"]
    assert table.names() == ["old"]


def test_a_transaction_has_at_most_a_hundred_items(table):
    table.write(*(table.put(str(number)) for number in range(100)))
    answer = refusal(lambda: table.write(*(table.put(str(number)) for number in range(101))))
    assert answer["Error"]["Code"] == "ValidationException"


def test_a_token_makes_a_repetition_of_the_same_transaction_only(table):
    table.write(table.put("one"), ClientRequestToken="t")
    table.client.delete_item(TableName=table.name, Key={"pk": {"S": "P"}, "sk": {"S": "one"}})
    table.write(table.put("one"), ClientRequestToken="t")
    assert table.names() == []
    answer = refusal(lambda: table.write(table.put("two"), ClientRequestToken="t"))
    assert answer["Error"]["Code"] == "IdempotentParameterMismatchException"


def test_a_conflict_cancels_as_many_transactions_as_the_test_says(table):
    table.cloud.admin("POST", "dynamodb/conflicts", {"count": 2})
    for _ in range(2):
        answer = refusal(lambda: table.write(table.put("one"), table.put("two")))
        assert answer["Error"]["Code"] == "TransactionCanceledException"
        assert [reason["Code"] for reason in answer["CancellationReasons"]] == ["None", "TransactionConflict"]
        assert "[None, TransactionConflict]" in answer["Error"]["Message"]
    assert table.names() == []
    table.write(table.put("one"), table.put("two"))
    assert table.names() == ["one", "two"]


def allowed(table, *actions, resource=None, condition=None):
    """A client whose role may do these actions on the table."""
    iam, name = table.cloud.client("iam"), f"reader-{next(numbers)}"
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource or table.arn}
    statement |= {"Condition": condition} if condition else {}
    iam.put_user_policy(
        UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return table.cloud.client(
        "dynamodb", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )


def test_each_member_of_a_transaction_needs_its_own_permission(table):
    table.write(table.put("old"))
    members = [table.put("new"), table.check("old", "attribute_exists(pk)")]
    for action in ("dynamodb:PutItem", "dynamodb:ConditionCheckItem", "dynamodb:TransactWriteItems"):
        answer = refusal(lambda action=action: table.write(*members, client=allowed(table, action)))
        assert answer["Error"]["Code"] == "AccessDeniedException"
    assert table.names() == ["old"]
    table.write(*members, client=allowed(table, "dynamodb:PutItem", "dynamodb:ConditionCheckItem"))
    assert table.names() == ["new", "old"]


def test_a_query_of_an_index_and_a_batch_need_their_own_permissions(table):
    table.write(table.put("one", open={"S": "OPEN"}))

    def query(client):
        return client.query(
            TableName=table.name,
            IndexName="open",
            KeyConditionExpression="#open = :open",
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues={":open": {"S": "OPEN"}},
        )["Items"]

    def read(client):
        keys = [{"pk": {"S": "P"}, "sk": {"S": "one"}}]
        return client.batch_get_item(RequestItems={table.name: {"Keys": keys}})["Responses"][table.name]

    assert refusal(lambda: query(allowed(table, "dynamodb:Query")))["Error"]["Code"] == "AccessDeniedException"
    # An index of keys has its own key, too.
    (item,) = query(allowed(table, "dynamodb:Query", resource=f"{table.arn}/index/*"))
    assert item == {"pk": {"S": "P"}, "sk": {"S": "one"}, "open": {"S": "OPEN"}}
    assert refusal(lambda: read(allowed(table, "dynamodb:GetItem")))["Error"]["Code"] == "AccessDeniedException"
    assert len(read(allowed(table, "dynamodb:BatchGetItem"))) == 1


def test_what_is_expired_is_removed_by_the_service(table, tmp_path):
    now = int(time.time())
    keeper = Keeper(table.cloud, tmp_path)
    table.cloud.client("lambda").create_event_source_mapping(
        FunctionName=keeper.name,
        EventSourceArn=table.stream,
        StartingPosition="LATEST",
        FilterCriteria={"Filters": [{"Pattern": '{"eventName": ["REMOVE"]}'}]},
    )
    table.write(
        table.put("over", expires_at={"N": str(now + 100)}),
        table.put("later", expires_at={"N": str(now + 101)}),
        table.put("text", expires_at={"S": str(now)}),
        table.put("never"),
    )
    assert table.cloud.admin("POST", "dynamodb/expire", {"table": table.name}) == {"expired": 0}
    answer = table.cloud.admin("POST", "dynamodb/expire", {"table": table.name, "now": now + 100})
    assert answer == {"expired": 1}
    assert table.names() == ["later", "never", "text"]
    wait_for(keeper.events, "the record")
    ((record,),) = (event["Records"] for event in keeper.events())
    assert record["dynamodb"]["Keys"]["sk"] == {"S": "over"}
    assert record["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    with pytest.raises(AssertionError, match="none does not exist"):
        table.cloud.admin("POST", "dynamodb/expire", {"table": "none"})
