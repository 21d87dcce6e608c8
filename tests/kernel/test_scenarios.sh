#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does the doctor name the right cause, and no wrong one? Every scenario of `load` is played under
# it; the confusion matrix is printed. ONLY="a b" picks scenarios, KEEP=DIR keeps the reports.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
# Emulated, some of each sort must do.
[ "${SLOW:-1}" -eq 1 ] || : "${ONLY:=no-group unregistered emptied-at-data leak-bundle foreign-bid \
	returned-early zero-length skipped-completion busy busy-legacy}"
: "${ONLY:=}"

"$BUFSCOPE" load --scenario list >"$TMP/list"

# play NAME: the report in $TMP/NAME.json, what the scenario said in $TMP/NAME.said
play() {
	"$BUFSCOPE" doctor -j --fail-on info -o "$TMP/$1.json" -- "$BUFSCOPE" load --scenario "$1" \
		2>"$TMP/$1.said"
	echo $? >"$TMP/$1.rc"
}

# Three at a time: they sleep more than they work.
running=0
while read -r scenario _; do
	[ -z "$ONLY" ] || [[ " $ONLY " == *" $scenario "* ]] || continue
	play "$scenario" &
	running=$((running + 1))
	[ $((running % 3)) -ne 0 ] || wait
done <"$TMP/list"
wait

given() { jq -r '[.findings[].code] | unique | join(" ")' "$TMP/$1.json"; }

# judge NAME EXPECT ALSO: the expected code, and none that is not true of it
judge() {
	local code found=
	for code in $(given "$1"); do
		[ "$code" = "$2" ] && found=1 && continue
		[[ ",$3," == *",$code,"* ]] || { echo "wrong cause: $code"; found=wrong; break; }
	done
	[ "$2" = - ] && [ -z "$found" ] && return 0
	[ "$found" = 1 ] && [ "$(cat "$TMP/$1.rc")" = 1 ]
}

report() { cat "$TMP/$scenario.said"; jq -c '.findings[] | [.code, .evidence]' "$TMP/$scenario.json"; }

echo "# scenario             expected               given"
while read -r scenario expect also _; do
	[ -z "$ONLY" ] || [[ " $ONLY " == *" $scenario "* ]] || continue
	if grep -q 'ended with 3' "$TMP/$scenario.said"; then
		skip "$scenario" "this kernel or user cannot"
		continue
	fi
	printf '# %-20s %-22s %s\n' "$scenario" "$expect" "$(given "$scenario")"
	check "$scenario is told as '$expect'" judge "$scenario" "$expect" "$also"
done <"$TMP/list"
[ -z "${KEEP:-}" ] || cp "$TMP"/*.json "$TMP"/*.said "$KEEP"/
finish
