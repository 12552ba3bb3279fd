"""RDS facts shared by many databases, and AWS Backup in Cloud Control."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError


def test_event_subscriptions_are_those_of_the_model(cloud):
    rds = cloud.client("rds")
    chosen = [
        {
            "CustSubscriptionId": f"s-{number:02}",
            "Status": "active",
            "Enabled": True,
            "SourceType": "db-instance",
            "SourceIdsList": ["a", "b"],
            "EventCategoriesList": ["backup", "failure"],
        }
        for number in range(25)
    ]
    try:
        cloud.admin("POST", "rds/event-subscriptions", {"subscriptions": chosen})
        page = rds.describe_event_subscriptions(MaxRecords=20)
        rest = rds.describe_event_subscriptions(MaxRecords=20, Marker=page["Marker"])
        assert page["EventSubscriptionsList"] + rest["EventSubscriptionsList"] == chosen
        with pytest.raises(ClientError, match="SubscriptionNotFound"):
            rds.describe_event_subscriptions(SubscriptionName="none")
    finally:
        cloud.admin("POST", "rds/event-subscriptions", {"subscriptions": []})
    assert rds.describe_event_subscriptions()["EventSubscriptionsList"] == []


def test_major_versions_are_those_of_an_engine(cloud):
    rds = cloud.client("rds")
    chosen = [{"Engine": engine, "MajorEngineVersion": "17"} for engine in ("aurora-postgresql", "postgres")]
    try:
        cloud.admin("POST", "rds/major-versions", {"versions": chosen})
        assert rds.describe_db_major_engine_versions(Engine="postgres")["DBMajorEngineVersions"] == chosen[1:]
        assert len(rds.describe_db_major_engine_versions()["DBMajorEngineVersions"]) == 2
    finally:
        cloud.admin("POST", "rds/major-versions", {"versions": []})


@pytest.mark.parametrize(
    ("group", "value"),
    [("default.postgres14", "0"), ("default.postgres15", "1"), ("default.postgres17", "1")],
)
def test_a_default_group_forces_tls_as_its_family_does(cloud, group, value):
    only = [{"Name": "parameter-name", "Values": ["rds.force_ssl"]}]
    found = cloud.client("rds").describe_db_parameters(DBParameterGroupName=group, Filters=only)["Parameters"]
    assert [(one["ParameterName"], one["ParameterValue"]) for one in found] == [("rds.force_ssl", value)]


def test_a_group_that_sets_the_parameter_has_its_value(cloud):
    rds = cloud.client("rds")
    group = {"DBParameterGroupName": "announced-own"}
    rds.create_db_parameter_group(**group, DBParameterGroupFamily="postgres17", Description="x")
    try:
        off = {"ParameterName": "rds.force_ssl", "ParameterValue": "0", "ApplyMethod": "immediate"}
        rds.modify_db_parameter_group(**group, Parameters=[off])
        only = [{"Name": "parameter-name", "Values": ["rds.force_ssl"]}]
        found = rds.describe_db_parameters(**group, Filters=only)["Parameters"]
        assert [one["ParameterValue"] for one in found] == ["0"]
        assert len(rds.describe_db_parameters(**group)["Parameters"]) > 1
        with pytest.raises(ClientError, match="DBParameterGroupNotFound"):
            rds.describe_db_parameters(DBParameterGroupName="none")
    finally:
        rds.delete_db_parameter_group(**group)


def test_cloud_control_shows_selections_and_vaults(cloud):
    backup, control = cloud.client("backup"), cloud.client("cloudcontrol")
    rule = {"RuleName": "r", "TargetBackupVaultName": "shown"}
    vault = backup.create_backup_vault(BackupVaultName="shown")["BackupVaultArn"]
    plan = backup.create_backup_plan(BackupPlan={"BackupPlanName": "p", "Rules": [rule]})["BackupPlanId"]
    wanted = {"SelectionName": "s", "IamRoleArn": "arn:aws:iam::000000000000:role/b", "Resources": ["arn:aws:rds:*"]}
    selection = backup.create_backup_selection(BackupPlanId=plan, BackupSelection=wanted)["SelectionId"]
    try:
        listed = control.list_resources(TypeName="AWS::Backup::BackupSelection")["ResourceDescriptions"]
        name = next(one["Identifier"] for one in listed if selection in one["Identifier"])
        found = control.get_resource(TypeName="AWS::Backup::BackupSelection", Identifier=name)
        found = json.loads(found["ResourceDescription"]["Properties"])
        assert (found["BackupPlanId"], found["BackupSelection"]) == (plan, wanted)
        found = control.get_resource(TypeName="AWS::Backup::BackupVault", Identifier=vault)
        found = json.loads(found["ResourceDescription"]["Properties"])
        assert found["BackupVaultName"] == "shown"
        assert ":key/" in found["EncryptionKeyArn"]
        assert "LockConfiguration" not in found
    finally:
        backup.delete_backup_selection(BackupPlanId=plan, SelectionId=selection)
        backup.delete_backup_plan(BackupPlanId=plan)
        backup.delete_backup_vault(BackupVaultName="shown")
