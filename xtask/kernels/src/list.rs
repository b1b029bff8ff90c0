//! What kernels there are, from what is committed alone.

use crate::make::{Files, ptx_path};
use crate::ptx;
use crate::report::{self, Row};
use crate::table::table;

/// A table of kernels, one a row.
pub(crate) fn list(committed: &Files) -> Result<String, String> {
    let report = committed.get(report::FILE).map_or("", |text| text);
    let rows = report::read(report)?;
    let mut lines = Vec::new();
    for of_kernel in rows.chunk_by(|a, b| a.usage.kernel == b.usage.kernel && a.file == b.file) {
        let first = &of_kernel[0];
        let path = ptx_path(&first.target, &first.file);
        let text = committed
            .get(&path)
            .ok_or_else(|| format!("{path} is missing"))?;
        let entry = ptx::entries(text)
            .into_iter()
            .find(|entry| entry.name == first.usage.kernel);
        lines.push(vec![
            first.usage.kernel.clone(),
            first.file.clone(),
            first.target.clone(),
            range(of_kernel, |row| row.usage.registers),
            range(of_kernel, |row| row.usage.shared),
            entry.map_or("?".into(), |entry| entry.params.join(" ")),
        ]);
    }
    let headings = [
        "kernel",
        "file",
        "target",
        "registers",
        "shared",
        "parameters",
    ];
    Ok(table(&headings, &lines))
}

/// `15` or, where architectures differ, `15-18`.
fn range(rows: &[Row], of: impl Fn(&Row) -> u32) -> String {
    let least = rows.iter().map(&of).min().unwrap_or(0);
    let most = rows.iter().map(&of).max().unwrap_or(0);
    if least == most {
        most.to_string()
    } else {
        format!("{least}-{most}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptxas::Usage;

    #[test]
    fn a_kernel_is_one_line_with_its_parameters() {
        let row = |architecture: &str, registers| Row {
            usage: Usage {
                kernel: "gelu_forward_f32".into(),
                registers,
                shared: 128,
                ..Usage::default()
            },
            file: "gelu".into(),
            target: "compute_75".into(),
            architecture: architecture.into(),
            hmma: None,
        };
        let report = report::text(&[row("sm_75", 18), row("sm_80", 15)]);
        let ptx = ".visible .entry gelu_forward_f32(\n .param .u64 p0,\n .param .u32 p1\n)\n";
        let files = [("report.txt", &*report), ("compute_75/gelu.ptx", ptx)];
        let committed = files.map(|(name, text)| (name.into(), text.into())).into();
        let expected = "\
kernel            file  target      registers  shared  parameters
gelu_forward_f32  gelu  compute_75      15-18     128  u64 u32
";
        assert_eq!(list(&committed).unwrap(), expected);
    }
}
