//! The governance page in a real browser: a headless Chromium that needs no root. Pages with sixty-character names and five hundred
//! findings, with nothing at all, and in both languages; light and dark, on a phone, on a desk and on A4. The screenshots are in
//! `target/page/shots`, to be looked at.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use governance_report::render;
use serde_json::{Value, json};
use shared::runtime::language::Language;

/// The folder with the packages of `tests/browser`.
#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
fn modules() -> PathBuf {
    let modules = std::env::var_os("BROWSER_MODULES");
    modules
        .map(PathBuf::from)
        .unwrap_or_else(|| panic!("BROWSER_MODULES is not set: run this through `cargo xtask test`"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Sixty characters without a place to break.
fn long(what: &str, number: usize) -> String {
    format!("{what}{number:03}-{}", "x".repeat(60)).chars().take(60).collect()
}

/// A page with every state, long names and many findings.
fn full() -> Value {
    let ids = [
        "inventory",
        "policy",
        "database-backups",
        "database-settings",
        "backup-plans",
        "snapshot-before-deploy",
        "snapshots-verified",
        "restore-test",
        "evidence-protected",
        "emergency-restore",
        "attachments-protected",
        "uploads-sent",
        "attachment-restore-test",
        "terraform-state",
        "grafana-export",
        "grafana-kept",
        "application-settings",
        "rotate-random",
        "rotate-database",
        "rotate-external",
        "rotation-planned",
        "rotation-followup",
        "incident-page",
        "incident-classified",
        "incident-updates",
        "postmortem",
        "onboarding",
        "evidence",
        "log-filters",
        "alarms",
        "on-call",
        "runbooks",
        "terraform-tracked",
    ];
    let unmeasured = [
        "every-disruptive-deploy",
        "sheet-in-drive",
        "squads-called",
        "customers-informed",
        "runbooks-followed",
        "provider-support",
        "guide-updated",
        "teams-told",
    ];
    let unmeasured = unmeasured.map(|id| json!({"id": id, "guide": "4.2", "off": id == "sheet-in-drive"}));
    let states = ["failing", "overdue", "unknown", "due", "ok"];
    let whys = [
        json!({"found": 3}),
        json!({"late_since": "2026-11-02T08:00:00Z"}),
        json!({"unread": format!("s3:GetObject: AccessDenied: {}", long("arn", 1))}),
        json!("due_soon"),
        json!("proved"),
    ];
    let proof = json!({
        "key": format!("evidence/{}/9999999998.json", long("procedure", 1)), "version": "v1",
        "sha256": "a1f43565879c1f3f116b54f1af4ce5bb3dc89f175b0c37a8959514d66b866bf0",
        "at": "2026-11-29T12:00:00Z", "succeeded": true,
    });
    let figure = json!({"restore": {"rto_seconds": 900, "rpo_seconds": 3000}});
    let controls = ids.iter().enumerate().map(|(number, id)| {
        let next_due = (number % 3 > 0).then_some("2026-12-05T08:00:00Z");
        json!({
            "id": id, "guide": "1–6", "procedure": long("procedure", number), "state": states[number % 5],
            "why": whys[number % 5], "since": "2026-10-01T08:00:00Z", "evidence": proof, "last_good": proof,
            "figure": figure, "next_due": next_due, "owner": long("Squad", number), "backup": long("Squad", number),
        })
    });
    let findings = (0..500).map(|number| {
        json!({
            "procedure": long("procedure", number), "key": format!("Kind{number} {}", long("resource", number)),
            "text": format!("{} {}", "uma frase de tamanho comum sobre o recurso".repeat(3), long("arn", number)),
            "since": "2026-11-01T08:00:00Z",
        })
    });
    let secrets = (0..40).map(|number| {
        json!({
            "secret": long("/moveongs/dev/", number), "key": long("VARIABLE_", number), "procedure": "rotate-random",
            "state": states[number % 5], "rotated": "2026-10-01T08:00:00Z", "outcome": "proved", "reason": "scheduled",
            "by": long("arn", number), "next_due": "2026-12-30T08:00:00Z", "owner": long("Squad", 1), "backup": long("Squad", 2),
        })
    });
    let restores = (1..=12).map(|month| {
        json!({
            "at": format!("2026-{month:02}-01T08:00:00Z"), "procedure": "restore-test", "succeeded": month != 6,
            "rto_seconds": 600 + 60 * month, "rpo_seconds": 3000, "key": proof["key"],
        })
    });
    let stat = |seconds: i64| json!({"count": 3, "median_seconds": seconds, "p90_seconds": 2 * seconds});
    let months = (1..=12).map(|month: i64| {
        let row = |severity: &str, factor: i64| {
            json!({"group": "incident", "severity": severity, "incidents": 9, "tta": stat(60 * factor * month),
                "ttm": stat(600), "ttr": stat(900 * factor), "impact": stat(900)})
        };
        json!({"month": format!("2026-{month:02}"), "rows": [row("S0", 1), row("S1", 2), row("S2", 3), row("S3", 4)]})
    });
    let chains = (0..18).map(|number| {
        let verdict = match number % 4 {
            0 => json!("verified"),
            1 => json!({"damaged": [{"kind": "EvidenceAltered", "key": proof["key"], "what": long("what", 1), "next": "guardar uma cópia"}]}),
            2 => json!("unknown"),
            _ => json!("empty"),
        };
        json!({
            "procedure": long("procedure", number), "verdict": verdict, "unread": [long("AccessDenied", 1)], "records": 9999,
            "listed": 10000, "sha256": proof["sha256"], "full_at": "2026-11-29T12:00:00Z", "anchored": number % 2 == 0,
        })
    });
    let states_of = |offset: usize| -> Value {
        ids.iter()
            .enumerate()
            .map(|(number, id)| ((*id).to_owned(), json!(states[(number + offset) % 5])))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    json!({
        "schema": 1, "made_at": "2026-11-30T13:30:00Z", "project": "moveongs", "environment": "prod", "code_version": "0123456789ab",
        "bucket": "moveongs-prod-evidence-123456789012", "region": "us-east-1",
        "controls": controls.collect::<Vec<_>>(), "unmeasured": unmeasured, "findings": findings.collect::<Vec<_>>(), "secrets": secrets.collect::<Vec<_>>(),
        "restores": restores.collect::<Vec<_>>(), "months": months.collect::<Vec<_>>(), "chains": chains.collect::<Vec<_>>(),
        "exceptions": [{"rule": "s3.access-logging", "resource": long("bucket", 1), "reason": long("reason", 1), "owner": "Ana", "until": "2026-11-29"}],
        "changes": [{"at": "2026-11-29T12:00:00Z", "author": long("autora", 1), "commit": "0123456789abcdef0123456789abcdef01234567",
            "reason": long("motivo", 1), "merged": "yes", "changes": [long("backups.audit.exceptions", 1)], "key": proof["key"]}],
        "cost": {"days": 30, "usd": 12.34, "prices_as_of": "2026-11-29", "source": "https://aws.amazon.com/lambda/pricing/",
            "lines": [{"what": "alarms", "amount": 120.0, "unit": "1", "price": 0.1, "usd": 12.0}]},
        "environments": [
            {"bucket": "b", "environment": "dev", "made_at": "2026-11-30T10:00:00Z", "states": states_of(1)},
            {"bucket": long("bucket", 2), "unread": "s3:GetObject: AccessDenied"},
        ],
        "has_anchors": true,
    })
}

#[test]
fn the_page_is_right_in_a_browser() {
    let folder = root().join("target/page");
    std::fs::create_dir_all(&folder).unwrap();
    let empty = json!({"made_at": "2026-11-30T13:30:00Z", "project": "moveongs", "environment": "dev"});
    let mut pages = Vec::new();
    for (name, view, language) in [
        ("full", full(), Language::Portuguese),
        ("full-en", full(), Language::English),
        ("empty", empty, Language::Portuguese),
    ] {
        let page = render(&view.to_string(), language).unwrap();
        // Aim of the page: below 1 MiB.
        assert!(page.len() < 1_048_576, "{name}: {}", page.len());
        let file = folder.join(format!("{name}.html"));
        std::fs::write(&file, page).unwrap();
        pages.push(file);
    }
    let mut node = Command::new("node");
    node.arg(root().join("tests/browser/page.mjs")).arg(modules()).arg(folder.join("shots")).args(&pages);
    let output = node.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    let found: Vec<Value> =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {log}"));
    // Three pages, two colour schemes, two widths and A4.
    assert_eq!(found.len(), 18);
    let nothing = json!({"wide": false, "out": [], "over": 0, "spilled": []});
    for one in &found {
        for field in ["errors", "outside", "violations"] {
            assert_eq!(one[field], json!([]), "{field}: {one:#}");
        }
        assert_eq!(one["layout"], nothing, "{one:#}");
        // axe-core ran, and could judge colours.
        assert!(one["passes"].as_array().unwrap().contains(&json!("color-contrast")), "{one:#}");
    }
}
