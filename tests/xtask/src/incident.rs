//! `cargo xtask incident`: what people ask of an incident, without Slack.
//!
//! Like `cargo xtask drill`, it reaches the account of the caller's `aws`. A request is checked here as the function checks
//! it, so that a misspelled one is refused before anything is called.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use incident::person::{self, Request};
use incident::store::{self, Attribute, Attributes, Key, OPEN, OPEN_INDEX, Row, over};
use incident::text::customers::{self, Told};
use incident::text::mail::Mail;
use incident::{Incident, State, due};
use jiff::Timestamp;
use jiff::civil::Date;
use policy::time::local;
use policy::{Policy, Severity};
use serde_json::{Map, Value, json};

use crate::apply::now;
use crate::aws::text;
use crate::drill::Account;
use crate::oncall;
use crate::table::table;

/// Most keys of one BatchGetItem.
const MOST_KEYS: usize = 100;

/// Most further reads of what a busy table did not answer.
const READS: u32 = 5;

#[derive(Args)]
pub(crate) struct Options {
    /// Project of the stack
    #[arg(long, default_value = "moveongs", global = true)]
    project: String,
    /// Environment of the stack: dev, staging or prod
    #[arg(long, default_value = "dev", global = true)]
    environment: String,
    /// Your name, as the policy has it [default: git's user.name]
    #[arg(long, global = true)]
    by: Option<String>,
    /// Show a request's command for `aws`, and do nothing
    #[arg(long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the open incidents, or those that are over and began in a month
    List {
        /// The month, e.g. 2026-11 [default: the open ones]
        #[arg(long, value_parser = month)]
        month: Option<Date>,
    },
    /// Show an incident: how it stands, its timeline, and what each channel was told
    Show { incident: String },
    /// Show the mail to the internal customers as it would be sent now, and send nothing
    Preview {
        incident: String,
        /// What they have to know [default: the template's own sentence]
        text: Option<String>,
        /// The environment's JSON merge patch over shared/policy.json, for language and next update [default: none]
        #[arg(long)]
        policy: Option<PathBuf>,
        /// Write the mail's page here
        #[arg(long)]
        html: Option<PathBuf>,
    },
    /// Open an incident that no alarm has seen
    Declare {
        /// What is wrong, in one line
        title: String,
        /// S0 to S3; when in doubt, the higher
        #[arg(long, value_parser = severity)]
        severity: Severity,
        /// The affected resource, as the inventory names it
        #[arg(long)]
        resource: String,
        /// What is known
        #[arg(long)]
        reason: Option<String>,
        /// Address of the instructions
        #[arg(long)]
        runbook: Option<String>,
        /// Identity of the problem, to join its open incident
        #[arg(long)]
        problem: Option<String>,
        /// It is an exercise
        #[arg(long)]
        drill: bool,
    },
    /// Take it, so that the pager stops escalating it
    Acknowledge { incident: String },
    /// Confirm or change its severity
    Classify {
        incident: String,
        /// S0 to S3; when in doubt, the higher
        #[arg(value_parser = severity)]
        severity: Severity,
        #[command(flatten)]
        why: Why,
    },
    /// Become the incident commander, or name one or a backup
    Command {
        incident: String,
        /// Who commands from now on [default: you]
        #[arg(long)]
        commander: Option<String>,
        /// Who stands in
        #[arg(long)]
        backup: Option<String>,
        #[command(flatten)]
        why: Why,
    },
    /// Call a squad in
    Call {
        incident: String,
        /// The squad, as the policy names it
        squad: String,
        #[command(flatten)]
        why: Why,
    },
    /// Say how it stands
    Update {
        incident: String,
        /// How it stands
        text: String,
        /// Since when users are affected: 2026-11-29T09:20 in São Paulo, or an instant with its offset
        #[arg(long, value_parser = oncall::instant)]
        impact_since: Option<Timestamp>,
    },
    /// Say that the impact is over, though the cause is not
    Mitigate {
        incident: String,
        /// What ended it
        text: String,
    },
    /// Close it
    Resolve {
        incident: String,
        /// How it ended
        reason: String,
    },
    /// Say that it is not over, not mitigated, or no part of another one
    Reopen {
        incident: String,
        /// Why
        reason: String,
    },
    /// Close it, because it never was an incident
    FalseAlarm {
        incident: String,
        /// Why
        reason: String,
    },
    /// Make it a part of another one, which calls people for both
    Merge {
        incident: String,
        /// The other one
        into: String,
        #[command(flatten)]
        why: Why,
    },
    /// Say whether personal data is compromised; when in doubt, yes
    SensitiveData {
        incident: String,
        answer: Answer,
        /// What was seen; facts about the data, never the data
        reason: String,
    },
    /// Say whether it is an exercise
    Drill {
        incident: String,
        answer: Answer,
        /// Why
        reason: String,
    },
    /// Say that its instructions are wrong
    RunbookWrong {
        incident: String,
        /// What is wrong in them
        reason: String,
    },
    /// Write to the internal customers
    TellCustomers {
        incident: String,
        /// What they have to know
        text: String,
    },
    /// Page nobody about a problem, or about any (*), for some time
    Mute {
        /// The problem's identity, or *
        problem: String,
        /// Why
        reason: String,
        /// For how many minutes: 1 to 1440
        #[arg(long, conflicts_with = "until", required_unless_present = "until")]
        minutes: Option<u16>,
        /// Until when
        #[arg(long, value_parser = oncall::instant)]
        until: Option<Timestamp>,
    },
    /// End a mute before its time
    Unmute {
        /// The problem's identity, or *
        problem: String,
    },
}

