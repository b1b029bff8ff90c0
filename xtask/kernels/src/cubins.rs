//! Machine code for one architecture, made ahead of time: with `LATIMER_CUBINS` naming the folder,
//! the CUDA backend loads it and the driver compiles nothing.

use crate::make::{Scratch, all, committed, parallel};
use crate::ptxas;
use crate::source::Target;
use crate::tools::Tools;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use xtask::run::Outcome;

/// The architecture unless another is named: Hopper.
pub(crate) const ARCHITECTURE: &str = "sm_90";

/// Assembles every committed PTX file into `FOLDER/<family>.cubin`.
///
/// # Errors
/// An architecture that none of the PTX is for, the assembler's complaints, or a folder that cannot
/// be written.
pub(crate) fn cubins(ptx: &Path, folder: &Path, architecture: &str) -> Outcome {
    let start = Instant::now();
    let committed = committed(ptx)?;
    let fit = families(committed.keys().cloned(), architecture);
    if fit.is_empty() {
        return Err(format!(
            "no kernel is compiled for {architecture}: give --for an architecture that \
             crates/backend-cuda/ptx/report.txt names, such as {ARCHITECTURE}"
        ));
    }
    fs::create_dir_all(folder)
        .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    let tools = Tools::get()?;
    let scratch = Scratch::make()?;
    let done = parallel(&fit, |name| {
        let stem = stem(name);
        let from = scratch.0.join(format!("{stem}.ptx"));
        fs::write(&from, &committed[name])
            .map_err(|error| format!("cannot write {}: {error}", from.display()))?;
        let cubin = folder.join(format!("{stem}.cubin"));
        let (_, warnings) = ptxas::assemble(&tools, architecture, &from, &cubin)
            .map_err(|why| format!("{name}: {why}"))?;
        match warnings.is_empty() {
            true => Ok(()),
            false => Err(format!("{name}: {}", warnings.join("; "))),
        }
    });
    let count = all(done)?.len();
    eprintln!(
        "{count} cubins for {architecture} in {}, in {:.1} s",
        folder.display(),
        start.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

/// The PTX files among `names` that this architecture takes: `compute_80/matmul_bf16.ptx`.
fn families(names: impl Iterator<Item = String>, architecture: &str) -> Vec<String> {
    let takes = |name: &String| {
        let (target, _) = name.split_once('/')?;
        Some(
            Target::of_name(target)?
                .architectures()
                .contains(&architecture),
        )
    };
    names.filter(|name| takes(name) == Some(true)).collect()
}

/// `matmul_bf16` of `compute_80/matmul_bf16.ptx`.
fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.strip_suffix(".ptx").unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_architecture_takes_is_assembled() {
        let names = || {
            let names = ["compute_75/fill.ptx", "compute_80/fill_bf16.ptx"];
            let others = ["compute_90a/wide.ptx", "report.txt", "kernels.lock"];
            names.into_iter().chain(others).map(str::to_owned)
        };
        assert_eq!(families(names(), "sm_75"), ["compute_75/fill.ptx"]);
        let hopper = families(names(), "sm_90");
        assert_eq!(hopper, ["compute_75/fill.ptx", "compute_80/fill_bf16.ptx"]);
        assert_eq!(families(names(), "sm_9"), [""; 0]);
        assert_eq!(stem("compute_80/fill_bf16.ptx"), "fill_bf16");
    }

    /// The backend looks for `<family>.cubin`, so two targets must not share a family's name.
    #[test]
    fn no_two_committed_files_make_the_same_cubin() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let ptx = committed(&root.join("crates/backend-cuda/ptx")).unwrap();
        let fit = families(ptx.into_keys(), ARCHITECTURE);
        let mut stems: Vec<_> = fit.iter().map(|name| stem(name)).collect();
        assert!(stems.len() > 20, "{stems:?}");
        let count = stems.len();
        stems.sort_unstable();
        stems.dedup();
        assert_eq!(stems.len(), count);
    }
}
