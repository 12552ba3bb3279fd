//! The calls of Grafana.

pub(crate) mod read;
pub(crate) mod restore;

use serde::Deserialize;
use shared::grafana::{GrafanaError, Session};

/// Grafana's major versions for which this was built.
const KNOWN: std::ops::RangeInclusive<u32> = 10..=13;

/// A Grafana's version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Version {
    /// e.g. `11.2.0`.
    pub text: String,
    major: u32,
}

#[derive(Deserialize)]
struct Health {
    version: Option<String>,
}

impl Version {
    /// The version that Grafana reports.
    ///
    /// # Errors
    ///
    /// [`GrafanaError`]; [`GrafanaError::Unreadable`] also if Grafana hides its version.
    pub(crate) async fn of(session: &Session<'_>) -> Result<Self, GrafanaError> {
        const PATH: &str = "/api/health";
        let health: Health = session.get(PATH).await?;
        health.version.as_deref().and_then(Self::parse).ok_or_else(|| GrafanaError::Unreadable {
            what: format!("GET {PATH}"),
            reason: "it has no version; turn hide_version off".to_owned(),
        })
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_part = |character: char| character.is_ascii_alphanumeric() || ".-+".contains(character);
        let is_version = text.len() <= 40 && text.chars().all(is_part);
        let major = text.split('.').next()?.parse().ok()?;
        is_version.then(|| Self { text: text.to_owned(), major })
    }

    /// Whether it is older than any that has the APIs.
    pub(crate) fn is_too_old(&self) -> bool {
        self.major < *KNOWN.start()
    }

    /// Whether it is newer than any for which this was built.
    pub(crate) fn is_unknown(&self) -> bool {
        self.major > *KNOWN.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_from_10_to_13_are_known() {
        for (text, is_too_old, is_unknown) in [
            ("9.5.21", true, false),
            ("10.0.0", false, false),
            ("13.1.0-pre", false, false),
            ("14.0.0", false, true),
        ] {
            let version = Version::parse(text).unwrap();
            assert_eq!((version.is_too_old(), version.is_unknown()), (is_too_old, is_unknown), "{text}");
        }
        for bad in ["", "x", "<b>", "11.2 `x`"] {
            assert_eq!(Version::parse(bad), None, "{bad}");
        }
    }
}
