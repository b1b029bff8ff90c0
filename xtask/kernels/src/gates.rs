//! What a kernel must hold to before its PTX is written.

use crate::assembly::Assembly;
use crate::ptx::Entry;
use crate::ptxas::Usage;
use crate::source::Source;
use std::collections::BTreeMap;

/// Everything that is wrong with one file, a sentence each; nothing, as it should be.
pub(crate) fn complaints(source: &Source, entries: &[Entry], all: &[Assembly]) -> Vec<String> {
    let mut found = Vec::new();
    if entries.is_empty() {
        found.push("it has no kernel: none is declared extern \"C\" __global__".into());
    }
    for Entry { name, .. } in entries {
        if name.starts_with("_Z") {
            found.push(format!("{name} is not extern \"C\": nobody finds it"));
        }
    }
    for assembly in all {
        let on = assembly.architecture;
        let warnings = assembly.warnings.iter();
        found.extend(warnings.map(|warning| format!("ptxas for {on}: {warning}")));
        for entry in entries {
            if assembly.usage(&entry.name).is_none() {
                found.push(format!(
                    "ptxas for {on} did not say what {} uses",
                    entry.name
                ));
            }
        }
    }
    found.extend(stacks(source, all));
    found.extend(misnamed(source, entries));
    found.extend(missing_instructions(source, all));
    found
        .iter()
        .map(|complaint| format!("{}: {complaint}", source.file()))
        .collect()
}

/// A stack, which is also where spilled registers go, may be as large as the file says; and the
/// file may not say more than is used.
fn stacks(source: &Source, all: &[Assembly]) -> Vec<String> {
    let mut found = Vec::new();
    let largest = |kernel: &str| {
        let of_it = each_usage(all).filter(|(_, usage)| usage.kernel == kernel);
        of_it.map(|(_, usage)| usage.stack).max()
    };
    let allowed = |kernel: &str| {
        let mut allowances = source.allowances.iter();
        let allowance = allowances.find(|allowance| allowance.kernel == kernel);
        allowance.map_or(0, |allowance| allowance.bytes)
    };
    // One complaint for all architectures that are alike.
    let mut alike = BTreeMap::<_, Vec<_>>::new();
    for (on, usage) in each_usage(all) {
        let takes = (usage.stack, usage.spill_stores, usage.spill_loads);
        let allowed = allowed(&usage.kernel);
        if usage.stack > allowed || (allowed == 0 && takes != (0, 0, 0)) {
            alike.entry((&usage.kernel, takes)).or_default().push(on);
        }
    }
    for ((kernel, (stack, stores, loads)), on) in alike {
        let on = on.join(", ");
        let most = largest(kernel).unwrap_or(stack);
        let (what, remedy) = if stores + loads > 0 {
            let what = format!("spills registers ({stores} bytes stored, {loads} loaded)");
            (what, "do less at a time, or give a block fewer threads")
        } else {
            (
                format!("has a stack of {stack} bytes"),
                "index arrays by constants only",
            )
        };
        found.push(format!(
            "{kernel} {what} on {on}: {remedy}, or write \"// allow-stack: {kernel} {most} REASON\""
        ));
    }
    for allowance in &source.allowances {
        if let Some(most) = largest(&allowance.kernel).filter(|&most| most < allowance.bytes) {
            let (kernel, bytes) = (&allowance.kernel, allowance.bytes);
            found.push(format!(
                "{kernel} is allowed a stack of {bytes} bytes, but has {most}: correct allow-stack"
            ));
        }
    }
    found
}

/// Comments about kernels that are not there protect nothing.
fn misnamed(source: &Source, entries: &[Entry]) -> impl Iterator<Item = String> {
    let allowances = source.allowances.iter().map(|a| ("allow-stack", &a.kernel));
    let expectations = source.expectations.iter().map(|e| ("expects", &e.kernel));
    allowances
        .chain(expectations)
        .filter(|(_, kernel)| entries.iter().all(|entry| entry.name != **kernel))
        .map(|(comment, kernel)| format!("\"// {comment}:\" names {kernel}, which it has not"))
}

