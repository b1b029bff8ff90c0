//! Every number of the tutorial, on every backend that any machine has.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_backend_cpu::Cpu;
use latimer_lessons::course::{Entry, Setting};
use latimer_lessons::{
    AttentionTranslator, Dictionary, ExactTranslator, FuzzyTranslator, HeadTraining,
    HeadTranslator, KeysAndValues, LearnedHead, MatrixTranslator, Sharpness, SoftmaxTranslator,
    Translator, Vocabulary, attention, attention_over_queries, keys_and_values, latex_matrix,
    lookup,
};
use latimer_nn::{Gpt, GptConfig};
use latimer_tensor::{Device, Tensor};
use latimer_tokenizer::NgramTokenizer;
use std::path::PathBuf;

const SENTENCE: &str = "le chat est sous la table";
const ENGLISH: &str = "the cat is under the table";

fn devices() -> [Device; 2] {
    [Device::reference(), Device::new(Cpu::new(1).unwrap())]
}

fn matrices(device: &Device) -> KeysAndValues {
    keys_and_values(device, &Dictionary::tutorial()).unwrap()
}

/// Numbers with four digits, as the tutorial prints them.
fn shown(x: &Tensor) -> Vec<String> {
    let values = x.to_vec::<f32>().unwrap();
    values.iter().map(|x| format!("{x:.4}")).collect()
}

/// For each row of a one-hot matrix, the column that holds its 1.
fn columns(x: &Tensor) -> Vec<usize> {
    let values = x.to_vec::<f32>().unwrap();
    let rows = values.chunks(x.shape().columns());
    rows.map(|row| {
        assert_eq!(row.iter().filter(|&&x| x == 0.0).count(), row.len() - 1);
        row.iter().position(|&x| x == 1.0).unwrap()
    })
    .collect()
}

#[test]
fn section_0_settings() {
    let device = Device::reference();
    let outputs = Entry::find("0")
        .unwrap()
        .build(&Setting::new(&device))
        .unwrap()
        .outputs();
    let settings = outputs["settings"].as_array().unwrap();
    let value = |key: &str| {
        let row = settings.iter().find(|row| row["key"] == key).unwrap();
        row["value"].as_str().unwrap().to_owned()
    };
    for (key, expected) in [
        ("learning_rate", "0.0003"),
        ("batch_size", "64"),
        ("max_iters", "5000"),
        ("eval_interval", "200"),
        ("eval_iters", "100"),
        ("val_fraction", "0.2"),
        ("max_vocab_size", "256"),
        ("block_size", "16"),
        ("n_embd", "32"),
        ("n_head", "2"),
        ("n_layer", "2"),
        ("ff_width", "128"),
        ("dropout", "0"),
    ] {
        assert_eq!(value(key), expected, "{key}");
    }
    assert_eq!(outputs["head_dim"], "16");
    let refused = outputs["three heads"].as_str().unwrap();
    assert!(
        refused.contains("n_embd") && refused.contains('3'),
        "{refused}"
    );
    assert_eq!(outputs["parameters of scaled"], "10788929");
    assert_eq!(outputs["parameters of seed"], "42368");
    let three = GptConfig {
        n_layer: 2,
        n_head: 3,
        n_embd: 32,
        block_size: 16,
        ..GptConfig::gpt2(65)
    };
    assert!(Gpt::new(&three).is_err());
}

#[test]
fn section_1_latex() {
    for device in devices() {
        let m = matrices(&device);
        let sous = m.query("sous").unwrap();
        let row = "\\left[\\begin{matrix}\n  0 & 0 & 0 & 0 & 1 & 0\\\\\n\\end{matrix}\\right]";
        assert_eq!(latex_matrix(&sous).unwrap(), row);
        assert_eq!(latex_matrix(&sous.reshape([6]).unwrap()).unwrap(), row);
        assert_eq!(
            latex_matrix(&m.k).unwrap(),
            r"\left[\begin{matrix}
  0 & 0 & 0 & 1 & 0 & 0\\
  1 & 0 & 0 & 0 & 0 & 0\\
  0 & 1 & 0 & 0 & 0 & 0\\
  0 & 0 & 0 & 0 & 1 & 0\\
  0 & 0 & 1 & 0 & 0 & 0\\
  0 & 0 & 0 & 0 & 0 & 1\\
\end{matrix}\right]"
        );
        let cube = m.k.reshape([2, 3, 6]).unwrap();
        assert!(
            latex_matrix(&cube)
                .unwrap_err()
                .to_string()
                .contains("[2, 3, 6]")
        );
    }
}

