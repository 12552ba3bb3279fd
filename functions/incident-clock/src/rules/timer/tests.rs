//! The clock with injected time: a world of one incident, in which a minute passes after the other.

use incident::{Act, Mute, SensitiveData, Severity};
use shared::policy::time::local;

use super::super::said::done;
use super::*;

const POLICY: &str = r#"{"incidents": {
    "update_minutes": {"S0": 30, "S1": 30, "S2": 60, "S3": 0},
    "customers": {"addresses": ["clientes@moveongs.example"]}
}}"#;

fn at(text: &str) -> Timestamp {
    format!("{text}-03:00").parse().unwrap()
}

/// An incident that paged and that somebody took.
fn incident(first: &str) -> Incident {
    Incident {
        id: "INC-20261129-7Q2MZK4A".to_owned(),
        source: "cloudwatch".to_owned(),
        problem: "alarm".to_owned(),
        state: State::Acknowledged,
        first_at: at(first),
        paged_at: Some(at(first)),
        acknowledged_at: Some(at(first)),
        vouched_at: Some(at(first)),
        ..Incident::default()
    }
}

/// What wakes the clock.
#[derive(Clone, Copy, PartialEq)]
enum Wakes {
    /// Schedules, each a minute late at most.
    Schedules,
    /// The sweep alone: every schedule is lost.
    Sweep,
}

/// A clock, from an instant on.
struct World {
    policy: Policy,
    incident: Incident,
    notes: Notes,
    now: Timestamp,
    wakes: Wakes,
    /// What was done: the time in São Paulo, and the timer's kind and what it is.
    log: Vec<String>,
}

impl World {
    fn new(first: &str, wakes: Wakes) -> Self {
        let incident = incident(first);
        let now = incident.first_at;
        let policy = POLICY.parse().unwrap();
        Self { policy, incident, notes: Notes::default(), now, wakes, log: vec![] }
    }

    fn look(&mut self) {
        for _ in 0..20 {
            let timers = wanted(&self.incident, &self.notes, &self.policy, self.now);
            let Some(timer) = timers.into_iter().find(|timer| timer.at <= self.now) else { return };
            self.notes = done(&self.notes, &timer, &self.incident);
            if matches!(timer.task, Task::Customers(_)) {
                // As the transaction does that tells it.
                let act = Act { by: crate::PROCEDURE.to_owned(), at: self.now };
                self.incident.acts.insert(Action::CustomersTold, act);
            }
            let what = match &timer.task {
                Task::Update { step, .. } => format!("update {step}"),
                Task::Support(why) => format!("support {why:?}"),
                Task::Lgpd { step } => format!("lgpd {step}"),
                Task::Register => "register".to_owned(),
                Task::Customers(moment) => format!("customers {moment}"),
                Task::PostMortem => "postmortem".to_owned(),
            };
            let now = local(self.now);
            self.log.push(format!("{} {what}", &now[5..16]));
        }
        panic!("something is due for ever: {:?}", self.log);
    }

    /// Passes time until an instant of São Paulo, a minute at a time.
    fn until(&mut self, text: &str) -> Vec<String> {
        let end = at(text);
        while self.now < end {
            self.now = after(self.now, minutes(1));
            let is_five = self.now.as_second() % 300 == 0;
            let timers = wanted(&self.incident, &self.notes, &self.policy, self.now);
            let fires = timers.iter().any(|timer| timer.at <= self.now);
            if (self.wakes == Wakes::Schedules && fires) || (self.wakes == Wakes::Sweep && is_five) {
                self.look();
            }
        }
        std::mem::take(&mut self.log)
    }

    /// A change of the incident, which the stream brings at once.
    fn change(&mut self, change: impl FnOnce(&mut Incident, Timestamp)) {
        let now = self.now;
        change(&mut self.incident, now);
        if self.wakes == Wakes::Schedules {
            self.look();
        }
    }

    fn update(&mut self) {
        self.change(|incident, now| {
            (incident.updates, incident.known_updates) = (incident.updates + 1, incident.known_updates + 1);
            incident.updated_at = Some(now);
        });
    }

