/*
 * What the programs and src/net6/programs share: keys and values of the maps, and the reasons of drops.
 * The other side is src/net6/programs/map-layout.ts and drop-reason.ts: change both in one commit, and
 * LAYOUT there with them. Numbers are the machine's own byte order, addresses the network's.
 */
#pragma once
#include <linux/types.h>

/* Order is part of the layout. */
enum drop_reason {
	DROP_NONE, /* never counted */
	DROP_MALFORMED,
	DROP_ETHERTYPE,
	DROP_MAC_SPOOFED,
	DROP_SOURCE_SPOOFED,
	DROP_ARP_SPOOFED,
	DROP_NEIGHBOUR_SPOOFED,
	DROP_ROUTER_ADVERTISEMENT,
	DROP_MULTICAST,
	DROP_LINK_LOCAL,
	DROP_IP_OPTIONS,
	DROP_EXTENSION_HEADER,
	DROP_FRAGMENT,
	DROP_HOST_SERVICE,
	DROP_OTHER_NETWORK,
	DROP_DENIED_DESTINATION,
	DROP_FLYCAST_UNKNOWN,
	DROP_MACHINE_UNKNOWN,
	DROP_HOST_UNKNOWN,
	DROP_HOP_LIMIT,
	DROP_RATE,
	DROP_NOT_FOR_MACHINE,
	DROP_INGRESS_POLICY,
	DROP_EGRESS_POLICY,
	DROP_REASON_COUNT,
};

/* fdaa:NETWORK:HOST:MACHINE:LOW, each field but the last 32 bits. */
struct six_pn {
	__be16 ula;
	__be16 network[2];
	__be16 host[2];
	__be16 machine[2];
	__be16 low;
};

/* Map `machines`, by the index of the host's end of the machine's link. */
struct machine {
	struct six_pn address; /* low is of no meaning */
	__be32 ipv4;
	__be32 ipv4_second; /* of fly-global-services */
	__be32 ipv4_gateway;
	__u8 mac[6];
	__u8 gateway_mac[6];
	__u64 rate_bytes_per_s; /* 0: unlimited */
	__u64 burst_bytes;
	__u32 policed; /* a bit for each direction in which a network policy denies all but its ports */
	__u32 zero;
};

/* Seen from the machine; bits of `policed`. */
enum direction {
	DIRECTION_INGRESS = 1,
	DIRECTION_EGRESS = 2,
};

/* Map `policies`, by the same index: what may be opened in the directions that are policed. */
#define POLICY_PORT_COUNT_MAX 64
struct policy_port {
	__u8 protocol; /* 0: no more of them */
	__u8 zero;
	__be16 port;
};
struct policy {
	struct policy_port ingress[POLICY_PORT_COUNT_MAX];
	struct policy_port egress[POLICY_PORT_COUNT_MAX];
};

/*
 * Maps in map `flows`, one for each machine that is policed, so that no machine's connections push out
 * another's: connections whose replies may pass. An IPv4 address stands as ::ffff:a.b.c.d.
 */
#define FLOW_COUNT_MAX 8192
struct flow_key {
	__u8 remote[16];
	__u8 local[16];
	__be16 remote_port; /* of an echo: both its identifier; of a fragment: both halves of its own */
	__be16 local_port;
	__u8 protocol; /* 44: fragments of a packet whose first one passed */
	__u8 zero[3];
};
struct flow {
	__u64 seen_ns; /* of the end that opened it */
	__u32 opener; /* the direction of its first packet */
	__u32 zero;
};

/* Map `addresses`: machines of this host by what their 6PN address says. */
struct address_key {
	__be16 network[2];
	__be16 host[2];
	__be16 machine[2];
};

/* Map `hosts`, by the host field of a 6PN address: the way to another host. */
struct route {
	__u32 ifindex; /* of the mesh device */
	__u32 local_generation;
	__u32 remote_generation;
};

/*
 * Map `services`: what machines may ask of the host. The value is 1, but at the unspecified address the index of the device
 * behind which the host answers that port of all machines: see ssh.h.
 */
struct service_key {
	__u8 address[16];
	__be16 port;
	__u8 protocol;
	__u8 zero;
};

/* Maps `destinations4` and `destinations6`: longest prefix decides. */
struct prefix4 {
	__u32 bits;
	__u8 address[4];
};
struct prefix6 {
	__u32 bits;
	__u8 address[16];
};
enum destination {
	DESTINATION_DENIED = 1,
	DESTINATION_EDGE = 2, /* the platform's own anycast addresses, which this host may hold */
	DESTINATION_OPEN = 3, /* an exception within a denied prefix */
};

/* Map `settings`, one entry. */
struct settings {
	__be16 host[2];
};

/* Map `counters`, per CPU, by interface index; `in` is from the machine or from the mesh. */
struct counters {
	__u64 in_packets;
	__u64 in_bytes;
	__u64 out_packets;
	__u64 out_bytes;
	__u64 drops[DROP_REASON_COUNT];
};
