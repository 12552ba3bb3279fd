"""Mappings of DynamoDB streams.

Sources: "Using AWS Lambda with Amazon DynamoDB" and "Retain records from a failed invocation" of Lambda's guide.
"""

from __future__ import annotations

import itertools
import json

import pytest
from conftest import wait_for
from functions import ACCOUNT, Keeper

numbers = itertools.count(1)
OUTBOX = '{"dynamodb": {"Keys": {"sk": {"S": [{"prefix": "SEND#"}]}}, "NewImage": {"due": {"N": [{"exists": true}]}}}}'


@pytest.fixture(autouse=True)
def fresh(cloud):
    cloud.admin("POST", "queues", {})
    yield
    cloud.admin("POST", "queues", {})


class Table:
    """A table with a stream, and a queue for what is given up."""

    def __init__(self, cloud):
        self.cloud, self.name = cloud, f"stream-{next(numbers)}"
        self.client = cloud.client("dynamodb")
        table = self.client.create_table(
            TableName=self.name,
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )["TableDescription"]
        self.stream = table["LatestStreamArn"]
        self.dead = cloud.client("sqs").create_queue(QueueName=self.name)["QueueUrl"]

    def mapped(self, keeper, **more):
        destination = {"OnFailure": {"Destination": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{self.name}"}}
        self.cloud.client("lambda").create_event_source_mapping(
            FunctionName=keeper.name,
            EventSourceArn=self.stream,
            **{"StartingPosition": "LATEST", "BatchSize": 100, "DestinationConfig": destination, **more},
        )

    def put(self, *names, pk="INCIDENT#1", due="1"):
        """Puts items in one transaction, so that they are one batch."""
        items = [{"pk": {"S": pk}, "sk": {"S": name}} | ({"due": {"N": due}} if due else {}) for name in names]
        self.client.transact_write_items(
            TransactItems=[{"Put": {"TableName": self.name, "Item": item}} for item in items]
        )

    def letters(self):
        found = self.cloud.client("sqs").receive_message(QueueUrl=self.dead, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(each["Body"]) for each in found]


def names(event):
    return [record["dynamodb"]["Keys"]["sk"]["S"] for record in event["Records"]]


def given(keeper):
    return [names(event) for event in keeper.events()]


@pytest.fixture
def table(cloud):
    return Table(cloud)


def test_only_what_matches_the_filter_wakes_the_function(table, tmp_path):
    keeper = Keeper(table.cloud, tmp_path)
    table.mapped(keeper, FilterCriteria={"Filters": [{"Pattern": OUTBOX}]})
    table.put("STATE", "LINE#1")
    table.put("SEND#slack#", due=None)
    table.put("SEND#ses#")
    wait_for(keeper.events, "the record")
    assert given(keeper) == [["SEND#ses#"]]
    (record,) = keeper.events()[0]["Records"]
    assert record["dynamodb"]["NewImage"]["due"] == {"N": "1"}


def test_a_failed_batch_is_repeated_and_then_given_up(table, tmp_path):
    keeper = Keeper(table.cloud, tmp_path, "!", "!", "null")
    table.put("a", "b")
    table.mapped(keeper, MaximumRetryAttempts=1, StartingPosition="TRIM_HORIZON")
    (letter,) = wait_for(table.letters, "the letter")
    assert given(keeper) == [["a", "b"]] * 2
    assert (letter["requestContext"]["condition"], letter["requestContext"]["approximateInvokeCount"]) == (
        "RetryAttemptsExhausted",
        2,
    )
    first, last = (record["dynamodb"]["SequenceNumber"] for record in keeper.events()[0]["Records"])
    info = letter["DDBStreamBatchInfo"]
    assert (info["batchSize"], info["startSequenceNumber"], info["endSequenceNumber"]) == (2, first, last)
    assert info["streamArn"] == table.stream
    # What comes after it is not held up.
    table.put("c")
    wait_for(lambda: given(keeper)[2:] == [["c"]], "the next record")


def test_a_failed_batch_is_divided(table, tmp_path):
    keeper = Keeper(table.cloud, tmp_path, "!", "null", "!", "null")
    table.put("a", "b")
    table.mapped(keeper, MaximumRetryAttempts=1, BisectBatchOnFunctionError=True, StartingPosition="TRIM_HORIZON")
    wait_for(lambda: len(given(keeper)) == 4, "the batches")
    # To divide is no retry: the second half fails once more, and its retry succeeds.
    assert given(keeper) == [["a", "b"], ["a"], ["b"], ["b"]]
    assert table.letters() == []


def test_a_reported_failure_is_where_the_batch_goes_on(table, tmp_path):
    table.put("a", "b", "c")
    streams = table.cloud.client("dynamodbstreams")
    (shard,) = streams.describe_stream(StreamArn=table.stream)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(
        StreamArn=table.stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    _, second, third = (
        {"itemIdentifier": record["dynamodb"]["SequenceNumber"]}
        for record in streams.get_records(ShardIterator=iterator)["Records"]
    )
    failures = json.dumps({"batchItemFailures": [third, second]})
    invalid = json.dumps({"batchItemFailures": [{"itemIdentifier": ""}]})
    keeper = Keeper(table.cloud, tmp_path, failures, invalid, "null")
    table.mapped(keeper, FunctionResponseTypes=["ReportBatchItemFailures"], StartingPosition="TRIM_HORIZON")
    wait_for(lambda: len(given(keeper)) == 3, "the repetitions")
    # An invalid response repeats all that it was given.
    assert given(keeper) == [["a", "b", "c"], ["b", "c"], ["b", "c"]]


def test_records_of_one_key_stay_in_order_and_each_is_given_as_often_as_the_test_says(table, tmp_path):
    keeper = Keeper(table.cloud, tmp_path)
    table.cloud.admin("POST", "queues", {"deliver": 2})
    table.mapped(keeper, ParallelizationFactor=10, BatchSize=1)
    for number in range(5):
        for key in ("INCIDENT#1", "INCIDENT#2"):
            table.put(str(number), pk=key)
    wait_for(lambda: len(given(keeper)) == 20, "the records")
    for key in ("INCIDENT#1", "INCIDENT#2"):
        records = [record["dynamodb"]["Keys"] for event in keeper.events() for record in event["Records"]]
        assert [one["sk"]["S"] for one in records if one["pk"]["S"] == key] == list("0011223344")


def test_an_invocation_tells_how_old_its_records_are(table, tmp_path):
    keeper, watch = Keeper(table.cloud, tmp_path), table.cloud.client("cloudwatch")
    table.mapped(keeper)
    table.put("a")
    wait_for(keeper.events, "the record")
    dimensions = [{"Name": "FunctionName", "Value": keeper.name}]
    found = watch.list_metrics(Namespace="AWS/Lambda", MetricName="IteratorAge", Dimensions=dimensions)["Metrics"]
    assert [one["Dimensions"] for one in found] == [dimensions]
