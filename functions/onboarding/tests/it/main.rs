//! The function against the wire protocols of AWS and Grafana, with buckets and an IAM group in memory. The board is tested on the
//! local cloud.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cloud;
mod death;

use onboarding::{Answer, OnboardingError, One};
use serde_json::{Value, json};
use shared::runtime::failure::Failure;
use shared::testing::bucket::Bucket;

use cloud::{Cloud, NOW};

/// Everything by which the person could be known.
const PERSONAL: [&str; 7] = ["Bia", "Lima", "bia.lima", "bia@", "Souza", "Plantonista", "Ana Souza"];

fn start() -> Value {
    json!({"start": {
        "name": "Bia Lima", "role": "Plantonista", "start": "2026-12-01", "mentor": "Ana Souza",
        "iam_user": "bia.lima", "grafana_login": "bia@example.org",
    }})
}

fn said(id: &str, item: &str, by: &str) -> Value {
    json!({"acknowledge": {"person": id, "item": item, "by": by}})
}

fn shadow(id: &str, procedure: &str, run: &str) -> Value {
    json!({"shadow": {"person": id, "procedure": procedure, "run": run, "by": "Ana Souza"}})
}

fn open(one: &One) -> Vec<&str> {
    one.items.iter().filter(|line| line.state != "done").map(|line| line.item.as_str()).collect()
}

/// Records that show the three pieces of work.
fn work(cloud: &Cloud) {
    let at = json!({"utc": "2026-12-01T12:00:00Z", "local": "x"});
    let step = |name: &str| json!([{"name": name, "at": at, "outcome": "succeeded"}]);
    cloud.store("rotate-random", &[json!({"run_id": "token-1"}), json!({"run_id": "token-2"})]);
    cloud.store("restore-test", &[json!({"run_id": "restore-1", "steps": step("recovery: instance")})]);
    cloud.store("snapshot-create", &[json!({"run_id": "moveongs-dev-db/77/available"})]);
}

/// A request that is refused, which is an answer; evidence that was harmed is a failure.
async fn refused(cloud: &Cloud, event: Value) -> &'static str {
    refused_at(cloud, event, NOW).await
}

async fn refused_at(cloud: &Cloud, event: Value, now: &str) -> &'static str {
    refusal(cloud, event, now).await.0
}

/// The refusal's kind and text.
async fn refusal(cloud: &Cloud, event: Value, now: &str) -> (&'static str, String) {
    let (kind, text) = match cloud.ask(event, now).await {
        Ok(Answer::Refused(refused)) => {
            assert_eq!(refused.outcome, "refused");
            (refused.kind, refused.message)
        }
        Err(error @ OnboardingError::NotIntact { .. }) => (error.kind(), error.to_string()),
        other => panic!("{other:?}"),
    };
    assert!(!PERSONAL.iter().any(|personal| text.contains(personal)), "{text}");
    (kind, text)
}

#[tokio::test]
async fn a_checklist_is_complete_when_everything_is_said_or_seen() {
    let cloud = Cloud::new();
    work(&cloud);
    let begun = cloud.one(start(), NOW).await;
    let id = begun.person.clone();
    assert_eq!((begun.outcome, begun.state, begun.due.as_deref()), ("begun", "new", Some("2026-12-31")));
    assert_eq!(open(&begun).len(), 9);
    let messages = cloud.messages();
    assert!(
        messages.len() == 1 && messages[0].contains("<@U0123ANA9>") && messages[0].contains(&id),
        "{messages:?}"
    );
    // The same again.
    assert_eq!(cloud.one(start(), NOW).await.outcome, "unchanged");

    for document in ["docs/observability/README.md", "docs/openapi/v1/openapi.yaml", "guia-operacional.md"] {
        cloud.one(said(&id, &format!("document:{document}"), "bia lima"), NOW).await;
    }
    assert_eq!(cloud.one(said(&id, "local_environment", "Ana Souza"), NOW).await.outcome, "changed");
    assert_eq!(cloud.one(said(&id, "local_environment", "Ana Souza"), NOW).await.outcome, "unchanged");
    for (procedure, run) in [
        ("rotate-random", "token-1"),
        ("restore-test", "restore-1"),
        ("snapshot-create", "moveongs-dev-db/77/available"),
    ] {
        cloud.one(shadow(&id, procedure, run), NOW).await;
    }
    let shown = cloud.one(json!({"show": {"person": id}}), NOW).await;
    assert_eq!(open(&shown), ["aws_access", "grafana_access"]);
    let rotation = shown.items.iter().find(|line| line.item == "shadow_rotation").unwrap();
    assert_eq!(rotation.by, Some("mentor"));
    assert_eq!(rotation.record.as_deref(), Some("s3://evidence/evidence/rotate-random/9999999998.json"));

    // The one is on the second page of the group.
    cloud.access(&["ana", "bia.lima"], &["BIA@example.org"]);
    let report = cloud.daily(NOW).await;
    assert_eq!((report.result, report.completed.as_slice()), ("succeeded", std::slice::from_ref(&id)));
    assert_eq!(cloud.steps().last().map(String::as_str), Some("completed"));
    let records = cloud.records();
    let completed = records.iter().find(|record| record["run_id"] == format!("{id}/completed")).unwrap();
    assert!(completed["steps"][0]["outcome"].as_str().unwrap().contains("aws_access (check)"), "{completed}");
    let ticked =
        records.iter().find(|record| record["run_id"] == format!("{id}/ticked/shadow_rotation")).unwrap();
    let outcome = ticked["steps"][0]["outcome"].as_str().unwrap();
    assert!(
        outcome.starts_with("said by the mentor; run token-1 of rotate-random, evidence/rotate-random/"),
        "{outcome}"
    );
    assert_eq!(cloud.one(json!({"show": {"person": id}}), NOW).await.state, "complete");
    assert_eq!(cloud.daily("2026-12-02T12:45:00Z").await.completed, [""; 0]);
    let told = cloud.told();
    for personal in PERSONAL {
        assert!(!told.contains(personal), "{personal} is in {told}");
    }
}

