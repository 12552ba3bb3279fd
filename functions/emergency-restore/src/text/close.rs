//! The end of a restore: the figures, and what remains for people.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::command;
use shared::run::command::Command;
use shared::run::notify::Message;
use shared::runtime::settings::Settings;

use super::ask::{checks, rto};
use super::{about, behind, brief, loss, plain, title};
use crate::rules::restore::{Changed, Direction, Ending, Restore};

/// What the message must know of the stack.
pub(crate) struct Stack<'a> {
    /// Name of the ECS cluster.
    pub cluster: &'a str,
    /// Whether the stack names an administrator's secret.
    pub has_admin: bool,
    /// The services' present task definitions, by name; none if ECS did not tell.
    pub present: BTreeMap<String, String>,
    /// Secrets that the stack names by a pattern, which were not moved.
    pub patterns: Vec<&'a str>,
    /// Moved secrets in which others put another version in force.
    pub changed: Vec<Changed>,
}

/// The message.
pub(crate) fn closed(
    settings: &Settings,
    restore: &Restore,
    ending: Ending,
    stack: &Stack<'_>,
    now: Timestamp,
) -> Message {
    let language = settings.language;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let mut lines = vec![about(language, restore)];
    let heading = match (ending, restore.direction) {
        (Ending::Rejected, _) => say("encerrada, nada foi trocado", "ended, nothing was switched"),
        (Ending::Closed, _) if !stack.changed.is_empty() => {
            say("encerrada, com um segredo que outros mudaram", "closed, with a secret that others changed")
        }
        (Ending::Closed, Direction::New) => say("encerrada, no banco novo", "closed, on the new database"),
        (Ending::Closed, Direction::Old) => say("encerrada, no banco antigo", "closed, on the old database"),
    };
    if ending == Ending::Closed {
        lines.extend(restore.rto_seconds().map(|seconds| rto(language, seconds)));
        lines.extend(loss(language, restore, now));
        lines.push(checks(language, &restore.smoke));
        lines.extend(restore.approval.as_ref().map(|approval| {
            let by = plain(&approval.by);
            let alone = approval.alone.as_ref().map(|why| format!(" (override: {})", plain(why)));
            let despite = approval.despite.as_ref().map(|why| format!(" (despiteProof: {})", plain(why)));
            let more = [alone, despite].into_iter().flatten().collect::<String>();
            shared::tr!(language, "Aprovada por {by}{more}", "Approved by {by}{more}")
        }));
    }
    lines.extend(todo(settings, restore, ending, stack));
    if restore.rehearsal {
        let observer = restore.observer.as_deref().map(plain).unwrap_or_else(|| plain(&restore.by));
        lines.push(shared::tr!(
            language,
            "Foi um ensaio: conta como «Simular recuperação de snapshot dev» da checklist de shadowing (guia, seção 5) de {observer}.",
            "It was a rehearsal: it counts as «Simular recuperação de snapshot dev» of the shadowing checklist (guide, section 5) of {observer}.",
        ));
    }
    Message::new(settings, &title(language, restore, heading), lines, &restore.run)
}

