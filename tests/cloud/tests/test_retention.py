"""The application's deletion at start (facts, section 0): it deletes with the defaults, and not with long retention."""

from __future__ import annotations

import uuid

import pytest
from conftest import wait_for
from databases import PASSWORD, available, connect, create
from test_ecs import Service

TABLES = """
CREATE TABLE beneficiaries (id int, full_name text, cpf text, city text, updated_at timestamptz);
CREATE TABLE attachments (id int, file_path text, created_at timestamptz);
INSERT INTO beneficiaries VALUES
  (1, 'Ana', '1', 'Recife', now() - interval '200 days'), (2, 'Bia', '2', 'Olinda', now());
INSERT INTO attachments VALUES (1, 's3://b/1', now() - interval '400 days'), (2, 's3://b/2', now());
"""


@pytest.fixture
def on(cloud):
    cloud.admin("DELETE", "moveongs/retention")
    cloud.admin("POST", "moveongs/retention", {"on": True})
    yield
    cloud.admin("POST", "moveongs/retention", {"on": False})


def test_a_start_deletes_unless_the_environment_says_otherwise(cloud, on):
    rds = cloud.client("rds")
    instance = available(rds, create(rds, "18.4"))
    endpoint = instance["Endpoint"]
    place = f"{endpoint['Address']}:{endpoint['Port']}/app"
    with connect(cloud, instance) as db:
        db.execute(TABLES)
    service = Service(cloud, desired=1)
    service.until("COMPLETED")
    url = cloud.client("secretsmanager").create_secret(
        Name=f"url-{uuid.uuid4().hex[:8]}", SecretString=f"postgres://master:{PASSWORD}@{place}"
    )

    def deploy(**environment):
        before = len(runs(cloud))
        container = {
            "name": "api",
            "image": "moveongs/api",
            "environment": [{"name": name, "value": value} for name, value in environment.items()],
            "secrets": [{"name": "DATABASE_URL", "valueFrom": url["ARN"]}],
        }
        service.ecs.register_task_definition(family=service.cluster, containerDefinitions=[container])
        service.force(taskDefinition=service.cluster)
        service.until("COMPLETED")
        (run,) = wait_for(lambda: runs(cloud)[before:], "a run")
        assert run["database"] == place
        return [run[name] for name in ("days", "anonymize_days", "deleted", "anonymized")]

    def rows():
        with connect(cloud, instance) as db:
            people = db.execute("SELECT count(*) FROM beneficiaries WHERE cpf IS NOT NULL").fetchone()[0]
            return people, db.execute("SELECT count(*) FROM attachments").fetchone()[0]

    long = {"DATA_RETENTION_DAYS": "36500", "DATA_RETENTION_ANONYMIZE_DAYS": "36500"}
    assert (deploy(**long), rows()) == ([36500, 36500, 0, 0], (2, 2))
    assert (deploy(), rows()) == ([365, 180, 1, 1], (1, 1))
    assert (deploy(), rows()) == ([365, 180, 0, 0], (1, 1))
    rds.delete_db_instance(DBInstanceIdentifier=instance["DBInstanceIdentifier"], SkipFinalSnapshot=True)


def runs(cloud):
    return cloud.admin("GET", "moveongs/retention")["runs"]
