//! What is sent beside the page: to squads that were called in, to who has to be reminded, and to customers.

use incident::store::{Channel, Purpose, Row};
use incident::text::customers::{self, Told};
use incident::text::mail::{self, Mail};
use incident::text::{slack, sms};
use incident::{Entry, Incident};

use super::{PAUSE, ROOM, by_mail, by_ses, by_sms, by_webhook, repeated, say, shown, thread_of, token};
use crate::channels::aws as of_aws;
use crate::clock::Clock;
use crate::rules::answer::Answer;
use crate::rules::reach::{Reach, reach};
use crate::rules::{call, thread};
use crate::{App, aws};

/// Sends what a row beside the page has to tell: these entries of the timeline, at least one. Records in `row` those that a
/// channel accepted.
pub(crate) async fn call(
    app: &App,
    row: &mut Row,
    incident: &Incident,
    rows: &[Row],
    entries: &[(String, Entry)],
    clock: &Clock,
) -> Answer {
    let (policy, language, now) = (&app.settings.policy, app.settings.language, clock.now());
    if row.channel == Channel::Slack {
        return replies(app, row, incident, rows, entries, clock).await;
    }
    let about = call::narrowed(incident, entries.iter().map(|(_, entry)| entry));
    let reach = reach(policy, &about, row.purpose, now);
    let shown = shown(app, row, incident, &reach);
    let (kind, words) = (call::kind(row.purpose), call::words(entries));
    let mail = || mail::call(&shown, kind, &words, language, now);
    let answer = match row.channel {
        Channel::Ses if row.purpose == Purpose::Customers => {
            let told = Told { words: call::for_customers(entries), is_first: row.told.is_empty() };
            let language = policy.incidents.customers.language;
            to_customers(app, &reach, &customers::message(&shown, told, language, now)).await
        }
        Channel::Ses => by_mail(app, &reach, &mail()).await,
        Channel::Sns => of_aws::answer(aws::to_topic(&app.sns, &app.setup.mail_topic, &mail()).await),
        Channel::Sms => by_sms(app, &reach, &sms::call(&shown, kind, &words, language)).await,
        Channel::Webhook => match entries.last() {
            Some((_, last)) => {
                let entry = Entry { text: repeated(app, row, &words), ..last.clone() };
                by_webhook(app, &slack::reply(&shown.id, &entry, language, &reach.slack)).await
            }
            None => Answer::Rejected { why: "nothing is left to tell".to_owned() },
        },
        Channel::Slack | Channel::PagerDuty => {
            Answer::Rejected { why: "PagerDuty calls people on its own".to_owned() }
        }
    };
    if answer.is_accepted() {
        row.told.extend(entries.iter().map(|(key, _)| key.clone()));
    }
    answer
}

/// A mail to the customers, who do not see each other's addresses.
async fn to_customers(app: &App, reach: &Reach, mail: &Mail) -> Answer {
    if reach.emails.is_empty() {
        return Answer::Rejected { why: "the policy has no address of customers".to_owned() };
    }
    by_ses(app, aws::hidden(&reach.emails), mail).await
}

/// Posts a reply for each entry, with mentions of the people it concerns.
async fn replies(
    app: &App,
    row: &mut Row,
    incident: &Incident,
    rows: &[Row],
    entries: &[(String, Entry)],
    clock: &Clock,
) -> Answer {
    let thread = match thread_of(rows) {
        Ok(thread) => thread,
        Err(answer) => return answer,
    };
    let token = match token(app).await {
        Ok(token) => token,
        Err(answer) => return answer,
    };
    let mut said = String::new();
    for (place, (key, entry)) in entries.iter().enumerate() {
        let is_late = row.lease_until.is_some_and(|until| until.duration_since(clock.now()) < ROOM);
        if place == thread::MOST || is_late {
            return Answer::Later { why: "the rest follows".to_owned(), after: Some(PAUSE) };
        }
        let about = call::narrowed(incident, [entry]);
        let reach = reach(&app.settings.policy, &about, row.purpose, clock.now());
        let entry = Entry { text: repeated(app, row, &entry.text), ..entry.clone() };
        match say(app, &token, thread, &incident.id, &entry, &reach.slack).await {
            Ok(post) => said = format!("ts {}", post.ts),
            Err(fault) => return fault.answer(),
        }
        row.told.push(key.clone());
        (row.attempts, row.unclear) = (0, 0);
    }
    Answer::Accepted { said }
}