#[tokio::test]
async fn who_says_what_is_checked() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    for (event, kind) in [
        (said("P-00000000", "local_environment", "Ana Souza"), "NoPerson"),
        (said(&id, "local_environment", "Bia Lima"), "NotTheirs"),
        (said(&id, "local_environment", "Rui"), "NotTheirs"),
        (said(&id, "document:guia-operacional.md", "Rui"), "NotTheirs"),
        (said(&id, "document:other", "Bia Lima"), "NoItem"),
        (said(&id, "aws_access", "Ana Souza"), "NotSaid"),
        (said(&id, "grafana_access", "Ana Souza"), "NotSaid"),
        (said(&id, "shadow_deploy", "Ana Souza"), "NotSaid"),
        (json!({"change": {"person": "P-00000000", "role": "x"}}), "NoPerson"),
        (json!({"leave": {"person": "P-00000000", "on": "2026-12-01"}}), "NoPerson"),
        (json!({"forget": {"person": "P-00000000"}}), "NoPerson"),
        (json!({"forget": {"person": id}}), "NotGone"),
        (json!({"show": {"person": "P-00000000"}}), "NoPerson"),
        (json!({"show": {"person": "Bia Lima"}}), "InvalidEvent"),
        (json!({"Bia Lima": {}}), "InvalidEvent"),
        (json!({"change": {"person": id, "mentor": "bia LIMA"}}), "InvalidEvent"),
        (json!({"change": {"person": id, "name": "ana souza"}}), "InvalidEvent"),
        (json!({"leave": {"person": id, "on": "2025-12-09"}}), "InvalidEvent"),
    ] {
        assert_eq!(refused(&cloud, event.clone()).await, kind, "{event}");
    }
    let mut other = start();
    other["start"]["role"] = "Gerente".into();
    assert_eq!(refused(&cloud, other).await, "NameTaken");
    assert_eq!(cloud.steps(), ["begun"]);
}

#[tokio::test]
async fn only_an_intact_record_of_the_right_run_counts() {
    let cloud = Cloud::new();
    work(&cloud);
    let id = cloud.one(start(), NOW).await.person;
    for (procedure, run, kind) in [
        ("rotate-random", "token-9", "NoRecord"),
        ("restore-test", "token-1", "NoRecord"),
        ("rotation-followup", "x", "NoRecord"),
    ] {
        assert_eq!(refused(&cloud, shadow(&id, procedure, run)).await, kind, "{procedure} {run}");
    }
    let mut by = shadow(&id, "rotate-random", "token-1");
    by["shadow"]["by"] = "Bia Lima".into();
    assert_eq!(refused(&cloud, by).await, "NotTheirs");

    // The first record's bytes change; the second names its hash.
    let key = "evidence/rotate-random/9999999998.json";
    let good = cloud.evidence.objects()[key].clone();
    cloud.put(key, &good.replace("token-1", "token-1 "));
    assert_eq!(refused(&cloud, shadow(&id, "rotate-random", "token-1")).await, "NoRecord");
    cloud.put(key, &good.replace("\"succeeded\"", "\"succeeded\" "));
    assert_eq!(refused(&cloud, shadow(&id, "rotate-random", "token-1")).await, "NotIntact");
    cloud.put(key, "{}");
    assert_eq!(refused(&cloud, shadow(&id, "rotate-random", "token-1")).await, "NotIntact");
    cloud.put(key, &good.replace("\"moveongs\"", "\"another\""));
    assert_eq!(refused(&cloud, shadow(&id, "rotate-random", "token-1")).await, "NotIntact");
    let hide: fn(&Bucket, &str, &str) = |bucket, key, _| bucket.hide(key);
    let twice: fn(&Bucket, &str, &str) = Bucket::put;
    let large: fn(&Bucket, &str, &str) = |bucket, key, good| bucket.exchange(key, &good.repeat(10_000));
    for (harm, expected) in [
        (hide, "a delete marker hides it"),
        (twice, "it was written more than once"),
        (large, "it is too large for a record"),
    ] {
        for key in [key, "evidence/rotate-random/9999999997.json"] {
            let good = cloud.evidence.objects()[key].clone();
            harm(&cloud.evidence, key, &good);
            let (kind, text) = refusal(&cloud, shadow(&id, "rotate-random", "token-1"), NOW).await;
            assert!(kind == "NotIntact" && text.contains(expected), "{key}: {text}");
            cloud.put(key, &good);
        }
    }
    cloud.put(key, &good);
    assert_eq!(cloud.one(shadow(&id, "rotate-random", "token-1"), NOW).await.outcome, "changed");

    let at = |utc: &str| json!({"utc": utc, "local": "x"});
    let steps = json!([{"name": "recovery: instance", "at": at(NOW), "outcome": "succeeded"}]);
    for (draft, expected) in [
        (json!({"result": "failed", "steps": steps}), "the run failed"),
        (json!({"started": at("2026-11-30T12:00:00Z"), "steps": steps}), "began before the person did"),
        (json!({"started": at("2026-12-01T12:45:01Z"), "steps": steps}), "begins in the future"),
        (json!({}), "that restored a snapshot"),
    ] {
        let mut draft = draft;
        draft["run_id"] = "restore-1".into();
        cloud.store("restore-test", &[draft]);
        let (kind, text) = refusal(&cloud, shadow(&id, "restore-test", "restore-1"), NOW).await;
        assert!(kind == "Misfit" && text.contains(expected), "{expected}: {text}");
    }
    assert_eq!(cloud.steps(), ["begun", "ticked/shadow_rotation"]);
}

