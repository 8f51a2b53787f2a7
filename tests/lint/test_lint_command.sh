#!/bin/sh
# The commands `neap lint` and `neap escape` from outside: bad input, answers, reports, cache.
# usage: test_lint_command.sh NEAP SOURCE-ROOT
set -u
neap=$(realpath "$1")
root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# expect STATUS WORDS COMMAND...: the exit status, and words that stand in the output (both streams).
expect() {
	want=$1
	words=$2
	shift 2
	"$@" >"$work/out" 2>&1
	got=$?
	if [ "$got" -ne "$want" ] || { [ -n "$words" ] && ! grep -qF -- "$words" "$work/out"; }; then
		echo "FAILED: $* -> $got, wanted $want and '$words'; it said:"
		head -5 "$work/out"
		failed=1
	fi
}

export XDG_CACHE_HOME="$work/home"

cd "$work" || exit 2
printf '#include <stdlib.h>\nint f(int *p)\n{\n\tfree(p);\n\treturn *p;\n}\n' >bad.c
printf 'int f(int *p)\n{\n\treturn *p;\n}\n' >good.c

printf '#include <stdlib.h>\nvoid drop(int *p)\n{\n\tfree(p);\n}\n' >drop.c

# Results and reports.
expect 1 'bad.c:5:9: p was released and is read through [use-after-free]' "$neap" lint bad.c
expect 1 '	       ^' "$neap" lint bad.c
expect 0 '' "$neap" lint good.c
expect 1 '"rule": "use-after-free"' "$neap" lint --json bad.c
expect 1 '"version": "2.1.0"' "$neap" lint --sarif bad.c
expect 0 'use-after-delete' "$neap" lint --rules
expect 0 'drop null-ok:0 free:0:object' "$neap" lint --summaries drop.c
expect 1 'leaking param' "$neap" escape -m "$root/tests/lint/escape/results.c"
expect 1 'flow: p = &i: from assign' "$neap" escape -m=2 "$root/tests/lint/escape/basic.c"
expect 1 '"grade": "DANGLING"' "$neap" escape --json "$root/tests/lint/escape/results.c"

# Answers: a comment with a reason, one without, a baseline.
printf '#include <stdlib.h>\nint f(int *p)\n{\n\tfree(p);\n\treturn *p; /* neap-lint: allow use-after-free: a test */\n}\n' >allowed.c
expect 0 '' "$neap" lint allowed.c
printf '#include <stdlib.h>\nint f(int *p)\n{\n\tfree(p);\n\treturn *p; /* neap-lint: allow use-after-free */\n}\n' >bare.c
expect 1 'without a reason' "$neap" lint --notes bare.c
expect 1 'use-after-free' "$neap" lint --write-baseline base bad.c
expect 0 '' "$neap" lint --baseline base bad.c
printf '#include <stdlib.h>\nint f(int *p)\n{\n\n\n\tfree(p);\n\treturn *p;\n}\n' >bad.c
expect 0 '' "$neap" lint --baseline base bad.c
printf 'int *g(void)\n{\n\tint x = 1;\n\tint *p = &x;\n\treturn p;\n}\n' >>bad.c
expect 1 'dangling-stack' "$neap" lint --baseline base bad.c
expect 2 'cannot read the baseline' "$neap" lint --baseline absent bad.c
expect 2 'cannot write the baseline' "$neap" lint --write-baseline absent/base bad.c

# The cache: the second run needs no compiler, and a changed header is seen.
printf 'static inline void drop(int *p)\n{\n\t(void)p;\n}\n' >drop.h
printf '#include <stdlib.h>\n#include "drop.h"\nint f(int *p)\n{\n\tdrop(p);\n\treturn *p;\n}\n' >uses.c
expect 0 '' "$neap" lint --cache cache uses.c
printf 'static inline void drop(int *p)\n{\n\tfree(p);\n}\n' >drop.h
expect 1 'use-after-free' "$neap" lint --cache cache uses.c
expect 1 'use-after-free' env PATH=/nowhere "$neap" lint --cache cache uses.c

# What is recalled is what would be found: cold, warm, and without a cache; and a callee that changes changes its callers.
printf 'void drop(int *);\nint f(int *p)\n{\n\tdrop(p);\n\treturn *p;\n}\n' >caller.c
printf '#include <stdlib.h>\nvoid drop(int *p)\n{\n\tfree(p);\n}\n' >callee.c
for way in "--cache memory" "--cache memory" --no-cache; do
	# shellcheck disable=SC2086 # two words
	"$neap" lint --json $way caller.c callee.c "$root"/tests/lint/checks/m*.c "-I$root/include" >"said $way" 2>&1
	[ -f first ] || cp "said $way" first
	cmp -s first "said $way" || {
		echo "FAILED: another result with $way"
		failed=1
	}
