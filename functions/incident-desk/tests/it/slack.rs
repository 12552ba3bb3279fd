//! The desk in Slack, from a signed request to the answer that a person reads: the wire protocols of AWS, and a Slack on
//! this machine.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use incident_desk::{Answer, App, DeskError, handle};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::policy::Policy;
use shared::runtime::env::Env;
use shared::runtime::failure::Failure as _;
use shared::runtime::lambda::Invocation;
use shared::testing::table::{Fake, Fault};
use shared::testing::{Web, hmac_sha256, variables};

const NOW: &str = "2026-11-29T12:41:00Z";
const KEY: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const ANA: &str = "U024BE7LH";
const BIA: &str = "U0BIA00001";
const STRANGER: &str = "U0STRANGER";

fn policy() -> Policy {
    let policy = json!({"incidents": {
        "people": {"Ana Souza": {"slack": ANA}, "Bia Lima": {"slack": BIA}},
        "customers": {"addresses": ["clientes@example.org"]},
    }});
    policy.to_string().parse().unwrap()
}

/// What Slack answers to a method, or at a response URL: a status and a body.
type Says = Box<dyn FnMut(&str) -> (u16, Value) + Send>;

/// A stack, a Slack, and the invocations that the function left to itself.
struct Desk {
    fake: Fake,
    web: Web,
    says: Arc<Mutex<Says>>,
    /// Payloads of asynchronous invocations of the function itself.
    left: Arc<Mutex<Vec<Value>>>,
    /// Payloads of orders about a restore.
    orders: Arc<Mutex<Vec<Value>>>,
    /// What the restore answers to an order.
    restored: Arc<Mutex<Value>>,
    now: Timestamp,
    policy: Policy,
    /// Counts interactions: each has a trigger of its own.
    turn: Mutex<u32>,
}

impl Desk {
    fn new() -> Self {
        let says: Arc<Mutex<Says>> = Arc::new(Mutex::new(Box::new(|_| (200, json!({"ok": true})))));
        let asked = Arc::clone(&says);
        let web = Web::new(move |request| {
            let (status, body) = (asked.lock().unwrap())(request.uri().path());
            (status > 0).then(|| http::Response::builder().status(status).body(body).unwrap())
        });
        let (fake, left, orders) =
            (Fake::default(), Arc::<Mutex<Vec<Value>>>::default(), Arc::<Mutex<Vec<Value>>>::default());
        let restored = Arc::new(Mutex::new(json!({"status": "guard", "run": "r20261130-1", "says": []})));
        let (own, ordered, said) = (Arc::clone(&left), Arc::clone(&orders), Arc::clone(&restored));
        fake.with(|state| {
            state.secrets.insert("signing".to_owned(), KEY.to_owned());
            state.secrets.insert("token".to_owned(), "xoxb-1-a".to_owned());
            state.other = Some(Box::new(move |request| {
                let payload: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
                let path = request.uri().path();
                let kind = request.headers().get("x-amz-invocation-type").map(|kind| kind.to_str().unwrap());
                if path.contains("emergency-restore") {
                    assert_eq!(kind, None, "an order waits for its answer");
                    ordered.lock().unwrap().push(payload);
                    return (200, said.lock().unwrap().to_string());
                }
                assert!(path.ends_with("/functions/moveongs-prod-incident-desk/invocations"), "{path}");
                assert_eq!(kind, Some("Event"));
                own.lock().unwrap().push(payload);
                (202, String::new())
            }));
        });
        Self {
            fake,
            web,
            says,
            left,
            orders,
            restored,
            now: NOW.parse().unwrap(),
            policy: policy(),
            turn: Mutex::new(0),
        }
    }

    fn says(&self, says: impl FnMut(&str) -> (u16, Value) + Send + 'static) {
        *self.says.lock().unwrap() = Box::new(says);
    }

    fn app(&self) -> App {
        self.app_with(&[])
    }

    fn app_with(&self, changed: &[(&str, &str)]) -> App {
        let api = format!("{}/api", self.web.url());
        let lookup = variables(&[changed, &settings(&api)].concat());
        App::new(&Env::new(&lookup).with_policy(self.policy.clone()), &self.fake.config()).unwrap()
    }

    fn invocation(&self) -> Invocation {
        let mut made = Invocation::new(self.now, Duration::from_secs(30));
        made.request_id = "8f5ee0d3".to_owned();
        made
    }

    async fn invoke(&self, event: Value) -> Result<Answer, DeskError> {
        handle(&self.app(), event, &self.invocation()).await
    }

    /// Sends a signed body to the address.
    async fn post(&self, body: &str) -> (u16, String) {
        web(self.invoke(self.signed(body)).await.unwrap())
    }

    fn signed(&self, body: &str) -> Value {
        signed_at(self.now.as_second(), body)
    }

    /// An interaction of a Slack user.
    fn interaction(&self, user: &str, mut payload: Value) -> Value {
        let mut turn = self.turn.lock().unwrap();
        *turn += 1;
        payload["user"] = json!({"id": user, "username": "some.name"});
        payload["trigger_id"] = json!(format!("{turn}.2.abc"));
        if payload["type"] != "view_submission" {
            payload["response_url"] = json!(format!("{}/actions/T1/{turn}/x", self.web.url()));
        }
        payload
    }

