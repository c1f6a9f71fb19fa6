# lab: host=lean kernels=lean limit=400 root=yes
# RAM that is touched before the guest starts, with and without devices that pin it; what the host does not have; the
# end in the middle.
. /lab/lib.sh

# there: KiB of guest RAM that are in the host's memory, as pages of this process or as its huge pages.
there() { awk '/^VmRSS|^HugetlbPages/ { n += $2 } END { print n }' "/proc/$(pidof straddle)/status"; }

# touched NAME KIB OPTION...: checks, while a guest runs, that so much of its RAM is there.
touched()
{
	name=$1 wanted=$2
	shift 2
	interactive lean ask "$@"
	at_least "$name: all of it is there" "$wanted" "$(there)"
	tell poweroff
	ended $straddle
	same "$name: powers off" 0 "$status"
}

# refused NAME TEXT OPTION...: `run` ends with status 1 and this sentence, and `check` says the same.
refused()
{
	name=$1 text=$2
	shift 2
	guest lean poweroff "$@"
	same "$name: status" 1 "$status"
	same "$name: says so" 1 "$(grep -c "^straddle: .*$text" "$log")"
	straddle check "$@" >/tmp/check 2>&1
	same "$name: check: status" 1 $?
	same "$name: check says so" 1 "$(grep -c "^ram *no: .*$text" /tmp/check)"
}

interactive lean ask --memory 512M
at_least "RAM is made as the guest uses it" 1 "$((524288 - $(there)))"
tell poweroff
ended $straddle
touched "--prefault on" 262144 --memory 256M --prefault on
locked() { awk '/^VmLck/ { print $2 }' "/proc/$(pidof straddle)/status"; }
interactive lean ask --memory 512M --lock-memory
at_least "--lock-memory: all of RAM" 524288 "$(locked)"
at_least "--lock-memory: pages are made as the guest uses them" 1 "$((524288 - $(there)))"
tell poweroff
ended $straddle

pages=$(cat /proc/sys/vm/nr_hugepages)
echo 100 >/proc/sys/vm/nr_hugepages
refused "too few huge pages" "needs 128 free huge pages of 2 MiB, and the host has 100: .echo 128 >" \
	--memory 256M --page-size 2M
guest lean poweroff --memory 256M --page-size 2M --overcommit
same "--overcommit: the kernel refuses huge pages itself" 1 "$(grep -c 'needs .* free huge pages of 2 MiB' "$log")"
echo 128 >/proc/sys/vm/nr_hugepages
touched "huge pages" 262144 --memory 256M --page-size 2M --prefault on
# What RAM repeats is touched once: there are no more pages. It is not touched where this process has it mapped.
free() { awk '/^HugePages_Free/ { print $2 }' /proc/meminfo; }
append="memmap=exactmap memmap=639K@0 memmap=255M@1M"
interactive lean ask --memory 4G --low-memory 256M --page-size 2M --fold 256M --prefault on
same "--fold: all of it is there" 0 "$(free)"
tell poweroff
ended $straddle
append=
same "--fold: powers off" 0 "$status"
same "no huge page is lost" 128 "$(free)"
echo "$pages" >/proc/sys/vm/nr_hugepages

refused "more RAM than there is" "touches all 65536 MiB of guest RAM, and the host has" --memory 64G --prefault on
guest lean poweroff --memory 64G
same "more RAM than there is, made as the guest uses it" 0 "$status"

take $nvme
for backend in type1 iommufd; do
	for prefault in on off; do
		# shellcheck disable=SC2086 # a list of options
		guest lean dma,complaints $across --vfio $nvme --vfio-backend $backend --prefault $prefault
		same "$backend, --prefault $prefault: powers off" 0 "$status"
		check_dma "$backend, --prefault $prefault"
		check_complaints "$backend, --prefault $prefault"
	done
	pins=$(pinned)
	touched "$backend: the default" 524288 --memory 512M --vfio $nvme --vfio-backend $backend
	same "$backend: no page stays pinned" "$pins" "$(pinned)"
done
refused "more RAM than there is, for devices" "devices pin all 65536 MiB of guest RAM, and the host has" \
	--memory 64G --vfio $nvme

# ends NAME OPTION...: ended by SIGTERM (shells make background jobs ignore Ctrl-C) once some RAM has been touched.
ends()
{
	name=$1
	shift
	pins=$(pinned)
	beside lean poweroff --memory 1300M --prefault on "$@"
	tries=400
	until [ "$(there 2>/dev/null || echo 0)" -gt 100000 ] || [ "$((tries -= 1))" = 0 ]; do
		usleep 20000
	done
	kill -TERM "$(pidof straddle)"
	ended $straddle
	same "$name: status" 143 "$status"
	at_least "$name: it had begun" 1 "$tries"
	same "$name: the guest was not started, and nothing is said" 0 "$(wc -c <"$log")"
	same "$name: no page stays pinned" "$pins" "$(pinned)"
}
ends "ended while RAM is touched"
ends "ended while RAM is touched and pinned" --vfio $nvme
give $nvme

# On a terminal: one line, which is erased.
jail="terminal 30 100"
guest lean poweroff --memory 1300M --prefault on
jail=
same "on a terminal: powers off" 0 "$status"
tr '\r' '\n' <"$log" | grep 'touched' >/tmp/lines
tail -n 1 /tmp/lines
same "on a terminal: GiB, GiB a second, seconds" 0 \
	"$(grep -vc 'straddle: touched [0-9.]* of 1.3 GiB of RAM, [0-9.]* GiB/s, [0-9]* s left.\[K$' /tmp/lines)"
# What is quicker than a second has no line.
same "on a terminal: the line is erased" "$([ -s /tmp/lines ] && echo 1 || echo 0)" \
	"$(tr '\r' '\n' <"$log" | grep -c '^.\[K')"
