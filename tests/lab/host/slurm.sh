# Sourced by tests in the lab host (busybox sh) and on this machine: a real Slurm of a controller and two nodes, all on
# the loopback interface, without munge, control groups and accounting. $cluster is its folder, $slurm where its files
# of usr/ are, $slurm_port the first of three ports, and a node is declared dead after $slurm_timeout seconds of
# silence: on a busy machine daemons are slow to answer.

slurm_configure()
{
	me=$(id -un)
	export SLURM_CONF=$cluster/slurm.conf
	mkdir -p "$cluster/state"
	cat >"$SLURM_CONF" <<END
ClusterName=straddle
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$slurm_port
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/none
CredType=cred/none
PluginDir=$slurm/lib/x86_64-linux-gnu/slurm-wlm
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool.%n
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd.%n.pid
SlurmctldLogFile=$cluster/slurmctld.log
SlurmdLogFile=$cluster/slurmd.%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SlurmdTimeout=$slurm_timeout
ReturnToService=2
MinJobAge=3600
NodeName=node1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((slurm_port + 1)) CPUs=4 RealMemory=2048
NodeName=node2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((slurm_port + 2)) CPUs=4 RealMemory=2048
PartitionName=all Nodes=ALL Default=YES MaxTime=60 State=UP
END
	# Nothing uses control groups, but a daemon that is to find out their version wants them mounted.
	echo CgroupPlugin=cgroup/v1 >"$cluster/cgroup.conf"
}

# start_node N: starts the daemon of node N as process 1 of a namespace of its own, so that whoever kills it kills all
# that runs on the node. Sets $node.
start_node()
{
	own_user=
	[ "$(id -u)" = 0 ] || own_user=--map-current-user
	# shellcheck disable=SC2086 # an option, or nothing
	unshare $own_user --pid --fork --mount-proc "$slurm/sbin/slurmd" -D -N "node$1" \
		-d "$slurm/sbin/slurmstepd" >"$cluster/node$1.out" 2>&1 &
	node=$!
}

# children PROCESS: its child processes; busybox has no pgrep.
children() { sed -n "s/^\([0-9]*\) (.*) [A-Z] $1 .*/\1/p" /proc/[0-9]*/stat 2>/dev/null; }

# kill_node PROCESS: the node dies at once.
# shellcheck disable=SC2046 # one process
kill_node() { kill -KILL $(children "$1"); }

idle_nodes() { sinfo -h -t idle -o %D 2>/dev/null; }

# start_slurm: sets $controller, $node1 and $node2, and waits until the nodes have registered.
start_slurm()
{
	slurm_configure
	"$slurm/sbin/slurmctld" -D -c >"$cluster/controller.out" 2>&1 &
	controller=$!
	start_node 1
	node1=$node
	start_node 2
	node2=$node
	end=$(($(date +%s) + 120))
	until [ "$(idle_nodes)" = 2 ] || [ "$(date +%s)" -ge $end ]; do
		sleep 1
	done
}

stop_slurm()
{
	for node in $node1 $node2; do
		kill_node "$node" 2>/dev/null
	done
	# shellcheck disable=SC2046 # its helper process
	kill -KILL $controller $(children $controller) 2>/dev/null
	wait $controller $node1 $node2 2>/dev/null
	return 0 # that of the last wait is how its process was ended
}
