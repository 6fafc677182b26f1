#!/bin/sh
# The first process of a node of a planet: pid 1 of its namespaces. Killing it kills every process of
# the node, and with the last of them the node's mounts go.
#
# Called inside fresh mount, pid, uts and ipc namespaces and the node's network namespace:
#   node-init.sh NAME RUN_FOLDER DISK_FOLDER FORWARDING CONTROL_GROUP
# Prints its pid, as the world outside knows it, once the node is ready.
set -eu
name=$1 run=$2 disk=$3 forwarding=$4 group=$5

read -r outer_pid _ </proc/self/stat # /proc is still the outer one
mount -t proc proc /proc
mkdir -p "$run/cgroup"
mount --rbind /sys/fs/cgroup "$run/cgroup"
mount -t sysfs sysfs /sys # shows this network namespace's interfaces
mount --move "$run/cgroup" /sys/fs/cgroup
rmdir "$run/cgroup"
mount -t bpf bpf /sys/fs/bpf 2>/dev/null || :
for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do # its own groups are all that the node sees of them
  [ ! -d "$tree/$group" ] || mount --bind "$tree/$group" "$tree"
done

# Without this the node would hold on to the namespaces of other planets after their end.
umount -R -l /run/netns 2>/dev/null || :
mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
mkdir -p /run/wireguard
mount -t tmpfs tmpfs /run/wireguard # sockets of wireguard-go, which are named after interfaces

echo "$name" >/proc/sys/kernel/hostname
mkdir -p /run/godwit /var/lib/godwit
for file in hosts resolv.conf; do
  [ ! -e "$run/$file" ] || mount --bind "$run/$file" "/etc/$file"
done
mount --bind "$disk" /var/lib/godwit
mount --bind "$run" /run/godwit

cd /proc/sys/net
for family in ipv4 ipv6; do
  echo 1 >$family/fib_multipath_hash_policy # a flow, not a pair of addresses, picks among equal paths
done
echo "$forwarding" >ipv4/ip_forward
echo "$forwarding" >ipv6/conf/all/forwarding
for which in all default; do
  echo 0 >ipv4/conf/$which/rp_filter # asymmetric paths are normal between regions
  echo 0 >ipv6/conf/$which/accept_dad # addresses are planned: no wait for duplicates
  echo 0 >ipv6/conf/$which/accept_ra
  echo 1 >ipv6/conf/$which/keep_addr_on_down # a cut link that heals still has its addresses
done

cd /
echo "$outer_pid"
exec tini -- sleep infinity >/dev/null 2>&1
