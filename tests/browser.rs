//! The interactive figure of a report in a real browser: what it shows, and that it asks nobody for anything.
#![allow(clippy::unwrap_used)] // a test may stop at once

#[path = "browser/driver.rs"]
mod driver;
mod program;

use driver::Browser;
use program::Place;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use wcat_explore::analysis::{names, Summary};

const CONFIGURATION: &str = "\
name: tiny
dataset:
  name: glyphs
  glyphs: { training_images: 400, test_images: 300 }
network: { architecture: mlp }
trainer:
  epochs: 4
  batch: 16
  optimizer: { learning_rate: 0.05, momentum: 0.9 }
sweep: { voltages: '0.75,0.77,0.8,0.85,1.0', chips: 6, protection: [none, secded] }
models:
  - name: normal-4bit
    quantizer: { method: normal, bits: 4 }
  - name: wcat-4bit
    quantizer: { method: wcat, bits: 4 }
";
/// Keys as WebDriver names them.
const ENTER: char = '\u{e007}';
const ESCAPE: char = '\u{e00c}';
const RIGHT: char = '\u{e014}';

/// The tip: the name of the point and its settings; `None` where none is shown.
fn tip(browser: &Browser) -> Option<(String, BTreeMap<String, String>)> {
    let found = browser.script(
        "const tip = document.getElementById('explore-tip');
         if (tip.hidden) { return null; }
         const list = [...tip.querySelectorAll('dt')].map(dt => [dt.textContent, dt.nextSibling.textContent]);
         return [tip.querySelector('p').textContent, list];",
    );
    let (name, list): (String, Vec<(String, String)>) =
        serde_json::from_value::<Option<_>>(found).unwrap()?;
    Some((name, list.into_iter().collect()))
}

/// Names and places (x, y) in pixels of the points of a plot, from left to right.
fn spots(browser: &Browser, plot: &str) -> Vec<(String, f64, f64)> {
    let found = browser.script(&format!(
        "return [...document.querySelectorAll('#{plot} .point')].map(point => {{
            const box = point.getBoundingClientRect();
            return [point.getAttribute('aria-label'), box.x + box.width / 2, box.y + box.height / 2];
        }})"
    ));
    let mut spots: Vec<(String, f64, f64)> = serde_json::from_value(found).unwrap();
    spots.sort_by(|a, b| a.1.total_cmp(&b.1));
    spots
}

fn selector(plot: &str, point: &Summary) -> String {
    format!("#{plot} [aria-label='{}']", point.design.design_id)
}

/// The tip says what the table says of this very point.
#[track_caller]
fn says(browser: &Browser, point: &Summary) {
    let (name, settings) =
        tip(browser).unwrap_or_else(|| panic!("no tip for {}", point.design.design_id));
    let (d, per_cent) = (&point.design, |fraction: f64| {
        format!("{:.2}", 100.0 * fraction)
    });
    assert_eq!(name, d.design_id);
    let interval = point.student.unwrap();
    let ends = [interval.low, interval.high].map(|end| per_cent(end.clamp(0.0, 1.0)));
    for (setting, value) in [
        ("Model", d.model.clone()),
        ("Method", d.method.to_string()),
        ("Bits", d.bits.unwrap().to_string()),
        ("Protection", d.protection.to_string()),
        ("Array", d.array.to_string()),
        ("Memory", format!("{} ({})", d.memory, d.fault_kind)),
        ("Voltage", format!("{} V/Vmin", d.voltage.unwrap())),
        (
            "Energy",
            format!(
                "{:.4} of 8 bit at the error-free voltage",
                d.energy_relative
            ),
        ),
        ("Area", format!("{} of 8 bit", d.area_relative)),
        (
            "Accuracy",
            format!("{} % ({} to {})", per_cent(point.mean), ends[0], ends[1]),
        ),
        (
            "Without faults",
            format!("{} %", per_cent(d.clean_accuracy.get())),
        ),
        (
            "Chips",
            format!("{}, {} images each", point.chips, point.images),
        ),
    ] {
        assert_eq!(settings.get(setting), Some(&value), "{setting}");
    }
    assert!(settings["Bit error rate"].ends_with(&d.ber_source.name().replace('_', "-")));
    assert!(settings["Yield"].starts_with(&format!(
        "{:.1} % (",
        100.0 * point.quantiles.unwrap().yield_share
    )));
}

