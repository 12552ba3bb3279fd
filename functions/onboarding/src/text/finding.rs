//! Findings in sentences, in groups, and as pages.

use serde_json::json;
use shared::audit::findings::{self, Item, NAME};
use shared::audit::first_week;
use shared::policy::Area;
use shared::run::command::Command;
use shared::run::paging::{Alert, Page, Severity};
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use super::{PAGE, place, show};
use crate::rules::access::Place;
use crate::rules::finding::{Finding, Found};

/// Most keys of open items in a sentence.
const SHOWN: usize = 300;

/// The line of a finding in the evidence record: its key, `: `, the sentence.
pub(crate) fn line(found: &Found) -> String {
    format!("{}: {}", key(found), sentence(found, Language::English))
}

/// Key of a finding: findings of two runs with the same key are the same finding.
pub(crate) fn key(found: &Found) -> String {
    format!("{} {}", found.finding.kind(), found.about)
}

/// A finding in a sentence, without a full stop.
pub(crate) fn sentence(found: &Found, language: Language) -> String {
    let listed = |open: &[String]| findings::listed(open.to_vec(), SHOWN);
    match &found.finding {
        Finding::AccessRemains { place: at, since } => {
            let at = place(*at, language);
            shared::tr!(
                language,
                "saiu em {since} e ainda tem acesso: {at}",
                "left on {since} and still has access: {at}",
            )
        }
        Finding::LoginUnknown { place: at, since } => {
            let at = place(*at, language);
            shared::tr!(
                language,
                "saiu em {since}, e o login não é conhecido, por isso não se sabe se tem acesso: {at}",
                "left on {since}, and the login is not known, so nobody knows whether access remains: {at}",
            )
        }
        Finding::OnboardingOverdue { due, open } => {
            let open = listed(open);
            shared::tr!(
                language,
                "o onboarding devia estar completo em {due}; falta {open}",
                "the onboarding was to be complete by {due}; open: {open}",
            )
        }
        Finding::OnboardingDueSoon { due, open } => {
            let open = listed(open);
            shared::tr!(
                language,
                "o onboarding vence em {due}; falta {open}",
                "the onboarding is due by {due}; open: {open}",
            )
        }
        Finding::NotSeen(why) => {
            shared::tr!(language, "não foi possível verificar: {why}", "could not be checked: {why}")
        }
        Finding::MentorUnreachable => shared::tr!(
            language,
            "o mentor não tem Slack em incidents.people da política, ou saiu: ninguém é lembrado",
            "the mentor has no Slack in the policy's incidents.people, or has left: nobody is reminded",
        ),
        Finding::NotChecked(at) => {
            let at = place(*at, language);
            shared::tr!(
                language,
                "a stack não confere se quem saiu tem acesso: {at}",
                "the stack does not check whether people who left have access: {at}",
            )
        }
        Finding::NotListed(members) => shared::tr!(
            language,
            "{members} membro(s) do grupo do IAM não estão na lista: a saída deles não seria vista",
            "{members} member(s) of the IAM group are not in the list: their leaving would not be seen",
        ),
        Finding::PersonInAccounts => shared::tr!(
            language,
            "o usuário do IAM desta pessoa está em onboarding.accounts da política, que é das contas que não são de ninguém: sem os dados dela, o acesso não seria visto",
            "this person's IAM user is in the policy's onboarding.accounts, which is for accounts that are nobody's: without the person's data, the access would not be seen",
        ),
        Finding::NobodyListed => shared::tr!(
            language,
            "ninguém está na lista: nada foi verificado",
            "nobody is in the list: nothing was checked",
        ),
    }
}

fn show_all(settings: &Settings) -> String {
    Command::invoke(&settings.function, &json!({"show": {}})).code()
}

