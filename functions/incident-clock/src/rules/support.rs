//! The case of AWS Support: what it says, how severe it is, and the checklist for a person.
//!
//! What alarms and people wrote stays out of it: their words may hold personal data, and AWS is outside.

use incident::text::Language;
use incident::{Incident, Severity};
use jiff::{SignedDuration, Timestamp};
use shared::policy::time::local;

use super::notes;
use super::timer::Why;

/// How long a claim holds: longer than an invocation may last.
pub(crate) const CLAIM: SignedDuration = SignedDuration::from_mins(3);

/// Most attempts to open a case; then a person does it.
pub(crate) const MOST_TRIES: u32 = 3;

/// Longest name of a resource.
const LONGEST: usize = 200;

/// The severities of AWS Support, the worst last. A plan has some of them.
const LEVELS: [&str; 5] = ["low", "normal", "high", "urgent", "critical"];

/// Where a person opens a case.
const CONSOLE: &str = "https://support.console.aws.amazon.com/support/home#/case/create";

/// What a case says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Case {
    /// One line with the incident's id, by which it is found again.
    pub(crate) subject: String,
    /// The description.
    pub(crate) body: String,
}

/// A service of AWS Support, with the categories of its cases.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Service {
    /// Its code.
    pub(crate) code: String,
    /// Its name for people.
    pub(crate) name: String,
    /// The codes of its categories.
    pub(crate) categories: Vec<String>,
}

/// What to do about the case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Another invocation is at it.
    Wait,
    /// Open it; `is_again`: look first whether an earlier attempt did.
    Open {
        /// Whether it was tried before.
        is_again: bool,
    },
    /// Tell people of the case that is open.
    Tell,
    /// A person has to open it: too many attempts failed.
    GiveUp,
}

/// The next step. An attempt whose process died holds its claim until the claim ends.
pub(crate) fn step(noted: &notes::Support, now: Timestamp) -> Step {
    if !noted.case.is_empty() {
        return Step::Tell;
    }
    let is_claimed = noted.claimed_at.is_some_and(|at| now.duration_since(at) < CLAIM);
    match noted.tries {
        _ if is_claimed => Step::Wait,
        tries if tries >= MOST_TRIES => Step::GiveUp,
        tries => Step::Open { is_again: tries > 0 },
    }
}

/// The name of a resource as it may leave the company: an ARN or a name of AWS, never words, an address or a number.
fn resource(incident: &Incident) -> &str {
    let name = incident.resource.as_str();
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || ":/_.-".contains(c));
    let is_name = name.chars().any(|c| c.is_ascii_alphabetic());
    if is_plain && is_name && name.len() <= LONGEST { name } else { "" }
}

fn reason(why: Why, minutes: u16, language: Language) -> String {
    match why {
        Why::Impact => shared::tr!(
            language,
            "o impacto dura mais de {minutes} min",
            "the impact has lasted for more than {minutes} min"
        ),
        Why::SensitiveData => language
            .pick("pode haver dados pessoais comprometidos", "personal data may be compromised")
            .to_owned(),
    }
}

/// The case.
pub(crate) fn case(
    incident: &Incident,
    project: &str,
    why: Why,
    minutes: u16,
    language: Language,
    now: Timestamp,
) -> Case {
    let (id, environment, severity) = (&incident.id, &incident.environment, incident.severity.name());
    let began = incident.impact_began();
    let (since, utc) = (local(began), began.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    let lasted = now.duration_since(began).as_mins().max(0);
    let why = reason(why, minutes, language);
    let resource = match resource(incident) {
        "" => language.pick("a informar", "to be told"),
        name => name,
    };
    let body = shared::tr!(
        language,
        "Incidente {id} de {project}, ambiente {environment}, severidade {severity}.
Desde: {since} ({utc}), há {lasted} min.
Recurso afetado: {resource}.
Motivo deste caso: {why}.

Pedimos: 1) há uma falha conhecida do serviço que afete esse recurso? 2) o que os seus registros mostram desde esse horário? 3) o que recomendam para recuperar o serviço?

Este caso foi aberto automaticamente e não contém dados pessoais. Uma pessoa responde por aqui.",
        "Incident {id} of {project}, environment {environment}, severity {severity}.
Since: {since} ({utc}), {lasted} min ago.
Affected resource: {resource}.
Reason for this case: {why}.

We ask: 1) is there a known failure of the service that affects this resource? 2) what do your records show since then? 3) what do you recommend to recover the service?

This case was opened automatically and has no personal data. A person answers here."
    );
    let subject = shared::tr!(
        language,
        "{id}: {project} {environment}, {severity}: {why}",
        "{id}: {project} {environment}, {severity}: {why}"
    );
    Case { subject, body }
}

/// The severity that an incident asks for.
fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::S0 => "critical",
        Severity::S1 => "urgent",
        Severity::S2 | Severity::S3 => "high",
    }
}

