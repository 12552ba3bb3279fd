//! The table, Slack, PagerDuty, a webhook, SNS and SES, with what a test makes of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use incident::signal::blank;
use incident::store::{
    Channel, Channels, Context, Key, Purpose, Row, call, decide, entry, incident as read_incident,
};
use incident::{Action, Called, Change, Entry, Incident, Mute, Severity, Signal, Source};
use incident_send::{Answer, App, SendError, handle};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::aws::table::{Table, read};
use shared::policy::Policy;
use shared::runtime::env::Env;
use shared::runtime::lambda::Invocation;
use shared::testing::table::Fake;
use shared::testing::{Web, variables};

pub(crate) const NOW: Timestamp = Timestamp::constant(1_795_954_860, 0);

/// An instant, some seconds after the beginning.
pub(crate) fn seconds(after: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(after)
}

/// What the web services answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reply {
    /// They do what they are asked.
    Ok,
    /// They do nothing and answer with a status, and with `Retry-After`.
    Status(u16, Option<u32>),
    /// Slack's error code.
    Error(&'static str),
    /// They do nothing and close the connection.
    Nothing,
    /// They do it and close the connection.
    Lost,
    /// Slack accepts messages without blocks only.
    NoBlocks,
    /// Slack has no message that could be changed.
    Gone,
    /// Slack's error code for a reply; it does all else.
    NoReplies(&'static str),
    /// Slack's error code for a user group; it does all else.
    NoGroup(&'static str),
}

struct Services {
    reply: Reply,
    /// Messages in the channel, without replies.
    posted: Vec<Value>,
    replies: usize,
}

/// A request of SNS or SES whose body contains a text is answered with a status and SNS's error code.
type Refusal = (&'static str, u16, &'static str);

pub(crate) struct Cloud {
    pub(crate) fake: Fake,
    web: Web,
    services: Arc<Mutex<Services>>,
    mails: Arc<Mutex<Vec<String>>>,
    refusals: Arc<Mutex<Vec<Refusal>>>,
    channels: String,
    changed: Vec<(String, String)>,
    policy: String,
}

pub(crate) const POLICY: &str = r#"{"incidents": {
        "people": {
            "Ana": {"slack": "U00000ANA", "email": "ana@moveongs.example", "phone": "+5511900000001", "phone_verified": true},
            "Bia": {"slack": "U00000BIA", "email": "bia@moveongs.example", "phone": "+5511900000002"},
            "Caio": {"email": "caio@moveongs.example", "phone": "+5511900000003", "phone_verified": true}
        },
        "squads": {
            "Squad Infra": {"rotation": {"every": "daily", "at": "09:00", "starts": "2026-11-01", "people": ["Ana"], "second": ["Bia"]}},
            "Squad Backend": {"rotation": {"every": "daily", "at": "09:00", "starts": "2026-11-01", "people": ["Caio"]}}
        }
    }}"#;

impl Services {
    fn answer(&mut self, request: &http::Request<Value>) -> Option<http::Response<Value>> {
        let path = request.uri().path().to_owned();
        let answer =
            |status: u16, body: Value| Some(http::Response::builder().status(status).body(body).unwrap());
        let error = |code: &str| answer(200, json!({"ok": false, "error": code}));
        let body = request.body();
        match self.reply {
            Reply::Nothing => return None,
            Reply::Status(status, after) => {
                let mut answer = answer(status, json!({"ok": false}))?;
                if let Some(after) = after {
                    answer.headers_mut().insert("retry-after", after.into());
                }
                return Some(answer);
            }
            Reply::Error(code) if path.starts_with("/api/") => return error(code),
            Reply::Error(code) => return answer(404, json!(code)),
            Reply::NoBlocks if body.get("blocks").is_some() => return error("invalid_blocks"),
            Reply::Gone if path == "/api/chat.update" => return error("message_not_found"),
            Reply::NoReplies(code) if body.get("thread_ts").is_some() => return error(code),
            Reply::NoGroup(code) if path == "/api/usergroups.users.update" => return error(code),
            Reply::Ok
            | Reply::Lost
            | Reply::NoBlocks
            | Reply::Gone
            | Reply::NoReplies(_)
            | Reply::NoGroup(_) => {}
        }
        let done = match path.as_str() {
            "/api/chat.postMessage" => {
                let is_reply = body.get("thread_ts").is_some();
                let number = self.posted.len() + 1;
                let ts = if is_reply {
                    format!("1795956000.{:06}", self.replies)
                } else {
                    format!("1795955000.{number:06}")
                };
                if is_reply {
                    self.replies += 1;
                } else {
                    self.posted.push(json!({"ts": ts, "bot_id": "B0", "metadata": body["metadata"], "blocks": body["blocks"]}));
                }
                json!({"ok": true, "channel": "C0000000", "ts": ts})
            }
            "/api/chat.update" => {
                assert!(self.posted.iter().any(|message| message["ts"] == body["ts"]), "{body}");
                json!({"ok": true, "channel": "C0000000", "ts": body["ts"]})
            }
            "/api/conversations.history" => {
                assert_eq!(body["channel"], json!("C0000000"));
                json!({"ok": true, "messages": self.posted.iter().rev().collect::<Vec<_>>()})
            }
            "/api/usergroups.users.update" => {
                let users = body["users"].as_str().unwrap().split(',');
                assert!(users.clone().all(|user| user.starts_with('U')), "{body}");
                let users: Vec<_> = users.collect();
                json!({"ok": true, "usergroup": {"id": body["usergroup"], "users": users}})
            }
            "/services/T0/B0/x" => json!("ok"),
            "/v2/enqueue" => {
                return if self.reply == Reply::Lost {
                    None
                } else {
                    answer(202, json!({"status": "success"}))
                };
            }
            other => panic!("{other}"),
        };
        if self.reply == Reply::Lost { None } else { answer(200, done) }
    }
}

