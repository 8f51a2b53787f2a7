#!/usr/bin/env python3
"""neap inspect on a real daemon, Debian's prometheus or etcd, at work on loopback, against its own metrics.

usage: inspect_daemon.py NEAP prometheus|etcd

Prometheus keeps every series of its head in maps of one type; their entries together must be as many as the series that it
counts itself in prometheus_tsdb_head_series. etcd keeps its leases in one map, which must have as many entries as were
granted and not revoked. Exit status: 0 agreed, 1 differed, 77 when the daemon or the right to read a process is missing.
"""
import collections
import concurrent.futures
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

SERIES_MAP = "tsdb.memSeries"
FEW, SECONDS = 300, 90  # series of a prometheus that scrapes itself; for it to start on a busy machine
LEASE_MAP, LEASES, LEASES_KEPT = "map[lease.LeaseID]*lease.Lease", 600, 40
LOOKS = 8  # at a daemon that works until there were so many
SKIP = 77


def skip(reason):
    print("skipped:", reason)
    sys.exit(SKIP)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def head_series(port):
    """What the daemon counts; 0 while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            found = re.search(r"^prometheus_tsdb_head_series (\S+)$", answer.read().decode(), re.M)
            return int(float(found[1])) if found else 0
    except OSError:
        return 0


def seen_series(neap, pid):
    """What the inspector counts, and the exit code."""
    done = subprocess.run([neap, "inspect", str(pid), "--json"], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 3 and "may not be read" in done.stderr:
        skip(done.stderr.strip())
    if done.returncode not in (0, 4):
        return f"exit code {done.returncode}: {done.stderr}", done.returncode
    maps = json.loads(done.stdout)["maps"]
    return sum(found["len"] for found in maps if found["type"].endswith(SERIES_MAP) and "map[string]" not in found["type"]
               and found["reachable"]), done.returncode


def looks_at_work(neap, daemon, work):
    """Looks while the daemon works as hard as `work` makes it: whole, or torn and counted as that, and how long it stood."""
    codes, stops, works, reads, enough = collections.Counter(), [], [], [], threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        working = pool.submit(work, enough)
        while not working.done():
            done = subprocess.run([neap, "inspect", str(daemon.pid), "--json"], capture_output=True, text=True, timeout=60,
                                  check=False)
            if done.returncode == 3 and "may not be read" in done.stderr:
                skip(done.stderr.strip())
            codes[done.returncode] += 1
            if sum(codes.values()) >= LOOKS:
                enough.set()
            if done.returncode in (0, 4):
                report = json.loads(done.stdout)
                codes["wrong"] += (report["torn"] > 0) != (done.returncode == 4)
                stops.append(report["stopped_ms"])
                works.append(report["stop_work_ms"])
                reads.append(report["stop_reads"])
        working.result()
    print(f"{len(stops)} looks at work: {codes[0]} with exit code 0, {codes[4]} with 4; stopped for {sorted(stops)[len(stops) // 2]} ms "
          f"in the median, {max(stops)} at most; of that after the last thread had stopped {sorted(works)[len(works) // 2]} and "
          f"{max(works)} ms, {max(reads)} reads")
    return not codes["wrong"] and set(codes) <= {0, 4, "wrong"}


def ask_prometheus(port, enough):
    """Queries over all series, eight at a time."""
    def ask(number):
        while not enough.is_set():
            query = urllib.parse.urlencode({"query": 'count by (__name__) ({__name__=~".+"})', "time": time.time() - number})
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=60).close()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))


def compare(neap, daemon, port):
    """Asks until the count was the same before and after the look: then the look must say the same."""
    deadline, seen = time.monotonic() + SECONDS, None
    while time.monotonic() < deadline:
        before = head_series(port)
        if before < FEW:
            time.sleep(0.5)
            continue
        seen, code = seen_series(neap, daemon.pid)
        if seen == before == head_series(port) and code == 0:
            print(f"{seen} series, by the daemon's metrics and in its maps")
            return looks_at_work(neap, daemon, lambda enough: ask_prometheus(port, enough))
        time.sleep(0.5)
    print(f"FAIL: the daemon counts {head_series(port)} series, the inspector {seen}")
    return False


def run_prometheus(neap, folder):
    port = free_port()
    config = os.path.join(folder, "prometheus.yml")
    with open(config, "w", encoding="ascii") as file:
        file.write("global: {scrape_interval: 1s}\nscrape_configs:\n"
                   f"- {{job_name: self, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n")
    return (["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb",
             f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
            lambda daemon: compare(neap, daemon, port), lambda: head_series(port) > 0)


def ask_etcd(port, path, question):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(question).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def etcd_leases(port):
    """What the daemon counts: granted less revoked; -1 while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return sum(sign * int(float(re.search(rf"^etcd_debugging_lease_{what}_total (\S+)$", text, re.M)[1]))
                   for sign, what in ((1, "granted"), (-1, "revoked")))
    except OSError:
        return -1


def load_etcd(port):
    """Grants leases and revokes most of them: what is left is a map far larger than its entries."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(lambda _: ask_etcd(port, "/v3/lease/grant", {"TTL": 3600})["ID"], range(LEASES)))
        list(pool.map(lambda lease: ask_etcd(port, "/v3/lease/revoke", {"ID": lease}), granted[LEASES_KEPT:]))


def compare_etcd(neap, daemon, port):
    deadline = time.monotonic() + SECONDS
    while etcd_leases(port) < 0 and time.monotonic() < deadline:
        time.sleep(0.3)
    worked = looks_at_work(neap, daemon, lambda _: load_etcd(port))
    counted = etcd_leases(port)
    done = subprocess.run([neap, "inspect", str(daemon.pid), "--json"], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 3 and "may not be read" in done.stderr:
        skip(done.stderr.strip())
    found = [found for found in json.loads(done.stdout)["maps"] if found["type"] == LEASE_MAP and found["reachable"]]
    good = counted == LEASES_KEPT and len(found) == 1 and found[0]["len"] == counted and found[0]["live"] == counted
    # a revoked lease leaves its number behind in its slot
    good = good and found[0]["slots"] >= LEASES and LEASES // 2 <= found[0]["ghosts"] <= LEASES - LEASES_KEPT
    print("" if good else "FAIL: ", f"{counted} leases by the daemon's metrics, in its maps {found}", sep="")
    return good and worked


def run_etcd(neap, folder):
    port, peer = free_port(), free_port()
    client = f"http://127.0.0.1:{port}"
    return (["etcd", "--data-dir", f"{folder}/etcd", "--listen-client-urls", client, "--advertise-client-urls", client,
             "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
             "--initial-cluster", f"default=http://127.0.0.1:{peer}", "--log-level", "error"],
            lambda daemon: compare_etcd(neap, daemon, port), lambda: etcd_leases(port) >= 0)


DAEMONS = {"prometheus": ("prometheus", run_prometheus), "etcd": ("etcd-server", run_etcd)}


def main():
    neap, name = os.path.abspath(sys.argv[1]), sys.argv[2]
    package, run = DAEMONS[name]
    if shutil.which(name) is None:
        skip(f"no {name} (Debian package {package})")
    with tempfile.TemporaryDirectory() as folder:
        command, agrees, answers = run(neap, folder)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
            try:
                agreed = agrees(daemon)
                alive = daemon.poll() is None and answers()
                if not alive:
                    print("FAIL: the daemon no longer answers")
            finally:
                daemon.kill()
                daemon.wait()
    sys.exit(0 if agreed and alive else 1)


main()
