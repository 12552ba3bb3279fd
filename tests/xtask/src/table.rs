//! Tables for terminal output.

/// Formats columns as wide as their widest cell; the first row is the header.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().map(|row| line(row)).collect();
    let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    lines.insert(lines.len().min(1), line(&rule));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_aligned_and_the_head_is_underlined() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = table(&[row(["procedure", "s"]), row(["rotação", "12.5"]), row(["x", ""])]);
        assert_eq!(text, "procedure  s\n─────────  ────\nrotação    12.5\nx");
    }
}
