#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Is what load says of itself true? Its counters obey the laws of a buffer group, the kernel's head
# agrees, and what was asked for is what happened.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

cat >"$TMP/laws.jq" <<'END'
def g: .groups[];

# Each completion took one buffer; of an incremental group the last of several; a bundle more.
def adds_up($op):
	if $op | contains("bundle") then .taken_total >= .selected_total - .partial_total
	else .taken_total == .selected_total - .partial_total end;

# Nothing is armed, and of a multishot request its last completion was seen.
def at_rest($op):
	.armed == 0 and (.mshot_ended_total > 0) == ($op | contains("multishot"));

# What is true of every group, whatever it did.
def lawful:
	.returned_total == .taken_total + .available and .held == .buffers - .available and
	.head == .taken_total % 65536 and .tail == .returned_total % 65536 and
	(.kind == "inc" or .partial_total == 0) and .partial_total <= .selected_total and
	(.leaked | length) <= .held and (.leaked | unique | length) == (.leaked | length) and
	.exhausted == (.available == 0 and .starved_total > 0) and .head_agrees == $witness;

def sound:
	.op as $op | .schema == "bufscope.load/1" and .final and
	.selected_total == ([g | .selected_total] | add) and ([g | lawful and adds_up($op)] | all);

def resting: .op as $op | sound and ([g | at_rest($op)] | all);
END

# Kernels before 6.8 do not tell their head; one that does must tell it each time.
witness=null

# load ARGUMENT...: runs to the end, JSON in $TMP/doc
load() { "$BUFSCOPE" load -j "$@" >"$TMP/doc" 2>"$TMP/said"; }

report() {
	cat "$TMP/said"
	jq -c 'del(.rings)' "$TMP/doc" 2>/dev/null | head -c 2000
}

# holds EXPRESSION: true of $TMP/doc, in the words of laws.jq
holds() {
	[ -s "$TMP/doc" ] && jq -e --argjson witness "$witness" \
		"$(cat "$TMP/laws.jq") $1" "$TMP/doc" >/dev/null
}

# try NAME ARGUMENT...: like load, but a kernel that lacks something is a skip; else $? is 0
try() {
	local name=$1 rc
	shift
	load "$@"
	rc=$?
	if [ "$rc" -eq 3 ]; then
		skip "$name" "$(sed -n 's/^bufscope: //p' "$TMP/said")"
		return 1
	fi
	check "$name" [ "$rc" -eq 0 ]
}

kinds() {
	local op kind
	for op in recv recv-multishot recv-bundle recv-multishot-bundle read-multishot read-file; do
		for kind in ring mmap inc; do
			try "$op on $kind" --op "$op" --kind "$kind" -n 5001 --entries 64 \
				--buf-bytes 512 --groups 2 --hold 3 --leak 2 || continue
			check "$op on $kind: the laws hold" holds resting
			check "$op on $kind: counts, leaks and holds as told" holds '[g |
				.selected_total == 5001 and .leaked == [0, 1] and .held == 5] | all'
		done
	done
}

sizes() {
	load -n 1000 --buf-bytes 4096 --size 100
	check 'messages smaller than buffers: bytes' holds '[g | .bytes_total == 100000] | all'
	try 'small messages through a pipe' -n 1000 --op read-multishot --buf-bytes 4K --size 100 &&
		check 'small messages through a pipe: bytes' holds '[g | .bytes_total == 100000] | all'
	load -n 1000 --op recv --buf-bytes 100K --size 100000
	check 'messages of 100000 bytes' holds '[g | .bytes_total == 100000000] | all'
	try 'inc, cut at the end of a buffer' -n 1000 --kind inc --buf-bytes 100 --size 30 &&
		check 'inc, cut at the end of a buffer: bytes' holds '[g |
			.bytes_total == 25000 and .taken_total == 250] | all'
	load -n 70001 --buf-bytes 64
	check 'head and tail wrap at 16 bits' holds '[g | .head == 4465 and .tail == 4721] | all'
	load -n 9 --entries 1
	check 'a single buffer is enough' holds resting
	load -n 100 --entries 100
	check 'entries need not be a power of two' holds '[g |
		.entries == 128 and .buffers == 100 and .available == 100] | all'
}

