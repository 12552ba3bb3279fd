//! What a person is asked, with the commands of the answers.

use jiff::Timestamp;
use proof::Verdict;
use serde_json::{Value, json};
use shared::run::notify::Message;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::runtime::time;

use super::{
    about, barred, behind, choose, failure, loss, obstacle, order, plain, resume, standing, status, title,
    who, why,
};
use crate::event::{Source, Verb};
use crate::rules::choice::{Choice, minutes};
use crate::rules::order::person;
use crate::rules::proved::{self, Proved};
use crate::rules::restore::{Direction, Phase, Restore};
use crate::rules::smoke::{Check, Outcome, SESSIONS};

/// Most lines of a proof in a message; the evidence has all.
const SHOWN: usize = 6;

/// The message about the beginning.
pub(crate) fn began(settings: &Settings, restore: &Restore) -> Message {
    let language = settings.language;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let target = &restore.target.instance;
    let mut lines = vec![about(language, restore)];
    lines.push(shared::tr!(
        language,
        "Os dados vão para a instância nova `{target}`. A antiga não é mudada nem apagada, e nada é trocado sem aprovação.",
        "The data go to the new instance `{target}`. The old one is neither changed nor deleted, and nothing is switched without an approval.",
    ));
    lines.extend(restore.observer.as_ref().map(|observer| {
        let observer = plain(observer);
        shared::tr!(
            language,
            "Acompanha: {observer}. Conta como o exercício de shadowing do guia (seção 5).",
            "Observed by {observer}. Counts as the guide's shadowing exercise (section 5)."
        )
    }));
    lines.push(format!(
        "{} {}",
        say("Como está, a qualquer hora:", "Its state, at any time:"),
        status(settings).code()
    ));
    lines.push(format!(
        "{} {}",
        say(
            "Se a execução parar, para seguir de onde estava:",
            "If the execution stops, to go on where it was:"
        ),
        resume(settings, restore).code()
    ));
    Message::new(settings, &title(language, restore, say("começou", "began")), lines, &restore.run)
}

/// The message about an execution that goes on with the restore.
pub(crate) fn resumed(settings: &Settings, restore: &Restore, by: &str, run_id: &str) -> Message {
    let language = settings.language;
    let by = plain(by);
    let standing = standing(language, restore);
    let lines = vec![shared::tr!(language, "Por {by}: {standing}", "By {by}: {standing}")];
    let heading = title(language, restore, language.pick("retomada", "resumed"));
    Message::new(settings, &heading, lines, run_id)
}

/// Asks for the choice. The losses are counted until `now`.
pub(crate) fn choice(settings: &Settings, restore: &Restore, now: Timestamp, run_id: &str) -> Message {
    let language = settings.language;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let mut lines = vec![about(language, restore)];
    lines.extend(ambiguity(language, restore));
    lines.extend(restore.obstacles.iter().map(|it| obstacle::line(language, it)));
    let is_ambiguous = restore.resources().len() > 1;
    for choice in &restore.choices {
        let lost = minutes(choice.data(), now);
        let at = time::local(choice.data());
        let of = if is_ambiguous { format!(" ({})", choice.resource()) } else { String::new() };
        match choice {
            Choice::Window { from, .. } => {
                let (latest, other) = match is_ambiguous {
                    true => (choice.of_backup(None), choice.of_backup(Some(choice.data()))),
                    false => (Source::Latest, Source::Time(choice.data())),
                };
                let command = choose(settings, restore, &latest).code();
                lines.push(shared::tr!(
                    language,
                    "• *perde {lost} min*: o último instante possível{of}, {at}: {command}",
                    "• *loses {lost} min*: the latest possible instant{of}, {at}: {command}",
                ));
                let command = choose(settings, restore, &other).code();
                let from = time::local(*from);
                lines.push(shared::tr!(
                    language,
                    "• outro instante desde {from}, em UTC no comando (por exemplo, logo antes do erro): {command}",
                    "• another instant since {from}, in UTC in the command (e.g. just before the mistake): {command}",
                ));
            }
            Choice::Snapshot { name, automated, barred: is_barred, .. } => {
                let kind = if *automated { say("automático", "automated") } else { say("manual", "manual") };
                if *is_barred {
                    let [reason, copy, choose] = barred(settings, restore, name);
                    lines.push(shared::tr!(
                        language,
                        "• *perde {lost} min*: snapshot {kind} `{name}`{of} de {at}; *não restaurável* com este nome: {reason} `{copy}`. Depois: `{choose}`",
                        "• *loses {lost} min*: {kind} snapshot `{name}`{of} of {at}; *not restorable* under this name: {reason} `{copy}`. Then: `{choose}`",
                    ));
                    continue;
                }
                let command = choose(settings, restore, &Source::Snapshot(name.clone())).code();
                lines.push(shared::tr!(
                    language,
                    "• *perde {lost} min*: snapshot {kind}{of} de {at}: {command}",
                    "• *loses {lost} min*: {kind} snapshot{of} of {at}: {command}",
                ));
            }
        }
    }
    lines.push(format!(
        "{} {}",
        say("Para desistir:", "To give up:"),
        order(settings, restore, Verb::Reject, &[]).code()
    ));
    let heading =
        title(language, restore, &asked(language, restore, say("o que restaurar?", "what to restore?")));
    Message::new(settings, &heading, lines, run_id)
}

