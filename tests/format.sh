#!/bin/bash
# Sources are as clang-format leaves them.
cd "$(dirname "$0")/.." || exit 1
for f in $(find vmm devices acpi vfio firmware tests -name '*.[ch]' | sort); do
	if clang-format --dry-run --Werror "$f" 2>/dev/null; then
		echo "ok $f"
	else
		echo "not ok $f # run make format"
	fi
done
