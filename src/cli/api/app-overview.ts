import type { Command } from 'commander'
import { renderTable } from '../table.ts'
import { type AppCommandOptions, appCommand, withApp } from './app-command.ts'
import { type Print, printOut } from './connection.ts'
import { ago, machineTable } from './machine-table.ts'
import { wholeNumber } from './whole-number.ts'

const WATCH_MS = 2_000

/** `godwit status`: an app and its machines. */
export function statusCommand(print: Print = printOut): Command {
  return appCommand('status', 'show an app and its machines', [
    'status -a web',
    'status -a web --watch',
  ])
    .option('--watch', 'again every two seconds, until Ctrl-C')
    .action((options: AppCommandOptions & { watch?: boolean }) =>
      withApp(options, async ({ client, app, machines }) => {
        const { systemClock } = await import('#base')
        for (;;) {
          const [facts, all, releases, ips] = await Promise.all([
            client.app(app),
            machines.list(),
            client.releases(app).list(1),
            client.addresses(app).list(),
          ])
          const [release] = releases
          if (options.json) {
            print(
              `${JSON.stringify({ app: facts, machines: all, release: release ?? null, ips })}\n`,
            )
          } else {
            const head = renderTable([
              ['App', facts.name],
              ['Organisation', facts.organization.slug],
              ['Status', facts.status],
              ['Release', release === undefined ? 'none' : `v${release.version} ${release.status}`],
              ['Addresses', ips.map(({ ip }) => ip).join(' ') || 'none'],
            ])
            if (options.watch && process.stdout.isTTY) print('\x1b[H\x1b[J')
            print(all.length === 0 ? `${head}\nno machines\n` : `${head}\n${machineTable(all)}`)
          }
          if (!options.watch) return
          await systemClock.sleep(WATCH_MS)
        }
      }),
    )
}

/** `godwit releases`: what was deployed. */
export function releasesCommand(print: Print = printOut): Command {
  return appCommand('releases', 'show what was deployed', ['releases -a web'])
    .option('--limit <count>', 'the newest ones', wholeNumber, 25)
    .action((options: AppCommandOptions & { limit: number }) =>
      withApp(options, async ({ client, app }) => {
        const releases = await client.releases(app).list(options.limit)
        if (options.json) return print(`${JSON.stringify(releases)}\n`)
        if (releases.length === 0) return print(`${app} was never deployed\nnext: godwit deploy\n`)
        print(
          renderTable([
            ['VERSION', 'STATUS', 'STRATEGY', 'IMAGE', 'WHO', 'WHEN', 'WHY IT FAILED'],
            ...releases.map((release) => [
              `v${release.version}`,
              release.status,
              release.strategy,
              shortImage(release.image_ref),
              release.user_name ?? release.user,
              ago(release.created_at),
              release.failure,
            ]),
          ]),
        )
      }),
    )
}

/** A digest's first digits are enough to tell images apart; `--json` has all of them. */
const shortImage = (reference: string) =>
  reference.replace(/(@sha256:[0-9a-f]{12})[0-9a-f]+$/, '$1')

/** `godwit checks list`: health checks of an app. */
export function checksCommand(print: Print = printOut): Command {
  return appCommand('checks', 'show the health checks of an app', ['checks -a web'])
    .argument('[list]')
    .action((_list: string | undefined, options: AppCommandOptions) =>
      withApp(options, async ({ machines }) => {
        const all = await machines.list()
        const rows = all.flatMap(({ id, checks = [] }) =>
          checks.map((check) => ({ machine: id, ...check })),
        )
        if (options.json) return print(`${JSON.stringify(rows)}\n`)
        if (rows.length === 0) return print('no health checks\n')
        print(
          renderTable([
            ['MACHINE', 'NAME', 'STATUS', 'UPDATED', 'OUTPUT'],
            ...rows.map(({ machine, name, status, updated_at: updated, output = '' }) => [
              machine,
              name,
              status,
              ago(updated),
              output.split('\n')[0]?.slice(0, 80) ?? '',
            ]),
          ]),
        )
      }),
    )
}
