//! What a daily run reads: the journal, the incidents, the documents, the board.

use std::collections::{BTreeMap, BTreeSet};

use incident::Incident;
use incident::store::{self, Key};
use jiff::civil::Date;
use jiff::{Span, Timestamp};
use shared::github::board::BoardError;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

use crate::begin::is_settled;
use crate::board::{LABEL, board, issue};
use crate::error::PostmortemError;
use crate::paper::Held;
use crate::rules::finding::Seen;
use crate::rules::journal::Journal;
use crate::rules::metrics::{month, repeated};
use crate::rules::wanted::{LATE, NotNeeded, local_date, since, wanted};
use crate::{App, paper};

/// Months before the present one whose incidents are read: a document that was lost, and numbers that change after a month's
/// end.
const MONTHS_BACK: i8 = 2;

/// Most keys of one read of the table.
const AT_ONCE: usize = 100;

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
    let incidents = incidents(app, &mut looked, now).await?;
    let began = app.base.reporter.began().await;
    for incident in incidents.values() {
        let id = &incident.id;
        let known = looked.journal.postmortems.get(id);
        let needed = wanted(incident, policy, known.is_some_and(|known| !known.asked_by.is_empty()));
        if needed.is_ok() && is_settled(incident, policy.incidents.flap_minutes, now) {
            let resolved_at = incident.resolved_at.unwrap_or(now);
            let is_due = known.map_or(resolved_at >= since(began, now), |known| !known.has(resolved_at));
            if is_due {
                looked.to_begin.push(id.clone());
                if now.duration_since(resolved_at) > LATE {
                    let why = format!("resolved {}", time::local(resolved_at));
                    looked.seen.not_begun.insert(id.clone(), why);
                }
            } else if known.is_none() && began == Some(Timestamp::MIN) {
                looked.seen.miss(id, "it has no post-mortem, and it is not known whether it ended before this function's first record, which could not be read");
            }
        }
        if let Some(known) = known.filter(|known| known.state.is_open()) {
            match needed {
                Err(no) => looked.to_drop.push((id.clone(), no)),
                Ok(()) if incident.is_open() || incident.resolved_at != Some(known.resolved_at) => {
                    looked.seen.going_on.insert(id.clone());
                }
                Ok(()) => {}
            }
        }
        if let Some(again) = repeated(incident, &looked.journal).filter(|_| needed.is_ok()) {
            looked.seen.repeated.insert((again.after, again.incident));
        }
    }
    documents(app, &mut looked, invocation).await?;
    actions(app, &mut looked, invocation).await;
    let dates = dates(&incidents, &looked.journal, now);
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

/// The incidents of the last months and of those in which an open one began, and those with an open post-mortem. One that cannot
/// be read is noted as such.
async fn incidents(
    app: &App,
    looked: &mut Looked,
    now: Timestamp,
) -> Result<BTreeMap<Key, Incident>, PostmortemError> {
    let of_open = looked.journal.postmortems.iter().filter(|(_, one)| one.state.is_open());
    let mut keys: BTreeSet<Key> = of_open.map(|(id, _)| Key::incident(id)).collect();
    keys.extend(app.table.open().await?);
    let mut found = BTreeMap::new();
    read(app, &keys, &mut found).await?;
    for date in dates(&found, &looked.journal, now) {
        let more: BTreeSet<Key> = app.table.of_month(date).await?.into_iter().collect();
        read(app, &more, &mut found).await?;
        keys.extend(more);
    }
    for key in keys.iter().filter(|key| !found.contains_key(key)) {
        let id = key.pk.rsplit('#').next().unwrap_or_default();
        looked.seen.miss(id, "its item in the table of incidents is missing or cannot be read");
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
fn dates(incidents: &BTreeMap<Key, Incident>, journal: &Journal, now: Timestamp) -> BTreeSet<Date> {
    let first = local_date(now).first_of_month();
    let back = (0..=MONTHS_BACK).filter_map(|months| first.checked_sub(Span::new().months(months)).ok());
    let open = incidents.values().filter(|incident| incident.is_open());
    let open = open.map(|incident| local_date(incident.first_at).first_of_month());
    // One that has ended since is missing in that month's numbers.
    let unfinished = journal.open_months.iter().filter_map(|month| format!("{month}-01").parse().ok());
    back.chain(open).chain(unfinished).collect()
}

/// Brings the stored texts of open post-mortems up to date with the repository.
async fn documents(app: &App, looked: &mut Looked, invocation: &Invocation) -> Result<(), PostmortemError> {
    if !app.has_folder() {
        return Ok(());
    }
    for (id, postmortem) in looked.journal.postmortems.iter().filter(|(_, one)| one.state.is_open()) {
        match paper::current(app, id, invocation).await {
            Ok((_, held)) => {
                if postmortem.pull_request.is_none() && held != Held::Merged {
                    looked.to_offer.push(id.clone());
                }
            }
            Err(PostmortemError::Repository(error)) => {
                looked.seen.miss(id, &chain(&error));
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
            Some(board) => Ok(Some(board.issues().await?)),
            None => Ok::<_, BoardError>(None),
        }
    };
    match work.await {
        // People say what is done.
        Ok(None) => {}
        Ok(Some(issues)) => {
            for (id, task) in waiting {
                match issue(&issues, id, task) {
                    Some(issue) if issue.is_done() => looked.done.push((id.clone(), task.number)),
                    Some(issue) if issue.state == "closed" => {
                        let why = issue.state_reason.clone().unwrap_or_default();
                        looked.seen.rejected.insert((id.clone(), task.number), why);
                    }
                    Some(_) => {}
                    None => {
                        let (number, issue) = (task.number, task.issue.unwrap_or_default());
                        let why = format!(
                            "issue #{issue} of action {number} is not among those with the label {LABEL}: give it the label again, or say that the action is done"
                        );
                        looked.seen.miss(id, &why);
                    }
                }
            }
        }
        Err(error) => {
            let why = chain(&error);
            let ids: BTreeSet<&String> = waiting.iter().map(|(id, _)| *id).collect();
            ids.into_iter().for_each(|id| looked.seen.miss(id, &why));
        }
    }
}
