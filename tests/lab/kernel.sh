#!/bin/bash
# Builds the lean lab kernel from Debian's linux-source-6.12 and prints the path of its bzImage.
# The result is cached, keyed by the source package's version and by the configuration fragment.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

lab=$(cd "$(dirname "$0")" && pwd)
tarball=/usr/src/linux-source-6.12.tar.xz
[ -f "$tarball" ] || { echo "kernel.sh: $tarball is missing: run make deps" >&2; exit 1; }
version=$(dpkg-query -W -f '${Version}' linux-source-6.12)
key=$(cat "$lab/lean.config" | sha256sum | cut -c1-12)
out=$cache/lean-$version-$key
if [ -f "$out/bzImage" ]; then
	echo "$out/bzImage"
	exit 0
fi

tree=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$tree"' EXIT
log=$cache/lean-build.log
echo "building the lean lab kernel $version (about 7 minutes on 2 cores; log: $log)" >&2
tar -C "$tree" --strip-components=1 -xf "$tarball"
(
	cd "$tree"
	make -s tinyconfig
	scripts/kconfig/merge_config.sh -m .config "$lab/lean.config"
	make -s olddefconfig
	make -j"$(nproc)" bzImage vmlinux
) >"$log" 2>&1 </dev/null || { tail -20 "$log" >&2; exit 1; }

# Options that the fragment asks for and Kconfig dropped are said, not lost.
grep -E '^CONFIG_.*=(y|n|")' "$lab/lean.config" | while IFS='=' read -r name value; do
	case $value in
	n) ! grep -q "^$name=" "$tree/.config" || echo "lean kernel: $name is on" >&2 ;;
	*) grep -q "^$name=" "$tree/.config" || echo "lean kernel: $name is off" >&2 ;;
	esac
done
mkdir -p "$out.tmp"
cp "$tree/arch/x86/boot/bzImage" "$tree/.config" "$out.tmp/"
# An uncompressed vmlinux (with the PVH note), for the ELF loader's tests.
objcopy --strip-debug "$tree/vmlinux" "$out.tmp/vmlinux"
rm -rf "$out" && mv "$out.tmp" "$out"
echo "$out/bzImage"
