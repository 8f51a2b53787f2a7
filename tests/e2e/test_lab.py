#!/usr/bin/env python3
"""test_lab.py: `neap tour` and `neap lab` as a person runs them, with good input and with bad.

usage: test_lab.py NEAP [unittest arguments]
"""
import html.parser
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

NEAP = os.path.abspath(sys.argv.pop(1))
PARTS = ("live", "tombstone", "empty", "free_held", "other", "unexplained")
EXPERIMENTS = ("gate", "hmap-layout", "map-shrinks", "map-sharing", "map-misuse", "release-ways", "key-types",
               "nested-values", "delete-million", "delete-impact", "release-latency", "pool", "generations", "hooks",
               "rss-account", "profile-diff", "watch-trigger", "serve", "inspect-go",
               "concurrent-map", "cache-leak", "span-life", "interface-fates", "pointer-fates", "leaks",
               "memstats", "finalizer", "keepalive", "zero-keepalive", "gc-latency", "reachability")
# Small enough for CI, large enough for every claim.
SIZES = {"nested-values": 3000, "delete-million": 40000, "release-latency": 200000, "map-shrinks": 50000,
         "delete-impact": 50000, "rss-account": 30000, "release-ways": 40000, "key-types": 100000, "generations": 1000,
         "concurrent-map": 100000, "cache-leak": 5000, "leaks": 1000, "gc-latency": 20000}


def neap(*arguments, stdin=subprocess.DEVNULL, timeout=120, **environment):
    """Runs the command without a terminal; its exit code, output and errors."""
    env = {**os.environ, **environment}
    done = subprocess.run([NEAP, *map(str, arguments)], stdin=stdin, capture_output=True, timeout=timeout,
                          env=env, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Page(html.parser.HTMLParser):
    """Collects what a page would load, and its visible words."""

    def __init__(self):
        super().__init__()
        self.loads, self.stack, self.words = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "link", "img", "input", "br", "hr"):
            self.stack.append(tag)
        self.loads += [(tag, name, value) for name, value in attrs if name in ("src", "href", "data", "action")]

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            raise ValueError(f"</{tag}> closes nothing")

    def handle_data(self, data):
        if self.stack and self.stack[-1] not in ("script", "style"):
            self.words.append(data)


class InFolder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="neap-e2e.")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name, content=None):
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
        return path

    def words(self, n):
        return self.path("words", b"".join(b"word-%d\n" % i for i in range(n)))


