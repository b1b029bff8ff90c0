//! The machine's name and memory, as far as the system reports them.

/// Name and memory of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) memory_bytes: Option<u64>,
}

impl Machine {
    pub(crate) fn detect() -> Self {
        let cpu = text("/proc/cpuinfo");
        let name = after(&cpu, "model name")
            .map(|rest| rest.trim_start_matches([' ', '\t', ':']).trim().to_owned())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        Self {
            name,
            memory_bytes: memory(),
        }
    }
}

/// The text of a system file; empty if it cannot be read, and under Miri, which has no such files.
fn text(path: &str) -> String {
    if cfg!(miri) {
        return String::new();
    }
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The rest of the first line that begins with `key`.
fn after<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(key))
}

/// The machine's memory, or what the control group allows if that is less.
fn memory() -> Option<u64> {
    let info = text("/proc/meminfo");
    let total = after(&info, "MemTotal:")
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kib| kib * 1024);
    let allowed = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .iter()
    .filter_map(|path| text(path).trim().parse::<u64>().ok())
    .min();
    match (total, allowed) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
