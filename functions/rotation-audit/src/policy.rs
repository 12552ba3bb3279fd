//! The rules: what is wrong with a secret, worst first. No I/O, no clock.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use shared::aws::scope::Mark;
use shared::aws::secrets::Listed;
use shared::policy::{Audit, Policy, Responsible};
use shared::runtime::failure::CallError;

use crate::resource_policy;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The policy's keys of the secrets that `rotate-external` rotates.
const EXTERNAL: [&str; 3] =
    ["NOTIFICATIONS_EMAIL_SES", "NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN", "SEED_ADMIN_PASSWORD"];

/// Which of our functions makes a secret's value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rotator {
    /// `rotate-random`.
    Random,
    /// `rotate-database`.
    Database,
    /// `rotate-external`.
    External,
}

impl Rotator {
    /// Name of the function's folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Random => "rotate-random",
            Self::Database => "rotate-database",
            Self::External => "rotate-external",
        }
    }
}

/// What is required of a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Standard {
    /// Greatest age of the current value, in days; none when the policy does not know the secret.
    pub max_age_days: Option<u16>,
    /// Which of our functions is to make its value.
    pub rotator: Option<Rotator>,
    /// The RDS instance on which the login is by IAM, if the policy says that it is.
    pub iam_login: Option<String>,
    /// Who rotates it.
    pub responsible: Responsible,
}

/// What was seen of a secret; never a value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Facts {
    /// What the list says.
    pub listed: Listed,
    /// What makes it this environment's concern.
    pub mark: Mark,
    /// When each version was made, or why that was not seen. The service can leave AWSPENDING's version out.
    pub made: Result<BTreeMap<String, Timestamp>, CallError>,
    /// When the current value was first made, where the ledger says that it is an old one which no rotation made; or why the
    /// ledger was not read.
    pub value_made: Result<Option<Timestamp>, String>,
    /// The resource policy, or why it was not seen.
    pub resource_policy: Result<Option<String>, CallError>,
    /// Whether RDS takes IAM logins on the instance that the policy names, or why that was not seen.
    pub takes_iam: Option<Result<bool, CallError>>,
}

impl Facts {
    /// When the current value was made at the latest: where the ledger was not read, it is at least as old as its version.
    /// `changed` does not tell: a tag moves it.
    pub(crate) fn current_made(&self) -> Option<Timestamp> {
        let made = self.version_made()?;
        Some(self.value_made.as_ref().map_or(made, |value_made| value_made.unwrap_or(made)))
    }

    /// When the current version was made, whatever its value.
    fn version_made(&self) -> Option<Timestamp> {
        self.made.as_ref().ok()?.get(self.listed.labelled("AWSCURRENT")?).copied()
    }

    /// Whether no rotation has made the current version, as far as the service's dates tell: then its value may be an old one.
    pub(crate) fn is_by_hand(&self) -> bool {
        self.version_made().is_some_and(|made| self.listed.rotated.is_none_or(|rotated| rotated < made))
    }
}

#[cfg(test)]
impl Facts {
    /// Of a secret that is rotated and has one version.
    pub(crate) fn of_version(id: &str) -> Self {
        let labels = [(id.to_owned(), ["AWSCURRENT".to_owned()].into())].into();
        Self {
            listed: Listed { enabled: true, labels, ..Listed::default() },
            mark: Mark::Tagged,
            made: Ok(BTreeMap::new()),
            value_made: Ok(None),
            resource_policy: Ok(None),
            takes_iam: None,
        }
    }
}

/// A secret, what is required of it and what was seen of it; no facts when it does not exist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Secret {
    /// Name.
    pub name: String,
    /// What is required.
    pub standard: Standard,
    /// What was seen.
    pub facts: Option<Facts>,
}

impl Secret {
    /// The instance on which the login is by IAM. The policy's word alone is not enough: RDS has to take such logins there.
    pub(crate) fn iam_login(&self) -> Option<&str> {
        let takes = self.facts.as_ref()?.takes_iam.as_ref()?;
        self.standard.iam_login.as_deref().filter(|_| *takes == Ok(true))
    }
}

