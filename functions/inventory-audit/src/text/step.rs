//! The next step of a finding, with its command.

use shared::command;
use shared::policy::{Area, oncall};
use shared::run::command::{Command, secrets};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use crate::rules::row::{Problem, Row, plain};
use crate::rules::settings::Setting;
use crate::rules::state::Value;

/// A command as code, if a message can carry the foreign word in it.
fn code(command: &Command, word: &str) -> Option<String> {
    (plain(word) == word).then(|| command.code())
}

/// A Terraform command for an address.
pub(super) fn terraform(operation: &Command, address: &str, language: Language) -> String {
    code(&command!("terraform {operation}{address}", operation, address), address).unwrap_or_else(|| {
        format!(
            "`terraform {}` {}",
            operation.to_string().split(' ').next().unwrap_or_default(),
            language.pick(
                "à mão: o endereço tem caracteres que uma mensagem não leva",
                "by hand: a message cannot carry some characters of the address",
            )
        )
    })
}

/// Whether the resource consists only of the value, so that it can leave the state. Other resources stay under
/// Terraform's management.
fn is_the_value(value: &Value) -> bool {
    [
        "aws_iam_access_key",
        "aws_iam_service_specific_credential",
        "aws_iam_user_login_profile",
        "aws_kms_ciphertext",
        "aws_secretsmanager_secret_version",
        "random_bytes",
        "random_password",
        "tls_private_key",
    ]
    .contains(&value.kind.as_str())
}

/// An attribute, and the write-only argument that replaces it. Source: the AWS provider's schema.
fn write_only(value: &Value) -> Option<(&'static str, &'static str)> {
    let pairs = [
        ("aws_db_instance", "password", "password_wo"),
        ("aws_docdb_cluster", "master_password", "master_password_wo"),
        ("aws_rds_cluster", "master_password", "master_password_wo"),
        ("aws_redshift_cluster", "master_password", "master_password_wo"),
        ("aws_ssm_parameter", "value", "value_wo"),
    ];
    let applies =
        |(kind, name, _): &(&str, &str, &str)| *kind == value.kind && value.attributes.contains(*name);
    pairs.into_iter().find(applies).filter(|_| !value.is_data).map(|(_, name, instead)| (name, instead))
}

/// The step that removes a value from the state and then changes it, because earlier versions of the state still hold
/// it.
fn value_step(value: &Value, rotates: Option<bool>, language: Language) -> String {
    let address = &value.place.address;
    let forget = || terraform(&command!("state rm "), address, language);
    let leave = if value.kind == "output" {
        format!(
            "{} `terraform apply`",
            language.pick("apagar o output do código e", "delete the output from the code and run"),
        )
    } else if let Some((name, instead)) = write_only(value) {
        format!(
            "{} `{name}` {} `{instead}` {} `{instead}_version` (Terraform 1.11+), {} {}",
            language.pick("trocar", "replace"),
            language.pick("por", "with"),
            language.pick("e", "and"),
            language.pick("e", "and"),
            terraform(&command!("apply -target="), address, language),
        )
    } else if value.is_data {
        format!(
            "{} {}",
            language.pick(
                "apagar o bloco `data` do código (ou usar `ephemeral`, Terraform 1.10+) e",
                "delete the `data` block from the code (or use `ephemeral`, Terraform 1.10+) and run",
            ),
            forget(),
        )
    } else if !is_the_value(value) {
        format!(
            "{} {}, {} `terraform import`, {}",
            language.pick(
                "tirar o argumento do código (com `ignore_changes`) e, antes de qualquer `terraform apply`,",
                "remove the argument from the code (with `ignore_changes`) and, before any `terraform apply`, run",
            ),
            forget(),
            language.pick("depois", "then"),
            language.pick("que não traz o valor", "which does not import the value"),
        )
    } else {
        format!(
            "{} {}",
            language.pick(
                "apagar o bloco do código (ou trocá-lo por `removed` com `destroy = false`, Terraform 1.7+) e, antes de qualquer `terraform apply`,",
                "delete the block from the code (or replace it with a `removed` block that has `destroy = false`, Terraform 1.7+) and, before any `terraform apply`, run",
            ),
            forget(),
        )
    };
    let rotate = value.arn.as_deref().filter(|_| rotates == Some(true));
    let rotate = rotate
        .and_then(|arn| code(&secrets::rotate(arn), arn))
        .map(|rotate| format!(": {rotate}"))
        .unwrap_or_default();
    format!(
        "{leave}; {}{rotate}",
        language.pick(
            "depois, trocar o valor, que as versões anteriores do objeto do estado guardam",
            "then change the value: earlier versions of the state object still hold it",
        ),
    )
}

