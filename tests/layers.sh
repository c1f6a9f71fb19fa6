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
for header in $(find vmm devices acpi vfio firmware -name '*.h'); do
	if gcc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -fsyntax-only -x c "$header"; then
		echo "ok header $header"
	else
		echo "not ok header $header"
	fi
done
