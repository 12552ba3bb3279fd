//! What a daily run reads: the journal, the incidents, the documents, the board.

use std::collections::{BTreeMap, BTreeSet};

use incident::Incident;
use incident::store::{self, Key};
use jiff::civil::Date;
use jiff::{SignedDuration, Span, Timestamp};
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

use crate::begin::is_settled;
use crate::board::{board, issue};
use crate::error::PostmortemError;
use crate::rules::finding::Seen;
use crate::rules::journal::Journal;
use crate::rules::metrics::{month, repeated};
use crate::rules::wanted::{NotNeeded, local_date, wanted};
use crate::{App, paper};

/// Months before the present one whose incidents are read: a document that was lost, and numbers that change after a month's
/// end.
const MONTHS_BACK: i8 = 2;

/// Most keys of one read of the table.
const AT_ONCE: usize = 100;

/// Age of an end after which a missing document is a finding: a daily run has failed to begin it.
const LATE: SignedDuration = SignedDuration::from_hours(26);

/// An incident that ended so long before this product's first record of a post-mortem gets none by itself: nobody was told
/// of it, and it would be overdue on the first day.
const BACKLOG: SignedDuration = SignedDuration::from_hours(24);

/// What a daily run read.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// The journal.
    pub(crate) journal: Journal,
    /// Facts for the findings.
    pub(crate) seen: Seen,
    /// Incidents whose document is to be begun.
    pub(crate) to_begin: Vec<String>,
    /// Post-mortems that need none any more, with the reason.
    pub(crate) to_drop: Vec<(String, NotNeeded)>,
    /// Post-mortems that need a pull request.
    pub(crate) to_offer: Vec<String>,
    /// Actions whose issue is closed, by incident and number.
    pub(crate) done: Vec<(String, u32)>,
    /// The incidents of each month.
    pub(crate) months: BTreeMap<String, Vec<Incident>>,
}

/// Reads everything.
///
/// # Errors
///
/// [`PostmortemError`] if the journal or the incidents could not be read. A document or a board that could not is a finding.
pub(crate) async fn look(app: &App, invocation: &Invocation) -> Result<Looked, PostmortemError> {
    let now = invocation.now;
    let policy = &app.base.settings.policy;
    let mut looked = Looked { journal: app.journal().await?, ..Looked::default() };
    let incidents = incidents(app, &looked.journal, now).await?;
    let began = app.base.reporter.began().await.unwrap_or(now);
    let since = began.checked_sub(BACKLOG).unwrap_or(Timestamp::MIN);
    for incident in incidents.values() {
        let known = looked.journal.postmortems.get(&incident.id);
        let needed = wanted(incident, policy);
        let is_due = incident.resolved_at.is_some_and(|at| match known {
            Some(known) => known.state.is_open() && at != known.resolved_at,
            None => at >= since,
        });
        // One that a person asked for is begun again, too, whatever the policy says.
        let is_needed = needed.is_ok() || (known.is_some() && needed.is_err_and(|no| no.may_be_asked_for()));
        if is_needed && is_due && is_settled(incident, policy.incidents.flap_minutes, now) {
            looked.to_begin.push(incident.id.clone());
            if let Some(resolved_at) = incident.resolved_at.filter(|at| now.duration_since(*at) > LATE) {
                let why = format!("resolved {}", time::local(resolved_at));
                looked.seen.not_begun.insert(incident.id.clone(), why);
            }
        }
        if let Some(no) = needed.err().filter(|no| !no.may_be_asked_for())
            && known.is_some_and(|known| known.state.is_open())
        {
            looked.to_drop.push((incident.id.clone(), no));
        }
        if let Some(again) = repeated(incident, &looked.journal).filter(|_| needed.is_ok()) {
            looked.seen.repeated.insert(again.after, again.incident);
        }
    }
    documents(app, &mut looked, invocation).await?;
    actions(app, &mut looked, invocation).await;
    let dates = dates(&incidents, now);
    for incident in incidents.into_values() {
        let month = month(incident.first_at);
        if dates.iter().any(|date| date.strftime("%Y-%m").to_string() == month) {
            looked.months.entry(month).or_default().push(incident);
        }
    }
    // A month without incidents is a fact, too.
    looked.months.entry(month(now)).or_default();
    Ok(looked)
}

