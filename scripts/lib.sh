# Sourced by the scripts beside it: one place for what all of them do.

top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"

# Colour only on a terminal.
if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m')
else
	bold= dim= plain=
fi

# A line of progress, on standard error.
step() {
	printf '%s==>%s %s\n' "$bold" "$plain" "$*" >&2
}

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# What it takes to build, on Debian 12.
build_packages="gcc libc6-dev musl-tools meson ninja-build pkg-config
	libssl-dev libsqlite3-dev libyaml-dev libpcre2-dev libpsl-dev
	libzstd-dev zlib1g-dev libarchive-dev libc-ares-dev libnghttp2-dev
	libcmocka-dev python3"
# What the tests need on top.
test_packages="clang clang-format clang-tidy cppcheck libclang-rt-14-dev
	libseccomp-dev libxml2-dev mandoc nodejs git curl ca-certificates procps sqlite3
	umoci busybox-static skopeo debootstrap openssl openjdk-17-jdk-headless
	postgresql chromium-headless-shell libnss3-tools"

# Installs those of the packages that are missing; asks nothing.
need_packages() {
	missing=
	for p in "$@"; do
		case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) in
		*" installed") ;;
		# npm and node may have come by another way.
		*) case $p in
			nodejs) command -v node >/dev/null && continue ;;
			npm) command -v npm >/dev/null && continue ;;
			esac
			missing="$missing $p" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	sudo=
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null && sudo -n true 2>/dev/null ||
			die "these packages are missing; as root run: apt-get install --no-install-recommends$missing"
		sudo=sudo
	fi
	step "installing:$missing"
	log=$(mktemp)
	if ! { $sudo apt-get update -qq &&
		DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq \
			--no-install-recommends $missing; } >"$log" 2>&1 </dev/null
	then
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "apt-get could not install:$missing"
	fi
	rm -f "$log"
}

# quiet LOG COMMAND...: shows the output only when the command fails.
quiet() {
	quiet_log=$1
	shift
	if ! "$@" >"$quiet_log" 2>&1; then
		tail -n 60 "$quiet_log" >&2
		return 1
	fi
}

# configure DIR [OPTION...]: a build directory, made once.
configure() {
	dir=$1
	shift
	[ -f "$dir/build.ninja" ] && return 0
	quiet "$top/build.log" meson setup "$dir" "$@" ||
		die "meson setup $dir failed"
	rm -f "$top/build.log"
}

# Of the second compiler its warnings are wanted, not what it makes.
clang_options="-Doptimization=1 -Ddebug=false"

# compile DIR [TARGET...]
compile() {
	dir=$1
	shift
	quiet "$dir/compile.log" ninja -C "$dir" "$@" ||
		die "the build in $dir failed; all of it is in $dir/compile.log"
}
