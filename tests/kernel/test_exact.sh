#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Are the counters exact? All scenarios run at once under full accounting that was attached before
# their work, others under a light one; every counter must equal what the workload counted itself,
# and nothing may be lost. Prints a table: what was true, what was told, summed over the groups.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/../tap.sh"
: "${SCALE:=1}" # multiplies the counts
: "${ONLY:=}"  # a part of the names of the scenarios to run

names=() filters=() depths=() borns=() options=() pids=() top_pid=''
cleanup() {
	local pid
	for pid in $top_pid "${pids[@]}"; do kill "$pid" 2>/dev/null; done
	wait
}

lines() { wc -l <"$TMP/top"; }
has_lines() { [ "$(lines)" -ge "$1" ]; }

# Of one scenario.
is_over() {
	[ -s "$TMP/truth.$1" ] && jq -e .final "$TMP/truth.$1" >/dev/null 2>&1 ||
		! kill -0 "${pids[$1]}" 2>/dev/null
}
is_paused() {
	grep -qs SIGUSR1 "$TMP/said.$1" || grep -qs '^State:.T' "/proc/${pids[$1]}/status" ||
		! kill -0 "${pids[$1]}" 2>/dev/null
}

# all CONDITION NUMBER...
all() {
	local i condition=$1
	shift
	for i; do "$condition" "$i" || return 1; done
}

# start NUMBER: a workload that waits for SIGUSR1 or, when it is to be born under watch, a process
# that will become one at SIGCONT
start() {
	local words
	read -ra words <<<"${options[$1]}"
	if [ -z "${borns[$1]}" ]; then
		exec "$BUFSCOPE" load -j --paused --wait "${words[@]}"
	else
		exec bash -c 'kill -STOP $$; exec "$@"' - "$BUFSCOPE" load -j --wait "${words[@]}"
	fi
}

# end PID...
end() {
	kill "$@" 2>/dev/null
	wait "$@"
}

# watch NUMBER...: all of them at once, under one observer. Leaves what was true in truth.NUMBER, and
# the last sample in last.
watch() {
	local i watched=()
	: >"$TMP/top"
	for i; do
		start "$i" >"$TMP/truth.$i" 2>"$TMP/said.$i" &
		pids[i]=$!
		watched+=(-p "${pids[i]}")
	done
	until_true 60 all is_paused "$@" || return 1
	"$BUFSCOPE" top -b -j -i 0.1 "--${depths[$1]}" "${watched[@]}" >"$TMP/top" 2>"$TMP/top.said" &
	top_pid=$!
	until_true 60 has_lines 1 || return 1
	for i; do kill "-${borns[i]:-USR1}" "${pids[i]}" 2>/dev/null; done
	until_true 300 all is_over "$@" && until_true 60 has_lines $(($(lines) + 3)) || return 1
	end "$top_pid"
	top_pid=''
	tail -n 1 "$TMP/top" >"$TMP/last"
}

# Both as a list of groups by ring and bgid. What was put in before the attach was not counted. No
# workload here returns a buffer twice.
# shellcheck disable=SC2016 # jq's variables
truth='[.groups | sort_by(.fd, .bgid)[] | {bgid, selected_total, taken_total, starved_total,
	bytes_total, partial_total, mshot_ended_total, available, held, head, tail,
	returned_total: (.returned_total - if $born then 0 else .buffers end), double_returned_total: 0}]'
# shellcheck disable=SC2016 # jq's variables
told='[.rings[] | select(.tgid == $tgid) | .groups[]] | sort_by(.fd, .bgid) | [.[] | {bgid, selected_total, taken_total,
	starved_total, bytes_total, partial_total, mshot_ended_total, available, held, head, tail,
	returned_total, double_returned_total}]'
# Light accounting knows no completions.
# shellcheck disable=SC2016 # jq's variables
light='map(del(.double_returned_total, .selected_total, .starved_total, .bytes_total, .partial_total, .mshot_ended_total))'

# Where looks were too far apart, which only a stalled machine makes them, a wrap is suspected and
# told, and bids were overwritten before they were read, which is told as well.
# Where the kernel maps only the beginning of a ring, those that a pool tries heads out with have no
# ledger; where it does not count a legacy list, one that changes while it is counted is missed. Both
# are told as well.
can() {
	"$BUFSCOPE" doctor --self -j 2>/dev/null |
		jq -r --arg key "$1" '.abilities[] | select(.key == $key) | .state == "yes"'
}
whole=$(can layout.ring_memory) counted=$(can layout.legacy_count)
nothing_lost() {
	[ -s "$TMP/last" ] && jq -e "[.losses | del(.wraps, .bids) |
		if ${whole:-true} then . else del(.ledgers) end |
		if ${counted:-true} then . else del(.walk) end | .[]] | add == 0" "$TMP/last" >/dev/null
}
in_doubt() { [ -s "$TMP/last" ] && jq -e '.losses | .wraps + .bids > 0' "$TMP/last" >/dev/null; }

