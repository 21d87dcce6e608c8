#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Has this kernel exactly the abilities that abilities.list expects of its series?
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
LIST=$(dirname "$0")/abilities.list
series=$(uname -r | grep -oE '^[0-9]+\.[0-9]+')

# "ability state", as the list has it for this series; nothing if it has no such column
expected() {
	awk -v series="$series" '
		/^#/ { next }
		$1 == "ability" { for (i = 2; i <= NF; i++) if ($i == series) column = i; next }
		column { print $1, $column }' "$LIST" | sort
}

found() {
	jq -r '.abilities[] | "\(.key) \({yes: "+", no: "-", unknown: "?"}[.state])"' "$TMP/self" |
		sort
}

ask() { "$BUFSCOPE" doctor --self -j >"$TMP/self"; }

# What is marked < was expected, what is marked > was found.
report() { jq -r '.abilities[] | select(.state != "yes") | "\(.key) \(.errno) \(.detail)"' "$TMP/self"; }

check 'doctor --self says that rings can be watched' ask
check "the list has a column for $series" test -n "$(expected)"
check "the abilities of $series are those expected" diff <(expected) <(found)
finish
