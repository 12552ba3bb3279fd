//! `incident-page`, `incident-desk` and `incident-send` against the local cloud: from every way in to every channel, and what people
//! ask.

use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use shared::runtime::time::now;

use crate::advice;
use crate::cloud::eventually;
use crate::incidents::{Incident, PAGERDUTY, Pager, SES, SLACK, SMS, TOPIC, alarm, notification, sample};

/// The secret with the credentials of the webhooks.
const CREDENTIALS: &str = "/moveongs/dev/alert-webhook";

/// Who is on call in the tests' policy.
const ANA: &str = "U0000000ANA";
const BIA: &str = "U0000000BIA";
const CAIO: &str = "U000000CAIO";

/// A policy with a rotation of two people, and a backup squad.
fn policy() -> Value {
    let person = |slack: &str, email: &str, phone: &str| json!({"slack": slack, "email": email, "phone": phone, "phone_verified": true});
    json!({"incidents": {
        "people": {
            "Ana Souza": person(ANA, "ana@moveongs.example", "+5511912345678"),
            "Bia Lima": person(BIA, "bia@moveongs.example", "+5511912345679"),
            "Caio Reis": person(CAIO, "caio@moveongs.example", "+5511912345670"),
        },
        "squads": {
            "Squad Infra": {"rotation": {"every": "daily", "at": "09:00", "starts": "2026-01-05",
                "people": ["Ana Souza"], "second": ["Bia Lima"]}},
            "Squad Security": {"rotation": {"every": "daily", "at": "09:00", "starts": "2026-01-05", "people": ["Caio Reis"]}},
        },
    }})
}

impl Pager {
    /// The pager with a policy. Both functions read it when they start.
    async fn with_policy(patch: &Value) -> Self {
        let pager = Self::fresh().await;
        pager.page.set_policy(patch).await;
        pager.send.restart().await;
        pager
    }

    async fn forget_policy(&self) {
        self.page.forget_policy().await;
        self.send.restart().await;
    }

    /// Makes an alarm of the stack's environment that publishes to the paging topic.
    async fn put_alarm(&self, name: &str) {
        let made = [
            ("Version", "2010-08-01"),
            ("AlarmName", name),
            (
                "AlarmDescription",
                "Share of 5xx. severity=critical runbook_url=https://runbooks.example/api.md",
            ),
            ("AlarmActions.member.1", TOPIC),
            ("MetricName", "HTTPCode_Target_5XX_Count"),
            ("Namespace", "AWS/ApplicationELB"),
            ("Statistic", "Sum"),
            ("Period", "60"),
            ("EvaluationPeriods", "1"),
            ("Threshold", "5"),
            ("ComparisonOperator", "GreaterThanThreshold"),
        ];
        self.page.query("monitoring", "PutMetricAlarm", &made).await;
    }

    async fn set_alarm(&self, name: &str, state: &str) {
        let set = [
            ("Version", "2010-08-01"),
            ("AlarmName", name),
            ("StateValue", state),
            ("StateReason", "a test"),
        ];
        self.page.query("monitoring", "SetAlarmState", &set).await;
    }

    /// The only incident, once its newest version is in Slack and its thread is complete.
    async fn told(&self, is_so: impl Fn(&Incident) -> bool) -> Incident {
        eventually("an incident that Slack shows", async || {
            let found = self.incidents().await;
            let [incident] = found.as_slice() else { return None };
            let row = incident.rows.get("slack#post")?;
            let is_told = row["sent"] == incident.body["version"] && row["due"].is_null();
            (is_told && is_so(incident)).then(|| incident.clone())
        })
        .await
    }

    /// The local address of the function's URL.
    async fn url(&self) -> String {
        let found = self.page.lambda.get_function_url_config().function_name(self.page.function());
        let found = found.send().await.unwrap();
        let host = found.function_url().trim_start_matches("https://");
        let id = host.split('.').next().unwrap();
        format!("{}/_aws/lambda-url/{id}", self.page.endpoint())
    }

    /// The webhooks' credentials.
    async fn credentials(&self) -> Value {
        let value = self.page.secrets.get_secret_value().secret_id(CREDENTIALS).send().await.unwrap();
        serde_json::from_str(value.secret_string().unwrap()).unwrap()
    }

