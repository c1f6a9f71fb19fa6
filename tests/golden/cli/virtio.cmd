# Virtio devices are devices of the plan: slots in the order of the command line, BARs above the RAM.
plan --host vendor=amd --memory 1100G --disk a.img --disk path=b.img,readonly=on,queues=4 --net user --net tap=tap0,queues=4,mac=52:54:00:12:34:56 --net fd=3:4 --rng --clock --vsock cid=3,socket=/run/vsock
plan --host vendor=amd --memory 1100G --disk a.img --json
plan --host vendor=amd --disk vhost-user=/run/disk,queues=2 --net vhost-user=/run/net --fs socket=/run/fs,tag=home --console stdio --balloon 512M --watchdog
plan --host vendor=amd --memory 1007G --pmem "$PMEM" --pmem "file=$PMEM,private=on"
