//! The proof's result, as it is kept and shown. No I/O, no clock.

use std::time::Duration;

use jiff::Timestamp;
use proof::{AgedColumn, DigestChain, Line, Plan, Verdict};
use serde::{Deserialize, Serialize};
use shared::policy::Restores;

/// Most lines that are kept in the note; the evidence has all.
const KEPT: usize = 20;

/// The result.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Proved {
    /// The worst of all lines.
    pub verdict: Verdict,
    /// Number of lines by verdict, from the best to the worst.
    pub counts: [usize; 5],
    /// The lines that do not pass, the worst first.
    pub lines: Vec<Line>,
    /// Rows that were read.
    pub rows: u64,
    /// What it was compared with: `baseline`, `source`, both with a comma, or nothing.
    pub against: String,
    /// When.
    pub at: Timestamp,
}

impl Default for Proved {
    fn default() -> Self {
        Self {
            verdict: Verdict::Unverified,
            counts: [0; 5],
            lines: Vec::new(),
            rows: 0,
            against: String::new(),
            at: Timestamp::default(),
        }
    }
}

/// What the policy asks of a proof; the same as of a restore test.
pub(crate) fn plan(policy: &Restores) -> Plan {
    let newest = policy.newest.iter().map(|one| AgedColumn {
        table: one.table.clone(),
        column: one.column.clone(),
        limit: Duration::from_secs(u64::from(one.max_age_hours) * 3600),
    });
    let chain = policy.chain.as_ref();
    Plan {
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

/// Summarises the lines of a proof.
pub(crate) fn summarise(lines: &[Line], rows: u64, against: String, at: Timestamp) -> Proved {
    let mut counts = [0; 5];
    for line in lines {
        if let Some(count) = counts.get_mut(line.verdict as usize) {
            *count += 1;
        }
    }
    let mut bad: Vec<_> = lines.iter().filter(|line| line.verdict != Verdict::Pass).cloned().collect();
    bad.sort_by_key(|line| std::cmp::Reverse(line.verdict));
    bad.truncate(KEPT);
    Proved { verdict: proof::worst(lines), counts, lines: bad, rows, against, at }
}

/// Whether the restored database may be used without a reason. A check that this version of PostgreSQL lacks says
/// nothing against it.
pub(crate) fn is_good(verdict: Verdict) -> bool {
    verdict <= Verdict::Unavailable
}

/// A verdict's word.
pub(crate) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Unavailable => "unavailable",
        Verdict::Unverified => "unverified",
        Verdict::NotFinished => "not_finished",
        Verdict::Fail => "fail",
    }
}

#[cfg(test)]
mod tests {
    use proof::{Check, Figure};

    use super::super::restore::tests::at;
    use super::*;

    #[test]
    fn a_proof_is_as_good_as_its_worst_line() {
        let line =
            |verdict| Line { check: Check::Rows, object: "t".to_owned(), verdict, figure: Figure::None };
        let all =
            [Verdict::Pass, Verdict::Unavailable, Verdict::Unverified, Verdict::NotFinished, Verdict::Fail];
        for (place, worst) in all.into_iter().enumerate() {
            let lines: Vec<_> = all.into_iter().take(place + 1).map(line).collect();
            let proved = summarise(&lines, 7, String::new(), at(0));
            assert_eq!((proved.verdict, is_good(worst)), (worst, place < 2));
            assert_eq!(proved.counts.iter().sum::<usize>(), place + 1);
            assert_eq!(proved.lines.len(), place);
        }
        assert_eq!(summarise(&[], 0, String::new(), at(0)).verdict, Verdict::Unverified);
        assert_eq!(Proved::default().verdict, Verdict::Unverified);
    }
}
