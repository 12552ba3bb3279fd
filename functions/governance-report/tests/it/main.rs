//! The function against the wire protocols of AWS, with a bucket in memory that keeps every version.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cloud;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use governance_report::ReportError;
use serde_json::{Value, json};

use cloud::{Cloud, NOW};

/// Records of yesterday evening: a good audit, one with findings, a restore, a rotation in the ledger.
fn seed(cloud: &Cloud) {
    let at = "2026-11-30T12:00:00Z";
    cloud.record("rotation-audit", "2026-11-29", "2026-11-29T12:00:00Z", &json!({}));
    cloud.record("rotation-audit", "2026-11-30", at, &json!({}));
    let found = json!({"result": "failed", "findings": ["fail rds.retention db: BackupRetentionPeriod 1, since 2026-11-01"]});
    cloud.record("backup-audit", "2026-11-30", at, &found);
    let steps = [
        ("recovery: all tables read", "900 s after the request"),
        ("recovery point", "3000 s before the test"),
    ];
    let steps = steps
        .map(|(name, outcome)| json!({"name": name, "at": {"utc": at, "local": "x"}, "outcome": outcome}));
    cloud.record("restore-test", "execution-1", at, &json!({"steps": steps}));
    cloud.record("rotate-random", "token-1", at, &json!({}));
    let row = json!([{
        "secret": "/moveongs/dev/jwt", "arn": "arn:jwt", "key": "JWT_SECRET", "version": "v", "reason": "scheduled",
        "by": "Secrets Manager", "ended": at, "outcome": "proved", "services": [], "next_due": "2027-02-28T12:00:00Z",
    }]);
    cloud.put("evidence", "ledger/rotation.json", &row.to_string());
    let definitions = json!({"silent": "x", "unclassified": "x"});
    let month = json!({"month": "2026-11", "definitions": definitions, "rows": [], "unacknowledged": []});
    cloud.put("evidence", "metrics/incidents-2026-11.json", &month.to_string());
}

#[tokio::test]
async fn every_control_has_its_state_and_the_evidence_that_shows_it() {
    let cloud = Cloud::new();
    seed(&cloud);
    let report = cloud.daily(NOW).await;
    assert_eq!(report.result, "failed");
    for (id, state, why) in [
        ("rotation-planned", "ok", json!("proved")),
        ("database-backups", "failing", json!({"found": 1})),
        ("uploads-sent", "ok", json!("proved")),
        ("restore-test", "ok", json!("proved")),
        ("rotate-random", "ok", json!("proved")),
        ("rotate-database", "unknown", json!("no_case")),
        ("incident-page", "ok", json!("proved")),
        ("incident-classified", "unknown", json!("no_case")),
        ("grafana-export", "unknown", json!("no_evidence")),
        ("emergency-restore", "unknown", json!("no_case")),
        ("evidence", "ok", json!("proved")),
    ] {
        assert_eq!(cloud.control(id), (state.to_owned(), why), "{id}");
    }
    let page = cloud.page();
    let restore =
        page["controls"].as_array().unwrap().iter().find(|row| row["id"] == "restore-test").unwrap();
    let (key, text) = cloud.chain("restore-test").remove(0);
    assert_eq!(
        (&restore["evidence"]["key"], &restore["evidence"]["sha256"]),
        (&json!(key), &json!(cloud::hash(&text)))
    );
    let own = cloud.object("evidence/governance-report/9999999998.json");
    assert!(own.contains("ok, came back at 2026-11-30T13:00:00Z"), "{own}");
    assert_eq!(restore["figure"], json!({"restore": {"rto_seconds": 900, "rpo_seconds": 3000}}));
    assert_eq!(page["cost"]["lines"][0]["what"], "compute-arm64");
    assert_eq!(page["cost"]["unread"], Value::Null);
    let html = cloud.object("report/index.html");
    for part in ["Governança: moveongs dev", "rds.retention db", &key, "15 min"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(cloud.object("report/controls.csv").starts_with("id,guide,"));
    assert!(cloud.object("report/feed.atom").contains("<feed"));
    // What a procedure found itself, it has paged.
    assert_eq!((report.paged.len(), cloud.chain("governance-report").len()), (0, 1));
    let [message] = cloud.messages().try_into().unwrap();
    assert!(message.contains("controles provados") && message.contains("ControlFailing"), "{message}");
}

#[tokio::test]
async fn the_same_event_twice_has_one_record_and_reads_no_record_again() {
    let cloud = Cloud::new();
    seed(&cloud);
    cloud.daily(NOW).await;
    let before = cloud.with(|state| std::mem::take(&mut state.calls));
    cloud.daily("2026-11-30T13:31:00Z").await;
    assert_eq!((cloud.chain("governance-report").len(), cloud.messages().len()), (1, 1));
    let reads = |calls: &[String]| -> Vec<String> {
        let is_read = |call: &&String| call.starts_with("s3 GET evidence /evidence/");
        calls.iter().filter(is_read).cloned().collect()
    };
    assert_eq!(reads(&before).len(), 5, "{before:?}");
    // The run's own record, which is new to it, and read as the last one's.
    let again = cloud.with(|state| state.calls.clone());
    assert!(reads(&again).iter().all(|call| call.contains("/governance-report/")), "{again:?}");
    // A new record is read, and no other.
    cloud.with(|state| state.calls.clear());
    cloud.record("rotation-audit", "2026-12-01", "2026-12-01T12:00:00Z", &json!({}));
    cloud.ask(queue(), "2026-12-01T13:30:00Z").await.unwrap();
    let calls = cloud.with(|state| state.calls.clone());
    let other = reads(&calls).into_iter().filter(|call| !call.contains("/governance-report/"));
    assert_eq!(other.collect::<Vec<_>>(), ["s3 GET evidence /evidence/rotation-audit/9999999996.json"]);
    // Every record, when asked, and after a week.
    for (event, now) in
        [(json!({"verify": "all"}), "2026-12-01T13:40:00Z"), (json!({}), "2026-12-08T13:30:00Z")]
    {
        cloud.with(|state| state.calls.clear());
        cloud.ask(event, now).await.unwrap();
        assert!(reads(&cloud.with(|state| state.calls.clone())).len() >= 8);
    }
}

fn queue() -> Value {
    json!({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]})
}

