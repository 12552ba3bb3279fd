//! Every attack on a bucket, against what its verification names.

use jiff::{SignedDuration, Timestamp, ToSpan};
use policy::language::Language;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::anchor::{Anchor, Anchors, Newest, next};

const PROCEDURE: &str = "rotate-random";
const BUCKET: &str = "moveongs-dev-evidence-000000000000";

fn stack() -> Stack {
    Stack { project: "moveongs".to_owned(), environment: "dev".to_owned() }
}

fn at(day: i64) -> Timestamp {
    "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + (24 * day).hours()
}

/// A bucket: each object with the bytes of its versions, oldest first. A marker has no bytes.
#[derive(Clone, Default)]
struct Bucket(Vec<(String, Vec<Option<Vec<u8>>>)>);

/// A record as the functions write it; its link is made by [`Bucket::chained`].
fn record(procedure: &str, sequence: u64) -> Value {
    let day = i64::try_from(sequence).unwrap();
    let instant = json!({"utc": at(day), "local": "2026-03-01 09:00:00 -03"});
    json!({
        "schema": 1, "procedure": procedure, "sequence": sequence, "previous": null,
        "run_id": format!("run-{sequence}"), "project": "moveongs", "environment": "dev",
        "trigger": "secretsmanager:RotateSecret", "subject": "arn:aws:secretsmanager:x",
        "started": instant, "ended": instant,
        "steps": [{"name": "createSecret", "at": instant, "outcome": "succeeded"}],
        "findings": ["ação \"x\""], "result": "succeeded", "code_version": "abc", "channel": "sent"
    })
}

impl Bucket {
    /// A chain of records, linked from the first one on.
    fn chained(procedure: &str, records: impl IntoIterator<Item = Value>) -> Self {
        let mut bucket = Self::default();
        let folder = Folder::records(procedure);
        let mut previous = Value::Null;
        for (sequence, mut record) in (1..).zip(records) {
            record["previous"] = previous;
            let (key, bytes) = (folder.key(sequence), serde_json::to_vec_pretty(&record).unwrap());
            previous = json!({"key": key, "sha256": sha256(&bytes)});
            bucket.0.push((key, vec![Some(bytes)]));
        }
        bucket
    }

    fn of(length: u64) -> Self {
        Self::chained(PROCEDURE, (1..=length).map(|sequence| record(PROCEDURE, sequence)))
    }

    fn versions(&mut self, sequence: u64) -> &mut Vec<Option<Vec<u8>>> {
        let key = Folder::records(PROCEDURE).key(sequence);
        &mut self.0.iter_mut().find(|(found, _)| *found == key).unwrap().1
    }

    fn bytes(&mut self, sequence: u64) -> &mut Vec<u8> {
        self.versions(sequence).last_mut().unwrap().as_mut().unwrap()
    }

    fn delete(&mut self, sequence: u64) {
        let key = Folder::records(PROCEDURE).key(sequence);
        self.0.retain(|(found, _)| *found != key);
    }

    fn put(&mut self, key: &str, bytes: &[u8]) {
        self.0.push((key.to_owned(), vec![Some(bytes.to_vec())]));
    }

    /// As S3 lists it.
    fn listed(&self) -> Vec<Version> {
        let versions = self.0.iter().flat_map(|(key, versions)| {
            versions.iter().enumerate().map(move |(place, bytes)| Version {
                key: key.clone(),
                id: format!("v{place}"),
                etag: bytes.as_ref().map(|bytes| sha256(bytes)).unwrap_or_default(),
                size: bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
                is_latest: place + 1 == versions.len(),
                is_marker: bytes.is_none(),
                modified: Some(at(place as i64)),
            })
        });
        versions.collect()
    }

    /// As a copy shows it: newest versions, in the order in which they are judged.
    fn seen(&self) -> Vec<(&str, &[u8])> {
        let mut seen: Vec<_> = self
            .0
            .iter()
            .filter_map(|(key, versions)| Some((key.as_str(), versions.last()?.as_deref()?)))
            .collect();
        seen.sort_by(|one, other| other.0.cmp(one.0));
        seen
    }

    fn judge(&self, mut verifier: Verifier) -> Verdict {
        self.seen().into_iter().for_each(|(key, bytes)| {
            verifier.record(key, bytes, None);
        });
        verifier.finish()
    }

    /// The verdict on the objects alone.
    fn verdict(&self) -> Verdict {
        self.judge(Verifier::new(PROCEDURE).of(stack()))
    }

    /// The verdict with the list of versions.
    fn with_versions(&self) -> Verdict {
        let listing = Listing::of(&Folder::records(PROCEDURE), self.listed());
        self.judge(Verifier::new(PROCEDURE).of(stack()).listed(&listing))
    }

    fn anchored(&self, anchors: &Anchors) -> Verdict {
        self.judge(Verifier::new(PROCEDURE).of(stack()).witnessed(anchors.pins(PROCEDURE)))
    }
}

/// The anchors made after each of these lengths of a chain.
fn anchors(bucket: &Bucket, lengths: impl IntoIterator<Item = u64>) -> Vec<Anchor> {
    let mut anchors: Vec<Anchor> = Vec::new();
    for length in lengths {
        let mut part = bucket.clone();
        part.0.truncate(usize::try_from(length).unwrap());
        let newest = anchors.last().cloned().map(Newest::from);
        let now = at(i64::try_from(length).unwrap());
        anchors.extend(next(newest.as_ref(), &stack(), BUCKET, [&part.verdict()], now).unwrap());
    }
    anchors
}

