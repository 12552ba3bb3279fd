//! `cargo xtask demo`: runs every procedure once on real input and shows outcome and evidence.

mod attachments;
mod emergency_restore;
mod governance_report;
mod incident_life;
mod onboarding;
mod restore_test;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use incident::text::preview;
use serde::Serialize;
use serde_json::{Value, json};

use crate::aws::{Aws, text};
use crate::cloud::Place;
use crate::deploy::{self, DATABASE_SECRET, JWT_SECRET, PREFIX, WEBHOOK_SECRET};
use crate::repo::{Repo, digest};
use crate::run::{self, Interrupted, Log, Progress};
use crate::table::table;
use crate::{drill, function, up};

/// One procedure of the demo: its description, and a function that runs it and returns the key of its evidence, which is
/// empty if it leaves none.
struct Procedure {
    name: &'static str,
    title: &'static str,
    show: fn(&mut Show<'_>) -> Result<String>,
}

const PROCEDURES: &[Procedure] = &[
    Procedure {
        name: "rotate-random",
        title: "rotates JWT_SECRET when an AWS CLI calls RotateSecret",
        show: rotate_random,
    },
    Procedure {
        name: "rotate-database",
        title: "rotates DATABASE_URL between two users over verified TLS, while an application keeps logging in",
        show: rotate_database,
    },
    Procedure {
        name: "rotate-external",
        title: "replaces the access key that sends mail, and puts the old one out of use when the new one is in use",
        show: rotate_external,
    },
    Procedure {
        name: "rotation-followup",
        title: "brings a new JWT_SECRET into use and proves it, and goes back by itself when the rollout fails",
        show: rotation_followup,
    },
    Procedure {
        name: "rotation-audit",
        title: "holds a good, a due and an overdue secret against the policy",
        show: rotation_audit,
    },
    Procedure {
        name: "snapshot-create",
        title: "takes the database snapshot of a deploy and waits for it, and pages when RDS gives one up",
        show: snapshot_create,
    },
    Procedure {
        name: "backup-audit",
        title: "holds good and bad databases, buckets and snapshots against the guide, and repairs one with before and after",
        show: backup_audit,
    },
    Procedure {
        name: "snapshot-verify",
        title: "verifies the snapshots, pages for the failed one, copies the newest to another region, deletes the expired one",
        show: snapshot_verify,
    },
    Procedure {
        name: "restore-test",
        title: "restores a snapshot, proves it against the source and removes it; then names seven damages of a copy",
        show: restore_test::show,
    },
    Procedure {
        name: "attachment-restore-test",
        title: "reads, restores and downloads attachments; names an altered and a deleted one, and tests them again when cured",
        show: attachments::show,
    },
    Procedure {
        name: "emergency-restore",
        title: "rehearses the worst night: choices with their losses, approval, cut-over, checks, and the way back",
        show: emergency_restore::show,
    },
    Procedure {
        name: "grafana-export",
        title: "exports Grafana with a release, proposes what changed, and proves that it comes back, without the secrets",
        show: grafana_export,
    },
    Procedure {
        name: "inventory-audit",
        title: "holds the inventory against AWS and the Terraform state, while a secret of it is missing and when it is back",
        show: inventory_audit,
    },
    Procedure {
        name: "incident-page",
        title: "makes one incident of a real alarm and posts it once Slack is back; the pages of the others, as they look",
        show: incident_page,
    },
    Procedure {
        name: "incident-send",
        title: "takes a drill through every entry of the pager, and shows when each hop had it",
        show: incident_send,
    },
    Procedure {
        name: "incident-desk",
        title: "takes an S0 from its alarm to its first update, by what people ask; of two at once, the second hears who was first",
        show: incident_life::desk,
    },
    Procedure {
        name: "incident-clock",
        title: "writes to the customers, and reminds the commander of an update that nobody gives",
        show: incident_life::clock,
    },
    Procedure {
        name: "postmortem",
        title: "writes the document of the same incident as a pull request, and makes its actions tasks of the board",
        show: incident_life::postmortem,
    },
    Procedure {
        name: "onboarding",
        title: "takes a new person through the checklist, with the evidence of this demo, and out again",
        show: onboarding::show,
    },
    Procedure {
        name: "governance-report",
        title: "shows every control with its evidence from this demo on one page, and verifies every record",
        show: governance_report::show,
    },
];

/// One line of the table and of `results.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    procedure: &'static str,
    outcome: String,
    seconds: f64,
    evidence_key: Option<String>,
}

impl Outcome {
    fn is_right(&self) -> bool {
        self.outcome == "passed"
    }
}

/// The demo's context for each procedure.
struct Show<'a> {
    repo: &'a Repo,
    aws: &'a Aws,
    log: &'a Log,
    say: &'a mut dyn FnMut(&str),
    evidence_bucket: String,
}

/// `cargo xtask demo`.
pub(crate) fn demo(repo: &Repo, keep: bool) -> Result<bool> {
    let _lock = repo.lock()?;
    let progress = Progress::new(repo.local().join("logs/demo"), up::STEPS, false);
    let mut running = up::bring_up(repo, &Place::new(repo, "cloud"), None, &progress)?;
    let log = Log::create(repo.local().join("logs/demo/procedures.log"))?;
    let outcomes = perform(repo, &running.aws, &log, &mut |line| println!("{line}"))?;
    if keep {
        running.down.keep();
        println!("the local cloud runs until `cargo xtask down`; `cargo xtask up` prints how to talk to it");
    }
    running.down.now()?;
    Ok(outcomes.iter().all(Outcome::is_right))
}

/// Runs the demo on a separate cloud, for `cargo xtask test`.
pub(crate) fn demo_for_test(repo: &Repo, place: &Place, log: &Log) -> Result<()> {
    let cloud = place.start(repo, None, log)?;
    let aws = Aws::new(repo, &cloud);
    deploy::deploy(repo, &aws, log)?;
    let outcomes = perform(repo, &aws, log, &mut |line| drop(log.line(line)))?;
    let wrong: Vec<&str> =
        outcomes.iter().filter(|outcome| !outcome.is_right()).map(|outcome| outcome.procedure).collect();
    ensure!(wrong.is_empty(), "not right: {}", wrong.join(", "));
    Ok(())
}

/// Runs every procedure, prints the table and writes `target/demo/results.json`.
fn perform(repo: &Repo, aws: &Aws, log: &Log, say: &mut dyn FnMut(&str)) -> Result<Vec<Outcome>> {
    let outputs = deploy::outputs(aws, log)?;
    let bucket = outputs.get("EvidenceBucket").context("the stack has no output EvidenceBucket")?;
    let mut outcomes = Vec::new();
    for procedure in PROCEDURES {
        say(&format!("\n── {}: {}", procedure.name, procedure.title));
        let started = Instant::now();
        let mut show = Show { repo, aws, log, say: &mut *say, evidence_bucket: bucket.clone() };
        let result = (procedure.show)(&mut show);
        let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let (outcome, evidence_key) = match result {
            Ok(key) => ("passed".to_owned(), Some(key).filter(|key| !key.is_empty())),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => (format!("failed: {error:#}"), None),
        };
        outcomes.push(Outcome { procedure: procedure.name, outcome, seconds, evidence_key });
    }
    say(&format!("\n{}", table(&rows(&outcomes))));
    let folder = repo.at("target/demo");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("results.json"), format!("{}\n", serde_json::to_string_pretty(&outcomes)?))?;
    Ok(outcomes)
}

fn rows(outcomes: &[Outcome]) -> Vec<Vec<String>> {
    let head = ["procedure", "outcome", "seconds", "evidence key"].map(str::to_owned).to_vec();
    let row = |outcome: &Outcome| {
        let key = outcome.evidence_key.clone().unwrap_or_else(|| "none".to_owned());
        vec![outcome.procedure.to_owned(), outcome.outcome.clone(), format!("{:.1}", outcome.seconds), key]
    };
    std::iter::once(head).chain(outcomes.iter().map(row)).collect()
}

fn rotate_random(show: &mut Show<'_>) -> Result<String> {
    let old = Fingerprint::current(show.aws, JWT_SECRET)?;
    let rotated = Rotation { function: "rotate-random", secret: JWT_SECRET };
    rotated.explained(show, |show| {
        let key = rotated.perform(show)?;
        Fingerprint::current(show.aws, JWT_SECRET)?.check_jwt_secret(&old)?;
        (show.say)("the value is a new one: 48 bytes in base64");
        Ok(key)
    })
}

