#!/usr/bin/env python3
"""The inspector's ground-truth test with every Go toolchain, build by build, as a table.

usage: all_go.py --neap TOOL --layout-check TOOL [--case CASE]... GO...

GO is the path of a `go` command; scripts/go-versions fetches those that Debian has:

    tests/e2e/all_go.py --neap build/tool/neap --layout-check build/tests/e2e/golayout_check $(scripts/go-versions DIRECTORY)

Each cell is a run of inspect_go.py. Exit status 1 when one failed; what it said comes after the table.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

CASES = ("full", "nodwarf", "nosymbols", "stripped", "pie", "cgo", "static", "core", "consistent", "snapshot", "churn", "diff",
         "export")
# A version's experiments that change what the inspector reads.
EXPERIMENTS = {24: ("noswissmap",), 26: ("nogreenteagc",), 27: ("mapsplitgroup", "nogreenteagc")}
HERE = os.path.dirname(os.path.abspath(__file__))
SKIP = 77


def version_of(go):
    text = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"go1\.(\d+)(\.\d+)?", text)


def run(options, go, cache, case, experiment=None):
    command = [sys.executable, os.path.join(HERE, "inspect_go.py"), "--neap", options.neap, "--source",
               os.path.join(HERE, "go_sample.go"), "--case", case, "--go", go, "--layout-check", options.layout_check]
    environment = dict(os.environ, GOCACHE=cache)
    if experiment:
        environment["GOEXPERIMENT"] = experiment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--neap", required=True)
    parser.add_argument("--layout-check", required=True)
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("go", nargs="+")
    options = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        cache = os.environ.get("GOCACHE", folder)
        for go in options.go:
            found = version_of(go)
            jobs = [(case, None) for case in options.case or CASES]
            jobs += [("full", experiment) for experiment in EXPERIMENTS.get(int(found[1]), ())]
            print(f"{found[0]:10}", end="", flush=True)
            for case, experiment in jobs:
                code, text = run(options, go, cache, case, experiment)
                name = experiment or case
                print(f" {name}:{'ok' if code == 0 else 'skipped' if code == SKIP else 'FAILED'}", end="", flush=True)
                if code not in (0, SKIP):
                    failed.append(f"{found[0]} {name}\n{text}")
            print(flush=True)
    print("\n\n".join(["", *failed]) if failed else "")
    sys.exit(1 if failed else 0)


main()
