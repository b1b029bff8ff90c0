//! The differentiable operations, each a method of [`Pass`]. Layer normalisation is
//! in `norm.rs`, what only moves values in `movement.rs`, arithmetic in `arithmetic.rs`.
//!
//! A method builds the operation, gives it outputs from the pool, runs it, and remembers what its
//! backward needs. Nothing is kept that backward does not read.

use crate::walk_back::WalkBack;
use crate::{Error, Mode, Param, Pass, Result, Slot};
use latimer_tensor::op::{
    Attention, AttentionBackward, AttentionDecode, Binary, BinaryKind, CrossEntropy, Dropout,
    Embedding, EmbeddingBackward, Matmul, Over, Reduce, ReduceKind, Softmax, SoftmaxBackward,
    Unary, UnaryBackward, UnaryKind,
};
use latimer_tensor::{DType, SMALL_CHUNK, Shape, Tensor, View};

/// Rows of logits that `lm_loss` holds at a time: as many as the device likes for a chunk, a multiple
/// of what its products are cut into, never more than the batch has.
fn logits_rows(chunk_bytes: usize, row_bytes: usize, rows: usize) -> usize {
    let multiple = if chunk_bytes > SMALL_CHUNK { 256 } else { 64 };
    let most = chunk_bytes / row_bytes.max(1) / multiple * multiple;
    most.max(multiple).min(rows.max(1))
}

/// A language-model head: logits are `x · weightᵀ + bias`.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// `[Vp, C]`; the token embedding itself when tied.
    pub weight: Param,
    /// `[Vp]`.
    pub bias: Option<Param>,
    /// `V`: rows that are not padding.
    pub valid_columns: usize,
}

/// How an attention is done.
#[derive(Clone, Copy, Debug)]
pub struct AttentionSpec {
    /// Heads, `NH`.
    pub n_head: usize,
    /// The factor of the scores `q·k`; `1/√D` in nearly every model.
    pub scale: f32,
    /// Whether position `i` sees positions `j <= i` only.
    pub causal: bool,
    /// Share of the weights dropped in training.
    pub dropout: f32,
    /// The dropout's site, from [`crate::Scope::site`].
    pub site: u32,
}

impl<'a> Pass<'a> {
    /// Memory for what is computed from `x`, of its type.
    pub(crate) fn like(&self, x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
        Ok(Tensor::empty(self.device(), shape, x.dtype())?)
    }

    /// Memory for statistics, losses and logits to be looked at, which are `F32` whatever the
    /// activations are.
    pub(crate) fn empty_f32(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        Ok(Tensor::empty(self.device(), shape, DType::F32)?)
    }

