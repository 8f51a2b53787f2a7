#!/usr/bin/env python3
"""observe.py: a running daemon, seen with the tools that people already use.

usage: observe.py NEAP DAEMON GROWER COLLECTING BUILD_DIR

Each check starts what it needs and prints "ok", or "skipped" with the reason; anything else fails.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

neap, daemon, grower, collecting, build = sys.argv[1:6]
here = pathlib.Path(__file__).resolve().parent
share = here.parent.parent / "share"
TOKEN = "s3cret"


class Skip(Exception):
    pass


def need(program, package):
    if shutil.which(program) is None:
        raise Skip(f"no {program} (apt-get install {package})")


def run(*words, code=0, timeout=120, env=None):
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
                          env={**os.environ, **(env or {})}, errors="replace")
    allowed = code if isinstance(code, tuple) else (code,)
    assert done.returncode in allowed, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


class Daemon:
    def __init__(self, seconds=120, sessions=20000):
        self.process = subprocess.Popen([daemon, "127.0.0.1:0", str(seconds), str(sessions)], stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, "TOKEN": TOKEN})
        self.port = int(re.search(r"port (\d+)", self.process.stdout.readline()).group(1))
        self.url = f"http://127.0.0.1:{self.port}"

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return answer.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, "the daemon did not end well"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def browser_modules():
    need("chromium", "chromium")
    need("node", "nodejs")
    need("npm", "npm")
    modules = pathlib.Path(build) / "playwright"
    modules.mkdir(exist_ok=True)
    if not (modules / "node_modules/playwright-core").exists():
        done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", modules,
                               "playwright-core@1"], capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            raise Skip("npm cannot install playwright-core here")
    return modules


def check_pprof(served, folder):
    need("go", "golang-go")
    before, after = folder / "before.pb.gz", folder / "after.pb.gz"
    run(neap, "profile", served.process.pid, "-o", before)
    top = run("go", "tool", "pprof", "-top", before)
    assert "Type: inuse_space" in top, top
    for kind in ("alloc_objects", "alloc_space", "inuse_objects", "live_space", "tombstone_space", "empty_space",
                 "free_held_space", "other_space"):
        assert f"Type: {kind}" in run("go", "tool", "pprof", "-top", f"-sample_index={kind}", before)
    # Enough allocations to be sampled, and their names found by build id.
    deadline = time.time() + 40
    while "load_sessions" not in run("go", "tool", "pprof", "-top", "-sample_index=alloc_space", before):
        assert time.time() < deadline, "the function that allocates is not in the profile"
        run(neap, "profile", served.process.pid, "-o", before)
    time.sleep(1)
    run(neap, "profile", f"127.0.0.1:{served.port}", "-o", after)
    diff = run("go", "tool", "pprof", "-top", f"-base={before}", "-sample_index=alloc_space", after)
    assert "Showing nodes" in diff, diff
    delta = folder / "delta.pb.gz"
    run(neap, "profile", served.process.pid, "--seconds", "1", "--gc", "-o", delta)
    assert "Duration: 1" in run("go", "tool", "pprof", "-top", delta)
    # What the endpoint itself sends, stored and not compressed.
    raw = folder / "raw.pb.gz"
    raw.write_bytes(served.get("/debug/pprof/heap"))
    raw_top = run("go", "tool", "pprof", "-raw", raw)
    total = sum(sum(int(number) for number in row.split(":")[0].split()[4:9])
                for row in raw_top.splitlines() if re.match(r"^\s+-?\d+(\s+-?\d+){8}:", row))
    rss = json.loads(served.get("/debug/account"))["rss"]
    assert abs(total - rss) < 0.1 * rss, f"the parts of the profile: {total}, resident: {rss}"


def check_pprof_web(served, folder):
    need("go", "golang-go")
    need("dot", "graphviz")
    modules = browser_modules()
    profile, port = folder / "web.pb.gz", free_port()
    deadline = time.time() + 40
    while True:
        run(neap, "profile", served.process.pid, "-o", profile)
        if "load_sessions" in run("go", "tool", "pprof", "-top", "-sample_index=alloc_space", profile):
            break
        assert time.time() < deadline, "the function that allocates is not in the profile"
    # Its own group: what go starts ends with it.
    server = subprocess.Popen(["go", "tool", "pprof", f"-http=127.0.0.1:{port}", "-no_browser", profile],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ui/top", timeout=30)
                break
            except OSError:
                assert time.time() < deadline + 20, "pprof serves nothing"
                time.sleep(0.2)
        seen = run("node", here / "pprof_page.mjs", modules, f"http://127.0.0.1:{port}",
                   pathlib.Path(build) / "pprof-page.png", "load_sessions", "alloc_slow")
        assert "pprof shows it" in seen, seen
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def check_malloc(served, folder):
    """malloc's blocks by the functions that asked for them, with libneap-malloc in its place; counted without."""
    need("go", "golang-go")
    library, profile = os.environ["NEAP_MALLOC"], folder / "malloc.pb.gz"
    for preload in ("", library):
        program = subprocess.Popen([os.environ["MALLOCS"], "60"], stdout=subprocess.PIPE, text=True,
                                   env={**os.environ, **({"LD_PRELOAD": preload} if preload else {})})
        try:
            port = re.search(r"port (\d+)", program.stdout.readline()).group(1)
            run(neap, "profile", f"127.0.0.1:{port}", "-o", profile)
            top = run("go", "tool", "pprof", "-top", "-unit=MB", "-sample_index=live_space", profile)
            told = run("go", "tool", "pprof", "-top", "-cum", "-unit=MB", "-sample_index=live_space", profile)
            account = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}/debug/account", timeout=30).read())
        finally:
            program.kill()
            program.wait()
        assert abs(account["unexplained"]) < 0.02 * account["rss"], account
        found = re.search(r"([\d.]+)MB\s+[\d.]+% +load_with_malloc", told)
        if preload:  # 10 MB in use; some twenty samples stand for them
            assert found and 4 < float(found.group(1)) < 20, told
            assert "[malloc: blocks in use]" not in top, top
        else:
            assert found is None and re.search(r"1\d\.\d+MB.*\[malloc: blocks in use\]", top), told


