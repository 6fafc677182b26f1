/*
 * Port 22 of a machine's 6PN address is answered by its host: packets to it go to a device behind which the host serves SSH
 * (`gwssh0`, src/net6/ssh-end), past the machine, and the answers travel under the machine's address. Which device that is
 * stands in `services`, under the unspecified address; without an entry the machine itself is asked.
 */
#pragma once
#include "layer4.h"

#define MACHINE_LOW bpf_htons(2)
#define SSH_PORT bpf_htons(22)

/* 0: the packet is for the machine itself. */
INLINE __u32 ssh_end(struct __sk_buff *skb, __u32 at, const struct ip6 *ip) {
	struct ports ports;
	struct service_key key = {};
	if (ip->next != IPPROTO_TCP || ip->target.low != MACHINE_LOW || is_peer(&ip->target)) return 0;
	if (bpf_skb_load_bytes(skb, at + sizeof *ip, &ports, sizeof ports) < 0 || ports.target != SSH_PORT) return 0;
	key.port = ports.target;
	key.protocol = ip->next;
	__u32 *ifindex = bpf_map_lookup_elem(&services, &key);
	return ifindex ? *ifindex : 0;
}

/* Where a packet for a machine or a peer of this host goes; 0: there is no such one. */
INLINE __u32 local_end(struct __sk_buff *skb, __u32 at, const struct ip6 *ip) {
	__u32 link = local_link(&ip->target);
	__u32 ssh = link != 0 ? ssh_end(skb, at, ip) : 0;
	return ssh != 0 ? ssh : link;
}
