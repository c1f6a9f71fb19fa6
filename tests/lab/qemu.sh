#!/bin/bash
# qemu.sh: fetches the lab's QEMU without installing it and prints the path of its program: 11.1.3 of Debian
# 13's backports with every library that it loads. Unlike Debian 12's 7.2 it emulates XSAVE under
# virtualization, so guests have AVX, and does not lose interrupts (see lab). Cached by version; where apt
# does not offer that version, the newest cached one will do.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

version=1:11.1.3+ds-1~bpo13+1
out=$cache/qemu-${version#*:}

# download: fetches these packages and all that they depend on to the current directory. To list these, apt is
# told that nothing is installed.
download()
{
	local wanted=(qemu-system-{x86,common,data}="$version" seabios/trixie-backports) closure
	closure=$(apt-get "${apt[@]}" -s --no-install-recommends install "${wanted[@]}" |
		sed -n 's/^Inst \([^ ]*\) (\([^ ]*\).*/\1=\2/p') || return
	# shellcheck disable=SC2086 # a list
	apt-get "${apt[@]}" -qq -o APT::Sandbox::User="$(id -un)" download $closure
}

# make: $out with the program, its libraries and ROMs, and a script that starts it.
make()
{
	local tmp file
	tmp=$(mktemp -d "$cache/qemu.XXXXXX")
	# shellcheck disable=SC2064 # now
	trap "rm -rf '$tmp'" EXIT
	echo "fetching QEMU $version" >&2
	(cd "$tmp" && download >&2) || return
	for file in "$tmp"/*.deb; do
		dpkg -x "$file" "$tmp/tree" || return
	done
	mkdir -p "$tmp/out/lib" "$tmp/out/share"
	cp "$tmp/tree/usr/bin/qemu-system-x86_64" "$tmp/out/program"
	cp -rL "$tmp"/tree/usr/share/{qemu,seabios} "$tmp/out/share/" || return
	"$tmp/tree/usr/lib64/ld-linux-x86-64.so.2" --library-path "$tmp/tree/usr/lib/x86_64-linux-gnu" \
		--list "$tmp/out/program" | grep -o "$tmp/tree/[^ ]*" | xargs cp -L -t "$tmp/out/lib" || return
	cp -L "$tmp/tree/usr/lib64/ld-linux-x86-64.so.2" "$tmp/out/lib/"
	cat >"$tmp/out/qemu-system-x86_64" <<-'END'
		#!/bin/sh
		dir=$(dirname "$0")
		exec "$dir/lib/ld-linux-x86-64.so.2" --library-path "$dir/lib" "$dir/program" \
			-L "$dir/share/qemu" -L "$dir/share/seabios" "$@"
	END
	chmod 755 "$tmp/out" "$tmp/out/qemu-system-x86_64"
	"$tmp/out/qemu-system-x86_64" --version >&2 || return
	mv -T "$tmp/out" "$out" 2>/dev/null || [ -d "$out" ]
}

exec 8>"$cache/qemu.lock"
flock 8 # another run may be fetching it
if [ ! -d "$out" ]; then
	use_suites trixie trixie-backports
	make || out=$(cached_instead "QEMU $version" 'qemu-[0-9]*')
fi
echo "$out/qemu-system-x86_64"
