//! `emergency-restore` against the local cloud: real PostgreSQL is restored, proved, brought into use and left again, by
//! its state machine and by people's orders; lost instances, failing steps, stopped executions; crashes at any call.

mod cancel;
mod course;
mod faults;
mod states;
mod world;

use std::collections::BTreeMap;

use aws_sdk_rds::types::DbInstance;
use reqwest::Method;
use serde_json::{Value, json};

use crate::advice::Advice;
use crate::cloud::{Cloud, eventually};
use crate::secret::Secret;
use world::*;

/// A Terraform state that knows the settings of the lost instance.
fn known(state: &Value) -> Value {
    let mut state = state.clone();
    for resource in state["resources"].as_array_mut().unwrap() {
        if resource["type"] == "aws_db_instance" {
            let more = json!({"instance_class": "db.t4g.medium", "multi_az": true, "backup_retention_period": 14,
                "db_subnet_group_name": "moveongs-dev-restore-test", "vpc_security_group_ids": ["sg-00000001"],
                "parameter_group_name": "default.postgres18", "tags_all": {"Project": "moveongs"},
                // RDS sets these itself, and refuses them in a request.
                "storage_type": "gp3", "allocated_storage": 20, "iops": 3000, "storage_throughput": 125});
            extend(&mut resource["instances"][0]["attributes"], more);
        }
    }
    state
}

/// The settings that a new instance must have from the lost one.
fn settings(instance: &DbInstance) -> Value {
    let groups: Vec<_> =
        instance.vpc_security_groups().iter().map(|group| group.vpc_security_group_id()).collect();
    let parameters: Vec<_> =
        instance.db_parameter_groups().iter().map(|group| group.db_parameter_group_name()).collect();
    json!({
        "class": instance.db_instance_class(),
        "multi_az": instance.multi_az(),
        "subnets": instance.db_subnet_group().and_then(|group| group.db_subnet_group_name()),
        "groups": groups,
        "parameters": parameters,
        "retention": instance.backup_retention_period(),
        "storage": instance.storage_type(),
        "iam": instance.iam_database_authentication_enabled(),
        "copy_tags": instance.copy_tags_to_snapshot(),
        "public": instance.publicly_accessible(),
        "encrypted": instance.storage_encrypted(),
    })
}

fn tags(instance: &DbInstance) -> BTreeMap<&str, &str> {
    instance.tag_list().iter().map(|tag| (tag.key().unwrap(), tag.value().unwrap())).collect()
}

