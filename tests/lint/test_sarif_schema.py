#!/usr/bin/env python3
"""What `neap lint --sarif` prints is valid under the JSON schema of SARIF 2.1.0.

usage: test_sarif_schema.py NEAP SOURCE-ROOT FIXTURE...

The schema is the one inside of the npm package @microsoft/jest-sarif, fetched into a folder of its own; exit 77, which is
"skipped", where npm or Python's jsonschema is missing or the package cannot be had. Everything that the report can hold
is asked for: findings of all fixtures, answered ones by comment and by baseline, notes, files that were left out, paths
with blanks and outside of the current folder, and nothing at all.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

try:
    import jsonschema
except ImportError:
    print("skipped: no jsonschema (apt-get install python3-jsonschema)")
    sys.exit(77)

PACKAGE, SCHEMA = "@microsoft/jest-sarif@1.0.0-beta.0", "package/lib/schemas/sarif-2.1.0-rtm.5.json"
FREED = "#include <stdlib.h>\nint f(int *p)\n{\n\tfree(p);\n\treturn *p;%s\n}\n"


def fetch_schema(folder):
    if shutil.which("npm") is None:
        print("skipped: no npm")
        sys.exit(77)
    done = subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, capture_output=True, text=True, check=False)
    archives = list(pathlib.Path(folder).glob("*.tgz"))
    if done.returncode != 0 or len(archives) != 1:
        print(f"skipped: npm cannot fetch {PACKAGE}: {done.stderr.strip()[-200:]}")
        sys.exit(77)
    with tarfile.open(archives[0]) as archive:
        return json.load(archive.extractfile(SCHEMA))


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def reports(neap, root, fixtures, work):
    """(name, arguments, what must stand in the report)"""
    here, away = work / "here", work / "away"
    plain, answered = write(here / "a b.c", FREED % ""), write(here / "answered.c", FREED % " /* neap-lint: allow use-after-free: a test */")
    broken, plus = write(here / "broken.c", "int f("), write(here / "plus.cpp", "int f();\n")
    jump = write(here / "jump.c", "#include <setjmp.h>\nstatic jmp_buf b;\nint f(void)\n{\n\treturn setjmp(b);\n}\n")
    outside, nothing = write(away / "o.c", FREED % ""), write(here / "nothing.c", "int f(void)\n{\n\treturn 1;\n}\n")
    os.chdir(here)
    subprocess.run([neap, "lint", "--no-cache", "--write-baseline", "base", plain], capture_output=True, check=False)
    for path in fixtures:
        api = path.with_suffix(".api")
        yield path.name, [f"-I{root / 'include'}", *(["--api", str(api)] if api.exists() else []), str(path)], '"ruleId"'
    yield "answered", [answered], '"inSource"'
    yield "baseline", ["--baseline", "base", plain], '"external"'
    yield "left out", [broken, plus, plain], '"executionSuccessful": false'
    yield "note", ["--notes", jump], '"level": "note"'
    yield "outside", [outside], '"uri": "file:///'
    yield "nothing", [nothing], '"results": []'


def main():
    neap, root = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve()
    fixtures = [pathlib.Path(name).resolve() for name in sys.argv[3:]]
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        schema = jsonschema.Draft4Validator(fetch_schema(folder))
        if not list(schema.iter_errors({"version": "2.1.0"})):
            wrong.append("the schema accepts a log without runs: is it the schema?")
        number = 0
        for number, (name, words, must) in enumerate(reports(neap, root, fixtures, pathlib.Path(folder)), 1):
            done = subprocess.run([neap, "lint", "--sarif", "--no-cache", *words], capture_output=True, text=True, check=False)
            if must not in done.stdout:
                wrong.append(f"{name}: {must} is not in the report: {done.stderr}")
                continue
            for error in schema.iter_errors(json.loads(done.stdout)):
                wrong.append(f"{name}: {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}")
    print("\n".join(wrong) or f"{number} reports are valid")
    return 1 if wrong else 0


sys.exit(main())
