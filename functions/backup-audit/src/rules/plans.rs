//! AWS Backup plans, and the resources that they select. Source: AWS Backup's developer guide, "Assign resources with
//! AWS CLI", and the resource types AWS::Backup::BackupPlan and AWS::Backup::BackupSelection.
//!
//! A selection takes the resources that `Resources` or `ListOfTags` name, or all if both are empty; without those in
//! `NotResources`; and of these only the ones that meet all `Conditions`. Not read: the region's opt-in, by which AWS
//! Backup skips a type that a selection takes only by tags or by the service's name.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use shared::command;
use shared::run::command::Command;

/// An AWS Backup plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub id: String,
    pub name: String,
    pub rules: Vec<Scheduled>,
    pub selections: Vec<Selection>,
}

/// A rule of a plan.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Scheduled {
    pub rule_name: String,
    #[serde(rename = "TargetBackupVault")]
    pub vault: String,
    #[serde(default, rename = "EnableContinuousBackup")]
    pub is_continuous: bool,
    #[serde(default)]
    pub lifecycle: Lifecycle,
}

/// Retention of recovery points.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Lifecycle {
    pub delete_after_days: Option<f64>,
}

/// Resources that a plan takes.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Selection {
    resources: Vec<String>,
    not_resources: Vec<String>,
    list_of_tags: Vec<Condition>,
    conditions: Conditions,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Condition {
    #[serde(rename = "ConditionKey")]
    key: String,
    #[serde(rename = "ConditionValue")]
    value: String,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, rename_all = "PascalCase")]
struct Conditions {
    string_equals: Vec<Condition>,
    string_not_equals: Vec<Condition>,
    string_like: Vec<Condition>,
    string_not_like: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    backup_plan: Named,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    backup_plan_name: String,
    backup_plan_rule: Vec<Scheduled>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Chosen {
    backup_plan_id: String,
    backup_selection: Selection,
}

impl Plan {
    /// Parses a plan, without its selections, from Cloud Control's properties.
    pub(crate) fn parse(id: &str, properties: &Value) -> Option<Self> {
        let Properties { backup_plan } = Properties::deserialize(properties).ok()?;
        Some(Self {
            id: id.to_owned(),
            name: backup_plan.backup_plan_name,
            rules: backup_plan.backup_plan_rule,
            selections: Vec::new(),
        })
    }

    /// Whether the plan takes a resource with these tags.
    pub(crate) fn selects(&self, arn: &str, tags: &BTreeMap<String, String>) -> bool {
        self.selections.iter().any(|selection| selection.selects(arn, tags))
    }

    /// Whether a resource's tags matter to the plan.
    pub(crate) fn asks_for_tags(&self) -> bool {
        self.selections.iter().any(|selection| {
            !selection.list_of_tags.is_empty() || selection.conditions != Conditions::default()
        })
    }
}

impl Selection {
    /// Parses the id of a plan and a selection from Cloud Control's properties.
    pub(crate) fn parse(properties: &Value) -> Option<(String, Self)> {
        let chosen = Chosen::deserialize(properties).ok()?;
        Some((chosen.backup_plan_id, chosen.backup_selection))
    }

    fn selects(&self, arn: &str, tags: &BTreeMap<String, String>) -> bool {
        let is_named = |names: &[String]| names.iter().any(|name| is_like(name, arn));
        let is_taken = is_named(&self.resources)
            || self.list_of_tags.iter().any(|one| tag(tags, &one.key) == Some(&one.value))
            || (self.resources.is_empty() && self.list_of_tags.is_empty());
        is_taken && !is_named(&self.not_resources) && self.conditions.hold(tags)
    }
}

impl Conditions {
    fn hold(&self, tags: &BTreeMap<String, String>) -> bool {
        let is = |one: &Condition| tag(tags, &one.key).is_some_and(|value| *value == one.value);
        let like = |one: &Condition| tag(tags, &one.key).is_some_and(|value| is_like(&one.value, value));
        self.string_equals.iter().all(is)
            && self.string_like.iter().all(like)
            && !self.string_not_equals.iter().any(is)
            && !self.string_not_like.iter().any(like)
    }
}

/// A tag by a condition's key.
fn tag<'a>(tags: &'a BTreeMap<String, String>, key: &str) -> Option<&'a String> {
    tags.get(key.strip_prefix("aws:ResourceTag/").unwrap_or(key))
}

/// Whether a text matches a pattern, in which `*` matches anything.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(prefix) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    true
}

