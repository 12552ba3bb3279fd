//! Looks up the runbooks that the environment's alarms name in the repository.

use futures_util::stream::{self, StreamExt};
use shared::github::Session;
use shared::run::evidence::Step;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::App;
use crate::changes::has_main;
use crate::check::ACTING;
use crate::rules::runbook::{Found, Runbook, named, place};

/// Most concurrent requests of GitHub.
const AT_ONCE: usize = 4;

/// The runbooks, or why the alarms could not be listed; and the step for the record.
pub(crate) async fn look(app: &App, invocation: &Invocation) -> (Result<Vec<Runbook>, String>, Step) {
    let step = |outcome: String| Step::now("look up the alarms' runbooks", outcome);
    let settings = &app.base.settings;
    let prefix = format!("{}-{}-", settings.project, settings.environment);
    let alarms = invocation.before_deadline(ACTING, app.clients.alarms(&prefix)).await;
    let alarms = alarms.map_err(|late| chain(&late)).and_then(|alarms| alarms.map_err(|error| chain(&error)));
    let alarms = match alarms {
        Ok(alarms) => alarms,
        Err(why) => {
            let outcome = format!("failed: {why}");
            return (Err(why), step(outcome));
        }
    };
    let count = alarms.len();
    let named = named(alarms);
    // Without a runbook to look up, the repository need not be there.
    let session = if named.is_empty() { Err(String::new()) } else { session(app, invocation).await };
    let found = stream::iter(named).map(async |(link, alarms)| {
        let found = match &session {
            Ok(session) => look_up(session, &link, invocation).await,
            Err(why) => Found::Unchecked(why.clone()),
        };
        Runbook { link, alarms, found }
    });
    let runbooks: Vec<_> = found.buffered(AT_ONCE).collect().await;
    let of = |is: fn(&Found) -> bool| runbooks.iter().filter(|one| is(&one.found)).count();
    let unchecked = of(|found| matches!(found, Found::Unchecked(_)));
    let missing = of(|found| *found == Found::Absent);
    let outcome =
        format!("{count} alarms, {} runbooks: {missing} missing, {unchecked} not checked", runbooks.len());
    (Ok(runbooks), step(outcome))
}

/// A session with a repository that the token can see.
async fn session<'a>(app: &'a App, invocation: &'a Invocation) -> Result<Session<'a>, String> {
    let opened = invocation.before_deadline(ACTING, async {
        let session = app.changes.session(invocation).await?;
        has_main(&session).await.map_err(|error| chain(&error))?;
        Ok::<_, String>(session)
    });
    opened.await.map_err(|late| chain(&late))?
}

async fn look_up(session: &Session<'_>, link: &str, invocation: &Invocation) -> Found {
    let (path, at) = match place(link, session.name()) {
        Ok(place) => place,
        Err(why) => return Found::Unchecked(why),
    };
    let file = invocation.before_deadline(ACTING, session.file(path, at)).await;
    match file.map_err(|late| chain(&late)).and_then(|file| file.map_err(|error| chain(&error))) {
        Ok(Some(_)) => Found::Present,
        Ok(None) => Found::Absent,
        Err(why) => Found::Unchecked(why),
    }
}
