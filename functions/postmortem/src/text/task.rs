//! Texts of the tasks on the board.

use shared::run::markdown;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use crate::rules::journal::Task;

/// The text in an issue's body that identifies an action; Markdown does not show it.
pub(crate) fn marker(incident: &str, number: u32) -> String {
    format!("<!-- governance:postmortem:action:{incident}:{number} -->")
}

/// Title of an issue.
pub(crate) fn title(settings: &Settings, task: &Task) -> String {
    let (environment, due) = (&settings.environment, task.due);
    // The title is cut at its end: what comes first says most.
    let what: String = task.what.chars().take(160).collect();
    shared::tr!(settings.language, "{what} ({environment}, até {due})", "{what} ({environment}, by {due})")
}

/// Body of an issue, without its marker.
pub(crate) fn body(settings: &Settings, incident: &str, task: &Task) -> String {
    let (what, owner, due) = (markdown::text(&task.what), markdown::text(&task.owner), task.due);
    let number = task.number;
    shared::tr!(
        settings.language,
        "{what}\n\n- **Responsável:** {owner}\n- **Prazo:** {due}\n- **De:** ação {number} do post-mortem de {incident}\n\nFeche esta tarefa quando a ação estiver feita. Passado o prazo, a função postmortem aciona o pager todo dia até lá.",
        "{what}\n\n- **Owner:** {owner}\n- **Due:** {due}\n- **From:** action {number} of the post-mortem of {incident}\n\nClose this task when the action is done. After its due date, the function postmortem pages every day until then.",
    )
}

/// Last comment of an issue whose action a person reported as done.
pub(crate) fn done(task: &Task, language: Language) -> String {
    let by = markdown::text(&task.done_by);
    let said = shared::tr!(language, "Feita, segundo {by}.", "Done, said {by}.");
    if task.reason.is_empty() { said } else { format!("{said} {}", markdown::text(&task.reason)) }
}