fn missing_instructions(source: &Source, all: &[Assembly]) -> Vec<String> {
    let mut found = Vec::new();
    for expectation in &source.expectations {
        let (kernel, instruction) = (&expectation.kernel, &expectation.instruction);
        for assembly in all {
            let is_here = assembly.usage(kernel).is_some();
            let Some(sass) = assembly.sass.as_ref().filter(|_| is_here) else {
                continue;
            };
            if sass.count(kernel, instruction) == 0 {
                let on = assembly.architecture;
                found.push(format!(
                    "{kernel} has no {instruction} on {on}, as it is to have"
                ));
            }
        }
    }
    found
}

fn each_usage(all: &[Assembly]) -> impl Iterator<Item = (&'static str, &Usage)> {
    all.iter()
        .flat_map(|assembly| assembly.usages.iter().map(|u| (assembly.architecture, u)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sass::Sass;
    use crate::source::{Allowance, Expectation, Target};

    fn source(allowed: &[(&str, u32)], expected: &[(&str, &str)]) -> Source {
        Source {
            stem: "a".into(),
            target: Target::Compute80,
            text: String::new(),
            headers: [].into(),
            allowances: allowed
                .iter()
                .map(|&(kernel, bytes)| Allowance {
                    kernel: kernel.into(),
                    bytes,
                })
                .collect(),
            expectations: expected
                .iter()
                .map(|&(instruction, kernel)| Expectation {
                    instruction: instruction.into(),
                    kernel: kernel.into(),
                })
                .collect(),
        }
    }

    /// What is said of one kernel `a_forward` with this use, whose code is one HMMA.
    fn said(source: &Source, stack: u32, spill_loads: u32) -> Vec<String> {
        let entry = Entry {
            name: "a_forward".into(),
            params: Vec::new(),
        };
        let usage = Usage {
            kernel: "a_forward".into(),
            stack,
            spill_loads,
            ..Usage::default()
        };
        let assembly = Assembly {
            architecture: "sm_80",
            usages: vec![usage],
            warnings: Vec::new(),
            sass: Some(Sass::read(".text.a_forward:\n /*0000*/ HMMA.16816 R0 ;\n")),
        };
        complaints(source, &[entry], &[assembly])
    }

    #[test]
    fn a_sound_kernel_passes() {
        let none: [&str; 0] = [];
        assert_eq!(said(&source(&[], &[("HMMA", "a_forward")]), 0, 0), none);
        assert_eq!(said(&source(&[("a_forward", 8)], &[]), 8, 0), none);
    }

    #[test]
    fn each_fault_has_its_sentence() {
        let faults = [
            (source(&[], &[]), 8, 0, "a stack of 8 bytes on sm_80"),
            (
                source(&[], &[]),
                8,
                4,
                "spills registers (0 bytes stored, 4 loaded) on sm_80",
            ),
            (source(&[("a_forward", 8)], &[]), 16, 0, "a stack of 16"),
            (source(&[("a_forward", 8)], &[]), 0, 0, "but has 0"),
            (source(&[("b_forward", 8)], &[]), 0, 0, "names b_forward"),
            (
                source(&[], &[("HMMA", "b_forward")]),
                0,
                0,
                "names b_forward",
            ),
            (
                source(&[], &[("LDSM", "a_forward")]),
                0,
                0,
                "no LDSM on sm_80",
            ),
        ];
        for (source, stack, loads, expected) in faults {
            let said = said(&source, stack, loads);
            assert_eq!(said.len(), 1, "{expected}: {said:?}");
            assert!(
                said[0].starts_with("a.cu: ") && said[0].contains(expected),
                "{said:?}"
            );
        }
    }

    #[test]
    fn a_file_without_kernels_is_no_kernel_file() {
        assert_eq!(complaints(&source(&[], &[]), &[], &[]).len(), 1);
    }
}
