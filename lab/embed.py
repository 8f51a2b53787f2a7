#!/usr/bin/env python3
"""embed.py: files as bytes in a C file, at build time.

usage: embed.py OUT.c NAME=FILE ...      declared as `extern const struct asset NAME;` in lab/asset.h
"""
import sys


def main() -> int:
    out, pairs = sys.argv[1], [argument.split("=", 1) for argument in sys.argv[2:]]
    lines = ['#include "lab/asset.h"', ""]
    for name, path in pairs:
        with open(path, "rb") as file:
            data = file.read()
        # A NUL behind the bytes, so that text can be used as a string.
        lines.append(f"static const unsigned char bytes_of_{name}[] = {{")
        for start in range(0, len(data), 24):
            lines.append("".join(f"{byte}," for byte in data[start:start + 24]))
        lines.append("0};")
        lines.append(f"const struct asset asset_{name} = {{(const char *)bytes_of_{name}, {len(data)}}};")
    with open(out, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
    return 0


sys.exit(main())
