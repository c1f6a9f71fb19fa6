# straddle: one makefile, no recursion. `make V=1` shows the commands; BUILD, CC, CFLAGS, prefix and
# DESTDIR are yours to set.

CC	?= gcc
CLANG	?= clang
MUSL	?= musl-gcc
BUILD	?= build
prefix	?= /usr/local
CFLAGS	?= -O2 -g
VERSION := 0.1

Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-8s%s\n' $(1) $(2))

# linux/iommufd.h and a new linux/vfio.h: Debian 12's linux-libc-dev lacks them, so these two come
# from the newest kernel headers there are, without the kernel's own annotation.
UAPI := $(lastword $(sort $(wildcard /usr/src/linux-headers-6.*-common/include/uapi)))
$(foreach h,$(if $(UAPI),iommufd.h vfio.h),$(if $(wildcard $(BUILD)/uapi/linux/$(h)),,$(shell \
	mkdir -p $(BUILD)/uapi/linux && sed 's/__user //' $(UAPI)/linux/$(h) >$(BUILD)/uapi/linux/$(h))))
FLAGS := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Werror -MMD -MP -I. -I$(BUILD) \
	 -fPIE -fstack-protector-strong -DSTRADDLE_VERSION='"$(VERSION)"' \
	 -isystem $(BUILD)/uapi
# Nothing here unwinds its own stack, so the program need not carry the tables for it; debuggers have those of -g.
LEAN  := -fno-asynchronous-unwind-tables
LINK  := -pie -Wl,-z,relro,-z,now
# libfdt, jansson and liburing are linked in: three fewer files to load at every start. The unpackers stay shared,
# because they are as large as the rest of straddle together, and are on every system.
LIBS  := -Wl,-Bstatic -lfdt -ljansson -luring -Wl,-Bdynamic -llzma -lzstd -lz -lpthread
SAN   := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

