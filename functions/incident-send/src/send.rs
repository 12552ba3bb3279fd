//! One message to one channel: its text, and who gets it.

mod call;

use aws_sdk_sesv2::types::Destination;
use futures_util::future::join_all;
use incident::store::{Channel, Purpose, Row};
use incident::text::mail::{self, Mail};
use incident::text::slack::UserId;
use incident::text::{pagerduty, slack, sms};
use incident::{Attempts, Entry, Incident, SlackPost, due};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::Value;
use shared::aws::table::WriteError;
use shared::run::notify::bot_token;

use crate::channels::slack::Fault;
use crate::channels::{aws as of_aws, pagerduty as pager_duty, webhook};
use crate::clock::Clock;
use crate::rules::answer::Answer;
use crate::rules::reach::{Reach, reach};
use crate::rules::synthetic::is_synthetic;
use crate::rules::{escalation, thread};
use crate::{App, aws};

pub(crate) use call::call;

/// How long before a row was stored its message may have been posted, by Slack's clock.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// How long the rest of a thread waits: Slack takes about one message per second.
const PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// How much of the lease must be left for the thread: calls of the table and one reply, also without blocks.
const ROOM: SignedDuration = SignedDuration::from_secs(25);

/// Most numbers of one SMS: what SNS takes in a second.
const MOST_PHONES: usize = 20;

/// Sends a row's message, of the incident and the rows as they are now. In `row` stands afterwards what a channel accepted
/// on the way, such as a message whose thread is not complete.
pub(crate) async fn send(
    app: &App,
    row: &mut Row,
    incident: &Incident,
    rows: &[Row],
    clock: &Clock,
) -> Answer {
    let now = clock.now();
    let reach = reach(&app.settings.policy, incident, row.purpose, now);
    let shown = shown(app, row, incident, &reach);
    match row.channel {
        Channel::Slack if row.purpose == Purpose::Post => post(app, row, &shown, &reach, clock).await,
        Channel::Slack => escalate(app, row, &shown, &reach, rows, now).await,
        Channel::Webhook => by_webhook(app, &message(app, &shown, &reach, now, false)).await,
        Channel::Ses => by_mail(app, &reach, &mail::message(&shown, app.settings.language, now)).await,
        Channel::Sns => {
            let mail = mail::message(&shown, app.settings.language, now);
            of_aws::answer(aws::to_topic(&app.sns, &app.setup.mail_topic, &mail).await)
        }
        Channel::Sms => by_sms(app, &reach, &sms::message(&shown, app.settings.language)).await,
        Channel::PagerDuty => {
            match app.secret(app.setup.pagerduty_secret.as_deref(), "PagerDutySecretName").await {
                Ok(key) => {
                    let events =
                        pager_duty::events(pagerduty::event(&shown, app.settings.language), row.sent == 0);
                    pager_duty::send(&app.http, &app.pagerduty, &key, events).await
                }
                Err(answer) => answer,
            }
        }
    }
}

/// The incident as a message shows it: with what is known about this message, and with the people whom it calls.
fn shown(app: &App, row: &Row, incident: &Incident, reach: &Reach) -> Incident {
    let attempts = Attempts { count: row.attempts, unclear: row.unclear };
    let update_due = due::update(incident, &app.settings.policy).map(|due| due.at);
    let mut shown = Incident { attempts, update_due, ..incident.clone() };
    if matches!(row.purpose, Purpose::Second | Purpose::Backup) && !reach.names.is_empty() {
        shown.on_call = reach.names.join(", ");
    }
    shown
}

/// A mail to the people of the purpose.
async fn by_mail(app: &App, reach: &Reach, mail: &Mail) -> Answer {
    if reach.emails.is_empty() {
        return Answer::Rejected { why: "the policy has no e-mail address for this page".to_owned() };
    }
    by_ses(app, aws::to(&reach.emails), mail).await
}

async fn by_ses(app: &App, to: Destination, mail: &Mail) -> Answer {
    let Some(from) = &app.setup.mail_from else {
        return Answer::Refused { why: "SesFromAddress is not set".to_owned() };
    };
    of_aws::answer(aws::by_mail(&app.ses, from, to, mail).await)
}