#[tokio::test]
async fn damage_is_named_paged_and_makes_its_controls_unknown() {
    let forged = |text: &str| text.replace("\"succeeded\"", "\"succeeded \"");
    let first = "evidence/rotation-audit/9999999998.json";
    let last = "evidence/rotation-audit/9999999997.json";
    for attack in
        ["altered", "deleted", "swapped", "hidden", "replaced", "forged", "cut", "rewritten", "gone"]
    {
        let cloud = Cloud::new();
        seed(&cloud);
        cloud.daily(NOW).await;
        let (text, other) = (cloud.object(first), cloud.object(last));
        cloud.with(|state| match attack {
            "altered" => state.exchange("evidence", first, &forged(&text)),
            "swapped" => {
                state.exchange("evidence", first, &other);
                state.exchange("evidence", last, &text);
            }
            "deleted" => {
                state.objects.remove(&("evidence".to_owned(), first.to_owned()));
            }
            "hidden" => state.hide("evidence", first),
            "cut" => {
                state.objects.remove(&("evidence".to_owned(), last.to_owned()));
            }
            "gone" | "rewritten" => {
                state.objects.retain(|(_, key), _| !key.starts_with("evidence/rotation-audit/"))
            }
            _ => {}
        });
        match attack {
            "replaced" => cloud.put("evidence", first, &forged(&text)),
            "forged" => cloud.put("evidence", "evidence/rotation-audit/9999999990.json", &text),
            // With all links made anew.
            "rewritten" => ["2026-11-29", "2026-11-30"].into_iter().for_each(|day| {
                let other = json!({"trigger": "forged"});
                cloud.record("rotation-audit", day, &format!("{day}T12:00:00Z"), &other);
            }),
            _ => {}
        }
        // The ETag in the list shows even the change that S3 cannot make.
        let report = cloud.daily("2026-12-01T13:30:00Z").await;
        assert_eq!(report.paged, ["governance-report/rotation-audit/EvidenceDamaged"], "{attack}");
        assert_eq!(
            cloud.control("rotation-planned"),
            ("unknown".to_owned(), json!("chain_damaged")),
            "{attack}"
        );
        assert_eq!(
            cloud.control("evidence"),
            ("failing".to_owned(), json!({"items": ["rotation-audit"]})),
            "{attack}"
        );
        let published = cloud.with(|state| state.published.clone());
        assert!(published.iter().any(|page| page.contains("EvidenceDamaged")), "{published:?}");
        assert!(cloud.object("report/index.html").contains("Evidência danificada"), "{attack}");
        // It stays damaged until it is repaired, and is paged once a day.
        let again = cloud.daily("2026-12-01T14:30:00Z").await;
        assert_eq!(again.findings, report.findings, "{attack}");
        assert_eq!(cloud.with(|state| state.published.len()), published.len(), "{attack}");
    }
}

#[tokio::test]
async fn a_chain_that_is_rewritten_as_a_whole_contradicts_its_anchor() {
    let cloud = Cloud::whole();
    seed(&cloud);
    cloud.daily(NOW).await;
    assert!(cloud.page()["chains"].as_array().unwrap().iter().any(|chain| chain["anchored"] == true));
    // All objects of the bucket, checkpoints too, as if the other records had never been.
    cloud.with(|state| state.objects.retain(|(bucket, _), _| bucket != "evidence"));
    seed(&cloud);
    let first = cloud.object("evidence/rotation-audit/9999999998.json");
    cloud.with(|state| {
        state.exchange(
            "evidence",
            "evidence/rotation-audit/9999999998.json",
            &first.replace("\"x\"", "\"y\""),
        );
        state.objects.remove(&("evidence".to_owned(), "evidence/rotation-audit/9999999997.json".to_owned()));
    });
    let report = cloud.daily("2026-12-01T13:30:00Z").await;
    assert!(
        report.findings.iter().any(|key| key.starts_with("EvidenceDamaged rotation-audit/")),
        "{report:?}"
    );
    assert_eq!(cloud.control("evidence").0, "failing");
}

#[tokio::test]
async fn what_cannot_be_read_is_unknown_and_everything_else_is_shown() {
    for (refused, control, has_cost) in [
        ("s3 GET evidence ?evidence/rotation-audit/", "rotation-planned", true),
        ("s3 GET evidence /evidence/rotation-audit/", "rotation-planned", true),
        ("s3 GET evidence /ledger/", "rotate-random", true),
        ("s3 GET evidence ?metrics/", "incident-classified", true),
        ("monitoring ", "incident-page", false),
        ("lambda ", "grafana-export", false),
    ] {
        let cloud = Cloud::new();
        seed(&cloud);
        cloud.with(|state| state.refused = vec![refused.to_owned()]);
        cloud.daily(NOW).await;
        assert_eq!(cloud.control(control).0, "unknown", "{refused}");
        assert_eq!(cloud.control("database-backups").0, "failing", "{refused}");
        assert_eq!(cloud.page()["cost"]["unread"].is_null(), has_cost, "{refused}");
        assert!(cloud.object("report/index.html").contains("não pôde ser lido"), "{refused}");
    }
}

