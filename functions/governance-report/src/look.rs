//! Reads everything that the page shows. What cannot be read is unknown on it; nothing here fails the run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

use chain::anchor::{Anchors, Newest};
use incident::metrics::Metrics;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::runtime::failure::{CallError, chain as causes};
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;

use crate::anchors;
use crate::chains::{self, Again, Index, Known, Read};
use crate::rules::control::{CONTROLS, chains as all_chains, functions, gaps};
use crate::rules::cost::{Used, cost};
use crate::rules::ledger::{self, sheet};
use crate::rules::state::{Drill, Facts, rows};
use crate::rules::view::{ChainRow, Cost, Environment, Exception, Open, Proof, State, Verdict, View};
use crate::{App, PROCEDURE, aws};

/// Months of incidents on the page.
const MONTHS: usize = 24;

/// Days whose metrics are read.
const DAYS: u16 = 30;

/// Age of another environment's page beyond which nothing is known of it: its daily run, and a retry.
const STALE: SignedDuration = SignedDuration::from_hours(30);

/// What was read.
#[derive(Default)]
pub(crate) struct Looked {
    /// The page, without what it takes over from the one before.
    pub view: View,
    /// The next checkpoints of the chains that are verified.
    pub known: BTreeMap<String, Known>,
    /// The chains' verdicts, for the anchors.
    pub verdicts: Vec<chain::Verdict>,
    /// The newest anchor, and the verdict on the anchors' own chain.
    pub newest: Option<Newest>,
    pub anchors: Option<chain::Verdict>,
    /// Whether the anchors' copy in the repository was read.
    pub is_copy_read: bool,
    /// Whether the second place, if there is one, was read as a whole, and nothing is wrong with it.
    pub is_anchored: bool,
    /// Whether every anchor was to be read.
    pub is_full: bool,
    /// The checkpoints that the run began with.
    pub before: BTreeMap<String, Known>,
    /// The chains of which every record was to be read, and something is wrong, was not read, or had no anchors to contradict
    /// it; each with where the next complete reading begins.
    pub unproved: BTreeMap<String, Option<Again>>,
    /// Whether the page, the heads in their second place, or what the next run needs, could not be written.
    pub is_unwritten: AtomicBool,
}

impl Looked {
    /// Whether every chain was read, that of the anchors too, and nothing is wrong with any.
    pub(crate) fn is_whole(&self) -> bool {
        self.view.chains.iter().all(is_good) && self.is_anchored
    }
}

/// Whether nothing is wrong with a chain, and all that had to be read of it was.
fn is_good(chain: &ChainRow) -> bool {
    matches!(chain.verdict, Verdict::Verified | Verdict::Empty)
}

/// Reads the chains: the new records of each, then all records of those that are due, beginning with the one that has waited
/// longest.
async fn read<'a>(
    app: &'a App,
    index: &Index,
    procedures: &'a BTreeSet<String>,
    anchors: Option<&Anchors>,
    is_asked: bool,
    invocation: &'a Invocation,
) -> BTreeMap<String, Read<'a>> {
    let mut reads = Vec::new();
    for procedure in procedures {
        let known = index.chains.get(procedure);
        reads.push(chains::read(app, procedure, known, anchors, is_asked, invocation).await);
    }
    reads.sort_by_key(|read| read.row.full_at);
    for read in &mut reads {
        chains::again(read).await;
    }
    reads.into_iter().map(|read| (read.row.procedure.clone(), read)).collect()
}

