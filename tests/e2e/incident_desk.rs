//! The desk in Slack: requests signed by Slack's own Python SDK reach the public address; Slack's stand-in has the triggers,
//! the modals and the answers.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::SignedDuration;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Map, Value, json};
use shared::runtime::time::now;
use shared::testing::hmac_sha256;

use crate::cloud::{Cloud, eventually};
use crate::incidents::{Incident, Pager};
use crate::matrix::{Kill, all_points, write};

const SIGNING_SECRET: &str = "/moveongs/dev/slack-signing";

const ANA: &str = "U0000000ANA";
const BIA: &str = "U0000000BIA";
const STRANGER: &str = "U000STRANGER";

/// The desk with the pager behind it.
struct Desk {
    cloud: Cloud,
    pager: Pager,
    url: String,
    secret: String,
}

impl Desk {
    async fn begin(flows: bool) -> Self {
        let pager = if flows { Pager::fresh().await } else { Pager::held().await };
        let person = |slack: &str| json!({"slack": slack});
        pager
            .policy(&json!({"incidents": {"people": {"Ana Souza": person(ANA), "Bia Lima": person(BIA)}}}))
            .await;
        let cloud = Cloud::connect("incident-desk").await;
        cloud.restart().await;
        cloud.admin(Method::DELETE, "slack/interactions", None).await;
        let found = cloud.lambda.get_function_url_config().function_name(cloud.function());
        let found = found.send().await.unwrap();
        let host = found.function_url().trim_start_matches("https://");
        let id = host.split('.').next().unwrap();
        let url = format!("{}/_aws/lambda-url/{id}/slack", cloud.endpoint());
        let value = cloud.secrets.get_secret_value().secret_id(SIGNING_SECRET).send().await.unwrap();
        Self { url, secret: value.secret_string().unwrap().to_owned(), cloud, pager }
    }

    /// Sends a body with a signature to the address.
    async fn send(&self, body: &str, timestamp: &str, signature: &str) -> (u16, String) {
        let sent = reqwest::Client::new()
            .post(&self.url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", timestamp)
            .header("x-slack-signature", signature)
            .body(body.to_owned());
        let answer = sent.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Sends a body as Slack does now.
    async fn post(&self, body: &str) -> (u16, String) {
        let timestamp = now().as_second().to_string();
        let signature = sign(&self.secret, &timestamp, body);
        self.send(body, &timestamp, &signature).await
    }

    /// The fields that Slack gives an interaction of a user.
    async fn interaction(&self, user: &str, age: u64) -> (String, String) {
        let made = self
            .cloud
            .admin(Method::POST, "slack/interactions", Some(json!({"user": user, "age": age})))
            .await;
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("trigger_id"), text("response_url"))
    }

    async fn press(&self, user: &str, button: &Value) -> (u16, String) {
        let (trigger, reply) = self.interaction(user, 0).await;
        self.post(&pressed(user, button, &trigger, &reply)).await
    }

    async fn command(&self, user: &str, text: &str) -> (u16, String) {
        let (trigger, reply) = self.interaction(user, 0).await;
        let fields = [
            ("command", "/incidente"),
            ("user_id", user),
            ("user_name", "ana"),
            ("text", text),
            ("trigger_id", &trigger),
            ("response_url", &reply),
        ];
        self.post(&fields.map(|(name, value)| format!("{name}={}", encoded(value))).join("&")).await
    }

    async fn submit(&self, user: &str, view: &Value, values: Value) -> (u16, String) {
        let (trigger, _) = self.interaction(user, 0).await;
        let values: Map<String, Value> = values
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), json!({"value": value})))
            .collect();
        let submitted = json!({"id": view["id"], "type": "modal", "callback_id": view["view"]["callback_id"],
            "private_metadata": view["view"]["private_metadata"], "hash": "1.a", "state": {"values": values}});
        let payload = json!({"type": "view_submission", "user": {"id": user, "username": "ana"},
            "trigger_id": trigger, "response_urls": [], "view": submitted});
        self.post(&format!("payload={}", encoded(&payload.to_string()))).await
    }

    /// What a person reads, once there are so many messages.
    async fn answers(&self, user: &str, count: usize) -> Vec<String> {
        eventually(&format!("{count} answers to {user}"), async || {
            let all = self.cloud.admin(Method::GET, "slack/answers", None).await;
            let own = all["answers"].as_array().unwrap().iter().filter(|answer| answer["user"] == user);
            let texts: Vec<_> =
                own.map(|answer| answer["message"]["text"].as_str().unwrap().to_owned()).collect();
            (texts.len() >= count).then_some(texts)
        })
        .await
    }

    /// The modal that was opened last.
    async fn view(&self) -> Value {
        self.cloud.admin(Method::GET, "slack/views", None).await["views"]
            .as_array()
            .unwrap()
            .last()
            .cloned()
            .unwrap()
    }

    /// Declares an incident; its id.
    async fn declare(&self, title: &str) -> String {
        let declare = json!({"declare": {"title": title, "severity": "S1", "resource": "api", "by": "Caio"}});
        self.cloud.invoke(declare).await.unwrap()["done"][0]["incident"].as_str().unwrap().to_owned()
    }

    async fn incident(&self, id: &str) -> Incident {
        self.pager.incidents().await.into_iter().find(|incident| incident.id == id).unwrap()
    }

    /// The button of an incident's message, as Slack shows it.
    async fn button(&self, id: &str, name: &str) -> Value {
        let action = format!("desk/{name}");
        eventually(&format!("the button {action}"), async || {
            let posts = self.pager.posts(id).await;
            let blocks = posts.last()?["blocks"].as_array()?.clone();
            let elements = blocks.iter().filter_map(|block| block["elements"].as_array()).flatten();
            elements.clone().find(|element| element["action_id"] == action).cloned()
        })
        .await
    }
}

