//! Rows of a table by id, and their gradients in the order of the tokens.

use crate::memory::{Shared, read, write};
use crate::parallel::{Par, Rows, RowsMut};
use crate::real::Real;
use crate::simd::simd;
use latimer_tensor::op::{Embedding, EmbeddingBackward};
use latimer_tensor::{DType, Error, Handled, Result};
use std::ops::Range;

/// Fails with the first id that names no row.
pub(crate) fn check_ids(
    op: &'static str,
    operand: &'static str,
    ids: &[u32],
    rows: usize,
) -> Result<()> {
    // One pass that vectorises; the position of a bad id is searched only if there is one.
    let most = ids
        .iter()
        .fold(0, |most, &id| if id > most { id } else { most });
    // mutant: embedding_id_unclamped
    if ids.is_empty() || (most as usize) < rows {
        return Ok(());
    }
    let position = ids.iter().position(|&id| id as usize >= rows).unwrap_or(0);
    Err(Error::IdOutOfRange {
        op,
        operand,
        id: ids[position].into(),
        position,
        last: rows.saturating_sub(1),
    })
}

simd! {
    fn add_rows<E: Real>(a: &[E], b: &[E], y: &mut [E]) {
        for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
            *y = E::store(a.load() + b.load());
        }
    }
}

pub(crate) fn forward<E: Real>(op: &mut Embedding<'_>, par: Par) -> Result<Handled> {
    let (t, c) = (op.ids.shape().columns(), op.wte.shape().columns());
    let ids = read::<u32>(op.ids)?;
    check_ids("embedding", "ids", ids, op.wte.shape().rows())?;
    let wte = read::<E>(op.wte)?;
    let wpe = op.wpe.map(|wpe| read::<E>(wpe)).transpose()?;
    let y = write::<E>(op.y.reborrow())?;
    if y.is_empty() {
        return Ok(Handled::Done);
    }
    let first = op.first_position;
    let ns = y.len() / 6 + ids.len() * 4;
    let parts = (0..ids.len(), Rows(ids, 1), RowsMut(y, c));
    let work = |(places, ids, y): (Range<usize>, Rows<'_, u32>, RowsMut<'_, E>)| {
        for ((at, &id), y) in places.zip(ids.0).zip(y.0.chunks_exact_mut(c)) {
            let token = &wte[id as usize * c..][..c];
            match wpe {
                // mutant: embedding_position_of_the_row
                Some(wpe) => add_rows(token, &wpe[(first + at % t) * c..][..c], y),
                None => y.copy_from_slice(token),
            }
        }
    };
    par.split(ids.len(), ns, parts, &work);
    Ok(Handled::Done)
}

simd! {
    fn add_to<E: Real>(x: &[E], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            // mutant: embedding_backward_overwrites
            *y += x.load();
        }
    }
}

/// Columns handed out together: a cache line.
const LINE: usize = 16;

/// Every thread takes some columns of all tokens, so that each sum runs in the order of the tokens.
pub(crate) fn backward<E: Real>(op: &mut EmbeddingBackward<'_>, par: Par) -> Result<Handled> {
    // A sum in a narrower type would lose the terms that are added late.
    if op.dwte.dtype() != DType::F32 || op.dy.dtype() != E::DTYPE {
        return Ok(Handled::Unsupported);
    }
    let (t, c) = (op.ids.shape().columns(), op.dwte.shape().columns());
    let ids = read::<u32>(op.ids)?;
    check_ids("embedding_backward", "ids", ids, op.dwte.shape().rows())?;
    let dy = read::<E>(op.dy)?;
    let dwte = write::<f32>(op.dwte.reborrow())?;
    let dwpe = match &mut op.dwpe {
        Some(dwpe) => Some(write::<f32>(dwpe.reborrow())?),
        None => None,
    };
    if dy.is_empty() {
        return Ok(Handled::Done);
    }
    let (dwte, dwpe) = (Shared::new(dwte), dwpe.map(Shared::new));
    let ns = dy.len() / 4 + ids.len() * 8;
    par.split(
        c.div_ceil(LINE),
        ns,
        0..c.div_ceil(LINE),
        &|lines: Range<usize>| {
            let columns = lines.start * LINE..(lines.end * LINE).min(c);
            for (at, &id) in ids.iter().enumerate() {
                let dy = &dy[at * c..][columns.clone()];
                // (at % t) < T <= P and id < V (checked), so both rows lie in their tables.
                add_to(dy, part(dwte, id as usize * c, &columns));
                if let Some(dwpe) = dwpe {
                    add_to(dy, part(dwpe, at % t * c, &columns));
                }
            }
        },
    );
    Ok(Handled::Done)
}

/// Some columns of the row that begins at element `row` of a table, which has that row; no other
/// thread may hold one of these columns.
#[allow(
    unsafe_code,
    reason = "columns of a row-major table cannot be split safely"
)]
fn part<'a>(table: Shared<f32>, row: usize, columns: &Range<usize>) -> &'a mut [f32] {
    // SAFETY: the caller's row is within the table and its columns are its own (see `backward`).
    unsafe { std::slice::from_raw_parts_mut(table.get().add(row + columns.start), columns.len()) }
}
