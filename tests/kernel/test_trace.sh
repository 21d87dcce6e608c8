#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Is what `bufscope trace` tells the truth that the traced workload knows of itself? And does it end
# when it should, filter what it should, and say what it lost?
# shellcheck source=tests/tap.sh disable=SC2016 # what is quoted is for jq and sh
. "$(dirname "$0")/../tap.sh"

trace_pid='' load_pid=''
cleanup() {
	[ -z "$trace_pid" ] || kill "$trace_pid" 2>/dev/null
	[ -z "$load_pid" ] || kill "$load_pid" 2>/dev/null
	wait
}

is_tracing() { grep -qs '^tracing' "$TMP/said" || ! kill -0 "$trace_pid" 2>/dev/null; }
is_paused() { grep -qs SIGUSR1 "$TMP/load" || ! kill -0 "$load_pid" 2>/dev/null; }
waits() { grep -qs SIGTERM "$TMP/load"; }

report() {
	cat "$TMP/said" "$TMP/load" 2>/dev/null
	head -c 600 "$TMP/told" 2>/dev/null
	head -c 600 "$TMP/known" 2>/dev/null
	tail -n 3 "$TMP/events" 2>/dev/null | cut -c1-400
}

# ---- the truth

# What the events add up to, by group. What is held is what was selected and has not come back.
# Of what comes after the work is done, only returns are of it; what comes before a registration is
# of another group, which `load` tries heads out with on kernels that do not tell them.
sums='reduce inputs as $e ({};
	if $e.event == "end" or ($e.at_ns > $over and $e.event != "return") then .
	elif $e.event == "register" and ($whole | not) then del(.["\($e.fd) \($e.bgid)"])
	else
		(.["\($e.fd) \($e.bgid)"] // {selected: 0, partial: 0, taken: 0, returned: 0, starved: 0,
			ended: 0, bytes: 0, held: {}}) as $was |
		.["\($e.fd) \($e.bgid)"] = ($was |
			if $e.event == "select" or $e.event == "bundle" then
				.taken += $e.buffers |
				.held += ([range($e.bid; $e.bid + $e.buffers) |
					{key: tostring, value: 1}] | from_entries) |
				if $e.continued then . else .selected += 1 | .bytes += $e.bytes end
			elif $e.event == "partial" then
				.selected += 1 | .partial += 1 | .bytes += $e.bytes
			elif $e.event == "return" or $e.event == "fill" then
				.returned += $e.buffers |
				.held |= reduce range($e.bid; $e.bid + $e.buffers) as $b
					(.; del(.[$b | tostring]))
			elif $e.event == "starve" then .starved += 1
			elif $e.event == "mshot-end" then .ended += 1
			else . end)
	end) | map_values(.held |= ([keys[] | tonumber] | sort))'

known='.groups | map({key: "\(.fd) \(.bgid)", value: {selected: .selected_total,
	partial: .partial_total, taken: .taken_total, returned: .returned_total,
	starved: .starved_total, ended: .mshot_ended_total, bytes: .bytes_total, held: .leaked}}) |
	from_entries'

equal() {
	jq -S "$known" "$TMP/truth" >"$TMP/known" &&
		jq -n -S --argjson over "$(jq .at_ns "$TMP/truth")" --argjson whole "${whole:-true}" "$sums" "$TMP/events" >"$TMP/told" &&
		[ -s "$TMP/known" ] && cmp -s "$TMP/known" "$TMP/told" && nothing_lost
}

last() { tail -n 1 "$TMP/events"; }

# Where the kernel maps only the beginning of a ring, those that `load` tries heads out with have no
# ledger, which is told as well.
whole=$("$BUFSCOPE" doctor --self -j 2>/dev/null |
	jq '.abilities[] | select(.key == "layout.ring_memory") | .state == "yes"')
nothing_lost() {
	last | jq -e ".event == \"end\" and .lost == 0 and
		([.losses | if ${whole:-true} then . else del(.ledgers) end | .[]] | add) == 0"
}

# Nothing follows the last returns: they are told when a look has found them. A trace that is over
# (the workload wants what this kernel lacks) tells no more.
all_returned() {
	! kill -0 "$trace_pid" || jq -e -n --slurpfile truth "$TMP/truth" --argjson whole "${whole:-true}" '
		[(reduce inputs as $e ({}; "\($e.fd) \($e.bgid)" as $group |
			if $e.event == "register" and ($whole | not) then del(.[$group])
			elif $e.event | IN("fill", "return") then .[$group] += $e.buffers
			else . end))[]] | add == ([$truth[0].groups[].returned_total] | add)' "$TMP/events"
} >/dev/null 2>&1