/// A signature by Slack's Python SDK, which also accepts it.
fn sign(secret: &str, timestamp: &str, body: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("readers/slack_signer.py");
    let mut signer = Command::new("python")
        .arg(script)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("python: {error}: run this through `cargo xtask test`"));
    writeln!(
        signer.stdin.take().unwrap(),
        "{}",
        json!({"secret": secret, "timestamp": timestamp, "body": body})
    )
    .unwrap();
    let answer = signer.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["accepted"], true);
    answer["signature"].as_str().unwrap().to_owned()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn pressed(user: &str, button: &Value, trigger: &str, reply: &str) -> String {
    let payload = json!({"type": "block_actions", "user": {"id": user, "username": "ana"}, "trigger_id": trigger,
        "response_url": reply, "container": {"type": "message"}, "actions": [button]});
    format!("payload={}", encoded(&payload.to_string()))
}

fn text(value: &str) -> Value {
    json!({"type": "plain_text_input", "value": value})
}

const ACCEPTED: (u16, String) = (200, String::new());

#[tokio::test]
async fn requests_that_slacks_sdk_signs_are_served_once_and_no_others() {
    let desk = Desk::begin(false).await;
    let id = desk.declare("Assinaturas").await;
    let button = json!({"type": "button", "action_id": "desk/acknowledge", "value": id});
    let (trigger, reply) = desk.interaction(ANA, 0).await;
    let body = pressed(ANA, &button, &trigger, &reply);
    let at = |seconds: i64| (now() + SignedDuration::from_secs(seconds)).as_second().to_string();
    // Far beyond the 300 seconds: the desk judges by its own clock, later than this one. Unit tests have the boundaries.
    let (present, late, early) = (at(0), at(-3600), at(3600));
    let signature = sign(&desk.secret, &present, &body);
    for (sent, timestamp, signature, status) in [
        (body.replace(ANA, BIA), &present, signature.clone(), 401),
        (format!("{body}&a=b"), &present, signature.clone(), 401),
        (body.clone(), &late, signature.clone(), 401),
        (body.clone(), &late, sign(&desk.secret, &late, &body), 401),
        (body.clone(), &early, sign(&desk.secret, &early, &body), 401),
        (body.clone(), &present, sign("the-secret-of-another-app", &present, &body), 401),
        (body.clone(), &present, "v0=00".to_owned(), 401),
    ] {
        assert_eq!(desk.send(&sent, timestamp, &signature).await.0, status, "{timestamp}");
    }
    assert_eq!(desk.incident(&id).await.body["state"], "triggered");
    assert_eq!(desk.send(&body, &present, &signature).await, ACCEPTED);
    assert_eq!(
        desk.send(&body, &present, &signature).await,
        (401, "the request was served before".to_owned())
    );
    let answers = desk.answers(ANA, 1).await;
    assert!(answers[0].starts_with("Feito: assumido"), "{answers:?}");
    assert_eq!(desk.incident(&id).await.count_of("acknowledged"), 1);
    let slack_tries = json!({"type": "url_verification", "challenge": "3eZbrw1a", "token": "x"}).to_string();
    assert_eq!(desk.post(&slack_tries).await, (200, "3eZbrw1a".to_owned()));
}

