#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Is the guest what every other test in it takes for granted?
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

check 'bufscope runs' "$BUFSCOPE" -V
check 'the kernel describes its types' test -s /sys/kernel/btf/vmlinux
check 'io_uring is built in' grep -qw __x64_sys_io_uring_setup /proc/kallsyms
check 'the loopback device is up' ip link show dev lo up
finish
