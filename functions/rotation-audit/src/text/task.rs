//! Texts of the tasks on the board.

use jiff::Timestamp;
use shared::audit::findings;
use shared::command;
use shared::run::command::secrets;
use shared::run::markdown;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::runtime::time;

use super::sentence::date;
use super::step::rotate;
use crate::rules::facts::Secret;

/// Title of a task.
pub(crate) fn task_title(settings: &Settings, secret: &Secret, due: Timestamp) -> String {
    let (verb, by) = match settings.language {
        Language::Portuguese => ("Rotacionar", "até"),
        Language::English => ("Rotate", "by"),
    };
    format!("{verb} {} ({}) {by} {}", secret.name, settings.environment, date(due))
}

/// Body of a task, without its marker. Names are formatted as code, so that none mentions a GitHub user or team.
pub(crate) fn task_body(settings: &Settings, secret: &Secret, due: Timestamp, now: Timestamp) -> String {
    let language = settings.language;
    let (project, environment) = (&settings.project, &settings.environment);
    let team = &secret.standard.responsible;
    let window = match (due > now, language) {
        (true, Language::Portuguese) => format!("de {} a {}", date(now), date(due)),
        (true, Language::English) => format!("from {} to {}", date(now), date(due)),
        (false, Language::Portuguese) => format!("vencido desde {}: o quanto antes", date(due)),
        (false, Language::English) => format!("overdue since {}: as soon as possible", date(due)),
    };
    let rotate = rotate(secret, language);
    let state = secrets::versions(&secret.name).code();
    let deploy = command!(
        "aws ecs update-service --cluster {project}-{environment}-cluster --service {project}-{environment}-api --force-new-deployment",
        project,
        environment
    )
    .code();
    match language {
        Language::Portuguese => format!(
            "Segredo: {}\n\n- **Janela de execução:** {window}\n- **Responsável:** {}\n- **Backup:** {}\n\n## Passos\n\n- [ ] Avisar o canal de que a rotação vai começar.\n- [ ] Rotacionar: {rotate}\n- [ ] Conferir que AWSCURRENT mudou de versão e que nada ficou em AWSPENDING: {state}\n- [ ] Esperar a mensagem do acompanhamento (rotation-followup): ele força o deployment, faz os smoke tests, prova que tokens antigos são recusados e registra na planilha e no changelog. Sem mensagem em 30 min: {deploy}\n\nA auditoria fecha esta tarefa sozinha quando o segredo tiver outra versão atual.",
            markdown::code(&secret.name),
            markdown::text(&team.primary),
            markdown::text(&team.backup),
        ),
        Language::English => format!(
            "Secret: {}\n\n- **Window:** {window}\n- **Responsible:** {}\n- **Backup:** {}\n\n## Steps\n\n- [ ] Announce the rotation in the channel.\n- [ ] Rotate: {rotate}\n- [ ] Check that AWSCURRENT moved to another version and that nothing is AWSPENDING: {state}\n- [ ] Wait for the message of the follow-up (rotation-followup): it forces the deployment, runs the smoke tests, proves that old tokens are refused, and updates the sheet and the changelog. If no message arrives within 30 min: {deploy}\n\nThe audit closes this task once the secret has another current version.",
            markdown::code(&secret.name),
            markdown::text(&team.primary),
            markdown::text(&team.backup),
        ),
    }
}

/// Last comment of a closed task.
pub(crate) fn task_done(language: Language, version: &str, now: Timestamp) -> String {
    let (version, at) = (markdown::code(version), time::local(now));
    shared::tr!(
        language,
        "O segredo foi rotacionado: a versão atual é {version}, vista em {at}.",
        "The secret was rotated: the current version is {version}, seen at {at}.",
    )
}

/// The channel's lines about tasks: opened, closed, and the reasons for failures with their counts.
pub(crate) fn tasks(
    opened: Vec<String>,
    closed: Vec<String>,
    failed: &[(String, usize)],
    language: Language,
) -> Vec<String> {
    let list = |one: &str, many: &str, tasks: Vec<String>| match tasks.as_slice() {
        [] => None,
        [task] => Some(format!("{one} {task}")),
        tasks => Some(format!("{many} ({}): {}", tasks.len(), findings::listed(tasks.to_vec(), 600))),
    };
    let opened = list(
        language.pick("Tarefa aberta", "Task opened"),
        language.pick("Tarefas abertas", "Tasks opened"),
        opened,
    );
    let closed = list(
        language.pick("Tarefa fechada", "Task closed"),
        language.pick("Tarefas fechadas", "Tasks closed"),
        closed,
    );
    let failed = failed.iter().map(|(reason, count)| {
        let text = language.pick("Uma tarefa do board falhou", "A task on the board failed");
        let times = if *count > 1 { format!(" ({count}×)") } else { String::new() };
        format!("{text}{times}: {reason}")
    });
    opened.into_iter().chain(closed).chain(failed).collect()
}
