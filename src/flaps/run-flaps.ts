import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { CertificateFiles, Log } from '#base'
import { allEndpoints } from './endpoints/all.ts'
import { FlapsMetrics } from './flaps-metrics.ts'
import type { ImageDepot } from './images/image-depot.ts'
import type { OpenJoin } from './join/open-join.ts'
import { injectAsMachine, type MachineSource } from './machine-api/machine-source.ts'
import { type NetworkApiOptions, serveNetworkApi } from './network/network-api.ts'
import type { Rates } from './rate-limits.ts'
import { buildServer, type ServerExtension } from './server.ts'
import type { Services } from './services.ts'

export interface FlapsOptions {
  readonly services: Services
  /** Port 0: any that is free. */
  readonly listen: { readonly host: string; readonly port: number }
  /** `/healthz` and `/metrics`, for operators alone. */
  readonly admin: { readonly host: string; readonly port: number }
  readonly log: Log
  /** Absent: plain HTTP. */
  readonly tls?: CertificateFiles
  readonly rates?: Rates
  /** Absent: it takes no images. */
  readonly depot?: ImageDepot
  /** Absent: no server joins the cluster here. */
  readonly join?: OpenJoin
  readonly extensions?: readonly ServerExtension[]
  /** Where hosts hand on what organisations' networks ask. Absent: nowhere. */
  readonly network?: Omit<NetworkApiOptions, 'log'>
}

export interface RunningFlaps extends AsyncDisposable {
  /** As URLs. */
  readonly address: string
  readonly adminAddress: string
  /** Port of the API for organisations' networks. */
  readonly networkPort?: number
  /** A request as from a machine's socket. */
  injectAs(
    source: MachineSource,
    request: Parameters<typeof injectAsMachine>[2],
  ): ReturnType<typeof injectAsMachine>
}

/**
 * Serves the API until it is disposed; that lets changes that are under way end.
 *
 * @throws BaseError base.certificate_bad; what the system says of files and addresses
 */
export async function runFlaps(options: FlapsOptions): Promise<RunningFlaps> {
  const { services, listen, log, rates, tls, depot, join, extensions = [] } = options
  const metrics = new FlapsMetrics()
  const server = buildServer({
    services,
    endpoints: allEndpoints,
    extensions,
    log,
    metrics,
    ...(tls === undefined ? {} : { tls }),
    ...(depot === undefined ? {} : { depot }),
    ...(join === undefined ? {} : { join }),
    ...(rates === undefined ? {} : { rates }),
  })
  await using opened = new AsyncDisposableStack()
  const last = opened.use(new AsyncDisposableStack()) // ends after the server, as serveNetworkApi asks
  opened.defer(() => server.close())
  const network =
    options.network && last.use(await serveNetworkApi(server, { ...options.network, log }))
  const plain = await server.listen(listen) // Fastify does not know that its server speaks TLS
  const address = tls === undefined ? plain : plain.replace(/^http:/, 'https:')
  const admin = await listenAdmin(metrics, options.admin)
  const { port } = admin.address() as AddressInfo
  log.info({ address, admin: port }, 'serving the Machines API')
  const held = opened.move()
  return {
    address,
    ...(network === undefined ? {} : { networkPort: network.port }),
    injectAs: (source, request) => injectAsMachine(server, source, request),
    adminAddress: `http://${options.admin.host}:${port}`,
    async [Symbol.asyncDispose]() {
      await held.disposeAsync()
      admin.closeAllConnections()
      await new Promise<void>((resolve) => admin.close(() => resolve()))
    },
  }
}

function listenAdmin(
  { registry }: FlapsMetrics,
  { host, port }: { host: string; port: number },
): Promise<Server> {
  const admin = createServer((request, response) => {
    if (request.url === '/healthz') return void response.end('ok\n')
    if (request.url !== '/metrics') return void response.writeHead(404).end()
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  })
  return new Promise((resolve, reject) => {
    admin.once('error', reject)
    admin.listen(port, host, () => resolve(admin))
  })
}
