//! The chapters of `incident-desk`, `incident-clock` and `postmortem`: one incident from its alarm to the pull request of its
//! post-mortem, with an update that nobody gives.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{
    Show, evidence_of, invoked, posts, say_message, set_state, table_name, thread, timeline, write_page,
};
use crate::aws::text;
use crate::deploy::{self, PREFIX};
use crate::{http, run};

/// Begins the alarm's name; a number follows.
const ALARM: &str = "moveongs-dev-life-";

/// Who is on call: `update_minutes` is one minute here, so that a missed update can be waited for, and a post-mortem begins
/// as soon as the incident is over.
fn policy() -> Value {
    let person = |name: &str| json!({"slack": format!("U0000000{}", name.to_uppercase()), "email": format!("{}@moveongs.example", name.to_lowercase())});
    let rotation = json!({"every": "daily", "at": "09:00", "starts": "2026-01-01", "people": ["Ana"], "second": ["Bia"]});
    json!({"incidents": {
        "update_minutes": 1, "flap_minutes": 0,
        "people": {"Ana": person("Ana"), "Bia": person("Bia")},
        "squads": {"Squad Backend": {"rotation": rotation}},
        "customers": {"addresses": ["unidades@moveongs.example"]},
    }})
}

/// The chapter of `incident-desk`: alarm, acknowledgement, commander, the first update. Returns the key of the incident's item.
pub(super) fn desk(show: &mut Show<'_>) -> Result<String> {
    (show.say)(
        "a policy for this chapter: Ana is on call, Bia is the second, S0 asks for an update each minute",
    );
    put_policy(show, &policy())?;
    let demo = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let alarm = format!("{ALARM}{demo}");
    make_alarm(show, &alarm)?;
    let reason = "Threshold Crossed: 1 datapoint [97.0] was greater than the threshold (5.0).";
    set_state(show, &alarm, "ALARM", reason)?;
    let posted = run::wait_for("the incident's message", Duration::from_secs(60), || {
        Ok(posts(show.aws, &alarm)?.into_iter().next())
    })?;
    say_message(show, &posted);
    ensure!(posted.to_string().contains("<@U0000000ANA>"), "the person on call is not mentioned");
    let id = text(&posted, "/metadata/event_payload/incident").context("the message names no incident")?;
    ask(show, &json!({"acknowledge": {"incident": id, "by": "Ana"}}))?;
    ask(show, &json!({"command": {"incident": id, "commander": "Ana", "backup": "Bia", "by": "Ana"}}))?;
    ask(
        show,
        &json!({"update": {"incident": id, "text": "O banco não aceita conexões; Bia olha a fila.", "by": "Ana"}}),
    )?;
    let again = invoked(show, "incident-desk", &json!({"acknowledge": {"incident": id, "by": "Bia"}}))?;
    ensure!(text(&again, "/done/0/outcome") == Some("already"), "two people took it: {again}");
    (show.say)(&format!("Bia, at the same time, is told who has it: {again}"));
    replied(show, id, &["Assumido", "Incident commander definido", "Atualização"])?;
    Ok(format!("INCIDENT#{id}"))
}

/// The chapter of `incident-clock`: nobody gives the next update, so the commander is reminded; customers have a mail.
pub(super) fn clock(show: &mut Show<'_>) -> Result<String> {
    let id = current(show)?;
    let mail = run::wait_for("the mail to the customers", Duration::from_secs(60), || {
        let sent = show.aws.admin("GET", "ses/messages", None)?;
        let sent = sent.get("messages").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(sent
            .into_iter()
            .find(|mail| mail.to_string().contains(&id) && mail.to_string().contains("unidades@")))
    })?;
    (show.say)(&format!("the internal customers read: {}", text(&mail, "/subject").unwrap_or("?")));
    for line in text(&mail, "/text").unwrap_or_default().lines().filter(|line| !line.is_empty()) {
        (show.say)(&format!("  {line}"));
    }
    for schedule in waiting(show)? {
        (show.say)(&format!("a one-time schedule waits: {schedule}"));
    }
    (show.say)("now a minute without an update:");
    let reminder = run::wait_for("the reminder", Duration::from_secs(150), || {
        Ok(replies(show, &id)?.into_iter().find(|reply| reply.to_string().contains("Lembrete")))
    })?;
    say_message(show, &reminder);
    ensure!(reminder.to_string().contains("<@U0000000ANA>"), "the commander is not mentioned: {reminder}");
    ask(
        show,
        &json!({"update": {"incident": id, "text": "A fila andou; faltam duas unidades.", "by": "Ana"}}),
    )?;
    Ok(format!("INCIDENT#{id}"))
}