    fn only(&mut self, kind: &str, until: &str) -> Vec<String> {
        let mut log = self.until(until);
        log.retain(|line| line.contains(kind));
        log
    }
}

#[test]
fn reminders_go_on_over_new_year() {
    let mut world = World::new("2026-12-31T23:10:00", Wakes::Schedules);
    let expected = ["12-31 23:40 update 0", "12-31 23:50 update 1", "01-01 00:20 update 2"];
    assert_eq!(world.only(" update ", "2027-01-01T00:25:00"), expected);
    world.now = at("2027-01-01T00:25:00");
    world.update();
    assert_eq!(world.only(" update ", "2027-01-01T01:00:00"), ["01-01 00:55 update 0"]);
}

#[test]
fn a_missed_update_reaches_the_commander_the_backup_and_then_both_until_there_is_news() {
    let mut world = World::new("2026-11-30T10:00:00", Wakes::Schedules);
    assert_eq!(world.only(" update ", "2026-11-30T10:29:00"), [""; 0]);
    world.update();
    let expected =
        ["11-30 10:59 update 0", "11-30 11:09 update 1", "11-30 11:39 update 2", "11-30 12:09 update 3"];
    assert_eq!(world.only(" update ", "2026-11-30T12:10:00"), expected);
    world.update();
    assert_eq!(world.only(" update ", "2026-11-30T12:41:00"), ["11-30 12:40 update 0"]);
    world.change(|incident, now| {
        (incident.state, incident.resolved_at) = (State::Resolved, Some(now));
    });
    assert_eq!(world.only(" update ", "2026-12-02T00:00:00"), [""; 0], "overtaken");
}

#[test]
fn an_incident_of_three_days_is_reminded_of_each_interval() {
    let mut world = World::new("2028-02-28T12:00:00", Wakes::Schedules);
    // Over a leap day: 28 and 29 February, 1 March.
    let log = world.only(" update ", "2028-03-02T12:00:00");
    // 12:30, 12:40, then every 30 minutes to 11:40 three days later.
    assert_eq!(log.len(), 2 + 71 * 2, "{log:?}");
    assert_eq!((log[0].as_str(), log[143].as_str()), ("02-28 12:30 update 0", "03-02 11:40 update 143"));
    assert!(log.iter().any(|line| line.starts_with("02-29 12:10")), "{log:?}");
    let names: Vec<_> = wanted(&world.incident, &world.notes, &world.policy, world.now)
        .iter()
        .map(|timer| timer.name(&world.incident.id))
        .collect();
    assert!(names.iter().all(|name| name.len() <= 64), "{names:?}");
}

#[test]
fn a_severity_that_changes_while_a_reminder_is_under_way_changes_the_interval() {
    let classify = |severity| {
        move |incident: &mut Incident, now| {
            (incident.severity, incident.severity_changed_at) = (severity, Some(now));
        }
    };
    // Milder at 10:20: the schedule for 10:30 finds nothing due; the next one is an hour after the news.
    let mut world = World::new("2026-11-30T10:00:00", Wakes::Schedules);
    world.until("2026-11-30T10:20:00");
    let before = wanted(&world.incident, &world.notes, &world.policy, world.now);
    world.change(classify(Severity::S2));
    let names = |timers: &[Timer]| -> Vec<String> {
        let updates = timers.iter().filter(|timer| timer.kind() == "update");
        updates.map(|timer| timer.name("INC-1")).collect()
    };
    let since = world.incident.first_at.as_second();
    assert_eq!(names(&before), [format!("INC-1-update-{since}-30")]);
    let changed = wanted(&world.incident, &world.notes, &world.policy, world.now);
    assert_eq!(names(&changed), [format!("INC-1-update-{since}-60")], "another schedule");
    let expected = ["11-30 11:00 update 0", "11-30 11:10 update 1"];
    assert_eq!(world.only(" update ", "2026-11-30T11:30:00"), expected);
    // Worse after 45 minutes without news: due at once, and both are told, since the first was not.
    let mut world = World::new("2026-11-30T10:00:00", Wakes::Schedules);
    world.change(classify(Severity::S2));
    world.until("2026-11-30T10:45:00");
    world.change(classify(Severity::S0));
    let expected = ["11-30 10:45 update 1", "11-30 11:10 update 2"];
    assert_eq!(world.only(" update ", "2026-11-30T11:30:00"), expected);
    // There and back between two reminders repeats none.
    let mut world = World::new("2026-11-30T10:00:00", Wakes::Schedules);
    world.until("2026-11-30T10:41:00");
    world.change(classify(Severity::S2));
    world.change(classify(Severity::S1));
    assert_eq!(world.only(" update ", "2026-11-30T11:00:00"), [""; 0]);
    // A severity without updates is reminded of none.
    world.change(classify(Severity::S3));
    assert_eq!(world.only(" update ", "2026-12-01T11:00:00"), [""; 0]);
}

