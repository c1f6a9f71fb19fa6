# lab: host=lean kernels=lean,cloud limit=320
# Kernels that do not use the KVM clock live by the TSC. Here the kernel command line has its frequency, as in
# CPUID, because on AMD Linux measures it by the PIT, which works only if an exit takes microseconds and not some
# 50 as on this emulated host. CPUID's features must also be consistent, although this host's may not be.
. /lab/lib.sh

guest lean cpu
same "the KVM clock is used where it is known" kvm-clock "$(said clocksource)"
khz=$(said tsc)
at_least "the TSC's frequency, kHz" 100000 "$khz"
case $(said cpu) in
"xsave=1 avx=1" | "xsave=1 avx=0" | "xsave=0 avx=0") ok "AVX with XSAVE only" ;;
*) not_ok "AVX with XSAVE only" "$(said cpu)" ;;
esac
for kernel in lean cloud; do
	for append in "no-kvmclock tsc_early_khz=$khz" "nopv tsc_early_khz=$khz"; do
		guest $kernel cpu,complaints
		same "$kernel, $append: powers off" 0 "$status"
		same "$kernel, $append: another clock" 1 "$(said clocksource | grep -vc kvm)"
		check_complaints "$kernel, $append"
	done
	append=
done

# The host's time of day by virtio-rtc lies between two looks at it on the host.
before=$(date +%s)000000000
guest lean ptp,complaints --clock
after=$(($(date +%s) + 1))000000000
same "clock: powers off" 0 "$status"
check_complaints clock
at_least "clock: not before the guest began" "$before" "$(said ptp)"
at_least "clock: not after the guest ended" "$(said ptp)" "$after"
guest lean ptp
same "without --clock: powers off" 0 "$status"
same "without --clock there is none" "" "$(said ptp)"
