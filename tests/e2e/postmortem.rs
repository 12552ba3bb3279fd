//! `postmortem` on the local cloud: the document of an alarm's incident in the bucket and as a pull request, its states, its
//! actions on the board, the daily run.
//!
//! No clock is moved: where a day has to pass, the test writes an earlier one into the journal, as the account's root.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use shared::runtime::time::{local_date, now};

use crate::cloud::{Cloud, EVIDENCE, sha256};
use crate::incidents::{Pager, alarm, delivery, notification};
use crate::matrix::{Kill, points, points_and_reads, write};

const LABEL: &str = "governance-postmortem";

const CAUSE: &str = "<!-- governance:postmortem:cause -->\n\n_A preencher._";

struct World {
    cloud: Cloud,
    pager: Pager,
}

impl World {
    /// No post-mortem, incident, issue or pull request.
    async fn fresh() -> Self {
        let world = Self { cloud: Cloud::connect("postmortem").await, pager: Pager::held().await };
        for folder in ["evidence/postmortem/", "runs/postmortem/", "postmortems/", "metrics/"] {
            world.cloud.wipe(folder).await;
        }
        world.cloud.begin_long_ago("postmortem").await;
        for what in ["github/issues", "github/repository"] {
            world.cloud.admin(Method::DELETE, what, None).await;
        }
        let settings = json!({"may_write": true, "may_write_contents": true, "may_label": true});
        world.cloud.admin(Method::POST, "github/config", Some(settings)).await;
        world
    }

    /// An alarm that came and went; the incident's id.
    async fn incident(&self) -> String {
        let name = format!("moveongs-dev-postmortem-{}", now().as_nanosecond());
        let began = now() - SignedDuration::from_mins(30);
        for (state, previous, at) in
            [("ALARM", "OK", began), ("OK", "ALARM", began + SignedDuration::from_mins(10))]
        {
            let message = alarm(&name, state, previous, at).to_string();
            let notified = notification(&format!("{name}-{state}"), &message, None).to_string();
            self.pager.intake(&delivery(&[notified])).await.unwrap();
        }
        let incidents = self.pager.incidents().await;
        let own = incidents.iter().find(|one| one.body["title"].to_string().contains(&name));
        let own = own.unwrap_or_else(|| panic!("{incidents:?}"));
        assert_eq!(own.body["state"], "resolved", "{own:?}");
        own.id.clone()
    }

    async fn ask(&self, event: &Value) -> Value {
        self.cloud.invoke(event.clone()).await.unwrap_or_else(|error| panic!("{event}: {error}"))
    }

    /// The kind of a refusal, which is an answer: nobody is paged for it.
    async fn refused(&self, event: &Value) -> String {
        let answer = self.ask(event).await;
        assert_eq!(answer["outcome"], "refused", "{answer}");
        answer["kind"].as_str().unwrap().to_owned()
    }

    /// A failure of the stack.
    async fn failed(&self, event: &Value) -> String {
        let error = self.cloud.invoke(event.clone()).await.unwrap_err();
        error["errorType"].as_str().unwrap().to_owned()
    }

    /// The document as a branch has it.
    async fn file(&self, id: &str, branch: &str) -> String {
        let repository = self.cloud.admin(Method::GET, "github/repository", None).await;
        let path = format!("docs/postmortems/dev/{id}.md");
        repository["branches"][branch][path].as_str().unwrap_or_default().to_owned()
    }

    /// A person marks the runbook as wrong, which is another fact.
    async fn runbook_wrong(&self, id: &str) {
        let wrong =
            json!({"runbook_wrong": {"incident": id, "reason": "o passo 3 apaga a fila", "by": "Bia"}});
        self.pager.asks(&wrong).await.unwrap();
    }

    /// As if the incident had ended once before the end that it has.
    async fn ended_again(&self, id: &str) {
        self.rewrite(id, |one| one["resolved_at"] = json!("2026-01-01T12:00:00Z")).await;
    }

    async fn may(&self, settings: Value) {
        self.cloud.admin(Method::POST, "github/config", Some(settings)).await;
    }

    async fn journal(&self) -> Value {
        let journal = self.cloud.json(&journal_key()).await;
        journal.unwrap_or_else(|| json!({"postmortems": {}}))
    }

