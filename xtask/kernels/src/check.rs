//! Whether what is committed is what the sources make.

use crate::lock::{self, Lock};
use crate::make::{Files, ptx_path};
use crate::report;
use crate::sha256;
use crate::source::Source;
use std::collections::BTreeSet;

/// By bytes: every difference between what was made just now and what is committed, a line each.
pub(crate) fn differences(made: &Files, committed: &Files) -> Vec<String> {
    let names: BTreeSet<_> = made.keys().chain(committed.keys()).collect();
    let said = |name: &String| match (made.get(name), committed.get(name)) {
        (Some(a), Some(b)) if a == b => None,
        (Some(_), Some(_)) => Some(format!("{name}: is not what the sources make now")),
        (Some(_), None) => Some(format!("{name}: is missing")),
        _ => Some(format!("{name}: nothing makes it")),
    };
    names.into_iter().filter_map(said).collect()
}

/// By the lock alone: every file that is not as the lock says, a line each.
///
/// This sees any change of a source or of a made file, but not whether the compiler would make the
/// same of the same source.
pub(crate) fn stale(sources: &[Source], committed: &Files) -> Result<Vec<String>, String> {
    let Some(text) = committed.get(lock::FILE) else {
        return Ok(vec![format!("{}: is missing", lock::FILE)]);
    };
    let lock = Lock::read(text)?;
    let mut found = Vec::new();
    if lock.made_with != lock::made_with() {
        let file = lock::FILE;
        found.push(format!(
            "{file}: names other versions or options than are used now"
        ));
    }
    let mut as_locked = |name: &str, hash: &str| match committed.get(name) {
        None => found.push(format!("{name}: is missing")),
        Some(text) if sha256(text.as_bytes()) != hash => {
            found.push(format!("{name}: was changed after it was made"));
        }
        Some(_) => (),
    };
    as_locked(report::FILE, &lock.report);
    for (stem, locked) in &lock.kernels {
        as_locked(&ptx_path(&locked.target, stem), &locked.ptx);
    }
    for source in sources {
        let name = ptx_path(source.target.name(), &source.stem);
        match lock.kernels.get(&source.stem) {
            Some(locked) if locked.target == source.target.name() => {
                let now = source.hashes();
                let all: BTreeSet<_> = now.keys().chain(locked.sources.keys()).collect();
                let changed = |file: &&&String| now.get(**file) != locked.sources.get(**file);
                let changed: Vec<_> = all
                    .iter()
                    .filter(changed)
                    .map(|file| file.as_str())
                    .collect();
                if !changed.is_empty() {
                    let changed = changed.join(", ");
                    found.push(format!("{name}: was made before {changed} changed"));
                }
            }
            _ => found.push(format!("{name}: was not yet made from {}", source.file())),
        }
    }
    let known = |name: &String| {
        let mut kernels = lock.kernels.iter();
        kernels.any(|(stem, locked)| ptx_path(&locked.target, stem) == **name)
    };
    let strays = committed.keys().filter(|name| name.ends_with(".ptx"));
    found.extend(
        strays
            .filter(|name| !known(name))
            .map(|name| format!("{name}: nothing makes it")),
    );
    let gone = lock
        .kernels
        .keys()
        .filter(|stem| sources.iter().all(|s| s.stem != **stem));
    found.extend(gone.map(|stem| format!("{}: still lists {stem}.cu", lock::FILE)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Locked;
    use crate::source::Target;

    fn source(text: &str) -> Source {
        Source {
            stem: "gelu".into(),
            target: Target::Compute75,
            text: text.into(),
            headers: [("prims.cuh".into(), "p".into())].into(),
            allowances: Vec::new(),
            expectations: Vec::new(),
        }
    }

    /// What a build of `source("a")` would commit, had it been compiled to "ptx".
    fn committed() -> Files {
        let locked = Locked {
            target: "compute_75".into(),
            ptx: sha256(b"ptx"),
            sources: source("a").hashes(),
        };
        let lock = Lock {
            report: sha256(b"report"),
            made_with: lock::made_with(),
            kernels: [("gelu".into(), locked)].into(),
        };
        let files = [
            (lock::FILE, lock.text()),
            (report::FILE, "report".into()),
            ("compute_75/gelu.ptx", "ptx".into()),
        ];
        files.map(|(name, text)| (name.into(), text)).into()
    }

    #[test]
    fn fresh_files_pass() {
        assert_eq!(stale(&[source("a")], &committed()), Ok(vec![]));
        assert!(differences(&committed(), &committed()).is_empty());
    }

    #[test]
    fn each_kind_of_staleness_is_one_line() {
        let change = |name: &str, text: &str| {
            let mut files = committed();
            files.insert(name.into(), text.into());
            files
        };
        let older = committed()[lock::FILE].replace("12.4.127", "12.4.99");
        let mut header = source("a");
        header.headers.insert("prims.cuh".into(), "q".into());
        let cases = [
            (
                source("b"),
                committed(),
                "gelu.ptx: was made before gelu.cu changed",
            ),
            (
                header,
                committed(),
                "gelu.ptx: was made before prims.cuh changed",
            ),
            (
                source("a"),
                change("compute_75/gelu.ptx", "x"),
                "gelu.ptx: was changed after",
            ),
            (
                source("a"),
                change("report.txt", "x"),
                "report.txt: was changed after",
            ),
            (
                source("a"),
                change("compute_80/old.ptx", "x"),
                "old.ptx: nothing makes it",
            ),
            (
                source("a"),
                change(lock::FILE, &older),
                "kernels.lock: names other versions",
            ),
        ];
        for (source, files, expected) in cases {
            let said = stale(&[source], &files).unwrap();
            assert_eq!(said.len(), 1, "{expected}: {said:?}");
            assert!(said[0].contains(expected), "{said:?}");
        }
        let gone = stale(&[], &committed()).unwrap();
        assert_eq!(gone, ["kernels.lock: still lists gelu.cu"]);
    }

    #[test]
    fn differences_of_bytes_are_named() {
        let mut other = committed();
        other.insert(report::FILE.into(), "x".into());
        other.insert("compute_80/old.ptx".into(), "x".into());
        other.remove("compute_75/gelu.ptx");
        let expected = [
            "compute_75/gelu.ptx: is missing",
            "compute_80/old.ptx: nothing makes it",
            "report.txt: is not what the sources make now",
        ];
        assert_eq!(differences(&committed(), &other), expected);
    }
}