/// Rotations of `DATABASE_URL` in the demo: the first creates the second user, the second alternates.
const DATABASE_ROTATIONS: usize = 2;

/// Logins that the application reports before it continues.
const ANNOUNCED_LOGINS: u64 = 1;

fn rotate_database(show: &mut Show<'_>) -> Result<String> {
    let rotated = Rotation { function: "rotate-database", secret: DATABASE_SECRET };
    rotated.explained(show, |show| {
        let mut users = vec![current_user(show.aws)?];
        let (mut logins, mut key) = (0, String::new());
        for _ in 0..DATABASE_ROTATIONS {
            // Redeploy between rotations, as the channel's message asks: a credential is valid until the rotation after the next.
            let mut application = Application::start(show.repo, show.aws, show.log)?;
            key = rotated.perform(show)?;
            let (counted, failures) = application.end()?;
            ensure!(failures == 0, "{failures} of the application's {} logins failed", counted + failures);
            // At least one login with each of its URLs.
            ensure!(counted >= ANNOUNCED_LOGINS + 2, "no login while the secret was rotated");
            logins += counted;
            users.push(current_user(show.aws)?);
        }
        (show.say)(&format!("users in turn: {}", users.join(", ")));
        (show.say)(&format!(
            "the application opened {logins} new connections meanwhile, with the URL it was started with and with AWSCURRENT: 0 failures"
        ));
        ensure!(users.windows(2).all(|pair| pair.first() != pair.last()), "the user did not change");
        Ok(key)
    })
}

fn rotate_external(show: &mut Show<'_>) -> Result<String> {
    let rotated = Rotation { function: "rotate-external", secret: deploy::SES_SECRET };
    let key = rotated.explained(show, |show| rotated.perform(show))?;
    keys(show)?;
    (show.say)("the follow-up deploys the service that reads it; until then the old key stays:");
    let function = format!("{PREFIX}-rotate-external");
    (show.say)(&format!(
        "$ echo '{{\"retire\": true}}' | aws lambda invoke --function-name {function} --payload fileb:///dev/stdin /dev/stdout"
    ));
    let path = format!("/2015-03-31/functions/{function}/invocations");
    let lines = run::wait_for("that the new key is in use", Duration::from_secs(120), || {
        let answer = show.aws.wire("lambda", "POST", &path, &[], br#"{"retire": true}"#)?;
        let lines: Value = serde_json::from_slice(&answer.body).context("the answer is not JSON")?;
        // The follow-up may have retired it first.
        let is_over =
            text(&lines, "/0/did") != Some("waits") || text(&lines, "/0/why") == Some("deactivated");
        Ok(is_over.then_some(lines))
    })?;
    (show.say)(&format!("  {lines}"));
    let is_out = ["/0/did", "/0/why"].iter().any(|place| text(&lines, place) == Some("deactivated"));
    ensure!(is_out, "the old key was not put out of use: {lines}");
    keys(show)?;
    Ok(key)
}

/// Shows the keys of the user that sends mail.
fn keys(show: &mut Show<'_>) -> Result<()> {
    let list = ["iam", "list-access-keys", "--user-name", deploy::SES_USER];
    (show.say)(&format!("$ aws {}", list.join(" ")));
    let listed = show.aws.ask(&list, show.log)?;
    for key in listed.get("AccessKeyMetadata").and_then(Value::as_array).into_iter().flatten() {
        let part = |name| text(key, name).unwrap_or("?").to_owned();
        (show.say)(&format!("  {} {}", part("/AccessKeyId"), part("/Status")));
    }
    Ok(())
}

fn rotation_followup(show: &mut Show<'_>) -> Result<String> {
    wait_until_followed(show)?;
    let good = followed(show)?;
    let proofs = good.get("proofs").and_then(Value::as_array).cloned().unwrap_or_default();
    let old_token = proofs.iter().find(|proof| text(proof, "/name") == Some("token of the old secret"));
    let refused = old_token.and_then(|proof| text(proof, "/detail")).unwrap_or("?");
    (show.say)(&format!("a token of the old secret gets: {refused}"));
    ensure!(refused == "401 {\"message\":\"Unauthorized\"}", "the old token was not refused");
    ensure!(text(&good, "/outcome") == Some("proved"), "the new secret was not proved: {good}");
    let version = text(&good, "/version").context("the ledger's row names no version")?;
    for (page, lines) in [("rotation.csv", 2), ("security-changelog.md", 12)] {
        let content = run::wait_for("the ledger's pages", Duration::from_secs(30), || {
            Ok(ledger(show, page).ok().filter(|content| content.contains(version)))
        })?;
        (show.say)(&format!("s3://{}/ledger/{page}:", show.evidence_bucket));
        for line in content.lines().take(lines) {
            (show.say)(&format!("  {line}"));
        }
    }

    (show.say)("now the next three tasks fail to start:");
    orders(show, 3)?;
    let before = current(show.aws, JWT_SECRET)?;
    let bad = followed(show);
    orders(show, 0)?;
    let bad = bad?;
    ensure!(text(&bad, "/outcome") == Some("rolled back"), "not rolled back: {bad}");
    ensure!(current(show.aws, JWT_SECRET)? == before, "AWSCURRENT did not go back");
    (show.say)("AWSCURRENT is on the version before again, deployed and proved");
    let run_id = text(&bad, "/execution").context("the ledger's row names no execution")?;
    let key = evidence_of(show.aws, show.log, &show.evidence_bucket, "rotation-followup", run_id)?;
    let key = key.context("the follow-up left no evidence")?;
    (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));
    Ok(key)
}

/// Makes task starts fail.
fn orders(show: &Show<'_>, fail_tasks: i32) -> Result<()> {
    let orders = json!({"cluster": deploy::CLUSTER, "service": deploy::SERVICE, "fail_tasks": fail_tasks});
    show.aws.admin("POST", "ecs/rollouts", Some(&orders)).map(drop)
}

/// Waits for the follow-ups of other rotations to end.
fn wait_until_followed(show: &Show<'_>) -> Result<()> {
    let outputs = deploy::outputs(show.aws, show.log)?;
    let machine = outputs.get("RotationFollowupStateMachine").context("the stack has no state machine")?;
    let list =
        ["stepfunctions", "list-executions", "--status-filter", "RUNNING", "--state-machine-arn", machine];
    run::wait_for("the follow-ups of the other rotations", Duration::from_secs(120), || {
        let running = show.aws.ask(&list, show.log)?;
        let running = running.get("executions").and_then(Value::as_array).map_or(0, Vec::len);
        Ok((running == 0).then_some(()))
    })
}

fn ledger(show: &Show<'_>, page: &str) -> Result<String> {
    let answer = show.aws.wire("s3", "GET", &format!("/{}/ledger/{page}", show.evidence_bucket), &[], &[])?;
    ensure!(answer.status == 200, "ledger/{page}: {}", answer.status);
    Ok(answer.text().to_string())
}

/// Rotates, waits for the follow-up, shows its message and returns the ledger's row.
fn followed(show: &mut Show<'_>) -> Result<Value> {
    let rotate = ["secretsmanager", "rotate-secret", "--secret-id", JWT_SECRET];
    (show.say)(&format!("$ aws {}", rotate.join(" ")));
    let answer = show.aws.ask(&rotate, show.log)?;
    let token = text(&answer, "/VersionId").context("RotateSecret answered without a VersionId")?.to_owned();
    let row_of = |show: &Show<'_>| {
        let rows = ledger(show, "rotation.json").unwrap_or_default();
        let rows: Vec<Value> = serde_json::from_str(&rows).unwrap_or_default();
        rows.into_iter().find(|row| text(row, "/version") == Some(token.as_str()))
    };
    run::wait_for("the ledger's row", Duration::from_secs(120), || Ok(row_of(show)))?;
    // The follow-up writes the row before it ends, because retiring old credentials depends on it.
    wait_until_followed(show)?;
    let row = row_of(show).context("the ledger's row is gone")?;
    let run_id = text(&row, "/execution").context("the ledger's row names no execution")?;
    let reported = messages(show.aws)?.into_iter().find(|message| message.to_string().contains(run_id));
    let message = reported.context("the channel got no message")?;
    for line in texts(&message).iter().flat_map(|text| text.lines()) {
        (show.say)(&format!("  {line}"));
    }
    Ok(row)
}

