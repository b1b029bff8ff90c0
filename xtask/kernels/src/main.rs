//! The CUDA kernels: from `kernels/*.cu` to the PTX that `backend-cuda` carries.
//!
//! Users need no CUDA, only a driver: the PTX is committed, and this task makes it. [`source`]
//! reads a file and what it includes, [`nvrtc`] compiles it, [`ptxas`] and [`sass`] show the
//! machine code for each architecture, [`gates`] checks it, [`mod@make`] writes the files that are
//! committed, with [`report`] and [`lock`]; [`archive`] packs the PTX; [`mod@check`] compares.
//! [`cubins`](mod@cubins) makes machine code ahead of time. [`tools`] fetches the compiler.
//! `docs/kernels.md` tells how to use it.

mod archive;
mod assembly;
mod check;
mod cubins;
mod gates;
mod list;
mod lock;
mod make;
mod nvrtc;
mod ptx;
mod ptxas;
mod report;
mod sanitize;
mod sass;
mod source;
mod table;
mod tools;

use lock::Lock;
use make::{Files, Kept, make, ptx_path};
use sha2::{Digest, Sha256};
use source::{Source, Target};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use tools::Tools;
use xtask::run::{self, Outcome, to_root};

const USAGE: &str = "\
usage: cargo xtask kernels build [NAME…]     compile kernels/*.cu, or some, into the CUDA backend
       cargo xtask kernels check [--offline] compares the committed PTX with the sources
       cargo xtask kernels list              the kernels, what they take and what they use
       cargo xtask kernels show NAME         the PTX of a kernel file, or of one kernel
       cargo xtask kernels sanitize [TEST…]  the backend's tests under AddressSanitizer
       cargo xtask kernels cubins FOLDER [--for sm_90]
                                             machine code ahead of time, for LATIMER_CUBINS=FOLDER
  --from FOLDER --to FOLDER                  of kernels elsewhere, to try something";

/// What builds everything anew.
const REMEDY: &str = "cargo xtask kernels build";

/// Where sources are, and where what is made of them goes.
#[derive(Debug)]
struct Folders {
    sources: PathBuf,
    ptx: PathBuf,
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    run::exit(kernels(&args))
}

/// SHA-256 in hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Does what the words after `cargo xtask kernels` ask for.
fn kernels(args: &[OsString]) -> Outcome {
    let mut folders = Folders {
        sources: "kernels".into(),
        ptx: "crates/backend-cuda/ptx".into(),
    };
    let (mut offline, mut architecture) = (false, cubins::ARCHITECTURE.to_owned());
    let mut words = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut folder = || {
            let next = args.next().ok_or(USAGE)?;
            std::path::absolute(next).map_err(|error| error.to_string())
        };
        match arg.to_str() {
            Some("--from") => folders.sources = folder()?,
            Some("--to") => folders.ptx = folder()?,
            Some("--offline") => offline = true,
            Some("--for") => {
                let next = args.next().ok_or(USAGE)?;
                architecture = next.to_string_lossy().into_owned();
            }
            Some(word) if !word.starts_with('-') => words.push(word),
            _ => return Err(format!("{} is not known\n{USAGE}", arg.display())),
        }
    }
    // Named before `to_root`, so that it may be relative to where the user is.
    if let ["cubins", folder] = words[..] {
        let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
        to_root()?;
        return cubins::cubins(&folders.ptx, &folder, &architecture);
    }
    to_root()?;
    match &words[..] {
        ["build", names @ ..] => build(&folders, names),
        ["check"] => check(&folders, offline),
        ["list"] => list(&folders),
        ["show", name] => show(&folders, name),
        ["sanitize", programs @ ..] => sanitize::sanitize(programs),
        _ => Err(USAGE.into()),
    }
}

fn build(folders: &Folders, names: &[&str]) -> Outcome {
    let start = Instant::now();
    let sources = source::sources(&folders.sources)?;
    if sources.is_empty() {
        let folder = folders.sources.display();
        return Err(format!(
            "there is nothing to build: {folder} has no .cu file"
        ));
    }
    let chosen = choose(&sources, names)?;
    let committed = match make::committed(&folders.ptx) {
        // Everything is made anew, so what is there need not be sound.
        Err(_) if names.is_empty() => Files::new(),
        read => read?,
    };
    let kept = if names.is_empty() {
        Kept::default()
    } else {
        keep(&committed, &chosen, &sources)?
    };
    let made = make(&Tools::get()?, &chosen)?;
    let rows: Vec<_> = made.iter().flat_map(|one| one.rows.clone()).collect();
    let files = make::files(&made, kept)?;
    let changed = write(&folders.ptx, &files, &committed)?;
    match names.is_empty() {
        true => eprintln!("report: {}", folders.ptx.join(report::FILE).display()),
        false => eprint!("{}", report::shown(&rows)),
    }
    let seconds = start.elapsed().as_secs_f64();
    let count = made.len();
    eprintln!("kernel files built: {count}, in {seconds:.1} s; files written: {changed}");
    Ok(ExitCode::SUCCESS)
}

