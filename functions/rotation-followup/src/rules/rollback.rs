//! Decides whether a secret's label may move back to the previous value. No I/O, no clock.

use shared::aws::secrets::Listed;
use shared::policy::Secret;
use shared::runtime::language::Language;

use super::change::Change;
use super::failure::{Failed, implicates};
use super::keys::{DATABASE, JWT, WEBHOOK};

/// Decision about a secret's label after a failure of its new value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Decision {
    /// Move it to this version, if its value still works.
    Move(String),
    /// An attempt of this step that died has already moved it.
    Moved,
    /// Leave it, for this reason.
    Stay(&'static str),
}

/// Prefix of the reason to leave a label because the previous value does not work.
pub(crate) const PREVIOUS_FAILS: &str = "the previous value does not work";

/// Reasons to leave a label, in English and in Portuguese.
const STAYS: [(&str, &str); 9] = [
    (NO_PREVIOUS, "não há versão anterior"),
    (LEAKED, "outros podem conhecer o valor anterior"),
    (POLICY, "a política não permite (roll_back)"),
    (FAILED_ITSELF, "a própria versão anterior já falhou"),
    (FOREIGN, "só voltam os rótulos dos segredos de JWT, webhook e banco que o template nomeia"),
    (INNOCENT, "o que falhou nada diz contra o valor novo"),
    (MOVED_SINCE, "alguém moveu o AWSCURRENT depois"),
    (NEXT_RUNS, "a rotação seguinte já começou e seria abandonada"),
    (NO_LABEL, "a versão anterior está sem rótulo, e o serviço pode tê-la apagado"),
];

const NO_PREVIOUS: &str = "there is no previous version";

const LEAKED: &str = "others may know the previous value";

const POLICY: &str = "the policy does not allow it (roll_back)";

const FAILED_ITSELF: &str = "the previous version failed too, or its value is withdrawn";

const FOREIGN: &str =
    "only the labels of the JWT, webhook and database secrets that the template names can move";

const INNOCENT: &str = "the failure does not implicate the new value";

const MOVED_SINCE: &str = "another caller has moved AWSCURRENT since";

const NEXT_RUNS: &str = "the next rotation has started, and a rollback would abandon it";

const NO_LABEL: &str = "the previous version has no label, so the service may have deleted it";

/// A reason to leave a label, in the chosen language. The batch stores the English text.
pub(crate) fn reason(why: &str, language: Language) -> String {
    if language == Language::English {
        return why.to_owned();
    }
    if let Some(detail) = why.strip_prefix(PREVIOUS_FAILS) {
        return format!("o valor anterior não funciona{detail}");
    }
    let known = STAYS.iter().find(|(english, _)| *english == why);
    known.map_or(why, |(_, portuguese)| portuguese).to_owned()
}