SRC	:= $(wildcard vmm/*/*.c vmm/*/*/*.c devices/*.c acpi/*.c vfio/*.c firmware/*.c)
INIT	:= $(wildcard init/*.c)
LIB	:= $(filter-out vmm/cli/main.c,$(SRC))
UNIT	:= $(wildcard tests/unit/*/test_*.c)
ORACLE	:= $(filter-out $(UNIT),$(wildcard tests/unit/*/*.c))
FUZZ	:= $(wildcard tests/fuzz/fuzz_*.c)
FAULT	:= $(wildcard tests/fault/test_*.c)
GUESTS	:= $(wildcard tests/guest/*.S)
TOOLS	:= $(wildcard tests/golden/*.c tests/bench/*.c)

UNIT_BIN   := $(UNIT:%.c=$(BUILD)/%)
FAULT_BIN  := $(FAULT:%.c=$(BUILD)/%)
REPLAY_BIN := $(FUZZ:%.c=$(BUILD)/%-replay)
FUZZ_BIN   := $(FUZZ:%.c=$(BUILD)/%)
GUEST_BIN  := $(GUESTS:%.S=$(BUILD)/%.elf)
TOOL_BIN   := $(TOOLS:%.c=$(BUILD)/%)

.PHONY: all deps check check-fast check-bins lab lab-kernel bench fuzz format golden demo demo-disk install \
	uninstall clean tidy analyze coverage coverage-run tsan tsan-bins
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/straddle

# --- the program ---

# iasl writes the DSDT as a C array: the fixed hardware, compiled once, here. cpp comes first, because
# iasl's own preprocessor trips over the include guard of platform.h.
$(BUILD)/dsdt.hex: acpi/dsdt.asl vmm/base/platform.h
	$(call say,IASL,$@)
	@mkdir -p $(BUILD)
	$(Q)$(CC) -E -P -x c -I. $< -o $(BUILD)/dsdt.asl
	$(Q)iasl -we -tc -p $(BUILD)/dsdt $(BUILD)/dsdt.asl >$(BUILD)/iasl.log 2>&1 || \
		{ cat $(BUILD)/iasl.log; exit 1; }
	$(Q)grep -q ' 0 Errors, 0 Warnings, 0 Remarks' $(BUILD)/iasl.log || { cat $(BUILD)/iasl.log; exit 1; }

$(BUILD)/obj/acpi/tables.o $(BUILD)/san/acpi/tables.o $(BUILD)/fuzzer/acpi/tables.o: $(BUILD)/dsdt.hex

define compile
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)
endef

$(BUILD)/obj/%.o: %.c Makefile
	$(compile)$(CC) $(FLAGS) $(LEAN) $(CFLAGS) -D_FORTIFY_SOURCE=2 -c $< -o $@
$(BUILD)/san/%.o: %.c Makefile
	$(compile)$(CC) $(FLAGS) $(SAN) -c $< -o $@
$(BUILD)/fuzzer/%.o: %.c Makefile
	$(compile)$(CLANG) $(FLAGS) -O1 -g -fsanitize=fuzzer-no-link,address,undefined -c $< -o $@

# The init that straddle test gives its guests: a static program, and then the contents of an object that is linked in.
# Every guest's initramfs carries it, so it stays small.
INIT_FLAGS := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Werror -MMD -MP -I. -Os -fno-pie \
	      -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
INIT_MAX   := 102400
INIT_OBJ   := $(patsubst %.c,$(BUILD)/musl/%.o,$(INIT) vmm/base/channel.c vmm/base/err.c)
$(BUILD)/musl/%.o: %.c Makefile
	$(compile)$(MUSL) $(INIT_FLAGS) -c $< -o $@
$(BUILD)/init.elf: $(INIT_OBJ)
	$(call say,LINK,$@)
	$(Q)$(MUSL) -static -no-pie -s -Wl,--gc-sections -Wl,--build-id=none -Wl,-z,noexecstack \
		-Wl,-z,noseparate-code $^ -o $@
	$(Q)size=$$(stat -c %s $@); [ $$size -lt $(INIT_MAX) ] || \
		{ echo "$@ has $$size bytes, $(INIT_MAX) or more: make init/ smaller"; rm $@; exit 1; }
EMBEDDED := $(BUILD)/embedded.o
$(EMBEDDED): vmm/test/init.S $(BUILD)/init.elf
	$(compile)$(CC) -c -Wa,-I$(BUILD) $< -o $@

$(BUILD)/straddle: $(SRC:%.c=$(BUILD)/obj/%.o) $(EMBEDDED)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LINK) $^ -o $@ $(LIBS)

# --- tests ---

LIB_OBJ := $(LIB:%.c=$(BUILD)/obj/%.o) $(EMBEDDED)
LIB_SAN := $(LIB:%.c=$(BUILD)/san/%.o) $(EMBEDDED)
LIB_FUZ := $(LIB:%.c=$(BUILD)/fuzzer/%.o) $(EMBEDDED)
ORA_SAN := $(ORACLE:%.c=$(BUILD)/san/%.o)
ORA_FUZ := $(ORACLE:%.c=$(BUILD)/fuzzer/%.o)

# The same program under the sanitizers, for the tests that run it.
$(BUILD)/straddle-san: $(SRC:%.c=$(BUILD)/san/%.o) $(EMBEDDED)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SAN) $^ -o $@ $(LIBS)

$(BUILD)/tests/unit/%: $(BUILD)/san/tests/unit/%.o $(ORA_SAN) $(LIB_SAN)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) $^ -o $@ $(LIBS) -lcmocka

# Init's own functions, which straddle has not; tests/purity.sh reads the objects of the second list.
INIT_SAN := $(patsubst %.c,$(BUILD)/san/%.o,$(filter-out init/init.c,$(INIT)) vmm/base/channel.c vmm/base/err.c)
INIT_PURE := $(patsubst %.c,$(BUILD)/obj/%.o,init/spec.c init/input.c)
$(BUILD)/tests/unit/init/%: $(BUILD)/san/tests/unit/init/%.o $(INIT_SAN)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) $^ -o $@ -ljansson -lcmocka

# The calls that tests/fault makes fail, one a line.
comma := ,
WRAP  := $(patsubst %,-Wl$(comma)--wrap=%,$(shell cat tests/fault/wrap.txt 2>/dev/null))
$(BUILD)/tests/fault/test_%: $(BUILD)/san/tests/fault/test_%.o $(BUILD)/san/tests/fault/wrap.o $(LIB_SAN)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) $(WRAP) $^ -o $@ $(LIBS) -lcmocka

$(BUILD)/tests/fuzz/fuzz_%-replay: $(BUILD)/san/tests/fuzz/fuzz_%.o $(BUILD)/san/tests/fuzz/replay.o \
				  $(ORA_SAN) $(LIB_SAN)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) $^ -o $@ $(LIBS)
$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/fuzzer/tests/fuzz/fuzz_%.o $(ORA_FUZ) $(LIB_FUZ)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined $^ -o $@ $(LIBS)

$(BUILD)/tests/guest/%.elf: tests/guest/%.S tests/guest/guest.ld tests/guest/guest.inc
	$(call say,GUEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments \
		-Wl,-z,max-page-size=4096 -T tests/guest/guest.ld -Itests/guest $< -o $@

$(BUILD)/tests/golden/%: $(BUILD)/obj/tests/golden/%.o $(LIB_OBJ)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) $^ -o $@ $(LIBS)
$(addprefix $(BUILD)/tests/bench/,dma disk prefault): $(BUILD)/tests/bench/%: $(BUILD)/obj/tests/bench/%.o $(LIB_OBJ)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) $^ -o $@ $(LIBS)
$(BUILD)/tests/bench/%: $(BUILD)/obj/tests/bench/%.o
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) $^ -o $@

check-bins: $(BUILD)/straddle $(BUILD)/straddle-san $(UNIT_BIN) $(FAULT_BIN) $(REPLAY_BIN) $(GUEST_BIN) \
	    $(TOOL_BIN) $(INIT_PURE)

check-fast: check-bins
	$(Q)BUILD=$(BUILD) tests/check.sh fast
check: deps
	$(Q)$(MAKE) --no-print-directory -j2 check-bins tsan-bins compile_commands.json
	$(Q)BUILD=$(BUILD) tests/check.sh all

FUZZ_SECONDS ?= 60
fuzz: $(FUZZ_BIN)
	$(Q)for f in $(FUZZ:tests/fuzz/fuzz_%.c=%); do \
		mkdir -p $(BUILD)/corpus/$$f tests/fuzz/corpus/$$f; \
		$(BUILD)/tests/fuzz/fuzz_$$f -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(BUILD)/ \
			$(BUILD)/corpus/$$f tests/fuzz/corpus/$$f || exit 1; done

golden: check-bins
	$(Q)BUILD=$(BUILD) tests/golden/run.sh --update
	$(Q)BUILD=$(BUILD) tests/golden/acpi.sh --update

FORMATTED = $(shell find vmm devices acpi vfio firmware init tests -name '*.[ch]')
format:
	$(Q)clang-format -i $(FORMATTED)

# --- what looks for more ---

# For editors and clang-tidy.
compile_commands.json: Makefile $(SRC) $(INIT)
	$(call say,GEN,$@)
	$(Q)printf '%s\n' $(SRC) $(INIT) | jq -nR --arg d "$(CURDIR)" --arg c "$(CC) $(subst ",\",$(FLAGS))" \
		'[inputs | {directory: $$d, file: ., command: ($$c + " -c " + .)}]' >$@

# .clang-tidy and tests/cppcheck.txt say what is on.
tidy: compile_commands.json
	$(Q)tests/tidy.sh

# What gcc's analyzer finds here comes from functions in other files that it takes to return 0: read it, and judge.
analyze:
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/analyze CFLAGS="-O1 -g -fanalyzer -Wno-error" \
		$(SRC:%.c=$(BUILD)/analyze/obj/%.o)

# Lines that unit and failing-call tests reach, a folder each.
coverage:
	$(Q)rm -rf $(BUILD)/coverage
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/coverage SAN="-O0 -g --coverage" coverage-run
coverage-run: $(UNIT_BIN) $(FAULT_BIN)
	$(Q)for t in $^; do case $$t in */test_machine) ;; *) $$t >/dev/null 2>&1 || echo "$$t fails" ;; esac; done
	$(Q)tests/coverage.sh $(BUILD)

