//! Reads and verifies the chains of records.
//!
//! A record's version in S3 never changes. So a record is read once, and again every week: between, S3's list of versions shows
//! that the records up to the checkpoint are the ones that were read, and only newer ones are read. A reading that runs out of
//! time goes on in the next run, after the last record that it verified.

use std::collections::BTreeMap;
use std::time::Duration;

use chain::anchor::Anchors;
use chain::{Folder, Harm, Head, Listing, Mark, Pin, Record, Stack, State, Verifier, Witness};
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

/// Form of an [`Index`]. Raise it when something in it gets another meaning, or records are folded otherwise. The form without a
/// number noted a fault only for all chains together, and folded remarks as findings.
pub(crate) const FORM: u32 = 1;

/// What is kept of each chain for the next run.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Index {
    /// [`FORM`] of the program that kept it.
    pub form: u32,
    /// By procedure.
    pub chains: BTreeMap<String, Known>,
    /// When every anchor was read last, if nothing was found then, in them or in a chain.
    pub full_at: Option<Timestamp>,
    /// The newest anchor.
    pub anchored: Option<anchors::Known>,
}

impl Index {
    /// Takes over what a program of another form kept: its heads stay witnesses, and its complete readings do not count.
    pub(crate) fn adopt(&mut self) {
        if self.form == FORM {
            return;
        }
        (self.form, self.full_at) = (FORM, None);
        for known in self.chains.values_mut() {
            (known.full_at, known.again) = (None, None);
        }
    }

    /// Whether every anchor is to be read: their own week is over, or that of a chain, whose old records only old anchors name.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        is_stale(self.full_at, now) || self.chains.values().any(|known| known.is_due(now))
    }
}

/// Whether it is time to read everything again. No run writes a time in the future.
fn is_stale(full_at: Option<Timestamp>, now: Timestamp) -> bool {
    full_at.is_none_or(|full| full > now || now.duration_since(full) >= FULL)
}

/// A chain as far as it was verified.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Known {
    /// The last verified record.
    pub head: Option<Head>,
    /// The seal of the list of versions up to it.
    pub seal: String,
    /// When the last complete reading began; none if the last one found something, or could not read something.
    pub full_at: Option<Timestamp>,
    /// What the records say.
    pub folded: Folded,
    /// The complete reading that goes on in the next run.
    pub again: Option<Again>,
}

/// A complete reading of a chain that ran out of time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Again {
    /// The last record that it verified; none if there was no time for any.
    pub head: Option<Head>,
    /// When it began.
    pub since: Timestamp,
}

impl Known {
    /// What an anchor names it by. A forged time or progress of a complete reading would only put that off: what the seal covers
    /// cannot have changed, unless S3 itself lies.
    fn sha256(&self) -> String {
        let Self { head, seal, folded, full_at: _, again: _ } = self;
        // Text, numbers and lists always serialize.
        chain::sha256(&serde_json::to_vec(&(head, seal, folded)).unwrap_or_default())
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.again.is_some() || is_stale(self.full_at, now)
    }
}

/// A chain, as this run found it.
pub(crate) struct Read<'a> {
    pub row: ChainRow,
    pub folded: Folded,
    /// For the anchors.
    pub verdict: Option<chain::Verdict>,
    /// The next checkpoint; none if the chain is not verified.
    pub known: Option<Known>,
    /// Whether all its records were to be read.
    pub is_due: bool,
    /// Where the next complete reading begins if this run's proves nothing; none at the first record.
    pub resume: Option<Again>,
    /// The chain, if all its records are still to be read.
    left: Option<Chain<'a>>,
}

/// A chain, and everything that its records are compared with.
struct Chain<'a> {
    app: &'a App,
    procedure: &'a str,
    listing: Listing,
    pins: Vec<Pin>,
    invocation: &'a Invocation,
}

/// How far a reading came.
struct Walked {
    verdict: chain::Verdict,
    folded: Folded,
    /// Whether it came to the end of the list in time.
    is_whole: bool,
}

