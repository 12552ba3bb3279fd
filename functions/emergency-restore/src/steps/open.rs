//! State Open: takes the only place for a restore and opens the incident; or goes on with the open restore.

use shared::aws::snapshots::prefix;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::chain;
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

use super::next;
use crate::aws::rds::{self, Described};
use crate::aws::states;
use crate::event::{Input, Resume, Start};
use crate::observe::{is_ours, own_login};
use crate::report;
use crate::rules::restore::{Lost, Restore, Target};
use crate::rules::settings::Settings;
use crate::rules::{name, state};
use crate::{Answer, App, RestoreError};

/// RDS's engine for PostgreSQL.
const POSTGRES: &str = "postgres";

/// Begins a restore, or takes over the open one.
pub(crate) async fn open(
    app: &App,
    execution: &str,
    input: Input,
    invocation: &Invocation,
) -> Result<Answer, RestoreError> {
    let restore = match input {
        Input::Resume(resume) => take_over(app, execution, &resume, invocation).await?,
        Input::Start(start) => begin(app, execution, &start, invocation).await?,
    };
    tracing::Span::current().record("run_id", restore.run.as_str());
    Ok(next(&restore))
}

async fn take_over(
    app: &App,
    execution: &str,
    Resume { resume, by }: &Resume,
    invocation: &Invocation,
) -> Result<Restore, RestoreError> {
    let now = invocation.now;
    let taken = app.update(|book| book.take_over(execution, resume, by, now));
    let restore = taken.await??;
    report::resumed(app, &restore, by, invocation).await;
    Ok(restore)
}

async fn begin(
    app: &App,
    execution: &str,
    start: &Start,
    invocation: &Invocation,
) -> Result<Restore, RestoreError> {
    let settings = &app.base.settings;
    if start.rehearsal && settings.environment == "prod" {
        return Err(RestoreError::RehearsalInProduction);
    }
    let book = app.book().await?;
    let restore = match book.open {
        // An attempt of this step that died noted it.
        Some(open) if open.execution == execution => open,
        Some(open) => return Err(RestoreError::RestoreInProgress(open.run, time::local(open.began))),
        None => {
            let draft = observe(app, execution, start, invocation).await?;
            let day = time::local_date(invocation.now);
            app.update(|book| {
                if let Some(open) = &book.open {
                    let is_own = open.execution == execution;
                    let other = || RestoreError::RestoreInProgress(open.run.clone(), time::local(open.began));
                    return if is_own { Ok(open.clone()) } else { Err(other()) };
                }
                let run = name::run(&day, book.past.iter().map(|past| past.run.as_str()));
                let named = name::allowed(&draft.lost.instance, &prefix(&app.base.settings));
                let instance = name::instance(&named, &run, 1);
                let target = Target { instance, attempt: 1, ..Target::default() };
                let restore = Restore { run, target, ..draft.clone() };
                book.open = Some(restore.clone());
                Ok(restore)
            })
            .await??
        }
    };
    report::began(app, &restore, invocation).await;
    Ok(restore)
}

