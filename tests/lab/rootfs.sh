#!/bin/bash
# rootfs.sh: makes a small Debian with mmdebstrap, no mounting and no loop device, and prints the
# directory that has
#	root.ext4	its file system: systemd, networkd, root without a password, fio, iperf3
#	vmlinuz, initrd	its own kernel and initial RAM disk, as Debian has them
# Cached by the contents of this file.
set -euo pipefail
cd "$(dirname "$0")"
. ./cache.sh

key=$(sha256sum <rootfs.sh | cut -c1-12)
out=$cache/debian-root-$key
packages=systemd-sysv,udev,dbus,iproute2,e2fsprogs,linux-image-cloud-amd64,initramfs-tools,zstd,fio,iperf3
if [ ! -d "$out" ]; then
	tmp=$(mktemp -d "$cache/rootfs.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	echo "rootfs.sh: making a small Debian of some 120 MB of packages: a minute" >&2
	# $1 is the root directory of mmdebstrap's hooks.
	# shellcheck disable=SC2016
	mmdebstrap --quiet --variant=minbase --include="$packages" \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook='chroot "$1" passwd -q -d root' \
		--customize-hook='echo straddle >"$1/etc/hostname"' \
		--customize-hook='printf "[Match]\nType=ether\n[Network]\nDHCP=ipv4\n" >"$1/etc/systemd/network/lan.network"' \
		--customize-hook='mkdir -p "$1/etc/systemd/system.conf.d"' \
		--customize-hook='printf "[Manager]\nDefaultDeviceTimeoutSec=600\n" >"$1/etc/systemd/system.conf.d/slow.conf"' \
		--customize-hook='chroot "$1" systemctl -q enable systemd-networkd' \
		--customize-hook='chroot "$1" systemctl -q disable systemd-networkd-wait-online e2scrub_reap apt-daily.timer apt-daily-upgrade.timer' \
		bookworm "$tmp/root.tar" >&2
	mkdir "$tmp/out" "$tmp/root"
	for file in vmlinuz initrd.img; do
		tar -xOf "$tmp/root.tar" --wildcards "./boot/$file-*" >"$tmp/out/${file%.img}"
	done
	# fakeroot: files belong to root, whichever user runs this.
	# shellcheck disable=SC2016
	fakeroot sh -c 'tar -xf "$1/root.tar" -C "$1/root" && rm "$1/root.tar" &&
		mke2fs -q -t ext4 -L root -d "$1/root" "$1/out/root.ext4" 1536M' sh "$tmp" >&2
	mv -T "$tmp/out" "$out"
fi
echo "$out"
