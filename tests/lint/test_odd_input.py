#!/usr/bin/env python3
"""Odd input for `neap lint` and `neap escape`: neither may crash, hang, or be silent about what it could not follow.

usage: test_odd_input.py NEAP ROUNDS [SEED]

Three kinds: C that a random grammar makes (jumps into loops, assembly, setjmp, tables of functions, recursion, struct
results, variable arguments), bitcode in the cache with bytes changed, and text that is no C. Exit 1 and the input's seed
when a run ends by a signal, takes over a minute, says that memory was misused (sanitizers), or has a wrong exit code.
"""
import glob
import os
import random
import subprocess
import sys
import tempfile

HEAD = """#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct s { struct s *next; int n; char text[8]; int (*fn)(struct s *); };
union u { struct s *p; long n; double d; };
extern struct s *unseen(struct s *, ...);
struct s *g; static jmp_buf env; static _Thread_local struct s *mine; static volatile int tick;
"""
TYPES = ["int", "struct s *", "struct s", "char *", "long", "union u"]


class Writer:
    """Writes functions from a small grammar. Every function is named f0, f1, ... and may call all of them."""

    def __init__(self, rng, functions):
        self.rng, self.functions, self.labels = rng, functions, 0

    def pointer(self, depth=0):
        options = ["p", "q", "a", "&l", "g", "mine", "p->next", "u.p", "&arr[i & 3]", "(struct s *)(long)i", "NULL"]
        if depth < 3:
            options += [f"unseen({self.pointer(depth + 1)}, i)", "malloc(sizeof *p)", "realloc(p, sizeof *p * (size_t)i)",
                        f"(i ? {self.pointer(depth + 1)} : {self.pointer(depth + 1)})", f"f{self.call()}(p, i)",
                        f"({self.pointer(depth + 1)} + i)", "(struct s *)((long)p ^ i)", "table[i & 1](p, i)"]
        return self.rng.choice(options)

    def call(self):
        return self.rng.randrange(self.functions)

    def test(self):
        return self.rng.choice(["i > 3", "p == q", "!p", "i & 1", "p->n == q->n", "tick", "p < q", "setjmp(env)",
                                "(long)p > 4", "i++ < 9", "u.d > 0.5"])

    def statement(self, depth):
        rng = self.rng
        simple = [f"p = {self.pointer()};", f"q = {self.pointer()};", "free(p);", "free(q);", "free((char *)p + i);",
                  f"p->next = {self.pointer()};", "l = *p;", "*q = l;", "u.p = p;", "i += p->n;", "g = &l;", "g = NULL;",
                  "memcpy(&l, p, sizeof l);", "memset(p, i, sizeof *p);", "arr[i & 3] = l;", "p->fn(p);", "va_local(i, p);",
                  "__asm__ volatile(\"\" : \"+r\"(p) : : \"memory\");", "if (i) longjmp(env, 1);", "mine = &arr[1];",
                  "l = by_value(l, i);", "p = __atomic_exchange_n(&g, q, 5);", "i = __builtin_expect(i, 0);",
                  "{ char vla[i > 0 ? i : 1]; memset(vla, 0, sizeof vla); q = (struct s *)vla; }", "return p;",
                  "p = &(struct s){.n = i};", "pthread_create(&thread, NULL, runner, p);", "pthread_join(thread, NULL);"]
        if depth > 3 or rng.random() < 0.6:
            return rng.choice(simple)
        body = " ".join(self.statement(depth + 1) for _ in range(rng.randrange(1, 5)))
        kind = rng.randrange(7)
        if kind == 0:
            return f"if ({self.test()}) {{ {body} }} else {{ {self.statement(depth + 1)} }}"
        if kind == 1:
            return f"while ({self.test()}) {{ {body} if (i > 7) break; }}"
        if kind == 2:
            return f"for (int j = 0; j < i; j++) {{ {body} if (j == 2) continue; }}"
        if kind == 3:
            return f"do {{ {body} }} while ({self.test()});"
        if kind == 4:
            return f"switch (i) {{ case 1: {body} case 7 ... 9: {self.statement(depth + 1)} break; default: i--; }}"
        self.labels += 1
        n = self.labels
        if kind == 5:  # into the middle of a loop
            return f"if ({self.test()}) goto in{n}; out{n}: i--; in{n}: {body} if ({self.test()}) goto out{n};"
        return (f"{{ static void *const to[] = {{&&one{n}, &&two{n}}}; goto *to[i & 1]; one{n}: {body} two{n}: i++; }}")

    def function(self, k):
        self.labels = 0
        statements = "\n\t".join(self.statement(0) for _ in range(self.rng.randrange(1, 25)))
        return (f"struct s *f{k}(struct s *a, int i)\n{{\n\tstruct s l = {{0}}, arr[4], *p = a, *q = &l; union u u = {{0}}; "
                f"pthread_t thread = 0; (void)arr; (void)thread;\n\t{statements}\n\treturn q;\n}}\n")

    def file(self):
        declared = "".join(f"struct s *f{k}(struct s *a, int i);\n" for k in range(self.functions))
        table = "static struct s *(*const table[])(struct s *, int) = {f0, f1};\n"
        helpers = ("static void *runner(void *p) { return ((struct s *)p)->next; }\n"
                   "static struct s by_value(struct s a, int i) { a.n += i; return i > 4 ? by_value(a, i - 1) : a; }\n"
                   "static void va_local(int n, ...) { va_list v; va_start(v, n); while (n-- > 0) g = va_arg(v, struct s *); "
                   "va_end(v); }\n")
        return HEAD + declared + table + helpers + "".join(self.function(k) for k in range(self.functions))


