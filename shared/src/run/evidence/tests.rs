use aws_smithy_http_client::test_util::StaticReplayClient;

use super::*;
use crate::run::documents::tests::{NONE, TAKEN, documents, listing};
use crate::runtime::language::Language;

fn evidence(answers: &[(u16, &str)]) -> (Evidence<'static>, StaticReplayClient) {
    let (documents, wire) = documents(answers);
    (Evidence(Box::leak(Box::new(documents))), wire)
}

/// An entry of a list of versions: its element, key, and whether it is the latest. Version IDs are numbered by
/// position.
type Listed = (&'static str, &'static str, bool);

fn versions(listed: &[Listed]) -> String {
    let entries = listed.iter().enumerate().map(|(place, (element, key, is_latest))| {
        format!("<{element}><Key>{key}</Key><VersionId>v{place}</VersionId><IsLatest>{is_latest}</IsLatest></{element}>")
    });
    format!("<ListVersionsResult>{}</ListVersionsResult>", entries.collect::<String>())
}

fn record(key: &'static str) -> String {
    versions(&[("Version", key, true)])
}

const NO_VERSION: &str = "<ListVersionsResult></ListVersionsResult>";
const MARKER: &str = "DeleteMarker";

#[tokio::test]
async fn a_chain_tells_when_it_began() {
    let listed = "<ListBucketResult><Contents><Key>runs/p/begun.json</Key></Contents></ListBucketResult>";
    let first = r#"{"run_id": "x", "started": {"utc": "2026-03-01T12:00:00Z", "local": "x"}}"#;
    let (old, wire) = evidence(&[(200, listed), (200, first)]);
    assert_eq!(old.began().await.unwrap(), Some("2026-03-01T12:00:00Z".parse().unwrap()));
    assert_eq!(wire.actual_requests().count(), 2);
    let (nothing, none) =
        ("<ListBucketResult></ListBucketResult>", "<ListVersionsResult></ListVersionsResult>");
    let (new, wire) = evidence(&[(200, nothing), (200, none), (200, nothing)]);
    assert_eq!(new.began().await.unwrap(), None);
    assert_eq!(wire.actual_requests().count(), 3);
    // The note is missing. With at most two records, a run may have died before writing it.
    for (sequence, expected) in [(1, None), (2, None), (3, Some(Timestamp::MIN))] {
        let (chain, _) = evidence(&[]);
        let key = chain.key(sequence);
        let newest = format!("<ListVersionsResult><Version><Key>{key}</Key></Version></ListVersionsResult>");
        let (chain, _) = evidence(&[(200, nothing), (200, newest.as_str())]);
        assert_eq!(chain.began().await.unwrap(), expected, "{sequence}");
    }
    // A missing first record does not count as this week's.
    let (gone, _) = evidence(&[(200, listed), (403, "<Error><Code>AccessDenied</Code></Error>")]);
    assert!(gone.began().await.is_err());
}

pub(super) fn draft() -> Draft {
    let at = Timestamp::UNIX_EPOCH;
    Draft {
        run_id: "run".to_owned(),
        project: String::new(),
        environment: String::new(),
        trigger: String::new(),
        subject: String::new(),
        started: at.into(),
        ended: at.into(),
        steps: Vec::new(),
        findings: Vec::new(),
        result: "succeeded",
        code_version: String::new(),
        channel: SENT.to_owned(),
    }
}

