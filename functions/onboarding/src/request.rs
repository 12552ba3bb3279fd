//! What people ask about a person. Each request takes effect once, however often it comes; its record says what happened to
//! which id, and who asked only as the person, the mentor, or nobody.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use shared::chain::{Record, Stack, sha256};
use shared::policy::{Onboarding, is_same_name};
use shared::run::evidence::{Draft, Step};
use shared::runtime::event::InvalidEvent;
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

use crate::daily::REPORTING;
use crate::error::OnboardingError;
use crate::event::{Acknowledge, Change, Leave, Shadow, Start};
use crate::look::access;
use crate::rules::access::{Access, Membership, Place, owner};
use crate::rules::checklist::{Item, State, checklist, is_complete, items, observe};
use crate::rules::finding::{Finding, Found, Seen, findings, of_leaver, slack};
use crate::rules::person::{self, By, DELETED, Evidence, FORGOTTEN, People, Person, Tick, after};
use crate::rules::shadow::{self, fits};
use crate::{AccessLine, Account, Answer, App, ItemLine, One, aws, board, text};

/// The trigger of a request's record. Names of people are not in records.
const TRIGGER: &str = "request";

/// The present in São Paulo.
pub(crate) fn local(now: Timestamp) -> DateTime {
    now.to_zoned_datetime(time::SAO_PAULO).datetime()
}

fn policy(app: &App) -> &Onboarding {
    &app.base.settings.policy.onboarding
}

/// Begins a person's checklist, records and tells it, and opens the task for access.
///
/// # Errors
///
/// [`OnboardingError`]; the person sees it.
pub(crate) async fn start(app: &App, asked: &Start, invocation: &Invocation) -> Result<One, OnboardingError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|_| OnboardingError::NoRandomness)?;
    let new_id = person::id(random);
    let new = Person {
        name: asked.name.clone(),
        role: asked.role.clone(),
        mentor: asked.mentor.clone(),
        start: asked.start,
        due: after(asked.start, policy(app).due_days),
        iam_user: asked.iam_user.clone(),
        grafana_login: asked.grafana_login.clone(),
        policy_name: asked.policy_name.clone(),
        asked: sha256(&serde_json::to_vec(asked).unwrap_or_default()),
        ..Person::default()
    };
    let today = local(invocation.now).date();
    let change = |people: &mut People| {
        // The name may have been corrected since.
        let repeated = people.people.iter().find(|(_, known)| known.asked == new.asked);
        let known = repeated.or_else(|| people.people.get_key_value(people.id_of(&new.name)?));
        if let Some((id, known)) = known {
            return match (known.has_left(today), known.asked == new.asked) {
                (true, _) => Err(OnboardingError::HasLeft(id.clone())),
                (_, false) => Err(OnboardingError::NameTaken(id.clone())),
                (_, true) => Ok((id.clone(), "unchanged")),
            };
        }
        if people.people.contains_key(&new_id) {
            return Err(OnboardingError::Busy);
        }
        people.people.insert(new_id.clone(), new.clone());
        people.note(&new_id, BEGUN, format!("due {}", new.due), invocation.now);
        Ok((new_id.clone(), "begun"))
    };
    let (id, outcome) = app.amend(change).await??;
    Box::pin(settle(app, &id, outcome, invocation)).await
}

/// Ticks an item that a person says is done.
///
/// # Errors
///
/// [`OnboardingError`]; the person sees it.
pub(crate) async fn acknowledge(
    app: &App,
    asked: &Acknowledge,
    invocation: &Invocation,
) -> Result<One, OnboardingError> {
    let id = &asked.person;
    let people = app.people().await?;
    let person = active(&people, id, local(invocation.now))?;
    let all = items(policy(app));
    let Some(item) = all.iter().find(|item| item.key() == asked.item) else {
        let keys: Vec<_> = all.iter().map(Item::key).collect();
        return Err(OnboardingError::NoItem(keys.join(", ")));
    };
    let access = Box::pin(access(app)).await;
    let not_theirs = |expected| OnboardingError::NotTheirs { person: id.clone(), item: item.key(), expected };
    let may = |by| item.may_be_said_by(by, &access);
    match (may(By::Person), may(By::Mentor)) {
        (false, false) => Err(OnboardingError::NotSaid(item.key(), text::instead(item))),
        (is_persons, _) => {
            let expected = if is_persons { "the person or the mentor" } else { "the mentor" };
            let by = person.who(&asked.by).filter(|by| may(*by)).ok_or_else(|| not_theirs(expected))?;
            Box::pin(tick(app, id, &item.key(), by, None, invocation)).await
        }
    }
}