#[tokio::test]
async fn the_pagers_drill_is_what_its_metrics_show() {
    for (more, hour, state) in [
        (None, "10", "ok"),
        (Some(("late", "2026-11-30T12:00:00Z", "Complete")), "10", "ok"),
        (Some(("late", "2026-11-30T13:10:00Z", "Complete")), "10", "failing"),
        (Some(("late", "2026-11-30T12:00:00Z", "PartialData")), "10", "ok"),
        (Some(("late", "2026-11-30T12:00:00Z", "InternalError")), "10", "unknown"),
        (Some(("late", "2026-11-30T12:00:00Z", "Forbidden")), "10", "unknown"),
        (None, "", "unknown"),
    ] {
        let mut cloud = Cloud::new();
        cloud.hour = hour;
        seed(&cloud);
        cloud.with(|state| state.drill = more);
        cloud.daily(NOW).await;
        assert_eq!(cloud.control("incident-page").0, state, "{more:?} {hour}");
        let is_asked = cloud.with(|state| state.is_drill_asked);
        assert_eq!(is_asked, !hour.is_empty(), "{more:?} {hour}");
    }
}

#[tokio::test]
async fn heads_that_cannot_be_kept_are_no_good_evidence() {
    let cloud = Cloud::whole();
    seed(&cloud);
    cloud.with(|state| state.refused = vec!["s3 PUT anchors ".to_owned()]);
    let report = cloud.daily(NOW).await;
    let own = cloud.object("evidence/governance-report/9999999998.json");
    assert!(own.contains("failed: "), "{own}");
    assert_eq!((report.result, cloud.control("evidence").0), ("failed", "unknown".to_owned()));
}

#[tokio::test]
async fn a_day_on_which_everything_is_proved_succeeds_only_if_the_heads_are_kept() {
    for (refused, expected) in [
        (None, "succeeded"),
        (Some("s3 PUT anchors "), "failed"),
        (Some("s3 GET anchors ?"), "failed"),
        (Some("s3 PUT evidence /report/"), "failed"),
    ] {
        let cloud = Cloud::whole();
        for procedure in [
            "attachment-restore-test",
            "backup-audit",
            "grafana-export",
            "inventory-audit",
            "onboarding",
            "postmortem",
            "restore-test",
            "rotation-audit",
            "snapshot-verify",
        ] {
            cloud.record(procedure, "2026-11-30", "2026-11-30T12:00:00Z", &json!({}));
        }
        let month = json!({"month": "2026-11", "definitions": {"silent": "x", "unclassified": "x"}});
        cloud.put("evidence", "metrics/incidents-2026-11.json", &month.to_string());
        cloud.with(|state| state.refused = refused.map(str::to_owned).into_iter().collect());
        let report = cloud.ask(json!({}), NOW).await;
        let (_, record) = cloud.chain("governance-report").pop().unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        assert_eq!(record["result"], expected, "{refused:?}: {report:?} {record}");
    }
}

#[tokio::test]
async fn a_page_that_cannot_be_written_is_a_failure() {
    let cloud = Cloud::whole();
    seed(&cloud);
    cloud.with(|state| state.refused = vec!["s3 PUT evidence /report/".to_owned()]);
    let error = cloud.ask(json!({}), NOW).await.unwrap_err();
    assert!(matches!(error, ReportError::Unwritten(_)), "{error:?}");
    // Mail and sheet do not wait for it.
    assert_eq!((cloud.with(|state| state.mails.len()), cloud.drive.taken().len()), (1, 1));
    cloud.with(|state| state.refused.clear());
    cloud.daily(NOW).await;
    assert_eq!((cloud.chain("governance-report").len(), cloud.control("evidence").0), (1, "ok".to_owned()));
}

#[tokio::test]
async fn mail_sheet_and_heads_go_out_once_and_other_environments_stand_beside() {
    let cloud = Cloud::whole();
    seed(&cloud);
    let other = json!({
        "schema": 1, "made_at": "2026-11-30T10:00:00Z", "environment": "staging",
        "controls": [{"id": "inventory", "state": "ok"}],
    });
    cloud.put("staging-evidence", "report/controls.json", &other.to_string());
    for now in [NOW, "2026-11-30T13:35:00Z", "2026-11-30T20:00:00Z"] {
        cloud.daily(now).await;
    }
    let mails = cloud.with(|state| state.mails.clone());
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!(mail["Destination"]["ToAddresses"], json!(["gestao@moveongs.org"]));
    let subject = mail["Content"]["Simple"]["Subject"]["Data"].as_str().unwrap();
    assert!(subject.starts_with("[moveongs dev] Governança 2026-11: "), "{subject}");
    let sheets = cloud.drive.taken();
    let [(head, body)] = sheets.as_slice() else { panic!("{sheets:?}") };
    assert!(head.contains("content-type: text/csv") && head.contains("moveongs-dev-rotation.csv"), "{head}");
    assert!(body.contains("/moveongs/dev/jwt,JWT_SECRET,rotate-random,ok,"), "{body}");
    let page = cloud.page();
    assert_eq!(page["environments"][0]["states"], json!({"inventory": "ok"}));
    let anchors = cloud.with(|state| state.objects.keys().filter(|(bucket, _)| bucket == "anchors").count());
    // The first run, and the second, which knows the first one's own record.
    assert_eq!(anchors, 2);
    // The next month.
    cloud.daily("2026-12-01T13:30:00Z").await;
    assert_eq!(cloud.with(|state| state.mails.len()), 2);
    // New evidence sends no mail.
    cloud.ask(queue(), "2027-01-02T13:30:00Z").await.unwrap();
    assert_eq!(cloud.with(|state| state.mails.len()), 2);
    assert!(cloud.page()["environments"][0]["unread"].is_string());
}

