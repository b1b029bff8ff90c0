//! Which files `--data` means, and which of a folder's files it does not.

use super::corpora::{self, Library};
use super::shard::{is_prepared, shards};
use super::text::{join, read_text};
use crate::{Error, Result};
use glob::{MatchOptions, Pattern};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::fs;
use std::path::{Path, PathBuf};

/// What the names of a folder's text files end in, in any case, unless `data.extensions` says.
pub const TEXT_EXTENSIONS: [&str; 4] = ["txt", "text", "md", "markdown"];

/// The files that names mean: corpora that are published, files, folders, patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataFiles {
    names: Vec<NamedFiles>,
}

/// The files that one name means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedFiles {
    /// What `--data` calls it.
    pub name: String,
    /// Its files, in the order in which they are read.
    pub files: Vec<PathBuf>,
    /// Whether it is a folder of tokens, which [`prepare`](super::prepare) made, not of text.
    pub is_tokens: bool,
    /// How many files are not read, and why; of a folder and a pattern.
    pub not_read: BTreeMap<NotRead, usize>,
}

/// Why a file is not read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NotRead {
    /// Its name ends in this, in lower case, which `data.extensions` does not list; empty for a
    /// name without an ending.
    Extension(String),
    /// It holds nothing.
    Empty,
    /// It, or the folder that it is in, begins with a dot. Such a folder counts as one.
    Hidden,
    /// It is a link to a file that is read anyway.
    Repeated,
    /// It is a link to a folder: following such links may never end.
    LinkToFolder,
    /// It is a link to nothing.
    BrokenLink,
    /// It is no regular file, but a pipe or a device.
    Special,
}

impl fmt::Display for NotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Extension(extension) if extension.is_empty() => "without an extension",
            Self::Extension(extension) => return write!(f, ".{extension}"),
            Self::Empty => "empty",
            Self::Hidden => "hidden",
            Self::Repeated => "links to files that are read",
            Self::LinkToFolder => "links to folders",
            Self::BrokenLink => "links to nothing",
            Self::Special => "no regular files",
        })
    }
}

impl DataFiles {
    /// Finds the files that names mean: corpora come first, then files and folders (`./NAME` means
    /// one), then patterns such as `src/**/*.py`. Of a folder and all folders in it, files are read
    /// whose names end in one of `extensions` (`txt` and `.TXT` are the same); none stands for
    /// [`TEXT_EXTENSIONS`]. A pattern names its files itself. Neither finds what begins with a dot,
    /// unless the pattern says the dot, and neither follows links to folders. Files come in the
    /// order of their paths.
    ///
    /// # Errors
    /// [`Error::EndlessCorpus`], [`Error::JoinedTask`], [`Error::NotCached`], [`Error::Damaged`],
    /// [`Error::UnknownData`], [`Error::NoTextInFolder`], [`Error::NoMatch`],
    /// [`Error::BadPattern`], [`Error::ReadData`].
    pub fn find(
        names: &[String],
        extensions: &[String],
        library: impl Into<Library>,
    ) -> Result<Self> {
        let library = library.into();
        let mut tasks = names.iter().filter_map(|name| library.task(name));
        if let (true, Some((name, _))) = (names.len() > 1, tasks.next()) {
            return Err(Error::JoinedTask { name });
        }
        let extensions = endings(extensions);
        let names = names.iter().map(|name| found(name, &extensions, &library));
        Ok(Self {
            names: names.collect::<Result<_>>()?,
        })
    }

    /// What was found, name by name.
    #[must_use]
    pub fn names(&self) -> &[NamedFiles] {
        &self.names
    }