    /// What the timeline says about the post-mortem.
    async fn told(&self, id: &str) -> Vec<String> {
        let incidents = self.pager.incidents().await;
        let own = incidents.into_iter().find(|one| one.id == id).unwrap();
        let lines = own.lines.into_iter().filter(|line| line["action"] == "post_mortem");
        lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    }

    async fn issues(&self) -> Vec<Value> {
        let all = self.cloud.admin(Method::GET, "github/issues", None).await;
        let all = all["issues"].as_array().unwrap().clone();
        all.into_iter().filter(|issue| issue["labels"].to_string().contains(LABEL)).collect()
    }

    async fn pulls(&self) -> Vec<Value> {
        let repository = self.cloud.admin(Method::GET, "github/repository", None).await;
        repository["pulls"].as_array().unwrap().clone()
    }

    /// The records' run ids, the oldest first, without those of daily runs.
    async fn records(&self) -> Vec<String> {
        let records = self.cloud.evidence("postmortem").await;
        let ids = records.into_iter().map(|(_, record)| record["run_id"].as_str().unwrap().to_owned());
        ids.filter(|id| id.starts_with("INC-")).collect()
    }

    /// A person writes into the pull request's file.
    async fn write(&self, id: &str, change: impl Fn(&str) -> String) {
        let (path, branch) =
            (format!("docs/postmortems/dev/{id}.md"), format!("governance/postmortem-dev-{id}"));
        let file =
            self.cloud.github(Method::GET, &format!("contents/{path}?ref={branch}"), &Value::Null).await;
        let held: String = file["content"].as_str().unwrap().split_ascii_whitespace().collect();
        let held = String::from_utf8(STANDARD.decode(held).unwrap()).unwrap();
        let content = json!({"message": "causa", "content": STANDARD.encode(change(&held)), "branch": branch, "sha": file["sha"]});
        self.cloud.github(Method::PUT, &format!("contents/{path}"), &content).await;
    }

    /// Changes the journal as nobody may: a day has passed.
    async fn rewrite(&self, id: &str, change: impl Fn(&mut Value)) {
        self.rewrite_all(|all| change(&mut all[id])).await;
    }

    async fn rewrite_all(&self, change: impl Fn(&mut Value)) {
        let mut journal = self.journal().await;
        change(&mut journal["postmortems"]);
        let put = self.cloud.s3.put_object().bucket(EVIDENCE).key(journal_key());
        put.body(journal.to_string().into_bytes().into()).send().await.unwrap();
    }
}

fn journal_key() -> String {
    format!("runs/postmortem/{}.json", sha256(b"journal"))
}

fn document(id: &str) -> Value {
    json!({"document": {"incident": id}})
}

fn state(id: &str, state: &str) -> Value {
    json!({"postmortem": {"incident": id, "state": state, "by": "Ana Souza"}})
}

/// A document with a cause and one action.
fn filled(document: &str) -> String {
    assert!(document.contains(CAUSE), "{document}");
    let document = document.replace(CAUSE, "<!-- governance:postmortem:cause -->\n\nFaltava um índice.");
    document.replacen("| 1 |  | | |", "| 1 | Criar o índice @time | Ana Souza | 31/12/2036 |", 1)
}

