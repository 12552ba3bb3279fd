//! AWS and Grafana as the function needs them: two buckets and an IAM group in memory, Grafana on a local port.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use onboarding::{Answer, App, OnboardingError, One, Report, handle};
use serde_json::{Value, json};
use shared::runtime::env::Env;
use shared::runtime::lambda::Invocation;
use shared::testing::bucket::{Bucket, response};
use shared::testing::{Web, answered, variables};

/// Tuesday.
pub(crate) const NOW: &str = "2026-12-01T12:45:00Z";

pub(crate) const JWT: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-AbCdEf";

#[derive(Default)]
pub(crate) struct State {
    /// Names of the IAM users in the group; none if IAM does not answer.
    pub(crate) group: Option<BTreeSet<String>>,
    /// Texts that were published.
    pub(crate) published: Vec<String>,
    /// What another request writes about people while IAM answers.
    pub(crate) overtaken: Option<String>,
    /// What another request writes about people just before the next write.
    pub(crate) faster: Option<String>,
    /// Whether S3 refuses to write records of this procedure.
    pub(crate) refuses: bool,
    /// Calls of AWS so far.
    pub(crate) calls: usize,
    /// The call after whose effect the process dies, which is before the next call.
    pub(crate) death: Option<usize>,
}

pub(crate) struct Cloud {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) people: Bucket,
    pub(crate) evidence: Bucket,
    /// Users of Grafana; none if it does not answer.
    pub(crate) grafana: Arc<Mutex<Option<Value>>>,
    web: Web,
    slack: Web,
    more: Vec<(&'static str, &'static str)>,
    pub(crate) policy: Value,
}

impl Cloud {
    pub(crate) fn new() -> Self {
        Self::with(&[], json!({"incidents": {"people": {"Ana Souza": {"slack": "U0123ANA9"}}}}))
    }

    /// One with other variables and a policy.
    pub(crate) fn with(more: &[(&'static str, &'static str)], policy: Value) -> Self {
        let grafana = Arc::new(Mutex::new(Some(json!([{"login": "admin", "email": "admin@localhost"}]))));
        let users = Arc::clone(&grafana);
        let web = Web::new(move |request| {
            assert_eq!(request.uri(), "/api/org/users");
            users.lock().unwrap().clone().map(http::Response::new)
        });
        let slack = Web::new(|_| Some(http::Response::new(json!({"ok": true}))));
        let state = State { group: Some(BTreeSet::new()), ..State::default() };
        Self {
            state: Arc::new(Mutex::new(state)),
            people: Bucket::default(),
            evidence: Bucket::default(),
            grafana,
            web,
            slack,
            more: more.to_vec(),
            policy,
        }
    }

    /// Gives a person access, or takes it.
    pub(crate) fn access(&self, group: &[&str], grafana: &[&str]) {
        self.state.lock().unwrap().group = Some(group.iter().map(|name| (*name).to_owned()).collect());
        let users = ["admin"].iter().chain(grafana).map(|login| json!({"login": login, "isDisabled": false}));
        *self.grafana.lock().unwrap() = Some(users.collect());
    }

    pub(crate) async fn ask(&self, event: Value, now: &str) -> Result<Answer, OnboardingError> {
        let slack = format!("{}/api", self.slack.url());
        let own = [
            ("ENVIRONMENT", "dev"),
            ("EVIDENCE_BUCKET", "evidence"),
            ("PEOPLE_BUCKET", "people"),
            ("GITHUB_REPOSITORY", ""),
            ("OPS_GROUP_NAME", "moveongs-ops"),
            ("JWT_SECRET_NAME", "/moveongs/dev/jwt"),
            ("GRAFANA_URL", self.web.url()),
            ("SLACK_API_URL", slack.as_str()),
            ("PAGING_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:moveongs-dev-paging"),
        ];
        let variables = variables(&[self.more.as_slice(), &own].concat());
        let env = Env::new(&variables).with_policy(self.policy.to_string().parse().unwrap());
        let (people, evidence, state) = (self.people.clone(), self.evidence.clone(), Arc::clone(&self.state));
        let aws = answered(move |request| answer(request, &people, &evidence, &state));
        let app = App::new(&env, &aws).unwrap_or_else(|error| panic!("{error}"));
        let now: Timestamp = now.parse().unwrap();
        handle(&app, event, &Invocation::new(now, Duration::from_secs(600))).await
    }

