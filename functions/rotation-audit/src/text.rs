//! What people read: in the channel, on the board, in a page. No secret's value is known here.

use std::collections::BTreeSet;

use jiff::Timestamp;
use shared::audit::findings::{self, Item, NAME};
use shared::audit::first_week::{self, Quiet};
use shared::policy::Responsible;
use shared::run::markdown;
use shared::run::notify::Message;
use shared::run::paging::{Alert, Page, Severity};
use shared::run::report::Unread;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::runtime::time;

use crate::policy::{Finding, Secret};

/// The line of a finding in the evidence record: what `key` gives, and the details.
pub(crate) fn line(secret: &Secret, finding: &Finding, now: Timestamp) -> String {
    format!("{}: {}", key(secret, finding), sentence(secret, finding, now, Language::English))
}

/// What makes findings of two runs the same one.
pub(crate) fn key(secret: &Secret, finding: &Finding) -> String {
    format!("{} {}", finding.kind(), secret.name)
}

fn date(at: Timestamp) -> String {
    time::local_date(at)
}

fn days(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_hours() / 24
}

/// What is wrong, in a sentence.
pub(crate) fn sentence(secret: &Secret, finding: &Finding, now: Timestamp, language: Language) -> String {
    let portuguese = language == Language::Portuguese;
    let most = secret.standard.max_age_days.unwrap_or_default();
    let age = secret.facts.as_ref().and_then(|facts| facts.current_made()).map_or(0, |made| days(made, now));
    match finding {
        Finding::Overdue { due } if portuguese => {
            format!("vencido desde {}: o valor tem {age} dias, e o limite é de {most}", date(*due))
        }
        Finding::Overdue { due } => {
            format!("overdue since {}: the value is {age} days old, and {most} are allowed", date(*due))
        }
        Finding::RotationLate { since } if portuguese => {
            format!("a rotação automática devia ter terminado em {} e não terminou", time::local(*since))
        }
        Finding::RotationLate { since } => {
            format!("the automatic rotation should have ended at {} and has not", time::local(*since))
        }
        Finding::StuckPending { pending, since, .. } if portuguese => {
            format!(
                "rotação parada: a versão `{pending}` está em AWSPENDING desde {} ou antes",
                time::local(*since)
            )
        }
        Finding::StuckPending { pending, since, .. } => {
            format!(
                "a rotation hangs: version `{pending}` is AWSPENDING since {} or earlier",
                time::local(*since)
            )
        }
        Finding::InsufficientData { why } if portuguese => format!("não foi possível verificar: {why}"),
        Finding::InsufficientData { why } => format!("could not be checked: {why}"),
        Finding::Missing => language
            .pick(
                "a política ou a stack o nomeia, e ele não existe",
                "policy or stack name it, and it does not exist",
            )
            .to_owned(),
        Finding::Empty => language.pick("existe, mas não tem valor", "exists, but has no value").to_owned(),
        Finding::WidePolicy { principal } if portuguese => {
            format!(
                "a política de acesso do segredo admite `{principal}` sem condição que o prenda a esta conta"
            )
        }
        Finding::WidePolicy { principal } => {
            format!(
                "the secret's resource policy admits `{principal}` without a condition that binds it to this account"
            )
        }
        Finding::RotationOff { rotator } if portuguese => {
            format!("a rotação por {} está desligada", rotator.name())
        }
        Finding::RotationOff { rotator } => format!("rotation by {} is off", rotator.name()),
        Finding::IamLoginOff { instance } if portuguese => {
            format!("a política diz que o login é por IAM, e o RDS não aceita logins por IAM em `{instance}`")
        }
        Finding::IamLoginOff { instance } => {
            format!(
                "the policy says that the login is by IAM, and RDS takes no logins by IAM on `{instance}`"
            )
        }
        Finding::DueSoon { due } if portuguese => {
            format!("vence em {}: o valor tem {age} dias, e o limite é de {most}", date(*due))
        }
        Finding::DueSoon { due } => {
            format!("due by {}: the value is {age} days old, and {most} are allowed", date(*due))
        }
        Finding::TagsContradict { tag, value, named, .. } => {
            let value = value.replace('`', "'");
            match language {
                Language::Portuguese => format!(
                    "a tag {tag} diz `{value}`, e o nome do segredo diz `{named}`: vale a tag, e só o ambiente dela o audita"
                ),
                Language::English => format!(
                    "the tag {tag} says `{value}`, and the secret's name says `{named}`: the tag counts, and only its environment audits it"
                ),
            }
        }
        Finding::TagsMissing { tags } => {
            let tags: Vec<_> = tags.iter().map(|(tag, _)| *tag).collect();
            let says = language.pick(
                "pelo nome é deste ambiente, e faltam tags, ou têm um valor que nenhuma stack tem; sem elas o acompanhamento das rotações não o segue:",
                "is this environment's by its name, and lacks tags, or has them with a value that no stack has; without them the follow-up of rotations leaves it out:",
            );
            format!("{says} {}", tags.join(", "))
        }
        Finding::NoPolicy => language
            .pick(
                "é deste ambiente, e a política não diz a idade máxima",
                "is this environment's, and the policy does not say its greatest age",
            )
            .to_owned(),
        Finding::Unused { since } => {
            let since =
                since.map_or_else(|| "—".to_owned(), |since| since.to_string().chars().take(10).collect());
            let says = language.pick("ninguém o lê; última leitura:", "nobody reads it; last read:");
            format!("{says} {since}")
        }
        Finding::NeverRotated => language
            .pick("a rotação está ligada e ainda não aconteceu", "rotation is on and has not happened yet")
            .to_owned(),
    }
}