/// One thing that is wrong with a secret, or not known of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Finding {
    /// The current value is older than the policy allows.
    Overdue {
        /// When its time was over.
        due: Timestamp,
    },
    /// The service should have rotated it.
    RotationLate {
        /// The end of the window that was missed.
        since: Timestamp,
    },
    /// A rotation hangs.
    StuckPending {
        /// The version that carries AWSPENDING.
        pending: String,
        /// The one that carries AWSCURRENT.
        current: Option<String>,
        /// Since when at the latest.
        since: Timestamp,
        /// Whether the pending value may be the only one that is in force, so that nobody may remove it unseen.
        may_be_in_force: bool,
    },
    /// A call was refused or failed; never a pass.
    InsufficientData {
        /// What was not seen, and why.
        why: String,
    },
    /// Policy or template name it, and it does not exist.
    Missing,
    /// It exists without a value.
    Empty,
    /// Its resource policy lets others in.
    WidePolicy {
        /// Whom.
        principal: String,
    },
    /// One of our functions is to rotate it, and rotation is off.
    RotationOff {
        /// Which one.
        rotator: Rotator,
    },
    /// The policy says that the login is by IAM, and RDS takes no such logins on its instance.
    IamLoginOff {
        /// The instance.
        instance: String,
    },
    /// The current value is to be replaced soon.
    DueSoon {
        /// When its time is over.
        due: Timestamp,
    },
    /// Tags and name disagree on the environment or project; which one is right is unknown.
    TagsContradict {
        /// The tag.
        tag: &'static str,
        /// Its value.
        value: String,
        /// What the name says.
        named: String,
        /// Whether the tags put it into this environment, so that it is audited here.
        is_here: bool,
    },
    /// It is this environment's by its name, and lacks tags, or has them with values that no stack has.
    TagsMissing {
        /// The tags, with the values that they must have.
        tags: Vec<(&'static str, String)>,
    },
    /// It is this environment's, and the policy does not know it.
    NoPolicy,
    /// Nobody reads it.
    Unused {
        /// The day of the last read.
        since: Option<Timestamp>,
    },
    /// Rotation is on and has never run; its age is within the policy.
    NeverRotated,
}

impl Finding {
    /// Stable name, as records, metrics and pages have it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Overdue { .. } => "Overdue",
            Self::RotationLate { .. } => "RotationLate",
            Self::StuckPending { .. } => "StuckPending",
            Self::InsufficientData { .. } => "InsufficientData",
            Self::Missing => "Missing",
            Self::Empty => "Empty",
            Self::WidePolicy { .. } => "WidePolicy",
            Self::RotationOff { .. } => "RotationOff",
            Self::IamLoginOff { .. } => "IamLoginOff",
            Self::DueSoon { .. } => "DueSoon",
            Self::TagsContradict { .. } => "TagsContradict",
            Self::TagsMissing { .. } => "TagsMissing",
            Self::NoPolicy => "NoPolicy",
            Self::Unused { .. } => "Unused",
            Self::NeverRotated => "NeverRotated",
        }
    }

    /// Whether every AWS account can use the secret: it pages in the first week, too.
    pub(crate) fn is_critical(&self) -> bool {
        matches!(self, Self::WidePolicy { principal } if principal == "*")
    }

    /// Whether somebody is to be woken.
    pub(crate) fn pages(&self) -> bool {
        self.is_critical()
            || matches!(self, Self::Overdue { .. } | Self::RotationLate { .. } | Self::StuckPending { .. })
    }

    /// When a secret whose finding is a task has to be rotated.
    pub(crate) fn task(&self) -> Option<Timestamp> {
        match self {
            Self::Overdue { due } | Self::DueSoon { due } => Some(*due),
            _ => None,
        }
    }

    /// Whether it is wrong of passwords only, and a login by IAM has none.
    fn is_of_passwords(&self) -> bool {
        matches!(self, Self::Overdue { .. } | Self::DueSoon { .. } | Self::RotationOff { .. })
    }

    /// Whether a run with this finding is not green.
    pub(crate) fn fails(&self) -> bool {
        self.pages()
            || matches!(
                self,
                Self::InsufficientData { .. }
                    | Self::Missing
                    | Self::Empty
                    | Self::WidePolicy { .. }
                    | Self::RotationOff { .. }
                    | Self::IamLoginOff { .. }
                    // Whether any environment audits it is not known here.
                    | Self::TagsContradict { is_here: false, .. }
            )
    }
}

