//! From sources to all that is committed: PTX, report and lock. Nothing is written here.

use crate::archive;
use crate::assembly::Assembly;
use crate::gates;
use crate::lock::{self, Lock, Locked};
use crate::nvrtc::Nvrtc;
use crate::ptx;
use crate::report::{self, Row};
use crate::sha256;
use crate::source::{Source, Target};
use crate::tools::Tools;
use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use xtask::run::target_folder;

/// One file, compiled and found sound.
#[derive(Debug)]
pub(crate) struct Made {
    stem: String,
    target: Target,
    ptx: String,
    sources: BTreeMap<String, String>,
    pub(crate) rows: Vec<Row>,
}

/// Texts by name: `report.txt`, and PTX as if it lay in a folder for each target,
/// `compute_75/matmul.ptx`.
pub(crate) type Files = BTreeMap<String, String>;

/// Compiles, assembles and judges; else every complaint, a line each.
pub(crate) fn make(tools: &Tools, sources: &[&Source]) -> Result<Vec<Made>, String> {
    let nvrtc = Nvrtc::open(&tools.nvrtc())?;
    let scratch = Scratch::make()?;
    let compiled = all(parallel(sources, |source| {
        compile(&nvrtc, &scratch, source)
    }))?;
    // Every pair of a file and an architecture apart: they take unequal times.
    let pairs: Vec<_> = sources
        .iter()
        .zip(&compiled)
        .flat_map(|(source, (_, path))| {
            source
                .target
                .architectures()
                .iter()
                .map(move |on| (path, on))
        })
        .collect();
    let assemblies = all(parallel(&pairs, |(path, on)| {
        let told = |why| format!("{}: {why}", path.display());
        Assembly::of(tools, path, on).map_err(told)
    }))?;
    let mut assemblies = assemblies.into_iter();
    all(sources
        .iter()
        .zip(compiled)
        .map(|(source, (ptx, _))| {
            let count = source.target.architectures().len();
            let own: Vec<_> = assemblies.by_ref().take(count).collect();
            judge(source, ptx, &own)
        })
        .collect())
}

fn compile(nvrtc: &Nvrtc, scratch: &Scratch, source: &Source) -> Result<(String, PathBuf), String> {
    let ptx = nvrtc.compile(source)?;
    let path = scratch.0.join(format!("{}.ptx", source.stem));
    fs::write(&path, &ptx).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    Ok((ptx, path))
}

fn judge(source: &Source, ptx: String, assemblies: &[Assembly]) -> Result<Made, String> {
    let mut entries = ptx::entries(&ptx);
    let complaints = gates::complaints(source, &entries, assemblies);
    if !complaints.is_empty() {
        return Err(complaints.join("\n"));
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut rows = Vec::new();
    for entry in &entries {
        for assembly in assemblies {
            rows.extend(assembly.usage(&entry.name).map(|usage| Row {
                usage: usage.clone(),
                file: source.stem.clone(),
                target: source.target.name().into(),
                architecture: assembly.architecture.into(),
                hmma: assembly.tensor_core_instructions(&entry.name),
            }));
        }
    }
    Ok(Made {
        stem: source.stem.clone(),
        target: source.target,
        ptx,
        sources: source.hashes(),
        rows,
    })
}

/// What earlier runs made of files that this one leaves alone.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) ptx: Files,
    pub(crate) kernels: BTreeMap<String, Locked>,
    pub(crate) rows: Vec<Row>,
}

/// What is to be committed, what is kept included.
pub(crate) fn files(made: &[Made], kept: Kept) -> Result<Files, String> {
    let mut files = kept.ptx;
    let mut rows = kept.rows;
    let mut lock = Lock {
        made_with: lock::made_with(),
        kernels: kept.kernels,
        report: String::new(),
    };
    for one in made {
        rows.extend(one.rows.iter().cloned());
        files.insert(ptx_path(one.target.name(), &one.stem), one.ptx.clone());
        let locked = Locked {
            target: one.target.name().into(),
            ptx: sha256(one.ptx.as_bytes()),
            sources: one.sources.clone(),
        };
        lock.kernels.insert(one.stem.clone(), locked);
    }
    // Stable: kernels of a file stay in their order, and architectures of a kernel.
    rows.sort_by(|a, b| a.file.cmp(&b.file));
    each_name_once(&rows)?;
    let report = report::text(&rows);
    lock.report = sha256(report.as_bytes());
    files.insert(report::FILE.into(), report);
    files.insert(lock::FILE.into(), lock.text());
    Ok(files)
}

/// The name of a kernel file's PTX in [`Files`].
pub(crate) fn ptx_path(target: &str, stem: &str) -> String {
    format!("{target}/{stem}.ptx")
}

/// Two kernels of one name for one target would be told apart by nobody.
fn each_name_once(rows: &[Row]) -> Result<(), String> {
    let mut files = BTreeMap::new();
    for row in rows {
        let key = (&row.usage.kernel, &row.target);
        let first = files.entry(key).or_insert(&row.file);
        if *first != &row.file {
            let (kernel, second) = (key.0, &row.file);
            return Err(format!(
                "{kernel} is in {first}.cu and in {second}.cu: name one anew"
            ));
        }
    }
    Ok(())
}

/// All successes, or all failures, a line each.
pub(crate) fn all<T>(results: Vec<Result<T, String>>) -> Result<Vec<T>, String> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(why) => bad.push(why),
        }
    }
    if bad.is_empty() {
        Ok(good)
    } else {
        Err(bad.join("\n"))
    }
}

