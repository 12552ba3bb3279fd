//! Looks at everything: the inventory's resources, tagged resources and the Terraform states.

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
use crate::rules::facts::{Sight, State, Tagged};
use crate::rules::policy;
use crate::rules::row::Row;
use crate::rules::state::Managed;

/// Time that reading leaves to pages, table and report.
pub(crate) const ACTING: Duration = Duration::from_secs(135);

/// Most resources that are looked at concurrently.
const AT_ONCE: usize = 8;

/// Looks at everything, each thing by itself and several at once, so that one that cannot be seen or hangs hides no other; with
/// what was looked at.
pub(crate) async fn observe_and_decide(app: &App, invocation: &Invocation) -> (Vec<Row>, Vec<Step>) {
    let stack = app.stack();
    let secrets = app.scope.named(&app.base.settings.policy.rotation).into_iter();
    let secrets = secrets.map(|name| (name, app.scope.key(name))).collect();
    let wanted = policy::wanted(stack, &secrets, app.state_bucket.as_deref());
    let listed = policy::listed(&wanted);
    let wanted = stream::iter(wanted).map(async |wanted| {
        let sight = look(app, wanted.kind, &wanted.name, invocation).await;
        (wanted, sight)
    });
    let seen = wanted.buffered(AT_ONCE).collect::<Vec<_>>();
    let tagged = tagged(app, &listed, invocation);
    let states = states(app, invocation);
    let (seen, (tagged, said), (mut state, read)) = join!(seen, tagged, states);
    for (arn, name) in policy::unlooked(&state, &seen, &tagged) {
        if let (Sight::Present { arn: found, more, .. }, State::Read { managed, .. }) =
            (look(app, Kind::Secret, &name, invocation).await, &mut state)
            && let Some(rotates) = more.rotates.filter(|_| found == arn)
        {
            managed.note_rotation(&arn, rotates);
        }
    }
    let unseen = seen.iter().filter(|(_, sight)| matches!(sight, Sight::Unseen(_))).count();
    let mut steps =
        vec![Step::now(format!("look at the inventory's {} resources", seen.len()), outcome(unseen))];
    steps.push(Step::now("list what has the project's tag", said));
    steps.extend(read.into_iter().map(|said| Step::now("read the Terraform state", said)));
    (policy::decide(stack, seen, &state, &tagged), steps)
}

async fn look(app: &App, kind: Kind, name: &str, invocation: &Invocation) -> Sight {
    let sight = invocation.before_deadline(ACTING, app.clients.look(kind, name)).await;
    sight.unwrap_or_else(|late| Sight::Unseen(chain(&late)))
}

/// What has the project's tag and is there, and what the record says of it.
async fn tagged(
    app: &App,
    listed: &BTreeSet<(Kind, String)>,
    invocation: &Invocation,
) -> (Result<Vec<Tagged>, String>, String) {
    let (stack, tagged) = (
        app.stack(),
        invocation.before_deadline(ACTING, app.clients.tagged(&app.base.settings.project)).await,
    );
    let tagged = tagged.map_err(|late| chain(&late)).and_then(|tagged| tagged.map_err(|error| chain(&error)));
    let count = tagged.as_ref().map(|tagged| format!("{} found", tagged.len()));
    let said = count.unwrap_or_else(|why| format!("failed: {why}"));
    let tagged = match tagged {
        Ok(tagged) => tagged,
        Err(why) => return (Err(why), said),
    };
    let there = stream::iter(tagged).map(async |mut found| {
        if let Some((kind, name)) = policy::unlisted(stack, &found, listed) {
            match look(app, kind, &name, invocation).await {
                Sight::Absent => return None,
                Sight::Present { more, .. } => found.more = more,
                Sight::Unseen(_) | Sight::Elsewhere => {}
            }
        }
        Some(found)
    });
    let there: Vec<_> = there.buffered(AT_ONCE).collect().await;
    (Ok(there.into_iter().flatten().collect()), said)
}

/// What a step says whose things could not all be seen.
fn outcome(unseen: usize) -> String {
    if unseen == 0 { "succeeded".to_owned() } else { format!("failed: {unseen} could not be seen") }
}

/// The Terraform states, and what the record says of each.
async fn states(app: &App, invocation: &Invocation) -> (State, Vec<String>) {
    let Some(bucket) = app.state_bucket.as_deref().filter(|_| !app.state_keys.is_empty()) else {
        return (State::Undeclared, vec!["failed: the stack does not say where it is".to_owned()]);
    };
    // The only state of an environment has the environment's name, several have their keys.
    let only = match app.state_keys.as_slice() {
        [key] if !key.ends_with('/') => {
            Some(format!("{}-{}", app.base.settings.project, app.base.settings.environment))
        }
        _ => None,
    };
    let (mut managed, mut unread, mut said) = (Managed::default(), BTreeMap::new(), Vec::new());
    let mut has_read = BTreeSet::new();
    for declared in &app.state_keys {
        let mut failed = |key: &str, why: String, said: &mut Vec<String>| {
            let why = format!("s3://{bucket}/{key}: {why}");
            said.push(format!("failed: {why}"));
            unread.insert(only.clone().unwrap_or_else(|| key.to_owned()), why);
        };
        let listed = invocation.before_deadline(ACTING, app.clients.states(bucket, declared)).await;
        let listed =
            listed.map_err(|late| chain(&late)).and_then(|listed| listed.map_err(|error| chain(&error)));
        let (client, keys) = match listed {
            Ok(listed) => listed,
            Err(why) => {
                failed(declared, why, &mut said);
                continue;
            }
        };
        for key in keys.into_iter().filter(|key| has_read.insert(key.clone())) {
            let read = invocation.before_deadline(ACTING, Clients::state(&client, bucket, &key)).await;
            let read = read.map_err(|late| chain(&late)).and_then(|read| read.map_err(|error| chain(&error)));
            match read {
                Ok((held, which)) => {
                    said.push(format!("s3://{bucket}/{key}: {which}, {} ARNs", held.len()));
                    managed.merge(held);
                }
                Err(why) => failed(&key, why, &mut said),
            }
        }
    }
    (State::Read { managed, unread: unread.into_iter().collect() }, said)
}