fn command(secret: &Secret, operation: &str) -> String {
    format!("`aws secretsmanager {operation} --secret-id '{}'`", secret.name)
}

fn stage_command(secret: &Secret, stage: &str, change: &str) -> String {
    format!(
        "`aws secretsmanager update-secret-version-stage --secret-id '{}' --version-stage {stage} {change}`",
        secret.name
    )
}

fn tag_command(secret: &Secret, tags: &[(&str, String)]) -> String {
    let pairs: Vec<_> = tags.iter().map(|(tag, value)| format!("Key={tag},Value={value}")).collect();
    let pairs = pairs.join(" ");
    format!("`aws secretsmanager tag-resource --secret-id '{}' --tags {pairs}`", secret.name)
}

/// How to give the secret a new value.
fn rotate(secret: &Secret, language: Language) -> String {
    let has_function =
        secret.facts.as_ref().is_some_and(|facts| facts.listed.enabled && facts.listed.function.is_some());
    if has_function || secret.standard.rotator.is_some() {
        return command(secret, "rotate-secret");
    }
    // No value on a command line, where it would stay in the shell's history.
    format!(
        "`aws secretsmanager put-secret-value --secret-id '{}' --secret-string file:///dev/stdin` {}",
        secret.name,
        language.pick(
            "(nenhuma função o rotaciona: o valor novo vem de quem o emite)",
            "(no function rotates it: the new value comes from whoever issues it)",
        )
    )
}

