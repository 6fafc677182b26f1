/**
 * The platform's tables. Every row has one writer: the host that its `host_id` names, and nobody else ever
 * writes it, so that nothing that hosts say can conflict. Who reads what: docs/platform-schema.md.
 *
 * Times are milliseconds since the Unix epoch, sizes MB or GB as named, addresses text. JSON columns hold what
 * is only handed on as a whole. Secrets never come here but sealed.
 */
export const PLATFORM_SCHEMA = `
-- What a host says of itself. Owner: the host (id = host_id of all its other rows).
CREATE TABLE hosts (
  id TEXT NOT NULL PRIMARY KEY,
  region TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT 'joining',     -- joining, ready, cordoned, draining
  version TEXT NOT NULL DEFAULT '',          -- of the platform
  backhaul_ip TEXT NOT NULL DEFAULT '',      -- inside the mesh: flyd's API, the proxy's backhaul
  public_ipv4 TEXT,
  public_ipv6 TEXT,
  six_pn_prefix TEXT NOT NULL DEFAULT '',    -- of all machines on it
  mesh_public_key TEXT NOT NULL DEFAULT '',  -- WireGuard
  mesh_endpoint TEXT NOT NULL DEFAULT '',    -- ip:port
  is_gateway INTEGER NOT NULL DEFAULT 0,
  is_edge INTEGER NOT NULL DEFAULT 0,        -- announces the anycast prefixes
  arch TEXT NOT NULL DEFAULT 'amd64',
  hardware JSON NOT NULL DEFAULT '{}',       -- CPU kinds, GPUs
  cpus INTEGER NOT NULL DEFAULT 0,
  memory_mb INTEGER NOT NULL DEFAULT 0,
  disk_gb INTEGER NOT NULL DEFAULT 0,
  started_at INTEGER NOT NULL DEFAULT 0,
  updated_at INTEGER NOT NULL DEFAULT 0
);

-- What each host says of the region that it stands in; readers take the row updated last.
CREATE TABLE regions (
  name TEXT NOT NULL,
  host_id TEXT NOT NULL,
  display_name TEXT NOT NULL DEFAULT '',
  latitude REAL NOT NULL DEFAULT 0,
  longitude REAL NOT NULL DEFAULT 0,
  updated_at INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (name, host_id)
);

-- Round trips between hosts, as the host measures them.
CREATE TABLE host_links (
  host_id TEXT NOT NULL,
  peer_id TEXT NOT NULL,
  rtt_us INTEGER,                            -- NULL: no answer
  loss_ppm INTEGER NOT NULL DEFAULT 0,
  updated_at INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (host_id, peer_id)
);

-- Owner: the gateway that made it.
CREATE TABLE apps (
  id TEXT NOT NULL PRIMARY KEY,
  host_id TEXT NOT NULL DEFAULT '',
  name TEXT NOT NULL DEFAULT '',
  org_id TEXT NOT NULL DEFAULT '',
  org_slug TEXT NOT NULL DEFAULT '',
  network_id INTEGER NOT NULL DEFAULT 0,     -- 6PN network
  status TEXT NOT NULL DEFAULT 'pending',
  created_at INTEGER NOT NULL DEFAULT 0,
  updated_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX apps_name ON apps (name);

-- Owner: the host that it runs on.
CREATE TABLE machines (
  id TEXT NOT NULL PRIMARY KEY,
  host_id TEXT NOT NULL DEFAULT '',
  app_id TEXT NOT NULL DEFAULT '',
  org_id TEXT NOT NULL DEFAULT '',
  network_id INTEGER NOT NULL DEFAULT 0,
  name TEXT NOT NULL DEFAULT '',
  region TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT 'created',     -- as the Machines API names them
  instance_id TEXT NOT NULL DEFAULT '',      -- of the present configuration
  process_group TEXT NOT NULL DEFAULT '',
  image_ref JSON NOT NULL DEFAULT '{}',
  config JSON NOT NULL DEFAULT '{}',         -- without secrets
  events JSON NOT NULL DEFAULT '[]',         -- the last few, newest first
  private_ip TEXT NOT NULL DEFAULT '',       -- 6PN
  private_ipv4 TEXT NOT NULL DEFAULT '',
  is_cordoned INTEGER NOT NULL DEFAULT 0,    -- the proxy sends nothing to it
  cpu_kind TEXT NOT NULL DEFAULT 'shared',
  cpus INTEGER NOT NULL DEFAULT 1,
  memory_mb INTEGER NOT NULL DEFAULT 256,
  load REAL NOT NULL DEFAULT 0,              -- of its proxy's concurrency limit, 0 to 1
  standby_for JSON NOT NULL DEFAULT '[]',
  metadata JSON NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT 0,
  updated_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX machines_app ON machines (app_id);
CREATE INDEX machines_private_ip ON machines (private_ip);

-- What a machine offers, one row each port inside. Owner: its host.
CREATE TABLE services (
  machine_id TEXT NOT NULL,
  protocol TEXT NOT NULL,                    -- tcp, udp
  internal_port INTEGER NOT NULL,
  host_id TEXT NOT NULL DEFAULT '',
  app_id TEXT NOT NULL DEFAULT '',
  ports JSON NOT NULL DEFAULT '[]',          -- port, start_port, end_port, handlers, force_https, options
  concurrency_type TEXT NOT NULL DEFAULT 'connections',
  soft_limit INTEGER,
  hard_limit INTEGER,
  autostop TEXT NOT NULL DEFAULT 'off',      -- off, stop, suspend
  autostart INTEGER NOT NULL DEFAULT 0,
  min_machines_running INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (machine_id, protocol, internal_port)
);
CREATE INDEX services_app ON services (app_id);

-- Results of health checks. Owner: the machine's host.
CREATE TABLE checks (
  machine_id TEXT NOT NULL,
  name TEXT NOT NULL,
  host_id TEXT NOT NULL DEFAULT '',
  app_id TEXT NOT NULL DEFAULT '',
  status TEXT NOT NULL DEFAULT 'warning',    -- passing, warning, critical
  is_service INTEGER NOT NULL DEFAULT 0,     -- the proxy heeds it
  output TEXT NOT NULL DEFAULT '',           -- the end of it
  updated_at INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (machine_id, name)
);

-- Owner: the host that holds it.
CREATE TABLE volumes (
  id TEXT NOT NULL PRIMARY KEY,
  host_id TEXT NOT NULL DEFAULT '',
  app_id TEXT NOT NULL DEFAULT '',
  name TEXT NOT NULL DEFAULT '',
  region TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT 'creating',
  size_gb INTEGER NOT NULL DEFAULT 1,
  is_encrypted INTEGER NOT NULL DEFAULT 1,
  machine_id TEXT,                           -- attached to
  created_at INTEGER NOT NULL DEFAULT 0,
  updated_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX volumes_app ON volumes (app_id);

-- Addresses of apps. Owner: the gateway that gave them.
CREATE TABLE ips (
  address TEXT NOT NULL,
  app_id TEXT NOT NULL,                      -- a shared address has a row for each app
  host_id TEXT NOT NULL DEFAULT '',
  kind TEXT NOT NULL DEFAULT 'v6',           -- v4, v6, shared_v4, private_v6 (flycast)
  region TEXT NOT NULL DEFAULT 'global',
  network_id INTEGER NOT NULL DEFAULT 0,     -- private_v6: who may reach it
  created_at INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (address, app_id)
);
CREATE INDEX ips_app ON ips (app_id);

-- What an app's machines may be reached by, and may reach. Owner: the gateway that wrote it last.
CREATE TABLE network_policies (
  id TEXT NOT NULL PRIMARY KEY,
  host_id TEXT NOT NULL DEFAULT '',
  app_id TEXT NOT NULL DEFAULT '',
  name TEXT NOT NULL DEFAULT '',
  selector JSON NOT NULL DEFAULT '{}',       -- machines, metadata
  rules JSON NOT NULL DEFAULT '[]',          -- action, direction, ports
  created_at INTEGER NOT NULL DEFAULT 0,
  updated_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX network_policies_app ON network_policies (app_id);

-- Certificates of host names. Owner: the host that got or renewed it; a renewal elsewhere is a new row.
CREATE TABLE certs (
  hostname TEXT NOT NULL,
  host_id TEXT NOT NULL,
  app_id TEXT NOT NULL DEFAULT '',
  source TEXT NOT NULL DEFAULT 'acme',       -- acme, local
  chain_pem TEXT NOT NULL DEFAULT '',
  sealed_key BLOB,                           -- readable by edges only
  not_before INTEGER NOT NULL DEFAULT 0,
  not_after INTEGER NOT NULL DEFAULT 0,
  renew_at INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT 'pending',
  updated_at INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (hostname, host_id)
);

-- Host names that somebody brought a certificate for, or that no certificate is got for (chain_pem ''). Owner: the
-- gateway that wrote it last.
CREATE TABLE custom_certs (
  hostname TEXT NOT NULL PRIMARY KEY,
  host_id TEXT NOT NULL DEFAULT '',
  app_id TEXT NOT NULL DEFAULT '',
  chain_pem TEXT NOT NULL DEFAULT '',
  sealed_key BLOB,                           -- readable by edges only
  not_before INTEGER NOT NULL DEFAULT 0,
  not_after INTEGER NOT NULL DEFAULT 0,
  updated_at INTEGER NOT NULL DEFAULT 0
);

-- Answers to ACME challenges that any edge may be asked for. Owner: the host that orders.
CREATE TABLE acme_challenges (
  hostname TEXT NOT NULL,
  token TEXT NOT NULL,
  host_id TEXT NOT NULL DEFAULT '',
  kind TEXT NOT NULL DEFAULT 'http-01',
  answer TEXT NOT NULL DEFAULT '',
  expires_at INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (hostname, token)
);

-- Devices of people in an organisation's network. Owner: the gateway that they connect to.
CREATE TABLE wireguard_peers (
  public_key TEXT NOT NULL PRIMARY KEY,
  host_id TEXT NOT NULL DEFAULT '',
  gateway TEXT NOT NULL DEFAULT '',          -- id of the host that it connects to
  org_id TEXT NOT NULL DEFAULT '',
  network_id INTEGER NOT NULL DEFAULT 0,
  name TEXT NOT NULL DEFAULT '',
  region TEXT NOT NULL DEFAULT '',
  peer_ip TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL DEFAULT 0
);

-- Where people's devices connect to.
CREATE TABLE wireguard_gateways (
  host_id TEXT NOT NULL PRIMARY KEY,
  region TEXT NOT NULL DEFAULT '',
  public_key TEXT NOT NULL DEFAULT '',
  endpoint TEXT NOT NULL DEFAULT '',         -- ip:port
  address_field INTEGER NOT NULL DEFAULT 0,  -- the host's field in 6PN addresses
  updated_at INTEGER NOT NULL DEFAULT 0
);

-- What a gateway sees of a peer. Written when there was a new handshake.
CREATE TABLE wireguard_links (
  public_key TEXT NOT NULL,
  host_id TEXT NOT NULL,
  endpoint TEXT NOT NULL DEFAULT '',
  handshake_at INTEGER NOT NULL DEFAULT 0,
  received_bytes INTEGER NOT NULL DEFAULT 0,
  sent_bytes INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (public_key, host_id)
);

-- A host that joined the cluster, or was removed from it, after it was founded. Owner: the gateway that let it in.
CREATE TABLE members (
  name TEXT NOT NULL PRIMARY KEY,            -- of the host
  host_id TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT 'member',      -- member, removed
  region TEXT NOT NULL DEFAULT '',
  address TEXT NOT NULL DEFAULT '',          -- public: of gossip and WireGuard
  roles JSON NOT NULL DEFAULT '[]',
  nkey TEXT NOT NULL DEFAULT '',             -- public: how NATS knows it
  updated_at INTEGER NOT NULL DEFAULT 0
);

-- By what a host knows others of the cluster, and what it shows them. Owner: the host.
CREATE TABLE host_certificates (
  host_id TEXT NOT NULL PRIMARY KEY,
  trusts JSON NOT NULL DEFAULT '[]',         -- SHA-256 of the authorities that it trusts, hex
  signed_by TEXT NOT NULL DEFAULT '',        -- the one of them under which its certificates are
  ends_at INTEGER NOT NULL DEFAULT 0,        -- of the first of its certificates that ends
  signs_until INTEGER,                       -- a gateway's: how long it can sign for hosts
  shares TEXT NOT NULL DEFAULT '',           -- digest of the keys that all hosts share
  updated_at INTEGER NOT NULL DEFAULT 0
);
`
