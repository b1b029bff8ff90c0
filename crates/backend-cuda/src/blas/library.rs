//! Finding cuBLASLt's library, which comes with CUDA's toolkit or with Python's packages.
//!
//! The library found here is the one that is called, whatever other libraries the loader would
//! find.

use super::api::Api;
use crate::driver::{self, is_absent, open_library};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// This variable names a library, or a folder that holds one; `off` switches cuBLASLt off.
const LIBRARY: &str = "LATIMER_CUBLASLT";
/// This variable names another driver, see `driver`.
const DRIVER: &str = "LATIMER_CUDA_DRIVER";
/// The library's names, newest first.
const NAMES: [&str; 3] = ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"];
/// The oldest version whose descriptors are those of today; 12.4.5 would be 120405.
const OLDEST: usize = 120_000;

/// The library's functions and its version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loaded {
    pub(super) api: &'static Api,
    pub(super) version: usize,
}

/// Loads the library; an error says why it cannot be used. The device is not touched.
pub(super) fn load() -> Result<Loaded, String> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let library = match set(LIBRARY) {
        Some(value) if value == "off" => return Err(format!("{LIBRARY} is off")),
        Some(value) => named(&PathBuf::from(value))?,
        // NVIDIA's library would not work with another driver, unless the user names it expressly.
        None if set(DRIVER).is_some() => {
            return Err(format!("{DRIVER} is set, and {LIBRARY} is not"));
        }
        None => anywhere()?,
    };
    let api = Api::of(&library)?;
    // SAFETY: it takes nothing.
    let version = unsafe { (api.version)() };
    if version < OLDEST {
        return Err(format!("libcublasLt is too old ({version})"));
    }
    let api = kept(api);
    Ok(Loaded { api, version })
}

/// Keeps the functions for good, because their library is never unloaded; once per library.
fn kept(api: Api) -> &'static Api {
    static KEPT: Mutex<Vec<&'static Api>> = Mutex::new(Vec::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |other: &&&Api| std::ptr::fn_addr_eq(other.create, api.create);
    if let Some(known) = kept.iter().find(same) {
        return known;
    }
    let new: &Api = Box::leak(Box::new(api));
    kept.push(new);
    new
}

/// Opens the library that the loader finds by itself, or one in the folders where packages put it.
fn anywhere() -> Result<driver::Loaded, String> {
    let folders = folders(|name| env::var_os(name));
    let by_name = NAMES.map(PathBuf::from).into_iter();
    let by_path = folders.iter().flat_map(|folder| in_folder(folder));
    let mut broken = None;
    for path in by_name.chain(by_path) {
        match open_library(path.as_os_str()) {
            Ok(library) => return Ok(library),
            Err(reason) if is_absent(&path.to_string_lossy(), &reason) => {}
            Err(reason) => broken = broken.or(Some(reason)),
        }
    }
    Err(broken.map_or_else(
        || "libcublasLt is not found".into(),
        |reason| format!("libcublasLt cannot be loaded: {reason}"),
    ))
}

/// Opens what the user named.
fn named(path: &Path) -> Result<driver::Loaded, String> {
    let mut last = format!("there is none of {}", NAMES.join(", "));
    let candidates = if path.is_dir() {
        in_folder(path)
    } else {
        vec![path.to_owned()]
    };
    for candidate in candidates {
        match open_library(candidate.as_os_str()) {
            Ok(library) => return Ok(library),
            Err(reason) => last = reason,
        }
    }
    Err(format!("{LIBRARY} names {}: {last}", path.display()))
}

fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let paths = NAMES.map(|name| folder.join(name));
    paths.into_iter().filter(|path| path.exists()).collect()
}

/// The folders to search for the library outside the loader's path; `variable` looks up the
/// environment.
fn folders(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let roots = |names: [&str; 2]| {
        let values = names.into_iter().filter_map(&variable);
        let set = values.filter(|value| !value.is_empty());
        set.map(PathBuf::from).collect::<Vec<_>>()
    };
    let mut folders = Vec::new();
    for root in roots(["CUDA_HOME", "CUDA_PATH"]) {
        folders.push(root.join("lib64"));
    }
    folders.push("/usr/local/cuda/lib64".into());
    folders.push("/usr/local/nvidia/lib64".into());
    for root in roots(["VIRTUAL_ENV", "CONDA_PREFIX"]) {
        // lib/python3.x/site-packages/nvidia/cu13/lib, nvidia/cublas/lib before CUDA 13
        let Ok(versions) = std::fs::read_dir(root.join("lib")) else {
            continue;
        };
        let mut versions: Vec<_> = versions.flatten().map(|entry| entry.path()).collect();
        versions.sort();
        for version in versions {
            let packages = version.join("site-packages/nvidia");
            folders.extend(["cu13/lib", "cublas/lib"].map(|part| packages.join(part)));
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_packages_and_toolkits_are_looked_through() {
        let root = env::temp_dir().join(format!("latimer-cublaslt-{}", std::process::id()));
        let packages = root.join("lib/python3.12/site-packages/nvidia/cublas/lib");
        std::fs::create_dir_all(&packages).expect("a folder can be made");
        let library = packages.join("libcublasLt.so.12");
        std::fs::write(&library, "").expect("a file can be written");
        let found = folders(|name| match name {
            "CUDA_HOME" => Some("/opt/cuda".into()),
            "VIRTUAL_ENV" => Some(root.clone().into()),
            "CONDA_PREFIX" => Some(OsString::new()),
            _ => None,
        });
        assert_eq!(found[0], Path::new("/opt/cuda/lib64"));
        assert!(found.contains(&PathBuf::from("/usr/local/cuda/lib64")));
        let there = found.last().map(|folder| in_folder(folder));
        assert_eq!(there, Some(vec![library]));
        std::fs::remove_dir_all(root).expect("the folder can be removed");
    }
}
