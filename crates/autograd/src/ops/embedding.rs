//! Token and position embeddings.

use crate::{Param, Pass, Result, rules};
use latimer_tensor::Tensor;
use latimer_tensor::op::Embedding;

impl Pass<'_> {
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
        self.record(&y, rules::embedding(ids.clone(), wte, wpe));
        Ok(y)
    }
}