/// The line about several databases that had the lost instance's name.
fn ambiguity(language: Language, restore: &Restore) -> Option<String> {
    let all = restore.resources();
    if all.len() < 2 {
        return None;
    }
    let shown = all.into_iter().map(|resource| {
        let is_present = restore.lost.exists && restore.lost.resource.as_deref() == Some(resource);
        let present = language.pick(" (a que existe agora)", " (the present one)");
        format!("`{resource}`{}", if is_present { present } else { "" })
    });
    let (shown, instance) = (shown.collect::<Vec<_>>().join(", "), &restore.lost.instance);
    Some(shared::tr!(
        language,
        "*Mais de um banco teve o nome `{instance}`*: {shown}. Alguém pode ter criado um vazio depois da perda, por exemplo com `terraform apply`: escolher pelo id, que cada linha mostra.",
        "*More than one database had the name `{instance}`*: {shown}. Somebody may have made an empty one after the loss, e.g. with `terraform apply`: choose by the id, which each line shows.",
    ))
}

/// Asks for the approval.
pub(crate) fn approval(
    settings: &Settings,
    restore: &Restore,
    needs_two: bool,
    now: Timestamp,
    run_id: &str,
) -> Message {
    let language = settings.language;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let mut lines = vec![about(language, restore)];
    lines.extend(restore.obstacles.iter().map(|it| obstacle::line(language, it)));
    lines.extend(loss(language, restore, now));
    let proof = restore.proof.clone().unwrap_or_default();
    lines.extend(proved_lines(language, &proof));
    let reason = why(language);
    let mut more = despite(language, &proof);
    let by = plain(&restore.by);
    let command = order(settings, restore, Verb::Approve, &more).code();
    lines.push(if needs_two {
        let who = who(language);
        shared::tr!(
            language,
            "*Aprovar* (outra pessoa que não {by}; troque {who} pelo seu nome): {command}",
            "*Approve* (another person than {by}; replace {who} by your name): {command}"
        )
    } else {
        let who = who(language);
        shared::tr!(
            language,
            "*Aprovar* (troque {who} pelo seu nome): {command}",
            "*Approve* (replace {who} by your name): {command}"
        )
    });
    let people: Vec<_> = settings.policy.incidents.people.keys().cloned().collect();
    if needs_two && !people.is_empty() && person(&restore.by, &people).is_none() {
        lines.push(shared::tr!(
            language,
            "{by} não é um nome de incidents.people da política: toda aprovação diz por que não há uma segunda pessoa.",
            "{by} is no name of the policy's incidents.people: every approval says why there is no second person."
        ));
    }
    if needs_two {
        more.push(("override", json!(reason)));
        let command = order(settings, restore, Verb::Approve, &more).code();
        lines.push(shared::tr!(
            language,
            "Só uma pessoa acordada? {by} aprova dizendo o motivo no lugar de {reason}, que fica registrado: {command}",
            "Only one person awake? {by} approves with the reason in place of {reason}, which is recorded: {command}",
        ));
    }
    lines.push(format!(
        "{} {}",
        say("Restaurar de outra fonte:", "Restore from another source:"),
        choose(settings, restore, &restore.latest()).code()
    ));
    lines.push(format!(
        "{} {}",
        say("Desistir:", "Give up:"),
        order(settings, restore, Verb::Reject, &[]).code()
    ));
    lines.push(
        say(
            "Aprovado, a aplicação passa para o banco novo em alguns minutos; dá para voltar até o encerramento.",
            "Once approved, the application moves to the new database within minutes; the way back stays open until the restore is closed.",
        )
        .to_owned(),
    );
    let heading = title(language, restore, &asked(language, restore, say("aprova?", "approve?")));
    Message::new(settings, &heading, lines, run_id)
}

