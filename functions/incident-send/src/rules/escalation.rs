//! Who is paged because nobody has taken a page in time.

use incident::store::{Attribute, Attributes, Channel, Check, Key, Purpose, Row, Write, patience, text};
use incident::text::Language;
use incident::{Action, Entry, Incident, State};
use jiff::{SignedDuration, Timestamp};
use shared::policy::Policy;
use shared::policy::oncall::{Page, Role, targets};

use super::reach::{Reach, reach, responsible};
use super::row::group;
use super::synthetic::is_synthetic;

/// A page that no channel has accepted for so long is an alarm of its own, unless its second channel begins only then.
const UNTOLD: SignedDuration = SignedDuration::from_mins(5);

/// How long the second channel has at least, before the alarm.
const SECOND_TRY: SignedDuration = SignedDuration::from_mins(2);

/// How long a page of what came back has at least, before the alarm.
const AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// The attribute of an incident's item with the note of [`settled`].
const SETTLED: &str = "settled";

/// The instant since which an incident pages and waits to be taken, also if its problem came and went since; none if it does
/// not.
fn waits_since(incident: &Incident, now: Timestamp) -> Option<Timestamp> {
    let paged_at = incident.paged_at.filter(|at| incident.state == State::Triggered && *at <= now)?;
    Some(incident.untaken_since.unwrap_or(paged_at).min(paged_at))
}

/// The purposes whose time has come by `now`, except the first: nobody took the page in time.
pub(crate) fn due(policy: &Policy, incident: &Incident, now: Timestamp) -> Vec<Purpose> {
    let Some(since) = waits_since(incident, now).filter(|_| !is_synthetic(incident)) else {
        return vec![];
    };
    let minutes = u32::try_from(now.duration_since(since).as_mins()).unwrap_or(u32::MAX);
    let wait_minutes = incident.severity.acknowledge_minutes(policy.incidents.acknowledge_minutes);
    let mut roles = Vec::new();
    for responsible in &responsible(incident) {
        let page = Page { responsible, minutes, wait_minutes, is_acknowledged: false };
        roles.extend(targets(policy, &page, now).iter().map(|target| target.role));
    }
    let purposes = [(Role::Second, Purpose::Second), (Role::Backup, Purpose::Backup)];
    purposes.into_iter().filter(|(role, _)| roles.contains(role)).map(|(_, purpose)| purpose).collect()
}

/// Whether a purpose was escalated to since nobody has taken the incident.
pub(crate) fn is_done(purpose: Purpose, incident: &Incident, rows: &[Row]) -> bool {
    let since = incident.untaken_since.or(incident.paged_at);
    let mut own = rows.iter().filter(|row| row.purpose == purpose);
    own.any(|row| row.stored_at.zip(since).is_some_and(|(stored_at, since)| stored_at >= since))
}

/// The channels in the order in which they tell a purpose: those of the stack; of an escalation or a call, those first that
/// can address its people; customers get mail, whatever channels the stack pages by.
pub(crate) fn order(
    policy: &Policy,
    incident: &Incident,
    purpose: Purpose,
    of_stack: &[Channel],
    now: Timestamp,
) -> Vec<Channel> {
    let mut ordered = of_stack.to_vec();
    if purpose == Purpose::Customers {
        return vec![Channel::Ses];
    }
    if !matches!(purpose, Purpose::Post | Purpose::OnCall) {
        let reach = reach(policy, incident, purpose, now);
        ordered.sort_by_key(|channel| !reach.has(*channel));
    }
    ordered
}

/// Whether a channel tells an escalation: it can address its people, or it reaches everybody, for the case that those
/// channels are down. PagerDuty escalates on its own.
fn tells(channel: Channel, reach: &Reach) -> bool {
    reach.has(channel) || matches!(channel, Channel::Slack | Channel::Webhook | Channel::Sns)
}

/// The writes of one transaction that page the people of a purpose: a timeline entry, and a row for each channel, due
/// when those before it have had their time. Empty if there is no channel. They have no effect if another sweep was
/// faster.
pub(crate) fn plan(
    policy: &Policy,
    incident: &Incident,
    purpose: Purpose,
    of_stack: &[Channel],
    language: Language,
    now: Timestamp,
) -> Vec<Write> {
    let Some(since) = incident.untaken_since.or(incident.paged_at) else { return vec![] };
    let reach = reach(policy, incident, purpose, now);
    let mut due = now;
    let mut writes = Vec::new();
    let ordered = order(policy, incident, purpose, of_stack, now);
    for channel in ordered.into_iter().filter(|channel| tells(*channel, &reach)) {
        writes.push(Row::escalate(incident, channel, purpose, since, due, now));
        due = due.checked_add(patience(incident.severity)).unwrap_or(due);
    }
    if writes.is_empty() {
        return writes;
    }
    let cause = format!("{}|{}", purpose.name(), since.as_millisecond());
    writes.push(entry(purpose, &reach, language, now).write(&incident.id, &cause));
    writes
}