/// What to do next, with the command.
pub(crate) fn next_step(secret: &Secret, finding: &Finding, language: Language) -> String {
    let describe = command(secret, "describe-secret");
    match finding {
        Finding::Overdue { .. } | Finding::DueSoon { .. } => rotate(secret, language),
        Finding::RotationLate { .. } => format!(
            "{} {describe}; {} {}",
            language.pick("ver o estado com", "see the state with"),
            language.pick("se nada estiver em AWSPENDING, rotacionar:", "if nothing is AWSPENDING, rotate:"),
            rotate(secret, language)
        ),
        Finding::StuckPending { pending, current, may_be_in_force, .. } => {
            let clear = stage_command(secret, "AWSPENDING", &format!("--remove-from-version-id {pending}"));
            if !*may_be_in_force {
                return format!(
                    "{} {clear} {} {}",
                    language.pick("desfazer com", "clear it with"),
                    language.pick("e rotacionar de novo:", "and rotate again:"),
                    rotate(secret, language)
                );
            }
            let restore = stage_command(
                secret,
                "AWSCURRENT",
                &format!(
                    "--move-to-version-id {pending} --remove-from-version-id {}",
                    current.as_deref().unwrap_or("—")
                ),
            );
            match language {
                Language::Portuguese => format!(
                    "*não* remover o AWSPENDING antes de ver com o psql qual senha entra: com um só usuário, a pendente pode ser a única. Se entra a do AWSCURRENT: {clear}. Se só a do AWSPENDING, torná-la a atual: {restore}. Um segredo que não é de banco se verifica no sistema que o aceita"
                ),
                Language::English => format!(
                    "do *not* remove AWSPENDING before you have seen with psql which password logs in: with a single user the pending one may be the only one. If that of AWSCURRENT logs in: {clear}. If only that of AWSPENDING, make it the current one: {restore}. A secret that is no database's is tried at the system that takes it"
                ),
            }
        }
        Finding::InsufficientData { .. } => language
            .pick(
                "conferir a permissão (IAM, KMS) que o erro nomeia; a próxima auditoria verifica de novo",
                "check the permission (IAM, KMS) that the error names; the next audit looks again",
            )
            .to_owned(),
        Finding::Missing => language
            .pick(
                "criar o segredo, ou tirá-lo da política ou dos parâmetros da stack",
                "create the secret, or take it out of the policy or the stack's parameters",
            )
            .to_owned(),
        Finding::Empty => language
            .pick(
                "gravar o primeiro valor, ou apagar o segredo",
                "store its first value, or delete the secret",
            )
            .to_owned(),
        Finding::WidePolicy { .. } => format!(
            "{} {}",
            language.pick(
                "ver a política e prender cada Allow com aws:PrincipalAccount ou aws:PrincipalOrgID:",
                "read the policy and bind each Allow with aws:PrincipalAccount or aws:PrincipalOrgID:",
            ),
            command(secret, "get-resource-policy")
        ),
        Finding::RotationOff { .. } => format!(
            "{} `aws secretsmanager rotate-secret --secret-id '{}' --no-rotate-immediately`",
            language.pick(
                "ligar de novo, sem trocar o valor agora:",
                "switch it on again without changing the value now:"
            ),
            secret.name
        ),
        Finding::IamLoginOff { instance } => format!(
            "{} `aws rds modify-db-instance --db-instance-identifier {instance} --enable-iam-database-authentication`; {}",
            language.pick("ligar, se o login é mesmo por IAM:", "switch it on, if the login is by IAM:"),
            language.pick(
                "se é por senha, tirar iam_login da política e rotacionar",
                "if it is by password, take iam_login out of the policy and rotate"
            )
        ),
        Finding::TagsContradict { tag, named, .. } => format!(
            "{} {}; {}",
            language.pick("se o nome está certo, corrigir a tag:", "if the name is right, correct the tag:"),
            tag_command(secret, &[(*tag, named.clone())]),
            language.pick(
                "se a tag está certa, criar o segredo com o nome do ambiente dela e apagar este",
                "if the tag is right, create the secret under its environment's name and delete this one",
            )
        ),
        Finding::TagsMissing { tags } => tag_command(secret, tags),
        Finding::NoPolicy => language
            .pick(
                "acrescentar o segredo em rotation.secrets da política (`cargo xtask policy apply`)",
                "add the secret to the policy's rotation.secrets (`cargo xtask policy apply`)",
            )
            .to_owned(),
        Finding::Unused { .. } => format!(
            "{} {}",
            language.pick(
                "se ninguém precisa dele, apagar (30 dias para voltar atrás):",
                "if nobody needs it, delete it (30 days to undo):"
            ),
            command(secret, "delete-secret")
        ),
        Finding::NeverRotated => language
            .pick(
                "nada agora: a idade está no limite da política",
                "nothing now: its age is within the policy",
            )
            .to_owned(),
    }
}

/// A finding as people are told it.
fn reported(secret: &Secret, finding: &Finding, now: Timestamp, language: Language) -> Item {
    let like = Secret { name: NAME.to_owned(), ..secret.clone() };
    let finding_like = match finding {
        Finding::StuckPending { since, may_be_in_force, .. } => Finding::StuckPending {
            pending: "PENDING_VERSION_ID".to_owned(),
            current: Some("CURRENT_VERSION_ID".to_owned()),
            since: *since,
            may_be_in_force: *may_be_in_force,
        },
        other => other.clone(),
    };
    Item {
        kind: finding.kind().to_owned(),
        about: secret.name.clone(),
        sentence: sentence(secret, finding, now, language),
        step: next_step(secret, finding, language),
        pattern: next_step(&like, &finding_like, language),
    }
}

/// The pages of the findings that page: one for each kind, since thirty of a kind have one cause. Of what is late the key
/// stays the same; any other secret that comes to a kind makes another page.
pub(crate) fn pages(settings: &Settings, paging: &[(&Secret, &Finding)], now: Timestamp) -> Vec<Page> {
    let mut kinds: Vec<&str> = Vec::new();
    for (_, finding) in paging {
        if !kinds.contains(&finding.kind()) {
            kinds.push(finding.kind());
        }
    }
    let of = |kind: &str| paging.iter().filter(|(_, finding)| finding.kind() == kind).copied().collect();
    kinds.into_iter().map(|kind| page(settings, kind, of(kind), now)).collect()
}