/// Ticks an item by the record of a run that the person accompanied.
///
/// # Errors
///
/// [`OnboardingError`]; the person sees it.
pub(crate) async fn shadow(
    app: &App,
    asked: &Shadow,
    invocation: &Invocation,
) -> Result<One, OnboardingError> {
    let id = &asked.person;
    let people = app.people().await?;
    let person = active(&people, id, local(invocation.now))?;
    // The event was checked.
    let no_record = || OnboardingError::NoRecord(asked.procedure.clone());
    let (procedure, shadowing) = shadow::known(&asked.procedure).ok_or_else(no_record)?;
    let item = Item::Shadowing(shadowing);
    let all = items(policy(app));
    if !all.contains(&item) {
        let keys: Vec<_> = all.iter().map(Item::key).collect();
        return Err(OnboardingError::NoItem(keys.join(", ")));
    }
    if person.who(&asked.by) != Some(By::Mentor) {
        return Err(OnboardingError::NotTheirs {
            person: id.clone(),
            item: item.key(),
            expected: "the mentor",
        });
    }
    let settings = &app.base.settings;
    let stack = Stack { project: settings.project.clone(), environment: settings.environment.clone() };
    let stored = Box::pin(aws::record(app.documents(), procedure, &asked.run, stack)).await?;
    let record: Record<'_> = serde_json::from_slice(&stored.bytes).map_err(|_| no_record())?;
    let context = shadow::Context {
        policy: policy(app),
        environment: &settings.environment,
        jwt_secret: &app.jwt_secret,
        now: invocation.now,
    };
    fits(&record, shadowing, person, context).map_err(|misfit| OnboardingError::Misfit {
        procedure: procedure.to_owned(),
        item: item.key(),
        reason: misfit.reason(),
    })?;
    let evidence = Evidence {
        procedure: procedure.to_owned(),
        run: asked.run.clone(),
        key: stored.link.key,
        sha256: stored.link.sha256,
    };
    Box::pin(tick(app, id, &item.key(), By::Mentor, Some(evidence), invocation)).await
}

/// Ticks an item, unless it is ticked, and records the tick.
async fn tick(
    app: &App,
    id: &str,
    item: &str,
    by: By,
    evidence: Option<Evidence>,
    invocation: &Invocation,
) -> Result<One, OnboardingError> {
    let mut said = format!("said by the {}", by.word());
    if let Some(Evidence { procedure, run, key, sha256 }) = &evidence {
        said += &format!("; run {run} of {procedure}, {key}, SHA-256 {sha256}");
    }
    let new = Tick { at: invocation.now, by, evidence };
    let change = |people: &mut People| {
        let person = people.people.get_mut(id).ok_or_else(|| OnboardingError::NoPerson(id.to_owned()))?;
        if person.ticks.contains_key(item) {
            return Ok("unchanged");
        }
        person.ticks.insert(item.to_owned(), new.clone());
        people.note(id, &format!("ticked/{item}"), said.clone(), invocation.now);
        Ok::<_, OnboardingError>("changed")
    };
    let outcome = app.amend(change).await??;
    Box::pin(settle(app, id, outcome, invocation)).await
}