/// The timeline entry of an escalation, which is also its message in Slack.
pub(crate) fn entry(purpose: Purpose, reach: &Reach, language: Language, now: Timestamp) -> Entry {
    let what = match purpose {
        Purpose::Second => language.pick(
            "ninguém assumiu a tempo; avisada a segunda pessoa",
            "nobody took it in time; the second person is paged",
        ),
        Purpose::Backup => language.pick(
            "ninguém assumiu a tempo; avisado o squad de backup",
            "nobody took it in time; the backup squad is paged",
        ),
        Purpose::Post
        | Purpose::OnCall
        | Purpose::Called
        | Purpose::Commander
        | Purpose::CommanderBackup
        | Purpose::Customers => language.pick("avisado o plantão", "the person on call is paged"),
    };
    let who = if reach.names.is_empty() { String::new() } else { format!(": {}", reach.names.join(", ")) };
    Entry {
        at: now,
        by: crate::PROCEDURE.to_owned(),
        action: Action::Escalated,
        text: format!("{what}{who}"),
    }
}

/// Whether a channel has accepted an incident's page. What channels accepted before it came back is no page of now, and an
/// escalation is not the page.
pub(crate) fn is_told(incident: &Incident, rows: &[Row]) -> bool {
    let mut first = rows.iter().filter(|row| group(row.purpose) == group(Purpose::Post));
    first.any(|row| row.sent >= incident.paged_version.max(1))
}

/// Whether an incident pages, and no channel has accepted its page in time. One that came back has a minute at least.
pub(crate) fn is_untold(incident: &Incident, rows: &[Row], now: Timestamp) -> bool {
    let allowed = UNTOLD.max(patience(incident.severity).saturating_add(SECOND_TRY));
    let waits = |at: Timestamp, time: SignedDuration| now.duration_since(at) >= time;
    let is_late = waits_since(incident, now).is_some_and(|since| waits(since, allowed));
    let is_fresh = incident.paged_at.is_some_and(|paged_at| !waits(paged_at, AGAIN));
    is_late && !is_fresh && !is_told(incident, rows)
}

/// The purposes for which a sweep has to look at an incident's rows; none if it need not, because nothing can be due, or a
/// note says that all is done. Without the note, each open incident would cost a query every minute for as long as
/// nobody takes it.
pub(crate) fn unsettled(
    policy: &Policy,
    item: &Attributes,
    incident: &Incident,
    now: Timestamp,
) -> Option<Vec<Purpose>> {
    let purposes = due(policy, incident, now);
    if purposes.is_empty() && !is_untold(incident, &[], now) {
        return None;
    }
    let is_noted = text(item, SETTLED).is_some_and(|noted| {
        purposes.iter().all(|purpose| noted.split_whitespace().any(|name| name == purpose.name()))
    });
    (!is_noted).then_some(purposes)
}

/// The write that notes that a channel has accepted an incident's page, and that these purposes are escalated to. It is of
/// this version only: whoever changes an incident replaces its item, and the note is gone.
pub(crate) fn settled(incident: &Incident, purposes: &[Purpose]) -> Write {
    let names: Vec<&str> = purposes.iter().map(|purpose| purpose.name()).collect();
    let version = i64::try_from(incident.version).unwrap_or(i64::MAX);
    Write::Update {
        key: Key::incident(&incident.id),
        set: Attributes::from([(SETTLED.to_owned(), Attribute::Text(names.join(" ")))]),
        set_if_absent: Attributes::new(),
        remove: vec![],
        only_if: vec![Check::Equals("version", Attribute::Number(version))],
    }
}

#[cfg(test)]
mod tests {
    use incident::{Severity, State};

    use super::super::reach::tests::{at, incident, policy};
    use super::*;

