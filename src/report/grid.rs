//! A printed table: columns of cells over the same rows, as text for a terminal, as Markdown and as HTML.

use super::markdown;
use crate::analysis::Group;
use crate::error::printable;
use crate::fault::{ArrayLabel, FaultLabel, Protection};
use crate::figure::{evenly, MOST_SHOWN};
use crate::quant::MethodLabel;
use crate::units::Bits;
use askama::filters::Safe;
use askama::Template;
use std::borrow::Cow;

/// Most characters of a cell on a terminal.
const LONGEST_CELL: usize = 300;

/// What stands in one row of a column. Whatever is in a text, it is no markup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cell {
    /// Nothing was measured: a dash.
    #[default]
    Nothing,
    /// Words or a number.
    Text(String),
    /// A name, in Markdown in the type of code.
    Code(String),
    /// Words, and the path that they lead to in Markdown.
    Link(String, String),
    /// Parts, one after the other.
    Joined(Vec<Cell>),
}

impl Cell {
    /// Parts with words between them.
    pub(super) fn listed(parts: Vec<Self>, between: &str) -> Self {
        let mut all = Vec::new();
        for (i, part) in parts.into_iter().enumerate() {
            if i > 0 {
                all.push(between.into());
            }
            all.push(part);
        }
        Self::Joined(all)
    }

    /// The text without its style, with a dash for nothing.
    fn plain(&self, dash: &'static str) -> Cow<'_, str> {
        match self {
            Self::Nothing => dash.into(),
            Self::Text(text) | Self::Code(text) | Self::Link(text, _) => text.into(),
            Self::Joined(parts) => {
                let parts = parts.iter().map(|part| part.plain(dash));
                parts.collect::<String>().into()
            }
        }
    }

    fn markdown(&self) -> String {
        match self {
            Self::Nothing => "–".into(),
            Self::Text(text) => markdown::inline(text),
            Self::Code(name) => markdown::code(name),
            Self::Link(text, path) => markdown::link(text, path),
            Self::Joined(parts) => parts.iter().map(Self::markdown).collect(),
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}

/// Cells of values as they print themselves.
macro_rules! printed {
    ($($value:ty),+) => {$(
        impl From<$value> for Cell {
            fn from(value: $value) -> Self {
                Self::Text(value.to_string())
            }
        }
    )+};
}

printed!(&str, &String, u8, u32, u64, usize, f64);
printed!(
    Bits,
    MethodLabel,
    Protection,
    ArrayLabel,
    &ArrayLabel,
    &FaultLabel,
    &Group
);

/// A column over all rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    title: String,
    /// Numbers stand to the right.
    right: bool,
    cells: Vec<Cell>,
}

/// A printed table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    columns: Vec<Column>,
    /// Rows.
    length: usize,
    /// Rows that begin a group, but the first.
    begins: Vec<usize>,
    /// Rows that are marked on a page.
    marked: Vec<usize>,
}

/// A table that gets its columns one after the other, each with what it shows of a row.
#[derive(Debug)]
pub struct Rows<'a, R> {
    rows: &'a [R],
    grid: Grid,
}

impl Grid {
    /// A table of these rows, without a column as yet.
    pub fn of<R>(rows: &[R]) -> Rows<'_, R> {
        let grid = Self {
            length: rows.len(),
            ..Self::default()
        };
        Rows { rows, grid }
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Aligned text for a terminal, foreign text as messages show it.
    pub fn terminal(&self) -> String {
        let mut lines = vec![String::new(); self.length + 1];
        for (i, column) in self.columns.iter().enumerate() {
            let mut texts = vec![column.title.clone()];
            for cell in &column.cells {
                texts.push(printable(&cell.plain("-"), LONGEST_CELL).into_owned());
            }
            let widths = texts.iter().map(|text| text.chars().count());
            let width = widths.max().unwrap_or(0);
            for (line, text) in lines.iter_mut().zip(&texts) {
                if i > 0 {
                    line.push_str("  ");
                }
                *line += &if column.right {
                    format!("{text:>width$}")
                } else {
                    format!("{text:<width$}")
                };
            }
        }
        let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
        lines.join("\n")
    }

    /// A table of GitHub's Markdown, without the end of its last line.
    pub(super) fn markdown(&self) -> Safe<String> {
        let mut lines = vec![String::from("|"); self.length + 2];
        for column in &self.columns {
            lines[0] += &markdown_cell(&Cell::from(&column.title));
            lines[1] += if column.right { "---:|" } else { "---|" };
            for (line, cell) in lines[2..].iter_mut().zip(&column.cells) {
                *line += &markdown_cell(cell);
            }
        }
        Safe(lines.join("\n"))
    }

    /// A table of HTML that scrolls in its width; of very many rows a part, evenly spread, which is said.
    pub(super) fn html(&self) -> Safe<String> {
        let shown = evenly(self.length, MOST_SHOWN);
        Safe(Page { grid: self, shown }.to_string())
    }