class Tour(InFolder):
    def test_screen_fits_and_adds_up(self):
        report = self.path("tour.html")
        code, out, err = neap("tour", "--keys", self.words(60000), "-o", report)
        self.assertEqual(code, 0, out + err)
        lines = out.splitlines()
        self.assertLessEqual(max(map(len, lines)), 80, out)
        self.assertLessEqual(len(lines), 26, out)
        self.assertNotIn("\033", out)
        self.assertIn("60,000 lines of words", out)
        rows = [line for line in lines if re.search(r"(loaded|deleted) +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +-?[\d.]+ +[\d.]+$", line)]
        self.assertEqual(len(rows), 6, out)
        for row in rows:
            *parts, rss = [float(number) for number in row.split()[-7:]]
            self.assertAlmostEqual(sum(parts), rss, delta=0.4, msg=row)
        self.check_page(report, charts=2)

    def check_page(self, path, charts):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        page = Page()
        page.feed(text)
        page.close()
        self.assertEqual(page.stack, [])
        self.assertEqual(page.loads, [], "a report loads nothing")
        self.assertIn("default-src 'none'", text)
        self.assertIn("unexplained", " ".join(page.words))
        self.assertFalse([name for name in os.listdir(os.path.dirname(path)) if ".html." in name])
        chromium = shutil.which("chromium")
        if chromium is None:
            print("no chromium: the page's script was not run", file=sys.stderr)
            return
        done = subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                               f"--user-data-dir={self.folder}/chromium", "--virtual-time-budget=4000", "--dump-dom",
                               "file://" + path], capture_output=True, timeout=90, check=False)
        dom = done.stdout.decode()
        self.assertIn(f'data-charts="{charts}"', dom, done.stderr.decode())
        self.assertEqual(dom.count("<canvas"), charts)

    def test_json_parts_sum_to_rss_exactly(self):
        code, out, err = neap("tour", "--keys", self.words(30000), "--json", "--no-report")
        self.assertEqual(code, 0, err)
        result = json.loads(out)
        self.assertEqual(result["schema"], 1)
        self.assertEqual(len(result["accounts"]), 6)
        for account in result["accounts"]:
            self.assertEqual(sum(account[part] for part in PARTS), account["rss"], account)
        entries = {name: figure["value"] for name, figure in result["figures"].items() if name.endswith("_entries")}
        self.assertEqual(entries["classic_loaded_entries"], 30000)
        self.assertEqual(entries["neap_all_deleted_entries"], 0)
        self.assertEqual(entries["neap_one_percent_entries"], entries["classic_one_percent_entries"])
        self.assertGreater(result["figures"]["classic_loaded_rss"]["value"], 1 << 20)

    def test_paths_of_a_tree(self):
        tree = self.path("tree")
        for i in range(300):
            os.makedirs(f"{tree}/{i % 20}/{i}")
        code, out, err = neap("tour", "--root", tree, "--no-report")
        self.assertEqual(code, 0, err)
        self.assertIn("321 paths", out)

    def test_files_that_vanish_while_it_looks(self):
        tree = self.path("tree")
        os.mkdir(tree)
        stop = threading.Event()

        def churn():
            while not stop.is_set():
                for i in range(200):
                    os.makedirs(f"{tree}/d{i}/e")
                for i in range(200):
                    shutil.rmtree(f"{tree}/d{i}")

        churner = threading.Thread(target=churn)
        churner.start()
        try:
            for _ in range(5):
                code, out, err = neap("tour", "--root", tree, "--no-report")
                self.assertEqual(code, 0, out + err)
        finally:
            stop.set()
            churner.join()

    def test_colour_only_on_a_terminal(self):
        words = self.words(2000)
        for no_colour, expected in (("", True), ("1", False)):
            leader, follower = pty.openpty()
            process = subprocess.Popen([NEAP, "tour", "--keys", words, "--no-report"], stdout=follower,
                                       stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                       env={**os.environ, "NO_COLOR": no_colour, "TERM": "xterm"})
            os.close(follower)
            seen = b""
            try:
                while chunk := os.read(leader, 4096):
                    seen += chunk
            except OSError:  # the terminal's other end is gone
                pass
            os.close(leader)
            self.assertEqual(process.wait(), 0)
            self.assertEqual(b"\033[" in seen, expected)

    def test_plain_letters_in_the_c_locale(self):
        code, out, _ = neap("tour", "--keys", self.words(2000), "--no-report", LC_ALL="C")
        self.assertEqual(code, 0)
        self.assertTrue(out.isascii())
        self.assertIn("# live", out)

    def test_keys_are_never_shown(self):
        secret = self.path("keys", b"".join(b"secret-%d\n" % i for i in range(20000)))
        report = self.path("r.html")
        for arguments in (("tour", "--keys", secret, "-o", report), ("tour", "--keys", secret, "--json", "-o", report)):
            code, out, err = neap(*arguments)
            self.assertEqual(code, 0, err)
            with open(report, encoding="utf-8") as file:
                self.assertNotIn("secret-", out + err + file.read())


