//! What a row of the outbox needs; see [`Row`] for the rules.

use incident::store::{Channel, Purpose, Row};
use incident::{Action, Incident, State};
use jiff::{SignedDuration, Timestamp};

use super::call;

/// After this time, what is over and told by another channel is not told again, and mail to customers is no news.
const OLD: SignedDuration = SignedDuration::from_hours(24);

/// What to do with a row that is due.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Look again at that time.
    Wait(Timestamp),
    /// Nothing is left to do, for a reason.
    Finish(&'static str),
    /// Send it.
    Send,
}

/// Whether other channels tell what a row has to tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Relief {
    /// None does.
    None,
    /// Another one has, or will.
    Other,
    /// Another one has, and the incident has been over for a day.
    Old,
}

/// Rows of the same group reach the same people, so one of them is enough.
pub(super) fn group(purpose: Purpose) -> u8 {
    match purpose {
        Purpose::Post | Purpose::OnCall => 0,
        Purpose::Second => 1,
        Purpose::Backup => 2,
        Purpose::Called => 3,
        Purpose::Commander => 4,
        Purpose::CommanderBackup => 5,
        Purpose::Customers => 6,
    }
}

fn place(channel: Channel, channels: &[Channel]) -> Option<usize> {
    channels.iter().position(|one| *one == channel)
}

/// The other rows of a row's group.
fn others<'a>(row: &Row, rows: &'a [Row]) -> impl Iterator<Item = &'a Row> {
    let (key, group_of) = (row.key(), group(row.purpose));
    rows.iter().filter(move |other| group(other.purpose) == group_of && other.key() != key)
}

/// What a due row needs, by its incident and that incident's rows as they are now. `channels` are the stack's, in the
/// order of [`super::escalation::order`].
pub(crate) fn step(
    row: &Row,
    incident: &Incident,
    rows: &[Row],
    channels: &[Channel],
    now: Timestamp,
) -> Step {
    let Some(own) = place(row.channel, channels) else { return Step::Finish("not a channel of this stack") };
    // The message in Slack may be up to date, and its thread not.
    let has_thread = row.channel == Channel::Slack && row.purpose == Purpose::Post && row.sent > 0;
    if row.sent >= row.wanted && !has_thread {
        return Step::Finish("it has been told");
    }
    if call::action(row.purpose).is_some() {
        return called(row, incident, rows, channels, now);
    }
    let is_escalation = group(row.purpose) > 0;
    if is_escalation && incident.state != State::Triggered {
        return Step::Finish("somebody has taken it, or it is over");
    }
    if row.sent < incident.paged_version.max(1) || is_escalation {
        match incident.paged_at {
            None => return Step::Finish("it pages nobody"),
            Some(paged_at) if paged_at > now => return Step::Wait(paged_at),
            Some(_) => {}
        }
    }
    // An escalation in Slack is a reply.
    let is_shown_in_place = row.sent > 0 && row.channel.updates_in_place() && !is_escalation;
    // A first message calls people, so of what somebody has taken it is enough that another channel told an older version. So it
    // is of what is over for PagerDuty, which ignores the end of what it never had.
    let is_ignored = match incident.state {
        State::Triggered => false,
        State::Acknowledged | State::Mitigated => true,
        State::Resolved => row.channel == Channel::PagerDuty && row.unclear == 0,
    };
    let least = if is_ignored && row.sent == 0 { 1 } else { row.wanted };
    let is_told = others(row, rows)
        .any(|other| other.sent >= least && place(other.channel, channels).is_some_and(|place| place < own));
    if is_told && !is_shown_in_place { Step::Finish("another channel has told it") } else { Step::Send }
}

/// The same of a row that was ordered beside the page: neither an acknowledgement nor a mute stops it.
fn called(row: &Row, incident: &Incident, rows: &[Row], channels: &[Channel], now: Timestamp) -> Step {
    if row.purpose == Purpose::Customers && incident.is_drill {
        return Step::Finish("a drill tells no customer");
    }
    if row.purpose == Purpose::Customers && incident.is_merged() {
        return Step::Finish("it is a part of another incident");
    }
    let ordered = incident.acts.get(&Action::CustomersTold).map(|act| act.at);
    if row.purpose == Purpose::Customers && ordered.is_some_and(|at| now.duration_since(at) >= OLD) {
        return Step::Finish("it was ordered a day ago");
    }
    let own = place(row.channel, channels);
    let is_told = others(row, rows).any(|other| {
        other.sent >= row.wanted && place(other.channel, channels).is_some_and(|place| Some(place) < own)
    });
    // The thread has everything.
    if is_told && row.channel != Channel::Slack {
        return Step::Finish("another channel has told it");
    }
    Step::Send
}

