//! Builds the functions and deploys the unchanged `template.yaml` as a person would: package, then deploy.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use policy::language::Language;
use serde_json::{Value, json};

use crate::aws::{Aws, REGION, text};
use crate::repo::{Build, Repo};
use crate::run::{self, Interrupted, Log};
use crate::{configure, setup};

pub(crate) const STACK: &str = "moveongs-governance-dev";
/// Prefix of the names of the stack's resources.
pub(crate) const PREFIX: &str = "moveongs-dev";
/// Principal that may change the evidence bucket's configuration. The local cloud's CloudFormation is subject to no
/// policy.
const DEPLOYER: &str = "arn:aws:iam::000000000000:role/moveongs-dev-deployer";
/// The application's JWT secret.
pub(crate) const JWT_SECRET: &str = "/moveongs/dev/jwt";
/// The secret of the application's webhooks, named in the other style.
pub(crate) const WEBHOOK_SECRET: &str = "moveongs-dev-notifications-webhook";
/// The access key for sending mail, of its own IAM user.
pub(crate) const SES_SECRET: &str = "/moveongs/dev/ses";
pub(crate) const SES_USER: &str = "moveongs-dev-mail";
const SES_FROM: &str = "alerts@imm.local";
/// The bucket of Terraform's states, the application's state in it, the prefix of its other states, and the lock table.
pub(crate) const STATE_BUCKET: &str = "moveongs-dev-terraform-state";
pub(crate) const STATE_KEY: &str = "moveongs/dev/terraform.tfstate";
const STATE_PREFIX: &str = "moveongs/dev/parts/";
pub(crate) const LOCK_TABLE: &str = "moveongs-dev-terraform-locks";
/// The application's attachments.
pub(crate) const ATTACHMENTS: &str = "moveongs-dev-attachments";
/// The application's key.
pub(crate) const APP_KEY: &str =
    "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555";
/// Repairs that the backup audit may make.
const REPAIRS: &str = "rds.retention,rds.backup-window,rds.deletion-protection,rds.public,rds.copy-tags,rds.minor-upgrades,rds.snapshot-public,rds.snapshot-shared,s3.versioning,s3.noncurrent,s3.incomplete-uploads,s3.public-access-block,s3.encryption,s3.tls-only,terraform.lock-recovery,terraform.lock-protection";
/// The application's auth token of Twilio.
const TWILIO_SECRET: &str = "/moveongs/dev/twilio";
/// The password of the application's administrator.
const SEED_ADMIN_SECRET: &str = "/moveongs/dev/seed-admin";
const SEED_ADMIN_EMAIL: &str = "admin@imm.local";
const SLACK_SECRET: &str = "/moveongs/dev/slack";
/// The address of Slack's incoming webhook, and the integration key of PagerDuty, for pages.
const SLACK_WEBHOOK_SECRET: &str = "/moveongs/dev/slack-webhook";
const PAGERDUTY_SECRET: &str = "/moveongs/dev/pagerduty";
/// The credentials of Alertmanager and Grafana: one of each kind.
pub(crate) const ALERT_SECRET: &str = "/moveongs/dev/alert-webhook";
/// The signing secret of the Slack app.
const SLACK_SIGNING_SECRET: &str = "/moveongs/dev/slack-signing";
const GITHUB_SECRET: &str = "/moveongs/dev/github";
const GRAFANA_SECRET: &str = "/moveongs/dev/grafana";
/// The team's board in the local cloud's GitHub.
pub(crate) const GITHUB_REPOSITORY: &str = "moveongs/governance";
/// The account for smoke tests.
const SMOKE_SECRET: &str = "/moveongs/dev/smoke";
/// The application's cluster and service, as its Terraform names them.
pub(crate) const CLUSTER: &str = "moveongs-dev-cluster";
pub(crate) const SERVICE: &str = "moveongs-dev-api";
/// The application's database URL.
pub(crate) const DATABASE_SECRET: &str = "/moveongs/dev/db";
/// The login that manages the database's users.
const DATABASE_ADMIN_SECRET: &str = "/moveongs/dev/db-admin";
/// The database's name in the application's Terraform.
pub(crate) const DATABASE: &str = "moveongs-dev-db";
/// Region of the copies of the database's snapshots.
pub(crate) const COPY_REGION: &str = "sa-east-1";
/// Subnet group of the throw-away instances of `restore-test`, in both regions, and the VPC's default security group.
const RESTORE_SUBNETS: &str = "moveongs-dev-restore-test";
const RESTORE_GROUP: &str = "sg-00000001";
const DATABASE_NAME: &str = "moveongs_dev_db";
/// The database's master user. The application does not use it, because RDS depends on it.
const MASTER: &str = "imm";
/// Lambda's name of this machine's processor.
pub(crate) const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
/// The application's log group, as its Terraform names it.
const LOG_GROUP: &str = "/aws/ecs/moveongs-dev-api";
/// An application secret without rotation, absent when the stack starts.
pub(crate) const REDIS_SECRET: &str = "moveongs-dev-redis-url";
const ARTIFACTS: &str = "localcloud-artifacts";
/// Keeps the heads of the evidence's chains.
const ANCHORS: &str = "governance-anchors";
/// Evidence of an environment that is not deployed here; a test writes its page.
const OTHER_EVIDENCE: &str = "moveongs-staging-evidence-000000000000";

/// The feature that enables tests against a local cloud.
pub(crate) const ON_CLOUD: &str = "tests/cloud";