#[tokio::test]
async fn a_document_is_a_pull_request_until_it_is_closed_and_its_actions_are_issues() {
    let world = World::fresh().await;
    let id = world.incident().await;
    let begun = world.ask(&document(&id)).await;
    assert_eq!((&begun["outcome"], &begun["state"]), (&json!("begun"), &json!("draft")));
    let [pull] = world.pulls().await.try_into().unwrap();
    assert_eq!((&pull["number"], &pull["state"]), (&begun["pull_request"], &json!("open")));
    let key = format!("postmortems/{id}/postmortem.md");
    let draft = world.cloud.text(&key).await;
    assert!(draft.contains("## Linha do tempo") && draft.contains("| TTR |"), "{draft}");
    let page = world.cloud.text(&format!("postmortems/{id}/postmortem.html")).await;
    assert!(page.starts_with("<!doctype html>"));
    let told = world.told(&id).await;
    assert!(told.len() == 1 && told[0].contains(&format!("PR #{}", pull["number"])), "{told:?}");
    assert_eq!(world.ask(&document(&id)).await["outcome"], "unchanged");

    // In the repository, people write there and nowhere else.
    let text = json!({"postmortem": {"incident": id, "text": draft, "by": "Ana Souza"}});
    assert_eq!(world.refused(&text).await, "InRepository");
    assert_eq!(world.refused(&state(&id, "closed")).await, "WrongState");
    assert_eq!(world.ask(&state(&id, "in_review")).await["outcome"], "changed");
    assert_eq!(world.refused(&state(&id, "closed")).await, "Incomplete");
    world.write(&id, filled).await;
    let closed = world.ask(&state(&id, "closed")).await;
    assert_eq!(
        (&closed["outcome"], &closed["state"], &closed["by"]),
        (&json!("changed"), &json!("closed"), &json!("Ana Souza"))
    );
    assert!(world.cloud.text(&key).await.contains("Faltava um índice."));
    let [issue] = world.issues().await.try_into().unwrap();
    assert_eq!(closed["issues"], json!([issue["number"]]));
    let body = issue["body"].as_str().unwrap();
    for part in ["Criar o índice @\u{2060}time", "Ana Souza", "2036-12-31", &id] {
        assert!(body.contains(part), "{part} is not in {body}");
    }
    assert_eq!(world.told(&id).await.len(), 3);
    // Nothing is replaced in the pull request, which a person merges now.
    world.cloud.admin(Method::POST, "github/pulls/merge", Some(json!({"number": pull["number"]}))).await;

    // Overdue: it pages, every day, until the issue is closed.
    world.rewrite(&id, |one| one["actions"][0]["due"] = json!("2026-01-02")).await;
    let late = world.ask(&json!({})).await;
    assert_eq!(
        (&late["result"], &late["findings"]),
        (&json!("failed"), &json!([format!("ActionOverdue {id}/1")]))
    );
    assert_eq!(late["paged"].as_array().unwrap().len(), 1, "{late}");
    world
        .cloud
        .github(Method::PATCH, &format!("issues/{}", issue["number"]), &json!({"state": "closed"}))
        .await;
    let done = world.ask(&json!({})).await;
    assert_eq!((&done["result"], &done["done"]), (&json!("succeeded"), &json!([format!("{id}/1")])));
    assert_eq!(world.pulls().await.len(), 1);
    let month = local_date(now() - SignedDuration::from_mins(30));
    let month = &month[..7];
    let metrics = world.cloud.json(&format!("metrics/incidents-{month}.json")).await.unwrap();
    assert_eq!(metrics["rows"][0]["ttr"]["count"], 1, "{metrics}");
    assert_eq!(metrics["unacknowledged"][0]["incident"], json!(id));
}

#[tokio::test]
async fn what_github_refuses_is_made_up_for_by_the_next_daily_run() {
    let world = World::fresh().await;
    let id = world.incident().await;
    let may = async |contents: bool, issues: bool| {
        let settings = json!({"may_write_contents": contents, "may_write": issues});
        world.cloud.admin(Method::POST, "github/config", Some(settings)).await;
    };
    may(false, false).await;
    let begun = world.ask(&document(&id)).await;
    assert_eq!((&begun["outcome"], &begun["pull_request"]), (&json!("begun"), &Value::Null));
    may(true, false).await;
    assert_eq!(world.ask(&json!({})).await["result"], "succeeded");
    assert_eq!(world.pulls().await.len(), 1);
    world.write(&id, filled).await;
    world.ask(&state(&id, "in_review")).await;
    let closed = world.ask(&state(&id, "closed")).await;
    assert_eq!((&closed["state"], &closed["issues"]), (&json!("closed"), &Value::Null));
    may(true, true).await;
    // The refused attempt's claim protects the action for some minutes.
    abandon(&world, &id).await;
    let opened = world.ask(&json!({})).await;
    assert_eq!(opened["opened"].as_array().unwrap().len(), 1, "{opened}");
    assert_eq!(world.issues().await.len(), 1);
    // The repository does not answer: nothing passes that was not seen.
    world.pager.outage("github").await;
    let unseen = world.ask(&json!({})).await;
    assert_eq!(unseen["findings"], json!([format!("NotSeen {id}")]));
    world.pager.calm().await;
}