fn read_all(anchors: &[Anchor]) -> Anchors {
    let mut read = Anchors::new(stack(), Some(BUCKET));
    anchors.iter().for_each(|anchor| read.anchor(&anchor.key(), &anchor.bytes()));
    read
}

/// Kind and sequence of each fault.
fn named(verdict: &Verdict) -> Vec<(&'static str, Option<u64>)> {
    for fault in &verdict.faults {
        assert_eq!(fault.chain, verdict.chain);
        // What cannot be read in both languages would not be told.
        for language in [Language::Portuguese, Language::English] {
            let (what, next) = (fault.what(language), fault.next(language));
            assert!(!what.ends_with('.') && !next.is_empty(), "{what}: {next}");
            let is_numbered = fault.sequence.is_none_or(|sequence| what.contains(&sequence.to_string()));
            assert!(is_numbered && (what.contains(&fault.chain) || what.contains(&fault.key)), "{what}");
        }
    }
    verdict.faults.iter().map(|fault| (fault.kind(), fault.sequence)).collect()
}

#[track_caller]
fn check(verdict: &Verdict, expected: &[(&'static str, u64)]) {
    let expected: Vec<_> = expected.iter().map(|(kind, sequence)| (*kind, Some(*sequence))).collect();
    assert_eq!(named(verdict), expected);
    assert_eq!(verdict.state(), if expected.is_empty() { State::Verified } else { State::Damaged });
}

#[test]
fn a_whole_chain_is_verified_with_its_head() {
    let mut bucket = Bucket::of(20);
    let verdict = bucket.with_versions();
    check(&verdict, &[]);
    let head = Head { sequence: 20, sha256: sha256(bucket.bytes(20)), ended: at(20), checkpoint: None };
    assert_eq!((verdict.head, verdict.read, verdict.from), (Some(head), 20, 1));
    assert_eq!(Bucket::default().verdict().state(), State::Empty);
}

#[test]
fn a_deleted_record_is_missing() {
    for sequence in 1..=4 {
        let mut bucket = Bucket::of(5);
        bucket.delete(sequence);
        check(&bucket.verdict(), &[("EvidenceMissing", sequence)]);
        check(&bucket.with_versions(), &[("EvidenceMissing", sequence)]);
    }
    let mut bucket = Bucket::of(9);
    [2, 3, 4, 7].into_iter().for_each(|sequence| bucket.delete(sequence));
    let verdict = bucket.verdict();
    check(&verdict, &[("EvidenceMissing", 2), ("EvidenceMissing", 7)]);
    assert_eq!(verdict.faults[0].harm, Harm::Missing { to: 4 });
    let told = verdict.faults[0].what(Language::English);
    assert_eq!(told, "rotate-random: numbers 2 to 4 are missing");
}

#[test]
fn a_changed_byte_is_named_at_its_record() {
    for sequence in 1..=4 {
        let mut bucket = Bucket::of(5);
        let text = String::from_utf8(bucket.bytes(sequence).clone()).unwrap();
        *bucket.bytes(sequence) = text.replace("succeeded", "succeedeD").into_bytes();
        check(&bucket.verdict(), &[("EvidenceAltered", sequence)]);
    }
    // In the link itself, the one before is accused too: the link is all that knows it.
    let mut bucket = Bucket::of(5);
    let link = sha256(bucket.bytes(2));
    let text = String::from_utf8(bucket.bytes(3).clone()).unwrap();
    *bucket.bytes(3) = text.replace(&link, &link.replace(&link[..1], "-")).into_bytes();
    check(&bucket.verdict(), &[("EvidenceAltered", 2), ("EvidenceAltered", 3)]);
    // A changed newest record has no next one; a version list or an anchor knows it.
    let mut bucket = Bucket::of(5);
    let anchors = anchors(&bucket, [5]);
    let changed = bucket.bytes(5).clone().into_iter().chain([b'\n']).collect();
    bucket.versions(5).push(Some(changed));
    check(&bucket.verdict(), &[]);
    check(&bucket.with_versions(), &[("EvidenceReplaced", 5)]);
    check(&bucket.anchored(&read_all(&anchors)), &[("EvidenceContradicted", 5)]);
}

proptest! {
    #[test]
    fn any_byte_of_any_record_but_the_newest_is_guarded(sequence in 1_u64..=4, place in 0_usize..10_000, bit in 0_u8..8) {
        let mut bucket = Bucket::of(5);
        let bytes = bucket.bytes(sequence);
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        let verdict = bucket.verdict();
        prop_assert_eq!(verdict.state(), State::Damaged);
        let is_named = verdict.faults.iter().any(|fault| fault.sequence == Some(sequence));
        prop_assert!(is_named, "{:?}", verdict.faults);
    }

    #[test]
    fn no_object_stops_the_verification(bytes in proptest::collection::vec(any::<u8>(), 0..200), key in "[ -~]{0,40}") {
        let mut bucket = Bucket::of(3);
        *bucket.bytes(2) = bytes;
        bucket.put(&format!("evidence/rotate-random/{key}"), b"x");
        let verdict = bucket.with_versions();
        prop_assert!(named(&verdict).contains(&("EvidenceInvalid", Some(2))));
        prop_assert!(named(&verdict).iter().any(|(kind, _)| *kind == "EvidenceForeign"));
    }
}

#[test]
fn two_swapped_records_are_both_named() {
    let mut bucket = Bucket::of(6);
    let (two, four) = (bucket.bytes(2).clone(), bucket.bytes(4).clone());
    (*bucket.bytes(2), *bucket.bytes(4)) = (four, two);
    let verdict = bucket.verdict();
    check(&verdict, &[("EvidenceMisplaced", 2), ("EvidenceMisplaced", 4)]);
    let told = verdict.faults[0].what(Language::English);
    assert_eq!(told, "in the place of record 2 of rotate-random is number 4");
    // With their numbers exchanged, too.
    let mut bucket = Bucket::of(6);
    let renumbered = |bytes: &[u8], number: u64| {
        let mut record: Value = serde_json::from_slice(bytes).unwrap();
        record["sequence"] = number.into();
        serde_json::to_vec_pretty(&record).unwrap()
    };
    let (two, four) = (renumbered(bucket.bytes(2), 4), renumbered(bucket.bytes(4), 2));
    (*bucket.bytes(2), *bucket.bytes(4)) = (four, two);
    assert_eq!(
        named(&bucket.verdict()),
        [
            ("EvidenceAltered", Some(2)),
            ("EvidenceMislinked", Some(2)),
            ("EvidenceAltered", Some(4)),
            ("EvidenceMislinked", Some(4)),
        ]
    );
}

/// The chain with another outcome from a record on, consistent in itself.
fn rewritten(from: u64, length: u64) -> Bucket {
    let records = (1..=length).map(|sequence| {
        let mut record = record(PROCEDURE, sequence);
        if sequence == from {
            record["result"] = "failed".into();
        }
        record
    });
    Bucket::chained(PROCEDURE, records)
}

#[test]
fn a_chain_that_was_rewritten_consistently_is_contradicted_by_anchors_and_the_list_of_versions() {
    let true_chain = Bucket::of(9);
    let anchors = anchors(&true_chain, [3, 5, 8]);
    assert_eq!(anchors.len(), 3);
    let forged = rewritten(4, 9);
    // In itself it is whole.
    check(&forged.verdict(), &[]);
    let verdict = forged.anchored(&read_all(&anchors));
    check(&verdict, &[("EvidenceContradicted", 5), ("EvidenceContradicted", 8)]);
    assert_eq!(
        verdict.faults[0].what(Language::English),
        "record 5 of rotate-random is not the one that the anchor of 2026-03-06 12:00:00Z (anchors/moveongs/dev/9999999997.json) names"
    );
    assert_eq!(verdict.anchored.map(|pin| pin.sequence), Some(3));
    check(&true_chain.anchored(&read_all(&anchors)), &[]);
    // The true ones cannot go from a locked bucket: the forged ones are second versions.
    let mut over = true_chain.clone();
    for sequence in 4..=9 {
        let forged = forged.clone().bytes(sequence).clone();
        over.versions(sequence).push(Some(forged));
    }
    let expected: Vec<_> = (4..=9).map(|sequence| ("EvidenceReplaced", sequence)).collect();
    check(&over.with_versions(), &expected);
    // Not joined to what was left: the joint is named.
    let mut unjoined = Bucket::of(9);
    for sequence in 5..=9 {
        *unjoined.bytes(sequence) = rewritten(4, 9).bytes(sequence).clone();
    }
    check(&unjoined.verdict(), &[("EvidenceAltered", 4)]);
}

#[test]
fn a_forged_record_is_named_wherever_it_is_added() {
    // At the end, by somebody who knows the form but is not the function: no run noted it.
    let bucket = Bucket::of(4);
    let mut notes = Notes::new(PROCEDURE);
    for sequence in 2..=3 {
        let run = sha256(format!("run-{sequence}").as_bytes());
        let note = json!({"key": Folder::records(PROCEDURE).key(sequence)}).to_string();
        notes.note(&format!("runs/{PROCEDURE}/{run}.json"), note.as_bytes());
    }
    // The first record is older than the notes.
    let verdict = bucket.judge(Verifier::new(PROCEDURE).noted(notes.clone()));
    check(&verdict, &[("EvidenceUnnoted", 4)]);
    let unnoted = |mut verifier: Verifier| {
        bucket.seen().into_iter().for_each(|(key, bytes)| {
            verifier.record(key, bytes, None);
        });
        verifier.unnoted()
    };
    assert_eq!(unnoted(Verifier::new(PROCEDURE).noted(notes.clone())), 1);
    assert_eq!(unnoted(Verifier::new(PROCEDURE).noted(Notes::new(PROCEDURE))), 4);
    assert_eq!(unnoted(Verifier::new(PROCEDURE)), 0);
    let mut whole = bucket.clone();
    whole.delete(4);
    check(&whole.judge(Verifier::new(PROCEDURE).noted(notes.clone())), &[]);
    // A second record of a run that has its own.
    let mut again = record(PROCEDURE, 4);
    again["run_id"] = "run-3".into();
    let records = (1..=3).map(|sequence| record(PROCEDURE, sequence)).chain([again]);
    let again = Bucket::chained(PROCEDURE, records).judge(Verifier::new(PROCEDURE).noted(notes));
    check(&again, &[("EvidenceUnnoted", 4)]);
    assert_eq!(again.faults[0].harm, Harm::Unnoted { noted: Some(3) });
    // Far beyond the end.
    let mut far = Bucket::of(4);
    let key = Folder::records(PROCEDURE).key(400);
    far.put(&key, &serde_json::to_vec(&record(PROCEDURE, 400)).unwrap());
    let verdict = far.verdict();
    check(&verdict, &[("EvidenceMissing", 5), ("EvidenceMislinked", 400)]);
    // At the end, without a link to the record before it.
    let mut loose = Bucket::of(4);
    loose.put(&Folder::records(PROCEDURE).key(5), &serde_json::to_vec(&record(PROCEDURE, 5)).unwrap());
    check(&loose.verdict(), &[("EvidenceMislinked", 5)]);
    // Under a key that no function writes.
    for key in ["evidence/rotate-random/9999999994 .json", "evidence/rotate-random/x/9999999994.json"] {
        let mut foreign = Bucket::of(4);
        foreign.put(key, b"{}");
        for verdict in [foreign.verdict(), foreign.with_versions()] {
            assert_eq!(named(&verdict), [("EvidenceForeign", None)]);
            assert_eq!(verdict.faults[0].key, key);
        }
    }
}

#[test]
fn a_chain_cut_at_its_end_is_shorter_than_its_witnesses_know() {
    let whole = Bucket::of(9);
    let anchors = anchors(&whole, [3, 8]);
    let mut cut = whole.clone();
    [7, 8, 9].into_iter().for_each(|sequence| cut.delete(sequence));
    check(&cut.verdict(), &[]);
    let verdict = cut.anchored(&read_all(&anchors));
    check(&verdict, &[("EvidenceTruncated", 8)]);
    assert_eq!(
        verdict.faults[0].what(Language::Portuguese),
        "rotate-random termina no número 6, e a âncora de 2026-03-09 12:00:00Z (anchors/moveongs/dev/9999999997.json) mostra que existia o registro 8"
    );
    // A run noted place 9 once record 8 was there. A note of the next place is that of a run that died.
    let noted = |place: u64| {
        let mut notes = Notes::new(PROCEDURE);
        let note = json!({"key": Folder::records(PROCEDURE).key(place)}).to_string();
        notes.note("runs/rotate-random/0000.json", note.as_bytes());
        cut.judge(Verifier::new(PROCEDURE).noted(notes))
    };
    check(&noted(9), &[("EvidenceTruncated", 8)]);
    check(&noted(7), &[]);
    // Nothing is left of it.
    let nothing = Bucket::default();
    check(&nothing.anchored(&read_all(&anchors)), &[("EvidenceGone", 8)]);
    let mut notes = Notes::new(PROCEDURE);
    let mark = json!({"sequence": 1, "key": Folder::records(PROCEDURE).key(1), "sha256": "x"}).to_string();
    notes.note("runs/rotate-random/begun.json", mark.as_bytes());
    check(&nothing.judge(Verifier::new(PROCEDURE).noted(notes.clone())), &[("EvidenceGone", 1)]);
    // And it was begun anew.
    check(&whole.judge(Verifier::new(PROCEDURE).noted(notes)), &[("EvidenceContradicted", 1)]);
}

#[test]
fn a_replaced_bucket_is_contradicted_by_every_anchor_and_stored_late() {
    let anchors = anchors(&Bucket::of(9), [3, 8]);
    let replaced = rewritten(1, 9);
    check(
        &replaced.anchored(&read_all(&anchors)),
        &[("EvidenceContradicted", 3), ("EvidenceContradicted", 8)],
    );
    let mut verifier = Verifier::new(PROCEDURE);
    for (key, bytes) in replaced.seen() {
        verifier.record(key, bytes, Some(at(9) + 1.hour()));
    }
    let verdict = verifier.finish();
    let longest = SignedDuration::from_hours(8 * 24 + 1);
    assert_eq!(verdict.late, Some(Late { records: 8, longest }));
    check(&verdict, &[]);
}

#[test]
fn what_a_copy_of_the_newest_versions_hides_the_list_of_versions_shows() {
    // A record in the middle, and the newest one, hidden by a marker.
    for sequence in [3, 5] {
        let mut hidden = Bucket::of(5);
        hidden.versions(sequence).push(None);
        let verdict = hidden.with_versions();
        check(&verdict, &[("EvidenceHidden", sequence)]);
        assert_eq!(verdict.faults[0].harm, Harm::Hidden { marker: "v1".to_owned() });
    }
    let mut all = Bucket::of(5);
    (1..=5).for_each(|sequence| all.versions(sequence).push(None));
    let expected: Vec<_> = (1..=5).map(|sequence| ("EvidenceHidden", sequence)).collect();
    check(&all.with_versions(), &expected);
    // Written again, also after it was hidden; and hidden after it was written again.
    let mut again = Bucket::of(5);
    let same = again.bytes(3).clone();
    again.versions(3).push(Some(same.clone()));
    let verdict = again.with_versions();
    check(&verdict, &[("EvidenceReplaced", 3)]);
    assert_eq!(verdict.faults[0].harm, Harm::Replaced { versions: vec!["v0".to_owned(), "v1".to_owned()] });
    let mut after = Bucket::of(5);
    *after.versions(3) = vec![None, Some(same.clone())];
    check(&after.with_versions(), &[("EvidenceReplaced", 3)]);
    let mut both = Bucket::of(5);
    both.versions(3).extend([Some(same), None]);
    assert_eq!(named(&both.with_versions()), [("EvidenceHidden", Some(3)), ("EvidenceReplaced", Some(3))]);
    // Only its marker is left.
    let mut marker = Bucket::of(5);
    *marker.versions(3) = vec![None];
    check(&marker.with_versions(), &[("EvidenceHidden", 3)]);
}

#[test]
fn a_record_of_another_place_is_named() {
    let swap = |change: fn(&mut Value)| {
        let mut bucket = Bucket::of(4);
        let mut record: Value = serde_json::from_slice(bucket.bytes(2)).unwrap();
        change(&mut record);
        *bucket.bytes(2) = serde_json::to_vec_pretty(&record).unwrap();
        bucket.verdict()
    };
    let verdict = swap(|record| record["environment"] = "prod".into());
    check(&verdict, &[("EvidenceOfOtherStack", 2)]);
    let told = verdict.faults[0].what(Language::English);
    assert_eq!(told, "in the place of record 2 of rotate-random is one of another stack: moveongs, prod");
    check(&swap(|record| record["project"] = "other".into()), &[("EvidenceOfOtherStack", 2)]);
    check(&swap(|record| record["procedure"] = "rotate-database".into()), &[("EvidenceOfOtherProcedure", 2)]);
    check(&swap(|record| record["schema"] = 2.into()), &[("EvidenceOfOtherForm", 2)]);
    check(&swap(|record| record["sequence"] = 3.into()), &[("EvidenceMisplaced", 2)]);
    check(
        &swap(|record| record["previous"]["key"] = "evidence/rotate-random/9999999996.json".into()),
        &[("EvidenceAltered", 2), ("EvidenceMislinked", 2)],
    );
    // Without a stack given, the first record's is that of all.
    let mut bucket = Bucket::of(3);
    let mut record: Value = serde_json::from_slice(bucket.bytes(3)).unwrap();
    record["environment"] = "prod".into();
    *bucket.bytes(3) = record.to_string().into_bytes();
    check(&bucket.judge(Verifier::new(PROCEDURE)), &[("EvidenceOfOtherStack", 3)]);
}

#[test]
fn what_is_no_record_is_named_with_its_reason() {
    let put = |bytes: &[u8]| {
        let mut bucket = Bucket::of(3);
        *bucket.bytes(2) = bytes.to_vec();
        bucket.verdict()
    };
    let own = String::from_utf8(Bucket::of(3).bytes(2).clone()).unwrap();
    let twice = own.replacen("\"outcome\"", "\"outcome\": \"failed\", \"outcome\"", 1);
    let cases: [(Vec<u8>, &str); 8] = [
        (b"".to_vec(), "EOF"),
        (b"not JSON".to_vec(), "expected"),
        (b"{}".to_vec(), "missing field `schema`"),
        (b"\xff{}".to_vec(), "expected"),
        (own.replace("\"run_id\"", "\"run\"").into_bytes(), "missing field `run_id`"),
        (own.replace("\"previous\"", "\"before\"").into_bytes(), "missing field `previous`"),
        (twice.into_bytes(), "the name `outcome` twice"),
        (format!("{own} {own}").into_bytes(), "trailing characters"),
    ];
    for (bytes, expected) in cases {
        let verdict = put(&bytes);
        check(&verdict, &[("EvidenceInvalid", 2)]);
        let Harm::Invalid { reason } = &verdict.faults[0].harm else { panic!() };
        assert!(reason.contains(expected), "{reason}");
    }
    let large = vec![b' '; usize::try_from(MOST_BYTES).unwrap() + 1];
    check(&put(&large), &[("EvidenceTooLarge", 2)]);
    // A reason is short and one line.
    let planted = format!("{{\"schema\": \"{}\\u001b\"}}", "x".repeat(10_000));
    let Harm::Invalid { reason } = &put(planted.as_bytes()).faults[0].harm else { panic!() };
    assert!(reason.chars().count() <= 200 && !reason.contains(char::is_control), "{reason}");
}

#[test]
fn what_could_not_be_read_is_unknown_and_never_verified() {
    let bucket = Bucket::of(4);
    let mut verifier = Verifier::new(PROCEDURE);
    for (place, (key, bytes)) in bucket.seen().into_iter().enumerate() {
        if place == 1 {
            verifier.unread(key, "AccessDenied");
        } else {
            verifier.record(key, bytes, None);
        }
    }
    let verdict = verifier.finish();
    assert_eq!((verdict.state(), named(&verdict)), (State::Unknown, vec![]));
    assert_eq!(verdict.unknown[0].sequence, Some(2));
    let told = verdict.unknown[0].what(Language::English);
    assert_eq!(told, "rotate-random: evidence/rotate-random/9999999997.json could not be read: AccessDenied");
    // Not in the chain's order: the caller's mistake is no verdict.
    let mut verifier = Verifier::new(PROCEDURE);
    bucket.seen().into_iter().rev().for_each(|(key, bytes)| {
        verifier.record(key, bytes, None);
    });
    assert_ne!(verifier.finish().state(), State::Verified);
    let mut notes = Notes::new(PROCEDURE);
    notes.note("runs/rotate-random/begun.json", b"{}");
    assert_eq!(bucket.judge(Verifier::new(PROCEDURE).noted(notes)).state(), State::Unknown);
}

#[test]
fn notes_are_witnesses_if_they_show_or_may_show_a_record() {
    let place = |sequence: u64| json!({"key": Folder::records(PROCEDURE).key(sequence)}).to_string();
    let mark = json!({"sequence": 1, "key": Folder::records(PROCEDURE).key(1), "sha256": "x"}).to_string();
    let padded = format!("{mark}{}", " ".repeat(10_000));
    let (run, begun) = ("runs/rotate-random/0.json", "runs/rotate-random/begun.json");
    for (key, text, is_witness, newest) in [
        (run, place(1), false, Some(1)),
        (run, place(2), true, Some(2)),
        (run, "{}".to_owned(), false, None),
        (begun, mark, true, None),
        (begun, padded, true, None),
        (begun, "x".to_owned(), true, None),
    ] {
        let mut notes = Notes::new(PROCEDURE);
        notes.note(key, text.as_bytes());
        assert_eq!((notes.is_witness(), notes.newest()), (is_witness, newest), "{key}: {text:.40}");
    }
    // Too large to be read.
    for (key, is_witness) in [(run, false), (begun, true), ("runs/rotate-database/begun.json", false)] {
        let mut notes = Notes::new(PROCEDURE);
        notes.large(key, MOST_BYTES + 1);
        assert_eq!((notes.is_witness(), notes.has_begun()), (is_witness, false), "{key}");
    }
}

#[test]
fn documents_beside_the_notes_say_nothing() {
    let mut notes = Notes::new(PROCEDURE);
    for (key, bytes) in [
        ("runs/rotate-random/0.json", r#"{"key": "evidence/rotate-random/9999999990.json", "more": 1}"#),
        ("runs/rotate-random/1.json", r#"{"key": "evidence/rotate-database/9999999990.json"}"#),
        ("runs/rotate-random/2.json", r#"["journal"]"#),
        ("runs/rotate-random/3.txt", r#"{"key": "evidence/rotate-random/9999999990.json"}"#),
        ("runs/rotate-database/4.json", r#"{"key": "evidence/rotate-random/9999999990.json"}"#),
        ("runs/rotate-random2/5.json", r#"{"key": "evidence/rotate-random/9999999990.json"}"#),
        ("ledger/rotation.json", "{}"),
    ] {
        notes.note(key, bytes.as_bytes());
    }
    check(&Bucket::of(2).judge(Verifier::new(PROCEDURE).noted(notes)), &[]);
}

#[test]
fn a_verification_continues_where_an_earlier_one_ended() {
    let whole = Bucket::of(8);
    let anchors = read_all(&anchors(&whole, [5]));
    let listing = |bucket: &Bucket| Listing::of(&Folder::records(PROCEDURE), bucket.listed());
    let mut part = whole.clone();
    part.0.truncate(5);
    let (head, seal) = (part.verdict().head.unwrap(), listing(&part).seal(5));
    let resume = |bucket: &Bucket| {
        let mut verifier = Verifier::new(PROCEDURE).listed(&listing(bucket)).after(head.clone());
        verifier = verifier.witnessed(anchors.pins(PROCEDURE));
        for (key, bytes) in
            bucket.seen().into_iter().filter(|(key, _)| *key < Folder::records(PROCEDURE).key(5).as_str())
        {
            verifier.record(key, bytes, None);
        }
        verifier.finish()
    };
    // Nothing new, and three new records.
    let verdict = resume(&part);
    check(&verdict, &[]);
    assert_eq!((verdict.read, verdict.from, verdict.head), (0, 6, Some(head.clone())));
    assert_eq!(verdict.anchored.map(|pin| pin.sequence), Some(5));
    let verdict = resume(&whole);
    check(&verdict, &[]);
    assert_eq!((verdict.read, verdict.head.map(|head| head.sequence)), (3, Some(8)));
    assert_eq!(listing(&whole).seal(5), seal);
    // The list shows a change to what was read before, whatever it is.
    let changes: [fn(&mut Bucket); 4] = [
        |bucket| bucket.delete(2),
        |bucket| bucket.versions(2).push(None),
        |bucket| {
            let same = bucket.bytes(2).clone();
            bucket.versions(2).push(Some(same));
        },
        |bucket| *bucket.bytes(2) = b"{}".to_vec(),
    ];
    for change in changes {
        let mut changed = whole.clone();
        change(&mut changed);
        assert_ne!(listing(&changed).seal(5), seal);
    }
    // The head itself was rewritten.
    check(&resume(&rewritten(5, 8)), &[("EvidenceAltered", 5)]);
    let other = Head { sha256: "x".to_owned(), ..head.clone() };
    let verdict = Verifier::new(PROCEDURE).after(other).witnessed(anchors.pins(PROCEDURE)).finish();
    check(&verdict, &[("EvidenceContradicted", 5)]);
    // What is left is whole in itself, and less than an earlier verification knows.
    let mut cut = whole.clone();
    cut.0.truncate(3);
    check(&cut.judge(Verifier::new(PROCEDURE).witnessed([head.pin()])), &[("EvidenceTruncated", 5)]);
    // In the middle of a chain, with its neighbour as a witness.
    let mut one = Verifier::new(PROCEDURE).starting(3);
    whole.seen().into_iter().skip(2).take(2).for_each(|(key, bytes)| {
        assert!(one.record(key, bytes, None).is_some());
    });
    check(&one.finish(), &[]);
}

#[test]
fn an_anchor_names_what_is_verified_and_is_made_once() {
    let (whole, other) =
        (Bucket::of(5).verdict(), Bucket::chained("backup-audit", [record("backup-audit", 1)]));
    let other = other.judge(Verifier::new("backup-audit"));
    let now = at(30);
    let first = next(None, &stack(), BUCKET, [&whole, &other], now).unwrap().unwrap();
    assert_eq!(first.key(), "anchors/moveongs/dev/9999999998.json");
    assert_eq!(Anchor::read(&first.bytes()), Ok(first.clone()));
    let sequences = |anchor: &Anchor| -> Vec<_> {
        anchor.heads.iter().map(|(name, head)| (name.clone(), head.sequence)).collect()
    };
    assert_eq!(sequences(&first), [("backup-audit".to_owned(), 1), (PROCEDURE.to_owned(), 5)]);
    let newest = Newest::from(first.clone());
    let after = |verdicts: &[&Verdict]| {
        next(Some(&newest), &stack(), BUCKET, verdicts.iter().copied(), now + 1.hour()).unwrap()
    };
    // The same heads, less, damaged, unknown or nothing: no anchor.
    assert_eq!(after(&[&whole, &other]), None);
    assert_eq!(after(&[]), None);
    assert_eq!(after(&[&Bucket::of(4).verdict()]), None);
    let mut damaged = Bucket::of(9);
    damaged.delete(2);
    assert_eq!(after(&[&damaged.verdict()]), None);
    assert_eq!(next(None, &stack(), BUCKET, [&damaged.verdict()], now), Ok(None));
    // A longer chain: the others keep their heads.
    let second = after(&[&Bucket::of(6).verdict()]).unwrap();
    assert_eq!(sequences(&second), [("backup-audit".to_owned(), 1), (PROCEDURE.to_owned(), 6)]);
    assert_eq!(second.previous, Some(Link { key: first.key(), sha256: sha256(&newest.bytes) }));
    // Another checkpoint of the same head is news; none is not, and neither is that of another record.
    let with = |checkpoint: Option<&str>, sha256: Option<&str>| {
        let mut verdict = whole.clone();
        let head = verdict.head.as_mut().unwrap();
        head.checkpoint = checkpoint.map(str::to_owned);
        head.sha256 = sha256.map_or(head.sha256.clone(), str::to_owned);
        verdict
    };
    let kept = after(&[&with(Some("c"), None)]).unwrap();
    let mut read = read_all(&[first.clone(), kept.clone()]);
    assert_eq!((read.checkpoint(PROCEDURE), read.checkpoint("backup-audit")), (Some("c"), None));
    let third =
        next(Some(&Newest::from(kept)), &stack(), BUCKET, [&with(None, None), &with(Some("c"), None)], now);
    assert_eq!(third, Ok(None));
    assert_eq!(after(&[&with(Some("c"), Some("x"))]), None);
    read.unread("anchors/moveongs/dev/9999999996.json", "x");
    assert_eq!(read.pins(PROCEDURE).len(), 1);
    // Two stacks must not share a place.
    let prod = Stack { environment: "prod".to_owned(), ..stack() };
    assert_eq!(next(Some(&newest), &prod, BUCKET, [], now), Err(Harm::OtherStack { says: stack() }));
    let other = next(Some(&newest), &stack(), "other", [], now);
    assert_eq!(other, Err(Harm::OtherBucket { says: BUCKET.to_owned() }));
}

#[test]
fn anchors_are_verified_as_records_are() {
    let anchors = anchors(&Bucket::of(9), [1, 3, 5, 8]);
    let verdict = read_all(&anchors).finish();
    check(&verdict, &[]);
    assert_eq!((verdict.chain.as_str(), verdict.head.map(|head| head.sequence)), ("anchors", Some(4)));
    let procedures = read_all(&anchors);
    assert_eq!(procedures.procedures().collect::<Vec<_>>(), [PROCEDURE]);
    assert_eq!(procedures.newest().unwrap().anchor, anchors[3]);

    let missing: Vec<_> = anchors.iter().filter(|anchor| anchor.sequence != 2).cloned().collect();
    check(&read_all(&missing).finish(), &[("EvidenceMissing", 2)]);
    let mut altered = anchors.clone();
    altered[1].at = at(99);
    check(&read_all(&altered).finish(), &[("EvidenceAltered", 2)]);
    // Named as its own: an anchor that gives up what an earlier one names.
    let mut shrunk = anchors.clone();
    shrunk[3].heads.clear();
    check(&read_all(&shrunk).finish(), &[("EvidenceInvalid", 4)]);
    let mut foreign = anchors.clone();
    foreign[3].bucket = "other".to_owned();
    let foreign = read_all(&foreign);
    assert_eq!(foreign.pins(PROCEDURE).len(), 3);
    check(&foreign.finish(), &[("EvidenceOfOtherBucket", 4)]);
    let mut prod = anchors.clone();
    prod[3].stack.environment = "prod".to_owned();
    let key = anchors[3].key();
    let mut read = Anchors::new(stack(), None);
    anchors[..3].iter().for_each(|anchor| read.anchor(&anchor.key(), &anchor.bytes()));
    read.anchor(&key, &prod[3].bytes());
    check(&read.finish(), &[("EvidenceOfOtherStack", 4)]);
    // A copy elsewhere, such as in a repository: the anchors' own bucket may be rewritten, too.
    let copied = |copy: &[u8], anchors: &[Anchor]| {
        let mut read = Anchors::new(stack(), Some(BUCKET)).witnessed("o/n: anchors.json", copy);
        anchors.iter().for_each(|anchor| read.anchor(&anchor.key(), &anchor.bytes()));
        read
    };
    let copy = anchors[2].bytes();
    check(&copied(&copy, &anchors).finish(), &[]);
    let again = self::anchors(&rewritten(2, 9), [1, 3, 5, 8]);
    check(&read_all(&again).finish(), &[]);
    let other = copied(&copy, &again);
    check(&rewritten(2, 9).anchored(&other), &[("EvidenceContradicted", 5)]);
    check(&other.finish(), &[("EvidenceContradicted", 3)]);
    check(&copied(&copy, &anchors[..2]).finish(), &[("EvidenceTruncated", 3)]);
    check(&copied(&copy, &[]).finish(), &[("EvidenceGone", 3)]);
    check(&Bucket::default().anchored(&copied(&copy, &[])), &[("EvidenceGone", 5)]);
    assert_eq!(named(&copied(b"x", &anchors).finish()), [("EvidenceInvalid", None)]);
    // The newest known one and those after it.
    let known = || Anchors::new(stack(), Some(BUCKET)).known(3, &sha256(&anchors[2].bytes()));
    let mut part = known().starting(3);
    assert_eq!(part.from(), 3);
    anchors[2..].iter().for_each(|anchor| part.anchor(&anchor.key(), &anchor.bytes()));
    check(&part.finish(), &[]);
    // One that is rewritten with all before it, read from there or whole.
    for mut read in [known().starting(3), known()] {
        let again = again.iter().filter(|anchor| anchor.sequence >= read.from()).collect::<Vec<_>>();
        again.iter().for_each(|anchor| read.anchor(&anchor.key(), &anchor.bytes()));
        check(&read.finish(), &[("EvidenceContradicted", 3)]);
    }
    // A copy that is older than the known one is compared, too.
    let mut older = known().witnessed("o/n: anchors.json", &anchors[1].bytes()).starting(3);
    assert_eq!(older.from(), 2);
    anchors[1..].iter().for_each(|anchor| older.anchor(&anchor.key(), &anchor.bytes()));
    check(&older.finish(), &[]);
    let mut zero = anchors[0].clone();
    zero.sequence = 0;
    assert_eq!(named(&copied(&zero.bytes(), &anchors).finish()), [("EvidenceMisplaced", None)]);
    let mut none = known().starting(3);
    none.anchor(&anchors[3].key(), &anchors[3].bytes());
    check(&none.finish(), &[("EvidenceMissing", 3)]);
    // The newest known one is gone, with those after it.
    let verdict = known().starting(3).finish();
    check(&verdict, &[("EvidenceGone", 3)]);
    let told = verdict.faults[0].what(Language::English);
    assert_eq!(told, "nothing of anchors is left, and an earlier verification shows that number 3 existed");
    let mut unread = Anchors::new(stack(), None);
    unread.unread(&anchors[0].key(), "AccessDenied");
    assert_eq!(unread.finish().state(), State::Unknown);
}

#[test]
fn the_list_that_the_aws_cli_prints_is_read_whole_or_not_at_all() {
    let printed = json!({
        "Versions": [{"ETag": "\"x\"", "Size": 7, "StorageClass": "STANDARD", "Key": "evidence/p/9999999998.json",
            "VersionId": "v1", "IsLatest": false, "LastModified": "2026-03-01T12:00:00+00:00", "Owner": {"ID": "o"}}],
        "DeleteMarkers": [{"Owner": {"ID": "o"}, "Key": "evidence/p/9999999998.json", "VersionId": "v2",
            "IsLatest": true, "LastModified": "2026-03-02T12:00:00.000Z"}],
        "RequestCharged": null, "Prefix": "evidence/"
    });
    let read = versions(printed.to_string().as_bytes()).unwrap();
    let object = Version {
        key: "evidence/p/9999999998.json".to_owned(),
        id: "v1".to_owned(),
        etag: "\"x\"".to_owned(),
        size: 7,
        is_latest: false,
        is_marker: false,
        modified: Some(at(0)),
    };
    let marker = Version {
        id: "v2".to_owned(),
        etag: String::new(),
        size: 0,
        is_latest: true,
        is_marker: true,
        modified: Some(at(1)),
        ..object.clone()
    };
    assert_eq!(read, [object, marker]);
    for (text, reason) in [
        ("", "EOF"),
        ("[]", "invalid length"),
        ("{}", "neither Versions nor DeleteMarkers"),
        (r#"{"Versions": [], "NextToken": "x"}"#, "not complete"),
        (r#"{"Versions": [], "IsTruncated": true}"#, "not complete"),
        (r#"{"Versions": [{"Key": "x"}]}"#, "missing field"),
    ] {
        let error = versions(text.as_bytes()).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn a_record_of_bc640d8_is_read() {
    let recorded = include_str!("../../../tests/recorded/rotation-audit-record.json");
    let read: Value = serde_json::from_str(recorded).unwrap();
    let sequence = read["sequence"].as_u64().unwrap();
    let mut verifier = Verifier::new("rotation-audit").of(stack()).starting(sequence);
    let key = Folder::records("rotation-audit").key(sequence);
    let record = verifier.record(&key, recorded.as_bytes(), None).unwrap();
    assert_eq!(record.run_id, read["run_id"].as_str().unwrap());
    check(&verifier.finish(), &[]);
}
