//! Which entries of a timeline stand in the thread of the incident's message.

use incident::store::Row;
use incident::{Action, Entry, Incident, State};

/// Most replies of one attempt; the rest follows in the next one.
pub(crate) const MOST: usize = 5;

/// An entry for the thread.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reply {
    /// Sort key of the entry.
    pub key: String,
    /// The entry.
    pub entry: Entry,
    /// Whether it notifies the person on call: an update of the message notifies nobody.
    pub notifies: bool,
}

/// Whether people have to know of an entry. Not what the message itself shows (events and their count), what other rows
/// send (escalations, calls, reminders), nor how sending went.
pub(crate) fn is_for_people(action: Action) -> bool {
    match action {
        Action::Reopened
        | Action::Flapping
        | Action::Acknowledged
        | Action::SeverityConfirmed
        | Action::SeverityChanged
        | Action::CommanderAssigned
        | Action::Update
        | Action::Mitigated
        | Action::Resolved
        | Action::Muted
        | Action::Unmuted
        | Action::FalseAlarm
        | Action::Merged
        | Action::SensitiveData
        | Action::Drill
        | Action::RunbookWrong
        | Action::SupportCase
        | Action::CustomersTold
        | Action::CustomersNotTold
        | Action::PostMortem
        | Action::Restore
        | Action::Other => true,
        Action::Triggered
        | Action::Event
        | Action::Escalated
        | Action::SquadCalled
        | Action::Reminded
        | Action::Suppressed
        | Action::Sent
        | Action::SendFailed
        | Action::Note => false,
    }
}

/// The entries that are not in the thread yet, the oldest first. Of a problem that comes back again and again, or whose mute
/// ended, only the newest return notifies. While nobody waits to be called, a return is not told: it may belong to a version
/// that is newer than the one that is shown, and would be told without a sound.
pub(crate) fn missing(row: &Row, incident: &Incident, lines: &[(String, Entry)]) -> Vec<Reply> {
    let is_waiting = incident.state == State::Triggered;
    let calls = |entry: &Entry| match entry.action {
        Action::Reopened | Action::Flapping => true,
        // A message that was posted only then has called them.
        Action::Unmuted => row.accepted_at.is_some_and(|accepted_at| accepted_at < entry.at),
        _ => false,
    };
    let is_new = |key: &String| !row.told.contains(key);
    let new = lines
        .iter()
        .filter(|(key, entry)| is_for_people(entry.action) && is_new(key) && (is_waiting || !calls(entry)));
    let mut replies: Vec<_> =
        new.map(|(key, entry)| Reply { key: key.clone(), entry: entry.clone(), notifies: false }).collect();
    let mut returns = replies.iter_mut().rev().filter(|reply| calls(&reply.entry));
    if let Some(newest) = returns.next() {
        newest.notifies = true;
    }
    replies
}

#[cfg(test)]
mod tests {
    use incident::store::{Channel, Purpose};
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    fn line(minutes: i64, action: Action) -> (String, Entry) {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let entry = Entry { at, by: "alarm".to_owned(), action, text: String::new() };
        (format!("LINE#{minutes}"), entry)
    }

    fn found(told: &[&str], state: State, lines: &[(String, Entry)]) -> Vec<(String, bool)> {
        let told = told.iter().map(|key| (*key).to_owned()).collect();
        let row = Row { told, ..Row::new("INC-1", Channel::Slack, Purpose::Post) };
        let incident = Incident { state, ..Incident::default() };
        missing(&row, &incident, lines).into_iter().map(|reply| (reply.key, reply.notifies)).collect()
    }

    #[test]
    fn the_thread_has_what_people_have_to_know_once() {
        let lines = [
            line(1, Action::Triggered),
            line(2, Action::Event),
            line(3, Action::Sent),
            line(4, Action::SendFailed),
            line(5, Action::Suppressed),
            line(6, Action::Escalated),
            line(7, Action::Acknowledged),
            line(8, Action::Resolved),
            line(9, Action::Note),
            line(10, Action::SquadCalled),
            line(11, Action::Reminded),
        ];
        let key = |number: i64| (format!("LINE#{number}"), false);
        assert_eq!(found(&[], State::Resolved, &lines), [key(7), key(8)]);
        assert_eq!(found(&["LINE#7"], State::Resolved, &lines), [key(8)]);
        // An entry that is older than the last one told, but arrived later.
        assert_eq!(found(&["LINE#8"], State::Resolved, &lines), [key(7)]);
        assert!(found(&["LINE#7", "LINE#8"], State::Resolved, &lines).is_empty());
    }

    #[test]
    fn a_problem_that_is_back_notifies_unless_somebody_has_it() {
        let lines = [line(1, Action::Reopened), line(2, Action::Resolved), line(3, Action::Reopened)];
        let keys = [("LINE#1".to_owned(), false), ("LINE#2".to_owned(), false), ("LINE#3".to_owned(), true)];
        assert_eq!(found(&[], State::Triggered, &lines), keys);
        for state in [State::Acknowledged, State::Resolved] {
            assert_eq!(found(&[], state, &lines), [("LINE#2".to_owned(), false)], "a version later");
        }
        let old = found(&["LINE#3"], State::Triggered, &lines[..2]);
        assert_eq!(old[0], ("LINE#1".to_owned(), true));
    }

    #[test]
    fn the_end_of_a_mute_notifies_those_who_were_told_before_it() {
        let lines = [line(1, Action::Muted), line(5, Action::Unmuted)];
        for (accepted, state, expected) in [
            (Some(0), State::Triggered, &[false, true][..]),
            (Some(5), State::Triggered, &[false, false]),
            (None, State::Triggered, &[false, false]),
            (Some(0), State::Acknowledged, &[false]),
        ] {
            let accepted_at =
                accepted.map(|minutes| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes));
            let row = Row { accepted_at, ..Row::new("INC-1", Channel::Slack, Purpose::Post) };
            let replies = missing(&row, &Incident { state, ..Incident::default() }, &lines);
            let notifies: Vec<_> = replies.iter().map(|reply| reply.notifies).collect();
            assert_eq!(notifies, expected, "{accepted:?} {state:?}");
        }
    }
}
