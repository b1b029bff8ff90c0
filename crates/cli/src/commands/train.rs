//! `latimer train`: a run from its configuration to the last line.

use crate::args::{ConfigArgs, presets};
use crate::context::{Context, RUNS, library};
use crate::download;
use crate::error::Result;
use crate::format::{count, duration, percent, speed, thousands};
use crate::progress::{Progress, of_each, part_of_run};
use crate::terminal::{self, dim};
use crate::texts;
use latimer_trainer::config::{Config, diff};
use latimer_trainer::event::{Done, DoneTiming, Event};
use latimer_trainer::{Existing, Resume, Run, RunFolder, data_files, newest_to_resume};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

/// What to train, and where to.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs<true>,
    /// Folder of the run [default: runs/<preset>-<NNN>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue the run in --out, or else the newest in ./runs (of --preset), with the same result
    /// as if it had never been stopped
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// With --resume: leave out the step that stopped the run because its loss or gradients were
    /// not finite
    #[arg(long, requires = "resume")]
    skip_batch: bool,
    /// Print what the run would need (parameters, memory, operations, time) and exit
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
    /// Replace the run in --out
    #[arg(long)]
    overwrite: bool,
    /// Enqueue every operation of every step, even if the device could repeat a recorded step:
    /// slower, with the same bits
    #[arg(long)]
    plain_launches: bool,
    /// Print the whole configuration as TOML, with a comment on each key, and exit
    #[arg(long)]
    print_config: bool,
}

