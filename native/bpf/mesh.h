/*
 * At a mesh device. On the mesh the fields of an address are swapped, fdaa:HOST:NETWORK:MACHINE:LOW, so that
 * one prefix is all that WireGuard must know of a host; the first word of HOST says which of the host's two
 * keys it was sealed for (its generation). `from_mesh` puts addresses right and takes packets to machines,
 * `to_mesh` is for what the host itself sends to other hosts (network 0).
 */
#pragma once
#include "ssh.h"

INLINE int pass_to_host(struct __sk_buff *skb, __u32 at, const struct ip6 *ip) {
	if (bpf_skb_store_bytes(skb, at + offsetof(struct ip6, source), &ip->source, 32, 0) < 0) return TC_ACT_SHOT;
	return TC_ACT_OK;
}

INLINE int deliver(struct __sk_buff *skb, __u32 at, const struct ip6 *ip, struct counters *seen) {
	__u32 ifindex = local_end(skb, at, ip);
	if (ifindex == 0) return drop(seen, DROP_MACHINE_UNKNOWN);
	if (bpf_skb_store_bytes(skb, at + offsetof(struct ip6, source), &ip->source, 32, 0) < 0)
		return drop(seen, DROP_MALFORMED);
	if (!make_frame(skb, at, ifindex, &ip->target)) return drop(seen, DROP_MACHINE_UNKNOWN);
	seen->in_packets += 1;
	seen->in_bytes += skb->len;
	return bpf_redirect(ifindex, 0);
}

INLINE int receive(struct __sk_buff *skb, __u32 at) {
	struct ip6 ip;
	__u32 zero = 0;
	struct counters *seen = counters_of(skb->ifindex);
	struct settings *own = bpf_map_lookup_elem(&settings, &zero);
	if (!seen || !own) return TC_ACT_SHOT;
	if (bpf_skb_load_bytes(skb, at, &ip, sizeof ip) < 0 || (ip.version_class[0] & 0xf0) != 0x60)
		return drop(seen, DROP_MALFORMED);
	bool is_mesh = ip.source.ula == ULA && ip.target.ula == ULA && is_host_marker(ip.source.network[0]) &&
		       is_host_marker(ip.target.network[0]);
	if (!is_mesh) return drop(seen, DROP_SOURCE_SPOOFED);
	ip.source.network[0] = ip.target.network[0] = bpf_htons(HOST_MARKER);
	if (!SAME(ip.target.network, own->host)) return drop(seen, DROP_HOST_UNKNOWN);
	if (!SAME(ip.source.host, ip.target.host)) return drop(seen, DROP_OTHER_NETWORK);
	if (FIELD(ip.target.host) == 0) return pass_to_host(skb, at, &ip);
	swap_fields(&ip.source);
	swap_fields(&ip.target);
	return deliver(skb, at, &ip, seen);
}

SEC("tc") int from_mesh(struct __sk_buff *skb) {
	return receive(skb, 0);
}

/* The same for frames with a link header, which is all that BPF_PROG_TEST_RUN can make. */
SEC("tc") int from_mesh_frame(struct __sk_buff *skb) {
	return receive(skb, ETH_HLEN);
}

SEC("tc") int to_mesh(struct __sk_buff *skb) {
	struct ip6 ip;
	struct counters *seen = counters_of(skb->ifindex);
	if (!seen) return TC_ACT_SHOT;
	if (skb->mark != MESH_MARK) {
		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof ip) < 0) return drop(seen, DROP_MALFORMED);
		bool is_backhaul = (ip.version_class[0] & 0xf0) == 0x60 && ip.source.ula == ULA && ip.target.ula == ULA &&
				   FIELD(ip.source.host) == 0 && FIELD(ip.target.host) == 0;
		if (!is_backhaul) return drop(seen, DROP_SOURCE_SPOOFED);
		struct route *route = route_to(ip.target.network);
		if (!route) return drop(seen, DROP_HOST_UNKNOWN);
		ip.source.network[0] = bpf_htons(HOST_MARKER + (route->local_generation & 1));
		ip.target.network[0] = bpf_htons(HOST_MARKER + (route->remote_generation & 1));
		if (bpf_skb_store_bytes(skb, offsetof(struct ip6, source), &ip.source, 32, 0) < 0)
			return drop(seen, DROP_MALFORMED);
		skb->mark = MESH_MARK;
		if (route->ifindex != skb->ifindex) return bpf_redirect(route->ifindex, 0);
	}
	seen->out_packets += 1;
	seen->out_bytes += skb->len;
	return TC_ACT_OK;
}
