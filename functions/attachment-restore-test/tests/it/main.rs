//! The function's settings, and a run whose time is over: real SDK, an S3 in memory.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use attachment_restore_test::{App, handle};
use aws_config::SdkConfig;
use http::{Request, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::runtime::env::Env;
use shared::runtime::failure::Failure;
use shared::runtime::lambda::Invocation;
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

/// The objects of an S3 in memory, by key.
type Objects = Arc<Mutex<BTreeMap<String, String>>>;

/// An S3's status and body: lists by prefix, puts and gets.
fn s3(objects: &Objects, method: &str, uri: &str, body: &[u8]) -> (u16, String) {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let parameters: BTreeMap<_, _> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name, percent_decode_str(value).decode_utf8_lossy().into_owned()))
        .collect();
    let mut objects = objects.lock().unwrap();
    let key = path.trim_start_matches('/').to_owned();
    if query.contains("versions") || query.contains("list-type") {
        let prefix = parameters.get("prefix").cloned().unwrap_or_default();
        let found = objects.keys().find(|key| key.starts_with(&prefix));
        let found = found
            .map(|key| format!("<Key>{key}</Key><VersionId>1</VersionId><IsLatest>true</IsLatest>"))
            .unwrap_or_default();
        let (list, one) = if query.contains("versions") {
            ("ListVersionsResult", "Version")
        } else {
            ("ListBucketResult", "Contents")
        };
        let found = if found.is_empty() { found } else { format!("<{one}>{found}</{one}>") };
        return (200, format!("<{list}>{found}</{list}>"));
    }
    if method == "PUT" {
        objects.insert(key, String::from_utf8_lossy(body).into_owned());
        return (200, String::new());
    }
    match objects.get(&key) {
        Some(content) => (200, content.clone()),
        None => (404, "<Error><Code>NoSuchKey</Code></Error>".to_owned()),
    }
}

/// An S3 with the objects; SNS accepts pages and puts them among the objects, and every other service refuses.
fn cloud(objects: &Objects) -> SdkConfig {
    let kept = Arc::clone(objects);
    answered(move |request: &Request<_>| {
        let uri = request.uri();
        if uri.host().unwrap_or_default().contains("sns") {
            let page = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
            let mut kept = kept.lock().unwrap();
            let key = format!("pages/{}", kept.len());
            kept.insert(key, page);
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
        let body = request.body().bytes().unwrap_or_default();
        let (status, body) =
            s3(&kept, request.method().as_str(), uri.path_and_query().unwrap().as_str(), body);
        Response::builder().status(status).header("etag", "\"e\"").body(body.into()).unwrap()
    })
}

/// The function in that cloud, without an application.
fn app(objects: &Objects) -> App {
    let given = [
        ("APP_URL", ""),
        ("SMOKE_SECRET_NAME", ""),
        ("RDS_CA_FILE", ""),
        ("EVIDENCE_BUCKET", "evidence-bucket"),
        ("ATTACHMENTS_BUCKET", "moveongs-dev-attachments"),
    ];
    App::new(&Env::new(&variables(&given)), &cloud(objects)).unwrap()
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

fn pages(objects: &Objects) -> Vec<String> {
    let objects = objects.lock().unwrap();
    objects.iter().filter(|(key, _)| key.starts_with("pages/")).map(|(_, page)| page.clone()).collect()
}

#[tokio::test]
async fn a_run_whose_time_is_over_goes_on_and_the_third_attempt_says_what_is_left() {
    let (objects, note) = (Objects::default(), note());
    objects.lock().unwrap().insert(note.clone(), PROGRESS.to_owned());
    let app = app(&objects);
    let event: Value = serde_json::from_str(EVENT).unwrap();
    let error = handle(&app, event.clone(), &invocation()).await.unwrap_err();
    assert_eq!(error.kind(), "NotFinished", "{}", shared::runtime::failure::chain(&error));
    let noted: Value = serde_json::from_str(&objects.lock().unwrap()[&note]).unwrap();
    assert_eq!((&noted["attempts"], &noted["seed"]), (&json!(2), &json!("2026-12-01")));
    let report = serde_json::to_value(handle(&app, event, &invocation()).await.unwrap()).unwrap();
    assert_eq!(report["verdict"], "not-finished", "{report}");
    // What the first attempt found stays.
    assert_eq!(report["checks"]["checksum"], json!({"pass": 1}));
    let left = ["object 0b1f7f0e-0000-4000-8000-000000000002", "deleted moveongs-dev-attachments"];
    assert_eq!(report["findings"], json!(left.map(|line| format!("{line} NotChecked"))));
    assert_eq!(pages(&objects), Vec::<String>::new());
    let objects = objects.lock().unwrap();
    let record = objects.iter().find(|(key, _)| key.starts_with("evidence/")).unwrap().1;
    assert!(record.contains("\"failed\"") && record.contains("not-finished"), "{record}");
}

#[tokio::test]
async fn damage_pages_although_the_run_is_not_finished_and_its_rows_cannot_be_read_again() {
    let objects = Objects::default();
    let damaged = PROGRESS.replace(r#"{ "sound": { "bytes": 3 } }"#, r#""missing""#);
    assert_ne!(damaged, PROGRESS);
    objects.lock().unwrap().insert(note(), damaged);
    let app = app(&objects);
    // A person's run, which nothing continues.
    let event = json!({"run": "2026-12-01"});
    let error = handle(&app, event.clone(), &invocation()).await.unwrap_err();
    assert_eq!(error.kind(), "NotFinished");
    assert!(error.to_string().contains(r#"{"run":"2026-12-01"}"#), "{error}");
    let paged = pages(&objects);
    assert_eq!(paged.len(), 1);
    assert!(paged[0].contains("AttachmentsDamaged") && paged[0].contains("Missing"), "{}", paged[0]);
    let report = serde_json::to_value(handle(&app, event, &invocation()).await.unwrap()).unwrap();
    assert_eq!(report["verdict"], "fail", "{report}");
    let findings = report["findings"].to_string();
    assert!(findings.contains("confirmation moveongs-dev-attachments NotConfirmed"), "{findings}");
    assert_eq!(pages(&objects).len(), 2);
}

#[tokio::test]
async fn only_a_run_that_began_can_be_continued() {
    let objects = Objects::default();
    let error = handle(&app(&objects), json!({"run": "2027-01-01"}), &invocation()).await.unwrap_err();
    assert_eq!(error.kind(), "NoSuchRun");
    // Its id stays free for the schedule, and nobody is told.
    assert!(objects.lock().unwrap().is_empty());
}
