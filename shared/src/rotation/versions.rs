//! The versions and the preconditions of every step. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use super::RotationError;

/// Version ids and their staging labels.
pub type Versions = BTreeMap<String, BTreeSet<String>>;

/// The plan for a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Plan {
    /// The rotation is over: AWSCURRENT is on the token.
    AlreadyCurrent,
    /// The rotation is in progress.
    Perform,
}

/// The version that carries a label.
pub fn labelled<'a>(versions: &'a Versions, label: &str) -> Option<&'a str> {
    versions.iter().find(|(_, labels)| labels.contains(label)).map(|(id, _)| id.as_str())
}

/// Checks that a step belongs to a rotation in progress.
///
/// AWSPENDING on the version that is already AWSCURRENT is normal: Secrets Manager removes it later.
pub(super) fn plan(
    token: &str,
    rotation_enabled: Option<bool>,
    versions: &Versions,
) -> Result<Plan, RotationError> {
    let current = labelled(versions, "AWSCURRENT");
    let holder = labelled(versions, "AWSPENDING").filter(|holder| Some(*holder) != current);
    let holder = holder.map(str::to_owned);
    if rotation_enabled != Some(true) {
        return Err(RotationError::RotationNotEnabled { holder });
    }
    let Some(labels) = versions.get(token) else {
        return Err(RotationError::UnknownVersion { token: token.to_owned(), holder });
    };
    if labels.contains("AWSCURRENT") {
        return Ok(Plan::AlreadyCurrent);
    }
    if !labels.contains("AWSPENDING") {
        return Err(RotationError::NotPending { token: token.to_owned(), holder });
    }
    // Secrets Manager retries for days if a rotation moved AWSCURRENT and died before answering. If the label was moved
    // back by hand meanwhile, AWSPREVIOUS is here.
    if labels.contains("AWSPREVIOUS") {
        return Err(RotationError::CurrentMoved { token: token.to_owned() });
    }
    Ok(Plan::Perform)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "new";

    #[track_caller]
    fn check(enabled: Option<bool>, versions: &[(&str, &[&str])], expected: Result<Plan, RotationError>) {
        let versions = versions
            .iter()
            .map(|(id, labels)| ((*id).to_owned(), labels.iter().map(|label| (*label).to_owned()).collect()))
            .collect();
        assert_eq!(plan(TOKEN, enabled, &versions), expected);
    }

    #[test]
    fn the_plan_of_every_state() {
        const RUNNING: &[(&str, &[&str])] = &[("old", &["AWSCURRENT"]), ("new", &["AWSPENDING"])];
        check(Some(true), RUNNING, Ok(Plan::Perform));
        // The first value of a secret that was created empty.
        check(Some(true), &[("new", &["AWSPENDING"])], Ok(Plan::Perform));
        check(Some(true), &[("new", &["AWSCURRENT"])], Ok(Plan::AlreadyCurrent));
        check(Some(true), &[("new", &["AWSCURRENT", "AWSPENDING"])], Ok(Plan::AlreadyCurrent));
        let off = |holder: Option<&str>| {
            Err(RotationError::RotationNotEnabled { holder: holder.map(str::to_owned) })
        };
        check(Some(false), RUNNING, off(Some("new")));
        check(None, RUNNING, off(Some("new")));
        check(None, &[("old", &["AWSCURRENT", "AWSPENDING"])], off(None));
        let unknown = RotationError::UnknownVersion { token: TOKEN.into(), holder: None };
        check(Some(true), &[("old", &["AWSCURRENT"])], Err(unknown));
        let unknown = RotationError::UnknownVersion { token: TOKEN.into(), holder: Some("newer".to_owned()) };
        check(Some(true), &[("old", &["AWSCURRENT"]), ("newer", &["AWSPENDING"])], Err(unknown));
        let not_pending = |holder: Option<&str>| {
            Err(RotationError::NotPending { token: TOKEN.into(), holder: holder.map(str::to_owned) })
        };
        check(Some(true), &[("old", &["AWSCURRENT"]), ("new", &[])], not_pending(None));
        check(Some(true), &[("old", &["AWSCURRENT", "AWSPENDING"]), ("new", &[])], not_pending(None));
        check(Some(true), &[("old", &["AWSCURRENT"]), ("new", &["AWSPREVIOUS"])], not_pending(None));
        // An operator reverted a rotation that an attempt had finished before it died.
        let moved = RotationError::CurrentMoved { token: TOKEN.into() };
        let taken_back: &[(&str, &[&str])] =
            &[("old", &["AWSCURRENT"]), ("new", &["AWSPENDING", "AWSPREVIOUS"])];
        check(Some(true), taken_back, Err(moved));
        // A second rotation has taken the label.
        check(Some(true), &[("new", &[]), ("newer", &["AWSPENDING"])], not_pending(Some("newer")));
    }
}
