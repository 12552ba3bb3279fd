//! The board's settings.

use shared::github::Setup;

/// The template's parameters for the board.
pub(crate) const SETUP: Setup = Setup {
    repository: "GitHubRepository",
    secret: "GitHubSecretName",
    permissions: "the permission Issues: read and write",
};

/// Label of the tasks, by which their issues are listed.
pub(crate) const LABEL: &str = "governance-rotation";
