//! A fake CUDA driver library that runs Latimer's kernels on the CPU, for tests.
//!
//! [`build`] compiles the sources in `kernels/` with a C++ compiler and links them behind the
//! driver's functions. The backend under test is the real one: it finds this library in the place
//! of `libcuda` when the environment variable `LATIMER_CUDA_DRIVER` names it. The device calls
//! itself `cpu-shim`, and is as slow as that sounds.

#![allow(unsafe_code, reason = "sets an environment variable")]

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs, io};

/// Why there is no shim.
#[derive(Debug)]
pub enum Error {
    /// No C++ compiler answers: what needs the shim is to be skipped, saying so.
    NoCompiler,
    /// A file cannot be read or written.
    File(PathBuf, io::Error),
    /// The compiler's own words.
    Compile(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCompiler => f.write_str("there is neither g++ nor clang++"),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Compile(message) => write!(f, "the kernels do not compile:\n{message}"),
        }
    }
}

impl std::error::Error for Error {}

/// Set where a GPU must be there: what cannot run is then a failure, and the shim is not used.
pub const GPU_REQUIRED: &str = "GPU_REQUIRED";
/// Names the driver's library for the backend.
pub const DRIVER: &str = "LATIMER_CUDA_DRIVER";

/// Points this process's CUDA backend at the shim, unless `GPU_REQUIRED` is set or another driver
/// named. False where there is no compiler: then there is nothing to test on, which it says.
///
/// # Panics
/// When the kernels do not compile, or a file cannot be written.
pub fn can_be_driver() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        if env::var_os(GPU_REQUIRED).is_some() || env::var_os(DRIVER).is_some() {
            return true;
        }
        match build(&Options::default()) {
            Ok(path) => {
                // SAFETY: tests come here before anything else of theirs reads the environment.
                unsafe { env::set_var(DRIVER, path) };
                true
            }
            Err(Error::NoCompiler) => {
                eprintln!("skipped: there is neither a GPU nor a C++ compiler for the CPU shim");
                false
            }
            Err(error) => panic!("{error}"),
        }
    })
}

/// As [`can_be_driver`]; where it cannot, the process ends well, all of its tests skipped.
///
/// # Panics
/// As [`can_be_driver`].
pub fn use_as_driver() {
    if !can_be_driver() {
        std::process::exit(0);
    }
}

type Result<T> = std::result::Result<T, Error>;

/// How the library is built.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Under AddressSanitizer: the process that loads it must be started with its runtime.
    pub address_sanitizer: bool,
    /// Sources instead of `kernels/`: changed copies, to show that a change is noticed.
    pub kernels: Option<PathBuf>,
}

/// Flags that matter to results: nothing is fused or reordered that a kernel does not say.
const FLAGS: &[&str] = &[
    "-std=c++17",
    "-O2",
    "-g1",
    "-fPIC",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-DSHIM_CPU",
    "-Wall",
    "-Wno-unused-function",
    "-Wno-unused-variable",
    "-Wno-unknown-pragmas",
];

/// The path of the library, built if it is not there yet.
///
/// # Errors
/// [`Error::NoCompiler`] where tests are to be skipped; anything else is a failure.
pub fn build(options: &Options) -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.join("../../..");
    let kernels = match &options.kernels {
        Some(folder) => folder.clone(),
        None => root.join("kernels"),
    };
    let compiler = compiler()?;
    let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    flags.push(format!("-I{}", kernels.display()));
    flags.push(format!("-I{}", here.display()));
    if options.address_sanitizer {
        // Fibers leave their stacks without unwinding them: their marks would be taken for
        // overflows.
        flags.push("-fsanitize=address".into());
        flags.push("--param=asan-stack=0".into());
    }
    let target = env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let objects = target.join("cuda-shim");
    fs::create_dir_all(&objects).map_err(|error| Error::File(objects.clone(), error))?;

    // What every unit depends on; each depends on its own headers besides.
    let mut common = DefaultHasher::new();
    (compiler, &flags[..FLAGS.len()], options.address_sanitizer).hash(&mut common);
    for header in ["shim.h", "fake_cuda.h"] {
        read(&here.join(header))?.hash(&mut common);
    }

    let mut units = Vec::new();
    for name in ["shim.cpp", "fake_cuda.cpp", "fake_streams.cpp"] {
        units.push((name.to_owned(), read(&here.join(name))?));
    }
    let report = read(&here.join("../ptx/report.txt"))?;
    units.push(("registers.cpp".into(), registers(&report)));
    for (stem, entries) in families(&report) {
        let source = kernels.join(format!("{stem}.cu"));
        let mut text = read(&source)?;
        for entry in entries {
            text.push_str(&format!("SHIM_ADD_KERNEL({entry})\n"));
        }
        units.push((format!("{stem}.cpp"), text));
    }
    let mut whole = common.clone();
    let mut made = Vec::new();
    for (name, text) in &units {
        let mut hash = common.clone();
        text.hash(&mut hash);
        for header in headers(&kernels, text)? {
            read(&header)?.hash(&mut hash);
        }
        let hash = hash.finish();
        (name, hash).hash(&mut whole);
        made.push((name, text, objects.join(format!("{name}-{hash:016x}.o"))));
    }
    let folder = objects.join(format!("{:016x}", whole.finish()));
    let library = folder.join("libcuda.so");
    if library.exists() {
        return Ok(library);
    }
    std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            let (flags, made) = (&flags, &made);
            scope.spawn(move || {
                let mine = made.iter().skip(half).step_by(2);
                mine.filter(|(_, _, object)| !object.exists()).try_for_each(
                    |(name, text, object)| compile(compiler, flags, name, text, object),
                )
            })
        });
        halves.into_iter().try_for_each(|half| {
            let joined = half.join();
            joined.unwrap_or_else(|_| Err(Error::Compile("a compiling thread panicked".into())))
        })
    })?;
    // Made aside and renamed, as several test programs may build at once.
    fs::create_dir_all(&folder).map_err(|error| Error::File(folder.clone(), error))?;
    let aside = folder.join(format!("aside-{}.so", std::process::id()));
    let mut link = Command::new(compiler);
    link.args(["-shared", "-Wl,-soname,libcuda.so", "-o"])
        .arg(&aside);
    if options.address_sanitizer {
        link.arg("-fsanitize=address");
    }
    run(link.args(made.iter().map(|(_, _, object)| object)))?;
    fs::rename(&aside, &library).map_err(|error| Error::File(library.clone(), error))?;
    Ok(library)
}

