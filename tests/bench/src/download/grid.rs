// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables of text.

/// Rows of cells; the first row is the header. All rows are as long as it.
pub(crate) type Grid = Vec<Vec<String>>;

/// Columns aligned by blanks: the first to the left, others to the right.
pub(crate) fn text(grid: &Grid) -> String {
    let columns = grid.first().map_or(0, Vec::len);
    let widths = (0..columns)
        .map(|column| {
            grid.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect::<Vec<_>>();
    let mut text = String::new();
    for row in grid {
        let line = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect::<Vec<_>>()
            .join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The same for Markdown.
pub(crate) fn markdown(grid: &Grid) -> String {
    let mut lines = grid
        .iter()
        .map(|row| format!("| {} |\n", row.join(" | ")))
        .collect::<Vec<_>>();
    if let Some(header) = grid.first() {
        let rule = format!("|---|{}\n", "--:|".repeat(header.len().saturating_sub(1)));
        lines.insert(1, rule);
    }
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        [["", "RTT 0"], ["plain go", "0.55 s"]]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec()
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(text(&grid()), "           RTT 0\nplain go  0.55 s\n");
    }

    #[test]
    fn markdown_has_a_rule_below_the_header() {
        assert_eq!(
            markdown(&grid()),
            "|  | RTT 0 |\n|---|--:|\n| plain go | 0.55 s |\n"
        );
    }
}
