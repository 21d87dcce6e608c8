#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does the program itself bear random keys, clicks and sizes, over a load that lives and over a
# recording? KEYS=10000 BUFSCOPE=build/san/bufscope tests/tui/test_random.sh tries it for long, under
# the sanitizers. SEED repeats a run.
# shellcheck source-path=SCRIPTDIR source=../tap.sh
. "$(dirname "$0")/../tap.sh"
# shellcheck source-path=SCRIPTDIR source=screen.sh
. "$(dirname "$0")/screen.sh"
DATA=$(realpath "$(dirname "$0")/../data")
KEYS=${KEYS:-400}
BATCH=40
RANDOM=${SEED:=$$}
export ASAN_OPTIONS=log_path=$TMP/asan:detect_leaks=0 UBSAN_OPTIONS=log_path=$TMP/ubsan:halt_on_error=1

cleanup() {
	screen_end
	[ -z "${LOAD_PID:-}" ] || kill "$LOAD_PID" 2>/dev/null
}

# Neither those that leave (q, F10, Ctrl-C, Ctrl-Z, Ctrl-\) nor w, which would write files.
# shellcheck disable=SC2054,SC2191 # the keys themselves
USUAL=(Up Down Left Right PPage NPage Home End Enter Enter Enter Escape BSpace F1 F2 F3 F4 F5 F6 F7
	F8 h j k l g G r p L '?' / f n s I t C T e Space Space + - , . '[' ']' '{' '}' 0 9 = '>' a é 漢
	BTab C-l C-u C-b C-f DC IC)

# A press, or a turn of the wheel, as a terminal of the oldest kind reports it.
click() {
	local x y
	x=$(printf %x $((33 + RANDOM % 90))) y=$(printf %x $((33 + RANDOM % 60)))
	screen_keys -H 1b 5b 4d "$(printf %x $((32 + (RANDOM % 3 ? 0 : 64 + RANDOM % 2))))" "$x" "$y" \
		1b 5b 4d 23 "$x" "$y"
}

batch() {
	local keys=() i
	for ((i = 0; i < BATCH; i++)); do
		keys+=("${USUAL[RANDOM % ${#USUAL[@]}]}")
	done
	screen_keys "${keys[@]}"
	click
	[ $((RANDOM % 3)) -gt 0 ] || screen_resize $((1 + RANDOM % 200))x$((1 + RANDOM % 70))
}

# bears WHAT COMMAND: as many keys as asked for, then it still obeys
bears() {
	local what=$1 sent
	screen_start 100x30 "$2"
	check "$what: begins" sees '^ bufscope '
	for ((sent = 0; sent < KEYS; sent += BATCH)); do
		batch
	done
	screen_resize 100x30
	screen_keys Escape Escape Escape Escape Escape Escape Escape Escape
	check "$what: lives after $KEYS keys (seed $SEED)" sees '^ bufscope '
	screen_keys C-u Escape q
	check "$what: and leaves with 0" sees '^exit 0$'
	check "$what: no sanitizer has a complaint" test -z "$(cat "$TMP"/asan.* "$TMP"/ubsan.* 2>/dev/null)"
}

bears "a recording" "$BUFSCOPE top --replay '$DATA/starving.jsonl'"
if "$BUFSCOPE" list >"$TMP/list" 2>&1; then
	"$BUFSCOPE" load --op recv --groups 3 --rate 200 --hold 20 -d 3000 -n 100000000 >"$TMP/load" 2>&1 &
	LOAD_PID=$!
	bears "a load" "$BUFSCOPE top -p $LOAD_PID -i 0.2"
else
	skip "a load" "$(head -n 1 "$TMP/list")"
fi

finish
