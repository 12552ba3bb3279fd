"""SQL calls in the log and under the fault switches; an endpoint passes all other traffic unchanged."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid

import psycopg
import pytest
from conftest import wait_for
from databases import available, connect, create
from test_faults import arm, hits, invoke, logged, made, mark, value

from localcloud import faults, pgwire

OLD, NEW = "the-old-password", "the-new-password"

# A custom runtime: it executes the event's steps: `login`, `put` (a secret's new value), or SQL with its parameters.
BOOTSTRAP = """
import json, os, urllib.request
import boto3, psycopg
from botocore.config import Config

runtime = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
client = boto3.client("secretsmanager", config=Config(retries={"total_max_attempts": 1}))
while True:
    with urllib.request.urlopen(runtime + "next") as answer:
        request, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.load(answer)
    done, db = [], None
    for step, *details in event["steps"]:
        try:
            if step == "login":
                db = psycopg.connect(event["database"], autocommit=True)
                done.append("ok")
            elif step == "put":
                client.put_secret_value(SecretId=details[0], SecretString=details[1])
                done.append("ok")
            else:
                parameters, prepare = (*details, None, None)[:2]
                cursor = db.execute(step, parameters, prepare=prepare)
                done.append(cursor.fetchall() if cursor.description else "ok")
        except psycopg.Error as error:
            done.append(error.sqlstate or "no connection")
        except Exception as error:
            done.append(type(error).__name__)
    if db:
        db.close()
    urllib.request.urlopen(runtime + request + "/response", json.dumps(done).encode()).close()
"""


@pytest.fixture(scope="module")
def rds(cloud):
    return cloud.client("rds")


@pytest.fixture(scope="module", params=["15.18", "18.4"])
def instance(cloud, rds, request):
    """An instance with the role `app`."""
    made = available(rds, create(rds, request.param))
    with connect(cloud, made) as db:
        db.execute(f"CREATE ROLE app LOGIN PASSWORD '{OLD}'")
    return made


@pytest.fixture(autouse=True)
def no_rules(cloud):
    cloud.admin("DELETE", "faults")
    yield
    cloud.admin("DELETE", "faults")


@pytest.fixture
def secret(cloud):
    name = f"secret-{uuid.uuid4()}"
    cloud.client("secretsmanager").create_secret(Name=name, SecretString="old")
    return name


@pytest.fixture
def database(cloud, instance):
    """libpq's settings to log in as `app`; the password is reset to `OLD`."""
    with connect(cloud, instance) as db:
        db.execute(f"ALTER ROLE app PASSWORD '{OLD}'")
    return {
        "host": instance["Endpoint"]["Address"],
        "port": instance["Endpoint"]["Port"],
        "dbname": "app",
        "user": "app",
        "password": OLD,
        "sslmode": "verify-full",
        "sslrootcert": cloud.facts["rds_ca"],
        "channel_binding": "require",
        "application_name": "the-function",
        "connect_timeout": 10,
    }


@pytest.fixture(scope="module")
def function(cloud):
    return made(cloud, BOOTSTRAP)


def run(cloud, function, database, *steps):
    event = {"database": psycopg.conninfo.make_conninfo(**database), "steps": steps}
    return invoke(cloud, function, **event)


def calls(cloud, after, function):
    return [call[1:] for call in logged(cloud, after, f"lambda:{function}")]


def password(database):
    """The password that logs in; exactly one of the old and the new one must."""
    works = []
    for one in (OLD, NEW):
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(**{**database, "password": one}).close()
            works.append(one)
    [found] = works
    return found


def left_behind(cloud, instance):
    """The number of the function's sessions on the server."""
    with connect(cloud, instance) as db:
        [count] = db.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'the-function'").fetchone()
    return count