/// Decides about one secret's label.
///
/// `has_failed` is true if the follow-up of the previous version failed, or its value is withdrawn.
pub(crate) fn decide(
    change: &Change,
    policy: Option<&Secret>,
    listed: &Listed,
    failed: Option<&Failed>,
    has_failed: bool,
) -> Decision {
    let Some(previous) = &change.previous else { return Decision::Stay(NO_PREVIOUS) };
    if change.is_incident() {
        return Decision::Stay(LEAKED);
    }
    if !policy.is_some_and(|policy| policy.roll_back) {
        return Decision::Stay(POLICY);
    }
    if has_failed {
        return Decision::Stay(FAILED_ITSELF);
    }
    // For a credential that another system issues, this function cannot prove that the previous one still works.
    if ![JWT, WEBHOOK, DATABASE].contains(&change.key.as_str()) {
        return Decision::Stay(FOREIGN);
    }
    if let Some(failed) = failed
        && !implicates(failed, &change.key)
    {
        return Decision::Stay(INNOCENT);
    }
    let current = listed.labelled("AWSCURRENT");
    if current == Some(previous) {
        return Decision::Moved;
    }
    if current != Some(change.version.as_str()) {
        return Decision::Stay(MOVED_SINCE);
    }
    if listed.labelled("AWSPENDING").is_some_and(|pending| pending != change.version) {
        return Decision::Stay(NEXT_RUNS);
    }
    if !listed.labels.contains_key(previous) {
        return Decision::Stay(NO_LABEL);
    }
    Decision::Move(previous.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::rules::change::{Declared, Reason};

    #[test]
    fn the_label_goes_back_only_where_that_helps_and_does_no_harm() {
        let policy: shared::policy::Policy = "".parse().unwrap();
        let jwt = policy.rotation.secrets.get("JWT_SECRET");
        let webhook = policy.rotation.secrets.get("NOTIFICATIONS_WEBHOOK_SECRET");
        let change = Change {
            secret: "arn".to_owned(),
            name: "n".to_owned(),
            key: "JWT_SECRET".to_owned(),
            version: "v2".to_owned(),
            previous: Some("v1".to_owned()),
            made: None,
            noticed: jiff::Timestamp::UNIX_EPOCH,
            is_rotation: true,
            declared: None,
        };
        let listed = |labels: &[(&str, &[&str])]| Listed {
            labels: labels
                .iter()
                .map(|(id, labels)| {
                    (
                        (*id).to_owned(),
                        labels.iter().map(|label| (*label).to_owned()).collect::<BTreeSet<_>>(),
                    )
                })
                .collect::<BTreeMap<_, _>>(),
            ..Listed::default()
        };
        let usual = listed(&[("v1", &["AWSPREVIOUS"]), ("v2", &["AWSCURRENT", "AWSPENDING"])]);
        let failed = |kind: &str| Some(Failed::new(kind, ""));
        assert_eq!(
            decide(&change, jwt, &usual, failed("RolloutFailed").as_ref(), false),
            Decision::Move("v1".to_owned())
        );
        let moved = listed(&[("v1", &["AWSCURRENT"]), ("v2", &["AWSPREVIOUS"])]);
        assert_eq!(decide(&change, jwt, &moved, None, false), Decision::Moved);
        let stays = |found: Decision, why: &str| {
            let Decision::Stay(reason) = found else { panic!("{found:?}") };
            assert!(reason.contains(why), "{reason}");
        };
        stays(decide(&change, webhook, &usual, None, false), "roll_back");
        stays(decide(&change, None, &usual, None, false), "roll_back");
        stays(
            decide(&Change { key: "other".to_owned(), ..change.clone() }, jwt, &usual, None, false),
            "template names",
        );
        for kind in ["OldTokenAccepted", "HealthFailed", "Unreachable", "RateLimited", "LoginFailed", "Auth"]
        {
            stays(decide(&change, jwt, &usual, failed(kind).as_ref(), false), "does not implicate");
        }
        let database = Change { key: "DATABASE_URL".to_owned(), ..change.clone() };
        let move_back = Decision::Move("v1".to_owned());
        for (change, kind) in
            [(&change, "NewTokenRefused"), (&database, "DatabaseRefused"), (&database, "Auth")]
        {
            assert_eq!(decide(change, jwt, &usual, failed(kind).as_ref(), false), move_back, "{kind}");
        }
        stays(
            decide(&database, jwt, &usual, failed("NewTokenRefused").as_ref(), false),
            "does not implicate",
        );
        let refused = Failed::of("DATABASE_URL", "ValueRefused", "");
        assert_eq!(decide(&database, jwt, &usual, Some(&refused), false), move_back);
        stays(decide(&change, jwt, &usual, Some(&refused), false), "does not implicate");
        let incident = Some(Declared { reason: Reason::Incident, by: "ana".to_owned() });
        stays(
            decide(&Change { declared: incident, ..change.clone() }, jwt, &usual, None, false),
            "others may know",
        );
        stays(
            decide(&Change { previous: None, ..change.clone() }, jwt, &usual, None, false),
            "no previous version",
        );
        stays(decide(&change, jwt, &usual, None, true), "failed too");
        let third = listed(&[("v1", &["AWSPREVIOUS"]), ("v3", &["AWSCURRENT"])]);
        stays(decide(&change, jwt, &third, None, false), "another caller");
        let next = listed(&[("v1", &["AWSPREVIOUS"]), ("v2", &["AWSCURRENT"]), ("v3", &["AWSPENDING"])]);
        stays(decide(&change, jwt, &next, None, false), "next rotation");
        stays(decide(&change, jwt, &listed(&[("v2", &["AWSCURRENT"])]), None, false), "no label");
    }
}
