#!/bin/sh
# Neap's own sources hold under `neap lint` and `neap escape`: no finding that no comment answers with a reason.
# usage: test_own_sources.sh NEAP SOURCE-ROOT LLVM-INCLUDE-FOLDER CACHE-FOLDER
#
# The cache stays between runs: compiling every file is what costs here, and only changed files are compiled again.
set -u
neap=$(realpath "$1")
llvm=$3
export XDG_CACHE_HOME="$4"
cd "$2" || exit 2
set -- src tool lint inspect lab -Iinclude -Isrc -Iinspect -I. \
	-- -D_GNU_SOURCE -DNEAP_CHECK=1 -DNEAP_STATIC -DNEAP_LINT_VERSION='""' -DNEAP_LLVM='""' -isystem "$llvm"
failed=0
"$neap" lint "$@" || failed=1
"$neap" escape "$@" || failed=1
exit $failed
