//! The desk in Slack: its buttons, its modals, and its answers to one person.
//!
//! A modal is a [`Form`]: its submission is one request. The names of its fields are those of the request
//! (`incident::person`), so that a refusal names the field that it is about. All text of a modal is `plain_text`.
//!
//! Sources: [modals](https://docs.slack.dev/reference/views/modal-views),
//! [block elements](https://docs.slack.dev/reference/block-kit/block-elements),
//! [interactive messages](https://docs.slack.dev/messaging/creating-interactive-messages).

mod answer;
mod fields;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::incident::{Incident, State};
use crate::text::slack::{SECTION_LIMIT, cost, plain, section};
use crate::text::{self, Language, block, cut, line};

pub use answer::{
    ephemeral, help, incidents, later, on_call, only_people, ordered, ordered_again, refused, standing, told,
    unclear, unopened, unreached, without_policy,
};
pub use fields::{Field, Kind};

/// Begins the `action_id` of the desk's buttons; the name of an action follows.
pub const ACTION: &str = "desk/";

/// The button that takes an incident, which needs no form.
pub const ACKNOWLEDGE: &str = "acknowledge";

/// Slack's limits, in characters: a modal's title and buttons, an option's text, a button's value, and the blocks of one
/// modal.
const TITLE_LIMIT: usize = 24;
const OPTION_LIMIT: usize = 75;
const VALUE_LIMIT: usize = 2_000;
const MOST_OPTIONS: usize = 100;

/// Most characters of what a modal shows of a restore's proof: its button's value has to hold them.
const PROOF_LIMIT: usize = 900;

/// A modal whose submission is one request.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Open an incident that no alarm has seen.
    Declare,
    /// Say how it stands.
    Update,
    /// Confirm or change its severity.
    Classify,
    /// Say that the impact is over.
    Mitigate,
    /// Close it.
    Resolve,
    /// Become, or name, the incident commander.
    Command,
    /// Call a squad in.
    Call,
    /// Say that it is not over.
    Reopen,
    /// Close it, because it never was an incident.
    FalseAlarm,
    /// Make it a part of another one.
    Merge,
    /// Say whether personal data is compromised.
    SensitiveData,
    /// Say that it is an exercise, or is none.
    Drill,
    /// Say that its instructions are wrong.
    RunbookWrong,
    /// Write to the internal customers.
    TellCustomers,
    /// Choose one of the forms about an incident.
    More,
    /// Bring a restored database into use.
    ApproveRestore,
    /// End a restore before anything was switched.
    RejectRestore,
    /// Return from a restored database to the old one.
    RollBackRestore,
}

impl Form {
    /// All forms.
    pub const ALL: [Self; 18] = [
        Self::Declare,
        Self::Update,
        Self::Classify,
        Self::Mitigate,
        Self::Resolve,
        Self::Command,
        Self::Call,
        Self::Reopen,
        Self::FalseAlarm,
        Self::Merge,
        Self::SensitiveData,
        Self::Drill,
        Self::RunbookWrong,
        Self::TellCustomers,
        Self::More,
        Self::ApproveRestore,
        Self::RejectRestore,
        Self::RollBackRestore,
    ];

