//! Each state of RDS that the new instance does not leave by itself, while it is restored and while its settings are
//! completed.

use serde_json::{Value, json};

use super::course::attempt;
use super::world::{INSTANCE, STARTER, World};
use crate::cloud::eventually;
use crate::matrix;

/// RDS's words. `functions/emergency-restore/src/rules/instance.rs` has the same; any other beginning with
/// `incompatible-` counts too.
const FAILURES: [&str; 18] = [
    "failed",
    "deleted",
    "deleting",
    "delete-precheck",
    "inaccessible-encryption-credentials",
    "inaccessible-encryption-credentials-recoverable",
    "insufficient-capacity",
    "restore-error",
    "stopped",
    "stopping",
    "storage-full",
    "incompatible-create",
    "incompatible-credentials",
    "incompatible-network",
    "incompatible-option-group",
    "incompatible-parameters",
    "incompatible-restore",
    "incompatible-of-tomorrow",
];

/// The phase in which the instance fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum When {
    Restore,
    Align,
}

/// One in so many cases is tried in a run of the tests.
const SHARE: usize = 12;
/// Cases of one restore: each leaves an instance with a server behind.
const AT_ONCE: usize = 6;

/// Lets the next instance fail.
async fn arm(world: &World, status: &str, when: When) {
    // A person deletes an instance that is still made.
    let is_made = when == When::Restore && status != "deleting";
    let end = if is_made { status } else { "" };
    world
        .rds("rds/restores", json!({"end": end, "hold": when == When::Restore && !is_made, "keep": true}))
        .await;
    world.rds("rds/snapshots", json!({"hold": when == When::Align})).await;
}

/// Brings the instance with this name into the state, if its restore does not end in it.
async fn strike(world: &World, name: &str, status: &str, when: When) {
    match when {
        When::Restore if status == "deleting" => {
            eventually("the instance", async || world.instance(name).await).await;
            world.rds("rds/unprotect", json!({"instance": name})).await;
            let delete = world.cloud.rds.delete_db_instance().db_instance_identifier(name);
            delete.skip_final_snapshot(true).send().await.unwrap();
            world.rds("rds/restores", json!({"hold": false})).await;
        }
        When::Restore => {}
        When::Align => {
            eventually("that the settings are pending", async || {
                (world.open().await["target"]["completed"] == true).then_some(())
            })
            .await;
            world.available(name).await;
            world.rds("rds/status", json!({"instance": name, "status": status})).await;
        }
    }
}

/// Several failures in one restore, one after the other: each is told with its state and paged, and the advised command
/// makes another instance. At the end each instance is named with its removal.
async fn one_after_the_other(world: &World, cases: &[(&'static str, When)], ends: &mut Vec<Value>) {
    world.anew().await;
    let pages = world.pages("InstanceFailed").await.len();
    arm(world, cases[0].0, cases[0].1).await;
    let execution = world.begin(json!({"source": "latest", "rehearsal": true})).await;
    let run = eventually("a run", async || world.open().await["run"].as_str().map(str::to_owned)).await;
    let mut names = Vec::new();
    for (place, (status, when)) in cases.iter().enumerate() {
        let mut name = format!("{INSTANCE}-{run}");
        if place > 0 {
            name = format!("{name}-{}", place + 1);
        }
        strike(world, &name, status, *when).await;
        let open = world.asks(&execution, "AskRepair").await;
        assert_eq!(open["failure"]["kind"], "InstanceFailed", "{status}: {open}");
        assert_eq!(open["phase"], json!(format!("{when:?}").to_lowercase()), "{status}");
        let says = format!("{name} is {status} ");
        assert!(open["failure"]["detail"].as_str().unwrap().contains(&says), "{says}: {open}");
        eventually(&format!("a page about {status}"), async || {
            let pages = world.pages("InstanceFailed").await.into_iter().skip(pages + place);
            pages.into_iter().find(|page| page.to_string().contains(&says))
        })
        .await;
        assert!(world.cloud.messages(&says).await.len() == 1, "{status}");
        assert!(world.uses(INSTANCE).await, "{status}");
        if *when == When::Align {
            world.rds("rds/status", json!({"instance": name, "status": "available"})).await;
        }
        names.push(name);
        match cases.get(place + 1) {
            Some((next, when)) => arm(world, next, *when).await,
            None => {
                world.rds("rds/restores", json!({"end": "", "hold": false})).await;
                world.rds("rds/snapshots", json!({"hold": false})).await;
            }
        }
        world.obey(&run, "retry", STARTER, "de novo").await;
        ends.push(json!({"status": status, "phase": open["phase"], "end": "succeeded"}));
    }
    let open = world.asks(&execution, "AskApproval").await;
    assert_eq!(open["former"], json!(names));
    world.ordered("reject", STARTER, json!({"reason": "o banco antigo voltou"})).await;
    assert_eq!(world.cloud.ended(&execution).await["status"], "SUCCEEDED");
    names.push(format!("{INSTANCE}-{run}-{}", cases.len() + 1));
    let end = world.cloud.messages("skip-final-snapshot").await.pop().expect("the end");
    let record = world.cloud.record_of(&run).await.expect("a record").to_string();
    for name in names {
        assert!(end.contains(&format!("--db-instance-identifier {name} ")), "{name}: {end}");
        assert!(record.contains(&name), "{name}: {record}");
    }
    assert!(world.uses(INSTANCE).await);
    world.application().await;
}

#[tokio::test]
async fn every_failure_state_of_rds_is_told_paged_and_cured() {
    let world = World::fresh().await;
    let all: Vec<_> =
        [When::Restore, When::Align].iter().flat_map(|when| FAILURES.map(|status| (status, *when))).collect();
    let turns = matrix::turns(SHARE).take_while(|turn| *turn < all.len());
    let cases: Vec<_> = turns.map(|turn| all[turn]).collect();
    let mut ends = Vec::new();
    for cases in cases.chunks(AT_ONCE) {
        let before = ends.len();
        if let Err(why) = attempt(one_after_the_other(&world, cases, &mut ends)).await {
            // The state that was tried last is the one that did not recover.
            let (status, when) = cases[(ends.len() - before).min(cases.len() - 1)];
            ends.push(json!({"status": status, "phase": format!("{when:?}"), "end": why}));
        }
    }
    world.anew().await;
    let of_all_days = json!({"of_all_days": all.len()});
    matrix::write_kinds("emergency-restore", [("states of RDS", ends, of_all_days)]);
}