    /// All files, in the order in which they are read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let files = self.names.iter().flat_map(|named| &named.files);
        files.map(PathBuf::as_path)
    }

    /// All files, of which each is a text.
    ///
    /// # Errors
    /// [`Error::TokensForText`].
    pub fn text_files(&self) -> Result<Vec<PathBuf>> {
        if let Some(named) = self.names.iter().find(|named| named.is_tokens) {
            return Err(Error::TokensForText {
                path: PathBuf::from(&named.name),
            });
        }
        Ok(self.files().map(Path::to_owned).collect())
    }

    /// The texts of all files, each beginning on a line of its own.
    ///
    /// # Errors
    /// [`Error::TokensForText`], [`Error::ReadData`], [`Error::EmptyData`], [`Error::Text`].
    pub fn text(&self) -> Result<String> {
        join(self.text_files()?.iter().map(|file| read_text(file)))
    }

    /// What was read and what was not, for the file `data.txt` of a run.
    pub(crate) fn listing(&self) -> String {
        let mut text = String::new();
        if self.names.is_empty() {
            text.push_str("# no files: the program generates this text\n");
        }
        for NamedFiles {
            name,
            files,
            not_read,
            ..
        } in &self.names
        {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# {name}: files read: {}", files.len());
            for (reason, count) in not_read {
                let _ = writeln!(text, "# {name}: not read: {count} {reason}");
            }
            for file in files {
                let _ = writeln!(text, "{}", file.display());
            }
        }
        text
    }
}

impl NamedFiles {
    /// The texts of these files, each beginning on a line of its own.
    ///
    /// # Errors
    /// As [`DataFiles::text`].
    pub fn text(&self) -> Result<String> {
        let names = vec![self.clone()];
        DataFiles { names }.text()
    }

    fn of(name: &str, files: Vec<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            files,
            is_tokens: false,
            not_read: BTreeMap::new(),
        }
    }
}

/// Whether this may be one of `data.extensions`: an ending of names, with or without its dot.
#[must_use]
pub fn is_ending(extension: &str) -> bool {
    let ending = extension.trim().trim_start_matches('.');
    !ending.is_empty() && !ending.contains(|c: char| c.is_whitespace() || "/\\*?,".contains(c))
}

/// Endings of names as they are compared: in lower case and without a dot.
pub(crate) fn endings(extensions: &[String]) -> Vec<String> {
    let endings: Vec<_> = extensions
        .iter()
        .flat_map(|extensions| extensions.split(','))
        .map(|extension| extension.trim().trim_start_matches('.').to_lowercase())
        .filter(|extension| !extension.is_empty())
        .collect();
    match endings.is_empty() {
        true => TEXT_EXTENSIONS.map(str::to_owned).into(),
        false => endings,
    }
}

fn found(name: &str, extensions: &[String], library: &Library) -> Result<NamedFiles> {
    if let Some(file) = corpora::file_of(name, library)? {
        return Ok(NamedFiles::of(name, vec![file]));
    }
    let path = Path::new(name);
    let there = path.try_exists().map_err(|source| Error::ReadData {
        path: path.to_owned(),
        source,
    })?;
    if !there && is_pattern(name) {
        return matching(name);
    }
    if !there {
        return Err(corpora::unknown(name, library));
    }
    if !path.is_dir() {
        return Ok(NamedFiles::of(name, vec![path.to_owned()]));
    }
    if is_prepared(path) {
        return Ok(NamedFiles {
            is_tokens: true,
            ..NamedFiles::of(name, shards(path)?)
        });
    }
    of_folder(name, path, extensions)
}

fn of_folder(name: &str, path: &Path, extensions: &[String]) -> Result<NamedFiles> {
    let mut search = Search::new(name, |_: &Path, file: &OsStr| {
        let file = file.to_string_lossy().to_lowercase();
        let has = |ending: &String| {
            let before = file.strip_suffix(ending.as_str());
            before.is_some_and(|before| before.len() > 1 && before.ends_with('.'))
        };
        match extensions.iter().any(has) {
            true => Asked::Yes,
            false => {
                let extension = Path::new(&file).extension().unwrap_or_default();
                Asked::No(NotRead::Extension(extension.to_string_lossy().into_owned()))
            }
        }
    });
    search.folder(path, Path::new(""), false, usize::MAX)?;
    let found = search.found;
    if found.files.is_empty() {
        let extensions: Vec<_> = extensions.iter().map(|e| format!(".{e}")).collect();
        let not_read = &found.not_read;
        let not_read: Vec<_> = not_read
            .iter()
            .map(|(why, n)| format!("{n} {why}"))
            .collect();
        return Err(Error::NoTextInFolder {
            path: path.to_owned(),
            extensions: extensions.join(", "),
            not_read: match not_read.is_empty() {
                true => "it is empty".to_owned(),
                false => format!("there are {}", not_read.join(", ")),
            },
        });
    }
    Ok(found.without_repeats())
}