    async fn press(&self, user: &str, action: &str, value: &str) -> (u16, String) {
        let actions = json!([{"type": "button", "action_id": action, "value": value}]);
        let payload = self.interaction(user, json!({"type": "block_actions", "actions": actions}));
        self.post(&form(&payload)).await
    }

    /// Submits the modal that Slack opened last, or that an answer has.
    async fn submit(&self, user: &str, id: &str, view: &Value, values: &[(&str, Value)]) -> (u16, String) {
        let values: serde_json::Map<String, Value> =
            values.iter().map(|(name, value)| ((*name).to_owned(), json!({"value": value}))).collect();
        let view = json!({"id": id, "callback_id": view["callback_id"], "private_metadata": view["private_metadata"],
            "state": {"values": values}});
        self.post(&form(&self.interaction(user, json!({"type": "view_submission", "view": view})))).await
    }

    async fn command(&self, user: &str, text: &str) -> (u16, String) {
        let turn = {
            let mut turn = self.turn.lock().unwrap();
            *turn += 1;
            *turn
        };
        let reply = format!("{}/commands/T1/{turn}/x", self.web.url());
        let fields = [
            ("command", "/incidente"),
            ("user_id", user),
            ("user_name", "some.name"),
            ("text", text),
            ("trigger_id", &format!("{turn}.2.abc")),
            ("response_url", &reply),
        ];
        let fields = fields.map(|(name, value)| format!("{name}={}", encoded(value)));
        self.post(&fields.join("&")).await
    }

    /// Does what was left to do, each once; their answers.
    async fn work(&self) -> Vec<Result<Answer, DeskError>> {
        let tasks = std::mem::take(&mut *self.left.lock().unwrap());
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(self.invoke(task).await);
        }
        answers
    }

    /// What people read, one text for each message, in order.
    fn read(&self) -> Vec<String> {
        let asked = self.web.asked();
        let replies = asked.iter().filter(|request| !request.uri().path().starts_with("/api/"));
        replies.map(|request| request.body()["text"].as_str().unwrap().to_owned()).collect()
    }

    /// The modals that Slack was asked to open.
    fn opened(&self) -> Vec<Value> {
        let asked = self.web.asked();
        let opened = asked.iter().filter(|request| request.uri().path() == "/api/views.open");
        opened.map(|request| request.body().clone()).collect()
    }

    /// An open incident; its id.
    async fn incident(&self) -> String {
        let declare =
            json!({"declare": {"title": "API fora", "severity": "S1", "resource": "api", "by": "Caio"}});
        let Answer::Done { done } = self.invoke(declare).await.unwrap() else { panic!() };
        self.fake.with(|state| state.calls.clear());
        done[0].incident.clone()
    }

    fn stored(&self) -> Value {
        self.fake.incidents().into_iter().next().unwrap()
    }

    /// How many entries of the timeline have an action.
    fn lines(&self, action: &str) -> usize {
        self.fake
            .keys("INCIDENT#")
            .iter()
            .filter(|sk| sk.starts_with("LINE#") && sk.ends_with(action))
            .count()
    }

    fn calls(&self) -> Vec<String> {
        self.fake.with(|state| state.calls.clone())
    }
}

