#!/usr/bin/env python3
"""Byte-pair encoding beside tiktoken, rustbpe and Hugging Face's tokenizers, in one run.

    pip install tiktoken==0.14.0 rustbpe==0.1.0 tokenizers==0.23.3
    cargo build --release -p latimer-tokenizer --features rayon --example bpe_speed
    python benches/peers/bpe_peer.py CORPUS --ranks DIR [--train 100] [--vocab 32768] [--reps 5]

CORPUS is a text in UTF-8; DIR holds cl100k_base.tiktoken. Every measurement is a process of its own,
ours and theirs in turn; encoding is on one thread pinned to one core. Speeds are in MB (10^6 bytes) of
text a second. No figure counts unless the results are the same: training by the merges (of rustbpe the
tokens), encoding by the SHA-256 of all ids. Medians, the ratio of medians, and of the best of each.
"""

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

# GPT-2's, as both programs read it.
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def documents(text, size=8192):
    """Cut as `bpe_speed` cuts: about `size` characters, after a line's end if one is near."""
    cut, start = [], 0
    while len(text) - start > size:
        at = start + size
        line = text.find("\n", at)
        end = line + 1 if 0 <= line and line - at <= 4 * size else at
        cut.append(text[start:end])
        start = end
    return cut + ([text[start:]] if start < len(text) else [])


def read(path, megabytes):
    with open(path, "rb") as file:
        data = file.read(int(megabytes * 1e6))
    return data.decode("utf-8", "ignore")


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child_encode(a):
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe
    from tiktoken_ext import openai_public

    ranks = load_tiktoken_bpe(os.path.join(a.ranks, "cl100k_base.tiktoken"))
    # cl100k's pattern is a constant within a function that would download the ranks.
    constants = openai_public.cl100k_base.__code__.co_consts
    pattern = next(c for c in constants if isinstance(c, str) and r"\p{N}{1,3}" in c)
    enc = tiktoken.Encoding("cl100k", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    docs = documents(read(a.corpus, a.encode))
    size = sum(len(d.encode()) for d in docs)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        ids = [enc.encode_ordinary(d) for d in docs]
        times.append(time.perf_counter() - start)
    digest = hashlib.sha256()
    for row in ids:
        digest.update(b"".join(i.to_bytes(4, "little") for i in row))
    rate = lambda s: size / 1e6 / s
    print(json.dumps({"mb_s": rate(statistics.median(times)), "cold_mb_s": rate(times[0]),
                      "sha": digest.hexdigest(), "peak_rss_mib": peak_mib()}))


def child_rustbpe(a):
    import rustbpe

    docs = documents(read(a.corpus, a.train))
    start = time.perf_counter()
    tok = rustbpe.Tokenizer()
    tok.train_from_iterator(iter(docs), a.vocab, pattern=GPT2)
    seconds = time.perf_counter() - start
    tokens = sorted((i, bytes(t)) for t, i in tok.get_mergeable_ranks())
    digest = hashlib.sha256(b"".join(t.hex().encode() + b"\n" for i, t in tokens if i >= 256))
    print(json.dumps({"train_s": seconds, "sha": digest.hexdigest(), "peak_rss_mib": peak_mib()}))


def child_hf(a):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    docs = documents(read(a.corpus, a.train))
    start = time.perf_counter()
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=a.vocab, initial_alphabet=alphabet, show_progress=False)
    tok.train_from_iterator(docs, trainer)
    seconds = time.perf_counter() - start
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {chr(b): b for b in printable}
    rest = [b for b in range(256) if b not in printable]
    letters.update({chr(256 + n): b for n, b in enumerate(rest)})
    hexed = lambda token: bytes(letters[c] for c in token).hex()
    merges = json.loads(tok.to_str())["model"]["merges"]
    merges = [m.split(" ") if isinstance(m, str) else m for m in merges]
    lines = "".join(f"{hexed(left)} {hexed(right)}\n" for left, right in merges)
    sha = hashlib.sha256(lines.encode()).hexdigest()
    print(json.dumps({"train_s": seconds, "sha": sha, "peak_rss_mib": peak_mib()}))


def run(command, pin=False):
    pinned = (lambda: os.sched_setaffinity(0, {0})) if pin else None
    done = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=pinned)
    return json.loads(done.stdout.splitlines()[0])


def compare(name, pairs, key, larger_is_better):
    ours, theirs = ([p[i][key] for p in pairs] for i in (0, 1))
    best = max if larger_is_better else min
    ratio = lambda f: f(ours) / f(theirs) if larger_is_better else f(theirs) / f(ours)
    equal = len({p[i]["sha"] for p in pairs for i in (0, 1)}) == 1
    print(json.dumps({
        "what": name, "measure": key, "equal": equal, "runs": len(pairs),
        "ours": statistics.median(ours), "theirs": statistics.median(theirs),
        "ratio_of_medians": ratio(statistics.median), "ratio_of_best": ratio(best),
        "ours_peak_mib": max(p[0]["peak_rss_mib"] for p in pairs),
        "theirs_peak_mib": max(p[1]["peak_rss_mib"] for p in pairs),
    }), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus")
    parser.add_argument("--ranks", required=True)
    parser.add_argument("--train", type=float, default=100)
    parser.add_argument("--encode", type=float, default=20)
    parser.add_argument("--vocab", type=int, default=32768)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--only", default="encode,rustbpe,hf")
    parser.add_argument("--binary", default="target/release/examples/bpe_speed")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.child:
        return {"encode": child_encode, "rustbpe": child_rustbpe, "hf": child_hf}[a.child](a)
    me = [sys.executable, *sys.argv]
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        part = os.path.join(folder, "part.txt")
        with open(part, "w", encoding="utf-8") as file:
            file.write(read(a.corpus, a.train))

        def sha(lines=lambda data: data):
            with open(out, "rb") as file:
                return hashlib.sha256(lines(file.read())).hexdigest()

        if "encode" in a.only:
            ranks = os.path.join(a.ranks, "cl100k_base.tiktoken")
            pairs = []
            for _ in range(a.reps):
                command = [a.binary, "encode", ranks, "cl100k_base", a.corpus, str(a.encode), "3", out]
                ours = run(command, pin=True)
                pairs.append(({**ours, "sha": sha()}, run([*me, "--child", "encode"], pin=True)))
            compare("encode cl100k, one thread, tiktoken", pairs, "mb_s", True)
            compare("encode cl100k, first pass, tiktoken", pairs, "cold_mb_s", True)
        for peer, ties in [("rustbpe", "lowest-ids"), ("hf", "huggingface")]:
            if peer not in a.only:
                continue
            # rustbpe tells tokens, not merges: a merge's two parts together.
            whole = (lambda data: data.replace(b" ", b"")) if peer == "rustbpe" else (lambda data: data)
            pairs = []
            for _ in range(a.reps):
                command = [a.binary, "train-documents", part, str(a.vocab), "gpt2", ties, out]
                ours = run(command)
                pairs.append(({**ours, "sha": sha(whole)}, run([*me, "--child", peer])))
            compare(f"train {a.train:g} MB to {a.vocab}, {peer}", pairs, "train_s", False)


main()
