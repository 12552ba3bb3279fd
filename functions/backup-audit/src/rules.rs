//! Decisions: facts, the rules that judge them, and the repairs. No AWS, no runtime, no clock.

pub(crate) mod application;
pub(crate) mod audit;
pub(crate) mod coverage;
pub(crate) mod facts;
pub(crate) mod finding;
pub(crate) mod grafana;
pub(crate) mod names;
pub(crate) mod ocsf;
pub(crate) mod plans;
pub(crate) mod rds;
pub(crate) mod repair;
pub(crate) mod rule;
pub(crate) mod s3;
pub(crate) mod terraform;

pub(crate) use rule::{Context, Meta, Row, Verdict};

/// All rules.
pub(crate) fn all() -> impl Iterator<Item = &'static Meta> {
    let instances = rds::INSTANCE.iter().map(|rule| &rule.meta);
    let snapshots = rds::snapshot::SNAPSHOT.iter().map(|rule| &rule.meta);
    let buckets = s3::BUCKET.iter().map(|rule| &rule.meta);
    let tables = terraform::TABLE.iter().map(|rule| &rule.meta);
    let services = application::SERVICE.iter().map(|rule| &rule.meta);
    let account = application::ACCOUNT.iter().map(|rule| &rule.meta);
    let protected = application::PROTECTED.iter().map(|rule| &rule.meta);
    let vaults = application::VAULT.iter().map(|rule| &rule.meta);
    let exports = grafana::EXPORT.iter().map(|rule| &rule.meta);
    let declared = [
        &s3::MISSING,
        &terraform::DECLARED_STATE,
        &terraform::DECLARED_LOCK,
        &s3::GRAFANA_DECLARED,
        &s3::UPLOADS_DECLARED,
        &audit::UNSEEN,
        &audit::EXPIRED,
        &rds::MISSING,
        &application::NO_SERVICE,
    ];
    let resources = instances.chain(snapshots).chain(buckets).chain(tables).chain(services);
    resources.chain(account).chain(protected).chain(vaults).chain(exports).chain(declared)
}

#[cfg(test)]
mod tests;
