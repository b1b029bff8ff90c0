//! The kernels' PTX, made by `cargo xtask kernels build` and committed, so that neither building
//! nor running needs more than the driver.

macro_rules! families {
    ($($target:literal $capability:tt : $($name:literal)*;)*) => {
        /// Each family of kernels: its file, the compute capability that it needs, its text.
        pub(crate) const FAMILIES: &[(&str, (i32, i32), &str)] = &[$($(
            ($name, $capability, include_str!(concat!("../ptx/", $target, "/", $name, ".ptx"))),
        )*)*];
    };
}

families! {
    "compute_75" (7, 5):
        "adamw"
        "attention"
        "cast"
        "cross_entropy"
        "dropout"
        "elementwise"
        "embedding"
        "fill"
        "layer_norm"
        "matmul"
        "movement"
        "reduce"
        "softmax";
    "compute_80" (8, 0):
        "attention_bf16_d128"
        "attention_bf16_d16"
        "attention_bf16_d32"
        "attention_bf16_d64"
        "attention_bf16_d96"
        "attention_plain_bf16"
        "cross_entropy_bf16"
        "dropout_bf16"
        "elementwise_bf16"
        "embedding_bf16"
        "layer_norm_bf16"
        "matmul_bf16"
        "reduce_bf16"
        "softmax_bf16";
}
