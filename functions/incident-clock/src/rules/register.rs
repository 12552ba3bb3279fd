//! The register of an incident with personal data: what the Resolução CD/ANPD nº 15/2024, article 10, wants kept for five
//! years at least, whether or not notice was given. It has facts about data, never the data.

use incident::text::Language;
use incident::{Incident, person};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use shared::policy::time::local;
use shared::run::markdown::text as escaped;
use shared::runtime::event::{InvalidEvent, is_line};

/// Longest text of a field.
const LONGEST: usize = 4_000;

/// What a person adds. A field that is given replaces the one before.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// The incident's id.
    pub(crate) incident: String,
    /// Who says so: one line.
    pub(crate) by: String,
    /// The facts that they add.
    pub(crate) facts: Facts,
}

/// The facts that people give.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facts {
    /// What happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) circumstances: Option<String>,
    /// Nature and category of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<String>,
    /// How many people are concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) people: Option<u64>,
    /// The assessment of risk and possible damage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) risk: Option<String>,
    /// Measures of correction and mitigation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) measures: Option<String>,
    /// The notice to the authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authority_notice: Option<Notice>,
    /// The notice to the people concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) people_notice: Option<Notice>,
    /// Why no notice is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) no_notice: Option<String>,
}

/// A notice that was given.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notice {
    /// The day.
    pub(crate) on: Date,
    /// Its form and contents: the protocol's number, the means, where its text is.
    pub(crate) what: String,
}

/// The entry of the register.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Register {
    /// The incident's id.
    pub(crate) incident: String,
    /// Its environment.
    pub(crate) environment: String,
    /// When it began.
    pub(crate) began_at: Timestamp,
    /// When the company knew that personal data was compromised.
    pub(crate) known_at: Timestamp,
    /// Who said so.
    pub(crate) known_by: String,
    /// The last day for both notices.
    pub(crate) deadline: Option<Date>,
    /// What people gave.
    pub(crate) facts: Facts,
    /// Who gave something last.
    pub(crate) changed_by: String,
    /// When.
    pub(crate) changed_at: Option<Timestamp>,
}

impl Request {
    /// Checks the texts.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] names the field.
    pub(crate) fn check(&self) -> Result<(), InvalidEvent> {
        if !person::is_incident(&self.incident) {
            return Err(InvalidEvent::at("register.incident", "expected the id of an incident"));
        }
        if !is_line(&self.by, 100) {
            let reason = "expected your name, one line of at most 100 characters";
            return Err(InvalidEvent::at("register.by", reason));
        }
        let Facts { circumstances, data, people, risk, measures, authority_notice, people_notice, no_notice } =
            &self.facts;
        let notice = |notice: &Option<Notice>| notice.as_ref().map(|notice| notice.what.clone());
        let texts = [
            ("circumstances", circumstances.clone()),
            ("data", data.clone()),
            ("risk", risk.clone()),
            ("measures", measures.clone()),
            ("no_notice", no_notice.clone()),
            ("authority_notice.what", notice(authority_notice)),
            ("people_notice.what", notice(people_notice)),
        ];
        let given = texts.iter().filter(|(_, text)| text.is_some()).count();
        if given == 0 && people.is_none() {
            return Err(InvalidEvent::at("register.facts", "expected at least one fact"));
        }
        let is_wrong = |text: &str| text.trim().is_empty() || text.chars().count() > LONGEST;
        let wrong = texts.iter().find(|(_, text)| text.as_deref().is_some_and(is_wrong));
        wrong.map_or(Ok(()), |(name, _)| {
            let reason = format!("expected a text of at most {LONGEST} characters");
            Err(InvalidEvent { field: format!("register.facts.{name}"), reason })
        })
    }
}

impl Register {
    /// Fills in what the incident says, and what a person gives.
    pub(crate) fn change(
        &mut self,
        incident: &Incident,
        deadline: Date,
        given: Option<(&Request, Timestamp)>,
    ) {
        let data = incident.sensitive_data.clone().unwrap_or_default();
        self.incident.clone_from(&incident.id);
        self.environment.clone_from(&incident.environment);
        self.began_at = incident.impact_began();
        (self.known_at, self.known_by, self.deadline) =
            (super::timer::known_at(&data), data.by, Some(deadline));
        let Some((request, now)) = given else { return };
        let before = self.facts.clone();
        let Facts { circumstances, data, people, risk, measures, authority_notice, people_notice, no_notice } =
            request.facts.clone();
        self.facts = Facts {
            circumstances: circumstances.or(before.circumstances),
            data: data.or(before.data),
            people: people.or(before.people),
            risk: risk.or(before.risk),
            measures: measures.or(before.measures),
            authority_notice: authority_notice.or(before.authority_notice),
            people_notice: people_notice.or(before.people_notice),
            no_notice: no_notice.or(before.no_notice),
        };
        (self.changed_by, self.changed_at) = (request.by.clone(), Some(now));
    }

    /// Whether both notices were given, or the reason for none.
    pub(crate) fn is_closed(&self) -> bool {
        let facts = &self.facts;
        (facts.authority_notice.is_some() && facts.people_notice.is_some()) || facts.no_notice.is_some()
    }

