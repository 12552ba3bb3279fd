"""RDS instances with real databases: statuses in order, events, changes, the master password in a secret."""

from __future__ import annotations

import json
import pathlib
import signal

import psycopg
import pytest
from conftest import launcher, ready, running, wait_for
from databases import (
    PASSWORD,
    all_instances,
    available,
    connect,
    create,
    describe,
    event_of,
    listening,
    refusal,
    rows,
    snapshot,
    statuses,
)


def test_an_instance_lives_through_its_statuses_and_leaves_nothing(cloud, rds, queue):
    name = create(rds, retention=1, Tags=[{"Key": "kept", "Value": "yes"}])
    assert "Endpoint" not in describe(rds, name)
    assert refusal(rds.create_db_snapshot, DBInstanceIdentifier=name, DBSnapshotIdentifier="early") == (
        "InvalidDBInstanceState"
    )
    assert statuses(rds, name) == ["creating", "backing-up", "available"]
    instance = describe(rds, name)
    assert instance["BackupRetentionPeriod"] == 1
    assert instance["LatestRestorableTime"]
    automated = rds.describe_db_snapshots(DBInstanceIdentifier=name, SnapshotType="automated")["DBSnapshots"]
    assert [one["Status"] for one in automated] == ["available"]
    assert automated[0]["DBSnapshotIdentifier"].startswith(f"rds:{name}-")

    folder = cloud.state / "rds" / instance["DbiResourceId"]
    assert folder.exists()
    port = instance["Endpoint"]["Port"]
    assert listening(port)
    assert refusal(rds.delete_db_instance, DBInstanceIdentifier=name) == "InvalidParameterCombination"
    rds.delete_db_instance(DBInstanceIdentifier=name, FinalDBSnapshotIdentifier=f"{name}-final")
    assert refusal(rds.delete_db_instance, DBInstanceIdentifier=name, SkipFinalSnapshot=True) == (
        "InvalidDBInstanceState"
    )
    assert statuses(rds, name, None) == ["deleting", None]
    assert not listening(port)
    assert not folder.exists()
    left = rds.describe_db_snapshots(DBInstanceIdentifier=name)["DBSnapshots"]
    assert [one["DBSnapshotIdentifier"] for one in left] == [f"{name}-final"]
    rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-final")

    def of_this():
        return [event for event in queue() if name in event["detail"]["SourceIdentifier"]]

    expected = ["0005", "0001", "0090", "0091", "0002", "0040", "0042", "0003", "0041"]
    wait_for(lambda: len(of_this()) >= len(expected), "the events")
    events = {event["detail"]["EventID"]: event for event in of_this()}
    assert sorted(events) == sorted(f"RDS-EVENT-{number}" for number in expected)
    created = events["RDS-EVENT-0005"]
    assert created["source"] == "aws.rds"
    assert created["detail-type"] == "RDS DB Instance Event"
    assert created["resources"] == [instance["DBInstanceArn"]]
    assert created["detail"] == {
        "EventCategories": ["creation"],
        "SourceType": "DB_INSTANCE",
        "SourceArn": instance["DBInstanceArn"],
        "Date": created["detail"]["Date"],
        "Message": "DB instance created.",
        "SourceIdentifier": name,
        "EventID": "RDS-EVENT-0005",
        "Tags": {"kept": "yes"},
    }
    saved = events["RDS-EVENT-0091"]
    assert saved["detail-type"] == "RDS DB Snapshot Event"
    assert saved["detail"]["SourceType"] == "SNAPSHOT"
    assert saved["resources"] == [automated[0]["DBSnapshotArn"]]


def test_create_refuses_what_rds_refuses(rds):
    good = {
        "DBInstanceIdentifier": "refused",
        "DBInstanceClass": "db.t4g.micro",
        "Engine": "postgres",
        "MasterUsername": "master",
        "MasterUserPassword": PASSWORD,
    }
    assert refusal(rds.create_db_instance, **{**good, "MasterUserPassword": "short"}) == "InvalidParameterValue"
    assert refusal(rds.create_db_instance, **{**good, "MasterUserPassword": 'with"quote'}) == "InvalidParameterValue"
    assert refusal(rds.create_db_instance, **good, EngineVersion="9.6") == "InvalidParameterCombination"


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ({"DBParameterGroupName": "absent"}, "DBParameterGroupNotFound"),
        ({"DBSubnetGroupName": "absent"}, "DBSubnetGroupNotFoundFault"),
        ({"BackupRetentionPeriod": 36}, "InvalidParameterValue"),
        ({"BackupRetentionPeriod": -1}, "InvalidParameterValue"),
    ],
)
def test_settings_that_are_refused_wherever_they_are_given(rds, shared, kept, setting, code):
    name = shared["DBInstanceIdentifier"]
    create_it = {"DBInstanceClass": "db.t4g.micro", "Engine": "postgres", "MasterUsername": "master"}
    calls = [
        (rds.create_db_instance, {"DBInstanceIdentifier": "refused", **create_it, "MasterUserPassword": PASSWORD}),
        (rds.modify_db_instance, {"DBInstanceIdentifier": name}),
        (
            rds.restore_db_instance_from_db_snapshot,
            {"DBInstanceIdentifier": "refused", "DBSnapshotIdentifier": kept},
        ),
    ]
    for call, arguments in calls:
        assert refusal(call, **arguments, **setting) == code
    assert refusal(describe, rds=rds, name="refused") == "DBInstanceNotFound"