def check_snapshot(served, folder):
    """The program's own snapshots, by curl's way and by the tool, read as the tool's are."""
    first, second, outside = folder / "first.snap", folder / "second.snap", folder / "outside.snap"
    deadline = time.time() + 30
    while json.loads(served.get("/debug/account"))["maps"] < 3:  # it has just started
        assert time.time() < deadline, "three threads make no three maps"
        time.sleep(0.2)
    first.write_bytes(served.get("/debug/snapshot"))
    seen = run(neap, "inspect", first, code=(0, 4))  # 4: the daemon moved entries meanwhile
    assert "3 maps hold" in seen and "sessions 1" in seen and "libneap" in seen, seen
    while True:
        run(neap, "snapshot", f"127.0.0.1:{served.port}", "-o", second, code=(0, 4))
        changes = json.loads(run(neap, "diff", first, second, "--json", code=(0, 1)))["maps"]
        if changes and all(change["inserted"] + change["deleted"] > 0 for change in changes):
            break
        assert time.time() < deadline, f"nothing was inserted and deleted: {changes}"
        time.sleep(0.2)
    run(neap, "report", first, second, "-o", folder / "change.html", code=(0, 4))
    assert "What changed in" in (folder / "change.html").read_text()
    run(neap, "snapshot", served.process.pid, "-o", outside, code=(0, 4))
    assert "different secrets" in run(neap, "diff", second, outside, code=2)
    assert "different secrets" in run(neap, "report", second, outside, "-o", folder / "no.html", code=2)
    own, other = (json.loads(run(neap, "inspect", file, "--json", code=(0, 4))) for file in (second, outside))
    assert {m["held_by"] for m in own["maps"]} == {m["held_by"] for m in other["maps"]}
    assert abs(sum(own["rss"][part] for part in own["rss"] if part != "bytes") - own["rss"]["bytes"]) == 0, own["rss"]
    assert "Connection refused" in run(neap, "snapshot", f"127.0.0.1:{free_port()}", "-o", second, code=3)
    run(neap, "snapshot", f"127.0.0.1:{served.port}", "--consistent", "-o", second, code=2)
    run(neap, "snapshot", f"127.0.0.1:{served.port}", "-o", folder / "no/such", code=4)
    # A pipe is written to; a file is not put in its place, nor in a device's.
    pipe, through = folder / "pipe", folder / "through.snap"
    os.mkfifo(pipe)
    with through.open("wb") as target:
        reader = subprocess.Popen(["cat", pipe], stdout=target)
        run(neap, "snapshot", f"127.0.0.1:{served.port}", "-o", pipe, code=(0, 4))
        assert reader.wait(30) == 0 and pipe.is_fifo()
    assert "3 maps hold" in run(neap, "inspect", through, code=(0, 4))
    for command in (["snapshot", first], ["export", first, "--json"], ["export", first, "--pprof"], ["report", first]):
        node = folder / "full"
        node.unlink(missing_ok=True)
        node.symlink_to("/dev/full")
        if command[0] != "snapshot":
            assert "No space left" in run(neap, *command, "-o", node, code=4), command
        assert node.is_char_device(), command
    if os.environ["FUZZ_FILES"]:
        assert "damaged files could be read" in run(os.environ["FUZZ_FILES"], "snapshot", first, "20261122", "200")
    cut = folder / "cut.snap"
    cut.write_bytes(first.read_bytes()[:-8])
    assert "damaged" in run(neap, "inspect", cut, code=2)


