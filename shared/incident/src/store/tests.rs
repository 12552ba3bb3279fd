//! The decisions against a table in memory that checks conditions as DynamoDB does.

mod desk;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use policy::Policy;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::incident::{Entry, Incident, Mute, State};
use crate::person::Request;
use crate::signal::blank;
use crate::{Change, Severity, Signal, Source};

const ALARM: &str = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-prod-5xx";
const CHANNELS: [Channel; 3] = [Channel::Slack, Channel::Ses, Channel::PagerDuty];

/// An instant, some minutes after noon.
fn at(minutes: i64) -> Timestamp {
    let noon: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
    noon + SignedDuration::from_mins(minutes)
}

/// A signal of an alarm, which says so itself or through what it was before.
fn alarm(minutes: i64, state: &str, previous: &str) -> Signal {
    let change = if state == "OK" { Change::Resolved } else { Change::Triggered };
    Signal {
        labels: BTreeMap::from([("previous_state".to_owned(), previous.to_owned())]),
        ..signal(Source::Alarm, ALARM, minutes, change)
    }
}

fn signal(source: Source, problem: &str, minutes: i64, change: Change) -> Signal {
    let word = match change {
        Change::Triggered => "triggered",
        Change::Resolved => "resolved",
        Change::Note => "note",
    };
    Signal {
        change,
        changed_at: Some(at(minutes)),
        title: "moveongs-prod-5xx".to_owned(),
        reason: format!("{word} at {minutes}"),
        ..blank(source, problem.to_owned(), format!("{problem}|{word}|{minutes}"))
    }
}

/// A table in memory.
#[derive(Clone, Default)]
struct Table {
    items: BTreeMap<Key, Attributes>,
    policy: Option<Policy>,
    attempt: u32,
}

impl Table {
    /// Writes all or nothing; false if a condition does not hold.
    fn write(&mut self, writes: &[Write]) -> bool {
        let keys: BTreeSet<Key> = writes.iter().map(|write| write.key().unwrap()).collect();
        assert_eq!(keys.len(), writes.len(), "an item twice: {writes:?}");
        assert!(writes.len() <= 20, "{} writes", writes.len());
        let mut next = self.items.clone();
        for write in writes {
            let key = write.key().unwrap();
            let stored = self.items.get(&key).cloned();
            let (Write::Put { only_if, .. } | Write::Update { only_if, .. }) = write;
            let holds = |check: &Check| {
                let value = |name: &str| stored.as_ref().and_then(|item| item.get(name));
                match check {
                    Check::Absent(name) => value(name).is_none(),
                    Check::Present(name) => value(name).is_some(),
                    Check::Equals(name, expected) => value(name) == Some(expected),
                    Check::AbsentOrAtMost(name, most) => match value(name) {
                        None => true,
                        Some(Attribute::Number(number)) => number <= most,
                        Some(Attribute::Text(_)) => false,
                    },
                }
            };
            if !only_if.iter().all(holds) {
                return false;
            }
            let item = match write {
                Write::Put { item, .. } => item.clone(),
                Write::Update { set, set_if_absent, remove, .. } => {
                    let mut item = stored.unwrap_or_else(|| key.attributes());
                    for (name, value) in set_if_absent {
                        item.entry(name.clone()).or_insert_with(|| value.clone());
                    }
                    item.extend(set.clone());
                    item.retain(|name, _| !remove.contains(&name.as_str()));
                    item
                }
            };
            let size: usize = item.iter().map(|(name, value)| name.len() + length(value)).sum();
            assert!(size < 400 * 1024, "{key:?} has {size} bytes");
            next.insert(key, item);
        }
        self.items = next;
        true
    }

    fn stored(&self, signal: &Signal) -> Stored {
        let [event, latest, own, all] = Stored::keys(signal);
        let item = |key: &Key| self.items.get(key);
        let latest = item(&latest).map(Latest::read);
        let named = latest.as_ref().map(|latest| latest.incident.as_str());
        let mutes = [own, all].into_iter().filter_map(|key| mute_of(item(&key)?));
        let named = named.and_then(|id| incident(item(&Key::incident(id))?));
        let whole = named.as_ref().map(|incident| Key::incident(&incident.merged_into));
        Stored {
            event: item(&event).map(Event::read),
            whole: whole.and_then(|key| incident(item(&key)?)),
            incident: named,
            mute: mutes.max_by_key(|mute| mute.until),
            latest,
        }
    }

    fn policy(&self) -> Policy {
        self.policy.clone().unwrap_or_else(|| "".parse().unwrap())
    }

    /// What a signal that arrives some minutes after noon does.
    fn arrives(&mut self, signal: &Signal, minutes: i64) -> Plan {
        let policy = self.policy();
        let context = Context { attempt: self.attempt, ..context(&policy, at(minutes)) };
        let plan = decide(signal, &self.stored(signal), &context);
        assert!(self.write(&plan.writes), "a condition on what was just read");
        plan
    }

    /// What the table has about a request of a person.
    fn found(&self, request: &Request, cause: &str) -> Found {
        let read = |key: Key| self.items.get(&key);
        let named = |id: &str| read(Key::incident(id)).and_then(incident);
        let own = named(request.incident().unwrap()).unwrap();
        let mutes = [Key::mute(Some(&own.problem)), Key::mute(None)];
        let into = match request {
            Request::Merge(asked) => named(&asked.into),
            _ => None,
        };
        Found {
            event: read(Key::act(cause)).map(Event::read),
            latest: read(Key::latest(&own.problem)).map(Latest::read),
            mute: mutes.into_iter().filter_map(|key| mute_of(read(key)?)).max_by_key(|mute| mute.until),
            whole: named(&own.merged_into),
            into,
            incident: own,
        }
    }

    /// What a person's request does, some minutes after noon: by its own word, each with a cause of its own.
    fn asks(&mut self, event: &Value, minutes: i64) -> Result<Acted, Refusal> {
        let request = Request::try_from(event.clone()).unwrap();
        let actor = Actor::claim(request.by(), &self.policy());
        self.asks_as(&request, &actor, &format!("{event} {minutes}"), minutes)
    }

    fn asks_as(
        &mut self,
        request: &Request,
        actor: &Actor,
        cause: &str,
        minutes: i64,
    ) -> Result<Acted, Refusal> {
        let policy = self.policy();
        let found = self.found(request, cause);
        let acted = act(request, &found, actor, cause, &context(&policy, at(minutes)))?;
        assert!(self.write(&acted.plan.writes), "a condition on what was just read");
        assert_eq!(self.incident(&acted.incident.id), acted.incident);
        Ok(acted)
    }

    fn incident(&self, id: &str) -> Incident {
        incident(&self.items[&Key::incident(id)]).unwrap()
    }

    fn incidents(&self) -> Vec<Incident> {
        let states = self.items.iter().filter(|(key, _)| key.sk == "STATE");
        states.map(|(_, item)| incident(item).unwrap()).collect()
    }

    fn rows(&self, id: &str) -> Vec<Row> {
        let mut rows: Vec<Row> = self.items.values().filter_map(Row::read).collect();
        rows.retain(|row| row.incident == id);
        rows.sort_by_key(|row| row.channel);
        rows
    }

    /// The actions in an incident's timeline, in order.
    fn timeline(&self, id: &str) -> Vec<Action> {
        let own = format!("INCIDENT#{id}");
        let lines = self.items.iter().filter(|(key, _)| key.pk == own && key.sk.starts_with(Key::LINES));
        lines.map(|(_, item)| entry(item).unwrap().action).collect()
    }
}

fn context(policy: &Policy, now: Timestamp) -> Context<'_> {
    Context { policy, project: "moveongs", environment: "prod", channels: &CHANNELS, now, attempt: 0 }
}

