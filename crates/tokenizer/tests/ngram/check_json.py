#!/usr/bin/env python3
"""Shows that the JSON written here loads in the package `bpe` 1.0 and gives the same ids, both ways.

    pip install bpe==1.0 nltk==3.9.2
    cargo build --release -p latimer-cli
    python crates/tokenizer/tests/ngram/check_json.py TEXT [target/release/latimer]

Ours, fitted to TEXT, is converted to the package's JSON and loaded there; the package's own, fitted to
TEXT, is loaded here. Every line of TEXT, and of this script, is then encoded by both programs, and
decoded again. The exit status says whether all were equal.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

from bpe import Encoder


def latimer(binary, *args, lines=None):
    stdin = None if lines is None else "".join(f"{line}\n" for line in lines)
    done = subprocess.run([binary, "tokenizer", *args, "--json"], input=stdin, text=True,
                          check=True, capture_output=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    text, binary = sys.argv[1], (sys.argv[2:] or ["target/release/latimer"])[0]
    read = lambda path: pathlib.Path(path).read_text(encoding="utf-8").split("\n")
    lines = [line.replace("\r", "") for line in read(text) + read(__file__)]
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        ours, there, theirs = (f"{folder}/{name}.json" for name in ("ours", "there", "theirs"))
        latimer(binary, "train", "--kind", "ngram", "--data", text, "--out", ours)
        latimer(binary, "convert", "--tokenizer", ours, "--to", "python-bpe", "--out", there)
        package = Encoder()
        package.fit(read(text))
        package.save(theirs)
        for name, file in [("written here", there), ("written by the package", theirs)]:
            encoder = Encoder.load(file)
            want = [[int(i) for i in row] for row in encoder.transform(lines)]
            got = latimer(binary, "encode", "--tokenizer", file, lines=lines)
            texts = list(encoder.inverse_transform(want))
            back = latimer(binary, "decode", "--tokenizer", file, lines=[json.dumps(i) for i in want])
            equal = got == want and back == texts
            failed |= not equal
            print(json.dumps({"file": name, "lines": len(lines), "ids": sum(map(len, want)),
                              "equal": equal}))
    return failed


sys.exit(main())
