#!/bin/sh
# Real programs on Neap's heap must print what they print on their own, plainly and in the checking mode.
# usage: heap_preload.sh SHIM
set -eu
shim=$(realpath "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

LD_PRELOAD=$shim cat /proc/self/maps | grep -q "$shim" || { echo "heap_preload: $shim is not loaded" >&2; exit 1; }

cat >"$dir/work.py" <<'PY'
import hashlib, json, random, threading
random.seed(7)
kept, lock = {}, threading.Lock()
def work(n):
    r = random.Random(n)
    mine = {}
    for i in range(30000):
        mine[r.randrange(5000)] = "x" * r.randrange(2000)
    with lock:
        kept[n] = hashlib.sha256(json.dumps(mine, sort_keys=True).encode()).hexdigest()
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(kept.items()))
PY
cat >"$dir/work.c" <<'C'
#include <stdio.h>
#include <stdlib.h>
int main(void) { printf("%d\n", abs(-42)); return 0; }
C
awk 'BEGIN { srand(3); for (i = 0; i < 300000; i++) print int(rand() * 1000000) }' >"$dir/numbers"

# same WHAT COMMAND: runs it on malloc and on the heap and compares.
same() {
	what=$1
	shift
	"$@" >"$dir/own"
	LD_PRELOAD=$shim "$@" >"$dir/ours"
	cmp "$dir/own" "$dir/ours" || { echo "heap_preload: $what differs" >&2; exit 1; }
	LD_PRELOAD=$shim NEAP_DEBUG=heapcheck=1 "$@" >"$dir/checked"
	cmp "$dir/own" "$dir/checked" || { echo "heap_preload: $what differs when checked" >&2; exit 1; }
	echo "ok $what"
}
same sort sort --parallel=2 -S 20M "$dir/numbers"
same gcc sh -c "cc -O2 -o '$dir/work' '$dir/work.c' && '$dir/work'"
same shell sh -c 'for i in 1 2 3; do ls / | sort | head -3; done'
if command -v python3 >/dev/null; then
	same python3 env PYTHONMALLOC=malloc python3 "$dir/work.py"
fi
