//! The model of the rotation protocol against the code: the tests perform its traces, and after each event labels and
//! logins must equal the model's.
//!
//! One invocation at a time: only the model covers an invocation that pauses between fence and COMMIT while others act.

#[path = "../model/properties.rs"]
mod properties;
#[path = "../model/protocol.rs"]
mod protocol;
#[path = "../model/traces.rs"]
mod traces;
#[path = "../model/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};

use postgres_protocol::escape::escape_identifier;
use reqwest::Method;
use serde_json::json;

use crate::cloud::Cloud;
use crate::credential::{Credential, Strategy};
use crate::matrix::turns;
use protocol::{Id, Next, Protocol, Step};
use traces::{Event, reported, traces};
use world::{Edit, Login, State};

/// One in so many traces is performed in a run of the tests.
const TRACES: usize = 3;

#[tokio::test]
async fn traces_of_a_single_users_model_come_true() {
    come_true(Strategy::Single, 1).await;
}

#[tokio::test]
async fn traces_of_alternating_users_model_come_true() {
    come_true(Strategy::Alternating, 2).await;
}

async fn come_true(strategy: Strategy, users: usize) {
    let cloud = Cloud::connect("rotate-database").await;
    let protocol = Protocol { users, rotations: 1, invocations: 1, edits: 1, forgeries: 0, without: None };
    let traces = traces(&protocol);
    let events: usize = traces.iter().map(Vec::len).sum();
    assert!(traces.len() > 30 && events > 300, "only {} traces of {events} events", traces.len());
    for number in turns(TRACES).take_while(|number| *number < traces.len()) {
        let trace = &traces[number];
        cloud.calm().await;
        let credential = Credential::new(&cloud, 18, strategy, &format!("model_{number}")).await;
        cloud.calm().await;
        let versions = vec![credential.secret.first.clone()];
        let mut replay = Replay { credential, versions };
        for (place, (event, after)) in trace.iter().enumerate() {
            let so_far = || format!("trace {number}:\n{}", reported(&trace[..=place]));
            let before = place.checked_sub(1).map(|before| &trace[before].1);
            let done = replay.perform(*event, before, after).await;
            assert_eq!(done, Ok(()), "{}", so_far());
            assert_eq!(replay.real().await, replay.expected(after), "{}", so_far());
        }
    }
}

/// A secret on which a trace is performed.
struct Replay<'a> {
    credential: Credential<'a>,
    /// The secret's version for each version of the model.
    versions: Vec<String>,
}

/// Labels of every version that has any, and whether each version's credential logs in.
type Seen = (BTreeMap<Id, BTreeSet<String>>, BTreeMap<Id, bool>);

