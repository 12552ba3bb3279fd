//! Commands about a secret's versions and its rotation. Each takes the secret's name or ARN.

use super::Command;
use crate::command;

/// Rotates at once.
pub fn rotate(secret: &str) -> Command {
    command!("aws secretsmanager rotate-secret --secret-id {secret}", secret)
}

/// Turns rotation on again without changing the value now.
pub fn enable(secret: &str) -> Command {
    command!("aws secretsmanager rotate-secret --secret-id {secret} --no-rotate-immediately", secret)
}

/// Shows the versions with their labels.
pub fn versions(secret: &str) -> Command {
    command!("aws secretsmanager describe-secret --secret-id {secret} --query VersionIdsToStages", secret)
}

/// Removes AWSPENDING from a version, so that a new rotation can begin. Danger: if the pending value is already in
/// force, it is lost.
pub fn clear(secret: &str, version: &str) -> Command {
    command!(
        "aws secretsmanager update-secret-version-stage --secret-id {secret} --version-stage AWSPENDING --remove-from-version-id {version}",
        secret,
        version
    )
}

/// Makes a version the current one.
pub fn restore(secret: &str, version: &str, instead_of: &str) -> Command {
    command!(
        "aws secretsmanager update-secret-version-stage --secret-id {secret} --version-stage AWSCURRENT --move-to-version-id {version} --remove-from-version-id {instead_of}",
        secret,
        version,
        instead_of
    )
}
