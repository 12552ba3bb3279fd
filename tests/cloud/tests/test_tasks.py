"""The MoveONgs API of an ECS service: each task keeps the secrets and the database it started with."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
import uuid
from urllib.parse import quote

import bcrypt
import psycopg
import pytest
from conftest import HERE, wait_for
from databases import PASSWORD, available, connect, create, fault
from test_ecs import Service, value
from test_moveongs import api, bearer, login

UNAUTHORIZED = 401, {"message": "Unauthorized"}
BROKEN = 500, {"message": "Internal server error"}


@pytest.fixture(autouse=True)
def one_process_again(cloud):
    yield
    cloud.admin("POST", "moveongs/config", {"service": None})


@pytest.fixture
def service(cloud):
    made = Service(cloud)
    made.until("COMPLETED")
    cloud.admin("POST", "moveongs/config", {"service": made.at})
    return made


def test_during_a_rollout_each_task_knows_its_own_secret(cloud, service):
    old = login(cloud)
    assert api(cloud, "GET", "/beneficiaries", **bearer(old))[0] == 200
    service.change_secret()
    assert [api(cloud, "GET", "/auth/me", **bearer(old))[0] for _ in range(4)] == [200] * 4

    service.order(hold_after=1)
    service.force()
    wait_for(lambda: len(set(service.held())) == 2 and len(service.held()) == 2, "one task of each deployment")
    seen = [api(cloud, "GET", "/auth/me", **bearer(old)) for _ in range(6)]
    assert collections.Counter(status for status, _ in seen) == {200: 3, 401: 3}, "in turns"
    assert UNAUTHORIZED in seen

    service.order(hold_after=None)
    service.until("COMPLETED")
    assert [api(cloud, "GET", "/beneficiaries", **bearer(old)) for _ in range(2)] == [UNAUTHORIZED] * 2
    # Its refresh token outlives the secret.
    status, new = api(cloud, "POST", "/auth/refresh", {"refreshToken": old["refreshToken"]})
    assert (status, api(cloud, "GET", "/beneficiaries", **bearer(new))[0]) == (200, 200)


def test_without_a_running_task_the_load_balancer_answers(cloud, service):
    service.ecs.update_service(**service.at, desiredCount=0)
    wait_for(lambda: not service.tasks(), "the tasks to stop")
    assert api(cloud, "GET", "/health")[0] == 503
    cloud.admin("POST", "moveongs/config", {"service": {"cluster": "none", "service": "none"}})
    assert api(cloud, "GET", "/health")[0] == 503
    cloud.admin("POST", "moveongs/config", {"service": None})
    assert api(cloud, "GET", "/health")[0] == 200


@pytest.fixture(scope="module")
def instance(cloud):
    rds = cloud.client("rds")
    return available(rds, create(rds, "15.18"))


class Database:
    """The application's database user, its secret, and the service that uses it."""

    def __init__(self, cloud, instance):
        self.cloud, self.instance = cloud, instance
        self.user = f"imm_{uuid.uuid4().hex[:8]}"
        self.secrets, self.name = cloud.client("secretsmanager"), f"{self.user}-database-url"
        with connect(cloud, instance) as master:
            master.execute(f"CREATE ROLE {self.user} LOGIN")
            master.execute(f"GRANT {self.user} TO CURRENT_USER")
            master.execute(f"CREATE SCHEMA {self.user} AUTHORIZATION {self.user}")
        self.secret = self.secrets.create_secret(Name=self.name, SecretString=self.new_url())["ARN"]
        self.service = Service(cloud)
        self.service.until("COMPLETED")
        container = {
            "name": "api",
            "image": "moveongs/api",
            "secrets": [
                {"name": "JWT_SECRET", "valueFrom": self.service.secret},
                {"name": "DATABASE_URL", "valueFrom": self.secret},
            ],
        }
        made = self.service.ecs.register_task_definition(family=self.user, containerDefinitions=[container])
        self.service.force(taskDefinition=made["taskDefinition"]["taskDefinitionArn"])
        self.service.until("COMPLETED")
        cloud.admin("POST", "moveongs/config", {"service": self.service.at})

    def new_url(self) -> str:
        """Changes the user's password to one with characters that a URL must encode."""
        password, end = f"@/:{value()}", self.instance["Endpoint"]
        with connect(self.cloud, self.instance) as master:
            master.execute(f"ALTER ROLE {self.user} PASSWORD '{password}'")
        return f"postgresql://{self.user}:{quote(password, safe='')}@{end['Address']}:{end['Port']}/app"

    def ask(self, statement: str) -> list:
        with connect(self.cloud, self.instance) as master:
            return master.execute(statement).fetchall()