#[tokio::test]
async fn an_incident_is_run_from_its_buttons_to_its_end() {
    let desk = Desk::begin(true).await;
    let id = desk.declare("Ninguém entra").await;
    // Two people at the same time: one takes it, both read what happened.
    let button = desk.button(&id, "acknowledge").await;
    let (one, other) = tokio::join!(desk.press(ANA, &button), desk.press(BIA, &button));
    assert_eq!((one, other), (ACCEPTED, ACCEPTED));
    let said = [desk.answers(ANA, 1).await.remove(0), desk.answers(BIA, 1).await.remove(0)];
    let taken = said.iter().filter(|said| said.starts_with("Feito: assumido")).count();
    let already = said.iter().filter(|said| said.starts_with("Já estava feito por ")).count();
    assert_eq!((taken, already), (1, 1), "{said:?}");
    assert_eq!(desk.incident(&id).await.count_of("acknowledged"), 1);

    assert_eq!(desk.press(ANA, &desk.button(&id, "update").await).await, ACCEPTED);
    let view = desk.view().await;
    assert_eq!(view["user"], ANA);
    let (status, wrong) = desk.submit(ANA, &view, json!({"text": text(" ")})).await;
    assert!(status == 200 && wrong.contains("\"errors\""), "{wrong}");
    for _ in 0..2 {
        assert_eq!(desk.submit(ANA, &view, json!({"text": text("o login não volta")})).await, ACCEPTED);
    }
    desk.answers(ANA, 3).await;
    assert_eq!(desk.incident(&id).await.count_of("update"), 1, "however often it is delivered");

    assert_eq!(desk.press(BIA, &desk.button(&id, "resolve").await).await, ACCEPTED);
    assert_eq!(desk.submit(BIA, &desk.view().await, json!({"reason": text("voltou")})).await, ACCEPTED);
    desk.answers(BIA, 2).await;
    assert_eq!(desk.incident(&id).await.body["state"], "resolved");
    // The message has the buttons of its state.
    desk.button(&id, "reopen").await;
}

#[tokio::test]
async fn the_slash_command_and_who_may_what() {
    let desk = Desk::begin(false).await;
    let id = desk.declare("Barra").await;
    let (status, body) = desk.command(ANA, "plantao").await;
    assert!(status == 200 && body.contains("ephemeral"), "{body}");
    assert_eq!(desk.command(ANA, "abertos").await, ACCEPTED);
    assert!(desk.answers(ANA, 1).await[0].contains("Barra"));
    assert_eq!(desk.command(STRANGER, &format!("{id} resolver eu digo")).await, ACCEPTED);
    assert!(desk.answers(STRANGER, 1).await[0].starts_with("Nada foi feito"));
    assert_eq!(desk.command(STRANGER, &format!("{id} assumir")).await, ACCEPTED);
    desk.answers(STRANGER, 2).await;
    let incident = desk.incident(&id).await;
    assert_eq!((&incident.body["state"], incident.count_of("resolved")), (&json!("acknowledged"), 0));
    // No restore is open, and the refusal of its function reaches the person.
    let restore = json!({"run": "r20261130-1", "instance": "moveongs-dev-db-r20261130-1", "verdict": "pass", "is_good": true, "needs_two": false, "by": "Bia", "proof": ""});
    let button = json!({"type": "button", "action_id": "desk/approve_restore", "value": restore.to_string()});
    assert_eq!(desk.press(ANA, &button).await, ACCEPTED);
    assert_eq!(desk.submit(ANA, &desk.view().await, json!({})).await, ACCEPTED);
    assert!(desk.answers(ANA, 2).await[1].contains("NoOpenRestore"));
}