fn length(value: &Attribute) -> usize {
    match value {
        Attribute::Text(text) => text.len(),
        Attribute::Number(_) => 21,
    }
}

#[test]
fn the_first_event_opens_an_incident_with_a_row_for_each_channel() {
    let mut table = Table::default();
    let plan = table.arrives(&alarm(0, "ALARM", "OK"), 1);
    assert_eq!(plan.outcome, Outcome::Opened);
    let opened = table.incident(&plan.incident);
    assert_eq!((opened.version, opened.count, opened.state), (1, 1, State::Triggered));
    assert_eq!((opened.first_at, opened.paged_at), (at(0), Some(at(1))));
    assert_eq!((opened.severity, opened.severity_proposed_by.as_str()), (Severity::S1, "default"));
    let rows = table.rows(&opened.id);
    let minute = SignedDuration::from_mins(1);
    let due: Vec<_> = rows.iter().map(|row| (row.channel, row.purpose, row.due.unwrap())).collect();
    let expected = [
        (Channel::Slack, Purpose::Post, at(1)),
        (Channel::Ses, Purpose::OnCall, at(1) + minute),
        (Channel::PagerDuty, Purpose::Post, at(1) + minute * 2),
    ];
    assert_eq!(due, expected);
    assert!(rows.iter().all(|row| (row.wanted, row.sent) == (1, 0) && row.stored_at == Some(at(1))));
    assert_eq!(table.timeline(&opened.id), [Action::Triggered]);
    let open = &table.items[&Key::incident(&opened.id)];
    assert_eq!((text(open, "open"), instant(open, "opened_at")), (Some("open"), Some(at(0))));

    // Less urgent ones wait longer for each channel.
    let less = Signal { severity: Some(Severity::S2), ..alarm(0, "ALARM", "OK") };
    let mut table = Table::default();
    let id = table.arrives(&less, 1).incident;
    let due: Vec<_> = table.rows(&id).iter().map(|row| row.due.unwrap()).collect();
    assert_eq!(due, [at(1), at(6), at(11)]);
}

#[test]
fn a_repetition_does_nothing() {
    let mut table = Table::default();
    let id = table.arrives(&alarm(0, "ALARM", "OK"), 1).incident;
    let before = table.items.clone();
    let plan = table.arrives(&alarm(0, "ALARM", "OK"), 60);
    assert_eq!((plan.outcome, plan.incident, plan.writes.len()), (Outcome::Repeated, id, 0));
    assert_eq!(table.items, before);
    let event = Event::read(&table.items[&Key::event(&alarm(0, "ALARM", "OK").event)]);
    assert_eq!((event.outcome.as_str(), event.stored_at), ("opened", at(1)));
    let expires = number(&table.items[&Key::event(&event.event)], "expires_at").unwrap();
    assert_eq!(expires, at(1).as_second() + 45 * 86_400);
}

#[test]
fn what_two_of_them_decided_on_the_same_items_is_written_once() {
    let mut table = Table::default();
    let (one, other) = (alarm(0, "ALARM", "OK"), alarm(1, "ALARM", "INSUFFICIENT_DATA"));
    // The same event twice, then two events of the same problem: each pair reads before either writes.
    for (first, second) in [(&one, &one), (&one, &other)] {
        let policy = table.policy();
        let context = context(&policy, at(2));
        let plans = [first, second].map(|signal| decide(signal, &table.stored(signal), &context));
        let mut raced = table.clone();
        assert!(raced.write(&plans[0].writes) && !raced.write(&plans[1].writes));
    }
    // And on an open incident.
    table.arrives(&one, 1);
    let policy = table.policy();
    let context = context(&policy, at(2));
    let ok = alarm(2, "OK", "ALARM");
    let plans = [&other, &ok].map(|signal| decide(signal, &table.stored(signal), &context));
    assert!(table.write(&plans[0].writes) && !table.write(&plans[1].writes));
}

#[test]
fn a_problem_that_comes_back_in_time_is_the_same_incident() {
    // Minutes from OK to the next ALARM; the default window is 10.
    for (minutes, is_same) in [(1, true), (10, true), (11, false)] {
        let mut table = Table::default();
        let first = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
        let plan = table.arrives(&alarm(5, "OK", "ALARM"), 5);
        assert_eq!((plan.outcome, plan.incident.as_str()), (Outcome::Resolved, first.as_str()));
        let resolved = table.incident(&first);
        assert_eq!((resolved.state, resolved.resolved_at), (State::Resolved, Some(at(5))));
        assert_eq!(text(&table.items[&Key::incident(&first)], "open"), Some("over-2026-11"));
        assert!(number(&table.items[&Key::latest(ALARM)], "expires_at").is_some());

        let plan = table.arrives(&alarm(5 + minutes, "ALARM", "OK"), 5 + minutes);
        let expected = if is_same { Outcome::Reopened } else { Outcome::Opened };
        assert_eq!((plan.outcome, plan.incident == first), (expected, is_same), "{minutes}");
        let newest = table.incident(&plan.incident);
        assert_eq!((newest.flaps, newest.is_open()), (u32::from(is_same), true));
        assert_eq!(newest.paged_at, Some(at(5 + minutes)));
        assert_eq!(newest.paged_version, newest.version);
        assert_eq!(number(&table.items[&Key::latest(ALARM)], "expires_at"), None);
        if is_same {
            let actions = [Action::Triggered, Action::Resolved, Action::Reopened];
            assert_eq!((newest.count, table.timeline(&first).as_slice()), (2, &actions[..]));
            // Every channel is told again.
            assert!(table.rows(&first).iter().all(|row| row.wanted == 3));
        }
    }
}

#[test]
fn a_taken_problem_that_was_over_and_is_back_pages_again() {
    // The source said that it was over, or its next event implies it.
    for says_so in [true, false] {
        let mut table = Table::default();
        let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
        acknowledge_it(&mut table, &id, 1);
        if says_so {
            table.arrives(&alarm(5, "OK", "ALARM"), 5);
        }
        table.arrives(&alarm(6, "ALARM", "OK"), 6);
        let again = table.incident(&id);
        assert_eq!((again.state, again.paged_at), (State::Triggered, Some(at(6))));
        assert_eq!((again.acknowledged_by.as_str(), again.acknowledged_at, again.flaps), ("", None, 1));
        assert_eq!(table.timeline(&id).last(), Some(&Action::Reopened));
        assert!(table.rows(&id).iter().all(|row| row.wanted == again.version));
    }
    // Not if its source is muted: the event that is not, pages.
    for says_so in [true, false] {
        let mut table = Table::default();
        let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
        acknowledge_it(&mut table, &id, 1);
        if says_so {
            table.arrives(&alarm(5, "OK", "ALARM"), 5);
        }
        let before = table.rows(&id);
        table.arrives(&Signal { muted_by_source: Some("Alarm".to_owned()), ..alarm(6, "ALARM", "OK") }, 6);
        let again = table.incident(&id);
        assert_eq!(((again.state, again.paged_at), table.rows(&id)), ((State::Triggered, None), before));
        table.arrives(&Signal { event: "unsuppressed".to_owned(), ..alarm(6, "ALARM", "OK") }, 7);
        let again = table.incident(&id);
        assert_eq!((again.state, again.paged_at), (State::Triggered, Some(at(7))));
        assert!(table.rows(&id).iter().all(|row| row.wanted == again.version));
    }
}