#[tokio::test]
async fn a_late_checklist_is_a_finding_and_its_mentor_is_reminded() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    for (now, findings, reminded, result) in [
        ("2026-12-16T12:45:00Z", vec![], false, "succeeded"),
        ("2026-12-17T12:45:00Z", vec![format!("OnboardingDueSoon {id}")], true, "succeeded"),
        ("2026-12-18T12:45:00Z", vec![format!("OnboardingDueSoon {id}")], false, "succeeded"),
        ("2026-12-30T12:45:00Z", vec![format!("OnboardingDueSoon {id}")], true, "succeeded"),
        ("2026-12-31T12:45:00Z", vec![format!("OnboardingDueSoon {id}")], false, "succeeded"),
        ("2027-01-01T12:45:00Z", vec![format!("OnboardingOverdue {id}")], false, "failed"),
    ] {
        let before = cloud.messages().len();
        let report = cloud.daily(now).await;
        assert_eq!((&report.findings, report.result), (&findings, result), "{now}");
        assert_eq!(report.reminded.contains(&id), reminded, "{now}");
        assert_eq!(report.paged, [""; 0]);
        let messages = cloud.messages().split_off(before);
        let is_told = reminded || now.starts_with("2027");
        assert_eq!(
            messages.iter().filter(|text| text.contains("<@U0123ANA9>")).count(),
            usize::from(is_told),
            "{now}"
        );
        // The same day again.
        cloud.daily(now).await;
        assert_eq!(cloud.messages().len(), before + messages.len(), "{now}");
    }
    let later = json!({"change": {"person": id, "due": "2027-02-01", "mentor": "Rui"}});
    assert_eq!(cloud.one(later, "2027-01-02T12:00:00Z").await.due.as_deref(), Some("2027-02-01"));
    let report = cloud.daily("2027-01-02T12:45:00Z").await;
    assert_eq!(report.findings, [format!("MentorUnreachable {id}")]);
    assert_eq!(cloud.steps(), ["begun", "changed/1"]);
}

#[tokio::test]
async fn access_of_who_left_is_a_finding_on_the_same_day_until_it_is_gone_and_then_the_data_is_deleted() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    cloud.access(&["bia.lima"], &["bia@example.org"]);
    let leave = |on: &str| json!({"leave": {"person": id, "on": on}});
    let later = cloud.one(leave("2026-12-10"), NOW).await;
    assert_eq!((later.outcome, later.state), ("left", "new"));
    assert_eq!(cloud.daily("2026-12-09T12:45:00Z").await.findings, [""; 0]);
    let published = || cloud.state.lock().unwrap().published.len();
    assert_eq!(published(), 0);
    let left = cloud.one(leave("2026-12-09"), "2026-12-09T18:00:00Z").await;
    assert_eq!((left.outcome, left.state), ("left", "left"));
    let remains: Vec<_> = left.access.iter().filter(|line| line.state == "remains").collect();
    assert_eq!(remains.len(), 2);
    let command = remains[0].next.clone().unwrap();
    assert_eq!(command, "aws iam remove-user-from-group --group-name moveongs-ops --user-name bia.lima");
    let record = cloud.records().pop().unwrap();
    assert_eq!(record["findings"].as_array().unwrap().len(), 2, "{record}");
    // The daily run is over: the request pages, once.
    assert_eq!((record["result"].as_str(), published()), (Some("failed"), 1), "{record}");
    assert_eq!(record["steps"][1]["name"], "access", "{record}");
    assert_eq!(record["steps"][2]["outcome"], "succeeded", "{record}");
    assert!(cloud.messages().last().unwrap().contains("Ainda tem acesso"));
    assert_eq!(cloud.one(leave("2026-12-09"), "2026-12-09T18:00:00Z").await.outcome, "unchanged");
    let again = cloud.daily("2026-12-09T18:30:00Z").await;
    assert_eq!((again.result, again.paged.len(), published()), ("failed", 0, 1));

    let report = cloud.daily("2026-12-10T12:45:00Z").await;
    assert_eq!(
        report.findings,
        [format!("AccessRemains {id}/aws_group"), format!("AccessRemains {id}/grafana")]
    );
    assert_eq!((report.result, report.paged.len()), ("failed", 1));
    let forget = || json!({"forget": {"person": id}});
    assert_eq!(refused_at(&cloud, forget(), "2026-12-10T13:00:00Z").await, "AccessRemains");
    assert_eq!(
        refused_at(&cloud, said(&id, "local_environment", "Ana Souza"), "2026-12-10T13:00:00Z").await,
        "HasLeft"
    );
    assert_eq!(refused_at(&cloud, start(), "2026-12-10T13:00:00Z").await, "HasLeft");

    // What does not answer is not gone.
    cloud.state.lock().unwrap().group = None;
    *cloud.grafana.lock().unwrap() = None;
    let unseen = cloud.daily("2026-12-11T12:45:00Z").await;
    assert_eq!(unseen.findings, ["NotSeen aws_group", "NotSeen grafana"]);
    assert_eq!(unseen.result, "failed");
    assert_eq!(refused_at(&cloud, forget(), "2026-12-11T13:00:00Z").await, "AccessRemains");
    let late = cloud.daily("2027-12-11T12:45:00Z").await;
    assert_eq!(late.forgotten, [""; 0]);

    cloud.access(&[], &[]);
    let gone = cloud.daily("2026-12-12T12:45:00Z").await;
    assert_eq!((gone.result, gone.findings.len()), ("succeeded", 0));
    assert_eq!(cloud.daily("2027-06-06T12:45:00Z").await.forgotten, [""; 0]);
    let forgotten = cloud.daily("2027-06-07T12:45:00Z").await;
    assert_eq!(forgotten.forgotten, std::slice::from_ref(&id));
    for (place, objects) in [("people", cloud.people.objects()), ("evidence", cloud.evidence.objects())] {
        let text: String = objects.values().cloned().collect();
        assert!(!PERSONAL.iter().any(|personal| text.contains(personal)), "{place}: {text}");
    }
    assert_eq!(cloud.steps(), ["begun", "left/2026-12-10/1", "left/2026-12-09/2", "forgotten"]);
    let again = cloud.one(forget(), "2027-06-08T12:00:00Z").await;
    assert_eq!((again.outcome, again.state), ("unchanged", "forgotten"));
    // The name is free again.
    assert_ne!(cloud.one(start(), "2027-06-08T12:00:00Z").await.person, id);
}

