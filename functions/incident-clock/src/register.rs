//! Keeps the register of incidents with personal data: a document in the evidence bucket, whose versions the lock keeps, a
//! page of it for people, and a record for each change.

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use incident::store::Context;
use incident::{Action, Incident};
use shared::aws::table::WriteError;
use shared::run::evidence::{Draft, Step};
use shared::runtime::lambda::Invocation;

use crate::error::ClockError;
use crate::look::{Found, found};
use crate::rules::lgpd::deadline;
use crate::rules::notes::{Lgpd, Notes};
use crate::rules::register::{Register, Request};
use crate::rules::said::{Said, writes};
use crate::rules::timer::known_at;
use crate::{App, Registered};

/// Where the pages are.
const FOLDER: &str = "lgpd";

/// Most attempts to note in the table that the register is complete.
const ATTEMPTS: u32 = 10;

/// Begins the register of an incident, if there is none.
///
/// # Errors
///
/// [`ClockError::Register`].
///
/// Boxed: the futures of S3 are large.
pub(crate) fn begin<'a>(
    app: &'a App,
    incident: &'a Incident,
    invocation: &'a Invocation,
) -> LocalBoxFuture<'a, Result<(), ClockError>> {
    async move { change(app, incident, None, invocation).await.map(drop) }.boxed_local()
}

/// Adds what a person gives.
///
/// # Errors
///
/// [`ClockError`]; the person sees it.
pub(crate) async fn add(
    app: &App,
    request: &Request,
    invocation: &Invocation,
) -> Result<Registered, ClockError> {
    let id = &request.incident;
    let found_now = found(app, id).await?.ok_or_else(|| ClockError::NoIncident(id.clone()))?;
    let Some(data) = found_now.incident.sensitive_data.clone() else {
        return Err(ClockError::NotCompromised(id.clone()));
    };
    let register = change(app, &found_now.incident, Some(request), invocation).await?;
    if register.is_closed() {
        close(app, id, request, invocation).await?;
    }
    let deadline = deadline(known_at(&data), &app.settings().policy.incidents.lgpd).to_string();
    let page = format!("s3://{}/{}", app.base.reporter.documents.bucket, page(id));
    Ok(Registered {
        incident: id.clone(),
        deadline,
        is_closed: register.is_closed(),
        missing: register.missing(),
        page,
    })
}

fn page(id: &str) -> String {
    format!("{FOLDER}/{id}.md")
}

/// Changes the document, then its page, then writes the record. Each may be repeated.
async fn change(
    app: &App,
    incident: &Incident,
    given: Option<&Request>,
    invocation: &Invocation,
) -> Result<Register, ClockError> {
    let (settings, documents) = (app.settings(), &app.base.reporter.documents);
    let data = incident.sensitive_data.clone().unwrap_or_default();
    let deadline = deadline(known_at(&data), &settings.policy.incidents.lgpd);
    let name = format!("lgpd/{}", incident.id);
    let changed = documents.update(&name, |register: &mut Register| {
        let before = register.clone();
        register.change(incident, deadline, given.map(|request| (request, invocation.now)));
        (register.clone(), *register != before)
    });
    let (register, is_changed) = changed.await?;
    let (page, language) = (page(&incident.id), settings.language);
    let render = |register: &Register| register.page(language);
    documents.show(&name, &page, "text/markdown; charset=utf-8", render).await?;
    if is_changed || given.is_none() {
        record(app, &register, invocation).await;
    }
    Ok(register)
}

/// The record of a change: who, when, and what is still missing.
async fn record(app: &App, register: &Register, invocation: &Invocation) {
    let at = register.changed_at.unwrap_or(register.known_at);
    let run_id = format!("{}/lgpd/{}", register.incident, at.as_millisecond());
    let mut draft = Draft::of(app.settings(), &run_id, "succeeded", invocation.now);
    let is_given = register.changed_at.is_some();
    draft.trigger = if is_given { "person" } else { "sensitive_data" }.to_owned();
    draft.subject.clone_from(&register.incident);
    let by = if is_given { &register.changed_by } else { &register.known_by };
    let missing = register.missing();
    draft.steps.push(Step::now("register", format!("changed by {by}")));
    let deadline = register.deadline.map(|date| date.to_string()).unwrap_or_default();
    draft.findings.push(format!("term of the notices: {deadline}"));
    if !missing.is_empty() {
        draft.findings.push(format!("missing: {}", missing.join(", ")));
    }
    app.base.reporter.report_once(draft, None, invocation).await;
}

/// Stops the reminders, and says so in the timeline.
async fn close(app: &App, id: &str, request: &Request, invocation: &Invocation) -> Result<(), ClockError> {
    let context: Context<'_> = app.context(invocation.now);
    let language = app.settings().language;
    for _ in 0..ATTEMPTS {
        let Some(Found { incident, notes }) = found(app, id).await? else { return Ok(()) };
        let Some(data) = &incident.sensitive_data else { return Ok(()) };
        let known_at = known_at(data);
        let noted = notes.lgpd.filter(|lgpd| lgpd.known_at == known_at);
        if noted.is_some_and(|lgpd| lgpd.is_closed) {
            return Ok(());
        }
        let step = noted.map_or(0, |lgpd| lgpd.step);
        let notes =
            Notes { lgpd: Some(Lgpd { known_at, step, is_closed: true, owes_register: false }), ..notes };
        let by = &request.by;
        let text = shared::tr!(
            language,
            "Registro da LGPD completo quanto às comunicações ({by}); os lembretes param.",
            "The LGPD's register has the notices ({by}); the reminders stop."
        );
        let said = Said { action: Action::Note, text, calls: &[], is_mail: false };
        let writes = writes(&incident, &notes, &said, &format!("lgpd|{id}|closed"), &context);
        match app.table.transact(&writes).await {
            Ok(()) => return Ok(()),
            Err(WriteError::Changed) => {}
            Err(WriteError::Call(call)) => return Err(ClockError::Table(call)),
        }
    }
    Err(ClockError::Busy(id.to_owned()))
}
