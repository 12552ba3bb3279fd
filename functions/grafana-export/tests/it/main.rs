//! The function against a Grafana and a bucket in memory. The repository is tested on the local cloud.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod grafana;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use grafana::Shared;
use grafana_export::{App, ExportError, Report, handle};
use serde_json::{Value, json};
use shared::runtime::env::Env;
use shared::runtime::failure::Failure;
use shared::runtime::lambda::Invocation;
use shared::testing::bucket::Bucket;
use shared::testing::{Web, answered, variables};

/// Tuesday, so that nothing is told weekly.
const NOW: &str = "2026-12-01T12:00:00Z";
const WEBHOOK: &str = "secret-path";

struct Cloud {
    bucket: Bucket,
    web: Web,
    grafana: Shared,
    slack: Web,
    published: Arc<Mutex<Vec<String>>>,
    token: &'static str,
}

impl Cloud {
    fn new() -> Self {
        let (web, grafana) = grafana::start();
        let slack = Web::new(|_| Some(http::Response::new(json!({"ok": true}))));
        Self { bucket: Bucket::default(), web, grafana, slack, published: Arc::default(), token: "glsa_good" }
    }

    async fn ask(&self, event: Value, now: &str) -> Result<Report, ExportError> {
        self.ask_with(event, now, self.web.url()).await
    }

    async fn ask_with(&self, event: Value, now: &str, grafana: &str) -> Result<Report, ExportError> {
        let slack = format!("{}/api", self.slack.url());
        let variables = variables(&[
            ("ENVIRONMENT", "dev"),
            ("EVIDENCE_BUCKET", "evidence"),
            ("SLACK_API_URL", slack.as_str()),
            ("GRAFANA_URL", grafana),
            ("GRAFANA_SECRET_NAME", "grafana"),
            ("GRAFANA_EXPORT_PATH", ""),
        ]);
        let (bucket, published, token) = (self.bucket.clone(), Arc::clone(&self.published), self.token);
        let aws = answered(move |request| {
            let body = String::from_utf8_lossy(request.body().bytes().unwrap()).into_owned();
            let (status, body) = match request.uri().host().unwrap().split('.').next().unwrap() {
                "sns" => {
                    published.lock().unwrap().push(body);
                    (200, "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>".to_owned())
                }
                "secretsmanager" => {
                    let value = if body.contains("grafana") { token } else { "xoxb-1" };
                    (200, json!({"SecretString": value}).to_string())
                }
                _ => bucket.answer(request),
            };
            http::Response::builder()
                .status(status)
                .header("etag", "\"t\"")
                .body(SdkBody::from(body))
                .unwrap()
        });
        let env = Env::new(&variables);
        let app = App::new(&env, &aws).unwrap_or_else(|error| panic!("{error}"));
        handle(&app, event, &Invocation::new(now.parse().unwrap(), Duration::from_secs(900))).await
    }

    async fn export(&self, event: Value, now: &str) -> Report {
        self.ask(event, now).await.unwrap_or_else(|error| panic!("{error}"))
    }

    fn keys(&self, folder: &str) -> Vec<String> {
        self.bucket.objects().into_keys().filter(|key| key.starts_with(folder)).collect()
    }

    fn object(&self, key: &str) -> Value {
        serde_json::from_str(&self.bucket.objects()[key]).unwrap()
    }

    /// The note about the last export.
    fn note(&self) -> Value {
        let notes = self.keys("runs/grafana-export/").into_iter().map(|key| self.object(&key));
        notes.into_iter().find(|note| note.get("exported_at").is_some()).unwrap()
    }

    fn records(&self) -> Vec<Value> {
        self.keys("evidence/grafana-export/").iter().rev().map(|key| self.object(key)).collect()
    }

    /// Messages in the channel.
    fn messages(&self) -> Vec<String> {
        self.slack.asked().iter().map(|request| request.body().to_string()).collect()
    }

    /// Whose turn it is to check.
    fn turn(&self, change: impl Fn(&mut Value)) {
        let is_turn = |key: &String| self.object(key).get("is_done").is_some();
        let key = self.keys("runs/grafana-export/").into_iter().find(is_turn).unwrap();
        let mut turn = self.object(&key);
        change(&mut turn);
        let put = http::Request::put(format!("https://evidence.example/{key}"));
        self.bucket.answer(&put.body(SdkBody::from(turn.to_string())).unwrap());
    }

