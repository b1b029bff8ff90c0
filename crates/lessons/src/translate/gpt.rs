//! Translation by a GPT, through the trainer's own `translate`.

use super::{Method, Translation, Translator};
use crate::{Error, Matrix, Part, Result};
use latimer_autograd::Params;
use latimer_nn::{Gpt, attention_weights};
use latimer_tensor::Tensor;
use latimer_tokenizer::Tokenizer;

/// Lets a GPT that was trained on the phrasebook continue `french =`.
///
/// ```no_run
/// use latimer_lessons::{GptTranslator, Translator};
/// use latimer_tensor::Device;
/// use latimer_trainer::LoadedModel;
///
/// let model = LoadedModel::open("runs/phrasebook-001".as_ref(), &Device::reference())?;
/// let tokenizer = model.tokenizer()?;
/// let gpt = GptTranslator::new(&model.gpt, &model.params, &**tokenizer);
/// println!("{}", gpt.translate("le chat est sous la table")?.text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GptTranslator<'a> {
    gpt: &'a Gpt,
    params: &'a Params,
    tokenizer: &'a dyn Tokenizer,
}

impl<'a> GptTranslator<'a> {
    /// Translates by this model.
    #[must_use]
    pub fn new(gpt: &'a Gpt, params: &'a Params, tokenizer: &'a dyn Tokenizer) -> Self {
        Self {
            gpt,
            params,
            tokenizer,
        }
    }

    /// Elements of all the model's parameters.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        self.params.num_parameters()
    }

    /// The token of an id, to be read.
    fn token(&self, id: u32) -> String {
        let bytes = self.tokenizer.token_bytes(id).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// Which tokens of the sentence the last layer looked at for every token of the answer, the mean
    /// over its heads: rows are what was written, columns what had been read.
    fn weights(&self, prompt: &[u32], answer: &[u32]) -> Result<Option<Matrix>> {
        let read = prompt.len();
        let mut ids = [prompt, answer].concat();
        // The last token is written, but nothing is asked of it.
        ids.pop();
        if answer.is_empty() || ids.len() > self.gpt.config().block_size {
            return Ok(None);
        }
        let device = self.params.device();
        let n = ids.len();
        let ids = Tensor::from_slice(device, &ids, [1, n])?;
        let layers = attention_weights(self.gpt, self.params, &ids)?; // each [1, NH, T, T]
        let Some(last) = layers.last() else {
            return Ok(None);
        };
        let heads = last.dims()[1];
        let mut rows = vec![vec![0.0; read]; answer.len()];
        for head in last.to_vec::<f32>()?.chunks(n * n) {
            // What token `read + i` became was asked at the position before it.
            for (row, sum) in head.chunks(n).skip(read - 1).zip(&mut rows) {
                for (x, sum) in row.iter().zip(sum) {
                    *sum += f64::from(*x) / heads as f64;
                }
            }
        }
        let name = |ids: &[u32]| -> Vec<String> {
            let shown = ids.iter().map(|&id| self.token(id));
            // The line's end that a prompt begins with is a token too.
            let readable = |t: String| t.replace('\n', "↵").escape_debug().to_string();
            shown.map(readable).collect()
        };
        let matrix = Matrix::of("weights", name(answer), name(prompt), rows);
        Ok(Some(matrix.with_winners()))
    }
}

impl Translator for GptTranslator<'_> {
    fn method(&self) -> Method {
        Method::Gpt
    }

    /// # Errors
    /// [`Error::Tokenizer`] for words that the model's tokenizer refuses, or the device's failure.
    fn translate(&self, text: &str) -> Result<Translation> {
        let french = text.trim();
        if french.is_empty() {
            return Err(Error::EmptyText);
        }
        // Alone first, so that an unknown word's place is counted in what was typed.
        self.tokenizer.encode(french)?;
        // lesson: begin gpt
        let english = latimer_trainer::translate(self.gpt, self.params, self.tokenizer, french)?;
        // lesson: end
        let answer = self.tokenizer.encode(&english)?;
        let tokens = answer.iter().map(|&id| self.token(id)).collect();
        let prompt = self.tokenizer.encode(&format!("\n{french} ="))?;
        let workings = self.weights(&prompt, &answer)?.map(Part::Matrix);
        Ok(Translation {
            method: self.method(),
            tokens,
            text: english,
            workings: workings.into_iter().collect(),
        })
    }
}
