#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Do `list` and `top -b -j` say of a load's rings and groups exactly what the load says of itself,
# and do they refuse what they cannot do in one line?
# Not for guests: there tests/vm/test_truth.sh compares all workloads at once.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

WORKERS=()
cleanup() { [ ${#WORKERS[@]} -eq 0 ] || kill "${WORKERS[@]}" 2>/dev/null; }

report() { tail -n 5 "$TMP/want" "$TMP/got" "$TMP/err" 2>/dev/null | cut -c 1-2000; }

wait_until() {
	local end=$((SECONDS + 200))
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

is_whole() { [ -s "$TMP/truth" ] && jq -e '.final' "$TMP/truth" >/dev/null 2>&1; }

start_load() {
	rm -f "$TMP/truth"
	"$BUFSCOPE" load -j --wait "$@" >"$TMP/truth" 2>"$TMP/err" &
	LOAD_PID=$!
	WORKERS+=("$LOAD_PID")
}

is_settled() { is_whole || ! kill -0 "$LOAD_PID" 2>/dev/null; }

# load_and_wait OPTION...: a load whose work is done and whose rings stand still; else its exit code
load_and_wait() {
	start_load "$@"
	wait_until is_settled
	is_whole && return
	kill "$LOAD_PID" 2>/dev/null
	wait "$LOAD_PID"
}

# Every process of the load is watched, and no other.
list() {
	local options
	options=$(jq -r '[.rings[].tgid] | unique | map("-p \(.)") | join(" ")' "$TMP/truth")
	# shellcheck disable=SC2086 # several words
	"$BUFSCOPE" list -j $options "$@" >"$TMP/list" 2>"$TMP/err"
}

# same PICK FILE_A EXPRESSION_A FILE_B EXPRESSION_B
same() {
	jq -c "$3 | sort_by(.tgid, .fd, .bgid)[] | $1" "$2" >"$TMP/want" &&
		jq -c "$5 | sort_by(.tgid, .fd, .bgid)[] | $1" "$4" >"$TMP/got" &&
		test -s "$TMP/want" && cmp "$TMP/want" "$TMP/got"
}

GROUP='[.tgid, .fd, .bgid, .kind, .entries, .head, .tail, .available, .held]'
RING='[.tgid, .fd, .sq_entries, .cq_entries, .setup_flags]'

# Where the kernel maps but the first page of a ring for itself, what is held in a larger one must
# be said to be unknown.
whole=$("$BUFSCOPE" doctor --self -j |
	jq '.abilities[] | select(.key == "layout.ring_memory") | .state == "yes"')
SEEN="[.groups[] | if $whole or .entries <= 256 then . else .held = null end]"

groups_agree() { same "$GROUP" "$TMP/truth" "$SEEN" "$TMP/list" '[.rings[].groups[]]'; }
rings_agree() { same "$RING" "$TMP/truth" .rings "$TMP/list" .rings; }

# compare NAME OPTION...
compare() {
	local name=$1 rc
	shift
	load_and_wait "$@"
	rc=$?
	if [ $rc -eq 3 ]; then
		skip "$name" "$(sed -n 's/^bufscope: //p' "$TMP/err")"
		return
	fi
	check "$name: load" test $rc -eq 0
	check "$name: list" list
	check "$name: rings" rings_agree
	check "$name: groups" groups_agree
	kill "$LOAD_PID"
}

ALL=0,1,63,64,4095,65535
compare "ring" --kind ring --bgid $ALL -n 700 --hold 5
compare "mmap" --kind mmap --bgid 0,1,63,64,2047 -n 700 --hold 5
compare "inc" --kind inc --bgid $ALL -n 700 --hold 5
compare "3 rings of 6 groups" --rings 3 --bgid $ALL -n 300 --leak 7
compare "2 processes of 2 threads" --procs 2 --threads 2 --groups 2 -n 300
compare "wrapped counters" -n 70000
compare "bundles" --op recv-bundle -n 500 --size 4K
compare "setup flags" --setup single-issuer,defer-taskrun -n 300
compare "sqpoll" --setup sqpoll -n 300
compare "large" --entries 32768 --buf-bytes 64 -n 40000 --leak 9

# ---- what else a list says

load_and_wait --bgid 3,65535 -n 100
check "buffer size" sh -c "'$BUFSCOPE' list -p $LOAD_PID -j |
	jq -e '[.rings[].groups[] | .buf_bytes] == [1024, 1024]'"
check "-g picks" sh -c "'$BUFSCOPE' list -p $LOAD_PID -g 65535 -j |
	jq -e '[.rings[].groups[] | .bgid] == [65535]'"
check "what takes two looks is null" sh -c "'$BUFSCOPE' list -p $LOAD_PID -j |
	jq -e '[.rings[].groups[] | .taken_total, .taken_per_s, .starved_total] | all(. == null)'"
check "--scan 0: held is not known" sh -c "'$BUFSCOPE' list -p $LOAD_PID --scan 0 -j |
	jq -e '[.rings[].groups[] | .held] | all(. == null)'"
check "no line over 80 columns" sh -c "'$BUFSCOPE' list -p $LOAD_PID | awk 'length > 80 { exit 1 }'"
check "what a snapshot cannot lose is no 0" sh -c "'$BUFSCOPE' list -j | jq -e '.losses |
	.rings == 0 and .unattributed == null and .events == null and .accounts == null'"
check "-o writes a file" sh -c "'$BUFSCOPE' list -j -o '$TMP/file' && jq -e .schema '$TMP/file'"
kill "$LOAD_PID"

# ---- over time: from before the work to after it

has_frames() { [ "$(wc -l <"$TMP/$1" 2>/dev/null || echo 0)" -ge "$2" ]; }

# watch DEPTH: the work of a fresh load between the first and the last line of $TMP/top
watch() {
	start_load --paused --rings 2 --groups 2 -n 70000 --leak 3
	wait_until sh -c "'$BUFSCOPE' list -p $LOAD_PID -j |
		jq -e '[.rings[].groups[]] | length == 4'" >/dev/null || return 1
	rm -f "$TMP/top"
	"$BUFSCOPE" top -b -j "$1" -p "$LOAD_PID" -i 0.1 >"$TMP/top" 2>"$TMP/err" &
	TOP_PID=$!
	WORKERS+=("$TOP_PID")
	wait_until has_frames top 2 || return 1
	kill -USR1 "$LOAD_PID"
	wait_until is_whole || return 1
	wait_until has_frames top $(($(wc -l <"$TMP/top") + 3)) || return 1
	kill -INT "$TOP_PID"
	wait "$TOP_PID" || return 1
	tail -n 1 "$TMP/top" >"$TMP/last"
	kill "$LOAD_PID"
}

# The fill came before the watching: all that was returned but the ring's whole size.
LIGHT='[.tgid, .fd, .bgid, .head, .tail, .available, .held, .taken_total, .returned_total]'
FULL="$LIGHT + [.selected_total, .starved_total, .bytes_total, .mshot_ended_total]"
TRUTH='[.groups[] | .returned_total -= .entries]'
totals_agree() { same "$1" "$TMP/truth" "$TRUTH" "$TMP/last" '[.rings[].groups[]]'; }

for depth in light full; do
	check "top --$depth watches" watch "--$depth"
	pick=$LIGHT
	[ $depth = light ] || pick=$FULL
	check "top --$depth: totals" totals_agree "$pick"
	# On a machine that is busy otherwise the tick may come late: that is said, and no failure.
	check "top --$depth: nothing lost" jq -e '[.losses | del(.wraps)[] | values] |
		all(. == 0) and length > 3' "$TMP/last"
	# shellcheck disable=SC2016 # jq's own
	check "top --$depth: what it cannot tell is no 0" jq -e --arg depth $depth '.losses |
		(.unattributed == null) == ($depth == "light") and .accounts == 0 and
		.calls == null' "$TMP/last"
	check "top --$depth: rates while it worked" jq -es \
		'any(.[]; any(.rings[].groups[]; .taken_per_s > 0))' "$TMP/top"
	check "top --$depth: every line is whole" jq -es 'all(.[]; .schema == "bufscope.top/1")' \
		"$TMP/top"
	check "top --$depth: a replay says the same again" sh -c "
		'$BUFSCOPE' top -b -j --replay '$TMP/top' | cmp - '$TMP/top'"
done

# ---- names

bell=$(printf 'rx\007')
start_load --name "$bell" --procs 2 --groups 2 -n 10
wait_until is_settled
check "each group has the name of its pool" list
# shellcheck disable=SC2016 # jq's own
check "in JSON as it is" jq -e --arg name "$bell" '[.rings[].groups[].name] == [range(4) | $name]' "$TMP/list"
"$BUFSCOPE" list -p "$(jq '.rings[0].tgid' "$TMP/truth")" >"$TMP/got"
kill "$LOAD_PID"
check "on a terminal without what would ring" grep -q ' rx\\x07$' "$TMP/got"

# ---- mistakes, and no privilege

exits() {
	local want=$1
	shift
	"$@" >"$TMP/out" 2>"$TMP/err"
	[ $? -eq "$want" ] && [ "$(wc -l <"$TMP/err")" -le 2 ]
}

for command in list 'top -b'; do
	for bad in '-p 0' '-p x' '-p' '-g 65536' '-g -1' '--scan 32769' '--nonsense' 'word'; do
		# shellcheck disable=SC2086 # several words
		check "$command $bad: exit 2" exits 2 "$BUFSCOPE" $command $bad
	done
	# shellcheck disable=SC2086
	check "$command: no such process" exits 1 "$BUFSCOPE" $command -p 2147483647
	check "$command: it is named" grep -q 'no process 2147483647' "$TMP/err"
done
check "top -i 0: exit 2" exits 2 "$BUFSCOPE" top -b -i 0
check "top -n 0: exit 2" exits 2 "$BUFSCOPE" top -b -n 0
check "top -j without -b: exit 2" exits 2 "$BUFSCOPE" top -j
check "top --replay of what is none: exit 1" exits 1 "$BUFSCOPE" top -b --replay "$0"
check "no room on the disk: exit 1" exits 1 "$BUFSCOPE" list -o /dev/full

cp "$BUFSCOPE" "$TMP/bufscope" && chmod 755 "$TMP" "$TMP/bufscope"
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$TMP/bufscope" "$@"; }
if [ "$(id -u)" -eq 0 ]; then
	check "without privilege: exit 3" exits 3 as_nobody list
	check "names the capability" grep -q 'CAP_BPF is missing' "$TMP/err"
	check "and how to get it" grep -q '^hint: ' "$TMP/err"
	check "top, too" exits 3 as_nobody top -b
fi

finish
