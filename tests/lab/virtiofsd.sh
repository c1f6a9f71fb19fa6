#!/bin/bash
# virtiofsd.sh: fetches the virtiofsd of Debian 13, which is in Rust, without installing it, and prints a directory
# that can be copied anywhere: a script of that name, which starts the program, and every library that it loads.
# Cached by version; where apt offers none, the newest cached one will do.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

# make VERSION: $out. apt is told that nothing is installed, so that it lists all that the program needs.
make()
{
	local tmp file closure
	tmp=$(mktemp -d "$cache/virtiofsd.XXXXXX")
	# shellcheck disable=SC2064 # now
	trap "rm -rf '$tmp'" EXIT
	echo "fetching virtiofsd $1" >&2
	closure=$(apt-get "${apt[@]}" -s --no-install-recommends install virtiofsd="$1" |
		sed -n 's/^Inst \(virtiofsd\|lib[^ ]*\) (\([^ ]*\).*/\1=\2/p') || return
	# shellcheck disable=SC2086 # a list
	(cd "$tmp" && apt-get "${apt[@]}" -qq -o APT::Sandbox::User="$(id -un)" download $closure >&2) || return
	for file in "$tmp"/*.deb; do
		dpkg -x "$file" "$tmp/tree" || return
	done
	mkdir -p "$tmp/out/lib"
	cp "$tmp/tree/usr/libexec/virtiofsd" "$tmp/out/program"
	"$tmp"/tree/usr/lib64/ld-linux-x86-64.so.2 --library-path "$tmp/tree/usr/lib/x86_64-linux-gnu" \
		--list "$tmp/out/program" | grep -o "$tmp/tree/[^ ]*" | xargs cp -L -t "$tmp/out/lib" || return
	cp -L "$tmp/tree/usr/lib64/ld-linux-x86-64.so.2" "$tmp/out/lib/"
	cat >"$tmp/out/virtiofsd" <<-'END'
		#!/bin/sh
		dir=${0%/*}
		exec "$dir/lib/ld-linux-x86-64.so.2" --library-path "$dir/lib" "$dir/program" "$@"
	END
	chmod 755 "$tmp/out" "$tmp/out/virtiofsd"
	"$tmp/out/virtiofsd" --version >&2 || return
	mv -T "$tmp/out" "$out" 2>/dev/null || [ -d "$out" ]
}

exec 8>"$cache/virtiofsd.lock"
flock 8 # another run may be fetching it
newest=$cache/newest-virtiofsd
if [ -z "$(find "$newest" -mtime -1 2>/dev/null)" ] || [ ! -d "$newest/" ]; then
	use_suites trixie
	version=$(field virtiofsd Version)
	out=$cache/virtiofsd-${version//:/.}
	if [ -n "$version" ] && { [ -d "$out" ] || make "$version"; }; then
		ln -sfn "$out" "$newest"
	else
		ln -sfn "$(cached_instead virtiofsd 'virtiofsd-[0-9]*')" "$newest"
	fi
fi
readlink "$newest"
