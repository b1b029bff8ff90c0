//! `latimer devices`: the devices to compute on.

use crate::context::Context;
use crate::error::{Result, sentence};
use crate::format::count;
use crate::registry::{Options, RegistryError};
use crate::terminal;
use latimer_trainer::size;
use serde::Serialize;
use std::process::ExitCode;

/// Takes no flags of its own.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// The result, one for each backend.
#[derive(Serialize)]
struct Found<'a> {
    backend: &'a str,
    name: Option<String>,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    detail: String,
    /// Time to load its kernels, if they are loaded at run time.
    #[serde(skip_serializing_if = "Option::is_none")]
    module_load_ms: Option<f64>,
    /// The reason why it is not available.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(crate) fn run(context: &Context, _args: &Args) -> Result<ExitCode> {
    let options = Options::new(context.common.threads);
    for backend in context.registry.names() {
        let opened = context.registry.open(backend, &options);
        let mut reason = opened.as_ref().err().map(reason);
        let mut info = opened.as_ref().map(|device| device.info()).ok();
        let mut loading = None;
        if let Ok(device) = &opened {
            match device.backend().preload() {
                Ok(time) => loading = time,
                // A device whose kernels do not load cannot be used.
                Err(error) => (info, reason) = (None, Some(sentence(&error))),
            }
        }
        let found = Found {
            backend,
            available: info.is_some(),
            threads: info.as_ref().and_then(|info| info.threads),
            memory_bytes: info.as_ref().and_then(|info| info.memory_bytes),
            detail: info
                .as_ref()
                .map(|info| info.detail.clone())
                .unwrap_or_default(),
            name: info.map(|info| info.name),
            module_load_ms: loading.map(|time| 1e3 * time.as_secs_f64()),
            reason,
        };
        if context.terminal.json {
            terminal::json_result(&found)?;
        } else {
            let text = match found.reason {
                Some(reason) => format!("not available: {reason}"),
                None => {
                    let parts = [
                        found.name,
                        found.threads.map(|n| count(n, "thread")),
                        found.memory_bytes.map(size),
                        Some(found.detail).filter(|detail| !detail.is_empty()),
                        found
                            .module_load_ms
                            .map(|ms| format!("kernels loaded in {ms:.0} ms")),
                    ];
                    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
                }
            };
            terminal::result(format_args!("{backend:<6} {text}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The backend's own reason, without the sentence that it cannot be used.
fn reason(error: &RegistryError) -> String {
    std::error::Error::source(error).map_or_else(|| sentence(error), sentence)
}
