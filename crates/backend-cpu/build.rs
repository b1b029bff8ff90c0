//! Hands on the level of optimisation that this crate is compiled with, which code cannot ask for.
#![allow(
    clippy::print_stdout,
    reason = "a build script speaks to cargo on stdout"
)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let level = std::env::var("OPT_LEVEL").unwrap_or_default();
    println!("cargo::rustc-env=LATIMER_OPT_LEVEL={level}");
}
