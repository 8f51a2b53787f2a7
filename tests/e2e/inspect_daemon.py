#!/usr/bin/env python3
"""neap inspect on a real daemon: Debian's prometheus, at work on loopback, against its own metrics.

usage: inspect_daemon.py NEAP

Prometheus keeps every series of its head in maps of one type; their entries together must be as many as the series that it
counts itself in prometheus_tsdb_head_series. Exit status: 0 agreed, 1 differed, 77 when prometheus or the right to read a
process is missing.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

SERIES_MAP = "tsdb.memSeries"
FEW, SECONDS = 300, 90  # series of a prometheus that scrapes itself; for it to start on a busy machine
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
            return True
        time.sleep(0.5)
    print(f"FAIL: the daemon counts {head_series(port)} series, the inspector {seen}")
    return False


def main():
    neap = os.path.abspath(sys.argv[1])
    if shutil.which("prometheus") is None:
        skip("no prometheus (Debian package prometheus)")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "prometheus.yml")
        with open(config, "w", encoding="ascii") as file:
            file.write("global: {scrape_interval: 1s}\nscrape_configs:\n"
                       f"- {{job_name: self, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n")
        with subprocess.Popen(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb",
                               f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
            try:
                agreed = compare(neap, daemon, port)
                alive = daemon.poll() is None and head_series(port) > 0
                if not alive:
                    print("FAIL: the daemon no longer answers")
            finally:
                daemon.kill()
                daemon.wait()
    sys.exit(0 if agreed and alive else 1)


main()