#[tokio::test]
async fn a_leaving_that_was_a_mistake_is_taken_back() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    let stay = || json!({"stay": {"person": id}});
    assert_eq!(cloud.one(stay(), NOW).await.outcome, "unchanged");
    cloud.one(json!({"leave": {"person": id, "on": "2026-12-01"}}), NOW).await;
    let stays = cloud.one(stay(), NOW).await;
    assert_eq!((stays.outcome, stays.state, stays.left), ("changed", "new", None));
    assert_eq!(cloud.one(stay(), NOW).await.outcome, "unchanged");
    cloud.one(json!({"leave": {"person": id, "on": "2026-12-01"}}), NOW).await;
    assert_eq!(cloud.steps(), ["begun", "left/2026-12-01/1", "stays/2", "left/2026-12-01/3"]);
}

#[tokio::test]
async fn what_the_stack_does_not_check_the_mentor_says() {
    let none = [("OPS_GROUP_NAME", ""), ("GRAFANA_URL", "")];
    let policy = json!({"onboarding": {"documents": [], "shadowing": []}});
    let cloud = Cloud::with(&none, policy);
    let id = cloud.one(start(), NOW).await.person;
    assert_eq!(refused(&cloud, said(&id, "aws_access", "Bia Lima")).await, "NotTheirs");
    for item in ["aws_access", "grafana_access", "local_environment"] {
        cloud.one(said(&id, item, "Ana Souza"), NOW).await;
    }
    assert_eq!(cloud.one(json!({"show": {"person": id}}), NOW).await.state, "complete");
    let records = cloud.records();
    let completed = records.iter().find(|record| record["run_id"] == format!("{id}/completed")).unwrap();
    let outcome = completed["steps"][0]["outcome"].as_str().unwrap();
    assert_eq!(outcome, "aws_access (mentor), grafana_access (mentor), local_environment (mentor)");
    // No record says that access was looked at.
    let left = cloud.one(json!({"leave": {"person": id, "on": "2026-12-01"}}), NOW).await;
    let states: Vec<_> = left.access.iter().map(|line| line.state).collect();
    assert_eq!(states, ["not_checked", "not_checked", "gone", "gone"]);
    let report = cloud.daily(NOW).await;
    assert_eq!(report.findings, ["NotChecked aws_group", "NotChecked grafana"]);
    assert_eq!(report.result, "succeeded");
    let day = cloud.records().pop().unwrap();
    let covered: Vec<_> =
        day["steps"].as_array().unwrap().iter().map(|step| step["outcome"].clone()).collect();
    assert_eq!(covered[1..3], [json!("not covered"), json!("not covered")], "{day}");
}

/// A person whose logins nobody said.
fn without_logins() -> Value {
    let mut without = start();
    for field in ["iam_user", "grafana_login"] {
        without["start"].as_object_mut().unwrap().remove(field);
    }
    without
}

#[tokio::test]
async fn who_left_without_a_known_login_may_have_access_until_a_person_says_that_there_is_none() {
    let cloud = Cloud::new();
    let id = cloud.one(without_logins(), NOW).await.person;
    let leave = json!({"leave": {"person": id, "on": "2026-12-01"}});
    let left = cloud.one(leave, NOW).await;
    let states: Vec<_> = left.access.iter().map(|line| line.state).collect();
    assert_eq!(states, ["login_unknown", "login_unknown", "gone", "gone"]);
    let record = cloud.records().pop().unwrap();
    assert_eq!(record["result"], "failed", "{record}");
    let report = cloud.daily("2026-12-02T12:45:00Z").await;
    assert_eq!(report.findings, ["aws_group", "grafana"].map(|place| format!("LoginUnknown {id}/{place}")));
    assert_eq!((report.result, report.paged.len()), ("failed", 0));
    // Neither a person nor time deletes the data meanwhile.
    let forget = json!({"forget": {"person": id}});
    assert_eq!(refused_at(&cloud, forget.clone(), "2026-12-02T13:00:00Z").await, "AccessRemains");
    assert_eq!(cloud.daily("2027-12-02T12:45:00Z").await.forgotten, [""; 0]);

    let none = json!({"change": {"person": id, "no_login": ["aws_group", "grafana"]}});
    let said = cloud.one(none, "2026-12-03T12:00:00Z").await;
    let states: Vec<_> = said.access.iter().map(|line| line.state).collect();
    assert_eq!(states, ["said_none", "said_none", "gone", "gone"]);
    assert_eq!(cloud.daily("2026-12-03T12:45:00Z").await.result, "succeeded");
    // A login that is said after all is looked up.
    cloud.access(&["bia.lima"], &[]);
    let known = json!({"change": {"person": id, "iam_user": "bia.lima"}});
    let access = cloud.one(known, "2026-12-03T13:00:00Z").await.access;
    assert_eq!((access[0].state, access[1].state), ("remains", "said_none"));
    cloud.access(&[], &[]);
    assert_eq!(cloud.one(forget, "2026-12-03T14:00:00Z").await.state, "forgotten");
}

