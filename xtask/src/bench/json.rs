//! Numbers out of one line of JSON that we know the shape of. Everybody who types `cargo xtask train` waits
//! for this program to be built, so it has no parser of the whole language.

/// The number at a path of keys: `["step_ms", "median"]`. Each key is looked for behind the one before, so
/// a name that stands in several places is found under the right one.
pub(super) fn number(json: &str, path: &[&str]) -> Option<f64> {
    let text = value(json, path)?;
    let end = text
        .find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '+' | 'e' | 'E'))
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

/// The text at a path; ours and PyTorch's have no escapes in what is asked for.
pub(super) fn text<'j>(json: &'j str, path: &[&str]) -> Option<&'j str> {
    let (text, _) = value(json, path)?.strip_prefix('"')?.split_once('"')?;
    Some(text)
}

/// What stands behind the last key.
fn value<'j>(json: &'j str, path: &[&str]) -> Option<&'j str> {
    path.iter().try_fold(json, |rest, key| {
        let (_, behind) = rest.split_once(&format!("\"{key}\":"))?;
        Some(behind.trim_start())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_found_under_their_keys() {
        for json in [
            r#"{"program":"pytorch 2.15","step_ms":{"median":1.5e1,"min":-2},"median":7}"#,
            r#"{"program": "pytorch 2.15", "step_ms": {"median": 15.0, "min": -2}, "median": 7}"#,
        ] {
            assert_eq!(number(json, &["step_ms", "median"]), Some(15.0));
            assert_eq!(number(json, &["step_ms", "min"]), Some(-2.0));
            assert_eq!(text(json, &["program"]), Some("pytorch 2.15"));
        }
        assert_eq!(number(r#"{"peak_rss_mb":null}"#, &["peak_rss_mb"]), None);
        assert_eq!(number("{}", &["step_ms"]), None);
    }
}
