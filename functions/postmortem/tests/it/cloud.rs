//! A table and a bucket in memory, and a repository on a local port.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use incident::{Action, Entry, Incident, Severity, State};
use jiff::{SignedDuration, Timestamp};
use postmortem::{Answer, App, One, PostmortemError, Report, handle};
use serde_json::{Value, json};
use shared::runtime::env::Env;
use shared::runtime::lambda::Invocation;
use shared::testing::bucket::Bucket;
use shared::testing::table::Fake;
use shared::testing::{Web, variables};

/// Monday.
pub(crate) const NOW: &str = "2026-11-30T12:30:00Z";
pub(crate) const ID: &str = "INC-20261129-7Q2MZK4A";

pub(crate) struct Cloud {
    pub(crate) fake: Fake,
    pub(crate) bucket: Bucket,
    /// Texts that were published.
    pub(crate) published: Arc<Mutex<Vec<String>>>,
    /// Messages in the channel.
    slack: Web,
    more: Vec<(String, String)>,
    policy: String,
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An incident of Sunday evening that is over.
pub(crate) fn incident() -> Incident {
    let first_at = at("2026-11-29T22:00:00Z");
    let after = |minutes| first_at + SignedDuration::from_mins(minutes);
    Incident {
        id: ID.to_owned(),
        version: 3,
        environment: "dev".to_owned(),
        state: State::Resolved,
        severity: Severity::S1,
        severity_confirmed_by: "Ana Souza".to_owned(),
        title: "Ninguém entra <b>| @here".to_owned(),
        source: "alarm".to_owned(),
        problem: "arn:aws:cloudwatch:us-east-1:1:alarm:a".to_owned(),
        resource: "moveongs-dev-api".to_owned(),
        first_at,
        last_at: after(90),
        count: 7,
        owner: "Squad Backend".to_owned(),
        backup: "Squad Infra".to_owned(),
        acknowledged_by: "Ana Souza".to_owned(),
        acknowledged_at: Some(after(4)),
        first_acknowledged_at: Some(after(4)),
        mitigated_at: Some(after(40)),
        resolved_at: Some(after(90)),
        runbook: "docs/plantao.md".to_owned(),
        runbook_wrong: "o passo 3 apaga a fila".to_owned(),
        ..Incident::default()
    }
}

impl Cloud {
    pub(crate) fn new() -> Self {
        Self::with(&[], "")
    }

    /// One with more variables and a policy.
    pub(crate) fn with(more: &[(&str, &str)], policy: &str) -> Self {
        let (fake, bucket) = (Fake::default(), Bucket::default());
        let published = Arc::<Mutex<Vec<String>>>::default();
        let (stored, sent) = (bucket.clone(), Arc::clone(&published));
        fake.with(|state| {
            state.secret = Some("xoxb-1".to_owned());
            state.other = Some(Box::new(move |request| answer(request, &stored, &sent)));
        });
        let slack =
            Web::new(|_| Some(http::Response::new(json!({"ok": true, "channel": "C1", "ts": "1.1"}))));
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { fake, bucket, published, slack, more, policy: policy.to_owned() }
    }

    /// Stores an incident as it is.
    pub(crate) fn store(&self, incident: &Incident) {
        let mut item = serde_json::Map::new();
        let place = if incident.is_open() { "open".to_owned() } else { "over-2026-11".to_owned() };
        for (name, value) in [
            ("pk", json!({"S": format!("INCIDENT#{}", incident.id)})),
            ("sk", json!({"S": "STATE"})),
            ("version", json!({"N": incident.version.to_string()})),
            ("open", json!({"S": place})),
            ("opened_at", json!({"N": incident.first_at.as_millisecond().to_string()})),
            ("body", json!({"S": serde_json::to_string(incident).unwrap()})),
        ] {
            item.insert(name.to_owned(), value);
        }
        let key = (format!("INCIDENT#{}", incident.id), "STATE".to_owned());
        self.fake.with(|state| state.items.insert(key, item));
    }

