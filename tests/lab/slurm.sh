#!/bin/bash
# slurm.sh: fetches Debian's Slurm without installing it, because its packages would start daemons, and prints a
# directory with those files of usr/ that two nodes and a controller on one machine need, and the libraries that
# these load. Cached by version; where apt offers none, the newest cached one will do.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

programs="bin/sbatch bin/scancel bin/scontrol bin/sinfo bin/squeue sbin/slurmctld sbin/slurmd sbin/slurmstepd"
lib=usr/lib/x86_64-linux-gnu

# make DIRECTORY: makes the tree.
make()
{
	local tmp file package
	tmp=$(mktemp -d "$cache/slurm.XXXXXX")
	# shellcheck disable=SC2064 # now
	trap "rm -rf '$tmp'" EXIT
	echo "fetching Slurm $version" >&2
	# Those that this machine lacks, and Slurm's own in any case. As root, apt would download as another user, who
	# may not write here.
	# shellcheck disable=SC2046 # a list of packages
	(cd "$tmp" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download $({
		apt-get install -s --no-install-recommends slurmctld slurmd slurm-client |
			sed -n 's/^Inst \([^ ]*\).*/\1/p'
		printf '%s\n' slurmctld slurmd slurm-client slurm-wlm-basic-plugins
	} | sort -u)) >&2 || return
	for package in "$tmp"/*.deb; do
		dpkg -x "$package" "$tmp/tree" || return
	done
	mkdir -p "$tmp/out/usr/bin" "$tmp/out/usr/sbin" "$tmp/out/$lib"
	for file in $programs; do
		cp "$tmp/tree/usr/$file-wlm" "$tmp/out/usr/$file" 2>/dev/null ||
			cp "$tmp/tree/usr/$file" "$tmp/out/usr/$file" || return
	done
	cp -r "$tmp/tree/$lib/slurm-wlm" "$tmp/out/$lib/" || return
	rm -f "$tmp/out/$lib"/slurm-wlm/{mpi_pmix*,openapi_*,*cray*,libslurm_pmi.so,slurmctld_nonstop.so}
	find "$tmp/tree" -maxdepth 4 -name '*.so.*' -exec cp -L -t "$tmp/out/$lib" --no-clobber {} +
	# The remaining libraries are this machine's.
	LD_LIBRARY_PATH=$tmp/out/$lib:$tmp/out/$lib/slurm-wlm ldd "$tmp"/out/usr/*bin/* >"$tmp/used"
	grep 'not found' "$tmp/used" >&2 && return 1
	sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' "$tmp/used" | grep -v "^$tmp" | sort -u | xargs cp -L -t "$tmp/out/$lib"
	mv -T "$tmp/out" "$1" 2>/dev/null || [ -d "$1" ]
}

version=$({ apt-cache show --no-all-versions slurmctld 2>/dev/null || true; } | sed -n 's/^Version: //p')
out=$cache/slurm-$version
if [ -z "$version" ] || { [ ! -d "$out" ] && ! make "$out"; }; then
	out=$(cached_instead Slurm 'slurm-[0-9]*')
fi
echo "$out"
