# lab: host=lean kernels=debian limit=900 root=yes
# A Debian as it comes, on a virtio disk: kernel, initrd and systemd up to the login prompt, the network
# by DHCP from passt, a clean power-off. `make demo-disk` shows it. The runner checks the file system
# afterwards. Also run where no lab is needed (demo.sh), hence the variables.
. "${LAB:-/lab}/lib.sh"
limit=600
disk=${DISK:-/dev/vda} port=${PORT:-7}
quiet="console=ttyS0 quiet"
[ "${PORT-}" ] || user_net_up

# Without XSAVE (see choose_qemu in lab) the AES module of Linux 6.1 crashes.
no_aes=
grep -m 1 '^flags' /proc/cpuinfo | grep -qw xsave || no_aes=module_blacklist=aesni_intel
# shellcheck disable=SC2154 # a list of options
append="root=LABEL=root rw $no_aes" attended debian - ${across} --disk "$disk" --net user --rng
sleep 1 && tr '\0' ' ' </proc/$straddle/cmdline && echo
tail -f "$log" &
watching=$!
await "straddle login:"
same "systemd brings it to the login prompt" 1 "$(grep -c 'straddle login:' "$log")"
echo root >&4
await "root@straddle"
# The words to look for are not those that the terminal echoes.
cat >&4 <<END
while ! gw=\$(ip route | grep -o 'default via [^ ]*'); do sleep 1; done; exec 3<>/dev/tcp/\${gw##* }/$port
echo hello-from-the-guest >&3; read -r line <&3; echo "echo""ed: \$line"; echo "st""ate: \$(systemctl is-system-running --wait)"
END
await "state: "
same "the network is reached through passt" 1 "$(grep -c 'echoed: hello-from-the-guest' "$log")"
same "no unit has failed" 1 "$(grep -c 'state: running' "$log")"
echo poweroff >&4
ended $straddle
same "powers off" 0 "$status"
kill $watching
[ "${PORT-}" ] || user_net_down