#[test]
fn section_2_literal_translation() {
    let dictionary = Dictionary::tutorial();
    let keys: Vec<&str> = dictionary.keys().collect();
    assert_eq!(keys, ["le", "chat", "est", "sous", "la", "table"]);
    let values: Vec<&str> = dictionary.values().collect();
    assert_eq!(values, ["the", "cat", "is", "under", "the", "table"]);
    let exact = ExactTranslator::new(dictionary);
    assert_eq!(exact.translate(SENTENCE).unwrap().text, ENGLISH);
    assert_eq!(
        exact
            .translate(" le\tchat\n est sous  la table ")
            .unwrap()
            .text,
        ENGLISH
    );
    assert_eq!(
        exact.translate("le chat tables").unwrap_err().to_string(),
        "unknown word `tables`, word 3 of the text: the dictionary knows le, chat, est, sous, la, \
         table; the nearest is `table`, which the method `fuzzy` takes"
    );
    assert!(
        exact
            .translate(" ")
            .unwrap_err()
            .to_string()
            .contains("nothing to translate")
    );
}

#[test]
fn section_3_nearest_key() {
    let dictionary = Dictionary::tutorial();
    assert_eq!(dictionary.nearest("tables").key, "table");
    assert_eq!(dictionary.distances("tables"), [4, 6, 5, 5, 5, 1]);
    let fuzzy = FuzzyTranslator::new(dictionary);
    assert_eq!(fuzzy.translate("tables").unwrap().text, "table");
    assert_eq!(fuzzy.translate(SENTENCE).unwrap().text, ENGLISH);
}

#[test]
fn section_4_vocabularies() {
    let dictionary = Dictionary::tutorial();
    let input = Vocabulary::new(dictionary.keys());
    assert_eq!(input.words(), ["chat", "est", "la", "le", "sous", "table"]);
    let output = Vocabulary::new(dictionary.values());
    assert_eq!(output.words(), ["cat", "is", "table", "the", "under"]);
}

