//! `docs/operations.md` lists the rules for every operation's operands, as the declarations state
//! them.
//!
//! This test finds declarations that were changed by accident: nothing else knows what they should
//! be.

use latimer_tensor::Op;
use latimer_tensor::op::Table;
use latimer_tensor::op::table::{Access, Range};
use std::fmt::Write;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");

const INTRODUCTION: &str = "\
# Operations

What every operation asks of its operands and attributes. Made from the declarations in
`crates/tensor/src/op`; how types and shapes are written is explained in
`crates/tensor/src/op/table/notation.rs`. What an operation computes is said at its struct.
`UPDATE_OPERATIONS=1 cargo test -p latimer-tests --test operations_page` writes this page anew.
";

fn range(range: Range) -> String {
    match range {
        Range::Any => "any".to_owned(),
        Range::NotNan => "not NaN".to_owned(),
        Range::Finite => "finite".to_owned(),
        Range::Positive => "> 0".to_owned(),
        Range::NotNegative => ">= 0".to_owned(),
        Range::Share => "0 <= x < 1".to_owned(),
        Range::DropoutShare => "0 <= x < 1; above 0, `random` must be given".to_owned(),
        Range::Sets(letter) => format!("{letter}, at least 1"),
        Range::UpTo(_, reason) | Range::OffsetOf(_, _, reason) => reason.to_owned(),
        Range::Causal => "if true, at least as many columns as rows".to_owned(),
    }
}

fn section(table: &Table) -> String {
    let mut page = format!("\n## {}\n\n", table.name);
    if table.operands.is_empty() {
        page += "Operands of an operation from outside are checked by its own code.\n";
        return page;
    }
    page += "| operand | is | type | shape |\n|---|---|---|---|\n";
    for rule in table.operands {
        let access = match rule.access {
            Access::In => "read",
            Access::Out => "overwritten",
            Access::InOut => "read and written",
            Access::OutOrInOut(_) => "overwritten, or read and written",
        };
        let optional = if rule.is_optional { ", optional" } else { "" };
        let (name, [dtype, shape]) = (rule.name, rule.written);
        writeln!(
            page,
            "| `{name}` | {access}{optional} | {dtype} | {shape} |"
        )
        .expect("it is text");
    }
    if !table.attributes.is_empty() {
        page += "\n| attribute | range |\n|---|---|\n";
        for rule in table.attributes {
            writeln!(page, "| `{}` | {} |", rule.name, range(rule.range)).expect("it is text");
        }
    }
    page
}

#[test]
fn the_page_says_what_the_declarations_ask() {
    let sections = Op::TABLES.iter().map(|table| section(table));
    let page: String = std::iter::once(INTRODUCTION.to_owned())
        .chain(sections)
        .collect();
    if std::env::var_os("UPDATE_OPERATIONS").is_some() {
        std::fs::write(PAGE, &page).expect("the page can be written");
    }
    let committed = std::fs::read_to_string(PAGE).expect("the page is there");
    assert!(
        committed == page,
        "docs/operations.md is not what the declarations ask; if they are right, set UPDATE_OPERATIONS=1"
    );
}
