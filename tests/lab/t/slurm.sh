# lab: host=lean kernels=lean root=yes limit=1200 with=slurm
# straddle test --slurm: guests on the two nodes of a real Slurm, one of which dies.
. /lab/lib.sh
. /lab/slurm.sh

PATH=$PATH:/usr/bin
slurm=/usr cluster=/tmp/cluster slurm_port=27000 slurm_timeout=60
ifconfig lo up
# Slurm looks up addresses with AI_ADDRCONFIG, to which 127.0.0.1 alone is no network (glibc, check_pf.c).
ifconfig lo:0 127.0.0.2 up
echo "127.0.0.1 localhost $(hostname)" >/etc/hosts
echo root:x:0: >/etc/group
start_slurm
cat $cluster/*.out >"$log"
same "both nodes are there" 2 "$(idle_nodes)"
[ "$(idle_nodes)" = 2 ] || exit

cat >/tmp/a.test <<'END'
[default]
kernel = /k/lean/vmlinuz
append = quiet
memory = 256M
[case passes]
command = @status 0
[case fails]
cpus = 2
command = @status 7
[case panics]
memory = 384M
command = @panic
expect = panic
[case long]
command = @idle 60
idle-limit = 300
END
cd /tmp || exit
straddle test a.test --slurm -j 2 --json /tmp/a.json --output /tmp/out >/tmp/a.tap 2>/tmp/error &
runner=$!

# running INDEX: the node on which that task runs.
running() { squeue -h -r -t running -o '%K %N' | sed -n "s/^$1 //p"; }
tries=300
until [ -n "$(running 3)" ] || [ $((tries -= 1)) = 0 ]; do
	sleep 1
done
lost=$(running 3)
sleep 20 # its guest has started, or is about to
squeue -h -r -t all -o '%K %m %C %l %T %N'
if [ "$lost" = node1 ]; then
	kill_node $node1
else
	kill_node $node2
fi
wait $runner
status=$?
cat /tmp/a.tap /tmp/error >"$log"
same "one case fails: status" 1 "$status"
same "the report has all cases" 4 "$(grep -c '"name"' /tmp/a.json)"

# of NAME WORD: a value of the case in the report.
of() { grep "\"name\":\"$1\"" /tmp/a.json | sed -n "s/.*\"$2\":\([^,]*\),.*/\1/p"; }
same "passes" true "$(of passes passed)"
same "fails" "false 7" "$(of fails passed) $(of fails status)"
same "panics" 'true "panic"' "$(of panics passed) $(of panics verdict)"
same "the case of the dead node ran again" "true true 2" "$(of long passed) $(of long flaky) $(of long attempts)"
same "why" 1 "$(grep '"name":"long"' /tmp/a.json | grep -c "on $lost ended with NODE_FAIL")"
same "all left their folders" 4 "$(ls /tmp/out/*/result.json | wc -l)"
same "needs: 320 MiB, 1 CPU, 31 minutes" 1 "$(squeue -h -r -t all -o '%K %m %C %l' | grep -c '^0 320M 1 31:00')"
same "needs: 320 MiB, 2 CPUs" 1 "$(squeue -h -r -t all -o '%K %m %C %l' | grep -c '^1 320M 2 31:00')"
same "needs: 448 MiB" 1 "$(squeue -h -r -t all -o '%K %m %C %l' | grep -c '^2 448M 1 31:00')"
stop_slurm
