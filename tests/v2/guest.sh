# tests/v2/guest.sh: what runs inside the machine of scripts/test-v2.
#
# A shell without arrays and without anything but busybox: the machine has
# nothing else. Each line "ok" or "not ok" is a sentence that has to be true.
exec 2>&1
top=/sys/fs/cgroup
passed=0 failed=0

ok() { # CONDITION-STATUS SENTENCE
	if [ "$1" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok $2"
	else
		failed=$((failed + 1))
		echo "not ok $2"
		sed 's/^/#   /' /tmp/out /tmp/err 2>/dev/null | tail -n 12
	fi
}

# The command's output is in /tmp/out, paddock's and the errors in /tmp/err.
inside() {
	status=0
	"$@" >/tmp/out 2>/tmp/err </dev/null || status=$?
}

# The value of a member in the line that --json writes.
member() {
	sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"]*\)\"\{0,1\}.*/\1/p" /tmp/err |
		tail -n 1
}

has_walls() {
	for w in "$@"; do
		grep -q "\"$w\"" /tmp/err || return 1
	done
}

leftovers() {
	find "$top" -type d -name 'paddock-*' | wc -l
}

# The same for every place in the tree that a caller may stand in. $1 names
# it, $2 runs a command there.
limits_hold() {
	where=$1
	run=$2

	inside $run paddock exec --json --cpu 1 -- true
	ok $status "$where: a sandbox starts"
	has_walls memory pids cpu cgroup_ns
	ok $? "$where: memory, pids and cpu are bounded by a group"

	inside $run paddock exec --json --memory 64 --disk 16 -- \
		escape-probe memory_bomb=300
	[ "$status" -eq 137 ] && [ "$(member limit)" = memory_exceeded ] &&
		[ "$(member oom_kills)" -gt 0 ]
	ok $? "$where: too much memory ends the run and says so"
	[ "$(member memory_max_bytes)" -gt 32000000 ] &&
		[ "$(member memory_max_bytes)" -le 67108864 ]
	ok $? "$where: the memory used is told, and below the limit"

	inside $run paddock exec --json --pids 32 -- escape-probe fork_bomb
	[ "$status" -eq 0 ] && [ "$(member limit)" = pids_exceeded ] &&
		[ "$(member pids_refused)" -gt 0 ]
	ok $? "$where: forks beyond the limit are refused and counted"

	inside $run paddock exec --json --cpu 0.2 --wall 3 -- \
		sh -c 'while :; do :; done'
	[ "$(member limit)" = wall_time_exceeded ] &&
		[ $(($(member cpu_us) * 10)) -lt $(($(member wall_us) * 4)) ]
	ok $? "$where: a fifth of a processor is all it gets"

	inside $run paddock exec --memory 64 --disk 16 -- \
		escape-probe disk_fill=/tmp
	ok $status "$where: a full disk is an error and no kill"

	inside $run paddock exec -- cat /proc/self/cgroup
	[ "$(cat /tmp/out)" = "0::/" ]
	ok $? "$where: inside, the group is the root of its own namespace"

	[ "$(leftovers)" -eq 0 ]
	ok $? "$where: no group is left"

	# Killed without a chance to clean up.
	echo >/tmp/out
	$run paddock exec -- sh -c 'echo on; sleep 1000' >/tmp/out 2>&1 &
	until grep -q on /tmp/out; do usleep 10000; done
	kill -9 $(pids_of 'paddock exec -- sh -c echo on')
	wait
	tries=0
	while [ -n "$(pids_of 'sleep 1000')" ] && [ $tries -lt 300 ]; do
		usleep 10000
		tries=$((tries + 1))
	done
	[ -z "$(pids_of 'sleep 1000')" ]
	ok $? "$where: a killed paddock takes its sandbox along"
	$run paddock exec -- true
	[ "$(leftovers)" -eq 0 ]
	ok $? "$where: the next one sweeps up what it left"
}

# Processes whose command line begins with $1.
pids_of() {
	ps -o pid,args | while read -r pid args; do
		case $args in
		"$1"*) echo "$pid" ;;
		esac
	done
}

here() {
	"$@"
}

# In the group $place, where a shell lives too, as in a login session.
in_group() {
	sh -c 'echo $$ >"$0/cgroup.procs"; "$@"; exit $?' "$place" "$@"
}

# Alone in the group $place, as systemd-run starts it.
alone_in_group() {
	sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$place" "$@"
}