impl Replay<'_> {
    async fn perform(&mut self, event: Event, before: Option<&State>, after: &State) -> Result<(), String> {
        match event {
            Event::Start => self.versions.push(self.credential.secret.staged().await),
            Event::Edit(edit) => self.edit(edit, before, after).await,
            Event::Step { token, step, awaited, death } => {
                return self.step(token, step, awaited, death, before, after).await;
            }
        }
        Ok(())
    }

    async fn step(
        &self,
        token: Id,
        step: Step,
        awaited: bool,
        death: Option<(Next, bool)>,
        before: Option<&State>,
        after: &State,
    ) -> Result<(), String> {
        let (cloud, secret) = (self.credential.cloud(), &self.credential.secret);
        if let Some((next, late)) = death {
            let (service, action, nth) = call(next, self.credential.strategy);
            let when = if late { "after" } else { "before" };
            cloud
                .fault(
                    json!({"service": service, "action": action, "nth": nth, "when": when, "effect": "kill"}),
                )
                .await;
        }
        let name = match step {
            Step::Create => "createSecret",
            Step::Set => "setSecret",
            Step::Test => "testSecret",
            Step::Finish => "finishSecret",
        };
        let answer = secret.step(name, &self.versions[token]).await;
        if death.is_some() {
            let hits = cloud.hits("kill").await;
            cloud.admin(Method::DELETE, "faults", None).await;
            if hits != 1 {
                return Err(format!("{death:?} of {name} has not come: {answer:?}"));
            }
        }
        if !awaited {
            return Ok(());
        }
        // The service knows only the answers that it receives.
        let next = before.and_then(|before| before.rotation).map(|(_, step)| step);
        let went_on = after.rotation.map(|(_, step)| step) != Some(Step::Create)
            && after.rotation.map(|(_, step)| step) != next;
        if answer.is_ok() != went_on {
            return Err(format!("the model says {went_on}, {name} answers {answer:?}"));
        }
        if step == Step::Finish && went_on {
            // The service ends a rotation by itself: it calls the steps once more and removes AWSPENDING.
            secret.retry().await;
            secret.settled(&["succeeded"]).await;
        }
        Ok(())
    }

    async fn edit(&mut self, edit: Edit, before: Option<&State>, after: &State) {
        let credential = &self.credential;
        let current = before.map_or(0, |before| before.current);
        let made = after.login(after.current);
        let put = match (edit, made) {
            (Edit::Move(to), _) => {
                let (to, from) = (&self.versions[to], &self.versions[current]);
                return credential.move_label("AWSCURRENT", Some(to), Some(from)).await;
            }
            (Edit::Cancel, _) => {
                let pending = before.and_then(|before| before.pending).unwrap();
                return credential.move_label("AWSPENDING", None, Some(&self.versions[pending])).await;
            }
            (Edit::PutSame, Some(Login { password, .. })) => {
                credential.secret.value(&self.versions[password]).await
            }
            (Edit::PutWrong | Edit::PutReset, Some(Login { password, .. })) => {
                let (user, _) = credential.login_of(&self.versions[current]).await;
                let new = format!("by-hand.Password_{password}");
                if edit == Edit::PutReset {
                    let verifier = postgres_protocol::password::scram_sha_256(new.as_bytes());
                    let alter = format!("ALTER ROLE {} PASSWORD '{verifier}'", escape_identifier(&user));
                    let admin = credential.server.manager(&credential.user).await;
                    admin.batch_execute(&alter).await.unwrap();
                }
                let old = credential.secret.value(&self.versions[current]).await;
                let (_, place) = old.split_once('@').unwrap();
                format!("postgres://{user}:{new}@{place}")
            }
            (_, None) => unreachable!("a person puts a value"),
        };
        let version = self.credential.put(put).await;
        self.versions.push(version);
    }

    /// The model's state.
    fn expected(&self, state: &State) -> Seen {
        let mut labels = BTreeMap::<Id, BTreeSet<String>>::new();
        let labelled = [
            ("AWSCURRENT", Some(state.current)),
            ("AWSPREVIOUS", state.previous),
            ("AWSPENDING", state.pending),
        ];
        for (label, id) in labelled {
            if let Some(id) = id {
                labels.entry(id).or_default().insert(label.to_owned());
            }
        }
        let valued = (0..state.versions.len()).filter(|id| state.login(*id).is_some());
        (labels, valued.map(|id| (id, state.takes(id))).collect())
    }

    /// The real state.
    async fn real(&self) -> Seen {
        let secret = &self.credential.secret;
        let found = secret.labels().await;
        let (mut labels, mut logins) = (BTreeMap::new(), BTreeMap::new());
        for (id, version) in self.versions.iter().enumerate() {
            let on = found.get(version).cloned().unwrap_or_default();
            if !on.is_empty() {
                labels.insert(id, on);
            }
            let get = secret.cloud.secrets.get_secret_value().secret_id(&secret.arn).version_id(version);
            if get.send().await.is_ok() {
                logins.insert(id, self.credential.logs_in(version).await);
            }
        }
        (labels, logins)
    }
}

/// The real call of the model's next one, and its ordinal among the step's calls of that action.
fn call(next: Next, strategy: Strategy) -> (&'static str, &'static str, usize) {
    match next {
        Next::Seal => ("s3", "PutObject", 1),
        Next::Put => ("secretsmanager", "PutSecretValue", 1),
        Next::Login => ("postgres", "login", 1),
        Next::Note => ("s3", "PutObject", 1),
        // A single user's rights are proved in a transaction before.
        Next::Lock => ("postgres", "BEGIN", if strategy == Strategy::Single { 2 } else { 1 }),
        Next::Fence => ("secretsmanager", "DescribeSecret", 2),
        Next::Commit => ("postgres", "COMMIT", 1),
        Next::Promote => ("secretsmanager", "UpdateSecretVersionStage", 1),
    }
}