impl Cloud {
    pub(crate) fn new(channels: &str) -> Self {
        Self::with(channels, &[])
    }

    /// A cloud whose function has other settings.
    pub(crate) fn with(channels: &str, changed: &[(&str, &str)]) -> Self {
        let services = Arc::new(Mutex::new(Services { reply: Reply::Ok, posted: vec![], replies: 0 }));
        let shared = Arc::clone(&services);
        let web = Web::new(move |request| shared.lock().unwrap().answer(request));
        let (fake, mails) = (Fake::default(), Arc::<Mutex<Vec<String>>>::default());
        let refusals = Arc::<Mutex<Vec<Refusal>>>::default();
        let (kept, refused) = (Arc::clone(&mails), Arc::clone(&refusals));
        fake.with(|state| {
            state.secrets.insert("slack".to_owned(), "xoxb-1-2-aB3\n".to_owned());
            state.secrets.insert("pagerduty".to_owned(), "0123456789abcdef0123456789abcdef".to_owned());
            state.secrets.insert("webhook".to_owned(), format!("{}/services/T0/B0/x", web.url()));
            state.other = Some(Box::new(move |request: &http::Request<SdkBody>| {
                let body = String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap();
                let refusal = refused.lock().unwrap().iter().find(|refusal| body.contains(refusal.0)).copied();
                kept.lock().unwrap().push(body);
                if let Some((_, status, code)) = refusal {
                    let error = format!("<Error><Type>Receiver</Type><Code>{code}</Code><Message>told</Message></Error>");
                    return (status, format!("<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>"));
                }
                let answer = if request.uri().path() == "/" {
                    "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>"
                } else {
                    r#"{"MessageId": "m"}"#
                };
                (200, answer.to_owned())
            }));
        });
        let changed = changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (channels, policy) = (channels.to_owned(), POLICY.to_owned());
        Self { fake, web, services, mails, refusals, channels, changed, policy }
    }

    /// From now on, another policy is in force.
    pub(crate) fn apply(&mut self, patch: &str) {
        self.policy = patch.to_owned();
    }

    fn policy(&self) -> Policy {
        self.policy.parse().unwrap()
    }

    /// From now on, the web services answer so.
    pub(crate) fn answer(&self, reply: Reply) {
        self.services.lock().unwrap().reply = reply;
    }

    /// Number of messages in the channel, without replies.
    pub(crate) fn messages(&self) -> usize {
        self.services.lock().unwrap().posted.len()
    }

    /// All requests of web services so far: path and body.
    pub(crate) fn asked(&self) -> Vec<(String, Value)> {
        let asked = self.web.asked();
        asked.into_iter().map(|request| (request.uri().path().to_owned(), request.into_body())).collect()
    }

    /// The credential of the last request.
    pub(crate) fn token(&self) -> String {
        let asked = self.web.asked();
        asked.last().unwrap().headers()["authorization"].to_str().unwrap().to_owned()
    }

