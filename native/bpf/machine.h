/*
 * At the host's end of a machine's link. `from_machine` decides on every frame that the machine sends, and
 * takes 6PN packets to their end itself; `to_machine` decides on all that the host would hand to it.
 * What is not allowed is dropped with its reason. docs/network.md has the rules in words.
 */
#pragma once
#include "neighbour.h"
#include "platform.h"
#include "policy.h"
#include "ssh.h"

#ifndef AF_INET
#define AF_INET 2
#define AF_INET6 10
#endif
#define NANOSECONDS_PER_SECOND 1000000000ULL
#define FLYCAST_HOST bpf_htonl(1)

struct verdict {
	enum drop_reason reason;
	int action;
};

INLINE int settle(struct counters *seen, enum drop_reason reason) {
	return reason == DROP_NONE ? TC_ACT_OK : drop(seen, reason);
}

/* A token bucket: what does not fit is dropped, which is how TCP learns the rate. */
INLINE bool is_within_rate(const struct machine *machine, __u32 ifindex, __u32 bytes) {
	if (machine->rate_bytes_per_s == 0) return true;
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &ifindex);
	if (!bucket) return true;
	__u64 now_ns = bpf_ktime_get_ns(), burst = machine->burst_bytes, rate = machine->rate_bytes_per_s;
	bool fits = false;
	bpf_spin_lock(&bucket->lock);
	__u64 passed_ns = now_ns > bucket->filled_ns ? now_ns - bucket->filled_ns : 0;
	if (passed_ns > NANOSECONDS_PER_SECOND) passed_ns = NANOSECONDS_PER_SECOND;
	__u64 tokens = bucket->tokens_bytes + passed_ns * (rate >> 10) / (NANOSECONDS_PER_SECOND >> 10);
	if (tokens > burst) tokens = burst;
	if (tokens >= bytes) {
		fits = true;
		tokens -= bytes;
	}
	bucket->tokens_bytes = tokens;
	bucket->filled_ns = now_ns;
	bpf_spin_unlock(&bucket->lock);
	return fits;
}

/* Where the kernel would send it: nowhere but onwards, for all addresses that the host has are its own. */
INLINE bool is_for_host(struct __sk_buff *skb, struct bpf_fib_lookup *query) {
	query->ifindex = skb->ifindex;
	return bpf_fib_lookup(skb, query, sizeof *query, 0) == BPF_FIB_LKUP_RET_NOT_FWDED;
}

/* The reply to a connection that the host opened: its proxy's, or a health check's. */
INLINE bool answers_host(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 bytes) {
	struct bpf_sock *socket = bpf_skc_lookup_tcp(skb, tuple, bytes, BPF_F_CURRENT_NETNS, 0);
	if (!socket) return false;
	bool is_connection = socket->state != BPF_TCP_LISTEN;
	bpf_sk_release(socket);
	return is_connection;
}

INLINE bool answers_host4(struct __sk_buff *skb, const struct iphdr *ip, const struct ports *ports) {
	struct bpf_sock_tuple tuple = {};
	tuple.ipv4.saddr = ip->saddr;
	tuple.ipv4.daddr = ip->daddr;
	tuple.ipv4.sport = ports->source;
	tuple.ipv4.dport = ports->target;
	return answers_host(skb, &tuple, sizeof tuple.ipv4);
}

INLINE bool answers_host6(struct __sk_buff *skb, const struct ip6 *ip) {
	struct ports ports;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof *ip, &ports, sizeof ports) < 0) return false;
	struct bpf_sock_tuple tuple = {};
	__builtin_memcpy(tuple.ipv6.saddr, &ip->source, sizeof tuple.ipv6.saddr);
	__builtin_memcpy(tuple.ipv6.daddr, &ip->target, sizeof tuple.ipv6.daddr);
	tuple.ipv6.sport = ports.source;
	tuple.ipv6.dport = ports.target;
	return answers_host(skb, &tuple, sizeof tuple.ipv6);
}