impl Chain<'_> {
    /// Reads and verifies the records after `head`, as many as there is time for, and folds them into `folded`.
    async fn walk(&self, head: Option<&Head>, mut folded: Folded) -> Walked {
        let Self { app, procedure, listing, pins, invocation } = self;
        let documents = app.documents();
        let settings = &app.base.settings;
        let stack = Stack { project: settings.project.clone(), environment: settings.environment.clone() };
        let mut verifier = Verifier::new(procedure).of(stack).listed(listing).witnessed(pins.clone());
        if let Some(head) = head {
            verifier = verifier.after(head.clone());
        }
        let from = head.map_or(0, |head| head.sequence);
        let listed = listing.from(from + 1);
        let (mut reads, mut left) =
            (objects::all(&documents.client, &documents.bucket, listed), listed.len());
        while left > 0 && invocation.left() >= READING {
            let next = invocation.before_deadline(READING, reads.next()).await;
            let Ok(Some((entry, bytes))) = next else { break };
            left -= 1;
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
        let is_whole = left == 0;
        let mut verdict = verifier.finish();
        if !is_whole {
            stopped(&mut verdict, listing);
        }
        Walked { verdict, folded, is_whole }
    }
}

/// What a reading that ran out of time calls cut off may only be unread: the list shows which.
fn stopped(verdict: &mut chain::Verdict, listing: &Listing) {
    let last = listing.objects.last().map_or(0, |last| last.sequence);
    verdict.faults.retain_mut(|fault| match &mut fault.harm {
        Harm::Truncated { end, .. } => {
            *end = last;
            fault.sequence > Some(last)
        }
        Harm::Gone { .. } => false,
        _ => true,
    });
}

/// Reads and verifies what is new of one chain, or all of it without a checkpoint. One that cannot be read in time is unknown,
/// and holds up nothing.
pub(crate) async fn read<'a>(
    app: &'a App,
    procedure: &'a str,
    known: Option<&Known>,
    anchors: Option<&Anchors>,
    is_asked: bool,
    invocation: &'a Invocation,
) -> Read<'a> {
    let now = invocation.now;
    let is_due = is_asked || known.is_none_or(|known| known.is_due(now));
    let unread = |why: &str| Read { is_due, ..self::unread(procedure, known, why) };
    if invocation.left() < READING {
        // If they were begun all the same, the remaining chains would take the page's time.
        return unread(app.base.settings.language.pick("não sobrou tempo", "no time was left"));
    }
    let documents = app.documents();
    let folder = Folder::records(procedure);
    let prefix = folder.prefix();
    let list = async {
        // Before the list: a first record that is written between the two must not look like a chain that is gone.
        let begun = match is_due || known.is_none_or(|known| known.head.is_none()) {
            true => begun(app, procedure).await,
            false => Ok(None),
        };
        (begun, objects::versions(&documents.client, &documents.bucket, &prefix).await)
    };
    let (begun, listing) = match invocation.before_deadline(READING, Box::pin(list)).await {
        Ok((begun, Ok(versions))) => (begun, Listing::of(&folder, versions)),
        Ok((_, Err(error))) => return unread(&causes(&error)),
        Err(late) => return unread(&causes(&late)),
    };
    let (begun, unnoted) = begun.map_or_else(|why| (None, Some(why)), |begun| (begun, None));
    let kept = known
        .filter(|known| known.head.as_ref().is_some_and(|head| listing.seal(head.sequence) == known.seal))
        // An attacker who replaces the bucket replaces the checkpoint too, but not the anchor that names it.
        .filter(|known| {
            anchors.is_none_or(|anchors| anchors.checkpoint(procedure) == Some(known.sha256().as_str()))
        });
    // What the last run saw must still be there, and so must a chain that once began.
    let pins = anchors.into_iter().flat_map(|anchors| anchors.pins(procedure));
    let pins = pins.chain(known.and_then(checkpoint)).chain(begun).collect();
    let chain = Chain { app, procedure, listing, pins, invocation };
    let begin = kept.and_then(|known| known.head.as_ref());
    let folded = kept.map(|known| known.folded.clone()).unwrap_or_default();
    let Walked { mut verdict, folded, is_whole } = chain.walk(begin, folded).await;
    let full_at = kept.map_or(Some(now), |known| known.full_at);
    let language = app.base.settings.language;
    let judged = match judged(&verdict, language) {
        Verdict::Verified | Verdict::Empty if unnoted.is_some() || !is_whole => Verdict::Unknown,
        judged => judged,
    };
    let listed = u64::try_from(chain.listing.objects.len()).unwrap_or(u64::MAX);
    let records = begin.map_or(0, |head| head.sequence) + verdict.read;
    let unknown = verdict.unknown.iter().map(|unknown| unknown.what(language));
    let head = verdict.head.clone();
    let reached = head.as_ref().map(|head| head.sequence);
    // A shorter checkpoint than the last one would forget what that one saw, and no anchor would ever name it.
    let is_further = reached.is_some() && reached >= chain.pins.iter().map(|pin| pin.sequence).max();
    let goes_on = unnoted.is_none() && is_further && verdict.state() == State::Verified;
    let late = (!is_whole).then(|| late(records, listed, goes_on, language));
    let is_kept = judged == Verdict::Verified || (!is_whole && goes_on);
    let row = ChainRow {
        procedure: procedure.to_owned(),
        unread: unnoted.into_iter().chain(late).chain(unknown).collect(),
        verdict: judged,
        records,
        listed,
        sha256: head.as_ref().map(|head| head.sha256.clone()).unwrap_or_default(),
        full_at,
        anchored: false,
    };
    let seal = reached.map(|sequence| chain.listing.seal(sequence)).unwrap_or_default();
    // No run makes progress beyond the checkpoint.
    let is_made = |again: &Again| again.head.as_ref().is_none_or(|at| Some(at.sequence) <= reached);
    let again = kept.and_then(|known| known.again.clone());
    let again = again.filter(|again| !is_asked && is_made(again));
    let resume = again.clone();
    let next = is_kept.then(|| Known { head, seal, full_at, folded: folded.clone(), again });
    if let (Some(head), Some(next)) = (&mut verdict.head, &next) {
        head.checkpoint = Some(next.sha256());
    }
    let left = (is_due && kept.is_some() && row.verdict == Verdict::Verified).then_some(chain);
    Read { row, folded, verdict: Some(verdict), known: next, is_due, resume, left }
}