fn settings(api: &str) -> [(&str, &str); 8] {
    [
        ("AWS_LAMBDA_FUNCTION_NAME", "moveongs-prod-incident-desk"),
        ("ENVIRONMENT", "prod"),
        ("PAGE_CHANNELS", "slack,sns"),
        ("INCIDENT_TABLE", "incidents"),
        ("SLACK_API_URL", api),
        ("SLACK_SECRET_NAME", "token"),
        ("SLACK_SIGNING_SECRET_NAME", "signing"),
        ("EMERGENCY_RESTORE_FUNCTION", "moveongs-prod-emergency-restore"),
    ]
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

fn form(payload: &Value) -> String {
    format!("payload={}", encoded(&payload.to_string()))
}

fn signed_at(seconds: i64, body: &str) -> Value {
    let signature = hmac_sha256(KEY, format!("v0:{seconds}:{body}").as_bytes());
    json!({"rawPath": "/slack", "body": body, "requestContext": {"requestId": "r1", "http": {"method": "POST"}},
        "headers": {"x-slack-signature": format!("v0={signature}"), "x-slack-request-timestamp": seconds.to_string()}})
}

fn web(answer: Answer) -> (u16, String) {
    let Answer::Web { status, body, .. } = answer else { panic!("{answer:?}") };
    (status, body)
}

fn text(value: &str) -> Value {
    json!({"type": "plain_text_input", "value": value})
}

fn chosen(value: &str) -> Value {
    json!({"type": "static_select", "selected_option": {"value": value}})
}

/// The event of a task, as the function seals it.
fn sealed(key: &str, task: &Value) -> Value {
    let seal = hmac_sha256(key, format!("task:{task}").as_bytes());
    json!({"slack": task.to_string(), "seal": seal})
}

const DONE: (u16, String) = (200, String::new());

#[tokio::test]
async fn one_press_takes_the_incident_and_the_person_reads_it() {
    let desk = Desk::new();
    let id = desk.incident().await;
    assert_eq!(desk.press(ANA, "desk/acknowledge", &id).await, DONE);
    assert_eq!(desk.calls()[..2], ["GetSecretValue", "PutItem"], "verified and remembered before all else");
    assert_eq!(desk.stored()["state"], "triggered", "the work is done after the answer");
    assert_eq!(desk.work().await, [Ok(Answer::Told { told: true })]);
    assert_eq!(
        (&desk.stored()["state"], &desk.stored()["acknowledged_by"]),
        (&json!("acknowledged"), &json!("Ana Souza"))
    );
    let [said] = desk.read().try_into().unwrap();
    assert!(said.starts_with("Feito: assumido") && said.contains(&id), "{said}");
}

#[tokio::test]
async fn of_two_people_at_once_the_second_reads_who_was_first() {
    let desk = Desk::new();
    let id = desk.incident().await;
    for user in [ANA, BIA] {
        assert_eq!(desk.press(user, "desk/acknowledge", &id).await, DONE);
    }
    let [first, second] = std::mem::take(&mut *desk.left.lock().unwrap()).try_into().unwrap();
    // Decided at the same time: both read the incident before either writes.
    let (app, invocation) = (desk.app(), desk.invocation());
    let (one, other) = tokio::join!(handle(&app, first, &invocation), handle(&app, second, &invocation));
    assert_eq!((one, other), (Ok(Answer::Told { told: true }), Ok(Answer::Told { told: true })));
    assert_eq!(desk.lines("acknowledged"), 1);
    let mut said = desk.read();
    said.sort();
    let [done, already] = said.try_into().unwrap();
    let first = desk.stored()["acknowledged_by"].as_str().unwrap().to_owned();
    assert!(done.starts_with("Feito: assumido"), "{done}");
    assert!(already.starts_with(&format!("Já estava feito por {first}, ")), "{already}");
}

#[tokio::test]
async fn what_is_altered_late_or_replayed_is_refused_before_it_is_read() {
    let desk = Desk::new();
    let id = desk.incident().await;
    let actions = json!([{"type": "button", "action_id": "desk/acknowledge", "value": id}]);
    let body = form(&desk.interaction(ANA, json!({"type": "block_actions", "actions": actions})));
    let good = desk.signed(&body);
    let mut altered = good.clone();
    altered["body"] = json!(body.replace("U024BE7LH", "U0BIA00001"));
    let mut unsigned = good.clone();
    unsigned["headers"].as_object_mut().unwrap().remove("x-slack-signature");
    let mut elsewhere = good.clone();
    elsewhere["rawPath"] = json!("/");
    // A body that no parser would take: if it were read, its refusal would be another one.
    let nonsense = signed_at(desk.now.as_second() - 301, "\u{0}=%");
    for (event, status, calls) in [
        (altered, 401, &["GetSecretValue"][..]),
        (unsigned, 401, &[]),
        (nonsense, 401, &[]),
        (signed_at(desk.now.as_second() + 301, &body), 401, &[]),
        (elsewhere, 404, &[]),
    ] {
        desk.fake.with(|state| state.calls.clear());
        assert_eq!(web(desk.invoke(event).await.unwrap()).0, status);
        assert_eq!(desk.calls(), calls);
    }
    assert_eq!(web(desk.invoke(good.clone()).await.unwrap()), DONE);
    assert_eq!(desk.left.lock().unwrap().len(), 1);
    for _ in 0..2 {
        let (status, said) = web(desk.invoke(good.clone()).await.unwrap());
        assert_eq!((status, said.as_str()), (401, "the request was served before"));
    }
    assert_eq!(desk.left.lock().unwrap().len(), 1);
    // A stack without a desk in Slack has no such path.
    let app = desk.app_with(&[("SLACK_SIGNING_SECRET_NAME", "")]);
    assert_eq!(web(handle(&app, good, &desk.invocation()).await.unwrap()).0, 404);
}

#[tokio::test]
async fn a_new_signing_secret_and_the_one_before_it_are_accepted_together() {
    let desk = Desk::new();
    desk.fake.with(|state| {
        state.secrets.insert("signing".to_owned(), format!("[\"a-new-signing-secret\", \"{KEY}\"]"))
    });
    assert_eq!(desk.command(ANA, "ajuda").await.0, 200);
    desk.fake.with(|state| state.secrets.insert("signing".to_owned(), "a-new-signing-secret".to_owned()));
    assert_eq!(desk.command(ANA, "ajuda").await.0, 401);
    for (secret, kind) in [("short", "SigningSecretForm"), ("[]", "SigningSecretForm")] {
        desk.fake.with(|state| state.secrets.insert("signing".to_owned(), secret.to_owned()));
        let refused = desk.invoke(desk.signed("command=%2Fincidente&user_id=U1")).await.unwrap_err();
        assert_eq!(refused.kind(), kind);
    }
    desk.fake.with(|state| state.secrets.remove("signing"));
    let refused = desk.invoke(desk.signed("command=%2Fincidente&user_id=U1")).await.unwrap_err();
    assert_eq!(refused.kind(), "SigningSecretUnread");
}

#[tokio::test]
async fn a_button_opens_its_modal_whose_submission_is_done_once() {
    let desk = Desk::new();
    let id = desk.incident().await;
    assert_eq!(desk.press(ANA, "desk/resolve", &id).await, DONE);
    let [opened] = desk.opened().try_into().unwrap();
    assert_eq!(opened["trigger_id"], "1.2.abc");
    let view = opened["view"].clone();
    assert!(view["blocks"][0]["text"]["text"].as_str().unwrap().contains("API fora"), "{view}");
    // A wrong entry is said at its field, and nothing is done.
    let (status, body) = desk.submit(ANA, "V1", &view, &[("reason", text(" "))]).await;
    let errors: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &errors["response_action"]), (200, &json!("errors")));
    assert!(errors["errors"]["reason"].as_str().unwrap().contains("200"), "{errors}");
    assert!(desk.left.lock().unwrap().is_empty());
    // A double click.
    for _ in 0..2 {
        assert_eq!(desk.submit(ANA, "V1", &view, &[("reason", text("o login voltou"))]).await, DONE);
    }
    assert_eq!(desk.work().await.len(), 2);
    assert_eq!((&desk.stored()["state"], desk.lines("resolved")), (&json!("resolved"), 1));
    let said = desk.read();
    assert!(said.len() == 2 && said.iter().all(|said| said.starts_with("Feito: encerrado")), "{said:?}");
}