type Rule = fn(&Facts, &Standard, &Audit, Timestamp) -> Option<Finding>;

/// Worst first.
const RULES: [Rule; 15] = [
    overdue,
    rotation_late,
    stuck_pending,
    unseen_versions,
    unseen_policy,
    unseen_instance,
    empty,
    iam_login_off,
    wide_policy,
    rotation_off,
    due_soon,
    tags_contradict,
    tags_missing,
    no_policy,
    unused,
];

/// What is wrong with a secret at `now`, worst first; empty when nothing is.
pub(crate) fn findings(secret: &Secret, audit: &Audit, now: Timestamp) -> Vec<Finding> {
    let Some(facts) = &secret.facts else { return vec![Finding::Missing] };
    if matches!(facts.mark, Mark::Contradicted { is_here: false, .. }) {
        return tags_contradict(facts, &secret.standard, audit, now).into_iter().collect();
    }
    let mut found: Vec<_> =
        RULES.iter().filter_map(|rule| rule(facts, &secret.standard, audit, now)).collect();
    if secret.iam_login().is_some() {
        found.retain(|each| !each.is_of_passwords());
    }
    // Of a secret that is overdue the age says it all.
    if facts.listed.enabled
        && facts.listed.rotated.is_none()
        && !found.iter().any(|each| each.kind() == "Overdue")
    {
        found.push(Finding::NeverRotated);
    }
    found.sort_by_key(|each| !each.is_critical());
    found
}

/// What is required of a secret. `key` is the application's name for one that the template names.
pub(crate) fn standard(policy: &Policy, key: &str) -> Standard {
    let rotation = &policy.rotation;
    let entry = rotation.secrets.get(key);
    let rotator = match entry {
        Some(entry) if entry.random.is_some() => Some(Rotator::Random),
        Some(_) if rotation.is_database(key) => Some(Rotator::Database),
        Some(_) if EXTERNAL.contains(&key) => Some(Rotator::External),
        _ => None,
    };
    Standard {
        max_age_days: entry.map(|entry| entry.max_age_days),
        rotator,
        iam_login: entry.and_then(|entry| entry.iam_login.clone()),
        responsible: policy.secret_responsible(key).clone(),
    }
}

fn days(days: u16) -> SignedDuration {
    SignedDuration::from_hours(i64::from(days) * 24)
}

fn hours(hours: u16) -> SignedDuration {
    SignedDuration::from_hours(i64::from(hours))
}

/// When the current value was made, its greatest age, and by how much that may be exceeded while the service is still
/// within the rotation's window: a window opens on the last day and lasts until the next.
fn age_limit(
    facts: &Facts,
    standard: &Standard,
    audit: &Audit,
    now: Timestamp,
) -> Option<(Timestamp, SignedDuration, SignedDuration)> {
    let (made, most) = (facts.current_made()?, days(standard.max_age_days?));
    let is_in_window = facts.listed.enabled && facts.listed.next.is_some_and(|next| next > now);
    Some((made, most, if is_in_window { hours(audit.late_hours) } else { SignedDuration::ZERO }))
}

fn due(made: Timestamp, most: SignedDuration) -> Timestamp {
    made.saturating_add(most).unwrap_or(Timestamp::MAX)
}

/// An age that is the greatest allowed complies.
fn overdue(facts: &Facts, standard: &Standard, audit: &Audit, now: Timestamp) -> Option<Finding> {
    let (made, most, grace) = age_limit(facts, standard, audit, now)?;
    (now.duration_since(made) > most + grace).then(|| Finding::Overdue { due: due(made, most) })
}