/// Finds the lost instance and the settings of the new one.
async fn observe(
    app: &App,
    execution: &str,
    start: &Start,
    invocation: &Invocation,
) -> Result<Restore, RestoreError> {
    let (secret, login) = own_login(app).await?;
    let address = login.address();
    if address.host.contains(".cluster-") {
        return Err(RestoreError::ClusterNotSupported(address.host));
    }
    let instances = rds::instances(&app.rds).await.map_err(RestoreError::RdsCall)?;
    let by_address = instances.iter().find(|it| it.seen.address.as_ref() == Some(&address));
    let named = by_address.map(|it| it.seen.name.clone());
    let lost = match (&start.instance, by_address) {
        (Some(named), _) => named.clone(),
        (None, Some(found)) => found.seen.name.clone(),
        (None, None) => {
            // The first label of RDS's addresses is the instance's name.
            let label = address.host.split('.').next().filter(|_| address.host.contains(".rds."));
            let guess = label.unwrap_or(&app.instance);
            if instances.iter().any(|it| it.seen.name == guess && it.seen.address.is_some()) {
                return Err(RestoreError::AddressUnknown { secret, address: address.to_string() });
            }
            guess.to_owned()
        }
    };
    if !is_ours(app, &lost) {
        return Err(RestoreError::NotOurs(lost, app.instance.clone(), prefix(&app.base.settings)));
    }
    let found = instances.into_iter().find(|it| it.seen.name == lost);
    if let Some(cluster) = found.as_ref().and_then(|it| it.cluster.clone()) {
        return Err(RestoreError::ClusterNotSupported(cluster));
    }
    if found.is_none() && rds::is_cluster(&app.rds, &lost).await.map_err(RestoreError::RdsCall)? {
        return Err(RestoreError::ClusterNotSupported(lost));
    }
    // Else choices and loss would be of one database, and the move of another.
    if let Some(named) = named.filter(|named| *named != lost) {
        let reason =
            format!("the secret {secret} names {named}: leave it out, or set the secret to {lost} first");
        return Err(InvalidEvent::at("instance", &reason).into());
    }
    let backups = rds::backups(&app.rds, &lost).await.map_err(RestoreError::RdsCall)?;
    let backup = backups.into_iter().next().unwrap_or_default();
    let engine = found.as_ref().map_or(&backup.engine, |it| &it.engine);
    if !engine.is_empty() && engine != POSTGRES {
        return Err(RestoreError::EngineNotSupported(lost, engine.clone()));
    }
    let known = in_terraform(app, &lost).await;
    let resource = found.as_ref().and_then(|it| it.resource.clone()).or(backup.resource);
    let resource = resource.or(known.as_ref().and_then(|(_, known)| known.resource.clone()));
    let (settings, settings_from) = settings(start, found.as_ref(), known.as_ref(), backup.settings);
    Ok(Restore {
        execution: execution.to_owned(),
        by: start.by.clone(),
        reason: start.reason.clone(),
        incident: start.incident.clone(),
        rehearsal: start.rehearsal,
        observer: start.observer.clone(),
        began: invocation.now,
        lost: Lost { exists: found.is_some(), instance: lost, resource, address },
        settings,
        settings_from,
        terraform: known.map(|(key, known)| (known.address, key)),
        source: start.source.clone(),
        ..Restore::default()
    })
}

/// The settings of the new instance, and where they come from.
fn settings(
    start: &Start,
    found: Option<&Described>,
    known: Option<&(String, state::Known)>,
    of_backup: Settings,
) -> (Settings, String) {
    let given = start.settings.as_ref().map(Settings::given);
    let sources = [
        ("input", given),
        ("instance", found.map(|it| it.settings.clone())),
        // What RDS says of the instance is newer.
        ("terraform", known.map(|(_, known)| known.settings.clone()).filter(|_| found.is_none())),
        ("backup", Some(of_backup).filter(|settings| *settings != Settings::default() && found.is_none())),
    ];
    let mut names = Vec::new();
    let mut all = Settings::default();
    for (name, settings) in sources {
        if let Some(settings) = settings {
            names.push(name);
            all = all.or(settings);
        }
    }
    (all, names.join(", "))
}

/// The lost instance in the Terraform states, with the state's key. A state that cannot be read is only missing: the
/// settings then have to come from elsewhere.
async fn in_terraform(app: &App, lost: &str) -> Option<(String, state::Known)> {
    let (bucket, keys) = app.terraform.as_ref()?;
    for key in keys {
        match states::instance(&app.s3, bucket, key, lost).await {
            Ok(Some(known)) => return Some(known),
            Ok(None) => {}
            Err(call) => {
                tracing::warn!(message = format!("a Terraform state was not read: {}", chain(&call)))
            }
        }
    }
    None
}
