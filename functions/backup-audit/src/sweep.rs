//! Reads everything of this environment, piece by piece, and has each piece judged. Keeps account of what was not seen.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, join, stream};
use jiff::{SignedDuration, Timestamp};
use shared::runtime::failure::CallError;
use tokio::sync::OnceCell;

use crate::around::{Around, PATIENCE, in_time};
use crate::aws;
use crate::aws::rds::Listed;
use crate::facts::{Account, Bucket, Form, Instance, Protected, Role, Seen, Service, Snapshot, Table};
use crate::findings::Findings;
use crate::rules::application::{ACCOUNT, PROTECTED, SERVICE, VAULT};
use crate::rules::plans::Plan;
use crate::rules::rds::{INSTANCE, SNAPSHOT};
use crate::rules::s3::BUCKET;
use crate::rules::terraform::TABLE;
use crate::rules::{Context, Row, UNSEEN, Verdict, application, declared, judge, rds, s3, terraform};
use crate::{App, Names};

/// How many resources of a kind are read at once.
const AT_ONCE: usize = 8;

/// Most names of what was begun and not seen that are told.
const SHOWN: usize = 20;

/// The parts of an audit: service and kind.
pub(crate) const SECTIONS: [&str; 8] = [
    "rds:snapshots",
    "rds:instances",
    "rds:cluster-snapshots",
    "rds:clusters",
    "s3:buckets",
    "terraform:lock",
    "ecs:services",
    "account:resources",
];

/// Longest that the list of automated snapshots may take: without it the databases are judged but for its age.
const NEWEST: Duration = Duration::from_secs(240);

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

    /// The services of which nothing was seen, and why; or the first such part, where the service has others that were seen.
    pub(crate) fn unreadable(&self) -> Vec<(&'static str, String)> {
        let failed = |name: &&'static str| {
            let section = self.0.get(*name)?;
            let Some(Err(call)) = &section.end else { return None };
            (section.seen == 0).then(|| (*name, call.to_string()))
        };
        let mut reported = BTreeMap::<&'static str, Vec<(&'static str, String)>>::new();
        for (name, why) in SECTIONS.iter().filter_map(failed) {
            reported.entry(service(name)).or_default().push((name, why));
        }
        let page = |(service_name, parts): (&'static str, Vec<(&'static str, String)>)| {
            let all = SECTIONS.iter().filter(|other| service(other) == service_name).count();
            let (first, why) = parts.first()?;
            if parts.len() == all {
                return Some((service_name, why.clone()));
            }
            // One page for a service: the same call is mostly why its other parts failed.
            let others = parts.iter().skip(1).map(|(name, why)| format!("; {name}: {why}"));
            Some((*first, format!("{why}{}", others.collect::<String>())))
        };
        reported.into_iter().filter_map(page).collect()
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
            let named: Vec<_> = section.begun.iter().take(SHOWN).map(String::as_str).collect();
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

/// When the newest automated snapshot was taken, by the database's name and by RDS's id of it: one that was renamed keeps
/// its snapshots.
type Newest = BTreeMap<String, Timestamp>;

/// One reading of everything.
pub(crate) struct Sweep<'a> {
    app: &'a App,
    context: &'a Context<'a>,
    findings: &'a RefCell<Findings>,
    progress: &'a RefCell<Progress>,
    around: Around,
    instances: OnceCell<Seen<BTreeSet<String>>>,
    clusters: OnceCell<Seen<BTreeSet<String>>>,
}

impl<'a> Sweep<'a> {
    pub(crate) fn new(
        app: &'a App,
        context: &'a Context<'a>,
        findings: &'a RefCell<Findings>,
        progress: &'a RefCell<Progress>,
    ) -> Self {
        let around = Around::default();
        Self {
            app,
            context,
            findings,
            progress,
            around,
            instances: OnceCell::new(),
            clusters: OnceCell::new(),
        }
    }

    /// Reads all parts, side by side. One that AWS does not answer for is told at the end, and keeps no other from being read.
    pub(crate) async fn run(&self) -> io::Result<()> {
        // On the heap: side by side the parts are more than a stack holds.
        let databases = async {
            let is_seen = Cell::new(false);
            let (instances, clusters) = join!(
                self.section("rds:instances", Box::pin(self.databases(false, &is_seen))),
                self.section("rds:clusters", Box::pin(self.databases(true, &is_seen)))
            );
            self.exists(is_seen.get(), &instances?, &clusters?)
        };
        let (databases, snapshots, cluster_snapshots, buckets, lock, services, account) = join!(
            databases,
            self.section("rds:snapshots", Box::pin(self.snapshots(false))),
            self.section("rds:cluster-snapshots", Box::pin(self.snapshots(true))),
            self.section("s3:buckets", Box::pin(self.buckets())),
            self.section("terraform:lock", Box::pin(self.terraform())),
            self.section("ecs:services", Box::pin(self.services())),
            self.section("account:resources", Box::pin(self.account()))
        );
        databases?;
        for ended in [snapshots, cluster_snapshots, buckets, lock, services, account] {
            drop(ended?);
        }
        Ok(())
    }

