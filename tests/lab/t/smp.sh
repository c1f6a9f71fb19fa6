# lab: host=xsave kernels=lean limit=200
# As many CPUs as asked for come up, their interrupts work well enough to power off, and programs have the
# AVX that the host has, if it has XSAVE, without which there is none in a guest.
. /lab/lib.sh

avx_flags=$(grep -m 1 '^flags' /proc/cpuinfo | tr ' ' '\n' | grep -xE 'xsave|avx|avx2' | sort | xargs)
avx="0 bad"
case $avx_flags in
"avx avx2 xsave") ;;
*xsave) avx=absent ;;
*) avx_flags='' avx=absent ;;
esac

for cpus in 1 2 4; do
	guest lean facts,avx --memory 256M --cpus $cpus
	same "$cpus CPUs: powers off" 0 "$status"
	same "$cpus CPUs: found" $cpus "$(said cpus)"
	same "$cpus CPUs: the host's AVX" "$avx_flags" "$(said avx_flags)"
	same "$cpus CPUs: registers that programs left" "$avx" "$(said avx)"
	check_complaints "$cpus CPUs"
done
