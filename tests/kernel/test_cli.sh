#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does the program, command by command, answer mistakes, refusals and lost readers as it says?
# Not for guests: where a kernel has a say in it, test_caps.sh asks.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

SYSCTL=/proc/sys/kernel/io_uring_disabled
disabled_was=
cleanup() { [ -z "$disabled_was" ] || echo "$disabled_was" >"$SYSCTL"; }

# load names its process to whoever wants to watch it: that is no complaint.
without_pid() { sed -i '/^pid [0-9]*$/d' "$TMP/err"; }

user=()
# run ARGUMENT...: bufscope's exit code in $rc, what it said in $TMP/out and $TMP/err
run() {
	timeout -k 1 30 "${user[@]}" "$BUFSCOPE" "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
	rc=$?
	without_pid
}

report() {
	echo "exit $rc, stdout: $(head -n 5 "$TMP/out")"
	echo "stderr: $(cat "$TMP/err")"
}

# A message: "bufscope: ..." without a full stop, at most one hint, nothing on stdout.
is_message() {
	[ ! -s "$TMP/out" ] && [ "$(wc -l <"$TMP/err")" -le 2 ] &&
		head -n 1 "$TMP/err" | grep -qE '^bufscope: [^A-Z].*[^.]$' &&
		! sed 1d "$TMP/err" | grep -qv '^hint: '
}

# refused CODE ARGUMENT...
refused() {
	local code=$1
	shift
	run "$@"
	[ "$rc" -eq "$code" ] && is_message
}

# Every line of help fits a terminal.
is_narrow() { "$BUFSCOPE" "$1" --help | awk 'length > 80 { print; bad = 1 } END { exit bad || !NR }'; }

# helps ARGUMENT...: the help, on stdout, and nothing else
helps() {
	run "$@"
	[ "$rc" -eq 0 ] && grep -q '^usage: bufscope' "$TMP/out" && [ ! -s "$TMP/err" ]
}

# says CODE PATTERN ARGUMENT...: a message with PATTERN
says() {
	local code=$1 pattern=$2
	shift 2
	run "$@"
	[ "$rc" -eq "$code" ] && is_message && grep -qE "$pattern" "$TMP/err"
}

# works ARGUMENT...
works() {
	run "$@"
	[ "$rc" -eq 0 ] && [ -s "$TMP/out" ] && [ ! -s "$TMP/err" ]
}

# no_number COMMAND OPTION
no_number() {
	local bad
	for bad in '' -1 +1 ' 1' '1 ' 1x 0x10 1e3 1.2.3 99999999999999999999; do
		refused 2 "$1" "$2" "$bad" || { echo "'$bad'"; return 1; }
	done
}

alone() {
	run
	[ "$rc" -eq 2 ] && [ ! -s "$TMP/out" ] && grep -q '^usage: bufscope' "$TMP/err"
}

# full ARGUMENT...: a full disk under stdout is a failure
full() {
	timeout 30 "$BUFSCOPE" "$@" >/dev/full 2>"$TMP/err" </dev/null
	rc=$?
	without_pid
	: >"$TMP/out"
	[ "$rc" -eq 1 ] && is_message
}

# closed ARGUMENT...: a reader that leaves is answered by leaving, silently
closed() {
	timeout 30 "$BUFSCOPE" "$@" 2>"$TMP/err" </dev/null | head -c 1 >"$TMP/out"
	rc=${PIPESTATUS[0]}
	without_pid
	[ "$rc" -ne 124 ] && [ ! -s "$TMP/err" ]
}

mapfile -t commands < <("$BUFSCOPE" --help | sed -nE 's/^  ([a-z]+) .*/\1/p')

# Options of COMMAND that take a value, by its help.
valued() {
	"$BUFSCOPE" "$1" --help | grep -oE -- '--[a-z-]+[ =][A-Z]+' | sed 's/[ =].*//' | sort -u
}
# Those that take a number.
numeric() {
	"$BUFSCOPE" "$1" --help |
		grep -oE -- '--[a-z-]+[ =](PID|BGID|SECONDS|COUNT|N|SIZE|ENTRIES)\b' |
		sed 's/[ =].*//' | sort -u
}