#[test]
fn a_problem_that_comes_and_goes_pages_when_it_first_comes_back_and_then_once_in_the_window() {
    // Every two minutes, with an OK one minute later; the default window is 10 minutes.
    let cycle = |table: &mut Table, minute: i64| {
        table.arrives(&alarm(minute + 1, "OK", "ALARM"), minute + 1);
        table.arrives(&alarm(minute + 2, "ALARM", "OK"), minute + 2);
    };
    let mut table = Table::default();
    let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
    cycle(&mut table, 0);
    let back = table.incident(&id);
    assert_eq!((back.paged_at, back.untaken_since, back.told_again_at), (Some(at(2)), Some(at(0)), None));
    assert_eq!(back.awaited_since, Some(at(0)));
    cycle(&mut table, 2);
    let quiet = table.incident(&id);
    assert_eq!((quiet.paged_at, quiet.told_again_at), (Some(at(2)), Some(at(12))));
    assert_eq!((quiet.state, quiet.flaps), (State::Triggered, 2));
    assert_eq!(table.timeline(&id).last(), Some(&Action::Event));
    // Only what shows it in place is told at once.
    let rows = table.rows(&id);
    assert!(
        rows.iter().all(|row| (row.wanted == quiet.version) == row.channel.updates_in_place()),
        "{rows:?}"
    );
    // The sweep tells again what nobody has taken at the end of the window.
    let policy = table.policy();
    assert!(resume(&quiet, "sweep", &context(&policy, at(11))).is_empty());
    assert!(table.write(&resume(&quiet, "sweep", &context(&policy, at(12)))));
    let again = table.incident(&id);
    assert_eq!((again.paged_at, again.untaken_since, again.told_again_at), (Some(at(12)), Some(at(0)), None));
    assert_eq!(again.paged_version, again.version);
    assert_eq!(table.timeline(&id).last(), Some(&Action::Flapping));
    // What is worse does not wait.
    let mut worse = Table { items: table.items.clone(), ..Table::default() };
    worse.arrives(&alarm(13, "OK", "ALARM"), 13);
    worse.arrives(&Signal { severity: Some(Severity::S0), ..alarm(14, "ALARM", "OK") }, 14);
    assert_eq!((worse.incident(&id).paged_at, worse.incident(&id).told_again_at), (Some(at(14)), None));
    // Somebody takes it: in this window it stays taken, and in the next it is a page again.
    acknowledge_it(&mut table, &id, 13);
    cycle(&mut table, 13);
    let taken = table.incident(&id);
    assert_eq!((taken.state, taken.told_again_at, taken.untaken_since), (State::Acknowledged, None, None));
    cycle(&mut table, 21);
    let next = table.incident(&id);
    assert_eq!(
        (next.state, next.paged_at, next.untaken_since),
        (State::Triggered, Some(at(23)), Some(at(23)))
    );
}

#[test]
fn what_is_worse_than_what_somebody_took_pages_again() {
    use Severity::{S1, S2, S3};
    for (before, next, is_taken, is_anew) in
        [(S2, S1, true, true), (S2, S2, true, false), (S2, S3, true, false), (S2, S1, false, false)]
    {
        let mut table = Table::default();
        let of = |severity, minutes| Signal { severity: Some(severity), ..alarm(minutes, "ALARM", "") };
        let id = table.arrives(&of(before, 0), 0).incident;
        if is_taken {
            acknowledge_it(&mut table, &id, 1);
        }
        table.arrives(&of(next, 9), 9);
        let found = table.incident(&id);
        let state = if is_taken && !is_anew { State::Acknowledged } else { State::Triggered };
        let paged_at = if is_anew { at(9) } else { at(0) };
        assert_eq!((found.state, found.paged_at), (state, Some(paged_at)), "{before:?} {next:?} {is_taken}");
        // An update is due since the first page.
        assert_eq!(found.awaited_since, Some(at(0)));
        assert_eq!(found.acknowledged_by.is_empty(), !is_taken || is_anew);
        let last = if is_anew { Action::Reopened } else { Action::Event };
        assert_eq!(table.timeline(&id).last(), Some(&last));
        // A mail calls, and is not written only to show a change.
        assert_eq!(table.rows(&id)[1].wanted == found.version, is_anew);
        let lines = table.items.iter().filter(|(key, _)| key.sk.starts_with(Key::LINES));
        let text = lines.map(|(_, item)| entry(item).unwrap().text).collect::<Vec<_>>().join("\n");
        assert_eq!(text.contains("S2 → S1; Ana had taken S2"), is_anew, "{text}");
    }
}

fn acknowledge_it(table: &mut Table, id: &str, minutes: i64) -> Outcome {
    table.asks(&json!({"acknowledge": {"incident": id, "by": "Ana"}}), minutes).unwrap().plan.outcome
}

#[test]
fn a_second_event_of_an_open_incident_is_counted() {
    let mut table = Table::default();
    let key = "backup-audit/prod/rds.retention moveongs-prod-db";
    let day = |day: i64| Signal {
        reason: format!("{} dias", day + 3),
        ..signal(Source::Page, key, day * 1440, Change::Triggered)
    };
    let id = table.arrives(&day(0), 0).incident;
    acknowledge_it(&mut table, &id, 30);
    for number in 1..40 {
        let plan = table.arrives(&day(number), number * 1440);
        assert_eq!((plan.outcome, plan.incident.as_str()), (Outcome::Updated, id.as_str()));
    }
    let incident = table.incident(&id);
    assert_eq!((incident.count, incident.first_at, incident.last_at), (40, at(0), at(39 * 1440)));
    assert_eq!((incident.reason.as_str(), incident.state), ("42 dias", State::Acknowledged));
    assert_eq!(table.rows(&id)[1].wanted, 1, "no second mail");
    let plan = table.arrives(&signal(Source::Page, key, 40 * 1440, Change::Resolved), 40 * 1440);
    assert_eq!(plan.outcome, Outcome::Resolved);
    assert_eq!(table.incidents().len(), 1);
}

#[test]
fn what_is_over_and_was_never_open_is_kept_and_pages_nobody() {
    let mut table = Table::default();
    let plan = table.arrives(&alarm(0, "OK", "INSUFFICIENT_DATA"), 1);
    assert_eq!((plan.outcome, plan.incident.as_str()), (Outcome::Recorded, ""));
    assert!(table.incidents().is_empty());
    assert_eq!(table.items.keys().map(|key| key.sk.as_str()).collect::<Vec<_>>(), ["EVENT", "LATEST"]);
    // A second one, and one about a resolved incident.
    table.arrives(&alarm(5, "OK", "INSUFFICIENT_DATA"), 5);
    let id = table.arrives(&alarm(10, "ALARM", "OK"), 10).incident;
    table.arrives(&alarm(11, "OK", "ALARM"), 11);
    let plan = table.arrives(&alarm(12, "OK", "INSUFFICIENT_DATA"), 12);
    assert_eq!((plan.outcome, plan.incident.as_str()), (Outcome::Recorded, id.as_str()));
    assert_eq!(table.timeline(&id), [Action::Triggered, Action::Resolved, Action::Note]);
    assert_eq!(table.incident(&id).version, 2);
}

#[test]
fn a_note_changes_no_incident() {
    let mut table = Table::default();
    let note = |minutes| signal(Source::Alarm, ALARM, minutes, Change::Note);
    assert_eq!(table.arrives(&note(0), 0).outcome, Outcome::Recorded);
    let id = table.arrives(&alarm(1, "ALARM", "OK"), 1).incident;
    let plan = table.arrives(&note(2), 2);
    assert_eq!((plan.outcome, plan.incident.as_str()), (Outcome::Recorded, id.as_str()));
    assert_eq!((table.incident(&id).version, table.rows(&id)[0].wanted), (1, 1));
    assert_eq!(table.timeline(&id), [Action::Triggered, Action::Note]);
}

