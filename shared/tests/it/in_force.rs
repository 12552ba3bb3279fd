//! Which version of the policy document is in force, and how many requests that takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_smithy_http_client::test_util::StaticReplayClient;
use http::Response;
use serde_json::{Value, json};
use shared::run::in_force::{InForce, Source, announce};
use shared::runtime::env::Env;
use shared::runtime::failure::{Failure, chain};
use shared::testing::{Web, aws, replies};

const NOW: &str = "2026-03-01T12:00:00Z";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A version of the document that changes the maximum age of JWT_SECRET.
fn document(days: u16) -> String {
    let patch = json!({"rotation": {"secrets": {"JWT_SECRET": {"max_age_days": days}}}});
    json!({"format": 1, "author": "Ana", "commit": COMMIT, "applied_at": NOW, "patch": patch}).to_string()
}

/// S3's list of versions, newest first: ID and size, or a delete marker.
fn list(versions: &[(&str, Option<usize>)]) -> String {
    let element = |(place, (id, size)): (usize, &(&str, Option<usize>))| {
        let common = format!(
            "<Key>policy/current.json</Key><VersionId>{id}</VersionId><IsLatest>{}</IsLatest><LastModified>2026-03-01T11:00:{:02}.000Z</LastModified>",
            place == 0,
            59 - place
        );
        match size {
            Some(size) => format!("<Version>{common}<Size>{size}</Size></Version>"),
            None => format!("<DeleteMarker>{common}</DeleteMarker>"),
        }
    };
    let all: String = versions.iter().enumerate().map(element).collect();
    format!(
        "<ListVersionsResult><Name>b</Name><Prefix>policy/current.json</Prefix>{all}</ListVersionsResult>"
    )
}

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "MESSAGE_LANGUAGE" => "pt-BR",
        "CODE_VERSION" => "c0de",
        "SLACK_API_URL" => "http://127.0.0.1:1/api",
        _ => "b",
    };
    Some(value.to_owned())
}

fn source(wire: &StaticReplayClient) -> Source {
    Source::new(&Env::new(&variable), &aws(wire)).unwrap()
}

fn days(in_force: &InForce) -> u16 {
    in_force.policy.rotation.secrets["JWT_SECRET"].max_age_days
}

/// The first look: the policy in force and the number of requests.
async fn first(answers: &[&str]) -> (InForce, usize) {
    let wire = replies(answers);
    let in_force = source(&wire).first().await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    (in_force, wire.actual_requests().count())
}

#[tokio::test]
async fn without_a_document_the_defaults_hold() {
    for versions in [&[][..], &[("m", None), ("v1", Some(9))]] {
        let (in_force, requests) = first(&[&list(versions)]).await;
        assert_eq!((days(&in_force), in_force.version, in_force.broken, requests), (90, None, None, 1));
    }
    // A key that only starts the same belongs to another object.
    let other = list(&[("v1", Some(1))]).replace("current.json</Key>", "current.json.bak</Key>");
    assert_eq!(first(&[&other]).await.0.version, None);
}

#[tokio::test]
async fn the_newest_version_is_in_force_and_read_once() {
    let new = document(30);
    let listed = list(&[("v2", Some(new.len())), ("v1", Some(9))]);
    let wire = replies(&[&listed, &new, &listed]);
    let source = source(&wire);
    let in_force = source.first().await.unwrap();
    assert_eq!((days(&in_force), in_force.version.as_deref()), (30, Some("v2")));
    assert!(source.again(&in_force).await.is_none());
    let asked: Vec<_> = wire.actual_requests().map(|request| request.uri().to_owned()).collect();
    assert_eq!(asked.len(), 3);
    assert!(asked[1].contains("/policy/current.json") && asked[1].contains("versionId=v2"), "{}", asked[1]);
}

#[tokio::test]
async fn behind_a_version_that_is_broken_the_last_good_one_stays() {
    let good = document(30);
    let typo = document(30).replace("max_age_days", "max_age");
    let newer = document(30).replace("\"format\":1", "\"format\":2");
    let size = |text: &String| Some(text.len());
    for (broken, reported) in [
        (typo, "rotation.secrets.JWT_SECRET"),
        (document(0), "rotation.secrets.JWT_SECRET.max_age_days: expected 1 to 999"),
        (newer, "format: expected 1, found 2"),
        ("{}".to_owned(), "missing field"),
        ("no JSON".to_owned(), "policy field .:"),
        (document(30).replace(COMMIT, "main"), "commit: expected the 40"),
        (document(30).replace("Ana", "A\\nna"), "author: expected one line"),
    ] {
        let listed = list(&[("v3", size(&broken)), ("v2", size(&broken)), ("v1", size(&good))]);
        let (in_force, requests) = first(&[&listed, &broken, &broken, &good]).await;
        assert_eq!(
            (days(&in_force), in_force.version.as_deref(), requests),
            (30, Some("v1"), 4),
            "{reported}"
        );
        let found = in_force.broken.unwrap();
        assert_eq!(found.version, "v3");
        assert!(found.error.contains(reported), "{}", found.error);
    }
    // If no version was ever good, or the document was deleted, the defaults apply, and the broken version is still
    // reported.
    for versions in [&[("v1", Some(2))][..], &[("v3", Some(2)), ("m", None), ("v1", Some(good.len()))]] {
        let (in_force, requests) = first(&[&list(versions), "{}"]).await;
        assert_eq!((days(&in_force), in_force.version.is_none(), requests), (90, true, 2));
        assert!(in_force.broken.is_some());
    }
}