fn choose<'s>(sources: &'s [Source], names: &[&str]) -> Result<Vec<&'s Source>, String> {
    if names.is_empty() {
        return Ok(sources.iter().collect());
    }
    let find = |name: &&str| {
        let stem = name.strip_suffix(".cu").unwrap_or(name);
        let found = sources.iter().find(|source| source.stem == stem);
        found.ok_or_else(|| {
            let all: Vec<_> = sources.iter().map(|source| &*source.stem).collect();
            format!(
                "there is no kernel file {stem}; there are {}",
                all.join(", ")
            )
        })
    };
    names.iter().map(find).collect()
}

/// What lock and report say of the files that are not built now, if they can still be trusted.
fn keep(committed: &Files, chosen: &[&Source], sources: &[Source]) -> Result<Kept, String> {
    let (Some(lock), Some(report)) = (committed.get(lock::FILE), committed.get(report::FILE))
    else {
        return Ok(Kept::default());
    };
    let build_all = |why: String| format!("{why}; build all: {REMEDY}");
    let mut lock = Lock::read(lock).map_err(build_all)?;
    let mut rows = report::read(report).map_err(build_all)?;
    if lock.made_with != lock::made_with() {
        let file = lock::FILE;
        return Err(build_all(format!("{file} names other versions or options")));
    }
    let stays = |stem: &str| {
        let exists = sources.iter().any(|source| source.stem == stem);
        exists && chosen.iter().all(|source| source.stem != stem)
    };
    lock.kernels.retain(|stem, _| stays(stem));
    rows.retain(|row| stays(&row.file));
    let kernels = lock.kernels;
    let names = kernels
        .iter()
        .map(|(stem, locked)| ptx_path(&locked.target, stem));
    let ptx = names.filter_map(|name| Some((name.clone(), committed.get(&name)?.clone())));
    let ptx = ptx.collect();
    Ok(Kept { ptx, kernels, rows })
}

/// Writes what differs and removes archives of which nothing is left. An archive whose PTX is the
/// same stays as it is, whichever version of zstd packed it. Returns how many files were written.
fn write(folder: &Path, files: &Files, committed: &Files) -> Result<usize, String> {
    fs::create_dir_all(folder)
        .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    let failed = |path: &Path, error| format!("cannot write {}: {error}", path.display());
    let mut changed = 0;
    for name in [report::FILE, lock::FILE] {
        if let Some(text) = files
            .get(name)
            .filter(|&text| committed.get(name) != Some(text))
        {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| failed(&path, error))?;
            changed += 1;
        }
    }
    for target in Target::ALL.map(Target::name) {
        let of_target = |files: &'_ Files| -> Files {
            let own = files
                .iter()
                .filter(|(name, _)| name.split('/').next() == Some(target));
            own.map(|(name, text)| (name.clone(), text.clone()))
                .collect()
        };
        let (new, old) = (of_target(files), of_target(committed));
        if new == old {
            continue;
        }
        let path = folder.join(target).with_extension(archive::EXTENSION);
        match archive::pack(&new, target)? {
            Some(bytes) => fs::write(&path, bytes).map_err(|error| failed(&path, error))?,
            None => fs::remove_file(&path).map_err(|error| failed(&path, error))?,
        }
        changed += 1;
    }
    Ok(changed)
}

fn check(folders: &Folders, offline: bool) -> Outcome {
    let start = Instant::now();
    let sources = source::sources(&folders.sources)?;
    let committed = make::committed(&folders.ptx)?;
    if sources.is_empty() && committed.is_empty() {
        eprintln!("kernels: there are none yet, so none are stale");
        return Ok(ExitCode::SUCCESS);
    }
    let tools = if offline {
        Err("as asked".into())
    } else {
        Tools::get()
    };
    let (how, stale) = match tools {
        Ok(tools) => {
            let made = make(&tools, &sources.iter().collect::<Vec<_>>())?;
            let files = make::files(&made, Kept::default())?;
            let how = "all were built anew and their bytes compared".to_string();
            (how, check::differences(&files, &committed))
        }
        Err(why) => {
            let how = format!("only hashes were compared, nothing was built ({why})");
            let said = check::stale(&sources, &committed);
            (
                how,
                said.map_err(|why| format!("{why}; mend it with: {REMEDY}"))?,
            )
        }
    };
    for line in &stale {
        eprintln!("{}/{line}", folders.ptx.display());
    }
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("kernels: {how}, in {seconds:.1} s");
    match stale.len() {
        0 => Ok(ExitCode::SUCCESS),
        1 => Err(format!("1 file is stale; mend it with: {REMEDY}")),
        n => Err(format!("{n} files are stale; mend them with: {REMEDY}")),
    }
}

fn list(folders: &Folders) -> Outcome {
    let committed = make::committed(&folders.ptx)?;
    if committed.is_empty() {
        eprintln!("there are no kernels yet");
        return Ok(ExitCode::SUCCESS);
    }
    let text = list::list(&committed).map_err(|why| format!("{why}; mend it with: {REMEDY}"))?;
    print(&text);
    Ok(ExitCode::SUCCESS)
}

fn show(folders: &Folders, name: &str) -> Outcome {
    let committed = make::committed(&folders.ptx)?;
    let found = ptx::find(&committed, name).ok_or_else(|| {
        format!("there is no kernel file or kernel {name}: see `cargo xtask kernels list`")
    })?;
    print(found);
    Ok(ExitCode::SUCCESS)
}

/// Writes to stdout. A reader that stops reading, as `head` does, is no failure.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
