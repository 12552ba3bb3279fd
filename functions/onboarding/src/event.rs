//! The event: a schedule, or a request about a person.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::policy::{is_iam_user, is_same_name};
use shared::runtime::event::{InvalidEvent, is_line, parse};

use crate::rules::access::Place;
use crate::rules::person::is_id;
use crate::rules::shadow::{self, PROCEDURES};

/// A request to the function.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Event {
    /// The daily run.
    #[serde(skip)]
    Daily,
    /// A person begins.
    Start(Start),
    /// An item is done, says a person.
    Acknowledge(Acknowledge),
    /// A person accompanied a run.
    Shadow(Shadow),
    /// Something about a person changes.
    Change(Change),
    /// A person leaves.
    Leave(Leave),
    /// A person does not leave after all.
    Stay(Named),
    /// The data about a person is deleted.
    Forget(Named),
    /// How one person, or everybody, stands.
    Show(Show),
}

/// A person begins.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// Name.
    pub name: String,
    /// What the person does in the team.
    pub role: String,
    /// The first day.
    #[serde(deserialize_with = "day")]
    pub start: Date,
    /// Name of the mentor.
    pub mentor: String,
    /// Name of the IAM user.
    #[serde(default)]
    pub iam_user: Option<String>,
    /// Login or e-mail address in Grafana.
    #[serde(default)]
    pub grafana_login: Option<String>,
    /// Name in the policy, if it is another one.
    #[serde(default)]
    pub policy_name: Option<String>,
}

/// An item is done, says a person.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledge {
    /// The person's id.
    pub person: String,
    /// The item's key.
    pub item: String,
    /// Name of the person or the mentor.
    pub by: String,
}

/// A person accompanied a run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shadow {
    /// The person's id.
    pub person: String,
    /// The procedure.
    pub procedure: String,
    /// Run id of its record.
    pub run: String,
    /// Name of the mentor.
    pub by: String,
}

/// Something about a person changes.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Change {
    /// The person's id.
    pub person: String,
    /// Name.
    pub name: Option<String>,
    /// What the person does in the team.
    pub role: Option<String>,
    /// The first day.
    #[serde(deserialize_with = "maybe_day")]
    pub start: Option<Date>,
    /// Name of the mentor.
    pub mentor: Option<String>,
    /// The last day on which the checklist is in time.
    #[serde(deserialize_with = "maybe_day")]
    pub due: Option<Date>,
    /// Name of the IAM user.
    pub iam_user: Option<String>,
    /// Login or e-mail address in Grafana.
    pub grafana_login: Option<String>,
    /// Places where the person has no login: what was known of it is removed.
    pub no_login: BTreeSet<Place>,
    /// Name in the policy.
    pub policy_name: Option<String>,
}

/// A person leaves.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Leave {
    /// The person's id.
    pub person: String,
    /// The first day without access.
    #[serde(deserialize_with = "day")]
    pub on: Date,
}

/// A person.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// The person's id.
    pub person: String,
}

/// One person, or everybody.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Show {
    /// The person's id.
    pub person: Option<String>,
}

/// A date. A refusal does not repeat the text, which may be a name in the wrong field.
fn day<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_form = text.len() == 10 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    let date = if is_form { text.parse().ok() } else { None };
    date.ok_or_else(|| serde::de::Error::custom("expected a day, e.g. 2026-12-01"))
}

fn maybe_day<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
    day(deserializer).map(Some)
}

/// Parses a request. A refusal names field and form, and never repeats a value, or a field that is not known: errors are
/// logged, and the log keeps no personal data.
fn parsed<T: DeserializeOwned>(event: Value) -> Result<T, InvalidEvent> {
    parse(event).map_err(|InvalidEvent { field, reason }| {
        let field = match field.split_once('.') {
            Some((request, _)) if reason.starts_with("unknown field") => request.to_owned(),
            _ => field,
        };
        let reason = match reason.rsplit_once("expected ") {
            Some((_, expected)) => format!("expected {expected}"),
            None if reason.starts_with("missing field") => reason,
            None => "expected another form".to_owned(),
        };
        InvalidEvent { field, reason }
    })
}

impl Event {
    /// Whether nobody asks: the event of the schedule, or an empty one, for the daily run.
    pub(crate) fn is_daily(event: &Value) -> bool {
        let is_schedule = event.get("detail-type").and_then(Value::as_str) == Some("Scheduled Event");
        is_schedule || event.is_null() || event.as_object().is_some_and(serde_json::Map::is_empty)
    }