/// The next step, without a full stop.
fn next_step(found: &Found, id: &str, settings: &Settings) -> String {
    let language = settings.language;
    let command = || show(settings, id).code();
    match &found.finding {
        Finding::AccessRemains { .. } => {
            let command = command();
            shared::tr!(
                language,
                "tirar o acesso; quem é e com que comando: {command}",
                "end the access; who it is and by which command: {command}",
            )
        }
        Finding::LoginUnknown { .. } => {
            let command = command();
            shared::tr!(
                language,
                "dizer o login, ou que não há; quem é e com que comando: {command}",
                "say the login, or that there is none; who it is and by which command: {command}",
            )
        }
        Finding::OnboardingOverdue { .. } | Finding::OnboardingDueSoon { .. } => {
            let command = command();
            shared::tr!(
                language,
                "fazer o que falta, ou dar outro prazo ({PAGE}#mudar); quem é e com que comandos: {command}",
                "do what is open, or give another date ({PAGE}#mudar); who it is and by which commands: {command}",
            )
        }
        Finding::NotSeen(_) => shared::tr!(
            language,
            "corrigir a causa; a próxima execução lê de novo",
            "fix the cause; the next run reads again",
        ),
        Finding::MentorUnreachable => shared::tr!(
            language,
            "completar a pessoa na política, ou dizer outro mentor ({PAGE}#mudar)",
            "complete the person in the policy, or name another mentor ({PAGE}#mudar)",
        ),
        Finding::NotChecked(_) => shared::tr!(
            language,
            "conferir à mão a cada saída ({PAGE}#saída)",
            "check by hand whenever a person leaves ({PAGE}#saída)",
        ),
        Finding::NotListed(_) => {
            let command = show_all(settings);
            shared::tr!(
                language,
                "começar cada um ({PAGE}#começar), tirá-lo do grupo ou, se não é de uma pessoa, pô-lo em onboarding.accounts da política ({PAGE}#contas-que-não-são-de-pessoas); quem falta: {command}",
                "begin each one ({PAGE}#começar), remove it from the group or, if it is no person's, enter it in the policy's onboarding.accounts ({PAGE}#contas-que-não-são-de-pessoas); who is missing: {command}",
            )
        }
        Finding::PersonInAccounts => {
            let command = show_all(settings);
            shared::tr!(
                language,
                "tirar o usuário de onboarding.accounts da política ({PAGE}#contas-que-não-são-de-pessoas); qual é: {command}",
                "remove the user from the policy's onboarding.accounts ({PAGE}#contas-que-não-são-de-pessoas); which one it is: {command}",
            )
        }
        Finding::NobodyListed => {
            let command = show_all(settings);
            shared::tr!(
                language,
                "começar cada um ({PAGE}#começar); quem está no grupo: {command}",
                "begin each one ({PAGE}#começar); who is in the group: {command}",
            )
        }
    }
}

/// The item of a finding, for a message that groups findings.
pub(crate) fn item(found: &Found, settings: &Settings) -> Item {
    let id = found.person().unwrap_or_default();
    Item {
        kind: found.finding.kind().to_owned(),
        about: found.about.clone(),
        sentence: sentence(found, settings.language),
        step: next_step(found, id, settings),
        pattern: next_step(found, NAME, settings),
    }
}

/// The page: one for all access that remains. More of it makes a new page. Access to AWS is critical: it reaches production.
pub(crate) fn pages(settings: &Settings, all: &[Found]) -> Vec<Page> {
    let of: Vec<_> = all.iter().filter(|found| found.finding.pages()).collect();
    let Some(first) = of.first() else { return Vec::new() };
    let (language, environment, kind) = (settings.language, &settings.environment, first.finding.kind());
    let names: Vec<&str> = of.iter().map(|found| found.about.as_str()).collect();
    let items: Vec<_> = of.iter().map(|found| item(found, settings)).collect();
    let lines: Vec<_> = findings::groups(&items).iter().map(|group| group.text(language, "")).collect();
    let is_aws =
        |found: &&Found| matches!(found.finding, Finding::AccessRemains { place: Place::AwsGroup, .. });
    let severity = if of.iter().any(is_aws) { Severity::Critical } else { Severity::Warning };
    let causes = first_week::causes(names.iter().copied());
    let alert = Alert {
        kind,
        severity,
        resource: &names.join(", "),
        text: lines.join("\n"),
        owners: vec![settings.policy.responsible(Area::Infrastructure)],
        runbook: "docs/onboarding.md#o-que-cada-achado-significa",
        dedup_key: format!("onboarding/{environment}/{kind}/{causes}"),
    };
    vec![Page::new(settings, alert)]
}
