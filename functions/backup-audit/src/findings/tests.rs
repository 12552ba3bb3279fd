use std::io::Read;

use serde_json::json;
use shared::command;
use shared::policy::Exception;

use super::*;
use crate::rules::all;

const DB: &str = "moveongs-prod-db";

fn day(day: i8) -> Date {
    Date::constant(2026, 11, day)
}

fn collection(today: i8, repairs: &[&str]) -> Findings {
    let place = Place {
        account: "111122223333".to_owned(),
        region: "us-east-1".to_owned(),
        environment: "prod".to_owned(),
        version: "4f2c1b7".to_owned(),
    };
    let repairs = repairs.iter().map(|rule| (*rule).to_owned()).collect();
    let now = time::SAO_PAULO.to_timestamp(day(today).at(9, 0, 0, 0)).unwrap();
    Findings::new(now, Language::English, place, repairs).unwrap()
}

fn row(rule: &str, resource: &str, verdict: Verdict) -> Row {
    let rule = all().find(|meta| meta.id == rule).unwrap();
    let command = matches!(verdict, Verdict::Fail { .. }).then(|| command!("aws rds …"));
    Row { rule, resource: resource.to_owned(), arn: format!("arn:{resource}"), verdict, command }
}

fn fail() -> Verdict {
    Verdict::fail("is", "should be")
}

fn unknown() -> Verdict {
    Verdict::Unknown("x:Get failed".to_owned())
}

fn excepted() -> Verdict {
    let exception = Exception {
        rule: "rds.public".to_owned(),
        resource: "*".to_owned(),
        reason: "migration".to_owned(),
        owner: "Squad Dados".to_owned(),
        until: day(30),
    };
    Verdict::Excepted { found: "is".to_owned(), expected: "should be".to_owned(), exception }
}

fn text(outcome: &Outcome, name: &str) -> String {
    let report = outcome.reports.iter().find(|report| report.name == name).unwrap();
    let mut text = String::new();
    report.file.reopen().unwrap().read_to_string(&mut text).unwrap();
    text
}

