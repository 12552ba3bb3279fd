//! The event: a step of the state machine, or an event of CloudTrail.

use serde::Deserialize;
use serde_json::Value;
use shared::run::ledger::Line;
use shared::runtime::event::{InvalidEvent, is_line, parse};
use shared::workflow::Run;

pub(crate) mod trail;

use crate::error::FollowupError;
use crate::rules::change::{Declared, Reason};
use trail::{Session, TrailEvent};

/// A request to the function.
#[derive(Debug)]
pub(crate) enum Request {
    /// From the state machine; to its last step, with the answers of the functions that retire old credentials.
    Step(Run<Step, Source>, Vec<Line>),
    /// From EventBridge, with an event of CloudTrail.
    Trail(TrailEvent),
}

/// The steps of the state machine.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Step {
    /// Notice changed secrets.
    Note,
    /// Take the waiting changes.
    Take,
    /// Deploy the services again.
    Deploy,
    /// Check the rollout.
    Watch,
    /// Prove that the application uses the new values.
    Prove,
    /// Move the labels back where that helps.
    RollBack,
    /// Record that the new values are in use, for the functions that retire the old ones.
    Record,
    /// Report, record and close.
    Finish,
}

/// The trigger of an execution: its input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// AWSCURRENT of a secret has moved. The event may come late, twice or never.
    Moved(String),
    /// The daily sweep: compare all secrets.
    Sweep,
    /// A person requests a follow-up of this secret.
    Asked(String, Declared),
}

/// Answers of the functions that retire old credentials; empty for one that failed or was not called.
#[derive(Default, Deserialize)]
struct Retired {
    #[serde(default)]
    database: Lines,
    #[serde(default)]
    external: Lines,
}

/// JSONata can turn a list of one element into that element.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lines {
    One(Line),
    Many(Vec<Line>),
}

