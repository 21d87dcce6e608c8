#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The doctor as a command: what goes together, comparing with an earlier report, recordings, a
# process that dies, one that must not notice, and who may not look.
# Not for guests: no kernel decides this; what the doctor finds is for test_scenarios.sh.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

children=()
cleanup() { [ ${#children[@]} -eq 0 ] || kill "${children[@]}" 2>/dev/null; }
report() { tail -n 20 "$TMP"/said "$TMP"/out 2>/dev/null; }

# doctor ARGUMENT...: its exit code in $rc, output in $TMP/out, messages in $TMP/said
doctor() {
	"$BUFSCOPE" doctor "$@" >"$TMP/out" 2>"$TMP/said"
	rc=$?
}
ends_with() {
	local want=$1
	shift
	doctor "$@"
	[ "$rc" = "$want" ]
}
is_json() { jq -e "$@" "$TMP/out" >/dev/null; }
says() { grep -qF -- "$1" "$TMP/said"; }

# ---- what goes together

check "an unknown level is a mistake" ends_with 2 --fail-on bad
check "an unknown code is a mistake" ends_with 2 --explain no-such-code
check "a comparison needs a baseline" ends_with 2 --diff "$TMP/none"
check "a recording takes no command" ends_with 2 --replay "$TMP/none" -- true
check "what is no recording is refused" ends_with 1 --replay /etc/passwd
echo '{"schema":"bufscope.trace/1","event":"end"}' >"$TMP/traced"
check "nor is a trace one" ends_with 1 --replay "$TMP/traced"
check "what records is named" says 'bufscope top -b -j --full'
check "what is no report is refused" ends_with 1 --baseline /etc/passwd -d 1
check "before anything is watched" says "is no report"
check "every code is explained" bash -c \
	"'$BUFSCOPE' doctor --explain list | awk '{ print \$2 }' | xargs -n 1 '$BUFSCOPE' doctor --explain"

"$BUFSCOPE" doctor -d 0.1 >"$TMP/out" 2>"$TMP/said"
if [ $? = 3 ]; then
	skip "the doctor watches" "this kernel or user does not allow it"
	finish
fi

# ---- two runs

# play SCENARIO: in the background, as process $pid
play() {
	"$BUFSCOPE" load --scenario "$1" &
	pid=$!
	children+=("$pid")
}
run() { doctor -j "${@:2}" -- "$BUFSCOPE" load --scenario "$1"; }

run burst
cp "$TMP/out" "$TMP/base.json"
check "a finding fails the run" [ "$rc" = 1 ]
check "each starve has one cause" is_json '.starved[0] | .starved > 0 and .starved == ([.causes[]] | add)'
check "and, if the group was empty, one context" is_json \
	'.starved[0] | ([.contexts[]] | add) == .causes.empty_at_issue + .causes.emptied_at_data'
check "the replay at the present size tells what happened" is_json \
	'.starved[0].sizing | .replayed >= .starved / 2 and .replayed <= .starved * 2'
check "and ends with a size at which none starves" is_json \
	'.starved[0].sizing | .tries[-1].starved == 0 and .entries >= .tries[-1].buffers'

# What was told is tried: with that many none starves. With half of what was out and yet to come some
# do; on a busy machine buffers are held for longer, and more is told than that.
suffices() {
	local told least=1 out
	run "$1"
	told=$(jq '.starved[0].sizing.entries' "$TMP/out")
	out=$(jq '.starved[0].sizing | .out_at_starve + .taken_after_it + .spare' "$TMP/out")
	while [ "$least" -lt "$out" ]; do least=$((least * 2)); done
	doctor -j -- "$BUFSCOPE" load --scenario "$1" --entries "$told"
	is_json '.starved == [] and .findings == []' || return 1
	doctor -j -- "$BUFSCOPE" load --scenario "$1" --entries $((least / 2))
	is_json '.starved[0].starved > 0'
}
for scenario in burst emptied-at-data empty-at-issue; do
	check "$scenario: the size that was told suffices, half of what was needed does not" suffices "$scenario"
done
doctor --fail-on crit -- "$BUFSCOPE" load --scenario burst
check "a lesser finding does not, when told so" [ "$rc" = 0 ]
check "the first line names the group and the cure" \
	grep -Pzq '^process \d+ \(bufscope\), ring fd \d+, group 0 starves \(\d+ requests\): [^.]*\.\s\d+\sbuffers\swould\shave\ssufficed\.\nwatched' "$TMP/out"
check "the text has the sizes, too" grep -q 'with 32 none' "$TMP/out"
run burst --baseline "$TMP/base.json"
check "what the baseline has does not fail" [ "$rc" = 0 ]
check "and is marked" is_json '.findings[0].is_new == false and .gone == []'
run leak --baseline "$TMP/base.json"
cp "$TMP/out" "$TMP/leak.json"
check "what is new does" [ "$rc" = 1 ]
check "and what has gone is told" is_json \
	'.findings[0].is_new and .findings[0].code == "leak" and .gone[0].code == "pool-too-small"'
doctor -j --baseline "$TMP/leak.json" --diff "$TMP/base.json"
check "two reports compare without watching" is_json \
	'.findings[0].code == "pool-too-small" and .findings[0].is_new and .gone[0].code == "leak"'
check "and fail on what is new" [ "$rc" = 1 ]
check "a report equals itself" ends_with 0 --baseline "$TMP/base.json" --diff "$TMP/base.json"

# What starts in the background ignores an interrupt until it has begun to wait for one.
interrupt() {
	while kill -INT "$1" 2>/dev/null; do sleep 0.2; done
	wait "$1"
}

# ---- a machine too busy for looks

# blinded SCENARIO: the doctor is stopped from the first ring of its command on until its end
blinded() {
	"$BUFSCOPE" doctor -j -o "$TMP/out" -- "$BUFSCOPE" load --scenario "$1" 2>"$TMP/said" &
	local doctor=$! child
	children+=("$doctor")
	until_true 60 pgrep -P "$doctor" -f -- --scenario >"$TMP/child" || return 1
	child=$(cat "$TMP/child")
	until_true 60 grep -q io_uring "/proc/$child/maps"
	kill -STOP "$doctor"
	until_true 60 grep -q '^State:.Z' "/proc/$child/status"
	kill -CONT "$doctor"
	wait "$doctor"
	is_json "[.findings[].code] == [\"$1\"]"
}
for scenario in leak leak-on-error; do
	check "$scenario is told without a look" blinded "$scenario"
done

# ---- a recording

# record SCENARIO: into $TMP/rec, its process in $pid, which waits until it is watched
record() {
	play "$1"
	kill -STOP "$pid"
	: >"$TMP/rec"
	"$BUFSCOPE" top -b -j --full -p "$pid" -i 0.2 >"$TMP/rec" 2>"$TMP/said" &
	local top=$!
	until_true 60 [ -s "$TMP/rec" ]
	kill -CONT "$pid"
	wait "$pid"
	interrupt "$top"
}
record consumer-slow
doctor -j --replay "$TMP/rec"
check "a recording tells of starves" is_json \
	'[.findings[].code] == ["consumer-slow"] and .findings[0].confidence == "possible"'
check "and what it cannot tell" is_json '.not_seen.single_events and (.not_seen.starves | not)'
record busy
check "a sound one tells nothing" ends_with 0 --fail-on info --replay "$TMP/rec"

# ---- the process that is watched

"$BUFSCOPE" load --rate 300 --entries 32 --leak 3 -n 1000000 >"$TMP/load" 2>&1 &
pid=$!
children+=("$pid")
leaked() { "$BUFSCOPE" list -j -p "$pid" | jq -e '.rings[].groups[] | .held == 3 and .head > 40'; }
until_true 60 leaked >"$TMP/list"
doctor -j -p "$pid" -d 3
check "what was lost before the watch is told" is_json \
	'.findings[] | select(.code == "leak") | .evidence | test("^3 of 32 buffers, bids .* since before the watch")'
check "and that there is no telling since when" is_json '.not_seen.early_groups == 1'
kill "$pid"

"$BUFSCOPE" load --scenario busy-async >"$TMP/load" 2>&1 &
pid=$!
children+=("$pid")
waiting() { "$BUFSCOPE" list -j -p "$pid" | jq -e '.rings[].groups[] | .held == 16 and .head == 16'; }
until_true 60 waiting >"$TMP/list"
check "what requests had when the watch began is no leak" ends_with 0 --fail-on info -p "$pid"

"$BUFSCOPE" load --rate 300 --hold 4 -d 60 >"$TMP/load" 2>&1 &
pid=$!
children+=("$pid")
doctor -j -p "$pid" -d 30 &
watcher=$!
traced=
for _ in $(seq 15); do
	[ -r "/proc/$pid/status" ] || break
	grep -qE '^(State:\s+[tT]|TracerPid:\s+[1-9])' "/proc/$pid/status" && traced=1
	sleep 0.05
done
check "it is never stopped" [ -z "$traced" ]
check "and lives until now" kill -KILL "$pid"
wait "$watcher"
check "its death ends the watch" [ $? -le 1 ]
check "with a report" is_json '.schema == "bufscope.doctor/1"'

play busy
"$BUFSCOPE" doctor -p "$pid" -d 30 >"$TMP/out" 2>"$TMP/said" &
watcher=$!
sleep 0.7
interrupt "$watcher"
check "an interrupt ends in a report" grep -q '^watched' "$TMP/out"
check "of a process that is gone none is made" ends_with 1 -p 4194303 -d 1

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	setpriv --reuid 65534 --clear-groups --inh-caps=-all "$BUFSCOPE" doctor -d 1 \
		>"$TMP/out" 2>"$TMP/said"
	check "who may not look is told so" [ $? = 3 ]
else
	skip "who may not look is told so" "not root, or no setpriv"
fi
finish
