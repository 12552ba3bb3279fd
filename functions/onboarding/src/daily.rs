//! The daily run, on the audits' course. Its pages do not wait for the end of a first week: what is late here is late because of
//! something that a person asked this product for.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use shared::audit::course::{self, Acted, Audit, Before, Last, News, Paging};
use shared::audit::findings::{Changes, about_of, changes, listed};
use shared::audit::first_week::{FirstWeek, Held};
use shared::run::base::Base;
use shared::run::evidence::Step;
use shared::run::notify::Message;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;

use crate::error::OnboardingError;
use crate::look::access;
use crate::request::{self, local};
use crate::rules::access::{Access, Read};
use crate::rules::checklist::observe;
use crate::rules::finding::{Finding, Found, Seen, findings, is_reminded, slack};
use crate::rules::person::{People, is_id};
use crate::{App, PROCEDURE, Report, board, text};

/// Time reserved for pages, actions and report.
const ACTING: Duration = Duration::from_secs(240);

/// Time reserved for the report, which reads the evidence first.
pub(crate) const REPORTING: Duration = Duration::from_secs(45);

/// What a run found.
pub struct Checked {
    found: Vec<Found>,
    people: People,
    access: Access,
    before: Before,
}

/// What a run did.
#[derive(Default)]
pub struct Done {
    /// For the answer.
    pub(crate) report: Report,
    /// For the channel.
    lines: Vec<String>,
    /// Ids of the mentors' Slack users.
    mentors: Vec<String>,
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
    type Error = OnboardingError;

    const REPORTING: Duration = REPORTING;

    fn base(&self) -> &Base {
        &self.base
    }

    async fn check(&self, invocation: &Invocation) -> Result<(Checked, Vec<Step>), OnboardingError> {
        let read = async {
            let people = self.people().await?;
            let access = Box::pin(access(self)).await;
            Ok::<_, OnboardingError>((people, access, Last::noted(self.documents()).await))
        };
        let (mut people, access, before) = invocation.before_deadline(ACTING, Box::pin(read)).await??;
        let now = local(invocation.now);
        // As it will be noted below.
        for person in people.people.values_mut().filter(|person| person.is_new(now.date())) {
            observe(person, &access, invocation.now);
        }
        let policy = &self.base.settings.policy;
        let found = findings(Seen { people: &people, access: &access, policy, now });
        let new = people.people.values().filter(|person| person.is_new(now.date())).count();
        let left = people.people.values().filter(|person| person.has_left(now.date())).count();
        let looked = format!("look at {} people: {new} new, {left} left", people.people.len());
        let was_read = |read: &Read<_>| match read {
            Read::NotCovered => "not covered".to_owned(),
            Read::Known(_) => "read".to_owned(),
            Read::Unknown(why) => format!("not read: {why}"),
        };
        let steps = vec![
            Step::now(looked, "succeeded"),
            Step::now("IAM group", was_read(&access.group)),
            Step::now("Grafana", was_read(&access.grafana)),
            Step::now(
                "accounts that are no person's",
                format!("{} in the policy", policy.onboarding.accounts.len()),
            ),
        ];
        Ok((Checked { found, people, access, before }, steps))
    }

    fn subject(&self) -> String {
        format!("operations team of {}-{}", self.base.settings.project, self.base.settings.environment)
    }

    fn lines(&self, checked: &Checked, _: Timestamp) -> Vec<String> {
        checked.found.iter().map(text::finding::line).collect()
    }

    async fn before(&self, checked: &Checked) -> Before {
        checked.before.clone()
    }

    fn run_id(&self, day: &str, last: Option<&Last>, keys: &BTreeSet<String>) -> String {
        course::run_id(day, last, keys)
    }

    fn changes(&self, checked: &Checked, last: &[String], keys: &BTreeSet<String>) -> Changes {
        // Access that could not be read is not gone, and of who is not in the list nothing is seen.
        let is_unseen = |key: &str| {
            let parts: Vec<&str> = about_of(key).split('/').collect();
            let is_lost = |id: &&str| is_id(id) && !checked.people.people.contains_key(*id);
            let is_unread = |found: &Found| {
                matches!(found.finding, Finding::NotSeen(_)) && parts.contains(&found.about.as_str())
            };
            parts.iter().any(is_lost) || checked.found.iter().any(is_unread)
        };
        changes(last, keys, is_unseen)
    }

    fn passes(&self, checked: &Checked) -> bool {
        !checked.found.iter().any(|found| found.finding.fails())
    }

    fn pages(&self, checked: &Checked, _: &Before, _: Option<FirstWeek>, _: Timestamp) -> Paging {
        let pages = text::finding::pages(&self.base.settings, &checked.found);
        Paging { pages, held: Held::default(), step: None }
    }

    async fn act(&self, checked: &Checked, _: Option<FirstWeek>, invocation: &Invocation) -> Acted<Done> {
        let mut acted =
            Acted { done: Done::default(), steps: Vec::new(), lines: Vec::new(), has_news: false };
        let work = Box::pin(act(self, checked, &mut acted, invocation));
        if let Err(late) = invocation.before_deadline(REPORTING, work).await {
            self.base.reporter.lost("TaskFailures", "TaskFailed", &chain(&late), "the rest of the daily run");
            acted.steps.push(Step::now("act", format!("failed: {late}")));
        }
        acted.done.lines = lines(&acted.done.report, self.base.settings.language);
        acted.has_news = !acted.done.lines.is_empty();
        acted
    }