impl Default for Lines {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Retired {
    fn lines(self) -> Vec<Line> {
        let lines = [self.database, self.external].into_iter().map(|lines| match lines {
            Lines::One(line) => vec![line],
            Lines::Many(lines) => lines,
        });
        lines.flatten().collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    secret: String,
    #[serde(default = "manual")]
    reason: Reason,
    by: String,
}

fn manual() -> Reason {
    Reason::Manual
}

#[derive(Deserialize)]
struct Moved {
    resources: Vec<String>,
    detail: Label,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Label {
    label_updated: String,
}

impl Request {
    /// Reads an event; `own` are the sessions of this stack's functions.
    ///
    /// # Errors
    ///
    /// [`FollowupError::InvalidEvent`] names the field.
    pub(crate) fn read(mut event: Value, own: &[Session]) -> Result<Self, FollowupError> {
        if event.get("detail-type").is_some() {
            return Ok(Self::Trail(trail::parse(event, own)?));
        }
        let retired = event.as_object_mut().and_then(|fields| fields.remove("retired"));
        let retired: Option<Retired> = retired.map(parse).transpose().map_err(|_| {
            InvalidEvent::at("retired", "expected the answers of the functions that retire old credentials")
        })?;
        Ok(Self::Step(Run::read(event, source)?, retired.unwrap_or_default().lines()))
    }
}

fn source(value: Value) -> Result<Source, InvalidEvent> {
    if value.get("detail-type").is_some_and(|kind| kind == "Secret Label Updated") {
        let moved: Moved = parse(value)?;
        if moved.detail.label_updated != "AWSCURRENT" {
            return Err(InvalidEvent::at("input.detail.labelUpdated", "expected AWSCURRENT"));
        }
        let [secret] = moved.resources.as_slice() else {
            return Err(InvalidEvent::at("input.resources", "expected the ARN of one secret"));
        };
        return Ok(Source::Moved(secret.clone()));
    }
    if value.get("sweep").is_some_and(|sweep| sweep == true) {
        return Ok(Source::Sweep);
    }
    let asked: Asked = parse(value)?;
    if !is_line(&asked.by, 100) {
        return Err(InvalidEvent::at(
            "input.by",
            "expected the name of a person, one line of at most 100 characters",
        ));
    }
    // The name appears in commands that people paste into a shell.
    let is_name = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-:".contains(c);
    if !is_line(&asked.secret, 2048) || !asked.secret.chars().all(is_name) {
        return Err(InvalidEvent::at("input.secret", "expected the name or ARN of a secret"));
    }
    Ok(Source::Asked(asked.secret, Declared { reason: asked.reason, by: asked.by }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(event: Value) -> Result<(Run<Step, Source>, Vec<Line>), FollowupError> {
        Request::read(event, &[]).map(|request| match request {
            Request::Step(run, retired) => (run, retired),
            Request::Trail(_) => panic!("not a step"),
        })
    }

    fn noted(input: &Value) -> Result<Source, FollowupError> {
        let (run, _) = step(json!({"step": "note", "execution": "e", "input": input}))?;
        assert_eq!(run.step, Step::Note);
        Ok(run.input()?)
    }

    #[test]
    fn each_source_starts_an_execution() {
        let moved = json!({"detail-type": "Secret Label Updated", "source": "aws.secretsmanager", "resources": ["arn:1"],
            "detail": {"name": "n", "labelUpdated": "AWSCURRENT", "versionId": "v"}});
        assert_eq!(noted(&moved), Ok(Source::Moved("arn:1".to_owned())));
        assert_eq!(noted(&json!({"sweep": true})), Ok(Source::Sweep));
        let declared = |reason| Declared { reason, by: "ana".to_owned() };
        let asked = |reason| Ok(Source::Asked("/a".to_owned(), declared(reason)));
        assert_eq!(noted(&json!({"secret": "/a", "by": "ana"})), asked(Reason::Manual));
        assert_eq!(
            noted(&json!({"secret": "/a", "by": "ana", "reason": "incident"})),
            asked(Reason::Incident)
        );
    }

    #[test]
    fn a_refused_event_names_the_field() {
        fn field<T: std::fmt::Debug>(asked: Result<T, FollowupError>) -> String {
            match asked.unwrap_err() {
                FollowupError::InvalidEvent(InvalidEvent { field, .. }) => field,
                other => panic!("{other}"),
            }
        }
        let label = |label: &str, resources: Value| json!({"detail-type": "Secret Label Updated", "resources": resources, "detail": {"labelUpdated": label}});
        assert_eq!(field(noted(&label("AWSPENDING", json!(["a"])))), "input.detail.labelUpdated");
        assert_eq!(field(noted(&label("AWSCURRENT", json!(["a", "b"])))), "input.resources");
        assert_eq!(field(noted(&json!({"secret": "/a", "by": "a\nb"}))), "input.by");
        for secret in [" ", "/a'; echo"] {
            assert_eq!(field(noted(&json!({"secret": secret, "by": "a"}))), "input.secret");
        }
        assert_eq!(field(noted(&json!({"secret": "/a", "by": "a", "reason": "fun"}))), "reason");
        assert_eq!(field(noted(&json!({"secret": "/a", "by": "a", "other": 1}))), "other");
        assert_eq!(field(step(json!({"step": "jump", "execution": "e"}))), "step");
        assert_eq!(field(step(json!({"step": "take"}))), ".");
        assert_eq!(field(step(json!({"step": "take", "execution": "e", "retire": []}))), "retire");
    }

    #[test]
    fn the_error_that_broke_an_execution_reaches_finish() {
        let broken = |input: Value| {
            let failure = json!({"Error": "EcsCall", "Cause": "why"});
            let event = json!({"step": "finish", "execution": "e", "failure": failure, "input": input});
            let (run, _) = step(event).unwrap();
            assert_eq!(run.broken.unwrap().kind, "EcsCall");
            run.input
        };
        assert_eq!(broken(json!({"sweep": true})), Some(Source::Sweep));
        assert_eq!(broken(json!({"sweep": "maybe"})), None);
    }

    #[test]
    fn the_answers_about_old_credentials_reach_finish() {
        let line = json!({"secret": "/a", "did": "ended", "why": ""});
        let whole = Line { secret: "/a".to_owned(), did: "ended".to_owned(), why: String::new() };
        for (retired, expected) in [
            (json!({"database": [line], "external": []}), vec![whole.clone()]),
            (json!({"database": line, "external": [line]}), vec![whole.clone(), whole]),
            // The path through RollBack calls neither function.
            (json!({"status": "stays", "wait_seconds": 0}), Vec::new()),
        ] {
            let finish = json!({"step": "finish", "execution": "e", "retired": retired});
            let (run, lines) = step(finish).unwrap();
            assert_eq!((run.broken, lines), (None, expected));
        }
        let finish = json!({"step": "finish", "execution": "e", "retired": {"database": {"secret": "/a"}}});
        let refused = Request::read(finish, &[]).unwrap_err().to_string();
        assert!(refused.contains("field retired: expected the answers"), "{refused}");
    }
}
