//! What an audit found, against what it found the time before.
//!
//! A record's line of a finding is its key, `: `, and a sentence; the key is its kind, a space, and what it is about.

use std::collections::BTreeSet;

/// The key in a record's line.
pub fn key_of(line: &str) -> &str {
    line.split(": ").next().unwrap_or(line)
}

/// What has changed between two audits.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Keys that the record before did not have.
    pub new: BTreeSet<String>,
    /// Keys that only the record before has.
    pub resolved: BTreeSet<String>,
}

/// What has changed between the lines of the record before and the keys of now. What `is_unseen` says of the thing that a
/// key is about could not be looked at now, so that it is not resolved.
pub fn changes(before: &[String], now: &BTreeSet<String>, is_unseen: impl Fn(&str) -> bool) -> Changes {
    let before: BTreeSet<String> = before.iter().map(|line| key_of(line).to_owned()).collect();
    let is_seen = |key: &&String| !key.split_once(' ').is_some_and(|(_, about)| is_unseen(about));
    Changes {
        new: now.difference(&before).cloned().collect(),
        resolved: before.difference(now).filter(is_seen).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_and_what_is_resolved() {
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        let before = ["NoPolicy a: x", "Missing b: y: z", "Overdue c: old"].map(str::to_owned);
        let now = keys(&["NoPolicy a", "Missing a", "InsufficientData c"]);
        let changes = |before: &[String]| super::changes(before, &now, |about| about == "c");
        let expected =
            Changes { new: keys(&["InsufficientData c", "Missing a"]), resolved: keys(&["Missing b"]) };
        assert_eq!(changes(&before), expected);
        assert_eq!(changes(&[]), Changes { new: now.clone(), resolved: BTreeSet::new() });
    }
}
