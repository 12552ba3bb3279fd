//! The sample events in `events/`: used by tests, by `cargo xtask invoke` and by `sam local invoke`.

use std::fs;

use serde_json::{Value, json};

use crate::template::{get, pascal, template, text};
use crate::{folders, root};

#[test]
fn every_function_has_samples_and_every_sample_parses() {
    assert_eq!(
        folders("events"),
        folders("functions"),
        "a folder of samples for each function, and no other"
    );
    for function in folders("events") {
        let mut samples = 0;
        for entry in fs::read_dir(root().join("events").join(&function)).unwrap() {
            let path = entry.unwrap().path();
            let event: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            accept(&function, path.file_stem().unwrap().to_str().unwrap(), event)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            samples += 1;
        }
        assert!(samples > 0, "no sample for {function}");
    }
}

#[test]
fn every_schedule_has_a_dead_letter_queue_and_an_event_that_its_function_accepts() {
    let template = template();
    let mut schedules = 0;
    for function in folders("functions") {
        let id = pascal(&function);
        for part in ["Function", "StateMachine"] {
            let events = get(&template, &["Resources", &format!("{id}{part}"), "Properties", "Events"]);
            for (name, event) in events.as_mapping().into_iter().flatten() {
                if text(get(event, &["Type"])) != "ScheduleV2" {
                    continue;
                }
                schedules += 1;
                let of = |key: &str| text(get(event, &["Properties", key]));
                let queue = text(get(event, &["Properties", "DeadLetterConfig", "Arn"]));
                assert_eq!(queue, format!("{id}DeadLetters.Arn"), "{function}: {name:?}");
                assert!(!of("Description").is_empty(), "{function}: {name:?} has no description");
                // Without an input, Scheduler sends its own event, of which there is a sample.
                if of("Input").is_empty() {
                    continue;
                }
                let input: Value = serde_json::from_str(of("Input")).unwrap();
                // The first state of the state machine wraps its input.
                let first = if function == "restore-test" { "choose" } else { "note" };
                let wrapped = json!({"step": first, "execution": "e", "input": input});
                let event = if part == "Function" { input } else { wrapped };
                accept(&function, "scheduled", event).unwrap_or_else(|error| panic!("{function}: {error}"));
            }
        }
    }
    let source = fs::read_to_string(root().join("template.yaml")).unwrap();
    assert_eq!(schedules, source.matches("Type: ScheduleV2").count());
}

/// Reads an event as the function does. `name` is a rotation's step, `retire`, `scheduled`, or the sample's name.
pub(crate) fn accept(function: &str, name: &str, event: Value) -> Result<(), String> {
    match function {
        "rotate-external" if ["retire", "scheduled"].contains(&name) => {
            rotate_external::check(event).map_err(|error| error.to_string())
        }
        "rotate-database" if ["retire", "scheduled"].contains(&name) => {
            rotate_database::check(&event).map_err(|error| error.to_string())
        }
        "rotate-database" | "rotate-external" | "rotate-random" => {
            let request = shared::rotation::Request::try_from(event).map_err(|error| error.to_string())?;
            let step = request.step.to_string().to_lowercase();
            if step == name.replace('-', "") { Ok(()) } else { Err(format!("it is {step}")) }
        }
        "attachment-restore-test" => attachment_restore_test::check(event).map_err(|error| error.to_string()),
        "backup-audit" => backup_audit::check(event).map_err(|error| error.to_string()),
        "emergency-restore" => emergency_restore::check(event).map_err(|error| error.to_string()),
        "governance-report" => governance_report::check(event).map_err(|error| error.to_string()),
        "grafana-export" => grafana_export::check(event).map_err(|error| error.to_string()),
        "incident-clock" => incident_clock::check(event).map_err(|error| error.to_string()),
        "incident-desk" => incident_desk::check(event).map_err(|error| error.to_string()),
        "incident-page" => incident_page::check(event).map_err(|error| error.to_string()),
        "incident-send" => incident_send::check(event).map_err(|error| error.to_string()),
        "onboarding" => onboarding::check(event).map_err(|error| error.to_string()),
        "postmortem" => postmortem::check(event).map_err(|error| error.to_string()),
        "restore-test" => restore_test::check(event).map_err(|error| error.to_string()),
        "rotation-followup" => rotation_followup::check(event).map_err(|error| error.to_string()),
        "snapshot-create" => snapshot_create::check(event).map_err(|error| error.to_string()),
        "snapshot-verify" => snapshot_verify::check(event).map_err(|error| error.to_string()),
        // Any other event is an audit.
        "inventory-audit" if name.starts_with("policy") || name == "scheduled" => {
            if inventory_audit::is_change(&event) {
                Ok(())
            } else {
                Err("it asks for an audit".to_owned())
            }
        }
        // This function ignores the event.
        "inventory-audit" | "rotation-audit" => Ok(()),
        other => Err(format!("say here how the events of {other} are read")),
    }
}
