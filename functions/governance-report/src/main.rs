//! Lambda entry point: build the app once, then serve events.

shared::main!(governance_report);
