//! CSV tables that are safe to open in a spreadsheet.

/// A table as CSV, beginning with its header.
pub fn table<const N: usize>(columns: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut writer = ::csv::WriterBuilder::new().from_writer(Vec::new());
    // Writing to memory cannot fail.
    let _ = writer.write_record(columns);
    for row in rows {
        let _ = writer.write_record(row.map(|cell| harmless(&cell)));
    }
    writer.into_inner().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Characters that begin a formula, which a spreadsheet would run; the full-width ones in Japanese and Chinese
/// versions.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Characters that may end a cell: in a spreadsheet set to Portuguese, whose separator is the semicolon, or in one that
/// ignores quotes.
const ENDS: [char; 7] = [',', ';', '\t', '\r', '\n', '|', '"'];

/// The cell, with an apostrophe before every formula in it.
pub fn harmless(cell: &str) -> String {
    let mut safe = String::with_capacity(cell.len());
    let mut is_beginning = true;
    if cell.starts_with(['\t', '\r', '\n']) {
        safe.push('\'');
    }
    for character in cell.chars() {
        if is_beginning && FORMULA.contains(&character) {
            safe.push('\'');
        }
        is_beginning = ENDS.contains(&character) || (is_beginning && character.is_whitespace());
        safe.push(character);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_ends_its_row() {
        let row = ["=1+1", "a,\"b\"\nc"].map(str::to_owned);
        assert_eq!(table(["x", "y"], [row].into_iter()), "x,y\n'=1+1,\"a,\"\"b\"\"\nc\"\n");
        for bad in ["+1", "-1", "@a", "\ta", "\ra"] {
            assert_eq!(harmless(bad), format!("'{bad}"));
        }
        assert_eq!(harmless("a=1"), "a=1");
        for (bad, safe) in [
            (";=1+1", ";'=1+1"),
            ("a; =1", "a; '=1"),
            ("a\n@x", "a\n'@x"),
            ("\"-1", "\"'-1"),
            ("x,＝1", "x,'＝1"),
            (" =1", " '=1"),
        ] {
            assert_eq!(harmless(bad), safe);
        }
    }
}
