//! What will stop a restore after its approval. No I/O, no clock.

use serde::{Deserialize, Serialize};

/// What a person can remove while the restore goes on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum Obstacle {
    /// A secret names the lost database in a form that cannot be changed.
    Form {
        /// The secret.
        secret: String,
        /// The form, and the cure.
        why: String,
    },
    /// A task definition names one version or label of a secret.
    Pinned {
        /// `service/container/variable (version)`.
        reference: String,
    },
    /// Only others deploy a service that reads a secret.
    Others {
        /// The service.
        service: String,
        /// Its deployment controller, or `DRAINING`.
        controller: String,
    },
    /// No service of ECS reads the application's secret.
    NoReader {
        /// The secret.
        secret: String,
    },
}
