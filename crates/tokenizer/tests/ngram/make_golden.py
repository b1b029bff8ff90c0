#!/usr/bin/env python3
"""What the PyPI package `bpe` 1.0 answers, for Latimer's tests.

    pip install bpe==1.0 nltk==3.9.2
    python make_golden.py > golden.jsonl                       # the committed cases
    python make_golden.py --random 5000 --seed 1 > many.jsonl  # for a long comparison:
    LATIMER_NGRAM_GOLDEN=many.jsonl cargo test -p latimer-tokenizer --test ngram_golden

A case is a line of JSON: the settings, the lines to fit, queries, and the package's answers.

NLTK 3.10 replaced Python's `re` by the package `regex`, in which `\\w` means something else: hence
3.9.2. In three places the package iterates over a set of strings, so that its ids change with
PYTHONHASHSEED. These three are given Latimer's order (`__unk`, `__pad`, then required tokens as
given; `__sow`, `__eow`); each must be found exactly once, and nothing else is touched.
"""

import argparse
import inspect
import json
import random
import re
import sys
import unicodedata

import bpe.encoder
import nltk

ORDERS = [
    (
        "list(set(required_tokens or []).union({self.UNK, self.PAD}))",
        "list(dict.fromkeys([self.UNK, self.PAD, *(required_tokens or [])]))",
    ),
    ("for token in set(self.required_tokens or []):", "for token in self.required_tokens:"),
    ("for token in {self.SOW, self.EOW}:", "for token in dict.fromkeys([self.SOW, self.EOW]):"),
]


def package():
    source = inspect.getsource(bpe.encoder)
    for found, ordered in ORDERS:
        assert source.count(found) == 1, found
        source = source.replace(found, ordered)
    names = {"__name__": "bpe.encoder"}
    exec(compile(source, "bpe/encoder.py", "exec"), names)
    return names["Encoder"]


Encoder = package()


def answers(settings, lines, queries, rows):
    encoder = Encoder(**settings)
    encoder.fit(lines)
    inverse = []
    for row in rows:
        try:
            inverse.append(list(encoder.inverse_transform([row]))[0])
        except ValueError:
            inverse.append(None)
    back = list(encoder.inverse_transform(encoder.transform(queries))) if not settings.get("strict") else None
    return {
        "settings": settings,
        "lines": lines,
        "queries": queries,
        "rows": rows,
        "json": json.dumps(encoder.vocabs_to_dict()),
        "tokens": [encoder.tokenize(query) for query in queries],
        "ids": list(encoder.transform(queries)),
        "reversed": list(encoder.transform(queries, reverse=True)),
        "fixed": [list(encoder.transform(queries, fixed_length=n)) for n in (0, 1, 5)],
        "fixed_reversed": list(encoder.transform(queries, reverse=True, fixed_length=7)),
        "inverse": inverse,
        "back": back,
    }


def rows_of(rng, settings, lines):
    """Rows of ids as a bad model might write them: mostly known, some not."""
    encoder = Encoder(**settings)
    encoder.fit(lines)
    ids = list(encoder.word_vocab.values()) + list(encoder.bpe_vocab.values())
    marks = [encoder.bpe_vocab[m] for m in (encoder.SOW, encoder.EOW) if m in encoder.bpe_vocab]
    rows = [[]]
    for _ in range(6):
        row = []
        for _ in range(rng.randrange(12)):
            if marks and rng.random() < 0.35:
                row.append(rng.choice(marks))
            elif rng.random() < 0.02:
                row.append(rng.randrange(2 * max(ids) + 2))
            else:
                row.append(rng.choice(ids))
        rows.append(row)
    return rows


# Texts.

