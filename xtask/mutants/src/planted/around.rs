//! Faults around the kernels and operations, in what a conformance suite does not ask about: the
//! kernels that a large GPU takes, captures beside other threads, and steps that cannot be recorded. Each names the test that must fail.

use super::{Copy, end, output, read, write};
use crate::anchors::{Anchors, planted};
use std::process::Command;

/// One mistake.
#[derive(Debug)]
pub(super) struct Around {
    /// Of the anchor, too.
    pub(super) name: &'static str,
    /// What is wrong, in one line.
    pub(super) about: &'static str,
    /// What is replaced: it begins in the line below the anchor.
    pub(super) old: &'static str,
    pub(super) new: &'static str,
    /// The package, then arguments of `cargo test`: what must fail.
    pub(super) test: &'static [&'static str],
    /// Variables that the tests see.
    pub(super) variables: &'static [(&'static str, &'static str)],
}

/// All of them.
pub(super) const FAULTS: &[Around] = &[
    Around {
        name: "large_tiles_by_the_small_kernel",
        about: "on a large GPU the small bf16 kernel is launched for large tiles",
        old: "(_, Way::Tiles(_)) => transposed!(\"_128_bf16\")",
        new: "(_, Way::Tiles(_)) => transposed!(\"_64_bf16\")",
        test: &[
            "latimer-backend-cuda",
            "--test",
            "matmul",
            "large_tiles_fill_a_large_gpu",
        ],
        variables: &[("SHIM_MULTIPROCESSORS", "132")],
    },
    Around {
        name: "captures_hold_nobody_off",
        about: "another thread destroys a device in the middle of a capture",
        old: "let outermost = HERE.get() == 0;",
        new: "let outermost = false;",
        test: &["latimer-backend-cuda", "--test", "captures"],
        variables: &[],
    },
    Around {
        name: "a_capture_that_fails_ends_the_run",
        about: "a step that the device cannot record is an error",
        old: "Err(error) => self.refusal = Some(refusal(&error)),",
        new: "Err(error) => return Err(error),",
        test: &["latimer-tests", "--test", "failed_capture"],
        variables: &[],
    },
    Around {
        name: "a_panic_leaves_the_capture_open",
        about: "a capture whose step fails is not ended",
        old: "        let _ = Self::ended(self.0);",
        new: "",
        test: &["latimer-backend-cuda", "--test", "captures"],
        variables: &[],
    },
];

impl Around {
    pub(super) fn planted(&self, text: &str) -> Result<String, String> {
        planted(text, self.name, self.old, self.new)
    }

    /// Its test without the fault, which must pass, and with it; how the test fails, or why that is
    /// not enough.
    pub(super) fn judge(&self, copy: &Copy, anchors: &Anchors) -> Result<String, String> {
        let before = output(&mut self.test(copy))?;
        if !before.passed {
            let said = end(&before.text);
            return Err(format!("without the fault the test fails already:\n{said}"));
        }
        let file = copy.tree.join(anchors.file(self.name)?);
        let text = read(&file)?;
        write(&file, self.planted(&text)?.as_bytes())?;
        let built = output(self.test(copy).arg("--no-run"));
        let after = output(&mut self.test(copy));
        write(&file, text.as_bytes())?;
        let (built, after) = (built?, after?);
        if !built.passed {
            return Err(format!("it does not compile:\n{}", end(&built.text)));
        }
        match after.passed {
            true => Err("the test passes".into()),
            false => Ok("its test".into()),
        }
    }

    fn test(&self, copy: &Copy) -> Command {
        let mut command = copy.cargo();
        command.arg("--package").args(self.test);
        command.envs(self.variables.iter().copied());
        command
    }
}
