#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The kernel's own buffer functions and its tracepoints are two witnesses of the same: what they
# say of a workload must be equal, and equal to what the workload counted itself.
# shellcheck source=tests/tap.sh disable=SC2016,SC2317
. "$(dirname "$0")/../tap.sh"

load_pid='' top_pid=''
cleanup() {
	[ -z "$top_pid" ] || kill "$top_pid" 2>/dev/null
	[ -z "$load_pid" ] || kill "$load_pid" 2>/dev/null
	wait
}

lines() { wc -l <"$TMP/top"; }
has_lines() { [ "$(lines)" -ge "$1" ]; }
is_over() { [ -s "$TMP/truth" ] && jq -e .final "$TMP/truth" >/dev/null 2>&1; }
is_paused() { grep -qs SIGUSR1 "$TMP/said" || ! kill -0 "$load_pid" 2>/dev/null; }

# watch ARGUMENT...: truth in $TMP/truth, the last sample in $TMP/last
watch() {
	local rc=0
	rm -f "$TMP"/{truth,top,said,last}
	: >"$TMP/top"
	"$BUFSCOPE" load -j --paused --wait "$@" >"$TMP/truth" 2>"$TMP/said" &
	load_pid=$!
	until_true 60 is_paused || return 1
	kill -0 "$load_pid" 2>/dev/null || { wait "$load_pid"; return; }
	"$BUFSCOPE" top -b -j -i 0.2 --kbuf -p "$load_pid" >"$TMP/top" 2>>"$TMP/said" &
	top_pid=$!
	until_true 60 has_lines 1 && kill -USR1 "$load_pid" && until_true 120 is_over &&
		until_true 60 has_lines $(($(lines) + 3)) || rc=1
	kill "$top_pid"
	wait "$top_pid"
	kill "$load_pid"
	wait "$load_pid"
	load_pid='' top_pid=''
	tail -n 1 "$TMP/top" >"$TMP/last"
	return $rc
}

groups() { jq -c "[.rings[].groups[]] | sort_by(.fd, .bgid) | $1" "$TMP/last"; }
# A bundle that is received in several goes is put several times into its one completion.
is_bundle() { [[ " $* " == *bundle* ]]; }
truth() { jq -c '[.groups | sort_by(.fd, .bgid)[] | {bgid, selected_total, taken_total, starved_total}]' "$TMP/truth"; }

all_agree() {
	local but=.
	is_bundle "$@" && but='map(del(.selected_total))'
	truth | jq -c "$but" >"$TMP/a"
	groups '[.[] | {bgid, selected_total, taken_total, starved_total}]'"| $but" >"$TMP/b"
	groups '[.[] | {bgid, selected_total: .kbuf_selected_total, taken_total: .kbuf_taken_total,
		starved_total: .kbuf_starved_total}]'"| $but" >"$TMP/c"
	[ -s "$TMP/a" ] && cmp -s "$TMP/a" "$TMP/b" && cmp -s "$TMP/a" "$TMP/c" &&
		jq -e '[.losses | del(.wraps) | .[]] | add == 0' "$TMP/last" >/dev/null
}

# Each pick was named or put back, but for the last of the requests that are gone or wait: theirs
# is settled when their place in memory is used again. A legacy buffer is put back at once.
picks_add_up() {
	[ "$(groups 'all(.[]; (.kbuf_picked_total - .kbuf_selected_total - .kbuf_recycled_total) as $left |
		.kbuf_dropped_total == 0 and $left >= 0 and $left <= 64 and
		(.kind != "legacy" or $left == 0))')" = true ]
}

report() {
	cat "$TMP/said"
	echo "truth:       $(cut -c1-600 "$TMP/a" 2>/dev/null)"
	echo "tracepoints: $(cut -c1-600 "$TMP/b" 2>/dev/null)"
	echo "functions:   $(cut -c1-600 "$TMP/c" 2>/dev/null)"
	groups 'map({picked: .kbuf_picked_total, recycled: .kbuf_recycled_total, dropped: .kbuf_dropped_total})'
	jq -c .losses "$TMP/last"
}