/// Age in days that the demo gives two secrets; the policy's limits are 180 and 90.
const AGES: [(&str, u64, &str); 2] = [(WEBHOOK_SECRET, 170, "DueSoon"), (DATABASE_SECRET, 100, "Overdue")];

/// Starts an empty audit chain with a record older than a week, because an audit opens no pages or tasks in its first
/// week.
fn begin_long_ago(show: &Show<'_>, procedure: &str) -> Result<()> {
    let folder = format!("evidence/{procedure}/");
    let path = format!("/{}?list-type=2&max-keys=1&prefix={folder}", show.evidence_bucket);
    if show.aws.wire("s3", "GET", &path, &[], &[])?.text().contains("<Key>") {
        return Ok(());
    }
    let at = json!({"utc": "2026-01-01T12:00:00Z", "local": "2026-01-01 09:00:00 -03:00"});
    let record = json!({"schema": 1, "procedure": procedure, "sequence": 1, "previous": null, "run_id": "long ago",
        "project": "moveongs", "environment": "dev", "trigger": "", "subject": "", "code_version": "",
        "channel": "sent", "started": at, "ended": at, "steps": [], "findings": [], "result": "succeeded"});
    let (key, record) = (format!("{folder}9999999998.json"), record.to_string());
    let mark = json!({"sequence": 1, "key": key, "sha256": chain::sha256(record.as_bytes())}).to_string();
    for (key, text) in [(key, record), (format!("runs/{procedure}/begun.json"), mark)] {
        show.aws.wire("s3", "PUT", &format!("/{}/{key}", show.evidence_bucket), &[], text.as_bytes())?;
    }
    Ok(())
}

fn rotation_audit(show: &mut Show<'_>) -> Result<String> {
    begin_long_ago(show, "rotation-audit")?;
    for (secret, days, _) in AGES {
        let dates = json!({"secret": secret, "seconds_ago": {"AWSCURRENT": days * 86_400}});
        show.aws.admin("POST", "secrets/dates", Some(&dates))?;
    }
    let report = invoked(show, "rotation-audit", &json!({}))?;
    let audited = report.get("secrets").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut rows = vec![["secret", "age in days", "at most", "findings"].map(str::to_owned).to_vec()];
    rows.extend(audited.iter().map(audited_row));
    (show.say)(&table(&rows));
    for (secret, kind) in AGES.map(|(secret, _, kind)| (secret, kind)).into_iter().chain([(JWT_SECRET, "")]) {
        let row = rows.iter().find(|row| row.first().is_some_and(|name| name == secret));
        let found = row.and_then(|row| row.last()).context("a secret was not audited")?;
        ensure!(found.contains(kind) && (secret != JWT_SECRET || found.is_empty()), "{secret}: {found}");
    }
    let issues = show.aws.admin("GET", "github/issues", None)?;
    let issues = issues.get("issues").and_then(Value::as_array).cloned().unwrap_or_default();
    for (secret, _, _) in AGES {
        let marker = format!("governance:rotation:{secret}:");
        let of_secret = |issue: &&Value| {
            text(issue, "/state") == Some("open")
                && text(issue, "/body").is_some_and(|body| body.contains(&marker))
        };
        let open: Vec<_> = issues.iter().filter(of_secret).collect();
        let [issue] = open.as_slice() else { bail!("{} open tasks for {secret}", open.len()) };
        let number = issue.get("number").and_then(Value::as_u64).unwrap_or_default();
        (show.say)(&format!("task #{number}: {}", text(issue, "/title").unwrap_or("?")));
    }
    let run_id = text(&report, "/run_id").context("the audit has no run id")?;
    let key = evidence_of(show.aws, show.log, &show.evidence_bucket, "rotation-audit", run_id)?;
    let key = key.context("the audit left no evidence")?;
    (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));
    Ok(key)
}

/// Invokes a function as a person would, and returns its answer.
fn invoked(show: &mut Show<'_>, procedure: &str, event: &Value) -> Result<Value> {
    let function = format!("{PREFIX}-{procedure}");
    (show.say)(&format!(
        "$ echo '{event}' | aws lambda invoke --function-name {function} --payload fileb:///dev/stdin /dev/stdout"
    ));
    let path = format!("/2015-03-31/functions/{function}/invocations");
    let answer = show.aws.wire("lambda", "POST", &path, &[], event.to_string().as_bytes())?;
    ensure!(
        answer.status == 200 && answer.header("x-amz-function-error").is_none(),
        "{function} failed: {}",
        answer.text()
    );
    let answer: Value = serde_json::from_slice(&answer.body)
        .with_context(|| format!("the answer of {function} is not JSON"))?;
    ensure!(text(&answer, "/outcome") != Some("refused"), "{function} refused: {answer}");
    Ok(answer)
}

fn grafana_export(show: &mut Show<'_>) -> Result<String> {
    for what in ["grafana", "github/repository"] {
        show.aws.admin("DELETE", what, None)?;
    }
    begin_long_ago(show, "grafana-export")?;
    let hook = "https://hooks.example/T0/9f8e7d6c";
    let point =
        json!({"uid": "h", "name": "hook", "type": "webhook", "settings": {"url": hook, "password": "p"}});
    show.aws.admin("POST", "grafana/seed", Some(&json!({"contact_points": [point]})))?;
    let export = |show: &mut Show<'_>, event: &Value| -> Result<Value> {
        let report = invoked(show, "grafana-export", event)?;
        let part = |place| report.pointer(place).map(Value::to_string).unwrap_or_default();
        (show.say)(&format!(
            "  Grafana {}: {} dashboards; files new, changed and gone: {}; pull request {}; restore check {}",
            part("/grafana"),
            part("/dashboards"),
            part("/changes"),
            part("/pull_request"),
            part("/check")
        ));
        Ok(report)
    };
    let first = export(show, &json!({"release": "v1.4.0"}))?;
    ensure!(text(&first, "/result") == Some("succeeded"), "the export did not succeed: {first}");
    ensure!(text(&first, "/check") == Some("passed"), "the export was not restored: {first}");
    let key = text(&first, "/export").context("the answer names no export")?;
    let stored = show.aws.wire("s3", "GET", &format!("/{}/{key}", show.evidence_bucket), &[], &[])?;
    ensure!(!stored.text().contains("9f8e7d6c"), "the export has the webhook's address");
    (show.say)(&format!("s3://{}/{key}: the webhook's address is [REDACTED]", show.evidence_bucket));
    (show.say)("now someone puts a token into a dashboard:");
    let model = json!({"uid": "mau", "title": "Mau", "description": format!("glsa_{}", "a".repeat(32))});
    show.aws.admin("POST", "grafana/seed", Some(&json!({"dashboards": [{"dashboard": model}]})))?;
    let second = export(show, &json!({}))?;
    let found = text(&second, "/findings/0").unwrap_or("?").to_owned();
    (show.say)(&format!("  {found}"));
    ensure!(found == "SecretFound dashboards/general/mau.json", "the token was not found: {second}");
    show.aws.admin("POST", "grafana/remove", Some(&json!({"dashboard": "mau"})))?;
    let run_id = text(&first, "/run_id").context("the answer names no run")?;
    let key = evidence_of(show.aws, show.log, &show.evidence_bucket, "grafana-export", run_id)?;
    let key = key.context("the export left no evidence")?;
    (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));
    Ok(key)
}