#[tokio::test]
async fn a_slack_that_is_slow_busy_or_late_loses_no_work() {
    let desk = Desk::begin(false).await;
    let id = desk.declare("Slack lento").await;
    let update = json!({"type": "button", "action_id": "desk/update", "value": id});
    let rule = |action: &str, more: Value| {
        let mut rule = json!({"service": "slack", "action": action});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    };
    let mut answered = 0;
    for fault in [
        json!({"effect": "timeout", "seconds": 10}),
        json!({"effect": "throttle", "seconds": 1}),
        json!({"effect": "error", "status": 500, "code": "fatal_error"}),
        json!({"effect": "error", "status": 200, "code": "invalid_trigger_id"}),
    ] {
        desk.cloud.fault(rule("views.open", fault)).await;
        assert_eq!(desk.press(ANA, &update).await, ACCEPTED);
        answered += 1;
        assert!(desk.answers(ANA, answered).await.last().unwrap().contains("«Atualizar»"));
        desk.pager.calm().await;
    }
    // A trigger is worth three seconds.
    let (trigger, reply) = desk.interaction(ANA, 4).await;
    assert_eq!(desk.post(&pressed(ANA, &update, &trigger, &reply)).await, ACCEPTED);
    assert!(desk.answers(ANA, answered + 1).await.last().unwrap().contains("expired_trigger_id"));
    // The work is done, whether or not its answer arrives.
    desk.cloud.fault(rule("response_url", json!({"effect": "throttle", "seconds": 1}))).await;
    assert_eq!(desk.command(BIA, &format!("{id} s0")).await, ACCEPTED);
    assert!(desk.answers(BIA, 1).await[0].starts_with("Feito: severidade S0"));
    let acknowledge = json!({"type": "button", "action_id": "desk/acknowledge", "value": id});
    let (trigger, reply) = desk.interaction(BIA, 1900).await;
    assert_eq!(desk.post(&pressed(BIA, &acknowledge, &trigger, &reply)).await, ACCEPTED);
    eventually("the work without an answer", async || {
        (desk.incident(&id).await.body["acknowledged_by"] == "Bia Lima").then_some(())
    })
    .await;
}

/// The work of one request, killed at each call and delivered again, twice.
#[tokio::test]
async fn every_crash_point_of_incident_desk_recovers() {
    let desk = Desk::begin(false).await;
    let mut points = Vec::new();
    for (verb, fields, action, least) in [
        ("acknowledge", json!({}), "acknowledged", 1),
        ("classify", json!({"severity": "S0"}), "severity_changed", 1),
        ("update", json!({"text": "indo"}), "update", 1),
        ("resolve", json!({"reason": "voltou"}), "resolved", 1),
    ] {
        let of_case = all_points(least, async |kill| {
            let mut point = killed(&desk, verb, &fields, action, kill).await?;
            point["case"] = json!(verb);
            Some(point)
        });
        points.extend(of_case.await);
    }
    write("incident-desk", &points, json!({}));
}

async fn killed(desk: &Desk, verb: &str, fields: &Value, action: &str, kill: Kill) -> Option<Value> {
    let (is_killed, call, id, task) = loop {
        desk.pager.reset().await;
        let id = desk.declare(&format!("{verb} {kill}")).await;
        let mut request = fields.clone();
        request["incident"] = json!(id);
        request["by"] = json!("Ana Souza");
        let (_, reply) = desk.interaction(ANA, 0).await;
        let task = json!({"who": {"id": ANA, "name": "Ana Souza", "isKnown": true},
            "cause": format!("slack|{verb}|{kill}|{id}"), "reply": reply, "what": {"ask": {verb: request}}});
        let seal = hmac_sha256(&desk.secret, format!("task:{task}").as_bytes());
        let task = json!({"slack": task.to_string(), "seal": seal});
        let before = desk.cloud.last_call().await;
        desk.cloud.fault(kill.rule()).await;
        let first = desk.cloud.invoke(task.clone()).await;
        let is_killed = desk.cloud.hits("kill").await > 0;
        let call = desk.cloud.calls(before).await.0.last().cloned();
        if is_killed == first.is_err() {
            break (is_killed, call, id, task);
        }
        // It hit an invocation that was still at work for another test.
    };
    desk.pager.calm().await;
    for _ in 0..2 {
        let again = desk.cloud.invoke(task.clone()).await;
        assert_eq!(again, Ok(json!({"told": true})), "{verb} {kill} ({call:?})");
    }
    let incident = desk.incident(&id).await;
    assert_eq!(incident.count_of(action), 1, "{verb} {kill} ({call:?}): {:?}", incident.actions());
    is_killed.then(|| json!({"operation": call, "end": "succeeded"}))
}