    pub(crate) async fn one(&self, event: Value, now: &str) -> One {
        match self.ask(event, now).await {
            Ok(Answer::One(one)) => *one,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn daily(&self, now: &str) -> Report {
        match self.ask(json!({}), now).await {
            Ok(Answer::Daily(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    /// The records of the procedure, the oldest first.
    pub(crate) fn records(&self) -> Vec<Value> {
        let objects = self.evidence.objects();
        let records = objects.iter().rev().filter(|(key, _)| key.starts_with("evidence/onboarding/"));
        records.map(|(_, record)| serde_json::from_str(record).unwrap()).collect()
    }

    /// The run ids of the records, the oldest first, without the person's id and without those of daily runs.
    pub(crate) fn steps(&self) -> Vec<String> {
        let ids = self.records().into_iter().map(|record| record["run_id"].as_str().unwrap().to_owned());
        ids.filter_map(|id| Some(id.strip_prefix("P-")?.split_once('/')?.1.to_owned())).collect()
    }

    /// The messages in the channel.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.slack.asked().iter().map(|request| request.body().to_string()).collect()
    }

    /// Everything that is stored or sent outside the document about people.
    pub(crate) fn told(&self) -> String {
        let published = self.state.lock().unwrap().published.join("\n");
        let objects = self.evidence.objects();
        let objects: Vec<_> = objects.iter().map(|(key, text)| format!("{key}: {text}")).collect();
        format!("{}\n{}\n{published}", objects.join("\n"), self.messages().join("\n"))
    }

    /// Stores the records of a procedure as it would, each with the note of its run; returns their run ids.
    pub(crate) fn store(&self, procedure: &str, drafts: &[Value]) {
        let mut previous = Value::Null;
        for (sequence, draft) in (1_u64..).zip(drafts) {
            let at = json!({"utc": "2026-12-01T12:00:00Z", "local": "x"});
            let mut record = json!({
                "schema": 1, "procedure": procedure, "sequence": sequence, "previous": previous,
                "project": "moveongs", "environment": "dev", "trigger": "t", "subject": JWT,
                "started": at, "ended": at, "steps": [], "findings": [], "result": "succeeded",
                "code_version": "c", "channel": "sent",
            });
            for (field, value) in draft.as_object().unwrap() {
                record[field] = value.clone();
            }
            let key = format!("evidence/{procedure}/{:010}.json", 9_999_999_999 - sequence);
            let text = serde_json::to_string_pretty(&record).unwrap();
            previous = json!({"key": key, "sha256": shared::chain::sha256(text.as_bytes())});
            let run = record["run_id"].as_str().unwrap();
            let note = format!("runs/{procedure}/{}.json", shared::chain::sha256(run.as_bytes()));
            self.put(&note, &json!({"key": key}).to_string());
            self.put(&key, &text);
        }
    }

    /// Stores an object in the evidence bucket, as if it had always been there.
    pub(crate) fn put(&self, key: &str, text: &str) {
        self.evidence.exchange(key, text);
    }
}

/// Answers AWS, and dies at a call.
fn answer(
    request: &http::Request<SdkBody>,
    people: &Bucket,
    evidence: &Bucket,
    state: &Mutex<State>,
) -> http::Response<SdkBody> {
    let dies = {
        let mut state = state.lock().unwrap();
        state.calls += 1;
        state.death == Some(state.calls)
    };
    let host = request.uri().host().unwrap();
    let body = String::from_utf8_lossy(request.body().bytes().unwrap()).into_owned();
    let (status, text) = match host.split('.').next().unwrap() {
        "people" => {
            let faster = state.lock().unwrap().faster.take_if(|_| request.method() == http::Method::PUT);
            if let Some(text) = faster {
                people.put(request.uri().path().trim_start_matches('/'), &text);
            }
            people.answer(request)
        }
        "evidence" if state.lock().unwrap().refuses && is_record(request) => {
            (403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".to_owned())
        }
        "evidence" => evidence.answer(request),
        "iam" => {
            if let Some(text) = state.lock().unwrap().overtaken.take() {
                let key = people.objects().into_keys().next().unwrap();
                people.put(&key, &text);
            }
            group(&body, &state.lock().unwrap())
        }
        "secretsmanager" => (200, json!({"SecretString": "xoxb-1"}).to_string()),
        "sns" => {
            state.lock().unwrap().published.push(body);
            let answer =
                "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
            (200, answer.to_owned())
        }
        other => panic!("{other}: {body}"),
    };
    if dies {
        panic!("the process dies");
    }
    response(request, status, text)
}

/// Whether a record of the procedure is written.
fn is_record(request: &http::Request<SdkBody>) -> bool {
    request.method() == http::Method::PUT && request.uri().path().starts_with("/evidence/onboarding/")
}

/// The IAM group, one user on a page.
fn group(body: &str, state: &State) -> (u16, String) {
    assert!(body.contains("Action=GetGroup") && body.contains("GroupName=moveongs-ops"), "{body}");
    let Some(users) = &state.group else {
        let refused =
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
        return (403, refused.to_owned());
    };
    let marker = body.split('&').find_map(|field| field.strip_prefix("Marker="));
    let place: usize = marker.map_or(0, |marker| marker.parse().unwrap());
    let user = |name: &String| {
        format!(
            "<member><Path>/</Path><UserName>{name}</UserName><UserId>AIDA{name}</UserId><Arn>arn:aws:iam::1:user/{name}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></member>"
        )
    };
    let users: Vec<_> = users.iter().map(user).collect();
    let more = match place + 1 < users.len() {
        true => format!("<IsTruncated>true</IsTruncated><Marker>{}</Marker>", place + 1),
        false => "<IsTruncated>false</IsTruncated>".to_owned(),
    };
    let one = users.get(place).cloned().unwrap_or_default();
    let group = "<Group><Path>/</Path><GroupName>moveongs-ops</GroupName><GroupId>AGPA1</GroupId><Arn>arn:aws:iam::1:group/moveongs-ops</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></Group>";
    (
        200,
        format!(
            "<GetGroupResponse><GetGroupResult>{group}<Users>{one}</Users>{more}</GetGroupResult></GetGroupResponse>"
        ),
    )
}
