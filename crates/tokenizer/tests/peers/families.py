#!/usr/bin/env python3
"""Makes families.json: the tokenizer.json of today's families of models, and the ids that `tokenizers` gives.

usage: families.py [FUZZ_TEXTS FILE]

Needs `pip install tokenizers`.  Every family has the steps of its published file (pre-tokenizer, normalizer,
post-processor, added tokens) around one small vocabulary, whose merges cross words, digits and lines, so that a
wrong cut changes ids.  A case is the base file with `set`; `ids` are those of `add_special_tokens=False`, `whole`
those of `add_special_tokens=True` for the first texts, `plain` those with `encode_special_tokens=True`, where the
names of special tokens are text.  With two arguments, writes that many random texts with their ids to FILE instead:
`cargo test --release -p latimer-tokenizer --test families -- --ignored` reads it from LATIMER_FAMILIES.
"""
import copy
import json
import os
import random
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

CL = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3, QWEN2 = CL % "{1,3}", CL % ""
PARTS = [
    "a", "B", "the", " the", "don't", "DON'T", "'s", "'S", "'ll", "'LL", "'ſ", "we've", "'", " ", "  ", "   ", "\n",
    "\r\n", "\n\n", "\t", "\t\t", "1", "12", "345", "6789", "3.14", "1e-9", "²", "½", "Ⅳ", "٣", "é", "e\u0301", "É",
    "ü", "u\u0308", "Å", "\u212b", "K", "\u212a", "ﬁ", "中", "文字", "日本", "한국", "\u1112\u1161\u11ab", "🙂", "👩\u200d👧",
    "🇫🇷", "\u00a0", "\u3000", "\u2028", "\u0085", "\u200b", "\ufeff", "!", "...", "?!", "()", "_", "-", "/", "//", "\\",
    "=", "==", "\u0301", "\u0323\u0307", "\u0307\u0323", "q\u0307\u0323", "अ", "का", "ﬀ", "ß", "ǅ", "ʰ", "\u0000", "\u0001", "\U0001f468",
    "\U00010400", "\ufffd", "x\u0338", "\u0958", "\ufb2c", "\u0344", "\u2126",
    # Newer than the table of NFC in `tokenizers`.
    "\u08d3", "\u0eba\u0eb8", "\u1ac5\u0301", "\U00016d67\U00016d67", "\U000105d2\u0307",
]
LINES = ["the 12 cats don't  sit on 345 tables", "a1b2 c3\n\n  the 12\n", "été 日本 🙂 we've 3.14", "don't  the\r\n 6789  11 22"]


def byte_level(regex=True, prefix=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def split(expression):
    step = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [step, byte_level(False)]}


def sequence(name, *steps):
    return {"type": "Sequence", name: list(steps)}


def template(before, after, file):
    ids = {token["content"]: token["id"] for token in file["added_tokens"]}
    special = lambda name, at: {"SpecialToken": {"id": name, "type_id": at}}
    text = lambda name, at: {"Sequence": {"id": name, "type_id": at}}
    around = lambda name, at: [special(b, at) for b in before] + [text(name, at)] + [special(a, at) for a in after]
    names = {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in before + after}
    return {"type": "TemplateProcessing", "single": around("A", 0), "pair": around("A", 0) + around("B", 1),
            "special_tokens": names}


def add(file, content, **flags):
    token = {"id": len(file["model"]["vocab"]) + len(file["added_tokens"]), "content": content, "single_word": False,
             "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    file["added_tokens"].append(dict(token, **flags))


def base():
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    made.train_from_iterator(LINES * 3, trainer)
    file = json.loads(made.to_str())
    file["decoder"] = byte_level()
    file["model"]["merges"] = [" ".join(merge) for merge in file["model"]["merges"]]
    return file


def llama3(file):
    for name in ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]:
        add(file, name)
    file["pre_tokenizer"] = split(LLAMA3)
    file["post_processor"] = sequence("processors", byte_level(), template(["<|begin_of_text|>"], [], file))
    file["model"]["ignore_merges"] = True
    # A token that no merges make: taken whole by `ignore_merges`.
    file["model"]["vocab"]["Ġtables"] = file["added_tokens"][0]["id"]
    for token in file["added_tokens"]:
        token["id"] += 1
    names = file["post_processor"]["processors"][1]["special_tokens"]
    names["<|begin_of_text|>"]["ids"][0] += 1


def qwen2(file):
    for name in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]:
        add(file, name)
    for name in ["<tool_call>", "</tool_call>", "<think>"]:
        add(file, name, special=False)
    file["normalizer"] = {"type": "NFC"}
    file["pre_tokenizer"] = split(QWEN2)
    file["post_processor"] = byte_level(False)


