//! A submitted modal, read into the request of its form.

use std::collections::BTreeMap;

use incident::person::Request;
use incident::text::desk::{self, Field, Form, Kind, Restore, Subject};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use shared::runtime::language::Language;

use super::payload::View;
use super::task::Who;
use super::verify::Refusal;

pub(crate) use incident::person::is_incident as is_id;

/// Most characters of the address for answers that a modal keeps. Slack's have some hundred.
const LONGEST_REPLY: usize = 500;

/// What a modal keeps from when it was opened: its `private_metadata`, at most 3000 characters.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Notes {
    /// The incident's id; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) incident: String,
    /// Address for answers to the person who opened it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply: Option<String>,
    /// The restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restore: Option<Restore>,
    /// The hash of the mail's words that the person has looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seen: Option<String>,
}

impl Notes {
    /// The notes of a modal about an incident, or about none.
    pub(crate) fn new(incident: Option<&str>, reply: Option<&str>) -> Self {
        let incident = incident.unwrap_or_default().to_owned();
        let reply = reply.filter(|reply| reply.encode_utf16().count() <= LONGEST_REPLY).map(str::to_owned);
        Self { incident, reply, ..Self::default() }
    }

    /// As the modal keeps them.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn read(text: &str) -> Result<Self, Refusal> {
        serde_json::from_str(text).map_err(|_| Refusal::Field("private_metadata"))
    }
}

/// What a submission asks.
#[derive(Debug, PartialEq)]
pub(crate) enum Submitted {
    /// A form, in place of the list of all.
    Open(Form, Notes),
    /// The form of the customers' mail again, with the mail to look at; its words.
    Look(Notes, String),
    /// A request of a person.
    Ask(Value, Notes),
    /// An order about a restore.
    Order(Value, Notes),
    /// Nothing: what each field accepts, by its name.
    Wrong(BTreeMap<String, String>),
}

/// Reads a submission.
///
/// # Errors
///
/// [`Refusal`] if it is none of the desk's modals.
pub(crate) fn read(
    view: &View,
    who: &Who,
    people: &BTreeMap<&str, &str>,
    language: Language,
) -> Result<Submitted, Refusal> {
    let form = Form::from_name(&view.callback_id);
    let form = form.ok_or_else(|| Refusal::Unused(super::payload::shown(&view.callback_id)))?;
    let notes = Notes::read(&view.private_metadata)?;
    let subject = Subject { restore: notes.restore.as_ref(), ..Subject::default() };
    let fields = desk::fields(form, &subject, language);
    let values = match values(&fields, view, people) {
        Ok(values) => values,
        Err(wrong) => return Ok(wrong_fields(wrong, language)),
    };
    let text = |name: &str| values.get(name).and_then(Value::as_str).unwrap_or_default();
    Ok(match form {
        Form::More => match Form::from_name(text("form")).filter(|form| form.is_about_an_incident()) {
            Some(chosen) => Submitted::Open(chosen, notes),
            None => wrong_fields(fields.iter(), language),
        },
        Form::TellCustomers if notes.seen.as_deref() != Some(&hash(text("text"))) => {
            let seen = Some(hash(text("text")));
            Submitted::Look(Notes { seen, ..notes.clone() }, text("text").to_owned())
        }
        Form::ApproveRestore | Form::RejectRestore | Form::RollBackRestore => {
            let restore = notes.restore.as_ref().ok_or(Refusal::Field("private_metadata"))?;
            Submitted::Order(order(form, restore, &values, who), notes.clone())
        }
        form => {
            let mut values = values;
            if form.is_about_an_incident() {
                values.insert("incident".to_owned(), json!(notes.incident));
            }
            values.insert("by".to_owned(), json!(who.name));
            let request = json!({form.name(): values});
            match Request::try_from(request.clone()) {
                Ok(_) => Submitted::Ask(request, notes),
                Err(error) => {
                    let name = error.field.rsplit('.').next().unwrap_or_default();
                    let named = fields.iter().find(|field| field.name == name);
                    wrong_fields(named.or(fields.first()), language)
                }
            }
        }
    })
}

/// The words as a hash, which is shorter.
pub(crate) fn hash(words: &str) -> String {
    incident::signal::hash(words)
}

fn wrong_fields<'a>(fields: impl IntoIterator<Item = &'a Field>, language: Language) -> Submitted {
    let named = fields.into_iter().map(|field| (field.name.to_owned(), field.expected(language)));
    Submitted::Wrong(named.collect())
}