    /// Reads an event.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] names the field.
    pub(crate) fn read(event: Value) -> Result<Self, InvalidEvent> {
        if Self::is_daily(&event) {
            return Ok(Self::Daily);
        }
        let read: Self = parsed(event)?;
        match &read {
            Self::Daily => {}
            Self::Start(start) => start.check()?,
            Self::Acknowledge(asked) => {
                known("acknowledge", &asked.person)?;
                line("acknowledge.item", &asked.item, 300)?;
                line("acknowledge.by", &asked.by, 100)?;
            }
            Self::Shadow(asked) => {
                known("shadow", &asked.person)?;
                line("shadow.by", &asked.by, 100)?;
                line("shadow.run", &asked.run, 1000)?;
                if shadow::known(&asked.procedure).is_none() {
                    let names: Vec<_> = PROCEDURES.iter().map(|(name, _)| *name).collect();
                    let reason = format!("expected one of {}", names.join(", "));
                    return Err(InvalidEvent::at("shadow.procedure", &reason));
                }
            }
            Self::Change(asked) => asked.check()?,
            Self::Leave(asked) => known("leave", &asked.person)?,
            Self::Stay(asked) => known("stay", &asked.person)?,
            Self::Forget(asked) => known("forget", &asked.person)?,
            Self::Show(asked) => asked.person.iter().try_for_each(|person| known("show", person))?,
        }
        Ok(read)
    }
}

impl Start {
    fn check(&self) -> Result<(), InvalidEvent> {
        for (field, text) in [("name", &self.name), ("role", &self.role), ("mentor", &self.mentor)] {
            line(&format!("start.{field}"), text, 100)?;
        }
        if is_same_name(&self.name, &self.mentor) {
            return Err(InvalidEvent::at("start.mentor", "expected another person"));
        }
        user("start.iam_user", self.iam_user.as_deref())?;
        login("start.grafana_login", self.grafana_login.as_deref())?;
        maybe("start.policy_name", self.policy_name.as_deref())
    }
}

impl Change {
    fn check(&self) -> Result<(), InvalidEvent> {
        known("change", &self.person)?;
        let texts = [
            ("name", &self.name),
            ("role", &self.role),
            ("mentor", &self.mentor),
            ("policy_name", &self.policy_name),
        ];
        for (field, text) in texts {
            maybe(&format!("change.{field}"), text.as_deref())?;
        }
        user("change.iam_user", self.iam_user.as_deref())?;
        login("change.grafana_login", self.grafana_login.as_deref())?;
        let is_place = |place: &Place| match place {
            Place::AwsGroup => self.iam_user.is_none(),
            Place::Grafana => self.grafana_login.is_none(),
            Place::OnCall | Place::People => false,
        };
        if !self.no_login.iter().all(is_place) {
            let reason = "expected aws_group or grafana, and no login for it in the same request";
            return Err(InvalidEvent::at("change.no_login", reason));
        }
        if *self == (Self { person: self.person.clone(), ..Self::default() }) {
            let reason = "expected one of name, role, start, mentor, due, iam_user, grafana_login, no_login, policy_name";
            return Err(InvalidEvent::at("change", reason));
        }
        Ok(())
    }
}

fn known(request: &str, person: &str) -> Result<(), InvalidEvent> {
    if is_id(person) {
        return Ok(());
    }
    let reason = "expected a person's id, e.g. P-7Q2MZK4A; {\"show\": {}} lists them";
    Err(InvalidEvent::at(&format!("{request}.person"), reason))
}

fn line(field: &str, text: &str, most: usize) -> Result<(), InvalidEvent> {
    if is_line(text, most) {
        return Ok(());
    }
    Err(InvalidEvent::at(field, &format!("expected one line of at most {most} characters")))
}

fn maybe(field: &str, text: Option<&str>) -> Result<(), InvalidEvent> {
    text.map_or(Ok(()), |text| line(field, text, 100))
}

/// Checks a login of Grafana. With a blank around it, it would be found nowhere, and count as gone.
fn login(field: &str, login: Option<&str>) -> Result<(), InvalidEvent> {
    maybe(field, login)?;
    if login.is_none_or(|login| login.trim() == login) {
        return Ok(());
    }
    Err(InvalidEvent::at(field, "expected a login without blanks around it"))
}