/// Changes what is known about a person.
///
/// # Errors
///
/// [`OnboardingError`]; the person sees it.
pub(crate) async fn change(
    app: &App,
    asked: &Change,
    invocation: &Invocation,
) -> Result<One, OnboardingError> {
    let id = &asked.person;
    // "No login" does not answer access that is seen or could not be looked up. For a person who has left, nor does another
    // login.
    let access = match asked.no_login.is_empty() && asked.grafana_login.is_none() {
        true => Access::default(),
        false => Box::pin(access(app)).await,
    };
    let today = local(invocation.now).date();
    let logins = [(Place::AwsGroup, &asked.iam_user), (Place::Grafana, &asked.grafana_login)];
    let logins = logins.into_iter().filter(|(_, login)| login.is_some());
    let said = logins.map(|(place, _)| format!("{}: login said", place.word()));
    let none =
        asked.no_login.iter().map(|place| format!("{}: {}", place.word(), word(&Membership::SaidNone)));
    let said: Vec<_> = said.chain(none).collect();
    let change = |people: &mut People| {
        let namesake = asked.name.as_deref().and_then(|name| people.id_of(name));
        if let Some(other) = namesake.filter(|other| *other != id.as_str()) {
            return Err(OnboardingError::NameTaken(other.to_owned()));
        }
        let person = people.people.get_mut(id).ok_or_else(|| OnboardingError::NoPerson(id.clone()))?;
        let seen = [(Place::AwsGroup, access.in_group(person)), (Place::Grafana, access.in_grafana(person))];
        let remains = seen.into_iter().filter(|(place, membership)| {
            let is_seen = matches!(membership, Membership::Member | Membership::Unknown(_));
            is_seen && asked.no_login.contains(place)
        });
        let mut places: Vec<_> = remains.map(|(place, _)| place.word()).collect();
        let is_lost = asked.grafana_login.as_deref().is_some_and(|login| access.would_lose(person, login));
        if person.has_left(today) && is_lost {
            places.push(Place::Grafana.word());
        }
        if !places.is_empty() {
            return Err(OnboardingError::AccessRemains { person: id.clone(), places: places.join(", ") });
        }
        let mut new = changed(person, asked)?;
        if new == *person {
            return Ok("unchanged");
        }
        new.changes += 1;
        let old = std::mem::replace(person, new.clone());
        for other in people.people.values_mut() {
            if old.is_called(&other.mentor) && !new.is_called(&other.mentor) {
                new.name_in_policy().clone_into(&mut other.mentor);
            }
        }
        let outcome = [vec![format!("due {}", new.due)], said.clone()].concat().join(", ");
        people.note(id, &format!("changed/{}", new.changes), outcome, invocation.now);
        Ok("changed")
    };
    let outcome = app.amend(change).await??;
    Box::pin(settle(app, id, outcome, invocation)).await
}

/// A person after a change.
fn changed(person: &Person, asked: &Change) -> Result<Person, InvalidEvent> {
    let mut new = person.clone();
    for (asked, text) in
        [(&asked.name, &mut new.name), (&asked.role, &mut new.role), (&asked.mentor, &mut new.mentor)]
    {
        asked.iter().for_each(|asked| asked.clone_into(text));
    }
    for (place, asked_login, login) in [
        (Place::AwsGroup, &asked.iam_user, &mut new.iam_user),
        (Place::Grafana, &asked.grafana_login, &mut new.grafana_login),
    ] {
        if asked_login.is_some() {
            login.clone_from(asked_login);
            new.no_login.remove(&place);
        }
        if asked.no_login.contains(&place) {
            *login = None;
            new.no_login.insert(place);
        }
    }
    if asked.policy_name.is_some() {
        new.policy_name.clone_from(&asked.policy_name);
    }
    if new.grafana_login != person.grafana_login {
        new.grafana_id = None;
    }
    new.start = asked.start.unwrap_or(new.start);
    new.due = asked.due.unwrap_or(new.due);
    if is_same_name(&new.name, &new.mentor) {
        let field = if asked.mentor.is_some() { "change.mentor" } else { "change.name" };
        return Err(InvalidEvent::at(field, "expected another name than that of the person or the mentor"));
    }
    if new.left.is_some_and(|left| left < new.start) {
        return Err(InvalidEvent::at(
            "change.start",
            "expected a day no later than the first one without access",
        ));
    }
    Ok(new)
}

