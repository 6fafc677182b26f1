/*
 * At the WireGuard device of people's machines (peers). WireGuard lets a peer send from its own /120 alone, so the source says
 * which network it belongs to. A peer has what a machine of its network has, but for the internet.
 */
#pragma once
#include "machine.h"

/* The network of the source has peers at this device: src/net6/gateway says so. */
INLINE bool is_peer_here(struct __sk_buff *skb, const struct six_pn *source) {
	return source->ula == ULA && is_peer(source) && local_link(source) == skb->ifindex;
}

INLINE int take_from_peer(struct __sk_buff *skb, __u32 at) {
	struct ip6 ip;
	struct verdict verdict = { DROP_NONE, TC_ACT_OK };
	struct counters *seen = counters_of(skb->ifindex);
	if (!seen) return TC_ACT_SHOT;
	seen->in_packets += 1;
	seen->in_bytes += skb->len;
	if (bpf_skb_load_bytes(skb, at, &ip, sizeof ip) < 0 || (ip.version_class[0] & 0xf0) != 0x60)
		return drop(seen, DROP_MALFORMED);
	if (!is_peer_here(skb, &ip.source)) return drop(seen, DROP_SOURCE_SPOOFED);
	if (ip.target.ula != ULA) return drop(seen, DROP_DENIED_DESTINATION);
	if (!SAME(ip.target.network, ip.source.network)) return drop(seen, DROP_OTHER_NETWORK);
	if (is_network_platform(&ip.target)) verdict.reason = check_network_service(skb, at, &ip);
	else if (FIELD(ip.target.host) == FLYCAST_HOST) verdict.reason = check_flycast(skb, at, &ip);
	else verdict = forward_six_pn(skb, at, &ip);
	return verdict.reason == DROP_NONE ? verdict.action : drop(seen, verdict.reason);
}

SEC("tc") int from_peer(struct __sk_buff *skb) {
	return take_from_peer(skb, 0);
}

/* The same for frames with a link header, which is all that BPF_PROG_TEST_RUN can make. */
SEC("tc") int from_peer_frame(struct __sk_buff *skb) {
	return take_from_peer(skb, ETH_HLEN);
}

INLINE int give_to_peer(struct __sk_buff *skb, __u32 at) {
	struct ip6 ip;
	struct counters *seen = counters_of(skb->ifindex);
	if (!seen) return TC_ACT_SHOT;
	if (bpf_skb_load_bytes(skb, at, &ip, sizeof ip) < 0 || (ip.version_class[0] & 0xf0) != 0x60)
		return drop(seen, DROP_MALFORMED);
	if (!is_peer_here(skb, &ip.target)) return drop(seen, DROP_NOT_FOR_MACHINE);
	bool is_network = ip.source.ula == ULA && SAME(ip.source.network, ip.target.network);
	if (!is_network && !(ip.source.ula == ULA && is_platform(&ip.source))) return drop(seen, DROP_OTHER_NETWORK);
	if (!answer_as_network(skb, at, &ip)) return drop(seen, DROP_MALFORMED);
	seen->out_packets += 1;
	seen->out_bytes += skb->len;
	return TC_ACT_OK;
}

SEC("tc") int to_peer(struct __sk_buff *skb) {
	return give_to_peer(skb, 0);
}

SEC("tc") int to_peer_frame(struct __sk_buff *skb) {
	return give_to_peer(skb, ETH_HLEN);
}
