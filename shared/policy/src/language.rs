//! The operators' language.

use std::str::FromStr;

use serde::Deserialize;

/// Language of messages, reports and mail. Logs, code and error kinds are always English.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub enum Language {
    /// Brazilian Portuguese, the default.
    #[serde(rename = "pt-BR")]
    Portuguese,
    /// English.
    #[serde(rename = "en")]
    English,
}

impl Language {
    /// The text in this language.
    pub fn pick<'a>(self, portuguese: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::Portuguese => portuguese,
            Self::English => english,
        }
    }

    /// The label of what to do next.
    pub fn next_step(self) -> &'static str {
        self.pick("Próximo passo", "Next step")
    }
}

/// A sentence with captured arguments in the given [`Language`]: `tr!(language, "há {count}", "there are {count}")`.
#[macro_export]
macro_rules! tr {
    ($language:expr, $portuguese:literal, $english:literal $(,)?) => {
        match $language {
            $crate::language::Language::Portuguese => format!($portuguese),
            $crate::language::Language::English => format!($english),
        }
    };
}

impl FromStr for Language {
    type Err = String;

    fn from_str(tag: &str) -> Result<Self, Self::Err> {
        match tag {
            "pt-BR" => Ok(Self::Portuguese),
            "en" => Ok(Self::English),
            _ => Err("expected pt-BR or en".to_owned()),
        }
    }
}