/// What the browser asked for from the page on; before that it shows a page of its own.
fn asked(browser: &Browser, page: &str) -> Vec<String> {
    let messages = browser.log("performance").into_iter().map(|entry| {
        serde_json::from_str::<Value>(entry["message"].as_str().unwrap()).unwrap()["message"]
            .clone()
    });
    let requests = messages.filter(|message| message["method"] == "Network.requestWillBeSent");
    let urls = requests.map(|message| {
        message["params"]["request"]["url"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    urls.skip_while(|url| url != page).collect()
}

#[test]
fn the_figure_shows_the_settings_of_a_point_and_its_curve_and_asks_for_nothing() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let place = Place::new();
    place.write("tiny.yaml", CONFIGURATION);
    place.done(&["sweep", "--config", "tiny.yaml"]);
    let run = place.only_run();
    let summaries = wcat_explore::table::read::<wcat_explore::analysis::Summary>(
        &place.path(&format!("{run}/{}", names::SUMMARY)),
    )
    .unwrap();
    let report = place.path(&format!(
        "{}/report.html",
        run.replacen("results", "reports", 1)
    ));
    let page = format!("file://{}", report.display());
    browser.open(&page);

    let compared = browser.script("return document.getElementById('protection').textContent");
    assert!(compared.as_str().unwrap().contains("SECDED"));

    // Every point is there, further right the more energy it costs, and further up the better it is.
    let found = spots(&browser, "explore-pareto");
    let mut points: Vec<&Summary> = summaries.iter().collect();
    points.sort_by(|a, b| {
        a.design
            .energy_relative
            .total_cmp(&b.design.energy_relative)
    });
    assert_eq!(found.len(), points.len());
    let place_of = |point: &Summary| {
        found
            .iter()
            .find(|spot| spot.0 == point.design.design_id)
            .unwrap()
    };
    for pair in points.windows(2) {
        let (left, right) = (place_of(pair[0]), place_of(pair[1]));
        assert!(right.1 >= left.1 - 0.1);
        assert!((right.2 - left.2) * (pair[1].mean - pair[0].mean) <= 1e-3);
    }

    // Hover.
    assert_eq!(tip(&browser), None);
    for point in &points {
        browser.point(&selector("explore-pareto", point), false);
        // Where two points lie on each other, one of them is meant.
        let (name, _) = tip(&browser).unwrap();
        let meant = summaries
            .iter()
            .find(|s| s.design.design_id == name)
            .unwrap();
        let (a, b) = (place_of(meant), place_of(point));
        assert!(
            (a.1 - b.1).hypot(a.2 - b.2) < 1.0,
            "{name} for {}",
            point.design.design_id
        );
        says(&browser, meant);
    }
    browser.point("h1", false);
    assert_eq!(tip(&browser), None);

    // Click: the curve of the same model by rising voltage; click again: gone.
    let chosen = |s: &&Summary| {
        let d = &s.design;
        (d.model.as_str(), d.protection.name(), d.voltage) == ("wcat-4bit", "secded", Some(0.8))
    };
    let chosen = summaries.iter().find(chosen).unwrap();
    let same = |s: &&Summary| {
        (&s.design.model, &s.design.protection) == (&chosen.design.model, &chosen.design.protection)
    };
    let mut curve: Vec<&Summary> = summaries.iter().filter(same).collect();
    curve.sort_by(|a, b| a.design.by_voltage(&b.design));
    let names: Vec<&str> = curve.iter().map(|s| s.design.design_id.as_str()).collect();
    let drawn = || {
        spots(&browser, "explore-curve")
            .into_iter()
            .map(|spot| spot.0)
            .collect::<Vec<_>>()
    };
    // The answer's point is selected at first.
    let answer = browser.script(
        "return JSON.parse(document.getElementById('explore-data').textContent).answer !== null",
    );
    assert_eq!(json!(!drawn().is_empty()), answer);
    browser.press(ESCAPE);
    assert!(drawn().is_empty());
    browser.point(&selector("explore-pareto", chosen), true);
    assert_eq!(drawn(), names);
    let pressed = "return [...document.querySelectorAll('[aria-pressed=true].point')].map(p => p.getAttribute('aria-label'))";
    assert_eq!(
        browser.script(pressed),
        json!([chosen.design.design_id, chosen.design.design_id])
    );
    let heights: Vec<f64> = spots(&browser, "explore-curve")
        .iter()
        .map(|spot| spot.2)
        .collect();
    for (pair, heights) in curve.windows(2).zip(heights.windows(2)) {
        assert!((heights[1] - heights[0]) * (pair[1].mean - pair[0].mean) <= 1e-3);
    }
    browser.point(&selector("explore-curve", curve[0]), false);
    says(&browser, curve[0]);
    browser.point(&selector("explore-pareto", chosen), true);
    assert!(drawn().is_empty());

    // The keyboard: one point further, Enter, Escape.
    let (before, _) = tip(&browser).unwrap();
    browser.press(RIGHT);
    let (name, _) = tip(&browser).unwrap();
    assert_ne!(name, before);
    says(
        &browser,
        summaries
            .iter()
            .find(|s| s.design.design_id == name)
            .unwrap(),
    );
    browser.press(ENTER);
    assert!(drawn().contains(&name));
    browser.press(ESCAPE);
    assert!(drawn().is_empty() && tip(&browser).is_none());

    // The legend takes a series away and brings it back.
    browser.point("#explore-legend button", true);
    let rest: Vec<String> = spots(&browser, "explore-pareto")
        .into_iter()
        .map(|spot| spot.0)
        .collect();
    assert_eq!(rest.len(), summaries.len() - curve.len());
    assert!(names
        .iter()
        .all(|name| rest.iter().any(|other| other == name)));
    browser.point("#explore-legend button", true);
    assert_eq!(spots(&browser, "explore-pareto").len(), summaries.len());

    // A telephone: nothing wider than the window, the tip inside it.
    browser.protocol(
        "Emulation.setDeviceMetricsOverride",
        json!({ "width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": false }),
    );
    assert_eq!(
        browser.script("return document.documentElement.scrollWidth <= 400"),
        json!(true)
    );
    for point in [points[0], points[points.len() - 1]] {
        browser.point(&selector("explore-pareto", point), false);
        let inside = browser.script(
            "const box = document.getElementById('explore-tip').getBoundingClientRect();
             return box.width > 100 && box.left >= 0 && box.right <= 400 && box.top >= 0 && box.bottom <= 800",
        );
        assert_eq!(inside, json!(true), "{}", point.design.design_id);
    }

    // No word in the console, no request but for the page.
    assert_eq!(browser.log("browser"), Vec::<Value>::new());
    assert_eq!(asked(&browser, &page), [page]);

    // The page's own policy stops what would ask, and the console says so: the logs above can tell.
    browser.script(
        "document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:9/x.png' }))",
    );
    let said = browser.log("browser");
    assert!(said.iter().any(|entry| entry["message"]
        .as_str()
        .unwrap()
        .contains("Content Security Policy")));
}