#[tokio::test]
async fn the_daily_run_begins_what_the_clock_lost_and_drops_what_was_none() {
    let world = World::fresh().await;
    let id = world.incident().await;
    // It ended some minutes ago; the daily run leaves it to the clock until the flap window is over.
    let patch = json!({"incidents": {"flap_minutes": 0}});
    world.cloud.set_policy(&patch).await;
    let run = world.ask(&json!({})).await;
    assert_eq!(run["begun"], json!([id]));
    world.rewrite(&id, |one| one["due"] = json!("2026-01-02")).await;
    let late = world.ask(&json!({})).await;
    assert_eq!(late["findings"], json!([format!("PostmortemOverdue {id}")]));
    let record = world.cloud.record_of(late["run_id"].as_str().unwrap()).await.unwrap();
    assert_eq!(record["procedure"], "postmortem");
    world.cloud.forget_policy().await;
}

#[tokio::test]
async fn new_facts_reach_the_pull_request_however_often_github_fails_and_replace_nothing_of_peoples() {
    let world = World::fresh().await;
    let id = world.incident().await;
    world.ask(&document(&id)).await;
    world.write(&id, filled).await;
    let branch = format!("governance/postmortem-dev-{id}");
    let peoples = world.file(&id, &branch).await;
    world.runbook_wrong(&id).await;
    world.ended_again(&id).await;
    // It can be read and not written; it can be neither.
    world.may(json!({"may_write_contents": false})).await;
    assert_eq!(world.failed(&document(&id)).await, "RepositoryFailed");
    world.may(json!({"may_write_contents": true})).await;
    world.pager.outage("github").await;
    assert_eq!(world.failed(&document(&id)).await, "RepositoryFailed");
    world.pager.calm().await;
    assert_eq!(world.file(&id, &branch).await, peoples);
    assert_eq!(world.journal().await["postmortems"][&id]["resolved_at"], "2026-01-01T12:00:00Z");
    let again = world.ask(&document(&id)).await;
    assert_eq!(again["outcome"], "begun_again");
    let after = world.file(&id, &branch).await;
    for part in ["o passo 3 apaga a fila", "Faltava um índice.", "Criar o índice @time"] {
        assert!(after.contains(part), "{part} is not in {after}");
    }
    assert_eq!(world.pulls().await.len(), 1);
}

#[tokio::test]
async fn a_draft_is_not_put_over_what_people_wrote_while_it_was_not_read() {
    let world = World::fresh().await;
    let id = world.incident().await;
    let first = world.ask(&document(&id)).await;
    world.write(&id, filled).await;
    let branch = format!("governance/postmortem-dev-{id}");
    let peoples = world.file(&id, &branch).await;
    // As if the function had died before it wrote the journal; and now GitHub does not answer the first question.
    world.rewrite_all(|all| *all = json!({})).await;
    let once = json!({"service": "github", "action": "GET /pulls", "effect": "error", "status": 502, "code": "bad", "message": "Bad Gateway"});
    world.cloud.fault(once).await;
    let begun = world.ask(&document(&id)).await;
    assert_eq!((&begun["outcome"], &begun["pull_request"]), (&json!("begun"), &Value::Null));
    assert_eq!(world.file(&id, &branch).await, peoples);
    world.pager.calm().await;
    assert_eq!(world.ask(&json!({})).await["result"], "succeeded");
    assert_eq!(world.file(&id, &branch).await, peoples);
    assert_eq!(world.journal().await["postmortems"][&id]["pull_request"], first["pull_request"]);
}

