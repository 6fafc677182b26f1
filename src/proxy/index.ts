/**
 * proxy: every connection from outside, and every private one that is balanced. Owns the connections in
 * flight and nothing else.
 *
 * Reading order: route.ts (the seam between bytes and decisions), certificates.ts; http1/ (bytes of HTTP/1.1,
 * without I/O), net/ (sockets without node:net), tls/, forward/ (connections and exchanges; front.ts, then
 * http1-client.ts and exchange.ts), run/ (a process that serves). The decisions: routing-table/ (corrosion's rows,
 * indexed), balance/ and wake/ (pure cores), replay/, router/ (all of them as a Router; open-routing.ts runs them),
 * backhaul/ (to the proxies of other hosts), datagrams/ (public UDP, past all of these but the table), certificates/, admin/,
 * handover/ (to the process that follows), statics/ (files of machines).
 */
export { askExplain, askLoads, askTop } from './admin/admin-client.ts'
export type { AdminServer } from './admin/admin-server.ts'
export { serveAdmin } from './admin/admin-server.ts'
export type {
  ExplainAnswer,
  ExplainQuestion,
  MachineLoad,
  TopApp,
  TopView,
} from './admin/debug-view.ts'
export type { BackhaulStream } from './backhaul/dialer.ts'
export { BackhaulDialer } from './backhaul/dialer.ts'
export { BackhaulError } from './backhaul/errors.ts'
export type { StreamHandlers } from './backhaul/link-stream.ts'
export { ResetReason } from './backhaul/link-stream.ts'
export type { OpenFacts } from './backhaul/open-facts.ts'
export { BackhaulServer } from './backhaul/server.ts'
export { WorkerGate } from './backhaul/worker-gate.ts'
export type { Explanation } from './balance/explain.ts'
export { acmeAuthority } from './certificates/acme-authority.ts'
export { CertificateKeeper } from './certificates/certificate-keeper.ts'
export type { CertificateRows, DnsHook } from './certificates/certificate-orders.ts'
export { CertificateOrders } from './certificates/certificate-orders.ts'
export {
  CertificateStore,
  customSealContext,
  sealContext,
} from './certificates/certificate-store.ts'
export { corrosionCertificateRows } from './certificates/corrosion-certificate-rows.ts'
export { EdgeKeyRing, readEdgeKeyRing } from './certificates/edge-key-ring.ts'
export { CertificateError } from './certificates/errors.ts'
export { issueLocally, openLocalAuthority } from './certificates/local-authority.ts'
export { OrderRecords } from './certificates/order-records.ts'
export { nextTicketChangeMs, ticketKeys } from './certificates/ticket-keys.ts'
export type { Certificate, Certificates } from './certificates.ts'
export { Datagrams } from './datagrams/datagrams.ts'
export { echoWire } from './datagrams/echo-wire.fixture.ts'
export type { ProxyErrorCode } from './errors.ts'
export { ProxyError } from './errors.ts'
export type { ProxyLimits } from './forward/limits.ts'
export { defaultLimits } from './forward/limits.ts'
export { EventLoop } from './net/event-loop.ts'
export { openDatagramSocket, openListener } from './net/socket.ts'
export { Counters } from './observe/counters.ts'
export { renderMetrics } from './observe/metrics.ts'
export type {
  Attempt,
  ConnectionFacts,
  Decision,
  Entrance,
  Handlers,
  Lease,
  LeaseResult,
  Redirect,
  Refuse,
  ResponseFacts,
  ResponseRules,
  RouteRequest,
  Router,
  ToMachine,
  ToRemote,
} from './route.ts'
export { PROXY_OWNED_REQUEST_HEADERS, REPLAY_BODY_BYTES_MAX } from './route.ts'
export type { ClientFacts } from './router/open-remote.ts'
export { openRemote } from './router/open-remote.ts'
export type { Routing, RoutingOptions } from './router/open-routing.ts'
export { openRouting } from './router/open-routing.ts'
export { ProxyRouter } from './router/router.ts'
export { RoutingCore } from './router/routing-core.ts'
export type { RoutingLimits } from './router/routing-limits.ts'
export { ROUTING_LIMITS } from './router/routing-limits.ts'
export { RoutingTable } from './routing-table/routing-table.ts'
export { runProxy } from './run/run-proxy.ts'
export type { HostApis, OpenHostApis } from './run/run-routing.ts'
export { runRouting } from './run/run-routing.ts'
export type { ServeOptions, Serving } from './run/serve.ts'
export { serve } from './run/serve.ts'
export { loadStaticConfig } from './run/static-config.ts'
export { StaticRouter } from './run/static-router.ts'
export { TICKET_KEY_BYTES } from './tls/tls-context.ts'
export type { WakeHost } from './wake/host-waker.ts'
export { HostWaker } from './wake/host-waker.ts'
export type { MachineWaker, WakeResult } from './wake/machine-waker.ts'
