//! The function against a Grafana and a bucket in memory. The repository is tested on the local cloud.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod grafana;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use grafana::Shared;
use grafana_export::{Answer, App, Explained, ExportError, Report, handle};
use serde_json::{Value, json};
use shared::runtime::env::Env;
use shared::runtime::failure::Failure;
use shared::runtime::lambda::Invocation;
use shared::testing::bucket::{Bucket, response};
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
    policy: Value,
}

impl Cloud {
    fn new() -> Self {
        let (web, grafana) = grafana::start();
        let slack = Web::new(|_| Some(http::Response::new(json!({"ok": true}))));
        Self {
            bucket: Bucket::default(),
            web,
            grafana,
            slack,
            published: Arc::default(),
            token: "glsa_good",
            policy: json!({}),
        }
    }

    async fn ask(&self, event: Value, now: &str) -> Result<Answer, ExportError> {
        self.ask_with(event, now, self.web.url()).await
    }

    async fn ask_with(&self, event: Value, now: &str, grafana: &str) -> Result<Answer, ExportError> {
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
            response(request, status, body)
        });
        let env = Env::new(&variables).with_policy(self.policy.to_string().parse().unwrap());
        let app = App::new(&env, &aws).unwrap_or_else(|error| panic!("{error}"));
        handle(&app, event, &Invocation::new(now.parse().unwrap(), Duration::from_secs(900))).await
    }

    async fn export(&self, event: Value, now: &str) -> Report {
        match self.ask(event, now).await {
            Ok(Answer::Exported(report)) => *report,
            other => panic!("{other:?}"),
        }
    }

    async fn explain(&self, now: &str) -> Explained {
        match self.ask(json!({"explain": true}), now).await {
            Ok(Answer::Explained(explained)) => explained,
            other => panic!("{other:?}"),
        }
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

/// A patch of the policy, as a person completes it.
fn accepted(mut policy: Value, until: &str) -> Value {
    for one in policy["grafana"]["accepted"].as_array_mut().unwrap() {
        one["reason"] = json!("An example in the vendor's text");
        one["owner"] = json!("Squad Observability");
        one["until"] = json!(until);
    }
    policy
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
async fn a_secret_as_a_name_goes_nowhere() {
    let cloud = Cloud::new();
    let secret = "glsa_5bgPmBqS1hMv1CmFxl7XxjNVcYBDrgf2_9a0a5c9e";
    {
        let mut state = cloud.grafana.lock().unwrap();
        state.folders.insert("f2".to_owned(), (secret.to_owned(), String::new()));
        state.folders.insert("f3".to_owned(), ("x".to_owned(), secret.to_owned()));
        let rule = json!({"uid": "r2", "title": "x", "folderUID": "f1", "ruleGroup": secret});
        let group = json!({"title": secret, "folderUid": "f1", "interval": 60, "rules": [rule]});
        state.groups.insert(("f1".to_owned(), secret.to_owned()), group);
    }
    cloud.change("d2", |model| model["options"] = json!({secret: {}}));
    let report = cloud.export(json!({}), NOW).await;
    let [folder, inner, dashboard, group] = &report.findings[..] else { panic!("{report:?}") };
    assert_eq!([folder, inner], ["SecretFound folders.json/f2", "SecretFound folders.json/f3"]);
    assert_eq!(dashboard, "SecretFound dashboards/general/d2.json");
    assert!(group.starts_with("SecretFound alerting/rule-groups/f1/"), "{group}");
    let told = cloud.messages().concat();
    for place in ["`/f2/title`", "`/f3/parent`", "`/options/[REDACTED]`", "`/title`"] {
        assert!(told.contains(place), "{place}: {told}");
    }
    for text in [format!("{:?}", cloud.bucket.objects()), told, format!("{report:?}")] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn a_secret_as_the_name_of_a_group_that_cannot_be_read_goes_nowhere() {
    let secret = "glsa_5bgPmBqS1hMv1CmFxl7XxjNVcYBDrgf2_9a0a5c9e";
    for status in [500, 403, 503] {
        let cloud = Cloud::new();
        {
            let mut state = cloud.grafana.lock().unwrap();
            let group = json!({"title": secret, "folderUid": "f1", "interval": 60, "rules": []});
            state.groups.insert(("f1".to_owned(), secret.to_owned()), group);
            let path = format!("GET /api/v1/provisioning/folder/f1/rule-groups/{secret}");
            state.refuses = Some((path, status));
        }
        let report = cloud.export(json!({}), NOW).await;
        assert!(report.findings[0].starts_with("NotExported alerting/rule-groups/f1/"), "{report:?}");
        let told = cloud.messages().concat();
        let expected =
            format!("Grafana answered {status} to GET /api/v1/provisioning/folder/f1/rule-groups/[REDACTED]");
        assert!(told.contains(&expected), "{told}");
        for text in [format!("{:?}", cloud.bucket.objects()), told, format!("{report:?}")] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn a_second_object_of_a_list_with_a_secret_is_told_though_the_first_is_open() {
    let cloud = Cloud::new();
    let folder = |uid: &str| {
        let named = ("Guia password=hunter2".to_owned(), String::new());
        cloud.grafana.lock().unwrap().folders.insert(uid.to_owned(), named);
    };
    folder("f2");
    assert_eq!(cloud.export(json!({}), NOW).await.findings, ["SecretFound folders.json/f2"]);
    folder("f3");
    let list = json!([{"name": "bom", "template": "x"}, {"name": "ruim", "template": "password=hunter2"}]);
    cloud.grafana.lock().unwrap().templates = list;
    let both = cloud.export(json!({}), "2026-12-02T12:00:00Z").await;
    assert_eq!(
        both.findings,
        ["folders.json/f2", "folders.json/f3", "alerting/templates.json/ruim"]
            .map(|what| format!("SecretFound {what}"))
    );
    let told = cloud.messages();
    let last = told.last().unwrap();
    assert!(last.contains("folders.json/f3") && last.contains("templates.json/ruim"), "{told:?}");
    assert_eq!(told.len(), 2);
    // The policy names the file.
    let explained = cloud.explain("2026-12-02T12:00:00Z").await;
    let objects: Vec<_> = explained.secrets.iter().map(|one| one.object.as_str()).collect();
    assert_eq!(objects, ["folders.json", "folders.json", "alerting/templates.json"]);
}

#[tokio::test]
async fn a_password_as_the_name_of_a_group_is_not_even_a_hash_and_may_be_accepted() {
    let mut cloud = Cloud::new();
    let title = "password=hunter2";
    {
        let mut state = cloud.grafana.lock().unwrap();
        let group = json!({"title": title, "folderUid": "f1", "interval": 60, "rules": []});
        state.groups.insert(("f1".to_owned(), title.to_owned()), group);
        let rule = json!({"uid": "r2", "title": "x", "condition": "A", "data": [], "for": "5m", "isPaused": false, "folderUID": "f1", "ruleGroup": title});
        state.groups.get_mut(&("f1".to_owned(), title.to_owned())).unwrap()["rules"] = json!([rule]);
    }
    let report = cloud.export(json!({}), NOW).await;
    assert_eq!(report.findings, ["SecretFound alerting/rule-groups/f1/redacted.json"]);
    let policy = cloud.explain(NOW).await.policy.unwrap();
    let hash = policy["grafana"]["accepted"][0]["sha256"].as_str().unwrap()[..8].to_owned();
    for text in [format!("{:?}", cloud.bucket.objects()), cloud.messages().concat(), format!("{report:?}")] {
        assert!(!text.contains(&hash) && !text.contains("hunter2"), "{text}");
    }
    cloud.policy = accepted(policy, "2026-12-31");
    let cured = cloud.export(json!({}), "2026-12-02T12:00:00Z").await;
    assert_eq!((cured.result, cured.rule_groups, cured.check), ("succeeded", 2, "passed"), "{cured:?}");
}

#[tokio::test]
async fn an_accepted_folder_stays_when_the_date_is_over() {
    let mut cloud = Cloud::new();
    cloud.grafana.lock().unwrap().folders.get_mut("f1").unwrap().0 = "Guia password=ex4mple-1".to_owned();
    let policy = cloud.explain(NOW).await.policy.unwrap();
    cloud.policy = accepted(policy, "2026-12-02");
    let good = cloud.export(json!({}), "2026-12-02T12:00:00Z").await;
    assert_eq!((good.result, good.check), ("succeeded", "passed"), "{good:?}");
    let late = cloud.export(json!({"check": true}), "2026-12-03T12:00:00Z").await;
    assert_eq!(late.findings, ["SecretFound folders.json/f1"]);
    assert_eq!((&late.export, late.changes, late.check), (&good.export, [0, 0, 0], "passed"));
}

#[tokio::test]
async fn a_value_that_is_twice_in_one_place_is_one_entry() {
    let mut cloud = Cloud::new();
    // A place shows the beginning of a name.
    let name = "x".repeat(60);
    cloud.change("d1", |model| {
        for end in ["a", "b"] {
            model[format!("{name}{end}")] = json!("password=ex4mple-1");
        }
    });
    let explained = cloud.explain(NOW).await;
    assert_eq!(explained.secrets.len(), 2);
    cloud.policy = accepted(explained.policy.unwrap(), "2026-12-31");
    assert_eq!(cloud.policy["grafana"]["accepted"].as_array().unwrap().len(), 1);
    assert_eq!(cloud.export(json!({}), NOW).await.result, "succeeded");
}

#[tokio::test]
async fn a_dashboard_that_would_not_fit_into_memory_is_named_and_the_others_are_exported() {
    let cloud = Cloud::new();
    cloud.change("d1", |model| model["panels"] = Value::Array(vec![json!({}); 400_000]));
    let report = cloud.export(json!({}), NOW).await;
    assert_eq!(
        (report.findings, report.dashboards),
        (vec!["NotExported dashboards/f1/d1.json".to_owned()], 1)
    );
    let told = cloud.messages().concat();
    assert!(told.contains("parsed, it would take more than 256 MiB"), "{told}");
}

#[tokio::test]
async fn what_only_looks_like_a_secret_is_accepted_by_the_policy_as_the_message_advises() {
    let mut cloud = Cloud::new();
    let example = "use password=ex4mple-only";
    cloud.change("d1", |model| {
        model["panels"][0]["description"] = json!(example);
        model["password"] = json!("changeme");
    });
    let found = cloud.export(json!({}), NOW).await;
    assert_eq!(
        (found.result, found.findings.as_slice()),
        ("failed", ["SecretFound dashboards/f1/d1.json".to_owned()].as_slice())
    );
    let told = cloud.messages().concat();
    assert!(
        told.contains("`/panels/0/description`, `/password`") && told.contains("{\\\"explain\\\":true}"),
        "{told}"
    );

    // The answer alone has the SHA-256; the question leaves no trace.
    let (objects, messages) = (cloud.bucket.objects(), cloud.messages().len());
    let explained = cloud.explain(NOW).await;
    assert_eq!((cloud.bucket.objects(), cloud.messages().len()), (objects, messages));
    let states: Vec<_> = explained.secrets.iter().map(|one| (one.place.as_str(), one.state)).collect();
    assert_eq!(states, [("/panels/0/description", "found"), ("/password", "found")]);
    let policy = explained.policy.unwrap();
    let list = policy["grafana"]["accepted"].as_array().unwrap();
    assert_eq!(list[1]["until"], "2027-05-30");
    let hashes: Vec<String> = list.iter().map(|one| one["sha256"].as_str().unwrap().to_owned()).collect();
    for text in [format!("{:?}", cloud.bucket.objects()), cloud.messages().concat()] {
        assert!(hashes.iter().all(|hash| !text.contains(hash)), "{text}");
    }
    // A person has to say why.
    let refused = policy.to_string().parse::<shared::policy::Policy>().unwrap_err();
    assert_eq!(refused.path, "grafana.accepted[0].reason");
    cloud.policy = accepted(policy, "2026-12-03");
    let cured = cloud.export(json!({}), "2026-12-02T12:00:00Z").await;
    assert_eq!((cured.result, cured.dashboards, cured.check), ("succeeded", 2, "passed"), "{cured:?}");
    assert_eq!(cloud.object(&cured.export)["dashboards"]["d1"]["model"]["password"], "changeme");
    assert!(cloud.messages().last().unwrap().contains("Resolvido: SecretFound"), "{:?}", cloud.messages());
    let record = cloud.records().pop().unwrap();
    assert!(
        record["steps"]
            .to_string()
            .contains("An example in the vendor's text (Squad Observability, until 2026-12-03)"),
        "{record}"
    );
    assert_eq!(cloud.explain("2026-12-02T12:00:00Z").await, Explained { secrets: Vec::new(), policy: None });

    // Another value there is a finding again, and so is the same one after the last day, in São Paulo.
    cloud.change("d1", |model| model["password"] = json!("hunter2"));
    let other = cloud.export(json!({}), "2026-12-03T12:00:00Z").await;
    assert_eq!((other.result, &other.export, other.changes), ("failed", &cured.export, [0, 0, 0]));
    // What is in force stays in the list.
    let explained = cloud.explain("2026-12-03T12:00:00Z").await;
    let list = explained.policy.unwrap()["grafana"]["accepted"].clone();
    assert_eq!((list.as_array().unwrap().len(), &list[2]["reason"]), (3, &json!("")));
    cloud.change("d1", |model| model["password"] = json!("changeme"));
    assert_eq!(cloud.export(json!({}), "2026-12-04T02:59:00Z").await.result, "succeeded");
    let late = cloud.export(json!({}), "2026-12-04T03:00:00Z").await;
    // What was exported stays.
    assert_eq!((late.result, &late.export), ("failed", &cured.export));
    let told = cloud.messages().pop().unwrap();
    assert!(told.contains("(aceito até 2026-12-03)"), "{told}");
    let renewed = cloud.explain("2026-12-04T03:00:00Z").await;
    assert!(renewed.secrets.iter().all(|one| one.state == "expired"), "{renewed:?}");
    assert_eq!(renewed.policy.unwrap()["grafana"]["accepted"].as_array().unwrap().len(), 2);
    // A token of a known form is never accepted.
    cloud.change("d1", |model| model["password"] = json!("AKIAIOSFODNN7EXAMPLE"));
    let token = cloud.explain("2026-12-03T12:00:00Z").await;
    assert_eq!((token.secrets.len(), token.secrets[0].state, token.policy), (1, "token", None));
}

#[tokio::test]
async fn an_earlier_form_comes_back_though_its_folder_is_gone() {
    let cloud = Cloud::new();
    let first = cloud.export(json!({}), NOW).await;
    // The dashboard was moved, got a secret, and the folder was deleted with its rules.
    cloud.change("d1", |model| model["password"] = json!("hunter2"));
    {
        let mut state = cloud.grafana.lock().unwrap();
        state.dashboards.get_mut("d1").unwrap().0 = String::new();
        state.folders.clear();
        state.groups.clear();
    }
    let second = cloud.export(json!({}), "2026-12-02T12:00:00Z").await;
    assert_eq!(second.findings, ["SecretFound dashboards/general/d1.json"]);
    assert_eq!((second.check, second.dashboards, second.changes), ("passed", 2, [0, 0, 1]));
    let export = cloud.object(&second.export);
    assert_eq!(export["folders"], cloud.object(&first.export)["folders"]);
    assert_eq!(export["dashboards"]["d1"]["folder"], "f1");
    assert!(cloud.grafana.lock().unwrap().folders.is_empty());
    // The folder is gone with it.
    cloud.change("d1", |model| drop(model.as_object_mut().unwrap().remove("password")));
    let cured = cloud.export(json!({}), "2026-12-03T12:00:00Z").await;
    assert_eq!((cured.result, cured.check), ("succeeded", "passed"));
    assert_eq!(cloud.object(&cured.export)["folders"], json!({}));
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
