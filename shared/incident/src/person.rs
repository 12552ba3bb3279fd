//! What a person asks of the pager until the desk exists: the payload of an invocation.
//!
//! It is an object with one field, the request: `{"acknowledge": {"incident": "INC-…", "by": "Ana"}}`. Unknown fields are
//! refused, because a misspelled one would be ignored at the worst time. `by` is a claim: whoever may invoke the function
//! may write any name.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use policy::event::{InvalidEvent, parse};
use policy::is_line;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;

use crate::signal::{LONGEST_KEY, LONGEST_TEXT, MOST_CHARACTERS, blank, presentable};
use crate::{Change, Incident, Severity, Signal, Source};

/// Longest mute. A longer silence is a rule of the alarm, or a fault that nobody wants to see.
pub const LONGEST_MUTE: SignedDuration = SignedDuration::from_hours(24);

/// The names of the requests.
const VERBS: [&str; 5] = ["declare", "acknowledge", "resolve", "mute", "unmute"];

/// Names every problem, in a request about a mute.
const ALL: &str = "*";

/// Most characters of a person's name.
const LONGEST_NAME: usize = 100;

/// Most characters of a title, a resource, or the reason of a mute.
const LONGEST_LINE: usize = 200;

/// A person's request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Open an incident that no alarm has seen.
    Declare(Declare),
    /// Take an incident, so that the pager stops escalating it.
    Acknowledge(Acknowledge),
    /// Close an incident whose source never says that it is over: a page, a message, a declaration.
    Resolve(Resolve),
    /// Page nobody about a problem, or about any, for some time.
    Mute(Mute),
    /// End a mute before its time.
    Unmute(Unmute),
}

/// See [`Request::Declare`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Declare {
    /// What is wrong, in one line.
    pub title: String,
    /// `S0` to `S3`.
    pub severity: Severity,
    /// The affected resource, as the inventory names it: its area decides which squad is paged.
    pub resource: String,
    /// The person.
    pub by: String,
    /// What is known, with line breaks.
    pub reason: Option<String>,
    /// Address of the instructions.
    pub runbook: Option<String>,
    /// Identity of the problem, to join its open incident; by default one of resource and title.
    pub problem: Option<String>,
}

/// See [`Request::Acknowledge`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    /// The incident's id.
    pub incident: String,
    /// The person.
    pub by: String,
}

/// See [`Request::Resolve`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// The incident's id.
    pub incident: String,
    /// The person.
    pub by: String,
    /// How it ended, in one line.
    pub reason: String,
}

/// See [`Request::Mute`]. It ends at `until` or after `minutes`; one of them is required.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    problem: String,
    reason: String,
    by: String,
    #[serde(default, deserialize_with = "instant")]
    until: Option<Timestamp>,
    minutes: Option<u16>,
}

/// See [`Request::Unmute`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Unmute {
    problem: String,
    by: String,
}

/// Parses an instant with its offset. A local time would be ambiguous: the other instants that people see are UTC.
fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = text.parse().map(Some);
    parsed
        .map_err(|_| D::Error::custom("expected an instant with its offset, e.g. 2026-11-29T18:00:00-03:00"))
}

impl Request {
    /// Returns true if the event is a person's request, right or wrong.
    pub fn is(event: &Value) -> bool {
        VERBS.iter().any(|verb| event.get(verb).is_some())
    }
}

impl TryFrom<Value> for Request {
    type Error = InvalidEvent;

    /// Reads a request.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] names the field: `mute.minutes`.
    fn try_from(event: Value) -> Result<Self, InvalidEvent> {
        let request: Self = parse(event)?;
        match &request {
            Self::Declare(declare) => declare.check()?,
            Self::Acknowledge(Acknowledge { incident, by }) => {
                is_id("acknowledge.incident", incident)?;
                one_line("acknowledge.by", by, LONGEST_NAME)?;
            }
            Self::Resolve(Resolve { incident, by, reason }) => {
                is_id("resolve.incident", incident)?;
                one_line("resolve.by", by, LONGEST_NAME)?;
                one_line("resolve.reason", reason, LONGEST_LINE)?;
            }
            Self::Mute(mute) => mute.check()?,
            Self::Unmute(Unmute { problem, by }) => {
                one_line("unmute.problem", problem, LONGEST_KEY)?;
                one_line("unmute.by", by, LONGEST_NAME)?;
            }
        }
        Ok(request)
    }
}

