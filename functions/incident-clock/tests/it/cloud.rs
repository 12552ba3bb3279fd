//! The table, the evidence bucket, Scheduler and AWS Support in memory, and a clock that a test sets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use incident::store::{Key, Row, Write, incident as read_incident};
use incident::{Action, Entry, Incident, State};
use incident_clock::{Answer, App, ClockError, handle};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use shared::aws::table::read;
use shared::runtime::env::Env;
use shared::runtime::lambda::Invocation;
use shared::testing::bucket::Bucket;
use shared::testing::table::Fake;
use shared::testing::variables;

/// Monday, 9:00 in São Paulo.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_796_040_000, 0);

pub(crate) const ID: &str = "INC-20261130-7Q2MZK4A";

/// An instant, some minutes after the beginning.
pub(crate) fn at(minutes: i64) -> Timestamp {
    NOW + SignedDuration::from_mins(minutes)
}

/// What Scheduler and AWS Support have.
#[derive(Default)]
pub(crate) struct Services {
    /// Expression and input of each schedule, by name.
    pub(crate) schedules: BTreeMap<String, (String, String)>,
    /// Requests that opened a case.
    pub(crate) cases: Vec<Value>,
    /// AWS Support's error for each call that opens a case.
    pub(crate) refusal: Option<&'static str>,
    /// Scheduler's error for each call.
    pub(crate) no_schedules: bool,
}

pub(crate) struct Cloud {
    pub(crate) fake: Fake,
    pub(crate) bucket: Bucket,
    pub(crate) services: Arc<Mutex<Services>>,
    /// Whether the policy can be read.
    pub(crate) is_policy_read: bool,
    policy: String,
}

fn text(request: &http::Request<SdkBody>) -> &str {
    std::str::from_utf8(request.body().bytes().unwrap()).unwrap()
}

impl Services {
    fn schedules(&mut self, request: &http::Request<SdkBody>) -> (u16, String) {
        if self.no_schedules {
            return (400, json!({"__type": "ValidationException", "Message": "told"}).to_string());
        }
        let Some(name) = request.uri().path().strip_prefix("/schedules/") else {
            let names: Vec<Value> = self.schedules.keys().map(|name| json!({"Name": name})).collect();
            return (200, json!({"Schedules": names}).to_string());
        };
        assert!(name.len() <= 64, "{name}");
        let body: Value = serde_json::from_str(text(request)).unwrap();
        assert_eq!((&body["GroupName"], &body["ActionAfterCompletion"]), (&json!("x"), &json!("DELETE")));
        if self.schedules.contains_key(name) {
            return (409, json!({"__type": "ConflictException", "Message": "told"}).to_string());
        }
        let told = |value: &Value| value.as_str().unwrap().to_owned();
        let made = (told(&body["ScheduleExpression"]), told(&body["Target"]["Input"]));
        self.schedules.insert(name.to_owned(), made);
        (200, json!({"ScheduleArn": "arn"}).to_string())
    }

    fn support(&mut self, call: &str, request: &http::Request<SdkBody>) -> (u16, String) {
        let body: Value = serde_json::from_str(text(request)).unwrap();
        let error = |code: &str| (400, json!({"__type": code, "message": "told"}).to_string());
        let answer = match call {
            "DescribeSeverityLevels" => json!({"severityLevels": [{"code": "low"}, {"code": "urgent"}]}),
            "DescribeServices" => json!({"services": []}),
            "DescribeCases" => {
                let case = |(number, case): (usize, &Value)| json!({"caseId": format!("case-{number}"), "subject": case["subject"]});
                json!({"cases": self.cases.iter().enumerate().map(case).collect::<Vec<_>>()})
            }
            "CreateCase" if self.refusal.is_some() => return error(self.refusal.unwrap()),
            "CreateCase" if body["dryRun"] == json!(true) => return error("DryRunOperationException"),
            "CreateCase" => {
                self.cases.push(body);
                json!({"caseId": format!("case-{}", self.cases.len() - 1)})
            }
            other => panic!("{other}"),
        };
        (200, answer.to_string())
    }
}

impl Cloud {
    /// A cloud under a patch of the policy's incidents.
    pub(crate) fn new(incidents: Value) -> Self {
        let (fake, bucket) = (Fake::default(), Bucket::default());
        let services = Arc::<Mutex<Services>>::default();
        let (objects, shared) = (bucket.clone(), Arc::clone(&services));
        fake.with(|state| {
            state.secret = Some("xoxb-1".to_owned());
            state.other = Some(Box::new(move |request: &http::Request<SdkBody>| {
                let target = request.headers().get("x-amz-target").map(|target| target.to_str().unwrap());
                let host = request.uri().host().unwrap();
                match target.and_then(|target| target.strip_prefix("AWSSupport_20130415.")) {
                    Some(call) => {
                        assert_eq!(host, "support.us-east-1.amazonaws.com");
                        shared.lock().unwrap().support(call, request)
                    }
                    None if host.starts_with("scheduler.") => shared.lock().unwrap().schedules(request),
                    None => objects.answer(request),
                }
            }));
        });
        let policy = json!({"incidents": incidents}).to_string();
        Self { fake, bucket, services, is_policy_read: true, policy }
    }

