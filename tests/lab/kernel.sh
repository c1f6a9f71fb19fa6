#!/bin/bash
# Builds the lean lab kernel and prints the path of its bzImage. Its source is that of the 7.x of Debian 13's
# backports, which is not installed. The result is cached, keyed by version and configuration fragment; a new release
# is no reason to build it again.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

lab=$(cd "$(dirname "$0")" && pwd)

# build: in the current directory, which is empty. As root, apt would download as another user, who may not write
# here. Warnings are turned off, because they take time and only the kernel's developers can fix them. Without
# debug information objects do not contain their directory, so ccache can ignore it.
build()
{
	local compiler=gcc
	! command -v ccache >/dev/null || compiler="ccache gcc"
	apt-get "${apt[@]}" -qq download "$package=$version" &&
		dpkg -x ./*.deb deb &&
		tar --strip-components=1 -xf "deb/usr/src/$package.tar.xz" &&
		rm -rf ./*.deb deb &&
		make -s tinyconfig &&
		scripts/kconfig/merge_config.sh -m .config "$lab/lean.config" &&
		make -s olddefconfig &&
		CCACHE_NOHASHDIR=1 make -j$(($(nproc) + 1)) CC="$compiler" KCFLAGS=-w bzImage vmlinux
}

# check_config: reports options of the fragment that Kconfig dropped.
check_config()
{
	local name value
	while IFS='=' read -r name value; do
		case $value in
		n) ! grep -q "^$name=" "$1" || echo "lean kernel: $name is on" >&2 ;;
		*) grep -q "^$name=" "$1" || echo "lean kernel: $name is off" >&2 ;;
		esac
	done < <(grep -E '^CONFIG_.*=(y|n|")' "$lab/lean.config")
}

key=$(sha256sum <"$lab/lean.config" | cut -c1-12)
exec 8>"$cache/lean.lock"
flock 8 # another run may be building it
out=$(find "$cache" -maxdepth 1 -name "lean-7.*-$key" | sort -V | tail -n 1)
if [ -z "$out" ]; then
	use_suites trixie-backports
	package=$(field linux-source Depends | grep -o 'linux-source-7[^ ,]*' | head -n 1) || true
	version=${package:+$(field "$package" Version)}
	if [ -n "$version" ]; then
		out=$cache/lean-$version-$key
	else
		out=$(cached_instead linux-source "lean-7.*-????????????")
	fi
fi
if [ ! -f "$out/bzImage" ]; then
	[ -n "${version-}" ] || { echo "kernel.sh: $out has no bzImage: remove it" >&2; exit 1; }
	tree=$(mktemp -d "$cache/build.XXXXXX")
	trap 'rm -rf "$tree"' EXIT
	log=$cache/lean-build.log
	echo "building the lean lab kernel $version (log: $log)" >&2
	(cd "$tree" && build) >"$log" 2>&1 </dev/null || { tail -20 "$log" >&2; exit 1; }
	check_config "$tree/.config"
	mkdir -p "$out.tmp"
	cp "$tree/arch/x86/boot/bzImage" "$tree/.config" "$out.tmp/"
	# An uncompressed vmlinux (with the PVH note), for the ELF loader's tests.
	objcopy --strip-debug "$tree/vmlinux" "$out.tmp/vmlinux"
	rm -rf "$out" && mv "$out.tmp" "$out"
	echo "the lean lab kernel is built: $SECONDS s" >&2
fi
echo "$out/bzImage"