fn one_line(field: &str, text: &str, most: usize) -> Result<(), InvalidEvent> {
    if is_line(text, most) {
        return Ok(());
    }
    Err(InvalidEvent::at(field, &format!("expected one line of at most {most} characters")))
}

/// Checks an incident's id, of which the table's key is made.
fn is_id(field: &str, id: &str) -> Result<(), InvalidEvent> {
    let is_form = |text: &str| {
        text.len() == "20261129-7Q2MZK4A".len()
            && text.bytes().enumerate().all(|(place, byte)| match place {
                0..8 => byte.is_ascii_digit(),
                8 => byte == b'-',
                _ => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
            })
    };
    if id.strip_prefix("INC-").is_some_and(is_form) {
        return Ok(());
    }
    Err(InvalidEvent::at(field, "expected the id of an incident, e.g. INC-20261129-7Q2MZK4A"))
}

impl Declare {
    fn check(&self) -> Result<(), InvalidEvent> {
        one_line("declare.title", &self.title, LONGEST_LINE)?;
        one_line("declare.resource", &self.resource, LONGEST_LINE)?;
        one_line("declare.by", &self.by, LONGEST_NAME)?;
        let is_text = |text: &String| !text.trim().is_empty() && text.chars().count() <= MOST_CHARACTERS;
        if !self.reason.as_ref().is_none_or(is_text) {
            let reason = format!("expected a text of at most {MOST_CHARACTERS} characters");
            return Err(InvalidEvent::at("declare.reason", &reason));
        }
        for (field, text, most) in [
            ("declare.runbook", &self.runbook, LONGEST_TEXT),
            ("declare.problem", &self.problem, LONGEST_KEY),
        ] {
            if let Some(text) = text {
                one_line(field, text, most)?;
            }
        }
        if self.problem.as_deref() == Some(ALL) {
            return Err(InvalidEvent::at("declare.problem", "expected one problem"));
        }
        Ok(())
    }

    /// The signal that opens its incident, or joins the open one of the same problem. `cause` is the id of the
    /// invocation: Lambda's own repetition of an invocation has the same.
    pub fn signal(&self, cause: &str, now: Timestamp) -> Signal {
        let default = || format!("person|{}|{}", self.resource, self.title);
        let problem = self.problem.clone().unwrap_or_else(default);
        let event = format!("declare|{problem}|{cause}");
        let labels = [("declared_by", &self.by), ("resource", &self.resource)];
        presentable(Signal {
            changed_at: Some(now),
            title: self.title.clone(),
            reason: self.reason.clone().unwrap_or_default(),
            severity: Some(self.severity),
            labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect(),
            runbook: self.runbook.clone(),
            ..blank(Source::Person, problem, event)
        })
    }
}

impl Resolve {
    /// The signal that resolves the incident that it names; see [`Declare::signal`] for `cause`.
    pub fn signal(&self, incident: &Incident, cause: &str, now: Timestamp) -> Signal {
        let problem = incident.problem.clone();
        let event = format!("resolve|{problem}|{cause}");
        presentable(Signal {
            change: Change::Resolved,
            changed_at: Some(now),
            title: incident.title.clone(),
            reason: format!("{}: {}", self.by, self.reason),
            labels: BTreeMap::from([("resolved_by".to_owned(), self.by.clone())]),
            ..blank(Source::Person, problem, event)
        })
    }
}

/// The one problem that a request names; none if it names all.
fn one_problem(problem: &str) -> Option<&str> {
    (problem != ALL).then_some(problem)
}

impl Mute {
    fn check(&self) -> Result<(), InvalidEvent> {
        one_line("mute.problem", &self.problem, LONGEST_KEY)?;
        one_line("mute.reason", &self.reason, LONGEST_LINE)?;
        one_line("mute.by", &self.by, LONGEST_NAME)?;
        if self.until.is_some() == self.minutes.is_some() {
            return Err(InvalidEvent::at("mute", "expected either until or minutes"));
        }
        let longest = LONGEST_MUTE.as_mins();
        if self.minutes.is_some_and(|minutes| !(1..=longest).contains(&minutes.into())) {
            return Err(InvalidEvent::at("mute.minutes", &format!("expected 1 to {longest}")));
        }
        Ok(())
    }

    /// The problem's identity; none for all problems.
    pub fn problem(&self) -> Option<&str> {
        one_problem(&self.problem)
    }

