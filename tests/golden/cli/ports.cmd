# more functions than slots: 8 GPUs, 4 switches, 10 network adapters, 8 drives, 3 virtio devices
plan --host vendor=amd --memory 1.5T --vfio=0000:{0..7}1:00.0 --vfio=0000:a{0..3}:00.0 --vfio=0000:b{0..9}:00.0,rom=off --vfio=0000:c{0..7}:00.0 --host-pci=0000:{0..7}1:00.0,bar0=16M,bar1=128G:64:pref,bar3=32M:64:pref,bar5=128:io,rom=512K --host-pci=0000:a{0..3}:00.0,bar0=32M --host-pci=0000:b{0..9}:00.0,bar0=32M:64:pref,rom=1M --host-pci=0000:c{0..7}:00.0,bar0=16K --rng --clock --vsock cid=3
plan --host vendor=amd --memory 1G --spare-ports 40
# functions of one card, a card without its function 0, virtual functions
plan --host vendor=amd --memory 1G --vfio=41:00.{1,0} --vfio=42:00.{1,2} --vfio=43:10.{0,1} --host-pci=41:00.0,bar0=256M:64:pref,bar5=128:io --host-pci=41:00.1,bar0=16K --host-pci=42:00.{1,2},bar0=16K --host-pci=43:10.{0,1},vf=on,bar0=16K:64:pref
# devices of nodes
plan --host vendor=amd --memory 8G --numa=2G --numa=2G --numa=2G --numa=2G --cpus 4 --vfio 41:00.0,node=1 --vfio 41:00.1,node=1 --vfio 81:00.0,node=3,port=off --vfio c1:00.0 --host-pci=41:00.0,bar0=16G:64:pref,bar5=128:io --host-pci=41:00.1,bar0=16K --host-pci=81:00.0,bar0=64K:64 --host-pci=c1:00.0,bar0=32M --rng
plan --json --host vendor=amd --memory 2G --numa=1G --numa=1G --cpus 2 --vfio 41:00.0,node=1 --host-pci=41:00.0,bar0=16G:64:pref
plan --host vendor=amd --vfio 41:00.0,node=1 --host-pci=41:00.0,bar0=64K
plan --host vendor=amd --numa 1G --vfio 41:00.0,node=1 --host-pci=41:00.0,bar0=64K
plan --host vendor=amd --spare-ports 129
plan --host vendor=amd --spare-ports 128 --rng