#[test]
fn a_late_ok_does_not_resolve_what_came_after_it() {
    let mut table = Table::default();
    table.arrives(&alarm(0, "ALARM", "OK"), 0);
    let newest = table.arrives(&alarm(6, "ALARM", "OK"), 6).incident;
    let plan = table.arrives(&alarm(5, "OK", "ALARM"), 7);
    assert_eq!((plan.outcome, plan.incident.as_str()), (Outcome::Recorded, newest.as_str()));
    assert!(table.incident(&newest).is_open());
    assert_eq!(table.arrives(&alarm(8, "OK", "ALARM"), 8).outcome, Outcome::Resolved);
}

#[test]
fn an_event_that_its_end_overtook_is_told_as_over() {
    let mut table = Table::default();
    table.arrives(&alarm(5, "OK", "ALARM"), 6);
    let plan = table.arrives(&alarm(0, "ALARM", "OK"), 7);
    assert_eq!(plan.outcome, Outcome::Opened);
    let incident = table.incident(&plan.incident);
    assert_eq!((incident.state, incident.resolved_at), (State::Resolved, Some(at(5))));
    assert_eq!((incident.paged_at, table.rows(&incident.id).len()), (Some(at(7)), 3));
    // Another one of that time belongs to it, and does not open it again.
    let plan = table.arrives(&alarm(1, "ALARM", "INSUFFICIENT_DATA"), 8);
    assert_eq!((plan.outcome, plan.incident.as_str()), (Outcome::Recorded, incident.id.as_str()));
    // A later one does.
    assert_eq!(table.arrives(&alarm(9, "ALARM", "OK"), 9).outcome, Outcome::Reopened);
}

#[test]
fn a_wrong_clock_cannot_silence_later_events() {
    let mut table = Table::default();
    table.arrives(&alarm(0, "ALARM", "OK"), 0);
    // A year ahead: taken as now.
    table.arrives(&alarm(525_600, "OK", "ALARM"), 20);
    let plan = table.arrives(&alarm(60, "ALARM", "OK"), 60);
    assert_eq!(plan.outcome, Outcome::Opened);
    // Without a time, the arrival counts.
    let timeless = Signal { changed_at: None, event: "e".to_owned(), ..alarm(0, "OK", "ALARM") };
    assert_eq!(table.arrives(&timeless, 70).outcome, Outcome::Resolved);
    assert_eq!(table.incident(&plan.incident).resolved_at, Some(at(70)));
}

#[test]
fn a_trigger_may_imply_that_the_problem_had_been_over() {
    let day = 24 * 60;
    let of = |source, minutes| signal(source, "p", minutes, Change::Triggered);
    let timeless = |minutes: i64| Signal { changed_at: None, ..of(Source::Alertmanager, minutes) };
    for (name, first, second, minutes, expected) in [
        ("ALARM after an unseen OK", alarm(0, "ALARM", "OK"), alarm(11, "ALARM", "OK"), 11, "new"),
        ("the same within the window", alarm(0, "ALARM", "OK"), alarm(10, "ALARM", "OK"), 10, "flap"),
        ("ALARM after no data", alarm(0, "ALARM", "OK"), alarm(60, "ALARM", "INSUFFICIENT_DATA"), 60, "same"),
        ("the same a day later", alarm(0, "ALARM", "OK"), alarm(day, "ALARM", ""), day, "new"),
        ("another start", of(Source::Grafana, 0), of(Source::Grafana, 11), 11, "new"),
        ("an earlier start", of(Source::Grafana, 0), of(Source::Grafana, -5), 11, "same"),
        ("alerts without a start", timeless(0), timeless(60), 60, "same"),
        ("the same a day later", timeless(0), timeless(day), day, "new"),
        ("a log, just before a day", of(Source::Logs, 0), of(Source::Logs, day - 1), day, "same"),
        ("a log, a day later", of(Source::Logs, 0), of(Source::Logs, day), day, "new"),
        ("a text, a day later", of(Source::Message, 0), of(Source::Message, day), day, "new"),
        ("raw text, a day later", of(Source::Unknown, 0), of(Source::Unknown, day), day, "new"),
        ("a page, a month later", of(Source::Page, 0), of(Source::Page, 30 * day), 30 * day, "same"),
        ("Health, a week later", of(Source::Health, 0), of(Source::Health, 7 * day), 7 * day, "same"),
    ] {
        let mut table = Table::default();
        let id = table.arrives(&first, 0).incident;
        let plan = table.arrives(&second, minutes);
        let newest = table.incident(&plan.incident);
        let found = match (plan.outcome, newest.flaps) {
            (Outcome::Opened, 0) => "new",
            (Outcome::Updated, 0) => "same",
            (Outcome::Updated, 1) => "flap",
            _ => "other",
        };
        assert_eq!((found, newest.is_open()), (expected, true), "{name}");
        if expected == "new" {
            let old = table.incident(&id);
            assert_eq!((old.state, old.resolved_at), (State::Resolved, Some(old.last_at)), "{name}");
            assert_eq!(Latest::read(&table.items[&Key::latest(&first.problem)]).incident, newest.id);
        }
    }
}

#[test]
fn a_mute_holds_pages_back_until_it_ends() {
    let mute = |minutes| Mute { by: "Ana".to_owned(), reason: "deploy".to_owned(), until: at(minutes) };
    for problem in [Some(ALARM), None] {
        let mut table = Table::default();
        assert!(table.write(&[mute(30).write(problem)]));
        let id = table.arrives(&alarm(0, "ALARM", "OK"), 1).incident;
        let muted = table.incident(&id);
        assert_eq!((muted.paged_at, muted.muted.clone()), (Some(at(30)), Some(mute(30))));
        assert_eq!(table.timeline(&id), [Action::Suppressed, Action::Triggered]);
        // Stored at once, due when it ends, also after another event.
        table.arrives(&alarm(2, "ALARM", "INSUFFICIENT_DATA"), 3);
        let due: Vec<_> = table.rows(&id).iter().map(|row| row.due.unwrap()).collect();
        assert_eq!(due, [at(30), at(31), at(32)]);
        // Over before the mute: nobody has to know.
        let mut over = table.clone();
        over.arrives(&alarm(20, "OK", "ALARM"), 20);
        assert_eq!(over.incident(&id).paged_at, None);
        // Over after it.
        table.arrives(&alarm(40, "OK", "ALARM"), 40);
        assert_eq!(table.incident(&id).paged_at, Some(at(30)));
    }
    // A mute that has ended, or that is of another problem, mutes nothing.
    for (problem, until) in [(ALARM, 1), ("other", 30)] {
        let mut table = Table::default();
        assert!(table.write(&[mute(until).write(Some(problem))]));
        let id = table.arrives(&alarm(0, "ALARM", "OK"), 1).incident;
        assert_eq!((table.incident(&id).paged_at, table.incident(&id).muted), (Some(at(1)), None));
    }
}

#[test]
fn what_its_source_mutes_pages_when_the_source_says_it_again() {
    let mut table = Table::default();
    let suppressed = Signal {
        muted_by_source: Some("Alarm".to_owned()),
        event: "suppressed".to_owned(),
        ..alarm(0, "ALARM", "OK")
    };
    let id = table.arrives(&suppressed, 0).incident;
    assert_eq!((table.incident(&id).paged_at, table.rows(&id).len()), (None, 0));
    assert_eq!(table.timeline(&id), [Action::Suppressed, Action::Triggered]);
    let plan = table.arrives(&alarm(0, "ALARM", "OK"), 3);
    assert_eq!((plan.outcome, plan.incident.as_str()), (Outcome::Updated, id.as_str()));
    assert_eq!((table.incident(&id).paged_at, table.rows(&id).len()), (Some(at(3)), 3));
    assert_eq!(table.incident(&id).awaited_since, Some(at(3)));
}