#[tokio::test]
async fn the_list_of_all_gives_way_to_the_chosen_form() {
    let desk = Desk::new();
    let id = desk.incident().await;
    desk.press(ANA, "desk/more", &id).await;
    let [opened] = desk.opened().try_into().unwrap();
    let (_, body) = desk.submit(ANA, "V1", &opened["view"], &[("form", chosen("sensitive_data"))]).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["response_action"], "update");
    let view = answer["view"].clone();
    let values = [("compromised", chosen("true")), ("reason", text("um dump"))];
    assert_eq!(desk.submit(ANA, "V1", &view, &values).await, DONE);
    assert_eq!(desk.work().await, [Ok(Answer::Told { told: true })]);
    assert_eq!(desk.stored()["sensitive_data"]["is_compromised"], true);
    assert_eq!(desk.opened().len(), 1, "the same modal shows the form");
}

#[tokio::test]
async fn a_modal_that_slack_does_not_open_is_told_with_its_reason() {
    let desk = Desk::new();
    let id = desk.incident().await;
    for (status, body, why) in [
        (200, json!({"ok": false, "error": "expired_trigger_id"}), "expired_trigger_id"),
        (200, json!({"ok": false, "error": "exchanged_trigger_id"}), "exchanged_trigger_id"),
        (429, json!({"ok": false, "error": "ratelimited"}), "HTTP 429"),
        (500, json!("oops"), "HTTP 500"),
        (200, json!("not JSON"), "the answer is not JSON"),
        // The connection is closed.
        (0, json!(null), ""),
    ] {
        desk.says(
            move |path| if path == "/api/views.open" { (status, body.clone()) } else { (200, json!("ok")) },
        );
        let before = desk.read().len();
        assert_eq!(desk.press(ANA, "desk/update", &id).await, DONE);
        assert_eq!(desk.work().await, [Ok(Answer::Told { told: true })]);
        let said = desk.read().split_off(before);
        assert!(said.len() == 1 && said[0].contains("«Atualizar»") && said[0].contains(why), "{said:?}");
    }
    // Without the bot's token.
    desk.fake.with(|state| state.secrets.remove("token"));
    desk.press(ANA, "desk/update", &id).await;
    desk.work().await;
    assert!(desk.read().last().unwrap().contains("ResourceNotFound"), "{:?}", desk.read());
}

#[tokio::test]
async fn an_answer_that_does_not_arrive_undoes_nothing() {
    let desk = Desk::new();
    let id = desk.incident().await;
    let mut turn = 0;
    desk.says(move |_| {
        turn += 1;
        if turn == 1 { (429, json!("rate_limited")) } else { (200, json!("ok")) }
    });
    desk.press(ANA, "desk/acknowledge", &id).await;
    assert_eq!(desk.work().await, [Ok(Answer::Told { told: true })]);
    assert_eq!(desk.read().len(), 2, "a busy Slack is asked again");
    // The address is over.
    desk.says(|_| (404, json!({"ok": false, "error": "expired_url"})));
    desk.command(ANA, &format!("{id} s0")).await;
    assert_eq!(desk.work().await, [Ok(Answer::Told { told: false })]);
    assert_eq!(desk.stored()["severity"], "S0");
    // An address of somebody else.
    let task = json!({"who": {"id": ANA, "name": "Ana Souza", "isKnown": true}, "cause": "c",
        "reply": "https://evil.example/x", "what": {"say": ["x"]}});
    assert_eq!(desk.invoke(sealed(KEY, &task)).await, Ok(Answer::Told { told: false }));
}

