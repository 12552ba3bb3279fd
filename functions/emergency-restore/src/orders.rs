//! A person's orders: each takes effect in the note, and then the waiting task hears of it.

use shared::runtime::lambda::Invocation;

use crate::event::{Order, Verb};
use crate::rules::order::{Context, give};
use crate::rules::restore::Restore;
use crate::steps::{ask::proceed, choices, migrate, switch};
use crate::text::{ask, failure};
use crate::{Answer, App, Fields, RestoreError, Status, report};

/// Carries out an order, or tells how the open restore stands.
pub(crate) async fn carry_out(
    app: &App,
    order: &Order,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let settings = &app.base.settings;
    let Some(open) = app.book().await?.open else {
        return match order.order {
            Verb::Status => Ok(Answer::now(Status::Nothing)),
            _ => Err(RestoreError::NoOpenRestore),
        };
    };
    if order.order == Verb::Status {
        return Ok(answer(&open, ask::standing_lines(settings, &open, invocation.now)));
    }
    let contents = match &order.source {
        Some(source) => Some(choices::contents(app, &open.lost, source).await?),
        None => None,
    };
    let is_migrating = match order.order {
        Verb::RollBack | Verb::Forward => migrate::is_running(app, &open).await?,
        _ => false,
    };
    let is_moved = order.order == Verb::Reject && switch::has_moved(app, &open).await?;
    let changed = match order.order {
        Verb::Close => switch::changed(app, &open).await?,
        _ => Vec::new(),
    };
    let needs_two = report::needs_two(app);
    let people = settings.policy.incidents.people.keys().cloned().collect();
    let context =
        Context { needs_two, people, now: invocation.now, contents, is_migrating, is_moved, changed };
    let given = app.update(|book| {
        let open = book.open.as_mut().ok_or(RestoreError::NoOpenRestore)?;
        let mut changed = open.clone();
        give(&mut changed, order, &context)?;
        open.clone_from(&changed);
        Ok::<Restore, RestoreError>(changed)
    });
    let restore = given.await??;
    // An order that others have followed is not told once more to the task, which waits for the next one.
    let is_followed =
        restore.has_order(order) && restore.orders.last().is_some_and(|last| last.order.id != order.id);
    if restore == open && (restore.wait.token.is_none() || is_followed) {
        let says = settings.language.pick("Já estava anotado.", "It was noted already.");
        return Ok(answer(&restore, vec![says.to_owned()]));
    }
    tracing::info!(message = "order accepted", restore.run = restore.run, restore.by = order.by);
    if let Some(given) = restore.orders.last() {
        report::ordered(app, &restore, given, invocation).await;
    }
    let next = answer(&restore, Vec::new());
    let is_heard = match &restore.wait.token {
        Some(token) => proceed(app, token, &next).await?,
        None => false,
    };
    if is_heard {
        let token = restore.wait.token.clone();
        app.update(|book| {
            if let Some(open) = book.open.as_mut().filter(|open| open.wait.token == token) {
                open.wait.token = None;
            }
        })
        .await?;
        return Ok(next);
    }
    Ok(answer(&restore, vec![failure::not_waiting(settings, &restore)]))
}

fn answer(restore: &Restore, says: Vec<String>) -> Answer {
    Answer { fields: Fields { run: Some(restore.run.clone()), says }, ..Answer::now(restore.next()) }
}