    /// The mute to store.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] if it is over at `now`, or ends more than [`LONGEST_MUTE`] later.
    pub fn order(&self, now: Timestamp) -> Result<crate::Mute, InvalidEvent> {
        let minutes = SignedDuration::from_mins(self.minutes.unwrap_or_default().into());
        let until = self.until.or_else(|| now.checked_add(minutes).ok()).unwrap_or(now);
        let lasts = until.duration_since(now);
        if lasts <= SignedDuration::ZERO || lasts > LONGEST_MUTE {
            let reason = "expected an instant in the next 24 hours";
            return Err(InvalidEvent::at("mute.until", reason));
        }
        Ok(crate::Mute { by: self.by.clone(), reason: self.reason.clone(), until })
    }
}

impl Unmute {
    /// The problem's identity; none for the mute of all problems. Mutes of single problems stay.
    pub fn problem(&self) -> Option<&str> {
        one_problem(&self.problem)
    }

    /// What replaces the mute: one that is over at `now`.
    pub fn order(&self, now: Timestamp) -> crate::Mute {
        crate::Mute { by: self.by.clone(), reason: String::new(), until: now }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn sample(verb: &str) -> Value {
        let path = format!("../../events/incident-page/person-{verb}.json");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    }

    fn read(event: Value) -> Result<Request, InvalidEvent> {
        assert!(Request::is(&event), "{event}");
        Request::try_from(event)
    }

    /// The field that a refusal names.
    fn field(event: Value) -> String {
        read(event).unwrap_err().field
    }

    fn mute(event: &Value) -> Mute {
        match read(event.clone()) {
            Ok(Request::Mute(mute)) => mute,
            other => panic!("{other:?}"),
        }
    }

    /// A sample with one field changed, or removed.
    fn with(name: &str, field: &str, value: Option<Value>) -> Value {
        let mut event = sample(name);
        let (_, fields) = event.as_object_mut().unwrap().iter_mut().next().unwrap();
        let fields = fields.as_object_mut().unwrap();
        match value {
            Some(value) => fields.insert(field.to_owned(), value),
            None => fields.remove(field),
        };
        event
    }

    #[test]
    fn every_sample_is_read() {
        for verb in VERBS {
            let request = read(sample(verb)).unwrap_or_else(|error| panic!("{verb}: {error}"));
            let read = match request {
                Request::Declare(_) => "declare",
                Request::Acknowledge(_) => "acknowledge",
                Request::Resolve(_) => "resolve",
                Request::Mute(_) => "mute",
                Request::Unmute(_) => "unmute",
            };
            assert_eq!(read, verb);
        }
    }

    #[test]
    fn every_payload_of_the_page_is_accepted() {
        let page = include_str!("../../../docs/incidentes.md");
        let payloads: Vec<_> = page.lines().filter(|line| line.starts_with("{\"")).collect();
        for payload in &payloads {
            let request = read(serde_json::from_str(payload).unwrap());
            assert!(request.is_ok(), "{payload}: {request:?}");
        }
        for verb in VERBS {
            let is_shown = payloads.iter().any(|payload| payload.starts_with(&format!("{{\"{verb}\"")));
            assert!(is_shown, "docs/incidentes.md does not show {verb}");
        }
    }

    #[test]
    fn other_events_are_no_requests() {
        for event in [
            json!({}),
            json!(null),
            json!("declare"),
            json!(["mute"]),
            json!({"Records": []}),
            json!({"awslogs": {"data": ""}}),
            json!({"alarmArn": "arn"}),
            json!({"mutes": {}}),
        ] {
            assert!(!Request::is(&event), "{event}");
        }
    }

    #[test]
    fn a_declaration_needs_title_severity_resource_and_person() {
        for name in ["title", "severity", "resource", "by"] {
            let error = read(with("declare", name, None)).unwrap_err();
            assert_eq!((error.field.as_str(), error.reason), ("declare", format!("missing field `{name}`")));
        }
        for name in ["reason", "runbook", "problem"] {
            assert!(read(with("declare", name, None)).is_ok(), "{name}");
        }
        let line = |length: usize| Some(json!("é".repeat(length)));
        for (name, most) in [
            ("title", 200),
            ("resource", 200),
            ("by", 100),
            ("reason", 4_000),
            ("runbook", 1_000),
            ("problem", 2_000),
        ] {
            assert!(read(with("declare", name, line(most))).is_ok(), "{name}");
            for wrong in [line(most + 1), line(0), Some(json!(" \n"))] {
                assert_eq!(field(with("declare", name, wrong)), format!("declare.{name}"));
            }
            assert_eq!(field(with("declare", name, Some(json!(7)))), format!("declare.{name}"));
        }
        for name in ["title", "resource", "by", "runbook", "problem"] {
            assert_eq!(field(with("declare", name, Some(json!("a\nb")))), format!("declare.{name}"));
        }
        assert!(read(with("declare", "reason", Some(json!("a\nb")))).is_ok());
        for severity in ["S0", "S1", "S2", "S3"] {
            assert!(read(with("declare", "severity", Some(json!(severity)))).is_ok(), "{severity}");
        }
        for severity in [json!("s1"), json!("S4"), json!("critical"), json!(1), json!(null)] {
            assert_eq!(field(with("declare", "severity", Some(severity))), "declare.severity");
        }
        assert_eq!(field(with("declare", "problem", Some(json!("*")))), "declare.problem");
        assert_eq!(field(with("declare", "owner", Some(json!("x")))), "declare.owner");
        assert_eq!(field(json!({"declare": {}, "mute": {}})), ".");
        assert_eq!(field(json!({"declare": {}, "by": "Ana"})), ".");
        assert_eq!(field(json!({"declare": "API"})), "declare");
        assert_eq!(field(json!({"mute": null})), "mute");
    }

    #[test]
    fn only_an_id_names_an_incident() {
        for name in ["acknowledge", "resolve"] {
            let of = |id: &str| with(name, "incident", Some(json!(id)));
            for id in ["INC-20261129-7Q2MZK4A", "INC-20261129-00000000"] {
                assert!(read(of(id)).is_ok(), "{id}");
            }
            for id in [
                "",
                "INC-",
                "INC-20261129-7Q2MZK4",
                "INC-20261129-7Q2MZK4AB",
                "inc-20261129-7Q2MZK4A",
                "INC-20261129-7q2mzk4a",
                "INC-2026112A-7Q2MZK4A",
                "INC-20261129_7Q2MZK4A",
                "INC-20261129-7Q2MZK4#",
                "INC-20261129-7Q2MZKé",
                " INC-20261129-7Q2MZK4A",
            ] {
                assert_eq!(field(of(id)), format!("{name}.incident"), "{id}");
            }
            assert_eq!(field(with(name, "by", Some(json!("")))), format!("{name}.by"));
            assert_eq!(field(with(name, "by", None)), name);
            assert_eq!(field(with(name, "until", Some(json!("x")))), format!("{name}.until"));
        }
        assert_eq!(field(with("resolve", "reason", None)), "resolve");
        assert_eq!(field(with("resolve", "reason", Some(json!("a\nb")))), "resolve.reason");
    }

    #[test]
    fn a_mute_ends_within_a_day() {
        let now = at("2026-11-29T12:00:00Z");
        let with_until = |text: &str| {
            let mut event = with("mute", "until", Some(json!(text)));
            event["mute"].as_object_mut().unwrap().remove("minutes");
            event
        };
        let until = |text: &str| mute(&with_until(text)).order(now);
        for (text, expected) in [
            ("2026-11-29T12:00:00.001Z", true),
            ("2026-11-29T09:00:01-03:00", true),
            ("2026-11-30T12:00:00Z", true),
            ("2026-11-30T09:00:00-03:00", true),
            ("2026-11-29T12:00:00Z", false),
            ("2026-11-29T09:00:00-03:00", false),
            ("2026-11-30T12:00:00.001Z", false),
            ("2020-01-01T00:00:00Z", false),
            ("9999-12-30T22:00:00Z", false),
        ] {
            let order = until(text);
            match order {
                Ok(order) => assert!(expected && order.until == at(text), "{text}"),
                Err(error) => assert!(!expected && error.field == "mute.until", "{text}"),
            }
        }
        for text in ["", "2026-11-29", "2026-11-29T18:00", "2026-11-29T18:00:00", "18:00", "tomorrow"] {
            let error = read(with_until(text)).unwrap_err();
            assert_eq!(error.field, "mute.until", "{text}");
            assert!(error.reason.starts_with("expected an instant with its offset"), "{error}");
        }
        for (minutes, end) in
            [(1, "2026-11-29T12:01:00Z"), (30, "2026-11-29T12:30:00Z"), (1440, "2026-11-30T12:00:00Z")]
        {
            let order = mute(&with("mute", "minutes", Some(json!(minutes)))).order(now).unwrap();
            let expected = crate::Mute {
                by: "Ana Souza".to_owned(),
                reason: "deploy da versão 2.4".to_owned(),
                until: at(end),
            };
            assert_eq!(order, expected);
        }
        for minutes in [json!(0), json!(1441), json!(-1), json!(70_000), json!("30"), json!(1.5)] {
            assert_eq!(field(with("mute", "minutes", Some(minutes))), "mute.minutes");
        }
    }

    #[test]
    fn a_mute_needs_problem_reason_person_and_one_end() {
        assert_eq!(field(with("mute", "minutes", None)), "mute");
        assert_eq!(field(with("mute", "until", Some(json!("2026-11-29T18:00:00Z")))), "mute");
        for name in ["problem", "reason", "by"] {
            assert_eq!(field(with("mute", name, None)), "mute", "{name}");
            for wrong in ["", " ", "a\nb"] {
                assert_eq!(field(with("mute", name, Some(json!(wrong)))), format!("mute.{name}"));
            }
        }
        let of =
            |problem: &str| mute(&with("mute", "problem", Some(json!(problem)))).problem().map(str::to_owned);
        assert_eq!(of("*"), None);
        assert_eq!(of("**").as_deref(), Some("**"));
    }

    #[test]
    fn an_unmute_is_a_mute_that_is_over() {
        let now = at("2026-11-29T12:00:00Z");
        let Ok(Request::Unmute(unmute)) = read(sample("unmute")) else { panic!("not an unmute") };
        assert_eq!(unmute.problem(), mute(&sample("mute")).problem());
        assert_eq!(
            unmute.order(now),
            crate::Mute { by: "Ana Souza".to_owned(), reason: String::new(), until: now }
        );
        let Ok(Request::Unmute(all)) = read(with("unmute", "problem", Some(json!("*")))) else {
            panic!("not one")
        };
        assert_eq!(all.problem(), None);
        for name in ["problem", "by"] {
            assert_eq!(field(with("unmute", name, Some(json!("")))), format!("unmute.{name}"));
        }
        assert_eq!(field(with("unmute", "minutes", Some(json!(5)))), "unmute.minutes");
    }

    #[test]
    fn a_declaration_is_a_signal_that_pages() {
        let now = at("2026-11-29T12:00:00Z");
        let of = |event: Value| match read(event).unwrap() {
            Request::Declare(declare) => declare,
            other => panic!("{other:?}"),
        };
        let declare = of(sample("declare"));
        let signal = declare.signal("request-1", now);
        let expected = Signal {
            source: Source::Person,
            problem: "arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-prod-api-5xx".to_owned(),
            event: "declare|arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-prod-api-5xx|request-1"
                .to_owned(),
            change: Change::Triggered,
            changed_at: Some(now),
            title: "Ninguém consegue entrar".to_owned(),
            reason: "Três unidades ligaram.\nA tela de login fica em branco.".to_owned(),
            severity: Some(Severity::S1),
            labels: BTreeMap::from([
                ("declared_by".to_owned(), "Ana Souza".to_owned()),
                ("resource".to_owned(), "moveongs-prod-api".to_owned()),
            ]),
            runbook: Some("docs/incidentes.md".to_owned()),
            owner: None,
            link: None,
            muted_by_source: None,
            understood: true,
        };
        assert_eq!(signal, expected);
        // Another invocation is another event of the same problem.
        assert_ne!(declare.signal("request-2", now).event, signal.event);
        let plain = of(with("declare", "problem", None)).signal("request-1", now);
        assert_eq!(plain.problem, "person|moveongs-prod-api|Ninguém consegue entrar");
        let odd = of(with("declare", "reason", Some(json!("a\u{1b}[31m\u{202e}b\nc")))).signal("r", now);
        assert_eq!(odd.reason, "a [31m b\nc");
        let none = of(with("declare", "reason", None)).signal("r", now);
        assert_eq!((none.reason.as_str(), none.understood), ("", true));
    }

    #[test]
    fn a_persons_word_resolves_the_incidents_problem() {
        let now = at("2026-11-29T12:00:00Z");
        let Ok(Request::Resolve(resolve)) = read(sample("resolve")) else { panic!("not a resolve") };
        let incident =
            Incident { problem: "p".to_owned(), title: "API fora do ar".to_owned(), ..Incident::default() };
        let signal = resolve.signal(&incident, "request-1", now);
        assert_eq!((signal.problem.as_str(), signal.change), ("p", Change::Resolved));
        assert_eq!((signal.event.as_str(), signal.source), ("resolve|p|request-1", Source::Person));
        assert_eq!(signal.reason, "Ana Souza: o login voltou às 10:40");
        assert_eq!(signal.changed_at, Some(now));
    }
}