/// Whether other channels tell what this row has to tell.
pub(crate) fn relief(row: &Row, incident: &Incident, rows: &[Row], now: Timestamp) -> Relief {
    let has_told = others(row, rows).any(|other| other.sent >= row.wanted);
    let is_old = incident.resolved_at.is_some_and(|at| now.duration_since(at) >= OLD) && !incident.is_open();
    if has_told && is_old {
        return Relief::Old;
    }
    let will_tell = others(row, rows).any(|other| other.due.is_some());
    if has_told || will_tell { Relief::Other } else { Relief::None }
}

/// The row whose turn comes after this one's, if it only waits for its turn.
pub(crate) fn next<'a>(row: &Row, rows: &'a [Row], channels: &[Channel]) -> Option<&'a Row> {
    waiting(row, rows, channels, |place, own| place > own)
}

/// The row that ought to have told a call before this one, if it only waits for its turn: whoever orders a call does not know
/// which channels address its people.
pub(crate) fn better<'a>(row: &Row, rows: &'a [Row], channels: &[Channel]) -> Option<&'a Row> {
    call::action(row.purpose)?;
    waiting(row, rows, channels, |place, own| place < own)
}

/// The first other row of the group whose place is as wanted.
fn waiting<'a>(
    row: &Row,
    rows: &'a [Row],
    channels: &[Channel],
    is_wanted: fn(usize, usize) -> bool,
) -> Option<&'a Row> {
    let own = place(row.channel, channels)?;
    let placed = others(row, rows).filter_map(|other| Some((place(other.channel, channels)?, other)));
    let waits = placed.filter(|(place, other)| is_wanted(*place, own) && other.due.is_some());
    let (_, next) = waits.min_by_key(|(place, _)| *place)?;
    // Not one that its own channel told to wait.
    (next.attempts == 0 && next.lease_owner.is_empty()).then_some(next)
}

#[cfg(test)]
mod tests {
    use incident::Act;

    use super::*;

    const CHANNELS: [Channel; 4] = [Channel::Slack, Channel::Ses, Channel::Sns, Channel::PagerDuty];

    fn at(minutes: i64) -> Timestamp {
        "2026-11-29T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
    }

    fn row(channel: Channel, purpose: Purpose, sent: u64, wanted: u64) -> Row {
        Row { sent, wanted, due: Some(at(0)), ..Row::new("INC-1", channel, purpose) }
    }

    fn incident(state: State, paged_at: Option<i64>) -> Incident {
        Incident { id: "INC-1".to_owned(), state, paged_at: paged_at.map(at), ..Incident::default() }
    }