INLINE bool is_fragment(const struct iphdr *ip) {
	return (ip->frag_off & bpf_htons(0x3fff)) != 0;
}

INLINE enum drop_reason check_gateway4(struct __sk_buff *skb, const struct iphdr *ip) {
	struct ports ports;
	if (is_fragment(ip)) return DROP_FRAGMENT;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof *ip, &ports, sizeof ports) < 0) return DROP_MALFORMED;
	if (ip->protocol == IPPROTO_ICMP) return DROP_NONE; /* pings and errors; the kernel limits its answers */
	if (ip->protocol == IPPROTO_TCP && answers_host4(skb, ip, &ports)) return DROP_NONE;
	return DROP_HOST_SERVICE;
}

INLINE enum drop_reason check_internet4(struct __sk_buff *skb, const struct iphdr *ip) {
	__u8 first = ((__u8 *)&ip->daddr)[0];
	if (first >= 224 || first == 0) return DROP_MULTICAST;
	struct prefix4 key = { .bits = 32 };
	__builtin_memcpy(key.address, &ip->daddr, 4);
	__u32 *destination = bpf_map_lookup_elem(&destinations4, &key);
	if (destination && *destination == DESTINATION_DENIED) return DROP_DENIED_DESTINATION;
	if (destination && *destination == DESTINATION_EDGE) {
		if (is_fragment(ip)) return DROP_FRAGMENT;
		return ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP || ip->protocol == IPPROTO_ICMP
			       ? DROP_NONE
			       : DROP_HOST_SERVICE;
	}
	struct bpf_fib_lookup query = { .family = AF_INET, .tot_len = 0 };
	query.ipv4_src = ip->saddr;
	query.ipv4_dst = ip->daddr;
	return is_for_host(skb, &query) ? DROP_HOST_SERVICE : DROP_NONE;
}

INLINE enum drop_reason check_ipv4(struct __sk_buff *skb, const struct machine *machine) {
	struct iphdr ip;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0) return DROP_MALFORMED;
	if (ip.version != 4) return DROP_MALFORMED;
	if (ip.ihl != 5) return DROP_IP_OPTIONS;
	if (ip.saddr != machine->ipv4 && ip.saddr != machine->ipv4_second) return DROP_SOURCE_SPOOFED;
	if (ip.daddr == machine->ipv4_gateway) return check_gateway4(skb, &ip);
	enum drop_reason reason = check_internet4(skb, &ip);
	bool is_proxied = ip.saddr == machine->ipv4_second; /* public UDP: the proxy sends it, or nobody */
	return reason != DROP_NONE || is_proxied ? reason : check_policy4(skb, machine, DIRECTION_EGRESS, &ip);
}

/* The gateway of the machine's own link, and the addresses beside its own that nobody has. */
INLINE enum drop_reason check_own_link(struct __sk_buff *skb, const struct ip6 *ip, const struct machine *machine) {
	__u8 type;
	if (ip->next != NEXT_ICMP6) {
		enum drop_reason reason = check_for_host(ip->next);
		if (reason != DROP_NONE) return reason;
		bool is_answer = ip->next == IPPROTO_TCP && ip->target.low == GATEWAY_LOW && answers_host6(skb, ip);
		return is_answer ? DROP_NONE : DROP_HOST_SERVICE;
	}
	if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof *ip, &type, 1) < 0) return DROP_MALFORMED;
	if (type == ICMP6_NEIGHBOUR_SOLICITATION || type == ICMP6_NEIGHBOUR_ADVERTISEMENT)
		return check_neighbour(skb, ip, machine);
	if (is_neighbour_message(type)) return DROP_ROUTER_ADVERTISEMENT;
	return ip->target.low == GATEWAY_LOW ? DROP_NONE : DROP_HOST_SERVICE;
}

/*
 * The resolver, the API and what else the platform offers at `service`. `at` is where the IP header begins:
 * behind a link header, or at once.
 */
