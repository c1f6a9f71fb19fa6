# lab: host=lean kernels=cloud with=modules,virtiofsd root=yes limit=900
# straddle test --root of folders, by root and by a user without rights, and by both programs that are called virtiofsd:
# what the command sees, the writable layer over files of others, and that the host's files stay as they are.
. /lab/lib.sh
. /lab/case.sh

user=

# as_wanted COMMAND...: becomes that, as a user without rights if $user is set.
as_wanted()
{
	[ -z "$user" ] || exec su -p -s /bin/sh -- user -c 'exec "$0" "$@"' "$@"
	exec "$@"
}

# in_place OPTION... -- COMMAND...: with virtiofsd from the folder $path.
in_place()
(
	export PATH="$path:$PATH"
	as_wanted timeout -s KILL $limit straddle test --kernel "$K/cloud/vmlinuz" --modules /lab/modules \
		--output $case --append quiet "$@"
)

# What a command does in a root that belongs to others: reads, changes, deletes, and runs what it has copied.
changes='set -e; head -n 1 /etc/passwd | cut -c 1-4; echo new >>/etc/passwd; tail -n 1 /etc/passwd
	rm /lab/banner; ls /lab/banner 2>/dev/null || echo gone; mkdir /bin/new; cp /bin/busybox /bin/new/; /bin/new/busybox true
	chmod 700 /lab; touch -d "2020-01-01 00:00:00" /init; date -r /init +%Y; mkdir /etc/new; mv /etc/passwd /etc/new/
	wc -l </etc/new/passwd; mount | grep -c "on / type overlay"'
lines=$(($(wc -l </etc/passwd)))
wanted="root new gone 2020 $((lines + 1)) 1"

# The daemon's arguments; empty if there is none.
daemon() { cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -o -e '--f[d]=3 .*'; }

# The layer of $1.
changed()
{
	as_case in_place --root host -- sh -c "$changes"
	same "$1: --root host: status" 0 "$status"
	same "$1: --root host can be written to" "$wanted" "$(tr '\n' ' ' <$out | sed 's/ $//')"
	same "$1: the host's files are as they were" "$lines 1" "$(($(wc -l </etc/passwd))) $(find /lab/banner | wc -l)"
}

for kind in qemu rust; do
	path=/bin argument='-o source=/'
	[ $kind = qemu ] || path=/rust argument=--shared-dir=/
	user=
	changed "$kind, root"
	user=yes
	changed "$kind, user"

	mkdir -p /tmp/folder/bin && cp /bin/busybox /tmp/folder/bin/ && ln -sf busybox /tmp/folder/bin/sh
	chown -R user /tmp/folder
	as_case in_place --root /tmp/folder -- sh -c 'echo new >/new; /bin/busybox cat /new'
	same "$kind: a folder of one's own" "0 new" "$status $(cat $out)"

	# The guest's root mounts the device once more.
	as_case in_place --root /tmp/folder -- sh -c '/bin/busybox mkdir /m && /bin/busybox mount -t virtiofs straddle-root /m &&
		/bin/busybox mount -o remount,rw /m && echo mounted; echo bad >/m/bad || echo refused'
	same "$kind: the guest cannot write to the host" "mounted refused" "$(tr '\n' ' ' <$out | sed 's/ $//')"
	same "$kind: and has not" 0 "$(find /tmp/folder -name bad | wc -l)"
	rm -rf /tmp/folder /tmp/case

	(
		export PATH="$path:$PATH"
		as_wanted straddle test --kernel "$K/cloud/vmlinuz" --modules /lab/modules --root host \
			--output /tmp/case -- @idle 1000
	) >$out 2>$error &
	straddle=$!
	tries=100
	until [ -n "$(daemon)" ] || [ "$((tries -= 1))" = 0 ]; do
		sleep 0.3
	done
	same "$kind: it runs" 1 "$(daemon | grep -c -e "$argument")"
	kill -KILL $straddle
	wait $straddle
	sleep 1
	same "$kind: SIGKILL: no daemon is left" "" "$(daemon)"
done
