//! Tables as people open them in a spreadsheet.

/// A table as CSV, with its columns' names first.
pub fn csv<const N: usize>(columns: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    // Writing to memory cannot fail.
    let _ = writer.write_record(columns);
    for row in rows {
        let _ = writer.write_record(row.map(|cell| harmless(&cell)));
    }
    writer.into_inner().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// A spreadsheet takes a cell that begins so for a formula, and runs it.
fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_ends_its_row() {
        let row = ["=1+1", "a,\"b\"\nc"].map(str::to_owned);
        assert_eq!(csv(["x", "y"], [row].into_iter()), "x,y\n'=1+1,\"a,\"\"b\"\"\nc\"\n");
        for bad in ["+1", "-1", "@a", "\ta", "\ra"] {
            assert_eq!(harmless(bad), format!("'{bad}"));
        }
        assert_eq!(harmless("a=1"), "a=1");
    }
}
