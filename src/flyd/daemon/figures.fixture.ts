/** For tests: a machine whose app has figures of its own, and what its host tells of all machines. */
import { parseMetrics } from '#observe'
import type { MachineHost } from '../host.ts'

/** The app of `TrialHost` serves them as a file. */
export const withFigures = {
  metrics: { port: 80, path: '/figures' },
  files: [
    {
      guest_path: '/www/figures',
      raw_value: Buffer.from('# TYPE eggs gauge\neggs{nest="a"} 3\n').toString('base64'),
    },
  ],
}

/** Series of `TrialHost`'s organisation by name, each as `label=value,... value`. */
export async function figuresOf(host: MachineHost): Promise<ReadonlyMap<string, string[]>> {
  const apps = [{ id: 'app1', name: 'heron' }]
  const question = { orgId: 'org1', apps, selectors: ['{__name__=~".+"}'] }
  const { text } = await host.metrics(question, AbortSignal.timeout(60_000))
  const found = new Map<string, string[]>()
  for (const { series } of await parseMetrics(text)) {
    for (const { name, labels, value } of series) {
      const told = Array.from(labels, ([label, is]) => `${label}=${is}`).sort()
      found.set(name, [...(found.get(name) ?? []), `${told.join(',')} ${value}`])
    }
  }
  return found
}