/// An optional reason.
#[derive(Args)]
struct Why {
    /// Why, in one line
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Answer {
    Yes,
    No,
}

fn severity(text: &str) -> Result<Severity, String> {
    let known = Severity::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(text));
    known.ok_or_else(|| "expected S0, S1, S2 or S3".to_owned())
}

fn month(text: &str) -> Result<Date, String> {
    format!("{text}-01").parse().map_err(|_| "expected a month, e.g. 2026-11".to_owned())
}

impl Action {
    /// The request; none for what only looks.
    fn request(self, by: String) -> Option<Request> {
        Some(match self {
            Self::List { .. } | Self::Show { .. } | Self::Preview { .. } => return None,
            Self::Declare { title, severity, resource, reason, runbook, problem, drill } => {
                Request::Declare(person::Declare {
                    title,
                    severity,
                    resource,
                    by,
                    reason,
                    runbook,
                    problem,
                    drill,
                })
            }
            Self::Acknowledge { incident } => Request::Acknowledge(person::Acknowledge { incident, by }),
            Self::Classify { incident, severity, why: Why { reason } } => {
                Request::Classify(person::Classify { incident, severity, reason, by })
            }
            Self::Command { incident, commander, backup, why: Why { reason } } => {
                Request::Command(person::Command { incident, commander, backup, reason, by })
            }
            Self::Call { incident, squad, why: Why { reason } } => {
                Request::Call(person::Call { incident, squad, reason, by })
            }
            Self::Update { incident, text, impact_since } => {
                Request::Update(person::Update { incident, text, impact_since, by })
            }
            Self::Mitigate { incident, text } => Request::Mitigate(person::Mitigate { incident, text, by }),
            Self::Resolve { incident, reason } => Request::Resolve(person::Resolve { incident, reason, by }),
            Self::Reopen { incident, reason } => Request::Reopen(person::Reopen { incident, reason, by }),
            Self::FalseAlarm { incident, reason } => {
                Request::FalseAlarm(person::FalseAlarm { incident, reason, by })
            }
            Self::Merge { incident, into, why: Why { reason } } => {
                Request::Merge(person::Merge { incident, into, reason, by })
            }
            Self::SensitiveData { incident, answer, reason } => {
                let compromised = matches!(answer, Answer::Yes);
                Request::SensitiveData(person::SensitiveData { incident, compromised, reason, by })
            }
            Self::Drill { incident, answer, reason } => {
                Request::Drill(person::Drill { incident, drill: matches!(answer, Answer::Yes), reason, by })
            }
            Self::RunbookWrong { incident, reason } => {
                Request::RunbookWrong(person::RunbookWrong { incident, reason, by })
            }
            Self::TellCustomers { incident, text } => {
                Request::TellCustomers(person::TellCustomers { incident, text, by })
            }
            Self::Mute { problem, reason, minutes, until } => {
                Request::Mute(person::Mute { problem, reason, by, until, minutes })
            }
            Self::Unmute { problem } => Request::Unmute(person::Unmute { problem, by }),
        })
    }
}