#[test]
fn the_sweep_alone_does_everything_five_minutes_late_at_most() {
    let course = |wakes| {
        let mut world = World::new("2026-11-30T10:00:00", wakes);
        let mut log = world.until("2026-11-30T11:12:00");
        world.update();
        world.change(|incident, now| {
            let data = SensitiveData { is_compromised: true, at: now, ..SensitiveData::default() };
            incident.sensitive_data = Some(data);
        });
        log.extend(world.until("2026-11-30T11:50:00"));
        world.change(|incident, now| {
            (incident.state, incident.resolved_at) = (State::Resolved, Some(now));
        });
        log.extend(world.until("2026-12-06T00:00:00"));
        log
    };
    let scheduled = course(Wakes::Schedules);
    let expected = [
        "11-30 10:01 customers opened",
        "11-30 10:30 update 0",
        "11-30 10:40 update 1",
        "11-30 11:00 support Impact",
        "11-30 11:10 update 2",
        "11-30 11:12 customers updated",
        "11-30 11:12 lgpd 0",
        "11-30 11:42 update 0",
        "11-30 12:00 customers resolved",
        "11-30 12:00 postmortem",
        "12-01 09:00 lgpd 1",
        "12-02 09:00 lgpd 2",
        "12-03 09:00 lgpd 3",
        "12-03 15:00 lgpd 4",
        "12-04 09:00 lgpd 5",
    ];
    assert_eq!(scheduled, expected);
    let what = |log: &[String]| log.iter().map(|line| line[12..].to_owned()).collect::<Vec<_>>();
    let minute = |line: &str| at(&format!("2026-{}:00", line[..11].replace(' ', "T")));
    let mut swept = course(Wakes::Sweep);
    swept.sort_by_key(|line| {
        expected.iter().position(|one| one[12..] == line[12..] && minute(one) + minutes(5) >= minute(line))
    });
    assert_eq!(what(&swept), what(&scheduled));
    for (swept, scheduled) in swept.iter().zip(&scheduled) {
        let late = minute(swept).duration_since(minute(scheduled));
        assert!(late >= SignedDuration::ZERO && late < minutes(6), "{swept}, {scheduled}");
    }
}

#[test]
fn after_an_outage_only_the_newest_reminder_is_sent() {
    let mut world = World::new("2026-11-30T10:00:00", Wakes::Schedules);
    world.now = at("2026-11-30T14:03:00");
    world.look();
    let updates: Vec<_> = world.log.iter().filter(|line| line.contains(" update ")).collect();
    assert_eq!(updates, ["11-30 14:03 update 7"], "13:40 was the last");
}

