//! The event: a step of the state machine, or a person's order about the open restore.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::runtime::event::{InvalidEvent, is_line, parse};
use shared::workflow::Run;

/// A request to the function.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// One step of the state machine; to a step that waits, with the task's token.
    Step(Run<Step, Input>, Option<String>),
    /// A person's order.
    Order(Box<Order>),
}

/// The steps of the state machine.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    /// Take the only place for a restore, or resume the open one.
    Open,
    /// List what can be restored, with the loss of each.
    Choices,
    /// Ask a person and keep the token of the waiting task.
    Ask,
    /// Restore to the new instance.
    Restore,
    /// Give the logins of the new instance the passwords of the secrets.
    Align,
    /// Read the new instance and judge it.
    Prove,
    /// Keep the application from deleting at its start.
    Guard,
    /// Move the secrets.
    Switch,
    /// Run the configured migration.
    Migrate,
    /// Deploy the services and watch them.
    Deploy,
    /// Check the application.
    Smoke,
    /// Note the error that stopped a step, and say what can be done.
    Fail,
    /// Report, record and close.
    Finish,
}

/// The execution's input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Input {
    /// Begin a restore.
    Start(Box<Start>),
    /// Go on with the open one in this execution.
    Resume(Resume),
}

/// A requested restore.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Start {
    /// The person who starts it.
    pub by: String,
    /// What happened, in one line.
    pub reason: String,
    /// Number of the incident, if one is open already.
    #[serde(default)]
    pub incident: Option<String>,
    /// What to restore; without it, the restore lists the choices and waits.
    #[serde(default)]
    pub source: Option<Source>,
    /// Whether this is an exercise, outside production.
    #[serde(default)]
    pub rehearsal: bool,
    /// The person who learns by watching the exercise.
    #[serde(default)]
    pub observer: Option<String>,
    /// The lost instance, if it cannot be found by the address in the secret.
    #[serde(default)]
    pub instance: Option<String>,
    /// Settings that neither RDS nor the Terraform state has.
    #[serde(default)]
    pub settings: Option<Given>,
}

/// Settings of the new instance, given by a person.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Given {
    /// E.g. `db.r6g.large`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Name of the subnet group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_group: Option<String>,
    /// Ids of the security groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<String>>,
    /// Name of the parameter group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter_group: Option<String>,
    /// Name of the option group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option_group: Option<String>,
    /// E.g. `gp3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<String>,
    /// Whether it has a standby.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_az: Option<bool>,
}

/// A restore to go on with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resume {
    /// The restore, e.g. `r20261130-1`.
    pub resume: String,
    /// The person who resumes it.
    pub by: String,
}

/// What is restored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// The latest point in time that RDS can restore.
    Latest,
    /// The snapshot of this name.
    Snapshot(String),
    /// This point in time.
    Time(Timestamp),
    /// The automated backups of one database, if several had the instance's name.
    Backup {
        /// `DbiResourceId` of the instance.
        resource: String,
        /// The point in time; without it, the latest possible one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<Timestamp>,
    },
}

/// A person's order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Order {
    /// What to do.
    pub order: Verb,
    /// Tells it apart from others: the same id is the same order, whatever was ordered in between. The desk gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The restore; may be absent for `status`.
    #[serde(default)]
    pub run: String,
    /// The person; may be absent for `status`.
    #[serde(default)]
    pub by: String,
    /// For `choose`: what to restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// For `approve`: the new instance whose proof the person saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// For `approve` by the person who started the restore: why no second person approves.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub alone: Option<String>,
    /// For `approve` of a copy whose proof is not good: its verdict, a colon, and the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub despite_proof: Option<String>,
    /// For `approve` of an application that failed its check: why it is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub despite_smoke: Option<String>,
    /// For `choose` and `retry`: settings of the new instance that RDS refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Given>,
    /// For `retry` after `MigrationUnknown`: what a person found out about the migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<Found>,
    /// Why, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a person found out about a migration whose end ECS no longer knows.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Found {
    /// It was done: the restore goes on without another one.
    Done,
    /// It was not done, or may be done twice: another one runs.
    Again,
}