#[tokio::test]
async fn the_first_record_ends_an_empty_chain() {
    let (evidence, wire) =
        evidence(&[(200, NONE), (200, NO_VERSION), (200, NONE), (200, ""), (200, ""), (412, TAKEN)]);
    let chain = evidence.find("run").await.unwrap();
    assert_eq!(chain, Chain::Open { newest: None, noted: None });
    let stored = evidence.append(&draft(), chain).await.unwrap();
    assert_eq!(stored.key, "evidence/p/9999999998.json");
    evidence.remember(&stored.mark.unwrap()).await.unwrap();
    let requests: Vec<_> = wire.actual_requests().collect();
    let [.., put, note] = requests[..] else { panic!("{requests:?}") };
    assert!(note.uri().contains("/runs/p/begun.json"), "{}", note.uri());
    for request in [put, note] {
        assert_eq!(request.headers().get("if-none-match"), Some("*"));
    }
    // What is written here is what is verified there.
    let mut notes = chain::Notes::new("p");
    let run = format!("runs/p/{}.json", chain::sha256(b"run"));
    let place = requests.iter().rfind(|request| request.uri().contains(&run)).unwrap();
    notes.note(&run, place.body().bytes().unwrap());
    notes.note("runs/p/begun.json", note.body().bytes().unwrap());
    let mut verifier = chain::Verifier::new("p").noted(notes);
    assert!(verifier.record(&stored.key, put.body().bytes().unwrap(), None).is_some());
    let verdict = verifier.finish();
    assert_eq!((verdict.state(), verdict.faults), (chain::State::Verified, vec![]));
    let note: serde_json::Value = serde_json::from_slice(note.body().bytes().unwrap()).unwrap();
    let sha256 = chain::sha256(put.body().bytes().unwrap());
    assert_eq!(note, serde_json::json!({"sequence": 1, "key": stored.key, "sha256": sha256}));
}

#[tokio::test]
async fn other_peoples_text_makes_no_record_that_cannot_be_verified() {
    let line = |number: usize| format!("SecretFound d{number}.json: {}", "~0".repeat(7_400));
    let large = Draft { findings: (0..284).map(line).collect(), ..draft() };
    assert!(bytes(&large).len() > usize::try_from(chain::MOST_BYTES).unwrap());
    let (evidence, wire) = evidence(&[(200, ""), (200, "")]);
    let stored = evidence.append(&large, Chain::Open { newest: None, noted: None }).await.unwrap();
    let requests: Vec<_> = wire.actual_requests().collect();
    let mut verifier = chain::Verifier::new("p");
    let record = verifier.record(&stored.key, requests[1].body().bytes().unwrap(), None).unwrap();
    let names: Vec<_> = record.findings.iter().filter_map(|line| line.split_once(": ")).collect();
    assert_eq!((names.len(), names[283].0), (284, "SecretFound d283.json"));
    assert_eq!(verifier.finish().state(), chain::State::Verified);
}

#[test]
fn the_chain_is_remembered_by_ever_fewer_records() {
    let link = || Link { key: String::new(), sha256: String::new() };
    let noted: Vec<_> = (1..=40).filter(|sequence| mark(*sequence, link()).is_some()).collect();
    assert_eq!(noted, [1, 2, 4, 8, 16, 32]);
}

#[tokio::test]
async fn a_chain_that_was_touched_is_reported_with_its_cure_and_gets_no_record() {
    const NEW: &str = "evidence/p/9999999990.json";
    const OLD: &str = "evidence/p/9999999991.json";
    let whole: [(&str, &[Listed]); 3] = [
        ("one record", &[("Version", NEW, true)]),
        ("two", &[("Version", NEW, true), ("Version", OLD, true)]),
        ("the one before is hidden", &[("Version", NEW, true), (MARKER, OLD, true)]),
    ];
    for (case, listed) in whole {
        let (evidence, _) = evidence(&[(200, &versions(listed)), (200, "7")]);
        assert_eq!(evidence.newest::<u8>().await, Ok(Some(7)), "{case}");
    }
    let touched: [(&str, &[Listed], &str, &str); 7] = [
        ("hidden", &[(MARKER, NEW, true), ("Version", NEW, false)], "EvidenceHidden", "v0"),
        (
            "hidden, the other list first",
            &[("Version", NEW, false), (MARKER, NEW, true)],
            "EvidenceHidden",
            "v1",
        ),
        ("only the marker is left", &[(MARKER, NEW, true)], "EvidenceHidden", "v0"),
        ("hidden twice", &[(MARKER, NEW, true), (MARKER, NEW, false)], "EvidenceHidden", "v0"),
        (
            "before a record that is not",
            &[("Version", OLD, true), (MARKER, NEW, true)],
            "EvidenceHidden",
            "v1",
        ),
        ("replaced", &[("Version", NEW, true), ("Version", NEW, false)], "EvidenceReplaced", "v0"),
        ("replaced when hidden", &[(MARKER, NEW, false), ("Version", NEW, true)], "EvidenceReplaced", "v1"),
    ];
    for (case, listed, kind, version) in touched {
        let (evidence, wire) = evidence(&[(200, NONE), (200, &versions(listed))]);
        let error = evidence.find("run").await.unwrap_err();
        let EvidenceError::Damaged(damage) = &error else { panic!("{case}: {error}") };
        assert_eq!(damage.kind(), kind, "{case}");
        let command =
            format!("`aws s3api delete-object --bucket evidence-bucket --key {NEW} --version-id {version}`");
        for text in [error.to_string(), damage.text(Language::Portuguese), damage.text(Language::English)] {
            assert!(text.contains(&command), "{case}: {text}");
        }
        assert_eq!(wire.actual_requests().count(), 2, "{case}");
    }
}

