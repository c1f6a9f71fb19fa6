#!/bin/bash
# Compares what straddle prints: tests/golden/cli/NAME.cmd has arguments, a command a line; NAME.txt has their
# output and exit status. `--update` writes the texts instead of comparing.
cd "$(dirname "$0")/../.." || exit 1
straddle=${BUILD:-build}/straddle
export PMEM=/dev/shm/straddle-golden-$$.pmem # 3 GiB of nothing
trap 'rm -f "$PMEM"' EXIT
truncate -s 3G "$PMEM"
for cmd in tests/golden/cli/*.cmd; do
	name=${cmd##*/}
	name=${name%.cmd}
	text=$(grep -v '^#' "$cmd" | while IFS= read -r line; do
		echo "\$ straddle $line"
		# shellcheck disable=SC2086
		eval "'$straddle'" "$line" </dev/null 2>&1
		echo "[status $?]"
	done)
	if [ "${1:-}" = --update ]; then
		printf '%s\n' "$text" >"tests/golden/cli/$name.txt"
	elif difference=$(diff "tests/golden/cli/$name.txt" <(printf '%s\n' "$text")); then
		echo "ok $name"
	else
		printf '%s\n' "$difference"
		echo "not ok $name # see the difference above; make golden accepts it"
	fi
done