#[tokio::test]
async fn a_page_or_checkpoints_of_an_unknown_form_are_replaced() {
    let cloud = Cloud::whole();
    seed(&cloud);
    for name in ["index", "page"] {
        let key = format!("runs/governance-report/{}.json", cloud::hash(name));
        cloud.put("evidence", &key, &json!({"controls": 7, "chains": 7}).to_string());
    }
    cloud.daily(NOW).await;
    assert_eq!(cloud.control("rotation-planned").0, "ok");
    assert_eq!((cloud.with(|state| state.mails.len()), cloud.drive.taken().len()), (1, 1));
    // The checkpoints are known again.
    cloud.with(|state| state.calls.clear());
    cloud.daily("2026-11-30T13:31:00Z").await;
    let read = "s3 GET evidence /evidence/rotation-audit/";
    assert!(!cloud.with(|state| state.calls.iter().any(|call| call.starts_with(read))));
}

#[tokio::test]
async fn a_sheet_that_is_not_known_replaces_none() {
    for attack in ["no ledger", "audit unread", "audit damaged"] {
        let cloud = Cloud::whole();
        seed(&cloud);
        let (ledger, record) = ("ledger/rotation.json", "evidence/rotation-audit/9999999998.json");
        match attack {
            "no ledger" => cloud.with(|state| state.hide("evidence", ledger)),
            "audit unread" => cloud.with(|state| state.refused = vec![format!("s3 GET evidence /{record}")]),
            _ => cloud.put("evidence", record, "{}"),
        }
        cloud.daily(NOW).await;
        assert_eq!(cloud.drive.taken().len(), 0, "{attack}");
        assert_eq!(cloud.page()["ledger_unread"].is_null(), attack == "no ledger", "{attack}");
        assert_eq!(cloud.control("rotate-random").0, "unknown", "{attack}");
    }
}

#[tokio::test]
async fn what_became_unreadable_is_not_told_as_resolved() {
    let cloud = Cloud::new();
    seed(&cloud);
    cloud.daily(NOW).await;
    cloud.with(|state| state.refused = vec!["s3 GET evidence ?evidence/backup-audit/".to_owned()]);
    cloud.daily("2026-11-30T13:40:00Z").await;
    let messages = cloud.messages();
    let last = messages.last().unwrap();
    assert!(last.contains("ControlUnknown") && !last.contains("Resolvido"), "{last}");
    // Of the others, which can still be read, it is told.
    cloud.with(|state| state.refused.clear());
    cloud.record("backup-audit", "2026-11-30/2", "2026-11-30T13:45:00Z", &json!({}));
    cloud.daily("2026-11-30T13:50:00Z").await;
    let messages = cloud.messages();
    assert!(messages.last().unwrap().contains("Resolvido"), "{messages:?}");
}

#[tokio::test]
async fn a_mail_that_was_refused_is_sent_by_a_later_run() {
    let cloud = Cloud::whole();
    seed(&cloud);
    cloud.with(|state| state.refused = vec!["email ".to_owned()]);
    cloud.daily(NOW).await;
    cloud.with(|state| state.refused.clear());
    cloud.daily("2026-11-30T13:40:00Z").await;
    assert_eq!(cloud.with(|state| state.mails.len()), 0, "another run may be sending it");
    cloud.daily("2026-11-30T13:51:00Z").await;
    assert_eq!(cloud.with(|state| state.mails.len()), 1);
}

#[tokio::test]
async fn a_death_between_any_two_calls_loses_nothing() {
    let mut deaths = 0;
    for is_before in [true, false] {
        for number in 0.. {
            let cloud = Cloud::whole();
            seed(&cloud);
            cloud.with(|state| state.dies = Some((number, is_before)));
            let died = AssertUnwindSafe(cloud.ask(json!({}), NOW)).catch_unwind().await.is_err();
            cloud.with(|state| state.dies = None);
            if !died {
                break;
            }
            deaths += 1;
            // Lambda delivers the event again, and the mail's lease runs out.
            cloud.daily(NOW).await;
            cloud.daily("2026-11-30T14:00:00Z").await;
            assert_eq!(cloud.chain("governance-report").len(), 1, "{number} {is_before}");
            assert_eq!(cloud.control("rotation-planned").0, "ok", "{number} {is_before}");
            let (mails, sheets) = (cloud.with(|state| state.mails.len()), cloud.drive.taken().len());
            // At least once: a death after the sending and before its note doubles it.
            assert!(
                (1..=2).contains(&mails) && (1..=2).contains(&sheets),
                "{number} {is_before}: {mails} {sheets}"
            );
            assert!(!cloud.messages().is_empty(), "{number} {is_before}");
        }
    }
    assert!(deaths > 100, "{deaths}");
}

#[tokio::test]
async fn a_wrong_event_is_refused_by_its_field() {
    let error = Cloud::new().ask(json!({"verify": "some"}), NOW).await.unwrap_err();
    assert!(
        matches!(&error, ReportError::InvalidEvent(invalid) if invalid.to_string().contains("verify")),
        "{error}"
    );
}

/// The document with the checkpoints.
fn index() -> String {
    format!("runs/governance-report/{}.json", cloud::hash("index"))
}