fn inventory_audit(show: &mut Show<'_>) -> Result<String> {
    let secret = deploy::REDIS_SECRET;
    // An earlier demo on the same cloud may have left records and the secret.
    begin_long_ago(show, "inventory-audit")?;
    let gone = json!({"SecretId": secret, "ForceDeleteWithoutRecovery": true});
    if let Err(error) = show.aws.secrets("DeleteSecret", &gone) {
        ensure!(error.to_string().contains("ResourceNotFoundException"), "{error}");
    }
    let before = calls(show, &format!("{PREFIX}-inventory-audit"), 0)?.1;
    let (_, missing) = inventory(show)?;
    ensure!(missing.contains(&format!("{secret} Missing")), "{secret} is not missing: {missing:?}");
    let paged = calls(show, &format!("{PREFIX}-inventory-audit"), before)?.0;
    ensure!(paged.iter().any(|call| call == "sns:Publish ok"), "nobody was paged");
    (show.say)("the page was published; now someone creates the secret by hand:");
    let made = json!({"Name": secret, "SecretString": "rediss://redis.example:6379"});
    show.aws.secrets("CreateSecret", &made)?;
    let (_, by_hand) = inventory(show)?;
    let expected = format!("{secret} TagsMissing NotInState");
    ensure!(by_hand.contains(&expected), "{secret} is not reported as made by hand: {by_hand:?}");
    (show.say)("then Terraform takes it over, with its tags:");
    let tags = deploy::TAGS.map(|(key, value)| json!({"Key": key, "Value": value}));
    show.aws.secrets("TagResource", &json!({"SecretId": secret, "Tags": tags}))?;
    let state =
        show.aws.wire("s3", "GET", &format!("/{}/{}", deploy::STATE_BUCKET, deploy::STATE_KEY), &[], &[])?;
    let state: Value = serde_json::from_slice(&state.body).context("the state is not JSON")?;
    let resources = state.get("resources").and_then(Value::as_array).cloned().unwrap_or_default();
    let secrets = resources.iter().filter(|one| text(one, "/type") == Some("aws_secretsmanager_secret"));
    let secrets = secrets.filter_map(|one| text(one, "/instances/0/attributes/name"));
    let secrets: Vec<_> = secrets.filter(|name| *name != secret).chain([secret]).collect();
    deploy::terraform_state(show.aws, &secrets)?;
    let (run_id, whole) = inventory(show)?;
    ensure!(!whole.iter().any(|found| found.starts_with(secret)), "{secret} has findings: {whole:?}");
    let table = show.aws.wire(
        "s3",
        "GET",
        &format!("/{}/inventory/inventory.csv", show.evidence_bucket),
        &[],
        &[],
    )?;
    (show.say)(&format!("s3://{}/inventory/inventory.csv:", show.evidence_bucket));
    for line in table.text().lines().take(4) {
        (show.say)(&format!("  {line}"));
    }
    let key = evidence_of(show.aws, show.log, &show.evidence_bucket, "inventory-audit", &run_id)?;
    let key = key.context("the audit left no evidence")?;
    (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));
    Ok(key)
}

/// Audits the inventory and shows its table. Returns the run's id, and the findings by resource name.
fn inventory(show: &mut Show<'_>) -> Result<(String, Vec<String>)> {
    let report = invoked(show, "inventory-audit", &json!({}))?;
    let resources = report.get("resources").and_then(Value::as_array).cloned().unwrap_or_default();
    let columns = ["area", "kind", "name", "exists", "tags", "terraform"];
    let mut rows = vec![columns.into_iter().chain(["findings"]).map(str::to_owned).collect::<Vec<_>>()];
    let mut wrong = Vec::new();
    for resource in &resources {
        let part = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let findings = resource.get("findings").and_then(Value::as_array).cloned().unwrap_or_default();
        let findings: Vec<_> = findings.iter().filter_map(Value::as_str).collect();
        if !findings.is_empty() {
            wrong.push(format!("{} {}", part("name"), findings.join(" ")));
        }
        rows.push(columns.map(part).into_iter().chain([findings.join(" ")]).collect());
    }
    (show.say)(&table(&rows));
    let run_id = text(&report, "/run_id").context("the audit has no run id")?;
    Ok((run_id.to_owned(), wrong))
}

fn snapshot_create(show: &mut Show<'_>) -> Result<String> {
    let function = format!("{PREFIX}-snapshot-create");
    // An earlier demo on the same cloud has its own deploys.
    let demo = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let (first, second) = (format!("demo-{demo}-1"), format!("demo-{demo}-2"));
    let good = snapshot(show, &first, "SUCCEEDED")?;
    let output: Value = serde_json::from_str(text(&good, "/output").unwrap_or_default())?;
    let name = text(&output, "/snapshot").context("the execution names no snapshot")?.to_owned();
    let describe = ["rds", "describe-db-snapshots", "--db-snapshot-identifier", &name];
    let described = show.aws.ask(&describe, show.log)?;
    let described = described.pointer("/DBSnapshots/0").context("the snapshot is not there")?;
    let tags = described.get("TagList").and_then(Value::as_array).cloned().unwrap_or_default();
    let tag = |tag: &Value| Some(format!("{}={}", text(tag, "/Key")?, text(tag, "/Value")?));
    let tags: Vec<_> = tags.iter().filter_map(tag).collect();
    let status = text(described, "/Status").unwrap_or("?");
    (show.say)(&format!("{name} is {status}: {}", tags.join(", ")));
    ensure!(status == "available", "the snapshot is {status}");
    let again = snapshot(show, &first, "SUCCEEDED")?;
    ensure!(text(&again, "/output") == text(&good, "/output"), "the same deploy has another snapshot");
    (show.say)("the same deploy again has the same snapshot; now RDS gives the next one up:");
    wait_for_instance(show)?;
    show.aws.admin("POST", "rds/snapshots", Some(&json!({"fail": 1})))?;
    let before = calls(show, &function, 0)?.1;
    let bad = snapshot(show, &second, "FAILED")?;
    let error = text(&bad, "/error").unwrap_or("?").to_owned();
    (show.say)(&format!("the execution ends with {error}: {}", text(&bad, "/cause").unwrap_or("?")));
    ensure!(error == "SnapshotFailed", "it ended with {error}");
    let paged = calls(show, &function, before)?.0;
    ensure!(paged.iter().any(|call| call == "sns:Publish ok"), "nobody was paged");
    (show.say)("the page was published; the channel has:");
    let deploys = format!("demo-{demo}-");
    for message in messages(show.aws)?.iter().filter(|message| message.to_string().contains(&deploys)) {
        for line in texts(message).iter().flat_map(|text| text.lines()) {
            (show.say)(&format!("  {line}"));
        }
    }
    let run_id = format!("{}/{first}/available", deploy::DATABASE);
    let key = evidence_of(show.aws, show.log, &show.evidence_bucket, "snapshot-create", &run_id)?;
    let key = key.context("the snapshot left no evidence")?;
    (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));
    Ok(key)
}

fn backup_audit(show: &mut Show<'_>) -> Result<String> {
    // Good and bad databases beside the application's, which has no backups: its Terraform leaves the retention at 0.
    let seed = json!({"instances": 5, "buckets": 4, "secrets": 0, "snapshots": 2});
    show.aws.admin("POST", "seed", Some(&seed))?;
    let suspend = ["s3api", "put-bucket-versioning", "--bucket", deploy::ATTACHMENTS];
    show.aws.ask(&[&suspend[..], &["--versioning-configuration", "Status=Suspended"]].concat(), show.log)?;
    for apply in [false, true] {
        let repair = json!({"rule": "s3.versioning", "resource": deploy::ATTACHMENTS, "apply": apply});
        let repaired = invoked(show, "backup-audit", &json!({"repair": repair}))?;
        let part = |name: &str| repaired.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
        (show.say)(&format!(
            "{}: before: {}; change: {}; after: {}",
            part("outcome"),
            part("before"),
            part("change"),
            part("after")
        ));
        ensure!(part("outcome") == if apply { "applied" } else { "planned" }, "{repaired}");
    }
    let report = invoked(show, "backup-audit", &json!({}))?;
    let findings = report.get("findings").and_then(Value::as_array).cloned().unwrap_or_default();
    let part = |finding: &Value, name: &str| {
        finding.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut rows =
        vec![["rule", "severity", "verdict", "resource", "is", "should be"].map(str::to_owned).to_vec()];
    rows.extend(findings.iter().take(25).map(|finding| {
        ["rule", "severity", "verdict", "resource", "found", "expected"]
            .map(|name| part(finding, name))
            .to_vec()
    }));
    (show.say)(&table(&rows));
    let counts = report.get("counts").map(Value::to_string).unwrap_or_default();
    (show.say)(&format!("… of {} findings; {counts}", findings.len()));
    let is_found = |rule: &str, resource: &str| {
        findings
            .iter()
            .any(|finding| part(finding, "rule") == rule && part(finding, "resource").starts_with(resource))
    };
    ensure!(is_found("rds.backups-on", deploy::DATABASE), "a database without backups was not found");
    ensure!(!is_found("s3.versioning", deploy::ATTACHMENTS), "what was repaired is still a finding");
    ensure!(is_found("s3.versioning", "moveongs-dev-bench"), "a bucket without versions was not found");
    let paged = report.get("paged").and_then(Value::as_array).is_some_and(|paged| !paged.is_empty());
    ensure!(paged, "a database without backups causes no page");
    for key in report.get("reports").and_then(Value::as_array).into_iter().flatten() {
        (show.say)(&format!("report: s3://{}/{}", show.evidence_bucket, key.as_str().unwrap_or("?")));
    }
    show.aws.admin("DELETE", "seed", None)?;
    let run_id = text(&report, "/run_id").context("the audit has no run id")?;
    let key = evidence_of(show.aws, show.log, &show.evidence_bucket, "backup-audit", run_id)?;
    let key = key.context("the audit left no evidence")?;
    (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));
    Ok(key)
}