fn page(settings: &Settings, kind: &str, of: Vec<(&Secret, &Finding)>, now: Timestamp) -> Page {
    let language = settings.language;
    let environment = &settings.environment;
    let names: Vec<_> = of.iter().map(|(secret, _)| secret.name.as_str()).collect();
    let said: Vec<_> = of.iter().map(|(secret, finding)| reported(secret, finding, now, language)).collect();
    let groups = findings::groups(&said);
    let mut lines: Vec<_> = groups.iter().map(|group| group.text(language, "")).collect();
    let mut teams: Vec<(&Responsible, Vec<String>)> = Vec::new();
    for (secret, _) in &of {
        let team = &secret.standard.responsible;
        match teams.iter_mut().find(|(known, _)| *known == team) {
            Some((_, names)) => names.push(secret.name.clone()),
            None => teams.push((team, vec![secret.name.clone()])),
        }
    }
    let owners = teams.iter().map(|(team, _)| *team).collect();
    if teams.len() > 1 {
        lines.extend(
            teams
                .into_iter()
                .map(|(team, names)| format!("{}: {}.", team.primary, findings::listed(names, 1_000))),
        );
    }
    let is_late = of
        .iter()
        .all(|(_, finding)| matches!(finding, Finding::Overdue { .. } | Finding::RotationLate { .. }));
    let causes = match is_late {
        true => String::new(),
        false => format!("/{}", first_week::causes(names.iter().copied())),
    };
    let alert = Alert {
        kind,
        severity: if of.iter().any(|(_, finding)| finding.is_critical()) {
            Severity::Critical
        } else {
            Severity::Warning
        },
        resource: &names.join(", "),
        text: lines.join("\n"),
        owners,
        runbook: "docs/rotacao-auditoria.md#o-que-cada-achado-significa",
        dedup_key: format!("rotation-audit/{environment}/{kind}{causes}"),
    };
    Page::new(settings, alert)
}

/// Title of a task.
pub(crate) fn task_title(settings: &Settings, secret: &Secret, due: Timestamp) -> String {
    let (verb, by) = match settings.language {
        Language::Portuguese => ("Rotacionar", "até"),
        Language::English => ("Rotate", "by"),
    };
    format!("{verb} {} ({}) {by} {}", secret.name, settings.environment, date(due))
}

/// Body of a task, without its marker. Names stand in code, so that none calls a person or a team of GitHub.
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
    let state = format!(
        "`aws secretsmanager describe-secret --secret-id '{}' --query VersionIdsToStages`",
        secret.name
    );
    let deploy = format!(
        "`aws ecs update-service --cluster {project}-{environment}-cluster --service {project}-{environment}-api --force-new-deployment`"
    );
    match language {
        Language::Portuguese => format!(
            "Segredo: {}\n\n- **Janela de execução:** {window}\n- **Responsável:** {}\n- **Backup:** {}\n\n## Passos\n\n- [ ] Avisar o canal de que a rotação vai começar.\n- [ ] Rotacionar: {rotate}\n- [ ] Conferir que AWSCURRENT mudou de versão e que nada ficou em AWSPENDING: {state}\n- [ ] Esperar a mensagem do acompanhamento (rotation-followup): ele força o deployment, faz os smoke tests, prova que tokens antigos são recusados e registra na planilha e no changelog. Sem mensagem em 30 min: {deploy}\n\nA auditoria fecha esta tarefa sozinha quando o segredo tiver outra versão atual.",
            markdown::code(&secret.name),
            markdown::text(&team.primary),
            markdown::text(&team.backup),
        ),
        Language::English => format!(
            "Secret: {}\n\n- **Window:** {window}\n- **Responsible:** {}\n- **Backup:** {}\n\n## Steps\n\n- [ ] Tell the channel that the rotation begins.\n- [ ] Rotate: {rotate}\n- [ ] Check that AWSCURRENT is on another version and nothing is left AWSPENDING: {state}\n- [ ] Wait for the message of the follow-up (rotation-followup): it forces the deployment, runs the smoke tests, proves that old tokens are refused, and writes sheet and changelog. Without a message within 30 min: {deploy}\n\nThe audit closes this task by itself when the secret has another current version.",
            markdown::code(&secret.name),
            markdown::text(&team.primary),
            markdown::text(&team.backup),
        ),
    }
}

/// What is said in a task that is closed.
pub(crate) fn task_done(language: Language, version: &str, now: Timestamp) -> String {
    let (version, at) = (markdown::code(version), time::local(now));
    match language {
        Language::Portuguese => {
            format!("O segredo foi rotacionado: a versão atual é {version}, vista em {at}.")
        }
        Language::English => {
            format!("The secret was rotated: the current version is {version}, seen at {at}.")
        }
    }
}

/// What became of the tasks: those that were opened and closed, and the reasons why others failed, with how often.
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
        let what = language.pick("Uma tarefa do board falhou", "A task of the board failed");
        let times = if *count > 1 { format!(" ({count}×)") } else { String::new() };
        format!("{what}{times}: {reason}")
    });
    opened.into_iter().chain(closed).chain(failed).collect()
}

