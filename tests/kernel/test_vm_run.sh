#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does a signal to tests/vm/run end the emulators, too? In place of the emulator and of the kernels
# there is something that only waits.
# Not for guests: it starts some.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
cd "$(dirname "$0")/../.." || exit 1

for tool in busybox cpio mawk; do
	type "$tool" >/dev/null 2>&1 || { skip "ends its guests" "needs $tool"; finish; }
done

run_pid=''
cleanup() {
	local pid
	for pid in $run_pid $(cat "$TMP"/emulators 2>/dev/null); do kill "$pid" 2>/dev/null; done
	wait
}

mkdir "$TMP/bin"
cat >"$TMP/bin/qemu-system-x86_64" <<'END'
#!/bin/sh
echo $$ >>"$TMP/emulators"
exec sleep 1000
END
chmod +x "$TMP/bin/qemu-system-x86_64"
awk '!/^#/ { print $3 }' tests/vm/kernels.list | while read -r package; do
	mkdir -p "$TMP/cache/kernels/$package"
	echo kernel >"$TMP/cache/kernels/$package/vmlinuz"
done
mkdir -p "$TMP/build/tests/kernel"
cp "$BUFSCOPE" "$TMP/build/bufscope"

running() { [ "$(wc -l <"$TMP/emulators")" -eq "$1" ]; } 2>/dev/null
gone() {
	local pid
	while read -r pid; do ! kill -0 "$pid" || return 1; done <"$TMP/emulators"
} 2>/dev/null

# ends SIGNAL GUESTS ARGUMENT...: all is gone when the program is
ends() {
	local signal=$1 guests=$2
	shift 2
	rm -f "$TMP/emulators"
	PATH=$TMP/bin:$PATH OFFLINE=1 VMCACHE=$TMP/cache tests/vm/run -B "$TMP/build" "$@" &
	run_pid=$!
	until_true 60 running "$guests" || return 1
	kill "-$signal" "$run_pid"
	wait "$run_pid"
	[ $? -ge 128 ] && run_pid='' && gone
}
export TMP
set -m # else a child in the background ignores SIGINT
check "tests, two guests at a time: SIGINT" ends INT 2 -k "6.1 6.12 7.3"
check "a command: SIGTERM" ends TERM 1 -k 6.1 -c true
finish
