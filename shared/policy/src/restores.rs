//! Restore tests: what is proved, within what limits and how long.

use serde::Deserialize;

use crate::rotation::Polls;
use crate::{PolicyError, is_line, within};

/// Longest wait of `restore-test` for one thing, in seconds; its state machine's `TimeoutSeconds` allows for three, and
/// for [`MOST_PIECES`] of its function's longest calls for each of two databases.
pub const LONGEST_RESTORE_SECONDS: u32 = 21_600;

/// Most calls that read one database.
pub const MOST_PIECES: u16 = 24;

/// Longest call that reads, in seconds.
pub const PIECE_SECONDS: u32 = 900;

/// Settings of `restore-test` (guide, 2.1 steps 3 and 4).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Restores {
    /// Tables that the restored database must have; a name without schema is in `public`.
    pub critical_tables: Vec<String>,
    /// Accepted difference of a table's row count where the source changed since the snapshot, in percent: 0 to 100.
    pub tolerance_percent: u16,
    /// Tables whose rows come and go within hours, e.g. tokens: read to their end, but not compared with the source.
    pub volatile_tables: Vec<String>,
    /// Columns whose newest value shows the age of the data.
    pub newest: Vec<Newest>,
    /// The application's audit digests; absent if it has none.
    pub chain: Option<Chain>,
    /// Longest duration of a statement, in seconds: 1 to 300.
    pub statement_seconds: u16,
    /// Most sessions at a time: 1 to 16.
    pub connections: u16,
    /// Rows per table that are compared where the whole table cannot be: 0 to 10000.
    pub sample_rows: u16,
    /// Polling of the restored instance: at most six hours.
    pub restore: Polls,
    /// Polling of the master's password: at most six hours.
    pub password: Polls,
    /// Polling of the instance's removal: at most six hours.
    pub removal: Polls,
    /// Most calls of the function that read one database, each up to 15 minutes: 1 to 24.
    pub pieces: u16,
    /// Hours after which the test's instance is removed in any case: at most 48, and enough for `restore`, `password`,
    /// `removal` and `pieces` together.
    pub deadline_hours: u16,
    /// Minutes of silence after which a run counts as dead: 30 to 1440. A call of the function takes up to 15, and a sign
    /// of life may be five minutes old when it begins.
    pub silent_minutes: u16,
}

/// A column whose newest value shows the age of the data.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Newest {
    /// The table.
    pub table: String,
    /// A column of dates or times.
    pub column: String,
    /// Maximum age at the time of the snapshot, in hours: 1 to 8760. An older value passes if the source has it too.
    pub max_age_hours: u16,
}

/// Digests that link each audit row to the one before.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// The audited table.
    pub rows: String,
    /// The table of its digests.
    pub digests: String,
}

