#!/bin/bash
# Installs the Debian packages among its arguments that are missing. `make deps` lists them.
set -euo pipefail
missing=()
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	echo "deps: this system has no apt-get; install the equivalents of: $*" >&2
	exit 1
fi
# A name with a * means any installed package that matches, or else the newest one that apt offers.
newest() { apt-cache pkgnames | grep -xE "${1//\*/.*}" | sort -V | tail -n 1; }

for package in "$@"; do
	status=$(dpkg-query -W -f '${db:Status-Status} ' "$package" 2>/dev/null || true)
	[[ " $status" == *' installed '* ]] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
as_root=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "deps: as root, install: ${missing[*]}" >&2; exit 1; }
	as_root=(sudo)
fi
echo "deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
for i in "${!missing[@]}"; do
	[[ ${missing[i]} != *\** ]] || missing[i]=$(newest "${missing[i]}")
done
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