fn snapshot_verify(show: &mut Show<'_>) -> Result<String> {
    let function = format!("{PREFIX}-snapshot-verify");
    // An earlier demo on the same cloud has its own snapshots.
    let demo = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let (expired, kept) = (format!("{PREFIX}-demo-{demo}-expired"), format!("{PREFIX}-demo-{demo}-kept"));
    for (name, last_day, days) in [(&expired, "2026-01-31", 90), (&kept, "2099-12-31", 0)] {
        wait_for_instance(show)?;
        let tags = [
            "Key=Project,Value=moveongs",
            "Key=Environment,Value=dev",
            "Key=ManagedBy,Value=snapshot-create",
            &format!("Key=ExpiresOn,Value={last_day}"),
        ];
        let create = ["rds", "create-db-snapshot", "--db-snapshot-identifier", name];
        let of = ["--db-instance-identifier", deploy::DATABASE, "--tags"];
        show.aws.ask(&[&create[..], &of, &tags].concat(), show.log)?;
        wait_for_snapshot(show, name, "us-east-1")?;
        let facts = json!({"snapshot": name, "facts": {"seconds_ago": days * 86_400}});
        show.aws.admin("POST", "rds/snapshot", Some(&facts))?;
    }
    (show.say)(&format!("{expired} has expired, {kept} has not; a sweep, as every morning:"));
    let report = invoked(show, "snapshot-verify", &json!({}))?;
    let list = |name: &str| report.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut rows = vec![["snapshot", "status", "verdict", "findings"].map(str::to_owned).to_vec()];
    rows.extend(list("snapshots").iter().map(verified_row));
    (show.say)(&table(&rows));
    ensure!(list("deleted").contains(&json!(expired)), "the expired one was not deleted: {report}");
    (show.say)(&format!("deleted: {expired}"));
    let copy = format!("{PREFIX}-copy-{kept}");
    // There is one copy per day; it may be an earlier demo's.
    let describe = ["rds", "describe-db-snapshots", "--region", deploy::COPY_REGION];
    let copies = show.aws.ask(&describe, show.log)?;
    if copies.to_string().contains(&copy) {
        wait_for_snapshot(show, &copy, deploy::COPY_REGION)?;
        let report = invoked(show, "snapshot-verify", &json!({"follow": true}))?;
        ensure!(report.get("copied") == Some(&json!([copy])), "the copy was not followed: {report}");
        (show.say)(&format!("copied to {}: {copy}", deploy::COPY_REGION));
    }
    (show.say)("the channel has:");
    for message in messages(show.aws)?.iter().filter(|message| message.to_string().contains(&function)) {
        for line in texts(message).iter().flat_map(|text| text.lines()) {
            (show.say)(&format!("  {line}"));
        }
    }
    let run_id = text(&report, "/run_id").context("the sweep left no record")?;
    let key = evidence_of(show.aws, show.log, &show.evidence_bucket, "snapshot-verify", run_id)?;
    let key = key.context("the sweep left no evidence")?;
    (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));
    Ok(key)
}

/// The procedures whose pages the demo shows as they look in Slack.
const PAGED: [&str; 5] =
    ["rotation-followup", "rotation-audit", "backup-audit", "snapshot-verify", "inventory-audit"];

/// What the message of a critical incident begins with when nobody has taken it, when somebody has, and when it is over.
const WAITS: &str = "🟠";
const TAKEN: &str = "👀";
const OVER: &str = "✅";

fn incident_page(show: &mut Show<'_>) -> Result<String> {
    pages(show)?;
    let demo = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let alarm = format!("{PREFIX}-demo-{demo}-5xx");
    let shown = one_incident(show, &alarm);
    // Also after an error: the next procedure needs Slack.
    show.aws.admin("DELETE", "faults", None)?;
    show.aws.ask(&["cloudwatch", "delete-alarms", "--alarm-names", &alarm], show.log)?;
    shown
}

/// Shows a real alarm's way into Slack, which fails at first, and its end. Returns the key of the incident's item.
fn one_incident(show: &mut Show<'_>, alarm: &str) -> Result<String> {
    let outputs = deploy::outputs(show.aws, show.log)?;
    let topic = outputs.get("PagingTopic").context("the stack has no paging topic")?;
    let description = "Mais de 5 respostas 5xx por minuto. severity=critical runbook=docs/plantao.md#alarmes";
    let put = ["cloudwatch", "put-metric-alarm", "--alarm-name", alarm, "--alarm-description", description];
    let metric = ["--namespace", "AWS/ApplicationELB", "--metric-name", "HTTPCode_Target_5XX_Count"];
    let rule = ["--statistic", "Sum", "--period", "60", "--evaluation-periods", "1", "--threshold", "5"];
    let treat = ["--comparison-operator", "GreaterThanThreshold", "--treat-missing-data", "ignore"];
    let actions = ["--alarm-actions", topic.as_str(), "--ok-actions", topic.as_str()];
    show.aws.ask(&[&put[..], &metric, &rule, &treat, &actions].concat(), show.log)?;

    (show.say)("Slack answers 503 to the next message, and 429 to the one after it:");
    let (slack, action) = ("slack", "chat.postMessage");
    for rule in [
        json!({"service": slack, "action": action, "effect": "error", "status": 503, "code": "service_unavailable"}),
        json!({"service": slack, "action": action, "nth": 2, "effect": "throttle", "seconds": 1}),
    ] {
        show.aws.admin("POST", "faults", Some(&rule))?;
    }
    set_state(
        show,
        alarm,
        "ALARM",
        "Threshold Crossed: 1 datapoint [7.0] was greater than the threshold (5.0).",
    )?;
    let mut swept = Instant::now();
    let posted = run::wait_for("the incident's message", Duration::from_secs(120), || {
        // Where the schedule is off, nothing else comes back to what Slack refused.
        if swept.elapsed() > Duration::from_secs(10) {
            sweep(show)?;
            swept = Instant::now();
        }
        Ok(posts(show.aws, alarm)?.into_iter().next())
    })?;
    let id = text(&posted, "/metadata/event_payload/incident").context("the message names no incident")?;
    let ts = text(&posted, "/ts").context("the message has no ts")?;
    say_message(show, &posted);
    let is_failure = |line: &Value| text(line, "/action") == Some("send_failed");
    let lines = run::wait_for("the timeline", Duration::from_secs(30), || {
        let lines = timeline(show.aws, id)?;
        let is_sent = lines.iter().any(|line| text(line, "/action") == Some("sent"));
        Ok(is_sent.then_some(lines))
    })?;
    ensure!(lines.iter().any(is_failure), "Slack did not fail: {lines:?}");

    acknowledged(show, id)?;
    set_state(
        show,
        alarm,
        "OK",
        "Threshold Crossed: 1 datapoint [0.0] was not greater than the threshold (5.0).",
    )?;
    // In the thread stand that somebody took it, and that it is over.
    let (shown, replies) = run::wait_for("the incident's end in Slack", Duration::from_secs(60), || {
        let shown = posts(show.aws, alarm)?;
        let replies = thread(show.aws, ts)?;
        let is_over = shown.iter().any(|message| message.to_string().contains(OVER));
        Ok((is_over && replies.len() >= 2).then_some((shown, replies)))
    })?;
    let [over] = shown.as_slice() else { bail!("{} messages for one incident", shown.len()) };
    ensure!(text(over, "/ts") == Some(ts), "the message was not changed in place");
    ensure!(replies.len() == 2, "{} replies in the thread", replies.len());
    (show.say)("the same message, when the alarm is OK again, and its thread:");
    say_message(show, over);
    replies.iter().for_each(|reply| say_message(show, reply));
    (show.say)("the incident's timeline:");
    for line in timeline(show.aws, id)? {
        let part = |name| text(&line, name).unwrap_or_default().lines().next().unwrap_or_default().to_owned();
        (show.say)(&format!("  {} {}: {}", part("/at"), part("/action"), part("/text")));
    }
    let versions = every(show.aws)?.into_iter().filter(|message| text(message, "/ts") == Some(ts));
    let versions: Vec<Value> = versions.collect();
    for mark in [WAITS, TAKEN, OVER] {
        let has_mark = versions.iter().any(|version| version.to_string().contains(mark));
        ensure!(has_mark, "no version of the message has {mark}");
    }
    let captions = versions.iter().map(|version| {
        let is_change = version.get("edited") == Some(&Value::Bool(true));
        (if is_change { "changed in place" } else { "posted, after a 503 and a 429" }, version)
    });
    let in_thread = replies.iter().map(|reply| ("in its thread", reply));
    write_page(show, "incident.html", "One incident in Slack", captions.chain(in_thread))?;
    Ok(format!("INCIDENT#{id}"))
}

