//! The policy's restore section as the proof's plan.

use std::time::Duration;

use proof::{AgedColumn, DigestChain, Plan};
use shared::policy::Restores;

/// What the policy asks of a proof.
pub(crate) fn plan(policy: &Restores) -> Plan {
    Plan {
        critical: policy.critical_tables.clone(),
        tolerance_percent: u8::try_from(policy.tolerance_percent).unwrap_or(100),
        newest: policy
            .newest
            .iter()
            .map(|one| AgedColumn {
                table: one.table.clone(),
                column: one.column.clone(),
                limit: Duration::from_secs(u64::from(one.max_age_hours) * 3600),
            })
            .collect(),
        chain: policy
            .chain
            .as_ref()
            .map(|chain| DigestChain { rows: chain.rows.clone(), digests: chain.digests.clone() }),
        statement: Duration::from_secs(policy.statement_seconds.into()),
        connections: policy.connections.into(),
        sample_rows: policy.sample_rows.into(),
        volatile: policy.volatile_tables.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use shared::policy::{LONGEST_RESTORE_SECONDS, MOST_PIECES, PIECE_SECONDS, Policy};

    use super::*;

    #[test]
    fn the_defaults_are_the_guides_tables() {
        let policy: Policy = "".parse().unwrap();
        let plan = plan(&policy.restores);
        assert_eq!(plan.critical, ["beneficiaries", "enrollments", "audit_logs", "attachments"]);
        assert_eq!(plan.newest.first().unwrap().limit, Duration::from_secs(86_400));
        assert_eq!(plan.chain.unwrap().digests, "audit_log_digests");
        assert_eq!((plan.statement, plan.connections), (Duration::from_secs(240), 4));
        assert_eq!(plan.volatile, ["auth_refresh_tokens", "mfa_challenges", "password_reset_tokens"]);
    }

    #[test]
    fn an_execution_may_take_as_long_as_its_greatest_limits() {
        let definition: Value = serde_json::from_str(include_str!("../../statemachine.asl.json")).unwrap();
        let polls = 3 * LONGEST_RESTORE_SECONDS;
        let pieces = 2 * u32::from(MOST_PIECES) * PIECE_SECONDS;
        assert!(definition["TimeoutSeconds"].as_u64().unwrap() > u64::from(polls + pieces));
    }
}
