#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does `bufscope limits` say what it found in a form that people and programs can use, and does it
# refuse what it cannot do in one line?
# shellcheck source-path=SCRIPTDIR source=../tap.sh
. "$(dirname "$0")/../tap.sh"

ledger_has() {
	"$BUFSCOPE" limits --memlock 65533 -j >"$TMP/json" && json_is ".ledger.rings == $1"
}

KEYS="pbuf_ring.max_entries pbuf_ring.max_groups pbuf_ring_mmap.max_entries pbuf_ring_mmap.max_bgid
	pbuf_ring_inc.max_entries legacy.max_buffers fixed.max_count fixed.max_bytes"

exits() {
	local want=$1
	shift
	"$@" >"$TMP/out" 2>"$TMP/err"
	[ $? -eq "$want" ]
}

json_is() { jq -e "$1" "$TMP/json"; }

says() { grep -qE "$1" "$TMP/err" && [ "$(wc -l <"$TMP/err")" -le 2 ]; }

copy_for_all() {
	cp "$BUFSCOPE" "$TMP/bufscope" && chmod 755 "$TMP" "$TMP/bufscope"
}

as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$TMP/bufscope" "$@"; }

SECONDS=0
"$BUFSCOPE" limits --quick -j -o "$TMP/json" 2>"$TMP/err"
check "writes to a file" test $? -eq 0
check "quick does not hang" test "$SECONDS" -le $((60 * ${SLOW:-1}))
check "is silent on stderr that is no terminal" test ! -s "$TMP/err"
cp "$TMP/json" "$TMP/saved"
"$BUFSCOPE" limits --from "$TMP/saved" >"$TMP/table"
check "shows a saved run" test $? -eq 0
check "table names the subjects" grep -q '^buffer rings$' "$TMP/table"
check "table has an answer" grep -qE 'largest ring +[0-9]+ entries +E[A-Z]+ ' "$TMP/table"
check "no line is wider than 80 columns" awk 'length > 80 { print; bad = 1 } END { exit bad }' "$TMP/table"
"$BUFSCOPE" limits --from "$TMP/saved" -j >"$TMP/again"
check "reads all that it wrote" cmp "$TMP/saved" "$TMP/again"
"$BUFSCOPE" limits --quick -j -o "$TMP/curves" cost.pbuf_ring cost.fixed_bytes
"$BUFSCOPE" limits --from "$TMP/curves" --plot "$TMP/svg" >"$TMP/out"
check "curves are drawn" grep -q '<circle' "$TMP/svg"
check "the drawing is whole" grep -q '^</svg>$' "$TMP/svg"
check "no curve, no drawing" exits 1 "$BUFSCOPE" limits --quick pbuf_ring.zero --plot "$TMP/svg"
check "a run does not differ from itself" exits 0 "$BUFSCOPE" limits --from "$TMP/saved" --diff "$TMP/saved"
jq '(.limits[] | select(.key == "pbuf_ring.max_entries")).value = 4711' "$TMP/saved" >"$TMP/changed"
check "a changed answer differs" exits 1 "$BUFSCOPE" limits --from "$TMP/saved" --diff "$TMP/changed"
check "and is the only one" grep -q '^1 answer differs$' "$TMP/out"
check "and is shown" grep -q 'pbuf_ring.max_entries .*4711' "$TMP/out"
jq '.limits += [.limits[0] | .key = "future.key"]' "$TMP/saved" >"$TMP/changed"
check "an unknown key is kept" exits 1 "$BUFSCOPE" limits --from "$TMP/changed" --diff "$TMP/saved"
check "and named" grep -q 'future.key' "$TMP/out"
jq '.limits[0].key = "evil\u001b[31m"' "$TMP/saved" >"$TMP/changed"
check "text for terminals is refused" exits 1 "$BUFSCOPE" limits --from "$TMP/changed"
echo '{"schema": "bufscope.limits/1"' >"$TMP/changed"
check "half a document is refused" exits 1 "$BUFSCOPE" limits --from "$TMP/changed"
check "says so" says 'no saved run'
check "a saved run answers no errno" exits 2 "$BUFSCOPE" limits --from "$TMP/saved" --explain EINVAL pbuf-ring
check "schema" json_is '.schema == "bufscope.limits/1" and (.kernel | type) == "string"
	and (.at_ns | type) == "number" and (.limits | type) == "array"'
