# lab: host=shadow kernels=i386 limit=600
# Debian's 32-bit kernel, by Linux' 32-bit entry: what kernels.sh asks of the others, without nodes (CONFIG_NUMA
# is for 64 bits).
. /lab/lib.sh

# With XSAVE this host is emulated by QEMU 11.1.3 and not by 7.2 (see choose_qemu of the lab). 11.1.3 walks shadow
# page tables wrongly, so that the kernel has page faults, at another place each time, before its console works.
if grep -qw xsave /proc/cpuinfo; then
	skip "i386: all of it" "32-bit guests do not run where a QEMU as new as this system's emulates the host"
	exit 0
fi
limit=220
check_kernel i386 --memory 768M --cpus 4
check_power_off i386
