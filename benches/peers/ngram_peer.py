#!/usr/bin/env python3
"""The `ngram` tokenizer beside the PyPI package `bpe` 1.0: fit and transform, line by line, defaults.

    cargo build --release -p latimer-tokenizer --example ngram_speed
    python benches/peers/ngram_peer.py shakespeare.txt [--rounds 5]

Needs `pip install bpe==1.0` (NLTK before 3.10 for the same rule on all texts). Both programs run as
separate processes, alternately; each reports its best of three, this the median of the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "target/release/examples/ngram_speed"
PACKAGE = """
import json, sys, time
from bpe import Encoder
text = open(sys.argv[1], encoding="utf-8", newline="").read()
lines = text.split("\\n")
fit = transform = float("inf")
for _ in range(3):
    start = time.perf_counter()
    encoder = Encoder()
    encoder.fit(lines)
    fit = min(fit, time.perf_counter() - start)
    start = time.perf_counter()
    rows = list(encoder.transform(lines))
    transform = min(transform, time.perf_counter() - start)
print(json.dumps({"fit_s": fit, "transform_s": transform, "bytes": len(text.encode()),
                  "sum": sum(map(sum, rows))}))
"""


def run(command):
    """The program's line of JSON, and its peak memory in MiB."""
    # A hash seed with which the package numbers __unk, __pad, __sow, __eow in this order.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    line = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    return {**json.loads(line), "peak_mib": usage.ru_maxrss / 1024}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    found = {"package": [], "latimer": []}
    for _ in range(args.rounds):
        found["package"].append(run([sys.executable, "-c", PACKAGE, args.text]))
        found["latimer"].append(run([str(EXAMPLE), args.text, "3"]))
    sums = {result["sum"] for results in found.values() for result in results}
    assert len(sums) == 1, f"the ids differ: {sums}"
    median = {
        program: {name: statistics.median(r[name] for r in results) for name in results[0]}
        for program, results in found.items()
    }
    for program, m in median.items():
        rate = m["bytes"] / m["transform_s"] / 1e6
        print(
            f"{program:8} fit {1e3 * m['fit_s']:9.2f} ms   transform {1e3 * m['transform_s']:9.2f} ms"
            f" = {rate:7.1f} MB/s   peak {m['peak_mib']:6.1f} MiB"
        )
    for name in ("fit_s", "transform_s"):
        print(f"{name[:-2]}: {median['package'][name] / median['latimer'][name]:.1f} times the speed")


main()
