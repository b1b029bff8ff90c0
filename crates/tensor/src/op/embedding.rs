//! Rows of a table, by id.

use super::{Meaning, dtype_is, is_float, operands, shape_is, shape_such};
use crate::{DType, Error, Host, Result, View, ViewMut};

/// `y[b, t] = wte[ids[b, t]] + wpe[first_position + t]`: what a token is, and where it stands.
#[derive(Debug)]
pub struct Embedding<'a> {
    /// `[B, T]`, `U32`, each below `V`.
    pub ids: View<'a>,
    /// `[V, C]`.
    pub wte: View<'a>,
    /// `[P, C]` with `P >= first_position + T`; without it, no positions.
    pub wpe: Option<View<'a>>,
    /// `[B, T, C]`.
    pub y: ViewMut<'a>,
    /// The position of column 0, when decoding goes on.
    pub first_position: usize,
}

impl Meaning for Embedding<'_> {
    const NAME: &'static str = "embedding";

    fn check(&self) -> Result<()> {
        let (ids, wte) = (self.ids.shape(), self.wte.shape());
        is_float(Self::NAME, "wte", self.wte.dtype())?;
        dtype_is(Self::NAME, "ids", self.ids.dtype(), DType::U32)?;
        dtype_is(Self::NAME, "y", self.y.dtype(), self.wte.dtype())?;
        shape_such(Self::NAME, "ids", ids, ids.rank() == 2, "it must be [B, T]")?;
        shape_such(Self::NAME, "wte", wte, wte.rank() == 2, "it must be [V, C]")?;
        if let Some(wpe) = self.wpe {
            dtype_is(Self::NAME, "wpe", wpe.dtype(), self.wte.dtype())?;
            let shape = wpe.shape();
            let last = self.first_position.saturating_add(ids.columns());
            let fits =
                shape.rank() == 2 && shape.columns() == wte.columns() && shape.rows() >= last;
            shape_such(
                Self::NAME,
                "wpe",
                shape,
                fits,
                "it must be [P, C] with P >= first_position + T",
            )?;
        }
        shape_is(
            Self::NAME,
            "y",
            self.y.shape(),
            [ids.rows(), ids.columns(), wte.columns()],
        )
    }

    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (t, c) = (self.ids.shape().columns(), self.wte.shape().columns());
        let ids = host.read_ids(self.ids)?;
        let (wte, wpe) = (host.read(self.wte)?, host.read_some(self.wpe)?);
        let mut values = Vec::with_capacity(self.y.numel());
        for (at, &id) in ids.iter().enumerate() {
            check_id(Self::NAME, "ids", id as u64, at, self.wte.shape().rows())?;
            for j in 0..c {
                let position = wpe
                    .as_ref()
                    .map_or(0.0, |p| p[(self.first_position + at % t) * c + j]);
                values.push(wte[id * c + j] + position);
            }
        }
        host.write_exact("y", values);
        Ok(())
    }

    fn flops(&self) -> u64 {
        if self.wpe.is_some() {
            self.y.numel() as u64
        } else {
            0
        }
    }

    operands!(In ids, In wte, MaybeIn wpe, Out y);
}

/// Answers with [`Error::IdOutOfRange`] unless `id < rows`.
///
/// # Errors
/// That one.
pub(crate) fn check_id(
    op: &'static str,
    operand: &'static str,
    id: u64,
    position: usize,
    rows: usize,
) -> Result<()> {
    if (id as usize) < rows {
        return Ok(());
    }
    Err(Error::IdOutOfRange {
        op,
        operand,
        id,
        position,
        last: rows.saturating_sub(1),
    })
}

/// `dwte[ids[b, t]] += dy[b, t]`, `dwpe[t] += Σ_b dy[b, t]`; sums in the order of `b, t`.
#[derive(Debug)]
pub struct EmbeddingBackward<'a> {
    /// `[B, T]`, `U32`, each below `V`.
    pub ids: View<'a>,
    /// `[B, T, C]`.
    pub dy: View<'a>,
    /// `[V, C]`; added to.
    pub dwte: ViewMut<'a>,
    /// `[P, C]`, `P >= T`; added to.
    pub dwpe: Option<ViewMut<'a>>,
}

impl Meaning for EmbeddingBackward<'_> {
    const NAME: &'static str = "embedding_backward";

    fn check(&self) -> Result<()> {
        let (ids, dwte) = (self.ids.shape(), self.dwte.shape());
        is_float(Self::NAME, "dy", self.dy.dtype())?;
        dtype_is(Self::NAME, "ids", self.ids.dtype(), DType::U32)?;
        is_float(Self::NAME, "dwte", self.dwte.dtype())?;
        shape_such(Self::NAME, "ids", ids, ids.rank() == 2, "it must be [B, T]")?;
        shape_such(
            Self::NAME,
            "dwte",
            dwte,
            dwte.rank() == 2,
            "it must be [V, C]",
        )?;
        if let Some(dwpe) = &self.dwpe {
            dtype_is(Self::NAME, "dwpe", dwpe.dtype(), self.dwte.dtype())?;
            let shape = dwpe.shape();
            let fits = shape.rank() == 2
                && shape.columns() == dwte.columns()
                && shape.rows() >= ids.columns();
            shape_such(
                Self::NAME,
                "dwpe",
                shape,
                fits,
                "it must be [P, C] with P >= T",
            )?;
        }
        shape_is(
            Self::NAME,
            "dy",
            self.dy.shape(),
            [ids.rows(), ids.columns(), dwte.columns()],
        )
    }

    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (t, c) = (self.ids.shape().columns(), self.dwte.shape().columns());
        let (ids, dy) = (host.read_ids(self.ids)?, host.read(self.dy)?);
        let mut dwte = Sums::new(host.read(self.dwte.as_view())?);
        for (at, &id) in ids.iter().enumerate() {
            check_id(Self::NAME, "ids", id as u64, at, self.dwte.shape().rows())?;
            (0..c).for_each(|j| dwte.add(id * c + j, dy[at * c + j]));
        }
        host.write("dwte", dwte.values, dwte.sizes);
        if let Some(dwpe) = &self.dwpe {
            let mut sums = Sums::new(host.read(dwpe.as_view())?);
            for at in 0..ids.len() {
                (0..c).for_each(|j| sums.add(at % t * c + j, dy[at * c + j]));
            }
            host.write("dwpe", sums.values, sums.sizes);
        }
        Ok(())
    }

    fn flops(&self) -> u64 {
        2 * self.dy.numel() as u64
    }

    operands!(In ids, In dy, InOut dwte, MaybeInOut dwpe);
}

/// Running sums, each with the sizes of its partial sums added up, which is what rounding costs.
#[derive(Debug)]
pub(crate) struct Sums {
    pub(crate) values: Vec<f64>,
    pub(crate) sizes: Vec<f64>,
    terms: Vec<f64>,
}

impl Sums {
    pub(crate) fn new(old: Vec<f64>) -> Self {
        let terms: Vec<f64> = old.iter().map(|x| x.abs()).collect();
        Self {
            sizes: terms.clone(),
            terms,
            values: old,
        }
    }

    pub(crate) fn add(&mut self, at: usize, x: f64) {
        self.values[at] += x;
        self.terms[at] += x.abs();
        self.sizes[at] += self.terms[at];
    }
}
