//! Texts of the tasks on the board.

use shared::run::markdown;
use shared::runtime::language::Language;

use super::{PAGE, show};
use crate::App;
use crate::board::Wanted;

/// The text in an issue's body that identifies a task; Markdown does not show it.
pub(crate) fn marker(id: &str, wanted: Wanted) -> String {
    format!("<!-- governance:onboarding:{}:{id} -->", wanted.word())
}

/// Title of an issue.
pub(crate) fn title(app: &App, id: &str, wanted: Wanted) -> String {
    let settings = &app.base.settings;
    let (environment, language) = (&settings.environment, settings.language);
    match wanted {
        Wanted::Access => {
            shared::tr!(language, "Dar acesso a {id} ({environment})", "Give access to {id} ({environment})")
        }
        Wanted::Removal => {
            shared::tr!(
                language,
                "Tirar o acesso de {id} ({environment})",
                "End the access of {id} ({environment})"
            )
        }
    }
}

/// Body of an issue, without its marker.
pub(crate) fn body(app: &App, id: &str, wanted: Wanted) -> String {
    let settings = &app.base.settings;
    let command = show(settings, id).code();
    let group = app.group.as_deref().map(markdown::code);
    let places = [group, app.grafana.is_some().then(|| "Grafana".to_owned())];
    let places: Vec<_> = places.into_iter().flatten().collect();
    let places = places.join(", ");
    match (wanted, settings.language) {
        (Wanted::Access, Language::Portuguese) => format!(
            "Incluir em: {places}.\n\nEsta tarefa não diz quem é, para que se possa apagar. O nome, os logins e os comandos: {command}\n\nA função onboarding fecha esta tarefa quando vê o acesso ({PAGE})."
        ),
        (Wanted::Access, Language::English) => format!(
            "Add to: {places}.\n\nThis task does not say who it is, so that it can be forgotten. The name, the logins and the commands: {command}\n\nThe function onboarding closes this task when it sees the access ({PAGE})."
        ),
        (Wanted::Removal, Language::Portuguese) => format!(
            "A pessoa saiu, e ainda tem acesso. O nome, onde, e os comandos: {command}\n\nA função onboarding fecha esta tarefa quando não resta acesso, e aciona o pager todo dia até lá ({PAGE}#saída)."
        ),
        (Wanted::Removal, Language::English) => format!(
            "The person has left and still has access. The name, where, and the commands: {command}\n\nThe function onboarding closes this task when no access remains, and pages every day until then ({PAGE}#saída)."
        ),
    }
}

/// Last comment of a closed task.
pub(crate) fn done(wanted: Wanted, has_left: bool, language: Language) -> String {
    let text = match (wanted, has_left) {
        (Wanted::Access, false) => language.pick("O acesso foi visto.", "The access was seen."),
        (Wanted::Access, true) => language.pick("A pessoa saiu.", "The person has left."),
        (Wanted::Removal, true) => language
            .pick("Não resta acesso onde a stack confere.", "No access remains where the stack checks it."),
        (Wanted::Removal, false) => {
            language.pick("A pessoa fica, ou sai mais tarde.", "The person stays, or leaves later.")
        }
    };
    text.to_owned()
}