    /// Stores a line of the timeline.
    pub(crate) fn line(&self, id: &str, minutes: i64, by: &str, action: Action, text: &str) {
        let at = incident().first_at + SignedDuration::from_mins(minutes);
        let entry = Entry { at, by: by.to_owned(), action, text: text.to_owned() };
        let (pk, sk) = (format!("INCIDENT#{id}"), format!("LINE#{:013}#{minutes}#x", at.as_millisecond()));
        let body = serde_json::to_string(&entry).unwrap();
        let item = json!({"pk": {"S": pk}, "sk": {"S": sk}, "body": {"S": body}});
        let Value::Object(item) = item else { panic!("{item}") };
        self.fake.with(|state| state.items.insert((pk, sk), item));
    }

    pub(crate) async fn ask(&self, event: Value, now: &str) -> Result<Answer, PostmortemError> {
        let slack = format!("{}/api", self.slack.url());
        let own = [
            ("ENVIRONMENT", "dev"),
            ("PAGE_CHANNELS", "slack,sns"),
            ("EVIDENCE_BUCKET", "evidence"),
            ("GITHUB_REPOSITORY", ""),
            ("GITHUB_SECRET_NAME", ""),
            ("POSTMORTEM_PATH", ""),
            ("SLACK_API_URL", slack.as_str()),
            ("PAGING_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:moveongs-dev-paging"),
        ];
        let more: Vec<_> = self.more.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let variables = variables(&[more.as_slice(), &own].concat());
        let env = Env::new(&variables).with_policy(self.policy.parse().unwrap());
        let app = App::new(&env, &self.fake.config()).unwrap_or_else(|error| panic!("{error}"));
        handle(&app, event, &Invocation::new(at(now), Duration::from_secs(600))).await
    }

    pub(crate) async fn one(&self, event: Value, now: &str) -> One {
        match self.ask(event, now).await {
            Ok(Answer::One(one)) => one,
            other => panic!("{other:?}"),
        }
    }

    /// A request that is refused: the kind and the message.
    pub(crate) async fn refused(&self, event: Value) -> (&'static str, String) {
        match self.ask(event, NOW).await {
            Ok(Answer::Refused(refused)) => {
                assert_eq!(refused.outcome, "refused");
                (refused.kind, refused.message)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn daily(&self, now: &str) -> Report {
        match self.ask(json!({}), now).await {
            Ok(Answer::Daily(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn object(&self, key: &str) -> String {
        let objects = self.bucket.objects();
        objects.get(key).unwrap_or_else(|| panic!("{key} is not in {:?}", objects.keys())).clone()
    }

    /// The document of the incident.
    pub(crate) fn document(&self) -> String {
        self.object(&format!("postmortems/{ID}/postmortem.md"))
    }

    /// The run ids of the records, the oldest first.
    pub(crate) fn records(&self) -> Vec<String> {
        let objects = self.bucket.objects();
        let records = objects.iter().rev().filter(|(key, _)| key.starts_with("evidence/postmortem/"));
        let id = |record: &str| {
            serde_json::from_str::<Value>(record).unwrap()["run_id"].as_str().unwrap().to_owned()
        };
        records.map(|(_, record)| id(record)).collect()
    }

    /// What the timeline says about the post-mortem.
    pub(crate) fn told(&self) -> Vec<String> {
        let items = self.fake.items();
        let lines = items.iter().filter(|((_, sk), _)| sk.ends_with("#post_mortem"));
        let text = |item: &serde_json::Map<String, Value>| {
            let entry: Entry = serde_json::from_str(item["body"]["S"].as_str().unwrap()).unwrap();
            entry.text
        };
        lines.map(|(_, item)| text(item)).collect()
    }

    /// The messages in the channel.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.slack.asked().iter().map(|request| request.body().to_string()).collect()
    }
}

/// Answers S3 and SNS.
fn answer(
    request: &http::Request<SdkBody>,
    bucket: &Bucket,
    published: &Arc<Mutex<Vec<String>>>,
) -> (u16, String) {
    if !request.uri().host().unwrap().starts_with("sns.") {
        return bucket.answer(request);
    }
    let body = String::from_utf8_lossy(request.body().bytes().unwrap()).into_owned();
    published.lock().unwrap().push(body);
    let answer = "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
    (200, answer.to_owned())
}
