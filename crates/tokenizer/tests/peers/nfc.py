#!/usr/bin/env python3
"""Makes nfc.json: the characters that the NFC of `tokenizers` knows to decompose, or to move as marks, as ranges.

usage: nfc.py

Needs `pip install tokenizers`.  `src/bpe/nfc.rs` lists the characters that newer tables have beside these; its test
compares both.
"""
import json
import os

from tokenizers import normalizers

NFD = normalizers.NFD()


def is_known(c):
    if NFD.normalize_str(c) != c:
        return True
    # Marks change places with U+0334 (of class 1) or U+0345 (of class 240) unless they have the same class.
    return any(NFD.normalize_str(text) != text for text in ["a" + c + "\u0334", "a\u0345" + c])


def main():
    ranges = []
    for code in [*range(0xD800), *range(0xE000, 0x110000)]:
        if is_known(chr(code)):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    with open(os.path.join(os.path.dirname(__file__), "nfc.json"), "w", encoding="utf-8") as sink:
        json.dump(ranges, sink, separators=(",", ":"))
        sink.write("\n")


if __name__ == "__main__":
    main()
