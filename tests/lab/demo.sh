#!/bin/bash
# make demo: boots a stock Debian kernel with RAM on both sides of the AMD hole, here if this host's
# KVM can, else in the lab (an emulated AMD host). `make` has built straddle before.
set -euo pipefail
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}

if "$BUILD/straddle" check; then
	echo "demo: on this host's KVM"
	kernel=$(tests/lab/lab kernel cloud)
	PATH=$(cd "$BUILD" && pwd):$PATH K=${kernel%/cloud/*} exec sh tests/lab/t/demo.sh
fi
echo "demo: this host's KVM cannot boot a stock kernel, so in the lab: Debian's kernel on an"
echo "demo: AMD machine that QEMU emulates, with straddle inside. First starts take a minute."
exec tests/lab/lab run --host debian demo
