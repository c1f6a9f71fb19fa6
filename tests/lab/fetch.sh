#!/bin/bash
# fetch.sh KERNEL: fetches a stock Debian kernel without installing it and prints the directory it
# was unpacked to, with boot/vmlinuz-* and lib/modules/. KERNEL is
#	full	  Debian's 6.1
#	cloud	  Debian's 6.1 for virtual machines: no hardware drivers
#	cloud612  Debian's 6.12 for virtual machines
# Cached by package and version; where apt offers none, the newest cached one will do.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

case ${1-} in
full) meta=linux-image-amd64 pattern='linux-image-6.1.*[0-9]-amd64_*' ;;
cloud) meta=linux-image-cloud-amd64 pattern='linux-image-6.1.*-cloud-amd64_*' ;;
cloud612) meta=linux-image-6.12-cloud-amd64 pattern='linux-image-6.12.*-cloud-amd64_*' ;;
*) echo "usage: fetch.sh full|cloud|cloud612" >&2 && exit 2 ;;
esac

# field PACKAGE NAME: one field of the newest version that apt knows.
field()
{
	{ apt-cache show --no-all-versions "$1" 2>/dev/null || true; } | sed -n "s/^$2: //p"
}

# download PACKAGE VERSION DIRECTORY
download()
{
	tmp=$(mktemp -d "$cache/fetch.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	echo "fetching $1 $2" >&2
	# As root, apt would download as another user, who may not write here.
	(cd "$tmp" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$1=$2") >&2 || return
	dpkg -x "$tmp"/*.deb "$tmp/tree" && rm -rf "$tmp/tree/usr" && chmod 755 "$tmp/tree" || return
	mv -T "$tmp/tree" "$3" 2>/dev/null || [ -d "$3" ]
}

package=$(field "$meta" Depends | grep -oE 'linux-image-[^ ,]+' | head -n 1) || true
version=${package:+$(field "$package" Version)}
out=$cache/${package}_$version
if [ -z "$version" ] || { [ ! -d "$out" ] && ! download "$package" "$version" "$out"; }; then
	out=$(cached_instead "$meta" "$pattern")
fi
echo "$out"