/// Notes that a person leaves. From that day on, access that remains is a finding; on the day itself this request records,
/// tells and pages it, since the daily run may be over.
///
/// # Errors
///
/// [`OnboardingError`]; the person sees it.
pub(crate) async fn leave(app: &App, asked: &Leave, invocation: &Invocation) -> Result<One, OnboardingError> {
    let id = &asked.person;
    let change = |people: &mut People| {
        let person = people.people.get_mut(id).ok_or_else(|| OnboardingError::NoPerson(id.clone()))?;
        if asked.on < person.start {
            let early = InvalidEvent::at("leave.on", "expected no day before the person's first one");
            return Err(OnboardingError::from(early));
        }
        if person.left == Some(asked.on) {
            return Ok("unchanged");
        }
        person.left = Some(asked.on);
        person.leaves += 1;
        let what = left(asked.on, person.leaves);
        people.note(id, &what, format!("from {}", asked.on), invocation.now);
        Ok("left")
    };
    let outcome = app.amend(change).await??;
    let people = app.people().await?;
    let person = known(&people, id)?;
    let (settings, now) = (&app.base.settings, local(invocation.now));
    let access = Box::pin(access(app)).await;
    let remains = of_leaver(id, person, &access, &settings.policy, now);
    // The daily run's page, about all access that remains.
    let pages = match person.has_left(now.date()) && remains.iter().any(|found| found.finding.pages()) {
        true => {
            let seen = Seen { people: &people, access: &access, policy: &settings.policy, now };
            text::finding::pages(settings, &findings(seen))
        }
        false => Vec::new(),
    };
    let day = time::local_date(invocation.now);
    let paged = app.base.pager.all(&app.base.reporter, &day, pages, REPORTING, invocation).await;
    let steps = [(run_id(id, &left(asked.on, person.leaves)), paged.steps)].into();
    let one = Box::pin(settle_with(app, id, outcome, &access, &steps, invocation)).await?;
    match paged.failed {
        0 => Ok(one),
        failed => Err(OnboardingError::PageFailed(failed)),
    }
}

/// The part of the run id of the record that a person leaves.
fn left(on: Date, number: u32) -> String {
    format!("left/{on}/{number}")
}

/// Takes back that a person leaves.
///
/// # Errors
///
/// [`OnboardingError`]; the person sees it.
pub(crate) async fn stay(app: &App, id: &str, invocation: &Invocation) -> Result<One, OnboardingError> {
    let change = |people: &mut People| {
        let person = people.people.get_mut(id).ok_or_else(|| OnboardingError::NoPerson(id.to_owned()))?;
        if person.left.take().is_none() {
            return Ok("unchanged");
        }
        person.leaves += 1;
        let what = format!("stays/{}", person.leaves);
        people.note(id, &what, "the leaving was taken back".to_owned(), invocation.now);
        Ok::<_, OnboardingError>("changed")
    };
    let outcome = app.amend(change).await??;
    Box::pin(settle(app, id, outcome, invocation)).await
}

/// Deletes the data about a person who has left and has no access.
///
/// # Errors
///
/// [`OnboardingError`]; the person sees it.
pub(crate) async fn forget(app: &App, id: &str, invocation: &Invocation) -> Result<One, OnboardingError> {
    let people = app.people().await?;
    let forgotten = One { person: id.to_owned(), outcome: "forgotten", state: "forgotten", ..One::default() };
    let run = run_id(id, FORGOTTEN);
    let Some(person) = people.people.get(id) else {
        if people.unreported.iter().any(|noted| noted.run == run) {
            Box::pin(report_all(app, id, &Access::default(), &Paged::new(), invocation)).await?;
            return Ok(forgotten);
        }
        return match app.base.reporter.look(&run).await.is_recorded() {
            true => Ok(One { outcome: "unchanged", ..forgotten }),
            false => Err(OnboardingError::NoPerson(id.to_owned())),
        };
    };
    let now = local(invocation.now);
    if !person.has_left(now.date()) {
        return Err(OnboardingError::NotGone(id.to_owned()));
    }
    let access = Box::pin(access(app)).await;
    let of = access.of(person, &app.base.settings.policy, now);
    let places: Vec<_> =
        of.iter().filter(|(_, one)| one.may_remain()).map(|(place, _)| place.word()).collect();
    if !places.is_empty() {
        return Err(OnboardingError::AccessRemains { person: id.to_owned(), places: places.join(", ") });
    }
    Box::pin(delete(app, id, person, &access, invocation)).await?;
    Ok(forgotten)
}

/// The part of the run id of the record that a checklist begins.
const BEGUN: &str = "begun";