    /// Bodies of the requests of SNS and SES so far.
    pub(crate) fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }

    /// From now on, requests of SNS that contain a text are refused.
    pub(crate) fn refuse(&self, part: &'static str, status: u16, code: &'static str) {
        self.refusals.lock().unwrap().push((part, status, code));
    }

    /// From now on, SNS does what it is asked.
    pub(crate) fn refuse_nothing(&self) {
        self.refusals.lock().unwrap().clear();
    }

    fn variables(&self) -> impl Fn(&str) -> Option<String> {
        let url = self.web.url();
        let (slack, pagerduty) = (format!("{url}/api"), url.to_owned());
        let own = [
            ("ENVIRONMENT", "prod"),
            ("AWS_LAMBDA_FUNCTION_NAME", "moveongs-prod-incident-send"),
            ("PAGE_CHANNELS", self.channels.as_str()),
            ("INCIDENT_TABLE", "incidents"),
            ("SLACK_SECRET_NAME", "slack"),
            ("SLACK_WEBHOOK_SECRET_NAME", "webhook"),
            ("PAGERDUTY_SECRET_NAME", "pagerduty"),
            ("SLACK_CHANNEL", "#incidentes"),
            ("SLACK_API_URL", slack.as_str()),
            ("PAGERDUTY_URL", pagerduty.as_str()),
            ("SES_FROM_ADDRESS", "pager@moveongs.example"),
            ("SES_REGION", "us-east-1"),
            ("PAGER_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:moveongs-prod-pager"),
            ("PAGING_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:moveongs-prod-paging"),
            ("SYNTHETIC_HOUR", ""),
        ];
        let changed = self.changed.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        variables(&changed.chain(own).collect::<Vec<_>>())
    }

    async fn invoke(&self, event: Value, after: i64) -> Result<Answer, SendError> {
        let variables = self.variables();
        let app = App::new(&Env::new(&variables).with_policy(self.policy()), &self.fake.config()).unwrap();
        // No time to wait for a second attempt, which comes after five seconds.
        let mut invocation = Invocation::new(seconds(after), Duration::from_millis(74_900));
        invocation.request_id = format!("request-{after}");
        handle(&app, event, &invocation).await
    }

    /// An invocation by the stream, with all rows, some seconds after the beginning.
    pub(crate) async fn try_stream(&self, after: i64) -> Result<Answer, SendError> {
        let keys = self.fake.items().into_keys().filter(|(_, sk)| sk.starts_with(Key::ROWS));
        let record = |(pk, sk): (String, String)| json!({"eventSource": "aws:dynamodb", "dynamodb": {"Keys": {"pk": {"S": pk}, "sk": {"S": sk}}}});
        self.invoke(json!({"Records": keys.map(record).collect::<Vec<_>>()}), after).await
    }

    pub(crate) async fn stream(&self, after: i64) -> Answer {
        self.try_stream(after).await.unwrap()
    }

    pub(crate) async fn try_sweep(&self, after: i64) -> Result<Answer, SendError> {
        self.invoke(json!({"sweep": true}), after).await
    }

    pub(crate) async fn sweep(&self, after: i64) -> Answer {
        self.try_sweep(after).await.unwrap()
    }

    /// The first event of a problem of the infrastructure squad; the incident's id.
    pub(crate) async fn page(&self, after: i64) -> String {
        self.signal("first", after, Change::Triggered).await
    }

    pub(crate) async fn signal(&self, event: &str, after: i64, change: Change) -> String {
        self.signal_of("alarm", event, after, change).await
    }

    /// Stores an event as the intake does; the incident's id.
    pub(crate) async fn signal_of(&self, problem: &str, event: &str, after: i64, change: Change) -> String {
        let signal = Signal {
            change,
            changed_at: Some(seconds(after)),
            title: "API fora do ar".to_owned(),
            reason: "5xx".to_owned(),
            severity: Some(Severity::S1),
            labels: [("backup".to_owned(), "Squad Backend".to_owned())].into(),
            owner: Some("Squad Infra".to_owned()),
            ..blank(Source::Alarm, problem.to_owned(), format!("{problem}|{event}"))
        };
        self.store(&signal, after).await
    }

    pub(crate) async fn store(&self, signal: &Signal, after: i64) -> String {
        let variables = self.variables();
        let table = Table::new(&Env::new(&variables), &self.fake.config()).unwrap();
        let channels: Channels = self.channels.parse().unwrap();
        let policy = self.policy();
        let context = Context {
            policy: &policy,
            project: "moveongs",
            environment: "prod",
            channels: &channels.0,
            now: seconds(after),
            attempt: 0,
        };
        let plan = decide(signal, &table.facts(signal).await.unwrap(), &context);
        table.transact(&plan.writes).await.unwrap();
        self.fake.with(|state| state.calls.clear());
        plan.incident
    }

    /// Mutes every problem.
    pub(crate) fn mute(&self, until: i64) {
        let mute = Mute { by: "Ana".to_owned(), reason: "deploy".to_owned(), until: seconds(until) };
        self.put(&mute.write(None));
    }

    /// Puts an item.
    pub(crate) fn put(&self, write: &incident::store::Write) {
        let incident::store::Write::Put { item, .. } = write else { panic!("{write:?}") };
        let value = |value: &incident::store::Attribute| match value {
            incident::store::Attribute::Text(text) => json!({"S": text}),
            incident::store::Attribute::Number(number) => json!({"N": number.to_string()}),
        };
        let json = item.iter().map(|(name, attribute)| (name.clone(), value(attribute))).collect();
        let key = Key::of(item).unwrap();
        self.fake.with(|state| state.items.insert((key.pk, key.sk), json));
    }

    /// Orders something beside the page, as the desk and the clock do: an entry of the timeline, by Ana, and its rows.
    pub(crate) async fn order(&self, id: &str, purpose: Purpose, action: Action, text: &str, after: i64) {
        let variables = self.variables();
        let table = Table::new(&Env::new(&variables), &self.fake.config()).unwrap();
        let channels: Channels = self.channels.parse().unwrap();
        let at = seconds(after);
        let mut incident = self.incident(id);
        incident.version += 1;
        let (by, squad) = ("Ana".to_owned(), text.split(':').next().unwrap().to_owned());
        if action == Action::SquadCalled {
            incident.called.push(Called { squad, by: by.clone(), at });
        }
        let entry = Entry { at, by, action, text: text.to_owned() };
        let mut writes = vec![incident.write(), entry.write(id, &format!("order|{after}"))];
        writes.extend(if purpose == Purpose::Customers {
            vec![Row::want(id, Channel::Ses, purpose, incident.version, at, at)]
        } else {
            call(&incident, purpose, &channels.0, at)
        });
        let shown = channels.0.iter().filter(|channel| channel.updates_in_place());
        writes.extend(
            shown.map(|channel| Row::want(id, *channel, channel.first_purpose(), incident.version, at, at)),
        );
        table.transact(&writes).await.unwrap();
        self.fake.with(|state| state.calls.clear());
    }

    /// Changes an incident as a person's request does.
    pub(crate) fn change(&self, id: &str, change: impl FnOnce(&mut Incident)) {
        let mut incident = self.incident(id);
        incident.version += 1;
        change(&mut incident);
        self.put(&incident.write());
    }

    fn items(&self, id: &str, prefix: &str) -> Vec<incident::store::Attributes> {
        let pk = Key::incident(id).pk;
        let items = self.fake.items().into_iter().filter(|(key, _)| key.0 == pk && key.1.starts_with(prefix));
        let attribute = |value: &Value| match (value["S"].as_str(), value["N"].as_str()) {
            (Some(text), _) => aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned()),
            (_, Some(number)) => aws_sdk_dynamodb::types::AttributeValue::N(number.to_owned()),
            _ => panic!("{value}"),
        };
        let item = |item: serde_json::Map<String, Value>| {
            read(&item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect())
        };
        items.map(|(_, attributes)| item(attributes)).collect()
    }

    pub(crate) fn incident(&self, id: &str) -> Incident {
        read_incident(&self.items(id, "STATE")[0]).unwrap()
    }

    pub(crate) fn row(&self, id: &str, sk: &str) -> Row {
        Row::read(&self.items(id, sk)[0]).unwrap()
    }

    /// The rows of a channel, of all incidents.
    pub(crate) fn rows(&self, channel: &str) -> Vec<Row> {
        let ids =
            self.fake.incidents().into_iter().map(|incident| incident["id"].as_str().unwrap().to_owned());
        let prefix = format!("SEND#{channel}#");
        ids.flat_map(|id| self.items(&id, &prefix)).map(|item| Row::read(&item).unwrap()).collect()
    }

    /// When a row is due, in seconds after the beginning, rounded down to half a minute.
    pub(crate) fn due(&self, id: &str, sk: &str) -> Option<i64> {
        Some(self.row(id, sk).due?.duration_since(NOW).as_secs() / 30 * 30)
    }

    pub(crate) fn entries(&self, id: &str) -> Vec<Entry> {
        self.items(id, Key::LINES).iter().map(|item| entry(item).unwrap()).collect()
    }

    pub(crate) fn timeline(&self, id: &str) -> Vec<Value> {
        self.entries(id).iter().map(|entry| serde_json::to_value(entry).unwrap()).collect()
    }

    pub(crate) fn actions(&self, id: &str) -> Vec<Action> {
        self.entries(id).into_iter().map(|entry| entry.action).collect()
    }
}