/// One part of a deployment.
pub(crate) type Part = fn(&Repo, &Aws, &Log) -> Result<()>;
/// A deployment; the first part builds.
pub(crate) type Parts = [(&'static str, Part); 4];

/// The parts of a deployment. A repeated one builds, uploads and updates only changes.
pub(crate) const PARTS: Parts = [
    ("building the functions", build),
    ("creating what the account has already", prerequisites),
    ("packaging", package),
    ("deploying the stack", create_or_update),
];

/// The parts of a first deployment by `sam deploy`, as docs/implantacao.md has it, with the files of `cargo xtask
/// configure` and nobody to answer a question.
pub(crate) const WITH_SAM: Parts =
    [PARTS[0], PARTS[1], ("arranging the files", arrange), ("deploying the stack with SAM", create_with_sam)];

/// Runs all parts.
pub(crate) fn deploy(repo: &Repo, aws: &Aws, log: &Log) -> Result<()> {
    deploy_to(repo, &[(aws, log, PARTS)])
}

/// Runs the parts for several clouds in parallel, with the same binaries.
pub(crate) fn deploy_to(repo: &Repo, clouds: &[(&Aws, &Log, Parts)]) -> Result<()> {
    if let Some((aws, log, _)) = clouds.first() {
        build(repo, aws, log)?;
    }
    let one = |aws: &Aws, log: &Log, parts: &[(&str, Part)]| {
        parts.iter().skip(1).try_for_each(|(name, part)| {
            log.line(name)?;
            part(repo, aws, log)
        })
    };
    std::thread::scope(|scope| {
        let all: Vec<_> =
            clouds.iter().map(|(aws, log, parts)| scope.spawn(|| one(aws, log, parts))).collect();
        all.into_iter().try_for_each(|each| each.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })
}

/// Builds the binaries for this machine in one invocation of cargo.
fn build(repo: &Repo, aws: &Aws, log: &Log) -> Result<()> {
    let functions = repo.functions()?;
    let mut build = match repo.build {
        Build::Run => {
            let mut build = run::cargo();
            build.args(["build", "--locked", "--bins"]);
            build.args(functions.iter().flat_map(|name| ["--package", name]));
            build
        }
        Build::Test => {
            let mut build = run::clippy();
            build.args(["build", "--locked", "--bins", "--tests", "--workspace", "--features", ON_CLOUD]);
            build
        }
        Build::Measure => {
            let mut build = run::command(repo.venv("cargo-lambda"));
            build.args(["lambda", "build", "--release", "--locked"]);
            build.args(functions.iter().flat_map(|name| ["--bin", name])).env("PATH", setup::path(repo)?);
            build
        }
    };
    run::run(build.current_dir(&repo.root), log)?;
    for name in functions {
        let bootstrap = bootstrap(repo, &name);
        if repo.build == Build::Measure || is_newer(&bootstrap, &repo.at("target/debug").join(&name))? {
            continue;
        }
        // Symbols are most of a binary, and each deployment packs, uploads and unpacks them.
        if let Some(folder) = bootstrap.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut strip = run::command("strip");
        // An interrupted `strip` would leave a truncated binary that looks current. Another cloud may be deployed to at
        // the same time.
        let cloud = aws.cloud.folder.file_name().unwrap_or_default().to_string_lossy();
        let new = bootstrap.with_extension(format!("{cloud}.new"));
        strip.arg("-o").arg(&new).arg(repo.at("target/debug").join(&name));
        run::run(&mut strip, log)?;
        fs::rename(&new, &bootstrap)?;
    }
    Ok(())
}

/// Whether one file exists and was written after the other.
fn is_newer(one: &Path, other: &Path) -> Result<bool> {
    let written = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    let other = written(other).with_context(|| format!("{} was not built", other.display()))?;
    Ok(written(one).is_ok_and(|one| one > other))
}

/// A function's binary as it is deployed to a local cloud.
pub(crate) fn bootstrap(repo: &Repo, function: &str) -> PathBuf {
    let folder = if repo.build == Build::Measure { "target/lambda" } else { "target/local" };
    repo.at(folder).join(function).join("bootstrap")
}

/// Creates the resources that the stack expects: the application's secrets and database, the tokens of channel and
/// board.
fn prerequisites(repo: &Repo, aws: &Aws, log: &Log) -> Result<()> {
    create_bucket(aws, ARTIFACTS)?;
    create_bucket(aws, OTHER_EVIDENCE)?;
    create_bucket(aws, ANCHORS)?;
    let versions = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let answer = aws.wire("s3", "PUT", &format!("/{ANCHORS}?versioning"), &[], versions.as_bytes())?;
    if answer.status != 200 {
        bail!("the bucket {ANCHORS} keeps no versions: {} {}", answer.status, answer.text());
    }
    if missing(aws, JWT_SECRET)? {
        let mut random = [0; 48];
        getrandom::fill(&mut random).context("the operating system gives no random bytes")?;
        let value = STANDARD.encode(random);
        aws.secrets("CreateSecret", &json!({"Name": JWT_SECRET, "SecretString": value}))?;
    }
    if missing(aws, WEBHOOK_SECRET)? {
        aws.secrets(
            "CreateSecret",
            &json!({"Name": WEBHOOK_SECRET, "SecretString": "webhook-secret-change-me"}),
        )?;
    }
    for (secret, token) in [
        (SLACK_SECRET, "slack_token"),
        (SLACK_WEBHOOK_SECRET, "slack_webhook_url"),
        (PAGERDUTY_SECRET, "pagerduty_key"),
        (GITHUB_SECRET, "github_token"),
        (GRAFANA_SECRET, "grafana_token"),
        (TWILIO_SECRET, "twilio_auth_token"),
    ] {
        if missing(aws, secret)? {
            let token = aws.cloud.fact(token)?;
            aws.secrets("CreateSecret", &json!({"Name": secret, "SecretString": token}))?;
        }
    }
    if missing(aws, ALERT_SECRET)? {
        let basic = format!("alertmanager:{}", password()?);
        let value = json!({"bearer": password()?, "basic": basic, "hmac": password()?}).to_string();
        aws.secrets("CreateSecret", &json!({"Name": ALERT_SECRET, "SecretString": value}))?;
    }
    if missing(aws, SLACK_SIGNING_SECRET)? {
        aws.secrets("CreateSecret", &json!({"Name": SLACK_SIGNING_SECRET, "SecretString": password()?}))?;
    }
    if missing(aws, SMOKE_SECRET)? {
        let user =
            aws.cloud.facts.get("moveongs_user").context("the local cloud has no account for smoke tests")?;
        aws.secrets("CreateSecret", &json!({"Name": SMOKE_SECRET, "SecretString": user.to_string()}))?;
    }
    mail_user(aws, log)?;
    if missing(aws, SEED_ADMIN_SECRET)? {
        aws.secrets(
            "CreateSecret",
            &json!({"Name": SEED_ADMIN_SECRET, "SecretString": format!("seed-{}", password()?)}),
        )?;
    }
    database(repo, aws, log)?;
    restore_places(aws, log)?;
    storage(aws)?;
    application_service(aws, log)?;
    inventory(aws, log)
}

/// The tags that the application's Terraform gives to everything.
pub(crate) const TAGS: [(&str, &str); 3] =
    [("Project", "moveongs"), ("Environment", "dev"), ("ManagedBy", "terraform")];

/// Creates the rest of the inventory, all its tags, and a Terraform state that contains it.
fn inventory(aws: &Aws, log: &Log) -> Result<()> {
    let tags: String = TAGS
        .iter()
        .map(|(key, value)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>"))
        .collect();
    let tags = format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
    for bucket in [ATTACHMENTS, STATE_BUCKET] {
        let answer = aws.wire("s3", "PUT", &format!("/{bucket}?tagging"), &[], tags.as_bytes())?;
        if !(200..300).contains(&answer.status) {
            bail!("the bucket {bucket} cannot be tagged: {} {}", answer.status, answer.text());
        }
    }
    let groups = aws.json(
        "logs",
        "Logs_20140328.DescribeLogGroups",
        &json!({"logGroupNamePrefix": LOG_GROUP, "limit": 1}),
    )?;
    if groups.pointer("/logGroups/0").is_none() {
        let tags: Value = TAGS.into_iter().collect();
        let group = json!({"logGroupName": LOG_GROUP, "tags": tags});
        aws.json("logs", "Logs_20140328.CreateLogGroup", &group)?;
    }
    let account = "us-east-1:000000000000";
    let lower: Vec<_> = TAGS.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    for resource in [format!("cluster/{CLUSTER}"), format!("service/{CLUSTER}/{SERVICE}")] {
        let tagged = json!({"resourceArn": format!("arn:aws:ecs:{account}:{resource}"), "tags": lower});
        aws.json("ecs", "AmazonEC2ContainerServiceV20141113.TagResource", &tagged)?;
    }
    let pairs = TAGS.map(|(key, value)| format!("Key={key},Value={value}"));
    let instance = format!("arn:aws:rds:{account}:db:{DATABASE}");
    let mut tag = aws.cli(&["rds", "add-tags-to-resource", "--resource-name", &instance, "--tags"]);
    run::run(tag.args(pairs), log)?;
    let upper: Vec<_> = TAGS.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    let secrets = [JWT_SECRET, WEBHOOK_SECRET, DATABASE_SECRET, SES_SECRET, TWILIO_SECRET, SEED_ADMIN_SECRET];
    for secret in secrets {
        aws.secrets("TagResource", &json!({"SecretId": secret, "Tags": upper}))?;
    }
    terraform_state(aws, &secrets)
}

/// Writes a Terraform state of the application with these secrets, reduced to the parts that the audit reads.
pub(crate) fn terraform_state(aws: &Aws, secrets: &[&str]) -> Result<()> {
    let account = "us-east-1:000000000000";
    let resource = |kind: &str, name: &str, attributes: Value| {
        json!({"mode": "managed", "type": kind, "name": name,
            "provider": "provider[\"registry.terraform.io/hashicorp/aws\"]",
            "instances": [{"schema_version": 0, "attributes": attributes, "sensitive_attributes": []}]})
    };
    let cluster = format!("arn:aws:ecs:{account}:cluster/{CLUSTER}");
    let service = format!("arn:aws:ecs:{account}:service/{CLUSTER}/{SERVICE}");
    let instance = format!("arn:aws:rds:{account}:db:{DATABASE}");
    let bucket = format!("arn:aws:s3:::{ATTACHMENTS}");
    let group = format!("arn:aws:logs:{account}:log-group:{LOG_GROUP}");
    let mut resources = vec![
        resource("aws_ecs_cluster", "this", json!({"arn": cluster, "id": cluster, "name": CLUSTER})),
        resource("aws_ecs_service", "api", json!({"id": service, "name": SERVICE, "cluster": cluster})),
        resource("aws_db_instance", "this", json!({"arn": instance, "id": "db-0", "identifier": DATABASE})),
        resource(
            "aws_s3_bucket",
            "attachments",
            json!({"arn": bucket, "id": ATTACHMENTS, "bucket": ATTACHMENTS}),
        ),
        resource(
            "aws_cloudwatch_log_group",
            "api",
            json!({"arn": group, "id": LOG_GROUP, "name": LOG_GROUP}),
        ),
    ];
    for secret in secrets {
        let described = aws.secrets("DescribeSecret", &json!({"SecretId": secret}))?;
        let arn = text(&described, "/ARN").context("a secret has no ARN")?;
        resources.push(resource(
            "aws_secretsmanager_secret",
            "this",
            json!({"arn": arn, "id": arn, "name": secret}),
        ));
    }
    let network = vec![resource(
        "aws_vpc",
        "this",
        json!({"arn": format!("arn:aws:ec2:{account}:vpc/vpc-0"), "id": "vpc-0"}),
    )];
    let other = format!("{STATE_PREFIX}network.tfstate");
    for (key, resources) in [(STATE_KEY, resources), (other.as_str(), network)] {
        let state = json!({"version": 4, "terraform_version": "1.9.8", "serial": 1,
            "lineage": "5f7a1c1e-0000-4000-8000-1c2d3e4f5a6b", "outputs": {}, "resources": resources});
        let path = format!("/{STATE_BUCKET}/{key}");
        let answer = aws.wire("s3", "PUT", &path, &[], state.to_string().as_bytes())?;
        if answer.status != 200 {
            bail!("the Terraform state cannot be written: {} {}", answer.status, answer.text());
        }
    }
    Ok(())
}

/// Creates the application's buckets as its Terraform does: attachments without expiry of old versions, and Terraform's
/// state with its lock table.
fn storage(aws: &Aws) -> Result<()> {
    if aws.wire("s3", "HEAD", &format!("/{STATE_BUCKET}"), &[], &[])?.status == 200 {
        return Ok(());
    }
    let versioned = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let closed = "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>";
    let encrypted = format!(
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>{APP_KEY}</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    );
    let incomplete = "<LifecycleConfiguration><Rule><ID>uploads</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>";
    let table = json!({
        "TableName": LOCK_TABLE, "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "LockID", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "LockID", "AttributeType": "S"}],
    });
    if let Err(error) = aws.json("dynamodb", "DynamoDB_20120810.CreateTable", &table)
        && !error.to_string().contains("ResourceInUseException")
    {
        return Err(error);
    }
    // `STATE_BUCKET` comes last, because a later start recognises complete set-up by it.
    for bucket in [ATTACHMENTS, STATE_BUCKET] {
        let resources = json!([format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")]);
        let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": resources,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}}});
        let policy = json!({"Version": "2012-10-17", "Statement": [deny]}).to_string();
        let parts = [
            ("", ""),
            ("?versioning", versioned),
            ("?publicAccessBlock", closed),
            ("?encryption", &encrypted),
            ("?lifecycle", incomplete),
            ("?policy", &policy),
        ];
        for (part, body) in parts {
            let answer = aws.wire("s3", "PUT", &format!("/{bucket}{part}"), &[], body.as_bytes())?;
            if !matches!(answer.status, 200 | 204) {
                bail!("the bucket {bucket} does not take {part}: {} {}", answer.status, answer.text());
            }
        }
    }
    Ok(())
}

/// Creates an IAM user that may send mail from one address, and a secret with its key.
fn mail_user(aws: &Aws, log: &Log) -> Result<()> {
    if !missing(aws, SES_SECRET)? {
        return Ok(());
    }
    let identity = format!("arn:aws:ses:us-east-1:000000000000:identity/{SES_FROM}");
    let allow = json!({"Effect": "Allow", "Action": "ses:SendEmail", "Resource": identity});
    let policy = json!({"Version": "2012-10-17", "Statement": [allow]}).to_string();
    aws.ask(&["iam", "create-user", "--user-name", SES_USER], log)?;
    let put = ["iam", "put-user-policy", "--user-name", SES_USER, "--policy-name", "mail"];
    run::run(aws.cli(&put).args(["--policy-document", &policy]), log)?;
    aws.ask(&["sesv2", "create-email-identity", "--email-identity", SES_FROM], log)?;
    let key = aws.ask(&["iam", "create-access-key", "--user-name", SES_USER], log)?;
    let part = |name| text(&key, name).context("IAM gave no access key");
    let value = json!({
        "NOTIFICATIONS_EMAIL_SES_ACCESS_KEY_ID": part("/AccessKey/AccessKeyId")?,
        "NOTIFICATIONS_EMAIL_SES_SECRET_ACCESS_KEY": part("/AccessKey/SecretAccessKey")?,
    });
    aws.secrets("CreateSecret", &json!({"Name": SES_SECRET, "SecretString": value.to_string()}))?;
    Ok(())
}

/// A password that needs no escaping in a URL.
fn password() -> Result<String> {
    let mut random = [0; 24];
    getrandom::fill(&mut random).context("the operating system gives no random bytes")?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// Creates the application's service with the secrets from the application's Terraform. Its tasks answer at the
/// application's address.
fn application_service(aws: &Aws, log: &Log) -> Result<()> {
    let found = aws.ask(&["ecs", "describe-clusters", "--clusters", CLUSTER], log)?;
    if found.pointer("/clusters/0").is_some() {
        return Ok(());
    }
    let secret = |variable: &str, name: &str| {
        let described = aws.secrets("DescribeSecret", &json!({"SecretId": name}))?;
        let arn = text(&described, "/ARN").context("a secret has no ARN")?;
        Ok::<_, anyhow::Error>(json!({"name": variable, "valueFrom": arn}))
    };
    // ECS's name of one field of a document.
    let field = |variable: &str| {
        let secret = secret(variable, SES_SECRET)?;
        let arn = text(&secret, "/valueFrom").context("a secret has no ARN")?;
        Ok::<_, anyhow::Error>(json!({"name": variable, "valueFrom": format!("{arn}:{variable}::")}))
    };
    let containers = json!([{
        "name": "api", "image": "moveongs/api:1", "essential": true,
        "portMappings": [{"containerPort": 3333}],
        "secrets": [
            secret("JWT_SECRET", JWT_SECRET)?, secret("DATABASE_URL", DATABASE_SECRET)?,
            field("NOTIFICATIONS_EMAIL_SES_ACCESS_KEY_ID")?, field("NOTIFICATIONS_EMAIL_SES_SECRET_ACCESS_KEY")?,
            secret("NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN", TWILIO_SECRET)?,
        ],
    }]);
    let containers = containers.to_string();
    aws.ask(&["ecs", "create-cluster", "--cluster-name", CLUSTER], log)?;
    let roles = [task_role(aws, "task-execution", log)?, task_role(aws, "task", log)?];
    let register =
        ["ecs", "register-task-definition", "--family", SERVICE, "--container-definitions", &containers];
    let given = ["--execution-role-arn", &roles[0], "--task-role-arn", &roles[1]];
    aws.ask(&[&register[..], &given].concat(), log)?;
    // Deployment times are compared in whole seconds. A service started in the same second as a stored value counts as
    // older, so the follow-up would deploy it again.
    run::pause(Duration::from_secs(2))?;
    let service = ["ecs", "create-service", "--cluster", CLUSTER, "--service-name", SERVICE];
    aws.ask(&[&service[..], &["--task-definition", SERVICE, "--desired-count", "2"]].concat(), log)?;
    let place = json!({"service": {"cluster": CLUSTER, "service": SERVICE}});
    aws.admin("POST", "moveongs/config", Some(&place))?;
    Ok(())
}

/// Creates a role of the application's tasks, as its Terraform names it; returns its ARN.
fn task_role(aws: &Aws, name: &str, log: &Log) -> Result<String> {
    let name = format!("{PREFIX}-{name}");
    let trust = json!({"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"});
    let trust = json!({"Version": "2012-10-17", "Statement": trust}).to_string();
    let create = ["iam", "create-role", "--role-name", &name, "--assume-role-policy-document", &trust];
    let made = aws.ask(&create, log)?;
    Ok(text(&made, "/Role/Arn").context("a role has no ARN")?.to_owned())
}

/// Creates the application's database, and a secret for each of its two users.
///
/// The admin's secret is made last: its absence shows that a start was interrupted.
fn database(repo: &Repo, aws: &Aws, log: &Log) -> Result<()> {
    if !missing(aws, DATABASE_ADMIN_SECRET)? {
        return Ok(());
    }
    let seed = aws.secrets("GetSecretValue", &json!({"SecretId": SEED_ADMIN_SECRET}))?;
    let seed = text(&seed, "/SecretString").context("the administrator has no password")?;
    let seed = json!({"email": SEED_ADMIN_EMAIL, "password": seed});
    let (url, admin) = make_database(repo, aws, DATABASE, Some(seed), log)?;
    aws.secrets("CreateSecret", &json!({"Name": DATABASE_SECRET, "SecretString": url}))?;
    aws.secrets("CreateSecret", &json!({"Name": DATABASE_ADMIN_SECRET, "SecretString": admin}))?;
    Ok(())
}

/// Creates an RDS instance with the application's schema, an ordinary user and the user that manages it. Returns the
/// URL of the former and the login of the latter as JSON. Seeds the application's administrator if one is given.
pub(crate) fn make_database(
    repo: &Repo,
    aws: &Aws,
    name: &str,
    seed_admin: Option<Value>,
    log: &Log,
) -> Result<(String, String)> {
    let all = aws.ask(&["rds", "describe-db-instances"], log)?;
    if all.to_string().contains(&format!("\"{name}\"")) {
        bail!("the database {name} of an interrupted start is there; `cargo xtask down` ends it");
    }
    let master = password()?;
    let mut create = aws.cli(&["rds", "create-db-instance", "--db-instance-identifier", name]);
    create.args(["--engine", "postgres", "--engine-version", "18.4", "--db-instance-class", "db.t4g.small"]);
    create.args(["--allocated-storage", "20", "--db-name", DATABASE_NAME, "--master-username", MASTER]);
    // The CLI would parse a password with a leading hyphen as an option.
    create.arg(format!("--master-user-password={master}"));
    create.args(["--backup-retention-period", "0", "--storage-encrypted"]);
    create.args(["--vpc-security-group-ids", RESTORE_GROUP]);
    run::run(&mut create, log)?;
    let endpoint = run::wait_for("the database", Duration::from_secs(60), || {
        let found = aws.ask(&["rds", "describe-db-instances", "--db-instance-identifier", name], log)?;
        let available = text(&found, "/DBInstances/0/DBInstanceStatus") == Some("available");
        Ok(available.then(|| found.pointer("/DBInstances/0/Endpoint").cloned()).flatten())
    })?;
    let host = text(&endpoint, "/Address").context("the database has no address")?;
    let port = endpoint.get("Port").context("the database has no port")?;
    let [user, admin] = [("moveongs", password()?), ("moveongs_rotation", password()?)];
    let login = |(user, password): &(&str, String)| json!({"user": user, "password": password});
    let wanted = json!({
        "host": host, "port": port, "dbname": DATABASE_NAME,
        "master": {"user": MASTER, "password": master}, "user": login(&user), "admin": login(&admin), "seed_admin": seed_admin,
    });
    let input = aws.cloud.folder.join("prepare.json");
    fs::write(&input, wanted.to_string())?;
    let prepared = run::run(application(repo, aws, "prepare")?.stdin(File::open(&input)?), log);
    fs::remove_file(&input)?;
    prepared?;
    let url = format!("postgres://{}:{}@{host}:{port}/{DATABASE_NAME}?sslmode=verify-full", user.0, user.1);
    Ok((url, json!({"username": admin.0, "password": admin.1}).to_string()))
}

/// Creates the subnet groups in which `restore-test` makes its instances.
fn restore_places(aws: &Aws, log: &Log) -> Result<()> {
    for region in ["us-east-1", COPY_REGION] {
        let found = aws.ask(&["ec2", "describe-subnets", "--region", region], log)?;
        let subnets = found.get("Subnets").and_then(Value::as_array).cloned().unwrap_or_default();
        let subnets: Vec<&str> = subnets.iter().filter_map(|subnet| text(subnet, "/SubnetId")).collect();
        let create = ["rds", "create-db-subnet-group", "--region", region, "--db-subnet-group-name"];
        let of = [RESTORE_SUBNETS, "--db-subnet-group-description", "Restore tests", "--subnet-ids"];
        aws.ask(&[&create[..], &of, &subnets].concat(), log)?;
    }
    Ok(())
}

/// The stand-in for the application as a process.
pub(crate) fn application(repo: &Repo, aws: &Aws, role: &str) -> Result<Command> {
    let mut command = setup::localcloud(repo, "localcloud.application");
    command.arg(role).env("PGSSLROOTCERT", aws.cloud.fact("rds_ca")?);
    // The server's certificate may be invalid by any other clock than the cloud's.
    for (name, value) in aws.cloud.facts.get("clock").and_then(Value::as_object).into_iter().flatten() {
        command.env(name, value.as_str().unwrap_or_default());
    }
    Ok(command)
}

fn missing(aws: &Aws, secret: &str) -> Result<bool> {
    match aws.secrets("DescribeSecret", &json!({"SecretId": secret})) {
        Ok(_) => Ok(false),
        Err(error) if error.to_string().contains("ResourceNotFoundException") => Ok(true),
        Err(error) => Err(error),
    }
}

fn create_bucket(aws: &Aws, name: &str) -> Result<()> {
    let path = format!("/{name}");
    if aws.wire("s3", "HEAD", &path, &[], &[])?.status == 200 {
        return Ok(());
    }
    let answer = aws.wire("s3", "PUT", &path, &[], &[])?;
    if answer.status != 200 {
        bail!("the bucket {name} cannot be made: {} {}", answer.status, answer.text());
    }
    Ok(())
}

/// Arranges template and binaries as `CodeUri` expects.
fn arrange(repo: &Repo, aws: &Aws, _: &Log) -> Result<()> {
    let folder = aws.cloud.folder.join("package");
    setup::remove(&folder)?;
    for name in repo.functions()? {
        let into = folder.join("functions").join(&name);
        fs::create_dir_all(&into)?;
        let built = bootstrap(repo, &name);
        let bootstrap = into.join("bootstrap");
        fs::copy(&built, &bootstrap).with_context(|| format!("{} was not built", built.display()))?;
        fs::set_permissions(&bootstrap, fs::Permissions::from_mode(0o755))?;
        let machine = repo.at("functions").join(&name).join("statemachine.asl.json");
        if machine.exists() {
            fs::copy(&machine, into.join("statemachine.asl.json"))?;
        }
        // A zip contains its files' times. A fixed time keeps the zip of an unchanged binary identical.
        File::options().append(true).open(&bootstrap)?.set_modified(fixed_time())?;
    }
    fs::copy(repo.at("template.yaml"), folder.join("template.yaml")).context("cannot copy template.yaml")?;
    Ok(())
}

/// Arranges the files and uploads new zips.
fn package(repo: &Repo, aws: &Aws, log: &Log) -> Result<()> {
    arrange(repo, aws, log)?;
    let folder = aws.cloud.folder.join("package");
    let mut package = aws.cli(&["cloudformation", "package", "--template-file", "template.yaml"]);
    package.args(["--s3-bucket", ARTIFACTS, "--output-template-file", "packaged.yaml"]).current_dir(&folder);
    run::run(&mut package, log)
}

/// 2001-09-09, in seconds. In every time zone this is after 1980, a zip's earliest date.
fn fixed_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}

fn create_or_update(repo: &Repo, aws: &Aws, log: &Log) -> Result<()> {
    let folder = aws.cloud.folder.join("configured");
    let parameters = parameters(repo, aws, &folder, log)?;
    let [stack, capabilities] =
        ["stack_name", "capabilities"].map(|key| configure::setting(&folder, "dev", key));
    let mut deploy = aws.cli(&["cloudformation", "deploy", "--template-file"]);
    deploy.arg(aws.cloud.folder.join("package/packaged.yaml"));
    deploy.args(["--stack-name", &stack?, "--s3-bucket", ARTIFACTS, "--no-fail-on-empty-changeset"]);
    deploy.args(["--capabilities", &capabilities?, "--parameter-overrides"]).args(parameters);
    settle(repo, aws, &mut deploy, log)
}

fn create_with_sam(repo: &Repo, aws: &Aws, log: &Log) -> Result<()> {
    let configured = aws.cloud.folder.join("configured");
    ensure!(
        !configured.exists(),
        "SAM takes the parameters as they were written, with addresses of another cloud"
    );
    parameters(repo, aws, &configured, log)?;
    let folder = aws.cloud.folder.join("package");
    for name in ["dev.yaml", "samconfig.toml"] {
        fs::copy(configured.join(name), folder.join(name))
            .with_context(|| format!("no {name} was written"))?;
    }
    let mut sam = setup::sam_cli(repo);
    sam.args([
        "deploy",
        "--config-env",
        "dev",
        "--no-confirm-changeset",
        "--no-progressbar",
        "--parameter-overrides",
    ]);
    sam.args(["file://dev.yaml".to_owned(), format!("CodeVersion={}", code_version(repo, log)?)]);
    // Its own settings, which are the user's otherwise.
    sam.env("__SAM_CLI_APP_DIR", &folder).envs(aws.environment()).current_dir(&folder);
    settle(repo, aws, &mut sam, log)
}

/// Runs a deployment and checks how it ended.
fn settle(repo: &Repo, aws: &Aws, deploy: &mut Command, log: &Log) -> Result<()> {
    let deployed = run::run(deploy, log).and_then(|()| {
        // The CLI reports success for a stack that was rolled back.
        let status = status(aws, log)?;
        if !matches!(status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE") {
            bail!("the stack {STACK} is in {status}");
        }
        if repo.build != Build::Run {
            stop_sweeps(aws, "incident-send")?;
            stop_sweeps(aws, "incident-clock")?;
            stop_queue(aws, "governance-report")?;
        }
        // The cloud has the binaries now.
        setup::remove(&aws.cloud.folder.join("package"))
    });
    if deployed.is_err()
        && let Ok(events) = aws.ask(&["cloudformation", "describe-stack-events", "--stack-name", STACK], log)
    {
        for line in failures(&events) {
            log.line(&line)?;
        }
    }
    deployed
}

/// Turns off the sweeps of a function: by a moved clock they run at any moment, and tests and measurements invoke them
/// themselves. All other schedules are hourly or rarer.
fn stop_sweeps(aws: &Aws, function: &str) -> Result<()> {
    let path = format!("/schedules/{PREFIX}-{function}");
    let ask = |method: &str, body: &[u8]| {
        let answer = aws.wire("scheduler", method, &path, &[], body)?;
        if answer.status != 200 {
            bail!("{method} {path}: {} {}", answer.status, answer.text().trim());
        }
        Ok(answer)
    };
    let mut schedule: Value = serde_json::from_slice(&ask("GET", &[])?.body)?;
    if let Some(schedule) = schedule.as_object_mut() {
        schedule.insert("State".to_owned(), json!("DISABLED"));
    }
    ask("PUT", schedule.to_string().as_bytes()).map(drop)
}

/// Turns off the queue of a function, which tests and the demo wake themselves: every record of every test would make a page.
fn stop_queue(aws: &Aws, function: &str) -> Result<()> {
    let ask = |method: &str, path: &str, body: &[u8]| {
        let answer = aws.wire("lambda", method, path, &[], body)?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path}: {} {}", answer.status, answer.text().trim());
        }
        Ok(answer)
    };
    let mappings = "/2015-03-31/event-source-mappings";
    let listed = ask("GET", &format!("{mappings}/?FunctionName={PREFIX}-{function}"), &[])?;
    let listed: Value = serde_json::from_slice(&listed.body)?;
    let id = text(&listed, "/EventSourceMappings/0/UUID").context("the function has no queue")?;
    ask("PUT", &format!("{mappings}/{id}"), br#"{"Enabled": false}"#).map(drop)
}

/// The parameters of which `cargo xtask configure` is told nothing: it must find them, as in an account.
const FOUND: [&str; 22] = [
    "AlertWebhookSecretName",
    "ApplicationLogGroupName",
    "DatabaseAdminSecretArn",
    "DatabaseInstanceId",
    "DatabaseSecretName",
    "EcsClusterName",
    "GitHubSecretName",
    "GrafanaSecretName",
    "JwtSecretName",
    "PagerDutySecretName",
    "RestoreSubnetGroup",
    "SeedAdminSecretName",
    "SesSecretName",
    "SesUserName",
    "SlackSecretName",
    "SlackSigningSecretName",
    "SlackWebhookSecretName",
    "SmokeSecretName",
    "TerraformLockTableName",
    "TerraformStateBucketName",
    "TwilioSecretName",
    "WebhookSecretName",
];

/// The parameters in the file that `cargo xtask configure` writes for this cloud: a first deployment takes them as they are.
/// A later one keeps the file, since what tests have created in between would be asked about, and replaces the addresses
/// on this machine, which change.
fn parameters(repo: &Repo, aws: &Aws, folder: &Path, log: &Log) -> Result<Vec<String>> {
    let wanted = wanted(aws)?;
    let wanted: Vec<(&str, &str)> = wanted.iter().filter_map(|one| one.split_once('=')).collect();
    let is_first = !folder.join("dev.yaml").exists();
    if is_first {
        fs::create_dir_all(folder)?;
        let told = wanted.iter().filter(|(name, _)| !FOUND.contains(name));
        let options = configure::Options {
            project: "moveongs".to_owned(),
            environment: "dev".to_owned(),
            region: None,
            set: told.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            folder: Some(folder.to_owned()),
            language: Language::Portuguese,
            dry_run: false,
        };
        let ask = |arguments: &[&str]| aws.ask(arguments, log);
        let mut said = Vec::new();
        let is_complete =
            configure::write(repo, &options, REGION, &ask, &mut |_, _| Ok(None), &mut |line| {
                said.push(line.to_owned());
            })?;
        ensure!(is_complete, "`cargo xtask configure` would ask:\n{}", said.join("\n"));
        log.line(&said.join("\n"))?;
    }
    let mut values = configure::written(folder, "dev")?;
    for (name, value) in wanted {
        let found = values.insert(name.to_owned(), value.to_owned());
        ensure!(
            !(is_first || FOUND.contains(&name)) || found.as_deref() == Some(value),
            "`cargo xtask configure` found {found:?} for {name}, not {value:?}"
        );
    }
    values.insert("CodeVersion".to_owned(), code_version(repo, log)?);
    Ok(values.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

/// What the stack is deployed with here: the parameters that a test relies on, and those that set this place apart from an
/// account (addresses on this machine, a key that S3 alone knows).
fn wanted(aws: &Aws) -> Result<Vec<String>> {
    let admin = aws.secrets("DescribeSecret", &json!({"SecretId": DATABASE_ADMIN_SECRET}))?;
    let admin = text(&admin, "/ARN").context("the admin secret has no ARN")?;
    let secrets = "arn:aws:secretsmanager:us-east-1:000000000000:secret:/moveongs/dev";
    Ok(vec![
        "Project=moveongs".to_owned(),
        "Environment=dev".to_owned(),
        format!("DeployerArns={DEPLOYER}"),
        format!("Architecture={ARCHITECTURE}"),
        format!("JwtSecretName={JWT_SECRET}"),
        format!("WebhookSecretName={WEBHOOK_SECRET}"),
        format!("SlackSecretName={SLACK_SECRET}"),
        "PagingEmail=none".to_owned(),
        format!("SlackApiUrl={}", aws.cloud.fact("slack_url")?),
        "PageChannels=slack,webhook,sns,pagerduty,ses,sms".to_owned(),
        format!("SlackWebhookSecretName={SLACK_WEBHOOK_SECRET}"),
        format!("PagerDutySecretName={PAGERDUTY_SECRET}"),
        format!("PagerDutyUrl={}", aws.cloud.fact("pagerduty_url")?),
        format!("AlertWebhookSecretName={ALERT_SECRET}"),
        format!("SlackSigningSecretName={SLACK_SIGNING_SECRET}"),
        // A page at a time of day would disturb what else is tested then.
        "SyntheticPageHour=".to_owned(),
        format!("GitHubRepository={GITHUB_REPOSITORY}"),
        format!("RunbooksUrl=https://github.com/{GITHUB_REPOSITORY}/blob/main/docs/observability/runbooks"),
        // Errors in its log page. A test creates the metric filter that the backup audit advises, so there is no other.
        format!("ApplicationLogGroupName={LOG_GROUP}"),
        "QueueFailures=0".to_owned(),
        format!("GitHubSecretName={GITHUB_SECRET}"),
        format!("GitHubApiUrl={}", aws.cloud.fact("github_url")?),
        "ChangelogPath=docs/security/changelog.md".to_owned(),
        "PostmortemPath=docs/postmortems".to_owned(),
        format!("GrafanaUrl={}", aws.cloud.fact("grafana_url")?),
        format!("GrafanaSecretName={GRAFANA_SECRET}"),
        "GrafanaExportPath=docs/observability/grafana".to_owned(),
        format!("AnchorBucketName={ANCHORS}"),
        "AnchorFolder=governance/anchors".to_owned(),
        "ManagerEmail=gestao@moveongs.org".to_owned(),
        format!("OtherEvidenceBuckets={OTHER_EVIDENCE}"),
        format!("OtherRandomSecretArns={secrets}/test/*"),
        format!("EcsClusterName={CLUSTER}"),
        format!("AppUrl={}", aws.cloud.fact("moveongs_url")?),
        format!("SmokeSecretName={SMOKE_SECRET}"),
        format!("DatabaseSecretName={DATABASE_SECRET}"),
        format!("DatabaseAdminSecretArn={admin}"),
        format!("SesSecretName={SES_SECRET}"),
        format!("SesUserName={SES_USER}"),
        format!("SesFromAddress={SES_FROM}"),
        format!("TwilioSecretName={TWILIO_SECRET}"),
        format!("TwilioAccountSid={}", aws.cloud.fact("twilio_account_sid")?),
        format!("TwilioApiUrl={}", aws.cloud.fact("twilio_url")?),
        format!("TwilioAccountsUrl={}", aws.cloud.fact("twilio_url")?),
        format!("SeedAdminSecretName={SEED_ADMIN_SECRET}"),
        format!("SeedAdminEmail={SEED_ADMIN_EMAIL}"),
        "SeedAdminGitHubSecret=SEED_ADMIN_PASSWORD".to_owned(),
        format!("OtherDatabaseSecretArns={secrets}/test-database/*"),
        format!("OtherDatabaseAdminSecretArns={secrets}/test-admin/*"),
        format!("RdsCaFile={}", aws.cloud.fact("rds_ca")?),
        format!("DatabaseInstanceId={DATABASE}"),
        format!("TerraformStateBucketName={STATE_BUCKET}"),
        format!("TerraformLockTableName={LOCK_TABLE}"),
        format!("AppKmsKeyArn={APP_KEY}"),
        format!("BackupRepairs={REPAIRS}"),
        format!("SnapshotCopyRegion={COPY_REGION}"),
        format!("RestoreSubnetGroup={RESTORE_SUBNETS}"),
        format!("RestoreSecurityGroups={RESTORE_GROUP}"),
        "RestoreInstanceClass=db.t4g.small".to_owned(),
        format!("RestoreCopySubnetGroup={RESTORE_SUBNETS}"),
        format!("RestoreCopySecurityGroups={RESTORE_GROUP}"),
        format!("SnapshotCopyKmsKeyArn=arn:aws:kms:{COPY_REGION}:000000000000:key/copies"),
        format!("TerraformStateKey={STATE_KEY},{STATE_PREFIX}"),
        // RDS's own key has no alias here, and would be taken for a key of the team's.
        "DatabaseKmsKeyArn=".to_owned(),
    ])
}

/// The functions' commit, marked if the work tree has changes or is not a git repository.
fn code_version(repo: &Repo, log: &Log) -> Result<String> {
    let git = |arguments: &[&str]| {
        let ended = run::finish(run::command("git").args(arguments).current_dir(&repo.root), log, true, None);
        match ended {
            Err(error) if error.is::<Interrupted>() => Err(error),
            Ok(ended) if ended.status.success() => {
                Ok(Some(String::from_utf8_lossy(&ended.stdout).trim().to_owned()))
            }
            _ => Ok(None),
        }
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "--verify", "HEAD"])? else {
        return Ok("uncommitted".to_owned());
    };
    let clean = git(&["status", "--porcelain"])?.is_some_and(|changes| changes.is_empty());
    Ok(if clean { commit } else { format!("{commit}-changed") })
}

fn status(aws: &Aws, log: &Log) -> Result<String> {
    let stacks = aws.ask(&["cloudformation", "describe-stacks", "--stack-name", STACK], log)?;
    Ok(text(&stacks, "/Stacks/0/StackStatus").unwrap_or("an unknown state").to_owned())
}

/// The failed resources of `describe-stack-events`, with their reasons.
fn failures(events: &Value) -> Vec<String> {
    let events = events.get("StackEvents").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    events
        .iter()
        .filter(|event| text(event, "/ResourceStatus").is_some_and(|status| status.ends_with("FAILED")))
        .map(|event| {
            let part = |name: &str| text(event, name).unwrap_or("?");
            format!(
                "{} {}: {}",
                part("/LogicalResourceId"),
                part("/ResourceStatus"),
                part("/ResourceStatusReason")
            )
        })
        .collect()
}

/// The stack's outputs by name.
pub(crate) fn outputs(aws: &Aws, log: &Log) -> Result<BTreeMap<String, String>> {
    let stacks = aws.ask(&["cloudformation", "describe-stacks", "--stack-name", STACK], log)?;
    let outputs = stacks.pointer("/Stacks/0/Outputs").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(outputs
        .iter()
        .filter_map(|output| {
            Some((text(output, "/OutputKey")?.to_owned(), text(output, "/OutputValue")?.to_owned()))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failures_of_a_stack_are_reported_with_their_reasons() {
        let events = json!({"StackEvents": [
            {"LogicalResourceId": "Role", "ResourceStatus": "CREATE_COMPLETE"},
            {"LogicalResourceId": "Queue", "ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": "bad name"},
        ]});
        assert_eq!(failures(&events), ["Queue CREATE_FAILED: bad name"]);
        assert_eq!(failures(&Value::Null), Vec::<String>::new());
    }
}