/// What remains to be done, the most urgent first.
fn todo(settings: &Settings, restore: &Restore, ending: Ending, stack: &Stack<'_>) -> Vec<String> {
    let language = settings.language;
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let (new, lost) = (&restore.target.instance, &restore.lost.instance);
    let mut lines = Vec::new();
    let is_new = ending == Ending::Closed && restore.direction == Direction::New;
    for changed in &stack.changed {
        let (name, current, back) = (&changed.name, &changed.current, changed.put_back().code());
        lines.push(shared::tr!(
            language,
            "*O segredo `{name}` não tem a versão desta restauração*, e sim `{current}`, de outros: conferir para que banco aponta. Para pôr a da restauração: {back}.",
            "*The secret `{name}` does not have this restore's version*, but `{current}`, of others: check which database it names. To put the restore's in force: {back}.",
        ));
    }
    if is_new {
        let (address, state) = match &restore.terraform {
            Some((address, key)) => (address.clone(), format!(" ({key})")),
            None => (say("ENDERECO", "ADDRESS").to_owned(), String::new()),
        };
        let rm = command!("terraform state rm {address}", address).code();
        let import = command!("terraform import {address} {new}", address, new).code();
        lines.push(shared::tr!(
            language,
            "*Antes de qualquer `terraform apply`* (o Terraform{state} ainda aponta para `{lost}`): {rm}, depois {import}, e `identifier` = `{new}` na configuração; conferir com `terraform plan`.",
            "*Before any `terraform apply`* (Terraform{state} still points to `{lost}`): {rm}, then {import}, and `identifier` = `{new}` in the configuration; check with `terraform plan`.",
        ));
        let admin = restore.target.master_secret.as_ref().filter(|_| stack.has_admin);
        let admin = admin.map(|arn| format!(", `DatabaseAdminSecretArn={arn}`")).unwrap_or_default();
        lines.push(shared::tr!(
            language,
            "Na stack de governança: `DatabaseInstanceId={new}`{admin}.",
            "In the governance stack: `DatabaseInstanceId={new}`{admin}.",
        ));
        lines.push(
            say(
                "Os outros logins do banco voltaram com as senhas de então: trocar as de pessoas e ferramentas.",
                "The database's other logins came back with the passwords of that time: change those of people and tools.",
            )
            .to_owned(),
        );
    }
    // Another caller's deploy must not be rolled back.
    let is_there = |service: &String| match stack.present.get(service) {
        Some(present) => restore.guards.get(service).is_some_and(|guard| *present == guard.with),
        None => true,
    };
    for (service, former) in restore.unguarded.iter().filter(|(service, _)| !is_there(service)) {
        let present = stack.present.get(service).map(String::as_str).unwrap_or_default();
        lines.push(shared::tr!(
            language,
            "O serviço `{service}` já não usa a revisão desta restauração, e sim `{present}`: não voltar à `{former}`. Se a de agora ainda tem as variáveis da proteção, registrar uma revisão sem elas.",
            "The service `{service}` no longer uses this restore's revision, but `{present}`: do not go back to `{former}`. If the present one still has the guard's variables, register a revision without them.",
        ));
    }
    let guarded: Vec<_> = restore.unguarded.iter().filter(|(service, _)| is_there(service)).collect();
    if !guarded.is_empty() {
        let cluster = stack.cluster;
        let commands = guarded.into_iter().map(|(service, definition)| {
            command!(
                "aws ecs update-service --cluster {cluster} --service {service} --task-definition {definition} --force-new-deployment",
                cluster,
                service,
                definition
            )
            .code()
        });
        let commands = commands.collect::<Vec<_>>().join(", ");
        let when = if is_new {
            say(
                "*A proteção contra o apagamento fica* até alguém a tirar: só depois de conferir os dados e de combinar com os donos da aplicação, porque a partida seguinte apaga o que passou da retenção.",
                "*The guard against deletion stays* until somebody removes it: only after the data are checked and the application's owners agree, since the next start deletes what is past its retention.",
            )
        } else {
            say(
                "A proteção contra o apagamento ainda está nas tasks; para tirá-la:",
                "The tasks still have the guard against deletion; to remove it:",
            )
        };
        let until = say("Um deploy também a tira.", "A deploy removes it too.");
        lines.push(format!("{when} {commands}. {until}"));
    }
    if is_new {
        lines.push(if restore.lost.exists {
            shared::tr!(
                language,
                "A instância antiga `{lost}` fica como estava, e custa: apagá-la só depois do post-mortem.",
                "The old instance `{lost}` stays as it was, and costs: delete it after the post-mortem only.",
            )
        } else {
            shared::tr!(
                language,
                "A instância antiga `{lost}` já não existia.",
                "The old instance `{lost}` was gone."
            )
        });
    } else if restore.target.requested.is_some() {
        let commands = remove(new, restore.was_used(new)).code();
        if !restore.moves.is_empty() {
            let behind = behind(language, restore, Direction::Old);
            lines.push(shared::tr!(
                language,
                "*A instância nova `{new}` esteve em uso: {behind}*. Trazer de lá o que falta; só depois removê-la, com um snapshot final: {commands}.",
                "*The new instance `{new}` was in use: {behind}*. Bring over what is missing; only then remove it, with a final snapshot: {commands}.",
            ));
        } else {
            lines.push(shared::tr!(
                language,
                "A instância nova `{new}` sobra e custa; se não serve mais: {commands}.",
                "The new instance `{new}` is left over and costs; if it is of no more use: {commands}.",
            ));
        }
    }
    for former in &restore.former {
        let commands = remove(former, restore.was_used(former)).code();
        lines.push(if restore.was_used(former) {
            shared::tr!(
                language,
                "*A instância `{former}`, de uma tentativa anterior, pode ter dados que nenhuma outra tem*: conferir; só depois removê-la, com um snapshot final: {commands}.",
                "*The instance `{former}`, of an earlier try, may have data that no other has*: check; only then remove it, with a final snapshot: {commands}.",
            )
        } else {
            shared::tr!(
                language,
                "A instância `{former}`, de uma tentativa anterior, nunca esteve em uso; se ainda existe, custa: {commands}.",
                "The instance `{former}`, of an earlier try, was never in use; if it still exists, it costs: {commands}.",
            )
        });
    }
    if is_new && restore.migration.is_none() {
        lines.push(
            say(
                "Nenhuma migração foi rodada: `npm run migrate`, que o guia cita, não existe na aplicação, e a política não tem emergency.migration. Aviso para os donos da aplicação.",
                "No migration was run: `npm run migrate`, which the guide names, does not exist in the application, and the policy has no emergency.migration. A finding for the application's owners.",
            )
            .to_owned(),
        );
    }
    if is_new && !stack.patterns.is_empty() {
        let patterns =
            stack.patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ");
        lines.push(shared::tr!(
            language,
            "Conferir à mão o endereço nos segredos que a stack cita por padrão: {patterns}.",
            "Check the address by hand in the secrets that the stack names by a pattern: {patterns}.",
        ));
    }
    if let Some(why) = restore.target.unmonitored.as_ref().filter(|_| is_new) {
        let why = brief(why);
        lines.push(shared::tr!(
            language,
            "O banco novo ficou sem monitoramento avançado e Performance Insights, que o RDS recusou ({why}).",
            "The new database has no enhanced monitoring and no Performance Insights, which RDS refused ({why}).",
        ));
    }
    if is_new && !restore.target.tidied {
        lines.push(
            say(
                "No banco novo ficou o papel `restore_proof` da prova: `DROP OWNED BY restore_proof; DROP ROLE restore_proof;` como usuário mestre.",
                "The proof's role `restore_proof` is left in the new database: `DROP OWNED BY restore_proof; DROP ROLE restore_proof;` as the master user.",
            )
            .to_owned(),
        );
    }
    lines
}