/// The worst severity that the plan has, up to the one that the incident asks for; otherwise its mildest. None if it has
/// none that is known.
pub(crate) fn severity(of: Severity, offered: &[String]) -> Option<&'static str> {
    let most = LEVELS.iter().position(|name| *name == level(of))?;
    let has = |name: &&&str| offered.iter().any(|one| one == **name);
    let fits = LEVELS.iter().take(most + 1).rev().find(has);
    fits.or_else(|| LEVELS.iter().find(has)).copied()
}

/// Words of a resource, and of the names of the services that it is of.
const SERVICES: [(&str, &str); 6] = [
    ("rds", "relational database"),
    ("s3", "simple storage"),
    ("ecs", "container service"),
    ("lambda", "lambda"),
    ("secretsmanager", "secrets manager"),
    ("elasticloadbalancing", "load balancing"),
];

/// The service and the category of a case, by the service that the resource's ARN names; none if it names none, or the
/// account's list has no such service: AWS then sorts the case itself.
pub(crate) fn service<'a>(incident: &Incident, services: &'a [Service]) -> Option<(&'a str, &'a str)> {
    let named = resource(incident).strip_prefix("arn:")?.split(':').nth(1)?;
    let (_, words) = SERVICES.iter().find(|(name, _)| *name == named)?;
    let service = services.iter().find(|service| service.name.to_lowercase().contains(words))?;
    let is_general = |code: &&String| ["general", "other"].iter().any(|word| code.contains(word));
    let category = service.categories.iter().find(is_general).or_else(|| service.categories.first())?;
    Some((&service.code, category))
}

/// What a person has to do: open the case by hand. `because` says why the clock did not.
pub(crate) fn checklist(incident: &Incident, case: &Case, because: &str, language: Language) -> String {
    let level = level(incident.severity);
    let Case { subject, body } = case;
    let drill = if incident.is_drill {
        language.pick("SIMULADO: não abra nada. ", "DRILL: do not open anything. ")
    } else {
        ""
    };
    shared::tr!(
        language,
        "☎️ {drill}Abra um caso no AWS Support ({because}).
1. Veja antes se a AWS já diz algo: https://health.aws.amazon.com/health/status
2. Entre na conta deste ambiente e abra {CONSOLE}
3. Tipo «Technical», a maior gravidade que o plano oferece até «{level}». Sem plano que aceite casos técnicos: «Account and billing», com o mesmo texto.
4. Assunto: {subject}
5. Descrição:
{body}
6. Não escreva dados pessoais, senhas nem chaves.
7. Dê o número do caso numa atualização do incidente.",
        "☎️ {drill}Open a case with AWS Support ({because}).
1. See first whether AWS says something: https://health.aws.amazon.com/health/status
2. Log in to this environment's account and open {CONSOLE}
3. Type «Technical», the worst severity that the plan offers up to «{level}». Without a plan that takes technical cases: «Account and billing», with the same text.
4. Subject: {subject}
5. Description:
{body}
6. Write no personal data, passwords or keys.
7. Give the case's number in an update of the incident."
    )
}

/// Why there is a checklist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Because {
    /// The policy says that the account has no plan for it.
    NoPlan,
    /// AWS says so.
    NotSubscribed,
    /// It is an exercise.
    Drill,
    /// AWS refused the case.
    Refused(String),
    /// No attempt had a clear answer.
    Unclear,
}

impl Because {
    /// In words.
    pub(crate) fn text(&self, language: Language) -> String {
        match self {
            Self::NoPlan => language.pick(
                "a política diz que esta conta não tem plano que abra casos pela API",
                "the policy says that this account has no plan whose API opens cases",
            ),
            Self::NotSubscribed => language.pick(
                "o plano de suporte desta conta não abre casos pela API",
                "this account's support plan does not open cases by its API",
            ),
            Self::Drill => language.pick("exercício", "exercise"),
            Self::Refused(code) => {
                return shared::tr!(language, "a AWS recusou o caso: {code}", "AWS refused the case: {code}");
            }
            Self::Unclear => language.pick(
                "três tentativas ficaram sem resposta clara; veja antes se o caso não está aberto",
                "three attempts had no clear answer; see first whether the case is open",
            ),
        }
        .to_owned()
    }
}

