# SPDX-License-Identifier: MIT
#
#   make            build/bufscope, build/libbufscope.a, build/libbufscope.so
#   make demo       see the tool at work        make test    all tests this machine can run
#   make check      fast tests, no root         make lint    style, static analysis, layering
#   make install    PREFIX, DESTDIR             make clean
#
# V=1 shows commands, WERROR=1 makes warnings errors, SAN=1 builds with ASan and UBSan in build/san,
# STATIC=1 a program without shared libraries in build/static, to be copied to other machines.

.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

BUILD   ?= build
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
VERSION := $(shell sed -n 's/^\#define VERSION "\(.*\)"/\1/p' tools/cmd.h)
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
CLANG   ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PKGCONF ?= pkg-config

Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(patsubst $(O)/%,%,$(2))';)

O := $(BUILD)$(if $(SAN),/san)$(if $(STATIC),/static)

# ---- what is built from what

PUBLIC_SRC := $(wildcard lib/pool*.c lib/evict.c lib/limits*.c) lib/text.c
LIB_SRC    := $(filter-out $(PUBLIC_SRC),$(wildcard lib/*.c))
TOOL_SRC   := $(filter-out tools/main.c,$(wildcard tools/*.c))
BPF_SRC    := $(wildcard bpf/*.bpf.c)
SKELS      := $(BPF_SRC:bpf/%.bpf.c=$(O)/bpf/%.skel.h)
PUBLIC_OBJ := $(PUBLIC_SRC:%.c=$(O)/%.o)
ALL_OBJ    := $(LIB_SRC:%.c=$(O)/%.o) $(TOOL_SRC:%.c=$(O)/%.o)
MAIN_OBJ   := $(O)/tools/main.o

UNIT_TESTS   := $(patsubst tests/unit/%.c,$(O)/tests/unit/%,$(wildcard tests/unit/test_*.c))
KERNEL_TESTS := $(patsubst tests/kernel/%.c,$(O)/tests/kernel/%,$(wildcard tests/kernel/test_*.c))

LIBS_PUBLIC := liburing
LIBS_TOOL   := liburing libbpf ncursesw json-c libcap zlib
pkg_libs     = $(or $(shell $(PKGCONF) $(if $(STATIC),--static) --libs $(1) 2>/dev/null),$(patsubst %,-l%,$(patsubst lib%,%,$(1))))
PKG_CFLAGS  := $(shell $(PKGCONF) --cflags $(LIBS_TOOL) 2>/dev/null)
PKG_LIBS    := $(call pkg_libs,$(LIBS_TOOL))

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla \
	-Wno-missing-field-initializers $(if $(WERROR),-Werror)
comma := ,
SAN_FLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer \
	-fno-sanitize-recover=undefined)
OPT := -O2 -g
BS_CFLAGS := -std=gnu11 -D_GNU_SOURCE $(if $(STATIC),-DBUFSCOPE_STATIC) $(OPT) $(WARN) $(SAN_FLAGS) -fPIC -I$(O)/bpf $(PKG_CFLAGS) \
	-MMD -MP $(CFLAGS)
BPF_ARCH := $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(shell uname -m)))
BPF_CFLAGS = -target bpf -mcpu=v3 -O2 -g -Wall $(if $(WERROR),-Werror) -D__TARGET_ARCH_$(BPF_ARCH) \
	-MMD -MP $(patsubst %,-idirafter %,$(CLANG_SYS_INC))
# asm/types.h lies in the multiarch directory, which -target bpf does not search.
CLANG_SYS_INC = $(wildcard /usr/include/$(shell uname -m)-linux-gnu)

# Rewritten when a compiler or its flags change: no product mixes two of them.
FLAGS := $(CC) $(BS_CFLAGS) $(LDFLAGS) $(CLANG) $(BPF_CFLAGS)
$(shell mkdir -p $(O))
ifneq ($(file <$(O)/flags),$(FLAGS))
$(file >$(O)/flags,$(FLAGS))
endif

# These begin with a make of their own, which must not build what this one builds just then.
OF_THEIR_OWN := demo test test-programs test-vm test-tsan test-valgrind bench-overhead lint
ifneq ($(and $(filter $(OF_THEIR_OWN),$(MAKECMDGOALS)),$(word 2,$(MAKECMDGOALS))),)
.NOTPARALLEL:
endif

.PHONY: all hint demo test test-programs check test-run test-vm test-tsan test-valgrind need-vm test-debian13 bench-overhead bench-top lint install clean
all: hint $(O)/bufscope $(O)/libbufscope.a $(if $(STATIC),,$(O)/libbufscope.so)

hint:
	@tests/need -n $(NEED_BUILD)
	$(if $(STATIC),$(call need_archives,$(PKG_LIBS) -lc -lm))

# Of each library the archive must be there; the compiler answers with a path if it is.
need_archives = $(foreach l,$(patsubst -l%,lib%.a,$(filter -l%,$(1))),$(if $(filter $(l),\
	$(shell $(CC) -print-file-name=$(l))),$(error STATIC=1 needs $(l), which is not installed)))

# ---- products

$(O)/bufscope: $(MAIN_OBJ) $(O)/tool.a $(O)/libbufscope.a
	$(call say,LD,$@)$(CC) $(OPT) $(SAN_FLAGS) $(if $(STATIC),-static) -o $@ $^ $(LDFLAGS) $(PKG_LIBS) \
		-lpthread -lm

$(O)/tool.a: $(ALL_OBJ)
	$(call say,AR,$@)rm -f $@ && ar rcs $@ $^

$(O)/libbufscope.a: $(PUBLIC_OBJ)
	$(call say,AR,$@)rm -f $@ && ar rcs $@ $^

$(O)/libbufscope.so: $(PUBLIC_OBJ) lib/bufscope.map
	$(call say,LD,$@)$(CC) $(OPT) $(SAN_FLAGS) -shared -Wl,-soname,libbufscope.so.0 \
		$(if $(SAN),,-Wl$(comma)-z$(comma)defs) -Wl,--version-script=lib/bufscope.map -o $@ $(PUBLIC_OBJ) $(LDFLAGS) \
		$(call pkg_libs,$(LIBS_PUBLIC))

$(O)/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(BS_CFLAGS) $(OWN_CFLAGS) -c -o $@ $<

# Two words that stand side by side are stored by two instructions; to pack them first takes four.
$(O)/lib/pool%.o: OWN_CFLAGS := -fno-tree-slp-vectorize

# Only observe.c and what it owns include skeletons; they exist before it is compiled.
$(O)/lib/observe.o $(O)/lib/accounts.o $(O)/lib/kbuf.o: $(SKELS)

# What is built into it.
$(O)/tools/bench_trace.o: $(wildcard tests/data/evict-*.txt)

# `gen object` links and drops DWARF; the skeleton embeds the result.
$(O)/bpf/%.skel.h: $(O)/bpf/%.linked.o
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(O)/bpf/%.linked.o: $(O)/bpf/%.bpf.o
	$(Q)$(BPFTOOL) gen object $@ $<

$(O)/bpf/%.bpf.o: bpf/%.bpf.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,BPF,$@)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

# ---- tests: every program prints TAP, tests/run adds up

$(O)/tests/%: tests/%.c $(O)/tool.a $(O)/libbufscope.a
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(BS_CFLAGS) -Ilib -Itools -o $@ $< $(O)/tool.a $(O)/libbufscope.a \
		$(LDFLAGS) $(PKG_LIBS) $(call pkg_libs,cmocka) -lpthread -lm

# This one puts functions that fail in the place of those that the library calls.
$(O)/tests/kernel/test_pool_failure: LDFLAGS += $(foreach f,calloc malloc aligned_alloc posix_memalign free \
	mmap munmap syscall,-Wl$(comma)--wrap=$(f))

# The tests of pools that threads share, with the library built for ThreadSanitizer.
TSAN_TESTS := $(patsubst %,$(O)/tests/tsan/%,unit/test_pool_shared kernel/test_pool_stats kernel/test_pool_threads)
$(O)/tests/tsan/%: tests/%.c $(PUBLIC_SRC) $(O)/tool.a $(O)/libbufscope.a
	@mkdir -p $(@D)
	$(call say,TSAN,$@)$(CC) $(BS_CFLAGS) -O1 -fsanitize=thread -Wno-tsan -Ilib -o $@ $< \
		$(filter lib/pool%.c lib/evict.c,$(PUBLIC_SRC)) $(O)/tool.a $(O)/libbufscope.a $(LDFLAGS) $(PKG_LIBS) \
		$(call pkg_libs,cmocka) -lpthread -lm

# Not those in which one thread must run while another waits in the kernel: valgrind runs one at a time.
VALGRIND_TESTS := $(patsubst %,$(O)/tests/%,unit/test_pool unit/test_pool_fallback unit/test_pool_oracle unit/test_evict kernel/test_pool \
	kernel/test_pool_failure kernel/test_pool_misuse kernel/test_pool_op kernel/test_pool_stats kernel/test_pool_walk)

# Installs what is missing when root, else names the one command. $(1): packages
need = @tests/need $(1)
NEED_BUILD := gcc make pkg-config clang bpftool libbpf-dev liburing-dev libncurses-dev libjson-c-dev \
	libcap-dev libmicrohttpd-dev zlib1g-dev libc6-dev
NEED_TEST  := $(NEED_BUILD) g++ libcmocka-dev tmux jq util-linux procps man-db
NEED_VM    := $(NEED_TEST) qemu-system-x86 cpio mawk \
	$(if $(wildcard /bin/busybox),,busybox-static)
NEED_LINT  := $(NEED_TEST) clang-format clang-tidy cppcheck shellcheck

# After new packages the variables above must be read anew, and all processors may as well help.
again = +@$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

demo:
	$(call need,$(NEED_BUILD))
	$(again) all
	@tests/demo.sh $(O)/bufscope

test:
	$(call need,$(NEED_TEST))
	$(again) test-run

test-programs:
	$(call need,$(NEED_TEST))
	$(again) all $(UNIT_TESTS) $(KERNEL_TESTS)

# SUITES chooses among the directories of tests, TESTS=EXPRESSION and EXCEPT=EXPRESSION among the tests.
SUITES ?= unit kernel tui
test-run: all $(UNIT_TESTS) $(KERNEL_TESTS)
	@BUFSCOPE=$(O)/bufscope TESTS='$(TESTS)' EXCEPT='$(EXCEPT)' tests/run $(if $(filter unit,$(SUITES)),$(UNIT_TESTS)) \
		$(if $(filter kernel,$(SUITES)),$(KERNEL_TESTS) $(wildcard tests/kernel/test_*.sh)) \
		$(if $(filter tui,$(SUITES)),$(wildcard tests/tui/test_*.sh))

check: hint $(UNIT_TESTS)
	@tests/run $(UNIT_TESTS)

# The kernel tests on the kernels of tests/vm/kernels.list, emulated; KERNELS="6.1 7.3" picks of
# these, TESTS=EXPRESSION of the tests, EACH=1 what no two kernels do alike.
test-vm: need-vm
	@$(MAKE) --no-print-directory all $(KERNEL_TESTS)
	@tests/vm/run -B $(O) $(if $(EACH),-e) $(if $(TESTS),-T '$(TESTS)')

# Pools under the tools that find what tests do not see: races of those that are shared, and memory.
test-tsan:
	$(call need,$(NEED_TEST))
	$(again) $(TSAN_TESTS)
	@tests/run $(TSAN_TESTS)

# Valgrind does not see what the kernel writes: where memory comes from malloc(), it would seem undefined.
test-valgrind:
	$(call need,$(NEED_TEST) valgrind)
	$(again) $(VALGRIND_TESTS)
	@SLOW=20 UNDER='valgrind -q --error-exitcode=99 --undef-value-errors=no --leak-check=full --fair-sched=try' LIMIT=60 \
		tests/run $(VALGRIND_TESTS)

need-vm:
	$(call need,$(NEED_VM))

# All of it again in a Debian 13 of its own: newer compilers and libraries. ROOT keeps it.
test-debian13:
	$(call need,debootstrap util-linux)
	@tests/vm/debian13 $(or $(ROOT),$(BUILD)/debian13) $(NEED_TEST)

# What the dashboard costs with many groups, and how soon it obeys a key.
bench-top: all $(O)/tests/bench/top
	@for groups in 1000 65536; do $(O)/tests/bench/top $(O)/bufscope $$groups 10; done

# What being watched costs, side by side; ROUNDS, and WORK names workloads and observers.
ROUNDS ?= 5
bench-overhead:
	$(call need,$(NEED_BUILD))
	$(again) all $(O)/tests/bench/overhead
	@$(O)/tests/bench/overhead -r $(ROUNDS) $(O)/bufscope $(WORK)

lint:
	$(call need,$(NEED_LINT))
	$(again) -s $(SKELS)
	@tests/lint $(O)

# ---- the rest

D := $(DESTDIR)$(PREFIX)
L := $(DESTDIR)$(LIBDIR)

install: all
	install -d $(D)/bin $(D)/include $(D)/share/man/man8 $(D)/share/man/man3 $(L)/pkgconfig
	install -m 755 $(O)/bufscope $(D)/bin/
	install -m 644 tools/bufscope.8 $(D)/share/man/man8/
	install -m 644 lib/bufscope.3 $(D)/share/man/man3/
	install -m 644 lib/bufscope.h $(D)/include/
	install -m 644 $(O)/libbufscope.a $(L)/
	$(if $(STATIC),,install -m 755 $(O)/libbufscope.so $(L)/libbufscope.so.0)
	$(if $(STATIC),,ln -sf libbufscope.so.0 $(L)/libbufscope.so)
	sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' \
		lib/bufscope.pc.in > $(L)/pkgconfig/bufscope.pc

clean:
	rm -rf $(BUILD)

-include $(shell find $(O) -type f -name '*.d' 2>/dev/null)
