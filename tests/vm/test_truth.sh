#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Is all that can be counted on this kernel counted right? Workloads of every kind run one after
# the other, watched all at once by `top` with functions, where they can be seen, and by a light
# `top`; at last `list` looks at what they left. Loading programs is what takes long in emulation:
# here it is done three times for all of them. tests/kernel/test_exact.sh has more kinds, one by one.
# shellcheck source=tests/tap.sh disable=SC2016,SC2317
. "$(dirname "$0")/../tap.sh"

names=() pids=() watchers=()
cleanup() {
	kill "${pids[@]}" "${watchers[@]}" 2>/dev/null
	wait
}

# add NAME ARGUMENT...: a workload that waits for SIGUSR1
add() {
	local i=${#names[@]}
	names+=("$1")
	shift
	"$BUFSCOPE" load -j --paused --wait "$@" >"$TMP/truth.$i" 2>"$TMP/said.$i" &
	pids+=($!)
}

is_alive() { kill -0 "${pids[$1]}" 2>/dev/null; }
is_paused() { grep -qs SIGUSR1 "$TMP/said.$1" || ! is_alive "$1"; }
is_over() { ! is_alive "$1" || grep -qs '"final":true' "$TMP/truth.$1"; }
lines() { wc -l <"$TMP/$1"; }
has_lines() { [ "$(lines "$1")" -ge "$2" ]; }

# watch DEPTH: until the end; each line of $TMP/DEPTH is a sample
watch() {
	: >"$TMP/$1"
	# shellcheck disable=SC2046 # several words
	"$BUFSCOPE" top -b -j -i 1 "--$1" $(printf -- '-p %s ' "${living[@]}") \
		>"$TMP/$1" 2>"$TMP/said.$1" &
	watchers+=($!)
}

add "one-shot recv" --op recv -n 500
add "multishot, 2 rings of 3 groups, 2 threads" -n 500 --groups 3 --rings 2 --threads 2
add "recv bundle" --op recv-bundle -n 300 --size 5000
add "multishot bundle" --op recv-multishot-bundle -n 300
add "pipe read multishot" --op read-multishot -n 500
add "file reads" --op read-file -n 500 --groups 3
add "mmap" --kind mmap -n 700 --bgid 0,1,63,64,2047 --hold 5
add "inc" --kind inc -n 500 --bgid 0,63,64,65535 --hold 5
add "legacy multishot" --kind legacy -n 500 --groups 2
add "legacy one-shot" --kind legacy --op recv -n 500
add "in workers" --op recv --async -n 500 --groups 2
add "file reads in workers" --op read-file --async -n 500
add "linked" --op recv --link 4 -n 500
add "multishot armed before" --arm-first -n 500 --groups 3
add "one-shot armed before" --op recv --arm-first -n 500 --groups 3
add "multishot overflow" --cq-entries 16 -n 500 --groups 2
add "starving" --starve -n 500 --entries 32
add "leaking, holding, sparse bgids" --leak 5 --hold 10 -n 500 --bgid 0,1,63,64,4095,65535
add "deferred task work" --setup defer-taskrun,single-issuer -n 500
add "sqpoll" --setup sqpoll -n 300 --op recv
add "large" --entries 32768 --buf-bytes 64 -n 500 --leak 9
all=("${!names[@]}") living=()
for i in "${all[@]}"; do
	until_true 20 is_paused "$i"
	! is_alive "$i" || living+=("${pids[i]}")
done

depth=full
[ "$("$BUFSCOPE" doctor --self -j 2>/dev/null | jq -r .backend)" != iter+tp+kbuf ] || depth=kbuf
watch $depth
watch light
check "all are watched, by $depth" until_true 60 has_lines $depth 1
check "and by light" until_true 60 has_lines light 1
for i in "${all[@]}"; do
	! is_alive "$i" || kill -USR1 "${pids[i]}"
	until_true 60 is_over "$i"
done
until_true 30 has_lines $depth $(($(lines $depth) + 3))
until_true 30 has_lines light $(($(lines light) + 3))
kill "${watchers[@]}"
wait "${watchers[@]}"
tail -n 1 "$TMP/$depth" >"$TMP/last"
tail -n 1 "$TMP/light" >"$TMP/last.light"
# shellcheck disable=SC2046 # several words
check "list looks at them" "$BUFSCOPE" list -j $(printf -- '-p %s ' "${living[@]}") -o "$TMP/list"

# What was put in before the attach was not counted. Of a list that was there before nobody knows
# what it lent; of a ring that the kernel maps in part, neither, but from what was seen since.
truth='[.groups | sort_by(.fd, .bgid)[] | .returned_total -= .buffers | .double_returned_total = 0 |
	if .kind == "legacy" then .held = null else . end]'