INLINE enum drop_reason check_service(struct __sk_buff *skb, __u32 at, const struct ip6 *ip,
				      const struct six_pn *service) {
	struct ports ports;
	enum drop_reason reason = check_for_host(ip->next);
	if (reason != DROP_NONE) return reason;
	if (bpf_skb_load_bytes(skb, at + sizeof *ip, &ports, sizeof ports) < 0) return DROP_MALFORMED;
	struct service_key key = { .protocol = ip->next };
	__builtin_memcpy(key.address, service, sizeof key.address);
	if (ip->next == NEXT_ICMP6) {
		__u8 type = ((__u8 *)&ports)[0];
		bool is_error = type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER_PROBLEM;
		if (!is_error && type != ICMP6_ECHO_REQUEST) return DROP_HOST_SERVICE;
	} else {
		key.port = ports.target;
	}
	return bpf_map_lookup_elem(&services, &key) ? DROP_NONE : DROP_HOST_SERVICE;
}

/* The same at the network's own address, which the host itself knows as another one. */
INLINE enum drop_reason check_network_service(struct __sk_buff *skb, __u32 at, struct ip6 *ip) {
	struct six_pn service = platform_address(PLATFORM_LOW);
	enum drop_reason reason = check_service(skb, at, ip, &service);
	if (reason != DROP_NONE) return reason;
	service.low = NETWORK_PLATFORM_LOW;
	return readdress(skb, at, ip->next, offsetof(struct ip6, target), &ip->target, &service) ? DROP_NONE
												   : DROP_MALFORMED;
}

INLINE enum drop_reason check_flycast(struct __sk_buff *skb, __u32 at, const struct ip6 *ip) {
	__u8 type;
	enum drop_reason reason = check_for_host(ip->next);
	if (reason != DROP_NONE) return reason;
	if (!bpf_map_lookup_elem(&flycast, &ip->target)) return DROP_FLYCAST_UNKNOWN;
	if (ip->next == IPPROTO_TCP) return DROP_NONE;
	if (ip->next != NEXT_ICMP6) return DROP_HOST_SERVICE;
	if (bpf_skb_load_bytes(skb, at + sizeof *ip, &type, 1) < 0) return DROP_MALFORMED;
	bool is_error = type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER_PROBLEM;
	return is_error || type == ICMP6_ECHO_REQUEST ? DROP_NONE : DROP_HOST_SERVICE;
}

/* To a machine or a peer of the same network, here or at another host: past the host's own network stack. */
INLINE struct verdict forward_six_pn(struct __sk_buff *skb, __u32 at, struct ip6 *ip) {
	struct verdict dropped = { .action = TC_ACT_SHOT };
	__u32 limit_at = at + offsetof(struct ip6, hop_limit);
	dropped.reason = check_headers(skb, at + sizeof *ip, ip->next);
	if (dropped.reason != DROP_NONE) return dropped;
	if (ip->hop_limit <= 1) return (struct verdict){ DROP_HOP_LIMIT, TC_ACT_SHOT };
	ip->hop_limit -= 1;
	__u32 ifindex = local_end(skb, at, ip);
	if (ifindex != 0) {
		if (bpf_skb_store_bytes(skb, limit_at, &ip->hop_limit, 1, 0) < 0 ||
		    !make_frame(skb, at, ifindex, &ip->target))
			return (struct verdict){ DROP_MACHINE_UNKNOWN, TC_ACT_SHOT };
		return (struct verdict){ DROP_NONE, bpf_redirect(ifindex, 0) };
	}
	struct route *route = route_to(ip->target.host);
	if (!route) {
		__u32 zero = 0;
		struct settings *own = bpf_map_lookup_elem(&settings, &zero);
		bool is_here = own && SAME(own->host, ip->target.host);
		return (struct verdict){ is_here ? DROP_MACHINE_UNKNOWN : DROP_HOST_UNKNOWN, TC_ACT_SHOT };
	}
	swap_fields(&ip->source);
	swap_fields(&ip->target);
	ip->source.network[0] = bpf_htons(HOST_MARKER + (route->local_generation & 1));
	ip->target.network[0] = bpf_htons(HOST_MARKER + (route->remote_generation & 1));
	if (bpf_skb_store_bytes(skb, limit_at, &ip->hop_limit, 33, 0) < 0)
		return (struct verdict){ DROP_MALFORMED, TC_ACT_SHOT };
	skb->mark = MESH_MARK;
	return (struct verdict){ DROP_NONE, bpf_redirect(route->ifindex, 0) };
}

