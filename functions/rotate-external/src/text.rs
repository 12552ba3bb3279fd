//! What people read: in the channel, and of a step that failed.

pub(crate) mod failure;
pub(crate) mod retire;
pub(crate) mod rotation;

/// Rotates a secret at once.
pub(crate) fn rotate_command(secret: &str) -> String {
    format!("`aws secretsmanager rotate-secret --secret-id '{secret}'`")
}
