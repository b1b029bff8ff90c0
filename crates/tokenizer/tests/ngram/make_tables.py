#!/usr/bin/env python3
"""Writes src/ngram/tables.rs: what `\\w`, `\\s` and `str.lower` mean in this Python's `re` and `str`.

    python3 make_tables.py | rustfmt --edition 2024 --config max_width=100 > ../../src/ngram/tables.rs

Nothing is looked up in a Unicode file: every code point is put to the very functions that the
package `bpe` calls, so the tables are right for the Python that runs this. The committed ones are
from Python 3.11, Unicode 14.0; another version is refused unless asked for with --any-version.

Final sigma: CPython lowers U+03A3 to U+03C2 when the nearest character before it that is not
case-ignorable is cased, and the nearest after it is not (Objects/unicodeobject.c,
handle_capital_sigma). Both properties show in what `lower` answers:

    cased and not ignorable      (c + "Σ").lower() ends in ς
    ignorable                    ("A" + c + "Σ").lower() ends in ς, and c is not of the first kind
"""

import re
import sys
import unicodedata

UNICODE = "14.0.0"
SIGMA, FINAL = "\u03a3", "\u03c2"


def bounds(points):
    """Where membership changes: [first, end, first, end, ...]."""
    out = []
    for point in points:
        if out and out[-1] == point:
            out[-1] = point + 1
        else:
            out += [point, point + 1]
    return out


def runs(lower):
    """[(first, last, step, delta)]: every step-th code point from first to last moves by delta."""
    out = []
    for point, to in lower:
        delta = to - point
        if out and out[-1][3] == delta:
            first, last, step, _ = out[-1]
            gap = point - last
            if gap in (1, 2) and (first == last or gap == step):
                out[-1] = (first, point, gap, delta)
                continue
        out.append((point, point, 1, delta))
    return out


def show(name, doc, kind, numbers):
    print(f"\n/// {doc}")
    print(f"pub(super) static {name}: [{kind}; {len(numbers)}] = [")
    line = "   "
    for number in numbers:
        item = f" {number},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("];")


def fnv1a(state, data):
    for byte in data:
        state = (state ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return state


def main():
    found = unicodedata.unidata_version
    if found != UNICODE and "--any-version" not in sys.argv:
        sys.exit(f"this Python has Unicode {found}, the committed tables are of {UNICODE}")
    word, space = re.compile(r"\w"), re.compile(r"\s")
    words, spaces, cased, ignorable, lower = [], [], [], [], []
    fingerprint = 0xCBF29CE484222325
    for point in range(sys.maxunicode + 1):
        if 0xD800 <= point < 0xE000:  # no Rust string holds a surrogate
            continue
        c = chr(point)
        if word.match(c):
            words.append(point)
        if space.match(c):
            spaces.append(point)
        assert bool(space.match(c)) == (c.strip() == ""), "strip and \\s are one"
        if (c + SIGMA).lower().endswith(FINAL):
            cased.append(point)
        elif ("A" + c + SIGMA).lower().endswith(FINAL):
            ignorable.append(point)
        low = c.lower()
        assert low.lower() == low, "lowering twice is lowering once"
        if low != c and len(low) == 1:
            lower.append((point, ord(low)))
        kinds = bool(word.match(c)) + 2 * bool(space.match(c))
        shown = (c + SIGMA + c + "A" + SIGMA + c + c).lower()
        fingerprint = fnv1a(fingerprint, bytes([kinds]) + shown.encode())
        assert len(low) == 1 or (c, low) == ("\u0130", "i\u0307"), "one character grows"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    print(f"//! Made by tests/ngram/make_tables.py from Python {python}, Unicode {found}: do not edit.")
    print("//!")
    print("//! A set of code points is the ascending list of where membership changes.")
    show("WORD", "`\\w`: letters, numbers (`L*`, `N*`) and `_`.", "u32", bounds(words))
    show("SPACE", "`\\s`, which is also what `strip` removes.", "u32", bounds(spaces))
    show("CASED", "Cased and not case-ignorable: what makes a sigma final.", "u32", bounds(cased))
    show("IGNORABLE", "Case-ignorable: what the search for it passes over.", "u32", bounds(ignorable))
    flat = [n for run in runs(lower) for n in run]
    show("LOWER", "Lower case: groups of first, last, step, how far. U+0130 is not among them.", "i32", flat)
    print("\n/// FNV-1a of what Python says of each code point, for the test.")
    print("#[cfg(test)]")
    print(f"pub(super) const FINGERPRINT: u64 = 0x{fingerprint:016x};")


main()
