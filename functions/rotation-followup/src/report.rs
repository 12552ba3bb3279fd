//! Pages, messages, evidence, and the ledger's and changelog's files.

use shared::aws::secrets;
use shared::github::proposal::{self, propose};
use shared::run::evidence::{Draft, Step as Recorded};
use shared::run::paging::Page;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;
use shared::runtime::time;
use shared::workflow;

use crate::event::Source;
use crate::rules::batch::Batch;
use crate::rules::failure::Failed;
use crate::rules::journal::{self, Journal};
use crate::rules::proof::Outcome;
use crate::rules::row::Row;
use crate::text::{broken, ledger};
use crate::{App, Changelog, NOTING};

/// Prefix of the name of the branch that proposes the changelog; only this function uses it.
const BRANCH: &str = "governance/security-changelog";

/// Folder of the notes about published pages of the journal, one for each dedup key.
const PAGED: &str = "paged";

/// The evidence of a batch.
pub(crate) fn draft(app: &App, execution: &str, batch: &Batch, rows: &[Row], is_good: bool) -> Draft {
    let deployments =
        batch.deployments.iter().map(|(service, id)| Recorded::now(format!("deploy {service}"), id.clone()));
    let proofs = batch.proofs.iter().map(|proof| {
        Recorded::now(format!("prove {}", proof.name), ledger::verdict(proof, Language::English))
    });
    let mut steps: Vec<_> = deployments.chain(proofs).collect();
    steps.extend(
        batch
            .moved
            .iter()
            .map(|secret| Recorded::now(format!("move AWSCURRENT back: {secret}"), "succeeded")),
    );
    steps.extend(
        batch
            .stayed
            .iter()
            .map(|(name, why)| Recorded::now(format!("move AWSCURRENT back: {name}"), format!("no: {why}"))),
    );
    if let Some(count) = batch.sessions_ended {
        steps.push(Recorded::now("revoke refresh tokens", count.to_string()));
    }
    let mut findings: Vec<_> =
        batch.failures.iter().map(|failed| format!("{}: {}", failed.kind, failed.detail)).collect();
    let unproved = batch.proofs.iter().filter(|proof| proof.outcome == Outcome::Unproved);
    findings.extend(unproved.map(|proof| format!("{}: {}: {}", proof.kind, proof.name, proof.detail)));
    findings.extend(rows.iter().filter_map(|row| {
        let leak = row.leak.as_ref()?;
        Some(format!("the leaked value of {}: {}", row.secret, ledger::leak(leak)))
    }));
    let subject: Vec<_> = rows.iter().map(|row| format!("{} {}", row.secret, row.version)).collect();
    Draft {
        started: batch.taken.into(),
        subject: subject.join(", "),
        steps,
        findings,
        result: if is_good { "succeeded" } else { "failed" },
        ..base_draft(app, execution)
    }
}

/// Publishes the journal's waiting pages; `false` if one is left for the next attempt or the sweep.
pub(crate) async fn publish_pages(app: &App, invocation: &Invocation) -> bool {
    let journal = app.documents().get::<Journal>(journal::NAME).await;
    let waiting = match journal {
        Ok(journal) => journal.unwrap_or_default().unpaged,
        Err(error) => {
            app.base.reporter.lost("PageFailures", "PageFailed", &chain(&error), "pages of the journal");
            return false;
        }
    };
    let mut is_done = true;
    for each in waiting {
        if !page(app, PAGED, &each, invocation).await {
            is_done = false;
        } else if app.update(|journal| journal.unpaged.retain(|other| *other != each)).await.is_err() {
            // The next attempt publishes it again, with the same dedup key.
            is_done = false;
        }
    }
    is_done
}

/// Publishes a page; returns `false` if that failed. The page is then in the log.
pub(crate) async fn page(app: &App, day: &str, page: &Page, invocation: &Invocation) -> bool {
    app.base.pager.page(&app.base.reporter, day, page, NOTING, invocation).await.is_ok()
}

/// Pages, reports and records an execution that broke before it had a batch; `false` if publishing the page failed.
pub(crate) async fn report_broken(
    app: &App,
    execution: &str,
    failed: &Failed,
    source: Option<&Source>,
    invocation: &Invocation,
) -> bool {
    let draft = Draft {
        subject: format!("execution {execution}"),
        findings: vec![format!("{}: {}", failed.kind, failed.detail)],
        ..base_draft(app, execution)
    };
    let report = workflow::Failed {
        page: &broken::broken_page(&app.base.settings, execution, failed, source),
        once: execution,
        message: &broken::broken(&app.base.settings, execution, failed, source),
        draft,
    };
    report.report(&app.base, invocation).await.is_ok()
}

/// Writes the ledger and the changelog, and proposes the changelog. The next follow-up repeats a failed part.
pub(crate) async fn write_ledger(app: &App, invocation: &Invocation) {
    let language = app.base.settings.language;
    let lost = |reason: &str, what: &str| {
        app.base.reporter.lost("LedgerFailures", "LedgerFailed", reason, what);
    };
    for file in &ledger::FILES {
        let shown = app
            .documents()
            .show(journal::NAME, file.key, file.content_type, |journal| (file.make)(journal, language));
        let shown = invocation.before_deadline(NOTING, shown).await;
        let shown = shown.map_err(|late| chain(&late)).and_then(|shown| shown.map_err(|error| chain(&error)));
        if let Err(reason) = shown {
            lost(&reason, file.key);
        }
    }
    if let Some(changelog) = &app.changelog {
        let proposed =
            invocation.before_deadline(NOTING, propose_changelog(app, changelog, invocation)).await;
        if let Err(reason) = proposed.map_err(|late| chain(&late)).and_then(|proposed| proposed) {
            lost(&reason, &changelog.path);
        }
    }
}

/// The fields common to all records of this function.
fn base_draft(app: &App, run_id: &str) -> Draft {
    let trigger = "secretsmanager:Secret Label Updated".to_owned();
    Draft { trigger, ..Draft::of(&app.base.settings, run_id, "failed", time::now()) }
}

/// Makes sure that a pull request proposes the changelog to the team's repository.
async fn propose_changelog(app: &App, changelog: &Changelog, invocation: &Invocation) -> Result<(), String> {
    let token = secrets::value(&app.secrets, &changelog.token, None).await.map_err(|error| chain(&error))?;
    let journal = app.documents().get::<Journal>(journal::NAME).await.map_err(|error| chain(&error))?;
    let language = app.base.settings.language;
    let content = ledger::changelog(&journal.unwrap_or_default().rows, language);
    // One branch per environment, since stacks may share a repository.
    let branch = format!("{BRANCH}-{}", app.base.settings.environment);
    let title = format!(
        "{} ({})",
        language.pick("Changelog de segurança", "Security changelog"),
        app.base.settings.environment
    );
    let body = language.pick(
        "Rotações de segredos, escritas por `rotation-followup`. A fonte é `ledger/security-changelog.md` no bucket de evidências.",
        "Rotations of secrets, recorded by `rotation-followup`. The source is `ledger/security-changelog.md` in the evidence bucket.",
    );
    let change = proposal::Change {
        base: None,
        branch: &branch,
        path: &changelog.path,
        content: &content,
        message: &title,
        title: &title,
        body,
    };
    let session = changelog.repository.session(&token, invocation).map_err(|error| chain(&error))?;
    let proposed = propose(&session, &change).await.map_err(|error| chain(&error))?;
    tracing::info!(
        message = "changelog proposed",
        pull_request = proposed.number,
        changed = proposed.changed
    );
    Ok(())
}