@pytest.fixture
def database(cloud, instance):
    return Database(cloud, instance)


def test_a_task_reads_the_database_with_the_url_it_started_with(cloud, database):
    session = login(cloud)
    refresh = {"refreshToken": session["refreshToken"]}
    new = database.new_url()
    assert api(cloud, "GET", "/health") == (200, {"status": "ok"})
    assert api(cloud, "GET", "/auth/me", **bearer(session))[0] == 200
    assert api(cloud, "POST", "/auth/login", cloud.facts["moveongs_user"]) == BROKEN
    assert api(cloud, "POST", "/auth/refresh", refresh) == BROKEN
    assert api(cloud, "GET", "/beneficiaries", **bearer(session)) == BROKEN
    assert api(cloud, "GET", "/beneficiaries") == UNAUTHORIZED, "before the database is asked"
    assert api(cloud, "POST", "/auth/login", {"email": "x", "password": "y"})[0] == 400

    database.secrets.put_secret_value(SecretId=database.secret, SecretString=new)
    assert api(cloud, "GET", "/beneficiaries", **bearer(session)) == BROKEN, "until it is started again"
    database.service.force()
    database.service.until("COMPLETED")
    assert api(cloud, "GET", "/beneficiaries", **bearer(session))[0] == 200
    assert api(cloud, "POST", "/auth/refresh", refresh)[0] == 200


def test_refresh_tokens_are_in_the_database_where_they_can_be_revoked(cloud, database):
    kept, used, revoked = login(cloud), login(cloud), login(cloud)
    columns = database.ask(
        "SELECT column_name, is_nullable FROM information_schema.columns "
        f"WHERE table_name = 'auth_refresh_tokens' AND table_schema = '{database.user}' ORDER BY 1"
    )
    assert columns == [
        ("created_at", "NO"),
        ("expires_at", "NO"),
        ("id", "NO"),
        ("revoked_at", "YES"),
        ("token_hash", "NO"),
        ("user_id", "NO"),
    ]
    assert api(cloud, "POST", "/auth/refresh", {"refreshToken": used["refreshToken"]})[0] == 200
    reused = api(cloud, "POST", "/auth/refresh", {"refreshToken": used["refreshToken"]})
    assert reused == (409, {"message": "Refresh token already rotated"})
    with connect(cloud, database.instance) as master, pytest.raises(psycopg.errors.UniqueViolation):
        master.execute(
            f"INSERT INTO {database.user}.auth_refresh_tokens (user_id, token_hash, expires_at) "
            f"SELECT user_id, token_hash, now() FROM {database.user}.auth_refresh_tokens LIMIT 1"
        )
    assert api(cloud, "POST", "/auth/refresh", {"refreshToken": kept["refreshToken"]})[0] == 200
    with connect(cloud, database.instance) as master:
        master.execute(f"UPDATE {database.user}.auth_refresh_tokens SET revoked_at = now() WHERE revoked_at IS NULL")
    assert api(cloud, "POST", "/auth/refresh", {"refreshToken": revoked["refreshToken"]}) == UNAUTHORIZED
    assert api(cloud, "GET", "/auth/me", **bearer(revoked))[0] == 200, "the access token lives on"


@pytest.mark.parametrize("mode", ["downgrade", "untrusted-ca", "wrong-name"])
def test_only_a_server_with_the_clouds_certificate_is_talked_to(cloud, database, mode):
    name = database.instance["DBInstanceIdentifier"]
    assert fault(cloud, name, mode)["plaintext_startups"] == 0
    try:
        assert api(cloud, "POST", "/auth/login", cloud.facts["moveongs_user"]) == BROKEN
    finally:
        assert fault(cloud, name, "none")["plaintext_startups"] == 0
    login(cloud)