    #[test]
    fn the_second_is_paged_after_the_wait_and_the_backup_after_another() {
        use Purpose::{Backup, Second};
        let waiting = |severity| Incident { severity, ..incident("Squad Infra", "Squad Backend") };
        let taken = Incident { state: State::Acknowledged, ..waiting(Severity::S1) };
        let over = Incident { state: State::Resolved, ..waiting(Severity::S1) };
        let silent = Incident { paged_at: None, ..waiting(Severity::S1) };
        let muted = Incident { paged_at: Some(at(60)), ..waiting(Severity::S1) };
        let synthetic = Incident {
            is_drill: true,
            problem: "incident-send/synthetic/2026-11-29".to_owned(),
            ..waiting(Severity::S1)
        };
        let alone = Incident { severity: Severity::S1, ..incident("Squad Backend", "Squad Infra") };
        let nobody = Incident { severity: Severity::S1, ..incident("Squad X", "") };
        let both =
            Incident { severity: Severity::S1, ..incident("Squad Backend, Squad Infra", "Squad X, Squad X") };
        for (incident, minutes, expected) in [
            (waiting(Severity::S1), -1, &[][..]),
            (waiting(Severity::S1), 4, &[]),
            (waiting(Severity::S1), 5, &[Second]),
            (waiting(Severity::S0), 9, &[Second]),
            (waiting(Severity::S1), 10, &[Second, Backup]),
            (waiting(Severity::S2), 29, &[]),
            (waiting(Severity::S3), 30, &[Second]),
            (waiting(Severity::S2), 60, &[Second, Backup]),
            (taken, 99, &[]),
            (over, 99, &[]),
            (silent, 99, &[]),
            (synthetic, 99, &[]),
            (muted.clone(), 59, &[]),
            (muted, 65, &[Second]),
            // A step that would reach nobody takes no time.
            (alone, 5, &[Backup]),
            (nobody, 99, &[]),
            (both, 5, &[Second]),
        ] {
            assert_eq!(due(&policy(), &incident, at(minutes)), expected, "{} {minutes}", incident.owner);
        }
    }

    #[test]
    fn an_escalation_belongs_to_the_page_that_waits() {
        let row = |stored: Option<i64>| Row {
            stored_at: stored.map(at),
            ..Row::new("INC-1", Channel::Slack, Purpose::Second)
        };
        let waiting = incident("Squad Infra", "");
        for (rows, purpose, expected) in [
            (vec![], Purpose::Second, false),
            (vec![row(Some(0))], Purpose::Second, true),
            (vec![row(Some(5))], Purpose::Second, true),
            (vec![row(Some(5))], Purpose::Backup, false),
            (vec![row(Some(-1))], Purpose::Second, false),
            (vec![row(None)], Purpose::Second, false),
        ] {
            assert_eq!(is_done(purpose, &waiting, &rows), expected, "{rows:?}");
        }
    }

    /// The rows of a plan with their due times, and the entry's text.
    fn planned(incident: &Incident, purpose: Purpose, channels: &[Channel]) -> (Vec<(String, i64)>, String) {
        let writes = plan(&policy(), incident, purpose, channels, Language::Portuguese, at(5));
        let mut text = String::new();
        let mut rows = Vec::new();
        for write in &writes {
            match write {
                Write::Update { key, set, .. } => {
                    let Attribute::Number(due) = set["due"] else { panic!("{set:?}") };
                    rows.push((key.sk.clone(), (due - at(5).as_millisecond()) / 1000));
                }
                Write::Put { item, .. } => {
                    assert!(Key::of(item).unwrap().sk.starts_with(Key::LINES));
                    text = incident::store::entry(item).unwrap().text;
                }
            }
        }
        (rows, text)
    }

    #[test]
    fn an_escalation_goes_through_the_channels_that_know_its_people() {
        let all = [Channel::Sms, Channel::Slack, Channel::Ses, Channel::Sns, Channel::PagerDuty];
        let waiting = |severity| Incident { severity, ..incident("Squad Infra", "Squad Backend") };
        let rows =
            |all: &[(&str, i64)]| all.iter().map(|(key, due)| ((*key).to_owned(), *due)).collect::<Vec<_>>();
        let (found, text) = planned(&waiting(Severity::S1), Purpose::Second, &all);
        assert_eq!(found, rows(&[("SEND#slack#second", 0), ("SEND#sns#second", 60)]));
        assert_eq!(text, "ninguém assumiu a tempo; avisada a segunda pessoa: Bia");
        let (found, text) = planned(&waiting(Severity::S1), Purpose::Backup, &all);
        // Those that reach everybody follow, whatever their place in the stack.
        let by_all = [("SEND#ses#backup", 0), ("SEND#slack#backup", 60), ("SEND#sns#backup", 120)];
        assert_eq!(found, rows(&by_all));
        assert_eq!(text, "ninguém assumiu a tempo; avisado o squad de backup: Caio");
        let dados = Incident { severity: Severity::S2, ..incident("Squad Infra", "Squad Dados") };
        let (found, _) = planned(&dados, Purpose::Backup, &all);
        let by_both = [("SEND#slack#backup", 0), ("SEND#ses#backup", 300), ("SEND#sns#backup", 600)];
        assert_eq!(found, rows(&by_both));
        let (found, _) = planned(&Incident { severity: Severity::S0, ..dados }, Purpose::Backup, &all);
        assert_eq!(found[1].1, 60);
        // Nobody of them has a contact that the stack's channels know.
        let (found, _) = planned(&waiting(Severity::S1), Purpose::Backup, &[Channel::Slack, Channel::Sns]);
        assert_eq!(found, rows(&[("SEND#slack#backup", 0), ("SEND#sns#backup", 60)]));
        let (found, _) = planned(&waiting(Severity::S1), Purpose::Backup, &[Channel::PagerDuty]);
        assert_eq!(found, rows(&[]));
    }