fn due_soon(facts: &Facts, standard: &Standard, audit: &Audit, now: Timestamp) -> Option<Finding> {
    let (made, most, grace) = age_limit(facts, standard, audit, now)?;
    // A secret that lives for a week is not due all its life.
    let ahead = days(audit.due_days).min(most / 2);
    let age = now.duration_since(made);
    (age >= most - ahead && age <= most + grace).then(|| Finding::DueSoon { due: due(made, most) })
}

fn rotation_late(facts: &Facts, _: &Standard, audit: &Audit, now: Timestamp) -> Option<Finding> {
    let since = facts.listed.next.filter(|_| facts.listed.enabled)?;
    (now.duration_since(since) > hours(audit.late_hours)).then_some(Finding::RotationLate { since })
}

/// AWSPENDING on the current version is normal after a rotation. Where the service does not tell when the pending version
/// was made, it was before the secret's last change: then this may speak late, but never too early.
fn stuck_pending(facts: &Facts, standard: &Standard, audit: &Audit, now: Timestamp) -> Option<Finding> {
    let (pending, current) = (facts.listed.labelled("AWSPENDING")?, facts.listed.labelled("AWSCURRENT"));
    if Some(pending) == current {
        return None;
    }
    let made = facts.made.as_ref().ok().and_then(|made| made.get(pending));
    let since = made.copied().or(facts.listed.changed)?;
    let random = match &facts.listed.function {
        Some(function) => function.ends_with("-rotate-random"),
        None => standard.rotator == Some(Rotator::Random),
    };
    (now.duration_since(since) > hours(audit.stuck_hours)).then(|| Finding::StuckPending {
        pending: pending.to_owned(),
        current: current.map(str::to_owned),
        since,
        may_be_in_force: !random,
    })
}

fn unseen_versions(facts: &Facts, _: &Standard, _: &Audit, _: Timestamp) -> Option<Finding> {
    let why = match &facts.made {
        Err(error) => error.to_string(),
        Ok(_) if facts.value_made.is_err() => facts.value_made.clone().err().unwrap_or_default(),
        Ok(_) if facts.listed.labelled("AWSCURRENT").is_some() && facts.current_made().is_none() => {
            "secretsmanager:ListSecretVersionIds leaves the version that is AWSCURRENT out".to_owned()
        }
        Ok(_) => return None,
    };
    Some(Finding::InsufficientData { why })
}

fn unseen_policy(facts: &Facts, _: &Standard, _: &Audit, now: Timestamp) -> Option<Finding> {
    let why = match &facts.resource_policy {
        Err(error) => error.to_string(),
        Ok(Some(text)) => resource_policy::admitted(text, &facts.listed.arn, now).err()?.to_string(),
        Ok(None) => return None,
    };
    Some(Finding::InsufficientData { why })
}

fn unseen_instance(facts: &Facts, _: &Standard, _: &Audit, _: Timestamp) -> Option<Finding> {
    let error = facts.takes_iam.as_ref()?.as_ref().err()?;
    Some(Finding::InsufficientData { why: error.to_string() })
}

fn iam_login_off(facts: &Facts, standard: &Standard, _: &Audit, _: Timestamp) -> Option<Finding> {
    let instance = standard.iam_login.as_ref().filter(|_| facts.takes_iam == Some(Ok(false)))?;
    Some(Finding::IamLoginOff { instance: instance.clone() })
}

fn empty(facts: &Facts, _: &Standard, _: &Audit, _: Timestamp) -> Option<Finding> {
    facts.listed.labelled("AWSCURRENT").is_none().then_some(Finding::Empty)
}

fn wide_policy(facts: &Facts, _: &Standard, _: &Audit, now: Timestamp) -> Option<Finding> {
    let text = facts.resource_policy.as_ref().ok()?.as_ref()?;
    let principal = resource_policy::admitted(text, &facts.listed.arn, now).ok()??;
    Some(Finding::WidePolicy { principal })
}