/// Adds a resource to a plan.
pub(crate) fn select(name: &str, arn: &str) -> Command {
    // AWS Backup allows 50 characters.
    let name: String = name.chars().take(50).collect();
    command!(
        "aws backup create-backup-selection --backup-plan-id … --backup-selection SelectionName={name},IamRoleArn=…,Resources={arn}",
        name,
        arn
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    const DB: &str = "arn:aws:rds:us-east-1:123456789012:db:moveongs-prod-db";

    /// A plan with one selection and a continuous rule.
    pub(crate) fn plan(selection: Value, days: Option<i32>) -> Plan {
        let rule = json!({"RuleName": "daily", "TargetBackupVault": "main", "EnableContinuousBackup": true,
            "Lifecycle": days.map_or(json!({}), |days| json!({"DeleteAfterDays": days}))});
        let properties = json!({"BackupPlan": {"BackupPlanName": "prod", "BackupPlanRule": [rule]}, "BackupPlanId": "p-1"});
        let mut plan = Plan::parse("p-1", &properties).unwrap();
        let properties = json!({"BackupPlanId": "p-1", "BackupSelection": selection});
        let (of, selection) = Selection::parse(&properties).unwrap();
        assert_eq!(of, plan.id);
        plan.selections.push(selection);
        plan
    }

    #[track_caller]
    fn check(selection: Value, expected: bool) {
        let tags = [("Environment", "prod"), ("backup", "daily")];
        let tags = tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        assert_eq!(plan(selection.clone(), None).selects(DB, &tags), expected, "{selection}");
    }

    #[test]
    fn a_selection_takes_the_resources_of_its_arns() {
        check(json!({"Resources": [DB]}), true);
        check(json!({"Resources": ["arn:aws:rds:us-east-1:123456789012:db:moveongs-prod-db2", DB]}), true);
        check(json!({"Resources": ["arn:aws:rds:us-east-1:123456789012:db:moveongs-prod-d"]}), false);
        check(json!({"Resources": ["arn:aws:rds:*:*:db:*"]}), true);
        check(json!({"Resources": ["arn:aws:rds:*:*:cluster:*"]}), false);
        check(json!({"Resources": ["arn:aws:rds:*:*:db:moveongs-dev-*"]}), false);
        check(json!({"Resources": ["arn:aws:rds:*:*:db:*-db"]}), true);
        check(json!({"Resources": ["arn:aws:rds:*:*:db:*-db-*"]}), false);
        check(json!({"Resources": ["*"]}), true);
        check(json!({"Resources": ["arn:aws:rds:*"]}), true);
        check(json!({"Resources": ["arn:aws:s3:::*"]}), false);
        check(json!({}), true);
    }

    #[test]
    fn an_excluded_resource_is_never_taken() {
        check(json!({"Resources": ["*"], "NotResources": [DB]}), false);
        check(json!({"Resources": [DB], "NotResources": ["arn:aws:rds:*"]}), false);
        check(json!({"Resources": [DB], "NotResources": ["arn:aws:s3:::*"]}), true);
        check(json!({"NotResources": ["arn:aws:rds:*:*:db:*"]}), false);
        let daily =
            json!([{"ConditionType": "STRINGEQUALS", "ConditionKey": "backup", "ConditionValue": "daily"}]);
        check(json!({"ListOfTags": daily, "NotResources": [DB]}), false);
    }

    #[test]
    fn one_tag_of_the_list_or_one_arn_is_enough() {
        let tag = |key: &str, value: &str| json!({"ConditionType": "STRINGEQUALS", "ConditionKey": key, "ConditionValue": value});
        check(json!({"ListOfTags": [tag("backup", "daily")]}), true);
        check(json!({"ListOfTags": [tag("backup", "weekly"), tag("Environment", "prod")]}), true);
        check(json!({"ListOfTags": [tag("backup", "Daily")]}), false);
        check(json!({"ListOfTags": [tag("Backup", "daily")]}), false);
        check(json!({"ListOfTags": [tag("aws:ResourceTag/backup", "daily")]}), true);
        check(json!({"ListOfTags": [tag("backup", "weekly")], "Resources": [DB]}), true);
        check(json!({"ListOfTags": [tag("backup", "weekly")], "Resources": ["arn:aws:s3:::*"]}), false);
    }

    #[test]
    fn all_conditions_must_hold() {
        let of = |operator: &str, key: &str, value: &str| json!({operator: [{"ConditionKey": format!("aws:ResourceTag/{key}"), "ConditionValue": value}]});
        let on = |conditions: Value| json!({"Resources": ["arn:aws:rds:*"], "Conditions": conditions});
        check(on(of("StringEquals", "backup", "daily")), true);
        check(on(of("StringEquals", "backup", "d*")), false);
        check(on(of("StringLike", "backup", "d*")), true);
        check(on(of("StringLike", "backup", "*ail*")), true);
        check(on(of("StringLike", "backup", "w*")), false);
        check(on(of("StringNotEquals", "backup", "daily")), false);
        check(on(of("StringNotEquals", "backup", "weekly")), true);
        check(on(of("StringNotEquals", "absent", "daily")), true);
        check(on(of("StringNotLike", "backup", "d*")), false);
        check(on(of("StringNotLike", "Environment", "dev*")), true);
        check(on(of("StringEquals", "absent", "")), false);
        check(
            on(json!({
                "StringEquals": [{"ConditionKey": "aws:ResourceTag/backup", "ConditionValue": "daily"}],
                "StringNotEquals": [{"ConditionKey": "aws:ResourceTag/Environment", "ConditionValue": "prod"}]
            })),
            false,
        );
        check(json!({"Conditions": of("StringEquals", "backup", "daily")}), true);
        check(json!({"Conditions": of("StringEquals", "backup", "weekly")}), false);
    }

    #[test]
    fn other_properties_are_neither_a_plan_nor_a_selection() {
        for properties in
            [json!(""), json!({}), json!([]), json!({"BackupPlan": {}}), json!({"BackupSelection": {}})]
        {
            assert!(Plan::parse("p", &properties).is_none(), "{properties}");
            assert!(Selection::parse(&properties).is_none(), "{properties}");
        }
    }

    #[test]
    fn the_name_of_a_selection_has_at_most_50_characters() {
        let arn = format!("arn:aws:s3:::{}", "a".repeat(63));
        for (length, expected) in [(50, 50), (51, 50), (63, 50)] {
            let command = select(&"a".repeat(length), &arn).to_string();
            assert!(command.contains(&format!("SelectionName={},", "a".repeat(expected))), "{command}");
            assert!(command.ends_with(&arn), "{command}");
        }
    }
}