/// The values by field, in the request's types; or the fields whose value is missing or of another kind.
fn values<'a>(
    fields: &'a [Field],
    view: &View,
    people: &BTreeMap<&str, &str>,
) -> Result<Map<String, Value>, Vec<&'a Field>> {
    let (mut values, mut wrong) = (Map::new(), Vec::new());
    for field in fields {
        let entered = view.value(field.name);
        let is_missing = entered.as_ref().is_none_or(is_blank);
        match entered.filter(|_| !is_missing).and_then(|entered| value(&field.kind, &entered, people)) {
            Some(value) => {
                values.insert(field.name.to_owned(), value);
            }
            None if is_missing && field.is_optional => {}
            None => wrong.push(field),
        }
    }
    if wrong.is_empty() { Ok(values) } else { Err(wrong) }
}

fn is_blank(entered: &Value) -> bool {
    entered.as_str().is_some_and(|text| text.trim().is_empty())
}

fn value(kind: &Kind, entered: &Value, people: &BTreeMap<&str, &str>) -> Option<Value> {
    match kind {
        Kind::Line(_) => Some(json!(entered.as_str()?.trim())),
        Kind::Text(_) => Some(json!(entered.as_str()?)),
        Kind::Choice(..) => entered.as_str().map(|chosen| json!(chosen)),
        Kind::YesNo(_) => Some(json!(entered.as_str()? == "true")),
        Kind::Person => people.get(entered.as_str()?).map(|name| json!(name)),
        Kind::Instant => {
            let at = Timestamp::from_second(entered.as_i64()?).ok()?;
            Some(json!(at.to_string()))
        }
    }
}