class BadInput(InFolder):
    def refused(self, code, words, *arguments, **more):
        started = time.monotonic()
        got, out, err = neap(*arguments, **more)
        self.assertEqual(got, code, out + err)
        self.assertIn(words, err)
        self.assertEqual(out, "", "nothing is shown of a run that did not happen")
        self.assertLess(time.monotonic() - started, 20)

    def both(self, code, words, *options, **more):
        report = self.path("refused.html")
        self.refused(code, words, "tour", *options, "-o", report, **more)
        self.refused(code, words, "lab", "run", "map-shrinks", *options, "-o", report, **more)
        self.refused(code, words, "lab", "run", "map-shrinks", "--json", *options, **more)
        self.assertFalse(os.path.exists(report))

    def test_empty(self):
        self.both(2, "no keys in it", "--keys", self.path("empty", b""))
        self.both(2, "no keys in it", "--keys", self.path("blank", b"\n\n\n"))
        self.both(2, "standard input: no keys", "--keys", "-")

    def test_binary(self):
        self.both(2, "a NUL byte at offset", "--keys", "/bin/true")
        self.both(2, "--null", "--keys", self.path("junk", bytes(range(256)) * 100))

    def test_one_line_of_a_gigabyte(self):
        line = self.path("line")
        with open(line, "wb") as file:
            chunk = b"k" * (1 << 20)
            for _ in range(1024):
                file.write(chunk)
        self.both(2, "line 1 is longer than 65536 bytes", "--keys", line)

    def test_missing(self):
        self.both(3, "No such file", "--keys", self.path("vanished"))
        self.refused(3, "no path in it", "tour", "--root", self.path("vanished"), "--no-report")

    def test_directory(self):
        self.both(2, "directory", "--keys", self.folder)

    def test_duplicates_are_kept_once_and_counted(self):
        keys = self.path("twice", b"".join(b"key-%d\n" % (i % 5000) for i in range(20000)))
        code, out, err = neap("tour", "--keys", keys, "--json", "--no-report")
        self.assertEqual(code, 0, err)
        figures = json.loads(out)["figures"]
        self.assertEqual(figures["duplicate_keys"]["value"], 15000)
        self.assertEqual(figures["neap_loaded_entries"]["value"], 5000)
        code, out, _ = neap("tour", "--keys", keys, "--no-report")
        self.assertIn("15,000 duplicate keys", out)

    def test_one_key(self):
        code, out, err = neap("tour", "--keys", self.path("one", b"only"), "--no-report")
        self.assertEqual(code, 0, err)
        self.assertIn("1 lines of one", out)

    def test_command_lines(self):
        for arguments in (("tour", "--n", "0"), ("tour", "--n", "many"), ("tour", "--n", "-5"), ("tour", "--frobnicate"),
                          ("tour", "file"), ("tour", "--keys"), ("lab", "run"), ("lab", "run", "no-such"), ("lab", "walk"),
                          ("lab", "run", "map-shrinks", "--all"), ("lab", "run", "a", "b"),
                          ("lab", "run", "map-shrinks", "--seed", "x"), ("lab", "run", "--all", "-o", "x.html"),
                          ("lab", "run", "--all", "--keys", "-")):
            got, _, err = neap(*arguments)
            self.assertEqual(got, 2, arguments)
            self.assertIn("try: neap", err)


