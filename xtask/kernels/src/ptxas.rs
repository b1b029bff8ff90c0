//! What a kernel takes of the card, as the assembler says: registers, shared memory, stack, spills.

use crate::tools::Tools;
use std::path::Path;

/// What one kernel takes on one architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) kernel: String,
    /// For each thread.
    pub(crate) registers: u32,
    /// Static bytes for each block; what a launch adds is not known here.
    pub(crate) shared: u32,
    /// Bytes for each thread, in memory that is as slow as any.
    pub(crate) stack: u32,
    /// Bytes of registers stored away and loaded again.
    pub(crate) spill_stores: u32,
    pub(crate) spill_loads: u32,
}

/// Assembles `ptx` into `cubin`; what its kernels take, and the assembler's warnings.
pub(crate) fn assemble(
    tools: &Tools,
    architecture: &str,
    ptx: &Path,
    cubin: &Path,
) -> Result<(Vec<Usage>, Vec<String>), String> {
    let mut command = tools.ptxas();
    command
        .args(["-v", "-arch", architecture])
        .arg(ptx)
        .arg("-o")
        .arg(cubin);
    let output = command
        .output()
        .map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() {
        Ok((usages(&said)?, warnings(&said)))
    } else {
        Err(format!("ptxas for {architecture} refuses it:\n{said}"))
    }
}

/// Reads what `ptxas -v` says.
fn usages(said: &str) -> Result<Vec<Usage>, String> {
    let mut found: Vec<Usage> = Vec::new();
    for line in said.lines() {
        let unclear = || format!("ptxas said what is not understood: {line}");
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let (kernel, _) = rest.split_once('\'').ok_or_else(unclear)?;
            let kernel = kernel.into();
            found.push(Usage {
                kernel,
                ..Usage::default()
            });
        } else if line.contains(" bytes stack frame") {
            // Of the kernel, or of a function that it calls and that was not inlined.
            let usage = found.last_mut().ok_or_else(unclear)?;
            let amount = |what| amount(line, what).ok_or_else(unclear);
            usage.stack = usage.stack.max(amount("bytes stack frame")?);
            usage.spill_stores += amount("bytes spill stores")?;
            usage.spill_loads += amount("bytes spill loads")?;
        } else if line.contains("Used ") && line.contains(" registers") {
            let usage = found.last_mut().ok_or_else(unclear)?;
            usage.registers = amount(line, "registers").ok_or_else(unclear)?;
            usage.shared = amount(line, "bytes smem").unwrap_or(0);
            let stack = amount(line, "bytes cumulative stack size").unwrap_or(0);
            usage.stack = usage.stack.max(stack);
        }
    }
    Ok(found)
}

/// The number before a text.
fn amount(line: &str, what: &str) -> Option<u32> {
    let before = &line[..line.find(what)?];
    before.split_whitespace().next_back()?.parse().ok()
}

fn warnings(said: &str) -> Vec<String> {
    let bad = |line: &&str| line.contains("warning") || line.contains("Performance Loss");
    said.lines().filter(bad).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_from_what_ptxas_says() {
        let said = "\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'a_forward_f32' for 'sm_80'
ptxas info    : Function properties for a_forward_f32
    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 128 registers, 8 bytes cumulative stack size, 400 bytes cmem[0]
ptxas info    : Compiling entry function 'b_forward_f32' for 'sm_80'
ptxas info    : Function properties for b_forward_f32
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 15 registers, 1 barriers, 256 bytes smem, 372 bytes cmem[0]
";
        let [a, b] = &usages(said).unwrap()[..] else {
            panic!("not two kernels")
        };
        let expected = Usage {
            kernel: "a_forward_f32".into(),
            registers: 128,
            shared: 0,
            stack: 8,
            spill_stores: 4,
            spill_loads: 12,
        };
        assert_eq!(*a, expected);
        assert_eq!((b.registers, b.shared, b.stack), (15, 256, 0));
    }

    #[test]
    fn what_is_not_understood_is_no_zero() {
        let said = "Compiling entry function 'a' for 'sm_80'\n many bytes stack frame, x\n";
        assert!(usages(said).is_err());
    }

    #[test]
    fn only_bad_news_is_a_warning() {
        let said = "ptxas info    : 0 bytes gmem\nptxas warning : Value of threads\n\
            ptxas info    : (C7510) Potential Performance Loss: wgmma is serialized\n";
        assert_eq!(warnings(said).len(), 2);
    }
}