#[test]
fn an_event_raises_the_severity_and_never_lowers_it() {
    use Severity::{S0, S1, S2, S3};
    for (proposed, expected) in [
        (vec![None], S1),
        (vec![Some(S3)], S3),
        (vec![Some(S2), Some(S1)], S1),
        (vec![Some(S1), Some(S3)], S1),
        (vec![Some(S3), None], S1),
        (vec![None, Some(S0), Some(S2)], S0),
    ] {
        let mut table = Table::default();
        let mut id = String::new();
        for (minutes, severity) in (0..).zip(&proposed) {
            id = table
                .arrives(&Signal { severity: *severity, ..alarm(minutes, "ALARM", "") }, minutes)
                .incident;
        }
        assert_eq!(table.incident(&id).severity, expected, "{proposed:?}");
    }
    // A person's word stands until an event is worse than all before it.
    for (confirmed, next, expected, is_confirmed) in
        [(S3, S2, S3, true), (S3, S1, S1, false), (S0, S1, S0, true), (S2, S3, S2, true)]
    {
        let mut table = Table::default();
        let id = table.arrives(&Signal { severity: Some(S2), ..alarm(0, "ALARM", "") }, 0).incident;
        let mut changed = table.incident(&id);
        changed.version += 1;
        changed.severity = confirmed;
        changed.severity_confirmed_by = "Ana".to_owned();
        assert!(table.write(&[changed.write()]));
        table.arrives(&Signal { severity: Some(next), ..alarm(1, "ALARM", "") }, 1);
        let found = table.incident(&id);
        assert_eq!((found.severity, !found.severity_confirmed_by.is_empty()), (expected, is_confirmed));
    }
}

#[test]
fn a_heartbeat_is_heard_each_time_and_opens_nothing() {
    let mut table = Table::default();
    let watchdog = |change| Signal {
        labels: BTreeMap::from([("alertname".to_owned(), "Watchdog".to_owned())]),
        ..signal(Source::Alertmanager, "f00d", 0, change)
    };
    for minutes in [0, 0, 5] {
        assert_eq!(table.arrives(&watchdog(Change::Triggered), minutes).outcome, Outcome::Heard);
        let heard = Heartbeat::read(&table.items[&Key::heartbeat("Watchdog")]).unwrap();
        assert_eq!((heard.name.as_str(), heard.heard_at), ("Watchdog", at(minutes)));
    }
    assert_eq!(table.items.len(), 1);
    // That it is over is no heartbeat.
    assert_eq!(table.arrives(&watchdog(Change::Resolved), 6).outcome, Outcome::Recorded);
    // A person who declares a problem of that name, or a page of ours, is no heartbeat.
    for source in [Source::Person, Source::Page] {
        let mut table = Table::default();
        let declared = Signal { title: "Watchdog".to_owned(), ..signal(source, "p", 0, Change::Triggered) };
        assert_eq!(table.arrives(&declared, 0).outcome, Outcome::Opened, "{source:?}");
        assert!(!table.items.contains_key(&Key::heartbeat("Watchdog")), "{source:?}");
    }
    // An alarm is named by its title; another name is a problem.
    let alarm = |name: &str| Signal { title: name.to_owned(), ..alarm(0, "ALARM", "OK") };
    let policy: Policy = r#"{"incidents": {"heartbeats": {"moveongs-prod-beat": 5}}}"#.parse().unwrap();
    assert_eq!(heartbeat_name(&alarm("moveongs-prod-beat"), &policy), Some("moveongs-prod-beat"));
    assert_eq!(heartbeat_name(&alarm("moveongs-prod-beats"), &policy), None);
}

#[test]
fn a_log_counts_its_lines_and_keeps_the_first_ones() {
    let mut table = Table::default();
    let lines = |minutes, count: &str| Signal {
        labels: BTreeMap::from([("count".to_owned(), count.to_owned())]),
        ..signal(Source::Logs, "g|TypeError", minutes, Change::Triggered)
    };
    let id = table.arrives(&lines(0, "3"), 0).incident;
    table.arrives(&lines(1, "40"), 1);
    let incident = table.incident(&id);
    assert_eq!((incident.count, incident.reason.as_str()), (43, "triggered at 0"));
}

#[test]
fn the_inventory_says_who_answers() {
    let named = |source, label: &str, value: &str| Signal {
        labels: BTreeMap::from([(label.to_owned(), value.to_owned())]),
        ..signal(source, "p", 0, Change::Triggered)
    };
    let foreign =
        |source, owner: &str| Signal { owner: Some(owner.to_owned()), ..named(source, "backup", "somebody") };
    let owned = |owner: &str, backup: Option<&str>| Signal {
        owner: Some(owner.to_owned()),
        labels: backup.map(|backup| ("backup".to_owned(), backup.to_owned())).into_iter().collect(),
        ..signal(Source::Page, "p", 0, Change::Triggered)
    };
    for (signal, owner, backup) in [
        (owned("Squad Dados", Some("Squad Infra")), "Squad Dados", "Squad Infra"),
        (owned("Squad Dados", None), "Squad Dados", "Squad Infra"),
        (owned("Squad X", None), "Squad X", ""),
        // Of others only a squad that the policy knows.
        (foreign(Source::Grafana, "Squad Dados"), "Squad Dados", "Squad Infra"),
        (foreign(Source::Grafana, "backend"), "Squad Backend", "Squad Infra"),
        (foreign(Source::Alarm, "ana@example.org"), "Squad Infra", "Squad Security"),
        (
            named(Source::Alarm, "metric", "AWS/RDS CPUUtilization DBInstanceIdentifier=moveongs-prod-db"),
            "Squad Dados",
            "Squad Infra",
        ),
        (named(Source::Alarm, "metric", "AWS/RDS CPUUtilization"), "Squad Dados", "Squad Infra"),
        (named(Source::Alarm, "metric", "AWS/ApplicationELB 5XX"), "Squad Backend", "Squad Infra"),
        (named(Source::Health, "service", "S3"), "Squad Infra", "Squad Backend"),
        (
            named(Source::Alarm, "log_group", "/aws/ecs/moveongs-prod-api"),
            "Squad Observability",
            "Squad Infra",
        ),
        (named(Source::Logs, "log_group", "/aws/ecs/moveongs-prod-api"), "Squad Backend", "Squad Infra"),
        (named(Source::Grafana, "a", "b"), "Squad Backend", "Squad Infra"),
        (named(Source::Unknown, "a", "b"), "Squad Infra", "Squad Security"),
        (named(Source::Person, "resource", "moveongs-prod-api"), "Squad Backend", "Squad Infra"),
    ] {
        let mut table = Table::default();
        let id = table.arrives(&signal, 0).incident;
        let incident = table.incident(&id);
        assert_eq!((incident.owner.as_str(), incident.backup.as_str()), (owner, backup), "{signal:?}");
    }
    let policy = r#"{"incidents": {"people": {"Ana": {"slack": "U0123ABCD"}}, "squads": {"Squad Dados":
        {"rotation": {"every": "daily", "at": "09:00", "starts": "2026-11-01", "people": ["Ana"]}}}}}"#;
    let mut table = Table { policy: Some(policy.parse().unwrap()), ..Table::default() };
    let id = table.arrives(&owned("Squad Dados", None), 0).incident;
    assert_eq!(table.incident(&id).on_call, "Ana");
    let mut table = Table::default();
    let id = table.arrives(&foreign(Source::Grafana, "backend"), 0).incident;
    assert_eq!(table.incident(&id).labels["owner"], "backend", "the word is kept");
    let policy = r#"{"incidents": {"squads": {"backend": {"contacts": [{"slack": "S0123ABCD"}]}}}}"#;
    let mut table = Table { policy: Some(policy.parse().unwrap()), ..Table::default() };
    let id = table.arrives(&foreign(Source::Grafana, "backend"), 0).incident;
    assert_eq!(table.incident(&id).owner, "backend", "a squad of the policy alone");
}

