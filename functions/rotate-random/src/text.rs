//! Texts for operators.

use shared::rotation::{Advice, InForce, Request};
use shared::runtime::language::Language;

use crate::error::RotateError;

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
