//! A run from a configuration: a proverb learnt by heart in a temporary folder.

use latimer_tensor::Device;
use latimer_trainer::{Existing, Run, RunFolder, config::Config, event::Event};
use std::{error::Error, sync::atomic::AtomicBool};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("outside-trainer-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let text = folder.join("proverb.txt");
    std::fs::write(&text, "petit a petit, l'oiseau fait son nid.\n".repeat(40))?;
    // What a user would write in a file; flags come over it, presets below it.
    let toml = format!(
        "[model]\nn_layer = 1\nn_head = 2\nn_embd = 16\nblock_size = 16\n\
         [data]\ndata = [{:?}]\n\
         [train]\nmax_iters = 60\nbatch_size = 4\nlearning_rate = 0.01\nwarmup_iters = 5\n\
         eval_interval = 20\neval_iters = 2\nsample_interval = 0\n",
        text.display().to_string()
    );
    let flags = [("seed".to_owned(), "1".to_owned())];
    let file = folder.join("run.toml");
    std::fs::write(&file, toml)?;
    let config = Config::resolve(Some("baby"), Some(&file), &flags)?;
    let mut run = Run::new(&config, &Device::reference(), &folder)?;
    let out = RunFolder::create(&folder.join("run"), Existing::Refuse)?;
    // The library prints nothing: a run tells its events, and the program chooses.
    let done = run.train(&out, &AtomicBool::new(false), &mut |event| {
        if !matches!(event, Event::Step(..)) {
            println!("{}: {}", event.name(), event.to_json());
        }
    })?;
    println!("{} steps", done.steps);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