/// Takes an incident, and waits until its message shows it.
fn acknowledged(show: &mut Show<'_>, id: &str) -> Result<()> {
    let request = json!({"acknowledge": {"incident": id, "by": "cargo xtask demo"}});
    let answer = invoked(show, "incident-desk", &request)?;
    ensure!(text(&answer, "/done/0/outcome") == Some("updated"), "it was not acknowledged: {answer}");
    run::wait_for("the acknowledgement in Slack", Duration::from_secs(30), || {
        let is_shown = posts(show.aws, id)?.iter().any(|message| message.to_string().contains(TAKEN));
        Ok(is_shown.then_some(()))
    })
}

/// Starts a sweep of the sender, as its schedule does, without waiting for its end.
fn sweep(show: &Show<'_>) -> Result<()> {
    let path = format!("/2015-03-31/functions/{PREFIX}-incident-send/invocations");
    let kind = [("x-amz-invocation-type", "Event")];
    let answer =
        show.aws.wire("lambda", "POST", &path, &kind, json!({"sweep": true}).to_string().as_bytes())?;
    ensure!(answer.status == 202, "the sweep was not accepted: {}", answer.text());
    Ok(())
}

fn set_state(show: &mut Show<'_>, alarm: &str, state: &str, reason: &str) -> Result<()> {
    let set = ["cloudwatch", "set-alarm-state", "--alarm-name", alarm, "--state-value", state];
    (show.say)(&format!("$ aws {} --state-reason '{reason}'", set.join(" ")));
    show.aws.ask(&[&set[..], &["--state-reason", reason]].concat(), show.log).map(drop)
}

/// Shows the pages of the procedures before: each has an incident, whose message stands in Slack.
fn pages(show: &mut Show<'_>) -> Result<()> {
    let found = run::wait_for("a page of each procedure in Slack", Duration::from_secs(120), || {
        let found = paged(show)?;
        let has = |name: &str| found.iter().any(|(problem, ..)| problem.starts_with(&format!("{name}/")));
        Ok((PAGED.into_iter().all(has) && is_quiet(show.aws)?).then_some(found))
    })?;
    (show.say)("the pages of the procedures before, as incidents in Slack:");
    for (problem, incident, message) in &found {
        (show.say)(&format!("  {}", text(message, "/text").unwrap_or("?")));
        ensure!(incident.get("understood") == Some(&Value::Bool(true)), "{problem} was not understood");
        ensure!(text(incident, "/owner").is_some_and(|owner| !owner.is_empty()), "{problem} has no owner");
        let reason = text(incident, "/reason").and_then(|reason| reason.lines().next()).unwrap_or_default();
        // A long one is cut.
        let start = escaped(&reason.chars().take(40).collect::<String>());
        let is_shown = texts(message).iter().any(|text| text.contains(&start));
        ensure!(!reason.is_empty() && is_shown, "{problem} does not say why: {message}");
    }
    let all = found.iter().map(|(problem, _, message)| (problem.as_str(), message));
    write_page(show, "pages.html", "The procedures' pages in Slack", all)
}

/// Slack's escapes, in a text of ours.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The incidents of pages, with their problems and their messages in Slack.
fn paged(show: &Show<'_>) -> Result<Vec<(String, Value, Value)>> {
    let values = r#"{":state": {"S": "STATE"}}"#;
    let table = table_name();
    let scan = ["dynamodb", "scan", "--table-name", &table, "--filter-expression", "sk = :state"];
    let scan = [&scan[..], &["--expression-attribute-values", values]].concat();
    let items = show.aws.ask(&scan, show.log)?;
    let messages = messages(show.aws)?;
    let of = |item: &Value| {
        let incident = body(item)?;
        let id = text(&incident, "/id")?;
        let own = messages.iter().find(|message| is_post(message) && message.to_string().contains(id))?;
        let problem = text(&incident, "/problem")?.to_owned();
        let is_page = PAGED.into_iter().any(|name| problem.starts_with(&format!("{name}/")));
        is_page.then(|| (problem, incident, own.clone()))
    };
    let items = items.get("Items").and_then(Value::as_array).into_iter().flatten();
    let mut found: Vec<_> = items.filter_map(of).collect();
    found.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    Ok(found)
}

/// The contents of an item of the table.
fn body(item: &Value) -> Option<Value> {
    serde_json::from_str(text(item, "/body/S")?).ok()
}

fn table_name() -> String {
    format!("{PREFIX}-incidents")
}

/// Items of the table, or keys of an index.
fn query(aws: &Aws, query: &Value) -> Result<Vec<Value>> {
    let found = aws.json("dynamodb", "DynamoDB_20120810.Query", query)?;
    Ok(found.get("Items").and_then(Value::as_array).cloned().unwrap_or_default())
}

/// Whether no message for Slack waits.
fn is_quiet(aws: &Aws) -> Result<bool> {
    let due = json!({"TableName": table_name(), "IndexName": "due", "KeyConditionExpression": "#queue = :due",
        "ExpressionAttributeNames": {"#queue": "queue"}, "ExpressionAttributeValues": {":due": {"S": "due"}}});
    let waits = |row: &Value| text(row, "/sk/S").is_some_and(|row| row.starts_with("SEND#slack#"));
    Ok(!query(aws, &due)?.iter().any(waits))
}

/// An incident's timeline, oldest first.
fn timeline(aws: &Aws, id: &str) -> Result<Vec<Value>> {
    let lines = json!({"TableName": table_name(), "ConsistentRead": true,
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :line)",
        "ExpressionAttributeValues": {":pk": {"S": format!("INCIDENT#{id}")}, ":line": {"S": "LINE#"}}});
    Ok(query(aws, &lines)?.iter().filter_map(body).collect())
}

/// Whether a message is a bot's own one: no reply, and not posted by a webhook.
fn is_post(message: &Value) -> bool {
    text(message, "/thread_ts").is_none() && message.get("webhook") != Some(&Value::Bool(true))
}

/// The messages with these words, without replies.
fn posts(aws: &Aws, words: &str) -> Result<Vec<Value>> {
    let mut all = messages(aws)?;
    all.retain(|message| is_post(message) && message.to_string().contains(words));
    Ok(all)
}

/// The replies to a message.
fn thread(aws: &Aws, ts: &str) -> Result<Vec<Value>> {
    let mut all = messages(aws)?;
    all.retain(|message| text(message, "/thread_ts") == Some(ts));
    Ok(all)
}

/// Every message and every change of one so far.
fn every(aws: &Aws) -> Result<Vec<Value>> {
    let answer = aws.admin("GET", "slack/messages?all=1", None)?;
    Ok(answer.get("messages").and_then(Value::as_array).cloned().unwrap_or_default())
}