/// Does `work` for every item on all cores; results are in the order of the items.
pub(crate) fn parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take_turns = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            match items.get(i) {
                Some(item) => done.push((i, work(item))),
                None => return done,
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let mut done = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(take_turns)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        let unwind = |panic| std::panic::resume_unwind(panic);
        joined
            .flat_map(|r| r.unwrap_or_else(unwind))
            .collect::<Vec<_>>()
    });
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A folder for what the assembler reads and writes, gone at the end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn make() -> Result<Self, String> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("kernels-{}-{count}", std::process::id());
        let folder = target_folder()?.join(name);
        fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left-overs in the target folder are no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Every text that is now in the folder of PTX, unpacked.
pub(crate) fn committed(folder: &Path) -> Result<Files, String> {
    let mut found = Files::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for path in xtask::entries(folder)? {
        let failed = |error| format!("cannot read {}: {error}", path.display());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some((target, archive::EXTENSION)) = name.split_once('.') {
            archive::unpack(&fs::read(&path).map_err(failed)?, target, &mut found)?;
        } else if [lock::FILE, report::FILE].contains(&&*name) {
            found.insert(name.into(), fs::read_to_string(&path).map_err(failed)?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source;

    /// The tools, if an earlier `kernels` has fetched them; tests fetch nothing.
    fn tools() -> Option<Tools> {
        // Tests lie a folder deeper than the program itself.
        let target = target_folder().unwrap();
        let tools = target.parent().and_then(Tools::in_target);
        if tools.is_none() {
            eprintln!("skipped: target/cuda-tools is not there");
        }
        tools
    }

    /// A folder with these files.
    fn folder(name: &str, files: &[(&str, &str)]) -> Scratch {
        let scratch = Scratch::make().unwrap();
        let inner = scratch.0.join(name);
        fs::create_dir(&inner).unwrap();
        for (file, text) in files {
            fs::write(inner.join(file), text).unwrap();
        }
        scratch
    }

    /// What is made of the kernel files in a folder.
    fn made(tools: &Tools, folder: &Path) -> Result<Files, String> {
        let sources = source::sources(folder)?;
        files(
            &make(tools, &sources.iter().collect::<Vec<_>>())?,
            Kept::default(),
        )
    }

    const SCALE: &str = "\
// target: compute_90a
#include \"names.cuh\"
extern \"C\" __global__ void scale_forward_f32(float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] *= own_name()[i % 4] + __FILE__[i % 4] + INFINITY;
}
";

    /// The kernel asks for the names of its files, where a folder would show.
    #[test]
    fn no_folder_changes_a_byte() {
        let Some(tools) = tools() else { return };
        let names = "__device__ const char* own_name() { return __FILE__; }";
        let files = [("scale.cu", SCALE), ("names.cuh", names)];
        let (a, b) = (folder("here", &files), folder("elsewhere", &files));
        let first = made(&tools, &a.0.join("here")).unwrap();
        assert_eq!(first.len(), 3, "{:?}", first.keys());
        assert_eq!(first, made(&tools, &b.0.join("elsewhere")).unwrap());
    }

    #[test]
    fn what_is_not_sound_is_not_made() {
        let Some(tools) = tools() else { return };
        let kernel = |target: &str, head: &str, body: &str| {
            format!(
                "// target: {target}\n{head} __global__ void a_forward_f32(float* y, int n) {{ {body} }}"
            )
        };
        let c = "extern \"C\"";
        let cases = [
            (
                kernel("compute_90a", c, "y[0] = z;"),
                "identifier \"z\" is undefined",
            ),
            (kernel("compute_90a", c, "int unused = n;"), "has warnings"),
            (
                kernel("compute_90a", "", "y[0] = n;"),
                "is not extern \"C\"",
            ),
            (
                kernel(
                    "compute_90a",
                    c,
                    "float a[9]; for (int i = 0; i < 9; i++) a[(i * n) % 9] = i; y[0] = a[n];",
                ),
                "on sm_90a: index arrays by constants",
            ),
            (
                kernel(
                    "compute_90a",
                    &format!("// expects: HMMA a_forward_f32\n{c}"),
                    "y[0] = n;",
                ),
                "has no HMMA on sm_90a",
            ),
        ];
        for (text, expected) in cases {
            let scratch = folder("kernels", &[("a.cu", &text)]);
            let said = made(&tools, &scratch.0.join("kernels")).unwrap_err();
            assert!(
                said.starts_with("a.cu") && said.contains(expected),
                "{text}:\n{said}"
            );
        }
    }

    #[test]
    fn work_is_done_in_parallel_and_kept_in_order() {
        let items: Vec<_> = (0..1000).collect();
        let squares: Vec<_> = items.iter().map(|i| i * i).collect();
        assert_eq!(parallel(&items, |i| i * i), squares);
    }

    #[test]
    fn a_name_stands_in_one_file_only() {
        let row = |file: &str, target: &str| Row {
            usage: crate::ptxas::Usage {
                kernel: "a_forward_f32".into(),
                ..Default::default()
            },
            file: file.into(),
            target: target.into(),
            architecture: "sm_80".into(),
            hmma: None,
        };
        let alike = [row("a", "compute_80"), row("a", "compute_80")];
        assert_eq!(each_name_once(&alike), Ok(()));
        // The one for Hopper stands in for the one for all.
        let hopper = [row("a", "compute_80"), row("b", "compute_90a")];
        assert_eq!(each_name_once(&hopper), Ok(()));
        let twice = each_name_once(&[row("a", "compute_80"), row("b", "compute_80")]);
        assert!(twice.unwrap_err().contains("in a.cu and in b.cu"));
    }
}