#[tokio::test]
async fn what_a_second_run_of_a_day_finds_has_its_record_and_its_message() {
    let cloud = Cloud::new();
    cloud.one(start(), NOW).await;
    let first = cloud.daily("2026-12-01T12:45:00Z").await;
    assert_eq!((first.result, first.findings.len()), ("succeeded", 0));
    cloud.state.lock().unwrap().group = None;
    let before = cloud.messages().len();
    let second = cloud.daily("2026-12-01T18:00:00Z").await;
    assert_eq!(
        (second.result, second.findings.as_slice()),
        ("failed", ["NotSeen aws_group".to_owned()].as_slice())
    );
    assert_ne!(first.run_id, second.run_id);
    assert!(cloud.messages().split_off(before).concat().contains("NotSeen"), "{:?}", cloud.messages());
    let record = cloud.records().pop().unwrap();
    assert_eq!(record["run_id"], second.run_id, "{record}");
    // What could not be read is not called read.
    let outcome = record["steps"][1]["outcome"].as_str().unwrap();
    assert!(outcome.starts_with("not read: ") && outcome.contains("iam:GetGroup"), "{record}");
    assert_eq!(record["steps"][2]["outcome"], "read", "{record}");
    // The same again is the same run.
    let records = cloud.records().len();
    assert_eq!(cloud.daily("2026-12-01T19:00:00Z").await.run_id, second.run_id);
    assert_eq!(cloud.records().len(), records);
}

#[tokio::test]
async fn who_is_in_the_group_and_in_nobodys_data_is_counted_and_named_only_to_who_asks() {
    let mut cloud = Cloud::new();
    cloud.access(&["rui.reis", "bia.lima"], &[]);
    let empty = cloud.daily(NOW).await;
    assert_eq!(empty.findings, ["NobodyListed list", "NotListed aws_group/2"]);
    assert_eq!(empty.result, "failed");
    cloud.one(start(), NOW).await;
    assert_eq!(cloud.daily("2026-12-02T12:45:00Z").await.findings, ["NotListed aws_group/1"]);
    let Ok(Answer::All { not_listed, .. }) = cloud.ask(json!({"show": {}}), NOW).await else { panic!() };
    assert_eq!(not_listed, ["rui.reis"]);
    let told = cloud.told();
    assert!(told.contains("1 member(s)") && !told.contains("rui.reis"), "{told}");
    assert!(told.contains("onboarding.accounts"), "{told}");
    // As the message advises, if it is no person's.
    cloud.policy["onboarding"]["accounts"] = json!({"Rui.Reis": "CI; Squad Infra", "cofre": "emergência"});
    let cured = cloud.daily("2026-12-03T12:45:00Z").await;
    assert_eq!((cured.result, cured.findings.len()), ("succeeded", 0), "{cured:?}");
    let Ok(Answer::All { not_listed, accounts, .. }) = cloud.ask(json!({"show": {}}), NOW).await else {
        panic!()
    };
    let accounts: Vec<_> = accounts.iter().map(|one| (one.iam_user.as_str(), one.state)).collect();
    assert_eq!(accounts, [("Rui.Reis", "in_group"), ("cofre", "not_in_group")]);
    assert!(not_listed.is_empty(), "{not_listed:?}");
    assert!(!cloud.told().to_lowercase().contains("rui.reis"));
}

#[tokio::test]
async fn no_person_is_hidden_among_the_accounts_of_the_policy() {
    let mut cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    cloud.policy["onboarding"]["accounts"] = json!({"BIA.LIMA": "CI"});
    cloud.access(&["bia.lima"], &[]);
    assert_eq!(cloud.daily(NOW).await.findings, [format!("PersonInAccounts {id}")]);
    let Ok(Answer::All { accounts, .. }) = cloud.ask(json!({"show": {}}), NOW).await else { panic!() };
    assert_eq!(accounts[0].person.as_ref(), Some(&id));
    let left = cloud.one(json!({"leave": {"person": id, "on": "2026-12-01"}}), NOW).await;
    assert_eq!(left.access[0].state, "remains");
    let late = cloud.daily("2026-12-02T12:45:00Z").await;
    let expected = [format!("AccessRemains {id}/aws_group"), format!("PersonInAccounts {id}")];
    assert_eq!((late.result, late.findings.as_slice()), ("failed", expected.as_slice()));
    assert!(!cloud.told().to_lowercase().contains("bia.lima"));
    // As the message advises.
    cloud.policy["onboarding"]["accounts"] = json!({});
    assert_eq!(cloud.daily("2026-12-03T12:45:00Z").await.findings, expected[..1]);
}

#[tokio::test]
async fn access_that_is_seen_or_unread_is_not_said_away() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    cloud.access(&["bia.lima"], &["bia@example.org"]);
    cloud.one(json!({"leave": {"person": id, "on": "2026-12-01"}}), NOW).await;
    let none = json!({"change": {"person": id, "no_login": ["grafana"]}});
    assert_eq!(refused(&cloud, none.clone()).await, "AccessRemains");
    *cloud.grafana.lock().unwrap() = None;
    assert_eq!(refused(&cloud, none.clone()).await, "AccessRemains");
    cloud.access(&["bia.lima"], &[]);
    assert_eq!(cloud.one(none, NOW).await.access[1].state, "said_none");
    let record = cloud.records().pop().unwrap();
    assert_eq!(record["steps"][0]["outcome"], "due 2026-12-31, grafana: said_none", "{record}");
}

#[tokio::test]
async fn who_leaves_while_nothing_answers_has_a_record_that_failed() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    cloud.state.lock().unwrap().group = None;
    cloud.one(json!({"leave": {"person": id, "on": "2026-12-01"}}), NOW).await;
    let record = cloud.records().pop().unwrap();
    assert_eq!(record["result"], "failed", "{record}");
    let findings = record["findings"].to_string();
    assert!(findings.contains("NotSeen aws_group: ") && !findings.contains("grafana"), "{record}");
}

#[tokio::test]
async fn a_list_that_is_lost_resolves_nothing() {
    let mut cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    cloud.access(&["bia.lima"], &[]);
    cloud.one(json!({"leave": {"person": id, "on": "2026-12-01"}}), NOW).await;
    assert_eq!(cloud.daily(NOW).await.findings, [format!("AccessRemains {id}/aws_group")]);
    cloud.people = Bucket::default();
    let before = cloud.messages().len();
    let lost = cloud.daily("2026-12-02T12:45:00Z").await;
    assert_eq!((lost.result, lost.findings[0].as_str()), ("failed", "NobodyListed list"));
    let told = cloud.messages().split_off(before).concat();
    assert!(told.contains("NobodyListed") && !told.contains(&id), "{told}");
}