/// What an approval must say of a proof that is not good.
fn despite(language: Language, proof: &Proved) -> Vec<(&'static str, Value)> {
    let named = || json!(format!("{}: {}", proved::word(proof.verdict), why(language)));
    (!proved::is_good(proof.verdict)).then(|| ("despiteProof", named())).into_iter().collect()
}

/// The lines about a proof.
pub(crate) fn proved_lines(language: Language, proof: &Proved) -> Vec<String> {
    let [pass, unavailable, unverified, unfinished, failed] = proof.counts;
    let word = proved::word(proof.verdict);
    let rows = proof.rows;
    let against = match proof.against.as_str() {
        "" => language.pick("sem nada para comparar", "without anything to compare with").to_owned(),
        against => {
            let with = language.pick("comparada com", "compared with");
            let source = language.pick("o banco antigo", "the old database");
            format!("{with} {}", against.replace("source", source))
        }
    };
    let mut lines = vec![shared::tr!(
        language,
        "*Prova: {word}* · {rows} linhas lidas, {against} · {pass} conferências boas, {failed} com falha, {unverified} não verificadas, {unfinished} não terminadas, {unavailable} que esta versão não tem",
        "*Proof: {word}* · {rows} rows read, {against} · {pass} checks good, {failed} failed, {unverified} not verified, {unfinished} not finished, {unavailable} that this version lacks",
    )];
    lines.extend(proof.unread.iter().map(|reason| {
        let reason = plain(reason);
        shared::tr!(
            language,
            "• unverified: leitura de referência não usada: {reason}",
            "• unverified: baseline not used: {reason}"
        )
    }));
    let bad = proof.lines.iter().filter(|line| line.verdict != Verdict::Unavailable);
    lines.extend(bad.clone().take(SHOWN).map(|line| {
        format!("• {}: {}", proved::word(line.verdict), plain(&proof::text::sentence(line, language)))
    }));
    if bad.count() > SHOWN {
        lines.push(language.pick("• … (a evidência tem todas)", "• … (the evidence has all)").to_owned());
    }
    lines
}

/// Tells that a database is in use, and asks for the end.
pub(crate) fn hold(settings: &Settings, restore: &Restore, now: Timestamp, run_id: &str) -> Message {
    let language = settings.language;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let (new, old) = (&restore.target.instance, &restore.lost.instance);
    let mut lines = vec![about(language, restore)];
    lines.extend(restore.rto_seconds().map(|seconds| rto(language, seconds)));
    lines.extend(loss(language, restore, now));
    lines.push(checks(language, &restore.smoke));
    let close = order(settings, restore, Verb::Close, &[]).code();
    let (heading, turn) = match restore.direction {
        Direction::New => {
            let command = order(settings, restore, Verb::RollBack, &[]).code();
            let behind = behind(language, restore, Direction::Old);
            (
                say("em uso o banco NOVO", "the NEW database is in use"),
                shared::tr!(
                    language,
                    "*Voltar ao banco antigo* `{old}` ({behind}): {command}",
                    "*Return to the old database* `{old}` ({behind}): {command}",
                ),
            )
        }
        Direction::Old => {
            let command = order(settings, restore, Verb::Forward, &[]).code();
            let behind = behind(language, restore, Direction::New);
            (
                say("em uso o banco ANTIGO", "the OLD database is in use"),
                shared::tr!(
                    language,
                    "*Ir de novo ao banco novo* `{new}` ({behind}): {command}",
                    "*Go to the new database again* `{new}` ({behind}): {command}",
                ),
            )
        }
    };
    if restore.direction == Direction::New || restore.is_approved() {
        lines.push(turn);
    }
    lines.push(format!("{} {close}", say("*Encerrar*, quando estiver bom:", "*Close*, when all is well:")));
    lines.push(
        say(
            "Até encerrar: nenhum deploy e nenhum `terraform apply`; as rotações do banco esperam.",
            "Until it is closed: no deploy and no `terraform apply`; rotations of the database wait.",
        )
        .to_owned(),
    );
    Message::new(settings, &title(language, restore, heading), lines, run_id)
}