check "rows are complete" json_is 'all(.limits[]; (.key | test("^[a-z_]+\\.[a-z0-9_]+$"))
	and (.question | length) > 3 and has("value") and has("unit") and has("errno_past")
	and has("bound_by") and (.how | type) == "string")'
check "types" json_is 'all(.limits[]; (.value | type | . == "number" or . == "null")
	and (.errno_past | type | . == "string" or . == "null"))'
check "keys are unique" json_is '[.limits[].key, .costs[].key] | length == (unique | length)'
for key in $KEYS; do
	check "has $key" json_is "[.limits[] | select(.key == \"$key\")] | length == 1"
done
check "an edge has an errno or a reason" json_is 'all(.limits[] | select(.value != null and (.key | test("\\.max_")));
	.errno_past != null or .bound_by != null)'
check "curves ascend" json_is 'all(.costs[]; ([.points[].at] | . == sort)
	and (.section != "cost" or all(.points[]; .register_ns > 0 and .unregister_ns > 0)))'
check "behaviours are judged" json_is '[.limits[] | select(.section == "behaviour")] | length > 30 and
	all(.[]; .reference != null and (.how == "absent" or (.note | length) > 5 and
	(.verdict | . == "behaves" or . == "misbehaves" or . == "cannot tell")))'
check "no probe died" json_is 'all(.limits[]; .how != "died")'

"$BUFSCOPE" limits -j claims.{count,register,lookup,share} workers.buffers_memlock >"$TMP/json"
check "claims are judged, with a figure" json_is '[.limits[] | select(.section == "claims")] | length == 4 and
	all(.[]; .how == "failed" or .verdict == "cannot tell" or
		((.verdict | . == "holds" or . == "holds not") and .value != null and .note != null))'
check "a ring takes more than the study said" json_is '.limits[] | select(.key == "claims.count") |
	.verdict == "holds not" and .value > 1024'
check "workers share one memlock limit" json_is '.costs[] | select(.key == "workers.buffers_memlock") |
	.points | length > 2 and (map(.total) | max) < 2 * .[0].most and .[0].least == .[0].most and
	all(.[]; .least * .at <= .total and .most <= .total)'

"$BUFSCOPE" limits --quick -j fixed.max_s legacy >"$TMP/json"
check "keys are chosen by their beginning" json_is '[.limits[].key] |
	index("fixed.max_slots") and index("legacy.max_bid") and
	all(.[]; startswith("fixed.max_s") or startswith("legacy"))'

explained() {
	exits "$1" "$BUFSCOPE" limits --quick --explain "$2" "$3"
}
check "explains an errno" explained 0 EINVAL pbuf-ring
check "says what was reproduced" grep -q '0 entries' "$TMP/out"
check "names the edge" grep -qE 'more than [0-9]+ entries' "$TMP/out"
check "errno by number" explained 0 17 pbuf-ring
check "bgid in use is EEXIST" grep -q 'already in use' "$TMP/out"
check "an errno without a reason" explained 1 EXDEV pbuf-ring
check "not an errno" explained 2 EFOO pbuf-ring
check "not a call" explained 2 EINVAL pbuf_ring
check "lists the calls" says 'hint: .*pbuf-ring'
check "each once" test "$(grep -o ' pbuf-ring ' "$TMP/err" | wc -l)" -eq 1
"$BUFSCOPE" limits --quick -j --explain EFAULT buffers >"$TMP/json"
check "explains in JSON" json_is '.limits | length > 3 and all(.[]; .errno_past == "EFAULT" and
	.call == "buffers")'

# A control group of its own that counts memory, or nothing.
make_cgroup() {
	local top type
	[ "$(id -u)" -eq 0 ] || return 0
	while read -r _ top type _; do
		case $type:$top in
		cgroup:*/memory) ;;
		cgroup2:*) grep -qw memory "$top/cgroup.subtree_control" || continue ;;
		*) continue ;;
		esac
		mkdir "$top/bufscope.$$" 2>/dev/null && echo "$top/bufscope.$$" && return
	done </proc/mounts
}

# Peak of all that is charged to the group: pages and kernel memory of the run and its children.
peak_within() {
	local peak
	peak=$(cat "$CGROUP/memory.max_usage_in_bytes" 2>/dev/null || cat "$CGROUP/memory.peak") || return
	echo "peak: $peak bytes"
	[ "$peak" -gt $((16 << 20)) ] && [ "$peak" -le "$1" ]
}