#[test]
fn aws_support_is_involved_after_the_impacts_hour_once() {
    let timer = |incident: &Incident| {
        let policy = POLICY.parse().unwrap();
        support(incident, &Notes::default(), &policy).map(|timer| {
            let Task::Support(why) = timer.task else { panic!("{timer:?}") };
            (why, timer.at)
        })
    };
    let own = incident("2026-11-30T10:00:00");
    let data = |is_compromised, text: &str| {
        Some(SensitiveData { is_compromised, at: at(text), ..SensitiveData::default() })
    };
    let mute = Some(Mute { until: at("2026-11-30T13:00:00"), ..Mute::default() });
    let eleven = at("2026-11-30T11:00:00");
    for (incident, expected) in [
        (own.clone(), Some((Why::Impact, eleven))),
        (
            Incident { impact_since: Some(at("2026-11-30T09:15:00")), ..own.clone() },
            Some((Why::Impact, at("2026-11-30T10:15:00"))),
        ),
        (Incident { severity: Severity::S2, ..own.clone() }, None),
        (Incident { state: State::Mitigated, ..own.clone() }, None),
        (Incident { state: State::Resolved, ..own.clone() }, None),
        (Incident { paged_at: None, ..own.clone() }, None),
        (Incident { muted: mute, ..own.clone() }, Some((Why::Impact, at("2026-11-30T13:00:00")))),
        (Incident { merged_into: "INC-2".to_owned(), ..own.clone() }, None),
        (
            Incident {
                is_false_alarm: true,
                sensitive_data: data(true, "2026-11-30T10:05:00"),
                ..own.clone()
            },
            None,
        ),
        (
            Incident { sensitive_data: data(false, "2026-11-30T10:05:00"), ..own.clone() },
            Some((Why::Impact, eleven)),
        ),
        (
            Incident {
                severity: Severity::S3,
                sensitive_data: data(true, "2026-11-30T10:05:00"),
                ..own.clone()
            },
            Some((Why::SensitiveData, at("2026-11-30T10:05:00"))),
        ),
    ] {
        assert_eq!(timer(&incident), expected, "{incident:?}");
    }
    let policy = POLICY.parse().unwrap();
    let mut notes = Notes::default();
    notes.support.is_done = true;
    assert_eq!(support(&own, &notes, &policy), None);
    // Claimed, and over or no incident in between: it is brought to its end, since there may be a case.
    notes.support = super::super::notes::Support { claimed_at: Some(eleven), tries: 1, ..Default::default() };
    let over = Incident { state: State::Resolved, ..own };
    for ended in [
        over.clone(),
        Incident { is_false_alarm: true, ..over.clone() },
        Incident { merged_into: "INC-2".to_owned(), ..over },
    ] {
        assert_eq!(support(&ended, &notes, &policy).map(|timer| timer.at), Some(eleven));
    }
}

#[test]
fn the_lgpds_clock_stops_with_the_register_a_no_or_a_false_alarm() {
    let mut world = World::new("2026-02-13T18:00:00", Wakes::Schedules);
    let data = |is_compromised: bool| SensitiveData {
        is_compromised,
        at: at("2026-02-13T18:10:00"),
        known_since: Some(at("2026-02-13T18:10:00")),
        ..SensitiveData::default()
    };
    world.incident.sensitive_data = Some(data(true));
    // Carnival's days are no national holidays.
    let expected = ["02-13 18:10 lgpd 0", "02-16 09:00 lgpd 1", "02-17 09:00 lgpd 2"];
    assert_eq!(world.only("lgpd", "2026-02-17T12:00:00"), expected);
    let wanted =
        |incident: &Incident, notes: &Notes| lgpd_of(incident, notes, &world.policy, world.now).len();
    assert_eq!(wanted(&world.incident, &world.notes), 1);
    // A register that could not be begun is owed, as long as the «yes» stands.
    let owed = world.notes.lgpd.map(|lgpd| super::super::notes::Lgpd { owes_register: true, ..lgpd });
    let owed = Notes { lgpd: owed, ..world.notes.clone() };
    let begins = |incident: &Incident, notes: &Notes| register(incident, notes).map(|timer| timer.at);
    assert_eq!(begins(&world.incident, &owed), Some(at("2026-02-13T18:10:00")));
    assert_eq!(begins(&world.incident, &world.notes), None);
    assert_eq!(begins(&Incident { is_false_alarm: true, ..world.incident.clone() }, &owed), None);
    let closed = world.notes.lgpd.map(|lgpd| super::super::notes::Lgpd { is_closed: true, ..lgpd });
    assert_eq!(wanted(&world.incident, &Notes { lgpd: closed, ..world.notes.clone() }), 0);
    let no = Incident { sensitive_data: Some(data(false)), ..world.incident.clone() };
    assert_eq!(wanted(&no, &world.notes), 0);
    assert_eq!(wanted(&Incident { is_false_alarm: true, ..world.incident.clone() }, &world.notes), 0);
    let merged = Incident { merged_into: "INC-2".to_owned(), ..world.incident.clone() };
    assert_eq!(wanted(&merged, &world.notes), 1, "a person said yes to this one");
}

