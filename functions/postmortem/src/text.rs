//! Texts that people read.

pub(crate) mod document;
pub(crate) mod finding;
pub(crate) mod html;
pub(crate) mod metrics;
pub(crate) mod summary;
pub(crate) mod task;
#[cfg(test)]
mod tests;

use jiff::civil::Date;
use shared::runtime::language::Language;

use crate::rules::filled::Missing;
use crate::rules::journal::State;
use crate::rules::wanted::NotNeeded;

/// A state's name for people.
pub(crate) fn state(state: State, language: Language) -> &'static str {
    match state {
        State::Draft => language.pick("rascunho", "draft"),
        State::InReview => language.pick("em revisão", "in review"),
        State::Closed => language.pick("encerrado", "closed"),
        State::Dropped => language.pick("dispensado", "not needed"),
    }
}

/// The timeline's entry about a document that was begun, or begun again.
pub(crate) fn begun(place: &str, pull_request: Option<u64>, due: Date, language: Language) -> String {
    let place = pull_request.map_or_else(|| place.to_owned(), |number| format!("PR #{number}"));
    shared::tr!(language, "rascunho em {place}; encerrar até {due}", "draft in {place}; close it by {due}",)
}

/// The timeline's entry about a change of state.
pub(crate) fn changed(by: &str, next: State, actions: usize, language: Language) -> String {
    let name = state(next, language);
    match next {
        State::Closed => shared::tr!(
            language,
            "{name} por {by}, com {actions} ação(ões)",
            "{name} by {by}, with {actions} action(s)",
        ),
        _ => shared::tr!(language, "{name}, por {by}", "{name}, by {by}"),
    }
}

/// The timeline's entry about a post-mortem that is no longer needed.
pub(crate) fn dropped(why: NotNeeded, language: Language) -> String {
    let why = match why {
        NotNeeded::FalseAlarm => language.pick("alarme falso", "false alarm"),
        NotNeeded::Merged => language.pick("unido a outro incidente", "merged into another incident"),
        NotNeeded::OwnDrill => language.pick("simulado do pager", "drill of the pager"),
        NotNeeded::OwnPage => language.pick("page de post-mortem", "page about post-mortems"),
        NotNeeded::Drill => language.pick("simulado", "drill"),
        NotNeeded::Severity => language.pick("severidade", "severity"),
    };
    format!("{}: {why}", state(State::Dropped, language))
}

/// What a document lacks, in one line.
pub(crate) fn missing(missing: &[Missing], language: Language) -> String {
    let one = |missing: &Missing| match missing {
        Missing::Cause => language.pick("falta a causa raiz", "the root cause is missing").to_owned(),
        Missing::Actions => language
            .pick(
                "faltam ações (ou o motivo de não haver nenhuma, abaixo da tabela)",
                "actions are missing (or the reason for none, below the table)",
            )
            .to_owned(),
        Missing::What(number) => {
            shared::tr!(
                language,
                "a ação {number} não diz o que fazer",
                "action {number} does not say what to do"
            )
        }
        Missing::Owner(number) => {
            shared::tr!(language, "a ação {number} não tem responsável", "action {number} has no owner")
        }
        Missing::Due(number) => {
            shared::tr!(language, "a ação {number} não tem prazo", "action {number} has no date")
        }
        Missing::NoDate(number, text) => {
            let text: String = text.chars().take(40).collect();
            shared::tr!(
                language,
                "o prazo da ação {number} não é uma data AAAA-MM-DD: {text}",
                "the date of action {number} is not YYYY-MM-DD: {text}",
            )
        }
        Missing::NoRow(line) => {
            let line: String = line.chars().take(120).collect();
            shared::tr!(
                language,
                "esta linha das ações não faz parte da tabela (cabeçalho, `| --- |`, e linhas que começam com `|`): {line}",
                "this line of the actions is not a part of the table (a header, `| --- |`, and rows that begin with `|`): {line}",
            )
        }
    };
    missing.iter().map(one).collect::<Vec<_>>().join("; ")
}
