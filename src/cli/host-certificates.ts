import { Command } from 'commander'
import type { AuthorityStep, ClusterHost } from '#host'
import type { TrustRow } from '#trust'
import { showTime } from './accounts-folder.ts'
import { type HostOptions, hostConfigAt, onHost } from './host-option.ts'
import { renderTable } from './table.ts'

type Print = (text: string) => void

const ANSWER_MS = 30_000
/** Of a fingerprint, enough to tell two. */
const SHORT = 12

const short = (fingerprint: string): string => fingerprint.slice(0, SHORT)

/** `godwit host certs`: what hosts trust and show, as the cluster knows it. */
export function hostCertsCommand(print: Print): Command {
  return onHost('certs', 'by what all hosts know each other, and until when')
    .option('--json', 'print JSON')
    .action(async ({ config, json }: HostOptions) => {
      const { clusterHosts, clusterTrust } = await import('#host')
      await hostConfigAt(config) // says so when this is no host
      const signal = AbortSignal.timeout(ANSWER_MS)
      const [hosts, rows] = await Promise.all([clusterHosts(signal), clusterTrust(signal)])
      if (json) return print(`${JSON.stringify(rows.map(jsonOf), null, 2)}\n`)
      print(certificateTable(hosts, rows))
    })
    .addHelpText(
      'after',
      `\nExamples:\n  $ godwit host certs\n  $ godwit host certs --json | jq '.[] | select(.trusts | length > 1)'`,
    )
}

const jsonOf = ({ host, trusts, signedBy, endsAtMs, signsUntilMs, shares }: TrustRow) => ({
  ...{ host, trusts, signed_by: signedBy, ends_at: new Date(endsAtMs).toISOString() },
  signs_until: signsUntilMs === undefined ? null : new Date(signsUntilMs).toISOString(),
  shares,
})

/** Hosts of before there were such rows, too. */
export function certificateTable(
  hosts: readonly Pick<ClusterHost, 'id'>[],
  rows: readonly TrustRow[],
): string {
  const silent = hosts.filter(({ id }) => !rows.some(({ host }) => host === id))
  return renderTable([
    ['HOST', 'UNTIL', 'SIGNED BY', 'TRUSTS', 'SHARED KEYS', 'SIGNS HOSTS UNTIL'],
    ...rows.map(({ host, trusts, signedBy, endsAtMs, signsUntilMs, shares }) => [
      ...[host, showTime(endsAtMs), signedBy === '' ? 'nobody that it trusts' : short(signedBy)],
      ...[
        trusts.map(short).join(' '),
        short(shares),
        signsUntilMs === undefined ? '' : showTime(signsUntilMs),
      ],
    ]),
    ...silent.map(({ id }) => [id, 'says nothing: upgrade it', '', '', '', '']),
  ])
}

/** `godwit host renew`: asks a gateway now. */
export function hostRenewCommand(print: Print): Command {
  return onHost('renew', 'ask a gateway now what this host is to trust and to show')
    .description(
      'Asks a gateway now what this host is to trust and to show, and takes it. Hosts do so by themselves every five minutes, and ' +
        'within seconds after a gateway has changed; no daemon is restarted.',
    )
    .option('--json', 'print JSON')
    .action(async ({ config, json }: HostOptions) => {
      const { hostSocketOf, renewHost } = await import('#host')
      const { trust, changed, waitingFor } = await renewHost(
        hostSocketOf(await hostConfigAt(config)),
      )
      if (json) {
        const answer = { ...jsonOf(trust), changed, waiting_for: waitingFor }
        return print(`${JSON.stringify(answer, null, 2)}\n`)
      }
      print(
        changed.length === 0 ? 'nothing is to be changed\n' : `changed: ${changed.join(', ')}\n`,
      )
      print(`certificates of ${short(trust.signedBy)}, until ${showTime(trust.endsAtMs)}\n`)
      if (waitingFor.length === 0) return
      print(`new certificates wait until these trust the new CA, too: ${waitingFor.join(', ')}\n`)
      print('a host that is gone for good: godwit host remove HOST, at a gateway\n')
    })
    .addHelpText('after', `\nExample:\n  $ godwit host renew`)
}

/** `godwit host ca`: gives the cluster another CA, in its folder. */
export function hostCaCommand(print: Print): Command {
  const command = new Command('ca')
    .summary("change a cluster's CA, in the folder of `godwit host found`")
    .description(
      'Changes the CA of a cluster that runs, in three steps: announce, switch, retire. Each is taken in the folder of the ' +
        'cluster, and then copied to the gateways, which tell the hosts; nothing is restarted. docs/operate.md has a session.',
    )
  for (const step of ['announce', 'switch', 'retire'] as const) {
    command.addCommand(stepCommand(step, print))
  }
  return command.addCommand(showCommand(print))
}

const onFolder = (name: string, summary: string): Command =>
  new Command(name)
    .summary(summary)
    .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
    .argument('<folder>', 'of the cluster')
    .option('--json', 'print JSON')

const STEPS: Readonly<Record<AuthorityStep, { summary: string; after: string }>> = {
  announce: {
    summary: 'make the next CA; hosts are to trust it beside the present one',
    after:
      '`godwit host certs` shows when all hosts trust both; give users the new ca.pem; then: godwit host ca switch',
  },
  switch: {
    summary: 'the next CA signs from now on',
    after:
      '`godwit host certs` shows when all certificates are of the new CA; then: godwit host ca retire',
  },
  retire: {
    summary: 'hosts are to trust the former CA no longer',
    after: '`godwit host certs` shows when no host trusts the former CA any more',
  },
}

function stepCommand(step: AuthorityStep, print: Print): Command {
  const { summary, after } = STEPS[step]
  return onFolder(step, summary)
    .action(async (folder: string, { json }: { json?: boolean }) => {
      const { changeAuthority, folderAuthorities } = await import('#host')
      const { files, gateways } = await changeAuthority(folder, step)
      const { trusted, signs } = folderAuthorities(folder)
      if (json) return print(`${JSON.stringify({ step, signs, trusted, files, gateways })}\n`)
      print(`signs: ${short(signs)}; trusted: ${trusted.map(short).join(' ')}\n`)
      print('next, for each gateway:\n')
      for (const gateway of gateways) {
        const from = files.map((file) => `${folder}/${gateway}/secrets/${file}`).join(' ')
        print(`  rsync ${from} root@${gateway}:/var/lib/godwit/secrets/\n`)
      }
      print(`${after}\n`)
    })
    .addHelpText('after', `\nExample:\n  $ godwit host ca ${step} ./cluster`)
}

function showCommand(print: Print): Command {
  return onFolder('show', 'which CA signs, and which are trusted')
    .action(async (folder: string, { json }: { json?: boolean }) => {
      const { folderAuthorities } = await import('#host')
      const { state, signs, trusted, endsAtMs } = folderAuthorities(folder)
      if (json) {
        const ends = new Date(endsAtMs).toISOString()
        return print(`${JSON.stringify({ state, signs, trusted, ends_at: ends })}\n`)
      }
      print(`${state}; ${short(signs)} signs, until ${showTime(endsAtMs)}\n`)
      print(`trusted: ${trusted.map(short).join(' ')}\n`)
    })
    .addHelpText('after', `\nExample:\n  $ godwit host ca show ./cluster`)
}
