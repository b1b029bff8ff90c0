//! Products and plain sums.

use super::{Output, read, sum};
use latimer_tensor::op::{EmbeddingBackward, Matmul, MatmulSizes, Over, Reduce, ReduceKind};
use latimer_tensor::{Host, Result};

pub(super) fn matmul(op: &Matmul<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let MatmulSizes { batch, m, n, k } = op.sizes();
    let (a, b) = (read(host, op.a)?, read(host, op.b)?);
    let bias = op.bias.map(|bias| read(host, bias)).transpose()?;
    let mut y = match op.beta {
        0.0 => vec![0.0; batch * m * n],
        _ => read(host, op.y.as_view())?,
    };
    for (s, y) in y.chunks_exact_mut((m * n).max(1)).enumerate() {
        let (a, b) = (&a[s * m * k..][..m * k], &b[s * k * n..][..k * n]);
        // Strides: of one step along the sum, and of one row of `a` or one column of `b`.
        let (along_a, across_a) = if op.trans_a { (m, 1) } else { (1, k) };
        let (along_b, across_b) = if op.trans_b { (1, k) } else { (n, 1) };
        for (at, y) in y.iter_mut().enumerate() {
            let (i, j) = (at / n * across_a, at % n * across_b);
            let product = sum((0..k).map(|l| a[i + l * along_a] * b[j + l * along_b]));
            let product = op.alpha * product + bias.as_ref().map_or(0.0, |bias| bias[at % n]);
            *y = match op.beta {
                0.0 => product,
                beta => product + beta * *y,
            };
        }
    }
    Ok(vec![("y", y)])
}

pub(super) fn reduce(op: &Reduce<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let (rows, columns) = (op.x.shape().rows(), op.x.shape().columns());
    let x = read(host, op.x)?;
    let (lines, terms, along, across) = match op.over {
        Over::Rows => (columns, rows, columns, 1),
        Over::Columns => (rows, columns, 1, columns),
    };
    let mut y: Vec<f32> = (0..lines)
        .map(|at| {
            let line = (0..terms).map(|i| x[at * across + i * along]);
            match op.kind {
                ReduceKind::Mean => sum(line) / terms as f32,
                ReduceKind::Max => line.fold(f32::NEG_INFINITY, f32::max),
                _ => sum(line),
            }
        })
        .collect();
    if op.accumulate {
        let old = read(host, op.y.as_view())?;
        y.iter_mut().zip(old).for_each(|(y, old)| *y += old);
    }
    Ok(vec![("y", y)])
}

pub(super) fn embedding_backward(
    op: &EmbeddingBackward<'_>,
    host: &Host<'_>,
) -> Result<Vec<Output>> {
    let (t, c) = (op.ids.shape().columns(), op.dwte.shape().columns());
    let (ids, dy) = (host.read_ids(op.ids)?, read(host, op.dy)?);
    let gather = |mut table: Vec<f32>, row: &dyn Fn(usize) -> usize| {
        for (at, dy) in dy.chunks_exact(c).enumerate() {
            let row = &mut table[row(at) * c..][..c];
            row.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
        }
        table
    };
    let dwte = read(host, op.dwte.as_view())?;
    let mut written = vec![("dwte", gather(dwte, &|at| ids[at]))];
    if let Some(dwpe) = &op.dwpe {
        let dwpe = read(host, dwpe.as_view())?;
        written.push(("dwpe", gather(dwpe, &|at| at % t)));
    }
    Ok(written)
}
