//! Rows beside the page: of squads that were called in, of reminders, and of the mail to customers. Each tells entries of
//! the incident's timeline, which somebody wrote together with the row.

use incident::store::{Channel, Purpose, Row};
use incident::text::Call;
use incident::{Action, Entry, Incident};
use jiff::SignedDuration;

/// How long before a row's latest order a reminder may have been written that it tells: the channel may have been busy, but
/// who is called for the first time is not told all that others were told for days.
const RECENT: SignedDuration = SignedDuration::from_hours(1);

/// Begins a reminder that an update is due: the newest one is enough, and none once there is an update.
const UPDATE_DUE: char = '🔔';

/// The action whose entries a purpose tells; none for a page.
pub(crate) fn action(purpose: Purpose) -> Option<Action> {
    match purpose {
        Purpose::Post | Purpose::OnCall | Purpose::Second | Purpose::Backup => None,
        Purpose::Called => Some(Action::SquadCalled),
        Purpose::Commander | Purpose::CommanderBackup => Some(Action::Reminded),
        Purpose::Customers => Some(Action::CustomersTold),
    }
}

/// What the texts name a call of a purpose.
pub(crate) fn kind(purpose: Purpose) -> Call {
    if purpose == Purpose::Called { Call::SquadCalled } else { Call::Reminder }
}

/// The entries that a row still has to tell, the oldest first. What a channel has told that reaches an entry's people, the
/// others need not; but the thread in Slack has each.
pub(crate) fn untold(
    row: &Row,
    rows: &[Row],
    incident: &Incident,
    lines: &[(String, Entry)],
    reaches: impl Fn(Channel, &Entry) -> bool,
) -> Vec<(String, Entry)> {
    let is_told = |key: &String, entry: &Entry| {
        let others =
            rows.iter().filter(|other| other.purpose == row.purpose && row.channel != Channel::Slack);
        let mut others = others.filter(|other| other.told.contains(key));
        row.told.contains(key) || others.any(|other| reaches(other.channel, entry))
    };
    let newest = lines.iter().rev().find(|(_, entry)| entry.text.starts_with(UPDATE_DUE));
    let is_left = |(key, entry): &&(String, Entry)| {
        let is_recent = || row.stored_at.is_none_or(|at| at.duration_since(entry.at) <= RECENT);
        let is_missed = || incident.is_open() && incident.updated_at.is_none_or(|at| at < entry.at);
        let is_wanted = match row.purpose {
            Purpose::Called => incident.is_open(),
            Purpose::Commander | Purpose::CommanderBackup if entry.text.starts_with(UPDATE_DUE) => {
                is_missed() && newest.is_some_and(|(newest, _)| newest == key)
            }
            Purpose::Commander | Purpose::CommanderBackup => is_recent(),
            Purpose::Customers => true,
            Purpose::Post | Purpose::OnCall | Purpose::Second | Purpose::Backup => false,
        };
        is_wanted && action(row.purpose) == Some(entry.action) && !is_told(key, entry)
    };
    lines.iter().filter(is_left).cloned().collect()
}

/// The incident with only those squads called in that the entries are about.
pub(crate) fn narrowed<'a>(incident: &Incident, entries: impl IntoIterator<Item = &'a Entry>) -> Incident {
    let times: Vec<_> = entries.into_iter().map(|entry| entry.at).collect();
    let called = incident.called.iter().filter(|called| times.contains(&called.at)).cloned().collect();
    Incident { called, ..incident.clone() }
}