/// The order of a form, as `emergency-restore` documents it.
fn order(form: Form, restore: &Restore, values: &Map<String, Value>, who: &Who) -> Value {
    let verb = match form {
        Form::RejectRestore => "reject",
        Form::RollBackRestore => "rollBack",
        _ => "approve",
    };
    let text = |name: &str| values.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let despite = text("despite").map(|why| format!("{}: {why}", restore.verdict));
    let given = [
        ("order", Some(verb.to_owned())),
        ("run", Some(restore.run.clone())),
        ("by", Some(who.name.clone())),
        // Approved is what the message showed, whatever was restored since.
        ("instance", (verb == "approve").then(|| restore.instance.clone())),
        ("despiteProof", despite),
        ("override", text("alone").map(str::to_owned)),
        ("reason", text("reason").map(str::to_owned)),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
    Value::Object(given.collect())
}

#[cfg(test)]
mod tests {
    use incident::signal::MOST_CHARACTERS;

    use super::*;

    const ID: &str = "INC-20261129-7Q2MZK4A";

    fn ana() -> Who {
        Who { id: "U024BE7LH".to_owned(), name: "Ana Souza".to_owned(), is_known: true }
    }

    fn people() -> BTreeMap<&'static str, &'static str> {
        BTreeMap::from([("U024BE7LH", "Ana Souza"), ("U0BIA00001", "Bia Lima")])
    }

    /// A submission: the value of each field, in Slack's form.
    fn view(form: &str, notes: &Notes, values: &[(&str, Value)]) -> View {
        let values: Map<String, Value> =
            values.iter().map(|(name, element)| ((*name).to_owned(), json!({"value": element}))).collect();
        serde_json::from_value(json!({"id": "V1", "callback_id": form, "private_metadata": notes.text(),
            "state": {"values": values}}))
        .unwrap()
    }

    fn text(text: &str) -> Value {
        json!({"type": "plain_text_input", "value": text})
    }

    fn chosen(value: &str) -> Value {
        json!({"type": "static_select", "selected_option": {"value": value}})
    }

    fn user(id: &str) -> Value {
        json!({"type": "users_select", "selected_user": id})
    }

    fn submitted(form: &str, notes: &Notes, values: &[(&str, Value)]) -> Submitted {
        read(&view(form, notes, values), &ana(), &people(), Language::Portuguese).unwrap()
    }

    fn about() -> Notes {
        Notes::new(Some(ID), Some("https://hooks.slack.com/actions/T1/2/x"))
    }

    #[test]
    fn each_form_about_an_incident_is_its_request() {
        let at = json!({"type": "datetimepicker", "selected_date_time": 1_795_956_060});
        for (form, values, fields) in [
            ("update", vec![("text", text("a\nb"))], json!({"text": "a\nb"})),
            (
                "update",
                vec![("text", text("a")), ("impact_since", at)],
                json!({"text": "a", "impact_since": "2026-11-29T12:41:00Z"}),
            ),
            ("classify", vec![("severity", chosen("S0"))], json!({"severity": "S0"})),
            (
                "classify",
                vec![("severity", chosen("S0")), ("reason", text(" piorou "))],
                json!({"severity": "S0", "reason": "piorou"}),
            ),
            ("mitigate", vec![("text", text("voltei a versão"))], json!({"text": "voltei a versão"})),
            ("resolve", vec![("reason", text("voltou"))], json!({"reason": "voltou"})),
            ("command", vec![], json!({})),
            (
                "command",
                vec![("commander", user("U0BIA00001")), ("backup", user("U024BE7LH"))],
                json!({"commander": "Bia Lima", "backup": "Ana Souza"}),
            ),
            ("call", vec![("squad", chosen("Banco de Dados"))], json!({"squad": "Banco de Dados"})),
            ("reopen", vec![("reason", text("caiu"))], json!({"reason": "caiu"})),
            ("false_alarm", vec![("reason", text("teste"))], json!({"reason": "teste"})),
            (
                "merge",
                vec![("into", text(" INC-20261129-AAAAAAAA"))],
                json!({"into": "INC-20261129-AAAAAAAA"}),
            ),
            (
                "sensitive_data",
                vec![("compromised", chosen("true")), ("reason", text("um dump"))],
                json!({"compromised": true, "reason": "um dump"}),
            ),
            (
                "drill",
                vec![("drill", chosen("false")), ("reason", text("é real"))],
                json!({"drill": false, "reason": "é real"}),
            ),
            ("runbook_wrong", vec![("reason", text("passo 2"))], json!({"reason": "passo 2"})),
        ] {
            let Submitted::Ask(request, notes) = submitted(form, &about(), &values) else { panic!("{form}") };
            let mut expected = fields;
            expected["incident"] = json!(ID);
            expected["by"] = json!("Ana Souza");
            assert_eq!((request, notes), (json!({form: expected}), about()), "{form}");
        }
        let values = [
            ("title", text("Ninguém entra")),
            ("severity", chosen("S1")),
            ("resource", text("api")),
            ("drill", chosen("true")),
        ];
        let Submitted::Ask(request, _) = submitted("declare", &Notes::default(), &values) else { panic!() };
        let expected = json!({"title": "Ninguém entra", "severity": "S1", "resource": "api", "drill": true, "by": "Ana Souza"});
        assert_eq!(request, json!({"declare": expected}));
    }

    #[test]
    fn a_wrong_entry_is_said_at_its_field() {
        for (form, values, wrong) in [
            ("update", vec![], vec!["text"]),
            ("resolve", vec![("reason", text("  "))], vec!["reason"]),
            ("update", vec![("text", text(" \n "))], vec!["text"]),
            ("update", vec![("text", text(&"a".repeat(MOST_CHARACTERS + 1)))], vec!["text"]),
            ("resolve", vec![("reason", text("a\u{7}b"))], vec!["reason"]),
            ("command", vec![("commander", user("U0UNKNOWN"))], vec!["commander"]),
            ("merge", vec![("into", text("INC-1"))], vec!["into"]),
            ("sensitive_data", vec![("reason", text("x"))], vec!["compromised"]),
            ("classify", vec![("severity", chosen("S9"))], vec!["severity"]),
            ("more", vec![("form", chosen("declare"))], vec!["form"]),
            ("more", vec![("form", chosen("more"))], vec!["form"]),
        ] {
            let Submitted::Wrong(named) = submitted(form, &about(), &values) else {
                panic!("{form} {values:?}")
            };
            assert_eq!(named.keys().collect::<Vec<_>>(), wrong, "{form}");
            assert!(named.values().all(|text| !text.is_empty()));
        }
        let mine = view("dance", &about(), &[]);
        let refused = read(&mine, &ana(), &people(), Language::Portuguese);
        assert_eq!(refused, Err(Refusal::Unused("dance".to_owned())));
        let foreign: View =
            serde_json::from_value(json!({"callback_id": "update", "private_metadata": "x"})).unwrap();
        let refused = read(&foreign, &ana(), &people(), Language::Portuguese);
        assert_eq!(refused, Err(Refusal::Field("private_metadata")));
    }

    #[test]
    fn the_list_of_all_gives_way_to_the_form_that_was_chosen() {
        for form in Form::ALL.into_iter().filter(|form| form.is_about_an_incident()) {
            let chosen = submitted("more", &about(), &[("form", chosen(form.name()))]);
            assert_eq!(chosen, Submitted::Open(form, about()));
        }
    }

    #[test]
    fn customers_are_written_to_only_what_was_looked_at() {
        let entered = |words: &str| [("text", text(words))];
        let Submitted::Look(seen, words) = submitted("tell_customers", &about(), &entered("já volta"))
        else {
            panic!()
        };
        assert_eq!(words, "já volta");
        let Submitted::Ask(request, _) = submitted("tell_customers", &seen, &entered("já volta")) else {
            panic!()
        };
        let expected = json!({"text": "já volta", "incident": ID, "by": "Ana Souza"});
        assert_eq!(request, json!({"tell_customers": expected}));
        // Changed after the look.
        let again = submitted("tell_customers", &seen, &entered("já volta!"));
        assert!(matches!(again, Submitted::Look(..)), "{again:?}");
    }

    #[test]
    fn a_restore_is_ordered_as_its_function_documents() {
        let restore = Restore {
            run: "r20261130-1".to_owned(),
            instance: "moveongs-prod-db-r20261130-1".to_owned(),
            verdict: "failed".to_owned(),
            is_good: false,
            needs_two: true,
            by: "Bia Lima".to_owned(),
            proof: String::new(),
        };
        let notes = Notes { restore: Some(restore.clone()), ..Notes::default() };
        let order = |form: &str, notes: &Notes, values: &[(&str, Value)]| match submitted(form, notes, values)
        {
            Submitted::Order(order, _) => order,
            other => panic!("{other:?}"),
        };
        let base = |verb: &str| json!({"order": verb, "run": "r20261130-1", "by": "Ana Souza"});
        let approve = || {
            let mut order = base("approve");
            order["instance"] = json!("moveongs-prod-db-r20261130-1");
            order
        };
        let mut expected = approve();
        expected["despiteProof"] = json!("failed: sem outra cópia");
        assert_eq!(order("approve_restore", &notes, &[("despite", text("sem outra cópia"))]), expected);
        expected["override"] = json!("só eu");
        let both = [("despite", text("sem outra cópia")), ("alone", text("só eu"))];
        assert_eq!(order("approve_restore", &notes, &both), expected);
        // A reason that is needed is asked for.
        for values in [&[][..], &[("despite", text(" "))]] {
            let Submitted::Wrong(named) = submitted("approve_restore", &notes, values) else { panic!() };
            assert_eq!(named.keys().collect::<Vec<_>>(), ["despite"]);
        }

        let good = Notes {
            restore: Some(Restore { is_good: true, needs_two: false, ..restore }),
            ..Notes::default()
        };
        assert_eq!(order("approve_restore", &good, &[]), approve());
        assert_eq!(order("roll_back_restore", &good, &[]), base("rollBack"));
        let mut expected = base("reject");
        expected["reason"] = json!("engano");
        assert_eq!(order("reject_restore", &good, &[("reason", text("engano"))]), expected);
    }

    #[test]
    fn the_notes_of_a_modal_fit_with_everything_in_them() {
        let long = Restore {
            run: "r20261130-999".to_owned(),
            instance: "d".repeat(63),
            verdict: "x".repeat(500),
            by: "\"".repeat(500),
            proof: "\\\n".repeat(4_000),
            ..Restore::default()
        };
        let restore = serde_json::from_str(&long.value()).unwrap();
        let reply = format!("https://hooks.slack.com/{}", "x".repeat(LONGEST_REPLY - 24));
        let notes =
            Notes { restore: Some(restore), seen: Some(hash("x")), ..Notes::new(Some(ID), Some(&reply)) };
        assert_eq!(notes.reply.as_deref(), Some(reply.as_str()));
        assert!(notes.text().encode_utf16().count() <= 3_000, "{}", notes.text().len());
        assert_eq!(Notes::read(&notes.text()), Ok(notes));
        assert_eq!(Notes::new(None, Some(&format!("{reply}x"))).reply, None);
    }
}