/// `cargo xtask incident`.
pub(crate) fn incident(options: Options) -> Result<()> {
    let cli = |arguments: &[&str]| {
        let mut command = Command::new("aws");
        command.args(arguments).args(["--output", "json"]).env("AWS_PAGER", "");
        command
    };
    let account = Account { cli: &cli, local: None, credentials: None };
    let prefix = format!("{}-{}-", options.project, options.environment);
    let read = Table { account: &account, name: format!("{prefix}incidents") };
    let only_looks =
        matches!(options.action, Action::List { .. } | Action::Show { .. } | Action::Preview { .. });
    ensure!(
        !(options.dry_run && only_looks),
        "--dry-run shows the command of a request; this one only looks"
    );
    let said = match options.action {
        Action::List { month } => list(&read, month)?,
        Action::Show { incident } => shown(&read.items_of(&incident)?)?,
        Action::Preview { incident, text, policy, html } => {
            let patch = policy.map(fs::read_to_string).transpose().context("the policy")?.unwrap_or_default();
            let words = text.as_deref().unwrap_or_default();
            let mail = preview(&read.incident(&incident)?, words, &patch.parse()?, now());
            if let Some(path) = &html {
                fs::write(path, &mail.html).with_context(|| path.display().to_string())?;
            }
            format!("{}\n\n{}", mail.subject, mail.text)
        }
        action => {
            let by = options.by.map_or_else(own_name, Ok)?;
            let request = action.request(by).context("no request")?;
            let function = format!("{prefix}incident-desk");
            let payload = checked(&request)?;
            if options.dry_run {
                command(&function, &payload)
            } else {
                done(&account.invoke(&function, &payload)?)?
            }
        }
    };
    println!("{}", printable(&said));
    Ok(())
}

/// A text that cannot steer the terminal: people wrote parts of it.
fn printable(text: &str) -> String {
    text.replace(|character: char| character.is_control() && !matches!(character, '\n' | '\t'), "\u{fffd}")
}

/// The caller's name for git.
fn own_name() -> Result<String> {
    let output = Command::new("git").args(["config", "user.name"]).output();
    let name = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let name = name.and_then(|name| String::from_utf8(name).ok()).unwrap_or_default().trim().to_owned();
    ensure!(!name.is_empty(), "git has no user.name: say who you are with --by NAME");
    Ok(name)
}

/// The payload of a request, if the function would accept it.
fn checked(request: &Request) -> Result<Value> {
    let payload = serde_json::to_value(request)?;
    Request::try_from(payload.clone())?;
    Ok(payload)
}

/// The command that asks the same, to paste.
fn command(function: &str, payload: &Value) -> String {
    format!(
        "aws lambda invoke --function-name {function} --payload fileb:///dev/stdin /dev/stdout <<'END'\n{payload}\nEND"
    )
}

/// What the function answers, for people.
fn done(answer: &Value) -> Result<String> {
    let one = |pointer: &str| text(answer, pointer);
    let Some(outcome) = one("/done/0/outcome") else { bail!("unexpected answer: {answer}") };
    let incident = one("/done/0/incident").filter(|id| !id.is_empty()).map(|id| format!("{id} "));
    let by = one("/done/0/by").map(|by| format!(" by {by}")).unwrap_or_default();
    let warning = one("/done/0/warning").map(|warning| format!("\n{warning}")).unwrap_or_default();
    let at = one("/done/0/at").map(|at| at.parse().map_or_else(|_| at.to_owned(), local));
    let at = at.map(|at| format!(", {at}")).unwrap_or_default();
    Ok(format!("{}{outcome}{by}{at}{warning}", incident.unwrap_or_default()))
}

/// The table of an environment.
struct Table<'a> {
    account: &'a Account<'a>,
    name: String,
}

