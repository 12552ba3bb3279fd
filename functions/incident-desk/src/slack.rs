//! The desk in Slack. A request is verified on its raw body and remembered, before anything in it is read; answered within
//! three seconds; and its work done after that, in an invocation of its own that Lambda repeats until it is done.
//!
//! Answered at once: a modal, what is wrong in one, a text that needs nothing from AWS. `rules/slack/` decides.

pub(crate) mod http;

use std::rc::Rc;
use std::time::Duration;

use incident::store::{
    self as rules, Actor, Attribute, Check, How, Key, Outcome, Plan, Refusal as Refused, Write,
};
use incident::text::customers::{self, Told};
use incident::text::desk::{self, Form, Subject};
use incident::{Action, Incident, due, person};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::aws::secrets;
use shared::aws::table::WriteError;
use shared::run::notify::bot_token;
use shared::run::open_restore;
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::metrics;
use shared::runtime::url::Request;

use crate::rules::slack::payload;
use crate::rules::slack::route::{Context, Opening, Place, Reply, route};
use crate::rules::slack::submission::Notes;
use crate::rules::slack::task::{self, Seal, Task, What};
use crate::rules::slack::verify::{Claim, LEAST, Refusal, keys};
use crate::{Answer, App, DeskError, aws, person as course};

/// How long a modal waits for the incident that it shows; without it, it is opened all the same.
const LOOK: Duration = Duration::from_millis(700);

/// How long the signing secrets that were read are good: who floods the address must not have them read for each request.
const KEYS_HOLD: SignedDuration = SignedDuration::from_secs(60);

/// How long it is known that an order about a restore was given before: longer than Lambda repeats an invocation.
const ORDER_KNOWN: SignedDuration = SignedDuration::from_hours(24);

/// What an invocation keeps for its end when it answers a person.
const RESERVE: Duration = Duration::from_secs(2);

/// Most incidents that a list reads: one request of the table.
const MOST_READ: usize = 100;

/// Settings of the desk in Slack.
pub(crate) struct Setup {
    /// Name of the secret with the signing secrets; none if the stack has no desk in Slack.
    pub(crate) signing_secret: Option<String>,
    /// Name of the secret with the bot's token.
    pub(crate) token_secret: String,
    /// Name of the function that takes orders about a restore.
    pub(crate) restore_function: String,
}

/// The signing secrets, and when they were read.
pub(crate) struct Keys {
    at: Timestamp,
    all: Rc<Vec<SecretString>>,
}

/// The accepted signing secrets.
async fn signing_keys(app: &App, now: Timestamp) -> Result<Rc<Vec<SecretString>>, DeskError> {
    let signing_secret = app.setup.signing_secret.as_deref().ok_or(Refusal::Path)?;
    let is_good = |known: &&Keys| now.duration_since(known.at).abs() < KEYS_HOLD;
    let known = app.keys.borrow().as_ref().filter(is_good).map(|known| Rc::clone(&known.all));
    if let Some(known) = known {
        return Ok(known);
    }
    let value = secrets::value(&app.secrets, signing_secret, None).await.map_err(DeskError::SigningSecret)?;
    let all = Rc::new(keys(&value).ok_or(DeskError::SigningSecretForm { least: LEAST })?);
    app.keys.replace(Some(Keys { at: now, all: Rc::clone(&all) }));
    Ok(all)
}

/// Serves a request of the function URL.
///
/// # Errors
///
/// [`DeskError`]; Slack then tells the person that it did not work.
pub(crate) async fn web(app: &App, request: &Request, invocation: &Invocation) -> Result<Answer, DeskError> {
    match serve(app, request, invocation.now).await {
        Err(DeskError::Request(refusal)) => {
            tracing::warn!(message = refusal.to_string());
            if refusal.may_be_slacks() {
                metrics::count("SlackRequestsRefused", &app.settings.function);
            }
            Ok(Answer::text(refusal.status(), &refusal.to_string()))
        }
        answer => answer,
    }
}

