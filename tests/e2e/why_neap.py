#!/usr/bin/env python3
"""neap why against what a program linked with libneap knows of itself, and what its collector says (neap_why).

usage: why_neap.py --neap TOOL --sample PROGRAM [--fuzzer PROGRAM] [--stripped]

Exit status: 0 all agree, 1 something differs, 77 when processes may not be read here.
"""
import argparse
import gzip
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

from linked_sample import Sample, check, failures, run

# What is in freed memory stays there: some harnesses have malloc overwrite it.
LEFT_AS_IT_IS = {name: value for name, value in os.environ.items() if name != "MALLOC_PERTURB_"}
FUZZ_ROUNDS = 40
COLLECTED_MAPS = ("collected map", "collected cmap", "cmap of nodes")
# How the tool calls the root of each kind.
ROOTS = {"stack": "stack of thread", "thread-local": "thread-local data", "handle": "handle 0x"}


def compare(fact, answer, symbols):
    label, root = fact["label"], answer["path"][0]["root"]
    # the collector names a collected map's handle only, the tool the map behind it too
    found = [step["address"] for step in answer["path"][1:]
             if label not in COLLECTED_MAPS or "map, " not in step["object"]]
    if fact["root"] == "weak":  # the collector tells the key only, the tool what holds the key too
        check(found[-1] == fact["path"][-1] and "weak map" in answer["path"][-2]["word"], f"{label}: {answer}")
        return
    check(found == fact["path"], f"{label}: the path is {found}, the program says {fact['path']}")
    if fact["root"] == "static":
        # a symbol, or the file and the offset in it
        check(fact["name"] in root if symbols and "+0x" not in fact["name"] else root != "", f"{label}: root {root}")
    else:
        check(root.startswith(ROOTS[fact["root"]]), f"{label}: root {root}")
        check(not symbols or fact["name"] in root, f"{label}: root {root}, not in {fact['name']}")
    least = fact["bytes"]
    check(least <= answer["retained_bytes"] <= least * 1.5 + 4096, f"{label}: {answer['retained_bytes']} of {least}")
    if len(found) > 1 and fact["root"] == "static" and label not in COLLECTED_MAPS:
        check(answer["dominator"]["address"] == found[-2], f"{label}: dominator {answer.get('dominator')}")


def ask(neap, target, facts, symbols, *mode):
    for fact in facts:
        done = run(neap, "why", target, fact["address"], "--json", *mode)
        expected = 1 if fact["root"] == "none" else 0
        check(done.returncode == expected, f"{fact['label']} {mode}: exit code {done.returncode}: {done.stderr}{done.stdout}")
        if done.returncode == expected == 0:
            compare(fact, json.loads(done.stdout), symbols)


def by_name(neap, sample):
    """A map by the name that the program gave it, on the screen."""
    text = run(neap, "why", sample.pid, "sessions by number").stdout
    check("this     sessions by number (map, keys of 8 B, values of 8 B)" in text and "root     " in text and
          "dropping it would free" in text, text)
    wrong = run(neap, "why", sample.pid, "no such map")
    check(wrong.returncode == 2 and "no such map" in wrong.stderr and wrong.stdout == "", f"{wrong}")
    outside = run(neap, "why", sample.pid, "0x10")
    check(outside.returncode == 2, f"{outside}")


def from_snapshot(neap, sample, folder, symbols):
    """With --graph a snapshot answers as the process does; without, it knows no ways."""
    whole, plain = os.path.join(folder, "whole.snap"), os.path.join(folder, "plain.snap")
    check(run(neap, "snapshot", sample.pid, "-o", whole, "--graph").returncode == 0, "snapshot --graph")
    check(run(neap, "snapshot", sample.pid, "-o", plain).returncode == 0, "snapshot")
    ask(neap, whole, sample.facts, symbols)
    text = run(neap, "why", whole, "sessions by number").stdout
    check("this     sessions by number (map" in text and "root     " in text, text)
    refused = run(neap, "why", plain, sample.facts[0]["address"])
    check(refused.returncode == 2 and "--graph" in refused.stderr, f"{refused}")
    check(run(neap, "inspect", whole).returncode == 0 and run(neap, "diff", whole, plain).returncode == 0, "inspect and diff")