SPACES = " \t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000"
NOT_SPACES = "\u180e\u200b\u2060\ufeff\x00\x1b\x7f\u200d"
CASES = "İIıiΣσςΑαǅǆǄẞßſKÅﬁŉᾈⅧⓐ𐐀𐐨🄰𝐀ʼnΐ"
IGNORABLE = "'.:·\u0301\u00ad\u2019\u0345ʰ\U000e0041"
MARKS = "\u0301\u0327\u0903\u20e3\ufe0f\U0001d165\u093f"
DIGITS = "0123456789²½Ⅻ٣४௧༣五㊄𝟘𞥐①"
PUNCT = ".,;:!?-—'\"«»()$€%&*+/<=>@[\\]^`{|}~_‿"
SCRIPTS = "éüñчдшжאבسلकिத中文日本かなアイ한국어กำΩ𐤀𓀀𒀀😀👨‍👩‍👧"
SPECIAL = ["__unk", "__pad", "__sow", "__eow", "__line", "__", "_", "__unk_", "x__pad", "__SOW"]


def code_point(rng):
    while True:
        plane = rng.choice([0, 0, 0, 0, 1, 1, 2, 3, 14, 15, 16])
        point = plane * 0x10000 + rng.randrange(0x10000)
        if not 0xD800 <= point < 0xE000:
            return chr(point)


def assigned(rng):
    while True:
        c = code_point(rng)
        if unicodedata.category(c) not in ("Cn", "Co"):
            return c


def word(rng, pool):
    return "".join(rng.choice(pool) for _ in range(rng.choice([1, 1, 2, 2, 3, 4, 5, 8, 13])))


def text(rng, style):
    pieces = []
    for _ in range(rng.randrange(14)):
        kind = rng.random()
        if kind < 0.35:
            pieces.append(word(rng, "abcdeAB" if style == "few" else "abcdefghijklmnopqrstuvwxyzAEIOU"))
        elif kind < 0.45:
            pieces.append(word(rng, rng.choice([PUNCT, DIGITS, SCRIPTS, CASES, MARKS])))
        elif kind < 0.6:
            pieces.append(word(rng, CASES + IGNORABLE + "aZ "))
        elif kind < 0.7:
            pieces.append(rng.choice(SPECIAL))
        elif kind < 0.8:
            pieces.append(word(rng, SPACES + NOT_SPACES))
        elif style == "wild":
            pieces.append("".join(rng.choice([code_point, assigned])(rng) for _ in range(rng.randrange(1, 6))))
        else:
            pieces.append(word(rng, "ab") + rng.choice(PUNCT))
        pieces.append(rng.choice(["", " ", " ", " ", rng.choice(SPACES)]))
    return "".join(pieces)


def settings_of(rng):
    settings = {"vocab_size": rng.choice([1, 2, 3, 4, 5, 8, 10, 16, 20, 30, 50, 64, 100, 256, 1000, 8192])}
    if rng.random() < 0.8:
        settings["pct_bpe"] = rng.choice(
            [0, 1, 0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0, 1.5, -0.3, 0.29, 1 / 3, rng.random(), rng.random()]
        )
    if rng.random() < 0.7:
        settings["ngram_min"] = rng.choice([0, 1, 2, 2, 3, 4])
        settings["ngram_max"] = rng.choice([1, 2, 2, 3, 4, 5, 6, 9, 40])
    if rng.random() < 0.4:
        pool = ["__line", "the", "a", "b", "ab", "two words", "", "É", ".", "__pad", "__sow", "x", "İ"]
        settings["required_tokens"] = rng.sample(pool, rng.randrange(4))
    if rng.random() < 0.3:
        settings["strict"] = True
    if rng.random() < 0.15:
        for name in ("EOW", "SOW", "UNK", "PAD"):
            if rng.random() < 0.5:
                settings[name] = rng.choice(["a", "<", "ab", "", "__x", "é", "_"])
    return settings


def random_case(rng):
    style = rng.choice(["few", "usual", "wild"])
    settings = settings_of(rng)
    lines = [text(rng, style) for _ in range(rng.randrange(1, 12))]
    queries = [text(rng, style) for _ in range(3)] + lines[:2]
    return settings, lines, queries