/// Whether a name that is no file may be a pattern of such.
fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// The files that match a pattern: `*` and `?` stand for letters of one name, `**` for any folders.
fn matching(name: &str) -> Result<NamedFiles> {
    const OPTIONS: MatchOptions = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    // What comes before the first letter that stands for others is a folder.
    let special = name.find(['*', '?', '[']).unwrap_or(name.len());
    let (folder, rest) = match name[..special].rfind('/') {
        Some(0) => ("/", &name[1..]),
        Some(slash) => (&name[..slash], &name[slash + 1..]),
        None => ("", name),
    };
    let pattern = Pattern::new(rest).map_err(|source| Error::BadPattern {
        pattern: name.to_owned(),
        source: Box::new(source),
    })?;
    let hidden = rest.starts_with('.') || rest.contains("/.");
    let depth = match rest.contains("**") {
        true => usize::MAX,
        false => rest.split('/').count(),
    };
    let mut search = Search::new(name, |path: &Path, _: &OsStr| {
        match pattern.matches_with(&path.to_string_lossy(), OPTIONS) {
            true => Asked::Yes,
            false => Asked::Never,
        }
    });
    search.folder(Path::new(folder), Path::new(""), hidden, depth)?;
    let found = search.found;
    if found.files.is_empty() {
        let hint = match (found.not_read.is_empty(), name.contains('{')) {
            (false, _) => " that is not empty",
            (true, true) => " (braces have no special meaning: give a pattern for each)",
            (true, false) => "",
        };
        return Err(Error::NoMatch {
            pattern: name.to_owned(),
            hint,
        });
    }
    Ok(found.without_repeats())
}

/// Whether a file is one that was asked for.
enum Asked {
    Yes,
    /// It is not, and the user might miss it.
    No(NotRead),
    /// It is not, and no user would expect it to be read.
    Never,
}

/// A walk through folders. `asks` says whether a file, by its path from where the walk began and by
/// its name, is one that was asked for.
struct Search<F> {
    asks: F,
    found: NamedFiles,
}

impl<F: Fn(&Path, &OsStr) -> Asked> Search<F> {
    fn new(name: &str, asks: F) -> Self {
        Self {
            asks,
            found: NamedFiles::of(name, Vec::new()),
        }
    }

    /// Looks through `base` / `below`, at most `depth` folders deep.
    fn folder(&mut self, base: &Path, below: &Path, hidden: bool, depth: usize) -> Result<()> {
        let folder = match (base.as_os_str().is_empty(), below.as_os_str().is_empty()) {
            (true, true) => PathBuf::from("."),
            (true, false) => below.to_owned(),
            (false, true) => base.to_owned(),
            (false, false) => base.join(below),
        };
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::ReadData { path, source }
        };
        for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
            let entry = entry.map_err(failed(&folder))?;
            let (name, below) = (entry.file_name(), below.join(entry.file_name()));
            let path = base.join(&below);
            let kind = entry.file_type().map_err(failed(&path))?;
            if !hidden && name.as_encoded_bytes().starts_with(b".") {
                self.leave_out(&below, &name, NotRead::Hidden);
            } else if kind.is_dir() {
                if depth > 1 {
                    self.folder(base, &below, hidden, depth - 1)?;
                }
            } else {
                self.file(path, &below, &name)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, below: &Path, name: &OsStr) -> Result<()> {
        let why_not = match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => Some(NotRead::LinkToFolder),
            Ok(meta) if !meta.is_file() => Some(NotRead::Special),
            Ok(meta) if meta.len() == 0 => Some(NotRead::Empty),
            Ok(_) => None,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(NotRead::BrokenLink),
            Err(source) => return Err(Error::ReadData { path, source }),
        };
        match why_not {
            // It has no name of a text, and might lead to many.
            Some(NotRead::LinkToFolder) => self.leave_out(below, name, NotRead::LinkToFolder),
            why_not => match ((self.asks)(below, name), why_not) {
                (Asked::Never, _) => {}
                (Asked::No(why), _) | (Asked::Yes, Some(why)) => self.count(why),
                (Asked::Yes, None) => self.found.files.push(path),
            },
        }
        Ok(())
    }

    /// Counts an entry that is left out regardless of its name, unless no user would expect it to
    /// be read.
    fn leave_out(&mut self, below: &Path, name: &OsStr, why: NotRead) {
        if !matches!((self.asks)(below, name), Asked::Never) {
            self.count(why);
        }
    }

    fn count(&mut self, why: NotRead) {
        *self.found.not_read.entry(why).or_default() += 1;
    }
}