def test_the_log_has_sql_and_aws_calls_in_order_and_no_text_of_them(cloud, function, database, secret):
    start = mark(cloud)
    done = run(
        cloud,
        function,
        database,
        ["login"],
        ["begin"],
        [f"ALTER ROLE app PASSWORD '{NEW}'"],
        ["put", secret, NEW],
        ["/* a comment */ COMMIT"],
        ["SELECT %s::int", [7]],
        ["SELECT hunter2"],
        ["hunter2"],
    )
    assert done == (None, ["ok", "ok", "ok", "ok", "ok", [[7]], "42703", "42601"])
    assert calls(cloud, start, function) == [
        ("postgres", "login", "ok"),
        ("postgres", "BEGIN", "ok"),
        ("postgres", "ALTER ROLE", "ok"),
        ("secretsmanager", "PutSecretValue", "ok"),
        ("postgres", "COMMIT", "ok"),
        ("postgres", "SELECT", "ok"),
        ("postgres", "SELECT", "error:42703"),
        ("postgres", "OTHER", "error:42601"),
    ]
    kept = json.dumps(cloud.admin("GET", "calls"))
    for text in (OLD, NEW, "hunter2"):
        assert text not in kept
    assert run(cloud, function, database, ["login"]) == (None, ["no connection"])
    assert calls(cloud, start, function)[-1] == ("postgres", "login", "error:28P01")


STEPS = ["login", "BEGIN", "ALTER ROLE", "PutSecretValue", "COMMIT", "SELECT"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, len(STEPS) + 1))
def test_a_function_is_killed_at_each_of_its_calls(cloud, function, database, instance, secret, nth, when):
    steps = [
        ["login"],
        ["BEGIN"],
        [f"ALTER ROLE app PASSWORD '{NEW}'"],
        ["put", secret, "new"],
        ["COMMIT"],
        ["SELECT %s::int", [1]],
    ]
    start = mark(cloud)
    rule = arm(cloud, "*", "kill", service="*", caller=f"lambda:{function}", nth=nth, when=when)
    # Another caller's call does not count towards the function's rule.
    with connect(cloud, instance) as db:
        db.execute("SELECT 1")
    error, answer = run(cloud, function, database, *steps)
    assert error == "Unhandled", answer
    # No waiting: the server ends the dead function's transaction at once.
    assert left_behind(cloud, instance) == 0
    outcomes = calls(cloud, start, function)
    assert [action for _, action, _ in outcomes] == STEPS[:nth]
    assert [outcome for _, _, outcome in outcomes] == ["ok"] * (nth - 1) + [f"fault:{rule}:kill"]
    reached = [*STEPS[: nth - 1], *([STEPS[nth - 1]] if when == "after" else [])]
    assert password(database) == (NEW if "COMMIT" in reached else OLD)
    assert value(cloud, secret) == ("new" if "PutSecretValue" in reached else "old")
    # The rule strikes only the nth call; the next process lives.
    assert run(cloud, function, {**database, "password": password(database)}, ["login"]) == (None, ["ok"])


@pytest.mark.parametrize(("when", "left"), [("before", OLD), ("after", NEW)])
def test_drop_takes_the_connection_and_not_the_process(cloud, function, database, instance, when, left):
    rule = arm(cloud, "COMMIT", "drop", service="postgres", when=when)
    start = mark(cloud)
    alter = [f"ALTER ROLE app PASSWORD '{NEW}'"]
    error, done = run(cloud, function, database, ["login"], ["BEGIN"], alter, ["COMMIT"], ["SELECT 1"])
    assert (error, done) == (None, ["ok", "ok", "ok", "no connection", "no connection"])
    assert left_behind(cloud, instance) == 0
    assert password(database) == left
    assert calls(cloud, start, function)[-1] == ("postgres", "COMMIT", f"fault:{rule}:drop")


@pytest.mark.parametrize(("when", "left"), [("before", OLD), ("after", NEW)])
def test_timeout_lasts_until_the_rules_are_removed(cloud, function, database, when, left):
    rule = arm(cloud, "ALTER ROLE", "timeout", service="postgres", when=when, seconds=3600, caller="lambda:*")
    start = mark(cloud)
    done = []
    thread = threading.Thread(
        target=lambda: done.append(run(cloud, function, database, ["login"], [f"ALTER ROLE app PASSWORD '{NEW}'"]))
    )
    thread.start()
    wait_for(lambda: ("postgres", "ALTER ROLE", f"fault:{rule}:timeout") in calls(cloud, start, function), "the hang")
    assert password(database) == left
    assert done == []
    cloud.admin("DELETE", "faults")
    thread.join(30)
    assert done == [(None, ["ok", "no connection"])]