    fn change(&self, uid: &str, change: impl Fn(&mut Value)) {
        change(&mut self.grafana.lock().unwrap().dashboards.get_mut(uid).unwrap().1);
    }
}

#[tokio::test]
async fn an_export_is_stored_once_checked_and_leaves_grafana_as_it_was() {
    let cloud = Cloud::new();
    let before = cloud.grafana.lock().unwrap().uids();
    let first = cloud.export(json!({}), NOW).await;
    assert_eq!(
        (first.result, first.check, first.dashboards, first.rule_groups),
        ("succeeded", "passed", 2, 1)
    );
    assert_eq!(first.changes, [8, 0, 0]);
    assert!(first.findings.is_empty() && first.paged.is_empty(), "{first:?}");
    {
        let state = cloud.grafana.lock().unwrap();
        assert_eq!(state.uids(), before);
        assert!(state.unknown.is_empty() && state.evaluated == 0, "{:?}", state.unknown);
    }
    let export = cloud.object(&first.export);
    assert_eq!(export["dashboards"]["d1"]["folder"], "f1");
    assert_eq!(
        export["dashboards"]["d1"]["model"],
        json!({"uid": "d1", "title": "Painel d1", "panels": [{"id": 1, "title": "5xx"}]})
    );
    assert_eq!(export["contact_points"][0]["settings"]["url"], "https://h.example/[REDACTED]");
    assert_eq!(export["policies"], json!({"receiver": "hook"}));
    let note = cloud.note();
    assert_eq!(
        (&note["sha256"], &note["checked_sha256"], &note["fault"]),
        (&json!(first.sha256), &json!(first.sha256), &Value::Null)
    );

    // Each save of Grafana has another id and version: that is no change.
    let second = cloud.export(json!({}), "2026-12-02T12:00:00Z").await;
    assert_eq!((second.export, second.changes, second.check), (first.export.clone(), [0, 0, 0], "not_due"));
    assert_eq!(cloud.keys("grafana/"), [first.export]);
    // Nothing is told of what is good.
    assert_eq!((cloud.messages().len(), cloud.records().len()), (0, 2));
    let record = &cloud.records()[0];
    assert_eq!((&record["run_id"], &record["result"]), (&json!("2026-12-01"), &json!("succeeded")));
    assert!(
        record["steps"].to_string().contains("1 rule groups restored and compared, 0 faults"),
        "{record}"
    );
    assert!(!format!("{:?}", cloud.bucket.objects()).contains(WEBHOOK));

    // A change is one; after a week, the same export is checked again.
    cloud.change("d2", |model| model["title"] = json!("Outro"));
    let third = cloud.export(json!({}), "2026-12-03T12:00:00Z").await;
    assert_eq!((third.changes, third.check, cloud.keys("grafana/").len()), ([0, 1, 0], "passed", 2));
    let later = cloud.export(json!({}), "2026-12-10T12:00:00Z").await;
    assert_eq!((later.changes, later.check), ([0, 0, 0], "passed"));
}

#[tokio::test]
async fn a_release_keeps_its_first_export() {
    let cloud = Cloud::new();
    let released = json!({"release": "v1.4.0"});
    let first = cloud.export(released.clone(), NOW).await;
    assert_eq!((first.result, first.release.as_deref()), ("succeeded", Some("v1.4.0")));
    assert!(first.run_id.starts_with("2026-12-01/release/v1.4.0/"), "{}", first.run_id);
    let kept = cloud.object("grafana/releases/v1.4.0.json");
    assert_eq!((&kept["export"], &kept["grafana"]), (&json!(first.export), &json!("11.2.0")));
    // Announced twice.
    let again = cloud.export(released.clone(), NOW).await;
    assert_eq!((again.findings.len(), cloud.records().len()), (0, 1));
    // Deployed again after a change of a dashboard.
    cloud.change("d1", |model| model["title"] = json!("Depois"));
    let later = cloud.export(released, NOW).await;
    assert_eq!((later.result, later.findings), ("succeeded", vec!["ReleaseKept v1.4.0".to_owned()]));
    assert_eq!((cloud.object("grafana/releases/v1.4.0.json"), cloud.records().len()), (kept, 2));
    assert_ne!(later.export, first.export);
    assert!(cloud.messages().concat().contains("ReleaseKept"), "{:?}", cloud.messages());
}