fn change_index(cloud: &Cloud, change: impl FnOnce(&mut Value)) {
    let mut index: Value = serde_json::from_str(&cloud.object(&index())).unwrap();
    change(&mut index);
    cloud.put("evidence", &self::index(), &index.to_string());
}

fn anchor(sequence: u64) -> String {
    format!("anchors/moveongs/dev/{:010}.json", 9_999_999_999 - sequence)
}

/// How many records of a chain were read.
fn reads_of(cloud: &Cloud, procedure: &str) -> usize {
    let read = format!("s3 GET evidence /evidence/{procedure}/");
    cloud.with(|state| state.calls.iter().filter(|call| call.starts_with(&read)).count())
}

/// How many records of `rotation-audit` were read since the last call.
fn reads(cloud: &Cloud) -> usize {
    let count = reads_of(cloud, "rotation-audit");
    cloud.with(|state| state.calls.clear());
    count
}

/// Whether a chain, or the anchors, was found to be damaged.
fn is_damaged(report: &governance_report::Report, chain: &str) -> bool {
    report.findings.iter().any(|key| key.starts_with(&format!("EvidenceDamaged {chain}/")))
}

#[tokio::test]
async fn anchors_that_cannot_be_read_are_no_good_evidence() {
    for refused in ["s3 GET anchors ?", "s3 GET anchors /"] {
        let cloud = Cloud::whole();
        seed(&cloud);
        cloud.daily(NOW).await;
        cloud.record("rotation-audit", "2026-12-01", "2026-12-01T12:00:00Z", &json!({}));
        cloud.with(|state| state.refused = vec![refused.to_owned()]);
        cloud.daily("2026-12-01T13:30:00Z").await;
        let (_, record) = cloud.chain("governance-report").pop().unwrap();
        assert!(record.contains("failed: the anchors "), "{refused}: {record}");
        assert_ne!(cloud.page()["anchors_unread"], json!([]), "{refused}");
        assert_ne!(cloud.control("evidence").0, "ok", "{refused}");
        let anchors =
            |state: &mut cloud::State| state.objects.keys().filter(|(bucket, _)| bucket == "anchors").count();
        assert_eq!(cloud.with(anchors), 1, "{refused}");
        cloud.with(|state| state.refused.clear());
        cloud.daily("2026-12-01T14:30:00Z").await;
        assert_eq!((cloud.with(anchors), cloud.control("evidence").0.as_str()), (2, "ok"), "{refused}");
    }
}

#[tokio::test]
async fn what_only_a_complete_reading_shows_is_found_again_until_it_is_repaired() {
    let cloud = Cloud::whole();
    seed(&cloud);
    for now in [NOW, "2026-11-30T13:35:00Z"] {
        cloud.daily(now).await;
    }
    let first = cloud.with(|state| state.text("anchors", &anchor(1)));
    cloud.with(|state| state.exchange("anchors", &anchor(1), &first.replace("13:30", "13:29")));
    // From the newest anchor on, all is as it was.
    assert!(!is_damaged(&cloud.daily("2026-12-01T13:30:00Z").await, "anchors"));
    let found = cloud.ask(json!({"verify": "all"}), "2026-12-01T13:40:00Z").await.unwrap();
    assert!(is_damaged(&found, "anchors"), "{found:?}");
    for now in ["2026-12-01T13:50:00Z", "2026-12-02T13:30:00Z"] {
        reads(&cloud);
        assert!(is_damaged(&cloud.daily(now).await, "anchors"), "{now}");
        // What the anchors say of the chains is not sure either.
        assert_eq!(reads(&cloud), 2, "{now}");
    }
    cloud.with(|state| state.exchange("anchors", &anchor(1), &first));
    assert!(!is_damaged(&cloud.daily("2026-12-02T13:40:00Z").await, "anchors"));
    reads(&cloud);
    cloud.daily("2026-12-02T13:50:00Z").await;
    assert_eq!(reads(&cloud), 0);
    // The newest anchor cut off: the last run knew it, also when all are read.
    let newest =
        cloud.with(|state| state.objects.keys().find(|(bucket, _)| bucket == "anchors").cloned().unwrap());
    cloud.with(|state| state.objects.remove(&newest));
    for event in [json!({"verify": "all"}), json!({})] {
        assert!(is_damaged(&cloud.ask(event, "2026-12-02T14:00:00Z").await.unwrap(), "anchors"));
    }
}

#[tokio::test]
async fn a_complete_reading_without_the_anchors_proves_nothing() {
    let cloud = Cloud::whole();
    seed(&cloud);
    for now in [NOW, "2026-11-30T13:35:00Z"] {
        cloud.daily(now).await;
    }
    cloud.with(|state| state.refused = vec!["s3 GET anchors ?".to_owned()]);
    for (now, expected) in [
        ("2026-12-07T13:30:00Z", 2),
        ("2026-12-07T13:40:00Z", 2),
        ("2026-12-07T13:50:00Z", 2),
        ("2026-12-07T14:00:00Z", 0),
    ] {
        reads(&cloud);
        cloud.daily(now).await;
        assert_eq!(reads(&cloud), expected, "{now}");
        if now == "2026-12-07T13:40:00Z" {
            cloud.with(|state| state.refused.clear());
        }
    }
}