told='[.rings[].groups[] | select(.tgid == $pid)] | sort_by(.fd, .bgid)'
moved='head, tail, available, held, taken_total, returned_total'
seen="$moved, selected_total, starved_total, bytes_total, partial_total, mshot_ended_total, double_returned_total"
whole=$("$BUFSCOPE" doctor --self -j |
	jq '.abilities[] | select(.key == "layout.ring_memory") | .state == "yes"')
in_reach="$whole or .kind != \"ring\" or .entries <= 256"
partly="if $in_reach then . else .held = null | .double_returned_total = null end"

# equal I FILE FIELDS: of each group, truth and what FILE tells
equal() {
	jq -c --argjson pid "${pids[$1]}" "$truth | map($partly | {bgid, $3})" "$TMP/truth.$1" >"$TMP/a" &&
		jq -c --argjson pid "${pids[$1]}" "$told | map({bgid, $3})" "$TMP/$2" >"$TMP/b" &&
		[ -s "$TMP/a" ] && [ "$(<"$TMP/a")" != '[]' ] && cmp -s "$TMP/a" "$TMP/b"
}

# While a thread is within one of the programs at a function, the kernel runs that program for no
# other on this processor: where it preempts there, as since 6.16, calls are missed, and counted.
calls=$(jq '.losses.calls // 0' "$TMP/last") missed=0

# How far told is from truth in the field that is farthest; of bundles, whose calls take many
# buffers each, only whether it is.
distance() {
	jq -n --argjson bundle "$1" --slurpfile a "$TMP/a" --slurpfile b "$TMP/b" '
		[$a[0], $b[0]] | transpose | map([.[0] | del(.bgid) | map(. // 0)] +
			[.[1] | del(.bgid) | map(. // 0)] | transpose | map(.[0] - .[1] | fabs)) |
		transpose | map(add) | max | if $bundle and . > 1 then 1 else . end'
}

# No more may be wrong, of all workloads, than the calls that the report says it missed. A bundle
# that is received in several goes is put several times into its one completion.
functions_equal() {
	local fields='taken_total, starved_total, selected_total' change=. is_bundle=false
	[[ "${names[$1]}" != *bundle* ]] || change='.selected_total = null' is_bundle=true
	jq -c "$truth | map($change | {bgid, $fields})" "$TMP/truth.$1" >"$TMP/a" &&
		jq -c --argjson pid "${pids[$1]}" "$told | map(.taken_total = .kbuf_taken_total |
			.starved_total = .kbuf_starved_total | .selected_total = .kbuf_selected_total |
			$change | {bgid, $fields})" "$TMP/last" >"$TMP/b" &&
		missed=$((missed + $(distance "$is_bundle"))) && [ "$missed" -le "$calls" ]
}

report() {
	echo "truth: $(cut -c1-900 "$TMP/a" 2>/dev/null)"
	echo "told:  $(cut -c1-900 "$TMP/b" 2>/dev/null)"
	jq -c .losses "$TMP"/last "$TMP"/last.light
	cat "$TMP/said.${i:-full}" "$TMP"/said.{full,kbuf,light} 2>/dev/null
}

# Of a ring that is mapped in part there is no ledger, and that is told.
unread=$(for i in "${all[@]}"; do
	jq "[.groups[] | select($in_reach | not)] | length" "$TMP/truth.$i" 2>/dev/null
done | awk '{ n += $1 } END { print n + 0 }')

# nothing_lost FILE [LEDGERS]
nothing_lost() {
	jq -e --argjson unread "${2:-0}" '.losses | (.ledgers // 0) == $unread and
		([del(.wraps, .calls, .ledgers) | .[]] | add == 0)' "$TMP/$1" >/dev/null
}

for i in "${all[@]}"; do
	name=${names[i]}
	if ! [[ " ${living[*]} " == *" ${pids[i]} "* ]]; then
		skip "$name" "$(sed -n 's/^bufscope: //p' "$TMP/said.$i" | head -n 1)"
		continue
	fi
	check "$name: full" equal "$i" last "$seen"
	[ $depth != kbuf ] || check "$name: functions" functions_equal "$i"
	# light accounting reads no list, and knows what went in and out of none
	if jq -e 'all(.groups[]; .kind != "legacy")' "$TMP/truth.$i" >/dev/null; then
		check "$name: light" equal "$i" last.light "$moved"
		check "$name: list" equal "$i" list 'kind, entries, head, tail, available, held'
	else
		check "$name: list" equal "$i" list 'kind, available'
	fi
done
i=
echo "# calls missed: $calls, which show as $missed"
check "nothing was lost" nothing_lost last "$unread"
check "nor by light" nothing_lost last.light
finish
