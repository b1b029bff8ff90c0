//! The instructions that a kernel became, counted.

use crate::tools::Tools;
use std::collections::BTreeMap;
use std::path::Path;

/// How often each instruction stands in each kernel; `LDGSTS.E.BYPASS.128` is one name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sass {
    kernels: BTreeMap<String, BTreeMap<String, u32>>,
}

impl Sass {
    /// Disassembles machine code.
    pub(crate) fn of(tools: &Tools, cubin: &Path) -> Result<Self, String> {
        let mut command = tools.nvdisasm();
        command.arg("-c").arg(cubin);
        let output = command
            .output()
            .map_err(|error| format!("cannot start {command:?}: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{command:?} failed:\n{said}"));
        }
        // Its warnings tell that it is newer than the code, which is no harm.
        Ok(Self::read(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Reads what `nvdisasm -c` says.
    pub(crate) fn read(text: &str) -> Self {
        let mut sass = Self::default();
        let mut kernel = String::new();
        for line in text.lines() {
            let label = line.strip_prefix(".text.");
            if let Some(name) = label.and_then(|rest| rest.strip_suffix(':')) {
                kernel = name.into();
            } else if let Some(instruction) = instruction(line) {
                let counts = sass.kernels.entry(kernel.clone()).or_default();
                *counts.entry(instruction.into()).or_default() += 1;
            }
        }
        sass
    }

    /// How many instructions of a name a kernel has: `MUFU` counts `MUFU.EX2` too, `HMMA` not
    /// `HGMMA`.
    pub(crate) fn count(&self, kernel: &str, name: &str) -> u32 {
        let counts = self.kernels.get(kernel).into_iter().flatten();
        counts
            .filter(|(instruction, _)| {
                let rest = instruction.strip_prefix(name);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
            .map(|(_, count)| count)
            .sum()
    }
}

/// `HMMA.16816.F32.BF16` of `        /*0050*/               @P0 HMMA.16816.F32.BF16 R4, R8 ;`.
fn instruction(line: &str) -> Option<&str> {
    let (_, rest) = line.trim_start().strip_prefix("/*")?.split_once("*/")?;
    let mut words = rest.split([' ', '\t', ';']).filter(|word| !word.is_empty());
    let first = words.next()?;
    let is_guard = first.starts_with('@');
    if is_guard { words.next() } else { Some(first) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_counted_by_kernel() {
        let text = "\
\t.section\t.text.a_forward,\"ax\",@progbits
a_forward:
.text.a_forward:
        /*0000*/                   MUFU.EX2 R1, R2 ;
        /*0010*/              @!P0 HMMA.16816.F32.BF16 R4, R8, R2, R4 ;
        /*0020*/                   HMMA.16816.F32.BF16 R4, R8, R2, R4 ;
        /*0030*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR8] ;
.L_x_0:
        /*0040*/                   EXIT ;
.text.b_forward:
        /*0000*/               @P1 EXIT ;
";
        let sass = Sass::read(text);
        let counts = ["HMMA", "HGMMA", "MUFU", "MUFU.EX2", "EX2", "EXIT"]
            .map(|name| sass.count("a_forward", name));
        assert_eq!(counts, [2, 1, 1, 1, 0, 1]);
        assert_eq!(sass.count("b_forward", "EXIT"), 1);
        assert_eq!(sass.count("nothing", "EXIT"), 0);
    }
}
