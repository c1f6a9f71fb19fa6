# Sourced by the tests, which run inside the lab host (busybox sh). init gives them $K, the folder of
# guest kernels, and descriptor 3, the channel for results.
#
# A test file begins with a line for the runner (tests/lab/lab):
#	# lab: host=lean kernels=lean,cloud limit=60
# (the lab host that runs it, the guest kernels it needs, seconds that it may take); alone=yes: in a boot
# of its own; root=yes: as root, and not as a user who may use /dev/kvm and not much else; with=dpdk: DPDK in
# /dpdk; with=suites: see suites.sh.

test=$(basename "$0" .sh)
shown= # the last guest's console was printed

# The limit of one guest in seconds, only to end guests that hang. A guest needs some 20 on a machine that is
# otherwise idle.
limit=200
append=
log=/tmp/guest.log   # a guest's console and straddle's own words
facts=/tmp/facts     # what the guest said in "lab:" lines
jail=           # a command before straddle: chroot
plan=/tmp/plan       # the plan in lines, see json.awk
quiet="console=ttyS0 quiet panic=1"

# If the guest has ended nothing is sent to it, and the test fails.
trap '' PIPE

result()
{
	echo "$1"
	echo "$1" >&3
}

ok() { result "ok $test: $1"; }

skip() { result "ok $test: $1 # SKIP $2"; }

# not_ok NAME WHY: also shows the end of the last guest's console, once.
not_ok()
{
	result "not ok $test: $1 # $(echo "$2" | tr '\n' ';')"
	[ "$shown" ] || grep -v 'lab: ' "$log" | tail -n 30 | sed 's/^/    | /'
	shown=yes
}

# same NAME WANTED GOT
same()
{
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "wanted '$2', got '$3'"
	fi
}

# at_least NAME NUMBER GOT
at_least()
{
	if [ "${3:-0}" -ge "$2" ]; then
		ok "$1"
	else
		not_ok "$1" "wanted at least $2, got '$3'"
	fi
}

# same_lines NAME WANTED-FILE GOT-FILE
same_lines()
{
	if [ -s "$2" ] && diff -U 1 "$2" "$3" >/tmp/diff; then
		ok "$1"
	else
		sed 's/^/    | /' /tmp/diff
		not_ok "$1" "differs: $(grep -c '^[-+][^-+]' /tmp/diff) lines"
	fi
}

# start KERNEL DO OPTION...: becomes straddle with a guest that does DO (guest/init), $limit seconds
# at most. The console is standard input and output; $append goes to the guest's kernel.
start()
{
	kernel=$1 do=$2
	shift 2
	# shellcheck disable=SC2086 # a command, or nothing
	exec timeout -s KILL "$limit" $jail straddle run --kernel "$K/$kernel/vmlinuz" \
		--initrd "$K/$kernel/initrd" --append "$quiet $append straddle.do=$do" "$@" 2>&1
}

# ended PID: waits for the end of a guest in the background. Sets $status and reads the guest's output.
ended()
{
	wait "$1" 2>/dev/null
	status=$?
	exec 4>&-
	shown=
	sed -n 's/\r//g; s/.*lab: //p' "$log" >"$facts"
}

# guest KERNEL DO OPTION...: runs a guest to its end, and plans the same one.
guest()
{
	(start "$@") </dev/null >"$log" &
	ended $!
	shift 2
	straddle plan --json "$@" | awk -f /lab/json.awk >"$plan"
}

# beside KERNEL DO OPTION...: starts a guest in the background, $straddle. The log is empty when this returns, so
# that `await` does not find output of the guest before.
beside()
{
	: >"$log"
	(start "$@") </dev/null >>"$log" & # another program may write to it, too
	straddle=$!
}

# attended KERNEL DO OPTION...: as beside, with descriptor 4 as the guest's input.
attended()
{
	: >"$log"
	rm -f /tmp/input && mkfifo /tmp/input
	(start "$@") </tmp/input >"$log" &
	straddle=$!
	exec 4>/tmp/input
}

# interactive KERNEL DO OPTION...: the same with a guest that asks for actions, which `tell` gives.
interactive()
{
	attended "$@"
	asked=1
	await asking
}

# tell_only ACTION: sends an action to the guest without waiting.
tell_only()
{
	asked=$((asked + 1))
	echo "$1" >&4
}