/// Reads and decides everything.
pub(crate) async fn look(app: &App, index: &Index, is_asked: bool, invocation: &Invocation) -> Looked {
    let (settings, now) = (&app.base.settings, invocation.now);
    let policy = &settings.policy;
    let is_full = is_asked || index.is_due(now);
    let seen = anchors::read(app, index.anchored.as_ref(), is_full, invocation).await;
    let anchors = seen.as_ref().and_then(|seen| seen.anchors.as_ref());
    let mut procedures: BTreeSet<String> = all_chains().into_iter().map(str::to_owned).collect();
    // Also those of which only a checkpoint or an anchor knows.
    procedures.extend(index.chains.keys().cloned());
    procedures.extend(anchors.iter().flat_map(|anchors| anchors.procedures()).map(str::to_owned));
    let reads = read(app, index, &procedures, anchors, is_asked, invocation).await;
    let newest = anchors.and_then(|anchors| anchors.newest().cloned());
    let has_anchors = seen.is_some();
    let is_copy_read = seen.as_ref().is_some_and(|seen| seen.is_copy_read);
    let (own, mut anchors_unread) = match seen {
        Some(seen) => (seen.anchors.map(Anchors::finish), seen.unread),
        None => (None, Vec::new()),
    };
    let unknown = own.iter().flat_map(|own| &own.unknown);
    anchors_unread.extend(unknown.map(|unknown| unknown.what(settings.language)));
    let audited = reads.get("rotation-audit").map(|read| read.folded.open.clone()).unwrap_or_default();
    let audited_at = reads.get("rotation-audit").and_then(|read| read.folded.last.as_ref());
    let audited_at = audited_at.map(|last| last.at);
    let secrets = match reads.get("rotation-audit").and_then(|read| unverified(&read.row, settings.language))
    {
        Some(why) => Err(why),
        None => rotations(app, (&audited, audited_at), now).await,
    };
    let (months, months_unread) = months(app).await;
    let changes = reads.get("policy").map(|read| read.folded.changes.clone()).unwrap_or_default();
    let mut restores: Vec<_> = reads.values().flat_map(|read| read.folded.restores.iter().cloned()).collect();
    restores.sort_by_key(|one| one.at);
    let of_others = reads.iter().filter(|(procedure, _)| *procedure != PROCEDURE);
    let mut findings: Vec<Open> = of_others.flat_map(|(_, read)| read.folded.open.iter().cloned()).collect();
    findings.sort_by(|one, other| (one.since, &one.key).cmp(&(other.since, &other.key)));
    let anchored = has_anchors.then(|| judged(own.as_ref(), &anchors_unread));
    let is_anchored = anchored.as_ref().is_none_or(|anchored| *anchored == Verdict::Verified);
    let facts = Facts {
        language: settings.language,
        chains: reads
            .iter()
            .map(|(name, read)| (name.clone(), (read.row.clone(), read.folded.clone())))
            .collect(),
        secrets,
        months: months_unread.clone().map_or_else(|| Ok(months.clone()), Err),
        drill: drill(app, now).await,
        anchors: anchored,
    };
    let view = View {
        schema: 1,
        made_at: now,
        project: settings.project.clone(),
        environment: settings.environment.clone(),
        code_version: settings.code_version.clone(),
        bucket: app.base.reporter.documents.bucket.clone(),
        region: app.region.clone(),
        controls: rows(&facts, policy, now),
        unmeasured: gaps(app.sheet_secret.is_some(), !policy.incidents.customers.addresses.is_empty()),
        chains: reads.values().map(|read| read.row.clone()).collect(),
        has_anchors,
        anchor_faults: own.as_ref().map(|own| anchors::faults(own, settings.language)).unwrap_or_default(),
        anchors_unread,
        ledger_unread: facts.secrets.as_ref().err().cloned(),
        secrets: facts.secrets.unwrap_or_default(),
        restores,
        months: months.into_iter().map(|(metrics, _)| metrics).collect(),
        months_unread,
        findings,
        exceptions: exceptions(app),
        changes,
        cost: costs(app, now).await,
        environments: environments(app, now).await,
        ..View::default()
    };
    let mut looked = Looked {
        view,
        known: BTreeMap::new(),
        verdicts: Vec::new(),
        newest,
        anchors: own,
        is_copy_read,
        is_anchored,
        is_full,
        before: index.chains.clone(),
        unproved: BTreeMap::new(),
        is_unwritten: AtomicBool::new(false),
    };
    for (procedure, read) in reads {
        // A checkpoint says itself how far its complete reading came.
        let is_unproved = read.known.is_none() && !is_good(&read.row);
        if read.is_due && (is_unproved || !is_anchored) {
            looked.unproved.insert(procedure.clone(), read.resume);
        }
        looked.known.extend(read.known.map(|known| (procedure, known)));
        looked.verdicts.extend(read.verdict);
    }
    looked
}

