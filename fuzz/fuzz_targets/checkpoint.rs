//! A run's folder with one of its files made up: it is opened, resumed and its model read. The
//! first byte says which file the rest is.
#![no_main]

use latimer_fuzz::{TinyRun, device};
use latimer_tensor::Device;
use latimer_trainer::{Model, Resume, RunFolder};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::path::PathBuf;

struct Folder {
    device: Device,
    tiny: TinyRun,
    /// What may be made up, with its own bytes.
    files: Vec<(PathBuf, Vec<u8>)>,
    /// Which of them is made up at the moment.
    changed: usize,
}

thread_local! {
    static FOLDER: RefCell<Folder> = RefCell::new(Folder::new());
}

impl Folder {
    fn new() -> Self {
        let tiny = TinyRun::train();
        let read = |path: PathBuf| {
            let bytes = std::fs::read(&path).expect("a checkpoint has this file");
            (path, bytes)
        };
        let files = tiny.files().map(read).into();
        Self { device: device(), tiny, files, changed: 0 }
    }

    fn resume(&mut self) {
        match Resume::open(&self.tiny.path) {
            Ok(resume) => {
                resume.config().validate().expect("what is resumed is sound");
                if let Err(error) = self.tiny.run.resume(&resume) {
                    assert!(!error.to_string().is_empty());
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    fn open_model(&self) {
        if let Err(error) = Model::open(&self.tiny.path, &self.device) {
            assert!(!error.to_string().is_empty());
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&which, bytes)) = input.split_first() else { return };
    FOLDER.with_borrow_mut(|folder| {
        let which = usize::from(which) % folder.files.len();
        if which != folder.changed {
            // The manifest, the last, was made anew for the file.
            for restored in [folder.changed, folder.files.len() - 1] {
                let (file, own) = &folder.files[restored];
                std::fs::write(file, own).expect("there is room for a file");
            }
            folder.changed = which;
        }
        std::fs::write(&folder.files[which].0, bytes).expect("there is room for a file");
        // In the order of `TinyRun::files`. A manifest that fits lets the readers behind it see the
        // file; one that does not would stop at the hash.
        if (1..6).contains(&which) {
            let checkpoint = folder.files[1].0.parent().expect("it lies in a folder");
            RunFolder::seal(checkpoint).expect("there is room for a file");
        }
        // What reads which.
        if [0, 1, 4, 5, 6].contains(&which) {
            folder.resume();
        }
        if [0, 2, 3, 4, 6].contains(&which) {
            folder.open_model();
        }
    });
});