# tell ACTION: sends an action and waits until the guest asks for the next one, unless the action ends it.
tell()
{
	tell_only "$1"
	[ "$1" = poweroff ] || await asking $asked
}

# said WORD: prints the rest of the guest's "lab: WORD ..." lines. planned PATH: prints such values of the plan.
said() { sed -n "s/^$1 //p" "$facts"; }
planned() { sed -n "s/^$1 //p" "$plan"; }

# await TEXT [TIMES]: waits until a guest in the background has printed it, or is gone.
await()
{
	tries=$((limit * 5))
	while [ "$(grep -c "$1" "$log")" -lt "${2:-1}" ] && [ "$tries" -gt 0 ]; do
		tries=$((tries - 1))
		[ -d "/proc/${straddle:-self}" ] || break
		sleep 0.2
	done
}

# wait_for SOCKET: waits until a daemon has made the socket.
wait_for()
{
	tries=100
	until [ -S "$1" ] || [ "$((tries -= 1))" = 0 ]; do
		sleep 0.1
	done
}

# Start and stop the lab host's network, a server that echoes on port 7, and what passt needs. passt makes a user
# namespace and pivots its root away: neither goes from the first root of a kernel, nor from a chroot, so another
# root is put over the first. passt drops frames for which its socket has no room, and Debian 12's recovers badly,
# hence the larger limit.
user_net_up()
{
	eth=$(ls "/sys/bus/pci/devices/$nic/net")
	echo 16777216 >/proc/sys/net/core/wmem_max
	ifconfig "$eth" 10.0.2.15 netmask 255.255.255.0 up
	route add default gw 10.0.2.2
	ifconfig lo up
	nc -ll -p 7 -e cat &
	server=$!
	mkdir -p /jail
	mount -t tmpfs none /jail
	cp -a /bin /etc /jail/
	cp -a /lib /lib64 /jail/ 2>/dev/null
	for dir in dev proc sys k tmp; do
		mkdir -p /jail/$dir
		mount --rbind /$dir /jail/$dir
	done
	cat >/moved.sh <<'END'
cd /jail
mount --move /jail /
exec chroot . "$@"
END
	jail="unshare -m sh /moved.sh"
}
user_net_down()
{
	jail=
	kill $server
	route del default
	ifconfig "$eth" 0.0.0.0
	ifconfig "$eth" down
	umount -l /jail
}

# Pages that are pinned for devices at the moment: every pin of a page is counted once.
pinned()
{
	awk '/^nr_foll_pin_acquired/ { n += $2 } /^nr_foll_pin_released/ { n -= $2 } END { print n }' \
		/proc/vmstat
}

# fold BACKEND: sets $options for guests of 1.1 TiB, all of it mapped for a drive by this backend, on 512 MiB of the
# host's memory that repeat. Linux in the guest is told to touch two islands that are not the same host memory, one of
# them above 1 TiB. $pins is what was pinned before.
fold()
{
	echo 256 >/proc/sys/vm/nr_hugepages
	same "huge pages" 256 "$(cat /proc/sys/vm/nr_hugepages)"
	take $nvme
	append="memmap=exactmap memmap=639K@0 memmap=255M@1M memmap=256M@0x10010000000"
	options="--memory 1126G --low-memory 256M --page-size 2M --fold 512M --vfio $nvme --vfio-backend $1"
	pins=$(pinned)
}

# Waits until a guest's memory is being pinned; $tries is 0 if it never was.
await_pins()
{
	tries=200
	while [ "$(pinned)" -le "$pins" ] && [ "$((tries -= 1))" -gt 0 ]; do
		usleep 50000
	done
}

# check_memory NAME: checks that the E820 that the guest's kernel got equals the plan, to the byte.
check_memory()
{
	planned e820 >/tmp/want
	said memmap >/tmp/got
	same_lines "$1: /sys/firmware/memmap is the planned E820" /tmp/want /tmp/got
	said e820 >/tmp/got
	same_lines "$1: the kernel's log has the planned E820" /tmp/want /tmp/got
}

