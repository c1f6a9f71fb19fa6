#!/bin/bash
# dpdk.sh: fetches Debian's DPDK without installing it (that would be 200 packages) and prints a
# directory with testpmd, its drivers for vhost-user and tap, and every library that these load: a
# software switch for `--net vhost-user=`. Cached by version; where apt offers none, the newest cached
# one will do.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

abi=23 # the end of its package names
wanted="librte-net-vhost$abi librte-net-tap$abi librte-mempool-ring$abi"

# What testpmd itself is linked with: sonames such as librte_net_i40e.so.23, of librte-net-i40e23, but
# librte-net-ixgbe23 and librte-common-mlx5-23: a digit has a dash after it.
packages_of()
{
	readelf -d "$1" | sed -n 's/.*\[\(librte_.*\)\.so\.'$abi'\]/\1/p' | tr _ - | sed "s/[0-9]\$/&-/; s/\$/$abi/"
}

# download DIRECTORY PACKAGE...: unpacks there what apt has of it.
download()
{
	local to=$1
	shift
	# As root, apt would download as another user, who may not write here.
	(cd "$to" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$@") >&2 || return
	for package in "$to"/*.deb; do
		dpkg -x "$package" "$to/tree" && rm "$package" || return
	done
}

# make DIRECTORY: makes the tree, without files for init systems.
make()
{
	tmp=$(mktemp -d "$cache/dpdk.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	echo "fetching DPDK $version" >&2
	download "$tmp" dpdk-dev || return
	local testpmd=$tmp/tree/usr/bin/dpdk-testpmd file
	# shellcheck disable=SC2046,SC2086 # lists of packages
	download "$tmp" $(apt-get install -s --no-install-recommends $wanted $(packages_of "$testpmd") |
		sed -n 's/^Inst \([^ ]*\).*/\1/p' | grep -v -e systemd -e udev) || return
	mkdir "$tmp/out" && cp "$testpmd" "$tmp/out/"
	find "$tmp/tree" -name '*.so.*' -exec cp -L -t "$tmp/out" --no-clobber {} +
	# The remaining libraries are this machine's.
	LD_LIBRARY_PATH=$tmp/out ldd "$tmp"/out/* | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | grep -v "^$tmp" |
		sort -u | xargs cp -L -t "$tmp/out"
	# Of the drivers, keep only those that are loaded.
	(cd "$tmp/out" && LD_LIBRARY_PATH=. ldd dpdk-testpmd librte_net_vhost.so.$abi librte_net_tap.so.$abi \
		librte_mempool_ring.so.$abi | sed -n 's/.*=> \.\/\([^ ]*\) .*/\1/p' >../used
	printf '%s\n' dpdk-testpmd librte_net_vhost.so.$abi librte_net_tap.so.$abi librte_mempool_ring.so.$abi >>../used
	for file in *; do grep -qxF "$file" ../used || rm "$file"; done)
	mv -T "$tmp/out" "$1" 2>/dev/null || [ -d "$1" ]
}

version=$({ apt-cache show --no-all-versions dpdk-dev 2>/dev/null || true; } | sed -n 's/^Version: //p')
out=$cache/dpdk-$version
if [ -z "$version" ] || { [ ! -d "$out" ] && ! make "$out"; }; then
	out=$(cached_instead DPDK 'dpdk-[0-9]*')
fi
echo "$out"