/// What the entries say, in one text.
pub(crate) fn words(entries: &[(String, Entry)]) -> String {
    let texts: Vec<&str> = entries.iter().map(|(_, entry)| entry.text.trim()).collect();
    texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// What customers read of the entries: the newest words of a person. An entry without words must not hide them.
pub(crate) fn for_customers(entries: &[(String, Entry)]) -> &str {
    let mut texts = entries.iter().rev().map(|(_, entry)| entry.text.as_str());
    texts.find(|text| !text.trim().is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use incident::{Called, State};

    use super::super::reach::tests::at;
    use super::*;

    fn line(minutes: i64, action: Action, text: &str) -> (String, Entry) {
        let entry = Entry { at: at(minutes), by: "incident-clock".to_owned(), action, text: text.to_owned() };
        (format!("LINE#{minutes}"), entry)
    }

    fn row(channel: Channel, purpose: Purpose, ordered: i64, told: &[&str]) -> Row {
        let told = told.iter().map(|key| (*key).to_owned()).collect();
        Row { told, stored_at: Some(at(ordered)), ..Row::new("INC-1", channel, purpose) }
    }

    fn found(row: &Row, others: &[Row], incident: &Incident, lines: &[(String, Entry)]) -> Vec<String> {
        let rows: Vec<Row> = others.iter().chain([row]).cloned().collect();
        // Caio, of Squad Dados, has no Slack.
        let reaches =
            |channel: Channel, entry: &Entry| channel != Channel::Slack || entry.text != "Squad Dados";
        untold(row, &rows, incident, lines, reaches).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn of_reminders_that_an_update_is_due_the_newest_is_enough_and_none_once_there_is_one() {
        use Channel::{Ses, Slack};
        use Purpose::{Commander, CommanderBackup};
        let lines = [
            line(0, Action::Triggered, ""),
            line(30, Action::Reminded, "🔔 falta uma atualização"),
            line(40, Action::Reminded, "🔔 ainda falta"),
        ];
        let open = Incident::default();
        let updated = |minutes| Incident { updated_at: Some(at(minutes)), ..Incident::default() };
        let over = Incident { state: State::Resolved, ..Incident::default() };
        for (row, incident, lines, expected) in [
            (row(Slack, Commander, 30, &[]), &open, &lines[..2], &["LINE#30"][..]),
            (row(Slack, Commander, 30, &["LINE#30"]), &open, &lines[..2], &[]),
            (row(Slack, CommanderBackup, 40, &[]), &open, &lines, &["LINE#40"]),
            (row(Ses, Commander, 40, &["LINE#30"]), &open, &lines, &["LINE#40"]),
            (row(Slack, Commander, 40, &[]), &updated(29), &lines, &["LINE#40"]),
            (row(Slack, Commander, 40, &[]), &updated(40), &lines, &[]),
            (row(Slack, Commander, 40, &[]), &over, &lines, &[]),
        ] {
            assert_eq!(found(&row, &[], incident, lines), expected, "{row:?} {incident:?}");
        }
    }

    #[test]
    fn other_reminders_are_all_told_also_after_the_end_but_not_those_of_days_ago() {
        let lines = [
            line(0, Action::Reminded, "⚖️ comunicar à ANPD"),
            line(1, Action::Reminded, "☎️ abrir um caso"),
            line(2, Action::Acknowledged, ""),
        ];
        let over = Incident { state: State::Resolved, ..Incident::default() };
        let commander = |ordered, told: &[&str]| row(Channel::Slack, Purpose::Commander, ordered, told);
        for incident in [&Incident::default(), &over] {
            assert_eq!(found(&commander(1, &[]), &[], incident, &lines), ["LINE#0", "LINE#1"]);
            assert_eq!(found(&commander(1, &["LINE#0"]), &[], incident, &lines), ["LINE#1"]);
            assert_eq!(found(&commander(61, &[]), &[], incident, &lines), ["LINE#1"]);
        }
    }

    #[test]
    fn what_one_channel_has_told_the_others_need_not_but_the_thread_has_it() {
        let lines =
            [line(0, Action::SquadCalled, "Squad Dados"), line(5, Action::SquadCalled, "Squad Infra: disco")];
        let by_mail = row(Channel::Ses, Purpose::Called, 0, &["LINE#0"]);
        let of = |channel| row(channel, Purpose::Called, 5, &[]);
        let open = Incident::default();
        assert_eq!(found(&of(Channel::Sms), std::slice::from_ref(&by_mail), &open, &lines), ["LINE#5"]);
        assert_eq!(
            found(&of(Channel::Slack), std::slice::from_ref(&by_mail), &open, &lines),
            ["LINE#0", "LINE#5"]
        );
        let unheard = row(Channel::Slack, Purpose::Called, 0, &["LINE#0", "LINE#5"]);
        assert_eq!(found(&of(Channel::Ses), &[unheard], &open, &lines), ["LINE#0"], "it mentioned nobody");
        let other = row(Channel::Ses, Purpose::Commander, 0, &["LINE#0", "LINE#5"]);
        assert_eq!(found(&of(Channel::Sms), &[other], &open, &lines), ["LINE#0", "LINE#5"]);
        let over = Incident { state: State::Resolved, ..Incident::default() };
        assert!(
            found(&of(Channel::Slack), &[by_mail], &over, &lines).is_empty(),
            "nobody is needed any more"
        );
    }

    #[test]
    fn an_entry_is_about_the_squads_that_were_called_at_its_instant() {
        let called =
            |squad: &str, minutes| Called { squad: squad.to_owned(), at: at(minutes), ..Called::default() };
        let incident = Incident {
            called: vec![called("Squad Dados", 0), called("Squad Infra", 5)],
            ..Incident::default()
        };
        let squads = |entries: &[(String, Entry)]| {
            let narrowed = narrowed(&incident, entries.iter().map(|(_, entry)| entry));
            narrowed.called.into_iter().map(|called| called.squad).collect::<Vec<_>>()
        };
        let lines =
            [line(0, Action::SquadCalled, "Squad Dados"), line(5, Action::SquadCalled, "Squad Infra")];
        assert_eq!(squads(&lines), ["Squad Dados", "Squad Infra"]);
        assert_eq!(squads(&lines[1..]), ["Squad Infra"]);
        assert!(squads(&[]).is_empty());
        assert_eq!(words(&lines), "Squad Dados\n\nSquad Infra");
    }

    #[test]
    fn customers_read_the_newest_words_of_a_person() {
        let told = |minutes, text| line(minutes, Action::CustomersTold, text);
        for (entries, expected) in [
            (vec![], ""),
            (vec![told(0, "")], ""),
            (vec![told(0, "a"), told(1, "b")], "b"),
            (vec![told(0, "a"), told(1, " ")], "a"),
        ] {
            assert_eq!(for_customers(&entries), expected);
        }
        let row = row(Channel::Ses, Purpose::Customers, 0, &["LINE#0"]);
        let lines = [told(0, "a"), told(1, "b"), line(2, Action::Update, "c")];
        assert_eq!(found(&row, &[], &Incident::default(), &lines), ["LINE#1"]);
    }
}
