use super::*;

/// The table of an operation with these operands, `(name, type, shape)`, and attributes,
/// `(name, range)`.
fn table<const N: usize>(
    operands: [(&'static str, &str, &'static str); N],
    attributes: &[(&'static str, Range)],
) -> Table {
    let names = operands.map(|(name, ..)| name);
    let attribute_names: Vec<&str> = attributes.iter().map(|(name, _)| *name).collect();
    let operands = operands.map(|(name, dtype, shape)| OperandRule {
        name,
        access: Access::In,
        is_optional: true,
        dtype: DTypeRule::parse(dtype, &names),
        shape: ShapeRule::parse(shape, &names, &attribute_names),
        written: ["", shape],
        reason: shape,
    });
    let attributes: Vec<AttributeRule> = attributes
        .iter()
        .map(|&(name, range)| AttributeRule {
            name,
            range,
            takes: |_| true,
        })
        .collect();
    Table {
        name: "op",
        operands: Box::leak(Box::new(operands)),
        attributes: attributes.leak(),
    }
}

fn answer(table: &Table, shapes: &[&[usize]], attributes: &[f64]) -> String {
    let given: Vec<_> = shapes
        .iter()
        .map(|dims| {
            Some(Given {
                shape: Shape::new(dims),
                dtype: DType::F32,
            })
        })
        .collect();
    let unknown = |_: &'static str| -> Result<Shape> { unreachable!("nothing is computed") };
    match table.check(&given, attributes, &unknown) {
        Ok(()) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn letters_are_set_once_and_then_compared() {
    let product = table(
        [
            ("a", "float", "[S?, M, K], turned if t"),
            ("b", "as a", "[S?, K, N]"),
            ("y", "as a", "[S?, M, N]"),
        ],
        &[("t", Range::Any)],
    );
    assert_eq!(answer(&product, &[&[2, 3], &[3, 4], &[2, 4]], &[0.0]), "ok");
    assert_eq!(answer(&product, &[&[3, 2], &[3, 4], &[2, 4]], &[1.0]), "ok");
    let batches: [&[usize]; 3] = [&[5, 2, 3], &[5, 3, 4], &[5, 2, 4]];
    assert_eq!(answer(&product, &batches, &[0.0]), "ok");
    assert_eq!(
        answer(&product, &[&[2, 3], &[5, 4], &[2, 4]], &[0.0]),
        "op: b has shape [5, 4], expected [3, 4]"
    );
    assert_eq!(
        answer(&product, &[&[5, 2, 3], &[3, 4], &[2, 4]], &[0.0]),
        "op: b has shape [3, 4], expected [5, 3, 4]"
    );
    assert_eq!(
        answer(&product, &[&[1, 5, 2, 3], &[3, 4], &[2, 4]], &[0.0]),
        "op: a has shape [1, 5, 2, 3], but [S?, M, K], turned if t"
    );
}

#[test]
fn leading_axes_are_rows() {
    let rows = table(
        [
            ("x", "float", "[N.., C>0]"),
            ("weight", "as x", "[C]"),
            ("mean", "statistics of x", "[N]"),
        ],
        &[("valid", Range::UpTo('C', "1 <= valid <= C must hold"))],
    );
    assert_eq!(answer(&rows, &[&[2, 3, 4], &[4], &[6]], &[4.0]), "ok");
    assert_eq!(answer(&rows, &[&[4], &[4], &[1]], &[1.0]), "ok");
    assert_eq!(answer(&rows, &[&[0, 4], &[4], &[0]], &[1.0]), "ok");
    assert_eq!(
        answer(&rows, &[&[2, 3, 4], &[4], &[2]], &[4.0]),
        "op: mean has shape [2], expected [6]"
    );
    assert_eq!(
        answer(&rows, &[&[2, 0], &[0], &[2]], &[0.0]),
        "op: x has shape [2, 0], but [N.., C>0]"
    );
    assert_eq!(
        answer(&rows, &[&[2, 4], &[4], &[2]], &[5.0]),
        "op: x has shape [2, 4], but 1 <= valid <= C must hold"
    );
}

#[test]
fn two_operands_may_set_a_length_together() {
    let heads = table(
        [
            ("qkv", "float", "[T, 3HD]"),
            ("cache", "as qkv", "[H, S, D]"),
        ],
        &[("position", Range::OffsetOf('T', 'S', "there is no room"))],
    );
    assert_eq!(answer(&heads, &[&[2, 24], &[4, 5, 2]], &[3.0]), "ok");
    assert_eq!(
        answer(&heads, &[&[2, 24], &[4, 5, 2]], &[4.0]),
        "op: cache has shape [4, 5, 2], but there is no room"
    );
    assert_eq!(
        answer(&heads, &[&[2, 24], &[4, 5, 3]], &[0.0]),
        "op: qkv has shape [2, 24], expected [2, 36]"
    );
    assert_eq!(
        answer(&heads, &[&[2, 24], &[0, 5, 3]], &[0.0]),
        "op: qkv has shape [2, 24], expected [2, 0]"
    );
}

#[test]
fn ranges_end_where_they_say() {
    for (range, fit, unfit) in [
        (Range::NotNan, f64::INFINITY, f64::NAN),
        (Range::Finite, -1.0, f64::INFINITY),
        (Range::Positive, 1e-300, 0.0),
        (Range::Positive, f64::INFINITY, f64::NAN),
        (Range::NotNegative, 0.0, -1e-300),
        (Range::Share, 0.0, 1.0),
        (Range::Share, 0.999, f64::NAN),
        (Range::Sets('H'), 1.0, 0.0),
    ] {
        let one = table([("x", "float", "any")], &[("rate", range)]);
        assert_eq!(answer(&one, &[&[3]], &[fit]), "ok", "{range:?}");
        let told = answer(&one, &[&[3]], &[unfit]);
        assert!(told.starts_with("op: rate is "), "{range:?}: {told}");
    }
}

#[test]
fn a_sum_is_as_its_terms_or_wider() {
    let sums = table([("x", "float", "any"), ("y", "sum of x", "any")], &[]);
    let check = |x, y| {
        let shape = Shape::new(&[1]);
        let given = [x, y].map(|dtype| Some(Given { shape, dtype }));
        sums.check(&given, &[], &|_| unreachable!("nothing is computed"))
    };
    assert!(check(DType::Bf16, DType::F32).is_ok());
    assert!(check(DType::Bf16, DType::Bf16).is_ok());
    assert!(check(DType::F64, DType::F32).is_err());
    let told = check(DType::F32, DType::Bf16).unwrap_err().to_string();
    assert_eq!(told, "op: y is bf16, expected f32");
}

#[test]
fn an_outline_names_what_is_wrong_with_it() {
    let told = |make: fn() -> Shape| {
        let panic = std::panic::catch_unwind(make).unwrap_err();
        let text = panic.downcast_ref::<String>();
        text.unwrap_or_else(|| panic!("it is text")).clone()
    };
    let of = |op| Outline::of(op).shape("x", [2, 3]).shape_of("x");
    assert!(told(|| Outline::of("clamp").shape_of("x")).contains("no operation clamp"));
    assert_eq!(of("softmax").dims(), [2, 3]);
    let sizes = told(|| Outline::of("matmul").sizes("MX", [2, 3]).shape_of("a"));
    assert_eq!(sizes, "matmul has no length X");
    let operand = told(|| Outline::of("matmul").give("c", true).shape_of("a"));
    assert_eq!(operand, "matmul has no operand c");
    let attribute = told(|| Outline::of("matmul").set("gamma", 1.0).shape_of("a"));
    assert_eq!(attribute, "matmul has no attribute gamma");
    let value = told(|| Outline::of("matmul").set("alpha", true).shape_of("a"));
    assert_eq!(value, "matmul: alpha cannot be true");
    let shape = told(|| Outline::of("matmul").sizes("MN", [2, 3]).shape_of("a"));
    let asked = "[S?, M, K], turned if trans_a of a";
    assert_eq!(
        shape,
        format!("Outline::of(\"matmul\").sizes(\"MN\", [2, 3]) lacks the shape {asked}")
    );
}
