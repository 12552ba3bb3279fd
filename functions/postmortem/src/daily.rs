//! The daily run, on the audits' course. Its pages do not wait for the end of a first week: what is late here is late because of
//! something that this product itself began.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use shared::audit::course::{self, Acted, Audit, Before, Last, News, Paging};
use shared::audit::findings::{Changes, about_of, changes, listed};
use shared::audit::first_week::{FirstWeek, Held};
use shared::run::base::Base;
use shared::run::evidence::Step;
use shared::run::notify::Message;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;

use crate::board::BOARD;
use crate::error::PostmortemError;
use crate::look::{Looked, look};
use crate::rules::finding::{Finding, Found, findings};
use crate::rules::journal::{Postmortem, State};
use crate::rules::metrics::{Group, Metrics};
use crate::rules::wanted::{NotNeeded, local_date};
use crate::{App, PROCEDURE, Report, begin, board, measure, paper, tell, text};

/// Time reserved for pages, actions and report.
const ACTING: Duration = Duration::from_secs(240);

/// Time reserved for the report, which reads the evidence first.
const REPORTING: Duration = Duration::from_secs(45);

/// Begins the outcome of a step that failed.
const FAILED: &str = "failed";

/// What a run found.
pub struct Checked {
    found: Vec<Found>,
    looked: Looked,
    /// Whether something that was to be done failed.
    has_failed: AtomicBool,
}

/// What a run did.
#[derive(Default)]
pub struct Done {
    /// For the answer.
    pub(crate) report: Report,
    /// For the channel.
    lines: Vec<String>,
}

impl Checked {
    /// Kind and subject of each finding.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.found.iter().map(text::finding::key).collect()
    }
}

impl Audit for App {
    type Outcome = Checked;
    type Done = Done;
    type Error = PostmortemError;

    const REPORTING: Duration = REPORTING;

    fn base(&self) -> &Base {
        &self.base
    }

    async fn check(&self, invocation: &Invocation) -> Result<(Checked, Vec<Step>), PostmortemError> {
        let looked = invocation.before_deadline(ACTING, Box::pin(look(self, invocation))).await??;
        let calendar = &self.base.settings.policy.incidents.calendar;
        let mut known = looked.journal.clone();
        // What is done or no longer needed is not late.
        for (id, number) in &looked.done {
            let tasks = known.postmortems.get_mut(id).into_iter().flat_map(|one| &mut one.actions);
            tasks.filter(|task| task.number == *number).for_each(|task| task.done_at = Some(invocation.now));
        }
        for (id, _) in &looked.to_drop {
            known.postmortems.get_mut(id).into_iter().for_each(|one| one.state = State::Dropped);
        }
        let found = findings(&known, &looked.seen, local_date(invocation.now), calendar);
        let step = format!("look at {} post-mortems", looked.journal.postmortems.len());
        let has_failed = AtomicBool::new(false);
        Ok((Checked { found, looked, has_failed }, vec![Step::now(step, "succeeded")]))
    }

    fn subject(&self) -> String {
        format!("incidents of {}-{}", self.base.settings.project, self.base.settings.environment)
    }

    fn lines(&self, checked: &Checked, _: Timestamp) -> Vec<String> {
        checked.found.iter().map(text::finding::line).collect()
    }

    async fn before(&self, _: &Checked) -> Before {
        Last::noted(self.documents()).await
    }

    fn run_id(&self, day: &str, last: Option<&Last>, keys: &BTreeSet<String>) -> String {
        course::run_id(day, last, keys)
    }

    fn changes(&self, checked: &Checked, last: &[String], keys: &BTreeSet<String>) -> Changes {
        // An action that the board did not show is not done.
        let is_unseen = |key: &str| {
            let about = about_of(key);
            checked.found.iter().any(|found| {
                matches!(found.finding, Finding::NotSeen(_)) && about.starts_with(&found.incident)
            })
        };
        changes(last, keys, is_unseen)
    }

