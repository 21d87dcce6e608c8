#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does doctor --self tell what this kernel and this user allow, and leave nothing behind?
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
SYSCTL=/proc/sys/kernel/io_uring_disabled
disabled_was=
cleanup() { [ -z "$disabled_was" ] || echo "$disabled_was" >"$SYSCTL"; }
report() { head -c 500 "$TMP/out" "$TMP/err" 2>/dev/null; }

user=()
# self ARGUMENT...: exit code in $rc, output in $TMP/out and $TMP/err
self() {
	"${user[@]}" "$BUFSCOPE" doctor --self "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
	rc=$?
}

# asked CODE FILTER: it ended with CODE and FILTER is true of the JSON it wrote
asked() {
	[ "$rc" -eq "$1" ] && jq -e "def ability(k): .abilities[] | select(.key == k); $2" "$TMP/out"
}

table() {
	[ "$rc" -eq 0 ] && [ ! -s "$TMP/err" ] && grep -q '^rings can be watched: iter' "$TMP/out" &&
		grep -qE '^  io_uring +yes +make a ring$' "$TMP/out"
}

narrow() { ! grep -E '^.{81}' "$TMP/out"; }

# Every ability has a line in the table, those of functions one for both ways.
complete() {
	local key
	jq -r '.abilities[].key | sub("^(fentry|kprobe)[.]"; "")' "$TMP/out" >"$TMP/keys"
	while read -r key; do
		grep -q "^  $key " "$TMP/table" || { echo "$key"; return 1; }
	done <"$TMP/keys"
}

loaded() { bpftool -j prog show | jq '[.[] | select(.name == "caps")] | length'; }

nothing_stays() {
	local before after
	before=$(loaded)
	self -o "$TMP/file"
	[ "$rc" -eq 0 ] && [ ! -s "$TMP/out" ] && [ -s "$TMP/file" ] || return 1
	# programs go some time after their last user
	for _ in $(seq 50); do
		after=$(loaded)
		[ "$after" -gt "$before" ] || return 0
		sleep 0.1
	done
	echo "$before programs before, $after after"
	return 1
}

self
cp "$TMP/out" "$TMP/table"
check 'a table' table
check 'no line is wider than 80 columns' narrow
check 'nothing stays loaded, all goes to a file' nothing_stays

self -j
check 'the table is complete' complete
check 'schema' asked 0 '.schema == "bufscope.doctor.self/1" and (.kernel | length > 0) and .at_ns > 0'
check 'says what watching rests on' asked 0 '.backend | IN("iter", "iter+tick", "iter+tp", "iter+tp+kbuf")'
check 'keys are unique' asked 0 '[.abilities[].key] | length == (unique | length)'
check 'rows are complete' asked 0 'all(.abilities[]; (.state | IN("yes", "no", "unknown")) and
	(.what | length > 0) and (.if_missing | length > 0) and has("errno") and has("detail"))'
check 'yes has no errno, unknown has a reason' asked 0 'all(.abilities[];
	if .state == "yes" then .errno == null
	elif .state == "unknown" then .errno != null or .detail != null else true end)'

if [ -w "$SYSCTL" ] && cat "$SYSCTL" >"$TMP/was" && cat "$TMP/was" 2>/dev/null >"$SYSCTL"; then
	disabled_was=$(cat "$TMP/was")
	echo 2 >"$SYSCTL"
	self -j
	cleanup
	check 'io_uring disabled by sysctl is named' asked 0 'ability("io_uring") |
		.state == "no" and .errno == "EPERM" and (.detail | contains("io_uring_disabled=2"))'
	check 'then its features are unknown' asked 0 \
		'all(ability("pbuf_ring", "fixed", "query"); .state == "unknown")'
	check 'and rings could still be watched' asked 0 '.backend != null'
else
	skip 'io_uring disabled' "cannot write $SYSCTL"
fi

if [ "$(id -u)" -eq 0 ]; then
	# A copy, since the build directory may be closed to others.
	chmod 755 "$TMP"
	install -m 755 "$BUFSCOPE" "$TMP/bufscope"
	BUFSCOPE=$TMP/bufscope
	user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
fi
self -j
check 'a user without rights: nothing can be watched, exit 3' asked 3 '.backend == null'
check 'and is told which right is missing' asked 3 \
	'ability("tp.complete") | .state == "unknown" and (.detail | contains("cap_bpf"))'
check 'and what io_uring has all the same' asked 3 'ability("io_uring") | .state == "yes"'
finish
