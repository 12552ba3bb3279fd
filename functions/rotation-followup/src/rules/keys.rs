//! The policy's keys of the secrets that a follow-up treats in their own way.

/// The variable whose secret signs the application's tokens.
pub(crate) const JWT: &str = "JWT_SECRET";

/// The one with the database's credential.
pub(crate) const DATABASE: &str = "DATABASE_URL";

/// The administrator's password, which no task reads.
pub(crate) const ADMIN: &str = "SEED_ADMIN_PASSWORD";

/// The policy's key of the webhooks' secret.
pub(crate) const WEBHOOK: &str = "NOTIFICATIONS_WEBHOOK_SECRET";

/// The functions that retire old credentials, by the policy's key of the secret.
pub(crate) const RETIRED_BY: [(&str, &str); 4] = [
    (DATABASE, "rotate-database"),
    ("NOTIFICATIONS_EMAIL_SES", "rotate-external"),
    ("NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN", "rotate-external"),
    (ADMIN, "rotate-external"),
];