    /// Class of a row.
    fn row_class(&self, row: &usize) -> &'static str {
        match (self.begins.contains(row), self.marked.contains(row)) {
            (true, true) => " class=\"first best\"",
            (true, false) => " class=\"first\"",
            (false, true) => " class=\"best\"",
            (false, false) => "",
        }
    }

    /// Class and text of the cells of a row.
    fn row(&self, row: &usize) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let row = *row;
        self.columns.iter().map(move |column| {
            let cell = &column.cells[row];
            let class = match (cell, column.right) {
                (Cell::Nothing, _) => " class=\"none\"",
                (_, true) => "",
                (_, false) => " class=\"text\"",
            };
            (class, cell.plain("–"))
        })
    }
}

/// A cell with the line behind it.
fn markdown_cell(cell: &Cell) -> String {
    let text = cell.markdown().replace('|', "\\|");
    if text.is_empty() {
        return " |".into();
    }
    format!(" {text} |")
}

/// The table as a part of a page.
#[derive(Template)]
#[template(path = "grid.html")]
struct Page<'a> {
    grid: &'a Grid,
    shown: Vec<usize>,
}

impl<'a, R> Rows<'a, R> {
    /// A column to the left.
    pub fn text<C: Into<Cell>>(self, title: impl Into<String>, cell: impl Fn(&'a R) -> C) -> Self {
        self.column(title.into(), false, cell)
    }

    /// A column to the right.
    pub fn number<C: Into<Cell>>(
        self,
        title: impl Into<String>,
        cell: impl Fn(&'a R) -> C,
    ) -> Self {
        self.column(title.into(), true, cell)
    }

    fn column<C: Into<Cell>>(
        mut self,
        title: String,
        right: bool,
        cell: impl Fn(&'a R) -> C,
    ) -> Self {
        let cells = self.rows.iter().map(|row| cell(row).into()).collect();
        self.grid.columns.push(Column {
            title,
            right,
            cells,
        });
        self
    }

    /// Takes the last column out again unless it is wanted.
    pub fn only_if(mut self, wanted: bool) -> Self {
        if !wanted {
            self.grid.columns.pop();
        }
        self
    }

    /// A line above each row whose key is not that of the row before.
    pub fn groups<K: PartialEq>(mut self, key: impl Fn(&'a R) -> K) -> Self {
        let pairs = self.rows.windows(2).enumerate();
        let begins = pairs.filter(|(_, pair)| key(&pair[0]) != key(&pair[1]));
        self.grid.begins = begins.map(|(i, _)| i + 1).collect();
        self
    }

    /// Marks rows on a page.
    pub fn marked(mut self, is_marked: impl Fn(&'a R) -> bool) -> Self {
        let rows = self.rows.iter().enumerate();
        let marked = rows.filter(|(_, row)| is_marked(row));
        self.grid.marked = marked.map(|(i, _)| i).collect();
        self
    }

    /// The table.
    pub fn grid(self) -> Grid {
        self.grid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let rows = [("a|b", Some(1.5)), ("<i>*c*", None), ("longer", Some(12.0))];
        Grid::of(&rows)
            .groups(|row| row.1.is_some())
            .text("name", |row| row.0)
            .number("left out", |_| 0u64)
            .only_if(false)
            .number("value %", |row| row.1)
            .grid()
    }

    #[test]
    fn a_terminal_shows_aligned_columns() {
        let text = "name    value %\na|b         1.5\n<i>*c*        -\nlonger       12";
        assert_eq!(grid().terminal(), text);
    }

    #[test]
    fn a_marked_row_has_its_class_on_a_page() {
        let rows = [1_u32, 2, 3];
        let grid = Grid::of(&rows)
            .groups(|row| *row == 1)
            .marked(|row| *row > 1);
        let html = grid.number("n", |row| *row).grid().html().0;
        assert!(html.contains("<tr><td>1</td></tr>"), "{html}");
        assert!(
            html.contains("<tr class=\"first best\"><td>2</td></tr>"),
            "{html}"
        );
        assert!(
            html.contains("<tr class=\"best\"><td>3</td></tr>"),
            "{html}"
        );
    }

    #[test]
    fn nothing_in_a_cell_is_markup() {
        let text = "| name | value % |\n|---|---:|\n| a\\|b | 1.5 |\n| \\<i\\>\\*c\\* | – |\n| longer | 12 |";
        assert_eq!(grid().markdown().0, text);
        let html = grid().html().0;
        assert!(html.contains("<tr class=\"first\"><td class=\"text\">&lt;i&gt;*c*</td><td class=\"none\">–</td></tr>"), "{html}");
        let rows = [
            Cell::Code("a|`b".into()),
            Cell::Link("l]".into(), "a b".into()),
            Cell::listed(vec!["of ".into(), Cell::Code("x".into())], "_"),
        ];
        let text = Grid::of(&rows).text("", Cell::clone).grid().markdown().0;
        assert!(
            text.ends_with("\n| a\\|\\`b |\n| [l\\]](a%20b) |\n| of \\_`x` |"),
            "{text}"
        );
    }
}