impl Table<'_> {
    fn query(&self, more: &[&str], condition: &str, names: Value, values: Value) -> Result<Vec<Attributes>> {
        let (names, values) = (names.to_string(), values.to_string());
        let query =
            ["dynamodb", "query", "--table-name", &self.name, "--key-condition-expression", condition];
        let with = ["--expression-attribute-names", &names, "--expression-attribute-values", &values];
        let answer = self.account.one(&[&query[..], &with, more].concat())?;
        Ok(items(&answer, "/Items"))
    }

    /// The incidents at a place of the index, the oldest first.
    fn at(&self, place: &str) -> Result<Vec<Incident>> {
        let keys = self.query(
            &["--index-name", OPEN_INDEX],
            "#open = :open",
            json!({"#open": "open"}),
            json!({":open": {"S": place}}),
        )?;
        let mut found = Vec::new();
        let keys: Vec<Key> = keys.iter().filter_map(Key::of).collect();
        for part in keys.chunks(MOST_KEYS) {
            let keys: Vec<_> =
                part.iter().map(|key| json!({"pk": {"S": key.pk}, "sk": {"S": key.sk}})).collect();
            let mut wanted = json!({&self.name: {"Keys": keys, "ConsistentRead": true}});
            // A busy table answers for a part of the keys.
            for attempt in 0.. {
                let asked = wanted.to_string();
                let answer = self.account.one(&["dynamodb", "batch-get-item", "--request-items", &asked])?;
                for item in items(&answer, &format!("/Responses/{}", self.name)) {
                    found.push(store::incident(&item).context("an incident in the table cannot be read")?);
                }
                match answer.get("UnprocessedKeys").filter(|left| left.get(&self.name).is_some()) {
                    None => break,
                    Some(_) if attempt == READS => bail!("the table is busy: ask again"),
                    Some(left) => wanted = left.clone(),
                }
            }
        }
        found.sort_by_key(|incident| incident.first_at);
        Ok(found)
    }

    /// Every item of an incident.
    fn items_of(&self, id: &str) -> Result<Vec<Attributes>> {
        ensure!(person::is_incident(id), "expected the id of an incident, e.g. INC-20261129-7Q2MZK4A");
        let key = json!({":pk": {"S": Key::incident(id).pk}});
        let found = self.query(&["--consistent-read"], "#pk = :pk", json!({"#pk": "pk"}), key)?;
        ensure!(!found.is_empty(), "there is no incident {id}");
        Ok(found)
    }

    fn incident(&self, id: &str) -> Result<Incident> {
        let found = self.items_of(id)?;
        found.iter().find_map(store::incident).with_context(|| format!("{id} cannot be read"))
    }
}

/// Items of the CLI's answer.
fn items(answer: &Value, pointer: &str) -> Vec<Attributes> {
    let listed = answer.pointer(pointer).and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(Value::as_object).map(attributes).collect()
}

/// An item from DynamoDB's JSON, without attributes of other types.
fn attributes(item: &Map<String, Value>) -> Attributes {
    let value = |value: &Value| match (value.get("S"), value.get("N")) {
        (Some(text), _) => text.as_str().map(|text| Attribute::Text(text.to_owned())),
        (_, Some(number)) => number.as_str()?.parse().ok().map(Attribute::Number),
        _ => None,
    };
    item.iter().filter_map(|(name, one)| Some((name.clone(), value(one)?))).collect::<BTreeMap<_, _>>()
}

fn list(read: &Table<'_>, month: Option<Date>) -> Result<String> {
    let place = month.map_or_else(|| OPEN.to_owned(), over);
    let incidents = read.at(&place)?;
    if incidents.is_empty() {
        return Ok(month.map_or_else(
            || "no open incident".to_owned(),
            |month| format!("no incident that is over began in {}", month.strftime("%Y-%m")),
        ));
    }
    let row = |cells: [&str; 7]| cells.map(str::to_owned).to_vec();
    let head = row(["incident", "severity", "state", "since", "owner", "taken by", "title"]);
    let rows = incidents.iter().map(|incident| {
        let state = state(incident);
        let since = local(incident.first_at);
        let of = [&incident.id, incident.severity.name(), &state, &since, &incident.owner];
        let [id, severity, state, since, owner] = of;
        row([id, severity, state, since, owner, &incident.acknowledged_by, &incident.title])
    });
    Ok(table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))
}

