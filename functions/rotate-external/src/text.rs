//! Texts for operators, by kind of message.

pub(crate) mod failure;
pub(crate) mod retire;
pub(crate) mod rotation;

/// The command that rotates a secret at once.
pub(crate) fn rotate_command(secret: &str) -> String {
    format!("`aws secretsmanager rotate-secret --secret-id '{secret}'`")
}