/// The chapter of `postmortem`: mitigation, the end, the document as a pull request, its review and its tasks.
pub(super) fn postmortem(show: &mut Show<'_>) -> Result<String> {
    let id = current(show)?;
    ask(
        show,
        &json!({"runbook_wrong": {"incident": id, "reason": "o segundo comando não existe", "by": "Bia"}}),
    )?;
    ask(show, &json!({"mitigate": {"incident": id, "text": "Voltamos à versão anterior.", "by": "Ana"}}))?;
    let alarm = alarm_of(show, &id)?;
    let reason = "Threshold Crossed: 1 datapoint [0.0] was not greater than the threshold (5.0).";
    set_state(show, &alarm, "OK", reason)?;
    show.aws.ask(&["cloudwatch", "delete-alarms", "--alarm-names", &alarm], show.log)?;
    replied(show, &id, &["Mitigado", "Resolvido"])?;
    (show.say)("it is over, so the post-mortem begins:");
    let (number, branch, path, document) =
        run::wait_for("the pull request", Duration::from_secs(180), || proposal(show, &id))?;
    (show.say)(&format!("pull request #{number}, branch {branch}, file {path}:"));
    for line in document.lines().filter(|line| !line.starts_with("<!--")).take(45) {
        (show.say)(&format!("  {line}"));
    }
    let change = |state: &str| json!({"postmortem": {"incident": id, "state": state, "by": "Ana"}});
    (show.say)("people fill in the cause and the actions, review it, merge it and close it:");
    fill(show, &branch, &path, &document)?;
    invoked(show, "postmortem", &change("in_review"))?;
    show.aws.admin("POST", "github/pulls/merge", Some(&json!({"number": number})))?;
    let closed = invoked(show, "postmortem", &change("closed"))?;
    (show.say)(&format!("  {closed}"));
    let issues = show.aws.admin("GET", "github/issues", None)?;
    let issues = issues.get("issues").and_then(Value::as_array).cloned().unwrap_or_default();
    let tasks: Vec<_> = issues.iter().filter(|issue| issue.to_string().contains(&id)).collect();
    for task in &tasks {
        (show.say)(&format!("task: {}", text(task, "/title").unwrap_or("?")));
    }
    ensure!(tasks.len() == 2, "{} tasks of two actions", tasks.len());
    show_all(show, &id)?;
    forget_policy(show)?;
    let key =
        evidence_of(show.aws, show.log, &show.evidence_bucket, "postmortem", &format!("{id}/closed/2"))?;
    let key = key.context("the post-mortem left no evidence")?;
    (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));
    Ok(key)
}

/// Asks the desk, as a person would without Slack.
fn ask(show: &mut Show<'_>, request: &Value) -> Result<()> {
    let answer = invoked(show, "incident-desk", request)?;
    (show.say)(&format!("  {answer}"));
    let is_done = matches!(text(&answer, "/done/0/outcome"), Some("updated" | "recorded" | "resolved"));
    ensure!(is_done, "it was not done: {answer}");
    Ok(())
}

/// Puts a policy in force, and lets the functions that run read it.
fn put_policy(show: &Show<'_>, patch: &Value) -> Result<()> {
    patch.to_string().parse::<policy::Policy>().context("the functions would refuse this policy")?;
    let document = json!({"format": 1, "author": "cargo xtask demo", "commit": "0".repeat(40),
        "applied_at": "2026-03-01T12:00:00Z", "patch": patch});
    let path = format!("/{}/{}", show.evidence_bucket, policy::KEY);
    let put = show.aws.wire("s3", "PUT", &path, &[], document.to_string().as_bytes())?;
    ensure!(put.status == 200, "the policy was not stored: {}", put.text());
    restart(show)
}