/// What a run tells the channel.
pub(crate) struct Summary<'a> {
    /// Run id: the day.
    pub run_id: &'a str,
    /// The secrets that were seen, with what is wrong, worst first.
    pub secrets: &'a [(Secret, Vec<Finding>)],
    /// Keys of findings that the record before did not have.
    pub new: &'a BTreeSet<String>,
    /// Keys that only the record before has.
    pub resolved: &'a BTreeSet<String>,
    /// Whether everything is told, not only what changed.
    pub is_weekly: bool,
    /// Tasks that were opened, closed or could not be.
    pub tasks: &'a [String],
    /// Why the record before could not be read, if it could not; then everything is told.
    pub unread: Option<&'a Unread>,
    /// The first week, if it is not over.
    pub quiet: Option<Quiet<'a>>,
}

/// The kinds in the order in which they are to be settled in a first week: what is critical comes before.
const ORDER: [&str; 15] = [
    "WidePolicy",
    "Missing",
    "Empty",
    "RotationOff",
    "Overdue",
    "StuckPending",
    "RotationLate",
    "IamLoginOff",
    "InsufficientData",
    "TagsContradict",
    "TagsMissing",
    "NoPolicy",
    "DueSoon",
    "Unused",
    "NeverRotated",
];

/// Place of a finding in a first week's summary.
fn order(finding: &Finding) -> (bool, usize) {
    let place = ORDER.iter().position(|kind| *kind == finding.kind());
    (!finding.is_critical(), place.unwrap_or(ORDER.len()))
}

/// The channel's message.
pub(crate) fn summary(settings: &Settings, summary: &Summary<'_>, now: Timestamp) -> Message {
    let language = settings.language;
    let all: Vec<_> = summary
        .secrets
        .iter()
        .flat_map(|(secret, found)| found.iter().map(move |finding| (secret, finding)))
        .collect();
    let count = |kind: &str| all.iter().filter(|(_, finding)| finding.kind() == kind).count();
    let what = match (language, summary.is_weekly) {
        (Language::Portuguese, false) => "Auditoria de rotação",
        (Language::Portuguese, true) => "Auditoria de rotação, resumo da semana",
        (Language::English, false) => "Rotation audit",
        (Language::English, true) => "Rotation audit, the week's summary",
    };
    let [overdue, due] = match language {
        Language::Portuguese => ["vencido(s)", "a vencer"],
        Language::English => ["overdue", "due soon"],
    };
    let title = format!(
        "{what} ({}): {} {overdue}, {} {due}",
        settings.environment,
        count("Overdue"),
        count("DueSoon")
    );
    let tells_all = summary.is_weekly || summary.unread.is_some();
    let is_reported =
        |secret: &Secret, finding: &Finding| tells_all || summary.new.contains(&key(secret, finding));
    let new: Vec<_> = all
        .iter()
        .filter(|(secret, finding)| is_reported(secret, finding))
        .map(|(secret, finding)| reported(secret, finding, now, language))
        .collect();
    let mut lines: Vec<_> = summary.unread.iter().map(|unread| unread.text(language)).collect();
    match summary.quiet {
        Some(Quiet { week, held, is_summary: true, place }) => {
            let mut all = all.clone();
            all.sort_by_key(|(_, finding)| order(finding));
            let all: Vec<_> =
                all.into_iter().map(|(secret, finding)| reported(secret, finding, now, language)).collect();
            lines.extend(week.summary(held, place, &findings::groups(&all), language));
        }
        quiet => {
            lines.extend(quiet.map(|Quiet { week, held, place, .. }| week.line(held, place, language)));
            lines.extend(findings::groups(&new).iter().map(|group| group.text(language, "*")));
        }
    }
    let is_summary = summary.quiet.is_some_and(|quiet| quiet.is_summary);
    let list =
        |label: &str, keys: Vec<String>| (!keys.is_empty()).then(|| format!("{label} {}.", keys.join("; ")));
    let mut still: Vec<(&str, Vec<String>)> = Vec::new();
    for (secret, finding) in
        all.iter().filter(|(secret, finding)| !is_summary && !is_reported(secret, finding))
    {
        match still.iter_mut().find(|(kind, _)| *kind == finding.kind()) {
            Some((_, names)) => names.push(secret.name.clone()),
            None => still.push((finding.kind(), vec![secret.name.clone()])),
        }
    }
    let still = still.into_iter().map(|(kind, names)| {
        let names = if names.len() == 1 {
            names.concat()
        } else {
            format!("({}) {}", names.len(), findings::listed(names, 600))
        };
        format!("{kind} {names}")
    });
    lines.extend(list(language.pick("Continua:", "Still so:"), still.collect()));
    lines.extend(list(language.pick("Resolvido:", "Resolved:"), summary.resolved.iter().cloned().collect()));
    lines.extend(summary.tasks.iter().cloned());
    if lines.is_empty() {
        lines.push(
            language
                .pick("Todos os segredos estão dentro da política.", "Every secret is within the policy.")
                .to_owned(),
        );
    }
    let context = format!("{} · {} · {}", settings.function, summary.run_id, settings.code_version);
    Message { title, lines, context }
}

