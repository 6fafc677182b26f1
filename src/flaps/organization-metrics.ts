import { inParallel, type Log, startDeadline } from '#base'
import { type MetricFamily, MetricSet, parseMetrics, parseSelectors } from '#observe'
import type { Organization } from './directory.ts'
import { refuse } from './errors.ts'
import type { Services } from './services.ts'

const HOSTS_AT_ONCE = 32
/** A host's own bounds are shorter: after this it is away. */
const HOST_MS_MAX = 12_000
/** Of all hosts' answers together. */
const CHARS_MAX = 64 * 2 ** 20
/** Questions that one gateway asks all hosts at the same time: each may be as long as CHARS_MAX. */
const QUESTIONS_MAX = 8

export interface MetricsGathered {
  readonly families: readonly MetricFamily[]
  readonly text: string
  /** Hosts that did not answer: their machines are missing. */
  readonly missing: readonly string[]
}

let asking = 0

/**
 * Asks every host what it knows of the organisation, now. A host that does not answer is named, and the others' answers
 * count.
 *
 * @param selectors as Prometheus' `match[]` has them
 * @throws ObserveError observe.selector_bad; FlapsError flaps.rate_limited
 */
export async function gatherMetrics(
  services: Services,
  about: {
    readonly organization: Organization
    readonly selectors: readonly string[]
    readonly signal: AbortSignal
    readonly log: Log
  },
): Promise<MetricsGathered> {
  const { organization, selectors, signal, log } = about
  const parsed = parseSelectors(selectors) // before anybody is asked
  if (asking >= QUESTIONS_MAX) throw refuse('flaps.rate_limited', 'too many questions for metrics')
  asking += 1
  try {
    const apps = await services.directory.apps(organization, { signal })
    const names = apps.map(({ id, name }) => ({ id, name }))
    const question = { orgId: organization.id, apps: names, selectors }
    const set = new MetricSet({ selectors: parsed, charsMax: CHARS_MAX })
    const missing: string[] = []
    await inParallel(services.rows.hosts(), HOSTS_AT_ONCE, async ({ id, region }) => {
      using deadline = startDeadline(`the metrics of host ${id}`, HOST_MS_MAX, {
        clock: services.clock,
        signal,
      })
      let isUp = 1
      try {
        const { text } = await services.fleet.host(id).metrics(question, deadline.signal)
        set.addFamilies(await parseMetrics(text, deadline))
      } catch (err) {
        if (signal.aborted) throw signal.reason
        log.warn({ err, host: id }, 'a host does not tell its metrics')
        missing.push(id)
        isUp = 0
      }
      set.addFigures([
        { name: 'godwit_host_up', type: 'gauge', value: isUp, labels: { host: id, region } },
      ])
    })
    return { families: set.families(), text: set.text(), missing: missing.sort() }
  } finally {
    asking -= 1
  }
}