fn rotation_off(facts: &Facts, standard: &Standard, _: &Audit, _: Timestamp) -> Option<Finding> {
    standard.rotator.filter(|_| !facts.listed.enabled).map(|rotator| Finding::RotationOff { rotator })
}

fn tags_contradict(facts: &Facts, _: &Standard, _: &Audit, _: Timestamp) -> Option<Finding> {
    let Mark::Contradicted { tag, value, named, is_here } = &facts.mark else { return None };
    Some(Finding::TagsContradict { tag, value: value.clone(), named: named.clone(), is_here: *is_here })
}

fn tags_missing(facts: &Facts, _: &Standard, _: &Audit, _: Timestamp) -> Option<Finding> {
    let Mark::Untagged(tags) = &facts.mark else { return None };
    Some(Finding::TagsMissing { tags: tags.clone() })
}

fn no_policy(_: &Facts, standard: &Standard, _: &Audit, _: Timestamp) -> Option<Finding> {
    standard.max_age_days.is_none().then_some(Finding::NoPolicy)
}

fn unused(facts: &Facts, _: &Standard, audit: &Audit, now: Timestamp) -> Option<Finding> {
    let day = |at: Timestamp| at.as_second().div_euclid(DAY.as_secs());
    let is_unused = match facts.listed.accessed {
        Some(read) => day(now) - day(read) > i64::from(audit.unused_days),
        None => facts.listed.created.is_some_and(|made| now.duration_since(made) > days(audit.unused_days)),
    };
    is_unused.then_some(Finding::Unused { since: facts.listed.accessed })
}

#[cfg(test)]
mod tests {
    use shared::policy::Policy;

    use std::collections::BTreeSet;

    use super::*;

