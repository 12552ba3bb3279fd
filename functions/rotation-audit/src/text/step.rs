//! The next step of a finding, with its command.

use shared::command;
use shared::run::command::secrets;
use shared::runtime::language::Language;

use crate::rules::facts::Secret;
use crate::rules::finding::Finding;

fn command(secret: &Secret, operation: &str) -> String {
    command!("aws secretsmanager {operation} --secret-id {secret}", operation, secret = secret.name).code()
}

fn tag_command(secret: &Secret, tags: &[(&str, String)]) -> String {
    let pairs: Vec<_> =
        tags.iter().map(|(tag, value)| command!("Key={tag},Value={value}", tag, value)).collect();
    command!(
        "aws secretsmanager tag-resource --secret-id {secret} --tags {pairs}",
        secret = secret.name,
        pairs
    )
    .code()
}

/// The command that gives the secret a new value.
pub(super) fn rotate(secret: &Secret, language: Language) -> String {
    let has_function =
        secret.facts.as_ref().is_some_and(|facts| facts.listed.enabled && facts.listed.function.is_some());
    if has_function || secret.standard.rotator.is_some() {
        return secrets::rotate(&secret.name).code();
    }
    // A value on the command line would stay in the shell's history, and one pasted into `aws` itself would keep its line
    // end.
    let put = command!(
        "printf %s \"$(cat)\" | aws secretsmanager put-secret-value --secret-id {secret} --secret-string file:///dev/stdin",
        secret = secret.name
    );
    format!(
        "{} {}",
        put.code(),
        language.pick(
            "(nenhuma função o rotaciona: o valor novo vem de quem o emite)",
            "(no function rotates it: get the new value from its issuer)",
        )
    )
}

/// The next step, with its command.
pub(super) fn next_step(secret: &Secret, finding: &Finding, language: Language) -> String {
    let describe = command(secret, "describe-secret");
    match finding {
        Finding::Overdue { .. } | Finding::DueSoon { .. } => rotate(secret, language),
        Finding::RotationLate { .. } => format!(
            "{} {describe}; {} {}",
            language.pick("ver o estado com", "check the state with"),
            language.pick("se nada estiver em AWSPENDING, rotacionar:", "if nothing is AWSPENDING, rotate:"),
            rotate(secret, language)
        ),
        Finding::StuckPending { pending, current, may_be_in_force, .. } => {
            let clear = secrets::clear(&secret.name, pending).code();
            if !*may_be_in_force {
                return format!(
                    "{} {clear} {} {}",
                    language.pick("desfazer com", "clear it with"),
                    language.pick("e rotacionar de novo:", "and rotate again:"),
                    rotate(secret, language)
                );
            }
            let restore = secrets::restore(&secret.name, pending, current.as_deref().unwrap_or("—")).code();
            shared::tr!(
                language,
                "*não* remover o AWSPENDING antes de ver com o psql qual senha entra: com um só usuário, a pendente pode ser a única. Se entra a do AWSCURRENT: {clear}. Se só a do AWSPENDING, torná-la a atual: {restore}. Um segredo que não é de banco se verifica no sistema que o aceita",
                "do *not* remove AWSPENDING before you have checked with psql which password logs in: with a single user, the pending one may be the only one that works. If the AWSCURRENT password logs in: {clear}. If only the AWSPENDING password does, make it the current one: {restore}. Check a secret of another kind at the system that accepts it",
            )
        }
        Finding::InsufficientData { .. } => language
            .pick(
                "conferir a permissão (IAM, KMS) que o erro nomeia; a próxima auditoria verifica de novo",
                "check the permission (IAM, KMS) that the error names; the next audit checks again",
            )
            .to_owned(),
        Finding::Missing => language
            .pick(
                "criar o segredo, ou tirá-lo da política ou dos parâmetros da stack",
                "create the secret, or remove it from the policy or the stack's parameters",
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
                "read the policy and limit each Allow with aws:PrincipalAccount or aws:PrincipalOrgID:",
            ),
            command(secret, "get-resource-policy")
        ),
        Finding::RotationOff { .. } => format!(
            "{} {}",
            language.pick(
                "ligar de novo, sem trocar o valor agora:",
                "turn it on again without changing the value now:"
            ),
            secrets::enable(&secret.name).code()
        ),
        Finding::IamLoginOff { instance } => format!(
            "{} {}; {}",
            language.pick("ligar, se o login é mesmo por IAM:", "turn it on, if the login is by IAM:"),
            command!(
                "aws rds modify-db-instance --db-instance-identifier {instance} --enable-iam-database-authentication",
                instance
            )
            .code(),
            language.pick(
                "se é por senha, tirar iam_login da política e rotacionar",
                "if the login is by password, remove iam_login from the policy and rotate"
            )
        ),
        Finding::TagsContradict { tag, named, .. } => format!(
            "{} {}; {}",
            language.pick("se o nome está certo, corrigir a tag:", "if the name is right, correct the tag:"),
            tag_command(secret, &[(*tag, named.clone())]),
            language.pick(
                "se a tag está certa, criar o segredo com o nome do ambiente dela e apagar este",
                "if the tag is right, create the secret with a name of the tag's environment and delete this one",
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
                "if no one needs it, delete it (it can be restored for 30 days):"
            ),
            command(secret, "delete-secret")
        ),
        Finding::NeverRotated => language
            .pick(
                "nada agora: a idade está no limite da política",
                "nothing now: the age is within the policy's limit",
            )
            .to_owned(),
    }
}
