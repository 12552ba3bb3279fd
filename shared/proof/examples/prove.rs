//! Reads a copy, or with two addresses a source and its copy, and prints figures as JSON. Without TLS: for benchmarks.
//!
//! `prove COPY [SOURCE]`; addresses as in libpq, e.g. `host=127.0.0.1 user=postgres dbname=postgres`.
#![expect(clippy::print_stdout, reason = "prints its result")]

use std::time::Duration;

use proof::{AgedColumn, DigestChain, Facts, Line, Plan, Reading, Role, Verdict, judge, read, text, worst};
use serde_json::json;
use tokio::time::Instant;
use tokio_postgres::{Client, Error, NoTls};

async fn connect(address: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(address, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn whole(
    address: &str,
    plan: &Plan,
    role: Role,
) -> Result<(Reading, u128), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let mut reading = Reading::default();
    while !reading.complete() {
        let until = Instant::now() + Duration::from_secs(600);
        read(async || connect(address).await, plan, role, &mut reading, until).await?;
    }
    Ok((reading, started.elapsed().as_millis()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut addresses = std::env::args().skip(1);
    let copy = addresses.next().ok_or("an address is missing")?;
    let source = addresses.next();
    let plan = Plan {
        critical: ["beneficiaries", "enrollments", "audit_logs", "attachments"].map(str::to_owned).into(),
        tolerance_percent: 2,
        newest: vec![AgedColumn {
            table: "audit_logs".to_owned(),
            column: "created_at".to_owned(),
            limit: Duration::from_secs(86400),
        }],
        chain: Some(DigestChain { rows: "audit_logs".to_owned(), digests: "audit_log_digests".to_owned() }),
        statement: Duration::from_secs(300),
        connections: 2,
        sample_rows: 1000,
        volatile: Vec::new(),
    };
    connect(&copy).await?.batch_execute(proof::PREPARE).await?;
    let (restored, copy_ms) = whole(&copy, &plan, Role::Copy).await?;
    let (before, source_ms) = match source {
        Some(source) => {
            let (reading, took) = whole(&source, &plan, Role::Source).await?;
            (Some(reading), Some(took))
        }
        None => (None, None),
    };
    let snapshot = restored.times.started.ok_or("not read")?;
    let lines = judge(&plan, before.as_ref(), before.as_ref(), &restored, &Facts { snapshot, major: None });
    let bad = |line: &&Line| line.verdict != Verdict::Pass && before.is_some();
    let language = policy::language::Language::English;
    let sentences: Vec<String> =
        lines.iter().filter(bad).map(|line| text::sentence(line, language)).collect();
    let figures = json!({
        "copy_ms": copy_ms, "source_ms": source_ms, "rows": restored.rows(), "parts_us": restored.times.parts,
        "note_bytes": serde_json::to_string(&restored)?.len(), "lines": lines.len(), "verdict": worst(&lines),
        "not_passed": sentences,
    });
    println!("{figures}");
    Ok(())
}
