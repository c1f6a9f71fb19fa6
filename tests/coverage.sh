#!/bin/bash
# coverage.sh BUILD: prints for each folder how many of its lines were executed, as gcov counted in BUILD.
cd "$(dirname "$0")/.." || exit 1
find "$1/san" -name '*.gcda' ! -path '*/tests/*' | while read -r data; do
	source=${data#"$1"/san/} source=${source%.gcda}.c
	gcov -n -o "$data" "$source" 2>/dev/null | awk -v file="File '$source'" -v folder="$(dirname "$source")" '
		$0 == file { getline; gsub(/.*:|%/, ""); print $1, $3, folder }'
done | awk '
	{ run[$3] += $1 * $2 / 100; all[$3] += $2; run["all"] += $1 * $2 / 100; all["all"] += $2 }
	END { for (f in all) printf "%5.1f %% of %5d lines  %s\n", 100 * run[f] / all[f], all[f], f }' | sort -k 6