# Tests of what has threads, under ThreadSanitizer.
TSAN_BIN := $(patsubst %,$(BUILD)/tsan/tests/fault/test_%,console disk disk_overlay late leave net prefault serve vhost_user vsock)
tsan-bins:
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan SAN="-O1 -g -fsanitize=thread -Wno-tsan" $(TSAN_BIN)
tsan: tsan-bins
	$(Q)for t in $(TSAN_BIN); do setarch -R $$t || exit 1; done

# --- the lab and the demonstration ---

lab: $(BUILD)/straddle
	$(Q)tests/lab/lab shell
lab-kernel:
	$(Q)tests/lab/kernel.sh
bench: $(BUILD)/straddle $(GUEST_BIN) $(TOOL_BIN)
	$(Q)BUILD=$(BUILD) tests/bench/run.sh
	$(Q)TMPDIR=$(BUILD) $(BUILD)/tests/bench/disk $(BUILD) 128 9
	$(Q)$(BUILD)/tests/bench/prefault 4096 5
	$(Q)BUILD=$(BUILD) tests/bench/dma.sh
	$(Q)BUILD=$(BUILD) tests/bench/lab.sh
	$(Q)BUILD=$(BUILD) tests/bench/io.sh disk
	$(Q)BUILD=$(BUILD) tests/bench/io.sh net
demo: deps
	$(Q)$(MAKE) --no-print-directory $(BUILD)/straddle
	$(Q)tests/lab/demo.sh
demo-disk: deps
	$(Q)$(MAKE) --no-print-directory $(BUILD)/straddle
	$(Q)tests/lab/demo.sh disk

# --- dependencies: README.md gives the reason of each ---

BUILD_DEPS := gcc make libc6-dev libfdt-dev libjansson-dev liburing-dev liblzma-dev libzstd-dev \
	      zlib1g-dev acpica-tools musl-tools 'linux-headers-6.12.*-common'
TEST_DEPS  := clang clang-format clang-tidy cppcheck libclang-rt-14-dev libcmocka-dev device-tree-compiler jq
LAB_DEPS   := qemu-system-x86 qemu-utils mmdebstrap fakeroot uidmap e2fsprogs iperf3 passt busybox-static cpio xz-utils kmod dmsetup socat flex bison bc \
	      libelf-dev linux-libc-dev
DEPS	   := $(BUILD_DEPS) $(TEST_DEPS) $(LAB_DEPS)
deps:
	$(Q)tests/deps.sh $(DEPS)

install: $(BUILD)/straddle
	install -D -m 755 $(BUILD)/straddle $(DESTDIR)$(prefix)/bin/straddle
uninstall:
	rm -f $(DESTDIR)$(prefix)/bin/straddle
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
