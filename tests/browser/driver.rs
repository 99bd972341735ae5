//! Headless Chromium, driven through chromedriver: WebDriver is HTTP with JSON.

#![allow(clippy::print_stderr)] // a test says why it is skipped

use serde_json::{json, Value};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A browser with an empty profile; it ends with this value.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts a browser. `None` where there is no chromedriver, which with `WCAT_REQUIRE_BROWSER=1` is a failure.
    pub(crate) fn start() -> Option<Self> {
        let command = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn();
        let required = std::env::var_os("WCAT_REQUIRE_BROWSER").is_some_and(|value| value == "1");
        let mut driver = match command {
            Ok(driver) => driver,
            Err(error) => {
                assert!(
                    !required,
                    "WCAT_REQUIRE_BROWSER=1, but no chromedriver: {error}"
                );
                eprintln!("skipped: no chromedriver ({error})");
                return None;
            }
        };
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = said.by_ref().find_map(|line| port(&line.unwrap()));
        let profile = tempfile::tempdir().unwrap();
        let folder = format!("--user-data-dir={}", profile.path().display());
        let mut browser = Self {
            driver,
            port: port.unwrap(),
            session: String::new(),
            _profile: profile,
        };
        // Read on, so that the driver never waits for a reader.
        std::thread::spawn(move || said.for_each(drop));
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1200,900",
            &folder,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let session = browser.ask("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        Some(browser)
    }

    /// One request; the value of the answer.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .build()
            .into();
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let answer = match method {
            "DELETE" => agent.delete(url).call(),
            _ => agent
                .post(url)
                .header("content-type", "application/json")
                .send(body.to_string()),
        };
        let mut answer = answer.unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let value = serde_json::from_str::<Value>(&text).unwrap()["value"].clone();
        assert!(answer.status().is_success(), "{path}: {value}");
        value
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("/session/{}{path}", self.session), body)
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// What the body of a function returns in the page.
    #[track_caller]
    pub(crate) fn script(&self, body: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": body, "args": [] }))
    }

    /// A command of the browser's own protocol.
    pub(crate) fn protocol(&self, command: &str, parameters: Value) -> Value {
        self.post(
            "/goog/cdp/execute",
            &json!({ "cmd": command, "params": parameters }),
        )
    }

    /// Moves the mouse to the middle of what a selector finds; presses and lets go there, if wanted.
    #[track_caller]
    pub(crate) fn point(&self, selector: &str, click: bool) {
        let find = json!({ "using": "css selector", "value": selector });
        self.script(&format!(
            "document.querySelector({selector:?}).scrollIntoView({{ block: 'center' }})"
        ));
        let element = self.post("/element", &find);
        let mut actions = vec![
            json!({ "type": "pointerMove", "duration": 0, "origin": element, "x": 0, "y": 0 }),
        ];
        if click {
            actions.push(json!({ "type": "pointerDown", "button": 0 }));
            actions.push(json!({ "type": "pointerUp", "button": 0 }));
        }
        self.post(
            "/actions",
            &json!({ "actions": [{ "type": "pointer", "id": "mouse", "actions": actions }] }),
        );
    }

    /// Presses a key: a letter, or a code of WebDriver.
    pub(crate) fn press(&self, key: char) {
        let actions = ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key }));
        self.post(
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }),
        );
    }

    /// Entries of a log (`browser`, `performance`) since it was last read.
    pub(crate) fn log(&self, kind: &str) -> Vec<Value> {
        self.post("/se/log", &json!({ "type": kind }))
            .as_array()
            .unwrap()
            .clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser with the session; a driver that does not answer is killed all the same.
        if !self.session.is_empty() {
            let url = format!("http://127.0.0.1:{}/session/{}", self.port, self.session);
            let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
            drop(agent.delete(url).call());
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

/// The port in `ChromeDriver was started successfully on port 41234.`
fn port(line: &str) -> Option<u16> {
    line.split_once("successfully on port ")?
        .1
        .trim_end_matches('.')
        .parse()
        .ok()
}