    fn app(&self) -> App {
        let own = [
            ("ENVIRONMENT", "prod"),
            ("PAGE_CHANNELS", "slack,sns"),
            ("INCIDENT_TABLE", "incidents"),
            ("EVIDENCE_BUCKET", "evidence"),
            ("AWS_LAMBDA_FUNCTION_NAME", "moveongs-prod-incident-clock"),
        ];
        let variables = variables(&own);
        let env = Env::new(&variables);
        let env = if self.is_policy_read {
            env.with_policy(self.policy.parse().unwrap())
        } else {
            env.without_policy()
        };
        App::new(&env, &self.fake.config()).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn invoke(&self, event: Value, now: Timestamp) -> Result<Answer, ClockError> {
        let mut invocation = Invocation::new(now, Duration::from_secs(100));
        invocation.request_id = format!("r{}", now.as_millisecond());
        Box::pin(handle(&self.app(), event, &invocation)).await
    }

    /// The stream says that the incident changed.
    pub(crate) async fn stream(&self, now: Timestamp) -> Result<Answer, ClockError> {
        let keys = json!({"pk": {"S": format!("INCIDENT#{ID}")}, "sk": {"S": "STATE"}});
        self.invoke(json!({"Records": [{"eventSource": "aws:dynamodb", "dynamodb": {"Keys": keys}}]}), now)
            .await
    }

    pub(crate) async fn sweep(&self, now: Timestamp) -> Result<Answer, ClockError> {
        self.invoke(json!({"sweep": true}), now).await
    }

    /// Lets the schedules fire that are due by a time; returns their names.
    pub(crate) async fn fire(&self, now: Timestamp) -> Vec<String> {
        let due = now.strftime("at(%Y-%m-%dT%H:%M:%S)").to_string();
        let mut fired = Vec::new();
        loop {
            let next = {
                let mut services = self.services.lock().unwrap();
                let name =
                    services.schedules.iter().find(|(_, (at, _))| *at <= due).map(|(name, _)| name.clone());
                name.map(|name| (services.schedules.remove(&name).unwrap().1, name))
            };
            let Some((input, name)) = next else { return fired };
            let input: Value = serde_json::from_str(&input).unwrap();
            if input.get("timer").is_some() {
                self.invoke(input, now).await.unwrap();
            }
            fired.push(name);
        }
    }

    /// Stores an incident, whoever changed it.
    pub(crate) fn store(&self, incident: &Incident) {
        self.put(&incident.write());
    }

    /// Stores an item.
    pub(crate) fn put(&self, write: &Write) {
        let Write::Put { item, .. } = write else { panic!("no put") };
        let value = |value: &incident::store::Attribute| match value {
            incident::store::Attribute::Text(text) => json!({"S": text}),
            incident::store::Attribute::Number(number) => json!({"N": number.to_string()}),
        };
        let stored: Map<String, Value> =
            item.iter().map(|(name, attribute)| (name.clone(), value(attribute))).collect();
        let key = Key::of(item).unwrap();
        self.fake.with(|state| state.items.insert((key.pk, key.sk), stored));
    }

    /// Changes the incident as it is stored.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Incident)) {
        let mut incident = self.incident();
        change(&mut incident);
        incident.version += 1;
        self.store(&incident);
    }

    pub(crate) fn incident(&self) -> Incident {
        let item = self.item("STATE").unwrap();
        read_incident(&attributes(&item)).unwrap()
    }

    pub(crate) fn item(&self, sk: &str) -> Option<Map<String, Value>> {
        self.fake.items().get(&(format!("INCIDENT#{ID}"), sk.to_owned())).cloned()
    }

    pub(crate) fn row(&self, sk: &str) -> Option<Row> {
        Row::read(&attributes(&self.item(sk)?))
    }

    /// The timeline's entries of an action, the oldest first.
    pub(crate) fn told(&self, action: Action) -> Vec<Entry> {
        let items = self.fake.items();
        let lines = items.iter().filter(|((_, sk), _)| sk.starts_with("LINE#"));
        let entries = lines
            .map(|(_, item)| serde_json::from_str::<Entry>(item["body"]["S"].as_str().unwrap()).unwrap());
        entries.filter(|entry| entry.action == action).collect()
    }

    /// The names of the schedules that wait, without the incident's id.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let services = self.services.lock().unwrap();
        services.schedules.keys().map(|name| name.replace(&format!("{ID}-"), "")).collect()
    }

    pub(crate) fn cases(&self) -> Vec<Value> {
        self.services.lock().unwrap().cases.clone()
    }
}

fn attributes(item: &Map<String, Value>) -> incident::store::Attributes {
    let value = |value: &Value| match (&value["S"], &value["N"]) {
        (Value::String(text), _) => aws_sdk_dynamodb::types::AttributeValue::S(text.clone()),
        (_, Value::String(number)) => aws_sdk_dynamodb::types::AttributeValue::N(number.clone()),
        other => panic!("{other:?}"),
    };
    read(&item.iter().map(|(name, one)| (name.clone(), value(one))).collect())
}

/// An incident that pages since the beginning, and that Ana has taken.
pub(crate) fn incident() -> Incident {
    Incident {
        id: ID.to_owned(),
        version: 3,
        environment: "prod".to_owned(),
        state: State::Acknowledged,
        title: "[prod] 5xx de maria@example.org".to_owned(),
        source: "cloudwatch".to_owned(),
        problem: "arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-prod-5xx".to_owned(),
        first_at: NOW,
        paged_at: Some(NOW),
        acknowledged_by: "Ana".to_owned(),
        acknowledged_at: Some(NOW),
        vouched_at: Some(NOW),
        ..Incident::default()
    }
}
