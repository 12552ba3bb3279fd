//! The rules: the findings of a secret, worst first. No I/O, no clock.

use jiff::{SignedDuration, Timestamp};
use shared::aws::scope::Mark;
use shared::policy::{Audit, Policy};

use super::facts::{Facts, Rotator, Secret, Standard};
use super::finding::Finding;
use super::resource_policy;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Keys in the policy of the secrets that `rotate-external` rotates.
const EXTERNAL: [&str; 3] =
    ["NOTIFICATIONS_EMAIL_SES", "NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN", "SEED_ADMIN_PASSWORD"];

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

/// Findings of a secret at `now`, worst first.
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
    // An overdue secret already has a finding about its age.
    if facts.listed.enabled
        && facts.listed.rotated.is_none()
        && !found.iter().any(|each| each.kind() == "Overdue")
    {
        found.push(Finding::NeverRotated);
    }
    found.sort_by_key(|each| !each.is_critical());
    found
}

/// Requirements of a secret. For a secret that the template names, `key` is the variable.
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

/// When the current value was created, its maximum age, and the grace period after that. The grace period applies while
/// the service's next rotation is still ahead: the window of a rotation opens on the last allowed day and lasts until
/// the next day.
fn age_limit(
    facts: &Facts,
    standard: &Standard,
    audit: &Audit,
    now: Timestamp,
) -> Option<(Timestamp, SignedDuration, SignedDuration)> {
    let (made, limit) = (facts.current_made()?, days(standard.max_age_days?));
    let is_in_window = facts.listed.enabled && facts.listed.next.is_some_and(|next| next > now);
    Some((made, limit, if is_in_window { hours(audit.late_hours) } else { SignedDuration::ZERO }))
}

fn due(made: Timestamp, limit: SignedDuration) -> Timestamp {
    made.saturating_add(limit).unwrap_or(Timestamp::MAX)
}

/// An age equal to the maximum complies.
fn overdue(facts: &Facts, standard: &Standard, audit: &Audit, now: Timestamp) -> Option<Finding> {
    let (made, limit, grace) = age_limit(facts, standard, audit, now)?;
    (now.duration_since(made) > limit + grace).then(|| Finding::Overdue { due: due(made, limit) })
}

fn due_soon(facts: &Facts, standard: &Standard, audit: &Audit, now: Timestamp) -> Option<Finding> {
    let (made, limit, grace) = age_limit(facts, standard, audit, now)?;
    // At most half of the maximum age: otherwise a secret with a maximum of a week would always be due soon.
    let ahead = days(audit.due_days).min(limit / 2);
    let age = now.duration_since(made);
    (age >= limit - ahead && age <= limit + grace).then(|| Finding::DueSoon { due: due(made, limit) })
}

fn rotation_late(facts: &Facts, _: &Standard, audit: &Audit, now: Timestamp) -> Option<Finding> {
    let since = facts.listed.next.filter(|_| facts.listed.enabled)?;
    (now.duration_since(since) > hours(audit.late_hours)).then_some(Finding::RotationLate { since })
}

/// AWSPENDING on the current version is normal after a rotation. If the service omits the pending version's date, the
/// date of the secret's last change replaces it: that is never earlier, so the finding may be late but never early.
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
            "secretsmanager:ListSecretVersionIds does not list the AWSCURRENT version".to_owned()
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
    let error = facts.accepts_iam.as_ref()?.as_ref().err()?;
    Some(Finding::InsufficientData { why: error.to_string() })
}

fn iam_login_off(facts: &Facts, standard: &Standard, _: &Audit, _: Timestamp) -> Option<Finding> {
    let instance = standard.iam_login.as_ref().filter(|_| facts.accepts_iam == Some(Ok(false)))?;
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
mod tests;
