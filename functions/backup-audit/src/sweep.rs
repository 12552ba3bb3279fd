//! Reads everything of this environment, piece by piece, and has each piece judged. Keeps account of what was not seen.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use futures_util::{StreamExt, join, stream};
use jiff::{SignedDuration, Timestamp};
use shared::failure::CallError;

use crate::aws;
use crate::facts::{Account, Bucket, Instance, Role, Seen, Service, Snapshot, Table};
use crate::findings::Findings;
use crate::rules::application::{ACCOUNT, SERVICE};
use crate::rules::rds::{INSTANCE, SNAPSHOT};
use crate::rules::s3::BUCKET;
use crate::rules::terraform::TABLE;
use crate::rules::{Context, Row, UNSEEN, Verdict, application, declared, judge, rds, s3, terraform};
use crate::{App, Names};

/// How many resources of a kind are read at once.
const AT_ONCE: usize = 8;

/// Most names of what was begun and not seen that are told.
const TOLD: usize = 20;

/// The parts of an audit: service and kind.
pub(crate) const SECTIONS: [&str; 6] =
    ["rds:snapshots", "rds:instances", "s3:buckets", "terraform:lock", "ecs:services", "account:resources"];

/// Why a part was not read to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// AWS did not answer.
    Call(CallError),
    /// The report could not be written.
    File(io::Error),
}

impl From<CallError> for Stop {
    fn from(call: CallError) -> Self {
        Self::Call(call)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// How far a part is.
#[derive(Clone, Debug, Default)]
struct Section {
    seen: usize,
    /// What was begun and is not judged yet.
    begun: BTreeSet<String>,
    /// Its end; none while it lasts.
    end: Option<Result<(), CallError>>,
}

/// How far all parts are. It outlives a sweep that is given up.
#[derive(Debug, Default)]
pub(crate) struct Progress(BTreeMap<&'static str, Section>);

impl Progress {
    fn of(&mut self, section: &'static str) -> &mut Section {
        self.0.entry(section).or_default()
    }

    /// What was seen of each part, as the verdict of a rule.
    pub(crate) fn coverage(&self) -> Vec<Row> {
        SECTIONS.iter().map(|name| coverage(name, &self.0.get(name).cloned().unwrap_or_default())).collect()
    }

    /// The services that were not seen to their end: what the ids of their rules begin with.
    pub(crate) fn unseen(&self) -> Vec<&'static str> {
        let is_whole = |section: &Section| matches!(section.end, Some(Ok(())));
        let names = SECTIONS.iter().filter(|name| !self.0.get(*name).is_some_and(is_whole));
        names.flat_map(|name| services(name)).copied().collect()
    }

    /// The services of which nothing was seen, and why; or the part, where the service has others that were.
    pub(crate) fn unreadable(&self) -> Vec<(&'static str, String)> {
        let failed = |name: &&'static str| {
            let section = self.0.get(*name)?;
            let Some(Err(call)) = &section.end else { return None };
            (section.seen == 0).then(|| (*name, call.to_string()))
        };
        let parts: Vec<_> = SECTIONS.iter().filter_map(failed).collect();
        let mut told = BTreeMap::new();
        for (name, why) in &parts {
            let is_of_service = |other: &str| service(other) == service(name);
            let all = SECTIONS.iter().filter(|other| is_of_service(other)).count();
            let failed = parts.iter().filter(|(other, _)| is_of_service(other)).count();
            let what = if failed == all { service(name) } else { *name };
            told.entry(what).or_insert_with(|| why.clone());
        }
        told.into_iter().collect()
    }
}

/// The service that a part is of.
pub(crate) fn service(section: &str) -> &str {
    section.split(':').next().unwrap_or(section)
}

/// What the ids of a part's rules begin with.
fn services(section: &str) -> &'static [&'static str] {
    match section {
        "s3:buckets" => &["s3", "grafana"],
        "terraform:lock" => &["terraform"],
        "ecs:services" => &["ecs", "iam"],
        "account:resources" => &["account"],
        _ => &["rds"],
    }
}