/// The measured recovery time.
pub(crate) fn rto(language: Language, seconds: i64) -> String {
    let minutes = (seconds + 59) / 60;
    shared::tr!(
        language,
        "RTO medido: *{minutes} min* ({seconds} s do início até a aplicação funcionar)",
        "Measured RTO: *{minutes} min* ({seconds} s from the beginning until the application worked)",
    )
}

/// The line with the checks of the application.
pub(crate) fn checks(language: Language, checks: &[Check]) -> String {
    let shown = checks.iter().map(|check| {
        let outcome = match check.outcome {
            Outcome::Passed => "ok",
            Outcome::Failed => language.pick("falhou", "failed"),
            Outcome::Unproved => language.pick("não provado", "not proved"),
        };
        let detail = if check.outcome == Outcome::Passed && check.name != SESSIONS {
            String::new()
        } else {
            format!(" ({})", plain(&check.detail))
        };
        format!("{} {outcome}{detail}", check.name)
    });
    let shown = shown.collect::<Vec<_>>().join(" · ");
    shared::tr!(language, "Aplicação: {shown}", "Application: {shown}")
}

/// The question, with the number of times that it was asked.
fn asked(language: Language, restore: &Restore, question: &str) -> String {
    match restore.wait.times {
        0 | 1 => question.to_owned(),
        times => shared::tr!(language, "{question} ({times}ª vez)", "{question} (asked {times} times)"),
    }
}