starving() {
	local op kind
	for op in recv recv-multishot recv-bundle recv-multishot-bundle read-multishot read-file; do
		for kind in ring inc; do
			try "$op on $kind starves" --op "$op" --kind "$kind" -n 3000 --entries 32 \
				--buf-bytes 512 --starve --leak 1 --hold 2 --batch 5 || continue
			check "$op on $kind starves: the laws hold" holds resting
			check "$op on $kind starves: and goes on" holds '[g |
				.starved_total > 0 and .selected_total == 3000 and .held == 3] | all'
		done
	done
	# Each round of 32 buffers ends with one -ENOBUFS, which ends the request; in the last one only
	# where the kernel does not wait for data.
	load -n 3200 --entries 32 --starve
	check 'one -ENOBUFS per emptied group' holds '[g |
		(.starved_total == 99 or .starved_total == 100) and .mshot_ended_total == 100] | all'
	load -n 1000 --entries 16 --leak 16
	check 'who leaks everything ends' holds '[g | .leaked == [range(16)] and .available == 0 and
		.selected_total == 16 and .starved_total == 1 and .exhausted] | all'
}

# The same numbers as text: row by row, the columns are those of the JSON.
same_as_text() {
	"$BUFSCOPE" load "$@" >"$TMP/table" 2>/dev/null
	load "$@"
	grep -E '^ +[0-9]+ ' "$TMP/table" | tr -s ' ' >"$TMP/text"
	jq -r '.groups[] | [.bgid, .selected_total, .taken_total, .returned_total, .starved_total,
		.mshot_ended_total, .bytes_total, .head, .tail, .available, .held] |
		" " + join(" ")' "$TMP/doc" | tr -s ' ' | diff "$TMP/text" - || return 1
	[ "$(grep -c 'group [79] leaked: 0 1 2$' "$TMP/table")" -eq 4 ]
}

shapes() {
	load -n 3000 --bgid 0,1,63,64,4095,65535 --rings 3 --threads 2
	check 'rings, threads, group ids: the laws hold' holds resting
	check 'rings, threads, group ids: all there' holds '(.rings | length) == 3 and
		([.rings[].tid] | unique | length) == 2 and
		[g | [.ring, .bgid]] == [[[0, 1, 2], [0, 1, 63, 64, 4095, 65535]] | combinations] and
		([g | .selected_total == 3000] | all)'
	check 'the kernel is named' holds ".kernel == \"$(uname -r)\""
	load -n 3000 --procs 3 --rings 2
	check 'processes: the laws hold' holds resting
	check 'processes: one report of all' holds '([.rings[].tgid] | unique | length) == 3 and
		(.groups | length) == 6 and .selected_total == 18000'
	load -n 100 --groups 300 --rings 3 --entries 8 --buf-bytes 64
	check '900 groups: the laws hold' holds resting
	load --op none --groups 1000 --entries 4 --buf-bytes 16
	check 'no operation: groups are full' holds '[g | .available == 4 and .head == 0] | all'
}