impl NamedFiles {
    /// In the order of paths; of several links to one file, and of a file and links to it, one.
    fn without_repeats(mut self) -> Self {
        self.files.sort();
        let is_link = |path: &PathBuf| path.is_symlink();
        if !self.files.iter().any(is_link) {
            return self;
        }
        let target = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let own = self.files.iter().filter(|path| !is_link(path));
        let mut seen: HashSet<PathBuf> = own.map(target).collect();
        let before = self.files.len();
        self.files
            .retain(|path| !is_link(path) || seen.insert(target(path)));
        let repeated = before - self.files.len();
        if repeated > 0 {
            self.not_read.insert(NotRead::Repeated, repeated);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &Path, extensions: &[&str]) -> Result<NamedFiles> {
        let extensions: Vec<_> = extensions.iter().map(|&e| e.to_owned()).collect();
        let names = [name.to_string_lossy().into_owned()];
        Ok(DataFiles::find(&names, &extensions, Path::new("none"))?.names[0].clone())
    }

    /// What was found, relative to `root`.
    fn files(found: &NamedFiles, root: &Path) -> String {
        let files = found.files.iter().map(|file| {
            let file = file.strip_prefix(root).unwrap_or(file);
            file.display().to_string()
        });
        files.collect::<Vec<_>>().join(" ")
    }

    fn not_read(found: &NamedFiles) -> String {
        let counts = found.not_read.iter().map(|(why, n)| format!("{n} {why}"));
        counts.collect::<Vec<_>>().join(", ")
    }

    /// A tree of what trees have.
    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for inner in ["b", "b/c", ".git", "a b"] {
            fs::create_dir(path(inner)).unwrap();
        }
        for (name, text) in [
            ("z.TXT", "last"),
            ("b/two.md", "two"),
            ("b/c/one.markdown", "one\n"),
            ("a.text", "first"),
            ("a b/c d.md", "spaces"),
            ("empty.txt", ""),
            ("b.rs", "code"),
            ("b/c.rs", "code"),
            ("b/c/d.RS", "code"),
            ("b/c/e.py", "code"),
            ("Makefile", "all:"),
            (".hidden.txt", "hidden"),
            (".git/x.txt", "hidden"),
            ("x.tar.gz", "packed"),
        ] {
            fs::write(path(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_is_its_texts_by_path_and_the_rest_is_counted() {
        let tree = tree();
        let found = find(tree.path(), &[]).unwrap();
        let texts = "a b/c d.md a.text b/c/one.markdown b/two.md z.TXT";
        assert_eq!(files(&found, tree.path()), texts);
        let rest = "1 without an extension, 1 .gz, 1 .py, 3 .rs, 1 empty, 2 hidden";
        assert_eq!(not_read(&found), rest);
        assert_eq!(found.text().unwrap(), "spaces\nfirst\none\ntwo\nlast");
        for extensions in [&["rs", "py"][..], &[".RS,py"], &["rs", ".Py", ""]] {
            let found = find(tree.path(), extensions).unwrap();
            assert_eq!(files(&found, tree.path()), "b/c/d.RS b/c/e.py b/c.rs b.rs");
        }
        assert_eq!(
            files(&find(tree.path(), &["tar.gz"]).unwrap(), tree.path()),
            "x.tar.gz"
        );
        let refused = find(tree.path(), &["c"]).unwrap_err().to_string();
        let ends = "no text that ends in .c: there are 1 without an extension, 1 .gz, 1 .markdown, \
                    2 .md, 1 .py, 3 .rs, 1 .text, 2 .txt, 2 hidden; name endings with --extensions";
        assert!(refused.ends_with(ends), "{refused}");
        fs::create_dir(tree.path().join("none")).unwrap();
        let refused = find(&tree.path().join("none"), &[])
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains(".txt, .text, .md, .markdown: it is empty"),
            "{refused}"
        );
    }

    #[test]
    fn a_pattern_names_its_files_itself() {
        let tree = tree();
        let root = tree.path();
        for (pattern, want) in [
            ("*.rs", "b.rs"),
            ("**/*.rs", "b/c.rs b.rs"),
            (
                "b/**/*",
                "b/c/d.RS b/c/e.py b/c/one.markdown b/c.rs b/two.md",
            ),
            ("b/*/?.[pP]y", "b/c/e.py"),
            ("*/two.md", "b/two.md"),
            (".git/*", ".git/x.txt"),
            (".h*", ".hidden.txt"),
            ("Make*", "Makefile"),
            ("**/a b/*", "a b/c d.md"),
            ("*.txt", ""),
            ("**/*.c", ""),
            ("b/*.py", ""),
            ("*.{rs,py}", ""),
        ] {
            match find(&root.join(pattern), &["txt"]) {
                Ok(found) => assert_eq!(files(&found, root), want, "{pattern}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        want.is_empty() && error.starts_with("no file matches"),
                        "{error}"
                    );
                    assert_eq!(error.contains("braces"), pattern.contains('{'), "{error}");
                    assert_eq!(
                        error.contains("that is not empty"),
                        pattern == "*.txt",
                        "{error}"
                    );
                }
            }
        }
        assert_eq!(
            not_read(&find(&root.join("*.[tT]*"), &[]).unwrap()),
            "1 empty"
        );
        // A name that exists is no pattern.
        fs::write(root.join("[a].txt"), "brackets").unwrap();
        let found = find(&root.join("[a].txt"), &[]).unwrap();
        assert_eq!(files(&found, root), "[a].txt");
        let refused = find(&root.join("a**b"), &[]).unwrap_err().to_string();
        assert!(refused.contains("a**b is not a valid pattern"), "{refused}");
        let refused = find(&root.join("missing/*.txt"), &[])
            .unwrap_err()
            .to_string();
        assert!(refused.ends_with("missing"), "{refused}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_read_once_and_never_in_circles() {
        use std::os::unix::fs::symlink;
        let tree = tree();
        let path = |name: &str| tree.path().join(name);
        symlink(tree.path(), path("b/circle")).unwrap();
        symlink(path("a.text"), path("0.txt")).unwrap();
        symlink(path("Makefile"), path("make.txt")).unwrap();
        symlink(path("Makefile"), path("made.txt")).unwrap();
        symlink(path("nothing"), path("broken.txt")).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(path("pipe.txt"))
            .status();
        let found = find(tree.path(), &["text", "txt"]).unwrap();
        assert_eq!(files(&found, tree.path()), "a.text made.txt z.TXT");
        let rest = not_read(&found);
        for part in [
            "2 links to files that are read",
            "1 links to folders",
            "1 links to nothing",
        ] {
            assert!(rest.contains(part), "{rest}");
        }
        if made.is_ok_and(|status| status.success()) {
            assert!(rest.contains("1 no regular files"), "{rest}");
        }
        let found = find(&path("**/*.[tT][eExX]*"), &[]).unwrap();
        assert_eq!(files(&found, tree.path()), "a.text made.txt z.TXT");
    }
}
