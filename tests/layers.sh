#!/bin/bash
# Every quoted include is an allowed edge of tests/layers.txt, and every header compiles alone.
cd "$(dirname "$0")/.." || exit 1
sources=$(find vmm devices acpi vfio firmware -name '*.[ch]')
# shellcheck disable=SC2086
if awk -f tests/layers.awk tests/layers.txt $sources; then
	echo "ok includes"
else
	echo "not ok includes"
fi
# Threads are made in one place, in a role each.
if [ "$(grep -rl 'pthread_create(' vmm devices acpi vfio firmware)" = vmm/host/thread.c ]; then
	echo "ok threads"
else
	echo "not ok threads # $(grep -rn 'pthread_create(' vmm devices acpi vfio firmware | grep -v '^vmm/host/thread.c')"
fi
# README.md has the same table, one row for each folder.
table()
{
	while read -r name glob _ _ includes; do
		case $name in "#"* | file) continue ;; esac
		echo "${glob%%\**} ${includes:-nothing}"
	done <tests/layers.txt
}
if diff <(table | sort) <(sed -n 's/^| `\([^`]*\)` |.* | \([^|]*\) |$/\1 \2/p' README.md | grep -E '^(vmm|firmware|acpi|devices|vfio)/' | sort); then
	echo "ok README's table"
else
	echo "not ok README's table"
fi
for header in $(find vmm devices acpi vfio firmware -name '*.h'); do
	if gcc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -fsyntax-only -x c "$header"; then
		echo "ok header $header"
	else
		echo "not ok header $header"
	fi
done
