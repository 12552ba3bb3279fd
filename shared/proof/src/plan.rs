//! What a proof asks for; from the policy.

use std::time::Duration;

use policy::Restores;

/// The policy's settings for a proof.
///
/// Tables are named as PostgreSQL prints them, e.g. `public.audit_logs`; a name without schema means `public`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// Tables that have to exist.
    pub critical: Vec<String>,
    /// Accepted difference of a row count, in percent of the source's.
    pub tolerance_percent: u8,
    /// Columns whose newest value shows the age of the data.
    pub newest: Vec<AgedColumn>,
    /// The application's audit digests; `None` if there are none.
    pub chain: Option<DigestChain>,
    /// Longest duration of a statement. A call of [`crate::read`] may outlast its limit by one statement.
    pub statement: Duration,
    /// Most sessions at a time; at least one is used.
    pub connections: usize,
    /// Rows per table, first in order of the primary key, whose hash is compared where the whole table's cannot be.
    pub sample_rows: u32,
    /// Tables whose rows come and go within hours: they are read to their end, but not compared.
    pub volatile: Vec<String>,
}

impl From<&Restores> for Plan {
    fn from(policy: &Restores) -> Self {
        let newest = policy.newest.iter().map(|one| AgedColumn {
            table: one.table.clone(),
            column: one.column.clone(),
            limit: Duration::from_secs(u64::from(one.max_age_hours) * 3600),
        });
        let chain = policy.chain.as_ref();
        Self {
            critical: policy.critical_tables.clone(),
            tolerance_percent: u8::try_from(policy.tolerance_percent).unwrap_or(100),
            newest: newest.collect(),
            chain: chain.map(|it| DigestChain { rows: it.rows.clone(), digests: it.digests.clone() }),
            statement: Duration::from_secs(policy.statement_seconds.into()),
            connections: policy.connections.into(),
            sample_rows: policy.sample_rows.into(),
            volatile: policy.volatile_tables.clone(),
        }
    }
}

/// A column of type `timestamptz`, `timestamp` (taken as UTC) or `date`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AgedColumn {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Greatest age of the newest value at the time of the snapshot.
    pub limit: Duration,
}

/// Digests that link each audit row to the one before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DigestChain {
    /// The audited table, with a primary key `id`.
    pub rows: String,
    /// Its digests: `log_id`, `digest`, `previous_digest`. The application creates it on first use.
    pub digests: String,
}

/// The name with its schema.
pub(crate) fn qualified(table: &str) -> String {
    if table.contains('.') { table.to_owned() } else { format!("public.{table}") }
}

#[cfg(test)]
mod tests {
    use policy::Policy;

    use super::*;

    #[test]
    fn the_defaults_are_the_guides_tables() {
        let policy: Policy = "".parse().unwrap();
        let plan = Plan::from(&policy.restores);
        assert_eq!(plan.critical, ["beneficiaries", "enrollments", "audit_logs", "attachments"]);
        assert_eq!(plan.newest.first().unwrap().limit, Duration::from_secs(86_400));
        assert_eq!(plan.chain.unwrap().digests, "audit_log_digests");
        assert_eq!((plan.statement, plan.connections), (Duration::from_secs(240), 4));
        assert_eq!(plan.volatile, ["auth_refresh_tokens", "mfa_challenges", "password_reset_tokens"]);
    }
}