INLINE enum drop_reason check_internet6(struct __sk_buff *skb, const struct ip6 *ip) {
	enum drop_reason reason;
	struct prefix6 key = { .bits = 128 };
	__builtin_memcpy(key.address, &ip->target, sizeof key.address);
	__u32 *destination = bpf_map_lookup_elem(&destinations6, &key);
	bool is_global = (key.address[0] & 0xe0) == 0x20; /* 2000::/3 */
	__u32 kind = destination ? *destination : is_global ? DESTINATION_OPEN : DESTINATION_DENIED;
	if (kind == DESTINATION_DENIED) return DROP_DENIED_DESTINATION;
	if (kind == DESTINATION_EDGE) return check_for_host(ip->next);
	reason = check_headers(skb, ETH_HLEN + sizeof *ip, ip->next);
	if (reason != DROP_NONE) return reason;
	struct bpf_fib_lookup query = { .family = AF_INET6 };
	__builtin_memcpy(query.ipv6_src, &ip->source, 16);
	__builtin_memcpy(query.ipv6_dst, &ip->target, 16);
	return is_for_host(skb, &query) ? DROP_HOST_SERVICE : DROP_NONE;
}

/* Link-local and multicast: solicitations and advertisements of the machine's own addresses, nothing else. */
INLINE enum drop_reason check_on_link(struct __sk_buff *skb, const struct ip6 *ip, const struct machine *machine) {
	__u8 type;
	enum drop_reason other = ((__u8 *)&ip->target)[0] == 0xff ? DROP_MULTICAST : DROP_LINK_LOCAL;
	if (ip->next == NEXT_FRAGMENT) return DROP_FRAGMENT;
	if (ip->next != NEXT_ICMP6) return other;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof *ip, &type, 1) < 0) return DROP_MALFORMED;
	if (!is_neighbour_message(type)) return other;
	if (type != ICMP6_NEIGHBOUR_SOLICITATION && type != ICMP6_NEIGHBOUR_ADVERTISEMENT)
		return DROP_ROUTER_ADVERTISEMENT;
	return check_neighbour(skb, ip, machine);
}

