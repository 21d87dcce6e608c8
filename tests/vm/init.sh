#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# init.sh: the first program of a guest. Runs /command and says how it ended, or is a shell.
# Serial lines: 0 the kernel's console, 1 stdout, 2 stderr, 3 what the host wants to know of us.
export PATH=/bufscope/build:/usr/bin:/bin HOME=/ LC_ALL=C.UTF-8
export BUFSCOPE=/bufscope/build/bufscope
# What a test allows in time, it multiplies by this.
export SLOW=10
/bin/busybox mkdir -p /proc /sys /dev /tmp /run
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
for line in 1 2 3; do
	busybox stty -F /dev/ttyS$line raw -echo
done
read -r uptime _ </proc/uptime
echo "up $uptime $(uname -r)" >/dev/ttyS3

mkdir -p /dev/pts /dev/shm /var/tmp
mount -t sysfs sys /sys
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs run /run
mount -t securityfs security /sys/kernel/security
mount -t bpf bpf /sys/fs/bpf
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -s /proc/self/fd /dev/fd
hostname guest
ip link set lo up
cd /bufscope || poweroff -f

if [ -e /command ]; then
	bash /command >/dev/ttyS1 2>/dev/ttyS2 </dev/null
	echo "exit $?" >/dev/ttyS3
else
	stty -F /dev/console rows "$LINES" cols "$COLUMNS"
	setsid cttyhack bash
fi
poweroff -f
