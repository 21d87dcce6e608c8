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

is_code() { [ "$1" -eq "$2" ] || { echo "exit $1" && false; }; }

evictions_hold() {
	jq -e '.schema == "bufscope.bench/1" and (.evictions | length) == 21 and
		all(.evictions[]; .optimum_hits as $best | .accesses as $n | .table as $table |
			(.policies | length) == 5 and
			all(.policies[]; .hits <= $best and .registered <= $n - .hits and
				.evicted == ([.registered - $table, 0] | max)) and
			all(.policies[] | select(.policy == "none"); .evicted == 0))' "$TMP/evict"
}

# Every strategy has a figure or the reason why there is none.
cases_hold() {
	jq -e '.schema == "bufscope.bench/1" and .rounds == 2 and (.cases | length) == 17 and
		all(.cases[]; (.strategies | length) >= 8) and
		all(.cases[] | select(.case == "idle") | .strategies[]; .error or .cpu_ns == null) and
		all(.cases[] | select(.case != "idle"); (.strategies[0] | .error or .cpu_ratio == 1) and
			all(.strategies[]; .error or (.cpu_ns > 0 and .ops_per_s > 0)))' "$TMP/cases"
}

# O_DIRECT is for the filesystem to have.
served() {
	jq -e --arg s "$1" 'all(.cases[] | select(.case | startswith("direct") | not) | .strategies[];
		.strategy != $s or .error == null)' "$TMP/cases"
}

# Pools of which the kernel picks must not have a buffer for each connection; nor may others have none.
idle_holds() {
	jq -e '[.cases[] | select(.case == "idle")][0] | .connections == 400 and
		([.strategies[] | select(.strategy == "local")][0].buffers_allocated == 400) and
		all(.strategies[] | select(.strategy == "ring"); .error or .buffers_allocated == 128) and
		([.strategies[] | select(.strategy == "local")][0].resident_bytes >= 400 * 4096)' "$TMP/idle"
}

# One verdict for each claim; what is of no time has a certain one.
claims_hold() {
	jq -e '.schema == "bufscope.bench/1" and (.claims | length) == 14 and
		all(.claims[]; (.verdict | IN("holds", "holds not", "more", "cannot tell")) and .evidence != "") and
		all(.claims[] | select((.key | IN("zero_copy", "zero_copy.ring", "limit")) and (.evidence | startswith("not") | not));
			.verdict == "holds not") and
		all(.claims[] | select(.key == "reserve"); .verdict == "holds") and
		all(.claims[] | select(.key == "migration.fixed" and (.evidence | startswith("not") | not));
			.verdict == "holds")' "$TMP/claims"
}

DATA=$(dirname "$0")/../data
check 'bench evict' "$BUFSCOPE" bench evict
"$BUFSCOPE" bench -j evict >"$TMP/evict"
check 'no policy beats the optimum' evictions_hold
# What is known of each pattern, and of what was recorded.
verdicts_hold() {
	jq -e '[.verdicts[] | select(.verdict == "confirmed") | .trace] == ["parallel regions", "zipf",
			"task migration", "git (recorded)"] and
		[.verdicts[] | select(.verdict == "refuted") | .better] == ["none", "none", "none", "none"] and
		[.verdicts[].trace] == (reduce .evictions[].trace as $t ([]; if index($t) then . else . + [$t] end))' \
		"$TMP/evict"
}
check 'each trace has a verdict on clock' verdicts_hold
# The traces that are built in are those that the tests have: an installed program finds them.
built_in() { # NAME FILE
	"$BUFSCOPE" bench -j evict --trace "$DATA/evict-$2.txt" >"$TMP/file" || return
	diff <(jq --arg t "$1 (recorded)" '.evictions[] | select(.trace == $t) | del(.trace, .policies[].access_ns)' \
		"$TMP/evict") <(jq '.evictions[] | del(.trace, .policies[].access_ns)' "$TMP/file") &&
		jq -e --arg t "$1 (recorded)" 'any(.evictions[]; .trace == $t)' "$TMP/evict"
}

