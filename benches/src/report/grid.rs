//! Headings and rows, before they become a table of the terminal, of Markdown or of the page.

use std::ops::Range;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

use super::table::{STYLE, WIDTH};

/// A name of up to so many characters is not broken over lines, however narrow the terminal is.
const NAME: usize = 24;

/// A table of the terminal without rows: at most 120 columns, `numbers` of them flush right.
pub(crate) fn table<Heading: AsRef<str>>(headings: &[Heading], numbers: Range<usize>) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(headings.iter().map(AsRef::as_ref));
    for column in table.column_iter_mut().take(numbers.end).skip(numbers.start) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A table without a look. Headings are text that is known beforehand, or names that a run brings.
pub(crate) struct Grid<Heading = &'static str> {
    /// One a column.
    pub(crate) headings: Vec<Heading>,
    /// As many fields as headings.
    pub(crate) rows: Vec<Vec<String>>,
    /// Columns from the left that are text; numbers are flush right.
    pub(crate) text_columns: usize,
}

impl<Heading: AsRef<str>> Grid<Heading> {
    /// For the terminal.
    pub(crate) fn terminal(&self) -> Table {
        let mut table = table(&self.headings, self.text_columns..self.headings.len());
        for row in &self.rows {
            table.add_row(row);
        }
        for (index, column) in table.column_iter_mut().take(self.text_columns).enumerate() {
            let longest = self.rows.iter().map(|row| row[index].chars().count()).max().unwrap_or_default();
            // With the blank on either side.
            let width = Width::Fixed(u16::try_from(longest.min(NAME) + 2).unwrap_or_default());
            column.set_constraint(ColumnConstraint::LowerBoundary(width));
        }
        table
    }

    /// For Markdown.
    pub(crate) fn markdown(&self) -> String {
        let rule = |column: usize| if column < self.text_columns { "---|" } else { "---:|" };
        let rules: String = (0..self.headings.len()).map(rule).collect();
        let headings: Vec<&str> = self.headings.iter().map(AsRef::as_ref).collect();
        let line = |fields: &[&str]| {
            let safe: Vec<String> = fields.iter().map(|field| field.replace('|', "\\|").replace('<', "&lt;")).collect();
            format!("| {} |\n", safe.join(" | "))
        };
        let row = |row: &Vec<String>| line(&row.iter().map(String::as_str).collect::<Vec<_>>());
        format!("{}|{rules}\n{}", line(&headings), self.rows.iter().map(row).collect::<String>())
    }
}