fn say_message(show: &mut Show<'_>, message: &Value) {
    for line in texts(message).iter().flat_map(|text| text.lines()) {
        (show.say)(&format!("  {line}"));
    }
}

/// Writes messages as they look in Slack.
fn write_page<'a>(
    show: &mut Show<'_>,
    name: &str,
    title: &str,
    messages: impl Iterator<Item = (&'a str, &'a Value)>,
) -> Result<()> {
    let folder = show.repo.at("target/demo");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), preview::several(title, messages))?;
    (show.say)(&format!("target/demo/{name} shows them as Slack does"));
    Ok(())
}

fn incident_send(show: &mut Show<'_>) -> Result<String> {
    let aws = show.aws;
    let cli = |arguments: &[&str]| aws.cli(arguments);
    let account = drill::Account { cli: &cli, local: Some(aws.cloud.endpoint.clone()), credentials: None };
    let options = drill::Options { project: "moveongs".to_owned(), environment: "dev".to_owned(), wait: 60 };
    (show.say)("$ cargo xtask drill --environment dev");
    let came_back = drill::perform(&account, &options, &mut *show.say)?;
    ensure!(came_back, "an event did not come back, or something is left of the drill");
    // The timelines of its incidents are all that it leaves.
    Ok(String::new())
}

/// One snapshot in the verification's answer, as a line of output.
fn verified_row(snapshot: &Value) -> Vec<String> {
    let part = |name: &str| snapshot.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let findings = snapshot.get("findings").and_then(Value::as_array).cloned().unwrap_or_default();
    let findings: Vec<_> = findings.iter().filter_map(Value::as_str).collect();
    vec![part("name"), part("status"), part("verdict"), findings.join(", ")]
}

fn wait_for_snapshot(show: &Show<'_>, name: &str, region: &str) -> Result<()> {
    let describe = ["rds", "describe-db-snapshots", "--db-snapshot-identifier", name, "--region", region];
    run::wait_for("the snapshot", Duration::from_secs(60), || {
        let found = show.aws.ask(&describe, show.log)?;
        Ok((text(&found, "/DBSnapshots/0/Status") == Some("available")).then_some(()))
    })
}

/// A function's calls after the given one, with their outcomes, and the number of the newest call.
fn calls(show: &Show<'_>, function: &str, after: u64) -> Result<(Vec<String>, u64)> {
    let log = show.aws.admin("GET", &format!("calls?after={after}&caller=lambda:{function}"), None)?;
    let calls = log.get("calls").and_then(Value::as_array).cloned().unwrap_or_default();
    let part = |call: &Value, name: &str| text(call, name).unwrap_or("?").to_owned();
    let name = |call: &Value| {
        format!("{}:{} {}", part(call, "/service"), part(call, "/action"), part(call, "/outcome"))
    };
    let last = log.get("last").and_then(Value::as_u64).context("the log of calls has no number")?;
    Ok((calls.iter().map(name).collect(), last))
}

/// Waits for the database to be available: RDS refuses a snapshot while it makes another.
fn wait_for_instance(show: &Show<'_>) -> Result<()> {
    let describe = ["rds", "describe-db-instances", "--db-instance-identifier", deploy::DATABASE];
    run::wait_for("the instance", Duration::from_secs(30), || {
        let found = show.aws.ask(&describe, show.log)?;
        Ok((text(&found, "/DBInstances/0/DBInstanceStatus") == Some("available")).then_some(()))
    })
}

/// Requests a deploy's snapshot as a pipeline does, and returns the ended execution.
fn snapshot(show: &mut Show<'_>, deploy: &str, expected: &str) -> Result<Value> {
    let outputs = deploy::outputs(show.aws, show.log)?;
    let machine = outputs.get("SnapshotCreateStateMachine").context("the stack has no state machine")?;
    let input =
        json!({"deploy": deploy, "reason": "Migração 0042 reescreve enrollments", "by": "cargo xtask demo"});
    let input = input.to_string();
    let start = ["stepfunctions", "start-execution", "--state-machine-arn", machine, "--input", &input];
    (show.say)(&format!(
        "$ aws stepfunctions start-execution --state-machine-arn {machine} --input '{input}'"
    ));
    let started = show.aws.ask(&start, show.log)?;
    let execution = text(&started, "/executionArn").context("the execution has no ARN")?;
    let describe = ["stepfunctions", "describe-execution", "--execution-arn", execution];
    let ended = run::wait_for("the snapshot", Duration::from_secs(60), || {
        let described = show.aws.ask(&describe, show.log)?;
        Ok((text(&described, "/status") != Some("RUNNING")).then_some(described))
    })?;
    let status = text(&ended, "/status").unwrap_or("?");
    ensure!(status == expected, "the execution is {status}: {ended}");
    Ok(ended)
}

/// One secret in the audit's answer, as a line of output.
fn audited_row(secret: &Value) -> Vec<String> {
    let number = |name: &str| {
        secret.get(name).and_then(Value::as_u64).map_or_else(|| "?".to_owned(), |number| number.to_string())
    };
    let findings = secret.get("findings").and_then(Value::as_array).cloned().unwrap_or_default();
    let findings: Vec<_> = findings.iter().filter_map(Value::as_str).collect();
    vec![
        text(secret, "/name").unwrap_or("?").to_owned(),
        number("age_days"),
        number("max_age_days"),
        findings.join(", "),
    ]
}

/// The user in `DATABASE_URL`.
fn current_user(aws: &Aws) -> Result<String> {
    let url = current(aws, DATABASE_SECRET)?;
    let user =
        url.split_once("://").and_then(|(_, rest)| rest.split_once(':')).map(|(user, _)| user.to_owned());
    user.context("DATABASE_URL names no user")
}

/// The stand-in for the application, which logs in until it is stopped.
struct Application {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Application {
    /// Returns after its first login.
    fn start(repo: &Repo, aws: &Aws, log: &Log) -> Result<Self> {
        let mut command = deploy::application(repo, aws, "serve")?;
        let errors = fs::File::options().append(true).open(&log.path)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut process = command.spawn().context("the application cannot be started")?;
        let input = process.stdin.take();
        let output = process.stdout.take().context("the application has no output")?;
        let mut application = Self { process, input, output: BufReader::new(output) };
        let wanted = json!({"endpoint": aws.cloud.endpoint, "secret": DATABASE_SECRET});
        if let Some(input) = &mut application.input {
            writeln!(input, "{wanted}")?;
        }
        ensure!(application.counts()? == (ANNOUNCED_LOGINS, 0), "the application cannot log in");
        Ok(application)
    }

    /// Counts of all logins and of failed ones.
    fn end(&mut self) -> Result<(u64, u64)> {
        // It stops at the end of its input.
        self.input = None;
        self.counts()
    }