INLINE struct verdict check_ipv6(struct __sk_buff *skb, const struct machine *machine) {
	struct verdict verdict = { DROP_NONE, TC_ACT_OK };
	struct ip6 ip;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0 || (ip.version_class[0] & 0xf0) != 0x60) {
		verdict.reason = DROP_MALFORMED;
		return verdict;
	}
	const __u8 *target = (const __u8 *)&ip.target;
	bool is_on_link = target[0] == 0xff || (target[0] == 0xfe && (target[1] & 0xc0) == 0x80);
	if (!is_of_machine(&ip.source, &machine->address)) {
		bool is_link_source = is_own_link_local(&ip.source, machine->mac) || is_unspecified(&ip.source);
		bool is_own_target = is_of_machine(&ip.target, &machine->address);
		if (!is_link_source) verdict.reason = DROP_SOURCE_SPOOFED;
		else if (is_own_target) verdict.reason = check_own_link(skb, &ip, machine);
		else verdict.reason = is_on_link ? check_on_link(skb, &ip, machine) : DROP_SOURCE_SPOOFED;
	} else if (is_on_link) verdict.reason = check_on_link(skb, &ip, machine);
	else if (ip.target.ula != ULA) {
		verdict.reason = check_internet6(skb, &ip);
		if (verdict.reason == DROP_NONE) verdict.reason = check_policy6(skb, machine, DIRECTION_EGRESS, &ip);
	}
	else if (is_of_machine(&ip.target, &machine->address)) verdict.reason = check_own_link(skb, &ip, machine);
	else if (FIELD(ip.target.network) == 0) verdict.reason = check_service(skb, ETH_HLEN, &ip, &ip.target);
	else if (!SAME(ip.target.network, machine->address.network)) verdict.reason = DROP_OTHER_NETWORK;
	else if (is_network_platform(&ip.target)) verdict.reason = check_network_service(skb, ETH_HLEN, &ip);
	else if (FIELD(ip.target.host) == FLYCAST_HOST) verdict.reason = check_flycast(skb, ETH_HLEN, &ip);
	else {
		verdict.reason = check_policy6(skb, machine, DIRECTION_EGRESS, &ip);
		if (verdict.reason == DROP_NONE) return forward_six_pn(skb, ETH_HLEN, &ip);
	}
	return verdict;
}

SEC("tc") int from_machine(struct __sk_buff *skb) {
	struct ethhdr ethernet;
	__u32 ifindex = skb->ifindex;
	struct counters *seen = counters_of(ifindex);
	struct machine *machine = bpf_map_lookup_elem(&machines, &ifindex);
	if (!machine || !seen) return TC_ACT_SHOT;
	seen->in_packets += 1;
	seen->in_bytes += skb->len;
	if (skb->vlan_present) return drop(seen, DROP_ETHERTYPE);
	if (bpf_skb_load_bytes(skb, 0, &ethernet, sizeof ethernet) < 0) return drop(seen, DROP_MALFORMED);
	if (!same_mac(ethernet.h_source, machine->mac)) return drop(seen, DROP_MAC_SPOOFED);
	if (!is_within_rate(machine, ifindex, skb->len)) return drop(seen, DROP_RATE);
	bool is_group = ethernet.h_dest[0] & 1;
	if (!is_group && !same_mac(ethernet.h_dest, machine->gateway_mac)) return drop(seen, DROP_MAC_SPOOFED);
	if (ethernet.h_proto == bpf_htons(ETH_P_ARP)) return settle(seen, check_arp(skb, machine));
	if (ethernet.h_proto == bpf_htons(ETH_P_IP))
		return settle(seen, is_group ? DROP_MULTICAST : check_ipv4(skb, machine));
	if (ethernet.h_proto != bpf_htons(ETH_P_IPV6)) return drop(seen, DROP_ETHERTYPE);
	struct verdict verdict = check_ipv6(skb, machine);
	return verdict.reason == DROP_NONE ? verdict.action : drop(seen, verdict.reason);
}

/* What the host's SSH server says: from port 22 of a machine of this host, to whoever is in its network. */
SEC("tc") int from_ssh(struct __sk_buff *skb) {
	struct ip6 ip;
	struct ports ports;
	struct counters *seen = counters_of(skb->ifindex);
	if (!seen) return TC_ACT_SHOT;
	seen->in_packets += 1;
	seen->in_bytes += skb->len;
	if (skb->protocol != bpf_htons(ETH_P_IPV6)) return drop(seen, DROP_ETHERTYPE);
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0 || (ip.version_class[0] & 0xf0) != 0x60)
		return drop(seen, DROP_MALFORMED);
	if (ip.next != IPPROTO_TCP) return drop(seen, DROP_HOST_SERVICE);
	if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof ip, &ports, sizeof ports) < 0) return drop(seen, DROP_MALFORMED);
	bool is_machine = ip.source.ula == ULA && ip.source.low == MACHINE_LOW && !is_peer(&ip.source) &&
			  local_link(&ip.source) != 0;
	if (!is_machine || ports.source != SSH_PORT) return drop(seen, DROP_SOURCE_SPOOFED);
	if (ip.target.ula != ULA || !SAME(ip.target.network, ip.source.network)) return drop(seen, DROP_OTHER_NETWORK);
	struct verdict verdict = forward_six_pn(skb, ETH_HLEN, &ip);
	return verdict.reason == DROP_NONE ? verdict.action : drop(seen, verdict.reason);
}