#[tokio::test]
async fn a_chain_that_could_not_be_read_on_the_day_of_the_complete_reading_is_read_the_next_time() {
    let cloud = Cloud::new();
    seed(&cloud);
    let refused = "s3 GET evidence ?evidence/restore-test/";
    cloud.with(|state| state.refused = vec![refused.to_owned()]);
    cloud.daily(NOW).await;
    cloud.with(|state| state.refused.clear());
    for (now, expected) in [("2026-11-30T13:40:00Z", 1), ("2026-11-30T13:50:00Z", 0)] {
        cloud.with(|state| state.calls.clear());
        cloud.daily(now).await;
        assert_eq!((reads_of(&cloud, "restore-test"), reads(&cloud)), (expected, 0), "{now}");
    }
    // One that no control names any more is still verified.
    change_index(&cloud, |index| index["chains"]["retired"] = index["chains"]["rotation-audit"].clone());
    assert!(is_damaged(&cloud.daily("2026-11-30T14:00:00Z").await, "retired"));
}

/// Lets S3 give other bytes of a record than those that it lists.
fn lie(cloud: &Cloud, record: &str) {
    let text = cloud.object(record).replace("\"test\"", "\"lies\"");
    cloud.with(|state| state.lies.insert(record.to_owned(), text));
}

#[tokio::test]
async fn the_first_run_after_an_older_program_reads_every_record() {
    let cloud = Cloud::new();
    seed(&cloud);
    let remark = "deploy github-1-1, commit 0123";
    let taken = json!({"findings": [remark]});
    cloud.record("snapshot-create", "db/deploy/available", "2026-11-30T12:00:00Z", &taken);
    cloud.daily(NOW).await;
    let good = cloud.control("snapshot-before-deploy");
    assert_eq!(good.0, "ok");
    lie(&cloud, "evidence/rotation-audit/9999999998.json");
    change_index(&cloud, |index| {
        // It folded remarks as findings.
        let open = json!({"procedure": "snapshot-create", "key": remark, "text": "", "since": NOW});
        index["chains"]["snapshot-create"]["folded"]["open"] = json!([open]);
    });
    assert!(!is_damaged(&cloud.daily("2026-11-30T13:40:00Z").await, "rotation-audit"));
    assert_eq!(cloud.control("snapshot-before-deploy").0, "failing");
    change_index(&cloud, |index| {
        // That a chain is damaged, it noted of all of them together.
        index.as_object_mut().unwrap().remove("form").unwrap();
        index["full_at"] = Value::Null;
    });
    for now in ["2026-11-30T13:50:00Z", "2026-11-30T14:00:00Z"] {
        assert!(is_damaged(&cloud.daily(now).await, "rotation-audit"), "{now}");
        assert_eq!(cloud.control("snapshot-before-deploy"), good, "{now}");
    }
    // A chain without a fault was read once more, and not in the run after that.
    assert_eq!(reads_of(&cloud, "snapshot-create"), 2);
    cloud.with(|state| state.lies.clear());
    assert!(!is_damaged(&cloud.daily("2026-11-30T14:10:00Z").await, "rotation-audit"));
    reads(&cloud);
    cloud.daily("2026-11-30T14:20:00Z").await;
    assert_eq!(reads(&cloud), 0);
}

#[tokio::test]
async fn a_run_whose_time_is_over_while_it_sends_remembers_what_it_found() {
    let cloud = Cloud::whole();
    seed(&cloud);
    for now in [NOW, "2026-11-30T13:35:00Z"] {
        cloud.daily(now).await;
    }
    // The drive has to get its sheet again, which waits for its answer.
    let sheet = format!("runs/governance-report/{}.json", cloud::hash("sheet"));
    cloud.with(|state| {
        state.hide("evidence", &sheet);
        let call = format!("s3 GET evidence ?{sheet}");
        // Less is left than what is reserved for the report.
        state.slow = Some((call, std::time::Duration::from_secs(570)));
    });
    lie(&cloud, "evidence/backup-audit/9999999998.json");
    let error = cloud.ask(json!({"verify": "all"}), "2026-11-30T13:40:00Z").await.unwrap_err();
    assert!(matches!(error, ReportError::Deadline(_)), "{error:?}");
    let (_, record) = cloud.chain("governance-report").pop().unwrap();
    assert!(record.contains("EvidenceDamaged backup-audit/"), "{record}");
    assert!(is_damaged(&cloud.daily("2026-11-30T13:50:00Z").await, "backup-audit"));
}

#[tokio::test]
async fn a_bucket_that_was_replaced_with_its_checkpoints_is_read_again_and_named() {
    for is_head_true in [false, true] {
        let cloud = Cloud::whole();
        seed(&cloud);
        for now in [NOW, "2026-11-30T13:35:00Z"] {
            cloud.daily(now).await;
        }
        let own: Value = serde_json::from_str(&cloud.object(&index())).unwrap();
        let forged = Cloud::new();
        seed(&forged);
        forged.with(|state| state.objects.retain(|(_, key), _| !key.starts_with("evidence/rotation-audit/")));
        for day in ["2026-11-29", "2026-11-30"] {
            let other = json!({"trigger": "forged"});
            forged.record("rotation-audit", day, &format!("{day}T12:00:00Z"), &other);
        }
        for now in [NOW, "2026-11-30T13:35:00Z"] {
            forged.daily(now).await;
        }
        let objects = forged.with(|state| std::mem::take(&mut state.objects));
        cloud.with(|state| {
            state.objects.retain(|(bucket, _), _| bucket != "evidence");
            state.objects.extend(objects);
        });
        change_index(&cloud, |index| {
            index["anchored"] = own["anchored"].clone();
            if is_head_true {
                index["chains"]["rotation-audit"]["head"] = own["chains"]["rotation-audit"]["head"].clone();
            }
        });
        let report = cloud.daily("2026-11-30T14:30:00Z").await;
        let named =
            "EvidenceDamaged rotation-audit/EvidenceContradicted/evidence/rotation-audit/9999999997.json";
        assert!(report.findings.iter().any(|key| key == named), "{report:?}");
        // No anchor vouches for it afterwards.
        let keys = cloud.with(|state| state.objects.keys().cloned().collect::<Vec<_>>());
        let anchors = keys.iter().filter(|(bucket, _)| bucket == "anchors");
        let heads: Vec<Value> = anchors
            .map(|(bucket, key)| cloud.with(|state| state.text(bucket, key)))
            .map(|text| {
                serde_json::from_str::<Value>(&text).unwrap()["heads"]["rotation-audit"]["sha256"].clone()
            })
            .collect();
        let own = &own["chains"]["rotation-audit"]["head"]["sha256"];
        assert!(heads.len() >= 2 && heads.iter().all(|head| head == own), "{heads:?}");
    }
}