#[tokio::test]
async fn who_needs_no_login_can_be_complete_and_a_mentors_new_name_reaches_the_mentees() {
    let policy = json!({"onboarding": {"documents": [], "shadowing": []}});
    let cloud = Cloud::with(&[], policy);
    let id = cloud.one(start(), NOW).await.person;
    let mentor = json!({"start": {"name": "Ana Souza", "role": "x", "start": "2026-01-01", "mentor": "Rui"}});
    let mentor = cloud.one(mentor, NOW).await.person;
    cloud.one(json!({"change": {"person": mentor, "name": "Ana Reis"}}), NOW).await;
    assert!(!cloud.people.objects().into_values().collect::<String>().contains("Souza"));
    cloud.access(&["bia.lima"], &[]);
    cloud.one(json!({"change": {"person": id, "no_login": ["grafana"]}}), NOW).await;
    let done = cloud.one(said(&id, "local_environment", "Ana Reis"), NOW).await;
    assert_eq!((done.state, done.mentor.as_deref()), ("complete", Some("Ana Reis")));
    let records = cloud.records();
    let completed = records.iter().find(|record| record["run_id"] == format!("{id}/completed")).unwrap();
    let outcome = completed["steps"][0]["outcome"].as_str().unwrap();
    assert_eq!(outcome, "aws_access (check), local_environment (mentor), grafana (said_none)");
}

#[tokio::test]
async fn a_lost_record_stays_noted_until_it_is_written() {
    let policy = json!({"onboarding": {"documents": [], "shadowing": []}});
    let cloud = Cloud::with(&[], policy);
    let id = cloud.one(start(), NOW).await.person;
    cloud.access(&["bia.lima"], &["bia@example.org"]);
    cloud.state.lock().unwrap().refuses = true;
    let before = cloud.messages().len();
    let done = cloud.one(said(&id, "local_environment", "Ana Souza"), NOW).await;
    assert_eq!((done.state, cloud.messages().len()), ("complete", before + 1));
    // Each attempt at a record sends its message; a request makes one.
    cloud.one(json!({"leave": {"person": id, "on": "2026-12-01"}}), NOW).await;
    assert_eq!(cloud.messages().len(), before + 3, "{:?}", cloud.messages());
    assert_eq!(cloud.steps(), ["begun"]);
    cloud.state.lock().unwrap().refuses = false;
    cloud.daily("2026-12-02T12:45:00Z").await;
    assert_eq!(cloud.steps(), ["begun", "ticked/local_environment", "completed", "left/2026-12-01/1"]);
    let people: String = cloud.people.objects().into_values().collect();
    let people: Value = serde_json::from_str(&people).unwrap();
    assert_eq!(people["unreported"], json!([]));
}

#[tokio::test]
async fn a_leaving_is_recorded_with_its_page_after_what_was_not_recorded_before() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    cloud.access(&["bia.lima"], &[]);
    cloud.state.lock().unwrap().refuses = true;
    cloud.one(json!({"change": {"person": id, "role": "Gerente"}}), NOW).await;
    cloud.state.lock().unwrap().refuses = false;
    let before = cloud.messages().len();
    cloud.one(json!({"leave": {"person": id, "on": "2026-12-01"}}), NOW).await;
    assert_eq!(cloud.steps(), ["begun", "changed/1", "left/2026-12-01/1"]);
    assert_eq!(cloud.messages().len(), before + 1, "{:?}", cloud.messages());
    let records = cloud.records();
    let pages: Vec<_> = records.iter().map(|record| record["steps"].as_array().unwrap().len()).collect();
    assert_eq!(pages, [1, 1, 3], "{records:?}");
}

#[tokio::test]
async fn a_leaving_that_is_recorded_late_says_when_its_access_was_seen() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    cloud.access(&["bia.lima"], &[]);
    cloud.state.lock().unwrap().refuses = true;
    cloud.one(json!({"leave": {"person": id, "on": "2026-12-01"}}), NOW).await;
    cloud.state.lock().unwrap().refuses = false;
    cloud.access(&[], &[]);
    let later = "2026-12-02T12:45:00Z";
    cloud.daily(later).await;
    let records = cloud.records();
    let left = records.iter().find(|record| record["run_id"] == format!("{id}/left/2026-12-01/1")).unwrap();
    let steps = left["steps"].as_array().unwrap().iter();
    let steps: Vec<_> = steps.map(|step| [&step["name"], &step["at"]["utc"], &step["outcome"]]).collect();
    let gone = "aws_group: gone, grafana: gone, on_call: gone, people: gone";
    assert_eq!(steps, [["left/2026-12-01/1", NOW, "from 2026-12-01"], ["access", later, gone]]);
}

#[tokio::test]
async fn a_record_that_was_noted_in_the_earlier_form_is_written() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    let stored = || cloud.people.objects().into_iter().next().unwrap();
    let (key, text) = stored();
    let mut people: Value = serde_json::from_str(&text).unwrap();
    people["unreported"] = json!([format!("{id}/completed"), "P-01Z0ZA47/forgotten"]);
    cloud.people.put(&key, &people.to_string());
    // Read, written again by a change while S3 refuses records, and read once more.
    cloud.state.lock().unwrap().refuses = true;
    cloud.one(json!({"change": {"person": id, "role": "Gerente"}}), NOW).await;
    cloud.state.lock().unwrap().refuses = false;
    let later = "2026-12-02T12:45:00Z";
    cloud.daily(later).await;
    let records = cloud.records();
    let of = |run: &str| {
        let record = records.iter().find(|record| record["run_id"] == run).unwrap();
        let step = &record["steps"][0];
        (step["at"]["utc"].clone(), step["outcome"].clone())
    };
    assert_eq!(of(&format!("{id}/completed")), (json!(later), json!("the checklist is complete")));
    assert_eq!(of("P-01Z0ZA47/forgotten"), (json!(later), json!("the data about the person was deleted")));
    assert_eq!(of(&format!("{id}/changed/1")).0, NOW);
    let people: Value = serde_json::from_str(&stored().1).unwrap();
    assert_eq!(people["unreported"], json!([]));
}

