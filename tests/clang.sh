#!/bin/bash
# Everything compiles with clang as well, because the fuzzers are built with it, and its warnings differ from
# gcc's.
cd "$(dirname "$0")/.." || exit 1
for f in $(find vmm devices acpi vfio firmware init tests/unit tests/fuzz -name '*.c' | sort); do
	if clang -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Werror -I. "-I$BUILD" -isystem "$BUILD/uapi" \
		-DSTRADDLE_VERSION='""' -fsyntax-only "$f"; then
		echo "ok $f"
	else
		echo "not ok $f"
	fi
done
