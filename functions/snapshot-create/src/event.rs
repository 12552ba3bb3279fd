//! The event: a deploy's request, from a pipeline or a person, or a step of the state machine.

use serde::Deserialize;
use serde_json::Value;
use shared::runtime::event::{InvalidEvent, is_line, parse};
use shared::workflow::Run;

use crate::rules::request::Request;
use crate::rules::tags;

/// The event that invoked the function.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// Request the snapshot and answer at once.
    Direct(Request),
    /// One step of the state machine.
    Step(Run<Step, Request>),
}

/// The steps of the state machine.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    /// Request the snapshot.
    Create,
    /// Poll the snapshot.
    Watch,
    /// Report and record.
    Finish,
}

impl TryFrom<Value> for Event {
    type Error = InvalidEvent;

    fn try_from(event: Value) -> Result<Self, Self::Error> {
        Ok(match event.get("step") {
            None => Self::Direct(request(event)?),
            Some(_) => Self::Step(Run::read(event, request)?),
        })
    }
}

fn request(value: Value) -> Result<Request, InvalidEvent> {
    let request: Request = parse(value)?;
    let is_tag = |text: &str, most: usize| {
        !text.is_empty()
            && text.len() <= most
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.:/=+-@".contains(c))
            && !tags::is_reserved(text)
    };
    if !is_tag(&request.deploy, 128) {
        let expected = "expected 1 to 128 letters, digits or _.:/=+-@, not beginning with aws: or rds:";
        return Err(InvalidEvent::at("deploy", expected));
    }
    if request.commit.as_ref().is_some_and(|commit| !is_tag(commit, 64)) {
        return Err(InvalidEvent::at("commit", "expected a commit, at most 64 letters, digits or _.:/=+-@"));
    }
    for (field, text) in [("reason", &request.reason), ("by", &request.by)] {
        if !is_line(text, 200) {
            return Err(InvalidEvent::at(field, "expected one line of at most 200 characters"));
        }
    }
    let is_identifier = |text: &String| {
        text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    if !request.instance.as_ref().is_none_or(is_identifier) {
        return Err(InvalidEvent::at(
            "instance",
            "expected the identifier of a DB instance or cluster, in lower case",
        ));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({"deploy": "run-17-1", "reason": "migração", "by": "ana", "commit": "0f3c9a1", "instance": "moveongs-dev-db"})
    }

    fn with(field: &str, value: impl Into<Value>) -> Value {
        let mut event = good();
        event[field] = value.into();
        event
    }

    #[test]
    fn requests_and_steps_are_accepted() {
        let Ok(Event::Direct(request)) = Event::try_from(good()) else { panic!() };
        assert_eq!((request.deploy.as_str(), request.commit.as_deref()), ("run-17-1", Some("0f3c9a1")));
        let least = json!({"deploy": "d", "reason": "r", "by": "b"});
        let Ok(Event::Direct(request)) = Event::try_from(least.clone()) else { panic!() };
        assert_eq!((request.commit, request.instance), (None, None));
        let of_cluster = json!({"deploy": "d", "reason": "r", "by": "b", "cluster": "moveongs-dev"});
        let Ok(Event::Direct(request)) = Event::try_from(of_cluster.clone()) else { panic!() };
        assert_eq!(request.instance.as_deref(), Some("moveongs-dev"));
        let mut both = of_cluster;
        both["instance"] = json!("moveongs-dev-db");
        assert!(Event::try_from(both).is_err());
        let step = |step: &str, more: Value| {
            let mut event = json!({"step": step, "execution": "e", "input": least});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            match Event::try_from(event).unwrap() {
                Event::Step(run) => (run.step, run.poll, run.broken.map(|broken| broken.kind)),
                Event::Direct(request) => panic!("{request:?}"),
            }
        };
        assert_eq!(step("create", json!({"poll": 3})), (Step::Create, 3, None));
        assert_eq!(step("watch", json!({"poll": 2})), (Step::Watch, 2, None));
        assert_eq!(step("finish", json!({})), (Step::Finish, 1, None));
        let failure = json!({"failure": {"Error": "RdsCall", "Cause": "why"}});
        assert_eq!(step("finish", failure), (Step::Finish, 1, Some("RdsCall".to_owned())));
    }

    #[test]
    fn a_refusal_names_the_field() {
        let field = |event: Value| Event::try_from(event).unwrap_err().field;
        for (name, value) in [
            ("deploy", json!("")),
            ("deploy", json!("a b")),
            ("deploy", json!("aws:x")),
            ("deploy", json!("x".repeat(129))),
            ("commit", json!("'; rm")),
            ("commit", json!("x".repeat(65))),
            ("reason", json!("a\nb")),
            ("reason", json!("x".repeat(201))),
            ("by", json!(" ")),
            ("instance", json!("Moveongs")),
            ("instance", json!("x".repeat(64))),
            ("instance", json!("*")),
            ("wait", json!(true)),
            ("deploy", json!(7)),
        ] {
            assert_eq!(field(with(name, value.clone())), name, "{value}");
        }
        assert!(Event::try_from(with("deploy", "x".repeat(128))).is_ok());
        assert_eq!(field(json!({"deploy": "d"})), ".");
        assert_eq!(field(json!("deploy")), ".");
        assert_eq!(field(json!({"step": "jump", "execution": "e", "input": good()})), "step");
        assert_eq!(field(json!({"step": "create", "execution": "e", "input": with("by", "")})), "by");
    }

    #[test]
    fn a_refused_input_is_still_reported() {
        let failure = json!({"Error": "InvalidEvent", "Cause": "field by"});
        let event = json!({"step": "finish", "execution": "e", "input": with("by", ""), "failure": failure});
        let Ok(Event::Step(run)) = Event::try_from(event) else { panic!() };
        assert_eq!((run.input, run.broken.unwrap().detail.as_str()), (None, "field by"));
        let event = json!({"step": "finish", "execution": "e", "input": with("by", "")});
        assert_eq!(Event::try_from(event).unwrap_err().field, "by");
    }
}
