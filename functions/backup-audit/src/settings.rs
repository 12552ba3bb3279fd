//! Settings of this function alone: the names of the environment's resources, and the repairs that the stack allows.

use shared::runtime::env::{Env, EnvError};
use shared::runtime::settings::Settings;

use crate::rules::names::Names;
use crate::rules::repair::REPAIRS;

/// Names of the environment's resources.
///
/// # Errors
///
/// [`EnvError`] for the first missing or invalid setting.
pub(crate) fn names(env: &Env<'_>, settings: &Settings) -> Result<Names, EnvError> {
    let optional = |name| env.optional(name).map(Option::<String>::unwrap_or_default);
    let prefix = format!("{}-{}-", settings.project, settings.environment);
    let attachments: Option<String> = env.optional("ATTACHMENTS_BUCKET")?;
    let procedures: String = env.required("OWN_PROCEDURES")?;
    Ok(Names {
        project: settings.project.clone(),
        environment: settings.environment.clone(),
        database: env.required("DATABASE_INSTANCE_ID")?,
        attachments: attachments.unwrap_or_else(|| format!("{prefix}attachments")),
        uploads: optional("UPLOADS_BUCKET")?,
        marker: env.required("UPLOADS_MARKER")?,
        state: optional("TERRAFORM_STATE_BUCKET")?,
        lock_table: optional("TERRAFORM_LOCK_TABLE")?,
        grafana: optional("GRAFANA_BUCKET")?,
        exports_grafana: !optional("GRAFANA_URL")?.is_empty(),
        procedures: words(&procedures),
        prefix,
    })
}

/// Rules whose repairs the stack allows.
///
/// # Errors
///
/// [`EnvError`] for a rule without a repair.
pub(crate) fn repairs(env: &Env<'_>) -> Result<Vec<String>, EnvError> {
    let repairs: Option<String> = env.optional("BACKUP_REPAIRS")?;
    let repairs = words(&repairs.unwrap_or_default());
    if let Some(unknown) = repairs.iter().find(|rule| !REPAIRS.contains(&rule.as_str())) {
        let reason = format!("{unknown} has no repair; those that have one: {}", REPAIRS.join(", "));
        return Err(EnvError::Invalid { name: "BACKUP_REPAIRS", reason });
    }
    Ok(repairs)
}

/// The words of a comma-separated list.
fn words(text: &str) -> Vec<String> {
    text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}