def test_timeout_of_a_client_that_leaves_ends_the_servers_side(cloud, database, instance):
    arm(cloud, "SELECT", "timeout", service="postgres", seconds=3600)
    db = psycopg.connect(**database, autocommit=True)
    db.pgconn.send_query(b"SELECT 1")
    db.pgconn.flush()
    wait_for(lambda: 1 in hits(cloud).values(), "the hang")
    assert left_behind_of(database, instance, cloud) == 1
    db.close()
    wait_for(lambda: left_behind_of(database, instance, cloud) == 0, "the server's side to end")


def left_behind_of(database, instance, cloud):
    # Not SELECT, which hangs.
    with connect(cloud, instance) as db:
        rows = db.execute("TABLE pg_stat_activity")
        column = [name.name for name in rows.description].index("application_name")
        return sum(row[column] == "the-function" for row in rows)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("parameters", [[], [["1"]]], ids=["simple", "extended"])
def test_error_is_the_servers_own_and_fails_the_transaction(cloud, function, database, when, parameters):
    rule = arm(cloud, "SELECT", "error", service="postgres", when=when, code="55P03", message="it's locked")
    start = mark(cloud)
    select = ["SELECT '1'::text" if not parameters else "SELECT %s::text", *parameters]
    steps = [["login"], ["BEGIN"], select, select, ["ROLLBACK"], select]
    assert run(cloud, function, database, *steps) == (None, ["ok", "ok", "55P03", "25P02", "ok", [["1"]]])
    assert ("postgres", "SELECT", f"fault:{rule}:error") in calls(cloud, start, function)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_login_can_fail_by_a_rule(cloud, database, when):
    arm(cloud, "login", "throttle", service="postgres", when=when)
    arm(cloud, "login", "error", service="postgres", when=when, code="57P03", message="starting up", nth=2)
    for message in ("too many clients", "starting up"):
        with pytest.raises(psycopg.OperationalError, match=message):
            psycopg.connect(**database)
    psycopg.connect(**database).close()


@pytest.mark.parametrize(("when", "left"), [("before", OLD), ("after", NEW)])
def test_another_process_than_a_functions_can_be_killed(cloud, database, when, left):
    start = mark(cloud)
    rule = arm(cloud, "ALTER ROLE", "kill", service="postgres", when=when, caller="client")
    program = "import psycopg, sys; psycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[2])"
    conninfo = psycopg.conninfo.make_conninfo(**database)
    command = [sys.executable, "-c", program, conninfo, f"ALTER ROLE app PASSWORD '{NEW}'"]
    assert subprocess.run(command, timeout=60).returncode == -signal.SIGKILL
    assert password(database) == left
    # Calls of other callers than functions are logged only if a rule struck them.
    assert logged(cloud, start) == [("client", "postgres", "ALTER ROLE", f"fault:{rule}:kill")]


@pytest.mark.parametrize(
    "options",
    [
        {"channel_binding": "require"},
        {"channel_binding": "disable"},
        {"ssl_max_protocol_version": "TLSv1.2"},
        {"ssl_min_protocol_version": "TLSv1.3"},
    ],
)
def test_tls_is_as_the_servers_own(database, options):
    with psycopg.connect(**{**database, **options}) as db:
        assert db.info.pgconn.ssl_in_use
        # The server confirms that the connection is encrypted.
        [used, version] = db.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
        assert used
        assert version == "TLSv1.3"


def test_direct_tls_is_refused(database):
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**database, sslnegotiation="direct")


def test_the_extended_protocol_is_told_by_what_it_executes(cloud, function, database, instance):
    start = mark(cloud)
    steps = [["login"], ["SELECT %s::int", [1], True], ["ALTER ROLE app SET work_mem = '5MB'", [], True]]
    assert run(cloud, function, database, *steps) == (None, ["ok", [[1]], "ok"])
    assert [action for _, action, _ in calls(cloud, start, function)] == [
        "login",
        "PREPARE SELECT",
        "SELECT",
        "PREPARE ALTER ROLE",
        "ALTER ROLE",
        # The driver drops its prepared statements after an ALTER, which may change their meaning.
        "DEALLOCATE",
    ]