# agree NAME ARGUMENT...
agree() {
	local name=$1 rc
	shift
	watch "$@"
	rc=$?
	if [ $rc -eq 3 ] || grep -q '^bufscope: this kernel has no' "$TMP/said"; then
		skip "$name" "$(sed -n 's/^bufscope: //p' "$TMP/said" | head -n 1)"
		return
	fi
	check "$name" all_agree "$@"
	check "$name: each pick is accounted for" picks_add_up
	groups '.[0] | "#   \(.kbuf_picked_total) picked, \(.kbuf_taken_total) taken, \(.kbuf_selected_total) " +
		"selected, \(.kbuf_starved_total) starved, \(.kbuf_recycled_total) recycled"' 2>/dev/null | tr -d '"'
}

# A group that is registered while it is watched; legacy groups are not registered.
registers() {
	local rc=0
	rm -f "$TMP/truth" # of the workload before
	: >"$TMP/top"
	"$BUFSCOPE" top -b -j -i 0.2 --kbuf -g 4711 >"$TMP/top" 2>"$TMP/said" &
	top_pid=$!
	until_true 60 has_lines 1 || return 1
	"$BUFSCOPE" load -j --wait --bgid 4711 -n 100 >"$TMP/truth" 2>>"$TMP/said" &
	load_pid=$!
	until_true 120 is_over && until_true 60 has_lines $(($(lines) + 3)) || rc=1
	kill "$load_pid" "$top_pid"
	wait "$load_pid" "$top_pid"
	load_pid='' top_pid=''
	tail -n 1 "$TMP/top" >"$TMP/last"
	[ "$rc" -eq 0 ] && [ "$(groups 'map([.kbuf_registered_total, .kbuf_unregistered_total, .kbuf_taken_total])')" = '[[1,0,100]]' ]
}

if [ "$("$BUFSCOPE" doctor --self -j 2>/dev/null | jq -r .backend)" != iter+tp+kbuf ]; then
	reason=$("$BUFSCOPE" doctor --self -j 2>/dev/null | jq -r '[.abilities[] |
		select(.key == ("fentry.io_buffer_select", "kprobe.io_buffer_select")) |
		"\(.key): \(.detail // .errno // .state)"] | join("; ")')
	watch --op recv -n 1000
	is_plain() {
		jq -e '.backend == "iter+tp" and all(.rings[].groups[]; .kbuf_taken_total == null)' "$TMP/last" >/dev/null
	}
	if [ "$("$BUFSCOPE" doctor --self -j 2>/dev/null | jq -r .backend)" = iter+tp ]; then
		check 'without functions to see, --kbuf is --full' is_plain
	fi
	skip 'functions and tracepoints agree' "functions cannot be seen: $reason"
	finish
fi

n() { echo $(($1 / ${SLOW:-1})); }

# In guests tests/vm/test_truth.sh compares the others all at once.

agree 'requests wait for data' --op recv --arm-first -n "$(n 20000)"
is_told() { jq -e '.backend == "iter+tp+kbuf"' "$TMP/last" >/dev/null; }
check 'the backend is told' is_told
check 'a registration is seen' registers
agree 'legacy, starving' --kind legacy --starve -n "$(n 10000)" --entries 32
[ "${SLOW:-1}" -eq 1 ] || finish

agree 'multishot, 2 rings of 2 groups' --op recv-multishot -n "$(n 50000)" --groups 2 --rings 2
agree 'recv bundle' --op recv-bundle -n "$(n 5000)" --size 5000
agree 'file reads' --op read-file -n "$(n 20000)"
agree 'legacy, requests wait for data' --kind legacy --op recv --arm-first -n "$(n 10000)"
agree 'incremental' --kind inc -n "$(n 50000)"
agree 'one-shot recv' --op recv -n "$(n 50000)"
agree 'multishot bundle' --op recv-multishot-bundle -n "$(n 5000)" --size 5000
agree 'pipe read multishot' --op read-multishot -n "$(n 50000)"
agree 'starving' --starve -n "$(n 20000)" --entries 32
agree 'legacy' --kind legacy --op recv -n "$(n 20000)"
finish
