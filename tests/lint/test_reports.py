#!/usr/bin/env python3
"""Every rule has its pair, its section and its voice: text with a caret, JSON and SARIF say the same of every fixture.

usage: test_reports.py NEAP SOURCE-ROOT FIXTURE...

- Each rule of `neap lint --rules` has a function that is bad and one that is good, with a reason, and a section in
  docs/lint.md with the rule's own words and an example of both.
- A finding is told in all three forms at the same place, and in text the caret stands below the character.
- What the SARIF schema cannot say: indices lead to the rule that is named, relative paths stand on a base that the run
  gives and exist there, columns are within their line.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

wrong = []


def check(holds, words):
    if not holds:
        wrong.append(words)


def run(neap, *words):
    done = subprocess.run([neap, "lint", "--no-cache", *map(str, words)], capture_output=True, text=True, check=False)
    check(done.returncode in (0, 1), f"neap lint {words} ends with {done.returncode}: {done.stderr}")
    return done.stdout


def rules(neap):
    """Identifier to what is said of the rule."""
    return dict(re.findall(r"^(\S+)\n  (.+)$", run(neap, "--rules"), re.M))


def check_docs(text, known):
    sections = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", text.split("\n## The rules\n")[1], re.M | re.S))
    check(sections.keys() == known.keys(), f"docs/lint.md: sections and rules differ: {sections.keys() ^ known.keys()}")
    for rule, section in sections.items():
        plain = re.sub(r"[^a-z0-9]+", " ", section.lower())
        for sentence in known.get(rule, "").lower().split(". "):
            check(re.sub(r"[^a-z0-9]+", " ", sentence).strip() in plain, f"docs/lint.md: {rule} does not say: {sentence}")
        for word in ("Bad", "Good"):
            check(re.search(rf"^{word}:\n\n    \S", section, re.M), f"docs/lint.md: {rule} shows nothing that is {word.lower()}")


def check_pairs(fixtures, known):
    labels = [label for path in fixtures for label in re.findall(r"^// (bad|good) ([^:\n]*)(?:: *(.*))?$", path.read_text(), re.M)]
    for kind, rule, reason in labels:
        check(rule in known, f"a fixture is {kind} by {rule}, which is no rule")
        check(reason, f"a fixture is {kind} by {rule} and does not say why")
    for rule in known:
        for kind in ("bad", "good"):
            check(any(label[:2] == (kind, rule) for label in labels), f"{rule}: no fixture is {kind}")


def places_in_text(out, where):
    """(file, line, column, rule) of each finding; looks at the line of source and the caret below it."""
    lines = out.splitlines()
    for i, line in enumerate(lines):
        head = re.match(r"(\S.*?):(\d+):(\d+): .* \[([\w-]+)\]$", line)
        check(head or line.startswith(" ") or not line, f"{where}: a line of text that is no finding: {line}")
        if not head:
            continue
        path, number, column, rule = head[1], int(head[2]), int(head[3]), head[4]
        source = pathlib.Path(path).read_text().splitlines()[number - 1]
        before = source.encode()[: column - 1].decode()
        caret = re.sub(r"[^\t]", " ", before) + "^"
        check(lines[i + 1 : i + 3] == [f"{number:6} | {source}", f"       | {caret}"],
              f"{where}: the source and caret of {line} are {lines[i + 1 : i + 3]}")
        yield path, number, column, rule


def places_in_sarif(log, where):
    sarif = log["runs"][0]
    base = sarif["originalUriBaseIds"]["SOURCES"]["uri"]
    check(base.startswith("file:///") and base.endswith("/"), f"{where}: the base of paths is {base}")
    check(sarif["columnKind"] == "unicodeCodePoints", f"{where}: columns are {sarif['columnKind']}")
    for result in sarif["results"]:
        rule = sarif["tool"]["driver"]["rules"][result["ruleIndex"]]["id"]
        check(rule == result["ruleId"], f"{where}: index {result['ruleIndex']} is {rule}, not {result['ruleId']}")
        check(result["message"]["text"], f"{where}: a result says nothing")
        for location in result["locations"] + result.get("relatedLocations", []):
            place = location["physicalLocation"]
            check(place["artifactLocation"].get("uriBaseId") == "SOURCES", f"{where}: {place} stands on nothing")
            lines = pathlib.Path(place["artifactLocation"]["uri"]).read_text().splitlines()
            line = lines[place["region"]["startLine"] - 1]
            check(1 <= place["region"].get("startColumn", 1) <= len(line), f"{where}: {place} is beyond its line")
        place = result["locations"][0]["physicalLocation"]
        line = pathlib.Path(place["artifactLocation"]["uri"]).read_text().splitlines()[place["region"]["startLine"] - 1]
        column = len(line[: place["region"]["startColumn"] - 1].encode()) + 1
        yield place["artifactLocation"]["uri"], place["region"]["startLine"], column, rule


def check_forms(neap, words, where):
    """The findings of a run, told three ways."""
    text = list(places_in_text(run(neap, *words), where))
    found = json.loads(run(neap, "--json", *words))["findings"]
    plain = [(f["file"], f["line"], f["column"], f["rule"]) for f in found]
    sarif = list(places_in_sarif(json.loads(run(neap, "--sarif", *words)), where))
    check(text == plain, f"{where}: text and JSON differ in {set(text) ^ set(plain)}")
    check(sarif == plain, f"{where}: SARIF and JSON differ in {set(sarif) ^ set(plain)}")
    check(all(f["message"] and f["function"] for f in found), f"{where}: a finding without words or without a function")
    return plain


def main():
    neap, root = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    fixtures = [pathlib.Path(name) for name in sys.argv[3:]]
    known = rules(neap)
    check_docs((root / "docs/lint.md").read_text(), known)
    check_pairs(fixtures, known)
    told = set()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for path in fixtures:  # below the current folder, where paths are relative
            for file in (*path.parent.glob("*.h"), *path.parent.glob(path.stem + ".*")):
                (work / file.name).write_bytes(file.read_bytes())
        (work / "wide.c").write_text('#include <string.h>\nvoid f(char *to, const char *from)\n{\n'
                                     '\t(void)"Grüße, 世界 🙂"; strcpy(to, from);\n}\n', encoding="utf-8")
        os.chdir(work)
        for path in fixtures:
            api = ["--api", path.stem + ".api"] if (work / (path.stem + ".api")).exists() else []
            told |= {place[3] for place in check_forms(neap, [f"-I{root / 'include'}", *api, path.name], path.name)}
        check(check_forms(neap, ["wide.c"], "wide.c") != [], "wide.c: nothing is found")
    check(told == known.keys(), f"nothing is told of {known.keys() - told}")
    print("\n".join(wrong) or f"{len(known)} rules, told three ways over {len(fixtures)} fixtures")
    return 1 if wrong else 0


sys.exit(main())