/// The same, that everything is done.
const COMPLETED: &str = "completed";

/// Closes the tasks about a person, deletes the data as it was seen, also the name from the data of others, and records it.
/// Returns the tasks.
pub(crate) async fn delete(
    app: &App,
    id: &str,
    seen: &Person,
    access: &Access,
    invocation: &Invocation,
) -> Result<Vec<u64>, OnboardingError> {
    // Both tasks are looked for: an attempt may have died before it noted the one that it opened.
    let own = Person {
        access_issue: seen.access_issue.or(Some(0)),
        removal_issue: seen.removal_issue.or(Some(0)),
        ..seen.clone()
    };
    let own = People { people: [(id.to_owned(), own)].into(), ..People::default() };
    let settled = Box::pin(board::settle(app, &own, access, local(invocation.now), invocation)).await?;
    if let Some(reason) = settled.failed {
        return Err(OnboardingError::TasksOpen { person: id.to_owned(), reason });
    }
    let asked = |person: &Person| (person.left, person.leaves, person.changes);
    let change = |people: &mut People| {
        let Some(person) = people.people.get(id) else { return Ok(()) };
        // Such as one who stays after all, or has another login.
        if asked(person) != asked(seen) {
            return Err(OnboardingError::Busy);
        }
        people.people.remove(id);
        let mentees = people.people.values_mut().filter(|other| seen.is_called(&other.mentor));
        mentees.for_each(|other| other.mentor.clear());
        people.note(id, FORGOTTEN, DELETED.to_owned(), invocation.now);
        Ok(())
    };
    app.amend(change).await??;
    Box::pin(report_all(app, id, access, &Paged::new(), invocation)).await?;
    Ok(settled.closed)
}

/// The steps of pages, by the run id of the record that has them.
type Paged = BTreeMap<String, Vec<Step>>;

/// Writes the records about a person that were noted together with their changes, the oldest first.
async fn report_all(
    app: &App,
    id: &str,
    access: &Access,
    paged: &Paged,
    invocation: &Invocation,
) -> Result<(), OnboardingError> {
    for noted in app.people().await?.unreported {
        if noted.run.starts_with(&run_id(id, "")) {
            let steps = paged.get(&noted.run).cloned().unwrap_or_default();
            Box::pin(report_pending(app, &noted.run, access, steps, invocation)).await?;
        }
    }
    Ok(())
}

/// Writes a record that was noted together with the change that it is about, once, with the steps of its pages. Returns
/// whether it is written.
pub(crate) async fn report_pending(
    app: &App,
    run: &str,
    access: &Access,
    paged: Vec<Step>,
    invocation: &Invocation,
) -> Result<bool, OnboardingError> {
    let people = app.people().await?;
    // Another invocation may have written it since.
    let Some(noted) = people.unreported.iter().find(|noted| noted.run == run) else { return Ok(true) };
    let (settings, now) = (&app.base.settings, local(invocation.now));
    let (id, what) = run.split_once('/').unwrap_or((run, ""));
    let at = noted.at.unwrap_or(invocation.now);
    let mut steps = vec![Step { name: what.to_owned(), at: at.into(), outcome: noted.outcome.clone() }];
    let (mut found, mut message) = (Vec::new(), None);
    match (what, people.people.get(id)) {
        (BEGUN, Some(person)) => {
            let mentor = slack(person, &people, &settings.policy, now.date());
            let begun = text::begun(settings, id, person, policy(app));
            message = Some(begun.addressed(mentor.into_iter().collect()));
        }
        (COMPLETED, Some(_)) => message = Some(text::completed(settings, id)),
        (_, Some(person)) => {
            // It may have been taken back since, or moved to another day.
            if let Some(on) = person.left.filter(|on| left(*on, person.leaves) == what) {
                let of = access.of(person, &settings.policy, now);
                let states = of.iter().map(|(place, is)| format!("{}: {}", place.word(), word(is)));
                // Seen now, which may be long after the change.
                let at = invocation.now.into();
                let outcome = states.collect::<Vec<_>>().join(", ");
                steps.push(Step { name: "access".to_owned(), at, outcome });
                message = Some(text::leaves(settings, id, on));
                if person.has_left(now.date()) {
                    found = of_leaver(id, person, access, &settings.policy, now);
                    found.extend(of.iter().filter_map(|(place, membership)| match membership {
                        Membership::Unknown(why) => {
                            let finding = Finding::NotSeen(why.clone());
                            Some(Found { about: place.word().to_owned(), finding })
                        }
                        _ => None,
                    }));
                    message = Some(text::left(settings, id, on, &of));
                }
            }
        }
        (_, None) => {}
    }
    let result = if found.iter().any(|found| found.finding.fails()) { "failed" } else { "succeeded" };
    let draft = Draft {
        trigger: TRIGGER.to_owned(),
        subject: format!("person {id}"),
        steps: [steps, paged].concat(),
        findings: found.iter().map(text::finding::line).collect(),
        ..Draft::of(settings, run, result, at)
    };
    let is_written = app.base.reporter.report_once(draft, message.as_ref(), invocation).await;
    // A lost record is logged and counted; the next request or daily run writes it.
    if is_written {
        app.amend(|people| people.unreported.retain(|noted| noted.run != run)).await?;
    }
    Ok(is_written)
}

