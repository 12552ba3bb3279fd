"""The launcher: an environment hidden from functions, one cloud per state folder, the time scale, a clean end."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid

from conftest import bootstrap, ended, launcher, ready, running, wait_for
from databases import available, create
from test_rotation import Bench

# A custom runtime that answers every event with the names of its environment's variables.
BOOTSTRAP = """
import json, os, urllib.request

runtime = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(runtime + "next") as answer:
        request = answer.headers["Lambda-Runtime-Aws-Request-Id"]
    urllib.request.urlopen(runtime + request + "/response", json.dumps(list(os.environ)).encode()).close()
"""


def test_a_function_sees_nothing_of_the_starters_environment(cloud):
    name = f"environment-{uuid.uuid4().hex[:8]}"
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    functions = cloud.client("lambda")
    functions.create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Role=role,
        Handler="bootstrap",
        Timeout=30,
        Code={"ZipFile": bootstrap(BOOTSTRAP)},
    )
    names = set(json.load(functions.invoke(FunctionName=name)["Payload"]))
    assert "AWS_LAMBDA_RUNTIME_API" in names
    # Set by the launcher, by the shell that starts the interpreter, or by the interpreter if there is no locale.
    passed = {"HOME", "LANG", "LC_CTYPE", "PATH", "PYTHONPATH", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"}
    ours = {name for name in os.environ if not name.startswith("AWS_")} | {"CANARY"}
    assert "PYTEST_CURRENT_TEST" in ours
    assert names & ours <= passed


def test_a_second_launcher_leaves_the_first_alone(cloud):
    before = (cloud.state / "cloud.json").read_text()
    with launcher(cloud.state) as second:
        assert second.wait(30) == 1
    assert f"a local cloud already runs in {cloud.state}" in (cloud.state / "cloud.log").read_text()
    assert (cloud.state / "cloud.json").read_text() == before
    assert cloud.admin("GET", "clock")["now"] > 0


def test_a_start_that_fails_stops_what_had_started(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with launcher(tmp_path, "--port", str(taken.getsockname()[1])) as process:
            assert process.wait(60) == 1
    assert not (tmp_path / "rds").is_symlink()
    assert not (tmp_path / "cloud.json").exists()


def test_the_time_scale_holds_and_a_function_in_a_step_ends_with_the_cloud(tmp_path):
    with launcher(tmp_path, "--time-scale", "0.03") as process:
        cloud = ready(process, tmp_path)
        rds = cloud.client("rds")
        begin = time.monotonic()
        available(rds, create(rds))
        # RDS takes 100 s.
        assert time.monotonic() - begin >= 100 * 0.03

        bench = Bench(cloud)
        arn = bench.make_secret(hold="setSecret")
        bench.rotate(arn)
        pid = bench.holding(arn, "setSecret")["pid"]
        assert running(pid)
        ended(process, tmp_path)
        wait_for(lambda: not running(pid), "the function to end")
