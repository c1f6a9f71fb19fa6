# Sourced with the name of a backend: a guest of 1.1 TiB (see fold in lib.sh) that runs before its memory is pinned, and
# whose drive comes when it is (--prefault background): failures, the end and the host's wish in the middle; a guest that
# resets itself meanwhile, gets the drive, resets itself again and has it still. The lab host is switched off while the
# memory of the last guest is mapped, because unmapping takes a minute.
. /lab/lib.sh

fold "$1"
limit=400
options="$options --prefault background"

now() { cut -d ' ' -f 1 /proc/uptime; }

# late DO OPTION...: a guest that asks for actions while its memory is pinned, and not all of it is.
late()
{
	do=$1 start=$(now)
	shift
	# shellcheck disable=SC2086 # a list of options
	interactive lean "$do" $options "$@"
	echo "the guest's first words: $(now) - $start s"
	await_pins
}

# midway NAME: it has not got its drive so far.
midway()
{
	at_least "$1: memory is being pinned" $((pins + 1)) "$(pinned)"
	same "$1: before the drive has arrived" 0 "$(grep -c 'the guest gets the device' "$log")"
}

# over NAME STATUS: a guest that is given what it wants to know, and nothing is left of it.
over()
{
	ended $straddle
	same "$1: status" "$2" "$status"
	same "$1: no page stays pinned" "$pins" "$(pinned)"
}

# The user may lock no more than a GiB, once the guest runs.
cat >/tmp/as_user <<'END'
exec su -p -s /bin/sh -c 'exec "$@"' -- user sh "$@"
END
chown user /dev/kvm /dev/iommu /dev/vfio/vfio /dev/vfio/[0-9]* /dev/vfio/devices/*
jail="sh /tmp/as_user"
ulimit -H -l unlimited
ulimit -S -l unlimited
for then in end continue; do
	name="no more may be locked, $then"
	late ask,ask,ask --on-late-failure $then
	/usr/bin/prlimit --pid "$(pidof straddle)" --memlock=1073741824:1073741824
	midway "$name"
	if [ $then = end ]; then
		over "$name" 1
		same "$name: says why" 1 "$(grep -c \
			'^straddle: the guest cannot get its devices, so it is ended (--on-late-failure): RAM: mapping IOVA .*may lock 1048576 KiB' "$log")"
	else
		await "goes on without its devices"
		same "$name: says why" 1 "$(grep -c \
			'^straddle: the guest goes on without its devices: RAM: mapping IOVA .*may lock 1048576 KiB' "$log")"
		tell pci
		tell poweroff
		over "$name" 0
		same "$name: there is no drive" 0 "$(said pci | grep -c 'id=0x1b36:0x0010')"
		same "$name: there is its port" 1 "$(said pci | grep -c 'id=0x1b36:0x000c')"
	fi
done
jail=
chown root /dev/iommu /dev/vfio/vfio

late ask
midway "powers off in the middle"
tell poweroff
over "powers off in the middle" 0

late ask
midway "ended in the middle"
kill -HUP "$(pidof straddle)" # shells make background jobs ignore Ctrl-C, and SIGTERM presses the button
over "ended in the middle" 129

late ask
name="the host wants the drive in the middle"
midway "$name"
straddle unbind $nvme
await "the guest does not get the device; the host can have it"
same "$name: says so" 1 "$(grep -c "$nvme: the guest does not get the device; the host can have it" "$log")"
tries=1200
until [ "$(pinned)" = "$pins" ] || [ "$((tries -= 1))" = 0 ]; do
	sleep 0.1
done
tell poweroff
over "$name" 0
take $nvme

late ask,ask,ask,ask,ask,ask
midway "the guest's first words"
tell pci
midway "reset in the middle"
tell reboot
midway "after the reset"
tell pci
sed -n 's/\r//g; s/.*lab: //p' "$log" >"$facts"
same "there is its port, and no drive, before and after the reset" "2 0" \
	"$(said pci | grep -c 'id=0x1b36:0x000c') $(said pci | grep -c 'id=0x1b36:0x0010')"
tell arrival
same "says so" 1 "$(grep -c "$nvme: the guest gets the device now; 1126.0 GiB were mapped" "$log")"
tell dma
tell pci
sed -n 's/\r//g; s/.*lab: //p' "$log" >"$facts"
same "the drive arrives" yes "$(said arrival)"
check_arrived()
{
	said nvme0n1 >/tmp/dma
	same "$1: data is right wherever it lies" 0 "$(grep -vc 'bad=0$' /tmp/dma)"
	at_least "$1: pages above 1 TiB were written from and read into" "$2" "$(grep -c '=above gpa' /tmp/dma)"
	at_least "$1: pages below 4 GiB, too" "$2" "$(grep -c '=low gpa' /tmp/dma)"
}
check_arrived "arrived" 4
check_irq "arrived: MSI-X" "PCI-MSIX.*nvme"
tell reboot
tell dma
tell facts
sed -n 's/\r//g; s/.*lab: //p' "$log" >"$facts"
check_arrived "after another reset" 8
same "the kernel has no complaints" "" "$(said complaint)"
