//! Trains a GPT: configuration, data, schedule, loop, checkpoints, metrics.
//!
//! A run is a value ([`config::Config`]); [`Run`] makes everything it needs, checks that it fits,
//! and trains into a [`RunFolder`], telling what happens as [`event::Event`]s. The crate prints
//! nothing and names no backend.
//!
//! ```
//! use latimer_tensor::Device;
//! use latimer_trainer::{Existing, Run, RunFolder, config::Config};
//! use std::sync::atomic::AtomicBool;
//!
//! let flags = [("max_iters", "2"), ("n_layer", "1"), ("n_embd", "8"), ("n_head", "2"),
//!     ("block_size", "16"), ("batch_size", "2"), ("eval_iters", "1"), ("data", "phrasebook")];
//! let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
//! let config = Config::resolve(Some("phrasebook"), None, &flags)?;
//! # let folder = tempfile::tempdir()?;
//! # let mut config = config;
//! # config.data.data = vec![folder.path().join("a.txt").display().to_string()];
//! # config.data.tokenizer = "char".into();
//! # std::fs::write(&config.data.data[0], "to be or not to be, that is the question ".repeat(4))?;
//! let mut run = Run::new(&config, &Device::reference(), std::path::Path::new("no-cache"))?;
//! let out = RunFolder::create(&folder.path().join("run"), Existing::Refuse)?;
//! let done = run.train(&out, &AtomicBool::new(false), &mut |event| {
//!     println!("{}", event.to_json());
//! })?;
//! assert_eq!(done.steps, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod config;
pub mod data;
mod error;
mod evaluate;
pub mod event;
mod launch;
mod measure;
mod model;
mod plan;
mod run;
mod run_folder;
mod sampling;
pub mod schedule;
mod setup;
mod speed;
mod step;
mod task;
mod train_loop;
mod trainer;

pub use data::{Batch, Batches, Text};
pub use error::{Error, Remedy, Result};
pub use evaluate::{mean_loss, text_loss};
pub use model::{Model, load_tokenizer};
pub use plan::peak_rss_mb;
pub use run::{Observe, Run};
pub use run_folder::{Existing, Resume, RunFolder, newest_run, newest_to_resume};
pub use sampling::{beginning, line_end, sampler};
pub use setup::{corpus, data_files, named_tokenizer};
pub use speed::matmul_speed;
pub use step::{StepNeeds, Training, check_memory, size};
pub use task::{GptWriter, Line, Score, Scores, Task, Writer};
pub use trainer::{Steps, TrainStep, Trainer};