async fn serve(app: &App, request: &Request, now: Timestamp) -> Result<Answer, DeskError> {
    if app.setup.signing_secret.is_none() {
        return Err(Refusal::Path.into());
    }
    let claim = Claim::of(request, now)?;
    claim.verify(&signing_keys(app, now).await?)?;
    match app.table.write(&claim.once(now)).await {
        Ok(()) => {}
        Err(WriteError::Changed) => return Err(Refusal::Replayed.into()),
        Err(WriteError::Call(call)) => return Err(call.into()),
    }
    let payload = payload::read(&request.body)?;
    let language = app.settings.language;
    match route(payload, &Context { policy: &app.settings.policy, language, now })? {
        Reply::Done => Ok(Answer::text(200, "")),
        Reply::Challenge(text) => Ok(Answer::text(200, &text)),
        Reply::Say(lines) => Ok(Answer::json(&desk::ephemeral(&lines))),
        Reply::Wrong(fields) => Ok(Answer::json(&json!({"response_action": "errors", "errors": fields}))),
        Reply::Do(task) => later(app, &task, now).await,
        Reply::Open(opening) => open(app, opening, now).await,
    }
}

/// Leaves work to an invocation of its own.
async fn later(app: &App, task: &Task, now: Timestamp) -> Result<Answer, DeskError> {
    let keys = signing_keys(app, now).await?;
    let key = keys.first().ok_or(DeskError::SigningSecretForm { least: LEAST })?;
    aws::invoke_later(&app.lambda, &app.settings.function, &task::event(task, key)).await?;
    Ok(Answer::text(200, ""))
}

/// Opens a modal. If Slack does not, the person reads why.
async fn open(app: &App, opening: Opening, now: Timestamp) -> Result<Answer, DeskError> {
    let Opening { form, notes, words, place, who } = opening;
    let id = Some(notes.incident.as_str()).filter(|id| !id.is_empty());
    let incident = async {
        match id {
            Some(id) => tokio::time::timeout(LOOK, app.table.incident(id)).await.ok()?.ok().flatten(),
            None => None,
        }
    };
    let token = async { if place == Place::Instead { None } else { Some(token(app).await) } };
    let (incident, token) = tokio::join!(incident, token);
    let language = app.settings.language;
    let is_look = form == Form::TellCustomers && notes.seen.is_some();
    if is_look && place == Place::Instead && incident.is_none() {
        // Nothing is sent that nobody looked at.
        let why = desk::unopened(form, "DynamoDB", language).concat();
        return Ok(Answer::json(&json!({"response_action": "errors", "errors": {"text": why}})));
    }
    let preview = incident.as_ref().filter(|_| is_look).map(|incident| preview(app, incident, &words, now));
    // Without a preview, the form's next submission has to lead to one.
    let notes = if preview.is_none() { Notes { seen: None, ..notes } } else { notes };
    let squads = rules::squads(&app.settings.policy);
    let subject = Subject {
        incident: incident.as_ref(),
        squads: squads.iter().map(String::as_str).collect(),
        restore: notes.restore.as_ref(),
        words: &words,
        preview: preview.unwrap_or_default(),
    };
    let view = desk::view(form, &subject, &notes.text(), language);
    let Place::New(trigger) = place else {
        return Ok(Answer::json(&json!({"response_action": "update", "view": view})));
    };
    let opened = match token {
        Some(Ok(token)) => app.slack.open(&token, &trigger, &view).await,
        Some(Err(why)) => Err(why),
        None => Ok(()),
    };
    let Err(why) = opened else { return Ok(Answer::text(200, "")) };
    tracing::warn!(message = format!("the modal was not opened: {why}"), form = form.name());
    let what = What::Say(desk::unopened(form, &why, language));
    later(app, &Task { who, cause: format!("slack|{trigger}"), reply: notes.reply, what }, now).await
}

