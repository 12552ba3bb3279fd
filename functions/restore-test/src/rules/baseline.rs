//! What a baseline lacks.

use proof::{Failure, FailureKind, Reading};

/// The tables of a reading that could not be read, with the reason. One that went away meanwhile, or whose rows are on
/// another server, is none.
pub(crate) fn unread(reading: &Reading) -> Vec<(&str, &Failure)> {
    let failed =
        |failure: &&Failure| ![FailureKind::Vanished, FailureKind::Unavailable].contains(&failure.kind);
    let tables = reading.tables.iter();
    tables
        .filter_map(|(name, table)| Some((name.as_str(), table.content.failure().filter(failed)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_could_not_be_read_is_named() {
        let mut reading = Reading::default();
        for (name, kind) in [
            ("denied", FailureKind::Denied),
            ("vanished", FailureKind::Vanished),
            ("foreign", FailureKind::Unavailable),
        ] {
            let failure = Failure { kind, sqlstate: None, message: String::new() };
            let content = proof::Outcome::Failed(failure);
            reading.tables.insert(name.to_owned(), proof::Table { content, ..proof::Table::default() });
        }
        reading.tables.insert("pending".to_owned(), proof::Table::default());
        let names: Vec<_> = unread(&reading).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["denied"]);
    }
}
