import type { HostReport } from '#flyd'
import { renderTable } from './table.ts'

/** What a host has, and how full it is. */
export function showStatus(status: HostReport): string {
  const { host, region, mode, machines, guests, runs, capacity, rows, evacuation } = status
  const { limits, used } = capacity
  const { moving, stay } = evacuation
  const states = Object.entries(machines).map(([state, count]) => `${count} ${state}`)
  return renderTable([
    ['host', `${host} in ${region}, ${mode}`],
    ['machines', states.length === 0 ? 'none' : states.join(', ')],
    ['guests', String(guests)],
    ['runs under way', String(runs)],
    ['CPU', `${used.cpuMicros / 1e6} of ${limits.cpuMicros / 1e6} threads promised`],
    ['memory', `${used.memoryMb} of ${limits.memoryMb} MB promised`],
    ['rows', `${rows.count} in corrosion${rows.inStep ? '' : `, ${rows.waiting} waiting`}`],
    ...moving.map((id) => ['moving', id]),
    ...stay.map(({ machine, app, why }) => ['stays', `${machine} of ${app}: ${why}`]),
  ])
}
