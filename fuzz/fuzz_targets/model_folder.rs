//! A model's folder with one of its files made up: a configuration, an index, two small shards. The
//! first byte says which file the rest is. What is accepted has finite weights.
#![no_main]

use latimer_autograd::Slab;
use latimer_fuzz::{device, folder, sharded};
use latimer_nn::io;
use latimer_tensor::Device;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::path::PathBuf;

struct Folder {
    device: Device,
    path: PathBuf,
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
        let path = folder();
        let files = sharded(&path).map(|path| {
            let bytes = std::fs::read(&path).expect("it was written");
            (path, bytes)
        });
        let device = device();
        io::load_model(&device, &path).expect("as it was written, it is a model");
        Self { device, path, files: files.into(), changed: 0 }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&which, bytes)) = input.split_first() else { return };
    FOLDER.with_borrow_mut(|folder| {
        let which = usize::from(which) % folder.files.len();
        if which != folder.changed {
            let (file, own) = &folder.files[folder.changed];
            std::fs::write(file, own).expect("there is room for a file");
            folder.changed = which;
        }
        std::fs::write(&folder.files[which].0, bytes).expect("there is room for a file");
        match io::load_model(&folder.device, &folder.path) {
            Ok(model) => {
                for (param, info) in model.params.iter() {
                    let values = model.params.get(Slab::Values, param).expect("is read");
                    assert!(values.iter().all(|x| x.is_finite()), "{}", info.name());
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
});