impl Restores {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        let name = |path: String, name: &str| {
            if is_line(name, 127) && !name.starts_with('.') && !name.ends_with('.') {
                return Ok(());
            }
            Err(PolicyError::at(path, "expected the name of a table or column, with or without its schema"))
        };
        for (index, table) in self.critical_tables.iter().enumerate() {
            name(format!("{path}.critical_tables[{index}]"), table)?;
        }
        for (index, table) in self.volatile_tables.iter().enumerate() {
            name(format!("{path}.volatile_tables[{index}]"), table)?;
        }
        for (index, newest) in self.newest.iter().enumerate() {
            let path = format!("{path}.newest[{index}]");
            name(format!("{path}.table"), &newest.table)?;
            name(format!("{path}.column"), &newest.column)?;
            within(format!("{path}.max_age_hours"), newest.max_age_hours, 1, 8760)?;
        }
        if let Some(chain) = &self.chain {
            name(format!("{path}.chain.rows"), &chain.rows)?;
            name(format!("{path}.chain.digests"), &chain.digests)?;
        }
        within(format!("{path}.tolerance_percent"), self.tolerance_percent, 0, 100)?;
        within(format!("{path}.statement_seconds"), self.statement_seconds, 1, 300)?;
        within(format!("{path}.connections"), self.connections, 1, 16)?;
        within(format!("{path}.sample_rows"), self.sample_rows, 0, 10_000)?;
        for (field, polls) in
            [("restore", &self.restore), ("password", &self.password), ("removal", &self.removal)]
        {
            polls.check(&format!("{path}.{field}"))?;
            if polls.seconds() > LONGEST_RESTORE_SECONDS {
                let reason = format!(
                    "every_seconds × times is {} s, expected at most {LONGEST_RESTORE_SECONDS}",
                    polls.seconds()
                );
                return Err(PolicyError::at(format!("{path}.{field}"), reason));
            }
        }
        within(format!("{path}.pieces"), self.pieces, 1, MOST_PIECES)?;
        within(format!("{path}.deadline_hours"), self.deadline_hours, 1, 48)?;
        // Else the reaper would remove the instance of a test that keeps to every other limit.
        let needed = self.longest_seconds().div_ceil(3600);
        if u32::from(self.deadline_hours) < needed {
            let reason = format!(
                "restore, password, removal and pieces may take {needed} h, expected no less than that"
            );
            return Err(PolicyError::at(format!("{path}.deadline_hours"), reason));
        }
        within(format!("{path}.silent_minutes"), self.silent_minutes, 30, 1440)
    }

    /// The time that the test's instance may exist within all other limits. The source is read without it.
    fn longest_seconds(&self) -> u32 {
        let polls = [&self.restore, &self.password, &self.removal].map(Polls::seconds);
        polls.iter().sum::<u32>() + u32::from(self.pieces) * PIECE_SECONDS
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Policy;

    #[test]
    fn a_refusal_has_the_path_of_the_field() {
        for (patch, path) in [
            (json!({"critical_tables": [""]}), "critical_tables[0]"),
            (json!({"critical_tables": ["a", ".b"]}), "critical_tables[1]"),
            (
                json!({"newest": [{"table": "t", "column": "c", "max_age_hours": 0}]}),
                "newest[0].max_age_hours",
            ),
            (json!({"newest": [{"table": "t", "column": "c"}]}), "newest[0]"),
            (json!({"chain": {"rows": "a", "digests": ""}}), "chain.digests"),
            (json!({"tolerance_percent": 101}), "tolerance_percent"),
            (json!({"statement_seconds": 301}), "statement_seconds"),
            (json!({"connections": 0}), "connections"),
            (json!({"sample_rows": 10_001}), "sample_rows"),
            (json!({"restore": {"every_seconds": 300, "times": 200}}), "restore"),
            (json!({"removal": {"every_seconds": 0}}), "removal.every_seconds"),
            (json!({"pieces": 25}), "pieces"),
            (json!({"deadline_hours": 49}), "deadline_hours"),
            (json!({"silent_minutes": 29}), "silent_minutes"),
            (json!({"volatile_tables": ["a", ""]}), "volatile_tables[1]"),
            // Each limit is allowed, but not all of them within the deadline.
            (json!({"deadline_hours": 9}), "deadline_hours"),
            (json!({"restore": {"every_seconds": 120, "times": 150}}), "deadline_hours"),
            (json!({"instance": "x"}), "instance"),
        ] {
            let refused = Policy::of(&json!({"restores": patch})).unwrap_err();
            assert_eq!(refused.path, format!("restores.{path}"), "{refused}");
        }
    }

    #[test]
    fn the_greatest_limits_fit_in_the_greatest_deadline() {
        let polls = json!({"every_seconds": 180, "times": 120});
        let limits = json!({"restore": polls, "password": polls, "removal": polls, "deadline_hours": 48});
        Policy::of(&json!({"restores": limits})).unwrap();
        Policy::of(&json!({"restores": {"deadline_hours": 10}})).unwrap();
    }

    #[test]
    fn an_application_without_audit_digests_has_no_chain() {
        let policy = Policy::of(&json!({"restores": {"chain": null, "tolerance_percent": 0}})).unwrap();
        assert_eq!(policy.restores.chain, None);
    }
}
