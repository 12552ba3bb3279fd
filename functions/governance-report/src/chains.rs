//! Reads and verifies the chains of records.
//!
//! A record's version in S3 never changes. So a record is read once, and again every week: between, S3's list of versions shows
//! that the records up to the checkpoint are the ones that were read, and only newer ones are read.

use std::collections::BTreeMap;
use std::time::Duration;

use chain::anchor::Anchors;
use chain::{Folder, Head, Listing, Mark, Pin, Record, Stack, State, Verifier, Witness};
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::run::objects::{self, Bytes};
use shared::runtime::failure::chain as causes;
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;

use crate::anchors;
use crate::rules::fold::{Folded, Run};
use crate::rules::view::{ChainRow, Fault, Verdict};
use crate::{App, PROCEDURE, aws};

/// Time reserved from the reading of the chains for the rest of the page.
const READING: Duration = Duration::from_secs(240);

/// Age of the last complete reading after which all records are read again. Less than a week, so that the day stays the same.
const FULL: SignedDuration = SignedDuration::from_hours(7 * 24 - 12);

/// Name of the document with the checkpoints.
pub(crate) const INDEX: &str = "index";

/// What is kept of each chain for the next run.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Index {
    /// By procedure.
    pub chains: BTreeMap<String, Known>,
    /// When every record and anchor was read last, if nothing was found then.
    pub full_at: Option<Timestamp>,
    /// The newest anchor.
    pub anchored: Option<anchors::Known>,
}

impl Index {
    /// Whether it is time to read every record again. A time to come is none that a run has written.
    pub(crate) fn is_stale(&self, now: Timestamp) -> bool {
        self.full_at.is_none_or(|full| full > now || now.duration_since(full) >= FULL)
    }
}

/// A chain as far as it was verified.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Known {
    /// The last verified record.
    pub head: Option<Head>,
    /// The seal of the list of versions up to it.
    pub seal: String,
    /// When every record was read last.
    pub full_at: Option<Timestamp>,
    /// What the records say.
    pub folded: Folded,
}

impl Known {
    /// What an anchor names it by.
    fn sha256(&self) -> String {
        let Self { head, seal, folded, full_at: _ } = self;
        // Text, numbers and lists always serialize.
        chain::sha256(&serde_json::to_vec(&(head, seal, folded)).unwrap_or_default())
    }
}

/// A chain, as this run found it.
pub(crate) struct Read {
    pub row: ChainRow,
    pub folded: Folded,
    /// For the anchors.
    pub verdict: Option<chain::Verdict>,
    /// The next checkpoint; none if the chain is not verified.
    pub known: Option<Known>,
}

/// Reads and verifies one chain. One that cannot be read in time is unknown, and holds up nothing.
pub(crate) async fn read(
    app: &App,
    procedure: &str,
    known: Option<&Known>,
    anchors: Option<&Anchors>,
    is_full: bool,
    invocation: &Invocation,
) -> Read {
    if invocation.left() < READING {
        // Begun all the same, the chains that are left would take the page's time.
        return unread(procedure, known, "no time was left");
    }
    let work = Box::pin(whole(app, procedure, known, anchors, is_full, invocation.now));
    let read = invocation.before_deadline(READING, work).await;
    read.unwrap_or_else(|late| unread(procedure, known, &causes(&late)))
}

async fn whole(
    app: &App,
    procedure: &str,
    known: Option<&Known>,
    anchors: Option<&Anchors>,
    is_full: bool,
    now: Timestamp,
) -> Read {
    let client = &app.base.reporter.documents.client;
    let bucket = &app.base.reporter.documents.bucket;
    let folder = Folder::records(procedure);
    let (mut begun, mut unread) = (None, None);
    // Before the list: a first record that is written between the two is no chain that is gone.
    if is_full || known.is_none_or(|known| known.head.is_none()) {
        match self::begun(app, procedure).await {
            Ok(pin) => begun = pin,
            Err(why) => unread = Some(why),
        }
    }
    let listed = objects::versions(client, bucket, &folder.prefix()).await;
    let listing = match listed {
        Ok(versions) => Listing::of(&folder, versions),
        Err(error) => return self::unread(procedure, known, &causes(&error)),
    };
    let kept = known
        .filter(|_| !is_full)
        .filter(|known| known.head.as_ref().is_some_and(|head| listing.seal(head.sequence) == known.seal))
        // An attacker who replaces the bucket replaces the checkpoint too, but not the anchor that names it.
        .filter(|known| {
            anchors.is_none_or(|anchors| anchors.checkpoint(procedure) == Some(known.sha256().as_str()))
        });
    let stack = Stack {
        project: app.base.settings.project.clone(),
        environment: app.base.settings.environment.clone(),
    };
    let mut verifier = Verifier::new(procedure).of(stack).listed(&listing);
    if let Some(anchors) = anchors {
        verifier = verifier.witnessed(anchors.pins(procedure));
    }
    // What the last run saw must still be there, and so must a chain that once began.
    verifier = verifier.witnessed(known.and_then(checkpoint)).witnessed(begun);
    let (mut folded, mut from) = (Folded::default(), 0);
    if let Some(Known { head: Some(head), folded: kept, .. }) = kept {
        verifier = verifier.after(head.clone());
        (folded, from) = (kept.clone(), head.sequence);
    }
    let mut reads = objects::all(client, bucket, listing.from(from + 1));
    while let Some((entry, bytes)) = reads.next().await {
        let key = entry.version.key.as_str();
        match bytes {
            Bytes::Read(bytes) => {
                let sha256 = chain::sha256(&bytes);
                if let Some(record) = verifier.record(key, &bytes, entry.version.modified) {
                    folded.take(procedure, &run(record, key, sha256));
                }
            }
            Bytes::Large(bytes) => verifier.large(key, bytes),
            Bytes::Unread(reason) => verifier.unread(key, &reason),
        }
    }
    let listed = u64::try_from(listing.objects.len()).unwrap_or(u64::MAX);
    let mut verdict = verifier.finish();
    let full_at = if kept.is_some() { known.and_then(|known| known.full_at) } else { Some(now) };
    let head = verdict.head.clone();
    let language = app.base.settings.language;
    let judged = match judged(&verdict, language) {
        Verdict::Verified | Verdict::Empty if unread.is_some() => Verdict::Unknown,
        judged => judged,
    };
    let is_verified = judged == Verdict::Verified;
    let unknown = verdict.unknown.iter().map(|unknown| unknown.what(language));
    let row = ChainRow {
        procedure: procedure.to_owned(),
        verdict: judged,
        unread: unread.into_iter().chain(unknown).collect(),
        records: from + verdict.read,
        listed,
        sha256: head.as_ref().map(|head| head.sha256.clone()).unwrap_or_default(),
        full_at,
        anchored: false,
    };
    let seal = head.as_ref().map(|head| listing.seal(head.sequence)).unwrap_or_default();
    let next = is_verified.then(|| Known { head, seal, full_at, folded: folded.clone() });
    if let (Some(head), Some(next)) = (&mut verdict.head, &next) {
        head.checkpoint = Some(next.sha256());
    }
    Read { row, folded, verdict: Some(verdict), known: next }
}