    /// The stable name: of a form about an incident, that of its request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Declare => "declare",
            Self::Update => "update",
            Self::Classify => "classify",
            Self::Mitigate => "mitigate",
            Self::Resolve => "resolve",
            Self::Command => "command",
            Self::Call => "call",
            Self::Reopen => "reopen",
            Self::FalseAlarm => "false_alarm",
            Self::Merge => "merge",
            Self::SensitiveData => "sensitive_data",
            Self::Drill => "drill",
            Self::RunbookWrong => "runbook_wrong",
            Self::TellCustomers => "tell_customers",
            Self::More => "more",
            Self::ApproveRestore => "approve_restore",
            Self::RejectRestore => "reject_restore",
            Self::RollBackRestore => "roll_back_restore",
        }
    }

    /// The form of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }

    /// Whether its submission is a request about an incident.
    pub fn is_about_an_incident(self) -> bool {
        !matches!(
            self,
            Self::Declare | Self::More | Self::ApproveRestore | Self::RejectRestore | Self::RollBackRestore
        )
    }

    /// What a person calls it: the title of its modal, its button, its line in the list of all.
    pub fn label(self, language: Language) -> &'static str {
        match self {
            Self::Declare => language.pick("Declarar incidente", "Declare incident"),
            Self::Update => language.pick("Atualizar", "Update"),
            Self::Classify => language.pick("Severidade", "Severity"),
            Self::Mitigate => language.pick("Mitigar", "Mitigate"),
            Self::Resolve => language.pick("Resolver", "Resolve"),
            Self::Command => "Incident commander",
            Self::Call => language.pick("Chamar um squad", "Call a squad in"),
            Self::Reopen => language.pick("Reabrir", "Reopen"),
            Self::FalseAlarm => language.pick("Alarme falso", "False alarm"),
            Self::Merge => language.pick("Unir a outro", "Merge into another"),
            Self::SensitiveData => language.pick("Dados pessoais", "Personal data"),
            Self::Drill => language.pick("Simulado", "Drill"),
            Self::RunbookWrong => language.pick("Runbook errado", "Wrong runbook"),
            Self::TellCustomers => language.pick("Avisar os clientes", "Tell the customers"),
            Self::More => language.pick("Mais…", "More…"),
            Self::ApproveRestore => language.pick("Aprovar a restauração", "Approve the restore"),
            Self::RejectRestore => language.pick("Desistir", "Give up"),
            Self::RollBackRestore => language.pick("Voltar ao banco antigo", "Return to the old one"),
        }
    }
}

/// A restore that a person is asked about: the value of its buttons, as the message that has them says.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Restore {
    /// Its name, `r20261130-1`.
    pub run: String,
    /// The new instance that the message is about: a later one has another proof.
    pub instance: String,
    /// The proof's verdict, its word; empty if no approval is asked for.
    pub verdict: String,
    /// Whether the verdict is good; if not, the approval needs a reason.
    pub is_good: bool,
    /// Whether another person than the one who started it has to approve.
    pub needs_two: bool,
    /// The person who started it.
    pub by: String,
    /// What the proof found, with line breaks.
    pub proof: String,
}

impl Restore {
    /// The value of a button, within Slack's limit.
    pub fn value(&self) -> String {
        let limits = [PROOF_LIMIT, PROOF_LIMIT / 3, 0];
        let values = limits.map(|limit| {
            let proof = cut(&block(&self.proof), limit, "…", cost);
            let (by, verdict) =
                (cut(&line(&self.by), 100, "…", cost), cut(&line(&self.verdict), 40, "…", cost));
            json!(Self { proof, by, verdict, ..self.clone() }).to_string()
        });
        let [_, _, least] = values.clone();
        values.into_iter().find(|value| value.encode_utf16().count() <= VALUE_LIMIT).unwrap_or(least)
    }
}

/// What a form shows and offers.
#[derive(Clone, Debug, Default)]
pub struct Subject<'a> {
    /// The incident, if it could be read.
    pub incident: Option<&'a Incident>,
    /// The squads of the policy.
    pub squads: Vec<&'a str>,
    /// The restore.
    pub restore: Option<&'a Restore>,
    /// A text to begin with: what a person typed after the slash command, or the message that they chose.
    pub words: &'a str,
    /// The mail to the customers with that text, to look at before it is sent.
    pub preview: Vec<Value>,
}