#[tokio::test]
async fn the_slash_command_answers_at_once_or_later() {
    let desk = Desk::new();
    let id = desk.incident().await;
    for (text, expected) in
        [("", "/incidente abertos"), ("plantao", "API"), ("dançar", "Não conheço «dançar»")]
    {
        let (status, body) = desk.command(ANA, text).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &answer["response_type"]), (200, &json!("ephemeral")));
        let said = answer["blocks"].to_string();
        assert!(said.contains(expected) || text == "plantao", "{text}: {said}");
    }
    assert!(desk.left.lock().unwrap().is_empty() && desk.read().is_empty());
    for (text, expected) in [
        ("abertos".to_owned(), "API fora"),
        (id.clone(), "API fora"),
        (format!("{id} atualizar o login\nnão volta"), "Feito: atualização registrada"),
        (format!("{id} s1"), "S1"),
        ("INC-20261129-AAAAAAAA assumir".to_owned(), "não há incidente INC-20261129-AAAAAAAA"),
        ("INC-20261129-AAAAAAAA".to_owned(), "não há incidente INC-20261129-AAAAAAAA"),
    ] {
        let before = desk.read().len();
        assert_eq!(desk.command(ANA, &text).await, DONE, "{text}");
        assert_eq!(desk.work().await, [Ok(Answer::Told { told: true })], "{text}");
        let said = desk.read().split_off(before);
        assert!(said.len() == 1 && said[0].contains(expected), "{text}: {said:?}");
    }
    assert_eq!(desk.stored()["last_update"], "o login\nnão volta");
    desk.command(ANA, "declarar caiu tudo").await;
    let opened = desk.opened().pop().unwrap();
    let values = [
        ("title", text("Ninguém entra")),
        ("severity", chosen("S0")),
        ("resource", text("web")),
        ("drill", chosen("false")),
    ];
    assert_eq!(desk.submit(BIA, "V9", &opened["view"], &values).await, DONE);
    desk.work().await;
    assert!(desk.fake.incidents().iter().any(|incident| incident["title"] == "Ninguém entra"));
}

#[tokio::test]
async fn somebody_whom_the_policy_does_not_know_may_do_what_anyone_may() {
    let desk = Desk::new();
    let id = desk.incident().await;
    desk.press(STRANGER, "desk/acknowledge", &id).await;
    desk.work().await;
    assert_eq!(desk.stored()["acknowledged_by"], format!("some.name (Slack {STRANGER})"));
    desk.command(STRANGER, &format!("{id} resolver eu digo")).await;
    desk.work().await;
    assert_eq!((&desk.stored()["state"], desk.lines("resolved")), (&json!("acknowledged"), 0));
    let said = desk.read().pop().unwrap();
    assert!(said.starts_with("Nada foi feito: isso cabe a quem está em incidents.people"), "{said}");
}

#[tokio::test]
async fn what_a_stranger_declares_is_marked_and_no_heartbeat() {
    let desk = Desk::new();
    desk.command(STRANGER, "declarar").await;
    let opened = desk.opened().pop().unwrap();
    let values = [
        ("title", text("Watchdog")),
        ("severity", chosen("S0")),
        ("resource", text("web")),
        ("drill", chosen("false")),
    ];
    assert_eq!(desk.submit(STRANGER, "V1", &opened["view"], &values).await, DONE);
    desk.work().await;
    let declared = desk.stored();
    assert_eq!((&declared["title"], &declared["has_foreign_title"]), (&json!("Watchdog"), &json!(true)));
    assert_eq!(declared["vouched_at"], Value::Null);
    assert!(desk.fake.keys("HEARTBEAT#").is_empty());
    desk.press(ANA, "desk/acknowledge", declared["id"].as_str().unwrap()).await;
    desk.work().await;
    assert_eq!(desk.stored()["vouched_at"], NOW);
}

#[tokio::test]
async fn customers_read_only_what_somebody_looked_at() {
    let desk = Desk::new();
    let id = desk.incident().await;
    desk.press(ANA, "desk/tell_customers", &id).await;
    let view = desk.opened().pop().unwrap()["view"].clone();
    let words = [("text", text("Já voltamos."))];
    let (_, body) = desk.submit(ANA, "V1", &view, &words).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["response_action"], "update");
    let shown = answer["view"]["blocks"].to_string();
    assert!(shown.contains("Já voltamos.") && shown.contains("[prod]"), "{shown}");
    assert!(desk.left.lock().unwrap().is_empty(), "nothing is sent yet");
    assert_eq!(desk.submit(ANA, "V1", &answer["view"], &words).await, DONE);
    desk.work().await;
    assert_eq!((&desk.stored()["customers_text"], desk.lines("customers_told")), (&json!("Já voltamos."), 1));
    assert!(desk.fake.keys("INCIDENT#").contains(&"SEND#ses#customers".to_owned()));
    // Of an incident that cannot be read there is nothing to look at, and nothing is sent.
    desk.fake.with(|state| {
        state.fault = Some(Box::new(|_, call, _| (call == "BatchGetItem").then_some(Fault::Refused)))
    });
    let (_, body) = desk.submit(ANA, "V2", &view, &words).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["response_action"], "errors");
}