/// An SMS to each number, to all at the same time: one after the other, slow ones would outlast the lease. One that arrived
/// is enough: to send all of them again would repeat it.
async fn by_sms(app: &App, reach: &Reach, text: &str) -> Answer {
    let mut last =
        Answer::Rejected { why: "the policy has no verified phone number for this page".to_owned() };
    let (mut accepted, mut worst) = (0, None);
    let sent = reach.phones.iter().take(MOST_PHONES).map(|phone| aws::to_phone(&app.sns, phone, text));
    for result in join_all(sent).await {
        last = of_aws::answer(result);
        accepted += usize::from(last.is_accepted());
        // One that may have arrived is reported as such, whatever became of the others.
        if matches!(last, Answer::Unclear { .. }) {
            worst = Some(last.clone());
        }
    }
    match (accepted, reach.phones.len()) {
        (0, _) => worst.unwrap_or(last),
        (some, all) => Answer::Accepted { said: format!("{some} of {all} numbers") },
    }
}

async fn by_webhook(app: &App, message: &Value) -> Answer {
    match app.secret(app.setup.webhook_secret.as_deref(), "SlackWebhookSecretName").await {
        Ok(url) => webhook::post(&app.http, &url, message).await,
        Err(answer) => answer,
    }
}

/// The message for Slack. A synthetic event calls nobody by name. The webhook may be another app's, which the desk's buttons
/// would lead to.
fn message(app: &App, shown: &Incident, reach: &Reach, now: Timestamp, has_desk: bool) -> Value {
    let on_call: &[UserId] = if is_synthetic(shown) { &[] } else { &reach.slack };
    slack::message(shown, app.settings.language, now, on_call, has_desk)
}

pub(crate) async fn token(app: &App) -> Result<SecretString, Answer> {
    let value = app.secret(Some(&app.setup.slack_secret), "SlackSecretName").await?;
    let why = "the secret must contain only a bot token, xoxb-…";
    bot_token(&value).ok_or_else(|| Answer::Refused { why: why.to_owned() })
}

/// The incident's message in Slack, then the entries that its thread lacks.
async fn post(app: &App, row: &mut Row, shown: &Incident, reach: &Reach, clock: &Clock) -> Answer {
    let token = match token(app).await {
        Ok(token) => token,
        Err(answer) => return answer,
    };
    if row.slack.is_none() && row.unclear > 0 {
        let stored_at = row.stored_at.unwrap_or(shown.first_at);
        let since = stored_at.checked_sub(SKEW).unwrap_or(stored_at);
        row.slack = app.slack.find(&app.http, &token, &shown.id, since).await;
    }
    let mut said = "its thread is complete".to_owned();
    if row.slack.is_none() || row.sent < shown.version {
        match show(app, &token, row.slack.as_ref(), shown, reach, clock.now()).await {
            Ok(post) => {
                said = format!("ts {}", post.ts);
                // A change notifies nobody: what calls people again is told by the reply that mentions them.
                let is_changed = row.slack.as_ref() == Some(&post);
                let calls_again = is_changed && row.sent > 0 && row.sent < shown.paged_version;
                row.slack = Some(post);
                if !calls_again {
                    row.sent = shown.version;
                    row.accepted_at = row.accepted_at.or(Some(clock.now()));
                    (row.attempts, row.unclear) = (0, 0);
                }
            }
            Err(answer) => return answer,
        }
    }
    match complete(app, &token, row, shown, reach, clock).await {
        Ok(()) => Answer::Accepted { said },
        Err(answer) => answer,
    }
}

/// Changes the message, or posts one if there is none, or none any more. A message that Slack finds fault with was not
/// posted; its text alone is better than nothing.
async fn show(
    app: &App,
    token: &SecretString,
    old: Option<&SlackPost>,
    shown: &Incident,
    reach: &Reach,
    now: Timestamp,
) -> Result<SlackPost, Answer> {
    let (http, plain) = (&app.http, || slack::plain_message(shown, app.settings.language));
    if let Some(post) = old {
        // A change may be made again, so the message is no repetition.
        let change = Incident { attempts: Attempts::default(), ..shown.clone() };
        let mut changed =
            app.slack.update(http, token, post, message(app, &change, reach, now, app.has_desk)).await;
        if matches!(changed, Err(Fault::Malformed(_))) {
            changed = app.slack.update(http, token, post, plain()).await;
        }
        match changed {
            Ok(()) => return Ok(post.clone()),
            Err(Fault::Gone) => {}
            Err(fault) => return Err(unrepeated(fault.answer())),
        }
    }
    let posted = app.slack.post(http, token, message(app, shown, reach, now, app.has_desk), None).await;
    let posted = match posted {
        Err(Fault::Malformed(_)) => app.slack.post(http, token, plain(), None).await,
        posted => posted,
    };
    posted.map_err(Fault::answer)
}

/// The answer to something that may be done twice: it does not matter whether it was.
pub(crate) fn unrepeated(answer: Answer) -> Answer {
    match answer {
        Answer::Unclear { why } => Answer::Later { why, after: None },
        answer => answer,
    }
}

