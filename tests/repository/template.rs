//! `template.yaml` against the code: resources, variables, permissions, alarms, queues.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_yaml_ng::Value;

use crate::{folders, quoted_after, root, sources};

/// Actions that Lambda itself needs in a role, or that a service performs on behalf of the function.
const PLATFORM: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];

/// Permissions that Cloud Control requires to list alarms, metric filters and VPC endpoints, and to read plans,
/// selections and vaults of AWS Backup. `tests/cloud/tests/test_template.py` compares them with the types' schemas.
const CONTROLLED: [&str; 17] = [
    "backup:DescribeBackupVault",
    "backup:GetBackupPlan",
    "backup:GetBackupSelection",
    "backup:GetBackupVaultAccessPolicy",
    "backup:GetBackupVaultNotifications",
    "backup:ListBackupPlans",
    "backup:ListBackupSelections",
    "backup:ListBackupVaults",
    "backup:ListTags",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:ListTagsForResource",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpoints",
    "ec2:DescribeVpcs",
    "logs:DescribeMetricFilters",
    "vpc-lattice:DescribeServiceNetworkVpcEndpointAssociation",
];

/// Permissions that Cloud Control requires to list and read alarms.
const ALARMS: [&str; 2] = ["cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"];

/// Permissions that Cloud Control requires to read a file system or a workspace: those of the read handlers in the
/// schemas of AWS::EFS::FileSystem, AWS::Grafana::Workspace and AWS::APS::Workspace.
const LOOKED_AT: [&str; 15] = [
    "aps:DescribeAlertManagerDefinition",
    "aps:DescribeLoggingConfiguration",
    "aps:DescribeQueryLoggingConfiguration",
    "aps:DescribeWorkspace",
    "aps:DescribeWorkspaceConfiguration",
    "aps:ListTagsForResource",
    "elasticfilesystem:DescribeBackupPolicy",
    "elasticfilesystem:DescribeFileSystemPolicy",
    "elasticfilesystem:DescribeFileSystems",
    "elasticfilesystem:DescribeLifecycleConfiguration",
    "elasticfilesystem:DescribeReplicationConfigurations",
    "grafana:DescribeWorkspace",
    "grafana:DescribeWorkspaceAuthentication",
    "grafana:DescribeWorkspaceConfiguration",
    "grafana:ListTagsForResource",
];

/// Permissions that Lambda needs in the role of an asynchronous function.
const DEAD_LETTERS: &str = "sqs:SendMessage";

/// Permissions that Lambda needs in the role of a function that reads a queue.
const QUEUE: [&str; 3] = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];

/// Permissions that Lambda needs in the role of a function that reads a table's stream.
const STREAM: [&str; 4] =
    ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"];

/// The procedures whose records show work that a new person accompanies.
const SHOWN: [&str; 4] = ["restore-test", "rotate-random", "rotation-followup", "snapshot-create"];

/// Everything that a message of SNS can be published to, except a phone number, which has no ARN.
const EVERY_TOPIC: &str = "arn:${AWS::Partition}:sns:*:*:*";

/// Beginning of the ids of the resources that watch the application, and not the product.
pub(crate) const APPLICATION: &str = "Application";

/// The functions that page. Their alarms go to people directly.
const PAGER: [&str; 4] = ["incident-clock", "incident-desk", "incident-page", "incident-send"];

pub(crate) fn template() -> Value {
    let text = fs::read_to_string(root().join("template.yaml")).unwrap();
    serde_yaml_ng::from_str(&text).unwrap()
}

/// The value behind a tag such as `!Sub`.
fn plain(value: &Value) -> &Value {
    match value {
        Value::Tagged(tagged) => plain(&tagged.value),
        other => other,
    }
}

pub(crate) fn get<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(plain(value), |value, key| plain(value.get(key).unwrap_or(&Value::Null)))
}

pub(crate) fn text(value: &Value) -> &str {
    plain(value).as_str().unwrap_or_default()
}

/// Every mapping and sequence element below a value, itself included; `!If` branches too.
fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Mapping(mapping) => mapping.values().for_each(|value| walk(value, visit)),
        Value::Sequence(sequence) => sequence.iter().for_each(|value| walk(value, visit)),
        Value::Tagged(tagged) => walk(&tagged.value, visit),
        _ => {}
    }
}

/// The resources of a type, by logical id.
pub(crate) fn resources<'a>(template: &'a Value, kind: &str) -> BTreeMap<&'a str, &'a Value> {
    let all = get(template, &["Resources"]).as_mapping().unwrap();
    all.iter()
        .filter(|(_, resource)| text(get(resource, &["Type"])) == kind)
        .map(|(id, resource)| (id.as_str().unwrap(), resource))
        .collect()
}

/// The alarms on the product, by logical id.
fn alarms(template: &Value) -> BTreeMap<&str, &Value> {
    let mut alarms = resources(template, "AWS::CloudWatch::Alarm");
    alarms.retain(|id, _| !id.starts_with(APPLICATION));
    alarms
}

/// The function resources by folder.
fn functions(template: &Value) -> BTreeMap<&str, (&str, &Value)> {
    let found = resources(template, "AWS::Serverless::Function").into_iter().map(|(id, resource)| {
        let code = text(get(resource, &["Properties", "CodeUri"]));
        (code.strip_prefix("functions/").unwrap_or_else(|| panic!("{id}: CodeUri {code}")), (id, resource))
    });
    found.collect()
}

pub(crate) fn pascal(folder: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    folder.split('-').map(word).collect()
}

#[test]
fn every_function_folder_has_its_resource_and_no_other_does() {
    let template = template();
    let functions = functions(&template);
    assert_eq!(functions.keys().copied().collect::<Vec<_>>(), folders("functions"));
    for (folder, (id, resource)) in functions {
        assert_eq!(id, pascal(folder) + "Function");
        assert_eq!(text(get(resource, &["Metadata", "BuildMethod"])), "rust-cargolambda");
        assert_eq!(text(get(resource, &["Metadata", "BuildProperties", "Binary"])), folder);
        assert!(
            text(get(resource, &["Properties", "FunctionName"])).ends_with(&format!("-{folder}")),
            "{id}"
        );
    }
}

#[test]
fn every_variable_that_the_code_reads_is_set_and_no_other() {
    let template = template();
    let names = |value: &Value| -> BTreeSet<String> {
        let mapping = get(value, &["Environment", "Variables"]).as_mapping();
        mapping.into_iter().flatten().map(|(name, _)| name.as_str().unwrap().to_owned()).collect()
    };
    let mut read_by_any = BTreeSet::new();
    let global = names(get(&template, &["Globals", "Function"]));
    for (folder, (id, resource)) in functions(&template) {
        let mut read = BTreeSet::new();
        for (_, code) in sources(&format!("functions/{folder}/src")).into_iter().chain(shared_of(folder)) {
            for call in ["required(", "optional(", "required::<", "optional::<"] {
                read.extend(quoted_after(&code, call));
            }
        }
        // Lambda sets these itself.
        read.retain(|name| !name.starts_with("AWS_"));
        assert!(!read.is_empty(), "{folder} reads no variable: has the way of reading them changed?");
        let own = names(get(resource, &["Properties"]));
        let set: BTreeSet<_> = own.union(&global).cloned().collect();
        assert_eq!(
            read.difference(&set).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "{id}: read, but not set"
        );
        assert_eq!(
            own.difference(&read).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "{id}: set, but not read"
        );
        read_by_any.extend(read);
    }
    assert_eq!(
        global.difference(&read_by_any).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "read by no function"
    );
}

/// The sources of the shared modules that a function links: those without a feature, and those of its features.
fn shared_of(folder: &str) -> Vec<(String, String)> {
    let manifest = fs::read_to_string(root().join("functions").join(folder).join("Cargo.toml")).unwrap();
    let line = manifest.lines().find(|line| line.starts_with("shared =")).unwrap_or_default();
    let mut features: BTreeSet<String> = line.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    if features.contains("rotation") {
        features.insert("report".to_owned());
    }
    if ["describe", "ledger", "listing", "versions"].iter().any(|feature| features.contains(*feature)) {
        features.insert("secrets".to_owned());
    }
    if features.contains("paging") {
        features.insert("report".to_owned());
    }
    if features.contains("report") {
        features.extend(["evidence", "notify"].map(str::to_owned));
    }
    let modules = sources("shared/src");
    let gated: BTreeSet<_> =
        modules.iter().flat_map(|(_, code)| quoted_after(code, "cfg(feature = ")).collect();
    let is_linked = |path: &str| {
        let names = path.split('/').map(|name| name.trim_end_matches(".rs"));
        names.filter(|name| gated.contains(*name)).all(|name| features.contains(name))
    };
    modules.into_iter().filter(|(path, _)| is_linked(path)).collect()
}

/// The IAM actions that the function's code names where it calls AWS.
pub(crate) fn used(folder: &str) -> BTreeSet<String> {
    let mut actions = BTreeSet::new();
    for (path, code) in sources(&format!("functions/{folder}/src")).into_iter().chain(shared_of(folder)) {
        let named: Vec<_> =
            ["during(", "during_secret("].iter().flat_map(|call| quoted_after(&code, call)).collect();
        // Calls of Slack are no AWS calls, nor are those of GitHub, which are executed and not sent; a paginator sends without
        // its own await.
        let sent = code.matches(".send()").count().saturating_sub(code.matches("bearer_auth").count().min(1));
        assert_eq!(sent, named.len(), "{path}: each AWS call names its IAM action with CallError::during");
        actions.extend(named);
    }
    actions
}

/// The statements of a role's policies, including those behind a condition.
fn statements(role: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    walk(get(role, &["Properties", "Policies"]), &mut |value| {
        if value.get("Effect").is_some() {
            found.push(value);
        }
    });
    found
}

