//! The page in a browser, with desktop and phone widths, light and dark: controls can be moved and
//! the numbers follow, nothing is wider than the window, and everything has enough contrast. It
//! runs if `$LATIMER_CHROMIUM` names a Chromium, and is skipped otherwise.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_backend_cpu::Cpu;
use latimer_lessons::course::{LESSONS, Setting};
use latimer_lessons::render;
use latimer_tensor::Device;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// Moves all controls and records what the page then says.
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
// What is said about the answer follows from it.
const text = a.querySelector('input[type=text]'), hint = () => a.querySelector('.hint').textContent;
const words = () => Array.from(a.querySelectorAll('svg .word'), w => w.textContent).join(' ');
set(text, 'le chat est sous la table'); log.known = hint();
set(text, 'le chien dort sous la tables'); log.unknown = hint(); log.unknown_said = said(a);
set(text, '« LE CHAT, l’Oeuf\u{202f}! »'); log.normal = words();
set(text, 'le chat'); set(scale, 1 / Math.sqrt(6)); log.soft = hint();
set(scale, 0); log.no_scale = hint();
set(scale, 1); set(temperature, 1); log.hot = hint();
set(temperature, 0); set(text, 'chat '.repeat(14)); log.many = hint();
set(text, 'chat' + 'x'.repeat(200)); log.far = hint();
set(text, '...'); log.none = said(a);
const l = widget('levenshtein');
set(l.querySelector('input'), 'x'.repeat(30)); log.long = said(l);
set(l.querySelector('input'), '!'); log.empty = said(l);
set(l.querySelector('input'), 'Chats,'); log.edits = said(l);
log.path = l.querySelectorAll('.path').length;
const m = widget('merges'), made = m.querySelector('input');
log.before = said(m); set(made, made.max); log.after = said(m);
log.tokens = Array.from(m.querySelectorAll('.token'), t => t.textContent).join('|');
const s = widget('steps'), at = s.querySelector('input');
log.last = s.querySelectorAll('.note')[2].textContent; set(at, 0);
log.first = s.querySelector('label').textContent;
log.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
log.scheme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
log.unlabelled = Array.from(document.querySelectorAll('input, select'))
  .filter(input => !document.querySelector(`label[for=${input.id}]`)).length;
";

