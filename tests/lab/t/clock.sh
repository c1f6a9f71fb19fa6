# lab: host=lean kernels=lean,cloud limit=120
# Kernels that do not use the KVM clock find the time all the same: with the TSC, by the PIT or by what
# CPUID says. And what CPUID says of features makes sense, though this host's may not.
. /lab/lib.sh

for kernel in lean cloud; do
	for append in no-kvmclock nopv; do
		guest $kernel cpu,complaints
		same "$kernel, $append: powers off" 0 "$status"
		same "$kernel, $append: time" tsc "$(said clocksource)"
		check_complaints "$kernel, $append"
	done
	append=
done
guest lean cpu
same "the KVM clock is used where it is known" kvm-clock "$(said clocksource)"
at_least "the TSC's frequency, kHz" 100000 "$(said tsc)"
case $(said cpu) in
"xsave=1 avx=1" | "xsave=1 avx=0" | "xsave=0 avx=0") ok "AVX with XSAVE only" ;;
*) not_ok "AVX with XSAVE only" "$(said cpu)" ;;
esac
