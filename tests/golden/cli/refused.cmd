# what cannot be planned, and says why
plan --host vendor=amd,family=25,phys-bits=40 --memory 1011G
plan --host vendor=amd,family=25,phys-bits=40 --memory 1000G
plan --host vendor=intel,family=6,phys-bits=39 --memory 600G
plan --host vendor=intel,family=6,phys-bits=46 --memory 600G --phys-bits 39
plan --host vendor=intel,family=6,phys-bits=36 --memory 1G
plan --host vendor=intel,family=6,phys-bits=46 --memory 1G --reserve 0-0x1000
plan --host vendor=intel,family=6,phys-bits=46 --memory 1G --pci32-window 3G
plan --host vendor=intel,family=6,phys-bits=46 --memory 1G --reserve 0x100000000-0x10000000000000
plan --host vendor=intel,phys-bits=39 --layout hole
plan --host vendor=amd --layout hole --phys-bits 40
plan --host vendor=amd --layout hole --host-usable 0-0x8000000000
plan --host vendor=intel --layout hole --iova-policy host
plan --host vendor=amd --layout hole --page-size 1G
# wrong usage
plan --memory 0
plan --memory 12Q
plan --memory 1.3M
plan --memory 3M
plan --memory 99999999T
plan --memry 1G
plan --memory
plan --memory 1G --memory 2G
plan --memory 1G --max-memory 512M
plan --cpus 0
plan --cpus 6,sockets=2,cores=2
plan --cpus 5000
plan --reserve 5-5
plan --reserve 0x2000-0x1000
plan --reserve 1G-2G --reserve 1.5G-3G
plan --phys-bits 64
plan --layout holes
plan --layout hole --high-memory-start 8G
plan --iova-policy some
plan --host vendor=via
plan --json --dtb /tmp/x
plan --memory 1G --numa 512M
plan --memory 1536M --page-size 1G
plan extra
run
run --initrd /boot/initrd
run --kernel /nonexistent/vmlinuz
run --kernel /dev/null
run --kernel /tmp
run --kernel LICENSE
run --kernel vmlinuz --serial tty
run --kernel vmlinuz --debug-exit 0x3f8
run --kernel vmlinuz --debug-exit 70000
run --kernel vmlinuz --plan machine.dtb --memory 1G
run --plan LICENSE --kernel vmlinuz
frobnicate
# virtio devices
plan --disk ''
plan --disk readonly=on
plan --disk a,queues=17
plan --disk a,readonly=maybe
plan --disk a,b
plan --disk a,serial=123456789012345678901
plan --disk a,ring=round
plan --disk a,format=qcow2
plan --disk a,on-full=stop
plan --disk a,private=yes
plan --disk a,readonly=on,private=on
plan --net tap
plan --net user,vhost=on
plan --net tap=x,mac=01:00:00:00:00:00
plan --net tap=x,mac=52:54:00:12:34:56,mac=52:54:00:12:34:56
plan --net fd=1
plan --net fd=3:3
plan --net fd=3:
plan --net fd=3:4,queues=2
plan --net user,queues=2
plan --net tap=x,queues=17
plan --net tap=x,queues=2,queues=2
plan --disk vhost-user=/run/disk,readonly=on
plan --disk vhost-user=/run/disk,private=on
plan --disk a,vhost-user=/run/disk
plan --net vhost-user=
plan --net vhost-user=/run/net,vhost=on
plan --console tty
plan --console stdio --serial stdio
plan --balloon 2G --memory 1G
plan --balloon 0 --vfio 0000:41:00.0 --host vendor=amd --host-pci 0000:41:00.0
plan --fs tag=home
plan --fs socket=/run/fs,tag=
plan --fs socket=/run/fs,tag=home --fs socket=/run/more,tag=home
plan --fs socket=/run/fs,tag=home,tag=more
plan --vsock 3
plan --vsock cid=2
plan --pmem
plan --pmem /no/such/file
plan --pmem /
plan --pmem /dev/null
plan --pmem LICENSE
plan --pmem private=on
plan --pmem a,b
plan --pmem a --vfio 0000:41:00.0 --host vendor=amd --host-pci 0000:41:00.0
plan --vsock cid=3,cid=4
plan --vsock cid=3,socket=
plan --vsock socket=/run/vsock
plan --vsock cid=3,port=1
plan --cpus 4 --numa 1G,cpus=0-1 --numa 1G,cpus=1-3
plan --cpus 4 --numa 1G,cpus=0-1 --numa 1G,cpus=2
plan --numa 1G --numa 1G --numa-distance 0,1,10
