#!/usr/bin/env python3
"""Measures `neap lint` on NIST's Juliet C suite, which is no part of this project.

usage: juliet.py --neap NEAP --suite DIR [--cwe 416,415,562] [--sample N]

DIR has testcases/ and testcasesupport/. A case is all files that differ only in a last letter (51a, 51b) and runs on
POSIX. Compiled without its good half it should be found, without its bad half it should not. Exit 1 when CWE-416,
415 or 562 miss their figures, or when a case cannot be analysed.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import re
import subprocess
import sys

RULES = {
    "416": {"use-after-free", "use-after-return"},
    "415": {"double-free"},
    "562": {"dangling-stack", "use-after-return"},
    "401": {"leak"},
    "476": {"null-dereference", "late-null-test"},
    "590": {"bad-free"},
}
# CWE: (least recall, most false positives), in percent. The others are only reported.
OWED = {"416": (98, 0), "415": (97, 2), "562": (100, 0)}


def cases(suite, cwe):
    groups = collections.defaultdict(list)
    for folder in os.listdir(f"{suite}/testcases"):
        if not folder.startswith(f"CWE{cwe}_"):
            continue
        for path, _, files in os.walk(f"{suite}/testcases/{folder}"):
            for name in files:
                case = re.match(r"(.*_\d\d)[a-e]?\.c$", name)
                if case and "w32" not in name:
                    groups[case.group(1)].append(f"{path}/{name}")
    return groups


def run(neap, suite, files, half, rules):
    support = f"{suite}/testcasesupport"
    command = [neap, "lint", "--json", "--no-banned", "--no-cache", f"-I{support}", f"-DOMIT{half}", *sorted(files), f"{support}/io.c"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode not in (0, 1):
        return None
    found = json.loads(done.stdout)["findings"]
    return any(f["rule"] in rules and not f["file"].endswith("/io.c") for f in found)


def measure(arguments, cwe):
    groups = cases(arguments.suite, cwe)
    names = sorted(groups)
    if arguments.sample:
        names = names[:: max(1, len(names) // arguments.sample)]
    if not names:
        print(f"CWE-{cwe}: no cases in {arguments.suite}", file=sys.stderr)
        return False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        def half(which):
            return list(pool.map(lambda n: run(arguments.neap, arguments.suite, groups[n], which, RULES[cwe]), names))
        bad, good = half("GOOD"), half("BAD")
    failed = bad.count(None) + good.count(None)
    recall, false = 100 * bad.count(True) / len(names), 100 * good.count(True) / len(names)
    print(f"CWE-{cwe}: {len(names)} cases, recall {recall:.1f} %, false positives {false:.1f} %, not analysed {failed}")
    for name, found, accused in zip(names, bad, good):
        if not found or accused:
            print(f"  {name}: {'accused' if accused else 'missed'}")
    least, most = OWED.get(cwe, (0, 100))
    return failed == 0 and recall >= least and false <= most


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--neap", required=True)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--cwe", default="416,415,562,401,476,590")
    parser.add_argument("--sample", type=int, default=0)
    arguments = parser.parse_args()
    results = [measure(arguments, cwe) for cwe in arguments.cwe.split(",")]
    sys.exit(0 if all(results) else 1)


main()
