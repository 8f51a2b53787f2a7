#!/bin/sh
# Builds hmap_trace with the installed Go and compares Neap's classic map with Go's, step by step.
# usage: hmap.sh HMAP_GO SOURCE-DIRECTORY [SCENARIO]
# Exits 77 (skipped) when there is no Go 1.19, whose runtime the tracer knows.
set -eu
compare=$1
source=$2
shift 2

command -v go >/dev/null || { echo "skipped: no go in PATH (Debian: golang-go)"; exit 77; }
version=$(go env GOVERSION)
case "$version" in
go1.19 | go1.19.*) ;;
*) echo "skipped: go is $version; the tracer reads the runtime of 1.19"; exit 77 ;;
esac
case "$(go env GOARCH)" in
amd64 | arm64) ;;
*) echo "skipped: the tracer has no getg for $(go env GOARCH)"; exit 77 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$source/hmap_trace" && GOCACHE="$work/cache" GOFLAGS=-mod=mod GOPROXY=off GO111MODULE=on go build -o "$work/hmap_trace" .)
"$compare" "$work/hmap_trace" "$work" "$@"
