//! The proof's result, as it is kept and shown. No I/O, no clock.

use jiff::Timestamp;
use proof::{Line, Verdict};
use serde::{Deserialize, Serialize};

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
    /// Baselines that were not compared, because they are not as they were recorded; each with the reason.
    #[serde(default)]
    pub unread: Vec<String>,
    /// Why the lost database could not be read.
    #[serde(default)]
    pub source_unread: Option<String>,
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
            unread: Vec::new(),
            source_unread: None,
            at: Timestamp::default(),
        }
    }
}

/// Summarises the lines of a proof. One that a baseline was kept from is not good, whatever the others say.
pub(crate) fn summarise(
    lines: &[Line],
    rows: u64,
    against: String,
    unread: Vec<String>,
    at: Timestamp,
) -> Proved {
    let mut counts = [0; 5];
    for line in lines {
        if let Some(count) = counts.get_mut(line.verdict as usize) {
            *count += 1;
        }
    }
    let mut bad: Vec<_> = lines.iter().filter(|line| line.verdict != Verdict::Pass).cloned().collect();
    bad.sort_by_key(|line| std::cmp::Reverse(line.verdict));
    bad.truncate(KEPT);
    let worst = proof::worst(lines);
    let verdict = if unread.is_empty() { worst } else { worst.max(Verdict::Unverified) };
    Proved { verdict, counts, lines: bad, rows, against, unread, source_unread: None, at }
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
            let proved = summarise(&lines, 7, String::new(), Vec::new(), at(0));
            assert_eq!((proved.verdict, is_good(worst)), (worst, place < 2));
            assert_eq!(proved.counts.iter().sum::<usize>(), place + 1);
            assert_eq!(proved.lines.len(), place);
        }
        assert_eq!(summarise(&[], 0, String::new(), Vec::new(), at(0)).verdict, Verdict::Unverified);
        assert_eq!(Proved::default().verdict, Verdict::Unverified);
    }

    #[test]
    fn a_proof_without_a_baseline_that_was_exchanged_is_not_good() {
        for (verdict, expected) in [
            (Verdict::Pass, Verdict::Unverified),
            (Verdict::NotFinished, Verdict::NotFinished),
            (Verdict::Fail, Verdict::Fail),
        ] {
            let line = Line { check: Check::Rows, object: "t".to_owned(), verdict, figure: Figure::None };
            let unread = vec!["baseline:e: its SHA-256 is not the one that was recorded".to_owned()];
            let proved = summarise(&[line], 7, String::new(), unread.clone(), at(0));
            assert_eq!((proved.verdict, proved.unread), (expected, unread));
        }
    }
}
