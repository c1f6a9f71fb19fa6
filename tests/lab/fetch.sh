#!/bin/bash
# fetch.sh NAME: fetches a stock Debian kernel without installing it and prints the directory it was
# unpacked to, with boot/vmlinuz-* and lib/modules/. NAME is
#	full	  Debian 12's 6.1
#	cloud	  the same for virtual machines: no hardware drivers
#	full510, cloud510	Debian 11's 5.10
#	full612, cloud612	Debian 12's 6.12
#	full7, cloud7		the 7.x of Debian 13's backports
#	i386	  Debian 12's 6.1 for 32-bit CPUs, with PAE
#	memtest	  memtest86+, which boots as a kernel: boot/memtest86+x64.bin
# or prints the directory of a program:
#	busybox-i386	bin/busybox, static, for 32-bit CPUs
# Cached by package and version; where apt offers none, the newest cached one will do.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

apt=() suite='' arch=amd64
meta=linux-image-amd64
case ${1-} in
cloud*) meta=linux-image-cloud-amd64 ;;
i386) meta=linux-image-686-pae ;;
busybox-i386) meta=busybox-static ;;
memtest) meta=memtest86+ ;;
esac
case ${1-} in
full) pattern='linux-image-6.1.*[0-9]-amd64_*' ;;
cloud) pattern='linux-image-6.1.*-cloud-amd64_*' ;;
full612) meta=linux-image-6.12-amd64 pattern='linux-image-6.12.*[0-9]-amd64_*' ;;
cloud612) meta=linux-image-6.12-cloud-amd64 pattern='linux-image-6.12.*-cloud-amd64_*' ;;
full510) suite=bullseye pattern='linux-image-5.10.*[0-9]-amd64_*' ;;
cloud510) suite=bullseye pattern='linux-image-5.10.*-cloud-amd64_*' ;;
full7) suite=trixie-backports pattern='linux-image-7.*[0-9]-amd64_*' ;;
cloud7) suite=trixie-backports pattern='linux-image-7.*-cloud-amd64_*' ;;
i386) suite=bookworm arch=i386 pattern='linux-image-*-686-pae_*' ;;
busybox-i386) suite=bookworm arch=i386 pattern='busybox-static-i386_*' ;;
memtest) pattern='memtest86+_*' ;;
*) sed -n '/^#\t/s/^#\t//p' "$0" >&2 && exit 2 ;;
esac
# apt is asked once a day, because that takes seconds.
newest=$cache/newest-$1
if [ -n "$(find "$newest" -mtime -1 2>/dev/null)" ] && [ -d "$newest/" ]; then
	readlink "$newest"
	exit 0
fi
[ -z "$suite" ] || use_suites "$suite"

# parts PACKAGE VERSION: what to download. From 7.x on a kernel's image and its modules are packages of
# their own, on which this one depends.
parts()
{
	echo "$1=$2"
	field "$1" Depends | tr , '\n' | sed -n 's/^ *\(linux-\(binary\|modules\)-[^ ]*\) (= \([^)]*\)).*/\1=\3/p'
}

# arrange TREE: puts a kernel's files where all have them, and drops the rest.
arrange()
{
	local image
	if [ -d "$1/usr/lib/modules" ]; then
		mkdir -p "$1/boot" "$1/lib"
		mv "$1/usr/lib/modules" "$1/lib/modules"
		for image in "$1"/lib/modules/*/vmlinuz; do
			mv "$image" "$1/boot/vmlinuz-$(basename "$(dirname "$image")")"
		done
	fi
	rm -rf "$1/usr"
}

# download DIRECTORY PACKAGE=VERSION...: downloads and unpacks packages.
download()
{
	local out=$1 package
	shift
	tmp=$(mktemp -d "$cache/fetch.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	echo "fetching $*" >&2
	# As root, apt would download as another user, who may not write here.
	(cd "$tmp" && apt-get "${apt[@]}" -qq -o APT::Sandbox::User="$(id -un)" download "$@") >&2 || return
	for package in "$tmp"/*.deb; do
		dpkg -x "$package" "$tmp/tree" || return
	done
	arrange "$tmp/tree" && chmod 755 "$tmp/tree" || return
	mv -T "$tmp/tree" "$out" 2>/dev/null || [ -d "$out" ]
}

package=$meta name=$meta
case $1 in
busybox-i386) name=busybox-static-i386 ;;
memtest) ;;
*)
	package=$(field "$meta" Depends | grep -oE 'linux-image-[^ ,]+' | head -n 1) || true
	name=$package
	;;
esac
version=${package:+$(field "$package" Version)}
out=$cache/${name}_${version//:/.}
# shellcheck disable=SC2046 # a list of packages
if [ -z "$version" ] || { [ ! -d "$out" ] && ! download "$out" $(parts "$package" "$version"); }; then
	out=$(cached_instead "$meta" "$pattern")
else
	ln -sfn "$out" "$newest"
fi
echo "$out"