/// A page of a list that continues.
fn cut(list: &str, key: &str, version: Option<&str>) -> String {
    let version = version.map(|version| format!("<NextVersionIdMarker>{version}</NextVersionIdMarker>"));
    let next = format!(
        "<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>{}",
        version.unwrap_or_default()
    );
    list.replace("</ListVersionsResult>", &format!("{next}</ListVersionsResult>"))
}

#[tokio::test]
async fn behind_more_broken_versions_than_a_page_has_the_last_good_one_stays() {
    let good = document(30);
    let ids: Vec<String> = (2..18).rev().map(|n| format!("v{n}")).collect();
    let broken: Vec<_> = ids.iter().map(|id| (id.as_str(), Some(2))).collect();
    let first_page = cut(&list(&broken), "policy/current.json", Some("v2"));
    let second_page = list(&[("v1", Some(good.len()))]);
    let answers = [&[first_page.as_str()][..], &["{}"; 16], &[&second_page, &good]].concat();
    let wire = replies(&answers);
    let in_force = source(&wire).first().await.unwrap();
    assert_eq!((days(&in_force), in_force.version.as_deref()), (30, Some("v1")));
    assert_eq!(in_force.broken.unwrap().version, "v17");
    let asked: Vec<_> = wire.actual_requests().map(|request| request.uri().to_owned()).collect();
    assert_eq!(asked.len(), 19);
    let more = &asked[17];
    assert!(
        more.contains("key-marker=policy%2Fcurrent.json") && more.contains("version-id-marker=v2"),
        "{more}"
    );
    // Deleted on the next page: the defaults apply, and the broken version is announced.
    let removed = list(&[("m", None), ("v1", Some(good.len()))]);
    let answers = [&[first_page.as_str()][..], &["{}"; 16], &[&removed]].concat();
    let (in_force, requests) = first(&answers).await;
    assert_eq!((days(&in_force), in_force.version, requests), (90, None, 18));
    assert!(in_force.broken.is_some());
    // A list that does not say how it continues never leads to the defaults.
    let all = list(&[("v2", Some(2))]);
    for (page, more) in [
        (cut(&all, "policy/current.json", None), None),
        (all.replace("</ListVersionsResult>", "<IsTruncated>true</IsTruncated></ListVersionsResult>"), None),
        (
            cut(&all, "policy/current.json", Some("v2")),
            Some(cut(&list(&[]), "policy/current.json", Some("v2"))),
        ),
        (cut(&all, "policy/current.json", Some("v2")), Some(String::new())),
    ] {
        let answers = [Some(page.as_str()), more.is_some().then_some("{}"), more.as_deref()];
        let answers: Vec<_> = answers.into_iter().flatten().collect();
        let error = source(&replies(&answers)).first().await.unwrap_err();
        assert_eq!(error.kind(), "PolicyUnread", "{answers:?}");
    }
    // The next key belongs to another object.
    let (in_force, requests) = first(&[&cut(&all, "policy/current.json.bak", Some("x")), "{}"]).await;
    assert_eq!((in_force.version, requests), (None, 2));
}