#[tokio::test]
async fn what_is_wrong_is_corrected_and_the_same_beginning_is_known_again() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    let change = json!({"change": {"person": id, "name": "Beatriz Lima", "start": "2026-12-02", "no_login": ["grafana"]}});
    let changed = cloud.one(change.clone(), NOW).await;
    assert_eq!(
        (changed.name.as_deref(), changed.start.as_deref()),
        (Some("Beatriz Lima"), Some("2026-12-02"))
    );
    assert_eq!((changed.iam_user.as_deref(), changed.grafana_login), (Some("bia.lima"), None));
    assert_eq!(cloud.one(change, NOW).await.outcome, "unchanged");
    // A retry of the beginning is no second person, and another beginning under a known name no retry.
    let again = cloud.one(start(), NOW).await;
    assert_eq!((again.person.as_str(), again.outcome), (id.as_str(), "unchanged"));
    let mut other = start();
    other["start"]["name"] = "beatriz lima".into();
    assert_eq!(refused(&cloud, other.clone()).await, "NameTaken");
    other["start"]["name"] = "Bia Lima".into();
    other["start"]["role"] = "Gerente".into();
    let second = cloud.one(other, NOW).await.person;
    assert_ne!(second, id);
    let taken = json!({"change": {"person": second, "name": "BEATRIZ lima"}});
    assert_eq!(refused(&cloud, taken).await, "NameTaken");
    cloud.one(json!({"leave": {"person": id, "on": "2026-12-05"}}), NOW).await;
    let late = json!({"change": {"person": id, "start": "2026-12-06"}});
    assert_eq!(refused(&cloud, late).await, "InvalidEvent");
}

#[tokio::test]
async fn no_record_is_lost_with_the_data_of_the_person() {
    let mut cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    cloud.state.lock().unwrap().refuses = true;
    for event in [
        json!({"change": {"person": id, "role": "Gerente"}}),
        json!({"leave": {"person": id, "on": "2026-12-01"}}),
        json!({"stay": {"person": id}}),
        json!({"leave": {"person": id, "on": "2026-12-01"}}),
        json!({"forget": {"person": id}}),
    ] {
        cloud.policy = json!({});
        cloud.one(event, NOW).await;
    }
    assert_eq!(cloud.steps(), ["begun"]);
    cloud.state.lock().unwrap().refuses = false;
    cloud.daily("2026-12-02T12:45:00Z").await;
    let records = ["changed/1", "left/2026-12-01/1", "stays/2", "left/2026-12-01/3", "forgotten"];
    assert_eq!(cloud.steps(), [&["begun"][..], &records].concat());
    // Each says what was done, and when.
    let of = |what: &str| {
        let records = cloud.records();
        let record = records.into_iter().find(|record| record["run_id"] == format!("{id}/{what}")).unwrap();
        (record["steps"][0]["outcome"].clone(), record["steps"][0]["at"]["utc"].clone())
    };
    for (what, outcome) in [
        ("changed/1", "due 2026-12-31"),
        ("left/2026-12-01/1", "from 2026-12-01"),
        ("stays/2", "the leaving was taken back"),
        ("forgotten", "the data about the person was deleted"),
    ] {
        assert_eq!(of(what), (json!(outcome), json!(NOW)), "{what}");
    }
}

#[tokio::test]
async fn of_two_requests_at_once_both_take_effect() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    let people = cloud.people.objects().into_values().next().unwrap();
    cloud.state.lock().unwrap().faster = Some(people.replace("Plantonista", "Gerente"));
    let both = cloud.one(said(&id, "local_environment", "Ana Souza"), NOW).await;
    assert_eq!((both.outcome, both.role.as_deref()), ("changed", Some("Gerente")));
    assert_eq!(both.items.iter().find(|line| line.item == "local_environment").unwrap().state, "done");
    assert_eq!(cloud.steps(), ["begun", "ticked/local_environment"]);
}

#[tokio::test]
async fn who_renames_the_user_in_grafana_keeps_the_access_that_is_seen() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    let users = |users: Value| *cloud.grafana.lock().unwrap() = Some(users);
    let user = |number: u64, login: &str| json!({"userId": number, "login": login, "email": ""});
    users(json!([user(1, "admin"), user(7, "bia@example.org")]));
    cloud.daily(NOW).await;
    // Somebody else takes the old name.
    users(json!([user(1, "admin"), user(7, "Maria"), user(8, "bia@example.org")]));
    let left = cloud.one(json!({"leave": {"person": id, "on": "2026-12-01"}}), NOW).await;
    let grafana = left.access.iter().find(|line| line.place == "grafana").unwrap();
    // The name by which the user is found there.
    assert_eq!((grafana.state, left.grafana_login.as_deref()), ("remains", Some("maria")));
    assert_eq!(refused(&cloud, json!({"forget": {"person": id}})).await, "AccessRemains");
    users(json!([user(1, "admin"), user(7, "outra")]));
    let findings = cloud.daily("2026-12-02T12:45:00Z").await.findings;
    assert_eq!(findings, [format!("AccessRemains {id}/grafana")]);
    users(json!([user(1, "admin"), user(9, "nova")]));
    assert_eq!(cloud.daily("2026-12-03T12:45:00Z").await.findings, [""; 0]);
    // Another login would hide the user who is there again.
    users(json!([user(1, "admin"), user(7, "maria"), user(9, "nova")]));
    for login in ["bia.lima", "nova"] {
        let other = json!({"change": {"person": id, "grafana_login": login}});
        assert_eq!(refused(&cloud, other).await, "AccessRemains", "{login}");
    }
    assert_eq!(refused(&cloud, json!({"forget": {"person": id}})).await, "AccessRemains");
    users(json!([user(1, "admin"), user(9, "nova")]));
    let other = json!({"change": {"person": id, "grafana_login": "bia.lima"}});
    let changed = cloud.one(other, "2026-12-03T13:00:00Z").await;
    assert_eq!((changed.outcome, changed.access[1].state), ("changed", "gone"));
}

