//! NVIDIA's run-time compiler: CUDA C++ in memory to PTX in memory.
//!
//! This is the one place that calls into a foreign library. Headers are handed over by name and
//! text, never looked up on the disk, so that nothing but the texts can end up in the PTX and no
//! folder's name can.
#![allow(
    unsafe_code,
    reason = "nine C functions of a library that is opened when it is needed"
)]

use crate::source::Source;
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

/// What kernel files are compiled with, beside their target. No fast math: it would change results.
pub(crate) const OPTIONS: [&str; 2] = ["--std=c++17", "-DINFINITY=__int_as_float(0x7f800000)"];

type Program = *mut c_void;
type Status = c_int;
type Texts = *const *const c_char;

/// The compiler, opened. Threads may share it: each compilation has a program of its own.
#[derive(Debug)]
pub(crate) struct Nvrtc {
    version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> Status,
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        Texts,
        Texts,
    ) -> Status,
    compile: unsafe extern "C" fn(Program, c_int, Texts) -> Status,
    log: Output,
    ptx: Output,
    destroy: unsafe extern "C" fn(*mut Program) -> Status,
    error_string: unsafe extern "C" fn(Status) -> *const c_char,
    /// Dropped after all that points into them.
    _libraries: [Library; 2],
}

/// A text that a program holds: its length with the final zero, and itself.
#[derive(Debug, Clone, Copy)]
struct Output {
    size: unsafe extern "C" fn(Program, *mut usize) -> Status,
    get: unsafe extern "C" fn(Program, *mut c_char) -> Status,
}

impl Nvrtc {
    /// Opens the library in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        // The library would add these to our options, and the bytes would depend on who builds.
        let variable = "NVRTC_APPEND_FLAGS";
        if std::env::var_os(variable).is_some() {
            return Err(format!(
                "{variable} is set and would change the PTX: unset it"
            ));
        }
        // The compiler asks for its builtins by their bare name, which the loader knows once they
        // are open: no LD_LIBRARY_PATH is needed.
        let builtins = open(&folder.join("libnvrtc-builtins.so.12.4"))?;
        let library = open(&folder.join("libnvrtc.so.12"))?;
        /// The function of a name, as the type of the place it goes to.
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the field's type is the prototype of this function in nvrtc.h 12.4, and
                // the library stays open as long as the field lives.
                *unsafe { library.get($name) }.map_err(|error| error.to_string())?
            };
        }
        let nvrtc = Self {
            version: function!("nvrtcVersion"),
            create: function!("nvrtcCreateProgram"),
            compile: function!("nvrtcCompileProgram"),
            log: Output {
                size: function!("nvrtcGetProgramLogSize"),
                get: function!("nvrtcGetProgramLog"),
            },
            ptx: Output {
                size: function!("nvrtcGetPTXSize"),
                get: function!("nvrtcGetPTX"),
            },
            destroy: function!("nvrtcDestroyProgram"),
            error_string: function!("nvrtcGetErrorString"),
            _libraries: [library, builtins],
        };
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both places are ours and of the right type.
        let status = unsafe { (nvrtc.version)(&raw mut major, &raw mut minor) };
        nvrtc.succeed(status)?;
        match (major, minor) {
            (12, 4) => Ok(nvrtc),
            _ => Err(format!("expected NVRTC 12.4, found {major}.{minor}")),
        }
    }

    /// The PTX of a source; its errors, or its warnings, are an error.
    pub(crate) fn compile(&self, source: &Source) -> Result<String, String> {
        let file = source.file();
        let text = c_string(&file, &source.text)?;
        let name = c_string(&file, &file)?;
        let names = c_strings(&file, source.headers.keys())?;
        let headers = c_strings(&file, source.headers.values())?;
        let (names, headers) = (pointers(&names), pointers(&headers));
        let mut program = Compilation {
            nvrtc: self,
            program: ptr::null_mut(),
        };
        // SAFETY: every pointer is to a text that ends with a zero and outlives the call, which
        // copies them; there are as many headers as names.
        let status = unsafe {
            (self.create)(
                &raw mut program.program,
                text.as_ptr(),
                name.as_ptr(),
                count(&headers)?,
                headers.as_ptr(),
                names.as_ptr(),
            )
        };
        self.succeed(status)?;
        let architecture = format!("--gpu-architecture={}", source.target.name());
        let options = c_strings(&file, OPTIONS.into_iter().chain([&*architecture]))?;
        let options = pointers(&options);
        // SAFETY: the program was created above; the options end with zeros and outlive the call.
        let status = unsafe { (self.compile)(program.program, count(&options)?, options.as_ptr()) };
        let log = beginning(&program.text(self.log)?);
        match self.succeed(status) {
            Err(why) => Err(format!("{file} does not compile ({why}):\n{log}")),
            Ok(()) if !log.is_empty() => Err(format!("{file} has warnings:\n{log}")),
            Ok(()) => program.text(self.ptx),
        }
    }

    fn succeed(&self, status: Status) -> Result<(), String> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the function takes any number.
        let text = unsafe { (self.error_string)(status) };
        // SAFETY: it gives a constant text that ends with a zero, for unknown numbers too.
        let text = unsafe { CStr::from_ptr(text) };
        Err(text.to_string_lossy().into_owned())
    }
}

/// A program, destroyed at the end.
struct Compilation<'n> {
    nvrtc: &'n Nvrtc,
    program: Program,
}

impl Compilation<'_> {
    fn text(&self, output: Output) -> Result<String, String> {
        let mut size = 0;
        // SAFETY: the program was created and compiled; the place is ours.
        let status = unsafe { (output.size)(self.program, &raw mut size) };
        self.nvrtc.succeed(status)?;
        let mut bytes = vec![0u8; size];
        // SAFETY: the place has as many bytes as the library just asked for.
        let status = unsafe { (output.get)(self.program, bytes.as_mut_ptr().cast()) };
        self.nvrtc.succeed(status)?;
        bytes.pop_if(|byte| *byte == 0);
        String::from_utf8(bytes).map_err(|error| format!("the compiler said no text: {error}"))
    }
}

impl Drop for Compilation<'_> {
    fn drop(&mut self) {
        if !self.program.is_null() {
            // SAFETY: the program was created, and nobody uses it after this.
            unsafe { (self.nvrtc.destroy)(&raw mut self.program) };
        }
    }
}

/// The first lines of a log: one mistake in a header can be told a hundred times.
fn beginning(log: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<_> = log.trim().lines().collect();
    match lines.len().checked_sub(LINES) {
        None | Some(0) => lines.join("\n"),
        Some(more) => format!("{}\n({more} more lines)", lines[..LINES].join("\n")),
    }
}

fn open(path: &Path) -> Result<Library, String> {
    // SAFETY: the library comes from a package whose hash we know; opening it runs only its own
    // initialisers.
    let library = unsafe { Library::new(path) };
    library.map_err(|error| format!("cannot open {}: {error}", path.display()))
}

fn c_string(file: &str, text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("{file}, or what it includes, has a zero byte"))
}

fn c_strings<T: AsRef<str>>(
    file: &str,
    texts: impl Iterator<Item = T>,
) -> Result<Vec<CString>, String> {
    texts.map(|text| c_string(file, text.as_ref())).collect()
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).collect()
}

fn count(texts: &[*const c_char]) -> Result<c_int, String> {
    c_int::try_from(texts.len()).map_err(|error| error.to_string())
}