class Admin:
    """A database with the application's schema and a seeded administrator, and the service that uses it."""

    EMAIL = "admin@imm.local"

    def __init__(self, cloud, instance):
        self.cloud, end = cloud, instance["Endpoint"]
        name = f"app_{uuid.uuid4().hex[:8]}"
        with connect(cloud, instance) as master:
            master.execute(f"CREATE DATABASE {name}")
        owner, manager = ({"user": f"{name}_{kind}", "password": uuid.uuid4().hex} for kind in ("owner", "manager"))
        self.owner, self.prepared = (
            owner,
            {
                "host": end["Address"],
                "port": end["Port"],
                "dbname": name,
                "master": {"user": "master", "password": PASSWORD},
                "user": owner,
                "admin": manager,
            },
        )
        self.prepare()
        self.service = Service(cloud)
        self.service.until("COMPLETED")
        url = f"postgresql://{owner['user']}:{owner['password']}@{end['Address']}:{end['Port']}/{name}"
        secret = cloud.client("secretsmanager").create_secret(Name=name, SecretString=url)["ARN"]
        variables = {"JWT_SECRET": self.service.secret, "DATABASE_URL": secret}
        made = self.service.ecs.register_task_definition(
            family=name,
            containerDefinitions=[
                {"name": "api", "image": "x", "secrets": [{"name": n, "valueFrom": v} for n, v in variables.items()]}
            ],
        )
        self.service.force(taskDefinition=made["taskDefinition"]["taskDefinitionArn"])
        self.service.until("COMPLETED")
        cloud.admin("POST", "moveongs/config", {"service": self.service.at})

    def prepare(self, password=None):
        seeded = {"seed_admin": {"email": self.EMAIL, "password": password}} if password else {}
        environment = {**os.environ, "PGSSLROOTCERT": self.cloud.facts["rds_ca"]}
        command = [sys.executable, "-m", "localcloud.application", "prepare"]
        told = json.dumps({**self.prepared, **seeded}).encode()
        subprocess.run(command, input=told, env=environment, cwd=HERE, check=True)

    def ask(self, statement, *values):
        place = {key: self.prepared[key] for key in ("host", "port", "dbname")}
        with psycopg.connect(
            **place, **self.owner, sslmode="verify-full", sslrootcert=self.cloud.facts["rds_ca"]
        ) as db:
            cursor = db.execute(statement, values)
            return cursor.fetchall() if cursor.description else None

    def login(self, password, email=EMAIL):
        return api(self.cloud, "POST", "/auth/login", {"email": email, "password": password})


def test_a_seeded_administrator_logs_in_by_the_password_of_the_database(cloud, instance):
    admin = Admin(cloud, instance)
    wrong = (401, {"message": "Invalid credentials"})
    assert admin.login("ChangeMe123!") == wrong
    admin.prepare("ChangeMe123!")
    status, session = admin.login("ChangeMe123!")
    assert (status, session["user"]["email"], session["user"]["roles"][0]["slug"]) == (200, admin.EMAIL, "admin")
    assert admin.login("Another123!") == wrong
    # The application compares addresses in lower case.
    assert admin.login("ChangeMe123!", "Admin@imm.local")[0] == 200
    assert api(cloud, "GET", "/auth/me", **bearer(session))[1]["user"] == session["user"]
    [(user, kept)] = admin.ask("SELECT id::text, password_hash FROM users WHERE email = %s", admin.EMAIL)
    assert (user, kept[:7], len(kept)) == (session["user"]["id"], "$2b$12$", 60)
    status, renewed = api(cloud, "POST", "/auth/refresh", {"refreshToken": session["refreshToken"]})
    assert (status, renewed["user"]) == (200, session["user"])

    # A second seed changes nothing; a changed hash does.
    admin.prepare("Another123!")
    assert admin.login("Another123!") == wrong
    new = bcrypt.hashpw(b"Another123!", bcrypt.gensalt(4, b"2a")).decode()
    admin.ask("UPDATE users SET password_hash = %s", new)
    assert admin.login("ChangeMe123!") == wrong
    assert admin.login("Another123!")[0] == 200
    admin.ask("UPDATE users SET is_active = false")
    assert admin.login("Another123!") == wrong
    admin.ask("UPDATE users SET is_active = true, password_hash = 'x'")
    assert admin.login("Another123!") == wrong
    admin.ask("UPDATE users SET password_hash = %s", "x" * 60)
    assert admin.login("Another123!") == BROKEN

    # The configured user has no row and still logs in.
    assert api(cloud, "POST", "/auth/login", cloud.facts["moveongs_user"])[0] == 200
    cloud.admin("POST", "moveongs/config", {"service": None})
    assert admin.login("Another123!") == wrong