/// Posts the entries that the thread lacks, as long as the lease lasts. What was accepted is kept first: without that, the
/// message would be looked for or posted again.
async fn complete(
    app: &App,
    token: &SecretString,
    row: &mut Row,
    shown: &Incident,
    reach: &Reach,
    clock: &Clock,
) -> Result<(), Answer> {
    let later = |why: String| Answer::Later { why, after: None };
    let (Some(thread), Some(lease_until)) = (row.slack.clone(), row.lease_until) else { return Ok(()) };
    let has_room = || lease_until.duration_since(clock.now()) >= ROOM;
    let rest = || Answer::Later { why: "the rest of its thread follows".to_owned(), after: Some(PAUSE) };
    if !has_room() {
        return Err(rest());
    }
    let lines = aws::lines(&app.table, &shown.id, &row.told, thread::is_for_people).await;
    let lines = lines.map_err(|error| later(error.code))?;
    let missing = thread::missing(row, shown, &lines);
    if !missing.iter().any(|reply| reply.notifies) {
        row.sent = row.sent.max(shown.version);
    }
    if missing.is_empty() {
        return Ok(());
    }
    app.table.write(&row.keep()).await.map_err(|error| {
        later(match error {
            WriteError::Changed => "another invocation has the row".to_owned(),
            WriteError::Call(call) => call.code,
        })
    })?;
    for (place, reply) in missing.into_iter().enumerate() {
        if place == thread::MOST || !has_room() {
            return Err(rest());
        }
        let entry = Entry { text: repeated(app, row, &reply.entry.text), ..reply.entry };
        let notify: &[UserId] = if reply.notifies && !is_synthetic(shown) { &reach.slack } else { &[] };
        match say(app, token, &thread, &shown.id, &entry, notify).await {
            Ok(_) if reply.notifies => row.sent = row.sent.max(shown.version),
            Ok(_) => {}
            // Another attempt would fail in the same way; the timeline has the entry.
            Err(Fault::Malformed(why)) if !reply.notifies => {
                tracing::warn!(message = "an entry is not in the thread", why);
            }
            Err(Fault::Gone) => {
                // The next attempt posts the message anew.
                (row.slack, row.sent) = (None, 0);
                return Err(later("the message is gone".to_owned()));
            }
            Err(fault) => return Err(fault.answer()),
        }
        row.told.push(reply.key);
        (row.attempts, row.unclear) = (0, 0);
    }
    Ok(())
}

/// Posts a reply; without blocks if Slack finds fault with it.
async fn say(
    app: &App,
    token: &SecretString,
    thread: &SlackPost,
    id: &str,
    entry: &Entry,
    notify: &[UserId],
) -> Result<SlackPost, Fault> {
    let language = app.settings.language;
    let body = slack::reply(id, entry, language, notify);
    match app.slack.post(&app.http, token, body, Some(thread)).await {
        Err(Fault::Malformed(_)) => {
            let plain = slack::plain_reply(entry, language, notify);
            app.slack.post(&app.http, token, plain, Some(thread)).await
        }
        posted => posted,
    }
}

/// The text of a reply, which says if it may be there already.
fn repeated(app: &App, row: &Row, text: &str) -> String {
    if row.unclear == 0 {
        return text.to_owned();
    }
    let notice = app
        .settings
        .language
        .pick("enviado de novo: pode estar repetido", "sent again: it may be a duplicate");
    if text.is_empty() { format!("({notice})") } else { format!("{text} ({notice})") }
}

/// The incident's message in Slack, to which others reply.
fn thread_of(rows: &[Row]) -> Result<&SlackPost, Answer> {
    let message = rows.iter().find(|row| row.channel == Channel::Slack && row.purpose == Purpose::Post);
    message
        .and_then(|row| row.slack.as_ref())
        .ok_or_else(|| Answer::Later { why: "its message is not in Slack yet".to_owned(), after: None })
}

/// A reply that calls the people of an escalation.
async fn escalate(
    app: &App,
    row: &Row,
    shown: &Incident,
    reach: &Reach,
    rows: &[Row],
    now: Timestamp,
) -> Answer {
    let thread = match thread_of(rows) {
        Ok(thread) => thread,
        Err(answer) => return answer,
    };
    let token = match token(app).await {
        Ok(token) => token,
        Err(answer) => return answer,
    };
    let mut entry = escalation::entry(row.purpose, reach, app.settings.language, now);
    entry.text = repeated(app, row, &entry.text);
    match say(app, &token, thread, &shown.id, &entry, &reach.slack).await {
        Ok(post) => Answer::Accepted { said: format!("ts {}", post.ts) },
        Err(fault) => fault.answer(),
    }
}
