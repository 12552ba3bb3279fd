//! The procedures end to end: `template.yaml` deployed to a local cloud with IAM enforced, the functions as
//! processes over the Lambda Runtime API. `cargo xtask test` makes the cloud; faults are armed for a function
//! as a whole, so the tests run one at a time.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod adversary;
mod advice;
mod attachment_restore_test;
mod backup_audit;
mod calendar;
mod cloud;
mod cluster;
mod credential;
mod database;
mod emergency_restore;
mod evidence;
mod governance_report;
mod grafana_export;
mod in_force;
mod incident_clock;
mod incident_desk;
mod incident_faults;
mod incident_matrix;
mod incident_page;
mod incident_storm;
mod incidents;
mod inventory_audit;
mod matrix;
mod model;
mod onboarding;
mod policies;
mod policy;
mod postmortem;
mod prober;
mod property;
mod readers;
mod restore_test;
mod rotate_database;
mod rotate_external;
mod rotate_random;
mod rotation_audit;
mod rotation_followup;
mod secret;
mod server;
mod snapshot_create;
mod snapshot_verify;
