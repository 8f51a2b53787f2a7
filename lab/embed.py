#!/usr/bin/env python3
"""embed.py: files as bytes in a C file, at build time.

usage: embed.py [--header=HEADER] OUT.c NAME=FILE ...

Each is declared as `extern const struct asset asset_NAME;` in HEADER, lab/asset.h unless another is named.
"""
import sys


def main() -> int:
    arguments, header = sys.argv[1:], "lab/asset.h"
    if arguments[0].startswith("--header="):
        header = arguments.pop(0).split("=", 1)[1]
    out, pairs = arguments[0], [argument.split("=", 1) for argument in arguments[1:]]
    lines = [f'#include "{header}"', ""]
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
