#!/usr/bin/env python3
"""neap inspect against a Go program's own truth.

usage: inspect_go.py --neap TOOL --source FILE --case CASE [--go GO]

Builds the sample as CASE says, runs it, and compares what the inspector reports with what the program printed.
Exit status: 0 all agree, 1 something differs, 77 when there is no Go toolchain or no right to read a process.
"""
import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILDS = {
    "full": [],
    "nodwarf": ["-ldflags=-w"],
    "nosymbols": ["-ldflags=-s -w"],
    "stripped": ["strip"],
    "pie": ["-buildmode=pie"],
    "cgo": ["-ldflags=-linkmode=external"],
    "static": ["-ldflags=-linkmode=external -extldflags=-static"],
    "core": [],
    "churn": [],
    "consistent": [],
    "snapshot": [],
    "harmless": [],
    "diff": [],
    "export": [],
    "fuzz": [],
}
WITH_C = ("cgo", "static")  # linked by the C compiler, dynamically and not
MODES = ("consistent", "snapshot")  # of stopping the program
FUZZ_ROUNDS = 12
SKIP = 77
failures = []


def check(condition, message):
    if not condition:
        failures.append(message)
        print("FAIL:", message)


def skip(reason):
    print("skipped:", reason)
    sys.exit(SKIP)


def minor_of(go):
    text = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"go1\.(\d+)", text)[1])


def build(go, source, case, folder):
    flags = [flag for flag in BUILDS[case] if flag != "strip"]
    program = os.path.join(folder, "sample")
    environment = dict(os.environ, GO111MODULE="off", GOFLAGS="", GOTOOLCHAIN="local",
                       GOCACHE=os.environ.get("GOCACHE", os.path.join(folder, "cache")))
    sources = [source]
    if minor_of(go) >= 24:
        sources.append(source.replace(".go", "_new.go"))
    if case in WITH_C:
        sources.append(source.replace(".go", "_c.go"))
    subprocess.run([go, "build", *flags, "-o", program, *sources], env=environment, check=True)
    if "strip" in BUILDS[case]:
        subprocess.run(["strip", program], check=True)
    return program