/// How the restore stands, and what can be ordered; the answer to `status`.
pub(crate) fn standing_lines(settings: &Settings, restore: &Restore, now: Timestamp) -> Vec<String> {
    let language = settings.language;
    let mut lines = vec![title(language, restore, &standing(language, restore)), about(language, restore)];
    lines.extend(loss(language, restore, now));
    lines.extend(
        restore
            .failure
            .as_ref()
            .map(|failure| format!("{}: {}", failure.kind, super::brief(&failure.detail))),
    );
    let of = |verb| order(settings, restore, verb, &[]).to_string();
    match (&restore.failure, restore.phase) {
        (Some(failed), _) => {
            let retries = failure::retries(settings, restore, &failed.kind);
            lines.extend(retries.into_iter().map(|(_, command)| command.to_string()));
            if restore.moves.is_empty() {
                lines.push(of(Verb::Reject));
            } else {
                lines.extend([behind(language, restore, Direction::Old), of(Verb::RollBack)]);
            }
            if restore.phase == Phase::Hold {
                lines.push(of(Verb::Close));
            }
        }
        (None, Phase::Choose) => {
            lines.extend(ambiguity(language, restore));
            lines.extend(restore.obstacles.iter().map(|it| obstacle::line(language, it)));
            for choice in &restore.choices {
                match choice {
                    Choice::Window { .. } => {
                        let latest = match restore.resources().len() {
                            0 | 1 => Source::Latest,
                            _ => choice.of_backup(None),
                        };
                        lines.push(choose(settings, restore, &latest).to_string());
                    }
                    Choice::Snapshot { name, barred: true, .. } => {
                        let [reason, copy, choose] = barred(settings, restore, name);
                        lines.extend([format!("{name}: {reason}"), copy, choose]);
                    }
                    Choice::Snapshot { name, .. } => {
                        lines.push(choose(settings, restore, &Source::Snapshot(name.clone())).to_string());
                    }
                }
            }
        }
        (None, Phase::Approve) => {
            let more = despite(language, &restore.proof.clone().unwrap_or_default());
            lines.extend([order(settings, restore, Verb::Approve, &more).to_string(), of(Verb::Reject)]);
        }
        (None, Phase::Hold) => {
            let (to, turn) = match restore.direction {
                Direction::New => (Direction::Old, Verb::RollBack),
                Direction::Old => (Direction::New, Verb::Forward),
            };
            if to == Direction::Old || restore.is_approved() {
                lines.extend([behind(language, restore, to), of(turn)]);
            }
            lines.push(of(Verb::Close));
        }
        (None, _) => {}
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::rules::order::{Context, give};
    use crate::rules::restore::tests::{at, restore};

    fn settings() -> Settings {
        shared::testing::settings("moveongs-dev-emergency-restore", Language::Portuguese)
    }

    /// The event that a command sends, with its placeholders filled in.
    fn sent(command: &str) -> Event {
        let command = command.replace("QUEM", "bia").replace("MOTIVO", "it is enough");
        let words = shared::testing::words(&command);
        let event: Value = serde_json::from_str(words.last().unwrap()).unwrap();
        Event::try_from(event).unwrap()
    }

    #[test]
    fn the_status_shows_the_approval_that_is_accepted() {
        for verdict in [Verdict::Pass, Verdict::Unavailable, Verdict::Unverified, Verdict::Fail] {
            let proof = Some(Proved { verdict, ..Proved::default() });
            let mut asking = Restore { phase: Phase::Approve, moves: Vec::new(), proof, ..restore() };
            let lines = standing_lines(&settings(), &asking, at(9));
            let command = lines.iter().find(|line| line.contains("approve")).unwrap();
            let Event::Order(order) = sent(command) else { panic!("{command}") };
            let context = Context {
                needs_two: true,
                people: Vec::new(),
                now: at(10),
                contents: None,
                is_migrating: false,
                is_moved: false,
                changed: Vec::new(),
            };
            assert_eq!(give(&mut asking, &order, &context), Ok(()), "{command}");
            assert_eq!(asking.phase, Phase::Guard);
        }
    }

    #[test]
    fn several_databases_of_one_name_are_told_first_and_each_command_names_one() {
        let window =
            |resource: &str| Choice::Window { from: at(0), to: at(1), resource: resource.to_owned() };
        let mut asking = Restore { phase: Phase::Choose, moves: Vec::new(), ..restore() };
        asking.lost.resource = Some("db-B".to_owned());
        asking.choices = vec![window("db-B"), window("db-A")];
        asking.obstacles = vec![crate::rules::obstacle::Obstacle::NoReader { secret: "url".to_owned() }];
        let message = choice(&settings(), &asking, at(9), "id");
        let line = &message.lines()[1];
        assert!(line.contains("`db-A`, `db-B` (a que existe agora)"), "{line}");
        assert!(message.text().contains("Nenhum serviço do ECS lê"), "{}", message.text());
        let all = standing_lines(&settings(), &asking, at(9));
        let chosen = all.iter().filter(|line| line.contains("choose")).map(|line| match sent(line) {
            Event::Order(order) => order.source.unwrap(),
            other => panic!("{other:?}"),
        });
        let of = |resource: &str| Source::Backup { resource: resource.to_owned(), time: None };
        assert_eq!(chosen.collect::<Vec<_>>(), [of("db-B"), of("db-A")]);
        asking.choices.remove(0);
        asking.lost.resource = Some("db-A".to_owned());
        let text = choice(&settings(), &asking, at(9), "id").text();
        assert!(text.contains(r#""source":"latest""#) && !text.contains("Mais de um banco"), "{text}");
    }

    #[test]
    fn a_snapshot_that_the_role_may_not_restore_is_told_with_its_copy() {
        let snapshot = |name: &str, barred: bool| Choice::Snapshot {
            name: name.to_owned(),
            data: at(1),
            automated: false,
            barred,
            resource: String::new(),
        };
        let choices = vec![snapshot("moveongs-dev-1", false), snapshot("before", true)];
        let asking = Restore { phase: Phase::Choose, moves: Vec::new(), choices, ..restore() };
        let copy = "aws rds copy-db-snapshot --source-db-snapshot-identifier before --target-db-snapshot-identifier moveongs-dev-before";
        let message = choice(&settings(), &asking, at(9), "id");
        let line = message.lines().iter().find(|line| line.contains("`before`")).unwrap();
        for part in ["não restaurável", "o papel só restaura", copy, r#"{"snapshot":"moveongs-dev-before"}"#]
        {
            assert!(line.contains(part), "{part}: {line}");
        }
        let all = standing_lines(&settings(), &asking, at(9));
        let at = all.iter().position(|line| line.starts_with("before: o papel só restaura")).unwrap();
        assert!(all[at + 1].starts_with(copy), "{all:?}");
        for (line, name) in [(&all[at - 1], "moveongs-dev-1"), (&all[at + 2], "moveongs-dev-before")] {
            let Event::Order(order) = sent(line) else { panic!("{line}") };
            assert_eq!(order.source, Some(Source::Snapshot(name.to_owned())));
        }
    }
}