    /// That the environment's own database is there: an instance or a cluster. Of neither list alone can it be said that it is
    /// not.
    fn exists(&self, is_seen: bool, instances: &Seen<()>, clusters: &Seen<()>) -> io::Result<()> {
        let name = &self.app.names.database;
        let there = |is_there| {
            let found = format!("no DB instance and no DB cluster {name}");
            let command = format!(
                "aws rds describe-db-instances --db-instance-identifier {name}; aws rds describe-db-clusters --db-cluster-identifier {name}"
            );
            declared(&rds::MISSING, name, is_there, (&found, &command), self.context)
        };
        let row = match (instances, clusters) {
            _ if is_seen => there(true),
            (Ok(()), Ok(())) => there(false),
            (Err(call), _) | (_, Err(call)) => {
                Row { verdict: Verdict::Unknown(call.to_string()), ..there(true) }
            }
        };
        self.findings.borrow_mut().push(&row)
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

    /// The instances that are this environment's by their tags alone, or its clusters, also those that only a member's tags
    /// tell of.
    async fn tagged(&self, is_cluster: bool) -> Seen<&BTreeSet<String>> {
        let instances = self.instances.get_or_init(async || {
            in_time("rds:DescribeDBInstances", PATIENCE, tagged_instances(self.app)).await
        });
        let instances = instances.await.as_ref().map_err(Clone::clone);
        if !is_cluster {
            return instances;
        }
        let clusters = self.clusters.get_or_init(async || {
            in_time("rds:DescribeDBClusters", PATIENCE, tagged_clusters(self.app, instances?)).await
        });
        clusters.await.as_ref().map_err(Clone::clone)
    }

    /// Whether a snapshot is of a database of this environment.
    fn owns(&self, snapshot: &Listed, tagged: &BTreeSet<String>) -> bool {
        let names = &self.app.names;
        tagged.contains(&snapshot.of)
            || names.owns(&snapshot.of, &snapshot.tags)
            || (snapshot.is_of_cluster && names.is_cluster(&snapshot.of))
    }

    /// Judges manual snapshots.
    async fn snapshots(&self, is_of_cluster: bool) -> Result<(), Stop> {
        let section = if is_of_cluster { "rds:cluster-snapshots" } else { "rds:snapshots" };
        // Without them the others are judged all the same, and the part is whole only where no snapshot is left of which it is
        // not known whose it is.
        let none = BTreeSet::new();
        let (tagged, untold) = match self.tagged(is_of_cluster).await {
            Ok(tagged) => (tagged, Ok(())),
            Err(call) => (&none, Err(call)),
        };
        let (mut marker, mut is_open) = (None, false);
        loop {
            let (page, next) =
                aws::rds::snapshots(&self.app.rds, (is_of_cluster, "manual", None), marker).await?;
            let (manual, others): (Vec<_>, Vec<_>) =
                page.into_iter().partition(|snapshot| self.owns(snapshot, tagged));
            is_open |= !others.is_empty();
            let manual = manual.into_iter().map(|snapshot| (snapshot.name.clone(), snapshot)).collect();
            let read = async |_: &str, listed| {
                let snapshot = of_list(self.app, listed).await;
                judge(SNAPSHOT, (&snapshot.name, &snapshot.arn), &snapshot, self.context)
            };
            self.each(section, manual, read).await?;
            marker = next;
            if marker.is_none() {
                return ended(untold, is_open);
            }
        }
    }

    /// The newest automated snapshots of this environment's databases.
    async fn newest(&self, is_of_cluster: bool) -> Seen<Newest> {
        let tagged = self.tagged(is_of_cluster).await?;
        let (mut newest, mut marker) = (Newest::new(), None);
        loop {
            let (page, next) =
                aws::rds::snapshots(&self.app.rds, (is_of_cluster, "automated", None), marker).await?;
            for snapshot in page.into_iter().filter(|one| one.is_available && self.owns(one, tagged)) {
                let Some(made) = snapshot.made else { continue };
                for key in [Some(snapshot.of), snapshot.resource_id].into_iter().flatten() {
                    let newest = newest.entry(key).or_insert(made);
                    *newest = made.max(*newest);
                }
            }
            marker = next;
            if marker.is_none() {
                return Ok(newest);
            }
        }
    }

    /// Judges instances, or clusters, and notes that the environment's own database is among them.
    async fn databases(&self, are_clusters: bool, is_seen: &Cell<bool>) -> Result<(), Stop> {
        let section = if are_clusters { "rds:clusters" } else { "rds:instances" };
        let operation =
            if are_clusters { "rds:DescribeDBClusterSnapshots" } else { "rds:DescribeDBSnapshots" };
        let (newest, clusters) =
            join!(in_time(operation, NEWEST, Box::pin(self.newest(are_clusters))), self.tagged(true));
        // Without them those are judged that are owned by themselves, and the part is whole only where no other may be owned by
        // its cluster, or by a member.
        let none = BTreeSet::new();
        let (clusters, untold) = match clusters {
            Ok(clusters) => (clusters, Ok(())),
            Err(call) => (&none, Err(call)),
        };
        let (names, rds) = (&self.app.names, &self.app.rds);
        let (mut marker, mut is_open) = (None, false);
        loop {
            let (page, next) = if are_clusters {
                let (page, next) = aws::rds::clusters(rds, marker).await?;
                let (ours, others): (Vec<_>, Vec<_>) = page.into_iter().partition(|(one, tags, members)| {
                    names.owns_cluster(&one.name, tags, members) || clusters.contains(&one.name)
                });
                is_open |= others.iter().any(|(.., members)| !members.is_empty());
                (ours.into_iter().map(|(cluster, tags, _)| (cluster, tags)).collect::<Vec<_>>(), next)
            } else {
                let (page, next) = aws::rds::instances(rds, marker).await?;
                let (ours, others): (Vec<_>, Vec<_>) = page.into_iter().partition(|(one, tags)| {
                    names.owns(&one.name, tags)
                        || matches!(&one.form, Form::Member(of) if names.is_cluster(of) || clusters.contains(of))
                });
                is_open |= others.iter().any(|(one, _)| matches!(one.form, Form::Member(_)));
                (ours, next)
            };
            if page.iter().any(|(one, _)| one.name == names.database) {
                is_seen.set(true);
            }
            let items = page.into_iter().map(|(one, tags)| (one.name.clone(), (one, tags))).collect();
            let read = async |_: &str, (mut one, tags): (Instance, BTreeMap<String, String>)| {
                let keys = [Some(&one.name), one.resource_id.as_ref()].into_iter().flatten();
                let found =
                    newest.as_ref().map(|newest| keys.filter_map(|key| newest.get(key)).max().copied());
                one.newest_snapshot = Some(found.map_err(Clone::clone));
                by_backup(self.app, &mut one).await;
                Box::pin(self.around.complete(self.app, &mut one, &tags)).await;
                judge(INSTANCE, (&one.name, &one.arn), &one, self.context)
            };
            self.each(section, items, read).await?;
            marker = next;
            if marker.is_none() {
                return ended(untold, is_open);
            }
        }
    }

    /// The buckets that have a name to go by first: they are told of even when no list can be read.
    async fn buckets(&self) -> Result<(), Stop> {
        let names = &self.app.names;
        let account_open = &account_open(self.app).await;
        let named: BTreeMap<&str, Role> = names.buckets(&self.app.reporter.evidence.bucket);
        let items = named.iter().map(|(name, role)| ((*name).to_owned(), *role)).collect();
        self.each("s3:buckets", items, async |name, role| {
            named_bucket(self.app, name, role, account_open, self.context).await
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
        let listed = self.other_buckets(&named, account_open).await;
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
    async fn other_buckets(
        &self,
        named: &BTreeMap<&str, Role>,
        account_open: &Seen<Vec<&'static str>>,
    ) -> Result<bool, Stop> {
        let names = &self.app.names;
        let (mut has_uploads, mut token) = (false, None);
        loop {
            let (page, next) = aws::s3::buckets(&self.app.s3, &names.beginning, token).await?;
            has_uploads |= page.iter().any(|(name, _)| names.role(name) == Role::Uploads);
            let others = page.into_iter().filter(|(name, _)| !named.contains_key(name.as_str())).collect();
            let read = async |name: &str, region: Option<String>| {
                let client = shared::aws::buckets::elsewhere(&self.app.s3, region.as_deref());
                let client = client.as_ref().unwrap_or(&self.app.s3);
                let bucket =
                    bucket(self.app, client, name, names.role(name), account_open, self.context).await;
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
        let (has_alarms, log_watch, plans, has_endpoints) = join!(
            aws::application::has(control, "AWS::CloudWatch::Alarm", |name| self
                .app
                .names
                .is_anothers_alarm(name)),
            aws::application::log_watch(control, &logs),
            self.around.plans(self.app),
            aws::application::has(control, "AWS::EC2::VPCEndpoint", |_| true),
        );
        let has_backup_plan = plans.as_ref().map(|plans| !plans.is_empty()).map_err(Clone::clone);
        let account = Account { has_alarms, log_watch, has_backup_plan, has_endpoints };
        let rows = judge(ACCOUNT, (&self.app.place.account, ""), &account, self.context);
        self.emit("account:resources", &rows)?;
        for resource in self.protected(plans).await {
            let rows = judge(PROTECTED, (&resource.name, &resource.arn), &resource, self.context);
            self.emit("account:resources", &rows)?;
        }
        let Ok(plans) = plans else { return Ok(()) };
        let names = plans
            .iter()
            .flat_map(|plan| &plan.rules)
            .map(|rule| rule.vault.as_str())
            .collect::<BTreeSet<_>>();
        if names.is_empty() {
            return Ok(());
        }
        for vault in aws::application::vaults(control, &names).await? {
            let rows = judge(VAULT, (&vault.name, &vault.arn), &vault, self.context);
            self.emit("account:resources", &rows)?;
        }
        Ok(())
    }

    /// The buckets with files and the lock table, with the plans that select them. Without any plan that is the account's
    /// finding, and none of theirs.
    async fn protected(&self, plans: &Seen<Vec<Arc<Plan>>>) -> Vec<Protected> {
        if plans.as_ref().is_ok_and(Vec::is_empty) {
            return Vec::new();
        }
        let names = &self.app.names;
        let buckets = [&names.attachments, &names.uploads, &names.state, &names.grafana];
        let mut found = Vec::new();
        for name in buckets.into_iter().filter(|name| !name.is_empty()) {
            let tags = async || {
                let client = aws::s3::reach(&self.app.s3, name).await?;
                aws::s3::tags(client.as_ref().unwrap_or(&self.app.s3), name).await
            };
            let arn = arn(name);
            let plans = selecting(plans, &arn, tags).await;
            found.push(Protected { name: name.clone(), arn, plans });
        }
        let table = &names.lock_table;
        if !table.is_empty() {
            let place = &self.app.place;
            let partition = match place.region.split('-').next() {
                Some("cn") => "aws-cn",
                _ if place.region.starts_with("us-gov-") => "aws-us-gov",
                _ => "aws",
            };
            let arn = format!("arn:{partition}:dynamodb:{}:{}:table/{table}", place.region, place.account);
            let plans =
                selecting(plans, &arn, async || aws::rds::table_tags(&self.app.dynamodb, &arn).await).await;
            found.push(Protected { name: table.clone(), arn, plans });
        }
        found
    }
}

/// The plans that select a resource; its tags are asked for where a plan depends on them.
async fn selecting(
    plans: &Seen<Vec<Arc<Plan>>>,
    arn: &str,
    tags: impl AsyncFnOnce() -> Seen<BTreeMap<String, String>>,
) -> Seen<Vec<Arc<Plan>>> {
    let plans = plans.as_ref().map_err(Clone::clone)?;
    let is_asked = plans.iter().any(|plan| plan.asks_for_tags());
    let tags = if is_asked { tags().await? } else { BTreeMap::new() };
    Ok(plans.iter().filter(|plan| plan.selects(arn, &tags)).cloned().collect())
}

/// The instances that are this environment's by their tags alone: what is owned by name needs no list of names.
async fn tagged_instances(app: &App) -> Seen<BTreeSet<String>> {
    let (mut tagged, mut marker) = (BTreeSet::new(), None);
    loop {
        let (page, next) = aws::rds::instances(&app.rds, marker).await?;
        let ours = page
            .into_iter()
            .filter(|(one, tags)| !app.names.is_named(&one.name) && app.names.owns(&one.name, tags));
        tagged.extend(ours.map(|(instance, _)| instance.name));
        marker = next;
        if marker.is_none() {
            return Ok(tagged);
        }
    }
}

/// The clusters that are this environment's by their names, their tags or their members, some of which are its by tags.
async fn tagged_clusters(app: &App, tagged: &BTreeSet<String>) -> Seen<BTreeSet<String>> {
    let (mut clusters, mut marker) = (BTreeSet::new(), None);
    loop {
        let (page, next) = aws::rds::clusters(&app.rds, marker).await?;
        let ours = page.into_iter().filter(|(one, tags, members)| {
            app.names.owns_cluster(&one.name, tags, members)
                || members.iter().any(|member| tagged.contains(member))
        });
        clusters.extend(ours.map(|(cluster, ..)| cluster.name));
        marker = next;
        if marker.is_none() {
            return Ok(clusters);
        }
    }
}

/// How a part ended without what says of its last resources whose they are: well, where none is left open.
fn ended(untold: Seen<()>, is_open: bool) -> Result<(), Stop> {
    if is_open { Ok(untold?) } else { Ok(()) }
}

fn arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

async fn of_list(app: &App, listed: Listed) -> Snapshot {
    let shared_with = if listed.is_of_cluster {
        aws::rds::cluster_shared_with(&app.rds, &listed.name).await
    } else {
        aws::rds::shared_with(&app.rds, &listed.name).await
    };
    Snapshot {
        name: listed.name,
        arn: listed.arn,
        is_of_cluster: listed.is_of_cluster,
        engine: listed.engine,
        is_encrypted: listed.is_encrypted,
        shared_with,
    }
}

/// The account's public access block is read once for all buckets; where it is not told, only what depends on it is unknown.
async fn account_open(app: &App) -> Seen<Vec<&'static str>> {
    aws::s3::account_open(&app.s3_control, &app.place.account).await
}

async fn bucket(
    app: &App,
    client: &aws_sdk_s3::Client,
    name: &str,
    role: Role,
    account_open: &Seen<Vec<&'static str>>,
    context: &Context<'_>,
) -> Bucket {
    let hours = match role {
        Role::Grafana => 24 * i64::from(context.policy.grafana_days),
        _ => context.policy.uploads_hours.into(),
    };
    let young = context.now - SignedDuration::from_hours(hours);
    let bucket = aws::s3::bucket(client, name, role, account_open, &app.names.marker, young).await;
    let (region, own) = (client.config().region(), app.s3.config().region());
    Bucket { elsewhere: region.filter(|_| region != own).map(ToString::to_string), ..bucket }
}

/// A bucket that must be there.
async fn named_bucket(
    app: &App,
    name: &str,
    role: Role,
    account_open: &Seen<Vec<&'static str>>,
    context: &Context<'_>,
) -> Vec<Row> {
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
            let bucket = bucket(app, client, name, role, account_open, context).await;
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
        && owns_instance(app, &instance, &tags).await?
    {
        instance.newest_snapshot = Some(newest(app, &instance).await);
        by_backup(app, &mut instance).await;
        Around::default().complete(app, &mut instance, &tags).await;
        found.push(Found::Instance(Box::new(instance)));
    }
    if is_asked("rds")
        && is_identifier
        && let Some((mut cluster, tags, members)) = aws::rds::cluster(&app.rds, name).await?
        && owns_cluster(app, &cluster.name, &tags, &members).await?
    {
        cluster.newest_snapshot = Some(newest(app, &cluster).await);
        by_backup(app, &mut cluster).await;
        Around::default().complete(app, &mut cluster, &tags).await;
        found.push(Found::Instance(Box::new(cluster)));
    }
    if is_asked("rds")
        && is_identifier
        && let Some(listed) = aws::rds::cluster_snapshot_named(&app.rds, name).await?
        && listed.kind == "manual"
        && owns_snapshot(app, &listed).await?
    {
        found.push(Found::Snapshot(of_list(app, listed).await));
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
        let account_open = account_open(app).await;
        found.push(Found::Bucket(Box::new(bucket(app, &client, name, role, &account_open, context).await)));
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

/// Whether an instance is this environment's: by itself, or by the cluster that it is of.
async fn owns_instance(app: &App, instance: &Instance, tags: &BTreeMap<String, String>) -> Seen<bool> {
    match &instance.form {
        _ if app.names.owns(&instance.name, tags) => Ok(true),
        Form::Member(cluster) => owns_cluster_named(app, cluster).await,
        _ => Ok(false),
    }
}

/// Whether a cluster is this environment's: by itself, or by a member.
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
    // By the name also one that is deleted, of which there are snapshots.
    if app.names.is_cluster(name) {
        return Ok(true);
    }
    match aws::rds::cluster(&app.rds, name).await? {
        Some((one, tags, members)) => owns_cluster(app, &one.name, &tags, &members).await,
        None => Ok(false),
    }
}

/// Whether a snapshot is this environment's: by itself, or by its instance or cluster.
async fn owns_snapshot(app: &App, listed: &Listed) -> Seen<bool> {
    if app.names.owns(&listed.of, &listed.tags) {
        return Ok(true);
    }
    if listed.is_of_cluster {
        return owns_cluster_named(app, &listed.of).await;
    }
    let instance = aws::rds::instance(&app.rds, &listed.of).await?;
    Ok(instance.is_some_and(|(instance, tags)| app.names.owns(&instance.name, &tags)))
}

/// Adds the newest snapshot that AWS Backup has taken of a database whose backups it owns; a list shows those apart.
async fn by_backup(app: &App, db: &mut Instance) {
    if db.recovery_point.is_none() {
        return;
    }
    let wanted = (db.form == Form::Cluster, "awsbackup", Some(db.name.as_str()));
    let of_backup = newest_of(app, wanted).await;
    db.newest_snapshot = Some(newer(db.newest_snapshot.take(), of_backup));
}

/// The newer of two snapshots. Without one of the lists it is not known which is the newest.
fn newer(
    automated: Option<Seen<Option<Timestamp>>>,
    of_backup: Seen<Option<Timestamp>>,
) -> Seen<Option<Timestamp>> {
    match (automated, of_backup) {
        (Some(Err(call)), _) | (_, Err(call)) => Err(call),
        (Some(Ok(automated)), Ok(of_backup)) => Ok(automated.max(of_backup)),
        (None, Ok(of_backup)) => Ok(of_backup),
    }
}

/// When a database's newest automated snapshot was taken.
async fn newest(app: &App, db: &Instance) -> Seen<Option<Timestamp>> {
    newest_of(app, (db.form == Form::Cluster, "automated", Some(db.name.as_str()))).await
}

async fn newest_of(app: &App, wanted: (bool, &str, Option<&str>)) -> Seen<Option<Timestamp>> {
    let (mut newest, mut marker) = (None, None);
    loop {
        let (page, next) = aws::rds::snapshots(&app.rds, wanted, marker).await?;
        let available = page.into_iter().filter(|snapshot| snapshot.is_available);
        newest = newest.max(available.filter_map(|snapshot| snapshot.made).max());
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
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use jiff::civil::Date;
    use serde_json::json;
    use shared::policy::Policy;
    use shared::runtime::env::Env;
    use shared::runtime::language::Language;
    use shared::testing::{aws, replies};

    use super::*;
    use crate::findings::Worst;
    use crate::rules::tests::{context, unread};

    /// A DB instance: its name, its cluster, and whether it has the environment's tags.
    type Db = (&'static str, Option<&'static str>, bool);
    /// A cluster: its name, whether it has the environment's tags, and its members.
    type Cluster = (&'static str, bool, &'static [&'static str]);

    const ONE: &[Db] = &[("moveongs-prod-db", None, false)];

    /// AWS, of which one action of RDS never answers; the instances, and the clusters if they may be listed; no snapshot of a
    /// name; and all else is denied.
    #[derive(Clone, Copy, Debug)]
    struct Fake {
        hanging: &'static str,
        instances: &'static [Db],
        clusters: Option<&'static [Cluster]>,
    }

    fn tags(has: bool) -> &'static str {
        if has {
            "<TagList><Tag><Key>Project</Key><Value>moveongs</Value></Tag><Tag><Key>Environment</Key><Value>prod</Value></Tag></TagList>"
        } else {
            ""
        }
    }

    fn instance((name, cluster, is_tagged): &Db) -> String {
        let cluster = cluster.map(|of| format!("<DBClusterIdentifier>{of}</DBClusterIdentifier>"));
        format!(
            "<DBInstance><DBInstanceIdentifier>{name}</DBInstanceIdentifier>{}{}<DBInstanceStatus>available</DBInstanceStatus><PubliclyAccessible>true</PubliclyAccessible><BackupRetentionPeriod>30</BackupRetentionPeriod></DBInstance>",
            cluster.unwrap_or_default(),
            tags(*is_tagged)
        )
    }

    fn cluster((name, is_tagged, members): &Cluster) -> String {
        let members = members.iter().map(|member| {
            format!(
                "<DBClusterMember><DBInstanceIdentifier>{member}</DBInstanceIdentifier></DBClusterMember>"
            )
        });
        format!(
            "<DBCluster><DBClusterIdentifier>{name}</DBClusterIdentifier>{}<Status>available</Status><DeletionProtection>false</DeletionProtection><DBClusterMembers>{}</DBClusterMembers></DBCluster>",
            tags(*is_tagged),
            members.collect::<String>()
        )
    }

    impl HttpConnector for Fake {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let body = request.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
            let is = |action: &str| body.contains(&format!("Action={action}&"));
            if is(self.hanging) {
                return HttpConnectorFuture::new(std::future::pending());
            }
            let asked = |parameter: &str| {
                let (_, rest) = body.split_once(&format!("&{parameter}="))?;
                rest.split('&').next().map(str::to_owned)
            };
            let is_asked = |parameter, name: &str| asked(parameter).is_none_or(|asked| asked == name);
            let list = |kind: &str, found: Vec<String>| {
                if found.is_empty() && asked(&format!("{kind}Identifier")).is_some() {
                    let code = format!("{kind}NotFound{}", if kind == "DBCluster" { "Fault" } else { "" });
                    return (
                        404,
                        format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>"),
                    );
                }
                let found = found.concat();
                let answer = format!("Describe{kind}s");
                (
                    200,
                    format!(
                        "<{answer}Response><{answer}Result><{kind}s>{found}</{kind}s></{answer}Result></{answer}Response>"
                    ),
                )
            };
            let (status, answer) = match self.clusters {
                _ if is("DescribeDBInstances") => {
                    let found = self.instances.iter().filter(|one| is_asked("DBInstanceIdentifier", one.0));
                    list("DBInstance", found.map(instance).collect())
                }
                Some(clusters) if is("DescribeDBClusters") => {
                    let found = clusters.iter().filter(|one| is_asked("DBClusterIdentifier", one.0));
                    list("DBCluster", found.map(cluster).collect())
                }
                _ if asked("DBSnapshotIdentifier").is_some() => list("DBSnapshot", Vec::new()),
                _ if asked("DBClusterSnapshotIdentifier").is_some() => list("DBClusterSnapshot", Vec::new()),
                _ => (403, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>".to_owned()),
            };
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), answer.into())))
        }
    }

    fn app(database: &'static str, fake: Fake) -> App {
        let settings = |name: &str| {
            let value = match name {
                "PROJECT" => "moveongs",
                "ENVIRONMENT" => "prod",
                "MESSAGE_LANGUAGE" => "pt-BR",
                "DATABASE_INSTANCE_ID" => database,
                "EVIDENCE_LOCK_MODE" => "GOVERNANCE",
                "EVIDENCE_LOCK_DAYS" => "730",
                "POLICY"
                | "BACKUP_REPAIRS"
                | "ATTACHMENTS_BUCKET"
                | "UPLOADS_BUCKET"
                | "APP_KMS_KEY_ARN"
                | "TERRAFORM_STATE_BUCKET"
                | "TERRAFORM_LOCK_TABLE"
                | "GRAFANA_BUCKET" => return None,
                "SLACK_API_URL" => "http://127.0.0.1:1/api",
                _ => "x",
            };
            Some(value.to_owned())
        };
        let client = http_client_fn(move |_, _| SharedHttpConnector::new(fake));
        let aws = aws(&replies(&[])).to_builder().http_client(client).build();
        App::new(&Env::new(&settings), &aws).unwrap()
    }

    type Verdicts = BTreeMap<(String, String), String>;

    /// The verdicts, by rule and resource, and how the parts of instances and clusters ended.
    async fn judged(database: &'static str, fake: Fake) -> (Verdicts, [bool; 2]) {
        let (app, context) = (app(database, fake), context());
        let context = Context { database, ..context };
        let place = app.place.clone();
        let findings =
            Findings::new(Date::constant(2026, 11, 26), 0, Language::English, place, Vec::new()).unwrap();
        let (findings, progress) = (RefCell::new(findings), RefCell::default());
        Sweep::new(&app, &context, &findings, &progress).run().await.unwrap();
        let ends =
            ["rds:instances", "rds:clusters"].map(|part| progress.borrow().0[part].end == Some(Ok(())));
        let outcome = findings.into_inner().finish(Worst::default()).unwrap();
        let found = outcome.worst.findings.into_iter();
        (found.map(|one| ((one.rule, one.resource), one.verdict)).collect(), ends)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_keeps_no_instance_from_being_judged() {
        for hanging in [
            "DescribeDBSnapshots",
            "DescribeDBSnapshotAttributes",
            "DescribeDBClusters",
            "DescribeDBClusterSnapshots",
            "DescribeEventSubscriptions",
            "DescribeBlueGreenDeployments",
        ] {
            let fake = Fake { hanging, instances: ONE, clusters: Some(&[]) };
            let (verdicts, ends) = judged("moveongs-prod-db", fake).await;
            assert_eq!(ends, [true, hanging != "DescribeDBClusters"], "{hanging}");
            let of = |rule: &str| &*verdicts[&(rule.to_owned(), "moveongs-prod-db".to_owned())];
            assert_eq!(of("rds.public"), "fail", "{hanging}");
            assert_eq!(of("rds.snapshot-fresh"), "unknown", "{hanging}");
            assert_eq!(of("rds.events"), "unknown", "{hanging}");
            assert!(!verdicts.keys().any(|(rule, _)| rule == "rds.exists"), "{hanging}");
        }
    }

    /// The database that the template names, the instances, the clusters, and those that are judged.
    type Owned = (&'static str, &'static [Db], &'static [Cluster], &'static [&'static str]);

    /// By a name, by tags, and from either to the others of the cluster.
    const OWNED: [Owned; 7] = [
        (
            "legacy",
            &[
                ("legacy-1", Some("legacy"), false),
                ("legacy-2", Some("legacy"), false),
                ("other", None, false),
            ],
            &[("legacy", false, &["legacy-1", "legacy-2"])],
            &["legacy", "legacy-1", "legacy-2"],
        ),
        ("db", &[("a-1", Some("a"), false)], &[("a", true, &["a-1"])], &["a", "a-1"]),
        (
            "db",
            &[("a-1", Some("a"), true), ("a-2", Some("a"), false)],
            &[("a", false, &["a-1", "a-2"])],
            &["a", "a-1", "a-2"],
        ),
        (
            "a-1",
            &[("a-1", Some("a"), false), ("a-2", Some("a"), false)],
            &[("a", false, &["a-1", "a-2"])],
            &["a", "a-1", "a-2"],
        ),
        (
            "db",
            &[("x-1", Some("moveongs-prod"), false)],
            &[("moveongs-prod", false, &["x-1"])],
            &["moveongs-prod", "x-1"],
        ),
        (
            "db",
            &[("a-1", Some("a"), false), ("b-1", Some("b"), false)],
            &[("a", false, &["a-1"]), ("b", true, &["b-1"])],
            &["b", "b-1"],
        ),
        ("db", &[("a-1", Some("a"), false)], &[("a", false, &["a-1"])], &[]),
    ];

    #[tokio::test]
    async fn a_cluster_and_its_members_are_owned_together() {
        for (database, instances, clusters, expected) in OWNED {
            let fake = Fake { hanging: "-", instances, clusters: Some(clusters) };
            let (verdicts, ends) = judged(database, fake).await;
            assert_eq!(ends, [true; 2], "{expected:?}");
            let asked = ["rds.public", "rds.deletion-protection"];
            let judged: BTreeSet<_> = verdicts
                .keys()
                .filter(|(rule, _)| asked.contains(&rule.as_str()))
                .map(|(_, resource)| resource.as_str())
                .collect();
            assert_eq!(judged, BTreeSet::from_iter(expected.iter().copied()));
            let (app, context) = (app(database, fake), context());
            for name in instances.iter().map(|one| one.0).chain(clusters.iter().map(|one| one.0)) {
                let found = find(&app, name, Some("rds"), &context).await.unwrap();
                assert_eq!(found.len(), usize::from(expected.contains(&name)), "{name} of {expected:?}");
            }
        }
    }

    /// Only what may be owned by the list that is missing keeps the other list from being whole.
    #[tokio::test(start_paused = true)]
    async fn without_the_other_list_what_is_owned_by_name_is_judged_and_the_rest_is_not_known() {
        let others: &[(&[Db], bool)] =
            &[(&[], true), (&[("y", None, false)], true), (&[("y-1", Some("y"), false)], false)];
        for (others, is_whole) in others {
            let own: &[Db] = &[("moveongs-prod-db", None, false), ("x-1", Some("moveongs-prod"), false)];
            let instances = Vec::leak([own, others].concat());
            let fake = Fake { hanging: "-", instances, clusters: None };
            let (verdicts, ends) = judged("moveongs-prod-db", fake).await;
            assert_eq!(ends, [*is_whole, false], "{others:?}");
            for name in ["moveongs-prod-db", "x-1"] {
                assert_eq!(verdicts[&("rds.public".to_owned(), name.to_owned())], "fail");
            }
        }
        let others: &[(&[Cluster], bool)] =
            &[(&[], true), (&[("y", false, &[])], true), (&[("y", false, &["y-1"])], false)];
        for (others, is_whole) in others {
            let own: &[Cluster] = &[("moveongs-prod", false, &["x-1"])];
            let clusters = Vec::leak([own, others].concat());
            let fake = Fake { hanging: "DescribeDBInstances", instances: &[], clusters: Some(clusters) };
            let (verdicts, ends) = judged("moveongs-prod-db", fake).await;
            assert_eq!(ends[1], *is_whole, "{others:?}");
            let of = |rule: &str| &*verdicts[&(rule.to_owned(), "moveongs-prod".to_owned())];
            assert_eq!(of("rds.deletion-protection"), "fail");
        }
    }

    #[tokio::test]
    async fn a_snapshot_of_a_cluster_that_is_deleted_is_owned_by_the_clusters_name() {
        for (of, is_of_cluster, expected) in [
            ("moveongs-prod", true, true),
            ("moveongs-prod-2", true, true),
            ("moveongs-production", true, false),
            ("moveongs-prod", false, false),
        ] {
            let app = app("db", Fake { hanging: "-", instances: &[], clusters: Some(&[]) });
            let listed = Listed {
                name: "s".to_owned(),
                arn: String::new(),
                of: of.to_owned(),
                resource_id: None,
                is_of_cluster,
                engine: None,
                kind: "manual".to_owned(),
                is_available: true,
                made: None,
                is_encrypted: None,
                tags: BTreeMap::new(),
            };
            assert_eq!(owns_snapshot(&app, &listed).await, Ok(expected), "{of}");
        }
    }

    #[test]
    fn the_newest_snapshot_is_not_known_without_both_lists() {
        let at = |seconds| Ok(Some(Timestamp::from_second(seconds).unwrap()));
        for (automated, of_backup, expected) in [
            (Some(at(1)), at(2), at(2)),
            (Some(at(3)), at(2), at(3)),
            (Some(Ok(None)), at(2), at(2)),
            (Some(Ok(None)), Ok(None), Ok(None)),
            (None, at(2), at(2)),
            (Some(Err(call())), at(2), Err(call())),
            (Some(Err(call())), Ok(None), Err(call())),
            (Some(at(1)), Err(call()), Err(call())),
            (Some(Ok(None)), Err(call()), Err(call())),
        ] {
            assert_eq!(newer(automated, of_backup), expected);
        }
    }

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
        let twenty = many[..SHOWN].join(", ");
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
            ("rds:clusters", None, &["rds"]),
            ("rds:cluster-snapshots", Some(Err(call())), &["rds"]),
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
            (vec![denied("rds:instances"), denied("rds:clusters")], "rds:instances"),
            (
                SECTIONS.iter().filter(|name| name.starts_with("rds:")).map(|name| denied(name)).collect(),
                "rds",
            ),
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