/// Removes an instance that this function made: its protection first. If it was in use, a snapshot keeps its data.
fn remove(instance: &str, was_used: bool) -> Command {
    let last = format!("{instance}-final");
    let delete = if was_used {
        command!(
            "aws rds delete-db-instance --db-instance-identifier {instance} --final-db-snapshot-identifier {last}",
            instance,
            last
        )
    } else {
        command!(
            "aws rds delete-db-instance --db-instance-identifier {instance} --skip-final-snapshot",
            instance
        )
    };
    command!(
        "aws rds modify-db-instance --db-instance-identifier {instance} --no-deletion-protection --apply-immediately",
        instance
    )
    .and(&delete)
}

#[cfg(test)]
mod tests {
    use shared::runtime::language::Language;

    use super::*;
    use crate::rules::restore::Guarded;
    use crate::rules::restore::tests::{at, restore};

    fn text(restore: &Restore, ending: Ending) -> String {
        text_with(restore, ending, Vec::new())
    }

    fn text_with(restore: &Restore, ending: Ending, changed: Vec<Changed>) -> String {
        let settings = shared::testing::settings("moveongs-dev-emergency-restore", Language::Portuguese);
        let stack = Stack {
            cluster: "moveongs-dev-cluster",
            has_admin: true,
            present: [("api".to_owned(), "arn:td:8".to_owned())].into(),
            patterns: vec!["arn:x-*"],
            changed,
        };
        closed(&settings, restore, ending, &stack, at(60)).text()
    }

    #[test]
    fn a_deploy_by_others_is_not_rolled_back_and_every_instance_is_named() {
        let mut open = restore();
        open.former =
            vec!["moveongs-dev-db-r20261130-1-2".to_owned(), "moveongs-dev-db-r20261130-1-3".to_owned()];
        open.unguarded.insert("api".to_owned(), "arn:td:6".to_owned());
        let guard = |with: &str| Guarded { with: with.to_owned(), deployment: None };
        open.guards.insert("api".to_owned(), guard("arn:td:8"));
        let shown = text(&open, Ending::Closed);
        assert!(shown.contains("--task-definition arn:td:6"), "{shown}");
        for former in &open.former {
            let command =
                format!("delete-db-instance --db-instance-identifier {former} --skip-final-snapshot");
            assert!(shown.contains(&command), "{shown}");
        }
        open.guards.insert("api".to_owned(), guard("arn:td:7"));
        let shown = text(&open, Ending::Closed);
        assert!(!shown.contains("--task-definition") && shown.contains("arn:td:8"), "{shown}");
        // A revision that a person corrected after a failed rollout, with the guard.
        open.guards.clear();
        let shown = text(&open, Ending::Closed);
        assert!(!shown.contains("--task-definition") && shown.contains("arn:td:8"), "{shown}");
    }

