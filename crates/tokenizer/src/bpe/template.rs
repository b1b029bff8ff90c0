//! The tokens that a model's template puts around a text.

/// What a `tokenizer.json` says about the tokens around a text, such as `<|begin_of_text|>` before
/// it. [`encode`](crate::Tokenizer::encode) adds none of them;
/// [`BpeTokenizer::encode_with_template`](crate::BpeTokenizer::encode_with_template) does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    /// Around one text.
    pub(crate) single: Vec<Part>,
    /// Around two texts. It is kept for the file only: pairs of texts are not encoded here.
    pub(crate) pair: Vec<Part>,
    /// The names in the parts.
    pub(crate) names: Vec<Named>,
    before: Vec<u32>,
    after: Vec<u32>,
}

/// A step of a template, with the number of its segment (`type_id`), which changes no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// A name, by its index in [`Template::names`].
    Named(usize, u32),
    /// The first text.
    A(u32),
    /// The second text.
    B(u32),
}

/// A name and the tokens that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) ids: Vec<u32>,
    pub(crate) tokens: Vec<String>,
}

impl Template {
    /// `None` unless `single` has the first text once and no second text.
    pub(crate) fn new(single: Vec<Part>, pair: Vec<Part>, names: Vec<Named>) -> Option<Self> {
        let text = single.iter().position(|part| matches!(part, Part::A(_)))?;
        let ids = |parts: &[Part]| {
            let mut ids = Vec::new();
            for part in parts {
                let Part::Named(at, _) = part else {
                    return None;
                };
                ids.extend_from_slice(&names.get(*at)?.ids);
            }
            Some(ids)
        };
        let (before, after) = (ids(&single[..text])?, ids(&single[text + 1..])?);
        Some(Self {
            single,
            pair,
            names,
            before,
            after,
        })
    }

    /// The ids before and after a text.
    pub(crate) fn around(&self) -> (&[u32], &[u32]) {
        (&self.before, &self.after)
    }
}