    const NOW: &str = "2026-03-01T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn ago(seconds: i64) -> Timestamp {
        now() - SignedDuration::from_secs(seconds)
    }

    const D: i64 = 86_400;
    const H: i64 = 3_600;

    /// A secret of the policy's key `JWT_SECRET` with which all is well.
    fn well() -> Secret {
        let policy: Policy = "".parse().unwrap();
        let labels = [("new", &["AWSCURRENT", "AWSPENDING"][..]), ("old", &["AWSPREVIOUS"])];
        let labels = labels
            .into_iter()
            .map(|(id, labels)| (id.to_owned(), labels.iter().map(|label| (*label).to_owned()).collect()));
        Secret {
            name: "/moveongs/dev/jwt".to_owned(),
            standard: standard(&policy, "JWT_SECRET"),
            facts: Some(Facts {
                listed: Listed {
                    arn: "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-a1B2c3"
                        .to_owned(),
                    created: Some(ago(400 * D)),
                    changed: Some(ago(D)),
                    accessed: Some(ago(D)),
                    rotated: Some(ago(10 * D)),
                    next: Some(ago(-80 * D)),
                    enabled: true,
                    function: Some(
                        "arn:aws:lambda:us-east-1:123456789012:function:moveongs-dev-rotate-random"
                            .to_owned(),
                    ),
                    labels: labels.collect(),
                    ..Listed::default()
                },
                mark: Mark::Tagged,
                made: Ok(BTreeMap::from([("new".to_owned(), ago(10 * D)), ("old".to_owned(), ago(100 * D))])),
                value_made: Ok(None),
                resource_policy: Ok(None),
                takes_iam: None,
            }),
        }
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Facts, &mut Standard), expected: &[&str]) -> Vec<Finding> {
        let mut secret = well();
        change(secret.facts.as_mut().unwrap(), &mut secret.standard);
        let policy: Policy = "".parse().unwrap();
        let found = findings(&secret, &policy.rotation.audit, now());
        let kinds: Vec<_> = found.iter().map(Finding::kind).collect();
        assert_eq!(kinds, expected);
        found
    }

    fn aged(facts: &mut Facts, seconds: i64) {
        facts.made.as_mut().unwrap().insert("new".to_owned(), ago(seconds));
    }

    fn denied() -> CallError {
        CallError {
            operation: "secretsmanager:GetResourcePolicy",
            code: "AccessDeniedException".to_owned(),
            message: "no".to_owned(),
        }
    }

    fn pending(facts: &mut Facts, since: Option<i64>) {
        facts.listed.labels.get_mut("new").unwrap().remove("AWSPENDING");
        facts.listed.labels.insert("next".to_owned(), BTreeSet::from(["AWSPENDING".to_owned()]));
        if let Some(since) = since {
            facts.made.as_mut().unwrap().insert("next".to_owned(), ago(since));
        }
    }

    #[test]
    fn the_age_of_the_current_value() {
        check(|_, _| {}, &[]);
        check(|facts, _| aged(facts, 76 * D - 1), &[]);
        check(|facts, _| aged(facts, 76 * D), &["DueSoon"]);
        check(|facts, _| aged(facts, 90 * D), &["DueSoon"]);
        // The rotation's window is open: it lasts a day.
        check(|facts, _| aged(facts, 90 * D + 1), &["DueSoon"]);
        check(|facts, _| aged(facts, 91 * D), &["DueSoon"]);
        check(|facts, _| aged(facts, 91 * D + 1), &["Overdue"]);
        // It is over, or there is none.
        let over = |facts: &mut Facts| facts.listed.next = Some(now());
        check(
            |facts, _| {
                over(facts);
                aged(facts, 90 * D);
            },
            &["DueSoon"],
        );
        let found = check(
            |facts, _| {
                over(facts);
                aged(facts, 90 * D + 1);
            },
            &["Overdue"],
        );
        assert_eq!(found[0].task(), Some(ago(1)));
        check(
            |facts, _| {
                facts.listed.enabled = false;
                aged(facts, 90 * D + 1);
            },
            &["Overdue", "RotationOff"],
        );
        // A tag moves the date of the last change, not the age.
        check(
            |facts, _| {
                facts.listed.changed = Some(now());
                aged(facts, 100 * D);
            },
            &["Overdue"],
        );
        // Of a short life, only the second half is due.
        check(
            |facts, standard| {
                standard.max_age_days = Some(8);
                aged(facts, 4 * D - 1);
            },
            &[],
        );
        check(
            |facts, standard| {
                standard.max_age_days = Some(8);
                aged(facts, 4 * D);
            },
            &["DueSoon"],
        );
    }

    #[test]
    fn a_rotation_that_the_service_has_not_done() {
        check(|facts, _| facts.listed.next = Some(ago(24 * H)), &[]);
        check(|facts, _| facts.listed.next = Some(ago(24 * H + 1)), &["RotationLate"]);
        check(|facts, _| facts.listed.next = None, &[]);
        check(
            |facts, _| {
                facts.listed.enabled = false;
                facts.listed.next = Some(ago(9 * D));
            },
            &["RotationOff"],
        );
        check(
            |facts, standard| {
                facts.listed.enabled = false;
                standard.rotator = None;
            },
            &[],
        );
        check(|facts, _| facts.listed.rotated = None, &["NeverRotated"]);
        check(
            |facts, _| {
                facts.listed.rotated = None;
                aged(facts, 92 * D);
            },
            &["Overdue"],
        );
    }

    #[test]
    fn a_pending_version_that_stays() {
        check(|facts, _| pending(facts, Some(24 * H)), &[]);
        let found = check(|facts, _| pending(facts, Some(24 * H + 1)), &["StuckPending"]);
        assert!(matches!(
            &found[0],
            Finding::StuckPending { pending, current: Some(current), may_be_in_force: false, .. }
                if pending == "next" && current == "new"
        ));
        // The service leaves the version out: then the last change bounds its age from below.
        check(|facts, _| pending(facts, None), &[]);
        check(
            |facts, _| {
                pending(facts, None);
                facts.listed.changed = Some(ago(D + 1));
            },
            &["StuckPending"],
        );
        // Of any other function the pending value may be the one in force.
        for function in [Some("arn:…:moveongs-dev-rotate-database"), Some("arn:…:SecretsManagerPostgres")]
        {
            let found = check(
                |facts, _| {
                    pending(facts, Some(2 * D));
                    facts.listed.function = function.map(str::to_owned);
                },
                &["StuckPending"],
            );
            assert!(matches!(&found[0], Finding::StuckPending { may_be_in_force: true, .. }));
        }
    }

    #[test]
    fn what_was_not_seen_is_no_pass() {
        check(|facts, _| facts.made = Err(denied()), &["InsufficientData"]);
        check(|facts, _| facts.resource_policy = Err(denied()), &["InsufficientData"]);
        check(|facts, _| facts.resource_policy = Ok(Some("{".to_owned())), &["InsufficientData"]);
        check(
            |facts, _| {
                facts.made = Err(denied());
                facts.resource_policy = Err(denied());
                facts.listed.next = Some(ago(2 * D));
            },
            &["RotationLate", "InsufficientData", "InsufficientData"],
        );
        let found = check(
            |facts, _| {
                facts.made.as_mut().unwrap().remove("new");
            },
            &["InsufficientData"],
        );
        assert!(found[0].fails());
        check(
            |facts, _| {
                facts.listed.labels.remove("new");
            },
            &["Empty"],
        );
        let policy: Policy = "".parse().unwrap();
        let missing = Secret { facts: None, ..well() };
        assert_eq!(findings(&missing, &policy.rotation.audit, now()), [Finding::Missing]);
    }

    #[test]
    fn a_secret_that_nobody_reads_or_knows() {
        // The service tells the day only.
        check(|facts, _| facts.listed.accessed = Some("2025-12-01T00:00:00Z".parse().unwrap()), &[]);
        check(|facts, _| facts.listed.accessed = Some("2025-11-30T00:00:00Z".parse().unwrap()), &["Unused"]);
        let never = |facts: &mut Facts, created| {
            facts.listed.accessed = None;
            facts.listed.created = Some(ago(created));
        };
        check(|facts, _| never(facts, 90 * D), &[]);
        check(|facts, _| never(facts, 90 * D + 1), &["Unused"]);
        check(|_, standard| standard.max_age_days = None, &["NoPolicy"]);
    }

    #[test]
    fn a_login_by_iam_has_no_age_where_rds_takes_it() {
        let old = |takes: Option<Result<bool, CallError>>| {
            move |facts: &mut Facts, standard: &mut Standard| {
                aged(facts, 400 * D);
                facts.listed.enabled = false;
                facts.takes_iam = takes.clone();
                standard.iam_login = takes.is_some().then(|| "moveongs-dev-db".to_owned());
            }
        };
        check(old(None), &["Overdue", "RotationOff"]);
        check(old(Some(Ok(true))), &[]);
        let off = check(old(Some(Ok(false))), &["Overdue", "IamLoginOff", "RotationOff"]);
        assert!(off[1].fails() && !off[1].pages());
        check(old(Some(Err(denied()))), &["Overdue", "InsufficientData", "RotationOff"]);
        // What RDS says counts only where the policy says so.
        check(
            |facts, standard| {
                old(Some(Ok(true)))(facts, standard);
                standard.iam_login = None;
            },
            &["Overdue", "RotationOff"],
        );
        // What is no password's is found all the same.
        check(
            |facts, standard| {
                old(Some(Ok(true)))(facts, standard);
                facts.listed.accessed = Some(ago(200 * D));
                pending(facts, Some(2 * D));
                facts.resource_policy = Err(denied());
            },
            &["StuckPending", "InsufficientData", "Unused"],
        );
    }

    #[test]
    fn a_policy_that_lets_others_in() {
        let wide = r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}"#;
        let found = check(|facts, _| facts.resource_policy = Ok(Some(wide.to_owned())), &["WidePolicy"]);
        assert!(found[0].pages() && found[0].is_critical() && found[0].fails());
        // One other account wakes no person; the run is not green all the same.
        let one = wide.replace(r#""*", "Action"#, r#"{"AWS": "arn:aws:iam::210987654321:root"}, "Action"#);
        let found = check(|facts, _| facts.resource_policy = Ok(Some(one.clone())), &["WidePolicy"]);
        assert!(!found[0].pages() && found[0].fails());
        // What everybody can read comes before what is old.
        check(
            |facts, _| {
                facts.resource_policy = Ok(Some(wide.to_owned()));
                facts.listed.enabled = false;
                aged(facts, 400 * D);
            },
            &["WidePolicy", "Overdue", "RotationOff"],
        );
        let closed = wide.replace("Allow", "Deny");
        check(|facts, _| facts.resource_policy = Ok(Some(closed.clone())), &[]);
    }

    #[test]
    fn an_old_value_that_was_put_back_keeps_its_age() {
        check(|facts, _| facts.value_made = Ok(Some(ago(95 * D))), &["Overdue"]);
        // It is at least as old as its version.
        for (days, expected) in [(10, &["InsufficientData"][..]), (95, &["Overdue", "InsufficientData"])] {
            check(
                |facts, _| {
                    facts.value_made = Err("s3:GetObject failed".to_owned());
                    aged(facts, days * D);
                },
                expected,
            );
        }
        for (rotated, expected) in [(Some(10 * D), false), (Some(10 * D + 1), true), (None, true)] {
            let mut facts = well().facts.unwrap();
            facts.listed.rotated = rotated.map(ago);
            assert_eq!(facts.is_by_hand(), expected, "{rotated:?}");
        }
    }

    #[test]
    fn what_is_ours_by_its_name_lacks_tags_and_another_environments_is_not_judged() {
        let missing = vec![("Environment", "dev".to_owned())];
        check(|facts, _| facts.mark = Mark::Untagged(missing.clone()), &["TagsMissing"]);
        let contradicted = |is_here| Mark::Contradicted {
            tag: "Environment",
            value: "prod".to_owned(),
            named: "dev".to_owned(),
            is_here,
        };
        let old = |is_here| {
            move |facts: &mut Facts, _: &mut Standard| {
                facts.mark = contradicted(is_here);
                aged(facts, 400 * D);
            }
        };
        let found = check(old(true), &["Overdue", "TagsContradict"]);
        assert!(!found[1].fails());
        let found = check(old(false), &["TagsContradict"]);
        assert!(!found[0].pages() && found[0].fails());
    }

    #[test]
    fn who_makes_it_and_who_is_responsible() {
        let policy: Policy =
            r#"{"rotation": {"secrets": {"reports": {"max_age_days": 30, "test_sql": ["SELECT 1"]}, "key": {"max_age_days": 9}}}}"#
                .parse()
                .unwrap();
        let of = |key: &str| {
            let standard = standard(&policy, key);
            (standard.max_age_days, standard.rotator, standard.responsible.primary)
        };
        assert_eq!(of("JWT_SECRET"), (Some(90), Some(Rotator::Random), "Squad Infra".to_owned()));
        for key in EXTERNAL {
            assert_eq!(of(key), (Some(180), Some(Rotator::External), "Squad Infra".to_owned()));
        }
        assert_eq!(of("DATABASE_URL"), (Some(90), Some(Rotator::Database), "Squad Dados".to_owned()));
        assert_eq!(of("reports"), (Some(30), Some(Rotator::Database), "Squad Dados".to_owned()));
        assert_eq!(of("key"), (Some(9), None, "Squad Infra".to_owned()));
        assert_eq!(of("other"), (None, None, "Squad Infra".to_owned()));
    }

    #[test]
    fn what_wakes_somebody_and_what_is_a_task() {
        let at = now();
        assert!(Finding::Overdue { due: at }.pages() && Finding::RotationLate { since: at }.pages());
        assert!(!Finding::DueSoon { due: at }.pages() && !Finding::DueSoon { due: at }.fails());
        assert_eq!(Finding::DueSoon { due: at }.task(), Some(at));
        assert_eq!(Finding::NoPolicy.task(), None);
        assert!(Finding::Missing.fails() && !Finding::NeverRotated.fails());
        let off = Finding::RotationOff { rotator: Rotator::Random };
        assert!(off.fails() && !off.pages());
    }
}
