//! The inventory as a table for people (CSV).

use serde::{Deserialize, Serialize};
use shared::run::csv;

use crate::rules::row::{Problem, Row};

/// Key of the table in the evidence bucket.
pub(crate) const KEY: &str = "inventory/inventory.csv";

const COLUMNS: [&str; 10] =
    ["area", "kind", "name", "arn", "primary", "backup", "exists", "tags", "terraform", "findings"];

/// The rows as stored; the cells are in the order of `COLUMNS`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Table {
    rows: Vec<[String; 10]>,
}

impl Table {
    /// The rows of an audit, sorted by area, kind and name; resources outside the inventory come last.
    pub(crate) fn of(rows: &[Row]) -> Self {
        let mut ordered: Vec<_> = rows.iter().collect();
        ordered.sort_by_cached_key(|row| (row.area.is_none(), row.area, row.about()));
        Self { rows: ordered.into_iter().map(cells).collect() }
    }

    /// As CSV.
    pub(crate) fn csv(&self) -> String {
        csv::table(COLUMNS, self.rows.iter().cloned())
    }
}

fn cells(row: &Row) -> [String; 10] {
    let findings: Vec<_> = row.problems.iter().map(Problem::kind).collect();
    [
        row.area.map(|area| area.name()).unwrap_or_default().to_owned(),
        row.kind.clone(),
        row.name.clone(),
        row.arn.clone(),
        row.responsible.primary.clone(),
        row.responsible.backup.clone(),
        row.exists.word().to_owned(),
        row.tags.word().to_owned(),
        row.state.word().to_owned(),
        findings.join(" "),
    ]
}

#[cfg(test)]
mod tests {
    use shared::policy::{Area, Responsible};

    use super::*;
    use crate::rules::row::Verdict;

    #[test]
    fn the_areas_come_first_and_a_row_has_every_verdict() {
        let row = |area: Option<Area>, name: &str| Row {
            area,
            kind: "s3-bucket".to_owned(),
            name: name.to_owned(),
            arn: format!("arn:aws:s3:::{name}"),
            responsible: Responsible {
                primary: "Squad Infra".to_owned(),
                backup: "Squad Backend".to_owned(),
            },
            exists: Verdict::NotAsked,
            tags: Verdict::Pass,
            state: Verdict::Fail,
            settings: Verdict::NotAsked,
            import: None,
            problems: vec![Problem::NotInState, Problem::NotInInventory],
        };
        let listed = Row {
            exists: Verdict::Pass,
            state: Verdict::Unknown,
            problems: vec![],
            ..row(Some(Area::Attachments), "z")
        };
        let csv = Table::of(&[row(None, "a"), listed]).csv();
        assert_eq!(
            csv,
            "area,kind,name,arn,primary,backup,exists,tags,terraform,findings\n\
             attachments,s3-bucket,z,arn:aws:s3:::z,Squad Infra,Squad Backend,ok,ok,unverified,\n\
             ,s3-bucket,a,arn:aws:s3:::a,Squad Infra,Squad Backend,,ok,finding,NotInState NotInInventory\n"
        );
    }

    #[test]
    fn the_table_of_bc640d8_is_read() {
        let recorded = include_str!("../../../tests/recorded/inventory-table.json");
        let table: Table = serde_json::from_str(recorded).unwrap();
        assert!(table.csv().contains("\ndatabase,rds-instance,moveongs-dev-db,"), "{}", table.csv());
    }
}