    #[test]
    fn an_instance_that_a_secret_named_is_removed_only_with_a_last_snapshot() {
        let mut open = restore();
        open.target.requested = Some(at(1));
        open.direction = Direction::Old;
        open.former = vec!["moveongs-dev-db-used".to_owned(), "moveongs-dev-db-other".to_owned()];
        open.used.insert("moveongs-dev-db-used".to_owned());
        let delete = "delete-db-instance --db-instance-identifier";
        let shown = text(&open, Ending::Closed);
        let line =
            |name: &str| shown.lines().find(|line| line.contains(&format!("{delete} {name}"))).unwrap();
        let used = line("moveongs-dev-db-used");
        assert!(used.contains("--final-db-snapshot-identifier") && !used.contains("nunca"), "{used}");
        let other = line("moveongs-dev-db-other");
        assert!(other.contains("--skip-final-snapshot") && other.contains("nunca"), "{other}");
        // AWS may have refused the move, or it was undone by others before the end.
        let mut rejected = Restore { moves: Vec::new(), ..open };
        rejected.used.insert(rejected.target.instance.clone());
        let shown = text(&rejected, Ending::Rejected);
        assert!(shown.contains("moveongs-dev-db-r20261130-1-final"), "{shown}");
    }

    #[test]
    fn a_secret_that_others_changed_is_not_called_the_new_database() {
        let open = restore();
        let changed = open.changed(&open.moves[0], "3").into_iter().collect();
        let shown = text_with(&open, Ending::Closed, changed);
        assert!(!shown.contains("encerrada, no banco novo"), "{shown}");
        assert!(shown.contains("--move-to-version-id 2 --remove-from-version-id 3"), "{shown}");
        assert!(text(&open, Ending::Closed).contains("encerrada, no banco novo"));
    }

    #[test]
    fn the_end_says_what_remains() {
        let mut open = restore();
        open.target.requested = Some(at(1));
        open.target.master_secret = Some("arn:new".to_owned());
        open.worked = Some(at(43));
        open.terraform =
            Some(("module.rds.aws_db_instance.this[0]".to_owned(), "dev/terraform.tfstate".to_owned()));
        open.unguarded.insert("api".to_owned(), "arn:td:7".to_owned());
        let guard = Guarded { with: "arn:td:8".to_owned(), deployment: None };
        open.guards.insert("api".to_owned(), guard);
        let shown = text(&open, Ending::Closed);
        for part in [
            "43 min",
            "terraform state rm 'module.rds.aws_db_instance.this[0]'",
            "terraform import 'module.rds.aws_db_instance.this[0]' moveongs-dev-db-r20261130-1",
            "DatabaseInstanceId=moveongs-dev-db-r20261130-1",
            "DatabaseAdminSecretArn=arn:new",
            "--task-definition arn:td:7",
            "npm run migrate",
            "arn:x-*",
            "restore_proof",
            "post-mortem",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains("delete-db-instance"), "{shown}");
        let back = Restore { direction: Direction::Old, ..open.clone() };
        let shown = text(&back, Ending::Closed);
        assert!(shown.contains("delete-db-instance") && !shown.contains("terraform import"), "{shown}");
        // It was in use, so its data are not thrown away.
        assert!(
            shown.contains("--final-db-snapshot-identifier moveongs-dev-db-r20261130-1-final"),
            "{shown}"
        );
        assert!(!shown.contains("--skip-final-snapshot") && shown.contains("fica só no novo"), "{shown}");
        let unmoved = Restore { moves: Vec::new(), ..open.clone() };
        let rejected = text(&unmoved, Ending::Rejected);
        assert!(rejected.contains("--skip-final-snapshot"), "{rejected}");
        assert!(
            rejected.contains("nada foi trocado") && rejected.contains("delete-db-instance"),
            "{rejected}"
        );
        let rehearsal = Restore { rehearsal: true, observer: Some("bia".to_owned()), ..open };
        assert!(text(&rehearsal, Ending::Closed).contains("shadowing (guia, seção 5) de bia"));
    }
}