fn forget_policy(show: &Show<'_>) -> Result<()> {
    show.aws.wire("s3", "DELETE", &format!("/{}/{}", show.evidence_bucket, policy::KEY), &[], &[])?;
    restart(show)
}

/// A new process for each function of incidents; otherwise they read the policy within a minute.
fn restart(show: &Show<'_>) -> Result<()> {
    let demo = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    for name in ["incident-page", "incident-send", "incident-desk", "incident-clock", "postmortem"] {
        let function = format!("{PREFIX}-{name}");
        let mut environment = show.aws.function(&function)?.get("Environment").cloned().unwrap_or_default();
        if let Some(variables) = environment.get_mut("Variables").and_then(Value::as_object_mut) {
            variables.insert("RESTARTS".to_owned(), json!(demo.to_string()));
        }
        let environment = json!({"Variables": environment.get("Variables")}).to_string();
        let update = ["lambda", "update-function-configuration", "--function-name", &function];
        show.aws.ask(&[&update[..], &["--environment", &environment]].concat(), show.log)?;
    }
    Ok(())
}

fn make_alarm(show: &Show<'_>, alarm: &str) -> Result<()> {
    let outputs = deploy::outputs(show.aws, show.log)?;
    let topic = outputs.get("PagingTopic").context("the stack has no paging topic")?;
    let description = "Ninguém consegue usar o sistema. severity=S0 runbook=docs/plantao.md#alarmes";
    let put = ["cloudwatch", "put-metric-alarm", "--alarm-name", alarm, "--alarm-description", description];
    let metric = ["--namespace", "AWS/ApplicationELB", "--metric-name", "HTTPCode_Target_5XX_Count"];
    let rule = ["--statistic", "Sum", "--period", "60", "--evaluation-periods", "1", "--threshold", "5"];
    let treat = ["--comparison-operator", "GreaterThanThreshold", "--treat-missing-data", "ignore"];
    let actions = ["--alarm-actions", topic.as_str(), "--ok-actions", topic.as_str()];
    show.aws.ask(&[&put[..], &metric, &rule, &treat, &actions].concat(), show.log).map(drop)
}

/// The id of the newest incident of these chapters.
fn current(show: &Show<'_>) -> Result<String> {
    let post = posts(show.aws, ALARM)?.pop().context("the chapter of incident-desk made no incident")?;
    Ok(text(&post, "/metadata/event_payload/incident").context("the message names no incident")?.to_owned())
}

/// The name of an incident's alarm.
fn alarm_of(show: &Show<'_>, id: &str) -> Result<String> {
    let key = json!({"pk": {"S": format!("INCIDENT#{id}")}, "sk": {"S": "STATE"}});
    let get = json!({"TableName": table_name(), "Key": key});
    let item = show.aws.json("dynamodb", "DynamoDB_20120810.GetItem", &get)?;
    let body: Value = serde_json::from_str(text(&item, "/Item/body/S").unwrap_or_default())?;
    let problem = text(&body, "/problem").and_then(|arn| arn.split(":alarm:").nth(1));
    Ok(problem.context("the incident is of no alarm")?.to_owned())
}

fn replies(show: &Show<'_>, id: &str) -> Result<Vec<Value>> {
    let post = posts(show.aws, id)?.pop().context("the incident has no message")?;
    thread(show.aws, text(&post, "/ts").context("the message has no ts")?)
}

/// Waits until the thread has replies with these words, and shows them.
fn replied(show: &mut Show<'_>, id: &str, words: &[&str]) -> Result<()> {
    let found = run::wait_for("the thread", Duration::from_secs(60), || {
        let replies = replies(show, id)?;
        let of = |word: &&str| replies.iter().find(|reply| reply.to_string().contains(*word)).cloned();
        Ok(words.iter().map(of).collect::<Option<Vec<Value>>>())
    })?;
    (show.say)("in the thread:");
    found.iter().for_each(|reply| say_message(show, reply));
    Ok(())
}

