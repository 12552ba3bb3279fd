//! Lambda entry point: build the app once, then serve events.

shared::main!(grafana_export);