/// The message of an audit that could not be done.
pub(crate) fn failed(settings: &Settings, run_id: &str, error: &str, next_step: &str) -> Message {
    let what = settings.language.pick("A auditoria de rotação falhou", "The rotation audit failed");
    Message::failed(settings, run_id, what, error, next_step)
}

#[cfg(test)]
mod tests {
    use shared::audit::first_week::{FirstWeek, Held};
    use std::collections::BTreeMap;

    use jiff::SignedDuration;
    use shared::policy::Policy;

    use super::*;
    use shared::aws::secrets::Listed;

    use crate::policy::{Facts, Rotator, standard};

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn settings(language: Language) -> Settings {
        Settings {
            function: "moveongs-dev-rotation-audit".to_owned(),
            project: "moveongs".to_owned(),
            environment: "dev".to_owned(),
            code_version: "x".to_owned(),
            language,
            policy: "".parse().unwrap(),
        }
    }

    fn secret() -> Secret {
        let policy: Policy = "".parse().unwrap();
        let made = now() - SignedDuration::from_hours(100 * 24);
        let facts = Facts::of_version("old");
        Secret {
            name: "/moveongs/dev/db".to_owned(),
            standard: standard(&policy, "DATABASE_URL"),
            facts: Some(Facts {
                listed: Listed { function: Some("arn".to_owned()), ..facts.listed },
                made: Ok(BTreeMap::from([("old".to_owned(), made)])),
                ..facts
            }),
        }
    }

    fn one_page(language: Language, secret: &Secret, finding: &Finding, at: Timestamp) -> Page {
        pages(&settings(language), &[(secret, finding)], at).remove(0)
    }

    fn stuck(may_be_in_force: bool) -> Finding {
        Finding::StuckPending {
            pending: "new".to_owned(),
            current: Some("old".to_owned()),
            since: now(),
            may_be_in_force,
        }
    }

    #[test]
    fn every_finding_is_reported_with_its_next_step_in_both_languages() {
        let reason = || "why".to_owned();
        for (finding, part) in [
            (Finding::Overdue { due: now() }, "rotate-secret --secret-id '/moveongs/dev/db'"),
            (Finding::RotationLate { since: now() }, "describe-secret"),
            (stuck(false), "--version-stage AWSPENDING --remove-from-version-id new"),
            (Finding::InsufficientData { why: reason() }, "why"),
            (Finding::Missing, ""),
            (Finding::Empty, ""),
            (Finding::WidePolicy { principal: reason() }, "get-resource-policy"),
            (Finding::RotationOff { rotator: Rotator::Database }, "--no-rotate-immediately"),
            (Finding::IamLoginOff { instance: reason() }, "--enable-iam-database-authentication"),
            (Finding::DueSoon { due: now() }, "rotate-secret"),
            (
                Finding::TagsContradict {
                    tag: "Environment",
                    value: "prod".to_owned(),
                    named: "dev".to_owned(),
                    is_here: false,
                },
                "tag-resource --secret-id '/moveongs/dev/db' --tags Key=Environment,Value=dev`",
            ),
            (
                Finding::TagsMissing {
                    tags: vec![("Project", "moveongs".to_owned()), ("Environment", "dev".to_owned())],
                },
                "--tags Key=Project,Value=moveongs Key=Environment,Value=dev`",
            ),
            (Finding::NoPolicy, "rotation.secrets"),
            (Finding::Unused { since: None }, "delete-secret"),
            (Finding::NeverRotated, ""),
        ] {
            let [portuguese, english] = [Language::Portuguese, Language::English].map(|language| {
                let secrets = [(secret(), vec![finding.clone()])];
                let nothing = BTreeSet::new();
                let reported = Summary {
                    run_id: "2026-03-01",
                    secrets: &secrets,
                    new: &BTreeSet::from([key(&secrets[0].0, &finding)]),
                    resolved: &nothing,
                    is_weekly: false,
                    tasks: &[],
                    unread: None,
                    quiet: None,
                };
                summary(&settings(language), &reported, now()).text()
            });
            assert_ne!(portuguese, english);
            for (text, next) in [(&portuguese, "Próximo passo"), (&english, "Next step")] {
                for part in ["/moveongs/dev/db", finding.kind(), next, part] {
                    assert!(text.contains(part), "{part} is not in: {text}");
                }
            }
        }
    }