class Sample:
    """The running sample and what it said about itself."""

    def __init__(self, program, *arguments):
        # a stack that shrinks leaves another behind, with addresses in it on which the next goroutine begins
        environment = dict(os.environ, GODEBUG="gcshrinkstackoff=1")
        self.process = subprocess.Popen([program, *arguments], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.truth = {}
        for line in self.process.stdout:
            if line.strip() == "ready":
                break
            fact = json.loads(line)
            self.truth[fact["label"]] = fact

    @property
    def pid(self):
        return self.process.pid

    def answers(self, line="ping"):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip() == "pong"

    def state(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0]

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def inspect(neap, target, *arguments):
    done = subprocess.run([neap, "inspect", str(target), "--json", *arguments], capture_output=True, text=True,
                          timeout=120, check=False)
    if done.returncode == 3 and "may not be read" in done.stderr:
        skip(done.stderr.strip())
    return done


def compare_map(label, fact, maps):
    found = maps.get(fact["address"])
    if found is None:
        check(False, f"{label}: no map at {fact['address']}")
        return
    check(found["len"] == fact["len"], f"{label}: len {found['len']}, the program says {fact['len']}")
    check(found["live"] == fact["len"], f"{label}: {found['live']} live slots, the program says {fact['len']}")
    states = sum(found[state] for state in ("live", "tombstones", "empty", "moved", "stale"))
    check(states == found["slots"], f"{label}: the states of {states} slots of {found['slots']}")
    sure = found["confidence"] in ("typed", "header", "inferred")
    check(not sure or found["type"] == fact["type"], f"{label}: {found['confidence']} as {found['type']}, "
          f"is {fact['type']}")
    hashed = fact["type"].startswith(("map[uint64]", "map[int]", "map[uint32]", "map[string]", "map[*", "map[[16]uint8]", "map[main.Point]"))
    if found["type"] == fact["type"] and hashed and not found["growing"] and fact["len"] > 0:
        check(found["hash_checked"] > 0, f"{label}: no hash was checked")
    check(found["type"] != fact["type"] or found["hash_agreed"] == found["hash_checked"],
          f"{label}: {found['hash_agreed']} of {found['hash_checked']} hashes agree")
    check(not found["torn"], f"{label}: torn")
    check(found["reachable"], f"{label}: reported as garbage")


def compare(report, truth, case):
    maps = {found["address"]: found for found in report["maps"]}
    for label, fact in truth.items():
        # an empty map without a holder of known type can't be told from other objects, and is left out
        unsure = fact.get("len", 0) == 0 and case in ("nodwarf", "nosymbols", "stripped")
        if "address" in fact and not (unsure and fact["address"] not in maps):
            compare_map(label, fact, maps)
    check(report["torn"] == 0, f"{report['torn']} torn reads of an idle program")
    # types of one shape, told apart by the hashes of the keys
    vague = [label for label in ("ratios", "alike") if maps.get(truth[label]["address"], {}).get("confidence") == "ambiguous"]
    check(not vague, f"{vague}: no type")
    for found in report["maps"]:
        check(found["hash_agreed"] == found["hash_checked"], f"{found['type']} at {found['address']}: "
              f"{found['hash_agreed']} of {found['hash_checked']} hashes agree")
    objects = truth["memstats"]["objects"]
    check(abs(report["objects"] - objects) <= objects / 1000, f"{report['objects']} objects, MemStats {objects}")
    if case in ("full", "core", "nodwarf", "pie", *WITH_C):
        smalls = [found for found in report["maps"] if found["type"] == "map[string]interface {}"]
        check(len(smalls) == truth["smalls"]["many"], f"{len(smalls)} of {truth['smalls']['many']} small maps")
        # one holder, the slice's array, from which each map hangs by another word; without DWARF it has no elements
        places = {found["held_by"] for found in smalls}
        distinct = case == "nodwarf" or len(places) == len(smalls)
        check(distinct and all("main.smalls" in place for place in places),
              f"{len(places)} places of {len(smalls)} small maps: {sorted(places)[:3]}")
    # frames are named by unwinding, with or without symbols
    for label in ("kept", "local"):
        holder = maps.get(truth[label]["address"], {}).get("held_by", "")
        check("main.holdOnStack" in holder, f"{label} is held by {holder}")
    for label in ("final", "cleaned", "captured"):  # the last two from Go 1.24 on
        holder = maps.get(truth.get(label, {}).get("address"), {}).get("held_by", "")
        check(label not in truth or holder.startswith("a finalizer or cleanup"), f"{label} is held by {holder}")
    compare_stale(report, truth)
    compare_rss(report["rss"])


def compare_holders(report, truth):
    """With debug information the types of what DWARF alone describes are known too."""
    held = {found["address"]: found["held_by"] for found in report["maps"]}
    for label, way in (("on the rack", "main.rack+8 -> main.Shelf.books"), ("behind", "main.behind -> ")):
        found = held.get(truth[label]["address"], "")
        check(found.startswith(way) and found.endswith("main.Shelf.books"), f"{label}: held by {found}")


def compare_stale(report, truth):
    """A classic map keeps 1500 deleted nodes and their bodies alive; a Swiss map keeps nothing."""
    classic = int(report["go"].split(".")[1]) < 24 or "noswissmap" in os.environ.get("GOEXPERIMENT", "")
    stale = {entry["map"]: entry for entry in report["stale"]}
    objects = stale.get(truth["stale"]["address"], {"objects": 0})["objects"]
    # a forgotten pointer on the stack may hold one or two of them besides
    check(2990 <= objects <= 3000 if classic else objects == 0,
          f"{objects} objects are kept by the unfinished growth")


def compare_rss(rss):
    parts = sum(rss[part] for part in ("live", "tombstone", "empty", "stale", "objects", "free_held", "other",
                                       "unexplained"))
    check(parts == rss["bytes"], f"the parts add up to {parts}, RSS is {rss['bytes']}")
    check(abs(rss["unexplained"]) <= rss["bytes"] / 50, f"{rss['unexplained']} of {rss['bytes']} unexplained")


def check_layout(tool, program):
    """The table's row for this version against the DWARF of the sample."""
    done = subprocess.run([tool, program], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"layout: {done.stdout}{done.stderr}")


# A program that says it is of another version, for which there is no row: (what it is, what it says, the exit code).
NEIGHBOURS = {19: ("go1.19.", "go1.20.", 5), 21: ("go1.21.", "go1.20.", 5), 24: ("go1.24.", "go1.25.", 5),
              27: ("go1.27.", "go1.28.", 0)}


def with_other_bytes(program, old, new):
    with open(program, "rb") as file:
        content = file.read()
    check(old in content, f"{old} is not in the program")
    changed = program + ".other"
    with open(changed, "wb") as file:
        file.write(content.replace(old, new))
    os.chmod(changed, 0o755)
    return changed


def check_no_buildinfo(options, program):
    """Without build information, and without symbols, the runtime's own variable tells the version."""
    sample = Sample(with_other_bytes(program, b"\xff Go buildinf:", b"\xff no buildinf:"))
    try:
        done = inspect(options.neap, sample.pid)
        check(done.returncode == 0, f"no build information: exit code {done.returncode}: {done.stderr}")
        if done.returncode == 0:
            compare(json.loads(done.stdout), sample.truth, "stripped")
    finally:
        sample.end()


def check_neighbour(options, program):
    """The row of a neighbour is believed when all of it fits, and refused by what does not."""
    minor = minor_of(options.go)
    if minor not in NEIGHBOURS:
        return
    own, other, code = NEIGHBOURS[minor]
    sample = Sample(with_other_bytes(program, own.encode(), other.encode()))
    try:
        done = inspect(options.neap, sample.pid)
        check(done.returncode == code, f"{own} as {other}: exit code {done.returncode}: {done.stderr}")
        check(code == 5 or json.loads(done.stdout)["layout"] == "neighbouring version", f"{own} as {other}: {done.stdout[:300]}")
        check(code == 0 or other in done.stderr, f"{own} as {other}: {done.stderr}")
    finally:
        sample.end()


def run_static(options, program, case):
    if case == "stripped":
        check_no_buildinfo(options, program)
        check_neighbour(options, program)
    if case == "full" and options.layout_check:
        check_layout(options.layout_check, program)
    sample = Sample(program)
    try:
        target, extra = sample.pid, [f"--{case}"] if case in MODES else []
        if case == "core":
            if shutil.which("gcore") is None:
                skip("no gcore (Debian package gdb)")
            core = os.path.join(os.path.dirname(program), "core")
            subprocess.run(["gcore", "-o", core, str(sample.pid)], check=True, capture_output=True)
            target = f"{core}.{sample.pid}"
            check_cut(options.neap, target, program)
            if options.file_fuzzer:
                done = subprocess.run([options.file_fuzzer, "core", target, "1", "2"], capture_output=True, text=True,
                                      check=False)
                check(done.returncode == 0, f"damaged cores: exit code {done.returncode}: {done.stderr[-200:]}")
        done = inspect(options.neap, target, *extra)
        check(done.returncode == 0, f"exit code {done.returncode}: {done.stderr}")
        if done.returncode == 0:
            report = json.loads(done.stdout)
            compare(report, sample.truth, "full" if case in MODES else case)
            check((report["stopped_ms"] > 0) == (case in MODES), f"stopped for {report['stopped_ms']} ms")
            ask_why(options.neap, target, sample.truth, case)
            if case in ("full", "core", "pie"):
                compare_holders(json.loads(inspect(options.neap, target).stdout), sample.truth)
        if case == "full":
            ask_retained(options.neap, target, sample.truth)
            ask_screens(options.neap, target, sample.truth)
        ask_close_up(options.neap, target, sample.truth)
        check(sample.answers(), "the program no longer answers")
        check_alone(sample.pid)
    finally:
        sample.end()
    if case in MODES:
        run_moment(options, program, case)


def check_runs(sample):
    """The guard of a copy may be waiting for it at this moment: the program is stopped for a millisecond then."""
    for _ in range(100):
        if sample.state() in "RSD":
            return
        time.sleep(0.02)
    check(False, f"the program is in state {sample.state()}")


def check_alone(pid):
    """No copy and no zombie is left, once the guard had its moment."""
    children = []
    for _ in range(100):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = file.read().split()
        if not children:
            return
        time.sleep(0.05)
    check(False, f"the program was left with the children {children}")


def run_moment(options, program, case):
    """A program that writes all the time, seen at one moment: at most the entry that was just being written is off. A
    moment inside the growth of the map, when its header is half written, is tried once more."""
    sample = Sample(program, "churn")
    try:
        for _ in range(5):
            done = inspect(options.neap, sample.pid, f"--{case}")
            check(done.returncode in (0, 4), f"exit code {done.returncode}: {done.stderr}")
            report = json.loads(done.stdout)
            check(report["torn"] <= 2, f"{report['torn']} torn")
            churned = [found for found in report["maps"] if found["address"] == sample.truth["churned"]["address"]]
            check(len(churned) == 1 or (not churned and report["torn"] > 0), f"{len(churned)} maps that change")
            check(all(abs(found["live"] - found["len"]) <= 1 for found in churned),
                  f"the map that changes: {churned}")
        check(sample.answers(), "the program no longer answers")
        check_alone(sample.pid)
    finally:
        sample.end()


def check_cut(neap, core, program):
    """gcore writes the list of files last. Without it the program must be named, and the result is partial;
    cut anywhere else, the core is refused by name or read in part, and never crashes the tool."""
    size = os.path.getsize(core)
    cut = core + ".cut"
    random.seed(3)
    pages = random.sample(range(1, size // 4096), 16)
    subprocess.run(["cp", "--sparse=always", core, cut], check=True)
    for left in sorted([size - 16384, 64, 10, *(page * 4096 for page in pages)], reverse=True):
        os.truncate(cut, left)
        done = inspect(neap, cut, "--program", program)
        check(done.returncode in (2, 4, 5), f"core cut to {left} bytes: exit code {done.returncode}: {done.stderr}")
        if left == size - 16384:
            check(done.returncode == 4 and len(json.loads(done.stdout)["maps"]) > 2000,
                  f"core without notes: exit code {done.returncode}: {done.stderr}")
        elif done.returncode == 5:
            check("cut short" in done.stderr, f"core cut to {left} bytes: {done.stderr}")
    os.unlink(cut)


def ask_why(neap, target, truth, case):
    done = subprocess.run([neap, "why", str(target), truth["numbers"]["address"], "--json"], capture_output=True,
                          text=True, check=False)
    check(done.returncode == 0, f"why: exit code {done.returncode}: {done.stderr}")
    path = json.loads(done.stdout)
    check(path["reachable"] and path["retained_bytes"] > 2000000, "why: numbers retains its array")
    if case in ("full", "nodwarf", "core", "pie"):
        check(path["path"][0]["root"] == "main.numbers", f"why: root {path['path'][0]['root']}")


def ask_close_up(neap, target, truth):
    """Probe lengths as the program computed them with the runtime's own hash; of a classic map, positions in chains."""
    for label in ("numbers", "names", "hashes", "points"):
        done = inspect(neap, target, "--map", truth[label]["address"])
        check(done.returncode == 0, f"--map: exit code {done.returncode}: {done.stderr}")
        view = json.loads(done.stdout)
        check(sum(view["probes"]) == truth[label]["len"] and view["misplaced"] == 0, f"{label}: probes {view}")
        check(sum(view["groups_by_live"]) * 8 == view["map"]["slots"] and sum(view["pages_by_live"]) == view["pages"] > 0,
              f"{label}: groups and pages {view}")
        # a page counts once, however many groups lie on it and in whatever order they are walked
        check(view["pages"] * 4096 <= view["map"]["bytes"] * 1.25 + 65536, f"{label}: {view['pages']} pages for {view['map']['bytes']} bytes")
        own = truth.get(f"probes of {label}")
        check(own is None or (own["probes"], own["depth"], own["tables"]) == (view["probes"], view["directory_depth"],
              view["tables"]), f"{label}: {view}, the program says {own}")


def ask_screens(neap, target, truth):
    """What only people read: who holds maps together, keys as they are, and the exit code of --fail-over."""
    def screen(*arguments):
        return subprocess.run([neap, "inspect", str(target), *arguments], capture_output=True, text=True, check=False)
    text = screen("--all").stdout
    together = re.search(r"^ +2 000 .*  main\.smalls -> \[\]map\[string\]interface \{\}\[\]$", text, re.M)
    check(together is not None, "the small maps are not shown together")
    keys = screen("--map", truth["points"]["address"], "--show-keys").stdout
    check(re.search(r"live +[0-9a-f]{8}ffffffff$", keys, re.M), f"points: keys {keys[-400:]}")
    check(re.search(r"live +-?\d+$", screen("--map", truth["caught"]["address"], "--show-keys").stdout, re.M), "caught: keys")
    check(re.search(r"live +nan$", screen("--map", truth["floats"]["address"], "--show-keys").stdout, re.M | re.I), "floats: keys")
    check("live  " not in screen("--map", truth["points"]["address"]).stdout, "keys that nobody asked for")
    check((screen("--fail-over", "1k").returncode, screen("--fail-over", "1G").returncode) == (1, 0), "--fail-over")


def ask_retained(neap, target, truth):
    """What each map keeps alive: no less than itself; of `numbers`, which holds no pointers, little more (the runtime's
    list of its overflow buckets); and what why says."""
    done = inspect(neap, target, "--retained")
    check(done.returncode == 0, f"--retained: exit code {done.returncode}: {done.stderr}")
    maps = {found["address"]: found for found in json.loads(done.stdout)["maps"]}
    numbers, cache = maps[truth["numbers"]["address"]], maps[truth["cache"]["address"]]
    # a word that was left on a stack may hold one of a Swiss map's many arrays besides
    check(numbers["bytes"] * 0.9 <= numbers["retained"] <= numbers["bytes"] * 1.1, f"numbers keeps {numbers['retained']} of {numbers['bytes']} bytes")
    check(cache["retained"] > cache["bytes"] * 0.9, f"cache keeps {cache['retained']}, holds {cache['bytes']}")
    why = subprocess.run([neap, "why", str(target), truth["cache"]["address"], "--json"], capture_output=True, text=True,
                         check=False)
    check(json.loads(why.stdout)["retained_bytes"] == cache["retained"], "inspect and why differ")
    screen = subprocess.run([neap, "inspect", str(target), "--retained"], capture_output=True, text=True, check=False)
    check(" KEEPS " in screen.stdout, f"--retained: {screen.stdout[:400]}")
    plain = inspect(neap, target)
    check("retained" not in plain.stdout, "retained bytes that nobody asked for")


def run_churn(options, program):
    """A program that writes all the time: every map that does not change is exact, the rest is close or torn."""
    sample = Sample(program, "churn")
    changing = ("cache", "churned", "memstats", "smalls")
    whole, reads = 0, []
    try:
        for _ in range(5):
            done = inspect(options.neap, sample.pid)
            check(done.returncode in (0, 4), f"exit code {done.returncode}: {done.stderr}")
            report = json.loads(done.stdout)
            maps = {found["address"]: found for found in report["maps"]}
            whole += report["torn"] == 0
            reads.append(report["stop_reads"])
            # their arrays are younger than any list of spans: they are read in the stop
            for label in ("cache", "churned"):
                found = maps.get(sample.truth[label]["address"])
                check(report["torn"] > 0 or (found is not None and abs(found["live"] - found["len"]) <= 1),
                      f"{label}, which changes all the time: {found}")
            for label, fact in sample.truth.items():
                if label not in changing and fact.get("len", 0) > 0:
                    compare_map(label, fact, maps)
        # what a rehearsal has found is read with one call: some 400 spans a map were five calls each
        check(sorted(reads)[2] <= 200, f"calls in the stops: {reads}")
        check(whole > 0, f"{whole} of 5 looks saw all maps as they were")
    finally:
        sample.end()


def run_fuzz(options, program):
    """The program's memory, and files about it, damaged in many ways: the inspector ends by itself, never crashes."""
    sample = Sample(program)
    snapshot = os.path.join(os.path.dirname(program), "good.snap")
    try:
        subprocess.run([options.neap, "snapshot", str(sample.pid), "-o", snapshot], check=True)
        for arguments in (["snapshot", snapshot, "1", "150"], ["program", program, "1", "4", str(sample.pid)]):
            done = subprocess.run([options.file_fuzzer, *arguments], capture_output=True, text=True, check=False)
            check(done.returncode == 0, f"{arguments[0]}: exit code {done.returncode}: {done.stderr[-200:]}")
            print(done.stdout.strip())
        done = subprocess.run([options.fuzzer, str(sample.pid), "1", str(FUZZ_ROUNDS)], capture_output=True, text=True,
                              check=False)
        check(done.returncode == 0, f"fuzzer: exit code {done.returncode}: {done.stderr[-200:]}")
        print(done.stdout.strip())
    finally:
        sample.end()


def ask_kept_path(neap, snapshot, truth):
    """A snapshot says who held a map, and what would have gone with it, when the process is no more."""
    address = truth["cache"]["address"]
    done = subprocess.run([neap, "why", snapshot, address, "--json"], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"why of a snapshot: exit code {done.returncode}: {done.stderr}")
    answer = json.loads(done.stdout)
    check("main.cache" in answer["path"][0]["root"] and answer["path"][-1]["address"] == address and
          answer["retained_bytes"] > 0, f"why of a snapshot: {answer}")
    text = subprocess.run([neap, "why", snapshot, address], capture_output=True, text=True, check=False).stdout
    check("  root     " in text and "main.cache" in text and "would free" in text, f"why of a snapshot: {text}")
    done = subprocess.run([neap, "why", snapshot, "0x10"], capture_output=True, text=True, check=False)
    check(done.returncode == 2 and "--graph" in done.stderr, f"why of no map: {done.returncode}: {done.stderr}")


def ask_whole(neap, sample, whole):
    """A snapshot with every object answers as the process does: of each object on the way to a map, and of the map."""
    done = subprocess.run([neap, "snapshot", str(sample.pid), "-o", whole, "--graph"], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"snapshot --graph: exit code {done.returncode}: {done.stderr}")
    def why(target, address):
        text = subprocess.run([neap, "why", target, address, "--json"], capture_output=True, text=True, check=False).stdout
        answer = json.loads(text)
        return [step["address"] for step in answer["path"]], answer["path"][0], answer["retained_bytes"], answer.get("dominator")
    asked = {sample.truth[label]["address"] for label in ("numbers", "cache", "points")}
    asked |= {address for map_ in list(asked) for address in why(str(sample.pid), map_)[0][1:]}
    for address in asked:
        live, kept = why(str(sample.pid), address), why(whole, address)
        check(live == kept, f"why {address}: {live}, in the snapshot {kept}")
    done = subprocess.run([neap, "why", whole, "0x10"], capture_output=True, text=True, check=False)
    check(done.returncode == 1 and "nothing" in done.stdout, f"why of no object: {done}")


def run_diff(options, program):
    """Two snapshots around a known change; then damaged files, which are refused by name."""
    sample = Sample(program)
    folder = os.path.dirname(program)
    before, after = os.path.join(folder, "before.snap"), os.path.join(folder, "after.snap")
    try:
        for file, line in ((before, "change"), (after, "ping")):
            done = subprocess.run([options.neap, "snapshot", str(sample.pid), "-o", file, "--retained"], check=False)
            check(done.returncode == 0, f"snapshot: exit code {done.returncode}")
            check(sample.answers(line), "the program no longer answers")
        ask_whole(options.neap, sample, os.path.join(folder, "whole.snap"))
    finally:
        sample.end()
    done = subprocess.run([options.neap, "diff", before, after, "--json"], capture_output=True, text=True, check=False)
    check(done.returncode == 1, f"diff: exit code {done.returncode}: {done.stderr}")
    changes = {change["address"]: change for change in json.loads(done.stdout)["maps"]}
    expect = {"numbers": ("deleted", 300), "points": ("inserted", 40), "wideKeys": ("fate", "gone")}
    for label, (what, value) in expect.items():
        found = changes.get(sample.truth[label]["address"], {}).get(what)
        check(found == value, f"diff: {label}: {what} is {found}, not {value}")
    inserted = changes[sample.truth["numbers"]["address"]]["inserted"]
    check(inserted == 50, f"diff: numbers: {inserted} inserted, not 50")
    ask_kept_path(options.neap, before, sample.truth)
    same = subprocess.run([options.neap, "diff", before, before], capture_output=True, check=False)
    check(same.returncode == 0, f"diff of a snapshot with itself: exit code {same.returncode}")
    damage(options.neap, before, os.path.join(folder, "damaged.snap"))
    damage(options.neap, os.path.join(folder, "whole.snap"), os.path.join(folder, "damaged.snap"))


def run_export(options, program):
    """What other tools are given: opened by go tool pprof, valid as JSON, and without reference to anything outside."""
    sample = Sample(program)
    folder = os.path.dirname(program)
    files = {form: os.path.join(folder, form) for form in ("pprof", "heapsnapshot", "json", "html", "snap")}
    try:
        for form in ("pprof", "heapsnapshot", "json"):
            done = subprocess.run([options.neap, "export", str(sample.pid), f"--{form}", "-o", files[form]], check=False)
            check(done.returncode == 0, f"export --{form}: exit code {done.returncode}")
        subprocess.run([options.neap, "snapshot", str(sample.pid), "-o", files["snap"]], check=True)
        check(sample.answers("change"), "the program no longer answers")
        done = subprocess.run([options.neap, "report", files["snap"], str(sample.pid), "-o", files["html"]], check=False)
        check(done.returncode == 0, f"report: exit code {done.returncode}")
    finally:
        sample.end()
    with open(files["json"], encoding="utf-8") as file:
        report = json.load(file)
    check_pprof(options.go, files["pprof"], report)
    check_heapsnapshot(files["heapsnapshot"], report)
    with open(files["html"], encoding="utf-8") as file:
        page = file.read()
    check("main.numbers" in page and "<svg" in page and "What changed" in page, "the report lacks a part")
    check("http" not in page and "<script" not in page and "session:" not in page, "the report refers outside or shows keys")
    from_snapshot = inspect(options.neap, files["snap"])
    check(len(json.loads(from_snapshot.stdout)["maps"]) == len(report["maps"]), "a snapshot has other maps")


def check_pprof(go, file, report):
    for index in ("held", "reclaimable", "retained", "maps"):
        done = subprocess.run([go, "tool", "pprof", "-top", "-unit=B", f"-sample_index={index}", file],
                              capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"go tool pprof: {done.stderr}")
        if index in ("held", "reclaimable"):
            check(f"of {report[index]}B total" in done.stdout, f"{index}: {report[index]} is not in {done.stdout[:300]}")
    check("main.smalls" in done.stdout and "main.Tree.kids" in done.stdout, f"no holder in {done.stdout[:600]}")


def check_heapsnapshot(file, report):
    with open(file, encoding="utf-8") as opened:
        heap = json.load(opened)
    nodes, edges, meta = heap["nodes"], heap["edges"], heap["snapshot"]
    check(len(nodes) == 7 * meta["node_count"] and len(edges) == 3 * meta["edge_count"], "heapsnapshot: counts")
    check(sum(nodes[4::7]) == meta["edge_count"], "heapsnapshot: edges of the nodes")
    check(meta["node_count"] == report["objects"] + 1, f"heapsnapshot: {meta['node_count']} nodes")
    check(sum(nodes[3::7]) == report["object_bytes"], f"heapsnapshot: {sum(nodes[3::7])} bytes")
    check(all(target % 7 == 0 and target < len(nodes) for target in edges[2::3]), "heapsnapshot: an edge to nowhere")
    check(max(nodes[1::7]) < len(heap["strings"]) and "main.Entry" in heap["strings"], "heapsnapshot: names")


def damage(neap, good, bad):
    """Cut anywhere, or with any byte changed, a snapshot is refused: exit code 2 and one line."""
    random.seed(2)
    with open(good, "rb") as file:
        content = file.read()
    for round_number in range(60):
        changed = bytearray(content)
        if round_number % 2:
            changed[random.randrange(len(changed) if round_number > 20 else 128)] ^= 1 << random.randrange(8)
        else:
            del changed[random.randrange(len(changed) if round_number > 20 else 128):]
        with open(bad, "wb") as file:
            file.write(changed)
        done = subprocess.run([neap, "diff", bad, good], capture_output=True, text=True, check=False)
        check(done.returncode == 2 and bad in done.stderr,
              f"damaged snapshot: exit code {done.returncode}: {done.stderr}")


def run_harmless(options, program):
    """The inspector dies at any moment, then the program does: neither harms the other."""
    random.seed(1)
    sample = Sample(program, "churn")
    try:
        for round_number in range(24):
            mode = ([], ["--consistent"], ["--snapshot"])[round_number % 3]
            tool = subprocess.Popen([options.neap, "inspect", str(sample.pid), *mode], stdout=subprocess.DEVNULL)
            time.sleep(random.uniform(0, 0.2))
            tool.send_signal(signal.SIGKILL)
            tool.wait()
            check(sample.answers(), "the program no longer answers after the inspector was killed")
            check_runs(sample)
        check_alone(sample.pid)
    finally:
        sample.end()
    for round_number in range(12):
        mode = ([], ["--consistent"], ["--snapshot"])[round_number % 3]
        sample = Sample(program)
        tool = subprocess.Popen([options.neap, "inspect", str(sample.pid), *mode], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, 0.2))
        sample.end()
        code = tool.wait(timeout=60)
        check(code in (0, 2, 3, 4, 5), f"the inspector ended with {code} when the program died")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--neap", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--case", required=True, choices=sorted(BUILDS))
    parser.add_argument("--go", default="go")
    parser.add_argument("--layout-check", help="the program golayout_check")
    parser.add_argument("--fuzzer", help="the program fuzz_inspect")
    parser.add_argument("--file-fuzzer", help="the program fuzz_files")
    options = parser.parse_args()
    if shutil.which(options.go) is None:
        skip("no Go toolchain (Debian package golang-go)")
    with tempfile.TemporaryDirectory() as folder:
        program = build(options.go, options.source, options.case, folder)
        if options.case == "churn":
            run_churn(options, program)
        elif options.case == "harmless":
            run_harmless(options, program)
        elif options.case == "fuzz":
            run_fuzz(options, program)
        elif options.case == "export":
            run_export(options, program)
        elif options.case == "diff":
            run_diff(options, program)
        else:
            run_static(options, program, options.case)
    sys.exit(1 if failures else 0)


main()