/// The one-time schedules that wait, with their times.
fn waiting(show: &Show<'_>) -> Result<Vec<String>> {
    let route = format!("scheduler/once?group={PREFIX}-incidents");
    let schedules = show.aws.admin("GET", &route, None)?;
    let schedules = schedules.get("schedules").and_then(Value::as_array).cloned().unwrap_or_default();
    let line = |one: &Value| {
        format!("{} at {} UTC", text(one, "/name").unwrap_or("?"), text(one, "/at").unwrap_or("?"))
    };
    Ok(schedules.iter().map(line).collect())
}

/// The post-mortem's pull request: its number, branch, file and text.
fn proposal(show: &Show<'_>, id: &str) -> Result<Option<(u64, String, String, String)>> {
    let repository = show.aws.admin("GET", "github/repository", None)?;
    let pulls = repository.get("pulls").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(pull) = pulls.iter().find(|pull| pull.to_string().contains(id)) else { return Ok(None) };
    let branch = text(pull, "/head").context("the pull request has no branch")?.to_owned();
    let number = pull.get("number").and_then(Value::as_u64).context("the pull request has no number")?;
    let files =
        repository.get("branches").and_then(|branches| branches.get(&branch)).and_then(Value::as_object);
    let file = files.into_iter().flatten().find(|(path, _)| path.contains(id));
    let (path, document) = file.context("the pull request has no document")?;
    Ok(Some((number, branch, path.clone(), document.as_str().unwrap_or_default().to_owned())))
}

/// Writes a cause and two actions into the pull request, as people do in GitHub.
fn fill(show: &Show<'_>, branch: &str, path: &str, document: &str) -> Result<()> {
    let filled: Vec<String> = document
        .replace("_A preencher._", "A tabela de inscrições não tinha índice, e o relatório a lia inteira.")
        .lines()
        .map(|line| match line.strip_suffix("| | |") {
            // The first action came with the runbook that was wrong.
            Some(start) if line.starts_with("| 1 |") => format!("{start}| Bia | 2031-01-15 |"),
            Some(_) if line.starts_with("| 2 |") => "| 2 | Criar o índice | Ana | 2031-01-10 |".to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    let (url, token) = (show.aws.cloud.fact("github_url")?, show.aws.cloud.fact("github_token")?);
    let bearer = format!("Bearer {token}");
    let headers =
        [("Authorization", bearer.as_str()), ("User-Agent", "demo"), ("Content-Type", "application/json")];
    let file = format!("/repos/{}/contents/{path}", deploy::GITHUB_REPOSITORY);
    let limit = Duration::from_secs(30);
    let old = http::request(url, "GET", &format!("{file}?ref={branch}"), &headers, &[], limit)?;
    let old: Value = serde_json::from_slice(&old.body).context("GitHub has no document")?;
    let change = json!({"message": "Causa e ações", "content": STANDARD.encode(filled.join("\n") + "\n"),
        "branch": branch, "sha": old.get("sha")});
    let put = http::request(url, "PUT", &file, &headers, change.to_string().as_bytes(), limit)?;
    ensure!(put.status < 300, "GitHub refused the document: {}", put.text());
    Ok(())
}

/// Shows the whole timeline, and writes message and thread as a page.
fn show_all(show: &mut Show<'_>, id: &str) -> Result<()> {
    (show.say)("the incident's timeline:");
    for line in timeline(show.aws, id)? {
        let part = |name| text(&line, name).unwrap_or_default().lines().next().unwrap_or_default().to_owned();
        (show.say)(&format!("  {} {} {}: {}", part("/at"), part("/action"), part("/by"), part("/text")));
    }
    let post = posts(show.aws, id)?.pop().context("the incident has no message")?;
    let replies = replies(show, id)?;
    let all = std::iter::once(("the message at the end", &post))
        .chain(replies.iter().map(|reply| ("in its thread", reply)));
    write_page(show, "incident-life.html", "An incident's life in Slack", all)
}
