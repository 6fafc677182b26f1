import { type Clock, errorCode, inParallel, type Log, startDeadline } from '#base'
import {
  type Figure,
  type Labels,
  type MetricFamily,
  MetricSet,
  parseMetrics,
  parseSelectors,
} from '#observe'
import type { MetricsAnswer, MetricsQuestion } from '../host.ts'
import type { MachineSeen } from '../model/machine-seen.ts'
import { isGone } from '../model/machine-state.ts'
import type { MachineView } from '../model/machine-view.ts'
import type { VolumeSeen } from '../model/volume-seen.ts'
import { appMetricsOf, scrapeApp } from './scrape-app.ts'
import { exitFigures, volumeFigures } from './seen-figures.ts'

export interface HostMetricsOptions {
  readonly hostId: string
  readonly region: string
  readonly view: MachineView
  /** What a machine that runs says of itself. */
  readonly statsOf: (id: string, signal: AbortSignal) => Promise<readonly Figure[]>
  readonly addressesOf: (id: string) => readonly string[]
  /** What this host's proxy counts, as text. Absent: there is none. */
  readonly proxyText?: ((signal: AbortSignal) => Promise<string>) | undefined
  readonly clock: Clock
  readonly log: Log
}

/** Of a host's answer: what hosts take from one another has a bound of its own. */
const CHARS_MAX = 24 * 2 ** 20
const MACHINES_AT_ONCE = 8
const STATS_MS_MAX = 4_000
const SCRAPE_MS_MAX = 5_000
const PROXY_MS_MAX = 4_000
/** Who asks again within this gets what was found before. */
const KEPT_MS = 5_000
/** A name of the platform's: no app may say it of itself. */
const RESERVED = /^(?:fly|godwit)_/

interface Found {
  readonly atMs: number
  readonly figures: readonly Figure[]
  readonly families: readonly MetricFamily[]
}

/**
 * An organisation's machines on this host in figures: what they say of themselves, what their apps say, what the proxy
 * counts for their apps. Never fails for a machine that does not answer: it is told as one that does not.
 */
export class HostMetrics {
  readonly #options: HostMetricsOptions
  readonly #found = new Map<string, Found | Promise<Found>>()

  constructor(options: HostMetricsOptions) {
    this.#options = options
  }

  /** @throws ObserveError observe.selector_bad; the signal's reason */
  async answer(question: MetricsQuestion, signal: AbortSignal): Promise<MetricsAnswer> {
    const { view, region, hostId } = this.#options
    const set = new MetricSet({
      selectors: parseSelectors(question.selectors),
      charsMax: CHARS_MAX,
    })
    const apps = new Map(question.apps.map(({ id, name }) => [id, name]))
    const own = [...view.machines()].filter(
      (machine) => machine.orgId === question.orgId && !isGone(machine),
    )
    const disks = new Map<string, readonly Figure[]>()
    await inParallel(own, MACHINES_AT_ONCE, async (machine) => {
      signal.throwIfAborted()
      const around = labelsOf(machine.appName, machine.region, hostId, machine.id)
      set.addFigures(exitFigures(machine), around)
      if (machine.state !== 'started') return
      const { figures, families } = await this.#lookAt(machine)
      disks.set(machine.id, figures)
      set.addFigures(figures, around)
      set.addFamilies(families, around)
    })
    for (const volume of view.volumes()) {
      const app = apps.get(volume.appId)
      if (volume.orgId !== question.orgId || app === undefined) continue
      set.addFigures(this.#ofVolume(volume, disks), labelsOf(app, region, hostId))
    }
    const names = new Set([...apps.values(), ...own.map(({ appName }) => appName)])
    set.addFamilies(await this.#ofProxy(names, signal), new Map([['host', hostId]]))
    return { text: set.text(), leftOut: set.leftOut }
  }

  #ofVolume(volume: VolumeSeen, disks: ReadonlyMap<string, readonly Figure[]>): Figure[] {
    const { machineId = '' } = volume
    const machine = this.#options.view.machine(machineId)
    return volumeFigures(volume, machine, disks.get(machineId) ?? [])
  }

  /** One look at a time, and none soon after another: whoever asks costs the machine no more than that. */
  async #lookAt(machine: MachineSeen): Promise<Found> {
    const nowMs = this.#options.clock.monotonicMs()
    for (const [id, found] of this.#found) {
      if (!(found instanceof Promise) && nowMs - found.atMs > KEPT_MS) this.#found.delete(id)
    }
    const key = `${machine.id} ${machine.version}`
    const known = this.#found.get(key)
    if (known !== undefined) return await known
    const looking = this.#look(machine)
    this.#found.set(key, looking)
    const found = await looking
    this.#found.set(key, found)
    return found
  }

  /** Never rejects. */
  async #look(machine: MachineSeen): Promise<Found> {
    const [stats, families] = await Promise.all([this.#stats(machine), this.#scrape(machine)])
    const isUp: Figure = {
      name: 'fly_instance_up',
      type: 'gauge',
      value: stats === undefined ? 0 : 1,
    }
    const scraped: Figure[] =
      families === 'none'
        ? []
        : [{ name: 'godwit_scrape_up', type: 'gauge', value: families === undefined ? 0 : 1 }]
    return {
      atMs: this.#options.clock.monotonicMs(),
      figures: [isUp, ...(stats ?? []), ...scraped],
      families: families === 'none' ? [] : (families ?? []),
    }
  }

  async #stats({ id }: MachineSeen): Promise<readonly Figure[] | undefined> {
    return await this.#orNothing('the figures of a machine', id, STATS_MS_MAX, (signal) =>
      this.#options.statsOf(id, signal),
    )
  }

  async #scrape({ id, config }: MachineSeen): Promise<MetricFamily[] | undefined | 'none'> {
    const metrics = appMetricsOf(config)
    if (metrics === undefined) return 'none'
    const families = await this.#orNothing('the metrics of an app', id, SCRAPE_MS_MAX, (signal) =>
      scrapeApp(metrics, this.#options.addressesOf(id), signal),
    )
    return families?.filter(({ name }) => !RESERVED.test(name))
  }

  /** What the proxy says of others, or of nobody, is not for them. */
  async #ofProxy(apps: ReadonlySet<string>, signal: AbortSignal): Promise<MetricFamily[]> {
    const { proxyText, clock, log } = this.#options
    if (proxyText === undefined) return []
    using deadline = startDeadline("the proxy's figures", PROXY_MS_MAX, { clock, signal })
    try {
      const families = await parseMetrics(await proxyText(deadline.signal), deadline)
      return families.map((family) => ({
        ...family,
        series: family.series.filter(({ labels }) => apps.has(labels.get('app') ?? '')),
      }))
    } catch (err) {
      if (signal.aborted) throw signal.reason
      log.warn({ err }, "the proxy's figures are missing")
      return []
    }
  }

  async #orNothing<T>(
    what: string,
    machine: string,
    ms: number,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    const { clock, log } = this.#options
    using deadline = startDeadline(what, ms, { clock })
    try {
      return await work(deadline.signal)
    } catch (err) {
      log.debug({ err, machine, code: errorCode(err) }, `${what} could not be had`)
      return undefined
    }
  }
}

function labelsOf(app: string, region: string, host: string, instance?: string): Labels {
  const labels = new Map([
    ['app', app],
    ['region', region],
    ['host', host],
  ])
  return instance === undefined ? labels : labels.set('instance', instance)
}
