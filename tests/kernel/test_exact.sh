#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Are the counters exact? Each scenario runs under full accounting that was attached before its
# work, or under a light one; every counter must equal what the workload counted itself, and
# nothing may be lost. Prints a table: what was true, what was told, summed over the groups.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/../tap.sh"
: "${SCALE:=1}" # multiplies the counts
: "${ONLY:=}"  # a part of the names of the scenarios to run

load_pid='' top_pid='' born=''
cleanup() {
	[ -z "$top_pid" ] || kill "$top_pid" 2>/dev/null
	[ -z "$load_pid" ] || kill "$load_pid" 2>/dev/null
	wait
}

lines() { wc -l <"$TMP/top"; }
has_lines() { [ "$(lines)" -ge "$1" ]; }
is_over() { [ -s "$TMP/truth" ] && jq -e .final "$TMP/truth" >/dev/null 2>&1; }
is_paused() {
	grep -qs SIGUSR1 "$TMP/said" || grep -qs '^State:.T' "/proc/$load_pid/status" ||
		! kill -0 "$load_pid" 2>/dev/null
}

# start ARGUMENT...: a workload that waits for SIGUSR1 or, when it is to be born under watch, a
# process that will become one at SIGCONT
start() {
	if [ -z "$born" ]; then
		exec "$BUFSCOPE" load -j --paused --wait "$@"
	else
		exec bash -c 'kill -STOP $$; exec "$@"' - "$BUFSCOPE" load -j --wait "$@"
	fi
}

# watch DEPTH ARGUMENT...: truth in $TMP/truth, the first and last sample in $TMP/first, $TMP/last
watch() {
	local depth=$1 rc=0
	shift
	rm -f "$TMP"/{truth,top,said,first,last}
	: >"$TMP/top"
	start "$@" >"$TMP/truth" 2>"$TMP/said" &
	load_pid=$!
	until_true 10 is_paused || return 1
	kill -0 "$load_pid" 2>/dev/null || { wait "$load_pid"; return; }
	"$BUFSCOPE" top -b -j -i 0.1 "--$depth" -p "$load_pid" >"$TMP/top" 2>>"$TMP/said" &
	top_pid=$!
	until_true 20 has_lines 1 && kill "-${born:-USR1}" "$load_pid" && until_true 120 is_over &&
		until_true 20 has_lines $(($(lines) + 3)) || rc=1
	kill "$top_pid"
	wait "$top_pid"
	kill "$load_pid"
	wait "$load_pid"
	load_pid='' top_pid=''
	head -n 1 "$TMP/top" >"$TMP/first"
	tail -n 1 "$TMP/top" >"$TMP/last"
	return $rc
}

# Both as a list of groups by ring and bgid. What was put in before the attach was not counted. No
# workload here returns a buffer twice.
# shellcheck disable=SC2016 # jq's variables
truth='[.groups | sort_by(.fd, .bgid)[] | {bgid, selected_total, taken_total, starved_total,
	bytes_total, partial_total, mshot_ended_total, available, held, head, tail,
	returned_total: (.returned_total - if $born then 0 else .buffers end), double_returned_total: 0}]'
told='[.rings[].groups[] ] | sort_by(.fd, .bgid) | [.[] | {bgid, selected_total, taken_total,
	starved_total, bytes_total, partial_total, mshot_ended_total, available, held, head, tail,
	returned_total, double_returned_total}]'
# Light accounting knows no completions.
light='map(del(.double_returned_total, .selected_total, .starved_total, .bytes_total, .partial_total, .mshot_ended_total))'

# Where looks were too far apart, which only a stalled machine makes them, a wrap is suspected and
# told, and bids were overwritten before they were read, which is told as well.
nothing_lost() { [ -s "$TMP/last" ] && jq -e '[.losses | del(.wraps) | .[]] | add == 0' "$TMP/last" >/dev/null; }
in_doubt() { [ -s "$TMP/last" ] && jq -e '.losses | .wraps + .bids > 0' "$TMP/last" >/dev/null; }

# equal [FILTER]
equal() {
	jq -c --argjson born "$([ -n "$born" ] && echo true || echo false)" "$truth | ${1:-.}" "$TMP/truth" >"$TMP/a" && jq -c "$told | ${1:-.}" "$TMP/last" >"$TMP/b" &&
		[ -s "$TMP/a" ] && cmp -s "$TMP/a" "$TMP/b" && nothing_lost
}

report() {
	cat "$TMP/said"
	echo "truth: $(cut -c1-600 "$TMP/a" 2>/dev/null)"
	echo "told:  $(cut -c1-600 "$TMP/b" 2>/dev/null)"
	jq -c .losses "$TMP/last"
}

columns=(selected taken returned starved bytes partial mshot_ended available held)
row() { printf '# %-42s %-5s %10s %10s %10s %7s %13s %8s %11s %9s %5s\n' "$@"; }

