//! Tasks that ask for a person's access, and for its removal, as issues on the board.

use jiff::civil::DateTime;
use shared::aws::secrets;
use shared::github::board::{self, Board, BoardError, Issue};
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;

use crate::App;
use crate::error::OnboardingError;
use crate::rules::access::{Access, Membership};
use crate::rules::person::{People, Person};
use crate::text::task;

/// Label of the issues, by which they are listed.
const LABEL: &str = "governance-onboarding";

/// What a task asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// Access.
    Access,
    /// Its removal.
    Removal,
}

impl Wanted {
    /// The word in the issue's marker.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Removal => "removal",
        }
    }

    fn issue(self, person: &Person) -> Option<u64> {
        match self {
            Self::Access => person.access_issue,
            Self::Removal => person.removal_issue,
        }
    }
}

/// What became of the tasks.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Issues that were opened.
    pub(crate) opened: Vec<u64>,
    /// Issues that were closed.
    pub(crate) closed: Vec<u64>,
    /// Why the rest failed.
    pub(crate) failed: Option<String>,
}

/// Opens the tasks that are due, also those that were closed too early, and closes those that are done, of these people. A
/// failure is logged and counted; the next daily run tries again.
pub(crate) async fn settle(
    app: &App,
    people: &People,
    access: &Access,
    now: DateTime,
    invocation: &Invocation,
) -> Result<Settled, OnboardingError> {
    let mut settled = Settled::default();
    let Some((repository, secret)) = &app.board else { return Ok(settled) };
    let mut due = Vec::new();
    let mut done = Vec::new();
    for (id, person) in &people.people {
        let (wants, is_over) = stands(app, person, access, now);
        let is_noted = |wanted: &Wanted| wanted.issue(person).is_some();
        // Also one that is noted: a person may have closed it before it was done.
        due.extend(wants.map(|wanted| (id.as_str(), wanted)));
        done.extend(is_over.into_iter().filter(is_noted).map(|wanted| (id.as_str(), wanted)));
    }
    if due.is_empty() && done.is_empty() {
        return Ok(settled);
    }
    let mut noted = Vec::new();
    let work = async {
        let token = secrets::value(&app.secrets, secret, None).await.map_err(BoardError::Token)?;
        let board = Board::new(repository.session(&token, invocation)?, LABEL);
        let issues = board.issues().await?;
        for (id, wanted) in due {
            let marker = task::marker(id, wanted);
            let number = match issue(&issues, &marker) {
                Some(found) if found.state == "open" => Some(found.number),
                // Asked for once more.
                Some(found) => {
                    board.reopen(found.number).await?;
                    settled.opened.push(found.number);
                    Some(found.number)
                }
                None => {
                    let (title, body) = (task::title(app, id, wanted), task::body(app, id, wanted));
                    let task = board::Task { marker: &marker, title: &title, body: &body };
                    let number = board.open_once(app.documents(), task, invocation.now).await?;
                    settled.opened.extend(number);
                    number
                }
            };
            noted.extend(number.map(|number| (id.to_owned(), wanted, Some(number))));
        }
        for (id, wanted) in done {
            let open = issue(&issues, &task::marker(id, wanted)).filter(|issue| issue.state == "open");
            if let Some(open) = open {
                let has_left = people.people.get(id).is_some_and(|person| person.has_left(now.date()));
                let comment = task::done(wanted, has_left, app.base.settings.language);
                board.close(open.number, &comment).await?;
                settled.closed.push(open.number);
            }
            // The board is not asked about it again.
            noted.push((id.to_owned(), wanted, None));
        }
        Ok::<_, BoardError>(())
    };
    if let Err(error) = Box::pin(work).await {
        let reason = chain(&error);
        app.base.reporter.lost("TaskFailures", "TaskFailed", &reason, "tasks for access");
        settled.failed = Some(reason);
    }
    if !noted.is_empty() {
        let change = |people: &mut People| {
            for (id, wanted, number) in &noted {
                let Some(person) = people.people.get_mut(id) else { continue };
                let place = match wanted {
                    Wanted::Access => &mut person.access_issue,
                    Wanted::Removal => &mut person.removal_issue,
                };
                *place = *number;
            }
        };
        app.amend(change).await?;
    }
    Ok(settled)
}

fn issue<'a>(issues: &'a [Issue], marker: &str) -> Option<&'a Issue> {
    issues.iter().find(|issue| issue.has(marker))
}

/// The task that a person needs now, and those that are over. What is not known is left as it is.
fn stands(app: &App, person: &Person, access: &Access, now: DateTime) -> (Option<Wanted>, Vec<Wanted>) {
    let of = access.of(person, &app.base.settings.policy, now);
    let is_unknown = of.iter().any(|(_, membership)| matches!(membership, Membership::Unknown(_)));
    let remains = of.iter().any(|(_, membership)| *membership == Membership::Member);
    let lacks = [access.in_group(person), access.in_grafana(person)]
        .iter()
        .any(|one| matches!(one, Membership::NotMember | Membership::NoLogin));
    let has_left = person.has_left(now.date());
    let is_new = person.is_new(now.date());
    let wants = match (is_new, has_left) {
        (true, _) if lacks => Some(Wanted::Access),
        (_, true) if remains => Some(Wanted::Removal),
        _ => None,
    };
    let mut over = Vec::new();
    if has_left || (is_new && !lacks && !is_unknown) || person.completed_at.is_some() {
        over.push(Wanted::Access);
    }
    if !has_left || !of.iter().any(|(_, membership)| membership.may_remain()) {
        over.push(Wanted::Removal);
    }
    (wants, over)
}
