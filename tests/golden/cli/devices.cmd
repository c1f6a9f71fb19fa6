# machines with passed-through devices
plan --host vendor=amd --memory 1.5T --vfio=0000:{0..7}1:00.0 --host-pci=0000:{0..7}1:00.0,bar0=16M:64:pref,bar2=128G:64:pref,bar4=32M:64:pref,rom=512K
plan --host vendor=amd --memory 384G --vfio=0000:{0..3}1:00.0 --host-pci=0000:{0..3}1:00.0,group=9,bar0=16M:64:pref,bar2=128G:64:pref,bar4=32M:64:pref --host-resv 9,0xfd00000000-0x10000000000,reserved --host-resv 9,0xfee00000-0xfef00000,msi
plan --host vendor=amd --memory 1060G --vfio 41:00.0 --vfio 42:00.0,rom=off --vfio 43:00.0,port=off --host-pci=41:00.0,bar0=16K:64 --host-pci={42,43}:00.0,bar0=128K,bar1=128K,bar2=32:io,bar3=16K,rom=256K
plan --host vendor=intel --memory 200G --vfio 41:00.0 --host-pci 41:00.0,group=2,bar0=16M,bar1=256G:64:pref --host-usable 0-0xfee00000 --host-usable 0xfef00000-512G --host-resv 2,0xfee00000-0xfef00000,msi --host-resv 2,0-16M,direct-relaxable
plan --json --host vendor=amd --memory 2G --vfio 41:00.0 --vfio 42:00.0,port=off --host-pci 41:00.0,bar0=256M:64:pref,bar5=1M --host-pci 42:00.0,bar0=32:io,rom=64K
# and those that cannot be
plan --host vendor=intel --memory 512G --host-usable 0-0xfee00000 --host-usable 0xfef00000-512G
plan --host vendor=intel --memory 480G --host-usable 0-0xfee00000 --host-usable 0xfef00000-512G
plan --host vendor=intel --memory 200G --vfio=4{1,2}:00.0 --host-pci=4{1,2}:00.0,bar0=256G:64:pref --host-usable 0-0xfee00000 --host-usable 0xfef00000-512G
plan --host vendor=intel,phys-bits=39 --memory 200G --vfio=4{1,2}:00.0 --host-pci=4{1,2}:00.0,bar0=256G:64:pref
plan --host vendor=intel --memory 4G --vfio 41:00.0 --host-pci 41:00.0,bar0=2G,rom=64K
plan --host vendor=intel --memory 4G --vfio 41:00.0 --host-pci 41:00.0,bar0=8G:64
plan --host vendor=amd --vfio={40..55}:00.0 --host-pci={40..55}:00.0,bar0=32:io
plan --host vendor=amd --vfio 41:00.0
plan --vfio eth0
plan --vfio 41:00.0,prot=off
plan --vfio 41:00.0,caps=ats+sriow
plan --host-pci 41:00.0
plan --host vendor=amd --host-pci 41:00.0,bar0=8G
plan --host vendor=amd --vfio={0..9}{0..9}:00.0 --vfio={0..9}{0..2}:01.0