#[tokio::test]
async fn a_user_in_grafana_who_never_was_the_persons_is_corrected_while_the_person_stays() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    let users = json!([{"userId": 7, "login": "bia@example.org"}, {"userId": 8, "login": "blima"}]);
    *cloud.grafana.lock().unwrap() = Some(users);
    cloud.daily(NOW).await;
    let leave = json!({"leave": {"person": id, "on": "2026-12-01"}});
    cloud.one(leave.clone(), NOW).await;
    let other = json!({"change": {"person": id, "grafana_login": "blima"}});
    assert_eq!(refused(&cloud, other.clone()).await, "AccessRemains");
    cloud.one(json!({"stay": {"person": id}}), NOW).await;
    assert_eq!(cloud.one(other, NOW).await.outcome, "changed");
    let left = cloud.one(leave, NOW).await;
    assert_eq!((left.access[1].state, left.grafana_login.as_deref()), ("remains", Some("blima")));
    *cloud.grafana.lock().unwrap() = Some(json!([{"userId": 7, "login": "bia@example.org"}]));
    let shown = cloud.one(json!({"show": {"person": id}}), NOW).await;
    assert_eq!(shown.access[1].state, "gone");
}

#[tokio::test]
async fn a_name_is_the_same_however_it_was_typed() {
    let mut cloud = Cloud::new();
    let mut decomposed = start();
    decomposed["start"]["name"] = "A\u{302}ngela\u{200b} Reis".into();
    let id = cloud.one(decomposed, NOW).await.person;
    let other =
        json!({"start": {"name": "ângela reis", "role": "x", "start": "2026-12-01", "mentor": "Rui"}});
    assert_eq!(refused(&cloud, other).await, "NameTaken");
    cloud.policy = json!({"incidents": {"people": {"Ângela Reis": {"slack": "U0123ANG9"}}}});
    cloud.one(json!({"leave": {"person": id, "on": "2026-12-01"}}), NOW).await;
    assert_eq!(cloud.daily(NOW).await.findings, [format!("AccessRemains {id}/people")]);
}

#[tokio::test]
async fn who_stays_after_all_is_not_deleted_meanwhile() {
    let cloud = Cloud::new();
    let id = cloud.one(start(), NOW).await.person;
    let stays = cloud.people.objects().into_values().next();
    cloud.one(json!({"leave": {"person": id, "on": "2026-12-01"}}), NOW).await;
    cloud.state.lock().unwrap().overtaken = stays;
    let forget = json!({"forget": {"person": id}});
    assert_eq!(cloud.ask(forget.clone(), NOW).await, Err(OnboardingError::Busy));
    assert_eq!(refused(&cloud, forget).await, "NotGone");
    assert_eq!(cloud.one(json!({"show": {"person": id}}), NOW).await.name.as_deref(), Some("Bia Lima"));
}

#[tokio::test]
async fn the_name_of_a_mentor_goes_with_the_mentor() {
    let mut cloud = Cloud::new();
    let mentee = cloud.one(start(), NOW).await.person;
    let mentor = json!({"start": {"name": "A. Souza", "policy_name": "Ana Souza", "role": "x", "start": "2026-01-01", "mentor": "Rui"}});
    let mentor = cloud.one(mentor, NOW).await.person;
    let none = json!({"change": {"person": mentor, "no_login": ["aws_group", "grafana"]}});
    cloud.one(none, NOW).await;
    cloud.one(json!({"leave": {"person": mentor, "on": "2026-12-01"}}), NOW).await;
    // The policy still has her, as access that remains.
    let forget = json!({"forget": {"person": mentor}});
    assert_eq!(refused(&cloud, forget.clone()).await, "AccessRemains");
    let people: String = cloud.people.objects().into_values().collect();
    assert!(people.contains("Ana Souza"));
    cloud.policy = json!({});
    cloud.one(forget, NOW).await;
    let people: String = cloud.people.objects().into_values().collect();
    assert!(!people.contains("Souza"), "{people}");
    let shown = cloud.one(json!({"show": {"person": mentee}}), NOW).await;
    assert_eq!(shown.mentor, None);
    for by in ["@", "\u{200b}"] {
        assert_eq!(refused(&cloud, said(&mentee, "local_environment", by)).await, "NotTheirs", "{by:?}");
    }
    let next =
        shown.items.iter().find(|line| line.item == "local_environment").unwrap().next.clone().unwrap();
    assert!(next.contains(r#""by":"NOME""#), "{next}");
    assert_eq!(cloud.daily(NOW).await.findings, [format!("MentorUnreachable {mentee}")]);
}

#[tokio::test]
async fn a_member_without_a_login_is_not_guessed_and_everybody_is_listed() {
    let cloud = Cloud::new();
    let id = cloud.one(without_logins(), NOW).await.person;
    let shown = cloud.one(json!({"show": {"person": id}}), NOW).await;
    let access = shown.items.iter().find(|line| line.item == "aws_access").unwrap();
    assert!(access.next.as_ref().unwrap().contains(r#""iam_user":"USUARIO""#), "{access:?}");
    cloud.access(&["bia.lima"], &[]);
    let named = cloud.one(json!({"change": {"person": id, "iam_user": "Bia.Lima"}}), NOW).await;
    assert_eq!(named.items.iter().find(|line| line.item == "aws_access").unwrap().state, "done");
    let Ok(Answer::All { people, .. }) = cloud.ask(json!({"show": {}}), NOW).await else { panic!() };
    assert_eq!(people.iter().map(|one| one.name.clone()).collect::<Vec<_>>(), [Some("Bia Lima".to_owned())]);
}
