//! Texts that people read. What comes from records is other people's text: the page escapes it.

pub(crate) mod chart;
pub(crate) mod feed;
pub(crate) mod finding;
pub(crate) mod mail;
pub(crate) mod page;
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod tests;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use shared::runtime::language::Language;
use shared::runtime::time::SAO_PAULO;

use crate::rules::control::{CONTROLS, UNMEASURED};
use crate::rules::view::{Figure, Gap, Proof, State, View, Why};

/// What a query parameter of the console may hold unescaped.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'/');

/// Most names of items in a reason; `controls.json` has more.
const MOST_NAMES: usize = 3;

/// A state's name.
pub(crate) fn state(state: State, language: Language) -> &'static str {
    match state {
        State::Failing => language.pick("falhando", "failing"),
        State::Overdue => language.pick("vencido", "overdue"),
        State::Unknown => language.pick("não se sabe", "unknown"),
        State::Due => language.pick("a vencer", "due"),
        State::Ok => language.pick("em ordem", "ok"),
    }
}

/// What the guide requires of a control; its id, of one that this version does not know.
pub(crate) fn requirement(id: &str, language: Language) -> &str {
    let control = CONTROLS.iter().find(|control| control.id == id);
    control.map_or(id, |control| language.pick(control.text.0, control.text.1))
}

/// A requirement that is not measured, and why; its id, of one that this version does not know.
pub(crate) fn unmeasured(gap: &Gap, language: Language) -> (&str, &'static str) {
    let Some(known) = UNMEASURED.iter().find(|known| known.id == gap.id) else { return (&gap.id, "") };
    let why = known.off.filter(|_| gap.off).unwrap_or(known.why);
    (language.pick(known.text.0, known.text.1), language.pick(why.0, why.1))
}

/// Why a control has its state.
pub(crate) fn why(why: &Why, language: Language) -> String {
    match why {
        Why::NoEvidence => language.pick("não há evidência", "there is no evidence").to_owned(),
        Why::NoCase => language.pick("nenhum caso até agora", "no case so far").to_owned(),
        Why::ChainDamaged => language
            .pick("a cadeia de registros está danificada", "the chain of records is damaged")
            .to_owned(),
        Why::Unread(reason) => {
            shared::tr!(language, "não pôde ser lido: {reason}", "could not be read: {reason}")
        }
        Why::Found(1) => language.pick("1 achado", "1 finding").to_owned(),
        Why::Found(count) => shared::tr!(language, "{count} achados", "{count} findings"),
        Why::NotAllRead => language.pick("nem tudo pôde ser lido", "not everything could be read").to_owned(),
        Why::LateSince(at) => {
            let at = minute(*at);
            shared::tr!(language, "sem evidência boa desde {at}", "no good evidence since {at}")
        }
        Why::Items(names) => {
            let (shown, more) = (names.iter().take(MOST_NAMES), names.len().saturating_sub(MOST_NAMES));
            let shown = shown.map(String::as_str).collect::<Vec<_>>().join(", ");
            match more {
                0 => shown,
                more => shared::tr!(language, "{shown} e mais {more}", "{shown} and {more} more"),
            }
        }
        Why::DrillLost => language
            .pick("o simulado diário do pager não voltou", "the pager's daily drill did not come back")
            .to_owned(),
        Why::DueSoon => language.pick("vence em breve", "due soon").to_owned(),
        Why::Proved => language.pick("provado", "proved").to_owned(),
    }
}

/// What was measured.
pub(crate) fn figure(figure: &Figure, language: Language) -> String {
    let seconds = |value: Option<i64>| value.map_or_else(|| "?".to_owned(), duration);
    match figure {
        Figure::Restore { rto_seconds, rpo_seconds } => {
            format!("RTO {}, RPO {}", seconds(*rto_seconds), seconds(*rpo_seconds))
        }
        Figure::Checks { good, all } => {
            shared::tr!(language, "{good} de {all} verificações", "{good} of {all} checks")
        }
        Figure::Findings(1) => language.pick("1 achado", "1 finding").to_owned(),
        Figure::Findings(count) => shared::tr!(language, "{count} achados", "{count} findings"),
        Figure::Secrets { good, all } => {
            shared::tr!(language, "{good} de {all} segredos no prazo", "{good} of {all} secrets in time")
        }
        Figure::Incidents { all, missed } => shared::tr!(
            language,
            "{missed} de {all} incidentes do mês não cumprem",
            "{missed} of the month's {all} incidents miss it",
        ),
        Figure::Drill(at) => {
            let at = minute(*at);
            shared::tr!(language, "simulado do pager voltou em {at}", "the pager's drill came back on {at}")
        }
        Figure::Records { verified, all } => {
            shared::tr!(language, "{verified} de {all} registros", "{verified} of {all} records")
        }
    }
}

/// A duration: `45 s`, `15 min`, `1 h 05 min`, `2 d 03 h`.
pub(crate) fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// An instant in São Paulo, to the minute: `2026-11-29 09:30`.
pub(crate) fn minute(at: Timestamp) -> String {
    at.to_zoned_datetime(SAO_PAULO).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Its date.
pub(crate) fn day(at: Timestamp) -> String {
    at.to_zoned_datetime(SAO_PAULO).date().to_string()
}

/// The console's page of an object. Only who may read the bucket sees it.
pub(crate) fn console(view: &View, proof: &Proof) -> String {
    let text = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    let (bucket, region, key) = (text(&view.bucket), text(&view.region), text(&proof.key));
    let version = proof.version.as_ref().map(|version| format!("&versionId={}", text(version)));
    format!(
        "https://{region}.console.aws.amazon.com/s3/object/{bucket}?region={region}&prefix={key}{}",
        version.unwrap_or_default()
    )
}
