# Becomes the first process of a machine of its own: with its own network, processes and mounts, and all of them end with
# it. Run by `unshare`; $1 is the folder of the cluster, $2 the program that stays.
set -eu
# Its number outside, which it does not know any more once it sees its own processes alone.
read -r number rest </proc/self/stat
mount --make-rprivate /
mount -t proc proc /proc
# What containerd, the kubelet and the network plugins write outside the folders that they are given.
for folder in /run /var/log /var/lib/kubelet /var/lib/cni /var/lib/containerd; do
	mkdir -p "$folder"
	mount -t tmpfs tmpfs "$folder"
done
# The kubelet sets these for the whole system, unless they are so already; here they look as if they were.
pretend() {
	printf '%s\n' "$2" >"$folder/pretended-$(basename "$1")"
	mount --bind "$folder/pretended-$(basename "$1")" "/proc/sys/$1"
}
folder=/run
pretend vm/overcommit_memory 1
pretend kernel/panic 10
pretend kernel/panic_on_oops 1
echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up
echo "$number" >"$1/machine.new"
mv "$1/machine.new" "$1/machine"
exec "$2"