#[test]
fn an_id_is_made_of_the_first_event() {
    let id = |attempt, signal: &Signal| Table { attempt, ..Table::default() }.arrives(signal, 0).incident;
    let first = id(0, &alarm(0, "ALARM", "OK"));
    assert_eq!(first, id(0, &alarm(0, "ALARM", "OK")));
    let (date, letters) = first.split_at(13);
    assert_eq!((date, letters.len()), ("INC-20261129-", 8));
    assert!(letters.bytes().all(|letter| b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(&letter)), "{first}");
    let others = [id(1, &alarm(0, "ALARM", "OK")), id(0, &alarm(-1, "ALARM", "OK"))];
    assert!(!others.contains(&first));
    // The date is São Paulo's.
    let night = alarm(-9 * 60 - 1, "ALARM", "OK");
    assert!(id(0, &night).starts_with("INC-20261128-"));
}

#[test]
fn an_incident_that_cannot_be_read_does_not_hide_the_next_event() {
    let mut table = Table::default();
    let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
    for broken in ["", "{", r#"{"id": 1}"#, "{}"] {
        let mut table = table.clone();
        let item = table.items.get_mut(&Key::incident(&id)).unwrap();
        item.insert("body".to_owned(), Attribute::Text(broken.to_owned()));
        let plan = table.arrives(&alarm(20, "ALARM", "OK"), 20);
        assert!(plan.outcome == Outcome::Opened && plan.incident != id, "{broken}");
    }
}

#[test]
fn the_largest_signal_fits_into_an_item() {
    let long = "🔥".repeat(4_000);
    let label = |number: i32| (format!("{number}{}", "é".repeat(900)), "🔥".repeat(1_000));
    let large = Signal {
        problem: "🔥".repeat(1_000),
        event: "🔥".repeat(1_000),
        title: "🔥".repeat(250),
        reason: long,
        labels: (0..500).map(label).collect(),
        runbook: Some("r".repeat(1_000)),
        owner: Some("o".repeat(1_000)),
        link: Some("l".repeat(1_000)),
        ..alarm(0, "ALARM", "OK")
    };
    let mut table = Table::default();
    let id = table.arrives(&large, 0).incident;
    let incident = table.incident(&id);
    assert_eq!((&incident.problem, incident.labels["owner"].len()), (&large.problem, 1_000));
    assert!(incident.labels.len() > 1 && incident.labels.len() < 50);
}

#[test]
fn a_person_mutes_and_unmutes_an_open_incident() {
    let mut table = Table::default();
    let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
    let order = |table: &mut Table, minutes, until| {
        let policy = table.policy();
        let context = context(&policy, at(minutes));
        let order = Mute { by: "Ana".to_owned(), reason: "deploy".to_owned(), until: at(until) };
        let open = table.incident(&id);
        let plan = mute(Some(ALARM), Some(&open), &order, None, &format!("request-{minutes}"), &context);
        assert!(table.write(&plan.writes));
    };
    order(&mut table, 1, 60);
    let muted = table.incident(&id);
    assert_eq!((muted.paged_at, muted.muted.map(|mute| mute.until)), (Some(at(60)), Some(at(60))));
    assert_eq!(muted.paged_version, 1, "it calls nobody");
    order(&mut table, 2, 2);
    let unmuted = table.incident(&id);
    assert_eq!((unmuted.paged_at, unmuted.muted, unmuted.paged_version), (Some(at(2)), None, 3));
    assert_eq!(unmuted.awaited_since, Some(at(2)));
    let due: Vec<_> = table.rows(&id).iter().map(|row| row.due.unwrap()).collect();
    assert_eq!(due, [at(2), at(3), at(4)]);
    assert_eq!(table.timeline(&id), [Action::Triggered, Action::Muted, Action::Unmuted]);
}

#[test]
fn a_mute_that_ends_tells_again_what_was_told_before_it() {
    let order = |until| Mute { by: "Ana".to_owned(), reason: "deploy".to_owned(), until: at(until) };
    let ends = |table: &mut Table, id: &str, minutes| {
        let policy = table.policy();
        let writes = resume(&table.incident(id), "incident-send", &context(&policy, at(minutes)));
        assert!(table.write(&writes));
        !writes.is_empty()
    };
    let muted = |minutes| {
        let mut table = Table::default();
        let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
        let policy = table.policy();
        let plan = mute(
            Some(ALARM),
            Some(&table.incident(&id)),
            &order(minutes),
            None,
            "request-1",
            &context(&policy, at(1)),
        );
        assert!(table.write(&plan.writes));
        (table, id)
    };
    let (mut table, id) = muted(31);
    assert!(!ends(&mut table, &id, 30), "not yet");
    // An event meanwhile, and one after the end that no sweep has seen.
    table.arrives(&alarm(10, "ALARM", "INSUFFICIENT_DATA"), 10);
    table.arrives(&alarm(31, "ALARM", "INSUFFICIENT_DATA"), 31);
    assert!(ends(&mut table, &id, 31));
    let told = table.incident(&id);
    assert_eq!((told.muted, told.told_again_at, told.paged_at), (None, None, Some(at(31))));
    assert!(table.rows(&id).iter().all(|row| row.wanted == told.version && row.due.is_some()));
    assert!(table.timeline(&id).contains(&Action::Unmuted));
    assert!(!ends(&mut table, &id, 32), "once");
    // Taken, or over.
    let (mut table, id) = muted(31);
    acknowledge_it(&mut table, &id, 2);
    assert!(!ends(&mut table, &id, 31));
    let (mut table, id) = muted(31);
    table.arrives(&alarm(20, "OK", "ALARM"), 20);
    assert!(!ends(&mut table, &id, 31));
    // What was told only then has rows of its own.
    let mut table = Table::default();
    assert!(table.write(&[order(31).write(None)]));
    let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
    assert!(!ends(&mut table, &id, 31));
}

#[test]
fn an_order_about_everything_moves_the_end_of_what_waits() {
    let order = |until| Mute { by: "Ana".to_owned(), reason: "deploy".to_owned(), until: at(until) };
    // The mute of everything when it opened; at minute 10 the new end, and that of the problem's own mute; the end then.
    for (before, new, own, expected) in [
        (Some(1440), 10, None, None),
        (Some(1440), 30, None, Some(30)),
        (Some(1440), 10, Some(60), Some(60)),
        (Some(1440), 10, Some(5), None),
        (Some(60), 120, None, Some(120)),
        (None, 120, None, Some(120)),
        (None, 10, None, None),
    ] {
        let mut table = Table::default();
        if let Some(before) = before {
            assert!(table.write(&[order(before).write(None)]));
        }
        let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
        let policy = table.policy();
        let own = own.map(order);
        let opened = table.incident(&id);
        let plan = mute_too(&opened, &order(new), own.as_ref(), "request-1", &context(&policy, at(10)));
        assert!(table.write(&plan.writes));
        let changed = table.incident(&id);
        let end = changed.muted.map(|mute| mute.until);
        assert_eq!(end, expected.map(at), "{before:?} {new} {own:?}");
        let is_changed = before != expected;
        assert_eq!(changed.version > opened.version, is_changed, "{before:?} {new} {own:?}");
        if is_changed {
            assert_eq!(changed.paged_at, Some(at(expected.unwrap_or(10))));
            assert_eq!(changed.told_again_at, changed.paged_at.filter(|_| before.is_none()));
        }
        if before > Some(expected.unwrap_or(10)) {
            // Due at once: the sender lets those wait that were not told.
            let due: Vec<_> = table.rows(&id).iter().map(|row| row.due.unwrap()).collect();
            assert_eq!(due, [at(10), at(11), at(12)]);
        }
    }
    // What somebody has taken waits for it no more than the others.
    let mut table = Table::default();
    assert!(table.write(&[order(1440).write(None)]));
    let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
    acknowledge_it(&mut table, &id, 1);
    let policy = table.policy();
    let plan = mute_too(&table.incident(&id), &order(10), None, "request-1", &context(&policy, at(10)));
    assert!(table.write(&plan.writes));
    assert_eq!(
        (table.incident(&id).state, table.incident(&id).paged_at),
        (State::Acknowledged, Some(at(10)))
    );
    // The other mute stays in force.
    let mut table = Table::default();
    assert!(table.write(&[order(60).write(None), order(120).write(Some(ALARM))]));
    let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
    let (open, other, context) = (table.incident(&id), order(60), context(&policy, at(20)));
    let plan = mute(Some(ALARM), Some(&open), &order(20), Some(&other), "request-1", &context);
    assert!(table.write(&plan.writes));
    assert_eq!(table.incident(&id).paged_at, Some(at(60)));
}