# equal NUMBER
equal() {
	jq -c --argjson born "$([ -n "${borns[$1]}" ] && echo true || echo false)" \
		"$truth | ${filters[$1]}" "$TMP/truth.$1" >"$TMP/a" &&
		jq -c --argjson tgid "${pids[$1]}" "$told | ${filters[$1]}" "$TMP/last" >"$TMP/b" &&
		[ -s "$TMP/a" ] && cmp -s "$TMP/a" "$TMP/b"
}

shown=''
report() {
	jq -c '.losses | with_entries(select(.value > 0))' "$TMP/last"
	[ -n "$shown" ] || return
	cat "$TMP/said.$shown" "$TMP/top.said"
	echo "truth: $(cut -c1-600 "$TMP/a" 2>/dev/null)"
	echo "told:  $(cut -c1-600 "$TMP/b" 2>/dev/null)"
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

# exact NAME FILTER DEPTH ARGUMENT...: to be run by run_all
exact() {
	[[ "$1 ($3)" == *"$ONLY"* ]] || return 0
	names+=("$1 ($3)") filters+=("$2") depths+=("$3") borns+=("$born") options+=("${*:4}")
}

# 3: the workload says that this kernel cannot do it
status_of() {
	kill -0 "${pids[$1]}" 2>/dev/null && return
	wait "${pids[$1]}"
}

# The machine may have stalled for too long, as the report says: once more, alone.
once_more() {
	local _
	for _ in 1 2; do
		in_doubt && ! equal "$1" || return 0
		end "${pids[$1]}"
		watch "$1"
	done
}

judge() {
	local rc
	shown=$1
	status_of "$1"
	rc=$?
	if [ $rc -eq 3 ]; then
		skip "${names[$1]}" "$(sed -n 's/^bufscope: //p' "$TMP/said.$1")"
		return
	fi
	once_more "$1"
	if in_doubt && ! equal "$1"; then
		skip "${names[$1]}" "the machine stalled for too long, as the report says"
		return
	fi
	check "${names[$1]}" equal "$1"
	table "${names[$1]}"
}

# run_all DEPTH: what was collected for it
run_all() {
	local i those=()
	for i in "${!names[@]}"; do [ "${depths[i]}" != "$1" ] || those+=("$i"); done
	[ ${#those[@]} -gt 0 ] || return 0
	check "${#those[@]} workloads run under one observer ($1)" watch "${those[@]}"
	cp "$TMP/last" "$TMP/all"
	shown=''
	check "nothing was lost ($1)" nothing_lost
	for i in "${those[@]}"; do
		cp "$TMP/all" "$TMP/last"
		judge "$i"
		end "${pids[i]}"
	done
}

n() { echo $(($1 * SCALE / ${SLOW:-1})); }
full() { exact "$1" . full "${@:2}"; }
# Of a list that was there before nobody knows what it lent: '-'.
legacy() { exact "$1" 'map(.held = null)' full --kind legacy "${@:2}"; }
# From its first ring on, after an exec, in the process that was named.
born='' # or the signal that begins it
born() { born=CONT; full "$@"; born=; }
run_and_finish() {
	row scenario who "${columns[@]}"
	run_all full
	run_all light
	finish
}

# In guests tests/vm/test_truth.sh watches the others all at once.
born "born under watch" --groups 3 -n "$(n 50000)" --hold 7
born "legacy, born under watch" --kind legacy --groups 3 -n "$(n 50000)" --hold 7 --leak 3
[ "${SLOW:-1}" -eq 1 ] || run_and_finish

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
full "bundles armed before the attach" --op recv-multishot-bundle --arm-first -n "$(n 50000)" --groups 3
full "pipe reads armed before the attach" --op read-multishot --arm-first -n "$(n 50000)" --groups 3
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
exact "multishot, 200 groups in turns" "$light" light -n "$(n 5000)" --groups 200 --entries 64
exact "multishot bundle" "$light" light --op recv-multishot-bundle -n "$(n 50000)"
run_and_finish