/// How one person, or everybody, stands.
///
/// # Errors
///
/// [`OnboardingError`]; the person sees it.
pub(crate) async fn show(
    app: &App,
    id: Option<&str>,
    invocation: &Invocation,
) -> Result<Answer, OnboardingError> {
    let people = app.people().await?;
    let access = Box::pin(access(app)).await;
    let now = local(invocation.now);
    match id {
        Some(id) => {
            let person = known(&people, id)?;
            Ok(Answer::One(Box::new(one(app, id, "shown", person, &access, now))))
        }
        None => {
            let each = people.people.iter().map(|(id, person)| one(app, id, "shown", person, &access, now));
            let not_listed = access.not_listed(&people, policy(app)).into_iter().map(str::to_owned);
            let accounts = policy(app).accounts.iter().map(|(user, reason)| Account {
                iam_user: user.clone(),
                reason: reason.clone(),
                state: match access.has_account(user) {
                    Membership::Member => "in_group",
                    Membership::NotMember => "not_in_group",
                    other => word(&other),
                },
                person: owner(&people, user).map(str::to_owned),
            });
            Ok(Answer::All {
                people: each.collect(),
                not_listed: not_listed.collect(),
                accounts: accounts.collect(),
            })
        }
    }
}

/// Looks up who has access, then [`settle_with`].
async fn settle(
    app: &App,
    id: &str,
    outcome: &'static str,
    invocation: &Invocation,
) -> Result<One, OnboardingError> {
    let access = Box::pin(access(app)).await;
    Box::pin(settle_with(app, id, outcome, &access, &Paged::new(), invocation)).await
}

/// Records what was asked, brings a person up to date with what is seen, completes the checklist if everything is done, and
/// settles the tasks.
///
/// # Errors
///
/// [`OnboardingError`]; the person sees it.
async fn settle_with(
    app: &App,
    id: &str,
    outcome: &'static str,
    access: &Access,
    paged: &Paged,
    invocation: &Invocation,
) -> Result<One, OnboardingError> {
    let now = local(invocation.now);
    Box::pin(report_all(app, id, access, paged, invocation)).await?;
    Box::pin(complete(app, id, access, invocation)).await?;
    let mut own = app.people().await?;
    own.people.retain(|known, _| known == id);
    Box::pin(board::settle(app, &own, access, now, invocation)).await?;
    let people = app.people().await?;
    Ok(one(app, id, outcome, known(&people, id)?, access, now))
}

/// Notes what is seen of a person, and completes the checklist if everything is done. Whether it did.
///
/// # Errors
///
/// [`OnboardingError`].
pub(crate) async fn complete(
    app: &App,
    id: &str,
    access: &Access,
    invocation: &Invocation,
) -> Result<bool, OnboardingError> {
    let today = local(invocation.now).date();
    let change = |people: &mut People| {
        let Some(person) = people.people.get_mut(id) else { return false };
        access.identify(person);
        if !person.is_new(today) {
            return false;
        }
        observe(person, access, invocation.now);
        let is_complete = is_complete(&checklist(person, policy(app), access));
        if is_complete {
            person.completed_at = Some(invocation.now);
            let ticks = person.ticks.iter();
            let ticked = ticks.map(|(item, tick)| format!("{item} ({})", tick.by.word()));
            let none = word(&Membership::SaidNone);
            let without = person.no_login.iter().map(|place| format!("{} ({none})", place.word()));
            let done: Vec<_> = ticked.chain(without).collect();
            people.note(id, COMPLETED, done.join(", "), invocation.now);
        }
        is_complete
    };
    let is_complete = app.amend(change).await?;
    if is_complete {
        let run = run_id(id, COMPLETED);
        Box::pin(report_pending(app, &run, access, Vec::new(), invocation)).await?;
    }
    Ok(is_complete)
}