#[tokio::test]
async fn another_bucket_for_the_anchors_is_no_damage_and_the_old_chain_can_be_copied_to_it() {
    for is_copied in [false, true] {
        let mut cloud = Cloud::whole();
        seed(&cloud);
        for now in [NOW, "2026-11-30T13:35:00Z"] {
            cloud.daily(now).await;
        }
        let bucket = cloud.more.iter_mut().find(|(name, _)| *name == "ANCHOR_BUCKET").unwrap();
        bucket.1 = "other-anchors".to_owned();
        if is_copied {
            for sequence in [1, 2] {
                let text = cloud.with(|state| state.text("anchors", &anchor(sequence)));
                cloud.put("other-anchors", &anchor(sequence), &text);
            }
        }
        for now in ["2026-12-01T13:30:00Z", "2026-12-01T13:40:00Z", "2026-12-08T13:30:00Z"] {
            assert!(!is_damaged(&cloud.daily(now).await, "anchors"), "{is_copied} {now}");
            assert_eq!(cloud.control("evidence").0, "ok", "{is_copied} {now}");
        }
        let next = anchor(if is_copied { 3 } else { 1 });
        assert!(cloud.with(|state| state.text("other-anchors", &next)).contains("rotation-audit"));
    }
}

#[tokio::test]
async fn a_copy_in_the_repository_that_was_not_read_is_not_replaced() {
    let github = shared::testing::Web::new(|_| {
        let refused = http::Response::builder().status(403);
        Some(refused.body(json!({"message": "Resource not accessible by integration"})).unwrap())
    });
    let mut cloud = Cloud::whole();
    cloud.more.retain(|(name, _)| *name != "ANCHOR_FOLDER");
    cloud.more.extend([
        ("ANCHOR_FOLDER", "docs/anchors".to_owned()),
        ("GITHUB_REPOSITORY", "o/n".to_owned()),
        ("GITHUB_SECRET_NAME", "github".to_owned()),
        ("GITHUB_API_URL", github.url().to_owned()),
    ]);
    seed(&cloud);
    cloud.daily(NOW).await;
    let (_, record) = cloud.chain("governance-report").pop().unwrap();
    assert!(record.contains("failed: the copy in the repository could not be read"), "{record}");
    let asked = github.asked();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.method() == "GET"), "{asked:?}");
    // The anchor itself is written.
    assert!(cloud.with(|state| state.text("anchors", &anchor(1))).contains("rotation-audit"));
}

#[tokio::test]
async fn a_reading_that_does_not_end_in_time_leaves_the_page() {
    let mut cloud = Cloud::whole();
    seed(&cloud);
    // Less than what is reserved from the reading of the chains.
    cloud.time = std::time::Duration::from_secs(200);
    cloud.daily(NOW).await;
    let page = cloud.page();
    let chains = page["chains"].as_array().unwrap();
    assert!(chains.len() > 5 && chains.iter().all(|chain| chain["verdict"] == "unknown"), "{page}");
    assert_eq!(cloud.control("rotation-planned").0, "unknown");
    assert_eq!(cloud.control("incident-page").0, "ok");
    // The next one reads everything.
    cloud.time = std::time::Duration::from_secs(600);
    reads(&cloud);
    cloud.daily("2026-11-30T13:40:00Z").await;
    assert_eq!((reads(&cloud), cloud.control("rotation-planned").0.as_str()), (2, "ok"));
}

