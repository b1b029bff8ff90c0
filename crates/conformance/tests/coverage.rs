//! The suite draws what it promises: every operation with every type it accepts, and the edges.

use latimer_conformance::Coverage;
use latimer_tensor::Op;

/// Operations whose operands always have elements: an empty reduction has no value, and a sum of
/// squares is a single number.
const NEVER_EMPTY: [&str; 2] = ["reduce", "clip_scale"];

/// Operations whose shapes are fixed.
const FIXED: [&str; 1] = ["clip_scale"];

#[test]
fn every_operation_meets_every_type_it_takes() {
    let drawn = Coverage::drawn();
    for row in drawn.rows() {
        for dtype in Coverage::DTYPES {
            let takes = Coverage::takes(row.op, dtype);
            let count = row.of_type(dtype);
            assert_eq!(count > 0, takes, "{}: {count} cases of {dtype}", row.op);
        }
    }
    assert_eq!(drawn.rows().len(), Op::NAMES.len());
    println!("{drawn}");
}

#[test]
fn every_operation_meets_the_edges() {
    for row in Coverage::drawn().rows() {
        let op = row.op;
        assert_eq!(
            row.empty > 0,
            !NEVER_EMPTY.contains(&op),
            "{op} without elements"
        );
        assert!(row.one > 0, "{op} with an axis of 1");
        if !FIXED.contains(&op) {
            assert!(row.prime > 0, "{op} with an axis of prime length");
            assert!(row.past_tile > 0, "{op} with an axis one past a tile");
        }
    }
}
