"""linked_sample.py: a sample program linked with libneap, and the tool that looks at it. What does not agree is counted
in `failures`.
"""
import json
import os
import subprocess
import sys

failures = []


def check(condition, message):
    if not condition:
        failures.append(message)
        print("FAIL:", message)


def run(*command):
    """The tool's answer; ends the test as skipped where processes may not be read."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode == 3 and "may not be read" in done.stderr:
        print("skipped:", done.stderr.strip())
        sys.exit(77)
    return done


class Sample:
    """Running; `facts` are what it printed of itself before it was ready, `truth` the same by label."""

    def __init__(self, program, **more):
        self.process = subprocess.Popen([os.path.abspath(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, **more)
        self.facts = []
        for line in self.process.stdout:
            if line.strip() == "ready":
                break
            self.facts.append(json.loads(line))
        self.truth = {fact["label"]: fact for fact in self.facts}
        self.pid = str(self.process.pid)

    def answers(self, line="ping"):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip() == "pong"

    def end(self):
        self.process.kill()
        self.process.wait()
