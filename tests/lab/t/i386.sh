# lab: host=shadow kernels=i386 limit=600
# Debian's 32-bit kernel, by Linux' 32-bit entry: what kernels.sh asks of the others, without nodes (CONFIG_NUMA
# is for 64 bits).
. /lab/lib.sh

limit=300
check_kernel i386 --memory 768M --cpus 4
check_power_off i386