def many_words(rng, distinct):
    """More distinct words than the package counts between two trimmings of its table."""
    letters = "abcdefghijklmnopqrstuvwxyz" + rng.choice(["", "éчא中𐐀"])
    words = set()
    while len(words) < distinct:
        words.add("".join(rng.choice(letters) for _ in range(rng.randrange(2, 7))))
    words = sorted(words)
    rng.shuffle(words)
    words += rng.choices(words, k=distinct // 4)
    return [" ".join(words[at : at + 100]) for at in range(0, len(words), 100)]


def trimmed_case(rng, distinct):
    settings = {
        "vocab_size": rng.choice([1, 2, 4, 10, 40, 100, 1000]),
        "pct_bpe": rng.choice([0.2, 0.5, 0.9, 1.0, -0.5, 0]),
        "ngram_max": rng.choice([2, 3, 4]),
    }
    lines = many_words(rng, distinct)
    return settings, lines, [lines[0][:60], text(rng, "usual")]


def committed():
    shown = [
        "First Citizen: before we proceed any further, hear me speak.",
        "All: speak, speak. Don't pay $3.88 for the_thing_2!",
        "",
        "  \t ",
        "the the the cat cat sat on a mat; the catalogue of cats...",
    ]
    odd = [
        "İstanbul ISTANBUL ΟΔΟΣ ΣΑΣ ΑΣ' ΑΣ'Α Α.\u0301Σ. ǅ ẞ K Å",
        "cafe\u0301 café naïve\u200bx y\u180ez \u00a0 ½ Ⅷ ٣٤ 中文字 한국어 हिन्दी",
        "one\x1ctwo\x1fthree\x85four\u2028five\x00six\ufeffseven\x0beight",
        "👨\u200d👩\u200d👧 𐐀𐐨 𝟘𝟙 \U000e0041 \U0010ffff __unk __pad __sow __eow __line _",
    ]
    required = {"required_tokens": ["__line", "cat", "two words"]}
    for settings in (
        {},
        {"vocab_size": 1},
        {"vocab_size": 2, "pct_bpe": 0.0},
        {"vocab_size": 40, "pct_bpe": 0.5},
        {"vocab_size": 60, "pct_bpe": 0.9, "ngram_max": 6},
        {"vocab_size": 60, "pct_bpe": 1.0, "ngram_min": 1, "ngram_max": 3, "strict": True},
        {"vocab_size": 60, "pct_bpe": 0.7, "ngram_min": 3, "ngram_max": 2},
        {"vocab_size": 60, "pct_bpe": -0.25, "ngram_min": 0, "ngram_max": 4},
        {"vocab_size": 50, "pct_bpe": 0.6, **required},
        {"vocab_size": 50, "pct_bpe": 0.9, "UNK": "?", "PAD": ".", "SOW": "<", "EOW": "<", **required},
    ):
        yield settings, shown + odd, [shown[1], *odd, "Nothing of this — was SEEN: zyx123"]
    yield {}, [], ["a"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--trimmed", type=int, default=0, help="cases of over 10,000 distinct words")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    pattern = nltk.tokenize.WordPunctTokenizer()
    assert pattern.tokenize("e\u0301\x1ca") == re.findall(r"\w+|[^\w\s]+", "e\u0301\x1ca"), nltk.__version__
    assert unicodedata.unidata_version == "14.0.0", "the tables are of Unicode 14.0, Python 3.11"
    rng = random.Random(args.seed)
    if args.random + args.trimmed:
        cases = [random_case(rng) for _ in range(args.random)]
        cases += [trimmed_case(rng, rng.choice([10_000, 12_345, 33_000])) for _ in range(args.trimmed)]
    else:
        cases = list(committed())
    for settings, lines, queries in cases:
        case = answers(settings, lines, queries, rows_of(rng, settings, lines))
        json.dump(case, sys.stdout, separators=(",", ":"))
        print()


main()
