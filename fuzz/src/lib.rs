//! What the fuzz targets share: a folder in memory, and the smallest run that there is.

use latimer_backend_cpu::Cpu;
use latimer_nn::{GptConfig, MlpKind, NormKind, PositionKind, io};
use latimer_tensor::Device;
use latimer_trainer::config::Config;
use latimer_trainer::{Existing, Run, RunFolder};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// A folder of this process in memory, where the system has such, for readers that want a path.
pub fn folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
    let folder = root.join(format!("latimer-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder in memory can be made");
    folder
}

/// The processor on one thread.
pub fn device() -> Device {
    Device::new(Cpu::new(1).expect("the calling thread is there"))
}

/// The smallest model that there is: two tensors of 3 ids and 2 columns.
pub fn smallest() -> GptConfig {
    GptConfig {
        mlp: MlpKind::None,
        positions: PositionKind::None,
        norm: NormKind::None,
        attn_proj: false,
        bias: false,
        qkv_bias: false,
        n_layer: 1,
        n_head: 1,
        n_embd: 2,
        block_size: 4,
        ..GptConfig::gpt2(3)
    }
}

/// Writes that model, its weights in two files: the configuration, the index and the files.
pub fn sharded(folder: &Path) -> [PathBuf; 4] {
    let names = ["config.json", "model.safetensors.index.json", "a.safetensors", "b.safetensors"];
    let files = names.map(|name| folder.join(name));
    let index = r#"{"weight_map": {"transformer.wte.weight": "a.safetensors",
        "transformer.h.0.attn.c_attn.weight": "b.safetensors"}}"#;
    let [config, list, a, b] = &files;
    std::fs::write(config, io::config_to_json(&smallest())).expect("there is room for a file");
    std::fs::write(list, index).expect("there is room for a file");
    let write = |name, shape: [usize; 2], file| {
        let values = vec![0.5; shape[0] * shape[1]];
        io::write_tensor(name, values, shape, file).expect("there is room for a file");
    };
    write("transformer.wte.weight", [3, 2], a);
    write("transformer.h.0.attn.c_attn.weight", [2, 6], b);
    files
}

/// A run of one step of a model of a few parameters, and what was trained.
pub struct TinyRun {
    pub run: Run,
    /// The run's folder.
    pub path: PathBuf,
}

impl TinyRun {
    /// Trains it in a new folder.
    pub fn train() -> Self {
        let folder = folder();
        let text = folder.join("text.txt");
        std::fs::write(&text, "abab baab\n".repeat(4)).expect("the text can be written");
        let toml = format!(
            "[model]\nn_layer = 1\nn_head = 1\nn_embd = 1\nblock_size = 4\nmlp = \"none\"\n\
             positions = \"none\"\nnorm = \"none\"\nattn_proj = false\nbias = false\n\
             qkv_bias = false\n[train]\nmax_iters = 1\nbatch_size = 1\neval_interval = 0\n\
             eval_iters = 1\nsample_interval = 0\n[data]\ndata = [{:?}]\ntokenizer = \"char\"\n",
            text.display().to_string()
        );
        let config = Config::from_toml(&toml, Path::new("tiny.toml")).expect("it is a sound run");
        let path = folder.join("run");
        let out = RunFolder::create(&path, Existing::Overwrite).expect("its folder is made");
        let mut run = Run::new(&config, &device(), &folder).expect("it is set up");
        run.train(&out, &AtomicBool::new(false), &mut |_| ()).expect("it is trained");
        Self { run, path }
    }

    /// The files that a run is resumed and its model read from.
    pub fn files(&self) -> [PathBuf; 7] {
        let checkpoint = self.path.join("checkpoints").join("step-000001");
        [
            self.path.join("latest"),
            checkpoint.join("state.json"),
            checkpoint.join("config.json"),
            checkpoint.join("tokenizer.json"),
            checkpoint.join("model.safetensors"),
            checkpoint.join("optimizer.safetensors"),
            checkpoint.join("manifest.json"),
        ]
    }
}
