#!/usr/bin/env python3
"""readme.py README INCLUDE LIBRARY CC...: the README's program compiles and prints what the README says it prints."""
import pathlib
import re
import subprocess
import sys
import tempfile

readme, include, library, *compiler = sys.argv[1:]
text = pathlib.Path(readme).read_text()
program = re.search(r"```c\n(.*?)```\n", text, re.S).group(1)
promised = re.search(r"It prints `(.*?)`", text).group(1)

with tempfile.TemporaryDirectory() as folder:
    source, binary = pathlib.Path(folder, "readme.c"), pathlib.Path(folder, "readme")
    source.write_text(program)
    subprocess.run([*compiler, "-std=c17", "-Wall", "-Wextra", "-Werror", "-O2", "-DNEAP_STATIC", f"-I{include}",
                    str(source), library, "-pthread", "-lm", "-o", str(binary)], check=True)
    printed = subprocess.run([str(binary)], check=True, capture_output=True, text=True).stdout.strip()
if printed != promised:
    sys.exit(f"README promises `{promised}`, the program prints `{printed}`")
