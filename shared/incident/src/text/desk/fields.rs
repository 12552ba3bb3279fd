//! The fields of each form.

use policy::tr;
use serde_json::{Value, json};

use super::{Form, MOST_OPTIONS, OPTION_LIMIT, Subject};
use crate::Severity;
use crate::person::{LONGEST_LINE, LONGEST_UPDATE};
use crate::text::slack::plain;
use crate::text::{self, Language, cut, line};

/// Slack's limits, in characters.
const LABEL_LIMIT: usize = 150;
const HINT_LIMIT: usize = 300;
const OPTION_VALUE_LIMIT: usize = 150;

/// A field of a form: one input.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name in the request.
    pub name: &'static str,
    /// What is entered.
    pub kind: Kind,
    /// Whether it may be left empty.
    pub is_optional: bool,
    label: &'static str,
    hint: Option<String>,
}

/// What is entered into a field.
#[derive(Clone, Debug)]
pub enum Kind {
    /// One line, with what stands there at first.
    Line(String),
    /// A text with line breaks, with what stands there at first.
    Text(String),
    /// One of some values with their labels, the first one chosen if that is said.
    Choice(Vec<(String, String)>, Option<usize>),
    /// Yes or no.
    YesNo(Option<bool>),
    /// A Slack user.
    Person,
    /// An instant.
    Instant,
}

impl Field {
    fn new(name: &'static str, label: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_optional: false, label, hint: None }
    }

    fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    fn hinted(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What is accepted, for a person whose entry was not.
    pub fn expected(&self, language: Language) -> String {
        match self.kind {
            Kind::Line(_) => tr!(
                language,
                "Não foi aceito: escreva uma linha de até {LONGEST_LINE} caracteres visíveis.",
                "Not accepted: write one line of at most {LONGEST_LINE} visible characters."
            ),
            Kind::Text(_) => tr!(
                language,
                "Não foi aceito: escreva um texto de até {LONGEST_UPDATE} caracteres visíveis.",
                "Not accepted: write a text of at most {LONGEST_UPDATE} visible characters."
            ),
            Kind::Choice(..) | Kind::YesNo(_) => {
                language.pick("Escolha um valor da lista.", "Choose a value of the list.").to_owned()
            }
            Kind::Person => language
                .pick(
                    "Essa pessoa não está na política (incidents.people) com esse usuário do Slack.",
                    "That person is not in the policy (incidents.people) with that Slack user.",
                )
                .to_owned(),
            Kind::Instant => {
                language.pick("Escolha um dia e uma hora.", "Choose a day and a time.").to_owned()
            }
        }
    }

    /// Its input block.
    pub(super) fn block(&self, language: Language) -> Value {
        let block = json!({
            "type": "input",
            "block_id": self.name,
            "optional": self.is_optional,
            "label": plain(self.label, LABEL_LIMIT),
            "element": self.kind.element(language),
        });
        with(block, "hint", self.hint.as_ref().map(|hint| plain(hint, HINT_LIMIT)))
    }
}

/// An object with one more field, if there is a value.
pub(super) fn with(mut object: Value, name: &str, value: Option<Value>) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.extend(value.map(|value| (name.to_owned(), value)));
    }
    object
}

impl Kind {
    fn element(&self, language: Language) -> Value {
        let text = |most: usize, at_first: &str, is_long: bool| {
            let element = json!({"type": "plain_text_input", "action_id": "value", "max_length": most, "multiline": is_long});
            let at_first = cut(at_first, most, "…", char::len_utf16);
            with(element, "initial_value", Some(at_first).filter(|text| !text.is_empty()).map(Value::from))
        };
        match self {
            Self::Line(at_first) => text(LONGEST_LINE, &line(at_first), false),
            Self::Text(at_first) => text(LONGEST_UPDATE, &text::block(at_first), true),
            Self::Choice(values, chosen) => select(values, *chosen),
            Self::YesNo(chosen) => {
                let values = [("true", language.pick("Sim", "Yes")), ("false", language.pick("Não", "No"))];
                let values = values.map(|(value, label)| (value.to_owned(), label.to_owned()));
                select(&values, chosen.map(|is_yes| usize::from(!is_yes)))
            }
            Self::Person => json!({"type": "users_select", "action_id": "value"}),
            Self::Instant => json!({"type": "datetimepicker", "action_id": "value"}),
        }
    }
}

