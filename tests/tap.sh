# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# tap.sh: TAP for shell tests, and a private directory. Source it first, call `finish` last:
# a script that ends any other way has failed. If defined, report() tells more about a failure and
# cleanup() is called at the end.
set -u
: "${BUFSCOPE:=build/bufscope}"
BUFSCOPE=$(realpath "$BUFSCOPE")
TMP=$(mktemp -d)
tap_nr=0 tap_failed=0 tap_finished=

# check NAME COMMAND...: the command must succeed; what it printed is shown if it does not.
check() {
	local name=$1
	shift
	tap_nr=$((tap_nr + 1))
	if "$@" >"$TMP/check" 2>&1; then
		echo "ok $tap_nr - $name"
	else
		echo "not ok $tap_nr - $name"
		{
			cat "$TMP/check"
			[ "$(type -t report)" = function ] && report
		} | sed 's/^/# /'
		tap_failed=$((tap_failed + 1))
	fi
}

# until_true SECONDS COMMAND...: tried until it succeeds; fails when the time is over
until_true() {
	local tries=$(($1 * 10 * ${SLOW:-1}))
	shift
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

# skip NAME REASON
skip() {
	tap_nr=$((tap_nr + 1))
	echo "ok $tap_nr - $1 # SKIP $2"
}

finish() { tap_finished=1; exit $((tap_failed > 0)); }

tap_exit() {
	local rc=$?
	if [ -z "$tap_finished" ]; then
		tap_nr=$((tap_nr + 1)) rc=1
		echo "not ok $tap_nr - runs to its end"
	fi
	echo "1..$tap_nr"
	[ "$(type -t cleanup)" = function ] && cleanup
	rm -rf "$TMP"
	exit "$rc"
}
trap tap_exit EXIT
trap 'exit 130' INT TERM
