#!/bin/sh
# No false report on real code: the sources of lua5.4 and zstd as Debian has them, fetched by apt into a folder of their own.
# usage: test_real_code.sh NEAP BASELINE-OF-ZSTD
# Exit 77, which is "skipped", where apt cannot fetch sources.
set -u
neap=$(realpath "$1")
baseline=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
skip() {
	echo "skipped: $1"
	exit 77
}

command -v apt-get >/dev/null && command -v dpkg-source >/dev/null || skip "no apt-get or no dpkg-source here"
# The configured places of packages, asked for sources; the system's own lists stay as they are.
apt-get indextargets --format 'deb-src $(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
	sort -u >"$work/sources.list"
grep -q . "$work/sources.list" || skip "apt knows no packages of Debian here (apt-get update)"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/code"
apt() {
	apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User= "$@" >"$work/apt.log" 2>&1
}
cd "$work/code" || exit 2
apt update && apt source lua5.4 libzstd || skip "apt cannot fetch sources here: $(tail -1 "$work/apt.log")"

failed=0
# check NAME FOLDER ARGUMENT...: nothing found, and every file was analysed.
check() {
	name=$1
	cd "$work/code"/$2 || exit 2
	shift 2
	if timeout 300 "$neap" lint --time --no-cache --no-banned "$@" >"$work/out" 2>&1; then
		echo "$name: clean; $(grep 'processor time' "$work/out")"
	else
		echo "FAILED: $name"
		head -40 "$work/out"
		failed=1
	fi
}
# What Debian's build of Lua makes for itself.
echo '#define DEB_HOST_MULTIARCH "any"' >"$work/lua5.4-deb-multiarch.h"
check lua5.4 'lua5.4-*/src' . "-I$work"
check zstd 'libzstd-*' lib --baseline "$baseline" -- -DZSTD_LEGACY_SUPPORT=1 -DZSTD_MULTITHREAD
exit $failed
