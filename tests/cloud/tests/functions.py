"""Functions of tests: each keeps its events and answers as the test says."""

from __future__ import annotations

import itertools
import json
import pathlib

from conftest import bootstrap

numbers = itertools.count(1)
ACCOUNT = "000000000000"

# Keeps each event in a file. The answer to the Nth event is the Nth line of another file, or its last: a response, or
# an error if it begins with an exclamation mark.
KEEPS = r"""
import http.client, json, os

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    event = answer.read()
    request = answer.headers["Lambda-Runtime-Aws-Request-Id"]
    with open(os.environ["EVENTS"], "ab") as kept:
        kept.write(event + b"\n")
    lines = open(os.environ["ANSWERS"]).read().splitlines()
    count = len(open(os.environ["EVENTS"]).readlines())
    line = lines[min(count, len(lines)) - 1]
    failure = json.dumps({"errorType": "Fails", "errorMessage": "on purpose"})
    how, body = ("error", failure) if line.startswith("!") else ("response", line)
    api.request("POST", f"/2018-06-01/runtime/invocation/{request}/{how}", body)
    api.getresponse().read()
"""


class Keeper:
    """A function that keeps its events; `answers` are its answers in order, the last one for all further events."""

    def __init__(self, cloud, folder: pathlib.Path, *answers: str, **settings):
        self.name = f"keeper-{next(numbers)}"
        self.kept, told = folder / f"{self.name}-events", folder / f"{self.name}-answers"
        told.write_text("\n".join(answers or ("null",)))
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": trust})
        self.arn = cloud.client("lambda").create_function(
            FunctionName=self.name,
            Role=cloud.client("iam").create_role(RoleName=self.name, AssumeRolePolicyDocument=document)["Role"]["Arn"],
            Code={"ZipFile": bootstrap(KEEPS)},
            Runtime="provided.al2023",
            Handler="bootstrap",
            Environment={"Variables": {"EVENTS": str(self.kept), "ANSWERS": str(told)}},
            **settings,
        )["FunctionArn"]

    def events(self) -> list[dict]:
        """All events so far, without a last line that is still being written."""
        if not self.kept.exists():
            return []
        return [json.loads(line) for line in self.kept.read_text().splitlines(keepends=True) if line.endswith("\n")]