#[tokio::test]
async fn a_chain_that_is_gone_is_not_begun_anew() {
    let note = listing("runs/p/begun.json");
    let (evidence, wire) = evidence(&[(200, NO_VERSION), (200, &note)]);
    let error = evidence.newest::<u8>().await.unwrap_err();
    assert!(error.to_string().starts_with("EvidenceGone: "), "{error}");
    let command = "`aws s3api delete-object --bucket evidence-bucket --key runs/p/begun.json`";
    assert!(error.to_string().contains(command), "{error}");
    let asked: Vec<_> = wire.actual_requests().map(|request| request.uri().to_owned()).collect();
    assert!(asked[0].contains("versions") && asked[0].contains("max-keys=2"), "{asked:?}");
    assert!(asked[1].contains("prefix=runs%2Fp%2Fbegun.json"), "{asked:?}");
}

#[tokio::test]
async fn a_place_that_another_run_takes_first_is_left_to_it() {
    let other = r#"{"run_id": "other", "channel": "sent"}"#;
    let note = r#"{"key": "evidence/p/9999999998.json"}"#;
    let (evidence, wire) = evidence(&[
        // Place 1 is noted, but already taken.
        (200, ""),
        (412, TAKEN),
        // The note exists; its place has the other run's record, which is also the newest.
        (200, &listing("runs/p/x.json")),
        (200, note),
        (200, &record("evidence/p/9999999998.json")),
        (200, other),
        (200, other),
        // Place 2 is noted, replacing the note that was read, and taken.
        (200, ""),
        (200, ""),
    ]);
    let open = Chain::Open { newest: None, noted: None };
    assert_eq!(evidence.append(&draft(), open).await.unwrap().key, "evidence/p/9999999997.json");
    let requests: Vec<_> = wire.actual_requests().collect();
    assert_eq!(requests[7].headers().get("if-match"), Some("\"tag\""));
    let record: serde_json::Value = serde_json::from_slice(requests[8].body().bytes().unwrap()).unwrap();
    assert_eq!(record["sequence"], 2);
    assert_eq!(record["previous"]["key"], "evidence/p/9999999998.json");
    assert_eq!(record["previous"]["sha256"], chain::sha256(other.as_bytes()));
}

#[tokio::test]
async fn a_chain_whose_end_is_always_taken_is_given_up() {
    let round = [(412, TAKEN), (200, NONE), (200, NO_VERSION), (200, NONE)];
    let (evidence, _) = evidence(&round.repeat(8));
    let open = Chain::Open { newest: None, noted: None };
    assert_eq!(evidence.append(&draft(), open).await, Err(EvidenceError::Contended));
}

#[tokio::test]
async fn what_is_not_a_record_stops_the_chain_with_its_key() {
    for (key, body) in [
        ("evidence/p/9999999998.json", "{}"),
        ("evidence/p/9999999998.json", "not JSON"),
        ("evidence/p/readme.txt", r#"{"run_id": "x", "channel": "sent"}"#),
        ("evidence/p/9999999999.json", r#"{"run_id": "x", "channel": "sent"}"#),
    ] {
        let (evidence, _) = evidence(&[(200, NONE), (200, &record(key)), (200, body)]);
        let error = evidence.find("run").await.unwrap_err();
        assert!(
            matches!(&error, EvidenceError::Document(DocumentError::Unreadable { key: named, .. }) if named == key),
            "{error}"
        );
    }
}