    /// The fields that the article wants and nobody has given, by their names in a request.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let facts = &self.facts;
        let mut missing: Vec<&str> = [
            ("circumstances", facts.circumstances.is_none()),
            ("data", facts.data.is_none()),
            ("people", facts.people.is_none()),
            ("risk", facts.risk.is_none()),
            ("measures", facts.measures.is_none()),
        ]
        .into_iter()
        .filter_map(|(name, is_missing)| is_missing.then_some(name))
        .collect();
        if !self.is_closed() {
            missing.extend(facts.authority_notice.is_none().then_some("authority_notice"));
            missing.extend(facts.people_notice.is_none().then_some("people_notice"));
        }
        missing
    }

    /// The page for people, in Markdown.
    pub(crate) fn page(&self, language: Language) -> String {
        let pick = |portuguese, english| language.pick(portuguese, english);
        let Self { incident, environment, known_by, .. } = self;
        let facts = &self.facts;
        let notice =
            |notice: &Option<Notice>| notice.as_ref().map(|notice| format!("{}: {}", notice.on, notice.what));
        let deadline = self.deadline.map(|date| date.to_string());
        let changed = self.changed_at.map(|at| format!("{}, {}", local(at), self.changed_by));
        let people = facts.people.map(|people| people.to_string());
        let rows = [
            (pick("Início", "Began"), Some(local(self.began_at))),
            (pick("Conhecimento", "Knowledge"), Some(format!("{}, {known_by}", local(self.known_at)))),
            (pick("Prazo das comunicações", "Term of the notices"), deadline),
            (pick("Circunstâncias", "Circumstances"), facts.circumstances.clone()),
            (pick("Natureza e categoria dos dados", "Nature and category of the data"), facts.data.clone()),
            (pick("Número de titulares", "Number of people concerned"), people),
            (pick("Risco e possíveis danos", "Risk and possible damage"), facts.risk.clone()),
            (pick("Medidas", "Measures"), facts.measures.clone()),
            (pick("Comunicação à ANPD", "Notice to the ANPD"), notice(&facts.authority_notice)),
            (
                pick("Comunicação aos titulares", "Notice to the people concerned"),
                notice(&facts.people_notice),
            ),
            (pick("Motivo de não comunicar", "Reason for no notice"), facts.no_notice.clone()),
            (pick("Última mudança", "Last change"), changed),
        ];
        let title =
            pick("Registro de incidente com dados pessoais", "Register of an incident with personal data");
        let source = pick(
            "Resolução CD/ANPD nº 15/2024, art. 10: guardar por 5 anos no mínimo.",
            "Resolução CD/ANPD nº 15/2024, article 10: to be kept for 5 years at least.",
        );
        let head = format!("# {title}: {incident} ({environment})\n\n{source}\n\n| | |\n| --- | --- |\n");
        let none = pick("falta", "missing");
        rows.into_iter().fold(head, |page, (name, value)| {
            let value = value.map_or_else(|| none.to_owned(), |value| escaped(&value));
            format!("{page}| {name} | {value} |\n")
        })
    }
}

#[cfg(test)]
mod tests {
    use incident::SensitiveData;
    use serde_json::{Value, json};

    use super::*;

    fn request(given: Value) -> Request {
        let whole = json!({"incident": "INC-20261130-7Q2MZK4A", "by": "Ana", "facts": given});
        serde_json::from_value(whole).unwrap()
    }

    fn at() -> Timestamp {
        "2026-11-30T17:05:00Z".parse().unwrap()
    }

    #[test]
    fn a_request_is_checked_field_by_field() {
        for (given, field) in [
            (json!({}), "register.facts"),
            (json!({"risk": " "}), "register.facts.risk"),
            (json!({"no_notice": "a".repeat(4_001)}), "register.facts.no_notice"),
            (json!({"people_notice": {"on": "2026-12-02", "what": ""}}), "register.facts.people_notice.what"),
        ] {
            let refused = request(given.clone()).check().map_err(|error| error.field);
            assert_eq!(refused, Err(field.to_owned()), "{given}");
        }
        let good = request(json!({"people": 0}));
        assert_eq!(good.check(), Ok(()));
        let field = |request: Request| request.check().map_err(|error| error.field);
        let nameless = Request { by: "A\nB".to_owned(), ..good.clone() };
        assert_eq!(field(nameless), Err("register.by".to_owned()));
        assert_eq!(field(Request { incident: "7".to_owned(), ..good }), Err("register.incident".to_owned()));
    }

    #[test]
    fn facts_are_added_and_the_clock_stops_with_both_notices_or_a_reason() {
        let data = SensitiveData {
            is_compromised: true,
            by: "Bia".to_owned(),
            at: at(),
            ..SensitiveData::default()
        };
        let incident = Incident { id: "INC-1".to_owned(), sensitive_data: Some(data), ..Incident::default() };
        let deadline = jiff::civil::date(2026, 12, 3);
        let mut register = Register::default();
        register.change(&incident, deadline, None);
        assert_eq!((register.is_closed(), register.missing().len()), (false, 7));
        let mut give = |given: Value| {
            register.change(&incident, deadline, Some((&request(given), at())));
            (register.is_closed(), register.missing())
        };
        let notice = json!({"on": "2026-12-02", "what": "SEI 00261.1/2026"});
        let (is_closed, missing) =
            give(json!({"authority_notice": notice, "people": 12, "risk": "baixo | <b>"}));
        assert_eq!(
            (is_closed, missing.as_slice()),
            (false, &["circumstances", "data", "measures", "people_notice"][..])
        );
        let (is_closed, missing) = give(json!({"people_notice": notice, "data": "e-mail"}));
        assert_eq!((is_closed, missing.as_slice()), (true, &["circumstances", "measures"][..]));
        let page = register.page(Language::Portuguese);
        for words in [
            "INC-1",
            "2026-12-03",
            "SEI 00261.1/2026",
            "| Número de titulares | 12 |",
            "| Medidas | falta |",
            "5 anos",
        ] {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert!(!page.contains("<b>"), "{page}");
        let mut none = Register::default();
        none.change(&incident, deadline, Some((&request(json!({"no_notice": "sem risco"})), at())));
        assert!(none.is_closed());
    }
}
