#!/bin/bash
# Checks that clang-tidy (.clang-tidy) and cppcheck (tests/cppcheck.txt) find nothing in the files of
# compile_commands.json.
cd "$(dirname "$0")/.." || exit 1
out=$(mktemp)
files=$(jq -r '.[].file' compile_commands.json)
if xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p . <<<"$files" >"$out" 2>/dev/null; then
	echo "ok clang-tidy"
else
	grep -E ' (error|warning): ' "$out" | sort -u | sed "s,^$PWD/,,; s,^,not ok clang-tidy: ,"
fi
# shellcheck disable=SC2086
if cppcheck --quiet --inline-suppr --error-exitcode=1 --enable=warning,performance,portability \
	--suppressions-list=tests/cppcheck.txt -D_GNU_SOURCE -I. $files >"$out" 2>&1; then
	echo "ok cppcheck"
else
	grep -E ' (error|warning|performance|portability): ' "$out" | sort -u | sed 's,^,not ok cppcheck: ,'
fi
rm -f "$out"