#[test]
fn intake_and_sender_change_a_row_at_the_same_time() {
    let mut table = Table::default();
    let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
    let row = |table: &Table| table.rows(&id)[0].clone();
    let taken = row(&table).lease("one", at(0), at(1));
    assert!(table.write(std::slice::from_ref(&taken)));
    assert!(!table.write(&[row(&table).lease("two", at(0), at(1))]), "it is taken");
    // A new event while the message is on its way.
    table.arrives(&alarm(0, "OK", "ALARM"), 0);
    let leased = Row { wanted: 1, ..row(&table) };
    assert_eq!((leased.lease_owner.as_str(), row(&table).wanted), ("one", 2));
    let sent = Row { sent: 1, due: None, accepted_at: Some(at(0)), answer: "ok".to_owned(), ..leased };
    let [last, again] = sent.done(at(0));
    assert!(!table.write(&[last]) && table.write(&[again]));
    let left = row(&table);
    assert_eq!((left.sent, left.wanted, left.due, left.lease_owner.as_str()), (1, 2, Some(at(0)), ""));
    // The owner died: another one takes it when the lease is over.
    assert!(table.write(&[left.lease("two", at(0), at(1))]));
    assert!(!table.write(&[left.lease("three", at(0), at(1))]));
    assert!(table.write(&[left.lease("three", at(1), at(2))]));
    let slack = crate::incident::SlackPost { channel: "C1".to_owned(), ts: "1.2".to_owned() };
    let sent = Row { sent: 2, due: None, slack: Some(slack.clone()), ..row(&table) };
    let late = Row { lease_owner: "two".to_owned(), ..sent.clone() };
    assert!(late.done(at(2)).iter().all(|write| !table.write(std::slice::from_ref(write))));
    let [last, _] = sent.done(at(2));
    assert!(table.write(&[last]));
    let idle = row(&table);
    assert_eq!((idle.sent, idle.due, idle.slack), (2, None, Some(slack)));
    // An idle row is due at once when something changes; one that waits keeps its time.
    table.arrives(&alarm(5, "ALARM", "OK"), 5);
    assert_eq!(row(&table).due, Some(at(5)));
    assert_eq!(table.rows(&id)[1].due, Some(at(1)));
}

#[test]
fn an_escalation_is_written_once_for_each_page() {
    let mut table = Table::default();
    let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
    let incident = table.incident(&id);
    let escalate =
        |paged_at, now| Row::escalate(&incident, Channel::Slack, Purpose::Second, paged_at, now, now);
    let row =
        |table: &Table| Row::read(&table.items[&Key::row(&id, Channel::Slack, Purpose::Second)]).unwrap();
    assert!(table.write(&[escalate(at(0), at(5))]));
    assert!(!table.write(&[escalate(at(0), at(6))]), "another sweep");
    assert_eq!((row(&table).wanted, row(&table).due, row(&table).stored_at), (1, Some(at(5)), Some(at(5))));
    // The problem came back, and pages again.
    assert!(!table.write(&[escalate(at(5), at(10))]), "the page began at the same instant");
    assert!(table.write(&[escalate(at(6), at(11))]));
    assert_eq!((row(&table).due, row(&table).stored_at), (Some(at(11)), Some(at(11))));
}

#[test]
fn people_beside_the_page_are_called_again_each_time_and_not_by_pagerduty() {
    let mut table = Table::default();
    let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
    let called = |table: &Table| {
        let key = |channel| Key::row(&id, channel, Purpose::Commander);
        Channel::ALL.map(|channel| table.items.get(&key(channel)).and_then(Row::read)).into_iter().flatten()
    };
    let found =
        |table: &Table| called(table).map(|row| (row.channel, row.wanted, row.due)).collect::<Vec<_>>();
    let of = |version| Incident { version, severity: Severity::S1, ..table.incident(&id) };
    let (first, second) = (of(2), of(3));
    assert!(table.write(&call(&first, Purpose::Commander, &CHANNELS, at(30))));
    assert_eq!(found(&table), [(Channel::Slack, 2, Some(at(30))), (Channel::Ses, 2, Some(at(31)))]);
    let told = called(&table).next().unwrap();
    assert!(table.write(&[told.lease("one", at(30), at(31))]));
    let sent = Row { lease_owner: "one".to_owned(), sent: 2, due: None, accepted_at: Some(at(30)), ..told };
    assert!(table.write(&sent.done(at(30))[..1]));
    // Another reminder, while the mail of the first one waits.
    assert!(table.write(&call(&second, Purpose::Commander, &CHANNELS, at(60))));
    assert_eq!(found(&table), [(Channel::Slack, 3, Some(at(60))), (Channel::Ses, 3, Some(at(61)))]);
    let again = called(&table).next().unwrap();
    assert_eq!((again.sent, again.stored_at, again.accepted_at), (2, Some(at(60)), None));
}

#[test]
fn a_row_that_waits_for_its_turn_gets_it_early_and_one_that_is_taken_does_not() {
    let mut table = Table::default();
    let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
    let row = |table: &Table| table.rows(&id)[1].clone();
    assert_eq!((row(&table).due, row(&table).hasten(at(1))), (Some(at(1)), None), "it is its turn");
    let hasten = row(&table).hasten(at(0)).unwrap();
    assert!(table.write(std::slice::from_ref(&hasten)));
    assert_eq!(row(&table).due, Some(at(0)));
    assert!(!table.write(&[hasten]), "its time has changed");
    assert!(table.write(&[row(&table).lease("one", at(0), at(1))]));
    assert!(!table.write(&[row(&table).hasten(at(0)).unwrap()]), "somebody has it");
    let idle = Row { due: None, ..row(&table) };
    assert_eq!(idle.hasten(at(0)), None);
}

