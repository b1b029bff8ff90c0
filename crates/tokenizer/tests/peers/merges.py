#!/usr/bin/env python3
"""Makes merges.json: the merges that other programs learn from Shakespeare.

usage: merges.py SHAKESPEARE

Needs `pip install rustbpe tokenizers regex`.  minbpe is not a package: its rule is written out below
(the most frequent pair; of several the one that a walk through the text meets first), over distinct
pieces in the order in which they first stand in the text, which meets pairs in the same order.

A merge is written as two byte strings in hexadecimal with a space between, and a list of merges is
identified by FNV-1a of its lines.
"""
import json
import os
import sys

import regex
import rustbpe
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

PATTERNS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "gpt4": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
}
SIZES = [512, 1024, 4096]


def byte_of_character():
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    pairs = [(chr(byte), byte) for byte in visible]
    return dict(pairs + [(chr(0x100 + n), byte) for n, byte in enumerate(hidden)])


def with_rustbpe(text, size, pattern):
    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(iter([text]), size, pattern=pattern)
    ranks = {bytes(token): rank for token, rank in tokenizer.get_mergeable_ranks()}
    merges = []
    # Each token is the two parts that the merges before it leave of it.
    for token, rank in sorted(ranks.items(), key=lambda item: item[1])[256:]:
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 2:
            found = [ranks.get(a + b, rank) for a, b in zip(parts, parts[1:])]
            at = found.index(min(found))
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        merges.append(tuple(parts))
    return merges


def with_tokenizers(text, size, name):
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=name == "gpt2")
    split = pre_tokenizers.Split(Regex(PATTERNS[name]), behavior="isolated")
    both = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.pre_tokenizer = byte_level if name == "gpt2" else both
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        special_tokens=[],
    )
    tokenizer.train_from_iterator([text], trainer)
    byte = byte_of_character()
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(bytes(byte[c] for c in part) for part in merge) for merge in merges]


def with_minbpes_rule(text, size, pattern):
    pieces = {}
    for piece in regex.findall(pattern, text):
        pieces[piece.encode()] = pieces.get(piece.encode(), 0) + 1
    pieces = [([bytes([byte]) for byte in piece], count) for piece, count in pieces.items()]
    merges = []
    while len(merges) < size - 256:
        counts = {}
        for parts, count in pieces:
            for pair in zip(parts, parts[1:]):
                counts[pair] = counts.get(pair, 0) + count
        best = max(counts, key=counts.get)
        merges.append(best)
        whole = best[0] + best[1]
        for parts, _ in pieces:
            at = 0
            while at + 1 < len(parts):
                if parts[at] == best[0] and parts[at + 1] == best[1]:
                    parts[at : at + 2] = [whole]
                at += 1
    return merges


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def main():
    with open(sys.argv[1], encoding="utf-8", newline="") as file:
        text = file.read()
    cases = []
    for name, pattern in PATTERNS.items():
        largest = max(SIZES)
        # One long run: its beginning is the shorter run.
        by_rule = with_minbpes_rule(text, largest, pattern)
        for size in SIZES:
            for rule, merges in [
                ("lowest-ids", with_rustbpe(text, size, pattern)),
                ("huggingface", with_tokenizers(text, size, name)),
                ("first-seen", by_rule[: size - 256]),
            ]:
                assert len(merges) == size - 256
                lines = [f"{left.hex()} {right.hex()}" for left, right in merges]
                case = {"rule": rule, "pattern": name, "vocab_size": size}
                case["fnv1a"] = fnv1a("".join(line + "\n" for line in lines).encode())
                case["last"] = lines[-8:]
                cases.append(case)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "merges.json")
    body = ",\n".join("  " + json.dumps(case) for case in cases)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'{{"text_fnv1a": "{fnv1a(text.encode())}", "cases": [\n{body}\n]}}\n')


main()