/// What an order demands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Verb {
    /// Restore this.
    Choose,
    /// Bring the new instance into use.
    Approve,
    /// End the restore before the application was switched.
    Reject,
    /// Repeat the failed step.
    Retry,
    /// Return to the old database.
    RollBack,
    /// Go to the new database again.
    Forward,
    /// End the restore as it is.
    Close,
    /// Tell how it stands.
    Status,
}

impl TryFrom<Value> for Event {
    type Error = InvalidEvent;

    fn try_from(mut event: Value) -> Result<Self, Self::Error> {
        if event.get("order").is_some() {
            return order(event).map(|order| Self::Order(Box::new(order)));
        }
        let token = event.as_object_mut().and_then(|fields| fields.remove("token"));
        let token = token.map(parse).transpose()?;
        Ok(Self::Step(Run::read(event, input)?, token))
    }
}

fn input(value: Value) -> Result<Input, InvalidEvent> {
    if value.get("resume").is_some() {
        let resume: Resume = parse(value)?;
        run("resume", &resume.resume)?;
        line("by", &resume.by, 100)?;
        return Ok(Input::Resume(resume));
    }
    let start: Start = parse(value)?;
    line("by", &start.by, 100)?;
    line("reason", &start.reason, 300)?;
    for (field, text) in [("incident", &start.incident), ("observer", &start.observer)] {
        text.as_ref().map_or(Ok(()), |text| line(field, text, 100))?;
    }
    if let Some(instance) = &start.instance {
        identifier("instance", instance)?;
    }
    start.source.as_ref().map_or(Ok(()), source)?;
    start.settings.as_ref().map_or(Ok(()), given)?;
    if start.observer.is_some() && !start.rehearsal {
        return Err(InvalidEvent::at("observer", "only a rehearsal has an observer"));
    }
    Ok(Input::Start(Box::new(start)))
}

fn given(settings: &Given) -> Result<(), InvalidEvent> {
    let Given { class, subnet_group, security_groups, parameter_group, option_group, storage_type, .. } =
        settings;
    let one = [class, subnet_group, parameter_group, option_group, storage_type];
    let mut all = one.into_iter().flatten().chain(security_groups.iter().flatten());
    let is_name = |name: &String| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        !name.is_empty() && name.len() <= 255 && name.chars().all(is_part)
    };
    if all.clone().any(|name| UNFILLED.contains(&name.as_str())) {
        return Err(InvalidEvent::at(
            "settings",
            "replace the placeholders by the names in Terraform or in the console",
        ));
    }
    if all.all(is_name) {
        Ok(())
    } else {
        Err(InvalidEvent::at("settings", "expected names of letters, digits, hyphens, dots and colons"))
    }
}

fn order(event: Value) -> Result<Order, InvalidEvent> {
    let order: Order = parse(event)?;
    if order.order != Verb::Status || !order.run.is_empty() {
        run("run", &order.run)?;
    }
    if order.order != Verb::Status || !order.by.is_empty() {
        line("by", &order.by, 100)?;
    }
    let texts = [
        ("id", &order.id),
        ("instance", &order.instance),
        ("override", &order.alone),
        ("despiteProof", &order.despite_proof),
        ("despiteSmoke", &order.despite_smoke),
        ("reason", &order.reason),
    ];
    for (field, text) in texts {
        text.as_ref().map_or(Ok(()), |text| line(field, text, 300))?;
    }
    match (order.order, &order.source) {
        (Verb::Choose, Some(chosen)) => source(chosen)?,
        (Verb::Choose, None) => {
            return Err(InvalidEvent::at(
                "source",
                r#"expected "latest", {"snapshot": NAME}, {"time": INSTANT} or {"backup": {"resource": ID}}"#,
            ));
        }
        (_, Some(_)) => return Err(InvalidEvent::at("source", "only choose names a source")),
        (_, None) => {}
    }
    match (order.order, &order.settings) {
        (Verb::Choose | Verb::Retry, Some(settings)) => given(settings)?,
        (_, Some(_)) => return Err(InvalidEvent::at("settings", "only choose and retry change settings")),
        (_, None) => {}
    }
    if order.order != Verb::Retry && order.migration.is_some() {
        return Err(InvalidEvent::at("migration", "only retry says what became of the migration"));
    }
    let of_approve = [&order.instance, &order.alone, &order.despite_proof, &order.despite_smoke];
    if order.order != Verb::Approve && of_approve.into_iter().any(Option::is_some) {
        let reason = "instance, override, despiteProof and despiteSmoke belong to approve";
        return Err(InvalidEvent::at("order", reason));
    }
    Ok(order)
}