CGROUP=$(make_cgroup)
if [ -n "$CGROUP" ]; then
	# shellcheck disable=SC2016 # the inner shell's own number
	sh -c 'echo $$ >"$1/cgroup.procs" && exec "$2" limits --quick -j --max-memory 32M' sh \
		"$CGROUP" "$BUFSCOPE" >"$TMP/json"
	check "says what a question may occupy" json_is '.max_memory_bytes == 33554432'
	check "occupies no more, but for itself" peak_within $(((32 + 12) << 20))
	rmdir "$CGROUP"
else
	skip "a run occupies no more than it is allowed" "no control group that counts memory"
fi

"$BUFSCOPE" limits --quick -j --max-memory 32M pbuf_ring_mmap.max_groups >"$TMP/json"
check "the memory budget is kept and named" json_is '.limits[0] | .how == "absent" or
	(.value <= 8192 and (.bound_by == "memory budget" or .bound_by == "RLIMIT_MEMLOCK"))'

check "unknown key" exits 2 "$BUFSCOPE" limits nonsense
check "says so" says 'bufscope: .*no key'
check "unknown option" exits 2 "$BUFSCOPE" limits --nonsense
check "bad size" exits 2 "$BUFSCOPE" limits --max-memory 12Q
check "says what it takes" says "not '12Q'"
check "too little memory to ask" exits 2 "$BUFSCOPE" limits --max-memory 31M
check "no such directory" exits 1 "$BUFSCOPE" limits --quick -o "$TMP/none/x" legacy
check "full disk" exits 1 "$BUFSCOPE" limits --quick -o /dev/full legacy
check "help" exits 0 "$BUFSCOPE" limits --help

check "a plan that fits" exits 0 "$BUFSCOPE" limits --plan rings=2,entries=16,bufs=4x4K
check "says so" grep -q '^so  *the plan fits$' "$TMP/out"
check "a plan that cannot be" exits 1 "$BUFSCOPE" limits --plan entries=3
check "says why" grep -q 'refuses a group with EINVAL' "$TMP/out"
check "an empty plan" exits 2 "$BUFSCOPE" limits --plan ''
check "no plan" exits 2 "$BUFSCOPE" limits --plan rings=2,frobs=3
check "says what is wrong" says "'frobs=3'"
"$BUFSCOPE" limits -j --plan rings=2,bufs=3x8K >"$TMP/json"
check "a plan in JSON" json_is '.preflight | .fits and .outcome.tried and
	.forecast.memory_need_bytes == 49152 and .plan == "rings=2,sq=64,bufs=3x8K"'

if [ "$(id -u)" -eq 0 ] && copy_for_all; then
	(ulimit -l 256 && as_nobody limits --quick -j) >"$TMP/json"
	check "runs without privileges" json_is '.uid == 65534 and .memlock_bytes == 262144'
	check "names the memlock limit where it binds" json_is '.limits[] |
		select(.key == "fixed.max_count") | .bound_by == "RLIMIT_MEMLOCK" and .value <= 64'
	check "answers what memlock does not bound" json_is '.limits[] |
		select(.key == "fixed.max_slots") | .value > 64 and .bound_by == "kernel"'
	# Where rings are charged, no ring can be had at all; elsewhere everything works.
	(ulimit -l 0 && as_nobody limits --quick legacy) >"$TMP/out" 2>"$TMP/err"
	rc=$?
	check "no memlock: works or says why" test "$rc" -eq 0 -o "$rc" -eq 3
	if [ "$rc" -eq 3 ]; then check "names memlock" says 'hint: .*RLIMIT_MEMLOCK'; fi
else
	skip "unprivileged run" "needs root"
fi

