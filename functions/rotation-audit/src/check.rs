//! Reads this environment's secrets and decides their findings.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::aws::listing;
use shared::aws::scope::{self, Mark};
use shared::aws::versions;
use shared::run::evidence::Step;
use shared::run::ledger;
use shared::runtime::failure::chain;

use crate::error::AuditError;
use crate::rules::facts::{Facts, Secret};
use crate::rules::finding::Finding;
use crate::rules::policy;
use crate::{App, aws};

/// This environment's secrets: those named by the template or the policy, those with its tags or its naming convention,
/// and those whose tags contradict such a name.
pub(crate) async fn observe(app: &App) -> Result<Vec<Secret>, AuditError> {
    let policy = &app.base.settings.policy;
    let mut named = app.scope.named(&policy.rotation);
    let mut secrets = Vec::new();
    for listed in listing::secrets(&app.secrets).await? {
        let mark = if named.remove(listed.name.as_str()) {
            Mark::Tagged
        } else {
            let Some(mark) = scope::mark(&app.base.settings, &listed.name, &listed.tags) else { continue };
            mark
        };
        let (name, standard) = (listed.name.clone(), policy::standard(policy, app.scope.key(&listed.name)));
        let is_anothers = matches!(mark, Mark::Contradicted { is_here: false, .. });
        let (made, resource_policy, accepts_iam) = if is_anothers {
            (Ok(BTreeMap::new()), Ok(None), None)
        } else {
            let made = versions::made(&app.secrets, &listed.arn).await;
            let resource_policy = aws::resource_policy(&app.secrets, &listed.arn).await;
            let accepts_iam = match &standard.iam_login {
                Some(instance) => Some(aws::accepts_iam(&app.rds, instance).await),
                None => None,
            };
            (made, resource_policy, accepts_iam)
        };
        let facts = Facts { listed, mark, made, value_made: Ok(None), resource_policy, accepts_iam };
        secrets.push(Secret { name, standard, facts: Some(facts) });
    }
    date_values(app, &mut secrets).await;
    secrets.extend(named.into_iter().map(|name| Secret {
        name: name.to_owned(),
        standard: policy::standard(policy, app.scope.key(name)),
        facts: None,
    }));
    Ok(secrets)
}

/// Adds the date of the value to secrets whose current version no rotation made. The date comes from the ledger: the
/// follow-up may read values, and compared the value with earlier ones.
async fn date_values(app: &App, secrets: &mut [Secret]) {
    let is_asked = |secret: &Secret| {
        secret.standard.rotator.is_some() && secret.facts.as_ref().is_some_and(Facts::is_by_hand)
    };
    if !secrets.iter().any(is_asked) {
        return;
    }
    let documents = &app.base.reporter.documents;
    let rows = ledger::rows(&documents.client, &documents.bucket).await;
    let rows =
        rows.map_err(|call| chain(&call)).and_then(|rows| rows.map_err(|why| format!("ledger: {why}")));
    for secret in secrets.iter_mut().filter(|secret| is_asked(secret)) {
        let Some(facts) = &mut secret.facts else { continue };
        let current = facts.listed.labelled("AWSCURRENT");
        let is_of = |row: &&ledger::Row| row.arn == facts.listed.arn && Some(row.version.as_str()) == current;
        facts.value_made = match &rows {
            Ok(rows) => Ok(rows.iter().find(is_of).and_then(|row| row.value_made)),
            Err(why) => Err(why.clone()),
        };
    }
}

/// The findings of each secret; the worst secret first.
pub(crate) fn decide(app: &App, secrets: Vec<Secret>, now: Timestamp) -> Vec<(Secret, Vec<Finding>)> {
    let audit = &app.base.settings.policy.rotation.audit;
    let mut decided: Vec<_> = secrets
        .into_iter()
        .map(|secret| {
            let found = policy::findings(&secret, audit, now);
            (secret, found)
        })
        .collect();
    let severity = |found: &[Finding]| {
        let rank = |finding: &Finding| {
            1 + u8::from(finding.fails()) + u8::from(finding.pages()) + u8::from(finding.is_critical())
        };
        found.iter().map(rank).max()
    };
    decided.sort_by_key(|(secret, found)| (std::cmp::Reverse(severity(found)), secret.name.clone()));
    decided
}

/// Steps for the record: the number of secrets, and each login by IAM. Membership in rds_iam is not checked, because
/// only the database shows it and the audit has no login.
pub(crate) fn steps(secrets: &[(Secret, Vec<Finding>)]) -> Vec<Step> {
    let mut steps = vec![Step::now(format!("look at {} secrets", secrets.len()), "succeeded")];
    steps.extend(secrets.iter().filter_map(|(secret, _)| {
        let instance = secret.iam_login()?;
        let outcome = format!(
            "RDS accepts it on {instance}; membership in rds_iam is declared by the policy, not checked"
        );
        Some(Step::now(format!("login by IAM: {}", secret.name), outcome))
    }));
    steps
}