fn source(source: &Source) -> Result<(), InvalidEvent> {
    match source {
        Source::Latest | Source::Time(_) => Ok(()),
        Source::Backup { resource, .. } => {
            let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if !resource.is_empty() && resource.len() <= 255 && resource.chars().all(is_id) {
                return Ok(());
            }
            Err(InvalidEvent::at("source.backup.resource", "expected the DbiResourceId of an instance"))
        }
        Source::Snapshot(name) => {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-:".contains(c);
            if !name.is_empty() && name.len() <= 255 && name.chars().all(is_name) {
                return Ok(());
            }
            Err(InvalidEvent::at("source.snapshot", "expected the name of a snapshot"))
        }
    }
}

/// Checks the name of a restore. It appears in commands and in names of RDS.
fn run(field: &'static str, name: &str) -> Result<(), InvalidEvent> {
    let is_run = name.strip_prefix('r').and_then(|rest| rest.split_once('-')).is_some_and(|(day, number)| {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        day.len() == 8 && digits(day) && digits(number) && number.len() <= 3
    });
    if is_run {
        Ok(())
    } else {
        Err(InvalidEvent::at(field, "expected the name of a restore, e.g. r20261130-1"))
    }
}

fn identifier(field: &'static str, name: &str) -> Result<(), InvalidEvent> {
    let is_identifier = name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit());
    if is_identifier {
        Ok(())
    } else {
        Err(InvalidEvent::at(field, "expected the identifier of an RDS instance"))
    }
}

/// Placeholders of the commands in messages, which a tired person may leave as they are.
const PLACEHOLDERS: [&str; 4] = ["QUEM", "WHO", "MOTIVO", "WHY"];

/// The same for settings; RDS has no such names.
const UNFILLED: [&str; 4] = ["CLASSE", "CLASS", "GRUPO", "GROUP"];

/// Whether a text, or a reason after a verdict and a colon, is a placeholder.
fn is_placeholder(text: &str) -> bool {
    let last = text.rsplit(':').next().unwrap_or(text).trim_matches(|c: char| !c.is_alphanumeric());
    PLACEHOLDERS.iter().any(|placeholder| last.eq_ignore_ascii_case(placeholder))
}