#[test]
fn section_5_one_hot() {
    for device in devices() {
        let m = matrices(&device);
        let one_hot = |v: &Vocabulary, word| {
            v.one_hot(&device, word)
                .unwrap()
                .unwrap()
                .to_vec::<f32>()
                .unwrap()
        };
        assert_eq!(one_hot(&m.input, "chat"), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(one_hot(&m.input, "table"), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(one_hot(&m.output, "cat"), [1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(one_hot(&m.output, "under"), [0.0, 0.0, 0.0, 0.0, 1.0]);
        for (vocabulary, words) in [(&m.input, 6), (&m.output, 5)] {
            let all = vocabulary.one_hots(&device).unwrap();
            assert_eq!(columns(&all), (0..words).collect::<Vec<_>>());
            for word in vocabulary.words() {
                let vector = vocabulary.one_hot(&device, word).unwrap().unwrap();
                assert_eq!(vocabulary.decode(&vector).unwrap(), Some(word.as_str()));
            }
        }
    }
}

#[test]
fn section_6_the_dictionary_as_matrices() {
    for device in devices() {
        let m = matrices(&device);
        assert_eq!((m.k.dims(), m.v.dims()), (&[6, 6][..], &[6, 5][..]));
        assert_eq!(columns(&m.k), [3, 0, 1, 4, 2, 5]);
        assert_eq!(columns(&m.v), [3, 0, 1, 4, 3, 2]);
        let found = lookup(&m.query("sous").unwrap(), &m.k, &m.v).unwrap();
        assert_eq!(
            found.scores.to_vec::<f32>().unwrap(),
            [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]
        );
        assert_eq!(
            found.output.to_vec::<f32>().unwrap(),
            [0.0, 0.0, 0.0, 0.0, 1.0]
        );
        assert_eq!(m.output.decode(&found.output).unwrap(), Some("under"));
    }
}

#[test]
fn section_7_decode() {
    for device in devices() {
        let m = matrices(&device);
        let nothing = Tensor::from_slice(&device, &[0.0f32; 5], [5]).unwrap();
        assert_eq!(m.output.decode(&nothing).unwrap(), None);
        let matrix = MatrixTranslator::new(m);
        assert_eq!(matrix.translate(SENTENCE).unwrap().text, ENGLISH);
        let error = matrix.translate("les tables").unwrap_err().to_string();
        assert!(error.starts_with("unknown word `les`, word 1"), "{error}");
    }
}

#[test]
fn section_8_softmax() {
    for device in devices() {
        let m = matrices(&device);
        let plain = Sharpness::default();
        let formula = Sharpness::formula(6);
        let sous = m.query("sous").unwrap();
        let soft = attention(&sous, &m.k, &m.v, plain).unwrap().output;
        assert_eq!(
            shown(&soft),
            ["0.1296", "0.1296", "0.1296", "0.2591", "0.3522"]
        );
        let scaled = attention(&sous, &m.k, &m.v, formula).unwrap().output;
        assert_eq!(shown(&scaled)[3..], ["0.3075", "0.2313"]);
        let by = |sharpness| {
            let softmax = SoftmaxTranslator::new(m.clone(), sharpness);
            softmax.translate(SENTENCE).unwrap().text
        };
        assert_eq!(by(plain), ENGLISH);
        assert_eq!(by(formula), "the the the the the the");
        // The scale breaks the answer, a temperature repairs it.
        let temperature = 0.3;
        assert_eq!(
            by(Sharpness {
                temperature,
                ..formula
            }),
            ENGLISH
        );
        let tables = m.near_query("tables").unwrap();
        assert_eq!(
            tables.to_vec::<f32>().unwrap(),
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.95]
        );
        let near = attention(&tables, &m.k, &m.v, plain).unwrap().output;
        assert_eq!(
            shown(&near),
            ["0.1318", "0.1318", "0.3409", "0.2637", "0.1318"]
        );
        let softmax = SoftmaxTranslator::new(m.clone(), plain);
        assert_eq!(softmax.translate("tables").unwrap().text, "table");
    }
}

#[test]
fn section_9_all_queries_at_once() {
    for device in devices() {
        let m = matrices(&device);
        let plain = Sharpness::default();
        let all = AttentionTranslator::new(m.clone(), plain);
        assert_eq!(all.translate(SENTENCE).unwrap().text, ENGLISH);
        assert_eq!(all.translate("tables").unwrap().text, "table");
        // A single row must give the same as many.
        let words: Vec<&str> = SENTENCE.split(' ').collect();
        let q = m.near_queries(&words).unwrap();
        let found = attention(&q, &m.k, &m.v, plain).unwrap().output;
        for (i, word) in words.iter().enumerate() {
            let alone = m.near_query(word).unwrap();
            let alone = attention(&alone, &m.k, &m.v, plain).unwrap().output;
            assert_eq!(
                shown(&found.slice_rows(i, 1).unwrap()),
                shown(&alone),
                "{word}"
            );
        }
        // With the wrong axis: right by luck, then wrong.
        let wrong = attention_over_queries(&q, &m.k, &m.v, plain)
            .unwrap()
            .output;
        let decoded = m.output.decode_rows(&wrong).unwrap();
        assert_eq!(
            decoded.into_iter().flatten().collect::<Vec<_>>().join(" "),
            ENGLISH
        );
        let chat = m.query("chat").unwrap();
        let wrong = attention_over_queries(&chat, &m.k, &m.v, plain)
            .unwrap()
            .output;
        assert_eq!(wrong.to_vec::<f32>().unwrap(), [1.0, 1.0, 1.0, 2.0, 1.0]);
        assert_eq!(m.output.decode(&wrong).unwrap(), Some("the"));
        let right = attention(&chat, &m.k, &m.v, plain).unwrap().output;
        assert_eq!(m.output.decode(&right).unwrap(), Some("cat"));
    }
}

#[test]
fn section_10_a_head_learns_all_six_words_from_any_seed() {
    for (device, seeds) in devices().into_iter().zip([3, 20]) {
        for seed in 0..seeds {
            let training = HeadTraining {
                seed,
                ..HeadTraining::default()
            };
            let dictionary = Dictionary::tutorial();
            let head = LearnedHead::train(&device, &dictionary, training).unwrap();
            let sharpness = head.sharpness();
            assert_eq!(sharpness.scale, 32.0f32.powf(-0.5));
            let english = HeadTranslator::new(&head, sharpness)
                .translate(SENTENCE)
                .unwrap();
            assert_eq!(english.text, ENGLISH, "seed {seed}");
            let (first, last) = (head.losses[0], head.losses[head.losses.len() - 1]);
            assert!(last < 0.01 && first > 0.5, "seed {seed}: {first} to {last}");
        }
    }
}

#[test]
fn section_10_the_same_seed_learns_the_same() {
    let device = Device::new(Cpu::new(2).unwrap());
    let losses = || {
        let training = HeadTraining::default();
        LearnedHead::train(&device, &Dictionary::tutorial(), training)
            .unwrap()
            .losses
    };
    assert_eq!(losses(), losses());
}

/// The folder with Shakespeare's plays; `None`, with a message, without them.
fn plays() -> Option<PathBuf> {
    let cache = std::env::var_os("LATIMER_CACHE").map(PathBuf::from);
    let found = cache.filter(|cache| cache.join("shakespeare.txt").is_file());
    if found.is_none() {
        eprintln!("skipped: $LATIMER_CACHE/shakespeare.txt is not there");
    }
    found
}

#[test]
fn section_11_the_sub_words_of_shakespeare() {
    let Some(cache) = plays() else { return };
    let text = std::fs::read_to_string(cache.join("shakespeare.txt")).unwrap();
    assert_eq!(text.len(), 1_115_394);
    assert_eq!(text.matches('\n').count(), 40_000);
    let tokenizer = NgramTokenizer::fit(text.split('\n')).unwrap();
    let expected = "__sow __eow e s i r n t a o l d c u g p h m in er es b ed f ng y re st en te w v \
        le ti on nt ar an un k co ri is de at ra or se li ne he ou ve ss di al it ea ns th ro pe ur \
        et ly el me ta la rs io ch nd ce us ll tr sh";
    let expected: Vec<(&str, u32)> = expected.split_whitespace().zip(6553..).collect();
    assert_eq!(expected.len(), 78);
    let found: Vec<(&str, u32)> = tokenizer.subwords().take(78).collect();
    assert_eq!(found, expected);

    let device = Device::reference();
    let setting = Setting {
        cache: Some(&cache),
        ..Setting::new(&device)
    };
    let outputs = Entry::find("11")
        .unwrap()
        .build(&setting)
        .unwrap()
        .outputs();
    assert_eq!(outputs["words"], "6553");
    let begin = outputs["first 300 characters"].as_str().unwrap();
    assert_eq!(begin.chars().count(), 300);
    assert!(begin.starts_with("First Citizen:\nBefore we proceed any further, hear me speak."));
    let shown = outputs["first sub-words"].as_array().unwrap();
    assert_eq!(shown.len(), 78);
    for (row, (piece, id)) in shown.iter().zip(&expected) {
        assert_eq!(
            (row["sub-word"].as_str(), &row["id"]),
            (Some(*piece), &id.to_string().into())
        );
    }
}
