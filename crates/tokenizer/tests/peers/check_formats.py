#!/usr/bin/env python3
"""Shows that the files written here load in `tokenizers` and `tiktoken` and give the same ids there.

usage: check_formats.py FOLDER

FOLDER is what `cargo run --release --example bpe_files -- TEXT FOLDER [RANKS_FOLDER]` wrote: for
each vocabulary NAME.json, NAME.tiktoken (where there is one), NAME.vocab.json, NAME.merges.txt, and
NAME.ids.json with texts and their ids.  Needs `pip install tokenizers tiktoken`.  Prints one line a
vocabulary; the exit status says whether all ids are equal.

tiktoken's engine reads `\\z` as the end of the text, Hugging Face's too, so both get one expression.
"""
import base64
import glob
import json
import os
import sys

import tiktoken
from tokenizers import Tokenizer, models


def differing(texts, expected, encode):
    return [text for text, ids in zip(texts, expected) if encode(text) != ids]


def main():
    folder, failed = sys.argv[1], False
    for path in sorted(glob.glob(os.path.join(folder, "*.ids.json"))):
        stem = path[: -len(".ids.json")]
        with open(path, encoding="utf-8") as file:
            case = json.load(file)
        texts, expected = case["texts"], case["ids"]
        report = {"name": os.path.basename(stem), "texts": len(texts), "ids": sum(map(len, expected))}

        hf = Tokenizer.from_file(stem + ".json")
        encode = lambda text: hf.encode(text, add_special_tokens=False).ids
        bad = differing(texts, expected, encode)
        decoded = [hf.decode(ids, skip_special_tokens=False) for ids in expected]
        bad += [text for text, back in zip(texts, decoded) if text != back]
        for name, id in case["special"].items():
            if hf.token_to_id(name) != id or hf.encode(name, add_special_tokens=False).ids != [id]:
                bad.append(name)
        report["tokenizers"] = "equal" if not bad else f"{len(bad)} differ: {bad[:2]!r}"
        failed |= bool(bad)

        # The pair of files makes the same model; the pattern comes from the file above.
        pair = Tokenizer(models.BPE.from_file(stem + ".vocab.json", stem + ".merges.txt"))
        pair.pre_tokenizer = hf.pre_tokenizer
        bad = differing(texts, expected, lambda text: pair.encode(text).ids)
        report["vocab+merges"] = "equal" if not bad else f"{len(bad)} differ: {bad[:2]!r}"
        failed |= bool(bad)

        if os.path.exists(stem + ".tiktoken"):
            with open(stem + ".tiktoken", "rb") as file:
                lines = [line.split() for line in file if line.strip()]
            ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
            pattern = case["regex"] or r"(?s).+"
            encoding = tiktoken.Encoding(
                "x", pat_str=pattern, mergeable_ranks=ranks, special_tokens=case["special"]
            )
            bad = differing(texts, expected, encoding.encode_ordinary)
            bad += [t for t, ids in zip(texts, expected) if encoding.decode(ids) != t]
            report["tiktoken"] = "equal" if not bad else f"{len(bad)} differ: {bad[:2]!r}"
            failed |= bool(bad)
        print(json.dumps(report, ensure_ascii=False))
    sys.exit(failed)


main()
