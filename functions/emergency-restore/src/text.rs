//! Texts for people: the channel's messages, the pages and the answers to orders. No secret value reaches this module.

pub(crate) mod ask;
pub(crate) mod button;
pub(crate) mod close;
pub(crate) mod failure;
pub(crate) mod obstacle;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use shared::policy::Area;
use shared::run::command::{Command, snapshots};
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::runtime::time;

use crate::PROCEDURE;
use crate::event::{Source, Verb};
use crate::rules::restore::{Direction, Phase, Restore};

/// The page that is read on the worst night.
pub(crate) const RUNBOOK: &str = "docs/restauracao-emergencia.md";

/// Placeholder for a person's name in a command.
pub(crate) fn who(language: Language) -> &'static str {
    language.pick("QUEM", "WHO")
}

/// Placeholder for a reason in a command.
pub(crate) fn why(language: Language) -> &'static str {
    language.pick("MOTIVO", "WHY")
}

/// Foreign text without backquotes: a backquote could end the code span and add another command.
pub(crate) fn plain(text: &str) -> String {
    text.replace('`', "'")
}

/// Shortens an error text of a service.
pub(crate) fn brief(detail: &str) -> String {
    const LIMIT: usize = 400;
    let cut: String = detail.chars().take(LIMIT).collect();
    plain(&if cut.len() < detail.len() { cut + "…" } else { cut })
}

/// The command of an order.
pub(crate) fn order(settings: &Settings, restore: &Restore, verb: Verb, more: &[(&str, Value)]) -> Command {
    let word = serde_json::to_value(verb).unwrap_or_default();
    let mut event = Map::from_iter([
        ("order".to_owned(), word),
        ("run".to_owned(), restore.run.as_str().into()),
        ("by".to_owned(), who(settings.language).into()),
    ]);
    if verb == Verb::Approve {
        // An older question was about another instance.
        event.insert("instance".to_owned(), restore.target.instance.as_str().into());
    }
    event.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Command::invoke(&settings.function, &Value::Object(event))
}

/// The command that chooses a source.
pub(crate) fn choose(settings: &Settings, restore: &Restore, source: &Source) -> Command {
    let source = serde_json::to_value(source).unwrap_or_default();
    order(settings, restore, Verb::Choose, &[("source", source)])
}

/// How a snapshot is restored whose name the function's role does not allow: why, the copy, and the choice of the copy.
pub(crate) fn barred(settings: &Settings, restore: &Restore, name: &str) -> [String; 3] {
    let copy = Source::Snapshot(snapshots::name_of_copy(settings, name));
    [
        snapshots::reason(settings.language).to_owned(),
        snapshots::copy(settings, name, None).to_string(),
        choose(settings, restore, &copy).to_string(),
    ]
}

/// The command that tells how the restore stands.
pub(crate) fn status(settings: &Settings) -> Command {
    Command::invoke(&settings.function, &json!({"order": "status"}))
}

/// The command that goes on with the restore in a new execution.
pub(crate) fn resume(settings: &Settings, restore: &Restore) -> Command {
    Command::start(settings, &json!({"resume": restore.run, "by": who(settings.language)}))
}

/// The beginning of every title.
pub(crate) fn title(language: Language, restore: &Restore, text: &str) -> String {
    let kind = match restore.rehearsal {
        true => language.pick("Ensaio de restauração", "Restore rehearsal"),
        false => language.pick("Restauração de emergência", "Emergency restore"),
    };
    format!("{kind} {}: {text}", restore.run)
}

/// The line with the lost instance, who started it and why.
pub(crate) fn about(language: Language, restore: &Restore) -> String {
    let (lost, by, reason) = (&restore.lost.instance, plain(&restore.by), plain(&restore.reason));
    let gone = if restore.lost.exists { "" } else { language.pick(" (já não existe)", " (gone)") };
    shared::tr!(
        language,
        "Banco `{lost}`{gone} · por {by}: {reason}",
        "Database `{lost}`{gone} · by {by}: {reason}"
    )
}