#[test]
fn customers_hear_of_what_lasts_and_of_its_end() {
    let fresh = |first: &str| Incident { state: State::Triggered, acknowledged_at: None, ..incident(first) };
    let resolve = |incident: &mut Incident, now| {
        (incident.state, incident.resolved_at) = (State::Resolved, Some(now));
    };
    // An alarm of five minutes that nobody took writes to nobody.
    let mut world = World::new("2026-11-30T10:00:00", Wakes::Schedules);
    world.incident = fresh("2026-11-30T10:00:00");
    world.until("2026-11-30T10:05:00");
    world.change(resolve);
    assert_eq!(world.only(" customers ", "2026-11-30T12:00:00"), [""; 0]);
    // One of fifteen minutes that comes back within the window is one beginning and one end.
    let mut world = World::new("2026-11-30T10:00:00", Wakes::Schedules);
    world.incident = fresh("2026-11-30T10:00:00");
    world.until("2026-11-30T10:15:00");
    world.change(resolve);
    world.until("2026-11-30T10:20:00");
    world.change(|incident, now| {
        (incident.state, incident.resolved_at, incident.paged_at) = (State::Triggered, None, Some(now));
    });
    assert_eq!(world.only(" customers ", "2026-11-30T10:40:00"), [""; 0], "told at 10:10");
    world.change(resolve);
    assert_eq!(world.only(" customers ", "2026-11-30T12:00:00"), ["11-30 10:50 customers resolved"]);
    // Reopened after its end was told.
    world.change(|incident, now| {
        (incident.state, incident.resolved_at, incident.paged_at) = (State::Acknowledged, None, Some(now));
        incident.acknowledged_at = Some(now);
    });
    assert_eq!(world.log.iter().filter(|line| line.contains("customers")).count(), 1);
    let policy: Policy = POLICY.parse().unwrap();
    let at_once = |incident: &Incident| customers(incident, &Notes::default(), &policy).map(|timer| timer.at);
    let ten = at("2026-11-30T10:00:00");
    let own = fresh("2026-11-30T10:00:00");
    let taken = Some(at("2026-11-30T10:03:00"));
    assert_eq!(at_once(&own), Some(at("2026-11-30T10:10:00")));
    assert_eq!(at_once(&Incident { acknowledged_at: taken, ..own.clone() }), taken);
    assert_eq!(at_once(&Incident { source: "person".to_owned(), ..own.clone() }), Some(ten));
    // What a stranger in Slack declared or took waits for somebody who is known.
    let strange = Incident { vouched_at: None, acknowledged_at: taken, ..own.clone() };
    assert_eq!(at_once(&strange), Some(at("2026-11-30T10:10:00")));
    let declared = Incident { source: "person".to_owned(), ..strange };
    assert_eq!(at_once(&declared), None);
    let vouched_at = Some(at("2026-11-30T10:07:00"));
    assert_eq!(at_once(&Incident { vouched_at, ..declared }), vouched_at);
    let told = Notes {
        customers: Some(super::super::notes::Told { moment: Moment::Opened, updates: 1 }),
        ..Notes::default()
    };
    let updated = Incident { updates: 2, known_updates: 1, updated_at: taken, ..own.clone() };
    assert_eq!(customers(&updated, &told, &policy), None, "an update of a stranger");
    let updated = Incident { known_updates: 2, ..updated };
    assert_eq!(customers(&updated, &told, &policy).map(|timer| timer.at), taken);
    for nobody in [
        Incident { severity: Severity::S2, ..own.clone() },
        Incident { is_drill: true, ..own.clone() },
        Incident { merged_into: "INC-2".to_owned(), ..own.clone() },
        Incident { paged_at: None, ..own.clone() },
    ] {
        assert_eq!(at_once(&nobody), None, "{nobody:?}");
    }
    let nobody: Policy = "".parse().unwrap();
    assert_eq!(customers(&own, &Notes::default(), &nobody), None);
}