fn coverage(name: &str, section: &Section) -> Row {
    let seen = section.seen;
    let verdict = match &section.end {
        Some(Ok(())) => Verdict::Pass,
        Some(Err(call)) => Verdict::Unknown(format!("{call}; {seen} were seen before it, and nothing after")),
        None => {
            let named: Vec<_> = section.begun.iter().take(TOLD).map(String::as_str).collect();
            let begun = if named.is_empty() {
                String::new()
            } else {
                format!("; begun and not judged: {}", named.join(", "))
            };
            Verdict::Unknown(format!("the time was over: {seen} were seen, and nothing after{begun}"))
        }
    };
    Row { rule: &UNSEEN, resource: name.to_owned(), arn: String::new(), verdict, command: String::new() }
}

/// One reading of everything.
pub(crate) struct Sweep<'a> {
    pub app: &'a App,
    pub context: &'a Context<'a>,
    pub findings: &'a RefCell<Findings>,
    pub progress: &'a RefCell<Progress>,
}

impl Sweep<'_> {
    /// Reads all parts. One that AWS does not answer for is told at the end, and keeps no other from being read.
    pub(crate) async fn run(&self) -> io::Result<()> {
        let databases = async {
            let newest = self.section("rds:snapshots", self.snapshots()).await?;
            drop(self.section("rds:instances", self.instances(newest.as_ref())).await?);
            Ok::<_, io::Error>(())
        };
        let others = async {
            drop(self.section("terraform:lock", self.terraform()).await?);
            drop(self.section("ecs:services", self.services()).await?);
            drop(self.section("account:resources", self.account()).await?);
            Ok::<_, io::Error>(())
        };
        let (databases, buckets, others) =
            join!(databases, self.section("s3:buckets", self.buckets()), others);
        databases?;
        others?;
        buckets.map(drop)
    }

    async fn section<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, Stop>>,
    ) -> io::Result<Seen<T>> {
        let ended = match work.await {
            Ok(found) => Ok(found),
            Err(Stop::Call(call)) => Err(call),
            Err(Stop::File(error)) => return Err(error),
        };
        self.progress.borrow_mut().of(name).end = Some(ended.as_ref().map(drop).map_err(Clone::clone));
        Ok(ended)
    }

    fn emit(&self, section: &'static str, rows: &[Row]) -> io::Result<()> {
        self.progress.borrow_mut().of(section).seen += 1;
        rows.iter().try_for_each(|row| self.findings.borrow_mut().push(row))
    }

    /// Reads and judges several at once.
    async fn each<T>(
        &self,
        section: &'static str,
        items: Vec<(String, T)>,
        read: impl AsyncFn(&str, T) -> Vec<Row>,
    ) -> io::Result<()> {
        let read = &read;
        let mut done = stream::iter(items)
            .map(|(name, item)| async move {
                self.progress.borrow_mut().of(section).begun.insert(name.clone());
                let rows = read(&name, item).await;
                (name, rows)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((name, rows)) = done.next().await {
            self.emit(section, &rows)?;
            self.progress.borrow_mut().of(section).begun.remove(&name);
        }
        Ok(())
    }

    /// The instances that are this environment's by their tags alone: what is owned by name needs no list of names.
    async fn tagged(&self) -> Seen<BTreeSet<String>> {
        let names = &self.app.names;
        let (mut tagged, mut marker) = (BTreeSet::new(), None);
        loop {
            let (page, next) = aws::rds::instances(&self.app.rds, marker).await?;
            let ours = page.into_iter().filter(|(instance, tags)| {
                !names.is_named(&instance.name) && names.owns(&instance.name, tags)
            });
            tagged.extend(ours.map(|(instance, _)| instance.name));
            marker = next;
            if marker.is_none() {
                return Ok(tagged);
            }
        }
    }

    /// Judges manual snapshots; gives the newest automated one of each instance.
    async fn snapshots(&self) -> Result<BTreeMap<String, Timestamp>, Stop> {
        // Without them the others are judged all the same, and the part is not whole.
        let (tagged, untold) = match self.tagged().await {
            Ok(tagged) => (tagged, None),
            Err(call) => (BTreeSet::new(), Some(call)),
        };
        let mut newest = BTreeMap::<String, Timestamp>::new();
        let mut marker = None;
        loop {
            let (page, next) = aws::rds::snapshots(&self.app.rds, None, marker).await?;
            let mut manual = Vec::new();
            for snapshot in page.into_iter().filter(|snapshot| {
                tagged.contains(&snapshot.instance) || self.app.names.owns(&snapshot.instance, &snapshot.tags)
            }) {
                match (snapshot.kind.as_str(), snapshot.made) {
                    ("manual", _) => manual.push((snapshot.name.clone(), snapshot)),
                    ("automated", Some(made)) if snapshot.is_available => {
                        let newest = newest.entry(snapshot.instance).or_insert(made);
                        *newest = made.max(*newest);
                    }
                    _ => {}
                }
            }
            let read = async |_: &str, listed| {
                let snapshot = of_list(self.app, listed).await;
                judge(SNAPSHOT, (&snapshot.name, &snapshot.arn), &snapshot, self.context)
            };
            self.each("rds:snapshots", manual, read).await?;
            marker = next;
            if marker.is_none() {
                return untold.map_or(Ok(newest), |call| Err(call.into()));
            }
        }
    }

    async fn instances(&self, newest: Result<&BTreeMap<String, Timestamp>, &CallError>) -> Result<(), Stop> {
        let mut is_named_seen = false;
        let mut marker = None;
        loop {
            let (page, next) = aws::rds::instances(&self.app.rds, marker).await?;
            for (mut instance, tags) in page {
                if !self.app.names.owns(&instance.name, &tags) {
                    continue;
                }
                is_named_seen |= instance.name == self.app.names.database;
                instance.newest_snapshot =
                    Some(newest.map(|newest| newest.get(&instance.name).copied()).map_err(Clone::clone));
                let rows = judge(INSTANCE, (&instance.name, &instance.arn), &instance, self.context);
                self.emit("rds:instances", &rows)?;
            }
            marker = next;
            if marker.is_none() {
                break;
            }
        }
        let command =
            format!("aws rds describe-db-instances --db-instance-identifier {}", self.app.names.database);
        let there = declared(
            &rds::MISSING,
            &self.app.names.database,
            is_named_seen,
            ("DBInstanceNotFound", &command),
            self.context,
        );
        Ok(self.emit("rds:instances", &[there])?)
    }

    /// The buckets that have a name to go by first: they are told of even when no list can be read.
    async fn buckets(&self) -> Result<(), Stop> {
        let names = &self.app.names;
        let named: BTreeMap<&str, Role> = names.buckets(&self.app.reporter.evidence.bucket);
        let items = named.iter().map(|(name, role)| ((*name).to_owned(), *role)).collect();
        self.each("s3:buckets", items, async |name, role| {
            named_bucket(self.app, name, role, self.context).await
        })
        .await?;
        if names.grafana.is_empty() {
            let missing = declared(
                &s3::GRAFANA_DECLARED,
                "grafana",
                false,
                ("no bucket", "parameter GrafanaExportBucketName"),
                self.context,
            );
            self.emit("s3:buckets", &[missing])?;
        }
        let listed = self.other_buckets(&named).await;
        if names.uploads.is_empty() {
            let is_listed = match &listed {
                Ok(is_listed) => Ok(*is_listed),
                Err(Stop::Call(call)) => Err(call),
                Err(Stop::File(_)) => return listed.map(drop),
            };
            self.emit("s3:buckets", &[s3::uploads(is_listed, self.context)])?;
        }
        listed.map(drop)
    }

    /// The buckets of this environment that have no name to go by; gives whether one is the uploads'.
    async fn other_buckets(&self, named: &BTreeMap<&str, Role>) -> Result<bool, Stop> {
        let names = &self.app.names;
        let (mut has_uploads, mut token) = (false, None);
        loop {
            let (page, next) = aws::s3::buckets(&self.app.s3, &names.beginning, token).await?;
            has_uploads |= page.iter().any(|(name, _)| names.role(name) == Role::Uploads);
            let others = page.into_iter().filter(|(name, _)| !named.contains_key(name.as_str())).collect();
            let read = async |name: &str, region: Option<String>| {
                let client = aws::s3::elsewhere(&self.app.s3, region.as_deref());
                let client = client.as_ref().unwrap_or(&self.app.s3);
                let bucket = bucket(self.app, client, name, names.role(name), self.context).await;
                judge(BUCKET, (name, &arn(name)), &bucket, self.context)
            };
            self.each("s3:buckets", others, read).await?;
            token = next;
            if token.is_none() {
                return Ok(has_uploads);
            }
        }
    }

    async fn terraform(&self) -> Result<(), Stop> {
        let table = &self.app.names.lock_table;
        let readme = "infra/terraform/README.md";
        let lock = |name: &str, is_there, found| {
            let command = "parameter TerraformLockTableName, or backups.audit.terraform_native_lock; infra/terraform/README.md";
            declared(&terraform::DECLARED_LOCK, name, is_there, (found, command), self.context)
        };
        let mut rows = if table.is_empty() {
            vec![lock(
                "terraform",
                self.context.policy.terraform_native_lock,
                "no lock table, no native lock",
            )]
        } else {
            match aws::rds::table(&self.app.dynamodb, table).await? {
                None => vec![lock(table, false, "ResourceNotFoundException")],
                Some(found) => {
                    let mut rows = judge(TABLE, (&found.name, &found.arn), &found, self.context);
                    rows.push(lock(table, true, ""));
                    rows
                }
            }
        };
        let is_remote = !self.app.names.state.is_empty();
        let command = format!("parameter TerraformStateBucketName; {readme}");
        rows.push(declared(
            &terraform::DECLARED_STATE,
            "terraform",
            is_remote,
            ("no state bucket", &command),
            self.context,
        ));
        Ok(self.emit("terraform:lock", &rows)?)
    }

    async fn services(&self) -> Result<(), Stop> {
        let (mut is_there, mut untold, mut token) = (false, None, None);
        loop {
            let (arns, next) = aws::application::services(&self.app.ecs, self.context.cluster, token).await?;
            is_there |= !arns.is_empty();
            for service in described(self.app, self.context, arns).await? {
                match service {
                    Ok(service) => {
                        let rows = judge(SERVICE, (&service.name, &service.arn), &service, self.context);
                        self.emit("ecs:services", &rows)?;
                    }
                    Err(call) => untold = Some(call),
                }
            }
            token = next;
            if token.is_none() {
                break;
            }
        }
        if let Some(call) = untold {
            return Err(call.into());
        }
        let cluster = self.context.cluster;
        let command = format!("aws ecs list-services --cluster {cluster}");
        let rule = &application::NO_SERVICE;
        let there = declared(rule, cluster, is_there, ("no service", &command), self.context);
        Ok(self.emit("ecs:services", &[there])?)
    }

    async fn account(&self) -> Result<(), Stop> {
        let control = &self.app.control;
        let logs = application::log_group(self.context);
        let (has_alarms, log_watch, has_backup_plan, has_endpoints) = join!(
            aws::application::has(control, "AWS::CloudWatch::Alarm", |name| self
                .app
                .names
                .is_anothers_alarm(name)),
            aws::application::log_watch(control, &logs),
            aws::application::has(control, "AWS::Backup::BackupPlan", |_| true),
            aws::application::has(control, "AWS::EC2::VPCEndpoint", |_| true),
        );
        let account = Account { has_alarms, log_watch, has_backup_plan, has_endpoints };
        let rows = judge(ACCOUNT, (&self.app.place.account, ""), &account, self.context);
        Ok(self.emit("account:resources", &rows)?)
    }
}

fn arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

async fn of_list(app: &App, listed: aws::rds::Listed) -> Snapshot {
    let shared_with = aws::rds::shared_with(&app.rds, &listed.name).await;
    Snapshot { name: listed.name, arn: listed.arn, is_encrypted: listed.is_encrypted, shared_with }
}

async fn bucket(
    app: &App,
    client: &aws_sdk_s3::Client,
    name: &str,
    role: Role,
    context: &Context<'_>,
) -> Bucket {
    let hours = match role {
        Role::Grafana => 24 * i64::from(context.policy.grafana_days),
        _ => context.policy.uploads_hours.into(),
    };
    let young = context.now - SignedDuration::from_hours(hours);
    let bucket = aws::s3::bucket(client, name, role, &app.names.marker, young).await;
    let (region, own) = (client.config().region(), app.s3.config().region());
    Bucket { elsewhere: region.filter(|_| region != own).map(ToString::to_string), ..bucket }
}

/// A bucket that must be there.
async fn named_bucket(app: &App, name: &str, role: Role, context: &Context<'_>) -> Vec<Row> {
    let there = |is_there| {
        declared(
            &s3::MISSING,
            name,
            is_there,
            ("NoSuchBucket", "infra/terraform; docs/backups.md#bucket-que-falta"),
            context,
        )
    };
    match aws::s3::reach(&app.s3, name).await {
        Ok(None) => vec![there(false)],
        // One that does not say whether it is there is still read: else what was open on it would count as resolved.
        found => {
            let client = found.as_ref().ok().and_then(Option::as_ref).unwrap_or(&app.s3);
            let bucket = bucket(app, client, name, role, context).await;
            let mut rows = judge(BUCKET, (name, &arn(name)), &bucket, context);
            rows.push(match found {
                Ok(_) => there(true),
                Err(call) => Row { verdict: Verdict::Unknown(call.to_string()), ..there(true) },
            });
            rows
        }
    }
}

async fn described(app: &App, context: &Context<'_>, arns: Vec<String>) -> Seen<Vec<Seen<Service>>> {
    let objects = format!("arn:aws:s3:::{}/*", context.attachments);
    aws::application::describe(&app.ecs, &app.iam, context.cluster, arns, &objects).await
}

/// A resource by its name.
pub(crate) enum Found {
    Instance(Box<Instance>),
    Snapshot(Snapshot),
    Bucket(Box<Bucket>),
    Table(Table),
    Service(Box<Service>),
}

impl Found {
    /// Every rule's verdict on it.
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

/// Everything of this environment that has a name: of one service, or of all.
pub(crate) async fn find(app: &App, name: &str, of: Option<&str>, context: &Context<'_>) -> Seen<Vec<Found>> {
    let names = &app.names;
    let is_asked = |service: &str| of.is_none_or(|of| of == service);
    // RDS refuses what cannot be an identifier of its own.
    let is_identifier = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let mut found = Vec::new();
    if is_asked("rds")
        && is_identifier
        && let Some((mut instance, tags)) = aws::rds::instance(&app.rds, name).await?
        && names.owns(&instance.name, &tags)
    {
        instance.newest_snapshot = Some(newest(app, &instance.name).await);
        found.push(Found::Instance(Box::new(instance)));
    }
    if is_asked("rds")
        && is_identifier
        && let Some(listed) = aws::rds::snapshot_named(&app.rds, name).await?
        && listed.kind == "manual"
        && owns_snapshot(app, &listed).await?
    {
        found.push(Found::Snapshot(of_list(app, listed).await));
    }
    if is_asked("s3")
        && let Some(role) = names.known_role(name, &app.reporter.evidence.bucket)
        && let Some(client) = aws::s3::reach(&app.s3, name).await?
    {
        found.push(Found::Bucket(Box::new(bucket(app, &client, name, role, context).await)));
    }
    if is_asked("terraform") && !names.lock_table.is_empty() && name == names.lock_table {
        found.extend(aws::rds::table(&app.dynamodb, name).await?.map(Found::Table));
    }
    if is_asked("ecs") && name.starts_with(&names.beginning) {
        // A name that no service has is no failure of the call.
        for service in described(app, context, vec![name.to_owned()]).await? {
            found.push(Found::Service(Box::new(service?)));
        }
    }
    Ok(found)
}

/// Whether a snapshot is this environment's: by itself, or by the tags of its instance.
async fn owns_snapshot(app: &App, listed: &aws::rds::Listed) -> Seen<bool> {
    if app.names.owns(&listed.instance, &listed.tags) {
        return Ok(true);
    }
    let instance = aws::rds::instance(&app.rds, &listed.instance).await?;
    Ok(instance.is_some_and(|(instance, tags)| app.names.owns(&instance.name, &tags)))
}

/// When an instance's newest automated snapshot was taken.
async fn newest(app: &App, instance: &str) -> Seen<Option<Timestamp>> {
    let (mut newest, mut marker) = (None, None);
    loop {
        let (page, next) = aws::rds::snapshots(&app.rds, Some(instance), marker).await?;
        let automated =
            page.into_iter().filter(|snapshot| snapshot.kind == "automated" && snapshot.is_available);
        newest = newest.max(automated.filter_map(|snapshot| snapshot.made).max());
        marker = next;
        if marker.is_none() {
            return Ok(newest);
        }
    }
}

impl Names {
    /// The buckets that are named, and what they are.
    fn buckets<'a>(&'a self, evidence: &'a str) -> BTreeMap<&'a str, Role> {
        let named = [
            (evidence, Role::Evidence),
            (&self.attachments, Role::Attachments),
            (&self.uploads, Role::Uploads),
            (&self.state, Role::State),
            (&self.grafana, Role::Grafana),
        ];
        named.into_iter().filter(|(name, _)| !name.is_empty()).collect()
    }

    /// What a bucket of this environment is that nobody has named.
    fn role(&self, bucket: &str) -> Role {
        if bucket == format!("{}uploads", self.beginning) { Role::Uploads } else { Role::Other }
    }

    /// What a bucket is; none when it is not this environment's.
    fn known_role(&self, bucket: &str, evidence: &str) -> Option<Role> {
        let named = self.buckets(evidence).get(bucket).copied();
        named.or_else(|| bucket.starts_with(&self.beginning).then(|| self.role(bucket)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::policy::Policy;

    use super::*;
    use crate::rules::tests::{context, unread};

    fn call() -> CallError {
        unread::<()>().unwrap_err()
    }

    fn section(seen: usize, begun: &[&str], end: Option<Result<(), CallError>>) -> Section {
        Section { seen, begun: begun.iter().map(|name| (*name).to_owned()).collect(), end }
    }

    fn progress(ends: &[(&'static str, Section)]) -> Progress {
        let whole = SECTIONS.map(|name| (name, section(1, &[], Some(Ok(())))));
        Progress(whole.into_iter().chain(ends.iter().cloned()).collect())
    }

    #[test]
    fn a_part_says_how_far_it_was_seen() {
        let many: Vec<_> = (0..25).map(|n| format!("b-{n:02}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let twenty = many[..TOLD].join(", ");
        for (section, expected) in [
            (section(0, &[], Some(Ok(()))), None),
            (
                section(3, &[], Some(Err(call()))),
                Some("x:Get failed (AccessDenied): not authorized; 3 were seen before it, and nothing after"),
            ),
            (section(2, &[], None), Some("the time was over: 2 were seen, and nothing after")),
            (
                section(2, &["b", "a"], None),
                Some("the time was over: 2 were seen, and nothing after; begun and not judged: a, b"),
            ),
            (
                section(0, &many, None),
                Some(&*format!(
                    "the time was over: 0 were seen, and nothing after; begun and not judged: {twenty}"
                )),
            ),
        ] {
            let row = coverage("rds:instances", &section);
            let expected = expected.map_or(Verdict::Pass, |why| Verdict::Unknown(why.to_owned()));
            assert_eq!(row.verdict, expected);
            assert_eq!(row.key(), "audit.coverage rds:instances");
        }
    }

    #[test]
    fn a_part_that_was_never_begun_is_not_verified() {
        let rows = Progress::default().coverage();
        assert_eq!(rows.len(), SECTIONS.len());
        assert!(rows.iter().all(|row| row.verdict.word() == "unknown"));
        assert!(Progress::default().unreadable().is_empty());
    }

    #[test]
    fn the_services_of_parts_that_have_no_end_are_unseen() {
        assert!(progress(&[]).unseen().is_empty());
        for (name, end, unseen) in [
            ("rds:snapshots", None, &["rds"][..]),
            ("rds:instances", Some(Err(call())), &["rds"]),
            ("s3:buckets", None, &["s3", "grafana"]),
            ("terraform:lock", None, &["terraform"]),
            ("ecs:services", Some(Err(call())), &["ecs", "iam"]),
            ("account:resources", None, &["account"]),
        ] {
            assert_eq!(progress(&[(name, section(5, &[], end))]).unseen(), unseen, "{name}");
        }
    }

    #[test]
    fn every_rule_is_of_a_service_that_a_part_stands_for() {
        let services: Vec<_> = SECTIONS.iter().flat_map(|name| services(name)).collect();
        for rule in crate::rules::all().filter(|rule| rule.service() != "audit") {
            assert!(services.contains(&&rule.service()), "{}", rule.id);
        }
    }

    #[test]
    fn a_service_is_unreadable_when_its_first_call_failed() {
        for (seen, end, expected) in
            [(0, Some(Err(call())), 1), (1, Some(Err(call())), 0), (0, None, 0), (0, Some(Ok(())), 0)]
        {
            let unreadable = progress(&[("ecs:services", section(seen, &[], end))]).unreadable();
            assert_eq!(unreadable.len(), expected);
            assert!(unreadable.iter().all(|(service, why)| *service == "ecs" && why.contains("x:Get")));
        }
        let denied = |name| (name, section(0, &[], Some(Err(call()))));
        for (parts, expected) in [
            (vec![denied("rds:snapshots")], "rds:snapshots"),
            (vec![denied("rds:instances")], "rds:instances"),
            (vec![denied("rds:snapshots"), denied("rds:instances")], "rds"),
        ] {
            let unreadable = progress(&parts).unreadable();
            let names: Vec<_> = unreadable.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [expected]);
        }
    }

    #[test]
    fn the_uploads_bucket_is_listed_or_missing_or_accepted_or_not_known() {
        let accepting = |resource: &str| {
            let exception = json!({
                "rule": "uploads.declared", "resource": resource, "reason": "r", "owner": "o", "until": "2026-11-26"
            });
            let policy = json!({"backups": {"audit": {"exceptions": [exception]}}}).to_string();
            policy.parse::<Policy>().unwrap().backups.audit
        };
        let (ours, anothers) = (accepting("moveongs-prod-uploads"), accepting("moveongs-dev-uploads"));
        for (listed, policy, expected) in [
            (Ok(true), None, "pass"),
            (Ok(false), None, "fail"),
            (Ok(false), Some(&anothers), "fail"),
            (Ok(false), Some(&ours), "excepted"),
            (Err(call()), None, "unknown"),
            (Err(call()), Some(&ours), "unknown"),
        ] {
            let context = Context { policy: policy.unwrap_or(context().policy), ..context() };
            let row = s3::uploads(listed.as_ref().copied(), &context);
            assert_eq!(row.verdict.word(), expected, "{row:?}");
            assert_eq!(row.key(), "uploads.declared moveongs-prod-uploads");
            assert_eq!(row.command.is_empty(), !["fail", "excepted"].contains(&expected), "{row:?}");
        }
    }

    #[test]
    fn what_the_stack_names_is_there_or_missing_or_accepted() {
        let exception = json!({
            "rule": "terraform.state", "resource": "terraform", "reason": "r", "owner": "o", "until": "2026-11-26"
        });
        let policy = json!({"backups": {"audit": {"exceptions": [exception]}}}).to_string();
        let policy = policy.parse::<Policy>().unwrap().backups.audit;
        let accepting = Context { policy: &policy, ..context() };
        for (rule, is_there, context, expected) in [
            (&terraform::DECLARED_STATE, true, context(), "pass"),
            (&terraform::DECLARED_STATE, false, context(), "fail"),
            (&terraform::DECLARED_STATE, false, accepting, "excepted"),
            (&terraform::DECLARED_LOCK, false, context(), "fail"),
            (&s3::GRAFANA_DECLARED, false, context(), "fail"),
            (&application::NO_SERVICE, true, context(), "pass"),
            (&application::NO_SERVICE, false, context(), "fail"),
            (&rds::MISSING, true, context(), "pass"),
            (&rds::MISSING, false, context(), "fail"),
        ] {
            let row = declared(rule, "terraform", is_there, ("nothing", "parameter P"), &context);
            assert_eq!(row.verdict.word(), expected, "{}", rule.id);
            assert_eq!(row.command, if is_there { "" } else { "parameter P" });
        }
    }
}
