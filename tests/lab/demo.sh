#!/bin/bash
# The demonstrations, here if this host's KVM can, else in the lab (an emulated AMD host). `make` has
# built straddle before.
#	demo.sh		a stock Debian kernel with RAM on both sides of the AMD hole
#	demo.sh disk	a Debian on a virtio disk, up to the login prompt and back
set -euo pipefail
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
PATH=$(cd "$BUILD" && pwd):$PATH
what=${1-}

# The guest writes to a copy. Its network ends at an echo server of ours on the loopback interface.
here_disk()
{
	root=$(tests/lab/rootfs.sh)
	work=$(mktemp -d)
	trap 'kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
	cp --sparse=always "$root/root.ext4" "$work/"
	mkdir "$work/k" && ln -s "$root" "$work/k/debian"
	socat TCP-LISTEN:7007,bind=127.0.0.1,fork EXEC:cat &
	server=$!
	K=$work/k DISK=$work/root.ext4 PORT=7007 LAB=tests/lab/host sh tests/lab/t/debian.sh 3>"$work/results"
	e2fsck -fn "$work/root.ext4"
	! grep '^not ok' "$work/results"
}

if straddle check; then
	echo "demo: on this host's KVM"
	if [ "$what" = disk ]; then
		here_disk
		exit
	fi
	kernel=$(tests/lab/lab kernel cloud)
	K=${kernel%/cloud/*} exec sh tests/lab/t/demo.sh
fi
echo "demo: this host's KVM cannot boot a stock kernel, so in the lab: Debian's kernel on an"
echo "demo: AMD machine that QEMU emulates, with straddle inside. First starts take a minute or two."
[ "$what" != disk ] || exec tests/lab/lab run debian
exec tests/lab/lab run --host debian demo
