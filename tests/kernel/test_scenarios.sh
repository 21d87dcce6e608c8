#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does the doctor name the right cause, and no wrong one? The scenarios of `load` are played several
# at a time under one doctor, each a process of its own; the confusion matrix is printed. Strangers'
# rings come and go meanwhile, at addresses that rings of the scenarios had. ONLY="a b" picks
# scenarios, KEEP=DIR keeps the report.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
: "${ONLY:=}"
AT_ONCE=8
[ "${SLOW:-1}" -eq 1 ] || AT_ONCE=1

"$BUFSCOPE" load --scenario list |
	while read -r name expect also _; do
		[ -z "$ONLY" ] || [[ " $ONLY " == *" $name "* ]] || continue
		echo "$name $expect $also"
	done >"$TMP/list"

# One scenario: what it says, and at its end its process and exit code.
cat >"$TMP/play" <<'END'
#!/bin/sh
"$BUFSCOPE" load --scenario "$1" 2>"$TMP/$1.said" &
pid=$!
wait $pid
echo "$1 $pid $?" >>"$TMP/ended"
END
chmod +x "$TMP/play"

strangers=()
cleanup() { [ ${#strangers[@]} -eq 0 ] || kill "${strangers[@]}" 2>/dev/null; }
[ "${SLOW:-1}" -eq 1 ] || STRANGERS=0
for ((i = 0; i < ${STRANGERS:=4}; i++)); do
	(
		trap 'kill $! 2>/dev/null; exit' TERM
		while :; do
			for name in busy-rings burst busy-rings lazy-fill; do
				nice "$BUFSCOPE" load --scenario "$name" 2>/dev/null &
				wait $!
			done
		done
	) &
	strangers+=($!)
done

export BUFSCOPE TMP
"$BUFSCOPE" doctor -j --fail-on info -o "$TMP/report" -- \
	sh -c "cut -d ' ' -f 1 '$TMP/list' | xargs -P $AT_ONCE -n 1 '$TMP/play'" 2>"$TMP/said"
rc=$?
if [ "$rc" = 3 ]; then
	skip "the doctor names each cause" "this kernel or user does not allow it"
	finish
fi

# The doctor ends with the shell, and the shell when all have been played.
check "every scenario was played" [ "$(wc -l <"$TMP/ended")" = "$(wc -l <"$TMP/list")" ]
check "no event was lost" jq -e '.not_seen.records_lost == 0' "$TMP/report"

findings() { jq -r --argjson pid "$1" ".findings[] | select(.tgid == \$pid) | $2" "$TMP/report"; }

# judge PID EXPECT ALSO: the expected code, and none that is not true of it
judge() {
	local code codes found=
	if [ -z "$1" ] || ! codes=$(findings "$1" .code); then
		echo "there is no report of it"
		return 1
	fi
	for code in $codes; do
		[ "$code" = "$2" ] && found=1 && continue
		[[ ",$3," == *",$code,"* ]] || { echo "wrong cause: $code"; found=wrong; break; }
	done
	[ "$2" = - ] && [ -z "$found" ] && return 0
	[ "$found" = 1 ]
}

report() { cat "$TMP/$scenario.said" "$TMP/said"; findings "${pid:-0}" '[.code, .evidence] | tostring'; }

echo "# scenario             expected               given"
while read -r scenario expect also; do
	read -r _ pid code < <(grep "^$scenario " "$TMP/ended")
	if [ "${code:-}" = 3 ]; then
		skip "$scenario" "this kernel or user cannot: $(cat "$TMP/$scenario.said")"
		continue
	fi
	printf '# %-20s %-22s %s\n' "$scenario" "$expect" "$(findings "$pid" .code | sort -u | xargs)"
	check "$scenario is told as '$expect'" judge "$pid" "$expect" "$also"
done <"$TMP/list"
check "the doctor failed for what it found" [ "$rc" = "$(jq '[.findings[] | 1] | length > 0 | if . then 1 else 0 end' "$TMP/report")" ]
[ -z "${KEEP:-}" ] || cp "$TMP/report" "$KEEP/"
finish