#[tokio::test]
async fn behind_a_version_that_is_refused_or_too_large_the_last_good_one_stays() {
    let good = document(30);
    // `__type` turns the reply into a 400.
    let refusal = |code: &str| format!("<Error><Code>{code}</Code><Message>__type</Message></Error>");
    let listed = |size: usize| list(&[("v2", Some(size)), ("v1", Some(good.len()))]);
    for (size, answers, reported) in [
        (9, vec![refusal("AccessDenied"), good.clone()], "AccessDenied"),
        (9, vec![refusal("InvalidObjectState"), good.clone()], "InvalidObjectState"),
        (262_145, vec![good.clone()], "expected at most 262144 bytes, found 262145"),
    ] {
        let listed = listed(size);
        let mut all = vec![listed.as_str()];
        all.extend(answers.iter().map(String::as_str));
        let (in_force, requests) = first(&all).await;
        assert_eq!((days(&in_force), in_force.version.as_deref()), (30, Some("v1")), "{reported}");
        assert_eq!(requests, all.len(), "{reported}");
        let broken = in_force.broken.unwrap();
        assert!(broken.version == "v2" && broken.error.contains(reported), "{}", broken.error);
    }
    // The defaults never replace a version that was not read, and other errors make the caller retry.
    for answers in [
        &[list(&[("v1", Some(9))]), refusal("AccessDenied")][..],
        &[list(&[("v2", Some(9)), ("v1", Some(2))]), refusal("AccessDenied"), "{}".to_owned()],
        &[listed(9), refusal("NoSuchVersion")],
    ] {
        let answers: Vec<_> = answers.iter().map(String::as_str).collect();
        let error = source(&replies(&answers)).first().await.unwrap_err();
        assert_eq!(error.kind(), "PolicyUnread", "{answers:?}");
    }
    // Once S3 no longer refuses it, it is in force.
    let new = document(7);
    let (listed, denied) = (listed(new.len()), refusal("AccessDenied"));
    let wire = replies(&[&listed, &denied, &good, &listed, &new]);
    let source = source(&wire);
    let before = source.first().await.unwrap();
    assert_eq!(source.again(&before).await.as_ref().map(days), Some(7));
}

#[tokio::test]
async fn what_s3_does_not_answer_for_is_never_the_defaults() {
    let cut = list(&[("v1", Some(document(30).len()))]);
    let denied = "<Error><Code>AccessDenied</Code></Error>";
    for answers in
        [&[""][..], &["<ListVersionsResult></ListVersionsResult>"], &[&cut, ""], &[&cut, "{"], &[denied]]
    {
        let error = source(&replies(answers)).first().await.unwrap_err();
        assert_eq!(error.kind(), "PolicyUnread", "{answers:?}");
        assert!(chain(&error).contains("s3:"), "{}", chain(&error));
    }
    // A process with a policy keeps it.
    let good = document(30);
    let listed = list(&[("v1", Some(good.len()))]);
    let next = list(&[("v2", Some(good.len())), ("v1", Some(good.len()))]);
    for later in [&[""][..], &[&next, ""]] {
        let wire = replies(&[&[listed.as_str(), &good], later].concat());
        let source = source(&wire);
        let in_force = source.first().await.unwrap();
        assert!(source.again(&in_force).await.is_none());
    }
}

/// A channel with an environment that posts to it; counts the messages.
fn channel() -> (Web, Arc<AtomicUsize>) {
    let posted = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&posted);
    let web = Web::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Some(Response::new(json!({"ok": true})))
    });
    (web, posted)
}

async fn announced(notes: &[&str], web: &Web) -> usize {
    let broken = document(0);
    let listed = list(&[("v2", Some(broken.len()))]);
    let (in_force, _) = first(&[&listed, &broken]).await;
    let wire = replies(notes);
    let api = format!("{}/api", web.url());
    let lookup = |name: &str| if name == "SLACK_API_URL" { Some(api.clone()) } else { variable(name) };
    announce(&in_force, &Env::new(&lookup), &aws(&wire), NOW.parse().unwrap()).await;
    wire.actual_requests().count()
}

#[tokio::test]
async fn a_broken_version_is_announced_once() {
    let (web, posted) = channel();
    let note = |minute: u8, is_reported: bool| {
        json!({"broken": {"version": "v2", "error": "e"}, "in_force": null, "function": "f", "code_version": "c0de",
            "at": format!("2026-03-01T11:{minute}:00Z"), "is_told": is_reported})
        .to_string()
    };
    let listed =
        "<ListBucketResult><Contents><Key>runs/policy-notice/x.json</Key></Contents></ListBucketResult>";
    let token = r#"{"SecretString": "xoxb-1"}"#;
    // First announcement: claim, token, message, settle.
    assert_eq!(announced(&["<ListBucketResult></ListBucketResult>", "", token, ""], &web).await, 4);
    assert_eq!(posted.load(Ordering::SeqCst), 1);
    let asked: Value = web.asked().remove(0).into_body();
    let text = asked.to_string();
    for part in ["max_age_days", "expected 1 to 999", "os padrões", "cargo xtask policy apply"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Another function has announced it, or is about to.
    for note in [note(10, true), note(58, false)] {
        assert_eq!(announced(&[listed, &note], &web).await, 2);
        assert_eq!(posted.load(Ordering::SeqCst), 1);
    }
    // The other function died before announcing it.
    assert_eq!(announced(&[listed, &note(50, false), "", token, ""], &web).await, 5);
    assert_eq!(posted.load(Ordering::SeqCst), 2);
}