/// The end of the help of `train`.
fn after_help() -> String {
    format!(
        "{}\nLosses:\n  every --eval-interval steps, sampled losses: means over --eval-iters \
         batches of each split, whose\n  windows begin anywhere. At the end, the validation loss \
         over the whole split, with every token\n  counted once. The two differ a little even for \
         the same model.\n",
        presets()
    )
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let terminal = &context.terminal;
    let mut resume = match args.resume {
        true => Some(newest(args)?),
        false => None,
    };
    let config = match &resume {
        Some(resume) => args.config.resume(resume.config())?,
        None => args.config.resolve(&[])?,
    };
    if args.print_config {
        print_config(&config, terminal.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    config.require_data()?;
    for warning in config.warnings() {
        terminal.warn(warning);
    }
    if args.dry_run {
        return dry_run(context, &config);
    }
    for difference in diff(&Config::preset(&config.preset)?, &config) {
        terminal.detail(2, difference);
    }
    let existing = match args.overwrite {
        true => Existing::Overwrite,
        false => Existing::Refuse,
    };
    let out = match (&resume, &args.out) {
        (Some(resume), _) => resume.folder().path().to_owned(),
        (None, Some(out)) => out.clone(),
        (None, None) => RunFolder::default_path(Path::new(RUNS), &config.preset),
    };
    match &mut resume {
        Some(resume) => {
            resume.check(&config)?;
            for damage in resume.passed_over() {
                terminal.warn(format_args!("{damage} (continuing from the one before)"));
            }
            if args.skip_batch {
                let step = thousands(resume.skip_batch()?);
                terminal.note(format_args!("step {step} is skipped"));
            }
        }
        None => RunFolder::check(&out, existing)?,
    }
    let (device, no_gpu) = context.open()?;
    context.warn_if_slow(&device, config.train.dtype);
    let library = library();
    download::provide(&config.data.data, &library, terminal)?;
    texts::tell(terminal, &data_files(&config, &library)?);
    let mut run = Run::new(&config, &device, library)?;
    if args.plain_launches {
        run.launch_plainly();
    }
    // Nothing written up to here could be left incomplete by a signal.
    let stop = context.signals.defer();
    let folder = match &resume {
        Some(resume) => {
            run.resume(resume)?;
            let after = match resume.step() {
                0 => "from its beginning".to_owned(),
                step => format!("after step {}", thousands(step)),
            };
            terminal.note(format_args!("resuming {} {after}", out.display()));
            resume.folder().clone()
        }
        None => RunFolder::create(&out, existing)?,
    };

    let begun_at = run.plan().steps_done;
    let mut progress = Progress::new(terminal, &config, &device.info(), no_gpu);
    let (mut end, mut unwritten) = (None, None);
    let trained = run.train(&folder, &stop, &mut |event| {
        progress.show(event, stop.load(Ordering::Relaxed));
        if terminal.json
            && unwritten.is_none()
            && let Err(error) = terminal::result(event.to_json())
        {
            // The reader of stdout is gone: the run is saved and ends.
            unwritten = Some(error);
            stop.store(true, Ordering::Relaxed);
        }
        if let Event::Done(done, timing) = event {
            end = Some((done.clone(), timing.clone()));
        }
    });
    progress.clear();
    let stats = device.pool_stats();
    terminal.detail(
        2,
        format_args!(
            "device memory: {} at most, {} requests, {} of them new; {} operations on the host",
            latimer_trainer::size(stats.peak_bytes as u64),
            thousands(stats.hits + stats.misses),
            thousands(stats.misses),
            device.fallbacks(),
        ),
    );
    trained?;
    if let Some(error) = unwritten {
        return Err(error);
    }
    let Some((done, timing)) = end else {
        unreachable!("a run that succeeds ends with a `done` event");
    };
    if done.interrupted {
        let (steps, all) = (thousands(done.steps), thousands(config.train.max_iters));
        let (stopped, to_do) = match done.steps == config.train.max_iters {
            true => (
                format!("stopped while measuring after the last of {all} steps"),
                "measure it",
            ),
            false => (format!("stopped after step {steps} of {all}"), "continue"),
        };
        terminal.note(format_args!(
            "{stopped}; the model so far is saved in {}\nto {to_do}: {} train --resume --out {}",
            out.display(),
            terminal::called(),
            terminal::quoted(&out)
        ));
        return Ok(context.signals.status());
    }
    if !terminal.json {
        terminal::result(summary(&done, &timing, begun_at, &config))?;
    }
    terminal.note(dim(what_next(args.out.as_deref(), &out, &done)));
    Ok(ExitCode::SUCCESS)
}

/// The run to resume.
fn newest(args: &Args) -> Result<Resume> {
    let path = match &args.out {
        Some(out) => out.clone(),
        None => {
            let runs = Path::new(RUNS);
            let preset = match (&args.config.preset, &args.config.config) {
                (Some(preset), _) => Some(Config::preset(preset)?.preset),
                (None, Some(_)) => Some(args.config.resolve(&[])?.preset),
                (None, None) => None,
            };
            newest_to_resume(runs, preset.as_deref())
                .map_err(|_| latimer_trainer::Error::NothingToResume { path: runs.into() })?
        }
    };
    Ok(Resume::open(&path)?)
}

/// Prints what a run would need: the plan as JSON, or as lines.
fn dry_run(context: &Context, config: &Config) -> Result<ExitCode> {
    let device = context.device()?;
    let library = library();
    download::provide(&config.data.data, &library, &context.terminal)?;
    texts::tell(&context.terminal, &data_files(config, &library)?);
    let plan = Run::dry(config, &device, library)?;
    if context.terminal.json {
        terminal::result(Event::Plan(plan).to_json())?;
        return Ok(ExitCode::SUCCESS);
    }
    let (steps, a_step) = (config.train.max_iters, plan.tokens_per_step);
    let epoch = match plan.training_tokens {
        // Each corpus has its own epochs.
        Some(tokens) if !plan.parts.is_empty() => thousands(tokens as u64),
        Some(tokens) => format!(
            "{} ({:.2} epochs in all)",
            thousands(tokens as u64),
            steps as f64 * a_step as f64 / tokens.max(1) as f64
        ),
        None => "without end".to_owned(),
    };
    let parts = plan.parts.iter();
    let parts: String = parts
        .map(|part| format!("\n  {}", part_of_run(part)))
        .collect();
    let available = match device.info().memory_bytes {
        Some(bytes) => format!(" of {}", latimer_trainer::size(bytes)),
        None => String::new(),
    };
    terminal::result(format_args!(
        "parameters        {}\nvocabulary        {}\ntensor memory     {}{available}\n\
         tokens a step     {}\ntokens an epoch   {epoch}{parts}\nvalidation tokens {}\n\
         FLOPs a step      {:.3e}\nsteps             {}\ntime              about {} on {}",
        thousands(plan.parameters as u64),
        thousands(plan.vocab_size as u64),
        latimer_trainer::size(plan.memory_bytes),
        thousands(a_step as u64),
        thousands(plan.validation_tokens as u64),
        plan.flops_per_step as f64,
        thousands(steps),
        duration(plan.estimated_seconds),
        plan.device,
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn print_config(config: &Config, json: bool) -> Result<()> {
    match json {
        false => terminal::stream(&config.to_commented_toml()),
        true => terminal::json_result(config),
    }
}

/// The summary at the end of a run, for a person. `begun_at` is the number of steps done before it
/// was resumed.
fn summary(done: &Done, timing: &DoneTiming, begun_at: u64, config: &Config) -> String {
    let seconds = duration(timing.seconds);
    let steps = |n: u64| count(n as usize, "step");
    let mut text = match done.steps - begun_at {
        0 => format!(
            "nothing was left to train: {} had been trained before; measured again in {seconds}",
            steps(done.steps)
        ),
        now => {
            let before = match begun_at {
                0 => String::new(),
                before => format!(" after the {} of before", thousands(before)),
            };
            format!(
                "trained {}{before} in {seconds}, {} tokens/s",
                steps(now),
                speed(timing.tokens_per_s)
            )
        }
    };
    if let Some(val_loss) = done.val_loss {
        let each = of_each(&config.data.data, &done.val_losses);
        text += &format!("\nvalidation loss {val_loss:.4} over the whole split{each}");
        // A lower loss can only be that of an earlier evaluation.
        if let Some(best) = done.best_val_loss.filter(|&best| best < val_loss) {
            text += &format!("; the lowest sampled one was {best:.4}");
        }
    }
    let score = |name| done.scores.get(name);
    if let (Some(model), Some(dictionary)) = (score("exact_match"), score("word_by_word")) {
        let sentences = thousands(score("sentences").unwrap_or(0.0) as u64);
        text += &format!(
            "\n\ntranslated to the letter, of {sentences} each\n  \
             sentences never seen                    {:>8}\n  \
             the same, by a plain dictionary         {:>8}",
            percent(model),
            percent(dictionary)
        );
        if let Some(structures) = score("exact_match_structures") {
            text += &format!(
                "\n  sentences of a structure never seen     {:>8}",
                percent(structures)
            );
        }
        text.push('\n');
    }
    text
}

/// Suggests what to do with the model.
fn what_next(asked: Option<&Path>, out: &Path, done: &Done) -> String {
    // Without `--model`, commands use the newest run in ./runs, which is this one unless it is
    // elsewhere.
    let model = match asked {
        Some(_) => format!("--model {} ", terminal::quoted(out)),
        None => String::new(),
    };
    let command = match done.scores.get("exact_match") {
        Some(_) => format!("translate --method gpt {model}\"le chat est sous la table\""),
        None => format!("generate {model}--max-new-tokens 500"),
    };
    format!(
        "the run is in {}\nnext: {} {command}",
        out.display(),
        terminal::called()
    )
}