    fn place(&self, _: &Done) -> String {
        format!("s3://{}/evidence/{PROCEDURE}/", self.base.reporter.documents.bucket)
    }

    fn summary(&self, checked: &Checked, news: &News<'_>, done: &Done, _: Timestamp) -> Message {
        let Checked { found, access, .. } = checked;
        let message = text::summary::summary(&self.base.settings, found, access, news, &done.lines);
        message.addressed(done.mentors.clone())
    }

    fn failed(&self, run_id: &str, error: &OnboardingError) -> Message {
        let settings = &self.base.settings;
        text::summary::failed(settings, run_id, &chain(error), &error.next_step(settings.language))
    }

    async fn finish(&self, checked: &Checked, _: &Done, invocation: &Invocation) {
        let day = local(invocation.now).date().to_string();
        Last::note(self.documents(), &day, self.lines(checked, invocation.now)).await;
    }

    fn not_paged(count: usize) -> OnboardingError {
        OnboardingError::PageFailed(count)
    }
}

/// Does what is left to do. One thing that fails holds up no other: it is logged, counted, and tried again the next day.
async fn act(app: &App, checked: &Checked, acted: &mut Acted<Done>, invocation: &Invocation) {
    let Checked { people, access, before, .. } = checked;
    let last = before.as_ref().ok().and_then(Option::as_ref);
    let last: Option<Date> = last.and_then(|last| last.run_id.get(..10)?.parse().ok());
    let policy = &app.base.settings.policy;
    let now = local(invocation.now);
    let today = now.date();
    for noted in &people.unreported {
        let run = &noted.run;
        let result = Box::pin(request::report_pending(app, run, access, Vec::new(), invocation)).await;
        let result = result.map(|is_written| if is_written { "succeeded" } else { "failed" });
        note(app, acted, format!("record {run}"), result);
    }
    let identify =
        |people: &mut People| people.people.values_mut().for_each(|person| access.identify(person));
    if let Err(error) = app.amend(identify).await {
        note(app, acted, "users of Grafana".to_owned(), Err(error));
    }
    for (id, person) in &people.people {
        let is_due = person.forget_on(policy.onboarding.forget_days).is_some_and(|day| day <= today);
        if is_due && !access.of(person, policy, now).iter().any(|(_, one)| one.may_remain()) {
            let result = Box::pin(request::delete(app, id, person, access, invocation)).await;
            let result = result.map(|closed| {
                acted.done.report.forgotten.push(id.clone());
                acted.done.report.closed.extend(closed);
                "succeeded"
            });
            note(app, acted, format!("forget {id}"), result);
            continue;
        }
        if !person.is_new(today) {
            continue;
        }
        match Box::pin(request::complete(app, id, access, invocation)).await {
            Ok(true) => acted.done.report.completed.push(id.clone()),
            Ok(false) => {}
            Err(error) => note(app, acted, format!("complete {id}"), Err(error)),
        }
        let is_open = checked.found.iter().any(|found| {
            let is_about = matches!(found.finding, Finding::OnboardingDueSoon { .. });
            is_about && found.person() == Some(id)
        });
        if is_open && is_reminded(person, policy, last, today) {
            acted.done.report.reminded.push(id.clone());
        }
    }
    let reminded = acted.done.report.reminded.iter();
    let late =
        checked.found.iter().filter(|found| matches!(found.finding, Finding::OnboardingOverdue { .. }));
    let whom: BTreeSet<&str> = reminded.map(String::as_str).chain(late.filter_map(Found::person)).collect();
    let mentors: BTreeSet<String> =
        whom.into_iter().filter_map(|id| slack(people.people.get(id)?, people, policy, today)).collect();
    acted.done.mentors = mentors.into_iter().collect();
    // With what was completed and deleted above.
    let settled = match app.people().await {
        Ok(people) => Box::pin(board::settle(app, &people, access, now, invocation)).await,
        Err(error) => Err(error),
    };
    match settled {
        Ok(settled) => {
            if let Some(reason) = settled.failed {
                acted.steps.push(Step::now("tasks", format!("failed: {reason}")));
            }
            acted.done.report.opened = settled.opened;
            acted.done.report.closed.extend(settled.closed);
        }
        Err(error) => note(app, acted, "tasks".to_owned(), Err(error)),
    }
}

/// Notes in the record what became of something.
fn note(app: &App, acted: &mut Acted<Done>, what: String, result: Result<&str, OnboardingError>) {
    let outcome = match result {
        Ok(outcome) => outcome.to_owned(),
        Err(error) => {
            let reason = chain(&error);
            app.base.reporter.lost("TaskFailures", "TaskFailed", &reason, &what);
            format!("failed: {reason}")
        }
    };
    acted.steps.push(Step::now(what, outcome));
}

/// The channel's lines about what a run did.
fn lines(report: &Report, language: Language) -> Vec<String> {
    let numbers = |all: &[u64]| all.iter().map(|number| format!("#{number}")).collect::<Vec<_>>();
    [
        (language.pick("Lembrete ao mentor de:", "Reminder for the mentor of:"), report.reminded.clone()),
        (language.pick("Dados apagados de:", "Data deleted of:"), report.forgotten.clone()),
        (language.pick("Tarefas abertas:", "Tasks opened:"), numbers(&report.opened)),
        (language.pick("Tarefas fechadas:", "Tasks closed:"), numbers(&report.closed)),
    ]
    .into_iter()
    .filter(|(_, all)| !all.is_empty())
    .map(|(label, all)| format!("{label} {}.", listed(all, 600)))
    .collect()
}