    #[test]
    fn an_escalation_is_told_first_by_the_channels_that_address_its_people() {
        let all = [Channel::Slack, Channel::Sns, Channel::Ses, Channel::PagerDuty];
        let waiting = incident("Squad Infra", "Squad Backend");
        let ordered = |purpose| order(&policy(), &waiting, purpose, &all, at(0));
        assert_eq!(ordered(Purpose::Post), all);
        assert_eq!(ordered(Purpose::OnCall), all);
        assert_eq!(ordered(Purpose::Second), all, "Bia has Slack");
        let by_mail = [Channel::Ses, Channel::Slack, Channel::Sns, Channel::PagerDuty];
        assert_eq!(ordered(Purpose::Backup), by_mail, "Caio has mail");
        let with_mail = [Channel::Slack, Channel::Ses, Channel::Sns, Channel::PagerDuty];
        assert_eq!(ordered(Purpose::Commander), with_mail, "Ana is on call");
        assert_eq!(ordered(Purpose::Customers), [Channel::Ses]);
    }

    #[test]
    fn an_incident_is_looked_at_until_a_note_says_that_all_is_done() {
        use Purpose::{Backup, Second};
        let waiting = Incident { severity: Severity::S1, ..incident("Squad Infra", "Squad Backend") };
        let taken = Incident { state: State::Acknowledged, ..waiting.clone() };
        // It escalates to nobody, and may still be untold.
        let alone = Incident { severity: Severity::S1, ..incident("Squad X", "") };
        for (incident, noted, minutes, expected) in [
            (&waiting, None, 4, None),
            (&waiting, None, 5, Some(&[Second][..])),
            (&waiting, Some(&[][..]), 5, Some(&[Second][..])),
            (&waiting, Some(&[Second][..]), 9, None),
            (&waiting, Some(&[Second][..]), 10, Some(&[Second, Backup][..])),
            (&waiting, Some(&[Second, Backup][..]), 9_999, None),
            (&taken, None, 99, None),
            (&alone, None, 4, None),
            (&alone, None, 5, Some(&[][..])),
            (&alone, Some(&[][..]), 9_999, None),
        ] {
            let mut item = Attributes::new();
            if let Some(noted) = noted {
                let Write::Update { key, set, only_if, .. } = settled(incident, noted) else { panic!() };
                assert_eq!(key, Key::incident("INC-1"));
                assert_eq!(only_if, [Check::Equals("version", Attribute::Number(1))]);
                item = set;
            }
            let found = unsettled(&policy(), &item, incident, at(minutes));
            assert_eq!(found.as_deref(), expected, "{} {noted:?} {minutes}", incident.owner);
        }
    }

    #[test]
    fn a_page_that_nothing_accepts_is_untold_once_its_second_channel_has_had_time() {
        let of = |severity| Incident { severity, ..incident("Squad Infra", "") };
        let (waiting, lesser) = (of(Severity::S1), of(Severity::S2));
        let row = |sent| Row { sent, ..Row::new("INC-1", Channel::Slack, Purpose::Post) };
        let taken = Incident { state: State::Acknowledged, ..waiting.clone() };
        let back = Incident { version: 5, paged_version: 3, ..waiting.clone() };
        let second = Row { purpose: Purpose::Second, ..row(3) };
        for (incident, rows, minutes, expected) in [
            (&waiting, vec![row(0)], 4, false),
            (&waiting, vec![row(0)], 5, true),
            (&waiting, vec![], 5, true),
            (&lesser, vec![row(0)], 6, false),
            (&lesser, vec![row(0)], 7, true),
            (&waiting, vec![row(0), row(1)], 5, false),
            (&taken, vec![row(0)], 5, false),
            // It came back as version 3: told is who has that version, or a later one.
            (&back, vec![row(2)], 4, false),
            (&back, vec![row(2)], 5, true),
            (&back, vec![row(2), row(3)], 5, false),
            (&back, vec![row(4)], 5, false),
            (&back, vec![row(2), second], 5, true),
        ] {
            assert_eq!(is_untold(incident, &rows, at(minutes)), expected, "{rows:?} {minutes}");
        }
    }
}