fn state(incident: &Incident) -> String {
    let state = match incident.state {
        State::Triggered => "triggered",
        State::Acknowledged => "acknowledged",
        State::Mitigated => "mitigated",
        State::Resolved if incident.is_false_alarm => "false alarm",
        State::Resolved => "resolved",
    };
    let into = if incident.is_merged() { format!(", in {}", incident.merged_into) } else { String::new() };
    let drill = if incident.is_drill { ", drill" } else { "" };
    format!("{state}{into}{drill}")
}

/// How an incident stands, its timeline, and its outbox.
fn shown(items: &[Attributes]) -> Result<String> {
    let incident = items.iter().find_map(store::incident).context("the incident cannot be read")?;
    let mut lines = vec![format!("{} {}  {}", incident.id, incident.severity.name(), incident.title)];
    let at = |at: Option<Timestamp>| at.map(local).unwrap_or_default();
    let squads = incident.called.iter().map(|called| called.squad.as_str()).collect::<Vec<_>>().join(", ");
    let parts = incident.parts.iter().map(|part| part.incident.as_str()).collect::<Vec<_>>().join(", ");
    let data = incident.sensitive_data.as_ref().map(|data| if data.is_compromised { "yes" } else { "no" });
    for (label, value) in [
        ("state", state(&incident)),
        ("since", local(incident.impact_began())),
        ("resolved", at(incident.resolved_at.filter(|_| !incident.is_open()))),
        ("owner", incident.owner.clone()),
        ("taken by", incident.acknowledged_by.clone()),
        ("commander", incident.commander.clone()),
        ("backup", incident.commander_backup.clone()),
        ("called in", squads),
        ("parts", parts),
        ("personal data", data.unwrap_or_default().to_owned()),
        ("last update", incident.last_update.replace('\n', " / ")),
        ("wrong runbook", incident.runbook_wrong.replace('\n', " / ")),
        ("problem", incident.problem.clone()),
        ("runbook", incident.runbook.clone()),
    ] {
        if !value.is_empty() {
            lines.push(format!("  {label:<14}{value}"));
        }
    }
    let row = |cells: [String; 4]| cells.to_vec();
    let mut timeline = vec![row(["at", "by", "action", "text"].map(str::to_owned))];
    timeline.extend(items.iter().filter(|item| is_line(item)).filter_map(store::entry).map(|entry| {
        let action = serde_json::to_value(entry.action).ok();
        let action = action.as_ref().and_then(Value::as_str).unwrap_or("other").to_owned();
        row([local(entry.at), entry.by, action, entry.text.replace('\n', " / ")])
    }));
    let mut outbox = vec![row(["channel", "purpose", "next attempt", "last answer"].map(str::to_owned))];
    outbox.extend(items.iter().filter_map(Row::read).map(|one| {
        row([one.channel.name().to_owned(), one.purpose.name().to_owned(), at(one.due), one.answer])
    }));
    lines.extend([String::new(), table(&timeline), String::new(), table(&outbox)]);
    Ok(lines.join("\n"))
}

fn is_line(item: &Attributes) -> bool {
    store::text(item, "sk").is_some_and(|sk| sk.starts_with(Key::LINES))
}