class FullDisk(InFolder):
    def tiny_disk(self):
        disk = self.path("disk")
        os.mkdir(disk)
        mounted = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk], capture_output=True, check=False).returncode == 0
        if not mounted:
            self.skipTest("no right to mount a small disk; /dev/full is tested")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        return disk

    def test_a_small_disk_keeps_the_old_report(self):
        disk = self.tiny_disk()
        report = os.path.join(disk, "report.html")
        with open(report, "w", encoding="ascii") as file:
            file.write("old")
        for command in (("tour", "--keys", self.words(3000)), ("lab", "run", "map-sharing")):
            code, out, err = neap(*command, "-o", report)
            self.assertEqual(code, 4, err)
            self.assertIn("No space left on device", err)
            self.assertIn("nothing was left behind", err)
            self.assertNotEqual(out, "", "the screen does not need the disk")
            self.assertEqual(os.listdir(disk), ["report.html"])
            with open(report, encoding="ascii") as file:
                self.assertEqual(file.read(), "old")

    def test_dev_full(self):
        code, _, err = neap("tour", "--keys", self.words(3000), "-o", "/dev/full")
        self.assertEqual(code, 4)
        self.assertIn("No space left on device", err)

    def test_no_such_folder(self):
        code, _, err = neap("lab", "run", "map-sharing", "-o", self.path("none/report.html"))
        self.assertEqual(code, 4)
        self.assertIn("No such file or directory", err)

    def test_standard_output_is_full(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([NEAP, "lab", "run", "map-sharing", "--json"], stdout=full, stderr=subprocess.PIPE,
                                  check=False)
        self.assertEqual(done.returncode, 4)
        self.assertIn(b"standard output could not be written", done.stderr)


class Lab(InFolder):
    def run_json(self, *arguments, **more):
        code, out, err = neap("lab", "run", "--json", *arguments, **more)
        self.assertIn(code, (0, 1), err)
        return code, json.loads(out)

    def test_every_experiment_holds(self):
        for name in EXPERIMENTS:
            with self.subTest(name):
                size = ("--n", SIZES[name]) if name in SIZES else ()
                code, result = self.run_json(name, *size)
                failed = [check["sentence"] for check in result["checks"] if not check["holds"]]
                self.assertEqual((code, result["verdict"], failed), (0, "holds", []), "\n".join(result["evidence"]))
                self.assertEqual((result["schema"], result["name"]), (1, name))
                self.assertTrue(result["claim"] and result["method"] and result["environment"]["kernel"])
                self.assertLessEqual(max(map(len, result["evidence"])), 80, name)
                if name in ("release-ways", "delete-million", "concurrent-map", "cache-leak", "leaks",
                            "gc-latency") and shutil.which("go"):
                    self.assertTrue([figure for figure in result["figures"] if figure.startswith("go_")])

    def test_list_names_all(self):
        code, out, _ = neap("lab", "list")
        self.assertEqual(code, 0)
        self.assertEqual(tuple(line.split()[0] for line in out.splitlines() if line[0] != " "), EXPERIMENTS)
        self.assertLessEqual(max(map(len, out.splitlines())), 80)

    def test_own_keys(self):
        code, result = self.run_json("map-shrinks", "--keys", self.words(20000))
        self.assertEqual((code, result["verdict"]), (0, "holds"))
        self.assertIn("20,000 lines of words", result["title"])

    def test_no_go(self):
        code, result = self.run_json("release-ways", "--n", 25000, NEAP_GO="/nonexistent/go")
        self.assertEqual((code, result["verdict"]), (0, "holds"))
        self.assertIn("Go's own figures are missing:\n  no Go here", "\n".join(result["evidence"]))
        self.assertLessEqual(max(map(len, result["evidence"])), 80)

    def test_leaks_without_go_are_those_of_c(self):
        code, result = self.run_json("leaks", NEAP_GO="/nonexistent/go")
        self.assertEqual((code, result["verdict"], len(result["checks"])), (0, "holds", 18))
        self.assertIn("Go's own figures are missing:\n  no Go here", "\n".join(result["evidence"]))
        for name, figure in result["figures"].items():
            if name.endswith("_leaking"):
                self.assertGreater(figure["value"], result["figures"][name.replace("_leaking", "_cured")]["value"])

    def test_a_broken_go_is_told(self):
        code, result = self.run_json("release-ways", "--n", 25000, NEAP_GO="/bin/false")
        self.assertEqual(code, 0)
        self.assertIn("go build ended with exit status 1", "\n".join(result["evidence"]))

    def test_a_claim_that_fails_exits_1(self):
        # A "go" whose program dies: the peer's part of the claim can't be shown.
        fake = self.path("go", b'#!/bin/sh\nprintf "#!/bin/sh\\nexit 9\\n" > "$3"; chmod +x "$3"\n')
        os.chmod(fake, 0o755)
        code, result = self.run_json("delete-million", "--n", 25000, NEAP_GO=fake)
        self.assertEqual((code, result["verdict"]), (1, "fails"))
        self.assertIn("exit status 9", [check["sentence"] for check in result["checks"] if not check["holds"]][0])
        code, out, _ = neap("lab", "run", "delete-million", "--n", 25000, NEAP_GO=fake)
        self.assertEqual(code, 1)
        self.assertIn("FAILS", out)

    def test_too_few_keys_is_skipped_with_a_reason(self):
        code, result = self.run_json("release-latency", "--n", 100)
        self.assertEqual((code, result["verdict"]), (0, "skipped"))
        self.assertIn("too few", result["reason"])


if __name__ == "__main__":
    unittest.main()
