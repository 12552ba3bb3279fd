//! The function's settings, and a run whose time is over: real SDK, an S3 in memory.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use attachment_restore_test::{App, handle};
use aws_config::SdkConfig;
use http::{Request, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::runtime::env::Env;
use shared::runtime::failure::Failure;
use shared::runtime::lambda::Invocation;
use shared::testing::bucket::{Bucket, response};
use shared::testing::{answered, aws, replies, variables};

const EVENT: &str = include_str!("../../../../events/attachment-restore-test/monthly.json");
const PROGRESS: &str = include_str!("../../../../tests/recorded/attachment-restore-test-progress.json");

#[test]
fn a_wrong_setting_stops_the_start() {
    let app = |changed: &[(&str, &str)]| {
        let given = [changed, &[("APP_URL", ""), ("RDS_CA_FILE", "")]].concat();
        App::new(&Env::new(&variables(&given)), &aws(&replies(&[])))
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(app(&[]), Ok(()));
    for (name, value) in [("APP_URL", "ftp://x"), ("PAGING_TOPIC_ARN", ""), ("RDS_CA_FILE", "/no/such/file")]
    {
        let refused = app(&[(name, value)]).unwrap_err();
        assert!(refused.contains(name), "{refused}");
    }
}

/// An S3 with the bucket; SNS accepts pages and puts them among its objects, and every other service refuses.
fn cloud(bucket: &Bucket) -> SdkConfig {
    let kept = bucket.clone();
    answered(move |request: &Request<_>| {
        let uri = request.uri();
        if uri.host().unwrap_or_default().contains("sns") {
            let page = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
            kept.put(&format!("pages/{}", kept.objects().len()), &page);
            let answer =
                "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>";
            return Response::builder().status(200).body(answer.into()).unwrap();
        }
        if !uri.host().unwrap_or_default().contains("s3") {
            return Response::builder()
                .status(400)
                .body(r#"{"__type":"AccessDeniedException"}"#.into())
                .unwrap();
        }
        let (status, body) = kept.answer(request);
        response(request, status, body)
    })
}

/// The function in that cloud, without an application.
fn app(bucket: &Bucket) -> App {
    let given = [
        ("APP_URL", ""),
        ("SMOKE_SECRET_NAME", ""),
        ("RDS_CA_FILE", ""),
        ("EVIDENCE_BUCKET", "evidence-bucket"),
        ("ATTACHMENTS_BUCKET", "moveongs-dev-attachments"),
    ];
    App::new(&Env::new(&variables(&given)), &cloud(bucket)).unwrap()
}

/// The key of the note of the recorded run.
fn note() -> String {
    let hash = Sha256::digest("progress/2026-12-01");
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("runs/attachment-restore-test/{hash}.json")
}

/// Too little time to begin another attachment.
fn invocation() -> Invocation {
    Invocation::new("2026-12-01T10:00:00Z".parse().unwrap(), Duration::from_secs(100))
}

fn pages(bucket: &Bucket) -> Vec<String> {
    let pages = bucket.objects().into_iter().filter(|(key, _)| key.starts_with("pages/"));
    pages.map(|(_, page)| page).collect()
}

#[tokio::test]
async fn a_run_whose_time_is_over_goes_on_and_the_third_attempt_says_what_is_left() {
    let (bucket, note) = (Bucket::default(), note());
    bucket.put(&note, PROGRESS);
    let app = app(&bucket);
    let event: Value = serde_json::from_str(EVENT).unwrap();
    let error = handle(&app, event.clone(), &invocation()).await.unwrap_err();
    assert_eq!(error.kind(), "NotFinished", "{}", shared::runtime::failure::chain(&error));
    let noted: Value = serde_json::from_str(&bucket.objects()[&note]).unwrap();
    assert_eq!((&noted["attempts"], &noted["seed"]), (&json!(2), &json!("2026-12-01")));
    let report = serde_json::to_value(handle(&app, event, &invocation()).await.unwrap()).unwrap();
    assert_eq!(report["verdict"], "not-finished", "{report}");
    // What the first attempt found stays.
    assert_eq!(report["checks"]["checksum"], json!({"pass": 1}));
    let left = ["object 0b1f7f0e-0000-4000-8000-000000000002", "deleted moveongs-dev-attachments"];
    assert_eq!(report["findings"], json!(left.map(|line| format!("{line} NotChecked"))));
    assert_eq!(pages(&bucket), Vec::<String>::new());
    let objects = bucket.objects();
    let record = objects.iter().find(|(key, _)| key.starts_with("evidence/")).unwrap().1;
    assert!(record.contains("\"failed\"") && record.contains("not-finished"), "{record}");
}

#[tokio::test]
async fn damage_pages_although_the_run_is_not_finished_and_its_rows_cannot_be_read_again() {
    let bucket = Bucket::default();
    let damaged = PROGRESS.replace(r#"{ "sound": { "bytes": 3 } }"#, r#""missing""#);
    assert_ne!(damaged, PROGRESS);
    bucket.put(&note(), &damaged);
    let app = app(&bucket);
    // A person's run, which nothing continues.
    let event = json!({"run": "2026-12-01"});
    let error = handle(&app, event.clone(), &invocation()).await.unwrap_err();
    assert_eq!(error.kind(), "NotFinished");
    assert!(error.to_string().contains(r#"{"run":"2026-12-01"}"#), "{error}");
    let paged = pages(&bucket);
    assert_eq!(paged.len(), 1);
    assert!(paged[0].contains("AttachmentsDamaged") && paged[0].contains("Missing"), "{}", paged[0]);
    let report = serde_json::to_value(handle(&app, event, &invocation()).await.unwrap()).unwrap();
    assert_eq!(report["verdict"], "fail", "{report}");
    let findings = report["findings"].to_string();
    assert!(findings.contains("confirmation moveongs-dev-attachments NotConfirmed"), "{findings}");
    assert_eq!(pages(&bucket).len(), 2);
}

#[tokio::test]
async fn only_a_run_that_began_can_be_continued() {
    let bucket = Bucket::default();
    let error = handle(&app(&bucket), json!({"run": "2027-01-01"}), &invocation()).await.unwrap_err();
    assert_eq!(error.kind(), "NoSuchRun");
    // Its id stays free for the schedule, and nobody is told.
    assert!(bucket.objects().is_empty());
}
