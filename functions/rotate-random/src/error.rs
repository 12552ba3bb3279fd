//! Why a rotation step failed; a variant for each thing that an operator does next.

use shared::rotation::{Advice, InForce, Request, RotationError};
use shared::runtime::failure::Failure;
use shared::runtime::language::Language;

/// Why a rotation step failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RotateError {
    /// What any rotation may fail of.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// Nobody has said how the secret's value is made.
    #[error("neither the policy nor a tag says how the value of secret {name} is made")]
    NoRule {
        /// Name of the secret, or the application's variable.
        name: String,
    },
}

impl Failure for RotateError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Rotation(error) => error.kind(),
            Self::NoRule { .. } => "NoRule",
        }
    }

    fn fingerprint(&self) -> String {
        match self {
            Self::Rotation(error) => error.fingerprint(),
            Self::NoRule { .. } => self.kind().to_owned(),
        }
    }
}

impl RotateError {
    /// What an operator reads of the failure.
    pub(crate) fn advise(&self, language: Language, request: &Request) -> Advice {
        match self {
            Self::Rotation(error) => error.advise(language, request),
            Self::NoRule { .. } => Advice {
                cause: match language {
                    Language::Portuguese => "nem a política nem uma tag diz como o valor é feito".to_owned(),
                    Language::English => self.to_string(),
                },
                in_force: InForce::Current,
                next: language
                    .pick(
                        "corrigir a política (`cargo xtask policy apply`) ou as tags rotation:* do segredo; a próxima tentativa usa a correção.",
                        "correct the policy (`cargo xtask policy apply`) or the secret's rotation:* tags; the next try uses the correction.",
                    )
                    .to_owned(),
            },
        }
    }
}
