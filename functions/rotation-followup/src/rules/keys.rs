//! The policy's keys of secrets with special rules. No I/O, no clock.

/// The key that signs the application's tokens.
pub(crate) const JWT: &str = "JWT_SECRET";

/// The database's credential.
pub(crate) const DATABASE: &str = "DATABASE_URL";

/// The administrator's password. No task reads it.
pub(crate) const ADMIN: &str = "SEED_ADMIN_PASSWORD";

/// The secret that signs webhooks.
pub(crate) const WEBHOOK: &str = "NOTIFICATIONS_WEBHOOK_SECRET";

/// The functions that retire old credentials, by the policy's key of the secret.
pub(crate) const RETIRED_BY: [(&str, &str); 4] = [
    (DATABASE, "rotate-database"),
    ("NOTIFICATIONS_EMAIL_SES", "rotate-external"),
    ("NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN", "rotate-external"),
    (ADMIN, "rotate-external"),
];
