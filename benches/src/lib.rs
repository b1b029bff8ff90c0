//! Benchmarks across crates.