/// Reads all records of a chain that is due, from where the last run had to stop.
pub(crate) async fn again(read: &mut Read<'_>) {
    let (Some(chain), Some(known)) = (read.left.take(), read.known.as_mut()) else { return };
    let language = chain.app.base.settings.language;
    let since = known.again.as_ref().map_or(chain.invocation.now, |again| again.since);
    let begin = known.again.take().and_then(|again| again.head);
    let Walked { verdict, folded, is_whole } = chain.walk(begin.as_ref(), Folded::default()).await;
    let records = begin.as_ref().map_or(0, |head| head.sequence) + verdict.read;
    match (verdict.state(), is_whole) {
        (State::Verified, true) => {
            known.full_at = Some(since);
            read.row.full_at = known.full_at;
            if begin.is_none() {
                // A newer program may fold them otherwise.
                known.folded.clone_from(&folded);
                read.folded = folded;
            }
            let checkpoint = known.sha256();
            if let Some(head) = read.verdict.as_mut().and_then(|verdict| verdict.head.as_mut()) {
                head.checkpoint = Some(checkpoint);
            }
        }
        (State::Verified | State::Empty, _) => {
            known.again = Some(Again { head: verdict.head, since });
            read.row.unread.push(late(records, read.row.listed, true, language));
            if known.full_at.is_none() {
                // What the last complete reading found stands until the next one has ended.
                read.row.verdict = Verdict::Unknown;
            }
        }
        (State::Damaged | State::Unknown, _) => {
            read.row.unread = verdict.unknown.iter().map(|unknown| unknown.what(language)).collect();
            (read.row.verdict, read.row.records) = (judged(&verdict, language), records);
            (read.verdict, read.known) = (Some(verdict), None);
        }
    }
}

/// Says that a reading ran out of time, and where the next run begins.
fn late(records: u64, listed: u64, goes_on: bool, language: Language) -> String {
    let next = match goes_on {
        true => language.pick("a próxima execução continua", "the next run goes on"),
        false => language.pick("a próxima execução recomeça", "the next run begins again"),
    };
    shared::tr!(
        language,
        "{records} de {listed} registros lidos a tempo; {next}",
        "{records} of {listed} records were read in time; {next}",
    )
}

