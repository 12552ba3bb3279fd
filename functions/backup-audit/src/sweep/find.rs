//! Finds one resource of this environment by its name.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::application::described;
use super::buckets::{account_open, arn, bucket};
use super::common::CommonFacts;
use super::databases::{add_backup_snapshots, complete, newest_of};
use crate::App;
use crate::aws;
use crate::aws::rds::Listed;
use crate::rules::application::SERVICE;
use crate::rules::facts::{Bucket, Form, Instance, Seen, Service, Snapshot, Table};
use crate::rules::rds::INSTANCE;
use crate::rules::rds::snapshot::SNAPSHOT;
use crate::rules::rule::judge;
use crate::rules::s3::BUCKET;
use crate::rules::terraform::TABLE;
use crate::rules::{Context, Row};

/// A resource found by its name.
pub(crate) enum Found {
    Instance(Box<Instance>),
    Snapshot(Snapshot),
    Bucket(Box<Bucket>),
    Table(Table),
    Service(Box<Service>),
}

impl Found {
    /// Judges it by every rule that applies.
    pub(crate) fn judge(&self, context: &Context<'_>) -> Vec<Row> {
        match self {
            Self::Instance(found) => judge(INSTANCE, (&found.name, &found.arn), found, context),
            Self::Snapshot(found) => judge(SNAPSHOT, (&found.name, &found.arn), found, context),
            Self::Bucket(found) => judge(BUCKET, (&found.name, &arn(&found.name)), found, context),
            Self::Table(found) => judge(TABLE, (&found.name, &found.arn), found, context),
            Self::Service(found) => judge(SERVICE, (&found.name, &found.arn), found, context),
        }
    }
}

/// Finds this environment's resources with a name, of one service or of all.
pub(crate) async fn find(app: &App, name: &str, of: Option<&str>, context: &Context<'_>) -> Seen<Vec<Found>> {
    let names = &app.names;
    let is_asked = |service: &str| of.is_none_or(|of| of == service);
    // RDS fails on a name that cannot be an identifier.
    let is_identifier = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let mut found = Vec::new();
    if is_asked("rds")
        && is_identifier
        && let Some((mut instance, tags)) = aws::rds::instance(&app.rds, name).await?
        && owns_instance(app, &instance, &tags).await?
    {
        instance.newest_snapshot = Some(newest(app, &instance).await);
        add_backup_snapshots(app, &mut instance).await;
        CommonFacts::default().complete(app, &mut instance, &tags).await;
        found.push(Found::Instance(Box::new(instance)));
    }
    if is_asked("rds")
        && is_identifier
        && let Some((mut cluster, tags, members)) = aws::rds::cluster(&app.rds, name).await?
        && owns_cluster(app, &cluster.name, &tags, &members).await?
    {
        cluster.newest_snapshot = Some(newest(app, &cluster).await);
        add_backup_snapshots(app, &mut cluster).await;
        CommonFacts::default().complete(app, &mut cluster, &tags).await;
        found.push(Found::Instance(Box::new(cluster)));
    }
    if is_asked("rds")
        && is_identifier
        && let Some(listed) = aws::rds::cluster_snapshot_named(&app.rds, name).await?
        && listed.kind == "manual"
        && owns_snapshot(app, &listed).await?
    {
        found.push(Found::Snapshot(complete(app, listed).await));
    }
    if is_asked("rds")
        && is_identifier
        && let Some(listed) = aws::rds::snapshot_named(&app.rds, name).await?
        && listed.kind == "manual"
        && owns_snapshot(app, &listed).await?
    {
        found.push(Found::Snapshot(complete(app, listed).await));
    }
    if is_asked("s3")
        && let Some(role) = names.known_role(name, &app.base.reporter.documents.bucket)
        && let Some(client) = aws::s3::reach(&app.s3, name).await?
    {
        let account_open = account_open(app).await;
        found.push(Found::Bucket(Box::new(bucket(app, &client, name, role, &account_open, context).await)));
    }
    if is_asked("terraform") && !names.lock_table.is_empty() && name == names.lock_table {
        found.extend(aws::rds::table(&app.dynamodb, name).await?.map(Found::Table));
    }
    if is_asked("ecs") && name.starts_with(&names.prefix) {
        // It is not an error if no service has the name.
        for service in described(app, context, vec![name.to_owned()]).await? {
            found.push(Found::Service(Box::new(service?)));
        }
    }
    Ok(found)
}

/// Whether an instance belongs to this environment, by itself or through its cluster.
async fn owns_instance(app: &App, instance: &Instance, tags: &BTreeMap<String, String>) -> Seen<bool> {
    match &instance.form {
        _ if app.names.owns(&instance.name, tags) => Ok(true),
        Form::Member(cluster) => owns_cluster_named(app, cluster).await,
        _ => Ok(false),
    }
}

/// Whether a cluster belongs to this environment, by itself or through a member.
async fn owns_cluster(
    app: &App,
    name: &str,
    tags: &BTreeMap<String, String>,
    members: &[String],
) -> Seen<bool> {
    if app.names.owns_cluster(name, tags, members) {
        return Ok(true);
    }
    for member in members {
        let member = aws::rds::instance(&app.rds, member).await?;
        if member.is_some_and(|(one, tags)| app.names.owns(&one.name, &tags)) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn owns_cluster_named(app: &App, name: &str) -> Seen<bool> {
    // By name first: a deleted cluster still has snapshots.
    if app.names.is_cluster(name) {
        return Ok(true);
    }
    match aws::rds::cluster(&app.rds, name).await? {
        Some((one, tags, members)) => owns_cluster(app, &one.name, &tags, &members).await,
        None => Ok(false),
    }
}

/// Whether a snapshot belongs to this environment, by itself or through its instance or cluster.
pub(super) async fn owns_snapshot(app: &App, listed: &Listed) -> Seen<bool> {
    if app.names.owns(&listed.of, &listed.tags) {
        return Ok(true);
    }
    if listed.is_of_cluster {
        return owns_cluster_named(app, &listed.of).await;
    }
    let instance = aws::rds::instance(&app.rds, &listed.of).await?;
    Ok(instance.is_some_and(|(instance, tags)| app.names.owns(&instance.name, &tags)))
}

/// When a database's newest automated snapshot was taken.
async fn newest(app: &App, db: &Instance) -> Seen<Option<Timestamp>> {
    newest_of(app, (db.form == Form::Cluster, "automated", Some(db.name.as_str()))).await
}
