//! The compiler, the assembler and the disassembler: where they lie, and how they get there.
//!
//! They come from the Python package index as three pinned wheels, 51 MB, because that needs
//! neither an installed CUDA nor a password. Only who changes kernels needs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xtask::run::target_folder;

/// Versions of the compiler, the assembler and the disassembler, as the lock records them.
///
/// 12.4 writes PTX 8.4, which any driver from 550 on takes; it can do all that Hopper can.
pub(crate) const VERSIONS: [(&str, &str); 3] = [
    ("nvrtc", "12.4.127"),
    ("ptxas", "12.4.131"),
    ("nvdisasm", "13.2.86"),
];

/// pip's requirements: the same versions, for Linux on x86-64.
const REQUIREMENTS: &str = "\
nvidia-cuda-nvrtc-cu12==12.4.127 \
--hash=sha256:a178759ebb095827bd30ef56598ec182b85547f1508941a3d560eb7ea1fbf338
nvidia-cuda-nvcc-cu12==12.4.131 \
--hash=sha256:e4c9a35435c3b0e36c6397c5696334c9ea6650e524736cbd1c5d345ea099bb04
nvidia-cuda-nvdisasm==13.2.86 \
--hash=sha256:53606e719ecae07a2335f95902d5a1393a0cc1c317499ee7ffcf628a44385f2c
";

/// Written last into a complete folder: what it was made from.
const STAMP: &str = "requirements.txt";

/// Where a Python of our own goes, for as long as it is needed.
const VENV: &str = "venv";

/// A folder with all three.
#[derive(Debug)]
pub(crate) struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// Those in `target/cuda-tools`, fetched if need be.
    pub(crate) fn get() -> Result<Self, String> {
        let target = target_folder()?;
        if let Some(tools) = Self::in_target(&target) {
            return Ok(tools);
        }
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return Err("kernels are built on Linux on x86-64 only".into());
        }
        fetch(&target)?;
        Self::in_target(&target)
            .ok_or_else(|| format!("what was just fetched is not in {}", target.display()))
    }

    /// Those in a target folder, if they are there and are the right ones.
    pub(crate) fn in_target(target: &Path) -> Option<Self> {
        let folder = target.join("cuda-tools");
        let stamp = fs::read_to_string(folder.join(STAMP)).ok()?;
        (stamp == REQUIREMENTS).then_some(Self { folder })
    }

    /// The folder of `libnvrtc.so.12`.
    pub(crate) fn nvrtc(&self) -> PathBuf {
        self.folder.join("nvidia/cuda_nvrtc/lib")
    }

    /// The assembler: PTX to machine code.
    pub(crate) fn ptxas(&self) -> Command {
        Command::new(self.folder.join("nvidia/cuda_nvcc/bin/ptxas"))
    }

    /// The disassembler.
    pub(crate) fn nvdisasm(&self) -> Command {
        Command::new(self.folder.join("nvidia/cu13/bin/nvdisasm"))
    }
}

/// Puts the tools into `target/cuda-tools`, whole or not at all.
fn fetch(target: &Path) -> Result<(), String> {
    let failed = |what: &Path, error| format!("cannot write to {}: {error}", what.display());
    let new = target.join(format!("cuda-tools-{}", std::process::id()));
    let folder = target.join("cuda-tools");
    fs::create_dir_all(&new).map_err(|error| failed(&new, error))?;
    let stamp = new.join(STAMP);
    let done = fs::write(&stamp, REQUIREMENTS)
        .map_err(|error| failed(&stamp, error))
        .and_then(|()| install(&new, &stamp))
        .and_then(|()| {
            // Older versions, if any. Another run may have been quicker: its folder is as good.
            let _ = fs::remove_dir_all(&folder);
            fs::rename(&new, &folder).map_err(|error| failed(&folder, error))
        });
    if done.is_err() {
        // What is left of it is of no use; that it may stay behind is of no harm.
        let _ = fs::remove_dir_all(&new);
    }
    done
}

fn install(folder: &Path, requirements: &Path) -> Result<(), String> {
    let mut pip = python_with_pip(folder)?;
    eprintln!("fetching NVIDIA's kernel compiler (51 MB, once) into target/cuda-tools");
    let output = pip
        .args(["-m", "pip", "install", "--quiet", "--no-deps"])
        .args(["--require-hashes", "--only-binary=:all:", "--no-compile"])
        .arg("--disable-pip-version-check")
        .arg("--target")
        .arg(folder)
        .arg("--requirement")
        .arg(requirements)
        // Some have it in their configuration, where it contradicts --target.
        .env("PIP_USER", "0")
        .output()
        .map_err(|error| format!("cannot start {pip:?}: {error}"))?;
    if output.status.success() {
        // If it was made at all, it has done its work; that it may stay behind is of no harm.
        let _ = fs::remove_dir_all(folder.join(VENV));
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| line.starts_with("ERROR"));
    let why = last.unwrap_or("it ended with an error");
    Err(format!(
        "pip could not fetch the tools that build kernels: {why}"
    ))
}

/// The system's Python if it has pip, else a virtual environment in `folder`.
fn python_with_pip(folder: &Path) -> Result<Command, String> {
    let works = |python: &Path, args: &[&str]| {
        let mut command = Command::new(python);
        command.args(args).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let python = Path::new("python3");
    if works(python, &["-m", "pip", "--version"]) {
        return Ok(Command::new(python));
    }
    let venv = folder.join(VENV);
    let shown = venv.to_string_lossy();
    if works(python, &["-m", "venv", &shown]) {
        return Ok(Command::new(venv.join("bin/python3")));
    }
    Err(
        "building kernels needs Python 3 with pip to fetch the compiler: install python3 and \
         python3-venv (only developers of kernels need them)"
            .into(),
    )
}
