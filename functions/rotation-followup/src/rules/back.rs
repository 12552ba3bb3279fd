//! May the label of a secret go back to the value before? No I/O, no clock.

use shared::aws::secrets::Listed;
use shared::policy::Secret;
use shared::runtime::language::Language;

use super::change::Change;
use super::failure::{Failed, speaks_against};
use super::keys::{DATABASE, JWT, WEBHOOK};

/// What is to be done with a secret's label after the application failed with its new value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// Move it, once the value before is proved.
    Move(String),
    /// It is there: an attempt of this step that died has moved it.
    Moved,
    /// Leave it, and why.
    Stay(&'static str),
}

/// The beginning of why a label stays whose value before was tried in vain.
pub(crate) const DEAD: &str = "the value before does not work";

/// Why a label stays, in English and in Portuguese.
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

const NO_PREVIOUS: &str = "there is no version before";

const LEAKED: &str = "the value before may be known to others";

const POLICY: &str = "the policy does not allow it (roll_back)";

const FAILED_ITSELF: &str = "the version before has failed itself";

const FOREIGN: &str =
    "only the labels of JWT, webhook and database secrets that the template names can be moved";

const INNOCENT: &str = "what failed says nothing against the new value";

const MOVED_SINCE: &str = "somebody has moved AWSCURRENT since";

const NEXT_RUNS: &str = "the next rotation runs already, and would be abandoned";

const NO_LABEL: &str = "the version before has no label any more, so the service may have deleted it";

/// Why a label stays, as people read it; the batch keeps the English text.
pub(crate) fn stays(why: &str, language: Language) -> String {
    if language == Language::English {
        return why.to_owned();
    }
    if let Some(detail) = why.strip_prefix(DEAD) {
        return format!("o valor anterior não funciona{detail}");
    }
    let known = STAYS.iter().find(|(english, _)| *english == why);
    known.map_or(why, |(_, portuguese)| portuguese).to_owned()
}

/// Decides for one secret.
///
/// `has_failed` tells whether the version before has failed itself when it was followed.
pub(crate) fn way(
    change: &Change,
    policy: Option<&Secret>,
    listed: &Listed,
    failed: Option<&Failed>,
    has_failed: bool,
) -> Way {
    let Some(previous) = &change.previous else { return Way::Stay(NO_PREVIOUS) };
    if change.is_incident() {
        return Way::Stay(LEAKED);
    }
    if !policy.is_some_and(|policy| policy.roll_back) {
        return Way::Stay(POLICY);
    }
    if has_failed {
        return Way::Stay(FAILED_ITSELF);
    }
    // Of a credential that another system issues, this function cannot prove that the one before still works.
    if ![JWT, WEBHOOK, DATABASE].contains(&change.key.as_str()) {
        return Way::Stay(FOREIGN);
    }
    if let Some(failed) = failed
        && !speaks_against(failed, &change.key)
    {
        return Way::Stay(INNOCENT);
    }
    let current = listed.labelled("AWSCURRENT");
    if current == Some(previous) {
        return Way::Moved;
    }
    if current != Some(change.version.as_str()) {
        return Way::Stay(MOVED_SINCE);
    }
    if listed.labelled("AWSPENDING").is_some_and(|pending| pending != change.version) {
        return Way::Stay(NEXT_RUNS);
    }
    if !listed.labels.contains_key(previous) {
        return Way::Stay(NO_LABEL);
    }
    Way::Move(previous.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::rules::change::{Declared, Reason};

    #[test]
    fn the_label_goes_back_only_where_that_helps_and_harms_nobody() {
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
            way(&change, jwt, &usual, failed("RolloutFailed").as_ref(), false),
            Way::Move("v1".to_owned())
        );
        let moved = listed(&[("v1", &["AWSCURRENT"]), ("v2", &["AWSPREVIOUS"])]);
        assert_eq!(way(&change, jwt, &moved, None, false), Way::Moved);
        let stays = |found: Way, why: &str| {
            let Way::Stay(said) = found else { panic!("{found:?}") };
            assert!(said.contains(why), "{said}");
        };
        stays(way(&change, webhook, &usual, None, false), "roll_back");
        stays(way(&change, None, &usual, None, false), "roll_back");
        stays(
            way(&Change { key: "other".to_owned(), ..change.clone() }, jwt, &usual, None, false),
            "template names",
        );
        for kind in ["OldTokenAccepted", "HealthFailed", "Unreachable", "RateLimited", "LoginFailed", "Auth"]
        {
            stays(way(&change, jwt, &usual, failed(kind).as_ref(), false), "says nothing");
        }
        let database = Change { key: "DATABASE_URL".to_owned(), ..change.clone() };
        let move_back = Way::Move("v1".to_owned());
        for (change, kind) in
            [(&change, "NewTokenRefused"), (&database, "DatabaseRefused"), (&database, "Auth")]
        {
            assert_eq!(way(change, jwt, &usual, failed(kind).as_ref(), false), move_back, "{kind}");
        }
        stays(way(&database, jwt, &usual, failed("NewTokenRefused").as_ref(), false), "says nothing");
        let refused = Failed::of("DATABASE_URL", "ValueRefused", "");
        assert_eq!(way(&database, jwt, &usual, Some(&refused), false), move_back);
        stays(way(&change, jwt, &usual, Some(&refused), false), "says nothing");
        let incident = Some(Declared { reason: Reason::Incident, by: "ana".to_owned() });
        stays(
            way(&Change { declared: incident, ..change.clone() }, jwt, &usual, None, false),
            "known to others",
        );
        stays(
            way(&Change { previous: None, ..change.clone() }, jwt, &usual, None, false),
            "no version before",
        );
        stays(way(&change, jwt, &usual, None, true), "failed itself");
        let third = listed(&[("v1", &["AWSPREVIOUS"]), ("v3", &["AWSCURRENT"])]);
        stays(way(&change, jwt, &third, None, false), "somebody");
        let next = listed(&[("v1", &["AWSPREVIOUS"]), ("v2", &["AWSCURRENT"]), ("v3", &["AWSPENDING"])]);
        stays(way(&change, jwt, &next, None, false), "next rotation");
        stays(way(&change, jwt, &listed(&[("v2", &["AWSCURRENT"])]), None, false), "no label");
    }
}
