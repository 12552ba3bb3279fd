//! What a reminder of an update says, and whom it reaches.

use incident::due::Due;
use incident::store::Purpose;
use incident::text::Language;
use incident::{Incident, State};
use jiff::Timestamp;
use shared::policy::time::SAO_PAULO;

/// Whom a reminder reaches: the commander, then the backup, then both. If the commander was not reminded, because the clock
/// stood still or the interval became shorter, the second reaches both too.
pub(crate) fn purposes(incident: &Incident, step: u32, is_first: bool) -> &'static [Purpose] {
    match step {
        _ if incident.state == State::Mitigated => &[Purpose::Commander],
        0 => &[Purpose::Commander],
        1 if !is_first => &[Purpose::CommanderBackup],
        _ => &[Purpose::Commander, Purpose::CommanderBackup],
    }
}

/// What the thread and the mail say.
pub(crate) fn text(incident: &Incident, due: &Due, language: Language, now: Timestamp) -> String {
    let since = due.since.to_zoned_datetime(SAO_PAULO).strftime(language.pick("%d/%m %H:%M", "%m-%d %H:%M"));
    let (passed, minutes) = (now.duration_since(due.since).as_mins().max(0), due.minutes);
    let severity = incident.severity.name();
    if incident.state == State::Mitigated {
        return shared::tr!(
            language,
            "🔔 O impacto acabou em {since}, e o incidente continua aberto. Encerre-o se a causa também acabou, ou diga o que falta.",
            "🔔 The impact ended on {since}, and the incident is still open. Resolve it if the cause is gone too, or say what is left."
        );
    }
    if incident.updates == 0 {
        return shared::tr!(
            language,
            "🔔 Falta uma atualização: não houve nenhuma desde {since} (há {passed} min), e {severity} pede uma a cada {minutes} min. Diga o que se sabe e quando vem a próxima, mesmo que nada tenha mudado.",
            "🔔 An update is missing: there was none since {since} ({passed} min ago), and {severity} asks for one every {minutes} min. Say what is known and when the next one comes, even if nothing has changed."
        );
    }
    shared::tr!(
        language,
        "🔔 Falta uma atualização: a última notícia foi em {since} (há {passed} min), e {severity} pede uma a cada {minutes} min. Diga o que se sabe e quando vem a próxima, mesmo que nada tenha mudado.",
        "🔔 An update is missing: the last news was on {since} ({passed} min ago), and {severity} asks for one every {minutes} min. Say what is known and when the next one comes, even if nothing has changed."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commander_is_reminded_then_the_backup_then_both() {
        use Purpose::{Commander, CommanderBackup};
        let open = Incident::default();
        let mitigated = Incident { state: State::Mitigated, ..Incident::default() };
        for (incident, step, is_first, expected) in [
            (&open, 0, true, &[Commander][..]),
            (&open, 1, false, &[CommanderBackup]),
            (&open, 1, true, &[Commander, CommanderBackup]),
            (&open, 2, false, &[Commander, CommanderBackup]),
            (&open, 144, false, &[Commander, CommanderBackup]),
            (&mitigated, 0, true, &[Commander]),
            (&mitigated, 3, false, &[Commander]),
        ] {
            assert_eq!(purposes(incident, step, is_first), expected, "{step}");
        }
    }

    #[test]
    fn it_says_since_when_and_how_often() {
        let since: Timestamp = "2026-12-31T23:50:00Z".parse().unwrap();
        let due = Due { since, minutes: 30, at: since };
        let now = since + jiff::SignedDuration::from_mins(31);
        let said = |incident: &Incident| text(incident, &due, Language::Portuguese, now);
        let none = said(&Incident::default());
        assert!(
            none.contains("nenhuma desde 31/12 20:50 (há 31 min), e S1 pede uma a cada 30 min"),
            "{none}"
        );
        let some = said(&Incident { updates: 2, ..Incident::default() });
        assert!(some.contains("a última notícia foi em 31/12 20:50"), "{some}");
        let over = said(&Incident { state: State::Mitigated, ..Incident::default() });
        assert!(over.contains("O impacto acabou em 31/12 20:50"), "{over}");
    }
}