#[tokio::test]
async fn a_secret_in_a_dashboard_goes_nowhere() {
    let cloud = Cloud::new();
    let secret = "glsa_5bgPmBqS1hMv1CmFxl7XxjNVcYBDrgf2_9a0a5c9e";
    cloud.change("d1", |model| model["panels"][0]["url"] = json!(format!("https://x.example/?key={secret}")));
    let report = cloud.export(json!({}), NOW).await;
    assert_eq!((report.result, report.dashboards), ("failed", 1));
    assert_eq!(report.findings, ["SecretFound dashboards/f1/d1.json"]);
    let told = cloud.messages().concat();
    assert!(told.contains("/panels/0/url") && told.contains("docs/grafana.md#segredos"), "{told}");
    for text in [format!("{:?}", cloud.bucket.objects()), told, format!("{report:?}")] {
        assert!(!text.contains(secret), "{text}");
    }
    // It is told once, and when it is gone.
    cloud.export(json!({}), "2026-12-02T12:00:00Z").await;
    assert_eq!(cloud.messages().len(), 1);
    cloud.change("d1", |model| model["panels"][0]["url"] = json!("https://x.example/"));
    let cured = cloud.export(json!({}), "2026-12-03T12:00:00Z").await;
    assert_eq!((cured.result, cured.dashboards, cloud.messages().len()), ("succeeded", 2, 2));
    // What was clean before stays as it was then: its file is not removed.
    cloud.change("d1", |model| model["panels"][0]["url"] = json!(secret));
    let again = cloud.export(json!({}), "2026-12-04T12:00:00Z").await;
    assert_eq!((&again.export, again.dashboards, again.changes), (&cured.export, 2, [0, 0, 0]));
    assert_eq!(again.findings, ["SecretFound dashboards/f1/d1.json"]);
    assert_eq!(cloud.note()["left_out"], 1);
}

#[tokio::test]
async fn what_cannot_be_read_keeps_its_earlier_form() {
    let cloud = Cloud::new();
    let first = cloud.export(json!({}), NOW).await;
    cloud.grafana.lock().unwrap().refuses = Some(("GET /api/dashboards/uid/d1".to_owned(), 500));
    let second = cloud.export(json!({}), "2026-12-02T12:00:00Z").await;
    assert_eq!((second.result, &second.export, second.dashboards), ("failed", &first.export, 2));
    assert_eq!(second.findings, ["NotExported dashboards/f1/d1.json"]);
    // A list that cannot be read is the end of the run: it would look as if everything had been deleted.
    cloud.grafana.lock().unwrap().refuses = Some(("GET /api/search".to_owned(), 500));
    let refused = cloud.ask(json!({}), "2026-12-03T12:00:00Z").await.unwrap_err();
    assert_eq!(refused.kind(), "GrafanaRefused");
    assert_eq!(cloud.note()["exported_at"], "2026-12-02T12:00:00Z");
    let told = cloud.messages();
    assert!(told.last().unwrap().contains("A exportação do Grafana falhou"), "{told:?}");
    // What is listed and answers 404 is not gone.
    for (day, path, file) in [
        (4, "/api/dashboards/uid/d1", "dashboards/f1/d1.json"),
        (5, "/api/v1/provisioning/folder/f1/", "alerting/rule-groups/f1/api.json"),
        (6, "/api/folders/f1", "folders.json"),
    ] {
        cloud.grafana.lock().unwrap().refuses = Some((format!("GET {path}"), 404));
        let lost = cloud.export(json!({}), &format!("2026-12-0{day}T12:00:00Z")).await;
        assert_eq!((&lost.export, lost.changes), (&second.export, [0, 0, 0]), "{file}");
        assert_eq!(lost.findings, [format!("NotExported {file}")]);
        assert_eq!(cloud.note()["left_out"], 1);
    }
    cloud.grafana.lock().unwrap().refuses = None;
    // Gone between the list and the read.
    cloud.grafana.lock().unwrap().vanishes = "d1".to_owned();
    let gone = cloud.export(json!({}), "2026-12-07T12:00:00Z").await;
    assert_eq!((gone.result, gone.dashboards, gone.changes), ("succeeded", 1, [0, 0, 1]));
}

