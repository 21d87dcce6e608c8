#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does bench run every strategy, and are its documents what it promises? No time is asserted.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/../tap.sh"

fails_with() { # CODE COMMAND...
	local code=$1 rc
	shift
	"$@"
	rc=$?
	[ "$rc" -eq "$code" ]
}

evictions_hold() {
	jq -e '.schema == "bufscope.bench/1" and (.evictions | length) == 18 and
		all(.evictions[]; .optimum_hits as $best | .accesses as $n |
			(.policies | length) == 5 and
			all(.policies[]; .hits <= $best and .evicted <= $n - .hits) and
			all(.policies[] | select(.policy == "none"); .evicted == 0))' "$TMP/evict"
}

# Every strategy has a figure or the reason why there is none.
cases_hold() {
	jq -e '.schema == "bufscope.bench/1" and .rounds == 2 and (.cases | length) == 7 and
		all(.cases[]; (.strategies | length) >= 8 and
			all(.strategies[]; .error or (.cpu_ns > 0 and .ops_per_s > 0)) and
			.strategies[0].cpu_ratio == 1)' "$TMP/cases"
}

served() { jq -e --arg s "$1" 'all(.cases[].strategies[]; .strategy != $s or .cpu_ns)' "$TMP/cases"; }

check 'bench evict' "$BUFSCOPE" bench evict
"$BUFSCOPE" bench -j evict >"$TMP/evict"
check 'no policy beats the optimum' evictions_hold
"$BUFSCOPE" bench -j -n 64 --rounds 2 -o "$TMP/cases"
rc=$?
if [ "$rc" -eq 3 ]; then
	skip 'bench' 'no io_uring here'
else
	check 'bench' [ "$rc" -eq 0 ]
	check 'each strategy of each case has a result' cases_hold
	for strategy in by-hand heap global local fixed fallback; do
		check "$strategy works everywhere" served "$strategy"
	done
	check 'a table' "$BUFSCOPE" bench -n 64 --rounds 1 socket
fi
check 'an unknown case is a mistake' fails_with 2 "$BUFSCOPE" bench nosuch
check 'so are no rounds' fails_with 2 "$BUFSCOPE" bench --rounds 0
check 'a file that cannot be written is a failure' fails_with 1 "$BUFSCOPE" bench -o /nonexistent/x evict
finish