/// Measures the contrast of all text, and of other things that must be visible, against their
/// background.
const LOOK: &str = "
const parse = text => {
  const srgb = text.match(/^color\\(srgb ([^)]*)\\)$/), rgb = text.match(/^rgba?\\((.*)\\)$/);
  const numbers = (srgb ?? rgb)[1].split(/[ ,\\/]+/).map(Number);
  const colour = numbers.slice(0, 3).map(x => srgb ? x : x / 255);
  return [...colour, numbers[3] ?? 1];
};
const over = (top, below) =>
  [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
const ground = element => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(getComputedStyle(e).backgroundColor);
  return layers.reverse().map(parse).reduce((below, layer) => over(layer, below), [1, 1, 1, 1]);
};
const luminance = colour => {
  const [r, g, b] = colour.map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (colour, element, opacity = 1) => {
  const below = ground(element), [r, g, b, a] = parse(colour);
  const lights = [over([r, g, b, a * opacity], below), below].map(luminance);
  return (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
};
log.checked = 0; log.faint = [];
const check = (what, least, ...colour) => {
  const ratio = contrast(...colour);
  log.checked++;
  if (!(ratio >= least)) log.faint.push(`${what.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.textContent, e = walker.currentNode.parentElement;
  if (!text.trim() || e.closest('script, noscript, option') || !e.getClientRects().length) continue;
  check(text, 4.5, getComputedStyle(e)[e.closest('svg') ? 'fill' : 'color'], e);
}
for (const e of document.querySelectorAll('input, select, button')) {
  const style = getComputedStyle(e);
  // A slider has no text; it is drawn by the browser in the colour of links.
  if (e.type === 'range') { check(e.id, 3, style.accentColor, e.parentElement); continue; }
  check(e.id || e.textContent, 4.5, style.color, e);
  check(`frame of ${e.id}`, 3, style.borderTopColor, e.parentElement);
}
for (const e of document.querySelectorAll('.best, .path')) {
  check(`frame of ${e.textContent}`, 3, getComputedStyle(e).outlineColor, e);
}
for (const e of document.querySelectorAll('polyline')) check('curve', 3, getComputedStyle(e).stroke, e);
for (const e of document.querySelectorAll('.bars i')) {
  check(`bar ${e.className}`, 3, getComputedStyle(e).backgroundImage.match(/rgb\\([^)]*\\)/)[0], e);
}
// The strongest line of every word; what the weaker ones show stands in the table below.
for (const svg of document.querySelectorAll('.widget svg')) {
  for (const line of svg.querySelectorAll('line[stroke-opacity=\"1.000\"]')) {
    check('line', 3, getComputedStyle(line).stroke, line, Number(line.getAttribute('stroke-opacity')));
  }
}
const result = document.createElement('pre');
result.textContent = 'LOG' + JSON.stringify(log) + 'GOL';
parent.document.body.append(result);
";

/// The last sentence of the attention figure.
const CHOOSE: &str = "Choose a word of the sentence to see its lines alone.";

/// The lessons as a book, with the plays and their curves if `$LATIMER_CACHE` holds them.
fn book() -> String {
    let device = Device::new(Cpu::new(2).unwrap());
    let cache = std::env::var_os("LATIMER_CACHE").map(PathBuf::from);
    let cache = cache.filter(|folder| folder.join("shakespeare.txt").is_file());
    let setting = Setting {
        cache: cache.as_deref(),
        ..Setting::new(&device)
    };
    let lessons = LESSONS.iter().map(|entry| entry.build(&setting).unwrap());
    render::page(&lessons.collect::<Vec<_>>())
}

/// The report of the book after the moves, at a width in pixels, in a dark or a light scheme.
fn moved(chromium: &str, book: &str, width: u32, dark: bool) -> Value {
    let script = format!("<script>{{{MOVES}{LOOK}}}</script></body>");
    let page = book.replace("</body>", &script);
    // A window has a minimum width, a frame does not.
    let page = page.replace('&', "&amp;").replace('"', "&quot;");
    let size = format!("width:{width}px;height:900px");
    let frame = format!(
        "<!doctype html><meta charset=\"utf-8\"><iframe style=\"{size}\" srcdoc=\"{page}\"></iframe>"
    );
    let name = format!("latimer-page-{}-{width}-{dark}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("book.html");
    std::fs::write(&file, frame).unwrap();
    // Chromium's own numbers: 0 is dark, 1 is light.
    let scheme = u8::from(!dark);
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
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg("--window-size=1600,1000")
        .args(["--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let dom = String::from_utf8(output.stdout).unwrap();
    // The script itself contains the marks too, in quotes.
    let log = dom
        .split("LOG{")
        .nth(1)
        .unwrap_or_else(|| panic!("no log in {dom}"));
    let log = format!("{{{}", log.split("GOL").next().unwrap());
    let log = log.replace("&gt;", ">").replace("&lt;", "<");
    serde_json::from_str(&log.replace("&amp;", "&")).unwrap()
}

#[test]
fn what_can_be_moved_computes_and_all_can_be_seen() {
    let Some(chromium) = std::env::var("LATIMER_CHROMIUM").ok() else {
        eprintln!("skipped: $LATIMER_CHROMIUM names no browser");
        return;
    };
    let book = book();
    for (width, dark) in [(1280, false), (390, false), (1280, true), (390, true)] {
        let log = moved(&chromium, &book, width, dark);
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
            (
                "known",
                json!(format!("As the dictionary has it. {CHOOSE}")),
            ),
            (
                "unknown",
                json!(format!(
                    "Not in the dictionary: chien asks as chat, 3 edits away; dort asks as chat, 3 \
                     edits away; tables asks as table, 1 edit away. {CHOOSE}"
                )),
            ),
            ("unknown_said", json!("the cat cat under the table")),
            ("normal", json!("le chat l' œuf")),
            (
                "soft",
                json!(format!(
                    "Not what the keys mean: a lower temperature or a greater scale mends it. {CHOOSE}"
                )),
            ),
            (
                "no_scale",
                json!(format!(
                    "Not what the keys mean: a greater scale mends it. {CHOOSE}"
                )),
            ),
            (
                "hot",
                json!(format!(
                    "Not what the keys mean: a lower temperature mends it. {CHOOSE}"
                )),
            ),
            (
                "many",
                json!(format!(
                    "As the dictionary has it. Only the first 12 of 14 words are shown. {CHOOSE}"
                )),
            ),
            ("none", json!("Write a sentence.")),
            (
                "long",
                json!(
                    "30 edits to le; the nearest key is le, 30 away; the table has the first 24 \
                     letters"
                ),
            ),
            ("empty", json!("Write a word.")),
            ("lines", json!(6)),
            (
                "edits",
                json!("1 edit to chat; the nearest key is chat, 1 away"),
            ),
            ("path", json!(6)),
            ("before", json!("51 tokens")),
            ("after", json!("␣ + s → ␣s: 23 tokens")),
            ("last", json!("→ is")),
            ("overflow", json!(0)),
            ("scheme", json!(if dark { "dark" } else { "light" })),
            ("unlabelled", json!(0)),
            ("faint", json!([])),
        ] {
            assert_eq!(log[what], expected, "{what} at {width} pixels");
        }
        let far = log["far"].as_str().unwrap();
        assert!(
            far.contains("nothing that can be set here mends it"),
            "{far}"
        );
        let tokens = "th|e|␣cat|␣s|at|␣o|n|␣the|␣m|at|␣th|at|␣the|␣cat|␣a|n|d|␣the|␣r|at|␣h|a|d";
        assert_eq!(log["tokens"], tokens);
        assert!(log["checked"].as_u64().unwrap() > 2000, "{log}");
        assert!(
            log["first"].as_str().unwrap().contains("0, loss 1.12"),
            "{log}"
        );
    }
}