/// The checkpoint, as a witness.
fn checkpoint(known: &Known) -> Option<Pin> {
    let Head { sequence, sha256, .. } = known.head.clone()?;
    let key = format!("runs/{PROCEDURE}/{}.json", chain::sha256(INDEX.as_bytes()));
    Some(Pin { sequence, sha256: Some(sha256), witness: Witness::Note { key } })
}

/// The note that a chain began, as a witness; none without a note.
async fn begun(app: &App, procedure: &str) -> Result<Option<Pin>, String> {
    let (client, bucket) = (&app.documents().client, &app.documents().bucket);
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
fn unread<'a>(procedure: &str, known: Option<&Known>, why: &str) -> Read<'a> {
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
    let resume = known.and_then(|known| known.again.clone());
    Read { row, folded, verdict: None, known: None, is_due: false, resume, left: None }
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
        for (full_at, is_due) in [
            (None, true),
            (Some(now), false),
            (Some(now - FULL + second), false),
            (Some(now - FULL), true),
            (Some(now + second), true),
        ] {
            let known = Known { full_at, ..Known::default() };
            assert_eq!(known.is_due(now), is_due, "{full_at:?}");
            assert_eq!(Index { full_at, ..Index::default() }.is_due(now), is_due, "{full_at:?}");
            let chains = BTreeMap::from([("x".to_owned(), known)]);
            let index = Index { chains, full_at: Some(now), ..Index::default() };
            assert_eq!(index.is_due(now), is_due, "{full_at:?}");
        }
    }

    #[test]
    fn a_complete_reading_by_a_program_of_another_form_does_not_count() {
        let now = Timestamp::UNIX_EPOCH;
        let head = Some(Head { sequence: 3, sha256: "x".to_owned(), ended: now, checkpoint: None });
        let again = Some(Again { head: head.clone(), since: now });
        let known = Known { head, seal: "seal".to_owned(), full_at: Some(now), again, ..Known::default() };
        let chains = BTreeMap::from([("x".to_owned(), known.clone())]);
        let index = Index { form: FORM, chains, full_at: Some(now), ..Index::default() };
        let mut same = index.clone();
        same.adopt();
        assert_eq!(same, index);
        let mut unnumbered = serde_json::to_value(&index).unwrap();
        unnumbered.as_object_mut().unwrap().remove("form").unwrap();
        let unnumbered: Index = serde_json::from_value(unnumbered).unwrap();
        let chains = BTreeMap::from([("x".to_owned(), Known { full_at: None, again: None, ..known })]);
        let expected = Index { form: FORM, chains, ..Index::default() };
        for mut other in [unnumbered, Index { form: FORM + 1, ..index }] {
            other.adopt();
            assert_eq!(other, expected);
            assert!(other.is_due(now));
        }
    }

    #[test]
    fn a_reading_that_ran_out_of_time_calls_nothing_cut_off_that_the_list_still_has() {
        let folder = Folder::records("x");
        let version = |sequence| chain::Version {
            key: folder.key(sequence),
            id: "v".to_owned(),
            is_latest: true,
            ..chain::Version::default()
        };
        let listing = Listing::of(&folder, [version(1), version(2), version(3)]);
        let pin = |sequence| Pin { sequence, sha256: None, witness: Witness::Earlier };
        for (seen, expected) in [(3, vec![]), (4, vec![(Some(4), 3)])] {
            let head =
                Head { sequence: 1, sha256: "x".to_owned(), ended: Timestamp::UNIX_EPOCH, checkpoint: None };
            let mut verdict = Verifier::new("x").listed(&listing).witnessed([pin(seen)]).after(head).finish();
            assert_eq!(verdict.faults.len(), 1, "{seen}");
            stopped(&mut verdict, &listing);
            let cut: Vec<_> = verdict
                .faults
                .iter()
                .map(|fault| match fault.harm {
                    Harm::Truncated { end, .. } => (fault.sequence, end),
                    ref other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(cut, expected, "{seen}");
        }
    }
}