/* What stands between others and the machine, whoever they are; connections are the firewall's matter. */
INLINE enum drop_reason check_arrival6(struct __sk_buff *skb, const struct machine *machine) {
	struct ip6 ip;
	__u8 type;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0) return DROP_MALFORMED;
	const __u8 *target = (const __u8 *)&ip.target;
	if (ip.next == NEXT_ICMP6) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof ip, &type, 1) < 0) return DROP_MALFORMED;
		if (type == ICMP6_ROUTER_ADVERTISEMENT || type == ICMP6_REDIRECT) return DROP_ROUTER_ADVERTISEMENT;
	}
	bool is_on_link = target[0] == 0xff || is_own_link_local(&ip.target, machine->mac);
	if (!is_on_link && !is_of_machine(&ip.target, &machine->address)) return DROP_NOT_FOR_MACHINE;
	const __u8 *source = (const __u8 *)&ip.source;
	bool is_link_source = source[0] == 0xfe && (source[1] & 0xc0) == 0x80;
	if (is_on_link || is_link_source) return DROP_NONE; /* the host's own */
	if (ip.source.ula != ULA) return check_policy6(skb, machine, DIRECTION_INGRESS, &ip);
	if (SAME(ip.source.network, machine->address.network)) {
		bool is_host = is_of_machine(&ip.source, &machine->address); /* its end of the link */
		bool is_proxy = FIELD(ip.source.host) == FLYCAST_HOST;
		return is_host || is_proxy ? DROP_NONE : check_policy6(skb, machine, DIRECTION_INGRESS, &ip);
	}
	if (!is_platform(&ip.source)) return DROP_OTHER_NETWORK;
	return answer_as_network(skb, ETH_HLEN, &ip) ? DROP_NONE : DROP_MALFORMED;
}

INLINE enum drop_reason check_arrival4(struct __sk_buff *skb, const struct machine *machine) {
	struct iphdr ip;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0) return DROP_MALFORMED;
	if (ip.daddr == machine->ipv4_second) return DROP_NONE; /* public UDP: the proxy's */
	if (ip.daddr != machine->ipv4) return DROP_NOT_FOR_MACHINE;
	return ip.saddr == machine->ipv4_gateway ? DROP_NONE : check_policy4(skb, machine, DIRECTION_INGRESS, &ip);
}

SEC("tc") int to_machine(struct __sk_buff *skb) {
	__u32 ifindex = skb->ifindex;
	enum drop_reason reason = DROP_ETHERTYPE;
	struct counters *seen = counters_of(ifindex);
	struct machine *machine = bpf_map_lookup_elem(&machines, &ifindex);
	if (!machine || !seen) return TC_ACT_SHOT;
	__u32 protocol = skb->protocol;
	if (protocol == bpf_htons(ETH_P_ARP)) reason = DROP_NONE;
	else if (protocol == bpf_htons(ETH_P_IPV6)) reason = check_arrival6(skb, machine);
	else if (protocol == bpf_htons(ETH_P_IP)) reason = check_arrival4(skb, machine);
	if (reason != DROP_NONE) return drop(seen, reason);
	seen->out_packets += 1;
	seen->out_bytes += skb->len;
	return TC_ACT_OK;
}

/*
 * In the namespace of a virtual machine: its tap and the end of the link to the host have the indexes 2 and
 * 3, and what one takes the other sends.
 */
SEC("tc") int wire(struct __sk_buff *skb) {
	return bpf_redirect(skb->ifindex ^ 1, 0);
}
