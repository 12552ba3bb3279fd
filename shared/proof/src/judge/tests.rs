use std::time::Duration;

use super::*;
use crate::content::{Buckets, Sample};
use crate::newest::Newest;
use crate::plan::{AgedColumn, DigestChain};
use crate::reading::Server;
use crate::sequence::Sequence;

const TABLE: &str = "public.beneficiaries";

fn plan() -> Plan {
    Plan {
        critical: vec!["beneficiaries".to_owned()],
        tolerance_percent: 10,
        newest: vec![AgedColumn {
            table: "audit_logs".to_owned(),
            column: "created_at".to_owned(),
            limit: Duration::from_secs(3600),
        }],
        chain: Some(DigestChain { rows: "audit_logs".to_owned(), digests: "audit_log_digests".to_owned() }),
        statement: Duration::from_secs(10),
        connections: 2,
        sample_rows: 10,
        volatile: Vec::new(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn facts() -> Facts {
    Facts { snapshot: at(0), major: None }
}

/// One row per pair: its bucket and its hash.
fn content(rows: &[(usize, u64)]) -> Content {
    let mut buckets = Buckets::default();
    for (bucket, hash) in rows {
        buckets.add(*bucket, [*hash, hash.wrapping_mul(31)]);
    }
    Content { rows: rows.len() as u64, buckets, one_snapshot: true }
}

/// Rows 1 to `count`, in the bucket of their number.
fn rows(count: u64) -> Vec<(usize, u64)> {
    (1..=count).map(|row| (usize::try_from(row % 256).unwrap(), row)).collect()
}

fn table(rows: &[(usize, u64)]) -> Table {
    let keys = rows
        .first()
        .zip(rows.last())
        .map(|(first, last)| KeyRange { least: first.1.to_string(), greatest: last.1.to_string() });
    let first = rows.iter().take(3).map(|(_, hash)| hash).sum();
    Table {
        content: Outcome::Read(content(rows)),
        keys: Outcome::Read(keys),
        sample: Outcome::Read(Some(Sample { rows: 3, sums: [first, first] })),
        ..Table::default()
    }
}

fn server(major: u32) -> Server {
    Server {
        version: format!("{major}.1"),
        major,
        database: "app".to_owned(),
        reader: ROLE.to_owned(),
        data_checksums: true,
        amcheck: true,
    }
}

fn with_structure(mut reading: Reading, objects: &[(Aspect, &str, &str)]) -> Reading {
    let mut structure = Structure::default();
    for aspect in Aspect::ALL {
        structure.objects.insert(aspect, Definitions::new());
    }
    for (aspect, name, definition) in objects {
        structure.objects.get_mut(aspect).unwrap().insert((*name).to_owned(), (*definition).to_owned());
    }
    reading.structure = Outcome::Read(structure);
    reading
}

/// A server with one table, read to its end.
fn reading(rows: &[(usize, u64)]) -> Reading {
    let mut reading = Reading { server: Some(server(15)), ..Reading::default() };
    reading.times.started = Some(at(-3600));
    reading.tables.insert(TABLE.to_owned(), table(rows));
    reading
        .newest
        .insert("public.audit_logs.created_at".to_owned(), Outcome::Read(Newest { value: Some(at(-60)) }));
    reading.chain = Some(Outcome::Read(Chain { rows: 2, digests: Some(2), ..Chain::default() }));
    with_structure(reading, &[(Aspect::Table, TABLE, "table")])
}

fn judged(before: Option<&Reading>, after: Option<&Reading>, copy: &Reading) -> Vec<Line> {
    judge(&plan(), before, after, copy, &facts())
}

fn of(lines: &[Line], check: Check) -> Vec<(String, Verdict)> {
    let one = |line: &Line| (line.check == check).then(|| (line.object.clone(), line.verdict));
    lines.iter().filter_map(one).collect()
}

/// Checks that do not hold, or are not verified.
fn bad(lines: &[Line]) -> Vec<(Check, Verdict)> {
    lines.iter().filter(|line| line.verdict != Verdict::Pass).map(|line| (line.check, line.verdict)).collect()
}

#[test]
fn a_copy_that_equals_its_source_passes() {
    let source = reading(&rows(300));
    let lines = judged(Some(&source), Some(&source), &source);
    assert_eq!(bad(&lines), []);
    assert_eq!(worst(&lines), Verdict::Pass);
    assert_eq!(worst(&[]), Verdict::Unverified);
}

#[test]
fn rows_of_a_fixed_source_have_to_be_equal() {
    use Verdict::Fail;
    let source = reading(&rows(300));
    let (mut one_less, mut altered, mut swapped) = (rows(300), rows(300), rows(300));
    one_less.pop();
    altered[7].1 += 1;
    (swapped[4].1, swapped[9].1) = (swapped[9].1, swapped[4].1);
    for (name, copy, expected) in [
        ("one row less", one_less, vec![(Check::Rows, Fail), (Check::Content, Fail), (Check::Keys, Fail)]),
        ("one altered row", altered, vec![(Check::Content, Fail)]),
        ("two swapped rows", swapped, vec![(Check::Content, Fail)]),
        ("no row", Vec::new(), vec![(Check::Rows, Fail), (Check::Content, Fail), (Check::Keys, Fail)]),
    ] {
        let lines = judged(Some(&source), Some(&source), &reading(&copy));
        assert_eq!(bad(&lines), expected, "{name}");
        assert!(lines.iter().filter(|line| line.verdict == Fail).all(|line| line.object == TABLE), "{name}");
    }
}

#[test]
fn rows_of_a_changed_source_are_within_tolerance_and_equal_where_nothing_changed() {
    use Verdict::{Fail, Pass};
    let (before, after) = (reading(&rows(100)), reading(&rows(110)));
    let rows_and_content = |copy: &[(usize, u64)]| {
        let lines = judged(Some(&before), Some(&after), &reading(copy));
        (of(&lines, Check::Rows)[0].1, of(&lines, Check::Content)[0].1)
    };
    // 90 and 121 are the limits.
    for (count, expected) in [
        (105, (Pass, Pass)),
        (100, (Pass, Pass)),
        (121, (Pass, Fail)),
        (122, (Fail, Fail)),
        (90, (Pass, Fail)),
        (89, (Fail, Fail)),
    ] {
        assert_eq!(rows_and_content(&rows(count)), expected, "{count} rows");
    }
    let mut altered = rows(105);
    altered[50].1 += 1;
    assert_eq!(rows_and_content(&altered), (Pass, Fail), "a row that did not change in the source");
    let mut new = rows(105);
    new[103].1 += 1;
    assert_eq!(rows_and_content(&new), (Pass, Pass), "a row that did");
}

#[test]
fn a_count_is_only_judged_by_readings_that_are_near() {
    let (before, mut after) = (reading(&rows(100)), reading(&rows(110)));
    let copy = reading(&rows(200));
    let mut verdict = |started| {
        after.times.started = started;
        of(&judged(Some(&before), Some(&after), &copy), Check::Rows)[0].1
    };
    let day = 24 * 3600;
    assert_eq!(verdict(Some(at(2 * day))), Verdict::Fail);
    assert_eq!(verdict(Some(at(2 * day + 1))), Verdict::Unverified);
    assert_eq!(verdict(None), Verdict::Unverified);
}

#[test]
fn a_volatile_table_is_read_and_not_compared() {
    use Verdict::{Pass, Unverified};
    let volatile = Plan { volatile: vec!["beneficiaries".to_owned()], ..plan() };
    let judged = |before: &[(usize, u64)], after: &[(usize, u64)], copy: &[(usize, u64)]| {
        let (before, after, copy) = (reading(before), reading(after), reading(copy));
        let lines = judge(&volatile, Some(&before), Some(&after), &copy, &facts());
        let figure = lines.iter().find(|line| line.check == Check::Content).unwrap().figure.clone();
        assert_eq!(figure, Figure::Volatile { rows: copy.rows() });
        (of(&lines, Check::Rows)[0].1, of(&lines, Check::Content)[0].1, worst(&lines))
    };
    let other: Vec<_> = rows(300).into_iter().map(|(bucket, hash)| (bucket, hash + 9)).collect();
    assert_eq!(judged(&rows(300), &rows(300), &other), (Pass, Pass, Pass));
    assert_eq!(judged(&[], &[], &rows(2)), (Pass, Pass, Pass));
    assert_eq!(judged(&rows(2), &[], &[]), (Pass, Pass, Pass));
    assert_eq!(judged(&rows(2), &rows(3), &[]), (Unverified, Pass, Unverified));
    let mut broken = reading(&[]);
    let failure = Failure::new(FailureKind::Corrupt, "bad page");
    broken.tables.get_mut(TABLE).unwrap().content = Outcome::Failed(failure);
    let lines = judge(&volatile, Some(&broken), Some(&broken), &broken, &facts());
    assert_eq!(of(&lines, Check::Content)[0].1, Verdict::Fail);
}

#[test]
fn an_upgraded_copy_is_said() {
    use crate::text::sentence;
    let source = reading(&rows(3));
    let verdicts = |major| {
        let facts = Facts { major, ..facts() };
        let lines = judge(&plan(), Some(&source), Some(&source), &source, &facts);
        let line = lines.into_iter().find(|line| line.check == Check::Version);
        line.map(|line| (line.verdict, sentence(&line, policy::language::Language::English)))
    };
    assert_eq!(verdicts(None), None);
    assert_eq!(verdicts(Some(15)).unwrap().0, Verdict::Pass);
    let (verdict, sentence) = verdicts(Some(12)).unwrap();
    assert_eq!(verdict, Verdict::Unverified);
    assert_eq!(
        sentence,
        "the snapshot's major version: app: in the source: PostgreSQL 12; in the copy: PostgreSQL 15. \
         RDS no longer restores the snapshot's version: upgrade the source."
    );
}

#[test]
fn a_row_that_came_between_two_statements_is_no_damage() {
    let copy = reading(&rows(100));
    let mut after = copy.clone();
    after.tables.get_mut(TABLE).unwrap().keys = table(&rows(101)).keys;
    let lines = judged(None, Some(&after), &copy);
    assert_eq!(bad(&lines), []);
    assert_eq!(of(&lines, Check::Keys), [], "nothing to compare with");
}

#[test]
fn a_single_reading_of_the_source_proves_equality_only() {
    use Verdict::{Pass, Unverified};
    let source = reading(&rows(100));
    for (before, after) in [(Some(&source), None), (None, Some(&source))] {
        let lines = judged(before, after, &source);
        assert_eq!(bad(&lines), []);
        let lines = judged(before, after, &reading(&rows(105)));
        assert_eq!(of(&lines, Check::Rows)[0].1, Pass);
        assert_eq!(of(&lines, Check::Content)[0].1, Unverified);
        // The source may have doubled since.
        let lines = judged(before, after, &reading(&rows(50)));
        assert_eq!(of(&lines, Check::Rows)[0].1, Unverified);
        assert_eq!(of(&lines, Check::Content)[0].1, Unverified);
    }
    let lines = judged(None, None, &source);
    assert_eq!(of(&lines, Check::Rows)[0].1, Unverified);
    assert_eq!(of(&lines, Check::Content)[0].1, Unverified);
    assert!(of(&lines, Check::Structure(Aspect::Table)).iter().all(|(_, verdict)| *verdict == Unverified));
}

#[test]
fn a_table_that_changed_everywhere_is_proved_by_its_first_rows() {
    let everywhere = |extra: u64| -> Vec<(usize, u64)> {
        let new = (0..256).map(move |bucket| (bucket, 1_000_000 + extra));
        rows(300).into_iter().chain(new).collect()
    };
    let (before, after) = (reading(&everywhere(1)), reading(&everywhere(2)));
    let lines = judged(Some(&before), Some(&after), &reading(&everywhere(3)));
    assert_eq!(of(&lines, Check::Sample), [(TABLE.to_owned(), Verdict::Pass)]);
    assert_eq!(of(&lines, Check::Content), [(TABLE.to_owned(), Verdict::Pass)]);

    let mut altered = everywhere(3);
    altered[1].1 += 1;
    let lines = judged(Some(&before), Some(&after), &reading(&altered));
    assert_eq!(of(&lines, Check::Sample), [(TABLE.to_owned(), Verdict::Fail)]);

    let mut unsampled = after;
    unsampled.tables.get_mut(TABLE).unwrap().sample = Outcome::Read(None);
    let lines = judged(Some(&before), Some(&unsampled), &reading(&everywhere(3)));
    assert_eq!(of(&lines, Check::Content), [(TABLE.to_owned(), Verdict::Unverified)]);
}

#[test]
fn a_source_that_was_not_read_in_one_snapshot_is_not_exact() {
    let mut source = reading(&rows(100));
    let table = source.tables.get_mut(TABLE).unwrap();
    table.content = Outcome::Read(Content { one_snapshot: false, ..content(&rows(101)) });
    let lines = judged(Some(&source), Some(&source), &reading(&rows(100)));
    assert_eq!(of(&lines, Check::Rows)[0].1, Verdict::Pass);
    assert_eq!(of(&lines, Check::Content)[0].1, Verdict::NotFinished);
}

#[test]
fn rows_of_an_unlogged_table_are_not_in_a_snapshot() {
    let source = reading(&rows(100));
    let mut copy = reading(&[]);
    copy.tables.get_mut(TABLE).unwrap().unlogged = true;
    assert_eq!(worst(&judged(Some(&source), Some(&source), &copy)), Verdict::Unavailable);
}

#[test]
fn a_failure_is_never_a_pass() {
    let source = reading(&rows(100));
    for (kind, expected) in [
        (FailureKind::Denied, Verdict::Unverified),
        (FailureKind::Locked, Verdict::Unverified),
        (FailureKind::Other, Verdict::Unverified),
        (FailureKind::TimedOut, Verdict::NotFinished),
        (FailureKind::Corrupt, Verdict::Fail),
        (FailureKind::Vanished, Verdict::Fail),
        (FailureKind::Unavailable, Verdict::Unavailable),
    ] {
        let failed = || Failure::new(kind, "reason");
        type Breaks = fn(&mut Reading, Failure);
        let breaks: [(Check, Breaks); 9] = [
            (Check::Content, |copy, failure| {
                copy.tables.get_mut(TABLE).unwrap().content = Outcome::Failed(failure)
            }),
            (Check::Keys, |copy, failure| {
                copy.tables.get_mut(TABLE).unwrap().keys = Outcome::Failed(failure)
            }),
            (Check::ForeignKey, |copy, failure| {
                copy.foreign_keys.insert("k".to_owned(), Outcome::Failed(failure));
            }),
            (Check::Sequence, |copy, failure| {
                copy.sequences.insert("s".to_owned(), Outcome::Failed(failure));
            }),
            (Check::Newest, |copy, failure| {
                copy.newest.insert("public.audit_logs.created_at".to_owned(), Outcome::Failed(failure));
            }),
            (Check::Chain, |copy, failure| copy.chain = Some(Outcome::Failed(failure))),
            (Check::Heap, |copy, failure| {
                copy.heaps.insert("h".to_owned(), Outcome::Failed(failure));
            }),
            (Check::Index, |copy, failure| {
                copy.indexes.insert("i".to_owned(), Outcome::Failed(failure));
            }),
            (Check::Structure(Aspect::View), |copy, failure| {
                let Outcome::Read(structure) = &mut copy.structure else { return };
                structure.failed.insert(Aspect::View, failure);
            }),
        ];
        for (check, break_it) in breaks {
            let mut copy = source.clone();
            break_it(&mut copy, failed());
            let lines = judged(Some(&source), Some(&source), &copy);
            assert_eq!(bad(&lines), [(check, expected)], "{kind:?}");
        }
    }
}

#[test]
fn what_is_pending_is_not_finished() {
    let source = reading(&rows(10));
    let mut copy = source.clone();
    copy.tables.get_mut(TABLE).unwrap().content = Outcome::Pending;
    copy.foreign_keys.insert("k".to_owned(), Outcome::Pending);
    let lines = judged(Some(&source), Some(&source), &copy);
    let expected =
        [Check::Complete, Check::Content, Check::ForeignKey].map(|check| (check, Verdict::NotFinished));
    assert_eq!(bad(&lines), expected);
    assert_eq!(worst(&judged(Some(&source), None, &Reading::default())), Verdict::NotFinished);
}

#[test]
fn structure_differs_by_object() {
    let (column, index, grant) =
        ("public.beneficiaries.id", "public.beneficiaries: CREATE INDEX", "public.beneficiaries: app");
    let full = [
        (Aspect::Table, TABLE, "table"),
        (Aspect::Column, column, "uuid"),
        (Aspect::Index, index, "valid"),
        (Aspect::Privilege, grant, "SELECT"),
    ];
    let source = with_structure(reading(&[]), &full);
    let changed = |place: usize, object: Option<(Aspect, &'static str, &'static str)>| {
        let mut objects = full.to_vec();
        objects.remove(place);
        objects.extend(object);
        let lines = judged(Some(&source), Some(&source), &with_structure(reading(&[]), &objects));
        let bad =
            |line: Line| (line.verdict != Verdict::Pass).then_some((line.check, line.object, line.figure));
        lines.into_iter().filter_map(bad).collect::<Vec<_>>()
    };
    let (expected, found) = ("uuid".to_owned(), "text".to_owned());
    assert_eq!(
        changed(1, Some((Aspect::Column, column, "text"))),
        [(Check::Structure(Aspect::Column), column.to_owned(), Figure::Differs { expected, found })]
    );
    assert_eq!(
        changed(2, None),
        [(
            Check::Structure(Aspect::Index),
            index.to_owned(),
            Figure::Missing { expected: "valid".to_owned() }
        )]
    );
    let extra = "public.beneficiaries: other";
    assert_eq!(
        changed(3, Some((Aspect::Privilege, extra, "SELECT"))),
        [
            (
                Check::Structure(Aspect::Privilege),
                grant.to_owned(),
                Figure::Missing { expected: "SELECT".to_owned() }
            ),
            (
                Check::Structure(Aspect::Privilege),
                extra.to_owned(),
                Figure::Extra { found: "SELECT".to_owned() }
            ),
        ]
    );
    // A lost table is one line for itself, and one because it is critical.
    let checks: Vec<Check> = changed(0, None).into_iter().map(|(check, ..)| check).collect();
    assert_eq!(checks, [Check::Critical, Check::Structure(Aspect::Table)]);
}

#[test]
fn a_migration_after_the_snapshot_is_no_damage() {
    let table = (Aspect::Table, TABLE, "table");
    let before = with_structure(reading(&[]), &[table]);
    let after = with_structure(reading(&[]), &[table, (Aspect::Column, "public.beneficiaries.new", "text")]);
    assert_eq!(bad(&judged(Some(&before), Some(&after), &before)), []);
    assert_eq!(bad(&judged(Some(&before), Some(&after), &after)), []);
    let only_after = judged(None, Some(&after), &before);
    assert_eq!(of(&only_after, Check::Structure(Aspect::Column))[0].1, Verdict::Fail);
}

#[test]
fn what_prepare_makes_is_no_difference() {
    let table = (Aspect::Table, TABLE, "table");
    let made = [
        table,
        (Aspect::Extension, "amcheck", "version 1.3, schema public"),
        (Aspect::Privilege, "public.beneficiaries: restore_proof", "SELECT"),
        (Aspect::Privilege, "schema public: restore_proof", "USAGE"),
    ];
    let source = with_structure(reading(&[]), &[table]);
    assert_eq!(bad(&judged(Some(&source), None, &with_structure(reading(&[]), &made))), []);
}

#[test]
fn an_upgraded_source_prints_definitions_differently() {
    let view = |major, definition| {
        let objects = [(Aspect::Table, TABLE, "table"), (Aspect::View, "public.v", definition)];
        with_structure(Reading { server: Some(server(major)), ..reading(&[]) }, &objects)
    };
    let (old, new) = (view(15, "SELECT t.id FROM t"), view(18, "SELECT id FROM t"));
    assert_eq!(bad(&judged(None, Some(&new), &old)), []);
    assert_eq!(bad(&judged(Some(&old), Some(&new), &old)), []);
    let same_major = view(15, "SELECT id FROM t");
    assert_eq!(bad(&judged(None, Some(&same_major), &old)).len(), 1);
    let other = view(18, "SELECT code FROM t");
    assert_eq!(bad(&judged(None, Some(&other), &old)).len(), 1);
}

#[test]
fn a_collation_of_another_version_fails() {
    let source = reading(&rows(3));
    for (actual, expected) in
        [(Some("2.36"), Verdict::Pass), (Some("2.37"), Verdict::Fail), (None, Verdict::Unverified)]
    {
        let mut copy = source.clone();
        let Outcome::Read(structure) = &mut copy.structure else { unreachable!() };
        let version = CollationVersion { recorded: "2.36".to_owned(), actual: actual.map(str::to_owned) };
        structure.collations.insert("database".to_owned(), version);
        assert_eq!(worst(&judged(Some(&source), Some(&source), &copy)), expected, "{actual:?}");
    }
    let old = Reading { server: Some(server(14)), ..source };
    assert_eq!(bad(&judged(Some(&old), Some(&old), &old)), [(Check::Collation, Verdict::Unavailable)]);
}

#[test]
fn old_rows_fail_unless_the_source_is_idle() {
    let with = |value: Option<i64>| {
        let mut reading = reading(&rows(3));
        let newest = Newest { value: value.map(at) };
        reading.newest.insert("public.audit_logs.created_at".to_owned(), Outcome::Read(newest));
        reading
    };
    for (copy, source, expected) in [
        (Some(-3600), Some(5), Verdict::Pass),
        (Some(-3601), Some(5), Verdict::Fail),
        (Some(-90_000), Some(-90_000), Verdict::Pass),
        (None, Some(5), Verdict::Fail),
        (None, None, Verdict::Pass),
    ] {
        let lines = judged(None, Some(&with(source)), &with(copy));
        assert_eq!(of(&lines, Check::Newest)[0].1, expected, "{copy:?} {source:?}");
    }
    // A copy of old data equals an old reading: the source may have gone on until the snapshot.
    let old = with(Some(-90_000));
    for (before, after, expected) in [
        (Some(&old), None, Verdict::Unverified),
        (Some(&old), Some(&with(Some(5))), Verdict::Unverified),
        (Some(&old), Some(&old), Verdict::Pass),
    ] {
        let lines = judged(before, after, &old);
        assert_eq!(of(&lines, Check::Newest)[0].1, expected, "{before:?} {after:?}");
    }
    let future = with(Some(3601));
    assert_eq!(of(&judged(None, Some(&future), &future), Check::Newest)[0].1, Verdict::Unverified);
    let lines = judged(None, None, &with(Some(-3601)));
    assert_eq!(of(&lines, Check::Newest)[0].1, Verdict::Fail, "no source to compare with");
}

#[test]
fn the_digest_chain_has_to_link() {
    let chain = |rows, digests, without, broken| Chain { rows, digests, without, broken, first: None };
    for (chain, expected) in [
        (chain(2, Some(2), 0, 0), Verdict::Pass),
        (chain(0, None, 0, 0), Verdict::Unavailable),
        (chain(2, None, 0, 0), Verdict::Fail),
        (chain(2, Some(1), 1, 0), Verdict::Fail),
        (chain(2, Some(2), 0, 1), Verdict::Fail),
    ] {
        let source = reading(&rows(3));
        let copy = Reading { chain: Some(Outcome::Read(chain)), ..source.clone() };
        assert_eq!(worst(&judged(Some(&source), Some(&source), &copy)), expected, "{chain:?}");
    }
}

#[test]
fn figures_of_the_copy_alone_fail_by_their_object() {
    let source = reading(&rows(3));
    let mut copy = source.clone();
    let key = ForeignKey { table: "a".to_owned(), references: "b".to_owned(), orphans: 1 };
    copy.foreign_keys.insert("a.fk".to_owned(), Outcome::Read(key));
    let behind = Sequence { columns: Vec::new(), next: 5, increment: 1, furthest: Some(5) };
    copy.sequences.insert("s".to_owned(), Outcome::Read(behind));
    let damaged = Physical { bytes: 8192, problems: 2, first: Some("block 0".to_owned()) };
    copy.heaps.insert("h".to_owned(), Outcome::Read(damaged));
    copy.server = Some(Server { data_checksums: false, ..server(15) });
    let expected = [
        (Check::ForeignKey, Verdict::Fail),
        (Check::Sequence, Verdict::Fail),
        (Check::Heap, Verdict::Fail),
        (Check::Checksums, Verdict::Unavailable),
    ];
    assert_eq!(bad(&judged(Some(&source), Some(&source), &copy)), expected);
}

#[test]
fn a_sequence_gives_no_number_again_that_its_source_had_given() {
    let source = reading(&rows(3));
    let with = |increment, next| {
        let sequence = Sequence { columns: Vec::new(), next, increment, furthest: None };
        let mut reading = source.clone();
        reading.sequences.insert("public.receipts".to_owned(), Outcome::Read(sequence));
        reading
    };
    for (before, after, copy, expected) in [
        (Some(700), Some(720), 700, Verdict::Pass),
        (Some(700), Some(720), 733, Verdict::Pass),
        (Some(700), Some(720), 699, Verdict::Fail),
        (Some(700), None, 699, Verdict::Unverified),
        (None, Some(720), 5, Verdict::Pass),
        // The source began again.
        (Some(700), Some(4), 4, Verdict::Pass),
    ] {
        for increment in [1, -1] {
            let of = |next: i64| with(increment, next * increment);
            let (before, after) = (before.map(of), after.map(of));
            let lines = judged(before.as_ref(), after.as_ref(), &of(copy));
            let found: Vec<Verdict> =
                super::tests::of(&lines, Check::Sequence).into_iter().map(|(_, one)| one).collect();
            assert_eq!(found, [expected], "{copy} {increment}");
        }
    }
}

#[test]
fn what_the_structure_does_not_know_is_missed_all_the_same() {
    let mut source = reading(&rows(3));
    source.tables.insert("pg_largeobject_metadata".to_owned(), table(&rows(2)));
    let lines = judged(Some(&source), Some(&source), &reading(&rows(3)));
    assert_eq!(bad(&lines), [(Check::Content, Verdict::NotFinished)]);
}

#[test]
fn a_missing_critical_table_fails() {
    let source = with_structure(reading(&rows(3)), &[]);
    let lines = judged(Some(&source), Some(&source), &source);
    assert_eq!(bad(&lines), [(Check::Critical, Verdict::Fail)]);
}

#[test]
fn every_line_has_a_sentence_in_both_languages() {
    use crate::text::sentence;
    use policy::language::Language::{English, Portuguese};
    let source = reading(&rows(10));
    let mut copy = reading(&rows(9));
    copy.indexes
        .insert("public.i".to_owned(), Outcome::Failed(Failure::new(FailureKind::Corrupt, "bad page")));
    let lines = judged(Some(&source), Some(&source), &copy);
    let all: Vec<(String, String)> =
        lines.iter().map(|line| (sentence(line, Portuguese), sentence(line, English))).collect();
    for (portuguese, english) in &all {
        assert!(portuguese.ends_with('.') && english.ends_with('.') && portuguese != english);
    }
    let find = |text: &str| all.iter().any(|(_, english)| english == text);
    assert!(find(
        "number of rows: public.beneficiaries: 9 in the copy; in the source 10 before and 10 after the snapshot."
    ));
    assert!(find("the index's pages: public.i: damaged data (bad page). Rebuild the index with REINDEX."));
}

#[test]
fn a_sentence_is_one_line_that_shows_the_difference_but_no_literal_of_code() {
    use crate::text::sentence;
    use policy::language::Language::English;
    let line = |aspect, object: &str, expected: String, found: String| Line {
        check: Check::Structure(aspect),
        object: object.to_owned(),
        verdict: Verdict::Fail,
        figure: Figure::Differs { expected, found },
    };
    let view =
        |end: &str| format!(" SELECT {}pgp_sym_decrypt(cpf, 'it''s k3y'::text){end}", "a, ".repeat(150));
    let hostile = "public.\"x\u{202e}\u{7}\nPass: all\"";
    let text = sentence(&line(Aspect::View, hostile, view(" FROM t"), view(" FROM u")), English);
    assert!(text.starts_with("views: public.\"x Pass: all\": in the source: …"), "{text}");
    assert!(text.contains("'…'::text) FROM t; in the copy: …") && text.ends_with(" FROM u."), "{text}");
    assert!(!text.contains("k3y") && !text.contains('\n'), "{text}");
    let check = |value: &str| format!("CHECK (status = '{value}')");
    let text = sentence(&line(Aspect::Constraint, "t: c", check("a"), check("b")), English);
    assert!(text.contains("'a'") && text.contains("'b'"), "{text}");
}