#[tokio::test]
async fn what_is_in_a_folder_that_was_not_exported_is_not_known_to_come_back() {
    let cloud = Cloud::new();
    cloud.grafana.lock().unwrap().refuses = Some(("GET /api/folders/f1".to_owned(), 404));
    let report = cloud.export(json!({}), NOW).await;
    assert_eq!((report.result, report.check), ("failed", "not_made"));
    assert_eq!(report.findings, ["NotExported folders.json", "CheckNotMade grafana"]);
}

#[tokio::test]
async fn a_group_whose_name_leads_elsewhere_is_named_and_never_asked_for() {
    let cloud = Cloud::new();
    let group = json!({"title": "..", "folderUid": "f1", "interval": 60, "rules": []});
    cloud.grafana.lock().unwrap().groups.insert(("f1".to_owned(), "..".to_owned()), group);
    let report = cloud.export(json!({}), NOW).await;
    let [finding] = report.findings.try_into().unwrap();
    assert!(finding.starts_with("NotExported alerting/rule-groups/f1/"), "{finding}");
    assert!(cloud.grafana.lock().unwrap().unknown.is_empty());
}

#[tokio::test]
async fn library_panels_are_read_to_the_end_however_short_a_page_is() {
    let cloud = Cloud::new();
    let panel = |uid: &str| json!({"id": 1, "uid": uid, "name": uid, "kind": 1, "model": {"type": "stat"}});
    cloud.grafana.lock().unwrap().panels = vec![panel("p1"), panel("p2"), panel("p3")];
    let report = cloud.export(json!({}), NOW).await;
    let panels = cloud.object(&report.export)["library_panels"].clone();
    assert_eq!(panels.as_object().unwrap().keys().collect::<Vec<_>>(), ["p1", "p2", "p3"]);
}

#[tokio::test]
async fn a_dashboard_of_the_new_schema_is_read_and_restored_where_it_is() {
    let cloud = Cloud::new();
    let annotations = json!({"grafana.app/folder": "f1"});
    let resource = json!({"apiVersion": "dashboard.grafana.app/v2beta1", "kind": "Dashboard", "metadata": {"name": "d3", "annotations": annotations}, "spec": {"title": "Novo"}});
    cloud.grafana.lock().unwrap().resources.insert("d3".to_owned(), ("f1".to_owned(), resource));
    // What an editor writes into a model chooses no call.
    cloud.change("d1", |model| {
        model["apiVersion"] = json!("dashboard.grafana.app/../../api/org/invites?x=");
    });
    let before = cloud.grafana.lock().unwrap().uids();
    let report = cloud.export(json!({}), NOW).await;
    assert_eq!((report.result, report.check, report.dashboards), ("succeeded", "passed", 3), "{report:?}");
    let export = cloud.object(&report.export);
    let new = &export["dashboards"]["d3"];
    assert_eq!((&new["version"], &new["folder"]), (&json!("v2beta1"), &json!("f1")));
    assert_eq!(new["model"]["spec"], json!({"title": "Novo"}));
    assert!(export["dashboards"]["d1"].get("version").is_none());
    let state = cloud.grafana.lock().unwrap();
    assert_eq!((state.uids(), state.unknown.len()), (before, 0));
}

