#!/usr/bin/env python3
"""Every public function has a row in lint/api_neap.c, or stands below with the reason why nothing is to be said of it.

usage: test_rows.py NEAP SOURCE-ROOT

Also: no row of a function that is gone, and every row can be read, since a file that names all functions is analysed.
Functions with a body in a header need no row: the body says it.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

# Neither takes nor gives an address that matters; or the words of neap/safe.h at its declaration say all.
NOTHING = {
    "neap_any_of_bool": "a number", "neap_any_of_i64": "a number", "neap_any_of_u64": "a number",
    "neap_any_of_f64": "a number", "neap_any_drop": "by value", "neap_any_owners": "by value",
    "neap_any_equal": "by value", "neap_any_comparable": "by value", "neap_any_hash": "by value",
    "neap_cmap_enter": "no argument", "neap_cmap_leave": "no argument", "neap_cmap_synchronize": "no argument",
    "neap_debug_compact": "no argument", "neap_gc_set_percent": "a number", "neap_gc_set_memory_limit": "a number",
    "neap_gc_concurrent": "no argument", "neap_gc_collect": "no argument", "neap_gc_return": "no argument",
    "neap_gc_finalizers_wait": "no argument", "neap_thread_attach": "no argument",
    "neap_thread_detach": "no argument", "neap_park": "no argument", "neap_unpark": "no argument",
    "neap_heap_return": "no argument", "neap_heap_alloc": "its header", "neap_heap_calloc": "its header",
    "neap_heap_alloc_with": "its header", "neap_heap_free": "its header", "neap_profile_start": "a number",
    "neap_profile_stop": "no argument", "neap_profile_rate": "no argument",
}


def declared(header):
    """Names of functions that the header declares for the library to define."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
    text = re.sub(r"^[ \t]*#(?:.*\\\n)*.*$", "", text, flags=re.M)
    for words in re.findall(r"\bNEAP_API\b([^;{]*);", text):
        words = re.sub(r"NEAP_(?:GIVES|FREES|NONNULL)\([^)]*\)|__attribute__\(\(.*?\)\)", "", words)
        name = re.match(r"[^()]*?(neap_\w+)\s*\(", words)
        if name and "extern" not in words.split("(")[0]:
            yield name.group(1)


def main():
    neap, root = sys.argv[1], pathlib.Path(sys.argv[2])
    headers = sorted((root / "include/neap").glob("*.h"))
    public = {name for header in headers for name in declared(header) if not name.startswith("neap__")}
    bodies = set(re.findall(r"\b(neap_\w+)\([^;{}]*\)\s*\{", "".join(h.read_text() for h in headers)))
    rows = re.findall(r'\{"(neap_\w+)"', (root / "lint/api_neap.c").read_text())
    wrong = [f"no row for {name}" for name in sorted(public - set(rows) - set(NOTHING) - bodies)]
    wrong += [f"a row for {name}, which is no public function" for name in sorted(set(rows) - public - bodies)]
    wrong += [f"nothing is to be said of {name}, which is no public function" for name in sorted(set(NOTHING) - public)]
    wrong += [f"{name} has a row, but nothing is to be said of it" for name in sorted(set(NOTHING) & set(rows))]
    wrong += [f"two rows for {name}" for name in sorted({n for n in rows if rows.count(n) > 1})]
    if len(public) < 200:
        wrong.append(f"only {len(public)} public functions were found: are headers still read?")
    with tempfile.TemporaryDirectory() as folder:
        every = pathlib.Path(folder) / "every.c"
        every.write_text("".join(f'#include "neap/{h.name}"\n' for h in headers if "_typed" not in h.name) +
                         "void (*const every[])(void) = {" +
                         ", ".join(f"(void (*)(void)){name}" for name in sorted(public)) + "};\n")
        done = subprocess.run([neap, "lint", "--no-cache", f"-I{root}/include", str(every)], capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            wrong.append(f"neap lint says {done.returncode} of all functions: {done.stdout}{done.stderr}")
    print("\n".join(wrong) if wrong else f"{len(public)} public functions, {len(rows)} rows")
    return 1 if wrong else 0


sys.exit(main())