fn line(field: &'static str, text: &str, most: usize) -> Result<(), InvalidEvent> {
    if is_placeholder(text) {
        return Err(InvalidEvent::at(field, "replace the placeholder: a name in by, a reason elsewhere"));
    }
    if is_line(text, most) {
        return Ok(());
    }
    Err(InvalidEvent {
        field: field.to_owned(),
        reason: format!("expected one line of at most {most} characters"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn start(more: Value) -> Result<Input, InvalidEvent> {
        let mut given = json!({"by": "ana", "reason": "disk lost"});
        given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let event = json!({"step": "open", "execution": "e", "input": given});
        match Event::try_from(event)? {
            Event::Step(run, None) => run.input(),
            other => panic!("{other:?}"),
        }
    }

    fn ordered(event: Value) -> Result<Order, InvalidEvent> {
        match Event::try_from(event)? {
            Event::Order(order) => Ok(*order),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_restore_names_its_source_in_three_ways() {
        let at = "2026-11-30T03:00:00Z".parse().unwrap();
        for (given, expected) in [
            (json!({}), None),
            (json!({"source": "latest"}), Some(Source::Latest)),
            (
                json!({"source": {"snapshot": "rds:moveongs-dev-db-1"}}),
                Some(Source::Snapshot("rds:moveongs-dev-db-1".to_owned())),
            ),
            (json!({"source": {"time": "2026-11-30T00:00:00-03:00"}}), Some(Source::Time(at))),
        ] {
            let Ok(Input::Start(start)) = start(given.clone()) else { panic!("{given}") };
            assert_eq!(start.source, expected, "{given}");
        }
    }

    #[test]
    fn a_refused_event_names_the_field() {
        for (given, field) in [
            (json!({"by": ""}), "by"),
            (json!({"by": "a\nb"}), "by"),
            (json!({"by": "QUEM"}), "by"),
            (json!({"reason": "motivo"}), "reason"),
            (json!({"rehearsal": true, "observer": "QUEM"}), "observer"),
            (json!({"reason": " "}), "reason"),
            (json!({"source": "newest"}), "source"),
            (json!({"source": {"snapshot": "a b"}}), "source.snapshot"),
            (json!({"source": {"time": "yesterday"}}), "source.time"),
            (json!({"instance": "Moveongs"}), "instance"),
            (json!({"observer": "bia"}), "observer"),
            (json!({"settings": {"class": "$(id)"}}), "settings"),
            (json!({"settings": {"class": "CLASSE"}}), "settings"),
            (json!({"settings": {"securityGroups": ["GRUPO"]}}), "settings"),
            (json!({"settings": {"size": 1}}), "settings.size"),
            (json!({"resume": "r1", "reason": null}), "reason"),
            (json!({"wait": 1}), "wait"),
        ] {
            let refused = start(given.clone()).unwrap_err().field;
            assert!(refused == field || field.starts_with(&refused), "{given}: {refused}");
        }
        let approve = |more: Value| {
            let mut event = json!({"order": "approve", "run": "r20261130-1", "by": "bia"});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            ordered(event)
        };
        assert!(approve(json!({"override": "alone at night", "despiteProof": "fail: known"})).is_ok());
        for (more, field) in [
            (json!({"run": "20261130-1"}), "run"),
            (json!({"run": "r20261130-1;id"}), "run"),
            (json!({"by": ""}), "by"),
            (json!({"id": ""}), "id"),
            (json!({"override": ""}), "override"),
            (json!({"by": "@Quem"}), "by"),
            (json!({"by": "WHO"}), "by"),
            (json!({"override": "MOTIVO"}), "override"),
            (json!({"despiteProof": "fail: MOTIVO"}), "despiteProof"),
            (json!({"despiteProof": "fail:why."}), "despiteProof"),
            (json!({"despiteSmoke": "WHY"}), "despiteSmoke"),
            (json!({"source": "latest"}), "source"),
            (json!({"order": "choose"}), "source"),
            (json!({"order": "close", "override": "x"}), "order"),
            (json!({"order": "retry", "despiteSmoke": "x"}), "order"),
            (json!({"order": "delete"}), "order"),
            (json!({"settings": {"class": "db.t4g.medium"}}), "settings"),
            (json!({"order": "retry", "settings": {"class": "$(id)"}}), "settings"),
            (json!({"migration": "done"}), "migration"),
            (json!({"order": "retry", "migration": "failed"}), "migration"),
        ] {
            assert_eq!(approve(more.clone()).unwrap_err().field, field, "{more}");
        }
    }

    #[test]
    fn a_waiting_task_brings_its_token_and_status_needs_no_name() {
        let event = json!({"step": "ask", "execution": "e", "token": "t"});
        let Ok(Event::Step(run, token)) = Event::try_from(event) else { panic!() };
        assert_eq!((run.step, token.as_deref()), (Step::Ask, Some("t")));
        assert_eq!(ordered(json!({"order": "status"})).unwrap().order, Verb::Status);
        let resume =
            json!({"step": "open", "execution": "e", "input": {"resume": "r20261130-1", "by": "ana"}});
        let Ok(Event::Step(run, None)) = Event::try_from(resume) else { panic!() };
        assert!(matches!(run.input, Some(Input::Resume(_))));
    }
}