#[tokio::test]
async fn a_check_of_another_run_is_not_exported_and_not_waited_for() {
    let cloud = Cloud::new();
    let first = cloud.export(json!({}), NOW).await;
    cloud.turn(|turn| {
        turn["is_done"] = json!(false);
        turn["at"] = json!("2026-12-02T11:59:00Z");
        turn["request"] = json!("another");
    });
    cloud.grafana.lock().unwrap().is_joined = true;
    for at in ["2026-12-02T12:00:00Z", "2026-12-02T12:01:00Z"] {
        let second = cloud.export(json!({}), at).await;
        assert_eq!((second.result, second.check, second.findings.len()), ("succeeded", "not_due", 0));
        assert_eq!(second.export, first.export);
    }
    assert!(cloud.grafana.lock().unwrap().folders.contains_key(grafana::ANOTHER));
    // What was moved out of such a folder stays, and is named.
    cloud.grafana.lock().unwrap().is_joined = false;
    let uid = "govcheck-0123456789abcdef9999";
    cloud.grafana.lock().unwrap().dashboards.get_mut(uid).unwrap().0 = "f1".to_owned();
    let moved = cloud.export(json!({}), "2026-12-02T13:00:00Z").await;
    assert_eq!((moved.export, moved.findings), (first.export, vec![format!("LeftBehind {uid}")]));
    assert!(!cloud.grafana.lock().unwrap().folders.contains_key(grafana::ANOTHER));
}

#[tokio::test]
async fn a_list_that_shrank_stays_a_finding_until_a_person_accepts_it() {
    let cloud = Cloud::new();
    for number in 0..4 {
        let (uid, model) = (format!("e{number}"), json!({"uid": format!("e{number}"), "title": "E"}));
        cloud.grafana.lock().unwrap().dashboards.insert(uid, (String::new(), model));
    }
    assert_eq!(cloud.export(json!({}), NOW).await.dashboards, 6);
    cloud.grafana.lock().unwrap().dashboards.retain(|uid, _| uid.starts_with('d'));
    for day in [2, 3] {
        let shrunk = cloud.export(json!({}), &format!("2026-12-0{day}T12:00:00Z")).await;
        assert_eq!((shrunk.result, shrunk.findings), ("failed", vec!["Shrunk dashboards".to_owned()]));
    }
    let accepted = cloud.export(json!({"accept_shrunk": true}), "2026-12-03T13:00:00Z").await;
    assert_eq!(accepted.result, "succeeded");
    assert!(accepted.run_id.starts_with("2026-12-03/accepted-"), "{}", accepted.run_id);
    assert_eq!(cloud.export(json!({}), "2026-12-04T12:00:00Z").await.result, "succeeded");
}

#[tokio::test]
async fn an_export_that_does_not_come_back_pages_until_it_does() {
    let cloud = Cloud::new();
    cloud.grafana.lock().unwrap().loses = "panels".to_owned();
    let report = cloud.export(json!({}), NOW).await;
    assert_eq!((report.result, report.check, report.paged.len()), ("failed", "failed", 1));
    assert_eq!(
        report.findings,
        ["CheckFailed dashboards/f1/d1.json", "CheckFailed dashboards/general/d2.json"]
    );
    assert_eq!(cloud.note()["fault"], "dashboards/f1/d1.json: /panels is missing");
    let page = cloud.published.lock().unwrap().concat();
    assert!(page.contains("grafana-export%2Fdev%2FCheckFailed"), "{page}");
    assert_eq!(cloud.grafana.lock().unwrap().uids(), ["f1", "d1", "d2", "f1/api"]);
    // The same export is checked each day until it passes.
    cloud.grafana.lock().unwrap().loses = String::new();
    let cured = cloud.export(json!({}), "2026-12-02T12:00:00Z").await;
    assert_eq!((cured.result, cured.check), ("succeeded", "passed"));
    assert_eq!(cloud.note()["fault"], Value::Null);
    assert!(cloud.messages().last().unwrap().contains("Resolvido: CheckFailed"), "{:?}", cloud.messages());
}

