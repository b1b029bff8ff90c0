//! Tests of downloads, with a small server on this machine.

use super::*;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

const TEXT: &[u8] = b"to be, or not to be, that is the question";
/// The hash of that text.
const SHA256: &str = "31dd3ae9c23ebd0c4409cbce6db5c561e692b2e0f61b9d8170c92e5e2ce5f5f7";

/// The behaviour of the server.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Answers range requests.
    Ranges,
    /// Always sends the whole file.
    Whole,
    /// Refuses ranges.
    NoRanges,
    /// Breaks off after 10 bytes.
    Breaks,
    /// Sends another text of the same length.
    Lies,
    /// Answers that the file does not exist.
    NotFound,
}

/// A server, and the `Range` header of each request so far.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Option<usize>>>>,
}

fn serve(manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/text.txt", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    // The thread ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut first = None;
            for line in BufReader::new(&stream).lines().map_while(Result::ok) {
                if line.is_empty() {
                    break;
                }
                let line = line.to_lowercase();
                if let Some(range) = line.strip_prefix("range: bytes=") {
                    first = range.trim_end_matches('-').parse::<usize>().ok();
                }
            }
            seen.lock().unwrap().push(first);
            let mut text = TEXT.to_vec();
            if manner == Manner::Lies {
                text.reverse();
            }
            let first = first.filter(|_| manner != Manner::Whole);
            let part = &text[first.unwrap_or(0)..];
            let head = match (manner, first) {
                (Manner::NotFound, _) => "404 Not Found".to_owned(),
                (Manner::NoRanges, Some(_)) => "416 Range Not Satisfiable".to_owned(),
                (_, Some(first)) => format!(
                    "206 Partial Content\r\nContent-Range: bytes {first}-{}/{}",
                    text.len() - 1,
                    text.len()
                ),
                (_, None) => "200 OK".to_owned(),
            };
            let length = part.len();
            let head =
                format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let sent = match manner {
                Manner::Breaks => &part[..part.len().min(10)],
                _ => part,
            };
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(sent);
        }
    });
    Server { url, asked }
}

impl Server {
    fn asked(&self) -> Vec<Option<usize>> {
        self.asked.lock().unwrap().clone()
    }
}

fn published() -> Published {
    Published {
        url: "https://example.invalid/text.txt",
        bytes: TEXT.len() as u64,
        sha256: SHA256,
        file: "text.txt",
    }
}

/// Downloads from an address into a folder.
fn download(url: &str, cache: &Path) -> Result<PathBuf> {
    let (published, terminal) = (published(), Terminal::silent());
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None);
    let download = Download {
        agent: config.build().into(),
        url,
        published: &published,
        path: published.path(cache),
        terminal: &terminal,
    };
    download.run()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_text_comes_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("new/cache");
    let server = serve(Manner::Ranges);
    let path = download(&server.url, &cache).unwrap();
    assert_eq!(path, cache.join("text.txt"));
    assert_eq!(fs::read(&path).unwrap(), TEXT);
    assert_eq!(names(&cache), ["text.txt"]);
    download(&server.url, &cache).unwrap();
    assert_eq!(server.asked(), [None]);
    // A damaged file is replaced.
    fs::write(&path, "to be").unwrap();
    download(&server.url, &cache).unwrap();
    assert_eq!(fs::read(&path).unwrap(), TEXT);
    assert_eq!(server.asked(), [None, None]);
}

#[test]
fn a_part_is_gone_on_from_where_the_server_can() {
    for (manner, asked) in [
        (Manner::Ranges, vec![Some(7)]),
        (Manner::Whole, vec![Some(7)]),
        (Manner::NoRanges, vec![Some(7), None]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("text.txt.part"), &TEXT[..7]).unwrap();
        let server = serve(manner);
        let path = download(&server.url, folder.path()).unwrap();
        assert_eq!(fs::read(path).unwrap(), TEXT);
        assert_eq!(server.asked(), asked);
        assert_eq!(names(folder.path()), ["text.txt"]);
    }
}

#[test]
fn what_breaks_off_goes_on_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(Manner::Breaks);
    for got in [10, 20] {
        let error = download(&server.url, folder.path()).unwrap_err();
        let words = format!("broke off after {got} of {} bytes", TEXT.len());
        assert!(error.to_string().contains(&words), "{error}");
        assert_eq!(names(folder.path()), ["text.txt.part"]);
    }
    let path = download(&serve(Manner::Ranges).url, folder.path()).unwrap();
    assert_eq!(fs::read(path).unwrap(), TEXT);
    assert_eq!(server.asked(), [None, Some(10)]);
}

#[test]
fn of_a_wrong_text_nothing_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    for part in [None, Some(&TEXT[..7]), Some(&[b'x'; 1000][..])] {
        if let Some(part) = part {
            fs::write(folder.path().join("text.txt.part"), part).unwrap();
        }
        let error = download(&serve(Manner::Lies).url, folder.path()).unwrap_err();
        assert!(matches!(error, DownloadError::WrongHash { .. }), "{error}");
        assert_eq!(names(folder.path()), <[&str; 0]>::default());
    }
}

#[test]
fn no_answer_and_a_refusal_say_what_to_do_and_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let error = download(&serve(Manner::NotFound).url, folder.path()).unwrap_err();
    assert!(
        error.to_string().contains("answered 404 Not Found"),
        "{error}"
    );
    // A port that was just given back has no listener.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let url = format!("http://{}/text.txt", closed.unwrap());
    let error = download(&url, folder.path()).unwrap_err();
    assert!(matches!(error, DownloadError::NoAnswer { .. }), "{error}");
    assert!(error.to_string().contains("--data FILE"), "{error}");
    assert_eq!(names(folder.path()), <[&str; 0]>::default());
    // The cache cannot be created: a file stands in its place.
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = download(&serve(Manner::Ranges).url, &file).unwrap_err();
    assert!(matches!(error, DownloadError::File { .. }), "{error}");
}

/// Runs only where the system has a device that is always full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("text.txt.part");
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let error = download(&serve(Manner::Ranges).url, folder.path()).unwrap_err();
    let sentence = crate::error::sentence(&error);
    assert!(sentence.starts_with("cannot write "), "{sentence}");
    assert!(sentence.contains("No space left"), "{sentence}");
}
