#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Is what `make install` leaves behind all that a client in C or C++ needs?
# Not for guests: it compiles.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
cd "$(dirname "$0")/../.." || exit 1

: "${CC:=gcc}"
CXX=${CC/clang/clang++}
CXX=${CXX/gcc/g++}
SAN_FLAGS=
case $BUFSCOPE in */san/*) SAN_FLAGS=-fsanitize=address,undefined ;; esac

installed() { find "$1" \( -type f -o -type l \) -printf '%P\n' | sort; }

expected() {
	cat <<-END
		bin/bufscope
		include/bufscope.h
		lib/libbufscope.a
		lib/libbufscope.so
		lib/libbufscope.so.0
		lib/pkgconfig/bufscope.pc
		share/man/man3/bufscope.3
		share/man/man8/bufscope.8
	END
}

exports_only_bs() { ! nm -D --defined-only "$1" | grep -vE ' (T bs_|A BUFSCOPE_)'; }

# build COMPILER LANGUAGE LIBRARY: $TMP/client against the installed files alone
build() {
	link client tests/kernel/client.c "$@"
}

# link PROGRAM SOURCE COMPILER LANGUAGE LIBRARY
link() {
	# shellcheck disable=SC2046,SC2086 # lists of flags
	"$3" -x "$4" -Wall -Wextra -Werror $SAN_FLAGS -o "$TMP/$1" "$2" -x none \
		$(pkg-config --cflags bufscope) $(pkg-config --libs bufscope | sed "s/-lbufscope/$5/")
}

# The server of the installed page, as somebody would copy it from there.
extract_server() {
	sed -n '/server\.c begins/,/server\.c ends/p' "$TMP/prefix/share/man/man3/bufscope.3" |
		sed "/^\.[nf\\\\]/d; s/\\\\(aq/'/g; s/\\\\-/-/g; s/\\\\&//; s/\\\\e/\\\\/g" >"$TMP/server.c"
	[ "$(wc -l <"$TMP/server.c")" -gt 100 ] && [ "$(wc -l <"$TMP/server.c")" -lt 150 ]
}

# Everything is echoed, to two at once.
converse() {
	local port one two
	port=$(sed -n 's/^port //p' "$TMP/err")
	for _ in 1 2; do
		(
			exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
			cat "$TMP/sent" >&3 &
			head -c 1000000 <&3 | cmp - "$TMP/sent"
		) &
		two=${one:-} one=$!
	done
	wait "$one" && wait "$two"
}

listens() { grep -q '^port ' "$TMP/err" || ! kill -0 "$pid"; }

# serve NAME COMPILER LANGUAGE
serve() {
	local name=$1 pid
	shift
	check "the server of the page builds in $name" link server "$TMP/server.c" "$@" -lbufscope
	"$TMP/server" 0 >"$TMP/out" 2>"$TMP/err" &
	pid=$!
	until_true 60 listens
	if grep -q 'cannot start: \(Operation not permitted\|Function not implemented\)' "$TMP/err"; then
		skip "and serves, in $name" "no io_uring for this user"
		wait "$pid"
		return
	fi
	check "and serves, in $name" converse
	# A connection is open when it is told to end.
	exec 4<>"/dev/tcp/127.0.0.1/$(sed -n 's/^port //p' "$TMP/err")"
	kill "$pid"
	wait "$pid"
	check "and ends well" ended $?
	exec 4>&-
	check "having received everything" grep -q '^2000000 bytes, ' "$TMP/out"
}

ended() {
	cat "$TMP/said"
	return "$1"
}

# client NAME COMPILER LANGUAGE LIBRARY
client() {
	local name=$1 rc
	shift
	check "a client in $name builds" build "$@"
	"$TMP/client" >"$TMP/said" 2>&1
	rc=$?
	if [ "$rc" -eq 77 ]; then
		skip "a client in $name runs" "$(cat "$TMP/said")"
	else
		check "a client in $name runs" ended "$rc"
	fi
	rm -f "$TMP/client"
}

if ! command -v "$CC" make >/dev/null; then
	skip 'make install' "no $CC or no make"
	finish
fi
check 'make install' make install PREFIX="$TMP/prefix"
check 'it leaves exactly its files' diff <(installed "$TMP/prefix") <(expected)
check 'the installed program runs' "$TMP/prefix/bin/bufscope" --version
check 'the library exports bs_* alone' exports_only_bs "$TMP/prefix/lib/libbufscope.so"
export PKG_CONFIG_PATH=$TMP/prefix/lib/pkgconfig LD_LIBRARY_PATH=$TMP/prefix/lib
check 'the page of the library has a server' extract_server
head -c 1000000 /dev/urandom >"$TMP/sent"
serve C "$CC" c
client C "$CC" c -lbufscope
client 'C, static' "$CC" c -l:libbufscope.a
if command -v "$CXX" >/dev/null; then
	client C++ "$CXX" c++ -lbufscope
	serve C++ "$CXX" c++
else
	skip 'a client in C++' "no $CXX"
fi

check 'make install DESTDIR' make install DESTDIR="$TMP/stage" PREFIX=/usr
check 'it stays below DESTDIR' diff <(installed "$TMP/stage/usr") <(expected)
check 'its files know no DESTDIR' grep -qx 'prefix=/usr' "$TMP/stage/usr/lib/pkgconfig/bufscope.pc"
finish
