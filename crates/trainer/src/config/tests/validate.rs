//! What is refused, and how.

use super::{baby, refused};

#[test]
fn values_out_of_range_are_refused_with_a_sentence() {
    for (key, value, message) in [
        (
            "n_layer",
            "0",
            "model.n_layer is 0: it must be from 1 to 1024",
        ),
        (
            "n_layer",
            "1025",
            "model.n_layer is 1025: it must be from 1 to 1024",
        ),
        (
            "n_head",
            "0",
            "model.n_head is 0: it must be from 1 to 16777216",
        ),
        (
            "n_embd",
            "16777217",
            "model.n_embd is 16777217: it must be from 1 to 16777216",
        ),
        (
            "block_size",
            "0",
            "model.block_size is 0: it must be from 1 to 16777216",
        ),
        (
            "ff_width",
            "16777217",
            "model.ff_width is 16777217: it must be from 0 to 16777216",
        ),
        ("dropout", "1", "model.dropout is 1: it must be in [0, 1)"),
        (
            "dropout",
            "nan",
            "model.dropout is NaN: it must be in [0, 1)",
        ),
        (
            "batch_size",
            "0",
            "train.batch_size is 0: it must be from 1 to 1048576",
        ),
        (
            "grad_accum",
            "0",
            "train.grad_accum is 0: it must be from 1 to 1048576",
        ),
        ("beta1", "1", "train.beta1 is 1: it must be in [0, 1)"),
        ("beta2", "-0.1", "train.beta2 is -0.1: it must be in [0, 1)"),
        ("eps", "0", "train.eps is 0: it must be finite and above 0"),
        (
            "val_fraction",
            "1",
            "train.val_fraction is 1: it must be in [0, 1)",
        ),
        (
            "tokenizer",
            "",
            "must be char, word, ngram, bpe or a tokenizer file",
        ),
        ("max_iters", "0", "train.max_iters is 0"),
        ("eval_iters", "0", "train.eval_iters is 0"),
        (
            "max_vocab_size",
            "4294967296",
            "data.max_vocab_size is 4294967296",
        ),
        (
            "data",
            "['a', '']",
            "it must be a list of names that are not empty",
        ),
    ] {
        let error = refused(&[(key, value)]);
        assert!(
            error.is_usage() && error.to_string().contains(message),
            "{error}"
        );
    }
    for value in ["nan", "inf", "0", "-1"] {
        let message = refused(&[("learning_rate", value)]).to_string();
        assert!(message.starts_with("train.learning_rate is "), "{message}");
        assert!(
            message.ends_with(": it must be finite and above 0"),
            "{message}"
        );
    }
    for key in ["min_lr", "weight_decay", "grad_clip"] {
        for value in ["nan", "inf", "-1"] {
            let message = refused(&[(key, value)]).to_string();
            assert!(
                message.ends_with("it must be finite and 0 or more"),
                "{message}"
            );
        }
    }
}

#[test]
fn weights_that_say_nothing_are_refused() {
    let (one, two) = ("['a']", "['a', 'b']");
    for (data, weights, message) in [
        (
            one,
            "1",
            "it must be empty unless data.data has several names: leave it out, or add names to \
             --data",
        ),
        (
            "",
            "1",
            "it must be empty unless data.data has several names: leave it out, or add names to \
             --data",
        ),
        (
            two,
            "1",
            "it must be a list of 2 weights, one for each name in data.data, not 1",
        ),
        (
            two,
            "1,2,3",
            "it must be a list of 2 weights, one for each name in data.data, not 3",
        ),
        (
            two,
            "1,0",
            "it must be a list of numbers that are finite and above 0",
        ),
        (
            two,
            "1,-1",
            "it must be a list of numbers that are finite and above 0",
        ),
        (
            two,
            "1,nan",
            "it must be a list of numbers that are finite and above 0",
        ),
        (
            two,
            "1,inf",
            "it must be a list of numbers that are finite and above 0",
        ),
        (
            two,
            "1,0.0001",
            "it must be a list of weights, each at least 1/10000 of their sum",
        ),
        (
            two,
            "1,1e-320",
            "it must be a list of weights, each at least 1/10000 of their sum",
        ),
    ] {
        let error = refused(&[("data", data), ("data_weights", weights)]);
        let text = error.to_string();
        assert!(
            error.is_usage() && text.starts_with("data.data_weights is ["),
            "{text}"
        );
        assert!(text.ends_with(&format!("]: {message}")), "{text}");
    }
    for weights in ["9999,1", "1e308,1e308", "1e-320,1e-320"] {
        baby(&[("data", two), ("data_weights", weights)]).unwrap();
    }
}