/// The path of a fake cuBLASLt that multiplies by plain loops, built if it is not there yet. The
/// backend takes it when the environment variable `LATIMER_CUBLASLT` names it.
///
/// # Errors
/// As [`build`].
pub fn build_cublaslt() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = here.join("fake_cublaslt.cpp");
    let compiler = compiler()?;
    let mut hash = DefaultHasher::new();
    (compiler, FLAGS, read(&source)?).hash(&mut hash);
    let target = env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or(here.join("../../../target"), PathBuf::from);
    let folder = target.join(format!("cuda-shim/cublaslt-{:016x}", hash.finish()));
    let library = folder.join("libcublasLt.so");
    if library.exists() {
        return Ok(library);
    }
    fs::create_dir_all(&folder).map_err(|error| Error::File(folder.clone(), error))?;
    let aside = folder.join(format!("aside-{}.so", std::process::id()));
    let mut command = Command::new(compiler);
    command
        .args(FLAGS)
        .args(["-shared", "-Wl,-soname,libcublasLt.so", "-o"]);
    run(command.arg(&aside).arg(&source).arg("-ldl"))?;
    fs::rename(&aside, &library).map_err(|error| Error::File(library.clone(), error))?;
    Ok(library)
}

fn compile(compiler: &str, flags: &[String], name: &str, text: &str, object: &Path) -> Result<()> {
    let aside = object.with_extension(format!("{}.tmp", std::process::id()));
    let source = aside.with_extension("cpp");
    // Messages shall name the kernel's own file and line.
    let text = format!("#line 1 \"{}\"\n{text}", name.replace(".cpp", ".cu"));
    fs::write(&source, text).map_err(|error| Error::File(source.clone(), error))?;
    let result = run(Command::new(compiler)
        .args(flags)
        .arg("-c")
        .arg(&source)
        .arg("-o")
        .arg(&aside));
    let _ = fs::remove_file(&source);
    result?;
    fs::rename(&aside, object).map_err(|error| Error::File(object.to_owned(), error))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output();
    let output = output.map_err(|error| Error::File(command.get_program().into(), error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Compile(
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

fn compiler() -> Result<&'static str> {
    let answers = |name: &&str| {
        let asked = Command::new(name).arg("--version").output();
        asked.is_ok_and(|output| output.status.success())
    };
    ["g++", "clang++"]
        .into_iter()
        .find(answers)
        .ok_or(Error::NoCompiler)
}

/// The families of kernels with the names of their kernels, from `kernels build`'s report.
fn families(report: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut families = BTreeMap::<_, BTreeSet<_>>::new();
    for (kernel, family, _) in rows(report) {
        families.entry(family).or_default().insert(kernel);
    }
    families
}

/// Kernel, family and registers, from each line of the report below its headings.
fn rows(report: &str) -> impl Iterator<Item = (&str, &str, u32)> {
    let lines = report.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let mut columns = line.split_whitespace();
        let (kernel, family) = (columns.next()?, columns.next()?);
        Some((kernel, family, columns.nth(2)?.parse().ok()?))
    })
}

/// A unit that tells the driver how many registers each kernel has, by `kernels build`'s report:
/// the most of any architecture.
fn registers(report: &str) -> String {
    let mut most = BTreeMap::new();
    for (kernel, _, registers) in rows(report) {
        let most = most.entry(kernel).or_insert(0);
        *most = registers.max(*most);
    }
    let rows = most.iter();
    let rows: String = rows
        .map(|(kernel, n)| format!("{{\"{kernel}\", {n}}},\n"))
        .collect();
    format!(
        "#include \"shim.h\"\nconst std::map<std::string, u32>& shim::registers() {{\n\
         static const std::map<std::string, u32> all = {{\n{rows}}};\nreturn all;\n}}\n"
    )
}

/// The headers of a folder that a source takes in, directly or by another, each once.
fn headers(folder: &Path, source: &str) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut texts = vec![source.to_owned()];
    while let Some(text) = texts.pop() {
        for line in text.lines() {
            let rest = line.trim_start().strip_prefix("#include \"");
            let Some((name, _)) = rest.and_then(|rest| rest.split_once('"')) else {
                continue;
            };
            let header = folder.join(name);
            // The shim's own header lies elsewhere.
            if header.exists() && !found.contains(&header) {
                texts.push(read(&header)?);
                found.push(header);
            }
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Error::File(path.to_owned(), error))
}