# check_iomem NAME: all usable ranges above 1 MiB are RAM, reserved ones above 4 GiB are reserved,
# and the PCI windows are those of the plan. The kernel's page granularity does not matter there.
check_iomem()
{
	{
		planned e820 | while read -r start end type; do
			if [ "$type" = type=usable ] && [ "${start#*=}" -ge 1048576 ]; then
				echo "$start $end name=System RAM"
			elif [ "$type" = type=reserved ] && [ "${start#*=}" -ge 4294967296 ]; then
				echo "$start $end name=Reserved"
			fi
		done
		sed -n 's/^pci.mmio[36][24] \(.*\)/\1 name=PCI Bus 0000:00/p' "$plan"
	} | sort >/tmp/want
	said iomem | grep -E 'name=(System RAM|PCI Bus 0000:00|Reserved)$' | sort >/tmp/all
	# Below 4 GiB Linux also reserves what E820 says of firmware: not wanted, not compared.
	while read -r start end name; do
		[ "$name" = name=Reserved ] && [ "${start#*=}" -lt 4294967296 ] && continue
		[ "$name" = "name=System RAM" ] && [ "${start#*=}" -lt 1048576 ] && continue
		echo "$start $end $name"
	done </tmp/all >/tmp/got
	same_lines "$1: /proc/iomem is as planned" /tmp/want /tmp/got
}

# check_total NAME: the kernel found all planned RAM, in whole pages and without page 0, which
# Linux never uses; most of it is left for programs.
check_total()
{
	present=-4
	planned e820 | grep type=usable >/tmp/usable
	while read -r start end _; do
		start=${start#*=} end=${end#*=}
		present=$((present + end / 4096 * 4 - (start + 4095) / 4096 * 4))
	done </tmp/usable
	same "$1: the kernel found all RAM" "$present" "$(said present_kib)"
	at_least "$1: MemTotal is most of it" $((present * 80 / 100)) "$(said total_kib)"
}

check_complaints()
{
	grep -q '^end$' "$facts" || echo "complaint the guest did not get to its end" >>"$facts"
	same "$1: the kernel has no complaints" "" "$(said complaint)"
}

# check_kernel KERNEL OPTION...: a kernel is reset, finds then what was planned with four CPUs, and panics.
check_kernel()
{
	kernel=$1
	shift
	interactive "$kernel" ask,srat,nodes,panic "$@"
	echo "$kernel runs" # a host that says nothing is taken for one that stands still
	tell reboot
	same "$kernel: is reset" 2 "$(grep -c asking "$log")"
	tell_only facts
	ended $straddle
	same "$kernel: panics" 4 "$status"
	straddle plan --json "$@" | awk -f /lab/json.awk >"$plan"
	same "$kernel: CPUs" 4 "$(said cpus)"
	check_memory "$kernel"
	check_iomem "$kernel"
	check_total "$kernel"
}

# check_power_off KERNEL
check_power_off()
{
	guest "$1" complaints --memory 256M
	same "$1: powers off" 0 "$status"
	check_complaints "$1"
}

# The lab host's devices: an NVMe drive with the MSI-X table in a BAR of its own, one with the table
# in BAR 0 and two bad sectors (see lab), a network adapter with MSI-X, one with INTx alone, a disk controller with MSI alone.
nvme=0000:00:05.0 nvme2=0000:00:06.0 nic=0000:00:07.0 old_nic=0000:00:08.0 ahci=0000:00:09.0

# take BDF...: binds devices to vfio-pci.
take()
{
	for bdf; do
		straddle bind "$bdf" || not_ok "bind $bdf" "status $?"
	done
}

# give BDF...: unbinds devices from vfio-pci.
give()
{
	for bdf; do
		straddle unbind "$bdf" || not_ok "unbind $bdf" "status $?"
	done
}

across="--memory 1G --low-memory 512M --high-memory-start 0xFCF0000000"

# check_irq NAME PATTERN: some interrupt of that kind was delivered.
check_irq()
{
	at_least "$1" 1 "$(said irq | grep -E "$2" | awk '
		{ for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i }
		END { print n }')"
}

# text_image FILE: makes 32 MiB each sector of which holds its own number, as check_dma needs it.
text_image()
{
	awk 'BEGIN { for (i = 0; i < 65536; i++)
		printf "%-511s\n", sprintf("straddle lab disk, sector %06d", i) }' >"$1"
}

# check_dma NAME [DISK]: checks that DMA between all places of memory that the guest has kept the data.
check_dma()
{
	said "${2:-nvme0n1}" >/tmp/dma
	same "$1: data is right wherever it lies" 0 "$(grep -vc 'bad=0$' /tmp/dma)"
	for place in below above; do
		at_least "$1: pages $place the hole were written from and read into" 4 \
			"$(grep -c "=$place gpa" /tmp/dma)"
	done
}