fn known<'a>(people: &'a People, id: &str) -> Result<&'a Person, OnboardingError> {
    people.people.get(id).ok_or_else(|| OnboardingError::NoPerson(id.to_owned()))
}

/// A person who has not left.
fn active<'a>(people: &'a People, id: &str, now: DateTime) -> Result<&'a Person, OnboardingError> {
    let person = known(people, id)?;
    if person.has_left(now.date()) {
        return Err(OnboardingError::HasLeft(id.to_owned()));
    }
    Ok(person)
}

fn run_id(id: &str, what: &str) -> String {
    format!("{id}/{what}")
}

/// The word for what is known of one kind of access.
fn word(membership: &Membership) -> &'static str {
    match membership {
        Membership::Member => "remains",
        Membership::NotMember => "gone",
        Membership::SaidNone => "said_none",
        Membership::NoLogin => "login_unknown",
        Membership::NotCovered => "not_checked",
        Membership::Unknown(_) => "unknown",
    }
}

/// The answer about a person, for a caller that may invoke the function.
fn one(app: &App, id: &str, outcome: &'static str, person: &Person, access: &Access, now: DateTime) -> One {
    let (settings, today) = (&app.base.settings, now.date());
    let has_left = person.has_left(today);
    let state = match (has_left, person.completed_at) {
        (true, _) => "left",
        (false, Some(_)) => "complete",
        (false, None) => "new",
    };
    let item = |line: crate::rules::checklist::Line| {
        let tick = person.ticks.get(&line.item.key()).filter(|_| line.state == State::Done);
        ItemLine {
            item: line.item.key(),
            state: line.state.word(),
            by: tick.map(|tick| tick.by.word()),
            at: tick.map(|tick| time::local(tick.at)),
            record: tick
                .and_then(|tick| tick.evidence.as_ref())
                .map(|evidence| format!("s3://{}/{}", app.documents().bucket, evidence.key)),
            next: match &line.state {
                State::Done => None,
                State::Open => Some(text::item_next(app, id, person, &line.item)),
                State::Unknown(why) => Some(why.clone()),
            },
        }
    };
    // Of a complete checklist, what was true then.
    let items = match state {
        "new" => checklist(person, policy(app), access).into_iter().map(item).collect(),
        _ => Vec::new(),
    };
    let lines = access.of(person, &settings.policy, now).into_iter().map(|(place, membership)| AccessLine {
        place: place.word(),
        state: word(&membership),
        next: match &membership {
            Membership::Member => Some(text::removal(app, person, place)),
            Membership::NoLogin => Some(text::unknown_login(settings, id, place)),
            Membership::Unknown(why) => Some(why.clone()),
            Membership::NotMember | Membership::SaidNone | Membership::NotCovered => None,
        },
    });
    One {
        person: id.to_owned(),
        outcome,
        state,
        name: Some(person.name.clone()),
        role: Some(person.role.clone()),
        mentor: Some(person.mentor.clone()).filter(|mentor| !mentor.is_empty()),
        iam_user: person.iam_user.clone(),
        grafana_login: person.grafana_login.clone(),
        start: Some(person.start.to_string()),
        due: Some(person.due.to_string()),
        completed: person.completed_at.map(time::local),
        left: person.left.map(|left| left.to_string()),
        forget_on: person.forget_on(policy(app).forget_days).map(|day| day.to_string()),
        items,
        access: if person.left.is_some() { lines.collect() } else { Vec::new() },
        issues: [person.access_issue, person.removal_issue].into_iter().flatten().collect(),
    }
}
