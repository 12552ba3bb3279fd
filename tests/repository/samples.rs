//! The sample events in `events/`: used by tests, by `cargo xtask invoke` and by `sam local invoke`.

use std::fs;

use serde_json::Value;

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
            match function.as_str() {
                "rotate-external" if path.ends_with("retire.json") => {
                    rotate_external::check(event)
                        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                }
                "rotate-database" if path.ends_with("retire.json") => {
                    rotate_database::check(&event)
                        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                }
                "rotate-database" | "rotate-external" | "rotate-random" => {
                    let request = shared::rotation::Request::try_from(event);
                    let request = request.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                    let name = path.file_stem().unwrap().to_string_lossy().replace('-', "");
                    assert_eq!(request.step.to_string().to_lowercase(), name, "{}", path.display());
                }
                "backup-audit" => {
                    backup_audit::check(event).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                }
                "rotation-followup" => rotation_followup::check(event)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
                "snapshot-create" => snapshot_create::check(event)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
                "snapshot-verify" => snapshot_verify::check(event)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
                // These functions ignore the event.
                "inventory-audit" | "rotation-audit" => {}
                other => panic!("say here how the samples of {other} are parsed"),
            }
            samples += 1;
        }
        assert!(samples > 0, "no sample for {function}");
    }
}