    #[test]
    fn a_row_waits_is_finished_or_is_sent() {
        use Channel::{PagerDuty, Ses, Slack, Sms, Sns};
        use Purpose::{Backup, OnCall, Post, Second};
        use State::{Acknowledged, Resolved, Triggered};

        let told = row(Slack, Post, 3, 3);
        let behind = row(Slack, Post, 2, 3);
        let finished = |why| Step::Finish(why);
        let by_another = || finished("another channel has told it");
        for (own, state, paged_at, rows, expected) in [
            // A first message.
            (row(Slack, Post, 0, 1), Triggered, Some(0), vec![], Step::Send),
            (row(Slack, Post, 0, 1), Triggered, Some(1), vec![], Step::Wait(at(1))),
            (row(Slack, Post, 0, 1), Triggered, None, vec![], finished("it pages nobody")),
            (row(Slack, Post, 0, 2), Resolved, Some(0), vec![], Step::Send),
            (row(Sms, OnCall, 0, 1), Triggered, Some(0), vec![], finished("not a channel of this stack")),
            // A change of a message.
            (row(Slack, Post, 1, 2), Acknowledged, Some(9), vec![], Step::Send),
            (row(Slack, Post, 1, 2), Resolved, None, vec![], Step::Send),
            (row(Slack, Post, 2, 2), Resolved, Some(0), vec![], Step::Send),
            (row(PagerDuty, Post, 2, 2), Resolved, Some(0), vec![], finished("it has been told")),
            // A channel before it has told it, the version that it wants or a later one.
            (row(Ses, OnCall, 0, 3), Triggered, Some(0), vec![told.clone()], by_another()),
            (row(Ses, OnCall, 0, 2), Triggered, Some(0), vec![told.clone()], by_another()),
            (row(Ses, OnCall, 0, 3), Triggered, Some(0), vec![behind.clone()], Step::Send),
            (row(Ses, OnCall, 1, 3), Resolved, Some(0), vec![told.clone()], by_another()),
            (row(PagerDuty, Post, 0, 3), Triggered, Some(0), vec![told.clone()], by_another()),
            // Somebody has taken what another channel told, whose change is on its way.
            (row(PagerDuty, Post, 0, 3), Acknowledged, Some(0), vec![behind.clone()], by_another()),
            (row(PagerDuty, Post, 0, 3), Triggered, Some(0), vec![behind.clone()], Step::Send),
            // PagerDuty does not hear of the end of what it never had; it may have had what was answered unclearly.
            (row(PagerDuty, Post, 0, 3), Resolved, Some(0), vec![behind.clone()], by_another()),
            (
                Row { unclear: 1, ..row(PagerDuty, Post, 0, 3) },
                Resolved,
                Some(0),
                vec![behind.clone()],
                Step::Send,
            ),
            (row(PagerDuty, Post, 0, 3), Resolved, Some(0), vec![row(Slack, Post, 0, 3)], Step::Send),
            (row(Ses, OnCall, 0, 3), Resolved, Some(0), vec![behind.clone()], Step::Send),
            (row(PagerDuty, Post, 1, 3), Acknowledged, Some(0), vec![behind.clone()], Step::Send),
            (row(PagerDuty, Post, 0, 3), Acknowledged, Some(0), vec![row(Slack, Post, 0, 3)], Step::Send),
            // What it has is changed in place.
            (row(PagerDuty, Post, 1, 3), Resolved, Some(0), vec![told.clone()], Step::Send),
            // A channel after it does not count.
            (row(Slack, Post, 0, 1), Triggered, Some(0), vec![row(Sns, Post, 1, 1)], Step::Send),
            // An escalation.
            (row(Slack, Second, 0, 3), Triggered, Some(0), vec![told.clone()], Step::Send),
            (
                row(Slack, Second, 0, 3),
                Acknowledged,
                Some(0),
                vec![],
                finished("somebody has taken it, or it is over"),
            ),
            (
                row(Ses, Backup, 1, 3),
                Resolved,
                Some(0),
                vec![],
                finished("somebody has taken it, or it is over"),
            ),
            (row(Slack, Second, 1, 3), Triggered, Some(5), vec![], Step::Wait(at(5))),
            (row(Ses, Second, 0, 3), Triggered, Some(0), vec![row(Slack, Second, 3, 3)], by_another()),
            (row(Ses, Backup, 0, 3), Triggered, Some(0), vec![row(Slack, Second, 3, 3)], Step::Send),
            (row(PagerDuty, Second, 1, 3), Triggered, Some(0), vec![row(Slack, Second, 3, 3)], by_another()),
            // It came back: the one before was told of an older page.
            (row(Ses, Second, 0, 9), Triggered, Some(0), vec![row(Slack, Second, 3, 9)], Step::Send),
        ] {
            let all: Vec<Row> = rows.into_iter().chain([own.clone()]).collect();
            let found = step(&own, &incident(state, paged_at), &all, &CHANNELS, at(0));
            assert_eq!(found, expected, "{own:?} {state:?} {paged_at:?}");
        }
    }

    /// Mail to the customers was ordered at that minute.
    fn ordered(minutes: i64, incident: Incident) -> Incident {
        let act = Act { at: at(minutes), ..Act::default() };
        Incident { acts: [(Action::CustomersTold, act)].into(), ..incident }
    }

    #[test]
    fn what_was_ordered_beside_the_page_waits_for_nobody() {
        use Channel::{Ses, Slack, Sns};
        use Purpose::{Called, Commander, Customers};
        use State::{Acknowledged, Resolved, Triggered};

        let by_another = || Step::Finish("another channel has told it");
        let merged = |incident| Incident { merged_into: "INC-2".to_owned(), ..incident };
        let drill = |incident| Incident { is_drill: true, ..incident };
        let same = |incident| incident;
        let a_day = |incident| ordered(-24 * 60, incident);
        let less = |incident| ordered(-24 * 60 + 1, incident);
        for (own, state, change, rows, expected) in [
            (row(Slack, Called, 0, 3), Acknowledged, same as fn(Incident) -> Incident, vec![], Step::Send),
            (row(Slack, Commander, 2, 3), Resolved, same, vec![], Step::Send),
            (row(Slack, Commander, 3, 3), Triggered, same, vec![], Step::Finish("it has been told")),
            (row(Ses, Commander, 0, 3), Acknowledged, same, vec![row(Slack, Commander, 3, 3)], by_another()),
            // What the other told was an earlier call.
            (row(Ses, Commander, 0, 3), Acknowledged, same, vec![row(Slack, Commander, 2, 3)], Step::Send),
            (row(Ses, Commander, 0, 3), Acknowledged, same, vec![row(Slack, Called, 3, 3)], Step::Send),
            (row(Slack, Commander, 0, 3), Acknowledged, same, vec![row(Ses, Commander, 3, 3)], Step::Send),
            (row(Sns, Called, 0, 3), Acknowledged, same, vec![row(Ses, Called, 3, 3)], by_another()),
            (row(Ses, Customers, 0, 3), Resolved, same, vec![row(Slack, Called, 3, 3)], Step::Send),
            (row(Ses, Customers, 0, 3), Triggered, drill, vec![], Step::Finish("a drill tells no customer")),
            (row(Ses, Customers, 0, 3), Resolved, less, vec![], Step::Send),
            (row(Ses, Customers, 0, 3), Resolved, a_day, vec![], Step::Finish("it was ordered a day ago")),
            (row(Slack, Called, 0, 3), Triggered, drill, vec![], Step::Send),
            (
                row(Ses, Customers, 0, 3),
                Triggered,
                merged,
                vec![],
                Step::Finish("it is a part of another incident"),
            ),
        ] {
            let all: Vec<Row> = rows.into_iter().chain([own.clone()]).collect();
            // Muted: a page would wait.
            let incident = change(incident(state, Some(60)));
            assert_eq!(step(&own, &incident, &all, &CHANNELS, at(0)), expected, "{own:?} {state:?}");
        }
    }