/// The step in the policy that lets a page reach somebody.
fn on_call_step(kind: oncall::Kind, language: Language) -> String {
    let what = match kind {
        oncall::Kind::PersonUnreachable => {
            language.pick("completar a pessoa em incidents.people", "complete the person in incidents.people")
        }
        oncall::Kind::PhoneUnverified => language.pick(
            "mandar uma mensagem de teste; se chegou, phone_verified na política",
            "send a test message; if it arrives, set phone_verified in the policy",
        ),
        oncall::Kind::RotationGap => language.pick(
            "antecipar starts, ou uma substituição (overrides) para esse tempo, em incidents.squads",
            "an earlier starts, or an override for that time, in incidents.squads",
        ),
        oncall::Kind::SquadUnreachable => language.pick(
            "preencher contacts ou rotation em incidents.squads",
            "fill in contacts or rotation in incidents.squads",
        ),
        oncall::Kind::SquadUnknown => language.pick(
            "corrigir o nome, ou acrescentar o squad a incidents.squads",
            "correct the name, or add the squad to incidents.squads",
        ),
    };
    format!("{what} (`cargo xtask policy apply`; docs/politica.md)")
}

/// The next step, with its command.
pub(super) fn next_step(settings: &Settings, row: &Row, problem: &Problem) -> String {
    let language = settings.language;
    let area = row.area.unwrap_or(Area::Infrastructure).name();
    let again =
        command!("aws lambda invoke --function-name {function} /dev/stdout", function = settings.function)
            .code();
    match problem {
        Problem::NothingRead | Problem::InsufficientData { .. } | Problem::ListUnread { .. } => format!(
            "{} {again}",
            language.pick(
                "conferir a permissão (IAM) que o erro nomeia e invocar de novo:",
                "check the IAM permission that the error names, then invoke again:",
            )
        ),
        Problem::Missing { is_in_state: Some(true) } => language
            .pick(
                "ver com `terraform plan` o que foi apagado fora do Terraform e recriar com `terraform apply`; um banco ou bucket volta primeiro do backup",
                "run `terraform plan` to list the resources deleted outside Terraform, and recreate them with `terraform apply`; restore a database or bucket from its backup first",
            )
            .to_owned(),
        Problem::Missing { .. } => format!(
            "{} inventory.areas.{area}.resources.{} ({})",
            language.pick(
                "criar no Terraform e `terraform apply`, ou, se o nome é outro, corrigir na política",
                "declare it in Terraform and run `terraform apply`, or, if it has another name, correct the policy's",
            ),
            row.kind,
            "`cargo xtask policy apply`",
        ),
        Problem::StateUndeclared => language
            .pick(
                "informar TerraformStateBucketName e TerraformStateKey no deploy da stack (docs/inventario.md); um estado local não pode ser lido",
                "set TerraformStateBucketName and TerraformStateKey when deploying the stack (docs/inventario.md); a local state cannot be read",
            )
            .to_owned(),
        Problem::StateUnreadable { .. } => format!(
            "{} {again}",
            language.pick(
                "conferir TerraformStateBucketName, TerraformStateKey e TerraformStateKmsKeyArn da stack (até lá, o que não está nos outros estados conta como não verificado), e invocar de novo:",
                "check the stack's TerraformStateBucketName, TerraformStateKey and TerraformStateKmsKeyArn (until then, a resource in no other state counts as not verified), then invoke again:",
            )
        ),
        Problem::OnCall { kind, .. } => on_call_step(*kind, language),
        Problem::RunbookMissing { .. } => language
            .pick(
                "pôr o arquivo na main, ou corrigir `runbook_url` na tag ou na descrição do alarme",
                "put the file on main, or correct `runbook_url` in the alarm's tag or description",
            )
            .to_owned(),
        Problem::RunbookUnchecked { .. } => format!(
            "{} {again}",
            language.pick(
                "abrir o link à mão; o que está na main de GitHubRepository (`runbook_url=docs/…`) é conferido sozinho. Se o erro é do GitHub, conferir GitHubSecretName e invocar de novo:",
                "open the link by hand; a file on the main branch of GitHubRepository (`runbook_url=docs/…`) is checked by itself. If the error is GitHub's, check GitHubSecretName, then invoke again:",
            )
        ),
        Problem::ValueInState { value, rotates } => value_step(value, *rotates, language),
        Problem::InTwoStates { places } => {
            let commands: Vec<_> = places
                .iter()
                .map(|place| {
                    let command = terraform(&command!("state rm "), &place.address, language);
                    format!("{command} ({} `{}`)", language.pick("estado", "state"), plain(&place.file))
                })
                .collect();
            format!(
                "{} {}",
                language.pick(
                    "deixá-lo num só: nos outros, apagar o bloco do código e, antes de qualquer `terraform apply`,",
                    "keep it in one; in the others, delete the block from the code and, before any `terraform apply`, run",
                ),
                commands.join(language.pick(" ou ", " or ")),
            )
        }
        Problem::Drift { setting, place, .. } => {
            let command = terraform(&command!("plan -target="), &place.address, language);
            let decide = if *setting == Setting::TaskDefinition {
                language.pick(
                    "se o deploy é de fora do Terraform, `lifecycle { ignore_changes = [task_definition] }` no serviço; senão, ver o que o Terraform mudaria:",
                    "if deployments happen outside Terraform, add `lifecycle { ignore_changes = [task_definition] }` to the service; otherwise review Terraform's changes:",
                )
            } else {
                language.pick(
                    "ver o que o Terraform mudaria, e levar ao código o que deve ficar:",
                    "review Terraform's changes, and copy the values to keep into the code:",
                )
            };
            format!("{decide} {command} ({} `{}`)", language.pick("estado", "state"), plain(&place.file))
        }
        Problem::TagsMissing { tags } => {
            let tags: Vec<_> = tags
                .iter()
                .map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("terraform")))
                .collect();
            let tags = tags.join(",");
            let arn = &row.arn;
            let command = command!("tag-resources --resource-arn-list {arn} --tags {tags}", arn, tags);
            format!(
                "{} {}",
                language.pick("corrigir em default_tags do Terraform, ou já:", "correct Terraform's default_tags, or set the tags now:"),
                tagging(row, &command, language)
            )
        }
        Problem::NotInState => format!(
            "{} {}",
            language.pick("declarar no Terraform e importar:", "declare it in Terraform and import it:"),
            import(row, language)
        ),
        Problem::NotInInventory => format!(
            "{} inventory.areas.….resources.{} ({})",
            language.pick(
                "acrescentar à área que responde por ele na política,",
                "add it to its area in the policy,",
            ),
            row.kind,
            "`cargo xtask policy apply`",
        ),
        Problem::OneTeam => {
            let place = if row.kind == "area" {
                format!("inventory.areas.{area}.responsible.backup")
            } else {
                "rotation.secrets.….responsible.backup".to_owned()
            };
            format!(
                "{} {place} ({})",
                language.pick("nomear outra equipe em", "name another team in"),
                "`cargo xtask policy apply`",
            )
        }
        Problem::EmptyArea => format!(
            "{} inventory.areas.{area}.resources ({})",
            language.pick("nomear os recursos dela em", "name its resources in"),
            "`cargo xtask policy apply`",
        ),
    }
}

/// A command of the tagging API for a resource; the console instead if a message cannot carry its ARN.
fn tagging(row: &Row, command: &Command, language: Language) -> String {
    code(&command!("aws resourcegroupstaggingapi {command}", command), &row.arn).unwrap_or_else(|| {
        language
            .pick(
                "pelo console: o nome dele tem caracteres que uma mensagem não leva",
                "in the console: a message cannot carry some characters of its name",
            )
            .to_owned()
    })
}

/// The command to import a resource into Terraform; without a Terraform type, the command to show it.
pub(super) fn import(row: &Row, language: Language) -> String {
    let import = row.import.as_ref();
    let import =
        import.and_then(|(kind, id)| code(&command!("terraform import {kind}.NOME {id}", kind, id), id));
    import.unwrap_or_else(|| {
        let command = command!("get-resources --resource-arn-list {arn}", arn = row.arn);
        tagging(row, &command, language)
    })
}