/// What is said of a case that is open, or that was only tried.
pub(crate) fn opened(case: &str, is_dry_run: bool, language: Language) -> String {
    if is_dry_run {
        let text = language.pick(
            "Ensaio: o pedido do caso no AWS Support é válido; nenhum caso foi aberto (incidents.support.dry_run).",
            "Trial: the request for the AWS Support case is valid; no case was opened (incidents.support.dry_run).",
        );
        return text.to_owned();
    }
    shared::tr!(
        language,
        "Caso aberto no AWS Support: {case}. Acompanhe em https://support.console.aws.amazon.com/support/home",
        "AWS Support case opened: {case}. Follow it at https://support.console.aws.amazon.com/support/home"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: &str = "arn:aws:rds:us-east-1:123456789012:db:moveongs-prod";

    fn incident() -> Incident {
        Incident {
            id: "INC-20261129-7Q2MZK4A".to_owned(),
            environment: "prod".to_owned(),
            title: "falha de maria@example.org".to_owned(),
            reason: "CPF 123.456.789-00".to_owned(),
            resource: DATABASE.to_owned(),
            first_at: "2026-11-29T12:00:00Z".parse().unwrap(),
            ..Incident::default()
        }
    }

    #[test]
    fn a_case_has_the_facts_and_nobodys_words() {
        let now = "2026-11-29T13:01:00Z".parse().unwrap();
        let made =
            |incident: &Incident| case(incident, "moveongs", Why::Impact, 60, Language::Portuguese, now);
        let plain = made(&incident());
        for words in ["INC-20261129-7Q2MZK4A", "prod", "S1", "2026-11-29 12:00:00 UTC", "há 61 min", DATABASE]
        {
            assert!(format!("{}{}", plain.subject, plain.body).contains(words), "{words}: {plain:?}");
        }
        for resource in ["maria@example.org", "123.456.789-00", "o login da Maria", &"a".repeat(300), ""] {
            let case = made(&Incident { resource: resource.to_owned(), ..incident() });
            let whole = format!("{}{}", case.subject, case.body);
            assert!(whole.contains("Recurso afetado: a informar."), "{whole}");
            for words in ["maria", "123.456", "CPF"] {
                assert!(!whole.contains(words), "{whole}");
            }
        }
        assert!(plain.body.len() < 8_000 && plain.subject.chars().count() < 250);
    }

    #[test]
    fn the_severity_is_the_worst_that_the_plan_has_up_to_the_incidents() {
        let offered = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let business = offered(&["low", "normal", "high", "urgent"]);
        for (of, offered, expected) in [
            (Severity::S0, &business, Some("urgent")),
            (Severity::S1, &business, Some("urgent")),
            (Severity::S2, &business, Some("high")),
            (Severity::S0, &offered(&LEVELS), Some("critical")),
            (Severity::S2, &offered(&["urgent"]), Some("urgent")),
            (Severity::S1, &offered(&["other"]), None),
            (Severity::S1, &offered(&[]), None),
        ] {
            assert_eq!(severity(of, offered), expected, "{of:?} {offered:?}");
        }
    }

    #[test]
    fn the_service_is_the_one_that_the_resources_arn_names() {
        let rds = Service {
            code: "amazon-rds-postgresql".to_owned(),
            name: "Relational Database Service (PostgreSQL)".to_owned(),
            categories: vec!["backup".to_owned(), "general-guidance".to_owned()],
        };
        let services = [Service { name: "Lambda".to_owned(), ..Service::default() }, rds];
        let expected = Some(("amazon-rds-postgresql", "general-guidance"));
        assert_eq!(service(&incident(), &services), expected);
        assert_eq!(service(&incident(), &[]), None);
        for resource in ["moveongs-prod", "arn:aws:events:us-east-1:1:rule/x", "arn:aws:lambda:us-east-1:1:x"]
        {
            let incident = Incident { resource: resource.to_owned(), ..incident() };
            assert_eq!(service(&incident, &services), None, "{resource}");
        }
    }

    #[test]
    fn one_attempt_at_a_time_looks_before_it_repeats_and_ends_with_a_person() {
        let now: Timestamp = "2026-11-29T13:00:00Z".parse().unwrap();
        let noted = |tries, ago: Option<i64>, case: &str| notes::Support {
            tries,
            claimed_at: ago.map(|ago| now - SignedDuration::from_secs(ago)),
            case: case.to_owned(),
            ..notes::Support::default()
        };
        for (noted, expected) in [
            (noted(0, None, ""), Step::Open { is_again: false }),
            (noted(1, Some(0), ""), Step::Wait),
            (noted(1, Some(179), ""), Step::Wait),
            (noted(1, Some(180), ""), Step::Open { is_again: true }),
            (noted(2, Some(600), ""), Step::Open { is_again: true }),
            (noted(3, Some(60), ""), Step::Wait),
            (noted(3, Some(600), ""), Step::GiveUp),
            (noted(1, Some(0), "case-1"), Step::Tell),
        ] {
            assert_eq!(step(&noted, now), expected, "{noted:?}");
        }
    }

    #[test]
    fn the_checklist_can_be_followed_by_somebody_who_never_did_it() {
        let now = "2026-11-29T13:01:00Z".parse().unwrap();
        for language in [Language::Portuguese, Language::English] {
            let case = case(&incident(), "moveongs", Why::SensitiveData, 60, language, now);
            for because in
                [Because::NoPlan, Because::NotSubscribed, Because::Unclear, Because::Refused("X".to_owned())]
            {
                let text = checklist(&incident(), &case, &because.text(language), language);
                assert!(
                    text.starts_with("☎️") && text.contains(&case.body) && text.contains(CONSOLE),
                    "{text}"
                );
                assert!(text.chars().count() < 2_800 && !text.contains("maria"), "{}", text.len());
            }
            let drill = Incident { is_drill: true, ..incident() };
            let text = checklist(&drill, &case, &Because::Drill.text(language), language);
            assert!(text.contains(language.pick("SIMULADO", "DRILL")));
        }
    }
}