#[tokio::test]
async fn while_a_pull_request_is_open_it_counts_and_a_closed_one_holds_nothing() {
    let world = World::fresh().await;
    let id = world.incident().await;
    let first = world.ask(&document(&id)).await;
    world
        .cloud
        .admin(Method::POST, "github/pulls/merge", Some(json!({"number": first["pull_request"]})))
        .await;
    // A further action is offered in a second one, in which people then write everything.
    world.runbook_wrong(&id).await;
    let review = world.ask(&state(&id, "in_review")).await;
    assert!(review["pull_request"].as_u64() > first["pull_request"].as_u64(), "{review}");
    assert_eq!(world.refused(&state(&id, "closed")).await, "Incomplete");
    world
        .write(&id, |text| {
            filled(text)
                .replace("o passo 3 apaga a fila | | |", "o passo 3 apaga a fila | Bia | 2036-12-31 |")
        })
        .await;
    let closed = world.ask(&state(&id, "closed")).await;
    assert_eq!(closed["issues"].as_array().map(Vec::len), Some(2), "{closed}");

    // A person closes the pull request; GitHub keeps its branch.
    let other = world.incident().await;
    world.ask(&document(&other)).await;
    let branch = format!("governance/postmortem-dev-{other}");
    let main = world.cloud.github(Method::GET, "git/ref/heads/main", &Value::Null).await;
    let reset = json!({"sha": main["object"]["sha"], "force": true});
    world.cloud.github(Method::PATCH, &format!("git/refs/heads/{branch}"), &reset).await;
    let left = json!({"message": "x", "content": STANDARD.encode("abandonado"), "branch": branch});
    world.cloud.github(Method::PUT, &format!("contents/docs/postmortems/dev/{other}.md"), &left).await;
    assert_eq!(world.ask(&json!({})).await["findings"], json!([]));
    let text = world.cloud.text(&format!("postmortems/{other}/postmortem.md")).await;
    let text = json!({"postmortem": {"incident": other, "text": filled(&text), "by": "Ana Souza"}});
    assert_eq!(world.ask(&text).await["outcome"], "changed");
    world.ask(&state(&other, "in_review")).await;
    assert_eq!(world.ask(&state(&other, "closed")).await["outcome"], "changed");
}

#[tokio::test]
async fn an_issue_says_what_became_of_its_action_and_follows_it() {
    let world = World::fresh().await;
    let id = world.incident().await;
    world.ask(&document(&id)).await;
    world.write(&id, filled).await;
    world.ask(&state(&id, "in_review")).await;
    let closed = world.ask(&state(&id, "closed")).await;
    let number = closed["issues"][0].as_u64().unwrap();
    let change = async |change: Value| {
        world.cloud.github(Method::PATCH, &format!("issues/{number}"), &change).await;
    };
    let findings = async || world.ask(&json!({})).await["findings"].clone();
    // Closed, and not done.
    change(json!({"state": "closed", "state_reason": "not_planned"})).await;
    assert_eq!(findings().await, json!([format!("ActionRejected {id}/1")]));
    // Without the label it is not listed, and without the marker it is the action's all the same.
    change(json!({"state": "open", "state_reason": "reopened", "labels": []})).await;
    assert_eq!(findings().await, json!([format!("NotSeen {id}")]));
    let body =
        world.cloud.github(Method::GET, &format!("issues/{number}"), &Value::Null).await["body"].clone();
    let body = format!("{}\n\nmedido: 3 s", body.as_str().unwrap().split("<!--").next().unwrap());
    change(json!({"labels": [LABEL], "body": body})).await;
    assert_eq!(findings().await, json!([]));
    // Another day is in the issue, too, with what people wrote there.
    let due =
        json!({"action": {"incident": id, "number": 1, "due": "2036-11-30", "reason": "antes", "by": "Ana"}});
    for outcome in ["changed", "unchanged"] {
        assert_eq!(world.ask(&due).await["outcome"], outcome);
    }
    let [issue] = world.issues().await.try_into().unwrap();
    assert!(issue["title"].as_str().unwrap().contains("2036-11-30"), "{issue}");
    let body = issue["body"].as_str().unwrap();
    assert!(
        body.contains("2036-11-30") && !body.contains("2036-12-31") && body.contains("medido: 3 s"),
        "{body}"
    );
    let done = json!({"action": {"incident": id, "number": 1, "done": true, "reason": "desligamos o relatório", "by": "Ana"}});
    world.ask(&done).await;
    world.ask(&done).await;
    let [issue] = world.issues().await.try_into().unwrap();
    assert_eq!(
        (&issue["state"], issue["comments"].as_array().unwrap().len()),
        (&json!("closed"), 1),
        "{issue}"
    );
    assert!(issue["comments"][0].as_str().unwrap().contains("desligamos o relatório"), "{issue}");
    assert_eq!(findings().await, json!([]));
}

/// What the function does when it is killed.
#[derive(Clone, Copy, Debug)]
enum Case {
    Begin,
    Again,
    Done,
    Close,
    Daily,
}