def secret_of(cloud, instance):
    """The name and value of the managed secret."""
    secrets = cloud.client("secretsmanager")
    arn = instance["MasterUserSecret"]["SecretArn"]
    described = secrets.describe_secret(SecretId=arn)
    assert described["OwningService"] == "rds"
    assert "RotationEnabled" not in described
    return described["Name"], json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])


def test_rds_manages_the_master_password_in_a_secret(cloud, rds):
    secrets = cloud.client("secretsmanager")
    wanted = {
        "DBInstanceIdentifier": "managed",
        "DBInstanceClass": "db.t4g.micro",
        "Engine": "postgres",
        "EngineVersion": "18.4",
        "AllocatedStorage": 20,
        "MasterUsername": "master",
        "DBName": "app",
        "BackupRetentionPeriod": 1,
        "ManageMasterUserPassword": True,
    }
    assert refusal(rds.create_db_instance, **wanted, MasterUserPassword=PASSWORD) == "InvalidParameterCombination"
    made = rds.create_db_instance(**wanted)["DBInstance"]
    assert made["MasterUserSecret"]["SecretStatus"] == "creating"
    instance = available(rds, "managed")
    assert instance["MasterUserSecret"]["SecretStatus"] == "active"
    assert instance["MasterUserSecret"]["KmsKeyId"]
    name, value = secret_of(cloud, instance)
    assert name.startswith("rds!db-")
    assert set(value) == {"username", "password"}
    connect(cloud, instance, user=value["username"], password=value["password"]).close()

    refused = {"DBInstanceIdentifier": "managed", "MasterUserPassword": PASSWORD}
    assert refusal(rds.modify_db_instance, **refused) == "InvalidParameterCombination"
    assert refusal(rds.modify_db_instance, **refused, ManageMasterUserPassword=True) == "InvalidParameterCombination"
    refused = {"DBInstanceIdentifier": "managed", "ManageMasterUserPassword": False}
    assert refusal(rds.modify_db_instance, **refused) == "InvalidParameterCombination"
    refused = {"DBInstanceIdentifier": "managed-replica", "SourceDBInstanceIdentifier": "managed"}
    assert refusal(rds.create_db_instance_read_replica, **refused) == "InvalidDBInstanceState"
    assert refusal(secrets.put_secret_value, SecretId=name, SecretString="mine") == "InvalidRequestException"
    assert secret_of(cloud, describe(rds, "managed")) == (name, value)
    connect(cloud, instance, password=value["password"]).close()

    # Switch to a password of the caller's, and back to a managed one.
    rds.modify_db_instance(
        DBInstanceIdentifier="managed",
        ManageMasterUserPassword=False,
        MasterUserPassword=PASSWORD,
        ApplyImmediately=True,
    )
    wait_for(lambda: not describe(rds, "managed")["PendingModifiedValues"], "the password to change")
    assert "MasterUserSecret" not in describe(rds, "managed")
    assert refusal(secrets.describe_secret, SecretId=name) == "ResourceNotFoundException"
    connect(cloud, instance).close()
    statuses(rds, "managed")
    rds.modify_db_instance(DBInstanceIdentifier="managed", ManageMasterUserPassword=True, ApplyImmediately=True)
    wait_for(lambda: describe(rds, "managed")["MasterUserSecret"]["SecretStatus"] == "active", "the secret")
    again, value = secret_of(cloud, describe(rds, "managed"))
    assert again != name
    connect(cloud, instance, password=value["password"]).close()
    rds.delete_db_instance(DBInstanceIdentifier="managed", SkipFinalSnapshot=True)
    statuses(rds, "managed", None)
    assert refusal(secrets.describe_secret, SecretId=again) == "ResourceNotFoundException"


