//! A PTX text tried on one architecture.

use crate::ptxas::{self, Usage};
use crate::sass::Sass;
use crate::source::is_disassembled;
use crate::tools::Tools;
use std::path::Path;

/// What its kernels became there.
#[derive(Debug)]
pub(crate) struct Assembly {
    pub(crate) architecture: &'static str,
    pub(crate) usages: Vec<Usage>,
    pub(crate) warnings: Vec<String>,
    /// Where it is looked at.
    pub(crate) sass: Option<Sass>,
}

impl Assembly {
    /// Assembles a PTX file; machine code goes beside it.
    pub(crate) fn of(
        tools: &Tools,
        ptx: &Path,
        architecture: &'static str,
    ) -> Result<Self, String> {
        let cubin = ptx.with_extension(format!("{architecture}.cubin"));
        let (usages, warnings) = ptxas::assemble(tools, architecture, ptx, &cubin)?;
        let sass = if is_disassembled(architecture) {
            Some(Sass::of(tools, &cubin)?)
        } else {
            None
        };
        Ok(Self {
            architecture,
            usages,
            warnings,
            sass,
        })
    }

    /// What one kernel takes.
    pub(crate) fn usage(&self, kernel: &str) -> Option<&Usage> {
        self.usages.iter().find(|usage| usage.kernel == kernel)
    }

    /// A kernel's tensor-core instructions, if they were counted.
    pub(crate) fn tensor_core_instructions(&self, kernel: &str) -> Option<u32> {
        let sass = self.sass.as_ref()?;
        Some(sass.count(kernel, "HMMA") + sass.count(kernel, "HGMMA"))
    }
}