/// The restore that a question's button is about.
fn restore() -> String {
    json!({"run": "r20261130-1", "instance": "moveongs-prod-db-r20261130-1", "verdict": "failed", "is_good": false,
        "needs_two": true, "by": "Bia Lima", "proof": "Prova: failed"})
    .to_string()
}

/// The incident that a restore's page opens.
async fn of_a_restore(desk: &Desk) -> String {
    let declare = json!({"declare": {"title": "Restauração", "severity": "S0", "resource": "db", "by": "x",
        "problem": "emergency-restore/r20261130-1"}});
    let Answer::Done { done } = desk.invoke(declare).await.unwrap() else { panic!() };
    done[0].incident.clone()
}

#[tokio::test]
async fn a_restore_is_approved_in_two_steps_and_noted_in_its_incident_once() {
    let desk = Desk::new();
    of_a_restore(&desk).await;
    assert_eq!(desk.press(ANA, "desk/approve_restore", &restore()).await, DONE);
    let view = desk.opened().pop().unwrap()["view"].clone();
    assert!(view["blocks"].to_string().contains("Prova: failed"), "{view}");
    assert_eq!(desk.submit(ANA, "V1", &view, &[("despite", text("não há outra cópia"))]).await, DONE);
    let task = desk.left.lock().unwrap().first().cloned().unwrap();
    desk.work().await;
    let expected = json!({"order": "approve", "run": "r20261130-1", "by": "Ana Souza", "id": "slack|V1",
        "instance": "moveongs-prod-db-r20261130-1", "despiteProof": "failed: não há outra cópia"});
    assert_eq!(*desk.orders.lock().unwrap(), std::slice::from_ref(&expected));
    assert!(desk.read().pop().unwrap().starts_with("Restauração r20261130-1: ordem aceita"));
    assert_eq!(desk.lines("restore"), 1);
    // Lambda repeats the invocation: what is noted is not ordered again.
    assert_eq!(desk.invoke(task).await, Ok(Answer::Told { told: true }));
    assert!(desk.read().pop().unwrap().starts_with("Restauração r20261130-1: ordem aceita"));
    assert_eq!((desk.lines("restore"), desk.orders.lock().unwrap().clone()), (1, vec![expected]));
}

#[tokio::test]
async fn an_order_whose_note_failed_is_not_told_as_refused_when_it_is_repeated() {
    let desk = Desk::new();
    of_a_restore(&desk).await;
    desk.press(ANA, "desk/reject_restore", &restore()).await;
    let view = desk.opened().pop().unwrap()["view"].clone();
    assert_eq!(desk.submit(ANA, "V1", &view, &[("reason", text("engano"))]).await, DONE);
    let task = desk.left.lock().unwrap().first().cloned().unwrap();
    desk.fake.with(|state| {
        state.fault = Some(Box::new(|_, call, _| (call == "TransactWriteItems").then_some(Fault::Refused)))
    });
    assert_eq!(desk.invoke(task.clone()).await.unwrap_err().kind(), "TableCall");
    desk.fake.with(|state| state.fault = None);
    // The restore has ended by that order.
    *desk.restored.lock().unwrap() =
        json!({"errorType": "NoOpenRestore", "errorMessage": "no restore is open"});
    assert_eq!(desk.invoke(task).await, Ok(Answer::Told { told: true }));
    let said = desk.read().pop().unwrap();
    assert!(said.contains("a ordem já tinha sido dada") && !said.contains("nada mudou"), "{said}");
    let orders = desk.orders.lock().unwrap().clone();
    assert_eq!((orders.len(), &orders[0]["id"]), (2, &orders[1]["id"]), "the same order");
}

#[tokio::test]
async fn a_task_that_the_function_did_not_seal_is_not_done() {
    let desk = Desk::new();
    let id = desk.incident().await;
    let order = json!({"order": "approve", "run": "r20261130-1", "by": "Ana Souza"});
    let request = json!({"resolve": {"incident": id, "by": "Ana Souza", "reason": "x"}});
    for what in [json!({"order": order}), json!({"ask": request}), json!("list")] {
        let task = json!({"who": {"id": ANA, "name": "Ana Souza", "isKnown": true}, "cause": "c",
            "reply": format!("{}/actions/T1/9/x", desk.web.url()), "what": what});
        for event in [json!({"slack": task.to_string()}), sealed("another-signing-secret", &task)] {
            assert_eq!(desk.invoke(event).await.unwrap_err().kind(), "RequestRefused", "{what}");
        }
    }
    assert!(desk.orders.lock().unwrap().is_empty() && desk.read().is_empty());
    assert_eq!(desk.stored()["state"], "triggered");
}