#[test]
fn values_that_disagree_are_refused_with_both() {
    for (pairs, message) in [
        (
            &[("n_embd", "100"), ("n_head", "3")][..],
            "model.n_embd is 100: it must be divisible by n_head = 3",
        ),
        (
            &[("ff_proj", "false"), ("ff_width", "512")],
            "model.ff_width is 512: without ff_proj it must be n_embd = 128",
        ),
        (
            &[("learning_rate", "1e-5")],
            "train.min_lr = 0.0001 is above train.learning_rate = 0.00001: a falling schedule ends \
             at min_lr, which must not be above it",
        ),
        (
            &[("batch_size", "1048576"), ("block_size", "1048576")],
            "train.batch_size * model.block_size, the tokens of a micro-batch, comes to \
             1099511627776, above the limit of 2147483648: \
             lower train.batch_size and raise train.grad_accum",
        ),
        (
            &[("n_layer", "1000"), ("n_embd", "65536")],
            "model.n_embd is 65536: with n_layer = 1000 that gives about 51540463976449 \
             parameters, above the limit of 2199023255552: lower n_embd or n_layer",
        ),
        (
            &[
                ("batch_size", "1000000"),
                ("block_size", "2000"),
                ("n_embd", "4096"),
            ],
            "the largest activation comes to 32768000000000, above the limit of 2199023255552: \
             lower train.batch_size, model.block_size or model.n_embd",
        ),
    ] {
        let error = refused(pairs);
        assert_eq!(error.to_string(), message);
        assert!(error.is_usage());
    }
    assert!(baby(&[("learning_rate", "1e-5"), ("schedule", "constant")]).is_ok());
}

#[test]
fn a_run_within_its_warm_up_is_allowed_with_a_warning() {
    let config = baby(&[("max_iters", "20")]).unwrap();
    assert_eq!(config.warnings().len(), 1);
}

/// What is computed in 32 bits must be a number there, and not round to 0.
#[test]
fn numbers_that_32_bits_cannot_hold_are_refused() {
    let at_most = "it must be at most 3.4e38, because it is rounded to 32 bits";
    let at_least = "it must be at least 1.2e-38, because it is rounded to 32 bits";
    let below_one = "it must be at most 0.9999999, because it is rounded to 32 bits";
    for (key, value, message) in [
        ("learning_rate", "1e39", at_most),
        ("learning_rate", "3.5e38", at_most),
        ("learning_rate", "1e-39", at_least),
        ("min_lr", "1e39", at_most),
        ("weight_decay", "1e300", at_most),
        ("eps", "1e39", at_most),
        ("eps", "1e-50", at_least),
        ("grad_clip", "1e39", at_most),
        ("grad_clip", "1e-50", at_least),
        ("skip_outliers", "1e39", at_most),
        ("beta1", "0.99999999", below_one),
        ("beta2", "0.999999999999", below_one),
    ] {
        let error = refused(&[(key, value)]);
        let text = error.to_string();
        assert!(error.is_usage() && text.ends_with(message), "{text}");
        assert!(text.contains(key) && text.contains(value), "{text}");
    }
    for (key, value) in [
        ("learning_rate", "3.4e38"),
        ("learning_rate", "1.2e-38"),
        ("min_lr", "0"),
        ("grad_clip", "0"),
        ("beta1", "0.9999999"),
        ("eps", "1e-12"),
    ] {
        let pairs = [("schedule", "constant"), (key, value)];
        assert!(baby(&pairs).is_ok(), "{key} {value}");
    }
    let both = [("eval_iters", "0"), ("eval_interval", "0")];
    assert!(refused(&both).to_string().contains("train.eval_iters"));
}