/// Checks the name of an IAM user.
fn user(field: &str, name: Option<&str>) -> Result<(), InvalidEvent> {
    if name.is_none_or(is_iam_user) {
        return Ok(());
    }
    Err(InvalidEvent::at(field, "expected the name of an IAM user, without a path"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "P-7Q2MZK4A";

    fn start() -> Value {
        json!({"name": "Bia Lima", "role": "Plantão", "start": "2026-12-01", "mentor": "Ana Souza"})
    }

    fn with(mut object: Value, field: &str, value: Value) -> Value {
        object[field] = value;
        object
    }

    #[test]
    fn what_a_person_wrote_wrongly_is_named_and_not_repeated() {
        let acknowledge = json!({"person": ID, "item": "local_environment", "by": "Ana"});
        let shadow = json!({"person": ID, "procedure": "restore-test", "run": "r", "by": "Ana"});
        for (event, field) in [
            (json!({"x": 1}), "."),
            (json!({"Segredo": {}}), "."),
            (json!("Segredo"), "."),
            (json!({"start": "Segredo"}), "start"),
            (json!({"start": {"name": "Segredo"}}), "start"),
            (json!({"start": with(start(), "name", json!(""))}), "start.name"),
            (json!({"start": with(start(), "name", json!({"x": "Segredo"}))}), "start.name"),
            (json!({"start": with(start(), "role", json!("a\nb"))}), "start.role"),
            (json!({"start": with(start(), "start", json!("Segredo"))}), "start.start"),
            (json!({"start": with(start(), "start", json!("01/12/2026"))}), "start.start"),
            (json!({"start": with(start(), "start", json!("2026-02-30"))}), "start.start"),
            (json!({"start": with(start(), "start", json!("2026-12-01T09:00"))}), "start.start"),
            (json!({"start": with(start(), "mentor", json!("bia  LIMA"))}), "start.mentor"),
            (json!({"start": with(start(), "iam_user", json!("a/Segredo"))}), "start.iam_user"),
            (json!({"start": with(start(), "grafana_login", json!(" "))}), "start.grafana_login"),
            (json!({"start": with(start(), "policy_name", json!(7))}), "start.policy_name"),
            (json!({"start": with(start(), "cpf", json!("Segredo"))}), "start"),
            (json!({"start": with(start(), "Segredo.x", json!(1))}), "start"),
            (json!({"start": with(start(), "iam_user", json!("bia "))}), "start.iam_user"),
            (json!({"start": with(start(), "grafana_login", json!(" bia"))}), "start.grafana_login"),
            (
                json!({"acknowledge": with(acknowledge.clone(), "person", json!("Segredo"))}),
                "acknowledge.person",
            ),
            (json!({"acknowledge": with(acknowledge.clone(), "item", json!(""))}), "acknowledge.item"),
            (json!({"acknowledge": with(acknowledge, "by", json!("\u{0}"))}), "acknowledge.by"),
            (json!({"shadow": with(shadow.clone(), "procedure", json!("backup-audit"))}), "shadow.procedure"),
            (json!({"shadow": with(shadow.clone(), "run", json!(""))}), "shadow.run"),
            (json!({"shadow": with(shadow, "by", json!(""))}), "shadow.by"),
            (json!({"change": {"person": ID}}), "change"),
            (json!({"change": {"person": ID, "due": "Segredo"}}), "change.due"),
            (json!({"change": {"person": ID, "name": ""}}), "change.name"),
            (json!({"change": {"person": ID, "start": "Segredo"}}), "change.start"),
            (json!({"change": {"person": ID, "iam_user": ""}}), "change.iam_user"),
            (json!({"change": {"person": ID, "grafana_login": "bia "}}), "change.grafana_login"),
            (json!({"change": {"person": ID, "no_login": ["Segredo"]}}), "change.no_login[0]"),
            (json!({"change": {"person": ID, "no_login": ["people"]}}), "change.no_login"),
            (
                json!({"change": {"person": ID, "no_login": ["grafana"], "grafana_login": "bia"}}),
                "change.no_login",
            ),
            (json!({"change": {"role": "x"}}), "change.person"),
            (json!({"leave": {"person": ID}}), "leave"),
            (json!({"leave": {"person": ID, "on": "amanhã"}}), "leave.on"),
            (json!({"stay": {"person": "Segredo"}}), "stay.person"),
            (json!({"forget": {"person": "Segredo"}}), "forget.person"),
            (json!({"show": {"person": "P-7q2mzk4a"}}), "show.person"),
        ] {
            let refused = Event::read(event.clone()).unwrap_err();
            assert_eq!(refused.field, field, "{event}: {}", refused.reason);
            assert!(!refused.to_string().contains("Segredo"), "{refused}");
        }
    }

    #[test]
    fn the_schedule_and_nothing_are_the_daily_run() {
        for event in [json!({}), Value::Null, json!({"detail-type": "Scheduled Event"})] {
            assert_eq!(Event::read(event).unwrap(), Event::Daily);
        }
        let Event::Start(read) = Event::read(json!({"start": start()})).unwrap() else { panic!() };
        assert_eq!((read.name.as_str(), read.iam_user), ("Bia Lima", None));
        assert_eq!(Event::read(json!({"show": {}})).unwrap(), Event::Show(Show::default()));
        let change = Event::read(json!({"change": {"person": ID, "due": "2026-12-31"}})).unwrap();
        let due = Some("2026-12-31".parse().unwrap());
        assert_eq!(change, Event::Change(Change { person: ID.to_owned(), due, ..Change::default() }));
    }
}
