/*
 * Network policies of apps: in a direction that is policed, a connection may be opened to the listed ports alone. What
 * belongs to a connection that was let through passes both ways, for as long as the end that opened it is heard. The
 * platform's own services, flycast and what the host says itself never come here.
 */
#pragma once
#include "layer4.h"

#define SECONDS 1000000000ULL
/* Idle times that a connection outlives. Sources: RFC 5382, REQ-5; RFC 4787, REQ-5. */
#define FLOW_TCP_NS (7440 * SECONDS)
#define FLOW_UDP_NS (300 * SECONDS)
#define FLOW_OTHER_NS (60 * SECONDS)

enum {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_ECHO_REQUEST = 8,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER_PROBLEM = 12,
	TCP_FLAGS_AT = 13,
	TCP_SYN = 0x02,
	TCP_ACK = 0x10,
	IPV4_BYTES = 20, /* without options, which no machine gets or sends */
};

/* What stands behind the IP header and its extensions. */
struct upper {
	__u32 at;
	__u32 fragment; /* its identifier */
	__u8 protocol;
	bool is_fragmented;
	bool is_later; /* of its packet another fragment has the upper header */
};

/* False: it has none that can be found, and check_headers() has its reason. */
INLINE bool find_upper6(struct __sk_buff *skb, __u32 at, __u8 next, struct upper *upper) {
	__u8 bytes[8];
#pragma unroll
	for (int count = 0; count <= EXTENSION_COUNT_MAX; count++) {
		if (next != NEXT_FRAGMENT && next != NEXT_DESTINATION_OPTIONS && next != NEXT_AUTHENTICATION) {
			upper->at = at;
			upper->protocol = next;
			return true;
		}
		if (bpf_skb_load_bytes(skb, at, bytes, 8) < 0) return false;
		if (next == NEXT_FRAGMENT) {
			upper->is_fragmented = true;
			upper->fragment = FIELD(bytes + 4);
			upper->is_later = bytes[2] != 0 || (bytes[3] & 0xf8) != 0;
			if (upper->is_later) return true;
			at += 8;
		} else at += next == NEXT_AUTHENTICATION ? (bytes[1] + 2) * 4 : (bytes[1] + 1) * 8;
		next = bytes[0];
	}
	return false;
}

INLINE void find_upper4(const struct iphdr *ip, struct upper *upper) {
	upper->at = ETH_HLEN + IPV4_BYTES;
	upper->protocol = ip->protocol;
	upper->fragment = ip->id;
	upper->is_fragmented = (ip->frag_off & bpf_htons(0x3fff)) != 0;
	upper->is_later = (ip->frag_off & bpf_htons(0x1fff)) != 0;
}

INLINE bool is_echo_request(__u8 protocol, __u8 type) {
	return protocol == NEXT_ICMP6 ? type == ICMP6_ECHO_REQUEST : type == ICMP4_ECHO_REQUEST;
}

INLINE bool is_echo(__u8 protocol, __u8 type) {
	if (is_echo_request(protocol, type)) return true;
	return protocol == NEXT_ICMP6 ? type == ICMP6_ECHO_REPLY : type == ICMP4_ECHO_REPLY;
}

INLINE bool is_icmp_error(__u8 protocol, __u8 type) {
	if (protocol == NEXT_ICMP6) return type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER_PROBLEM;
	return type == ICMP4_UNREACHABLE || type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAMETER_PROBLEM;
}