def run(neap, words, allowed, what):
    try:
        done = subprocess.run([neap, *words], capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return f"{what}: over a minute"
    said = done.stderr.decode(errors="replace")
    if done.returncode not in allowed or "Sanitizer" in said or "runtime error" in said:
        return f"{what}: exit {done.returncode}\n{said[:3000]}"
    return None


def odd_c(neap, folder, seed):
    path = f"{folder}/odd{seed}.c"
    with open(path, "w", encoding="ascii") as out:
        out.write(Writer(random.Random(seed), 6).file())
    return run(neap, ["lint", "--json", "--no-cache", path], (0, 1), f"C of seed {seed}") or run(
        neap, ["escape", "-m=2", "--no-cache", path], (0, 1), f"escape of seed {seed}")


def odd_bitcode(neap, folder, seed):
    """The cache is not believed: a changed byte means that clang is asked again, or that the file is left out."""
    rng = random.Random(seed)
    cache, path = f"{folder}/cache", f"{folder}/plain.c"
    with open(path, "w", encoding="ascii") as out:
        out.write(HEAD + "int f(struct s *p)\n{\n\tfree(p);\n\treturn p->n;\n}\n")
    failed = run(neap, ["lint", "--cache", cache, path], (1,), "a file with a mistake")
    for name in glob.glob(f"{cache}/*"):
        with open(name, "r+b") as file:
            data = bytearray(file.read())
            for _ in range(rng.randrange(1, 9)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            file.seek(0)
            file.write(data[: rng.choice([len(data), len(data) // 2])])
    return failed or run(neap, ["lint", "--cache", cache, path], (1,), f"a damaged cache of seed {seed}")


def odd_text(neap, folder, seed):
    rng = random.Random(seed)
    path = f"{folder}/text.c"
    with open(path, "wb") as out:
        out.write(bytes(rng.randrange(256) for _ in range(rng.randrange(2000))))
    return run(neap, ["lint", "--no-cache", path], (0, 4), f"text of seed {seed}")


def main():
    neap, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for seed in range(first, first + rounds):
            for kind in (odd_c, odd_bitcode, odd_text) if seed % 4 == 0 else (odd_c,):
                failed = kind(neap, folder, seed)
                if failed:
                    print(failed)
                    sys.exit(1)
    print(f"{rounds} rounds from seed {first}")


main()