# recorded NAME: what it says of a trace, and what is told of LRU by other means
recorded() {
	"$BUFSCOPE" bench -j evict --trace "$DATA/evict-$1.txt" >"$TMP/recorded" || return
	grep -v '^#' "$DATA/evict-$1.txt" >"$TMP/accesses"
	awk -v table=16 '{
		if ($1 in at) { hits++ } else if (++nr > table) {
			oldest = ""
			for (b in at) if (oldest == "" || at[b] < at[oldest]) oldest = b
			delete at[oldest]
		}
		at[$1] = NR
	} END { print hits + 0 }' "$TMP/accesses" >"$TMP/lru"
	jq -e --argjson lru "$(cat "$TMP/lru")" --argjson nr "$(wc -l <"$TMP/accesses")" \
		--argjson buffers "$(sort -u "$TMP/accesses" | wc -l)" '
		all(.evictions[]; .trace == "recorded" and .accesses == $nr and .buffers == $buffers and
			.table < $buffers and (.optimum_hits as $best | all(.policies[]; .hits <= $best))) and
		(.evictions[0] | .table == 16 and
			any(.policies[]; .policy == "lru" and .hits == $lru))' "$TMP/recorded"
}
check 'a trace recorded of SQLite' recorded sqlite
check 'and one of git' recorded git
verdict() { "$BUFSCOPE" bench evict --trace "$DATA/evict-$1.txt" | grep -q "^recorded  *$2"; }
check 'clock is wrong for one that evicts by itself' verdict sqlite 'refuted: who evicts none hits'
check 'and right for one that takes what is free' verdict git 'confirmed'
check 'SQLite is built in' built_in SQLite sqlite
check 'so is git' built_in git git
: >"$TMP/empty"
seq 40000 >"$TMP/many"
for bad in empty many absent ''; do
	check "a trace that is none: '$bad'" fails_with 1 "$BUFSCOPE" bench evict --trace "$TMP/$bad"
done
check '--trace without evict' fails_with 2 "$BUFSCOPE" bench --trace "$TMP/many" acquire

"$BUFSCOPE" bench -j -n 64 --rounds 2 -o "$TMP/cases" 2>"$TMP/err"
rc=$?
if grep -q 'io_uring' "$TMP/err"; then
	skip 'bench' 'no io_uring here'
else
	check 'bench' [ "$rc" -eq 0 ]
	check 'each strategy of each case has a result' cases_hold
	for strategy in hand-plain hand-heap hand-global hand-fixed heap global local fixed hand-read fallback; do
		check "$strategy works everywhere" served "$strategy"
	done
	# A signal leaves no tree behind.
	mkdir "$TMP/work"
	TMPDIR=$TMP/work "$BUFSCOPE" bench -n 2000000 --rounds 99 tree >"$TMP/out" 2>&1 &
	pid=$!
	has_tree() { [ -n "$(ls "$TMP/work")" ]; }
	until_true 60 has_tree
	kill -TERM "$pid"
	wait "$pid"
	check 'a signal ends it' is_code $? 143
	check 'and leaves nothing behind' [ -z "$(ls "$TMP/work")" ]
	check 'and no half table' [ ! -s "$TMP/out" ]
	(
		ulimit -n 464
		"$BUFSCOPE" bench -n 400 --strategy ring idle >"$TMP/few"
	)
	check 'too few descriptors are told' grep -q 'of 200: RLIMIT_NOFILE allows no more' "$TMP/few"
	"$BUFSCOPE" bench -j -n 400 idle >"$TMP/idle"
	check 'silent connections occupy what they must' idle_holds
	check 'a table and a picture' "$BUFSCOPE" bench -n 64 --rounds 2 --plot "$TMP/svg" socket
	check 'it has its curves' grep -q '<svg' "$TMP/svg"
	check 'of silent connections there is none' fails_with 1 "$BUFSCOPE" bench -n 8 --plot "$TMP/svg" idle
	unmeasured() { # HINT COMMAND...: nothing could be measured, and it is said why
		local hint=$1
		shift
		"$@" >"$TMP/out" 2>"$TMP/err"
		is_code $? 1 && grep -q "see $hint\$" "$TMP/out" && grep -q 'nothing could be measured' "$TMP/err"
	}
	of_few() { (ulimit -n 80 && "$BUFSCOPE" bench -n 400 --strategy ring idle); }
	check 'of a handful of connections nothing is concluded' unmeasured 'ulimit -n' of_few
	check 'nowhere to put files' unmeasured TMPDIR \
		env TMPDIR="$TMP/absent" "$BUFSCOPE" bench -n 8 --rounds 1 --strategy heap direct.64K tree
	check 'a picture that cannot be drawn is told before the work' fails_with 1 timeout 20 \
		"$BUFSCOPE" bench -n 1000000 --rounds 99 --plot "$TMP/absent/svg" file
	check 'what a full disk has lost is a failure' fails_with 1 \
		"$BUFSCOPE" bench -n 8 --rounds 1 -o /dev/full --strategy local acquire
	"$BUFSCOPE" bench -j -n 64 --rounds 2 claims >"$TMP/claims"
	check 'claims have verdicts' claims_hold
fi
check 'an unknown case is a mistake' fails_with 2 "$BUFSCOPE" bench nosuch
check 'so is evict with a case' fails_with 2 "$BUFSCOPE" bench evict file
check 'so are no rounds' fails_with 2 "$BUFSCOPE" bench --rounds 0
check 'claims are not drawn' fails_with 2 "$BUFSCOPE" bench --plot "$TMP/svg" claims
check 'a file that cannot be written is a failure' fails_with 1 "$BUFSCOPE" bench -o /nonexistent/x evict
finish
