//! What changed, as an Atom feed (RFC 4287).

use atom_syndication::{Entry, Feed, FixedDateTime, Generator, Person, Text};
use jiff::Timestamp;
use shared::runtime::language::Language;

use crate::rules::view::{Event, View};
use crate::text::{requirement, state};

/// `feed.atom`.
pub(crate) fn feed(view: &View, language: Language) -> String {
    let title = language.pick("Governança", "Governance");
    let author = Person {
        name: format!("{}-{}-governance-report", view.project, view.environment),
        ..Person::default()
    };
    let feed = Feed {
        title: Text::plain(format!("{title}: {} {}", view.project, view.environment)),
        id: format!("urn:governance:{}:{}", view.project, view.environment),
        updated: instant(view.events.first().map_or(view.made_at, |event| event.at)),
        authors: vec![author],
        generator: Some(Generator { value: "governance-report".to_owned(), ..Generator::default() }),
        lang: Some(language.pick("pt-BR", "en").to_owned()),
        entries: view.events.iter().map(|event| entry(view, event, language)).collect(),
        ..Feed::default()
    };
    feed.to_string()
}

fn entry(view: &View, event: &Event, language: Language) -> Entry {
    let to = state(event.to, language);
    let from = event.from.map_or(language.pick("novo", "new"), |from| state(from, language));
    let what = requirement(&event.control, language);
    Entry {
        title: Text::plain(format!("{to}: {what}")),
        // Milliseconds: two runs in one second are two changes.
        id: format!(
            "urn:governance:{}:{}:{}:{}",
            view.project,
            view.environment,
            event.control,
            event.at.as_millisecond()
        ),
        updated: instant(event.at),
        summary: Some(Text::plain(format!("{}: {from} → {to}", event.control))),
        ..Entry::default()
    }
}

fn instant(at: Timestamp) -> FixedDateTime {
    // A timestamp is always a valid date and time.
    FixedDateTime::parse_from_rfc3339(&at.to_string()).unwrap_or_default()
}