#[tokio::test]
async fn a_check_that_cannot_be_made_is_not_known_to_be_good() {
    let cloud = Cloud::new();
    cloud.grafana.lock().unwrap().refuses = Some(("POST /api/dashboards/db".to_owned(), 403));
    let report = cloud.export(json!({}), NOW).await;
    assert_eq!((report.result, report.check), ("failed", "not_made"));
    assert_eq!(report.findings, ["CheckNotMade grafana"]);
    let note = cloud.note();
    assert_eq!((&note["exported_at"], &note["checked_at"]), (&json!(NOW), &Value::Null));
    // A failure of Grafana at one object leaves the others known.
    cloud.grafana.lock().unwrap().refuses = Some(("PUT /api/v1/provisioning/folder/".to_owned(), 500));
    let unknown = cloud.export(json!({}), NOW).await;
    assert_eq!((unknown.check, unknown.findings), ("not_made", vec!["CheckNotMade grafana".to_owned()]));
    cloud.grafana.lock().unwrap().loses = "panels".to_owned();
    let both = cloud.export(json!({}), NOW).await;
    assert_eq!((both.check, both.findings.len()), ("failed", 3), "{:?}", both.findings);
    cloud.grafana.lock().unwrap().loses = String::new();
    // What it had made is gone all the same.
    assert_eq!(cloud.grafana.lock().unwrap().uids(), ["f1", "d1", "d2", "f1/api"]);
    // What cannot be removed is named, and removed by the next run.
    cloud.grafana.lock().unwrap().refuses = Some(("DELETE".to_owned(), 500));
    let left = cloud.export(json!({}), "2026-12-02T12:00:00Z").await;
    assert_eq!(left.check, "passed");
    assert!(left.findings.iter().all(|finding| finding.starts_with("LeftBehind govcheck-")), "{left:?}");
    assert_eq!(cloud.grafana.lock().unwrap().folders.len(), 3);
    cloud.grafana.lock().unwrap().refuses = None;
    let cured = cloud.export(json!({}), "2026-12-03T12:00:00Z").await;
    assert_eq!((cured.result, cured.check, cured.changes), ("succeeded", "not_due", [0, 0, 0]));
    assert_eq!(cloud.grafana.lock().unwrap().uids(), ["f1", "d1", "d2", "f1/api"]);
}

#[tokio::test]
async fn each_refusal_has_its_kind_and_its_next_step() {
    let mut cloud = Cloud::new();
    for (token, kind) in [("glsa_bad", "GrafanaRefused"), ("not a token", "NotAToken")] {
        cloud.token = token;
        assert_eq!(cloud.ask(json!({}), NOW).await.unwrap_err().kind(), kind);
    }
    cloud.token = "glsa_good";
    for (version, kind) in [("9.5.2", "GrafanaTooOld"), ("", "GrafanaUnreadable")] {
        cloud.grafana.lock().unwrap().version = version.to_owned();
        assert_eq!(cloud.ask(json!({}), NOW).await.unwrap_err().kind(), kind);
    }
    let down = cloud.ask_with(json!({}), NOW, "http://127.0.0.1:1").await.unwrap_err();
    assert_eq!(down.kind(), "GrafanaUnreachable");
    let told = cloud.messages().concat();
    for part in ["docs/grafana.md#token", "docs/grafana.md#vers", "docs/grafana.md#rede"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    assert!(!told.contains("glsa_bad"), "{told}");
    // Each once a day.
    let before = cloud.messages().len();
    drop(cloud.ask_with(json!({}), NOW, "http://127.0.0.1:1").await);
    assert_eq!(cloud.messages().len(), before);
    let none = cloud.ask_with(json!({}), NOW, "").await.unwrap_err();
    assert_eq!((none.kind(), cloud.messages().len()), ("NotConfigured", before));
    assert_eq!(cloud.ask(json!({"release": "a/b"}), NOW).await.unwrap_err().kind(), "InvalidEvent");
    cloud.grafana.lock().unwrap().version = "14.0.0".to_owned();
    let newer = cloud.export(json!({}), NOW).await;
    assert_eq!((newer.result, newer.findings), ("failed", vec!["VersionUntested grafana".to_owned()]));
}

#[tokio::test]
async fn a_folder_that_only_looks_like_a_checks_is_exported_and_stays() {
    let cloud = Cloud::new();
    let uid = "govcheck-0123456789abcdef0123".to_owned();
    cloud.grafana.lock().unwrap().folders.insert(uid.clone(), ("Minha pasta".to_owned(), String::new()));
    let report = cloud.export(json!({}), NOW).await;
    assert_eq!(report.check, "passed");
    assert_eq!(cloud.object(&report.export)["folders"][&uid]["title"], "Minha pasta");
    assert!(cloud.grafana.lock().unwrap().folders.contains_key(&uid));
}