/// The checkpoint, as a witness.
fn checkpoint(known: &Known) -> Option<Pin> {
    let Head { sequence, sha256, .. } = known.head.clone()?;
    let key = format!("runs/{PROCEDURE}/{}.json", chain::sha256(INDEX.as_bytes()));
    Some(Pin { sequence, sha256: Some(sha256), witness: Witness::Note { key } })
}

/// The note that a chain began, as a witness; none without a note.
async fn begun(app: &App, procedure: &str) -> Result<Option<Pin>, String> {
    let (client, bucket) = (&app.base.reporter.documents.client, &app.base.reporter.documents.bucket);
    let key = format!("runs/{procedure}/begun.json");
    let listed = aws::keys(client, bucket, &key).await.map_err(|error| causes(&error))?;
    if listed.is_empty() {
        return Ok(None);
    }
    let object = aws::object(client, bucket, &key).await.map_err(|error| causes(&error))?;
    let mark: Mark = serde_json::from_slice(&object.bytes).map_err(|error| format!("{key}: {error}"))?;
    let Mark { sequence, record } = mark;
    Ok(Some(Pin { sequence, sha256: Some(record.sha256), witness: Witness::Begun { key } }))
}

/// A chain whose list could not be read, or not in time: what was known of it is shown, and not as verified.
pub(crate) fn unread(procedure: &str, known: Option<&Known>, why: &str) -> Read {
    let head = known.and_then(|known| known.head.as_ref());
    let row = ChainRow {
        procedure: procedure.to_owned(),
        verdict: Verdict::Unknown,
        unread: vec![why.to_owned()],
        records: head.map_or(0, |head| head.sequence),
        sha256: head.map(|head| head.sha256.clone()).unwrap_or_default(),
        full_at: known.and_then(|known| known.full_at),
        ..ChainRow::default()
    };
    let folded = known.map(|known| known.folded.clone()).unwrap_or_default();
    Read { row, folded, verdict: None, known: None }
}

fn judged(verdict: &chain::Verdict, language: Language) -> Verdict {
    match verdict.state() {
        State::Verified => Verdict::Verified,
        State::Unknown => Verdict::Unknown,
        State::Empty => Verdict::Empty,
        State::Damaged => Verdict::Damaged(verdict.faults.iter().map(|one| fault(one, language)).collect()),
    }
}

/// A fault, for the page.
pub(crate) fn fault(fault: &chain::Fault, language: Language) -> Fault {
    Fault {
        kind: fault.kind().to_owned(),
        key: fault.key.clone(),
        what: fault.what(language),
        next: fault.next(language).to_owned(),
    }
}

fn run(record: Record<'_>, key: &str, sha256: String) -> Run {
    Run {
        run_id: record.run_id.into_owned(),
        trigger: record.trigger.into_owned(),
        ended: record.ended,
        succeeded: record.result == "succeeded",
        steps: record
            .steps
            .into_iter()
            .map(|step| (step.name.into_owned(), step.outcome.into_owned()))
            .collect(),
        findings: record.findings,
        key: key.to_owned(),
        sha256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_read_again_after_a_week_and_whenever_the_last_time_cannot_be_true() {
        let now: Timestamp = "2026-11-30T13:30:00Z".parse().unwrap();
        let second = SignedDuration::from_secs(1);
        for (full_at, is_stale) in [
            (None, true),
            (Some(now), false),
            (Some(now - FULL + second), false),
            (Some(now - FULL), true),
            (Some(now + second), true),
        ] {
            assert_eq!(Index { full_at, ..Index::default() }.is_stale(now), is_stale, "{full_at:?}");
        }
    }
}
