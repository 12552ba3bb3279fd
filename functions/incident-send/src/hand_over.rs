//! Tells the channel who is on call when that changes, and keeps the squads' user groups in step.
//!
//! An attempt is noted before, so that two sweeps at once do not tell the same; and what was told is noted after Slack
//! has accepted it. If the process dies in between, it is told again and says so: a message twice is better than a night
//! on which nobody knows who is on call. Nothing here is a page: what fails is logged, and tried again later.

use incident::store::Channel;
use incident::text::slack::{self, UserId};
use jiff::Timestamp;
use shared::aws::table::WriteError;
use shared::runtime::failure::CallError;

use crate::App;
use crate::channels::webhook;
use crate::error::SendError;
use crate::rules::answer::Answer;
use crate::rules::hand_over::{HandOver, Noted, due};
use crate::send::{token, unrepeated};
use crate::sweep::read;

/// Attempts in which a busy Slack may hold up the message for the group; afterwards, the message goes without it.
const FOR_THE_GROUP: u32 = 3;

/// Looks at all squads. None of them waits for another one, except for a channel that does not take messages.
///
/// # Errors
///
/// The [`CallError`] of the table.
pub(crate) async fn run(app: &App, now: Timestamp) -> Result<(), SendError> {
    let of_slack = [Channel::Slack, Channel::Webhook];
    let Some(channel) = of_slack.into_iter().find(|channel| app.channels.contains(channel)) else {
        return Ok(());
    };
    let policy = &app.settings.policy;
    let keys: Vec<_> = policy.incidents.squads.keys().map(|squad| Noted::key(squad)).collect();
    let items = read(app, &keys).await?;
    for squad in policy.incidents.squads.keys() {
        let noted = items.get(&Noted::key(squad)).map(Noted::read).unwrap_or_default();
        let Some(hand_over) = due(policy, squad, &noted, now) else { continue };
        if !served(app, channel, &hand_over, noted, now).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Serves one hand-over. False if the channel did not take it: the others are left to the next sweep.
async fn served(
    app: &App,
    channel: Channel,
    hand_over: &HandOver<'_>,
    mut noted: Noted,
    now: Timestamp,
) -> Result<bool, CallError> {
    let squad = hand_over.squad;
    let is_repetition = noted.unclear;
    if hand_over.is_told || hand_over.group.is_some() {
        noted = noted.tried(now);
        if !written(app, squad, &mut noted).await? {
            return Ok(true);
        }
    }
    let group = match regroup(app, channel, hand_over).await {
        Ok(()) => None,
        Err(answer @ Answer::Later { .. }) if noted.attempts < FOR_THE_GROUP => {
            return postponed(app, squad, noted, is_repetition, &answer).await;
        }
        Err(answer) => Some(answer.text().to_owned()),
    };
    if hand_over.is_told {
        let answer = told(app, channel, hand_over, group.as_deref(), is_repetition).await;
        if !answer.is_accepted() {
            return postponed(app, squad, noted, is_repetition, &answer).await;
        }
        tracing::info!(message = "told who is on call", squad, said = answer.text());
    }
    if let Some(why) = group {
        tracing::warn!(message = "the user group was not changed", squad, why);
    }
    written(app, squad, &mut noted.done(hand_over.told())).await?;
    Ok(true)
}

/// Leaves a hand-over to a later sweep. What certainly did not arrive is no repetition then.
async fn postponed(
    app: &App,
    squad: &str,
    mut noted: Noted,
    was_unclear: bool,
    answer: &Answer,
) -> Result<bool, CallError> {
    let (why, attempts) = (answer.text(), noted.attempts);
    tracing::warn!(message = "not told who is on call", squad, why, attempts);
    if !matches!(answer, Answer::Unclear { .. }) && !was_unclear {
        noted.unclear = false;
        written(app, squad, &mut noted).await?;
    }
    Ok(false)
}

/// Writes a note; false if another sweep was faster.
async fn written(app: &App, squad: &str, noted: &mut Noted) -> Result<bool, CallError> {
    match app.table.write(&noted.write(squad)).await {
        Ok(()) => {
            noted.version += 1;
            Ok(true)
        }
        Err(WriteError::Changed) => Ok(false),
        Err(WriteError::Call(call)) => Err(call),
    }
}

/// Makes the people the members of their group, if there is one.
///
/// # Errors
///
/// Why it was not done. It may be done twice, so a lost answer is one to ask again for.
async fn regroup(app: &App, channel: Channel, hand_over: &HandOver<'_>) -> Result<(), Answer> {
    let Some((group, members)) = &hand_over.group else { return Ok(()) };
    let refused = |why: &str| Err(Answer::Refused { why: why.to_owned() });
    if channel != Channel::Slack {
        return refused("PageChannels has no slack");
    }
    if members.is_empty() {
        return refused("the policy has no Slack id of the people on call");
    }
    let token = token(app).await.map_err(unrepeated)?;
    let changed = app.slack.regroup(&app.http, &token, group, members).await;
    changed.map_err(|fault| unrepeated(fault.answer()))
}

/// Posts the message.
async fn told(
    app: &App,
    channel: Channel,
    hand_over: &HandOver<'_>,
    group_unchanged: Option<&str>,
    is_repetition: bool,
) -> Answer {
    let HandOver { squad, shift, change, .. } = *hand_over;
    let settings = &app.settings;
    let person = shift.person.and_then(|name| settings.policy.incidents.people.get(name));
    let on_call = person.and_then(|contact| UserId::parse(contact.slack.as_deref()?));
    let environment = &settings.environment;
    let text = slack::HandOver { environment, squad, shift, change, group_unchanged, is_repetition };
    let message = slack::hand_over(&text, settings.language, on_call.as_ref());
    if channel == Channel::Webhook {
        return match app.secret(app.setup.webhook_secret.as_deref(), "SlackWebhookSecretName").await {
            Ok(url) => webhook::post(&app.http, &url, &message).await,
            Err(answer) => answer,
        };
    }
    let token = match token(app).await {
        Ok(token) => token,
        Err(answer) => return answer,
    };
    match app.slack.post(&app.http, &token, message, None).await {
        Ok(post) => Answer::Accepted { said: format!("ts {}", post.ts) },
        Err(fault) => fault.answer(),
    }
}