    pub(crate) fn value(&self, param: Param) -> Result<View<'a>> {
        self.params.value(param)
    }

    pub(crate) fn value_of(&self, param: Option<Param>) -> Result<Option<View<'a>>> {
        param.map(|p| self.value(p)).transpose()
    }

    /// `wte[ids] + wpe[first_position + t]`: `ids: [B, T]` (`U32`) to `[B, T, C]`.
    ///
    /// # Errors
    /// Ids out of range, positions beyond `wpe`.
    pub fn embedding(
        &self,
        ids: &Tensor,
        wte: Param,
        wpe: Option<Param>,
        first_position: usize,
    ) -> Result<Tensor> {
        let width = self.params.info(wte).shape().columns();
        let wte_value = self.value(wte)?;
        let shape = [ids.shape().rows(), ids.shape().columns(), width];
        let mut y = Tensor::empty(self.device(), shape, wte_value.dtype())?; // [B, T, C]
        self.device().run(Embedding {
            ids: ids.view(),
            wte: wte_value,
            wpe: self.value_of(wpe)?,
            y: y.view_mut()?,
            first_position,
        })?;
        let ids = ids.clone();
        self.record(&y, move |gradients, dy| {
            gradients.with_params([Some(wte), wpe], |[dwte, dwpe]| {
                let Some(dwte) = dwte else { return Ok(()) };
                let (ids, dy) = (ids.view(), dy.view());
                Ok(gradients.device().run(EmbeddingBackward {
                    ids,
                    dy,
                    dwte,
                    dwpe,
                })?)
            })
        });
        Ok(y)
    }

    /// `x · w + b` over the last axis: `[…, in]` to `[…, out]` with `w: [in, out]`, `b: [out]`.
    ///
    /// # Errors
    /// Widths that do not fit.
    pub fn linear(&self, x: &Tensor, w: Param, b: Option<Param>) -> Result<Tensor> {
        let wants = self.wants("linear", "x", x)?;
        let x_rows = x.reshape([x.shape().rows(), x.shape().columns()])?; // [N, in]
        let out = self.params.info(w).stored_shape().columns();
        let mut y = self.like(x, [x.shape().rows(), out])?; // [N, out]
        let product = Matmul::new(x_rows.view(), self.value(w)?, y.view_mut()?);
        self.device().run(product.with_bias(self.value_of(b)?))?;
        self.record(&y, move |gradients, dy| {
            let device = gradients.device().clone();
            gradients.with_params([Some(w), b], |[dw, db]| {
                if let Some(dw) = dw {
                    device.run(
                        Matmul::new(x_rows.view(), dy.view(), dw)
                            .trans_a()
                            .scaled(1.0, 1.0),
                    )?;
                }
                if let Some(y) = db {
                    let (kind, over) = (ReduceKind::Sum, Over::Rows);
                    device.run(Reduce {
                        kind,
                        over,
                        x: dy.view(),
                        y,
                        accumulate: true,
                    })?;
                }
                Ok(())
            })?;
            if wants {
                let (mut dx, add) = gradients.target(&x_rows)?;
                let product = Matmul::new(dy.view(), gradients.value(w)?, dx.view_mut()?).trans_b();
                device.run(product.scaled(1.0, f32::from(u8::from(add))))?;
                gradients.put(&x_rows, dx);
            }
            Ok(())
        });
        let mut dims = [0; Shape::MAX_RANK];
        dims[..x.shape().rank()].copy_from_slice(x.dims());
        dims[x.shape().rank() - 1] = out;
        Ok(y.reshape(&dims[..x.shape().rank()])?)
    }

    /// `a + b`, shapes alike.
    ///
    /// # Errors
    /// Shapes that differ.
    pub fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.wants("add", "a", a)?;
        self.wants("add", "b", b)?;
        let mut y = self.like(a, a.shape())?;
        let (kind, left, right) = (BinaryKind::Add, a.view(), b.reshape(a.shape())?);
        self.device().run(Binary {
            kind,
            a: left,
            b: right.view(),
            y: y.view_mut()?,
        })?;
        let (a, b) = (Slot::from(a), Slot::from(b));
        self.record(&y, move |gradients, dy| {
            gradients.give(a, dy.clone())?;
            gradients.give(b, dy)
        });
        Ok(y)
    }

    /// A function of every element: ReLU, GELU and their like.
    ///
    /// # Errors
    /// The device's failure.
    pub fn unary(&self, kind: UnaryKind, x: &Tensor) -> Result<Tensor> {
        let wants = self.wants("unary", "x", x)?;
        let mut y = self.like(x, x.shape())?;
        self.device().run(Unary {
            kind,
            x: x.view(),
            y: y.view_mut()?,
        })?;
        let x = x.clone();
        self.record(&y, move |gradients, dy| {
            if !wants {
                return Ok(());
            }
            let mut dx = Tensor::empty(gradients.device(), x.shape(), x.dtype())?;
            let target = dx.view_mut()?;
            gradients.device().run(UnaryBackward {
                kind,
                x: x.view(),
                dy: dy.view(),
                dx: target,
            })?;
            gradients.give(&x, dx)
        });
        Ok(y)
    }

    /// Dropout of `rate` in training, nothing otherwise: `[B, …]` to the same. `site` is from
    /// [`crate::Scope::site`].
    ///
    /// # Errors
    /// A rate outside `0..1`.
    pub fn dropout(&self, x: &Tensor, rate: f32, site: u32) -> Result<Tensor> {
        if rate == 0.0 || !self.is_training() {
            return Ok(x.clone());
        }
        let wants = self.wants("dropout", "x", x)?;
        let mut y = self.like(x, x.shape())?;
        let random = self.scalars.random();
        self.device().run(Dropout {
            x: x.view(),
            y: y.view_mut()?,
            rate,
            site,
            random,
        })?;
        let x = Slot::from(x);
        self.record(&y, move |gradients, dy| {
            if !wants {
                return Ok(());
            }
            let mut dx = x.empty(gradients.device())?;
            let (random, target) = (gradients.random(), dx.view_mut()?);
            gradients.device().run(Dropout {
                x: dy.view(),
                y: target,
                rate,
                site,
                random,
            })?;
            gradients.give(x, dx)
        });
        Ok(y)
    }

    /// Attention over packed queries, keys and values: `[B, T, 3C]` to `[B, T, C]`.
    ///
    /// # Errors
    /// A width not divisible by `3 · n_head`.
    pub fn attention(&self, qkv: &Tensor, spec: AttentionSpec) -> Result<Tensor> {
        let wants = self.wants("attention", "qkv", qkv)?;
        let AttentionSpec {
            n_head,
            scale,
            causal,
            dropout,
            site,
        } = spec;
        let [batch, seq_len, width] = three(qkv.shape());
        let rate = if self.is_training() { dropout } else { 0.0 };
        let mut y = self.like(qkv, [batch, seq_len, width / 3])?; // [B, T, C]
        let mut lse = self.empty_f32([batch, n_head, seq_len])?; // [B, NH, T]
        let random = Some(self.scalars.random()).filter(|_| rate > 0.0);
        self.device().run(Attention {
            qkv: qkv.view(),
            y: y.view_mut()?,
            lse: lse.view_mut()?,
            n_head,
            scale,
            causal,
            rate,
            site,
            random,
        })?;
        if !self.is_training() {
            return Ok(y);
        }
        let (qkv, kept) = (qkv.clone(), y.clone());
        self.record(&y, move |gradients, dy| {
            if !wants {
                return Ok(());
            }
            let mut dqkv = Tensor::empty(gradients.device(), qkv.shape(), qkv.dtype())?;
            gradients.device().run(AttentionBackward {
                qkv: qkv.view(),
                y: kept.view(),
                lse: lse.view(),
                dy: dy.view(),
                dqkv: dqkv.view_mut()?,
                n_head,
                scale,
                causal,
                rate,
                site,
                random: Some(gradients.random()).filter(|_| rate > 0.0),
            })?;
            gradients.give(&qkv, dqkv)
        });
        Ok(y)
    }

    /// Attention of new positions over a cache that it extends: `[B, T, 3C]` to `[B, T, C]`, with
    /// caches `[B, NH, S, D]` filled up to `position`; `scale` is the factor of the scores, as in
    /// [`AttentionSpec`]. For evaluation: nothing is remembered.
    ///
    /// # Errors
    /// A cache without room for the new positions; a cache that is shared.
    pub fn attention_decode(
        &self,
        qkv: &Tensor,
        k_cache: &mut Tensor,
        v_cache: &mut Tensor,
        position: usize,
        scale: f32,
    ) -> Result<Tensor> {
        let [batch, seq_len, width] = three(qkv.shape());
        let mut y = self.like(qkv, [batch, seq_len, width / 3])?; // [B, T, C]
        self.device().run(AttentionDecode {
            qkv: qkv.view(),
            k_cache: k_cache.view_mut()?,
            v_cache: v_cache.view_mut()?,
            y: y.view_mut()?,
            position,
            scale,
        })?;
        Ok(y)
    }

    /// `a · b`, matrices or batches of them; `b` stored transposed if `trans_b`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn matmul(&self, a: &Tensor, b: &Tensor, trans_b: bool) -> Result<Tensor> {
        let (wants_a, wants_b) = (self.wants("matmul", "a", a)?, self.wants("matmul", "b", b)?);
        let rank = a.shape().rank();
        let mut dims = [0; Shape::MAX_RANK];
        dims[..rank].copy_from_slice(a.dims());
        let columns = if trans_b {
            b.dims().iter().rev().nth(1)
        } else {
            b.dims().last()
        };
        dims[rank.max(1) - 1] = columns.copied().unwrap_or(1);
        let mut y = self.like(a, &dims[..rank])?;
        let product = Matmul::new(a.view(), b.view(), y.view_mut()?);
        self.device().run(Matmul { trans_b, ..product })?;
        let (a, b) = (a.clone(), b.clone());
        self.record(&y, move |gradients, dy| {
            let device = gradients.device().clone();
            if wants_a {
                let mut da = Tensor::empty(&device, a.shape(), a.dtype())?;
                let product = Matmul::new(dy.view(), b.view(), da.view_mut()?);
                device.run(Matmul {
                    trans_b: !trans_b,
                    ..product
                })?;
                gradients.give(&a, da)?;
            }
            if wants_b {
                let mut db = Tensor::empty(&device, b.shape(), b.dtype())?;
                let (left, right) = if trans_b { (&dy, &a) } else { (&a, &dy) };
                device.run(Matmul::new(left.view(), right.view(), db.view_mut()?).trans_a())?;
                gradients.give(&b, db)?;
            }
            Ok(())
        });
        Ok(y)
    }

    /// Softmax of `scale · x` over the last axis; `causal` masks later columns.
    ///
    /// # Errors
    /// A tensor without columns.
    pub fn softmax(&self, x: &Tensor, scale: f32, causal: bool) -> Result<Tensor> {
        let wants = self.wants("softmax", "x", x)?;
        let mut y = self.like(x, x.shape())?;
        let valid_columns = x.shape().columns();
        self.device().run(Softmax {
            x: x.view(),
            y: y.view_mut()?,
            scale,
            causal,
            valid_columns,
        })?;
        let (x, kept) = (x.clone(), y.clone());
        self.record(&y, move |gradients, dy| {
            if !wants {
                return Ok(());
            }
            let mut dx = Tensor::empty(gradients.device(), x.shape(), x.dtype())?;
            let target = dx.view_mut()?;
            gradients.device().run(SoftmaxBackward {
                y: kept.view(),
                dy: dy.view(),
                dx: target,
                scale,
            })?;
            gradients.give(&x, dx)
        });
        Ok(y)
    }

    /// Logits `x · weightᵀ + bias` of the rows from `first_row` on, padded columns included: `[…, C]`
    /// to `[N - first_row, Vp]`, `F32`. For evaluation; training goes through [`Pass::lm_loss`], which
    /// never holds them all.
    ///
    /// # Errors
    /// A width that does not fit, a row that does not exist.
    pub fn logits(&self, x: &Tensor, first_row: usize, head: Head) -> Result<Tensor> {
        let (rows, width) = (
            x.shape().rows().saturating_sub(first_row),
            x.shape().columns(),
        );
        let x = x.view().slice(first_row * width, [rows, width])?; // [n, C]
        let weight = self.value(head.weight)?;
        let mut logits = self.empty_f32([rows, weight.shape().rows()])?; // [n, Vp]
        let product = Matmul::new(x, weight, logits.view_mut()?).trans_b();
        self.device()
            .run(product.with_bias(self.value_of(head.bias)?))?;
        Ok(logits)
    }

    /// Head and loss in one, in chunks of rows: the mean cross-entropy, in nats, of `x: [B, T, C]`
    /// under `head` against `targets: [B, T]` (`U32`), as `[1]`, `F32`. All logits are never held at
    /// once. In training they are of the activations' type, as their gradients in their place must
    /// be; in evaluation they are `F32`.
    ///
    /// In training the gradients of the head are made on the way, so the result must go to
    /// [`Pass::backward`] itself.
    ///
    /// # Errors
    /// Targets out of range.
    pub fn lm_loss(&self, x: &Tensor, head: Head, targets: &Tensor) -> Result<Tensor> {
        let scale = match self.mode() {
            Mode::Train { loss_scale } => Some(loss_scale / x.shape().rows() as f32),
            Mode::Evaluate => None,
        };
        let wants = self.wants("lm_loss", "x", x)?;
        let (rows, width) = (x.shape().rows(), x.shape().columns());
        let weight = self.value(head.weight)?; // [Vp, C]
        let columns = weight.shape().rows();
        let dtype = scale.map_or(DType::F32, |_| x.dtype());
        let row_bytes = dtype.size() * columns;
        let chunk = logits_rows(self.device().chunk_bytes(), row_bytes, rows);
        let mut losses = self.empty_f32([rows])?; // [N]
        let mut dx = if wants {
            Some(self.like(x, x.shape())?)
        } else {
            None
        };
        for first in (0..rows).step_by(chunk) {
            self.check_stop()?;
            let n = chunk.min(rows - first);
            let x = x.view().slice(first * width, [n, width])?; // [n, C]
            let mut logits = Tensor::empty(self.device(), [n, columns], dtype)?; // [n, Vp]
            let product = Matmul::new(x, weight, logits.view_mut()?).trans_b();
            self.device()
                .run(product.with_bias(self.value_of(head.bias)?))?;
            self.device().run(CrossEntropy {
                logits: logits.view_mut()?,
                targets: targets.view().slice(first, [n])?,
                losses: losses.view_mut()?.slice(first, [n])?,
                valid_columns: head.valid_columns,
                gradient: scale,
            })?;
            if scale.is_none() {
                continue;
            }
            let _walk_back = WalkBack::begin();
            let dlogits = logits;
            if let Some(dx) = &mut dx {
                let dx = dx.view_mut()?.slice(first * width, [n, width])?;
                self.device().run(Matmul::new(dlogits.view(), weight, dx))?;
            }
            self.params
                .with_gradients([Some(head.weight), head.bias], |[dw, db]| {
                    if let Some(dw) = dw {
                        let product = Matmul::new(dlogits.view(), x, dw).trans_a();
                        self.device().run(product.scaled(1.0, 1.0))?;
                    }
                    if let Some(y) = db {
                        let (kind, over) = (ReduceKind::Sum, Over::Rows);
                        self.device().run(Reduce {
                            kind,
                            over,
                            x: dlogits.view(),
                            y,
                            accumulate: true,
                        })?;
                    }
                    Ok(())
                })?;
        }
        let mut loss = self.empty_f32([1])?;
        self.device().run(Reduce {
            kind: ReduceKind::Mean,
            over: Over::Columns,
            x: losses.view().slice(0, [1, rows])?,
            y: loss.view_mut()?,
            accumulate: false,
        })?;
        let x = Slot::from(x);
        self.record(&loss, move |gradients, dy| {
            if dy.id() != gradients.seed {
                return Err(Error::LossMustBeLast);
            }
            dx.map_or(Ok(()), |dx| gradients.give(x, dx))
        });
        Ok(loss)
    }
}

/// The lengths of `[B, T, X]`; zeros, which no operation takes, for another rank.
fn three(shape: Shape) -> [usize; 3] {
    shape.dims().try_into().unwrap_or([0; 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_logits_are_whole_tiles_and_no_more_than_the_batch() {
        // A small chunk of GPT-2's logits, in f32 and in bf16: what the CPU has always had.
        assert_eq!(logits_rows(SMALL_CHUNK, 4 * 50_304, 32_768), 320);
        assert_eq!(logits_rows(SMALL_CHUNK, 2 * 50_304, 32_768), 640);
        // A large device's: a few chunks a step instead of 52.
        assert_eq!(logits_rows(1 << 30, 2 * 50_304, 32_768), 10_496);
        assert_eq!(logits_rows(1 << 30, 4 * 50_304, 32_768), 5_120);
        assert_eq!(logits_rows(1 << 30, 2 * 50_304, 100), 100);
        // A row that is larger than a chunk.
        assert_eq!(logits_rows(SMALL_CHUNK, 1 << 30, 1000), 64);
        assert_eq!(logits_rows(SMALL_CHUNK, 4 * 65, 1000), 1000);
        assert_eq!(logits_rows(SMALL_CHUNK, 0, 0), 1);
    }
}