def test_what_postgres_can_do_passes(cloud, instance):
    with connect(cloud, instance) as db, connect(cloud, instance) as other:
        db.execute("CREATE TABLE numbers (n int, t text)")
        # COPY in both directions, and messages larger than one read.
        with db.cursor().copy("COPY numbers FROM STDIN") as copy:
            for number in range(20_000):
                copy.write_row((number, "x" * 100))
        with pytest.raises(psycopg.DataError), db.cursor().copy("COPY numbers FROM STDIN") as copy:
            copy.write(b"no number\tx\n")
        with db.cursor().copy("COPY (SELECT n FROM numbers WHERE n < %s ORDER BY n) TO STDOUT", [10_000]) as copy:
            assert sum(int(row[0]) for row in copy.rows()) == 10_000 * 9_999 // 2
        assert db.execute("SELECT repeat('y', 10000000)").fetchone()[0] == "y" * 10_000_000
        assert db.execute("SELECT length(%s)", ["z" * 3_000_000]).fetchone() == (3_000_000,)
        # Pipelined calls, with results read in between.
        with db.pipeline() as pipeline:
            first = db.execute("SELECT count(*) FROM numbers")
            assert first.fetchone() == (20_000,)
            failing = db.execute("SELECT 1 / n FROM numbers WHERE n = 0")
            with pytest.raises(psycopg.errors.DivisionByZero):
                failing.fetchall()
            with contextlib.suppress(psycopg.Error):
                pipeline.sync()
            again = db.execute("SELECT max(n) FROM numbers")
            assert again.fetchone() == (19_999,)
        # Unsolicited messages.
        db.execute("LISTEN news")
        other.execute("NOTIFY news, 'for you'")
        assert [notice.payload for notice in db.notifies(timeout=10, stop_after=1)] == ["for you"]
        # The cancel request arrives on a separate connection.
        running = threading.Thread(target=lambda: cancelled.append(sqlstate_of(db, "SELECT pg_sleep(600)")))
        cancelled = []
        running.start()
        busy = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'"
        wait_for(lambda: other.execute(busy).fetchone() == (1,), "the query to run")
        db.cancel_safe()
        running.join(30)
        assert cancelled == ["57014"]
        other.execute("SELECT pg_terminate_backend(%s)", [db.info.backend_pid])
        assert sqlstate_of(db, "SELECT 1") == "57P01"
        other.execute("DROP TABLE numbers")


def sqlstate_of(db, statement):
    with pytest.raises(psycopg.Error) as failed:
        db.execute(statement)
    return failed.value.sqlstate


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("SELECT 1", "SELECT"),
        ("  select\n1", "SELECT"),
        ("(SELECT 1) UNION (SELECT 2)", "SELECT"),
        ("-- first\n/* second */ ALTER /* third */ USER x PASSWORD 'p'", "ALTER USER"),
        ("alter role x", "ALTER ROLE"),
        ("ALTER hunter2", "ALTER"),
        ("CREATE ROLE x", "CREATE ROLE"),
        ("SET ROLE hunter2", "SET"),
        ("BEGIN; ALTER ROLE x", "BEGIN"),
        ("COMMIT", "COMMIT"),
        ("DO $$ $$", "DO"),
        ("hunter2", "OTHER"),
        ("SELECTION", "OTHER"),
        ("SELECT_1", "OTHER"),
        ("", "OTHER"),
        (";", "OTHER"),
        ("/* never ended", "OTHER"),
        ("'\xff", "OTHER"),
    ],
)
def test_a_statement_is_told_by_its_command_alone(statement, name):
    assert pgwire.keywords(statement.encode("latin-1")) == name


GOOD = {"service": "postgres", "action": "COMMIT", "effect": "error", "code": "40001"}


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("code", {"code": "4000"}),
        ("code", {"code": "400011"}),
        ("code", {"code": "4000a"}),
        ("code", {"code": "00000"}),
        ("status", {"status": 500}),
    ],
)
def test_a_wrong_error_of_postgres_is_refused(cloud, field, change):
    with pytest.raises(AssertionError, match=rf'400 {{"error": "{field}: '):
        cloud.admin("POST", "faults", {**GOOD, **change})
    assert cloud.admin("POST", "faults", GOOD)["id"]


def test_both_ways_to_a_process_find_the_same_socket():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            ports = client.getsockname()[1], server.getsockname()[1]
            inode = int(os.readlink(f"/proc/self/fd/{client.fileno()}").strip("socket:[]"))
            assert faults._inodes(*ports) == faults._listed_inodes(*ports) == {inode}
        assert faults._inodes(ports[1], 1) == faults._listed_inodes(ports[1], 1) == set()
