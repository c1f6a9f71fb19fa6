#!/bin/bash
# Every quoted include is an allowed edge of tests/layers.txt, and every header compiles alone.
cd "$(dirname "$0")/.." || exit 1
sources=$(find vmm devices acpi vfio firmware init -name '*.[ch]')
# shellcheck disable=SC2086
if awk -f tests/layers.awk tests/layers.txt $sources; then
	echo "ok includes"
else
	echo "not ok includes"
fi
# State that the guest can see is in a struct of its own in each device, apart from the wiring.
if awk -f tests/state.awk devices/*.h; then
	echo "ok state"
else
	echo "not ok state"
fi
# Each source file has a test of its name, or a line in mirror.txt.
for file in $(find vmm devices acpi vfio firmware init -name '*.c'); do
	folder=$(dirname "${file#vmm/}") name=$(basename "$file" .c)
	[ -f "tests/unit/$folder/test_$name.c" ] || [ -f "tests/fault/test_$name.c" ] ||
		[ -f "$(awk -v f="$file" '$1 == f { print $2 }' tests/mirror.txt)" ] || echo "$file has no test"
	[ "$(grep -c "^$file[[:space:]]" tests/mirror.txt)" -lt 2 ] || echo "$file is there twice"
done >"${tmp:=$(mktemp)}"
while read -r file test; do
	[[ $file == "#"* ]] || [ -f "$file" ] || echo "mirror.txt: there is no $file"
done <tests/mirror.txt >>"$tmp"
if [ -s "$tmp" ]; then
	echo "not ok tests mirror the source # $(xargs <"$tmp")"
else
	echo "ok tests mirror the source"
fi
rm -f "$tmp"
# pthread_create() is called in vmm/host/thread.c only.
if [ "$(grep -rlE 'pthread_create\([^3]' vmm devices acpi vfio firmware init)" = vmm/host/thread.c ]; then
	echo "ok threads"
else
	echo "not ok threads # $(grep -rnE 'pthread_create\([^3]' vmm devices acpi vfio firmware init | grep -v '^vmm/host/thread.c')"
fi
# No two static functions have the same name; a name that several files could use gets its file's prefix.
namesakes=$(find vmm devices acpi vfio firmware init -name '*.c' -exec sed -nE -e '/;$/d' -e \
	's/^static [^;=(]*[ *]([a-z_0-9]+)\([^()]*.*/\1/p' {} + | grep -v '^__attribute__$' | sort | uniq -d | xargs)
if [ -z "$namesakes" ]; then
	echo "ok names"
else
	echo "not ok names # are those of several functions: $namesakes"
fi
# README.md has the same table, one row for each folder.
table()
{
	while read -r name glob _ _ includes; do
		case $name in "#"* | file) continue ;; esac
		echo "${glob%%\**} ${includes:-nothing}"
	done <tests/layers.txt
}
if diff <(table | sort) <(sed -n 's/^| `\([^`]*\)` |.* | \([^|]*\) |$/\1 \2/p' README.md | grep -E '^(vmm|firmware|acpi|devices|vfio|init)/' | sort); then
	echo "ok README's table"
else
	echo "not ok README's table"
fi
for header in $(find vmm devices acpi vfio firmware init -name '*.h'); do
	if gcc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -fsyntax-only -x c "$header"; then
		echo "ok header $header"
	else
		echo "not ok header $header"
	fi
done