    /// Moves the instant since which the incident pages into the past, as if that time had passed.
    async fn paged_before(&self, incident: &Incident, seconds: i64) {
        let mut body = incident.body.clone();
        let at = now() - jiff::SignedDuration::from_secs(seconds);
        body["paged_at"] = json!(at.to_string());
        let update = json!({
            "Key": {"pk": {"S": format!("INCIDENT#{}", incident.id)}, "sk": {"S": "STATE"}},
            "UpdateExpression": "SET body = :body",
            "ExpressionAttributeValues": {":body": {"S": body.to_string()}},
        });
        self.table("UpdateItem", update).await;
    }

    /// Everything that Slack accepted about something, each change too.
    async fn accepted(&self, about: &str) -> Vec<Value> {
        let all = self.log(SLACK).await.into_iter();
        all.filter(|message| message.to_string().contains(about)).collect()
    }

    /// The blocks and texts of everything that Slack shows about something, as one text.
    async fn shown(&self, about: &str) -> String {
        self.page.messages(about).await.join("\n")
    }
}

#[tokio::test]
async fn an_alarm_that_comes_by_two_ways_is_one_message_that_changes_in_place() {
    const NAME: &str = "moveongs-dev-test-api-5xx";
    let pager = Pager::fresh().await;
    pager.put_alarm(NAME).await;
    pager.set_alarm(NAME, "ALARM").await;
    let first = pager.told(|incident| incident.body["state"] == "triggered").await;
    pager.quiet().await;
    let first = pager.told(|incident| incident.id == first.id).await;
    assert_eq!(first.body["count"], 1, "SNS and EventBridge are one event: {first:?}");
    assert_eq!((&first.body["severity"], &first.body["source"]), (&json!("S1"), &json!("alarm")));
    assert_eq!(first.body["runbook"], "https://runbooks.example/api.md");
    let posts = pager.posts(&first.id).await;
    let [post] = posts.as_slice() else { panic!("{posts:?}") };
    assert!(post["text"].as_str().unwrap().contains(NAME), "{post}");

    pager.set_alarm(NAME, "OK").await;
    let over = pager.told(|incident| incident.body["state"] == "resolved").await;
    assert_eq!(over.id, first.id);
    let shown = pager.shown(&first.id).await;
    assert!(shown.contains('✅') && shown.contains("Resolvido"), "{shown}");
    let replies = pager.replies(&first.id).await;
    let [reply] = replies.as_slice() else { panic!("{replies:?}") };
    assert_eq!(reply["thread_ts"], post["ts"]);

    pager.set_alarm(NAME, "ALARM").await;
    let back = pager.told(|incident| incident.body["flaps"] == 1).await;
    assert_eq!((&back.id, &back.body["state"]), (&first.id, &json!("triggered")));
    assert_eq!(pager.posts(&first.id).await.len(), 1, "one message, one thread");
    assert_eq!(pager.replies(&first.id).await.len(), 2);
    assert_eq!(back.count_of("triggered") + back.count_of("reopened"), 2, "{:?}", back.actions());
    // What the fallback has is what Slack did not take in time: nothing.
    assert!(pager.webhooks("").await.is_empty() && pager.mails(&first.id).await.is_empty());
    pager
        .page
        .query("monitoring", "DeleteAlarms", &[("Version", "2010-08-01"), ("AlarmNames.member.1", NAME)])
        .await;
}

