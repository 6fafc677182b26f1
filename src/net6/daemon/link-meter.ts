import { type Clock, type Log, type Random, startDeadline } from '#base'
import type { ApiClient } from '#corrosion'
import type { HostRow } from '../mesh/host-rows.ts'
import { backhaulAddress, parseMeshPrefix } from '../six-pn-address.ts'
import type { System } from '../system.ts'
import type { PlatformRows } from './platform-rows.ts'
import { type RoundTrip, readPing, WrittenRoundTrips } from './round-trips.ts'

export interface LinkMeterOptions {
  readonly hostId: string
  readonly system: System
  readonly rows: PlatformRows
  readonly client: ApiClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

const FIRST_MS = 2_000
const EVERY_MS = 30_000
const PARALLEL = 8
const WRITE_MS_MAX = 10_000
/** Three small packets, a fifth of a second apart. */
const PING = ['-n', '-q', '-c', '3', '-i', '0.2', '-W', '2']

/** Measures the links to all other hosts, and writes this host's rows of `host_links`. */
export class LinkMeter implements AsyncDisposable {
  readonly #options: LinkMeterOptions
  readonly #written = new WrittenRoundTrips()
  readonly #stopping = new AbortController()
  readonly #loop: Promise<void>

  constructor(options: LinkMeterOptions) {
    this.#options = options
    this.#loop = this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the daemon of the network ends'))
    await this.#loop
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { clock, random, log } = this.#options
    const { signal } = this.#stopping
    for (let waitMs = FIRST_MS; !signal.aborted; ) {
      try {
        await clock.sleep(waitMs, signal)
        const isComplete = await this.#round(signal)
        // Hosts that start together do not measure together.
        waitMs = isComplete ? EVERY_MS * (0.8 + 0.4 * random.next()) : FIRST_MS
      } catch (err) {
        if (signal.aborted) return
        log.debug({ err }, 'round trips were not measured')
        waitMs = EVERY_MS
      }
    }
  }

  /** @returns false: other hosts are not known yet */
  async #round(signal: AbortSignal): Promise<boolean> {
    const { hostId, rows } = this.#options
    const others = rows.hosts().filter((row) => row.id !== hostId && row.six_pn_prefix !== '')
    if (!rows.isComplete || others.length === 0) return false
    const measured: RoundTrip[] = []
    const left = [...others]
    const work = async () => {
      for (let row = left.pop(); row !== undefined; row = left.pop()) {
        measured.push(await this.#measure(row, signal))
      }
    }
    await Promise.all(Array.from({ length: PARALLEL }, work))
    await this.#write(measured, new Set(others.map(({ id }) => id)), signal)
    return true
  }

  async #measure({ id, six_pn_prefix: prefix }: HostRow, signal: AbortSignal): Promise<RoundTrip> {
    const target = addressOf(prefix)
    if (target === undefined) return readPing(id, '')
    const options = { signal, okCodes: [0, 1, 2] }
    const { stdout } = await this.#options.system.run('ping', [...PING, target], options)
    return readPing(id, stdout)
  }

  async #write(measured: readonly RoundTrip[], present: ReadonlySet<string>, signal: AbortSignal) {
    const { client, hostId, clock } = this.#options
    const nowMs = clock.nowMs()
    const news = this.#written.news(measured, nowMs)
    const gone = this.#written.gone(present)
    if (news.length + gone.length === 0) return
    using deadline = startDeadline('writing round trips', WRITE_MS_MAX, { signal, clock })
    const statements = [
      ...news.map(({ peerId, rttUs, lossPpm }) => {
        return [UPSERT, [hostId, peerId, rttUs, lossPpm, nowMs]] as const
      }),
      ...gone.map((id) => [DELETE, [hostId, id]] as const),
    ]
    await client.transaction(statements, { signal: deadline.signal })
    this.#written.wrote(news, nowMs)
    this.#written.removed(gone)
  }
}

function addressOf(prefix: string): string | undefined {
  try {
    return backhaulAddress(parseMeshPrefix(prefix).host)
  } catch {
    return undefined // a row that the mesh has reported
  }
}

const UPSERT = `
INSERT INTO host_links (host_id, peer_id, rtt_us, loss_ppm, updated_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (host_id, peer_id) DO UPDATE SET rtt_us = excluded.rtt_us, loss_ppm = excluded.loss_ppm,
  updated_at = excluded.updated_at`
const DELETE = 'DELETE FROM host_links WHERE host_id = ? AND peer_id = ?'