#[tokio::test]
async fn the_signing_secret_is_read_once_a_minute() {
    let mut desk = Desk::new();
    let app = desk.app();
    for (seconds, reads) in [(0, 1), (59, 1), (60, 2)] {
        let now: Timestamp = NOW.parse().unwrap();
        desk.now = now + jiff::SignedDuration::from_secs(seconds);
        let forged = hmac_sha256("another-signing-secret", b"x");
        let mut event = desk.signed("command=%2Fincidente");
        event["headers"]["x-slack-signature"] = json!(format!("v0={forged}"));
        assert_eq!(web(handle(&app, event, &desk.invocation()).await.unwrap()).0, 401);
        assert_eq!(desk.calls().iter().filter(|call| *call == "GetSecretValue").count(), reads, "{seconds}");
    }
}

#[tokio::test]
async fn what_is_told_without_the_policy_says_so() {
    let desk = Desk::new();
    let id = desk.incident().await;
    let api = format!("{}/api", desk.web.url());
    let lookup = variables(&settings(&api));
    let app = App::new(&Env::new(&lookup).without_policy(), &desk.fake.config()).unwrap();
    desk.command(ANA, &format!("{id} resolver voltou")).await;
    let task = desk.left.lock().unwrap().pop().unwrap();
    assert_eq!(handle(&app, task, &desk.invocation()).await, Ok(Answer::Told { told: true }));
    let sent = desk.web.asked();
    let said = sent.last().unwrap().body()["blocks"].to_string();
    assert!(said.contains("A política não pôde ser lida"), "{said}");
}

#[tokio::test]
async fn a_squad_that_nobody_reaches_is_told_as_not_called() {
    let desk = Desk::new();
    let id = desk.incident().await;
    desk.command(ANA, &format!("{id} squad Squad Dados")).await;
    assert_eq!(desk.work().await, [Ok(Answer::Told { told: true })]);
    let sent = desk.web.asked();
    let said = sent.last().unwrap().body()["blocks"].to_string();
    assert!(said.contains("squad Squad Dados chamado") && said.contains("Ninguém deste squad"), "{said}");
    let call = json!({"call": {"incident": id, "squad": "Squad Infra", "by": "Caio"}});
    let Answer::Done { done } = desk.invoke(call).await.unwrap() else { panic!() };
    assert!(done[0].warning.is_some_and(|text| text.contains("Ligue para alguém")));
}

