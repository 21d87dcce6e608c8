#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Are the probes of the library (USDT) where its notes say, do they fire once for each thing that
# happens, and do they say which pool it was? Told by the kernel's own counts of uprobes, and by
# bpftrace where there is one.
# Not for guests: they have nothing to read notes with.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

EVENTS=/sys/kernel/tracing/uprobe_events
GROUP=bufscope_test_$$
drop_events() {
	echo 0 >"${EVENTS%/*}/events/$GROUP/enable"
	sed -n "s|^p:\($GROUP/[^ ]*\) .*|-:\1|p" "$EVENTS" >"$TMP/drop"
	while read -r line; do echo "$line" >>"$EVENTS"; done <"$TMP/drop"
}
cleanup() { [ ! -d "${EVENTS%/*}/events/$GROUP" ] || drop_events; }
report() { tail -n 5 "$TMP/truth" "$TMP/err" "$TMP/trace" 2>/dev/null | cut -c 1-1000; }

# "NAME ADDRESS" of each probe
readelf -nW "$BUFSCOPE" >"$TMP/notes" 2>"$TMP/err"
awk '/stapsdt/ { note = 1 }
	note && $1 == "Name:" { name = $2 }
	note && $1 == "Location:" { at = $2; sub(/,$/, "", at) }
	note && $1 == "Arguments:" { print name, at; note = 0 }' "$TMP/notes" | sort -u >"$TMP/probes"
for name in acquire release starve evict register; do
	check "there is a probe '$name'" grep -q "^$name " "$TMP/probes"
done
check "of the provider 'bufscope'" grep -q 'Provider: bufscope$' "$TMP/notes"

# A program's offset in its file: addresses of its code are moved against it by as much as its
# segment.
offset_of() {
	readelf -lW "$BUFSCOPE" | while read -r type offset address _ size _ rest; do
		if [ "$type" = LOAD ] && [[ "$rest" == *E* ]] && (($1 >= address && $1 < address + size)); then
			printf '%#x' $(($1 - address + offset))
		fi
	done
}
set_events() {
	local name at nr=0
	# In memory first: reading a page for a uprobe, ext4 with debugging complains (6.18).
	cat "$BUFSCOPE" >/dev/null
	while read -r name at; do
		nr=$((nr + 1))
		echo "p:$GROUP/${name}_$nr $BUFSCOPE:$(offset_of "$at")" >>"$EVENTS" || return
	done <"$TMP/probes"
	echo 1 >"${EVENTS%/*}/events/$GROUP/enable"
}
fired() { awk -v n="^$1_" '$2 ~ n { sum += $3 } END { print sum + 0 }' "${EVENTS%/*}/uprobe_profile"; }
is_equal() { [ "$1" = "$2" ] || { echo "$1 is not $2" && false; }; }

# work OPTION...: what the load says of itself is in $TMP/truth
work() { "$BUFSCOPE" load -j "$@" >"$TMP/truth" 2>"$TMP/err"; }
truth() { jq "[.groups[].$1] | add" "$TMP/truth"; }

if ! [ -w "$EVENTS" ]; then
	skip "they fire" "no uprobes: $EVENTS cannot be written"
elif ! set_events 2>"$TMP/err"; then
	skip "they fire" "no uprobes: $(tail -n 1 "$TMP/err")"
else
	for kind in ring legacy; do
		acquired=$(fired acquire) released=$(fired release) starved=$(fired starve)
		check "$kind: a load" work --kind $kind --groups 2 --entries 64 --starve --leak 3 -n 20000
		acquired=$(($(fired acquire) - acquired)) released=$(($(fired release) - released))
		check "$kind: acquire, once for each buffer taken" is_equal $acquired "$(truth taken_total)"
		check "$kind: release, once for each given" \
			is_equal $released $(($(truth returned_total) - $(truth buffers)))
		check "$kind: starve, once for each ENOBUFS" \
			is_equal $(($(fired starve) - starved)) "$(truth starved_total)"
	done
	drop_events
	check "nothing is left behind" sh -c "! grep $GROUP $EVENTS"
fi

if ! command -v bpftrace >/dev/null; then
	skip "bpftrace sees them" "there is no bpftrace"
	finish
fi
# Each probe with its arguments; which of the places it is compiled into is all one.
cat >"$TMP/program" <<END
usdt:$BUFSCOPE:bufscope:acquire { @acquire[str(arg1), arg2 < 64] = count(); }
usdt:$BUFSCOPE:bufscope:release { @release[str(arg1), arg2 < 64] = count(); }
usdt:$BUFSCOPE:bufscope:register { @register[str(arg1), arg2, arg3] = count(); }
END
trace() { bpftrace -f json "$TMP/program" -c "$BUFSCOPE load -j --name rx --entries 64 -n 5000" >"$TMP/trace" 2>"$TMP/err"; }
told() { jq -se "map(select(.type == \"map\") | .data) | add | $1" "$TMP/trace"; }
if trace || grep -q '"type": "map"' "$TMP/trace"; then
	check "bpftrace: name and number of each buffer taken" told '.["@acquire"] == {"rx,1": 5000}'
	check "bpftrace: of each given back" told '.["@release"] == {"rx,1": 5000}'
	check "bpftrace: of those registered" told '.["@register"] == {"rx,0,64": 1}'
else
	skip "bpftrace sees them" "$(tail -n 1 "$TMP/err")"
fi

finish