    #[test]
    fn a_channel_is_relieved_by_one_that_has_told_or_will() {
        let own = row(Channel::Slack, Purpose::Post, 0, 3);
        let told = row(Channel::Sns, Purpose::Post, 3, 3);
        let told = Row { due: None, ..told };
        let waits = row(Channel::Ses, Purpose::OnCall, 0, 3);
        let done = Row { due: None, ..waits.clone() };
        let escalation = row(Channel::Sns, Purpose::Second, 3, 3);
        let over =
            |minutes| Incident { resolved_at: Some(at(minutes)), ..incident(State::Resolved, Some(0)) };
        let open = incident(State::Triggered, Some(0));
        for (rows, incident, expected) in [
            (vec![], &open, Relief::None),
            (vec![done.clone()], &open, Relief::None),
            (vec![escalation], &open, Relief::None),
            (vec![waits.clone()], &open, Relief::Other),
            (vec![told.clone()], &open, Relief::Other),
            (vec![told.clone()], &over(-24 * 60 + 1), Relief::Other),
            (vec![told.clone()], &over(-24 * 60), Relief::Old),
            (vec![waits], &over(-24 * 60), Relief::Other),
            (vec![done], &over(-24 * 60), Relief::None),
        ] {
            let all: Vec<Row> = rows.into_iter().chain([own.clone()]).collect();
            assert_eq!(relief(&own, incident, &all, at(0)), expected, "{all:?}");
        }
        let reopened = Incident { state: State::Triggered, ..over(-24 * 60) };
        assert_eq!(relief(&own, &reopened, &[own.clone(), told], at(0)), Relief::Other);
    }

    #[test]
    fn the_next_channel_is_the_first_that_waits_for_its_turn() {
        let own = row(Channel::Slack, Purpose::Post, 0, 3);
        let waits = |channel: Channel| row(channel, channel.first_purpose(), 0, 3);
        let idle = Row { due: None, ..waits(Channel::Ses) };
        let tried = Row { attempts: 1, ..waits(Channel::Ses) };
        let taken = Row { lease_owner: "one".to_owned(), ..waits(Channel::Ses) };
        for (rows, expected) in [
            (vec![], None),
            (vec![waits(Channel::PagerDuty), waits(Channel::Sns)], Some(Channel::Sns)),
            (vec![waits(Channel::Ses), waits(Channel::Sns)], Some(Channel::Ses)),
            (vec![idle, waits(Channel::Sns)], Some(Channel::Sns)),
            (vec![tried, waits(Channel::Sns)], None),
            (vec![taken, waits(Channel::Sns)], None),
            (vec![row(Channel::Ses, Purpose::Second, 0, 3)], None),
            (vec![waits(Channel::Sms)], None),
        ] {
            assert_eq!(next(&own, &rows, &CHANNELS).map(|row| row.channel), expected, "{rows:?}");
        }
        assert_eq!(next(&waits(Channel::Sns), &[own], &CHANNELS), None, "it comes before");
        let call = |channel| row(channel, Purpose::Called, 0, 3);
        let first = |row: &Row| {
            better(row, &[call(Channel::Ses), call(Channel::Sns)], &CHANNELS).map(|row| row.channel)
        };
        assert_eq!(first(&call(Channel::PagerDuty)), Some(Channel::Ses));
        assert_eq!(first(&call(Channel::Slack)), None, "none comes before");
        assert_eq!(better(&waits(Channel::Sns), &[waits(Channel::Ses)], &CHANNELS), None, "no call");
    }
}