#[tokio::test]
async fn a_page_of_ours_folds_daily_and_ends_with_its_finding() {
    let pager = Pager::fresh().await;
    let event = sample("incident-page/queue-page");
    let body = event["Records"][0]["body"].as_str().unwrap().to_owned();
    pager.enqueue(std::slice::from_ref(&body)).await;
    let first = pager.told(|_| true).await;
    // The next day's page: the same key, another message.
    let mut next: Value = serde_json::from_str(&body).unwrap();
    next["MessageId"] = json!("b1f0b9a7-0000-4000-8000-000000000001");
    next["Timestamp"] = json!(now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
    pager.enqueue(&[next.to_string()]).await;
    let folded = pager.told(|incident| incident.body["count"] == 2).await;
    assert_eq!(folded.id, first.id);
    let mut over = next;
    over["MessageId"] = json!("b1f0b9a7-0000-4000-8000-000000000002");
    over["Timestamp"] = json!(now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
    over["MessageAttributes"]["action"]["Value"] = json!("resolve");
    pager.enqueue(&[over.to_string()]).await;
    let over = pager.told(|incident| incident.body["state"] == "resolved").await;
    assert_eq!(over.id, first.id);
    assert_eq!(pager.posts(&first.id).await.len(), 1);
}

#[tokio::test]
async fn a_webhook_is_verified_before_it_is_read() {
    let pager = Pager::fresh().await;
    let (url, credentials) = (pager.url().await, pager.credentials().await);
    let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
    let body = {
        let event = sample("incident-page/webhook-alertmanager");
        let body = event["body"].as_str().unwrap();
        if event["isBase64Encoded"] == true {
            String::from_utf8(STANDARD.decode(body).unwrap()).unwrap()
        } else {
            body.to_owned()
        }
    };
    let http = reqwest::Client::new();
    let send = async |path: &str, headers: &[(&str, String)], body: &str| {
        let mut request = http.post(format!("{url}{path}")).body(body.to_owned());
        request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let signed = |key: &str, timestamp: &str, body: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(format!("{timestamp}:{body}").as_bytes());
        let signature: String =
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        vec![
            ("x-grafana-alerting-signature", signature),
            ("x-grafana-alerting-timestamp", timestamp.to_owned()),
        ]
    };
    let bearer = |token: &str| vec![("authorization", format!("Bearer {token}"))];
    let seconds = |ago: i64| (now().as_second() - ago).to_string();
    for (path, headers, status) in [
        ("/alertmanager", vec![], 401),
        ("/alertmanager", bearer("wrong-credential-of-nobody"), 401),
        ("/alertmanager", bearer(""), 401),
        ("/grafana", signed("a-key-that-is-not-ours", &seconds(0), &body), 401),
        ("/grafana", signed(&text("hmac"), &seconds(301), &body), 401),
        ("/elsewhere", bearer(&text("bearer")), 404),
    ] {
        let (answered, said) = send(path, &headers, &body).await;
        assert_eq!(answered, status, "{path}: {said}");
    }
    assert!(pager.incidents().await.is_empty(), "nothing refused is stored");
    assert_eq!(pager.page.log_lines("WebhooksRefused").await.len(), 5, "all but the wrong path");

    let basic = vec![("authorization", format!("Basic {}", STANDARD.encode(text("basic"))))];
    for headers in [bearer(&text("bearer")), basic, bearer(&text("bearer"))] {
        assert_eq!(send("/alertmanager", &headers, &body).await.0, 200);
    }
    let incident = pager.told(|_| true).await;
    assert_eq!((&incident.body["source"], &incident.body["count"]), (&json!("alertmanager"), &json!(1)));
    for ago in [0, 200] {
        let (status, said) = send("/grafana", &signed(&text("hmac"), &seconds(ago), &body), &body).await;
        assert_eq!(status, 200, "{said}");
    }
    pager.quiet().await;
    let found = pager.incidents().await;
    assert!(
        found.iter().all(|incident| incident.body["count"] == 1),
        "a repetition is no new event: {found:?}"
    );
    for name in ["bearer", "basic", "hmac"] {
        assert_eq!(pager.page.log_lines(&text(name)).await, Vec::<String>::new());
    }
}

/// A running Alertmanager; it ends with the test.
struct Alertmanager {
    process: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Alertmanager {
    /// Debian's Alertmanager, which notifies the pager.
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    async fn start(webhook: &str, bearer: &str) -> Self {
        let program = std::env::var_os("ALERTMANAGER").map(std::path::PathBuf::from);
        let program = program.expect("ALERTMANAGER is not set: run `cargo xtask test`");
        // Its templates are below the folder that it was unpacked into.
        let unpacked = program.ancestors().nth(3).unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let settings = json!({
            "route": {"receiver": "pager", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s",
                "repeat_interval": "1s"},
            "receivers": [{"name": "pager", "webhook_configs": [{"url": webhook, "send_resolved": true,
                "http_config": {"authorization": {"credentials": bearer}}}]}],
        });
        std::fs::write(folder.path().join("settings.yml"), settings.to_string()).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut command = Command::new(&program);
        command.current_dir(unpacked);
        command.arg(format!("--config.file={}", folder.path().join("settings.yml").display()));
        command.arg(format!("--storage.path={}", folder.path().display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--cluster.listen-address=");
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Self { process, url: format!("http://127.0.0.1:{port}"), _folder: folder };
        eventually("a ready Alertmanager", async || {
            let answer = reqwest::get(format!("{}/-/ready", started.url)).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        started
    }

    async fn alert(&self, alert: &Value) {
        let post = reqwest::Client::new().post(format!("{}/api/v2/alerts", self.url));
        let post = post.header("content-type", "application/json").body(json!([alert]).to_string());
        post.send().await.unwrap().error_for_status().unwrap();
    }
}

#[tokio::test]
async fn a_real_alertmanager_opens_repeats_and_resolves() {
    let pager = Pager::fresh().await;
    let bearer = pager.credentials().await["bearer"].as_str().unwrap().to_owned();
    let alertmanager = Alertmanager::start(&format!("{}/alertmanager", pager.url().await), &bearer).await;
    let mut alert = json!({
        "labels": {"alertname": "ApiAvailabilityBudgetBurn", "severity": "critical", "service": "moveongs-api"},
        "annotations": {"summary": "5xx acima de 2%",
            "runbook_url": "https://github.com/brunonatanaelsr/moveongs/blob/main/docs/observability/runbooks/api-disponibilidade.md"},
        "startsAt": now().to_string(),
    });
    alertmanager.alert(&alert).await;
    let first = pager.told(|incident| incident.body["state"] == "triggered").await;
    assert_eq!((&first.body["severity"], &first.body["count"]), (&json!("S1"), &json!(1)));
    assert!(first.body["runbook"].as_str().unwrap().ends_with("api-disponibilidade.md"));
    // With `repeat_interval` it notifies again; the log says so.
    eventually("a repeated notification", async || {
        (!pager.page.log_lines("\"repeated\"").await.is_empty()).then_some(())
    })
    .await;
    alert["endsAt"] = json!(now().to_string());
    alertmanager.alert(&alert).await;
    let over = pager.told(|incident| incident.body["state"] == "resolved").await;
    assert_eq!((&over.id, &over.body["count"]), (&first.id, &json!(1)));
    assert_eq!(pager.posts(&first.id).await.len(), 1);
}

/// A block of commands of `docs/incidentes.md` as a person pastes it, with their name and `value` in place of the
/// example.
fn documented(part: &str, example: &str, value: &str) -> String {
    let guide =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/incidentes.md")).unwrap();
    let mut all = guide.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = all.find(|block| block.contains(part)).unwrap_or_else(|| panic!("the page has no {part}"));
    block.replace(example, value).replace("SEU NOME", "Ana Souza")
}

#[tokio::test]
async fn a_person_declares_takes_and_ends_an_incident_with_the_documented_commands() {
    let pager = Pager::fresh().await;
    let command = |word: &str, id: &str| documented(&format!("{{\"{word}\":"), "INC-20261129-7Q2MZK4A", id);
    advice::run(&pager.page, &command("declare", ""));
    let declared = pager.told(|_| true).await;
    assert_eq!(
        (&declared.body["title"], &declared.body["severity"], &declared.body["state"]),
        (&json!("Ninguém consegue entrar"), &json!("S1"), &json!("triggered"))
    );
    advice::run(&pager.page, &command("declare", ""));
    advice::run(&pager.page, &command("acknowledge", &declared.id));
    let taken = pager.told(|incident| incident.body["state"] == "acknowledged").await;
    assert_eq!((&taken.id, &taken.body["acknowledged_by"]), (&declared.id, &json!("Ana Souza")));
    let shown = pager.shown(&declared.id).await;
    assert!(shown.contains("Ana Souza") && shown.contains('👀'), "{shown}");
    let seen =
        advice::run(&pager.page, &documented("aws dynamodb query", "INC-20261129-7Q2MZK4A", &declared.id));
    assert!(seen.starts_with(&format!("INCIDENT#{}", declared.id)), "{seen}");
    assert!(seen.contains("LINE#") && seen.contains("SEND#slack#post"), "{seen}");
    assert!(advice::run(&pager.page, &documented("aws sqs get-queue", "", "")).contains("ApproximateNumber"));
    advice::run(&pager.page, &command("resolve", &declared.id));
    let over = pager.told(|incident| incident.body["state"] == "resolved").await;
    assert_eq!(over.count_of("resolved"), 1);
    assert_eq!(pager.posts(&declared.id).await.len(), 1);
    let wrong = pager.asks(&json!({"acknowledge": {"incident": "INC-20261129-7Q2MZK4A", "by": "Ana"}})).await;
    assert_eq!(wrong.unwrap_err()["errorType"], "NoIncident");
    let wrong = pager.asks(&json!({"declare": {"title": "", "by": "Ana"}})).await.unwrap_err();
    assert_eq!(wrong["errorType"], "InvalidEvent");
}

#[tokio::test]
async fn what_is_muted_pages_when_the_mute_ends() {
    const NAME: &str = "moveongs-dev-test-muted";
    let pager = Pager::fresh().await;
    let problem = format!("arn:aws:cloudwatch:us-east-1:000000000000:alarm:{NAME}");
    let example = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-dev-api-5xx";
    advice::run(&pager.page, &documented("{\"mute\":", example, &problem));
    let body = notification("m-1", &alarm(NAME, "ALARM", "OK", now()).to_string(), None).to_string();
    pager.enqueue(&[body]).await;
    pager.quiet().await;
    let incident = pager.incident().await;
    assert!(pager.posts(&incident.id).await.is_empty(), "nobody is told");
    assert!(incident.due("slack#post").is_some(), "but it is due at the end");
    advice::run(
        &pager.page,
        &documented("{\"unmute\":", "\"problem\": \"*\"", &format!("\"problem\": \"{problem}\"")),
    );
    let told = pager.told(|_| true).await;
    assert_eq!(pager.posts(&told.id).await.len(), 1);
    assert!(told.count_of("muted") <= 1 && told.count_of("unmuted") == 1, "{:?}", told.actions());
}

#[tokio::test]
async fn nobody_takes_it_so_the_second_and_then_the_backup_are_called() {
    let pager = Pager::with_policy(&policy()).await;
    let declare =
        json!({"declare": {"title": "Nobody can log in", "severity": "S1", "resource": "x", "by": "a test"}});
    pager.asks(&declare).await.unwrap();
    let first = pager.told(|_| true).await;
    assert_eq!(
        (&first.body["owner"], &first.body["backup"]),
        (&json!("Squad Infra"), &json!("Squad Security"))
    );
    let mentions = async |person: &str| {
        pager
            .accepted(&first.id)
            .await
            .iter()
            .any(|message| message.to_string().contains(&format!("<@{person}>")))
    };
    assert!(mentions(ANA).await && !mentions(BIA).await && !mentions(CAIO).await);
    pager.paged_before(&pager.incident().await, 301).await;
    assert_eq!(pager.sweep().await.unwrap()["escalated"], 1);
    eventually("a call of the second", async || mentions(BIA).await.then_some(())).await;
    assert!(!mentions(CAIO).await);
    pager.paged_before(&pager.incident().await, 601).await;
    assert_eq!(pager.sweep().await.unwrap()["escalated"], 1);
    eventually("a call of the backup", async || mentions(CAIO).await.then_some(())).await;
    assert_eq!(pager.sweep().await.unwrap()["escalated"], 0);
    assert_eq!(pager.incident().await.count_of("escalated"), 2);
    pager.forget_policy().await;
}

#[tokio::test]
async fn a_source_that_falls_silent_is_an_incident_until_it_is_heard() {
    let pager = Pager::fresh().await;
    let (url, credentials) = (pager.url().await, pager.credentials().await);
    let hear = async || {
        let body = json!({"version": "4", "status": "firing", "receiver": "pager", "alerts": [{"status": "firing",
            "labels": {"alertname": "Watchdog"}, "annotations": {}, "startsAt": "2026-11-01T00:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "0badc0de0badc0de"}]});
        let post = reqwest::Client::new().post(format!("{url}/alertmanager"));
        let post = post.bearer_auth(credentials["bearer"].as_str().unwrap()).body(body.to_string());
        assert_eq!(post.send().await.unwrap().status().as_u16(), 200);
    };
    hear().await;
    pager.sweep().await.unwrap();
    assert!(pager.incidents().await.is_empty(), "it is no incident to be heard");
    let items = pager.items().await;
    let heard = items.iter().find(|item| item["sk"] == "HEARTBEAT").unwrap();
    let (name, old) = heard.as_object().unwrap().iter().find(|(_, value)| value.is_i64()).unwrap();
    let update = json!({
        "Key": {"pk": {"S": heard["pk"]}, "sk": {"S": "HEARTBEAT"}},
        "UpdateExpression": "SET #at = :at",
        "ExpressionAttributeNames": {"#at": name},
        "ExpressionAttributeValues": {":at": {"N": (old.as_i64().unwrap() - 16 * 60_000).to_string()}},
    });
    pager.table("UpdateItem", update).await;
    pager.sweep().await.unwrap();
    pager.sweep().await.unwrap();
    let silent = pager.told(|_| true).await;
    assert_eq!((&silent.body["count"], &silent.body["state"]), (&json!(1), &json!("triggered")));
    hear().await;
    pager.sweep().await.unwrap();
    let over = pager.told(|incident| incident.body["state"] == "resolved").await;
    assert_eq!(over.id, silent.id);
}

#[tokio::test]
async fn the_daily_synthetic_event_comes_back_and_rings_if_it_does_not() {
    let pager = Pager::with_policy(&policy()).await;
    let forget = async || {
        for item in pager.items().await {
            if item["sk"] == "SYNTHETIC" {
                let key = json!({"pk": {"S": item["pk"]}, "sk": {"S": "SYNTHETIC"}});
                pager.table("DeleteItem", json!({"Key": key})).await;
            }
        }
    };
    pager.set(&[("SYNTHETIC_HOUR", "0")]).await;
    forget().await;
    pager.sweep().await.unwrap();
    let drill = pager.told(|_| true).await;
    assert_eq!(drill.body["is_drill"], true);
    let text = pager.accepted(&drill.id).await.iter().map(Value::to_string).collect::<String>();
    assert!(text.contains("SIMULADO") && !text.contains("<@"), "{text}");
    pager.sweep().await.unwrap();
    let over = pager.told(|incident| incident.body["state"] == "resolved").await;
    assert_eq!(over.id, drill.id);
    let noted = pager.items().await.into_iter().find(|item| item["sk"] == "SYNTHETIC").unwrap();
    assert!(noted["accepted_at"].is_i64(), "{noted}");
    pager.sweep().await.unwrap();
    assert_eq!(pager.incidents().await.len(), 1, "once a day");
    pager.forget_policy().await;
}

#[tokio::test]
async fn each_channel_tells_the_incident_in_its_own_form() {
    let pager = Pager::with_policy(&policy()).await;
    for (channel, row, route) in [
        ("webhook", "webhook#post", SLACK),
        ("pagerduty", "pagerduty#post", PAGERDUTY),
        ("ses", "ses#oncall", SES),
        ("sms", "sms#oncall", SMS),
    ] {
        pager.set(&[("PAGE_CHANNELS", channel)]).await;
        let title = format!("Told by {channel}");
        let declare = json!({"declare": {"title": title, "severity": "S0", "resource": "x", "by": "a test", "reason": "<!channel> & co"}});
        pager.asks(&declare).await.unwrap();
        let incident = eventually(&title, async || {
            let found =
                pager.incidents().await.into_iter().find(|incident| incident.body["title"] == title)?;
            let row = found.rows.get(row)?;
            (row["sent"].as_i64() > Some(0)).then_some(found)
        })
        .await;
        let log = pager.log(route).await;
        let told: Vec<_> = log.iter().filter(|one| one.to_string().contains(&incident.id)).collect();
        let [told] = told.as_slice() else { panic!("{channel}: {log:?}") };
        assert!(
            !told.to_string().contains("<!channel>") || channel == "ses" || channel == "pagerduty",
            "{told}"
        );
        if channel == "sms" {
            let text = told["message"].as_str().unwrap();
            assert!(text.is_ascii() && text.len() <= 160, "{text}");
            assert_eq!(told["phone"], "+5511912345678");
        }
    }
    pager.forget_policy().await;
}

#[tokio::test]
async fn a_page_that_no_channel_accepts_rings_straight_to_the_mail() {
    let pager = Pager::fresh().await;
    for service in ["slack", "pagerduty"] {
        let fault = json!({"service": service, "action": "*", "effect": "error", "status": 403, "code": "invalid_auth", "count": 0});
        pager.send.fault(fault).await;
    }
    let fault = json!({"service": "sns", "action": "Publish", "effect": "error", "status": 403, "code": "AuthorizationError", "count": 0});
    pager.send.fault(fault).await;
    pager
        .asks(
            &json!({"declare": {"title": "Nobody hears", "severity": "S1", "resource": "x", "by": "a test"}}),
        )
        .await
        .unwrap();
    let incident = eventually("an incident that nobody accepted", async || {
        let [incident] = pager.incidents().await.try_into().ok()?;
        let incident: Incident = incident;
        let is_refused = |row: &Value| row["attempts"].as_i64() > Some(0);
        incident.rows.values().all(is_refused).then_some(incident)
    })
    .await;
    pager.paged_before(&incident, 301).await;
    pager.sweep().await.unwrap();
    let name = "moveongs-dev-incident-send-pages-not-accepted";
    let until = now().as_second() + 120;
    let states =
        pager.page.admin(Method::POST, "alarms", Some(json!({"until": until, "alarms": [name]}))).await;
    assert_eq!(states[name], "ALARM");
    eventually("its mail", async || (!pager.mails(name).await.is_empty()).then_some(())).await;
    // Once a channel works, what waits is sent.
    pager.page.admin(Method::DELETE, "faults", None).await;
    pager.finish().await;
    assert_eq!(pager.posts(&incident.id).await.len(), 1);
}

#[tokio::test]
async fn the_applications_errors_page_once_for_each_fault_without_personal_data() {
    const STREAM: &str = "api/api/0123456789abcdef";
    let pager = Pager::fresh().await;
    let group = "/aws/ecs/moveongs-dev-api";
    let _ = pager.page.logs.create_log_stream().log_group_name(group).log_stream_name(STREAM).send().await;
    let line = |message: &str, request: &str| {
        let mut line = json!({"level": "error", "time": now().to_string(), "service": "moveongs-api", "environment": "production",
            "component": "http", "correlation_id": request, "message": "unhandled error",
            "err": {"type": "DatabaseError", "message": message, "code": "42P01", "stack": "error: at query (db.js:1:1)"}});
        if message.is_empty() {
            line = json!({"level": "warn", "message": "application error", "err": {"type": "NotFoundError",
                "message": "Beneficiary not found", "statusCode": 404}});
        }
        line.to_string()
    };
    let put = async |lines: &[String]| {
        let at = now().as_millisecond();
        let event = |line: &String| {
            let event = aws_sdk_cloudwatchlogs::types::InputLogEvent::builder().timestamp(at).message(line);
            event.build().unwrap()
        };
        let put = pager.page.logs.put_log_events().log_group_name(group).log_stream_name(STREAM);
        put.set_log_events(Some(lines.iter().map(event).collect())).send().await.unwrap();
    };
    // A client's mistake is no fault.
    put(&[line("", "r-0")]).await;
    let fault = "relation \"enrolments\" of maria.silva@example.org, CPF 123.456.789-09, does not exist";
    put(&[line(fault, "r-1"), line(fault, "r-2")]).await;
    let first = pager.told(|incident| incident.body["count"] == 2).await;
    assert_eq!(first.body["source"], "logs");
    put(&[line(fault, "r-3")]).await;
    let counted = pager.told(|incident| incident.body["count"] == 3).await;
    assert_eq!(counted.id, first.id);
    let shown = pager.accepted(&first.id).await.iter().map(Value::to_string).collect::<String>();
    assert!(shown.contains("42P01") || shown.contains("does not exist"), "{shown}");
    let stored = pager.items().await.iter().map(Value::to_string).collect::<String>();
    for personal in ["maria.silva", "123.456.789-09"] {
        assert!(!shown.contains(personal) && !stored.contains(personal), "{personal}");
    }
}

#[tokio::test]
async fn the_channel_reads_at_hand_over_who_is_on_call() {
    let pager = Pager::with_policy(&policy()).await;
    pager.sweep().await.unwrap();
    let told = async || pager.log(SLACK).await;
    assert!(told().await.is_empty(), "nothing is told at the first look");
    let mut later = policy();
    later["incidents"]["squads"]["Squad Infra"]["overrides"] = json!([{
        "from": "2026-01-01T00:00", "until": "2099-01-01T00:00", "person": "Caio Reis", "reason": "férias"}]);
    pager.page.set_policy(&later).await;
    pager.send.restart().await;
    pager.sweep().await.unwrap();
    pager.sweep().await.unwrap();
    let all = told().await;
    let [message] = all.as_slice() else { panic!("{all:?}") };
    let text = message.to_string();
    assert!(text.contains("Caio Reis") && text.contains("Squad Infra"), "{text}");
    pager.forget_policy().await;
}
