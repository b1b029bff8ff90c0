#!/usr/bin/env python3
"""Makes hf_files.json: ways to write one tokenizer.json, and the ids that `tokenizers` gives for each.

usage: hf_files.py

Needs `pip install tokenizers`.  The file is in the form that GPT-2's own has: no `model.type`, empty
prefixes, merges as lines, fields that are absent.  Each case changes it: `set` gives values to
paths, `drop` removes them.  A case has `ids` for each text, or `refused`: the field that must be named.
"""
import copy
import json
import os

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXT = ["the cat is on the table, and this is the end", "le chat est sous la table: the end", "ended, end of it"]
TEXTS = ["the cat's at the end of 1234 tables", " le chat\n\n  dort", "Ends end ended  ", "été 東京 🙂", "don'T stop"]
GPT4 = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
PLAIN = dict(BYTES, use_regex=False)


def split(behavior, invert):
    step = {"type": "Split", "pattern": {"Regex": GPT4}, "behavior": behavior, "invert": invert}
    return {"type": "Sequence", "pretokenizers": [step, PLAIN]}


def sequence(name, *steps):
    return {"type": "Sequence", name: list(steps)}


TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {},
}
BOS = dict(
    TEMPLATE,
    single=[{"SpecialToken": {"id": "<|x|>", "type_id": 0}}] + TEMPLATE["single"],
    special_tokens={"<|x|>": {"id": "<|x|>", "ids": [0], "tokens": ["<|x|>"]}},
)
DIGITS = {"type": "Digits", "individual_digits": True}
OFF = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
CASES = [
    ("as GPT-2's own", {}, []),
    ("every field", {"model/type": "BPE", "model/byte_fallback": False, "model/ignore_merges": False}, []),
    ("no field that may be absent", {}, ["version", "truncation", "padding", "normalizer", "post_processor",
        "decoder", "model/dropout", "model/unk_token", "model/continuing_subword_prefix",
        "model/end_of_word_suffix", "model/fuse_unk"]),
    ("nulls", {"model/fuse_unk": None, "model/byte_fallback": None, "model/ignore_merges": None}, []),
    ("no dropout", {"model/dropout": 0.0}, []),
    ("fused without a token to fuse", {"model/fuse_unk": True}, []),
    ("empty normalizer", {"normalizer": sequence("normalizers")}, []),
    ("form NFC", {"normalizer": sequence("normalizers", {"type": "NFC"})}, []),
    ("nested normalizers", {"normalizer": sequence("normalizers", sequence("normalizers"))}, []),
    ("strips nothing", {"normalizer": {"type": "Strip", "strip_left": False, "strip_right": False}}, []),
    ("does nothing", {"normalizer": dict(OFF, type="BertNormalizer")}, []),
    ("one pre-tokenizer", {"pre_tokenizer": sequence("pretokenizers", BYTES)}, []),
    ("nested", {"pre_tokenizer": sequence("pretokenizers", sequence("pretokenizers"),
        sequence("pretokenizers", BYTES))}, []),
    ("not cut", {"pre_tokenizer": PLAIN}, []),
    ("GPT-4's pieces", {"pre_tokenizer": split("Isolated", False)}, []),
    ("isolated gaps", {"pre_tokenizer": split("Isolated", True)}, []),
    ("removed gaps", {"pre_tokenizer": split("Removed", True)}, []),
    ("nested split", {"pre_tokenizer": sequence("pretokenizers", split("Removed", True))}, []),
    ("template of nothing", {"post_processor": TEMPLATE}, []),
    ("processors of nothing", {"post_processor": sequence("processors",
        dict(BYTES, add_prefix_space=True), TEMPLATE)}, []),
    ("template of a token", {"post_processor": BOS}, []),
    ("processors with a template", {"post_processor": sequence("processors", BYTES, BOS)}, []),
    ("digits", {"pre_tokenizer": sequence("pretokenizers", DIGITS, BYTES)}, []),
    ("no processors", {"post_processor": sequence("processors")}, []),
    ("decoders", {"decoder": sequence("decoders", BYTES, {"type": "Fuse"})}, []),
    ("special that merges make", {"added_tokens/1": "end"}, []),
    ("special that is a part", {"added_tokens/1": "nd"}, []),
]
REFUSED = [
    ("model.type", {"model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0}}, "normalizer": dict(OFF, type="BertNormalizer", lowercase=True)}),
    ("model.type", {"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0]]}, "pre_tokenizer": None}),
    ("model.type", {"model": {"type": "WordLevel", "unk_token": "<unk>", "vocab": {"<unk>": 0}}, "pre_tokenizer": None}),
    ("model.type", {"model": {"unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0}}}),
    ("model.type", {"model": {"unk_id": 0, "vocab": [["<unk>", 0.0]]}}),
    ("model.type", {"model": {"unk_token": "<unk>", "vocab": {"<unk>": 0}}}),
    ("version", {"version": "2.0"}),
    ("extra", {"extra": 1}),
    ("model.extra", {"model/extra": 1}),
    ("pre_tokenizer.extra", {"pre_tokenizer/extra": 1}),
    ("padding", {"padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "<|x|>"}}),
    ("normalizer", {"normalizer": sequence("normalizers", {"type": "NFC"}, {"type": "NFKC"})}),
    ("normalizer", {"normalizer": {"type": "Lowercase"}}),
    ("normalizer", {"normalizer": {"type": "Strip", "strip_left": False, "strip_right": True}}),
    ("normalizer", {"normalizer": dict(OFF, type="BertNormalizer", strip_accents=None, lowercase=True)}),
    ("pre_tokenizer", {"pre_tokenizer": None}),
    ("pre_tokenizer.individual_digits", {"pre_tokenizer": sequence("pretokenizers", dict(DIGITS, individual_digits=False),
        BYTES)}),
    ("pre_tokenizer.use_regex", {"pre_tokenizer": sequence("pretokenizers", DIGITS, PLAIN)}),
    ("pre_tokenizer", {"pre_tokenizer": sequence("pretokenizers", BYTES, DIGITS)}),
    ("pre_tokenizer", {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}}),
    ("pre_tokenizer.invert", {"pre_tokenizer": split("Removed", False)}),
    ("pre_tokenizer.behavior", {"pre_tokenizer": split("Contiguous", False)}),
    ("pre_tokenizer.add_prefix_space", {"pre_tokenizer": dict(BYTES, add_prefix_space=True)}),
    ("post_processor", {"post_processor": dict(BOS, single=BOS["single"] * 2)}),
    ("post_processor", {"post_processor": sequence("processors", BOS, BOS)}),
    ("post_processor", {"post_processor": {"type": "RobertaProcessing", "sep": ["<|x|>", 0], "cls": ["<|x|>", 0],
        "trim_offsets": True, "add_prefix_space": False}}),
    ("post_processor.special_tokens", {"post_processor": dict(BOS, special_tokens={"<|x|>": {"id": "<|x|>", "ids": [999],
        "tokens": ["<|x|>"]}})}),
    ("decoder", {"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True}}),
    ("model.dropout", {"model/dropout": 0.5}),
    ("model.continuing_subword_prefix", {"model/continuing_subword_prefix": "##"}),
]


def base():
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=310, special_tokens=["<|x|>"], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    made.train_from_iterator(TEXT, trainer)
    file = json.loads(made.to_str())
    model = file["model"]
    for name in ["type", "byte_fallback", "ignore_merges"]:
        del model[name]
    model["continuing_subword_prefix"] = model["end_of_word_suffix"] = ""
    model["merges"] = [" ".join(merge) for merge in model["merges"]]
    del file["pre_tokenizer"]["use_regex"], file["decoder"]["use_regex"]
    file["post_processor"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False}
    return file


def special(file, name):
    return dict(file["added_tokens"][0], content=name, id=file["model"]["vocab"][name])


def changed(file, values, dropped):
    file = copy.deepcopy(file)
    for path, value in values.items():
        *parents, last = path.split("/")
        place = file
        for name in parents:
            place = place[name]
        if path == "added_tokens/1":
            place.append(special(file, value))
        else:
            place[last] = value
    for path in dropped:
        *parents, last = path.split("/")
        place = file
        for name in parents:
            place = place[name]
        place.pop(last, None)
    return file


def main():
    file = base()
    cases = []
    for name, values, dropped in CASES:
        variant = changed(file, values, dropped)
        judge = Tokenizer.from_str(json.dumps(variant))
        ids = [judge.encode(text, add_special_tokens=False).ids for text in TEXTS]
        if "added_tokens/1" in values:
            values = {"added_tokens": variant["added_tokens"]}
        cases.append({"name": name, "set": values, "drop": dropped, "ids": ids})
    refused = [{"name": field, "set": values, "drop": [], "refused": field} for field, values in REFUSED]
    out = os.path.join(os.path.dirname(__file__), "hf_files.json")
    with open(out, "w", encoding="utf-8") as sink:
        json.dump({"base": file, "texts": TEXTS, "cases": cases + refused}, sink, indent=1, ensure_ascii=False)
        sink.write("\n")


if __name__ == "__main__":
    main()