    #[test]
    fn nobody_is_reported_to_remove_a_password_that_may_be_the_only_one() {
        for (language, warning) in [
            (Language::Portuguese, "*não* remover o AWSPENDING antes"),
            (Language::English, "do *not* remove AWSPENDING before"),
        ] {
            let text = one_page(language, &secret(), &stuck(true), now()).text;
            for part in [
                warning,
                "psql",
                "--remove-from-version-id new",
                "--version-stage AWSCURRENT --move-to-version-id new --remove-from-version-id old",
            ] {
                assert!(text.contains(part), "{part} is not in: {text}");
            }
            assert!(text.find(warning) < text.find("--remove-from-version-id"));
        }
    }

    #[test]
    fn a_page_names_secret_kind_command_and_people_and_keeps_its_key() {
        let overdue = Finding::Overdue { due: now() };
        let page = |at| one_page(Language::Portuguese, &secret(), &overdue, at);
        let first = page(now());
        assert_eq!(first.dedup_key, "rotation-audit/dev/Overdue");
        assert_eq!(first.dedup_key, page(now() + SignedDuration::from_hours(24)).dedup_key);
        assert_eq!(first.secret, "/moveongs/dev/db");
        for part in ["rotate-secret", "100 dias", "Squad Dados", "Squad Infra"] {
            assert!(first.text.contains(part), "{}", first.text);
        }
        // Another secret that hangs, or is open, is another incident.
        let open = Finding::WidePolicy { principal: "*".to_owned() };
        let other = Secret { name: "/moveongs/dev/other".to_owned(), ..secret() };
        for (finding, is_another) in [(overdue.clone(), false), (stuck(true), true), (open, true)] {
            let [one, two] = [secret(), other.clone()];
            let keys = |paging: &[(&Secret, &Finding)]| {
                let pages = pages(&settings(Language::English), paging, now());
                pages.into_iter().map(|page| page.dedup_key).collect::<Vec<_>>()
            };
            let [first, both] = [keys(&[(&one, &finding)]), keys(&[(&one, &finding), (&two, &finding)])];
            assert_eq!((both.len(), first != both), (1, is_another), "{both:?}");
            assert_eq!(both, keys(&[(&two, &finding), (&one, &finding)]));
        }
        let long = Secret { name: "x".repeat(400), ..secret() };
        let long = one_page(Language::English, &long, &overdue, now());
        assert!(long.subject.len() < 100 && long.subject.is_ascii());
    }

    #[test]
    fn thirty_secrets_with_one_cause_are_one_page_and_one_paragraph() {
        let policy: Policy = "".parse().unwrap();
        let mut secrets: Vec<_> = (0..30)
            .map(|number| {
                let name = format!("/moveongs/dev/secret-{number:02}");
                (Secret { name, ..secret() }, vec![stuck(true), Finding::Overdue { due: now() }])
            })
            .collect();
        // Of another team.
        secrets[7].0.standard = standard(&policy, "JWT_SECRET");
        let paging: Vec<_> = secrets
            .iter()
            .flat_map(|(secret, found)| found.iter().map(move |finding| (secret, finding)))
            .collect();
        let pages = pages(&settings(Language::Portuguese), &paging, now());
        let [stuck, overdue] = pages.as_slice() else { panic!("{} pages", pages.len()) };
        assert!(stuck.dedup_key.starts_with("rotation-audit/dev/StuckPending/"), "{}", stuck.dedup_key);
        assert_eq!(overdue.dedup_key, "rotation-audit/dev/Overdue");
        for page in &pages {
            assert!(page.subject.len() < 100, "{}", page.subject);
            for part in
                ["/moveongs/dev/secret-29", "NOME", "Responsável: Squad Dados", "Responsável: Squad Infra"]
            {
                assert!(page.text.contains(part), "{part} is not in: {}", page.text);
            }
        }
        assert!(pages[0].text.contains("--remove-from-version-id PENDING_VERSION_ID"), "{}", pages[0].text);

        let new = paging.iter().map(|(secret, finding)| key(secret, finding)).collect();
        let nothing = BTreeSet::new();
        let reported = Summary {
            run_id: "2026-03-01",
            secrets: &secrets,
            new: &new,
            resolved: &nothing,
            is_weekly: false,
            tasks: &[],
            unread: None,
            quiet: None,
        };
        let message = summary(&settings(Language::Portuguese), &reported, now());
        assert_eq!(message.lines.len(), 2, "{:?}", message.lines);
        assert!(message.lines.iter().all(|line| line.chars().count() < 3_000), "{:?}", message.lines);
        let still = summary(&settings(Language::Portuguese), &Summary { new: &nothing, ..reported }, now());
        assert_eq!(still.lines.len(), 1);
        assert!(
            still.lines[0].starts_with("Continua: StuckPending (30) /moveongs/dev/secret-00, "),
            "{:?}",
            still.lines
        );
    }