/// The mail to the customers, as blocks.
fn preview(app: &App, incident: &Incident, words: &str, now: Timestamp) -> Vec<Value> {
    let policy = &app.settings.policy;
    let is_first = !incident.acts.contains_key(&Action::CustomersTold);
    let update_due = due::update(incident, policy).map(|due| due.at);
    let shown = Incident { update_due, ..incident.clone() };
    let told = Told { words, is_first };
    customers::preview(&customers::message(&shown, told, policy.incidents.customers.language, now))
}

async fn token(app: &App) -> Result<SecretString, String> {
    let value =
        secrets::value(&app.secrets, &app.setup.token_secret, None).await.map_err(|call| chain(&call))?;
    bot_token(&value).ok_or_else(|| "the secret named by SlackSecretName has no bot token".to_owned())
}

/// Does a task, and tells the person.
///
/// # Errors
///
/// [`DeskError`] if it may succeed later: Lambda then repeats the invocation. Or if the seal is wrong, so that the task is
/// somebody else's.
pub(crate) async fn work(
    app: &App,
    task: Box<Task>,
    seal: &Seal,
    invocation: &Invocation,
) -> Result<Answer, DeskError> {
    let language = app.settings.language;
    let done = match signing_keys(app, invocation.now).await {
        Ok(keys) if seal.is_made_with(&keys) => done(app, &task, invocation).await,
        Ok(_) => return Err(Refusal::Signature.into()),
        Err(error) => Err(error),
    };
    let (mut lines, failed) = match done {
        Ok(lines) => (lines, None),
        Err(DeskError::Refused(refusal)) => (desk::refused(&refusal, language), None),
        Err(error) => {
            let lines = match (&task.what, &error) {
                (What::Order(_), DeskError::OrderUnclear(said)) => desk::unclear(said, language),
                (What::Order(_), DeskError::Invoke(call)) => desk::unclear(&chain(call), language),
                _ => desk::later(error.kind(), language),
            };
            (lines, Some(error))
        }
    };
    if !app.is_policy_read {
        lines.push(desk::without_policy(language).to_owned());
    }
    let told = answer(app, &task, &lines, invocation).await;
    match failed {
        Some(error) => Err(error),
        None => Ok(Answer::Told { told }),
    }
}

async fn done(app: &App, task: &Task, invocation: &Invocation) -> Result<Vec<String>, DeskError> {
    match &task.what {
        What::Ask(request) => ask(app, task, request, invocation).await,
        What::Order(order) => self::order(app, task, order, invocation).await,
        What::List => list(app, invocation.now).await,
        What::Show(id) => show(app, id, invocation.now).await,
        What::Say(lines) => Ok(lines.clone()),
    }
}

/// Sends the answer; whether it arrived. It is a convenience: what was done is in the channel and in the timeline.
async fn answer(app: &App, task: &Task, lines: &[String], invocation: &Invocation) -> bool {
    let Some(reply) = &task.reply else { return false };
    let message = desk::ephemeral(lines);
    // What was done must not be done again because Slack is slow.
    let sent = invocation.before_deadline(RESERVE, app.slack.answer(reply, &message)).await;
    let sent = sent.unwrap_or_else(|late| Err(late.to_string()));
    if let Err(why) = &sent {
        // The first line only: an incident's own words may hold personal data.
        let answer = lines.first().map(String::as_str).unwrap_or_default();
        tracing::warn!(message = format!("the answer did not reach the person: {why}"), answer);
    }
    sent.is_ok()
}

async fn ask(
    app: &App,
    task: &Task,
    request: &Value,
    invocation: &Invocation,
) -> Result<Vec<String>, DeskError> {
    let request = person::Request::try_from(request.clone()).map_err(Refused::Invalid)?;
    let how = if task.who.is_known { How::Known } else { How::Unknown };
    let actor = Actor { name: task.who.name.clone(), how };
    let done = course::act(app, &request, &actor, &task.cause, invocation).await?;
    let (incident, before, language) = (done.incident.as_ref(), done.before.as_ref(), app.settings.language);
    let mut lines = desk::told(&request, done.outcome, incident, before, language);
    lines.extend(done.warning(language).map(str::to_owned));
    Ok(lines)
}

