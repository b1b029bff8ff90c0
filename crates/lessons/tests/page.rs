//! The page in a browser: what can be moved is moved, and the numbers follow. It runs where
//! `$LATIMER_CHROMIUM` names a Chromium, and is skipped elsewhere.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_lessons::course::{LESSONS, Setting};
use latimer_lessons::render;
use latimer_tensor::Device;
use serde_json::{Value, json};
use std::process::Command;

/// Moves everything and writes down what the page then says.
const MOVES: &str = "
const log = {}, widget = kind => document.querySelector(`[data-kind=${kind}]`);
const set = (input, value) => {
  input.value = value;
  input.dispatchEvent(new Event('input')); input.dispatchEvent(new Event('change'));
};
const a = widget('attention'), [temperature, scale] = a.querySelectorAll('input[type=range]');
const said = place => place.querySelector('output').textContent;
const row = n => Array.from(a.querySelectorAll('table')[1].querySelectorAll('tbody tr')[n]
  .querySelectorAll('td:not(.note)'), cell => cell.textContent);
set(scale, 1); log.plain = said(a); log.sous = row(3);
set(scale, 1 / Math.sqrt(6)); log.broken = said(a); log.sous_scaled = row(3);
set(temperature, Math.log10(0.3)); log.mended = said(a);
set(temperature, 0); set(scale, 1); set(a.querySelector('input[type=text]'), 'tables');
log.tables = row(0); log.near = said(a);
log.lines = a.querySelectorAll('svg line').length;
const l = widget('levenshtein');
set(l.querySelector('input'), 'chats'); log.edits = said(l);
log.path = l.querySelectorAll('.path').length;
const m = widget('merges'), made = m.querySelector('input');
log.before = said(m); set(made, made.max); log.after = said(m);
log.tokens = Array.from(m.querySelectorAll('.token'), t => t.textContent).join('|');
const s = widget('steps'), at = s.querySelector('input');
log.last = s.querySelectorAll('.note')[2].textContent; set(at, 0);
log.first = s.querySelector('label').textContent;
log.overflow = document.documentElement.scrollWidth > innerWidth;
log.unlabelled = Array.from(document.querySelectorAll('input, select'))
  .filter(input => !document.querySelector(`label[for=${input.id}]`)).length;
const result = document.createElement('pre');
result.id = 'log'; result.textContent = 'LOG' + JSON.stringify(log) + 'GOL';
document.body.append(result);
";

/// The page after the moves, at a width in pixels.
fn moved(chromium: &str, width: u32) -> Value {
    let device = Device::reference();
    let setting = Setting::new(&device);
    let lessons: Vec<_> = LESSONS[..13]
        .iter()
        .map(|e| e.build(&setting).unwrap())
        .collect();
    let page =
        render::page(&lessons).replace("</body>", &format!("<script>{MOVES}</script></body>"));
    let folder = std::env::temp_dir().join(format!("latimer-page-{}-{width}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("book.html");
    std::fs::write(&file, page).unwrap();
    let output = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-sync",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .arg(format!("--window-size={width},900"))
        .args(["--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let dom = String::from_utf8(output.stdout).unwrap();
    // The script itself holds the marks too, in quotes.
    let log = dom
        .split("LOG{")
        .nth(1)
        .unwrap_or_else(|| panic!("no log in {dom}"));
    let log = format!("{{{}", log.split("GOL").next().unwrap());
    serde_json::from_str(&log.replace("&gt;", ">").replace("&amp;", "&")).unwrap()
}

#[test]
fn what_can_be_moved_computes() {
    let Some(chromium) = std::env::var("LATIMER_CHROMIUM").ok() else {
        eprintln!("skipped: $LATIMER_CHROMIUM names no browser");
        return;
    };
    for width in [1400, 500] {
        let log = moved(&chromium, width);
        let english = "the cat is under the table";
        for (what, expected) in [
            ("plain", json!(english)),
            (
                "sous",
                json!(["0.1296", "0.1296", "0.1296", "0.2591", "0.3522"]),
            ),
            ("broken", json!("the the the the the the")),
            (
                "sous_scaled",
                json!(["0.1537", "0.1537", "0.1537", "0.3075", "0.2313"]),
            ),
            ("mended", json!(english)),
            (
                "tables",
                json!(["0.1318", "0.1318", "0.3409", "0.2637", "0.1318"]),
            ),
            ("near", json!("table")),
            ("lines", json!(6)),
            (
                "edits",
                json!("1 edit to chat; the nearest key is chat, 1 away"),
            ),
            ("path", json!(6)),
            ("before", json!("51 tokens")),
            ("after", json!("␣ + s → ␣s: 23 tokens")),
            ("last", json!("→ is")),
            ("overflow", json!(false)),
            ("unlabelled", json!(0)),
        ] {
            assert_eq!(log[what], expected, "{what} at {width} pixels");
        }
        let tokens = "th|e|␣cat|␣s|at|␣o|n|␣the|␣m|at|␣th|at|␣the|␣cat|␣a|n|d|␣the|␣r|at|␣h|a|d";
        assert_eq!(log["tokens"], tokens);
        assert!(
            log["first"].as_str().unwrap().contains("0, loss 1.12"),
            "{log}"
        );
    }
}
