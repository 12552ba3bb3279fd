//! Reads the inventory's resources, the project's tagged resources, the Terraform states and the alarms' runbooks, and
//! decides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::join;
use futures_util::stream::{self, StreamExt};
use shared::policy::Kind;
use shared::run::evidence::Step;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::App;
use crate::aws::Clients;
use crate::rules::facts::{Observation, States, Tagged};
use crate::rules::row::{self, Row};
use crate::rules::state::Managed;
use crate::rules::{on_call, policy, runbook};
use crate::runbooks;

/// Time reserved for pages, table and report.
pub(crate) const ACTING: Duration = Duration::from_secs(135);

/// Most concurrent reads of resources.
const AT_ONCE: usize = 8;

/// Reads all resources and states and decides; also returns the steps for the record.
///
/// Reads are independent: one that fails or hangs hides no other resource.
pub(crate) async fn observe_and_decide(app: &App, invocation: &Invocation) -> (Vec<Row>, Vec<Step>) {
    let stack = app.stack();
    let secrets = app.scope.named(&app.base.settings.policy.rotation).into_iter();
    let secrets = secrets.map(|name| (name, app.scope.key(name))).collect();
    let wanted = policy::wanted(stack, &secrets, app.state_bucket.as_deref());
    let listed = policy::listed(&wanted);
    let wanted = stream::iter(wanted).map(async |wanted| {
        let observation = look(app, wanted.kind, &wanted.name, invocation).await;
        (wanted, observation)
    });
    let seen = wanted.buffered(AT_ONCE).collect::<Vec<_>>();
    let tagged = tagged(app, &listed, invocation);
    let states = states(app, invocation);
    let runbooks = runbooks::look(app, invocation);
    let (seen, (tagged, listing), (mut states, read), (runbooks, looked)) =
        join!(seen, tagged, states, runbooks);
    for (arn, name) in policy::unseen_secrets(&states, &seen, &tagged) {
        if let (Observation::Present { arn: found, details, .. }, States::Read { managed, .. }) =
            (look(app, Kind::Secret, &name, invocation).await, &mut states)
            && let Some(rotates) = details.rotates.filter(|_| found == arn)
        {
            managed.note_rotation(&arn, rotates);
        }
    }
    let unseen =
        seen.iter().filter(|(_, observation)| matches!(observation, Observation::Unknown(_))).count();
    let mut steps =
        vec![Step::now(format!("look at the inventory's {} resources", seen.len()), outcome(unseen))];
    steps.push(Step::now("list the project's tagged resources", listing));
    steps.extend(read.into_iter().map(|outcome| Step::now("read the Terraform state", outcome)));
    steps.push(looked);
    let mut rows = policy::decide(stack, seen, &states, &tagged);
    rows.extend(on_call::rows(stack, invocation.now));
    rows.extend(runbook::rows(stack, &runbooks));
    row::sort(&mut rows);
    (rows, steps)
}

async fn look(app: &App, kind: Kind, name: &str, invocation: &Invocation) -> Observation {
    let observation = invocation.before_deadline(ACTING, app.clients.look(kind, name)).await;
    observation.unwrap_or_else(|late| Observation::Unknown(chain(&late)))
}

/// Existing resources with the project's tag, and the outcome of the list for the record.
async fn tagged(
    app: &App,
    listed: &BTreeSet<(Kind, String)>,
    invocation: &Invocation,
) -> (Result<Vec<Tagged>, String>, String) {
    let stack = app.stack();
    let tagged =
        invocation.before_deadline(ACTING, app.clients.tagged(&app.base.settings, invocation.now)).await;
    let tagged = tagged.map_err(|late| chain(&late)).and_then(|tagged| tagged.map_err(|error| chain(&error)));
    let count = tagged.as_ref().map(|tagged| format!("{} found", tagged.len()));
    let outcome = count.unwrap_or_else(|why| format!("failed: {why}"));
    let tagged = match tagged {
        Ok(tagged) => tagged,
        Err(why) => return (Err(why), outcome),
    };
    // The tagging API still lists deleted resources for a while.
    let existing = stream::iter(tagged).map(async |mut found| {
        if let Some((kind, name)) = policy::unlisted(stack, &found, listed) {
            match look(app, kind, &name, invocation).await {
                Observation::Absent => return None,
                Observation::Present { details, .. } => found.details = details,
                Observation::Unknown(_) | Observation::OutsideAws => {}
            }
        }
        Some(found)
    });
    let existing: Vec<_> = existing.buffered(AT_ONCE).collect().await;
    (Ok(existing.into_iter().flatten().collect()), outcome)
}

/// Outcome of reading the inventory's resources, of which `unseen` could not be checked.
fn outcome(unseen: usize) -> String {
    if unseen == 0 { "succeeded".to_owned() } else { format!("failed: {unseen} could not be checked") }
}

/// The Terraform states, and the outcome of each for the record.
async fn states(app: &App, invocation: &Invocation) -> (States, Vec<String>) {
    let Some(bucket) = app.state_bucket.as_deref().filter(|_| !app.state_keys.is_empty()) else {
        return (States::Undeclared, vec!["failed: the stack names no Terraform state".to_owned()]);
    };
    // Findings name the only state after the environment, and several states by their keys.
    let only = match app.state_keys.as_slice() {
        [key] if !key.ends_with('/') => {
            Some(format!("{}-{}", app.base.settings.project, app.base.settings.environment))
        }
        _ => None,
    };
    let (mut managed, mut unread, mut outcomes) = (Managed::default(), BTreeMap::new(), Vec::new());
    let mut has_read = BTreeSet::new();
    for declared in &app.state_keys {
        let mut failed = |key: &str, why: String, outcomes: &mut Vec<String>| {
            let why = format!("s3://{bucket}/{key}: {why}");
            outcomes.push(format!("failed: {why}"));
            unread.insert(only.clone().unwrap_or_else(|| key.to_owned()), why);
        };
        let listed = invocation.before_deadline(ACTING, app.clients.states(bucket, declared)).await;
        let listed =
            listed.map_err(|late| chain(&late)).and_then(|listed| listed.map_err(|error| chain(&error)));
        let (client, keys) = match listed {
            Ok(listed) => listed,
            Err(why) => {
                failed(declared, why, &mut outcomes);
                continue;
            }
        };
        for key in keys.into_iter().filter(|key| has_read.insert(key.clone())) {
            let read = invocation.before_deadline(ACTING, Clients::state(&client, bucket, &key)).await;
            let read = read.map_err(|late| chain(&late)).and_then(|read| read.map_err(|error| chain(&error)));
            match read {
                Ok((held, which)) => {
                    outcomes.push(format!("s3://{bucket}/{key}: {which}, {} ARNs", held.len()));
                    managed.merge(held);
                }
                Err(why) => failed(&key, why, &mut outcomes),
            }
        }
    }
    (States::Read { managed, unread: unread.into_iter().collect() }, outcomes)
}