/* Ports, as far as the protocol has any. False: it is cut short. `opens`: no reply looks like it. */
INLINE bool read_ports(struct __sk_buff *skb, __u32 at, enum direction direction, struct flow_key *key, bool *opens) {
	__u8 bytes[8], flags;
	bool is_icmp = key->protocol == NEXT_ICMP6 || key->protocol == IPPROTO_ICMP;
	bool has_ports = key->protocol == IPPROTO_TCP || key->protocol == IPPROTO_UDP || key->protocol == NEXT_SCTP;
	key->remote_port = key->local_port = 0;
	if (!is_icmp && !has_ports) return true;
	if (bpf_skb_load_bytes(skb, at, bytes, 8) < 0) return false;
	__be16 first = bytes[0] | (bytes[1] << 8), second = bytes[2] | (bytes[3] << 8);
	if (is_icmp) {
		*opens = is_echo_request(key->protocol, bytes[0]);
		if (is_echo(key->protocol, bytes[0])) key->remote_port = key->local_port = bytes[4] | (bytes[5] << 8);
		return true;
	}
	key->local_port = direction == DIRECTION_EGRESS ? first : second;
	key->remote_port = direction == DIRECTION_EGRESS ? second : first;
	if (key->protocol != IPPROTO_TCP) return true;
	if (bpf_skb_load_bytes(skb, at + TCP_FLAGS_AT, &flags, 1) < 0) flags = 0; /* quoted by an error */
	*opens = (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	return true;
}

INLINE struct flow *find_flow(void *flows_here, const struct flow_key *key, __u64 now_ns) {
	struct flow *flow = bpf_map_lookup_elem(flows_here, key);
	if (!flow) return NULL;
	__u64 idle_ns = key->protocol == IPPROTO_TCP   ? FLOW_TCP_NS
			: key->protocol == IPPROTO_UDP ? FLOW_UDP_NS
						       : FLOW_OTHER_NS;
	return now_ns - flow->seen_ns <= idle_ns ? flow : NULL;
}

/*
 * Whether an ICMP error speaks of a connection that was let through: the start of a packet that went the other way
 * stands in it. Leaves that packet's in `key`.
 */
INLINE bool is_error_of_flow(struct __sk_buff *skb, __u32 at, bool is_ipv4, enum direction direction,
			     void *flows_here, struct flow_key *key, __u64 now_ns) {
	bool opens;
	enum direction inner = direction == DIRECTION_EGRESS ? DIRECTION_INGRESS : DIRECTION_EGRESS;
	__u32 inner_at = at + 8, ports_at = inner_at + (is_ipv4 ? IPV4_BYTES : sizeof(struct ip6));
	__u32 protocol_at = inner_at + (is_ipv4 ? offsetof(struct iphdr, protocol) : offsetof(struct ip6, next));
	__u32 source_at = inner_at + (is_ipv4 ? offsetof(struct iphdr, saddr) : offsetof(struct ip6, source));
	__u8 *source = inner == DIRECTION_EGRESS ? key->local : key->remote;
	__u8 *target = inner == DIRECTION_EGRESS ? key->remote : key->local;
	if (bpf_skb_load_bytes(skb, protocol_at, &key->protocol, 1) < 0) return false;
	if (is_ipv4) {
		if (bpf_skb_load_bytes(skb, source_at, source + 12, 4) < 0) return false;
		if (bpf_skb_load_bytes(skb, source_at + 4, target + 12, 4) < 0) return false;
	} else {
		if (bpf_skb_load_bytes(skb, source_at, source, 16) < 0) return false;
		if (bpf_skb_load_bytes(skb, source_at + 16, target, 16) < 0) return false;
	}
	return read_ports(skb, ports_at, inner, key, &opens) && find_flow(flows_here, key, now_ns);
}

INLINE bool is_listed(const struct policy *policy, enum direction direction, const struct flow_key *key) {
	const struct policy_port *ports = direction == DIRECTION_EGRESS ? policy->egress : policy->ingress;
	__be16 port = direction == DIRECTION_EGRESS ? key->remote_port : key->local_port;
	if (key->protocol != IPPROTO_TCP && key->protocol != IPPROTO_UDP) return false;
	for (int index = 0; index < POLICY_PORT_COUNT_MAX; index++) {
		if (ports[index].protocol == 0) return false;
		if (ports[index].protocol == key->protocol && ports[index].port == port) return true;
	}
	return false;
}

/* `key` has the addresses, and zeros else. */
INLINE enum drop_reason check_flow(struct __sk_buff *skb, const struct machine *machine, enum direction direction,
				   bool is_ipv4, const struct upper *upper, struct flow_key *key) {
	bool is_policed = (machine->policed & direction) != 0, opens = false;
	enum drop_reason denied = direction == DIRECTION_EGRESS ? DROP_EGRESS_POLICY : DROP_INGRESS_POLICY;
	__u32 ifindex = skb->ifindex;
	__u64 now_ns = bpf_ktime_get_ns();
	struct flow opened = { .seen_ns = now_ns, .opener = direction };
	void *flows_here = bpf_map_lookup_elem(&flows, &ifindex);
	struct policy *policy = bpf_map_lookup_elem(&policies, &ifindex);
	if (!flows_here || !policy) return denied;
	if (upper->is_later) {
		if (!is_policed) return DROP_NONE;
		key->protocol = NEXT_FRAGMENT;
		key->remote_port = upper->fragment;
		key->local_port = upper->fragment >> 16;
		return find_flow(flows_here, key, now_ns) ? DROP_NONE : denied;
	}
	key->protocol = upper->protocol;
	if (!read_ports(skb, upper->at, direction, key, &opens)) return DROP_MALFORMED;
	if (key->protocol == NEXT_ICMP6 || key->protocol == IPPROTO_ICMP) {
		__u8 type = 0;
		if (bpf_skb_load_bytes(skb, upper->at, &type, 1) < 0) return DROP_MALFORMED;
		if (is_icmp_error(key->protocol, type)) {
			if (!is_policed) return DROP_NONE;
			bool is_known =
				is_error_of_flow(skb, upper->at, is_ipv4, direction, flows_here, key, now_ns);
			return is_known ? DROP_NONE : denied;
		}
	}
	struct flow *flow = opens ? NULL : find_flow(flows_here, key, now_ns);
	if (flow) {
		if (flow->opener == direction) flow->seen_ns = now_ns;
	} else {
		if (is_policed && !is_listed(policy, direction, key)) return denied;
		bpf_map_update_elem(flows_here, key, &opened, BPF_ANY);
	}
	if (is_policed && upper->is_fragmented) {
		key->protocol = NEXT_FRAGMENT;
		key->remote_port = upper->fragment;
		key->local_port = upper->fragment >> 16;
		bpf_map_update_elem(flows_here, key, &opened, BPF_ANY);
	}
	return DROP_NONE;
}

INLINE enum drop_reason check_policy6(struct __sk_buff *skb, const struct machine *machine, enum direction direction,
				      const struct ip6 *ip) {
	struct upper upper = {};
	struct flow_key key = {};
	if (machine->policed == 0) return DROP_NONE;
	if (!find_upper6(skb, ETH_HLEN + sizeof *ip, ip->next, &upper)) return DROP_EXTENSION_HEADER;
	__builtin_memcpy(key.local, direction == DIRECTION_EGRESS ? &ip->source : &ip->target, 16);
	__builtin_memcpy(key.remote, direction == DIRECTION_EGRESS ? &ip->target : &ip->source, 16);
	return check_flow(skb, machine, direction, false, &upper, &key);
}

INLINE void map_ipv4(__u8 address[16], __be32 ipv4) {
	address[10] = address[11] = 0xff;
	__builtin_memcpy(address + 12, &ipv4, 4);
}

INLINE enum drop_reason check_policy4(struct __sk_buff *skb, const struct machine *machine, enum direction direction,
				      const struct iphdr *ip) {
	struct upper upper = {};
	struct flow_key key = {};
	if (machine->policed == 0) return DROP_NONE;
	find_upper4(ip, &upper);
	map_ipv4(key.local, direction == DIRECTION_EGRESS ? ip->saddr : ip->daddr);
	map_ipv4(key.remote, direction == DIRECTION_EGRESS ? ip->daddr : ip->saddr);
	return check_flow(skb, machine, direction, true, &upper, &key);
}
