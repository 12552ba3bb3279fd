//! Pages, messages and evidence of a restore.

use std::collections::BTreeMap;

use proof::Line;
use shared::ecs;
use shared::run::evidence::{Draft, Step as Recorded};
use shared::run::notify::Message;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;
use shared::runtime::time;
use shared::workflow::{Broken, Failed};

use crate::error::FailureKind;
use crate::rules::proved::{self, Proved};
use crate::rules::restore::{Changed, Ending, Given, Phase, Restore};
use crate::steps::switch;
use crate::text::{self, ask, button, close, failure};
use crate::{App, NOTING, RestoreError};

/// How often the state Hold comes back in a day, to check the guard. The person is asked once a day.
const HOLDS_A_DAY: u16 = 96;

/// The record of a part of a restore.
fn draft(app: &App, restore: &Restore, run_id: &str, result: &'static str) -> Draft {
    Draft {
        trigger: format!("person:{}", restore.by),
        subject: restore.lost.instance.clone(),
        ..Draft::of(&app.base.settings, run_id, result, restore.began)
    }
}

/// Pages, reports and records the beginning; once.
pub(crate) async fn began(app: &App, restore: &Restore, invocation: &Invocation) {
    let settings = &app.base.settings;
    let message = ask::began(settings, restore);
    let steps = vec![
        Recorded::now("lost instance", restore.lost.instance.clone()),
        Recorded::now("new instance", restore.target.instance.clone()),
        Recorded::now("settings from", restore.settings_from.clone()),
        Recorded::now("rehearsal", restore.rehearsal.to_string()),
    ];
    let kind: String = FailureKind::EmergencyRestore.into();
    let report = Failed {
        page: &text::page(settings, restore, &kind, message.text()),
        once: &restore.run,
        message: &message,
        draft: Draft { steps, ..draft(app, restore, &format!("{}/began", restore.run), "succeeded") },
    };
    // The log has a lost page, and its alarm rings: a pager that is down must not hold up the restore.
    drop(report.report(&app.base, invocation).await);
}

/// Reports and records that another execution goes on.
pub(crate) async fn resumed(app: &App, restore: &Restore, by: &str, invocation: &Invocation) {
    let run_id = format!("{}/resumed/{}", restore.run, restore.resumed.len());
    let message = ask::resumed(&app.base.settings, restore, by, &run_id);
    let steps = vec![Recorded::now("resumed by", by)];
    let draft = Draft { steps, ..draft(app, restore, &run_id, "succeeded") };
    app.base.reporter.report_once(draft, Some(&message), invocation).await;
}

/// Asks the person whom the restore waits for. From the second time on, also pages.
pub(crate) async fn ask(app: &App, restore: &Restore, invocation: &Invocation) -> Result<(), RestoreError> {
    let settings = &app.base.settings;
    let times = restore.wait.times;
    let run_id = format!(
        "{}/{}/{}.{}.{times}",
        restore.run,
        word(restore.phase),
        restore.orders.len(),
        restore.failures
    );
    let message = match (&restore.failure, restore.phase) {
        // The step that noted the failure has told it, unless another execution asks.
        (Some(failure), _) if times <= 1 && restore.resumed.last().is_none_or(|(_, at)| *at < failure.at) => {
            return Ok(());
        }
        (Some(failure), _) => {
            let broken = Broken { kind: failure.kind.clone(), detail: failure.detail.clone() };
            failure::failed(settings, restore, &broken, &run_id)
        }
        (None, Phase::Choose) => ask::choice(settings, restore, invocation.now, &run_id),
        (None, Phase::Approve) => ask::approval(settings, restore, needs_two(app), invocation.now, &run_id),
        (None, _) if times % HOLDS_A_DAY != 1 => return Ok(()),
        (None, _) => ask::hold(settings, restore, invocation.now, &run_id),
    };
    let buttons =
        if app.has_desk { button::buttons(settings.language, restore, needs_two(app)) } else { Vec::new() };
    let message = message.with_buttons(buttons);
    let is_hold = restore.failure.is_none() && restore.phase == Phase::Hold;
    let asked = Recorded::now(format!("ask: {}", word(restore.phase)), format!("{times}"));
    let draft = Draft { steps: vec![asked], ..draft(app, restore, &run_id, "succeeded") };
    app.base.reporter.report_once(draft, Some(&message), invocation).await;
    if times > 1 && !is_hold {
        let kind: String = FailureKind::NobodyAnswered.into();
        let page = text::page(settings, restore, &kind, message.text());
        let paged = app.base.pager.page(&app.base.reporter, &run_id, &page, NOTING, invocation).await;
        // The next time that nobody answers, it is tried again.
        drop(paged);
    }
    Ok(())
}