async fn show(app: &App, id: &str, now: Timestamp) -> Result<Vec<String>, DeskError> {
    let incident = app.table.incident(id).await?.ok_or_else(|| Refused::NoIncident(id.to_owned()))?;
    Ok(desk::standing(&incident, app.settings.language, now))
}

async fn list(app: &App, now: Timestamp) -> Result<Vec<String>, DeskError> {
    let open = app.table.open().await?;
    let keys: Vec<_> = open.into_iter().take(MOST_READ).collect();
    let items = if keys.is_empty() { Default::default() } else { app.table.read(&keys).await? };
    let found = keys.iter().filter_map(|key| incident::store::incident(items.get(key)?));
    let found: Vec<Incident> = found.filter(Incident::is_open).collect();
    Ok(desk::incidents(&found, app.settings.language, now))
}

/// Gives an order about a restore, and notes it in the timeline of the restore's incident.
async fn order(
    app: &App,
    task: &Task,
    order: &Value,
    invocation: &Invocation,
) -> Result<Vec<String>, DeskError> {
    let text = |name: &str| order.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (run, verb, language) = (text("run"), text("order"), app.settings.language);
    let event = Key::act(&task.cause);
    if app.table.read(std::slice::from_ref(&event)).await?.contains_key(&event) {
        // It was accepted and noted: only the answer is missing.
        return Ok(desk::ordered(&run, Ok(&[]), language));
    }
    let is_first = is_first(app, &task.cause, invocation.now).await?;
    // By its id, the restore knows a repetition, whatever was ordered since.
    let mut order = order.clone();
    if let Some(fields) = order.as_object_mut() {
        fields.insert("id".to_owned(), json!(task.cause));
    }
    match aws::order(&app.lambda, &app.setup.restore_function, &order).await? {
        Ok(lines) => {
            tracing::info!(message = "order accepted", run, verb);
            note(app, task, &run, &verb, invocation.now).await?;
            Ok(desk::ordered(&run, Ok(&lines), language))
        }
        Err(refusal) if is_first => Ok(desk::ordered(&run, Err(&refusal), language)),
        Err(refusal) => Ok(desk::ordered_again(&run, &refusal, language)),
    }
}

/// Whether an order is given for the first time, as far as is known: a repetition may find the restore that it ended gone.
async fn is_first(app: &App, cause: &str, now: Timestamp) -> Result<bool, DeskError> {
    let mut item = Key::event(&format!("order|{cause}")).attributes();
    let forgotten = now.as_second() + ORDER_KNOWN.as_secs();
    item.insert("expires_at".to_owned(), Attribute::Number(forgotten));
    match app.table.write(&Write::Put { item, only_if: vec![Check::Absent("pk")] }).await {
        Ok(()) => Ok(true),
        Err(WriteError::Changed) => Ok(false),
        Err(WriteError::Call(call)) => Err(call.into()),
    }
}

/// Notes an order in the timeline of the incident that the restore's page opened, if there is one; once.
async fn note(app: &App, task: &Task, run: &str, verb: &str, now: Timestamp) -> Result<(), DeskError> {
    let problem = format!("{}/{run}", open_restore::PROCEDURE);
    let nothing = || Plan { outcome: Outcome::Recorded, incident: String::new(), writes: vec![] };
    let decide = async |attempt| {
        let event = Key::act(&task.cause);
        let is_noted = app.table.read(std::slice::from_ref(&event)).await?.contains_key(&event);
        let incident = if is_noted { None } else { course::newest(app, &problem).await? };
        let Some(incident) = incident else { return Ok(nothing()) };
        let (context, words) = (app.context(now, attempt), format!("{run}: {verb}"));
        Ok::<_, DeskError>(rules::note(
            &incident,
            Action::Restore,
            &task.who.name,
            &words,
            &task.cause,
            &context,
        ))
    };
    app.table.settle(&task.cause, decide).await.map(drop)
}