fn select(values: &[(String, String)], chosen: Option<usize>) -> Value {
    let options: Vec<Value> = values
        .iter()
        .take(MOST_OPTIONS)
        .map(|(value, label)| json!({"text": plain(label, OPTION_LIMIT), "value": value}))
        .collect();
    let chosen = chosen.and_then(|place| options.get(place).cloned());
    with(json!({"type": "static_select", "action_id": "value", "options": options}), "initial_option", chosen)
}

/// The levels, the present one chosen.
fn severities(present: Option<Severity>, language: Language) -> Kind {
    let all = [Severity::S0, Severity::S1, Severity::S2, Severity::S3];
    let place = present.and_then(|present| all.iter().position(|severity| *severity == present));
    let named = all.map(|severity| (severity.name().to_owned(), text::severity(severity, language)));
    Kind::Choice(named.to_vec(), place)
}

/// The fields of a form.
pub(super) fn fields(form: Form, subject: &Subject<'_>, language: Language) -> Vec<Field> {
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    let words = || subject.words.to_owned();
    let why = |label| Field::new("reason", label, Kind::Line(words()));
    match form {
        Form::Declare => vec![
            Field::new("title", say("O que está errado", "What is wrong"), Kind::Line(String::new())),
            Field::new("severity", say("Severidade", "Severity"), severities(None, language))
                .hinted(say("Na dúvida, a mais alta.", "When in doubt, the higher one.")),
            Field::new("resource", say("Recurso afetado", "Affected resource"), Kind::Line(String::new())).hinted(
                say(
                    "Com o nome do inventário, por exemplo moveongs-prod-cluster/moveongs-prod-api: a área dele decide que squad é avisado.",
                    "As the inventory names it, e.g. moveongs-prod-cluster/moveongs-prod-api: its area decides which squad is paged.",
                ),
            ),
            Field::new("reason", say("O que se sabe", "What is known"), Kind::Text(words())).optional(),
            Field::new("drill", say("É um simulado?", "Is it a drill?"), Kind::YesNo(Some(false))),
        ],
        Form::Update => vec![
            Field::new("text", say("Como está", "How it stands"), Kind::Text(words())).hinted(say(
                "O que se sabe, o que se faz, o que falta. Zera o relógio da próxima atualização.",
                "What is known, what is done, what is needed. Resets the clock of the next update.",
            )),
            Field::new("impact_since", say("Afeta pessoas desde", "People are affected since"), Kind::Instant)
                .optional()
                .hinted(say("Só se não é desde o primeiro alerta.", "Only if it is not since the first alert.")),
        ],
        Form::Classify => vec![
            Field::new(
                "severity",
                say("Severidade", "Severity"),
                severities(subject.incident.map(|incident| incident.severity), language),
            )
            .hinted(say(
                "Na dúvida, a mais alta; não se discute durante o incidente.",
                "When in doubt, the higher one; it is not debated during the incident.",
            )),
            why(say("Por quê", "Why")).optional(),
        ],
        Form::Mitigate => {
            vec![Field::new("text", say("O que acabou com o impacto", "What ended the impact"), Kind::Text(words()))]
        }
        Form::Resolve => vec![why(say("Como acabou", "How it ended"))],
        Form::Command => vec![
            Field::new("commander", say("Quem comanda", "Who commands"), Kind::Person)
                .optional()
                .hinted(say("Vazio: você.", "Empty: you.")),
            Field::new("backup", say("Quem substitui", "Who stands in"), Kind::Person).optional(),
            why(say("Por quê", "Why")).optional(),
        ],
        Form::Call => vec![squad(subject, language), why(say("Por quê", "Why")).optional()],
        Form::Reopen => vec![why(say("Por que não acabou", "Why it is not over"))],
        Form::FalseAlarm => vec![why(say("Por que é alarme falso", "Why it is a false alarm")).hinted(say(
            "Encerra o incidente, que não conta em nenhuma média.",
            "Closes the incident, which is counted in no mean.",
        ))],
        Form::Merge => vec![
            Field::new("into", say("Id do outro incidente", "Id of the other incident"), Kind::Line(String::new()))
                .hinted(say(
                    "Está no fim da mensagem dele: INC-20261129-7Q2MZK4A. É ele que avisa pelos dois daqui em diante.",
                    "It is at the end of its message: INC-20261129-7Q2MZK4A. From now on it pages for both.",
                )),
            why(say("Por quê", "Why")).optional(),
        ],
        Form::SensitiveData => vec![
            Field::new(
                "compromised",
                say("Dados pessoais foram comprometidos?", "Is personal data compromised?"),
                Kind::YesNo(None),
            )
            .hinted(say(
                "Na dúvida, sim. «Sim» começa o relógio da LGPD.",
                "When in doubt, yes. «Yes» starts the clock of the LGPD.",
            )),
            why(say("O que se viu", "What was seen"))
                .hinted(say("Sem nenhum dado pessoal aqui.", "No personal data here.")),
        ],
        Form::Drill => {
            let is_drill = subject.incident.map(|incident| !incident.is_drill);
            vec![
                Field::new("drill", say("É um simulado?", "Is it a drill?"), Kind::YesNo(is_drill)),
                why(say("Por quê", "Why")),
            ]
        }
        Form::RunbookWrong => vec![why(say("O que está errado nele", "What is wrong in it")).hinted(say(
            "Vira uma ação do post-mortem: atualizar o runbook.",
            "Becomes an action of the post-mortem: to correct the runbook.",
        ))],
        Form::TellCustomers => {
            vec![Field::new("text", say("O que eles precisam saber", "What they need to know"), Kind::Text(words()))]
        }
        Form::More => {
            let about = Form::ALL.into_iter().filter(|form| form.is_about_an_incident());
            let all = about.map(|form| (form.name().to_owned(), form.label(language).to_owned()));
            vec![Field::new("form", say("O que fazer", "What to do"), Kind::Choice(all.collect(), None))]
        }
        Form::ApproveRestore => approval(subject, language),
        Form::RejectRestore | Form::RollBackRestore => vec![why(say("Por quê", "Why")).optional()],
    }
}

