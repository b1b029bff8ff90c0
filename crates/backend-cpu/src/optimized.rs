//! Whether this crate is compiled with optimisation: in a debug build without the lines of
//! `Cargo.toml` that the README gives, every result takes some fifty times as long.

/// Whether this crate is compiled with optimisation.
///
/// A debug build of a project compiles its dependencies without optimisation, unless its
/// `Cargo.toml` has
///
/// ```toml
/// # Otherwise a debug build computes some fifty times slower.
/// [profile.dev.package."*"]
/// opt-level = 3
/// debug = false
/// ```
#[must_use]
pub const fn is_optimized() -> bool {
    !matches!(env!("LATIMER_OPT_LEVEL").as_bytes(), b"0")
}

/// Appended to the device's description when this crate is compiled without optimisation.
pub(crate) const WARNING: &str = "compiled without optimisation";

/// Prints on stderr, once per process, what a debug build costs and how to avoid it. Only the
/// library `latimer` enables this, by the feature `debug-warning`: a library by itself never prints.
pub(crate) fn warn_once() {
    #[cfg(feature = "debug-warning")]
    if !is_optimized() {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            eprintln!(
                "warning: latimer is {WARNING} and some fifty times slower than it could be: put \
                 `[profile.dev.package.\"*\"]` with `opt-level = 3` into your Cargo.toml, or build \
                 with --release"
            );
        });
    }
}
