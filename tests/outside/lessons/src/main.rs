//! Somebody else's dictionary: looked up, attended to, learned, and shown as a lesson is.

use latimer_lessons::{
    AttentionTranslator, Dictionary, FuzzyTranslator, HeadTraining, HeadTranslator, LearnedHead,
    Result, Sharpness, Translator, keys_and_values, latex_matrix, render,
};
use latimer_tensor::Device;

fn main() -> Result<()> {
    let device = Device::reference(); // any device: the lessons name none
    let dictionary = Dictionary::new([("rot", "red"), ("blau", "blue"), ("gelb", "yellow")])?;
    println!("{}", FuzzyTranslator::new(dictionary.clone()).translate("rott gelbe")?.text);

    let matrices = keys_and_values(&device, &dictionary)?;
    println!("K = {}", latex_matrix(&matrices.k)?);
    let attention = AttentionTranslator::new(matrices, Sharpness::formula(3));
    let found = attention.translate("blau rott")?;
    print!("{}", render::parts(&found.workings, false));
    println!("{}", found.text);

    let head = LearnedHead::train(&device, &dictionary, HeadTraining::default())?;
    let learned = HeadTranslator::new(&head, head.sharpness()).translate("blaue gelbe")?;
    println!("learned: {}", learned.text);
    Ok(())
}