/// The mail to the internal customers, as `incident-send` would make it.
fn preview(incident: &Incident, words: &str, policy: &Policy, now: Timestamp) -> Mail {
    let is_first = !incident.acts.contains_key(&incident::Action::CustomersTold);
    let update_due = due::update(incident, policy).map(|due| due.at);
    let incident = Incident { update_due, ..incident.clone() };
    customers::message(&incident, Told { words, is_first }, policy.incidents.customers.language, now)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use incident::person::VERBS;

    use super::*;

    const ID: &str = "INC-20261129-7Q2MZK4A";

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn what_a_busy_table_left_is_asked_for_again() {
        let key = Key::incident(ID);
        let key = json!({"pk": {"S": key.pk}, "sk": {"S": key.sk}});
        let left = json!({"x": {"Keys": [key], "ConsistentRead": true}});
        let listed = json!({"Items": [key]});
        let busy = json!({"Responses": {"x": []}, "UnprocessedKeys": left});
        let none = json!({"Responses": {"x": []}, "UnprocessedKeys": {}});
        let unreadable = json!({"Responses": {"x": [key]}, "UnprocessedKeys": {}});
        for (answers, expected) in [
            (vec![&listed, &busy, &none], Ok(0)),
            (vec![&listed, &none], Ok(0)),
            (vec![&listed, &unreadable], Err("an incident in the table cannot be read")),
            ([vec![&listed], vec![&busy; 6]].concat(), Err("the table is busy: ask again")),
        ] {
            let answers = std::cell::RefCell::new(answers.into_iter());
            let cli = |_: &[&str]| {
                let mut command = Command::new("echo");
                command.arg(answers.borrow_mut().next().unwrap().to_string());
                command
            };
            let account = Account { cli: &cli, local: None, credentials: None };
            let found = Table { account: &account, name: "x".to_owned() }.at(OPEN);
            let found = found.map(|found| found.len()).map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned));
            assert_eq!(answers.borrow().len(), 0);
        }
    }

    #[test]
    fn peoples_words_do_not_steer_the_terminal() {
        assert_eq!(printable("a\n\tb\u{1b}[2J\r\u{9b}c"), "a\n\tb\u{fffd}[2J\u{fffd}\u{fffd}c");
    }

    fn request(words: &[&str]) -> Result<Request> {
        let arguments = Arguments::try_parse_from([&["incident"], words].concat())?;
        let by = arguments.options.by.unwrap_or_else(|| "Ana Souza".to_owned());
        arguments.options.action.request(by).context("no request")
    }

    /// Words for each request, and what they say.
    fn all() -> Vec<(Vec<&'static str>, Value)> {
        let of = |verb: &str, more: Value| {
            let mut fields = json!({"incident": ID, "by": "Ana Souza"});
            fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({ verb: fields })
        };
        vec![
            (
                vec!["declare", "API fora", "--severity", "s1", "--resource", "api", "--drill"],
                json!({"declare": {"title": "API fora", "severity": "S1", "resource": "api", "by": "Ana Souza", "drill": true}}),
            ),
            (vec!["acknowledge", ID], of("acknowledge", json!({}))),
            (
                vec!["classify", ID, "S0", "--reason", "x"],
                of("classify", json!({"severity": "S0", "reason": "x"})),
            ),
            (vec!["command", ID, "--backup", "Bia"], of("command", json!({"backup": "Bia"}))),
            (vec!["call", ID, "Squad Dados"], of("call", json!({"squad": "Squad Dados"}))),
            (
                vec!["update", ID, "metade", "--impact-since", "2026-11-29T09:20"],
                of("update", json!({"text": "metade", "impact_since": "2026-11-29T12:20:00Z"})),
            ),
            (vec!["mitigate", ID, "voltou"], of("mitigate", json!({"text": "voltou"}))),
            (vec!["resolve", ID, "voltou"], of("resolve", json!({"reason": "voltou"}))),
            (vec!["reopen", ID, "não"], of("reopen", json!({"reason": "não"}))),
            (vec!["false-alarm", ID, "teste"], of("false_alarm", json!({"reason": "teste"}))),
            (
                vec!["merge", ID, "INC-20261129-00000000"],
                of("merge", json!({"into": "INC-20261129-00000000"})),
            ),
            (
                vec!["sensitive-data", ID, "yes", "CPFs"],
                of("sensitive_data", json!({"compromised": true, "reason": "CPFs"})),
            ),
            (vec!["drill", ID, "no", "real"], of("drill", json!({"drill": false, "reason": "real"}))),
            (vec!["runbook-wrong", ID, "passo 3"], of("runbook_wrong", json!({"reason": "passo 3"}))),
            (vec!["tell-customers", ID, "voltou"], of("tell_customers", json!({"text": "voltou"}))),
            (
                vec!["mute", "*", "deploy", "--minutes", "30"],
                json!({"mute": {"problem": "*", "reason": "deploy", "by": "Ana Souza", "minutes": 30}}),
            ),
            (vec!["unmute", "*"], json!({"unmute": {"problem": "*", "by": "Ana Souza"}})),
        ]
    }

    #[test]
    fn every_request_has_its_words_and_is_checked_before_it_is_made() {
        let mut verbs = Vec::new();
        for (words, expected) in all() {
            let request = request(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
            verbs.push(request.verb());
            assert_eq!(checked(&request).unwrap(), expected, "{words:?}");
        }
        assert_eq!(verbs, VERBS);
        let wrong = request(&["acknowledge", "INC-1"]).unwrap();
        assert!(checked(&wrong).unwrap_err().to_string().contains("acknowledge.incident"));
        for words in [
            vec!["classify", ID, "S4"],
            vec!["sensitive-data", ID, "maybe", "x"],
            vec!["mute", "*", "deploy"],
            vec!["mute", "*", "deploy", "--minutes", "5", "--until", "2026-11-29T18:00"],
            vec!["resolve", ID],
        ] {
            assert!(request(&words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn an_answer_is_one_line() {
        let already = json!({"done": [{"incident": ID, "outcome": "already", "by": "Bia", "at": "2026-11-29T12:41:00Z"}]});
        let expected = format!("{ID} already by Bia, 2026-11-29 09:41:00 -03:00");
        assert_eq!(done(&already).unwrap(), expected);
        assert_eq!(done(&json!({"done": [{"incident": "", "outcome": "updated"}]})).unwrap(), "updated");
        let warned = json!({"done": [{"incident": ID, "outcome": "updated", "warning": "⚠️ ninguém"}]});
        assert_eq!(done(&warned).unwrap(), format!("{ID} updated\n⚠️ ninguém"));
        assert!(done(&json!({})).is_err());
    }

    #[test]
    fn a_preview_is_the_mail_that_would_be_sent_next() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut incident =
            Incident { id: ID.to_owned(), paged_at: Some(at("2026-11-29T12:00:00Z")), ..Incident::default() };
        let policy: Policy = r#"{"incidents": {"customers": {"language": "en"}}}"#.parse().unwrap();
        let mail = preview(&incident, "Use paper.", &policy, at("2026-11-29T12:05:00Z"));
        assert!(mail.subject.starts_with("Ongoing problem INC-"), "{}", mail.subject);
        assert!(mail.text.contains("\nNext update: by 2026-11-29 09:30:00 -03:00\n"), "{}", mail.text);
        assert!(mail.text.contains("\n  Use paper.\n"), "{}", mail.text);
        incident.acts.insert(incident::Action::CustomersTold, incident::Act::default());
        let mail = preview(&incident, "", &policy, at("2026-11-29T12:05:00Z"));
        assert!(mail.subject.starts_with("Update INC-"), "{}", mail.subject);
    }

    #[test]
    fn an_incident_is_shown_with_its_timeline_and_its_outbox() {
        let incident = Incident {
            id: ID.to_owned(),
            version: 1,
            title: "API fora do ar".to_owned(),
            commander: "Ana Souza".to_owned(),
            first_at: "2026-11-29T12:00:00Z".parse().unwrap(),
            ..Incident::default()
        };
        let entry = incident::Entry {
            at: "2026-11-29T12:41:00Z".parse().unwrap(),
            by: "Ana Souza".to_owned(),
            action: incident::Action::Update,
            text: "metade\nvoltou".to_owned(),
        };
        let item = |write: store::Write| match write {
            store::Write::Put { item, .. } => item,
            store::Write::Update { key, set, .. } => key.attributes().into_iter().chain(set).collect(),
        };
        let row = Row::new(ID, store::Channel::Slack, store::Purpose::Post);
        let items = [item(incident.write()), item(entry.write(ID, "r1")), item(row.keep())];
        let text = shown(&items).unwrap();
        for part in [
            "API fora do ar",
            "commander     Ana Souza",
            "2026-11-29 09:41:00 -03:00  Ana Souza  update  metade / voltou",
            "slack    post",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("backup"), "{text}");
    }
}