fn open(outcome: &Outcome) -> Vec<Finding> {
    let text = text(outcome, "findings.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn events(outcome: &Outcome) -> Vec<Value> {
    serde_json::from_str(&text(outcome, "findings.ocsf.json")).unwrap()
}

/// A run on a day, compared with the previous run.
fn run(today: i8, before: Option<&Outcome>, rows: &[Row], unseen: &[&str]) -> Outcome {
    let mut findings = collection(today, &[]);
    let lines = before.map(|outcome| text(outcome, "findings.jsonl")).unwrap_or_default();
    lines.lines().for_each(|line| findings.remember(line.as_bytes()));
    rows.iter().for_each(|row| findings.push(row).unwrap());
    let mut resolved = Worst::default();
    for line in lines.lines() {
        findings.compare(line.as_bytes(), unseen, &mut resolved).unwrap();
    }
    findings.finish(resolved).unwrap()
}

#[test]
fn changes_since_the_previous_run_are_found() {
    let rds = |verdict| Some(row("rds.public", DB, verdict));
    for (what, before, after, unseen, new, resolved, since) in [
        ("new", None, rds(fail()), vec![], 1, 0, Some(26)),
        ("not verified for the first time", None, rds(unknown()), vec![], 1, 0, Some(26)),
        ("unchanged", rds(fail()), rds(fail()), vec![], 0, 0, Some(25)),
        ("worse", rds(unknown()), rds(fail()), vec![], 1, 0, Some(25)),
        ("no longer accepted", rds(excepted()), rds(fail()), vec![], 1, 0, Some(25)),
        ("accepted", rds(fail()), rds(excepted()), vec![], 0, 0, Some(25)),
        ("no longer readable", rds(fail()), rds(unknown()), vec![], 0, 0, Some(25)),
        ("repaired", rds(fail()), rds(Verdict::Pass), vec![], 0, 1, None),
        (
            "repaired, and the rest of the service not read",
            rds(fail()),
            rds(Verdict::Pass),
            vec!["rds"],
            0,
            1,
            None,
        ),
        ("gone with its resource", rds(fail()), None, vec![], 0, 1, None),
        ("of a service not read to its end", rds(fail()), None, vec!["rds"], 0, 0, Some(25)),
        ("gone, and another service not read", rds(fail()), None, vec!["s3"], 0, 1, None),
        ("in order as before", rds(Verdict::Pass), rds(Verdict::Pass), vec![], 0, 0, None),
    ] {
        let yesterday = run(25, None, before.as_slice(), &[]);
        let today = run(26, Some(&yesterday), after.as_slice(), &unseen);
        assert_eq!((today.new.count, today.resolved_count), (new, resolved), "{what}");
        let found: Vec<_> = open(&today).iter().map(|finding| finding.since).collect();
        assert_eq!(found, Vec::from_iter(since.map(day)), "{what}");
        if resolved == 1 {
            assert_eq!(today.resolved, [format!("rds.public {DB}")], "{what}");
        }
    }
}

#[test]
fn a_line_that_is_not_a_finding_is_ignored() {
    let mut findings = collection(26, &[]);
    let mut resolved = Worst::default();
    for line in [&b"\n"[..], b"{}", b"\xff"] {
        findings.remember(line);
        findings.compare(line, &[], &mut resolved).unwrap();
    }
    assert_eq!(findings.finish(resolved).unwrap().resolved_count, 0);
}

#[test]
fn verdicts_are_counted_by_kind_and_service_and_only_failures_are_repairable() {
    let mut findings = collection(26, &["rds.public", "s3.versioning"]);
    for row in [
        row("rds.public", "a", fail()),
        row("rds.public", "b", unknown()),
        row("rds.public", "c", excepted()),
        row("rds.public", "d", Verdict::Pass),
        row("rds.encryption", "a", fail()),
        row("s3.versioning", "e", Verdict::Pass),
    ] {
        findings.push(&row).unwrap();
    }
    let outcome = findings.finish(Worst::default()).unwrap();
    assert_eq!(outcome.counts, Counts { pass: 2, fail: 2, unknown: 1, excepted: 1 });
    assert_eq!(outcome.services["s3"], Counts { pass: 1, ..Counts::default() });
    assert_eq!(outcome.repairable, [("rds.public", "a".to_owned())]);
}

#[test]
fn a_service_is_dark_until_a_verdict_shows_that_it_was_read() {
    let denied = || row("s3.versioning", "files", unknown());
    for (others, is_dark) in [
        (vec![], true),
        (vec![row("grafana.declared", "grafana", fail())], true),
        (vec![row("grafana.declared", "grafana", excepted())], true),
        (vec![row("uploads.declared", "uploads", Verdict::Pass)], true),
        (vec![row("s3.public-access-block", "files", Verdict::Pass)], false),
        (vec![row("s3.public-access-block", "files", fail())], false),
        (vec![row("s3.public-access-block", "files", excepted())], false),
    ] {
        let rows: Vec<_> = [vec![denied()], others].concat();
        assert_eq!(run(26, None, &rows, &[]).services["s3"].is_dark(), is_dark, "{rows:?}");
    }
    let state = run(26, None, &[row("terraform.state", "terraform", fail())], &[]);
    assert!(!state.services.contains_key("terraform"));
}

#[test]
fn the_spreadsheet_has_a_row_for_each_verdict_and_no_formula() {
    let rows = [
        row("rds.public", "=cmd()", fail()),
        row("rds.public", "+1", unknown()),
        row("rds.public", "-1", excepted()),
        row("rds.public", "@a", Verdict::Pass),
        row("rds.public", "a=b", Verdict::Pass),
    ];
    let outcome = run(26, None, &rows, &[]);
    let text = text(&outcome, "verdicts.csv");
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    assert_eq!(reader.headers().unwrap().len(), 12);
    let cells: Vec<_> = reader.records().map(Result::unwrap).collect();
    let shown: Vec<_> = cells.iter().map(|row| [&row[2], &row[3], &row[9], &row[10], &row[11]]).collect();
    assert_eq!(
        shown,
        [
            ["fail", "'=cmd()", "2026-11-26", "", ""],
            ["unknown", "'+1", "2026-11-26", "", ""],
            ["excepted", "'-1", "2026-11-26", "Squad Dados", "2026-11-30"],
            ["pass", "'@a", "", "", ""],
            ["pass", "a=b", "", "", ""],
        ]
    );
    for text in ["\t1", "\r1"] {
        assert_eq!(csv::harmless(text), format!("'{text}"));
    }
}

#[test]
fn the_lines_parse_back_to_findings_and_the_checksum_is_that_of_the_file() {
    let rows = [row("rds.public", DB, excepted()), row("rds.public", "b", Verdict::Pass)];
    let outcome = run(26, None, &rows, &[]);
    assert_eq!(open(&outcome), outcome.worst.findings);
    for report in &outcome.reports {
        let digest: [u8; 32] = Sha256::digest(text(&outcome, report.name)).into();
        assert_eq!(report.sha256, digest);
        assert_eq!(STANDARD.decode(report.checksum()).unwrap(), digest);
        assert_eq!(report.hex().len(), 64);
    }
}

#[test]
fn an_event_has_the_fields_that_ocsf_requires_of_a_compliance_finding() {
    let rows = [row("rds.public", "kept", fail()), row("rds.public", "repaired", fail())];
    let yesterday = run(25, None, &rows, &[]);
    let rows = [
        row("rds.public", "kept", fail()),
        row("rds.retention", "new", fail()),
        row("rds.backup-window", "dark", unknown()),
        row("rds.multi-az", "accepted", excepted()),
    ];
    let events = events(&run(26, Some(&yesterday), &rows, &[]));
    let shown: Vec<_> = events
        .iter()
        .map(|event| {
            let text = |pointer: &str| event.pointer(pointer).unwrap().as_str().unwrap().to_owned();
            let number = |pointer: &str| event.pointer(pointer).unwrap().as_u64().unwrap();
            assert_eq!(number("/type_uid"), 200_300 + number("/activity_id"));
            (
                text("/resources/0/name"),
                (number("/activity_id"), text("/activity_name")),
                (number("/status_id"), text("/status")),
                (number("/severity_id"), text("/severity")),
                (number("/compliance/status_id"), text("/compliance/status")),
            )
        })
        .collect();
    let pair = |id, word: &str| (id, word.to_owned());
    let expected = [
        ("kept", pair(2, "Update"), pair(1, "New"), pair(5, "Critical"), pair(3, "Fail")),
        ("new", pair(1, "Create"), pair(1, "New"), pair(4, "High"), pair(3, "Fail")),
        ("dark", pair(1, "Create"), pair(1, "New"), pair(3, "Medium"), pair(0, "Unknown")),
        ("accepted", pair(1, "Create"), pair(3, "Suppressed"), pair(2, "Low"), pair(3, "Fail")),
        ("repaired", pair(3, "Close"), pair(4, "Resolved"), pair(1, "Informational"), pair(1, "Pass")),
    ];
    assert_eq!(shown, expected.map(|(name, a, b, c, d)| (name.to_owned(), a, b, c, d)));
    // Required by the class and its objects in 1.3.0.
    for event in &events {
        for pointer in [
            "/activity_id",
            "/category_uid",
            "/class_uid",
            "/cloud/provider",
            "/compliance/standards/0",
            "/finding_info/title",
            "/finding_info/uid",
            "/metadata/product/vendor_name",
            "/metadata/version",
            "/severity_id",
            "/time",
            "/type_uid",
        ] {
            assert!(event.pointer(pointer).is_some(), "{pointer} is missing in {event}");
        }
        assert!(event["remediation"].is_null() || event["remediation"]["desc"] != "", "{event}");
        assert_eq!(event["metadata"]["version"], "1.3.0");
        assert_eq!(event["metadata"]["profiles"], json!(["cloud"]));
    }
    assert_eq!(events[0]["finding_info"]["first_seen_time"], 1_795_575_600_000_i64);
    assert_eq!(events[3]["comment"], "Squad Dados: migration (2026-11-30)");
}

#[test]
fn the_events_are_an_array_of_any_length() {
    for count in [0, 1, 3] {
        let rows: Vec<_> = (0..count).map(|n| row("rds.public", &format!("db-{n}"), fail())).collect();
        assert_eq!(events(&run(26, None, &rows, &[])).len(), count);
    }
}

#[test]
fn the_worst_are_kept_severity_before_name_and_all_are_counted() {
    let many = 3 * KEPT;
    let mut rows: Vec<_> = (0..many).map(|n| row("rds.multi-az", &format!("a-{n:04}"), fail())).collect();
    rows.push(row("rds.public", "z", fail()));
    rows.push(row("rds.public", "a", unknown()));
    rows.push(row("rds.retention", "b", fail()));
    let outcome = run(26, None, &rows, &[]);
    for worst in [&outcome.worst, &outcome.new] {
        assert_eq!((worst.count, worst.findings.len()), (many + 3, KEPT));
        let first: Vec<_> = worst.findings.iter().take(4).map(|found| found.resource.as_str()).collect();
        assert_eq!(first, ["z", "b", "a-0000", "a-0001"]);
    }
}
