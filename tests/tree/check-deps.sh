#!/bin/sh
# scripts/check-deps finds what it is there to find: each line below breaks
# the rule in a copy of the tree, and has to be refused by name.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

fresh() {
	rm -rf "$copy/src" "$copy/scripts"
	mkdir "$copy/scripts"
	# What git knows, as check-deps does; without git all of it.
	if git -C "$root" ls-files -z src >"$copy/names" 2>/dev/null &&
		[ -s "$copy/names" ]; then
		tar -C "$root" --null -T "$copy/names" -cf - | tar -C "$copy" -xf -
	else
		cp -r "$root/src" "$copy/src"
	fi
	cp "$root/scripts/check-deps" "$root/scripts/deps.txt" "$copy/scripts"
}

# refused NAME PATTERN: fails unless check-deps fails and says PATTERN.
refused() {
	if out=$("$copy/scripts/check-deps" 2>&1); then
		echo "not ok: $1: nothing was found"
		exit 1
	fi
	case $out in
	*"$2"*) echo "ok: $1" ;;
	*)
		echo "not ok: $1: $out"
		exit 1
		;;
	esac
}

fresh
"$copy/scripts/check-deps"
echo "ok: the tree as it is"

echo '#include "broker/run.h"' >>"$copy/src/gateway/role.h"
refused "a role includes another" "gateway may not include broker/run.h"

fresh
echo '#include "codec/json.h"' >>"$copy/src/supervisor/role.h"
refused "the supervisor includes a parser" "supervisor may not include codec/json.h"

fresh
echo '#include <time.h>' >>"$copy/src/core/id.c"
refused "a decision reads a clock" "core is pure and may not include <time.h>"

fresh
echo ' #  include   "store/store.h"' >>"$copy/src/main.c"
refused "spaces do not hide an include" "main.c may not include store/store.h"

fresh
mkdir "$copy/src/util"
echo 'int x;' >"$copy/src/util/x.c"
refused "a folder without a rule" "util has no line"

fresh
rm -r "$copy/src/world"
refused "a rule without a folder" "there is no src/world"
