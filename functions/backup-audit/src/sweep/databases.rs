//! The sections of databases and their manual snapshots.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use futures_util::join;
use jiff::Timestamp;
use shared::aws::restores;
use shared::command;

use super::common::{PATIENCE, in_time};
use super::{Stop, Sweep};
use crate::App;
use crate::aws;
use crate::aws::rds::Listed;
use crate::rules::facts::{Form, Instance, Seen, Snapshot};
use crate::rules::rds::INSTANCE;
use crate::rules::rds::snapshot::SNAPSHOT;
use crate::rules::rule::{declared, judge};
use crate::rules::{Row, Verdict, rds};

/// Longest wait for the list of automated snapshots. Without it only the rule about the newest snapshot is unknown.
const NEWEST: Duration = Duration::from_secs(240);

/// When each database's newest automated snapshot was taken, by its name and by RDS's id: a renamed database keeps its
/// snapshots.
type Newest = BTreeMap<String, Timestamp>;

impl Sweep<'_> {
    /// Judges whether the environment's own database exists, as an instance or a cluster. It is missing only if it is
    /// in neither list.
    pub(super) fn exists(&self, is_seen: bool, instances: &Seen<()>, clusters: &Seen<()>) -> io::Result<()> {
        let name = &self.app.names.database;
        let row = |exists| {
            let found = format!("no DB instance and no DB cluster {name}");
            let command = command!(
                "aws rds describe-db-instances --db-instance-identifier {name}; aws rds describe-db-clusters --db-cluster-identifier {name}",
                name
            );
            declared(&rds::MISSING, name, exists, (&found, &command), self.context)
        };
        let row = match (instances, clusters) {
            _ if is_seen => row(true),
            (Ok(()), Ok(())) => row(false),
            (Err(call), _) | (_, Err(call)) => {
                Row { verdict: Verdict::Unknown(call.to_string()), ..row(true) }
            }
        };
        self.findings.borrow_mut().push(&row)
    }

    /// Names of the instances that belong to this environment only by their tags, or of its clusters, including those
    /// that belong to it only by a member's tags.
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

    /// Whether a snapshot's database belongs to this environment.
    fn owns(&self, snapshot: &Listed, tagged: &BTreeSet<String>) -> bool {
        let names = &self.app.names;
        tagged.contains(&snapshot.of)
            || names.owns(&snapshot.of, &snapshot.tags)
            || (snapshot.is_of_cluster && names.is_cluster(&snapshot.of))
    }

    /// Judges manual snapshots.
    pub(super) async fn snapshots(&self, is_of_cluster: bool) -> Result<(), Stop> {
        let section = if is_of_cluster { "rds:cluster-snapshots" } else { "rds:snapshots" };
        // Without the list of tagged databases, judge the snapshots that belong by name or tags. The section is then
        // complete only if every snapshot does.
        let none = BTreeSet::new();
        let (tagged, is_listed) = match self.tagged(is_of_cluster).await {
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
                let snapshot = complete(self.app, listed).await;
                judge(SNAPSHOT, (&snapshot.name, &snapshot.arn), &snapshot, self.context)
            };
            self.each(section, manual, read).await?;
            marker = next;
            if marker.is_none() {
                return ended(is_listed, is_open);
            }
        }
    }

    /// Lists the newest automated snapshot of each of this environment's databases.
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

    /// Judges instances or clusters, and sets `is_seen` if the environment's own database is among them.
    pub(super) async fn databases(&self, are_clusters: bool, is_seen: &Cell<bool>) -> Result<(), Stop> {
        let section = if are_clusters { "rds:clusters" } else { "rds:instances" };
        let operation =
            if are_clusters { "rds:DescribeDBClusterSnapshots" } else { "rds:DescribeDBSnapshots" };
        let (newest, clusters) =
            join!(in_time(operation, NEWEST, Box::pin(self.newest(are_clusters))), self.tagged(true));
        // Without the list of clusters, judge the databases that belong to the environment by themselves. The section
        // is then complete only if no other database could belong to it through its cluster or a member.
        let none = BTreeSet::new();
        let (clusters, is_listed) = match clusters {
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
                    // A restore test's instance has no backups, and is gone by its deadline.
                    if restores::is_in_progress(&one.name, tags, &self.app.base.settings, self.context.now) {
                        return false;
                    }
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
                add_backup_snapshots(self.app, &mut one).await;
                Box::pin(self.common.complete(self.app, &mut one, &tags)).await;
                judge(INSTANCE, (&one.name, &one.arn), &one, self.context)
            };
            self.each(section, items, read).await?;
            marker = next;
            if marker.is_none() {
                return ended(is_listed, is_open);
            }
        }
    }
}

/// Names of the instances that belong to this environment only by their tags. Names alone identify the others.
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

/// Names of the clusters that belong to this environment by name, tags or members, including members that belong to it
/// by tags.
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

/// End of a section: the failure to list the owners counts only if the owner of some resource is open.
fn ended(is_listed: Seen<()>, is_open: bool) -> Result<(), Stop> {
    if is_open { Ok(is_listed?) } else { Ok(()) }
}

/// A snapshot with the accounts that may restore it.
pub(super) async fn complete(app: &App, listed: Listed) -> Snapshot {
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

/// Also counts the snapshots of AWS Backup if it owns the database's backups; RDS lists them separately.
pub(super) async fn add_backup_snapshots(app: &App, db: &mut Instance) {
    if db.recovery_point.is_none() {
        return;
    }
    let wanted = (db.form == Form::Cluster, "awsbackup", Some(db.name.as_str()));
    let of_backup = newest_of(app, wanted).await;
    db.newest_snapshot = Some(newer(db.newest_snapshot.take(), of_backup));
}

/// The newer of two snapshots; an error if either list could not be read.
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

pub(super) async fn newest_of(app: &App, wanted: (bool, &str, Option<&str>)) -> Seen<Option<Timestamp>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::rule::tests::unread;

    fn call() -> shared::runtime::failure::CallError {
        unread::<()>().unwrap_err()
    }

    #[test]
    fn the_newest_snapshot_is_unknown_without_both_lists() {
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
}