fn squad(subject: &Subject<'_>, language: Language) -> Field {
    let label = language.pick("Squad", "Squad");
    let known = subject.squads.iter().filter(|name| name.encode_utf16().count() <= OPTION_VALUE_LIMIT);
    let known: Vec<_> = known.map(|name| ((*name).to_owned(), (*name).to_owned())).collect();
    if known.is_empty() {
        return Field::new("squad", label, Kind::Line(String::new()));
    }
    let (all, field) = (known.len(), Field::new("squad", label, Kind::Choice(known, None)));
    if all <= MOST_OPTIONS {
        return field;
    }
    field.hinted(tr!(
        language,
        "Os primeiros {MOST_OPTIONS} de {all}; os outros, com /incidente INC-… squad NOME.",
        "The first {MOST_OPTIONS} of {all}; the others with /incidente INC-… squad NAME."
    ))
}

/// The two reasons that an approval may need; the function checks them again.
fn approval(subject: &Subject<'_>, language: Language) -> Vec<Field> {
    let Some(restore) = subject.restore else { return Vec::new() };
    let mut fields = Vec::new();
    if !restore.is_good {
        let label = language.pick("Por que aprovar apesar da prova", "Why approve despite the proof");
        fields.push(Field::new("despite", label, Kind::Line(String::new())));
    }
    if restore.needs_two {
        let label = language.pick("Por que sem uma segunda pessoa", "Why without a second person");
        let field = Field::new("alone", label, Kind::Line(String::new())).optional();
        let by = line(&restore.by);
        fields.push(field.hinted(tr!(
            language,
            "Só para {by}, que começou a restauração, quando ninguém mais está acordado; ou se esse nome não está em incidents.people. Fica registrado.",
            "Only for {by}, who started the restore, when nobody else is awake; or if that name is not in incidents.people. It is recorded."
        )));
    }
    fields
}
