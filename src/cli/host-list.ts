import { Command } from 'commander'
import { type HostOptions, onHost } from './host-option.ts'
import { renderTable } from './table.ts'

type Print = (text: string) => void

const ANSWER_MS = 30_000

/** `godwit host list`. */
export function hostListCommand(print: Print): Command {
  return onHost('list', 'all hosts of the cluster, as this one knows them')
    .option('--json', 'print JSON')
    .action(async ({ config, json }: HostOptions) => {
      const { clusterHosts, loadHostConfig } = await import('#host')
      loadHostConfig(config) // says so when this is no host
      const hosts = await clusterHosts(AbortSignal.timeout(ANSWER_MS))
      if (json) return print(`${JSON.stringify(hosts, null, 2)}\n`)
      const rows = hosts.map((host) => [
        ...[host.id, host.region, host.state, host.backhaul_ip],
        [host.is_gateway ? 'gateway' : '', host.is_edge ? 'edge' : ''].join(' ').trim(),
        ...[host.cpus, host.memory_mb, host.machines].map(String),
        host.version,
      ])
      const head = ['HOST', 'REGION', 'STATE', 'ADDRESS', 'ROLES', 'CPUS', 'MEMORY MB']
      print(renderTable([[...head, 'MACHINES', 'VERSION'], ...rows]))
    })
    .addHelpText('after', `\nExample:\n  $ godwit host list --json | jq -r .[].id`)
}

/** `godwit region`: what operators see of regions. */
export function regionCommand(print: Print = (text) => void process.stdout.write(text)): Command {
  return new Command('region')
    .summary('the regions of the cluster, for operators')
    .description(
      'The regions of the cluster with their hosts, machines and capacity; runs on a host. `godwit platform regions` shows ' +
        'from anywhere where machines can run.',
    )
    .addCommand(
      onHost('list', 'regions with their hosts, machines and capacity')
        .option('--json', 'print JSON')
        .action(async ({ config, json }: HostOptions) => {
          const { clusterRegions, loadHostConfig } = await import('#host')
          loadHostConfig(config) // says so when this is no host
          const regions = await clusterRegions(AbortSignal.timeout(ANSWER_MS))
          if (json) return print(`${JSON.stringify(regions, null, 2)}\n`)
          print(regionTable(regions))
        })
        .addHelpText(
          'after',
          `\nExamples:\n  $ godwit region list\n  $ godwit region list --json | jq '.[] | select(.ready == 0)'`,
        ),
    )
}

type Region = import('#host').ClusterRegion

export const regionTable = (regions: readonly Region[]): string =>
  renderTable([
    ['REGION', 'NAME', 'HOSTS', 'READY', 'ROLES', 'MACHINES', 'STARTED', 'CPUS', 'MEMORY'],
    ...regions.map((region) => [
      ...[region.code, region.name, `${region.hosts}`, `${region.ready}`],
      [
        ...(region.gateways > 0 ? [`${region.gateways} gateway`] : []),
        ...(region.edges > 0 ? [`${region.edges} edge`] : []),
      ].join(' '),
      ...[region.machines, region.started, region.cpus].map(String),
      `${region.machines_memory_mb} of ${region.memory_mb} MB`,
    ]),
  ])