def report(neap, sample, folder, symbols):
    """Who holds each map, as a tree from the roots on; nothing where that is not known. And the same for pprof."""
    page, snapshot = os.path.join(folder, "page.html"), os.path.join(folder, "for-page.snap")
    check(run(neap, "report", sample.pid, "-o", page).returncode == 0, "report")
    with open(page, encoding="utf-8") as file:
        tree = re.sub(r"</?small>|<[^>]*>", lambda tag: "" if "small" in tag[0] else "\n", file.read().split("Who holds them")[1])
    steps = [line.split(" 1 maps")[0] for line in tree.splitlines() if line]
    chunks = steps.index("sessions by number (map, keys of 8 B, values of 8 B)")
    check(all("chunk of malloc+" in step for step in steps[chunks - 2:chunks]), f"report: {steps}")
    check(not symbols or (steps[chunks - 3] == "main_server" and steps[steps.index("old_table") + 1].startswith("old table (hmap")),
          f"report: {steps}")
    run(neap, "snapshot", sample.pid, "-o", snapshot)
    check(run(neap, "report", snapshot, "-o", page).returncode == 0, "report of a snapshot")
    with open(page, encoding="utf-8") as file:
        check("Who holds them" not in file.read(), "a snapshot without --graph knows no ways")
    profile = os.path.join(folder, "maps.pb.gz")
    check(run(neap, "export", sample.pid, "--pprof", "-o", profile).returncode == 0, "export --pprof")
    with gzip.open(profile) as file:
        check(not symbols or b"main_server" in file.read(), "export --pprof: no way to a map")


def fuzz(fuzzer, sample):
    """What the program's memory says is damaged on the way: the inspector ends by itself, whatever it reads."""
    done = subprocess.run([fuzzer, sample.pid, "1", str(FUZZ_ROUNDS), "linked"], capture_output=True, text=True,
                          timeout=600, check=False)
    check(done.returncode == 0, f"fuzzer: exit code {done.returncode}: {done.stderr[-200:]}")


def allow_core():
    """A core as the kernel writes it by default, without the pages of files."""
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with open("/proc/self/coredump_filter", "w", encoding="ascii") as file:
        file.write("0x33")


def from_core(neap, program, folder, symbols):
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        pattern = file.read().strip()
    if "/" in pattern or pattern.startswith("|") or resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        print(f"cores go to '{pattern}', or are limited: the core is not tested")
        return
    sample = Sample(program, env=LEFT_AS_IT_IS, cwd=folder, preexec_fn=allow_core)
    sample.process.send_signal(signal.SIGABRT)
    sample.process.wait()
    cores = [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith("core")]
    if cores:
        ask(neap, cores[0], sample.facts, symbols)
        os.unlink(cores[0])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--neap", required=True)
    parser.add_argument("--sample", required=True)
    parser.add_argument("--fuzzer", help="the program fuzz_inspect")
    parser.add_argument("--stripped", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = options.sample
        if options.stripped:
            program = shutil.copy(options.sample, os.path.join(folder, "stripped"))
            subprocess.run(["strip", program], check=True)
        sample = Sample(program, env=LEFT_AS_IT_IS)
        try:
            for mode in ([], ["--consistent"], ["--snapshot"]):
                ask(options.neap, sample.pid, sample.facts, not options.stripped, *mode)
            by_name(options.neap, sample)
            from_snapshot(options.neap, sample, folder, not options.stripped)
            report(options.neap, sample, folder, not options.stripped)
            if options.fuzzer:
                fuzz(options.fuzzer, sample)
            check(sample.answers(), "the program no longer answers")
        finally:
            sample.end()
        from_core(options.neap, program, folder, not options.stripped)
    sys.exit(1 if failures else 0)


main()
