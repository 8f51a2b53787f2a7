#!/usr/bin/env python3
"""neap inspect, snapshot and diff against the truth of a program linked with libneap, stripped and not.

usage: inspect_neap.py --neap TOOL --sample PROGRAM [--stripped]

Exit status: 0 all agree, 1 something differs, 77 when processes may not be read here.
"""
import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

from linked_sample import Sample, check, failures, run


def compare_maps(report, truth):
    maps = {found["held_by"]: found for found in report["maps"]}
    check(len(report["maps"]) == 4, f"{len(report['maps'])} maps, the program has 4")
    for label in ("sessions", "routes", "empty", "classic"):
        found = maps.get(label)
        check(found is not None, f"{label} was not found")
        if found is None:
            continue
        fact = truth[label]
        for field in ("address", "len", "slots", "tombstones", "bytes"):
            check(field not in fact or found[field] == fact[field],
                  f"{label}: {field} is {found[field]}, the program says {fact.get(field)}")
        check(found["live"] == fact["len"] and not found["torn"], f"{label}: {found['live']} live, torn {found['torn']}")


def compare(report, truth):
    compare_maps(report, truth)
    rss = report["rss"]
    parts = sum(value for part, value in rss.items() if part != "bytes")
    check(parts == rss["bytes"], f"the parts add up to {parts}, RSS is {rss['bytes']}")
    live = truth["heap"]["live"]
    check(live <= rss["objects"] <= live * 4 and rss["free_held"] > live, f"heap: {rss}, of which {live} live")
    check(rss["empty"] > 1000000, "the empty slots of sessions are not seen")
    check(report["torn"] == 0, f"{report['torn']} torn")


def look(neap, sample):
    for mode in ([], ["--consistent"], ["--snapshot"]):
        done = run(neap, "inspect", sample.pid, "--json", *mode)
        check(done.returncode == 0, f"{mode}: exit code {done.returncode}: {done.stderr}")
        if done.returncode == 0:
            compare(json.loads(done.stdout), sample.truth)
    screen = run(neap, "inspect", sample.pid).stdout
    check("sessions" in screen and "GIVES BACK" in screen, f"the screen: {screen}")
    close = run(neap, "inspect", sample.pid, "--map", sample.truth["routes"]["address"]).stdout
    check("groups by live slots" in close, f"--map: {close}")
    held(neap, sample.pid, sample.truth["routes"]["address"])
    refused(neap, "inspect", sample.pid, "--retained")
    check(sample.answers(), "the program no longer answers")


def held(neap, target, address):
    """By the stack or a register of the only thread: main() has the maps in local variables."""
    done = run(neap, "why", target, address, "--json")
    check(done.returncode == 0, f"why {target}: exit code {done.returncode}: {done.stderr}{done.stdout}")
    path = json.loads(done.stdout)["path"] if done.returncode == 0 else [{"root": ""}]
    check(path[0]["root"].startswith(("stack of thread", "register")) and path[-1]["address"] == address, f"why: {path}")


def refused(neap, *command):
    """One clear line that says what to do instead."""
    done = run(neap, *command)
    check(done.returncode == 2 and done.stdout == "", f"{command}: exit code {done.returncode}: {done.stdout}")
    check(("neap inspect" in done.stderr) if command[0] == "why" else ("Go program" in done.stderr),
          f"{command}: {done.stderr}")


def allow_core():
    """A whole core, with the pages of files: of a shared libneap the constant data, where the beacon is."""
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with open("/proc/self/coredump_filter", "w", encoding="ascii") as file:
        file.write("0x3f")


def from_core(neap, program, folder):
    """The kernel's core of the program says of its maps what the program says."""
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        pattern = file.read().strip()
    if "/" in pattern or pattern.startswith("|") or resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        print(f"cores go to '{pattern}', or are limited: the core is not tested")
        return
    sample = Sample(program, cwd=folder, preexec_fn=allow_core)
    sample.process.send_signal(signal.SIGABRT)
    sample.process.wait()
    cores = [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith("core")]
    if not cores:
        print("the kernel wrote no core: it is not tested")
        return
    done = run(neap, "inspect", cores[0], "--json")
    check(done.returncode == 0, f"core: exit code {done.returncode}: {done.stderr}")
    if done.returncode == 0:
        report = json.loads(done.stdout)
        compare_maps(report, sample.truth)
        # what the heap reserved and never touched is no resident memory
        check(report["rss"]["bytes"] <= os.stat(cores[0]).st_blocks * 512, f"core: {report['rss']}")
        check(report["rss"]["objects"] >= sample.truth["heap"]["live"], f"core: {report['rss']}")
    held(neap, cores[0], sample.truth["routes"]["address"])
    os.unlink(cores[0])


def from_gcore(neap, sample, folder):
    """So does gcore's, which takes in everything that is readable and not marked: it must not write out the gigabytes of
    address space that maps and heap reserve."""
    if shutil.which("gcore") is None:
        print("no gcore (Debian package gdb): its core is not tested")
        return
    core = os.path.join(folder, "live")
    subprocess.run(["gcore", "-o", core, str(sample.pid)], check=True, capture_output=True)
    core = f"{core}.{sample.pid}"
    with open(f"/proc/{sample.pid}/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    size = os.stat(core).st_size
    check(size < 4 * resident + (64 << 20), f"gcore: {size} bytes for {resident} resident")
    done = run(neap, "inspect", core, "--json")
    check(done.returncode == 0, f"gcore: exit code {done.returncode}: {done.stderr}")
    if done.returncode == 0:
        compare_maps(json.loads(done.stdout), sample.truth)
    os.unlink(core)


def differ(neap, sample, folder):
    before, after = os.path.join(folder, "before.snap"), os.path.join(folder, "after.snap")
    check(run(neap, "snapshot", sample.pid, "-o", before).returncode == 0, "snapshot")
    check(sample.answers("change"), "the program no longer answers")
    check(run(neap, "snapshot", sample.pid, "-o", after).returncode == 0, "second snapshot")
    done = run(neap, "diff", before, after, "--json")
    changes = json.loads(done.stdout)["maps"]
    check(done.returncode == 1 and len(changes) == 1, f"diff: {done.returncode}, {changes}")
    check(changes[0]["deleted"] == 100 and changes[0]["inserted"] == 10, f"diff: {changes}")
    check(changes[0]["address"] == sample.truth["sessions"]["address"], f"diff: {changes}")
    slots = run(neap, "diff", before, after, "--map", changes[0]["address"]).stdout
    check(slots.count("deleted ") == 100 and slots.count("inserted ") == 10, f"diff --map: {slots[:200]}")
    refused(neap, "why", before, sample.truth["routes"]["address"])
    refused(neap, "inspect", before, "--retained")
    shown = run(neap, "inspect", before, "--json")
    compare(json.loads(shown.stdout), sample.truth)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--neap", required=True)
    parser.add_argument("--sample", required=True)
    parser.add_argument("--stripped", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = options.sample
        if options.stripped:
            program = shutil.copy(options.sample, os.path.join(folder, "stripped"))
            subprocess.run(["strip", program], check=True)
        from_core(options.neap, program, folder)
        sample = Sample(program)
        try:
            look(options.neap, sample)
            from_gcore(options.neap, sample, folder)
            differ(options.neap, sample, folder)
        finally:
            sample.end()
    sys.exit(1 if failures else 0)


main()