done
ls memory/*.found >/dev/null 2>&1 || {
	echo "FAILED: nothing was kept"
	failed=1
}
expect 1 'caller.c:5:9' "$neap" lint --cache memory caller.c callee.c
printf 'void drop(int *p)\n{\n\t*p = 1;\n}\n' >callee.c
expect 0 '' "$neap" lint --cache memory caller.c callee.c
for file in memory/*.found; do printf 'function 0\neffects nonsense\n' >"$file"; done
expect 0 '' "$neap" lint --cache memory caller.c callee.c

# Paths: relative below the current folder, absolute elsewhere, the same from a database; baselines with them.
mkdir -p sub/deep
printf '#include <stdlib.h>\nint f(int *p)\n{\n\tfree(p);\n\treturn *p;\n}\n' >"sub/a b.c"
expect 1 'sub/a b.c:5:9: p' "$neap" lint "$work/sub/deep/../a b.c"
expect 1 '"uri": "sub/a%20b.c"' "$neap" lint --sarif ./sub
expect 1 '"file": "sub/a b.c"' "$neap" lint --json sub
cd sub/deep || exit 2
expect 1 "$(realpath ..)/a b.c:5:9: p" "$neap" lint "../a b.c"
cd "$work" || exit 2
expect 1 '' "$neap" lint --write-baseline base "$work/sub"
expect 0 '' "$neap" lint --baseline base sub

# Two programs in one run: neither main hides the other.
printf '#include <stdlib.h>\nint main(int n, char **words)\n{\n\treturn n > 9 ? words[0][0] : 0;\n}\n' >main1.c
printf '#include <stdlib.h>\nint main(void)\n{\n\tint *p = malloc(4);\n\tfree(p);\n\treturn *p;\n}\n' >main2.c
expect 1 'main2.c:6' "$neap" lint main1.c main2.c

# Without the module: said, with what to do; gcc's analyser remains.
mkdir -p alone
cp "$neap" alone/neap
expect 5 'libneap-lint.so' alone/neap lint good.c
expect 5 'neap lint --gcc' alone/neap lint good.c
expect 5 'libneap-lint.so' alone/neap escape good.c
expect 0 'usage: neap lint' alone/neap lint --help
expect 0 'usage: neap escape' alone/neap escape --help
# With gcc's: what it would pass over without a word is refused, and what does not compile is no finding.
if command -v gcc >/dev/null; then
	expect 1 'use-after-free' alone/neap lint --gcc bad.c
	expect 0 '' alone/neap lint --gcc good.c
	printf 'int broken(' >half.c
	expect 4 'half.c: gcc did not compile it' alone/neap lint --gcc bad.c half.c good.c
	expect 2 'is a folder' alone/neap lint --gcc .
	expect 2 'is not named like one' alone/neap lint --gcc "$root/docs/lint.md"
	expect 2 '-p does not go with --gcc' alone/neap lint --gcc -p compile_commands.json
	expect 2 '--sarif does not go with --gcc' alone/neap lint --gcc --sarif bad.c
	expect 2 'no file for gcc' alone/neap lint --gcc
	expect 2 'absent.c: No such file' alone/neap lint --gcc absent.c
	expect 5 'cannot run gcc' env PATH=/nowhere "$PWD/alone/neap" lint --gcc good.c
fi
expect 0 '' env NEAP_MODULES="$(dirname "$neap")" alone/neap lint good.c
echo junk >alone/libneap-lint.so
expect 5 'cannot be loaded' alone/neap lint good.c

# Several files: the mistake is only seen by one who knows the other file.
printf '#include <stdlib.h>\nvoid drop(int *p)\n{\n\tfree(p);\n}\n' >one.c
printf 'void drop(int *);\nint f(int *p)\n{\n\tdrop(p);\n\treturn *p;\n}\n' >two.c
expect 0 '' "$neap" lint one.c
expect 1 'two.c:5' "$neap" lint one.c two.c
printf '[{"directory": "%s", "file": "one.c", "command": "cc -Wall -O2 -c one.c -o one.o"},\n {"directory": "%s", "file": "two.c", "arguments": ["cc", "-c", "two.c"]}]\n' "$work" "$work" >compile_commands.json
expect 1 'two.c:5' "$neap" lint -p compile_commands.json

# `neap escape` as a user runs it: which flag tells which grade, and the exit code that follows.
cat >grades.c <<'END'
#include <stddef.h>
int *kept;
void unseen(int *);
void dangling(void)
{
	int here = 1;
	kept = &here;
}
void cleared(void)
{
	int there = 1;
	kept = &there;
	kept = NULL;
}
void handed(void)
{
	int away = 1;
	unseen(&away);
}
int *through(int *given)
{
	return given;
}
END
expect 1 'grades.c:6:6: here escapes to heap: DANGLING' "$neap" escape grades.c
expect 1 'grades.c:11:6: there escapes to heap: MAY-DANGLE' "$neap" escape grades.c
grep -q 'away\|given' "$work/out" && echo "FAILED: without -m only what dangles is told" && failed=1
expect 1 'grades.c:17:6: away may be kept by unseen: INFO' "$neap" escape -m grades.c
expect 1 'leaking param: given to result level=0' "$neap" escape -m grades.c
expect 1 'flow: {heap} (kept) = &here: from assign at grades.c:7' "$neap" escape -m=2 grades.c
expect 1 '"may_dangle": 1' "$neap" escape --json grades.c
expect 1 '"grade": "INFO"' "$neap" escape --json grades.c
expect 0 '' "$neap" escape good.c
printf '[{"directory": "%s", "file": "grades.c", "arguments": ["cc", "-c", "grades.c"]},\n {"directory": "%s", "file": "good.c", "command": "cc -c good.c"}]\n' "$work" "$work" >grades.json
expect 1 'here escapes to heap: DANGLING' "$neap" escape -p grades.json
expect 1 '"file": "good.c"' "$neap" escape --json -p grades.json
expect 2 'no file to analyse' "$neap" escape
expect 2 'unknown option' "$neap" escape -m=3 grades.c

# Bad input: said, and never in a way that looks like a pass.
expect 2 'no file to analyse' "$neap" lint
expect 2 'no such file or folder' "$neap" lint absent.c
expect 2 'unknown option' "$neap" lint --frobnicate bad.c
expect 2 'cannot read the table' "$neap" lint --api absent good.c
printf 'f frees:everything\n' >wrong.api
expect 2 "unknown word 'frees:everything'" "$neap" lint --api wrong.api good.c
printf '{}' >wrong.json
expect 2 'not a compile database' "$neap" lint -p wrong.json
printf 'int f(' >broken.c
expect 4 'does not compile' "$neap" lint broken.c good.c
expect 4 'expected' "$neap" escape broken.c
expect 4 '"executionSuccessful": false' "$neap" lint --sarif broken.c good.c
expect 4 '"level": "error"' "$neap" lint --sarif broken.c good.c
expect 0 '"executionSuccessful": true' "$neap" lint --sarif good.c
# Its messages name files as findings do, from a database and for what a header broke.
expect 4 'neap lint: broken.c: does not compile' "$neap" lint "$work/broken.c"
mkdir -p headers
printf 'int g(;\n' >headers/broken.h
printf '#include "broken.h"\n' >includes.c
printf '[{"directory": "%s", "file": "%s/includes.c", "arguments": ["cc", "-Iheaders", "-c", "includes.c"]}]\n' "$work" "$work" >broken.json
expect 4 'headers/broken.h:1:7: error' "$neap" lint -p broken.json
if grep -qF "$work" "$work/out"; then
	echo "FAILED: an absolute path of a file below the folder"
	failed=1
fi
expect 4 'In file included from includes.c:1' "$neap" escape -p broken.json
printf '#include "nowhere.h"\n' >missing.c
expect 4 'nowhere.h' "$neap" lint missing.c
expect 4 'nowhere.h' "$neap" escape missing.c
printf 'int f() { return 1; }\n' >plus.cpp
expect 4 'C++ is not analysed' "$neap" lint plus.cpp
expect 4 'C++ is not analysed' "$neap" escape plus.cpp
printf '#include <setjmp.h>\nstatic jmp_buf b;\nint f(void)\n{\n\treturn setjmp(b);\n}\n' >jump.c
expect 0 'setjmp' "$neap" lint --notes jump.c
printf 'int f(int *p)\n{\n\t__asm__("" : : "r"(p) : "memory");\n\treturn 0;\n}\n' >asm.c
expect 0 'inline assembly' "$neap" lint --notes asm.c
printf 'int f(int n)\n{\n\tif (n)\n\t\tgoto b;\na:\n\tn--;\nb:\n\tn -= 2;\n\tif (n > 0)\n\t\tgoto a;\n\treturn n;\n}\n' >irreducible.c
expect 0 'a loop with two entries' "$neap" lint --notes irreducible.c
printf 'int f(void)\n{\n\tint x = 1;\n\t__asm__("" : : "r"(&x) : "memory");\n\treturn x;\n}\n' >asm_local.c
# A table of functions: the one that is called is known.
printf '#include <stdlib.h>\nstatic void (*const table[])(void *) = {free};\nint f(int *p)\n{\n\ttable[0](p);\n\treturn *p;\n}\n' >table.c
expect 1 'use-after-free' "$neap" lint table.c
# Of one that is not known: the address may be kept, and a note is not needed, since nothing is taken for granted.
printf 'extern void (*hooks[])(int *);\nint f(int n)\n{\n\tint x = 1;\n\thooks[n](&x);\n\treturn x;\n}\n' >hooks.c
expect 0 'x may be kept by a function pointer: INFO' "$neap" escape -m hooks.c
expect 0 'x may be kept by inline assembly: INFO' "$neap" escape -m asm_local.c
# A generated function of 6,000 branches ends within its budget, and says that it was cut off.
{
	echo 'int *g; int f(int n, int *p, int *q)'
	echo '{'
	i=0
	while [ $i -lt 6000 ]; do
		echo "if (n == $i) { g = p; n += *q; }"
		i=$((i + 1))
	done
	echo 'return n; }'
} >huge.c
expect 0 'gave up on f' timeout 60 "$neap" lint --notes huge.c
expect 0 '' timeout 60 "$neap" escape huge.c

exit $failed