/// A form's modal, for `views.open` and for `response_action`. `notes` come back with its submission: at most 3000
/// characters.
pub fn view(form: Form, subject: &Subject<'_>, notes: &str, language: Language) -> Value {
    let mut blocks = Vec::new();
    blocks.extend(subject.incident.map(|incident| about(incident, language)));
    if let Some(restore) = subject.restore {
        blocks.extend(about_restore(form, restore, language));
    }
    if !subject.preview.is_empty() {
        let text = language.pick(
            "É isto que os clientes vão receber. Para mudar, edite o texto no fim e confira de novo.",
            "This is what the customers will receive. To change it, edit the text at the end and look again.",
        );
        blocks.push(section(plain(text, SECTION_LIMIT)));
        blocks.extend(subject.preview.iter().cloned());
        blocks.push(json!({"type": "divider"}));
    }
    let fields = fields::fields(form, subject, language);
    blocks.extend(fields.iter().map(|field| field.block(language)));
    let submit = match form {
        Form::More => language.pick("Continuar", "Continue"),
        Form::TellCustomers if subject.preview.is_empty() => language.pick("Conferir", "Look first"),
        Form::TellCustomers => language.pick("Enviar", "Send"),
        Form::ApproveRestore => language.pick("Aprovar", "Approve"),
        Form::RejectRestore => language.pick("Desistir", "Give up"),
        Form::RollBackRestore => language.pick("Voltar", "Return"),
        _ => language.pick("Registrar", "Record"),
    };
    json!({
        "type": "modal",
        "callback_id": form.name(),
        "private_metadata": notes,
        "title": plain(form.label(language), TITLE_LIMIT),
        "submit": plain(submit, TITLE_LIMIT),
        "close": plain(language.pick("Fechar", "Close"), TITLE_LIMIT),
        "blocks": blocks,
    })
}

/// The fields of a form.
pub fn fields(form: Form, subject: &Subject<'_>, language: Language) -> Vec<Field> {
    fields::fields(form, subject, language)
}

/// What the form is about.
fn about(incident: &Incident, language: Language) -> Value {
    let headline = cut(&text::headline(incident, language), 300, "…", cost);
    section(plain(&format!("{}\n{headline}", text::id(incident, language)), SECTION_LIMIT))
}

fn about_restore(form: Form, restore: &Restore, language: Language) -> Vec<Value> {
    let (run, by) = (line(&restore.run), line(&restore.by));
    let mut texts = vec![policy::tr!(
        language,
        "Restauração {run}, começada por {by}.",
        "Restore {run}, started by {by}."
    )];
    texts.push(match form {
        Form::RejectRestore => language
            .pick(
                "A restauração termina sem que nada tenha sido trocado. A instância nova fica e é nomeada no fim.",
                "The restore ends without anything being switched. The new instance stays, and is named at the end.",
            )
            .to_owned(),
        Form::RollBackRestore => language
            .pick(
                "A aplicação volta ao banco antigo. O que foi gravado no novo depois da troca fica só nele.",
                "The application returns to the old database. What was written to the new one after the switch stays there only.",
            )
            .to_owned(),
        _ => {
            let proof = block(&restore.proof);
            let instance = line(&restore.instance);
            let confirm = policy::tr!(
                language,
                "Aprovada, a aplicação passa para o banco novo, {instance}, em alguns minutos.",
                "Once approved, the application moves to the new database, {instance}, within minutes."
            );
            format!("{proof}\n\n{confirm}").trim().to_owned()
        }
    });
    texts.iter().map(|text| section(plain(text, SECTION_LIMIT))).collect()
}

/// The buttons of an incident's message; none where nobody has to do anything.
pub(super) fn buttons(incident: &Incident, language: Language) -> Vec<Value> {
    if crate::is_own_drill(&incident.source, &incident.problem) || incident.id.is_empty() {
        return Vec::new();
    }
    let acknowledge = (ACKNOWLEDGE, language.pick("Assumir", "Acknowledge"));
    let of = |form: Form| (form.name(), form.label(language));
    let shown = match incident.state {
        State::Triggered => vec![
            acknowledge,
            of(Form::Update),
            of(Form::Classify),
            of(Form::Mitigate),
            of(Form::Resolve),
            of(Form::More),
        ],
        State::Acknowledged => {
            vec![of(Form::Update), of(Form::Classify), of(Form::Mitigate), of(Form::Resolve), of(Form::More)]
        }
        State::Mitigated => vec![of(Form::Update), of(Form::Resolve), of(Form::Reopen), of(Form::More)],
        State::Resolved => vec![of(Form::Reopen), of(Form::More)],
    };
    let id = cut(&line(&incident.id), 255, "", cost);
    let buttons = shown.into_iter().map(|(name, label)| {
        let button = json!({"type": "button", "action_id": format!("{ACTION}{name}"),
            "text": plain(label, OPTION_LIMIT), "value": id});
        fields::with(button, "style", (name == ACKNOWLEDGE).then(|| json!("primary")))
    });
    if id.is_empty() { Vec::new() } else { buttons.collect() }
}
