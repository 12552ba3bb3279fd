//! The errors of a rotation step, and their texts for operators.

use shared::rotation::{Advice, InForce, Request, RotationError};
use shared::runtime::failure::Failure;
use shared::runtime::language::Language;

/// An error of a rotation step; one variant for each action of an operator.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RotateError {
    /// An error that every rotation shares.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// Neither the policy nor a tag says how the secret's value is made.
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
    /// The message about a failed step.
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
                        "correct the policy (`cargo xtask policy apply`) or the secret's rotation:* tags; the next attempt uses the correction.",
                    )
                    .to_owned(),
            },
        }
    }
}