#[tokio::test]
async fn a_reading_that_runs_out_of_time_goes_on_in_the_next_run() {
    const ALL: usize = 40;
    let place = |number: usize| format!("evidence/rotation-audit/{:010}.json", 9_999_999_999 - number);
    let cloud = Cloud::whole();
    for number in 1..=ALL {
        let run_id = format!("2026-11-30/{number:08x}");
        cloud.record("rotation-audit", &run_id, "2026-11-30T12:00:00Z", &json!({}));
    }
    // Lambda's time is over after some of them.
    let slow = |number: usize| {
        let call = format!("s3 GET evidence /{}", place(number));
        cloud.with(|state| state.slow = Some((call, std::time::Duration::from_secs(400))));
    };
    let row = || {
        reads(&cloud);
        let page = cloud.page();
        let chains = page["chains"].as_array().unwrap();
        chains.iter().find(|row| row["procedure"] == "rotation-audit").unwrap().clone()
    };
    // S3 lists what it listed before, and gives other bytes.
    let lie = |number: usize| {
        let text = cloud.object(&place(number)).replace("\"test\"", "\"lies\"");
        cloud.with(|state| state.lies.insert(place(number), text));
    };
    let is_late = |row: &Value| row["unread"].to_string().contains("registros lidos a tempo; a próxima");

    slow(30);
    cloud.daily(NOW).await;
    let first = row();
    let read = usize::try_from(first["records"].as_u64().unwrap()).unwrap();
    assert!((1..ALL).contains(&read) && is_late(&first), "{first}");
    assert_eq!((&first["verdict"], &first["listed"]), (&json!("unknown"), &json!(ALL)));
    assert_eq!(cloud.control("rotation-planned").0, "unknown");
    cloud.daily("2026-11-30T13:40:00Z").await;
    assert_eq!(reads(&cloud), ALL - read);
    let whole = row();
    assert_eq!((&whole["verdict"], &whole["records"]), (&json!("verified"), &json!(ALL)));
    assert_eq!((&whole["full_at"], is_late(&whole)), (&json!(NOW), false));
    assert_eq!(cloud.control("rotation-planned").0, "ok");

    // All again: what was verified stays so, and says since when.
    slow(30);
    let since = "2026-12-01T13:30:00Z";
    cloud.ask(json!({"verify": "all"}), since).await.unwrap();
    let again = row();
    assert_eq!((&again["verdict"], &again["full_at"]), (&json!("verified"), &json!(NOW)));
    assert!(is_late(&again), "{again}");
    let (_, record) = cloud.chain("governance-report").pop().unwrap();
    assert!(record.contains("verify all records of rotation-audit"), "{record}");
    let index: Value = serde_json::from_str(&cloud.object(&index())).unwrap();
    let reached = &index["chains"]["rotation-audit"]["again"]["head"]["sequence"];
    let reached = usize::try_from(reached.as_u64().unwrap()).unwrap();
    // A fault that the rest of it finds, and finds again.
    lie(35);
    for now in ["2026-12-01T13:40:00Z", "2026-12-01T13:50:00Z"] {
        assert!(is_damaged(&cloud.daily(now).await, "rotation-audit"), "{now}");
        assert_eq!(reads(&cloud), ALL - reached, "{now}");
    }
    cloud.with(|state| state.lies.clear());
    assert!(!is_damaged(&cloud.daily("2026-12-01T14:00:00Z").await, "rotation-audit"));
    assert_eq!(reads(&cloud), ALL - reached);
    assert_eq!(row()["full_at"], since);
    cloud.daily("2026-12-01T14:10:00Z").await;
    assert_eq!(reads(&cloud), 0);

    // A fault that it finds before its time is over.
    lie(3);
    for event in [json!({"verify": "all"}), json!({}), json!({})] {
        slow(30);
        assert!(is_damaged(&cloud.ask(event, "2026-12-01T14:20:00Z").await.unwrap(), "rotation-audit"));
    }
    // It is not taken back before all of them are read again.
    cloud.with(|state| state.lies.clear());
    slow(30);
    for (is_slow, verdict) in [(true, "unknown"), (false, "verified")] {
        cloud.daily("2026-12-01T14:30:00Z").await;
        let found = row();
        assert_eq!((&found["verdict"], is_late(&found)), (&json!(verdict), is_slow), "{found}");
    }

    // A fault that one finds from the beginning is found again, though an earlier one is already beyond it.
    slow(30);
    cloud.daily("2026-12-09T13:30:00Z").await;
    let kept: Value = serde_json::from_str(&cloud.object(&self::index())).unwrap();
    assert!(kept["chains"]["rotation-audit"]["again"]["head"]["sequence"].as_u64() > Some(3), "{kept}");
    lie(3);
    for event in [json!({"verify": "all"}), json!({}), json!({})] {
        assert!(is_damaged(&cloud.ask(event, "2026-12-09T13:40:00Z").await.unwrap(), "rotation-audit"));
    }

    // Without the checkpoints, the anchors name an end that the next run does not go on to.
    cloud.with(|state| {
        state.lies.clear();
        state.hide("evidence", &self::index());
    });
    slow(30);
    cloud.daily("2026-12-09T13:50:00Z").await;
    let lost = row();
    assert!(lost["unread"].to_string().contains("a próxima execução recomeça"), "{lost}");
}

#[tokio::test]
async fn a_buckets_finding_reaches_the_control_of_its_role() {
    let cloud = Cloud::new();
    let found = |line: &str| json!({"result": "failed", "findings": [line]});
    let gone = "fail s3.exists moveongs-terraform-state: the bucket exists: is NoSuchBucket, should be exists, since 2026-11-01";
    let ids = ["terraform-state", "uploads-sent", "attachments-protected"];
    let states = || ids.map(|id| cloud.control(id).0);
    // Before lines had roles, any of the buckets may be meant.
    cloud.record("backup-audit", "2026-11-29", "2026-11-29T12:00:00Z", &found(gone));
    cloud.daily("2026-11-29T13:30:00Z").await;
    assert_eq!(states(), ["unknown"; 3]);
    let since = cloud.page()["findings"][0]["since"].clone();
    let with_role = found(&format!("{gone}, role: state"));
    cloud.record("backup-audit", "2026-11-30", "2026-11-30T12:00:00Z", &with_role);
    cloud.daily(NOW).await;
    assert_eq!(states(), ["failing", "ok", "ok"]);
    // It is the same finding.
    assert_eq!(cloud.page()["findings"][0]["since"], since);
    let gaps = cloud.page()["unmeasured"].clone();
    let off: Vec<_> = gaps.as_array().unwrap().iter().filter(|gap| gap["off"] == true).collect();
    assert!(off.iter().any(|gap| gap["id"] == "customers-informed"), "{gaps}");
}