/// The incidents of the last months and of those in which an open one began, and those with an open post-mortem.
async fn incidents(
    app: &App,
    journal: &Journal,
    now: Timestamp,
) -> Result<BTreeMap<Key, Incident>, PostmortemError> {
    let of_open = journal.postmortems.iter().filter(|(_, one)| one.state.is_open());
    let mut keys: BTreeSet<Key> = of_open.map(|(id, _)| Key::incident(id)).collect();
    keys.extend(app.table.open().await?);
    let mut found = BTreeMap::new();
    read(app, &keys, &mut found).await?;
    for date in dates(&found, now) {
        let more: BTreeSet<Key> = app.table.of_month(date).await?.into_iter().collect();
        read(app, &more, &mut found).await?;
    }
    Ok(found)
}

async fn read(
    app: &App,
    keys: &BTreeSet<Key>,
    found: &mut BTreeMap<Key, Incident>,
) -> Result<(), PostmortemError> {
    let wanted: Vec<Key> = keys.iter().filter(|key| !found.contains_key(key)).cloned().collect();
    for some in wanted.chunks(AT_ONCE) {
        let items = app.table.read(some).await?;
        found.extend(items.into_iter().filter_map(|(key, item)| Some((key, store::incident(&item)?))));
    }
    Ok(())
}

/// The first days of the months whose incidents are read.
fn dates(incidents: &BTreeMap<Key, Incident>, now: Timestamp) -> BTreeSet<Date> {
    let first = local_date(now).first_of_month();
    let back = (0..=MONTHS_BACK).filter_map(|months| first.checked_sub(Span::new().months(months)).ok());
    let open = incidents.values().filter(|incident| incident.is_open());
    back.chain(open.map(|incident| local_date(incident.first_at).first_of_month())).collect()
}

/// Brings the stored texts of open post-mortems up to date with the repository.
async fn documents(app: &App, looked: &mut Looked, invocation: &Invocation) -> Result<(), PostmortemError> {
    if !app.has_folder() {
        return Ok(());
    }
    for (id, postmortem) in looked.journal.postmortems.iter().filter(|(_, one)| one.state.is_open()) {
        match paper::current(app, id, invocation).await {
            Ok((_, true)) => {}
            Ok((_, false)) if postmortem.pull_request.is_none() => looked.to_offer.push(id.clone()),
            // A person closed the pull request: the stored text counts.
            Ok((_, false)) => {}
            Err(PostmortemError::Repository(error)) => {
                looked.seen.not_seen.insert(id.clone(), chain(&error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Which actions the board knows to be done.
async fn actions(app: &App, looked: &mut Looked, invocation: &Invocation) {
    let waiting: Vec<_> = looked
        .journal
        .postmortems
        .iter()
        .flat_map(|(id, one)| one.actions.iter().map(move |task| (id, task)))
        .filter(|(_, task)| task.issue.is_some() && task.done_at.is_none())
        .collect();
    if waiting.is_empty() {
        return;
    }
    let work = async {
        match board(app, invocation).await? {
            Some(board) => Ok(board.issues().await?),
            None => Ok::<_, shared::github::board::BoardError>(Vec::new()),
        }
    };
    match work.await {
        Ok(issues) => {
            let is_done =
                |id: &str, task| issue(&issues, id, task).is_some_and(|issue| issue.state == "closed");
            let done = waiting.iter().filter(|(id, task)| is_done(id, task));
            looked.done = done.map(|(id, task)| ((*id).clone(), task.number)).collect();
        }
        Err(error) => {
            let why = chain(&error);
            looked.seen.not_seen.extend(waiting.iter().map(|(id, _)| ((*id).clone(), why.clone())));
        }
    }
}