#[tokio::test]
async fn a_restores_refusal_reaches_the_person() {
    let desk = Desk::new();
    of_a_restore(&desk).await;
    *desk.restored.lock().unwrap() =
        json!({"errorType": "SecondPersonNeeded", "errorMessage": "ana started it"});
    let good = restore().replace("false", "true");
    desk.press(ANA, "desk/approve_restore", &good).await;
    let view = desk.opened().pop().unwrap()["view"].clone();
    assert_eq!(desk.submit(ANA, "V1", &view, &[]).await, DONE);
    assert_eq!(desk.work().await, [Ok(Answer::Told { told: true })]);
    let said = desk.read().pop().unwrap();
    assert!(said.contains("ordem recusada") && said.contains("SecondPersonNeeded: ana started it"), "{said}");
    assert_eq!(desk.lines("restore"), 0, "a refused order is in no timeline");
    let opened = desk.opened().len();
    // Nobody whom the policy does not know decides.
    desk.press(STRANGER, "desk/approve_restore", &good).await;
    assert_eq!(desk.opened().len(), opened);
    desk.work().await;
    assert!(desk.read().pop().unwrap().contains("incidents.people"));
    assert_eq!(desk.orders.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_order_that_may_be_noted_is_not_told_as_refused() {
    let desk = Desk::new();
    of_a_restore(&desk).await;
    let good = restore().replace("false", "true");
    desk.press(ANA, "desk/approve_restore", &good).await;
    let view = desk.opened().pop().unwrap()["view"].clone();
    assert_eq!(desk.submit(ANA, "V1", &view, &[]).await, DONE);
    let task = desk.left.lock().unwrap().first().cloned().unwrap();
    for (kind, message) in [
        ("StepFunctionsCall", "the order is noted, but Step Functions could not be told"),
        ("NoteFailed", "the restore's note could not be read or written"),
        ("Sandbox.Timedout", "Task timed out after 900.00 seconds"),
    ] {
        *desk.restored.lock().unwrap() = json!({"errorType": kind, "errorMessage": message});
        let error = desk.invoke(task.clone()).await.unwrap_err();
        assert_eq!(error.kind(), "OrderUnclear", "Lambda repeats it");
        let said = desk.read().pop().unwrap();
        assert!(said.starts_with("Não se sabe se a ordem foi anotada") && said.contains(kind), "{said}");
        assert!(said.contains(r#"{"order":"status"}"#) && !said.contains("nada mudou"), "{said}");
        assert_eq!(desk.lines("restore"), 0);
    }
    *desk.restored.lock().unwrap() =
        json!({"status": "guard", "run": "r20261130-1", "says": ["Já estava anotado."]});
    assert_eq!(desk.invoke(task).await, Ok(Answer::Told { told: true }));
    assert_eq!(desk.lines("restore"), 1);
}

/// Everything that people may press once, done.
async fn session(desk: &Desk, id: &str) -> Vec<Value> {
    for text in [
        "assumir",
        "ic",
        "s0 pior",
        "squad Dados",
        "atualizar indo",
        "dados sim dump",
        "mitigar voltou",
        "resolver fim",
    ] {
        assert_eq!(desk.command(ANA, &format!("{id} {text}")).await, DONE, "{text}");
    }
    let mut tasks = std::mem::take(&mut *desk.left.lock().unwrap());
    for task in &mut tasks {
        // The clock is paused, which a connection would not survive.
        let mut own: Value = serde_json::from_str(task["slack"].as_str().unwrap()).unwrap();
        own.as_object_mut().unwrap().remove("reply");
        *task = sealed(KEY, &own);
    }
    tasks
}

/// The process dies before or after any call of the work; what Lambda repeats then ends as if nothing had happened.
#[tokio::test(start_paused = true)]
async fn death_between_any_two_calls_does_each_action_once() {
    let actions = [
        "acknowledged",
        "commander_assigned",
        "severity_changed",
        "update",
        "sensitive_data",
        "mitigated",
        "resolved",
    ];
    let undisturbed = Desk::new();
    let id = undisturbed.incident().await;
    let tasks = session(&undisturbed, &id).await;
    for task in &tasks {
        undisturbed.invoke(task.clone()).await.unwrap();
    }
    let expected: Vec<usize> = actions.iter().map(|action| undisturbed.lines(action)).collect();
    assert_eq!(expected, [1; 7]);
    let calls = undisturbed.calls().len();
    for fault in [Fault::Before, Fault::After] {
        for dies in 0..calls {
            let desk = Desk::new();
            let id = desk.incident().await;
            let tasks = session(&desk, &id).await;
            desk.fake.with(|state| {
                state.calls.clear();
                // From here on no call is answered: the invocation is lost.
                state.fault = Some(Box::new(move |number, _, _| match number {
                    number if number < dies => None,
                    number if number == dies => Some(fault),
                    _ => Some(Fault::Refused),
                }));
            });
            for task in &tasks {
                if desk.invoke(task.clone()).await.is_err() {
                    desk.fake.with(|state| state.fault = None);
                    desk.invoke(task.clone()).await.unwrap();
                }
            }
            let found: Vec<usize> = actions.iter().map(|action| desk.lines(action)).collect();
            assert_eq!(found, expected, "{fault:?} {dies}");
            assert_eq!(desk.stored()["state"], "resolved", "{fault:?} {dies}");
        }
    }
}

#[tokio::test]
async fn a_table_that_does_not_answer_is_told_and_tried_again() {
    let desk = Desk::new();
    let id = desk.incident().await;
    desk.press(ANA, "desk/acknowledge", &id).await;
    let task = desk.left.lock().unwrap().first().cloned().unwrap();
    desk.fake.with(|state| {
        state.fault = Some(Box::new(|_, call, _| (call != "GetSecretValue").then_some(Fault::Refused)))
    });
    let failed = desk.work().await;
    assert_eq!(
        failed.into_iter().map(|answer| answer.unwrap_err().kind()).collect::<Vec<_>>(),
        ["TableCall"]
    );
    assert!(desk.read().pop().unwrap().contains("(TableCall)"));
    desk.fake.with(|state| state.fault = None);
    assert_eq!(desk.invoke(task).await, Ok(Answer::Told { told: true }));
    assert!(desk.read().pop().unwrap().starts_with("Feito: assumido"));
    // The address cannot be served at all without the table: a replay could not be told.
    desk.fake.with(|state| {
        state.fault = Some(Box::new(|_, call, _| (call == "PutItem").then_some(Fault::Refused)))
    });
    let failed = desk.invoke(desk.signed("command=%2Fincidente&user_id=U1")).await.unwrap_err();
    assert_eq!(failed.kind(), "TableCall");
}

#[tokio::test]
async fn other_payloads_are_refused_by_name_and_slacks_trials_answered() {
    let desk = Desk::new();
    let (status, body) = desk.post(&form(&desk.interaction(ANA, json!({"type": "block_suggestion"})))).await;
    assert_eq!((status, body.as_str()), (400, "this app does not use block_suggestion"));
    let challenge = json!({"type": "url_verification", "challenge": "3eZbrw1a", "token": "x"}).to_string();
    assert_eq!(desk.post(&challenge).await, (200, "3eZbrw1a".to_owned()));
    assert_eq!(desk.post("ssl_check=1&token=x").await, DONE);
    let closed = desk.interaction(ANA, json!({"type": "view_closed", "view": {}}));
    assert_eq!(desk.post(&form(&closed)).await, DONE);
    assert_eq!(desk.press(ANA, "runbook", "").await, DONE);
    assert!(desk.left.lock().unwrap().is_empty() && desk.web.asked().is_empty());
}