/// Whether another person has to approve than the one who started it.
pub(crate) fn needs_two(app: &App) -> bool {
    app.policy().two_persons.contains(&app.base.settings.environment)
}

/// A phase's word.
pub(crate) fn word(phase: Phase) -> String {
    serde_json::to_value(phase).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Records a proof with all its lines; the question for the approval shows it.
pub(crate) async fn proved(
    app: &App,
    restore: &Restore,
    lines: &[Line],
    proof: &Proved,
    invocation: &Invocation,
) {
    let run_id = format!("{}/proof/{}", restore.run, restore.target.instance);
    let steps = lines.iter().map(|line| {
        Recorded::now(
            format!("prove {}", proof::text::sentence(line, Language::English)),
            proved::word(line.verdict),
        )
    });
    let is_good = proved::is_good(proof.verdict);
    let findings = lines.iter().filter(|line| !proved::is_good(line.verdict)).map(|line| {
        format!("{}: {}", proved::word(line.verdict), proof::text::sentence(line, Language::English))
    });
    let unread = proof.unread.iter().map(|reason| format!("not read again: {reason}"));
    let source = proof.source_unread.iter().map(|reason| format!("the source was not read: {reason}"));
    let draft = Draft {
        subject: restore.target.instance.clone(),
        steps: steps.collect(),
        findings: findings.chain(unread).chain(source).collect(),
        ..draft(app, restore, &run_id, if is_good { "succeeded" } else { "failed" })
    };
    app.base.reporter.report_once(draft, None, invocation).await;
}

/// Records an order.
pub(crate) async fn ordered(app: &App, restore: &Restore, given: &Given, invocation: &Invocation) {
    let run_id = format!("{}/order/{}", restore.run, restore.orders.len());
    let steps = vec![order_step(given)];
    let draft = Draft {
        trigger: format!("person:{}", given.order.by),
        steps,
        ..draft(app, restore, &run_id, "succeeded")
    };
    app.base.reporter.report_once(draft, None, invocation).await;
}

fn order_step(given: &Given) -> Recorded {
    let order = serde_json::to_string(&given.order).unwrap_or_default();
    Recorded { name: format!("order {order}"), at: given.at.into(), outcome: "accepted".to_owned() }
}

/// Pages, reports and records a failed step.
pub(crate) async fn failed(app: &App, restore: &Restore, broken: &Broken, invocation: &Invocation) {
    let settings = &app.base.settings;
    let run_id = format!("{}/{}/failed/{}", restore.run, word(restore.phase), restore.failures);
    let text = failure::lines(settings, restore, broken).join("\n");
    let report = Failed {
        page: &text::page(settings, restore, &broken.kind, text),
        once: &run_id,
        message: &failure::failed(settings, restore, broken, &run_id),
        draft: Draft {
            findings: vec![format!("{}: {}", broken.kind, broken.detail)],
            ..draft(app, restore, &run_id, "failed")
        },
    };
    // As in `began`; the person is asked all the same.
    drop(report.report(&app.base, invocation).await);
}

/// Pages, reports and records a restore that never began.
pub(crate) async fn refused(
    app: &App,
    execution: &str,
    broken: &Broken,
    invocation: &Invocation,
) -> Result<(), RestoreError> {
    let settings = &app.base.settings;
    let message = failure::refused(settings, execution, broken);
    let none = Restore { run: execution.to_owned(), ..Restore::default() };
    let mut page = text::page(settings, &none, &broken.kind, message.text());
    page.secret.clone_from(&app.instance);
    let report = Failed {
        page: &page,
        once: execution,
        message: &message,
        draft: Draft {
            subject: format!("execution {execution}"),
            findings: vec![format!("{}: {}", broken.kind, broken.detail)],
            ..Draft::of(settings, execution, "failed", invocation.now)
        },
    };
    Ok(report.report(&app.base, invocation).await?)
}

/// The task definitions that the guarded services have now. The end must not depend on ECS.
async fn present(app: &App, restore: &Restore) -> BTreeMap<String, String> {
    let names: Vec<_> = restore.unguarded.keys().cloned().collect();
    if names.is_empty() {
        return BTreeMap::new();
    }
    match ecs::describe_services(&app.ecs, &app.cluster, &names).await {
        Ok(services) => services
            .into_iter()
            .filter_map(|service| Some((service.name, service.next.into_iter().next()?)))
            .collect(),
        Err(call) => {
            tracing::warn!(message = format!("the services were not read: {}", chain(&call)));
            BTreeMap::new()
        }
    }
}

/// The secrets in which others put another version in force. The end must not depend on Secrets Manager.
async fn changed(app: &App, restore: &Restore, ending: Ending) -> Vec<Changed> {
    if ending == Ending::Rejected {
        return Vec::new();
    }
    switch::changed(app, restore).await.unwrap_or_else(|error| {
        tracing::warn!(message = format!("the secrets were not read: {}", chain(&error)));
        restore.told()
    })
}

/// Reports and records the end; once.
pub(crate) async fn closed(app: &App, restore: &Restore, ending: Ending, invocation: &Invocation) {
    let stack = close::Stack {
        cluster: &app.cluster,
        has_admin: app.other_secrets.iter().any(|arn| arn.contains(":secret:rds!")),
        present: present(app, restore).await,
        changed: changed(app, restore, ending).await,
        patterns: app.other_secrets.iter().map(String::as_str).filter(|it| it.contains(['*', '?'])).collect(),
    };
    let message = close::closed(&app.base.settings, restore, ending, &stack, invocation.now);
    let phases = restore.times.iter().map(|(phase, at)| Recorded {
        name: format!("first end of {}", word(*phase)),
        at: (*at).into(),
        outcome: format!("{} s", at.duration_since(restore.began).as_secs()),
    });
    let mut steps = vec![Recorded::now("new instance", restore.target.instance.clone())];
    steps.extend(restore.former.iter().map(|it| Recorded::now("instance of an earlier try", it.clone())));
    steps.extend(
        restore
            .source
            .as_ref()
            .map(|source| Recorded::now("source", serde_json::to_string(source).unwrap_or_default())),
    );
    steps.extend(phases);
    steps.extend(restore.orders.iter().map(order_step));
    steps.extend(restore.resumed.iter().map(|(by, at)| Recorded {
        name: format!("resumed by {by}"),
        at: (*at).into(),
        outcome: "succeeded".to_owned(),
    }));
    steps.extend(restore.target.aligned.iter().map(|it| {
        Recorded::now(format!("login {} of {}", it.user, it.secret), format!("agrees; needed: {}", it.did))
    }));
    steps.extend(
        restore
            .guards
            .iter()
            .map(|(service, guard)| Recorded::now(format!("guard {service}"), guard.with.clone())),
    );
    steps.extend(
        restore
            .moves
            .iter()
            .map(|it| Recorded::now(format!("move {}", it.name), format!("{} → {}", it.from, it.to))),
    );
    steps.extend(restore.migration.as_ref().map(|it| {
        Recorded::now(format!("migration {}", it.task), format!("exit code {}", it.exit.unwrap_or(-1)))
    }));
    steps.extend(
        restore
            .smoke
            .iter()
            .map(|check| Recorded::now(format!("check {}", check.name), check.detail.clone())),
    );
    steps.extend(restore.rto_seconds().map(|seconds| Recorded::now("RTO", format!("{seconds} s"))));
    steps.extend(
        restore.loss_minutes(invocation.now).map(|minutes| Recorded::now("RPO", format!("{minutes} min"))),
    );
    if restore.rehearsal {
        let observer = restore.observer.as_deref().unwrap_or(&restore.by);
        steps.push(Recorded::now(
            "rehearsal",
            format!("counts as the shadowing exercise «Simular recuperação de snapshot dev» of {observer}"),
        ));
    }
    let mut findings = Vec::new();
    if ending == Ending::Closed && restore.migration.is_none() {
        findings.push(
            "no migration was run: npm run migrate does not exist in the application, and the policy has no emergency.migration"
                .to_owned(),
        );
    }
    findings.extend(
        restore
            .approval
            .as_ref()
            .and_then(|it| it.alone.as_ref())
            .map(|why| format!("approved without a second person: {why}")),
    );
    findings.extend(
        restore
            .approval
            .as_ref()
            .and_then(|it| it.despite.as_ref())
            .map(|why| format!("approved despite the proof: {why}")),
    );
    findings.extend(
        restore
            .orders
            .iter()
            .filter_map(|given| given.order.despite_smoke.as_ref().map(|why| (&given.order.by, why)))
            .map(|(by, why)| format!("{by} accepted a failed check of the application: {why}")),
    );
    let ended = time::now();
    tracing::info!(message = "restore ended", restore.run = restore.run);
    let draft =
        Draft { steps, findings, ended: ended.into(), ..draft(app, restore, &restore.run, "succeeded") };
    app.base.reporter.report_once(draft, Some(&message as &Message), invocation).await;
}