# sums FILE: of each column; '-' where it is not known, as in what light accounting left out
sums() {
	jq -r '[.[]] as $groups | $ARGS.positional[] as $c | $groups |
		map(if has($c) then .[$c] else .[$c + "_total"] end) |
		if any(. == null) then "-" else add end' --args "${columns[@]}" <"$1"
}

table() {
	local truth told
	mapfile -t truth < <(sums "$TMP/a" 2>/dev/null)
	mapfile -t told < <(sums "$TMP/b" 2>/dev/null)
	[ ${#truth[@]} -eq 9 ] && row "$1" truth "${truth[@]}"
	[ ${#told[@]} -eq 9 ] && row "" told "${told[@]}"
}

# exact NAME FILTER DEPTH ARGUMENT...
exact() {
	local name="$1 ($3)" filter=$2 rc
	[[ "$name" == *"$ONLY"* ]] || return 0
	shift 2
	for _ in 1 2 3; do
		watch "$@"
		rc=$?
		[ $rc -eq 0 ] || break
		in_doubt || break
		! equal "$filter" || break
	done
	if [ $rc -eq 3 ]; then
		skip "$name" "$(sed -n 's/^bufscope: //p' "$TMP/said")"
		return
	fi
	if in_doubt && ! equal "$filter"; then
		skip "$name" "the machine stalled for too long, as the report says"
		return
	fi
	check "$name" equal "$filter"
	table "$name"
}

n() { echo $(($1 * SCALE / ${SLOW:-1})); }
full() { exact "$1" . full "${@:2}"; }
# Of a list that was there before nobody knows what it lent: '-'.
legacy() { exact "$1" 'map(.held = null)' full --kind legacy "${@:2}"; }
# From its first ring on, after an exec, in the process that was named.
born() { born=CONT; full "$@"; born=; }
row scenario who "${columns[@]}"

# In guests tests/vm/test_truth.sh watches the others all at once.
born "born under watch" --groups 3 -n "$(n 50000)" --hold 7
born "legacy, born under watch" --kind legacy --groups 3 -n "$(n 50000)" --hold 7 --leak 3
[ "${SLOW:-1}" -eq 1 ] || finish

full "one-shot recv" --op recv -n "$(n 300000)"
full "multishot, 2 rings of 3 groups, 2 threads" --op recv-multishot -n "$(n 300000)" --groups 3 \
	--rings 2 --threads 2
full "recv bundle" --op recv-bundle -n "$(n 50000)" --size 5000
full "pipe read multishot" --op read-multishot -n "$(n 300000)"
full "file reads" --op read-file -n "$(n 200000)" --groups 3
full "incremental multishot" --kind inc -n "$(n 300000)"
legacy "legacy multishot, 2 groups" -n "$(n 100000)" --groups 2
legacy "legacy one-shot" --op recv -n "$(n 50000)"
legacy "legacy file reads" --op read-file -n "$(n 50000)"
full "in workers" --op recv --async -n "$(n 30000)" --groups 2
full "multishot in workers" --async -n "$(n 30000)" --groups 2
full "file reads in workers" --op read-file --async -n "$(n 30000)" --groups 2
legacy "legacy in workers" --op recv --async -n "$(n 30000)"
full "linked" --op recv --link 4 -n "$(n 50000)" --groups 2
full "multishot armed before the attach" --arm-first -n "$(n 50000)" --groups 3
full "one-shot armed before the attach" --op recv --arm-first -n "$(n 50000)" --groups 3
full "multishot overflow" --cq-entries 16 -n "$(n 100000)" --groups 3
full "one-shot overflow" --op recv --cq-entries 16 -n "$(n 100000)" --groups 3
full "starving" --starve -n "$(n 100000)" --entries 32
full "leaking and holding, sparse bgids" --leak 5 --hold 10 -n "$(n 50000)" \
	--bgid 0,1,63,64,4095,65535
exact "multishot" "$light" light -n "$(n 1000000)" --groups 2
full "recvmsg multishot" --op recvmsg-multishot -n "$(n 200000)"
full "pipe read" --op read-pipe -n "$(n 100000)"
full "multishot bundle" --op recv-multishot-bundle -n "$(n 50000)"
full "mmap rings up to bgid 2047" --kind mmap -n "$(n 50000)" --bgid 0,63,64,2047
full "incremental one-shot" --kind inc --op recv -n "$(n 100000)"
full "incremental file reads" --kind inc --op read-file -n "$(n 100000)"
full "tiny rings" --entries 4 -n "$(n 100000)" --groups 2
full "SQPOLL" --setup sqpoll -n "$(n 50000)" --op recv
full "deferred task work" --setup defer-taskrun,single-issuer -n "$(n 200000)"
exact "multishot bundle" "$light" light --op recv-multishot-bundle -n "$(n 50000)"
finish
