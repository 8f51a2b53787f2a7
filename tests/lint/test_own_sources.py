#!/usr/bin/env python3
"""Neap's own sources hold under `neap lint` and `neap escape`: no finding that no comment answers with a reason.

usage: test_own_sources.py NEAP SOURCE-ROOT BUILD-ROOT LLVM-INCLUDE-FOLDER CACHE-FOLDER

Every C file of the folders below as the build compiles it, once; a file of the first five that this build leaves out (no
inspector, say) with plain flags. All files together are one program, so that what a function of one folder does is known
in the others; so without malloc/, whose malloc and free are not those of the others. The cache stays between runs: compiling every file is what costs here.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ALWAYS, WHEN_BUILT = ("src", "tool", "lint", "inspect", "lab"), ("http", "examples", "bench")
FLAGS = ("-Iinclude -Isrc -Iinspect -I. -D_GNU_SOURCE -DNEAP_CHECK=1 -DNEAP_STATIC -DNEAP_LINT_VERSION=\"\" "
         "-DNEAP_LLVM=\"\" -std=gnu17 -isystem").split()
# Runs in the kernel.
NOT_OURS = {"tool/memory.bpf.c"}


def main():
    neap, root, build = (pathlib.Path(word).resolve() for word in sys.argv[1:4])
    llvm, cache = sys.argv[4:6]
    os.chdir(root)
    entries = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        name = os.path.relpath(os.path.join(entry["directory"], entry["file"]), root)
        if name.endswith(".c") and name.split("/")[0] in ALWAYS + WHEN_BUILT:
            entries.setdefault(name, entry)
    for name in sorted(str(path) for folder in ALWAYS for path in pathlib.Path(folder).rglob("*.c")):
        if name not in NOT_OURS:
            entries.setdefault(name, {"directory": str(root), "file": name, "arguments": ["cc", *FLAGS, llvm, "-c", name]})
    failed = 0
    with tempfile.NamedTemporaryFile("w", suffix=".json") as database:
        json.dump(list(entries.values()), database)
        database.flush()
        for command in ("lint", "escape"):
            environment = {**os.environ, "XDG_CACHE_HOME": cache}
            failed |= subprocess.run([neap, command, "-p", database.name], env=environment, check=False).returncode
    print(f"{len(entries)} files")
    return failed != 0 or len(entries) < 300


sys.exit(main())
