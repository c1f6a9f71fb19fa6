#!/bin/bash
# Tests of straddle test --slurm on a real Slurm of two nodes, which this script starts and ends. There is no guest: all
# cases end as they are started, because /dev/null is no kernel, or wait until a pipe's writer says something.
set -u
. "$(dirname "$0")/lib.sh"
. "$root/tests/lab/host/slurm.sh"

tree=$("$root/tests/lab/slurm.sh") || { echo "ok slurm # SKIP apt offers no Slurm here"; exit 0; }
slurm=$tree/usr cluster=$work/cluster slurm_port=$((20000 + $$ % 10000)) slurm_timeout=30

printf '[default]\nkernel = /dev/null\ncommand = true\nexpect = usage\n[case one]\n[case two]\n' >two.test
PATH=/nowhere "$straddle" test two.test --slurm >no.tap 2>no.err
check "no Slurm: status 112" [ $? = 112 ]
check "no Slurm: why" [ "$(cat no.err)" = 'straddle: there is no program sbatch in PATH' ]
check "no Slurm: all cases are in the report" [ "$(grep -c '^ok .* # SKIP not run to its end' no.tap)" = 2 ]
check "no Slurm: nothing is left" [ ! -e straddle-test ]

export PATH=$slurm/bin:$PATH LD_LIBRARY_PATH=$slurm/lib/x86_64-linux-gnu:$slurm/lib/x86_64-linux-gnu/slurm-wlm
trap 'stop_slurm; rm -rf "$work"' EXIT
start_slurm
check "two nodes are there" [ "$(idle_nodes)" = 2 ]

# --- needs, results, one report ---

cat >a.test <<'END'
[default]
kernel = /dev/null
command = @facts
expect = usage
[case memory]
matrix memory = 256M | 512M
matrix cpus = 1 | 3
[case bad]
memory = 128M
expect = panic
[case slow]
memory = 128M
limit = 700
[case large]
memory = 3G
[case "it's" $x]
memory = 128M
END
"$straddle" test a.test --slurm -j 3 --json a.json --junit a.xml --output new/out >a.tap 2>a.err
check "some fail: status 1" [ $? = 1 ]
check "one report: TAP" [ "$(grep -c '^ok ' a.tap) $(grep -c '^not ok ' a.tap) $(sed -n 2p a.tap)" = "6 2 1..8" ]
check "one report: JSON" [ "$(jq -c '[.summary.passed, .summary.failed, ([.cases[].attempts] | max)]' a.json)" = '[6,2,1]' ]
check "one report: JUnit" [ "$(grep -c '<testcase ' a.xml)" = 8 ]
check "nothing on standard error" [ ! -s a.err ]
check "cases leave their folders" [ -s new/out/bad/result.json ]
check "any name" [ "$(jq -c '.cases[] | select(.name | startswith("\"it")) | [.name, .passed]' a.json)" = \
	'["\"it'"'"'s\" $x",true]' ]
check "no node is large enough: lost" [ "$(jq -c '.cases[] | select(.name == "large") | [.passed, .verdict]' a.json)" = \
	'[false,"lost"]' ]
check "no node is large enough: why" grep -q 'No node can run a job with 3136 MiB, 1 CPUs and 31 minutes' a.tap
check "one array" [ "$(squeue -h -t all -o %F | sort -u | wc -l)" = 1 ]
squeue -h -r -t all -o '%K %m %C %l' | sort >needs
cat >wanted <<'END'
0 320M 1 31:00
1 320M 3 31:00
2 576M 1 31:00
3 576M 3 31:00
4 192M 1 31:00
5 192M 1 36:00
6 3136M 1 31:00
7 192M 1 31:00
END
check "each task asked for what its case needs" cmp wanted needs

SBATCH_PARTITION=none "$straddle" test two.test --slurm >no.tap 2>no.err
check "Slurm refuses the array: status 112" [ $? = 112 ]
check "Slurm refuses the array: why" grep -q '^straddle: sbatch: .*partition' no.err

# --- a node dies ---

# The first run of the case waits for a pipe's writer on some node, which dies. The second one finds an empty file. Slurm
# is busy meanwhile: it takes neither what is first submitted again, nor what is first to be released.
mkdir busy
for name in sbatch scontrol; do
	cat >busy/$name <<-END
		#!/bin/sh
		echo "\$1" >>"$work/busy/$name.calls"
		[ "\$(wc -l <"$work/busy/$name.calls")" != 2 ] || { echo "$name: error: Socket timed out" >&2; exit 1; }
		exec "$slurm/bin/$name" "\$@"
	END
	chmod +x busy/$name
done
mkfifo pipe
cat >b.test <<'END'
[default]
command = true
expect = usage
[case wait]
kernel = pipe
[case later]
kernel = /dev/null
END
none_runs() { [ -z "$(squeue -h)" ]; }
waiting() { squeue -h -r -t running -o '%K %N' | sed -n 's/^0 //p'; }
is_waiting() { [ -n "$(waiting)" ] && pgrep -f -- "--slurm --json $1" >/dev/null; }
PATH=$work/busy:$PATH "$straddle" test b.test --slurm --json b.json >b.tap 2>b.err &
runner=$!
eventually is_waiting b.json
sleep 2
lost=$(waiting)
if [ "$lost" = node1 ]; then kill_node $node1; else kill_node $node2; fi
rm pipe && : >pipe
wait $runner
check "a node dies: status 0" [ $? = 0 ]
check "a node dies: its case ran again" [ "$(jq -c '.cases[] | select(.name == "wait") | [.passed, .flaky, .attempts]' b.json)" = \
	'[true,true,2]' ]
check "a node dies: why" [ "$(jq -r '.cases[] | select(.name == "wait").sentence' b.json |
	grep -c "because it was lost: Slurm's job [0-9]*_0 on $lost ended with NODE_FAIL\.")" = 1 ]
check "a node dies: the other case ran once" [ "$(jq -c '.cases[] | select(.name == "later") | .attempts' b.json)" = 1 ]

check "Slurm is busy: it was asked again" [ "$(wc -l <busy/sbatch.calls) $(wc -l <busy/scontrol.calls)" = "4 3" ]
check "Slurm is busy: nothing is left of what it did not release" eventually none_runs

# --- the end of the run ---

rm pipe && mkfifo pipe
SQUEUE_PARTITION=none SCANCEL_INTERACTIVE=1 "$straddle" test b.test --slurm --json c.json >c.tap 2>c.err &
runner=$!
eventually is_waiting c.json
sleep 2
kill -TERM $runner
wait $runner
check "SIGTERM: status 114" [ $? = 114 ]
check "SIGTERM: the report has all cases" [ "$(jq -c '.summary.cases' c.json)" = 2 ]
check "SIGTERM: nothing is left" eventually none_runs
