//! The proof has teeth: on real servers, PostgreSQL 15 and 18, each damage to a copy of the application's database is
//! caught and named, and no harmless difference is.
//!
//! Needs the servers that `cargo xtask test` sets up. Writes `target/matrix/proof.json`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod damages;
mod hostile;
mod pages;
mod server;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use proof::{
    AgedColumn, Check, DigestChain, Facts, FailureKind, Figure, Line, Outcome, PREPARE, Plan, Reading, Role,
    Verdict, judge, read,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::damages::{DAMAGES, Damage, HARMLESS};
use crate::server::{SOURCE, Server};

/// The copy that all damaged ones are made from.
const PREPARED: &str = "prepared";

/// Half an hour after the newest row.
const SNAPSHOT: &str = "2026-11-20T12:30:00Z";

/// A role that reads everything, as the source's reader.
const READER: &str = "governance";

fn plan() -> Plan {
    let aged = |table: &str| AgedColumn {
        table: table.to_owned(),
        column: "created_at".to_owned(),
        limit: Duration::from_secs(24 * 3600),
    };
    Plan {
        critical: ["beneficiaries", "enrollments", "audit_logs", "attachments"].map(str::to_owned).to_vec(),
        tolerance_percent: 5,
        newest: vec![aged("audit_logs"), aged("attachments")],
        chain: Some(DigestChain { rows: "audit_logs".to_owned(), digests: "audit_log_digests".to_owned() }),
        statement: Duration::from_secs(20),
        connections: 2,
        sample_rows: 50,
        volatile: Vec::new(),
    }
}

fn facts() -> Facts {
    Facts { snapshot: SNAPSHOT.parse().unwrap(), major: None }
}

/// Reads a database to its end.
async fn reading(server: &Server, database: &str, user: &str, role: Role) -> Reading {
    let mut reading = Reading::default();
    let until = Instant::now() + Duration::from_secs(60);
    let connect = async || server.connect(database, user).await;
    read(connect, &plan(), role, &mut reading, until).await.unwrap();
    assert!(reading.complete(), "{:?}", reading.left());
    reading
}

async fn source(server: &Server) -> Reading {
    reading(server, SOURCE, READER, Role::Source).await
}

async fn copy(server: &Server, database: &str) -> Reading {
    reading(server, database, "postgres", Role::Copy).await
}

/// The lines that do not hold; what this version has no check for is none of them.
fn failures(source: &Reading, copy: &Reading) -> Vec<Line> {
    let mut lines = judge(&plan(), Some(source), Some(source), copy, &facts());
    assert!(lines.len() > 60, "only {} lines", lines.len());
    lines.retain(|line| line.verdict > Verdict::Unavailable);
    lines
}

/// A server with the source, its reading and the prepared copy.
async fn prepared(major: u32) -> (Server, Reading) {
    let server = Server::start(major).await;
    let source = source(&server).await;
    prepare(&server).await;
    (server, source)
}

/// Makes the prepared copy of the source.
async fn prepare(server: &Server) {
    server.copy(SOURCE, PREPARED).await;
    server.admin(PREPARED).await.batch_execute(PREPARE).await.unwrap();
}

/// Returns true if the line fails as expected.
fn shows(line: &Line, (check, object): &(Check, &str)) -> bool {
    line.verdict == Verdict::Fail && line.check == *check && line.object.contains(object)
}

/// Compares the lines that fail with those expected: each has to match one of the others.
fn compare(name: &str, expected: &[(Check, &str)], found: &[Line]) -> Result<(), String> {
    let more: Vec<_> =
        found.iter().filter(|line| !expected.iter().any(|expected| shows(line, expected))).collect();
    let missed: Vec<_> =
        expected.iter().filter(|expected| !found.iter().any(|line| shows(line, expected))).collect();
    if more.is_empty() && missed.is_empty() {
        return Ok(());
    }
    Err(format!("{name}:\n  not caught: {missed:?}\n  caught without need: {more:#?}"))
}

/// Adds a part to `target/matrix/proof.json`.
fn record(part: &str, major: u32, value: Value) {
    static PARTS: Mutex<BTreeMap<String, Value>> = Mutex::new(BTreeMap::new());
    let mut parts = PARTS.lock().unwrap_or_else(PoisonError::into_inner);
    parts.insert(format!("{part}, PostgreSQL {major}"), value);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/matrix");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("proof.json"), format!("{:#}\n", json!(*parts))).unwrap();
}

/// Counts, and fails with all cases that went wrong.
fn conclude(part: &str, major: u32, cases: Vec<(&'static str, Vec<Line>, Result<(), String>)>) {
    let right = cases.iter().filter(|(.., result)| result.is_ok()).count();
    let each: Vec<Value> = cases
        .iter()
        .map(|(name, lines, result)| {
            let lines: Vec<Value> = lines
                .iter()
                .map(|line| json!({"check": line.check, "object": line.object, "verdict": line.verdict}))
                .collect();
            json!({"case": name, "right": result.is_ok(), "lines": lines})
        })
        .collect();
    record(part, major, json!({"cases": cases.len(), "right": right, "each": each}));
    let wrong: Vec<String> = cases.into_iter().filter_map(|(.., result)| result.err()).collect();
    assert!(wrong.is_empty(), "PostgreSQL {major}: {} of {part} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Returns true if a line could show either damage.
fn overlap(one: &Damage, other: &Damage) -> bool {
    let pairs = one.expected.iter().flat_map(|one| other.expected.iter().map(move |other| (one, other)));
    let mut objects = pairs.map(|((_, one), (_, other))| (one, other));
    objects.any(|(one, other)| one.contains(other) || other.contains(one))
}

/// The damages in groups that share a database, because each one's lines tell whose they are.
fn groups() -> Vec<Vec<&'static Damage>> {
    let mut groups: Vec<Vec<&Damage>> = Vec::new();
    for damage in DAMAGES {
        let fits = |group: &&mut Vec<&Damage>| group.iter().all(|other| !overlap(damage, other));
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(damage),
            None => groups.push(vec![damage]),
        }
    }
    groups
}

async fn each_damage_is_caught_and_named(major: u32) {
    let (server, source) = prepared(major).await;
    let mut cases = Vec::new();
    for (number, group) in groups().iter().enumerate() {
        let database = format!("damaged_{number}");
        server.copy(PREPARED, &database).await;
        let admin = server.admin(&database).await;
        for damage in group {
            let allowed = "RESET ALL; SET allow_system_table_mods = on; SET client_min_messages = error";
            admin.batch_execute(allowed).await.unwrap();
            admin
                .batch_execute(damage.sql)
                .await
                .unwrap_or_else(|error| panic!("{}: {error:?}", damage.name));
        }
        drop(admin);
        let found = failures(&source, &copy(&server, &database).await);
        let (mut own, mut others): (Vec<Vec<Line>>, Vec<Line>) = (vec![Vec::new(); group.len()], Vec::new());
        for line in found {
            match group
                .iter()
                .position(|damage| damage.expected.iter().any(|expected| shows(&line, expected)))
            {
                Some(whose) => own[whose].push(line),
                None => others.push(line),
            }
        }
        for (damage, found) in group.iter().zip(own) {
            let result = compare(damage.name, damage.expected, &found);
            cases.push((damage.name, found, result));
        }
        let names: Vec<&str> = group.iter().map(|damage| damage.name).collect();
        let result = compare(&format!("one of {names:?}"), &[], &others);
        if result.is_err() {
            cases.push(("lines of no damage", others, result));
        }
        server.remove(&database).await;
    }
    conclude("damages by SQL", major, cases);
}

#[tokio::test]
async fn each_damage_is_caught_and_named_on_15() {
    each_damage_is_caught_and_named(15).await;
}

#[tokio::test]
async fn each_damage_is_caught_and_named_on_18() {
    each_damage_is_caught_and_named(18).await;
}

async fn no_harmless_difference_fails(major: u32) {
    let (server, source) = prepared(major).await;
    let admin = server.admin(PREPARED).await;
    for (name, sql) in HARMLESS {
        admin.batch_execute(sql).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    let found = failures(&source, &copy(&server, PREPARED).await);
    // A line names its object, and so the difference that it is about.
    let result = |number| if number == 0 { compare("one of them", &[], &found) } else { Ok(()) };
    let cases =
        HARMLESS.iter().enumerate().map(|(number, (name, _))| (*name, Vec::new(), result(number))).collect();
    conclude("harmless differences", major, cases);
}

#[tokio::test]
async fn no_harmless_difference_fails_on_15() {
    no_harmless_difference_fails(15).await;
}

#[tokio::test]
async fn no_harmless_difference_fails_on_18() {
    no_harmless_difference_fails(18).await;
}

/// The snapshot was taken at 15, and its source upgraded to 18 before the reference was read; and the other way round.
/// Both databases were made by SQL, so OIDs and places of rows differ too.
#[tokio::test]
async fn a_copy_of_another_major_version_equals_its_source() {
    let (old, new) = (Server::start(15).await, Server::start(18).await);
    let (at_15, at_18) = (source(&old).await, source(&new).await);
    old.admin(SOURCE).await.batch_execute(PREPARE).await.unwrap();
    new.admin(SOURCE).await.batch_execute(PREPARE).await.unwrap();
    let none = |name, found: Vec<Line>| (name, found.clone(), compare(name, &[], &found));
    let mut cases = vec![
        none("a copy at 15 of a source at 18", failures(&at_18, &copy(&old, SOURCE).await)),
        none("a copy at 18 of a source at 15", failures(&at_15, &copy(&new, SOURCE).await)),
    ];
    let altered =
        "UPDATE enrollments SET reason = 'outra' WHERE id = (SELECT min(id::text)::uuid FROM enrollments);
        DROP INDEX idx_attendance_date";
    old.admin(SOURCE).await.batch_execute(altered).await.unwrap();
    let found = failures(&at_18, &copy(&old, SOURCE).await);
    let expected = [
        (Check::Content, "public.enrollments"),
        (Check::Structure(proof::Aspect::Index), "public.attendance"),
    ];
    cases.push(("two damages to the copy at 15", found.clone(), compare("two damages", &expected, &found)));
    conclude("across versions", 18, cases);
}

#[tokio::test]
async fn a_dump_of_15_restored_at_15_and_18_equals_its_source() {
    let old = Server::start(15).await;
    let at_15 = source(&old).await;
    let Some(sql) = old.dump(SOURCE) else {
        record("a dump, restored", 15, json!("not run: this machine has no pg_dump of version 15"));
        return;
    };
    let new = Server::start(18).await;
    let mut cases = Vec::new();
    for (name, server) in [("restored at 15", &old), ("restored at 18", &new)] {
        server.create("restored").await;
        let admin = server.admin("restored").await;
        admin.batch_execute(&sql).await.unwrap();
        admin.batch_execute(&format!("RESET ALL; {PREPARE}")).await.unwrap();
        let found = failures(&at_15, &copy(server, "restored").await);
        let result = compare(name, &[], &found);
        cases.push((name, found, result));
    }
    conclude("a dump, restored", 15, cases);
}

async fn a_reading_goes_on_where_it_stopped(major: u32) {
    let (server, whole) = prepared(major).await;
    for (role, database, user, whole) in [
        (Role::Source, SOURCE, READER, whole),
        (Role::Copy, PREPARED, "postgres", copy(&server, PREPARED).await),
    ] {
        let mut reading = Reading::default();
        let mut pieces = 0;
        // As little time as lets one statement begin; more on a machine that is busy.
        let mut piece = Duration::from_millis(40);
        while !reading.complete() {
            let left = reading.left();
            let connect = async || server.connect(database, user).await;
            read(connect, &plan(), role, &mut reading, Instant::now() + piece).await.unwrap();
            if reading.left() == left {
                piece *= 2;
            }
            // Stored between two pieces.
            reading = serde_json::from_str(&serde_json::to_string(&reading).unwrap()).unwrap();
            pieces += 1;
            assert!(piece < Duration::from_secs(30), "no end in sight: {left:?}");
        }
        assert!(pieces > 2, "only {pieces} pieces");
        record(&format!("pieces of one reading, {role:?}"), major, json!(pieces));
        assert_eq!(timeless(reading), timeless(whole), "{role:?}");
    }
}

/// Without its times, which differ from run to run.
fn timeless(mut reading: Reading) -> Reading {
    reading.times = proof::Times::default();
    reading
}

#[tokio::test]
async fn a_reading_goes_on_where_it_stopped_on_15() {
    a_reading_goes_on_where_it_stopped(15).await;
}

#[tokio::test]
async fn a_reading_goes_on_where_it_stopped_on_18() {
    a_reading_goes_on_where_it_stopped(18).await;
}

/// Takes a table's strongest lock again and again while the source is read; returns the longest wait.
async fn migrate(server: &Server) -> Duration {
    let client = server.admin(SOURCE).await;
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        let began = Instant::now();
        client
            .batch_execute("BEGIN; LOCK TABLE beneficiaries IN ACCESS EXCLUSIVE MODE; COMMIT")
            .await
            .unwrap();
        longest = longest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    longest
}

/// One table is locked by a migration that does not end, another one's rights are missing.
async fn what_cannot_be_read_is_named_and_never_passes(major: u32) {
    let server = Server::start(major).await;
    let admin = server.admin(SOURCE).await;
    admin
        .batch_execute(
            "CREATE ROLE narrow LOGIN; GRANT USAGE ON SCHEMA public, extras TO narrow;
             GRANT SELECT ON ALL TABLES IN SCHEMA public, extras TO narrow;
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA public, extras TO narrow;
             REVOKE SELECT ON evolutions FROM narrow;",
        )
        .await
        .unwrap();
    drop(admin);
    prepare(&server).await;
    let mut migration = server.admin(SOURCE).await;
    let transaction = migration.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let began = Instant::now();
    let (source, longest) = tokio::join!(reading(&server, SOURCE, "narrow", Role::Source), migrate(&server));
    let took = began.elapsed();
    // What the migration waits for is one small table's reading.
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    let kind = |table: &str| match &source.tables[table].content {
        Outcome::Failed(failure) => Some(failure.kind),
        Outcome::Read(_) | Outcome::Pending => None,
    };
    assert_eq!(kind("public.posts"), Some(FailureKind::Locked));
    assert_eq!(kind("public.evolutions"), Some(FailureKind::Denied));
    // Its policy hides rows from this role, so that what the role sees says nothing.
    assert_eq!(kind("extras.private_notes"), Some(FailureKind::Denied));
    assert_eq!(kind("public.beneficiaries"), None);
    // Several statements wait for the lock, 2 s each and twice.
    assert!(took < Duration::from_secs(30), "{took:?}");
    transaction.rollback().await.unwrap();

    let copied = copy(&server, PREPARED).await;
    let lines = judge(&plan(), Some(&source), Some(&source), &copied, &facts());
    for table in ["public.posts", "public.evolutions", "extras.private_notes"] {
        let line = lines.iter().find(|line| line.check == Check::Content && line.object == table).unwrap();
        assert_eq!(line.verdict, Verdict::Unverified, "{line:?}");
    }
    let failed: Vec<&Line> = lines.iter().filter(|line| line.verdict == Verdict::Fail).collect();
    assert!(failed.is_empty(), "{failed:#?}");

    // The same on the copy.
    let admin = server.admin(PREPARED).await;
    let holder =
        "REVOKE pg_read_all_data FROM restore_proof; GRANT USAGE ON SCHEMA public, extras TO restore_proof;
        GRANT SELECT ON ALL TABLES IN SCHEMA public, extras TO restore_proof;
        GRANT SELECT ON ALL SEQUENCES IN SCHEMA public, extras TO restore_proof;
        REVOKE SELECT ON evolutions FROM restore_proof";
    admin.batch_execute(holder).await.unwrap();
    let source = self::source(&server).await;
    let lines = judge(&plan(), Some(&source), Some(&source), &copy(&server, PREPARED).await, &facts());
    let content =
        lines.iter().find(|line| line.check == Check::Content && line.object == "public.evolutions");
    let content = content.unwrap();
    assert_eq!(content.verdict, Verdict::Unverified, "{content:?}");
    assert!(matches!(&content.figure, Figure::Failure(failure) if failure.kind == FailureKind::Denied));
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_never_passes_on_15() {
    what_cannot_be_read_is_named_and_never_passes(15).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_never_passes_on_18() {
    what_cannot_be_read_is_named_and_never_passes(18).await;
}

/// A cloud's master user: may create roles, and give some rights but not others that it has; and does not see what forced
/// policies hide.
async fn a_master_who_is_no_superuser_prepares_all_but_hidden_rows(major: u32) {
    let (server, source) = prepared(major).await;
    server.copy(SOURCE, "rented").await;
    let given = "CREATE ROLE master LOGIN CREATEROLE; GRANT pg_read_all_data TO master WITH ADMIN OPTION;
        GRANT moveongs TO master; CREATE EXTENSION amcheck;
        DO $$ DECLARE made regprocedure; BEGIN
            FOR made IN SELECT oid FROM pg_proc WHERE probin LIKE '%/amcheck' LOOP
                EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO master', made)
                    || CASE WHEN made::text LIKE '%verify_heapam%' THEN ' WITH GRANT OPTION' ELSE '' END;
            END LOOP;
        END $$";
    let admin = server.admin("rented").await;
    // Roles are the whole server's: the one that the other copy's preparation made goes first.
    admin.batch_execute(given).await.unwrap();
    server.admin(PREPARED).await.batch_execute("DROP OWNED BY restore_proof").await.unwrap();
    admin.batch_execute("DROP ROLE restore_proof").await.unwrap();
    for _ in 0..2 {
        server.client("rented", "master").await.batch_execute(PREPARE).await.unwrap();
    }
    let copied = reading(&server, "rented", "master", Role::Copy).await;
    let found = failures(&source, &copied);
    let found: Vec<_> = found.iter().map(|line| (line.check, line.object.as_str(), line.verdict)).collect();
    let hidden = |check, object| (check, object, Verdict::Unverified);
    let expected = [
        hidden(Check::Content, "extras.private_notes"),
        hidden(Check::Sequence, "extras.private_notes_id_seq"),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_master_who_is_no_superuser_prepares_all_but_hidden_rows_on_15() {
    a_master_who_is_no_superuser_prepares_all_but_hidden_rows(15).await;
}

#[tokio::test]
async fn a_master_who_is_no_superuser_prepares_all_but_hidden_rows_on_18() {
    a_master_who_is_no_superuser_prepares_all_but_hidden_rows(18).await;
}

/// Without a reading that fits the copy's time, figures within the tolerance hold, and equality is not claimed.
#[tokio::test]
async fn a_source_that_changed_is_compared_as_far_as_it_did_not() {
    let (server, before) = prepared(15).await;
    let owner = server.client(SOURCE, "moveongs").await;
    let grown = "INSERT INTO attendance (enrollment_id, date, present)
        SELECT id, '2026-11-19', true FROM enrollments ORDER BY id LIMIT 60";
    owner.batch_execute(grown).await.unwrap();
    drop(owner);
    let after = source(&server).await;
    // A count is only judged by readings near the snapshot.
    let near = Facts { snapshot: before.times.finished.unwrap(), ..facts() };
    let verdicts = |copy: &Reading| -> BTreeMap<Check, Verdict> {
        let lines = judge(&plan(), Some(&before), Some(&after), copy, &near);
        let of_table = lines.iter().filter(|line| line.object == "public.attendance");
        of_table.map(|line| (line.check, line.verdict)).collect()
    };
    let whole = copy(&server, PREPARED).await;
    let found = verdicts(&whole);
    assert!(found.values().all(|verdict| *verdict < Verdict::Fail), "{found:?}");
    assert_eq!(found[&Check::Rows], Verdict::Pass);

    // Far fewer rows than either reading.
    let admin = server.admin(PREPARED).await;
    admin.batch_execute("DELETE FROM attendance WHERE date < '2026-06-01'").await.unwrap();
    let found = verdicts(&copy(&server, PREPARED).await);
    assert_eq!(found[&Check::Rows], Verdict::Fail, "{found:?}");
    assert_eq!(found[&Check::Content], Verdict::Fail, "{found:?}");
}

/// What is not there, or takes too long, or may not be called, is not verified; a database in its first days lacks some.
#[tokio::test]
async fn what_was_not_checked_never_passes() {
    let (server, source) = prepared(18).await;
    let of = |lines: &[Line], check: Check| -> Vec<Verdict> {
        lines.iter().filter(|line| line.check == check).map(|line| line.verdict).collect()
    };
    let pending = judge(&plan(), Some(&source), Some(&source), &Reading::default(), &facts());
    assert_eq!(proof::worst(&pending), Verdict::NotFinished);

    // Rows that take the server seconds, in one block, so that smaller ranges do not help.
    server.copy(PREPARED, "heavy").await;
    let heavy = "INSERT INTO extras.odd (id, document) VALUES (200, to_json(repeat('x', 50000000)));
        INSERT INTO extras.odd (id, document) SELECT 200 + n, document FROM extras.odd, generate_series(1, 40) n
        WHERE id = 200";
    server.admin("heavy").await.batch_execute(heavy).await.unwrap();
    let hurried = Plan { statement: Duration::from_secs(1), ..plan() };
    let mut late = Reading::default();
    let until = Instant::now() + Duration::from_secs(60);
    read(async || server.connect("heavy", "postgres").await, &hurried, Role::Copy, &mut late, until)
        .await
        .unwrap();
    let lines = judge(&hurried, Some(&source), Some(&source), &late, &facts());
    let slow = lines.iter().find(|line| line.check == Check::Content && line.object == "extras.odd").unwrap();
    assert_eq!(slow.verdict, Verdict::NotFinished, "{slow:?}");
    let fast =
        lines.iter().find(|line| line.check == Check::Content && line.object == "public.users").unwrap();
    assert_eq!(fast.verdict, Verdict::Pass, "{fast:?}");

    let admin = server.admin(PREPARED).await;
    let refused = "REVOKE EXECUTE ON FUNCTION bt_index_parent_check(regclass, boolean, boolean) FROM restore_proof;
        REVOKE EXECUTE ON FUNCTION bt_index_parent_check(regclass, boolean, boolean, boolean) FROM restore_proof;";
    admin.batch_execute(refused).await.unwrap();
    admin.batch_execute("CREATE ROLE lesser LOGIN; GRANT restore_proof TO lesser").await.unwrap();
    let lesser = reading(&server, PREPARED, "lesser", Role::Copy).await;
    let lines = judge(&plan(), Some(&source), Some(&source), &lesser, &facts());
    let indexes = of(&lines, Check::Index);
    let unverified = indexes.iter().filter(|verdict| **verdict == Verdict::Unverified).count();
    assert!(unverified > 60 && indexes.len() - unverified < 5, "{indexes:?}");
    assert!(of(&lines, Check::Heap).iter().all(|verdict| *verdict == Verdict::Pass));
    admin.batch_execute("DROP EXTENSION amcheck").await.unwrap();
    let lines = judge(&plan(), Some(&source), Some(&source), &copy(&server, PREPARED).await, &facts());
    let (heaps, indexes) = (of(&lines, Check::Heap), of(&lines, Check::Index));
    for verdict in heaps.iter().chain(&indexes) {
        assert!(*verdict >= Verdict::Unavailable, "{heaps:?} {indexes:?}");
    }
    assert!(heaps.len() + indexes.len() > 0, "both are named");
    assert!(proof::worst(&lines) >= Verdict::Unverified);

    // The application makes the digests' table at its first start.
    let chain = async || {
        let lines = judge(&plan(), None, None, &copy(&server, PREPARED).await, &facts());
        of(&lines, Check::Chain)
    };
    assert_eq!(chain().await, [Verdict::Pass]);
    admin.batch_execute("DROP TABLE audit_log_digests").await.unwrap();
    assert_eq!(chain().await, [Verdict::Fail]);
    admin.batch_execute("TRUNCATE audit_logs").await.unwrap();
    assert_eq!(chain().await, [Verdict::Unavailable]);
}

/// The age of the newest row counts without any reading of the source.
#[tokio::test]
async fn stale_data_is_caught_without_a_source() {
    let (server, _) = prepared(18).await;
    let whole = copy(&server, PREPARED).await;
    let newest = |copy: &Reading, snapshot: &str| {
        let facts = Facts { snapshot: snapshot.parse::<Timestamp>().unwrap(), major: None };
        let lines = judge(&plan(), None, None, copy, &facts);
        let found = lines.into_iter().filter(|line| line.check == Check::Newest).map(|line| line.verdict);
        found.collect::<Vec<_>>()
    };
    assert_eq!(newest(&whole, SNAPSHOT), [Verdict::Pass; 2]);
    assert_eq!(newest(&whole, "2026-11-23T12:00:00Z"), [Verdict::Fail; 2]);
    let lines = judge(&plan(), None, None, &whole, &facts());
    assert!(proof::worst(&lines) >= Verdict::Unverified, "nothing to compare with");
}