    #[test]
    fn a_first_week_begins_with_what_to_do_first_and_an_unread_record_is_not_taken_for_none() {
        let wide = |principal: &str| Finding::WidePolicy { principal: principal.to_owned() };
        let policy = |name: &str, found| (Secret { name: name.to_owned(), ..secret() }, found);
        let secrets = [
            policy("/moveongs/dev/old", vec![Finding::NoPolicy, Finding::Overdue { due: now() }]),
            policy("/moveongs/dev/shared", vec![wide("210987654321")]),
            policy("/moveongs/dev/open", vec![wide("*"), Finding::Unused { since: None }]),
        ];
        let (new, resolved) = (BTreeSet::new(), BTreeSet::new());
        let week = FirstWeek { until: now(), is_first_day: true };
        let quiet = |is_summary| {
            Some(Quiet {
                week,
                held: Held { pages: 1, tasks: 1 },
                is_summary,
                place: "s3://bucket/evidence/",
            })
        };
        let reported = Summary {
            run_id: "2026-03-01",
            secrets: &secrets,
            new: &new,
            resolved: &resolved,
            is_weekly: false,
            tasks: &[],
            unread: None,
            quiet: quiet(true),
        };
        let say = |reported: &Summary<'_>| summary(&settings(Language::Portuguese), reported, now()).lines;
        let lines = say(&reported);
        assert!(lines[0].starts_with("*Primeira semana* desta auditoria, até 2026-03-01 09:00:00 -03:00"));
        assert_eq!(lines[1], "*Por regra*: WidePolicy 2; Overdue 1; NoPolicy 1; Unused 1.");
        let first: Vec<_> = lines[3..].iter().map(|line| line.split('`').nth(1).unwrap()).collect();
        let [open, old] = ["open", "old"].map(|name| format!("/moveongs/dev/{name}"));
        assert_eq!(first, [&open, &old, &old, &open]);
        assert!(lines[3].contains("`/moveongs/dev/shared` ("), "{lines:?}");
        let lines = say(&Summary { quiet: quiet(false), ..reported });
        assert!(lines[0].contains("só o que muda") && lines[1].starts_with("Continua: "), "{lines:?}");
        assert_eq!(ORDER.len(), 15);
    }

    #[test]
    fn many_tasks_are_one_line() {
        let tasks = |count: usize| {
            let opened = (1..=count).map(|number| format!("#{number}: Rotacionar x")).collect();
            tasks(opened, Vec::new(), &[("no".to_owned(), count)], Language::Portuguese)
        };
        assert_eq!(tasks(1), ["Tarefa aberta #1: Rotacionar x", "Uma tarefa do board falhou: no"]);
        let many = tasks(30);
        assert!(many[0].starts_with("Tarefas abertas (30): #1: Rotacionar x, #2"), "{many:?}");
        assert_eq!((many.len(), many[1].as_str()), (2, "Uma tarefa do board falhou (30×): no"));
    }

    #[test]
    fn a_task_has_window_people_and_steps() {
        let due = now() + SignedDuration::from_hours(10 * 24);
        for (language, parts) in [
            (
                Language::Portuguese,
                ["Janela de execução", "de 2026-03-01 a 2026-03-11", "Squad Dados", "Passos"],
            ),
            (Language::English, ["Window", "from 2026-03-01 to 2026-03-11", "Squad Dados", "Steps"]),
        ] {
            let body = task_body(&settings(language), &secret(), due, now());
            for part in parts.into_iter().chain(["rotate-secret", "force-new-deployment"]) {
                assert!(body.contains(part), "{part} is not in: {body}");
            }
        }
        let late = task_body(&settings(Language::Portuguese), &secret(), now(), now());
        assert!(late.contains("vencido desde 2026-03-01: o quanto antes"));
    }

    #[test]
    fn a_records_line_begins_with_its_key() {
        let finding = Finding::InsufficientData { why: "a: b".to_owned() };
        let line = line(&secret(), &finding, now());
        assert_eq!(shared::audit::findings::key_of(&line), "InsufficientData /moveongs/dev/db");
        assert_eq!(shared::audit::findings::key_of(&line), key(&secret(), &finding));
    }
}