#[test]
fn customers_whom_a_person_told_hear_of_updates_and_of_the_end() {
    let by_hand = |incident: &mut Incident, now| {
        incident.acts.insert(Action::CustomersTold, Act { by: "Ana".to_owned(), at: now });
        incident.customers_updates = incident.known_updates;
    };
    let update = |incident: &mut Incident, now| {
        incident.updates += 1;
        incident.known_updates += 1;
        incident.updated_at = Some(now);
    };
    let resolve = |incident: &mut Incident, now| {
        (incident.state, incident.resolved_at) = (State::Resolved, Some(now));
    };
    // Of a severity of which the clock alone tells nothing.
    let mut world = World::new("2026-11-30T10:00:00", Wakes::Schedules);
    world.incident.severity = Severity::S2;
    world.change(update);
    world.until("2026-11-30T10:05:00");
    world.change(by_hand);
    assert_eq!(world.only(" customers ", "2026-11-30T10:30:00"), [""; 0], "they have read it");
    world.change(update);
    world.change(resolve);
    let expected = ["11-30 10:30 customers updated", "11-30 10:40 customers resolved"];
    assert_eq!(world.only(" customers ", "2026-11-30T12:00:00"), expected);
    // A word after the end is the last one.
    world.change(by_hand);
    assert_eq!(world.only(" customers ", "2026-11-30T14:00:00"), [""; 0]);
    // Told by hand before the clock's own first mail, which would be the second.
    let mut world = World::new("2026-11-30T10:00:00", Wakes::Schedules);
    (world.incident.state, world.incident.acknowledged_at) = (State::Triggered, None);
    world.change(by_hand);
    assert_eq!(world.only(" customers ", "2026-11-30T11:00:00"), [""; 0]);
    world.change(resolve);
    assert_eq!(world.only(" customers ", "2026-11-30T12:00:00"), ["11-30 11:10 customers resolved"]);
}

#[test]
fn a_post_mortem_is_ordered_for_each_end_of_what_needs_one() {
    let policy: Policy = "".parse().unwrap();
    let over = Incident {
        state: State::Resolved,
        resolved_at: Some(at("2026-11-30T12:00:00")),
        ..incident("2026-11-30T10:00:00")
    };
    let ordered =
        |incident: &Incident, notes: &Notes| postmortem(incident, notes, &policy).map(|timer| timer.at);
    let noted = Notes { postmortem: over.resolved_at, ..Notes::default() };
    assert_eq!(ordered(&over, &Notes::default()), Some(at("2026-11-30T12:10:00")));
    assert_eq!(ordered(&over, &noted), None);
    let again = Incident { resolved_at: Some(at("2026-12-01T12:00:00")), ..over.clone() };
    assert_eq!(ordered(&again, &noted), Some(at("2026-12-01T12:10:00")));
    for none in [
        Incident { severity: Severity::S3, ..over.clone() },
        Incident { is_false_alarm: true, ..over.clone() },
        Incident { merged_into: "INC-2".to_owned(), ..over.clone() },
        Incident { state: State::Acknowledged, ..over.clone() },
    ] {
        assert_eq!(ordered(&none, &Notes::default()), None, "{none:?}");
    }
}

#[test]
fn a_drill_of_the_pager_itself_has_no_timer() {
    let mut own = incident("2026-11-30T10:00:00");
    own.problem = format!("{}2026-11-30", incident::DRILL);
    let policy: Policy = POLICY.parse().unwrap();
    assert_eq!(wanted(&own, &Notes::default(), &policy, at("2026-12-30T10:00:00")), []);
}
