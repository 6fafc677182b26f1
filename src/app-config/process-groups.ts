import type { AppConfig } from './app-config.ts'

const ONLY_GROUP = 'app'

/** Names of the process groups, sorted. A configuration without `[processes]` has one, `app`. */
export function processGroups({ processes = {} }: AppConfig): string[] {
  const names = Object.keys(processes).sort()
  return names.length === 0 ? [ONLY_GROUP] : names
}

/** The group of sections that name none: `app` when there is one of that name, else the first. */
export function defaultGroup(config: AppConfig): string {
  const names = processGroups(config)
  return names.includes(ONLY_GROUP) ? ONLY_GROUP : (names[0] ?? ONLY_GROUP)
}

interface ForGroups {
  readonly processes?: string[]
}

/** Whether a section is for a group. */
export function isFor(section: ForGroups, group: string, config: AppConfig): boolean {
  const { processes = [] } = section
  return processes.length === 0 ? group === defaultGroup(config) : processes.includes(group)
}

/** The size of a group: the entry that names it, else the one for all. */
export function vmOf(config: AppConfig, group: string) {
  const { vm = [] } = config
  return (
    vm.find(({ processes = [] }) => processes.includes(group)) ??
    vm.find(({ processes = [] }) => processes.length === 0)
  )
}