def test_a_new_class_and_size_are_modified_to(rds):
    name = create(rds, version="18.4")
    available(rds, name)
    change = {"DBInstanceIdentifier": name, "DBInstanceClass": "db.t4g.small", "AllocatedStorage": 30}
    rds.modify_db_instance(**change, ApplyImmediately=True)
    assert refusal(rds.modify_db_instance, **change, ApplyImmediately=True) == "InvalidDBInstanceState"
    assert statuses(rds, name) == ["modifying", "available"]
    changed = describe(rds, name)
    assert (changed["DBInstanceClass"], changed["AllocatedStorage"]) == ("db.t4g.small", 30)
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_the_master_password_changes(cloud, rds, queue):
    name = create(rds)
    instance = available(rds, name)
    rds.modify_db_instance(DBInstanceIdentifier=name, MasterUserPassword="another-Password", ApplyImmediately=True)
    wait_for(lambda: not describe(rds, name)["PendingModifiedValues"], "the password to change")
    event = event_of(queue, "0016", name)
    assert (event["EventCategories"], event["Message"]) == (["configuration change"], "Reset master credentials.")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(cloud, instance)
    connect(cloud, instance, password="another-Password").close()
    assert "another-Password" not in "".join(path.read_text() for path in (cloud.state / "logs").glob("rds-*.log"))
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_stop_start_and_reboot_keep_the_data_and_the_endpoint(cloud, rds, queue):
    name = create(rds)
    instance = available(rds, name)
    port = instance["Endpoint"]["Port"]
    with connect(cloud, instance) as db:
        db.execute("CREATE TABLE words AS SELECT 'stays' AS word")
    rds.stop_db_instance(DBInstanceIdentifier=name)
    assert statuses(rds, name, "stopped") == ["stopping", "stopped"]
    assert not listening(port)
    assert refusal(rds.reboot_db_instance, DBInstanceIdentifier=name) == "InvalidDBInstanceState"
    rds.start_db_instance(DBInstanceIdentifier=name)
    assert statuses(rds, name) == ["starting", "available"]
    rds.reboot_db_instance(DBInstanceIdentifier=name)
    assert statuses(rds, name) == ["rebooting", "available"]
    assert describe(rds, name)["Endpoint"]["Port"] == port
    assert rows(cloud, instance) == ["stays"]
    events = rds.describe_events(SourceIdentifier=name, SourceType="db-instance")["Events"]
    assert [(event["Message"], event["EventCategories"]) for event in events] == [
        ("DB instance created.", ["creation"]),
        ("DB instance stopped.", ["notification"]),
        ("DB instance started.", ["notification"]),
        ("DB instance restarted.", ["availability"]),
    ]
    for number, event in zip(("0087", "0088", "0006"), events[1:], strict=True):
        assert event_of(queue, number, name)["Message"] == event["Message"]
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_a_parameter_group_sets_what_the_server_runs_with(cloud, rds):
    rds.create_db_parameter_group(
        DBParameterGroupName="logging", DBParameterGroupFamily="postgres18", Description="logs statements"
    )
    parameters = [
        {"ParameterName": "log_statement", "ParameterValue": "all", "ApplyMethod": "immediate"},
        {"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"},
        {
            "ParameterName": "shared_preload_libraries",
            "ParameterValue": "pg_stat_statements",
            "ApplyMethod": "pending-reboot",
        },
    ]
    rds.modify_db_parameter_group(DBParameterGroupName="logging", Parameters=parameters)
    name = create(rds, DBParameterGroupName="logging")
    instance = available(rds, name)
    with connect(cloud, instance) as db:
        assert db.execute("SHOW log_statement").fetchone() == ("all",)
        db.execute("CREATE EXTENSION pg_stat_statements")
        db.execute("CREATE ROLE other LOGIN PASSWORD 'of-the-other'")
        with connect(cloud, instance, user="other", password="of-the-other") as other:
            other.execute("SELECT 'of the other' AS statement")
        # The master user sees all users' statements.
        kept = "".join(row[0] for row in db.execute("SELECT query FROM pg_stat_statements"))
    assert "SHOW log_statement" in kept
    assert "AS statement" in kept
    log = (cloud.state / "logs" / f"rds-{name}.log").read_text()
    assert "CREATE EXTENSION pg_stat_statements" in log
    assert "SELECT 'of the other' AS statement" in log
    assert PASSWORD not in kept + log
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_events_can_go_missing(cloud, rds, shared, queue):
    name = shared["DBInstanceIdentifier"]
    # Otherwise the dropped event could be that of an instance that another test deleted.
    wait_for(lambda: {one["DBInstanceStatus"] for one in all_instances(rds)} == {"available"}, "quiet")
    before = cloud.admin("GET", "rds/events")
    cloud.admin("POST", "rds/events", {"drop": 1})
    snapshot(rds, name, "eventful")
    statuses(rds, name)

    def seen():
        return [event["detail"]["EventID"] for event in queue() if event["detail"]["SourceIdentifier"] == "eventful"]

    wait_for(lambda: "RDS-EVENT-0042" in seen(), "the event that was not dropped")
    assert seen() == ["RDS-EVENT-0042"]
    after = cloud.admin("GET", "rds/events")
    assert (after["drop"], after["dropped"] - before["dropped"]) == (0, 1)
    assert after["delivered"] > before["delivered"]
    cloud.admin("POST", "rds/events", {"drop": -1})
    rds.delete_db_snapshot(DBSnapshotIdentifier="eventful")
    wait_for(lambda: cloud.admin("GET", "rds/events")["dropped"] == after["dropped"] + 1, "the dropped event")
    cloud.admin("POST", "rds/events", {"drop": 0})
    listed = rds.describe_events(SourceIdentifier="eventful", SourceType="db-snapshot")["Events"]
    assert [event["Message"] for event in listed] == [
        "Creating manual snapshot.",
        "Manual snapshot created.",
        "Deleted user snapshot.",
    ]
    assert "RDS-EVENT-0041" not in seen()