# A ledger, against a load whose rings are known: 2 rings, each with a group of 4096 (64K).
if [ "$(id -u)" -eq 0 ] && copy_for_all; then
	(ulimit -l 8192 && exec setpriv --reuid 65533 --regid 65533 --clear-groups "$TMP/bufscope" load \
		--rings 2 --entries 4096 --buf-bytes 64 -n 10 --wait -v) >"$TMP/load" 2>&1 &
	load=$!
	until_true 60 ledger_has 2
	check "the ledger finds the rings" ledger_has 2
	check "all of it is explained" json_is '.ledger | .rest_bytes == 0 and .uid == 65533 and
		.locked_bytes == .queues_bytes + .groups_bytes + .tables_bytes + .regions_bytes'
	check "groups are charged, or not" json_is '.ledger |
		.groups_bytes == if .groups_charged then 131072 else 0 end'
	check "the process and its limit" json_is '.ledger | .limit_least_bytes == 8388608 and
		[.processes[] | [.comm, .rings, .limit_bytes]] == [["bufscope", 2, 8388608]]'
	check "as a table" exits 0 "$BUFSCOPE" limits --memlock 65533
	check "names the process" grep -qE '^ +[0-9]+ bufscope +2 .* 8M$' "$TMP/out"
	kill "$load" && wait "$load"
	check "a user without rings" exits 0 "$BUFSCOPE" limits --memlock 65532
	check "has nothing locked" grep -q '^locked  *0,' "$TMP/out"
	check "needs a privilege" exits 3 as_nobody limits --memlock 0
else
	skip "ledger of a user" "needs root"
fi
check "not a user" exits 2 "$BUFSCOPE" limits --memlock "no such user"
check "one question at a time" exits 2 "$BUFSCOPE" limits --memlock 0 --plan rings=1

# Ctrl-C in the middle: the run is over and so is the probe.
"$BUFSCOPE" limits --full cost >/dev/null 2>&1 &
pid=$!
probe_of() {
	probe=$(pgrep -P "$1" | head -1)
	[ -n "$probe" ]
}
gone() { [ -n "$probe" ] && ! grep -qs '^State:.[^Z]' "/proc/$probe/status"; }
until_true 60 probe_of "$pid"
kill -TERM "$pid"
wait "$pid" 2>/dev/null
check "a killed run leaves no probe" until_true 60 gone

# SIGKILL gives nobody a chance to undo anything: of the probe, which costs its answer, and of the
# run. The user is one that nobody else is, so that all that is left of it can be seen.
LONER=$((0x65000000 + $$))
as_loner() { # in the background, so that $! is the run itself
	cd "$TMP/cwd" && exec setpriv --reuid "$LONER" --regid "$LONER" --clear-groups "$TMP/bufscope" "$@"
}
is_over() { ! grep -qs '^State:.[^Z]' "/proc/$pid/status"; }
# Stopped while it holds something: rings are opened and closed all the time.
stopped_with_rings() {
	probe_of "$pid" && kill -STOP "$probe" 2>/dev/null || return 1
	"$BUFSCOPE" limits --memlock "$LONER" -j >"$TMP/json" && json_is '.ledger.rings > 0' >/dev/null &&
		return
	kill -CONT "$probe" 2>/dev/null
	return 1
}
stopped_or_over() { stopped_with_rings || is_over; }
holds_nothing() {
	"$BUFSCOPE" limits --memlock "$LONER" -j >"$TMP/json" &&
		json_is '.ledger | .locked_bytes == 0 and .rings == 0'
}
no_process() { ! pgrep -U "$LONER"; }
# A run may end before it is caught: another, then.
start_rings() {
	for _ in $(seq 20); do
		as_loner limits --full -j cost.ring_sq pbuf_ring.zero_entries >"$TMP/run" &
		pid=$!
		until_true 60 stopped_or_over
		is_over || return 0
		wait "$pid"
	done
	return 1
}
if [ "$(id -u)" -eq 0 ] && mkdir -p "$TMP/cwd" && chmod 777 "$TMP/cwd" && copy_for_all; then
	check "a probe is stopped that has rings" start_rings
	kill -KILL "$probe"
	check "a run outlives its probe" wait "$pid"
	cp "$TMP/run" "$TMP/json"
	check "which is one answer less" json_is \
		'[.costs[0].how, .limits[0].how] | map(. == "died") | sort == [false, true]'
	check "all that it held is free" until_true 60 holds_nothing
	start_rings
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	check "no process is left of a killed run" until_true 60 no_process
	check "no locked memory, no ring" until_true 60 holds_nothing
	check "no file" test -z "$(ls -A "$TMP/cwd")"
	pkill -KILL -U "$LONER" # none, unless a check failed
else
	skip "what a killed run leaves" "needs root"
fi

finish
