# where a kernel goes: each protocol, small files in place of kernels
plan --host vendor=intel --memory 256M --kernel tests/fuzz/corpus/kernel/bzimage-relocatable --initrd LICENSE --append console=ttyS0
plan --host vendor=intel --memory 256M --kernel tests/fuzz/corpus/kernel/bzimage-i386 --initrd LICENSE
plan --host vendor=intel --memory 256M --kernel tests/fuzz/corpus/kernel/elf-linux64
plan --json --host vendor=intel --memory 256M --kernel tests/fuzz/corpus/kernel/elf32-pvh --initrd LICENSE
# and what cannot be started
plan --host vendor=intel --kernel /nonexistent/vmlinuz
plan --host vendor=intel --kernel LICENSE
plan --host vendor=intel --kernel tests/fuzz/corpus/kernel/elf-pvh --initrd tests/fuzz/corpus/kernel/elf-pvh
plan --host vendor=intel --memory 16M --kernel tests/fuzz/corpus/kernel/bzimage-relocatable