def test_an_instance_shows_another_status_as_told(cloud, rds, shared):
    name = shared["DBInstanceIdentifier"]
    tell = {"instance": name, "status": "modifying"}
    assert cloud.admin("POST", "rds/status", tell) == tell
    assert describe(rds, name)["DBInstanceStatus"] == "modifying"
    again = {"DBInstanceIdentifier": name, "DBSnapshotIdentifier": "never"}
    assert refusal(rds.create_db_snapshot, **again) == "InvalidDBInstanceState"
    cloud.admin("POST", "rds/status", {"instance": name, "status": "available"})
    connect(cloud, describe(rds, name)).close()
    with pytest.raises(AssertionError, match="a word of RDS"):
        cloud.admin("POST", "rds/status", {"instance": name, "status": "Odd one"})


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_server_outlives_the_launcher(tmp_path, how):
    with launcher(tmp_path) as process:
        rds = ready(process, tmp_path).client("rds")
        name = create(rds)
        instance = available(rds, name)
        folder = (tmp_path / "rds").resolve()
        pid = int((folder / instance["DbiResourceId"] / "data/postmaster.pid").read_text().split()[0])
        assert running(pid)
        process.send_signal(how)
        assert process.wait(30) == (-signal.SIGKILL if how == signal.SIGKILL else 0)
        wait_for(lambda: not running(pid), "the server to end")
        assert not listening(instance["Endpoint"]["Port"])
        wait_for(lambda: not folder.exists(), "the data to be removed")


def test_blue_green_deployments_are_those_of_the_model(cloud):
    """Members, statuses and pages follow botocore's model of RDS; the case is tests/cases/22-rds-blue-green.json."""
    rds, cases = cloud.client("rds"), pathlib.Path(__file__).parents[2] / "cases"
    deployment = json.loads((cases / "22-rds-blue-green.json").read_text())["BlueGreenDeployments"][0]
    try:
        names = [f"bgd-{number:02}" for number in range(21)]
        chosen = [{**deployment, "BlueGreenDeploymentIdentifier": name} for name in names]
        cloud.admin("POST", "rds/blue-green", {"deployments": chosen})
        page = rds.describe_blue_green_deployments(MaxRecords=20)
        rest = rds.describe_blue_green_deployments(MaxRecords=20, Marker=page["Marker"])
        assert page["BlueGreenDeployments"] + rest["BlueGreenDeployments"] == chosen
        assert "Marker" not in rest
        one = rds.describe_blue_green_deployments(BlueGreenDeploymentIdentifier="bgd-07")
        assert one["BlueGreenDeployments"] == [chosen[7]]
        with pytest.raises(rds.exceptions.BlueGreenDeploymentNotFoundFault):
            rds.describe_blue_green_deployments(BlueGreenDeploymentIdentifier="bgd-99")
        for wrong in ({**deployment, "Status": "DONE"}, {**deployment, "Sauce": "a"}):
            with pytest.raises(AssertionError):
                cloud.admin("POST", "rds/blue-green", {"deployments": [wrong]})
    finally:
        cloud.admin("POST", "rds/blue-green", {"deployments": []})
    assert rds.describe_blue_green_deployments()["BlueGreenDeployments"] == []
