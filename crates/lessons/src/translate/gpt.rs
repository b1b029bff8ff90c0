//! Translation by a GPT, through the phrasebook's own `answer`.

use super::{Method, Translation, Translator, joined};
use crate::error::{Unknown, UnknownWords};
use crate::{Error, Matrix, Part, Remark, Result, Table, Unsure};
use latimer_autograd::Params;
use latimer_nn::{Gpt, attention_weights};
use latimer_phrasebook as phrasebook;
use latimer_tensor::Tensor;
use latimer_tokenizer::Tokenizer;
use latimer_trainer::Line;

/// A token with a smaller probability is more likely wrong than right.
const EVEN: f64 = 0.5;

/// Translates with a GPT that was trained on the phrasebook: it continues `french =`.
///
/// ```no_run
/// use latimer_lessons::{GptTranslator, Translator};
/// use latimer_tensor::Device;
/// use latimer_trainer::Model;
///
/// let model = Model::open("runs/phrasebook-001", &Device::reference())?;
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
    /// Translates with this model.
    #[must_use]
    pub fn new(gpt: &'a Gpt, params: &'a Params, tokenizer: &'a dyn Tokenizer) -> Self {
        Self {
            gpt,
            params,
            tokenizer,
        }
    }

    /// The number of elements in all of the model's parameters.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        self.params.num_parameters()
    }

    /// The token of an id, in readable form.
    fn token(&self, id: u32) -> String {
        let bytes = self.tokenizer.token_bytes(id).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// The attention of the last layer, averaged over its heads: for each token of the answer
    /// (rows), the weights of the prompt's tokens (columns) at the position that predicted it.
    fn weights(&self, prompt: &[u32], answer: &[u32]) -> Result<Option<Matrix>> {
        let read = prompt.len();
        let mut ids = [prompt, answer].concat();
        // The model is not run on the last token of the answer.
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
            // The token `read + i` was predicted at the position before it.
            for (row, sum) in head.chunks(n).skip(read - 1).zip(&mut rows) {
                for (x, sum) in row.iter().zip(sum) {
                    *sum += f64::from(*x) / heads as f64;
                }
            }
        }
        let name = |ids: &[u32]| -> Vec<String> {
            let shown = ids.iter().map(|&id| self.token(id));
            // The line end that begins a prompt is a token too.
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
    /// [`Error::OutsideVocabulary`] for words without a token, [`Error::Tokenizer`] for other text
    /// that the tokenizer refuses, or the device's failure.
    fn translate_words(&self, words: &[&str]) -> Result<Translation> {
        self.refuse_unknown(words)?;
        let french = joined(words);
        // Encode the sentence alone first, so that an error gives a place in the text that was
        // typed.
        self.tokenizer.encode(&french)?;
        let (gpt, params, tokenizer) = (self.gpt, self.params, self.tokenizer);
        // lesson: begin gpt
        let answer = phrasebook::answer(gpt, params, tokenizer, &french)?;
        // lesson: end
        let prompt = self.tokenizer.encode(&format!("\n{french} ="))?;
        let workings = self.weights(&prompt, &answer.ids)?.map(Part::Matrix);
        let workings = workings
            .into_iter()
            .chain([Part::Table(self.shares(&answer))]);
        Ok(Translation {
            method: self.method(),
            tokens: answer.ids.iter().map(|&id| self.token(id)).collect(),
            workings: workings.collect(),
            remarks: self.remarks(words, &answer),
            text: answer.text,
        })
    }
}

impl GptTranslator<'_> {
    /// Reports every word that the tokenizer does not know.
    fn refuse_unknown(&self, words: &[&str]) -> Result<()> {
        use latimer_tokenizer::Error as Refusal;
        let is_known = |word: &str| {
            let refused = self.tokenizer.encode(word).err();
            !matches!(refused, Some(Refusal::UnknownWord { .. }))
        };
        let mut unknown: Vec<Unknown> = Vec::new();
        for (index, word) in words.iter().enumerate() {
            if is_known(word) || unknown.iter().any(|before| before.word == *word) {
                continue;
            }
            let french = phrasebook::dictionary().map(|(french, _)| french);
            let near = french
                .map(|french| (strsim::levenshtein(word, french), french))
                .filter(|&(edits, french)| 2 * edits <= word.chars().count() && is_known(french));
            unknown.push(Unknown {
                word: (*word).to_owned(),
                position: index + 1,
                nearest: near.min().map(|(_, french)| french.to_owned()),
            });
        }
        if unknown.is_empty() {
            return Ok(());
        }
        Err(Error::OutsideVocabulary {
            unknown: UnknownWords(unknown),
            vocab_size: self.tokenizer.vocab_size(),
        })
    }

    /// The probability of each token of an answer, line end included.
    fn shares(&self, answer: &Line) -> Table {
        let rows = self.names(answer).zip(&answer.probabilities);
        Table {
            name: "probabilities".to_owned(),
            header: ["token", "probability"].map(str::to_owned).into(),
            rows: rows
                .map(|(token, probability)| vec![token, format!("{probability:.4}")])
                .collect(),
            winning_row: None,
        }
    }

    /// The tokens of an answer, with the line end as an arrow.
    fn names(&self, answer: &Line) -> impl Iterator<Item = String> {
        let tokens: Vec<String> = answer.ids.iter().map(|&id| self.token(id)).collect();
        tokens
            .into_iter()
            .chain(answer.ended.then(|| "↵".to_owned()))
    }

    /// Remarks on a sentence that is unlike those of the training, and on how sure the model is of
    /// its answer.
    fn remarks(&self, words: &[&str], answer: &Line) -> Vec<Remark> {
        let mut remarks = Vec::new();
        let is_french = |word: &&str| phrasebook::dictionary().any(|(french, _)| french == *word);
        let mut foreign: Vec<String> = Vec::new();
        for word in words.iter().filter(|word| !is_french(word)) {
            if !foreign.iter().any(|before| before == word) {
                foreign.push((*word).to_owned());
            }
        }
        let shares = &answer.probabilities;
        let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
        let sentence = joined(words);
        let structure = phrasebook::structure_of(&sentence);
        let why = match structure {
            _ if !foreign.is_empty() => Some(Unsure::Words(foreign)),
            None => Some(Unsure::Grammar),
            Some(structure) if structure.is_held_out() => Some(Unsure::Structure),
            Some(_) => (mean < EVEN).then_some(Unsure::Doubt),
        };
        let least = self.names(answer).zip(shares.iter().copied());
        let least = least.min_by(|(_, a), (_, b)| a.total_cmp(b));
        if let Some((why, least)) = why.zip(least) {
            remarks.push(Remark::Unsure {
                sentence,
                why,
                mean,
                least,
            });
        }
        if !answer.ended {
            let tokens = answer.ids.len();
            remarks.push(Remark::Endless { tokens });
        }
        remarks
    }
}