# As an ordinary user in the group $place. The arguments are put into a
# script, since su takes a line only.
as_user() {
	for a in "$@"; do
		printf "'%s' " "$a"
	done >/tmp/line
	sh -c 'echo $$ >"$0/cgroup.procs"
		su user -c "exec $(cat /tmp/line)"; exit $?' "$place"
}

cd /work
chmod 1777 /work
echo "# Linux $(uname -r), $(cat $top/cgroup.controllers)"

# Without any group: the run goes on with what is left, and says so.
umount $top
inside paddock exec --json --memory 64 --disk 16 --cpu 0.5 -- true
[ $status -eq 0 ] && ! has_walls memory && ! has_walls pids && ! has_walls cpu
ok $? "without groups: the walls of groups are not claimed"
grep -q 'no group of processes' /tmp/err
ok $? "without groups: limits that were asked for and are weaker are named"
inside paddock exec --memory 64 --disk 16 -- escape-probe memory_bomb=300
[ "$status" -eq 0 ] && grep -q '"outcome":"held"' /tmp/out
ok $? "without groups: a process has its own limit of memory"
inside paddock exec --pids 32 -- escape-probe fork_bomb
ok $status "without groups: the number of processes is bounded"
mount -t cgroup2 none $top

# A tree that somebody else manages: what is enabled is what they use.
echo "+memory +pids" >$top/cgroup.subtree_control
mkdir -p $top/system.slice/x.service $top/system.slice/alone.service
place=$top/system.slice/x.service
limits_hold "in a service's group, not alone" in_group
place=$top/system.slice/alone.service
inside alone_in_group paddock exec --json --cpu 1 -- \
	sh -c 'true; sleep 0.5' &
tries=0
until [ -n "$(find $place -name 'paddock-*-0')" ] || [ $tries -gt 300 ]; do
	usleep 10000
	tries=$((tries + 1))
done
[ -n "$(find $place -name 'paddock-*-0')" ]
ok $? "alone in a service's group: the sandbox is bounded by the service"
wait
[ "$(leftovers)" -eq 0 ]
ok $? "alone in a service's group: it goes back at the end"

# What is bounded above stays bounded.
mkdir $top/system.slice/small.service
place=$top/system.slice/small.service
echo 48000000 >$place/memory.max
echo 0 >$place/memory.swap.max
inside alone_in_group paddock exec --json --memory 256 --disk 16 -- \
	escape-probe memory_bomb=200
[ "$status" -eq 137 ] && [ "$(member limit)" = memory_exceeded ]
ok $? "alone in a service's group: the service's own limit holds"

# A container's view: its group is the root of what it sees, and no real root.
mkdir $top/container
place=$top/container
in_container() {
	sh -c 'echo $$ >"$0/cgroup.procs"
		exec /usr/bin/unshare -C -m sh -c "umount /sys/fs/cgroup &&
			mount -t cgroup2 none /sys/fs/cgroup && exec \"\$@\"" \
			container "$@"' "$place" "$@"
}
inside in_container paddock exec --json --cpu 1 -- true
[ $status -eq 0 ] && has_walls memory pids cpu
ok $? "in a container with groups of its own: all three are bounded"

# What a service manager delegates to a user.
mkdir -p $top/user.slice/user@1000.service/app.slice/run.scope \
	$top/user.slice/session.scope
for d in $top $top/user.slice; do
	echo "+memory +pids +cpu" >$d/cgroup.subtree_control
done
d=$top/user.slice/user@1000.service
chown user $d $d/app.slice $d/app.slice/run.scope
for f in cgroup.procs cgroup.subtree_control cgroup.threads; do
	chown user $d/$f $d/app.slice/$f $d/app.slice/run.scope/$f
done
place=$d/app.slice/run.scope
limits_hold "as a user, in a delegated group" as_user
alone_as_user() {
	sh -c 'echo $$ >"$0/cgroup.procs"
		exec su user -c "exec paddock exec --json --cpu 1 -- true"' \
		"$place"
}
inside alone_as_user
[ $status -eq 0 ] && has_walls memory pids cpu && [ "$(leftovers)" -eq 0 ]
ok $? "as a user, alone in a delegated group: all three are bounded"
place=$top/user.slice/session.scope
inside as_user paddock exec --json --cpu 1 -- true
[ $status -eq 0 ] && ! has_walls memory && ! has_walls pids && ! has_walls cpu
ok $? "as a user, in a session of root's: the walls of groups are not claimed"

limits_hold "in the root group" here

echo "# $passed passed, $failed failed"
echo "# all done"