    fn passes(&self, checked: &Checked) -> bool {
        !checked.has_failed.load(Ordering::Relaxed)
            && !checked.found.iter().any(|found| found.finding.fails())
    }

    fn pages(&self, checked: &Checked, _: &Before, _: Option<FirstWeek>, _: Timestamp) -> Paging {
        let pages = text::finding::pages(&self.base.settings, &checked.found);
        Paging { pages, held: Held::default(), step: None }
    }

    async fn act(&self, checked: &Checked, _: Option<FirstWeek>, invocation: &Invocation) -> Acted<Done> {
        let mut acted =
            Acted { done: Done::default(), steps: Vec::new(), lines: Vec::new(), has_news: false };
        let work = Box::pin(act(self, &checked.looked, &mut acted, invocation));
        if let Err(late) = invocation.before_deadline(REPORTING, work).await {
            self.base.reporter.lost("TaskFailures", "TaskFailed", &chain(&late), "the rest of the daily run");
            acted.steps.push(Step::now("act", format!("{FAILED}: {late}")));
        }
        let has_failed = acted.steps.iter().any(|step| step.outcome.starts_with(FAILED));
        checked.has_failed.store(has_failed, Ordering::Relaxed);
        acted.done.lines = lines(&acted.done.report, self.base.settings.language);
        acted.has_news = !acted.done.lines.is_empty();
        acted
    }

    fn place(&self, _: &Done) -> String {
        format!("s3://{}/evidence/{PROCEDURE}/", self.base.reporter.documents.bucket)
    }

    fn summary(&self, checked: &Checked, news: &News<'_>, done: &Done, _: Timestamp) -> Message {
        text::summary::summary(&self.base.settings, &checked.found, news, &done.lines)
    }

    fn failed(&self, run_id: &str, error: &PostmortemError) -> Message {
        let settings = &self.base.settings;
        text::summary::failed(settings, run_id, &chain(error), &error.next_step(settings.language))
    }

    async fn finish(&self, checked: &Checked, _: &Done, invocation: &Invocation) {
        let day = local_date(invocation.now).to_string();
        Last::note(self.documents(), &day, self.lines(checked, invocation.now)).await;
    }

    fn not_paged(count: usize) -> PostmortemError {
        PostmortemError::PageFailed(count)
    }
}

/// Does what is left to do. One thing that fails holds up no other: it is logged, counted, and tried again the next day.
async fn act(app: &App, looked: &Looked, acted: &mut Acted<Done>, invocation: &Invocation) {
    for (id, why) in &looked.to_drop {
        let begun = looked.journal.postmortems.get(id).map_or(0, |one| one.begun);
        let result = Box::pin(drop_one(app, id, begun, *why, invocation)).await;
        note(app, acted, format!("drop {id}: {}", why.name()), result.map(|()| "succeeded".to_owned()));
    }
    for id in &looked.to_begin {
        let result = Box::pin(begin::begin(app, id, None, invocation)).await;
        if result.is_ok() {
            acted.done.report.begun.push(id.clone());
        }
        note(app, acted, format!("begin {id}"), result.map(|one| one.outcome.to_owned()));
    }
    for id in &looked.to_offer {
        let result = Box::pin(offer(app, looked, id, invocation)).await;
        note(app, acted, format!("pull request of {id}"), result);
    }
    for (id, number) in &looked.done {
        let change = |postmortem: &mut Postmortem| {
            let task = postmortem.actions.iter_mut().find(|task| task.number == *number);
            task.into_iter().for_each(|task| task.finish(invocation.now, BOARD, ""));
        };
        let result = app.amend(id, change).await;
        if result.is_ok() {
            acted.done.report.done.push(format!("{id}/{number}"));
        }
        note(app, acted, format!("done {id}/{number}"), result.map(|_| "succeeded".to_owned()));
    }
    if app.place.is_some() {
        for (id, postmortem) in &looked.journal.postmortems {
            match Box::pin(board::open(app, id, postmortem, invocation)).await {
                Ok(opened) => {
                    acted.done.report.opened.extend(opened.issues);
                    let failed = opened.failed.map(|reason| format!("{FAILED}: {reason}"));
                    acted.steps.extend(failed.map(|outcome| Step::now(format!("issues of {id}"), outcome)));
                }
                Err(error) => note(app, acted, format!("issues of {id}"), Err(error)),
            }
        }
    }
    for (month, incidents) in &looked.months {
        let result = Box::pin(measure::write(app, month, incidents, &looked.journal, invocation.now)).await;
        if result.is_ok() {
            acted.done.report.months.push(month.clone());
        }
        let result = result.map(|made| numbers(&made)).map_err(PostmortemError::from);
        note(app, acted, format!("metrics {month}"), result);
    }
}