#[tokio::test]
async fn every_crash_point_ends_with_one_document_one_entry_one_record_and_one_issue() {
    let mut all = Vec::new();
    for (case, least) in
        [(Case::Begin, 8), (Case::Again, 6), (Case::Close, 6), (Case::Done, 4), (Case::Daily, 4)]
    {
        let kill = async |kill| {
            let mut point = crash(case, kill).await?;
            point["case"] = json!(format!("{case:?}"));
            Some(point)
        };
        // Their reads are those of the others.
        let of_case = match case {
            Case::Again | Case::Done => points(least, kill).await,
            _ => points_and_reads(least, kill).await,
        };
        all.extend(of_case);
    }
    write("postmortem", &all, json!({}));
}

/// Kills the function at a call; `None` when it makes fewer calls. Then the event is delivered twice.
async fn crash(case: Case, kill: Kill) -> Option<Value> {
    let world = World::fresh().await;
    let id = world.incident().await;
    if !matches!(case, Case::Begin) {
        world.ask(&document(&id)).await;
        world.write(&id, filled).await;
    }
    if matches!(case, Case::Again) {
        world.runbook_wrong(&id).await;
        world.ended_again(&id).await;
    }
    if matches!(case, Case::Close | Case::Done | Case::Daily) {
        world.ask(&state(&id, "in_review")).await;
    }
    if matches!(case, Case::Done | Case::Daily) {
        world.ask(&state(&id, "closed")).await;
    }
    if matches!(case, Case::Daily) {
        world.rewrite(&id, |one| one["actions"][0]["due"] = json!("2026-01-02")).await;
    }
    let event = match case {
        Case::Begin | Case::Again => document(&id),
        Case::Done => json!({"action": {"incident": id, "number": 1, "done": true, "by": "Ana Souza"}}),
        Case::Close => state(&id, "closed"),
        Case::Daily => json!({}),
    };
    let (operation, answer) = kill.during(&world.cloud, &event).await;
    world.pager.calm().await;
    for _ in 0..2 {
        if matches!(case, Case::Close) {
            abandon(&world, &id).await;
        }
        world.ask(&event).await;
    }
    let at = format!("{case:?} {kill} ({operation:?})");
    let (told, records, issues) = (world.told(&id).await, world.records().await, world.issues().await);
    let expected = match case {
        Case::Begin => (1, 1, 0),
        Case::Again => (2, 2, 0),
        Case::Done => (3, 4, 1),
        Case::Close | Case::Daily => (3, 3, 1),
    };
    assert_eq!((told.len(), records.len(), issues.len()), expected, "{at}: {told:?} {records:?} {issues:?}");
    assert_eq!(world.pulls().await.len(), 1, "{at}");
    let journal = world.journal().await;
    let closed = if matches!(case, Case::Begin | Case::Again) { "draft" } else { "closed" };
    assert_eq!(journal["postmortems"][&id]["state"], closed, "{at}");
    match case {
        Case::Again => {
            let file = world.file(&id, &format!("governance/postmortem-dev-{id}")).await;
            for part in ["o passo 3 apaga a fila | | |", "Faltava um índice."] {
                assert_eq!(file.matches(part).count(), 1, "{at}: {part} in {file}");
            }
        }
        Case::Done => assert_eq!(issues[0]["state"], "closed", "{at}"),
        _ => {}
    }
    if matches!(case, Case::Daily) {
        let today = world.cloud.evidence("postmortem").await;
        let days = today.iter().filter(|(_, record)| !record["run_id"].as_str().unwrap().starts_with("INC-"));
        assert_eq!(days.count(), 1, "{at}");
    }
    answer.is_none().then(|| json!({"operation": operation, "end": "succeeded"}))
}

/// Makes the claim on the first action old, as it is when the event is delivered again minutes later.
async fn abandon(world: &World, id: &str) {
    let marker = format!("<!-- governance:postmortem:action:{id}:1 -->");
    let key = format!("runs/postmortem/{}.json", sha256(marker.as_bytes()));
    let Some(mut claim) = world.cloud.json(&key).await else { return };
    if claim["issue"].is_null() {
        claim["taken"] = json!("2026-01-01T12:00:00Z");
        let put = world.cloud.s3.put_object().bucket(EVIDENCE).key(key);
        put.body(claim.to_string().into_bytes().into()).send().await.unwrap();
    }
}
