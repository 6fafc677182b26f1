import type { AppConfig } from '../app-config.ts'
import { list, type Problems } from '../problem.ts'
import { processGroups } from '../process-groups.ts'

interface Section {
  readonly processes?: string[]
}

/** Sections name groups that are there, and services name theirs where there is a choice. */
export function checkProcesses(config: AppConfig, problems: Problems): void {
  const known = processGroups(config)
  for (const [path, { processes = [] }] of sectionsOf(config)) {
    for (const name of processes) {
      if (!known.includes(name)) {
        problems.error(`${path}/processes`, `names '${name}'; process groups are ${list(known)}`)
      }
    }
  }
  const count = Object.keys(config.processes ?? {}).length
  if (count === 0) return
  for (const [index, { processes = [] }] of (config.services ?? []).entries()) {
    if (processes.length > 0) continue
    problems.error(
      `/services/${index}`,
      `Service has no processes set but app has ${count} processes defined: add processes = ["${known[0]}"]`,
    )
  }
}

function sectionsOf(config: AppConfig): [string, Section][] {
  const lists = ['services', 'mounts', 'vm', 'restart', 'files', 'metrics'] as const
  return [
    ...lists.flatMap((key) =>
      (config[key] ?? []).map((section, index): [string, Section] => [`/${key}/${index}`, section]),
    ),
    ...Object.entries(config.checks ?? {}).map(([name, check]): [string, Section] => [
      `/checks/${name}`,
      check,
    ]),
    ...(config.http_service === undefined
      ? []
      : [['/http_service', config.http_service] as [string, Section]]),
  ]
}
