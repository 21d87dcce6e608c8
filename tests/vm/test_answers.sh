#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does this kernel answer `bufscope limits` as the kernel of its series did when its answers were
# saved? A difference is a change of the kernel's, or of ours: if it is meant, save them again, as
# tests/vm/answers says.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
HERE=$(dirname "$0")
series=$(uname -r | grep -oE '^[0-9]+\.[0-9]+')
SAVED=$HERE/../data/limits-$series.json

answers() { "$HERE/answers" >"$TMP/answers"; }

# without KEYS FILE: its rows but for these
without() { jq --argjson keys "$1" '.limits |= map(select(.key | IN($keys[]) | not))' "$2"; }

same() { "$BUFSCOPE" limits --from "$TMP/now" --diff "$TMP/saved"; }

check 'the kernel answers' answers
late=$(jq -c '[.limits[] | select(.how == "too slow").key]' "$TMP/answers")
without "$late" "$TMP/answers" >"$TMP/now"
without "$late" "$SAVED" >"$TMP/saved"
check "$series answers as it did" same
check 'and that was a comparison' test "$(jq '.limits | length' "$TMP/saved")" -gt 200
for key in $(jq -r '.[]' <<<"$late"); do skip "$key" "needs a faster machine"; done
finish