fn list(value: &Value) -> Vec<&Value> {
    match plain(value) {
        Value::Sequence(sequence) => sequence.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

/// The value behind a condition whose other branch is empty.
fn chosen(value: &Value) -> Option<&Value> {
    match plain(value) {
        // `!Sub` with its own variables.
        Value::Sequence(choice) if choice.get(1).is_some_and(Value::is_mapping) => choice.first(),
        Value::Sequence(choice) => {
            assert_eq!(choice.get(2).map(text), Some("AWS::NoValue"), "a condition with two sides");
            choice.get(1)
        }
        _ => Some(value),
    }
}

/// Whether a resource of a statement is one that a function's role may name.
fn names_what_is_the_functions_own(resource: &str, folder: &str) -> bool {
    let log_group = format!("{}Logs.Arn", pascal(folder));
    let parameters = [
        "OtherRandomSecretArns",
        "OtherDatabaseSecretArns",
        "DatabaseAdminSecretArn",
        "OtherDatabaseAdminSecretArns",
        "SecretsKmsKeyArn",
        // Read only: a list cannot be restricted to some of these.
        "arn:${AWS::Partition}:rds:${AWS::Region}:${AWS::AccountId}:db:*",
        "arn:${AWS::Partition}:rds:${AWS::Region}:${AWS::AccountId}:cluster:*",
        "arn:${AWS::Partition}:rds:${AWS::Region}:${AWS::AccountId}:deployment:*",
    ];
    let own_objects = ["evidence", "runs"].map(|kind| format!("${{EvidenceBucket.Arn}}/{kind}/{folder}/*"));
    let one_secret = resource
        .strip_prefix("arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${")
        .is_some_and(|name| name.ends_with("SecretName}-??????") && name.matches('}').count() == 1);
    resource == log_group
        || resource == "EvidenceBucket.Arn"
        || resource == format!("{}DeadLetters.Arn", pascal(folder))
        || parameters.contains(&resource)
        || own_objects.iter().any(|own| own == resource)
        || resource == "${EvidenceBucket.Arn}/policy/current.json"
        || resource == "${EvidenceBucket.Arn}/runs/policy-notice/*"
        || one_secret
}

fn is_rds(resource: &str, name: &str) -> bool {
    resource == format!("arn:${{AWS::Partition}}:rds:${{AWS::Region}}:${{AWS::AccountId}}:{name}")
}

/// Actions that read a bucket's settings and the names in it.
const LOOKS_AT_BUCKETS: [&str; 11] = [
    "s3:GetBucketAcl",
    "s3:GetBucketLogging",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketPolicy",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketTagging",
    "s3:GetBucketVersioning",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListBucket",
];

/// Whether a resource is a bucket that the template names, or that has the name of one.
fn is_bucket(resource: &str) -> bool {
    let name = resource.strip_prefix("arn:${AWS::Partition}:s3:::").unwrap_or_default();
    let named = [
        "${AttachmentsBucketName}",
        "${GrafanaExportBucketName}",
        "${Project}-${Environment}-attachments",
        "${Project}-${Environment}-uploads",
        "${TerraformStateBucketName}",
        "${UploadsBucketName}",
    ];
    named.contains(&name)
}

fn is_copies(resource: &str, name: &str) -> bool {
    resource == format!("arn:${{AWS::Partition}}:rds:${{SnapshotCopyRegion}}:${{AWS::AccountId}}:{name}")
}

fn is_own_instance(resource: &str) -> bool {
    ["db:${DatabaseInstanceId}", "db:${Project}-${Environment}-*"].iter().any(|name| is_rds(resource, name))
}

fn is_own_cluster(resource: &str) -> bool {
    [
        "cluster:${DatabaseInstanceId}",
        "cluster:${Project}-${Environment}",
        "cluster:${Project}-${Environment}-*",
    ]
    .iter()
    .any(|name| is_rds(resource, name))
}

/// Whether a resource stands for the snapshots of a name, of instances or of clusters.
fn is_snapshots(resource: &str, is_of: impl Fn(&str, &str) -> bool, name: &str) -> bool {
    ["snapshot", "cluster-snapshot"].iter().any(|kind| is_of(resource, &format!("{kind}:{name}")))
}

/// Whether `restore-test` may have these actions on a resource: it changes only instances with the test's prefix.
fn is_of_restore_test(actions: &[&str], resource: &str) -> bool {
    let is_any =
        |names: &[&str]| names.iter().any(|name| is_rds(resource, name) || is_copies(resource, name));
    let test = "db:${Project}-${Environment}-restore-test-*";
    match actions {
        // Groups hold no data, and RDS chooses their defaults; the snapshots and the subnets are the environment's own.
        ["rds:RestoreDBInstanceFromDBSnapshot"] => {
            is_any(&[
                test,
                "og:*",
                "pg:*",
                "snapshot:${Project}-${Environment}-*",
                "snapshot:rds:${DatabaseInstanceId}-*",
            ]) || is_rds(resource, "subgrp:${RestoreSubnetGroup}")
                || is_copies(resource, "subgrp:${RestoreCopySubnetGroup}")
        }
        ["rds:AddTagsToResource"]
        | ["rds:DeleteDBInstance", "rds:ModifyDBInstance", "rds:StartDBInstance"] => is_any(&[test]),
        // Read only: IAM evaluates a list on all.
        ["rds:DescribeDBInstances"] => is_any(&["db:*"]),
        ["rds:DescribeDBClusters"] => is_own_cluster(resource),
        ["rds:DescribeDBSnapshotAttributes", "rds:DescribeDBSnapshots"] => {
            is_any(&["db:${DatabaseInstanceId}", "snapshot:*"])
        }
        ["rds:DescribeAccountAttributes"] => resource == "*",
        // The secrets that RDS keeps beside its instances; a condition binds the reading to the test's instances.
        ["secretsmanager:GetSecretValue"] | ["secretsmanager:CreateSecret", "secretsmanager:TagResource"] => {
            ["${AWS::Region}", "${SnapshotCopyRegion}"].iter().any(|region| {
                let place = format!("arn:${{AWS::Partition}}:secretsmanager:{region}:${{AWS::AccountId}}");
                resource == format!("{place}:secret:rds!db-*")
            })
        }
        ["kms:CreateGrant", "kms:DescribeKey"] => {
            ["SnapshotCopyKmsKeyArn", "DatabaseKmsKeyArn"].contains(&resource)
        }
        // RDS looks at the key of its secret in the caller's name.
        ["kms:DescribeKey"] => resource == "arn:${AWS::Partition}:kms:*:${AWS::AccountId}:key/*",
        ["sns:Publish"] => resource == "PagingTopic",
        _ => false,
    }
}

/// Whether `emergency-restore` may have these actions on a resource: it changes only instances with its own tag, by a
/// condition, and deletes none.
fn is_of_emergency_restore(actions: &[&str], resource: &str) -> bool {
    let is_any = |names: &[&str]| names.iter().any(|name| is_rds(resource, name));
    let is_ecs = |name: &str| {
        resource == format!("arn:${{AWS::Partition}}:ecs:${{AWS::Region}}:${{AWS::AccountId}}:{name}")
    };
    // The names that it makes, so that its tag on another instance gives no right.
    let own = "db:${Project}-${Environment}-*-r20*";
    match actions {
        // Groups hold no data; the lost instance's may have any name. The snapshots are the environment's own.
        ["rds:RestoreDBInstanceFromDBSnapshot"] => is_any(&[
            own,
            "og:*",
            "pg:*",
            "snapshot:${Project}-${Environment}-*",
            "snapshot:awsbackup:*",
            "snapshot:rds:${DatabaseInstanceId}-*",
            "snapshot:rds:${Project}-${Environment}-*",
            "subgrp:*",
        ]),
        ["rds:RestoreDBInstanceToPointInTime"] => {
            let lost = ["db:${DatabaseInstanceId}", "db:${Project}-${Environment}-*"];
            is_any(&lost) || is_any(&["auto-backup:*", "og:*", "pg:*", "subgrp:*"])
        }
        ["rds:AddTagsToResource"] | ["rds:ModifyDBInstance"] => is_any(&[own]),
        // Read only: IAM evaluates a list on all.
        ["rds:DescribeDBInstances"] => is_any(&["db:*"]),
        ["rds:DescribeDBClusters"] => is_any(&["cluster:*"]),
        ["rds:DescribeDBSnapshots"] => is_any(&["db:*", "snapshot:*"]),
        ["rds:DescribeDBInstanceAutomatedBackups"] => is_any(&["auto-backup:*", "db:*"]),
        // The secrets that RDS keeps beside its instances; a condition binds the reading to the environment's.
        ["secretsmanager:GetSecretValue"] | ["secretsmanager:CreateSecret", "secretsmanager:TagResource"] => {
            let place = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}";
            resource == format!("{place}:secret:rds!db-*")
        }
        ["kms:CreateGrant", "kms:DescribeKey"] => resource == "DatabaseKmsKeyArn",
        // RDS looks at the key of its secret in the caller's name.
        ["kms:DescribeKey"] => resource == "arn:${AWS::Partition}:kms:*:${AWS::AccountId}:key/*",
        // As in rotation-followup.
        ["ecs:ListServices"] | ["ecs:DescribeTaskDefinition"] => resource == "*",
        ["ecs:DescribeServices", "ecs:ListServiceDeployments", "ecs:UpdateService"] => {
            is_ecs("service/${EcsClusterName}/*")
        }
        ["ecs:DescribeServiceDeployments"] => is_ecs("service-deployment/${EcsClusterName}/*"),
        ["ecs:RegisterTaskDefinition", "ecs:TagResource"] | ["ecs:RunTask"] => {
            is_ecs("task-definition/${Project}-${Environment}-*")
        }
        ["ecs:DescribeTasks"] => is_ecs("task/${EcsClusterName}/*"),
        // To ECS and to RDS's monitoring, by a condition.
        ["iam:PassRole"] => {
            resource == "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${Project}-${Environment}-*"
        }
        // The reference gives it no resource.
        ["states:SendTaskSuccess"] => resource == "*",
        // Readings of the source by restore-test, and the states, as in inventory-audit.
        ["s3:GetObject"] => {
            resource == "${EvidenceBucket.Arn}/runs/restore-test/*"
                || resource == "arn:${AWS::Partition}:s3:::${TerraformStateBucketName}/${Key}"
        }
        ["s3:ListBucket"] => resource == "arn:${AWS::Partition}:s3:::${TerraformStateBucketName}",
        ["kms:Decrypt"] => resource == "TerraformStateKmsKeyArn",
        ["sns:Publish"] => resource == "PagingTopic",
        _ => false,
    }
}

/// Whether a statement may name foreign resources: only for these actions, each on these resources at most.
fn is_an_exception(folder: &str, actions: &[&str], resource: &str) -> bool {
    let every_secret = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:*";
    match (folder, actions) {
        // Whether an emergency restore is open, and which versions it made current.
        ("rotate-database" | "rotation-followup", ["s3:GetObject"])
            if resource == "${EvidenceBucket.Arn}/runs/emergency-restore/*" =>
        {
            true
        }
        ("incident-clock" | "incident-send", ["dynamodb:ListStreams"]) => resource == "*",
        ("incident-clock" | "incident-send", actions)
            if actions.iter().all(|action| STREAM.contains(action)) =>
        {
            resource == "IncidentTable.StreamArn"
        }
        // One-time schedules of the incidents' group, and the role that they have.
        ("incident-clock", ["scheduler:CreateSchedule"]) => {
            let group = "schedule/${Project}-${Environment}-incidents/*";
            resource
                == format!("arn:${{AWS::Partition}}:scheduler:${{AWS::Region}}:${{AWS::AccountId}}:{group}")
        }
        ("incident-clock", ["iam:PassRole"]) => resource == "IncidentScheduleRole.Arn",
        // The reference gives these no resource.
        ("incident-clock", ["scheduler:ListSchedules"]) => resource == "*",
        ("incident-clock", actions) if actions.iter().all(|action| action.starts_with("support:")) => {
            resource == "*"
        }
        // The pages of the register of incidents with personal data.
        ("incident-clock", ["s3:GetObject", "s3:PutObject"]) => resource == "${EvidenceBucket.Arn}/lgpd/*",
        // Its own work, and a person's decision about a restore.
        ("incident-desk", ["lambda:InvokeFunction"]) => {
            let function = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:";
            let of = |name: &str| format!("{function}${{Project}}-${{Environment}}-{name}");
            [of("incident-desk"), of("emergency-restore")].contains(&resource.to_owned())
        }
        // Mail by the pager's own topic, and the synthetic page, which goes the way of every page.
        ("incident-send", ["sns:Publish"]) => ["PagerTopic", "PagingTopic"].contains(&resource),
        // From one address, by a condition; which identity has it is not known here.
        ("incident-send", ["ses:SendEmail"]) => {
            resource == "arn:${AWS::Partition}:ses:*:${AWS::AccountId}:identity/*"
        }
        // The table that these functions share.
        ("incident-clock" | "incident-desk" | "incident-page" | "incident-send" | "postmortem", actions)
            if actions.iter().all(|action| action.starts_with("dynamodb:")) =>
        {
            resource == "IncidentTable.Arn"
                || (actions == ["dynamodb:Query"] && resource.starts_with("${IncidentTable.Arn}/index/"))
        }
        (
            "governance-report" | "incident-page" | "incident-send",
            ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
        ) => resource == format!("{}Queue.Arn", pascal(folder)),
        // A list of secrets cannot be restricted.
        ("rotation-audit" | "rotation-followup", ["secretsmanager:ListSecrets"]) => resource == "*",
        // Tags and policy select the audited secrets. Neither action reads a value.
        ("rotation-audit", ["secretsmanager:GetResourcePolicy", "secretsmanager:ListSecretVersionIds"]) => {
            resource == every_secret
        }
        ("rotation-followup", ["secretsmanager:DescribeSecret", "secretsmanager:ListSecretVersionIds"]) => {
            resource == every_secret
        }
        (
            "attachment-restore-test"
            | "backup-audit"
            | "grafana-export"
            | "governance-report"
            | "inventory-audit"
            | "onboarding"
            | "postmortem"
            | "rotation-audit"
            | "rotation-followup"
            | "snapshot-create"
            | "snapshot-verify",
            ["sns:Publish"],
        ) => resource == "PagingTopic",
        // Names of the environment's snapshots, also in the copies' region. IAM evaluates a list on all; a person's snapshot
        // may have any name.
        ("snapshot-verify", ["rds:DescribeDBSnapshotAttributes", "rds:DescribeDBSnapshots"]) => {
            is_rds(resource, "snapshot:*") || is_copies(resource, "snapshot:*")
        }
        (
            "snapshot-verify",
            ["rds:DescribeDBClusterSnapshotAttributes", "rds:DescribeDBClusterSnapshots"],
        ) => is_rds(resource, "cluster-snapshot:*") || is_copies(resource, "cluster-snapshot:*"),
        ("snapshot-verify", ["rds:DeleteDBClusterSnapshot", "rds:DeleteDBSnapshot"]) => {
            let own = "${Project}-${Environment}-*";
            is_snapshots(resource, is_rds, own) || is_snapshots(resource, is_copies, own)
        }
        // The sources, then the copies.
        ("snapshot-verify", ["rds:CopyDBSnapshot"]) => {
            is_rds(resource, "snapshot:${Project}-${Environment}-*")
                || is_rds(resource, "snapshot:rds:${DatabaseInstanceId}-*")
        }
        ("snapshot-verify", ["rds:CopyDBClusterSnapshot"]) => {
            ["${Project}-${Environment}-*", "rds:${DatabaseInstanceId}-*", "rds:${Project}-${Environment}-*"]
                .iter()
                .any(|name| is_rds(resource, &format!("cluster-snapshot:{name}")))
        }
        (
            "snapshot-verify",
            ["rds:CopyDBClusterSnapshot", "rds:CopyDBSnapshot"] | ["rds:AddTagsToResource"],
        ) => is_snapshots(resource, is_copies, "${Project}-${Environment}-copy-*"),
        ("snapshot-verify", ["kms:CreateGrant", "kms:DescribeKey"]) => {
            ["SnapshotCopyKmsKeyArn", "DatabaseKmsKeyArn"].contains(&resource)
        }
        // The template does not know the resources in the policy. None of these actions reads a value or an object.
        ("inventory-audit", ["tag:GetResources"]) => resource == "*",
        ("inventory-audit", ["secretsmanager:DescribeSecret"]) => resource == every_secret,
        (
            "inventory-audit",
            ["s3:GetBucketTagging", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration"],
        ) => resource == "arn:${AWS::Partition}:s3:::*",
        // Cloud Control's actions have no resource, nor has the list of all alarms; those of the other services have one.
        ("inventory-audit", ["cloudformation:GetResource", "cloudformation:ListResources"]) => {
            resource == "*"
        }
        ("inventory-audit", actions) if actions == ALARMS => resource == "*",
        ("inventory-audit", [action, ..]) if LOOKED_AT.contains(action) => {
            ["aps", "elasticfilesystem", "grafana"].iter().any(|service| {
                let place =
                    format!("arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:");
                resource.strip_prefix(&place).is_some_and(|name| {
                    let is_whole_type = ["file-system/*", "workspace/*", "/workspaces/*"].contains(&name);
                    is_whole_type && actions.iter().all(|action| action.starts_with(&format!("{service}:")))
                })
            })
        }
        ("inventory-audit", ["ecs:DescribeClusters", "ecs:DescribeServices"]) => {
            ["cluster", "service"].iter().any(|kind| {
                resource
                    == format!("arn:${{AWS::Partition}}:ecs:${{AWS::Region}}:${{AWS::AccountId}}:{kind}/*")
            })
        }
        ("inventory-audit", ["logs:DescribeLogGroups"]) => resource == "*",
        ("inventory-audit", ["logs:ListTagsForResource"]) => {
            resource == "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:*"
        }
        // One of the keys that the template names.
        ("inventory-audit", ["s3:GetObject"]) => {
            resource == "arn:${AWS::Partition}:s3:::${TerraformStateBucketName}/${Key}"
        }
        ("inventory-audit", ["s3:ListBucket"]) => {
            resource == "arn:${AWS::Partition}:s3:::${TerraformStateBucketName}"
        }
        ("inventory-audit", ["kms:Decrypt"]) => resource == "TerraformStateKmsKeyArn",
        // Metrics are not authorized one by one; alarms are listed by the beginning of their names.
        ("governance-report", ["cloudwatch:GetMetricData"]) => resource == "*",
        ("governance-report", ["cloudwatch:DescribeAlarms"]) => {
            resource == "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:*"
        }
        ("governance-report", ["lambda:GetFunctionConfiguration"]) => {
            resource
                == "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${Project}-${Environment}-*"
        }
        ("governance-report", ["ses:SendEmail"]) => {
            resource == "arn:${AWS::Partition}:ses:*:${AWS::AccountId}:identity/*"
        }
        // All evidence, to verify it; pages of other environments; its page; the place of the chains' heads.
        ("governance-report", ["s3:GetObject"]) => {
            let own =
                ["evidence/*", "ledger/rotation.json", "metrics/*", "postmortems/*", "runs/*/begun.json"];
            own.iter().any(|key| resource == format!("${{EvidenceBucket.Arn}}/{key}"))
                || resource == "arn:${AWS::Partition}:s3:::${Bucket}/report/controls.json"
        }
        ("governance-report", ["s3:GetObject", "s3:PutObject"]) => {
            resource == "${EvidenceBucket.Arn}/report/*"
                || resource
                    == "arn:${AWS::Partition}:s3:::${AnchorBucketName}/anchors/${Project}/${Environment}/*"
        }
        ("governance-report", ["s3:ListBucketVersions"]) => {
            resource == "arn:${AWS::Partition}:s3:::${AnchorBucketName}"
        }
        // The one group that the template names.
        ("onboarding", ["iam:GetGroup"]) => {
            resource == "arn:${AWS::Partition}:iam::${AWS::AccountId}:group/${OpsGroupName}"
        }
        // The document about people.
        ("onboarding", ["s3:GetObject", "s3:PutObject"]) => {
            resource == "${PeopleBucket.Arn}/runs/onboarding/*"
        }
        ("onboarding", ["s3:ListBucket"]) => resource == "PeopleBucket.Arn",
        // Records of the work that a new person accompanies, and the notes by which they are found.
        ("onboarding", ["s3:GetObject"]) => {
            let is_of = |procedure: &&str| {
                ["evidence", "runs"]
                    .iter()
                    .any(|kind| resource == format!("${{EvidenceBucket.Arn}}/{kind}/{procedure}/*"))
            };
            SHOWN.iter().any(is_of)
        }
        // Its documents for people.
        ("postmortem", ["s3:GetObject", "s3:PutObject"]) => ["metrics", "postmortems"]
            .iter()
            .any(|folder| resource == format!("${{EvidenceBucket.Arn}}/{folder}/*")),
        // The table is the function's own, as are the records of the policy's changes.
        ("inventory-audit", ["s3:GetObject", "s3:PutObject"]) => {
            ["inventory", "evidence/policy", "runs/policy"]
                .iter()
                .any(|folder| resource == format!("${{EvidenceBucket.Arn}}/{folder}/*"))
        }
        // Snapshots with the environment's names, and instances. IAM evaluates a list of them on all.
        ("snapshot-create", ["rds:CreateDBSnapshot"]) => {
            is_rds(resource, "snapshot:${Project}-${Environment}-*") || is_own_instance(resource)
        }
        ("snapshot-create", ["rds:CreateDBClusterSnapshot"]) => {
            is_rds(resource, "cluster-snapshot:${Project}-${Environment}-*") || is_own_cluster(resource)
        }
        ("snapshot-create", ["rds:AddTagsToResource"]) => {
            is_snapshots(resource, is_rds, "${Project}-${Environment}-*")
        }
        ("snapshot-create" | "snapshot-verify", ["rds:DescribeDBClusters"]) => is_own_cluster(resource),
        ("snapshot-create", ["rds:DescribeDBClusterSnapshots"]) => {
            is_rds(resource, "cluster-snapshot:*") || is_own_cluster(resource)
        }
        ("rotation-audit" | "snapshot-create" | "snapshot-verify", ["rds:DescribeDBInstances"]) => {
            is_own_instance(resource)
        }
        ("snapshot-create", ["rds:DescribeDBSnapshots"]) => {
            is_rds(resource, "snapshot:*") || is_own_instance(resource)
        }
        // A list of services is bound to the cluster by a condition; a task definition has no resource.
        ("rotation-followup", ["ecs:ListServices"] | ["ecs:DescribeTaskDefinition"]) => resource == "*",
        (
            "rotation-followup",
            ["ecs:DescribeServices", "ecs:ListServiceDeployments", "ecs:UpdateService"],
        ) => {
            resource
                == "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:service/${EcsClusterName}/*"
        }
        ("rotation-followup", ["ecs:DescribeServiceDeployments"]) => {
            resource
                == "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:service-deployment/${EcsClusterName}/*"
        }
        // The function's record has the reason of a failed rotation.
        ("rotation-followup", ["s3:GetObject"]) => ["rotate-database", "rotate-external", "rotate-random"]
            .iter()
            .any(|procedure| resource == format!("${{EvidenceBucket.Arn}}/evidence/{procedure}/*")),
        // The ledger lists the versions that the follow-up has brought into use.
        ("rotate-database" | "rotate-external" | "rotation-audit", ["s3:GetObject"]) => {
            resource == "${EvidenceBucket.Arn}/ledger/rotation.json"
        }
        // The keys of the one user that the template names.
        (
            "rotate-external",
            [
                "iam:CreateAccessKey",
                "iam:DeleteAccessKey",
                "iam:GetAccessKeyLastUsed",
                "iam:ListAccessKeys",
                "iam:UpdateAccessKey",
            ],
        ) => resource == "arn:${AWS::Partition}:iam::${AWS::AccountId}:user/${SesUserName}",
        // Names and tags select the audited databases; IAM evaluates a list on all.
        (
            "backup-audit",
            ["rds:DescribeDBInstances", "rds:DescribeDBSnapshotAttributes", "rds:DescribeDBSnapshots"],
        ) => is_rds(resource, "db:*") || is_rds(resource, "snapshot:*"),
        (
            "backup-audit",
            [
                "rds:DescribeDBClusterSnapshotAttributes",
                "rds:DescribeDBClusterSnapshots",
                "rds:DescribeDBClusters",
            ],
        ) => is_rds(resource, "cluster:*") || is_rds(resource, "cluster-snapshot:*"),
        ("backup-audit", ["rds:ModifyDBInstance"]) => is_own_instance(resource),
        ("restore-test", actions) => is_of_restore_test(actions, resource),
        ("emergency-restore", actions) => is_of_emergency_restore(actions, resource),
        ("backup-audit", ["rds:ModifyDBCluster"]) => [
            "cluster:${DatabaseInstanceId}",
            "cluster:${Project}-${Environment}",
            "cluster:${Project}-${Environment}-*",
        ]
        .iter()
        .any(|name| is_rds(resource, name)),
        ("backup-audit", ["rds:ModifyDBClusterSnapshotAttribute"]) => {
            is_rds(resource, "cluster-snapshot:${Project}-${Environment}-*")
        }
        ("backup-audit", ["rds:ModifyDBSnapshotAttribute"]) => {
            is_rds(resource, "snapshot:${Project}-${Environment}-*")
        }
        // None of these can be narrowed; a list of services is bound to the cluster by a condition.
        (
            "backup-audit",
            ["s3:ListAllMyBuckets"]
            | ["s3:GetAccountPublicAccessBlock"]
            | ["ecs:ListServices"]
            | ["ecs:DescribeTaskDefinition"]
            | [
                "rds:DescribeBlueGreenDeployments",
                "rds:DescribeDBClusterParameters",
                "rds:DescribeDBMajorEngineVersions",
                "rds:DescribeDBParameters",
                "rds:DescribeEventSubscriptions",
            ]
            | [
                "backup:DescribeBackupVault",
                "backup:GetBackupPlan",
                "backup:GetBackupSelection",
                "backup:GetBackupVaultAccessPolicy",
                "backup:GetBackupVaultNotifications",
                "backup:ListBackupPlans",
                "backup:ListBackupSelections",
                "backup:ListBackupVaults",
                "backup:ListTags",
                "cloudformation:GetResource",
                "cloudformation:ListResources",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:ListTagsForResource",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcEndpoints",
                "ec2:DescribeVpcs",
                "logs:DescribeMetricFilters",
                "vpc-lattice:DescribeServiceNetworkVpcEndpointAssociation",
            ],
        ) => resource == "*",
        ("backup-audit", ["ecs:DescribeServices"]) => {
            resource
                == "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:service/${EcsClusterName}/*"
        }
        ("backup-audit", ["iam:SimulatePrincipalPolicy"]) => {
            resource == "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${Project}-${Environment}-*"
        }
        // The table that the template names.
        (
            "backup-audit",
            ["dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable", "dynamodb:ListTagsOfResource"]
            | ["dynamodb:UpdateContinuousBackups", "dynamodb:UpdateTable"],
        ) => resource.ends_with(":table/${TerraformLockTableName}"),
        // One object, with the end of the last synchronisation; and the note about the last export of Grafana.
        ("backup-audit", ["s3:GetObject"]) => {
            resource == "${EvidenceBucket.Arn}/runs/grafana-export/*"
                || is_bucket(resource.strip_suffix("/${UploadsMarkerKey}").unwrap_or_default())
        }
        // Settings of buckets, but no content.
        ("backup-audit", actions) if actions.iter().all(|action| LOOKS_AT_BUCKETS.contains(action)) => {
            resource == "arn:${AWS::Partition}:s3:::${Project}-${Environment}-*" || is_bucket(resource)
        }
        // Not the evidence bucket.
        ("backup-audit", actions)
            if actions.iter().all(|action| action.starts_with("s3:Put") && *action != "s3:PutObject") =>
        {
            is_bucket(resource)
        }
        ("backup-audit", ["s3:GetObject", "s3:PutObject"]) => {
            resource == "${EvidenceBucket.Arn}/reports/backup-audit/*"
        }
        // Its exports.
        ("grafana-export", ["s3:GetObject", "s3:PutObject"]) => resource == "${EvidenceBucket.Arn}/grafana/*",
        // The ledger's files are the function's own.
        ("rotation-followup", ["s3:GetObject", "s3:PutObject"]) => {
            resource == "${EvidenceBucket.Arn}/ledger/*"
        }
        ("attachment-restore-test", ["s3:ListBucket", "s3:ListBucketVersions"]) => {
            is_bucket(resource) && resource.to_lowercase().contains("attachments")
        }
        ("attachment-restore-test", ["s3:ListBucket"]) => {
            is_bucket(resource) && resource.to_lowercase().contains("uploads")
        }
        // Every attachment and every upload can be in the sample.
        ("attachment-restore-test", ["s3:GetObject", "s3:GetObjectVersion"] | ["s3:GetObject"]) => {
            is_bucket(resource.strip_suffix("/*").unwrap_or_default())
        }
        // The copies of a restore, and nothing else.
        ("attachment-restore-test", ["s3:DeleteObjectVersion", "s3:PutObject"]) => {
            is_bucket(resource.strip_suffix("/restore-test/*").unwrap_or_default())
        }
        ("attachment-restore-test", ["kms:Decrypt", "kms:GenerateDataKey"]) => resource == "AppKmsKeyArn",
        _ => false,
    }
}

#[test]
fn the_backup_audit_knows_whose_alarms_are_the_products() {
    let template = template();
    let (_, resource) = functions(&template)["backup-audit"];
    let names = text(get(resource, &["Properties", "Environment", "Variables", "OWN_PROCEDURES"]));
    assert_eq!(names.split(',').collect::<Vec<_>>(), folders("functions"));
    // By name, because any other alarm of the environment would look like the application's.
    for (id, alarm) in resources(&template, "AWS::CloudWatch::Alarm") {
        let name = text(get(alarm, &["Properties", "AlarmName"]));
        let is_own =
            |procedure: &&str| name.starts_with(&format!("${{Project}}-${{Environment}}-{procedure}-"));
        let is_the_products = names.split(',').any(|procedure| is_own(&procedure));
        assert_ne!(is_the_products, id.starts_with(APPLICATION), "{id}: {name}");
    }
}

#[test]
fn what_hides_or_forges_evidence_is_denied_to_all_but_the_deployer() {
    let template = template();
    let policy = get(&template, &["Resources", "EvidenceBucketPolicy", "Properties", "PolicyDocument"]);
    let statements = get(policy, &["Statement"]).as_sequence().unwrap();
    let denied = |sid: &str| {
        let statement = statements.iter().find(|one| text(get(one, &["Sid"])) == sid).expect(sid);
        assert_eq!((text(get(statement, &["Effect"])), text(get(statement, &["Principal"]))), ("Deny", "*"));
        serde_json::to_string(statement).unwrap()
    };
    for (sid, actions, is_the_deployers) in [
        (
            "OnlyTheDeployerConfigures",
            &[
                "DeleteBucketPolicy",
                "PutBucketNotification",
                "PutBucketObjectLockConfiguration",
                "PutBucketOwnershipControls",
                "PutBucketPolicy",
                "PutBucketVersioning",
                "PutLifecycleConfiguration",
                "PutReplicationConfiguration",
            ][..],
            true,
        ),
        ("NobodyDeletes", &["DeleteObject"], false),
        ("OnlyTheDeployerMends", &["DeleteObject", "DeleteObjectVersion"], true),
        ("OnlyTheDeployerWritesThePolicy", &["PutObject"], true),
        ("NobodyReplicatesInto", &["ReplicateDelete", "ReplicateObject", "ReplicateTags"], false),
        (
            "NobodyShortensLocksOrChangesKeys",
            &[
                "BypassGovernanceRetention",
                "PutObjectLegalHold",
                "PutObjectRetention",
                "UpdateObjectEncryption",
            ],
            false,
        ),
    ] {
        let statement = denied(sid);
        for action in actions {
            assert!(statement.contains(&format!("\"s3:{action}\"")), "{sid}: {action}");
        }
        assert_eq!(statement.contains("DeployerArns"), is_the_deployers, "{sid}");
        assert_eq!(statement.contains("Condition"), is_the_deployers, "{sid}");
    }
}

#[test]
fn only_a_function_writes_its_own_evidence() {
    let template = template();
    let policy = get(&template, &["Resources", "EvidenceBucketPolicy", "Properties", "PolicyDocument"]);
    let denials = get(policy, &["Statement"]).as_sequence().unwrap();
    let is_of_all = |one: &&Value| text(get(one, &["Sid"])) == "OnlyTheFunctionsWrite";
    let of_all = denials.iter().find(is_of_all).unwrap();
    let denials: Vec<_> = denials.iter().map(|one| serde_json::to_string(one).unwrap()).collect();
    let (mut writers, mut functions) = (BTreeSet::new(), 0);
    for (id, role) in resources(&template, "AWS::IAM::Role") {
        for statement in statements(role) {
            let writes = list(get(statement, &["Action"])).into_iter().any(|one| text(one) == "s3:PutObject");
            for resource in
                list(get(statement, &["Resource"])).into_iter().filter_map(chosen).filter(|_| writes)
            {
                let resource = text(resource);
                if !resource.starts_with("${EvidenceBucket.Arn}/") {
                    continue;
                }
                writers.insert(format!("{id}.Arn"));
                if resource.ends_with("}/runs/policy-notice/*") {
                    continue;
                }
                functions += usize::from(resource.contains("}/evidence/"));
                let is_denied_to_others = denials.iter().any(|one| {
                    one.contains(&format!("\"{resource}\""))
                        && one.contains(&format!("\"{id}.Arn\""))
                        && one.contains("ArnNotEquals")
                });
                assert!(is_denied_to_others, "{id}: {resource}");
            }
        }
    }
    // Keys that no function has: nobody but the deployer, who writes the policy, may write anything else.
    assert_eq!(text(get(of_all, &["Effect"])), "Deny");
    assert_eq!(text(get(of_all, &["NotResource"])), "${EvidenceBucket.Arn}/policy/*");
    let allowed = list(get(of_all, &["Condition", "ArnNotEquals", "aws:PrincipalArn"]));
    assert_eq!(allowed.into_iter().map(|role| text(role).to_owned()).collect::<BTreeSet<_>>(), writers);
    assert!(functions >= 12, "{functions}");
}

#[test]
fn no_function_may_write_the_policy() {
    let template = template();
    for (id, role) in resources(&template, "AWS::IAM::Role") {
        for statement in statements(role) {
            let writes =
                list(get(statement, &["Action"])).into_iter().any(|action| text(action).contains(":Put"));
            let resources = list(get(statement, &["Resource"])).into_iter().filter_map(chosen);
            let names = resources.into_iter().any(|one| text(one).contains("Arn}/policy/"));
            assert!(!(writes && names), "{id}");
        }
    }
}

#[test]
fn a_wide_resource_would_be_found() {
    for wide in
        ["*", "", "${EvidenceBucket.Arn}/*", "${EvidenceBucket.Arn}/evidence/other/*", "OtherLogs.Arn"]
    {
        assert!(!names_what_is_the_functions_own(wide, "rotate-random"), "{wide}");
    }
    let all = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:*";
    assert!(!names_what_is_the_functions_own(all, "rotate-random"));
    assert!(!names_what_is_the_functions_own("RotationAuditDeadLetters.Arn", "rotate-random"));
    assert!(!is_an_exception("rotation-audit", &["secretsmanager:GetSecretValue"], all));
    let snapshots = "arn:${AWS::Partition}:rds:${AWS::Region}:${AWS::AccountId}:snapshot:*";
    assert!(!is_an_exception("snapshot-create", &["rds:CreateDBSnapshot"], snapshots));
    let buckets = "arn:${AWS::Partition}:s3:::${Project}-${Environment}-*";
    assert!(!is_an_exception("backup-audit", &["s3:PutBucketPolicy"], buckets));
    assert!(!is_an_exception("backup-audit", &["s3:GetObject"], buckets));
    let attachments = "arn:${AWS::Partition}:s3:::${Project}-${Environment}-attachments/*";
    let writes = ["s3:DeleteObjectVersion", "s3:PutObject"];
    assert!(!is_an_exception("attachment-restore-test", &writes, attachments));
    assert!(!is_an_exception("snapshot-verify", &["rds:DeleteDBSnapshot"], snapshots));
    assert!(!is_an_exception("snapshot-verify", &["rds:CopyDBSnapshot"], snapshots));
    let changes = ["rds:DeleteDBInstance", "rds:ModifyDBInstance", "rds:StartDBInstance"];
    for name in ["db:*", "db:${Project}-${Environment}-*", "db:${DatabaseInstanceId}"] {
        let wide = format!("arn:${{AWS::Partition}}:rds:${{AWS::Region}}:${{AWS::AccountId}}:{name}");
        assert!(!is_an_exception("restore-test", &changes, &wide), "{name}");
    }
    assert!(!is_an_exception("restore-test", &["secretsmanager:GetSecretValue"], all));
    for action in ["rds:DeleteDBInstance", "rds:StopDBInstance"] {
        let own = "arn:${AWS::Partition}:rds:${AWS::Region}:${AWS::AccountId}:db:${Project}-${Environment}-*";
        assert!(!is_an_exception("emergency-restore", &[action], own), "{action}");
    }
    for action in ["rds:AddTagsToResource", "rds:ModifyDBInstance", "rds:RestoreDBInstanceFromDBSnapshot"] {
        let wide =
            "arn:${AWS::Partition}:rds:${AWS::Region}:${AWS::AccountId}:db:${Project}-${Environment}-*";
        assert!(!is_an_exception("emergency-restore", &[action], wide), "{action}");
    }
    assert!(!is_an_exception("emergency-restore", &["secretsmanager:GetSecretValue"], all));
    assert!(!is_an_exception("emergency-restore", &["iam:PassRole"], "*"));
    let clusters = "arn:${AWS::Partition}:rds:${AWS::Region}:${AWS::AccountId}:cluster:*";
    assert!(!is_an_exception("snapshot-create", &["rds:CreateDBClusterSnapshot"], clusters));
    assert!(!is_an_exception("inventory-audit", &["s3:GetObject"], "arn:${AWS::Partition}:s3:::*"));
    assert!(!is_an_exception("inventory-audit", &["secretsmanager:GetSecretValue"], all));
    assert!(!is_an_exception(
        "inventory-audit",
        &["cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm"],
        "*"
    ));
    let more = ["secretsmanager:GetSecretValue", "secretsmanager:ListSecrets"];
    assert!(!is_an_exception("rotation-audit", &more, "*"));
    assert!(!is_an_exception("rotate-random", &["secretsmanager:ListSecrets"], "*"));
}

#[test]
fn every_role_is_one_functions_own_and_grants_what_the_code_uses() {
    let template = template();
    let roles = resources(&template, "AWS::IAM::Role");
    let mut taken = BTreeSet::new();
    for (folder, (id, resource)) in functions(&template) {
        let role_id = text(get(resource, &["Properties", "Role"])).trim_end_matches(".Arn").to_owned();
        assert!(taken.insert(role_id.clone()), "{id} shares the role {role_id}");
        let role = roles.get(role_id.as_str()).unwrap_or_else(|| panic!("{id}: no role {role_id}"));
        let mut granted = BTreeSet::new();
        for statement in statements(role) {
            // What a role must not do, although another statement grants it.
            if text(get(statement, &["Effect"])) == "Deny" {
                continue;
            }
            assert_eq!(text(get(statement, &["Effect"])), "Allow");
            for action in list(get(statement, &["Action"])) {
                let action = text(action);
                assert!(!action.contains('*'), "{role_id} grants {action}");
                if action.starts_with("kms:") {
                    let via = ["StringEquals", "StringLike"]
                        .map(|operator| text(get(statement, &["Condition", operator, "kms:ViaService"])));
                    assert_ne!(via, ["", ""], "{role_id} grants {action} without kms:ViaService");
                } else {
                    granted.insert(action.to_owned());
                }
            }
            let actions: Vec<_> = list(get(statement, &["Action"])).into_iter().map(text).collect();
            if actions.contains(&"s3:ListBucketVersions") {
                let own = format!("evidence/{folder}/");
                let mut allowed = vec![own.as_str(), shared::policy::KEY];
                // This function records the changes of the policy.
                allowed.extend((folder == "inventory-audit").then_some("evidence/policy/"));
                // This one verifies all records, and the anchors.
                let all = ["evidence/*", "anchors/${Project}/${Environment}/"];
                allowed.extend(all.into_iter().filter(|_| folder == "governance-report"));
                // This one looks at the records of the work that a new person accompanies.
                let shown = SHOWN.map(|procedure| format!("evidence/{procedure}/*"));
                allowed.extend(shown.iter().map(String::as_str).filter(|_| folder == "onboarding"));
                for prefix in list(get(statement, &["Condition", "StringLike", "s3:prefix"])) {
                    assert!(allowed.contains(&text(prefix)), "{role_id}: {prefix:?}");
                }
            }
            let all_but = text(get(statement, &["NotResource"]));
            if !all_but.is_empty() {
                let sends_sms =
                    folder == "incident-send" && actions == ["sns:Publish"] && all_but == EVERY_TOPIC;
                assert!(sends_sms, "{role_id} grants on all but {all_but}");
                continue;
            }
            if actions == ["ses:SendEmail"] {
                let from = text(get(statement, &["Condition", "StringEquals", "ses:FromAddress"]));
                assert_eq!(from, "SesFromAddress", "{role_id}");
            }
            let resources: Vec<_> =
                list(get(statement, &["Resource"])).into_iter().filter_map(chosen).collect();
            assert!(!resources.is_empty(), "{role_id}: a statement without a resource");
            for resource in resources {
                let resource = text(resource);
                assert!(
                    names_what_is_the_functions_own(resource, folder)
                        || is_an_exception(folder, &actions, resource),
                    "{role_id} grants on {resource}"
                );
            }
        }
        let managed = get(role, &["Properties", "ManagedPolicyArns"]);
        let mut policies = BTreeSet::new();
        walk(managed, &mut |value| policies.extend(value.as_str()));
        let allowed = ["AWS::NoValue", "InVpc", "NetworkInterfaces"];
        assert!(policies.iter().all(|policy| allowed.contains(policy)), "{role_id}: {policies:?}");
        let mut expected = used(folder);
        if folder == "rotate-external" {
            // The application's key sends the mail, and its user has the permission.
            expected.remove("ses:SendEmail");
        }
        expected.extend(PLATFORM.map(str::to_owned));
        if is_asynchronous(resource) {
            expected.insert(DEAD_LETTERS.to_owned());
        }
        if kinds(resource).any(|kind| kind == "SQS") {
            expected.extend(QUEUE.map(str::to_owned));
        }
        if kinds(resource).any(|kind| kind == "DynamoDB") {
            expected.extend(STREAM.map(str::to_owned));
        }
        // A transaction needs the permissions of its parts, here puts and updates.
        if expected.remove("dynamodb:TransactWriteItems") {
            expected.extend(["dynamodb:PutItem", "dynamodb:UpdateItem"].map(str::to_owned));
        }
        // Cloud Control lists and reads with the caller's permissions.
        let looks_at = |kind: &str| {
            sources(&format!("functions/{folder}/src")).into_iter().any(|(_, code)| code.contains(kind))
        };
        if looks_at("AWS::Backup::BackupPlan") {
            expected.extend(CONTROLLED.map(str::to_owned));
        }
        if looks_at("AWS::CloudWatch::CompositeAlarm") {
            expected.extend(ALARMS.map(str::to_owned));
        }
        if looks_at("AWS::EFS::FileSystem") {
            expected.extend(LOOKED_AT.map(str::to_owned));
        }
        // An announcement of a broken policy is noted and posted by the other functions.
        if looks_at("DefaultsUnannounced") {
            for action in ["s3:GetObject", "s3:ListBucket", "s3:PutObject"] {
                assert!(expected.remove(action), "{folder} does not look for notices");
            }
        }
        // RDS evaluates the tags of a new snapshot as a separate action.
        if [
            "rds:CreateDBSnapshot",
            "rds:CopyDBSnapshot",
            "rds:CreateDBClusterSnapshot",
            "rds:RestoreDBInstanceFromDBSnapshot",
        ]
        .iter()
        .any(|action| expected.contains(*action))
        {
            expected.insert("rds:AddTagsToResource".to_owned());
        }
        // Scheduler evaluates the role of a new schedule as a separate action.
        if expected.contains("scheduler:CreateSchedule") {
            expected.insert("iam:PassRole".to_owned());
        }
        // ECS evaluates the tags of a new task definition, and its roles, as separate actions.
        if expected.contains("ecs:RegisterTaskDefinition") {
            expected.extend(["ecs:TagResource", "iam:PassRole"].map(str::to_owned));
        }
        // RDS creates the secret with a master's password in the caller's name.
        if looks_at(".manage_master_user_password(") {
            expected.extend(["secretsmanager:CreateSecret", "secretsmanager:TagResource"].map(str::to_owned));
        }
        assert_eq!(granted, expected, "{role_id}: left what it grants, right what the code uses");
    }
    for (id, machine) in resources(&template, "AWS::Serverless::StateMachine") {
        let role_id = text(get(machine, &["Properties", "Role"])).trim_end_matches(".Arn").to_owned();
        let role = roles.get(role_id.as_str()).unwrap_or_else(|| panic!("{id}: no role {role_id}"));
        // The functions that the state machine's definition names, including its own.
        let substitutions = get(machine, &["Properties", "DefinitionSubstitutions"]).as_mapping().unwrap();
        let named = substitutions.values().map(text).filter(|named| named.ends_with("Function.Arn"));
        let named: BTreeSet<_> = named.map(str::to_owned).collect();
        assert!(named.contains(&format!("{}Function.Arn", id.trim_end_matches("StateMachine"))), "{id}");
        for statement in statements(role) {
            assert_eq!(text(get(statement, &["Action"])), "lambda:InvokeFunction", "{role_id}");
            let resources = list(get(statement, &["Resource"])).into_iter().map(|one| text(one).to_owned());
            assert_eq!(resources.collect::<BTreeSet<_>>(), named, "{role_id}");
        }
        assert!(taken.insert(role_id), "{id} shares its role");
    }
    // What one-time schedules may do: wake two functions, and bury what does not reach them.
    let role = roles["IncidentScheduleRole"];
    let may: Vec<_> = statements(role).into_iter().map(|one| text(get(one, &["Action"]))).collect();
    assert_eq!(may, ["lambda:InvokeFunction", "sqs:SendMessage"]);
    let wakes = list(get(statements(role)[0], &["Resource"])).into_iter().map(text);
    let names = wakes.map(|arn| arn.rsplit(':').next().unwrap());
    let own = ["incident-clock", "postmortem"].map(|name| format!("${{Project}}-${{Environment}}-{name}"));
    assert_eq!(names.collect::<Vec<_>>(), own);
    taken.insert("IncidentScheduleRole".to_owned());
    assert_eq!(taken.len(), roles.len(), "a role that no function, state machine or schedule has");
}

#[test]
fn every_state_machine_ends_by_itself_and_raises_alarms() {
    let template = template();
    let alarms = alarms(&template);
    for (id, machine) in resources(&template, "AWS::Serverless::StateMachine") {
        let path = text(get(machine, &["Properties", "DefinitionUri"]));
        let definition = fs::read_to_string(root().join(path)).unwrap();
        let definition: serde_json::Value = serde_json::from_str(&definition).unwrap();
        assert!(definition["TimeoutSeconds"].is_u64(), "{id}: an execution that hangs would hang for a year");
        let states: BTreeSet<&str> =
            definition["States"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut targets = BTreeSet::from([definition["StartAt"].as_str().unwrap()]);
        for state in definition["States"].as_object().unwrap().values() {
            let ways =
                ["Choices", "Catch"].iter().filter_map(|way| state[way].as_array()).flatten().chain([state]);
            targets.extend(
                ways.flat_map(|way| [&way["Next"], &way["Default"]]).filter_map(|next| next.as_str()),
            );
            let catches = state["Catch"]
                .as_array()
                .is_some_and(|all| all.iter().any(|c| c["ErrorEquals"][0] == "States.ALL"));
            let payload = &state["Arguments"]["Payload"]["step"];
            assert!(
                state["Type"] != "Task" || catches || payload == "finish" || payload == "fail",
                "{id}: {payload} fails silently"
            );
        }
        assert_eq!(targets, states, "{id}: left what is gone to, right what there is");
        for metric in ["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"] {
            let watches = |alarm: &&&Value| {
                text(get(alarm, &["Properties", "MetricName"])) == metric
                    && text(get(list(get(alarm, &["Properties", "Dimensions"]))[0], &["Value"])) == id
            };
            assert_eq!(alarms.values().filter(watches).count(), 1, "{id}: alarms on {metric}");
        }
    }
}

#[test]
fn every_function_has_a_log_group_with_retention_and_an_alarm_on_errors() {
    let template = template();
    let groups = resources(&template, "AWS::Logs::LogGroup");
    let alarms = alarms(&template);
    for (_, (id, resource)) in functions(&template) {
        let group = text(get(resource, &["Properties", "LoggingConfig", "LogGroup"]));
        let group = groups.get(group).unwrap_or_else(|| panic!("{id}: no log group {group}"));
        assert!(!get(group, &["Properties", "RetentionInDays"]).is_null(), "{id}: logs are kept for ever");
        let watches = |alarm: &&&Value| {
            let dimension = &list(get(alarm, &["Properties", "Dimensions"]))[0];
            text(get(alarm, &["Properties", "MetricName"])) == "Errors"
                && text(get(dimension, &["Value"])) == id
        };
        assert_eq!(alarms.values().filter(watches).count(), 1, "{id}: alarms on Errors");
    }
    for (id, alarm) in alarms {
        let actions = list(get(alarm, &["Properties", "AlarmActions"]));
        let is_pagers = PAGER.iter().any(|folder| id.starts_with(&pascal(folder)));
        let topic = if is_pagers { "PagerTopic" } else { "PagingTopic" };
        assert_eq!(actions.iter().map(|action| text(action)).collect::<Vec<_>>(), [topic], "{id}");
        assert!(!text(get(alarm, &["Properties", "AlarmDescription"])).is_empty(), "{id}: what to do?");
    }
}

/// The dimension `stack` of every function's counts.
const STACK: &str = "${Project}-${Environment}";

/// Seconds within which a metric is expected to reach CloudWatch.
const DELAY: u64 = 300;

fn number(value: &Value) -> u64 {
    plain(value).as_u64().unwrap_or_default()
}

/// The reason why an alarm might miss a metric that a function emits at its end: Lambda's timestamp is the invocation's
/// start. A metric of the stack may come from the slowest function.
fn looks_away(template: &Value, alarm: &Value) -> Option<String> {
    let property = |name| get(alarm, &["Properties", name]);
    let of = list(property("Dimensions")).first().map_or("", |one| text(get(one, &["Value"])));
    let functions = resources(template, "AWS::Serverless::Function");
    let timeout = |function: &Value| {
        let own = number(get(function, &["Properties", "Timeout"]));
        if own == 0 { number(get(template, &["Globals", "Function", "Timeout"])) } else { own }
    };
    let is_of_all = of == STACK;
    let counting = functions.iter().filter(|(id, _)| is_of_all || **id == of);
    let timeout = counting.map(|(_, function)| timeout(function)).max().unwrap_or_default();
    let window = number(property("Period")) * number(property("EvaluationPeriods"));
    if window < timeout + DELAY {
        return Some(format!("looks back {window} s, {of} runs for {timeout}"));
    }
    let points = number(property("DatapointsToAlarm"));
    let missing = text(property("TreatMissingData"));
    if text(property("ComparisonOperator")) == "LessThanThreshold" {
        // It is the absence that rings, and one late or lost value must not.
        return (points < 2 || missing != "breaching").then(|| format!("{points} points, {missing}"));
    }
    // A single event must suffice, and missing data is good.
    (points != 1 || missing != "notBreaching").then(|| format!("{points} points, {missing}"))
}

#[test]
fn every_alarm_looks_back_past_what_it_may_learn_late() {
    let template = template();
    for (id, alarm) in alarms(&template) {
        assert_eq!(looks_away(&template, alarm), None, "{id}");
    }
}

#[test]
fn an_alarm_that_looks_away_would_be_found() {
    let example = |function: &str, alarm: &str| {
        let text = format!(
            "Globals: {{Function: {{Timeout: 30}}}}\nResources:\n  F: {{Type: AWS::Serverless::Function, Properties: {{{function}}}}}\n  A: {{Properties: {{Dimensions: [{{Value: !Ref F}}], TreatMissingData: notBreaching, {alarm}}}}}\n"
        );
        let template: Value = serde_yaml_ng::from_str(&text).unwrap();
        looks_away(&template, get(&template, &["Resources", "A"])).is_some()
    };
    let once = "DatapointsToAlarm: 1";
    assert!(example("Timeout: 900", "Period: 60, EvaluationPeriods: 1"));
    assert!(example("Timeout: 900", &format!("Period: 60, EvaluationPeriods: 19, {once}")));
    assert!(!example("Timeout: 900", &format!("Period: 60, EvaluationPeriods: 20, {once}")));
    assert!(!example("Timeout: 900", &format!("Period: 300, EvaluationPeriods: 4, {once}")));
    assert!(example("", &format!("Period: 60, EvaluationPeriods: 5, {once}")));
    assert!(!example("", &format!("Period: 60, EvaluationPeriods: 6, {once}")));
    let of_all = |periods: u8| {
        let text = format!(
            "Resources:\n  F: {{Type: AWS::Serverless::Function, Properties: {{Timeout: 900}}}}\n  G: {{Type: AWS::Serverless::Function, Properties: {{Timeout: 30}}}}\n  A: {{Properties: {{Dimensions: [{{Value: !Sub \"{STACK}\"}}], TreatMissingData: notBreaching, Period: 60, EvaluationPeriods: {periods}, {once}}}}}\n"
        );
        let template: Value = serde_yaml_ng::from_str(&text).unwrap();
        looks_away(&template, get(&template, &["Resources", "A"])).is_some()
    };
    assert!(of_all(19) && !of_all(20));
    // Without DatapointsToAlarm, every period must breach.
    assert!(example("", "Period: 60, EvaluationPeriods: 6"));
    // What is missed must not be good if it is missing.
    let missed =
        "Period: 60, EvaluationPeriods: 6, DatapointsToAlarm: 5, ComparisonOperator: LessThanThreshold";
    assert!(example("", missed));
}

#[test]
fn the_evidence_its_policy_and_the_incidents_outlive_the_stack() {
    let template = template();
    // An empty bucket of a failed creation is deleted with its policy; a bucket with records keeps its policy.
    for (id, policy) in [
        ("EvidenceBucket", "RetainExceptOnCreate"),
        ("EvidenceBucketPolicy", "Retain"),
        ("IncidentTable", "RetainExceptOnCreate"),
        ("PeopleBucket", "RetainExceptOnCreate"),
        ("PeopleBucketPolicy", "Retain"),
    ] {
        let resource = get(&template, &["Resources", id]);
        assert_eq!(text(get(resource, &["DeletionPolicy"])), policy, "{id}");
        assert_eq!(text(get(resource, &["UpdateReplacePolicy"])), "Retain", "{id}");
    }
}

#[test]
fn resources_with_names_keep_their_logical_ids() {
    let template = template();
    let names = [
        "BucketName",
        "TableName",
        "TopicName",
        "FunctionName",
        "LogGroupName",
        "QueueName",
        "AlarmName",
        "Name",
        "SecretId",
        "Bucket",
    ];
    let mut named = BTreeSet::new();
    for (id, resource) in get(&template, &["Resources"]).as_mapping().unwrap() {
        let (id, kind) = (id.as_str().unwrap(), text(get(resource, &["Type"])));
        let properties = get(resource, &["Properties"]);
        let name = names.iter().map(|name| text(get(properties, &[name]))).find(|name| !name.is_empty());
        // A function's name does not determine its permissions.
        if let Some(name) = name.filter(|_| kind != "AWS::Lambda::Permission") {
            named.insert(format!("{id} {kind} {name}"));
        }
        for (event, trigger) in get(properties, &["Events"]).as_mapping().into_iter().flatten() {
            let name = text(get(trigger, &["Properties", "Name"]));
            if !name.is_empty() {
                let kind = text(get(trigger, &["Type"]));
                named.insert(format!("{id}.{} {kind} {name}", event.as_str().unwrap()));
            }
        }
    }
    let known = fs::read_to_string(root().join("tests/repository/named.txt")).unwrap();
    let known: BTreeSet<_> = known.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    assert_eq!(named, known, "left the template, right tests/repository/named.txt");
}

#[test]
fn only_rules_of_the_product_may_write_to_its_queues() {
    let template = template();
    let rules_arn = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/";
    // The rules that name a queue, by the queue.
    let mut named: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for rule in resources(&template, "AWS::Events::Rule").values() {
        let arn = format!("{rules_arn}{}", text(get(rule, &["Properties", "Name"])));
        for target in list(get(rule, &["Properties", "Targets"])) {
            for queue in [get(target, &["Arn"]), get(target, &["DeadLetterConfig", "Arn"])] {
                named.entry(text(queue).trim_end_matches(".Arn")).or_default().insert(arn.clone());
            }
        }
    }
    // The queues that any rule of the account may write to, and those that wake a function.
    let (mut open, mut own) = (BTreeSet::new(), BTreeSet::new());
    for (id, policy) in resources(&template, "AWS::SQS::QueuePolicy") {
        let queues: Vec<&str> = list(get(policy, &["Properties", "Queues"])).into_iter().map(text).collect();
        let rules: BTreeSet<String> =
            queues.iter().filter_map(|queue| named.get(queue)).flatten().cloned().collect();
        let of_kind = if rules.is_empty() { &mut open } else { &mut own };
        of_kind.extend(queues);
        for statement in list(get(policy, &["Properties", "PolicyDocument", "Statement"])) {
            let service = text(get(statement, &["Principal", "Service"]));
            if service == "sns.amazonaws.com" {
                let topic = text(get(statement, &["Condition", "ArnEquals", "aws:SourceArn"]));
                assert_eq!(topic, "PagingTopic", "{id}");
                continue;
            }
            // For rules, AWS documents the rule's ARN and no other key.
            if !rules.is_empty() {
                // Who writes here wakes a function: pages, says that an alarm is over, makes pages.
                let from = get(statement, &["Condition", "ArnEquals", "aws:SourceArn"]);
                let from = if from.is_sequence() { list(from) } else { vec![from] };
                assert_eq!(
                    from.into_iter().map(|arn| text(arn).to_owned()).collect::<BTreeSet<_>>(),
                    rules,
                    "{id}"
                );
                continue;
            }
            let from = text(get(statement, &["Condition", "ArnLike", "aws:SourceArn"]));
            assert_eq!(from, format!("{rules_arn}*"), "{id}");
        }
    }
    let mut rules = 0;
    for kind in ["AWS::Serverless::Function", "AWS::Serverless::StateMachine"] {
        for (id, resource) in resources(&template, kind) {
            let events = get(resource, &["Properties", "Events"]).as_mapping();
            for (name, event) in events.into_iter().flatten() {
                if text(get(event, &["Type"])) == "EventBridgeRule" {
                    rules += 1;
                    let queue = text(get(event, &["Properties", "DeadLetterConfig", "Arn"]));
                    assert!(open.contains(queue.trim_end_matches(".Arn")), "{id}: {name:?}: {queue}");
                }
            }
        }
    }
    for (id, rule) in resources(&template, "AWS::Events::Rule") {
        for target in list(get(rule, &["Properties", "Targets"])) {
            rules += 1;
            for queue in [get(target, &["Arn"]), get(target, &["DeadLetterConfig", "Arn"])] {
                let queue = text(queue);
                assert!(own.contains(queue.trim_end_matches(".Arn")), "{id}: {queue}");
            }
        }
    }
    assert!(rules >= 3, "{rules}");
}

/// A chain that is missing in the rule would make no page; its own would make the next page of each.
#[test]
fn new_evidence_of_every_chain_but_its_own_makes_the_page() {
    let template = template();
    let rule =
        get(&template, &["Resources", "GovernanceReportEvidence", "Properties", "EventPattern", "detail"]);
    let keys =
        list(get(rule, &["object", "key"])).into_iter().map(|key| text(get(key, &["prefix"])).to_owned());
    let source = fs::read_to_string(root().join("template.yaml")).unwrap();
    let written =
        source.lines().filter_map(|line| line.trim().strip_prefix("- !Sub ${EvidenceBucket.Arn}/evidence/"));
    let chains =
        written.filter_map(|rest| rest.strip_suffix("/*")).filter(|chain| *chain != "governance-report");
    let chains: BTreeSet<String> = chains.map(|chain| format!("evidence/{chain}/")).collect();
    assert_eq!(keys.collect::<BTreeSet<_>>(), chains);
}

/// The pager's own alarms must not come back into it; every other one, and the drill's, has to.
#[test]
fn the_rule_for_alarms_leaves_out_the_pagers_own() {
    let template = template();
    let rule = get(&template, &["Resources", "IncidentPageAlarmChanges", "Properties", "EventPattern"]);
    let [pattern] = list(get(rule, &["resources"]))[..] else { panic!("{rule:?}") };
    let prefix = text(get(pattern, &["anything-but", "prefix"]));
    let is_left_out = |name: &str| {
        let account = "${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}";
        format!("arn:{account}:alarm:{name}").starts_with(prefix)
    };
    for (id, alarm) in resources(&template, "AWS::CloudWatch::Alarm") {
        let actions = list(get(alarm, &["Properties", "AlarmActions"]));
        let is_pagers = actions.iter().any(|action| text(action) == "PagerTopic");
        assert_eq!(is_left_out(text(get(alarm, &["Properties", "AlarmName"]))), is_pagers, "{id}");
    }
    assert!(!is_left_out(&format!("${{Project}}-${{Environment}}-drill-{}x", incident::DRILL)));
}

#[test]
fn the_metrics_that_the_code_counts_have_alarms() {
    let template = template();
    let alarms = alarms(&template);
    for (folder, (id, _)) in functions(&template) {
        let shared = shared_of(folder)
            .into_iter()
            .filter(|(path, _)| ["report.rs", "paging.rs"].iter().any(|module| path.ends_with(module)))
            // Their record is the incident's timeline.
            .filter(|_| !["incident-desk", "incident-page", "incident-send"].contains(&folder));
        let mut counted: BTreeSet<String> = BTreeSet::new();
        for (_, code) in shared.chain(sources(&format!("functions/{folder}/src"))) {
            counted.extend(quoted_after(&code, ".lost("));
            counted.extend(quoted_after(&code, "metrics::count("));
        }
        let alarmed: BTreeSet<String> = alarms
            .values()
            .filter(|alarm| {
                text(get(alarm, &["Properties", "Namespace"])) == shared::runtime::metrics::NAMESPACE
            })
            .filter(|alarm| text(get(list(get(alarm, &["Properties", "Dimensions"]))[0], &["Value"])) == id)
            .map(|alarm| text(get(alarm, &["Properties", "MetricName"])).to_owned())
            .collect();
        assert_eq!(counted, alarmed, "{id}");
    }
}

#[test]
fn what_is_counted_for_the_stack_has_one_alarm() {
    let template = template();
    let alarms = alarms(&template);
    let of_stack = alarms.values().filter_map(|alarm| {
        let dimension = list(get(alarm, &["Properties", "Dimensions"]))[0];
        (text(get(dimension, &["Name"])) == "stack").then(|| {
            assert_eq!(text(get(dimension, &["Value"])), STACK);
            assert_eq!(text(get(alarm, &["Properties", "Namespace"])), shared::runtime::metrics::NAMESPACE);
            text(get(alarm, &["Properties", "MetricName"])).to_owned()
        })
    });
    assert_eq!(of_stack.collect::<Vec<_>>(), [shared::run::in_force::METRIC]);
}

#[test]
fn secrets_manager_may_invoke_the_rotation_functions_from_this_account_only() {
    let template = template();
    let permissions = resources(&template, "AWS::Lambda::Permission");
    for (folder, (id, _)) in
        functions(&template).into_iter().filter(|(folder, _)| folder.starts_with("rotate-"))
    {
        let own = permissions
            .values()
            .filter(|permission| text(get(permission, &["Properties", "FunctionName"])) == id);
        let own: Vec<_> = own.collect();
        assert_eq!(own.len(), 1, "{folder}");
        assert_eq!(text(get(own[0], &["Properties", "Principal"])), "secretsmanager.amazonaws.com");
        assert_eq!(text(get(own[0], &["Properties", "SourceAccount"])), "AWS::AccountId");
    }
}

/// Whether any caller invokes the function asynchronously.
fn is_asynchronous(resource: &Value) -> bool {
    let asynchronous =
        ["Schedule", "ScheduleV2", "SNS", "EventBridgeRule", "CloudWatchEvent", "CloudWatchLogs", "S3"];
    // Permissions outside the function's resource let others invoke it, too.
    let has_queue = !get(resource, &["Properties", "DeadLetterQueue"]).is_null();
    has_queue || kinds(resource).any(|kind| asynchronous.contains(&kind))
}

/// The kinds of a function's events.
fn kinds(resource: &Value) -> impl Iterator<Item = &str> {
    let events = get(resource, &["Properties", "Events"]).as_mapping();
    events.into_iter().flatten().map(|(_, event)| text(get(event, &["Type"])))
}

/// The defect of an asynchronous function's queue: none set, not encrypted, or not existing. Synchronous functions need
/// no queue.
fn missing_queue(template: &Value, resource: &Value) -> Option<String> {
    let properties = get(resource, &["Properties"]);
    if !is_asynchronous(resource) {
        return None;
    }
    let dead = text(get(properties, &["DeadLetterQueue", "TargetArn"])).trim_end_matches(".Arn");
    let destination =
        get(properties, &["EventInvokeConfig", "DestinationConfig", "OnFailure", "Destination"]);
    let name = if dead.is_empty() { text(destination).trim_end_matches(".Arn") } else { dead };
    let Some(queue) = resources(template, "AWS::SQS::Queue").get(name).copied() else {
        return Some(format!("no queue {name:?}"));
    };
    let managed = plain(get(queue, &["Properties", "SqsManagedSseEnabled"])).as_bool() == Some(true);
    let own_key = !text(get(queue, &["Properties", "KmsMasterKeyId"])).is_empty();
    (!managed && !own_key).then(|| format!("queue {name} is not encrypted"))
}

#[test]
fn every_asynchronous_function_has_an_encrypted_dead_letter_queue() {
    let template = template();
    for (_, (id, resource)) in functions(&template) {
        assert_eq!(missing_queue(&template, resource), None, "{id}");
    }
}

#[test]
fn an_alarm_watches_every_queue() {
    let template = template();
    let alarms = alarms(&template);
    for (id, _) in resources(&template, "AWS::SQS::Queue") {
        // A queue of work is never empty for long in a storm; its age shows that nobody works.
        let metric = if id.ends_with("DeadLetters") {
            "ApproximateNumberOfMessagesVisible"
        } else {
            "ApproximateAgeOfOldestMessage"
        };
        let watches = |alarm: &&&Value| {
            let dimension = &list(get(alarm, &["Properties", "Dimensions"]))[0];
            text(get(alarm, &["Properties", "MetricName"])) == metric
                && text(get(dimension, &["Value"])) == format!("{id}.QueueName")
        };
        assert_eq!(alarms.values().filter(watches).count(), 1, "{id}");
    }
}

#[test]
fn a_missing_or_open_dead_letter_queue_would_be_found() {
    let example = |queue: &str, function: &str| -> Option<String> {
        let text = format!(
            "Resources:\n  Q: {{Type: AWS::SQS::Queue, Properties: {{{queue}}}}}\n  F: {{Type: AWS::Serverless::Function, Properties: {{{function}}}}}\n"
        );
        let template: Value = serde_yaml_ng::from_str(&text).unwrap();
        missing_queue(&template, get(&template, &["Resources", "F"]))
    };
    let event = "Events: {Daily: {Type: ScheduleV2}}";
    let queue = "DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Q.Arn}";
    assert_eq!(example("SqsManagedSseEnabled: true", &format!("{event}, {queue}")), None);
    assert_eq!(example("", "Events: {Call: {Type: Api}}"), None);
    assert_eq!(example("SqsManagedSseEnabled: true", event), Some("no queue \"\"".to_owned()));
    assert_eq!(example("", &format!("{event}, {queue}")), Some("queue Q is not encrypted".to_owned()));
}

#[test]
fn the_schedules_keep_the_policys_ages() {
    let template = template();
    let policy: shared::policy::Policy = "".parse().unwrap();
    for (parameter, variable) in [
        ("JwtRotationDays", "JWT_SECRET"),
        ("WebhookRotationDays", "NOTIFICATIONS_WEBHOOK_SECRET"),
        ("SesRotationDays", "NOTIFICATIONS_EMAIL_SES"),
        ("TwilioRotationDays", "NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN"),
        ("SeedAdminRotationDays", "SEED_ADMIN_PASSWORD"),
    ] {
        let days = plain(get(&template, &["Parameters", parameter, "Default"])).as_u64().unwrap();
        assert_eq!(days, u64::from(policy.rotation.secrets[variable].max_age_days), "{parameter}");
    }
    for (id, schedule) in resources(&template, "AWS::SecretsManager::RotationSchedule") {
        let immediately = plain(get(schedule, &["Properties", "RotateImmediatelyOnUpdate"]));
        assert_eq!(immediately.as_bool(), Some(false), "{id}: a deployment may not change a secret");
    }
}