setups() {
	local op flags name
	for flags in single-issuer,defer-taskrun coop-taskrun,taskrun-flag sqpoll cqe32; do
		name=$(tr 'a-z-' 'A-Z_' <<<"${flags%,*}")
		for op in recv recv-multishot recv-bundle read-file; do
			try "$flags, $op" --setup "$flags" --op "$op" -n 3000 --entries 32 --starve ||
				continue
			check "$flags, $op: the laws hold" holds resting
			check "$flags, $op: count and flags" holds "([g | .selected_total == 3000] |
				all) and (.rings[0].setup_flags | contains([\"$name\"]))"
		done
	done
	for op in recv recv-multishot read-multishot; do
		try "requests before data, $op" --arm-first --op "$op" -n 3000 --hold 9 &&
			check "requests before data, $op: the laws hold" holds resting
	done
}

timing() {
	load -d 0.5 --rate 200 --groups 2
	check 'rate and duration' holds '[g | .selected_total >= 1 and .selected_total <= 100] | all'
	load -d 10 -n 10
	check 'the count may come first' holds '.selected_total == 10 and .elapsed_ns < 5e9'
	load -d 0.3
	check 'a duration alone' holds '.selected_total > 0 and .elapsed_ns < 3e8 + 1e9'
	load -n 300 --rate 1000 --hold 100 --measure-hold --entries 256
	# A buffer goes back when 100 others were taken after it: about 100 ms later, less where a
	# busy machine makes them come in bursts.
	check 'hold times' holds '[g | .hold_p50_ns > 1e6 and .hold_p50_ns < 20e9 and
		.hold_p50_ns <= .hold_p99_ns and .hold_p99_ns <= .hold_max_ns] | all'
	load -n 300
	check 'hold times, not measured' holds '[g | .hold_p50_ns == null] | all'
	"$BUFSCOPE" load -j -v -d 2.4 --rate 1000 >"$TMP/stream" 2>"$TMP/said"
	check 'a report each second' jq -es '[.[].final] == [false, false, true] and
		.[0].selected_total <= .[1].selected_total and
		.[1].selected_total <= .[2].selected_total and
		([.[].groups[] | .returned_total == .taken_total + .available] | all)' "$TMP/stream"
}

# start ARGUMENT...: in the background; $pid
start() {
	: >"$TMP/doc"
	: >"$TMP/said"
	"$BUFSCOPE" load -j "$@" >"$TMP/doc" 2>"$TMP/said" &
	pid=$!
}

# said TEXT: waits until load did
said() {
	local i
	for ((i = 0; i < 500; i++)); do
		grep -q "$1" "$TMP/said" && return 0
		sleep 0.02
	done
	return 1
}

ended() {
	wait "$pid"
	[ $? -eq "$1" ]
}

# A poll armed for each group, as the kernel tells of the ring's descriptor.
polls() {
	local fd
	fd=$(jq '.rings[0].fd' "$TMP/doc")
	[ "$(sed -n '/^PollList:/,/^[A-Z]/p' "/proc/$pid/fdinfo/$fd" | grep -c 'op=')" -eq "$1" ]
}

signals() {
	start -n 1000 --groups 3 --hold 4 --leak 1 --wait
	check '--wait: it waits' said waiting
	check '--wait: it tells its pid' grep -qx "pid $pid" "$TMP/said"
	check '--wait: the laws hold' holds sound
	check '--wait: one request per group is armed' holds '[g | .armed == 1 and .held == 5] | all'
	check '--wait: the kernel has them, too' polls 3
	check '--wait: it is still there' kill -0 "$pid"
	kill -TERM "$pid"
	check '--wait: SIGTERM ends it' ended 0

	start -d 60
	said pid
	sleep 0.2
	kill -INT "$pid"
	check 'SIGINT ends the work' ended 0
	check 'SIGINT: the report is exact' holds resting
	check 'SIGINT: some work was done' holds '.selected_total > 0 and .elapsed_ns < 30e9'
	start --rate 1 --wait
	said pid
	kill -TERM "$pid"
	check 'SIGTERM while it sleeps' ended 0
	check 'SIGTERM: the report is exact' holds resting

	start -n 500 --paused
	check '--paused: it waits' said SIGUSR1
	check '--paused: nothing was done' [ ! -s "$TMP/doc" ]
	kill -USR1 "$pid"
	check '--paused: SIGUSR1 starts it' ended 0
	check '--paused: then it works' holds '.selected_total == 500'
	start --paused
	said SIGUSR1
	kill -TERM "$pid"
	check 'ended before there was anything to say' ended 143

	start -d 60 --procs 3
	said pid
	sleep 0.2
	kill -TERM "$pid"
	check 'processes: SIGTERM ends all' ended 0
	check 'processes: the report is exact' holds resting
	start -d 60 --procs 2
	said pid
	sleep 0.2
	kill -KILL "$(sed -n '1s/pid //p' "$TMP/said")"
	check 'processes: the loss of one is a failure' ended 1
	check 'processes: and said' grep -q '^bufscope: process [0-9]* was killed by signal 9$' \
		"$TMP/said"
}

# refused CODE ARGUMENT...: exit code, nothing on stdout, one line and at most one hint
refused() {
	local code=$1 rc
	shift
	load "$@"
	rc=$?
	[ "$rc" -eq "$code" ] && [ ! -s "$TMP/doc" ] &&
		[ "$(grep -c '^bufscope: ' "$TMP/said")" -eq 1 ] &&
		[ "$(grep -vc '^bufscope: ' "$TMP/said")" -le 1 ]
}

mistakes() {
	local line
	local -a words
	while read -r line; do
		read -ra words <<<"$line"
		check "bad: $line" refused 2 "${words[@]}"
	done <<-'END'
		--kind brick
		--op fly
		--entries 0
		--entries 32769
		--entries -1
		--entries 12x
		--buf-bytes 2G
		--buf-bytes 1T
		--size 0
		--size 2048 --buf-bytes 1024
		--groups 65537
		--bgid 65536
		--bgid 1,,2
		--bgid 3,4,3
		--kind mmap --bgid 2048
		--rings 0
		--threads 4 --rings 2
		--procs 0
		--setup warp
		--setup defer-taskrun
		--count 0
		--duration x
		--rate 0
		--hold 256
		--hold 250 --batch 7
		--hold 256 --starve
		--leak 257
		--op read-file --arm-first
		--op read-multishot --size 5000 --buf-bytes 10000
		--op recv-bundle --size 64K
		--count
		--nothing
		extra
	END
}

limits() {
	(ulimit -Sn 32 && load -n 10 --groups 40)
	check 'raises its limit of open files itself' holds '.selected_total == 400'
	(ulimit -n 64 && refused 1 -n 10 --groups 100)
	check 'too few open files are said' [ $? -eq 0 ]
	check 'too few open files: with a hint' grep -q '^hint: .*ulimit' "$TMP/said"
	if [ "$(id -u)" -ne 0 ]; then
		skip 'another user' 'not root'
		return
	fi
	chmod 711 "$TMP"
	install -m 755 "$BUFSCOPE" "$TMP/bufscope"
	local BUFSCOPE="setpriv --reuid 65534 --regid 65534 --clear-groups $TMP/bufscope"
	unprivileged 'no privilege is needed' -n 10000 --entries 64 --groups 2
	ulimit -l 0
	unprivileged 'without locked memory' -n 10
}

# unprivileged NAME ARGUMENT...: works, or the memory that may be locked does not suffice
unprivileged() {
	local name=$1
	shift
	# shellcheck disable=SC2086 # a list of words
	$BUFSCOPE load -j "$@" >"$TMP/doc" 2>"$TMP/said"
	case $? in
	0) check "$name" holds resting ;;
	*) check "$name: what is missing is said" grep -q '^hint: .*RLIMIT_MEMLOCK' "$TMP/said" ;;
	esac
}

load -n 1
case $? in
3)
	skip load "$(sed -n 's/^bufscope: //p' "$TMP/said")"
	finish
	;;
esac
witness=$(jq '.groups[0].head_agrees' "$TMP/doc")
if [ "$witness" = null ]; then
	skip "the kernel's head agrees" 'this kernel does not tell it'
fi
kinds
sizes
starving
shapes
setups
# No kernel decides these.
if [ "${SLOW:-1}" -eq 1 ]; then
	check 'text tells the same numbers' same_as_text -n 10000 --bgid 7,9 --rings 2 --leak 3 \
		--entries 64
	timing
	mistakes
fi
signals
limits
finish