#[tokio::test]
async fn a_rehearsal_goes_forward_back_and_forward_again_and_deletes_nothing() {
    let world = World::fresh().await;
    // The proof has a baseline from before the snapshot.
    let read = world.cloud.ended(&world.cloud.start(BASELINE, &json!({"baseline": true})).await).await;
    assert_eq!(read["status"], "SUCCEEDED", "{read}");
    // A name that the function's role does not allow.
    world.take_snapshot("emergency").await;
    // The function compares whole seconds.
    world.rds("rds/snapshot", json!({"snapshot": "emergency", "facts": {"seconds_ago": -1}})).await;
    let _ =
        world.cloud.rds.delete_db_snapshot().db_snapshot_identifier("moveongs-dev-emergency").send().await;
    let earlier = shared::runtime::time::now() - jiff::SignedDuration::from_secs(630);
    let automated = json!({"instance": INSTANCE, "created": earlier.to_string()});
    let automated =
        world.rds("rds/automated-snapshot", automated).await["snapshot"].as_str().unwrap().to_owned();
    world.cloud.followups(true).await;
    let followup = Cloud::connect("rotation-followup").await;
    let (before, from) = (world.labelled("AWSCURRENT").await.unwrap(), followup.last_call().await);
    let watcher = Watcher::begin().await;

    // The choices come with their losses, before one is chosen.
    let execution = world.begin(json!({"rehearsal": true, "observer": "Caio Reis"})).await;
    let open = world.asks(&execution, "AskChoice").await;
    assert!(world.new_instances().await.is_empty());
    let run = open["run"].as_str().unwrap().to_owned();
    let choices = open["choices"].as_array().unwrap();
    assert!(choices[0]["kind"] == "window" && choices.len() >= 2, "{choices:?}");
    let asked = world.cloud.messages(&run).await.concat();
    assert!(
        [automated.as_str(), "snapshot manual `emergency`", "*não restaurável*", "perde 11 min"]
            .iter()
            .all(|part| asked.contains(part)),
        "{asked}"
    );
    world.paged(&run).await;
    let refused = world.order("choose", STARTER, json!({"source": {"snapshot": "emergency"}})).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused["errorType"], "SnapshotNameNotAllowed", "{refused}");
    let advice = Advice::of(&world.cloud.messages("não restaurável").await.pop().unwrap());
    let advised = |part: &str| advice.commands().iter().find(|command| command.contains(part)).unwrap();
    let copy = advised("copy-db-snapshot");
    assert!(refused["errorMessage"].as_str().unwrap().ends_with(copy), "{refused}");
    crate::advice::run(&world.cloud, copy);
    let choose = advised(r#"{"snapshot":"moveongs-dev-emergency"}"#).replace("QUEM", STARTER);
    crate::advice::run(&world.cloud, &choose);

    let open = world.asks(&execution, "AskApproval").await;
    assert_eq!(open["proof"]["verdict"], "pass", "{}", open["proof"]);
    assert!(world.uses(INSTANCE).await, "switched without approval");
    world.obey(&run, "approve", OTHER, "ensaio").await;
    let open = world.asks(&execution, "Hold").await;
    assert_eq!(open["approval"]["by"], OTHER);
    let new = world.new_instance().await;
    let name = new.db_instance_identifier().unwrap().to_owned();
    assert_eq!(name, format!("{INSTANCE}-{run}"));
    let old = world.instance(INSTANCE).await.unwrap();
    assert_eq!(settings(&new), settings(&old));
    assert_eq!(new.deletion_protection(), Some(true));
    assert_eq!(
        (tags(&new)["ManagedBy"], tags(&new)["Run"], tags(&new)["Project"]),
        ("emergency-restore", run.as_str(), "moveongs")
    );
    assert!(world.uses(&name).await);
    let first = world.labelled("AWSCURRENT").await.unwrap();
    assert_eq!(world.labelled("AWSPREVIOUS").await.as_deref(), Some(before.as_str()));
    let value = world.value().await;
    assert_eq!(with_port(&value, old.endpoint().unwrap().port().unwrap()), world.url, "byte for byte");

    // A rotation waits meanwhile.
    let rotating = Cloud::connect("rotate-database").await;
    let secret = Secret::of_the_stack(&rotating, DATABASE).await;
    let token = secret.start().await;
    let refused = secret.settled(&["waiting", "succeeded"]).await;
    assert_eq!(
        (&refused["state"], &refused["error"]["type"]),
        (&json!("waiting"), &json!("RestoreInProgress")),
        "{refused}"
    );

    world.obey(&run, "rollBack", STARTER, "ensaio").await;
    world.asks(&execution, "Hold").await;
    assert!(world.uses(INSTANCE).await);
    assert_eq!(world.labelled("AWSCURRENT").await.as_deref(), Some(before.as_str()));
    world.obey(&run, "forward", STARTER, "ensaio").await;
    world.asks(&execution, "Hold").await;
    assert!(world.uses(&name).await);
    assert_eq!(world.labelled("AWSCURRENT").await.as_deref(), Some(first.as_str()));
    assert!(world.starts().await >= 4, "no task started");
    world.nothing_was_deleted().await;

    let ended = world.closes(&execution).await;
    watcher.end().await;
    let record = world.cloud.record_of(ended["name"].as_str().unwrap()).await;
    let record = record.or(world.cloud.record_of(&run).await).expect("evidence");
    assert_eq!(record["result"], "succeeded", "{record}");
    let text = record.to_string();
    for part in [STARTER, OTHER, "Caio Reis", name.as_str(), "moveongs-dev-emergency"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let closing = world.cloud.messages(&run).await.pop().unwrap();
    for part in ["terraform state rm", "terraform import", name.as_str(), "RTO"] {
        assert!(closing.contains(part), "{part}: {closing}");
    }
    assert_eq!(world.instance(INSTANCE).await.unwrap().db_instance_status(), Some("available"));
    // The rotation goes on with the new database; role and secret agree afterwards.
    secret.retry().await;
    let rotated = secret.settled(&["waiting", "succeeded", "failed", "abandoned"]).await;
    assert_eq!(rotated["state"], "succeeded", "{rotated}");
    assert_eq!(world.labelled("AWSCURRENT").await, Some(token));
    world.application().await;
    // The follow-up knew the restore's own changes of the secret; the rotation's is its own.
    followup.idle(FOLLOWUP).await;
    let deployed = followup.calls(from).await.0;
    assert!(deployed.iter().filter(|call| call.ends_with(":UpdateService")).count() <= 1, "{deployed:?}");
    assert_eq!(world.cloud.messages("ForeignValue").await, Vec::<String>::new());
    world.nothing_leaked().await;
    world.cloud.followups(false).await;
}

#[tokio::test]
async fn in_production_a_second_person_approves_or_the_reason_is_recorded() {
    let world = World::fresh().await;
    world.as_in_production().await;
    let execution = world.begin(json!({"source": "latest"})).await;
    world.asks(&execution, "AskApproval").await;
    // Nobody answers: it asks again, and never goes ahead.
    for _ in 0..2 {
        let waited = world.cloud.messages("").await.len();
        world.cloud.admin(Method::POST, "states/expire", Some(json!({"execution": execution}))).await;
        eventually("another question", async || {
            (world.cloud.messages("").await.len() > waited).then_some(())
        })
        .await;
        world.asks(&execution, "AskApproval").await;
    }
    assert!(world.uses(INSTANCE).await);
    let verdict = world.open().await["proof"]["verdict"].as_str().unwrap().to_owned();
    let despite = json!({"despiteProof": format!("{verdict}: a test")});
    let unfilled = world.order("approve", "QUEM", despite.clone()).await.unwrap_err();
    assert_eq!(unfilled["errorType"], "InvalidEvent", "{unfilled}");
    for same in [STARTER, " ana souza", "@Ana Souza"] {
        let refused = world.order("approve", same, despite.clone()).await.unwrap_err();
        assert_eq!(refused["errorType"], "SecondPersonNeeded", "{refused}");
    }
    if verdict != "pass" {
        let refused = world.order("approve", OTHER, json!({})).await.unwrap_err();
        assert_eq!(refused["errorType"], "ProofNotGood", "{refused}");
    }
    for (order, more) in [("close", json!({})), ("retry", json!({})), ("rollBack", json!({}))] {
        let refused = world.order(order, OTHER, more).await.unwrap_err();
        assert_eq!(refused["errorType"], "OrderNotPossible", "{refused}");
    }
    assert!(world.uses(INSTANCE).await && world.cloud.messages("RestoreInProgress").await.is_empty());
    // A second restore is refused while one is open.
    let second = world.cloud.ended(&world.begin(json!({"source": "latest"})).await).await;
    assert_eq!(second["status"], "FAILED", "{second}");
    world.paged("RestoreInProgress").await;

    world.approves(STARTER, json!({"override": "só uma pessoa acordada"})).await;
    let open = world.asks(&execution, "Hold").await;
    assert_eq!(open["approval"]["alone"], "só uma pessoa acordada");
    // A deploy by others takes the guard away: the next look finds it, and trying again brings it back.
    world.retention(false).await;
    let first = json!({"cluster": CLUSTER, "service": SERVICE, "taskDefinition": format!("{SERVICE}:1")});
    world.ecs("UpdateService", first).await;
    world.steady().await;
    world.retention(true).await;
    world.cloud.admin(Method::POST, "states/expire", Some(json!({"execution": execution}))).await;
    eventually("the failure", async || (!world.open().await["failure"].is_null()).then_some(())).await;
    let open = world.asks(&execution, "AskRepair").await;
    assert_eq!(open["failure"]["kind"], "GuardLost", "{open}");
    world.paged("GuardLost").await;
    world.obey(open["run"].as_str().unwrap(), "retry", OTHER, "o deploy parou").await;
    world.asks(&execution, "Hold").await;
    world.ends_with_the_old(&execution).await;
    let record = world.records().await.pop().unwrap().to_string();
    assert!(record.contains("só uma pessoa acordada"), "{record}");
    world.nothing_was_deleted().await;
}

#[tokio::test]
async fn a_point_in_time_loses_what_came_after_it() {
    let world = World::fresh().await;
    let point = world.rds("rds/point", json!({"instance": INSTANCE, "seconds_ago": 1200})).await;
    let client = world.application().await;
    let later = "INSERT INTO beneficiaries (full_name) VALUES ('Chegou depois')";
    client.batch_execute(later).await.unwrap();
    let count = "SELECT count(*) FROM beneficiaries WHERE full_name = 'Chegou depois'";
    let latest = json!({"instance": INSTANCE, "latest_restorable": shared::runtime::time::now().to_string(), "created": "2026-01-01T00:00:00Z"});
    world.rds("rds/instance", latest).await;
    let execution = world.begin(json!({"source": {"time": point["time"]}, "rehearsal": true})).await;
    let open = world.asks(&execution, "AskApproval").await;
    let at = point["time"].as_str().unwrap().replace(".000Z", "Z");
    assert_eq!(open["data"], at, "{open}");
    let name = world.new_instance().await.db_instance_identifier.unwrap();
    let copy = world.application_at(&name).await;
    assert_eq!(copy.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0);
    // Another choice makes another instance; the first one stays.
    world.ordered("choose", STARTER, json!({"source": "latest"})).await;
    world.asks(&execution, "AskApproval").await;
    let all = world.new_instances().await;
    assert_eq!(all.len(), 2, "{all:?}");
    let copy = world.application_at(&format!("{name}-2")).await;
    assert_eq!(copy.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 1);
    // Rejected before anything was switched.
    world.ordered("reject", STARTER, json!({"reason": "ensaio"})).await;
    let ended = world.cloud.ended(&execution).await;
    assert_eq!((&ended["status"], world.open().await), (&json!("SUCCEEDED"), Value::Null), "{ended}");
    assert!(world.uses(INSTANCE).await);
    client.batch_execute("DELETE FROM beneficiaries WHERE full_name = 'Chegou depois'").await.unwrap();
    world.rds("rds/instance", json!({"instance": INSTANCE, "latest_restorable": null})).await;
}

#[tokio::test]
async fn an_instance_that_is_gone_is_restored_from_its_backups_and_the_terraform_state() {
    let world = World::fresh().await;
    let before = world.url.clone();
    let state = world.state().await;
    world.rds("rds/lose", json!({"instance": INSTANCE, "retained": true})).await;
    let input = json!({"source": "latest", "rehearsal": true, "instance": INSTANCE});
    // Nothing knows the settings: the advised command repeats the step with those that a person fills in.
    let execution = world.begin(input.clone()).await;
    let open = world.asks(&execution, "AskRepair").await;
    assert_eq!(open["failure"]["kind"], "SettingsUnknown", "{open}");
    let advice = Advice::of(&world.cloud.messages("SettingsUnknown").await.pop().unwrap());
    let mut retry = advice.commands().iter().find(|one| one.contains("settings")).unwrap().clone();
    for (placeholder, value) in [
        ("QUEM", STARTER),
        ("CLASSE", "db.t4g.medium"),
        (r#""subnetGroup":"GRUPO""#, r#""subnetGroup":"moveongs-dev-restore-test""#),
        (r#"["GRUPO"]"#, r#"["sg-00000001"]"#),
        (r#""parameterGroup":"GRUPO""#, r#""parameterGroup":"default.postgres18""#),
    ] {
        assert!(retry.contains(placeholder), "{placeholder}: {retry}");
        retry = retry.replace(placeholder, value);
    }
    let answer = crate::advice::run(&world.cloud, &retry);
    assert!(!answer.contains("errorType"), "{answer}");
    world.asks(&execution, "AskApproval").await;
    let given = settings(&world.new_instance().await);
    world.ordered("reject", STARTER, json!({})).await;
    assert_eq!(world.cloud.ended(&execution).await["status"], "SUCCEEDED");
    world.clear().await;

    world.write_state(&known(&state)).await;
    let execution = world.begin(input).await;
    world.asks(&execution, "AskApproval").await;
    let new = world.new_instance().await;
    let shown = settings(&new);
    let told = ["class", "multi_az", "subnets", "groups", "parameters", "retention"].map(|name| &shown[name]);
    let told = json!(told);
    assert_eq!(
        told,
        json!([
            "db.t4g.medium",
            true,
            "moveongs-dev-restore-test",
            ["sg-00000001"],
            ["default.postgres18"],
            14
        ])
    );
    for name in ["class", "multi_az", "subnets", "groups", "parameters"] {
        assert_eq!(given[name], shown[name], "{name}");
    }
    assert_eq!((new.deletion_protection(), tags(&new)["Project"]), (Some(true), "moveongs"));
    world.approves(OTHER, json!({})).await;
    world.asks(&execution, "Hold").await;
    let name = new.db_instance_identifier().unwrap();
    assert!(world.uses(name).await);
    // The old database does not accept its login, so there is no way back yet; nothing changes.
    world.ordered("rollBack", STARTER, json!({})).await;
    let open = world.asks(&execution, "AskRepair").await;
    assert_eq!(open["failure"]["kind"], "DatabaseRefused", "{open}");
    assert!(world.uses(name).await);
    world.ordered("forward", STARTER, json!({})).await;
    world.asks(&execution, "Hold").await;
    world.rds("rds/find", json!({"instance": INSTANCE})).await;
    world.available(INSTANCE).await;
    assert_ne!(world.value().await, before);
    world.ends_with_the_old(&execution).await;
    world.write_state(&state).await;
    world.nothing_was_deleted().await;
}

#[tokio::test]
async fn a_failing_migration_deployment_or_check_advises_the_way_back_which_works() {
    let world = World::fresh().await;
    world.with_a_migration().await;
    let watcher = Watcher::begin().await;
    let fails = json!({"family": MIGRATION, "exit": 3});
    world.cloud.admin(Method::POST, "ecs/jobs", Some(fails)).await;
    let execution = world.begin(json!({"source": "latest", "rehearsal": true})).await;
    let run = world.asks(&execution, "AskApproval").await["run"].as_str().unwrap().to_owned();
    world.approves(OTHER, json!({})).await;
    let failed = async |kind: &str| {
        let open = world.asks(&execution, "AskRepair").await;
        assert_eq!(open["failure"]["kind"], kind, "{open}");
        world.paged(kind).await;
        let reported = world.cloud.messages(kind).await;
        assert!(reported.iter().any(|message| message.contains("rollBack")), "{reported:?}");
    };
    failed("MigrationFailed").await;
    // The way back, and forward again: the migration runs on the new database, once.
    world.obey(&run, "rollBack", STARTER, "a migração falhou").await;
    world.asks(&execution, "Hold").await;
    assert!(world.uses(INSTANCE).await);
    let works = json!({"family": MIGRATION, "sql": ["CREATE TABLE migrated_here (id int)"]});
    world.cloud.admin(Method::POST, "ecs/jobs", Some(works)).await;
    world.obey(&run, "forward", STARTER, "a migração foi corrigida").await;
    world.asks(&execution, "Hold").await;
    let name = world.new_instance().await.db_instance_identifier.unwrap();
    let migrated = "SELECT to_regclass('migrated_here')::text";
    let there = world.application_at(&name).await.query_one(migrated, &[]).await.unwrap();
    assert!(there.get::<_, Option<String>>(0).is_some());
    let there = world.application_at(INSTANCE).await.query_one(migrated, &[]).await.unwrap();
    assert_eq!(there.get::<_, Option<String>>(0), None, "the migration ran on the old database");
    assert_eq!(world.jobs().await.last().unwrap()["exit"], 0);

    // A deployment that fails on the way back, and is repeated.
    world.rollouts(json!({"fail_tasks": 3})).await;
    world.ordered("rollBack", STARTER, json!({})).await;
    failed("RolloutFailed").await;
    world.rollouts(json!({"fail_tasks": 0})).await;
    world.obey(&run, "retry", STARTER, "de novo").await;
    world.asks(&execution, "Hold").await;
    assert!(world.uses(INSTANCE).await);

    // A check that fails after the switch; the advised return cures.
    world.cloud.admin(Method::POST, "moveongs/config", Some(json!({"down": true}))).await;
    world.ordered("forward", STARTER, json!({})).await;
    failed("SmokeFailed").await;
    world.cloud.admin(Method::POST, "moveongs/config", Some(json!({"down": false}))).await;
    world.obey(&run, "rollBack", STARTER, "não entra").await;
    world.asks(&execution, "Hold").await;
    assert!(world.uses(INSTANCE).await);
    world.application().await;

    // Somebody moves the label by hand: it is not called the old database, until the advised command was run.
    let (old, new) =
        (world.labelled("AWSCURRENT").await.unwrap(), world.labelled("AWSPREVIOUS").await.unwrap());
    let by_hand = world.cloud.secrets.update_secret_version_stage().secret_id(DATABASE);
    let by_hand = by_hand.version_stage("AWSCURRENT").move_to_version_id(new).remove_from_version_id(&old);
    by_hand.send().await.unwrap();
    assert!(world.uses(&name).await);
    let refused = world.order("close", STARTER, json!({})).await.unwrap_err();
    assert_eq!(refused["errorType"], "SecretChanged", "{refused}");
    let (_, advised) = refused["errorMessage"].as_str().unwrap().split_once("the way back: ").unwrap();
    let (advised, _) = advised.split_once(')').unwrap();
    crate::advice::run(&world.cloud, advised);
    assert_eq!(world.labelled("AWSCURRENT").await, Some(old));
    world.closes(&execution).await;
    watcher.end().await;
    world.nothing_was_deleted().await;
    world.nothing_leaked().await;
}

#[tokio::test]
async fn a_restore_that_rds_gives_up_is_repeated_or_rejected() {
    let world = World::fresh().await;
    // A setting that RDS refuses is given anew in the same restore.
    let wrong =
        json!({"source": "latest", "rehearsal": true, "settings": {"parameterGroup": "moveongs-none"}});
    let execution = world.begin(wrong).await;
    let open = world.asks(&execution, "AskRepair").await;
    assert_eq!(open["failure"]["kind"], "RestoreRefused", "{open}");
    let run = open["run"].as_str().unwrap().to_owned();
    world.rds("rds/restores", json!({"end": "incompatible-network"})).await;
    let right = json!({"settings": {"parameterGroup": "default.postgres18"}});
    world.ordered("retry", STARTER, right).await;
    let open = world.asks(&execution, "AskRepair").await;
    assert_eq!(open["failure"]["kind"], "InstanceFailed", "{open}");
    world.rds("rds/restores", json!({"end": ""})).await;
    world.obey(&run, "retry", STARTER, "de novo").await;
    let open = world.asks(&execution, "AskApproval").await;
    // Both instances are there: the function deletes nothing.
    assert_eq!(world.new_instances().await.len(), 2);
    world.obey(&run, "reject", STARTER, "o banco antigo voltou").await;
    assert_eq!(world.cloud.ended(&execution).await["status"], "SUCCEEDED");
    // The end names each of them with its removal.
    let end = world.cloud.messages("skip-final-snapshot").await.pop().unwrap();
    let former = open["former"].as_array().unwrap();
    assert_eq!(former.len(), 1, "{open}");
    for name in former {
        assert!(end.contains(name.as_str().unwrap()), "{name}: {end}");
    }
    assert!(world.uses(INSTANCE).await);
    assert_eq!(world.open().await, Value::Null);
}

/// The order that answers each state that waits, on the whole way.
const WAY: [(&str, &str); 3] = [("AskChoice", "choose"), ("AskApproval", "approve"), ("Hold", "rollBack")];

#[tokio::test]
async fn an_execution_stopped_in_any_wait_is_resumed_where_it_stood() {
    let world = World::fresh().await;
    let mut execution = world.begin(json!({"rehearsal": true})).await;
    for (state, order) in WAY {
        let run = world.asks(&execution, state).await["run"].clone();
        world.stop(&execution).await;
        world.cloud.idle(MACHINE).await;
        // An order is noted although no task waits for it, and the next execution acts on it.
        let more = match order {
            "choose" => json!({"source": "latest"}),
            "approve" => {
                let verdict = world.open().await["proof"]["verdict"].clone();
                json!({"despiteProof": format!("{}: a test", verdict.as_str().unwrap())})
            }
            _ => json!({}),
        };
        let resume = json!({"resume": run, "by": OTHER});
        if order == "rollBack" {
            world.ordered(order, OTHER, more).await;
            execution = world.cloud.start(MACHINE, &resume).await;
        } else {
            execution = world.cloud.start(MACHINE, &resume).await;
            world.asks(&execution, state).await;
            world.ordered(order, OTHER, more).await;
        }
    }
    world.asks(&execution, "Hold").await;
    assert!(world.uses(INSTANCE).await);
    assert_eq!(world.new_instances().await.len(), 1);
    world.closes(&execution).await;
    world.nothing_was_deleted().await;
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused_at_the_start() {
    let world = World::fresh().await;
    let refused = async |input: Value, kind: &str| {
        let ended = world.cloud.ended(&world.cloud.start(MACHINE, &input).await).await;
        assert_eq!(ended["status"], "FAILED", "{kind}: {ended}");
        let page = world.paged(kind).await;
        assert_eq!(world.open().await, Value::Null, "{kind}: {page}");
        assert!(!world.cloud.messages(kind).await.is_empty(), "{kind}");
    };
    let start = json!({"by": STARTER, "reason": "teste"});
    let with = |more: Value| {
        let mut all = start.clone();
        extend(&mut all, more);
        all
    };
    refused(with(json!({"instance": "another-database"})), "NotOurs").await;
    crate::cluster::make(&world.cloud).await;
    refused(with(json!({"instance": crate::cluster::MEMBER})), "ClusterNotSupported").await;
    crate::cluster::remove(&world.cloud).await;
    refused(json!({"reason": "sem nome"}), "InvalidEvent").await;
    assert!(world.new_instances().await.is_empty());
    let nothing = world.cloud.invoke(json!({"order": "approve", "run": "r20260101-1", "by": OTHER})).await;
    assert_eq!(nothing.unwrap_err()["errorType"], "NoOpenRestore");
    let status = world.cloud.invoke(json!({"order": "status"})).await.unwrap();
    assert_eq!(status["status"], "nothing", "{status}");
}