def check_promtool(served, folder):
    need("promtool", "prometheus")
    metrics = folder / "metrics"
    metrics.write_bytes(served.get("/metrics"))
    with metrics.open() as text:
        done = subprocess.run(["promtool", "check", "metrics"], stdin=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = run("promtool", "check", "rules", share / "prometheus/neap-alerts.yml")
    assert "SUCCESS: 5 rules" in rules, rules
    assert "SUCCESS" in run("promtool", "test", "rules", here / "alerts.yml")
    json.loads((share / "grafana/neap.json").read_text())
    names = set(re.findall(r"^# TYPE (\S+)", metrics.read_text(), re.M))
    used = set(re.findall(r"\b((?:neap|process)_\w+?)(?:_bucket|_count|_sum)?\b(?=[{\[( ]|\\\"|$)",
                          (share / "grafana/neap.json").read_text() + (share / "prometheus/neap-alerts.yml").read_text()))
    missing = {name for name in used if name not in names}
    assert not missing, f"rules or dashboard name metrics that are not served: {missing}"


def check_prometheus(served, folder):
    need("prometheus", "prometheus")
    (folder / "rules.yml").write_text(
        "groups:\n- name: t\n  rules:\n  - alert: MapIsThere\n    expr: neap_map_instances{map=\"sessions 1\"} == 1\n")
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n"
        f"scrape_configs: [{{job_name: neap, static_configs: [{{targets: ['127.0.0.1:{served.port}']}}]}}]\n")
    port = free_port()
    server = subprocess.Popen(["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
                               f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline, firing = time.time() + 60, False
        while not firing:
            assert time.time() < deadline, "no alert fired within 60 s"
            time.sleep(0.5)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alerts", timeout=5) as answer:
                    alerts = json.load(answer)["data"]["alerts"]
                firing = any(a["state"] == "firing" and a["labels"]["alertname"] == "MapIsThere" for a in alerts)
            except OSError:
                pass
    finally:
        server.terminate()
        server.wait(30)


def check_commands(served, folder):
    pid = served.process.pid
    seen = run(neap, "top", pid, "-n", "2")
    assert len(re.findall(r"^rss [\d.]+ live", seen, re.M)) == 2, seen
    assert "nothing was done" in run(neap, "reclaim", pid)
    assert "wrong or missing token" in run(neap, "reclaim", pid, "--yes", code=3, env={"NEAP_TOKEN": "no"})
    (folder / "token").write_text(TOKEN + "\n")
    assert "resident" in run(neap, "reclaim", pid, "--yes", "--token-file", folder / "token")
    assert "debug endpoint" in run(neap, "profile", os.getpid(), code=3)
    assert "rss" in run(neap, "top", os.getpid(), "-n", "1")
    for command in ("profile", "top", "reclaim", "watch"):
        assert "no such process" in run(neap, command, "4194303", code=3)
        for nonsense in ("nonsense", "127.0.0.1:99999", "127.0.0.1:", "127.0.0.1:80x", ":80", "unix:"):
            run(neap, command, nonsense, code=2)
        run(neap, command, code=2)
        assert "usage: neap " + command in run(neap, command, "--help")
    assert "Connection refused" in run(neap, "profile", f"127.0.0.1:{free_port()}", code=3)
    run(neap, "profile", pid, "-o", folder / "no/such/folder", code=4)
    run(neap, "profile", pid, "--seconds", "0", code=2)
    assert "process_vm_readv" in run(neap, "doctor")


def check_watch(served, folder):
    # Over the limit but at rest: nothing.
    quiet = run(neap, "watch", os.getpid(), "--over", "1M", "--grow", "50M", "--for", "3", "-o", folder)
    assert "TRIGGER" not in quiet, quiet
    program = subprocess.Popen([grower, "8", "40"])
    try:
        seen = run(neap, "watch", program.pid, "--over", "20M", "--grow", "10M", "--count", "2", "--cool-down", "1",
                   "--keep", "1", "--for", "60", "-o", folder, "--metrics", folder / "watch.prom", code=1)
        assert seen.count("TRIGGER") == 2, seen
        assert "eBPF" in seen
    finally:
        program.kill()
        program.wait()
    kept = list(folder.glob("*.txt"))
    assert "no such file" in run(neap, "watch", os.getpid(), "--metrics", folder / "none/watch.prom", "--for", "1", code=4).lower()
    assert len(kept) == 1 and "VmRSS" in kept[0].read_text(), f"--keep 1 kept {kept}"
    assert "neap_watch_triggers_total" in (folder / "watch.prom").read_text()
    program = subprocess.Popen([grower, "1", "10"])
    assert "has ended" in run(neap, "watch", program.pid, "--for", "60", "-o", folder)
    program.wait()
    assert "no such folder" in run(neap, "watch", os.getpid(), "-o", folder / "none", code=2)


def check_watch_clock(served, folder):
    """The clock of the day is set back by an hour and forward by two while the program grows."""
    need("faketime", "faketime")
    shift = folder / "shift"
    shift.write_text("+0\n")
    library = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
    if library is None:
        raise Skip("no libfaketimeMT.so.1")
    program = subprocess.Popen([grower, "20", "40"])
    watch = subprocess.Popen([neap, "watch", str(program.pid), "--over", "10M", "--grow", "10M", "--count", "3",
                              "--cool-down", "2", "--for", "60", "-o", folder], stdout=subprocess.PIPE, text=True,
                             env={**os.environ, "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(shift),
                                  "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"})
    try:
        began, triggers, text = time.monotonic(), [], []
        for line in watch.stdout:
            text.append(line)
            if "TRIGGER" in line:
                triggers.append(time.monotonic() - began)
                shift.write_text("-1h\n" if len(triggers) == 1 else "+2h\n")
        assert watch.wait(60) == 1 and len(triggers) == 3, text
        gaps = [after - before for before, after in zip(triggers, triggers[1:])]
        assert all(1.5 < gap < 8 for gap in gaps), f"cool-down of 2 s, {gaps} s between the triggers"
        hours = [line.split()[0] for line in text if "TRIGGER" in line]
        assert len({hour[:2] for hour in hours}) == 3, f"the clock was not set: {hours}"
    finally:
        program.kill()
        program.wait()
        watch.kill()
        watch.wait()
    assert len(list(folder.glob("*.txt"))) == 3


def check_permission(served, folder):
    """Another user's process: what the kernel tells everybody is told, what it does not is refused in words."""
    need("setpriv", "util-linux")
    stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if os.getuid() != 0:
        raise Skip("not root: there is no stranger to be")
    pid = served.process.pid
    for command in (["profile", pid, "-o", "/dev/null"], ["inspect", pid], ["snapshot", pid, "-o", "/dev/null"],
                    ["why", pid, "0x1000"], ["reclaim", pid]):
        assert f"process {pid}" in (seen := run(*stranger, neap, *command, code=3)), f"{command}: {seen}"
        assert "may not be read; run as its user or as root" in seen, f"{command}: {seen}"
    assert "rss" in run(*stranger, neap, "top", pid, "-n", "1")
    theirs = folder / "theirs"
    theirs.mkdir()
    theirs.chmod(0o777)
    folder.chmod(0o755)
    program = subprocess.Popen([grower, "20", "40"])
    try:
        seen = run(*stranger, neap, "watch", program.pid, "--over", "10M", "--grow", "5M", "--count", "1", "--for", "30", "-o",
                   theirs, code=4)
    finally:
        program.kill()
        program.wait()
    assert "TRIGGER" in seen and "no snapshot: process" in seen and "may not be read" in seen, seen
    assert "VmRSS" in next(theirs.glob("*.txt")).read_text()
    assert served.get("/debug/account"), "the daemon is alive"


def check_watch_asks(served, folder):
    """A process that may not be read, and has an endpoint: it is asked for its snapshot."""
    refused = {"LD_PRELOAD": os.environ["REFUSE_READS"]}
    if "  yes  inspect" not in run(neap, "doctor"):
        raise Skip("built without the inspector")
    assert "may not be read" in run(neap, "inspect", served.process.pid, code=3, env=refused)
    seen = run(neap, "watch", served.process.pid, "--over", "1M", "--grow", "1k", "--count", "1", "--for", "60", "-o", folder,
               code=1, env=refused)
    assert "snapshot -> " in seen, seen
    assert "3 maps hold" in run(neap, "inspect", next(folder.glob("*.snap")), code=(0, 4))


def check_watch_disk_full(served, folder):
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    tight = folder / "read-only"
    tight.mkdir()
    mounted = subprocess.run(["unshare", "-m", "sh", "-c", f"mount -t tmpfs -o size=4k,nr_inodes=3 tmpfs {tight} && "
                              f"dd if=/dev/zero of={tight}/fill bs=4k count=1 2>/dev/null; "
                              f"{grower} 6 40 & exec {neap} watch $! --over 10M --grow 5M --count 1 --for 30 -o {tight}"],
                             capture_output=True, text=True, timeout=60)
    if "unshare" in mounted.stderr or "mount:" in mounted.stderr:
        raise Skip("no mounts here: " + mounted.stderr.strip())
    assert mounted.returncode == 4 and "No space left" in mounted.stderr, mounted.stdout + mounted.stderr


def check_watch_go(served, folder):
    need("go", "golang-go")
    if "  yes  inspect" not in run(neap, "doctor"):
        raise Skip("built without the inspector")
    source = folder / "grow.go"
    source.write_text("""package main
import "time"
var table = map[int][128]byte{}
func main() {
	for i := 0; ; i++ {
		table[i] = [128]byte{1}
		if i%20000 == 0 {
			time.Sleep(100 * time.Millisecond)
		}
	}
}
""")
    program = folder / "grow"
    run("go", "build", "-o", program, source, timeout=300, env={"GO111MODULE": "off", "GOFLAGS": ""})
    process = subprocess.Popen([program])
    try:
        seen = run(neap, "watch", process.pid, "--over", "30M", "--grow", "5M", "--count", "1", "--for", "60", "-o", folder,
                   code=(1, 4))
        assert "snapshot ->" in seen, seen
    finally:
        process.kill()
        process.wait()
    snap = next(folder.glob("grow.*.snap"))
    run(neap, "diff", snap, snap)


def library_of(pid):
    return next(line.split()[-1] for line in open(f"/proc/{pid}/maps") if "/libneap.so" in line)


def check_probes(served, folder):
    """The probes are in the file; a tracer sees them where this machine lets it."""
    need("readelf", "binutils")
    names = set(re.findall(r"Provider: neap\s+Name: (\w+)", run("readelf", "-n", library_of(served.process.pid))))
    if not names and not os.path.exists("/usr/include/x86_64-linux-gnu/sys/sdt.h"):
        raise Skip("built without sys/sdt.h (apt-get install systemtap-sdt-dev)")
    assert names == {"map__grow", "map__shrink", "map__release", "hmap__grow", "heap__release", "gc__mark", "gc__sweep",
                     "gc__end"}, names
    need("bpftrace", "bpftrace")
    program = ("usdt:*:neap:map__shrink { @shrunk[str(arg1)] = count(); } usdt:*:neap:map__grow { @grown = count(); } "
               "interval:s:4 { exit(); }")
    done = subprocess.run(["bpftrace", "-p", str(served.process.pid), "-e", program], capture_output=True, text=True,
                          timeout=60, errors="replace")
    if "@" not in done.stdout and re.search("not permitted|root user|not supported|No such file", done.stderr):
        raise Skip("the probes are in the file, bpftrace may not attach: " + done.stderr.strip().splitlines()[-1])
    assert re.search(r"@shrunk\[sessions \d\]: [1-9]", done.stdout), done.stdout + done.stderr
    assert re.search(r"@grown: [1-9]", done.stdout), done.stdout + done.stderr


def check_watch_ebpf(served, folder):
    """With eBPF where this machine allows it: tracefs is mounted for this one process when it is not there."""
    script = (f"test -d /sys/kernel/tracing/events || mount -t tracefs tracefs /sys/kernel/tracing; {grower} 8 40 & "
              f"exec {neap} watch $! --over 20M --grow 10M --count 1 --for 40 -o {folder}")
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=90)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        raise Skip("no mounts here: " + done.stderr.strip())
    refused = re.search("no eBPF: (.*?);", done.stdout)
    if refused:
        raise Skip(refused.group(1))
    assert done.returncode == 1 and "source: /proc and eBPF tracepoints" in done.stdout, done.stdout + done.stderr
    calls = re.search(r"in the last second: mmap (\d+) calls ([\d.]+) MB", done.stdout)
    assert calls and int(calls.group(1)) > 0 and float(calls.group(2)) > 1, done.stdout


def check_gdb(served, folder):
    need("gdb", "gdb")
    store = pathlib.Path(build) / "examples/session_store"
    seen = run("gdb", "-nx", "-batch", "-ex", f"source {share}/gdb/neap-gdb.py", "-ex", "set breakpoint pending on",
               "-ex", "set startup-with-shell off", "-ex", "break neap_map_destroy", "-ex", "run", "-ex", "print *map",
               "-ex", "neap-maps", store)
    if re.search(r"ptrace|Operation not permitted|Could not trace", seen):
        raise Skip("gdb may not trace here")
    assert re.search(r"\$1 = \w+: \d+ entries, \d+ slots \(tombstone \d+, empty \d+\), \d+ kB in \d+ segments", seen), seen
    assert re.search(r"^0x[0-9a-f]+ map   \w+: \d+ entries", seen, re.M), seen
    # A classic map, at its end: what the program deleted are its tombstones.
    sample = next(pathlib.Path(build).glob("tests/e2e/neap_sample_shared"), None)
    if sample is None:
        return
    seen = run("gdb", "-nx", "-batch", "-ex", f"source {share}/gdb/neap-gdb.py", "-ex", "set breakpoint pending on", "-ex",
               "set startup-with-shell off", "-ex", "break neap_hmap_destroy", "-ex", "run", "-ex", "print *map", sample)
    told = re.search(r"\$1 = classic: (\d+) entries, (\d+) slots \(tombstone (\d+), empty (\d+)\), \d+ kB in \d+ buckets$",
                     seen, re.M)
    assert told, seen
    entries, slots, tombstones, empty = map(int, told.groups())
    assert entries == slots - tombstones - empty == 20000 and 5000 < tombstones <= 10000, told.group()


def check_live_page(served, folder):
    seen = run("node", here / "live_page.mjs", browser_modules(), served.url, pathlib.Path(build) / "live-page.png", 3,
               "sessions ", TOKEN)
    assert "the page lives" in seen, seen


def check_report(served, folder):
    if "  yes  inspect" not in run(neap, "doctor"):
        raise Skip("built without the inspector")
    modules = browser_modules()
    before, after, page = folder / "before.snap", folder / "after.snap", folder / "report.html"
    run(neap, "snapshot", served.process.pid, "-o", before, code=(0, 4))
    time.sleep(1)
    run(neap, "snapshot", served.process.pid, "-o", after, code=(0, 4))
    run(neap, "report", before, after, "-o", page, code=(0, 4))  # 4: the daemon went on in between
    seen = run("node", here / "report_page.mjs", modules, page, pathlib.Path(build) / "report-page.png")
    for name in ("sessions 0", "sessions 1", "sessions 2"):
        assert name in seen, f"{name} is not in the report:\n{seen}"
    assert int(re.search(r"(\d+) rectangles are seen", seen).group(1)) > 20, seen
    assert "Who holds them" not in seen, "a snapshot without --graph does not know"
    run(neap, "report", served.process.pid, "-o", page, code=(0, 4))
    seen = run("node", here / "report_page.mjs", modules, page, pathlib.Path(build) / "report-page.png")
    holders = seen.split("Who holds them")[1]
    assert re.search(r"^\S.* \d+ maps, .*gives back ", holders, re.M), seen


def check_collector(served, folder):
    """A program with a collector, and a map whose name must be escaped: its metrics and its live page."""
    program = subprocess.Popen([collecting, "60"], stdout=subprocess.PIPE, text=True)
    try:
        url = "http://127.0.0.1:" + re.search(r"port (\d+)", program.stdout.readline()).group(1)
        deadline = time.time() + 30
        while True:
            metrics = urllib.request.urlopen(url + "/metrics", timeout=30).read().decode()
            cycles = int(re.search(r'^neap_gc_cycles_total{reason="automatic"} (\d+)$', metrics, re.M).group(1))
            if cycles > 0:
                break
            assert time.time() < deadline, "no collection within 30 s"
            time.sleep(0.2)
        last = float(re.search(r"^neap_memstats_last_gc_time_seconds (\S+)$", metrics, re.M).group(1))
        assert abs(time.time() - last) < 60, f"the last collection ended at {last}"
        stops = int(re.search(r"^neap_gc_stop_seconds_count (\d+)$", metrics, re.M).group(1))
        assert stops >= cycles, f"{stops} stops in {cycles} cycles"
        label = r'{map="\"quoted\" \\ and\nbroken <b>",kind="map"}'
        assert "neap_map_instances" + label in metrics, metrics
        shown = json.load(urllib.request.urlopen(url + "/debug/maps", timeout=30))["shown"]
        assert [each["name"] for each in shown] == ['"quoted" \\ and\nbroken <b>'], shown
        if shutil.which("promtool"):
            done = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stdout + done.stderr
        seen = run("node", here / "live_page.mjs", browser_modules(), url, pathlib.Path(build) / "live-page-gc.png", 1,
                   '"quoted" \\ and')
        assert "the page lives" in seen, seen
    finally:
        program.kill()
        program.wait()


def main():
    failed = 0
    served = Daemon()
    checks = [check_pprof, check_pprof_web, check_malloc, check_snapshot, check_promtool, check_prometheus, check_commands, check_watch,
              check_watch_clock, check_watch_asks, check_watch_disk_full, check_permission, check_watch_go, check_watch_ebpf, check_probes, check_gdb, check_live_page, check_report, check_collector]
    for check in checks:
        began = time.time()
        with tempfile.TemporaryDirectory() as folder:
            try:
                check(served, pathlib.Path(folder))
                verdict = "ok"
            except Skip as reason:
                verdict = f"skipped: {reason}"
            except Exception as error:  # the next check may still tell something
                verdict = f"FAILED: {type(error).__name__}: {error}"
                failed += 1
        print(f"{check.__name__[6:]:<18} {verdict} ({time.time() - began:.1f} s)", flush=True)
    served.stop()
    return 1 if failed else 0


sys.exit(main())