/// The line with the source and its loss, counted until `now` while the old database may be written to.
pub(crate) fn loss(language: Language, restore: &Restore, now: Timestamp) -> Option<String> {
    let source = match restore.source.as_ref()? {
        Source::Latest => language.pick("último instante possível", "latest possible instant").to_owned(),
        Source::Snapshot(name) => format!("snapshot `{name}`"),
        Source::Time(at) => time::local(*at),
        Source::Backup { resource, time: None } => {
            shared::tr!(
                language,
                "último instante possível de `{resource}`",
                "latest possible instant of `{resource}`"
            )
        }
        Source::Backup { resource, time: Some(at) } => format!("{}, `{resource}`", time::local(*at)),
    };
    let minutes = restore.loss_minutes(now)?;
    let until = time::local(restore.data?);
    let counted = match (restore.lost.exists, restore.is_losing()) {
        (false, _) => language.pick("contados do início da restauração", "from the restore's beginning"),
        (true, false) => language.pick("contados até a troca", "until the switch"),
        (true, true) => language.pick(
            "contados até agora; *cresce até a troca*: enquanto o banco antigo aceita gravações, pará-las se puder",
            "until now; *grows until the switch*: stop writes to the old database if you can",
        ),
    };
    Some(shared::tr!(
        language,
        "Fonte: {source} · dados até {until} · *perde {minutes} min* ({counted})",
        "Source: {source} · data until {until} · *loses {minutes} min* ({counted})",
    ))
}

/// What a turn to the other database leaves behind; part of every line with its command.
pub(crate) fn behind(language: Language, restore: &Restore, to: Direction) -> String {
    let switched = restore.times.get(&Phase::Switch).map(|at| time::local(*at));
    match (to, switched) {
        (Direction::Old, Some(at)) => shared::tr!(
            language,
            "o que foi gravado no banco novo desde {at} fica só no novo",
            "what was written to the new database since {at} stays there only"
        ),
        (Direction::Old, None) => language
            .pick(
                "o que já foi gravado no banco novo fica só no novo",
                "what was already written to the new database stays there only",
            )
            .to_owned(),
        (Direction::New, _) => {
            let at = restore.data.map(time::local).unwrap_or_default();
            shared::tr!(
                language,
                "o que foi gravado no banco antigo depois de {at} fica só no antigo",
                "what was written to the old database after {at} stays there only"
            )
        }
    }
}

/// What the restore does or waits for, in a few words.
pub(crate) fn standing(language: Language, restore: &Restore) -> String {
    let word = match restore.phase {
        Phase::Choices => ("lista o que pode ser restaurado", "lists what can be restored"),
        Phase::Choose => ("espera a escolha da fonte", "waits for the choice of the source"),
        Phase::Restore => ("o RDS cria a instância nova", "RDS makes the new instance"),
        Phase::Align => ("acerta as senhas dos logins", "aligns the passwords of the logins"),
        Phase::Prove => ("lê e confere os dados", "reads and checks the data"),
        Phase::Approve => ("espera a aprovação", "waits for the approval"),
        Phase::Guard => {
            ("protege os dados do apagamento na partida", "guards the data from deletion at start")
        }
        Phase::Switch => ("troca os segredos", "moves the secrets"),
        Phase::Migrate => ("roda a migração", "runs the migration"),
        Phase::Deploy => ("reinicia os serviços", "restarts the services"),
        Phase::Smoke => ("testa a aplicação", "checks the application"),
        Phase::Hold => ("em uso; espera o encerramento", "in use; waits to be closed"),
    };
    language.pick(word.0, word.1).to_owned()
}

/// A page about the restore. All its pages have one key, so that they are one incident.
pub(crate) fn page(settings: &Settings, restore: &Restore, kind: &str, text: String) -> Page {
    let severity = if restore.rehearsal { Severity::Warning } else { Severity::Critical };
    let incident = restore.incident.as_ref();
    let joins = incident.map(|number| {
        shared::tr!(settings.language, "Parte do incidente {number}.", "Part of the incident {number}.")
    });
    let alert = Alert {
        kind,
        severity,
        resource: &restore.lost.instance,
        text: [Some(text), joins].into_iter().flatten().collect::<Vec<_>>().join("\n"),
        owners: vec![
            settings.policy.responsible(Area::Database),
            settings.policy.responsible(Area::Infrastructure),
        ],
        runbook: RUNBOOK,
        dedup_key: format!("{PROCEDURE}/{}", restore.run),
    };
    Page::new(settings, alert)
}
