//! What PTX text says of its kernels: names and parameters.

use crate::make::Files;

/// A kernel as the driver finds it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// In order, as PTX writes them: `u64` is also a pointer, `b8[128]` a struct.
    pub(crate) params: Vec<String>,
}

/// The kernels of a PTX text, in its order.
pub(crate) fn entries(ptx: &str) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    let mut in_params = false;
    for line in ptx.lines().map(str::trim) {
        if let Some((_, rest)) = line.split_once(".entry ") {
            let (name, more) = rest.split_once('(').unwrap_or((rest, ")"));
            // `.entry name()` takes nothing, and `{` follows a name that takes nothing, too.
            in_params = !more.contains(')');
            let (name, params) = (name.trim().into(), Vec::new());
            found.push(Entry { name, params });
        } else if in_params && line.starts_with(')') {
            in_params = false;
        } else if in_params && let Some(entry) = found.last_mut() {
            entry.params.extend(param(line));
        }
    }
    found
}

/// The PTX of a kernel file, `matmul_bf16`, or of one kernel in it.
pub(crate) fn find<'f>(files: &'f Files, name: &str) -> Option<&'f str> {
    let ptx = || files.iter().filter(|(path, _)| path.ends_with(".ptx"));
    let end = format!("/{name}.ptx");
    let file = ptx().find(|(path, _)| path.ends_with(&end));
    let kernel = || ptx().find_map(|(_, text)| kernel(text, name));
    file.map(|(_, text)| text.as_str()).or_else(kernel)
}

/// A kernel's own text, from its `.entry` to the next kernel or the end.
fn kernel<'t>(ptx: &'t str, name: &str) -> Option<&'t str> {
    const ENTRY: &str = ".visible .entry ";
    let begin = ptx.find(&format!("{ENTRY}{name}("))?;
    let rest = &ptx[begin..];
    let next = rest[ENTRY.len()..].find(ENTRY);
    Some(next.map_or(rest, |at| &rest[..ENTRY.len() + at]))
}

/// The type in `.param .u64 name_param_0,` or `.param .align 64 .b8 name_param_0[128],`.
fn param(line: &str) -> Option<String> {
    let rest = line.strip_prefix(".param ")?.trim_end_matches(',');
    let words: Vec<_> = rest.split_whitespace().collect();
    let (name, attributes) = words.split_last()?;
    // Attributes such as `.align 64` and `.ptr .global` surround the type.
    let kind = attributes.iter().find_map(|word| {
        let kind = word.strip_prefix('.')?;
        let is_type = kind.starts_with(['u', 's', 'f', 'b']) && kind.ends_with(char::is_numeric);
        is_type.then_some(kind)
    })?;
    let length = name.find('[').map_or("", |at| &name[at..]);
    Some(format!("{kind}{length}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_and_their_parameters_are_found() {
        let ptx = "\
.version 8.4
.visible .entry scale_forward_f32(
\t.param .u64 scale_forward_f32_param_0,
\t.param .u64 .ptr .global .align 16 scale_forward_f32_param_1,
\t.param .align 64 .b8 scale_forward_f32_param_2[128],
\t.param .f32 scale_forward_f32_param_3
)
.maxntid 256, 1, 1
{
\tld.param.u64 \t%rd1, [scale_forward_f32_param_0];
}
\t// .globl\tnothing
.visible .entry nothing()
{
\tret;
}
";
        let entry = |name: &str, params: &[&str]| Entry {
            name: name.into(),
            params: params.iter().map(|&param| param.into()).collect(),
        };
        let expected = [
            entry("scale_forward_f32", &["u64", "u64", "b8[128]", "f32"]),
            entry("nothing", &[]),
        ];
        assert_eq!(entries(ptx), expected);
    }

    #[test]
    fn files_and_kernels_are_found_by_name() {
        let first = ".visible .entry a_f32(\n)\n{ret;}\n";
        let second = ".visible .entry a_f32_wide(\n)\n{ret;}\n";
        let text = format!("// head\n{first}{second}");
        let paths = ["compute_75/a.ptx", "compute_80/ba.ptx", "report.txt"];
        let texts = [&*text, "other", "a_f32"];
        let pairs = paths.into_iter().zip(texts);
        let files = pairs
            .map(|(path, text)| (path.into(), text.into()))
            .collect();
        assert_eq!(find(&files, "a"), Some(&*text));
        assert_eq!(find(&files, "ba"), Some("other"));
        assert_eq!(find(&files, "a_f32"), Some(first));
        assert_eq!(find(&files, "a_f32_wide"), Some(second));
        assert_eq!(find(&files, "f32"), None);
    }
}