/// Notes in the record what became of something.
fn note(app: &App, acted: &mut Acted<Done>, what: String, result: Result<String, PostmortemError>) {
    let outcome = result.unwrap_or_else(|error| {
        let reason = chain(&error);
        app.base.reporter.lost("TaskFailures", "TaskFailed", &reason, &what);
        format!("{FAILED}: {reason}")
    });
    acted.steps.push(Step::now(what, outcome));
}

async fn drop_one(
    app: &App,
    id: &str,
    begun: u32,
    why: NotNeeded,
    invocation: &Invocation,
) -> Result<(), PostmortemError> {
    let entry = text::dropped(why, app.base.settings.language);
    tell::tell(app, id, &entry, &format!("dropped/{begun}"), invocation).await?;
    // A person may have closed it meanwhile.
    let change = |postmortem: &mut Postmortem| {
        if postmortem.state.is_open() {
            postmortem.state = State::Dropped;
        }
    };
    app.amend(id, change).await?;
    Ok(())
}

async fn offer(
    app: &App,
    looked: &Looked,
    id: &str,
    invocation: &Invocation,
) -> Result<String, PostmortemError> {
    let document = paper::stored(app, id).await?;
    let title = looked.journal.postmortems.get(id).map(|one| one.title.as_str()).unwrap_or_default();
    let number = paper::offer(app, id, title, &document, &document, invocation).await?;
    app.amend(id, |postmortem| postmortem.pull_request = number.or(postmortem.pull_request)).await?;
    Ok(number.map_or_else(|| "merged".to_owned(), |number| format!("#{number}")))
}

/// The channel's lines about what a run did.
fn lines(report: &Report, language: Language) -> Vec<String> {
    let numbers = report.opened.iter().map(|number| format!("#{number}")).collect::<Vec<_>>();
    [
        (language.pick("Documento aberto:", "Document begun:"), report.begun.clone()),
        (language.pick("Tarefas abertas:", "Tasks opened:"), numbers),
        (language.pick("Ações feitas:", "Actions done:"), report.done.clone()),
    ]
    .into_iter()
    .filter(|(_, all)| !all.is_empty())
    .map(|(label, all)| format!("{label} {}.", listed(all, 600)))
    .collect()
}

/// The numbers of a month, in one line of the record.
fn numbers(metrics: &Metrics) -> String {
    let seconds = |value: Option<i64>| value.map_or_else(|| "none".to_owned(), |value| format!("{value} s"));
    let rows = metrics.rows.iter().filter(|row| row.group == Group::Incident).map(|row| {
        format!(
            "{} {}: TTA {} of {}, median {}, p90 {}; TTR {} of {}, median {}, p90 {}",
            row.severity.name(),
            row.incidents,
            row.tta.count,
            row.incidents,
            seconds(row.tta.median_seconds),
            seconds(row.tta.p90_seconds),
            row.ttr.count,
            row.incidents,
            seconds(row.ttr.median_seconds),
            seconds(row.ttr.p90_seconds),
        )
    });
    let rows: Vec<String> = rows.collect();
    let (unacknowledged, repeated) = (metrics.unacknowledged.len(), metrics.repeated.len());
    format!("{}; {unacknowledged} unacknowledged, {repeated} repeated", rows.join("; "))
}