# run OPTION... -- ARGUMENT...: load, from its first instruction; it keeps its rings until all
# returns were told, or for a while where that cannot be seen. 3: the kernel lacks something
run() {
	local options=() how=(-j -o "$TMP/events") rc=0
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	shift
	rm -f "$TMP"/{events,truth,load,said,told,known}
	[[ " ${options[*]} " != *" --perfetto "* ]] || how=()
	"$BUFSCOPE" trace "${how[@]}" "${options[@]}" -- \
		"$BUFSCOPE" load -j --wait "$@" >"$TMP/truth" 2>"$TMP/said" &
	trace_pid=$!
	until_true 100 waits_or_gone || rc=1
	if [ ${#options[@]} -eq 0 ]; then until_true 60 all_returned; else sleep 1; fi
	load_pid=$(sed -n 's/^pid //p' "$TMP/said")
	[ -z "$load_pid" ] || kill "$load_pid" 2>/dev/null
	wait "$trace_pid"
	trace_pid='' load_pid=''
	grep -q "' ended with 3" "$TMP/said" && return 3
	return $rc
}
waits_or_gone() { grep -qs SIGTERM "$TMP/said" || ! kill -0 "$trace_pid" 2>/dev/null; }

# exact NAME ARGUMENT...
exact() {
	local name=$1 rc
	shift
	run -- "$@"
	rc=$?
	if [ $rc -eq 3 ]; then
		skip "$name" "$(sed -n 's/^bufscope: //p' "$TMP/said")"
	else
		check "$name" equal
	fi
}

n() { echo $(($1 / ${SLOW:-1})); }

exact "multishot recv with leaks" -n "$(n 6000)" --entries 64 --leak 5
exact "bundles" --op recv-bundle -n "$(n 3000)" --entries 64 --size 3000 --leak 2 --batch 3
exact "incremental" --kind inc -n "$(n 6000)" --entries 16 --leak 1
exact "starving" --op recv -n "$(n 3000)" --entries 16 --starve --leak 1
if [ "${SLOW:-1}" -eq 1 ]; then
	exact "multishot bundles" --op recv-multishot-bundle -n 3000 --entries 32 --size 5000 --leak 2
	exact "groups, rings, threads" -n 1000 --bgid 0,64,4095 --rings 2 --threads 2 --leak 3
	exact "pipes, starving" --op read-multishot -n 3000 --entries 8 --starve
	exact "files, mapped rings" --op read-file --kind mmap -n 3000 --entries 8 --leak 2
	exact "SQPOLL" --setup sqpoll --op recv -n 1000 --leak 1
	exact "deferred task work" --setup defer-taskrun,single-issuer -n 3000 --leak 1
fi

# ---- what is lost is counted

# Told and lost, together: what is true. Of the events as of the buffers; returns may also have been
# overwritten before they were read, on a machine that stalls.
accounted() {
	local lost
	lost=$(last | jq .lost)
	[ "$lost" -gt 0 ] && grep -qE "events?, $lost lost \(.*[0-9]+ select" "$TMP/said" &&
		jq -e -n --slurpfile truth "$TMP/truth" '
			reduce inputs as $e ({};
				if $e.event == "end" then .last = $e
				else .["\($e.event)s"] += 1 | .[$e.event] += ($e.buffers // 0) |
					.told += 1 end) |
			.last as $last | $truth[0].groups[0] as $true |
			(.told == $last.events) and ($last.lost == ([$last.lost_events[]] | add)) and
			(.selects + $last.lost_events.select == $true.selected_total) and
			(.select + $last.lost_buffers.select == $true.taken_total) and
			(.return + .fill + ($last.lost_buffers.return // 0) +
				($last.lost_buffers.fill // 0) + $last.losses.bids == $true.returned_total)' \
			"$TMP/events"
}
run --buffer 4096 -- -n "$(n 30000)"
check "what is told and what is lost add up" accounted

# ---- filters

only() { jq -e -s "map(select(.event != \"end\")) | length > 0 and all($1)" "$TMP/events"; }
run -e starve,mshot-end -g 1 -- -n 500 --groups 3 --entries 16 --starve
check "kinds and group" only '(.event == "starve" or .event == "mshot-end") and .bgid == 1'
causes='empty-at-.*|unregistered'
[ "$whole" = true ] || causes+='|unpublished' # heads are tried out with entries that are not
check "causes" only '.event != "starve" or (.cause | test("^('"$causes"')$"))'
if [ "${SLOW:-1}" -eq 1 ]; then # what follows, no kernel decides
	run --errors -- -n 500 --entries 16 --starve
	check "errors only" only '.error == "ENOBUFS" or .error == "ECANCELED"'
	"$BUFSCOPE" trace -j -o "$TMP/events" -n 7 -- "$BUFSCOPE" load -n 500 >"$TMP/out" 2>&1
	check "so many events" jq -e -s 'length == 8 and .[7].events == 7' "$TMP/events"
fi

# ---- a process that runs already

# paused ARGUMENT...: load in the background
paused() {
	rm -f "$TMP"/{load,said}
	"$BUFSCOPE" load -j --paused --wait "$@" >"$TMP/truth" 2>"$TMP/load" &
	load_pid=$!
	until_true 60 is_paused
}

paused -n 200 --entries 8
"$BUFSCOPE" trace -p $load_pid -T >"$TMP/events" 2>"$TMP/said" &
trace_pid=$!
until_true 60 is_tracing
kill -USR1 $load_pid
until_true 60 waits
kill "$load_pid"
wait "$load_pid"
load_pid=
wait $trace_pid
check "ends with the process" test $? -eq 0
trace_pid=
selected() { [ "$(grep -c ' select ' "$TMP/events")" -eq 200 ]; }
check "text: each selection" selected
check "text: titles" grep -qE '^ +TIME +PROCESS +RING .* USER_DATA$' "$TMP/events"
check "text: time of day" grep -qE "^$(date +%H):[0-9]{2}:[0-9]{2}\.[0-9]{6} bufscope " "$TMP/events"
check "no kernel address" sh -c '! grep -qi ffff "$1"' - "$TMP/events"

# What was armed long before is known all the same: its group, and the descriptor, which is a socket.
# under_way OPERATION
under_way() {
	local sockets
	"$BUFSCOPE" load --op "$1" --groups 3 --entries 64 --rate 300 -d 60 >"$TMP/truth" 2>"$TMP/load" &
	load_pid=$!
	until_true 60 has_rings
	"$BUFSCOPE" trace -j -n 200 -p "$load_pid" -o "$TMP/events" 2>"$TMP/said"
	sockets=$(find "/proc/$load_pid/fd" -lname 'socket:*' -printf '%f\n' | jq -cs .)
	kill "$load_pid"
	wait "$load_pid"
	load_pid=
	nothing_lost && jq -es --argjson sockets "$sockets" '
		map(select(.event == "select" or .event == "bundle")) | length > 20 and
		all(.request_fd | IN($sockets[])) and
		(group_by(.bgid) | length == 3 and all(map(.request_fd) | unique | length == 1))' \
		"$TMP/events"
}
has_rings() { "$BUFSCOPE" list -j -p "$load_pid" | jq -e '[.rings[].groups[]] | length == 3 and all(.head > 5)'; } >/dev/null 2>&1

# In emulation data comes faster than it is received.
if [ "${SLOW:-1}" -eq 1 ]; then
	check "multishot under way" under_way recv-multishot
	! "$BUFSCOPE" load --op recv-multishot-bundle -n 1 >/dev/null 2>&1 ||
		check "bundles under way" under_way recv-multishot-bundle
fi

interrupted() {
	rm -f "$TMP/said"
	"$BUFSCOPE" trace >"$TMP/events" 2>"$TMP/said" &
	trace_pid=$!
	until_true 60 is_tracing
	kill -INT "$trace_pid"
	wait "$trace_pid"
}
if [ "${SLOW:-1}" -eq 1 ]; then
	set -m # else a child in the background ignores SIGINT
	check "an interrupt ends it well" interrupted
	set +m
	trace_pid=
	check "and it sums up" grep -qE '^[0-9]+ events?, 0 lost' "$TMP/said"
fi

# ---- a command

exits() {
	local want=$1
	shift
	"$@" >"$TMP/out" 2>"$TMP/said"
	[ $? -eq "$want" ]
}
trace() { "$BUFSCOPE" trace "$@"; }
check "a child of the command" exits 0 trace -j -o "$TMP/events" -e select -- \
	sh -c '"$1" load -n 20 & wait; exit 5' - "$BUFSCOPE"
check "is followed" jq -e -s '.[-1].events == 20' "$TMP/events"
check "its exit is told" grep -q "^'sh' ended with 5$" "$TMP/said"
if [ "${SLOW:-1}" -eq 1 ]; then
	check "a command that dies" exits 0 trace -- sh -c 'kill -SEGV $$'
	check "its signal is told" grep -q "^'sh' was killed by SIGSEGV$" "$TMP/said"
	check "no such command" exits 1 trace -- /nonexistent/command
	check "says so" grep -q "^bufscope: cannot run '/nonexistent/command': No such file" "$TMP/said"
	check "a trace that ends first" exits 0 trace -d 0.2 -- sleep 1000
	check "ends the command" grep -q "^'sleep' was killed by SIGTERM$" "$TMP/said"
	check "a reader that leaves" exits 0 sh -c '"$1" trace -- "$1" load -n 5000 | head -n 2' - "$BUFSCOPE"
	check "a full disk" exits 1 trace -o /dev/full -- "$BUFSCOPE" load -n 100
	# There is always one more event: the time and a signal must be looked at all the same.
	"$BUFSCOPE" load --size 64 --buf-bytes 64 -d 200 >/dev/null 2>&1 &
	load_pid=$!
	fast=("$BUFSCOPE" trace -p "$load_pid" -j -o /dev/null)
	check "events faster than they are written" exits 0 timeout -s KILL 60 "${fast[@]}" -d 0.2
	check "and a signal" exits 0 timeout --preserve-status -s INT -k 60 2 "${fast[@]}"
	kill "$load_pid" && wait "$load_pid"
	load_pid=''
fi

# ---- a timeline

# What a reader of the file relies on: each event has its numbers, each track a name, no slice
# overlaps or meets another on its track, counters go on in time.
wellformed='def ns: (. * 1000 | round);
	. as $all | [$all[] | select(.ph == "X")] as $slices |
	[$all[] | select(.name == "thread_name") | [.pid, .tid]] as $tracks |
	([$all[] | select(.name == "process_name") | .pid] | length == (unique | length)) and
	($tracks | map(.[1]) | length == (unique | length)) and
	($all | all((.ph | IN("M", "C", "X", "i")) and (.pid > 0) and (.name | length > 0) and
		(.ph == "M" or (.ts | type == "number" and . > 0)))) and
	($slices | all(.dur >= 0 and ([.pid, .tid] | IN($tracks[])))) and
	($slices | group_by([.pid, .tid]) | all(sort_by(.ts) |
		. as $s | all(range(1; length); ($s[. - 1] | (.ts | ns) + (.dur | ns)) <
			($s[.].ts | ns)))) and
	([$all[] | select(.ph == "C")] | group_by(.pid) | all(map(.ts) == (map(.ts) | sort)))'
# The buffers of a group are in the ring or held: the counter and the open slices add up to all of
# them, at the last moment of each time stamp, but for one that the kernel has taken while its
# completion is still to be told; in the end to all.
adds_up='def ns: (. * 1000 | round);
	[group_by(.pid)[] |
		(map(select(.ph == "C")) | group_by(.ts) | map(last)) as $levels |
		[.[] | select(.ph == "X") | {name, at: (.ts | ns), by: 1},
			{name, at: ((.ts | ns) + (.dur | ns)), by: -1}] | sort_by(.at) | . as $steps |
		reduce $levels[1:][] as $level ({i: 0, open: 0, astray: []};
			($level.ts | ns) as $now |
			until(.i == ($steps | length) or $steps[.i].at > $now;
				.open += $steps[.i].by | .i += 1) |
			.under_way = $buffers - .open - $level.args.buffers |
			if .under_way | IN(0, 1) | not then
				.astray += [{$now, level: $level.args.buffers, open,
					near: $steps[([.i - 4, 0] | max):.i + 4]}] else . end) |
		.astray[], (.under_way | select(. != 0))] | if . == [] then true else ., false end'
check "a timeline" run --perfetto "$TMP/timeline" -- -n 300 --entries 16 --leak 3 --groups 2
check "is well-formed" jq -e "$wellformed" "$TMP/timeline"
# Of a return that a stopped processor tells late, the buffer may have been taken again already.
check "has a slice per hold" jq -e --slurpfile truth "$TMP/truth" '
	[.[] | select(.ph == "X")] | group_by(.pid) as $groups |
	($groups | map(length)) == ($truth[0].groups | map(.taken_total)) and
	($groups | map(map(select(.args.end | IN(null, "return not seen") | not) |
		.name[4:] | tonumber) | sort)) ==
		($truth[0].groups | map(.leaked | sort)) and
	(map(.args.bytes) | add) == ([$truth[0].groups[].bytes_total] | add)' "$TMP/timeline"
check "and the level besides" jq -e --argjson buffers 16 "$adds_up" "$TMP/timeline"
check "that is true at the end" jq -e --slurpfile truth "$TMP/truth" '
	[.[] | select(.ph == "C")] | group_by(.pid) | map(last.args.buffers) ==
		($truth[0].groups | map(.returned_total - .taken_total))' "$TMP/timeline"
check "and names" jq -e '[.[] | select(.name == "process_name") | .args.name] |
	length == 2 and all(test("^bufscope [0-9]+/[0-9]+ group [01]$"))' "$TMP/timeline"
run --buffer 4096 --perfetto "$TMP/timeline" -- -n "$(n 30000)"
lost=$(sed -n 's/^[0-9]* events\?, \([0-9]*\) lost.*/\1/p' "$TMP/said")
check "a timeline that lacks events" jq -e --argjson lost "${lost:-0}" '$lost > 0 and
	[.[] | select(.name == "lost") | .args.events] == [$lost]' "$TMP/timeline"
check "a timeline of nothing" exits 0 trace --perfetto "$TMP/timeline" -- true
check "has an event, too" jq -e "$wellformed"' and ([.[].ph] == ["M", "M", "i"])' "$TMP/timeline"

# ---- returns as they happen

watched() {
	jq -e -s '[.[] | select(.event == "return")] | length == 200 and
		all(.exact and .buffers == 1 and .tid != null)' "$TMP/events"
}
paused -n 200 --entries 8 --batch 1
ring=$("$BUFSCOPE" list -j -p $load_pid | jq -r '.rings[0] | "\(.tgid)/\(.fd):0"')
"$BUFSCOPE" trace -j -e return --watch "$ring" >"$TMP/events" 2>"$TMP/said" &
trace_pid=$!
until_true 60 is_tracing
if kill -0 $trace_pid 2>/dev/null; then
	kill -USR1 "$load_pid"
	until_true 100 waits
	kill $load_pid
	wait "$trace_pid"
	check "each return, as it happens" watched
else
	wait "$trace_pid"
	if [ $? -eq 3 ]; then
		skip "each return, as it happens" "$(sed -n 's/^bufscope: //p' "$TMP/said")"
	else
		check "each return, as it happens" false
	fi
	kill $load_pid
fi
wait
load_pid='' trace_pid=''

# A target that dies amidst it. A processor that a hypervisor stops while it looks at the ring lets
# as many returns be overwritten as the program makes meanwhile, were the ring smaller.
dies() {
	local rc
	paused -d 1000 --rate 1000 --entries 256
	"$BUFSCOPE" trace -j "$@" -p "$load_pid" >"$TMP/events" 2>"$TMP/said" &
	trace_pid=$!
	until_true 60 is_tracing
	kill -USR1 "$load_pid"
	until_true 60 test -s "$TMP/events"
	kill -KILL "$load_pid"
	wait "$load_pid"
	wait "$trace_pid"
	rc=$?
	load_pid='' trace_pid=''
	grep -qE '^[0-9]+ events?, 0 lost$' "$TMP/said" && last | jq -e '.event == "end"' &&
		[ "$rc" -eq 0 ]
} 2>/dev/null
check "a target that is killed" dies

# ---- mistakes

says() {
	local want=$1 pattern=$2
	shift 2
	exits "$want" "$@" && [ ! -s "$TMP/out" ] && [ "$(wc -l <"$TMP/said")" -le 2 ] &&
		head -n 1 "$TMP/said" | grep -qE "^bufscope: .*$pattern"
}
check "no such event" says 2 "no event 'selects'" trace -e select,selects
check "no count" says 2 "'0'" trace -n 0
check "no size" says 2 "'12Q'" trace --buffer 12Q
check "no ring" says 2 "'1/2'" trace --watch 1/2
check "a word too many" says 2 "'load'" trace load
check "no command" says 2 'no command' trace --
check "two outputs" says 2 '-j' trace --perfetto "$TMP/timeline" -j
check "part of a timeline" says 2 '-e' trace --perfetto "$TMP/timeline" -e select
check "no such process" says 1 'no process' trace -p 2147483647
check "no such ring" says 1 'no such ring' trace --watch $$/1000:0
if [ "$(id -u)" -eq 0 ]; then
	cp "$BUFSCOPE" "$TMP/bufscope" && chmod 755 "$TMP" "$TMP/bufscope"
	check "unprivileged" says 3 'CAP_BPF' setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$TMP/bufscope" trace -- touch "$TMP/was-run"
	check "and nothing is run" test ! -e "$TMP/was-run"
else
	skip "unprivileged" "needs root"
fi
finish