    fn counts(&mut self) -> Result<(u64, u64)> {
        let mut said = String::new();
        self.output.read_line(&mut said)?;
        let counts: Value =
            serde_json::from_str(&said).context("the application ended without its counts")?;
        let count = |name: &str| counts.get(name).and_then(Value::as_u64);
        count("logins").zip(count("failures")).context("the application's counts are not numbers")
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The demo of a function that rotates one secret.
struct Rotation {
    function: &'static str,
    secret: &'static str,
}

impl Rotation {
    /// Does `work` once no rotation of the secret runs; prints diagnostics if it fails.
    fn explained(
        &self,
        show: &mut Show<'_>,
        work: impl FnOnce(&mut Show<'_>) -> Result<String>,
    ) -> Result<String> {
        let done = self.wait_until_settled(show).and_then(|()| work(show));
        if let Err(error) = &done
            && !error.is::<Interrupted>()
        {
            self.explain(show);
        }
        done
    }

    /// When a deployment sets a schedule, Secrets Manager tests the configuration. Wait for that test before the rotation.
    fn wait_until_settled(&self, show: &Show<'_>) -> Result<()> {
        run::wait_for("the test that the deployment started", Duration::from_secs(60), || {
            let secret = show.aws.secrets("DescribeSecret", &json!({"SecretId": self.secret}))?;
            let versions = versions(&secret);
            Ok(holder(&versions, "AWSPENDING").is_none().then_some(()))
        })
    }

    /// Rotates as a person would, shows the change and returns the key of the evidence.
    fn perform(&self, show: &mut Show<'_>) -> Result<String> {
        let describe = ["secretsmanager", "describe-secret", "--secret-id", self.secret];
        let before = show.aws.ask(&describe, show.log)?;
        let messages_before = messages(show.aws)?.len();
        (show.say)("versions before:");
        list(show.say, &versions(&before));

        let mut rotate = vec!["secretsmanager", "rotate-secret", "--secret-id", self.secret];
        let configuration = show.aws.function(&format!("{PREFIX}-{}", self.function))?;
        let arn = text(&configuration, "/FunctionArn").context("the function has no ARN")?;
        if text(&before, "/RotationLambdaARN").is_none() {
            rotate.extend(["--rotation-lambda-arn", arn, "--rotation-rules", "AutomaticallyAfterDays=90"]);
        }
        (show.say)(&format!("$ aws {}", rotate.join(" ")));
        let answer = show.aws.ask(&rotate, show.log)?;
        let token =
            text(&answer, "/VersionId").context("RotateSecret answered without a VersionId")?.to_owned();

        run::wait_for("the rotation to end", Duration::from_secs(90), || {
            let secret = show.aws.secrets("DescribeSecret", &json!({"SecretId": self.secret}))?;
            let now = versions(&secret);
            let promoted = holder(&now, "AWSCURRENT") == Some(token.as_str());
            Ok((promoted && holder(&now, "AWSPENDING").is_none()).then_some(()))
        })?;
        let after = show.aws.ask(&describe, show.log)?;
        (show.say)("versions after:");
        list(show.say, &versions(&after));

        let message = run::wait_for("the channel message", Duration::from_secs(30), || {
            Ok(messages(show.aws)?
                .into_iter()
                .skip(messages_before)
                .find(|message| message.to_string().contains(self.secret)))
        })?;
        let channel = text(&message, "/channel").unwrap_or("?").to_owned();
        (show.say)(&format!("message in {channel}:"));
        for line in texts(&message).iter().flat_map(|text| text.lines()) {
            (show.say)(&format!("  {line}"));
        }

        let key = run::wait_for("the evidence", Duration::from_secs(30), || {
            evidence_of(show.aws, show.log, &show.evidence_bucket, self.function, &token)
        })?;
        (show.say)(&format!("evidence: s3://{}/{key}", show.evidence_bucket));
        Ok(key)
    }

    /// Prints diagnostics of a failed rotation.
    fn explain(&self, show: &mut Show<'_>) {
        match show.aws.admin("GET", &format!("rotations?secret={}", self.secret), None) {
            Ok(state) => (show.say)(&format!("the rotation: {state:#}")),
            Err(error) => (show.say)(&format!("the rotation's state is not known: {error:#}")),
        }
        let function = format!("{PREFIX}-{}", self.function);
        match function::events(show.aws, &function) {
            Ok(events) => {
                (show.say)(&format!("the end of the log of {function}:"));
                for event in events.iter().skip(events.len().saturating_sub(30)) {
                    (show.say)(&format!("  {}", event.message));
                }
            }
            Err(error) => (show.say)(&format!("the log of {function} cannot be read: {error:#}")),
        }
    }
}

/// The key of a run's record.
fn evidence_of(aws: &Aws, log: &Log, bucket: &str, procedure: &str, run_id: &str) -> Result<Option<String>> {
    let prefix = format!("evidence/{procedure}/");
    let listing = aws.ask(&["s3api", "list-objects-v2", "--bucket", bucket, "--prefix", &prefix], log)?;
    for object in listing.get("Contents").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
        let Some(key) = text(object, "/Key") else { continue };
        let record = aws.wire("s3", "GET", &format!("/{bucket}/{key}"), &[], &[])?;
        let record: Value = serde_json::from_slice(&record.body)
            .with_context(|| format!("the evidence {key} is not JSON"))?;
        if text(&record, "/run_id") == Some(run_id) {
            return Ok(Some(key.to_owned()));
        }
    }
    Ok(None)
}

fn messages(aws: &Aws) -> Result<Vec<Value>> {
    let answer = aws.admin("GET", "slack/messages", None)?;
    Ok(answer.get("messages").and_then(Value::as_array).cloned().unwrap_or_default())
}

/// A message's visible text: that of its blocks.
fn texts(message: &Value) -> Vec<String> {
    let blocks = message.get("blocks").and_then(Value::as_array).cloned().unwrap_or_default();
    let elements =
        |block: &Value| block.get("elements").and_then(Value::as_array).cloned().unwrap_or_default();
    let places = blocks.iter().flat_map(|block| [vec![block.clone()], elements(block)].concat());
    places
        .filter_map(|place| text(&place, "/text/text").or(text(&place, "/text")).map(str::to_owned))
        .collect()
}

/// Version ids and their stages.
fn versions(secret: &Value) -> BTreeMap<String, Vec<String>> {
    let map = secret.get("VersionIdsToStages").and_then(Value::as_object);
    let stages = |value: &Value| {
        let stages = value.as_array().map(Vec::as_slice).unwrap_or_default();
        stages.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    map.into_iter().flatten().map(|(id, value)| (id.clone(), stages(value))).collect()
}

fn holder<'a>(versions: &'a BTreeMap<String, Vec<String>>, stage: &str) -> Option<&'a str> {
    versions.iter().find(|(_, stages)| stages.iter().any(|held| held == stage)).map(|(id, _)| id.as_str())
}

fn list(say: &mut dyn FnMut(&str), versions: &BTreeMap<String, Vec<String>>) {
    for (id, stages) in versions {
        say(&format!(
            "  {id}  {}",
            if stages.is_empty() { "no stage".to_owned() } else { stages.join(", ") }
        ));
    }
}

/// A secret's current value.
fn current(aws: &Aws, secret: &str) -> Result<String> {
    let answer = aws.secrets("GetSecretValue", &json!({"SecretId": secret, "VersionStage": "AWSCURRENT"}))?;
    Ok(text(&answer, "/SecretString").context("the secret has no string value")?.to_owned())
}

/// The facts about a secret's value that may be printed.
struct Fingerprint {
    sha256: String,
    characters: usize,
    decoded_bytes: Option<usize>,
}

impl Fingerprint {
    fn current(aws: &Aws, secret: &str) -> Result<Self> {
        Ok(Self::of(&current(aws, secret)?))
    }

    fn of(value: &str) -> Self {
        Self {
            sha256: digest(&[value.as_bytes()]),
            characters: value.chars().count(),
            decoded_bytes: STANDARD.decode(value).ok().map(|bytes| bytes.len()),
        }
    }

    fn check_jwt_secret(&self, old: &Self) -> Result<()> {
        if self.sha256 == old.sha256 {
            bail!("the value is the old one");
        }
        // The application refuses to start with a shorter value.
        ensure!(self.characters >= 32, "the value has {} characters", self.characters);
        ensure!(self.decoded_bytes == Some(48), "the value is not base64 of 48 bytes");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_secret_is_new_and_48_bytes_in_base64() {
        let value = |byte: u8, length: usize| Fingerprint::of(&STANDARD.encode(vec![byte; length]));
        assert!(value(1, 48).check_jwt_secret(&value(2, 48)).is_ok());
        assert!(value(1, 48).check_jwt_secret(&value(1, 48)).is_err());
        assert!(value(1, 47).check_jwt_secret(&value(2, 48)).is_err());
        assert!(Fingerprint::of(&"_".repeat(64)).check_jwt_secret(&value(2, 48)).is_err());
    }

    #[test]
    fn the_holder_of_a_stage_is_found() {
        let secret = json!({"VersionIdsToStages": {"a": ["AWSPREVIOUS"], "b": ["AWSCURRENT", "x"], "c": []}});
        let versions = versions(&secret);
        assert_eq!(holder(&versions, "AWSCURRENT"), Some("b"));
        assert_eq!(holder(&versions, "AWSPENDING"), None);
    }

    #[test]
    fn the_table_has_a_line_for_every_outcome() {
        let outcomes =
            [Outcome { procedure: "p", outcome: "passed".into(), seconds: 1.26, evidence_key: None }];
        assert_eq!(rows(&outcomes)[1], ["p", "passed", "1.3", "none"]);
    }
}
