//! `report.txt`: what each kernel takes on each architecture, for eyes and for `git diff`.

use crate::ptxas::Usage;
use crate::table::table;

/// Where it lies, beside the PTX.
pub(crate) const FILE: &str = "report.txt";

const HEAD: &str = "\
# Written by `cargo xtask kernels build`; not for editing.
# registers, stack: for each thread, stack in bytes. shared: static bytes for each block; what the
# launch adds is in the kernel's header. spills: bytes stored/loaded. HMMA: tensor-core instructions
# (HGMMA on sm_90a) in the machine code; - where it was not looked at.
";

const COLUMNS: [&str; 9] = [
    "kernel",
    "file",
    "target",
    "arch",
    "registers",
    "shared",
    "stack",
    "spills",
    "HMMA",
];

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) usage: Usage,
    /// The file's name without `.cu`.
    pub(crate) file: String,
    pub(crate) target: String,
    pub(crate) architecture: String,
    /// Tensor-core instructions, where they were counted.
    pub(crate) hmma: Option<u32>,
}

/// The file's text.
pub(crate) fn text(rows: &[Row]) -> String {
    format!("{HEAD}{}", shown(rows))
}

/// The lines alone, under their headings.
pub(crate) fn shown(rows: &[Row]) -> String {
    let words: Vec<_> = rows.iter().map(Row::words).collect();
    table(&COLUMNS, &words)
}

/// Reads what [`text`] writes.
pub(crate) fn read(text: &str) -> Result<Vec<Row>, String> {
    let mut lines = text.lines().zip(1..).filter(|(l, _)| !l.starts_with('#'));
    let heading = lines.next().map_or("", |(line, _)| line);
    if !heading.split_whitespace().eq(COLUMNS) {
        return Err(format!("{FILE} does not have the columns of this version"));
    }
    lines
        .map(|(line, number)| {
            Row::read(line).ok_or_else(|| format!("{FILE}: line {number} is not understood"))
        })
        .collect()
}

impl Row {
    fn words(&self) -> Vec<String> {
        let usage = &self.usage;
        vec![
            usage.kernel.clone(),
            self.file.clone(),
            self.target.clone(),
            self.architecture.clone(),
            usage.registers.to_string(),
            usage.shared.to_string(),
            usage.stack.to_string(),
            format!("{}/{}", usage.spill_stores, usage.spill_loads),
            self.hmma.map_or("-".into(), |count| count.to_string()),
        ]
    }

    fn read(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_whitespace().collect();
        let [
            kernel,
            file,
            target,
            arch,
            registers,
            shared,
            stack,
            spills,
            hmma,
        ] = words[..]
        else {
            return None;
        };
        let (stores, loads) = spills.split_once('/')?;
        Some(Self {
            usage: Usage {
                kernel: kernel.into(),
                registers: registers.parse().ok()?,
                shared: shared.parse().ok()?,
                stack: stack.parse().ok()?,
                spill_stores: stores.parse().ok()?,
                spill_loads: loads.parse().ok()?,
            },
            file: file.into(),
            target: target.into(),
            architecture: arch.into(),
            hmma: match hmma {
                "-" => None,
                count => Some(count.parse().ok()?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let row = |kernel: &str, architecture: &str, registers, hmma| Row {
            usage: Usage {
                kernel: kernel.into(),
                registers,
                shared: 512,
                stack: 8,
                spill_stores: 4,
                spill_loads: 12,
            },
            file: "attention_bf16".into(),
            target: "compute_80".into(),
            architecture: architecture.into(),
            hmma,
        };
        let rows = [
            row("attention_forward_bf16_d64", "sm_80", 128, Some(64)),
            row("attention_forward_bf16_d64", "sm_86", 9, None),
        ];
        let text = text(&rows);
        assert_eq!(read(&text), Ok(rows.to_vec()));
        assert!(read(&text.replace("4/12", "4")).is_err());
        assert!(read(&text.replace("HMMA", "IMMA")).is_err());
    }
}
