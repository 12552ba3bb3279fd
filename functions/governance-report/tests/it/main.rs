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
    let month = json!({"month": "2026-11", "rows": [], "unacknowledged": []});
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
    for attack in ["altered", "deleted", "hidden", "replaced", "forged", "cut", "gone"] {
        let cloud = Cloud::new();
        seed(&cloud);
        cloud.daily(NOW).await;
        let text = cloud.object(first);
        cloud.with(|state| match attack {
            "altered" => state.exchange("evidence", first, &forged(&text)),
            "deleted" => {
                state.objects.remove(&("evidence".to_owned(), first.to_owned()));
            }
            "hidden" => state.hide("evidence", first),
            "cut" => {
                state.objects.remove(&("evidence".to_owned(), last.to_owned()));
            }
            "gone" => state.objects.retain(|(_, key), _| !key.starts_with("evidence/rotation-audit/")),
            _ => {}
        });
        match attack {
            "replaced" => cloud.put("evidence", first, &forged(&text)),
            "forged" => cloud.put("evidence", "evidence/rotation-audit/9999999990.json", &text),
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
        ("s3 GET evidence ?metrics/", "incident-page", true),
        ("monitoring ", "grafana-export", false),
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
async fn a_page_that_cannot_be_written_is_a_failure() {
    let cloud = Cloud::new();
    seed(&cloud);
    cloud.with(|state| state.refused = vec!["s3 PUT evidence /report/".to_owned()]);
    let error = cloud.ask(json!({}), NOW).await.unwrap_err();
    assert!(matches!(error, ReportError::Unwritten(_)), "{error:?}");
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