#[test]
fn what_is_kept_within_a_lease_outlives_its_owner() {
    let mut table = Table::default();
    let id = table.arrives(&alarm(0, "ALARM", "OK"), 0).incident;
    let row = |table: &Table| table.rows(&id)[0].clone();
    assert!(table.write(&[row(&table).lease("one", at(0), at(1))]));
    let told: Vec<String> = (0..=Row::MOST_TOLD).map(|number| format!("LINE#{number:013}#a#muted")).collect();
    let slack = crate::incident::SlackPost { channel: "C1".to_owned(), ts: "1.2".to_owned() };
    let sent = Row { sent: 1, slack: Some(slack.clone()), told, ..row(&table) };
    assert!(table.write(&[sent.keep()]));
    let kept = row(&table);
    assert_eq!(
        (kept.sent, kept.slack, kept.lease_owner.as_str(), kept.due),
        (1, Some(slack), "one", Some(at(1)))
    );
    assert_eq!((kept.told.len(), kept.told[0].as_str()), (Row::MOST_TOLD, "LINE#0000000000001#a#muted"));
    let other = Row { lease_owner: "two".to_owned(), ..sent };
    assert!(!table.write(&[other.keep()]));
}

#[test]
fn a_row_that_is_no_row_is_none() {
    let item = |pk: &str, sk: &str| {
        Row::read(&Key { pk: pk.to_owned(), sk: sk.to_owned() }.attributes()).map(|row| row.key())
    };
    assert_eq!(item("INCIDENT#a", "SEND#slack#post"), Some(Key::row("a", Channel::Slack, Purpose::Post)));
    for sk in ["STATE", "SEND#slack", "SEND#fax#post", "SEND#slack#nobody"] {
        assert_eq!(item("INCIDENT#a", sk), None, "{sk}");
    }
    for (names, expected) in [
        ("slack", Some(vec![Channel::Slack])),
        ("sms, pagerduty", Some(vec![Channel::Sms, Channel::PagerDuty])),
        ("", None),
        ("slack,slack", None),
        ("slack,fax", None),
    ] {
        assert_eq!(names.parse::<Channels>().ok().map(|channels| channels.0), expected, "{names}");
    }
}

#[test]
fn expressions_name_everything_by_placeholders() {
    let row = Row::want("a", Channel::Slack, Purpose::Post, 3, at(0), at(0)).expressions();
    assert_eq!(
        row.update,
        "SET #queue = :v0, #wanted = :v1, #due = if_not_exists(#due, :v2), #stored_at = if_not_exists(#stored_at, :v3)"
    );
    assert_eq!((row.condition.as_str(), row.names["#due"].as_str()), ("", "due"));
    assert_eq!(row.values[":v1"], Attribute::Number(3));
    let leased = Row { wanted: 3, ..Row::new("a", Channel::Slack, Purpose::Post) };
    let lease = leased.lease("one", at(0), at(1)).expressions();
    assert_eq!(
        lease.condition,
        "(attribute_not_exists(#lease_until) OR #lease_until <= :v3) AND (attribute_not_exists(#due) OR #due <= :v4) AND attribute_exists(#due)"
    );
    let done = Row { lease_owner: "one".to_owned(), ..leased }.done(at(0))[0].expressions();
    assert!(done.update.ends_with(" REMOVE #lease_owner, #lease_until, #due"), "{}", done.update);
    assert_eq!(done.condition, "#lease_owner = :v4 AND #wanted = :v5");
    let put = Incident { id: "a".to_owned(), version: 2, ..Incident::default() }.write().expressions();
    assert_eq!((put.update.as_str(), put.condition.as_str()), ("", "#version = :v0"));
}

#[test]
fn the_timeline_is_in_order_and_keeps_what_happens_at_one_instant_apart() {
    let entry = |minutes, action| Entry { at: at(minutes), by: String::new(), action, text: String::new() };
    let keys: BTreeSet<Key> = [
        entry(0, Action::Event).write("a", "one"),
        entry(0, Action::Event).write("a", "two"),
        entry(0, Action::Resolved).write("a", "one"),
        entry(1, Action::Event).write("a", "one"),
    ]
    .iter()
    .map(|write| write.key().unwrap())
    .collect();
    assert_eq!(keys.len(), 4);
    assert!(keys.last().unwrap().sk.starts_with(&format!("LINE#{}", at(1).as_millisecond())));
    let early = Key::line("a", Timestamp::MIN, "one", Action::Event);
    assert!(early.sk.starts_with("LINE#0000000000000#"));
}

proptest! {
    /// An alarm that changes at random, its events delivered twice and in any order: what is open in the end is what the
    /// newest event says, and no event is missing or counted twice.
    #[test]
    fn the_newest_event_decides_whatever_the_order(
        gaps in prop::collection::vec(1_i64..30, 1..8),
        order in prop::collection::vec(any::<prop::sample::Index>(), 20),
    ) {
        let mut minutes = 0;
        let mut events = Vec::new();
        for (place, gap) in gaps.iter().enumerate() {
            minutes += gap;
            let (state, previous) = if place % 2 == 0 { ("ALARM", "OK") } else { ("OK", "ALARM") };
            events.push(alarm(minutes, state, previous));
        }
        let mut deliveries: Vec<&Signal> = events.iter().chain(&events).collect();
        let mut table = Table::default();
        let mut outcomes = Vec::new();
        for (arrival, index) in (minutes + 1..).zip(order.iter().cycle()) {
            if deliveries.is_empty() {
                break;
            }
            let signal = deliveries.swap_remove(index.index(deliveries.len()));
            outcomes.push(table.arrives(signal, arrival).outcome);
        }
        prop_assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Repeated).count(), events.len());
        let newest = events.last().unwrap();
        let open = table.incidents().iter().filter(|incident| incident.is_open()).count();
        prop_assert_eq!(open, usize::from(newest.change == Change::Triggered));
        for event in &events {
            let stored = Event::read(&table.items[&Key::event(&event.event)]);
            // A trigger always has an incident, of which a channel is told.
            if event.change == Change::Triggered {
                prop_assert!(!table.rows(&stored.incident).is_empty());
            }
        }
    }
}

#[test]
fn a_drill_is_marked_by_a_label_by_its_kind_or_by_its_name() {
    let labelled = |name: &str, value: &str| Signal {
        labels: BTreeMap::from([(name.to_owned(), value.to_owned())]),
        ..signal(Source::Grafana, "57c6d9296de2ad39", 0, Change::Triggered)
    };
    let named = |source, problem: &str| signal(source, problem, 0, Change::Triggered);
    for (signal, expected) in [
        (labelled("drill", "true"), true),
        (labelled("drill", "false"), false),
        (labelled("kind", "Drill"), true),
        (labelled("kind", "Overdue"), false),
        (named(Source::Alarm, &format!("{ALARM}-incident-send/synthetic/x")), true),
        (named(Source::Person, "incident-send/synthetic/x"), true),
        (named(Source::Logs, "/aws/ecs/api|incident-send/synthetic/x"), false),
    ] {
        let mut table = Table::default();
        let opened = table.arrives(&signal, 0).incident;
        assert_eq!(table.incident(&opened).is_drill, expected, "{} {:?}", signal.problem, signal.labels);
    }
}

#[test]
fn a_drill_ends_with_the_first_event_that_is_none() {
    let of = |minutes, is_drill: bool| Signal {
        labels: BTreeMap::from([("drill".to_owned(), is_drill.to_string())]),
        ..alarm(minutes, "ALARM", "")
    };
    for (first, second, is_drill, is_anew) in [
        (true, true, true, false),
        (true, false, false, true),
        (false, true, false, false),
        (false, false, false, false),
    ] {
        let mut table = Table::default();
        let id = table.arrives(&of(0, first), 0).incident;
        acknowledge_it(&mut table, &id, 1);
        table.arrives(&of(9, second), 9);
        let found = table.incident(&id);
        let state = if is_anew { State::Triggered } else { State::Acknowledged };
        assert_eq!((found.is_drill, found.state), (is_drill, state), "{first} {second}");
        assert_eq!(found.paged_at, Some(at(if is_anew { 9 } else { 0 })));
        assert_eq!(table.rows(&id)[1].wanted == found.version, is_anew, "a mail");
    }
}
