import { type AppConfig, groupMachine, processGroups } from '#app-config'
import { ApiError } from '#flaps-client'
import type { Tell } from './deploy-event.ts'
import type { Platform } from './platform.ts'

/** shared: a v6 of its own and the shared v4. private: flycast alone. */
export type PublicIps = 'shared' | 'dedicated' | 'private' | 'none'

interface PortJson {
  readonly port?: number
  readonly handlers?: readonly string[]
}

/**
 * Gives an app with services its first addresses, unless it has some. As flyctl does, one with a UDP service gets no
 * v6: UDP is carried at an IPv4 address of the app's own alone, and whoever found a v6 under its name would send there.
 *
 * @throws ApiError
 */
export async function assignFirstIps(
  platform: Platform,
  config: AppConfig,
  choice: PublicIps,
  tell: Tell,
): Promise<void> {
  const services = servicesOf(config)
  if (choice === 'none' || services.length === 0) return
  if ((await platform.ips()).length > 0) return tellOfUdp(platform, config, choice, tell)
  const hasUdp = services.some(isUdp)
  if (choice === 'private') {
    if (hasUdp) tell(warning(NO_UDP_INSIDE))
    return give(platform, 'private_v6', tell)
  }
  if (choice !== 'dedicated' && !services.some(needsOwnV4)) {
    await give(platform, 'v6', tell)
    return give(platform, 'shared_v4', tell)
  }
  const hasV4 = await giveOwnV4(platform, hasUdp ? WITHOUT_V4_UDP : WITHOUT_V4, tell)
  const isUdpOnly = services.every(isUdp)
  if (!hasUdp || (!hasV4 && !isUdpOnly)) await give(platform, 'v6', tell)
}

/**
 * Warns of UDP services that no address of the app's leads to.
 *
 * @throws ApiError
 */
export async function tellOfUdp(
  platform: Platform,
  config: AppConfig,
  choice: PublicIps,
  tell: Tell,
): Promise<void> {
  if (choice === 'none' || choice === 'private' || !servicesOf(config).some(isUdp)) return
  const hasOwnV4 = (await platform.ips()).some(({ ip, shared }) => !shared && !ip.includes(':'))
  if (!hasOwnV4) tell(warning(NO_UDP))
}

const WITHOUT_V4 = 'this app, whose ports are not just 80 and 443, is reached over IPv6 alone'
const WITHOUT_V4_UDP =
  'its UDP services are not reached until it has one; when one is free: godwit ips allocate-v4'
const NO_UDP =
  'its UDP services are not reached: they need an IPv4 address of its own: godwit ips allocate-v4'
const NO_UDP_INSIDE =
  'its UDP services are not reached at a flycast address: inside its network, send to a machine by its .internal name'

const warning = (text: string) => ({ kind: 'warning', text }) as const

/** @returns false: none was free, and the user was told what follows */
async function giveOwnV4(platform: Platform, then: string, tell: Tell): Promise<boolean> {
  try {
    await give(platform, 'v4', tell)
    return true
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    tell(warning(`no IPv4 address of its own could be had (${error.what}): ${then}`))
    return false
  }
}

async function give(
  platform: Platform,
  kind: Parameters<Platform['assignIp']>[0],
  tell: Tell,
): Promise<void> {
  const { ip } = await platform.assignIp(kind)
  tell({ kind: 'ip', ip })
}

interface ServiceJson {
  readonly protocol?: string
  readonly ports?: readonly PortJson[]
}

function servicesOf(config: AppConfig): ServiceJson[] {
  return processGroups(config).flatMap((group) => {
    const { config: machine } = groupMachine(config, group, { readLocalFile: () => Buffer.of() })
    return (machine['services'] ?? []) as ServiceJson[]
  })
}

const isUdp = ({ protocol }: ServiceJson) => protocol === 'udp'

/** A shared address tells apps apart by the name in HTTP or TLS; everything else needs its own. */
function needsOwnV4(service: ServiceJson): boolean {
  const { ports = [] } = service
  if (isUdp(service)) return true
  return ports.some(({ port, handlers = [] }) => {
    if (port === 80) return handlers.join() !== 'http'
    if (port === 443) return !handlers.includes('tls') || !handlers.includes('http')
    return true
  })
}
