//! Opens a case of AWS Support once: claimed before, looked up before a second attempt, and told in the incident's own
//! transaction.

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use incident::store::{Context, Purpose};
use incident::text::Language;
use incident::{Action, Incident};
use jiff::SignedDuration;
use shared::aws::table::WriteError;
use shared::policy::incidents::Plan;

use crate::App;
use crate::aws::{Asked, Opened, refusal};
use crate::error::ClockError;
use crate::rules::notes::{self, Notes};
use crate::rules::said::Said;
use crate::rules::support::{self, Because, Case, Step};
use crate::rules::timer::Why;

/// How much earlier than the first claim a case may seem to be: clocks differ.
const CLOCKS: SignedDuration = SignedDuration::from_mins(10);

/// What to do next about a case.
pub(crate) enum Next {
    /// Say this, with these notes.
    Say(Said, Box<Notes>),
    /// The notes have changed: look again.
    Again,
    /// Another invocation is at it, or another attempt comes later.
    Later,
}

/// Takes the next step towards a case.
///
/// # Errors
///
/// [`ClockError`]; once the claim has ended, the next sweep looks whether the case is open.
///
/// Boxed: the futures of AWS Support are large.
pub(crate) fn proceed<'a>(
    app: &'a App,
    incident: &'a Incident,
    notes: &'a Notes,
    why: Why,
    context: &'a Context<'_>,
) -> LocalBoxFuture<'a, Result<Next, ClockError>> {
    next(app, incident, notes, why, context).boxed_local()
}

async fn next(
    app: &App,
    incident: &Incident,
    notes: &Notes,
    why: Why,
    context: &Context<'_>,
) -> Result<Next, ClockError> {
    let (language, policy) = (app.settings().language, &context.policy.incidents);
    let case =
        support::case(incident, context.project, why, policy.support_case_minutes, language, context.now);
    let by_hand = |because: &Because, notes: Notes| {
        let text = support::checklist(incident, &case, &because.text(language), language);
        // Somebody has to do it, so it calls the commander.
        let calls: &[Purpose] = &[Purpose::Commander];
        Next::Say(Said { action: Action::Reminded, text, calls, is_mail: false }, Box::new(notes))
    };
    let told = |id: &str, is_dry_run, notes: Notes| {
        let text = support::opened(id, is_dry_run, language);
        Next::Say(Said { action: Action::SupportCase, text, calls: &[], is_mail: false }, Box::new(notes))
    };
    if incident.is_drill {
        return Ok(by_hand(&Because::Drill, notes.clone()));
    }
    if policy.support.plan == Plan::None && notes.support.tries == 0 {
        return Ok(by_hand(&Because::NoPlan, notes.clone()));
    }
    let is_again = match support::step(&notes.support, context.now) {
        Step::Wait => return Ok(Next::Later),
        Step::Tell => return Ok(told(&notes.support.case, false, notes.clone())),
        Step::GiveUp => return Ok(by_hand(&Because::Unclear, notes.clone())),
        Step::Open { is_again } => is_again,
    };
    let Some(claimed) = claim(app, incident, notes, context).await? else { return Ok(Next::Again) };
    match attempt(app, incident, &claimed, &case, is_again).await? {
        Opened::Case(id) => {
            // At once: with its id in the notes, nobody has to look for it any more.
            let known = Notes { support: notes::Support { case: id, ..claimed.support.clone() }, ..claimed };
            app.noted(&known, incident).await?;
            Ok(Next::Again)
        }
        Opened::Tried => Ok(told("", true, claimed)),
        Opened::NotSubscribed => Ok(by_hand(&Because::NotSubscribed, claimed)),
        Opened::Refused(code) => Ok(by_hand(&Because::Refused(code), claimed)),
    }
}

/// Claims the next attempt; none if another invocation was faster.
async fn claim(
    app: &App,
    incident: &Incident,
    notes: &Notes,
    context: &Context<'_>,
) -> Result<Option<Notes>, ClockError> {
    let mut claimed = notes.clone();
    claimed.support.tries += 1;
    claimed.support.claimed_at = Some(context.now);
    claimed.support.began_at = claimed.support.began_at.or(Some(context.now));
    match app.table.write(&claimed.write(incident)).await {
        Ok(()) => Ok(Some(Notes { version: claimed.version + 1, ..claimed })),
        Err(WriteError::Changed) => Ok(None),
        Err(WriteError::Call(call)) => Err(ClockError::Table(call)),
    }
}

/// Looks for the case, if it may be there, and opens it otherwise.
async fn attempt(
    app: &App,
    incident: &Incident,
    claimed: &Notes,
    case: &Case,
    is_again: bool,
) -> Result<Opened, ClockError> {
    let settings = &app.settings().policy.incidents.support;
    let language = match app.settings().language {
        Language::Portuguese => "pt",
        Language::English => "en",
    };
    let work = async {
        if is_again {
            let began_at = claimed.support.began_at.unwrap_or(incident.first_at);
            let since = began_at.checked_sub(CLOCKS).unwrap_or(began_at);
            if let Some(id) = app.support.find(&incident.id, since).await? {
                return Ok(Opened::Case(id));
            }
        }
        let offered = match app.support.severities(language).await {
            Ok(offered) => offered,
            // Says so before anything is asked for, if the plan has no API.
            Err(call) => return refusal(call),
        };
        let services = app.support.services(language).await?;
        let asked = Asked {
            case,
            severity: support::severity(incident.severity, &offered),
            service: support::service(incident, &services),
            language,
            is_dry_run: settings.dry_run,
        };
        app.support.open(&asked).await
    };
    match work.await {
        // An error of the look: whether the case is there is not known, so nothing is opened.
        Err(call) => refusal(call).map_err(ClockError::Support),
        Ok(opened) => Ok(opened),
    }
}