/// The policy's exceptions, the first to expire first.
fn exceptions(app: &App) -> Vec<Exception> {
    let all = app.base.settings.policy.backups.audit.exceptions.iter();
    let mut all: Vec<_> = all
        .map(|one| Exception {
            rule: one.rule.clone(),
            resource: one.resource.clone(),
            reason: one.reason.clone(),
            owner: one.owner.clone(),
            until: one.until,
        })
        .collect();
    all.sort_by(|one, other| {
        (one.until, &one.rule, &one.resource).cmp(&(other.until, &other.rule, &other.resource))
    });
    all
}

/// A document with what proves it; none if it does not exist.
async fn document<T: DeserializeOwned>(app: &App, key: &str) -> Result<Option<(T, Proof)>, String> {
    let (client, bucket) = (&app.base.reporter.documents.client, &app.base.reporter.documents.bucket);
    let listed = aws::keys(client, bucket, key).await.map_err(|error| causes(&error))?;
    if !listed.iter().any(|(listed, _)| listed == key) {
        return Ok(None);
    }
    let (bytes, proof) = proof(app, key).await.map_err(|error| causes(&error))?;
    let content = serde_json::from_slice(&bytes).map_err(|error| format!("{key}: {error}"))?;
    Ok(Some((content, proof)))
}

async fn proof(app: &App, key: &str) -> Result<(Vec<u8>, Proof), CallError> {
    let (client, bucket) = (&app.base.reporter.documents.client, &app.base.reporter.documents.bucket);
    let object = aws::object(client, bucket, key).await?;
    let proof = Proof {
        key: key.to_owned(),
        version: object.version,
        sha256: chain::sha256(&object.bytes),
        at: object.modified.unwrap_or_default(),
        succeeded: true,
    };
    Ok((object.bytes, proof))
}

/// The verdict on the anchors' own chain. What could not be read of it, or of its copy, is no proof of anything.
fn judged(own: Option<&chain::Verdict>, unread: &[String]) -> Verdict {
    match own.map(chain::Verdict::state) {
        Some(chain::State::Damaged) => Verdict::Damaged(Vec::new()),
        Some(chain::State::Verified | chain::State::Empty) if unread.is_empty() => Verdict::Verified,
        _ => Verdict::Unknown,
    }
}

/// Why the chain of the audit of secrets, without whose findings the sheet would look better than it is, proves nothing.
fn unverified(chain: &ChainRow, language: Language) -> Option<String> {
    let procedure = &chain.procedure;
    match &chain.verdict {
        Verdict::Damaged(_) => Some(shared::tr!(
            language,
            "os registros de {procedure} estão danificados",
            "the records of {procedure} are damaged"
        )),
        Verdict::Unknown => Some(format!("{procedure}: {}", chain.unread.join("; "))),
        Verdict::Verified | Verdict::Empty => None,
    }
}

/// The pager's daily drill; nothing is known of one that the stack does not have.
async fn drill(app: &App, now: Timestamp) -> Result<Drill, String> {
    if !app.has_drill {
        return Ok(Drill::default());
    }
    let settings = &app.base.settings;
    let sender = format!("{}-{}-incident-send", settings.project, settings.environment);
    let from = now - SignedDuration::from_hours(24 * i64::from(DAYS));
    aws::drill(&app.cloudwatch, &sender, from, now).await.map_err(|error| causes(&error))
}

async fn rotations(
    app: &App,
    audited: (&[Open], Option<Timestamp>),
    now: Timestamp,
) -> Result<Vec<crate::rules::view::Secret>, String> {
    let policy = &app.base.settings.policy;
    let rows = document::<Vec<ledger::Row>>(app, "ledger/rotation.json").await?;
    let rows = rows.map(|(rows, _)| rows).unwrap_or_default();
    Ok(sheet(&rows, audited, |name| app.scope.key(name), policy, now))
}

/// The months' metrics, the oldest first, each with its proof; and why they are not all known.
async fn months(app: &App) -> (Vec<(Metrics, Proof)>, Option<String>) {
    let (client, bucket) = (&app.base.reporter.documents.client, &app.base.reporter.documents.bucket);
    let listed = match aws::keys(client, bucket, "metrics/incidents-").await {
        Ok(listed) => listed,
        Err(error) => return (Vec::new(), Some(causes(&error))),
    };
    let keys: BTreeSet<String> =
        listed.into_iter().map(|(key, _)| key).filter(|key| key.ends_with(".json")).collect();
    let skipped = keys.len().saturating_sub(MONTHS);
    let (mut months, mut unread) = (Vec::new(), None);
    for key in keys.into_iter().skip(skipped) {
        match document::<Metrics>(app, &key).await {
            Ok(month) => months.extend(month),
            Err(why) => unread = Some(why),
        }
    }
    (months, unread)
}