check 'there are commands' test "${#commands[@]}" -ge 4
check 'no command, no terminal: usage, exit 2' alone
check 'unknown command' refused 2 nonsense
check 'the prefix of a command is none' refused 2 li
check 'unknown global option' refused 2 --nonsense
check 'help' helps --help
check 'help into a full disk' full --help
check 'version' works --version

for c in "${commands[@]}"; do
	check "$c: --help" helps "$c" --help
	check "$c: in 80 columns" is_narrow "$c"
	check "$c: -h" helps "$c" -h
	check "$c: help into a full disk" full "$c" --help
	check "$c: unknown option" refused 2 "$c" --nonsense
	check "$c: unknown letter" refused 2 "$c" -%
	check "$c: stray argument" refused 2 "$c" stray
	for o in $(valued "$c"); do
		check "$c: $o without a value" refused 2 "$c" "$o"
	done
	for o in $(numeric "$c"); do
		check "$c: $o with what is no number" no_number "$c" "$o"
	done
done

# One command that ends soon, of each kind that writes.
check 'top without a terminal names -b' says 2 'top -b' top
for c in 'limits pbuf_ring.zero' 'limits -j pbuf_ring.zero' list 'list -j' 'top -b -n 1' \
	'top -b -j -n 1' 'load -n 9' 'load -n 9 -j'; do
	# shellcheck disable=SC2086 # words
	check "$c into a full disk" full $c
	# shellcheck disable=SC2086
	check "$c into a closed pipe" closed $c
done
check 'top goes with its reader' closed top -b -i 0.01

if [ "$(id -u)" -eq 0 ]; then
	# A copy, since the build directory may be closed to others.
	chmod 755 "$TMP"
	install -m 755 "$BUFSCOPE" "$TMP/bufscope"
	BUFSCOPE=$TMP/bufscope
	user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
fi
check 'limits as a user' works limits pbuf_ring.zero
check 'load as a user' works load -n 9 --entries 4
check 'list as a user' says 3 'CAP_[A-Z_]+' list
check 'top as a user' says 3 'CAP_[A-Z_]+' top -b -n 1

# What needs no ring is measured all the same: the rest has an errno in its place.
bench_goes_on() {
	run bench -j -n 64 --rounds 1 acquire
	[ "$rc" -eq 0 ] && grep -q 'io_uring is disabled' "$TMP/err" &&
		jq -e '.cases[0].strategies | all(.[]; .error == null or (.strategy | endswith("fixed"))) and
			any(.[]; .strategy == "global" and .cpu_ns > 0)' "$TMP/out" >/dev/null
}

# disabled VALUE ARGUMENT...: as long as the system wide switch stands so, and not longer
disabled() {
	local value=$1 result
	shift
	disabled_was=$(cat "$SYSCTL")
	echo "$value" >"$SYSCTL"
	if [ "$1" = bench_goes_on ]; then
		bench_goes_on
	else
		says 3 'io_uring' "$@"
	fi
	result=$?
	cleanup
	return "$result"
}

if [ -w "$SYSCTL" ] && cat "$SYSCTL" >"$TMP/was" && cat "$TMP/was" 2>/dev/null >"$SYSCTL"; then
	check 'limits, io_uring disabled for users' disabled 1 limits --quick
	check 'load, io_uring disabled for users' disabled 1 load -n 9
	check 'bench claims, io_uring disabled for users' disabled 1 bench claims
	check 'bench, io_uring disabled for users' disabled 1 bench_goes_on
	user=()
	check 'limits, io_uring disabled' disabled 2 limits --quick
	check 'load, io_uring disabled' disabled 2 load -n 9
else
	skip 'io_uring disabled' "cannot write $SYSCTL"
fi
finish
