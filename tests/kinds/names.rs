//! Names are checked where they are loaded, and written as text.

use crate::hostile::stored_run;
use crate::program::Place;
use wcat_explore::table;

const EVIL: &str = "a|b`c`<img src=x>[l](u)*x*";

/// Cells of a line of a Markdown table: parts between pipes that no backslash stands before.
fn cells(line: &str) -> usize {
    let mut escaped = false;
    let mut pipes = 0;
    for letter in line.chars() {
        pipes += usize::from(letter == '|' && !escaped);
        escaped = letter == '\\' && !escaped;
    }
    pipes
}

#[test]
fn a_published_document_holds_foreign_names_as_text() {
    let place = Place::new();
    stored_run(&place);
    let run = "results/cifar10-resnet20-1-percent";
    let path = place.path(&format!("{run}/summary.parquet"));
    let mut summaries = table::read_summary(&path).unwrap();
    for summary in &mut summaries {
        summary.design.model = EVIL.into();
        summary.design.array = format!("{EVIL}\n# {EVIL}");
        summary.design.dataset = EVIL.into();
    }
    table::write_summary(&path, &summaries).unwrap();
    let record = String::from_utf8(place.read(&format!("{run}/run.yaml"))).unwrap();
    let at = record.find("\nnotes:").unwrap() + 1;
    let after = &record[at + record[at..].find('\n').unwrap() + 1..];
    let rest = after.trim_start_matches(|c| c != 'c');
    assert!(rest.starts_with("configuration:"), "{rest}");
    let notes = format!("notes:\n- '{EVIL}'\n- '```'\n");
    place.write(
        &format!("{run}/run.yaml"),
        format!("{}{notes}{rest}", &record[..at]),
    );
    place.done(&["publish", run, "--out", "doc.md", "--title", EVIL]);
    let document = String::from_utf8(place.read("doc.md")).unwrap();
    assert!(document.contains("a|b\\`c\\`\\<img src=x\\>\\[l\\](u)\\*x\\*"));
    for (at, _) in document.match_indices("<img") {
        assert!(document[..at].ends_with('\\'), "{}", &document[at..at + 40]);
    }
    let mut width = None;
    for line in document.lines() {
        if !line.starts_with('|') {
            width = None;
            continue;
        }
        assert_eq!(*width.get_or_insert(cells(line)), cells(line), "{line}");
    }
    // the fences are those of the commands alone
    let fences = document.lines().filter(|line| line.starts_with("```"));
    assert_eq!(fences.count() % 2, 0);
}