async fn costs(app: &App, now: Timestamp) -> Cost {
    let settings = &app.base.settings;
    let prefix = format!("{}-{}-", settings.project, settings.environment);
    let work = async {
        let mut used = Vec::new();
        for procedure in functions() {
            let function = format!("{prefix}{procedure}");
            let (memory_mb, is_arm) = aws::size(&app.lambda, &function).await?;
            used.push((function, Used { memory_mb, is_arm, ..Used::default() }));
        }
        // Whole days, so that a repeated run reads the same.
        let end = Timestamp::from_second(now.as_second() / 86_400 * 86_400).unwrap_or(now);
        let begin = end - SignedDuration::from_hours(24 * i64::from(DAYS));
        aws::use_of(&app.cloudwatch, &mut used, begin, end).await?;
        let alarms = aws::alarms(&app.cloudwatch, &prefix).await?;
        let used: Vec<Used> = used.into_iter().map(|(_, used)| used).collect();
        Ok::<_, CallError>(cost(&used, alarms, DAYS, &settings.policy.report.prices))
    };
    work.await.unwrap_or_else(|error| Cost { unread: Some(causes(&error)), ..Cost::default() })
}

async fn environments(app: &App, now: Timestamp) -> Vec<Environment> {
    let mut found = Vec::new();
    for bucket in &app.others {
        found.push(environment(app, bucket, now).await);
    }
    found
}

async fn environment(app: &App, bucket: &str, now: Timestamp) -> Environment {
    let unread =
        |why: String| Environment { bucket: bucket.to_owned(), unread: Some(why), ..Environment::default() };
    let client = &app.base.reporter.documents.client;
    let language = app.base.settings.language;
    let object = match aws::object(client, bucket, "report/controls.json").await {
        Ok(object) => object,
        Err(error) if error.code == "NoSuchKey" => {
            return unread(language.pick("ainda não tem página", "has no page yet").to_owned());
        }
        Err(error) => return unread(causes(&error)),
    };
    match serde_json::from_slice::<Shown>(&object.bytes) {
        Ok(page) => shown(bucket, page, now, language),
        Err(error) => unread(error.to_string()),
    }
}

/// What this page takes from another environment's page. The rest is dropped: that account may be less guarded, and its page may
/// have any size.
#[derive(Deserialize)]
struct Shown {
    made_at: Timestamp,
    environment: String,
    controls: Vec<ShownControl>,
}

#[derive(Deserialize)]
struct ShownControl {
    id: String,
    state: State,
}

/// Another environment, as its page shows it; unknown if the page is too old.
fn shown(bucket: &str, page: Shown, now: Timestamp, language: Language) -> Environment {
    let is_stale = now.duration_since(page.made_at) > STALE || page.made_at > now + STALE;
    let made_at = super::text::minute(page.made_at);
    let is_known = |control: &ShownControl| CONTROLS.iter().any(|known| known.id == control.id);
    let known = page.controls.into_iter().filter(|control| !is_stale && is_known(control));
    Environment {
        bucket: bucket.to_owned(),
        environment: page.environment.chars().take(40).collect(),
        unread: is_stale
            .then(|| shared::tr!(language, "a página é de {made_at}", "the page is of {made_at}")),
        made_at: Some(page.made_at),
        states: known.map(|control| (control.id, control.state)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_whose_page_is_old_is_unknown() {
        let made_at: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let page = || {
            let control = |id: &str| ShownControl { id: id.to_owned(), state: State::Ok };
            let controls = vec![control("inventory"), control("no control of ours")];
            Shown { made_at, environment: "prod".to_owned(), controls }
        };
        let language = Language::Portuguese;
        let fresh = shown("b", page(), made_at + STALE, language);
        assert_eq!((fresh.unread, fresh.states.len()), (None, 1));
        for now in
            [made_at + STALE + SignedDuration::from_secs(1), made_at - STALE - SignedDuration::from_secs(1)]
        {
            let old = shown("b", page(), now, language);
            let why = old.unread.unwrap();
            assert!(why == "a página é de 2026-11-29 09:00" && old.states.is_empty(), "{now} {why}");
        }
    }
}