def smollm(file):
    for name in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]:
        add(file, name)
    digits = {"type": "Digits", "individual_digits": True}
    file["pre_tokenizer"] = sequence("pretokenizers", digits, byte_level())


def smollm_lacking(file):
    """As SmolLM2's own vocabulary: bytes that the training text did not have are no tokens."""
    vocab = file["model"]["vocab"]
    lacking = set("ĀāďÀÁõö÷øùúûüýþÿ©Ł")
    kept = [token for token in sorted(vocab, key=vocab.get) if not lacking & set(token)]
    file["model"]["vocab"] = {token: id for id, token in enumerate(kept)}
    file["model"]["merges"] = [m for m in file["model"]["merges"] if not lacking & set(m)]
    smollm(file)


def pythia(file):
    add(file, "<|endoftext|>")
    add(file, "<|padding|>")
    for length in [24, 8, 4, 3, 2]:
        add(file, " " * length, special=False, normalized=True)
    file["normalizer"] = {"type": "NFC"}
    file["pre_tokenizer"] = byte_level()
    file["post_processor"] = byte_level()


def strips(file):
    """Every flag, with and without normalization of the name."""
    add(file, "<mask>", lstrip=True)
    add(file, "<r>", rstrip=True)
    add(file, "<both>", lstrip=True, rstrip=True, special=False)
    add(file, "word", single_word=True, special=False)
    add(file, "<é>", normalized=True, special=False)
    add(file, "<e\u0301>", special=False)
    add(file, "<K>", normalized=True, special=False, rstrip=True)
    add(file, "<|", special=False, normalized=True)
    add(file, "|>x", special=False)
    file["normalizer"] = sequence("normalizers", {"type": "NFC"})
    file["pre_tokenizer"] = split(LLAMA3)
    file["post_processor"] = template(["<mask>", "<r>"], ["<r>"], file)


def strips_raw(file):
    strips(file)
    file["normalizer"] = None
    file["pre_tokenizer"] = byte_level()


FAMILIES = [llama3, qwen2, smollm, smollm_lacking, pythia, strips, strips_raw]


def text(rng, names):
    parts = [rng.choice(PARTS) if rng.random() < 0.97 else chr(rng.choice([0, 0x300, 0x4E00, 0x1F300, 0x1100, 0xAC00]) + rng.randrange(200))
             for _ in range(rng.randrange(1, 14))]
    if names and rng.random() < 0.5:
        for _ in range(rng.randrange(1, 4)):
            parts.insert(rng.randrange(len(parts) + 1), rng.choice(["", " ", "  ", "\n"]) + rng.choice(names) + rng.choice(["", " ", " \n", "a"]))
    return "".join(parts)


def cases(count, seed, whole):
    rng = random.Random(seed)
    for family in FAMILIES:
        file = base()
        family(file)
        judge = Tokenizer.from_str(json.dumps(file))
        for token in file["added_tokens"]:
            assert judge.token_to_id(token["content"]) == token["id"], token
        names = [token["content"] for token in file["added_tokens"]]
        texts = LINES + [text(rng, names) for _ in range(count)]
        encode = lambda t, add=False: judge.encode(t, add_special_tokens=add).ids
        case = {"name": family.__name__, "texts": texts, "ids": [encode(t) for t in texts]}
        case["whole"] = [encode(t, True) for t in texts[:whole]]
        judge.encode_special_tokens = True
        case["plain"] = [encode(t) for t in texts]
        case["set"] = {name: file[name] for name in ["added_tokens", "normalizer", "pre_tokenizer", "post_processor"]}
        case["set"]["model"] = file["model"]
        yield case


def main():
    if len(sys.argv) == 3:
        with open(sys.argv[2], "w", encoding="utf-8") as sink:
            json.dump({"base": base(), "cases": list(cases(int(sys.argv[1]), 7, 3))}, sink, ensure_ascii=False)
        return
    start, made = base(), []
    for case in cases(60, 19, 3):
        if case["set"]["model"] == start["model"]:
            del case["set"]["model"]
        made.append(case)
    out = os.path.join(os.path.dirname(__file__), "families.json")
    compact = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    with open(out, "w", encoding="utf-8") as sink:
        sink.write('{"base": %s,\n"cases": [\n' % compact(start))
        sink.write(",\n".join(compact(case) for case in made))
        sink.write("\n]}\n")


if __name__ == "__main__":
    main()
