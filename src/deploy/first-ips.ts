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
 * Gives an app with services its first addresses, unless it has some.
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
  if (choice === 'none' || services.length === 0 || (await platform.ips()).length > 0) return
  if (choice === 'private') return give(platform, 'private_v6', tell)
  await give(platform, 'v6', tell)
  const needsOwn = choice === 'dedicated' || services.some(needsOwnV4)
  if (!needsOwn) return give(platform, 'shared_v4', tell)
  try {
    await give(platform, 'v4', tell)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    tell({
      kind: 'warning',
      text: `no IPv4 address of its own could be had (${error.what}): this app, whose ports are not just 80 and 443, is reached over IPv6 alone`,
    })
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

/** A shared address tells apps apart by the name in HTTP or TLS; everything else needs its own. */
function needsOwnV4({ protocol, ports = [] }: ServiceJson): boolean {
  if (protocol === 'udp') return true
  return ports.some(({ port, handlers = [] }) => {
    if (port === 80) return handlers.join() !== 'http'
    if (port === 443) return !handlers.includes('tls') || !handlers.includes('http')
    return true
  })
}
